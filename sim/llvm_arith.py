"""LLVM instructions for the IR's arithmetic, exact also where LLVM's own is undefined.

A value of ``n`` bits is an LLVM ``i<n>``, an index an ``i64``.  The functions take an
``IRBuilder`` and give the value of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir

from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.ops import BinaryKind, Predicate, Value
from allo_rtl.ir.types import Index, IntegerType, Type

type Builder = Any
"""An ``llvmlite.ir.IRBuilder`` (the library has no annotations)."""

type LLValue = Any
"""An ``llvmlite.ir.Value``."""

I64 = ir.IntType(64)

_SIGNS = {
    Predicate.EQ: "==",
    Predicate.NE: "!=",
    Predicate.LT: "<",
    Predicate.LE: "<=",
    Predicate.GT: ">",
    Predicate.GE: ">=",
}


def is_signed(type_: Type) -> bool:
    """Whether a number of this type has a sign."""
    assert isinstance(type_, IntegerType | Index), type_
    return type_.signed


def llvm_type(type_: Type) -> Any:  # noqa: ANN401 - an llvmlite type
    """The LLVM integer type of a scalar."""
    return ir.IntType(type_.bits)


def constant(type_: Any, value: int) -> LLValue:  # noqa: ANN401 - an llvmlite type
    """``value`` modulo the width of an LLVM integer type."""
    return ir.Constant(type_, value & ((1 << type_.width) - 1))


def compare(b: Builder, predicate: Predicate, type_: Type, lhs: LLValue, rhs: LLValue) -> LLValue:
    """An i1: ``lhs predicate rhs`` for operands of ``type_``."""
    test = b.icmp_signed if is_signed(type_) else b.icmp_unsigned
    return test(_SIGNS[predicate], lhs, rhs)


def cast(b: Builder, source: Type, target: Type, value: LLValue) -> LLValue:
    """The number ``value`` of ``source`` modulo the width of ``target``."""
    if source.bits == target.bits:
        return value
    if source.bits > target.bits:
        return b.trunc(value, llvm_type(target))
    return (b.sext if is_signed(source) else b.zext)(value, llvm_type(target))


def binary(b: Builder, kind: BinaryKind, type_: Type, lhs: LLValue, rhs: LLValue) -> LLValue:
    """``lhs kind rhs`` as :class:`BinaryKind` says, all of ``type_``."""
    match kind:
        case BinaryKind.ADD:
            return b.add(lhs, rhs)
        case BinaryKind.SUB:
            return b.sub(lhs, rhs)
        case BinaryKind.MUL:
            return b.mul(lhs, rhs)
        case BinaryKind.AND:
            return b.and_(lhs, rhs)
        case BinaryKind.OR:
            return b.or_(lhs, rhs)
        case BinaryKind.XOR:
            return b.xor(lhs, rhs)
        case BinaryKind.MIN:
            return b.select(compare(b, Predicate.LT, type_, lhs, rhs), lhs, rhs)
        case BinaryKind.MAX:
            return b.select(compare(b, Predicate.GT, type_, lhs, rhs), lhs, rhs)
        case BinaryKind.SHL | BinaryKind.SHR:
            return _shift(b, kind, is_signed(type_), lhs, rhs)
        case BinaryKind.DIV | BinaryKind.FLOORDIV | BinaryKind.REM:
            return _divide(b, kind, is_signed(type_), lhs, rhs)


def _shift(b: Builder, kind: BinaryKind, signed: bool, lhs: LLValue, rhs: LLValue) -> LLValue:
    # LLVM's shifts are poison from the width on.
    width = lhs.type.width
    fits = b.icmp_unsigned("<", rhs, constant(lhs.type, width))
    if kind is BinaryKind.SHR and signed:
        return b.ashr(lhs, b.select(fits, rhs, constant(lhs.type, width - 1)))
    shifted = b.shl(lhs, rhs) if kind is BinaryKind.SHL else b.lshr(lhs, rhs)
    return b.select(fits, shifted, constant(lhs.type, 0))


def _divide(b: Builder, kind: BinaryKind, signed: bool, lhs: LLValue, rhs: LLValue) -> LLValue:
    by_zero = b.icmp_unsigned("==", rhs, constant(rhs.type, 0))
    quotient, remainder = _quotient(b, signed, by_zero, lhs, rhs)
    if kind is BinaryKind.REM:
        return b.select(by_zero, lhs, remainder)
    if kind is BinaryKind.FLOORDIV and signed:
        quotient = _rounded_down(b, quotient, remainder, rhs)
    return b.select(by_zero, constant(lhs.type, -1), quotient)


def _quotient(
    b: Builder, signed: bool, by_zero: LLValue, lhs: LLValue, rhs: LLValue
) -> tuple[LLValue, LLValue]:
    """Quotient and remainder of a division made safe: undefined by zero, MIN / -1 wraps."""
    type_ = lhs.type
    if type_.width == 1:
        # The only divisor but zero is 1 (or -1): x / -1 wraps to x.
        return lhs, constant(type_, 0)
    unsafe = by_zero
    if signed:
        least = b.icmp_unsigned("==", lhs, constant(type_, 1 << (type_.width - 1)))
        overflows = b.and_(least, b.icmp_unsigned("==", rhs, constant(type_, -1)))
        unsafe = b.or_(by_zero, overflows)
    divisor = b.select(unsafe, constant(type_, 1), rhs)
    if signed:
        return b.sdiv(lhs, divisor), b.srem(lhs, divisor)
    return b.udiv(lhs, divisor), b.urem(lhs, divisor)


def _rounded_down(b: Builder, quotient: LLValue, remainder: LLValue, rhs: LLValue) -> LLValue:
    zero = constant(rhs.type, 0)
    inexact = b.icmp_unsigned("!=", remainder, zero)
    signs_differ = b.icmp_signed("<", b.xor(remainder, rhs), zero)
    step = b.select(b.and_(inexact, signs_differ), constant(rhs.type, -1), zero)
    return b.add(quotient, step)


def affine(b: Builder, expr: AffineExpr, value_of: Callable[[Value], LLValue]) -> LLValue:
    """An affine expression as an i64; ``value_of`` gives the i64 of an index value."""
    total: LLValue | None = None
    for atom, coefficient in expr:
        if isinstance(atom, FloorDiv):
            term = _floordiv(b, affine(b, atom.numerator, value_of), atom.divisor)
        elif isinstance(atom, Mod):
            term = _mod(b, affine(b, atom.numerator, value_of), atom.divisor)
        else:
            term = value_of(atom)
        if coefficient != 1:
            term = b.mul(term, constant(I64, coefficient))
        total = term if total is None else b.add(total, term)
    if total is None:
        return constant(I64, expr.const)
    return b.add(total, constant(I64, expr.const)) if expr.const else total


def _floordiv(b: Builder, numerator: LLValue, divisor: int) -> LLValue:
    if divisor & (divisor - 1) == 0:
        return b.ashr(numerator, constant(I64, divisor.bit_length() - 1))
    by = constant(I64, divisor)
    return _rounded_down(b, b.sdiv(numerator, by), b.srem(numerator, by), by)


def _mod(b: Builder, numerator: LLValue, divisor: int) -> LLValue:
    by = constant(I64, divisor)
    if divisor & (divisor - 1) == 0:
        return b.and_(numerator, constant(I64, divisor - 1))
    remainder = b.srem(numerator, by)
    negative = b.icmp_signed("<", remainder, constant(I64, 0))
    return b.select(negative, b.add(remainder, by), remainder)


def extreme(b: Builder, kind: BinaryKind, values: list[LLValue]) -> LLValue:
    """The least (``MIN``) or largest (``MAX``) of one or more i64 values."""
    return reduce(lambda x, y: binary(b, kind, Index(), x, y), values)
