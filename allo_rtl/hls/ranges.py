"""Intervals of results: which integers an operation can give."""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.hls.node import COMPARISONS, Kind, Number, fits, full_range
from allo_rtl.ir.affine import Interval


def _corners(a: Interval, b: Interval) -> list[int]:
    return [x * y for x in a for y in b]


def _bitwise(kind: Kind, a: Interval, b: Interval) -> Interval | None:
    if kind is Kind.AND and max(a[0], b[0]) >= 0:
        return 0, min(x[1] for x in (a, b) if x[0] >= 0)
    if a[0] < 0 or b[0] < 0:
        return None
    return 0, (1 << max(a[1].bit_length(), b[1].bit_length())) - 1


def _shift(kind: Kind, a: Interval, amount: Interval) -> Interval | None:
    if amount[0] < 0 or amount[1] > 1024:
        return None
    if kind is Kind.SHL:
        ends = [x << s for x in a for s in amount]
    else:
        ends = [x >> s for x in a for s in amount]
    return min(ends), max(ends)


def _truncated(x: int, y: int) -> int:
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _divide(kind: Kind, a: Interval, b: Interval) -> Interval | None:
    if b[0] <= 0 <= b[1]:
        return None
    if kind is Kind.REM:
        bound = max(abs(b[0]), abs(b[1])) - 1
        return max(a[0], -bound) if a[0] < 0 else 0, min(max(a[1], 0), bound)
    if kind is Kind.DIV:
        ends = [_truncated(x, y) for x in a for y in b]
    else:
        ends = [x // y for x in a for y in b]
    return min(ends), max(ends)


def _exact(kind: Kind, operands: Sequence[Interval]) -> Interval | None:
    """Interval of the unwrapped result; None when nothing better than the type is known."""
    if kind in COMPARISONS:
        return 0, 1
    if kind is Kind.CAST:
        return operands[0]
    if kind is Kind.SELECT:
        return min(o[0] for o in operands[1:]), max(o[1] for o in operands[1:])
    a, b = operands
    match kind:
        case Kind.ADD:
            return a[0] + b[0], a[1] + b[1]
        case Kind.SUB:
            return a[0] - b[1], a[1] - b[0]
        case Kind.MUL:
            return min(_corners(a, b)), max(_corners(a, b))
        case Kind.MIN:
            return min(a[0], b[0]), min(a[1], b[1])
        case Kind.MAX:
            return max(a[0], b[0]), max(a[1], b[1])
        case Kind.AND | Kind.OR | Kind.XOR:
            return _bitwise(kind, a, b)
        case Kind.SHL | Kind.SHR:
            return _shift(kind, a, b)
        case Kind.DIV | Kind.FLOORDIV | Kind.REM:
            return _divide(kind, a, b)
    return None


def result_range(kind: Kind, type: Number, operands: Sequence[Interval]) -> Interval:
    """Interval of the result after wrapping to ``type``."""
    exact = _exact(kind, operands)
    return exact if exact is not None and fits(exact, type) else full_range(type)
