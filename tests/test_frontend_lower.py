"""Kernels as modules of the loop IR: what is computed, and how loops and arrays are named."""

import functools

import numpy as np
import pytest

import allo_rtl.frontend.dsl as allo
from allo_rtl.frontend import grid, lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Alloc, Apply, Call, Cast, GetGlobal, If, Load, LoopAttrs, Store
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import ArrayType, Int, UInt, index, int8, int16, int32, uint8, uint16
from allo_rtl.ir.verify import verify_module

N = 8
WEIGHTS = np.arange(9, dtype=np.int8).reshape(3, 3) - 4


def lowered(kernel, **names):
    """The verified module of a kernel."""
    module = lower_kernel(kernel, global_vars=names or None)
    verify_module(module)
    return module


def run(kernel, *args, **names):
    """The results of a kernel; arrays among the arguments are changed in place."""
    return evaluate(lowered(kernel, **names), args)


def numbers(*shape, low=-100, high=100, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


def find(module, kind):
    return [op for op in walk(module.top_func.body) if isinstance(op, kind)]


def bounds(module):
    """``name: lower .. upper`` of every loop."""
    return [
        f"{f.name}: {', '.join(map(str, f.lower))} .. {', '.join(map(str, f.upper))}"
        for f in loops(module.top_func.body)
    ]


# A kernel is an ordinary Python function too.


def triangle(A: int32[N, N], B: int32[N, N]):
    for i in range(N):
        for j in range(i + 1, N):
            B[i, j] = A[i, j] * 2 - A[j, i]


def transpose(A: int32[4, N], B: "int32[N, 4]"):
    for i, j in allo.grid(4, N):
        B[j, i] = A[i, j]


def histogram(A: uint8[16], H: int32[16]):
    for i in range(16):
        H[A[i] // 16] += 1


def prefix_sum(A: int32[N], B: int32[N]):
    total = 0
    for i in range(N):
        total += A[i]
        B[i] = total


def bounded(n: int32, m: int32[4], A: int32[16]):
    for i in range(n):
        for j in range(max(i, 1), min(m[i], 16), 3):
            A[j] += i


def swaps(A: int32[4]):
    a, b = A[0], A[1]
    a, b = b, a
    A[0], A[1] = a, b
    A[2], A[3] = A[3], A[2]


def branches(A: int32[N], B: int32[N]):
    for i in range(N):
        if A[i] > 50 and not A[i] == 77:  # noqa: SIM201
            B[i] = 1
        elif -50 < A[i] <= 0 or A[i] == 7:
            B[i] = 2
        else:
            B[i] = min(A[i], 3) if i > 3 else abs(A[i])


def neighbours(A: int32[N], B: int32[N]):
    for i in range(N):
        B[i] = A[i - 1] if i > 0 else A[0]
        if i < N - 1 and A[i + 1] > A[i]:
            B[i] += 1


def weighted(A: int32[6, 6], B: int32[4, 4]):
    for y, x in grid(4, 4):
        for r, c in allo.reduction(3, 3):
            B[y, x] += A[y + r, x + c] * WEIGHTS[r, c]


@pytest.mark.parametrize(
    ("kernel", "args"),
    [
        (triangle, [numbers(N, N), numbers(N, N)]),
        (transpose, [numbers(4, N), numbers(N, 4)]),
        (histogram, [numbers(16, low=0, high=128), numbers(16)]),
        (prefix_sum, [numbers(N), numbers(N)]),
        (bounded, [4, np.array([3, 9, 15, 40]), numbers(16)]),
        (bounded, [-1, np.array([3, 9, 15, 40]), numbers(16)]),
        (swaps, [numbers(4)]),
        (branches, [numbers(N), numbers(N)]),
        (branches, [np.array([77, 7, -20, 0, 10, -60, 2, 60]), numbers(N)]),
        (neighbours, [numbers(N), numbers(N)]),
        (weighted, [numbers(6, 6), numbers(4, 4)]),
    ],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_kernel_computes_what_python_computes(kernel, args):
    expected = [np.copy(a) if isinstance(a, np.ndarray) else a for a in args]
    kernel(*expected)
    assert run(kernel, *args) == ()
    for found, wanted in zip(args, expected, strict=True):
        assert np.array_equal(found, wanted)


# Loops


def test_loop_names_bands_and_pragmas():
    def kernel(A: int32[4, 4]):
        for i, j in allo.grid(4, 4, pipeline=2):
            for k in allo.reduction(2, name="inner", unroll=True):
                A[i, j] += k
        for r, c in grid(4, 4, pipeline=[False, True], unroll=[2, None]):
            A[r, c] = 0
        for i in range(0, 4, 2, name="steps"):
            A[i, i] = 1

    assert [(f.name, f.step, f.attrs) for f in loops(lowered(kernel).top_func.body)] == [
        ("i", 1, LoopAttrs(band="S_i_j_0")),
        ("j", 1, LoopAttrs(pipeline_ii=2)),
        ("k", 1, LoopAttrs(band="inner", reduction=True, unroll=0)),
        ("r", 1, LoopAttrs(band="S_r_c_2", unroll=2)),
        ("c", 1, LoopAttrs(pipeline_ii=1)),
        ("i", 2, LoopAttrs(band="steps")),
    ]


def test_bounds_stay_affine():
    def kernel(n: int32, A: int32[64]):
        for i in range(N // 2):
            for j in range(max(i - 2, 0), min(2 * i + 1, n)):
                A[j] = i

    assert bounds(lowered(kernel)) == ["i: 0 .. 4", "j: i - 2, 0 .. 2*i + 1, ?"]


def test_subscripts_stay_affine():
    def kernel(A: int32[64], B: int32[64]):
        for i, j in grid(8, 8):
            B[(i << 3) + 7 - j] = A[(i * 8 + j) % 16 + i // 2 - i / 4]

    module = lowered(kernel)
    (load,), (store,) = find(module, Load), find(module, Store)
    assert str(load.index[0]) == "(i) floordiv 2 - (i) floordiv 4 + (8*i + j) mod 16"
    assert str(store.index[0]) == "8*i - j + 7"
    assert not find(module, Apply) + find(module, Cast)


def test_a_subscript_is_affine_around_data():
    def kernel(I: int8[4], A: int32[1024]):
        for i in range(4):
            A[4 * I[i] + i + 512] = 1

    (store,) = find(lowered(kernel), Store)
    data = [v for v in store.index[0].values if v.name != "i"]
    assert [store.index[0].coefficient(v) for v in data] == [4]
    assert store.index[0].const == 512


def test_a_remainder_of_a_negative_number_keeps_its_sign():
    def kernel(A: int32[16]):
        for i in range(-4, 4):
            A[i % 3 + 2] += 1
            A[8 + i // 2] += 1

    found, expected = np.zeros(16, int), np.zeros(16, int)
    for i in range(-4, 4):
        expected[int(np.fmod(i, 3)) + 2] += 1
        expected[8 + i // 2] += 1
    run(kernel, found)
    assert np.array_equal(found, expected)


# Scalars


def test_unannotated_variables_take_the_type_of_their_value():
    def kernel(a: int8, b: uint16) -> int32:
        s = a + b
        p = a * a
        f = a < b
        t = 5
        i = b
        for k in range(2):
            i = k
            n = k
            t += n
        return t + s + p + f + i

    allocs = {op.result.name: op.result.array.element for op in find(lowered(kernel), Alloc)}
    assert allocs == {
        "s": Int(18),
        "p": int16,
        "f": UInt(1),
        "t": int32,
        "i": uint16,
        "n": index,
    }
    assert run(kernel, -3, 10) == (6 + 7 + 9 + 1 + 1,)


def test_assignments_wrap_to_the_declared_type():
    def kernel(a: int32) -> uint8:
        x: int8 = a
        x += 100
        y: uint8 = x
        return y

    assert run(kernel, 300) == ((300 + 100) % 256,)


def test_scalar_arguments_are_by_value():
    def kernel(n: int8, A: int32[2]) -> int32:
        n += 1
        A[0] = n
        return n

    A = np.zeros(2, int)
    assert run(kernel, 127, A) == (-128,)
    assert list(A) == [-128, 0]


def test_unsigned_comparison_is_unsigned():
    def kernel(a: uint8, b: uint8, c: int8) -> int32:
        return (a < b) + 2 * (a < c) + 4 * (c < a)

    assert run(kernel, 200, 100, -1) == (4,)


def test_extremes_do_not_depend_on_the_order():
    def kernel(a: int8, b: uint16) -> (int32, int32):
        return max(a, b), max(b, a)

    assert run(kernel, -1, 65535) == (65535, 65535)


def test_literals_beyond_32_bits_keep_their_value():
    def kernel(x: int8) -> (Int(64), Int(128)):
        return x + 0x1_0000_0000, x * 0x1_0000_0000_0000_0000

    assert run(kernel, -1) == (0xFFFF_FFFF, -(1 << 64))


def test_names_of_a_block_end_with_it():
    def kernel(A: int32[4]):
        for i in range(2):
            x: int8 = i
            A[i] = x
        for i in range(2, 4):
            x: int32 = 300 * i
            A[i] = x

    A = np.zeros(4, int)
    run(kernel, A)
    assert list(A) == [0, 1, 600, 900]


# Arrays


def test_initialisers():
    def kernel(A: int8[2, 2]) -> (int32[2, 2], int32[3], int16[2, 2]):
        zero: int32[2, 2] = 0
        ones: int32[3] = 1
        copied: int16[2, 2] = A
        ones[0] = zero[0, 0] + 5
        return zero, ones, copied

    A = numbers(2, 2)
    zero, ones, copied = run(kernel, A)
    assert not zero.any()
    assert list(ones) == [5, 1, 1]
    assert np.array_equal(copied, A)
    assert [(f.name, f.attrs) for f in loops(lowered(kernel).top_func.body)] == [
        ("ones_init_0", LoopAttrs(band="ones_init", pipeline_ii=1)),
        ("copied_init_0", LoopAttrs(band="copied_init")),
        ("copied_init_1", LoopAttrs(pipeline_ii=1)),
    ]


def test_an_initialiser_in_a_loop_runs_each_time():
    def kernel(A: int32[3]):
        for i in range(3):
            t: int32[2] = 0
            s: int32 = 0
            t[0] += i
            s += i
            A[i] = t[0] + s

    A = np.zeros(3, int)
    run(kernel, A)
    assert list(A) == [0, 2, 4]
    assert [f.name for f in loops(lowered(kernel).top_func.body)] == ["i", "t_init_0"]


def test_whole_array_assignments():
    def kernel(A: int32[3], B: int8[3]):
        t: int32[3] = A
        A = 7
        B = t  # noqa: F841

    A, B = np.array([1, 2, 300]), np.zeros(3, int)
    run(kernel, A, B)
    assert (list(A), list(B)) == ([7, 7, 7], [1, 2, 44])


def test_constants_are_globals_and_copied_only_if_written():
    def kernel() -> int32:
        read: int32[2, 2] = [[1, 2], [3, 4]]
        written: int8[3] = [1, -1, 300]
        small: UInt(4)[3, 3] = WEIGHTS
        written[0] += 1
        return written[0] + written[2] + read[1, 0] + small[0, 0] + WEIGHTS[0, 0]

    module = lowered(kernel)
    assert [(g.name, g.type, g.data[:3]) for g in module.globals] == [
        ("read", ArrayType(int32, (2, 2)), (1, 2, 3)),
        ("written_const", ArrayType(int8, (3,)), (1, -1, 44)),
        ("small", ArrayType(UInt(4), (3, 3)), (12, 13, 14)),
        ("WEIGHTS", ArrayType(int8, (3, 3)), (-4, -3, -2)),
    ]
    assert [op.result.name for op in find(module, Alloc)] == ["written"]
    assert run(kernel) == (2 + 44 + 3 + 12 - 4,)


def test_a_constant_is_read_once_a_function():
    def kernel(A: int32[3]):
        for i in range(3):
            A[i] = WEIGHTS[0, i] + WEIGHTS[i, 0]

    module = lowered(kernel)
    assert [op.name for op in find(module, GetGlobal)] == ["WEIGHTS"]
    assert isinstance(module.top_func.body[0], GetGlobal)


# Calls


def add(x: int8, y: int32) -> int32:
    return x + y


def scale(A: int32[4], factor: int8) -> int32[4]:
    B: int32[4] = 0
    for i in range(4):
        B[i] = A[i] * factor
    return B


def both(A: int32[4]) -> (int32[4], int32):
    return scale(A, 2), A[3]


def test_calls_come_before_callers_and_cast_scalars():
    def kernel(A: int32[4]) -> int32[4]:
        B, last = both(A)
        C = scale(B, 257)
        C[0] = add(last, C[1])
        return C

    module = lowered(kernel)
    assert [f.name for f in module.funcs] == ["scale", "both", "add", "kernel"]
    assert module.top == "kernel"
    assert [v.name for op in find(module, Call) for v in op.outs] == ["B", "last", "C", ""]
    (found,) = evaluate(module, [np.array([1, 2, 3, 300])])
    assert list(found) == [44 + 4, 4, 6, 600]


def test_an_array_argument_is_by_reference_and_a_result_a_copy():
    def fill(A: int32[2], x: int32):
        A[0] = x

    def kernel(A: int32[2]) -> int32[2]:
        fill(A, 5)
        A[1] = 6
        return A

    A = np.zeros(2, int)
    (result,) = run(kernel, A)
    assert (list(A), list(result)) == ([5, 6], [5, 6])
    assert result is not A


def test_nested_kernels():
    def kernel(a: int32) -> int32:
        def twice(x: int32) -> int32:
            return x * 2

        def thrice(x: int32) -> int32:
            return twice(x) + x

        return thrice(a)

    assert [f.name for f in lowered(kernel).funcs] == ["twice", "thrice", "kernel"]
    assert run(kernel, 7) == (21,)


def test_kernels_of_one_name_are_told_apart():
    def make(n):
        def part(x: int32) -> int32:
            return x + n

        return part

    one, other = make(1), make(10)

    def kernel(x: int32) -> int32:
        return one(x) * other(x) + one(0)

    assert [f.name for f in lowered(kernel).funcs] == ["part", "part_1", "kernel"]
    assert run(kernel, 2) == (3 * 12 + 1,)


def test_an_access_that_may_be_out_of_range_is_not_made_needlessly():
    module = lowered(neighbours)
    (loop,) = module.top_func.body
    assert [op for op in loop.body if isinstance(op, Load) and op.index] == []
    assert len(find(module, If)) == 3


def test_a_safe_side_of_a_condition_needs_no_branch():
    assert len(find(lowered(branches), If)) == 2


# Where things are


def decorated(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)

    return wrapper


@decorated
def wrapped(A: int32[2]):
    A[0] = 1
    A[1] = A[0] + 2


def test_operations_know_their_source():
    line = wrapped.__wrapped__.__code__.co_firstlineno
    store = find(lowered(wrapped), Store)[1]
    assert store.loc.short == f"test_frontend_lower.py:{line + 3}"
    assert (store.loc.text, store.loc.col, store.loc.end_col) == ("    A[1] = A[0] + 2", 5, 9)
    assert all(op.loc for op in walk(lowered(wrapped).top_func.body))


def test_outer_names_come_from_closure_caller_and_arguments():
    M = 3

    def kernel(A: "int32[M]") -> int32:
        return A[M - 1]

    text = "def f(A: int32[M]) -> int32:\n    return A[M - 1]\n"
    modules = lower_kernel(kernel), lower_kernel(text), lower_kernel(text, global_vars={"M": M})
    for module in modules:
        assert evaluate(module, [np.array([1, 2, 3])]) == (3,)
