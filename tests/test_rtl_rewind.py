"""pipeline(..., rewind=True): the next run of a loop starts without draining the pipeline."""

import random

import pytest
from agreement import check
from source_generators import load

from allo_rtl.customize import customize
from allo_rtl.ir.types import int8, int32


def product(A: int8[6, 8], B: int8[8, 5], C: int32[6, 5]):
    for i in range(6):
        for j in range(5):
            v: int32 = 0
            for k in range(8):
                v += A[i, k] * B[k, j]
            C[i, j] = v


def weighted(A: int32[6, 8], W: int32[6], C: int32[6, 8], S: int32[6]):
    for i in range(6):
        w: int32 = W[i]
        for k in range(8):
            C[i, k] = A[i, k] * w
        S[i] = w + 1


def three_levels(A: int32[3, 4, 5], C: int32[3]):
    for i in range(3):
        most: int32 = 0
        for j in range(4):
            row: int32 = A[i, j, 0]
            for k in range(1, 5):
                row += A[i, j, k] * most
            most += row
        C[i] = most


def rewound(kernel, **options):
    s = customize(kernel)
    s.pipeline("k", rewind=True)
    return check(s, simulator="pysim", original=customize(kernel).module, **options)


@pytest.mark.parametrize(
    ("kernel", "iterations", "interval"),
    [(product, 240, 1), (weighted, 48, 1), (three_levels, 48, 2)],
)
def test_one_pipeline_runs_through_all_iterations(kernel, iterations, interval):
    rtl = rewound(kernel)
    (loop,) = rtl.report().loops
    assert (loop.trip, loop.ii) == (iterations, interval)
    assert rtl.predicted_cycles <= iterations * interval + loop.depth
    plain = customize(kernel)
    plain.pipeline("k")
    assert len(plain.build(target="rtl").report().loops) > 1


def by_data(A: int32[6, 8], n: int32, B: int32[6]):
    for i in range(6):
        B[i] = 0
        for k in range(n):
            B[i] += A[i, k]


def with_array(A: int32[6, 8], B: int32[6, 8]):
    for i in range(6):
        row: int32[8] = 0
        for k in range(8):
            row[7 - k] = A[i, k]
        B[i, 0] = row[0]


def two_loops(A: int32[6, 8], B: int32[6]):
    for i in range(6):
        for k in range(8):
            A[i, k] += 1
        for m in range(8):
            B[i] += A[i, m]


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (by_data, "loop 'k' may have no iteration"),
        (with_array, "each iteration of loop 'i' makes 'row' anew"),
        (two_loops, "a loop, a call or a stream is used beside it in loop 'i'"),
    ],
)
def test_the_report_says_why_a_loop_is_not_rewound(kernel, why):
    rtl = rewound(kernel, limits={"n": (0, 8)})
    assert f"{kernel.__name__}: loop 'k' is not rewound: {why}" in rtl.report().notes


def random_nest(seed):
    """A kernel of three loops with statements beside and inside each, on shared variables."""
    dice = random.Random(seed)

    def value(names):
        at = f"A[i, {'j' if 'j' in names else '1'}, {'2 - k' if 'k' in names else '0'}]"
        return dice.choice([at, "C[i]", "n", "g", "t", *names])

    def statement(names):
        target = dice.choice(["g", "t", "C[i]", "C[4 - i]", at_of(names)])
        body = f"{target} {dice.choice(['=', '+=', '-='])} {value(names)} "
        body += f"{dice.choice('+-*^')} {value(names)}"
        return f"if {value(names)} > {value(names)}: {body}" if dice.random() < 0.2 else body

    def at_of(names):
        return f"A[i, {'j' if 'j' in names else '2'}, {'k' if 'k' in names else '0'}]"

    def beside(depth):
        names = list("ijk")[:depth]
        return [f"{'    ' * (depth + 1)}{statement(names)}" for _ in range(dice.randint(0, 2))]

    lines = ["import allo_rtl as allo", "from allo_rtl.ir.types import *", ""]
    lines += ["def top(A: int32[5, 4, 3], C: int32[5], n: int8) -> int32:"]
    lines += ["    g: int32 = 0", "    t: int32 = 1", "    for i in range(5):", *beside(1)]
    lines += ["        for j in range(4):", *beside(2), "            for k in range(1, 3):"]
    lines += [f"                {statement(list('ijk'))}", *beside(2), *beside(1)]
    return load("\n".join([*lines, "    return g + t"]) + "\n", "top")


MANY = (pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 60))


@pytest.mark.parametrize("seed", [*range(3), *MANY])
def test_random_nests_compute_the_same(seed):
    rtl = rewound(random_nest(seed))
    assert [loop.name for loop in rtl.report().loops] == ["i, j, k"]


def triangular_sums(A: int32[7, 7], C: int32[7]):
    for i in range(7):
        v: int32 = C[i]
        for k in range(i):
            v += A[i, k]
        C[i] = v * 2


def in_place(A: int8[6, 6], B: int32[6, 5]):
    for i in range(6):
        for j in range(5):
            v: int32 = 0
            for k in range(i + 1, 6):
                v += A[k, i] * B[k, j]
            B[i, j] += v


def from_both_ends(A: int32[8, 8], C: int32[8]):
    for i in range(8):
        t: int32 = 0
        for j in range(i, 8):
            for k in range(2, j + 3, 2):
                t += A[i, (j + k) % 8]
        C[i] = t - i


@pytest.mark.parametrize("kernel", [triangular_sums, in_place, from_both_ends])
def test_nests_whose_bounds_vary_are_rewound(kernel):
    rtl = rewound(kernel)
    assert not rtl.report().notes
    assert not any(loop.ii is None for loop in rtl.report().loops), "one after the other"


def by_two_counters(A: int32[6, 6, 6], C: int32[6, 6]):
    for i in range(6):
        for j in range(6):
            C[i, j] = 0
            for k in range(j, i):
                C[i, j] += A[i, j, k]


def test_runs_that_cannot_be_set_apart_stay():
    rtl = rewound(by_two_counters)
    assert "loop 'k' is not rewound: loop 'k' may have no iteration" in rtl.report().notes[0]


def random_varying_nest(seed):
    """Two or three loops with statements beside them, whose inner ranges vary and may be empty."""
    dice = random.Random(seed)
    three = dice.random() < 0.6
    names = ["i", "j", "k"] if three else ["i", "k"]

    def value(known):
        at = f"A[{dice.choice(known)} + 20, {dice.choice(known)} + 20]"
        return dice.choice([at, "C[i]", "n", "g", "t", *known])

    def statement(known):
        target = dice.choice(["g", "t", "C[i]", "C[5 - i]", f"A[i, {dice.choice(known)} + 20]"])
        body = f"{target} {dice.choice(['=', '+=', '-='])} {value(known)} "
        body += f"{dice.choice('+-*^')} {value(known)}"
        return f"if {value(known)} > {value(known)}: {body}" if dice.random() < 0.2 else body

    def bounds(known):
        a = f"{dice.choice(['', '2 * '])}{dice.choice(known)}"
        step = dice.choice(["", "", ", 2"])
        return dice.choice([
            f"range({a}{step})", f"range({a} - 1, 5{step})", f"range({a} + 1, 4{step})",
            f"range(6 - {a}{step})", f"range({a}, {a} + 3{step})", "range(1, 4)",
        ])  # fmt: skip

    lines = ["from allo_rtl.ir.types import *", ""]
    lines += ["def top(A: int32[48, 48], C: int32[6], n: int8) -> int32:"]
    lines += ["    g: int32 = 0", "    t: int32 = 1"]
    for depth, name in enumerate(names):
        pad = "    " * (depth + 1)
        lines += [f"{pad}for {name} in {bounds(names[:depth]) if depth else 'range(6)'}:"]
        lines += [f"{pad}    {statement(names[:depth + 1])}" for _ in range(dice.randint(0, 2))]
    lines += [f"{'    ' * (len(names) + 1)}{statement(names)}"]
    for depth in reversed(range(1, len(names))):
        pad = "    " * (depth + 1)
        lines += [f"{pad}{statement(names[:depth])}" for _ in range(dice.randint(0, 2))]
    return load("\n".join([*lines, "    return g + t"]) + "\n", "top")


MORE = (pytest.param(seed, marks=pytest.mark.long) for seed in range(6, 150))


@pytest.mark.parametrize("seed", [*range(6), *MORE])
def test_random_nests_whose_bounds_vary_compute_the_same(seed):
    rewound(random_varying_nest(seed))
