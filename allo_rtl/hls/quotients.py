"""A quotient and the remainder of the same numbers by one divider.

    q, r = a / b, a % b    ->    both = a divided by b;  q, r = both, its low and its high half

A restoring divider has both in the end.  The halves are wires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.control import FunctionControl, regions
from allo_rtl.hls.graph import Graph
from allo_rtl.hls.node import DIVISIONS, WITH_REST, Kind, Node, full_range
from allo_rtl.hls.rebuild import Joint, Rebuilt, rebuilt, with_regions
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import range_shape
from allo_rtl.ir.types import Int, UInt


def quotients_with_rests(control: FunctionControl) -> FunctionControl:
    """A function in which no remainder has a divider beside the one of its quotient."""
    found = {p.region: pairs for p in regions(control.body) if (pairs := _pairs(p.region))}
    return with_regions(control, {r: _joined(r, pairs) for r, pairs in found.items()})


def _pairs(region: Region) -> list[tuple[Node, Node]]:
    """Quotients and the remainders with them."""
    alike: dict[object, dict[Kind, Node]] = {}
    for node in region.nodes():
        if node.kind in DIVISIONS:
            alike.setdefault((node.operands, node.type), {})[node.kind] = node
    return [
        (next(made[kind] for kind in WITH_REST if kind in made), made[Kind.REM])
        for made in alike.values()
        if Kind.REM in made and made.keys() & WITH_REST.keys()
    ]


def _joined(region: Region, pairs: Sequence[tuple[Node, Node]]) -> Rebuilt:
    pair_of = {node: pair for pair in pairs for node in pair}
    joint: dict[Node, Joint] = {node: (pair, node.operands) for node, pair in pair_of.items()}
    graph = Graph()

    def make(node: Node, new: Mapping[Node, Node]) -> list[Node]:
        quotient = pair_of[node][0]
        operands = tuple(new[o] for o in quotient.operands)
        both = with_rest(
            WITH_REST[quotient.kind], quotient.type.bits, operands, quotient.loc, quotient.merged
        )
        return [part_of(graph, both, n) for n in pair_of[node]]

    return rebuilt(region, joint, make)


def with_rest(
    kind: Kind,
    bits: int,
    operands: tuple[Node, ...],
    loc: SourceLoc | None,
    merged: tuple[Node, ...] = (),
) -> Node:
    """A division of a ``kind`` that makes both, of so many bits each."""
    both = UInt(2 * bits)
    return Node(kind, both, operands, full_range(both), loc=loc, merged=merged)


def bits_of(division: Node) -> int:
    """Bits of a division's quotient, or remainder."""
    halved = division.kind in WITH_REST.values()
    return division.type.bits // 2 if halved else division.type.bits


def part_of(graph: Graph, both: Node, division: Node) -> Node:
    """The quotient or the remainder that a division is, from a node that makes both."""
    if division.kind in WITH_REST.values():
        return _halves(graph, both, division)
    if division.kind is Kind.REM:
        by = graph.const(both.type.bits // 2, both.type)
        both = graph.make(Kind.SHR, both.type, both, by, loc=division.loc)
    return low_bits(graph, both, division)


def _halves(graph: Graph, both: Node, division: Node) -> Node:
    """A quotient and a remainder as halves of fewer bits."""
    if both.type == division.type:
        return both
    half, type = UInt(bits_of(division)), division.type
    by = graph.const(both.type.bits // 2, both.type)
    low = graph.cast(both, half)
    high = graph.cast(graph.make(Kind.SHR, both.type, both, by), half)
    raised = graph.make(Kind.SHL, type, graph.cast(high, type), graph.const(half.bits, type))
    return graph.make(Kind.OR, type, raised, graph.cast(low, type))


def low_bits(graph: Graph, node: Node, like: Node) -> Node:
    """The low bits of a node that can be other than the sign in another one's number, as a number
    of that one's type."""
    shape = range_shape(like.range)
    if shape.width < like.type.bits:
        narrow = Int(shape.width) if shape.signed else UInt(shape.width)
        node = graph.cast(node, narrow, like.loc)
    return graph.cast(node, like.type, like.loc)
