"""Comparisons, minimum and maximum, and conversions of floating-point numbers, as recipes.

See :mod:`allo_rtl.ir.floats` for what they mean; :mod:`allo_rtl.rtl.float_units` builds them.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Value

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import IntegerType
from allo_rtl.rtl.float_parts import (
    Unpacked,
    Unrounded,
    adder_delay,
    finish,
    leading_zeros,
    shifter_delay,
    unpack,
)
from allo_rtl.rtl.float_pipeline import Kept, Pipeline


def comparison(p: Pipeline, fmt: FloatFormat, predicate: Predicate, a: Value, b: Value) -> Value:
    """``a predicate b``, one bit."""
    x, y, below, above = _magnitudes(p, fmt, a, b)
    unordered = p.signal(x.nan.now | y.nan.now, "unordered")
    zeros = p.signal(x.zero.now & y.zero.now, "zeros")
    different = p.signal(x.sign.now ^ y.sign.now, "different")
    same = Mux(x.sign.now, above.now, below.now)
    less = p.signal(~zeros & Mux(different, x.sign.now, same), "less")
    equal = p.signal(zeros | ~(different | below.now | above.now), "equal")
    match predicate:
        case Predicate.EQ:
            return equal & ~unordered
        case Predicate.NE:
            return ~equal | unordered
        case Predicate.LT:
            return less & ~unordered
        case Predicate.LE:
            return (less | equal) & ~unordered
        case Predicate.GT:
            return ~(less | equal | unordered)
        case Predicate.GE:
            return ~(less | unordered)


def extreme(p: Pipeline, fmt: FloatFormat, a: Value, b: Value, *, largest: bool) -> Value:
    """The minimum or maximum; by sign and magnitude alone, so that -0 is below +0."""
    first, second = p.keep(a, "a"), p.keep(b, "b")
    x, y, below, _ = _magnitudes(p, fmt, a, b)
    same = below.now ^ x.sign.now
    less = p.signal(Mux(x.sign.now ^ y.sign.now, x.sign.now, same), "less")
    number = Mux(less ^ largest, first.now, second.now)
    return Mux(x.nan.now | y.nan.now, fmt.nan, number)


def _magnitudes(
    p: Pipeline, fmt: FloatFormat, a: Value, b: Value
) -> tuple[Unpacked, Unpacked, Kept, Kept]:
    """Both operands, and whether the first one's magnitude is below, above the other's."""
    x, y = unpack(p, fmt, a, "x"), unpack(p, fmt, b, "y")
    below = p.keep(a[: fmt.bits - 1] < b[: fmt.bits - 1], "below")
    above = p.keep(a[: fmt.bits - 1] > b[: fmt.bits - 1], "above")
    p.end_step(adder_delay(fmt.bits))
    return x, y, below, above


def converted(p: Pipeline, source: FloatFormat, target: FloatFormat, a: Value) -> Value:
    """The nearest number of another format."""
    x = unpack(p, source, a, "x")
    if _contains(target, source):
        wide = Cat(Const(0, target.mantissa - source.mantissa), a)
        return Mux(x.nan.now, target.nan, wide)
    zeros = p.keep(leading_zeros(p, x.significand.now), "zeros")
    exponent = p.keep(x.exponent.now + (target.bias - source.bias), "exponent")
    p.end_step(shifter_delay(source.precision))
    return finish(
        p, target,
        Unrounded(
            x.sign, exponent, x.significand, x.nan, x.infinite, x.zero, zeros,
            subnormal=target.bias < source.bias,
        ),
    )  # fmt: skip


def _contains(wide: FloatFormat, narrow: FloatFormat) -> bool:
    """Whether a pattern of ``narrow``, with zeros behind it, is one of ``wide``."""
    return (
        wide.exponent == narrow.exponent
        and wide.mantissa >= narrow.mantissa
        and ((wide.infinities and narrow.infinities) or wide == narrow)
    )


def of_integer(p: Pipeline, fmt: FloatFormat, value: Value, fraction: int) -> Value:
    """The number nearest to ``value / 2**fraction``."""
    negative = value[-1] if value.shape().signed else Const(0)
    size = p.keep(Mux(negative, -value, value)[: len(value)], "size")
    sign = p.keep(negative, "sign")
    p.end_step(1.0 + adder_delay(len(value)))
    no = p.keep(Const(0, 1), "no")
    zero = p.keep(~size.now.any(), "zero")
    zeros = p.keep(leading_zeros(p, size.now), "zeros")
    top = fmt.bias + len(value) - 1 - fraction
    exponent = p.keep(Const(top), "exponent")
    p.end_step(shifter_delay(len(value)))
    return finish(
        p, fmt, Unrounded(sign, exponent, size, no, no, zero, zeros, subnormal=top < 1)
    )


def to_integer(
    p: Pipeline, fmt: FloatFormat, a: Value, target: IntegerType, fraction: int
) -> Value:
    """``a * 2**fraction`` toward zero; beyond the type's range its nearest end, of a NaN 0."""
    x = unpack(p, fmt, a, "x")
    # The significand starts above the integer's top bit; this is how far down it goes.
    width, reach = target.width, target.width + fmt.precision
    down = p.signal(width + fmt.bias + fmt.mantissa - fraction - x.exponent.now, "down")
    large = p.keep(down <= 0, "large")
    distance = p.keep(Mux(down > reach, reach, down)[: reach.bit_length()], "distance")
    p.end_step(2 * adder_delay(fmt.exponent))
    placed = Cat(Const(0, width), x.significand.now)
    size = p.keep(placed >> distance.now, "size")
    p.end_step(shifter_delay(reach))
    beyond = large.now | size.now[width - target.signed :].any() | x.infinite.now
    number = size.now[:width]
    if target.signed:
        number, end = Mux(x.sign.now, -number, number), Mux(x.sign.now, target.min, target.max)
    else:
        number, end = Mux(x.sign.now, 0, number), Mux(x.sign.now, 0, target.max)
    result = Mux(x.nan.now | x.zero.now, 0, Mux(beyond, end, number))[:width]
    return result.as_signed() if target.signed else result
