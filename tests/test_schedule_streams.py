"""Schedules of processes: what keeps its order because of streams."""

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import IllegalScheduleError
from allo_rtl.ir.types import Stream, int32


@df.region()
def rows(A: int32[4, 8], B: int32[4, 8]):
    s: Stream[int32, 4]

    @df.kernel(mapping=[1], args=[A])
    def src(a: int32[4, 8]):
        for i, j in allo.grid(4, 8):
            s.put(a[i, j])

    @df.kernel(mapping=[1], args=[B])
    def dst(b: int32[4, 8]):
        t: int32[4, 8]
        for i, j in allo.grid(4, 8, name="P"):
            t[i, j] = s.get()
        for i, j in allo.grid(4, 8, name="Q"):
            b[i, j] = t[i, j] + 1


def test_the_order_of_puts_and_gets_stays():
    s = df.customize(rows)
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("src_0:j", "src_0:i")
    assert caught.value.message == (
        "reorder('j', 'i') would change what the kernel computes: iteration (i=1, j=0) would run "
        "before (i=0, j=1), which it must follow"
    )
    with pytest.raises(IllegalScheduleError, match="would run at once"):
        s.parallel("src_0:i")


def test_what_keeps_their_order_is_allowed():
    s = df.customize(rows)
    loops = s.get_loops("dst_0")
    s.compute_at(loops.P.j, loops.Q.j)
    s.split("src_0:i", 2)
    s.fuse("src_0:i.outer", "src_0:i.inner")
    s.unroll("src_0:j")
    s.buffer_at("dst_0:b", "dst_0:i")
    a, b = np.arange(32, dtype=np.int32).reshape(4, 8), np.zeros((4, 8), np.int32)
    s.build()(a, b)
    np.testing.assert_array_equal(b, a + 1)


@df.region()
def two_streams(B: int32[8]):
    s: Stream[int32, 8]
    t: Stream[int32, 8]

    @df.kernel(mapping=[1], args=[B])
    def near(b: int32[8]):
        x: int32[8]
        for i in range(8, name="P"):
            x[i] = i
            s.put(i)
        for i in range(8, name="Q"):
            b[i] = x[i] + t.get()

    @df.kernel(mapping=[1])
    def far():
        total: int32 = 0
        for _ in range(8):
            total += s.get()
        for _ in range(8):
            t.put(total)


def test_two_streams_do_not_change_places():
    s = df.customize(two_streams)
    loops = s.get_loops("near_0")
    with pytest.raises(IllegalScheduleError, match="both loops use streams") as caught:
        s.compute_at(loops.P.i, loops.Q.i)
    lines = [loc.text.strip() for _, loc in caught.value.notes]
    assert lines == ["s.put(i)", "b[i] = x[i] + t.get()"]


@df.region()
def rows_one_by_one(A: int32[4, 8], B: int32[4, 8]):
    done: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[A])
    def write(a: int32[4, 8]):
        for i in range(4):
            for j in range(8):
                a[i, j] += 1
            done.put(i)

    @df.kernel(mapping=[1], args=[A, B])
    def read(a: int32[4, 8], b: int32[4, 8]):
        for i in range(4):
            k: int32 = done.get()
            for j in range(8):
                b[i, j] = a[k, j]


def test_a_shared_array_is_used_when_its_streams_say():
    s = df.customize(rows_one_by_one)
    with pytest.raises(IllegalScheduleError) as caught:
        s.buffer_at("write_0:a", "write_0:i")
    assert caught.value.message == (
        "buffer_at('a', 'i') would use 'a' at another time, and 'read_0' has that array too: "
        "a stream may tell it when"
    )
    s.buffer_at("read_0:b", "read_0:i")  # This one is for read_0 alone.
    a, b = np.zeros((4, 8), np.int32), np.zeros((4, 8), np.int32)
    s.build()(a, b)
    assert (b == 1).all()
