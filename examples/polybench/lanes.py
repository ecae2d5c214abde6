"""Schedules that start as many products a cycle as there are multipliers.

``LANES[kernel](sizes, lanes)`` gives the schedule, with ``lanes`` the multipliers wanted in each
stage (fewer where that number does not divide its loop).  A floating-point addition takes several
cycles, so a sum cannot go on in the next cycle: the loop over its terms is moved outside, and
sums that do not depend on each other take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import allo_rtl as allo
from allo_rtl.ir.types import Partition

from . import kernels

type Sizes = Sequence[int]

TURNS = 10
"""Sums that take turns, at least: cycles from the reading of a sum until it may be read again."""


def divisor(extent: int, most: int) -> int:
    """The largest divisor of ``extent``, smaller than itself, up to ``most``."""
    return max((n for n in range(1, min(most, extent - 1) + 1) if extent % n == 0), default=1)


def _banks(s: allo.Schedule, lanes: int, *arrays: tuple[str, int]) -> None:
    """A memory for each lane, of arrays and their dimensions."""
    for array, dim in arrays if lanes > 1 else ():
        s.partition(array, Partition.Cyclic, dim=dim, factor=lanes)


def _cut(s: allo.Schedule, loop: str, extent: int, lanes: int) -> int:
    """Pipeline a loop, up to ``lanes`` of its iterations at once; returns how many."""
    lanes = divisor(extent, lanes)
    if lanes > 1:
        s.split(loop, lanes)
    s.pipeline(f"{loop}.outer" if lanes > 1 else loop)
    return lanes


def _turns(s: allo.Schedule, row: str, term: str, extent: int, at_once: int) -> None:
    """Rows take turns where the sums of one are not enough: ``at_once`` of them in a row."""
    rows = next((n for n in range(1, extent) if extent % n == 0 and n * at_once >= TURNS), extent)
    if rows == 1:
        return
    if rows == extent:
        s.reorder(term, row)
    else:
        s.split(row, rows)
        s.reorder(term, f"{row}.inner")


def _product(s: allo.Schedule, loops: str, sizes: Sizes, lanes: int, B: str, out: str) -> None:
    """out = A @ B for loops i, j, k, columns in lanes."""
    i, j, k = loops.split()
    s.reorder(k, j)
    found = divisor(sizes[1], lanes)
    _turns(s, i, k, sizes[0], sizes[1] // found)
    _cut(s, j, sizes[1], lanes)
    _banks(s, found, (B, 2), (out, 2))


def _elements(s: allo.Schedule, loop: str, found: int, *arrays: tuple[str, int]) -> None:
    """A few elements at once; their number divides the lanes of the sums, as banks have to."""
    few = divisor(found, 5)
    if few > 1:
        s.split(loop, few)
    s.pipeline(f"{loop}.outer" if few > 1 else loop)
    _banks(s, few, *arrays)


def two_mm(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    P, _, R, S = sizes
    s = allo.customize(kernels.two_mm, instantiate=list(sizes))
    _product(s, "mm1:i mm1:j mm1:k", (P, R), lanes[0], "B", "mm1:out")
    _product(s, "mm2:i mm2:j mm2:k", (P, S), lanes[-1], "C", "mm2:out")
    _elements(s, "ele_add:j2", divisor(S, lanes[-1]), ("ele_add:Y", 2), ("ele_add:out", 2))
    return s


def three_mm(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    P, _, R, _, T = sizes
    s = allo.customize(kernels.three_mm, instantiate=list(sizes))
    _product(s, "mm1:i mm1:j mm1:k", (P, R), lanes[0], "B", "mm1:out")
    _product(s, "mm2:i mm2:j mm2:k", (R, T), lanes[1], "mm2:B", "mm2:out")
    third = divisor(T, lanes[2])
    s.reorder("mm3:k", "mm3:j")
    _turns(s, "mm3:i", "mm3:k", P, T // third)
    _cut(s, "mm3:j", T, lanes[2])
    _banks(s, third, ("mm3:out", 2))
    return s


def gemm(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    s = allo.customize(kernels.gemm, instantiate=list(sizes))
    _product(s, "i0 j0 k0", (sizes[0], sizes[2]), lanes[0], "B", "out_AB")
    _elements(s, "j2", divisor(sizes[2], lanes[0]), ("C", 2), ("out", 2))
    return s


def atax(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.atax, instantiate=[M, N])
    s.reorder("stage_M:r", "stage_M:m")
    first = _cut(s, "stage_M:m", M, lanes[0])
    _banks(s, first, ("A", 1), ("out_Ax", 1))
    s.reorder("stage_N:k", "stage_N:n")
    second = _cut(s, "stage_N:n", N, lanes[1])
    _banks(s, second, ("A_again", 2), ("stage_N:y", 1))
    return s


def bicg(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.bicg, instantiate=[M, N])
    first = _cut(s, "stage_S:j0", N, lanes[0])
    _banks(s, first, ("A", 2), ("stage_S:s", 1))
    s.reorder("stage_Q:j1", "stage_Q:i1")
    second = _cut(s, "stage_Q:i1", M, lanes[1])
    _banks(s, second, ("A_again", 1), ("stage_Q:q", 1))
    return s


def gesummv(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    (N,) = sizes
    s = allo.customize(kernels.gesummv, instantiate=[N])
    s.reorder("j", "i")
    found = _cut(s, "i", N, lanes[0])
    _banks(s, found, ("A", 1), ("B", 1), ("left", 1), ("right", 1))
    s.pipeline("i0")
    return s


def mvt(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    """All terms of a sum at once, as in the published design: a new sum every cycle."""
    s = allo.customize(kernels.mvt, instantiate=list(sizes))
    s.pipeline("i0")
    s.partition(s.A, dim=2)
    s.partition(s.y1)
    s.pipeline("i1")
    s.partition(s.A_again, dim=1)
    s.partition(s.y2)
    return s


def jacobi_2d(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    from .published import jacobi_2d

    return jacobi_2d(sizes)


def symm(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.symm, instantiate=[M, N])
    s.reorder("compute_sum:k1", "compute_sum:j1")
    found = divisor(N, lanes[0])
    _turns(s, "compute_sum:i1", "compute_sum:k1", M, N // found)
    for loop in ("compute_sum:j1", "update_sum:j"):
        _cut(s, loop, N, found)
    _elements(s, "scale_C:j2", found, ("C", 2), ("out", 2))
    _banks(s, found, ("B", 2), ("B_again", 2), ("summ", 2))
    return s


def syrk(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    return _rank_update(kernels.syrk, sizes, lanes, ("A_again",))


def syr2k(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    return _rank_update(kernels.syr2k, sizes, lanes, ("A_again", "B_again"))


def _rank_update(
    kernel: Callable, sizes: Sizes, lanes: Sequence[int], by_column: Sequence[str]
) -> allo.Schedule:
    _, N = sizes
    s = allo.customize(kernel, instantiate=list(sizes))
    s.reorder("k1", "j1")
    found = divisor(N, lanes[0])
    _turns(s, "i1", "k1", N, N // found)
    _cut(s, "j1", N, found)
    _elements(s, "j0", found, ("C", 2), ("scaled", 2))
    _elements(s, "j2", found, ("out", 2))
    _banks(s, found, ("buffer", 2), *((array, 1) for array in by_column))
    return s


def trmm(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    """The sums of a row take turns; rows cannot, since each uses those below it."""
    M, N = sizes
    s = allo.customize(kernels.trmm_rows, instantiate=[M, N])
    found = _cut(s, "j", N, min(lanes[0], max(1, N // TURNS)))
    _elements(s, "j0", found)
    _elements(s, "j1", found)
    _banks(s, found, ("B", 2), ("row", 1))
    return s


def correlation(sizes: Sizes, lanes: Sequence[int]) -> allo.Schedule:
    M, N = sizes
    s = allo.customize(kernels.correlation, instantiate=[M, N])
    for loop in ("compute_mean:m", "compute_mean:m1", "compute_stddev:m", "compute_stddev:m1",
                 "center_reduce:m"):  # fmt: skip
        s.pipeline(loop)
    s.reorder("compute_corr:k", "compute_corr:j")
    found = divisor(M, lanes[0])
    _turns(s, "compute_corr:i", "compute_corr:k", M, M // found)
    _cut(s, "compute_corr:j", M, found)
    _banks(s, found, ("centred", 2), ("compute_corr:corr", 2))
    s.pipeline("compute_corr:j1")
    return s


LANES: dict[str, Callable[[Sizes, Sequence[int]], allo.Schedule]] = {
    f.__name__: f
    for f in (
        two_mm, three_mm, gemm, atax, bicg, gesummv, mvt, jacobi_2d, symm, syrk, syr2k, trmm,
        correlation,
    )
}  # fmt: skip
