"""Affine expressions over SSA values, in one canonical form.

    sum of coefficient * atom  +  constant

An atom is a :class:`~allo_rtl.ir.ops.Value` of index type, or ``e floordiv n`` or ``e mod n`` of
another affine expression with a positive constant ``n`` (floor and Euclidean, as in MLIR).  Equal
expressions in this form compare equal: terms are ordered, zero terms dropped, multiples of ``n``
pulled out of ``floordiv`` and dropped from ``mod``, common factors divided out of both, and a
division of a division, or a remainder of a remainder, made one where that is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allo_rtl.ir.ops import Value

type Interval = tuple[int, int]
"""Smallest and largest value, both included."""


@dataclass(frozen=True)
class FloorDiv:
    """``numerator floordiv divisor``, rounding down; divisor > 1."""

    numerator: AffineExpr
    divisor: int


@dataclass(frozen=True)
class Mod:
    """``numerator mod divisor``, in 0 ... divisor - 1; divisor > 1."""

    numerator: AffineExpr
    divisor: int


type Atom = Value | FloorDiv | Mod


def _order(atom: Atom) -> tuple[object, ...]:
    """A total, reproducible order: values by age, then divisions, then remainders."""
    if isinstance(atom, FloorDiv | Mod):
        kind = 1 if isinstance(atom, FloorDiv) else 2
        inner = tuple((_order(a), c) for a, c in atom.numerator.terms)
        return (kind, atom.divisor, atom.numerator.const, inner)
    return (0, atom.uid)


@dataclass(frozen=True)
class AffineExpr:
    """An affine expression; build it with :meth:`constant`, :meth:`of` and the operators."""

    terms: tuple[tuple[Atom, int], ...]
    const: int

    @staticmethod
    def constant(value: int) -> AffineExpr:
        """The expression that is always ``value``."""
        return AffineExpr((), value)

    @staticmethod
    def of(value: Value) -> AffineExpr:
        """The expression that is one SSA value."""
        return AffineExpr(((value, 1),), 0)

    @staticmethod
    def _from(terms: Mapping[Atom, int], const: int) -> AffineExpr:
        kept = [(a, c) for a, c in terms.items() if c]
        if len(kept) > 1:
            kept.sort(key=lambda term: _order(term[0]))
        return AffineExpr(tuple(kept), const)

    @cached_property
    def values(self) -> frozenset[Value]:
        """Every SSA value in the expression, also inside divisions and remainders."""
        found: set[Value] = set()
        for atom, _ in self.terms:
            inner = atom.numerator.values if isinstance(atom, FloorDiv | Mod) else {atom}
            found |= inner
        return frozenset(found)

    @property
    def is_constant(self) -> bool:
        """Whether no SSA value is left in it."""
        return not self.terms

    @property
    def is_linear(self) -> bool:
        """Whether there is no division or remainder in it."""
        return not any(isinstance(a, FloorDiv | Mod) for a, _ in self.terms)

    @property
    def as_value(self) -> Value | None:
        """The SSA value when the expression is just that, else None."""
        if self.const == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            atom = self.terms[0][0]
            return None if isinstance(atom, FloorDiv | Mod) else atom
        return None

    def coefficient(self, value: Value) -> int:
        """The factor of ``value`` in the linear part."""
        return next((c for a, c in self.terms if a is value), 0)

    def __add__(self, other: AffineExpr | int) -> AffineExpr:
        if isinstance(other, int):
            return AffineExpr(self.terms, self.const + other)
        terms: dict[Atom, int] = dict(self.terms)
        for atom, c in other.terms:
            terms[atom] = terms.get(atom, 0) + c
        return AffineExpr._from(terms, self.const + other.const)

    def __sub__(self, other: AffineExpr | int) -> AffineExpr:
        return self + (-other if isinstance(other, int) else other * -1)

    def __neg__(self) -> AffineExpr:
        return self * -1

    def __mul__(self, factor: int) -> AffineExpr:
        if factor == 0:
            return AffineExpr.constant(0)
        return AffineExpr(tuple((a, c * factor) for a, c in self.terms), self.const * factor)

    __rmul__ = __mul__

    def _split_multiples(self, divisor: int) -> tuple[AffineExpr, AffineExpr]:
        """(q, r) with self == divisor * q + r, coefficients of r in 0 ... divisor - 1."""
        q: dict[Atom, int] = {}
        r: dict[Atom, int] = {}
        for atom, c in self.terms:
            q[atom], r[atom] = divmod(c, divisor)
        qc, rc = divmod(self.const, divisor)
        return AffineExpr._from(q, qc), AffineExpr._from(r, rc)

    def _split_common(self, divisor: int) -> tuple[int, AffineExpr]:
        """The common factor g of the terms and ``divisor``, and self divided by g, rounded down."""
        common = gcd(divisor, *(c for _, c in self.terms))
        terms = tuple((a, c // common) for a, c in self.terms)
        return common, AffineExpr(terms, self.const // common)

    def floordiv(self, divisor: int) -> AffineExpr:
        """``self floordiv divisor``; divisor is 1 or more."""
        if divisor < 1:
            raise ValueError(f"floordiv needs a divisor of 1 or more, not {divisor}")
        if divisor == 1:
            return self
        quotient, rest = self._split_multiples(divisor)
        if rest.is_constant:
            return quotient
        common, inner = rest._split_common(divisor)
        return quotient + inner._floor(divisor // common)

    def _floor(self, divisor: int) -> AffineExpr:
        atom, factor = self.terms[0]
        if len(self.terms) == 1 and factor == 1 and isinstance(atom, FloorDiv):
            whole = atom.numerator + self.const * atom.divisor
            return whole.floordiv(atom.divisor * divisor)
        return AffineExpr(((FloorDiv(self, divisor), 1),), 0)

    def mod(self, divisor: int) -> AffineExpr:
        """``self mod divisor``; divisor is 1 or more, the result is never negative."""
        if divisor < 1:
            raise ValueError(f"mod needs a divisor of 1 or more, not {divisor}")
        if divisor == 1:
            return AffineExpr.constant(0)
        rest = self._without_mod(divisor)._split_multiples(divisor)[1]
        if rest.is_constant:
            return rest
        common, inner = rest._split_common(divisor)
        return AffineExpr(((Mod(inner, divisor // common), common),), rest.const % common)

    def _without_mod(self, divisor: int) -> AffineExpr:
        """An expression equal modulo ``divisor``, without remainders that do not matter then."""
        result = AffineExpr.constant(self.const)
        for atom, c in self.terms:
            if isinstance(atom, Mod) and c * atom.divisor % divisor == 0:
                result = result + atom.numerator._without_mod(divisor) * c
            else:
                result = result + AffineExpr(((atom, c),), 0)
        return result

    def substitute(self, mapping: Callable[[Value], AffineExpr | None]) -> AffineExpr:
        """Replace values; ``mapping`` answers None for one that stays."""
        result = AffineExpr.constant(self.const)
        for atom, c in self.terms:
            if isinstance(atom, FloorDiv):
                new = atom.numerator.substitute(mapping).floordiv(atom.divisor)
            elif isinstance(atom, Mod):
                new = atom.numerator.substitute(mapping).mod(atom.divisor)
            else:
                new = mapping(atom) or AffineExpr.of(atom)
            result = result + new * c
        return result

    def evaluate(self, env: Callable[[Value], int]) -> int:
        """The number it stands for when each value is ``env(value)``."""
        total = self.const
        for atom, c in self.terms:
            if isinstance(atom, FloorDiv):
                total += c * (atom.numerator.evaluate(env) // atom.divisor)
            elif isinstance(atom, Mod):
                total += c * (atom.numerator.evaluate(env) % atom.divisor)
            else:
                total += c * env(atom)
        return total

    def bounds(self, env: Callable[[Value], Interval]) -> Interval:
        """An interval that contains every value, given the intervals of the SSA values."""
        low = high = self.const
        for atom, c in self.terms:
            lo, hi = _atom_bounds(atom, env)
            low += min(c * lo, c * hi)
            high += max(c * lo, c * hi)
        return low, high

    def simplify(self, env: Callable[[Value], Interval]) -> AffineExpr:
        """Drop divisions and remainders that the intervals of the values make trivial."""
        result = AffineExpr.constant(self.const)
        for atom, c in self.terms:
            result = result + _simplify_atom(atom, env) * c
        return result

    def __iter__(self) -> Iterator[tuple[Atom, int]]:
        return iter(self.terms)

    def __str__(self) -> str:
        return self.text(lambda v: v.name or "?")

    def text(self, name: Callable[[Value], str]) -> str:
        """The expression, with values as ``name`` calls them."""
        parts: list[str] = []
        for atom, c in self.terms:
            shown = _atom_text(atom, name)
            parts.append({1: shown, -1: f"-{shown}"}.get(c, f"{c}*{shown}"))
        if self.const or not parts:
            parts.append(str(self.const))
        return " + ".join(parts).replace("+ -", "- ")


def _atom_text(atom: Atom, name: Callable[[Value], str]) -> str:
    if isinstance(atom, FloorDiv):
        return f"({atom.numerator.text(name)}) floordiv {atom.divisor}"
    if isinstance(atom, Mod):
        return f"({atom.numerator.text(name)}) mod {atom.divisor}"
    return name(atom)


def _atom_bounds(atom: Atom, env: Callable[[Value], Interval]) -> Interval:
    if isinstance(atom, FloorDiv):
        lo, hi = atom.numerator.bounds(env)
        return lo // atom.divisor, hi // atom.divisor
    if isinstance(atom, Mod):
        lo, hi = atom.numerator.bounds(env)
        if lo // atom.divisor == hi // atom.divisor:
            return lo % atom.divisor, hi % atom.divisor
        return 0, atom.divisor - 1
    return env(atom)


def _simplify_atom(atom: Atom, env: Callable[[Value], Interval]) -> AffineExpr:
    if not isinstance(atom, FloorDiv | Mod):
        return AffineExpr.of(atom)
    inner = atom.numerator.simplify(env)
    lo, hi = inner.bounds(env)
    if lo // atom.divisor == hi // atom.divisor:
        quotient = lo // atom.divisor
        if isinstance(atom, FloorDiv):
            return AffineExpr.constant(quotient)
        return inner - quotient * atom.divisor
    return inner.floordiv(atom.divisor) if isinstance(atom, FloorDiv) else inner.mod(atom.divisor)
