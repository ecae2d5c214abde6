"""Named operations in kernels: what they compute, and the loops they become."""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl import customize
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.ops import Alloc, For
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import (
    ArrayType,
    Fixed,
    Int,
    UInt,
    bfloat16,
    float8_e4m3,
    float16,
    float32,
    float64,
    int8,
    int32,
    uint8,
)
from allo_rtl.ir.verify import verify_module

TYPES = {
    t.__str__(): t
    for t in (bfloat16, float16, float32, float64, int8, int32, uint8, float8_e4m3, UInt(3))
}


def run(kernel, *args, **names):
    """What a kernel returns; ``names`` are the outer names of a text."""
    s = customize(kernel, global_vars={"allo": allo, "Fixed": Fixed, **TYPES, **names})
    verify_module(s.module)
    return s.build(target="evaluator")(*args)


def floats(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def ints(*shape, seed=0, dtype=np.int8):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max + 1, shape, dtype=dtype)


def bands(kernel):
    """(band, its loops, how many of them are reductions) for each nest of a kernel."""
    found = []
    for op in lower_kernel(kernel).top_func.body:
        if isinstance(op, For):
            nest = [p for p in walk((op,)) if isinstance(p, For)]
            names = [p.name.removeprefix(f"{op.attrs.band}_") for p in nest]
            found.append((op.attrs.band, " ".join(names), sum(p.attrs.reduction for p in nest)))
    return found


def close(found, expected, ulps=16, scale=1.0):
    """Whether float32 results are near numpy's, which rounds in another order."""
    return np.allclose(found, expected, rtol=ulps * 2.0**-23, atol=ulps * 2.0**-24 * scale)


# --- elementwise ---------------------------------------------------------------------------

POSITIVE = ("log", "log2", "log10", "sqrt")


@pytest.mark.parametrize(
    "name",
    ["exp", "log", "log2", "log10", "sqrt", "sin", "cos", "tan", "tanh", "abs", "relu", "gelu"],
)
@pytest.mark.parametrize("element", ["float16", "float32", "int8", "bfloat16"])
def test_functions_of_each_element(name, element):
    out = element if name in ("abs", "relu") or element != "int8" else "float32"
    text = f"def f(A: {element}[2, 3], s: {element}) -> ({out}[2, 3], {out}):\n"
    text += f"    return allo.{name}(A), allo.{name}(s)\n"
    A = np.array([[1, 2, 3], [-4, 5, -0.5]])
    A = (np.abs(A) + 1 if name in POSITIVE else A).astype(allo.zeros(1, TYPES[element]).dtype)
    made, one = run(text, A, A[0, 1].item())
    wanted = getattr(allo, name)(A.astype(np.float64))
    precise = {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(element, 2.0**-21)
    if name == "gelu":
        precise *= 8
    assert np.allclose(np.asarray(made, float), wanted, rtol=precise, atol=precise / 4)
    assert float(one) == float(made[0, 1])


def test_operators_by_name_take_arrays_and_scalars():
    def kernel(
        A: int8[2, 3], b: int8, C: uint8[3]
    ) -> (int32[2, 3], int32[2, 3], float32[3], int32):
        D = allo.mul(A, C)
        E = allo.sub(b, allo.add(A, C))
        return D, allo.div(E, 3), allo.power(C, 2), allo.add(allo.mul(b, 2), 1)

    A, C = ints(2, 3), ints(3, dtype=np.uint8)
    D, E, F, x = run(kernel, A, -7, C)
    a, c = A.astype(int), C.astype(int)
    assert np.array_equal(D, a * c)
    assert np.array_equal(E, np.trunc((-7 - (a + c)) / 3))
    assert np.array_equal(F, (c**2).astype(np.float32))
    assert x == -13


def test_elementwise_operations_are_one_nest_which_the_user_may_name():
    def kernel(A: float32[4], B: float32[4]) -> float32[4]:
        C: float32[4] = allo.relu(allo.add(allo.exp(A), B), name="activate")
        return C

    assert bands(kernel) == [("activate", "i", 0)]
    A, B = floats(4), floats(4, seed=1)
    assert close(run(kernel, A, B), np.maximum(np.exp(A) + B, 0))


def test_relu_and_abs_keep_the_sign_of_nothing_else():
    def kernel(A: Fixed(8, 4)[3], B: UInt(3)[2]) -> (Fixed(8, 4)[3], Fixed(8, 4)[3], UInt(3)[2]):
        return allo.relu(A), allo.abs(A), allo.relu(B)

    relu, absolute, same = run(kernel, np.array([-1.5, 0, 2.25]), np.array([7, 0], np.uint8))
    assert list(relu) == [0, 0, 2.25]
    assert list(absolute) == [1.5, 0, 2.25]
    assert list(same) == [7, 0]


# --- products ------------------------------------------------------------------------------


def test_a_matrix_product_of_integers_is_exact():
    def kernel(A: int8[4, 6], B: uint8[6, 3]) -> int32[4, 3]:
        C = allo.matmul(A, B)
        return C

    A, B = ints(4, 6), ints(6, 3, dtype=np.uint8)
    assert np.array_equal(run(kernel, A, B), A.astype(int) @ B.astype(int))
    types = [op.result.type for op in lower_kernel(kernel).top_func.body if isinstance(op, Alloc)]
    # 8 + 8 bits of a product, and 3 for the sum of 6.
    assert types[0] == ArrayType(Int(19), (4, 3))


def test_a_matrix_product_is_a_perfect_nest_with_a_reduction():
    def kernel(A: float32[4, 6], B: float32[6, 4]) -> float32[4, 4]:
        C: float32[4, 4] = allo.matmul(A, B)
        return C

    assert bands(kernel) == [("matmul_0", "i j k", 1)]
    s = customize(kernel)
    s.reorder("matmul_0_k", "matmul_0_j")
    s.split("matmul_0_j", 2)
    s.unroll("matmul_0_j.inner")
    s.pipeline("matmul_0_k")
    s.partition(s.B, dim=2)
    verify_module(s.module)
    A, B = floats(4, 6), floats(6, 4, seed=1)
    assert close(s.build(target="evaluator")(A, B), A @ B)


def test_matrix_products_of_more_dimensions():
    def kernel(
        A: int8[2, 1, 3, 4], B: int8[5, 4, 2], C: int8[2, 3, 4], D: int8[2, 4, 5]
    ) -> (int32[2, 5, 3, 2], int32[2, 3, 5], int32[3, 5]):
        return allo.matmul(A, B), allo.bmm(C, D), C[1] @ D[0]

    A, B, C, D = ints(2, 1, 3, 4), ints(5, 4, 2), ints(2, 3, 4), ints(2, 4, 5)
    one, two, three = run(kernel, A, B, C, D)
    A, B, C, D = (x.astype(int) for x in (A, B, C, D))
    assert np.array_equal(one, A @ B)
    assert np.array_equal(two, C @ D)
    assert np.array_equal(three, C[1] @ D[0])


def test_products_of_a_matrix_and_a_vector():
    def kernel(A: int8[3, 4], v: int8[4], B: int8[2, 4, 5]) -> (int32[3], int32[2, 5]):
        return A @ v, v @ B

    A, v, B = ints(3, 4), ints(4, seed=1), ints(2, 4, 5)
    one, two = run(kernel, A, v, B)
    assert np.array_equal(one, A.astype(int) @ v)
    assert np.array_equal(two, v.astype(int) @ B)
    assert bands(kernel) == [("matmul_0", "i k", 1), ("matmul_1", "b0 j k", 1)]


def test_a_product_may_be_stored_to_what_is_there():
    def kernel(A: int8[3, 3], B: int8[3, 3], C: int32[3, 3], D: int8[3, 3]):
        C[:] = A @ B
        C += A @ B + 1
        A = A @ B
        D[0:2] = B[0:2] @ B

    A, B, C, D = ints(3, 3), ints(3, 3, seed=1), np.ones((3, 3), np.int32), ints(3, 3)
    product = A.astype(int) @ B.astype(int)
    expected = D.copy()
    expected[0:2] = (B[0:2].astype(int) @ B.astype(int)).astype(np.int8)
    run(kernel, A, B, C, D)
    assert np.array_equal(C, 2 * product + 1)
    assert np.array_equal(A, product.astype(np.int8))
    assert np.array_equal(D, expected)


def test_products_of_fixed_point_are_exact_until_they_are_stored():
    def kernel(A: Fixed(12, 6)[2, 3], B: Fixed(12, 6)[3, 2]) -> Fixed(20, 8)[2, 2]:
        return allo.matmul(A, B)

    A = np.array([[1.5, -2.25, 0.015625], [3, 0.5, -7.75]])
    B = np.array([[1, 2], [0.015625, 4], [2.5, 0.015625]])
    assert np.array_equal(run(kernel, A, B), np.floor(A @ B * 256) / 256)


def test_a_linear_layer_starts_at_its_bias():
    def kernel(
        X: int8[2, 3, 4], W: int8[5, 4], b: int32[5], x: float32[4], V: float32[3, 4]
    ) -> (int32[2, 3, 5], int32[2, 3, 5], float32[3]):
        return allo.linear(X, W, b), allo.linear(X, W, name="fc"), allo.linear(x, V)

    X, W, b = ints(2, 3, 4), ints(5, 4), ints(5, dtype=np.int32)
    x, V = floats(4), floats(3, 4)
    one, two, three = run(kernel, X, W, b, x, V)
    product = X.astype(int) @ W.astype(int).T
    assert np.array_equal(one, (product + b).astype(np.int32))
    assert np.array_equal(two, product)
    assert close(three, V @ x)
    assert bands(kernel) == [
        ("linear_0_init", "i j k", 0), ("linear_0", "b0 i j k", 1),
        ("fc", "b0 i j k", 1), ("linear_1", "j k", 1),
    ]  # fmt: skip


# --- windows -------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
def test_convolution_and_pooling(stride):
    text = (
        "def f(X: int8[2, 3, 7, 8], K: int8[4, 3, 2, 3], W: int8[2, 3]) -> (C, P, P):\n"
        "    return (allo.conv2d(X, K, stride=stride), allo.maxpool(X, W, stride=stride),\n"
        "            allo.sumpool(X, W, stride=stride))\n"
    )
    X, K, W = ints(2, 3, 7, 8), ints(4, 3, 2, 3), ints(2, 3)
    x, k = X.astype(int), K.astype(int)
    wanted = [
        allo.conv2d(x, k, stride), allo.maxpool(x, W, stride), allo.sumpool(x, W, stride)
    ]  # fmt: skip
    C, P = int32[wanted[0].shape], int32[wanted[1].shape]
    found = run(text, X, K, W, C=C, P=P, stride=stride)
    assert all(map(np.array_equal, found, wanted))


def test_a_convolution_is_one_nest():
    def kernel(X: float32[1, 2, 4, 4], K: float32[3, 2, 3, 3]) -> float32[1, 3, 2, 2]:
        Y: float32[1, 3, 2, 2] = allo.conv2d(X, K)
        return Y

    assert bands(kernel) == [("conv2d_0", "n f h w c p q", 3)]
    X, K = floats(1, 2, 4, 4), floats(3, 2, 3, 3)
    assert close(run(kernel, X, K), allo.conv2d(X, K), scale=4)


def test_the_largest_of_floating_point_numbers():
    def kernel(X: float32[1, 1, 3, 3], W: float32[2, 2], Y: float8_e4m3[1, 1, 2, 2]) -> (
        float32[1, 1, 2, 2], float8_e4m3[1, 1, 1, 1]
    ):  # fmt: skip
        return allo.maxpool(X, W), allo.maxpool(Y, W)

    X = -np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3) * 1e30
    low = np.full((1, 1, 2, 2), -448).astype(allo.zeros(1, float8_e4m3).dtype)
    one, two = run(kernel, X, floats(2, 2), low)
    assert np.array_equal(one, allo.maxpool(X, np.ones((2, 2))))
    assert float(two[0, 0, 0, 0]) == -448


# --- normalisations ------------------------------------------------------------------------


def test_softmax_and_layernorm():
    def kernel(
        X: float32[2, 3, 5], v: float32[5], g: float32[5], b: float32[5], n: int8[4]
    ) -> (float32[2, 3, 5], float32[5], float32[2, 3, 5], float32[4]):
        return allo.softmax(X), allo.softmax(v * 100), allo.layernorm(X, g, b), allo.softmax(n)

    X, v, g, b = floats(2, 3, 5), floats(5), floats(5, seed=1), floats(5, seed=2)
    n = np.array([1, 2, 3, 3], np.int8)
    one, two, three, four = run(kernel, X, v, g, b, n)
    assert close(one, allo.softmax(X))
    assert close(two, allo.softmax(v * np.float32(100)), ulps=64)
    assert close(three, allo.layernorm(X, g, b), ulps=32)
    assert close(four, allo.softmax(n.astype(np.float32)))


def test_softmax_is_four_nests():
    def kernel(X: float32[2, 5]) -> float32[2, 5]:
        Y: float32[2, 5] = allo.softmax(X, name="s")
        return Y

    assert bands(kernel) == [
        ("s_max_init", "i", 0), ("s_max", "i j", 1), ("s_exp", "i j", 0),
        ("s_sum", "i j", 1), ("s_div", "i j", 0),
    ]  # fmt: skip


def test_layernorm_takes_its_epsilon():
    def kernel(X: float32[1, 2], g: float32[2], b: float32[2]) -> float32[1, 2]:
        return allo.layernorm(X, g, b, eps=3.0)

    X, g, b = np.array([[0, 2]], np.float32), np.ones(2, np.float32), np.zeros(2, np.float32)
    assert np.array_equal(run(kernel, X, g, b), [[-0.5, 0.5]])


def test_the_lower_triangle():
    def kernel(A: int8[2, 3, 4], x: float32[3, 3]) -> (int8[2, 3, 4], float32[3, 3]):
        return allo.tril(A), allo.tril(x + 1.0)

    A, x = ints(2, 3, 4), floats(3, 3)
    one, two = run(kernel, A, x)
    assert np.array_equal(one, np.tril(A))
    assert np.array_equal(two, np.tril(x + np.float32(1)))


def test_operations_in_loops_start_afresh():
    def kernel(A: int8[3, 2, 2], B: int8[2, 2]) -> int32[3, 2, 2]:
        C: int32[3, 2, 2]
        for i in range(3):
            D: int32[2, 2] = A[i] @ B
            C[i] = D
        return C

    A, B = ints(3, 2, 2), ints(2, 2)
    assert np.array_equal(run(kernel, A, B), A.astype(int) @ B.astype(int))
