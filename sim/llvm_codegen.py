"""The loop IR as an LLVM module for this machine.

Each function becomes an internal LLVM function ``kernel.<name>``: scalar arguments by value,
arrays by pointer, then one pointer a result to memory of the caller's.  One exported function
``entry(slots)`` calls the top: ``slots`` points to one pointer an argument and then one a result,
scalars too, so that no value ever crosses the platform's calling convention.

An element of up to 64 bits lies in the next larger of 8, 16, 32 and 64 bits, a wider one in
64-bit words, least significant first (:func:`storage_bits`).  The bits above the width are
written as zero and ignored when read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    For,
    Func,
    GetGlobal,
    Global,
    If,
    Load,
    Module,
    Op,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, Index, ScalarType, Type
from allo_rtl.sim.llvm_arith import (
    I64,
    Builder,
    LLValue,
    affine,
    binary,
    cast,
    compare,
    constant,
    extreme,
    llvm_type,
)
from allo_rtl.sim.marshal import Array, Words, to_words

ENTRY = "entry"
"""Name of the exported function."""

_PTR = ir.PointerType()
_VOID = ir.VoidType()
_I8 = ir.IntType(8)
_I1 = ir.IntType(1)

# Arrays of more bytes than this are on the heap; a function has few that are smaller.
_STACK_BYTES = 4096


def storage_bits(element: ScalarType) -> int:
    """Bits an element takes in memory: 8, 16, 32, or a multiple of 64."""
    return next((s for s in (8, 16, 32) if s >= element.bits), -(-element.bits // 64) * 64)


def to_storage(words: Words, element: ScalarType) -> Array:
    """An array's words in the form the compiled code works on (always a copy)."""
    bits = storage_bits(element)
    return words.astype(np.dtype(f"uint{min(bits, 64)}"))


def from_storage(storage: Array) -> Words:
    """The words of what :func:`to_storage` gave."""
    return storage.astype(np.uint64)


def emit_module(module: Module) -> Any:  # noqa: ANN401 - an llvmlite.ir.Module
    """The LLVM module of a verified module, with the function :data:`ENTRY`."""
    out = ir.Module(name=module.top)
    unit = _Unit(out, module)
    for func in module.funcs:
        _FuncWriter(unit, func).write()
    _write_entry(unit, module.top_func)
    return out


@dataclass(frozen=True)
class _Slot:
    """Memory for the elements of a type: an array, or one scalar."""

    element: ScalarType
    size: int

    @staticmethod
    def of(type_: Type) -> _Slot:
        """The memory one value of ``type_`` takes."""
        if isinstance(type_, ArrayType):
            return _Slot(type_.element, type_.size)
        assert isinstance(type_, ScalarType)
        return _Slot(type_, 1)

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.size * storage_bits(self.element) // 8

    @property
    def _align(self) -> int:
        return min(storage_bits(self.element), 64) // 8

    @property
    def _cell(self) -> Any:  # noqa: ANN401 - an llvmlite type
        """The type of one element in memory; an i192 would be padded, three words are not."""
        bits = storage_bits(self.element)
        return ir.IntType(bits) if bits <= 64 else ir.ArrayType(I64, bits // 64)

    def address(self, b: Builder, base: LLValue, offset: LLValue) -> LLValue:
        """Where element ``offset`` (an i64, from 0) is."""
        return b.gep(base, [offset], inbounds=True, source_etype=self._cell)

    def load(self, b: Builder, address: LLValue) -> LLValue:
        """The number of the element at ``address``."""
        bits = storage_bits(self.element)
        raw = b.load(address, typ=ir.IntType(bits), align=self._align)
        return raw if bits == self.element.bits else b.trunc(raw, llvm_type(self.element))

    def store(self, b: Builder, value: LLValue, address: LLValue) -> None:
        """Write an element, the bits above its width zero."""
        bits = storage_bits(self.element)
        raw = value if bits == self.element.bits else b.zext(value, ir.IntType(bits))
        b.store(raw, address, align=self._align)

    def on_stack(self, b: Builder) -> LLValue:
        """Fresh memory until the function returns; for its first block only."""
        memory = b.alloca(ir.ArrayType(self._cell, self.size))
        memory.align = 8
        memory.type = _PTR  # llvmlite still gives it a typed pointer
        return memory


class _Unit:
    """The LLVM module being written: its functions, constants and runtime functions."""

    def __init__(self, out: Any, module: Module) -> None:  # noqa: ANN401 - an llvmlite module
        self.out = out
        self.funcs = {f.name: self._declare(f, f.name == module.top) for f in module.funcs}
        self.globals = {g.name: self._global(g) for g in module.globals}
        self.malloc = ir.Function(out, ir.FunctionType(_PTR, [I64]), "malloc")
        self.free = ir.Function(out, ir.FunctionType(_VOID, [_PTR]), "free")
        fill = ir.FunctionType(_VOID, [_PTR, _I8, I64, _I1])
        self.memset = ir.Function(out, fill, "llvm.memset.p0.i64")
        copy = ir.FunctionType(_VOID, [_PTR, _PTR, I64, _I1])
        self.memcpy = ir.Function(out, copy, "llvm.memcpy.p0.p0.i64")

    def _declare(self, func: Func, is_top: bool) -> Any:  # noqa: ANN401 - an llvmlite function
        types = [_PTR if isinstance(a.type, ArrayType) else llvm_type(a.type) for a in func.args]
        outs = [_PTR] * len(func.results)
        out = ir.Function(self.out, ir.FunctionType(_VOID, types + outs), f"kernel.{func.name}")
        out.linkage = "internal"
        for n, arg in enumerate(out.args):
            # Results lie in memory of their own; so do the top's arguments (each is a copy).
            if arg.type == _PTR and (is_top or n >= len(types)):
                arg.add_attribute("noalias")
        return out

    def _global(self, global_: Global) -> Any:  # noqa: ANN401 - an llvmlite variable
        element = global_.type.element
        words = to_words(np.array(global_.data, object), element)
        data = bytearray(to_storage(words, element).tobytes())
        type_ = ir.ArrayType(_I8, len(data))
        variable = ir.GlobalVariable(self.out, type_, f"global.{global_.name}")
        variable.initializer = ir.Constant(type_, data)
        variable.global_constant = True
        variable.linkage = "internal"
        variable.align = 16
        variable.type = _PTR  # llvmlite still gives it a typed pointer
        return variable


def _write_entry(unit: _Unit, top: Func) -> None:
    entry = ir.Function(unit.out, ir.FunctionType(_VOID, [_PTR]), ENTRY)
    b = ir.IRBuilder(entry.append_basic_block())
    types = [a.type for a in top.args]
    actuals = []
    for n in range(len(types) + len(top.results)):
        address = b.gep(entry.args[0], [constant(I64, n)], source_etype=_PTR)
        pointer = b.load(address, typ=_PTR)
        by_value = n < len(types) and not isinstance(types[n], ArrayType)
        actuals.append(_Slot.of(types[n]).load(b, pointer) if by_value else pointer)
    b.call(unit.funcs[top.name], actuals)
    b.ret_void()


class _FuncWriter:
    """Writes one function.

    ``env`` has the number or the address each value stands for, ``memory`` the address of each
    array made here and of each result of a call.
    """

    def __init__(self, unit: _Unit, func: Func) -> None:
        self.unit = unit
        self.func = func
        self.out = unit.funcs[func.name]
        self.b = ir.IRBuilder(self.out.append_basic_block("start"))
        self.env: dict[Value, LLValue] = dict(zip(func.args, self.out.args, strict=False))
        self.outs = self.out.args[len(func.args) :]
        self.memory: dict[Value, LLValue] = {}
        self.heap: list[LLValue] = []

    def write(self) -> None:
        """Write the whole function."""
        self._place_results()
        for op in walk(self.func.body):
            if isinstance(op, Alloc | Call):
                self._reserve(op)
        self._block(self.func.body)
        for pointer in self.heap:
            self.b.call(self.unit.free, [pointer])
        self.b.ret_void()

    def _place_results(self) -> None:
        """Let an array that is made here to be returned lie where the caller wants it."""
        made = {v for op in self.func.body if isinstance(op, Alloc | Call) for v in op.results()}
        for value, out in zip(self.func.returned, self.outs, strict=True):
            if value in made and isinstance(value.type, ArrayType):
                self.memory.setdefault(value, out)

    def _reserve(self, op: Alloc | Call) -> None:
        """Memory for what ``op`` makes, once a run of the function however often it is passed."""
        for value in op.results():
            slot = _Slot.of(value.type)
            if value not in self.memory:
                self.memory[value] = self._new(slot)

    def _zero(self, value: Value) -> None:
        """Make an allocated array's memory, reserved at the start of the run, zero."""
        size, zero = constant(I64, _Slot.of(value.type).bytes), constant(_I8, 0)
        self.b.call(self.unit.memset, [self.memory[value], zero, size, constant(_I1, 0)])
        self.env[value] = self.memory[value]

    def _new(self, slot: _Slot) -> LLValue:
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
            case Alloc(result=result):
                self._zero(result)
            case GetGlobal(result=result, name=name):
                env[result] = self.unit.globals[name]
            case Load(result=result):
                env[result] = _Slot.of(op.array.type).load(b, self._address(op))
            case Store(value=value):
                _Slot.of(op.array.type).store(b, env[value], self._address(op))
            case For():
                self._loop(op)
            case If():
                self._if(op)
            case Call():
                self._call(op)
            case Return(values=values):
                self._return(values)
            case _:
                raise TypeError(f"no LLVM code is known for {type(op).__name__}")

    def _affine(self, expr: AffineExpr) -> LLValue:
        return affine(self.b, expr, self.env.__getitem__)

    def _address(self, op: Load | Store) -> LLValue:
        offset = AffineExpr.constant(0)
        for subscript, extent in zip(op.index, op.array.array.shape, strict=True):
            offset = offset * extent + subscript
        slot = _Slot.of(op.array.type)
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

    def _if(self, op: If) -> None:
        with self.b.if_else(self.env[op.condition]) as (then, orelse):
            with then:
                self._block(op.then)
            with orelse:
                self._block(op.orelse)

    def _call(self, op: Call) -> None:
        pointers = [self.memory[v] for v in op.outs]
        self.b.call(self.unit.funcs[op.callee], [self.env[a] for a in op.args] + pointers)
        for value, pointer in zip(op.outs, pointers, strict=True):
            scalar = not isinstance(value.type, ArrayType)
            self.env[value] = _Slot.of(value.type).load(self.b, pointer) if scalar else pointer

    def _return(self, values: tuple[Value, ...]) -> None:
        for value, out in zip(values, self.outs, strict=True):
            slot = _Slot.of(value.type)
            if not isinstance(value.type, ArrayType):
                slot.store(self.b, self.env[value], out)
            elif self.memory.get(value) is not out:
                size = constant(I64, slot.bytes)
                arguments = [out, self.env[value], size, constant(_I1, 0)]
                self.b.call(self.unit.memcpy, arguments)
