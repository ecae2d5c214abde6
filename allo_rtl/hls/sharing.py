"""Units that several operations of a function use in turn.

The regions of a function that follow each other never run at the same time, and a region knows in
which of its cycles an operation takes its operands: operations of one kind on operands of the same
widths in different regions, or in different cycles of one, can have one unit.  Those are wide
integer multipliers, dividers, and the large floating-point units.  Shared units have a register
inside, so that no path leads from one user's operands to another user's results: neither loops of
logic nor paths that are never used come about.

A shared divider makes its bits in turn where every loop that uses it leaves it the time, and keeps
its operands for as long; else it is a pipeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf

from allo_rtl.hls.control import (
    Branch,
    Control,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
)
from allo_rtl.hls.node import FloatSpec, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.operators import (
    Division,
    Job,
    Product,
    Sharing,
    Unit,
    job_of,
    product_of,
    unit_name,
)
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import Shape

_MOST_FLOATS = 8
"""Operations that share a floating-point unit: for more, choosing operands costs as much."""


MUCH_WIDER = 4 / 3
"""Divisions share dividers, unless limited, with others that have so many times their bits."""


@dataclass(frozen=True)
class SharedUnit:
    """One unit: what it does, how it is built, and its number among equals."""

    job: Job
    unit: Unit
    number: int


type Piece = tuple[Sequence[Node], Mapping[Node, Shape], int | None]
"""Of a region its nodes, their shapes, and of a pipelined loop the initiation interval, in each
cycle of which an operation may be needed; else None."""


def worth_sharing(
    pieces: Sequence[Piece], is_costly: Callable[[Job], bool], busy: Callable[[Job], int]
) -> Sharing:
    """The units that several operations can share at no cost but the choice of operands.

    Args:
        pieces: all regions of a function.
        is_costly: whether a job's unit is worth sharing.
        busy: for how many cycles a unit that makes its bits in turn has one pair of operands.
    """
    wider = _wider([j for j in _divisions(pieces) if is_costly(j)], MUCH_WIDER)
    plain = Sharing(wider=wider)
    jobs = ((plain.job(n, shapes) for n in nodes) for nodes, shapes, _ in pieces)
    users = [
        (Counter(j for j in here if j is not None and is_costly(j)), ii)
        for here, (_, _, ii) in zip(jobs, pieces, strict=True)
    ]
    operations, turns = Counter[Job](), Counter[Job]()
    slow = _slow(users, {}, busy)
    for here, ii in users:
        operations += here
        turns += Counter({
            job: min(n, ii // (busy(job) if job in slow else 1)) if ii else n
            for job, n in here.items()
        })
    most = {
        job: min(n, _MOST_FLOATS) if isinstance(job, FloatSpec) else operations[job]
        for job, n in turns.items()
        if n > 1
    }
    return Sharing(most, wider=_used(wider, most), in_turn=slow & most.keys())


def _divisions(pieces: Iterable[Piece]) -> list[Division]:
    """What is divided in a function, each once."""
    jobs = (job_of(n, shapes) for nodes, shapes, _ in pieces for n in nodes)
    return list(dict.fromkeys(job for job in jobs if isinstance(job, Division)))


def _wider(divisions: Sequence[Division], factor: float) -> dict[Division, Division]:
    """What each division is made as: none with more than ``factor`` times its bits."""
    found: dict[Division, Division] = {}
    waiting = sorted(divisions, key=lambda d: -d.width)
    while waiting:
        near = [d for d in waiting if d.width * factor >= waiting[0].width]
        found |= dict.fromkeys(near, _any_division(near))
        waiting = waiting[len(near) :]
    return found


def _used(
    wider: Mapping[Division, Division], most: Mapping[Job, int]
) -> dict[Division, Division]:
    return {job: joint for job, joint in wider.items() if joint in most and joint != job}


def _slow(
    users: Iterable[tuple[Mapping[Job, int], int | None]], most: Mapping[Job, int],
    busy: Callable[[Job], int],
) -> frozenset[Job]:
    """The divisions for which units that make their bits in turn are fast enough.

    Args:
        users: of each region how many operations of each job it has, and its interval.
        most: how many units there may be of a job; as many as there are users unless given.
        busy: for how many cycles such a unit has one pair of operands.
    """
    found, fast = set[Job](), set[Job]()
    for here, ii in users:
        for job, n in here.items():
            if isinstance(job, Division):
                rounds = -(-n // most.get(job, n))
                (fast if ii and ii < rounds * busy(job) else found).add(job)
    return frozenset(found - fast)


def limited(
    pieces: Sequence[Piece], usual: Sharing, limits: Mapping[str, int], over: Iterable[str],
    busy: Callable[[Job], int],
) -> Sharing:
    """The units of a function that keeps the user's limits.

    Args:
        pieces: all regions of a function.
        usual: what is shared anyway.
        limits: how many units there may be of each name.
        over: the names of which there would be more: each is shared by as many operations as
            need one.  Multipliers are all made wide enough for every product then, and dividers.
        busy: for how many cycles a unit that makes its bits in turn has one pair of operands.
    """
    names, product, wider = set(over), None, usual.wider
    if "mul" in names:
        product = any_product([
            product_of(n, shapes) for nodes, shapes, _ in pieces for n in nodes
            if n.kind is Kind.MUL
        ])  # fmt: skip
    if "div" in names:
        wider = _wider(_divisions(pieces), inf)
    sharing = Sharing(usual.most, {}, product, wider)
    jobs = [(Counter(sharing.job(n, s) for n in nodes), ii) for nodes, s, ii in pieces]
    here = [
        ({j: n for j, n in count.items() if j is not None and unit_name(j) in names}, ii)
        for count, ii in jobs
    ]
    users = sum((Counter(count) for count, _ in here), Counter[Job]())
    most = {job: n for job, n in usual.most.items() if unit_name(job) not in names}
    allowed = {job: limits[unit_name(job)] for job in users}
    in_turn = _slow(here, allowed, busy) | (usual.in_turn & most.keys())
    return Sharing({**most, **users}, allowed, product, wider, in_turn)


def any_product(products: Sequence[Product]) -> Product:
    """A product of which all others are special cases."""
    result = max(result for _, _, result in products)
    sides = [a for a, _, _ in products], [b for _, b, _ in products]
    left, right = (_joined(side, result) for side in sides)
    return left, right, result


def _any_division(divisions: Sequence[Division]) -> Division:
    """A division of which all others are special cases."""
    sides = [d.left for d in divisions], [d.right for d in divisions]
    return Division(*(_joined(side, max(s.width for s in side) + 2) for side in sides))


def _joined(shapes: Sequence[Shape], bits: int) -> Shape:
    """The narrowest shape for the numbers of all shapes, of which the low ``bits`` count."""
    signed = any(s.signed for s in shapes)
    width = max(s.width + (signed and not s.signed) for s in shapes)
    return Shape(width, signed) if width < bits else Shape(bits, False)


def units_by_name(
    nodes: Iterable[Node], schedules: Iterable[OpSchedule], shared: Mapping[Node, SharedUnit]
) -> Counter[str]:
    """How many units a function has of what limits are about."""
    all_shapes: dict[Node, Shape] = {}
    for timed in schedules:
        all_shapes |= timed.shapes
    count = Counter(unit_name(unit.job) for unit in set(shared.values()))
    for node in nodes:
        if node in shared:
            continue
        if node.kind is Kind.MUL:
            count["mul"] += 1  # also by a constant
        elif (job := job_of(node, all_shapes)) is not None:
            count[unit_name(job)] += 1
    return count


def assign(
    controls: Sequence[Control], schedules: Mapping[Region, OpSchedule], sharing: Sharing
) -> Mapping[Node, SharedUnit]:
    """The unit of every operation that shares one.

    In each region an operation takes the first unit that no other one has in its cycles (modulo
    the initiation interval), and that has not as many users yet as ``sharing`` says.  What runs at
    once has units of its own.
    """
    assigner = _Assigner(schedules, sharing)
    assigner.sequence(controls, Counter())
    return assigner.found


class _Assigner:
    """Walks a control tree; ``taken`` is how many units of each job may run at the same time."""

    def __init__(self, schedules: Mapping[Region, OpSchedule], sharing: Sharing) -> None:
        self.found: dict[Node, SharedUnit] = {}
        self._schedules = schedules
        self._sharing = sharing
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
            ii = schedule.ii
            cycles = {t % ii if ii else t for t in range(start, start + unit.busy)}
            job = self._sharing.job(node, schedule.shapes)
            assert job is not None
            choices = (SharedUnit(job, unit, number) for number in count(taken[job]))
            chosen = next(
                c for c in choices
                if self._users[c] < self._sharing.most[job]
                and not any((c, t) in busy for t in cycles)
            )
            self.found[node] = chosen
            busy |= {(chosen, t) for t in cycles}
            self._users[chosen] += 1
            reach[job] = max(reach[job], chosen.number + 1)
        return reach
