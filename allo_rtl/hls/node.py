"""The dataflow of one straight-line region: a graph of integer operations.

A :class:`Node` is an identity, like an IR value.  It stands for an integer: the exact result of
its operation, wrapped to ``type``.  ``range`` bounds that integer; hardware widths follow from it
and from what the users of the node demand (see :mod:`allo_rtl.hls.widths`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import count

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.affine import Interval
from allo_rtl.ir.ops import Alloc, Assert, FloatKind, Load, Print, Store, Value
from allo_rtl.ir.stream_ops import StreamOp
from allo_rtl.ir.types import Float, Index, IntegerType

_serial = count()

type Number = IntegerType | Index


class Kind(Enum):
    """What a node does.  The comparison kinds give 0 or 1."""

    CONST = "const"
    INPUT = "input"  # a value held in a register outside the region
    COUNTER = "counter"  # a counter of the region's own pipelined loop
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    FLOORDIV = "floordiv"
    REM = "rem"
    DIVREM = "divrem"  # both, as the low and the high half of the bits
    FLOORDIVREM = "floordivrem"
    AND = "and"
    OR = "or"
    XOR = "xor"
    SHL = "shl"
    SHR = "shr"
    MIN = "min"
    MAX = "max"
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    SELECT = "select"  # operands: condition, if_true, if_false
    CAST = "cast"
    FLOAT = "float"  # a floating-point operation on bit patterns
    READ = "read"  # operands: address, and where the bank varies enable; of one bank
    WRITE = "write"  # operands: address, data, enable
    CARRIED = "carried"  # what a node of an iteration before made; see Region.carried
    REG_READ = "reg_read"
    REG_WRITE = "reg_write"  # operands: data, enable
    PRINT = "print"  # operands: the arguments, enable
    ASSERT = "assert"  # operands: enable of the failure
    GET = "get"  # operands: enable; takes a value from a stream
    PUT = "put"  # operands: data, enable
    PEEK = "peek"  # operands: enable, perhaps which word of a block; what GET would take
    ASK = "ask"  # whether GET, or PUT, could be done; one cycle
    LAST = "last"  # whether a loop ends with this iteration, in its first cycle


COMPARISONS = frozenset({Kind.EQ, Kind.NE, Kind.LT, Kind.LE, Kind.GT, Kind.GE})
MODULAR = frozenset({Kind.ADD, Kind.SUB, Kind.MUL, Kind.AND, Kind.OR, Kind.XOR})
"""The low n bits of the result depend on the low n bits of the operands alone."""
WITH_REST = {Kind.DIV: Kind.DIVREM, Kind.FLOORDIV: Kind.FLOORDIVREM}
"""What makes a quotient and the remainder with it."""
DIVISIONS = frozenset({Kind.REM, *WITH_REST, *WITH_REST.values()})
MEMORY = frozenset({Kind.READ, Kind.WRITE, Kind.REG_READ, Kind.REG_WRITE})
EVENTS = frozenset({Kind.PRINT, Kind.ASSERT})
"""What only a simulation does; they happen in the order of the text."""
STREAMS = frozenset({Kind.GET, Kind.PUT, Kind.PEEK, Kind.ASK})


@dataclass(frozen=True, slots=True)
class Bank:
    """One bank of one array: what a memory node talks to."""

    array: Value
    index: int


FLOAT_COMPARISONS = frozenset(
    {FloatKind.EQ, FloatKind.NE, FloatKind.LT, FloatKind.LE, FloatKind.GT, FloatKind.GE}
)


@dataclass(frozen=True, slots=True)
class FloatSpec:
    """Which floating-point operation a node is; the fields are those of a FloatOp."""

    kind: FloatKind
    format: Float
    target: Float | None = None
    fraction: int = 0

    def __str__(self) -> str:
        if self.kind is FloatKind.CONVERT:
            return f"{self.format} to {self.target}"
        if self.kind is FloatKind.TO_INT:
            return f"{self.format} to integer"
        if self.kind is FloatKind.FROM_INT:
            return f"integer to {self.format}"
        return f"{self.format} {self.kind.value}"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Node:
    """One operation.

    Attributes:
        value: the constant of a CONST.
        source: the IR value an INPUT or COUNTER stands for; the condition of a LAST.
        bank: the memory bank (or register) of a memory node.
        access: the IR access a memory node comes from, for dependences.
        order: textual order of memory nodes, events and stream operations in the region.
        float: the operation of a FLOAT.
        forwarded: a READ whose result is not used where the iteration before stored to its place.
        first: a READ or REG_READ that is used only before its place is stored to.
        contended: whether the bank is one that other processes use at the same time.
        async_read: a READ whose word is there in the cycle of its address.
        event: the IR operation of a PRINT or ASSERT.
        stream: the IR operation of one of STREAMS.
        merged: the operations of which it is the one that is needed.
    """

    kind: Kind
    type: Number
    operands: tuple[Node, ...]
    range: Interval
    value: int = 0
    source: Value | None = None
    bank: Bank | None = None
    access: Load | Store | Alloc | None = None
    order: int = 0
    name: str = ""
    loc: SourceLoc | None = None
    float: FloatSpec | None = None
    event: Print | Assert | None = None
    stream: StreamOp | None = None
    forwarded: bool = False
    first: bool = False
    merged: tuple[Node, ...] = ()
    contended: bool = False
    async_read: bool = False
    serial: int = field(default_factory=lambda: next(_serial), repr=False)

    def __repr__(self) -> str:
        detail = self.name or (str(self.value) if self.is_const else "")
        return f"<{self.kind.value} {detail} #{self.serial}>"

    @property
    def is_const(self) -> bool:
        """Whether it is a constant."""
        return self.kind is Kind.CONST

    @property
    def is_free(self) -> bool:
        """Whether it has no timing of its own: always there, in every cycle."""
        return self.kind in (Kind.CONST, Kind.INPUT)


def topological(roots: Iterable[Node]) -> list[Node]:
    """All nodes the roots need, operands before users, in a reproducible order."""
    seen: set[Node] = set()
    order: list[Node] = []
    for root in roots:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, at = stack.pop()
            if at == 0:
                if node in seen:
                    continue
                seen.add(node)
            if at < len(node.operands):
                stack.append((node, at + 1))
                if node.operands[at] not in seen:
                    stack.append((node.operands[at], 0))
            else:
                order.append(node)
    return order


def with_operands(node: Node, operands: tuple[Node, ...]) -> Node:
    """The same operation on other operands; the node itself where they are its own."""
    if operands == node.operands:
        return node
    return replace(node, operands=operands, serial=next(_serial))


def trailing_zeros(node: Node) -> int:
    """How many low bits of the node's number are certainly 0."""
    match node.kind:
        case Kind.CONST:
            return (node.value & -node.value).bit_length() - 1 if node.value else node.type.bits
        case Kind.SHL if node.operands[1].is_const:
            return trailing_zeros(node.operands[0]) + node.operands[1].value
        case Kind.ADD | Kind.SUB | Kind.OR | Kind.XOR:
            return min(trailing_zeros(o) for o in node.operands)
        case Kind.MUL:
            return sum(trailing_zeros(o) for o in node.operands)
    return 0


def disjoint(a: Node, b: Node) -> bool:
    """Whether no bit can be 1 in both numbers, because one lies below the other's low zeros."""
    def below(x: Node, y: Node) -> bool:
        return x.range[0] >= 0 and x.range[1] < 1 << trailing_zeros(y)

    return below(a, b) or below(b, a)


def full_range(type: Number) -> Interval:
    """Every value of a type."""
    return type.min, type.max


def fits(interval: Interval, type: Number) -> bool:
    """Whether every value of the interval is one of the type's."""
    return type.min <= interval[0] and interval[1] <= type.max
