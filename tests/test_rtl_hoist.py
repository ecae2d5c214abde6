"""Loads that do not change inside a pipelined loop are done once before it."""

from agreement import check

import allo_rtl as allo
from allo_rtl.ir.types import int8, int32

FAST = {"device": "ecp5-85", "clock_mhz": 50, "simulator": "pysim"}


def interval(rtl):
    """The initiation interval of the last loop."""
    return rtl.report().loops[-1].ii


def test_reads_of_one_memory_do_not_meet_when_one_of_them_stays():
    def lower(A: int32[5, 4], C: int32[5, 5]):
        for i in range(5):
            for k in range(4):
                for j in range(i + 1):
                    C[i, j] += A[i, k] * A[j, k]

    s = allo.customize(lower)
    s.pipeline("j")
    assert interval(check(s, **FAST)) == 1


def test_a_load_from_what_the_loop_writes_stays():
    def shift(A: int32[8], n: int8):
        for i in range(3):
            for j in range(i + 4):
                A[j] = A[i] + A[j + 1]

    s = allo.customize(shift)
    s.pipeline("j")
    assert interval(check(s, **FAST)) > 1


def test_a_load_whose_subscript_is_data_of_the_loop_stays():
    def gather(A: int8[8], p: int8[8], q: int32[8]):
        for i in range(3):
            for j in range(i + 4):
                q[j] += A[p[j] & 7] + A[i]

    s = allo.customize(gather)
    s.pipeline("j")
    assert interval(check(s, **FAST)) == 1


def test_a_loop_that_does_not_run_reads_outside_the_array_unharmed():
    def above(A: int32[4], B: int32[4]):
        for i in range(4):
            for j in range(i + 1, 4):
                B[j] += A[i + 1] * A[j]

    s = allo.customize(above)
    s.pipeline("j")
    assert interval(check(s, **FAST)) == 1


def test_a_load_under_a_condition_stays_where_it_is():
    def some(A: int32[6], B: int32[6]):
        for i in range(6):
            for j in range(i + 1):
                if B[j] > 0:
                    B[j] += A[i] * A[j]

    s = allo.customize(some)
    s.pipeline("j")
    assert interval(check(s, **FAST)) == 2


def test_nests_that_are_flattened_keep_their_loads():
    def full(A: int32[4, 4], C: int32[4, 4]):
        for k, i, j in allo.grid(4, 4, 4):
            C[i, j] += A[i, k] * A[j, k]

    s = allo.customize(full)
    s.pipeline("j")
    rtl = check(s, **FAST)
    assert [(loop.name, loop.ii) for loop in rtl.report().loops] == [("k, i, j", 2)]
