"""The typing rules against their table, and the properties that make results exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.frontend import typing_rules as rules
from allo_rtl.ir.types import Int, UInt, index

OPERANDS = {"i8": Int(8), "i32": Int(32), "u8": UInt(8), "u16": UInt(16), "ix": index}

# Rows are the left operand, columns the right one, both in the order of OPERANDS.
TABLES = {
    rules.sum_type: """
        i9  i33 i10 i18 i34
        i33 i33 i33 i33 i34
        i10 i33 u9  u17 u33
        i18 i33 u17 u17 u33
        i34 i34 u33 u33 ix""",
    rules.product_type: """
        i16 i40 i16 i24 i40
        i40 i64 i40 i48 i64
        i16 i40 u16 u24 u40
        i24 i48 u24 u32 u48
        i40 i64 u40 u48 ix""",
    rules.quotient_type: """
        i8  i8  i8  i8  i8
        i32 i32 i32 i32 i32
        i8  i8  u8  u8  u8
        i16 i16 u16 u16 u16
        i32 i32 ix  ix  ix""",
    rules.common_type: """
        i8  i32 i9  i17 i33
        i32 i32 i32 i32 i33
        i9  i32 u8  u16 u32
        i17 i32 u16 u16 u32
        i33 i33 u32 u32 ix""",
    rules.shift_type: """
        i8  i8  i8  i8  i8
        i32 i32 i32 i32 i32
        u8  u8  u8  u8  u8
        u16 u16 u16 u16 u16
        ix  ix  ix  ix  ix""",
    rules.bitwise_type: """
        i8  i32 i8  i16 i32
        i32 i32 i32 i32 i32
        i8  i32 u8  u16 u32
        i16 i32 u16 u16 u32
        i32 i32 u32 u32 ix""",
}


def short(type_):
    """``i8``, ``u16``, ``ix``: how the tables write a type."""
    if type_ == index:
        return "ix"
    return f"{'i' if type_.signed else 'u'}{type_.width}"


@pytest.mark.parametrize("rule", TABLES, ids=lambda r: r.__name__)
def test_rule_is_the_table(rule):
    found = [[short(rule(a, b)) for b in OPERANDS.values()] for a in OPERANDS.values()]
    assert found == [line.split() for line in TABLES[rule].strip().splitlines()]


@pytest.mark.parametrize(
    ("type_", "expected"), [(Int(7), Int(7)), (UInt(7), Int(7)), (index, index)]
)
def test_unary_operators_give_a_signed_type(type_, expected):
    assert rules.unary_type(type_) == expected


integer_types = st.builds(
    lambda signed, width: (Int if signed else UInt)(width), st.booleans(), st.integers(1, 70)
)


@st.composite
def typed_numbers(draw):
    type_ = draw(integer_types)
    return type_, draw(st.integers(type_.min, type_.max))


@given(typed_numbers(), typed_numbers())
def test_sums_and_products_are_exact(a, b):
    (ta, x), (tb, y) = a, b
    for value, type_ in ((x + y, rules.sum_type(ta, tb)), (x * y, rules.product_type(ta, tb))):
        assert type_.wrap(value) == value


@given(typed_numbers(), typed_numbers())
def test_common_type_holds_both_and_ignores_order(a, b):
    (ta, x), (tb, y) = a, b
    common = rules.common_type(ta, tb)
    assert common == rules.common_type(tb, ta)
    assert (common.wrap(x), common.wrap(y)) == (x, y)


@given(st.integers(-(1 << 130), 1 << 130))
def test_literal_type_holds_the_literal(value):
    type_ = rules.literal_type(value)
    assert type_.wrap(value) == value
    assert type_.width == 32 or value not in range(-(1 << 31), 1 << 31)
    assert type_.width <= 64 or value not in range(-(1 << 63), 1 << 63)
