"""Unrolling and inlining: what a pipelined loop's body needs to be straight-line code."""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.errors import BuildError
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import (
    Apply,
    Block,
    Compare,
    For,
    If,
    Op,
    Predicate,
    Value,
    While,
)
from allo_rtl.ir.rewrite import bind, clone
from allo_rtl.ir.types import Index, UInt

INDEX = Index()
BIT = UInt(1)

type Intervals = dict[Value, Interval]


class DataDependentLoop(BuildError):
    """A loop that must be unrolled, but runs as often as data say; ``reason`` says which."""

    def __init__(self, reason: str, loop: For | While, hint: str) -> None:
        self.reason = reason
        super().__init__(
            reason,
            loc=loop.loc,
            allowed="loops with bounds that are constants or affine in the loops around them",
            hint=hint,
        )


def unroll_all(block: Block, intervals: Intervals) -> Block:
    """The block with every loop in it fully unrolled."""
    out: list[Op] = []
    for op in block:
        if isinstance(op, For):
            for copy in copies(op, intervals):
                out.extend(unroll_all(copy, intervals))
        elif isinstance(op, If):
            out.append(replace(
                op, then=unroll_all(op.then, intervals), orelse=unroll_all(op.orelse, intervals)
            ))
        elif isinstance(op, While):
            place = f" at {op.loc.short}" if op.loc else ""
            raise DataDependentLoop(
                f"the while loop{place} inside it cannot be unrolled", op, "use a for loop"
            )
        else:
            out.append(op)
    return tuple(out)


def copies(loop: For, intervals: Intervals) -> list[Block]:
    """One copy of the body for each iteration; guarded where the trip count varies."""
    if (bounds := loop.constant_bounds) is not None:
        numbers = range(bounds[0], bounds[1], loop.step)
        return [_copy(loop, AffineExpr.constant(n), ()) for n in numbers]
    if len(loop.lower) != 1:
        raise _not_constant(loop)
    lower = loop.lower[0]
    trip = _greatest_trip(loop, intervals)
    return [_copy(loop, lower + k * loop.step, loop.upper) for k in range(trip)]


def _greatest_trip(loop: For, intervals: Intervals) -> int:
    """The most iterations a loop with affine bounds can have."""
    spans = []
    for upper in loop.upper:
        span = upper - loop.lower[0]
        if span.values <= intervals.keys():
            spans.append(span.bounds(intervals.__getitem__)[1])
    if not spans:
        raise _not_constant(loop)
    return max(0, -(-min(spans) // loop.step))


def _not_constant(loop: For) -> DataDependentLoop:
    return DataDependentLoop(
        f"loop {loop.name!r} cannot be unrolled, because its trip count depends on data",
        loop, "pipeline this loop itself, or give it constant bounds and an if inside",
    )  # fmt: skip


def _copy(loop: For, at: AffineExpr, limits: tuple[AffineExpr, ...]) -> Block:
    """A copy of the body for the iteration ``at``, run only when it is below the limits."""
    iv = Value(INDEX, loop.iv.name)
    body = bind(clone(loop.body, {loop.iv: iv}), iv, at)
    for limit in limits:
        body = _guarded(body, at, limit, loop)
    return body


def _guarded(body: Block, at: AffineExpr, limit: AffineExpr, loop: For) -> Block:
    a, b, inside = Value(INDEX), Value(INDEX), Value(BIT)
    return (
        Apply(result=a, expr=at, loc=loop.loc),
        Apply(result=b, expr=limit, loc=loop.loc),
        Compare(predicate=Predicate.LT, result=inside, lhs=a, rhs=b, loc=loop.loc),
        If(condition=inside, then=body, loc=loop.loc),
    )


def unroll_by(loop: For, factor: int) -> For:
    """The loop with ``factor`` consecutive iterations in each new one.

    With constant bounds the new loop counts from 0 in ones, so that subscripts tell in which of
    so many banks each copy of the body accesses an array.
    """
    iv = Value(INDEX, loop.iv.name)
    trip = loop.trip_count
    exact = trip is not None and trip % factor == 0
    constant = loop.constant_bounds
    start, stride = AffineExpr.of(iv), loop.step * factor
    if constant is not None and trip is not None:
        start = AffineExpr.of(iv) * stride + constant[0]
    body: list[Op] = []
    for k in range(factor):
        at = start + k * loop.step
        limits = () if exact or k == 0 else loop.upper
        body.extend(_copy(loop, at, limits))
    attrs = replace(loop.attrs, unroll=None)
    if constant is None or trip is None:
        return replace(loop, iv=iv, body=tuple(body), step=stride, attrs=attrs)
    zero, count = AffineExpr.constant(0), AffineExpr.constant(-(-trip // factor))
    return replace(
        loop, iv=iv, lower=(zero,), upper=(count,), body=tuple(body), step=1, attrs=attrs
    )

