"""Random statements on arrays against numpy with unbounded integers."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl import customize
from allo_rtl.ir.types import int8, int16, int32
from allo_rtl.ir.verify import verify_module

SHAPES = {"A": (4, 6), "B": (4, 6), "v": (6,), "T": (2, 4, 6)}
TYPES = {"A": int32, "B": int8, "v": int16, "T": int32}
HEADER = "def f(A: int32[4, 6], B: int8[4, 6], v: int16[6], T: int32[2, 4, 6], n: int32):\n"


@st.composite
def subscript(draw, extent):
    """(text, is the dimension kept) of one subscript."""
    if draw(st.booleans()):
        at = draw(st.integers(-extent, extent - 1))
        low = st.sampled_from([str(at), *(["n"] if extent > 2 else [])])
        return draw(low), False
    low = draw(st.integers(0, extent - 1))
    high = draw(st.integers(low + 1, extent))
    if high - low <= extent - 2 and draw(st.booleans()):  # n is 2
        return f"n : n + {high - low}", True
    step = draw(st.sampled_from(["", ":2"]))
    text_low = "" if low == 0 and draw(st.booleans()) else str(low)
    text_high = "" if high == extent and draw(st.booleans()) else str(high)
    return f"{text_low}:{text_high}{step}", True


@st.composite
def part(draw):
    """An array, or part of one of at least one dimension."""
    name = draw(st.sampled_from(sorted(SHAPES)))
    shape = SHAPES[name]
    count = draw(st.integers(0, len(shape)))
    found = [draw(subscript(n)) for n in shape[:count]]
    if count == len(shape) and not any(kept for _, kept in found):
        found = found[:-1]
    text = ", ".join(t for t, _ in found)
    return f"{name}[{text}]" if found else name


def shape_of(text):
    """The shape of an expression, or None if its parts do not fit."""
    names = {k: np.zeros(s, int) for k, s in SHAPES.items()} | {"n": 2, "allo": allo}
    try:
        return np.shape(eval(text, names))
    except ValueError:
        return None


@st.composite
def expression(draw, depth=2):
    """A scalar or array expression, whose shapes may not fit."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.one_of(part(), part(), st.integers(-9, 9).map(str), st.just("n")))
    kind = draw(st.sampled_from("+-*+-*TNCrc"))
    inner = draw(expression(depth - 1))
    match kind:
        case "T" if shape_of(inner):
            return f"({inner}).T"
        case "N":
            return f"(0 - {inner})"
        case "C" if shape_of(inner):
            return f"({inner}).copy()"
        case "r" if shape_of(inner):
            return f"allo.relu({inner})"
        case "c" if shape_of(inner):
            return f"allo.concat({inner}, {inner}, axis=0)"
    op = kind if kind in "+-*" else "+"
    return f"({inner} {op} {draw(expression(depth - 1))})"


@st.composite
def statement(draw):
    """An assignment to an array or part of one."""
    target = draw(part())
    value = draw(expression())
    if not fits(shape_of(value), shape_of(target)):
        value = draw(st.integers(-300, 300).map(str))
    op = draw(st.sampled_from(["=", "=", "+=", "-="]))
    return f"{target} {op} {value}"


def fits(found, wanted):
    """Whether a value's shape is broadcast to the target's."""
    try:
        return found is not None and np.broadcast_shapes(found, wanted) == wanted
    except ValueError:
        return False


def reference(text, args):
    """What numpy makes of a statement with unbounded integers, wrapped when stored."""
    wide = {k: a.astype(object) for k, a in args.items()}
    names = {**wide, "n": 2, "allo": allo}
    place, op, value = re.fullmatch(r"(.*) ([-+]?)= (.*)", text).groups()
    right, old, name = eval(value, names), eval(place, names), place.partition("[")[0]
    right = {"": right, "+": old + right, "-": old - right}[op]
    names["_"] = np.array(right, dtype=object)
    exec(f"{place}[...] = _" if place == name else f"{place} = _", names)
    wrapped = [TYPES[name].wrap(int(x)) for x in wide[name].flat]
    args[name][...] = np.array(wrapped).reshape(args[name].shape)


def check_statements(statements, seed):
    random = np.random.default_rng(seed)
    dtypes = {int32: np.int32, int8: np.int8, int16: np.int16}
    args = {
        k: random.integers(TYPES[k].min, TYPES[k].max + 1, s).astype(dtypes[TYPES[k]])
        for k, s in SHAPES.items()
    }
    text = HEADER + "".join(f"    {s}\n" for s in statements)
    given_ = {k: a.copy() for k, a in args.items()}
    s = customize(text, global_vars={"allo": allo, "int32": int32, "int8": int8, "int16": int16})
    verify_module(s.module)
    s.build(target="evaluator")(*given_.values(), 2)
    for one in statements:
        reference(one, args)
    for name in SHAPES:
        assert np.array_equal(given_[name], args[name]), f"{name}\n{text}"


@settings(max_examples=60, deadline=None)
@given(st.lists(statement(), min_size=1, max_size=3), st.integers(0, 99))
def test_random_statements_do_what_numpy_does(statements, seed):
    check_statements(statements, seed)


@pytest.mark.long
@settings(max_examples=3000, deadline=None)
@given(st.lists(statement(), min_size=1, max_size=4), st.integers(0, 99))
def test_many_random_statements_do_what_numpy_does(statements, seed):
    check_statements(statements, seed)
