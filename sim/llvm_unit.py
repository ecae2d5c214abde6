"""The frame of the LLVM module: its functions, arrays, and what Python calls.

Each function becomes an internal LLVM function ``kernel.<name>``: scalar arguments by value,
arrays by pointer, then one pointer a result to memory of the caller's.  It answers 0, or the number
of the assertion that failed, from 1; whoever called it then returns that too.

Exported are ``entry(slots)``, which calls the top: ``slots`` points to one pointer an argument and
then one a result, scalars too, so that no value ever crosses the platform's calling convention;
and ``reset()``, which gives stateful arrays their first contents.  A line is printed by the
imported ``print.line(n, words)``: the number of the Print and its arguments, each in 64-bit words.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from allo_rtl.ir.ops import Assert, Call, Func, Global, Module, Print
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.sim.llvm_arith import I64, LLValue, constant, llvm_type
from allo_rtl.sim.llvm_memory import PTR, Slot, to_storage
from allo_rtl.sim.words import words_of_ints

ENTRY, RESET, PRINT = "entry", "reset", "print.line"
"""Names of the functions that Python calls, and of the one it provides."""

VOID = ir.VoidType()
STATUS = ir.IntType(32)
I8, I1 = ir.IntType(8), ir.IntType(1)


class Unit:
    """The LLVM module being written.

    Attributes:
        out: the ``llvmlite.ir.Module``.
        funcs: the LLVM function of each function, ``fails`` those in which an assertion is.
        globals: address of each array of the module.
        prints, asserts: the operations of that kind met so far, in the order of their numbers.
    """

    def __init__(self, out: Any, module: Module) -> None:  # noqa: ANN401 - an llvmlite module
        self.out = out
        self.funcs = {f.name: self._declare(f, f.name == module.top) for f in module.funcs}
        self.fails = _that_fail(module)
        self.globals: dict[str, LLValue] = {}
        self.prints: list[Print] = []
        self.asserts: list[Assert] = []
        self.malloc = ir.Function(out, ir.FunctionType(PTR, [I64]), "malloc")
        self.free = ir.Function(out, ir.FunctionType(VOID, [PTR]), "free")
        fill = ir.FunctionType(VOID, [PTR, I8, I64, I1])
        self.memset = ir.Function(out, fill, "llvm.memset.p0.i64")
        copy = ir.FunctionType(VOID, [PTR, PTR, I64, I1])
        self.memcpy = ir.Function(out, copy, "llvm.memcpy.p0.p0.i64")
        self.print = ir.Function(out, ir.FunctionType(VOID, [STATUS, PTR]), PRINT)
        self._write_globals(module.globals)

    def _declare(self, func: Func, is_top: bool) -> Any:  # noqa: ANN401 - an llvmlite function
        types = [PTR if isinstance(a.type, ArrayType) else llvm_type(a.type) for a in func.args]
        outs = [PTR] * len(func.results)
        out = ir.Function(self.out, ir.FunctionType(STATUS, types + outs), f"kernel.{func.name}")
        out.linkage = "internal"
        for n, arg in enumerate(out.args):
            # Results lie in memory of their own; so do the top's arguments (each is a copy).
            if arg.type == PTR and (is_top or n >= len(types)):
                arg.add_attribute("noalias")
        return out

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
        b.ret(b.call(self.funcs[top.name], actuals))


def _that_fail(module: Module) -> frozenset[str]:
    """Names of the functions in which, or in whose callees, an assertion is."""
    names: set[str] = set()
    for func in module.funcs:
        for op in walk(func.body):
            if isinstance(op, Assert) or (isinstance(op, Call) and op.callee in names):
                names.add(func.name)
    return frozenset(names)
