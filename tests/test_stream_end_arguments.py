"""Streams with an end are given to other kernels, which go on from what is known of the end."""
# ruff: noqa: SIM113 - kernels count by themselves

import numpy as np
import pytest

import allo_rtl.dataflow as df
from allo_rtl.errors import AssertionFailed, LanguageError
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Stream, int32

N = 8
TARGETS = ("evaluator", "simulator", "rtl")


def send(x: int32, last: int32, s: Stream[int32, 2]):
    s.put(x)
    if last:
        s.close()


def total(s: Stream[int32, 2], most: int32) -> int32:
    """The sum of what is left, or of so many values."""
    t: int32 = 0
    k: int32 = 0
    for x in s:
        t += x
        k += 1
        if k == most:
            break
    return t


def rest(s: Stream[int32, 2]) -> int32:
    """A kernel that gives the stream to another one."""
    if s.ended():
        return -1
    return total(s, 100)


@df.region()
def inner(n: int32, A: int32[N], C: int32[5]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(n):
            send(a[i], i == n - 1, s)

    @df.kernel(mapping=[1], args=[C])
    def take(c: int32[5]):
        c[0] = total(s, 3)
        c[1] = rest(s)
        c[2] = s.ended()
        c[3] = rest(s=s)
        for x in s:
            c[4] = x


@df.region()
def twice(A: int32[N], C: int32[5], D: int32[5]):
    """The same region in another one, twice: each run has streams of its own."""

    @df.kernel(mapping=[1], args=[A, C, D])
    def run(a: int32[N], c: int32[5], d: int32[5]):
        inner(5, a, c)
        inner(4, a, d)


@pytest.mark.parametrize("target", TARGETS)
def test_each_kernel_goes_on_where_the_other_stopped(target):
    a = np.arange(1, N + 1, dtype=np.int32)
    c, d = np.zeros(5, np.int32), np.zeros(5, np.int32)
    df.build(twice, target=target)(a, c, d)
    assert c.tolist() == [6, 9, 1, -1, 0]
    assert d.tolist() == [6, 4, 1, -1, 0]


@df.region()
def some_closed(C: int32[3]):
    """One kernel, for streams with an end and without; of an array of streams, and of blocks."""
    s: Stream[int32, 2]
    t: Stream[int32, 2][2]
    u: Stream[int32[2], 2]

    def give(n: int32, r: Stream[int32, 2]):
        for i in range(n):
            r.put(i)

    @df.kernel(mapping=[1])
    def all_of_them():
        def end(r: Stream[int32[2], 2]):
            x: int32[2] = 7
            r.put(x)
            r.close()

        give(3, s)
        give(2, t[1])
        t[1].close()
        end(u)

    @df.kernel(mapping=[1], args=[C])
    def take(c: int32[3]):
        for _ in range(3):
            c[0] += s.get()
        for x in t[1]:
            c[1] += x + 1
        for y in u:
            c[2] += y[0] + y[1]


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_kernel_is_for_streams_with_an_end_and_without(target):
    c = np.zeros(3, np.int32)
    df.customize(some_closed, opt_default=True).build(target=target)(c)
    assert c.tolist() == [3, 3, 14]


def test_what_goes_with_the_stream_is_in_the_text_of_a_module():
    text = str(df.customize(twice).module)
    assert str(parse_module(text)) == text


@pytest.mark.parametrize("target", TARGETS)
def test_what_another_kernel_has_closed_is_closed(target):
    @df.region()
    def wrong(B: int32[2]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            send(1, 1, s)
            s.put(2)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[2]):
            for x in s:
                b[0] = x

    with pytest.raises(AssertionFailed, match="nothing is put to 's' once it is closed"):
        df.build(wrong, target=target)(np.zeros(2, np.int32))


def test_what_is_wrong_with_the_arguments_is_said_of_those_that_are_written():
    @df.region()
    def wrong(B: int32[2]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            send(1, 1, s, 1)
            s.close()

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[2]):
            for x in s:
                b[0] = x

    with pytest.raises(LanguageError, match="'send' called with 4 arguments") as caught:
        df.customize(wrong)
    assert "before" not in str(caught.value)
