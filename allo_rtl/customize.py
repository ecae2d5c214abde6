"""From a kernel to the schedule of it: where everything starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from allo_rtl.frontend.lower import lower_kernel
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
    *,
    global_vars: Mapping[str, Any] | None = None,
    typing_rule_set: str = "default",
) -> Schedule:
    """Make a schedule of a kernel, to which primitives can be applied.

    Args:
        fn: a Python function (it is not run), the text of one, or a module of the loop IR.
        verbose: log the loops to the logger ``allo_rtl`` at level INFO.
        global_vars: names the kernel sees before those around it (for a text: instead of).
        typing_rule_set: what types operators give: "default", where sums and products are exact,
            or "cpp-style", where an operator on integers has the wider of their types.

    Raises:
        LanguageError: the kernel is not in the language; the message has its line.
        IRError: the module is ill-formed.
    """
    module = (
        fn
        if isinstance(fn, Module)
        else lower_kernel(fn, global_vars=global_vars, typing_rule_set=typing_rule_set)
    )
    verify_module(module)
    schedule = Schedule(module)
    if verbose:
        _log.info("%s", schedule)
    return schedule
