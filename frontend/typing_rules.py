"""Types of expressions: the language's rule set "default" for integers and index.

Every rule is a function of the operands' types alone.  ``index`` counts as ``UInt(32)``, except
that an operator on two indices gives an index.  Sums and products get wide enough to be exact;
quotients and shifts keep the left operand's width.
"""

from __future__ import annotations

from collections.abc import Callable

from allo_rtl.ir.types import Index, Int, IntegerType, ScalarType, UInt, index

type Rule = Callable[[ScalarType, ScalarType], ScalarType]


def plain(type_: ScalarType) -> IntegerType:
    """The integer type that ``type_`` counts as: itself, or UInt(32) for an index."""
    if isinstance(type_, IntegerType):
        return type_
    assert isinstance(type_, Index), f"no integer rule for {type_}"
    return UInt(32)


def exact_common(a: ScalarType, b: ScalarType) -> IntegerType:
    """The smallest integer type that holds every number of both."""
    a, b = plain(a), plain(b)
    if not a.signed and not b.signed:
        return UInt(max(a.width, b.width))
    return Int(max(t.width + (not t.signed) for t in (a, b)))


def _both_index(a: ScalarType, b: ScalarType) -> bool:
    return isinstance(a, Index) and isinstance(b, Index)


def sum_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a + b`` and ``a - b``: one bit more than both need."""
    if _both_index(a, b):
        return index
    common = exact_common(a, b)
    return type(common)(common.width + 1)


def product_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a * b``: the widths added, signed if one is."""
    if _both_index(a, b):
        return index
    a, b = plain(a), plain(b)
    return (Int if a.signed or b.signed else UInt)(a.width + b.width)


def quotient_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a / b`` and ``a // b``: the width of ``a``, signed if one is."""
    if isinstance(a, Index) and not plain(b).signed:
        return index
    return (Int if plain(a).signed or plain(b).signed else UInt)(plain(a).width)


def common_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a % b``, ``min``, ``max`` and the ternary, and the type comparisons are done in.

    It does not depend on the order of the two.
    """
    return index if _both_index(a, b) else exact_common(a, b)


def shift_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a << b`` and ``a >> b``: that of ``a``."""
    return a


def bitwise_type(a: ScalarType, b: ScalarType) -> ScalarType:
    """Type of ``a & b``, ``a | b`` and ``a ^ b``: the larger width, signed if one is."""
    if _both_index(a, b):
        return index
    a, b = plain(a), plain(b)
    return (Int if a.signed or b.signed else UInt)(max(a.width, b.width))


def unary_type(a: ScalarType) -> ScalarType:
    """Type of ``-a``, ``+a`` and ``~a``: signed at the same width."""
    return a if isinstance(a, Index) else Int(plain(a).width)


def literal_type(value: int) -> IntegerType:
    """Type of an integer literal: int32 if it fits, else int64, else as wide as it needs."""
    for width in (32, 64):
        if Int(width).min <= value <= Int(width).max:
            return Int(width)
    return Int(max(value.bit_length(), (-value - 1).bit_length()) + 1)
