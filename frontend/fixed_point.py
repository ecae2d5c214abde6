"""Operators on fixed-point numbers, and on one and an integer.

Sums are computed in the result's type, remainders and extremes in one that holds both operands.
Products and quotients are made of the integers that are stored, so that every bit of the
result's type is right; shifts move these bits.
"""

from __future__ import annotations

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Builder, Operand, limits, number, within
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import FixedType, Int, IntegerType, UInt


def binary(
    b: Builder, kind: BinaryKind, left: Operand, right: Operand, result: FixedType, loc: SourceLoc
) -> Operand:
    """``left kind right``, all but shifts.

    Products are exact.  Quotients are rounded toward zero to a multiple of ``2**-fracs`` of the
    result (``//`` down to a whole number), modulo its width.  Division by zero gives all ones,
    ``//`` the whole number -1 modulo the width, and ``%`` the dividend.
    """
    match kind:
        case BinaryKind.MUL:
            return _product(b, left, right, result, loc)
        case BinaryKind.DIV:
            return _quotient(b, left, right, result, loc)
        case BinaryKind.FLOORDIV:
            return _whole_quotient(b, left, right, result, loc)
        case BinaryKind.ADD | BinaryKind.SUB:
            return b.binary(kind, left, right, result, loc)
    work = rules.exact_common(counted_as(b, left), counted_as(b, right))
    return b.convert(b.binary(kind, left, right, work, loc), result, loc)


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
    # (l / 2**a.fracs) / (r / 2**c.fracs) * 2**result.fracs; the rules keep this shift positive.
    more = result.fracs + counted_as(b, right).fracs - counted_as(b, left).fracs
    done = _divided(b, BinaryKind.DIV, (left, more), (right, 0), result.width, loc)
    return b.bitcast(b.convert(done, result.raw, loc), result, loc)


def _whole_quotient(
    b: Builder, left: Operand, right: Operand, result: FixedType, loc: SourceLoc
) -> Operand:
    ours, theirs = counted_as(b, left).fracs, counted_as(b, right).fracs
    fracs = max(ours, theirs)
    whole = max(result.width - result.fracs, 1)
    pair = (left, fracs - ours), (right, fracs - theirs)
    return b.convert(_divided(b, BinaryKind.FLOORDIV, *pair, whole, loc), result, loc)


def _divided(
    b: Builder,
    kind: BinaryKind,
    left: tuple[Operand, int],
    right: tuple[Operand, int],
    width: int,
    loc: SourceLoc,
) -> Operand:
    """The quotient of what is stored, each shifted left first; by zero, at least ``width`` ones."""
    types = [counted_as(b, operand) for operand, _ in (left, right)]
    needed = max(t.width + shift for t, (_, shift) in zip(types, (left, right), strict=True))
    signed = types[0].signed or types[1].signed
    # With a sign, a bit more: for an unsigned operand, and for -smallest / -1.
    work = Int(needed + 1) if signed else UInt(max(needed, width))
    dividend, divisor = (_scaled(b, o, n, work, loc) for o, n in (left, right))
    return b.binary(kind, dividend, divisor, work, loc)


def _scaled(b: Builder, operand: Operand, more: int, work: Int | UInt, loc: SourceLoc) -> Operand:
    wide = b.convert(stored(b, operand, loc), work, loc)
    if not more:
        return wide
    return b.binary(BinaryKind.SHL, wide, number(more, work), work, loc)
