"""What a kernel is written with: its loops and named operations.

Outside a compiled kernel the loops are plain iterators and the operations numpy's, so that a
kernel is also an ordinary Python function.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from allo_rtl.ir.arithmetic import eval_math
from allo_rtl.ir.ops import MathKind
from allo_rtl.ir.types import (
    FixedType,
    Float,
    Index,
    IntegerType,
    ScalarType,
    UInt,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    int32,
)

type Array = Any
"""A numpy array, or one number."""

type Operand = npt.ArrayLike
"""An array, nested lists of numbers, or a number."""

type Pragma = bool | int | list[bool | int] | None
"""One setting for the innermost loop, or a list with one for each loop."""


def grid(
    *extents: int, name: str | None = None, pipeline: Pragma = None, unroll: Pragma = None
) -> Iterator[int] | Iterator[tuple[int, ...]]:
    """A nest of loops from 0 to each extent, the last one innermost.

    Args:
        extents: numbers of iterations, 1 or more of them.
        name: name of the loop nest (its band); ``S_<variables>_<count>`` without it.
        pipeline: initiation interval in cycles, True for 1.
        unroll: number of copies, True for all iterations.

    Returns:
        An iterator of tuples; of ints when there is one extent.
    """
    if len(extents) == 1:
        return iter(range(extents[0]))
    return product(*map(range, extents))


def reduction(
    *extents: int, name: str | None = None, pipeline: Pragma = None, unroll: Pragma = None
) -> Iterator[int] | Iterator[tuple[int, ...]]:
    """Like :func:`grid`, and promises that the order of the iterations does not matter."""
    return grid(*extents, name=name, pipeline=pipeline, unroll=unroll)


# --- named operations ----------------------------------------------------------------------
#
# In a kernel these become loops on the arrays' element types; here they are numpy's, on arrays,
# nested lists or numbers.  ``name`` names the loop nest that the operation becomes in a kernel.


def add(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """``lhs + rhs``, elementwise with broadcasting."""
    return np.add(lhs, rhs)


def sub(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """``lhs - rhs``, elementwise with broadcasting."""
    return np.subtract(lhs, rhs)


def mul(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """``lhs * rhs``, elementwise with broadcasting."""
    return np.multiply(lhs, rhs)


def div(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """``lhs / rhs``, elementwise with broadcasting: in a kernel integers give integers."""
    return np.divide(lhs, rhs)


def power(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """``lhs ** rhs``, elementwise with broadcasting."""
    return np.power(lhs, rhs)


def exp(x: Operand, name: str | None = None) -> Array:
    """e to the power of each element."""
    return np.exp(x)


def log(x: Operand, name: str | None = None) -> Array:
    """The natural logarithm of each element."""
    return np.log(x)


def log2(x: Operand, name: str | None = None) -> Array:
    """The logarithm to base 2 of each element."""
    return np.log2(x)


def log10(x: Operand, name: str | None = None) -> Array:
    """The logarithm to base 10 of each element."""
    return np.log10(x)


def sqrt(x: Operand, name: str | None = None) -> Array:
    """The square root of each element."""
    return np.sqrt(x)


def sin(x: Operand, name: str | None = None) -> Array:
    """The sine of each element, in radians."""
    return np.sin(x)


def cos(x: Operand, name: str | None = None) -> Array:
    """The cosine of each element, in radians."""
    return np.cos(x)


def tan(x: Operand, name: str | None = None) -> Array:
    """The tangent of each element, in radians."""
    return np.tan(x)


def tanh(x: Operand, name: str | None = None) -> Array:
    """The hyperbolic tangent of each element."""
    return np.tanh(x)


def abs(x: Operand, name: str | None = None) -> Array:
    """The absolute value of each element."""
    return np.abs(x)


def fma(x: Operand, y: Operand, z: Operand) -> Array:
    """``x * y + z`` of floating-point numbers, rounded once; in a kernel of scalars."""
    given = np.broadcast_arrays(x, y, z)
    dtype = np.result_type(*given)
    type_ = next((t for t in _FLOATS if numpy_type(t) == dtype), float64)
    word = np.dtype(f"u{type_.width // 8}")
    patterns = (a.astype(numpy_type(type_)).view(word).reshape(-1).tolist() for a in given)
    results = [eval_math(MathKind.FMA, type_, raw) for raw in zip(*patterns, strict=True)]
    return np.array(results, word).view(numpy_type(type_)).reshape(given[0].shape)[()]


_FLOATS = (float8_e4m3, float8_e5m2, float16, bfloat16, float32)


def relu(x: Operand, name: str | None = None) -> Array:
    """Each element, or 0 where it is negative."""
    return np.maximum(x, np.zeros_like(x))


def gelu(x: Operand, name: str | None = None) -> Array:
    """The Gaussian error linear unit of each element, by its approximation with tanh.

    ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3)))`` (Hendrycks and Gimpel 2016,
    arXiv:1606.08415).
    """
    x = np.asarray(x)
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def copy(x: Operand, name: str | None = None) -> Array:
    """A new array of the same elements."""
    return np.array(x)


def zeros(shape: int | Sequence[int], dtype: ScalarType = int32) -> Array:
    """An array of zeros of any element type of the language."""
    return np.zeros(shape, numpy_type(dtype))


def ones(shape: int | Sequence[int], dtype: ScalarType = int32) -> Array:
    """An array of ones of any element type of the language."""
    return np.ones(shape, numpy_type(dtype))


def transpose(x: Operand, axes: Sequence[int] | None = None, name: str | None = None) -> Array:
    """The array with dimension ``d`` of the result being dimension ``axes[d]`` of ``x``.

    Without ``axes`` the order of the dimensions is reversed.
    """
    return np.transpose(x, axes)


def view(x: Operand, shape: int | Sequence[int], name: str | None = None) -> Array:
    """The elements in row-major order in another shape; one extent may be -1, for what is left."""
    return np.reshape(x, shape)


def concat(*arrays: Operand, axis: int, name: str | None = None) -> Array:
    """The arrays one after the other along a dimension; the other extents are equal."""
    return np.concatenate(arrays, axis=axis)


def tril(x: Operand, name: str | None = None) -> Array:
    """The lower triangle of the last two dimensions: 0 where the column is above the row."""
    return np.tril(x)


def matmul(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """The matrix product: (..., M, K) by (..., K, N) gives (..., M, N).

    Dimensions before the last two are broadcast.  One operand may be a vector, (K,).
    """
    return np.matmul(lhs, rhs)


def bmm(lhs: Operand, rhs: Operand, name: str | None = None) -> Array:
    """The product of each matrix of a batch: (B, M, K) by (B, K, N) gives (B, M, N)."""
    return np.matmul(lhs, rhs)


def linear(
    x: Operand, weight: Operand, bias: Operand | None = None, name: str | None = None
) -> Array:
    """``x @ weight.T + bias``: (..., K) by (N, K) and (N,) gives (..., N)."""
    product_ = np.matmul(x, np.asarray(weight).T)
    return product_ if bias is None else product_ + np.asarray(bias)


def conv2d(
    inp: Operand,
    filter: Operand,
    stride: int | tuple[int, int] = 1,
    name: str | None = None,
) -> Array:
    """Sums of products with a window that moves, without padding.

    (N, C, H, W) with (F, C, Kh, Kw) gives (N, F, Oh, Ow); ``Oh = (H - Kh) // stride + 1``.
    The filter is not mirrored.
    """
    kernel = np.asarray(filter)
    windows = _windows(inp, (kernel.shape[2], kernel.shape[3]), stride)
    return np.einsum("nchwij,fcij->nfhw", windows, kernel)


def maxpool(
    inp: Operand,
    filter: Operand,
    stride: int | tuple[int, int] = 1,
    name: str | None = None,
) -> Array:
    """The largest element of each window, without padding.

    (N, C, H, W) with ``filter``, of which only the shape (Kh, Kw) counts, gives (N, C, Oh, Ow).
    """
    return np.max(_windows(inp, np.shape(filter), stride), axis=(-2, -1))


def sumpool(
    inp: Operand,
    filter: Operand,
    stride: int | tuple[int, int] = 1,
    name: str | None = None,
) -> Array:
    """The sum of each window; shapes are those of :func:`maxpool`."""
    return np.sum(_windows(inp, np.shape(filter), stride), axis=(-2, -1))


def softmax(x: Operand, name: str | None = None) -> Array:
    """Exponentials over the last dimension, divided by their sum.

    The largest element is subtracted first, so that nothing overflows.
    """
    x = np.asarray(x)
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def layernorm(
    x: Operand,
    gamma: Operand,
    beta: Operand,
    eps: float = 1e-5,
    name: str | None = None,
) -> Array:
    """``(x - mean) / sqrt(variance + eps) * gamma + beta`` over the last dimension.

    ``x`` is (..., L), ``gamma`` and ``beta`` are (L,).
    """
    x = np.asarray(x)
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * np.asarray(gamma) + np.asarray(beta)


def numpy_type(type_: ScalarType) -> np.dtype[Any]:
    """The numpy dtype for numbers of a type: the narrowest that holds all of them.

    Fixed-point numbers are float64; integers beyond 64 bits are Python ints (dtype object).
    """
    match type_:
        case UInt(width=1):
            return np.dtype(np.bool_)
        case FixedType():
            return np.dtype(np.float64)
        case Index():
            return np.dtype(np.int64)
        case IntegerType(width=width) if width <= 64:
            bits = next(b for b in (8, 16, 32, 64) if b >= width)
            return np.dtype(f"{'int' if type_.signed else 'uint'}{bits}")
        case IntegerType():
            return np.dtype(np.object_)
        case Float():
            known = {"float8_e4m3": "float8_e4m3fn"}
            name = str(type_)
            return np.dtype(getattr(ml_dtypes, known.get(name, name), None) or name)
    raise TypeError(f"there are no numpy arrays of {type_}")


def _windows(x: Operand, window: tuple[int, ...], stride: int | tuple[int, int]) -> Array:
    """(N, C, H, W) as (N, C, Oh, Ow, Kh, Kw)."""
    down, across = (stride, stride) if isinstance(stride, int) else stride
    return sliding_window_view(np.asarray(x), window, axis=(2, 3))[:, :, ::down, ::across]
