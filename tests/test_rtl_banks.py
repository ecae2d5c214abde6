"""Accesses whose bank varies use only the banks they can touch, and wait only for those."""

import pytest
from agreement import check

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
