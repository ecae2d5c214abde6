"""verify on kernels that compute the same in other words: arithmetic, data, processes."""


import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.customize import customize
from allo_rtl.ir.types import (
    Int,
    Stream,
    bool,
    int8,
    int16,
    int32,
    uint8,
)
from allo_rtl.verify import verify


def gemm(A: int32[4, 6], B: int32[6, 5]) -> int32[4, 5]:
    C: int32[4, 5] = 0
    for i, j, k in allo.grid(4, 5, 6, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]
    return C


def distributed(a: int32, b: int32, c: int32) -> int32:
    return a * b + a * c


def factored(a: int32, b: int32, c: int32) -> int32:
    return a * (b + c)


def squares(a: int16, b: int16) -> int32:
    return a * a - b * b


def sum_times_difference(a: int16, b: int16) -> int32:
    return (a + b) * (a - b)


def horner(x: int32) -> int32:
    return ((x * 3 + 5) * x - 7) * x + 1


def powers(x: int32) -> int32:
    return 1 - 7 * x + 5 * x * x + 3 * x * x * x


def shifted_by_three(x: int32) -> int32:
    return (x << 3) - x


def seven_times(x: int32) -> int32:
    return x * 7


def wide_then_narrow(a: int16, b: int16) -> int8:
    wide: Int(40) = a * b
    return wide + a


def narrow_at_once(a: int16, b: int16) -> int8:
    x: int8 = a
    y: int8 = b
    return x * y + x


def nested_conditions(x: int32, y: int32) -> int32:
    r: int32 = 0
    if x > 3:  # noqa: SIM102
        if y > 5:
            r = x * y
    return r


def one_condition(x: int32, y: int32) -> int32:
    return x * y if y >= 6 and x >= 4 else 0


def negated(x: int32, y: int32) -> int32:
    return y if not (x < y) else x


def smaller(x: int32, y: int32) -> int32:
    return min(x, y)


def histogram(X: uint8[5]) -> int32[4]:
    H: int32[4] = 0
    for i in range(5):
        H[X[i] & 3] += 1
    return H


def histogram_from_behind(X: uint8[5]) -> int32[4]:
    H: int32[4] = 0
    for i in range(5):
        H[X[4 - i] & 3] += 1
    return H


def some_of(A: int32[8], n: uint8) -> int32:
    total: int32 = 0
    for i in range(n & 7):
        total += A[i]
    return total


def some_of_all(A: int32[8], n: uint8) -> int32:
    total: int32 = 0
    for i in range(8):
        if i < (n & 7):
            total += A[i]
    return total


def until_large(A: int32[6]) -> int32:
    k: int32 = 0
    while k < 6 and A[k] < 10:
        k += 1
    return k


def unrolled_by_hand(A: int32[6]) -> int32:
    k: int32 = 0
    done: bool = False
    for i in range(6):
        if not done:
            if A[i] < 10:
                k = i + 1
            else:
                done = True
    return k


def half_of_two_numbers_in_turn(x: int32) -> int32:
    return (x * x + x) * 2147483648


def nothing(x: int32) -> int32:
    return 0


def low_bits(x: int32) -> int32:
    return x - (x & 7)


def cleared(x: int32) -> int32:
    return (x >> 3) * 8


def complement(A: int8[3]) -> int8[3]:
    B: int8[3] = 0
    for i in range(3):
        B[i] = ~A[i]
    return B


def negative_less_one(A: int8[3]) -> int8[3]:
    B: int8[3] = 0
    for i in range(3):
        B[i] = 0 - A[i] - 1
    return B


def by_bits(A: Int(5)[2], B: Int(5)[2]) -> Int(5)[2]:
    C: Int(5)[2] = 0
    for i in range(2):
        C[i] = (A[i] ^ B[i]) + 2 * (A[i] & B[i])
    return C


def by_sum(A: Int(5)[2], B: Int(5)[2]) -> Int(5)[2]:
    C: Int(5)[2] = 0
    for i in range(2):
        C[i] = A[i] + B[i]
    return C


def tells(x: int32) -> int32:
    print(2 * x)
    return x


def tells_too(x: int32) -> int32:
    print(x + x)
    return x


EQUAL = [
    (distributed, factored), (squares, sum_times_difference), (horner, powers),
    (shifted_by_three, seven_times), (wide_then_narrow, narrow_at_once),
    (nested_conditions, one_condition), (negated, smaller), (histogram, histogram_from_behind),
    (some_of, some_of_all), (until_large, unrolled_by_hand),
    (half_of_two_numbers_in_turn, nothing), (complement, negative_less_one),
    (by_bits, by_sum), (tells, tells_too), (low_bits, cleared),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=lambda k: k.__name__)
def test_kernels_that_are_written_differently_are_proved_equal(one, other):
    for a, b in ((one, other), (other, one)):
        verdict = verify(a, b)
        assert verdict.equal, verdict
        assert verdict.proved, verdict
        assert verdict.reason.startswith("all ")


def fails(A: int32[4], n: int32) -> int32:
    assert n > 3
    assert n < 3
    return A[0]


def fails_too(A: int32[4], n: int32) -> int32:
    assert n > 4
    assert n < 4
    return A[1]


def test_kernels_that_always_fail_are_not_called_equal():
    verdict = verify(customize(fails), customize(fails_too))
    assert not verdict
    assert "both fail on all inputs" in verdict.reason


def flat(A: int32[6]) -> int32:
    return A[4]


def table(A: int32[3, 2]) -> int32:
    return A[2, 0]


def test_shapes_may_differ_that_have_as_many_elements():
    assert verify(customize(flat), customize(table)).proved
    s = customize(gemm)
    s.reshape(s.A, (2, 2, 6))
    assert verify(customize(gemm), s).proved


# --- tasks and streams ---------------------------------------------------------------------------


@df.region()
def doubled_in_turn(A: int32[6], B: int32[6]):
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[6]):
        for i in range(6):
            link.put(a[i] + 1)

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[6]):
        for i in range(6):
            b[i] = link.get() * 2


def doubled_at_once(A: int32[6], B: int32[6]):
    for i in range(6):
        B[i] = 2 * A[i] + 2


def doubled_wrongly(A: int32[6], B: int32[6]):
    for i in range(6):
        B[i] = 2 * A[i] + (2 if i < 5 else 1)


def test_processes_and_streams_are_followed():
    assert verify(doubled_in_turn, doubled_at_once).proved
    verdict = verify(doubled_in_turn, doubled_wrongly)
    assert not verdict.equal
    assert verdict.proved
    assert verdict.reason.startswith("argument 2[5] is ")


def two_steps(A: int32[6], B: int32[6]):
    X: int32[6]
    for i in allo.grid(6, name="first"):
        X[i] = A[i] + 1
    for j in allo.grid(6, name="second"):
        B[j] = X[j] * 2


def test_tasks_and_elements_are_compared():
    s = customize(two_steps)
    s.to("X", "second", depth=2)
    t = customize(two_steps)
    t.unfold("second", [0])
    for scheduled in (s, t):
        assert verify(scheduled, doubled_at_once).proved
        assert not verify(scheduled, doubled_wrongly)
