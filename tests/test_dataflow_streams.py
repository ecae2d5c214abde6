"""What processes do with streams: blocks, gather and scatter, looking without waiting, order."""

import numpy as np

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Fixed, Stream, Struct, UInt, bool, float32, int8, int32

RNG = np.random.default_rng(1)


def numbers(*shape):
    return RNG.integers(-9, 9, shape).astype(np.int32)


def zeros(*shape):
    return np.zeros(shape, np.int32)


# --- blocks, gather, scatter ----------------------------------------------------------------


@df.region()
def blocks(A: int32[4, 2, 3], B: int32[4, 2, 3]):
    s: Stream[int32[2, 3], 1]
    t: Stream[int32[2, 3], 2]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[4, 2, 3]):
        for i in range(4):
            s.put(a[i] * 2)

    @df.kernel(mapping=[1])
    def pass_on():
        for _ in range(4):
            declared: int32[2, 3] = s.get()
            t.put(declared)

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[4, 2, 3]):
        for i in range(4):
            taken = t.get()
            b[i] = taken + 1


def test_a_stream_of_blocks():
    a, b = numbers(4, 2, 3), zeros(4, 2, 3)
    blocks(a, b)
    np.testing.assert_array_equal(b, a * 2 + 1)
    assert "s: Stream[int32, 6]" in df.customize(blocks).show()


@df.region()
def spread(A: int32[4, 3], B: int32[4, 3]):
    s: Stream[int32, 2][3]
    t0: Stream[int32, 2]
    t1: Stream[int32, 2]
    t2: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def out(a: int32[4, 3]):
        for i in range(4):
            df.scatter(a[i] + 1, s[:])

    @df.kernel(mapping=[3])
    def work():
        p = df.get_pid()
        for _ in range(4):
            with allo.meta_if(p == 0):
                t0.put(s[0].get())
            with allo.meta_elif(p == 1):
                t1.put(s[1].get() * 2)
            with allo.meta_else():
                t2.put(s[2].get() * 3)

    @df.kernel(mapping=[1], args=[B])
    def back(b: int32[4, 3]):
        for i in range(4):
            row: int32[3] = df.gather([t0, t1, t2])
            b[i, :] = row


def test_gather_and_scatter():
    a, b = numbers(4, 3), zeros(4, 3)
    spread(a, b)
    np.testing.assert_array_equal(b, (a + 1) * [1, 2, 3])


@df.region()
def spread_blocks(A: int32[2, 3], B: int32[2, 3]):
    s: Stream[int32[3], 1][2]

    @df.kernel(mapping=[1], args=[A])
    def out(a: int32[2, 3]):
        df.scatter(a, s[::-1])

    @df.kernel(mapping=[1], args=[B])
    def back(b: int32[2, 3]):
        b[:, :] = df.gather(s[:])


def test_gather_and_scatter_of_blocks():
    a, b = numbers(2, 3), zeros(2, 3)
    spread_blocks(a, b)
    np.testing.assert_array_equal(b, a[::-1])


# --- looking without waiting ----------------------------------------------------------------


@df.region()
def without_waiting(A: int32[8], B: int32[8], seen: int32[3]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A, seen])
    def produce(a: int32[8], flags: int32[3]):
        i: int32 = 0
        while i < 8:
            if s.full():
                flags[0] = 1
            elif s.try_put(a[i]):
                i += 1

    @df.kernel(mapping=[1], args=[B, seen])
    def consume(b: int32[8], flags: int32[3]):
        n: int32 = 0
        while n < 8:
            first, there = s.peek()
            x, ok = s.try_get()
            if ok:
                b[n] = x
                flags[1] = flags[1] + (first == x and there)
                n += 1
        flags[2] = s.empty()


def test_looking_without_waiting():
    a, b, seen = numbers(8), zeros(8), zeros(3)
    without_waiting(a, b, seen)
    np.testing.assert_array_equal(b, a)
    assert seen[0] == 1
    assert seen[1] >= 4
    assert seen[2] == 1


Item = Struct({"value": float32, "last": UInt(1)})


@df.region()
def until_the_last(A: float32[8], B: float32[8], n: int32):
    s: Stream[Item, 2]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: float32[8]):
        for i in range(n):
            s.put({"value": a[i] * 2.0, "last": i == n - 1})

    @df.kernel(mapping=[1], args=[B])
    def consume(b: float32[8]):
        going: bool = 1
        i: int32 = 0
        while going:
            item = s.get()
            b[i] = item["value"]
            going = not item["last"]
            i += 1


def test_the_end_of_a_stream_is_a_field():
    a, b = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    until_the_last(a, b, 5)
    np.testing.assert_array_equal(b, [0, 2, 4, 6, 8, 0, 0, 0])


# --- expressions ----------------------------------------------------------------------------


@df.region()
def everywhere(B: int32[10]):
    s: Stream[int32, 32]

    @df.kernel(mapping=[1])
    def produce():
        for i in range(32):
            s.put(i)

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[10]):
        b[0] = s.get() - s.get()
        b[1] += s.get() * 10
        b[s.get()] = s.get()
        b[4] = s.get() if b[0] > 0 else 7
        b[5] = b[0] > 0 and s.get() > 0
        b[6] = 0 < s.get() < s.get() < s.get()
        for _ in range(s.get()):
            s.get()
        b[7] = max(s.get(), s.get())
        x: int32 = s.get()
        x -= s.get()
        b[8] = -x
        while s.get() != 30:
            pass
        b[9] = s.get()


def test_a_value_is_taken_once_and_in_order():
    b = zeros(10)
    everywhere(b)
    # 0 1 | 2 | 3 (subscript after value) ... as Python evaluates them.
    values = iter(range(32))

    def get():
        return next(values)

    want = [0] * 10
    want[0] = get() - get()
    want[1] += get() * 10
    value = get()
    want[get()] = value
    want[4] = 7
    want[5] = 0
    want[6] = 0 < get() < get() < get()
    for _ in range(get()):
        get()
    want[7] = max(get(), get())
    x = get()
    x -= get()
    want[8] = -x
    while get() != 30:
        pass
    want[9] = get()
    np.testing.assert_array_equal(b, want)


@df.region()
def converted(A: int32[4], B: int8[4], C: float32[4]):
    s: Stream[int8, 4]
    t: Stream[Fixed(16, 4), 4]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[4]):
        for i in range(4):
            s.put(a[i])
            t.put(a[i] / 2.0)

    @df.kernel(mapping=[1], args=[B, C])
    def consume(b: int8[4], c: float32[4]):
        for i in range(4):
            b[i] = s.get()
            c[i] = t.get()


def test_what_is_put_is_converted():
    a, b, c = np.array([1, 200, -3, 300], np.int32), np.zeros(4, np.int8), np.zeros(4, np.float32)
    converted(a, b, c)
    np.testing.assert_array_equal(b, a.astype(np.int8))
    np.testing.assert_array_equal(c, a / 2)
