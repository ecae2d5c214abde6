"""Schedules in which the nests and calls of a kernel overlap, through FIFOs where these fit.

The published designs do this by hand in the generated C++, but for 2mm and 3mm, where it is part of
the schedules (see :mod:`.published`).  ``OVERLAPPED[kernel](sizes)`` gives the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import allo_rtl as allo

from . import kernels
from .published import three_mm, two_mm

type Sizes = Sequence[int]


def atax(sizes: Sizes) -> allo.Schedule:
    """Each element of A @ x goes on to the second product as soon as it is summed up."""
    s = allo.customize(kernels.atax, instantiate=list(sizes))
    s.buffer_at("stage_M:out_Ax", "stage_M:m")
    s.pipeline("stage_M:r")
    s.reorder("stage_N:k", "stage_N:n")
    s.pipeline("stage_N:n")
    s.to(s.out_Ax, "stage_N", depth=2)
    return s


def bicg(sizes: Sizes) -> allo.Schedule:
    """Two products that have nothing to do with each other."""
    s = allo.customize(kernels.bicg, instantiate=list(sizes))
    s.pipeline("stage_S:j0")
    s.pipeline("stage_Q:j1")
    s.dataflow("bicg")
    return s


def gesummv(sizes: Sizes) -> allo.Schedule:
    """Both sums of a row go on to the last nest."""
    s = allo.customize(kernels.gesummv, instantiate=list(sizes))
    s.buffer_at(s.left, "i")
    s.buffer_at(s.right, "i")
    s.pipeline("j")
    s.pipeline("i0")
    s.to(s.left, "sum", depth=2)
    s.to(s.right, "sum", depth=2)
    return s


def streaming_two_mm(sizes: Sizes) -> allo.Schedule:
    """The published one, and the sum of both products as they come."""
    s = two_mm(sizes)
    s.to(s.out_ABC, "ele_add", depth=8)
    return s


OVERLAPPED: dict[str, Callable[[Sizes], allo.Schedule]] = {
    "atax": atax, "bicg": bicg, "gesummv": gesummv, "two_mm": streaming_two_mm,
    "three_mm": three_mm,
}  # fmt: skip
