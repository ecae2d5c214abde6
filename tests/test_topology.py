"""What a region's streams may connect, and what regions are when Python calls them."""

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import AlloError, LanguageError
from allo_rtl.ir.types import Stream, int32

N = 4


@df.region()
def alone(B: int32[N]):
    s: Stream[int32, 4]

    @df.kernel(mapping=[1], args=[B])
    def loop(b: int32[N]):
        for i in range(N):
            s.put(i)
        for j in range(N):
            b[j] = s.get()


@df.region()
def only_asks_for_room(B: int32[N]):
    s: Stream[int32, 4]

    @df.kernel(mapping=[1])
    def give():
        while s.full():
            pass

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        b[0] = s.get()


@df.region()
def only_peeks(B: int32[N]):
    s: Stream[int32, 4]

    @df.kernel(mapping=[1])
    def give():
        s.put(1)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        x, _ = s.peek()
        b[0] = x


@df.region()
def peeks_first(B: int32[N]):
    """The reader looks before it takes, in a function that it calls."""
    s: Stream[int32, 4]

    def taken(t: Stream[int32, 4]) -> int32:
        return t.get()

    @df.kernel(mapping=[1])
    def give():
        s.put(3)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        while s.empty():
            pass
        b[0] = taken(s)


@pytest.mark.parametrize(
    ("region", "message", "lines"),
    [
        (alone, "'loop_0' both writes to the stream 's' and reads it", ["s.put(i)", "s.get()"]),
        (only_asks_for_room, "nobody puts anything to it: 'give_0' only looks at the stream 's'",
         ["s.full()"]),
        (only_peeks, "nobody takes anything from it: 'take_0' only looks at the stream 's'",
         ["s.peek()"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("build", [df.customize, df.build, lambda r: df.build(r, target="rtl")])
def test_a_stream_connects_one_that_puts_and_another_that_takes(region, message, lines, build):
    with pytest.raises(LanguageError) as caught:
        build(region)
    assert caught.value.message == message
    found = [loc.text[loc.col - 1 : loc.end_col - 1] for _, loc in caught.value.notes]
    assert found == lines


def test_who_takes_may_look_before():
    b = np.zeros(N, np.int32)
    peeks_first(b)
    assert b[0] == 3


@df.region()
def copy[P, T](X: "T[P]", Y: "T[P]"):
    s: Stream[T, 2]

    @df.kernel(mapping=[1], args=[X])
    def give(x: "T[P]"):
        for i in range(P):
            s.put(x[i])

    @df.kernel(mapping=[1], args=[Y])
    def take(y: "T[P]"):
        for i in range(P):
            y[i] = s.get()


def test_a_region_with_parameters_is_called_from_python():
    x, y = np.arange(8, dtype=np.int32), np.zeros(8, np.int32)
    copy[8, int32](x, y)
    assert (x == y).all()
    assert df.customize(copy[8, int32]).top_func_name == "copy_8_int32"
    assert repr(copy) == "<region copy>"


def test_a_region_that_is_called_sees_what_its_names_are_now():
    """It is compiled again when what it uses has changed, and not otherwise."""
    scale = 2

    @df.region()
    def scaled(B: int32[N]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            for i in range(N):
                s.put(scale * i)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            for i in range(N):
                b[i] = s.get()

    b = np.zeros(N, np.int32)
    scaled(b)
    first = scaled._built[1]
    scaled(b)
    assert scaled._built[1] is first
    scale = 3
    scaled(b)
    assert b.tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("call", "name"),
    [(lambda: df.get_pid(), "get_pid"), (lambda: df.gather([]), "gather"),
     (lambda: df.scatter([], []), "scatter")],
)  # fmt: skip
def test_what_only_kernels_may_do(call, name):
    with pytest.raises(LanguageError, match=rf"df.{name}\(\) has a meaning only in a kernel"):
        call()


def test_get_pid_decides_in_meta_if():
    @df.region()
    def chosen(B: int32[N]):
        @df.kernel(mapping=[N], args=[B])
        def work(b: int32[N]):
            i = df.get_pid()
            with allo.meta_if(df.get_pid() > 1):
                b[i] = 10
            with allo.meta_else():
                b[i] = 20

    b = np.zeros(N, np.int32)
    chosen(b)
    assert b.tolist() == [20, 20, 10, 10]


def test_get_pid_in_an_expression_is_refused_with_what_to_write():
    @df.region()
    def indexed(B: int32[N]):
        @df.kernel(mapping=[N], args=[B])
        def work(b: int32[N]):
            b[df.get_pid()] = 1

    with pytest.raises(LanguageError, match=r"'df.get_pid' stands in an expression") as caught:
        df.customize(indexed)
    assert caught.value.hint == "give the index a name first: i = df.get_pid()"


def test_what_is_gathered_has_a_name_and_is_not_zeroed():
    @df.region()
    def gathers(B: int32[12, 2]):
        s: Stream[int32[2], 2][12]

        @df.kernel(mapping=[12])
        def give():
            x: int32[2] = 3
            i = df.get_pid()
            s[i].put(x)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[12, 2]):
            b[:, :] = df.gather(s[:])

    schedule = df.customize(gathers)
    assert "gathered: int32[12, 2]" in str(schedule)
    rtl = schedule.build(target="rtl")
    assert not [n for n in rtl.report().notes if "zeroed" in n and "take_0" in n]
    b = np.zeros((12, 2), np.int32)
    rtl(b)
    assert (b == 3).all()


def test_the_simulator_has_no_profile():
    with pytest.raises(AlloError, match="the simulator knows no clock cycles"):
        df.build(copy, instantiate=[4, int32]).profile()
