"""Distances of uniform dependences, by integer arithmetic alone: the common case, made fast.

A pair of accesses is *uniform* when each subscript of one is the same combination of loop
counters as that of the other, up to a constant.  Then both touch one cell exactly when the
difference of their iterations solves one linear equation a subscript.  A counter that is taken
apart by quotients and remainders, as after fusing loops, counts as several counters: its digits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from allo_rtl.ir.affine import AffineExpr, Atom, FloorDiv, Mod
from allo_rtl.ir.ops import For, Value

_FAR = 1 << 62
"""More iterations than any loop has."""

_LIMIT = 256
"""Differences tried by hand before it is better to leave the pair to isl."""

type _Row = tuple[Mapping[int, int], int]
"""(coefficients by axis, right side) of one equation over the differences along the axes."""


class NotUniform(Exception):
    """The pair has another shape, or too many solutions to try."""


@dataclass(frozen=True)
class _Axis:
    """One digit of a loop's iteration number: ``trip`` values, each worth ``stride``."""

    loop: int
    stride: int
    trip: int


def distance(
    src: Sequence[AffineExpr],
    dst: Sequence[AffineExpr],
    loops: Sequence[For],
    varying: Collection[Value],
    inner: Collection[Value],
) -> int | None:
    """The least number of iterations from ``src`` to a later ``dst`` that touches its cell.

    Args:
        src, dst: subscripts.
        loops: the flattened nest, outermost first; all but the outermost of constant size.
        varying: values that may differ between iterations of the nest.
        inner: those of them that are counters of loops inside the nest.

    Raises:
        NotUniform: this is not for this file to answer.
    """
    ivs = {loop.iv: k for k, loop in enumerate(loops)}
    kept: list[tuple[AffineExpr, int]] = []
    for a, b in zip(src, dst, strict=True):
        moving, gap = {v for v in (a.values | b.values) if v in varying}, a - b
        if any(v not in ivs and v not in inner for v in moving):
            continue  # depends on data: no constraint
        if gap.terms or any(v in inner for v in moving):
            raise NotUniform
        kept.append((a, gap.const))
    axes = [axis for k, loop in enumerate(loops) for axis in _axes(k, loop, [a for a, _ in kept])]
    rows = [(_coefficients(a, ivs, loops, axes), right) for a, right in kept]
    return _least(rows, axes, loops)


# --- counters and their digits ---------------------------------------------------------------


def _axes(number: int, loop: For, exprs: Iterable[AffineExpr]) -> Iterator[_Axis]:
    """The digits of a loop, most significant first, that the expressions take it apart into."""
    trip = _FAR if loop.trip_count is None else loop.trip_count
    spans = [_span(atom, loop.iv) for e in exprs for atom, _ in e.terms if _uses(atom, loop.iv)]
    cuts = sorted({1, *(cut for span in spans for cut in span if cut < trip)})
    if any(span != (1, _FAR) for span in spans):
        bounds = loop.constant_bounds
        even = not any(b % a for a, b in pairwise([*cuts, trip]))
        if bounds is None or bounds[0] != 0 or loop.step != 1 or not even:
            raise NotUniform
    for low, high in reversed(list(pairwise([*cuts, trip]))):
        yield _Axis(number, low, high // low)


def _uses(atom: Atom, iv: Value) -> bool:
    return iv in atom.numerator.values if isinstance(atom, FloorDiv | Mod) else atom is iv


def _span(atom: Atom, iv: Value) -> tuple[int, int]:
    """(low, high): the atom is ``iv mod high floordiv low``."""
    match atom:
        case FloorDiv(numerator, divisor) if numerator.as_value is iv:
            return divisor, _FAR
        case Mod(numerator, divisor) if numerator.as_value is iv:
            return 1, divisor
        case Mod(AffineExpr(((FloorDiv() as quotient, 1),), 0), divisor):
            low, _ = _span(quotient, iv)
            return low, low * divisor
        case Value():
            return 1, _FAR
    raise NotUniform


def _coefficients(
    expr: AffineExpr, ivs: Mapping[Value, int], loops: Sequence[For], axes: Sequence[_Axis]
) -> dict[int, int]:
    """The factor of each axis in an expression."""
    found: dict[int, int] = {}
    for atom, factor in expr.terms:
        for iv, loop in ivs.items():
            if not _uses(atom, iv):
                continue
            low, high = _span(atom, iv)
            for k, axis in enumerate(axes):
                if axis.loop == loop and low <= axis.stride < high:
                    part = factor * loops[loop].step * (axis.stride // low)
                    found[k] = found.get(k, 0) + part
    return {k: c for k, c in found.items() if c}


# --- solving ---------------------------------------------------------------------------------


def _least(rows: Sequence[_Row], axes: Sequence[_Axis], loops: Sequence[For]) -> int | None:
    """The least positive distance over all solutions of the rows."""
    reach = [axis.trip - 1 for axis in axes]
    weights = [0] * len(axes)
    total = 1
    for k in reversed(range(len(axes))):
        weights[k] = total
        total *= axes[k].trip
    best: int | None = None
    rows = sorted(rows, key=lambda row: len(row[0]))
    for tried, fixed in enumerate(_solutions(rows, {}, reach)):
        if tried > _LIMIT:
            raise NotUniform
        base = sum(weights[k] * steps for k, steps in fixed.items())
        free = [(weights[k], reach[k]) for k in range(len(axes)) if k not in fixed]
        found = _least_positive(base, free)
        if found is not None and (best is None or found < best):
            best = found
    return best


def _solutions(
    rows: Sequence[_Row], fixed: dict[int, int], reach: Sequence[int]
) -> Iterator[dict[int, int]]:
    """The differences along the axes in the rows that solve them all."""
    if not rows:
        yield fixed
        return
    coefficients, right = rows[0]
    right -= sum(c * fixed[k] for k, c in coefficients.items() if k in fixed)
    unknown = sorted((abs(c), k) for k, c in coefficients.items() if k not in fixed)
    if not unknown:
        if right == 0:
            yield from _solutions(rows[1:], fixed, reach)
        return
    size, axis = unknown[-1]
    slack = sum(c * reach[k] for c, k in unknown[:-1])
    if coefficients[axis] < 0:
        right = -right
    first = max(-reach[axis], -((slack - right) // size))
    last = min(reach[axis], (right + slack) // size)
    if last - first > _LIMIT:
        raise NotUniform
    for steps in range(first, last + 1):
        yield from _solutions(rows, fixed | {axis: steps}, reach)


def _least_positive(base: int, free: Sequence[tuple[int, int]]) -> int | None:
    """The least positive base + sum of stride * n with -reach <= n <= reach for each of free."""
    if not free:
        return base if base >= 1 else None
    (stride, reach), rest = free[0], free[1:]
    slack = sum(s * r for s, r in rest)
    first = max(-reach, -((base + slack - 1) // stride))
    last = min(reach, max(first, -((base - slack - 1) // stride)))
    found = (_least_positive(base + n * stride, rest) for n in range(first, last + 1))
    return min((f for f in found if f is not None), default=None)
