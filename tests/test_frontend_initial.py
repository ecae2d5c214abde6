"""Initial values of arrays: lists, numpy arrays, fills, copies, for every element type."""

import ml_dtypes
import numpy as np
import pytest
from test_frontend_arrays import ints, ops, run

import allo_rtl as allo
from allo_rtl import customize
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.ops import Alloc, GetGlobal
from allo_rtl.ir.types import (
    Fixed,
    Int,
    UFixed,
    UInt,
    bfloat16,
    bool_,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    int8,
    int32,
)

ELEMENTS = {
    "int8": int8, "UInt(5)": UInt(5), "bool_": bool_, "Int(70)": Int(70), "float16": float16,
    "bfloat16": bfloat16, "float32": float32, "float64": float64, "Fixed(12, 4)": Fixed(12, 4),
    "UFixed(9, 3)": UFixed(9, 3), "float8_e4m3": float8_e4m3, "float8_e5m2": float8_e5m2,
}  # fmt: skip
NAMES = {"allo": allo, **ELEMENTS, "N": 3, "Fixed": Fixed, "UFixed": UFixed, "Int": Int}
NAMES |= {"UInt": UInt, "T": None}


def built(text, **names):
    """The evaluator of a kernel's text."""
    return customize(text, global_vars={**NAMES, **names}).build(target="evaluator")


@pytest.mark.parametrize("name", ELEMENTS)
def test_lists_initialise_arrays_of_every_type(name):
    text = f"def f() -> {name}[2, 2]:\n    t: {name}[2, 2] = [[1, True], [N - 3, 0.0]]\n"
    made = built(text + "    return t\n")()
    assert np.array_equal(np.asarray(made, float), [[1, 1], [0, 0]])


@pytest.mark.parametrize("name", ELEMENTS)
def test_zeros_ones_and_fills_of_every_type(name):
    text = (
        f"def f() -> ({name}[2], {name}[3], {name}[2]):\n"
        f"    x: {name}[2] = 1\n"
        f"    return allo.zeros(2, dtype={name}), allo.ones((3,), {name}), x\n"
    )
    zeros, ones, filled = built(text)()
    assert not np.asarray(zeros, float).any()
    assert np.array_equal(np.asarray(ones, float), [1, 1, 1])
    assert np.array_equal(np.asarray(filled, float), [1, 1])


def test_literals_are_converted_like_assignments():
    text = (
        "def f() -> (Fixed(12, 4)[3], int8[3], float32[3]):\n"
        "    a: Fixed(12, 4)[3] = [-0.3, 1.99, 2]\n"
        "    b: int8[3] = [2.9, -2.9, 300]\n"
        "    c: float32[3] = [0.1, 1e-50, 16777217]\n"
        "    return a, b, c\n"
    )
    a, b, c = built(text)()
    assert list(a) == [-0.25, 1.9375, 2]
    assert list(b) == [2, -2, 44]
    assert np.array_equal(c, np.array([0.1, 0, 16777216], np.float32))


DTYPES = [
    np.int8, np.uint16, np.int64, np.bool_, np.float16, np.float32, np.float64,
    ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_numpy_arrays_of_every_dtype_initialise_and_are_read(dtype):
    W = np.array([[0, 1, 0], [1, 1, 0]]).astype(dtype)
    text = (
        "def f() -> (float32[2, 3], Fixed(12, 4)[2, 3], int32[2, 3], float32[3]):\n"
        "    a: float32[2, 3] = W\n"
        "    b: Fixed(12, 4)[2, 3] = W\n"
        "    c: int32[2, 3] = W\n"
        "    return a, b, c, W[1]\n"
    )
    a, b, c, d = built(text, W=W, int32=int32)()
    for found in (a, b, c):
        assert np.array_equal(np.asarray(found, float), W.astype(float))
    assert np.array_equal(d, W[1].astype(float))


def test_parts_of_a_numpy_array():
    W = np.arange(20).reshape(4, 5)

    def kernel(n: int32) -> (int32[5], int32[2], int32[3, 5]):
        row: int32[5] = W[2]
        part: int32[2] = W[-1, 1:3]
        each: int32[3, 5]
        for i in range(3):
            one: int32[5] = W[i + 1]
            each[i] = one
        each[0] = W[n]
        return row, part, each

    row, part, each = run(kernel, 3)
    assert np.array_equal(row, W[2])
    assert np.array_equal(part, W[3, 1:3])
    assert np.array_equal(each, W[[3, 2, 3]])
    # Of what is known before the kernel runs only the part is a constant of it.
    shapes = {g.name: g.type.shape for g in lower_kernel(kernel).globals}
    assert shapes["row_const"] == (5,)
    assert shapes["W"] == (4, 5)


def test_a_list_that_is_only_read_is_a_constant():
    def kernel(A: int32[3]) -> int32[3]:
        t: int32[3] = [1, 2, 3]
        return A + t

    assert not [op for op in ops(kernel, Alloc) if op.result.name == "t"]
    assert len(ops(kernel, GetGlobal)) == 1

    def written(A: int32[3]) -> int32[3]:
        t: int32[2, 3] = [[1, 2, 3], [4, 5, 6]]
        t[1][2] = 60
        double_three(t[0])
        return A + t[1] + t[0]

    A = ints(3)
    assert np.array_equal(run(kernel, A), np.add(A, [1, 2, 3]))
    assert np.array_equal(run(written, A), np.add(A, [6, 9, 66]))


def double_three(row: int32[3]):
    for k in range(3):
        row[k] *= 2


def test_a_copy_is_converted():
    def kernel(A: float32[3]) -> (int8[3], Fixed(10, 2)[3]):
        B: int8[3] = A
        C: Fixed(10, 2)[3] = A
        return B, C

    B, C = run(kernel, np.array([1.75, -1.75, 1000], np.float32))
    assert list(B) == [1, -1, 127]
    assert list(C) == [1.75, -1.75, 127.75]
