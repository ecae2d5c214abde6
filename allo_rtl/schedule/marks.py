"""The primitives that mark a loop for hardware: unroll, pipeline, parallel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.dependence import before
from allo_rtl.ir.ops import Block, For, Func, LoopAttrs, Module, Op, Store, Value
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.rewrite import map_block, replace_func, walk
from allo_rtl.schedule.legality import find_violation, illegal, owned_arrays
from allo_rtl.schedule.loop_transforms import is_count
from allo_rtl.schedule.loops import Place, replace_loop


def check_unroll(place: Place, factor: object) -> None:
    """Raise ScheduleError unless the loop can have ``factor`` copies of its body (0: all)."""
    loop, trips = place.loop, place.loop.trip_count
    if trips is None:
        _check_copies(place, factor)
        return
    if not is_count(factor) or not 0 <= factor <= trips:
        raise ScheduleError(
            f"the factor of unroll is {factor!r}, and loop {loop.name!r} has {trips} iterations",
            loc=loop.loc,
            allowed=f"a number of copies from 1 to {trips}, or 0 for all",
        )
    if factor and trips % factor:
        divisors = [str(n) for n in range(1, trips + 1) if trips % n == 0]
        raise ScheduleError(
            f"the factor of unroll is {factor}, which does not divide the {trips} iterations of "
            f"loop {loop.name!r}",
            loc=loop.loc,
            allowed=f"0, {', '.join(divisors)}",
            hint=f"split the loop by {factor} and unroll the inner one",
        )


def _check_copies(place: Place, factor: object) -> None:
    """Copies of a loop whose number of iterations varies: each has a guard.

    All of them can be made where the loops around say how many there are at most.
    """
    loop = place.loop
    if not is_count(factor) or factor < 0:
        raise ScheduleError(
            f"the factor of unroll is {factor!r}", loc=loop.loc, allowed="a number of copies"
        )
    if factor == 0 and not _has_greatest_trip(loop, _bounded(place.nest[:-1], set())):
        raise ScheduleError(
            f"unroll needs a greatest number of iterations, which loop {loop.name!r} has not",
            loc=loop.loc,
            hint="a factor makes that many copies, each of which runs if its turn comes",
        )


def check_pipeline(place: Place, initiation_interval: object, required: bool) -> None:
    """Raise ScheduleError unless the loop can be pipelined.

    ``required`` says that the user named the interval: a loop with loops inside whose numbers of
    iterations depend on data cannot have it, while without one its iterations may follow each
    other.
    """
    loop = place.loop
    if not is_count(initiation_interval) or initiation_interval < 1:
        raise ScheduleError(
            f"the initiation interval of loop {loop.name!r} is {initiation_interval!r}",
            loc=loop.loc,
            allowed="a number of cycles, 1 or more",
        )
    for outer in place.nest[:-1]:
        if outer.attrs.pipeline_ii is not None:
            raise _nested(outer, loop)
    for inner in all_loops(loop.body):
        if inner.attrs.pipeline_ii is not None:
            raise _nested(loop, inner)
    _check_not_unrolled(loop)
    if required:
        _check_unrollable(loop, _bounded(place.nest[:-1], set()))


def _nested(outer: For, inner: For) -> ScheduleError:
    return ScheduleError(
        f"loop {inner.name!r} is inside loop {outer.name!r}; only one of them can be pipelined, "
        "because the loops inside a pipeline are fully unrolled",
        loc=inner.loc,
        hint="undo() the other pipeline first",
    )


def _bounded(nest: Iterable[For], counters: set[Value]) -> set[Value]:
    """``counters`` and those of the loops whose bounds are constant or affine in them."""
    for loop in nest:
        if all(e.values <= counters for e in (*loop.lower, *loop.upper)):
            counters = counters | {loop.iv}
    return counters


def _has_greatest_trip(loop: For, counters: set[Value]) -> bool:
    """Whether the counters with known ranges bound the number of iterations."""
    return len(loop.lower) == 1 and any(
        (upper - loop.lower[0]).values <= counters for upper in loop.upper
    )


def _check_unrollable(loop: For, counters: set[Value]) -> None:
    """Everything inside a pipelined loop is fully unrolled, so it must have a greatest size.

    ``counters`` are those of the loops around whose ranges are known.
    """
    known = _bounded([loop, *all_loops(loop.body)], counters)
    for inner in all_loops(loop.body):
        if not _has_greatest_trip(inner, known):
            raise ScheduleError(
                f"loop {loop.name!r} cannot be pipelined: the loops inside it are fully unrolled, "
                f"and the number of iterations of loop {inner.name!r} depends on data",
                loc=inner.loc,
                hint=f"pipeline loop {inner.name!r} instead, or name no initiation_interval",
            )


def _check_not_unrolled(loop: For) -> None:
    if loop.attrs.unroll == 0:
        raise ScheduleError(
            f"loop {loop.name!r} is fully unrolled, so there is nothing left to pipeline",
            loc=loop.loc,
            hint="pipeline a loop around it: what is inside is unrolled",
        )


def check_marks(func: Func, before: Func | None = None) -> None:
    """Raise ScheduleError unless the loops of a function can be what they are marked as.

    What it shares with ``before``, an earlier version of it, has been checked already.
    """

    def visit(block: Block, pipelined: For | None, counters: set[Value]) -> None:
        for op in block:
            inner, known = pipelined, counters
            if isinstance(op, For):
                known = _bounded([op], counters)
                if op.attrs.pipeline_ii is not None:
                    if pipelined is not None:
                        raise _nested(pipelined, op)
                    _check_not_unrolled(op)
                    if op.attrs.ii_required:
                        _check_unrollable(op, counters)
                    inner = op
                if op.attrs.dataflow:
                    _check_tasks(op, inner)
            for region in op.regions():
                visit(region, inner, known)

    known = set(before.body) if before else set()
    visit(tuple(op for op in func.body if op not in known), None, set())


def _check_tasks(loop: For, pipelined: For | None) -> None:
    """Refuse tasks in a loop whose iterations are not one after the other in the first place."""
    if pipelined is None and loop.attrs.unroll is None:
        return
    outer = pipelined or loop
    how = "unrolled" if pipelined is None else "pipelined"
    raise ScheduleError(
        f"loop {outer.name!r} is {how}, so that there are no tasks in loop {loop.name!r}",
        loc=loop.loc,
        allowed="dataflow on a loop around those that are pipelined or unrolled",
    )


def check_parallel(module: Module, place: Place, primitive: str) -> None:
    """Raise IllegalScheduleError when an iteration of the loop needs another one's result."""
    found = find_violation(module, place, [place.loop], before, any_order_sums=False)
    if found:
        consequence = "iterations {source} and {sink} would run at once"
        raise illegal(primitive, consequence, found)


def apply_parallel(module: Module, place: Place) -> Module:
    """The module with the mark, and in the loop what each iteration has one of its own of."""
    loop = replace(place.loop, attrs=replace(place.loop.attrs, parallel=True))
    owned = owned_arrays(module, place)
    if not owned:
        return replace_loop(module, place.func, place.loop, loop)
    arrays = {op.result for op in owned}
    loop = replace(loop, body=(*owned, *loop.body))

    def visit(op: Op) -> Op | Block | None:
        if op is place.loop:
            return loop
        # What is stored outside is never read.
        dead = op in owned or (isinstance(op, Store) and op.array in arrays)
        return () if dead and op not in inside else None

    inside = set(walk(place.loop.body))
    return replace_func(module, replace(place.func, body=map_block(place.func.body, visit)))


def mark(module: Module, place: Place, attrs: LoopAttrs) -> Module:
    """The module with other attributes on one loop."""
    return replace_loop(module, place.func, place.loop, replace(place.loop, attrs=attrs))
