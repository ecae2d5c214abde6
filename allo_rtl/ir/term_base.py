"""Terms, each made once: what :mod:`allo_rtl.ir.terms` builds its normal form of."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from allo_rtl.ir.types import Type

_ages = count()


@dataclass(frozen=True, eq=False)
class Term:
    """One term; make it with :class:`allo_rtl.ir.terms.Terms`.

    Attributes:
        kind: what it is: ``input``, ``const``, ``sum``, an operator.
        type: of its value.
        detail: the number of a constant, the name of an input, what else tells operators apart.
        parts: operands; of a sum, its monomials.
        factors: of a sum, the factor of each monomial.
    """

    kind: str
    type: Type
    detail: object = None
    parts: tuple[Term, ...] = ()
    factors: tuple[int, ...] = ()
    age: int = field(default_factory=lambda: next(_ages), repr=False)

    @property
    def constant(self) -> int | None:
        """The int that stands for its value, when it is known."""
        return self.detail if isinstance(self.detail, int) and self.kind == "const" else None

    @property
    def number(self) -> int:
        """The number that is its detail: what a sum has besides its monomials, a bound."""
        assert isinstance(self.detail, int), self.kind
        return self.detail

    def __str__(self) -> str:
        return _text(self, 4)


class Maker:
    """Makes terms, each once.

    Attributes:
        work: monomials that were multiplied or added so far.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Term] = {}
        self.work = 0

    def make(
        self,
        kind: str,
        type_: Type,
        detail: object = None,
        parts: tuple[Term, ...] = (),
        factors: tuple[int, ...] = (),
    ) -> Term:
        """The term of these attributes, as it is."""
        key = (kind, type_, detail, parts, factors)
        if (found := self._known.get(key)) is None:
            found = self._known[key] = Term(kind, type_, detail, parts, factors)
        return found

    def input(self, name: str, type_: Type) -> Term:
        """A value that may be anything; the same name is the same value."""
        return self.make("input", type_, name)

    def const(self, value: int, type_: Type) -> Term:
        """A known value."""
        return self.make("const", type_, value)


_SIGNS = {"lt": "<", "eq": "==", "quotient": "//", "remainder": "%"}


def _text(a: Term, depth: int) -> str:
    """The term for people, to a depth."""
    match a.kind:
        case "const" | "input":
            return str(a.detail)
        case _ if depth == 0:
            return "..."
        case "sum":
            return _sum_text(a, depth)
        case "product" | "monomial":
            return "*".join(_text(p, depth - 1) for p in a.parts)
        case kind if kind in _SIGNS and len(a.parts) == 1:
            return f"({_text(a.parts[0], depth - 1)} {_SIGNS[kind]} {a.detail})"
        case "cast":
            return _text(a.parts[0], depth)
    return f"{a.kind}({', '.join(_text(p, depth - 1) for p in a.parts)})"


def _sum_text(a: Term, depth: int) -> str:
    parts = [_text(t, depth - 1) for t in a.parts]
    shown = [p if f == 1 else f"{f}*{p}" for p, f in zip(parts, a.factors, strict=True)]
    shown += [str(a.detail)] if a.detail else []
    return shown[0] if len(shown) == 1 else "(" + " + ".join(shown) + ")"
