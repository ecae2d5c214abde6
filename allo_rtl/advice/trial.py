"""A schedule as it is built, changes of it, and whether they help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allo_rtl.advice.room import has_room
from allo_rtl.errors import AlloError, SourceLoc
from allo_rtl.hls.control import Pipelined, flatten, regions
from allo_rtl.hls.depths import choose_depths, run_cycles
from allo_rtl.hls.design import Design, build_design
from allo_rtl.hls.node import Node
from allo_rtl.hls.report import LoopReport
from allo_rtl.hls.report_builder import loop_reports
from allo_rtl.ir.ops import Value
from allo_rtl.ir.rewrite import loops
from allo_rtl.schedule.loops import find_loop
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.schedule.state import call_text
from allo_rtl.target import Device

_WORK = 10_000
"""Operations that are scheduled for the trials of one kernel, about."""

_CHEAP_AREA = 0.95
"""Part of a kernel's time that is left at most where a change costs area, for it to be told."""


@dataclass(frozen=True)
class Call:
    """A primitive with its arguments."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"s.{call_text(self.name, self.args, self.kwargs)}"


@dataclass(frozen=True)
class Edit:
    """A change of a schedule.

    Attributes:
        calls: primitives to apply: at the end, or in place of the first of the steps ``instead``.
        loop, loc: name and place of the loop that is pipelined with it.
        instead: numbers of steps of the history that are left out, in order.
        clock_mhz: another clock to build for, None for the same.
        units: other numbers of units to build with.
        promise: what has to be true for the result to be right, "" where it is checked.
    """

    calls: tuple[Call, ...]
    loop: str
    loc: SourceLoc | None
    instead: tuple[int, ...] = ()
    clock_mhz: float | None = None
    units: Mapping[str, int] = field(default_factory=dict)
    promise: str = ""

    def text(self, schedule: Schedule) -> str:
        """What to write in a schedule for the primitives."""
        text = "; ".join(map(str, self.calls))
        if not self.instead:
            return text
        steps = schedule.history()
        old = " and ".join(f"s.{steps[n]}" for n in self.instead)
        return f"in place of {old}: {text}"


@dataclass(frozen=True)
class Family:
    """Changes of one kind, of which the best is told.

    Attributes:
        edits: the changes, the cheapest first; of equally good ones that is taken.
        area: whether they cost multipliers, memories or copies of the logic: these are told only
            where they save a good part of the kernel's time, and where the device has room.
    """

    edits: Iterable[Edit]
    area: bool = False


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

    def __str__(self) -> str:
        place = f" ({self.loc.short})" if self.loc else ""
        lines = [f"{self.loop}{place}: {self.limit}", f"  {self.edit}", f"  {self._effect()}"]
        return "\n".join([*lines, f"  if {self.promise}"] if self.promise else lines)

    def _effect(self) -> str:
        parts = []
        if self.interval != (None, None):
            before, after = (str(ii) if ii else "-" for ii in self.interval)
            parts.append(f"II {before} -> {after}")
        if self.latency != (None, None):
            before, after = (f"{n:,}" if n else "-" for n in self.latency)
            parts.append(f"{before} -> {after} cycles")
        if self.clock_mhz[0] != self.clock_mhz[1]:
            parts.append(f"{self.clock_mhz[0]:g} -> {self.clock_mhz[1]:g} MHz")
        parts += [f"{name}: {a} -> {b}" for name, (a, b) in self.units.items()]
        return ", ".join(parts)


class Effort:
    """What was tried of a kernel, with the operations scheduled for it, so that there is an end.

    Attributes:
        known: trials by the changes they are of.
    """

    def __init__(self, most: int = _WORK) -> None:
        self._left = most
        self.known: dict[str, Trial | None] = {}

    def spend(self, design: Design) -> None:
        """Count the operations of a design."""
        self._left -= sum(
            len(piece.region.nodes())
            for function in design.functions
            for piece in regions(function.control.body)
        )

    @property
    def is_spent(self) -> bool:
        """Whether no more is to be tried."""
        return self._left <= 0


@dataclass(frozen=True)
class Trial:
    """A schedule, scheduled."""

    schedule: Schedule
    design: Design
    loops: tuple[LoopReport, ...]
    latency: int | None
    effort: Effort

    @staticmethod
    def of(
        schedule: Schedule,
        device: Device,
        clock_mhz: float,
        units: Mapping[str, int],
        effort: Effort,
    ) -> Trial:
        """What a schedule is built as.

        Raises BuildError when it cannot be built.
        """
        design = choose_depths(build_design(schedule.module, device, clock_mhz, limits=units))
        effort.spend(design)
        return Trial(schedule, design, loop_reports(design), run_cycles(design), effort)

    def loop(self, func: str, name: str, loc: SourceLoc | None) -> LoopReport | None:
        """The loop whose innermost counter has a name, of several the one at a place."""
        found = [x for x in self.loops if x.func == func and innermost(x) == name]
        if len(found) > 1:
            found = [x for x in found if x.loc == loc]
        return found[0] if len(found) == 1 else None

    def tried(self, edit: Edit) -> Trial | None:
        """The trial with a change; None where the change is refused, or enough was tried."""
        key = repr(edit)
        if key not in self.effort.known:
            self.effort.known[key] = None if self.effort.is_spent else self._tried(edit)
        return self.effort.known[key]

    def _tried(self, edit: Edit) -> Trial | None:
        clock = edit.clock_mhz or self.design.clock_mhz
        try:
            changed = applied(self.schedule, edit)
            units = {**self.design.limits, **edit.units}
            return Trial.of(changed, self.design.device, clock, units, self.effort)
        except (AlloError, TypeError):
            self.effort.spend(self.design)  # what is refused late costs about as much
            return None

    def dual(self, func: str) -> frozenset[Value]:
        """The arrays of a function whose memories have two ports."""
        storage = self.design.function(func).control.storage
        return frozenset(array for array, kept in storage.items() if kept.dual)

    @property
    def microseconds(self) -> float | None:
        """How long a run takes; None where that depends on data."""
        return None if self.latency is None else self.latency / self.design.clock_mhz

    def nodes(self, func: str, name: str, loc: SourceLoc | None) -> Sequence[Node]:
        """The operations of a pipelined loop."""
        piece = self.pipelined(func, name, loc)
        return piece.region.nodes() if piece else ()

    def pipelined(self, func: str, name: str, loc: SourceLoc | None) -> Pipelined | None:
        """A pipelined loop as it was scheduled; None where it is not clear which is meant."""
        controls = flatten(self.design.function(func).control.body)
        found = [c for c in controls if isinstance(c, Pipelined) and c.loop.name == name]
        if len(found) > 1:
            found = [c for c in found if c.loop.loc == loc]
        return found[0] if len(found) == 1 else None

    def name(self, func: str, name: str) -> str:
        """What primitives call a loop or an array of a function."""
        return name if func == self.schedule.top_func_name else f"{func}:{name}"

    def home(self, loop: LoopReport) -> str | None:
        """The function of the schedule that a loop is in; None where it is not in its text.

        A task of the hardware is a loop nest of the function that it was made of.
        """
        funcs = self.schedule.module.funcs
        found = [f.name for f in funcs if f.name == loop.func] or [
            f.name for f in funcs if any(x.loc == loop.loc for x in loops(f.body))
        ]
        return found[0] if found else None

    def axis(self, loop: LoopReport) -> str:
        """What primitives call a loop."""
        return self.axis_of(self.home(loop) or loop.func, innermost(loop), loop.loc)

    def is_known(self, loop: LoopReport) -> bool:
        """Whether primitives can be given a loop: it is one of the schedule's text."""
        try:
            find_loop(self.schedule.module, self.axis(loop))
        except AlloError:
            return False
        return True

    def array(self, loop: LoopReport, name: str) -> str:
        """What primitives call an array of the function that a loop is in."""
        return self.name(self.home(loop) or loop.func, name)

    def axis_of(self, func: str, name: str, loc: SourceLoc | None) -> str:
        """What primitives call a loop: with its band where several have one of this name."""
        handles = [
            handle
            for _, band in self.schedule.get_loops(func)
            for _, handle in band
            if handle.loop == name
        ]
        if len(set(handles)) > 1:
            module = self.schedule.module
            handles = [h for h in handles if find_loop(module, h).loop.loc == loc]
            name = f"{handles[0].band}.{name}" if handles else name
        return self.name(func, name)

    def pipelining(self, loop: LoopReport) -> int | None:
        """The number of the step that pipelined a loop; None when no step did."""
        name = innermost(loop)
        for number, step in reversed(list(enumerate(self.schedule.history()))):
            if step.name == "pipeline":
                place = find_loop(step.before, step.args[0])
                found = place.func.name, place.loop.name, place.loop.loc
                if found == (self.home(loop), name, loop.loc):
                    return number
        return None


def innermost(loop: LoopReport) -> str:
    """The name of a loop, of a flattened nest that of the innermost."""
    return loop.name.rpartition(", ")[2]


def applied(schedule: Schedule, edit: Edit) -> Schedule:
    """A copy of the schedule with a change.

    Raises AlloError where a primitive refuses it, or one that follows the change does.
    """
    steps = schedule.history()
    first = edit.instead[0] if edit.instead else len(steps)
    changed = schedule.copy()
    while len(changed.history()) > first:
        changed.undo()
    for call in edit.calls:
        getattr(changed, call.name)(*call.args, **call.kwargs)
    for number, step in enumerate(steps[first:], first):
        if number not in edit.instead:
            getattr(changed, step.name)(*step.args, **step.kwargs)
    return changed


def best_of(base: Trial, loop: LoopReport, found: Iterator[Family]) -> Advice | None:
    """The best change of the first family of which one helps."""
    for family in found:
        best: tuple[tuple[float, float], Edit, Trial] | None = None
        for edit in family.edits:
            trial = base.tried(edit)
            after = trial.loop(loop.func, edit.loop, edit.loc) if trial else None
            if trial is None or after is None or not helps(base, loop, trial, after, family.area):
                continue
            if family.area and not has_room(base.design, trial.design):
                continue
            # Shorter intervals first: of what is as short, the cheapest.
            rank = (0.0, trial.microseconds or 0.0) if family.area else (float(after.ii or 0), 0.0)
            if best is None or rank < best[0]:
                best = rank, edit, trial
            if after.ii == 1 and not family.area:
                break
        if best is not None:
            return _advice(base, loop, best[1], best[2])
    return None


def helps(base: Trial, loop: LoopReport, trial: Trial, after: LoopReport, area: bool) -> bool:
    """Whether the kernel takes less time; where that is not known, the loop."""
    before_us, after_us = base.microseconds, trial.microseconds
    if before_us is not None and after_us is not None:
        return after_us < before_us * (_CHEAP_AREA if area else 1.0)
    if trial.design.clock_mhz != base.design.clock_mhz or after.ii is None:
        return False
    if loop.latency is not None and after.latency is not None:
        return after.latency < loop.latency * (_CHEAP_AREA if area else 1.0)
    return not area and (loop.ii is None or after.ii < loop.ii)


def _advice(base: Trial, loop: LoopReport, edit: Edit, trial: Trial) -> Advice:
    text = edit.text(base.schedule)
    if edit.clock_mhz is not None:
        text = f's.build(target="rtl", clock_mhz={edit.clock_mhz:g})'
    if edit.units:
        text = f's.build(target="rtl", units={dict(trial.design.limits)})'
    after = trial.loop(loop.func, edit.loop, edit.loc)
    return Advice(
        f"{loop.func}:{innermost(loop)}", loop.loc, loop.limit, text,
        (loop.ii, after.ii if after else None), (base.latency, trial.latency),
        (base.design.clock_mhz, trial.design.clock_mhz), edit.promise,
        _changed(units_of(base.design), units_of(trial.design)), trial.schedule,
    )  # fmt: skip


def units_of(design: Design) -> Counter[str]:
    """How many units of each name that can be limited a design has."""
    return sum((f.units for f in design.functions), Counter())


def _changed(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    names = [*before, *(n for n in after if n not in before)]
    pairs = {n: (before.get(n, 0), after.get(n, 0)) for n in names}
    return {n: pair for n, pair in sorted(pairs.items()) if pair[0] != pair[1]}
