"""Operators on fixed-point numbers, and on one and an integer.

Sums, remainders and extremes are computed in the result's type, which holds both operands.
Products and quotients are made of the integers that are stored, so that every bit of the
result's type is right; shifts move these bits.
"""

from __future__ import annotations

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Builder, Operand, limits, number, within
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import Fixed, FixedType, Int, IntegerType, UFixed, UInt


def binary(
    b: Builder, kind: BinaryKind, left: Operand, right: Operand, result: FixedType, loc: SourceLoc
) -> Operand:
    """``left kind right``, all but shifts.

    Products are exact.  Quotients are rounded toward zero to a multiple of ``2**-fracs`` of the
    result (``//`` down to a whole number), modulo its width; division by zero gives all ones.
    """
    match kind:
        case BinaryKind.MUL:
            return _product(b, left, right, result, loc)
        case BinaryKind.DIV:
            return _quotient(b, left, right, result, loc)
        case BinaryKind.FLOORDIV:
            return _whole_quotient(b, left, right, result, loc)
    return b.binary(kind, left, right, result, loc)


def shift(
    b: Builder, kind: BinaryKind, left: Operand, amount: Operand, loc: SourceLoc
) -> Operand:
    """``left << amount`` or ``>>``; the amount is of the type of what is stored."""
    assert isinstance(left.type, FixedType)
    bits = stored(b, left, loc)
    return b.bitcast(b.binary(kind, bits, amount, left.type.raw, loc), left.type, loc)


def counted_as(b: Builder, operand: Operand) -> rules.Exact:
    """The operand's type; for an index, the rules' UInt(32) only if that surely holds it."""
    if isinstance(operand.type, IntegerType | FixedType):
        return operand.type
    return UInt(32) if within(b.interval(operand), limits(UInt(32))) else Int(64)


def stored(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """The integer that is stored: the number times ``2**fracs``."""
    if isinstance(operand.type, FixedType):
        return b.bitcast(operand, operand.type.raw, loc)
    return operand


def _product(
    b: Builder, left: Operand, right: Operand, result: FixedType, loc: SourceLoc
) -> Operand:
    factors = stored(b, left, loc), stored(b, right, loc)
    return b.bitcast(b.binary(BinaryKind.MUL, *factors, result.raw, loc), result, loc)


def _quotient(
    b: Builder, left: Operand, right: Operand, result: FixedType, loc: SourceLoc
) -> Operand:
    a, c = counted_as(b, left), counted_as(b, right)
    # (l / 2**a.fracs) / (r / 2**c.fracs) * 2**result.fracs; the rules keep this shift positive.
    more = result.fracs + c.fracs - a.fracs
    width = max(a.width + more, c.width) + 2
    work = Int(width) if a.signed or c.signed else UInt(width)
    scaled = b.convert(stored(b, left, loc), work, loc)
    if more:
        scaled = b.binary(BinaryKind.SHL, scaled, number(more, work), work, loc)
    done = b.binary(BinaryKind.DIV, scaled, stored(b, right, loc), work, loc)
    return b.bitcast(b.convert(done, result.raw, loc), result, loc)


def _whole_quotient(
    b: Builder, left: Operand, right: Operand, result: FixedType, loc: SourceLoc
) -> Operand:
    a, c = counted_as(b, left), counted_as(b, right)
    fracs = max(a.fracs, c.fracs)
    whole = max(t.width - t.fracs for t in (a, c)) + 2
    width = max(whole, a.width - a.fracs + c.fracs + 2) + fracs
    signed = a.signed or c.signed
    work = Fixed(width, fracs) if signed else UFixed(width, fracs)
    done = b.binary(BinaryKind.FLOORDIV, left, right, work, loc)
    return b.convert(done, result, loc)
