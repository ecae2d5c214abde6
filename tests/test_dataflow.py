"""Regions: kernels that run at once and talk through streams, on the simulator."""

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32

RNG = np.random.default_rng(1)


def numbers(*shape):
    return RNG.integers(-9, 9, shape).astype(np.int32)


def zeros(*shape):
    return np.zeros(shape, np.int32)


# --- a producer and a consumer --------------------------------------------------------------


@df.region()
def add_then_copy(A: int32[8], B: int32[8], n: int32):
    link: Stream[int32, 4]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[8]):
        for i in range(8):
            link.put(a[i] + n)

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[8]):
        for i in range(8):
            b[i] = link.get()


def test_a_producer_and_a_consumer():
    a, b = numbers(8), zeros(8)
    df.build(add_then_copy)(a, b, 3)
    np.testing.assert_array_equal(b, a + 3)


def test_calling_a_region_runs_it():
    a, b = numbers(8), zeros(8)
    add_then_copy(a, b, 4)
    np.testing.assert_array_equal(b, a + 4)


def test_processes_are_functions_of_the_schedule():
    s = df.customize(add_then_copy)
    assert s.show() == (
        "produce_0(a: int32[8], link: Stream[int32, 4], n: int32)\n"
        "  S_i_0: for i in 0..8\n"
        "    link.put(...)\n"
        "\n"
        "consume_0(b: int32[8], link: Stream[int32, 4])\n"
        "  S_i_0: for i in 0..8\n"
        "    link.get()\n"
        "    b[i] = ...\n"
        "\n"
        "add_then_copy(A: int32[8], B: int32[8], n: int32)\n"
        "  link: Stream[int32, 4]\n"
        "  produce_0(A, link, n)\n"
        "  consume_0(B, link)"
    )
    assert allo.customize(add_then_copy).show() == s.show()


def test_a_region_may_be_a_text():
    text = """
@df.region()
def top(A: int32[4], B: int32[4]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[4]):
        for i in range(4):
            s.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[4]):
        for i in range(4):
            b[i] = s.get() * 2
"""
    a, b = numbers(4), zeros(4)
    df.build(text)(a, b)
    np.testing.assert_array_equal(b, a * 2)


def test_schedules_are_respected():
    s = df.customize(add_then_copy)
    s.split("produce_0:i", 4)
    s.pipeline("consume_0:i", initiation_interval=2)
    s.partition("add_then_copy:A", dim=1, factor=2, partition_type=allo.Partition.Cyclic)
    assert "a: int32[8] banked [cyclic 2]" in s.show()
    for module in (s.build(), s.build(target="simulator"), df.build(s), df.build(s.module)):
        a, b = numbers(8), zeros(8)
        module(a, b, 5)
        np.testing.assert_array_equal(b, a + 5)


def test_opt_default_pipelines_innermost_loops():
    s = df.customize(add_then_copy, opt_default=True)
    assert s.show().count("for i in 0..8  pipeline II=1") == 2


# --- regions in regions ---------------------------------------------------------------------


@df.region()
def plus[P, T](X: "T[P]", Y: "T[P]"):
    s: Stream[T, 2]

    @df.kernel(mapping=[1], args=[X])
    def give(x: T[P]):
        for i in range(P):
            s.put(x[i] + 1)

    @df.kernel(mapping=[1], args=[Y])
    def take(y: T[P]):
        for i in range(P):
            y[i] = s.get()


@df.region()
def two_levels(A: int32[8], B: int32[8], C: int32[4], D: int32[4]):
    @df.kernel(mapping=[1], args=[A, B])
    def left(a: int32[8], b: int32[8]):
        half: int32[8]
        plus[8, int32](a, half)
        plus[8, int32](half, b)

    @df.kernel(mapping=[1], args=[C, D])
    def right(c: int32[4], d: int32[4]):
        plus[4, int32](c, d)


def test_a_region_in_a_region_and_the_same_one_twice():
    a, b, c, d = numbers(8), zeros(8), numbers(4), zeros(4)
    two_levels(a, b, c, d)
    np.testing.assert_array_equal(b, a + 2)
    np.testing.assert_array_equal(d, c + 1)
    assert [f.name for f in df.customize(two_levels).module.funcs] == [
        "give_0_8_int32", "take_0_8_int32", "plus_8_int32", "left_0",
        "give_0_4_int32", "take_0_4_int32", "plus_4_int32", "right_0",
        "two_levels",
    ]  # fmt: skip


@df.region()
def chain[P](A: int32[4], B: int32[4]):
    s: Stream[int32, 2][P + 1]

    @df.kernel(mapping=[1], args=[A])
    def feed(a: int32[4]):
        for i in range(4):
            s[0].put(a[i])

    @df.kernel(mapping=[P])
    def stage():
        p = allo.get_pid()
        for _ in range(4):
            s[p + 1].put(s[p].get() + 1)

    @df.kernel(mapping=[1], args=[B])
    def drain(b: int32[4]):
        for i in range(4):
            b[i] = s[P].get()


@pytest.mark.parametrize("length", [1, 5])
def test_a_parameter_sizes_a_region(length):
    a, b = numbers(4), zeros(4)
    df.build(df.customize(chain, instantiate=[length]))(a, b)
    np.testing.assert_array_equal(b, a + length)


def test_parameters_from_outside():
    for build in (df.build, lambda *a, **k: df.customize(*a, **k).build()):
        x, y = numbers(5), zeros(5)
        build(plus, instantiate=[5, int32])(x, y)
        np.testing.assert_array_equal(y, x + 1)


def test_a_kernel_calls_a_region():
    def kernel(A: int32[8]) -> int32[8]:
        B: int32[8]
        plus[8, int32](A, B)
        return B

    a = numbers(8)
    np.testing.assert_array_equal(allo.customize(kernel).build()(a), a + 1)


def scale(x: int32, by: int32) -> int32:
    return x * by


@df.region()
def with_calls(A: int32[4], B: int32[4], by: int32):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[4]):
        for i in range(4):
            s.put(scale(a[i], by))

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[4]):
        def less(x: int32) -> int32:
            return x - 1

        for i in range(4):
            b[i] = less(s.get())


def test_processes_call_kernels_and_see_scalars_of_their_region():
    a, b = numbers(4), zeros(4)
    with_calls(a, b, 7)
    np.testing.assert_array_equal(b, a * 7 - 1)


@df.region()
def some_do_nothing(B: int32[4]):
    @df.kernel(mapping=[4], args=[B])
    def work(b: int32[4]):
        p = df.get_pid()
        with allo.meta_if(p % 2 == 0):
            b[p] = p + 1


def test_a_process_that_does_nothing_is_left_out():
    s = df.customize(some_do_nothing)
    assert [f.name for f in s.module.funcs] == ["work_0", "work_2", "some_do_nothing"]
    b = zeros(4)
    df.build(s)(b)
    np.testing.assert_array_equal(b, [1, 0, 3, 0])
