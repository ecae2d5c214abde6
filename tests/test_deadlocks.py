"""Designs that wait for themselves: each is explained at once, and none hangs."""

import time
from dataclasses import replace

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock
from allo_rtl.ir.rewrite import retype, walk
from allo_rtl.ir.types import Stream, StreamType, int32

N = 8


def run(region):
    """The error that running a region on arrays of N numbers raises, without its places."""
    module = df.build(region)
    arrays = [np.zeros(N, np.int32) for _ in module.module.top_func.args]
    started = time.process_time()
    with pytest.raises(Deadlock) as caught:
        module(*arrays)
    assert time.process_time() - started < 1
    return caught.value


@df.region()
def too_few(B: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        for i in range(N - 1):
            s.put(i)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(N):
            b[i] = s.get()


@df.region()
def too_many(B: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        for i in range(N):
            s.put(i)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(4):
            b[i] = s.get()


@df.region()
def both_read_first(A: int32[N], B: int32[N]):
    s: Stream[int32, 2]
    t: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def left(a: int32[N]):
        for i in range(N):
            a[i] = t.get()
            s.put(i)

    @df.kernel(mapping=[1], args=[B])
    def right(b: int32[N]):
        for i in range(N):
            b[i] = s.get()
            t.put(i)


@df.region()
def both_write_first(A: int32[N], B: int32[N]):
    s: Stream[int32, 2]
    t: Stream[int32, 3]

    @df.kernel(mapping=[1], args=[A])
    def left(a: int32[N]):
        for i in range(N):
            s.put(i)
        for i in range(N):
            a[i] = t.get()

    @df.kernel(mapping=[1], args=[B])
    def right(b: int32[N]):
        for i in range(N):
            t.put(i)
        for i in range(N):
            b[i] = s.get()


@df.region()
def other_order(B: int32[N]):
    s: Stream[int32, 2]
    t: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        for i in range(4):
            s.put(i)
        for i in range(4):
            t.put(i)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(4):
            b[i] = t.get()
        for i in range(4):
            b[i + 4] = s.get()


@df.region()
def fork_and_join(B: int32[N]):
    short: Stream[int32, 2]
    long: Stream[int32, 2]
    back: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def fork():
        for i in range(N):
            short.put(i)
            long.put(i)

    @df.kernel(mapping=[1])
    def collect():
        total: int32 = 0
        for _ in range(N):
            total += long.get()
        back.put(total)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[N]):
        total: int32 = back.get()
        for i in range(N):
            b[i] = short.get() + total


@df.region()
def ring_without_a_token(B: int32[N]):
    ring: Stream[int32, 2][3]

    @df.kernel(mapping=[3], args=[B])
    def node(b: int32[N]):
        p = df.get_pid()
        for i in range(N):
            x: int32 = ring[p].get()
            ring[(p + 1) % 3].put(x + 1)
            b[i] = x


@df.region()
def ring_with_too_many_tokens(B: int32[N]):
    ring: Stream[int32, 1][3]

    @df.kernel(mapping=[3], args=[B])
    def node(b: int32[N]):
        p = df.get_pid()
        ring[(p + 1) % 3].put(p)
        for i in range(N):
            ring[(p + 1) % 3].put(i)
            x: int32 = ring[p].get()
            with allo.meta_if(p == 0):
                b[i] = x


@df.region()
def there_before_back(B: int32[N]):
    there: Stream[int32, 2]
    back: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B])
    def drive(b: int32[N]):
        for i in range(N):
            there.put(i)
        for i in range(N):
            b[i] = back.get()

    @df.kernel(mapping=[1])
    def echo():
        for _ in range(N):
            back.put(there.get())


@df.region()
def nothing_to_start_with(B: int32[N]):
    s: Stream[int32, 4]
    t: Stream[int32, 4]
    out: Stream[int32, 4]

    @df.kernel(mapping=[1])
    def add():
        for _ in range(N):
            x: int32 = t.get()
            s.put(x + 1)
            out.put(x)

    @df.kernel(mapping=[1])
    def delay():
        for _ in range(N):
            t.put(s.get())

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(N):
            b[i] = out.get()


@df.region()
def only_when_odd(B: int32[N]):
    s: Stream[int32, 4]

    @df.kernel(mapping=[1])
    def give():
        for i in range(N):
            if i % 2 == 1:
                s.put(i)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(N):
            b[i] = s.get()


@df.region()
def half_a_block(B: int32[N]):
    s: Stream[int32, 4]
    t: Stream[int32[4], 1]

    @df.kernel(mapping=[1])
    def give():
        for i in range(6):
            s.put(i)

    @df.kernel(mapping=[1])
    def pack():
        for _ in range(2):
            block: int32[4]
            for j in range(4):
                block[j] = s.get()
            t.put(block)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(2):
            b[i * 4 : i * 4 + 4] = t.get()


@df.region()
def chain_of_four(B: int32[N]):
    s: Stream[int32, 2][3]

    @df.kernel(mapping=[4], args=[B])
    def stage(b: int32[N]):
        p = df.get_pid()
        with allo.meta_if(p == 0):
            for i in range(N - 2):
                s[0].put(i)
        with allo.meta_elif(p < 3):
            for _ in range(N):
                s[p].put(s[p - 1].get())
        with allo.meta_else():
            for i in range(N):
                b[i] = s[2].get()


@df.region()
def gather_of_an_empty_one(B: int32[N]):
    s: Stream[int32, 2][4]

    @df.kernel(mapping=[4])
    def give():
        p = df.get_pid()
        with allo.meta_if(p != 2):
            s[p].put(p)
        with allo.meta_else():
            for _ in range(0):
                s[p].put(p)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        b[0:4] = df.gather(s[:])


@df.region()
def scatter_to_one_that_stops(B: int32[N]):
    s: Stream[int32, 1][2]

    @df.kernel(mapping=[1])
    def give():
        x: int32[2] = 1
        for _ in range(N):
            df.scatter(x, s[:])

    @df.kernel(mapping=[2], args=[B])
    def take(b: int32[N]):
        p = df.get_pid()
        for _ in range(N - 4 * p):
            b[p] = s[p].get()


@df.region()
def polls_for_ever(B: int32[N]):
    s: Stream[int32, 1]
    t: Stream[int32, 1]

    @df.kernel(mapping=[1])
    def give():
        x: int32 = t.get()
        s.put(x)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        while s.empty():
            pass
        b[0] = s.get()
        t.put(1)


@df.region()
def tries_for_ever(B: int32[N]):
    s: Stream[int32, 1]

    @df.kernel(mapping=[1])
    def give():
        n: int32 = 0
        while n < N:
            if s.try_put(n):
                n += 1

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(4):
            b[i] = s.get()


@df.region()
def puts_for_ever(B: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        n: int32 = 0
        while n >= 0:
            s.put(n)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        b[0] = s.get()


@df.region()
def inner(X: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        s.put(1)

    @df.kernel(mapping=[1], args=[X])
    def take(x: int32[N]):
        for i in range(2):
            x[i] = s.get()


@df.region()
def in_a_region_inside(B: int32[N]):
    done: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B])
    def work(b: int32[N]):
        inner(b)
        done.put(1)

    @df.kernel(mapping=[1], args=[B])
    def wait(b: int32[N]):
        b[7] = done.get()


@df.region()
def systolic_row_without_a_drain(B: int32[N]):
    s: Stream[int32, 2][4]

    @df.kernel(mapping=[1])
    def feed():
        for i in range(N):
            s[0].put(i)

    @df.kernel(mapping=[3], args=[B])
    def pe(b: int32[N]):
        p = df.get_pid()
        for _ in range(N):
            x: int32 = s[p].get()
            b[p] = b[p] + x
            s[p + 1].put(x)

    @df.kernel(mapping=[1])
    def drain():
        for _ in range(2):
            x: int32 = s[3].get()
            print(x)


CASES = [
    (
        too_few,
        "take_0 waits for a value from s, which is empty, and give_0 has ended",
        "",
    ),
    (
        too_many,
        "give_0 waits for room in s, which is full (depth 2), and take_0 has ended",
        "s 4",
    ),
    (
        both_read_first,
        "left_0 waits for a value from t, which is empty; right_0 waits for a value from "
        "s, which is empty",
        "",
    ),
    (
        both_write_first,
        "left_0 waits for room in s, which is full (depth 2); right_0 waits for room in "
        "t, which is full (depth 3)",
        "t 8",
    ),
    (
        other_order,
        "give_0 waits for room in s, which is full (depth 2); take_0 waits for a value "
        "from t, which is empty",
        "s 4",
    ),
    (
        fork_and_join,
        "fork_0 waits for room in short, which is full (depth 2); join_0 waits for a "
        "value from back, which is empty; collect_0 waits for a value from long, which is "
        "empty",
        "short 8",
    ),
    (
        ring_without_a_token,
        "node_0 waits for a value from ring_0, which is empty; node_2 waits for a value "
        "from ring_2, which is empty; node_1 waits for a value from ring_1, which is "
        "empty",
        "",
    ),
    (
        ring_with_too_many_tokens,
        "node_0 waits for room in ring_1, which is full (depth 1); node_1 waits for room "
        "in ring_2, which is full (depth 1); node_2 waits for room in ring_0, which is "
        "full (depth 1)",
        "ring_2 2",
    ),
    (
        there_before_back,
        "drive_0 waits for room in there, which is full (depth 2); echo_0 waits for room in "
        "back, which is full (depth 1)",
        "back 5",
    ),
    (
        nothing_to_start_with,
        "add_0 waits for a value from t, which is empty; delay_0 waits for a value from s, which "
        "is empty; 1 other waits because of that",
        "",
    ),
    (
        only_when_odd,
        "take_0 waits for a value from s, which is empty, and give_0 has ended",
        "",
    ),
    (
        half_a_block,
        "take_0 waits for a value from t, which is empty; pack_0 waits for a value from "
        "s, which is empty, and give_0 has ended",
        "",
    ),
    (
        chain_of_four,
        "stage_3 waits for a value from s_2, which is empty; stage_2 waits for a value "
        "from s_1, which is empty; stage_1 waits for a value from s_0, which is empty, "
        "and stage_0 has ended",
        "",
    ),
    (
        gather_of_an_empty_one,
        "take_0 waits for a value from s_2, which is empty, and give_2 has ended",
        "",
    ),
    (
        scatter_to_one_that_stops,
        "take_0 waits for a value from s_0, which is empty; give_0 waits for room in s_1, "
        "which is full (depth 1), and take_1 has ended",
        "s_1 4",
    ),
    (
        polls_for_ever,
        "give_0 waits for a value from t, which is empty; take_0 looks at streams in vain",
        "",
    ),
    (
        tries_for_ever,
        "give_0 looks at streams in vain",
        "",
    ),
    (
        puts_for_ever,
        "give_0 waits for room in s, which is full (depth 2), and take_0 has ended",
        "",
    ),
    (
        in_a_region_inside,
        "wait_0 waits for a value from done, which is empty; take_0 waits for a value "
        "from s, which is empty, and give_0 has ended",
        "",
    ),
    (
        systolic_row_without_a_drain,
        "pe_1 waits for room in s_2, which is full (depth 2); pe_2 waits for room in s_3, "
        "which is full (depth 2), and drain_0 has ended",
        "s_3 6",
    ),
]
"""Each design, what is said of it, and the depths that would help."""


def test_there_are_twenty() -> None:
    assert len({region for region, _, _ in CASES}) == 20


@pytest.mark.parametrize(("region", "message", "depths"), CASES, ids=[c[0].__name__ for c in CASES])
def test_a_deadlock_is_explained(region, message, depths, capsys):
    error = run(region)
    assert error.message == f"deadlock: {message}"
    assert error.hint == (f"with these depths it would not wait: {depths}" if depths else None)


@pytest.mark.parametrize(("region", "message", "depths"), [c for c in CASES if c[2]])
def test_the_depths_that_are_named_help(region, message, depths, capsys):
    schedule = df.customize(region)
    numbers = dict(pair.split(" ") for pair in depths.split(", "))
    funcs = []
    for func in schedule.module.funcs:
        values = {v for op in walk(func.body) for v in (*op.results(), *op.operands())}
        streams = [v for v in (*func.args, *values) if v.name in numbers]
        deeper = {v: StreamType(v.type.element, int(numbers[v.name])) for v in streams}
        funcs.append(retype(func, deeper))
    module = replace(schedule.module, funcs=tuple(funcs))
    df.build(module)(*(np.zeros(N, np.int32) for _ in module.top_func.args))


def test_who_looks_in_vain_is_shown_with_a_line():
    cases = ((polls_for_ever, "while s.empty():"), (tries_for_ever, "if s.try_put(n):"))
    for region, line in cases:
        (*_, (note, loc)) = run(region).notes
        assert note.endswith("looks here")
        assert loc.text.strip() == line


def test_places_are_those_of_the_source():
    error = run(both_write_first)
    lines = [loc.text.strip() for _, loc in error.notes]
    assert lines == ["s.put(i)", "t.put(i)"]
    assert [loc.file for _, loc in error.notes] == [__file__] * 2
    assert str(error).splitlines()[1:3] == [
        f"  note: {error.notes[0][1]}: left_0 waits for room in s, which is full (depth 2)",
        f"{error.notes[0][1].line:>5} |             s.put(i)",
    ]
