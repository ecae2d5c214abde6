"""Index arithmetic becomes affine expressions, and what nobody uses goes away.

Other tools compute subscripts and bounds with arith operations.  Here they are folded into the
accesses and loops that use them, so that these can be scheduled like those of a Python kernel:
sums, multiples, divisions and remainders by constants, the selects that a lowered ``mod`` or
``floordiv`` leaves behind, minima and maxima in bounds.  Integers of known range that are cast to
index are folded as well.  Index arithmetic is taken not to overflow, as affine maps are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import (
    Apply,
    Binary,
    BinaryKind,
    Block,
    Cast,
    Compare,
    Constant,
    For,
    Func,
    Op,
    Predicate,
    Select,
    Value,
)
from allo_rtl.ir.rewrite import with_fields
from allo_rtl.ir.simplify import without_dead
from allo_rtl.ir.types import Index, IntegerType, index

type Exprs = tuple[AffineExpr, ...]
_WHOLE = (index.min, index.max)


def raise_affine(func: Func) -> Func:
    """The function with index arithmetic folded into the accesses and loops that use it."""
    return replace(func, body=without_dead(_Raiser().block(func.body)))


class _Raiser:
    """What is known of values so far."""

    def __init__(self) -> None:
        self.exprs: dict[Value, AffineExpr] = {}
        self.ranges: dict[Value, Interval] = {}
        self.extremes: dict[Value, tuple[BinaryKind, Exprs]] = {}
        """Minima and maxima of index values."""
        self.compares: dict[Value, Compare] = {}

    def block(self, block: Block) -> Block:
        return tuple(map(self.op, block))

    def op(self, op: Op) -> Op:
        changes: dict[str, Any] = {}
        if isinstance(op, Apply):
            changes["expr"] = self.folded(op.expr)
        elif isinstance(op, For):
            changes |= {"lower": self.bound(BinaryKind.MAX, op.lower)}
            changes |= {"upper": self.bound(BinaryKind.MIN, op.upper)}
            self.ranges[op.iv] = self.counter_range(changes["lower"], changes["upper"])
        else:
            changes |= {n: tuple(map(self.folded, getattr(op, n))) for n in op.AFFINE}
        for name in op.REGIONS:
            changes[name] = self.block(getattr(op, name))
        new = with_fields(op, changes)
        self.learn(new)
        return new

    def folded(self, expr: AffineExpr) -> AffineExpr:
        return expr.substitute(self.exprs.get).simplify(self.range)

    def range(self, value: Value) -> Interval:
        return self.ranges.get(value, _WHOLE)

    def bound(self, kind: BinaryKind, exprs: Exprs) -> Exprs:
        """The bounds of a loop, a minimum or maximum in its parts."""
        found: dict[AffineExpr, None] = {}
        for expr in exprs:
            value = expr.as_value
            known = self.extremes.get(value) if value is not None else None
            parts = known[1] if known and known[0] is kind else (expr,)
            found |= dict.fromkeys(map(self.folded, parts))
        return tuple(found)

    def counter_range(self, lower: Exprs, upper: Exprs) -> Interval:
        low = max(e.bounds(self.range)[0] for e in lower)
        high = min(e.bounds(self.range)[1] for e in upper) - 1
        return low, max(low, high)

    # What an operation tells

    def learn(self, op: Op) -> None:
        match op:
            case Constant(result=r, value=value):
                self.know(r, AffineExpr.constant(value))
            case Apply(result=r, expr=expr):
                self.know(r, expr)
            case Cast(result=r, operand=operand):
                self.know(r, self.expr(operand))
                if isinstance(operand.type, IntegerType) and operand.type.max <= index.max:
                    self.ranges[r] = operand.type.min, operand.type.max
            case Binary():
                self.binary(op)
            case Compare():
                self.compares[op.result] = op
            case Select():
                self.select(op)

    def expr(self, value: Value) -> AffineExpr | None:
        """The value as an affine expression, if it is known to be one."""
        own = AffineExpr.of(value) if isinstance(value.type, Index) else None
        return self.exprs.get(value, own)

    def know(self, result: Value, expr: AffineExpr | None) -> None:
        """Take note that an integer is an expression, when that is in its range."""
        if expr is None or not isinstance(result.type, IntegerType | Index):
            return
        low, high = expr.bounds(self.range)
        if result.type == index or (result.type.min <= low and high <= result.type.max):
            self.exprs[result] = expr.simplify(self.range)

    def binary(self, op: Binary) -> None:
        lhs, rhs = self.expr(op.lhs), self.expr(op.rhs)
        if lhs is None or rhs is None:
            return
        if op.kind in (BinaryKind.MIN, BinaryKind.MAX):
            self.extreme(op.kind, op.result, (op.lhs, lhs), (op.rhs, rhs))
        else:
            self.know(op.result, self.combined(op.kind, lhs, rhs))

    def combined(self, kind: BinaryKind, lhs: AffineExpr, rhs: AffineExpr) -> AffineExpr | None:
        """``lhs kind rhs`` as an affine expression."""
        positive = rhs.is_constant and rhs.const > 0
        natural = positive and lhs.bounds(self.range)[0] >= 0
        match kind:
            case BinaryKind.ADD:
                return lhs + rhs
            case BinaryKind.SUB:
                return lhs - rhs
            case BinaryKind.MUL if rhs.is_constant or lhs.is_constant:
                return lhs * rhs.const if rhs.is_constant else rhs * lhs.const
            case BinaryKind.SHL if rhs.is_constant and 0 <= rhs.const < 32:
                return lhs * (1 << rhs.const)
            case BinaryKind.FLOORDIV if positive:
                return lhs.floordiv(rhs.const)
            # Rounding toward zero is rounding down when nothing is negative.
            case BinaryKind.DIV if natural:
                return lhs.floordiv(rhs.const)
            case BinaryKind.REM if natural:
                return lhs.mod(rhs.const)
        return None

    def extreme(
        self, kind: BinaryKind, result: Value, *operands: tuple[Value, AffineExpr]
    ) -> None:
        parts: list[AffineExpr] = []
        for value, expr in operands:
            known = self.extremes.get(value)
            parts += known[1] if known and known[0] is kind else (expr,)
        if isinstance(result.type, Index):
            self.extremes[result] = kind, tuple(parts)

    def select(self, op: Select) -> None:
        """A choice that is decided, or one that gives the smaller or larger of two."""
        compare = self.compares.get(op.condition)
        if compare is None or not isinstance(op.result.type, IntegerType | Index):
            return
        decided = self.decided(compare)
        if decided is not None:
            self.know(op.result, self.expr(op.if_true if decided else op.if_false))
            return
        yes, no = self.expr(op.if_true), self.expr(op.if_false)
        sides = (self.expr(compare.lhs), self.expr(compare.rhs))
        less = compare.predicate in (Predicate.LT, Predicate.LE)
        if compare.predicate in (Predicate.EQ, Predicate.NE) or None in (yes, no):
            return
        assert yes is not None
        assert no is not None
        if sides in ((yes, no), (no, yes)):
            smaller = less == (sides == (yes, no))
            kind = BinaryKind.MIN if smaller else BinaryKind.MAX
            self.extreme(kind, op.result, (op.if_true, yes), (op.if_false, no))

    def decided(self, op: Compare) -> bool | None:
        """Whether a comparison always holds, or never; None when that depends."""
        lhs, rhs = self.expr(op.lhs), self.expr(op.rhs)
        if lhs is None or rhs is None:
            return None
        low, high = (lhs - rhs).bounds(self.range)
        match op.predicate:
            case Predicate.LT:
                return True if high < 0 else False if low >= 0 else None
            case Predicate.LE:
                return True if high <= 0 else False if low > 0 else None
            case Predicate.GT:
                return True if low > 0 else False if high <= 0 else None
            case Predicate.GE:
                return True if low >= 0 else False if high < 0 else None
        return None
