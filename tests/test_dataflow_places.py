"""Streams in every place of an expression: each value is taken once, in Python's order."""

import numpy as np
import pytest
from agreement import random_args
from ir_writer import agree

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import ConstExpr, Int, Stream, UInt, float32, int8, int32

W = np.array([3, 1, 4, 1], np.int32)


def twice(x: int32) -> int32:
    return x * 2


def total(x: int32[4]) -> int32:
    t: int32 = 0
    for i in range(4):
        t += x[i]
    return t


@df.region()
def places(A: int32[40], C: int32[24], B: int32[24], f: float32):
    half: ConstExpr[int32] = 20
    s: Stream[int32, 40]
    b: Stream[int32[4], 6]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[40]):
        for i in range(half * 2):
            s.put(a[i])

    @df.kernel(mapping=[1], args=[C])
    def give_blocks(c: int32[24]):
        for i in range(6):
            b.put(c[i * 4 : i * 4 + 4])

    @df.kernel(mapping=[1], args=[B])
    def take(o: int32[24]):
        p = df.get_pid()
        q: ConstExpr[int32] = p + 3
        t: int32[q]
        x, y = s.get(), s.get()
        o[0] = x - y
        u = v = s.get()
        o[1] = u + v
        o[2] = s.get()[0:3]
        o[3] = s.get().reverse()
        o[4] = twice(s.get())
        o[5] = total(b.get())
        o[6] = b.get()[2]
        o[7:11] = b.get() * W + b.get()
        o[7:11] += b.get()
        o[11] = int8(s.get())
        assert s.get() != 123456, "this number is not there"
        print("passed", s.get())
        for _ in range(4):
            if s.get() < 0:
                break
            o[12] += 1
        n: int32 = 0
        while s.get() > -1000000000 and n < 2:
            n += 1
        o[13] = n
        t[2] = s.get()
        o[14] = t[2]
        if s.get() > 0:
            o[15] = s.get()
        elif s.get() > 0:
            o[16] = s.get()
        o[17] = min(s.get(), s.get(), 5)
        o[18] = -s.get() + abs(s.get())
        o[19] = f if s.get() > 0 else 0
        o[20] = int32(o[0] > 0) + s.get()
        o[21] = total(b.get())

        def local(z: int32) -> int32:
            return z + q

        o[22] = local(s.get())
        o[23] = not s.get()


def expected(a, c, f):
    """The same in Python, on ints that do not wrap; and the lines that are printed."""
    numbers, blocks = iter(a.tolist()), iter(c.reshape(6, 4).astype(object))
    o = [0] * 24

    def get():
        return next(numbers)

    o[0] = get() - get()
    o[1] = 2 * get()
    o[2] = get() & 7
    o[3] = int(f"{get() & 0xFFFFFFFF:032b}"[::-1], 2)
    o[4] = 2 * get()
    o[5] = sum(next(blocks))
    o[6] = next(blocks)[2]
    o[7:11] = list(next(blocks) * W + next(blocks) + next(blocks))
    o[11] = Int(8).wrap(get())
    get()
    lines = [f"passed {get()}"]
    for _ in range(4):
        if get() < 0:
            break
        o[12] += 1
    while get() > -1000000000 and o[13] < 2:
        o[13] += 1
    o[14] = get()
    if get() > 0:
        o[15] = get()
    elif get() > 0:
        o[16] = get()
    o[17] = min(get(), get(), 5)
    o[18] = -get() + abs(get())
    o[19] = int(f) if get() > 0 else 0
    o[20] = int(int32.wrap(o[0]) > 0) + get()
    o[21] = sum(next(blocks))
    o[22] = get() + 3
    o[23] = int(not get())
    return [int32.wrap(int(x)) for x in o], lines


@pytest.mark.parametrize("seed", range(6))
def test_a_stream_in_every_place(seed, capsys):
    random = np.random.default_rng(seed)
    a, c = (random.integers(-(2**31), 2**31, n).astype(np.int32) for n in (40, 24))
    b = np.zeros(24, np.int32)
    df.build(places)(a, c, b, 2.5)
    numbers, lines = expected(a, c, 2.5)
    assert b.tolist() == numbers
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("seed", [0, 2])
def test_in_hardware_too(seed):
    module = legalize(df.customize(places).module)
    args = random_args(module, seed, limits={"f": (0, 2**31 - 2**24)})
    agree(module, args)


# --- kernels that are given streams ---------------------------------------------------------


def send(x: int32[4], s: Stream[int32, 2]):
    for i in range(4):
        s.put(x[i])


@df.region()
def through_kernels(A: int32[4], B: int32[4]):
    s: Stream[int32, 2]
    t: Stream[int32, 2][2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[4]):
        send(a, s)
        send(a, t[1])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[4]):
        def one(u: Stream[int32, 2]) -> int32:
            return u.get() + 1

        for i in range(4):
            b[i] = one(s)
        for i in range(4):
            b[i] += one(t[1])


def test_a_process_passes_streams_on():
    a, b = np.arange(4, dtype=np.int32), np.zeros(4, np.int32)
    through_kernels(a, b)
    np.testing.assert_array_equal(b, 2 * a + 2)
    module = legalize(df.customize(through_kernels).module)
    agree(module, random_args(module))


def test_the_depth_is_part_of_the_type():
    @df.region()
    def region(A: int32[4]):
        s: Stream[int32, 3]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[4]):
            send(a, s)

    with pytest.raises(KernelTypeError) as caught:
        df.customize(region)
    assert caught.value.message == "'s' is Stream[int32, 3], the argument 's' is Stream[int32, 2]"


def test_a_stream_needs_a_region():
    with pytest.raises(LanguageError) as caught:
        allo.customize(send)
    assert caught.value.message == "'send' is given a stream, 's'"


# --- declarations ---------------------------------------------------------------------------


def test_what_python_makes_of_a_declaration():
    assert str(Stream[int32, 4]) == "Stream[int32, 4]"
    assert str(Stream[int32]) == "Stream[int32]"
    assert str(Stream[int32[2, 3], 4][5, 6]) == "Stream[int32[2, 3], 4][5, 6]"
    assert Stream[int32, 4] == Stream(int32, 4)
    assert Stream[int32, 4][2] == Stream(int32, 4, (2,))
    assert Stream[UInt(3)[8], 4].channel.depth == 32


@pytest.mark.parametrize(
    "wrong", [(int32, 0), (int32, 2.5), (3, 2), (int32[...], 2), (int32, 2, 3)]
)
def test_what_is_no_stream(wrong):
    with pytest.raises(ValueError, match="stream"):
        Stream[wrong]


def test_an_array_of_streams_has_extents():
    with pytest.raises(ValueError, match="an array dimension must be an int of 1 or more, not 0"):
        Stream[int32, 2][0]
