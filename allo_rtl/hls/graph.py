"""Building nodes: folding, simplification and sharing of equal operations.

A :class:`Graph` makes each distinct operation once (hash consing), folds constants with the
evaluator's own arithmetic, and applies the identities hardware profits from: no multiplication
by a power of two, no division by a constant where a shift or a reciprocal will do.
"""

from __future__ import annotations

from collections.abc import Callable

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.fold import apply
from allo_rtl.hls.node import (
    COMPARISONS,
    DIVISIONS,
    FLOAT_COMPARISONS,
    FloatSpec,
    Kind,
    Node,
    Number,
    disjoint,
    full_range,
)
from allo_rtl.hls.ranges import result_range
from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import Index, Int, UInt

BIT = UInt(1)
INDEX = Index()


_RECIPROCAL_BITS = 33
"""Numbers of more bits are divided by a divider, also by constants."""

_SHIFTS = (Kind.SHL, Kind.SHR)

_MAX_DIGITS = 3
"""Products by constants with more non-zero digits than this stay multiplications."""


def signed_digits(value: int) -> list[tuple[int, int]]:
    """Canonical signed digits of a number: (shift, +1 or -1), no two of them adjacent."""
    digits, shift = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            digits.append((shift, digit))
            value -= digit
        value >>= 1
        shift += 1
    return digits


class Graph:
    """Makes and shares the nodes of one region."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Node] = {}

    def const(self, value: int, type: Number) -> Node:
        """The constant ``value`` (wrapped to the type)."""
        value = type.wrap(value)
        key = (Kind.CONST, type, value)
        if key not in self._known:
            self._known[key] = Node(Kind.CONST, type, (), (value, value), value=value)
        return self._known[key]

    def make(
        self, kind: Kind, type: Number, *operands: Node, loc: SourceLoc | None = None
    ) -> Node:
        """The node for an operation: folded, simplified or shared where possible."""
        simple = self._simplify(kind, type, operands, loc)
        if simple is not None:
            return simple
        key = (kind, type, *operands)
        if key not in self._known:
            interval = result_range(kind, type, [o.range for o in operands])
            if interval[0] == interval[1]:
                return self.const(interval[0], type)
            self._known[key] = Node(kind, type, operands, interval, loc=loc)
        return self._known[key]

    def float(
        self, spec: FloatSpec, type: Number, *operands: Node, loc: SourceLoc | None = None
    ) -> Node:
        """The node for a floating-point operation on patterns (or an integer)."""
        if all(o.is_const for o in operands):
            return self.const(apply(Kind.FLOAT, type, [o.value for o in operands], spec), type)
        key = (Kind.FLOAT, spec, type, *operands)
        if key not in self._known:
            interval = (0, 1) if spec.kind in FLOAT_COMPARISONS else full_range(type)
            self._known[key] = Node(Kind.FLOAT, type, operands, interval, loc=loc, float=spec)
        return self._known[key]

    def cast(self, node: Node, type: Number, loc: SourceLoc | None = None) -> Node:
        """The node's number in another type."""
        return node if node.type == type else self.make(Kind.CAST, type, node, loc=loc)

    def both(self, a: Node | None, b: Node | None) -> Node | None:
        """Conjunction of two predicates, None meaning always."""
        if a is None or b is None:
            return a or b
        return self.make(Kind.AND, BIT, a, b)

    def negate(self, bit: Node) -> Node:
        """1 - bit."""
        return self.make(Kind.XOR, BIT, bit, self.const(1, BIT))

    def select(self, condition: Node, if_true: Node, if_false: Node) -> Node:
        """``if_true`` when condition is 1, else ``if_false``."""
        return self.make(Kind.SELECT, if_true.type, condition, if_true, if_false)

    def equals(self, node: Node, value: int) -> Node:
        """Whether the node's number is a constant."""
        return self.make(Kind.EQ, BIT, node, self.const(value, node.type))

    def multiplex(self, selector: Node, choices: list[Node]) -> Node:
        """``choices[selector]`` as a balanced tree of selects."""
        if len(choices) == 1:
            return choices[0]
        half = 1 << (len(choices) - 1).bit_length() - 1
        low = self.multiplex(self._low_bits(selector, half), choices[:half])
        high = self.multiplex(self._low_bits(selector, half), choices[half:])
        top = self.make(Kind.GE, BIT, selector, self.const(half, selector.type))
        return self.select(top, high, low)

    def _low_bits(self, node: Node, half: int) -> Node:
        return self.make(Kind.AND, node.type, node, self.const(half - 1, node.type))

    def affine(self, expr: AffineExpr, value: Callable[[Value], Node]) -> Node:
        """An affine expression over values, as a node of index type."""
        total = self.const(expr.const, INDEX)
        for atom, coefficient in expr.terms:
            if isinstance(atom, FloorDiv):
                node = self._floordiv(self.affine(atom.numerator, value), atom.divisor)
            elif isinstance(atom, Mod):
                node = self._mod(self.affine(atom.numerator, value), atom.divisor)
            else:
                node = value(atom)
            total = self._accumulate(total, node, coefficient)
        return total

    def _accumulate(self, total: Node, node: Node, coefficient: int) -> Node:
        scaled = self.make(Kind.MUL, INDEX, node, self.const(abs(coefficient), INDEX))
        return self.make(Kind.ADD if coefficient > 0 else Kind.SUB, INDEX, total, scaled)

    def _floordiv(self, node: Node, divisor: int) -> Node:
        return self.make(Kind.FLOORDIV, INDEX, node, self.const(divisor, INDEX))

    def _mod(self, node: Node, divisor: int) -> Node:
        if divisor & (divisor - 1) == 0:
            return self.make(Kind.AND, INDEX, node, self.const(divisor - 1, INDEX))
        multiple = self.make(
            Kind.MUL, INDEX, self._floordiv(node, divisor), self.const(divisor, INDEX)
        )
        return self.make(Kind.SUB, INDEX, node, multiple)

    def _simplify(
        self, kind: Kind, type: Number, operands: tuple[Node, ...], loc: SourceLoc | None
    ) -> Node | None:
        if kind is Kind.SELECT:
            return self._simplify_select(operands)
        if kind is Kind.CAST:
            return self._simplify_cast(type, operands[0])
        a, b = operands
        if a.is_const and b.is_const:
            result = BIT if kind in COMPARISONS else type
            return self.const(apply(kind, type, [a.value, b.value]), result)
        if kind in COMPARISONS:
            return self._simplify_compare(kind, a, b)
        if kind is Kind.MUL:
            return self._simplify_mul(type, a, b, loc)
        if kind in DIVISIONS:
            return self._divide_by_constant(kind, type, a, b)
        if kind in _SHIFTS and b.is_const and not 0 <= b.value < type.bits:
            return self._shift_out(kind, type, a)
        return self._identity(kind, type, a, b)

    def _shift_out(self, kind: Kind, type: Number, a: Node) -> Node:
        """A shift by the width or more: every bit goes out; signs come in on the right."""
        if kind is Kind.SHL or a.range[0] >= 0:
            return self.const(0, type)
        return self.make(Kind.SHR, type, a, self.const(type.bits - 1, type))

    def _simplify_select(self, operands: tuple[Node, ...]) -> Node | None:
        condition, if_true, if_false = operands
        if condition.is_const:
            return if_true if condition.value else if_false
        chosen, other = _given(condition, 1, if_true), _given(condition, 0, if_false)
        if chosen is other:
            return chosen
        if chosen is if_true and other is if_false:
            return None
        return self.select(condition, chosen, other)

    def _simplify_cast(self, type: Number, node: Node) -> Node | None:
        if node.type == type:
            return node
        if node.is_const:
            return self.const(node.value, type)
        inner = node.operands[0] if node.kind is Kind.CAST else None
        if inner is not None and inner.range == node.range:
            return self.cast(inner, type)  # the inner cast lost nothing
        return None

    def _simplify_compare(self, kind: Kind, a: Node, b: Node) -> Node | None:
        (alo, ahi), (blo, bhi) = a.range, b.range
        always: bool | None = None
        match kind:
            case Kind.LT | Kind.GE:
                always = True if ahi < blo else False if alo >= bhi else None
            case Kind.GT | Kind.LE:
                always = True if alo > bhi else False if ahi <= blo else None
            case Kind.EQ | Kind.NE:
                always = False if ahi < blo or alo > bhi else True if a is b else None
        if always is None:
            return None
        return self.const(int(always == (kind in (Kind.LT, Kind.GT, Kind.EQ))), BIT)

    def _simplify_mul(
        self, type: Number, a: Node, b: Node, loc: SourceLoc | None
    ) -> Node | None:
        if a.is_const:
            a, b = b, a
        if not b.is_const:
            return None
        if b.value in (0, 1):
            return self.const(0, type) if b.value == 0 else a
        if b.value > 0 and b.value & (b.value - 1) == 0:
            amount = self.const(b.value.bit_length() - 1, type)
            return self.make(Kind.SHL, type, a, amount, loc=loc)
        digits = signed_digits(b.value)
        if len(digits) > _MAX_DIGITS:
            return None
        total = self.const(0, type)
        for shift, sign in sorted(digits, key=lambda d: -d[1]):  # a positive one first
            term = self.make(Kind.SHL, type, a, self.const(shift, type), loc=loc)
            total = self.make(Kind.ADD if sign > 0 else Kind.SUB, type, total, term, loc=loc)
        return total

    def _divide_by_constant(self, kind: Kind, type: Number, a: Node, b: Node) -> Node | None:
        """Division by a positive constant: shifts, or the product with a reciprocal."""
        if not b.is_const or b.value < 1:
            return None
        divisor, (low, high) = b.value, a.range
        if divisor == 1:
            return self.const(0, type) if kind is Kind.REM else a
        power = divisor & (divisor - 1) == 0
        if not power and max(-low, high) >> _RECIPROCAL_BITS:
            return None
        if kind is Kind.REM:
            if power and low >= 0:
                return self.make(Kind.AND, type, a, self.const(divisor - 1, type))
            quotient = self.make(Kind.DIV, type, a, b)
            multiple = self.make(Kind.MUL, type, quotient, b)
            return self.make(Kind.SUB, type, a, multiple)
        if power:
            return self._shifted(kind, type, a, divisor)
        return self._by_magnitude(kind, type, a, divisor)

    def _shifted(self, kind: Kind, type: Number, a: Node, divisor: int) -> Node:
        """Division by a power of two; a negative number is raised first to round toward zero."""
        wide = Int(type.bits + 1)
        if kind is Kind.DIV and a.range[0] < 0:
            negative = self.make(Kind.LT, BIT, a, self.const(0, a.type))
            bias = self.select(negative, self.const(divisor - 1, wide), self.const(0, wide))
            a = self.make(Kind.ADD, wide, self.cast(a, wide), bias)
        amount = self.const(divisor.bit_length() - 1, a.type)
        return self.cast(self.make(Kind.SHR, a.type, a, amount), type)

    def _by_magnitude(self, kind: Kind, type: Number, a: Node, divisor: int) -> Node:
        """Division of the number without its sign, which the quotient gets again."""
        low, high = a.range
        wide = Int(2 * _RECIPROCAL_BITS + divisor.bit_length() + 8)
        number = self.cast(a, wide)
        if low >= 0:
            return self.cast(self._reciprocal(number, divisor, high, wide), type)
        negative = self.make(Kind.LT, BIT, a, self.const(0, a.type))
        raised = self.const(divisor - 1 if kind is Kind.FLOORDIV else 0, wide)
        magnitude = self.select(negative, self.make(Kind.SUB, wide, raised, number), number)
        most = max(high, (divisor - 1 if kind is Kind.FLOORDIV else 0) - low)
        quotient = self._reciprocal(magnitude, divisor, most, wide)
        minus = self.make(Kind.SUB, wide, self.const(0, wide), quotient)
        return self.cast(self.select(negative, minus, quotient), type)

    def _reciprocal(self, node: Node, divisor: int, high: int, wide: Number) -> Node:
        """``node // divisor`` for 0 <= node <= high, as (node * m) >> s.

        With m = ceil(2**s / divisor) the error is below high * divisor / 2**s / divisor, so
        s = bits(high) + bits(divisor) makes it exact (Granlund and Montgomery, PLDI 1994).
        """
        shift = high.bit_length() + divisor.bit_length()
        factor = -(-(1 << shift) // divisor)
        product = self.make(Kind.MUL, wide, node, self.const(factor, wide))
        return self.make(Kind.SHR, wide, product, self.const(shift, wide))

    def _identity(self, kind: Kind, type: Number, a: Node, b: Node) -> Node | None:
        if a.is_const and kind in (Kind.ADD, Kind.AND, Kind.OR, Kind.XOR):
            a, b = b, a
        if kind is Kind.ADD and disjoint(a, b) and not (b.is_const and b.value == 0):
            return self.make(Kind.OR, type, a, b)  # wires only
        if not b.is_const:
            return None
        if b.value == 0:
            if kind in (Kind.ADD, Kind.SUB, Kind.OR, Kind.XOR, Kind.SHL, Kind.SHR):
                return a
            return b if kind is Kind.AND else None
        if kind is Kind.AND and b.value > 0 and b.value & (b.value + 1) == 0:
            return a if a.range[0] >= 0 and a.range[1] <= b.value else None
        if kind is Kind.AND and b.value == type.wrap(-1):
            return a
        return None


def _given(condition: Node, value: int, node: Node) -> Node:
    """What a node is where a condition is known: it need not ask again."""
    while node.kind is Kind.SELECT and node.operands[0] is condition:
        node = node.operands[1 if value else 2]
    return node
