"""Nests that do nothing in a part of their iterations, restricted to where they may do something.

    for i in range(N):                  for i in range(N):
        for j in range(N):      ->          for j in range(i + 1):
            if j <= i: ...                      if j <= i: ...

Where a loop inside was unrolled, an iteration is left out when none of its copies does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from allo_rtl.hls.flat import nested
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.domain import FullNest, Intervals, counter_intervals, tightened
from allo_rtl.ir.ops import (
    Apply,
    Binary,
    BinaryKind,
    Block,
    Cast,
    Compare,
    Constant,
    FloatOp,
    For,
    If,
    Load,
    Op,
    Predicate,
    Select,
    Value,
)
from allo_rtl.ir.types import Index, IntegerType

_SILENT = (Apply, Binary, Cast, Compare, Constant, FloatOp, Load, Select)

type Gaps = tuple[AffineExpr, ...]
"""Numbers none of which is negative where a condition holds."""


def restricted(nest: Sequence[For], between: Sequence[Op]) -> tuple[For, ...] | None:
    """A perfect nest without iterations that do nothing; None where it stays as it is.

    Bounds may be divided by any number then.  ``between`` are the pure operations between its
    loops.
    """
    known, body = counter_intervals(nest, _of_type), nest[-1].body
    conditions = _conditions((*between, *body), lambda v: known.get(v) or _of_type(v))
    loops, kept = list(nest), 0
    for gap in _needed_in(body, conditions):
        users = [k for k, loop in enumerate(nest) if gap.coefficient(loop.iv)]
        if users and (tight := tightened(loops[users[-1]], gap)) is not None:
            loops[users[-1]] = tight
        else:
            kept += 1
    if all(a is b for a, b in zip(loops, nest, strict=True)):
        return None
    if not kept:
        loops[-1] = replace(loops[-1], body=_without_guard(body, conditions))
    return nested(FullNest(tuple(loops), ())).loops


def _without_guard(body: Block, conditions: Mapping[Value, _Known]) -> Block:
    """A body whose only condition always holds now, without it."""
    guards = [op for op in body if isinstance(op, If)]
    if len(guards) > 1 or not conditions[guards[0].condition].complete:
        return body
    return tuple(x for op in body for x in (op.then if isinstance(op, If) else (op,)))


def _of_type(value: Value) -> Interval:
    assert isinstance(value.type, IntegerType | Index)
    return value.type.min, value.type.max


def _needed_in(body: Block, conditions: Mapping[Value, _Known]) -> Gaps:
    """What is not negative in each iteration that does anything."""
    guards: list[Gaps] = []
    for op in body:
        if isinstance(op, If) and not op.orelse:
            guards.append(conditions.get(op.condition, _UNKNOWN).gaps)
        elif not isinstance(op, _SILENT):
            return ()
    return tuple(_weakest(gap, guards[1:]) for gap in guards[0]) if guards else ()


def _weakest(gap: AffineExpr, others: Sequence[Gaps]) -> AffineExpr:
    """The largest of numbers that differ by constants, one of each guard; else a number that is
    never negative."""
    for gaps in others:
        alike = [g for g in gaps if (g - gap).is_constant]
        if not alike:
            return AffineExpr.constant(0)
        gap = max([gap, *alike], key=lambda g: g.const)
    return gap


@dataclass(frozen=True)
class _Known:
    """Of a condition: what is not negative where it holds; ``complete`` when it then does hold."""

    gaps: Gaps
    complete: bool


_UNKNOWN = _Known((), False)


def _conditions(ops: Sequence[Op], env: Intervals) -> Mapping[Value, _Known]:
    """The conditions among results of operations that compare affine expressions."""
    exprs = _Expressions(ops, env)
    found: dict[Value, _Known] = {}
    for op in ops:
        match op:
            case Compare(predicate=p, result=r, lhs=a, rhs=b):
                low, high = exprs.of(a), exprs.of(b)
                if low is not None and high is not None:
                    found[r] = _Known(tuple(_gaps(p, low, high)), p is not Predicate.NE)
            case Binary(kind=BinaryKind.AND, result=r, lhs=a, rhs=b):
                x, y = found.get(a, _UNKNOWN), found.get(b, _UNKNOWN)
                found[r] = _Known((*x.gaps, *y.gaps), x.complete and y.complete)
    return found


class _Expressions:
    """The affine expressions that results of operations are; what may wrap around is none."""

    def __init__(self, ops: Sequence[Op], env: Intervals) -> None:
        self._env = env
        self._made = {v for op in ops for v in op.results()}
        self._known: dict[Value, AffineExpr] = {}
        for op in ops:
            self._add(op)

    def of(self, value: Value) -> AffineExpr | None:
        """The expression of a value, if it is one."""
        if value in self._known:
            return self._known[value]
        is_number = isinstance(value.type, IntegerType | Index)
        return AffineExpr.of(value) if is_number and value not in self._made else None

    def _add(self, op: Op) -> None:
        match op:
            case Apply(result=r, expr=e):
                resolved = e.substitute(self._known.get)
                self._keep(r, None if resolved.values & self._made else resolved)
            case Constant(result=r, value=v):
                self._keep(r, AffineExpr.constant(v))
            case Cast(result=r, operand=a):
                self._keep(r, self.of(a))
            case Binary(kind=BinaryKind.ADD | BinaryKind.SUB as kind, result=r, lhs=a, rhs=b):
                x, y = self.of(a), self.of(b)
                if x is not None and y is not None:
                    self._keep(r, x + y if kind is BinaryKind.ADD else x - y)
            case Binary(kind=BinaryKind.MUL, result=r, lhs=a, rhs=b):
                x, y = self.of(a), self.of(b)
                if x is not None and y is not None and (x.is_constant or y.is_constant):
                    self._keep(r, y * x.const if x.is_constant else x * y.const)

    def _keep(self, result: Value, expr: AffineExpr | None) -> None:
        if expr is None or not isinstance(result.type, IntegerType | Index):
            return
        low, high = expr.bounds(self._env)
        if result.type.min <= low and high <= result.type.max:
            self._known[result] = expr


def _gaps(predicate: Predicate, a: AffineExpr, b: AffineExpr) -> Iterator[AffineExpr]:
    if predicate in (Predicate.LT, Predicate.LE, Predicate.EQ):
        yield b - a - (predicate is Predicate.LT)
    if predicate in (Predicate.GT, Predicate.GE, Predicate.EQ):
        yield a - b - (predicate is Predicate.GT)
