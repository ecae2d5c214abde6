"""The end of a stream: ``close()``, ``for x in s`` and ``ended()``, the same on every target."""
# ruff: noqa: SIM113 - kernels count by themselves

import numpy as np
import pytest

import allo_rtl.dataflow as df
from allo_rtl.errors import AssertionFailed, Deadlock, KernelErrors, LanguageError
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Fixed, Int, Stream, Struct, UInt, float16, int32
from allo_rtl.sim.stalls import Stalls

N = 6
TARGETS = ("evaluator", "simulator", "rtl")


def ran(region, *args, target, optimized=True):
    """The region's last argument after a run."""
    built = df.customize(region, opt_default=optimized).build(target=target)
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    built(*given)
    return given[-1]


def same_everywhere(region, *args):
    """What a run stores, checked to be the same on each target."""
    found = [ran(region, *args, target=t) for t in TARGETS]
    found.append(ran(region, *args, target="simulator", optimized=False))
    assert all((f == found[0]).all() for f in found)
    return found[0]


def through(element):
    @df.region()
    def copy(n: int32, A: element[N], B: element[N]):
        s: Stream[element, 2]

        @df.kernel(mapping=[1], args=[A])
        def give(a: element[N]):
            for i in range(n):
                s.put(a[i])
            s.close()

        @df.kernel(mapping=[1], args=[B])
        def take(b: element[N]):
            i: int32 = 0
            for x in s:
                b[i] = x
                i += 1

    return copy


def zeros():
    return np.zeros(N, np.int32)


@pytest.mark.parametrize("n", [0, N])
def test_a_loop_takes_all_values_however_many(n):
    a = np.arange(10, 10 + N, dtype=np.int32)
    b = same_everywhere(through(int32), n, a, zeros())
    assert b.tolist() == [*a[:n], *[0] * (N - n)]


@pytest.mark.parametrize("element", [Int(7), UInt(1), Fixed(12, 4), float16], ids=str)
def test_values_of_every_type_have_an_end(element):
    region = through(element)
    module = df.build(region)
    a = np.array([0, 1, 1, 0, 1, 0]).astype(np.float16 if element is float16 else np.int32)
    if isinstance(element, Fixed):
        a = a * 0.5
    b = np.zeros(N, a.dtype)
    module(N, a, b)
    assert (a == b).all()
    if not isinstance(element, UInt):
        c = np.zeros(N, a.dtype)
        df.build(region, target="rtl")(N, a, c)
        assert (b == c).all()


def test_structs_have_an_end():
    pair = Struct({"x": Int(5), "y": UInt(3)})

    @df.region()
    def pairs(B: int32[N]):
        s: Stream[pair, 1]

        @df.kernel(mapping=[1])
        def give():
            for i in range(3):
                s.put({"x": -i, "y": i})
            s.close()

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            i: int32 = 0
            for p in s:
                b[i] = p["x"] * 10 + p["y"]
                i += 1

    assert same_everywhere(pairs, zeros()).tolist() == [0, -9, -18, 0, 0, 0]


@df.region()
def chained(A: int32[N], B: int32[N]):
    """Each stage closes what it puts to when it has found the end; some values are left out."""
    s: Stream[int32, 2][3]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(N):
            s[0].put(a[i])
        s[0].close()

    @df.kernel(mapping=[2])
    def odd():
        p = df.get_pid()
        for x in s[p]:
            if x % (p + 2) == 0:
                continue
            s[p + 1].put(x + 1)
        s[p + 1].close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        i: int32 = 0
        for x in s[2]:
            b[i] = x
            i += 1


def test_each_stage_of_a_chain_ends_with_the_one_before():
    a = np.arange(1, N + 1, dtype=np.int32)
    left = [x + 1 for x in a if x % 2]
    expected = [x + 1 for x in left if x % 3]
    assert same_everywhere(chained, a, zeros()).tolist() == [
        *expected, *[0] * (N - len(expected))
    ]  # fmt: skip


def test_words_come_and_go_at_random_and_the_end_stays_behind_them():
    s = df.customize(chained, opt_default=True)
    s.interface("A", "stream")
    rtl = s.build(target="rtl")
    a = np.arange(1, N + 1, dtype=np.int32)
    expected = ran(chained, a, zeros(), target="evaluator")
    for seed in range(6):
        rtl.stalls = Stalls(seed=seed, percent=50)
        b = zeros()
        rtl(a, b)
        assert (b == expected).all()


@df.region()
def looked_at(n: int32, B: int32[N]):
    """Nothing waits: ``try_get`` takes what is there, and ``ended`` tells why there is nothing."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        for i in range(n):
            s.put(i + 3)
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        i: int32 = 0
        while not s.ended():
            x, ok = s.try_get()
            if ok:
                b[i] = x
                i += 1
        y, there = s.peek()
        if there or y != 0 or not s.empty():
            b[N - 1] = 77


@pytest.mark.parametrize("n", [0, 4])
def test_the_end_is_asked_for_without_waiting(n):
    b = same_everywhere(looked_at, n, zeros())
    assert b.tolist() == [*range(3, 3 + n), *[0] * (N - n)]


@df.region()
def in_two_loops(B: int32[N]):
    """The first loop is left early, the second takes the rest, the third finds the end again."""
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        for i in range(4):
            s.put(i)
        s.close()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for x in s:
            b[0] += 1
            if x == 1:
                break
        for y in s:
            b[1] += y
        for _ in s:
            b[2] += 1
        b[3] = s.ended()


def test_a_loop_that_is_left_leaves_the_rest():
    assert same_everywhere(in_two_loops, zeros()).tolist() == [2, 5, 0, 1, 0, 0]


def test_both_sides_of_a_stream_with_an_end_are_pipelined():
    rtl = df.customize(through(int32), opt_default=True).build(target="rtl")
    assert {(p.name, p.ii) for p in rtl.report().loops} == {("s", 1), ("i", 1)}
    (stream,) = rtl.report().streams
    assert (stream.depth, stream.width) == (2, 33)


def test_it_costs_nothing_where_nobody_closes():
    @df.region()
    def plain(B: int32[N]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            for i in range(N):
                s.put(i)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            for i in range(N):
                b[i] = s.get()

    (stream,) = df.build(plain, target="rtl").report().streams
    assert stream.width == 32


def test_the_text_of_a_module_has_the_end_too():
    text = str(df.customize(in_two_loops).module)
    assert str(parse_module(text)) == text


# What a run finds


def wrong(writer, reader):
    """A region of which the two bodies are given."""
    names = {"df": df, "Stream": Stream, "int32": int32}
    text = f"""
def top(B: int32[{N}]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        {writer}

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[{N}]):
        {reader}
"""
    return "@df.region()" + text, names


def built(writer, reader, target):
    import allo_rtl as allo

    text, names = wrong(writer, reader)
    return df.build(allo.customize(text, global_vars=names), target=target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("writer", "reader", "message"),
    [
        ("s.close(); s.put(1)", "b[0] = 1 if s.ended() else s.get()",
         "nothing is put to 's' once it is closed"),
        ("s.close(); s.close()", "b[0] = 1 if s.ended() else s.get()", "'s' is closed once"),
        ("s.put(1); s.close()", "b[0] = s.get(); b[1] = s.get()", "get() finds the end of 's'"),
    ],
)  # fmt: skip
def test_what_is_against_the_rules_ends_the_run(writer, reader, message, target):
    with pytest.raises(AssertionFailed) as caught:
        built(writer, reader, target)(zeros())
    assert message in caught.value.message
    assert caught.value.loc is not None


@pytest.mark.parametrize("target", TARGETS)
def test_a_writer_that_closes_only_sometimes_is_waited_for(target):
    with pytest.raises(Deadlock, match="take_0 waits for a value from s, which is empty, and give"):
        built("s.put(1)\n        if B_CLOSES: s.close()".replace("B_CLOSES", "s.full()"),
              "for x in s: b[0] = x", target)(zeros())  # fmt: skip


# What is refused


@pytest.mark.parametrize(
    ("writer", "reader", "message"),
    [
        ("s.put(1)", "for x in s: b[0] = x", "the stream 's' is never closed"),
        ("s.put(1)", "b[0] = s.get() if s.ended() else 0", "the stream 's' is never closed"),
        ("s.put(1)", "b[0] = s.get(); s.close()", "the stream 's' has 2 writers"),
        ("s.close()", "for x, y in s: b[0] = x", "2 loop variables for one stream"),
        ("x: int32 = s.close()", "for x in s: b[0] = x", "'s.close' gives no value"),
    ],
)
def test_what_has_no_end_to_find(writer, reader, message):
    with pytest.raises((LanguageError, KernelErrors)) as caught:
        built(writer, reader, "simulator")
    assert message in str(caught.value)
