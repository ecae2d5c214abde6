"""From a kernel to the schedule of it: where everything starts."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allo_rtl.errors import LanguageError
from allo_rtl.frontend.dataflow_dsl import Region
from allo_rtl.frontend.lower import lower
from allo_rtl.frontend.topology import problems
from allo_rtl.ir.mlir_kernel import is_mlir, read_kernel
from allo_rtl.ir.ops import Module
from allo_rtl.ir.types import Partition
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.buffers import MockBuffer
from allo_rtl.schedule.loops import LoopBand, LoopWrapper
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.utils import no_collection

__all__ = [
    "LoopBand",
    "LoopWrapper",
    "MockBuffer",
    "Partition",
    "Schedule",
    "customize",
    "invoke_mlir_parser",
]

_log = logging.getLogger("allo_rtl")


def customize(
    fn: Callable[..., Any] | str | Path | Module,
    verbose: bool = False,
    enable_tensor: bool = False,
    lower_linalg: bool = False,
    global_vars: Mapping[str, Any] | None = None,
    instantiate: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    context: object = None,
    typing_rule_set: str = "default",
    unroll: bool = True,
    top: str | None = None,
) -> Schedule:
    """Make a schedule of a kernel, to which primitives can be applied.

    Args:
        fn: a Python function (it is not run) or the text of one; MLIR text or an ``.mlir`` file
            (see :mod:`allo_rtl.ir.mlir_kernel` for what it can have); or a module of the loop IR.
        verbose: log the source and the loops to the logger ``allo_rtl`` at level INFO.
        global_vars: names the kernel sees before those around it (for a text: instead of).
        instantiate: the kernel's parameters, those in square brackets; or a dictionary with the
            parameters of several kernels, used where a kernel is named without any.
        typing_rule_set: what types operators give: "default", where sums and products are exact,
            or "cpp-style", where an operator on integers has the wider of their types.
        enable_tensor, lower_linalg, context, unroll: accepted for Allo's sake, without effect:
            arrays are always memory, named operations are always loops, a module needs no
            context, and ``meta_for`` is always unrolled.
        top: which function of MLIR or a module is the kernel, when it is not the last.

    Raises:
        LanguageError: the kernel is not in the language, or a region connects its processes in a
            way that is refused; the message has its line.
        ParseError: the MLIR is not such that a kernel can be made of it; with its line.
        IRError: the module is ill-formed.
    """
    if isinstance(fn, Region) and fn.params and instantiate is None:
        instantiate = fn.params
    module = _module(fn, top)
    if module is not None:
        verify_module(module)
        if not isinstance(fn, Module):
            _check_regions(module)
        return _logged("", Schedule(module), verbose)
    assert not isinstance(fn, Path | Module)
    with no_collection():
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


def _check_regions(module: Module) -> None:
    """Refuse regions of MLIR as those of Python are; what data decide is taken to be as it should.

    Raises:
        LanguageError: streams connect no two processes, or two use one element without an order.
    """
    funcs = {f.name: f for f in module.funcs}
    for func in module.funcs:
        if func.dataflow and (found := problems(func, funcs, func.args)):
            raise found[0]


def invoke_mlir_parser(mod: str, top: str | None = None) -> Module:
    """The module that MLIR text describes; ``top`` names its kernel when that is not the last.

    Raises:
        ParseError: the text is not MLIR that a kernel can be made of; with its line.
        IRError: the module is ill-formed.
    """
    return read_kernel(mod, top=top)


def _module(fn: Callable[..., Any] | str | Path | Module, top: str | None) -> Module | None:
    """The module, unless there is Python to be lowered first."""
    if isinstance(fn, Module):
        return fn if top is None else replace(fn, top=top)
    if isinstance(fn, str) and is_mlir(fn):
        return read_kernel(fn, top=top)
    if isinstance(fn, Path) or (isinstance(fn, str) and re.fullmatch(r"[^\n]+\.mlir", fn)):
        return read_kernel(Path(fn).read_text(), str(fn), top)
    if top is not None:
        raise LanguageError("a Python kernel is its own top", allowed="top=... with MLIR only")
    return None


def _logged(source: str, schedule: Schedule, verbose: bool) -> Schedule:
    if verbose:
        _log.info("%s\n%s", source, schedule)
    return schedule
