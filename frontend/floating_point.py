"""Operators on floating-point numbers, and on one and any other number.

Operands are converted to the result's type, then the operation rounds once.  Literals are Python
floats until they meet something else: operators on two of them are computed as Python does.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import isfinite

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend import fixed_point
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Builder, Operand, float_literal
from allo_rtl.ir.arithmetic import eval_cast, format_of
from allo_rtl.ir.floats import Kind
from allo_rtl.ir.ops import BinaryKind, MathKind
from allo_rtl.ir.types import Float, Index, Struct, float32, float64

_PYTHON: Mapping[BinaryKind, Callable[[float, float], float]] = {
    BinaryKind.ADD: op.add,
    BinaryKind.SUB: op.sub,
    BinaryKind.MUL: op.mul,
    BinaryKind.DIV: op.truediv,
}


def binary(
    b: Builder, kind: BinaryKind, left: Operand, right: Operand, result: Float, loc: SourceLoc
) -> Operand:
    """``left kind right`` in the type ``result``."""
    if kind in _PYTHON and (pair := _literals(left, right)) is not None:
        try:
            return float_literal(_PYTHON[kind](*pair), result)
        except (ZeroDivisionError, OverflowError):
            pass  # The operation itself has a result.
    return b.binary(kind, left, right, result, loc)


def _literals(left: Operand, right: Operand) -> tuple[float, float] | None:
    """The numbers of two literals, one of them an integer at most."""
    numbers = [
        o.literal if o.literal is not None else o.constant if o.affine is not None else None
        for o in (left, right)
    ]
    first, second = numbers
    return None if first is None or second is None else (first, second)


def negate(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """``-operand``: the sign bit flipped."""
    assert isinstance(operand.type, Float)
    if operand.literal is not None:
        return float_literal(-operand.literal, operand.type)
    return b.math(MathKind.NEG, (operand,), operand.type, loc)


def power(
    b: Builder, left: Operand, right: Operand, result: Float, loc: SourceLoc
) -> Operand:
    """``left ** right``; a square is a product, which has the same bits."""
    if number_of(right) == 2:
        left = b.convert(left, result, loc)
        return b.binary(BinaryKind.MUL, left, left, result, loc)
    return b.math(MathKind.POW, (left, right), result, loc)


def number_of(operand: Operand) -> Fraction | None:
    """The exact number of a constant; None for others, infinities and NaN."""
    if operand.literal is not None:
        return Fraction(operand.literal) if isfinite(operand.literal) else None
    if operand.constant is None or isinstance(operand.type, Struct):
        return None
    if isinstance(operand.type, Float):
        return _finite(operand.type, operand.constant)
    return Fraction(operand.constant, 1 << rules.plain(operand.type).fracs)


def _finite(type_: Float, pattern: int) -> Fraction | None:
    exact = format_of(type_).unpack(pattern)
    if exact.kind is not Kind.FINITE:
        return None
    magnitude = exact.significand * Fraction(2) ** exact.exponent
    return -magnitude if exact.sign else magnitude


def exact_type(b: Builder, left: Operand, right: Operand) -> Float:
    """The narrowest floating-point type that holds both operands exactly, one being of one.

    It is at least the type of an operator on them, and float64 when there is none.
    """
    common = rules.float_type(left.type, right.type)
    assert common is not None
    types = (common, *(t for t in (float32, float64) if t.width > common.width))
    fitting = (t for t in types if _holds(b, t, left) and _holds(b, t, right))
    return next(fitting, float64)


def _holds(b: Builder, type_: Float, operand: Operand) -> bool:
    """Whether every number that the operand can be is one of the type."""
    source = operand.type
    if isinstance(source, Float):
        smaller = source.fracs <= type_.fracs and source.exponent <= type_.exponent
        return source == type_ or (smaller and type_.infinities)
    if operand.constant is not None:
        pattern = eval_cast(type_, operand.constant, source)
        return _finite(type_, pattern) == number_of(operand)
    fmt, counted = format_of(type_), fixed_point.counted_as(b, operand)
    digits = counted.width - counted.signed
    if isinstance(source, Index):
        digits = max(end.bit_length() for end in b.interval(operand))
    highest, lowest = digits - counted.fracs, -counted.fracs
    return digits <= fmt.precision and highest <= fmt.bias and lowest >= fmt.last_place
