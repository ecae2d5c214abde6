"""Operation scheduling: the cycle of every node of a region.

Nodes are placed in topological order, those with the longest way to the end first, each in the
earliest cycle in which its operands have arrived, the logic chained before it leaves time within
the clock, and its memory port is free.  A pipelined region reserves ports modulo its initiation
interval, and dependences into later iterations are met by moving their sinks later until nothing
moves any more; when a cycle of dependences keeps moving, the interval is too small
(Rau, "Iterative modulo scheduling", MICRO 1994, with chaining).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from allo_rtl.hls.conflicts import apart
from allo_rtl.hls.node import STREAMS, Bank, Kind, Node
from allo_rtl.hls.operators import Operators, Unit
from allo_rtl.hls.widths import Shape

_MAX_ROUNDS = 64
"""Rounds of moving sinks later before an interval is given up."""


@dataclass(frozen=True, slots=True)
class Edge:
    """``cycle(dst) >= cycle(src) + delay - distance * ii``; distance in iterations."""

    src: Node
    dst: Node
    delay: int
    distance: int = 0


@dataclass(frozen=True)
class OpSchedule:
    """Start cycle and unit of every node of a region.

    Attributes:
        start: cycle in which a node begins (its address is presented, its operands used).
        ready: cycle in which its result appears.
        offset: ns of logic before the result within that cycle.
        length: cycles of one pass through the region.
        ii: initiation interval in cycles; None outside pipelined loops.
    """

    start: Mapping[Node, int]
    ready: Mapping[Node, int]
    offset: Mapping[Node, float]
    units: Mapping[Node, Unit]
    shapes: Mapping[Node, Shape]
    length: int
    ii: int | None
    critical_ns: float
    stable: frozenset[Node] = frozenset()


@dataclass(frozen=True)
class Problem:
    """What is to be scheduled.

    ``nodes`` in topological order; ``port_inputs(bank)`` is the number of accesses that share a
    memory's port, whose multiplexer lies in the way of addresses and data.  ``stable`` nodes keep
    their value throughout the region, as constants and inputs do.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    shapes: Mapping[Node, Shape]
    operators: Operators
    port_inputs: Callable[[Bank], int]
    stable: frozenset[Node] = frozenset()
    units: Mapping[Node, Unit] = field(init=False)

    def __post_init__(self) -> None:
        units = {n: self.operators.unit(n, self.shapes) for n in self.nodes}
        object.__setattr__(self, "units", units)

    def is_free(self, node: Node) -> bool:
        """Whether a node is there in every cycle."""
        return node.is_free or node in self.stable


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


def _latency(problem: Problem, node: Node) -> int:
    return 1 if node.kind in (Kind.READ, Kind.ASK) else problem.units[node].latency


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
        own = _latency(problem, node) * problem.operators.period_ns
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
        self.taken: dict[tuple[Bank, Kind, int], list[Node]] = {}
        self.critical = 0.0

    def arrival(self, node: Node, floor: int) -> tuple[int, float]:
        """Cycle and ns within it at which all operands are there."""
        timed = [o for o in node.operands if not self.problem.is_free(o)]
        cycle = max([floor, *(self.ready[o] for o in timed)])
        late = [self.offset[o] for o in timed if self.ready[o] == cycle]
        return cycle, max(late, default=0.0)

    def put(self, node: Node, floor: int) -> None:
        """Place a node no earlier than ``floor``."""
        cycle, offset = self.arrival(node, floor)
        unit, model = self.problem.units[node], self.problem.operators.model
        logic = unit.first_ns + self._port_ns(node)
        if offset > 0 and offset + logic > self.problem.operators.budget_ns:
            cycle, offset = cycle + 1, 0.0
        if node.kind in STREAMS and offset > 0:
            cycle, offset = cycle + 1, 0.0  # what may hold the island is known early in a cycle
        if node.kind in (Kind.READ, Kind.WRITE):
            cycle, offset = self._reserve(node, cycle, offset)
        self.critical = max(self.critical, offset + logic)
        self.start[node] = cycle
        if node.kind is Kind.READ:
            self.ready[node], self.offset[node] = cycle + 1, model.ram_read_ns
        elif node.kind is Kind.ASK:
            self.ready[node], self.offset[node] = cycle + 1, 0.0
        elif unit.latency:
            self.ready[node], self.offset[node] = cycle + unit.latency, unit.last_ns
        else:
            self.ready[node], self.offset[node] = cycle, offset + logic
        self.critical = max(self.critical, self.offset[node])

    def _port_ns(self, node: Node) -> float:
        model = self.problem.operators.model
        if node.kind in STREAMS:  # the word comes from the FIFO, or was taken before
            return model.delay("select", self.problem.shapes[node].width)
        if node.bank is None:
            return 0.0
        ways = self.problem.port_inputs(node.bank)
        bits = self.problem.shapes[node].width
        if node.kind in (Kind.READ, Kind.WRITE):
            return model.ram_address_ns + model.mux(ways, bits)
        return model.mux(ways, bits) if node.kind is Kind.REG_WRITE else 0.0

    def _reserve(self, node: Node, cycle: int, offset: float) -> tuple[int, float]:
        """The first cycle from ``cycle`` on in which the node's port is free, or shared.

        Raises PortsTaken when there is none.
        """
        assert node.bank is not None
        at, early = cycle, PortsTaken((), cycle)
        while self.ii is None or at - cycle < self.ii:
            slot = at % self.ii if self.ii else at
            users = self.taken.setdefault((node.bank, node.kind, slot), [])
            found = self._shared(node, at, users)
            if found is not None:
                users.append(node)
                return found, offset if found == cycle else 0.0
            if not early.users and all(apart(node, user) for user in users):
                early = PortsTaken(users, at)
            at += 1
        raise early

    def _shared(self, node: Node, cycle: int, users: Sequence[Node]) -> int | None:
        """The cycle, of those of one slot, in which the port is the node's; None for none.

        Accesses that are in different banks in each iteration can share one cycle.
        """
        if not users:
            return cycle
        common = self.start[users[0]]
        fits = common >= cycle and all(apart(node, user) for user in users)
        return common if fits else None


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
    units = {n: u.at_interval(ii) for n, u in problem.units.items()}
    used = [n for n in order if not problem.is_free(n)]
    length = max((max(state.start[n], state.ready[n]) + 1 for n in used), default=1)
    return OpSchedule(
        state.start, state.ready, state.offset, units, problem.shapes, length, ii,
        state.critical + problem.operators.model.register_ns, problem.stable,
    )
