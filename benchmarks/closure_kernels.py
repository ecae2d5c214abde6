"""Kernels of many kinds, plainly written and scheduled, for the benchmark of timing closure."""

from __future__ import annotations

from collections.abc import Callable

import allo_rtl as allo
from allo_rtl.ir.types import Fixed, Partition, float32, int8, int16, int32, uint8, uint16
from allo_rtl.schedule.schedule import Schedule
from benchmarks import polybench_u32
from benchmarks.handwritten import fir_schedule, gemm_schedule, sobel_schedule

fixed = Fixed(18, 12)


def gemm8(A: int8[16, 16], B: int8[16, 16], C: int32[16, 16]):
    for i, k, j in allo.grid(16, 16, 16):
        C[i, j] = (0 if k == 0 else C[i, j]) + A[i, k] * B[k, j]


def histogram(pixels: uint8[256], bins: uint16[256]):
    for i in range(256):
        bins[pixels[i]] += 1


def prefix(x: int32[64], y: int32[64]):
    total: int32 = 0
    for i in range(64):
        total += x[i]
        y[i] = total


def dot(x: float32[64], y: float32[64]) -> float32:
    total: float32 = 0.0
    for i in range(64):
        total += x[i] * y[i]
    return total


def ratios(a: int16[64], b: int16[64], q: int16[64], r: int16[64]):
    for i in range(64):
        d: int16 = 1 if b[i] == 0 else b[i]
        q[i] = a[i] / d
        r[i] = a[i] % d


def biquad(c: fixed[5], x: fixed[128], y: fixed[128]):
    x1: fixed = 0.0
    x2: fixed = 0.0
    y1: fixed = 0.0
    y2: fixed = 0.0
    for n in range(128):
        now: fixed = x[n]
        out: fixed = c[0] * now + c[1] * x1 + c[2] * x2 - c[3] * y1 - c[4] * y2
        x2 = x1
        x1 = now
        y2 = y1
        y1 = out
        y[n] = out


def gemm8_schedule() -> Schedule:
    """Four products a cycle, on arrays spread over four banks."""
    s = allo.customize(gemm8)
    s.unroll("j", 4)
    s.partition(s.B, Partition.Cyclic, dim=2, factor=4)
    s.partition(s.C, Partition.Cyclic, dim=2, factor=4)
    s.pipeline("j")
    return s


def biquad_schedule() -> Schedule:
    """A sample as often as the recurrence lets it."""
    s = allo.customize(biquad)
    s.partition(s.c, dim=1)
    s.pipeline("n")
    return s


def mvt_schedule() -> Schedule:
    """That of the benchmark of 19 kernels."""
    (case,) = (case for case in polybench_u32.CASES if case.name == "mvt")
    return polybench_u32.schedule(case)


def _pipelined(kernel: Callable[..., object]) -> Callable[[], Schedule]:
    def schedule() -> Schedule:
        s = allo.customize(kernel)
        s.pipeline("i")
        return s

    return schedule


KERNELS: dict[str, Callable[[], Schedule]] = {
    "gemm 8x8x8, int32": gemm_schedule,
    "gemm 16x16x16, int8, 4 lanes": gemm8_schedule,
    "mvt 8x8, uint32": mvt_schedule,
    "FIR, 8 taps, int16": fir_schedule,
    "Sobel 3x3, 32x32 bytes": sobel_schedule,
    "histogram of 256 bytes": _pipelined(histogram),
    "prefix sum, int32": _pipelined(prefix),
    "dot product, float32": _pipelined(dot),
    "quotients and remainders, int16": _pipelined(ratios),
    "biquad filter, Fixed(18, 12)": biquad_schedule,
}
"""What is built for every clock, by name."""
