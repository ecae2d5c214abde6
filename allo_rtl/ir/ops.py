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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import count
from typing import ClassVar

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.types import ArrayType, Float, ScalarType, Type

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
                values = expr.values
                yield from values if len(values) < 2 else sorted(values, key=lambda v: v.uid)

    def regions(self) -> Iterator[Block]:
        """Its nested blocks, in order."""
        for name in self.REGIONS:
            yield getattr(self, name)


def _flat(part: Value | tuple[Value, ...]) -> tuple[Value, ...]:
    return part if isinstance(part, tuple) else (part,)


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant(Op):
    """A constant: the int that stands for a value of the type of ``result`` (see types)."""

    RESULTS = ("result",)
    result: Value
    value: int


class BinaryKind(Enum):
    """Operators.  Operands and result have one and the same type.

    Integers and index: results wrap.  ``DIV`` rounds toward zero and ``REM`` has the sign of the
    dividend; ``FLOORDIV`` rounds down.  Division by zero gives all ones (-1) for both, the
    dividend for ``REM``; the quotient of the smallest value by -1 wraps.  Shift amounts are read
    as unsigned; an amount of the width or more shifts everything out.  ``SHR`` of a signed type
    copies the sign.

    Fixed point: the exact result, rounded down to a multiple of 2**-fracs, wraps.  Only ``DIV``
    rounds toward zero instead; by zero it gives all ones, ``REM`` the dividend.  ``REM`` has the
    sign of the dividend; ``FLOORDIV`` is the whole number below the quotient (by zero: -1).  A
    shift moves the bits of the left operand by the *integer part* of the right one.  No bitwise
    operators.

    Floating point: rounded to nearest, ties to even, as IEEE 754 says; every NaN that is computed
    is the canonical one.  ``MIN`` and ``MAX`` are IEEE 754-2019 minimum and maximum (NaN if one
    operand is).  ``REM`` is C's fmod, exact, with the sign of the dividend; ``FLOORDIV`` is the
    quotient, rounded, then rounded down to a whole number.  No shifts, no bitwise operators.
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
    """Comparisons of two values of one type; signed or unsigned by that type.

    Of floating-point numbers, with a NaN only ``NE`` is true, and the two zeros are equal.
    """

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
    """The operand's number in the type of ``result``.

    To integers, index and fixed point: rounded down to what the type can express, modulo its
    width (wider types keep the number).  From floating point to these instead: rounded toward
    zero, and what is beyond the range becomes its nearest end; NaN becomes 0.
    To floating point: the nearest number, ties to even.
    """

    RESULTS = ("result",)
    OPERANDS = ("operand",)
    result: Value
    operand: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Bitcast(Op):
    """The same bits as another type of the same width; any scalar types but index."""

    RESULTS = ("result",)
    OPERANDS = ("operand",)
    result: Value
    operand: Value


class MathKind(Enum):
    """Functions of floating-point numbers; operands and result have one type.

    ``NEG`` and ``ABS`` change the sign bit and nothing else, of NaN too.  ``SQRT`` and ``FMA``
    (``a * b + c``) round once.  The others are elementary functions: the evaluator rounds the
    exact result to nearest; CPU and RTL are the same integer algorithm and stay within the bound
    that its documentation states.
    """

    NEG = "neg"
    ABS = "abs"
    SQRT = "sqrt"
    FMA = "fma"
    FLOOR = "floor"
    EXP = "exp"
    LOG = "log"
    LOG2 = "log2"
    LOG10 = "log10"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    TANH = "tanh"
    POW = "pow"

    @property
    def arity(self) -> int:
        """Number of operands."""
        return {MathKind.FMA: 3, MathKind.POW: 2}.get(self, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Math(Op):
    """``result = kind(*args)``, all of one floating-point type."""

    RESULTS = ("result",)
    OPERANDS = ("args",)
    kind: MathKind
    result: Value
    args: tuple[Value, ...]


class FloatKind(Enum):
    """What a :class:`FloatOp` computes."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    FMA = "fma"
    SQRT = "sqrt"
    MIN = "min"
    MAX = "max"
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    CONVERT = "convert"
    FROM_INT = "from_int"
    TO_INT = "to_int"


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatOp(Op):
    """A floating-point operation on bit patterns: only in legalized modules.

    After :func:`allo_rtl.ir.legalize.legalize` every scalar is an integer or index, and a number
    of format ``format`` is a ``UInt`` of its width.  Comparisons give UInt(1); ``CONVERT`` gives
    a pattern of ``target``; ``FROM_INT`` reads an integer as a multiple of ``2**-fraction`` and
    ``TO_INT`` gives one, as :class:`Cast` says.
    """

    RESULTS = ("result",)
    OPERANDS = ("args",)
    kind: FloatKind
    format: Float
    result: Value
    args: tuple[Value, ...]
    target: Float | None = None
    fraction: int = 0


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
    """A fresh array of zeros, each time it is executed.

    ``fifo``: what is stored goes in order to one reader, in hardware through a FIFO of so many
    elements; 0 for an array.  Not ``zeroed``: no element is read before it is stored.
    """

    RESULTS = ("result",)
    result: Value
    fifo: int = 0
    zeroed: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class GetGlobal(Op):
    """The module's array ``name``; it is never stored to unless it is stateful."""

    RESULTS = ("result",)
    result: Value
    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SubView(Op):
    """Part of an array, by reference: element ``[i, j, ...]`` of the result is element
    ``[offset + i * step, ...]`` of the source.

    ``offsets`` and ``steps`` have one entry a dimension of the source.  ``sizes`` too: an extent,
    or None for a dimension that the result does not have (it is at ``offset``).
    """

    RESULTS = ("result",)
    OPERANDS = ("source",)
    AFFINE = ("offsets",)
    result: Value
    source: Value
    offsets: tuple[AffineExpr, ...]
    sizes: tuple[int | None, ...]
    steps: tuple[int, ...]


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
        overlap: hardware runs the loop at the same time as the loop before it in its block.
        dataflow: the parts of the body are tasks that overlap, from iteration to iteration too.
    """

    band: str = ""
    reduction: bool = False
    pipeline_ii: int | None = None
    ii_required: bool = False
    rewind: bool = False
    unroll: int | None = None
    parallel: bool = False
    overlap: bool = False
    dataflow: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class For(Op):
    """``for iv in range(max(lower), min(upper), step)``; step is 1 or more.

    ``lower`` and ``upper`` are non-empty tuples: the bound is the largest (smallest) of them.
    ``independent`` are arrays of which, the user says, no two iterations of one run of the loop
    touch the same cell with one of them writing it.  It is a promise, not an effect.
    """

    OPERANDS = ("independent",)
    AFFINE = ("lower", "upper")
    REGIONS = ("body",)
    iv: Value
    lower: tuple[AffineExpr, ...]
    upper: tuple[AffineExpr, ...]
    body: Block
    step: int = 1
    name: str = ""
    attrs: LoopAttrs = LoopAttrs()
    independent: tuple[Value, ...] = ()

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
class While(Op):
    """Run ``before``, which ends with a :class:`Condition`; while that is 1, run ``body`` and then
    ``before`` again.
    """

    REGIONS = ("before", "body")
    before: Block
    body: Block

    @property
    def condition(self) -> Value:
        """The value that decides."""
        last = self.before[-1]
        assert isinstance(last, Condition)
        return last.value


@dataclass(frozen=True, kw_only=True, eq=False)
class Condition(Op):
    """The last operation of a While's ``before``: go on when ``value`` (UInt(1)) is 1."""

    OPERANDS = ("value",)
    value: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Print(Op):
    """Write a line in simulation: ``text`` with one ``{}`` for each argument, in order.

    ``text`` is in the form of ``str.format`` with plain ``{}`` only (braces are doubled).
    Integers are written in decimal, other numbers as Python writes the float that they equal.
    In a legalized module ``types`` are the types that the arguments had.
    """

    OPERANDS = ("args",)
    text: str
    args: tuple[Value, ...] = ()
    types: tuple[Type, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Assert(Op):
    """In simulation, stop with an error that says ``message`` when ``condition`` is 0."""

    OPERANDS = ("condition",)
    condition: Value
    message: str = ""


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

    An array result is a fresh array each time; ``fifos`` are the depths of those that are FIFOs
    in hardware, as in :class:`Alloc` (0 for an array; empty for arrays only).  ``process`` is the
    name of the process that a call of a region makes, where that is not its function's.
    """

    RESULTS = ("outs",)
    OPERANDS = ("args",)
    callee: str
    args: tuple[Value, ...]
    outs: tuple[Value, ...] = ()
    process: str = ""
    fifos: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Return(Op):
    """The last operation of a function that returns something."""

    OPERANDS = ("values",)
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Func:
    """A function: its arguments are values, arrays and streams among them are by reference.

    The calls in the body of a ``dataflow`` function run at once
    (see :mod:`allo_rtl.ir.stream_ops`).  Of one with ``tasks``, the loop nests and calls do so in
    hardware, with the result they have one after the other (see :mod:`allo_rtl.ir.tasks`).
    ``streams`` are the numbers, among the arguments and
    then the results, of arrays that come and go as streams where the function is the top of
    hardware (see :mod:`allo_rtl.ir.argument_streams`); what it computes is the same.
    """

    name: str
    args: tuple[Value, ...]
    results: tuple[Type, ...]
    body: Block
    loc: SourceLoc | None = None
    dataflow: bool = False
    tasks: bool = False
    streams: frozenset[int] = frozenset()

    @property
    def returned(self) -> tuple[Value, ...]:
        """The values of the closing Return, or ()."""
        last = self.body[-1] if self.body else None
        return last.values if isinstance(last, Return) else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Global:
    """An array of the module with its contents, row-major: a constant, or state.

    A ``stateful`` one has them before the first run, and keeps from run to run what is stored to
    it.
    """

    name: str
    type: ArrayType
    data: tuple[int, ...]
    stateful: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """Functions (callees before callers), constant and stateful arrays; ``top`` is the entry."""

    funcs: tuple[Func, ...]
    top: str
    globals: tuple[Global, ...] = ()

    def func(self, name: str) -> Func:
        """The function called ``name``; KeyError when there is none."""
        return self.funcs[self.places[name]]

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Which of ``funcs`` has a name: the first, in a module that was not verified yet."""
        return {f.name: n for n, f in reversed([*enumerate(self.funcs)])}

    def global_(self, name: str) -> Global:
        """The module's array called ``name``; KeyError when there is none."""
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
