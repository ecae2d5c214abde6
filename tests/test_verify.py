"""verify: schedules and kernels compared for all inputs, or by a counterexample."""

from dataclasses import replace

import pytest

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import LanguageError, ScheduleError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import (
    Int,
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
