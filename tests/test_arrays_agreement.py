"""Evaluator, CPU and hardware agree on arrays as a whole and named operations."""

import ml_dtypes
import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl import customize
from allo_rtl.errors import KernelTypeError
from allo_rtl.ir.types import (
    Fixed,
    Stateful,
    Struct,
    bfloat16,
    float16,
    float32,
    int8,
    int16,
    int32,
    uint8,
)

W = np.array([[1, -2, 3], [4, 5, -6]])


def double(row: int8[4]):
    for k in range(4):
        row[k] = row[k] * 2 + 1


def parts(A: int8[4, 4], B: int8[2, 4], n: uint8):
    A[0:2, :] = B
    A[2, 1:3] += 7
    A[1:4, 0] = A[0:3, 0]
    double(A[n & 3])
    double(A[3])
    A[:, 3] = A[0]


def operators(A: int8[3, 4], B: uint8[4]) -> (int16[3, 4], int8[4, 3]):
    return A * B - 3, (A + A[1]).T


def values(A: int8[2, 3]) -> int8[3, 2]:
    t: int8[3] = [1, -2, 3]
    w: int8[2, 3] = W
    return allo.view(allo.concat(A + t, w[0:1], A[:1], axis=0)[1:3], (3, 2))


def fixed(A: Fixed(8, 4)[4], B: Fixed(10, 6)[4]) -> Fixed(12, 6)[4]:
    A += B
    return A * B


def half(A: float16[3], B: bfloat16[3]) -> float32[3]:
    return A + B * 2


def swapped(A: int8[2, 3], B: int8[2, 3]):
    A[0], A[1] = A[1], A[0]
    x, y = A[0], B[1] + 1
    B[0], B[1] = y, x


POINT = Struct({"x": int8, "y": int16})


def structs(A: POINT[3], v: int8) -> int16:
    A[1]["x"] = v
    A[0] = A[1]
    B: POINT[2] = A[1:3]
    B[0]["y"] += 1
    return B[0]["y"] + B[0]["x"]


def bits(A: uint8[2, 3]) -> uint8[3]:
    A[0, 1][2] = 1
    A[1][0][3:5] = 2
    A[-1][-1][7] = A[0][0][1]
    return A[1]


START = np.array([1.5, -2, 0.5], dtype=ml_dtypes.bfloat16)


def window(x: float32) -> float32[3]:
    last: float32[3] @ Stateful = START
    last[1:] = last[:-1]
    last[0] = x
    return last


@pytest.mark.parametrize(
    "kernel", [parts, operators, values, fixed, half, swapped, structs, bits, window]
)
def test_arrays_agree(kernel):
    check(customize(kernel), simulator="pysim")


def products(A: int8[3, 4], B: int8[4, 2], b: int8[2]) -> (int32[3, 2], int16[2, 2]):
    return allo.matmul(A, B), allo.linear(A[0:2, 0:2], B[0:2], b)


def windows(X: int8[1, 2, 4, 4], K: int8[1, 2, 2, 3], w: int8[2, 2]) -> (
    int32[1, 1, 3, 2], int8[1, 2, 2, 2], int16[1, 2, 3, 3]
):  # fmt: skip
    return allo.conv2d(X, K), allo.maxpool(X, w, stride=2), allo.sumpool(X, w)


def moved(A: int8[3, 3], B: int8[3, 2]) -> (int8[3, 3], int8[3, 5], int8[3, 3]):
    return allo.relu(allo.tril(A)), allo.concat(A, B, axis=1), allo.abs(A) @ A


def float_product(A: float32[2, 3], B: float32[3, 2]) -> float32[2, 2]:
    return allo.matmul(A, B)


@pytest.mark.parametrize("kernel", [products, windows, moved, float_product])
def test_named_operations_agree(kernel):
    check(customize(kernel), simulator="pysim")


def normalised(X: float32[2, 3], g: float32[3], b: float32[3]) -> float32[2, 3]:
    Y = allo.softmax(X)
    return allo.layernorm(Y, g, b)


def activated(X: float32[3], Y: float16[3]) -> (float32[3], float16[3]):
    return allo.gelu(X) + allo.sqrt(allo.abs(X)), allo.exp(Y)


@pytest.mark.parametrize("kernel", [normalised, activated])
def test_elementary_functions_agree(kernel):
    check(customize(kernel), seeds=(0,), ulps=64, rtl=False)


def gemm(A: int8[4, 4], B: int8[4, 4]) -> int32[4, 4]:
    C: int32[4, 4] = allo.matmul(A, B, name="gemm")
    return C


def test_a_scheduled_product_agrees():
    s = customize(gemm)
    s.reorder("gemm_k", "gemm_j")
    s.unroll("gemm_j")
    s.partition(s.B, dim=2)
    s.partition(s.C, dim=2)
    s.pipeline("gemm_k")
    check(s, simulator="pysim")


PAIR = Struct({"n": int8, "inner": Struct({"x": Fixed(7, 3), "h": bfloat16})})
PAIRS = np.array(
    [(-1, (0.5, 2.5)), (2, (-1.25, 3.0))],
    [("n", np.int8), ("inner", [("x", np.float64), ("h", ml_dtypes.bfloat16)])],
)


def initial_structs() -> (PAIR[2], PAIR[2], PAIR[2], PAIR, PAIR[2]):
    outer: PAIR[2] = PAIRS
    written: PAIR[2] = [
        {"inner": {"h": 2.5, "x": 0.5}, "n": -1}, {"n": 2, "inner": {"x": -1.25, "h": 3}}
    ]  # fmt: skip
    everywhere: PAIR[2] = {"n": 2, "inner": {"x": -1.25, "h": 3.0}}
    kept: PAIR @ Stateful = {"n": 2, "inner": {"x": -1.25, "h": 3.0}}
    both: PAIR[2] @ Stateful = PAIRS
    return outer, written, everywhere, kept, both


def test_structs_are_initialised_by_dictionaries_and_structured_arrays():
    s = customize(initial_structs)
    check(s, simulator="pysim")
    outer, written, everywhere, kept, both = s.build()()
    for found in (outer, written, both):
        assert found.tolist() == PAIRS.tolist()
    assert everywhere.tolist() == [PAIRS[1].item()] * 2
    assert kept == {"n": 2, "inner": {"x": -1.25, "h": 3.0}}


@pytest.mark.parametrize("given", ['[{"n": 1}]', '[{"n": 1, "inner": 2}]', "[3]"])
def test_what_initialises_a_struct_has_its_fields(given):
    text = f"def f() -> int8:\n    a: PAIR[1] = {given}\n    return a[0]['n']\n"
    with pytest.raises(KernelTypeError, match="is not a value of type Struct"):
        customize(text, global_vars={"PAIR": PAIR})


@pytest.mark.parametrize("dtype", [np.int64, object])
def test_numbers_do_not_initialise_structs(dtype):
    text = "def f() -> int8:\n    a: PAIR[2] = W\n    return a[0]['n']\n"
    with pytest.raises(KernelTypeError, match="'W' cannot initialise Struct"):
        customize(text, global_vars={"PAIR": PAIR, "W": np.array([1, 2], dtype)})


def rows(A: int8[4, 4]) -> int8[4, 4]:
    for i in range(4):
        double(A[i])
    return A


def test_a_partitioned_array_of_which_parts_are_passed_agrees():
    s = customize(rows)
    s.partition(s.A, dim=2)
    s.pipeline("double:k")
    check(s, simulator="pysim")
