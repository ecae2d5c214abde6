"""What floating-point operations mean, on bit patterns: Python integers and one rounding.

A value is unpacked to an exact number, operations on these are exact (quotients and roots keep
one bit that says whether anything is left), and :meth:`FloatFormat.pack` rounds once, to the
nearest number, ties to the even one, as IEEE 754 does by default.  Subnormals are numbers like
all others, zeros have a sign, and every result that is no number is the one canonical quiet NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import isqrt

from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import IntegerType


class Kind(Enum):
    """What a bit pattern stands for."""

    FINITE = "finite"
    INFINITE = "infinite"
    NAN = "nan"


@dataclass(frozen=True, slots=True)
class Exact:
    """The number ``(-1)**sign * significand * 2**exponent``, or an infinity, or no number.

    Zero has a sign too: it is a significand of 0.
    """

    sign: int = 0
    significand: int = 0
    exponent: int = 0
    kind: Kind = Kind.FINITE

    @property
    def is_zero(self) -> bool:
        """Whether this is one of the two zeros."""
        return self.kind is Kind.FINITE and self.significand == 0

    def scaled(self, exponent: int) -> int:
        """The signed multiple of ``2**exponent`` that a finite number is; at most its own."""
        magnitude = self.significand << (self.exponent - exponent)
        return -magnitude if self.sign else magnitude


NAN = Exact(kind=Kind.NAN)


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A binary format: sign, biased exponent, fraction, from the highest bit to the lowest.

    Attributes:
        exponent: bits of the exponent, 2 or more.
        mantissa: bits of the fraction, 1 or more, without the leading one that is not stored.
        infinities: True for the encoding of IEEE 754, where the highest exponent means infinity
            or NaN.  False for E4M3: the highest exponent is one like the others, only all ones
            in exponent and fraction mean NaN, and what is too large becomes NaN.

    Raises:
        ValueError: too few bits.
    """

    exponent: int
    mantissa: int
    infinities: bool = True

    def __post_init__(self) -> None:
        if self.exponent < 2 or self.mantissa < 1:
            raise ValueError(
                "a floating-point format needs 2 bits of exponent and 1 of mantissa or more, "
                f"not {self.exponent} and {self.mantissa}"
            )

    @property
    def bits(self) -> int:
        """Width of a bit pattern."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is added to an exponent before it is stored."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def precision(self) -> int:
        """Bits of a significand, with the leading one."""
        return self.mantissa + 1

    @property
    def last_place(self) -> int:
        """Exponent of the smallest subnormal number, of which all others are multiples."""
        return 1 - self.bias - self.mantissa

    @property
    def nan(self) -> int:
        """The canonical NaN: positive, quiet, no payload."""
        exponent = ((1 << self.exponent) - 1) << self.mantissa
        return exponent | (1 << (self.mantissa - 1) if self.infinities else self._fraction)

    @property
    def overflow(self) -> int:
        """The pattern after that of the largest number: infinity, or NaN where there is none."""
        return ((1 << self.exponent) - 1) << self.mantissa if self.infinities else self.nan

    @property
    def _fraction(self) -> int:
        return (1 << self.mantissa) - 1

    def unpack(self, pattern: int) -> Exact:
        """What a pattern stands for."""
        sign, magnitude = pattern >> (self.bits - 1), pattern & ((1 << (self.bits - 1)) - 1)
        if magnitude >= self.overflow:
            infinite = self.infinities and magnitude == self.overflow
            return Exact(sign, kind=Kind.INFINITE) if infinite else NAN
        field, fraction = magnitude >> self.mantissa, magnitude & self._fraction
        if field == 0:
            return Exact(sign, fraction, self.last_place)
        return Exact(sign, fraction | 1 << self.mantissa, self.last_place + field - 1)

    def pack(self, value: Exact) -> int:
        """The pattern of the number nearest to ``value``; of two, the one whose last bit is 0."""
        if value.kind is Kind.NAN:
            return self.nan
        magnitude = self.overflow if value.kind is Kind.INFINITE else self._round(value)
        if not self.infinities and magnitude == self.nan:
            return self.nan
        return value.sign << (self.bits - 1) | magnitude

    def _round(self, value: Exact) -> int:
        """The pattern without a sign."""
        if value.significand == 0:
            return 0
        # How many last places of the subnormals make one last place of the result.
        highest = value.significand.bit_length() + value.exponent - 1
        steps = max(highest - self.mantissa - self.last_place, 0)
        kept = _nearest(value.significand, self.last_place + steps - value.exponent)
        # The leading one counts as one step of the exponent, and so does a carry out of the top.
        return min((steps << self.mantissa) + kept, self.overflow)


FLOAT16 = FloatFormat(5, 10)
BFLOAT16 = FloatFormat(8, 7)
FLOAT32 = FloatFormat(8, 23)
FLOAT64 = FloatFormat(11, 52)
FLOAT8_E5M2 = FloatFormat(5, 2)
FLOAT8_E4M3 = FloatFormat(4, 3, infinities=False)


def _nearest(value: int, drop: int) -> int:
    """``value / 2**drop`` as the nearest integer, of two the even one."""
    if drop <= 0:
        return value << -drop
    kept, rest, half = value >> drop, value & ((1 << drop) - 1), 1 << (drop - 1)
    return kept + (rest > half or (rest == half and kept & 1))


def add(fmt: FloatFormat, a: int, b: int) -> int:
    """``a + b``; the sum of opposite numbers is +0, and infinity minus infinity is NaN."""
    return fmt.pack(_sum(fmt.unpack(a), fmt.unpack(b)))


def sub(fmt: FloatFormat, a: int, b: int) -> int:
    """``a - b``: the sum of ``a`` and ``b`` with its sign changed."""
    return add(fmt, a, b ^ 1 << (fmt.bits - 1))


def mul(fmt: FloatFormat, a: int, b: int) -> int:
    """``a * b``; zero times infinity is NaN."""
    return fmt.pack(_product(fmt.unpack(a), fmt.unpack(b)))


def fma(fmt: FloatFormat, a: int, b: int, c: int) -> int:
    """``a * b + c``, rounded once."""
    return fmt.pack(_sum(_product(fmt.unpack(a), fmt.unpack(b)), fmt.unpack(c)))


def div(fmt: FloatFormat, a: int, b: int) -> int:
    """``a / b``; a number over zero is infinite, and 0/0 and infinity/infinity are NaN."""
    return fmt.pack(_quotient(fmt.unpack(a), fmt.unpack(b), 2 * fmt.precision + 2))


def sqrt(fmt: FloatFormat, a: int) -> int:
    """The square root; of -0 it is -0, of other negative numbers NaN."""
    return fmt.pack(_root(fmt.unpack(a), 2 * fmt.precision + 4))


def remainder(fmt: FloatFormat, a: int, b: int) -> int:
    """C's ``fmod``: what is left of ``a`` after whole ``b``, exact, with the sign of ``a``.

    Of an infinity, or by zero, it is NaN; by an infinity, ``a`` itself.
    """
    x, y = fmt.unpack(a), fmt.unpack(b)
    if NAN in (x, y) or x.kind is Kind.INFINITE or y.is_zero:
        return fmt.nan
    if y.kind is Kind.INFINITE:
        return a
    exponent = min(x.exponent, y.exponent)
    rest = abs(x.scaled(exponent)) % abs(y.scaled(exponent))
    return fmt.pack(Exact(x.sign, rest, exponent))


def floor(fmt: FloatFormat, a: int) -> int:
    """The largest whole number that is not above ``a``; zeros and infinities are themselves."""
    x = fmt.unpack(a)
    if x.kind is not Kind.FINITE or x.is_zero or x.exponent >= 0:
        return fmt.pack(x)
    whole = x.scaled(x.exponent) >> -x.exponent
    return fmt.pack(Exact(x.sign, abs(whole), 0))


def compare(fmt: FloatFormat, predicate: Predicate, a: int, b: int) -> bool:
    """A comparison.  Zeros are equal; with a NaN, NE is true and all others are false."""
    if _any_nan(fmt, a, b):
        return predicate is Predicate.NE
    x, y = _rank(fmt, a), _rank(fmt, b)
    match predicate:
        case Predicate.EQ:
            return x == y
        case Predicate.NE:
            return x != y
        case Predicate.LT:
            return x < y
        case Predicate.LE:
            return x <= y
        case Predicate.GT:
            return x > y
        case Predicate.GE:
            return x >= y


def minimum(fmt: FloatFormat, a: int, b: int) -> int:
    """``minimum`` of IEEE 754-2019: NaN if an operand is NaN, and -0 is below +0."""
    if _any_nan(fmt, a, b):
        return fmt.nan
    # Only zeros have one rank and two patterns; the larger pattern is -0.
    return min(a, b, key=lambda x: (_rank(fmt, x), -x))


def maximum(fmt: FloatFormat, a: int, b: int) -> int:
    """``maximum`` of IEEE 754-2019: NaN if an operand is NaN, and +0 is above -0."""
    if _any_nan(fmt, a, b):
        return fmt.nan
    return max(a, b, key=lambda x: (_rank(fmt, x), -x))


def convert(source: FloatFormat, target: FloatFormat, a: int) -> int:
    """The nearest number of another format.  What is too large becomes infinite or NaN."""
    return target.pack(source.unpack(a))


def from_integer(fmt: FloatFormat, value: int, fraction: int = 0) -> int:
    """The number nearest to ``value / 2**fraction``: an integer, or a fixed-point pattern."""
    return fmt.pack(Exact(int(value < 0), abs(value), -fraction))


def to_integer(fmt: FloatFormat, a: int, target: IntegerType, fraction: int = 0) -> int:
    """``a * 2**fraction`` rounded toward zero, as a value of an integer type of any width.

    What is beyond the type's range, an infinity too, becomes its nearest end; NaN becomes 0.
    With ``fraction`` the result is the pattern of a fixed-point number with so many fraction bits.
    """
    x = fmt.unpack(a)
    if x.kind is Kind.NAN:
        return 0
    if x.kind is Kind.INFINITE:
        return target.min if x.sign else target.max
    shift = x.exponent + fraction
    magnitude = x.significand << shift if shift >= 0 else x.significand >> -shift
    return max(target.min, min(target.max, -magnitude if x.sign else magnitude))


def _sum(x: Exact, y: Exact) -> Exact:
    if x.kind is not Kind.FINITE or y.kind is not Kind.FINITE:
        opposite = x.kind is y.kind and x.sign != y.sign
        return NAN if NAN in (x, y) or opposite else x if x.kind is Kind.INFINITE else y
    exponent = min(x.exponent, y.exponent)
    total = x.scaled(exponent) + y.scaled(exponent)
    sign = total < 0 if total else x.sign & y.sign
    return Exact(int(sign), abs(total), exponent)


def _product(x: Exact, y: Exact) -> Exact:
    sign = x.sign ^ y.sign
    if x.kind is not Kind.FINITE or y.kind is not Kind.FINITE:
        invalid = NAN in (x, y) or x.is_zero or y.is_zero
        return NAN if invalid else Exact(sign, kind=Kind.INFINITE)
    return Exact(sign, x.significand * y.significand, x.exponent + y.exponent)


def _quotient(x: Exact, y: Exact, digits: int) -> Exact:
    """At least ``digits - precision`` bits of the quotient, and a last one for all below."""
    sign = x.sign ^ y.sign
    both_infinite = x.kind is y.kind is Kind.INFINITE
    if NAN in (x, y) or both_infinite or (x.is_zero and y.is_zero):
        return NAN
    if x.kind is Kind.INFINITE or y.is_zero:
        return Exact(sign, kind=Kind.INFINITE)
    if y.kind is Kind.INFINITE:
        return Exact(sign)
    quotient, rest = divmod(x.significand << digits, y.significand)
    return Exact(sign, quotient << 1 | (rest != 0), x.exponent - y.exponent - digits - 1)


def _root(x: Exact, digits: int) -> Exact:
    """At least ``digits / 2`` bits of the root, and a last one for all below."""
    if x == NAN or x.is_zero:
        return x
    if x.sign:
        return NAN
    if x.kind is Kind.INFINITE:
        return x
    digits += (x.exponent - digits) & 1
    square = x.significand << digits
    root = isqrt(square)
    inexact = root * root != square
    return Exact(0, root << 1 | inexact, (x.exponent - digits) // 2 - 1)


def _any_nan(fmt: FloatFormat, a: int, b: int) -> bool:
    return NAN in (fmt.unpack(a), fmt.unpack(b))


def _rank(fmt: FloatFormat, pattern: int) -> int:
    """An integer in the order of the numbers: patterns without their sign are in that order."""
    magnitude = pattern & ((1 << (fmt.bits - 1)) - 1)
    return -magnitude if pattern >> (fmt.bits - 1) else magnitude
