"""Small regions of every shape: chains, forks, feedback, arrays of kernels."""

from dataflow_designs import stages as four_stages
from systolic_designs import K, M, N, output_stationary, tiled, weight_stationary
from systolic_designs import down_and_up as daisy_chain
from test_dataflow import add_then_copy, numbers, some_do_nothing, two_levels, with_calls

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32

__all__ = [
    "K", "M", "N", "add_then_copy", "daisy_chain", "four_stages", "numbers", "output_stationary",
    "some_do_nothing", "tiled", "two_levels", "weight_stationary", "with_calls",
]  # fmt: skip


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
