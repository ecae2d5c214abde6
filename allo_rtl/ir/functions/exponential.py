"""The exponential function.

``exp(x) = 2**k * exp(r)`` with ``r = x - k log 2`` in fixed point, from 0 to a little above
``log 2``.  All errors are absolute errors of r, so relative errors of the result.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, log, log2

import mpmath

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.constants import nearest
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.functions.parts import GUARD, Parts, packed, renormalised, to_fixed
from allo_rtl.ir.functions.polynomials import Real, middle, polynomial, resolution, split
from allo_rtl.ir.types import Float


def exp(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """``e**x``."""
    x = Parts.of(flow.args[0], fmt)
    fracs = fmt.precision + GUARD
    # From here on, up or down, every result is infinite or zero.
    whole = ceil(log2((fmt.bias + fmt.precision) * log(2)))
    outside = x.field >= fmt.bias + whole
    fixed = to_fixed(x, whole, fracs)
    exponent, rest = _reduced(flow.choose(x.sign, -fixed, fixed))
    significand = _exp_fraction(flow, rest, fracs)
    inside = packed(fmt, 0, *renormalised(exponent, significand))
    return flow.cases(
        (x.is_nan, fmt.nan), (outside & x.sign, 0), (outside, fmt.overflow), default=inside
    )


def _reduced(x: Number) -> tuple[Number, Number]:
    """``(k, r)`` with ``x = k log 2 + r``, r from 0 to 3/4.

    The estimate of k is less than 0.07 below the quotient, and never above it.
    """
    whole = x.width - x.fracs
    inverse = nearest(lambda: 1 / mpmath.ln2, whole + 6)
    k = (x.floor(5) * inverse - Fraction(1, 64)).floor(0)
    rest = x - (k * nearest(lambda: +mpmath.ln2, x.fracs + whole)).floor(x.fracs)
    return k, rest.within(0, Fraction(3, 4))


def _exp_fraction(flow: Flow, r: Number, fracs: int) -> Number:
    """``exp(r)`` for r from 0 to 3/4."""
    segments = resolution(r, 8, 6)

    def function(segment: int, place: Real) -> Real:
        return mpmath.exp(middle(segment, place, segments))

    return polynomial(flow, *split(r, segments), function, 3 << segments - 2, fracs)
