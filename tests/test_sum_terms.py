"""Long sums: adding to one in place gives the term that building it anew gives."""

import random

import pytest

from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.polynomials import bounds
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import Int, UInt, index

WIDTHS = [Int(33), Int(32), UInt(32), Int(12), index]


def rebuilt(terms, a):
    return terms.of_polynomial(a.type, terms.polynomial(a))


def products(terms, count):
    """Products of inputs of few bits, each on its own."""
    names = [(terms.input(f"x{n}", Int(4)), terms.input(f"y{n}", UInt(3))) for n in range(count)]
    return [
        terms.binary(BinaryKind.MUL, Int(8), terms.cast(Int(8), x), terms.cast(Int(8), y))
        for x, y in names
    ]


@pytest.mark.parametrize("seed", range(20))
def test_grown_and_resized_sums_are_in_normal_form(seed):
    terms, dice = Terms(), random.Random(seed)
    found, addends = terms.input("start", Int(32)), products(terms, 30)
    for _ in range(120):
        kind = dice.choice([BinaryKind.ADD, BinaryKind.ADD, BinaryKind.SUB])
        addend = terms.cast(found.type, dice.choice(addends))
        if dice.random() < 0.2:
            addend = terms.const(dice.randint(-9, 9), Int(5))
            addend = terms.cast(found.type, addend)
        found = terms.binary(kind, found.type, found, addend)
        if dice.random() < 0.3:
            found = terms.cast(dice.choice(WIDTHS), found)
        assert rebuilt(terms, found) is found
        if found.kind == "sum":
            facts, poly = terms.facts(found), terms.polynomial(found)
            assert facts.range == bounds(poly, terms.range_of)
            assert facts.most >= max(map(abs, poly.values()))


@pytest.mark.parametrize("target", [Int(32), Int(12)])
def test_a_sum_does_not_depend_on_the_order_even_where_it_wraps(target):
    terms = Terms()
    addends, wide = products(terms, 60), Int(65)
    sums = []
    for order in (addends, addends[::-1]):
        found = terms.input("start", target)
        for addend in order:
            both = [terms.cast(wide, found), terms.cast(wide, addend)]
            found = terms.cast(target, terms.binary(BinaryKind.ADD, wide, *both))
        sums.append(found)
    assert sums[0] is sums[1]
    assert len(sums[0].parts) == 61


@pytest.mark.parametrize("start", ["", "start"])
def test_a_step_of_a_long_sum_does_not_build_it_anew(start, monkeypatch):
    terms, sizes = Terms(), []
    plain = terms.of_polynomial
    monkeypatch.setattr(terms, "of_polynomial", lambda t, p: sizes.append(len(p)) or plain(t, p))
    found = terms.input(start, Int(32)) if start else terms.const(0, Int(32))
    for addend in products(terms, 100):
        both = [terms.cast(Int(33), found), terms.cast(Int(33), addend)]
        found = terms.cast(Int(32), terms.binary(BinaryKind.ADD, Int(33), *both))
    assert len(found.parts) == 100 + bool(start)
    assert max(sizes) < 16
