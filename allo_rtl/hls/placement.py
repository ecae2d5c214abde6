"""Greedy operation scheduling: the cycle of every node of a region.

Nodes are placed in topological order, those with the longest way to the end first, each in the
earliest cycle in which its operands have arrived, the logic chained before it leaves time within
the clock, and its memory port is free.  A pipelined region reserves ports modulo its initiation
interval, and dependences into later iterations are met by moving their sinks later until nothing
moves any more; when a cycle of dependences keeps moving, the interval is too small
(Rau, "Iterative modulo scheduling", MICRO 1994, with chaining).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from allo_rtl.hls.conflicts import apart
from allo_rtl.hls.node import Node
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Port, Problem, timed

_MAX_ROUNDS = 64
"""Rounds of moving sinks later before an interval is given up."""


def schedule(problem: Problem, ii: int | None) -> OpSchedule | None:
    """Schedule a region; ``ii`` None for one pass at a time.  None when ``ii`` is too small."""
    floor = dict.fromkeys(problem.nodes, 0)
    back = [e for e in problem.edges if e.distance]
    forward = [e for e in problem.edges if not e.distance]
    order = _priority_order(problem, forward)
    limit = 2 * sum(u.latency + 2 for u in problem.units.values()) + len(problem.nodes) + 8
    for _ in range(_MAX_ROUNDS):
        try:
            placed = _place(problem, order, forward, floor, ii)
        except PortsTaken as taken:
            if all(floor[user] >= taken.cycle for user in taken.users):
                return None
            floor |= {user: max(floor[user], taken.cycle) for user in taken.users}
            continue
        moved = False
        for edge in back:
            assert ii is not None
            need = placed.start[edge.src] + edge.delay - edge.distance * ii
            if placed.start[edge.dst] < need:
                if need > limit:
                    return None
                floor[edge.dst] = max(floor[edge.dst], need)
                moved = True
        if not moved:
            return placed
    return None


def _priority_order(problem: Problem, forward: Sequence[Edge]) -> list[Node]:
    """Topological order, nodes with the longest way to the end first."""
    after: dict[Node, list[Node]] = {n: [] for n in problem.nodes}
    waiting = dict.fromkeys(problem.nodes, 0)
    links = [(o, n) for n in problem.nodes for o in n.operands]
    for a, b in [*links, *((e.src, e.dst) for e in forward)]:
        after[a].append(b)
        waiting[b] += 1
    order = _drain(dict(waiting), after, dict.fromkeys(problem.nodes, 0.0))
    height: dict[Node, float] = {}
    for node in reversed(order):
        own = problem.latency(node) * problem.operators.period_ns
        unit = problem.units[node]
        own += unit.first_ns + unit.last_ns
        height[node] = own + max((height[n] for n in after[node]), default=0.0)
    return _drain(waiting, after, height)


def _drain(
    waiting: dict[Node, int], after: Mapping[Node, list[Node]], height: Mapping[Node, float]
) -> list[Node]:
    heap: list[tuple[float, int, Node]] = []
    for node, count in waiting.items():
        if not count:
            heappush(heap, (-height[node], node.serial, node))
    order = []
    while heap:
        node = heappop(heap)[2]
        order.append(node)
        for user in after[node]:
            waiting[user] -= 1
            if not waiting[user]:
                heappush(heap, (-height[user], user.serial, user))
    assert len(order) == len(waiting), "the dependences inside one iteration form a cycle"
    return order


class PortsTaken(Exception):
    """No cycle is left for an access, unless ``users`` of its port come as late as ``cycle``."""

    def __init__(self, users: Sequence[Node], cycle: int) -> None:
        super().__init__()
        self.users = users
        self.cycle = cycle


class _Placement:
    """One greedy pass: keeps the cycles found so far and the ports taken."""

    def __init__(self, problem: Problem, ii: int | None) -> None:
        self.problem = problem
        self.ii = ii
        self.start: dict[Node, int] = {}
        self.ready: dict[Node, int] = {}
        self.offset: dict[Node, float] = {}
        self.taken: dict[tuple[Port, int], list[list[Node]]] = {}

    def arrival(self, node: Node, floor: int) -> tuple[int, float]:
        """Cycle and ns within it at which all operands are there."""
        timed = [o for o in node.operands if not self.problem.is_free(o)]
        cycle = max([floor, *(self.ready[o] for o in timed)])
        late = [self.offset[o] for o in timed if self.ready[o] == cycle]
        return cycle, max(late, default=0.0)

    def put(self, node: Node, floor: int) -> None:
        """Place a node no earlier than ``floor``."""
        cycle, before = self.arrival(node, floor)
        if self.problem.needs_register(node, before):
            cycle, before = cycle + 1, 0.0
        if (port := self.problem.port(node)) is not None:
            cycle, before = self._reserve(node, port, cycle, before)
        latency = self.problem.latency(node)
        self.start[node], self.ready[node] = cycle, cycle + latency
        self.offset[node] = (
            self.problem.exit_ns(node) if latency else before + self.problem.entry_ns(node)
        )

    def _reserve(
        self, node: Node, port: Port, cycle: int, offset: float
    ) -> tuple[int, float]:
        """The first cycle from ``cycle`` on in which the node's port is free, or shared.

        Raises PortsTaken when there is none.
        """
        at, early = cycle, PortsTaken((), cycle)
        busy = self.problem.busy(node)
        while self.ii is None or at - cycle < self.ii:
            slots = [t % self.ii if self.ii else t for t in range(at, at + busy)]
            all_groups = [self.taken.setdefault((port, slot), []) for slot in slots]
            groups = all_groups[0]
            if all(len(g) < self.problem.capacity(port) for g in all_groups):
                for g in all_groups:
                    g.append([node])
                return at, offset if at == cycle else 0.0
            for users in groups:
                common = self.start[users[0]]
                if not all(apart(node, user) for user in users):
                    continue
                # Accesses that are in different banks in each iteration can share one cycle.
                if common >= cycle:
                    users.append(node)
                    return common, offset if common == cycle else 0.0
                if not early.users:
                    early = PortsTaken(users, at)
            at += 1
        raise early


def _place(
    problem: Problem, order: Sequence[Node], forward: Sequence[Edge],
    floor: Mapping[Node, int], ii: int | None,
) -> OpSchedule:
    before: dict[Node, list[Edge]] = {}
    for edge in forward:
        before.setdefault(edge.dst, []).append(edge)
    state = _Placement(problem, ii)
    for node in order:
        least = floor[node]
        for edge in before.get(node, ()):
            least = max(least, state.start[edge.src] + edge.delay)
        state.put(node, least)
    return timed(problem, state.start, ii)
