"""The fastest schedule of a region, of those with each of the ways to build its products.

One lane is scheduled for all that are alike; where that breaks a rule, all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from allo_rtl.errors import BuildError
from allo_rtl.hls.accessed import stable_reads
from allo_rtl.hls.dependences import carried_edges
from allo_rtl.hls.lanes import Lanes, fold
from allo_rtl.hls.modulo import PipelineResult, pipeline
from allo_rtl.hls.node import Bank
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Problem
from allo_rtl.hls.operators import Operators
from allo_rtl.hls.placement import schedule
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import shapes
from allo_rtl.ir.ops import For, Value


def ways(
    region: Region, edges: Sequence[Edge], operators: Operators,
    inputs: Callable[[Bank], int] = lambda _: 1, dual: frozenset[Value] = frozenset(),
) -> Iterator[Problem]:
    """What is to be scheduled, with each of the ways to build a region's products.

    Args:
        region: the operations.
        edges: between them, but for words that are carried.
        operators: the first way.
        inputs, dual: how many accesses share a bank's port, and the arrays with two ports.
    """
    nodes = region.nodes()
    sizes = shapes(nodes, region.results)
    for way in operators.variants(nodes, sizes):
        carried = carried_edges(region.carried, partial(way.unit, shapes=sizes))
        yield Problem(
            nodes, [*edges, *carried], sizes, way, inputs, stable_reads(nodes),
            frozenset(region.outputs.values()), dual, way.sharing.limits,
        )  # fmt: skip


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
