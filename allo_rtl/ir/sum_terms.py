"""Sums as terms, and what makes long ones cheap to add to.

A sum of a loop grows by one monomial at a time and changes its width at each step.  What holds for
the whole of it is kept with each sum, so that neither has to look at what there was before.  The
results are those of :meth:`allo_rtl.ir.integer_terms.IntegerTerms.of_polynomial`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from allo_rtl.ir.polynomials import Monomial, Polynomial, Range, bounds, order, product_range
from allo_rtl.ir.term_base import Maker, Term
from allo_rtl.ir.types import Index, Int, IntegerType, Type, bool_

type Whole = IntegerType | Index

_LONG = 8
"""Monomials from which on a sum is added to in place."""
_FEW = 4
"""Monomials that are added in place at most."""
_NOT_PLAIN = frozenset({"sum", "product", "quotient"})
"""Kinds of atoms that sums and casts look into."""


def whole(type_: Type) -> Whole:
    """The type, which is one of integers."""
    assert isinstance(type_, IntegerType | Index)
    return type_


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for all of a sum.

    Attributes:
        range: an interval that has every value of the polynomial, as a number of any size.
        most: the magnitude of its coefficients at most.
        plain: no atom is one that sums or casts look into.
    """

    range: Range
    most: int
    plain: bool


class SumTerms(Maker):
    """Makes sums of monomials."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: dict[Term, Facts] = {}
        self._orders: dict[Term, tuple[int, ...]] = {}

    def range_of(self, a: Term) -> Range:
        """An interval that has every value of a term."""
        raise NotImplementedError

    def polynomial(self, a: Term) -> Polynomial:
        """A term as a polynomial modulo its width."""
        if a.constant is not None:
            return {(): a.constant} if a.constant else {}
        if a.kind == "product":
            return {a.parts: 1}
        if a.kind != "sum":
            return {(a,): 1}
        found: Polynomial = {(): a.number} if a.number else {}
        for part, factor in zip(a.parts, a.factors, strict=True):
            found[part.parts if part.kind == "monomial" else (part,)] = factor
        return found

    def part(self, monomial: Monomial) -> Term:
        """What stands for a monomial in sums of any width."""
        if len(monomial) == 1:
            return monomial[0]
        low, high = product_range(map(self.range_of, monomial))
        bits = max((~low if low < 0 else low).bit_length(), high.bit_length()) + 1
        return self.make("monomial", Int(bits), None, monomial)

    def facts(self, a: Term) -> Facts:
        """What holds for all of a sum."""
        if a not in self._facts:
            found = self.polynomial(a)
            plain = not any(atom.kind in _NOT_PLAIN for m in found for atom in m)
            most = max(map(abs, found.values()))
            self._facts[a] = Facts(bounds(found, self.range_of), most, plain)
        return self._facts[a]

    def resized(self, a: Term, target: Whole) -> Term | None:
        """A sum in another type, where it has the same coefficients there; None where that takes a
        closer look."""
        source = whole(a.type)
        if a.kind != "sum" or source == bool_:
            return None
        facts = self.facts(a)
        (low, high), grows = facts.range, target.bits > source.bits
        if not facts.plain or 2 * facts.most >= 1 << target.bits:
            return None
        if grows and not (source.min <= low and high <= source.max):
            return None
        found = self.make("sum", target, a.detail, a.parts, a.factors)
        self._facts[found] = facts
        return found

    def grown(self, a: Term, added: Term | Polynomial, sign: int) -> Term | None:
        """A long sum and a few monomials more; None where that takes a closer look."""
        if a.kind != "sum" or len(a.parts) < _LONG:
            return None
        if isinstance(added, Term):
            if len(added.parts) > _FEW:
                return None
            added = self.polynomial(added)
        if len(added) > _FEW:
            return None
        facts = self.facts(a)
        if not facts.plain or any(atom.kind in _NOT_PLAIN for m in added for atom in m):
            return None
        parts, factors, constant = list(a.parts), list(a.factors), a.number
        (low, high), most = facts.range, facts.most
        for monomial, f in added.items():
            old = constant
            if monomial:
                at, old = self._place(parts, factors, monomial)
            new = old + sign * f
            if monomial:
                factors[at] = new
            else:
                constant = new
            if 2 * abs(new) >= 1 << whole(a.type).bits or (monomial and not new):
                return None
            lo, hi = product_range(map(self.range_of, monomial))
            low += min(new * lo, new * hi) - min(old * lo, old * hi)
            high += max(new * lo, new * hi) - max(old * lo, old * hi)
            most = max(most, abs(new))
        found = self.make("sum", a.type, constant, tuple(parts), tuple(factors))
        self._facts[found] = Facts((low, high), most, plain=True)
        return found

    def _place(
        self, parts: list[Term], factors: list[int], monomial: Monomial
    ) -> tuple[int, int]:
        """Where a monomial is among others, with its factor; it is put there with 0 if need be."""
        part, key = self.part(monomial), order(monomial)
        at = len(parts)
        if self._order(parts[-1]) >= key:
            at = bisect_left(parts, key, key=self._order)
            if parts[at] is part:
                return at, factors[at]
        parts.insert(at, part)
        factors.insert(at, 0)
        return at, 0

    def _order(self, part: Term) -> tuple[int, ...]:
        if part not in self._orders:
            self._orders[part] = order(part.parts if part.kind == "monomial" else (part,))
        return self._orders[part]
