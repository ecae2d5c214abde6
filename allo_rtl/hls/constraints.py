"""Everything that orders two operations of a region, as one system of differences.

    start(dst) >= start(src) + delay - distance * ii

Three kinds of constraints make it up: a result is used when it is there, dependences through
memories and streams (:mod:`allo_rtl.hls.dependences`), and *chains*: where the logic from ``src``
to ``dst`` is longer than the clock allows, a register lies in between.  A schedule fits the clock
exactly when it meets all chains (Cong and Zhang, "An efficient and versatile scheduling algorithm
based on SDC formulation", DAC 2006).  Ports are not in the system: who has a port when is a
choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import heappop, heappush

from allo_rtl.hls.node import Node
from allo_rtl.hls.op_schedule import Edge, Problem


def data_edges(problem: Problem, nodes: Iterable[Node]) -> list[Edge]:
    """A node's operands, as far as they have a time of their own, come before it."""
    return [
        Edge(o, n, problem.latency(o))
        for n in nodes
        for o in dict.fromkeys(n.operands)
        if not problem.is_free(o)
    ]


def chain_edges(problem: Problem, nodes: Collection[Node]) -> list[Edge]:
    """Pairs of nodes with more logic on the way between them than fits into one cycle."""
    inside = set(nodes)
    users: dict[Node, list[Node]] = {n: [] for n in nodes}
    for node in nodes:
        for operand in dict.fromkeys(node.operands):
            if operand in inside and not problem.is_free(operand):
                users[operand].append(node)
    position = {n: k for k, n in enumerate(problem.nodes)}
    found = []
    for node in nodes:
        # What leads up to a node without logic of its own is also met behind it.
        if not problem.is_free(node) and (start := _first_ns(problem, node)) > 0:
            cut = _beyond_a_cycle(problem, node, start, users, position)
            found += [Edge(node, n, problem.latency(node) + 1) for n in cut]
    return found


def system(problem: Problem, nodes: Sequence[Node] | None = None) -> list[Edge]:
    """All constraints among the nodes given (None: all)."""
    if nodes is None:
        chosen: Sequence[Node] = problem.nodes
        edges: Sequence[Edge] = problem.edges
    else:
        inside, chosen = set(nodes), nodes
        edges = [e for e in problem.edges if e.src in inside and e.dst in inside]
    data = [e for e in data_edges(problem, chosen) if nodes is None or e.src in inside]
    return [*data, *chain_edges(problem, chosen), *edges]


def _first_ns(problem: Problem, node: Node) -> float:
    """Logic before a node's result where its operands, or its last register, are at 0 ns."""
    return problem.exit_ns(node) if problem.latency(node) else problem.entry_ns(node)


def _beyond_a_cycle(
    problem: Problem, source: Node, start_ns: float,
    users: Mapping[Node, Sequence[Node]], position: Mapping[Node, int],
) -> list[Node]:
    """The first nodes on each way from ``source`` that need a register in between."""
    arrival = dict.fromkeys(users[source], start_ns)
    heap = [(position[n], n) for n in users[source]]
    heap.sort()
    cut = []
    while heap:
        _, node = heappop(heap)
        before = arrival[node]
        if problem.needs_register(node, before):
            cut.append(node)
        elif not problem.latency(node):
            behind = before + problem.entry_ns(node)
            for user in users[node]:
                if user not in arrival:
                    heappush(heap, (position[user], user))
                arrival[user] = max(arrival.get(user, 0.0), behind)
    return cut


def chain(problem: Problem, edge: Edge) -> list[Node]:
    """The nodes from ``src`` to ``dst`` of a chain along the longest way, both included."""
    inside = {n for n in problem.nodes if not problem.is_free(n)}
    arrival, before = {edge.src: _first_ns(problem, edge.src)}, dict[Node, Node]()
    for node in problem.nodes:
        ways = [o for o in node.operands if o in arrival and o in inside]
        if not ways or node is edge.src:
            continue
        before[node] = max(ways, key=arrival.__getitem__)
        if node is edge.dst:
            break
        if not problem.latency(node):
            arrival[node] = arrival[before[node]] + problem.entry_ns(node)
    way = [edge.dst]
    while way[-1] is not edge.src:
        way.append(before[way[-1]])
    return way[::-1]
