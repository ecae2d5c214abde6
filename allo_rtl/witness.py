"""Inputs at which comparisons turn: where two kernels of integers may differ though random inputs
never show it.

A comparison deep in a term is made to hold with equality, or missed by one, by solving it for one
input with all others as they are: backwards through sums and products (modulo the width), casts,
``^`` and selects.  Nothing here decides anything; the kernels are run on what is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import gcd
from random import Random

from allo_rtl.ir.arithmetic import eval_binary, eval_bitcast, eval_cast, eval_compare
from allo_rtl.ir.ops import BinaryKind, Predicate
from allo_rtl.ir.terms import Term
from allo_rtl.ir.types import Index, IntegerType

_MOST = 2000
"""Terms; more are not searched."""
_TURNED = 6
"""Comparisons that are turned for one set of inputs."""
_PREDICATES = frozenset(p.value for p in Predicate)
_BINARY = frozenset(k.value for k in BinaryKind)


def searchable(roots: Iterable[Term]) -> list[Term]:
    """All that the terms are made of, parts first; nothing where that is no use: something is not
    an integer, there are too many, or no comparison is among them."""
    found: set[Term] = set()
    todo = list(roots)
    while todo and len(found) <= _MOST:
        term = todo.pop()
        if term not in found:
            found.add(term)
            todo += term.parts
    if len(found) > _MOST or not all(isinstance(t.type, IntegerType | Index) for t in found):
        return []
    if not any(t.kind in _PREDICATES for t in found):
        return []
    return sorted(found, key=lambda t: t.age)


def turned(terms: list[Term], inputs: Mapping[str, int], random: Random) -> dict[str, int]:
    """The inputs, by name, changed so that some comparisons of :func:`searchable` terms turn.

    Inputs that ``inputs`` does not name (state) are taken for 0.
    """
    now = dict(inputs)
    comparisons = [t for t in terms if t.kind in _PREDICATES]
    for comparison in random.sample(comparisons, min(_TURNED, len(comparisons))):
        known = _values(terms, now)
        sides = list(comparison.parts)
        random.shuffle(sides)
        target = known[sides[1]] + random.choice((0, 0, 0, -1, 1))
        solved = _solve(sides[0], target, known, random)
        if solved and solved[0] in now:
            now[solved[0]] = solved[1]
    return now


def _values(terms: list[Term], inputs: Mapping[str, int]) -> dict[Term, int]:
    known: dict[Term, int] = {}
    for term in terms:
        known[term] = _value(term, [known[p] for p in term.parts], inputs)
    return known


def _value(term: Term, parts: list[int], inputs: Mapping[str, int]) -> int:
    assert isinstance(term.type, IntegerType | Index)
    match term.kind:
        case "input":
            return inputs.get(str(term.detail), 0)
        case "const":
            return term.constant or 0
        case "sum":
            return term.type.wrap(_offset(term) + _weighted(term, parts))
        case "cast":
            return eval_cast(term.type, parts[0], term.parts[0].type)
        case "bitcast":
            return eval_bitcast(term.type, parts[0])
        case "select":
            return parts[1] if parts[0] else parts[2]
        case kind if kind in _PREDICATES:
            return eval_compare(Predicate(kind), parts[0], parts[1], term.parts[0].type)
        case kind:
            assert kind in _BINARY, kind
            return eval_binary(BinaryKind(kind), term.type, parts[0], parts[1])


def _offset(term: Term) -> int:
    return term.detail if isinstance(term.detail, int) else 0


def _weighted(term: Term, parts: list[int]) -> int:
    return sum(f * p for f, p in zip(term.factors, parts, strict=True))


def _solve(
    term: Term, target: int, known: Mapping[Term, int], random: Random
) -> tuple[str, int] | None:
    """An input and what it must be for a term to have a value, if one that is met on a random way
    down the term can do that."""
    while term.kind != "input":
        type_ = term.type
        assert isinstance(type_, IntegerType | Index)
        if not type_.min <= target <= type_.max:
            return None
        step = _step(term, target, known, random)
        if step is None:
            return None
        term, target = step
    type_ = term.type
    assert isinstance(type_, IntegerType | Index)
    return (str(term.detail), target) if type_.min <= target <= type_.max else None


def _step(
    term: Term, target: int, known: Mapping[Term, int], random: Random
) -> tuple[Term, int] | None:
    """The part of a term to change, and to what, for the term to have a value."""
    match term.kind, term.parts:
        case "sum", parts:
            n = random.randrange(len(parts))
            others = _offset(term) + sum(
                f * known[p] for k, (p, f) in enumerate(zip(parts, term.factors, strict=True))
                if k != n
            )  # fmt: skip
            return _divide(parts[n], target - others, term.factors[n])
        case "mul", (a, b):
            part, other = random.choice(((a, b), (b, a)))
            return _divide(part, target, known[other])
        case "xor", (a, b):
            part, other = random.choice(((a, b), (b, a)))
            return part, target ^ known[other]
        case "select", (condition, yes, no):
            return (yes if known[condition] else no), target
        case ("cast" | "bitcast"), (part,):
            assert isinstance(part.type, IntegerType | Index)
            value = part.type.wrap(target)
            same = _value(term, [value], {}) == target
            return (part, value) if same else None
    return None


def _divide(part: Term, product: int, factor: int) -> tuple[Term, int] | None:
    """What times a factor is a product, modulo the width: the number of least magnitude."""
    assert isinstance(part.type, IntegerType | Index)
    whole = 1 << part.type.bits
    common = gcd(factor, whole)
    if product % common:
        return None
    modulus = whole // common
    value = product // common * pow(factor // common, -1, modulus) % modulus
    return part, value - modulus if part.type.min < 0 and 2 * value >= modulus else value
