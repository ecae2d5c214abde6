"""What each operator of the language computes, from its operands' types and ranges.

Sums, products and bitwise operators of integers are computed in the result's type, which is exact
modulo its width.  Quotients, remainders, extremes and comparisons are computed in a type that
holds both operands exactly, then converted.  An operator whose operands are affine gives an
affine result when the ranges show that the result's type holds it exactly.  Fixed point is in
:mod:`.fixed_point`, floating point in :mod:`.floating_point`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from allo_rtl.errors import KernelTypeError, LanguageError, SourceLoc
from allo_rtl.frontend import fixed_point, floating_point
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Builder, Operand, limits, number, within
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import BinaryKind, MathKind, Predicate
from allo_rtl.ir.types import (
    FixedType,
    Float,
    Index,
    Int,
    IntegerType,
    ScalarType,
    Struct,
    UInt,
    bool_,
    index,
)

type RuleOf = Callable[[rules.RuleSet], rules.Rule]

OPERATORS: Mapping[type[ast.operator], tuple[BinaryKind, RuleOf]] = {
    ast.Add: (BinaryKind.ADD, lambda s: s.sum),
    ast.Sub: (BinaryKind.SUB, lambda s: s.sum),
    ast.Mult: (BinaryKind.MUL, lambda s: s.product),
    ast.Div: (BinaryKind.DIV, lambda s: s.quotient),
    ast.FloorDiv: (BinaryKind.FLOORDIV, lambda s: s.quotient),
    ast.Mod: (BinaryKind.REM, lambda s: s.remainder),
    ast.BitAnd: (BinaryKind.AND, lambda s: s.bitwise),
    ast.BitOr: (BinaryKind.OR, lambda s: s.bitwise),
    ast.BitXor: (BinaryKind.XOR, lambda s: s.bitwise),
    ast.LShift: (BinaryKind.SHL, lambda s: rules.shift_type),
    ast.RShift: (BinaryKind.SHR, lambda s: rules.shift_type),
}

PREDICATES: Mapping[type[ast.cmpop], Predicate] = {
    ast.Eq: Predicate.EQ,
    ast.NotEq: Predicate.NE,
    ast.Lt: Predicate.LT,
    ast.LtE: Predicate.LE,
    ast.Gt: Predicate.GT,
    ast.GtE: Predicate.GE,
}

_SHIFTS = (BinaryKind.SHL, BinaryKind.SHR)
_EXACT_FIRST = (
    BinaryKind.DIV,
    BinaryKind.FLOORDIV,
    BinaryKind.REM,
    BinaryKind.MIN,
    BinaryKind.MAX,
)


def operator(
    b: Builder, op: type[ast.operator], left: Operand, right: Operand, loc: SourceLoc
) -> Operand:
    """``left op right``.

    Raises:
        LanguageError: there is no such operator, or not for these types.
    """
    if op is ast.Pow:
        return power(b, left, right, loc)
    if op not in OPERATORS:
        raise LanguageError(
            "the operator '@' is not for scalars", loc=loc, allowed="+ - * / // % ** << >> & | ^"
        )
    kind, rule = OPERATORS[op]
    return binary(b, kind, rule(b.rules), left, right, loc)


def binary(
    b: Builder, kind: BinaryKind, rule: rules.Rule, left: Operand, right: Operand, loc: SourceLoc
) -> Operand:
    """``left kind right`` with the type that ``rule`` gives.

    Raises:
        KernelTypeError: there is no such operator for these types.
    """
    _check(kind, left, right, loc)
    try:
        result = rule(left.type, right.type)
    except ValueError as error:
        raise KernelTypeError(
            f"the result of {left.type} {_SIGNS[kind]} {right.type} has no type: {error}", loc=loc
        ) from None
    if isinstance(result, Float):
        return floating_point.binary(b, kind, left, right, result, loc)
    if isinstance(result, FixedType):
        if kind in _SHIFTS:
            amount = _amount(b, result.raw, right, loc)
            return fixed_point.shift(b, kind, left, amount, loc)
        return fixed_point.binary(b, kind, left, right, result, loc)
    if (expr := _affine(b, kind, left, right, result, loc)) is not None:
        return Operand(result, affine=expr)
    if kind in _SHIFTS:
        return b.binary(kind, left, _amount(b, left.type, right, loc), result, loc)
    if kind in _EXACT_FIRST:
        work = _exact_type(b, left, right)
        if isinstance(result, Index) and within(b.interval(right), limits(index)):
            work = index
        done = _ranged(b, kind, left, right, b.binary(kind, left, right, work, loc))
        return b.convert(done, result, loc)
    return b.binary(kind, left, right, result, loc)


_SIGNS: Mapping[BinaryKind, str] = {
    BinaryKind.ADD: "+",
    BinaryKind.SUB: "-",
    BinaryKind.MUL: "*",
    BinaryKind.DIV: "/",
    BinaryKind.FLOORDIV: "//",
    BinaryKind.REM: "%",
    BinaryKind.AND: "&",
    BinaryKind.OR: "|",
    BinaryKind.XOR: "^",
    BinaryKind.SHL: "<<",
    BinaryKind.SHR: ">>",
    BinaryKind.MIN: "min",
    BinaryKind.MAX: "max",
}
_BITWISE = (BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR)


def _check(kind: BinaryKind, left: Operand, right: Operand, loc: SourceLoc) -> None:
    """Refuse what there is no operator for."""
    check_numbers(_SIGNS[kind], (left, right), loc)
    whole = [isinstance(o.type, IntegerType | Index) for o in (left, right)]
    found = f"{left.type} {_SIGNS[kind]} {right.type}"
    if kind in _BITWISE and not all(whole):
        raise KernelTypeError(
            f"{found}: a bitwise operator needs integers",
            loc=loc,
            hint="take the bits of other numbers: x.bitcast()",
        )
    if kind not in _SHIFTS:
        return
    if isinstance(left.type, Float) or not whole[1]:
        raise KernelTypeError(
            f"{found}: a shift is of an integer or fixed-point number, by an integer",
            loc=loc,
            hint="multiply or divide by a power of two" if whole[1] else "convert it: int(...)",
        )
    if right.constant is not None and right.constant < 0:
        raise LanguageError(
            f"the shift amount {right.constant} is negative", loc=loc, allowed="0 or more"
        )


def check_numbers(sign: str, operands: Sequence[Operand], loc: SourceLoc) -> None:
    """Refuse structs, which no operator takes."""
    for operand in operands:
        if isinstance(operand.type, Struct):
            names = " and ".join(f'["{name}"]' for name, _ in operand.type.fields)
            raise KernelTypeError(
                f"'{sign}' is not defined for {operand.type}",
                loc=loc,
                hint=f"use its fields one by one: {names}",
            )


def compare(
    b: Builder, predicate: Predicate, left: Operand, right: Operand, loc: SourceLoc
) -> Operand:
    """``left predicate right`` as a UInt(1), compared as the numbers they are.

    (Integers and fixed point that float64 does not hold exactly are rounded to it, if they are
    compared with a floating-point number.)
    """
    check_numbers(_COMPARISONS[predicate], (left, right), loc)
    if rules.float_type(left.type, right.type) is not None:
        work: ScalarType = floating_point.exact_type(b, left, right)
    else:
        work = _exact_type(b, left, right)
    return b.compare(predicate, left, right, work, loc)


_COMPARISONS: Mapping[Predicate, str] = {
    Predicate.EQ: "==",
    Predicate.NE: "!=",
    Predicate.LT: "<",
    Predicate.LE: "<=",
    Predicate.GT: ">",
    Predicate.GE: ">=",
}


def truth(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """Whether the operand is not 0, as a UInt(1); a NaN is not 0."""
    if operand.type == bool_:
        return operand
    check_numbers("bool", (operand,), loc)
    return b.compare(Predicate.NE, operand, number(0, operand.type), operand.type, loc)


def negate(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``-operand``; of a floating-point number only the sign bit changes."""
    check_numbers("-", (operand,), loc)
    type_ = rules.negative_type(operand.type)
    if isinstance(type_, Float):
        return floating_point.negate(b, operand, loc)
    if operand.affine is not None:
        low, high = b.interval(operand)
        if within((-high, -low), limits(type_)):
            return Operand(type_, affine=-operand.affine)
    return b.binary(BinaryKind.SUB, number(0, type_), operand, type_, loc)


def plus(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``+operand``."""
    check_numbers("+", (operand,), loc)
    if operand.literal is not None:
        return operand
    return b.convert(operand, rules.unary_type(operand.type), loc)


def invert(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``~operand``: every bit flipped."""
    if not isinstance(operand.type, IntegerType | Index):
        raise KernelTypeError(
            f"'~' is not defined for {operand.type}",
            loc=loc,
            allowed="integers",
            hint="take the bits: ~x.bitcast()",
        )
    type_ = rules.unary_type(operand.type)
    return b.binary(BinaryKind.XOR, operand, number(-1, type_), type_, loc)


def absolute(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``abs(operand)``, in the operand's own type (so the smallest value stays itself)."""
    check_numbers("abs", (operand,), loc)
    match operand.type:
        case Float() as type_:
            return b.math(MathKind.ABS, (operand,), type_, loc)
        case IntegerType() | Index() if b.interval(operand)[0] >= 0:
            return operand
        case FixedType(signed=False):
            return operand
    zero = number(0, operand.type)
    negative = b.compare(Predicate.LT, operand, zero, operand.type, loc)
    minus = b.binary(BinaryKind.SUB, zero, operand, operand.type, loc)
    return b.select(negative, minus, operand, operand.type, loc)


def power(b: Builder, left: Operand, right: Operand, loc: SourceLoc) -> Operand:
    """``left ** right``, always a floating-point number."""
    check_numbers("**", (left, right), loc)
    return floating_point.power(b, left, right, rules.power_type(left.type, right.type), loc)


def _ranged(
    b: Builder, kind: BinaryKind, left: Operand, right: Operand, done: Operand
) -> Operand:
    """An index result with the range it must have, so that a subscript can use it as it is."""
    if not isinstance(done.type, Index) or done.value is None:
        return done
    (low, high), (other_low, other_high) = b.interval(left), b.interval(right)
    match kind:
        case BinaryKind.MIN:
            bounds = min(low, other_low), min(high, other_high)
        case BinaryKind.MAX:
            bounds = max(low, other_low), max(high, other_high)
        case BinaryKind.REM if right.constant:
            most = abs(right.constant) - 1
            bounds = max(low, -most) if low < 0 else 0, min(high, most) if high > 0 else 0
        case _:
            return done
    b.ranges[done.value] = bounds
    return Operand(done.type, done.value, AffineExpr.of(done.value))


def _exact_type(b: Builder, left: Operand, right: Operand) -> ScalarType:
    """A type in which both operands are exact; index when one is and the other allows it."""
    pair = (left, right)
    if any(isinstance(o.type, Index) for o in pair) and all(
        isinstance(o.type, Index) or (o.constant is not None and o.affine is not None)
        for o in pair
    ):
        return index if all(within(b.interval(o), limits(index)) for o in pair) else Int(128)
    return rules.exact_common(fixed_point.counted_as(b, left), fixed_point.counted_as(b, right))


def _amount(b: Builder, type_: ScalarType, amount: Operand, loc: SourceLoc) -> Operand:
    """A shift amount in the type of what is shifted, its meaning kept.

    Amounts are read as unsigned, so a converted negative one still shifts everything out.
    """
    width = type_.bits
    if amount.constant is not None:
        return number(min(amount.constant, width), type_)
    fits = within(b.interval(amount), (0, (1 << width) - 1))
    if amount.type.bits > width and not fits:
        wide = UInt(amount.type.bits)
        amount = b.binary(BinaryKind.MIN, amount, number(width, wide), wide, loc)
    return b.convert(amount, type_, loc)


def _affine(
    b: Builder,
    kind: BinaryKind,
    left: Operand,
    right: Operand,
    result: ScalarType,
    loc: SourceLoc,
) -> AffineExpr | None:
    """The affine expression equal to ``left kind right`` of integers, if there is one."""
    if kind is BinaryKind.MUL and left.constant is not None:
        left, right = right, left
    bounds = _affine_bounds(kind, b.interval(left), b.interval(right), right.constant)
    if bounds is None or not within(bounds, limits(result)):
        return None
    if not all(_may_be_affine(b, o) for o in (left, right)):
        return None
    a, c = b.affine(left, loc), b.affine(right, loc)
    assert a is not None
    assert c is not None
    match kind:
        case BinaryKind.ADD:
            return a + c
        case BinaryKind.SUB:
            return a - c
        case BinaryKind.MUL:
            return a * c.const
        case BinaryKind.SHL:
            return a * (1 << c.const)
        case BinaryKind.SHR:
            return a.floordiv(1 << c.const)
        case BinaryKind.REM:
            return a.mod(c.const)
    return a.floordiv(c.const)


def _may_be_affine(b: Builder, operand: Operand) -> bool:
    inside = within(b.interval(operand), limits(index))
    return inside and (operand.affine is not None or b.indexing)


def _affine_bounds(
    kind: BinaryKind, a: Interval, c: Interval, constant: int | None
) -> Interval | None:
    """Range of the exact result; None when the operator has no affine form here."""
    match kind:
        case BinaryKind.ADD:
            return a[0] + c[0], a[1] + c[1]
        case BinaryKind.SUB:
            return a[0] - c[1], a[1] - c[0]
    if constant is None:
        return None
    match kind:
        case BinaryKind.MUL:
            return min(a[0] * constant, a[1] * constant), max(a[0] * constant, a[1] * constant)
        case BinaryKind.SHL if constant < 64:
            return a[0] << constant, a[1] << constant
        case BinaryKind.SHR if constant < 64:
            return a[0] >> constant, a[1] >> constant
        case BinaryKind.FLOORDIV if constant > 0:
            return a[0] // constant, a[1] // constant
        case BinaryKind.DIV if constant > 0 and a[0] >= 0:
            return a[0] // constant, a[1] // constant
        case BinaryKind.REM if constant > 0 and a[0] >= 0:
            return 0, min(a[1], constant - 1)
    return None
