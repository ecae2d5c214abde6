"""Conditions of which the counters of loops decide: as text for isl, the integer set library."""

from __future__ import annotations

from collections.abc import Mapping

from allo_rtl.ir import polyhedra
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import (
    Apply,
    Binary,
    BinaryKind,
    Block,
    Cast,
    Compare,
    Constant,
    If,
    Op,
    Predicate,
    Value,
)
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import Index, Int, IntegerType, UInt

_SIGNS = {
    Predicate.EQ: "=", Predicate.NE: "!=", Predicate.LT: "<", Predicate.LE: "<=",
    Predicate.GT: ">", Predicate.GE: ">=",
}  # fmt: skip
_WORDS = {BinaryKind.AND: "and", BinaryKind.OR: "or"}


class Guards:
    """The conditions in a block.

    Args:
        block: the operations that define the values that conditions are made of.
    """

    def __init__(self, block: Block) -> None:
        self._makers: dict[Value, Op] = {v: op for op in walk(block) for v in op.results()}
        self._ranges: dict[Value, Interval] = {}
        for loop in loops(block):
            parts = (*loop.lower, *loop.upper)
            if all(e.values <= self._ranges.keys() for e in parts):
                low = max(e.bounds(self._ranges.__getitem__)[0] for e in loop.lower)
                high = min(e.bounds(self._ranges.__getitem__)[1] for e in loop.upper)
                self._ranges[loop.iv] = (low, max(low, high - 1))

    def formula(self, op: If, branch: int, names: polyhedra.Names) -> str | None:
        """When a branch is taken: the first (0) or the second (1).

        None when that depends on values without a name.
        """
        taken = self._bit(op.condition, names)
        return taken if taken is None or branch == 0 else f"not ({taken})"

    def values(self, op: If) -> set[Value]:
        """What the condition is made of, as far as that is known."""
        found, todo = set[Value](), [op.condition]
        while todo:
            value = todo.pop()
            maker = self._makers.get(value)
            if maker is None:
                found.add(value)
            elif isinstance(maker, Constant | Apply | Cast | Binary | Compare):
                todo += maker.operands()
        return found

    def _bit(self, value: Value, names: polyhedra.Names) -> str | None:
        match self._makers.get(value):
            case Constant(value=number):
                return "true" if number else "false"
            case Binary(kind=kind, lhs=a, rhs=b) if kind in _WORDS:
                parts = self._bit(a, names), self._bit(b, names)
                return None if None in parts else f"({parts[0]}) {_WORDS[kind]} ({parts[1]})"
            case Binary(kind=BinaryKind.XOR, lhs=a, rhs=b):
                return self._negated(a, b, 1, names)
            case Compare(predicate=Predicate.EQ, lhs=a, rhs=b) if a.type == UInt(1):
                return self._negated(a, b, 0, names)
            case Compare(predicate=predicate, lhs=a, rhs=b):
                one, two = self._number(a), self._number(b)
                if one is None or two is None or not (one.values | two.values) <= names.keys():
                    return None
                left, right = polyhedra.text(one, names), polyhedra.text(two, names)
                return f"{left} {_SIGNS[predicate]} {right}"
        return None

    def _negated(
        self, a: Value, b: Value, other: int, names: Mapping[Value, str]
    ) -> str | None:
        """``not a``, written with a constant."""
        maker = self._makers.get(b)
        bit = self._bit(a, names)
        if bit is None or not isinstance(maker, Constant) or maker.value & 1 != other:
            return None
        return f"not ({bit})"

    def _number(self, value: Value) -> AffineExpr | None:
        """A value as an affine expression; None where it is none, or may wrap."""
        match self._makers.get(value):
            case None:
                return AffineExpr.of(value)
            case Constant(value=number):
                return AffineExpr.constant(number)
            case Apply(expr=expr):
                parts = {v: self._number(v) for v in expr.values}
                if None in parts.values():
                    return None
                return expr.substitute(parts.get)
            case Cast(result=result, operand=operand):
                same = self._number(operand)
                return same if _keeps(operand, result) or self._inside(same, result) else None
            case Binary(kind=BinaryKind.ADD | BinaryKind.SUB as kind, lhs=a, rhs=b):
                one, two = self._number(a), self._number(b)
                if one is None or two is None or not (self._fits(a) and self._fits(b)):
                    return None
                return one + two if kind is BinaryKind.ADD else one - two
        return None

    def _inside(self, number: AffineExpr | None, result: Value) -> bool:
        """Whether a number is one of those of a type, whatever the counters are."""
        if number is None or not number.values <= self._ranges.keys():
            return False
        if not isinstance(result.type, IntegerType):
            return False
        low, high = number.bounds(self._ranges.__getitem__)
        return result.type.min <= low and high <= result.type.max

    def _fits(self, value: Value) -> bool:
        """Whether a term is a bit narrower than its type, so that a sum of two does not wrap."""
        if not isinstance(value.type, Int):
            return isinstance(value.type, Index)  # sums of counters are far from its 64 bits
        match self._makers.get(value):
            case Cast(operand=operand):
                return _bits(operand) < value.type.width
            case Constant(value=number):
                return abs(number) < 1 << (value.type.width - 2)
        return False


def _bits(value: Value) -> int:
    """Bits of a signed number that holds every value of the type; the language counts 32 for an
    index."""
    match value.type:
        case Index():
            return 33
        case Int(width=width):
            return width
        case UInt(width=width):
            return width + 1
    return 1 << 30


def _keeps(operand: Value, result: Value) -> bool:
    """Whether a cast keeps every number."""
    return isinstance(result.type, Int) and result.type.width >= _bits(operand)

