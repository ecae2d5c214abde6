"""What a value is as a function of a kernel's inputs: terms in a normal form.

Equal terms are the same object.  Constants are folded with the evaluator's arithmetic; integers are
polynomials (:mod:`allo_rtl.ir.integer_terms`); of other types commutative operators have their
operands in one order, and choices are by conditions that are not negated.  Two values with one term
are equal for all inputs; two values with different terms may still be.
"""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.ir.arithmetic import eval_binary, eval_bitcast, eval_cast, eval_compare, eval_math
from allo_rtl.ir.integer_terms import IntegerTerms
from allo_rtl.ir.ops import BinaryKind, MathKind, Predicate
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.types import Index, IntegerType, Type, bool_

__all__ = ["Term", "Terms"]

_COMMUTATIVE = frozenset({BinaryKind.ADD, BinaryKind.MUL, BinaryKind.MIN, BinaryKind.MAX})
_SWAPPED = {Predicate.GT: Predicate.LT, Predicate.GE: Predicate.LE}


def _is_whole(type_: Type) -> bool:
    return isinstance(type_, IntegerType | Index)


class Terms(IntegerTerms):
    """Makes terms, each once."""

    def __init__(self) -> None:
        super().__init__()
        self._binary: dict[tuple[BinaryKind, Term, Term], Term] = {}
        self._casts: dict[tuple[Type, Term], Term] = {}

    def binary(self, kind: BinaryKind, type_: Type, a: Term, b: Term) -> Term:
        """``a kind b`` of one type."""
        if a.constant is not None and b.constant is not None:
            return self.const(eval_binary(kind, type_, a.constant, b.constant), type_)
        if _is_whole(type_):
            if (found := self._binary.get((kind, a, b))) is None:
                found = self._binary[kind, a, b] = self.whole_binary(kind, a, b)
            return found
        if kind in _COMMUTATIVE and a.age > b.age:
            a, b = b, a
        return self.make(kind.value, type_, None, (a, b))

    def cast(self, target: Type, a: Term) -> Term:
        """A value as one of another type."""
        if (found := self._casts.get((target, a))) is None:
            found = self._casts[target, a] = self._cast(target, a)
        return found

    def _cast(self, target: Type, a: Term) -> Term:
        if a.type == target:
            return a
        if a.constant is not None:
            return self.const(eval_cast(target, a.constant, a.type), target)
        if isinstance(target, IntegerType | Index) and _is_whole(a.type):
            return self.cast_whole(target, a)
        return self.make("cast", target, None, (a,))

    def bitcast(self, target: Type, a: Term) -> Term:
        """The same bits as another type."""
        if a.type == target:
            return a
        if a.constant is not None:
            return self.const(eval_bitcast(target, a.constant), target)
        if isinstance(target, IntegerType | Index) and _is_whole(a.type):
            return self.cast_whole(target, a)
        if a.kind == "bitcast":
            return self.bitcast(target, a.parts[0])
        return self.make("bitcast", target, None, (a,))

    def compare(self, predicate: Predicate, a: Term, b: Term) -> Term:
        """``a predicate b``, a UInt(1)."""
        if a.constant is not None and b.constant is not None:
            return self.const(eval_compare(predicate, a.constant, b.constant, a.type), bool_)
        if _is_whole(a.type):
            return self.compare_whole(predicate, a, b)
        if predicate in _SWAPPED:
            predicate, a, b = _SWAPPED[predicate], b, a
        elif predicate in (Predicate.EQ, Predicate.NE) and a.age > b.age:
            a, b = b, a
        return self.make(predicate.value, bool_, None, (a, b))

    def select(self, condition: Term, a: Term, b: Term) -> Term:
        """``a if condition else b``."""
        if condition.constant is not None:
            return a if condition.constant else b
        if a is b:
            return a
        if _is_whole(a.type):
            return self.select_whole(condition, a, b)
        if condition.kind == "sum" and condition.number % 2:
            condition, a, b = self.negated(condition), b, a
        a, b = _chosen(a, condition, 1), _chosen(b, condition, 2)
        return a if a is b else self.make("select", a.type, None, (condition, a, b))

    def choose(self, choices: Sequence[tuple[Term, Term]], other: Term) -> Term:
        """The value whose condition holds, of (condition, value) of which at most one does; else
        the other."""
        if _is_whole(other.type):
            return self.choose_whole(choices, other)
        for condition, value in choices:
            other = self.select(condition, value, other)
        return other

    def math(self, kind: MathKind, type_: Type, args: tuple[Term, ...]) -> Term:
        """A function of floating-point numbers."""
        known = [a.constant for a in args]
        if all(k is not None for k in known):
            numbers = tuple(k for k in known if k is not None)
            return self.const(eval_math(kind, type_, numbers), type_)
        return self.make(kind.value, type_, None, args)


def _chosen(a: Term, condition: Term, way: int) -> Term:
    """A term where it is known which way its choices by a condition go."""
    while a.kind == "select" and a.parts[0] is condition:
        a = a.parts[way]
    return a
