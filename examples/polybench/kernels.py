"""The kernels, generic in their sizes; alpha = 1.5 and beta = 1.2 as in PolyBench.

An array that two stages read in different directions is passed twice (``A``, ``A_again``), as in
the published designs, so that each copy can be partitioned its own way.
"""

from __future__ import annotations

import allo_rtl as allo
from allo_rtl.ir.types import float32

ALPHA, BETA = 1.5, 1.2


def mm1[M, N, K](A: float32[M, K], B: float32[K, N]) -> float32[M, N]:
    out: float32[M, N] = 0.0
    for i, j in allo.grid(M, N, name="mm1"):
        for k in allo.reduction(K):
            out[i, j] += A[i, k] * B[k, j]
    return out


def mm2[M, N, K](A: float32[M, K], B: float32[K, N]) -> float32[M, N]:
    out: float32[M, N] = 0.0
    for i, j in allo.grid(M, N, name="mm2"):
        for k in allo.reduction(K):
            out[i, j] += A[i, k] * B[k, j]
    return out


def mm3[M, N, K](A: float32[M, K], B: float32[K, N]) -> float32[M, N]:
    out: float32[M, N] = 0.0
    for i, j in allo.grid(M, N, name="mm3"):
        for k in allo.reduction(K):
            out[i, j] += A[i, k] * B[k, j]
    return out


def ele_add[M, N](X: float32[M, N], Y: float32[M, N]) -> float32[M, N]:
    out: float32[M, N]
    for i2, j2 in allo.grid(M, N, name="ele_add"):
        out[i2, j2] = ALPHA * X[i2, j2] + BETA * Y[i2, j2]
    return out


def two_mm[P, Q, R, S](
    A: float32[P, Q], B: float32[Q, R], C: float32[R, S], D: float32[P, S]
) -> float32[P, S]:
    """alpha * A @ B @ C + beta * D"""
    out_AB = mm1[P, R, Q](A, B)
    out_ABC = mm2[P, S, R](out_AB, C)
    out = ele_add[P, S](out_ABC, D)
    return out


def three_mm[P, Q, R, S, T](
    A: float32[P, Q], B: float32[Q, R], C: float32[R, S], D: float32[S, T]
) -> float32[P, T]:
    """(A @ B) @ (C @ D)"""
    out_AB = mm1[P, R, Q](A, B)
    out_CD = mm2[R, T, S](C, D)
    out = mm3[P, T, R](out_AB, out_CD)
    return out


def gemm[P, Q, R](A: float32[P, Q], B: float32[Q, R], C: float32[P, R]) -> float32[P, R]:
    """alpha * A @ B + beta * C"""
    out_AB: float32[P, R] = 0.0
    for i0, j0 in allo.grid(P, R, name="mm"):
        for k0 in allo.reduction(Q):
            out_AB[i0, j0] += A[i0, k0] * B[k0, j0]
    out: float32[P, R]
    for i2, j2 in allo.grid(P, R, name="ele_add"):
        out[i2, j2] = ALPHA * out_AB[i2, j2] + BETA * C[i2, j2]
    return out


def gemm_scaled[P, Q, R](A: float32[P, Q], B: float32[Q, R], C: float32[P, R]):
    """C = (alpha * A) @ B + beta * C, in place and in the order of PolyBench's own program"""
    for i1, j1 in allo.grid(P, R, name="scale"):
        C[i1, j1] = C[i1, j1] * BETA
    for i0, k0 in allo.grid(P, Q, name="mm"):
        for j0 in range(R):
            C[i0, j0] += ALPHA * A[i0, k0] * B[k0, j0]


def stage_M[M, N](A: float32[M, N], x: float32[N]) -> float32[M]:
    out_Ax: float32[M] = 0.0
    for m in allo.grid(M, name="stage_M"):
        for r in allo.reduction(N):
            out_Ax[m] += A[m, r] * x[r]
    return out_Ax


def stage_N[M, N](A: float32[M, N], out_Ax: float32[M]) -> float32[N]:
    y: float32[N] = 0.0
    for n in allo.grid(N, name="stage_N"):
        for k in allo.reduction(M):
            y[n] += A[k, n] * out_Ax[k]
    return y


def atax[M, N](A: float32[M, N], A_again: float32[M, N], x: float32[N]) -> float32[N]:
    """A.T @ (A @ x)"""
    out_Ax = stage_M[M, N](A, x)
    y = stage_N[M, N](A_again, out_Ax)
    return y


def stage_S[M, N](A: float32[M, N], r: float32[M]) -> float32[N]:
    s: float32[N] = 0.0
    for i0 in allo.reduction(M):
        for j0 in range(N):
            s[j0] += A[i0, j0] * r[i0]
    return s


def stage_Q[M, N](A: float32[M, N], p: float32[N]) -> float32[M]:
    q: float32[M] = 0.0
    for i1 in allo.grid(M, name="stage_Q"):
        for j1 in allo.reduction(N):
            q[i1] += A[i1, j1] * p[j1]
    return q


def bicg[M, N](
    A: float32[M, N], A_again: float32[M, N], p: float32[N], r: float32[M]
) -> (float32[N], float32[M]):
    """A.T @ r and A @ p"""
    s = stage_S[M, N](A, r)
    q = stage_Q[M, N](A_again, p)
    return s, q


def gesummv[N](A: float32[N, N], B: float32[N, N], x: float32[N]) -> float32[N]:
    """alpha * A @ x + beta * B @ x"""
    left: float32[N] = 0.0
    right: float32[N] = 0.0
    for i in allo.grid(N, name="products"):
        for j in allo.reduction(N):
            left[i] += A[i, j] * x[j]
            right[i] += B[i, j] * x[j]
    y: float32[N]
    for i0 in allo.grid(N, name="sum"):
        y[i0] = ALPHA * left[i0] + BETA * right[i0]
    return y


def mvt[N](
    A: float32[N, N], A_again: float32[N, N], y1: float32[N], y2: float32[N],
    x1: float32[N], x2: float32[N],
) -> (float32[N], float32[N]):  # fmt: skip
    """x1 + A @ y1 and x2 + A.T @ y2"""
    out1: float32[N]
    for i0 in allo.grid(N, name="rows"):
        sum1: float32 = x1[i0]
        for j0 in allo.reduction(N):
            sum1 += A[i0, j0] * y1[j0]
        out1[i0] = sum1
    out2: float32[N]
    for i1 in allo.grid(N, name="columns"):
        sum2: float32 = x2[i1]
        for j1 in allo.reduction(N):
            sum2 += A_again[j1, i1] * y2[j1]
        out2[i1] = sum2
    return out1, out2


def mvt_in_place[N](
    A: float32[N, N], A_again: float32[N, N], y1: float32[N], y2: float32[N],
    x1: float32[N], x2: float32[N],
):  # fmt: skip
    """The same, summed up in x1 and x2"""
    for i0 in allo.grid(N, name="rows"):
        for j0 in allo.reduction(N):
            x1[i0] += A[i0, j0] * y1[j0]
    for i1 in allo.grid(N, name="columns"):
        for j1 in allo.reduction(N):
            x2[i1] += A_again[j1, i1] * y2[j1]


def compute_B[N](A: float32[N, N], B: float32[N, N]):
    for i0, j0 in allo.grid(N - 2, N - 2, name="sweep_B"):
        B[i0 + 1, j0 + 1] = 0.2 * (
            A[i0 + 1, j0 + 1] + A[i0 + 1, j0] + A[i0 + 1, j0 + 2] + A[i0 + 2, j0 + 1]
            + A[i0, j0 + 1]
        )  # fmt: skip


def compute_A[N](B: float32[N, N], A: float32[N, N]):
    for i1, j1 in allo.grid(N - 2, N - 2, name="sweep_A"):
        A[i1 + 1, j1 + 1] = 0.2 * (
            B[i1 + 1, j1 + 1] + B[i1 + 1, j1] + B[i1 + 1, j1 + 2] + B[i1 + 2, j1 + 1]
            + B[i1, j1 + 1]
        )  # fmt: skip


def jacobi_2d[T, N](A: float32[N, N], B: float32[N, N]):
    """T times: B from A, A from B, the mean of each cell and its four neighbours; in place"""
    for _t in range(T):
        compute_B[N](A, B)
        compute_A[N](B, A)


def compute_sum[M, N](A: float32[M, M], B: float32[M, N]) -> float32[M, N]:
    summ: float32[M, N] = 0.0
    for i1, j1 in allo.grid(M, N, name="sum"):
        for k1 in allo.reduction(M):
            if k1 < i1:
                summ[i1, j1] += B[k1, j1] * A[i1, k1]
    return summ


def update_sum[M, N](A: float32[M, M], B: float32[M, N], summ: float32[M, N]):
    for i in allo.reduction(M):
        for k, j in allo.grid(M, N):
            if k < i:
                summ[k, j] += B[i, j] * A[i, k]


def scale_C[M, N](
    A: float32[M, M], B: float32[M, N], summ: float32[M, N], C: float32[M, N]
) -> float32[M, N]:
    out: float32[M, N]
    for i2, j2 in allo.grid(M, N, name="scale"):
        out[i2, j2] = BETA * C[i2, j2] + ALPHA * (B[i2, j2] * A[i2, i2] + summ[i2, j2])
    return out


def symm[M, N](
    A: float32[M, M], A_again: float32[M, M], B: float32[M, N], B_again: float32[M, N],
    C: float32[M, N],
) -> float32[M, N]:  # fmt: skip
    """alpha * S @ B + beta * C, where the lower triangle of A is that of the symmetric S"""
    summ = compute_sum[M, N](A, B)
    update_sum[M, N](A_again, B_again, summ)
    out = scale_C[M, N](A, B, summ, C)
    return out


def syrk[M, N](A: float32[N, M], A_again: float32[N, M], C: float32[N, N]) -> float32[N, N]:
    """alpha * A @ A.T + beta * C in the lower triangle, C above it"""
    scaled: float32[N, N]
    for i0, j0 in allo.grid(N, N, name="scale"):
        scaled[i0, j0] = BETA * C[i0, j0] if j0 <= i0 else C[i0, j0]
    buffer: float32[N, N] = 0.0
    for i1, j1 in allo.grid(N, N, name="products"):
        for k1 in allo.reduction(M):
            if j1 <= i1:
                buffer[i1, j1] += A[i1, k1] * A_again[j1, k1]
    out: float32[N, N]
    for i2, j2 in allo.grid(N, N, name="add"):
        out[i2, j2] = scaled[i2, j2] + ALPHA * buffer[i2, j2]
    return out


def syr2k[M, N](
    A: float32[N, M], A_again: float32[N, M], B: float32[N, M], B_again: float32[N, M],
    C: float32[N, N],
) -> float32[N, N]:  # fmt: skip
    """alpha * (A @ B.T + B @ A.T) + beta * C in the lower triangle, C above it"""
    scaled: float32[N, N]
    for i0, j0 in allo.grid(N, N, name="scale"):
        scaled[i0, j0] = BETA * C[i0, j0] if j0 <= i0 else C[i0, j0]
    buffer: float32[N, N] = 0.0
    for i1, j1 in allo.grid(N, N, name="products"):
        for k1 in allo.reduction(M):
            if j1 <= i1:
                buffer[i1, j1] += A_again[j1, k1] * B[i1, k1] + B_again[j1, k1] * A[i1, k1]
    out: float32[N, N]
    for i2, j2 in allo.grid(N, N, name="add"):
        out[i2, j2] = scaled[i2, j2] + ALPHA * buffer[i2, j2]
    return out


def trmm[M, N](A: float32[M, M], B: float32[M, N]):
    """B = alpha * (the unit lower triangular matrix of A).T @ B, in place"""
    for i1, j1 in allo.grid(M, N, name="products"):
        for k1 in allo.reduction(M):
            if k1 > i1:
                B[i1, j1] += A[k1, i1] * B[k1, j1]
    for i0, j0 in allo.grid(M, N, name="scale"):
        B[i0, j0] = ALPHA * B[i0, j0]


def trmm_rows[M, N](A: float32[M, M], B: float32[M, N]):
    """The same, with the sums of a row in an array of their own"""
    for i in allo.grid(M, name="products"):
        row: float32[N]
        for j0 in range(N):
            row[j0] = B[i, j0]
        for k in allo.reduction(M):
            for j in range(N):
                if k > i:
                    row[j] += A[k, i] * B[k, j]
        for j1 in range(N):
            B[i, j1] = ALPHA * row[j1]


def compute_mean[M, N](data: float32[N, M]) -> float32[M]:
    total: float32[M] = 0.0
    for x in allo.reduction(N):
        for m in range(M):
            total[m] += data[x, m]
    mean: float32[M]
    for m1 in range(M):
        mean[m1] = total[m1] / N
    return mean


def compute_stddev[M, N](data: float32[N, M], mean: float32[M]) -> float32[M]:
    total: float32[M] = 0.0
    for x in allo.reduction(N):
        for m in range(M):
            total[m] += (data[x, m] - mean[m]) * (data[x, m] - mean[m])
    stddev: float32[M]
    for m1 in range(M):
        root: float32 = allo.sqrt(total[m1] / N)
        stddev[m1] = 1.0 if root <= 0.1 else root
    return stddev


def center_reduce[M, N](
    data: float32[N, M], mean: float32[M], stddev: float32[M]
) -> float32[N, M]:
    root: float32 = allo.sqrt(float32(N))
    centred: float32[N, M]
    for x, m in allo.grid(N, M, name="centre"):
        centred[x, m] = (data[x, m] - mean[m]) / (root * stddev[m])
    return centred


def compute_corr[M, N](centred: float32[N, M]) -> float32[M, M]:
    corr: float32[M, M] = 0.0
    for i in allo.grid(M, name="corr"):
        for j in range(M):
            for k in allo.reduction(N):
                if j > i:
                    corr[i, j] += centred[k, i] * centred[k, j]
    for i1, j1 in allo.grid(M, M, name="mirror"):
        if j1 <= i1:
            corr[i1, j1] = 1.0 if i1 == j1 else corr[j1, i1]
    return corr


def correlation[M, N](
    data: float32[N, M], data_again: float32[N, M], data_third: float32[N, M]
) -> float32[M, M]:
    """The correlation matrix of N observations of M variables"""
    mean = compute_mean[M, N](data)
    stddev = compute_stddev[M, N](data_again, mean)
    centred = center_reduce[M, N](data_third, mean, stddev)
    corr = compute_corr[M, N](centred)
    return corr
