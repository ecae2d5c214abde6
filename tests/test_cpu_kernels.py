"""Kernels written in Python, on the CPU and by the evaluator."""

import numpy as np
import pytest

from allo_rtl.frontend import dsl as allo
from allo_rtl.frontend.lower import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import ArrayType, Int, UInt, index, int8, int32, uint16
from allo_rtl.sim.cpu import compile_cpu
from allo_rtl.sim.marshal import numpy_dtype


def gemm_kernel(A: int8[9, 7], B: int8[7, 8]) -> int32[9, 8]:
    C: int32[9, 8] = 0
    for i, j in allo.grid(9, 8):
        for k in allo.reduction(7):
            C[i, j] += A[i, k] * B[k, j]
    return C


def triangle_kernel(L: int32[9, 9], x: int32[9], y: int32[9]):
    for i in range(9):
        for j in range(i + 1):
            y[i] += L[i, j] * x[j]


def bounded_kernel(n: int32, x: Int(48)[20], lo: index[20]) -> Int(48):
    s: Int(48) = 0
    for i in range(n):
        for j in range(lo[i], n, 3):
            if x[j] > 0:
                s += x[j] * x[i]
            elif x[j] % 2 == 0:
                s -= x[j]
            else:
                s = s // 2
    return s


def histogram_kernel(x: UInt(12)[50], bins: uint16[16]):
    for i in range(50):
        bins[x[i] >> 8] += 1


def drawn(types, rng):
    """Random arguments over the whole range of each type."""
    for t in types:
        element, size = (t.element, t.size) if isinstance(t, ArrayType) else (t, 1)
        span = element.max - element.min + 1
        values = [element.min + int(rng.integers(2**63)) * span // 2**63 for _ in range(size)]
        if isinstance(t, ArrayType):
            yield np.array(values, numpy_dtype(element)).reshape(t.shape)
        else:
            yield values[0]


def agree(module, args):
    """Run both on copies of the arguments; the same results and arrays must come out."""
    one, two = ([a.copy() if isinstance(a, np.ndarray) else a for a in args] for _ in range(2))
    expected = evaluate(module, one)
    got = compile_cpu(module)(*two)
    results = [got] if expected else []
    for x, y in zip([*results, *two], [*expected, *one], strict=True):
        assert np.array_equal(x, y)


@pytest.mark.parametrize("kernel", [gemm_kernel, triangle_kernel, histogram_kernel])
def test_kernels(kernel):
    lowered = lower_kernel(kernel)
    types = [a.type for a in lowered.top_func.args]
    for seed in range(3):
        agree(lowered, list(drawn(types, np.random.default_rng(seed))))


@pytest.mark.parametrize("n", [-1, 0, 1, 13, 20])
def test_data_dependent_bounds(n):
    rng = np.random.default_rng(n + 1)
    x = rng.integers(-(2**47), 2**47, 20)
    agree(lower_kernel(bounded_kernel), [n, x, rng.integers(0, 20, 20)])


def test_gemm_kernel_against_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (9, 7), np.int8), rng.integers(-128, 128, (7, 8), np.int8)
    c = compile_cpu(lower_kernel(gemm_kernel))(a, b)
    assert c.dtype == np.int32
    assert np.array_equal(c, a.astype(np.int32) @ b.astype(np.int32))
