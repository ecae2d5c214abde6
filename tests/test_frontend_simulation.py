"""``print`` and ``assert`` in kernels: what a simulation shows and where it stops."""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import AssertionFailed, LanguageError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Print
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import Fixed, float32, int8, int32
from allo_rtl.ir.verify import verify_module

NAME, WIDTH = "adder", 8


def printed(kernel, *args):
    """The lines that a kernel prints."""
    module, lines = lower_kernel(kernel), []
    verify_module(module)
    evaluate(module, args, output=lines.append)
    return lines


def test_texts_and_scalars_are_printed_like_in_python(capsys):
    def kernel(A: int32[3], x: int8):
        print("start")
        for i in range(3):
            print("A", i, "=", A[i], f"({A[i] * 2} twice, {{{x}}})")
        print(x, A[0], sep=", ")
        print()
        print(f"{NAME}: {WIDTH} bits", WIDTH + x, True, 1.5, sep="")
        print("{} {x}", end="\n")

    args = (np.array([5, -6, 7]), -3)
    kernel(*args)
    assert printed(kernel, *args) == capsys.readouterr().out.splitlines()


def test_numbers_of_every_type_are_printed_as_the_number():
    def kernel(x: int32):
        half: float32 = x / 2.0
        step: Fixed(8, 2) = half
        print(half, step, int32, x > 3)

    assert printed(kernel, 5) == ["2.5 2.5 int32 1"]


def test_prints_run_only_where_the_source_says():
    def kernel(n: int32):
        for i in range(n):
            if i % 2 == 0:
                continue
            print(i)

    assert printed(kernel, 6) == ["1", "3", "5"]


def test_braces_of_texts_are_kept_apart_from_values():
    def kernel(x: int32):
        print("{", x, "}}", sep="{}")

    (op,) = (op for op in walk(lower_kernel(kernel).top_func.body) if isinstance(op, Print))
    assert op.text == "{{{{}}{}{{}}}}}}"
    assert printed(kernel, 7) == ["{{}7{}}}"]


def root(A: int32[4], n: int32) -> int32:
    assert n >= 0, "n must not be negative"
    assert A[n] > 0
    return A[n]


def test_an_assertion_that_does_not_hold_stops_the_run():
    module, A = lower_kernel(root), np.array([1, 0, 2, 3])
    assert evaluate(module, [A, 2]) == (2,)
    line = root.__code__.co_firstlineno
    with pytest.raises(AssertionFailed) as caught:
        evaluate(module, [A, -1])
    assert (caught.value.message, caught.value.loc.line) == ("n must not be negative", line + 1)
    with pytest.raises(AssertionFailed) as caught:
        evaluate(module, [A, 1])
    assert (caught.value.message, caught.value.loc.line) == ("an assertion does not hold", line + 2)


def test_docstrings_pass_and_ellipsis_do_nothing():
    def kernel(x: int32) -> int32:
        """Does nothing."""
        pass
        ...
        "a text"
        return x

    module = lower_kernel(kernel)
    assert len(module.top_func.body) == 1
    assert evaluate(module, [3]) == (3,)


def tiles[M, T](A: "int32[M]"):
    assert M % T == 0, "T divides M"
    for i in range(M // T):
        A[i * T] = 1


def test_parameters_that_do_not_fit_are_told_before_anything_runs():
    assert "assert" not in str(allo.customize(tiles, instantiate=[6, 3]).module)
    with pytest.raises(LanguageError, match="this assertion is false: T divides M") as caught:
        allo.customize(tiles, instantiate=[5, 3])
    assert caught.value.loc.text.strip() == 'assert M % T == 0, "T divides M"'


def test_an_assertion_in_a_branch_fails_when_it_is_reached():
    def kernel(x: int32) -> int32:
        if x > 3:
            assert WIDTH == 0, "too large"
        return x

    assert printed(kernel, 3) == []
    with pytest.raises(AssertionFailed, match="too large"):
        printed(kernel, 4)
