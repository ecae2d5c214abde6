"""Accesses whose bank varies use only the banks they can touch, and wait only for those."""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.ir.types import Partition, int32, uint3

FAST = {"device": "ecp5-85", "clock_mhz": 50, "simulator": "pysim"}


@pytest.mark.parametrize(("rows", "lanes"), [(True, "i"), (False, "j")])
def test_lanes_in_different_rows_or_columns_do_not_meet(rows, lanes):
    def product(A: int32[4, 4], x: int32[4], y: int32[4]):
        for j in range(4):
            for i in range(4):
                y[i] += A[i, j] * x[j]

    def across(A: int32[4, 4], x: int32[4], y: int32[4]):
        for i in range(4):
            for j in range(4):
                y[j] += A[i, j] * x[i]

    s = allo.customize(product if rows else across)
    s.partition(s.A, Partition.Cyclic, dim=1, factor=2)
    s.partition(s.A, Partition.Cyclic, dim=2, factor=2)
    s.partition(s.y, Partition.Cyclic, dim=1, factor=2)
    s.unroll(lanes, 2)
    s.pipeline(lanes)
    rtl = check(s, **FAST)
    loop = rtl.report().loops[-1]
    assert loop.ii == 1, loop.limit


def test_writes_and_registers_go_to_the_bank_that_is_meant():
    def scatter(p: uint3[8], A: int32[2, 8]) -> int32[2, 8]:
        B: int32[2, 8] = 0
        for i in range(8):
            B[1, p[i]] = A[0, i]
            B[0, i] = A[1, p[i]]
        return B

    for kind, factor in ((Partition.Cyclic, 4), (Partition.Block, 2), (Partition.Complete, 0)):
        s = allo.customize(scatter)
        for array in (s.A, s.B):
            s.partition(array, kind, dim=2, **({"factor": factor} if factor else {}))
            s.partition(array, Partition.Complete, dim=1)
        s.pipeline("i")
        check(s, **FAST)


@pytest.mark.parametrize("kind", [Partition.Cyclic, Partition.Complete])
def test_a_window_asks_every_bank_once(kind):
    """Three words in a row are in three banks, wherever the row starts."""

    def smooth(A: int32[14], B: int32[12]):
        for i in range(12):
            B[i] = A[i] + A[i + 1] * 2 + A[i + 2]

    s = allo.customize(smooth)
    s.partition(s.A, kind, dim=1, **({"factor": 3} if kind is Partition.Cyclic else {}))
    s.pipeline("i")
    loop = check(s, **FAST).report().loops[-1]
    assert loop.ii == 1, loop.limit


@pytest.mark.parametrize(("factor", "interval"), [(2, 2), (4, 1), (8, 1)])
def test_a_window_of_rows_and_columns(factor, interval):
    """Two by two of four words: as many cycles as the busiest bank has to answer."""

    def blocks(A: int32[4, 9], B: int32[3, 8]):
        for i in range(3):
            for j in range(8):
                B[i, j] = A[i, j] - A[i, j + 1] * 3 + A[i + 1, j] - A[i + 1, j + 1]

    s = allo.customize(blocks)
    s.partition(s.A, Partition.Cyclic, dim=2, factor=max(2, factor // 2))
    if factor > 2:
        s.partition(s.A, Partition.Cyclic, dim=1, factor=2)
    s.pipeline("j")
    loop = check(s, **FAST).report().loops[-1]
    assert loop.ii == interval, loop.limit


def test_accesses_that_come_in_different_cycles_do_not_share():
    """The second subscript is known a cycle later than the first: other iterations are there."""

    def chase(p: uint3[12], A: int32[12], B: int32[10]):
        for i in range(10):
            if A[i] > 0:
                B[i] = A[i + 1] * A[p[i]] + A[p[i] + 1]

    s = allo.customize(chase)
    s.partition(s.A, Partition.Cyclic, dim=1, factor=2)
    s.pipeline("i")
    check(s, seeds=range(4), **FAST)


OFFSETS = ("i", "i + 1", "i + 2", "i + 3", "2 * i", "2 * i + 1", "p[i]", "p[i] + 1", "9 - i")


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(OFFSETS), min_size=2, max_size=4, unique=True),
    st.sampled_from(OFFSETS), st.sampled_from([Partition.Cyclic, Partition.Block]),
    st.integers(2, 5), st.integers(1, 2), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_random_accesses(loads, store, kind, factor, lanes, pipelined, seed):
    """Any accesses in any banks give the right words in the predicted number of cycles."""
    total = " + ".join(f"A[{o}] * {n + 2}" for n, o in enumerate(loads))
    lines = [
        "def kernel(p: uint3[6], A: int32[16], B: int32[16]):", "    for i in range(6):",
        f"        B[{store}] = {total}", f"        A[{store}] = {total}",
    ]
    s = allo.customize("\n".join(lines))
    for array in ("A", "B"):
        s.partition(array, kind, dim=1, factor=factor)
    if lanes > 1:
        s.unroll("i", lanes)
    if pipelined:
        s.pipeline("i")
    check(s, seeds=(seed, seed + 1), **FAST)
