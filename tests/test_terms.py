"""Terms: whatever is computed, the normal form stands for the same number."""

import random

import pytest

from allo_rtl.ir.arithmetic import eval_binary, eval_cast, eval_compare
from allo_rtl.ir.ops import BinaryKind, Predicate
from allo_rtl.ir.term_values import parts_first, values
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import Int, UInt, bool_, index

TYPES = [Int(1), UInt(1), UInt(1), Int(2), UInt(2), Int(3), UInt(3), Int(4), Int(5), UInt(6),
         Int(9), UInt(12), index]  # fmt: skip


class Made:
    """A term, and what it is for each of some inputs, by the arithmetic of the evaluator."""

    def __init__(self, term, numbers):
        self.term, self.numbers = term, numbers


def step(terms, dice, known):
    """One operation on what there is."""
    def pick(type_=None):
        made = dice.choice(known[-6:] if dice.random() < 0.6 else known)
        if type_ is None or made.term.type == type_:
            return made
        numbers = [eval_cast(type_, n, made.term.type) for n in made.numbers]
        return Made(terms.cast(type_, made.term), numbers)

    a = pick()
    type_ = a.term.type
    choice = dice.random()
    if choice < 0.15:
        return pick(dice.choice(TYPES))
    if choice < 0.25:
        value = dice.randint(type_.min, type_.max) if type_ != index else dice.randint(-9, 9)
        return Made(terms.const(value, type_), [value] * len(a.numbers))
    if choice < 0.4:
        b, predicate = pick(type_), dice.choice(list(Predicate))
        term = terms.compare(predicate, a.term, b.term)
        pairs = zip(a.numbers, b.numbers, strict=True)
        return Made(term, [eval_compare(predicate, x, y, type_) for x, y in pairs])
    if choice < 0.55:
        b, c = pick(type_), pick(bool_)
        term = terms.select(c.term, a.term, b.term)
        triples = zip(a.numbers, b.numbers, c.numbers, strict=True)
        return Made(term, [x if z else y for x, y, z in triples])
    kind = dice.choice([*BinaryKind, *[BinaryKind.ADD, BinaryKind.SUB, BinaryKind.MUL] * 3])
    b = pick(type_)
    if dice.random() < 0.3:
        value = dice.randint(max(type_.min, -9), min(type_.max, 9))
        b = Made(terms.const(value, type_), [value] * len(a.numbers))
    pairs = zip(a.numbers, b.numbers, strict=True)
    numbers = [eval_binary(kind, type_, x, y) for x, y in pairs]
    return Made(terms.binary(kind, type_, a.term, b.term), numbers)


def inputs(dice, terms, count):
    types = [dice.choice(TYPES[:-1]) for _ in range(3)]
    return [
        Made(terms.input(f"x{k}", t), [dice.randint(t.min, t.max) for _ in range(count)])
        for k, t in enumerate(types)
    ]


def check(seed, steps=25, count=24):
    """Random operations on three inputs."""
    dice, terms = random.Random(seed), Terms()
    known = inputs(dice, terms, count)
    given = {f"x{k}": made.numbers for k, made in enumerate(known)}
    for _ in range(steps):
        known.append(step(terms, dice, known))
    ordered = parts_first([made.term for made in known], 100_000)
    for n in range(count):
        found = values(ordered, {name: numbers[n] for name, numbers in given.items()})
        for made in known:
            assert found[made.term] == made.numbers[n], (seed, str(made.term))
            low, high = terms.range_of(made.term)
            assert low <= made.numbers[n] <= high, (seed, str(made.term))


@pytest.mark.parametrize("block", range(4))
def test_terms_stand_for_what_is_computed(block):
    for seed in range(50 * block, 50 * block + 50):
        check(seed)


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_many_terms_stand_for_what_is_computed(block):
    for seed in range(10_000 + 1000 * block, 11_000 + 1000 * block):
        check(seed, steps=40)


def test_modulo_2_every_number_is_its_own_square_however_deep_it_is_squared():
    terms = Terms()
    x, y = terms.input("x", Int(8)), terms.input("y", Int(8))
    found = x
    for width in range(9, 40):  # each may wrap, so that it is an atom of the next
        wider = terms.cast(Int(width), found)
        square = terms.binary(BinaryKind.MUL, Int(width), wider, wider)
        found = terms.binary(BinaryKind.ADD, Int(width), square, terms.cast(Int(width), y))
    low = [terms.cast(bool_, t) for t in (found, x, y)]
    assert low[0] is terms.binary(BinaryKind.ADD, bool_, low[1], low[2])
