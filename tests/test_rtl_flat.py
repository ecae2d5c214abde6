"""Nests in which the range of an inner loop depends on outer counters are one pipelined loop."""

import random

import pytest
from agreement import check, random_args
from ir_writer import agree
from source_generators import load

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.customize import customize
from allo_rtl.hls.control import Pipelined, regions
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import Partition, Stream, float32, int32, uint32


def checked(kernel, loop="k", **options):
    s = customize(kernel)
    s.pipeline(loop)
    return check(s, simulator="pysim", **options)


def lower_triangle(A: int32[8, 8], B: int32[8, 8]):
    for i in range(8):
        for k in range(i + 1):
            B[i, k] = A[k, i] + i


def strict_triangle(A: int32[8, 8], B: int32[8, 8]):
    for i in range(8):
        for k in range(i):
            B[i, k] = A[k, i] + 1


def upper_triangle(A: int32[8, 8], B: int32[8, 8]):
    for i in range(8):
        for k in range(i + 3, 8):
            B[i, k] = A[k, i] + 1


def between_counters(A: int32[6, 6, 6]):
    for i in range(6):
        for j in range(6):
            for k in range(j + 1, i):
                A[i, j, k] += i - j


def in_steps(A: int32[9, 9]):
    for i in range(9):
        for k in range(1, i, 3):
            A[i, k] += k


def of_even_rows(A: int32[9, 9]):
    for i in range(1, 9, 2):
        for k in range(5, i):
            A[i, k] += k


def halves(A: int32[9, 9]):
    for i in range(9):
        for k in range(2 * i - 7, 9):
            A[i, k % 9] += k if k >= 0 else 0


@pytest.mark.parametrize(
    ("kernel", "iterations"),
    [
        (lower_triangle, 36),
        (strict_triangle, 28),
        (upper_triangle, 15),
        (between_counters, 20),
        (in_steps, 12),
        (of_even_rows, 2),
    ],
)
def test_no_cycle_is_spent_between_runs(kernel, iterations):
    rtl = checked(kernel)
    (loop,) = rtl.report().loops
    assert (loop.trip, loop.ii) == (iterations, 1)
    assert loop.latency == iterations - 1 + loop.depth


def never(A: int32[8, 8]):
    for i in range(8):
        for k in range(i + 9, 8):
            A[i, k % 8] = k


def test_nests_without_iterations_take_no_iteration():
    rtl = checked(never)
    assert rtl.predicted_cycles < 20


def around(A: int32[7, 7, 7], s: int32[7]):
    for i in range(7):
        s[i] = i
        for j in range(i, 7):
            for k in range(j):
                A[i, j, k] += s[i]


def given(n: int32, A: int32[8, 8]):
    for i in range(8):
        for k in range(n, i):
            A[i, k] += n


def test_values_from_outside_may_be_bounds():
    rtl = checked(around)
    assert [loop.name for loop in rtl.report().loops] == ["i", "j, k"]
    assert rtl.predicted_cycles is not None
    rtl = checked(given, limits={"n": (0, 9)}, seeds=range(6))
    assert [loop.name for loop in rtl.report().loops] == ["i, k"]


def sums(A: int32[8, 8], x: int32[8], y: int32[8]):
    for i in range(8):
        for k in range(i + 1):
            y[i] += A[i, k] * x[k]


def previous(x: int32[9, 9]):
    for i in range(1, 9):
        for k in range(1, i + 1):
            x[i, k] = x[i - 1, k] * 3 + x[i, k - 1]


def slow_sums(A: float32[6, 6], y: float32[6]):
    for i in range(6):
        for k in range(i + 1):
            y[k] += A[i, k]


@pytest.mark.parametrize("kernel", [sums, previous, slow_sums])
def test_iterations_wait_for_those_before(kernel):
    checked(kernel, seeds=(0, 2))


def rank_update(A: uint32[6, 4], C: uint32[6, 6]):
    for i in range(6):
        for j in range(4):
            for k in range(i + 1):
                C[i, k] += A[i, j] * A[k, j]


def two_updates(A: uint32[6, 4], B: uint32[6, 4], C: uint32[6, 6]):
    for i in range(6):
        for j in range(4):
            for k in range(i + 1):
                C[i, k] += A[i, j] * B[k, j] + A[k, j] * B[i, j]


@pytest.mark.parametrize("kernel", [rank_update, two_updates])
def test_loads_that_stay_the_same_are_done_ahead(kernel):
    (loop,) = checked(kernel).report().loops
    assert (loop.trip, loop.ii) == (84 + 24, 1)


def half_idle(A: int32[8, 8], B: int32[8, 8]):
    for i in range(8):
        for k in range(8):
            if k <= i:
                B[i, k] += A[k, i]


def three_at_once(A: int32[9, 9], B: int32[9, 9]):
    for i in range(9):
        for k in range(3):
            for m in range(3):
                if k * 3 + m > i:
                    B[i, k * 3 + m] += A[k * 3 + m, i]


def two_conditions(A: int32[9, 9], n: int32):
    for i in range(9):
        for k in range(9):
            if k > i and k + i < 10 and A[i, k] > n:
                A[i, k] = n


def not_all_idle(A: int32[8, 8], B: int32[8, 8]):
    for i in range(8):
        for k in range(8):
            if k <= i:
                B[i, k] += A[k, i]
            else:
                B[i, k] = 0


def two_halves(A: int32[8, 8]):
    for i in range(8):
        for k in range(8):
            if k < i:
                A[i, k] += 1
            if k > i:
                A[i, k] -= 1


@pytest.mark.parametrize(
    ("kernel", "iterations"),
    [
        (half_idle, 36),
        (three_at_once, 2 * 3 + 3 * 2 + 3 * 1),
        (two_conditions, 24),
        (not_all_idle, 64),
        (two_halves, 64),
    ],
)
def test_iterations_that_do_nothing_are_left_out(kernel, iterations):
    s = customize(kernel)
    if kernel is three_at_once:
        s.unroll("m")
        s.partition("B", Partition.Cyclic, dim=2, factor=3)
        s.partition("A", Partition.Cyclic, dim=1, factor=3)
    s.pipeline("k")
    (loop,) = check(s, simulator="pysim").report().loops
    assert loop.trip == iterations


def idle_sums(A: float32[6, 6], y: float32[6]):
    for i in range(6):
        for k in range(6):
            if k > i:
                y[i] += A[i, k]


def test_the_whole_rectangle_is_gone_through_where_that_is_faster():
    s = customize(idle_sums)
    s.reorder("k", "i")
    s.pipeline("i")
    (loop,) = check(s, simulator="pysim").report().loops
    assert loop.trip == 36


def fresh_rows(A: int32[6, 6], B: int32[6, 6]):
    T: int32[6, 6] = 0
    for i in range(6):
        for j in range(6):
            for k in range(i + 1, 6):
                T[i, j] += A[k, i] * A[k, j]
    for i2, j2 in allo.grid(6, 6):
        B[i2, j2] = T[i2, j2]


def fresh_and_shared(A: int32[6, 6], B: int32[6, 6]):
    T: int32[6, 6] = 0
    for i in range(6):
        for j in range(6):
            for k in range(i + 1, 6):
                T[i, j] += A[k, i] * A[k, j]
    for i2, j2 in allo.grid(6, 6):
        T[i2, j2] += 1
        B[i2, j2] = T[5 - i2, j2] + T[i2, j2]


def fresh_result(A: int32[6, 6]) -> int32[6, 6]:
    T: int32[6, 6] = 0
    for i in range(6):
        for j in range(6):
            for k in range(i):
                T[i, j] += A[k, i] * A[k, j]
    return T


@pytest.mark.parametrize(
    ("kernel", "cleared"), [(fresh_rows, 0), (fresh_and_shared, 1), (fresh_result, 1)]
)
def test_cells_that_nothing_stores_to_need_no_clearing(kernel, cleared):
    s = customize(kernel)
    for loop in ["k", "j2"] if kernel is not fresh_result else ["k"]:
        s.pipeline(loop)
    rtl = check(s, seeds=(0, 1, 2), simulator="pysim")
    assert len(rtl.design.top.cleared) == cleared


def own_rows(A: int32[5, 5], B: int32[5]):
    for i in range(5):
        for k in range(i + 1):
            A[i, k] = A[k, k] + A[i, 0] + B[i]


def test_loads_of_an_array_that_is_written_stay():
    (loop,) = checked(own_rows).report().loops[-1:]
    assert loop.trip in (15, None)


def asked(A: float32[6, 6], y: float32[6]):
    for i in range(6):
        for k in range(2 * i + 1, 6):
            y[0] += A[i, k]


def test_an_interval_that_only_the_inner_loop_has_is_kept():
    s = customize(rank_update)
    s.pipeline("k", initiation_interval=1)
    check(s, simulator="pysim")


def random_nest(seed):
    """Loops whose bounds are random combinations of the counters around them."""
    dice = random.Random(seed)
    names = list("ijkl")[: dice.choice([2, 3, 3, 4])]
    most = {2: 7, 3: 5, 4: 3}[len(names)]

    def combination(known, low, high):
        terms = [f"{dice.choice([-1, 1, 1, 2])} * {v}" for v in known if dice.random() < 0.5]
        return " + ".join([*terms[:2], str(dice.randint(low, high))])

    def cell(array):
        return f"{array}[{combination(names, 30, 36)}]"

    def value():
        return dice.choice([cell("A"), cell("B"), cell("C"), "n", "t", *names])

    def statement():
        body = f"{dice.choice([cell('A'), cell('B'), 't'])} {dice.choice(['=', '+=', '-='])} "
        body += f"{value()} {dice.choice('+-*^')} {value()}"
        return f"if {value()} > {value()}: {body}" if dice.random() < 0.2 else body

    lines = ["from allo_rtl.ir.types import *", ""]
    lines += ["def top(A: int16[80], B: int16[80], C: int16[80], n: int8) -> int32:"]
    lines += ["    t: int32 = 1"]
    if outside := dice.random() < 0.3:
        lines += ["    for o in range(3):", "        t += C[o]"]
    known = ["o"] if outside else []
    for depth, name in enumerate(names):
        pad = "    " * (depth + 1 + outside)
        step = dice.choice(["", "", "", ", 2", ", 3"])
        low = combination(known, -1, 2) if depth or outside else "0"
        high = combination(known, 0, most) if depth or outside else str(most)
        lines += [f"{pad}for {name} in range({low}, {high}{step}):"]
        known.append(name)
    pad = "    " * (len(names) + 1 + outside)
    if dice.random() < 0.4:
        sides = [combination(names, -2, 3) for _ in range(4)]
        also = f" and {sides[2]} < {sides[3]}" if dice.random() < 0.5 else ""
        lines += [f"{pad}if {sides[0]} {dice.choice(['<', '<=', '>', '>='])} {sides[1]}{also}:"]
        pad += "    "
    lines += [f"{pad}{statement()}" for _ in range(dice.randint(1, 3))]
    return load("\n".join([*lines, "    return t"]) + "\n", "top"), names


MANY = (pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 300))


@pytest.mark.parametrize("seed", [*range(12), *MANY])
def test_random_nests_compute_the_same(seed):
    kernel, names = random_nest(seed)
    checked(kernel, names[-1], seeds=(seed,))


def test_most_random_nests_are_flattened():
    found = 0
    for seed in range(40):
        kernel, names = random_nest(seed)
        s = customize(kernel)
        s.pipeline(names[-1])
        control = s.build(target="rtl").design.top.control
        found += any(isinstance(p, Pipelined) and p.varies for p in regions(control.body))
    assert found > 20


@df.region()
def triangles(A: int32[6, 6], B: int32[6, 6]):
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[6, 6]):
        for i in range(6):
            for k in range(i + 1):
                link.put(a[i, k])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[6, 6]):
        for i in range(6):
            b[i, 5] = i
            for j in range(6):
                for k in range(i - 5, 1 + i - j):
                    if j == 0 and k >= 0:
                        b[i, k] = link.get()


def test_words_of_streams_are_in_order():
    s = df.customize(triangles)
    s.pipeline("give_0:k")
    s.pipeline("take_0:k")
    module = legalize(s.module)
    agree(module, random_args(module))
    loops = s.build(target="rtl").report().loops
    assert [x.name for x in loops if x.func.startswith("give")] == ["i, k"]
    assert "j, k" in [x.name for x in loops if x.func.startswith("take")]


def mirrored(A: float32[8, 8]):
    for i in range(7):
        for j in range(8):
            A[i + 1, j] = A[i, 7 - j] * 3.0


def test_a_nest_is_left_as_it_is_where_a_word_handed_on_would_make_it_slow():
    """The last word of a row is the first that the next one needs: no cycle lies between, flat."""
    s = customize(mirrored)
    s.pipeline("j")
    rtl = check(s, seeds=(0,), simulator="pysim", device="ecp5-85", clock_mhz=100)
    outer, inner = rtl.report().loops
    assert (inner.name, inner.ii) == ("j", 1)
    assert outer.limit == (
        "not flattened with the loops inside: iterations would start every 8 cycles"
    )
