"""Integer dataflow written as formulas: numbers that know their range, and emit operations.

A :class:`Number` stands for a value of the loop IR, read as a multiple of ``2**-fracs``, and knows
the interval it lies in.  Formulas over numbers are *exact*: each result gets the type that its
interval needs, so nothing overflows and no width is written down.  What rounds says so:
:meth:`Number.floor`, ``>>`` and :meth:`Number.bits` are the only ones that lose anything.

    flow = Flow("average", (8, 8))
    a, b = flow.args
    func, tables = flow.function(((a + b).scaled(-1)).floor(0), 8)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Binary,
    BinaryKind,
    Cast,
    Compare,
    Constant,
    FloatKind,
    FloatOp,
    For,
    Func,
    GetGlobal,
    Global,
    Load,
    LoopAttrs,
    Op,
    Predicate,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import ArrayType, Float, Int, IntegerType, ScalarType, UInt, bool_, index

type Operand = Number | int | Fraction
"""What formulas accept: numbers and constants (fractions only of powers of two)."""


def integer_type(low: int, high: int) -> IntegerType:
    """The narrowest type that holds every integer of an interval."""
    if low >= 0:
        return UInt(max(1, high.bit_length()))
    return Int(max(high.bit_length(), (~low).bit_length()) + 1)


@dataclass(frozen=True, eq=False)
class Number:
    """``raw * 2**-fracs`` for a ``raw`` of ``low`` to ``high``.

    Attributes:
        flow: where operations on it go.
        source: the value that holds raw, or raw itself where it is constant.
        low, high: smallest and largest raw.
        fracs: bits after the binary point; may be negative.
    """

    flow: Flow
    source: Value | int
    low: int
    high: int
    fracs: int = 0

    @property
    def width(self) -> int:
        """Bits of its type."""
        return integer_type(self.low, self.high).width

    # Exact arithmetic

    def __add__(self, other: Operand) -> Number:
        a, b = self._aligned(other)
        return a._binary(BinaryKind.ADD, b, a.low + b.low, a.high + b.high)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Number:
        a, b = self._aligned(other)
        return a._binary(BinaryKind.SUB, b, a.low - b.high, a.high - b.low)

    def __rsub__(self, other: Operand) -> Number:
        return self.flow.number(other) - self

    def __neg__(self) -> Number:
        return 0 - self

    def __mul__(self, other: Operand) -> Number:
        b = self.flow.number(other)
        ends = [x * y for x in (self.low, self.high) for y in (b.low, b.high)]
        product = self._binary(BinaryKind.MUL, b, min(ends), max(ends))
        return replace(product, fracs=self.fracs + b.fracs)

    __rmul__ = __mul__

    def scaled(self, exponent: int) -> Number:
        """``self * 2**exponent``; no operation, only another binary point."""
        return replace(self, fracs=self.fracs - exponent)

    def __abs__(self) -> Number:
        size = self.flow.choose(self < 0, -self, self)
        return replace(size._narrowed(integer_type(0, size.high)), low=0)

    def max(self, other: Operand) -> Number:
        """The larger of two numbers."""
        a, b = self._aligned(other)
        return a._binary(BinaryKind.MAX, b, max(a.low, b.low), max(a.high, b.high), cover=True)

    def min(self, other: Operand) -> Number:
        """The smaller of two numbers."""
        a, b = self._aligned(other)
        return a._binary(BinaryKind.MIN, b, min(a.low, b.low), min(a.high, b.high), cover=True)

    # Bits of raw

    def floor(self, fracs: int) -> Number:
        """Rounded down to a multiple of ``2**-fracs``; itself where it is one already."""
        drop = self.fracs - fracs
        return self if drop <= 0 else replace(self >> drop, fracs=fracs)

    def extended(self, fracs: int) -> Number:
        """The same number with that many bits after the binary point, or more."""
        return replace(self << max(0, fracs - self.fracs), fracs=max(fracs, self.fracs))

    def __rshift__(self, amount: Number | int) -> Number:
        """Raw shifted right by a whole number of places, 0 or more, what falls out is lost."""
        n = self.flow.number(amount)
        assert n.low >= 0
        assert n.fracs == 0
        if n.high == 0:
            return self
        low, high = (self.low >> (n.high if self.low >= 0 else n.low),
                     self.high >> (n.low if self.high >= 0 else n.high))
        return self._binary(BinaryKind.SHR, n, low, high, cover=True)

    def __lshift__(self, amount: Number | int) -> Number:
        """``self * 2**amount``, exact, for a whole number of places, 0 or more."""
        n = self.flow.number(amount)
        assert n.low >= 0
        assert n.fracs == 0
        if n.high == 0:
            return self
        low, high = (self.low << (n.low if self.low >= 0 else n.high),
                     self.high << (n.high if self.high >= 0 else n.low))
        return self._binary(BinaryKind.SHL, n, low, high, cover=True)

    def bits(self, start: int, count: int) -> Number:
        """``count`` bits of raw (two's complement) from bit ``start``, as an unsigned integer."""
        full = (1 << count) - 1
        shifted = self >> start
        if shifted.low >= 0 and shifted.high <= full:
            return replace(shifted, fracs=0)
        return replace(shifted._narrowed(UInt(count)), low=0, high=full, fracs=0)

    def within(self, low: int | Fraction, below: int | Fraction) -> Number:
        """The same number, known by an argument of yours to be ``low`` or more and less than
        ``below``.
        """
        first = max(ceil(low * Fraction(2) ** self.fracs), self.low)
        last = min(ceil(below * Fraction(2) ** self.fracs) - 1, self.high)
        return replace(self._narrowed(integer_type(first, last)), low=first, high=last)

    def signed(self, width: int) -> Number:
        """An integer of ``width`` bits, not negative, read as two's complement."""
        type_ = Int(width)
        return Number(self.flow, self._narrowed(type_).source, type_.min, type_.max, self.fracs)

    def __and__(self, other: Operand) -> Number:
        a, b = self._aligned(other)
        assert min(a.low, b.low) >= 0
        return a._binary(BinaryKind.AND, b, 0, min(a.high, b.high), cover=True)

    def __or__(self, other: Operand) -> Number:
        a, b = self._aligned(other)
        assert min(a.low, b.low) >= 0
        full = (1 << max(a.high, b.high).bit_length()) - 1
        return a._binary(BinaryKind.OR, b, 0, full)

    def __xor__(self, other: Operand) -> Number:
        a, b = self._aligned(other)
        assert min(a.low, b.low) >= 0
        full = (1 << max(a.high, b.high).bit_length()) - 1
        return a._binary(BinaryKind.XOR, b, 0, full)

    def __invert__(self) -> Number:
        """Not, of a condition (a number that is 0 or 1)."""
        assert (self.low, self.high) in ((0, 0), (0, 1), (1, 1))
        return self ^ 1

    # Comparisons: 1 or 0

    def equals(self, other: Operand) -> Number:
        """Whether both are the same number."""
        return self._compare(Predicate.EQ, other)

    def __lt__(self, other: Operand) -> Number:
        return self._compare(Predicate.LT, other)

    def __le__(self, other: Operand) -> Number:
        return self._compare(Predicate.LE, other)

    def __gt__(self, other: Operand) -> Number:
        return self._compare(Predicate.GT, other)

    def __ge__(self, other: Operand) -> Number:
        return self._compare(Predicate.GE, other)

    # How operations are made

    def value(self, type_: ScalarType) -> Value:
        """Raw as a value of a type, modulo its width."""
        assert isinstance(type_, IntegerType) or self.low >= 0
        if isinstance(self.source, int):
            result = Value(type_)
            wrapped = type_.wrap(self.source) if isinstance(type_, IntegerType) else self.source
            return self.flow.emit(Constant(result=result, value=wrapped), result)
        if self.source.type == type_:
            return self.source
        result = Value(type_)
        return self.flow.emit(Cast(result=result, operand=self.source), result)

    def _aligned(self, other: Operand) -> tuple[Number, Number]:
        b = self.flow.number(other)
        fracs = max(self.fracs, b.fracs)
        return self.extended(fracs), b.extended(fracs)

    def _narrowed(self, type_: IntegerType) -> Number:
        source = type_.wrap(self.source) if isinstance(self.source, int) else self.value(type_)
        return replace(self, source=source)

    def _binary(
        self, kind: BinaryKind, other: Number, low: int, high: int, cover: bool = False
    ) -> Number:
        """``cover``: the operation is not one of integers modulo 2**width, operands must fit."""
        if low == high:
            return Number(self.flow, low, low, low, self.fracs)
        ends = (low, high, self.low, self.high, other.low, other.high) if cover else (low, high)
        type_ = integer_type(min(ends), max(ends))
        result = Value(type_)
        op = Binary(kind=kind, result=result, lhs=self.value(type_), rhs=other.value(type_))
        whole = Number(self.flow, self.flow.emit(op, result), low, high, self.fracs)
        return whole._narrowed(integer_type(low, high))

    def _compare(self, predicate: Predicate, other: Operand) -> Number:
        a, b = self._aligned(other)
        type_ = integer_type(min(a.low, b.low), max(a.high, b.high))
        result = Value(bool_)
        op = Compare(predicate=predicate, result=result, lhs=a.value(type_), rhs=b.value(type_))
        return Number(self.flow, self.flow.emit(op, result), 0, 1)


class Flow:
    """The function under construction.

    Args:
        name: of the function; its tables are called after it.
        widths: bits of each argument, which are unsigned.

    Attributes:
        args: the arguments.
    """

    def __init__(self, name: str, widths: Sequence[int]) -> None:
        self._name = name
        self._values = tuple(Value(UInt(w), name) for w, name in zip(widths, "xyz", strict=False))
        self._ops: list[Op] = []
        self._tables: list[Global] = []
        self.args = tuple(Number(self, v, 0, (1 << v.scalar.bits) - 1) for v in self._values)

    def number(self, value: Operand) -> Number:
        """A constant as a number.

        Raises:
            ValueError: a fraction that is no multiple of a power of two.
        """
        if isinstance(value, Number):
            return value
        exact = Fraction(value)
        fracs = exact.denominator.bit_length() - 1
        if exact.denominator != 1 << fracs:
            raise ValueError(f"{value} has no finite binary expansion")
        return Number(self, exact.numerator, exact.numerator, exact.numerator, fracs)

    def emit(self, op: Op, result: Value) -> Value:
        """Add an operation; gives its result."""
        self._ops.append(op)
        return result

    def choose(self, condition: Number, yes: Operand, no: Operand) -> Number:
        """``yes`` where the condition is 1, else ``no``."""
        if isinstance(condition.source, int):
            return self.number(yes if condition.source else no)
        a, b = self.number(yes)._aligned(no)
        low, high = min(a.low, b.low), max(a.high, b.high)
        type_ = integer_type(low, high)
        result = Value(type_)
        op = Select(
            result=result, condition=condition.value(bool_),
            if_true=a.value(type_), if_false=b.value(type_),
        )  # fmt: skip
        return Number(self, self.emit(op, result), low, high, a.fracs)

    def cases(self, *cases: tuple[Number, Operand], default: Operand) -> Number:
        """The number beside the first condition that is 1, or the default."""
        result = self.number(default)
        for condition, number in reversed(cases):
            result = self.choose(condition, number, result)
        return result

    def lookup(self, at: Number, columns: Sequence[Sequence[int]]) -> list[Number]:
        """Entry ``at`` of tables of integers, all of one length, kept side by side in one ROM."""
        spans = [(min(c), max(c)) for c in columns]
        widths = [integer_type(*span).width for span in spans]
        starts = [sum(widths[:n]) for n in range(len(widths) + 1)]
        rows = (
            sum((x & (1 << w) - 1) << s for x, w, s in zip(row, widths, starts, strict=False))
            for row in zip(*columns, strict=True)
        )
        assert at.low >= 0
        assert at.high < len(columns[0])
        word = self._load(at, tuple(rows), UInt(starts[-1]))
        return [
            self._column(word.bits(start, width), span)
            for start, width, span in zip(starts, widths, spans, strict=False)
        ]

    def _column(self, field: Number, span: tuple[int, int]) -> Number:
        low, high = span
        if low == high:
            return self.number(low)
        return replace(field.signed(field.width) if low < 0 else field, low=low, high=high)

    def _load(self, at: Number, rows: tuple[int, ...], element: UInt) -> Number:
        table = Global(
            name=f"{self._name}_table{len(self._tables)}",
            type=ArrayType(element, (len(rows),)), data=rows,
        )  # fmt: skip
        self._tables.append(table)
        array, result = Value(table.type, table.name), Value(element)
        self.emit(GetGlobal(result=array, name=table.name), array)
        place = AffineExpr.of(at.value(index))
        loaded = self.emit(Load(result=result, array=array, index=(place,)), result)
        return Number(self, loaded, 0, element.max)

    def floating(self, kind: FloatKind, format: Float, *args: Number) -> Number:
        """A floating-point operation whose result is a pattern of the same format."""
        type_ = UInt(format.width)
        result = Value(type_)
        patterns = tuple(a.value(type_) for a in args)
        op = FloatOp(kind=kind, format=format, result=result, args=patterns)
        return Number(self, self.emit(op, result), 0, type_.max)

    def repeat(
        self, count: int, start: Number, width: int, step: Callable[[Number, Number], Number]
    ) -> Number:
        """``start``, and then ``count`` times what ``step`` makes of turn number and state.

        The state is an unsigned integer of ``width`` bits.
        """
        element = UInt(width)
        cell, turn = Value(ArrayType(element, ()), "state"), Value(index, "turn")
        self.emit(Alloc(result=cell), cell)
        self._ops.append(Store(value=start.value(element), array=cell))
        outer, self._ops = self._ops, []
        number = Value(integer_type(0, count - 1))
        self.emit(Cast(result=number, operand=turn), number)
        after = step(Number(self, number, 0, count - 1), self._cell(cell, element))
        self._ops.append(Store(value=after.value(element), array=cell))
        bounds = (AffineExpr.constant(0),), (AffineExpr.constant(count),)
        loop = For(
            iv=turn, lower=bounds[0], upper=bounds[1], body=tuple(self._ops),
            name="turn", attrs=LoopAttrs(band=f"{self._name}_steps", pipeline_ii=1),
        )  # fmt: skip
        self._ops = [*outer, loop]
        return self._cell(cell, element)

    def _cell(self, cell: Value, element: UInt) -> Number:
        result = Value(element)
        return Number(self, self.emit(Load(result=result, array=cell), result), 0, element.max)

    def function(self, result: Number, width: int) -> tuple[Func, tuple[Global, ...]]:
        """The function that returns ``result`` as an unsigned integer of ``width`` bits."""
        returned = result.value(UInt(width))
        body = (*self._ops, Return(values=(returned,)))
        func = Func(name=self._name, args=self._values, results=(UInt(width),), body=body)
        return func, tuple(self._tables)
