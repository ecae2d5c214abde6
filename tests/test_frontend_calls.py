"""Calls of kernels: arguments by place, by name and by default, results of every kind."""

import functools
import math

import numpy as np
import pytest

from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import Stateful, float32, int8, int16, int32, uint8
from allo_rtl.ir.verify import verify_module

K = 3


def lowered(kernel, **names):
    module = lower_kernel(kernel, global_vars=names or None)
    verify_module(module)
    return module


def run(kernel, *args, **names):
    return evaluate(lowered(kernel, **names), args)


def affine(x: int32, /, a: int32, b: int32 = 10 * K, *, c: int32 = -1) -> int32:
    return x * a + b - c


def small(x: int8 = 300, y: uint8 = 2.75) -> int16:
    return x * 100 + y


def both(a: int32, b: int32) -> (int32, int32):
    return b, a


def halves(A: int32[4]) -> (int32[2], int32, int32[2]):
    low: int32[2] = 0
    high: int32[2] = 0
    total: int32 = 0
    for i in range(2):
        low[i] = A[i]
        high[i] = A[i + 2]
        total += A[i] + A[i + 2]
    return low, total, high


# Arguments


def test_arguments_by_place_by_name_and_by_default():
    def kernel(x: int32) -> (int32, int32, int32, int32):
        return affine(x, 2), affine(x, 2, 5), affine(x, b=7, a=3), affine(x, c=x, a=affine(1, a=1))

    x, one = 4, 1 + 30 + 1
    assert run(kernel, x) == (x * 2 + 31, x * 2 + 6, x * 3 + 8, x * one + 30 - x)


def test_arguments_are_computed_in_the_order_they_are_written():
    def step() -> int32:
        count: int32 @ Stateful = 0
        count += 1
        return count

    def kernel() -> int32:
        return affine(step(), b=step(), a=step())

    assert run(kernel) == (1 * 3 + 2 + 1,)


def test_defaults_are_converted_like_any_argument():
    def kernel() -> (int16, int16):
        return small(), small(y=1)

    assert run(kernel) == (44 * 100 + 2, 44 * 100 + 1)


def test_defaults_are_those_of_when_the_kernel_was_defined():
    scale = 5

    def inner(x: int32, by: int32 = scale) -> int32:
        return x * by

    scale = 7

    def kernel(x: int32) -> int32:
        def again(y: int32, by: int32 = scale + 1) -> int32:
            return y * by

        return inner(x) + again(x)

    assert run(kernel, 2) == (2 * 5 + 2 * 8,)


def test_scalars_are_converted_to_the_arguments_type():
    def narrow(x: int8, y: float32) -> float32:
        return x + y

    def kernel(n: int32) -> int32:
        return int(narrow(n + 250, n))

    assert run(kernel, 10) == (4 + 10,)


def test_results_are_used_in_expressions_conditions_and_subscripts():
    def kernel(A: int32[4], i: int32) -> int32:
        def wrapped(n: int32) -> int32:
            return n % 4

        r: int32 = A[wrapped(i)] * 2 + wrapped(i + 1)
        if wrapped(i) == 3 and A[wrapped(i + 2)] > 0:
            r += 1000
        return r

    A = np.array([5, 6, 7, 8])
    assert run(kernel, A, 7) == (8 * 2 + 0 + 1000,)


# Results


def test_several_results():
    def kernel(A: int32[4], C: int32[2], D: int32[2]) -> (int32, int32[2]):
        low, total, high = halves(A)
        p, _ = both(total, low[1])
        for i in range(2):
            C[i], D[i] = both(low[i], high[i])
        p, total = total, p
        C[0], C[1] = C[1], C[0]
        return p * 10 + total, high

    C, D = np.zeros(2, int), np.zeros(2, int)
    total, high = run(kernel, np.array([1, 2, 3, 4]), C, D)
    assert (total, high.tolist()) == (10 * 10 + 2, [3, 4])
    assert (C.tolist(), D.tolist()) == ([4, 3], [1, 2])


def test_all_results_of_a_call_are_those_of_the_kernel():
    def kernel(A: int32[4]) -> (int32[2], int32, int32[2]):
        return halves(A)

    low, total, high = run(kernel, np.array([1, 2, 3, 4]))
    assert (low.tolist(), total, high.tolist()) == ([1, 2], 10, [3, 4])


def test_a_chained_assignment_computes_once_and_stores_from_left_to_right():
    def kernel(A: int32[4], i: int32) -> int32:
        a = b = affine(A[1], 1, 0, c=0)
        A[i] = i = c = a + 1
        A[i] = a = 9
        return a + b + c + i

    A = np.array([1, 2, 3, 4])
    assert run(kernel, A, 0) == (9 + 2 + 3 + 3,)
    assert A.tolist() == [3, 2, 3, 9]


def test_a_scalar_fills_the_array_it_is_unpacked_to():
    def kernel(A: int32[2, 2], x: int32) -> int32:
        A[0], y = x + 1, x
        A[1] = z = 5
        return y + z

    A = np.zeros((2, 2), int)
    assert run(kernel, A, 7) == (12,)
    assert A.tolist() == [[8, 8], [5, 5]]


# Where kernels come from


def doubled(fn):
    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)

    return wrapper


def make(n):
    def kernel(x: int32) -> int32:
        return x + n

    return kernel


@doubled
@functools.lru_cache
def decorated(x: int32) -> int32:
    return x + 1


def test_kernels_made_in_a_loop_are_different_kernels():
    made = [make(n) for n in range(3)]
    first, second = made[1], made[2]

    def kernel(x: int32) -> int32:
        return first(x) * 100 + second(x) * 10 + first(0)

    module = lowered(kernel)
    assert [f.name for f in module.funcs] == ["kernel_1", "kernel_2", "kernel"]
    assert evaluate(module, [4]) == (5 * 100 + 6 * 10 + 1,)


def test_decorated_kernels_are_what_they_decorate():
    def kernel(x: int32) -> int32:
        return decorated(x) * 2

    assert run(decorated, 1) == (2,)
    assert run(kernel, 1) == (4,)


def test_a_kernel_that_was_executed_from_a_text():
    text = "\n".join(
        [
            "def helper(x: int32) -> int32:",
            "    return x + 1",
            "",
            "def kernel(x: int32) -> int32:",
            "    # the text is found again",
            "    return helper(x) * 2",
        ]
    )
    names = {"int32": int32}
    exec(text, names)
    module = lowered(names["kernel"])
    assert evaluate(module, [3]) == (8,)
    assert str(module.top_func.loc) == "<string>:4:1"


def test_a_text_sees_its_callers_names_or_those_it_is_given():
    factor = 3
    text = "def kernel(x: int32) -> int32:\n    return helper(x) * factor\n"

    def helper(x: int32) -> int32:
        return x + factor

    assert run(text, 1) == (12,)
    assert run(text, 1, helper=helper, factor=2) == (8,)


def test_annotations_may_use_names_of_the_function_around():
    def around(size):
        width = int16

        def inner(A: "width[size + 1]") -> int32:
            return A[size]

        def kernel(A: "width[size + 1]") -> int32:
            return inner(A)

        return lower_kernel(kernel)

    assert str(around(3).top_func.args[0].type) == "int16[4]"


class Holder:
    def method(self, x: int32) -> int32:
        return x


def test_methods_are_no_kernels():
    with pytest.raises(Exception, match="must be a Python function, not method") as caught:
        lower_kernel(Holder().method)
    assert str(caught.value) == (
        "a kernel must be a Python function, not method\n"
        "  allowed: a function defined with 'def', or the text of one\n"
        "  hint: write it outside the class"
    )


def test_python_functions_of_constants_are_for_const_expr():
    text = "def f() -> float32:\n    return math.hypot(3, 4)\n"
    with pytest.raises(Exception, match="cannot be called in a kernel") as caught:
        lower_kernel(text, global_vars={"math": math})
    assert str(caught.value).endswith(
        "  hint: of constants alone: x: ConstExpr[int32] = math.hypot(...)"
    )
