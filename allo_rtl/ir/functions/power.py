"""Powers: ``|x|**y = 2**(y * log2(|x|))`` with a logarithm to as many bits more as y may add."""

from __future__ import annotations

from math import ceil, log2

import mpmath

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.functions.logarithm import fixed_logarithm
from allo_rtl.ir.functions.parts import GUARD, Parts, normalised, packed
from allo_rtl.ir.functions.polynomials import Real, middle, polynomial, resolution, split
from allo_rtl.ir.types import Float


def power(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """``x**y`` with the special cases of IEEE 754-2019, 9.2.1 (pow)."""
    x, y = (Parts.of(a, fmt) for a in flow.args)
    one = fmt.bias << fmt.mantissa
    whole, odd = _parity(y)
    sign = x.sign & odd
    # Where the result is infinite or zero, |x| above 1 and y decide which.
    grows = (x.magnitude > one) ^ y.sign
    infinite = _infinity(fmt, sign)
    limit = flow.choose(grows, infinite, sign << fmt.bits - 1)
    outside, finite = _finite(flow, x, y, sign)
    is_limit = x.is_zero | x.is_infinite | y.is_infinite | outside
    return flow.cases(
        (y.is_zero | x.pattern.equals(one), one),
        (x.is_nan | y.is_nan, fmt.nan),
        (y.is_infinite & x.magnitude.equals(one), one),
        (x.sign & ~whole & ~x.is_zero & ~x.is_infinite, fmt.nan),
        (is_limit, limit),
        default=finite,
    )


def _infinity(fmt: FloatFormat, sign: Number) -> Number:
    """The pattern of an infinity, or of NaN where there is none."""
    if not fmt.infinities:
        return sign.flow.number(fmt.nan)
    return sign << fmt.bits - 1 | fmt.overflow


def _parity(y: Parts) -> tuple[Number, Number]:
    """Whether y is a whole number (infinities count as even ones), and whether it is odd."""
    fmt = y.fmt
    below = y.below_point
    whole = (y.field >= fmt.bias) & (y.fraction & below).equals(0)
    unit = (y.significand & (below + 1)) > 0
    return whole, whole & unit & (y.field <= fmt.bias + fmt.mantissa)


def _finite(flow: Flow, x: Parts, y: Parts, sign: Number) -> tuple[Number, Number]:
    """Whether the result is beyond all numbers, or too small; and if not, its pattern."""
    fmt, fracs = x.fmt, x.fmt.precision + GUARD
    # Results have exponents of so many bits, those that become zero or infinite included.
    whole = ceil(log2(fmt.bias + fmt.precision + 1))
    kept = fracs + whole + 2
    logarithm = fixed_logarithm(x, lambda: +mpmath.ln2, kept)
    magnitude = abs(logarithm)
    width = magnitude.width
    top, shift = normalised(magnitude, width)
    # From 1 to 4, times 2**exponent; less where y is subnormal.
    product = top.bits(width - kept, kept).scaled(1 - kept) * y.significand.scaled(-fmt.mantissa)
    exponent = y.step + (1 - fmt.bias) + (width - 1 - magnitude.fracs) - shift
    outside = (exponent >= whole) & ~logarithm.equals(0)
    places = (whole - 1 - exponent).max(0).min(whole + 2 + fracs)
    fixed = (product.scaled(whole - 1).extended(fracs) >> places).floor(fracs)
    negative = (logarithm < 0) ^ y.sign
    power = flow.choose(negative, -fixed, fixed)
    significand = _exp2_fraction(flow, power.bits(0, fracs).scaled(-fracs), fracs)
    return outside, packed(fmt, sign, power.floor(0), significand)


def _exp2_fraction(flow: Flow, f: Number, fracs: int) -> Number:
    """``2**f`` for f from 0 to 1."""
    segments = resolution(f, 8, 6)

    def function(segment: int, place: Real) -> Real:
        return mpmath.power(2, middle(segment, place, segments))

    return polynomial(flow, *split(f, segments), function, 1 << segments, fracs)
