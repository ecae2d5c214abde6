"""Processes that use one array in turns: what is put and taken says whose turn it is."""

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import LanguageError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import Stream, int32

N = 4


@df.region()
def useless(B: int32[8]):
    token: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        token.put(1)
        for i in range(8):
            b[i] = 1

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        token.get()
        for i in range(8):
            b[7 - i] = 2


def test_a_value_that_is_put_before_the_stores_says_nothing():
    with pytest.raises(LanguageError) as found:
        df.customize(useless)
    error = found.value
    assert error.message == (
        "'x_0' and 'y_0' both store to 'B[0]', "
        "and no value that goes through a stream puts one after the other"
    )
    (one, first), (other, second) = error.notes
    assert (one, other) == ("'x_0' stores to it here", "'y_0' stores to it here")
    assert second.line - first.line == 6
    assert error.hint == "put to a stream after the one use, and get from it before the other"


def test_the_error_comes_from_each_way_to_run_it():
    for run in (
        lambda: useless(np.zeros(8, np.int32)),
        lambda: df.build(useless),
        lambda: df.build(useless, target="rtl"),
    ):
        with pytest.raises(LanguageError, match=r"both store to 'B\[0\]'"):
            run()


@df.region()
def useful(B: int32[8]):
    token: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        for i in range(8):
            b[i] = 1
        token.put(1)

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        token.get()
        for i in range(4):
            b[7 - 2 * i] = 2


@df.region()
def row_by_row(B: int32[N, N]):
    token: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[N, N]):
        for i in range(N):
            for j in range(N):
                b[i, j] = i
            token.put(i)

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[N, N]):
        for i in range(N):
            n: int32 = token.get()
            b[i, 1] = n + 5


@df.region()
def element_by_element(B: int32[8]):
    token: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        for i in range(8):
            b[i] = i
            token.put(i)

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        for i in range(8):
            n: int32 = token.get()
            if i % 2 == 1:
                b[i] = n + 10


@df.region()
def through_a_third(B: int32[8]):
    first: Stream[int32, 2]
    second: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        for i in range(8):
            b[i] = i
            first.put(i)

    @df.kernel(mapping=[1])
    def between():
        for _i in range(8):
            second.put(first.get() * 3)

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        for i in range(8):
            n: int32 = second.get()
            b[i] = n + 1


@df.region()
def taking_turns(B: int32[8]):
    there: Stream[int32, 1]
    back: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        for i in range(4):
            for j in range(8):
                b[j] = i + j
            there.put(i)
            back.get()

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        for i in range(4):
            n: int32 = there.get()
            b[i] = 100 + n
            back.put(n)


@df.region()
def as_long_as_data_say(n: int32, B: int32[8]):
    token: Stream[int32, 1]
    other: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        for i in range(n):
            b[i] = 1
        token.put(1)

    @df.kernel(mapping=[1])
    def between():
        t: int32 = token.get()
        if t > 0:
            other.put(2)
        if t <= 0:
            other.put(3)

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        t: int32 = other.get()
        for i in range(n):
            if i > 2:
                b[i] = t


ORDERED = [useful, row_by_row, element_by_element, through_a_third, taking_turns,
           as_long_as_data_say]  # fmt: skip


def hurried(region):
    """The region with its innermost loops pipelined, where that could change an order."""
    return df.customize(region, opt_default=True)


@pytest.mark.parametrize("make", [df.customize, hurried])
@pytest.mark.parametrize("region", ORDERED, ids=lambda r: r.__name__)
def test_what_is_in_order_is_accepted_and_hardware_keeps_it(region, make):
    s = make(region)
    scalars = [7] if region is as_long_as_data_say else []
    (array,) = (a.array for a in s.module.top_func.args if a.name == "B")
    expected, cpu, rtl = (np.zeros(array.shape, np.int32) for _ in range(3))
    evaluate(s.module, [*scalars, expected])
    s.build()(*scalars, cpu)
    hardware = s.build(target="rtl")
    hardware.simulator = "pysim"
    hardware(*scalars, rtl)
    np.testing.assert_array_equal(cpu, expected)
    np.testing.assert_array_equal(rtl, expected)
    assert expected.any()


def test_a_writer_and_a_reader():
    @df.region()
    def region(A: int32[8], B: int32[8]):
        token: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[A])
        def x(a: int32[8]):
            for i in range(8):
                a[i] = i
                token.put(i)

        @df.kernel(mapping=[1], args=[A, B])
        def y(a: int32[8], b: int32[8]):
            for i in range(8):
                token.get()
                b[i] = a[i]

    a, b = np.zeros(8, np.int32), np.zeros(8, np.int32)
    region(a, b)
    np.testing.assert_array_equal(b, np.arange(8))


def test_a_reader_that_is_a_step_ahead():
    @df.region()
    def region(A: int32[8], B: int32[8]):
        token: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[A])
        def x(a: int32[8]):
            for i in range(8):
                a[i] = i
                token.put(i)

        @df.kernel(mapping=[1], args=[A, B])
        def y(a: int32[8], b: int32[8]):
            for i in range(7):
                token.get()
                b[i] = a[i + 1]
            token.get()

    with pytest.raises(LanguageError, match=r"store to and read 'A\[1\]'"):
        df.customize(region)


def test_room_in_a_fifo_orders_nothing():
    @df.region()
    def region(B: int32[8]):
        token: Stream[int32, 1]

        @df.kernel(mapping=[1], args=[B])
        def x(b: int32[8]):
            token.put(1)
            token.put(1)  # waits until y has taken one
            b[0] = 1

        @df.kernel(mapping=[1], args=[B])
        def y(b: int32[8]):
            b[0] = 2
            token.get()
            token.get()

    with pytest.raises(LanguageError, match=r"both store to 'B\[0\]'"):
        df.customize(region)


def test_one_of_three_is_not_told():
    @df.region()
    def region(B: int32[8]):
        first: Stream[int32, 2]
        second: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[B])
        def x(b: int32[8]):
            for i in range(8):
                b[i] = i
                first.put(i)

        @df.kernel(mapping=[1])
        def between():
            for i in range(8):
                second.put(i)  # before that of x is here
                first.get()

        @df.kernel(mapping=[1], args=[B])
        def y(b: int32[8]):
            for i in range(8):
                b[i] = second.get()

    with pytest.raises(LanguageError, match=r"'x_0' and 'y_0' both store to 'B\[\d\]'"):
        df.customize(region)


def by_data(order: bool, promise: tuple[str, ...] = ()):
    @df.region(assume_ordered=promise)
    def region(A: int32[8], B: int32[8]):
        token: Stream[int32, 8]

        @df.kernel(mapping=[1], args=[A, B])
        def x(a: int32[8], b: int32[8]):
            for i in range(8):
                b[i] = 1
                with allo.meta_if(not order):
                    if a[i] > 0:
                        token.put(i)
            with allo.meta_if(order):
                token.put(8)

        @df.kernel(mapping=[1], args=[B])
        def y(b: int32[8]):
            n: int32 = token.get()
            b[n % 8] = 2

    return region


def test_puts_that_depend_on_data():
    df.customize(by_data(order=True))
    with pytest.raises(LanguageError) as found:
        df.customize(by_data(order=False))
    error = found.value
    assert error.message == (
        "'x_0' and 'y_0' may both store to the same element of 'B', "
        "and whether a stream puts one after the other is not known"
    )
    reason, where = error.notes[2]
    assert reason == "a condition depends on data"
    assert where is not None
    assert error.hint.startswith("let one put to a stream after all it does with the array")
    df.customize(by_data(order=False, promise=("B",)))


@pytest.mark.parametrize("behind", [0, 1])
def test_numbers_that_come_through_streams_are_known(behind):
    @df.region()
    def region(B: int32[8]):
        place: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[B])
        def x(b: int32[8]):
            for i in range(8):
                b[(3 * i) % 8] = i
                place.put((3 * (i + behind)) % 8)

        @df.kernel(mapping=[1], args=[B])
        def y(b: int32[8]):
            for i in range(7):
                b[place.get()] = 10 + i
            place.get()

    if behind:
        with pytest.raises(LanguageError, match=r"both store to 'B\[3\]'"):
            df.customize(region)
    else:
        df.customize(region)


def test_looks_at_a_stream_tell_nothing():
    @df.region()
    def region(B: int32[8]):
        token: Stream[int32, 8]

        @df.kernel(mapping=[1], args=[B])
        def x(b: int32[8]):
            b[0] = 1
            token.put(1)

        @df.kernel(mapping=[1], args=[B])
        def y(b: int32[8]):
            n, _done = token.try_get()
            b[0] = n

    with pytest.raises(LanguageError, match="whether a stream puts one after") as found:
        df.customize(region)
    assert found.value.notes[2][0] == "whether a value is handed over depends on when"


def fill(row: int32[N], x: int32, token: Stream[int32, 2]):
    for i in range(N):
        row[i] = x
    token.put(x)


@pytest.mark.parametrize("ahead", [0, 1])
def test_rows_and_streams_given_to_kernels(ahead):
    @df.region()
    def region(B: int32[N, N]):
        token: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[B])
        def x(b: int32[N, N]):
            for i in range(N):
                fill(b[i], i, token)

        @df.kernel(mapping=[1], args=[B])
        def y(b: int32[N, N]):
            for i in range(N):
                token.get()
                b[min(i + ahead, N - 1), 0] = 9

    if ahead:
        with pytest.raises(LanguageError, match=r"both store to 'B\[1, 0\]'"):
            df.customize(region)
        return
    b = np.zeros((N, N), np.int32)
    region(b)
    np.testing.assert_array_equal(b[:, 0], 9)
    np.testing.assert_array_equal(b[:, 1], np.arange(N))


def test_a_region_that_is_called_again_is_not_run_again(monkeypatch):
    df.customize(taking_turns)
    monkeypatch.setattr("allo_rtl.ir.races.trace", None)
    df.customize(taking_turns)


@df.region()
def with_a_table(B: int32[8]):
    token: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[B])
    def x(b: int32[8]):
        table: int32[8] = [3, 1, 4, 1, 5, 9, 2, 6]
        for i in range(8):
            b[i] = table[i]
            token.put(table[i])

    @df.kernel(mapping=[1], args=[B])
    def y(b: int32[8]):
        for i in range(8):
            b[i] = token.get() + 1


def test_a_table_in_a_kernel():
    b = np.zeros(8, np.int32)
    with_a_table(b)
    np.testing.assert_array_equal(b, [4, 2, 5, 2, 6, 10, 3, 7])


def test_a_run_that_is_too_long_is_not_looked_at(monkeypatch):
    monkeypatch.setattr("allo_rtl.ir.races._IN_ORDER", {})
    monkeypatch.setattr("allo_rtl.ir.race_trace.Budget.__init__.__defaults__", (20, 1000))
    with pytest.raises(LanguageError, match="whether a stream puts one after"):
        df.customize(row_by_row)


def test_a_region_of_mlir_is_looked_at_too():
    text = str(df.customize(useful).module)
    df.customize(text)
    lines = text.splitlines()
    put = next(n for n, line in enumerate(lines) if '"allo.put"' in line)
    loop = next(n for n, line in enumerate(lines) if "affine.for" in line)
    assert loop < put
    handed = [line.replace("%0", "%one") for line in lines[put - 1 : put + 1]]
    early = [*lines[:loop], *handed, *lines[loop : put - 1], *lines[put + 1 :]]
    with pytest.raises(LanguageError, match="no value that goes through a stream"):
        df.customize("\n".join(early))
