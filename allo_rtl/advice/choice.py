"""Which change of those that were tried is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from allo_rtl.advice.bounds import CHEAP_AREA, costs_at_least, goal, may_help, spent
from allo_rtl.advice.cost import Cost, asked, cost
from allo_rtl.advice.edits import Edit, Family
from allo_rtl.advice.room import has_room
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.errors import SourceLoc
from allo_rtl.hls.design import Design
from allo_rtl.hls.report import LoopReport
from allo_rtl.schedule.schedule import Schedule

_ALIKE = 1.02
"""Times that differ by less are taken to be the same, so that the cheaper change is told."""


@dataclass(frozen=True)
class Advice:
    """A change that was tried, and what it brings.

    Attributes:
        loop: the loop, ``"function:loop"``.
        loc: where it is in the source.
        limit: what keeps it from being faster.
        edit: the change as text to paste; the schedule is ``s``.
        interval: cycles between iterations before and after; None where not pipelined.
        latency: cycles of the whole kernel before and after, None where they depend on data.
        clock_mhz: before and after.
        promise: what the user has to know to be true, "" where it is checked.
        units: how many units of a name there are before and after, where that differs.
        schedule: the schedule with the change; None where it is in the kernel's source.
        iteration: cycles of an iteration before and after, where iterations follow each other.
        cost: what the change asks and adds; None for depths of FIFOs.
    """

    loop: str
    loc: SourceLoc | None
    limit: str
    edit: str
    interval: tuple[int | None, int | None]
    latency: tuple[int | None, int | None]
    clock_mhz: tuple[float, float]
    promise: str = ""
    units: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    schedule: Schedule | None = field(default=None, repr=False, compare=False)
    iteration: tuple[int | None, int | None] = (None, None)
    cost: Cost | None = None

    def __str__(self) -> str:
        place = f" ({self.loc.short})" if self.loc else ""
        lines = [f"{self.loop}{place}: {self.limit}", f"  {self.edit}", f"  {self._effect()}"]
        return "\n".join([*lines, f"  if {self.promise}"] if self.promise else lines)

    def _effect(self) -> str:
        parts = []
        if self.interval != (None, None):
            before, after = (str(ii) if ii else "-" for ii in self.interval)
            parts.append(f"II {before} -> {after}")
        long, short = self.iteration
        if long != short:
            parts.append(f"{long} -> {short} cycles an iteration")
        if self.latency != (None, None):
            before, after = (f"{n:,}" if n else "-" for n in self.latency)
            parts.append(f"{before} -> {after} cycles")
        if self.clock_mhz[0] != self.clock_mhz[1]:
            parts.append(f"{self.clock_mhz[0]:g} -> {self.clock_mhz[1]:g} MHz")
        parts += [f"{name}: {a} -> {b}" for name, (a, b) in self.units.items()]
        return ", ".join(parts)


@dataclass(frozen=True)
class Tried:
    """A change that helps.

    Attributes:
        edit, trial: the change, and what is built with it.
        after: the loop it is for.
        cost: what it asks and adds.
    """

    edit: Edit
    trial: Trial
    after: LoopReport
    cost: Cost


def best_of(base: Trial, loop: LoopReport, found: Iterable[Family]) -> Advice | None:
    """The best change of the first family of which one helps."""
    for family in found:
        if helpful := list(_helpful(base, loop, family)):
            return _advice(base, loop, best(helpful))
    return None


def best(helpful: Sequence[Tried]) -> Tried:
    """Of the changes that are as fast as can be, but for a fiftieth, the cheapest."""
    least = min(x.trial.microseconds for x in helpful)
    fast = [x for x in helpful if x.trial.microseconds <= least * _ALIKE]
    return min(fast, key=lambda x: (x.cost, x.trial.microseconds))


def _helpful(base: Trial, loop: LoopReport, family: Family) -> Iterator[Tried]:
    """The changes of a family that help; where one cannot be outdone, only cheaper ones after."""
    least, most = None, goal(base, area=family.area)
    for edit in family.edits:
        if least is not None and not _may_be_cheaper(base, edit, least):
            continue
        if family.alone and not may_help(base, loop, edit, most):
            continue
        trial = base.tried(edit)
        after = trial.loop(loop.func, edit.loop, edit.loc) if trial else None
        if trial is None or after is None or not helps(base, loop, trial, after, family.area):
            continue
        if family.alone and not _is_shorter(base, loop, trial, after):
            continue  # what it brings is for another loop, and told there
        if family.area and not has_room(base.design, trial.design):
            continue
        found = Tried(edit, trial, after, cost(edit, base.design, trial.design))
        if not found.cost.is_small and not helps(base, loop, trial, after, area=True):
            continue
        most = min(most, trial.microseconds * base.design.clock_mhz * _ALIKE)
        if after.ii == 1 and not family.area:
            least = min(least or found.cost, found.cost)
        yield found


def _may_be_cheaper(base: Trial, edit: Edit, least: Cost) -> bool:
    """Whether a change asks for less, or may do with fewer multipliers or memories."""
    coarse = replace(least, units=0, registers=0)
    if Cost(asked(edit)) >= coarse:
        return False
    bound = costs_at_least(base, edit)
    return bound is not None and bound < coarse


def helps(
    base: Trial, loop: LoopReport, trial: Trial, after: LoopReport, area: bool
) -> bool:
    """Whether the kernel takes less time.

    Where data decide about that the loop has to take less, and the kernel, as far as can be
    supposed, no more: of processes that run at once another may be the slowest.
    """
    most = base.microseconds * (CHEAP_AREA if area else 1.0)
    if base.latency is not None and trial.latency is not None:
        return trial.microseconds < most
    return _starts_sooner(base, loop, trial, after) and trial.microseconds <= most


def _is_shorter(base: Trial, loop: LoopReport, trial: Trial, after: LoopReport) -> bool:
    """Whether a loop takes less time than before, as far as that is known."""
    old, new = spent(base, loop), spent(trial, after)
    if old is None or new is None:
        return True
    return new / trial.design.clock_mhz < old / base.design.clock_mhz


def _starts_sooner(base: Trial, loop: LoopReport, trial: Trial, after: LoopReport) -> bool:
    """Whether an iteration follows the one before sooner, or is the first to overlap with it."""
    before_us, after_us = _rate(base, loop), _rate(trial, after)
    if before_us is None:  # its iterations wait for streams or loops
        return loop.ii is None and after.ii is not None
    return after_us is not None and after_us < before_us


def _rate(trial: Trial, loop: LoopReport) -> float | None:
    """Microseconds from an iteration to the next."""
    cycles = loop.ii or loop.depth
    return None if cycles is None else cycles / trial.design.clock_mhz


def _advice(base: Trial, loop: LoopReport, told: Tried) -> Advice:
    edit, trial, after = told.edit, told.trial, told.after
    text = edit.text(base.schedule, base.design)
    follow = loop.ii is None and after.ii is None
    return Advice(
        f"{loop.func}:{innermost(loop)}", loop.loc, loop.limit, text,
        (loop.ii, after.ii), (base.latency, trial.latency),
        (base.design.clock_mhz, trial.design.clock_mhz), edit.promise,
        _changed(units_of(base.design), units_of(trial.design)), trial.schedule,
        (loop.depth, after.depth) if follow else (None, None), told.cost,
    )  # fmt: skip


def units_of(design: Design) -> Counter[str]:
    """How many units of each name that can be limited a design has."""
    return sum((f.units for f in design.functions), Counter())


def _changed(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    names = [*before, *(n for n in after if n not in before)]
    pairs = {n: (before.get(n, 0), after.get(n, 0)) for n in names}
    return {n: pair for n, pair in sorted(pairs.items()) if pair[0] != pair[1]}
