"""Functions of a legalized module in LLVM instructions (see :mod:`allo_rtl.sim.llvm_unit`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from llvmlite import ir

from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.arithmetic import limits
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
    Func,
    GetGlobal,
    If,
    Load,
    Module,
    Op,
    Print,
    Return,
    Select,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, Put, TryGet, TryPut
from allo_rtl.ir.types import DYNAMIC, ArrayType, Index, IntegerType
from allo_rtl.sim.llvm_arith import (
    I64,
    LLValue,
    affine,
    binary,
    cast,
    compare,
    constant,
    extreme,
    llvm_type,
)
from allo_rtl.sim.llvm_float import float_op
from allo_rtl.sim.llvm_memory import PTR, Slot
from allo_rtl.sim.llvm_streams import StreamUnit, StreamWriter, block_bytes
from allo_rtl.sim.llvm_unit import I1, I8, STATUS, Unit, dynamic_args
from allo_rtl.sim.words import word_count

# Arrays of more bytes than this are on the heap; a function has few that are smaller.
_STACK_BYTES = 4096


def emit_module(module: Module) -> tuple[Unit, StreamUnit]:
    """The LLVM module of a verified, legalized module, and what regions are in it."""
    unit = Unit(ir.Module(name=module.top), module)
    streams = StreamUnit(unit)
    for func in module.funcs:
        _FuncWriter(unit, func, streams).write()
    unit.write_entry(module.top_func)
    return unit, streams


class _FuncWriter:
    """Writes one function.

    ``env`` has the number or the address each value stands for, ``memory`` the address of each
    array made here and of each result of a call, ``extents`` the first extents of dynamic
    arguments, ``ranges`` what is known of index values, ``exits`` the places from which the
    function ends and with what status.
    """

    def __init__(self, unit: Unit, func: Func, streams: StreamUnit) -> None:
        self.unit = unit
        # Processes have stacks of their own: what a region gives to them is on none.
        self.uses_heap = func.name in streams.regions
        self.func = func
        self.out = unit.funcs[func.name]
        self.b = ir.IRBuilder(self.out.append_basic_block("start"))
        self.env: dict[Value, LLValue] = dict(zip(func.args, self.out.args, strict=False))
        dynamic, rest = dynamic_args(func), self.out.args[len(func.args) :]
        self.outs = rest[: len(func.results)]
        self.extents: dict[Value, LLValue] = dict(
            zip(dynamic, rest[len(func.results) :], strict=True)
        )
        self.ranges: dict[Value, Interval] = {}
        self.memory: dict[Value, LLValue] = {}
        self.heap: list[LLValue] = []
        self.exit = self.out.append_basic_block("exit")
        self.exits: list[tuple[LLValue, LLValue]] = []
        self.words: LLValue = None
        """Room for the arguments of a Print."""
        self.streams = StreamWriter(streams, self.b, self.env, self.out, self._exit_unless)
        self.blocks: dict[Call, LLValue] = {}
        """Room for the arguments of each process."""

    def write(self) -> None:
        """Write the whole function."""
        self._place_results()
        ops = list(walk(self.func.body))
        for op in ops:
            if isinstance(op, Alloc | Call):
                self._reserve(op)
        widest = max((_print_words(op) for op in ops if isinstance(op, Print)), default=0)
        self.words = self.b.alloca(ir.ArrayType(I64, max(widest, 1)))
        self.words.type = PTR  # llvmlite still gives it a typed pointer
        self._block(self.func.body)
        if self.func.dataflow:
            self.streams.join(self.func)
        self._end()

    def _end(self) -> None:
        """Free what is on the heap and answer the status, wherever the function ends."""
        self.exits.append((constant(STATUS, 0), self.b.block))
        self.b.branch(self.exit)
        self.b.position_at_end(self.exit)
        status = self.b.phi(STATUS)
        for value, block in self.exits:
            status.add_incoming(value, block)
        for pointer in self.heap:
            self.b.call(self.unit.free, [pointer])
        self.b.ret(status)

    def _place_results(self) -> None:
        """Let an array that is made here to be returned lie where the caller wants it."""
        made = {v for op in self.func.body if isinstance(op, Alloc | Call) for v in op.results()}
        for value, out in zip(self.func.returned, self.outs, strict=True):
            if value in made and isinstance(value.type, ArrayType):
                self.memory.setdefault(value, out)

    def _reserve(self, op: Alloc | Call) -> None:
        """Memory for what ``op`` makes, once a run of the function however often it is passed."""
        if self.func.dataflow and isinstance(op, Call):
            self.blocks[op] = self._on_heap(block_bytes(op))
            return
        for value in op.results():
            slot = Slot.of(value.type)
            if value not in self.memory:
                self.memory[value] = self._new(slot)

    def _zero(self, value: Value) -> None:
        """Make an allocated array's memory, reserved at the start of the run, zero."""
        size, zero = constant(I64, Slot.of(value.type).bytes), constant(I8, 0)
        self.b.call(self.unit.memset, [self.memory[value], zero, size, constant(I1, 0)])
        self.env[value] = self.memory[value]

    def _new(self, slot: Slot) -> LLValue:
        if slot.bytes <= _STACK_BYTES and not self.uses_heap:
            return slot.on_stack(self.b)
        return self._on_heap(slot.bytes)

    def _on_heap(self, size: int) -> LLValue:
        pointer = self.b.call(self.unit.malloc, [constant(I64, max(size, 8))])
        self.heap.append(pointer)
        return pointer

    def _block(self, block: Block) -> None:
        for op in block:
            self._op(op)

    def _op(self, op: Op) -> None:
        b, env = self.b, self.env
        match op:
            case Constant(result=result, value=value):
                env[result] = constant(llvm_type(result.type), value)
                self.ranges[result] = value, value
            case Binary(kind=kind, result=result, lhs=lhs, rhs=rhs):
                env[result] = binary(b, kind, result.type, env[lhs], env[rhs])
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                env[result] = compare(b, predicate, lhs.type, env[lhs], env[rhs])
            case Select(result=result, condition=c, if_true=yes, if_false=no):
                env[result] = b.select(env[c], env[yes], env[no])
            case Cast(result=result, operand=operand):
                env[result] = cast(b, operand.type, result.type, env[operand])
                if isinstance(operand.type, IntegerType) and result.type.bits > operand.type.bits:
                    self.ranges[result] = limits(operand.type)
            case Apply(result=result, expr=expr):
                env[result] = cast(b, Index(), result.type, self._affine(expr))
            case FloatOp(result=result, args=args):
                env[result] = float_op(b, op, [env[a] for a in args])
            case _:
                self._effect(op)

    def _effect(self, op: Op) -> None:
        b, env = self.b, self.env
        match op:
            case Alloc(result=result):
                self._zero(result)
            case GetGlobal(result=result, name=name):
                env[result] = self.unit.globals[name]
            case Load(result=result):
                env[result] = Slot.of(op.array.type).load(b, self._address(op))
            case Store(value=value):
                Slot.of(op.array.type).store(b, env[value], self._address(op))
            case For():
                self._loop(op)
            case While():
                self._while(op)
            case Condition():
                pass  # its While looks at it
            case If():
                self._if(op)
            case Call() if self.func.dataflow:
                self.streams.start(op, self.blocks[op])
            case Call():
                self._call(op)
            case MakeStream() | Put() | Get() | TryPut() | TryGet() | Poll():
                self.streams.op(op)
            case Return(values=values):
                self._return(values)
            case Print():
                self._print(op)
            case Assert():
                self.unit.checks.append(op)
                self._exit_unless(env[op.condition], constant(STATUS, len(self.unit.checks)))
            case _:
                raise TypeError(f"no LLVM code is known for {type(op).__name__}")

    def _affine(self, expr: AffineExpr) -> LLValue:
        return affine(self.b, expr, self.env.__getitem__)

    def _address(self, op: Load | Store) -> LLValue:
        """Where the element is; the function ends when it is outside the array."""
        self._check_range(op)
        offset = AffineExpr.constant(0)
        for subscript, extent in zip(op.index, op.array.array.shape, strict=True):
            offset = offset * extent + subscript
        slot = Slot.of(op.array.type)
        return slot.address(self.b, self.env[op.array], self._affine(offset))

    def _check_range(self, op: Load | Store) -> None:
        shape = op.array.array.shape
        bounds = [e.bounds(lambda v: self.ranges.get(v, limits(v.type))) for e in op.index]
        unsure = [
            n for n, (low, high) in enumerate(bounds) if not 0 <= low <= high < shape[n]
        ]
        if not unsure:
            return
        subscripts = [self._affine(e) for e in op.index]
        extents = [
            self.extents[op.array] if n == DYNAMIC else constant(I64, n) for n in shape
        ]
        inside = [self.b.icmp_unsigned("<", subscripts[n], extents[n]) for n in unsure]
        self.unit.checks.append(op)
        number = constant(STATUS, len(self.unit.checks))
        self._exit_unless(reduce(self.b.and_, inside), number, subscripts)

    def _trip_count(self, op: For, start: LLValue) -> LLValue:
        """Iterations, as an unsigned number: exact even at the ends of the range of index."""
        stop = extreme(self.b, BinaryKind.MIN, [self._affine(e) for e in op.upper])
        runs = self.b.icmp_signed("<", start, stop)
        span = self.b.sub(stop, start)
        if op.step > 1:
            whole = self.b.udiv(self.b.sub(span, constant(I64, 1)), constant(I64, op.step))
            span = self.b.add(whole, constant(I64, 1))
        return self.b.select(runs, span, constant(I64, 0))

    def _loop(self, op: For) -> None:
        start = extreme(self.b, BinaryKind.MAX, [self._affine(e) for e in op.lower])
        trips = self._trip_count(op, start)
        self.streams.count(op, trips)
        before = self.b.block
        head, body, after = (self.out.append_basic_block() for _ in range(3))
        self.b.branch(head)
        self.b.position_at_end(head)
        n = self.b.phi(I64)
        n.add_incoming(constant(I64, 0), before)
        self.b.cbranch(self.b.icmp_unsigned("<", n, trips), body, after)
        self.b.position_at_end(body)
        offset = n if op.step == 1 else self.b.mul(n, constant(I64, op.step))
        self.env[op.iv] = self.b.add(start, offset)
        self.ranges[op.iv] = self._counter_range(op)
        self._block(op.body)
        n.add_incoming(self.b.add(n, constant(I64, 1), flags=("nuw",)), self.b.block)
        self.b.branch(head)
        self.b.position_at_end(after)

    def _counter_range(self, op: For) -> Interval:
        lowers, uppers = (
            [e.bounds(lambda v: self.ranges.get(v, limits(v.type))) for e in bound]
            for bound in (op.lower, op.upper)
        )
        return max(low for low, _ in lowers), min(high for _, high in uppers) - 1

    def _while(self, op: While) -> None:
        head, body, after = (self.out.append_basic_block() for _ in range(3))
        self.streams.enter(op, self.func)
        self.b.branch(head)
        self.b.position_at_end(head)
        self._block(op.before)
        self.b.cbranch(self.env[op.condition], body, after)
        self.b.position_at_end(body)
        self._block(op.body)
        self.streams.went_round(op)
        self.b.branch(head)
        self.b.position_at_end(after)
        self.streams.leave()

    def _if(self, op: If) -> None:
        with self.b.if_else(self.env[op.condition]) as (then, orelse):
            with then:
                self._block(op.then)
            with orelse:
                self._block(op.orelse)

    def _call(self, op: Call) -> None:
        pointers = [self.memory[v] for v in op.outs]
        arguments = [self.env[a] for a in op.args]
        extents = [self._extent(a) for a in self.unit.dynamic(op)]
        status = self.b.call(self.unit.funcs[op.callee], arguments + pointers + extents)
        if op.callee in self.unit.fails:
            fine = self.b.icmp_unsigned("==", status, constant(STATUS, 0))
            self._exit_unless(fine, status)
        for value, pointer in zip(op.outs, pointers, strict=True):
            scalar = not isinstance(value.type, ArrayType)
            self.env[value] = Slot.of(value.type).load(self.b, pointer) if scalar else pointer

    def _return(self, values: tuple[Value, ...]) -> None:
        for value, out in zip(values, self.outs, strict=True):
            slot = Slot.of(value.type)
            if not isinstance(value.type, ArrayType):
                slot.store(self.b, self.env[value], out)
            elif self.memory.get(value) is not out:
                size = constant(I64, slot.bytes)
                arguments = [out, self.env[value], size, constant(I1, 0)]
                self.b.call(self.unit.memcpy, arguments)

    def _extent(self, array: Value) -> LLValue:
        """The first extent of an array."""
        found = self.extents.get(array)
        return constant(I64, array.array.shape[0]) if found is None else found

    def _exit_unless(
        self, fine: LLValue, status: LLValue, subscripts: Sequence[LLValue] = ()
    ) -> None:
        """End the function with this status unless ``fine`` (an i1); leave the subscripts."""
        self.unit.fails.add(self.func.name)
        onward, bad = self.out.append_basic_block(), self.out.append_basic_block()
        self.b.cbranch(fine, onward, bad)
        self.b.position_at_end(bad)
        for n, subscript in enumerate(subscripts):
            place = self.b.gep(self.unit.subscripts, [constant(I64, n)], source_etype=I64)
            self.b.store(subscript, place, align=8)
        self.exits.append((status, bad))
        self.b.branch(self.exit)
        self.b.position_at_end(onward)

    def _print(self, op: Print) -> None:
        number = constant(STATUS, len(self.unit.prints))
        self.unit.prints.append(op)
        at = 0
        for arg in op.args:
            value, room = self.env[arg], ir.IntType(word_count(arg.scalar) * 64)
            wide = value if value.type == room else self.b.zext(value, room)
            place = self.b.gep(self.words, [constant(I64, at)], source_etype=I64)
            self.b.store(wide, place, align=8)
            at += word_count(arg.scalar)
        self.b.call(self.unit.print, [number, self.words])


def _print_words(op: Print) -> int:
    """Number of 64-bit words of the arguments of a Print."""
    return sum(word_count(a.scalar) for a in op.args)
