"""From a plan of tasks to a region: a process for each task, and the streams between them.

A process takes a token from each task that it waits for before it first uses, in an iteration, what
both use, and puts one for each task that waits for it when it has last used that.  A buffer is an
array with one more dimension, the copy; iteration n of a task works on copy n modulo their number,
and the first tasks that use it wait until the last ones are done with that copy.

Where runs of a function overlap they are the iterations: a process runs once for each.  It keeps
from run to run which copies are next, and the tokens that say that copies are free are there from
the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import product

from allo_rtl.hls.initial import settle
from allo_rtl.hls.run_turns import Turn
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.fifo_order import Fifo
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Block,
    Call,
    Compare,
    Constant,
    For,
    Func,
    GetGlobal,
    Global,
    If,
    Load,
    LoopAttrs,
    Module,
    Op,
    Predicate,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import clone, map_block, substitute_op, walk
from allo_rtl.ir.stream_ops import Get, MakeStream, Put
from allo_rtl.ir.tasks import Buffer, Plan
from allo_rtl.ir.types import (
    DimPartition,
    Partition,
    ScalarType,
    StreamType,
    UInt,
    index,
)

_TOKEN = UInt(1)


@dataclass(frozen=True)
class TaskRegion:
    """A region and its processes.

    Attributes:
        region, processes: the new functions.
        args: the values of the function that the region is given.
        shallow: the region's streams that hold less than the array they stand for, with it.
        states: what processes keep from run to run, where these overlap.
    """

    region: Func
    processes: tuple[Func, ...]
    args: tuple[Value, ...]
    shallow: Mapping[Value, Value]
    states: tuple[Global, ...] = ()


def build_region(module: Module, plan: Plan, taken: set[str]) -> TaskRegion:
    """The region of a plan for a legalized module.

    Args:
        module: where it is.
        plan: of a function, which the region replaces, or of a loop, which a call of it replaces.
        taken: names of functions; those of the new ones are added.
    """
    return _Builder(module, plan, taken).build()


def unused_name(name: str, taken: set[str]) -> str:
    """A function's name like ``name``, added to ``taken``."""
    name = name.replace(".", "_")
    found, k = name, 1
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    taken.add(found)
    return found


@dataclass
class _Builder:
    module: Module
    plan: Plan
    taken: set[str]
    streams: list[Value] = field(default_factory=list)
    before: dict[tuple[int, int], list[Op]] = field(default_factory=dict)
    """What is to stand before an operation: by the numbers of its task and of itself in that."""
    copies: dict[Value, Value] = field(default_factory=dict)
    fifo_streams: dict[Value, Value] = field(default_factory=dict)
    turns: dict[tuple[int, int], Turn] = field(default_factory=dict)
    """Where runs overlap: by the number of a task and that of copies."""

    def build(self) -> TaskRegion:
        scope = self.plan.scope
        name = f"{scope.func.name}_{scope.name}" if scope.of_loop else scope.func.name
        self.name = unused_name(name, self.taken) if scope.of_loop else name
        blocks, dirty = self._settled()
        self.plan = _with_zeros_first(self.plan, dirty)
        for buffer in self.plan.buffers:
            self._copies(buffer)
        self._tokens()
        for buffer in self.plan.buffers:
            if buffer.array in dirty:
                self._zeroed(buffer)
        blocks = [self._with_tokens(k, block) for k, block in enumerate(blocks)]
        for fifo in self.plan.fifos:
            blocks = self._fifo(fifo, blocks)
        bodies = [self._in_copies(k, block) for k, block in enumerate(blocks)]
        parts = [self._process(k, body) for k, body in enumerate(bodies)]
        return self._region([f for f, _ in parts], [a for _, a in parts], dirty)

    def _settled(self) -> tuple[list[Block], set[Value]]:
        """The operations of each task, and the arrays that must be zeroed before the first."""
        scope = self.plan.scope
        fifos = {f.array for f in self.plan.fifos}
        arrays = {v for v in self._outer_arrays() if v not in fifos}
        # What is returned is used at the end, if nowhere else.
        ops, dirty = settle((*scope.body, *scope.closing), arrays)
        at = len(scope.common)
        blocks = []
        for task in scope.tasks:
            blocks.append(ops[at : at + len(task.ops)])
            at += len(task.ops)
        return blocks, dirty

    def _outer_arrays(self) -> list[Value]:
        """The arrays made in the scope that are more than one task's."""
        scope = self.plan.scope
        users: dict[Value, int] = {}
        for task in scope.tasks:
            for value in {v for op in walk(task.ops) for v in op.operands()}:
                users[value] = users.get(value, 0) + 1
        closing = {v for op in scope.closing for v in op.operands()}
        return [v for v in scope.local if users.get(v, 0) > 1 or v in closing]

    # --- what is between tasks -------------------------------------------------------------

    def _stream(self, name: str, element: ScalarType, depth: int, initial: int = 0) -> Value:
        self.streams.append(Value(StreamType(element, depth, initial), name))
        return self.streams[-1]

    def _tokens(self) -> None:
        """The tokens that tell the end of an iteration, and of the use of a copy."""
        tasks = self.plan.scope.tasks
        free: dict[tuple[int, int], int] = {}
        used: dict[tuple[int, int], set[Value]] = {}
        for buffer in self.plan.buffers:
            for ends in product(buffer.last, buffer.first):
                if ends[0] != ends[1]:
                    free[ends] = min(buffer.copies, free.get(ends, buffer.copies))
                    used.setdefault(ends, set()).add(buffer.array)
        for (one, two), arrays in sorted(self.plan.order.items(), key=lambda x: x[0]):
            stream = self._stream(f"{tasks[one].name}_done", _TOKEN, 2)
            self._put_token(one, two, arrays, stream)
            place = self._places(two, one, arrays)[0]
            self._add(two, place, [Get(result=Value(_TOKEN), stream=stream)])
        for (last, first), number in sorted(free.items()):
            runs = self.plan.scope.of_runs
            name = f"{tasks[last].name}_free"
            stream = self._stream(name, _TOKEN, number, number if runs else 0)
            self._put_token(last, first, used[last, first], stream)
            take = Get(result=Value(_TOKEN), stream=stream)
            get = [take] if runs else self._when(number, take)
            self._add(first, self._places(first, last, used[last, first])[0], get)

    def _put_token(self, task: int, other: int, arrays: Set[Value], stream: Value) -> None:
        one = Value(_TOKEN)
        put = [Constant(result=one, value=1), Put(stream=stream, value=one)]
        place = self._places(task, other, arrays)[-1] + 1
        self.before[task, place] = [*put, *self.before.get((task, place), ())]

    def _add(self, task: int, place: int, ops: Sequence[Op]) -> None:
        self.before.setdefault((task, place), []).extend(ops)

    def _places(self, task: int, other: int, arrays: Set[Value]) -> list[int]:
        """The places of a task's operations that another one must not overtake, or be overtaken by.

        These use one of the arrays, and if the other task only reads it, they store to it.  A copy
        of a buffer is handed over as a whole.
        """
        found = set[int]()
        for array in arrays:
            whole = array in self.copies or bool(self._uses(other, array, stores=True))
            found.update(self._uses(task, array, stores=not whole))
        # Where the arrays have other names in the task, it waits from its start to its end.
        return sorted(found) or [0, len(self.plan.scope.tasks[task].ops) - 1]

    def _uses(self, task: int, array: Value, stores: bool) -> list[int]:
        """The places of a task's operations that use an array, or that store to it."""

        def uses(op: Op) -> bool:
            return array in op.operands() and not (stores and isinstance(op, Load | For))

        ops = self.plan.scope.tasks[task].ops
        return [k for k, op in enumerate(ops) if any(map(uses, walk((op,))))]

    def _with_tokens(self, task: int, block: Block) -> Block:
        """A task's operations with what comes before some of them, and at the end."""
        found: list[Op] = []
        for k, op in enumerate(block):
            found += [*self.before.get((task, k), ()), op]
        return (*found, *self.before.get((task, len(block)), ()))

    def _when(self, number: int, op: Op) -> list[Op]:
        """An operation in every iteration but the first ``number``."""
        loop = self.plan.scope.loop
        found: list[Op] = [op]
        for lower in loop.lower:
            past = AffineExpr.of(loop.iv) - lower
            here, least, later = Value(index), Value(index), Value(_TOKEN)
            found = [
                Apply(result=here, expr=past), Constant(result=least, value=number * loop.step),
                Compare(predicate=Predicate.GE, result=later, lhs=here, rhs=least),
                If(condition=later, then=tuple(found)),
            ]  # fmt: skip
        return found

    def _copies(self, buffer: Buffer) -> None:
        """An array as copies of it."""
        type_ = buffer.array.array
        banked = not buffer.alone or Layout(type_).depth == 1
        lead = DimPartition(Partition.Complete, buffer.copies) if banked else None
        partition = (lead, *(type_.partition or (None,) * type_.rank))
        new = replace(type_, shape=(buffer.copies, *type_.shape), partition=partition)
        self.copies[buffer.array] = Value(new, buffer.array.name)

    def _zeroed(self, buffer: Buffer) -> None:
        """The first task that uses a buffer makes it zeros before."""
        first = buffer.users[0]
        place = self._uses(first, buffer.array, stores=False)[0]
        self._add(first, place, _zeros(buffer.array))

    def _copy(self, task: int, array: Value) -> AffineExpr:
        """Which copy an iteration works on: the next one in each."""
        loop, copies = self.plan.scope.loop, self.copies[array].array.shape[0]
        assert copies is not None
        if self.plan.scope.of_runs:
            if (task, copies) not in self.turns:
                self.turns[task, copies] = self._turn(task, copies)
            return AffineExpr.of(self.turns[task, copies].now)
        number = (AffineExpr.of(loop.iv) - loop.lower[0]).floordiv(loop.step)
        return number.mod(copies)

    def _turn(self, task: int, copies: int) -> Turn:
        name = f"{self.name}_{self.plan.scope.tasks[task].name}_turn"
        return Turn.of(unused_name(name, self.taken), copies)

    def _in_copies(self, task: int, block: Block) -> Block:
        """A task's operations on copies; where these are runs, between its turns."""
        block = map_block(block, lambda op: self._in_copy(task, op))
        for (of, _), turn in self.turns.items():
            if of == task:
                block = (*turn.begin, *block, *turn.end)
        return block

    def _in_copy(self, task: int, op: Op) -> Op | None:
        """An access of a buffer as one of a copy."""
        match op:
            case Load() | Store() if op.array in self.copies:
                at = (self._copy(task, op.array), *op.index)
                return replace(op, array=self.copies[op.array], index=at)
            case For() if any(v in self.copies for v in op.independent):
                kept = tuple(self.copies.get(v, v) for v in op.independent)
                return replace(op, independent=kept)
        return None

    def _fifo(self, fifo: Fifo, blocks: list[Block]) -> list[Block]:
        stream = self._stream(fifo.array.name, fifo.array.array.element, fifo.depth)
        self.fifo_streams[fifo.array] = stream
        blocks = [map_block(b, lambda op: _without(op, fifo.array)) for b in blocks]
        blocks[fifo.writer] = _putting(blocks[fifo.writer], fifo, stream)
        blocks[fifo.reader] = _taking(blocks[fifo.reader], fifo, stream)
        return blocks

    # --- functions -------------------------------------------------------------------------

    def _process(self, task: int, body: Block) -> tuple[Func, tuple[Value, ...]]:
        """The process of a task, and what it is given."""
        scope = self.plan.scope
        named = scope.tasks[task]
        stateful = {g.name for g in self.module.globals if g.stateful}
        outer = {*self._outer_arrays(), *self.streams, *self.copies.values()}
        outer |= {op.result for op in scope.common
                  if isinstance(op, GetGlobal) and op.name in stateful}  # fmt: skip
        body = (*_needed(scope.common, body, outer), *body)
        if scope.of_loop:
            attrs = replace(scope.loop.attrs, dataflow=False, band="")
            body = (replace(scope.loop, body=body, attrs=attrs, independent=()),)
        around = tuple(op for op in walk(scope.func.body) if isinstance(op, Constant | GetGlobal))
        known = {v for op in scope.common for v in op.results()}
        plain = tuple(
            op for op in around
            if op.result not in known
            and not (isinstance(op, GetGlobal) and op.name in stateful)
        )
        body = (*_needed(plain, body, outer), *body)
        given = tuple(sorted(_free(body), key=lambda v: v.uid))
        params = {v: Value(v.type, v.name) for v in given}
        name = unused_name(f"{self.name}_{named.name}", self.taken)
        func = Func(
            name=name, args=tuple(params.values()), results=(), body=clone(body, params),
            loc=named.loc,
        )  # fmt: skip
        return func, given

    def _region(
        self, processes: list[Func], given: list[tuple[Value, ...]], dirty: set[Value]
    ) -> TaskRegion:
        scope = self.plan.scope
        used = {v for args in given for v in args}
        used |= {v for op in scope.closing for v in op.operands()}
        made: list[Op] = [MakeStream(result=s) for s in self.streams]
        for op in scope.common:
            if isinstance(op, Alloc) and op.result in self.copies:
                copy = self.copies[op.result]
                made.append(Alloc(result=copy, zeroed=False, loc=op.loc))
            elif isinstance(op, Alloc) and op.result in used:
                made.append(replace(op, fifo=0, zeroed=op.result in dirty))
            elif isinstance(op, GetGlobal) and op.result in used:
                made.append(op)
        calls = [
            Call(callee=f.name, args=args, loc=f.loc)
            for f, args in zip(processes, given, strict=True)
        ]
        body: Block = (*made, *calls, *scope.closing)
        args = scope.func.args if not scope.of_loop else tuple(
            sorted(_free(body), key=lambda v: v.uid)
        )
        mapping = {v: Value(v.type, v.name) for v in args}
        returned = next((op.values for op in scope.closing if isinstance(op, Return)), ())
        region = Func(
            name=self.name, args=tuple(mapping.values()), results=tuple(v.type for v in returned),
            body=clone(body, mapping), loc=scope.loop.loc, dataflow=True, tasks=True,
            streams=frozenset() if scope.of_loop else scope.func.streams,
        )  # fmt: skip
        states = tuple(turn.state for turn in self.turns.values())
        return TaskRegion(region, tuple(processes), args, self._shallow(region), states)

    def _shallow(self, region: Func) -> dict[Value, Value]:
        """The streams of the region, in which they are copies, that are shallow."""
        copies = [op.result for op in region.body if isinstance(op, MakeStream)]
        fifos = {self.fifo_streams[f.array]: f for f in self.plan.fifos}
        return {
            copy: fifos[stream].array
            for stream, copy in zip(self.streams, copies, strict=True)
            if stream in fifos and fifos[stream].depth < fifos[stream].array.array.size
        }


def _with_zeros_first(plan: Plan, dirty: Set[Value]) -> Plan:
    """The plan in which the first task that uses a buffer makes it zeros before any other does."""
    order = dict(plan.order)
    buffers: list[Buffer] = []
    for buffer in plan.buffers:
        if buffer.array in dirty:
            zeroing, *others = buffer.first
            added = [(zeroing, other) for other in others]
            for pair in added:
                order[pair] = order.get(pair, frozenset()) | {buffer.array}
            buffer = replace(buffer, order=buffer.order | frozenset(added))
        buffers.append(buffer)
    return replace(plan, buffers=tuple(buffers), order=order)


def _needed(ops: Block, body: Block, outer: set[Value]) -> Block:
    """The operations that define what a body uses, but for what is given to it."""
    used = set(_free(body)) - outer
    kept: list[Op] = []
    for op in reversed(ops):
        if any(v in used for v in op.results()):
            kept.append(op)
            used |= {v for v in op.operands() if v not in outer}
    return tuple(reversed(kept))


def _free(body: Block) -> set[Value]:
    """What a block uses and does not define."""
    defined = {v for op in walk(body) for v in op.results()}
    defined |= {op.iv for op in walk(body) if isinstance(op, For)}
    return {v for op in walk(body) for v in op.operands()} - defined


def _zeros(array: Value) -> Block:
    """Stores of zero to all of an array."""
    type_ = array.array
    assert isinstance(type_.element, ScalarType)
    zero = Value(type_.element)
    ivs = [Value(index, f"{array.name}_zero{d}") for d in range(type_.rank)]
    at = tuple(AffineExpr.of(iv) for iv in ivs)
    body: Block = (
        Constant(result=zero, value=0), Store(value=zero, array=array, index=at),
    )  # fmt: skip
    parts = type_.partition or (None,) * type_.rank
    pipelined = False
    for iv, extent, part in reversed(list(zip(ivs, type_.shape, parts, strict=True))):
        whole = part is not None and part.kind is Partition.Complete
        attrs = LoopAttrs(unroll=0) if whole else LoopAttrs(pipeline_ii=None if pipelined else 1)
        pipelined = pipelined or not whole
        loop = For(
            iv=iv, lower=(AffineExpr.constant(0),), upper=(AffineExpr.constant(extent),),
            body=body, name=iv.name, attrs=attrs,
        )  # fmt: skip
        body = (loop,)
    return body


# --- FIFOs ---------------------------------------------------------------------------------


def _without(op: Op, array: Value) -> Op | None:
    """A loop without a promise about an array that is none any more."""
    if isinstance(op, For) and array in op.independent:
        return replace(op, independent=tuple(v for v in op.independent if v is not array))
    return None


def _putting(block: Block, fifo: Fifo, stream: Value) -> Block:
    """The writer: what it stores is put; what it reads was never stored, and is zero."""

    def visit(op: Op) -> Op | None:
        if isinstance(op, Store) and op.array is fifo.array:
            return Put(stream=stream, value=op.value, loc=op.loc)
        if isinstance(op, Load) and op.array is fifo.array:
            return Constant(result=op.result, value=0, loc=op.loc)
        return None

    return map_block(block, visit)


def _taking(block: Block, fifo: Fifo, stream: Value) -> Block:
    """The reader: elements are taken at the start of loops, and kept for their reads."""
    element = fifo.array.array.element
    mapping: dict[Value, Value | AffineExpr] = {}
    gets: dict[Value | None, list[Op]] = {}
    in_place: dict[Op, Get] = {}
    for take in fifo.takes:
        value = Value(element, fifo.array.name)
        get = Get(result=value, stream=stream, loc=take.loads[0].loc)
        if take.in_place:
            in_place[take.loads[0]] = get
        else:
            gets.setdefault(take.loop, []).append(get)
        mapping |= dict.fromkeys((load.result for load in take.loads), value)

    def visit(op: Op) -> Op | Block:
        if isinstance(op, Load) and op.array is fifo.array:
            return (in_place[op],) if op in in_place else ()
        op = substitute_op(op, mapping)
        if isinstance(op, For) and op.iv in gets:
            return replace(op, body=(*gets[op.iv], *op.body))
        return op

    return (*gets.get(None, ()), *map_block(block, visit))

