"""The typing rules against their tables, and the properties that make results exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.errors import KernelTypeError
from allo_rtl.frontend import lower_kernel
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.ir.types import (
    Fixed,
    Int,
    UFixed,
    UInt,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
)

OPERANDS = {
    "i8": Int(8), "i32": Int(32), "u8": UInt(8), "u16": UInt(16), "ix": index,
    "fx": Fixed(16, 8), "ux": UFixed(12, 4),
    "f16": float16, "bf16": bfloat16, "f32": float32, "f64": float64,
}  # fmt: skip
EXACT, FLOATS = list(OPERANDS)[:7], list(OPERANDS)[7:]

# Rows are the left operand, columns the right one, both in the order of OPERANDS (integers and
# fixed point; whatever meets a floating-point number is in FLOAT_TABLE).  S14.4 is Fixed(14, 4),
# U13.4 is UFixed(13, 4).
TABLES = {
    rules.sum_type: """
        i9    i33   i10   i18   i34   S17.8 S14.4
        i33   i33   i33   i33   i34   S41.8 S37.4
        i10   i33   u9    u17   u33   S18.8 U13.4
        i18   i33   u17   u17   u33   S26.8 U21.4
        i34   i34   u33   u33   ix    S42.8 U37.4
        S17.8 S41.8 S18.8 S26.8 S42.8 S17.8 S18.8
        S14.4 S37.4 U13.4 U21.4 U37.4 S18.8 U13.4""",
    rules.product_type: """
        i16   i40   i16   i24   i40   S24.8  S20.4
        i40   i64   i40   i48   i64   S48.8  S44.4
        i16   i40   u16   u24   u40   S24.8  U20.4
        i24   i48   u24   u32   u48   S32.8  U28.4
        i40   i64   u40   u48   ix    S48.8  U44.4
        S24.8 S48.8 S24.8 S32.8 S48.8 S32.16 S28.12
        S20.4 S44.4 U20.4 U28.4 U44.4 S28.12 U24.8""",
    rules.quotient_type: """
        i8     i8     i8     i8     i8     S24.0  S21.4
        i32    i32    i32    i32    i32    S48.24 S45.28
        i8     i8     u8     u8     u8     S24.0  U20.4
        i16    i16    u16    u16    u16    S32.8  U28.12
        i32    i32    ix     ix     ix     S48.24 U44.28
        S24.16 S48.40 S25.16 S33.24 S49.40 S32.16 S29.16
        S21.12 S45.36 U20.12 U28.20 U44.36 S28.12 U24.12""",
    rules.common_type: """
        i8    i32   i9    i17   i33   S16.8 S13.4
        i32   i32   i32   i32   i33   S40.8 S36.4
        i9    i32   u8    u16   u32   S17.8 U12.4
        i17   i32   u16   u16   u32   S25.8 U20.4
        i33   i33   u32   u32   ix    S41.8 U36.4
        S16.8 S40.8 S17.8 S25.8 S41.8 S16.8 S17.8
        S13.4 S36.4 U12.4 U20.4 U36.4 S17.8 U12.4""",
    rules.shift_type: """
        i8  i8  i8  i8  i8
        i32 i32 i32 i32 i32
        u8  u8  u8  u8  u8
        u16 u16 u16 u16 u16
        ix  ix  ix  ix  ix
        fx  fx  fx  fx  fx
        ux  ux  ux  ux  ux""",
    rules.bitwise_type: """
        i8  i32 i8  i16 i32
        i32 i32 i32 i32 i32
        i8  i32 u8  u16 u32
        i16 i32 u16 u16 u32
        i32 i32 u32 u32 ix""",
    rules.CPP_STYLE.sum: """
        i8  i32 u8  u16 i32
        i32 i32 i32 i32 i32
        u8  i32 u8  u16 ix
        u16 i32 u16 u16 ix
        i32 i32 ix  ix  ix""",
}

# Columns are f16, bf16, f32, f64.
FLOAT_TABLE = """
    f16 f16  f32 f64
    bf16 bf16 f32 f64
    f32 f32  f32 f64
    f64 f64  f64 f64"""

POWERS = """
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32
    f32 f32 f32 f32 f32 f32 f32 f16 f16 f32 f64
    f32 f32 f32 f32 f32 f32 f32 bf16 bf16 f32 f64
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f64
    f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64"""


def type_of(text):
    """``i8``, ``u17``, ``ix``, ``S14.4``, ``f32`` ... as a type."""
    if text in OPERANDS:
        return OPERANDS[text]
    if text[0] in "SU":
        width, fracs = map(int, text[1:].split("."))
        return (Fixed if text[0] == "S" else UFixed)(width, fracs)
    return (Int if text[0] == "i" else UInt)(int(text[1:]))


def cells(table, rows, columns):
    """(left, right, result) of each cell."""
    for row, line in zip(rows, table.split("\n")[1:], strict=True):
        for column, cell in zip(columns, line.split(), strict=False):
            yield OPERANDS[row], OPERANDS[column], type_of(cell)


def rows_of(table):
    return list(OPERANDS)[: len(table.split("\n")) - 1]


@pytest.mark.parametrize("rule", TABLES, ids=lambda r: r.__name__)
def test_table(rule):
    table = TABLES[rule]
    for a, b, result in cells(table, rows_of(table), EXACT):
        assert rule(a, b) == result, f"{a} and {b}"


def test_a_floating_point_number_decides_and_of_two_the_wider_or_the_left_one():
    for rule in (rules.sum_type, rules.product_type, rules.quotient_type, rules.common_type):
        for a, b, result in cells(FLOAT_TABLE, FLOATS, FLOATS):
            assert rule(a, b) == result
        for a in EXACT:
            for b in FLOATS:
                assert rule(OPERANDS[a], OPERANDS[b]) == OPERANDS[b]
                assert rule(OPERANDS[b], OPERANDS[a]) == OPERANDS[b]
    assert rules.sum_type(float8_e4m3, float8_e5m2) == float8_e4m3
    assert rules.sum_type(Int(32), float8_e5m2) == float8_e5m2
    assert rules.sum_type(float8_e5m2, bfloat16) == bfloat16


def test_powers_are_floating_point_numbers():
    for a, b, result in cells(POWERS, OPERANDS, OPERANDS):
        assert rules.power_type(a, b) == result, f"{a} ** {b}"
    assert rules.power_type(Int(33), Int(8)) == float64
    assert rules.power_type(float8_e4m3, float8_e5m2) == float8_e4m3


def test_functions_of_wide_integers_are_double():
    found = [rules.math_type(t) for t in (Int(8), index, UInt(33), Fixed(32, 8), Fixed(40, 8))]
    assert found == [float32, float32, float64, float32, float64]
    assert rules.math_type(bfloat16) == bfloat16


def test_unary_results_are_signed():
    assert rules.unary_type(UInt(9)) == Int(9)
    assert [rules.unary_type(t) for t in (Int(9), index, UFixed(8, 4), float16)] == [
        Int(9), index, UFixed(8, 4), float16,
    ]  # fmt: skip
    assert rules.negative_type(UFixed(8, 4)) == Fixed(9, 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, Int(32)),
        (2**31 - 1, Int(32)),
        (2**31, Int(64)),
        (-(2**31), Int(32)),
        (-(2**31) - 1, Int(64)),
        (2**64, Int(66)),
        (-(2**70), Int(71)),
    ],
)
def test_literals_have_a_type_that_holds_them(value, expected):
    assert rules.literal_type(value) == expected


def test_c_has_the_wider_type_and_of_two_the_unsigned_one():
    c = rules.CPP_STYLE
    assert c.product(Int(32), UInt(32)) == UInt(32)
    assert c.quotient(Int(64), UInt(32)) == Int(64)
    assert c.remainder(UInt(64), index) == UInt(64)
    assert c.sum(Int(64), index) == Int(64)
    assert c.sum(Fixed(16, 8), Int(8)) == Fixed(17, 8)
    assert c.choice(UInt(8), Int(8)) == Int(9)


def test_a_type_that_would_need_too_many_fraction_bits():
    with pytest.raises(KernelTypeError) as error:
        lower_kernel("def f(a: Fixed(200, 200), b: Fixed(200, 0)) -> int32:\n    return a / b\n")
    assert str(error.value) == (
        "<kernel>:2:12: error: the result of Fixed(200, 200) / Fixed(200, 0) has no type: "
        "a fixed-point type has 0 to 255 fraction bits, not 400\n"
        "    2 |     return a / b\n"
        "      |            ^~~~~"
    )


whole = st.builds(
    lambda signed, width: Int(width) if signed else UInt(width),
    st.booleans(),
    st.integers(1, 40),
)
fixed = st.builds(
    lambda signed, width, fracs: (Fixed if signed else UFixed)(width, fracs),
    st.booleans(),
    st.integers(1, 30),
    st.integers(0, 30),
)
exact = whole | fixed


def ends(type_):
    """The smallest and the largest number, in units of 2**-fracs."""
    raw = type_ if isinstance(type_, Int | UInt) else type_.raw
    return raw.min, raw.max


def holds(type_, number, fracs):
    """Whether ``number * 2**-fracs`` is a number of the type."""
    scaled = number << (type_.fracs - fracs) if type_.fracs >= fracs else None
    low, high = ends(type_)
    return scaled is not None and low <= scaled <= high


@given(exact, exact)
def test_the_common_type_is_the_smallest_that_holds_both(a, b):
    common = rules.exact_common(a, b)
    assert common == rules.exact_common(b, a)
    assert all(holds(common, end, t.fracs) for t in (a, b) for end in ends(t))
    narrower = common.width - 1
    if narrower and isinstance(common, Int | UInt):
        smaller = type(common)(narrower)
        assert not all(smaller.min <= end <= smaller.max for t in (a, b) for end in ends(t))


@given(exact, exact)
def test_sums_and_products_are_exact(a, b):
    fracs = max(a.fracs, b.fracs)
    for x in ends(a):
        for y in ends(b):
            total = (x << (fracs - a.fracs)) + (y << (fracs - b.fracs))
            assert holds(rules.sum_type(a, b), total, fracs)
            assert holds(rules.product_type(a, b), x * y, a.fracs + b.fracs)
