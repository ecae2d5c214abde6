"""Small regions of every shape: chains, forks, feedback, arrays of kernels."""

from dataflow_designs import stages as four_stages
from systolic_designs import down_and_up as daisy_chain
from systolic_designs import weight_stationary
from test_dataflow import add_then_copy, numbers, some_do_nothing, two_levels, with_calls

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32

__all__ = [
    "add_then_copy", "daisy_chain", "four_stages", "numbers", "some_do_nothing", "two_levels",
    "weight_stationary", "with_calls",
]  # fmt: skip

M, N, K = 3, 4, 5


@df.region()
def fork_and_join(A: int32[12], B: int32[12]):
    left: Stream[int32, 2]
    right: Stream[int32, 2]
    left_out: Stream[int32, 2]
    right_out: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def fork(a: int32[12]):
        for i in range(12):
            left.put(a[i])
            right.put(a[i])

    @df.kernel(mapping=[1])
    def square():
        for _ in range(12):
            x = left.get()
            left_out.put(x * x)

    @df.kernel(mapping=[1])
    def twice():
        for _ in range(12):
            right_out.put(right.get() * 2)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[12]):
        for i in range(12):
            b[i] = left_out.get() - right_out.get()


@df.region()
def running_sum(A: int32[10], B: int32[10]):
    back: Stream[int32, 2]
    forth: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A, B])
    def add(a: int32[10], b: int32[10]):
        for i in range(10):
            b[i] = a[i] + back.get()
            forth.put(b[i])

    @df.kernel(mapping=[1])
    def keep():
        back.put(100)  # The token that the circle starts with.
        for _ in range(9):
            back.put(forth.get())
        forth.get()


@df.region()
def matrix_vector(A: int32[M, K], X: int32[K], Y: int32[M]):
    x: Stream[int32, 1][M + 1]

    @df.kernel(mapping=[1], args=[X])
    def feed(v: int32[K]):
        for k in range(K):
            x[0].put(v[k])

    @df.kernel(mapping=[M], args=[A, Y])
    def pe(a: int32[M, K], y: int32[M]):
        i = df.get_pid()
        total: int32 = 0
        for k in range(K):
            v = x[i].get()
            total += a[i, k] * v
            with allo.meta_if(i < M - 1):
                x[i + 1].put(v)
        y[i] = total


@df.region()
def output_stationary(A: int32[M, K], B: int32[K, N], C: int32[M, N]):
    rows: Stream[int32, 2][M, N]
    columns: Stream[int32, 2][M, N]

    @df.kernel(mapping=[M], args=[A])
    def load_a(a: int32[M, K]):
        i = df.get_pid()
        for k in range(K):
            rows[i, 0].put(a[i, k])

    @df.kernel(mapping=[N], args=[B])
    def load_b(b: int32[K, N]):
        j = df.get_pid()
        for k in range(K):
            columns[0, j].put(b[k, j])

    @df.kernel(mapping=[M, N], args=[C])
    def pe(c: int32[M, N]):
        i, j = df.get_pid()
        total: int32 = 0
        for _ in range(K):
            x = rows[i, j].get()
            y = columns[i, j].get()
            total += x * y
            with allo.meta_if(j < N - 1):
                rows[i, j + 1].put(x)
            with allo.meta_if(i < M - 1):
                columns[i + 1, j].put(y)
        c[i, j] = total


@df.region()
def tiled(A: int32[4, 6], B: int32[6, 4], C: int32[4, 4]):
    rows: Stream[int32, 4][2, 2]
    columns: Stream[int32, 4][2, 2]

    @df.kernel(mapping=[2], args=[A])
    def load_a(a: int32[4, 6]):
        i = df.get_pid()
        for ti, _, k in allo.grid(2, 2, 6):
            rows[i, 0].put(a[ti * 2 + i, k])

    @df.kernel(mapping=[2], args=[B])
    def load_b(b: int32[6, 4]):
        j = df.get_pid()
        for _, tj, k in allo.grid(2, 2, 6):
            columns[0, j].put(b[k, tj * 2 + j])

    @df.kernel(mapping=[2, 2], args=[C])
    def pe(c: int32[4, 4]):
        i, j = df.get_pid()
        for ti, tj in allo.grid(2, 2):
            total: int32 = 0
            for _ in range(6):
                x = rows[i, j].get()
                y = columns[i, j].get()
                total += x * y
                with allo.meta_if(j == 0):
                    rows[i, 1].put(x)
                with allo.meta_if(i == 0):
                    columns[1, j].put(y)
            c[ti * 2 + i, tj * 2 + j] = total


@df.region()
def convolution(A: int32[12], W: int32[3], B: int32[10]):
    x: Stream[int32, 4][3]
    y: Stream[int32, 2][3]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[12]):
        for i in range(12):
            x[0].put(a[i])

    @df.kernel(mapping=[3], args=[W])
    def tap(w: int32[3]):
        p = df.get_pid()
        for i in range(12):
            v: int32 = x[p].get()
            with allo.meta_if(p < 2):
                x[p + 1].put(v)
            if i >= p and i < 10 + p:
                total: int32 = v * w[p]
                with allo.meta_if(p > 0):
                    total += y[p - 1].get()
                y[p].put(total)

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[10]):
        for i in range(10):
            b[i] = y[2].get()
