"""Blocks are asked for, looked at, and come to an end as a whole, the same on every target."""
# ruff: noqa: SIM113 - kernels count by themselves

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import AssertionFailed, KernelTypeError
from allo_rtl.hls.processes import fifo_shape, made_streams
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Int, Stream, Struct, UInt, float16, int32
from allo_rtl.sim.stalls import Stalls
from allo_rtl.target import device

N, SIZE = 5, 4
TARGETS = ("evaluator", "simulator", "rtl")


def blocks():
    return np.arange(10, 10 + N * SIZE, dtype=np.int32).reshape(N, SIZE)


def zeros():
    return np.zeros((N, SIZE), np.int32)


def first(n):
    """The first ``n`` blocks, and zeros."""
    return np.where(np.arange(N)[:, None] < n, blocks(), 0)


def same_everywhere(region, *args):
    """What a run stores last, checked to be the same on each target."""
    found = []
    for target in TARGETS:
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        df.customize(region, opt_default=True).build(target=target)(*given)
        found.append(given[-1])
    assert all((f == found[0]).all() for f in found)
    return found[0]


@df.region()
def waiting(n: int32, A: int32[N, SIZE], B: int32[N, SIZE]):
    s: Stream[int32[SIZE], 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N, SIZE]):
        for i in range(n):
            s.put(a[i])
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N, SIZE]):
        i: int32 = 0
        for x in s:
            b[i] = x
            i += 1


@pytest.mark.parametrize("n", [0, N])
def test_a_loop_takes_all_blocks_however_many(n):
    assert (same_everywhere(waiting, n, blocks(), zeros()) == first(n)).all()


@df.region()
def looking(n: int32, A: int32[N, SIZE], B: int32[N, SIZE]):
    """Nothing ever waits for a block, or for room for one."""
    s: Stream[int32[SIZE], 1]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N, SIZE]):
        for i in range(n):
            x: int32[SIZE] = a[i]
            waiting: int32 = 1
            while waiting:
                if not s.full() and s.try_put(x):
                    waiting = 0
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N, SIZE]):
        i: int32 = 0
        while not s.ended():
            if not s.empty():
                seen, there = s.peek()
                x, ok = s.try_get()
                for k in range(SIZE):
                    if there and ok:
                        b[i, k] = x[k] + seen[SIZE - 1 - k] - seen[SIZE - 1 - k]
                i += 1
        y, late = s.try_get()
        z, later = s.peek()
        if late or later or y[0] != 0 or z[SIZE - 1] != 0:
            b[N - 1] = 77


@pytest.mark.parametrize("n", [0, 3])
def test_blocks_are_looked_at_put_and_taken_without_waiting(n):
    assert (same_everywhere(looking, n, blocks(), zeros()) == first(n)).all()


@df.region()
def mirrored(A: int32[N, SIZE], B: int32[N, SIZE]):
    """Each block is put when there is room, and seen backward before it is taken."""
    s: Stream[int32[2, SIZE // 2], 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N, SIZE]):
        for i in range(N):
            x: int32[2, SIZE // 2] = 0
            for p, q in allo.grid(2, SIZE // 2):
                x[p, q] = a[i, 2 * p + q]
            there: int32 = 0
            while not there:
                there = s.try_put(x)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N, SIZE]):
        i: int32 = 0
        while i < N:
            x, there = s.peek()
            if there:
                for p, q in allo.grid(2, SIZE // 2):
                    b[i, SIZE - 1 - 2 * p - q] = x[p, q]
                s.get()
                i += 1


def test_all_of_a_block_is_seen_before_it_is_taken():
    assert (same_everywhere(mirrored, blocks(), zeros()) == blocks()[:, ::-1]).all()


@df.region()
def merged(A: int32[2, N, SIZE], B: int32[2, SIZE], C: int32[3]):
    """Whichever of two streams has a block is served; what comes out is the same in any order."""
    s: Stream[int32[SIZE], 2][2]

    @df.kernel(mapping=[2], args=[A])
    def give(a: int32[2, N, SIZE]):
        p = df.get_pid()
        for i in range(N - p):
            s[p].put(a[p, i])
        s[p].close()

    @df.kernel(mapping=[1], args=[B, C])
    def take(b: int32[2, SIZE], c: int32[3]):
        total: int32[2, SIZE] = 0
        count: int32 = 0
        while not (s[0].ended() and s[1].ended()):
            with allo.meta_for(2) as p:
                x, ok = s[p].try_get()
                if ok:
                    total[p] += x
                    count += 1
        b[:, :] = total
        c[0] = count


def test_arrays_of_streams_carry_blocks_that_may_not_be_there():
    a = np.stack([blocks(), 100 * blocks()])
    expected = np.stack([a[0].sum(0), a[1, :-1].sum(0)])
    for target in TARGETS:
        b, c = np.zeros((2, SIZE), np.int32), np.zeros(3, np.int32)
        df.customize(merged, opt_default=True).build(target=target)(a, b, c)
        assert (b == expected).all()
        assert c[0] == 2 * N - 1


@df.region()
def hasty(B: int32[2]):
    s: Stream[int32[SIZE], 2]

    @df.kernel(mapping=[1])
    def give():
        x: int32[SIZE]
        s.put(x)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[2]):
        while not b[0]:
            _, b[0] = s.try_get()


def test_blocks_come_and_go_at_random():
    s = df.customize(mirrored, opt_default=True)
    s.interface("A", "stream")
    rtl = s.build(target="rtl")
    for seed in range(6):
        rtl.stalls = Stalls(seed=seed, percent=60)
        b = zeros()
        rtl(blocks(), b)
        assert (b == blocks()[:, ::-1]).all()


@pytest.mark.parametrize(
    "element", [Int(7), UInt(1), float16, Struct({"x": Int(5), "y": UInt(3)})], ids=str
)
def test_blocks_of_every_type_may_be_missing(element):
    @df.region()
    def late(B: int32[4]):
        s: Stream[element[2], 1]

        @df.kernel(mapping=[1])
        def give():
            x: element[2]
            s.put(x)
            s.close()

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[4]):
            for _ in s:
                b[0] += 1
            _, ok = s.try_get()
            b[1] = ok
            b[2] = s.ended()

    for target in ("evaluator", "simulator"):
        b = np.zeros(4, np.int32)
        df.build(late, target=target)(b)
        assert b.tolist() == [1, 0, 1, 0]


# What is refused


@pytest.mark.parametrize("target", TARGETS)
def test_a_block_behind_the_end_ends_the_run(target):
    @df.region()
    def wrong(B: int32[2]):
        s: Stream[int32[2], 4]

        @df.kernel(mapping=[1], args=[B])
        def give(b: int32[2]):
            s.close()
            s.put(b)

        @df.kernel(mapping=[1])
        def take():
            for _ in s:
                pass

    with pytest.raises(AssertionFailed, match="nothing is put to 's' once it is closed"):
        df.build(wrong, target=target)(np.zeros(2, np.int32))


def test_another_block_than_the_stream_carries_is_refused():
    @df.region()
    def wrong(B: int32[3]):
        s: Stream[int32[2], 4]

        @df.kernel(mapping=[1], args=[B])
        def give(b: int32[3]):
            while not s.try_put(b):
                pass

        @df.kernel(mapping=[1])
        def take():
            s.get()

    with pytest.raises(KernelTypeError, match=r"'b' is int32\[3\], and the stream carries int32"):
        df.customize(wrong)


# What it is made of


def test_the_text_of_a_module_says_what_is_looked_for():
    text = str(df.customize(looking).module)
    assert "count = 4" in text
    assert str(parse_module(text)) == text


def fifo_of(region):
    """The one FIFO of a region, and how it is made."""
    design = df.build(region, target="rtl").design
    (stream,) = made_streams(design.top.control.func)
    return stream, design.fifo(stream)


def test_only_a_block_that_is_looked_into_needs_a_window():
    shapes = [fifo_of(region)[1] for region in (waiting, hasty, mirrored)]
    assert [(s.block, s.window) for s in shapes] == [(1, False), (SIZE, False), (SIZE, True)]


def test_a_fifo_with_a_window_is_no_block_ram():
    stream, _ = fifo_of(mirrored)
    ecp5 = device("ecp5-85")
    assert fifo_shape(stream, ecp5, 1024, (SIZE, True)).storage is StorageKind.LUT_RAM
    assert fifo_shape(stream, ecp5, 1024, (SIZE, False)).storage is StorageKind.RAM
