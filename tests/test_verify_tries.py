"""verify where nothing is proved: what is tried, and what is said then."""

import re
import sys

import pytest

import allo_rtl as allo
from allo_rtl.fuzz import fuzz
from allo_rtl.ir.types import Int, float32, float64, int32
from allo_rtl.trial_runs import run_length


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


def product(A: int32[56, 56], B: int32[56, 56], C: int32[56, 56]):
    for i, j, k in allo.grid(56, 56, 56):
        C[i, j] += A[i, k] * B[k, j]


def other_product(A: int32[56, 56], B: int32[56, 56], C: int32[56, 56]):
    for i, j, k in allo.grid(56, 56, 56):
        C[i, j] += A[i, k] * (B[k, j] + (i == 50 and j == 3 and k == 9))


@pytest.mark.long
def test_what_is_too_long_to_be_followed_is_tried():
    s = allo.customize(product)
    s.split("k", 8)
    verdict = allo.verify(product, s, tests=1)
    assert verdict.equal
    assert not verdict.proved
    assert "not followed for all inputs: 175,616 iterations" in verdict.reason
    assert allo.verify(product, other_product, tests=1).inputs


def nested(A: int32[10, 10], n: int32):
    for i in range(10):
        for j in range(i):
            A[i, j] = 1
        for _ in range(n):
            A[i, 0] += 1
    for _ in range(0):
        A[0, 0] = 1


def calls_nested(A: int32[10, 10], n: int32):
    for _ in range(3):
        nested(A, n)
        nested(A, n)


def test_how_long_a_run_is():
    """The inner loop of 0 to 9 iterations counts as of 9."""
    assert run_length(allo.customize(nested).module) == 90
    assert run_length(allo.customize(calls_nested).module) == 540


def test_long_runs_are_tried_less_often(monkeypatch):
    tried, verify = [], sys.modules["allo_rtl.verify"]
    monkeypatch.setattr(verify, "difference", lambda *a: tried.append(a) or "")
    monkeypatch.setattr(verify, "_FOLLOWED", 100)
    monkeypatch.setattr(verify, "_TRIED", 4 * 540)
    assert not allo.verify(calls_nested, calls_nested).proved
    assert len(tried) == 2 + 1  # random ones, and one of those in range
