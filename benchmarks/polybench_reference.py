"""What the kernels of :mod:`benchmarks.polybench_kernels` compute, in numpy.

Each function takes the kernel's arguments, changes arrays in place as the kernel does, and
answers its result, if it has one.  Arithmetic of ``uint32`` arrays wraps as the hardware's does.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.uint32]
type Word = Any
"""A numpy scalar of 32 bits, whose arithmetic wraps."""


def root(x: Word) -> Word:
    return np.uint32(isqrt(int(x)))


def two_mm(alpha: Word, beta: Word, A: Array, B: Array, C: Array, D: Array) -> None:
    D[:] = alpha * (A @ B) @ C + beta * D


def three_mm(A: Array, B: Array, C: Array, D: Array) -> Array:
    result: Array = (A @ B) @ (C @ D)
    return result


def atax(A: Array, x: Array, y: Array) -> None:
    y[:] = A.T @ (A @ x)


def bicg(A: Array, p: Array, r: Array, s: Array, q: Array) -> None:
    s += A.T @ r
    q += A @ p


def cholesky(A: Array) -> None:
    for i in range(len(A)):
        for j in range(i):
            A[i, j] = (A[i, j] - A[i, :j] @ A[j, :j]) // A[j, j]
        A[i, i] = root(A[i, i] - A[i, :i] @ A[i, :i])


def doitgen(A: Array, C4: Array) -> None:
    A[:] = A @ C4


def durbin(r: Array, y: Array) -> None:
    zero = np.uint32(0)
    alpha, beta = zero - r[0], np.uint32(1)
    y[0] = alpha
    for k in range(1, len(r)):
        beta = (1 - alpha * alpha) * beta
        alpha = zero - (r[k] + r[:k][::-1] @ y[:k]) // beta
        y[:k] += alpha * y[:k][::-1]
        y[k] = alpha


def gemm(alpha: Word, beta: Word, A: Array, B: Array, C: Array) -> None:
    C[:] = alpha * (A @ B) + beta * C


def gemver(
    alpha: Word, beta: Word, A: Array, u1: Array, v1: Array, u2: Array, v2: Array, y: Array,
    z: Array, x: Array, w: Array,
) -> None:  # fmt: skip
    A += np.outer(u1, v1) + np.outer(u2, v2)
    x[:] = z + beta * (A.T @ y)
    w[:] = alpha * (A @ x)


def gesummv(alpha: Word, beta: Word, A: Array, B: Array, x: Array, y: Array) -> None:
    y[:] = alpha * (A @ x) + beta * (B @ x)


def gramschmidt(A: Array, R: Array, Q: Array) -> None:
    R[:] = 0
    for k in range(A.shape[1]):
        R[k, k] = root(A[:, k] @ A[:, k])
        Q[:, k] = A[:, k] // R[k, k]
        R[k, k + 1 :] = Q[:, k] @ A[:, k + 1 :]
        A[:, k + 1 :] -= np.outer(Q[:, k], R[k, k + 1 :])


def lu(A: Array) -> None:
    for i in range(len(A)):
        for j in range(i):
            A[i, j] = (A[i, j] - A[i, :j] @ A[:j, j]) // A[j, j]
        A[i, i:] -= A[i, :i] @ A[:i, i:]


def ludcmp(A: Array, b: Array, x: Array) -> None:
    lu(A)
    y = b.copy()
    for i in range(len(A)):
        y[i] = b[i] - A[i, :i] @ y[:i]
    for i in reversed(range(len(A))):
        x[i] = (y[i] - A[i, i + 1 :] @ x[i + 1 :]) // A[i, i]


def mvt(A: Array, x1: Array, x2: Array, y1: Array, y2: Array) -> None:
    x1 += A @ y1
    x2 += A.T @ y2


def symm(alpha: Word, beta: Word, A: Array, B: Array, C: Array) -> None:
    full = np.tril(A) + np.tril(A, -1).T
    C[:] = beta * C + alpha * (full @ B)


def syr2k(alpha: Word, beta: Word, A: Array, B: Array, C: Array) -> None:
    lower = np.tril(np.ones(C.shape, bool))
    C[:] = np.where(lower, beta * C + alpha * (A @ B.T + B @ A.T), C)


def syrk(alpha: Word, beta: Word, A: Array, C: Array) -> None:
    lower = np.tril(np.ones(C.shape, bool))
    C[:] = np.where(lower, beta * C + alpha * (A @ A.T), C)


def trisolv(M: Array, b: Array, x: Array) -> None:
    for i in range(len(M)):
        x[i] = (b[i] - M[i, :i] @ x[:i]) // M[i, i]


def trmm(alpha: Word, A: Array, B: Array) -> None:
    B[:] = alpha * (B + np.tril(A, -1).T @ B)
