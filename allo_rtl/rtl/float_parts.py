"""The parts that floating-point units are made of: unpacking, counting, shifting, rounding.

Exponents are counted as they are stored, with the bias; where they may leave the range of the
format they are signed and as wide as they need be.  Delays are nanoseconds on an ECP5, about:
what the ways to the registers behind the steps take there in units with a register everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from math import log2

from amaranth.hdl import Cat, Const, Mux, Value

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.rtl.float_pipeline import Kept, Pipeline


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
        room: the stored exponent it would have if the significand's top bit were 1, less 1: how
            far the significand may be moved up until the exponent can go no lower.
        significand: bits from the highest on; the last one may stand for all below it.
        nan, infinite, zero: what it is instead.
        zeros: leading zeros of the significand, or None if there are none.
        estimated: there may be one leading zero more than ``zeros`` says.
        subnormal: whether ``room`` may be negative.
    """

    sign: Kept
    room: Kept
    significand: Kept
    nan: Kept
    infinite: Kept
    zero: Kept
    zeros: Kept | None = None
    estimated: bool = False
    subnormal: bool = True


def adder_delay(width: int) -> float:
    """Of an addition or comparison."""
    return 2.5 + width / 25


def shifter_delay(width: int, levels: int) -> float:
    """Of a shift of ``width`` bits by up to ``2**levels``: more bits are farther apart."""
    return 0.6 * levels + tree_delay(width) / 2


def tree_delay(width: int) -> float:
    """Of what all bits of a value decide."""
    return 0.6 * log2(max(width, 2))


def unpack_delay(fmt: FloatFormat) -> float:
    """Of :func:`unpack`."""
    return 1.0 + tree_delay(fmt.bits)


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
    """How many zeros are above the highest one of ``value``; for 0 any number.  Within a step."""
    parts = _single_bits(value)
    while len(parts) > 1:
        parts = _join(p, parts)
    return parts[0][0]


def count_zeros(p: Pipeline, *values: Value) -> list[Kept]:
    """:func:`leading_zeros` of values of one width, in two steps, both ended."""
    counts = [_single_bits(value) for value in values]
    half = 1 << (len(counts[0]).bit_length() // 2)
    while len(counts[0]) > half:
        counts = [_join(p, parts) for parts in counts]
    kept = [[tuple(p.keep(x, "zeros") for x in part) for part in parts] for parts in counts]
    p.end_step(0.3 + tree_delay(len(values[0])))
    counts = [[(count.now, empty.now) for count, empty in parts] for parts in kept]
    while len(counts[0]) > 1:
        counts = [_join(p, parts) for parts in counts]
    found = [p.keep(parts[0][0], "zeros") for parts in counts]
    p.end_step(0.3 + tree_delay(len(values[0])))
    return found


def _single_bits(value: Value) -> list[tuple[Value, Value]]:
    """(count of zeros, whether there are only zeros) of each bit, the highest first.

    There are as many as a power of two; ones that are added at the end are never reached.
    """
    missing = (1 << max(len(value) - 1, 0).bit_length()) - len(value)
    bits = [*reversed(value), *[Const(1, 1)] * missing]
    return [(Const(0, 0), ~bit) for bit in bits]


def _join(p: Pipeline, parts: Sequence[tuple[Value, Value]]) -> list[tuple[Value, Value]]:
    """The counts of pairs of neighbours."""
    return [
        (
            p.signal(Cat(Mux(high_empty, low, high)[: len(high)], high_empty), "zeros"),
            p.signal(high_empty & low_empty, "empty"),
        )
        for (high, high_empty), (low, low_empty) in batched(parts, 2)
    ]


def shift_left(p: Pipeline, *shifts: tuple[Value, Value]) -> list[Kept]:
    """``value << amount`` in the width of ``value``, of several; in two steps, both ended."""
    width, bits = len(shifts[0][0]), len(shifts[0][1])
    half = bits // 2
    first = [
        (p.keep((value << amount[:half])[:width], "moved"), p.keep(amount[half:], "amount"))
        for value, amount in shifts
    ]
    p.end_step(shifter_delay(width, half))
    second = [
        p.keep((value.now << (amount.now << half))[:width], "moved") for value, amount in first
    ]
    p.end_step(shifter_delay(width, bits - half))
    return second


def shift_right_sticky(p: Pipeline, value: Kept, amount: Kept) -> Kept:
    """``value >> amount`` for any unsigned amount; the last bit also tells if a one was lost.

    Two steps, both ended: the second one has the larger distances.
    """
    width = len(value.now)
    levels = min((width - 1).bit_length(), len(amount.now))
    half = levels // 2
    value = p.keep(_shift_sticky(value.now, amount.now[:half], 1), "aligned")
    p.end_step(shifter_delay(width, half))
    beyond = amount.now[levels:].any() if len(amount.now) > levels else Const(0)
    lost = Cat(value.now.any(), Const(0, width - 1))
    shifted = _shift_sticky(value.now, amount.now[half:levels], 1 << half)
    value = p.keep(Mux(beyond, lost, shifted), "aligned")
    p.end_step(0.8 + shifter_delay(width, levels - half))
    return value


def _shift_sticky(value: Value, amount: Value, unit: int) -> Value:
    """``value >> amount * unit``, the last bit telling also if a one was lost."""
    # What is lost is looked up beside the shift, not behind it.
    lost = Cat(value[: n * unit].any() if n else Const(0, 1) for n in range(1 << len(amount)))
    shifted = value >> (amount * unit)
    return Cat(shifted[0] | lost.bit_select(amount, 1), shifted[1 : len(value)])


def squeeze(value: Value, width: int) -> Value:
    """The highest ``width`` bits; the last of them stands for all that are left out."""
    if len(value) <= width:
        return Cat(Const(0, width - len(value)), value)
    cut = len(value) - width
    return Cat(value[: cut + 1].any(), value[cut + 1 :])


def normalise(p: Pipeline, *numbers: Unpacked) -> list[tuple[Kept, Kept]]:
    """(signed exponent, significand with a leading one) of numbers that are not zero."""
    zeros = count_zeros(p, *(x.significand.now for x in numbers))
    pairs = zip(numbers, zeros, strict=True)
    exponents = [p.keep(x.exponent.now - n.now, "exponent") for x, n in pairs]
    shifts = ((x.significand.now, n.now) for x, n in zip(numbers, zeros, strict=True))
    return list(zip(exponents, shift_left(p, *shifts), strict=True))


def finish(p: Pipeline, fmt: FloatFormat, x: Unrounded) -> Value:
    """The bit pattern of a number: normalised, rounded to the nearest, ties to even, packed.

    A significand that is left below the top bit, because the exponent can go no lower, is that of
    a subnormal.  The top bit is added to an exponent that is one too low, so both come out right.
    """
    field, left, right = _distances(p, x)
    p.end_step(0.5 + adder_delay(len(field.now)))
    significand = x.significand
    if left is not None:
        [significand] = shift_left(p, (significand.now, left.now))
    # Above the last place: one more bit if there may be one more zero; below: one, and the rest.
    significand = p.keep(squeeze(significand.now, fmt.precision + 2 + x.estimated), "squeezed")
    squeezed = tree_delay(len(x.significand.now) - len(significand.now))
    if right is not None:
        significand, squeezed = shift_right_sticky(p, significand, right), 0.0
    if x.estimated:
        significand = _place(p, significand.now, field.now)
    rounded = p.keep(_round(fmt, significand.now, field.now), "rounded")
    p.end_step(squeezed + adder_delay(fmt.bits))
    packed = _pack(p, fmt, x, rounded.now)
    p.end_step(0.5 + tree_delay(fmt.bits))
    return packed


def _distances(p: Pipeline, x: Unrounded) -> tuple[Kept, Kept | None, Kept | None]:
    """(stored exponent less 1, shift to the left, shift to the right) that normalise a number."""
    room = x.room.now
    deep = room[-1] if x.subnormal else Const(0)
    # No distance is negative, whatever its expression may look like.
    right = p.keep(Mux(deep, -room, 0)[: len(room)], "right") if x.subnormal else None
    if x.zeros is None:
        return p.keep(Mux(deep, 0, room)[: len(room)], "field"), None, right
    zeros = x.zeros.now
    left_over = p.signal(room - zeros, "left_over")
    limited = left_over[-1]
    distance = Mux(limited, Mux(deep, 0, room), zeros)
    field = Mux(limited, 0, left_over)[: len(room)]
    return p.keep(field, "field"), p.keep(distance[: len(zeros)], "left"), right


def _place(p: Pipeline, value: Value, field: Value) -> Kept:
    """Where there may be one zero more than was counted: the bit below it left out, in a step."""
    top, rest = value[-1], Cat(value[:2].any(), value[2:-1])
    placed = p.keep(Cat(Mux(top | (field == 0), rest, value[:-2]), top), "placed")
    p.end_step(3.0)
    return placed


def _round(fmt: FloatFormat, value: Value, field: Value) -> Value:
    """Exponent and fraction of a normalised number, rounded; as wide as the exponent came."""
    top, fraction, half, rest = value[-1], value[2:-1], value[1], value[0]
    up = half & (rest | fraction[0])
    # One adder: the top bit goes to the exponent, and what rounds up to the last place.
    return Cat(fraction, field) + Cat(up, Const(0, fmt.mantissa - 1), top)


def _pack(p: Pipeline, fmt: FloatFormat, x: Unrounded, rounded: Value) -> Value:
    beyond = rounded[fmt.bits - 1 :].any() | _all_of(rounded, fmt.overflow)
    infinite = p.signal(x.infinite.now | (beyond & ~x.zero.now), "overflow")
    nan = x.nan.now if fmt.infinities else x.nan.now | infinite
    number = Mux(x.zero.now, 0, rounded[: fmt.bits - 1])
    magnitude = Mux(nan, fmt.nan, Mux(infinite, fmt.overflow, number))
    return Cat(magnitude[: fmt.bits - 1], x.sign.now & ~nan)


def _all_of(value: Value, pattern: int) -> Value:
    """Whether all bits of a pattern are set; never if the value is too short for it."""
    if len(value) < pattern.bit_length():
        return Const(0, 1)
    return Cat(value[k] for k in range(pattern.bit_length()) if pattern >> k & 1).all()
