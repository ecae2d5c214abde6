"""Kernels with parameters in square brackets, and blocks decided when the kernel is captured."""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import LanguageError
from allo_rtl.frontend import lower_kernel, meta_else, meta_if
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Alloc, While
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import (
    ConstExpr,
    Float,
    Int,
    Stateful,
    UInt,
    float32,
    int8,
    int16,
    int32,
    uint8,
)
from allo_rtl.ir.verify import verify_module

N = 4


def lowered(kernel, *params, **names):
    module = lower_kernel(kernel, instantiate=params, global_vars=names or None)
    verify_module(module)
    return module


def error_of(kernel, *params, **names):
    with pytest.raises(LanguageError) as caught:
        lower_kernel(kernel, instantiate=params, global_vars=names or None)
    return str(caught.value)


def signature(func):
    results = ", ".join(map(str, func.results))
    return f"{func.name}({', '.join(str(a.type) for a in func.args)})" + f" -> {results}" * bool(
        results
    )


def scale[T, M: int32](A: "T[M]", s: "T") -> "T[M]":
    B: T[M] = 0
    for i in range(M):
        B[i] = A[i] * s + M
    return B


def twice[T, M](A: "T[M + 1, 2 * M]"):
    width: int32 = T.bits
    for i, j in allo.grid(M + 1, 2 * M):
        A[i, j] += width


# Instances


def test_parameters_are_types_and_numbers():
    module = lowered(scale, int16, 3)
    assert signature(module.top_func) == "scale(int16[3], int16) -> int16[3]"
    (found,) = evaluate(module, [np.array([1, 2, 3]), 10])
    assert found.tolist() == [13, 23, 33]

    A = np.zeros((3, 4), int)
    evaluate(lowered(twice, uint8, 2), [A])
    assert A.tolist() == [[8] * 4] * 3


def test_instances_are_functions_of_their_own_named_in_order():
    def kernel(A: int16[N], B: int32[N]) -> int32[N]:
        C: int16[N] = scale[int16, N](A, 2)
        D: int32[N] = scale[int32, 2 * N - N](B, C[0])
        E: int16[N] = scale[int16, N](C, 1)
        return scale[int32, N](D, E[1])

    module = lowered(kernel)
    assert [signature(f) for f in module.funcs] == [
        "scale(int16[4], int16) -> int16[4]",
        "scale_1(int32[4], int32) -> int32[4]",
        "kernel(int16[4], int32[4]) -> int32[4]",
    ]
    A, B = np.arange(N), np.arange(N) + 1
    D = (B * (A * 2 + 4)[0] + 4) * ((A * 2 + 4)[1] + 4) + 4
    assert evaluate(module, [A, B])[0].tolist() == D.tolist()


def test_a_string_is_the_id_of_an_instance():
    def kernel(A: int16[N]) -> int16[N]:
        B: int16[N] = scale[int16, N, "left"](A, 2)
        C: int16[N] = scale[int16, N, "right"](B, 2)
        return scale[int16, N, "left"](C, 2)

    assert [f.name for f in lowered(kernel).funcs] == ["scale_left", "scale_right", "kernel"]
    s = allo.customize(kernel)
    assert s.func_instances == {"kernel": ["kernel"], "scale": ["scale_left", "scale_right"]}


def test_instantiate_names_the_parameters_of_the_top_or_of_several_kernels():
    def outer[M](A: "int8[M]") -> "int8[M]":
        return scale(A, 1)

    s = allo.customize(outer, instantiate={"outer": [3], "scale": [int8, 3]})
    assert signature(s.module.top_func) == "outer(int8[3]) -> int8[3]"
    assert s.inst_list == [3]
    assert allo.customize(scale, instantiate=[int8, 2, "x"]).top_func_name == "scale_x"
    assert allo.customize(scale, instantiate=[int8, 2]).inst_list == [int8, 2]


def test_bounds_are_types_families_and_tuples_of_types():
    def family[T: Int, U: (int8, Float), M: uint8, X: float32](a: "T", b: "U") -> int32:
        return M

    assert evaluate(lowered(family, int16, float32, 255, 0.5), [0, 0]) == (255,)
    assert evaluate(lowered(family, Int(3), int8, 0, 2.0), [0, 0]) == (0,)
    text = "def f[T: Int, U: (int8, Float), M: uint8, X: float32](a: 'T'):\n    pass\n"
    wrong = [
        ((uint8, int8, 1, 0.5), "uint8 is not within the bound of 'T' of 'f'"),
        ((int8, int16, 1, 0.5), "int16 is not within the bound of 'U' of 'f'"),
        ((int8, int8, 256, 0.5), "256 is not within the bound of 'M' of 'f'"),
        ((int8, int8, int8, 0.5), "int8 is not within the bound of 'M' of 'f'"),
        ((int8, int8, 1, int8), "int8 is not within the bound of 'X' of 'f'"),
    ]
    for params, message in wrong:
        assert message in error_of(text, *params)
    assert error_of(text, int8, int8, -1, 0.5) == (
        "<kernel>:1:1: error: -1 is not within the bound of 'M' of 'f'\n"
        "    1 | def f[T: Int, U: (int8, Float), M: uint8, X: float32](a: 'T'):\n"
        "      | ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
        "  note: <kernel>:1:33: the bound is here\n"
        "    1 | def f[T: Int, U: (int8, Float), M: uint8, X: float32](a: 'T'):\n"
        "      |                                 ^~~~~~~~\n"
        "  allowed: uint8"
    )


def test_a_nested_generic_kernel_sees_the_parameters_around_it():
    def outer[T, M](A: "T[M]") -> "T":
        def add[K](B: "T[M]") -> "T":
            total: T = 0
            for i in range(M):
                total += B[i] + K
            return total

        return add[10](A) + add[20](A)

    assert evaluate(lowered(outer, int32, 3), [np.array([1, 2, 3])]) == (12 + 90,)


def total[M](A: "int32[M]") -> int32:
    """A tree of functions: its recursion ends when it is captured."""
    with allo.meta_if(M == 1):
        return A[0]
    with allo.meta_else():
        left: int32[M // 2]
        right: int32[M - M // 2]
        for i in range(M // 2):
            left[i] = A[i]
        for i in range(M - M // 2):
            right[i] = A[M // 2 + i]
        return total[M // 2](left) + total[M - M // 2](right)


def endless[M](A: "int32[4]"):
    endless[M + 1](A)


def test_instances_may_call_each_other_until_the_parameters_end_it():
    module = lowered(total, 5)
    assert [f.name for f in module.funcs] == ["total_2", "total_1", "total_3", "total"]
    assert evaluate(module, [np.array([1, 2, 3, 4, 5])]) == (15,)
    assert "error: more than 50 calls inside each other\n" in error_of(endless, 0)


def count[K](x: int32) -> int32:
    seen: int32 @ Stateful = K
    seen += x
    return seen


def test_each_instance_has_a_state_of_its_own():
    def kernel(x: int32) -> (int32, int32, int32):
        return count[10](x), count[20](x), count[10](x)

    module, state = lowered(kernel), {}
    assert evaluate(module, [1], state=state) == (11, 21, 12)
    assert evaluate(module, [1], state=state) == (13, 22, 14)
    assert [g.name for g in module.globals] == ["count_seen", "count_1_seen"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "k(A)",
            "<kernel>:2:5: error: 'k' needs its parameters\n"
            "    2 |     k(A)\n"
            "      |     ^~~~\n"
            "  allowed: k[T, M: int32]\n"
            "  hint: in a kernel k[...](...), else customize(k, instantiate=[...])",
        ),
        (
            "k[int8](A)",
            "<kernel>:2:5: error: 'k' with 1 parameter: int8\n"
            "    2 |     k[int8](A)\n"
            "      |     ^~~~~~~~~~\n"
            "  allowed: k[T, M: int32]",
        ),
        (
            "k[int8, n](A)",
            "<kernel>:2:13: error: 'n' is a variable of the kernel, and a constant is needed here\n"
            "    2 |     k[int8, n](A)\n"
            "      |             ^\n"
            "  allowed: literals, names from outside the kernel, ConstExpr names",
        ),
        (
            "k['a', 3](A)",
            "<kernel>:2:5: error: 'a' cannot be the parameter 'T' of 'k'\n"
            "    2 |     k['a', 3](A)\n"
            "      |     ^~~~~~~~~~~~\n"
            "  allowed: types and numbers",
        ),
        (
            "plain[3](A)",
            "<kernel>:2:5: error: 'plain' has no parameters in square brackets\n"
            "    2 |     plain[3](A)\n"
            "      |     ^~~~~~~~~~~",
        ),
        (
            "k[int8, 4, 'x'](A); k[int8, 5, 'x'](A)",
            "<kernel>:2:25: error: the name 'k_x' of the instance 'x' is in use\n"
            "    2 |     k[int8, 4, 'x'](A); k[int8, 5, 'x'](A)\n"
            "      |                         ^~~~~~~~~~~~~~~~~~\n"
            "  hint: give each instance an id of its own",
        ),
    ],
)
def test_what_parameters_cannot_be(line, error):
    def k[T, M: int32](A: "int32[4]"):
        pass

    def plain(A: int32[4]):
        pass

    assert error_of(f"def f(A: int32[4], n: int32):\n    {line}\n", k=k, plain=plain) == error


def test_star_parameters_are_refused():
    assert error_of("def f[*Ts](A: int32[4]):\n    pass\n", 1) == (
        "<kernel>:1:7: error: the parameter '*Ts' is not supported\n"
        "    1 | def f[*Ts](A: int32[4]):\n"
        "      |       ^~~\n"
        "  allowed: T, T: Int, M: int32"
    )


# meta_if, meta_for


def test_conditions_may_ask_for_membership():
    def corner(A: int32[4]):
        with allo.meta_for(4) as i, allo.meta_if(i in {0, 3} or i in (1,)):
            A[i] = i + 1

    found = np.zeros(4, np.int64)
    evaluate(lower_kernel(corner), [found])
    assert found.tolist() == [1, 2, 0, 4]


def by_type[T](x: "T") -> int32:
    r: int32 = 0
    with allo.meta_if(T == int8):  # noqa: SIM300
        r = 1
    with allo.meta_elif((isinstance(T, UInt) and T.bits > 8) or T is float32):
        r = 2
    with allo.meta_elif(T.bits == 8):
        r = 3
    with allo.meta_else():
        r = 4
    return r


@pytest.mark.parametrize(
    ("type_", "branch"), [(int8, 1), (UInt(9), 2), (float32, 2), (uint8, 3), (int16, 4)]
)
def test_one_branch_of_a_decision_is_taken(type_, branch):
    assert evaluate(lowered(by_type, type_), [0]) == (branch,)


def test_a_branch_that_is_not_taken_is_not_looked_at():
    def kernel[M](A: "int32[M]") -> int32:
        r: int32 = 0
        with meta_if(M > 4):
            r = A[4] + undefined_helper(A)
        with meta_else(), allo.meta_if(not M % 2):
            r = A[M - 1]
        return r

    module = lowered(kernel, 4)
    assert [f.name for f in module.funcs] == ["kernel"]
    assert evaluate(module, [np.arange(4)]) == (3,)
    assert "error: unknown kernel 'undefined_helper'" in error_of(kernel, 5)


def test_names_of_a_block_end_with_it():
    def kernel() -> int32:
        with allo.meta_if(N == 4):
            x: int32 = 1
        return x

    assert "error: 'x' is not known here\n" in error_of(kernel)


def test_a_kernel_may_end_in_a_decision():
    def kernel[M](A: "int32[4]") -> int32:
        x: int32 = A[0]
        with allo.meta_if(M == 0):
            return x
        with allo.meta_elif(M == 1):
            y: int32 = x * 2
            return y
        with allo.meta_else():
            return -1

    results = [evaluate(lowered(kernel, m), [np.array([7, 0, 0, 0])])[0] for m in (0, 1, 2)]
    assert results == [7, 14, -1]


def test_what_stands_after_a_return_that_is_taken_is_not_looked_at():
    def tree[M](A: "int32[M]") -> int32:
        with allo.meta_if(M == 1):
            return A[0]
        half: int32[M // 2]
        for i in range(M // 2):
            half[i] = A[i] + A[M // 2 + i]
        return tree[M // 2](half)

    def chosen[M](x: int32) -> int32:
        if x > 100:
            return 100
        with allo.meta_for(4) as i, allo.meta_if(i == M):
            return x + i
        with allo.meta_if(M < 10):
            return x
        with allo.meta_else():
            if x > 0:
                return 1
            else:
                return -1
        return undefined

    assert evaluate(lowered(tree, 4, tree=tree), [np.arange(4)]) == (6,)
    for m, found in ((2, 7), (7, 5), (20, 1)):
        module = lowered(chosen, m)
        assert evaluate(module, [5]) == (found,)
        assert evaluate(module, [101]) == (100,)


def test_meta_for_makes_a_copy_for_each_number():
    def kernel(A: int32[12]) -> int32:
        total: int32 = 0
        with allo.meta_for(1, 10, 3) as i:
            size: ConstExpr[int32] = i * 2
            t: int32[size] = i
            with allo.meta_for(2) as k, allo.meta_if(i + k > 5):
                A[i + k] = t[size - 1]
            for j in range(i):
                total += t[j]
        with allo.meta_for(0):
            total = undefined
        return total

    module, A = lowered(kernel), np.zeros(12, int)
    assert evaluate(module, [A]) == (1 + 16 + 49,)
    assert A.tolist() == [0, 0, 0, 0, 0, 0, 0, 7, 7, 0, 0, 0]
    shapes = [op.result.array.shape for op in walk(module.top_func.body) if isinstance(op, Alloc)]
    assert shapes == [(), (2,), (8,), (14,)]
    assert [f.trip_count for f in loops(module.top_func.body) if f.name == "j"] == [1, 4, 7]


def test_jumps_go_through_meta_if_to_the_loop_around_it():
    def kernel[M](A: "int32[8]") -> int32:
        total: int32 = 0
        for i in range(8):
            with allo.meta_if(M == 1):
                if A[i] == 3:
                    continue
            with allo.meta_else():
                if A[i] == 3:
                    break
            total += A[i]
        return total

    A = np.array([1, 2, 3, 4, 5, 3, 6, 7])
    assert [evaluate(lowered(kernel, m), [A])[0] for m in (1, 2)] == [25, 3]
    assert any(isinstance(op, While) for op in walk(lowered(kernel, 2).top_func.body))


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (
            ["with allo.meta_else():", "    pass"],
            "<kernel>:2:10: error: 'meta_else' without a 'meta_if' just before it\n"
            "    2 |     with allo.meta_else():\n"
            "      |          ^~~~~~~~~~~~~~~~\n"
            "  hint: blocks of one decision stand directly after each other",
        ),
        (
            ["with allo.meta_if(n > 3):", "    pass"],
            "<kernel>:2:23: error: 'n' is a variable of the kernel, and a constant is needed here\n"
            "    2 |     with allo.meta_if(n > 3):\n"
            "      |                       ^\n"
            "  allowed: literals, names from outside the kernel, ConstExpr names",
        ),
        (
            ["with allo.meta_if(M > 3):", "    pass", "with allo.meta_else():", "    pass"],
            "<kernel>:2:23: error: unknown name 'M'\n"
            "    2 |     with allo.meta_if(M > 3):\n"
            "      |                       ^",
        ),
        (
            ["with allo.meta_if():", "    pass"],
            "<kernel>:2:10: error: 'allo.meta_if()' has the wrong arguments\n"
            "    2 |     with allo.meta_if():\n"
            "      |          ^~~~~~~~~~~~~~\n"
            "  allowed: meta_if(condition)",
        ),
        (
            ["with allo.meta_if(1) as x:", "    pass"],
            "<kernel>:2:29: error: 'meta_if' gives no value\n"
            "    2 |     with allo.meta_if(1) as x:\n"
            "      |                             ^",
        ),
        (
            ["with open('f') as x:", "    pass"],
            "<kernel>:2:10: error: 'with open('f') as x' is not in the language\n"
            "    2 |     with open('f') as x:\n"
            "      |          ^~~~~~~~~\n"
            "  allowed: meta_if(...), meta_elif(...), meta_else(), meta_for(...) as i",
        ),
        (
            ["with allo.meta_for(0, 4, 0) as i:", "    pass"],
            "<kernel>:2:30: error: '0' cannot be a bound or step of a meta_for\n"
            "    2 |     with allo.meta_for(0, 4, 0) as i:\n"
            "      |                              ^\n"
            "  allowed: ints; the step is not 0",
        ),
        (
            ["with allo.meta_for(4) as n:", "    A[n] = x"],
            "<kernel>:2:30: error: the name 'n' of the loop variable is in use\n"
            "    2 |     with allo.meta_for(4) as n:\n"
            "      |                              ^\n"
            "  note: <kernel>:1:20: declared here\n"
            "    1 | def f(A: int32[4], n: int32):\n"
            "      |                    ^~~~~~~~\n"
            "  hint: choose a different name for the loop variable",
        ),
        (
            ["with allo.meta_for(4) as i:", "    A[i] = x"],
            "<kernel>:3:16: error: unknown name 'x'\n"
            "    3 |         A[i] = x\n"
            "      |                ^",
        ),
        (
            ["for j in range(3):", "    with allo.meta_for(4) as i:", "        break"],
            "<kernel>:3:14: error: 'break' and 'continue' cannot leave a meta_for\n"
            "    3 |         with allo.meta_for(4) as i:\n"
            "      |              ^~~~~~~~~~~~~~~~\n"
            "  hint: put the rest of the block in a meta_if",
        ),
    ],
)
def test_what_such_blocks_cannot_be(lines, error):
    text = "def f(A: int32[4], n: int32):\n" + "".join(f"    {line}\n" for line in lines)
    assert error_of(text, allo=allo) == error


def test_in_ordinary_python_such_blocks_are_run_once():
    ran = []
    with allo.meta_if(False):
        ran.append("if")
    with allo.meta_elif(False), allo.meta_else():
        ran.append("else")
    with allo.meta_for(3) as i:
        ran.append(i)
    assert ran == ["if", "else", 0]
