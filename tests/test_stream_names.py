"""Streams that are called alike are streams of their own in hardware."""

import agreement
import numpy as np

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int16, int32


@df.region()
def elements(A: int32[4], B: int32[4]):
    s: Stream[int32, 2][2]
    s_0: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def p(a: int32[4]):
        for i in range(4):
            s[0].put(a[i])
            s[1].put(a[i] * 2)
            s_0.put(a[i] * 3)

    @df.kernel(mapping=[1], args=[B])
    def q(b: int32[4]):
        for i in range(4):
            b[i] = s[0].get() - 10 * s[1].get() + 100 * s_0.get()


def diamond(A: int32[6, 5], B: int32[6, 5]):
    for t in range(6):
        X: int32[5]
        W: int32[5]
        Y: int32[5]
        Z: int32[5]
        for i in allo.grid(5, name="load"):
            X[i] = A[t, i]
            W[4 - i] = A[t, i] + t
        for j in allo.grid(5, name="p"):
            Y[j] = X[4 - j] * 3
        for k in allo.grid(5, name="q"):
            Z[k] = W[k] - 1
        for n in allo.grid(5, name="store"):
            B[t, n] = Y[n] + Z[4 - n]


def two_readers(A: int16[5, 7], B: int16[5, 7]):
    for t in range(5):
        X: int16[7]
        Y: int16[7]
        for i in allo.grid(7, name="load"):
            X[i] = A[t, i]
        for j in allo.grid(7, name="work"):
            Y[j] = X[6 - j] * 3
        for k in allo.grid(7, name="store"):
            B[t, k] = Y[k] + X[k]


def fork_and_join(A: int32[6], B: int32[6]):
    X: int32[6]
    Y: int32[6]
    P: int32[6]
    Q: int32[6]
    for i in allo.grid(6, name="f"):
        X[i] = A[i]
        Y[5 - i] = A[i] + 1
    for j in allo.grid(6, name="p"):
        P[j] = X[5 - j] * 3
    for k in allo.grid(6, name="q"):
        Q[k] = Y[k] - 1
    for m in allo.grid(6, name="j"):
        B[m] = P[m] + Q[5 - m]


def test_an_element_and_a_stream_of_its_name():
    a = np.arange(4, dtype=np.int32)
    b = np.zeros(4, np.int32)
    df.build(elements, target="rtl")(a, b)
    assert (b == a - 20 * a + 300 * a).all()


def test_buffers_that_end_in_one_task():
    for kernel in (diamond, two_readers, fork_and_join):
        s = allo.customize(kernel)
        s.dataflow(kernel.__name__ if kernel is fork_and_join else "t")
        agreement.check(s, original=allo.customize(kernel).module)
