"""Conditions of counters as formulas: true in just the iterations in which Python says so."""

import random

import islpy as isl
import pytest
from source_generators import PREAMBLE, load

import allo_rtl as allo
from allo_rtl.ir.guards import Guards
from allo_rtl.ir.ops import If
from allo_rtl.ir.rewrite import loops, walk

ROWS, COLUMNS = 6, 5


def formulas(condition):
    """The formulas of both branches over the counters i and j; None where there is none."""
    text = f"""{PREAMBLE}
def top(A: int32[{ROWS}, {COLUMNS}], n: int32):
    for i, j in allo.grid({ROWS}, {COLUMNS}):
        if {condition}:
            A[i, j] = 1
"""
    func = allo.customize(load(text, "top")).module.top_func
    names = {loop.iv: loop.iv.name for loop in loops(func.body)}
    (op,) = [op for op in walk(func.body) if isinstance(op, If)]
    guards = Guards(func.body)
    return [guards.formula(op, branch, names) for branch in (0, 1)]


def random_condition(dice, depth=2):
    if depth and dice.random() < 0.6:
        a, b = random_condition(dice, depth - 1), random_condition(dice, depth - 1)
        return f"({a} {dice.choice(['and', 'or'])} {b})"
    terms = ["i", "j", "i + 1", "i + j", "j - i", "i % 2", "j // 2", "2 * i", "i - j + 2"]
    sign = dice.choice(["<", "<=", ">", ">=", "==", "!="])
    text = f"{dice.choice(terms)} {sign} {dice.choice([*terms, '0', '2', '3', '4'])}"
    return f"not ({text})" if dice.random() < 0.2 else text


@pytest.mark.parametrize("seed", range(25))
def test_conditions_of_counters(seed):
    condition = random_condition(random.Random(seed))
    for branch, formula in enumerate(formulas(condition)):
        assert formula is not None, condition
        found = isl.Set(f"{{ [i, j] : 0 <= i < {ROWS} and 0 <= j < {COLUMNS} and ({formula}) }}")
        wanted = [
            (i, j) for i in range(ROWS) for j in range(COLUMNS)
            if bool(eval(condition)) is (branch == 0)
        ]  # fmt: skip
        points = []
        found.foreach_point(
            lambda p, points=points: points.append(tuple(
                p.get_coordinate_val(isl.dim_type.set, k).to_python() for k in range(2)
            ))
        )
        assert sorted(points) == wanted, condition


@pytest.mark.parametrize("condition", ["A[i, j] > 0", "i < n", "i * j > 3", "i < A[0, 0]"])
def test_what_depends_on_anything_else_has_no_formula(condition):
    assert formulas(condition) == [None, None]
