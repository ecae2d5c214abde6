"""Floating-point kernels that are equal up to the order of their sums, and such that are not."""

import pytest

import allo_rtl as allo
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import float32, int32
from allo_rtl.ir.unordered_terms import UnorderedTerms

ADD, SUB, MUL = BinaryKind.ADD, BinaryKind.SUB, BinaryKind.MUL
ONE = 0x3F800000


def dots(A: float32[3, 6], B: float32[6]) -> float32[3]:
    C: float32[3] = 0.0
    for i in range(3):
        for k in allo.reduction(6):
            C[i] += A[i, k] * B[k]
    return C


def from_the_last(A: float32[3, 6], B: float32[6]) -> float32[3]:
    C: float32[3] = 0.0
    for i in range(3):
        for k in range(6):
            C[i] += B[5 - k] * A[i, 5 - k]
    return C


def one_missing(A: float32[3, 6], B: float32[6]) -> float32[3]:
    C: float32[3] = 0.0
    for i in range(3):
        for k in range(5):
            C[i] += A[i, 5 - k] * B[5 - k]
    return C


def one_twice(A: float32[3, 6], B: float32[6]) -> float32[3]:
    C: float32[3] = 0.0
    for i in range(3):
        for k in range(7):
            C[i] += A[i, k % 6] * B[k % 6]
    return C


def one_subtracted(A: float32[3, 6], B: float32[6]) -> float32[3]:
    C: float32[3] = 0.0
    for i in range(3):
        for k in range(5):
            C[i] += A[i, 5 - k] * B[5 - k]
        C[i] -= A[i, 0] * B[0]
    return C


def partial():
    s = allo.customize(dots)
    s.partial_sums("k", 2)
    return s


@pytest.mark.parametrize("other", [partial, lambda: from_the_last], ids=["partial", "reversed"])
def test_another_order_is_equal_where_that_is_allowed_and_said_where_not(other):
    strict = allo.verify(dots, other())
    assert (strict.equal, strict.proved, strict.unordered) == (False, True, True)
    assert strict.inputs is not None
    assert "differ in the order of sums only" in strict.reason
    free = allo.verify(dots, other(), reassociate=True)
    assert (free.equal, free.proved, free.unordered) == (True, True, True)
    assert str(free).startswith("equivalent up to the order of sums (proved)")


@pytest.mark.parametrize("other", [one_missing, one_twice, one_subtracted])
def test_other_sums_are_never_equal(other):
    for reassociate in (False, True):
        verdict = allo.verify(dots, other, reassociate=reassociate)
        assert not verdict.equal
        assert not verdict.unordered
        assert verdict.proved is not reassociate  # the inputs might differ by rounding only
        assert verdict.inputs is not None


def long_sum(A: float32[3000]) -> float32:
    total: float32 = 0.0
    for k in range(3000):
        total += A[k]
    return total


def test_long_sums_are_followed():
    s = allo.customize(long_sum)
    s.partial_sums("k", 4, reassociate=True)
    verdict = allo.verify(long_sum, s, reassociate=True)
    assert (verdict.proved, verdict.unordered) == (True, True)


def test_what_needs_no_order_is_equal_as_before():
    verdict = allo.verify(dots, dots, reassociate=True)
    assert (verdict.equal, verdict.proved, verdict.unordered) == (True, True, False)


def counts(A: int32[4]) -> int32:
    total: int32 = 0
    for k in range(4):
        total += A[k]
    return total


def counts_less(A: int32[4]) -> int32:
    total: int32 = 0
    for k in range(3):
        total += A[k]
    return total


def test_integers_that_differ_still_differ_for_certain():
    verdict = allo.verify(counts, counts_less, reassociate=True)
    assert (verdict.equal, verdict.proved) == (False, True)


def test_bags_of_addends_and_factors():
    terms = UnorderedTerms()
    a, b, c = (terms.input(name, float32) for name in "abc")
    zero, one = terms.const(0, float32), terms.const(ONE, float32)

    def both(kind, x, y):
        return terms.binary(kind, float32, x, y)

    assert both(ADD, both(ADD, a, b), c) is both(ADD, both(ADD, c, a), b)
    assert both(SUB, a, both(SUB, b, c)) is both(ADD, both(SUB, a, b), c)
    assert both(MUL, both(MUL, a, b), c) is both(MUL, a, both(MUL, c, b))
    assert both(ADD, zero, a) is both(MUL, one, a) is a
    assert both(SUB, zero, a) is not a
    # What rounding makes different is different.
    assert both(SUB, both(ADD, a, b), b) is not a
    assert both(MUL, a, both(ADD, b, c)) is not both(ADD, both(MUL, a, b), both(MUL, a, c))
    assert both(ADD, a, a) is not both(MUL, terms.const(ONE + (1 << 23), float32), a)
