"""LLVM instructions for floating-point operations on bit patterns, exact in every format.

float32 and float64 are computed by the machine's own instructions, whose results IEEE 754 fixes to
the last bit; only NaN results are replaced by the canonical one.  No fast-math flag is ever set,
so LLVM neither contracts nor reorders.

Narrower formats are computed in float64 and rounded once more, which gives the result of one
rounding because float64 has 2 p + 2 bits of precision and more for their p <= 11 (S. A. Figueroa,
"When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995).  Their products, and sums
that are subnormal, are exact in float64 anyway.  The sum of a fused multiply-add is rounded to odd
instead, after which a second rounding to p <= 51 bits is innocuous for any operands (S. Boldo and
G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to
odd", IEEE Transactions on Computers 57(4), 2008).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.floats import FLOAT32, FLOAT64, FloatFormat
from allo_rtl.ir.ops import FloatKind, FloatOp
from allo_rtl.sim.llvm_arith import I64, Builder, LLValue, constant, is_signed

_DOUBLE = ir.DoubleType()
_NATIVE = {FLOAT32: ir.FloatType(), FLOAT64: _DOUBLE}
_BIAS, _FRACTION = FLOAT64.bias, FLOAT64.mantissa

# Where the leading one of a significand in 64 bits is when it is rounded: enough room above for a
# carry, and more bits below than any format keeps.
_LEADING = 61

_COMPARISONS = {
    FloatKind.EQ: "==", FloatKind.NE: "!=", FloatKind.LT: "<",
    FloatKind.LE: "<=", FloatKind.GT: ">", FloatKind.GE: ">=",
}  # fmt: skip


def float_op(b: Builder, op: FloatOp, args: list[LLValue]) -> LLValue:
    """The result of a FloatOp; ``args`` and it are LLVM integers."""
    fmt = format_of(op.format)
    match op.kind:
        case FloatKind.MIN | FloatKind.MAX:
            return _extreme(b, op.kind, fmt, args[0], args[1])
        case FloatKind.CONVERT:
            assert op.target is not None
            return _convert(b, fmt, format_of(op.target), args[0])
        case FloatKind.FROM_INT:
            signed = is_signed(op.args[0].type)
            return _from_integer(b, fmt, signed, args[0], op.fraction)
        case FloatKind.TO_INT:
            signed, width = is_signed(op.result.type), op.result.type.bits
            number = _double(b, fmt, args[0])
            return _to_integer(b, number, signed, width, op.fraction)
    numbers = [_number(b, fmt, a) for a in args]
    if op.kind in _COMPARISONS:
        test = b.fcmp_unordered if op.kind is FloatKind.NE else b.fcmp_ordered
        return test(_COMPARISONS[op.kind], *numbers)
    return _pattern(b, fmt, _compute(b, op.kind, fmt, numbers))


def _compute(b: Builder, kind: FloatKind, fmt: FloatFormat, x: list[LLValue]) -> LLValue:
    """The operation on native numbers: float64 stands for narrow formats."""
    match kind:
        case FloatKind.ADD:
            return b.fadd(*x)
        case FloatKind.SUB:
            return b.fsub(*x)
        case FloatKind.MUL:
            return b.fmul(*x)
        case FloatKind.DIV:
            return b.fdiv(*x)
        case FloatKind.SQRT:
            return _intrinsic(b, f"llvm.sqrt.{_suffix(x[0])}", x[0].type, x)
        case FloatKind.FMA if fmt in _NATIVE:
            return _intrinsic(b, f"llvm.fma.{_suffix(x[0])}", x[0].type, x)
        case FloatKind.FMA:
            return _sum_to_odd(b, b.fmul(x[0], x[1]), x[2])
    raise TypeError(f"no LLVM code is known for {kind.value}")


def _sum_to_odd(b: Builder, x: LLValue, y: LLValue) -> LLValue:
    """``x + y`` rounded to odd: the error of the nearest sum (Knuth's TwoSum) says which way."""
    nearest = b.fadd(x, y)
    part = b.fsub(nearest, x)
    error = b.fadd(b.fsub(x, b.fsub(nearest, part)), b.fsub(y, part))
    zero = ir.Constant(_DOUBLE, 0.0)
    bits = b.bitcast(nearest, I64)
    even = b.icmp_unsigned("==", b.and_(bits, constant(I64, 1)), constant(I64, 0))
    inexact = b.and_(b.fcmp_ordered("!=", error, zero), even)
    away = b.icmp_unsigned("==", b.fcmp_ordered(">", error, zero),
                           b.fcmp_ordered(">", nearest, zero))  # fmt: skip
    odd = b.add(bits, b.select(away, constant(I64, 1), constant(I64, -1)))
    return b.bitcast(b.select(inexact, odd, bits), _DOUBLE)


def _extreme(b: Builder, kind: FloatKind, fmt: FloatFormat, x: LLValue, y: LLValue) -> LLValue:
    """Minimum or maximum of IEEE 754-2019, on integers in the order of the numbers."""
    less = b.icmp_signed("<", _rank(b, x), _rank(b, y))
    least, most = b.select(less, x, y), b.select(less, y, x)
    found = least if kind is FloatKind.MIN else most
    any_nan = b.or_(_is_nan(b, fmt, x), _is_nan(b, fmt, y))
    return b.select(any_nan, constant(x.type, fmt.nan), found)


def _rank(b: Builder, x: LLValue) -> LLValue:
    """A signed integer in the order of the numbers, -0 just below +0."""
    sign = b.ashr(x, constant(x.type, x.type.width - 1))
    return b.xor(x, b.lshr(sign, constant(x.type, 1)))


def _is_nan(b: Builder, fmt: FloatFormat, x: LLValue) -> LLValue:
    magnitude = b.and_(x, constant(x.type, (1 << (fmt.bits - 1)) - 1))
    last = fmt.overflow if fmt.infinities else fmt.nan - 1
    return b.icmp_unsigned(">", magnitude, constant(x.type, last))


# Patterns and native numbers


def _number(b: Builder, fmt: FloatFormat, pattern: LLValue) -> LLValue:
    """The native number of a pattern: of float64 for a narrow format."""
    return b.bitcast(pattern, _NATIVE[fmt]) if fmt in _NATIVE else _widened(b, fmt, pattern)


def _double(b: Builder, fmt: FloatFormat, pattern: LLValue) -> LLValue:
    """A pattern's number as float64; exact."""
    number = _number(b, fmt, pattern)
    return number if number.type == _DOUBLE else b.fpext(number, _DOUBLE)


def _pattern(b: Builder, fmt: FloatFormat, number: LLValue) -> LLValue:
    """The pattern of a native number; float64 is rounded to a narrow format."""
    integer = ir.IntType(fmt.bits)
    is_nan = b.fcmp_unordered("uno", number, number)
    bits = b.bitcast(number, integer) if fmt in _NATIVE else _narrowed(b, fmt, number)
    return b.select(is_nan, constant(integer, fmt.nan), bits)


def _convert(b: Builder, source: FloatFormat, target: FloatFormat, pattern: LLValue) -> LLValue:
    if target == FLOAT32 and source != FLOAT32:
        number = b.fptrunc(_double(b, source, pattern), _NATIVE[FLOAT32])
        return _pattern(b, target, number)
    same = source == target
    return _pattern(b, target, (_number if same else _double)(b, source, pattern))


def _widened(b: Builder, fmt: FloatFormat, pattern: LLValue) -> LLValue:
    """A narrow pattern as float64.

    Its fields, moved to where those of float64 are, mean the number times a power of two, for
    subnormal numbers too.
    """
    wide = b.zext(pattern, I64)
    magnitude = b.and_(wide, constant(I64, (1 << (fmt.bits - 1)) - 1))
    moved = b.shl(magnitude, constant(I64, _FRACTION - fmt.mantissa))
    scale = ir.Constant(_DOUBLE, 2.0 ** (_BIAS - fmt.bias))
    finite = b.bitcast(b.fmul(b.bitcast(moved, _DOUBLE), scale), I64)
    special = b.icmp_unsigned(">=", magnitude, constant(I64, fmt.overflow))
    bits = b.select(special, b.or_(moved, constant(I64, FLOAT64.overflow)), finite)
    sign = b.shl(b.lshr(wide, constant(I64, fmt.bits - 1)), constant(I64, 63))
    return b.bitcast(b.or_(bits, sign), _DOUBLE)


def _narrowed(b: Builder, fmt: FloatFormat, number: LLValue) -> LLValue:
    """A float64 that is no NaN rounded to a narrow format.

    Its own subnormal numbers need no care: they are far below half the smallest narrow one.
    """
    bits = b.bitcast(number, I64)
    sign = b.icmp_signed("<", bits, constant(I64, 0))
    fraction = b.and_(bits, constant(I64, (1 << _FRACTION) - 1))
    whole = b.or_(fraction, constant(I64, 1 << _FRACTION))
    significand = b.shl(whole, constant(I64, _LEADING - _FRACTION))
    return _rounded(b, fmt, sign, significand, _exponent(b, bits))


def _exponent(b: Builder, bits: LLValue) -> LLValue:
    """The exponent of a normal float64."""
    field = b.and_(b.lshr(bits, constant(I64, _FRACTION)), constant(I64, 2 * _BIAS + 1))
    return b.sub(field, constant(I64, _BIAS))


def _rounded(
    b: Builder, fmt: FloatFormat, sign: LLValue, significand: LLValue, exponent: LLValue
) -> LLValue:
    """The pattern nearest to ``significand * 2**(exponent - 61)``, ties to even.

    The leading one of the significand (an i64) is its bit 61, unless it is zero; below that it
    has more bits than the format keeps, and its last bit stands for all that follow.
    """
    smallest = constant(I64, 1 - fmt.bias)
    places = _clamped(b, b.sub(smallest, exponent), 0, 63)
    drop = _clamped(b, b.add(places, constant(I64, _LEADING - fmt.mantissa)), 0, 63)
    one = constant(I64, 1)
    last = b.and_(b.lshr(significand, drop), one)
    below_half = b.sub(b.shl(one, b.sub(drop, one)), one)
    kept = b.lshr(b.add(b.add(significand, below_half), last), drop)
    # The leading one counts as one step of the exponent, and so does a carry out of the top.
    steps = _clamped(b, b.sub(exponent, smallest), 0, 2 * _BIAS)
    magnitude = b.add(b.shl(steps, constant(I64, fmt.mantissa)), kept)
    zero = b.icmp_unsigned("==", significand, constant(I64, 0))
    limit = constant(I64, fmt.overflow)
    magnitude = b.select(b.icmp_unsigned("<", magnitude, limit), magnitude, limit)
    return _signed(b, fmt, sign, b.select(zero, constant(I64, 0), magnitude))


def _signed(b: Builder, fmt: FloatFormat, sign: LLValue, magnitude: LLValue) -> LLValue:
    """The pattern with this sign; NaN, where it is what follows the largest number, has none."""
    if not fmt.infinities:
        number = b.icmp_unsigned("!=", magnitude, constant(I64, fmt.nan))
        sign = b.and_(sign, number)
    integer = ir.IntType(fmt.bits)
    top = b.shl(b.zext(sign, I64), constant(I64, fmt.bits - 1))
    bits = b.or_(magnitude, top)
    return bits if fmt.bits == 64 else b.trunc(bits, integer)


def _clamped(b: Builder, x: LLValue, low: int, high: int) -> LLValue:
    """A signed i64, at least ``low`` and at most ``high``."""
    lowest, highest = constant(x.type, low), constant(x.type, high)
    above = b.select(b.icmp_signed("<", x, lowest), lowest, x)
    return b.select(b.icmp_signed(">", above, highest), highest, above)


# Integers


def _from_integer(
    b: Builder, fmt: FloatFormat, signed: bool, x: LLValue, fraction: int
) -> LLValue:
    """The pattern nearest to ``x / 2**fraction``."""
    width = x.type.width
    to_number = b.sitofp if signed else b.uitofp
    if fmt in _NATIVE and width <= 64 and (fmt == FLOAT64 or fraction == 0):
        number = to_number(x, _NATIVE[fmt])
        return _pattern(b, fmt, _scaled(b, number, -fraction) if fraction else number)
    if width <= FLOAT64.precision:
        number = _scaled(b, to_number(x, _DOUBLE), -fraction)  # exact, then rounded once
        bits = b.bitcast(number, I64)
        return _convert(b, FLOAT64, fmt, bits)
    wide = ir.IntType(max(width, 64))
    sign, magnitude = _magnitude(b, signed, x)
    magnitude = magnitude if width >= 64 else b.zext(magnitude, wide)
    zeros = b.ctlz(b.or_(magnitude, constant(wide, 1)), constant(ir.IntType(1), 0))
    leading = b.shl(magnitude, zeros)
    low = wide.width - 1 - _LEADING
    significand = b.lshr(leading, constant(wide, low))
    rest = b.and_(leading, constant(wide, (1 << low) - 1))
    sticky = b.icmp_unsigned("!=", rest, constant(wide, 0))
    exponent = b.sub(constant(I64, wide.width - 1 - fraction), _resized(b, zeros, I64))
    significand = b.or_(_resized(b, significand, I64), b.zext(sticky, I64))
    return _rounded(b, fmt, sign, significand, exponent)


def _magnitude(b: Builder, signed: bool, x: LLValue) -> tuple[LLValue, LLValue]:
    """Sign (an i1) and absolute value, as an unsigned number, of an integer."""
    if not signed:
        return constant(ir.IntType(1), 0), x
    zero = constant(x.type, 0)
    negative = b.icmp_signed("<", x, zero)
    return negative, b.select(negative, b.sub(zero, x), x)


def _to_integer(b: Builder, number: LLValue, signed: bool, width: int, fraction: int) -> LLValue:
    """A float64 times ``2**fraction`` toward zero, at most to the ends of the range; NaN is 0."""
    integer = ir.IntType(width)
    if width <= 64:
        # A product too large for float64 is infinite, and so still beyond the range.
        name = f"llvm.fpto{'si' if signed else 'ui'}.sat.i{width}.f64"
        return _intrinsic(b, name, integer, [_scaled(b, number, fraction)])
    bits = b.bitcast(number, I64)
    sign = b.icmp_signed("<", bits, constant(I64, 0))
    exponent = b.add(_exponent(b, bits), constant(I64, fraction))
    whole = b.or_(b.and_(bits, constant(I64, (1 << _FRACTION) - 1)), constant(I64, 1 << _FRACTION))
    point = b.sub(exponent, constant(I64, _FRACTION))
    right = _clamped(b, b.sub(constant(I64, 0), point), 0, 63)
    left = _clamped(b, point, 0, width - 1)
    magnitude = b.shl(b.zext(b.lshr(whole, right), integer), _resized(b, left, integer))
    value = b.select(sign, b.sub(constant(integer, 0), magnitude), magnitude)
    least, most = (-1 << (width - 1), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    end = b.select(sign, constant(integer, least), constant(integer, most))
    limit = width - 1 if signed else width
    beyond = b.icmp_signed(">=", exponent, constant(I64, limit))
    beyond = beyond if signed else b.or_(beyond, sign)
    is_nan = b.fcmp_unordered("uno", number, number)
    return b.select(is_nan, constant(integer, 0), b.select(beyond, end, value))


def _scaled(b: Builder, number: LLValue, exponent: int) -> LLValue:
    """A float64 times a power of two."""
    return b.fmul(number, ir.Constant(_DOUBLE, 2.0**exponent)) if exponent else number


def _resized(b: Builder, x: LLValue, type_: Any) -> LLValue:  # noqa: ANN401 - an llvmlite type
    """An unsigned number that fits another width."""
    if x.type.width == type_.width:
        return x
    return (b.trunc if x.type.width > type_.width else b.zext)(x, type_)


def _suffix(number: LLValue) -> str:
    return "f64" if number.type == _DOUBLE else "f32"


def _intrinsic(b: Builder, name: str, result: Any, args: list[LLValue]) -> LLValue:  # noqa: ANN401
    known = b.module.globals.get(name)
    type_ = ir.FunctionType(result, [a.type for a in args])
    return b.call(known or ir.Function(b.module, type_, name), args)
