"""Polynomials of integer terms: products of atoms, with a coefficient each.

An atom stands for its own integer, whatever the ring that the polynomial is used in.  Atoms that
are 0 or 1 are their own squares, and comparisons of one thing with several numbers follow from one
another, so that polynomials of conditions have a normal form too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import gcd, prod

from allo_rtl.ir.term_base import Term

type Monomial = tuple[Term, ...]
"""Atoms, by age; () is 1."""

type Polynomial = dict[Monomial, int]

type Range = tuple[int, int]
"""Least and greatest value, both included."""

type RangeOf = Callable[[Term], Range]

COMPARISONS = ("lt", "eq")
"""Kinds of atoms that compare their part with a number."""


def order(monomial: Monomial) -> tuple[int, ...]:
    """A total order of monomials."""
    return (len(monomial), *(a.age for a in monomial))


def plus(a: Polynomial, b: Polynomial, factor: int = 1) -> Polynomial:
    """``a + factor * b``."""
    total = dict(a)
    for monomial, f in b.items():
        new = total.get(monomial, 0) + factor * f
        if new:
            total[monomial] = new
        else:
            total.pop(monomial, None)
    return total


def times(a: Polynomial, b: Polynomial, range_of: RangeOf) -> Polynomial:
    """``a * b``."""
    total: Polynomial = {}
    for one, f in a.items():
        for other, g in b.items():
            merged = _merged(one, other, range_of) if one and other else one or other
            if merged is None:
                continue
            new = total.get(merged, 0) + f * g
            if new:
                total[merged] = new
            else:
                total.pop(merged, None)
    return total


def _merged(a: Monomial, b: Monomial, range_of: RangeOf) -> Monomial | None:
    """The product of two monomials; None when it is 0."""
    if len(b) > len(a):
        a, b = b, a
    for atom in b:
        larger = _with(a, atom, range_of)
        if larger is None:
            return None
        a = larger
    return a


def _with(monomial: Monomial, atom: Term, range_of: RangeOf) -> Monomial | None:
    """A monomial times one more atom; None when it is 0."""
    if is_comparison(atom):
        subject = atom.parts[0]
        for old in monomial:
            if old is atom:
                return monomial
            if is_comparison(old) and old.parts[0] is subject:
                joined = _both(old, atom)
                if joined is None or joined is old:
                    return monomial if joined is old else None
                return _inserted(tuple(t for t in monomial if t is not old), atom)
    elif atom in monomial and is_bit(range_of(atom)):
        return monomial
    return _inserted(monomial, atom)


def _inserted(monomial: Monomial, atom: Term) -> Monomial:
    at = len(monomial)
    while at and monomial[at - 1].age > atom.age:
        at -= 1
    return (*monomial[:at], atom, *monomial[at:])


def is_comparison(atom: Term) -> bool:
    """Whether an atom compares another term with a number."""
    return atom.kind in COMPARISONS and len(atom.parts) == 1


def _both(a: Term, b: Term) -> Term | None:
    """Two comparisons of one thing with numbers, both true, as one of them; None if never."""
    if a is b:
        return a
    if a.kind == b.kind == "lt":
        return a if a.number < b.number else b
    if a.kind == b.kind:
        return a if a.number == b.number else None
    equal, less = (a, b) if a.kind == "eq" else (b, a)
    return equal if equal.number < less.number else None


def is_bit(range_: Range) -> bool:
    """Whether a value is 0 or 1."""
    return range_[0] >= 0 and range_[1] <= 1


def squarefree(a: Polynomial) -> Polynomial:
    """A polynomial with the same values modulo 2, where each atom is its own square."""
    total: Polynomial = {}
    for monomial, f in a.items():
        if f % 2:
            once = tuple(dict.fromkeys(monomial))
            if total.pop(once, 0) == 0:
                total[once] = 1
    return total


def bounds(a: Polynomial, range_of: RangeOf) -> Range:
    """An interval that has every value of a polynomial, as a number of any size."""
    low = high = 0
    for monomial, f in a.items():
        lo, hi = product_range(map(range_of, monomial))
        low += min(f * lo, f * hi)
        high += max(f * lo, f * hi)
    return low, high


def product_range(ranges: Iterable[Range]) -> Range:
    """An interval that has every product of numbers of some intervals."""
    low = high = 1
    for lo, hi in ranges:
        ends = (low * lo, low * hi, high * lo, high * hi)
        low, high = min(ends), max(ends)
    return low, high


def without_constant(a: Polynomial) -> tuple[Polynomial, int]:
    """A polynomial's monomials but 1, and the coefficient of 1."""
    return {m: f for m, f in a.items() if m}, a.get((), 0)


def leads_negative(a: Polynomial) -> bool:
    """Whether the coefficient of the first monomial is negative."""
    return a[min(a, key=order)] < 0


def content(a: Polynomial) -> int:
    """The greatest common divisor of the coefficients; 0 of nothing."""
    return gcd(*a.values())


def vanishing(a: Polynomial, bits: int) -> dict[Monomial, int] | None:
    """An assignment of atoms for which a polynomial is not 0 modulo ``2**bits``; None when it is 0
    for all integers.

    In the basis of products ``x (x - 1) ... (x - k + 1)``, each a multiple of ``k!``, it is 0
    everywhere if and only if every coefficient times these factorials is.  Else it is not 0 where
    each atom is its ``k`` of a least such product.  The answer has the count of each atom as a
    monomial of one atom; atoms that it does not name are 0.
    """
    falling = _falling(a)
    wrong = [
        powers for powers, f in falling.items()
        if f * prod(_factorial(k) for _, k in powers) % (1 << bits)
    ]  # fmt: skip
    if not wrong:
        return None
    least = min(wrong, key=lambda powers: sum(k for _, k in powers))
    return {(atom,): k for atom, k in least}


def _falling(a: Polynomial) -> dict[tuple[tuple[Term, int], ...], int]:
    """A polynomial in the basis of falling products: powers of atoms, and the coefficient."""
    total: dict[tuple[tuple[Term, int], ...], int] = {}
    for monomial, f in a.items():
        partial: dict[tuple[tuple[Term, int], ...], int] = {(): f}
        for atom in dict.fromkeys(monomial):
            power = monomial.count(atom)
            partial = {
                (*powers, *([(atom, k)] if k else [])): g * _stirling(power, k)
                for powers, g in partial.items()
                for k in range(power + 1)
                if _stirling(power, k)
            }
        for powers, g in partial.items():
            total[powers] = total.get(powers, 0) + g
    return total


def _stirling(n: int, k: int) -> int:
    """Stirling numbers of the second kind: ``x**n`` is their sum of falling products."""
    if n == k:
        return 1
    if k == 0 or k > n:
        return 0
    return k * _stirling(n - 1, k) + _stirling(n - 1, k - 1)


def _factorial(n: int) -> int:
    return prod(range(1, n + 1))
