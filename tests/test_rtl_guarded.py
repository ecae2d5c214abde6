"""Accesses under conditions on counters: distances are those between iterations that take place."""

import random
from itertools import product

import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.hls.certificate import Reason
from allo_rtl.ir.dependence import accesses, carried_distance
from allo_rtl.ir.guards import Guards
from allo_rtl.ir.ops import For, Load, Store
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import float32, int32

DEVICE = "ecp5-85"


def odd_from_even(A: int32[64]):
    for i in range(1, 63):
        if i % 2 == 0:
            A[i] = (A[i - 1] * 3 + 1) * 5


def first_and_last(A: float32[8, 8], y: float32[8]):
    for i in range(8):
        for j in range(8):
            if j == 0:
                y[i] = A[i, j] * 2.0
            if j == 7:
                y[i] = y[i] + A[i, j]


def either(A: int32[33], B: int32[32]):
    for i in range(32):
        if B[i] > 0:
            A[i] = B[i]
        else:
            A[i + 1] = 2


def both(A: int32[33], B: int32[32]):
    for i in range(32):
        if B[i] > 0:
            A[i] = B[i]
        if B[i] > 9:
            A[i + 1] = 2


def built(kernel, loop):
    s = allo.customize(kernel)
    s.pipeline(loop)
    return s


def limit(kernel, loop):
    s = built(kernel, loop)
    rtl = check(s, seeds=(0,), simulator="pysim", device=DEVICE, clock_mhz=100)
    [found] = rtl.report().loops
    return found.ii, found.certificate.reason


def test_what_no_iteration_stores_keeps_none_waiting():
    assert limit(odd_from_even, "i") == (1, Reason.ONE)


def test_a_word_is_waited_for_from_the_iteration_that_stores_it():
    """Seven iterations lie between; taken as one in each, a sum of floats would take ten cycles."""
    assert limit(first_and_last, "j")[0] == 2


def test_stores_of_which_one_is_made_share_a_port():
    assert limit(either, "i") == (1, Reason.ONE)
    assert limit(both, "i") == (2, Reason.PORT)


# Against all pairs of iterations.

SUBSCRIPTS = ("i", "j", "i + 1", "i + j", "2 * i", "7 - j", "i + 2 * j", "3")
CONDITIONS = (
    "i == 0", "j == 3", "j > i", "i % 2 == 0", "i + j < 4", "j != 1", "(i + j) % 3 == 1",
    "i == 1 and j < 2", "not i == j",
)  # fmt: skip


def guarded_text(dice):
    a, b = (dice.choice(SUBSCRIPTS) for _ in range(2))
    first, second = (dice.choice(CONDITIONS) for _ in range(2))
    text = f"""
def guarded(A: int32[32], B: int32[4, 4], C: int32[4, 4]):
    for i in range(4):
        for j in range(4):
            if {first}:
                A[{a}] = B[i, j]
            if {second}:
                C[i, j] = A[{b}] + 1
"""
    return text, (a, first), (b, second)


def least(src, dst):
    """The least distance by trying all."""
    points = list(enumerate(product(range(4), range(4))))

    def cell(access, point):
        at = dict(zip("ij", point, strict=True))
        return eval(access[0], at.copy()) if eval(access[1], at.copy()) else None

    written = [(n, c) for n, p in points if (c := cell(src, p)) is not None]
    read = [(n, c) for n, p in points if (c := cell(dst, p)) is not None]
    return min((m - n for n, c in written for m, d in read if m > n and c == d), default=None)


@pytest.mark.parametrize("seed", range(60))
def test_distances_are_those_of_accesses_that_take_place(seed):
    text, store, load = guarded_text(random.Random(seed))
    func = allo.customize(text, global_vars={"int32": int32}).module.top_func
    nest = list(loops(func.body))
    [outer] = [op for op in func.body if isinstance(op, For)]
    found = [a for a in accesses((outer,)) if a.array.name == "A"]
    [stored] = [a for a in found if isinstance(a.op, Store)]
    [loaded] = [a for a in found if isinstance(a.op, Load)]
    guards = Guards((outer,))
    assert carried_distance(stored, loaded, nest, guards) == least(store, load), text
    assert carried_distance(loaded, stored, nest, guards) == least(load, store), text


STATEMENTS = (
    "A[{a}] = B[i, j] + {c}", "C[i, j] = A[{a}] + {c}", "A[{a}] = A[{b}] * 3 + {c}",
    "A[{a}] += B[i, j]",
)  # fmt: skip


def random_text(dice):
    """Statements under conditions on counters and on data, some in both branches."""
    lines = []
    for number in range(dice.randint(2, 3)):
        condition = dice.choice([*CONDITIONS, "B[i, j] > 0"])
        here, there = (
            dice.choice(STATEMENTS).format(
                a=dice.choice(SUBSCRIPTS), b=dice.choice(SUBSCRIPTS), c=number
            )
            for _ in range(2)
        )
        lines += [f"if {condition}:", f"    {here}"]
        lines += ["else:", f"    {there}"] if dice.random() < 0.5 else []
    body = "\n".join(" " * 12 + line for line in lines)
    return f"""
def statements(A: int32[32], B: int32[4, 4], C: int32[4, 4]):
    for i in range(4):
        for j in range(4):
{body}
"""


@pytest.mark.parametrize(
    "seed", [n if n < 6 else pytest.param(n, marks=pytest.mark.long) for n in range(60)]
)
def test_random_statements_under_conditions_compute_the_same(seed):
    s = allo.customize(random_text(random.Random(seed)), global_vars={"int32": int32})
    s.pipeline("j")
    check(s, seeds=(0, 1), simulator="pysim", device=DEVICE, clock_mhz=100)
