"""Against recurrences: other orders of the loops, sums in turn, promises, a slower clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allo_rtl.advice.edits import Call, Edit
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.errors import AlloError
from allo_rtl.hls.report import LoopReport
from allo_rtl.ir.dependence import accesses
from allo_rtl.ir.ops import For, Store
from allo_rtl.schedule.loops import enclosing_perfect_nest, find_loop

_ROUNDING = "sums that are rounded in another order are as good"

_CLOCKS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Slower clocks that are tried, as parts of the one asked for."""


def orders(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """Another loop of the nest innermost, in place of the step that pipelined this one."""
    axis, step = base.axis(loop), base.pipelining(loop)
    if step is None:
        return
    nest = nest_around(base, step, axis)
    for given, promise in (({}, ""), ({"reassociate": True}, _ROUNDING)):
        for other in reversed(nest):
            outer = axis.removesuffix(innermost(loop)) + other.name
            old = base.schedule.history()[step]
            calls = (
                Call("reorder", (axis, outer), given),
                Call("pipeline", (outer,), old.kwargs),
            )
            yield Edit(calls, other.name, other.loc, instead=(step,), promise=promise)


def partial_sums(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """Sums in turn: as many as an iteration waits cycles for the sum of the one before, or half."""
    axis, step = base.axis(loop), base.pipelining(loop)
    if step is None or loop.ii is None:
        return
    old = base.schedule.history()[step]
    for given, promise in (({}, ""), ({"reassociate": True}, _ROUNDING)):
        for count in dict.fromkeys([loop.ii, -(-loop.ii // 2)]):
            if count > 1:
                calls = (
                    Call("partial_sums", (axis, count), given),
                    Call("pipeline", (f"{axis}.inner",), old.kwargs),
                )
                name = f"{innermost(loop)}.inner"
                yield Edit(calls, name, loop.loc, instead=(step,), promise=promise)


def nest_around(base: Trial, step: int, axis: str) -> Sequence[For]:
    """The loops around a loop, before it was pipelined, that it can change places with."""
    try:
        place = find_loop(base.schedule.history()[step].before, axis)
    except AlloError:
        return ()
    around = enclosing_perfect_nest(place)
    return [x for x in around if x.name != place.loop.name and x in place.nest]


def promises(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """That iterations are independent in an array which data choose the cells of."""
    name = innermost(loop)
    piece = base.pipelined(loop.func, name, loop.loc)
    if piece is None:
        return
    scattered = {a.array for a in accesses((piece.counters[0].loop,)) if not a.affine}
    made = [n.access for n in piece.region.nodes()]
    for array in dict.fromkeys(a.array for a in made if isinstance(a, Store)):
        if not array.name or array not in scattered:
            continue  # where counters choose the cells, it is known which iterations meet
        axis = base.axis(loop)
        call = Call("assume_independent", (base.array(loop, array.name), axis))
        promise = f"no two iterations of {name} touch the same cell of {array.name}"
        yield Edit((call,), name, loop.loc, promise=promise)


def clocks(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """Slower clocks with which the recurrence takes less time."""
    for part in _CLOCKS:
        clock = round(base.design.clock_mhz * part, 3)
        yield Edit((), innermost(loop), loop.loc, clock_mhz=clock)
