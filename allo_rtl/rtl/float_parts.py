"""The parts that floating-point units are made of: unpacking, counting, shifting, rounding.

Exponents are counted as they are stored, with the bias; where they may leave the range of the
format they are signed and as wide as they need be.  Delays are nanoseconds on an ECP5, about.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Value

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.rtl.float_pipeline import Kept, Pipeline

UNPACK_DELAY = 2.5


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The fields of a number; the exponent of a subnormal is 1, that of its last place."""

    sign: Kept
    exponent: Kept
    significand: Kept
    nan: Kept
    infinite: Kept
    zero: Kept


@dataclass(frozen=True, slots=True)
class Unrounded:
    """A number on its way to :func:`finish`.

    Attributes:
        sign: its sign, also of an infinity or zero.
        exponent: the stored exponent it would have if the significand's top bit were 1.
        significand: bits from the highest on; the last one may stand for all below it.
        nan, infinite, zero: what it is instead.
        zeros: leading zeros of the significand, or None if there are none.
        estimated: there may be one leading zero more than ``zeros`` says.
        subnormal: whether ``exponent`` may be below 1.
    """

    sign: Kept
    exponent: Kept
    significand: Kept
    nan: Kept
    infinite: Kept
    zero: Kept
    zeros: Kept | None = None
    estimated: bool = False
    subnormal: bool = True


def adder_delay(width: int) -> float:
    """Of an addition or comparison."""
    return 2.5 + width / 32


def shifter_delay(width: int) -> float:
    """Of a shift of ``width`` bits by up to as much."""
    return 0.5 + 0.7 * width.bit_length()


def unpack(p: Pipeline, fmt: FloatFormat, pattern: Value, name: str) -> Unpacked:
    """The fields of a bit pattern."""
    fraction, field = pattern[: fmt.mantissa], pattern[fmt.mantissa : fmt.bits - 1]
    normal, highest = p.signal(field.any(), f"{name}_normal"), field.all()
    if fmt.infinities:
        nan, infinite = highest & fraction.any(), highest & ~fraction.any()
    else:
        nan, infinite = highest & fraction.all(), Const(0)
    return Unpacked(
        sign=p.keep(pattern[fmt.bits - 1], f"{name}_sign"),
        exponent=p.keep(Cat(field[0] | ~normal, field[1:]), f"{name}_exponent"),
        significand=p.keep(Cat(fraction, normal), f"{name}_significand"),
        nan=p.keep(nan, f"{name}_nan"),
        infinite=p.keep(infinite, f"{name}_infinite"),
        zero=p.keep(~normal & ~fraction.any(), f"{name}_zero"),
    )


def leading_zeros(p: Pipeline, value: Value) -> Value:
    """How many zeros are above the highest one of ``value``; for 0 any number."""
    width = 1 << max(len(value) - 1, 0).bit_length()
    return _leading_zeros(p, Cat(Const(0, width - len(value)), value))[0]


def _leading_zeros(p: Pipeline, value: Value) -> tuple[Value, Value]:
    """(count, whether all are zero) of a width that is a power of two: from those of its halves."""
    if len(value) == 1:
        return Const(0, 0), ~value
    half = len(value) // 2
    (high, high_empty), (low, low_empty) = (
        _leading_zeros(p, part) for part in (value[half:], value[:half])
    )
    count = p.signal(Cat(Mux(high_empty, low, high)[: len(high)], high_empty), "zeros")
    return count, p.signal(high_empty & low_empty, "empty")


def shift_left(value: Value, amount: Value) -> Value:
    """``value << amount`` in the width of ``value``."""
    return (value << amount)[: len(value)]


def shift_right_sticky(p: Pipeline, value: Kept, amount: Kept) -> Kept:
    """``value >> amount`` for any unsigned amount; the last bit also tells if a one was lost.

    Two steps, both ended: the distances grow, and the second step has the larger ones.
    """
    width = len(value.now)
    levels = min((width - 1).bit_length(), len(amount.now))
    for level in range(levels):
        if level == levels // 2:
            p.end_step(shifter_delay(width) * 0.6)
        value = p.keep(_shift_once(value.now, 1 << level, amount.now[level]), "aligned")
    beyond = amount.now[levels:].any() if len(amount.now) > levels else Const(0)
    lost = Cat(value.now.any(), Const(0, width - 1))
    value = p.keep(Mux(beyond, lost, value.now), "aligned")
    p.end_step(shifter_delay(width) * 0.6)
    return value


def _shift_once(value: Value, distance: int, shifted: Value) -> Value:
    """``value``, or ``value >> distance`` with its last bit telling if a one was lost."""
    return Mux(shifted, Cat(value[: distance + 1].any(), value[distance + 1 :]), value)


def squeeze(value: Value, width: int) -> Value:
    """The highest ``width`` bits; the last of them stands for all that are left out."""
    if len(value) <= width:
        return Cat(Const(0, width - len(value)), value)
    cut = len(value) - width
    return Cat(value[: cut + 1].any(), value[cut + 1 :])


def normalise(p: Pipeline, *numbers: Unpacked) -> list[tuple[Kept, Kept]]:
    """(signed exponent, significand with a leading one) of numbers that are not zero."""
    counts = [p.keep(leading_zeros(p, x.significand.now), "leading") for x in numbers]
    p.end_step(shifter_delay(len(numbers[0].significand.now)))
    found = []
    for x, zeros in zip(numbers, counts, strict=True):
        shifted = shift_left(x.significand.now, zeros.now)
        exponent = x.exponent.now - zeros.now
        found.append((p.keep(exponent, "exponent"), p.keep(shifted, "normal")))
    p.end_step(shifter_delay(len(numbers[0].significand.now)))
    return found


def finish(p: Pipeline, fmt: FloatFormat, x: Unrounded) -> Value:
    """The bit pattern of a number: normalised, rounded to the nearest, ties to even, packed.

    A significand that is left below the top bit, because the exponent can go no lower, is that of
    a subnormal.  The top bit is added to an exponent that is one too low, so both come out right.
    """
    field, left, right = _distances(p, x)
    p.end_step(adder_delay(2 * len(field.now)))
    significand = x.significand
    if left is not None:
        significand = p.keep(shift_left(significand.now, left.now), "shifted")
        p.end_step(shifter_delay(len(significand.now)))
    # Above the last place: one more bit if there may be one more zero; below: one, and the rest.
    significand = p.keep(squeeze(significand.now, fmt.precision + 2 + x.estimated), "squeezed")
    if right is not None:
        significand = shift_right_sticky(p, significand, right)
    rounded = p.keep(_round(p, fmt, significand.now, field.now, x.estimated), "rounded")
    p.end_step(2.0 + adder_delay(fmt.bits))
    return _pack(p, fmt, x, rounded.now)


def _distances(p: Pipeline, x: Unrounded) -> tuple[Kept, Kept | None, Kept | None]:
    """(stored exponent less 1, shift to the left, shift to the right) that normalise a number."""
    exponent = x.exponent.now
    room = p.signal(exponent - 1, "room")
    deep = room[-1] if x.subnormal else Const(0)
    if x.zeros is None:
        left, field = None, Mux(deep, 0, room)
    else:
        zeros = x.zeros.now
        limited = p.signal(zeros > room, "limited")
        distance = Mux(deep, 0, Mux(limited, room, zeros))
        left = p.keep(distance[: len(zeros)], "left")
        field = Mux(limited, 0, room - zeros)
    # Neither is negative, whatever its expression may look like.
    right = p.keep(Mux(deep, -room, 0)[: len(room)], "right") if x.subnormal else None
    return p.keep(field[: len(room) - 1], "field"), left, right


def _round(p: Pipeline, fmt: FloatFormat, value: Value, field: Value, estimated: bool) -> Value:
    """Exponent and fraction of a normalised number, rounded; as wide as the exponent came."""
    top = value[-1]
    if estimated:
        high = Cat(value[:2].any(), value[2:-1])
        value = p.signal(Mux(top | (field == 0), high, value[:-2]), "placed")
    else:
        value = value[:-1]
    fraction, half, rest = value[2:], value[1], value[0]
    up = half & (rest | fraction[0])
    # One adder: the top bit goes to the exponent, and what rounds up to the last place.
    return Cat(fraction, field) + Cat(up, Const(0, fmt.mantissa - 1), top)


def _pack(p: Pipeline, fmt: FloatFormat, x: Unrounded, rounded: Value) -> Value:
    infinite = p.signal(x.infinite.now | (rounded >= fmt.overflow), "overflow") & ~x.zero.now
    nan = x.nan.now if fmt.infinities else x.nan.now | infinite
    number = Mux(x.zero.now, 0, rounded[: fmt.bits - 1])
    magnitude = Mux(nan, fmt.nan, Mux(infinite, fmt.overflow, number))
    return Cat(magnitude[: fmt.bits - 1], x.sign.now & ~nan)
