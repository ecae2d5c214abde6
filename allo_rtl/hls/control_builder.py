"""From a prepared function to its control tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allo_rtl.hls.ahead import read_ahead
from allo_rtl.hls.carry import carried_words
from allo_rtl.hls.contended import may_change
from allo_rtl.hls.control import (
    Bounds,
    Branch,
    Clear,
    Control,
    Counter,
    FunctionControl,
    Invoke,
    Parallel,
    Pipelined,
    Preset,
    Repeat,
    Sequential,
    Straight,
    Together,
)
from allo_rtl.hls.flat import nested, steppable, unchanging
from allo_rtl.hls.forward import last_stores, register_of, register_storage
from allo_rtl.hls.graph import BIT, INDEX
from allo_rtl.hls.guarded import restricted
from allo_rtl.hls.hoist import hoist
from allo_rtl.hls.latency import least
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.operators import Operators
from allo_rtl.hls.prepare import PreparedFunc
from allo_rtl.hls.region import LowerBound, Region, RegionBuilder
from allo_rtl.hls.storage import ArrayStorage, assign_storage
from allo_rtl.hls.stream_loops import open_ended
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.domain import FullNest, counter_intervals, without_empty
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Binary,
    BinaryKind,
    Block,
    Call,
    Cast,
    Compare,
    Condition,
    Constant,
    FloatOp,
    For,
    Global,
    If,
    Op,
    Print,
    Return,
    Select,
    SubView,
    Value,
    While,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import MakeStream
from allo_rtl.ir.types import ArrayType, Index, IntegerType


def build_control(
    prepared: PreparedFunc,
    constants: Mapping[str, Global],
    operators: Operators,
    kept: frozenset[Value] = frozenset(),
    apart: frozenset[Value] = frozenset(),
) -> FunctionControl:
    """The control tree of a prepared function.

    ``kept`` are counters of loops that are not to be flattened into a nest whose bounds vary, and
    conditions of loops over streams that are not to be pipelined; ``apart`` are counters of loops
    that are not to be flattened into one of constant bounds.
    """
    func = prepared.func
    storage = assign_storage(func, constants, operators.device, prepared.contended)
    builder = _Builder(storage, prepared.dirty, operators, kept, apart)
    for value in func.args:
        if isinstance(value.type, IntegerType | Index):
            builder.intervals[value] = (value.type.min, value.type.max)
    drafts = builder.processes(func.body) if func.dataflow else builder.sequence(func.body)
    finisher = _Finisher(set(builder.results), func.dataflow)
    body = finisher.sequence(drafts)
    if func.dataflow:
        body = _started_at_once(body, finisher.defined)
    return FunctionControl(func, storage, body, builder.results, finisher.defined)


def _started_at_once(
    body: tuple[Control, ...], defined: Mapping[Value, Node]
) -> tuple[Control, ...]:
    """The body of a region, whose processes start with it if nothing is computed before."""
    first, *rest = body
    if not isinstance(first, Parallel):
        return body
    numbers = (a for c in first.calls for a in c.args if isinstance(a.type, IntegerType | Index))
    at_once = all(a in defined and defined[a].is_const for a in numbers)
    return replace(first, at_once=at_once), *rest


@dataclass(frozen=True, eq=False)
class _Draft:
    """A region whose outputs are not known yet; becomes a Straight."""

    builder: RegionBuilder


type _Item = (
    Control | _Draft | _PipelinedDraft | _LoopDraft | _TogetherDraft | _BranchDraft | _RepeatDraft
)


@dataclass(frozen=True, eq=False)
class _PipelinedDraft:
    counters: tuple[Counter, ...]
    builder: RegionBuilder
    conditions: tuple[AffineExpr, ...] = ()


_PURE = (Constant, Binary, Compare, Select, Cast, Apply, FloatOp)


_EXPENSIVE = (BinaryKind.MUL, BinaryKind.DIV, BinaryKind.FLOORDIV, BinaryKind.REM)


def _condition(block: Block) -> Value:
    last = block[-1]
    assert isinstance(last, Condition)
    return last.value


def perfect_nest(loop: For) -> tuple[list[For], list[Op]] | None:
    """The loops from ``loop`` down to a pipelined one, and the pure operations between them.

    None when the nest is imperfect before it reaches a pipelined loop.
    """
    chain, between = [loop], list[Op]()
    while chain[-1].attrs.pipeline_ii is None:
        *before, last = chain[-1].body or (None,)
        if not isinstance(last, For) or not all(isinstance(op, _PURE) for op in before):
            return None
        between.extend(op for op in before if op is not None)
        chain.append(last)
    return chain, between


class _Builder:
    """Reads a function in order; straight-line operations gather in one draft region."""

    def __init__(
        self, storage: dict[Value, ArrayStorage], dirty: frozenset[Value], operators: Operators,
        kept: frozenset[Value], apart: frozenset[Value],
    ) -> None:
        self.operators = operators
        self.kept = kept
        self.apart = apart
        self.storage = storage
        self.dirty = dirty
        self.contended = frozenset(a for a, stored in storage.items() if stored.contended)
        self.intervals: dict[Value, Interval] = {}
        self.current: RegionBuilder | None = None
        self.results: tuple[Value, ...] = ()

    def region(self) -> RegionBuilder:
        """The region that straight-line operations go to now."""
        if self.current is None:
            self.current = RegionBuilder(self.storage, self.intervals.__getitem__)
        return self.current

    def flush(self, items: list[_Item]) -> None:
        """End the current region."""
        if self.current is not None:
            self.learn(self.current)
            items.append(_Draft(self.current))
            self.current = None

    def learn(self, builder: RegionBuilder) -> None:
        """Remember the intervals of the values a region defines."""
        for value, node in builder.values.items():
            self.intervals.setdefault(value, node.range)

    def sequence(self, block: Block) -> list[_Item]:
        """The items of a block; ends with no region open."""
        items: list[_Item] = []
        self.items(block, items)
        self.flush(items)
        return items

    def processes(self, block: Block) -> list[_Item]:
        """The items of a region: what processes are given, all of them, copies of results."""
        calls = [k for k, op in enumerate(block) if isinstance(op, Call)]
        split = calls[-1] + 1 if calls else len(block)
        items = self.sequence(tuple(op for op in block[:split] if not isinstance(op, Call)))
        items.append(Parallel(tuple(op for op in block if isinstance(op, Call))))
        return [*items, *self.sequence(block[split:])]

    def items(self, block: Block, items: list[_Item]) -> None:
        """Append the items of a block; the last region may stay open."""
        for op in block:
            match op:
                case For():
                    self.loop(op, items)
                    if op.attrs.overlap:
                        _join(items)
                case If() if _needs_states(op, self.dirty):
                    self.branch(op, items)
                case While():
                    self.repeat(op, items)
                case Condition() | MakeStream() | SubView():
                    pass
                case Call():
                    self.flush(items)
                    for value in op.outs:
                        if isinstance(value.type, IntegerType | Index):
                            self.intervals[value] = (value.type.min, value.type.max)
                    items.append(Invoke(op))
                case Alloc() if op.result in self.dirty:
                    self.flush(items)
                    items.append(Clear(op.result, self.storage[op.result].layout.depth))
                case Return():
                    scalars = [v for v in op.values if not isinstance(v.type, ArrayType)]
                    self.results = tuple(self.alias(v, v.name) for v in scalars)
                case _:
                    self.region().add((op,))

    def branch(self, op: If, items: list[_Item]) -> None:
        """A conditional with loops or calls inside."""
        condition = self.alias(op.condition, "taken")
        self.flush(items)
        then, orelse = self.sequence(op.then), self.sequence(op.orelse)
        items.append(_BranchDraft(condition, tuple(then), tuple(orelse)))

    def repeat(self, op: While, items: list[_Item]) -> None:
        """A loop that a condition ends.

        Where the condition costs little it is computed twice: with what stands before the loop,
        and after the body in the body's own region, so that small loops take a cycle each time.
        """
        if (counted := open_ended(op, self.dirty, self.kept)) is not None:
            self.until_the_end(op, counted, items)
        elif self.is_cheap(op.before):
            # Both regions define the values of ``before``, which are used nowhere else.
            self.region().add(op.before[:-1])
            first = self.alias(op.condition, "taken")
            self.flush(items)
            before, condition = self.tested((*op.body, *op.before))
            loop = _RepeatDraft(op, before, condition, ())
            items.append(_BranchDraft(first, (loop,), ()))
        else:
            self.flush(items)
            before, condition = self.tested(op.before)
            items.append(_RepeatDraft(op, before, condition, tuple(self.sequence(op.body))))

    def until_the_end(self, op: While, counted: For, items: list[_Item]) -> None:
        """A loop that ends with a stream, unless it has ended before: pipelined."""
        self.region().add(op.before[:-1])
        first = self.alias(op.condition, "taken")
        self.flush(items)
        self.intervals[counted.iv] = (0, 1)  # only whether it is the first is ever asked
        builder = self.body_of([counted], [], (0,))
        builder.end_unless(op.condition)
        bounds = Bounds(0, counted.constant_bounds[1] - 1 if counted.constant_bounds else 0, 1)
        counter = Counter(counted, (0, 1), bounds)
        items.append(_BranchDraft(first, (_PipelinedDraft((counter,), builder),), ()))

    def is_cheap(self, block: Block) -> bool:
        """Whether a block is straight-line code without units that take several cycles."""
        return not any(
            isinstance(op, For | While | Call | Print | Assert | FloatOp)
            or (isinstance(op, Alloc) and op.result in self.dirty)
            or (isinstance(op, Binary) and op.kind in _EXPENSIVE)
            for op in walk(block)
        )

    def tested(self, block: Block) -> tuple[tuple[_Item, ...], Value]:
        """The items of a block that ends with a Condition, and the value it is put out as."""
        items: list[_Item] = []
        self.items(block, items)
        condition = self.alias(_condition(block), "again")
        self.flush(items)
        return tuple(items), condition

    def alias(self, value: Value, name: str) -> Value:
        """A new value equal to another, put out by the region that ends just before its use."""
        fresh = Value(value.type, name)
        region = self.region()
        region.values[fresh] = region.value(value)
        return fresh

    def loop(self, op: For, items: list[_Item]) -> None:
        """A loop: pipelined with the perfect nest around it, or sequential."""
        if op.trip_count == 0:
            return
        nest = perfect_nest(op)
        if nest is not None and op.iv not in self.kept:
            narrow = restricted(*nest)
            if narrow is not None and self.full_nest((list(narrow), nest[1]), items):
                return
        constant = nest is not None and all(x.trip_count is not None for x in nest[0])
        if nest is not None and constant and (len(nest[0]) == 1 or op.iv not in self.apart):
            if all(x.trip_count for x in nest[0]):
                if len(nest[0]) == 1:
                    nest = [self.hoisted(op)], nest[1]
                self.flush(items)
                self.pipelined(nest[0], nest[1], items)
        elif nest is not None and op.iv not in self.apart and self.full_nest(nest, items):
            pass
        elif op.attrs.pipeline_ii is not None:
            self.pipelined([self.hoisted(op)], [], items)
        else:
            interval, bounds = self.bounds(op)
            self.flush(items)
            self.intervals[op.iv] = interval
            body = tuple(self.sequence(op.body))
            items.append(_LoopDraft(op, interval, bounds, body))

    def hoisted(self, loop: For) -> For:
        """A pipelined loop of its own, without the loads that can be done before it."""
        if may_change(loop.body, self.contended):
            return loop
        before, loop = hoist(loop, self.storage)
        if before:
            self.region().add(before)
        return loop

    def pipelined(self, nest: list[For], between: list[Op], items: list[_Item]) -> None:
        """A flattened nest."""
        counters: list[Counter] = []
        for loop in nest:
            interval, bounds = self.bounds(loop)
            self.intervals[loop.iv] = interval
            counters.append(Counter(loop, interval, bounds))
        self.flush(items)
        lower = tuple(c.bounds.lower for c in counters if c.bounds)
        items.append(_PipelinedDraft(tuple(counters), self.body_of(nest, between, lower)))

    def full_nest(self, nest: tuple[list[For], list[Op]], items: list[_Item]) -> bool:
        """Flatten a nest with inner bounds that are not constant; False if that cannot be."""
        if (found := self.varying(*nest)) is None:
            return False
        self.flush(items)
        self.varying_nest(*found, items)
        return True

    def varying(
        self, nest: Sequence[For], between: Sequence[Op]
    ) -> tuple[FullNest, Sequence[Op]] | None:
        """A nest with inner bounds that are not constant, if it can be flattened.

        With what is left of the operations between its loops; others are done before.
        """
        if len(nest) == 1 or nest[0].iv in self.kept:
            return None
        before, between = unchanging(nest, between)
        self.region().add(tuple(before))

        def outside(value: Value) -> Interval:
            return self.region().value(value).range

        loops = steppable(nest, between, outside)
        if loops is None:
            return None
        full = without_empty(loops, outside)
        return None if full is None else (nested(full), between)

    def varying_nest(
        self, full: FullNest, between: Sequence[Op], items: list[_Item]
    ) -> None:
        """A flattened nest with inner bounds that are not constant."""
        nest = list(full.loops)
        moves = not may_change(nest[-1].body, self.contended)
        if moves and (ahead := read_ahead(nest, self.storage)):
            nest = list(ahead.nest)
            self.storage.update({r: register_of(r) for r in ahead.registers})
        self.intervals |= counter_intervals(nest, self.intervals.__getitem__)
        counters = tuple(Counter(x, self.intervals[x.iv], None) for x in nest)
        builder = self.body_of(nest, between, tuple(x.lower for x in nest))
        items.append(_PipelinedDraft(counters, builder, full.conditions))

    def body_of(
        self, nest: list[For], between: Sequence[Op], lower: tuple[LowerBound, ...]
    ) -> RegionBuilder:
        """The region of a nest's iterations."""
        carried = carried_words(nest, self.storage, self.operators.float_latency)
        others = {a: kind for a, kind in self.storage.items() if a not in carried.arrays}
        changing = self.contended if may_change(nest[-1].body, self.contended) else frozenset()
        handed_on = last_stores(nest, {a: kind for a, kind in others.items() if a not in changing})
        for last in handed_on.values():
            self.storage.update(register_storage(last))
        ivs = tuple(loop.iv for loop in nest)
        builder = RegionBuilder(
            self.storage, self.intervals.__getitem__, ivs, handed_on, lower, carried
        )
        builder.add((*between, *nest[-1].body))
        return builder

    def bounds(self, op: For) -> tuple[Interval, Bounds]:
        """Interval of the counter and the bounds; dynamic ones are computed in the region."""
        if (constant := op.constant_bounds) is not None:
            trip = op.trip_count
            assert trip
            last = constant[0] + (trip - 1) * op.step
            return (constant[0], last), Bounds(constant[0], last, op.step)
        region = self.region()
        low = region.extreme(op.lower, Kind.MAX)
        high = region.extreme(op.upper, Kind.MIN)
        lower, upper = Value(INDEX, f"{op.name}_first"), Value(INDEX, f"{op.name}_end")
        nonempty = Value(BIT, f"{op.name}_any")
        region.values[lower], region.values[upper] = low, high
        region.values[nonempty] = region.graph.make(Kind.LT, BIT, low, high)
        interval = (low.range[0], max(low.range[0], high.range[1] - 1))
        return interval, Bounds(lower, upper, op.step, nonempty)


@dataclass(frozen=True, eq=False)
class _TogetherDraft:
    branches: tuple[tuple[_Item, ...], ...]


def _join(items: list[_Item]) -> None:
    """The loop at the end of items, with what stands before it, beside the loop before that."""
    loops = _PipelinedDraft, _LoopDraft, _TogetherDraft
    places = [k for k, item in enumerate(items) if isinstance(item, loops)]
    if len(places) < 2 or places[-1] != len(items) - 1:
        return  # one of them has no iteration
    first = items[places[-2]]
    branches = first.branches if isinstance(first, _TogetherDraft) else ((first,),)
    items[places[-2] :] = [_TogetherDraft((*branches, tuple(items[places[-2] + 1 :])))]


@dataclass(frozen=True, eq=False)
class _LoopDraft:
    loop: For
    interval: Interval
    bounds: Bounds
    body: tuple[_Item, ...]


@dataclass(frozen=True, eq=False)
class _RepeatDraft:
    loop: While
    before: tuple[_Item, ...]
    condition: Value
    body: tuple[_Item, ...]


@dataclass(frozen=True, eq=False)
class _BranchDraft:
    condition: Value
    then: tuple[_Item, ...]
    orelse: tuple[_Item, ...]


def _needs_states(op: If, dirty: frozenset[Value]) -> bool:
    """Whether a conditional contains anything that takes control: loops, calls, clears."""
    inside = walk((*op.then, *op.orelse))
    return any(
        isinstance(x, For | While | Call)
        or (isinstance(x, Alloc) and x.result in dirty)
        for x in inside
    )


def _preset(region: Region) -> Preset | None:
    """A region that does nothing but set registers to constants, as what takes no cycle."""
    words = {}
    for node in region.sinks:
        if node.kind is not Kind.REG_WRITE or not all(o.is_const for o in node.operands):
            return None
        data, enable = node.operands
        assert node.bank is not None
        assert enable.value
        words[node.bank] = data.value
    return None if region.outputs else Preset(words)


class _Finisher:
    """Goes backward through the drafts, collecting which values each region must put out."""

    def __init__(self, needed: set[Value], is_region: bool) -> None:
        self.needed = needed
        self.is_region = is_region
        self.defined: dict[Value, Node] = {}

    def sequence(self, items: list[_Item] | tuple[_Item, ...]) -> tuple[Control, ...]:
        """Finished controls of the drafts; empty regions vanish."""
        done: list[Control] = []
        for item in reversed(items):
            control = self.finish(item)
            if isinstance(control, Straight) and least(done):
                control = _preset(control.region) or control
            if control is not None:
                done.append(control)
        return tuple(reversed(done))

    def finish(self, item: _Item) -> Control | None:
        """One finished control."""
        match item:
            case _Draft(builder):
                region = self.region(builder)
                numbers = self.is_region and all(n.is_const for n in region.outputs.values())
                is_empty = not region.sinks and (numbers or not region.outputs)
                return None if is_empty else Straight(region)
            case _PipelinedDraft(counters, builder, conditions):
                for counter in counters:
                    if counter.bounds:
                        self.need_bounds(counter.bounds)
                pipelined = Pipelined(counters, self.region(builder), conditions)
                self.needed |= pipelined.outside
                return pipelined
            case _LoopDraft(loop, interval, bounds, body):
                done = self.sequence(body)
                self.need_bounds(bounds)
                return Sequential(loop, interval, bounds, done)
            case _BranchDraft(condition, then, orelse):
                parts = self.sequence(then), self.sequence(orelse)
                self.needed.add(condition)
                return Branch(condition, *parts)
            case _RepeatDraft(loop, before, condition, body):
                done = self.sequence(body)
                self.needed.add(condition)
                return Repeat(loop, self.sequence(before), condition, done)
            case _TogetherDraft(branches):
                return Together(tuple(self.sequence(b) for b in reversed(branches))[::-1])
            case Invoke(call):
                self.needed.update(a for a in call.args if not isinstance(a.type, ArrayType))
                return item
            case Parallel(calls):
                args = (a for call in calls for a in call.args)
                self.needed.update(a for a in args if not isinstance(a.type, ArrayType))
                return item
            case Clear():
                return item
        raise AssertionError(item)

    def need_bounds(self, bounds: Bounds) -> None:
        """The values that dynamic bounds are."""
        parts = (bounds.lower, bounds.last, bounds.nonempty)
        self.needed.update(p for p in parts if isinstance(p, Value))

    def region(self, builder: RegionBuilder) -> Region:
        """The finished region; what it uses from outside becomes needed before it."""
        outputs = {
            v: n for v, n in builder.values.items()
            if v in self.needed and not (n.kind is Kind.INPUT and n.source is v)
            and n.kind is not Kind.COUNTER
        }
        region = builder.finish(outputs)
        self.defined.update(outputs)
        for node in region.nodes():
            if node.kind is Kind.INPUT:
                assert node.source is not None
                self.needed.add(node.source)
        return region

