"""Formulas over numbers that know their range: exact, in types that are wide enough."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.functions.flow import Flow
from allo_rtl.ir.functions.parts import normalised
from allo_rtl.ir.ops import Module
from allo_rtl.ir.types import Int, UInt
from allo_rtl.ir.verify import verify_module


def raw_of(flow, number, *args):
    """What raw of ``number`` is for these arguments, modulo 2**64."""
    func, tables = flow.function(number, 64)
    module = Module(funcs=(func,), top=func.name, globals=tables)
    verify_module(module)
    return evaluate(module, args)[0]


def value_of(flow, number, *args):
    """The number for these arguments, with a look at the range it claims."""
    raw = Int(64).wrap(raw_of(flow, number, *args))
    assert number.low <= raw <= number.high
    return Fraction(raw) / Fraction(2) ** number.fracs


FORMULAS = {
    "a + b": (lambda a, b: a + b),
    "a - b": (lambda a, b: a - b),
    "3 - a": (lambda a, b: 3 - a),
    "-a": (lambda a, b: -a),
    "a * b": (lambda a, b: a * b),
    "a * -5/8": (lambda a, b: a * Fraction(-5, 8)),
    "(a - b) * (a + 1)": (lambda a, b: (a - b) * (a + 1)),
    "abs(a - b)": (lambda a, b: abs(a - b)),
}


@pytest.mark.parametrize("name", FORMULAS)
@settings(max_examples=25)
@given(a=st.integers(0, 255), b=st.integers(0, 31), points=st.tuples(*[st.integers(-3, 9)] * 2))
def test_arithmetic_is_exact(name, a, b, points):
    flow = Flow("f", (8, 5))
    x, y = (n.scaled(-p) for n, p in zip(flow.args, points, strict=True))
    expected = FORMULAS[name](a / Fraction(2) ** points[0], b / Fraction(2) ** points[1])
    assert value_of(flow, FORMULAS[name](x, y), a, b) == expected


@settings(max_examples=25)
@given(a=st.integers(0, 255), b=st.integers(0, 31), point=st.integers(0, 9))
def test_comparisons_and_choices_look_at_the_number(a, b, point):
    flow = Flow("f", (8, 5))
    x, y = flow.args[0].scaled(-point), flow.args[1]
    number = Fraction(a, 1 << point)
    for condition, expected in (
        (x < y, number < b), (x <= y, number <= b), (x > y, number > b), (x >= y, number >= b),
        (x.equals(y), number == b), (~x.equals(y), number != b),
    ):  # fmt: skip
        assert value_of(flow, condition, a, b) == expected
    assert value_of(flow, flow.choose(x < y, x, y), a, b) == min(number, b)
    assert value_of(flow, x.max(y), a, b) == max(number, b)
    assert value_of(flow, x.min(y), a, b) == min(number, b)


@settings(max_examples=25)
@given(a=st.integers(0, 255), b=st.integers(0, 255), places=st.integers(0, 15))
def test_what_rounds_rounds_down(a, b, places):
    flow = Flow("f", (8, 8, 4))
    difference, amount = (flow.args[0] - flow.args[1]).scaled(-6), flow.args[2]
    args = a, b, places
    assert value_of(flow, difference.floor(2), *args) == Fraction((a - b) >> 4, 4)
    assert value_of(flow, difference.floor(9), *args) == Fraction(a - b, 64)
    assert value_of(flow, difference >> amount, *args) == Fraction((a - b) >> places, 64)
    assert value_of(flow, difference << amount, *args) == Fraction((a - b) << places, 64)
    assert value_of(flow, difference.bits(2, 4), *args) == (a - b) >> 2 & 15
    assert value_of(flow, difference.extended(9), *args) == Fraction(a - b, 64)


@settings(max_examples=25)
@given(a=st.integers(0, 255), b=st.integers(0, 255))
def test_bits_of_unsigned_numbers(a, b):
    flow = Flow("f", (8, 8))
    x, y = flow.args
    assert value_of(flow, x & y, a, b) == a & b
    assert value_of(flow, x | y, a, b) == a | b
    assert value_of(flow, x ^ y, a, b) == a ^ b
    assert value_of(flow, x.signed(8), a, b) == Int(8).wrap(a)


def test_results_have_the_narrowest_type():
    flow = Flow("f", (8, 5))
    a, b = flow.args
    types = [n.source.type for n in (a + b, a - b, a * b, a.scaled(-4) + b, a.bits(2, 3), a >> 3)]
    assert types == [UInt(9), Int(9), UInt(13), UInt(10), UInt(3), UInt(5)]


def test_constants_are_folded():
    flow = Flow("f", (8,))
    eleven = (flow.number(7) << 1) - 3
    assert eleven.source == 11
    assert flow.choose(flow.number(0), 5, flow.args[0]) is flow.args[0]


def test_a_constant_is_a_binary_fraction():
    with pytest.raises(ValueError, match=r"^1/3 has no finite binary expansion$"):
        Flow("f", (8,)).args[0] + Fraction(1, 3)


def test_a_range_that_is_known_narrows_the_type():
    flow = Flow("f", (8,))
    known = flow.args[0].scaled(-4).within(1, Fraction(5, 2))
    assert (known.low, known.high, known.source.type) == (16, 39, UInt(6))


@settings(max_examples=25)
@given(at=st.integers(0, 3))
def test_tables_lie_side_by_side_in_one_rom(at):
    flow = Flow("f", (2,))
    columns = [[5, 0, 7, 1], [-3, 2, 0, 1], [9, 9, 9, 9]]
    found = flow.lookup(flow.args[0], columns)
    assert [value_of(flow, n, at) for n in found] == [c[at] for c in columns]
    _, tables = flow.function(found[0], 8)
    assert [t.type.element for t in tables] == [UInt(3 + 3 + 4)]


def test_a_table_has_a_row_for_every_index():
    flow = Flow("f", (2,))
    with pytest.raises(AssertionError):
        flow.lookup(flow.args[0], [[1, 2, 3]])


@settings(max_examples=25)
@given(x=st.integers(0, 8191))
def test_leading_zeros_are_shifted_out(x):
    flow = Flow("f", (13,))
    shifted, places = normalised(flow.args[0].scaled(-4), 13)
    assert value_of(flow, shifted, x) == (x << 13 - x.bit_length() if x else 0)
    if x:
        assert value_of(flow, places, x) == 13 - x.bit_length()


@settings(max_examples=25)
@given(x=st.integers(0, 255), times=st.integers(1, 9))
def test_a_step_is_repeated(x, times):
    flow = Flow("f", (8,))
    result = flow.repeat(times, flow.args[0], 8, lambda turn, state: (state * 3 + turn).bits(0, 8))
    expected = x
    for turn in range(times):
        expected = (expected * 3 + turn) % 256
    assert raw_of(flow, result, x) == expected
