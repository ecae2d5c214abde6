"""Whether two different terms are equal for all inputs after all, or inputs for which they differ.

Two ways, both exact.  Polynomials modulo a power of two can be 0 everywhere though their
coefficients are not, as ``x * (x - 1)`` is modulo 2; they are compared in a basis that tells, and
where they are not 0 that basis also says for which inputs.  Terms of few bits of inputs are
computed for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.polynomials import Polynomial, vanishing
from allo_rtl.ir.sum_terms import whole
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.term_values import parts_first, values
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import Index, IntegerType

_WORK = 500_000
"""Values of terms that are computed in all."""
_BITS = 16
"""Of inputs, all of which are tried."""
_MOST = 2000
"""Terms that a difference may be made of."""
_MONOMIALS = 200
_DEGREE = 12


class Settler:
    """Settles pairs of terms, as long as it is not too much work in all."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.left = _WORK

    def settle(self, a: Term, b: Term) -> bool | dict[str, int]:
        """True when two terms are equal for all inputs; inputs, by name, for which they differ
        (those it does not name being 0); False when neither is found."""
        if a.type != b.type or not isinstance(a.type, IntegerType | Index):
            return False
        found = parts_first((a, b), _MOST)
        answer = self._as_polynomials(a, b, known=found is not None)
        if answer is not False or found is None:
            return answer
        return self._for_all_inputs(a, b, found)

    def _as_polynomials(self, a: Term, b: Term, known: bool) -> bool | dict[str, int]:
        difference = self.terms.binary(BinaryKind.SUB, a.type, a, b)
        poly = self.terms.polynomial(difference)
        if not _is_small(poly):
            return False
        values_of_atoms = vanishing(poly, whole(a.type).bits)
        if values_of_atoms is None:
            return True
        atoms = {atom for monomial in poly for atom in monomial}
        if not known or any(atom.kind != "input" for atom in atoms):
            return False
        # The inputs are free, so that this is what they can be, if they are wide enough.
        inputs = {str(atom.detail): k for (atom,), k in values_of_atoms.items()}
        if any(k > whole(atom.type).max for (atom,), k in values_of_atoms.items()):
            return False
        return inputs

    def _for_all_inputs(self, a: Term, b: Term, found: Sequence[Term]) -> bool | dict[str, int]:
        inputs = [t for t in found if t.kind == "input"]
        bits = sum(t.type.bits for t in inputs)
        if bits > _BITS or len(found) << bits > self.left:
            return False
        self.left -= len(found) << bits
        for given in _all_inputs(inputs):
            known = values(found, given)
            if known[a] != known[b]:
                return given
        return True


def _is_small(poly: Polynomial) -> bool:
    return len(poly) <= _MONOMIALS and all(len(m) <= _DEGREE for m in poly)


def _all_inputs(inputs: Sequence[Term]) -> Iterator[dict[str, int]]:
    """Every value that some inputs can have."""
    names = [str(t.detail) for t in inputs]
    types = [whole(t.type) for t in inputs]
    for given in product(*(range(t.min, t.max + 1) for t in types)):
        yield dict(zip(names, given, strict=True))
