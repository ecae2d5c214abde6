"""The schedules of the published designs, primitive by primitive, on correct kernels.

``PUBLISHED[kernel](sizes)`` gives the schedule.  Edits made by hand to the generated C++ of those
designs are not part of them.  One primitive is refused: trmm's ``buffer_at``, see :func:`trmm`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import allo_rtl as allo
from allo_rtl.ir.types import Partition

from . import kernels

type Sizes = Sequence[int]


def _matmul(kernel: Callable, sizes: Sizes) -> allo.Schedule:
    """The matrix product of 2mm and 3mm: a row of sums on chip, a row of products at once."""
    s = allo.customize(kernel, instantiate=list(sizes))
    s.reorder("k", "j")
    s.buffer_at(s.out, "i")
    s.pipeline("k")
    s.dataflow("i")
    return s


def two_mm(sizes: Sizes) -> allo.Schedule:
    P, Q, R, S = sizes
    add = allo.customize(kernels.ele_add, instantiate=[P, S])
    add.pipeline("j2")
    s = allo.customize(kernels.two_mm, instantiate=list(sizes))
    s.compose(_matmul(kernels.mm1, (P, R, Q)))
    s.compose(_matmul(kernels.mm2, (P, S, R)))
    s.compose(add)
    s.to(s.out_AB, "mm2")
    s.dataflow("mm1")
    s.dataflow("mm2")
    return s


def three_mm(sizes: Sizes) -> allo.Schedule:
    P, Q, R, S, T = sizes
    s = allo.customize(kernels.three_mm, instantiate=list(sizes))
    s.compose(_matmul(kernels.mm1, (P, R, Q)))
    s.compose(_matmul(kernels.mm2, (R, T, S)))
    s.compose(_matmul(kernels.mm3, (P, T, R)))
    s.partition(s.B, dim=2)
    s.partition(s.C, dim=2)
    s.partition(s.out_CD, dim=0)
    for name in ("mm1", "mm2", "mm3"):
        s.dataflow(name)
    return s


def gemm(sizes: Sizes) -> allo.Schedule:
    s = allo.customize(kernels.gemm, instantiate=list(sizes))
    s.reorder("k0", "j0")
    s.buffer_at(s.out_AB, "i0")
    s.pipeline("k0")
    s.pipeline("j2")
    return s


def atax(sizes: Sizes) -> allo.Schedule:
    first = allo.customize(kernels.stage_M, instantiate=list(sizes))
    first.reorder("r", "m")
    first.pipeline("m")
    second = allo.customize(kernels.stage_N, instantiate=list(sizes))
    second.reorder("k", "n")
    second.pipeline("n")
    s = allo.customize(kernels.atax, instantiate=list(sizes))
    s.compose([first, second])
    return s


def bicg(sizes: Sizes) -> allo.Schedule:
    first = allo.customize(kernels.stage_S, instantiate=list(sizes))
    first.pipeline("i0")
    first.partition(first.A, dim=2)
    first.partition(first.s)
    second = allo.customize(kernels.stage_Q, instantiate=list(sizes))
    second.reorder("j1", "i1")
    second.pipeline("j1")
    second.partition(second.A, dim=1)
    second.partition(second.q)
    s = allo.customize(kernels.bicg, instantiate=list(sizes))
    s.compose([first, second])
    return s


def correlation(sizes: Sizes) -> allo.Schedule:
    mean = allo.customize(kernels.compute_mean, instantiate=list(sizes))
    mean.pipeline("x")
    mean.partition(mean.data, dim=2)
    mean.partition(mean.mean)
    stddev = allo.customize(kernels.compute_stddev, instantiate=list(sizes))
    stddev.pipeline("x")
    stddev.partition(stddev.data, dim=2)
    stddev.partition(stddev.stddev)
    centre = allo.customize(kernels.center_reduce, instantiate=list(sizes))
    centre.pipeline("x")
    centre.partition(centre.data, dim=2)
    corr = allo.customize(kernels.compute_corr, instantiate=list(sizes))
    corr.pipeline("j")
    s = allo.customize(kernels.correlation, instantiate=list(sizes))
    s.compose([mean, stddev, centre, corr])
    return s


def gesummv(sizes: Sizes) -> allo.Schedule:
    s = allo.customize(kernels.gesummv, instantiate=list(sizes))
    s.reorder("j", "i")
    s.pipeline("i0")
    return s


def _sweep(kernel: Callable, size: int, rows: str, columns: str, source: str) -> allo.Schedule:
    """Line buffers and a window, both in registers; a whole row at once."""
    s = allo.customize(kernel, instantiate=[size])
    line = s.reuse_at(source, rows)
    window = s.reuse_at(line, columns)
    s.pipeline(rows)
    s.partition(line)
    s.partition(window)
    return s


def jacobi_2d(sizes: Sizes) -> allo.Schedule:
    s = allo.customize(kernels.jacobi_2d, instantiate=list(sizes))
    s.compose(_sweep(kernels.compute_B, sizes[1], "i0", "j0", "A"))
    s.compose(_sweep(kernels.compute_A, sizes[1], "i1", "j1", "B"))
    s.partition(s.A, dim=2)
    s.partition(s.B, dim=2)
    return s


def mvt(sizes: Sizes) -> allo.Schedule:
    s = allo.customize(kernels.mvt, instantiate=list(sizes))
    s.pipeline("i0")
    s.partition(s.A, dim=2)
    s.partition(s.y1)
    s.pipeline("i1")
    s.partition(s.A_again, dim=1)
    s.partition(s.y2)
    return s


def symm(sizes: Sizes) -> allo.Schedule:
    M, N = sizes
    total = allo.customize(kernels.compute_sum, instantiate=[M, N])
    total.reorder("k1", "j1")
    total.buffer_at(total.summ, "i1")
    total.pipeline("j1")
    total.unroll("j1", _divisor(N, 30))
    scale = allo.customize(kernels.scale_C, instantiate=[M, N])
    scale.pipeline("j2")
    update = allo.customize(kernels.update_sum, instantiate=[M, N])
    update.pipeline("k")
    s = allo.customize(kernels.symm, instantiate=[M, N])
    s.compose([total, scale, update])
    s.partition(s.C, dim=2)
    s.partition(s.out, dim=2)
    s.partition(s.B, Partition.Cyclic, dim=2, factor=min(24, N))
    s.partition(s.B_again, dim=2)
    s.partition(s.summ, dim=2)
    return s


def syrk(sizes: Sizes) -> allo.Schedule:
    s = allo.customize(kernels.syrk, instantiate=list(sizes))
    s.reorder("k1", "j1")
    for loop in ("i0", "k1", "i2"):
        s.pipeline(loop)
    for array in (s.C, "scaled", "buffer", s.out):
        s.partition(array, dim=2)
    s.partition(s.A_again, dim=1)
    return s


def syr2k(sizes: Sizes) -> allo.Schedule:
    s = allo.customize(kernels.syr2k, instantiate=list(sizes))
    s.reorder("k1", "j1")
    for loop in ("i0", "k1", "i2"):
        s.pipeline(loop)
    for array in (s.C, "scaled", "buffer", s.out):
        s.partition(array, dim=2)
    for array in (s.A_again, s.B_again):
        s.partition(array, dim=1)
    return s


def trmm(sizes: Sizes) -> allo.Schedule:
    """Without ``buffer_at(B, i1)``, which is refused.

    Row i1 of B is summed up from the rows below it, of the same array: a buffer of one row, as
    the published design has it, does not hold them.  Accumulating in B itself is as fast, since
    the sums of a row are independent.
    """
    M, N = sizes
    s = allo.customize(kernels.trmm, instantiate=[M, N])
    lanes = _divisor(N, 20)
    s.partition(s.B, Partition.Cyclic, dim=2, factor=lanes)
    s.reorder("k1", "j1")
    for loop in ("j1", "j0"):
        s.pipeline(loop)
        s.unroll(loop, lanes)
    return s


def _divisor(extent: int, most: int) -> int:
    """The most copies of a loop, up to ``most``, that divide its iterations."""
    return max(n for n in range(1, most + 1) if extent % n == 0)


PUBLISHED: dict[str, Callable[[Sizes], allo.Schedule]] = {
    f.__name__: f
    for f in (
        two_mm, three_mm, gemm, atax, bicg, gesummv, mvt, jacobi_2d, symm, syrk, syr2k, trmm,
        correlation,
    )
}  # fmt: skip
