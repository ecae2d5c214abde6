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
    count_zeros,
    finish,
    shifter_delay,
    tree_delay,
    unpack,
    unpack_delay,
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
    result = _decide(predicate, less, equal, unordered)
    p.end_step(2.0)
    return result


def _decide(predicate: Predicate, less: Value, equal: Value, unordered: Value) -> Value:
    """The comparison, by what holds of the operands."""
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
    result = Mux(x.nan.now | y.nan.now, fmt.nan, number)
    p.end_step(1.0 + tree_delay(fmt.bits))
    return result


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
        result = Mux(x.nan.now, target.nan, wide)
        p.end_step(unpack_delay(source))
        return result
    room = p.keep(x.exponent.now + (target.bias - source.bias - 1), "room")
    [zeros] = count_zeros(p, x.significand.now)
    return finish(
        p, target,
        Unrounded(
            x.sign, room, x.significand, x.nan, x.infinite, x.zero, zeros,
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
    p.end_step(adder_delay(len(value)))
    no = p.keep(Const(0, 1), "no")
    [zeros] = count_zeros(p, size.now)
    zero = p.keep(~size.now.any(), "zero")
    room = fmt.bias + len(value) - 2 - fraction
    return finish(
        p, fmt,
        Unrounded(
            sign, p.keep(Const(room), "room"), size, no, no, zero, zeros, subnormal=room < 0
        ),
    )  # fmt: skip


def to_integer(
    p: Pipeline, fmt: FloatFormat, a: Value, target: IntegerType, fraction: int
) -> Value:
    """``a * 2**fraction`` toward zero; beyond the type's range its nearest end, of a NaN 0."""
    x = unpack(p, fmt, a, "x")
    # The significand starts above the integer's top bit; this is how far down it goes.
    width, reach = target.width, target.width + fmt.precision
    down = width + fmt.bias + fmt.mantissa - fraction - x.exponent.now
    down = p.keep(down, "down")
    p.end_step(adder_delay(fmt.exponent) + tree_delay(fmt.exponent))
    large = p.keep(down.now <= 0, "large")
    distance = p.keep(Mux(down.now > reach, reach, down.now)[: reach.bit_length()], "distance")
    p.end_step(0.5 + adder_delay(len(down.now)))
    size = _shift_right(p, Cat(Const(0, width), x.significand.now), distance.now)
    high = size.now[width - target.signed :].any()
    beyond = p.keep(large.now | high | x.infinite.now, "beyond")
    number = Mux(x.sign.now, -size.now[:width] if target.signed else 0, size.now[:width])
    number = p.keep(number[:width], "number")
    p.end_step(adder_delay(width) if target.signed else tree_delay(fmt.precision))
    end = Mux(x.sign.now, target.min, target.max)
    result = Mux(x.nan.now | x.zero.now, 0, Mux(beyond.now, end, number.now))[:width]
    p.end_step(0.5 + tree_delay(width))
    return result.as_signed() if target.signed else result


def _shift_right(p: Pipeline, value: Value, amount: Value) -> Kept:
    """``value >> amount`` in two steps, both ended."""
    width, half = len(value), len(amount) // 2
    moved, rest = p.keep(value >> amount[:half], "moved"), p.keep(amount[half:], "amount")
    p.end_step(shifter_delay(width, half))
    moved = p.keep(moved.now >> (rest.now << half), "moved")
    p.end_step(shifter_delay(width, len(amount) - half))
    return moved
