"""The exact meaning of the elementary functions: the nearest number to the true result.

Computed with mpmath at more than twice the precision of the format.  This is what the evaluator
answers and what every implementation is measured against; it is not how hardware computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath

from allo_rtl.ir.floats import NAN, Exact, FloatFormat, Kind
from allo_rtl.ir.ops import MathKind

_FUNCTIONS: Mapping[MathKind, Callable[..., Any]] = {
    MathKind.EXP: mpmath.exp,
    MathKind.LOG: mpmath.log,
    MathKind.LOG2: lambda x: mpmath.log(x, 2),
    MathKind.LOG10: mpmath.log10,
    MathKind.SIN: mpmath.sin,
    MathKind.COS: mpmath.cos,
    MathKind.TAN: mpmath.tan,
    MathKind.TANH: mpmath.tanh,
}
_LOGARITHMS = (MathKind.LOG, MathKind.LOG2, MathKind.LOG10)
_CIRCULAR = (MathKind.SIN, MathKind.COS, MathKind.TAN)
_INFINITE = Kind.INFINITE


def evaluate(kind: MathKind, fmt: FloatFormat, args: tuple[int, ...]) -> int:
    """The pattern nearest to ``kind(*args)``; zeros, infinities and NaN as in C's Annex F."""
    values = [fmt.unpack(a) for a in args]
    if kind is MathKind.POW:
        return fmt.pack(_power(fmt, values[0], values[1]))
    x = values[0]
    if x == NAN:
        return fmt.nan
    special = _special(kind, x)
    return fmt.pack(special if special is not None else _compute(fmt, _FUNCTIONS[kind], x))


def _special(kind: MathKind, x: Exact) -> Exact | None:
    """The result for zeros and infinities, and where the function is not defined."""
    infinite = x.kind is _INFINITE
    if kind in _LOGARITHMS:
        if x.is_zero:
            return Exact(1, kind=_INFINITE)
        if x.sign:
            return NAN
        return x if infinite else None
    if kind in _CIRCULAR and infinite:
        return NAN
    if kind is MathKind.EXP and infinite:
        return Exact() if x.sign else x
    if kind is MathKind.TANH and infinite:
        return Exact(x.sign, 1)
    if kind in (MathKind.SIN, MathKind.TAN, MathKind.TANH) and x.is_zero:
        return x
    return None


def _compute(fmt: FloatFormat, function: Callable[..., Any], *args: Exact) -> Exact:
    """``function`` of finite numbers, exact enough to be rounded once more."""
    with mpmath.workprec(2 * fmt.precision + 80):
        return _exact(fmt, function(*map(_mpf, args)))


def _mpf(x: Exact) -> Any:  # noqa: ANN401 - mpmath has no types
    return mpmath.ldexp(-x.significand if x.sign else x.significand, x.exponent)


def _exact(fmt: FloatFormat, value: Any) -> Exact:  # noqa: ANN401 - mpmath has no types
    """An mpmath number; one far out of the format's range is moved near it."""
    sign, significand, exponent, width = value._mpf_
    if not significand:
        return Exact()
    highest = exponent + width
    if highest > (1 << fmt.exponent):
        return Exact(int(sign), kind=_INFINITE)
    if highest < fmt.last_place - 2:
        return Exact(int(sign), 1, fmt.last_place - 2)
    return Exact(int(sign), int(significand), int(exponent))


def _power(fmt: FloatFormat, x: Exact, y: Exact) -> Exact:
    """``x ** y`` with the special cases of IEEE 754-2019, 9.2.1 (pow)."""
    if y.is_zero or (x.kind is Kind.FINITE and not x.sign and _is_one(x)):
        return Exact(0, 1)
    if NAN in (x, y):
        return NAN
    if y.kind is _INFINITE:
        return _power_of_infinity(x, grows=not y.sign)
    odd = _is_odd(y)
    sign = x.sign if odd else 0
    if x.is_zero or x.kind is _INFINITE:
        large = (x.kind is _INFINITE) != bool(y.sign)
        return Exact(sign, kind=_INFINITE) if large else Exact(sign)
    if x.sign and not _is_whole(y):
        return NAN
    magnitude = Exact(0, x.significand, x.exponent)
    if _beyond(fmt, magnitude, y):
        large = _above_one(magnitude) != bool(y.sign)
        return Exact(sign, kind=_INFINITE) if large else Exact(sign, 1, fmt.last_place - 2)
    result = _compute(fmt, mpmath.power, magnitude, y)
    return Exact(sign, result.significand, result.exponent, result.kind)


def _beyond(fmt: FloatFormat, x: Exact, y: Exact) -> bool:
    """Whether ``x ** y`` is certainly far out of range, and x not near 1."""
    with mpmath.workprec(80):
        return bool(abs(_mpf(y) * mpmath.log(_mpf(x), 2)) > (1 << (fmt.exponent + 1)))


def _power_of_infinity(x: Exact, grows: bool) -> Exact:
    if x.kind is Kind.FINITE and _is_one(x):
        return Exact(0, 1)
    above = x.kind is _INFINITE or _above_one(x)
    return Exact(kind=_INFINITE) if above == grows else Exact()


def _above_one(x: Exact) -> bool:
    """Whether a positive finite number other than 1 is larger than that."""
    return x.significand.bit_length() + x.exponent > 0


def _is_one(x: Exact) -> bool:
    """Whether a finite number is 1 or -1."""
    return x.exponent <= 0 and x.significand == 1 << -x.exponent


def _is_whole(x: Exact) -> bool:
    return x.exponent >= 0 or x.significand & ((1 << -x.exponent) - 1) == 0


def _is_odd(x: Exact) -> bool:
    if x.kind is not Kind.FINITE or not _is_whole(x) or x.exponent > 0:
        return False
    return bool(x.significand >> -x.exponent & 1)
