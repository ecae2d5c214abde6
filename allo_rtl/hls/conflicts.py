"""Accesses of one array that never meet in a bank, so that they can share a cycle of its port."""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.hls.banking import in_two_banks
from allo_rtl.hls.node import Node
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Load, Store


def apart(a: Node, b: Node) -> bool:
    """Whether two accesses of an array certainly touch different banks in each iteration.

    So they do where :func:`allo_rtl.hls.banking.in_two_banks` says so of the subscripts of a
    partitioned dimension.  Then they can have the port of one bank in the same cycle, because at
    most one of them asks for it.
    """
    if a.merged or b.merged:
        return all(apart(x, y) for x in a.merged or (a,) for y in b.merged or (b,))
    if not (isinstance(a.access, Load | Store) and isinstance(b.access, Load | Store)):
        return False
    if a.access.array is not b.access.array or not a.access.array.array.partition:
        return False
    layout = Layout(a.access.array.array)
    pairs = zip(a.access.index, b.access.index, strict=True)
    return any(_in_two(layout, dim, x - y) for dim, (x, y) in enumerate(pairs))


def _in_two(layout: Layout, dim: int, gap: AffineExpr) -> bool:
    """Whether subscripts of one dimension that are ``gap`` apart lie in different banks."""
    parts = layout.type.partition
    part = parts[dim] if parts else None
    return part is not None and in_two_banks(layout.type, dim, part.kind, gap)


def never_apart(nodes: Sequence[Node]) -> list[Node]:
    """Accesses of which each may meet any other in its bank: as many as are easily found.

    They need the port in as many cycles as they are.
    """
    return max(_mutual(nodes), _mutual(nodes[::-1])[::-1], key=len)


def _mutual(nodes: Sequence[Node]) -> list[Node]:
    found: list[Node] = []
    for node in nodes:
        if not any(apart(node, other) for other in found):
            found.append(node)
    return found
