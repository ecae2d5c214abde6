"""Arrays as a whole: parts of them, and operators on them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl import customize
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.ops import Alloc, For, Store, SubView
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import (
    ArrayType,
    Fixed,
    Int,
    bool_,
    float32,
    int8,
    int16,
    int32,
    uint8,
)
from allo_rtl.ir.verify import verify_module


def run(kernel, *args):
    """What a kernel returns for numpy arguments, which it may change."""
    s = customize(kernel)
    verify_module(s.module)
    return s.build(target="evaluator")(*args)


def ops(kernel, kind):
    """The operations of a class in the kernel's function."""
    return [op for op in walk(lower_kernel(kernel).top_func.body) if isinstance(op, kind)]


def ints(*shape, seed=0, low=-99, high=99):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.int32)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- elements and parts --------------------------------------------------------------------


def test_a_constant_subscript_below_zero_counts_from_the_end():
    def kernel(A: int32[3, 4], out: int32[3]):
        out[0] = A[-1, -4]
        out[-1] = A[0, -1]
        out[1] = A[-3][-2]

    A, out = ints(3, 4), np.zeros(3, np.int32)
    run(kernel, A, out)
    assert list(out) == [A[2, 0], A[0, 2], A[0, 3]]


def test_one_subscript_after_the_other_is_all_of_them_at_once():
    def kernel(A: int32[2, 3, 4]) -> int32[2, 3, 4]:
        B: int32[2, 3, 4]
        for i, j, k in allo.grid(2, 3, 4):
            B[i][j][k] = A[i, j][k] + A[i][j, k]
        return B

    A = ints(2, 3, 4)
    assert np.array_equal(run(kernel, A), 2 * A)
    assert not ops(kernel, SubView)


def test_leading_subscripts_and_slices_read_a_part():
    def kernel(A: int32[4, 6]) -> (int32[6], int32[2, 3], int32[4], int32[2, 3], int32[2]):
        row: int32[6] = A[2]
        corner: int32[2, 3] = A[0:2, 0:3]
        column: int32[4] = A[:, 1]
        apart: int32[2, 3] = A[1::2, ::2]
        last: int32[2] = A[-2:, -1]
        return row, corner, column, apart, last

    A = ints(4, 6)
    expected = [A[2], A[0:2, 0:3], A[:, 1], A[1::2, ::2], A[-2:, -1]]
    assert all(map(np.array_equal, run(kernel, A), expected))


def test_dots_are_all_dimensions_that_are_not_written():
    def kernel(A: int32[2, 3, 4]) -> (int32[2, 3], int32[3, 4], int32[2, 4]):
        return A[..., 1], A[0, ...], A[:, 2, ...]

    A = ints(2, 3, 4)
    expected = [A[..., 1], A[0], A[:, 2]]
    assert all(map(np.array_equal, run(kernel, A), expected))


def test_a_slice_may_start_anywhere():
    def kernel(A: int32[12], n: int32, B: int32[3]) -> int32[3, 4]:
        C: int32[3, 4]
        for i in range(3):
            C[i, :] = A[i * 4 : (i + 1) * 4]
        C[2] = A[n : n + 4]
        C[1, 1:3] = A[B[0] + n : B[0] + n + 2]
        C[0, 0:2] = A[(n & 1) * 3 : (n & 1) * 3 + 2]
        return C

    A, B = ints(12), np.array([2, 0, 0], np.int32)
    expected = A.reshape(3, 4).copy()
    expected[2] = A[5:9]
    expected[1, 1:3] = A[7:9]
    expected[0, 0:2] = A[3:5]
    assert np.array_equal(run(kernel, A, 5, B), expected)


def test_parts_are_written():
    def kernel(A: int32[4, 6], B: int32[2, 6], row: int32[6]):
        A[0:2, :] = B
        A[2, :] = row
        A[3, 1:4] = 7
        A[:, 5] += 100
        A[0] -= row

    A, B, row = ints(4, 6), ints(2, 6, seed=1), ints(6, seed=2)
    expected = A.copy()
    expected[0:2] = B
    expected[2] = row
    expected[3, 1:4] = 7
    expected[:, 5] += 100
    expected[0] -= row
    run(kernel, A, B, row)
    assert np.array_equal(A, expected)


def test_all_of_an_array_is_written_with_a_bare_slice():
    def kernel(A: int8[5]) -> int8[5]:
        B: int8[5]
        B[:] = allo.add(A, 1)
        return B

    A = np.arange(5, dtype=np.int8)
    assert np.array_equal(run(kernel, A), A + 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 5), st.integers(0, 5), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)
)
def test_what_is_assigned_is_read_before_it_is_overwritten(to, start, count, step_to, step_from):
    to_end, end = to + (count - 1) * step_to + 1, start + (count - 1) * step_from + 1
    if max(to_end, end) > 8:
        return
    names = {"int32": int32, "a": to, "b": to_end, "c": start, "d": end}
    text = f"def f(A: int32[8]):\n    A[a:b:{step_to}] = A[c:d:{step_from}] + A[a:b:{step_to}]\n"
    A = np.arange(8, dtype=np.int32) ** 2
    expected = A.copy()
    expected[to:to_end:step_to] = A[start:end:step_from] + A[to:to_end:step_to]
    build = customize(text, global_vars=names).build(target="evaluator")
    build(A)
    assert np.array_equal(A, expected)


def test_parts_that_are_apart_or_the_same_need_no_copy():
    def kernel(A: int32[8], B: int32[8]):
        A[0:4] = A[4:8]
        A[:] = A * 2
        B[1:5] = A[0:4]
        A[0:4:2] = A[0:4:2] + 1

    assert not ops(kernel, Alloc)

    def shifted(A: int32[8]):
        A[1:5] = A[0:4]

    assert len(ops(shifted, Alloc)) == 1

    def turned(A: int32[3, 3]):
        A[:] = A.T

    A = ints(3, 3)
    expected = A.T.copy()
    run(turned, A)
    assert np.array_equal(A, expected)


def double(row: int32[4]):
    for k in range(4):
        row[k] *= 2


def total(part: int32[2, 2]) -> int32:
    found: int32 = 0
    for i, j in allo.grid(2, 2):
        found += part[i, j]
    return found


def test_a_part_is_passed_by_reference():
    def kernel(A: int32[3, 4], B: int32[2, 3, 4]) -> int32:
        double(A[1])
        for i in range(2):
            double(B[i, i + 1])
        double(B[0][0])
        return total(A[0:2, 1:4:2])

    A, B = ints(3, 4), ints(2, 3, 4, seed=1)
    a, b = A.copy(), B.copy()
    a[1] *= 2
    for i in range(2):
        b[i, i + 1] *= 2
    b[0, 0] *= 2
    assert run(kernel, A, B) == a[0:2, 1:4:2].sum()
    assert np.array_equal(A, a)
    assert np.array_equal(B, b)


def test_what_is_only_a_value_is_passed_in_a_fresh_array_of_the_arguments_type():
    def kernel(A: int32[4], B: int8[2, 2]) -> int32:
        double(A + 1)
        return total(B * 3)

    A, B = ints(4), np.array([[1, 2], [3, 100]], np.int8)
    before = A.copy()
    assert run(kernel, A, B) == 3 * 106
    assert np.array_equal(A, before)


def test_a_returned_part_is_a_copy():
    def pick(A: int32[3, 4], i: int32) -> int32[4]:
        return A[i]

    def kernel(A: int32[3, 4]) -> int32[4]:
        row = pick(A, 2)
        row[0] = 1000
        return A[2]

    A = ints(3, 4)
    assert np.array_equal(run(kernel, A), A[2])


def test_a_new_name_is_a_copy():
    def kernel(A: int32[3, 4]) -> (int32[4], int32[3, 4]):
        row = A[2]
        whole = A
        row[0] = 5
        whole[0, 0] = 6
        return row, whole

    A = ints(3, 4)
    before = A.copy()
    row, whole = run(kernel, A)
    assert np.array_equal(A, before)
    assert (row[0], whole[0, 0]) == (5, 6)
    assert np.array_equal(row[1:], A[2, 1:])


def test_parts_of_an_array_with_a_dynamic_extent():
    def kernel(A: int32[..., 2], n: int32) -> int32[2]:
        out: int32[2] = A[n] + A[1:3, 0]
        A[0] = out
        A[n - 1 : n + 1, 1] = 9
        return out

    A = ints(5, 2)
    expected = A.copy()
    out = A[4] + A[1:3, 0]
    expected[0] = out
    expected[3:5, 1] = 9
    assert np.array_equal(run(kernel, A, 4), out)
    assert np.array_equal(A, expected)


# --- operators -----------------------------------------------------------------------------


def test_one_statement_is_one_loop_nest():
    def kernel(A: int32[4, 3], B: int32[3]) -> int32[4, 3]:
        C: int32[4, 3] = (A + B) * 2 - A[0] // 3
        return C

    A, B = ints(4, 3), ints(3, seed=1)
    assert np.array_equal(run(kernel, A, B), (A + B) * 2 - A[0] // 3)
    assert len(ops(kernel, Store)) == 1
    assert [op.name for op in ops(kernel, For)] == ["sub_0_i", "sub_0_j"]
    assert [op.attrs.pipeline_ii for op in ops(kernel, For)] == [None, 1]


def test_every_operator_takes_arrays():
    def kernel(A: int8[6], B: uint8[6], s: int8) -> (int32[6], int32[6], int32[6], int32[6]):
        one: int32[6] = A + B - s * A
        two: int32[6] = -A + (A // 3) + (A % 5) + (~B)
        three: int32[6] = (A & 15) | (B ^ 3)
        four: int32[6] = (A << 1) + (B >> 2)
        return one, two, three, four

    A = np.array([-127, 127, -7, 0, 5, 99], np.int8)
    B = np.array([255, 0, 1, 128, 77, 3], np.uint8)
    a, b = A.astype(int), B.astype(int)
    one, two, three, four = run(kernel, A, B, -3)
    assert np.array_equal(one, a + b + 3 * a)
    assert np.array_equal(two, -a + a // 3 + np.fmod(a, 5) + (~B).view(np.int8))
    assert np.array_equal(three, (a & 15) | (b ^ 3))
    assert np.array_equal(four, (A << 1) + (B >> 2).astype(int))


def test_comparisons_of_arrays_give_bits():
    def kernel(A: int32[4], B: uint8[4]) -> (bool_[4], uint8[4]):
        return A < B, (A == 3) + (B != 0)

    A, B = np.array([-1, 3, 5, 300], np.int32), np.array([0, 4, 5, 255], np.uint8)
    less, sums = run(kernel, A, B)
    assert list(less) == [True, True, False, False]
    assert list(sums) == [0, 2, 1, 1]


def test_element_types_follow_the_rules_of_scalars():
    def kernel(A: int8[4], B: int8[4]) -> (int32[4], int32[4]):
        C = A + B
        D = A * B
        return C, D

    kept = {op.result.name: op.result.type for op in ops(kernel, Alloc)}
    assert kept["C"] == ArrayType(Int(9), (4,))
    assert kept["D"] == ArrayType(int16, (4,))
    A = np.full(4, -128, np.int8)
    C, D = run(kernel, A, A)
    assert (C[0], D[0]) == (-256, 16384)


@pytest.mark.parametrize(
    "shapes", [((4, 3), (3,)), ((4, 3), (4, 1)), ((1, 3), (4, 1)), ((3,), (1,))]
)
def test_operands_are_broadcast_as_numpy_does(shapes):
    left, right = shapes
    out = np.broadcast_shapes(left, right)
    types = {"L": int32[left], "R": int32[right], "O": int32[out]}
    text = "def f(A: L, B: R) -> O:\n    return A * B - 1\n"
    A, B = ints(*left), ints(*right, seed=1)
    build = customize(text, global_vars=types).build(target="evaluator")
    assert np.array_equal(build(A, B), A * B - 1)


def test_a_value_is_broadcast_to_its_target():
    def kernel(row: int8[3], column: int8[2, 1]) -> (int32[2, 3], int32[2, 3], int32[2, 3]):
        A: int32[2, 3] = row
        B: int32[2, 3] = column
        C: int32[2, 3] = 4
        C[:, 0:2] = column + 1
        return A, B, C

    row, column = np.arange(3, dtype=np.int8), np.array([[5], [-6]], np.int8)
    A, B, C = run(kernel, row, column)
    assert np.array_equal(A, np.broadcast_to(row, (2, 3)))
    assert np.array_equal(B, np.broadcast_to(column, (2, 3)))
    assert np.array_equal(C, [[6, 6, 4], [-5, -5, 4]])


def test_floating_and_fixed_point_arrays():
    def kernel(A: float32[4], B: Fixed(16, 8)[4]) -> (float32[4], Fixed(16, 8)[4]):
        return A * 2.5 - A / 3.0, B + B * 0.5

    A, B = floats(4), np.array([1.5, -2.25, 3.0, 0.125])
    C, D = run(kernel, A, B)
    assert np.array_equal(C, A * np.float32(2.5) - A / np.float32(3))
    assert np.array_equal(D, B + B * 0.5)


def test_a_product_is_assigned_in_place():
    def kernel(A: int32[3, 3], v: int32[3]):
        A @= A
        v @= A
        A[0:2, 0:2] @= A[1:3, 1:3]

    A, v = ints(3, 3), ints(3, seed=1)
    product = A @ A
    corner = product[0:2, 0:2] @ product[1:3, 1:3]
    expected = v @ product
    run(kernel, A, v)
    product[0:2, 0:2] = corner
    assert np.array_equal(A, product)
    assert np.array_equal(v, expected)


def test_augmented_assignment_takes_arrays():
    def kernel(A: int32[2, 3], v: int32[3]):
        A += v
        A *= 2
        A -= A[0]

    A, v = ints(2, 3), ints(3, seed=1)
    expected = (A + v) * 2
    expected = expected - expected[0]
    run(kernel, A, v)
    assert np.array_equal(A, expected)


def add_one(A: int32[3]) -> int32[3]:
    for i in range(3):
        A[i] += 1
    return A


def test_what_a_call_changes_is_seen_as_in_python():
    def kernel(A: int32[3]) -> (int32[3], int32[3]):
        B: int32[3] = A * 10 + add_one(A)
        C: int32[3] = A + add_one(A)
        return B, C

    def python(A):
        def add(A):
            A += 1
            return A.copy()

        return A * 10 + add(A), A + add(A)

    A = ints(3)
    expected = python(A.copy())
    assert all(map(np.array_equal, run(kernel, A), expected))


def test_elements_of_what_is_only_a_value():
    def kernel(A: int32[3, 4], B: int32[3, 4], i: int32) -> (int32, int32[4], int32):
        x: int32 = (A + B)[i, 1]
        row: int32[4] = (A * 2)[i]
        y: int32 = A.T[3, i]
        return x, row, y

    A, B = ints(3, 4), ints(3, 4, seed=1)
    x, row, y = run(kernel, A, B, 2)
    assert (x, y) == (A[2, 1] + B[2, 1], A[2, 3])
    assert np.array_equal(row, A[2] * 2)


# --- rearranged ----------------------------------------------------------------------------


def test_transposes_and_copies():
    def kernel(A: int32[2, 3, 4]) -> (int32[4, 3, 2], int32[3, 2, 4], int32[4, 2, 3]):
        B = A.copy()
        C = A.copy
        D: int32[2, 3, 4] = allo.copy(A)
        A[0, 0, 0] = 77
        return B.T, allo.transpose(C, (1, 0, 2)), allo.transpose(D, axes=(-1, 0, 1))

    A = ints(2, 3, 4)
    before = A.copy()
    expected = [before.T, before.transpose(1, 0, 2), before.transpose(2, 0, 1)]
    assert all(map(np.array_equal, run(kernel, A), expected))


def test_another_shape():
    def kernel(A: int32[2, 3, 4]) -> (int32[4, 6], int32[24], int32[3, 2, 4]):
        return allo.view(A, (4, 6)), allo.view(A, -1), allo.view(A + 1, shape=(3, 2, 4))

    A = ints(2, 3, 4)
    one, two, three = run(kernel, A)
    assert np.array_equal(one, A.reshape(4, 6))
    assert np.array_equal(two, A.reshape(-1))
    assert np.array_equal(three, (A + 1).reshape(3, 2, 4))


def test_arrays_one_after_the_other():
    def kernel(A: int8[2, 3], B: int32[2, 2], C: int32[1, 3]) -> (int32[2, 5], int32[5, 3]):
        D = allo.concat(A, B, axis=1)
        return D, allo.concat(A, C, A + 1, axis=-2)

    A, B, C = np.arange(6, dtype=np.int8).reshape(2, 3), ints(2, 2), ints(1, 3, seed=2)
    one, two = run(kernel, A, B, C)
    assert np.array_equal(one, np.concatenate([A, B], 1))
    assert np.array_equal(two, np.concatenate([A, C, A + 1]))
