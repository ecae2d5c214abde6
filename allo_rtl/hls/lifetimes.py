"""Operations where their values need fewest registers.

A placed schedule says who has which port when.  What is left is a system of differences, for
which the shortest schedule is a longest way, and the one of that length with fewest registers the
dual of a flow of minimal cost: a register is an arc from a value's birth to its last use, of the
value's width (Cong and Zhang, DAC 2006; Leiserson and Saxe, "Retiming synchronous circuitry",
Algorithmica 1991; for pipelined loops Zhang and Liu, "SDC-based modulo scheduling for pipeline
synthesis", ICCAD 2013); see :mod:`allo_rtl.hls.differences`.

Operations on streams, shared units of a loop that takes turns, and what a sequential region
hands on keep their cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from allo_rtl.hls.constraints import system
from allo_rtl.hls.differences import Arcs, latest, least_sum, longest_ways
from allo_rtl.hls.dual_ports import ports_of
from allo_rtl.hls.node import STREAMS, Kind, Node
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Problem, timed

MAX_NODES = 20_000
"""Larger regions stay as they were placed, so that compile time grows linearly.

The operations of lanes count once (:mod:`allo_rtl.hls.lanes`); what remains may have a choice
everywhere, and be one flow, for which that takes long.
"""


def register_bits(problem: Problem, found: OpSchedule) -> int:
    """Bits of registers between the cycles of a schedule.

    In a pipelined loop a value has a register for every cycle from its birth to its last use; in
    a region that runs once at a time one that keeps it.
    """
    last = _last_uses(problem, found)
    spans = {n: end - found.ready[n] for n, end in last.items()}
    count = (min(s, 1) if found.ii is None else s for s in spans.values())
    return sum(c * problem.bits(n) for n, c in zip(spans, count, strict=True))


def _last_uses(problem: Problem, found: OpSchedule) -> dict[Node, int]:
    last = {n: found.length - 1 for n in problem.outputs if not problem.is_free(n)}
    for node in problem.nodes:
        for operand in node.operands:
            if not problem.is_free(operand):
                last[operand] = max(last.get(operand, 0), found.start[node])
    for edge in _carrying(problem):
        later = found.start[edge.dst] + edge.distance * (found.ii or 0)
        last[edge.src] = max(last.get(edge.src, 0), later)
    return last


def _carrying(problem: Problem) -> list[Edge]:
    """From each node whose result later iterations use to what stands for it there."""
    return [e for e in problem.edges if e.dst.kind is Kind.CARRIED]


def shorten(problem: Problem, found: OpSchedule) -> OpSchedule:
    """A schedule with the same interval that is no longer and has no more registers."""
    if len(problem.nodes) > MAX_NODES:
        return found
    model = _Model(problem, found)
    better = timed(problem, model.solve(), found.ii)
    before = found.length, register_bits(problem, found)
    return better if (better.length, register_bits(problem, better)) < before else found


class _Model:
    """The differences of a problem, with ports as ``found`` has them.

    Times are numbered: 0 is the region's first cycle, then come the nodes, then last uses.
    """

    def __init__(self, problem: Problem, found: OpSchedule) -> None:
        self.problem = problem
        self.found = found
        self.nodes = [n for n in problem.nodes if not problem.is_free(n)]
        self.at = {n: k for k, n in enumerate(self.nodes, 1)}
        self.arcs = Arcs()
        self._add_nodes()
        for edge in system(problem):
            if edge.src in self.at and edge.dst in self.at:
                self._add(edge)
        for edge in port_order(problem, found):
            self._add(edge)

    def _add(self, edge: Edge) -> None:
        gap = edge.delay - edge.distance * (self.found.ii or 0)
        self.arcs.add(self.at[edge.src], self.at[edge.dst], gap)

    def _add_nodes(self) -> None:
        fixed = _fixed(self.problem, self.found)
        for node, k in self.at.items():
            start = self.found.start[node]
            self.arcs.add(0, k, start if node in fixed else 0)
            if node in fixed:
                self.arcs.add(k, 0, -start)

    def solve(self) -> dict[Node, int]:
        """The cycle of every node: shortest, then with fewest registers."""
        order = self._order()
        earliest = longest_ways(order, self.arcs)
        ends = (earliest[k] + self.problem.latency(n) for n, k in self.at.items())
        last = max(ends, default=0)
        for node, k in self.at.items():
            self.arcs.add(k, 0, self.problem.latency(node) - last)
        slowest = latest(order, self.arcs)
        times = least_sum(self.arcs, self._lifetimes(last), earliest, slowest)
        start = dict.fromkeys(self.problem.nodes, 0)
        return start | {n: times[k] for n, k in self.at.items()}

    def _order(self) -> list[int]:
        """Times as they were placed: what needs something is behind it."""
        count = len(self.nodes) + 1
        return [0, *(self.found.start[n] * count + k for n, k in self.at.items())]

    def _lifetimes(self, last: int) -> list[int]:
        """Add the last uses; gives each time's weight in the sum to be minimized."""
        weight = [0] * (len(self.nodes) + 1)
        users = self._users()
        for node, k in self.at.items():
            if node not in users and node not in self.problem.outputs:
                continue
            bits, end = self.problem.bits(node), len(weight)
            weight.append(bits)
            weight[k] -= bits
            self.arcs.add(k, end, self.problem.latency(node))
            for user, later in users.get(node, ()):
                self.arcs.add(self.at[user], end, later)
            if node in self.problem.outputs:
                self.arcs.add(0, end, last)
        weight[0] = -sum(weight[1:])
        return weight

    def _users(self) -> dict[Node, list[tuple[Node, int]]]:
        """Who uses a node's result, and how many cycles after the user's start."""
        users: dict[Node, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            for operand in dict.fromkeys(node.operands):
                if operand in self.at:
                    users.setdefault(operand, []).append((node, 0))
        for edge in _carrying(self.problem):
            later = edge.distance * (self.found.ii or 0)
            users.setdefault(edge.src, []).append((edge.dst, later))
        return users


def _fixed(problem: Problem, found: OpSchedule) -> set[Node]:
    """The nodes that keep their cycles."""
    turns = found.ii != 1
    fixed = {
        n for n in problem.nodes
        if n.kind in (Kind.COUNTER, Kind.LAST, *STREAMS) or (turns and problem.units[n].shared)
    }  # fmt: skip
    return fixed if found.ii else fixed | problem.outputs


def port_order(problem: Problem, found: OpSchedule) -> list[Edge]:
    """Constraints that leave the accesses of each port in turn as they are.

    Modulo the interval they follow each other in a circle, each at least a cycle after the one
    before; accesses that share a cycle go on doing so.
    """
    edges = []
    for port, users in problem.ports().items():
        if users[0] in problem.jobs:  # they keep their cycles
            continue
        if problem.capacity(port) == 1:
            edges += _turns(users, found)
            continue
        number = ports_of(users, found)
        for k in (0, 1):
            edges += _turns([n for n in users if number[n] == k], found)
    return edges


def _turns(users: Sequence[Node], found: OpSchedule) -> list[Edge]:
    ii, start = found.ii, found.start
    slots: dict[int, list[Node]] = {}
    for node in users:
        slots.setdefault(start[node] % ii if ii else start[node], []).append(node)
    edges = []
    for together in slots.values():
        for a, b in pairwise(together):
            edges += [Edge(a, b, 0), Edge(b, a, 0)]
    firsts = [slots[slot][0] for slot in sorted(slots)]
    if len(firsts) < 2:
        return edges
    circle = [*pairwise(firsts), (firsts[-1], firsts[0])] if ii else pairwise(firsts)
    for a, b in circle:
        behind = 1 if not ii else 1 + (start[b] - start[a] - 1) // ii * ii
        edges.append(Edge(a, b, behind))
    return edges
