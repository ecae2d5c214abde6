"""Kernels that several tests share."""

import numpy as np

import allo_rtl as allo
from allo_rtl.ir.types import Int, UInt, int8, int16, int32, uint8, uint12, uint32

int7, int48 = Int(7), Int(48)
TAPS = np.array([3, -5, 7, 11, -2], dtype=np.int32)


def gemm(A: int32[6, 5], B: int32[5, 4]) -> int32[6, 4]:
    C: int32[6, 4] = 0
    for i, j, k in allo.grid(6, 4, 5):
        C[i, j] += A[i, k] * B[k, j]
    return C


def matvec(A: int16[6, 8], x: int16[8], y: int32[6]):
    for i in range(6):
        acc: int32 = 0
        for k in range(8):
            acc += A[i, k] * x[k]
        y[i] = acc


def conv3x3(A: uint8[8, 9], K: int8[3, 3]) -> int32[6, 7]:
    B: int32[6, 7] = 0
    for y, x in allo.grid(6, 7):
        total: int32 = 0
        for r, c in allo.reduction(3, 3):
            total += A[y + r, x + c] * K[r, c]
        B[y, x] = total
    return B


def fir(X: int16[20], Y: int32[16]):
    for n in range(16):
        acc: int32 = 0
        for t in range(5):
            acc += X[n + t] * TAPS[t]
        Y[n] = acc


def prefix_sum(X: int32[16], Y: int32[16]):
    total: int32 = 0
    for i in range(16):
        total += X[i]
        Y[i] = total


def histogram(X: uint8[30]) -> int32[16]:
    H: int32[16] = 0
    for i in range(30):
        H[X[i] % 16] += 1
    return H


def transpose(A: int32[5, 7]) -> int32[7, 5]:
    B: int32[7, 5] = 0
    for i, j in allo.grid(5, 7):
        B[j, i] = A[i, j]
    return B


def odd_dot(a: int7[12], b: uint12[12]) -> int48:
    acc: int48 = 0
    for i in range(12):
        acc += a[i] * b[i]
    return acc


def triangle(A: int32[7, 7]) -> int32[7]:
    s: int32[7] = 0
    for i in range(7):
        for j in range(i + 1):
            s[i] += A[i, j]
    return s


def bounded(A: int32[16], n: int32) -> int32:
    total: int32 = 0
    for i in range(n):
        total += A[i]
    return total


def square(x: int32) -> int32:
    return x * x


def sum_squares(A: int32[6]) -> int32:
    total: int32 = 0
    for i in range(6):
        total += square(A[i])
    return total


def two_level(A: int32[4, 6], B: int32[4]):
    for r in range(4):
        row: int32[6] = 0
        for i in range(6):
            row[i] = A[r, i]
        B[r] = sum_squares(row)


def branches(A: int32[10], B: int32[10], t: int32):
    for i in range(10):
        if A[i] > t:
            B[i] = A[i] - t
        elif A[i] == t:
            B[i] = 0
        else:
            B[i] = t - A[i]


def max_and_place(A: int16[11]) -> (int16, int32):
    best: int16 = A[0]
    place: int32 = 0
    for i in range(1, 11):
        if A[i] > best:
            best = A[i]
            place = i
    return best, place


def divisions(a: int32[8], b: int16[8], c: uint8[8], q: int32[8], r: int32[8], f: int32[8]):
    for i in range(8):
        q[i] = a[i] / b[i]
        r[i] = a[i] % b[i]
        f[i] = a[i] // (b[i] + c[i])


def shifts(a: int32[8], n: uint8[8], u: uint32[8], l: int32[8], r: int32[8], x: uint32[8]):
    for i in range(8):
        l[i] = a[i] << n[i]
        r[i] = a[i] >> n[i]
        x[i] = u[i] >> (n[i] & 31)


def wide(a: Int(100)[4], b: UInt(70)[4], c: Int(130)[4]):
    for i in range(4):
        c[i] = a[i] * b[i] + (a[i] >> 3)
