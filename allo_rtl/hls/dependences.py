"""Dependences between the memory nodes of a region, as scheduling constraints.

A write is done at the end of its cycle: a read may start one cycle after the write it must see.
What a RAM answers when one word is read and written in the same cycle differs between devices, so
a write that a read must not see comes at least one cycle after it too, and no kernel depends on
that answer.  A register, and a memory whose reads are asynchronous, is read before it is written
in one cycle.

Where the address of an asynchronous read depends on the word of another there is a register
between them: two accesses of each of two memories could otherwise make a ring of wires.

Prints and assertions keep the order of the text, and those of one iteration come before those of
the next; several may share a cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

from allo_rtl.hls.node import EVENTS, Bank, Kind, Node
from allo_rtl.hls.op_schedule import Edge
from allo_rtl.hls.operators import Unit
from allo_rtl.hls.streams import stream_edges
from allo_rtl.ir.dependence import (
    Access,
    accesses,
    always_differ,
    carried_distance,
    same_iteration,
)
from allo_rtl.ir.guards import Guards
from allo_rtl.ir.ops import For, If, Load, Op, Store

_MOST_GUARDED = 1_000
"""Pairs of accesses of a region of which conditions are looked at."""

_READS = (Kind.READ, Kind.REG_READ)


def _delay(src: Node) -> int:
    return 0 if src.kind is Kind.REG_READ or src.async_read else 1


def _by_bank(nodes: Iterable[Node]) -> Mapping[Bank, list[Node]]:
    banks: dict[Bank, list[Node]] = {}
    for node in nodes:
        if node.bank is not None:
            banks.setdefault(node.bank, []).append(node)
    return {b: sorted(group, key=lambda n: n.order) for b, group in banks.items()}


@dataclass(frozen=True)
class _Access:
    """An access of the text, and the node that makes it."""

    node: Node
    told: Node


def _in_order(a: Node, b: Node) -> Iterator[tuple[_Access, _Access]]:
    """The accesses that two nodes make, each with each, in the order of the text."""
    for x in a.merged or (a,):
        for y in b.merged or (b,):
            pair = _Access(a, x), _Access(b, y)
            yield pair if x.order <= y.order else pair[::-1]


def straight_edges(nodes: Sequence[Node]) -> list[Edge]:
    """Constraints of a region executed once at a time."""
    edges = [*_event_edges(nodes), *stream_edges(nodes, pipelined=False), *_chains(nodes)]
    for group in _by_bank(nodes).values():
        for pair in _may_meet(group):
            for src, dst in _in_order(*pair):
                if not (_both_read(src.told, dst.told) or _differ(src.told, dst.told)):
                    edges.append(Edge(src.node, dst.node, _delay(src.node)))
    return edges


def _may_meet(group: Sequence[Node]) -> Iterable[tuple[Node, Node]]:
    """The pairs of accesses of a bank, but those with constant subscripts that differ.

    Where all are constant a word has few accesses, and a bank as many as it likes.
    """
    words: dict[tuple[int, ...], list[int]] = {}
    for k, node in enumerate(group):
        access = None if node.merged else node.access
        index = access.index if isinstance(access, Load | Store) else ()
        if not index or not all(x.is_constant for x in index):
            return combinations(group, 2)
        words.setdefault(tuple(x.const for x in index), []).append(k)
    pairs = sorted(pair for same in words.values() for pair in combinations(same, 2))
    return [(group[a], group[b]) for a, b in pairs]


def _events(nodes: Iterable[Node]) -> list[Node]:
    return sorted((n for n in nodes if n.kind in EVENTS), key=lambda n: n.order)


def _event_edges(nodes: Iterable[Node]) -> list[Edge]:
    return [Edge(a, b, 0) for a, b in pairwise(_events(nodes))]


def _chains(nodes: Sequence[Node]) -> list[Edge]:
    """Between each asynchronous read and those whose word its address depends on."""
    if not any(n.async_read for n in nodes):
        return []
    edges: list[Edge] = []
    before: dict[Node, frozenset[Node]] = {}
    for node in nodes:  # operands come first
        found = frozenset[Node]().union(*(before[o] for o in node.operands))
        if node.async_read:
            edges += [Edge(read, node, 1) for read in sorted(found, key=lambda n: n.serial)]
            found = frozenset({node})
        before[node] = found
    return edges


def _both_read(a: Node, b: Node) -> bool:
    return a.kind in _READS and b.kind in _READS


def _differ(a: Node, b: Node) -> bool:
    """Whether two accesses of one bank certainly touch different words."""
    if not (isinstance(a.access, Load | Store) and isinstance(b.access, Load | Store)):
        return False
    pairs = zip(a.access.index, b.access.index, strict=True)
    return any((x - y).is_constant and (x - y).const for x, y in pairs)


def pipelined_edges(
    nodes: Sequence[Node], loops: Sequence[For], outermost: For
) -> list[Edge]:
    """Constraints of the body of a flattened nest, with those into later iterations.

    ``loops`` are flattened; ``outermost`` is they or a loop around them in the same nest.
    """
    known: dict[Op, Access] = {a.op: a for a in accesses((outermost,))}
    exact = _Guarded(nodes, known, outermost)
    edges = _event_edges(nodes)
    if edges:
        edges.append(Edge(edges[-1].dst, edges[0].src, 1, distance=1))
    edges += stream_edges(nodes, pipelined=True) + _chains(nodes)
    for group in _by_bank(nodes).values():
        if any(n.kind in (Kind.REG_READ, Kind.REG_WRITE) for n in group):
            edges += _register_edges(group)
            continue
        for a, b in combinations(group, 2):
            if not _both_read(a, b):
                for src, dst in _in_order(a, b):
                    edges += _pair_edges(src, dst, known, loops, exact)
    return edges


class _Guarded:
    """Which conditions count for the distance between two accesses.

    Those around a load count where its word is used under them alone: where no other load of the
    array goes without a read of its own, because it takes the same word.
    """

    def __init__(
        self, nodes: Iterable[Node], known: Mapping[Op, Access], outermost: For
    ) -> None:
        made = {x.access for n in nodes for x in (n, *n.merged)}
        self._taken = {
            a.array for op, a in known.items() if isinstance(op, Load) and op not in made
        }
        self._block = (outermost,)
        self._asked = 0

    def of(self, a: Access, b: Access) -> Guards | None:
        """The conditions of the nest, or None where they do not count, or too much was asked."""
        conditional = any(isinstance(p, If) for x in (a, b) for p in x.parents)
        if not conditional or a.array in self._taken or self._asked >= _MOST_GUARDED:
            return None
        self._asked += 1
        return self._guards

    @cached_property
    def _guards(self) -> Guards:
        return Guards(self._block)


def carried_edges(
    carried: Mapping[Node, tuple[Node, int]], unit: Callable[[Node], Unit]
) -> list[Edge]:
    """Constraints of words that go from one iteration to a later one: from a register, at once."""
    edges = []
    for node, (source, distance) in carried.items():
        is_ram = source.kind is Kind.READ and not source.async_read
        latency = unit(source).latency or (1 if is_ram else 0)
        registered = latency and not unit(source).last_ns and not is_ram
        edges.append(Edge(source, node, latency if registered else latency + 1, distance))
    return edges


def _register_edges(group: Sequence[Node]) -> list[Edge]:
    edges = []
    for src, dst in combinations(group, 2):
        read, write = (src, dst) if src.kind is Kind.REG_READ else (dst, src)
        edges.append(Edge(read, write, 0))
        if not read.first:
            edges.append(Edge(write, read, 1, distance=1))
    return edges


def _pair_edges(
    before: _Access, after: _Access, known: Mapping[Op, Access], loops: Sequence[For],
    exact: _Guarded,
) -> list[Edge]:
    """Constraints of two accesses, one of which stands before the other in the text."""
    a, b, ops = before.node, after.node, (before.told.access, after.told.access)
    assert ops[0] is not None
    assert ops[1] is not None
    first, second = known[ops[0]], known[ops[1]]
    if always_differ(first, second):
        return []
    edges: list[Edge] = []
    if ops[0] is not ops[1] and same_iteration(first, second, loops):
        edges.append(Edge(a, b, _delay(a)))
    for src, dst, x, y in ((a, b, first, second), (b, a, second, first)):
        if dst.first and src.kind is Kind.WRITE:
            continue
        distance = carried_distance(x, y, loops, exact.of(x, y))
        if distance is not None:
            if dst.forwarded and src.kind is Kind.WRITE:
                distance = max(distance, 2)  # the word of the iteration before is handed on
            edges.append(Edge(src, dst, _delay(src), distance))
    return edges
