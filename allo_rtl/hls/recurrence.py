"""The smallest initiation interval that dependences between iterations allow.

A cycle of constraints that takes ``delay`` cycles over ``distance`` iterations needs an interval
of at least delay / distance.  The chains of :mod:`allo_rtl.hls.constraints` are among the
constraints, so that logic counts in whole cycles exactly where the clock makes it take them: with
ports for everybody, a schedule with the interval found exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.hls.constraints import data_edges, system
from allo_rtl.hls.node import Node
from allo_rtl.hls.op_schedule import Edge, Problem


@dataclass(frozen=True)
class Recurrence:
    """A cycle of constraints, each edge's sink the next one's source."""

    edges: tuple[Edge, ...]

    @property
    def delay(self) -> int:
        """Cycles around it."""
        return sum(e.delay for e in self.edges)

    @property
    def distance(self) -> int:
        """Iterations around it."""
        return sum(e.distance for e in self.edges)

    @property
    def interval(self) -> int:
        """The smallest initiation interval with it, in cycles."""
        return -(-self.delay // self.distance)


def recurrence_bound(problem: Problem, least: int = 1) -> tuple[int, Recurrence | None]:
    """The smallest interval from ``least`` up that all recurrences allow, and one that asks for it.

    The recurrence is None when ``least`` is enough.  Each cycle found that is too long for the
    interval so far gives the next one; there are few steps, because each lies on the way up.
    """
    edges = system(problem, recurring(problem))
    worst = None
    while found := positive_cycle(edges, least):
        worst, least = found, found.interval
    return least, _plainest(edges, least) if worst else None


def waiting_bound(problem: Problem, least: int = 1) -> int:
    """The smallest interval from ``least`` up that recurrences allow by the cycles of their units.

    Logic within a cycle is left out, so that this is quick, and not more than
    :func:`recurrence_bound`.
    """
    nodes = recurring(problem)
    inside = set(nodes)
    edges = [*data_edges(problem, nodes), *problem.edges]
    edges = [e for e in edges if e.src in inside and e.dst in inside]
    while found := positive_cycle(edges, least):
        least = found.interval
    return least


def _plainest(edges: Sequence[Edge], interval: int) -> Recurrence:
    """Of the recurrences that ask for an interval, one over as few iterations as there is."""
    distances = sorted({e.distance for e in edges})
    near = ([e for e in edges if e.distance <= far] for far in distances)
    found = (positive_cycle(few, interval - 1) for few in near)
    return next(recurrence for recurrence in found if recurrence)


def recurring(problem: Problem) -> list[Node]:
    """The nodes that may be on a cycle: those between the sinks and sources of edges that lead
    into later iterations, in topological order."""
    back = [e for e in problem.edges if e.distance]
    if not back:
        return []
    edges = [*data_edges(problem, problem.nodes), *problem.edges]
    after: dict[Node, list[Node]] = {}
    before: dict[Node, list[Node]] = {}
    for edge in edges:
        after.setdefault(edge.src, []).append(edge.dst)
        before.setdefault(edge.dst, []).append(edge.src)
    both = _reach((e.dst for e in back), after) & _reach((e.src for e in back), before)
    return [n for n in problem.nodes if n in both]


def _reach(start: Iterable[Node], links: Mapping[Node, Sequence[Node]]) -> set[Node]:
    found = set(start)
    todo = list(found)
    while todo:
        for node in links.get(todo.pop(), ()):
            if node not in found:
                found.add(node)
                todo.append(node)
    return found


def positive_cycle(edges: Sequence[Edge], ii: int) -> Recurrence | None:
    """A cycle of constraints that an interval of ``ii`` cycles does not meet; None for none.

    Bellman and Ford's longest ways; a node that comes to lie on its own way is on such a cycle.
    """
    nodes = {n for e in edges for n in (e.src, e.dst)}
    start = dict.fromkeys(nodes, 0)
    arrived: dict[Node, Edge] = {}
    for _ in range(len(nodes) + 1):
        moved = False
        for edge in edges:
            at = start[edge.src] + edge.delay - edge.distance * ii
            if at > start[edge.dst]:
                start[edge.dst], arrived[edge.dst] = at, edge
                moved = True
        if not moved:
            return None
        if found := _own_way(arrived):
            return found
    raise AssertionError("ways without cycles are no longer than there are nodes")


def _own_way(arrived: Mapping[Node, Edge]) -> Recurrence | None:
    """A cycle among the edges by which nodes were last reached."""
    seen: dict[Node, Node] = {}
    for first in arrived:
        node = first
        while node in arrived and node not in seen:
            seen[node] = first
            node = arrived[node].src
        if node in arrived and seen[node] is first:
            return _around(arrived, node)
    return None


def _around(arrived: Mapping[Node, Edge], node: Node) -> Recurrence:
    way = [arrived[node]]
    while way[-1].src is not node:
        way.append(arrived[way[-1].src])
    return Recurrence(tuple(reversed(way)))
