"""Rows about regions and their streams."""
# ruff: noqa: SIM113 - kernels count by themselves

import numpy as np

import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int16, int32

from .rows import row

ONES = np.arange(1, 9, dtype=np.int32)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int32)


@row("Streams", "put and get", ONES, zeros(8), leaves={1: ONES * 10})
@df.region()
def put_and_get(A: int32[8], B: int32[8]):
    """The kernels of a region run at once and talk through streams, FIFOs of a depth. `put` waits
    while there is no room, `get` while there is no value."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        for i in range(8):
            s.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[8]):
        for i in range(8):
            b[i] = s.get() * 10


@row("Streams", "try_put and try_get", ONES, zeros(8), leaves={1: ONES})
@df.region()
def without_waiting(A: int32[8], B: int32[8]):
    """`try_put` appends a value if there is room, and says whether there was. `try_get` takes one
    if there is one, and gives it, or 0, and whether there was one."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        i: int32 = 0
        while i < 8:
            if s.try_put(a[i]):
                i += 1

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[8]):
        i: int32 = 0
        while i < 8:
            x, there = s.try_get()
            if there:
                b[i] = x
                i += 1


@row("Streams", "peek, empty and full", ONES, zeros(2), leaves={1: np.array([10, 26])})
@df.region()
def looked_at(A: int32[8], B: int32[2]):
    """`peek` is like `try_get` and takes nothing. `empty` is for the reader of a stream, `full` for
    its writer."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        i: int32 = 0
        while i < 8:
            if not s.full():
                s.put(a[i])
                i += 1

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[2]):
        for _ in range(8):
            while s.empty():
                pass
            x, there = s.peek()
            half: int32 = 1 if there and x > 4 else 0
            b[half] += s.get()


@row("Streams", "close and for", ONES, 5, zeros(8),
     leaves={2: np.array([1, 4, 9, 16, 25, 0, 0, 0])})  # fmt: skip
@df.region()
def until_closed(A: int32[8], n: int32, B: int32[8]):
    """`close` puts the end behind the values, once there is room; nothing may be put after it.
    `for` takes one value after the other up to the end, and that too."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        for i in range(n):
            s.put(a[i])
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[8]):
        i: int32 = 0
        for x in s:
            b[i] = x * x
            i += 1


@row("Streams", "ended", ONES, 3, zeros(2), leaves={2: np.array([6, 1])})
@df.region()
def until_ended(A: int32[8], n: int32, B: int32[2]):
    """`ended` says, without waiting, whether the end is what comes next, or was found before. The
    end is no value: `try_get` and `peek` find nothing there, and `empty` says 1."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        for i in range(n):
            s.put(a[i])
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[2]):
        total: int32 = 0
        while not s.ended():
            x, _ = s.try_get()
            total += x
        b[0] = total
        b[1] = s.empty()


@row("Streams", "Blocks", ONES.reshape(4, 2), zeros(4, 2),
     leaves={1: np.array([[2, 1], [4, 3], [6, 5], [8, 7]])})  # fmt: skip
@df.region()
def blocks(A: int32[4, 2], B: int32[4, 2]):
    """A stream of arrays: each is put and got as a whole, and all else, the end too, is about whole
    ones. Its depth counts them."""
    s: Stream[int32[2], 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[4, 2]):
        for i in range(4):
            s.put(a[i])
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[4, 2]):
        i: int32 = 0
        while not s.ended():
            x, there = s.try_get()
            if there:
                b[i, 0] = x[1]
                b[i, 1] = x[0]
                i += 1


@row("Streams", "Arrays of streams", ONES, zeros(8), leaves={1: ONES + 3})
@df.region()
def chain(A: int32[8], B: int32[8]):
    """Which stream is meant must be known before the kernel runs: by numbers, `df.get_pid`, a
    `ConstExpr` or the variable of a `meta_for`."""
    s: Stream[int32, 2][4]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        for i in range(8):
            s[0].put(a[i])
        s[0].close()

    @df.kernel(mapping=[3])
    def stage():
        p = df.get_pid()
        for x in s[p]:
            s[p + 1].put(x + 1)
        s[p + 1].close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[8]):
        i: int32 = 0
        for x in s[3]:
            b[i] = x
            i += 1


@row("Streams", "gather and scatter", np.array([4, 5, 6], np.int16), np.zeros(3, np.int16),
     leaves={1: np.array([8, 10, 12])})  # fmt: skip
@df.region()
def spread(A: int16[3], B: int16[3]):
    """`df.scatter(buffer, streams)` puts an element to each, `df.gather(streams)` gets one of
    each."""
    s: Stream[int16, 1][3]
    t: Stream[int16, 1][3]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int16[3]):
        df.scatter(a, s[:])

    @df.kernel(mapping=[3])
    def double():
        p = df.get_pid()
        t[p].put(s[p].get() * 2)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int16[3]):
        b[:] = df.gather(t[:])


def send(x: int32, last: int32, s: Stream[int32, 2]):
    s.put(x)
    if last:
        s.close()


def total(s: Stream[int32, 2]) -> int32:
    t: int32 = 0
    for x in s:
        t += x
    return t


@row("Streams", "Streams as arguments", ONES, zeros(1), leaves={1: np.array([36])})
@df.region()
def passed_on(A: int32[8], B: int32[1]):
    """A kernel may be given a stream, of exactly its type: what it does with it, the one that calls
    it does. That one knows afterwards what it has found of the end."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[8]):
        for i in range(8):
            send(a[i], i == 7, s)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[1]):
        b[0] = total(s)
        assert s.ended()
