"""Whether a change that was only sketched can help, and what it costs at least."""

from __future__ import annotations

from allo_rtl.advice.cost import Cost, least_cost
from allo_rtl.advice.edits import Edit
from allo_rtl.advice.sketch import pipelines
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.hls.report import LoopReport

CHEAP_AREA = 0.95
"""Part of a kernel's time that is left at most where a change costs area, for it to be told."""


def goal(base: Trial, *, area: bool) -> float:
    """The cycles that a run has to take less than with a change."""
    return base.cycles * (CHEAP_AREA if area else 1.0)


def may_help(base: Trial, loop: LoopReport, edit: Edit, most: float) -> bool:
    """Whether a run may take less than ``most`` cycles if nothing but the loop becomes faster.

    Where there is no bound of it the answer is yes, and no where the change is refused.
    """
    before = spent(base, loop)
    if before is None or edit.clock_mhz is not None or edit.units:
        return True
    sketch = base.sketched(edit)
    if sketch is None:
        return False
    least = sketch.cycles(loop.func, edit.loop, edit.loc)
    return least is None or is_enough(base, loop, before - least, most)


def is_enough(base: Trial, loop: LoopReport, saved: float, most: float) -> bool:
    """Whether a run takes less than ``most`` cycles with so many less in one of the loop's
    function."""
    if base.latency is None or loop.func != base.design.top.name:
        return saved > 0
    return base.latency - saved < most


def spent(base: Trial, loop: LoopReport) -> int | None:
    """Cycles that all runs of a pipelined loop take in a run of its function."""
    controls = base.design.function(loop.func).control.body
    found = [
        runs for x, runs in pipelines(controls, 1)
        if x.loop.name == innermost(loop) and x.loop.loc == loop.loc
    ]  # fmt: skip
    if len(found) != 1 or found[0] is None or loop.latency is None:
        return None
    return found[0] * loop.latency


def costs_at_least(base: Trial, edit: Edit) -> Cost | None:
    """A bound of what a change costs; None where it was not sketched."""
    sketch = base.sketched(edit)
    return None if sketch is None else least_cost(edit, base.design, sketch.functions)
