"""What a user is told who passes the wrong part of an array."""

import numpy as np
import pytest

from allo_rtl.errors import LanguageError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.types import int8, int32


def clear(row: int32[4]):
    for k in range(4):
        row[k] = 0


TABLE = np.zeros((2, 4), np.int32)


def test_parts_passed_to_kernels_have_the_arguments_type_and_are_not_constants():
    def kernel(A: int32[4, 5], B: int8[4]):
        clear(A[0])
        clear(A[:, 0:2])
        clear(B[0:4])
        clear(TABLE[0])

    with pytest.raises(LanguageError) as caught:
        lower_kernel(kernel)
    assert [e.message for e in caught.value.errors] == [
        "'A[0]' is int32[5], the argument 'row' is int32[4]",
        "'A[:, 0:2]' is int32[4, 2], the argument 'row' is int32[4]",
        "'B[0:4]' is int8[4], the argument 'row' is int32[4]",
        "the kernel writes to its argument 'row', and 'TABLE[0]' is a constant",
    ]
    assert [e.hint for e in caught.value.errors] == [
        None, None, "copy it first: t: int32[4] = B[0:4]", "copy it first: t: int32[4] = TABLE[0]",
    ]  # fmt: skip


def follow(X: int32[4], Y: int32[4]):
    X[:] = Y + 1


def product(X: int32[2, 2], Y: int32[2, 2]):
    X[:] = Y @ Y


def outer(P: int32[2, 2], Q: int32[2, 2]):
    product(P, Q)


def test_arguments_that_must_not_overlap_do_not():
    def kernel(A: int32[8], B: int32[2, 2], n: int32):
        follow(A[0:4], A[0:4])
        follow(A[0:4], A[4:8])
        follow(A[0:8:2], A[n : n + 4])
        follow(A[1:5], A[0:4])
        product(B, B)
        outer(B, B)

    with pytest.raises(LanguageError) as caught:
        lower_kernel(kernel)
    why = "that may overlap, and it reads the second while it stores to the first"
    assert [e.message for e in caught.value.errors] == [
        f"the arguments 'X' and 'Y' of 'follow' are parts of 'A' {why}",
        f"the arguments 'X' and 'Y' of 'follow' are parts of 'A' {why}",
        f"the arguments 'X' and 'Y' of 'product' are parts of 'B' {why}",
        f"the arguments 'P' and 'Q' of 'outer' are parts of 'B' {why}",
    ]
    assert {e.hint for e in caught.value.errors} == {
        "pass a copy: t: int32[4] = ...", "pass a copy: t: int32[2, 2] = ...",
    }  # fmt: skip
