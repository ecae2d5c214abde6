"""Floating-point patterns taken apart and put together, as integer dataflow."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.flow import Number

GUARD = 6
"""Bits that fixed-point numbers have below half a unit in the last place of the result.

An error of one of their own units is ``2**-7`` of a unit in the last place, so half a dozen of
these add little to the half that rounding costs.
"""


@dataclass(frozen=True)
class Parts:
    """The parts of a pattern.

    Attributes:
        fmt: the format.
        pattern: all of it.
        sign: 1 bit.
        magnitude: the pattern without its sign.
        field: the exponent as it is stored.
        fraction: the fraction as it is stored, an integer.
    """

    fmt: FloatFormat
    pattern: Number
    sign: Number
    magnitude: Number
    field: Number
    fraction: Number

    @staticmethod
    def of(pattern: Number, fmt: FloatFormat) -> Parts:
        """The parts of ``pattern``."""
        bits, mantissa = fmt.bits, fmt.mantissa
        return Parts(
            fmt, pattern, pattern.bits(bits - 1, 1), pattern.bits(0, bits - 1),
            pattern.bits(mantissa, fmt.exponent), pattern.bits(0, mantissa),
        )  # fmt: skip

    @property
    def is_nan(self) -> Number:
        """Whether it is no number."""
        return self.magnitude >= self.fmt.overflow + int(self.fmt.infinities)

    @property
    def is_infinite(self) -> Number:
        """Whether it is an infinity."""
        if self.fmt.infinities:
            return self.magnitude.equals(self.fmt.overflow)
        return self.sign.flow.number(0)

    @property
    def is_zero(self) -> Number:
        """Whether it is one of the zeros."""
        return self.magnitude.equals(0)

    @property
    def significand(self) -> Number:
        """All digits of the number, an integer of ``precision`` bits."""
        return self.fraction + (self.field >= 1).scaled(self.fmt.mantissa)

    @property
    def below_point(self) -> Number:
        """Ones where the fraction of a number of 1 or more has bits below the binary point."""
        whole_bits = (self.field - self.fmt.bias).max(0).min(self.fmt.mantissa)
        return self.sign.flow.number((1 << self.fmt.mantissa) - 1) >> whole_bits

    @property
    def step(self) -> Number:
        """The number is ``significand * 2**(step + last_place)``; 0 is the smallest step."""
        return self.field.max(1) - 1


def normalised(x: Number, width: int) -> tuple[Number, Number]:
    """Raw of ``x``, of ``width`` bits, shifted left until its top bit is 1; by how many places.

    Zero stays zero.
    """
    flow, shift = x.flow, x.flow.number(0)
    x = x.bits(0, width)
    for level in reversed(range(max(width - 1, 1).bit_length())):
        places = 1 << level
        empty = x.bits(width - places, places).equals(0)
        x = flow.choose(empty, x.bits(0, width - places) << places, x)
        shift = shift | empty << level
    return x, shift


def to_fixed(x: Parts, whole: int, fracs: int) -> Number:
    """The magnitude of a float below ``2**whole``, rounded down to a multiple of ``2**-fracs``."""
    highest = x.significand.scaled(whole - 1 - x.fmt.mantissa)
    places = (whole - 1 + x.fmt.bias - x.field).max(0).min(whole + fracs)
    return (highest.extended(fracs) >> places).floor(fracs)


def tiny(fmt: FloatFormat) -> int:
    """Numbers below ``2**-tiny`` have cubes that do not matter beside them."""
    return (fmt.precision + GUARD) // 2


def is_tiny(x: Parts) -> Number:
    """Whether the magnitude is below ``2**-tiny``."""
    return x.field < x.fmt.bias - tiny(x.fmt)


def renormalised(exponent: Number, significand: Number) -> tuple[Number, Number]:
    """``significand * 2**exponent`` for one of 1 to 4, with one of 1 to 2."""
    large = significand >= 2
    halved = significand.flow.choose(large, significand.scaled(-1), significand)
    return exponent + large, halved.within(0, 2 + Fraction(1, 4)).floor(significand.fracs)


def packed(fmt: FloatFormat, sign: Number | int, exponent: Number, significand: Number) -> Number:
    """The pattern of ``(-1)**sign * significand * 2**exponent``, rounded to nearest.

    ``significand`` is about 1 to 2: a hair less or more than these is right too.  Ties, as far as
    the bits that are given tell, go to even.  What is too large becomes infinite (or NaN), what
    is too small subnormal or zero.
    """
    flow, mantissa = significand.flow, fmt.mantissa
    field = exponent + fmt.bias
    # Below the smallest normal exponent the last place stays where it is.
    significand = significand >> (1 - field).max(0).min(fmt.precision + 1)
    steps = (field.max(1) - 1).min((1 << fmt.exponent) - 1)
    drop = significand.fracs - mantissa
    rounded = (significand + Fraction(1, 2 << mantissa)).floor(mantissa)
    tie = significand.bits(0, drop).equals(1 << drop - 1)
    even = rounded.scaled(mantissa) ^ (tie & rounded.bits(0, 1))
    # The leading one counts as one step of the exponent, and so does a carry out of the top.
    magnitude = (even + (steps << mantissa)).min(fmt.overflow)
    if not fmt.infinities:
        sign = flow.choose(magnitude.equals(fmt.nan), 0, sign)
    return magnitude.bits(0, fmt.bits - 1) | flow.number(sign) << fmt.bits - 1
