"""Smooth functions in fixed point: a polynomial for each of many short segments, by Horner's rule.

The tables are computed when a function is built, by interpolation in Chebyshev nodes, which is
close to the best polynomial.  All coefficients count the same multiples of a power of two; since
segments are short the higher ones are small numbers, and so are the multipliers for them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath

from allo_rtl.ir.functions.flow import Flow, Number

type Real = Any
"""An mpmath number (the library has no annotations)."""

type Segments = Callable[[int, Real], Real]
"""The function: of the number of a segment and a place in it, -1/2 to 1/2.

It is never asked at the very ends, where it may be 0/0.
"""

_GUARD = 3
"""Bits that Horner's rule keeps below the error bound: each step loses up to 1.5 units (half for
the coefficient, half for the product, half for the factor), half of which the next one halves."""

_MAX_DEGREE = 12


def polynomial(
    flow: Flow, segment: Number, place: Number, function: Segments, count: int, fracs: int
) -> Number:
    """The function of ``segment`` (0 to count - 1) and ``place`` (-1/2 to 1/2).

    Its absolute error is below ``2**-fracs``: a quarter for the polynomial, less than half for
    the arithmetic.
    """
    columns = flow.lookup(segment, _coefficients(function, count, fracs))
    *lower, result = (c.scaled(-fracs - _GUARD) for c in columns)
    half_unit = Fraction(1, 2 << fracs + _GUARD)
    for coefficient in reversed(lower):
        # As many bits of the factor as make it as exact as the product has to be.
        factor = place.floor(result.width + 1)
        product = (result * factor + half_unit).floor(fracs + _GUARD)
        result = coefficient + product
    return result


def resolution(x: Number, fine: int, coarse: int) -> int:
    """Bits of a segment number: ``fine`` for single precision and above, else ``coarse``."""
    return fine if x.fracs > 20 else coarse


def split(x: Number, segments: int) -> tuple[Number, Number]:
    """Of ``x`` >= 0: in which segment of length ``2**-segments`` it is, and where in it."""
    whole = x.floor(segments)
    place = x.bits(0, x.fracs - segments).scaled(segments - x.fracs) - Fraction(1, 2)
    return whole.scaled(segments), place


def middle(segment: int, place: Real, segments: int) -> Real:
    """Where a place in a segment of length ``2**-segments`` is: the inverse of :func:`split`."""
    return mpmath.ldexp(segment + place + mpmath.mpf(0.5), -segments)


def _coefficients(function: Segments, count: int, fracs: int) -> list[list[int]]:
    """Tables of the coefficients, the constant ones first, of the least degree that will do.

    Which degree that is is seen from 16 of the segments.
    """
    with mpmath.workprec(fracs + 50):
        sample = range(0, count, max(1, count // 16))
        for degree in range(1, _MAX_DEGREE):
            nodes, inverse = _interpolation(degree)
            errors = (_error(function, s, _fit(function, s, nodes, inverse)) for s in sample)
            if all(e < mpmath.ldexp(1, -fracs - 2) for e in errors):
                rows = (_fit(function, s, nodes, inverse) for s in range(count))
                units = ([int(mpmath.nint(mpmath.ldexp(c, fracs + _GUARD))) for c in row]
                         for row in rows)
                return [list(column) for column in zip(*units, strict=True)]
    raise ValueError(f"no polynomial of degree below {_MAX_DEGREE} is good to 2**-{fracs}")


def _interpolation(degree: int) -> tuple[list[Real], list[list[Real]]]:
    """Chebyshev's nodes in -1/2 to 1/2, and the matrix from values there to coefficients."""
    nodes = [mpmath.cospi(mpmath.mpf(2 * n + 1) / (2 * degree + 2)) / 2 for n in range(degree + 1)]
    powers = mpmath.matrix([[x**k for k in range(degree + 1)] for x in nodes])
    return nodes, (powers**-1).tolist()


def _fit(
    function: Segments, segment: int, nodes: list[Real], inverse: list[list[Real]]
) -> list[Real]:
    values = [function(segment, x) for x in nodes]
    return [mpmath.fdot(row, values) for row in inverse]


def _error(function: Segments, segment: int, coefficients: list[Real]) -> Real:
    """The largest error, looked for where those of good polynomials are largest."""
    count, almost_half = len(coefficients), mpmath.mpf(0.5) - mpmath.ldexp(1, -20)
    places = [mpmath.cospi(mpmath.mpf(n) / count) * almost_half for n in range(count + 1)]
    fitted = [mpmath.polyval(coefficients[::-1], x) for x in places]
    return max(abs(function(segment, x) - y) for x, y in zip(places, fitted, strict=True))
