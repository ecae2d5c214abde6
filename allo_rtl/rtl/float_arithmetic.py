"""Addition, multiplication, fused multiply-add, division and square root, as recipes.

See :mod:`allo_rtl.ir.floats` for what they mean; :mod:`allo_rtl.rtl.float_units` builds them.
"""

from __future__ import annotations

from functools import reduce
from itertools import batched
from operator import add

from amaranth.hdl import Cat, Const, Mux, Value

from allo_rtl.hls.operators import limb_offsets
from allo_rtl.ir.floats import FloatFormat
from allo_rtl.rtl.float_parts import (
    Unpacked,
    Unrounded,
    adder_delay,
    count_zeros,
    finish,
    leading_zeros,
    normalise,
    shift_right_sticky,
    unpack,
    unpack_delay,
)
from allo_rtl.rtl.float_pipeline import Kept, Pipeline

MULTIPLIER_DELAY = 5.8


def sum_of(p: Pipeline, fmt: FloatFormat, a: Value, b: Value) -> Value:
    """``a + b``: the smaller is moved under the larger one."""
    below = p.keep(a[: fmt.bits - 1] < b[: fmt.bits - 1], "below")
    a, b = p.keep(a, "a"), p.keep(b, "b")
    p.end_step(adder_delay(fmt.bits))
    x = unpack(p, fmt, Mux(below.now, b.now, a.now), "large")
    y = unpack(p, fmt, Mux(below.now, a.now, b.now), "small")
    opposite = p.keep(x.sign.now ^ y.sign.now, "opposite")
    distance = p.keep((x.exponent.now - y.exponent.now)[: fmt.exponent], "distance")
    p.end_step(1.0 + unpack_delay(fmt))
    nan = x.nan.now | y.nan.now | (x.infinite.now & y.infinite.now & opposite.now)
    nan = p.keep(nan, "nan")
    # Two bits below the last place, and one for the rest: what is lost is less than that.
    wide = p.keep(Cat(Const(0, 3), y.significand.now), "wide")
    small = shift_right_sticky(p, wide, distance)
    large = Cat(Const(0, 3), x.significand.now)
    total = p.keep(_add_or_subtract(large, small.now, opposite.now), "total")
    p.end_step(adder_delay(len(large)))
    [zeros] = count_zeros(p, total.now)
    zero = p.keep(~total.now.any(), "zero")
    sign = p.keep(x.sign.now & ~(zero.now & opposite.now), "sign")
    # The top bit of the sum is one above that of the larger operand.
    return finish(
        p, fmt,
        Unrounded(sign, x.exponent, total, nan, x.infinite, zero, zeros, subnormal=False),
    )  # fmt: skip


def _add_or_subtract(x: Value, y: Value, subtract: Value) -> Value:
    """``x + y`` or ``x - y`` in two's complement, one bit wider, with one adder."""
    flipped = Cat(y, Const(0, 1)) ^ subtract.replicate(len(y) + 1)
    # A bit below the lowest makes the carry in.
    return (Cat(Const(1, 1), x) + Cat(subtract, flipped))[1 : len(y) + 2]


def product(p: Pipeline, fmt: FloatFormat, a: Value, b: Value, limb: int) -> Value:
    """``a * b``: the leading zeros of the product are, but for one, those of its factors."""
    x, y = unpack(p, fmt, a, "x"), unpack(p, fmt, b, "y")
    p.end_step(unpack_delay(fmt))
    sign, nan, infinite, zero = _product_flags(p, x, y)
    zeros = p.keep(
        leading_zeros(p, x.significand.now) + leading_zeros(p, y.significand.now), "zeros"
    )
    room = p.keep(x.exponent.now + y.exponent.now - fmt.bias, "room")
    significand = _multiply(p, x.significand, y.significand, limb)
    return finish(
        p, fmt,
        Unrounded(sign, room, significand, nan, infinite, zero, zeros, estimated=True),
    )  # fmt: skip


def _product_flags(p: Pipeline, x: Unpacked, y: Unpacked) -> tuple[Kept, Kept, Kept, Kept]:
    """(sign, whether NaN, infinite, zero) of a product."""
    invalid = (x.infinite.now & y.zero.now) | (x.zero.now & y.infinite.now)
    return (
        p.keep(x.sign.now ^ y.sign.now, "sign"),
        p.keep(x.nan.now | y.nan.now | invalid, "nan"),
        p.keep(x.infinite.now | y.infinite.now, "infinite"),
        p.keep(x.zero.now | y.zero.now, "zero"),
    )


def _multiply(p: Pipeline, x: Kept, y: Kept, limb: int) -> Kept:
    """The product of significands; a step for the products of limbs, one for each level of sums."""
    width = len(x.now) + len(y.now)
    terms = [
        (p.keep(x.now[i:j] * y.now[k:n], "product"), i + k)
        for i, j in _limbs(len(x.now), limb)
        for k, n in _limbs(len(y.now), limb)
    ]
    p.end_step(MULTIPLIER_DELAY)
    while len(terms) > 1:
        sums = [
            reduce(add, (term.now.shift_left(at) for term, at in pair))[:width]
            for pair in batched(terms, 2)
        ]
        terms = [(p.keep(total, "sum"), 0) for total in sums]
        # Terms overlap in part.
        p.end_step(adder_delay(width // 2))
    return terms[0][0]


def _limbs(width: int, limb: int) -> list[tuple[int, int]]:
    """(lowest bit, bit after the highest) of the pieces of a number."""
    starts = limb_offsets(width, limb)
    return list(zip(starts, [*starts[1:], width], strict=True))


def fused(p: Pipeline, fmt: FloatFormat, a: Value, b: Value, c: Value, limb: int) -> Value:
    """``a * b + c``: the addend is moved along a frame that holds the product.

    From the top, a frame has the addend's bits at the farthest, two bits between, the whole
    product, and bits of the addend below that, the last of which stands for all of the rest.
    """
    x, y, z = unpack(p, fmt, a, "x"), unpack(p, fmt, b, "y"), unpack(p, fmt, c, "z")
    p.end_step(unpack_delay(fmt))
    sign, invalid, infinite, zero = _product_flags(p, x, y)
    opposite = p.keep(sign.now ^ z.sign.now, "opposite")
    (ex, sx), (ey, sy) = normalise(p, x, y)
    nan = invalid.now | z.nan.now | (infinite.now & z.infinite.now & opposite.now)
    nan = p.keep(nan, "nan")
    # The exponent of the frame's top, and how far below it the addend's top is.
    top = p.keep(ex.now + ey.now + (fmt.precision + 3 - fmt.bias), "top")
    factors = _multiply(p, sx, sy, limb)
    ahead = p.signal(top.now - z.exponent.now, "ahead")
    far = p.keep(ahead[-1] | zero.now, "far")
    distance = p.keep(Mux(far.now, 0, ahead)[: len(ahead) - 1], "distance")
    p.end_step(0.5 + adder_delay(len(ahead)))
    # An addend that is farther ahead than the frame allows is as if it were at its top.
    # Sums have a bit above the frame.
    room = p.keep(Mux(far.now, z.exponent.now, top.now), "room")
    # A difference may have one place less than the product, and is rounded a place below its own.
    below = max(1, 4 - fmt.precision)
    frame = p.keep(Cat(Const(0, 2 * fmt.precision + 2 + below), z.significand.now), "frame")
    width = len(frame.now)
    addend = shift_right_sticky(p, frame, distance)
    low = Cat(Const(0, below), Mux(zero.now, 0, factors.now))
    within = Cat(low, Const(0, width - len(low)))
    total = p.keep(_add_or_subtract(addend.now, within, opposite.now), "total")
    p.end_step(adder_delay(width))
    negative = p.keep(opposite.now & total.now[-1], "negative")
    size = p.keep(Mux(negative.now, -total.now, total.now)[: width + 1], "size")
    p.end_step(adder_delay(width))
    beyond = p.keep(infinite.now | z.infinite.now, "infinite")
    [zeros] = count_zeros(p, size.now)
    none = p.keep(~size.now.any() & ~beyond.now, "zero")
    larger = Mux(negative.now, sign.now, z.sign.now) & ~(none.now & opposite.now)
    # Of an infinite operand the sign; if both are, they agree.
    larger = Mux(infinite.now, sign.now, Mux(z.infinite.now, z.sign.now, larger))
    sign = p.keep(larger, "sign")
    return finish(
        p, fmt, Unrounded(sign, room, size, nan, beyond, none, zeros, subnormal=False)
    )


def quotient(p: Pipeline, fmt: FloatFormat, a: Value, b: Value) -> Value:
    """``a / b`` by restoring division, a bit a step."""
    x, y = unpack(p, fmt, a, "x"), unpack(p, fmt, b, "y")
    p.end_step(unpack_delay(fmt))
    sign = p.keep(x.sign.now ^ y.sign.now, "sign")
    invalid = (x.zero.now & y.zero.now) | (x.infinite.now & y.infinite.now)
    nan = p.keep(x.nan.now | y.nan.now | invalid, "nan")
    zero = p.keep(x.zero.now | y.infinite.now, "zero")
    infinite = p.keep(x.infinite.now | y.zero.now, "infinite")
    (ex, rest), (ey, divisor) = normalise(p, x, y)
    room = p.keep(ex.now - ey.now + (fmt.bias - 1), "room")
    digits: Value = Const(0, 0)
    for _ in range(fmt.precision + 2):
        difference = p.signal(rest.now - divisor.now, "difference")
        enough = ~difference[-1]
        kept = Mux(enough, difference, rest.now)[: fmt.precision]
        result = p.keep(Cat(enough, digits), "quotient")
        rest = p.keep(Cat(Const(0, 1), kept), "rest")
        p.end_step(0.5 + adder_delay(fmt.precision + 1))
        digits = result.now
    significand = p.keep(Cat(rest.now.any(), digits), "significand")
    return finish(
        p, fmt, Unrounded(sign, room, significand, nan, infinite, zero, estimated=True)
    )


def root(p: Pipeline, fmt: FloatFormat, a: Value) -> Value:
    """The square root by restoring steps, a bit each."""
    x = unpack(p, fmt, a, "x")
    nan = p.keep(x.nan.now | (x.sign.now & ~x.zero.now), "nan")
    p.end_step(unpack_delay(fmt))
    [(field, significand)] = normalise(p, x)
    twice = p.signal(field.now + (fmt.bias - 2), "twice")
    room = p.keep(twice.shift_right(1), "room")
    even = Mux(twice[0], Cat(Const(0, 1), significand.now), significand.now)
    square = p.keep(Cat(Const(0, fmt.precision + 1), even[: fmt.precision + 1]), "square")
    rest, digits = p.keep(Const(0, 1), "rest"), p.keep(Const(0, 1), "root")
    for k in range(fmt.precision + 1):
        at = 2 * (fmt.precision - k)
        grown = p.signal(Cat(square.now[at : at + 2], rest.now), "grown")
        difference = p.signal(grown - Cat(Const(1, 2), digits.now), "difference")
        enough = ~difference[-1]
        rest = p.keep(Mux(enough, difference, grown)[: k + 2], "rest")
        digits = p.keep(Cat(enough, digits.now)[: k + 1], "root")
        p.end_step(0.5 + adder_delay(k + 4))
    significand = p.keep(Cat(rest.now.any(), digits.now), "significand")
    # Roots are far from the smallest numbers, but for formats with few exponents.
    subnormal = 1 - fmt.mantissa + fmt.bias < 2
    return finish(
        p, fmt,
        Unrounded(x.sign, room, significand, nan, x.infinite, x.zero, subnormal=subnormal),
    )  # fmt: skip
