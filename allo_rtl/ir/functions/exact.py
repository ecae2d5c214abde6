"""Floor, remainder and floor division: exact, as :mod:`allo_rtl.ir.floats` defines them."""

from __future__ import annotations

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.functions.parts import Parts, normalised
from allo_rtl.ir.ops import FloatKind
from allo_rtl.ir.types import Float


def floor(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """The largest whole number that is not above the argument."""
    return _floor(flow, fmt, flow.args[0])


def floor_quotient(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """The quotient, rounded, and then rounded down."""
    return _floor(flow, fmt, flow.floating(FloatKind.DIV, format, *flow.args))


def _floor(flow: Flow, fmt: FloatFormat, pattern: Number) -> Number:
    x = Parts.of(pattern, fmt)
    below = x.below_point
    # A negative number moves away from zero; a carry makes it the next power of two.
    moves = x.sign & ((x.fraction & below) > 0)
    moved = x.magnitude + flow.choose(moves, below + 1, 0)
    whole = (moved | below) ^ below
    one = fmt.bias << fmt.mantissa
    fraction = flow.choose(x.sign & ~x.is_zero, one, 0)
    magnitude = flow.choose(x.field < fmt.bias, fraction, whole)
    signed = magnitude.bits(0, fmt.bits - 1) | x.sign << fmt.bits - 1
    return flow.choose(x.is_nan, fmt.nan, signed)


def remainder(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
    """C's ``fmod`` by long division, one bit of the quotient in each step.

    With ``a = m * 2**i`` and ``b = n * 2**j`` in last places, and ``i >= j``, the remainder is
    ``m * 2**(i - j) mod n`` of these: the bits of m are brought down first, then zeros.
    """
    x, y = (Parts.of(a, fmt) for a in flow.args)
    p, steps = fmt.precision, (1 << fmt.exponent) - 3 + int(not fmt.infinities)
    zeros = x.step - y.step
    count = p + zeros.max(0)
    divisor = y.significand

    def bring_down(turn: Number, state: Number) -> Number:
        """The state is the rest so far, with the bits still to come below it."""
        high = state.bits(p - 1, p + 1)
        rest = flow.choose(high >= divisor, high - divisor, high).bits(0, p)
        return flow.choose(turn < count, rest << p | state.bits(0, p - 1) << 1, state)

    rest = flow.repeat(p + steps, x.significand, 2 * p, bring_down).bits(p, p)
    # Shift up until the leading one is in its place, but not beyond the smallest exponent.
    _, shift = normalised(rest, p)
    shift = shift.min(y.step)
    field = y.step - shift
    magnitude = flow.choose(rest.equals(0), 0, (rest << shift) + (field << fmt.mantissa))
    # By an infinity too, whose exponent is above all others.
    smaller = flow.choose(zeros < 0, x.magnitude, magnitude).bits(0, fmt.bits - 1)
    invalid = x.is_nan | y.is_nan | x.is_infinite | y.is_zero
    return flow.choose(invalid, fmt.nan, smaller | x.sign << fmt.bits - 1)
