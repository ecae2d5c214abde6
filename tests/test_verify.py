"""verify: schedules and kernels compared for all inputs, or by a counterexample."""

from dataclasses import replace

import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.customize import customize
from allo_rtl.errors import LanguageError, ScheduleError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import (
    Int,
    Stream,
    bool,
    float8_e4m3,
    float32,
    index,
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


def backwards(A: int32[4, 6], B: int32[6, 5]) -> int32[4, 5]:
    C: int32[4, 5] = 0
    for i, j, k in allo.grid(4, 5, 6, name="gemm"):
        C[3 - i, j] += B[5 - k, j] * A[3 - i, 5 - k]
    return C


def short(A: int32[4, 6], B: int32[6, 5]) -> int32[4, 5]:
    C: int32[4, 5] = 0
    for i, j, k in allo.grid(4, 5, 5, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]
    return C


def test_kernels_can_be_compared_as_they_are():
    assert str(allo.verify(gemm, gemm)) == str(verify(customize(gemm), customize(gemm)))
    assert verify(customize(gemm), gemm).proved
    assert not verify(gemm, customize(short))
    with pytest.raises(LanguageError, match="a kernel must be a Python function, not int"):
        verify(customize(gemm), 3)


def test_schedules_of_one_kernel_are_proved_equal():
    s = customize(gemm)
    s.split("j", 2)
    s.reorder("k", "j.outer", "j.inner")
    s.buffer_at("C", "i")
    s.partition("A", dim=2)
    verdict = verify(customize(gemm), s)
    assert verdict
    assert verdict.proved
    text = "equivalent (proved): all 74 elements are the same function of the inputs"
    assert str(verdict) == text


def test_integer_sums_and_products_may_come_in_any_order():
    assert verify(customize(gemm), customize(backwards)).proved


def test_what_differs_is_named_with_inputs_that_show_it():
    verdict = verify(customize(gemm), customize(short))
    assert not verdict
    assert verdict.proved
    assert verdict.reason.startswith("result 1[0, 0] is ")
    one, other = (evaluate(customize(k).module, list(verdict.inputs)) for k in (gemm, short))
    assert one[0][0, 0] != other[0][0, 0]


def float_sum(A: float32[6]) -> float32:
    total: float32 = 0.0
    for i in range(6):
        total += A[i]
    return total


def float_sum_backwards(A: float32[6]) -> float32:
    total: float32 = 0.0
    for i in range(6):
        total += A[5 - i]
    return total


def test_floating_point_sums_may_not():
    assert verify(customize(float_sum), customize(float_sum)).proved
    verdict = verify(customize(float_sum), customize(float_sum_backwards))
    assert not verdict.equal
    assert verdict.inputs is not None


def clip(A: int32[6]) -> int32[6]:
    B: int32[6] = 0
    for i in range(6):
        if A[i] > 10:
            B[i] = 10
        else:
            B[i] = A[i]
    return B


def clip_select(A: int32[6]) -> int32[6]:
    B: int32[6] = 0
    for i in range(6):
        B[5 - i] = 10 if A[5 - i] > 10 else A[5 - i]
    return B


def test_conditions_on_data_become_choices():
    assert verify(customize(clip), customize(clip_select)).proved


def count_up(n: int16) -> int32:
    total: int32 = 0
    for i in range(n):
        total += i
    return total


def gauss(n: int16) -> int32:
    x: int32 = n
    return x * (x - 1) // 2 if x > 0 else 0


def test_control_that_depends_on_data_is_tested_and_says_so():
    verdict = verify(customize(count_up), customize(gauss))
    assert verdict.equal
    assert not verdict.proved
    assert str(verdict) == (
        "equivalent (tested): equal on 50 random inputs; not followed for all inputs: how often a "
        "loop runs depends on its inputs, and may be often"
    )


def test_kernels_of_other_types_cannot_be_compared():
    with pytest.raises(ScheduleError, match=r"gemm\(int32\[4, 6\].*\) and clip\(.*cannot be compa"):
        verify(customize(gemm), customize(clip))


def widen(a: int8, b: int8) -> int8:
    wide: Int(20) = a
    wide += b
    wide += a
    return wide


def narrow(a: int8, b: int8) -> int8:
    x: int8 = a + a
    return x + b


def test_sums_cut_to_fewer_bits_are_equal_where_the_low_bits_are():
    assert verify(customize(widen), customize(narrow)).proved


def index_kernel(i: index) -> index:
    return i * 2 + i


def index_kernel_2(i: index) -> index:
    return 3 * i


def test_index_arithmetic():
    assert verify(customize(index_kernel), customize(index_kernel_2)).proved


# --- pairs that differ subtly --------------------------------------------------------------------


def wraps(a: int8, b: int8) -> int16:
    t: int8 = a + b
    return t


def does_not_wrap(a: int8, b: int8) -> int16:
    t: int16 = a + b
    return t


def borrows(A: uint8[2]) -> int32:
    return A[0] - A[1]


def borrows_in_eight_bits(A: uint8[2]) -> int32:
    t: uint8 = A[0] - A[1]
    return t


def rounds_down(a: int32, b: int32) -> int32:
    return a // b


def rounds_to_zero(a: int32, b: int32) -> int32:
    return a / b


def added_first(a: float32, b: float32, c: float32) -> float32:
    return (a + b) + c


def added_last(a: float32, b: float32, c: float32) -> float32:
    return a + (b + c)


def difference(a: float32) -> float32:
    return a - a


def zero(a: float32) -> float32:
    return 0.0


def plus_zero(a: float32) -> float32:
    return a + 0.0


def same(a: float32) -> float32:
    return a


def shifted(x: int32, k: int32) -> int32:
    return x << k


def shifted_modulo(x: int32, k: int32) -> int32:
    return x << (k & 31)


def one_number(x: int32) -> int32:
    r: int32 = 0
    i: int32 = 0
    while i < 1:
        i += 1
        if x == 123457:
            r = 1
    return r


def no_number(x: int32) -> int32:
    return 0


def below(x: int32) -> int32:
    assert x < 500
    return x


def not_above(x: int32) -> int32:
    assert x <= 500
    return x


def unchecked(x: int32) -> int32:
    return x


def printing(x: int32) -> int32:
    print(x)
    return x


def counting(x: int32) -> int32:
    total: int32 @ Stateful = 0
    total += x
    return total


def counting_from_five(x: int32) -> int32:
    total: int32 @ Stateful = 5
    total += x
    return total


def last_element(A: int32[...], n: int8) -> int32:
    r: int32 = 0
    for i in range(n):
        r = A[i]
    return r


def first_element(A: int32[...], n: int8) -> int32:
    return A[0]


def onto(A: int32[8], B: int32[8]):
    for i in range(7):
        A[i + 1] = A[i] + B[i]


def onto_backwards(A: int32[8], B: int32[8]):
    for i in range(7):
        A[7 - i] = A[6 - i] + B[6 - i]


def weighted(x: int32, y: int32) -> bool:
    return (x * 7 + y) == 123456789


def never(x: int32, y: int32) -> bool:
    return False


def never_one(x: int32) -> bool:
    return False


def two_numbers(A: int32[2], B: int32[2]) -> int32:
    r: int32 = A[0]
    if A[0] * 3 - 5 == 30000001 and (B[1] ^ A[1]) == 77777777:
        r = B[0]
    return r


def first_number(A: int32[2], B: int32[2]) -> int32:
    return A[0]


def is_that_square(x: int32) -> bool:
    return x * x == 2493241


def half_of_odd(x: int32) -> int32:
    return (x * x + 3 * x) * 1073741824


def one_cell(X: uint8[6]) -> int32:
    H: int32[64] = 0
    for i in range(6):
        H[X[i] & 63] += i
    return H[37]


def one_cell_of_five(X: uint8[6]) -> int32:
    H: int32[64] = 0
    for i in range(5):
        H[X[i] & 63] += i
    return H[37]


def first_large(A: int32[6]) -> int32:
    k: int32 = 0
    while k < 6 and A[k] <= 123456:
        k += 1
    return k


def first_larger(A: int32[6]) -> int32:
    k: int32 = 0
    while k < 6 and A[k] < 123456:
        k += 1
    return k


def that_square_is_there(A: int32[4], x: int32) -> int32:
    return A[1] if x * x * x == 1860867 else A[2]


def it_is_not(A: int32[4], x: int32) -> int32:
    return A[2]


def up_to_a_sum(x: int32, y: int32) -> bool:
    return x * 5 < y + 1000003


def below_a_sum(x: int32, y: int32) -> bool:
    return x * 5 <= y + 1000003


SUBTLE = [
    (wraps, does_not_wrap), (borrows, borrows_in_eight_bits), (rounds_down, rounds_to_zero),
    (added_first, added_last), (difference, zero), (plus_zero, same), (shifted, shifted_modulo),
    (one_number, no_number), (below, not_above), (below, unchecked), (printing, unchecked),
    (counting, unchecked), (counting, counting_from_five), (last_element, first_element),
    (onto, onto_backwards), (weighted, never), (two_numbers, first_number),
    (up_to_a_sum, below_a_sum), (is_that_square, never_one), (half_of_odd, no_number),
    (one_cell, one_cell_of_five), (first_large, first_larger),
    (that_square_is_there, it_is_not),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SUBTLE, ids=lambda k: k.__name__)
def test_kernels_that_differ_subtly_are_told_apart(one, other):
    for a, b in ((one, other), (other, one)):
        verdict = verify(customize(a), customize(b))
        assert not verdict.equal
        assert verdict.proved
        assert len(verdict.inputs) == len(customize(a).top_func.args)


def hash_is(x: int32, y: int32) -> bool:
    h: int32 = x
    for _i in range(9):
        h = (h * 1103515245 + y) ^ (h >> 7)
    return h == 123456789


def test_what_no_search_finds_is_not_called_proved():
    """There are inputs for which these differ, most probably; none of them is found."""
    verdict = verify(hash_is, never)
    assert verdict.equal
    assert not verdict.proved
    assert str(verdict).startswith("equivalent (tested): equal on 90 random inputs; result 1 is ")


def endless(x: int32) -> int32:
    y: int32 = x
    while y != 0:
        y -= 3
    return y


def endless_too(x: int32) -> int32:
    y: int32 = x
    while y != 0:
        y += 3
    return y


def test_loops_that_are_too_long_to_be_run_are_not_waited_for():
    verdict = verify(endless, endless_too, tests=8)
    assert verdict.equal
    assert not verdict.proved


def test_state_that_starts_differently_makes_other_kernels_of_the_same_text():
    module = customize(counting).module
    (cell,) = module.globals
    other = replace(module, globals=(replace(cell, data=(7,)),))
    assert verify(module, module).proved
    assert not verify(module, other).equal


def magnitude(x: int8) -> int8:
    return max(x, 0 - x)


def magnitude_in_eight_bits(x: int8) -> int8:
    y: int8 = 0 - x
    return max(x, y)


def doubled(x: float8_e4m3) -> float8_e4m3:
    return x + x


def times_two(x: float8_e4m3) -> float8_e4m3:
    return x * 2.0


def test_few_inputs_are_all_tried():
    assert verify(magnitude, magnitude_in_eight_bits).proved
    verdict = verify(doubled, times_two)
    assert str(verdict) == "equivalent (proved): equal on all 256 inputs"


# --- what is proved though it is written differently -----------------------------------------


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
