"""Inner loops that have no iteration in some iterations of those around them, set apart.

    for i in range(N):                      for i in range(0, 1):
        v = 0                                   v = 0
        for k in range(i):         ->           B[i] = v
            v += A[i, k]                    for i in range(1, N):
        B[i] = v                                v = 0
                                                for k in range(i):  # never empty
                                                    v += A[i, k]
                                                B[i] = v

What stands beside the inner loop can then run in its first and last iteration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.domain import counter_intervals
from allo_rtl.ir.ops import Block, For, Op, Value
from allo_rtl.ir.rewrite import clone, map_block, walk, with_regions

_ANY: Interval = (-(1 << 62), 1 << 62)


def set_apart(block: Block) -> tuple[Block, frozenset[Value]]:
    """A block with such loops set apart in imperfect nests around rewound loops.

    With the counters of the loops that are never empty.
    """
    separator = _Separator()
    return separator.block(block, ()), frozenset(separator.never_empty)


class _Separator:
    """Walks loops with those around them."""

    def __init__(self) -> None:
        self.never_empty: set[Value] = set()

    def block(self, block: Block, outer: tuple[For, ...]) -> Block:
        """The block; ``outer`` are the loops around it."""
        out: list[Op] = []
        for op in block:
            if isinstance(op, For):
                out += self._loop(op, outer)
            else:
                out.append(with_regions(op, lambda inside: self.block(inside, ())))
        return tuple(out)

    def _loop(self, loop: For, outer: tuple[For, ...]) -> Block:
        if (parts := _parts(loop)) is not None:
            return tuple(op for part in parts for op in self._loop(part, outer))
        if _is_never_empty(loop, outer):
            self.never_empty.add(loop.iv)
        return (replace(loop, body=self.block(loop.body, (*outer, loop))),)


def _is_never_empty(loop: For, outer: Sequence[For]) -> bool:
    counters = {x.iv for x in outer}
    if any(e.values - counters for e in (*loop.lower, *loop.upper)):
        return False
    known = counter_intervals(outer, lambda _: _ANY)
    return all(gap.bounds(known.__getitem__)[0] >= 0 for gap in _gaps(loop))


def _gaps(loop: For) -> list[AffineExpr]:
    """What is not negative where the loop has an iteration."""
    return [high - low - 1 for low, high in product(loop.lower, loop.upper)]


def _parts(loop: For) -> tuple[For, For] | None:
    """The loop in two, in one of which a loop inside is never there; None where that is not to be
    done."""
    path = _path(loop)
    if path is None or loop.constant_bounds is None or all(len(p.body) == 1 for p in path[:-1]):
        return None
    for inner in path[1:]:
        for gap in _gaps(inner):
            factor = gap.coefficient(loop.iv)
            if not factor or gap.values != {loop.iv} or not gap.is_linear:
                continue
            first = -(gap.const // factor) if factor > 0 else gap.const // -factor + 1
            if (halves := _cut(loop, first)) is not None:
                low, high = halves
                if factor > 0:
                    return _without(low, inner), high
                return low, _without(high, inner)
    return None


def _path(loop: For) -> list[For] | None:
    """The loops from one down to a rewound one, each the only one in that around it."""
    path = [loop]
    while path[-1].attrs.pipeline_ii is None:
        loops = [op for op in path[-1].body if isinstance(op, For)]
        if len(loops) != 1 or path[-1].attrs.unroll is not None:
            return None
        path.append(loops[0])
    return path if path[-1].attrs.rewind and len(path) > 1 else None


def _cut(loop: For, first: int) -> tuple[For, For] | None:
    """The iterations before counter ``first`` and those from it on, when there are both."""
    assert loop.constant_bounds is not None
    low, high = loop.constant_bounds
    start = low + -(-(first - low) // loop.step) * loop.step
    if not low < start < high:
        return None
    bound = (AffineExpr.constant(start),)
    return replace(loop, upper=bound), replace(loop, lower=bound)


def _without(loop: For, inner: For) -> For:
    """A copy without a loop inside, and with what is then innermost pipelined."""

    def visit(op: Op) -> Op | Block | None:
        if isinstance(op, For) and op.iv is inner.iv:
            return ()
        if isinstance(op, For) and not any(isinstance(x, For) for x in walk(op.body)):
            return replace(op, attrs=replace(op.attrs, pipeline_ii=1))
        return None

    (copy,) = clone(map_block((loop,), visit))
    assert isinstance(copy, For)
    return copy
