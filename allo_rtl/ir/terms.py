"""What a value is as a function of a kernel's inputs: terms in a normal form.

Equal terms are the same object.  Constants are folded with the evaluator's arithmetic, integer sums
are linear combinations modulo their width whatever order they were added up in, and commutative
operators have their operands in one order.  Two values with one term are equal for all inputs;
two values with different terms may still be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from allo_rtl.ir.arithmetic import eval_binary, eval_bitcast, eval_cast, eval_compare, eval_math
from allo_rtl.ir.ops import BinaryKind, MathKind, Predicate
from allo_rtl.ir.types import Float, Index, IntegerType, Type, bool_

_ages = count()

_COMMUTATIVE = frozenset({
    BinaryKind.ADD, BinaryKind.MUL, BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR,
    BinaryKind.MIN, BinaryKind.MAX,
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Term:
    """One term; make it with :class:`Terms`.

    Attributes:
        kind: what it is: ``input``, ``const``, ``sum``, an operator.
        type: of its value.
        detail: the number of a constant, the name of an input, what else tells operators apart.
        parts: operands; of a sum, its terms.
        factors: of a sum, the factor of each term.
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

    def __str__(self) -> str:
        return _text(self, 4)


class Terms:
    """Makes terms, each once."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Term] = {}

    def _make(
        self,
        kind: str,
        type_: Type,
        detail: object = None,
        parts: tuple[Term, ...] = (),
        factors: tuple[int, ...] = (),
    ) -> Term:
        key = (kind, type_, detail, parts, factors)
        if key not in self._known:
            self._known[key] = Term(kind, type_, detail, parts, factors)
        return self._known[key]

    def input(self, name: str, type_: Type) -> Term:
        """A value that may be anything; the same name is the same value."""
        return self._make("input", type_, name)

    def const(self, value: int, type_: Type) -> Term:
        """A known value."""
        return self._make("const", type_, value)

    def binary(self, kind: BinaryKind, type_: Type, a: Term, b: Term) -> Term:
        """``a kind b`` of one type."""
        if a.constant is not None and b.constant is not None:
            return self.const(eval_binary(kind, type_, a.constant, b.constant), type_)
        if isinstance(type_, IntegerType | Index):
            match kind:
                case BinaryKind.ADD:
                    return self._sum(type_, [*_linear(a), *_linear(b)])
                case BinaryKind.SUB:
                    return self._sum(type_, [*_linear(a), *((t, -f) for t, f in _linear(b))])
                case BinaryKind.MUL if b.constant is not None or a.constant is not None:
                    known, other = (a, b) if a.constant is not None else (b, a)
                    factor = known.constant or 0
                    return self._sum(type_, [(t, f * factor) for t, f in _linear(other)])
        if kind in _COMMUTATIVE and a.age > b.age:
            a, b = b, a
        return self._make(kind.value, type_, None, (a, b))

    def _sum(
        self, type_: IntegerType | Index, terms: Iterable[tuple[Term | None, int]]
    ) -> Term:
        """The sum of multiples of terms; None stands for 1."""
        total: dict[Term | None, int] = {}
        for term, factor in terms:
            total[term] = type_.wrap(total.get(term, 0) + factor)
        kept = {t: f for t, f in total.items() if f}
        constant = kept.pop(None, 0)
        if not kept:
            return self.const(constant, type_)
        if constant == 0 and len(kept) == 1:
            ((term, factor),) = kept.items()
            if factor == 1 and term is not None:
                return term
        ordered = sorted(kept.items(), key=lambda item: item[0].age if item[0] else -1)
        parts = tuple(t for t, _ in ordered if t is not None)
        return self._make("sum", type_, constant, parts, tuple(f for _, f in ordered))

    def cast(self, target: Type, a: Term) -> Term:
        """A value as one of another type."""
        if a.type == target:
            return a
        if a.constant is not None:
            return self.const(eval_cast(target, a.constant, a.type), target)
        if isinstance(target, IntegerType | Index) and isinstance(a.type, IntegerType | Index):
            if a.kind == "cast" and self._lossless(a, target):
                return self.cast(target, a.parts[0])
            # The low bits of a sum are the sum of the low bits.
            if a.kind == "sum" and target.bits <= a.type.bits:
                parts = [
                    (t, f * g)
                    for term, f in _linear(a)
                    for t, g in (_linear(self.cast(target, term)) if term else [(None, 1)])
                ]
                return self._sum(target, parts)
        return self._make("cast", target, None, (a,))

    def _lossless(self, a: Term, target: IntegerType | Index) -> bool:
        """Whether the inner of two casts changes nothing that the outer one keeps."""
        inner, origin = a.type, a.parts[0].type
        if not isinstance(inner, IntegerType | Index):
            return False
        if not isinstance(origin, IntegerType | Index):
            return False
        holds = inner.min <= origin.min and origin.max <= inner.max
        return holds or target.bits <= inner.bits

    def bitcast(self, target: Type, a: Term) -> Term:
        """The same bits as another type."""
        if a.type == target:
            return a
        if a.constant is not None:
            return self.const(eval_bitcast(target, a.constant), target)
        if a.kind == "bitcast":
            return self.bitcast(target, a.parts[0])
        return self._make("bitcast", target, None, (a,))

    def compare(self, predicate: Predicate, a: Term, b: Term) -> Term:
        """``a predicate b``, a UInt(1)."""
        if a.constant is not None and b.constant is not None:
            return self.const(eval_compare(predicate, a.constant, b.constant, a.type), bool_)
        if a is b and not isinstance(a.type, Float):
            equal = predicate in (Predicate.EQ, Predicate.LE, Predicate.GE)
            return self.const(int(equal), bool_)
        return self._make(predicate.value, bool_, None, (a, b))

    def select(self, condition: Term, a: Term, b: Term) -> Term:
        """``a if condition else b``."""
        if condition.constant is not None:
            return a if condition.constant else b
        return a if a is b else self._make("select", a.type, None, (condition, a, b))

    def math(self, kind: MathKind, type_: Type, args: tuple[Term, ...]) -> Term:
        """A function of floating-point numbers."""
        known = [a.constant for a in args]
        if all(k is not None for k in known):
            numbers = tuple(k for k in known if k is not None)
            return self.const(eval_math(kind, type_, numbers), type_)
        return self._make(kind.value, type_, None, args)


def _linear(a: Term) -> list[tuple[Term | None, int]]:
    """A term as multiples of terms; None stands for 1."""
    if a.constant is not None:
        return [(None, a.constant)]
    if a.kind != "sum":
        return [(a, 1)]
    assert isinstance(a.detail, int)
    return [(None, a.detail), *zip(a.parts, a.factors, strict=True)]


def _text(a: Term, depth: int) -> str:
    """The term for people, to a depth."""
    match a.kind:
        case "const" | "input":
            return str(a.detail)
        case _ if depth == 0:
            return "..."
        case "sum":
            parts = [_text(t, depth - 1) for t in a.parts]
            shown = [p if f == 1 else f"{f}*{p}" for p, f in zip(parts, a.factors, strict=True)]
            shown += [str(a.detail)] if a.detail else []
            return "(" + " + ".join(shown) + ")"
        case "cast":
            return _text(a.parts[0], depth)
    return f"{a.kind}({', '.join(_text(p, depth - 1) for p in a.parts)})"
