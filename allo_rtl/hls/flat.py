"""Nests in which the range of an inner loop varies, made ready to be one pipelined loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.domain import FullNest, Intervals, counter_intervals
from allo_rtl.ir.ops import Apply, For, Op, Value

MOST_QUOTIENTS = 32
"""Different quotients by other than a power of two, each of which is a comparison."""


def unchanging(
    nest: Sequence[For], between: Sequence[Op]
) -> tuple[Sequence[Op], Sequence[Op]]:
    """The pure operations between the loops of a nest that can be done before it, and the others.
    """
    changing = {loop.iv for loop in nest}
    before, inside = list[Op](), list[Op]()
    for op in between:
        if changing & set(op.operands()):
            changing |= set(op.results())
            inside.append(op)
        else:
            before.append(op)
    return before, inside


def steppable(
    nest: Sequence[For], between: Sequence[Op], outside: Intervals
) -> tuple[For, ...] | None:
    """The loops with bounds that hardware can step through, None where they have others.

    These are affine in the nest's own counters and in what is known before it; quotients by other
    than powers of two have few numbers.  ``between`` are the pure operations between the loops,
    ``outside`` the intervals of what is known before.
    """
    applied: dict[Value, AffineExpr] = {}
    for op in between:
        if isinstance(op, Apply):
            applied[op.result] = op.expr.substitute(applied.get)
    inside = {v for op in between for v in op.results()}
    loops = tuple(_resolved(loop, applied) for loop in nest)
    exprs = [e for loop in loops for e in (*loop.lower, *loop.upper)]
    if any(e.values & inside for e in exprs):
        return None
    known = counter_intervals(loops, outside)
    is_cheap = all(_is_cheap(e, lambda v: known[v] if v in known else outside(v)) for e in exprs)
    return loops if is_cheap else None


def nested(full: FullNest) -> FullNest:
    """The nest with each loop the last of what is in the one around it."""
    inner = full.loops[-1]
    rebuilt = [inner]
    for loop in reversed(full.loops[:-1]):
        inner = replace(loop, body=(*loop.body[:-1], inner))
        rebuilt.append(inner)
    return replace(full, loops=tuple(reversed(rebuilt)))


def _resolved(loop: For, applied: dict[Value, AffineExpr]) -> For:
    lower = tuple(e.substitute(applied.get) for e in loop.lower)
    return replace(loop, lower=lower, upper=tuple(e.substitute(applied.get) for e in loop.upper))


def _is_cheap(expr: AffineExpr, env: Intervals) -> bool:
    """Whether it takes additions, wires, and few comparisons."""
    return all(
        _is_cheap(atom.numerator, env)
        and (atom.divisor & (atom.divisor - 1) == 0 or _has_few_numbers(atom, env))
        for atom, _ in expr.terms
        if isinstance(atom, FloorDiv | Mod)
    )


def _has_few_numbers(atom: FloorDiv | Mod, env: Intervals) -> bool:
    low, high = atom.numerator.bounds(env)
    few = high // atom.divisor - low // atom.divisor <= MOST_QUOTIENTS
    return isinstance(atom, FloorDiv) and few
