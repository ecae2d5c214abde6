"""Rows: elements, views, slices, tensor operators."""

import numpy as np
from language.rows import row

import allo_rtl as allo
from allo_rtl.ir.types import float32, int16, int32

A34 = np.arange(12, dtype=np.int32).reshape(3, 4)
F22 = np.array([[1.5, -2.0], [0.25, 8.0]], dtype=np.float32)


@row("Arrays", "Elements", A34, gives=[6, 11])
def elements(A: int32[3, 4]) -> (int32, int32):
    """`A[i, j]` and `A[i][j]` are the same; a constant may count from the end."""
    return A[1, 2], A[2][-1]


@row("Arrays", "Rows", A34, gives=[4, 5, 6, 7])
def sub_view(A: int32[3, 4]) -> int32[4]:
    """Fewer subscripts than dimensions name a part of the array; a result is a copy."""
    return A[1]


def clear(row: int32[4]):
    for i in range(4):
        row[i] = 0


@row(
    "Arrays", "Parts as arguments", A34.copy(), leaves={0: [[0, 1, 2, 3], [0] * 4, [8, 9, 10, 11]]}
)
def view_argument(A: int32[3, 4]):
    """A part of an array is passed by reference."""
    clear(A[1])


@row("Arrays", "Slices", A34, gives=[[1, 2], [5, 6]])
def slices(A: int32[3, 4]) -> int32[2, 2]:
    """Constant extents; they may start anywhere."""
    B: int32[2, 2] = A[0:2, 1:3]
    return B


@row(
    "Arrays", "Slices written", A34.copy(), leaves={0: [[0, 9, 2, 9], [4, 9, 6, 9], [8, 9, 10, 9]]}
)
def slice_store(A: int32[3, 4]):
    """Assigned an array of that shape, or a scalar; a step is allowed."""
    A[:, 1::2] = 9


@row(
    "Arrays",
    "Augmented slices",
    A34.copy(),
    leaves={0: [[4, 6, 8, 10], [4, 5, 6, 7], [8, 9, 10, 11]]},
)
def slice_update(A: int32[3, 4]):
    """The operator works element by element."""
    A[0, :] += A[1]


@row("Tensors", "Operators", A34, gives=A34 * 2 + 1)
def tensor_operators(A: int32[3, 4]) -> int32[3, 4]:
    """`+ - * /` work element by element, with numpy's broadcasting."""
    B: int32[3, 4] = A * 2 + 1
    return B


@row("Tensors", "Broadcasting", A34, np.arange(4, dtype=np.int32), gives=A34 + np.arange(4))
def broadcasting(A: int32[3, 4], b: int32[4]) -> int32[3, 4]:
    """Shapes are aligned at the last dimension; an extent of 1 is repeated."""
    return A + b


@row("Tensors", "Transpose and copy", A34, gives=[A34.T, A34])
def transposed(A: int32[3, 4]) -> (int32[4, 3], int32[3, 4]):
    """`A.T` reverses the dimensions, `A.copy()` is a fresh array."""
    B: int32[4, 3] = A.T
    C: int32[3, 4] = A.copy()
    return B, C


@row("Tensors", "zeros and ones", gives=[[[0, 0], [0, 0]], [1, 1, 1]])
def zeros_and_ones() -> (int32[2, 2], int16[3]):
    """With any element type."""
    return allo.zeros((2, 2), dtype=int32), allo.ones((3,), dtype=int16)


@row(
    "Tensors",
    "transpose, view, concat",
    A34,
    gives=[A34.T, A34.reshape(4, 3), np.concatenate([A34, A34])],
)
def shapes(A: int32[3, 4]) -> (int32[4, 3], int32[4, 3], int32[6, 4]):
    """Dimensions in another order, another shape, two arrays joined."""
    B = allo.transpose(A, (1, 0))
    C = allo.view(A, (4, 3))
    D = allo.concat(A, A, axis=0)
    return B, C, D


@row("Named operations", "matmul", A34, A34.T.copy(), gives=A34 @ A34.T)
def matmul_op(A: int32[3, 4], B: int32[4, 3]) -> int32[3, 3]:
    """Each named operation is a nest of loops that can be scheduled."""
    C: int32[3, 3] = allo.matmul(A, B)
    return C


@row(
    "Named operations",
    "bmm",
    A34.reshape(3, 2, 2),
    A34.reshape(3, 2, 2),
    gives=A34.reshape(3, 2, 2) @ A34.reshape(3, 2, 2),
)
def bmm_op(A: int32[3, 2, 2], B: int32[3, 2, 2]) -> int32[3, 2, 2]:
    """Matrix products of a batch."""
    C: int32[3, 2, 2] = allo.bmm(A, B)
    return C


@row("Named operations", "linear", F22, F22, np.ones(2, np.float32), gives=F22 @ F22.T + 1)
def linear_op(X: float32[2, 2], W: float32[2, 2], b: float32[2]) -> float32[2, 2]:
    """`X @ W.T + b`."""
    return allo.linear(X, W, b)


@row("Named operations", "add, sub, mul, div", F22, gives=[F22 + 1, F22 - F22, F22 * 2, F22 / 4])
def arithmetic_ops(
    X: float32[2, 2],
) -> (float32[2, 2], float32[2, 2], float32[2, 2], float32[2, 2]):
    """Element by element, with broadcasting; scalars too."""
    return allo.add(X, 1), allo.sub(X, X), allo.mul(X, 2), allo.div(X, 4)


@row("Named operations", "relu, abs, tril", F22, gives=[np.maximum(F22, 0), abs(F22), np.tril(F22)])
def clipping_ops(X: float32[2, 2]) -> (float32[2, 2], float32[2, 2], float32[2, 2]):
    """No negative numbers, no signs, the lower triangle."""
    return allo.relu(X), allo.abs(X), allo.tril(X)


@row(
    "Named operations",
    "exp, log, sqrt",
    abs(F22),
    gives=[np.exp(abs(F22)), np.log(abs(F22)), np.sqrt(abs(F22))],
    within=3e-7,
)
def exponential_ops(X: float32[2, 2]) -> (float32[2, 2], float32[2, 2], float32[2, 2]):
    """Elementary functions of every element; also log2, log10, sin, cos, tan, tanh, power."""
    return allo.exp(X), allo.log(X), allo.sqrt(X)


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _layernorm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


@row("Named operations", "softmax", F22, gives=_softmax(F22.astype(float)), within=1e-6)
def softmax_op(X: float32[2, 2]) -> float32[2, 2]:
    """Over the last dimension."""
    return allo.softmax(X)


@row(
    "Named operations",
    "layernorm",
    F22,
    np.ones(2, np.float32),
    np.zeros(2, np.float32),
    gives=_layernorm(F22.astype(float)),
    within=1e-6,
)
def layernorm_op(X: float32[2, 2], gamma: float32[2], beta: float32[2]) -> float32[2, 2]:
    """Over the last dimension, times gamma plus beta."""
    return allo.layernorm(X, gamma, beta)


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@row("Named operations", "gelu", F22, gives=_gelu(F22.astype(float)), within=1e-6)
def gelu_op(X: float32[2, 2]) -> float32[2, 2]:
    """The tanh approximation."""
    return allo.gelu(X)


IMAGE = np.arange(16, dtype=np.int32).reshape(1, 1, 4, 4)


@row(
    "Named operations",
    "conv2d",
    IMAGE,
    np.ones((1, 1, 3, 3), np.int32),
    gives=[[[[45, 54], [81, 90]]]],
)
def conv2d_op(X: int32[1, 1, 4, 4], W: int32[1, 1, 3, 3]) -> int32[1, 1, 2, 2]:
    """Batch, channel, height, width; no padding, stride 1."""
    Y: int32[1, 1, 2, 2] = allo.conv2d(X, W)
    return Y


@row(
    "Named operations",
    "maxpool, sumpool",
    IMAGE,
    np.zeros((2, 2), np.int32),
    gives=[
        [[[[5, 6, 7], [9, 10, 11], [13, 14, 15]]]],
        [[[[10, 14, 18], [26, 30, 34], [42, 46, 50]]]],
    ],
)
def pool_ops(X: int32[1, 1, 4, 4], window: int32[2, 2]) -> (int32[1, 1, 3, 3], int32[1, 1, 3, 3]):
    """The array `window` gives the shape of the window; stride 1."""
    Y: int32[1, 1, 3, 3] = allo.maxpool(X, window)
    Z: int32[1, 1, 3, 3] = allo.sumpool(X, window)
    return Y, Z
