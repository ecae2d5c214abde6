"""The fastest schedule of a region, of those with each of the ways to build its products.

One lane is scheduled for all that are alike; where that breaks a rule, all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from allo_rtl.errors import BuildError
from allo_rtl.hls.lanes import Lanes, fold
from allo_rtl.hls.modulo import PipelineResult, pipeline
from allo_rtl.hls.op_schedule import OpSchedule, Problem
from allo_rtl.hls.placement import schedule
from allo_rtl.ir.ops import For


def straight(problems: Iterable[Problem]) -> tuple[Lanes, OpSchedule]:
    """The shortest schedule of a piece that runs once at a time."""
    return min(map(_straight, problems), key=lambda one: one[1].length)


def pipelined(
    problems: Iterable[Problem], loop: For, cycles: Callable[[OpSchedule], int]
) -> tuple[Lanes, PipelineResult]:
    """The schedule of a pipelined loop's body with the fewest ``cycles``.

    Raises BuildError when no way can be built as asked: that of the first one.
    """
    found: list[tuple[Lanes, PipelineResult]] = []
    refused: list[BuildError] = []
    for problem in problems:
        try:
            found.append(_pipelined(problem, loop))
        except BuildError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    return min(found, key=lambda one: cycles(one[1].schedule))


def _straight(problem: Problem) -> tuple[Lanes, OpSchedule]:
    lanes = fold(problem)
    one = schedule(lanes.one, None)
    assert one is not None
    found = lanes.spread(one) or schedule(lanes.whole, None)
    assert found is not None
    return lanes, found


def _pipelined(problem: Problem, loop: For) -> tuple[Lanes, PipelineResult]:
    lanes = fold(problem)
    result = pipeline(lanes.one, loop)
    found = lanes.spread(result.schedule)
    return lanes, replace(result, schedule=found) if found else pipeline(lanes.whole, loop)
