"""Units that several operations of a function use in turn.

The regions of a function that follow each other never run at the same time, and a region knows in
which of its cycles an operation takes its operands: operations of one kind on operands of the same
widths in different regions, or in different cycles of one, can have one unit.  Those are wide
integer multipliers and the large floating-point units.  Shared units have a register inside, so
that no path leads from one user's operands to another user's results: neither loops of logic nor
paths that are never used come about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from allo_rtl.hls.control import (
    Branch,
    Control,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
)
from allo_rtl.hls.node import FloatSpec, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.operators import Job, Unit, job_of
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import Shape

_MOST_FLOATS = 8
"""Operations that share a floating-point unit: for more, choosing operands costs as much."""


@dataclass(frozen=True)
class SharedUnit:
    """One unit: what it does, how it is built, and its number among equals."""

    job: Job
    unit: Unit
    number: int


def sharers(
    pieces: Iterable[tuple[Sequence[Node], Mapping[Node, Shape], int | None]],
    is_costly: Callable[[Job], bool],
) -> Mapping[Job, int]:
    """For each job that several operations can share a unit for: how many may share one.

    Args:
        pieces: of each region its nodes, their shapes, and of a pipelined loop the initiation
            interval, in each cycle of which an operation may be needed; else None.
        is_costly: whether a job's unit is worth sharing.
    """
    operations, turns = Counter[Job](), Counter[Job]()
    for nodes, shapes, interval in pieces:
        jobs = (job_of(n, shapes) for n in nodes)
        here = Counter(job for job in jobs if job is not None and is_costly(job))
        operations += here
        turns += Counter({job: min(n, interval or n) for job, n in here.items()})
    return {
        job: min(n, _MOST_FLOATS) if isinstance(job, FloatSpec) else operations[job]
        for job, n in turns.items()
        if n > 1
    }


def assign(
    controls: Sequence[Control], schedules: Mapping[Region, OpSchedule], most: Mapping[Job, int]
) -> Mapping[Node, SharedUnit]:
    """The unit of every operation that shares one.

    In each region an operation takes the first unit that no other one has in its cycle (modulo
    the initiation interval), and that has not as many users yet as ``most`` says.  What runs at
    once has units of its own.
    """
    assigner = _Assigner(schedules, most)
    assigner.sequence(controls, Counter())
    return assigner.found


class _Assigner:
    """Walks a control tree; ``taken`` is how many units of each job may run at the same time."""

    def __init__(self, schedules: Mapping[Region, OpSchedule], most: Mapping[Job, int]) -> None:
        self.found: dict[Node, SharedUnit] = {}
        self._schedules = schedules
        self._most = most
        self._users = Counter[SharedUnit]()

    def sequence(self, controls: Iterable[Control], taken: Counter[Job]) -> Counter[Job]:
        """Assign the units of controls one after the other; the numbers up to which they go."""
        reach = Counter(taken)
        for control in controls:
            match control:
                case Straight(region=region) | Pipelined(region=region):
                    reach |= self._region(region, taken)
                case Sequential(body=body):
                    reach |= self.sequence(body, taken)
                case Branch(then=then, orelse=orelse):
                    reach |= self.sequence(then, taken) | self.sequence(orelse, taken)
                case Repeat(before=before, body=body):
                    reach |= self.sequence(before, taken) | self.sequence(body, taken)
                case Together(branches=branches):
                    beside = taken
                    for branch in branches:
                        beside = self.sequence(branch, beside)
                    reach |= beside
        return reach

    def _region(self, region: Region, taken: Counter[Job]) -> Counter[Job]:
        schedule, reach = self._schedules[region], Counter(taken)
        busy: set[tuple[SharedUnit, int]] = set()
        for node in region.nodes():
            unit, start = schedule.units[node], schedule.start[node]
            if not unit.shared:
                continue
            cycle = start % schedule.ii if schedule.ii else start
            job = job_of(node, schedule.shapes)
            assert job is not None
            choices = (SharedUnit(job, unit, number) for number in count(taken[job]))
            chosen = next(
                c for c in choices
                if (c, cycle) not in busy and self._users[c] < self._most[job]
            )  # fmt: skip
            self.found[node] = chosen
            busy.add((chosen, cycle))
            self._users[chosen] += 1
            reach[job] = max(reach[job], chosen.number + 1)
        return reach
