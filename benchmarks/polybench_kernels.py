"""The 19 linear-algebra kernels of PolyBench in unsigned 32 bit integers, N = 8.

The kernels and sizes of the Calyx and Piezo papers (ASPLOS 2021 and 2024): 8 in most dimensions,
12 in the longer one of rectangular arrays.  Where the published programs copy their arrays to
local memories and back inside the counted time, these do too.  Roots are integer roots.
``symm_by_hand`` is symm in other loops, with the same results.
"""

from __future__ import annotations

import allo_rtl as allo
from allo_rtl.ir.types import uint32

N, L = 8, 12


def root(x: uint32) -> uint32:
    rest: uint32 = x
    r: uint32 = 0
    bit: uint32 = 1 << 30
    for _ in range(16):
        if rest >= r + bit:
            rest -= r + bit
            r = (r >> 1) + bit
        else:
            r = r >> 1
        bit = bit >> 2
    return r


def two_mm(
    alpha: uint32, beta: uint32,
    A0: uint32[N, N], B0: uint32[N, N], C0: uint32[N, N], D0: uint32[N, N],
):
    A: uint32[N, N]
    B: uint32[N, N]
    C: uint32[N, N]
    D: uint32[N, N]
    T: uint32[N, N]
    for i, j in allo.grid(N, N, name="load"):
        A[i, j] = A0[i, j]
        B[i, j] = B0[i, j]
        C[i, j] = C0[i, j]
        D[i, j] = D0[i, j] * beta
        T[i, j] = 0
    for i, j, k in allo.grid(N, N, N, name="first"):
        T[i, j] += alpha * A[i, k] * B[k, j]
    for i, j, k in allo.grid(N, N, N, name="second"):
        D[i, j] += T[i, k] * C[k, j]
    for i, j in allo.grid(N, N, name="keep"):
        D0[i, j] = D[i, j]


def three_mm(
    A: uint32[N, N], B: uint32[N, N], C: uint32[N, N], D: uint32[N, N]
) -> uint32[N, N]:
    E: uint32[N, N] = 0
    F: uint32[N, N] = 0
    G: uint32[N, N] = 0
    for i, j, k in allo.grid(N, N, N, name="first"):
        E[i, j] += A[i, k] * B[k, j]
    for i, j, k in allo.grid(N, N, N, name="second"):
        F[i, j] += C[i, k] * D[k, j]
    for i, j, k in allo.grid(N, N, N, name="third"):
        G[i, j] += E[i, k] * F[k, j]
    return G


def atax(A0: uint32[N, N], x0: uint32[N], y0: uint32[N]):
    A: uint32[N, N]
    x: uint32[N]
    y: uint32[N] = 0
    for i in allo.grid(N, name="load_x"):
        x[i] = x0[i]
    for i, j in allo.grid(N, N, name="load"):
        A[i, j] = A0[i, j]
    for i in allo.grid(N, name="rows"):
        t: uint32 = 0
        for j in range(N):
            t += A[i, j] * x[j]
        for k in range(N):
            y[k] += A[i, k] * t
    for i in allo.grid(N, name="keep"):
        y0[i] = y[i]


def bicg(A: uint32[N, N], p: uint32[N], r: uint32[N], s: uint32[N], q: uint32[N]):
    for i, j in allo.grid(N, N, name="both"):
        s[j] += r[i] * A[i, j]
        q[i] += A[i, j] * p[j]


def cholesky(A: uint32[N, N]):
    for i in allo.grid(N, name="rows"):
        for j in range(i):
            v: uint32 = A[i, j]
            for k in range(j):
                v -= A[i, k] * A[j, k]
            A[i, j] = v / A[j, j]
        d: uint32 = A[i, i]
        for m in range(i):
            d -= A[i, m] * A[i, m]
        A[i, i] = root(d)


def doitgen(A: uint32[N, N, N], C4: uint32[N, N]):
    for r, q in allo.grid(N, N, name="slices"):
        line: uint32[N]
        for p in range(N):
            line[p] = 0
        for p1 in range(N):
            for s in range(N):
                line[p1] += A[r, q, s] * C4[s, p1]
        for p2 in range(N):
            A[r, q, p2] = line[p2]


def durbin(r: uint32[N], y: uint32[N]):
    z: uint32[N]
    alpha: uint32 = -r[0]
    beta: uint32 = 1
    y[0] = -r[0]
    for k in range(1, N):
        beta = (1 - alpha * alpha) * beta
        total: uint32 = 0
        for i in range(k):
            total += r[k - i - 1] * y[i]
        t: uint32 = r[k] + total
        alpha = -(t / beta)
        for m in range(k):
            z[m] = y[m] + alpha * y[k - m - 1]
        for n in range(k):
            y[n] = z[n]
        y[k] = alpha


def gemm(
    alpha: uint32, beta: uint32, A0: uint32[N, N], B0: uint32[N, N], C0: uint32[N, N]
):
    A: uint32[N, N]
    B: uint32[N, N]
    C: uint32[N, N]
    for i, j in allo.grid(N, N, name="load"):
        A[i, j] = A0[i, j]
        B[i, j] = B0[i, j]
        C[i, j] = C0[i, j] * beta
    for i, j, k in allo.grid(N, N, N, name="product"):
        C[i, j] += alpha * A[i, k] * B[k, j]
    for i, j in allo.grid(N, N, name="keep"):
        C0[i, j] = C[i, j]


def gemver(
    alpha: uint32, beta: uint32, A0: uint32[N, N], u1: uint32[N], v1: uint32[N], u2: uint32[N],
    v2: uint32[N], y0: uint32[N], z0: uint32[N], x0: uint32[N], w0: uint32[N],
):
    A: uint32[N, N]
    x: uint32[N]
    w: uint32[N] = 0
    y: uint32[N]
    for i in allo.grid(N, name="load"):
        x[i] = z0[i]
        y[i] = y0[i]
    for i, j in allo.grid(N, N, name="update"):
        A[i, j] = A0[i, j] + u1[i] * v1[j] + u2[i] * v2[j]
    for i, j in allo.grid(N, N, name="first"):
        x[i] += beta * A[j, i] * y[j]
    for i, j in allo.grid(N, N, name="second"):
        w[i] += alpha * A[i, j] * x[j]
    for i, j in allo.grid(N, N, name="keep_A"):
        A0[i, j] = A[i, j]
    for i in allo.grid(N, name="keep"):
        x0[i] = x[i]
        w0[i] = w[i]


def gesummv(
    alpha: uint32, beta: uint32, A0: uint32[N, N], B0: uint32[N, N], x0: uint32[N],
    y0: uint32[N],
):
    A: uint32[N, N]
    B: uint32[N, N]
    x: uint32[N]
    t: uint32[N]
    y: uint32[N]
    for i in allo.grid(N, name="load_x"):
        x[i] = x0[i]
        t[i] = 0
        y[i] = 0
    for i, j in allo.grid(N, N, name="load"):
        A[i, j] = A0[i, j]
        B[i, j] = B0[i, j]
    for i, j in allo.grid(N, N, name="products"):
        t[i] += A[i, j] * x[j]
        y[i] += B[i, j] * x[j]
    for i in allo.grid(N, name="keep"):
        y0[i] = alpha * t[i] + beta * y[i]


def gramschmidt(A0: uint32[N, L], R0: uint32[L, L], Q0: uint32[N, L]):
    A: uint32[N, L]
    R: uint32[L, L]
    Q: uint32[N, L]
    for i, j in allo.grid(N, L, name="load"):
        A[i, j] = A0[i, j]
    for i, j in allo.grid(L, L, name="clear"):
        R[i, j] = 0
    for k in allo.grid(L, name="columns"):
        norm: uint32 = 0
        for i in range(N):
            norm += A[i, k] * A[i, k]
        length: uint32 = root(norm)
        R[k, k] = length
        for m in range(N):
            Q[m, k] = A[m, k] / length
        for j in range(k + 1, L):
            v: uint32 = 0
            for n in range(N):
                v += Q[n, k] * A[n, j]
            R[k, j] = v
            for p in range(N):
                A[p, j] -= Q[p, k] * v
    for i, j in allo.grid(N, L, name="keep"):
        A0[i, j] = A[i, j]
        Q0[i, j] = Q[i, j]
    for i, j in allo.grid(L, L, name="keep_R"):
        R0[i, j] = R[i, j]


def lu(A: uint32[N, N]):
    for i in allo.grid(N, name="rows"):
        for j in range(i):
            v: uint32 = A[i, j]
            for k in range(j):
                v -= A[i, k] * A[k, j]
            A[i, j] = v / A[j, j]
        for m in range(i, N):
            w: uint32 = A[i, m]
            for n in range(i):
                w -= A[i, n] * A[n, m]
            A[i, m] = w


def ludcmp(A: uint32[N, N], b: uint32[N], x: uint32[N]):
    y: uint32[N]
    for i in allo.grid(N, name="rows"):
        for j in range(i):
            v: uint32 = A[i, j]
            for k in range(j):
                v -= A[i, k] * A[k, j]
            A[i, j] = v / A[j, j]
        for m in range(i, N):
            w: uint32 = A[i, m]
            for n in range(i):
                w -= A[i, n] * A[n, m]
            A[i, m] = w
    for i in allo.grid(N, name="forward"):
        v: uint32 = b[i]
        for j in range(i):
            v -= A[i, j] * y[j]
        y[i] = v
    for i in allo.grid(N, name="backward"):
        v: uint32 = y[N - 1 - i]
        for j in range(N - i, N):
            v -= A[N - 1 - i, j] * x[j]
        x[N - 1 - i] = v / A[N - 1 - i, N - 1 - i]


def mvt(
    A0: uint32[N, N], x1: uint32[N], x2: uint32[N], y1: uint32[N], y2: uint32[N]
):
    A: uint32[N, N]
    a: uint32[N]
    b: uint32[N]
    p: uint32[N]
    q: uint32[N]
    for i in allo.grid(N, name="load_x"):
        a[i] = x1[i]
        b[i] = x2[i]
        p[i] = y1[i]
        q[i] = y2[i]
    for i, j in allo.grid(N, N, name="load"):
        A[i, j] = A0[i, j]
    for i, j in allo.grid(N, N, name="first"):
        a[i] += A[i, j] * p[j]
    for i, j in allo.grid(N, N, name="second"):
        b[i] += A[j, i] * q[j]
    for i in allo.grid(N, name="keep"):
        x1[i] = a[i]
        x2[i] = b[i]


def symm(
    alpha: uint32, beta: uint32, A: uint32[N, N], B: uint32[N, L], C: uint32[N, L]
):
    for i, j in allo.grid(N, L, name="rows"):
        t: uint32 = 0
        for k in range(i):
            C[k, j] += alpha * B[i, j] * A[i, k]
            t += B[k, j] * A[i, k]
        C[i, j] = beta * C[i, j] + alpha * B[i, j] * A[i, i] + alpha * t


def symm_by_hand(
    alpha: uint32, beta: uint32, A: uint32[N, N], B: uint32[N, L], C: uint32[N, L]
):
    T: uint32[N, L] = 0
    R: uint32[N, L]
    for i, j in allo.grid(N, L, name="diagonal"):
        R[i, j] = B[i, j]
        C[i, j] = beta * C[i, j] + alpha * B[i, j] * A[i, i]
    for i, j in allo.grid(N, L, name="rows"):
        for k in range(i):
            C[k, j] += alpha * R[i, j] * A[i, k]
            T[i, j] += B[k, j] * A[i, k]
    for i in allo.grid(N - 1, name="sums"):
        for j in range(L):
            C[i + 1, j] += alpha * T[i + 1, j]


def syr2k(
    alpha: uint32, beta: uint32, A0: uint32[L, N], B0: uint32[L, N], C0: uint32[L, L]
):
    A: uint32[L, N]
    B: uint32[L, N]
    C: uint32[L, L]
    for i, j in allo.grid(L, N, name="load"):
        A[i, j] = A0[i, j]
        B[i, j] = B0[i, j]
    for i, j in allo.grid(L, L, name="load_C"):
        C[i, j] = C0[i, j] * beta if j <= i else C0[i, j]
    for i, k in allo.grid(L, N, name="update"):
        for j in range(i + 1):
            C[i, j] += alpha * (A[j, k] * B[i, k] + B[j, k] * A[i, k])
    for i, j in allo.grid(L, L, name="keep"):
        C0[i, j] = C[i, j]


def syrk(alpha: uint32, beta: uint32, A0: uint32[L, N], C0: uint32[L, L]):
    A: uint32[L, N]
    C: uint32[L, L]
    for i, j in allo.grid(L, N, name="load"):
        A[i, j] = A0[i, j]
    for i, j in allo.grid(L, L, name="load_C"):
        C[i, j] = C0[i, j] * beta if j <= i else C0[i, j]
    for i, k in allo.grid(L, N, name="update"):
        for j in range(i + 1):
            C[i, j] += alpha * A[i, k] * A[j, k]
    for i, j in allo.grid(L, L, name="keep"):
        C0[i, j] = C[i, j]


def trisolv(M: uint32[N, N], b: uint32[N], x: uint32[N]):
    for i in allo.grid(N, name="rows"):
        v: uint32 = b[i]
        for j in range(i):
            v -= M[i, j] * x[j]
        x[i] = v / M[i, i]


def trmm(alpha: uint32, A: uint32[N, N], B: uint32[N, L]):
    for i, j in allo.grid(N, L, name="rows"):
        v: uint32 = B[i, j]
        for k in range(i + 1, N):
            v += A[k, i] * B[k, j]
        B[i, j] = alpha * v
