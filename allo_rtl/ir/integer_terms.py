"""The normal form of integer terms: polynomials modulo the width, and comparisons with a number.

A value of ``w`` bits is a polynomial of atoms modulo ``2**w``, atoms being what polynomials cannot
say: inputs, comparisons, quotients, minima.  A cast to fewer bits is the same polynomial in a
smaller ring; one to more bits is where no value can have wrapped, and an atom else.  Choices are
``b + c * (a - b)``.  Comparisons of numbers that did not wrap are of their difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from allo_rtl.ir.arithmetic import eval_binary, limits
from allo_rtl.ir.ops import BinaryKind, Predicate
from allo_rtl.ir.polynomials import (
    Polynomial,
    Range,
    bounds,
    content,
    is_bit,
    leads_negative,
    order,
    plus,
    product_range,
    squarefree,
    times,
    without_constant,
)
from allo_rtl.ir.sum_terms import SumTerms, Whole, whole
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.types import Int, UInt, bool_

_MOST = 256
"""Monomials of a product at most; a larger one is an atom."""
_LONGEST = 4096
"""Monomials of a sum at most."""
_ALIKE = frozenset({BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR, BinaryKind.MIN, BinaryKind.MAX})
"""Operators of any number of operands in any order."""
_ONE: Polynomial = {(): 1}


class IntegerTerms(SumTerms):
    """Makes terms of integers and index in their normal form."""

    def __init__(self) -> None:
        super().__init__()
        self._ranges: dict[Term, Range] = {}
        self._exact: dict[Term, Polynomial | None] = {}
        self._narrow: dict[tuple[Term, int], Polynomial] = {}

    # --- polynomials -----------------------------------------------------------------------

    def of_polynomial(self, type_: Whole, a: Polynomial) -> Term:
        """The term of a polynomial modulo the width of a type."""
        kept = self._centred(type_, self._without_quotients(type_, self._centred(type_, a)))
        rest, constant = without_constant(kept)
        if not rest:
            return self.const(type_.wrap(constant), type_)
        monomials = sorted(rest, key=order)
        if not constant and list(rest.values()) == [1]:
            (only,) = monomials
            if len(only) > 1:
                return self.make("product", type_, None, only)
            if only[0].type == type_:
                return only[0]
        parts = tuple(map(self.part, monomials))
        return self.make("sum", type_, constant, parts, tuple(rest[m] for m in monomials))

    def _centred(self, type_: Whole, a: Polynomial) -> Polynomial:
        """A polynomial with coefficients of least magnitude, none of them 0."""
        modulus = 1 << type_.bits
        a = squarefree(a) if modulus == 2 else a
        kept: Polynomial = {}
        for monomial, f in a.items():
            if factor := f % modulus:
                kept[monomial] = factor if 2 * factor <= modulus else factor - modulus
        return kept

    def _without_quotients(self, type_: Whole, a: Polynomial) -> Polynomial:
        """A polynomial with ``x - x % d`` for each ``d * (x // d)``."""
        found = [
            m for m, f in a.items()
            if len(m) == 1 and m[0].kind == "quotient" and f % m[0].number == 0
        ]  # fmt: skip
        for monomial in found:
            (quotient,), factor = monomial, a[monomial]
            (part,), divisor = quotient.parts, quotient.number
            rest = self.cast_whole(type_, self.remainder(part, divisor))
            multiple = plus(self._numbers(part), self.polynomial(rest), -1)
            a = plus({m: f for m, f in a.items() if m != monomial}, multiple, factor // divisor)
        return a

    def exact(self, a: Term) -> Polynomial | None:
        """A polynomial that is a term's value as a number; None when the term may have wrapped."""
        if a not in self._exact:
            self._exact[a] = self._find_exact(a)
        return self._exact[a]

    def _find_exact(self, a: Term) -> Polynomial | None:
        type_ = whole(a.type)
        found = self.polynomial(a)
        if a.kind == "sum" and min(a.number, *a.factors) >= 0:
            low, high = self.facts(a).range
            return found if type_.min <= low and high <= type_.max else None
        for poly in (found, {m: f % (1 << type_.bits) for m, f in found.items()}):
            low, high = bounds(poly, self.range_of)
            if type_.min <= low and high <= type_.max:
                return poly
        return None

    def _times(self, a: Polynomial, b: Polynomial) -> Polynomial | None:
        """A product, unless it is too large."""
        size = len(a) * len(b)
        if size > 8 * _MOST and min(len(a), len(b)) > 1:
            return None
        self.work += size
        product = times(a, b, self.range_of)
        return product if len(product) <= _MOST or min(len(a), len(b)) <= 1 else None

    # --- operators -------------------------------------------------------------------------

    def whole_binary(self, kind: BinaryKind, a: Term, b: Term) -> Term:
        """``a kind b`` of one type of integers, not both known."""
        type_ = whole(a.type)
        match kind:
            case BinaryKind.ADD | BinaryKind.SUB:
                return self._sum(kind, a, b)
            case BinaryKind.MUL:
                product = self._times(self.polynomial(a), self.polynomial(b))
                if product is not None:
                    return self.of_polynomial(type_, product)
                return self.make("mul", type_, None, tuple(sorted((a, b), key=lambda t: t.age)))
            case BinaryKind.AND if (bits := self._mask(a, b)) is not None:
                return self.cast_whole(type_, self.cast_whole(UInt(bits[1]), bits[0]))
            case BinaryKind.AND | BinaryKind.OR | BinaryKind.XOR if self._are_bits(a, b):
                return self._of_bits(kind, a, b)
            case BinaryKind.MIN | BinaryKind.MAX if self._are_bits(a, b):
                same = BinaryKind.AND if kind is BinaryKind.MIN else BinaryKind.OR
                return self._of_bits(same, a, b)
            case _ if kind in _ALIKE:
                return self._alike(kind, type_, a, b)
            case _ if b.constant is not None:
                return self._by_number(kind, a, b)
        return self.make(kind.value, type_, None, (a, b))

    def _sum(self, kind: BinaryKind, a: Term, b: Term) -> Term:
        sign = 1 if kind is BinaryKind.ADD else -1
        if len(a.parts) + len(b.parts) > _LONGEST:
            return self.make(kind.value, a.type, None, (a, b))
        if sign == 1 and len(b.parts) > len(a.parts):
            a, b = b, a
        if (grown := self.grown(a, b, sign)) is not None:
            return grown
        one, other = self.polynomial(a), self.polynomial(b)
        self.work += len(one) + len(other)
        return self.of_polynomial(whole(a.type), plus(one, other, sign))

    def _mask(self, a: Term, b: Term) -> tuple[Term, int] | None:
        """(what is masked, how many low bits are kept) of an AND."""
        for value, mask in ((a, b), (b, a)):
            known = mask.constant
            if known is not None and known > 0 and known & (known + 1) == 0:
                return value, known.bit_length()
        return None

    def _are_bits(self, a: Term, b: Term) -> bool:
        return is_bit(self.range_of(a)) and is_bit(self.range_of(b))

    def _of_bits(self, kind: BinaryKind, a: Term, b: Term) -> Term:
        """AND, OR or XOR of numbers that are 0 or 1."""
        one, other, type_ = self.polynomial(a), self.polynomial(b), whole(a.type)
        both = self._times(one, other)
        if both is None:
            return self._alike(kind, type_, a, b)
        if kind is BinaryKind.AND:
            return self.of_polynomial(type_, both)
        times_both = -1 if kind is BinaryKind.OR else -2
        return self.of_polynomial(type_, plus(plus(one, other), both, times_both))

    def _alike(self, kind: BinaryKind, type_: Whole, a: Term, b: Term) -> Term:
        """An operator of any number of operands in any order."""
        parts = [p for t in (a, b) for p in (t.parts if t.kind == kind.value else (t,))]
        numbers = [p.constant for p in parts if p.constant is not None]
        rest = [p for p in parts if p.constant is None]
        if kind is BinaryKind.XOR:
            rest = [p for p in dict.fromkeys(rest) if rest.count(p) % 2]
        rest = sorted(dict.fromkeys(rest), key=lambda t: t.age)
        known = None
        if numbers:
            known = reduce(lambda x, y: eval_binary(kind, type_, x, y), numbers)
            neutral, absorbing = _ends(kind, type_)
            if known == absorbing:
                return self.const(known, type_)
            known = None if known == neutral else known
        if kind is BinaryKind.XOR and known == type_.wrap(-1) and rest:
            inner = self._joined(kind, type_, rest)
            return self.of_polynomial(type_, plus({(): -1}, self.polynomial(inner), -1))
        if known is not None:
            rest.append(self.const(known, type_))
        return self._joined(kind, type_, rest)

    def _joined(self, kind: BinaryKind, type_: Whole, parts: list[Term]) -> Term:
        if kind in (BinaryKind.MIN, BinaryKind.MAX):
            parts = self._undominated(kind, parts)
        if not parts:
            return self.const(_ends(kind, type_)[0], type_)
        return parts[0] if len(parts) == 1 else self.make(kind.value, type_, None, tuple(parts))

    def _undominated(self, kind: BinaryKind, parts: list[Term]) -> list[Term]:
        """The operands of a minimum or maximum without those that another one always beats."""
        ranges = {p: self.range_of(p) for p in parts}
        if kind is BinaryKind.MIN:
            best = min(high for _, high in ranges.values())
            kept = [p for p, (low, _) in ranges.items() if low < best]
            reached = any(ranges[p][1] == best for p in kept)
        else:
            best = max(low for low, _ in ranges.values())
            kept = [p for p, (_, high) in ranges.items() if high > best]
            reached = any(ranges[p][0] == best for p in kept)
        return kept if reached else [*kept, self.const(best, parts[0].type)]

    def _by_number(self, kind: BinaryKind, a: Term, b: Term) -> Term:
        """Shifts, quotients and remainders by a known number."""
        type_, known = whole(a.type), b.constant
        assert known is not None
        low, _ = self.range_of(a)
        match kind:
            case BinaryKind.SHL:
                amount = min(known % (1 << type_.bits), type_.bits)
                return self.scaled(a, 1 << amount)
            case BinaryKind.SHR:
                # More than all bits leave what all but one leave: the sign.
                amount = min(known % (1 << type_.bits), type_.bits)
                return self.quotient(a, 1 << amount)
            case BinaryKind.FLOORDIV if known > 0:
                return self.quotient(a, known)
            case BinaryKind.DIV if known > 0 and low >= 0:
                return self.quotient(a, known)
            case BinaryKind.REM if known > 0 and low >= 0:
                return self.remainder(a, known)
        return self.make(kind.value, type_, None, (a, b))

    def scaled(self, a: Term, factor: int) -> Term:
        """A multiple of a term, modulo its width."""
        return self.of_polynomial(
            whole(a.type), {m: f * factor for m, f in self.polynomial(a).items()}
        )

    def quotient(self, a: Term, divisor: int) -> Term:
        """``a // divisor``, rounded down, of a divisor of 1 or more."""
        type_, poly = whole(a.type), self.exact(a)
        if poly is None:
            return self._quotient(type_, a, divisor)
        multiples = {m: f // divisor for m, f in poly.items() if f // divisor}
        rest = {m: f % divisor for m, f in poly.items() if f % divisor}
        low, high = bounds(rest, self.range_of)
        if low >= 0 and high < divisor:
            return self.of_polynomial(type_, multiples)
        last = self._quotient(type_, self._exactly(rest), divisor)
        return self.of_polynomial(type_, plus(multiples, self.polynomial(last)))

    def _quotient(self, type_: Whole, a: Term, divisor: int) -> Term:
        low, high = self.range_of(a)
        if low // divisor == high // divisor:
            return self.const(low // divisor, type_)
        if divisor == 1:
            return self.cast_whole(type_, a)
        return self.make("quotient", type_, divisor, (a,))

    def remainder(self, a: Term, divisor: int) -> Term:
        """``a`` modulo a divisor of 1 or more, from 0 on."""
        type_, poly = whole(a.type), self.exact(a)
        if divisor & (divisor - 1) == 0 and 1 < divisor < 1 << type_.bits:
            return self.cast_whole(type_, self.cast_whole(UInt(divisor.bit_length() - 1), a))
        if poly is not None:
            rest = {m: f % divisor for m, f in poly.items() if f % divisor}
            low, high = bounds(rest, self.range_of)
            if low >= 0 and high < divisor:
                return self.of_polynomial(type_, rest)
            a = self._exactly(rest)
        low, high = self.range_of(a)
        if low // divisor == high // divisor:
            down = plus(self.exact(a) or {(a,): 1}, {(): low // divisor * divisor}, -1)
            return self.of_polynomial(type_, down)
        return self.make("remainder", type_, divisor, (a,))

    def as_number(self, a: Term) -> Term:
        """A term for the same number whose type does not depend on that of this one, if it cannot
        have wrapped."""
        exact = self.exact(a)
        return a if exact is None else self._exactly(exact)

    def _exactly(self, a: Polynomial) -> Term:
        """A polynomial as a term of a type that has all its values; one atom as itself."""
        if len(a) == 1:
            ((monomial, factor),) = a.items()
            if factor == 1 and len(monomial) == 1:
                return monomial[0]
        low, high = bounds(a, self.range_of)
        bits = max((~low if low < 0 else low).bit_length(), high.bit_length()) + 1
        return self.of_polynomial(Int(bits), a)

    # --- casts, choices, comparisons -------------------------------------------------------

    def cast_whole(self, target: Whole, a: Term) -> Term:
        """An integer's number modulo the width of another type."""
        source = whole(a.type)
        if source == target:
            return a
        if (resized := self.resized(a, target)) is not None:
            return resized
        if target.bits <= source.bits:
            if (sum_ := self._narrowed_sum(a, target)) is not None:
                return sum_
            return self.of_polynomial(target, self._narrowed_term(a, target.bits))
        poly = self._lifted(a) if source == bool_ else self.exact(a)
        return self.of_polynomial(target, {(a,): 1} if poly is None else poly)

    def _narrowed_sum(self, a: Term, target: Whole) -> Term | None:
        """A sum that has wrapped and a few monomials more, in fewer bits: that sum in these bits,
        and the same more."""
        inside = [n for n, p in enumerate(a.parts) if _is_polynomial(p)]
        if a.kind != "sum" or len(inside) != 1 or a.factors[inside[0]] != 1:
            return None
        inner = a.parts[inside[0]]
        if whole(inner.type).bits < target.bits:
            return None
        rest = {m: f for m, f in self.polynomial(a).items() if m != (inner,)}
        return self.grown(self.cast_whole(target, inner), rest, 1)

    def _narrowed(self, a: Polynomial, bits: int) -> Polynomial:
        """A polynomial modulo ``2**bits`` without atoms that are polynomials of as many bits."""
        inside = [m for m in a if any(map(_is_polynomial, m))]
        if not inside:
            return a
        total = {m: f for m, f in a.items() if m not in inside}
        for monomial in inside:
            factor = a[monomial]
            product: Polynomial | None = {(): factor}
            for atom in monomial:
                inner = _is_polynomial(atom) and whole(atom.type).bits >= bits
                other: Polynomial = {(atom,): 1}
                if inner:
                    other = self._narrowed_term(atom, bits)
                product = self._times(product, other) if product is not None else None
                if product is not None and bits == 1:
                    product = squarefree(product)
            total = plus(total, {monomial: factor} if product is None else product)
        return total

    def _narrowed_term(self, a: Term, bits: int) -> Polynomial:
        if (a, bits) in self._narrow:
            return self._narrow[a, bits]
        whole_width = self.polynomial(a)
        found = self._narrowed(whole_width, bits)
        if found is not whole_width:
            self._narrow[a, bits] = found
        return found

    def _lifted(self, a: Term) -> Polynomial | None:
        """A polynomial of integers that is 1 where one modulo 2 is, and else 0."""
        total: Polynomial = {}
        found = self.polynomial(a)
        if not all(is_bit(self.range_of(atom)) for monomial in found for atom in monomial):
            return None
        for monomial in sorted(found, key=order):
            both = self._times(total, {monomial: 1})
            if both is None or len(total) > _MOST // 4:
                return None
            total = plus(plus(total, {monomial: 1}), both, -2)
        return total

    def negated(self, condition: Term) -> Term:
        """``not condition``, a UInt(1)."""
        return self.of_polynomial(bool_, plus(self.polynomial(condition), _ONE))

    def conjunction(self, a: Term, b: Term) -> Term:
        """``a and b`` of two UInt(1)."""
        return self.whole_binary(BinaryKind.AND, a, b)

    def select_whole(self, condition: Term, a: Term, b: Term) -> Term:
        """``a if condition else b`` of integers."""
        type_ = whole(a.type)
        extreme = self._extreme(condition, a, b)
        if extreme is not None:
            return extreme
        chosen = self.polynomial(self.cast_whole(type_, condition))
        other = self.polynomial(b)
        change = self._times(chosen, plus(self.polynomial(a), other, -1))
        if change is not None and len(change) + len(other) <= _LONGEST:
            return self.of_polynomial(type_, plus(other, change))
        return self.make("select", type_, None, (condition, a, b))

    def choose_whole(self, choices: Sequence[tuple[Term, Term]], other: Term) -> Term:
        """The value of the first condition that holds, of (condition, value) of which at most one
        does; else the other."""
        type_ = whole(other.type)
        base = self.polynomial(other)
        total: Polynomial | None = base
        for condition, value in choices:
            chosen = self.polynomial(self.cast_whole(type_, condition))
            change = self._times(chosen, plus(self.polynomial(value), base, -1))
            total = plus(total, change) if total is not None and change is not None else None
        if total is not None and len(total) <= _LONGEST:
            return self.of_polynomial(type_, total)
        for condition, value in choices:
            other = self.select_whole(condition, value, other)
        return other

    def _extreme(self, condition: Term, a: Term, b: Term) -> Term | None:
        """The minimum or maximum that a choice is, if it is one."""
        if "lt" not in (condition.kind, *(p.kind for p in condition.parts)):
            return None
        less, greater = self.less(a, b), self.less(b, a)
        if condition is less or condition is self.negated(greater):
            return self._alike(BinaryKind.MIN, whole(a.type), a, b)
        if condition is greater or condition is self.negated(less):
            return self._alike(BinaryKind.MAX, whole(a.type), a, b)
        return None

    def compare_whole(self, predicate: Predicate, a: Term, b: Term) -> Term:
        """``a predicate b`` of integers, a UInt(1)."""
        match predicate:
            case Predicate.LT:
                return self.less(a, b)
            case Predicate.GT:
                return self.less(b, a)
            case Predicate.GE:
                return self.negated(self.less(a, b))
            case Predicate.LE:
                return self.negated(self.less(b, a))
            case Predicate.EQ:
                return self.equal(a, b)
            case Predicate.NE:
                return self.negated(self.equal(a, b))

    def less(self, a: Term, b: Term) -> Term:
        """``a < b``."""
        difference = plus(self._numbers(a), self._numbers(b), -1)
        rest, constant = without_constant(difference)
        if not rest:
            return self.const(int(constant < 0), bool_)
        factor = content(rest)
        bound = -(constant // factor)
        rest = {m: f // factor for m, f in rest.items()}
        if leads_negative(rest):
            opposite = self._exactly({m: -f for m, f in rest.items()})
            return self.negated(self._below(opposite, 1 - bound))
        return self._below(self._exactly(rest), bound)

    def equal(self, a: Term, b: Term) -> Term:
        """``a == b``."""
        one, other = self.exact(a), self.exact(b)
        if one is not None and other is not None:
            rest, constant = without_constant(plus(one, other, -1))
            factor = content(rest)
            if not rest or constant % factor:
                return self.const(int(not rest and not constant), bool_)
            sign = -factor if leads_negative(rest) else factor
            subject = self._exactly({m: f // sign for m, f in rest.items()})
            return self._is(subject, -constant // sign)
        # Modulo the width they are equal when their difference is 0.
        type_ = whole(a.type)
        rest, constant = without_constant(self.polynomial(self._sum(BinaryKind.SUB, a, b)))
        if not rest:
            return self.const(int(not constant), bool_)
        sign = -1 if leads_negative(rest) else 1
        subject = self.of_polynomial(type_, {m: sign * f for m, f in rest.items()})
        return self._is(subject, type_.wrap(-sign * constant))

    def _numbers(self, a: Term) -> Polynomial:
        """A polynomial that is a term's value as a number; the term itself where it may wrap."""
        exact = self.exact(a)
        return {(a,): 1} if exact is None else exact

    def _below(self, subject: Term, bound: int) -> Term:
        """``subject < bound``."""
        low, high = self.range_of(subject)
        if high < bound or low >= bound:
            return self.const(int(high < bound), bool_)
        if (low, high) == (0, 1):
            return self.negated(self.cast_whole(bool_, subject))
        return self.make("lt", bool_, bound, (subject,))

    def _is(self, subject: Term, number: int) -> Term:
        """``subject == number``."""
        low, high = self.range_of(subject)
        if not low <= number <= high:
            return self.const(0, bool_)
        if number == low:
            return self._below(subject, low + 1)
        if number == high:
            return self.negated(self._below(subject, high))
        return self.make("eq", bool_, number, (subject,))

    # --- ranges ----------------------------------------------------------------------------

    def range_of(self, a: Term) -> Range:
        """An interval that has every value of a term."""
        if a not in self._ranges:
            low, high = self._range(a)
            least, most = limits(a.type)
            # What may have wrapped can be anything.
            fits = least <= low and high <= most
            self._ranges[a] = (low, high) if fits else (least, most)
        return self._ranges[a]

    def _range(self, a: Term) -> Range:
        anything = limits(a.type)
        if a.constant is not None:
            return a.constant, a.constant
        parts: Callable[[], list[Range]] = lambda: [self.range_of(p) for p in a.parts]  # noqa: E731
        match a.kind:
            case "sum":
                return self.facts(a).range
            case "product" | "mul" | "monomial":
                return product_range(parts())
            case "quotient":
                ((low, high),) = parts()
                return low // a.number, high // a.number
            case "remainder":
                return 0, a.number - 1
            case "select":
                _, (low, high), (least, most) = parts()
                return min(low, least), max(high, most)
            case "min":
                return min(low for low, _ in parts()), min(high for _, high in parts())
            case "max":
                return max(low for low, _ in parts()), max(high for _, high in parts())
            case "and":
                tops = [high for low, high in parts() if low >= 0]
                return (0, min(tops)) if tops else anything
            case "rem" if (divisor := a.parts[1].constant) and divisor > 0:
                return 1 - divisor, divisor - 1
        return anything


def _is_polynomial(a: Term) -> bool:
    return a.kind in ("sum", "product")


def _ends(kind: BinaryKind, type_: Whole) -> tuple[int, int | None]:
    """The number that changes nothing, and the one that decides alone."""
    match kind:
        case BinaryKind.AND:
            return type_.wrap(-1), 0
        case BinaryKind.OR:
            return 0, type_.wrap(-1)
        case BinaryKind.MIN:
            return type_.max, type_.min
        case BinaryKind.MAX:
            return type_.min, type_.max
    return 0, None
