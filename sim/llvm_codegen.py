"""Functions of a legalized module in LLVM instructions (see :mod:`allo_rtl.sim.llvm_unit`)."""

from __future__ import annotations

from llvmlite import ir

from allo_rtl.ir.affine import AffineExpr
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
from allo_rtl.ir.types import ArrayType, Index
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
from allo_rtl.sim.llvm_unit import I1, I8, STATUS, Unit
from allo_rtl.sim.words import word_count

# Arrays of more bytes than this are on the heap; a function has few that are smaller.
_STACK_BYTES = 4096


def emit_module(module: Module) -> Unit:
    """The LLVM module of a verified, legalized module."""
    unit = Unit(ir.Module(name=module.top), module)
    for func in module.funcs:
        _FuncWriter(unit, func).write()
    unit.write_entry(module.top_func)
    return unit


class _FuncWriter:
    """Writes one function.

    ``env`` has the number or the address each value stands for, ``memory`` the address of each
    array made here and of each result of a call, ``exits`` the places from which it ends and
    with what status.
    """

    def __init__(self, unit: Unit, func: Func) -> None:
        self.unit = unit
        self.func = func
        self.out = unit.funcs[func.name]
        self.b = ir.IRBuilder(self.out.append_basic_block("start"))
        self.env: dict[Value, LLValue] = dict(zip(func.args, self.out.args, strict=False))
        self.outs = self.out.args[len(func.args) :]
        self.memory: dict[Value, LLValue] = {}
        self.heap: list[LLValue] = []
        self.exit = self.out.append_basic_block("exit")
        self.exits: list[tuple[LLValue, LLValue]] = []
        self.words: LLValue = None
        """Room for the arguments of a Print."""

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
        if slot.bytes <= _STACK_BYTES:
            return slot.on_stack(self.b)
        pointer = self.b.call(self.unit.malloc, [constant(I64, slot.bytes)])
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
            case Binary(kind=kind, result=result, lhs=lhs, rhs=rhs):
                env[result] = binary(b, kind, result.type, env[lhs], env[rhs])
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                env[result] = compare(b, predicate, lhs.type, env[lhs], env[rhs])
            case Select(result=result, condition=c, if_true=yes, if_false=no):
                env[result] = b.select(env[c], env[yes], env[no])
            case Cast(result=result, operand=operand):
                env[result] = cast(b, operand.type, result.type, env[operand])
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
            case Call():
                self._call(op)
            case Return(values=values):
                self._return(values)
            case Print():
                self._print(op)
            case Assert():
                self.unit.asserts.append(op)
                number = constant(STATUS, len(self.unit.asserts))
                self._exit_unless(env[op.condition], number)
            case _:
                raise TypeError(f"no LLVM code is known for {type(op).__name__}")

    def _affine(self, expr: AffineExpr) -> LLValue:
        return affine(self.b, expr, self.env.__getitem__)

    def _address(self, op: Load | Store) -> LLValue:
        offset = AffineExpr.constant(0)
        for subscript, extent in zip(op.index, op.array.array.shape, strict=True):
            offset = offset * extent + subscript
        slot = Slot.of(op.array.type)
        return slot.address(self.b, self.env[op.array], self._affine(offset))

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
        self._block(op.body)
        n.add_incoming(self.b.add(n, constant(I64, 1), flags=("nuw",)), self.b.block)
        self.b.branch(head)
        self.b.position_at_end(after)

    def _while(self, op: While) -> None:
        head, body, after = (self.out.append_basic_block() for _ in range(3))
        self.b.branch(head)
        self.b.position_at_end(head)
        self._block(op.before)
        self.b.cbranch(self.env[op.condition], body, after)
        self.b.position_at_end(body)
        self._block(op.body)
        self.b.branch(head)
        self.b.position_at_end(after)

    def _if(self, op: If) -> None:
        with self.b.if_else(self.env[op.condition]) as (then, orelse):
            with then:
                self._block(op.then)
            with orelse:
                self._block(op.orelse)

    def _call(self, op: Call) -> None:
        pointers = [self.memory[v] for v in op.outs]
        callee, arguments = self.unit.funcs[op.callee], [self.env[a] for a in op.args]
        status = self.b.call(callee, arguments + pointers)
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

    def _exit_unless(self, fine: LLValue, status: LLValue) -> None:
        """End the function with this status unless ``fine`` (an i1)."""
        self.exits.append((status, self.b.block))
        onward = self.out.append_basic_block()
        self.b.cbranch(fine, onward, self.exit)
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
