"""The other 17 kernels of PolyBench in numpy's float64, with arguments that they are defined for.

``REFERENCES[kernel](sizes, *arguments)`` gives all that a kernel returns or changes: results first,
then arguments.  ``SMALL`` are the sizes of PolyBench 4.2, ``TINY`` some for hardware that is
simulated in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from . import others
from .others import ALPHA, B1, B2, BETA, D1, D2, D3, D4

type Array = npt.NDArray[Any]
type Sizes = tuple[int, ...]

SMALL: dict[str, Sizes] = {
    "covariance": (80, 100), "gemver": (120,), "doitgen": (20, 25, 30), "cholesky": (120,),
    "durbin": (120,), "gramschmidt": (60, 80), "lu": (120,), "ludcmp": (120,), "trisolv": (120,),
    "deriche": (192, 128), "floyd_warshall": (180,), "nussinov": (180,), "adi": (40, 60),
    "fdtd_2d": (40, 60, 80), "heat_3d": (40, 20), "jacobi_1d": (40, 120), "seidel_2d": (40, 120),
}  # fmt: skip
TINY: dict[str, Sizes] = {
    "covariance": (3, 4), "gemver": (4,), "doitgen": (2, 3, 4), "cholesky": (5,), "durbin": (5,),
    "gramschmidt": (5, 4), "lu": (5,), "ludcmp": (5,), "trisolv": (5,), "deriche": (4, 5),
    "floyd_warshall": (5,), "nussinov": (6,), "adi": (2, 5), "fdtd_2d": (2, 4, 5),
    "heat_3d": (1, 4), "jacobi_1d": (2, 6), "seidel_2d": (2, 5),
}  # fmt: skip


def arguments(name: str, sizes: Sizes, seed: int = 0) -> list[Array]:
    """Random arguments: matrices that are solved for are positive definite, and so on."""
    dice = np.random.default_rng(seed)
    n = sizes[-1]

    def floats(*shape: int) -> Array:
        return dice.random(shape, np.float32)

    square = floats(n, n) + np.eye(n, dtype=np.float32) * n
    match name:
        case "covariance":
            return [floats(sizes[1], sizes[0])]
        case "gemver":
            return [floats(n, n) / n, *(floats(n) for _ in range(8))]
        case "doitgen":
            return [floats(sizes[1], sizes[0], sizes[2]), floats(n, n)]
        case "cholesky":
            return [(square + square.T) / np.float32(2)]
        case "durbin":
            return [floats(n) / np.float32(4 * n)]
        case "gramschmidt":
            return [floats(*sizes) + np.eye(*sizes, dtype=np.float32) * 4]
        case "lu":
            return [square]
        case "ludcmp" | "trisolv":
            return [square, floats(n)]
        case "floyd_warshall":
            return [dice.integers(1, 1000, (n, n), dtype=np.int32)]
        case "nussinov":
            return [dice.integers(0, 4, n, dtype=np.int32)]
        case "fdtd_2d":
            return [*(floats(*sizes[1:]) for _ in range(3)), floats(sizes[0])]
        case "heat_3d":
            return [floats(n, n, n), np.zeros((n, n, n), np.float32)]
        case "jacobi_1d":
            return [floats(n), np.zeros(n, np.float32)]
    return [floats(*sizes)] if name == "deriche" else [floats(n, n)]


def covariance(sizes: Sizes, data: Array) -> tuple[Array, ...]:
    return np.cov(data, rowvar=False), data - data.mean(axis=0)


def gemver(
    sizes: Sizes, A: Array, u1: Array, v1: Array, u2: Array, v2: Array,
    w: Array, x: Array, y: Array, z: Array,
) -> tuple[Array, ...]:  # fmt: skip
    A = A + np.outer(u1, v1) + np.outer(u2, v2)
    x = x + BETA * A.T @ y + z
    return A, w + ALPHA * A @ x, x


def doitgen(sizes: Sizes, A: Array, C4: Array) -> tuple[Array, ...]:
    return (A @ C4,)


def cholesky(sizes: Sizes, A: Array) -> tuple[Array, ...]:
    return (np.tril(np.linalg.cholesky(A)) + np.triu(A, 1),)


def durbin(sizes: Sizes, r: Array) -> tuple[Array, ...]:
    n = len(r)
    column = np.concatenate([[1.0], r[:-1]])
    toeplitz = column[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))]
    return (np.linalg.solve(toeplitz, -r),)


def gramschmidt(sizes: Sizes, A: Array) -> tuple[Array, ...]:
    """NaN stands for what has no value: columns beyond the rank are divided by nearly 0."""
    M, N = sizes
    rank = min(M, N)
    thin, upper = np.linalg.qr(A)
    signs = np.sign(np.diag(upper))
    Q, R = np.full((M, N), np.nan), np.full((N, N), np.nan)
    Q[:, :rank], R[:rank] = thin * signs, upper * signs[:, None]
    return Q, R, Q * np.diag(R)


def lu(sizes: Sizes, A: Array) -> tuple[Array, ...]:
    A = A.copy()
    for k in range(len(A)):
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])
    return (A,)


def ludcmp(sizes: Sizes, A: Array, b: Array) -> tuple[Array, ...]:
    return np.linalg.solve(A, b), *lu(sizes, A)


def trisolv(sizes: Sizes, L: Array, b: Array) -> tuple[Array, ...]:
    return (np.linalg.solve(np.tril(L), b),)


def _filtered(rows: Array) -> Array:
    """The sum of the forward and the backward filter along the last axis."""
    one, two = np.zeros_like(rows), np.zeros_like(rows)
    n = rows.shape[-1]
    at = lambda a, k: a[..., k] if 0 <= k < n else np.zeros_like(a[..., 0])  # noqa: E731
    for k in range(n):
        one[..., k] = (
            D1 * rows[..., k] + D2 * at(rows, k - 1) + B1 * at(one, k - 1) + B2 * at(one, k - 2)
        )
    for k in reversed(range(n)):
        two[..., k] = (
            D3 * at(rows, k + 1) + D4 * at(rows, k + 2) + B1 * at(two, k + 1) + B2 * at(two, k + 2)
        )
    return one + two


def deriche(sizes: Sizes, image: Array) -> tuple[Array, ...]:
    return (_filtered(_filtered(image).T).T,)


def floyd_warshall(sizes: Sizes, paths: Array) -> tuple[Array, ...]:
    paths = paths.copy()
    for k in range(len(paths)):
        paths = np.minimum(paths, np.add.outer(paths[:, k], paths[k]))
    return (paths,)


def nussinov(sizes: Sizes, seq: Array) -> tuple[Array, ...]:
    n = len(seq)
    table = np.zeros((n + 1, n), np.int64)  # a part without bases has no pairs
    for i in reversed(range(n)):
        for j in range(i + 1, n):
            pair = int(seq[i] + seq[j] == 3 and j - 1 > i)
            cuts = table[i, i + 1 : j] + table[i + 2 : j + 1, j]
            table[i, j] = max(
                table[i, j - 1], table[i + 1, j], table[i + 1, j - 1] + pair, cuts.max(initial=0)
            )
    return (table[:n],)


def adi(sizes: Sizes, u: Array) -> tuple[Array, ...]:
    steps, n = sizes
    a, d = -n * n / steps, -n * n / steps / 2
    u, v = u.copy(), np.zeros_like(u)

    def line(before: Array, here: Array, after: Array, new: float, old: float) -> Array:
        """A line, half a step later: implicit along it, explicit across; 1 at both ends."""
        system = (1 - 2 * new) * np.eye(n - 2) + new * (np.eye(n - 2, k=1) + np.eye(n - 2, k=-1))
        right = -old * before[1:-1] + (1 + 2 * old) * here[1:-1] - old * after[1:-1]
        right[[0, -1]] -= new
        return np.concatenate([[1.0], np.linalg.solve(system, right), [1.0]])

    for _ in range(steps):
        for i in range(1, n - 1):
            v[:, i] = line(u[:, i - 1], u[:, i], u[:, i + 1], a, d)
        for i in range(1, n - 1):
            u[i] = line(v[i - 1], v[i], v[i + 1], d, a)
    return (u,)


def fdtd_2d(sizes: Sizes, ex: Array, ey: Array, hz: Array, source: Array) -> tuple[Array, ...]:
    ex, ey, hz = ex.copy(), ey.copy(), hz.copy()
    for s in source:
        ey[0] = s
        ey[1:] -= 0.5 * (hz[1:] - hz[:-1])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return ex, ey, hz


def heat_3d(sizes: Sizes, A: Array, B: Array) -> tuple[Array, ...]:
    A, B = A.copy(), B.copy()
    for _ in range(sizes[0]):
        for source, target in ((A, B), (B, A)):
            middle = source[1:-1, 1:-1, 1:-1]
            around = (
                source[2:, 1:-1, 1:-1] + source[:-2, 1:-1, 1:-1] + source[1:-1, 2:, 1:-1]
                + source[1:-1, :-2, 1:-1] + source[1:-1, 1:-1, 2:] + source[1:-1, 1:-1, :-2]
            )  # fmt: skip
            target[1:-1, 1:-1, 1:-1] = 0.125 * (around - 6 * middle) + middle
    return A, B


def jacobi_1d(sizes: Sizes, A: Array, B: Array) -> tuple[Array, ...]:
    A, B = A.copy(), B.copy()
    for _ in range(sizes[0]):
        for source, target in ((A, B), (B, A)):
            target[1:-1] = 0.33333 * (source[:-2] + source[1:-1] + source[2:])
    return A, B


def seidel_2d(sizes: Sizes, A: Array) -> tuple[Array, ...]:
    A = A.copy()
    n = len(A)
    for _ in range(sizes[0]):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = A[i - 1 : i + 2, j - 1 : j + 2].sum() / 9
    return (A,)


REFERENCES: dict[str, Callable[..., tuple[Array, ...]]] = {
    f.__name__: f
    for f in (
        covariance, gemver, doitgen, cholesky, durbin, gramschmidt, lu, ludcmp, trisolv, deriche,
        floyd_warshall, nussinov, adi, fdtd_2d, heat_3d, jacobi_1d, seidel_2d,
    )
}  # fmt: skip
KERNELS = {name: getattr(others, name) for name in REFERENCES}
