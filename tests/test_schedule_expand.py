"""Variables of an iteration that get an element for each: random nests, whatever stands in them."""

import random

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.rewrite import walk
from allo_rtl.verify import verify

OWN = ["v", "w", "line[0]", "line[1]"]
GIVEN = ["X[i, j]", "X[j, i]", "B[i]", "B[j]"]
OUT = ["A[i, j]", "A[j, i]", "B[i]", "B[j]"]
ORDERS = [("i", "j", "k"), ("j", "k"), ("k", "j"), ("i", "k", "j"), ("k", "i", "j")]
BOUNDS = ["range(3)", "range(i)", "range(i, 4)", "range(1, 4, 2)"]


def statement(dice, inside):
    own = [*OWN, "line[k % 2]"] if inside else OWN
    places = [*own, *own, dice.choice([*OUT, "A[i, k]", "B[k]"] if inside else OUT)]
    values = [*own, *GIVEN, *(["X[i, k]", "X[k, j]"] if inside else [])]
    place, a, b = dice.choice(places), dice.choice(values), dice.choice(values)
    return dice.choice([
        f"{place} = {a} + {b}", f"{place} = {a} * 3", f"{place} += {a}", f"{place} -= {a}",
        f"if {a} > 2: {place} = {b}",
    ])  # fmt: skip


def source(dice):
    """A nest of three loops with variables in the middle one."""
    before, inside, after = (
        [statement(dice, x) for _ in range(dice.randint(low, 2))]
        for x, low in ((False, 0), (True, 1), (False, 1))
    )
    declared = ["v: int32 = 0", f"w: int32 = {dice.choice(GIVEN)}", "line: int32[2] = 0"]
    out = f"A[i, j] {dice.choice(['=', '+='])} v + w * line[0] - line[1]"
    return "\n".join([
        "def kernel(X: int32[4, 4], A: int32[4, 4], B: int32[4]):",
        "    for i in range(1, 4):",
        f"        for j in range({dice.choice(['4', '1, 4', '0, 4, 2'])}):",
        *(f"            {x}" for x in (*declared, *before)),
        f"            for k in {dice.choice(BOUNDS)}:",
        *(f"                {x}" for x in inside),
        *(f"            {x}" for x in (*after, out)),
    ])  # fmt: skip


def moved(text, dice):
    """The schedule of a kernel in another order; None where that is refused."""
    s = allo.customize(text)
    try:
        if dice.random() < 0.4:
            s.partial_sums("k", 1)
    except ScheduleError:
        pass
    try:
        s.reorder(*dice.choice(ORDERS))
    except ScheduleError:
        return None
    return s


def results(schedule):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-9, 9, shape, np.int32) for shape in ((4, 4), (4, 4), (4,))]
    schedule.build()(*arrays)
    return arrays


def tried(seeds):
    """How many random kernels came in another order, and in how many of them a variable has
    elements; AssertionError where a result differs."""
    taken = wider = 0
    for seed in seeds:
        dice = random.Random(seed)
        text = source(dice)
        if (s := moved(text, dice)) is None:
            continue
        taken += 1
        made = [v for op in walk(s.top_func.body) for v in op.results()]
        wider += any(v.name == "v" and getattr(v.type, "rank", 0) for v in made)
        for a, b in zip(results(s), results(allo.customize(text)), strict=True):
            assert np.array_equal(a, b), (seed, text)
        if seed % 10 == 0:
            assert verify(allo.customize(text), s).equal
    return taken, wider


def test_no_order_that_is_taken_changes_a_result():
    taken, wider = tried(range(60))
    assert taken > 20
    assert wider > 10


@pytest.mark.long
def test_many_more():
    tried(range(60, 1000))
