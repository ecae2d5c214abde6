"""What is there before a kernel runs: ConstExpr, Stateful, Memory, dynamic extents."""

import math

import numpy as np
import pytest

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.arithmetic import number_of
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Alloc
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import (
    DYNAMIC,
    ArrayType,
    ConstExpr,
    Refined,
    Stateful,
    float32,
    float64,
    int8,
    int16,
    int32,
)
from allo_rtl.ir.verify import verify_module
from allo_rtl.memory import Layout, Memory

N = 8
TABLE = [3, 1, 4, 1]


def lowered(kernel, **names):
    module = lower_kernel(kernel, global_vars=names or None)
    verify_module(module)
    return module


def error_of(kernel, **names):
    with pytest.raises(LanguageError) as caught:
        lower_kernel(kernel, global_vars=names or None)
    return str(caught.value)


def halves(n):
    return n // 2


# Annotations are also ordinary Python expressions.


def test_what_annotations_are_in_python():
    assert (int32 @ Stateful) == Refined(int32, (Stateful,))
    both = int8[4] @ Memory(resource="bram") @ Stateful
    assert both == Refined(int8[4], (Memory("BRAM"), Stateful))
    assert ConstExpr[int32] == Refined(int32, (ConstExpr,))
    assert int32[...] == ArrayType(int32, (DYNAMIC,))
    assert int32[..., 4] == ArrayType(int32, (DYNAMIC, 4))


# ConstExpr


def test_a_const_expr_is_computed_by_python_and_sizes_things():
    def kernel(A: int32[N]) -> int32:
        half: ConstExpr[int32] = int(math.cos(0) * N) // 2
        quarter: ConstExpr[int32] = halves(half) if N > 4 and half != N else 1
        t: int32[quarter] = 0
        for i in range(half):
            t[i % quarter] += A[i]
        return t[0] * half + t[quarter - 1]

    module = lowered(kernel)
    assert [f.trip_count for f in loops(module.top_func.body)] == [4]
    assert [op.result.type for op in walk(module.top_func.body) if isinstance(op, Alloc)] == [
        int32[2]
    ]
    assert evaluate(module, [np.arange(N)]) == (2 * 4 + 4,)


def test_a_const_expr_is_converted_to_its_type():
    def kernel() -> (int32, int32):
        small: ConstExpr[int8] = 300
        cut: ConstExpr[int32] = -7 / 2
        return small, cut

    assert evaluate(lowered(kernel), []) == (44, -3)


def test_a_const_expr_ends_with_its_block_and_reaches_nested_kernels():
    def kernel(A: int32[4]) -> int32:
        n: ConstExpr[int32] = TABLE[2]

        def first() -> int32:
            x: int32[n] = 7
            return x[n - 1]

        for i in range(2):
            m: ConstExpr[int32] = n + 1
            A[i] = m
        for i in range(2, 4):
            m: ConstExpr[int32] = n + 2
            A[i] = m
        return first()

    A = np.zeros(4, int)
    assert evaluate(lowered(kernel), [A]) == (7,)
    assert A.tolist() == [5, 5, 6, 6]


def test_a_const_expr_has_its_type_in_nested_kernels_too():
    def kernel(x: int32) -> (int32, float64):
        n: ConstExpr[int8] = 100
        tenth: ConstExpr[float64] = 0.1

        def twice() -> int32:
            return n + n

        def inner(x: int32) -> float64:
            n = x + 1

            def innermost() -> float64:
                return tenth * 3

            return innermost() + n

        return twice(), inner(x)

    found, real = evaluate(lowered(kernel), [1])
    assert (found, number_of(float64, real)) == (200, 0.1 * 3 + 2)


# Stateful


def counter(step: int32) -> int32:
    count: int32 @ Stateful = 10
    count += step
    return count


def window(x: int32, out: int32[4]):
    last: int32[4] @ Stateful = TABLE
    for i in range(3):
        last[i] = last[i + 1]
    last[3] = x
    for i in range(4):
        out[i] = last[i]


def test_state_persists_from_run_to_run():
    module, state = lowered(counter), {}
    assert [evaluate(module, [n], state=state)[0] for n in (1, 2, 3)] == [11, 13, 16]
    assert [(g.name, g.type, g.stateful) for g in module.globals] == [
        ("counter_count", ArrayType(int32, ()), True)
    ]


def test_stateful_arrays_start_as_a_list_a_number_or_zero():
    out, state, module = np.zeros(4, int), {}, lowered(window)
    for x in (9, 8):
        evaluate(module, [x, out], state=state)
    assert out.tolist() == [4, 1, 9, 8]

    def kernel() -> (int32, float32):
        a: int8[2] @ Stateful = 300
        b: float32[2] @ Stateful
        return a[1], b[0]

    assert evaluate(lowered(kernel), []) == (44, 0)


def test_one_kernel_has_one_state_wherever_it_is_called_from():
    def kernel() -> int32:
        a: int32 = counter(1)
        for i in range(3):
            a = counter(i)
        return a

    assert evaluate(lowered(kernel), []) == (10 + 1 + 0 + 1 + 2,)


def test_states_of_two_blocks_are_two():
    def kernel(c: int32) -> int32:
        r = 0
        if c > 0:
            s: int32 @ Stateful = 1
            s *= 2
            r = s
        else:
            s: int32 @ Stateful = 100
            s += 1
            r = s
        return r

    module, state = lowered(kernel), {}
    found = [evaluate(module, [c], state=state)[0] for c in (1, 0, 1, 0)]
    assert found == [2, 101, 4, 102]


# Memory and dynamic extents


def test_memory_is_part_of_the_arrays_type():
    def kernel(A: int32[N] @ Memory(resource="URAM"), B: "int32[4] @ Memory('lutram')"):
        t: int16[4] @ Memory(resource="BRAM", storage_type="RAM_2P")
        u: int16[2] @ Stateful @ Memory(resource="SRL") = 1
        t[0] = u[0]

    module = lowered(kernel)
    alloc = next(op for op in walk(module.top_func.body) if isinstance(op, Alloc))
    assert [a.array.memory for a in module.top_func.args] == [Memory("URAM"), Memory("LUTRAM")]
    assert alloc.result.array.memory == Memory("BRAM", "RAM_2P")
    assert module.globals[0].type.memory == Memory("SRL")


def test_a_dynamic_extent_is_given_by_the_call():
    def total(A: int32[...], n: int32) -> int32:
        s: int32 = 0
        for i in range(n):
            s += A[i]
        return s

    def kernel(A: int32[..., 2], B: int32[4], n: int32) -> int32:
        s: int32 = total(B, 4)
        for i in range(n):
            s += A[i, 1]
        return s

    module = lowered(kernel)
    for n in (0, 3):
        A = np.arange(2 * n + 2).reshape(n + 1, 2)
        assert evaluate(module, [A, np.arange(4), n]) == (6 + A[:n, 1].sum(),)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "x: ConstExpr[int32]",
            "<kernel>:2:5: error: the ConstExpr 'x' has no value\n"
            "    2 |     x: ConstExpr[int32]\n"
            "      |     ^\n"
            "  hint: write x: ConstExpr[int32] = ...",
        ),
        (
            "x: ConstExpr[int32] = n + 1",
            "<kernel>:2:27: error: 'n' is a variable of the kernel, and a constant is needed here\n"
            "    2 |     x: ConstExpr[int32] = n + 1\n"
            "      |                           ^\n"
            "  allowed: literals, names from outside the kernel, ConstExpr names",
        ),
        (
            "x: ConstExpr[int32] = 1 // 0",
            "<kernel>:2:27: error: '1 // 0' raises ZeroDivisionError: "
            "integer division or modulo by zero\n"
            "    2 |     x: ConstExpr[int32] = 1 // 0\n"
            "      |                           ^~~~~~",
        ),
        (
            "x: ConstExpr[int32] = 'a'",
            "<kernel>:2:27: error: ''a'' is str 'a', not a number\n"
            "    2 |     x: ConstExpr[int32] = 'a'\n"
            "      |                           ^~~",
        ),
        (
            "x: ConstExpr[int32] = (lambda: 3)()",
            "<kernel>:2:28: error: 'lambda: 3' is not computed before the kernel runs\n"
            "    2 |     x: ConstExpr[int32] = (lambda: 3)()\n"
            "      |                            ^~~~~~~~~\n"
            "  allowed: literals, outer names, operators, subscripts, calls of Python functions",
        ),
        (
            "x: ConstExpr[int32[4]] = 1",
            "<kernel>:2:8: error: a ConstExpr is a number, not int32[4]\n"
            "    2 |     x: ConstExpr[int32[4]] = 1\n"
            "      |        ^~~~~~~~~~~~~~~~~~~\n"
            "  allowed: ConstExpr[int32]",
        ),
        (
            "n: int32 @ Stateful = 1",
            "<kernel>:2:5: error: the name 'n' is in use\n"
            "    2 |     n: int32 @ Stateful = 1\n"
            "      |     ^\n"
            "  note: <kernel>:1:7: declared here\n"
            "    1 | def f(n: int32):\n"
            "      |       ^~~~~~~~\n"
            "  hint: choose another name",
        ),
        (
            "x: int32[3] @ Stateful = [1, 2]",
            "<kernel>:2:30: error: '[1, 2]' has shape (2,), and the variable is int32[3]\n"
            "    2 |     x: int32[3] @ Stateful = [1, 2]\n"
            "      |                              ^~~~~~",
        ),
        (
            "x: Struct({'a': int8}) @ Stateful = 3",
            "<kernel>:2:41: error: a number does not become Struct({\"a\": int8})\n"
            "    2 |     x: Struct({'a': int8}) @ Stateful = 3\n"
            "      |                                         ^",
        ),
        (
            "x: int32[...] @ Stateful",
            "<kernel>:2:8: error: 'x' is int32[...]: what is kept from run to run has a constant "
            "shape\n"
            "    2 |     x: int32[...] @ Stateful\n"
            "      |        ^~~~~~~~~~~~~~~~~~~~~",
        ),
        (
            "x: int32 @ Memory('BRAM')",
            "<kernel>:2:16: error: '@ Memory('BRAM')' is for arrays, and the type is int32\n"
            "    2 |     x: int32 @ Memory('BRAM')\n"
            "      |                ^~~~~~~~~~~~~~\n"
            "  hint: a scalar is stored in a register",
        ),
        (
            "x: int32[4] @ Memory",
            "<kernel>:2:19: error: '@ Memory' says nothing about a type\n"
            "    2 |     x: int32[4] @ Memory\n"
            "      |                   ^~~~~~\n"
            '  allowed: Stateful, Memory(resource="...")\n'
            '  hint: write Memory(resource="BRAM")',
        ),
        (
            "x: int32[4] @ Memory(resource='DISK')",
            "<kernel>:2:19: error: 'Memory(resource='DISK')' raises ValueError: Invalid resource "
            "'DISK': known are AUTO, BRAM, URAM, LUTRAM, SRL\n"
            "    2 |     x: int32[4] @ Memory(resource='DISK')\n"
            "      |                   ^~~~~~~~~~~~~~~~~~~~~~~",
        ),
        (
            "x: int32[4] @ [Layout.Shard(0)]",
            "<kernel>:2:8: error: a variable of a kernel is all its own\n"
            "    2 |     x: int32[4] @ [Layout.Shard(0)]\n"
            "      |        ^~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
            "  hint: a layout is for the arguments of a @df.kernel",
        ),
    ],
)
def test_what_cannot_be_declared(line, error):
    found = error_of(f"def f(n: int32):\n    {line}\n", Memory=Memory, Layout=Layout)
    assert found == error


def test_arguments_are_neither_stateful_nor_const_expr():
    assert error_of("def f(x: int32 @ Stateful, y: ConstExpr[int32]):\n    pass") == (
        "<kernel>:1:10: error: the argument 'x' cannot be Stateful\n"
        "    1 | def f(x: int32 @ Stateful, y: ConstExpr[int32]):\n"
        "      |          ^~~~~~~~~~~~~~~~\n"
        "  hint: only a variable of the kernel keeps its value from run to run\n\n"
        "<kernel>:1:31: error: the argument 'y' cannot be a ConstExpr\n"
        "    1 | def f(x: int32 @ Stateful, y: ConstExpr[int32]):\n"
        "      |                               ^~~~~~~~~~~~~~~~\n"
        "  hint: make it a parameter: def f[y](...)"
    )


def test_only_arguments_are_dynamic():
    text = "def f(A: int32[...]) -> int32[...]:\n    B: int32[...]\n    A = 0\n    return A\n"
    assert error_of(text) == (
        "<kernel>:1:25: error: the result is int32[...]: only arguments may have a dynamic extent\n"
        "    1 | def f(A: int32[...]) -> int32[...]:\n"
        "      |                         ^~~~~~~~~~\n\n"
        "<kernel>:2:8: error: 'B' is int32[...]: only arguments may have a dynamic extent\n"
        "    2 |     B: int32[...]\n"
        "      |        ^~~~~~~~~~\n\n"
        "<kernel>:3:9: error: an operation on all of int32[...] needs its first extent, which is "
        "known only when the kernel is called\n"
        "    3 |     A = 0\n"
        "      |         ^\n"
        "  hint: write a loop over its elements, or take a slice: A[0:8]"
    )


def test_an_extent_below_one_is_an_error_and_not_a_dynamic_extent():
    text = "def f(A: int32[-1], B: int32[2, ...], C: int32[M]):\n    A[0] = 1\n"
    assert error_of(text, M=-1) == (
        "<kernel>:1:16: error: an array dimension must be an int of 1 or more, not -1\n"
        "    1 | def f(A: int32[-1], B: int32[2, ...], C: int32[M]):\n"
        "      |                ^~\n\n"
        "<kernel>:1:33: error: only the first extent of an array may be dynamic\n"
        "    1 | def f(A: int32[-1], B: int32[2, ...], C: int32[M]):\n"
        "      |                                 ^~~\n\n"
        "<kernel>:1:48: error: an array dimension must be an int of 1 or more, not -1\n"
        "    1 | def f(A: int32[-1], B: int32[2, ...], C: int32[M]):\n"
        "      |                                                ^"
    )
