"""Making operations: open blocks, operands that may still be affine, casts and constants.

An :class:`Operand` is the result of an expression: its type by the typing rules, and either the
value that holds it or the affine expression of loop counters it equals (a constant is one).
Operations are made only when a value is needed, so subscripts and bounds stay affine and
constants are folded, always with the numbers the operations would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from allo_rtl.errors import KernelTypeError, SourceLoc
from allo_rtl.frontend.constexpr import raw_of
from allo_rtl.frontend.typing_rules import DEFAULT, RuleSet
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.arithmetic import (
    eval_binary,
    eval_bitcast,
    eval_cast,
    eval_compare,
    eval_math,
    wrap,
)
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
    Bitcast,
    Call,
    Cast,
    Compare,
    Constant,
    Load,
    Math,
    MathKind,
    Op,
    Predicate,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import (
    ArrayType,
    Float,
    Index,
    IntegerType,
    ScalarType,
    Struct,
    bool_,
    float32,
    index,
)

type _Element = Callable[[tuple[AffineExpr, ...]], Operand]


@dataclass(frozen=True, slots=True)
class Operand:
    """A scalar: ``value`` holds it, or ``affine`` is an expression that equals it, or both.

    Attributes:
        known: the int that stands for a constant that is not an integer.
        literal: the number of a floating-point literal, which is exact until it is converted.
    """

    type: ScalarType
    value: Value | None = None
    affine: AffineExpr | None = None
    known: int | None = None
    literal: float | None = None

    @property
    def constant(self) -> int | None:
        """The int that stands for it (see :mod:`allo_rtl.ir.types`), when it is known."""
        if self.affine is not None and self.affine.is_constant:
            return self.affine.const
        return self.known


def constant(raw: int, type_: ScalarType) -> Operand:
    """A constant operand from the int that stands for it, which is wrapped to the type."""
    raw = wrap(type_, raw)
    if isinstance(type_, IntegerType | Index):
        return Operand(type_, affine=AffineExpr.constant(raw))
    return Operand(type_, known=raw)


def number(value: int, type_: ScalarType) -> Operand:
    """A constant operand from its number; to integer types ``value`` is wrapped."""
    return constant(eval_cast(type_, value), type_)


def float_literal(value: float, type_: Float = float32) -> Operand:
    """A floating-point literal: a float32 that is exact until it is converted."""
    raw = raw_of(type_, value)
    assert raw is not None
    return Operand(type_, known=raw, literal=value)


def limits(type_: ScalarType) -> Interval:
    """Smallest and largest value of an integer type or index."""
    assert isinstance(type_, IntegerType | Index)
    return type_.min, type_.max


def within(inner: Interval, outer: Interval) -> bool:
    """Whether every number of ``inner`` is in ``outer``."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


@dataclass
class Builder:
    """The operations of one function while they are made.

    Attributes:
        blocks: the open blocks, innermost last.
        ranges: what is known of index values; others may be anything an index can be.
        indexing: whether integer values may become index values, to keep a subscript affine
            around them.
        unsafe: operations that must not run unless the source says so (calls, and loads that
            may be out of range).
        rules: the types that operators give.
        memory: what was loaded and converted since :meth:`remembering`, and in which block.
    """

    blocks: list[list[Op]] = field(default_factory=lambda: [[]])
    ranges: dict[Value, Interval] = field(default_factory=dict)
    indexing: bool = False
    unsafe: set[Op] = field(default_factory=set)
    rules: RuleSet = DEFAULT
    memory: tuple[list[Op], dict[object, Operand]] | None = None

    def emit(self, op: Op) -> None:
        """Append an operation to the innermost open block."""
        self.blocks[-1].append(op)

    @contextmanager
    def block(self) -> Iterator[list[Op]]:
        """Open a block; what is emitted inside goes to the list it gives."""
        ops: list[Op] = []
        self.blocks.append(ops)
        try:
            yield ops
        finally:
            self.blocks.pop()

    @contextmanager
    def subscripts(self, on: bool = True) -> Iterator[None]:
        """Set ``indexing`` for a while."""
        before, self.indexing = self.indexing, on
        try:
            yield
        finally:
            self.indexing = before

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Load and convert the same thing only once for a while, until something is stored.

        So ``A[k:k + 4]`` reads ``k`` once, and its bounds are known to be 4 apart.
        """
        before, self.memory = self.memory, (self.blocks[-1], {})
        try:
            yield
        finally:
            self.memory = before

    def _once(self, key: object, make: Callable[[], Operand]) -> Operand:
        if self.memory is None or self.memory[0] is not self.blocks[-1]:
            return make()
        known = self.memory[1]
        if key not in known:
            known[key] = make()
        return known[key]

    def _forget(self) -> None:
        """What was loaded may be different from now on."""
        if self.memory is not None:
            self.memory[1].clear()

    # Ranges and conversions

    def interval(self, operand: Operand) -> Interval:
        """An interval that contains the operand, an integer or index."""
        if operand.affine is not None:
            return operand.affine.bounds(lambda v: self.ranges.get(v, limits(index)))
        if operand.value in self.ranges:
            return self.ranges[operand.value]
        return limits(operand.type)

    def affine(self, operand: Operand, loc: SourceLoc) -> AffineExpr | None:
        """The operand as an affine expression, if it is one or may become one here."""
        if operand.affine is not None:
            return operand.affine
        whole = isinstance(operand.type, IntegerType | Index)
        if whole and self.indexing and within(self.interval(operand), limits(index)):
            return self.index(operand, loc)
        return None

    def index(self, operand: Operand, loc: SourceLoc) -> AffineExpr:
        """The operand as a subscript or bound.

        Raises:
            KernelTypeError: it is not an integer.
        """
        if not isinstance(operand.type, IntegerType | Index):
            raise KernelTypeError(
                f"this is {operand.type} where an integer is needed",
                loc=loc,
                hint="convert it first: int(...)",
            )
        if operand.affine is not None:
            return operand.affine
        value = self.value(operand, loc)
        if not isinstance(operand.type, Index):
            value = self._cast(value, index, loc)
            if within(bounds := limits(operand.type), limits(index)):
                self.ranges[value] = bounds
        return AffineExpr.of(value)

    def value(self, operand: Operand, loc: SourceLoc, name: str = "") -> Value:
        """The value that holds the operand."""
        if operand.value is not None:
            return operand.value
        if operand.constant is not None:
            result = Value(operand.type, name)
            self.emit(Constant(result=result, value=operand.constant, loc=loc))
            return result
        expr = operand.affine
        assert expr is not None
        found = expr.as_value
        if found is None:
            found = Value(index, name)
            self.ranges[found] = self.interval(operand)
            self.emit(Apply(result=found, expr=expr, loc=loc))
        return found if isinstance(operand.type, Index) else self._cast(found, operand.type, loc)

    def _cast(self, value: Value, type_: ScalarType, loc: SourceLoc) -> Value:
        def make() -> Operand:
            result = Value(type_)
            self.emit(Cast(result=result, operand=value, loc=loc))
            return Operand(type_, result)

        made = self._once((value, type_), make).value
        assert made is not None
        return made

    def convert(self, operand: Operand, type_: ScalarType, loc: SourceLoc) -> Operand:
        """The operand's number in another type, as :class:`~allo_rtl.ir.ops.Cast` says.

        An integer becomes a struct of its width by its bits.

        Raises:
            KernelTypeError: there is no conversion between the two types.
        """
        if operand.type == type_ and operand.literal is None:
            return operand
        if isinstance(operand.type, Struct) or isinstance(type_, Struct):
            return self._to_struct(operand, type_, loc)
        if operand.literal is not None:
            raw = raw_of(type_, operand.literal)
            assert raw is not None
            return constant(raw, type_)
        if (known := operand.constant) is not None:
            return constant(eval_cast(type_, known, operand.type), type_)
        whole = isinstance(type_, IntegerType | Index)
        if operand.affine is not None and whole and within(self.interval(operand), limits(type_)):
            return Operand(type_, affine=operand.affine)
        return Operand(type_, self._cast(self.value(operand, loc), type_, loc))

    def _to_struct(self, operand: Operand, type_: ScalarType, loc: SourceLoc) -> Operand:
        if isinstance(operand.type, IntegerType) and operand.type.bits == type_.bits:
            return self.bitcast(operand, type_, loc)
        raise KernelTypeError(
            f"{operand.type} does not become {type_}",
            loc=loc,
            hint='take a field, x["name"], or the bits, x.bitcast()'
            if isinstance(operand.type, Struct)
            else 'write a value for each field: {"name": ...}',
        )

    def bitcast(self, operand: Operand, type_: ScalarType, loc: SourceLoc) -> Operand:
        """The operand's bits as another type of the same width; neither is index."""
        if operand.type == type_:
            return operand
        if isinstance(operand.type, IntegerType) and isinstance(type_, IntegerType):
            return self.convert(operand, type_, loc)
        if operand.constant is not None:
            return constant(eval_bitcast(type_, operand.constant), type_)
        result = Value(type_)
        self.emit(Bitcast(result=result, operand=self.value(operand, loc), loc=loc))
        return Operand(type_, result)

    # Operations of one type

    def binary(
        self, kind: BinaryKind, a: Operand, b: Operand, type_: ScalarType, loc: SourceLoc
    ) -> Operand:
        """``a kind b``, both converted to ``type_`` first."""
        a, b = self.convert(a, type_, loc), self.convert(b, type_, loc)
        if a.constant is not None and b.constant is not None:
            return constant(eval_binary(kind, type_, a.constant, b.constant), type_)
        lhs, rhs = self.value(a, loc), self.value(b, loc)
        result = Value(type_)
        self.emit(Binary(kind=kind, result=result, lhs=lhs, rhs=rhs, loc=loc))
        return Operand(type_, result)

    def compare(
        self, predicate: Predicate, a: Operand, b: Operand, type_: ScalarType, loc: SourceLoc
    ) -> Operand:
        """``a predicate b`` as a UInt(1), both converted to ``type_`` first."""
        a, b = self.convert(a, type_, loc), self.convert(b, type_, loc)
        if a.constant is not None and b.constant is not None:
            return constant(eval_compare(predicate, a.constant, b.constant, type_), bool_)
        lhs, rhs = self.value(a, loc), self.value(b, loc)
        result = Value(bool_)
        self.emit(Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs, loc=loc))
        return Operand(bool_, result)

    def select(
        self, condition: Operand, a: Operand, b: Operand, type_: ScalarType, loc: SourceLoc
    ) -> Operand:
        """``a if condition else b``, both converted to ``type_`` first."""
        a, b = self.convert(a, type_, loc), self.convert(b, type_, loc)
        if condition.constant is not None:
            return a if condition.constant else b
        chosen = self.value(condition, loc)
        if_true, if_false = self.value(a, loc), self.value(b, loc)
        result = Value(type_)
        self.emit(
            Select(result=result, condition=chosen, if_true=if_true, if_false=if_false, loc=loc)
        )
        return Operand(type_, result)

    def math(
        self, kind: MathKind, args: Sequence[Operand], type_: Float, loc: SourceLoc
    ) -> Operand:
        """``kind(*args)``, all converted to ``type_`` first."""
        args = [self.convert(a, type_, loc) for a in args]
        known = tuple(a.constant for a in args if a.constant is not None)
        if len(known) == len(args):
            return constant(eval_math(kind, type_, known), type_)
        result = Value(type_)
        values = tuple(self.value(a, loc) for a in args)
        self.emit(Math(kind=kind, result=result, args=values, loc=loc))
        return Operand(type_, result)

    # Memory

    def alloc(self, type_: ArrayType, name: str, loc: SourceLoc) -> Value:
        """A fresh array; of rank 0 for a scalar variable."""
        result = Value(type_, name)
        self.emit(Alloc(result=result, loc=loc))
        return result

    def load(
        self, array: Value, subscripts: tuple[AffineExpr, ...], loc: SourceLoc
    ) -> Operand:
        """``array[subscripts]``."""
        return self._once((array, subscripts), lambda: self._load(array, subscripts, loc))

    def _load(
        self, array: Value, subscripts: tuple[AffineExpr, ...], loc: SourceLoc
    ) -> Operand:
        result = Value(array.array.element)
        op = Load(result=result, array=array, index=subscripts, loc=loc)
        self.emit(op)
        shape = array.array.shape
        if not all(self._in_range(e, n) for e, n in zip(subscripts, shape, strict=True)):
            self.unsafe.add(op)
        return Operand(array.array.element, result)

    def store(
        self, operand: Operand, array: Value, subscripts: tuple[AffineExpr, ...], loc: SourceLoc
    ) -> None:
        """``array[subscripts] = operand``, converted to the element type."""
        value = self.value(self.convert(operand, array.array.element, loc), loc)
        self._forget()
        self.emit(Store(value=value, array=array, index=subscripts, loc=loc))

    def call(
        self, callee: str, args: tuple[Value, ...], outs: tuple[Value, ...], loc: SourceLoc
    ) -> None:
        """A call of a function of the module."""
        self._forget()
        op = Call(callee=callee, args=args, outs=outs, loc=loc)
        self.emit(op)
        self.unsafe.add(op)

    def subscript_range(self, expr: AffineExpr) -> Interval:
        """An interval that contains a subscript."""
        return expr.bounds(lambda v: self.ranges.get(v, limits(index)))

    def _in_range(self, expr: AffineExpr, extent: int) -> bool:
        return within(self.subscript_range(expr), (0, extent - 1))
