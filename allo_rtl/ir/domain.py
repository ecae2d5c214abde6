"""Iterations of nests in which the range of a loop may depend on the counters around it.

    for i in range(8):                  for i in range(1, 8):
        for j in range(i):       ->         for j in range(i):      # never empty

Bounds are affine in the counters of the loops outside, and in values from outside of the nest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from allo_rtl.ir.affine import AffineExpr, FloorDiv, Interval
from allo_rtl.ir.ops import For, Value

type Intervals = Callable[[Value], Interval]
type Bounds = tuple[AffineExpr, ...]
type Points = Mapping[Value, np.ndarray[Any, Any]]

MOST_POINTS = 1 << 20
"""Iterations that are looked at one by one; larger nests are not."""


@dataclass(frozen=True)
class FullNest:
    """A nest whose loops are never empty, but for its outermost.

    Attributes:
        loops: outermost first, with bounds such that each has an iteration whenever it is entered.
        conditions: numbers from outside; where one of them is negative there is no iteration.
    """

    loops: tuple[For, ...]
    conditions: Bounds


def counter_intervals(loops: Sequence[For], outside: Intervals) -> dict[Value, Interval]:
    """Of each counter of a nest an interval that it stays in."""
    found: dict[Value, Interval] = {}

    def env(value: Value) -> Interval:
        return found[value] if value in found else outside(value)

    for loop in loops:
        low = max(e.bounds(env)[0] for e in loop.lower)
        high = min(e.bounds(env)[1] for e in loop.upper) - 1
        found[loop.iv] = (low, max(low, high))
    return found


def without_empty(loops: Sequence[For], outside: Intervals) -> FullNest | None:
    """The nest with the same iterations, and no runs of inner loops that have none.

    None where that takes other than affine bounds, or where no iteration is left.  Bodies stay as
    they are; what stands beside an inner loop would be run less often than before.
    """
    kept, conditions = list(loops), list[AffineExpr]()
    for level in range(len(kept) - 1, -1, -1):
        found = counter_intervals(kept, outside)
        intervals = found | {kept[level].iv: (0, 0)}  # not in its own bounds

        def env(value: Value, known: Mapping[Value, Interval] = intervals) -> Interval:
            return known[value] if value in known else outside(value)

        for low, high in product(kept[level].lower, kept[level].upper):
            gap = _undivided(high - low - 1)
            if gap.bounds(env)[0] >= 0:
                continue
            if gap.bounds(env)[1] < 0:
                return None
            users = [k for k in range(level) if kept[k].iv in gap.values]
            if not users:
                conditions.append(gap)
            elif (tight := tightened(kept[users[-1]], gap, linear=True)) is None:
                return None
            else:
                kept[users[-1]] = tight
        kept[level] = _simplified(kept[level], env)
    return FullNest(tuple(kept), tuple(conditions))


def _undivided(gap: AffineExpr) -> AffineExpr:
    """A number that is negative exactly where another is, without a division."""
    match gap.terms:
        case ((FloorDiv(numerator, divisor), 1),):
            return numerator + gap.const * divisor
        case ((FloorDiv(numerator, divisor), -1),):
            return AffineExpr.constant((gap.const + 1) * divisor - 1) - numerator
    return gap


def tightened(loop: For, gap: AffineExpr, linear: bool = False) -> For | None:
    """The loop restricted to counters with which ``gap`` is not negative.

    None where that takes other than affine bounds, or with ``linear`` bounds with a division.
    """
    factor = gap.coefficient(loop.iv)
    rest = gap - AffineExpr.of(loop.iv) * factor
    if not factor or loop.iv in rest.values:
        return None
    # The least and the greatest counter: quotients rounded up, and down.
    bound = (rest * -1 + (factor - 1) if factor > 0 else rest).floordiv(abs(factor))
    if linear and not bound.is_linear:
        return None
    if factor < 0:
        return replace(loop, upper=(*loop.upper, bound + 1))
    if loop.step == 1:
        return replace(loop, lower=(*loop.lower, bound))
    if loop.constant_bounds is None or not bound.is_constant:
        return None
    first = loop.constant_bounds[0]
    steps = max(0, -(-(bound.const - first) // loop.step))
    return replace(loop, lower=(AffineExpr.constant(first + steps * loop.step),))


def _simplified(loop: For, env: Intervals) -> For:
    """The loop without bounds that never are the largest, or the smallest."""
    lower = _undominated(loop.lower, lambda a, b: (a - b).bounds(env)[0] >= 0)
    upper = _undominated(loop.upper, lambda a, b: (b - a).bounds(env)[0] >= 0)
    return replace(loop, lower=lower, upper=upper)


def _undominated(exprs: Bounds, wins: Callable[[AffineExpr, AffineExpr], bool]) -> Bounds:
    kept: list[AffineExpr] = []
    for expr in exprs:
        if not any(wins(other, expr) for other in kept):
            kept = [k for k in kept if not wins(expr, k)] + [expr]
    return tuple(kept)


def is_static(loops: Sequence[For]) -> bool:
    """Whether all bounds of a nest follow from its own counters."""
    seen: set[Value] = set()
    for loop in loops:
        if any(e.values - seen for e in (*loop.lower, *loop.upper)):
            return False
        seen.add(loop.iv)
    return True


def count(loops: Sequence[For], values: Callable[[Value], int | None]) -> int | None:
    """Iterations of a nest, with the values from outside; None when one is not known."""
    given = _given(loops, values)
    return None if given is None else _Counting(tuple(loops)).iterations(0, given)


def iterations(
    loops: Sequence[For], values: Callable[[Value], int | None]
) -> Iterator[Mapping[Value, int]] | None:
    """The counters in each iteration of a nest, in order; None when a value is not known."""
    given = _given(loops, values)
    return None if given is None else _iterations(loops, given)


def _iterations(loops: Sequence[For], env: dict[Value, int]) -> Iterator[dict[Value, int]]:
    if not loops:
        yield env
        return
    low = max(e.evaluate(env.__getitem__) for e in loops[0].lower)
    high = min(e.evaluate(env.__getitem__) for e in loops[0].upper)
    for n in range(low, high, loops[0].step):
        yield from _iterations(loops[1:], {**env, loops[0].iv: n})


def _given(
    loops: Sequence[For], values: Callable[[Value], int | None]
) -> dict[Value, int] | None:
    """The values from outside that bounds are made of; None when one is not known."""
    exprs = [e for loop in loops for e in (*loop.lower, *loop.upper)]
    given: dict[Value, int] = {}
    for value in {v for e in exprs for v in e.values} - {loop.iv for loop in loops}:
        if (number := values(value)) is None:
            return None
        given[value] = number
    return given


class _Counting:
    """Counts level by level; the same counters that matter give the same number."""

    def __init__(self, loops: tuple[For, ...]) -> None:
        self._loops = loops
        used: list[frozenset[Value]] = [frozenset()]
        for loop in reversed(loops):
            here = frozenset(v for e in (*loop.lower, *loop.upper) for v in e.values)
            used.append(used[-1] | here)
        self._used = used[::-1]
        self._known: dict[tuple[int, ...], int] = {}

    def iterations(self, level: int, env: dict[Value, int]) -> int:
        """Iterations of the loops from ``level`` on."""
        if level == len(self._loops):
            return 1
        loop, used = self._loops[level], self._used[level]
        key = (level, *(n for v, n in env.items() if v in used))
        if key not in self._known:
            low = max(e.evaluate(env.__getitem__) for e in loop.lower)
            high = min(e.evaluate(env.__getitem__) for e in loop.upper)
            at = range(low, high, loop.step)
            if loop.iv in self._used[level + 1]:
                each = (self.iterations(level + 1, {**env, loop.iv: n}) for n in at)
                self._known[key] = sum(each)
            else:
                self._known[key] = len(at) * self.iterations(level + 1, env) if at else 0
        return self._known[key]


@lru_cache(maxsize=16)
def points(loops: tuple[For, ...]) -> Points | None:
    """The counters in each iteration of a static nest, in order; None when they are too many."""
    return expand(loops, {})


def expand(loops: Sequence[For], outside: Mapping[Value, int]) -> Points | None:
    """The same of a nest whose bounds may have values from outside; these are not in it."""
    size = 1
    found: dict[Value, np.ndarray[Any, Any]] = {}
    for loop in loops:
        known: dict[Value, int | np.ndarray[Any, Any]] = {**outside, **found}
        low = np.max([numbers(e, known, size) for e in loop.lower], axis=0)
        high = np.min([numbers(e, known, size) for e in loop.upper], axis=0)
        trips = np.maximum(0, -((low - high) // loop.step))
        total = int(trips.sum())
        if total > MOST_POINTS:
            return None
        first = np.cumsum(trips) - trips
        number = np.arange(total) - np.repeat(first, trips)
        found = {v: np.repeat(n, trips) for v, n in found.items()}
        found[loop.iv] = np.repeat(low, trips) + number * loop.step
        size = total
    return found


def numbers(
    expr: AffineExpr, at: Mapping[Value, int | np.ndarray[Any, Any]], size: int
) -> np.ndarray[Any, Any]:
    """An expression in each iteration."""
    # Arrays add, multiply and divide as numbers do.
    found = expr.evaluate(at.__getitem__)  # type: ignore[arg-type]
    return np.zeros(size, np.int64) + found


@lru_cache(maxsize=1 << 12)
def least_distance(loops: tuple[For, ...], src: Bounds, dst: Bounds) -> int | None:
    """The least number of iterations from one of ``src`` to a later one of ``dst`` that uses its
    cell, over a static nest; None when there is none.  Subscripts are of its counters alone.

    Raises:
        ValueError: there are too many iterations to look at.
    """
    at = points(loops)
    if at is None:
        raise ValueError("too many iterations")
    total = len(next(iter(at.values())))
    if total < 2:
        return None
    cells = np.zeros(2 * total, np.int64)
    for a, b in zip(src, dst, strict=True):
        both = [numbers(e, at, total) for e in (a, b)]
        number = np.unique(np.concatenate(both), return_inverse=True)[1]
        cells = cells * (int(number.max()) + 1) + number
        cells = np.unique(cells, return_inverse=True)[1]
    order = np.arange(total)
    sources = np.sort(cells[:total] * total + order)
    sinks = cells[total:] * total + order
    before = np.searchsorted(sources, sinks) - 1
    same = (before >= 0) & (sources[before] // total == cells[total:])
    gaps = (sinks - sources[before])[same]
    return int(gaps.min()) if len(gaps) else None
