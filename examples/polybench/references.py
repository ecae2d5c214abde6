"""What the kernels compute, in numpy's float64, from the definitions of PolyBench 4.2.

Each takes the kernel's arguments and gives all that it returns or changes, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

type Array = npt.NDArray[Any]

ALPHA, BETA = 1.5, 1.2


def two_mm(A: Array, B: Array, C: Array, D: Array) -> tuple[Array, ...]:
    return (ALPHA * A @ B @ C + BETA * D,)


def three_mm(A: Array, B: Array, C: Array, D: Array) -> tuple[Array, ...]:
    return ((A @ B) @ (C @ D),)


def gemm(A: Array, B: Array, C: Array) -> tuple[Array, ...]:
    return (ALPHA * A @ B + BETA * C,)


def atax(A: Array, A_again: Array, x: Array) -> tuple[Array, ...]:
    return (A.T @ (A @ x),)


def bicg(A: Array, A_again: Array, p: Array, r: Array) -> tuple[Array, ...]:
    return A.T @ r, A @ p


def gesummv(A: Array, B: Array, x: Array) -> tuple[Array, ...]:
    return (ALPHA * A @ x + BETA * B @ x,)


def mvt(
    A: Array, A_again: Array, y1: Array, y2: Array, x1: Array, x2: Array
) -> tuple[Array, ...]:
    return x1 + A @ y1, x2 + A.T @ y2


def jacobi_2d(A: Array, B: Array, T: int) -> tuple[Array, ...]:
    A, B = A.copy(), B.copy()
    for _ in range(T):
        for source, target in ((A, B), (B, A)):
            target[1:-1, 1:-1] = (
                source[1:-1, 1:-1] + source[1:-1, :-2] + source[1:-1, 2:]
                + source[2:, 1:-1] + source[:-2, 1:-1]
            ) / 5  # fmt: skip
    return A, B


def symm(A: Array, A_again: Array, B: Array, B_again: Array, C: Array) -> tuple[Array, ...]:
    symmetric = np.tril(A) + np.tril(A, -1).T
    return (ALPHA * symmetric @ B + BETA * C,)


def syrk(A: Array, A_again: Array, C: Array) -> tuple[Array, ...]:
    return (np.tril(ALPHA * A @ A.T + BETA * C) + np.triu(C, 1),)


def syr2k(A: Array, A_again: Array, B: Array, B_again: Array, C: Array) -> tuple[Array, ...]:
    return (np.tril(ALPHA * (A @ B.T + B @ A.T) + BETA * C) + np.triu(C, 1),)


def trmm(A: Array, B: Array) -> tuple[Array, ...]:
    unit = np.tril(A, -1) + np.eye(len(A))
    return (ALPHA * unit.T @ B,)


def correlation(data: Array, data_again: Array, data_third: Array) -> tuple[Array, ...]:
    return (np.corrcoef(data, rowvar=False),)


REFERENCES: dict[str, Callable[..., tuple[Array, ...]]] = {
    f.__name__: f
    for f in (
        two_mm, three_mm, gemm, atax, bicg, gesummv, mvt, jacobi_2d, symm, syrk, syr2k, trmm,
        correlation,
    )
}  # fmt: skip
