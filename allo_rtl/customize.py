"""From a kernel to the schedule of it: where everything starts."""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from allo_rtl.frontend.lower import lower
from allo_rtl.ir.ops import Module
from allo_rtl.ir.types import Partition
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.buffers import MockBuffer
from allo_rtl.schedule.loops import LoopBand, LoopWrapper
from allo_rtl.schedule.schedule import Schedule

__all__ = ["LoopBand", "LoopWrapper", "MockBuffer", "Partition", "Schedule", "customize"]

_log = logging.getLogger("allo_rtl")


def customize(
    fn: Callable[..., Any] | str | Module,
    verbose: bool = False,
    enable_tensor: bool = False,
    lower_linalg: bool = False,
    global_vars: Mapping[str, Any] | None = None,
    instantiate: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    context: object = None,
    typing_rule_set: str = "default",
    unroll: bool = True,
) -> Schedule:
    """Make a schedule of a kernel, to which primitives can be applied.

    Args:
        fn: a Python function (it is not run), the text of one, or a module of the loop IR.
        verbose: log the source and the loops to the logger ``allo_rtl`` at level INFO.
        global_vars: names the kernel sees before those around it (for a text: instead of).
        instantiate: the kernel's parameters, those in square brackets; or a dictionary with the
            parameters of several kernels, used where a kernel is named without any.
        typing_rule_set: what types operators give: "default", where sums and products are exact,
            or "cpp-style", where an operator on integers has the wider of their types.
        enable_tensor, lower_linalg, context, unroll: accepted for Allo's sake, without effect:
            arrays are always memory, named operations are always loops, a module needs no
            context, and ``meta_for`` is always unrolled.

    Raises:
        LanguageError: the kernel is not in the language; the message has its line.
        IRError: the module is ill-formed.
    """
    if isinstance(fn, Module):
        verify_module(fn)
        return _logged("", Schedule(fn), verbose)
    made = lower(
        fn,
        global_vars=global_vars,
        instantiate=instantiate or (),
        typing_rule_set=typing_rule_set,
    )
    verify_module(made.module)
    given = instantiate or ()
    params = given.get(made.kernel.name, ()) if isinstance(given, Mapping) else given
    schedule = Schedule(made.module, inst_list=params, func_instances=made.instances)
    return _logged(ast.unparse(made.kernel.node), schedule, verbose)


def _logged(source: str, schedule: Schedule, verbose: bool) -> Schedule:
    if verbose:
        _log.info("%s\n%s", source, schedule)
    return schedule
