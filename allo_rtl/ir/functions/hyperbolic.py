"""The hyperbolic tangent.

Below 1 it is x times a smooth function that is not small, from segments of equal length; above,
it is itself not small, from segments that double in length with each power of two.  Large numbers
give 1, tiny ones themselves.
"""

from __future__ import annotations

from math import ceil, log, log2

import mpmath

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.functions.parts import GUARD, Parts, is_tiny, packed, renormalised, to_fixed
from allo_rtl.ir.functions.polynomials import Real, middle, polynomial, resolution, split
from allo_rtl.ir.types import Float


def tanh(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """The hyperbolic tangent."""
    x = Parts.of(flow.args[0], fmt)
    one = fmt.bias << fmt.mantissa
    # 1 - tanh(x) is about 2 exp(-2 x): from this power of two on it does not matter.
    octaves = ceil(log2((fmt.precision + GUARD + 1) * log(2) / 2))
    large = flow.choose(x.field >= fmt.bias + octaves, one, _moderate(flow, x, octaves))
    magnitude = flow.choose(is_tiny(x), x.magnitude, large)
    result = magnitude.bits(0, fmt.bits - 1) | x.sign << fmt.bits - 1
    return flow.choose(x.is_nan, fmt.nan, result)


def _moderate(flow: Flow, x: Parts, octaves: int) -> Number:
    """The pattern of ``tanh(|x|)`` for a magnitude that is neither tiny nor above 2**octaves."""
    fmt = x.fmt
    below_one = x.field < fmt.bias
    value = _value(flow, x, below_one, octaves)
    # Both products are between 1.5 and 4; numbers without a leading one are tiny.
    significand = x.significand.scaled(1 - fmt.mantissa).within(2, 4)
    factor = flow.choose(below_one, significand, 2)
    exponent = flow.choose(below_one, x.field - fmt.bias - 1, -1)
    return packed(fmt, 0, *renormalised(exponent, (value * factor).floor(value.fracs)))


def _value(flow: Flow, x: Parts, below_one: Number, octaves: int) -> Number:
    """``tanh(|x|) / |x|`` where that is below 1, else ``tanh(|x|)``."""
    fracs = x.fmt.precision + GUARD
    below = to_fixed(x, 0, fracs).within(0, 1)
    segments = resolution(below, 6, 4)
    first, place = split(below, segments)
    octave = (x.field - x.fmt.bias).max(0).min(octaves - 1)
    later, farther = split(x.fraction.scaled(-x.fmt.mantissa).extended(segments + 1), segments)

    def function(segment: int, place: Real) -> Real:
        octave, within = divmod(segment, 1 << segments)
        x = middle(within, place, segments)
        return mpmath.tanh(mpmath.ldexp(1 + x, octave - 1)) if octave else mpmath.tanh(x) / x

    return polynomial(
        flow, flow.choose(below_one, first, later + (octave + 1 << segments)),
        flow.choose(below_one, place, farther), function, octaves + 1 << segments, fracs,
    )  # fmt: skip
