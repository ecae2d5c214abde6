"""What each operator of the language computes, from its operands' types and ranges.

Sums, products and bitwise operators are computed in the result's type, which is exact modulo its
width.  Quotients, remainders, extremes and comparisons are computed in a type that holds both
operands exactly, then converted.  An operator whose operands are affine gives an affine result
when the ranges show that the result's type holds it exactly.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from allo_rtl.errors import LanguageError, SourceLoc
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Builder, Operand, limits, number, within
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import BinaryKind, Predicate
from allo_rtl.ir.types import Index, Int, IntegerType, ScalarType, UInt, bool_, index

type Affine = Callable[[Builder, Operand, Operand, SourceLoc], AffineExpr | None]

OPERATORS: Mapping[type[ast.operator], tuple[BinaryKind, rules.Rule]] = {
    ast.Add: (BinaryKind.ADD, rules.sum_type),
    ast.Sub: (BinaryKind.SUB, rules.sum_type),
    ast.Mult: (BinaryKind.MUL, rules.product_type),
    ast.Div: (BinaryKind.DIV, rules.quotient_type),
    ast.FloorDiv: (BinaryKind.FLOORDIV, rules.quotient_type),
    ast.Mod: (BinaryKind.REM, rules.common_type),
    ast.BitAnd: (BinaryKind.AND, rules.bitwise_type),
    ast.BitOr: (BinaryKind.OR, rules.bitwise_type),
    ast.BitXor: (BinaryKind.XOR, rules.bitwise_type),
    ast.LShift: (BinaryKind.SHL, rules.shift_type),
    ast.RShift: (BinaryKind.SHR, rules.shift_type),
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


def binary(
    b: Builder, kind: BinaryKind, rule: rules.Rule, left: Operand, right: Operand, loc: SourceLoc
) -> Operand:
    """``left kind right`` with the type that ``rule`` gives."""
    result = rule(left.type, right.type)
    if kind in _SHIFTS and right.constant is not None and right.constant < 0:
        raise LanguageError(
            f"the shift amount {right.constant} is negative", loc=loc, allowed="0 or more"
        )
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


def compare(
    b: Builder, predicate: Predicate, left: Operand, right: Operand, loc: SourceLoc
) -> Operand:
    """``left predicate right`` as a UInt(1), compared as the numbers they are."""
    return b.compare(predicate, left, right, _exact_type(b, left, right), loc)


def truth(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """Whether the operand is not 0, as a UInt(1)."""
    if operand.type == bool_:
        return operand
    return compare(b, Predicate.NE, operand, number(0, operand.type), loc)


def negate(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``-operand``."""
    type_ = rules.unary_type(operand.type)
    low, high = b.interval(operand)
    if operand.affine is not None and within((-high, -low), limits(type_)):
        return Operand(type_, affine=-operand.affine)
    return b.binary(BinaryKind.SUB, number(0, type_), operand, type_, loc)


def invert(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``~operand``: every bit flipped."""
    type_ = rules.unary_type(operand.type)
    return b.binary(BinaryKind.XOR, operand, number(-1, type_), type_, loc)


def absolute(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``abs(operand)``, in the operand's own type (so the smallest value stays itself)."""
    low, _ = b.interval(operand)
    if low >= 0:
        return operand
    zero = number(0, operand.type)
    negative = b.compare(Predicate.LT, operand, zero, operand.type, loc)
    minus = b.binary(BinaryKind.SUB, zero, operand, operand.type, loc)
    return b.select(negative, minus, operand, operand.type, loc)


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
        isinstance(o.type, Index) or o.constant is not None for o in pair
    ):
        return index if all(within(b.interval(o), limits(index)) for o in pair) else Int(128)
    return rules.exact_common(*(_counted_as(b, o) for o in pair))


def _counted_as(b: Builder, operand: Operand) -> IntegerType:
    """The operand's type; for an index, the rules' UInt(32) only if that surely holds it."""
    if isinstance(operand.type, IntegerType):
        return operand.type
    return UInt(32) if within(b.interval(operand), limits(UInt(32))) else Int(64)


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
    """The affine expression equal to ``left kind right``, if there is one."""
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
