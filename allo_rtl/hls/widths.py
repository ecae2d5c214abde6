"""Hardware widths: each node gets the bits its users need and its range can fill, no more.

Backward, ``demand`` is the number of low bits some user looks at: the low n bits of a sum depend
on the low n bits of its terms alone, so storing a 65-bit sum into an int32 demands 32 bits of
everything before it.  Forward, the node's range says how many bits its number can fill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from allo_rtl.hls.node import MODULAR, Kind, Node
from allo_rtl.ir.affine import Interval


@dataclass(frozen=True, slots=True)
class Shape:
    """Width in bits and signedness of a node's signal.

    The signal equals the node's number modulo 2**width, and equals it exactly when the number's
    whole range fits (then ``signed`` says how to extend it).
    """

    width: int
    signed: bool


def range_shape(interval: Interval) -> Shape:
    """The narrowest shape that holds every number of the interval."""
    low, high = interval
    if low >= 0:
        return Shape(max(1, high.bit_length()), False)
    return Shape(max(high.bit_length(), (~low).bit_length()) + 1, True)


def _operand_demands(node: Node, demand: int) -> tuple[int, ...]:
    """Low bits needed of each operand when ``demand`` low bits of the node are."""
    full = tuple(o.type.bits for o in node.operands)
    match node.kind:
        case Kind.AND if any(_is_mask(o) for o in node.operands):
            mask = min(o.value.bit_length() for o in node.operands if _is_mask(o))
            return (min(demand, mask),) * 2
        case kind if kind in MODULAR:
            return (demand,) * 2
        case Kind.SELECT:
            return (1, demand, demand)
        case Kind.CAST:
            return (min(demand, full[0]),)
        case Kind.SHL if node.operands[1].is_const:
            return (max(0, demand - node.operands[1].value), full[1])
        case Kind.SHL:
            return (demand, full[1])
        case Kind.SHR if node.operands[1].is_const:
            return (min(full[0], demand + node.operands[1].value), full[1])
    return full


def _is_mask(node: Node) -> bool:
    return node.is_const and node.value >= 0


def shapes(nodes: list[Node], outputs: Iterable[Node]) -> Mapping[Node, Shape]:
    """Shape of every node of a region; ``nodes`` in topological order."""
    demand = dict.fromkeys(nodes, 0)
    for node in outputs:
        demand[node] = node.type.bits
    for node in reversed(nodes):
        if node.kind in (Kind.WRITE, Kind.REG_WRITE):
            demand[node] = node.type.bits
        needs = _operand_demands(node, min(demand[node], node.type.bits))
        for operand, bits in zip(node.operands, needs, strict=True):
            demand[operand] = max(demand[operand], bits)
    return {n: _shape(n, demand[n]) for n in nodes}


def _shape(node: Node, demand: int) -> Shape:
    exact = range_shape(node.range)
    return exact if exact.width <= demand else Shape(max(1, demand), False)
