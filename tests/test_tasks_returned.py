"""An array that a function of tasks returns and that no task stores to is zero."""

from agreement import check

import allo_rtl as allo
from allo_rtl.ir.types import int32


def untouched(A: int32[4]) -> int32[4]:
    R: int32[4]
    for i in range(4):
        A[i] += 1
    for j in range(4):
        A[j] += 2
    return R


def test_an_array_that_is_only_returned_is_zeroed():
    s = allo.customize(untouched)
    s.dataflow("untouched")
    check(s, simulator="pysim")
