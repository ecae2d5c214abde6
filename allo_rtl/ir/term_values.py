"""What a term of integers is for known inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from math import prod

from allo_rtl.ir.arithmetic import eval_binary
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.sum_terms import whole
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.types import Index, IntegerType

_BINARY = frozenset(k.value for k in BinaryKind)
_OWN = frozenset({
    "input", "const", "sum", "product", "monomial", "lt", "eq", "quotient", "remainder", "select",
})  # fmt: skip
"""Kinds that are not operators of the IR."""


def parts_first(roots: Iterable[Term], most: int) -> list[Term] | None:
    """All that terms are made of, parts before what they are parts of; None of more than ``most``
    terms, or where one is not of integers."""
    found: set[Term] = set()
    todo = list(roots)
    while todo:
        term = todo.pop()
        if term in found:
            continue
        if len(found) == most or not is_known(term):
            return None
        found.add(term)
        todo += term.parts
    return sorted(found, key=lambda t: t.age)


def is_known(term: Term) -> bool:
    """Whether :func:`value_of` knows the term's kind."""
    is_whole = isinstance(term.type, IntegerType | Index)
    return is_whole and (term.kind in _OWN or term.kind in _BINARY)


def values(terms: Sequence[Term], inputs: Mapping[str, int]) -> dict[Term, int]:
    """What terms are, parts first; inputs that are not named are 0."""
    known: dict[Term, int] = {}
    for term in terms:
        known[term] = value_of(term, [known[p] for p in term.parts], inputs)
    return known


def value_of(term: Term, parts: Sequence[int], inputs: Mapping[str, int]) -> int:
    """What a term is, given its parts."""
    type_ = whole(term.type)
    match term.kind:
        case "input":
            return inputs.get(str(term.detail), 0)
        case "const":
            return term.number
        case "sum":
            total = sum(f * p for f, p in zip(term.factors, parts, strict=True))
            return type_.wrap(term.number + total)
        case "product" | "monomial":
            return type_.wrap(prod(parts))
        case "lt":
            return int(parts[0] < term.number)
        case "eq":
            return int(parts[0] == term.number)
        case "quotient":
            return type_.wrap(parts[0] // term.number)
        case "remainder":
            return type_.wrap(parts[0] % term.number)
        case "select":
            return parts[1] if parts[0] else parts[2]
    kind = BinaryKind(term.kind)
    return reduce(lambda a, b: eval_binary(kind, type_, a, b), parts)
