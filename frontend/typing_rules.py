"""Types of expressions: the language's two rule sets, "default" and "cpp-style".

Every rule is a function of the operands' types alone.  ``index`` counts as ``UInt(32)``, except
that an operator on two indices gives an index.  With a floating-point operand the result is that
type, of two the wider one, of two of one width the left one.

The default rules make sums and products wide enough to be exact; quotients of integers and
shifts keep the left operand's width.  The other set follows C: the wider integer type, of two of
one width the unsigned one; where C's conversions would change a number for nothing (the ternary,
``min``, ``max``), and for fixed point, it has the default rules.

No rule is defined for structs; :mod:`.arithmetic` refuses these first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from allo_rtl.ir.types import (
    Fixed,
    FixedType,
    Float,
    Index,
    Int,
    IntegerType,
    ScalarType,
    UFixed,
    UInt,
    float32,
    float64,
    index,
)

type Rule = Callable[[ScalarType, ScalarType], ScalarType]
type Exact = IntegerType | FixedType
"""Types whose numbers are whole multiples of one power of two."""


def plain(type_: ScalarType) -> Exact:
    """The integer or fixed-point type that ``type_`` counts as: UInt(32) for an index."""
    if isinstance(type_, Index):
        return UInt(32)
    assert isinstance(type_, IntegerType | FixedType), f"no integer rule for {type_}"
    return type_


def _made(signed: bool, width: int, fracs: int, *like: Exact) -> Exact:
    """An integer type; a fixed-point type when one of ``like`` is."""
    if any(isinstance(t, FixedType) for t in like):
        return Fixed(width, fracs) if signed else UFixed(width, fracs)
    return Int(width) if signed else UInt(width)


def exact_common(a: ScalarType, b: ScalarType, more: int = 0) -> Exact:
    """The smallest type that holds every number of both, or one ``more`` bits wider."""
    a, b = plain(a), plain(b)
    signed = a.signed or b.signed
    whole = max(t.width - t.fracs + (signed and not t.signed) for t in (a, b))
    fracs = max(a.fracs, b.fracs)
    return _made(signed, whole + fracs + more, fracs, a, b)


def float_type(a: ScalarType, b: ScalarType) -> Float | None:
    """The floating-point type of an operator; None when neither operand is of one."""
    match a, b:
        case Float(), Float():
            return b if b.width > a.width else a
        case Float(), _:
            return a
        case _, Float():
            return b
    return None


def _both_index(a: ScalarType, b: ScalarType) -> bool:
    return isinstance(a, Index) and isinstance(b, Index)


def sum_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a + b`` and ``a - b``: one bit more than both need."""
    if (found := float_type(a, b)) is not None:
        return found
    return index if _both_index(a, b) else exact_common(a, b, more=1)


def product_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a * b``: the widths and the fraction bits added, signed if one is."""
    if (found := float_type(a, b)) is not None:
        return found
    if _both_index(a, b):
        return index
    a, b = plain(a), plain(b)
    return _made(a.signed or b.signed, a.width + b.width, a.fracs + b.fracs, a, b)


def quotient_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a / b`` and ``a // b``: of integers the width of ``a``, signed if one is.

    With a fixed-point operand the widths are added.  The fraction bits are the whole bits of
    ``b`` and the fraction bits of ``a``; of an integer ``a``, its width less those of ``b``.
    """
    if (found := float_type(a, b)) is not None:
        return found
    if isinstance(a, Index) and isinstance(b, Index | UInt):
        return index
    a, b = plain(a), plain(b)
    signed = a.signed or b.signed
    if not isinstance(a, FixedType) and not isinstance(b, FixedType):
        return _made(signed, a.width, 0)
    more = (a.signed and not b.signed) or (isinstance(a, UFixed) and isinstance(b, Int))
    fracs = b.width - b.fracs + a.fracs if isinstance(a, FixedType) else a.width - b.fracs
    return _made(signed, a.width + b.width + more, max(fracs, 0), a, b)


def common_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a % b``, ``min``, ``max`` and the ternary, whatever the order of the two.

    (Only of two floating-point types of one width it is the left one.)
    """
    if a == b:
        return a
    return float_type(a, b) or exact_common(a, b)


def shift_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a << b`` and ``a >> b``: that of ``a``."""
    return a


def bitwise_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a & b``, ``a | b`` and ``a ^ b``: the larger width, signed if one is."""
    if _both_index(a, b):
        return index
    a, b = plain(a), plain(b)
    return _made(a.signed or b.signed, max(a.width, b.width), 0)


def power_type(a: ScalarType, b: ScalarType) -> Float:
    """Type of ``a ** b``: that of two floats; else float32, float64 when ``a`` is wider."""
    if isinstance(a, Float):
        wide = float64 if a.width > 32 else float32
        return (b if b.width > a.width else a) if isinstance(b, Float) else wide
    return math_type(a)


def math_type(a: ScalarType) -> Float:
    """Type of a function like ``sqrt(a)``: a float's own, else float32, float64 over 32 bits."""
    if isinstance(a, Float):
        return a
    return float64 if plain(a).width > 32 else float32


def unary_type(a: ScalarType) -> ScalarType:
    """Type of ``-a``, ``+a`` and ``~a``: signed at the same width."""
    return Int(a.width) if isinstance(a, UInt) else a


def negative_type(a: ScalarType) -> ScalarType:
    """Type of ``-a``: as :func:`unary_type`, but of UFixed one with a sign bit more."""
    return Fixed(a.width + 1, a.fracs) if isinstance(a, UFixed) else unary_type(a)


def literal_type(value: int) -> IntegerType:
    """Type of an integer literal: int32 if it fits, else int64, else as wide as it needs."""
    for width in (32, 64):
        if Int(width).min <= value <= Int(width).max:
            return Int(width)
    return Int((value if value >= 0 else ~value).bit_length() + 1)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The types that the operators of the language give.

    Attributes:
        sum: ``+`` and ``-``.
        product: ``*``.
        quotient: ``/`` and ``//``.
        remainder: ``%``.
        choice: ``min``, ``max`` and the ternary.
        bitwise: ``&``, ``|`` and ``^``.
    """

    sum: Rule = sum_type
    product: Rule = product_type
    quotient: Rule = quotient_type
    remainder: Rule = common_type
    choice: Rule = common_type
    bitwise: Rule = bitwise_type


def _c_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """The wider type, of two of one width the unsigned one; an index is 32 bits wide."""
    if _both_index(a, b):
        return index
    if isinstance(a, Index):
        a, b = b, a
    if isinstance(b, Index):
        b = Int(32) if isinstance(a, Int) else index
        return b if plain(b).width >= a.bits else a
    assert isinstance(a, IntegerType)
    assert isinstance(b, IntegerType)
    width = max(a.width, b.width)
    widest = [t for t in (a, b) if t.width == width]
    return next((t for t in widest if not t.signed), widest[0])


def _as_c(rule: Rule) -> Rule:
    """The rule of C for integers; ``rule`` for everything else."""

    def type_of(a: ScalarType, b: ScalarType) -> ScalarType:
        whole = isinstance(a, IntegerType | Index) and isinstance(b, IntegerType | Index)
        return _c_type(a, b) if whole else rule(a, b)

    return type_of


DEFAULT = RuleSet()
CPP_STYLE = RuleSet(
    sum=_as_c(sum_type),
    product=_as_c(product_type),
    quotient=_as_c(quotient_type),
    remainder=_as_c(common_type),
)
RULE_SETS: Mapping[str, RuleSet] = {"default": DEFAULT, "cpp-style": CPP_STYLE}
