"""Processes that compute for ever: it is told who does, where, and who waits for them."""

import time

import numpy as np
import pytest

import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock, SimulationError
from allo_rtl.ir.types import Stream, int32

N = 4
TARGETS = ("evaluator", "simulator")


@df.region()
def waited_for(B: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def spin():
        stop: int32 = 0
        n: int32 = 0
        while stop == 0:
            n += 1
        s.put(n)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        b[0] = s.get()


@df.region()
def both(A: int32[N], B: int32[N]):
    @df.kernel(mapping=[1], args=[A])
    def left(a: int32[N]):
        while True:
            a[0] += 1

    @df.kernel(mapping=[1], args=[B])
    def right(b: int32[N]):
        n: int32 = 1
        while n > 0:
            b[0] += n


@df.region()
def many(B: int32[5, N]):
    @df.kernel(mapping=[5], args=[B])
    def spin(b: int32[5, N]):
        p = df.get_pid()
        while True:
            b[p, 0] += 1


@df.region()
def both_look(A: int32[N], B: int32[N]):
    s: Stream[int32, 2]
    t: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def left(a: int32[N]):
        while t.empty():
            pass
        s.put(t.get())

    @df.kernel(mapping=[1], args=[B])
    def right(b: int32[N]):
        while s.empty():
            pass
        t.put(s.get())


@df.region()
def one_looks(A: int32[N], B: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def spin(a: int32[N]):
        stop: int32 = 0
        while stop == 0:
            pass
        s.put(1)

    @df.kernel(mapping=[1], args=[B])
    def look(b: int32[N]):
        there: int32 = 0
        while not there:
            _, there = s.try_get()


FOR_EVER = [
    (waited_for, "take_0 waits for a value from s, which is empty; spin_0 computes for ever, and "
     "touches no stream", ["b[0] = s.get()", "while stop == 0:"]),
    (both, "left_0 and right_0 compute for ever, and touch no stream",
     ["while True:", "while n > 0:"]),
    (many, "spin_0, spin_1 and 3 others compute for ever, and touch no stream",
     ["while True:"] * 3),
    (both_look, "left_0 and right_0 look at streams in vain",
     ["while t.empty():", "while s.empty():"]),
    (one_looks, "look_0 looks at streams in vain; spin_0 computes for ever, and touches no stream",
     ["_, there = s.try_get()", "while stop == 0:"]),
]  # fmt: skip


def stuck(region, target, **options):
    """The error of a run on zeros, which comes within a second of the machine's time."""
    module = df.build(region, target=target, **options)
    arrays = [np.zeros(a.type.shape, np.int32) for a in module.module.top_func.args]
    started = time.process_time()
    with pytest.raises(SimulationError) as caught:
        module(*arrays)
    assert time.process_time() - started < 1
    return caught.value


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("region", "message", "lines"), FOR_EVER, ids=[e[0].__name__ for e in FOR_EVER]
)
def test_who_never_ends_is_named_with_the_line(region, message, lines, target):
    error = stuck(region, target)
    assert isinstance(error, Deadlock)
    assert error.message == f"deadlock: {message}"
    assert [loc.text.strip() for _, loc in error.notes] == lines


@df.region()
def round_and_round(B: int32[N]):
    """Whether this ends does not follow from its text: ``n`` is 1, 3 ... 15, 1 ..."""

    @df.kernel(mapping=[1], args=[B])
    def spin(b: int32[N]):
        n: int32 = 1
        while n != 8:
            n = (n + 2) & 15
        b[0] = n


@df.region()
def collatz(B: int32[N]):
    @df.kernel(mapping=[1], args=[B])
    def count(b: int32[N]):
        n: int32 = 27
        while n != 1:
            n = 3 * n + 1 if n % 2 else n // 2
            for i in range(n):
                b[1] = i
            b[0] += 1


@pytest.mark.parametrize("target", TARGETS)
def test_where_it_is_not_known_it_is_told_after_many_steps(target):
    error = stuck(round_and_round, target, patience=20_000)
    assert not isinstance(error, Deadlock)
    assert "spin_0 has computed for 20,000 steps without touching a stream" in error.message
    assert error.loc.text.strip() == "while n != 8:"
    assert "patience=" in error.hint


@pytest.mark.parametrize("target", TARGETS)
def test_with_more_patience_what_ends_does(target):
    assert "count_0" in stuck(collatz, target, patience=5_000).message
    module = df.build(collatz, target=target, patience=5_000)
    module.patience = 10_000_000
    b = np.zeros(N, np.int32)
    module(b)
    assert b[0] == 111


def test_the_usual_patience_is_a_second_or_so():
    assert "1,000,000,000 steps" in stuck(round_and_round, "simulator").message


@pytest.mark.parametrize("target", TARGETS)
def test_steps_are_counted_from_one_touch_of_a_stream_to_the_next(target):
    """Each process takes many steps in all, and few at a time."""

    @df.region()
    def slow(B: int32[N]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            for _ in range(40):
                n: int32 = 0
                while n < 100:
                    n += 1
                s.put(n)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            for _ in range(40):
                n: int32 = s.get()
                while n > 0:
                    n -= 1
                    b[0] += 1

    b = np.zeros(N, np.int32)
    df.build(slow, target=target, patience=3_000)(b)
    assert b[0] == 4000
