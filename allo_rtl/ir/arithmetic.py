"""What the operators of the loop IR compute, on the ints that stand for values.

See :mod:`allo_rtl.ir.types` for these ints.  :func:`eval_binary`, :func:`eval_compare`,
:func:`eval_cast`, :func:`eval_math` and :func:`eval_float_op` are the meaning of the operations
of the same names in :mod:`allo_rtl.ir.ops`; the evaluator and constant folding use them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import inf, ldexp, nan

from allo_rtl.ir import elementary, floats
from allo_rtl.ir.floats import FloatFormat, Kind
from allo_rtl.ir.ops import Binary, BinaryKind, Cast, Compare, FloatKind, MathKind, Predicate
from allo_rtl.ir.types import FixedType, Float, Index, Int, IntegerType, Struct, Type

type Whole = IntegerType | Index


@cache
def format_of(type: Float) -> FloatFormat:
    """The encoding of a floating-point type."""
    return FloatFormat(type.exponent, type.fracs, type.infinities)


def wrap(type: Type, value: int) -> int:
    """``value`` modulo the width of ``type``, as the int that stands for these bits."""
    match type:
        case IntegerType() | Index():
            return type.wrap(value)
        case FixedType():
            return type.raw.wrap(value)
    return value & ((1 << type.bits) - 1)


def limits(type: Type) -> tuple[int, int]:
    """The smallest and the largest int that stand for values of a scalar type."""
    match type:
        case IntegerType() | Index():
            return type.min, type.max
        case FixedType():
            return type.raw.min, type.raw.max
    return 0, (1 << type.bits) - 1


def signed(type: Type) -> bool:
    """Whether the ints that stand for values of a scalar type may be negative."""
    return limits(type)[0] < 0


def eval_binary(kind: BinaryKind, type: Type, a: int, b: int) -> int:
    """``a kind b`` for two values of ``type``.

    Raises:
        TypeError: the type has no such operator.
    """
    match type:
        case IntegerType() | Index():
            return type.wrap(_exact(kind, type, a, b))
        case FixedType():
            return type.raw.wrap(_fixed(kind, type, a, b))
        case Float():
            return _float(kind, format_of(type), a, b)
    raise TypeError(f"{type} has no operator {kind.value}")


def _exact(kind: BinaryKind, t: Whole, a: int, b: int) -> int:
    match kind:
        case BinaryKind.ADD:
            return a + b
        case BinaryKind.SUB:
            return a - b
        case BinaryKind.MUL:
            return a * b
        case BinaryKind.AND:
            return a & b
        case BinaryKind.OR:
            return a | b
        case BinaryKind.XOR:
            return a ^ b
        case BinaryKind.MIN:
            return min(a, b)
        case BinaryKind.MAX:
            return max(a, b)
        case BinaryKind.SHL | BinaryKind.SHR:
            return _shift(kind, t.bits, a, b)
        case BinaryKind.DIV | BinaryKind.FLOORDIV | BinaryKind.REM:
            return _divide(kind, a, b)


def _shift(kind: BinaryKind, width: int, a: int, b: int) -> int:
    # An amount of the width or more acts like the width: nothing but the sign is left.
    amount = min(b % (1 << width), width)
    return a << amount if kind is BinaryKind.SHL else a >> amount


def _divide(kind: BinaryKind, a: int, b: int) -> int:
    if b == 0:
        return a if kind is BinaryKind.REM else -1
    if kind is BinaryKind.FLOORDIV:
        return a // b
    quotient = abs(a) // abs(b)
    toward_zero = quotient if (a < 0) == (b < 0) else -quotient
    return toward_zero if kind is BinaryKind.DIV else a - b * toward_zero


def _fixed(kind: BinaryKind, t: FixedType, a: int, b: int) -> int:
    """On multiples of 2**-fracs, not wrapped yet."""
    match kind:
        case BinaryKind.MUL:
            return (a * b) >> t.fracs
        case BinaryKind.DIV:
            return _divide(kind, a << t.fracs, b)
        case BinaryKind.FLOORDIV:
            return _divide(kind, a, b) << t.fracs
        case BinaryKind.SHL | BinaryKind.SHR:
            return _shift(kind, t.width, a, b >> t.fracs)
        case BinaryKind.AND | BinaryKind.OR | BinaryKind.XOR:
            raise TypeError(f"{t} has no operator {kind.value}")
    return _exact(kind, t.raw, a, b)


def _float(kind: BinaryKind, fmt: FloatFormat, a: int, b: int) -> int:
    match kind:
        case BinaryKind.ADD:
            return floats.add(fmt, a, b)
        case BinaryKind.SUB:
            return floats.sub(fmt, a, b)
        case BinaryKind.MUL:
            return floats.mul(fmt, a, b)
        case BinaryKind.DIV:
            return floats.div(fmt, a, b)
        case BinaryKind.MIN:
            return floats.minimum(fmt, a, b)
        case BinaryKind.MAX:
            return floats.maximum(fmt, a, b)
        case BinaryKind.REM:
            return floats.remainder(fmt, a, b)
        case BinaryKind.FLOORDIV:
            return floats.floor(fmt, floats.div(fmt, a, b))
    raise TypeError(f"floating-point numbers have no operator {kind.value}")


def eval_compare(predicate: Predicate, a: int, b: int, type: Type | None = None) -> int:
    """1 when ``a predicate b`` holds for two values of ``type``, else 0.

    Without a type they are integers.
    """
    if isinstance(type, Float):
        return int(floats.compare(format_of(type), predicate, a, b))
    match predicate:
        case Predicate.EQ:
            return int(a == b)
        case Predicate.NE:
            return int(a != b)
        case Predicate.LT:
            return int(a < b)
        case Predicate.LE:
            return int(a <= b)
        case Predicate.GT:
            return int(a > b)
        case Predicate.GE:
            return int(a >= b)


def eval_cast(target: Type, value: int, source: Type | None = None) -> int:
    """A value of type ``source`` (without one: an integer) as a value of type ``target``.

    Raises:
        TypeError: there is no such conversion (structs).
    """
    if target == source:
        return value
    if isinstance(source, Float):
        return _from_float(format_of(source), target, value)
    fraction = source.fracs if isinstance(source, FixedType) else 0
    match target:
        case Float():
            return floats.from_integer(format_of(target), value, fraction)
        case FixedType():
            shift = target.fracs - fraction
            return target.raw.wrap(value << shift if shift >= 0 else value >> -shift)
        case IntegerType() | Index():
            return target.wrap(value >> fraction)
    raise TypeError(f"{source} does not become {target}")


def _from_float(source: FloatFormat, target: Type, value: int) -> int:
    match target:
        case Float():
            return floats.convert(source, format_of(target), value)
        case FixedType():
            return floats.to_integer(source, value, target.raw, target.fracs)
        case IntegerType():
            return floats.to_integer(source, value, target)
        case Index():
            return floats.to_integer(source, value, Int(64))
    raise TypeError(f"a floating-point number does not become {target}")


def eval_bitcast(target: Type, value: int) -> int:
    """The bits of a value as a value of ``target``, of the same width."""
    return wrap(target, value)


def eval_math(kind: MathKind, type: Type, args: tuple[int, ...]) -> int:
    """A function of floating-point numbers; elementary ones are rounded to nearest here."""
    if not isinstance(type, Float):
        raise TypeError(f"{kind.value} is not defined for {type}")
    fmt, sign = format_of(type), 1 << (type.width - 1)
    match kind:
        case MathKind.NEG:
            return args[0] ^ sign
        case MathKind.ABS:
            return args[0] & ~sign
        case MathKind.SQRT:
            return floats.sqrt(fmt, args[0])
        case MathKind.FMA:
            return floats.fma(fmt, *args)
        case MathKind.FLOOR:
            return floats.floor(fmt, args[0])
    return elementary.evaluate(kind, fmt, args)


_ARITHMETIC: Mapping[FloatKind, Callable[..., int]] = {
    FloatKind.ADD: floats.add, FloatKind.SUB: floats.sub, FloatKind.MUL: floats.mul,
    FloatKind.DIV: floats.div, FloatKind.FMA: floats.fma, FloatKind.SQRT: floats.sqrt,
    FloatKind.MIN: floats.minimum, FloatKind.MAX: floats.maximum,
}  # fmt: skip


def eval_float_op(
    kind: FloatKind,
    type: Float,
    args: tuple[int, ...],
    *,
    target: Float | None = None,
    integer: Type | None = None,
    fraction: int = 0,
) -> int:
    """A :class:`~allo_rtl.ir.ops.FloatOp` of format ``type`` on patterns (or an integer).

    ``integer`` is the type that TO_INT gives.
    """
    fmt = format_of(type)
    if kind in _ARITHMETIC:
        return _ARITHMETIC[kind](fmt, *args)
    match kind:
        case FloatKind.CONVERT:
            assert target is not None
            return floats.convert(fmt, format_of(target), args[0])
        case FloatKind.FROM_INT:
            return floats.from_integer(fmt, args[0], fraction)
        case FloatKind.TO_INT:
            whole = Int(64) if isinstance(integer, Index) else integer
            assert isinstance(whole, IntegerType)
            return floats.to_integer(fmt, args[0], whole, fraction)
    return int(floats.compare(fmt, Predicate(kind.value), args[0], args[1]))


type Number = int | float | dict[str, Number]


def number_of(type: Type, value: int) -> Number:
    """What the int stands for, as Python shows it: an int, a float, or the fields of a struct."""
    match type:
        case FixedType():
            return float(Fraction(value, 1 << type.fracs))
        case Float():
            return _float_of(format_of(type), value)
        case Struct():
            fields = ((name, *type.field(name)) for name, _ in type.fields)
            return {n: number_of(t, wrap(t, value >> at)) for n, at, t in fields}
    return value


def _float_of(fmt: FloatFormat, value: int) -> float:
    x = fmt.unpack(value)
    if x.kind is Kind.NAN:
        return nan
    magnitude = inf if x.kind is Kind.INFINITE else ldexp(x.significand, x.exponent)
    return -magnitude if x.sign else magnitude


def line_of(text: str, values: Sequence[tuple[Type, int]]) -> str:
    """The line that a :class:`~allo_rtl.ir.ops.Print` writes."""
    return text.format(*(number_of(t, v) for t, v in values))


def computed(op: Binary | Compare | Cast, numbers: Sequence[int]) -> int:
    """What an operation gives for its operands, in their order."""
    match op:
        case Binary(kind=kind, result=result):
            return eval_binary(kind, result.scalar, numbers[0], numbers[1])
        case Compare(predicate=predicate, lhs=lhs):
            return eval_compare(predicate, numbers[0], numbers[1], lhs.scalar)
        case Cast(result=result, operand=operand):
            return eval_cast(result.scalar, numbers[0], operand.scalar)
