"""verify where nothing is proved: what is tried, and what is said then."""

import re

import pytest

import allo_rtl as allo
from allo_rtl.fuzz import fuzz
from allo_rtl.ir.types import Int, float32, float64, int32


def sums_of_doubles(x: float64, y: float64) -> float64:
    return x + y + 0.0


def other_sums_of_doubles(x: float64, y: float64) -> float64:
    return x + (y + 0.0)


def rounded_down(x: Int(70)) -> Int(70):
    return (x >> 1) << 1


def masked(x: Int(70)) -> Int(70):
    return x & -2


@pytest.mark.parametrize(
    "pair", [(sums_of_doubles, other_sums_of_doubles), (rounded_down, masked)]
)
def test_wide_scalars_are_not_all_tried(pair):
    verdict = allo.verify(*pair)
    assert verdict.equal
    assert "random inputs" in verdict.reason or verdict.proved


def far(at: int32[4], A: float32[700], B: float32[4], n: int32):
    """Too large to be followed for all inputs; few random subscripts are in range."""
    t: int32 = 0
    while t < n:
        for i in range(4):
            B[i] = B[i] + A[at[i] * 7]
        t += 1


def farther(at: int32[4], A: float32[700], B: float32[4], n: int32):
    t: int32 = 0
    while t < n:
        for i in range(4):
            B[i] = B[i] + A[at[i] * 7 + 1]
        t += 1


def test_subscripts_in_range_are_tried():
    s = allo.customize(far)
    s.split("i", 2)
    verdict = allo.verify(far, s)
    assert verdict.equal
    assert not verdict.proved
    assert not allo.verify(far, farther).equal
    assert allo.verify(far, farther).proved


def never(A: int32[4], n: int32):
    t: int32 = 0
    while t < 4 + (n & 3):
        A[t + 10] = 1
        t += 1


def test_a_kernel_that_always_fails_is_not_told_to_be_another():
    verdict = allo.verify(never, never)
    assert not verdict.proved
    assert str(verdict).startswith("unknown: both fail on all inputs that were tried")
    found = fuzz(allo.customize(never), runs=3)
    assert not found.failures


def times_one(x: float32) -> float32:
    return x * 1.0


def as_it_is(x: float32) -> float32:
    return x


def test_nans_that_differ_are_told_apart():
    verdict = allo.verify(times_one, as_it_is)
    assert not verdict.equal
    assert re.match(r"result 1 is nan \(0x7f\w+\) and nan \(0x7f\w+\)", verdict.reason)
