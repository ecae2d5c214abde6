"""Floating-point patterns taken apart and put together, as integer dataflow."""

from __future__ import annotations

from dataclasses import dataclass

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.flow import Number


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
        """An integer of ``precision`` bits: with ``exponent``, what the pattern stands for."""
        return self.fraction + (self.field >= 1).scaled(self.fmt.mantissa)

    @property
    def step(self) -> Number:
        """The number is ``significand * 2**(step + last_place)``; 0 is the smallest step."""
        return self.field.max(1) - 1


def normalised(x: Number, width: int) -> tuple[Number, Number]:
    """``x`` of ``width`` bits shifted left until its top bit is 1, and by how many places.

    Zero stays zero.
    """
    flow, shift = x.flow, x.flow.number(0)
    places = 1 << max(width - 1, 1).bit_length() - 1
    while places:
        empty = x.bits(width - places, places).equals(0)
        low = (x.bits(0, width - places) << places)
        x = flow.choose(empty, low, x)
        shift = shift | empty.scaled(places.bit_length() - 1).floor(0)
        places //= 2
    return x, shift
