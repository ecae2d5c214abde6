"""Terms for which the order of floating-point sums and products does not matter.

A sum is the bag of what is added and the bag of what is subtracted, a product that of its factors.
Neutral operands are left out, so that sums which start with 0 can be split: a result that is 0 may
have the other sign.  Nothing else is taken to hold: addends that cancel stay, and products do not
distribute over sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from allo_rtl.ir.arithmetic import eval_cast
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import Float, Int, Type

_SUM, _PRODUCT = "unordered sum", "unordered product"
_LONGEST = 4096
"""Operands at most; a longer sum is an operand of what it is added to."""

_CHEAP = 16
"""Operands that are put in order for the price of one monomial."""

type _Bags = tuple[tuple[Term, ...], tuple[Term, ...]]
"""What is added, and what is subtracted."""


class UnorderedTerms(Terms):
    """Makes terms, each once, floating-point sums and products without an order."""

    def binary(self, kind: BinaryKind, type_: Type, a: Term, b: Term) -> Term:
        """``a kind b`` of one type."""
        known = a.constant is not None and b.constant is not None
        if isinstance(type_, Float) and not known:
            match kind:
                case BinaryKind.ADD | BinaryKind.SUB:
                    return self._float_sum(type_, _bags(a), _bags(b), kind is BinaryKind.SUB)
                case BinaryKind.MUL:
                    return self._float_product(type_, [*_factors(a), *_factors(b)])
        return super().binary(kind, type_, a, b)

    def _float_sum(self, type_: Float, one: _Bags, other: _Bags, subtracted: bool) -> Term:
        added, taken = other[::-1] if subtracted else other
        plus, minus = _by_age(one[0] + added), _by_age(one[1] + taken)
        if not minus and len(plus) <= 1:
            return plus[0] if plus else self.const(0, type_)
        self.work += (len(plus) + len(minus)) // _CHEAP
        return self.make(_SUM, type_, len(plus), plus + minus)

    def _float_product(self, type_: Float, factors: Sequence[Term]) -> Term:
        one = eval_cast(type_, 1, Int(2))
        rest = _by_age(tuple(f for f in factors if f.constant != one))
        self.work += len(rest) // _CHEAP
        if len(rest) <= 1:
            return rest[0] if rest else self.const(one, type_)
        return self.make(_PRODUCT, type_, None, rest)


def _bags(a: Term) -> _Bags:
    if a.kind == _SUM and len(a.parts) < _LONGEST:
        return a.parts[: a.number], a.parts[a.number :]
    zero = a.constant is not None and a.constant << 1 & ((1 << a.type.bits) - 1) == 0
    return (() if zero else (a,)), ()


def _factors(a: Term) -> tuple[Term, ...]:
    return a.parts if a.kind == _PRODUCT and len(a.parts) < _LONGEST else (a,)


def _by_age(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    return tuple(sorted(terms, key=attrgetter("age")))
