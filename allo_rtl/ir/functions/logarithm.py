"""Logarithms.

With ``x = 2**k * (1 + t)`` and t from -1/4 to 1/2, the logarithm is ``k log 2 + t * g(t)``, where
``g(t) = log(1 + t) / t`` is smooth and near 1 (all divided by the logarithm of the base).  Where
k is 0 the product alone is the result, and as exact as g relative to it; elsewhere the sum is
not small.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import mpmath

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.constants import nearest
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.functions.parts import GUARD, Parts, normalised, packed
from allo_rtl.ir.functions.polynomials import Real, middle, polynomial, resolution, split
from allo_rtl.ir.ops import MathKind
from allo_rtl.ir.types import Float

_GUARD = GUARD + 1
"""One bit more than elsewhere: in base 10, ``t * g(t)`` may be as little as ``0.35 * t``."""

_BASES: dict[MathKind, Callable[[], Real]] = {
    MathKind.LOG: lambda: mpmath.mpf(1),
    MathKind.LOG2: lambda: +mpmath.ln2,
    MathKind.LOG10: lambda: +mpmath.ln10,
}
"""The natural logarithm of each base."""


def logarithm(kind: MathKind) -> Callable[[Flow, Float, FloatFormat], Number]:
    """The algorithm of a logarithm."""
    def algorithm(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
        x = Parts.of(flow.args[0], fmt)
        value = fixed_logarithm(x, _BASES[kind], fmt.precision + _GUARD)
        finite = _rounded(fmt, value)
        return flow.cases(
            (x.is_zero, 1 << fmt.bits - 1 | fmt.overflow if fmt.infinities else fmt.nan),
            (x.is_nan | x.sign, fmt.nan),
            (x.is_infinite, fmt.overflow),
            default=finite,
        )

    return algorithm


def fixed_logarithm(x: Parts, base: Callable[[], Real], fracs: int) -> Number:
    """The logarithm of a magnitude above 0, with a relative error below ``2**(1 - fracs)``.

    The nearer x is to 1 the more zeros the result begins with: up to ``precision``, and that
    many bits more than ``fracs`` it has after its binary point.
    """
    flow, fmt = x.sign.flow, x.fmt
    top, shift = normalised(x.significand, fmt.precision)
    # Of zero, whose logarithm nobody asks for, the one in front is not there yet.
    mantissa = (top | 1 << fmt.mantissa).scaled(-fmt.mantissa).within(1, 2)
    upper = mantissa.bits(fmt.mantissa - 1, 1)
    t = flow.choose(upper, mantissa.scaled(-1), mantissa) - 1
    t = t.within(Fraction(-1, 4), Fraction(1, 2))
    exponent = x.step - shift + (1 - fmt.bias) + upper
    unit = nearest(lambda: mpmath.ln2 / base(), fracs)
    return exponent * unit + (t * _slope(flow, t, base, fracs)).floor(fmt.precision + fracs)


def _slope(flow: Flow, t: Number, base: Callable[[], Real], fracs: int) -> Number:
    """``log(1 + t) / t`` to a base, for t from -1/4 to 1/2."""
    segments = resolution(t, 9, 6)

    def function(segment: int, place: Real) -> Real:
        t = middle(segment, place, segments) - mpmath.mpf(0.25)
        return mpmath.log1p(t) / t / base()

    places = split((t + Fraction(1, 4)).extended(segments + 1), segments)
    return polynomial(flow, *places, function, 3 << segments - 2, fracs)


def _rounded(fmt: FloatFormat, value: Number) -> Number:
    """The nearest float."""
    magnitude = abs(value)
    width = magnitude.width
    top, shift = normalised(magnitude, width)
    exponent = (width - 1 - value.fracs) - shift
    kept = top.bits(width - fmt.precision - _GUARD, fmt.precision + _GUARD)
    significand = kept.scaled(1 - fmt.precision - _GUARD)
    result = packed(fmt, value < 0, exponent, significand)
    return value.flow.choose(value.equals(0), 0, result)
