"""Kernels of the corpus of illegal schedules (:mod:`test_illegal_schedules`)."""

import allo_rtl as allo
from allo_rtl.ir.types import Stateful, float32, int32


def skew(A: int32[8, 8]):
    for i in range(1, 8):
        for j in range(7):
            A[i, j] = A[i - 1, j + 1] + 1


def anti(A: int32[8, 8]):
    for i in range(7):
        for j in range(1, 8):
            A[i, j] = A[i + 1, j - 1] + 1


def output(A: int32[15], B: int32[8, 8]):
    for i, j in allo.grid(8, 8):
        A[i + j] = B[i, j]


def cube(A: int32[5, 5, 5]):
    for i in range(1, 5):
        for j in range(4):
            for k in range(5):
                A[i, j, k] = A[i - 1, j + 1, k] + 1


def deep(A: int32[5, 5, 5]):
    for i in range(5):
        for j in range(1, 5):
            for k in range(4):
                A[i, j, k] = A[i, j - 1, k + 1] + 1


def last_wins(A: int32[8], B: int32[8, 8]):
    for i, j in allo.grid(8, 8):
        A[i] = B[i, j]


def last_row_wins(A: int32[8], B: int32[8, 8]):
    for i, j in allo.grid(8, 8):
        A[(i + j) // 2] = B[i, j]


def mixed(A: int32[4, 4], S: int32[1]):
    for i, j in allo.grid(4, 4):
        if i > j:
            S[0] = S[0] * 3
        else:
            S[0] = S[0] + A[i, j]


def running(A: int32[4, 4], S: int32[1], B: int32[4, 4]):
    for i, j in allo.grid(4, 4):
        S[0] += A[i, j]
        B[i, j] = S[0]


def float_sum(A: float32[4, 4]) -> float32:
    s: float32 = 0.0
    for i, j in allo.grid(4, 4):
        s += A[i, j]
    return s


def scatter(at: int32[4, 4], out: int32[16]):
    for i, j in allo.grid(4, 4):
        out[at[i, j]] = i * 4 + j


def shared(A: int32[8, 8], B: int32[8]):
    t: int32 = 0
    for i, j in allo.grid(8, 8):
        if A[i, j] > 0:
            t = A[i, j]
        B[j] = t


def printing(A: int32[4, 4]):
    for i, j in allo.grid(4, 4):
        print(A[i, j])


def shift(X: int32[8]):
    for n in range(1, 8):
        X[n] = X[n] + X[n - 1]


def calling(A: int32[8], B: int32[2, 3]):
    for i, j in allo.grid(2, 3):
        shift(A)
        B[i, j] = A[7]


def copy_skewed(X: int32[8, 8], Y: int32[8, 8]):
    for i in range(1, 8):
        for j in range(7):
            X[i, j] = Y[i - 1, j + 1]


def onto_itself(A: int32[8, 8]):
    copy_skewed(A, A)


def into_parts(A: int32[9, 9]):
    copy_skewed(A[1:9, 0:8], A[0:8, 0:8])


def remembering(A: int32[4, 4], B: int32[4]):
    seen: int32[4] @ Stateful = 0
    for i, j in allo.grid(4, 4):
        seen[(i + j) // 2] = A[i, j]
    for n in range(4):
        B[n] = seen[n]


def prefix(A: int32[8]):
    for i in range(1, 8):
        A[i] = A[i] + A[i - 1]


def suffix(A: int32[8]):
    for i in range(7):
        A[i] = A[i + 1]


def total(A: int32[8]) -> int32:
    s: int32 = 0
    for i in range(8):
        s += A[i]
    return s


def product(A: int32[8], B: int32[8]) -> int32:
    s: int32 = 1
    for i in range(8):
        s = s * A[i] + B[i]
    return s


def halves(A: int32[8]):
    for i in range(4):
        A[2 * i] = A[i]


def triangle(A: int32[8, 8]):
    for i in range(8):
        for j in range(i + 1):
            A[i, j] = A[i, j] + 1


def by_data(A: int32[8, 8], n: int32[8]):
    for i in range(8):
        for j in range(n[i]):
            A[i, j] = A[i, j] + 1


def imperfect(A: int32[8, 8], B: int32[8]):
    for i in range(8):
        B[i] = 0
        for j in range(8):
            B[i] += A[i, j]


def accumulator(A: int32[4, 6], B: int32[6, 5], C: int32[4, 5], n: int32):
    for i in range(4):
        for j in range(n):
            total: int32 = 0
            for k in range(6):
                total += A[i, k] * B[k, j]
            C[i, j] = total


def printing_rows(A: int32[4, 6]):
    for i in range(4):
        print("row", i)
        for j in range(6):
            print(A[i, j])


def row_of_sums(A: int32[8, 8], B: int32[9]):
    for i in range(8):
        B[i] = i
        for j in range(8):
            B[i + 1] += A[i, j]


def then_shifted(A: int32[8, 8], B: int32[9]):
    for i in range(8):
        for j in range(8):
            B[i] += A[i, j]
        B[i + 1] = B[i] * 3


def rectangle(A: int32[6, 7]):
    for i, j in allo.grid(6, 7):
        A[i, j] = A[i, j] * 3


def two_bands(A: int32[8], B: int32[8]):
    for i in range(8):
        A[i] = A[i] + 1
    for j in range(8):
        B[j] = A[j] * 2


def backwards(A: int32[8], B: int32[8], C: int32[8]):
    for i in range(8):
        B[i] = A[i] + 1
    for j in range(8):
        C[j] = B[7 - j]


def ahead(A: int32[8], C: int32[7]):
    B: int32[8] = 0
    for i in range(7):
        B[i + 1] = A[i] + 1
    for j in range(7):
        C[j] = B[j + 1] + B[7 - j]


def overwrites(A: int32[8], B: int32[8]):
    for i in range(8):
        B[i] = A[i] + A[7 - i]
    for j in range(8):
        A[j] = 0


def both_write(A: int32[8], B: int32[8]):
    for i in range(8):
        B[i] = A[i]
    for j in range(8):
        B[7 - j] = j


def between(A: int32[8], B: int32[8], C: int32[8]):
    for i in range(8):
        B[i] = A[i] + 1
    A[3] = 100
    for j in range(8):
        C[j] = B[j]


def reader_between(A: int32[8], B: int32[8], C: int32[8]):
    for i in range(8):
        B[i] = A[i] + 1
    C[0] = B[5]
    for j in range(8):
        C[j] = B[j]


def shorter(A: int32[8], B: int32[8], C: int32[8]):
    for i in range(8):
        B[i] = A[i] + 1
    for j in range(4):
        C[j] = B[j]


def in_place_blur(A: int32[10]):
    for i in range(8):
        A[i + 1] = A[i] + A[i + 1] + A[i + 2]


def accumulated(A: int32[10], B: int32[8]):
    for i in range(8):
        for r in range(3):
            B[i] += A[i + r]
        A[i + 1] = A[i + 1] + B[i]


def pointwise(A: int32[8], B: int32[8]):
    for i in range(8):
        B[i] = A[i] * 2


def strides(A: int32[24], B: int32[4]):
    for i in range(4):
        B[i] = A[3 * i] + A[3 * i + 1]


def crossing(A: int32[17], B: int32[8]):
    for i in range(8):
        B[i] = A[i] + A[i + 1] + A[2 * i]


def by_index(A: int32[16], at: int32[8], B: int32[8]):
    for i in range(8):
        B[i] = A[at[i]] + A[at[i]]


def solve(A: int32[6, 6], B: int32[6, 6]):
    for i in range(6):
        for j in range(6):
            for k in range(i + 1, 6):
                B[i, j] += A[k, i] * B[k, j]


def into_data(at: int32[4, 4], out: int32[16]):
    for i in range(4):
        for j in range(4):
            out[at[i, j]] += 1


def calls_inside(A: int32[8], B: int32[4, 8]):
    for i in range(4):
        for j in range(8):
            A[j] = A[j] + B[i, j]
        shift(A)


def local(A: int32[4, 8]) -> int32[4]:
    C: int32[4] = 0
    for i in range(4):
        row: int32[8] = 0
        for j in range(8):
            row[j] = A[i, j]
        for j in range(8):
            C[i] += row[7 - j]
    return C


def rows(A: int32[8, 8]):
    for i in range(8):
        shift(A[i])


def renamed(A: int32[8]) -> int32:
    B = A
    shift(B)
    return B[7]
