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


# --- shapes of graphs -----------------------------------------------------------------------


@df.region()
def four_stages(A: int32[16], B: int32[16]):
    s: Stream[int32, 2][3]

    @df.kernel(mapping=[4], args=[A, B])
    def stage(a: int32[16], b: int32[16]):
        p = df.get_pid()
        for i in range(16):
            x: int32 = 0
            with allo.meta_if(p == 0):
                x = a[i]
            with allo.meta_else():
                x = s[p - 1].get()
            with allo.meta_if(p == 3):
                b[i] = x
            with allo.meta_else():
                s[p].put(x * 2 + p)


def test_a_pipeline_of_stages():
    a, b = numbers(16), zeros(16)
    four_stages(a, b)
    np.testing.assert_array_equal(b, (a * 2 * 2 + 1) * 2 + 2)


@df.region()
def fork_and_join(A: int32[12], B: int32[12]):
    left: Stream[int32, 2]
    right: Stream[int32, 2]
    left_out: Stream[int32, 2]
    right_out: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def fork(a: int32[12]):
        for i in range(12):
            left.put(a[i])
            right.put(a[i])

    @df.kernel(mapping=[1])
    def square():
        for _ in range(12):
            x = left.get()
            left_out.put(x * x)

    @df.kernel(mapping=[1])
    def twice():
        for _ in range(12):
            right_out.put(right.get() * 2)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[12]):
        for i in range(12):
            b[i] = left_out.get() - right_out.get()


def test_a_fork_and_a_join():
    a, b = numbers(12), zeros(12)
    fork_and_join(a, b)
    np.testing.assert_array_equal(b, a * a - a * 2)


@df.region()
def running_sum(A: int32[10], B: int32[10]):
    back: Stream[int32, 2]
    forth: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A, B])
    def add(a: int32[10], b: int32[10]):
        for i in range(10):
            b[i] = a[i] + back.get()
            forth.put(b[i])

    @df.kernel(mapping=[1])
    def keep():
        back.put(100)  # The token that the circle starts with.
        for _ in range(9):
            back.put(forth.get())
        forth.get()


def test_feedback_with_an_initial_token():
    a, b = numbers(10), zeros(10)
    running_sum(a, b)
    np.testing.assert_array_equal(b, 100 + np.cumsum(a))


M, N, K = 3, 4, 5


@df.region()
def matrix_vector(A: int32[M, K], X: int32[K], Y: int32[M]):
    x: Stream[int32, 1][M + 1]

    @df.kernel(mapping=[1], args=[X])
    def feed(v: int32[K]):
        for k in range(K):
            x[0].put(v[k])

    @df.kernel(mapping=[M], args=[A, Y])
    def pe(a: int32[M, K], y: int32[M]):
        i = df.get_pid()
        total: int32 = 0
        for k in range(K):
            v = x[i].get()
            total += a[i, k] * v
            with allo.meta_if(i < M - 1):
                x[i + 1].put(v)
        y[i] = total


def test_a_systolic_array_in_one_dimension():
    a, x, y = numbers(M, K), numbers(K), zeros(M)
    matrix_vector(a, x, y)
    np.testing.assert_array_equal(y, a @ x)
    # The stream that no process uses is left out.
    assert "x_3" not in df.customize(matrix_vector).show()


@df.region()
def output_stationary(A: int32[M, K], B: int32[K, N], C: int32[M, N]):
    rows: Stream[int32, 2][M, N]
    columns: Stream[int32, 2][M, N]

    @df.kernel(mapping=[M], args=[A])
    def load_a(a: int32[M, K]):
        i = df.get_pid()
        for k in range(K):
            rows[i, 0].put(a[i, k])

    @df.kernel(mapping=[N], args=[B])
    def load_b(b: int32[K, N]):
        j = df.get_pid()
        for k in range(K):
            columns[0, j].put(b[k, j])

    @df.kernel(mapping=[M, N], args=[C])
    def pe(c: int32[M, N]):
        i, j = df.get_pid()
        total: int32 = 0
        for _ in range(K):
            x = rows[i, j].get()
            y = columns[i, j].get()
            total += x * y
            with allo.meta_if(j < N - 1):
                rows[i, j + 1].put(x)
            with allo.meta_if(i < M - 1):
                columns[i + 1, j].put(y)
        c[i, j] = total


def test_a_systolic_array_in_two_dimensions():
    a, b, c = numbers(M, K), numbers(K, N), zeros(M, N)
    output_stationary(a, b, c)
    np.testing.assert_array_equal(c, a @ b)
    assert len(df.customize(output_stationary).module.funcs) == M + N + M * N + 1


@df.region()
def weight_stationary(A: int32[6, 3], W: int32[3, 2], C: int32[6, 2]):
    x: Stream[int32, 2][3, 3]
    partial: Stream[int32, 2][4, 2]

    @df.kernel(mapping=[3], args=[A])
    def load(a: int32[6, 3]):
        k = df.get_pid()
        for i in range(6):
            x[k, 0].put(a[i, k])

    @df.kernel(mapping=[3, 2], args=[W])
    def pe(w: int32[3, 2]):
        k, j = df.get_pid()
        weight: int32 = w[k, j]
        for _ in range(6):
            v = x[k, j].get()
            before: int32 = 0
            with allo.meta_if(k > 0):
                before = partial[k, j].get()
            partial[k + 1, j].put(before + v * weight)
            with allo.meta_if(j < 1):
                x[k, j + 1].put(v)

    @df.kernel(mapping=[1], args=[C])
    def drain(c: int32[6, 2]):
        for i in range(6):
            c[i, :] = df.gather(partial[3, :])


def test_weights_that_stay():
    a, w, c = numbers(6, 3), numbers(3, 2), zeros(6, 2)
    weight_stationary(a, w, c)
    np.testing.assert_array_equal(c, a @ w)


@df.region()
def daisy_chain(A: int32[4], B: int32[4]):
    down: Stream[int32, 1][4]
    up: Stream[int32, 1][5]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[4]):
        for i in range(4):
            down[0].put(a[3 - i])

    @df.kernel(mapping=[4])
    def pe():
        p = df.get_pid()
        with allo.meta_for(3 - p):
            down[p + 1].put(down[p].get())
        mine: int32 = down[p].get()
        up[p + 1].put(mine * mine)
        with allo.meta_for(p):
            up[p + 1].put(up[p].get())

    @df.kernel(mapping=[1], args=[B])
    def drain(b: int32[4]):
        for i in range(4):
            b[3 - i] = up[4].get()


def test_a_daisy_chain_loads_and_drains():
    a, b = numbers(4), zeros(4)
    daisy_chain(a, b)
    np.testing.assert_array_equal(b, a * a)


@df.region()
def tiled(A: int32[4, 6], B: int32[6, 4], C: int32[4, 4]):
    rows: Stream[int32, 4][2, 2]
    columns: Stream[int32, 4][2, 2]

    @df.kernel(mapping=[2], args=[A])
    def load_a(a: int32[4, 6]):
        i = df.get_pid()
        for ti, _, k in allo.grid(2, 2, 6):
            rows[i, 0].put(a[ti * 2 + i, k])

    @df.kernel(mapping=[2], args=[B])
    def load_b(b: int32[6, 4]):
        j = df.get_pid()
        for _, tj, k in allo.grid(2, 2, 6):
            columns[0, j].put(b[k, tj * 2 + j])

    @df.kernel(mapping=[2, 2], args=[C])
    def pe(c: int32[4, 4]):
        i, j = df.get_pid()
        for ti, tj in allo.grid(2, 2):
            total: int32 = 0
            for _ in range(6):
                x = rows[i, j].get()
                y = columns[i, j].get()
                total += x * y
                with allo.meta_if(j == 0):
                    rows[i, 1].put(x)
                with allo.meta_if(i == 0):
                    columns[1, j].put(y)
            c[ti * 2 + i, tj * 2 + j] = total


def test_a_tiled_product():
    a, b, c = numbers(4, 6), numbers(6, 4), zeros(4, 4)
    tiled(a, b, c)
    np.testing.assert_array_equal(c, a @ b)


@df.region()
def convolution(A: int32[12], W: int32[3], B: int32[10]):
    x: Stream[int32, 4][3]
    y: Stream[int32, 2][3]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[12]):
        for i in range(12):
            x[0].put(a[i])

    @df.kernel(mapping=[3], args=[W])
    def tap(w: int32[3]):
        p = df.get_pid()
        for i in range(12):
            v: int32 = x[p].get()
            with allo.meta_if(p < 2):
                x[p + 1].put(v)
            if i >= p and i < 10 + p:
                total: int32 = v * w[p]
                with allo.meta_if(p > 0):
                    total += y[p - 1].get()
                y[p].put(total)

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[10]):
        for i in range(10):
            b[i] = y[2].get()


def test_a_convolution():
    a, w, b = numbers(12), numbers(3), zeros(10)
    convolution(a, w, b)
    np.testing.assert_array_equal(b, np.correlate(a, w))


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
