"""What the scalars of the language mean, written a second time: exact fractions and numpy.

A value is the int that stands for it (see ``allo_rtl.ir.types``) with its type.  Numbers are
fractions; floating-point operations are those of numpy and ml_dtypes.  Nothing here uses the
package's own arithmetic.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import ml_dtypes
import numpy as np

from allo_rtl.ir.types import (
    FixedType,
    Float,
    Index,
    ScalarType,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
)

DTYPES = {
    float8_e4m3: ml_dtypes.float8_e4m3fn,
    float8_e5m2: ml_dtypes.float8_e5m2,
    float16: np.float16,
    bfloat16: ml_dtypes.bfloat16,
    float32: np.float32,
    float64: np.float64,
}


@dataclass(frozen=True)
class Scalar:
    """A value; ``literal`` is the Python float of a literal."""

    type: ScalarType
    raw: int
    literal: float | None = None

    @property
    def real(self):
        """The number of a floating-point value, as a Python float."""
        if self.literal is not None:
            return self.literal
        return float(numpy_of(self.type, self.raw))

    @property
    def number(self):
        """The exact number of any other value."""
        return Fraction(self.raw, 1 << fracs_of(self.type))

    @property
    def true(self):
        return self.real != 0 if isinstance(self.type, Float) else self.raw != 0


def fracs_of(type_):
    return type_.fracs if isinstance(type_, FixedType) else 0


def numpy_of(type_, raw):
    """The numpy scalar of a bit pattern."""
    words = np.array([raw], dtype=f"u{type_.width // 8}")
    return words.view(DTYPES[type_])[0]


def pattern(type_, scalar):
    """The bit pattern of a computed numpy scalar; every NaN is the canonical one."""
    value = DTYPES[type_](scalar)
    if np.isnan(value):
        return canonical_nan(type_)
    return int(np.array([value]).view(f"u{type_.width // 8}")[0])


def canonical_nan(type_):
    if type_ == float8_e4m3:
        return 0x7F
    quiet = 1 << (type_.fracs - 1)
    return ((1 << type_.exponent) - 1) << type_.fracs | quiet


def bits_of(type_, raw):
    """The bits of a value as a non-negative int."""
    return raw & ((1 << type_.bits) - 1)


def wrapped(type_, raw):
    """An int, modulo the type's width, as one of those that stand for its values."""
    raw &= (1 << type_.bits) - 1
    signed = isinstance(type_, Index) or (not isinstance(type_, Float) and type_.signed)
    return raw - (1 << type_.bits) if signed and raw >> (type_.bits - 1) else raw


def nearest(type_, number):
    """The pattern of the number of a floating-point type nearest to a fraction, ties to even."""
    magnitude, bias = abs(number), (1 << (type_.exponent - 1)) - 1
    sign = (number < 0) << (type_.width - 1)
    if not magnitude:
        return 0
    exponent = max(_floor_log2(magnitude), 1 - bias)
    steps = magnitude / Fraction(2) ** (exponent - type_.fracs)
    count = round(steps)  # Python rounds a fraction to nearest, ties to even.
    top = 1 << (type_.fracs + 1)
    if count == top:
        exponent, count = exponent + 1, top // 2
    field = exponent + bias if count >= top // 2 else 0
    raw = field << type_.fracs | count & (top // 2 - 1)
    limit = canonical_nan(type_) if type_ == float8_e4m3 else (
        ((1 << type_.exponent) - 1) << type_.fracs
    )
    if raw >= limit:
        return limit if type_ == float8_e4m3 else sign | limit
    return sign | raw


def _floor_log2(magnitude):
    guess = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return guess if Fraction(2) ** guess <= magnitude else guess - 1


def whole(type_, number):
    """A value of an integer or fixed-point type from a number, rounded down and wrapped."""
    return Scalar(type_, wrapped(type_, math.floor(number * (1 << fracs_of(type_)))))


def cast(type_, x):
    """A value in another type."""
    if x.type == type_ and x.literal is None:
        return x
    if isinstance(x.type, Float):
        return _from_float(type_, x)
    if isinstance(type_, Float):
        return Scalar(type_, nearest(type_, x.number))
    return whole(type_, x.number)


def _from_float(type_, x):
    real = x.real
    if isinstance(type_, Float):
        if math.isnan(real):
            return Scalar(type_, canonical_nan(type_))
        if math.isinf(real) or real == 0:
            return Scalar(type_, pattern(type_, real))
        return Scalar(type_, nearest(type_, Fraction(real)))
    bits, signed = type_.bits, isinstance(type_, Index) or type_.signed
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if math.isnan(real):
        return Scalar(type_, 0)
    if math.isinf(real):
        return Scalar(type_, high if real > 0 else low)
    return Scalar(type_, max(low, min(high, math.trunc(Fraction(real) * (1 << fracs_of(type_))))))


def truncated(a, b):
    """The quotient of two numbers, toward zero."""
    return math.trunc(a / b)


def exact_binary(op, type_, a, b):
    """``a op b`` of integers and fixed point, as a value of ``type_``."""
    x, y, scale = a.number, b.number, 1 << fracs_of(type_)
    if op in ("/", "//") and not y:
        return Scalar(type_, wrapped(type_, -1)) if op == "/" else whole(type_, -1)
    if op == "/":
        return Scalar(type_, wrapped(type_, math.trunc(x / y * scale)))
    if op in ("<<", ">>"):
        amount = b.raw if 0 <= b.raw < a.type.bits else a.type.bits
        raw = a.raw << amount if op == "<<" else a.raw >> amount
        return Scalar(type_, wrapped(type_, raw))
    if op in ("&", "|", "^"):
        raw = {"&": a.raw & b.raw, "|": a.raw | b.raw, "^": a.raw ^ b.raw}[op]
        return Scalar(type_, wrapped(type_, raw))
    return whole(type_, _exact(op, x, y))


def _exact(op, x, y):
    match op:
        case "+":
            return x + y
        case "-":
            return x - y
        case "*":
            return x * y
        case "//":
            return x // y
        case "%":
            return x - y * truncated(x, y) if y else x
        case "min":
            return min(x, y)
        case "max":
            return max(x, y)
    raise AssertionError(op)


def float_binary(op, type_, a, b):
    """``a op b`` of floating-point numbers of ``type_``."""
    x, y = (numpy_of(type_, cast(type_, v).raw) for v in (a, b))
    with np.errstate(all="ignore"):
        return Scalar(type_, pattern(type_, _float(op, type_, x, y)))


def _float(op, type_, x, y):
    match op:
        case "+":
            return x + y
        case "-":
            return x - y
        case "*":
            return x * y
        case "/":
            return x / y
        case "//":
            return np.floor(np.float64(DTYPES[type_](x / y)))
        case "%":
            return np.fmod(np.float64(x), np.float64(y))
        case "min" | "max":
            return _extreme(op, float(x), float(y))
    raise AssertionError(op)


def _extreme(op, x, y):
    if math.isnan(x) or math.isnan(y):
        return math.nan
    order = sorted([x, y], key=lambda v: (v, math.copysign(1, v)))
    return order[0] if op == "min" else order[1]


def compared(op, a, b):
    """``a op b`` of the numbers; beside a float, others are rounded to double."""
    if isinstance(a.type, Float) or isinstance(b.type, Float):
        x, y = double(a, b.type), double(b, a.type)
    else:
        x, y = a.number, b.number
    return {"<": x < y, "<=": x <= y, "==": x == y, "!=": x != y, ">": x > y, ">=": x >= y}[op]


def double(x, beside):
    """A value as a Python float; a literal is a float32 but beside a float64."""
    if x.literal is not None and beside == float64:
        return x.literal
    if isinstance(x.type, Float):
        return float(numpy_of(x.type, x.raw))
    return float(numpy_of(float64, nearest(float64, x.number)))
