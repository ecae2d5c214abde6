"""Affine expressions: one canonical form, and what is computed from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import index

I, J, K = VALUES = [Value(index, n) for n in "ijk"]
i, j, k = map(AffineExpr.of, VALUES)
numbers = st.integers(-40, 40)
points = st.fixed_dictionaries(dict.fromkeys(VALUES, numbers))
ranges = st.tuples(numbers, numbers)
divisors = st.integers(1, 12)


@st.composite
def recipes(draw, depth=3):
    """A tree of operators, from which an expression and its value can be made apart."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.one_of(numbers, st.sampled_from(VALUES)))
    op = draw(st.sampled_from(["+", "-", "*", "//", "%"]))
    right = recipes(depth - 1) if op in "+-" else numbers if op == "*" else divisors
    return op, draw(recipes(depth - 1)), draw(right)


def build(recipe):
    match recipe:
        case int():
            return AffineExpr.constant(recipe)
        case Value():
            return AffineExpr.of(recipe)
        case "+", a, b:
            return build(a) + build(b)
        case "-", a, b:
            return build(a) - build(b)
        case "*", a, n:
            return build(a) * n
        case "//", a, n:
            return build(a).floordiv(n)
        case "%", a, n:
            return build(a).mod(n)


def compute(recipe, env):
    match recipe:
        case int():
            return recipe
        case Value():
            return env[recipe]
        case "+", a, b:
            return compute(a, env) + compute(b, env)
        case "-", a, b:
            return compute(a, env) - compute(b, env)
        case "*", a, n:
            return compute(a, env) * n
        case "//", a, n:
            return compute(a, env) // n
        case "%", a, n:
            return compute(a, env) % n


@given(recipes(), points)
def test_the_canonical_form_keeps_the_value(recipe, env):
    assert build(recipe).evaluate(env.__getitem__) == compute(recipe, env)


@given(recipes(), recipes())
def test_equal_sums_are_equal_objects(a, b):
    a, b = build(a), build(b)
    assert a + b == b + a
    assert hash(a + b) == hash(b + a)
    assert a + b - b == a
    assert a - a == AffineExpr.constant(0)


@given(recipes(), divisors)
def test_quotient_and_remainder_ignore_multiples(recipe, n):
    e = build(recipe)
    assert (e + i * n).floordiv(n) == e.floordiv(n) + i
    assert (e + i * n).mod(n) == e.mod(n)


@given(recipes(), divisors, st.integers(1, 5))
def test_common_factors_are_divided_out(recipe, n, g):
    e = build(recipe)
    assert (e * g).floordiv(n * g) == e.floordiv(n)
    assert (e * g).mod(n * g) == e.mod(n) * g


@given(recipes(), divisors, divisors)
def test_a_remainder_of_a_remainder_is_one(recipe, m, n):
    e = build(recipe)
    assert e.mod(m * n).mod(n) == e.mod(n)
    assert (e.mod(m) * n + j).mod(m * n) == (e * n + j).mod(m * n)


@given(numbers, divisors, divisors)
def test_a_division_of_a_division_is_one(c, m, n):
    e = i + c
    assert e.floordiv(m).floordiv(n) == e.floordiv(m * n)
    assert (e.floordiv(m) + 1).floordiv(n) == (e + m).floordiv(m * n)


@given(recipes(), st.fixed_dictionaries(dict.fromkeys(VALUES, ranges)), st.data())
def test_bounds_contain_every_value_and_simplify_keeps_it(recipe, ends, data):
    spans = {v: (min(e), max(e)) for v, e in ends.items()}
    expr = build(recipe)
    low, high = expr.bounds(spans.__getitem__)
    env = {v: data.draw(st.integers(*span)) for v, span in spans.items()}
    value = expr.evaluate(env.__getitem__)
    assert low <= value <= high
    assert expr.simplify(spans.__getitem__).evaluate(env.__getitem__) == value


@given(recipes(), recipes(), points)
def test_substitution_is_evaluation_at_another_point(recipe, for_i, env):
    inner = build(for_i)
    replaced = build(recipe).substitute({I: inner}.get)
    moved = {**env, I: inner.evaluate(env.__getitem__)}
    assert replaced.evaluate(env.__getitem__) == build(recipe).evaluate(moved.__getitem__)


def test_simplify_drops_what_ranges_make_trivial():
    spans = {I: (0, 7), J: (8, 15), K: (-1, 0)}.__getitem__
    assert i.mod(8).simplify(spans) == i
    assert i.floordiv(8).simplify(spans) == AffineExpr.constant(0)
    assert j.mod(8).simplify(spans) == j - 8
    assert j.floordiv(8).simplify(spans) == AffineExpr.constant(1)
    assert k.floordiv(2).simplify(spans) == k.floordiv(2)
    assert (i * 8 + i).floordiv(8).simplify(spans) == i


def test_what_an_expression_says_of_itself():
    assert AffineExpr.constant(3).is_constant
    assert not i.is_constant
    assert i.as_value is I
    assert (i + 1).as_value is None
    assert (i * 2).as_value is None
    assert i.mod(4).as_value is None
    assert (i * 3 + j.mod(4)).coefficient(I) == 3
    assert (i * 3 + j.mod(4)).coefficient(J) == 0
    assert (i + j).is_linear
    assert not (i + j.mod(2)).is_linear
    assert (i + (j + k.mod(3)).floordiv(2)).values == {I, J, K}


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (i * 0, "0"),
        (i + 1, "i + 1"),
        (j * -2 + i - 3, "i - 2*j - 3"),
        ((i + 1).floordiv(4) * 2, "2*(i + 1) floordiv 4"),
        ((i * 6 + j * 5).mod(4), "(2*i + j) mod 4"),
    ],
)
def test_text(expr, text):
    assert str(expr) == text


def test_divisors_are_positive():
    with pytest.raises(ValueError, match=r"^floordiv needs a divisor of 1 or more, not 0$"):
        i.floordiv(0)
    with pytest.raises(ValueError, match=r"^mod needs a divisor of 1 or more, not -2$"):
        i.mod(-2)
