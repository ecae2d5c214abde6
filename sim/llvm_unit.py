"""The frame of the LLVM module: its functions, arrays, and what Python calls.

Each function becomes an internal LLVM function ``kernel.<name>``: scalar arguments by value,
arrays by pointer, then one pointer a result to memory of the caller's, then the first extent of
each array argument for which it is dynamic.  It answers 0, or the number from 1 of what failed, an
assertion or an access out of range; whoever called it then returns that too.

Exported are ``entry(slots)``, which calls the top: ``slots`` points to one pointer an argument and
then one a result, scalars too, so that no value ever crosses the platform's calling convention,
and then these extents; ``reset()``, which gives stateful arrays their first contents; and the array
``subscripts`` of the access that failed.  A line is printed by the imported ``print.line(n,
words)``: the number of the Print and its arguments, each in 64-bit words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from allo_rtl.ir.ops import Assert, Call, Func, Global, Load, Module, Print, Store, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, StreamType
from allo_rtl.sim.llvm_arith import I64, LLValue, constant, llvm_type
from allo_rtl.sim.llvm_memory import PTR, Slot, to_storage
from allo_rtl.sim.words import words_of_ints

ENTRY, RESET, PRINT = "entry", "reset", "print.line"
"""Names of the functions that Python calls, and of the one it provides."""

SUBSCRIPTS = "subscripts"
"""Name of the array of the subscripts, each of 64 bits, that were out of range."""

VOID = ir.VoidType()
STATUS = ir.IntType(32)
I8, I1 = ir.IntType(8), ir.IntType(1)


class Unit:
    """The LLVM module being written.

    Attributes:
        out: the ``llvmlite.ir.Module``.
        module: what is written.
        funcs: the LLVM function of each function, ``fails`` names those written that may fail.
        globals: address of each array of the module.
        prints, checks: what prints and what may fail, in the order of their numbers.
        subscripts: address of SUBSCRIPTS.
    """

    def __init__(self, out: Any, module: Module) -> None:  # noqa: ANN401 - an llvmlite module
        self.out = out
        self.module = module
        self.funcs = {f.name: self._declare(f, f.name == module.top) for f in module.funcs}
        self.fails: set[str] = set()
        self.globals: dict[str, LLValue] = {}
        self.prints: list[Print] = []
        self.checks: list[Assert | Load | Store] = []
        self.subscripts = self._subscripts(module)
        self.malloc = ir.Function(out, ir.FunctionType(PTR, [I64]), "malloc")
        self.free = ir.Function(out, ir.FunctionType(VOID, [PTR]), "free")
        fill = ir.FunctionType(VOID, [PTR, I8, I64, I1])
        self.memset = ir.Function(out, fill, "llvm.memset.p0.i64")
        copy = ir.FunctionType(VOID, [PTR, PTR, I64, I1])
        self.memcpy = ir.Function(out, copy, "llvm.memcpy.p0.p0.i64")
        self.print = ir.Function(out, ir.FunctionType(VOID, [STATUS, PTR]), PRINT)
        self._write_globals(module.globals)

    def _declare(self, func: Func, is_top: bool) -> Any:  # noqa: ANN401 - an llvmlite function
        types = [
            PTR if isinstance(a.type, ArrayType | StreamType) else llvm_type(a.type)
            for a in func.args
        ]
        types += [PTR] * len(func.results) + [I64] * len(dynamic_args(func))
        out = ir.Function(self.out, ir.FunctionType(STATUS, types), f"kernel.{func.name}")
        out.linkage = "internal"
        for n, arg in enumerate(out.args):
            # Results lie in memory of their own; so do the top's arguments (each is a copy).
            if arg.type == PTR and (is_top or n >= len(func.args)):
                arg.add_attribute("noalias")
        return out

    def _subscripts(self, module: Module) -> LLValue:
        arrays = (v for f in module.funcs for v in _arrays(f))
        type_ = ir.ArrayType(I64, max((v.array.rank for v in arrays), default=1) or 1)
        variable = ir.GlobalVariable(self.out, type_, SUBSCRIPTS)
        variable.initializer = ir.Constant(type_, None)
        variable.type = PTR  # llvmlite still gives it a typed pointer
        return variable

    def _write_globals(self, globals_: tuple[Global, ...]) -> None:
        """The module's arrays, and RESET."""
        reset = ir.Function(self.out, ir.FunctionType(VOID, []), RESET)
        b = ir.IRBuilder(reset.append_basic_block())
        for item in globals_:
            first = self._array(f"global.{item.name}", item)
            self.globals[item.name] = first
            if item.stateful:
                first.global_constant = False
                again = self._array(f"first.{item.name}", item)
                size = constant(I64, Slot.of(item.type).bytes)
                b.call(self.memcpy, [first, again, size, constant(I1, 0)])
        b.ret_void()

    def _array(self, name: str, item: Global) -> LLValue:
        element = item.type.element
        data = bytearray(to_storage(words_of_ints(list(item.data), element), element).tobytes())
        type_ = ir.ArrayType(I8, len(data))
        variable = ir.GlobalVariable(self.out, type_, name)
        variable.initializer = ir.Constant(type_, data)
        variable.global_constant = True
        variable.linkage = "internal"
        variable.align = 16
        variable.type = PTR  # llvmlite still gives it a typed pointer
        return variable

    def dynamic(self, call: Call) -> list[Value]:
        """The arrays given for the dynamic parameters of a call."""
        params = self.module.func(call.callee).args
        wanted = dynamic_args(self.module.func(call.callee))
        return [a for p, a in zip(params, call.args, strict=True) if p in wanted]

    def write_entry(self, top: Func) -> None:
        """Write ENTRY."""
        entry = ir.Function(self.out, ir.FunctionType(STATUS, [PTR]), ENTRY)
        b = ir.IRBuilder(entry.append_basic_block())
        types = [a.type for a in top.args]
        actuals = []
        for n in range(len(types) + len(top.results)):
            address = b.gep(entry.args[0], [constant(I64, n)], source_etype=PTR)
            pointer = b.load(address, typ=PTR)
            by_value = n < len(types) and not isinstance(types[n], ArrayType)
            actuals.append(Slot.of(types[n]).load(b, pointer) if by_value else pointer)
        for _ in dynamic_args(top):
            address = b.gep(entry.args[0], [constant(I64, len(actuals))], source_etype=I64)
            actuals.append(b.load(address, typ=I64))
        b.ret(b.call(self.funcs[top.name], actuals))


def dynamic_args(func: Func) -> list[Value]:
    """The array arguments whose first extent is known only in a call."""
    return [a for a in func.args if isinstance(a.type, ArrayType) and a.type.is_dynamic]


def _arrays(func: Func) -> Iterator[Value]:
    """The arrays that are accessed in a function."""
    return (op.array for op in walk(func.body) if isinstance(op, Load | Store))
