"""A schedule as it is built, and as it is with a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from allo_rtl.advice.edits import Edit, applied
from allo_rtl.advice.sketch import Sketch
from allo_rtl.advice.supposed import supposed_cycles
from allo_rtl.errors import AlloError, SourceLoc
from allo_rtl.hls.control import Pipelined, count_operations, flatten
from allo_rtl.hls.depths import choose_depths, run_cycles
from allo_rtl.hls.design import Design, build_design
from allo_rtl.hls.node import Node
from allo_rtl.hls.report import LoopReport
from allo_rtl.hls.report_builder import loop_reports
from allo_rtl.ir.ops import For, Func, Value, While
from allo_rtl.ir.rewrite import walk
from allo_rtl.schedule.loops import find_loop
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.target import Device

_WORK = 10_000
"""Operations that are scheduled for the trials of one kernel, about."""

_SKETCHES = 10
"""Sketches that take about as long as one schedule."""


class Effort:
    """What was tried of a kernel, with the operations scheduled for it, so that there is an end.

    Attributes:
        known: trials by the changes they are of.
        tried: the changes that could be made, with their trials.
        sketches: those that were only sketched.
        tell: is given a line for each change that is tried.
    """

    def __init__(self, tell: Callable[[str], None] = lambda _: None, most: int = _WORK) -> None:
        self._left = most
        self.tell = tell
        self.known: dict[str, Trial | None] = {}
        self.tried: list[tuple[Edit, Trial]] = []
        self.sketches: dict[str, Sketch | None] = {}

    def spend(self, operations: int) -> None:
        """Count operations that were scheduled."""
        self._left -= operations

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
        trial = Trial(schedule, design, loop_reports(design), run_cycles(design), effort)
        effort.spend(trial.operations)
        return trial

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
        text = edit.text(self.schedule, self.design)
        try:
            changed = applied(self.schedule, edit)
            units = {**self.design.limits, **edit.units}
            trial = Trial.of(changed, self.design.device, clock, units, self.effort)
        except (AlloError, TypeError):
            self.effort.spend(self.operations)  # what is refused late costs about as much
            self.effort.tell(f"refused: {text}")
            return None
        self.effort.tried.append((edit, trial))
        self.effort.tell(f"{trial.cycles:,} cycles: {text}")
        return trial

    def sketched(self, edit: Edit) -> Sketch | None:
        """The loops with a change, not scheduled; None as with :meth:`tried`."""
        key = repr(edit)
        if key not in self.effort.sketches:
            self.effort.sketches[key] = None if self.effort.is_spent else self._sketched(edit)
        return self.effort.sketches[key]

    def _sketched(self, edit: Edit) -> Sketch | None:
        clock = edit.clock_mhz or self.design.clock_mhz
        try:
            found = Sketch.of(applied(self.schedule, edit).module, self.design.device, clock)
        except (AlloError, TypeError):
            return None
        self.effort.spend(found.operations // _SKETCHES)
        return found

    @cached_property
    def operations(self) -> int:
        """How many operations were scheduled."""
        return count_operations(f.control for f in self.design.functions)

    @cached_property
    def cycles(self) -> int:
        """Cycles of a run; where that depends on data as :mod:`allo_rtl.advice.supposed` has it."""
        return supposed_cycles(self.design) if self.latency is None else self.latency

    def dual(self, func: str) -> frozenset[Value]:
        """The arrays of a function whose memories have two ports."""
        storage = self.design.function(func).control.storage
        return frozenset(array for array, kept in storage.items() if kept.dual)

    @property
    def microseconds(self) -> float:
        """How long a run takes, supposed where that depends on data."""
        return self.cycles / self.design.clock_mhz

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
            f.name for f in funcs if any(x.loc == loop.loc for x in _loops(f))
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


def _loops(func: Func) -> Iterator[For | While]:
    return (op for op in walk(func.body) if isinstance(op, For | While))


def innermost(loop: LoopReport) -> str:
    """The name of a loop, of a flattened nest that of the innermost."""
    return loop.name.rpartition(", ")[2]
