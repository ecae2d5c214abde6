"""From straight-line IR to a dataflow region.

A :class:`RegionBuilder` reads operations in order: conditionals become predicates, scalar
variables and registers become values.  What is left are nodes, and the memory accesses among them
(see :mod:`allo_rtl.hls.accesses`) in textual order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce

from allo_rtl.hls.accesses import Accesses
from allo_rtl.hls.carry import NOTHING_CARRIED, CarriedWords
from allo_rtl.hls.forward import LastStore
from allo_rtl.hls.graph import BIT, INDEX, Graph
from allo_rtl.hls.node import STREAMS, FloatSpec, Kind, Node, topological
from allo_rtl.hls.storage import ArrayStorage
from allo_rtl.hls.streams import nodes_of
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Binary,
    Block,
    Cast,
    Compare,
    Constant,
    FloatOp,
    GetGlobal,
    If,
    Load,
    Op,
    Print,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.stream_ops import STREAM_OPS, StreamOp
from allo_rtl.ir.types import Index, IntegerType


@dataclass(frozen=True, eq=False)
class Region:
    """The dataflow of a straight-line piece of a function.

    ``sinks`` are its writes, its events (prints, assertions) and stream operations, each in
    textual order, and what ends its loop; ``outputs`` the values other regions use; ``carried``
    the node whose result each CARRIED node gets, and from how many iterations before, all in the
    ``depth`` innermost loops.
    """

    sinks: tuple[Node, ...]
    outputs: Mapping[Value, Node] = field(default_factory=dict)
    carried: Mapping[Node, tuple[Node, int]] = field(default_factory=dict)
    depth: int = 1

    @property
    def results(self) -> tuple[Node, ...]:
        """The nodes whose results are used outside, or in a later iteration."""
        return (*self.outputs.values(), *(node for node, _ in self.carried.values()))

    @property
    def last(self) -> Node | None:
        """Whether an iteration is the last one, in a loop that ends with a stream."""
        return next((n for n in self.sinks if n.kind is Kind.LAST), None)

    @property
    def uses_streams(self) -> bool:
        """Whether it may have to wait for a stream."""
        return any(n.kind in STREAMS for n in self.sinks)

    def nodes(self) -> list[Node]:
        """Every node, operands first."""
        return list(self._nodes)

    @cached_property
    def _nodes(self) -> list[Node]:
        return topological((*self.sinks, *self.results))


type LowerBound = int | Value | tuple[AffineExpr, ...]
"""Of a counter: a number, a value from outside, or the largest of expressions."""


class RegionBuilder:
    """Builds the region of straight-line operations.

    Args:
        storage: how each array is stored.
        interval: intervals of values defined outside (counters, arguments, other regions).
        counters: the counters of the pipelined loop this region is the body of.
        handed_on: the stores whose last word is kept for the next iteration.
        lower: the lower bounds of the counters.
        carried: what comes from iterations before.
    """

    def __init__(
        self,
        storage: Mapping[Value, ArrayStorage],
        interval: Callable[[Value], Interval],
        counters: tuple[Value, ...] = (),
        handed_on: Mapping[Store, LastStore] | None = None,
        lower: tuple[LowerBound, ...] = (),
        carried: CarriedWords = NOTHING_CARRIED,
    ) -> None:
        self.graph = Graph()
        self.values: dict[Value, Node] = {}
        self._interval = interval
        self._counters = counters
        self._lower = lower
        self._accesses = Accesses(
            self.graph, storage, self.value, bool(counters), handed_on or {}, self._first, carried
        )
        self._effects: list[Node] = []
        self._path: tuple[Node, ...] = ()
        self._made: dict[Value, int] = {}

    def value(self, value: Value) -> Node:
        """The node of an IR value; one from outside becomes an input."""
        if value not in self.values:
            kind = Kind.COUNTER if value in self._counters else Kind.INPUT
            type = value.type
            assert isinstance(type, IntegerType | Index)
            interval = self._interval(value)
            if interval[0] == interval[1]:
                self.values[value] = self.graph.const(interval[0], type)
            else:
                self.values[value] = Node(
                    kind, type, (), interval, source=value, name=value.name
                )
        return self.values[value]

    def add(self, block: Block, predicate: Node | None = None) -> None:
        """Append operations, executed only when ``predicate`` is 1 (None: always)."""
        for op in block:
            if isinstance(op, If):
                self._add_if(op, predicate)
            elif isinstance(op, Load):
                self.values[op.result] = self._accesses.load(op)
            elif isinstance(op, Store):
                self._accesses.store(op, self._own_predicate(op.array, predicate))
            elif isinstance(op, Print | Assert):
                self._event(op, predicate)
            elif isinstance(op, STREAM_OPS):
                self._stream(op, predicate)
            else:
                self._compute(op)

    def _add_if(self, op: If, predicate: Node | None) -> None:
        condition = self.value(op.condition)
        if condition.is_const:
            self.add(op.then if condition.value else op.orelse, predicate)
            return
        path = self._path
        branches = (op.then, condition), (op.orelse, self.graph.negate(condition))
        for block, holds in branches:
            self._path = (*path, holds)
            self.add(block, self.graph.both(predicate, holds))
        self._path = path

    def _own_predicate(self, array: Value, predicate: Node | None) -> Node | None:
        """When a store is done, where it can be seen: of an array that an iteration makes under
        conditions it is enough to ask those inside."""
        if array not in self._made:
            return predicate
        return reduce(self.graph.both, self._path[self._made[array] :], None)

    def _first(self, loops: Collection[Value] | None = None) -> Node:
        """Whether this is the first iteration of the pipelined nest, or of some loops in it."""
        bit = self.graph.const(1, BIT)
        for counter, bound in zip(self._counters, self._lower, strict=True):
            if loops is not None and counter not in loops:
                continue
            node = self.value(counter)
            match bound:
                case int():
                    low = self.graph.const(bound, node.type)
                case Value():
                    low = self.value(bound)
                case _:
                    low = self.extreme(bound, Kind.MAX)
            here = self.graph.make(Kind.EQ, BIT, node, low)
            bit = here if bit.is_const else self.graph.make(Kind.AND, BIT, bit, here)
        return bit

    def expression(self, expr: AffineExpr) -> Node:
        """An affine expression as a node."""
        return self.graph.affine(expr, self.value)

    def extreme(self, exprs: tuple[AffineExpr, ...], kind: Kind) -> Node:
        """The largest (MAX) or smallest (MIN) of expressions as a node."""
        nodes = [self.expression(e) for e in exprs]
        result = nodes[0]
        for node in nodes[1:]:
            result = self.graph.make(kind, INDEX, result, node)
        return result

    def finish(self, outputs: Mapping[Value, Node]) -> Region:
        """The region built so far."""
        sinks = (*self._accesses.writes(), *self._effects)
        region = Region(sinks, dict(outputs))
        made = self._accesses.carried()
        while live := {
            n: made[n] for n in region.nodes() if n in made and n not in region.carried
        }:
            region = replace(region, carried={**region.carried, **live})
        return replace(region, depth=self._accesses.depth) if region.carried else region

    def end_unless(self, condition: Value) -> None:
        """Make this the last iteration of the loop unless a value is 1."""
        last = _zero_bit(self.value(condition)) or self.graph.negate(self.value(condition))
        order = self._accesses.next_order()
        self._effects.append(Node(
            Kind.LAST, BIT, (last,), (0, 1), order=order, name="last", source=condition
        ))  # fmt: skip

    def _event(self, op: Print | Assert, predicate: Node | None) -> None:
        """What a simulation does when ``predicate`` is 1: print, or fail."""
        enable = predicate or self.graph.const(1, BIT)
        if isinstance(op, Print):
            kind, operands = Kind.PRINT, tuple(self.value(a) for a in op.args)
        else:
            kind, operands = Kind.ASSERT, ()
            failed = self.graph.both(predicate, self.graph.negate(self.value(op.condition)))
            assert failed is not None
            enable = failed
        if enable.is_const and not enable.value:
            return
        self._effects.append(Node(
            kind, BIT, (*operands, enable), (0, 1),
            order=self._accesses.next_order(), loc=op.loc, event=op,
        ))  # fmt: skip

    def _stream(self, op: StreamOp, predicate: Node | None) -> None:
        """An operation on a stream, done only when ``predicate`` is 1."""
        enable = predicate or self.graph.const(1, BIT)
        self._accesses.pass_stream()
        order = self._accesses.next_order
        nodes, results = nodes_of(self.graph, op, enable, self.value, order)
        self.values.update(results)
        if not (enable.is_const and not enable.value):
            self._effects += nodes

    def _compute(self, op: Op) -> None:
        graph = self.graph
        match op:
            case Constant(result=r, value=v):
                node = graph.const(v, _number(r))
            case Binary(kind=k, result=r, lhs=a, rhs=b):
                kind = Kind(k.value)
                node = graph.make(kind, _number(r), self.value(a), self.value(b), loc=op.loc)
            case Compare(predicate=p, result=r, lhs=a, rhs=b):
                node = graph.make(Kind(p.value), BIT, self.value(a), self.value(b), loc=op.loc)
            case Select(result=r, condition=c, if_true=a, if_false=b):
                parts = (self.value(c), self.value(a), self.value(b))
                node = graph.make(Kind.SELECT, _number(r), *parts, loc=op.loc)
            case Cast(result=r, operand=a):
                node = graph.cast(self.value(a), _number(r), op.loc)
            case FloatOp(result=r, args=args):
                spec = FloatSpec(op.kind, op.format, op.target, op.fraction)
                operands = [self.value(a) for a in args]
                node = graph.float(spec, _number(r), *operands, loc=op.loc)
            case Apply(result=r, expr=e):
                node = self.expression(e)
            case Alloc():
                if self._counters:  # each iteration has its own
                    self._made[op.result] = len(self._path)
                self._accesses.allocate(op)
                return
            case GetGlobal():
                return
            case _:
                raise AssertionError(f"{type(op).__name__} is not straight-line code")
        self.values[r] = node


def _zero_bit(node: Node) -> Node | None:
    """The bit that a node asks to be 0, if that is what it does."""
    match node.kind, node.operands:
        case Kind.EQ, (bit, zero) if zero.is_const and not zero.value and bit.range == (0, 1):
            return bit
    return None


def _number(value: Value) -> IntegerType | Index:
    assert isinstance(value.type, IntegerType | Index), f"{value.type} is not an integer"
    return value.type
