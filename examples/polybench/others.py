"""The other 17 kernels of PolyBench 4.2, plainly written and generic in their sizes.

All are in float32 but floyd_warshall and nussinov, which are integers there too.  Arrays that
PolyBench fills or overwrites are changed in place, or returned where they are nothing before.
"""

from __future__ import annotations

from math import exp

import allo_rtl as allo
from allo_rtl.ir.types import float32, int32

ALPHA, BETA = 1.5, 1.2

_A = 0.25
_K = (1.0 - exp(-_A)) ** 2 / (1.0 + 2.0 * _A * exp(-_A) - exp(2.0 * _A))
D1, D2 = _K, _K * exp(-_A) * (_A - 1.0)
D3, D4 = _K * exp(-_A) * (_A + 1.0), -_K * exp(-2.0 * _A)
B1, B2 = 2.0**-_A, -exp(-2.0 * _A)
"""Coefficients of deriche's filters for alpha = 0.25."""


def covariance[M, N](data: float32[N, M]) -> float32[M, M]:
    """The covariance matrix of N observations of M variables; data are centred in place"""
    mean: float32[M] = 0.0
    for j, i in allo.grid(M, N, name="means"):
        mean[j] += data[i, j]
    for j1 in range(M):
        mean[j1] = mean[j1] / N
    for i2, j2 in allo.grid(N, M, name="centre"):
        data[i2, j2] -= mean[j2]
    cov: float32[M, M] = 0.0
    for i3 in range(M):
        for j3 in range(i3, M):
            s: float32 = 0.0
            for k3 in range(N):
                s += data[k3, i3] * data[k3, j3]
            s = s / (N - 1.0)
            cov[i3, j3] = s
            cov[j3, i3] = s
    return cov


def gemver[N](
    A: float32[N, N], u1: float32[N], v1: float32[N], u2: float32[N], v2: float32[N],
    w: float32[N], x: float32[N], y: float32[N], z: float32[N],
):  # fmt: skip
    """A += u1 v1.T + u2 v2.T; x += beta A.T y + z; w += alpha A x"""
    for i, j in allo.grid(N, N, name="rank_two"):
        A[i, j] = A[i, j] + u1[i] * v1[j] + u2[i] * v2[j]
    for i1, j1 in allo.grid(N, N, name="columns"):
        x[i1] += BETA * A[j1, i1] * y[j1]
    for i2 in range(N):
        x[i2] += z[i2]
    for i3, j3 in allo.grid(N, N, name="rows"):
        w[i3] += ALPHA * A[i3, j3] * x[j3]


def doitgen[Q, R, P](A: float32[R, Q, P], C4: float32[P, P]):
    """A[r, q, :] = A[r, q, :] @ C4"""
    for r in range(R):
        for q in range(Q):
            row: float32[P] = 0.0
            for p in range(P):
                for s in range(P):
                    row[p] += A[r, q, s] * C4[s, p]
            for p1 in range(P):
                A[r, q, p1] = row[p1]


def cholesky[N](A: float32[N, N]):
    """The lower triangle of A becomes that of L, A = L L.T"""
    for i in range(N):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] = A[i, j] / A[j, j]
        for k1 in range(i):
            A[i, i] -= A[i, k1] * A[i, k1]
        A[i, i] = allo.sqrt(A[i, i])


def durbin[N](r: float32[N]) -> float32[N]:
    """The solution of Yule and Walker's equations"""
    y: float32[N] = 0.0
    z: float32[N] = 0.0
    y[0] = -r[0]
    beta: float32 = 1.0
    alpha: float32 = -r[0]
    for k in range(1, N):
        beta = (1.0 - alpha * alpha) * beta
        total: float32 = 0.0
        for i in range(k):
            total += r[k - i - 1] * y[i]
        alpha = -(r[k] + total) / beta
        for i1 in range(k):
            z[i1] = y[i1] + alpha * y[k - i1 - 1]
        for i2 in range(k):
            y[i2] = z[i2]
        y[k] = alpha
    return y


def gramschmidt[M, N](A: float32[M, N]) -> (float32[M, N], float32[N, N]):
    """A = Q R; A is overwritten on the way"""
    Q: float32[M, N] = 0.0
    R: float32[N, N] = 0.0
    for k in range(N):
        norm: float32 = 0.0
        for i in range(M):
            norm += A[i, k] * A[i, k]
        R[k, k] = allo.sqrt(norm)
        for i1 in range(M):
            Q[i1, k] = A[i1, k] / R[k, k]
        for j in range(k + 1, N):
            for i2 in range(M):
                R[k, j] += Q[i2, k] * A[i2, j]
            for i3 in range(M):
                A[i3, j] -= Q[i3, k] * R[k, j]
    return Q, R


def lu[N](A: float32[N, N]):
    """A becomes L and U, in place, without pivots"""
    for i in range(N):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] = A[i, j] / A[j, j]
        for j1 in range(i, N):
            for k1 in range(i):
                A[i, j1] -= A[i, k1] * A[k1, j1]


def ludcmp[N](A: float32[N, N], b: float32[N]) -> float32[N]:
    """The solution of A x = b by L and U"""
    for i in range(N):
        for j in range(i):
            w: float32 = A[i, j]
            for k in range(j):
                w -= A[i, k] * A[k, j]
            A[i, j] = w / A[j, j]
        for j1 in range(i, N):
            w1: float32 = A[i, j1]
            for k1 in range(i):
                w1 -= A[i, k1] * A[k1, j1]
            A[i, j1] = w1
    y: float32[N]
    for i2 in range(N):
        w2: float32 = b[i2]
        for j2 in range(i2):
            w2 -= A[i2, j2] * y[j2]
        y[i2] = w2
    x: float32[N]
    for n in range(N):
        w3: float32 = y[N - 1 - n]
        for j3 in range(N - n, N):
            w3 -= A[N - 1 - n, j3] * x[j3]
        x[N - 1 - n] = w3 / A[N - 1 - n, N - 1 - n]
    return x


def trisolv[N](L: float32[N, N], b: float32[N]) -> float32[N]:
    """The solution of L x = b, L lower triangular"""
    x: float32[N]
    for i in range(N):
        x[i] = b[i]
        for j in range(i):
            x[i] -= L[i, j] * x[j]
        x[i] = x[i] / L[i, i]
    return x


def deriche[W, H](image: float32[W, H]) -> float32[W, H]:
    """Edge detection: recursive filters along both directions, forward and backward"""
    one: float32[W, H]
    two: float32[W, H]
    out: float32[W, H]
    for i in range(W):
        y1: float32 = 0.0
        y2: float32 = 0.0
        x1: float32 = 0.0
        for j in range(H):
            v: float32 = D1 * image[i, j] + D2 * x1 + B1 * y1 + B2 * y2
            one[i, j] = v
            x1 = image[i, j]
            y2 = y1
            y1 = v
    for i1 in range(W):
        z1: float32 = 0.0
        z2: float32 = 0.0
        w1: float32 = 0.0
        w2: float32 = 0.0
        for n in range(H):
            u: float32 = D3 * w1 + D4 * w2 + B1 * z1 + B2 * z2
            two[i1, H - 1 - n] = u
            w2 = w1
            w1 = image[i1, H - 1 - n]
            z2 = z1
            z1 = u
    for i2, j2 in allo.grid(W, H, name="sum_rows"):
        out[i2, j2] = one[i2, j2] + two[i2, j2]
    for j3 in range(H):
        t1: float32 = 0.0
        p1: float32 = 0.0
        p2: float32 = 0.0
        for i3 in range(W):
            f: float32 = D1 * out[i3, j3] + D2 * t1 + B1 * p1 + B2 * p2
            one[i3, j3] = f
            t1 = out[i3, j3]
            p2 = p1
            p1 = f
    for j4 in range(H):
        q1: float32 = 0.0
        q2: float32 = 0.0
        r1: float32 = 0.0
        r2: float32 = 0.0
        for m in range(W):
            g: float32 = D3 * q1 + D4 * q2 + B1 * r1 + B2 * r2
            two[W - 1 - m, j4] = g
            q2 = q1
            q1 = out[W - 1 - m, j4]
            r2 = r1
            r1 = g
    for i5, j5 in allo.grid(W, H, name="sum_columns"):
        out[i5, j5] = one[i5, j5] + two[i5, j5]
    return out


def floyd_warshall[N](paths: int32[N, N]):
    """Lengths of shortest paths, in place"""
    for k, i, j in allo.grid(N, N, N):
        around: int32 = paths[i, k] + paths[k, j]
        if around < paths[i, j]:
            paths[i, j] = around


def nussinov[N](seq: int32[N]) -> int32[N, N]:
    """Most pairs of bases (0 to 3, 0 with 3 and 1 with 2) of every part of a sequence"""
    table: int32[N, N] = 0
    for n in range(N):
        for j in range(N - n, N):
            best: int32 = table[N - 1 - n, j - 1]
            best = max(best, table[N - n, j])
            inner: int32 = table[N - n, j - 1]
            if j - 1 > N - 1 - n and seq[N - 1 - n] + seq[j] == 3:
                inner += 1
            best = max(best, inner)
            for k in range(N - n, j):
                best = max(best, table[N - 1 - n, k] + table[k + 1, j])
            table[N - 1 - n, j] = best
    return table


def adi[T, N](u: float32[N, N]):
    """Diffusion in two dimensions by alternating directions, T steps in place"""
    v: float32[N, N]
    p: float32[N, N]
    q: float32[N, N]
    mul1: float32 = 2.0 * N * N / T
    mul2: float32 = 1.0 * N * N / T
    a: float32 = -mul1 / 2.0
    b: float32 = 1.0 + mul1
    d: float32 = -mul2 / 2.0
    e: float32 = 1.0 + mul2
    for _t in range(T):
        for i in range(1, N - 1):
            v[0, i] = 1.0
            p[i, 0] = 0.0
            q[i, 0] = 1.0
            for j in range(1, N - 1):
                p[i, j] = -a / (a * p[i, j - 1] + b)
                q[i, j] = (
                    -d * u[j, i - 1] + (1.0 + 2.0 * d) * u[j, i] - d * u[j, i + 1]
                    - a * q[i, j - 1]
                ) / (a * p[i, j - 1] + b)
            v[N - 1, i] = 1.0
            for n in range(N - 2):
                v[N - 2 - n, i] = p[i, N - 2 - n] * v[N - 1 - n, i] + q[i, N - 2 - n]
        for i1 in range(1, N - 1):
            u[i1, 0] = 1.0
            p[i1, 0] = 0.0
            q[i1, 0] = 1.0
            for j1 in range(1, N - 1):
                p[i1, j1] = -d / (d * p[i1, j1 - 1] + e)
                q[i1, j1] = (
                    -a * v[i1 - 1, j1] + (1.0 + 2.0 * a) * v[i1, j1] - a * v[i1 + 1, j1]
                    - d * q[i1, j1 - 1]
                ) / (d * p[i1, j1 - 1] + e)
            u[i1, N - 1] = 1.0
            for n1 in range(N - 2):
                u[i1, N - 2 - n1] = p[i1, N - 2 - n1] * u[i1, N - 1 - n1] + q[i1, N - 2 - n1]


def fdtd_2d[T, X, Y](ex: float32[X, Y], ey: float32[X, Y], hz: float32[X, Y], source: float32[T]):
    """Maxwell's equations in two dimensions, T steps in place"""
    for t in range(T):
        for j in range(Y):
            ey[0, j] = source[t]
        for i1, j1 in allo.grid(X - 1, Y, name="field_y"):
            ey[i1 + 1, j1] -= 0.5 * (hz[i1 + 1, j1] - hz[i1, j1])
        for i2, j2 in allo.grid(X, Y - 1, name="field_x"):
            ex[i2, j2 + 1] -= 0.5 * (hz[i2, j2 + 1] - hz[i2, j2])
        for i3, j3 in allo.grid(X - 1, Y - 1, name="field_z"):
            hz[i3, j3] -= 0.7 * (ex[i3, j3 + 1] - ex[i3, j3] + ey[i3 + 1, j3] - ey[i3, j3])


def heat_3d[T, N](A: float32[N, N, N], B: float32[N, N, N]):
    """Heat in three dimensions, T steps from A to B and back"""
    for _t in range(T):
        for i, j, k in allo.grid(N - 2, N - 2, N - 2, name="to_B"):
            B[i + 1, j + 1, k + 1] = (
                0.125 * (A[i + 2, j + 1, k + 1] - 2.0 * A[i + 1, j + 1, k + 1] + A[i, j + 1, k + 1])
                + 0.125 * (A[i + 1, j + 2, k + 1] - 2.0 * A[i + 1, j + 1, k + 1]
                           + A[i + 1, j, k + 1])
                + 0.125 * (A[i + 1, j + 1, k + 2] - 2.0 * A[i + 1, j + 1, k + 1]
                           + A[i + 1, j + 1, k])
                + A[i + 1, j + 1, k + 1]
            )  # fmt: skip
        for i1, j1, k1 in allo.grid(N - 2, N - 2, N - 2, name="to_A"):
            A[i1 + 1, j1 + 1, k1 + 1] = (
                0.125 * (B[i1 + 2, j1 + 1, k1 + 1] - 2.0 * B[i1 + 1, j1 + 1, k1 + 1]
                         + B[i1, j1 + 1, k1 + 1])
                + 0.125 * (B[i1 + 1, j1 + 2, k1 + 1] - 2.0 * B[i1 + 1, j1 + 1, k1 + 1]
                           + B[i1 + 1, j1, k1 + 1])
                + 0.125 * (B[i1 + 1, j1 + 1, k1 + 2] - 2.0 * B[i1 + 1, j1 + 1, k1 + 1]
                           + B[i1 + 1, j1 + 1, k1])
                + B[i1 + 1, j1 + 1, k1 + 1]
            )  # fmt: skip


def jacobi_1d[T, N](A: float32[N], B: float32[N]):
    """T times: each cell the mean of itself and its neighbours, from A to B and back"""
    for _t in range(T):
        for i in range(1, N - 1):
            B[i] = 0.33333 * (A[i - 1] + A[i] + A[i + 1])
        for i1 in range(1, N - 1):
            A[i1] = 0.33333 * (B[i1 - 1] + B[i1] + B[i1 + 1])


def seidel_2d[T, N](A: float32[N, N]):
    """T times: each cell the mean of its neighbourhood as it is by then"""
    for _t in range(T):
        for i in range(1, N - 1):
            for j in range(1, N - 1):
                A[i, j] = (
                    A[i - 1, j - 1] + A[i - 1, j] + A[i - 1, j + 1] + A[i, j - 1] + A[i, j]
                    + A[i, j + 1] + A[i + 1, j - 1] + A[i + 1, j] + A[i + 1, j + 1]
                ) / 9.0
