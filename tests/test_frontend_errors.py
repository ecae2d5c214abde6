"""What a user is told about a kernel that is not in the language.

The files ``golden/frontend_*errors.txt`` have kernels and the exact text of the error each gives.
"""

from pathlib import Path

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import KernelErrors, KernelTypeError, LanguageError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.types import Struct, float32, int8, int32
from allo_rtl.memory import Layout

GOLDEN = sorted((Path(__file__).parent / "golden").glob("frontend_*errors.txt"))
CASES = [
    case.split("\n----\n")
    for file in GOLDEN
    for case in file.read_text().rstrip("\n").split("\n====\n")
]


class Thing:
    """Something that is no kernel."""

    def method(self, x):
        return x


def helper(n):
    return n


POINT = Struct({"x": int8, "y": float32})
NAMES = {
    "Point": POINT,
    "W": np.arange(4),
    "TEXTS": np.array(["a", "b"]),
    "np": np,
    "WIDTH": 4,
    "allo": allo,
    "Layout": Layout,
    "helper": helper,
    "THING": Thing(),
}


def error_of(kernel, names=None):
    """The error that lowering a kernel raises."""
    with pytest.raises(LanguageError) as caught:
        lower_kernel(kernel, global_vars=names)
    return caught.value


@pytest.mark.parametrize(
    ("kernel", "expected"), CASES, ids=[c[1].partition(" error: ")[2].split("\n")[0] for c in CASES]
)
def test_error_text(kernel, expected):
    assert str(error_of(kernel, NAMES)) == expected


def test_a_type_error_is_a_language_error_of_its_own_class():
    error = error_of("def f(A: int32[4]):\n    A[4] = 0\n")
    assert type(error) is KernelTypeError
    assert type(error_of("def f(A: int32[4]):\n    del A\n")) is LanguageError


def test_several_errors_are_collected_without_their_consequences():
    error = error_of(
        """
        def f(A: int32[4], B):
            x: int32 = unknown
            for i in range(4):
                y = x + B[i]
                A[i, i] = y
            A[x] = 2.5j
        """
    )
    assert type(error) is KernelErrors
    assert [e.message for e in error.errors] == [
        "the argument 'B' has no type",
        "unknown name 'unknown'",
        "2.5j is not a number",
    ]


def callee(A: int32[4]):
    A[0] = nowhere


def test_an_error_is_placed_in_the_users_file():
    def kernel(A: int32[4]) -> int8:
        callee(A)
        b: int8 = A[0]
        return b + ärger  # a name after which bytes and columns differ

    first, second = error_of(kernel).errors
    line = callee.__code__.co_firstlineno + 1
    assert (first.loc.file, first.loc.line, first.loc.col) == (__file__, line, 12)
    line = kernel.__code__.co_firstlineno + 3
    assert str(second) == (
        f"{__file__}:{line}:20: error: unknown name 'ärger'\n"
        f"{line:>5} |         return b + ärger  # a name after which bytes and columns differ\n"
        "      |                    ^~~~~"
    )


def test_a_kernel_without_source():
    code = compile("".join(["def f(): ", "pass"]), "<nowhere>", "exec").co_consts[0]
    made = type(callee)(code, {})
    assert str(error_of(made)) == (
        "the source of the kernel 'f' is not at hand (defined in <nowhere>)\n"
        "  hint: write the kernel in a file, a notebook cell or a doctest, or pass its text"
    )


def test_something_that_is_no_function():
    assert str(error_of(42)) == (
        "a kernel must be a Python function, not int\n"
        "  allowed: a function defined with 'def', or the text of one"
    )


def test_a_chain_too_long_to_be_read_is_told():
    chain = "".join(f"    elif x == {n}:\n        A[0] = {n}\n" for n in range(1, 600))
    error = error_of(f"def k(A: int32[4], x: int32):\n    if x == 0:\n        A[0] = 0\n{chain}")
    assert "deeper than can be read" in error.message
    assert error.loc.line == 1
