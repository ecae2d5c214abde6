"""Schedules that start as many products a cycle as there are multipliers.

``LANES[kernel](sizes, lanes)`` gives the schedule, with ``lanes`` the multipliers wanted (fewer
where no block of that many products divides the loops), or the block itself.  A floating-point
addition takes several cycles, so a sum cannot go on in the next cycle: the loop over its terms is
moved outside, and sums that do not depend on each other take turns.  Where there are too few sums
for that (REASSOCIATED), several terms of each are added in a tree.

Kernels that call others are inlined, so that their stages share the multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt

import allo_rtl as allo
from allo_rtl.ir.ops import For
from allo_rtl.ir.types import Partition

from . import kernels

type Sizes = Sequence[int]
type Lanes = Sequence[int | tuple[int, int]]

TURNS = 4
"""Sums that take turns, at least: cycles of an addition."""

REASSOCIATED = frozenset({"atax", "bicg", "mvt"})
"""Kernels whose sums are rounded in another order."""


def divisors(extent: int) -> list[int]:
    return [n for n in range(1, extent + 1) if extent % n == 0]


def divisor(extent: int, most: int) -> int:
    """The largest divisor of ``extent`` up to ``most``."""
    return max(n for n in divisors(extent) if n <= max(1, most))


def tile(rows: int, columns: int, wanted: int | tuple[int, int]) -> tuple[int, int]:
    """The largest block of so many elements that divides both extents, as square as can be."""
    if isinstance(wanted, tuple):
        return min(wanted[0], rows), min(wanted[1], columns)
    blocks = [(r, c) for r in divisors(rows) for c in divisors(columns) if r * c <= max(1, wanted)]
    return max(blocks, key=lambda b: (b[0] * b[1], -b[0] - b[1]))


@dataclass(frozen=True)
class Blocks:
    """A loop cut in blocks: the loop over them, and the one inside; None for what there is not."""

    outer: str | None
    inner: str | None


def _blocks(s: allo.Schedule, loop: str, extent: int, block: int) -> Blocks:
    if block == 1:
        return Blocks(loop, None)
    if block == extent:
        return Blocks(None, loop)
    s.split(loop, block)
    return Blocks(f"{loop}.outer", f"{loop}.inner")


def _ordered(s: allo.Schedule, outer: Sequence[str | None], inner: Sequence[str | None]) -> None:
    """The loops in this order; the last of the outer ones is to be pipelined."""
    loops = [x for x in (*outer, *inner) if x]
    if len(loops) > 1:
        s.reorder(*loops)


def _pipeline(s: allo.Schedule, loops: Sequence[str | None]) -> None:
    found = [x for x in loops if x]
    if found:
        s.pipeline(found[-1])


def _banks(s: allo.Schedule, *arrays: tuple[str, int, int]) -> None:
    """Memories for the lanes: of arrays, their dimensions, and how many along each."""
    for array, dim, lanes in arrays:
        if lanes > 1:
            s.partition(array, Partition.Cyclic, dim=dim, factor=lanes)


def _product(
    s: allo.Schedule, loops: str, extents: Sizes, wanted: int | tuple[int, int]
) -> tuple[int, int]:
    """out = A @ B for loops i, j, k: a block of ``out`` at once; answers the block."""
    i, j, k = loops.split()
    rows, columns = tile(extents[0], extents[1], wanted)
    row, column = _blocks(s, i, extents[0], rows), _blocks(s, j, extents[1], columns)
    turns = -(-extents[1] // columns)
    outer = (row.outer, k, column.outer) if turns >= TURNS else (k, row.outer, column.outer)
    _ordered(s, outer, (row.inner, column.inner))
    _pipeline(s, outer)
    return rows, columns


def _triangle(
    s: allo.Schedule, loops: str, extents: Sizes, wanted: int | tuple[int, int]
) -> tuple[int, int]:
    """Sums in a triangle, loops i, j, k: a block at once, the terms outermost; answers the block.

    The blocks that the triangle touches take turns, each time as many: all sums go on in steps of
    the same length.
    """
    i, j, k = loops.split()
    rows, columns = tile(extents[0], extents[1], wanted)
    row, column = _blocks(s, i, extents[0], rows), _blocks(s, j, extents[1], columns)
    outer = (k, row.outer, column.outer)
    _ordered(s, outer, (row.inner, column.inner))
    _pipeline(s, outer)
    return rows, columns


def _elements(
    s: allo.Schedule, loops: str, extents: Sizes, wanted: int | tuple[int, int]
) -> tuple[int, int]:
    """A block of elements at once; answers the block."""
    i, j = loops.split()
    rows, columns = tile(extents[0], extents[1], wanted)
    row, column = _blocks(s, i, extents[0], rows), _blocks(s, j, extents[1], columns)
    _ordered(s, (row.outer, column.outer), (row.inner, column.inner))
    _pipeline(s, (row.outer, column.outer))
    return rows, columns


def _vector(
    s: allo.Schedule, sums: str, terms: str, extents: Sizes, block: tuple[int, int]
) -> tuple[int, int]:
    """Sums over a matrix: so many at once, and so many terms of each, fewer if none divide."""
    wide, deep = min(block[0], extents[0]), divisor(extents[1], block[1])
    row, term = _blocks(s, sums, extents[0], wide), _blocks(s, terms, extents[1], deep)
    outer = (term.outer, row.outer)
    _ordered(s, outer, (row.inner, term.inner))
    if term.inner:
        s.partial_sums(term.inner)
    _pipeline(s, outer)
    return wide, deep


def _pairs(block: tuple[int, int], *arrays: str) -> list[tuple[str, int, int]]:
    """Banks of matrices for a block."""
    return [(array, dim, n) for array in arrays for dim, n in enumerate(block, 1)]


def two_mm(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    P, _, R, S = sizes
    s = allo.customize(kernels.two_mm, instantiate=list(sizes))
    s.inline()
    first = _product(s, "mm1.i mm1.j mm1.k", (P, R), lanes[0])
    second = _product(s, "mm2.i mm2.j mm2.k", (P, S), lanes[-1])
    few = _elements(s, "i2 j2", (P, S), second[0] * second[1] // 2)
    _banks(s, ("A", 1, first[0]), ("B", 2, first[1]), *_pairs(first, "out_AB"))
    _banks(s, ("C", 2, second[1]), *_pairs(second, "out_ABC"), *_pairs(few, "D", "out"))
    return s


def three_mm(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    P, _, R, _, T = sizes
    s = allo.customize(kernels.three_mm, instantiate=list(sizes))
    s.inline()
    first = _product(s, "mm1.i mm1.j mm1.k", (P, R), lanes[0])
    second = _product(s, "mm2.i mm2.j mm2.k", (R, T), lanes[1])
    third = _product(s, "mm3.i mm3.j mm3.k", (P, T), lanes[2])
    _banks(s, ("A", 1, first[0]), ("B", 2, first[1]), *_pairs(first, "out_AB"))
    _banks(s, ("C", 1, second[0]), ("D", 2, second[1]), *_pairs(second, "out_CD"))
    _banks(s, *_pairs(third, "out"))
    return s


def gemm(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    s = allo.customize(kernels.gemm, instantiate=list(sizes))
    block = _product(s, "i0 j0 k0", (sizes[0], sizes[2]), lanes[0])
    few = _elements(s, "i2 j2", (sizes[0], sizes[2]), block[0] * block[1] // 2)
    _banks(s, ("A", 1, block[0]), ("B", 2, block[1]), *_pairs(block, "out_AB"))
    _banks(s, *_pairs(few, "C", "out"))
    return s


def gemm_scaled(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    """PolyBench's own order: no zeroed array, and alpha takes one more multiplier for each row."""
    s = allo.customize(kernels.gemm_scaled, instantiate=list(sizes))
    block = _product(s, "i0 j0 k0", (sizes[0], sizes[2]), lanes[0])
    _elements(s, "i1 j1", (sizes[0], sizes[2]), block)
    _banks(s, ("A", 1, block[0]), ("B", 2, block[1]), *_pairs(block, "C"))
    return s


def atax(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.atax, instantiate=[M, N])
    s.inline()
    first = _vector(s, "m", "r", (M, N), _block(lanes[0]))
    second = _vector(s, "n", "k", (N, M), _block(lanes[-1]))
    _banks(s, ("A", 1, first[0]), ("A", 2, first[1]), ("x", 1, first[1]), ("out_Ax", 1, first[0]))
    _banks(s, ("A_again", 2, second[0]), ("A_again", 1, second[1]), ("y", 1, second[0]))
    return s


def bicg(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    """Both products at the same time."""
    M, N = sizes
    s = allo.customize(kernels.bicg, instantiate=[M, N])
    s.inline()
    first = _vector(s, "j0", "i0", (N, M), _block(lanes[0]))
    second = _vector(s, "i1", "j1", (M, N), _block(lanes[-1]))
    s.overlap(*_outermost(s))
    _banks(s, ("A", 2, first[0]), ("A", 1, first[1]), ("r", 1, first[1]), ("s", 1, first[0]))
    _banks(s, ("A_again", 1, second[0]), ("A_again", 2, second[1]), ("p", 1, second[1]),
           ("q", 1, second[0]))  # fmt: skip
    return s


def _block(lanes: int | tuple[int, int]) -> tuple[int, int]:
    """So many sums at once, one term of each, where nothing else is said."""
    return lanes if isinstance(lanes, tuple) else (lanes, 1)


def _outermost(s: allo.Schedule) -> list[str]:
    """The outermost loops of the kernel, in order."""
    body = s.module.top_func.body
    return [f"{op.attrs.band}.{op.name}" for op in body if isinstance(op, For)]


def gesummv(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    (N,) = sizes
    s = allo.customize(kernels.gesummv, instantiate=[N])
    wanted = lanes[0] if isinstance(lanes[0], int) else lanes[0][0]
    rows, _ = _vector(s, "i", "j", (N, N), (divisor(N, wanted), 1))
    last = _blocks(s, "i0", N, rows)
    _pipeline(s, (last.outer,))
    _banks(s, *((array, 1, rows) for array in ("A", "B", "left", "right", "y")))
    return s


def mvt(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    """Both products at the same time."""
    (N,) = sizes
    s = allo.customize(kernels.mvt_in_place, instantiate=[N])
    first = _vector(s, "i0", "j0", (N, N), _block(lanes[0]))
    second = _vector(s, "i1", "j1", (N, N), _block(lanes[-1]))
    s.overlap(*_outermost(s))
    _banks(s, ("A", 1, first[0]), ("A", 2, first[1]), ("y1", 1, first[1]), ("x1", 1, first[0]))
    _banks(s, ("A_again", 2, second[0]), ("A_again", 1, second[1]), ("y2", 1, second[1]),
           ("x2", 1, second[0]))  # fmt: skip
    return s


def jacobi_2d(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    from .published import jacobi_2d

    s = jacobi_2d(sizes)
    s.inline()
    return s


def symm(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.symm, instantiate=[M, N])
    s.inline()
    rows, columns = _triangle(s, "sum.i1 sum.j1 sum.k1", (M, N), lanes[0])
    _triangle(s, "k j i", (M, N), lanes[0])
    few = divisor(columns, rows * columns // 3)
    _elements(s, "i2 j2", (M, N), (1, few))
    _banks(s, ("A", 1, rows), ("A_again", 2, rows), *_pairs((rows, columns), "summ"))
    _banks(s, ("B", 2, columns), ("B_again", 2, columns), ("C", 2, few), ("out", 2, few))
    return s


def _row(extent: int, lanes: int | tuple[int, int]) -> tuple[int, int]:
    """A block of one row; as many columns as divide the extent, up to ``lanes``."""
    return (1, divisor(extent, lanes if isinstance(lanes, int) else lanes[1]))


def syrk(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    return _rank_update(kernels.syrk, sizes, lanes, "A")


def syr2k(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    return _rank_update(kernels.syr2k, sizes, lanes, "AB")


def _rank_update(
    kernel: Callable, sizes: Sizes, lanes: Lanes, factors: str
) -> allo.Schedule:
    _, N = sizes
    s = allo.customize(kernel, instantiate=list(sizes))
    block = _triangle(s, "i1 j1 k1", (N, N), lanes[0])
    for loops in ("i0 j0", "i2 j2"):
        _elements(s, loops, (N, N), block if block[0] < N else (1, block[1]))
    _banks(s, *_pairs(block, "buffer", "C", "scaled", "out"))
    for factor in factors:
        _banks(s, (factor, 1, block[0]), (f"{factor}_again", 1, block[1]))
    return s


def trmm(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    """The sums of a row take turns; rows cannot, since each uses those below it."""
    M, N = sizes
    s = allo.customize(kernels.trmm_rows, instantiate=[M, N])
    _, found = _row(N, lanes[0])
    for loop in ("j0", "j", "j1"):
        column = _blocks(s, loop, N, found)
        _pipeline(s, ("k" if loop == "j" else None, column.outer))
    _banks(s, ("B", 2, found), ("row", 1, found))
    return s


def correlation(sizes: Sizes, lanes: Lanes) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.correlation, instantiate=[M, N])
    s.inline()
    side = tile(M, M, lanes[0])[1] if isinstance(lanes[0], tuple) else _side(M, lanes[0])
    for loop in ("S_m1_2.m1", "S_m1_2_1.m1"):
        s.pipeline(loop)
    rows = (
        ("S_x_0.x", "S_x_0.m"), ("S_x_0_1.x", "S_x_0_1.m"), ("centre.x", "centre.m"), ("i1", "j1"),
    )  # fmt: skip
    for around, loop in rows:
        _pipeline(s, (around, _blocks(s, loop, M, side).outer))
    _triangle(s, "corr.i corr.j corr.k", (M, M), (side, side))
    _banks(s, *((array, 2, side) for array in ("data", "data_again", "data_third", "centred")))
    _banks(s, *_pairs((side, side), "corr"))
    _banks(s, *((array, 1, side) for array in ("total", "total_1", "mean", "stddev")))
    return s


def _side(extent: int, lanes: int) -> int:
    """Of the largest square of so many elements whose side divides the extent."""
    return divisor(extent, isqrt(lanes))


LANES: dict[str, Callable[[Sizes, Lanes], allo.Schedule]] = {
    f.__name__: f
    for f in (
        two_mm, three_mm, gemm, gemm_scaled, atax, bicg, gesummv, mvt, jacobi_2d, symm, syrk,
        syr2k, trmm, correlation,
    )
}  # fmt: skip
