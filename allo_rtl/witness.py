"""Inputs at which comparisons turn: where two kernels of integers may differ though random inputs
never show it.

A comparison deep in a term is made to hold with equality, or missed by one, by solving it for one
input with all others as they are: backwards through sums and products (modulo the width), casts,
``^`` and selects.  Nothing here decides anything; the kernels are run on what is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import gcd, prod
from random import Random

from allo_rtl.ir.sum_terms import whole
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.term_values import parts_first, values

_MOST = 2000
"""Terms; more are not searched."""
_TURNED = 6
"""Comparisons that are turned for one set of inputs."""
_COMPARISONS = ("lt", "eq")


def searchable(roots: Iterable[Term]) -> list[Term]:
    """All that the terms are made of, parts first; nothing where that is no use: something is not
    an integer, there are too many, or no comparison is among them."""
    found = parts_first(roots, _MOST) or []
    return found if any(t.kind in _COMPARISONS for t in found) else []


def turned(terms: list[Term], inputs: Mapping[str, int], random: Random) -> dict[str, int]:
    """The inputs, by name, changed so that some comparisons of :func:`searchable` terms turn.

    Inputs that ``inputs`` does not name (state) are taken for 0.
    """
    now = dict(inputs)
    comparisons = [t for t in terms if t.kind in _COMPARISONS]
    for comparison in random.sample(comparisons, min(_TURNED, len(comparisons))):
        known = values(terms, now)
        target = comparison.number + random.choice((0, 0, 0, -1, 1))
        solved = _solve(comparison.parts[0], target, known, random)
        if solved and solved[0] in now:
            now[solved[0]] = solved[1]
    return now


def _solve(
    term: Term, target: int, known: Mapping[Term, int], random: Random
) -> tuple[str, int] | None:
    """An input and what it must be for a term to have a value, if one that is met on a random way
    down the term can do that."""
    while term.kind != "input":
        type_ = whole(term.type)
        if not type_.min <= target <= type_.max:
            return None
        step = _step(term, target, known, random)
        if step is None:
            return None
        term, target = step
    type_ = whole(term.type)
    return (str(term.detail), target) if type_.min <= target <= type_.max else None


def _step(
    term: Term, target: int, known: Mapping[Term, int], random: Random
) -> tuple[Term, int] | None:
    """The part of a term to change, and to what, for the term to have a value."""
    match term.kind, term.parts:
        case "sum", parts:
            n = random.randrange(len(parts))
            others = term.number + sum(
                f * known[p] for k, (p, f) in enumerate(zip(parts, term.factors, strict=True))
                if k != n
            )  # fmt: skip
            return _divide(term, parts[n], target - others, term.factors[n])
        case ("product" | "monomial" | "mul"), parts:
            part = random.choice(parts)
            others = prod(known[p] for p in parts if p is not part)
            root = _root(target, others, parts.count(part))
            return _divide(term, part, target, others) if root is None else (part, root)
        case "xor", (a, b):
            part, other = random.choice(((a, b), (b, a)))
            return part, target ^ known[other]
        case "select", (condition, yes, no):
            return (yes if known[condition] else no), target
        case "quotient", (part,):
            return part, target * term.number + random.randrange(term.number)
        case "remainder", (part,):
            return part, known[part] // term.number * term.number + target
    return None


def _root(target: int, others: int, power: int) -> int | None:
    """The number whose power, times others, is a target, where it is not simply a quotient."""
    if power < 2 or others == 0 or target % others:
        return None
    wanted = target // others
    near = round(abs(wanted) ** (1 / power)) if abs(wanted) < 1 << 900 else 0
    signs = (1, -1) if wanted < 0 else (1,)
    found = [s * n for s in signs for n in (near - 1, near, near + 1) if (s * n) ** power == wanted]
    return found[0] if found else None


def _divide(whole_: Term, part: Term, product: int, factor: int) -> tuple[Term, int] | None:
    """What of a part times a factor is a product, modulo the width: a number that the part can
    be."""
    size, type_ = 1 << whole(whole_.type).bits, whole(part.type)
    common = gcd(factor, size)
    if product % common:
        return None
    modulus = size // common
    value = product // common * pow(factor // common, -1, modulus) % modulus
    if type_.min < 0 and 2 * value >= modulus:
        value -= modulus
    return (part, value) if type_.min <= value <= type_.max else None
