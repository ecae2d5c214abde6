"""Arrays of a symbolic run, at subscripts that may depend on inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.ops import Value
from allo_rtl.ir.polynomials import Polynomial, bounds, plus
from allo_rtl.ir.symbolic_run import Array, NotSymbolic, Run
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.types import bool_, index

_PLACES = 128
"""Elements that one access may be to."""

type _Place = tuple[Term | None, int]
"""A condition (None: always), and a position in row-major order."""


def index_term(run: Run, expr: AffineExpr, term_of: Callable[[Value], Term]) -> Term:
    """An affine expression as a term of index type.

    Raises:
        NotSymbolic: it may be beyond what an index can be.
    """
    terms = run.terms
    total: Polynomial = {(): expr.const} if expr.const else {}
    for atom, factor in expr.terms:
        if isinstance(atom, FloorDiv):
            part = terms.quotient(index_term(run, atom.numerator, term_of), atom.divisor)
        elif isinstance(atom, Mod):
            part = terms.remainder(index_term(run, atom.numerator, term_of), atom.divisor)
        else:
            part = term_of(atom)
        exact = terms.exact(part)
        total = plus(total, {(part,): 1} if exact is None else exact, factor)
    low, high = bounds(total, terms.range_of)
    if low < index.min or high > index.max:
        raise NotSymbolic("a subscript or bound may be too large for an index")
    return terms.of_polynomial(index, total)


def places(run: Run, shape: Sequence[int], subscripts: Sequence[Term]) -> list[_Place]:
    """Where an access may be; exactly one of the conditions holds.  None is left when it is out of
    range whatever the inputs.

    Raises:
        NotSymbolic: there are too many.
    """
    found: list[_Place] = [(None, 0)]
    for subscript, extent in zip(subscripts, shape, strict=True):
        along = _along(run, subscript, extent)
        found = [
            (_both(run, one, other), position * extent + k)
            for one, position in found
            for other, k in along
        ]
        if len(found) > _PLACES:
            raise NotSymbolic("a subscript that depends on its inputs has too wide a range")
    return found


def _along(run: Run, subscript: Term, extent: int) -> list[_Place]:
    """The subscripts that one may be, of those in range; that it is is claimed."""
    terms = run.terms
    known = subscript.constant
    if known is not None:
        if 0 <= known < extent:
            return [(None, known)]
        run.claim(terms.const(0, bool_))
        return []
    low, high = terms.range_of(subscript)
    run.claim(terms.negated(terms.less(subscript, terms.const(0, index))))
    run.claim(terms.less(subscript, terms.const(extent, index)))
    if min(high, extent - 1) - max(low, 0) >= _PLACES:
        raise NotSymbolic("a subscript that depends on its inputs has too wide a range")
    found: list[_Place] = []
    for k in range(max(low, 0), min(high, extent - 1) + 1):
        condition = terms.equal(subscript, terms.const(k, index))
        known_here = run.decided(condition)
        if known_here:
            return [(None, k)]
        if known_here is None:
            found.append((condition, k))
    return found


def _both(run: Run, one: Term | None, other: Term | None) -> Term | None:
    if one is None or other is None:
        return one or other
    return run.terms.conjunction(one, other)


def load(run: Run, array: Array, subscripts: Sequence[Term], nothing: Term) -> Term:
    """What an element holds; ``nothing`` of none, where the run ends with an error."""
    found = places(run, array.shape, subscripts)
    if not found:
        return nothing
    cells = [(condition, array.cells[array.at[position]]) for condition, position in found]
    choices = [(condition, cell) for condition, cell in cells[:-1] if condition is not None]
    return run.terms.choose(choices, cells[-1][1]) if choices else cells[-1][1]


def store(run: Run, array: Array, subscripts: Sequence[Term], value: Term) -> None:
    """Change an element: where it may be several, each of them on a condition."""
    for condition, position in places(run, array.shape, subscripts):
        at = array.at[position]
        if condition is None:
            run.store(array.cells, at, value)
        else:
            run.spend()
            run.store(array.cells, at, run.terms.select(condition, value, array.cells[at]))
