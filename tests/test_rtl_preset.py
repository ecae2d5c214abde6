"""Variables that start with a constant: no cycle is spent on that, wherever they stand."""

import numpy as np
import pytest
from agreement import check
from handshake import back_to_back

import allo_rtl as allo
from allo_rtl.ir.types import int8, int32


def accumulators(A: int32[4, 4]) -> int32[4]:
    R: int32[4] = 0
    for i in range(4):
        total: int32 = 7
        for j in range(4):
            total += A[i, j]
        R[i] = total
    return R


def set_after_a_loop(A: int32[4], B: int32[4]) -> int32:
    """The last write of a loop and the constant come in the same cycle; the constant is later."""
    total: int32 = 1
    for i in range(4):
        total += A[i]
    total = 5
    for j in range(4):
        total += B[j]
    return total


def round_and_round(A: int32[4, 3]) -> int32:
    """What ends the outer loop's body writes what its next iteration sets."""
    total: int32 = 0
    last: int32 = 0
    for i in range(4):
        total = 3
        for j in range(3):
            total = total + A[i, j]
        for _ in range(3):
            last = last + total
        last = last & 0xFFFF
    return last


def in_branches(A: int32[4], n: int32) -> int32:
    total: int32 = 2
    if n > 0:
        total = 40
        for i in range(4):
            total += A[i]
    else:
        if n < -5:
            total = 60
    return total


def perhaps_no_iteration(A: int32[8], n: int8) -> int32:
    total: int32 = 4
    seen: int32 = 0
    for i in range(n, 6):
        total = 9
        for j in range(i, 4):
            total += A[j & 7]
        seen += total
    total = 1
    for _ in range(n, 3):
        total += 2
    return seen + total


def counting(n: int8) -> int32:
    steps: int32 = 0
    while steps < 10 and n > 0:
        inner: int32 = 1
        while inner < n:
            inner = inner * 2
        steps += inner
    return steps


LIMITS = {"n": (-8, 12)}


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize(
    "kernel",
    [accumulators, set_after_a_loop, round_and_round, in_branches, perhaps_no_iteration, counting],
    ids=lambda kernel: kernel.__name__,
)
def test_agreement(kernel, pipelined):
    s = allo.customize(kernel)
    if pipelined:
        for band in s.get_loops().bands.values():
            loop = list(band)[-1][1]
            s.pipeline(loop)
    check(s, seeds=range(6), limits=LIMITS, simulator="pysim")


def ends_with_the_variable(A: int32[4], R: int32[1]):
    total: int32 = 1
    for i in range(4):
        total += A[i]
        R[0] = total


def test_runs_without_a_pause():
    """A run sets its variables as it begins, in the last cycle of the run before."""
    s = allo.customize(ends_with_the_variable)
    s.pipeline("i")
    rtl = s.build(target="rtl")
    given = [np.array([[n], [2], [3], [4]], np.uint64) for n in range(3)]
    runs = [[words, np.zeros((1, 1), np.uint64)] for words in given]
    for run in back_to_back(rtl.design, runs):
        run.results()
    assert [int(run[1][0, 0]) for run in runs] == [10, 11, 12]


def test_no_cycle_is_spent():
    s = allo.customize(accumulators)
    s.pipeline("j")
    each = 5 + 1  # four iterations of two cycles that overlap; a store
    assert s.build(target="rtl").predicted_cycles == 4 * each
