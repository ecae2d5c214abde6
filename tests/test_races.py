"""What two processes of a region may use at once, and what keeps them apart."""

import warnings

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import LanguageError
from allo_rtl.ir.types import Stream, int32
from allo_rtl.memory import Layout

S, R = Layout.Shard, Layout.Replicate


def quiet(region):
    """Capture a region that gives no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return df.customize(region)


@df.region()
def interleaved(B: int32[8]):
    @df.kernel(mapping=[2], args=[B])
    def k(b: int32[8]):
        p = df.get_pid()
        for i in range(4):
            b[2 * i + p] = p


@df.region()
def triangles(B: int32[8, 8]):
    @df.kernel(mapping=[2], args=[B])
    def k(b: int32[8, 8]):
        p = df.get_pid()
        for i in range(8):
            with allo.meta_if(p == 0):
                for j in range(i):
                    b[i, j] = 1
            with allo.meta_else():
                for j in range(i, 8):
                    b[i, j] = 2


@df.region()
def only_read(A: int32[8], B: int32[2]):
    @df.kernel(mapping=[2], args=[A, B])
    def k(a: int32[8], b: int32[2]):
        p = df.get_pid()
        for i in range(8):
            b[p] += a[i]


def fill(row: int32[4], x: int32):
    for i in range(4):
        row[i] = x


@df.region()
def rows_by_calls(B: int32[2, 4]):
    @df.kernel(mapping=[2], args=[B])
    def k(b: int32[2, 4] @ [S(0), R]):
        p = df.get_pid()
        fill(b[0], p)


@pytest.mark.parametrize("region", [interleaved, triangles, only_read, rows_by_calls])
def test_elements_of_their_own(region):
    quiet(region)


def test_parts_given_to_a_kernel_are_known():
    @df.region()
    def region(B: int32[2, 4]):
        @df.kernel(mapping=[2], args=[B])
        def k(b: int32[2, 4]):
            p = df.get_pid()
            fill(b[p], p)

    quiet(region)


@df.region()
def one_after_the_other(A: int32[8], B: int32[8]):
    done: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[A, B])
    def first(a: int32[8], b: int32[8]):
        for i in range(8):
            b[i] = a[i] + 1
        done.put(1)

    @df.kernel(mapping=[1], args=[B])
    def second(b: int32[8]):
        done.get()
        for i in range(8):
            b[i] = b[i] * 2


def test_a_stream_puts_processes_in_order():
    quiet(one_after_the_other)
    a, b = np.arange(8, dtype=np.int32), np.zeros(8, np.int32)
    one_after_the_other(a, b)
    np.testing.assert_array_equal(b, (a + 1) * 2)


@df.region()
def by_data(A: int32[8], B: int32[8]):
    @df.kernel(mapping=[2], args=[A, B])
    def k(a: int32[8], b: int32[8]):
        p = df.get_pid()
        for i in range(4):
            b[a[4 * p + i]] = p


@df.region()
def by_condition(A: int32[8], B: int32[8]):
    @df.kernel(mapping=[2], args=[A, B])
    def k(a: int32[8], b: int32[8]):
        p = df.get_pid()
        for i in range(8):
            if a[i] == p:
                b[i] = p


@df.region()
def by_scalar(B: int32[8], n: int32):
    @df.kernel(mapping=[2], args=[B])
    def k(b: int32[8]):
        p = df.get_pid()
        with allo.meta_if(p == 0):
            for i in range(n):
                b[i] = 1
        with allo.meta_else():
            for i in range(n, 8):
                b[i] = 2


@pytest.mark.parametrize("region", [by_data, by_condition, by_scalar])
def test_what_depends_on_data_is_an_error_too(region):
    with pytest.raises(LanguageError) as found:
        df.customize(region)
    assert found.value.message == (
        "'k_0' and 'k_1' may both store to the same element of 'B', "
        "and no stream puts one after the other"
    )
    assert [text for text, _ in found.value.notes] == [
        "'k_0' stores to it here", "'k_1' stores to it here",
    ]  # fmt: skip
    assert 'say so: @df.region(assume_ordered=["B"])' in found.value.hint


@df.region(assume_ordered=["B"])
def promised(A: int32[8], B: int32[8]):
    @df.kernel(mapping=[2], args=[A, B])
    def k(a: int32[8], b: int32[8]):
        p = df.get_pid()
        for i in range(4):
            b[a[4 * p + i]] = p


def test_a_promise_is_believed():
    quiet(promised)
    a, b = np.arange(8, dtype=np.int32)[::-1].copy(), np.zeros(8, np.int32)
    promised(a, b)
    np.testing.assert_array_equal(b, [1, 1, 1, 1, 0, 0, 0, 0])


def test_a_promise_that_is_surely_broken():
    @df.region(assume_ordered=["B"])
    def region(B: int32[8]):
        @df.kernel(mapping=[2], args=[B])
        def k(b: int32[8]):
            p = df.get_pid()
            b[3] = p

    with pytest.raises(LanguageError, match=r"both store to 'B\[3\]'"):
        df.customize(region)


def test_a_promise_of_what_is_no_array():
    @df.region(assume_ordered=["C"])
    def region(B: int32[8]):
        @df.kernel(mapping=[1], args=[B])
        def k(b: int32[8]):
            b[3] = 1

    with pytest.raises(LanguageError, match="'C' is not an array of 'region'") as found:
        df.customize(region)
    assert found.value.allowed == "B"
    with pytest.raises(LanguageError, match="assume_ordered is 'B'"):
        df.region(assume_ordered="B")


def test_a_promise_in_text():
    text = """
@df.region(assume_ordered={promise})
def region(A: int32[8], B: int32[8]):
    @df.kernel(mapping=[2], args=[A, B])
    def k(a: int32[8], b: int32[8]):
        p = df.get_pid()
        for i in range(4):
            b[a[4 * p + i]] = p
"""
    df.customize(text.format(promise='["B"]'))
    with pytest.raises(LanguageError, match="may both store"):
        df.customize(text.format(promise="[]"))
    with pytest.raises(LanguageError, match="assume_ordered is 7"):
        df.customize(text.format(promise="7"))


def test_conditions_on_counters_are_known():
    @df.region()
    def region(B: int32[8]):
        @df.kernel(mapping=[2], args=[B])
        def k(b: int32[8]):
            p = df.get_pid()
            for i in range(8):
                if i % 3 == p:
                    b[i] = p

    quiet(region)


@df.region()
def replicated(B: int32[8, 4]):
    @df.kernel(mapping=[2], args=[B])
    def k(b: int32[8, 4] @ [R, R]):
        b[7, 3] = 1


@df.region()
def shared_row(B: int32[2, 4]):
    @df.kernel(mapping=[2], args=[B])
    def k(b: int32[2, 4]):
        fill(b[1], 3)


def test_what_is_sure_is_an_error():
    with pytest.raises(LanguageError, match=r"'k_0' and 'k_1' both store to 'B\[7, 3\]'"):
        df.customize(replicated)


def test_a_part_given_to_a_kernel_is_known():
    with pytest.raises(LanguageError, match=r"'k_0' and 'k_1' both store to 'B\[1, 0\]'"):
        df.customize(shared_row)
