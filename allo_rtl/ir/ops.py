"""Operations of the loop IR: one frozen dataclass each, structured SSA with identity values.

A :class:`Value` is an identity: it keeps naming the same thing while the operations around it
are rebuilt, so a rewrite replaces operations and leaves their users alone.  Scalar variables are
rank-0 arrays (``Alloc``, ``Load``, ``Store``); there are no block arguments but loop counters.
Subscripts and bounds are :class:`~allo_rtl.ir.affine.AffineExpr` over values of index type; an
access is *affine* when these are all loop counters, data dependent otherwise.

Each class names its own parts (``RESULTS``, ``OPERANDS``, ``AFFINE``, ``REGIONS``), which is all
that :mod:`allo_rtl.ir.rewrite` needs to walk, clone and substitute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import ClassVar

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.types import ArrayType, ScalarType, Type

_ages = count()


@dataclass(frozen=True, eq=False)
class Value:
    """An SSA value.  Identity is the object; ``name`` is a hint for people.

    ``uid`` orders values by age and has no other meaning.
    """

    type: Type
    name: str = ""
    uid: int = field(default_factory=lambda: next(_ages), repr=False)

    @property
    def array(self) -> ArrayType:
        """The type, when it is an array's."""
        assert isinstance(self.type, ArrayType), f"{self.name} is {self.type}, not an array"
        return self.type

    @property
    def scalar(self) -> ScalarType:
        """The type, when it is a scalar's."""
        assert isinstance(self.type, ScalarType), f"{self.name} is {self.type}, not a scalar"
        return self.type


type Block = tuple[Op, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Op:
    """Base of all operations."""

    RESULTS: ClassVar[tuple[str, ...]] = ()
    OPERANDS: ClassVar[tuple[str, ...]] = ()
    AFFINE: ClassVar[tuple[str, ...]] = ()
    REGIONS: ClassVar[tuple[str, ...]] = ()

    loc: SourceLoc | None = None

    def results(self) -> Iterator[Value]:
        """Values this operation defines for the operations after it."""
        for name in self.RESULTS:
            yield from _flat(getattr(self, name))

    def operands(self) -> Iterator[Value]:
        """Values it uses itself (not inside its regions), those in affine expressions too."""
        for name in self.OPERANDS:
            yield from _flat(getattr(self, name))
        for name in self.AFFINE:
            for expr in getattr(self, name):
                yield from sorted(expr.values, key=lambda v: v.uid)

    def regions(self) -> Iterator[Block]:
        """Its nested blocks, in order."""
        for name in self.REGIONS:
            yield getattr(self, name)


def _flat(part: Value | tuple[Value, ...]) -> tuple[Value, ...]:
    return part if isinstance(part, tuple) else (part,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant(Op):
    """An integer constant that fits the type of ``result``."""

    RESULTS = ("result",)
    result: Value
    value: int


class BinaryKind(Enum):
    """Integer operators.  Operands and result have one and the same type; results wrap.

    ``DIV`` rounds toward zero and ``REM`` has the sign of the dividend; ``FLOORDIV`` rounds
    down.  Division by zero gives all ones (-1) for both, the dividend for ``REM``; the quotient
    of the smallest value by -1 wraps.  Shift amounts are read as unsigned; an amount of the
    width or more shifts everything out.  ``SHR`` of a signed type copies the sign.
    """

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    FLOORDIV = "floordiv"
    REM = "rem"
    AND = "and"
    OR = "or"
    XOR = "xor"
    SHL = "shl"
    SHR = "shr"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, kw_only=True, eq=False)
class Binary(Op):
    """``result = lhs kind rhs``, all three of one type."""

    RESULTS = ("result",)
    OPERANDS = ("lhs", "rhs")
    kind: BinaryKind
    result: Value
    lhs: Value
    rhs: Value


class Predicate(Enum):
    """Comparisons; signed or unsigned by the type of the operands."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"


@dataclass(frozen=True, kw_only=True, eq=False)
class Compare(Op):
    """``result: UInt(1) = lhs predicate rhs``; both operands of one type."""

    RESULTS = ("result",)
    OPERANDS = ("lhs", "rhs")
    predicate: Predicate
    result: Value
    lhs: Value
    rhs: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Select(Op):
    """``result = if_true if condition else if_false``; condition is UInt(1)."""

    RESULTS = ("result",)
    OPERANDS = ("condition", "if_true", "if_false")
    result: Value
    condition: Value
    if_true: Value
    if_false: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Cast(Op):
    """The operand's number in the type of ``result``, modulo its width.

    Wider types keep the number (sign or zero extension by the operand's signedness); narrower
    ones keep the low bits.
    """

    RESULTS = ("result",)
    OPERANDS = ("operand",)
    result: Value
    operand: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Apply(Op):
    """An affine expression as a value of index type (the number of ``i // 4 + 1``)."""

    RESULTS = ("result",)
    AFFINE = ("exprs",)
    result: Value
    expr: AffineExpr

    @property
    def exprs(self) -> tuple[AffineExpr, ...]:
        """The expression, as the tuple that every ``AFFINE`` part is."""
        return (self.expr,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Alloc(Op):
    """A fresh array of zeros, each time it is executed."""

    RESULTS = ("result",)
    result: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class GetGlobal(Op):
    """The constant array ``name`` of the module; it is never stored to."""

    RESULTS = ("result",)
    result: Value
    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Load(Op):
    """``result = array[index]``; no subscripts for rank 0."""

    RESULTS = ("result",)
    OPERANDS = ("array",)
    AFFINE = ("index",)
    result: Value
    array: Value
    index: tuple[AffineExpr, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Store(Op):
    """``array[index] = value``; no subscripts for rank 0."""

    OPERANDS = ("value", "array")
    AFFINE = ("index",)
    value: Value
    array: Value
    index: tuple[AffineExpr, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopAttrs:
    """What the source and the schedule say of a loop.

    Attributes:
        band: name of the loop nest, on its outermost loop only (Allo's ``op_name``).
        reduction: declared with ``allo.reduction``: its iterations may be summed in any order.
        pipeline_ii: initiation interval aimed at, in cycles; None when not pipelined.
        ii_required: the user named that interval: missing it is an error, not a slower loop.
        rewind: start the next run of the loop without draining the pipeline.
        unroll: None, 0 (fully) or the number of copies.
        parallel: the iterations are independent and may run at once.
    """

    band: str = ""
    reduction: bool = False
    pipeline_ii: int | None = None
    ii_required: bool = False
    rewind: bool = False
    unroll: int | None = None
    parallel: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class For(Op):
    """``for iv in range(max(lower), min(upper), step)``; step is 1 or more.

    ``lower`` and ``upper`` are non-empty tuples: the bound is the largest (smallest) of them.
    """

    AFFINE = ("lower", "upper")
    REGIONS = ("body",)
    iv: Value
    lower: tuple[AffineExpr, ...]
    upper: tuple[AffineExpr, ...]
    body: Block
    step: int = 1
    name: str = ""
    attrs: LoopAttrs = LoopAttrs()

    @property
    def constant_bounds(self) -> tuple[int, int] | None:
        """(lower, upper) when both are constants, else None."""
        if all(e.is_constant for e in (*self.lower, *self.upper)):
            return max(e.const for e in self.lower), min(e.const for e in self.upper)
        return None

    @property
    def trip_count(self) -> int | None:
        """Number of iterations when the bounds are constants, else None."""
        if (bounds := self.constant_bounds) is None:
            return None
        return max(0, -(-(bounds[1] - bounds[0]) // self.step))


@dataclass(frozen=True, kw_only=True, eq=False)
class If(Op):
    """Run ``then`` when condition (UInt(1)) is 1, ``orelse`` otherwise."""

    OPERANDS = ("condition",)
    REGIONS = ("then", "orelse")
    condition: Value
    then: Block
    orelse: Block = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Call(Op):
    """Call of another function of the module; arrays are passed by reference.

    An array result is a fresh array each time.
    """

    RESULTS = ("outs",)
    OPERANDS = ("args",)
    callee: str
    args: tuple[Value, ...]
    outs: tuple[Value, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Return(Op):
    """The last operation of a function that returns something."""

    OPERANDS = ("values",)
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Func:
    """A function: its arguments are values, arrays among them are by reference."""

    name: str
    args: tuple[Value, ...]
    results: tuple[Type, ...]
    body: Block
    loc: SourceLoc | None = None

    @property
    def returned(self) -> tuple[Value, ...]:
        """The values of the closing Return, or ()."""
        last = self.body[-1] if self.body else None
        return last.values if isinstance(last, Return) else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Global:
    """A constant array of the module, row-major."""

    name: str
    type: ArrayType
    data: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """Functions (callees before callers) and constant arrays; ``top`` is the entry."""

    funcs: tuple[Func, ...]
    top: str
    globals: tuple[Global, ...] = ()

    def func(self, name: str) -> Func:
        """The function called ``name``; KeyError when there is none."""
        for f in self.funcs:
            if f.name == name:
                return f
        raise KeyError(name)

    def global_(self, name: str) -> Global:
        """The constant array called ``name``; KeyError when there is none."""
        for g in self.globals:
            if g.name == name:
                return g
        raise KeyError(name)

    @property
    def top_func(self) -> Func:
        """The entry function."""
        return self.func(self.top)

    def __str__(self) -> str:
        from allo_rtl.ir.mlir_printer import print_module

        return print_module(self)
