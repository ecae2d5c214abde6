"""Copies of a loop's body side by side, with memories that keep them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from allo_rtl.advice.bounds import goal, is_enough, may_help, spent
from allo_rtl.advice.edits import Call, Edit
from allo_rtl.advice.ports import separated
from allo_rtl.advice.recurrences import nest_around
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.hls.report import LoopReport
from allo_rtl.schedule.loops import find_loop

_MOST_COPIES = 8
"""Copies that are tried; more come with the advice for the schedule that has these."""

_MOST_OPERATIONS = 1_000
"""Operations of a body with all its copies."""

_LEAST_GAIN = 0.9
"""Part of the time left with more copies, for these to be tried further."""


def copies(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """A loop unrolled by more and more, as long as that pays."""
    axis = base.axis(loop)
    found = find_loop(base.schedule.module, axis).loop
    if found.attrs.unroll is not None:
        return
    yield from _while_it_pays(
        base,
        loop,
        _factors(found.trip_count),
        lambda n: Edit((Call("unroll", (axis, n)),), found.name, loop.loc),
    )


def rows(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """Several iterations of a loop around in each of this one, where its own wait for each other.

    The loop around is split, and its inner part goes inside of this one, which is pipelined.
    """
    axis, step = base.axis(loop), base.pipelining(loop)
    if step is None:
        return
    nest = list(nest_around(base, step, axis))
    name = innermost(loop)
    old = base.schedule.history()[step]
    for at in reversed(range(len(nest))):
        other = nest[at]
        prefix = axis.removesuffix(name)
        inner = [prefix + x.name for x in nest[at + 1 :] if x.name != name]

        def edit(count: int, outer: str = prefix + other.name, inner: list[str] = inner) -> Edit:
            calls = (
                Call("split", (outer, count)),
                Call("reorder", (*inner, axis, f"{outer}.inner")),
                Call("pipeline", (axis,), old.kwargs),
            )
            return Edit(calls, name, loop.loc, instead=(step,))

        yield from _while_it_pays(base, loop, _factors(other.trip_count, whole=False), edit)


def _while_it_pays(
    base: Trial, loop: LoopReport, factors: list[int], edit: Callable[[int], Edit]
) -> Iterator[Edit]:
    """Changes for more and more copies, each with the partitions it needs, until one is no gain."""
    last, before, most = base.microseconds, spent(base, loop), goal(base, area=True)
    size = len(base.nodes(loop.func, innermost(loop), loop.loc))
    for count in factors:
        if size * count > _MOST_OPERATIONS:
            return
        if before and not is_enough(base, loop, before * (1 - 1 / count), most):
            continue
        changed = separated(base, loop, edit(count), loop.ii or 1, area=True)
        if not may_help(base, loop, changed, most):
            return
        yield changed
        trial = base.tried(changed)
        if trial is None or trial.microseconds > last * _LEAST_GAIN:
            return
        last = trial.microseconds


def _factors(trip: int | None, *, whole: bool = True) -> list[int]:
    """Numbers of copies of a loop with so many iterations; any where that number varies."""
    most = _MOST_COPIES if trip is None else min(_MOST_COPIES, trip if whole else trip - 1)
    return [n for n in range(2, most + 1) if trip is None or trip % n == 0]
