"""Every kernel computes the same on the evaluator, the CPU and in RTL, in the predicted cycles."""

import kernels as k
import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl import Partition


def plain(s):
    pass


def pipelined(name):
    def apply(s):
        s.pipeline(name)

    return apply


def gemm_rows(s):
    s.reorder("k", "j")
    s.pipeline("j")


def gemm_lanes(s):
    s.reorder("k", "j")
    s.split("j", 2)
    s.unroll("j.inner")
    s.pipeline("j.outer")
    s.partition(s.B, Partition.Cyclic, dim=2, factor=2)
    s.partition(s.C, Partition.Cyclic, dim=2, factor=2)


def gemm_odd_split(s):
    s.split("i", 4)
    s.reorder("k", "j")
    s.pipeline("j")


def gemm_fused(s):
    s.fuse("i", "j")
    s.pipeline("k")


def windows(s):
    s.pipeline("x")
    s.partition(s.A, dim=0)
    s.partition(s.K, dim=0)


def matvec_banks(s):
    s.partition(s.A, Partition.Block, dim=2, factor=4)
    s.partition(s.x, dim=1)
    s.unroll("k", 4)


CASES = [
    (k.gemm, plain), (k.gemm, gemm_rows), (k.gemm, gemm_lanes), (k.gemm, gemm_odd_split),
    (k.gemm, gemm_fused),
    (k.matvec, plain), (k.matvec, pipelined("k")), (k.matvec, pipelined("i")),
    (k.matvec, matvec_banks),
    (k.conv3x3, plain), (k.conv3x3, pipelined("x")), (k.conv3x3, windows),
    (k.fir, plain), (k.fir, pipelined("n")), (k.fir, pipelined("t")),
    (k.prefix_sum, plain), (k.prefix_sum, pipelined("i")),
    (k.histogram, plain), (k.histogram, pipelined("i")),
    (k.transpose, plain), (k.transpose, pipelined("j")),
    (k.odd_dot, plain), (k.odd_dot, pipelined("i")),
    (k.triangle, plain), (k.triangle, pipelined("j")), (k.triangle, pipelined("i")),
    (k.sum_squares, plain), (k.sum_squares, pipelined("i")),
    (k.two_level, plain),
    (k.branches, plain), (k.branches, pipelined("i")),
    (k.max_and_place, plain), (k.max_and_place, pipelined("i")),
    (k.divisions, plain), (k.divisions, pipelined("i")),
    (k.shifts, pipelined("i")),
    (k.wide, plain), (k.wide, pipelined("i")),
]


@pytest.mark.parametrize(
    ("kernel", "schedule"), CASES, ids=[f"{f.__name__}-{s.__name__}" for f, s in CASES]
)
def test_builds_agree(kernel, schedule):
    s = allo.customize(kernel)
    original = s.module
    schedule(s)
    check(s, original=original)


@pytest.mark.parametrize("schedule", [plain, pipelined("i")])
def test_a_bound_may_depend_on_data(schedule):
    s = allo.customize(k.bounded)
    schedule(s)
    rtl = check(s, limits={"n": (-3, 16)}, seeds=range(6))
    assert rtl.predicted_cycles is None
    A = np.arange(16, dtype=np.int32)
    assert rtl(A, 0) == 0
    empty = rtl.measured_cycles
    assert rtl(A, 16) == 120
    assert rtl.measured_cycles > empty


@pytest.mark.parametrize("device", ["ice40-up5k", "gw1n-9"])
def test_another_device_and_clock_changes_cycles_and_not_results(device):
    s = allo.customize(k.gemm)
    gemm_rows(s)
    slow = check(s, device=device, clock_mhz=10)
    fast = check(s, device=device, clock_mhz=60)
    assert fast.predicted_cycles > slow.predicted_cycles
