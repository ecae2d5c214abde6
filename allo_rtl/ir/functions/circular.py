"""Sine, cosine and tangent.

Payne and Hanek's reduction (1983): ``x * 2 / pi`` modulo 4 needs only those bits of ``2 / pi``
that are neither so high that they give multiples of 4 nor so low that they do not matter; which
these are depends on the exponent of x.  It leaves a place in an eighth of the circle, to many
bits, for an argument may be very near a multiple of ``pi / 2``.

With the place f, from 0 to 1/2, as a part of the quarter, ``sin(pi/2 f)`` and ``tan(pi/2 f)`` are
f times a smooth function that is not small, for which fixed point is enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.functions.parts import (
    GUARD,
    Parts,
    is_tiny,
    normalised,
    packed,
    renormalised,
    tiny,
)
from allo_rtl.ir.functions.polynomials import Real, middle, polynomial, resolution, split
from allo_rtl.ir.types import Float

_WINDOW = 16
"""How many exponents share a row of the table of ``2 / pi``."""

type _Function = Callable[[Real], Real]


def sin(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """The sine; of a tiny number it is that number."""
    x = Parts.of(flow.args[0], fmt)
    angle = _reduced(x)
    result = _sine(fmt, angle, angle.quarter, x.sign)
    return _defined(x, flow.choose(is_tiny(x), x.pattern, result))


def cos(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """The cosine: the sine a quarter further on; of a tiny number it is 1."""
    x = Parts.of(flow.args[0], fmt)
    angle = _reduced(x)
    result = _sine(fmt, angle, (angle.quarter + 1).bits(0, 2), flow.number(0))
    return _defined(x, flow.choose(is_tiny(x), fmt.bias << fmt.mantissa, result))


def tan(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """The tangent; of a tiny number it is that number."""
    x = Parts.of(flow.args[0], fmt)
    angle = _reduced(x)
    odd = angle.quarter.bits(0, 1)
    result = _tangent(fmt, angle, odd ^ angle.back, x.sign ^ odd)
    return _defined(x, flow.choose(is_tiny(x), x.pattern, result))


@dataclass(frozen=True)
class _Angle:
    """``(quarter + f) * pi / 2``, or where ``back``, ``(quarter + 1 - f) * pi / 2``.

    Attributes:
        quarter: 0 to 3.
        back: 1 bit.
        part: f, 0 to 1/2, rounded down to ``precision`` and guard bits after the binary point.
        significand, exponent: f too, as a number from 1 to 2 of as many bits, and a power of 2.
    """

    quarter: Number
    back: Number
    part: Number
    significand: Number
    exponent: Number


def _defined(x: Parts, result: Number) -> Number:
    """``result``, but NaN of NaN and of the infinities."""
    return result.flow.choose(x.magnitude >= x.fmt.overflow, x.fmt.nan, result)


def _reduced(x: Parts) -> _Angle:
    """The angle of a magnitude that is not tiny."""
    flow, fmt = x.sign.flow, x.fmt
    kept = fmt.precision + GUARD
    # The number that comes nearest to a multiple of pi / 2 is the best of those above 1, a
    # quarter of all patterns: what it leaves begins with about so many zeros.
    fracs = kept + fmt.bits - 2
    turns = _quarters(x, fracs)
    back = turns.bits(fracs - 1, 1)
    # 1 - f but for the last bit, which does not matter and may be anything.
    ahead = turns.bits(0, fracs - 1)
    part = flow.choose(back, ahead ^ (1 << fracs - 1) - 1, ahead)
    top, shift = normalised(part, fracs - 1)
    significand = top.bits(fracs - kept - 2, kept + 1).scaled(-kept)
    fixed = part.scaled(-fracs).floor(kept)
    return _Angle(turns.bits(fracs, 2), back, fixed, significand, -2 - shift)


def _quarters(x: Parts, fracs: int) -> Number:
    """``|x| * 2 / pi`` modulo 4, as a multiple of ``2**-fracs``, less than one of these too low.

    The table has, for each 16 exponents, the bits of ``2 / pi`` that matter for one of them.
    """
    flow, fmt = x.sign.flow, x.fmt
    lowest = fmt.bias - tiny(fmt)
    place = (x.field - lowest).max(0)
    width = 2 + fracs + fmt.precision
    rows = range(0, (1 << fmt.exponent) - lowest, _WINDOW)
    scales = [first + lowest - fmt.bias - fmt.mantissa + width - 2 + _WINDOW - 1 for first in rows]
    mask = (1 << width + _WINDOW - 1) - 1
    with mpmath.workprec(scales[-1] + 64):
        table = [int(mpmath.floor(mpmath.ldexp(2 / mpmath.pi, s))) & mask for s in scales]
    (window,) = flow.lookup(place >> 4, [table])
    window = (window >> (_WINDOW - 1 - place.bits(0, 4))).bits(0, width)
    return (x.significand * window).bits(fmt.precision, fracs + 2)


def _sine(fmt: FloatFormat, angle: _Angle, quarter: Number, sign: Number) -> Number:
    """The pattern of the sine of an angle whose quarter is ``quarter``."""
    flow = sign.flow
    cosine = quarter.bits(0, 1) ^ angle.back
    negative = sign ^ quarter.bits(1, 1)
    value = _by_part(angle, cosine, (_sine_slope, _cosine))
    # One is written as 2 / 2, so that both products are between 1 and 4.
    factor = flow.choose(cosine, 2, angle.significand)
    exponent = flow.choose(cosine, -1, angle.exponent)
    return packed(fmt, negative, *renormalised(exponent, (value * factor).floor(value.fracs)))


def _tangent(fmt: FloatFormat, angle: _Angle, inverse: Number, sign: Number) -> Number:
    """The pattern of the tangent or cotangent of a part of a quarter."""
    flow = sign.flow
    value = _by_part(angle, inverse, (_tangent_slope, _cotangent_slope))
    factor = flow.choose(inverse, _reciprocal(angle.significand), angle.significand)
    exponent = flow.choose(inverse, -2 - angle.exponent, angle.exponent)
    return packed(fmt, sign, *renormalised(exponent, (value * factor).floor(value.fracs)))


def _by_part(angle: _Angle, second: Number, functions: tuple[_Function, _Function]) -> Number:
    """One of two functions of f, by one table."""
    part = angle.part
    segments = resolution(part, 8, 5)
    half = 1 << segments - 1
    segment, place = split(part, segments)

    def function(segment: int, place: Real) -> Real:
        second, within = divmod(segment, half)
        return functions[second](middle(within, place, segments))

    row = segment + second * half
    return polynomial(part.flow, row, place, function, 2 * half, part.fracs)


def _reciprocal(x: Number) -> Number:
    """``1 / x`` for x from 1 to 2."""
    segments = resolution(x, 8, 5)

    def function(segment: int, place: Real) -> Real:
        return 1 / (1 + middle(segment, place, segments))

    places = split((x - 1).within(0, 1), segments)
    return polynomial(x.flow, *places, function, 1 << segments, x.fracs + 1)


def _sine_slope(f: Real) -> Real:
    return mpmath.sinpi(f / 2) / f


def _cosine(f: Real) -> Real:
    return mpmath.cospi(f / 2)


def _tangent_slope(f: Real) -> Real:
    return mpmath.sinpi(f / 2) / mpmath.cospi(f / 2) / f


def _cotangent_slope(f: Real) -> Real:
    """Times 4, so that it is between 2 and 2.55."""
    return 4 * f * mpmath.cospi(f / 2) / mpmath.sinpi(f / 2)
