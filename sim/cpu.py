"""The CPU build: a module compiled for this machine by LLVM and called with numpy arrays.

It computes exactly what :func:`allo_rtl.ir.evaluate.evaluate` does, at the speed of compiled C.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from allo_rtl.errors import BuildError
from allo_rtl.ir.ops import Binary, BinaryKind, Module
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, ScalarType, Type
from allo_rtl.sim.llvm_codegen import ENTRY, emit_module, from_storage, to_storage
from allo_rtl.sim.marshal import (
    Array,
    Raw,
    Signature,
    Words,
    call_with_numpy,
    int_of_word,
    word_count,
    word_of_int,
)

# LLVM's time grows faster than the code: 32,000 unrolled operations take 15 s at level 3 and 1 s
# at the lower levels that modules of more operations than this get.
_LARGE = 4000

type Entry = Callable[[object], None]


class CpuModule:
    """A kernel compiled for this machine; made by :func:`compile_cpu`.

    Calling it follows :func:`allo_rtl.sim.marshal.call_with_numpy`.  Several may be alive and
    be called at once, from several threads too.

    Attributes:
        module: the IR it was compiled from.
        top_func_name: name of the kernel.
        llvm_ir: the LLVM module as it was before optimisation, as text.
    """

    def __init__(self, module: Module, llvm_ir: str, engine: Any, entry: Entry) -> None:  # noqa: ANN401
        self.module = module
        self.top_func_name = module.top
        self.llvm_ir = llvm_ir
        self._signature = Signature.of(module.top_func)
        self._engine = engine  # the code lives as long as the engine
        self._entry = entry

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - the kernel's own signature
        """Run the kernel on ints and numpy arrays; CallError when they do not fit it."""
        return call_with_numpy(self._signature, args, self.run_raw)

    def __repr__(self) -> str:
        return f"CpuModule({self._signature})"

    def run_raw(self, raw: list[Raw]) -> list[Raw]:
        """Run on raw arguments, arrays changed in place (see :mod:`allo_rtl.sim.marshal`)."""
        types = [t for _, t in self._signature.args]
        given = [_argument(t, r) for t, r in zip(types, raw, strict=True)]
        made = [to_storage(_blank(t), _element(t)) for t in self._signature.results]
        memory = [a.ctypes.data for a in (*given, *made)]
        self._entry((ctypes.c_void_p * len(memory))(*memory))
        for old, new in zip(raw, given, strict=True):
            if not isinstance(old, int):
                old[...] = from_storage(new)
        return [_result(t, a) for t, a in zip(self._signature.results, made, strict=True)]


def compile_cpu(module: Module) -> CpuModule:
    """Compile a verified module for this machine.

    Raises:
        BuildError: it divides numbers wider than 64 bits, and the compiler's run-time library
            that does this is not on this machine.
    """
    is_large = sum(1 for f in module.funcs for _ in walk(f.body)) > _LARGE
    machine = _target_machine(0 if is_large else 3)
    _check_runtime(module)
    source = emit_module(module)
    source.triple = machine.triple
    source.data_layout = str(machine.target_data)
    text = str(source)
    compiled = llvm.parse_assembly(text)
    compiled.verify()
    _optimise(compiled, machine, 1 if is_large else 3)
    engine = llvm.create_mcjit_compiler(compiled, machine)
    engine.finalize_object()
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address(ENTRY))
    return CpuModule(module, text, engine, entry)


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    if sys.platform == "linux":
        # Division of 65 to 128 bits is a call of __udivti3 and its like, which live there.
        try:
            llvm.load_library_permanently("libgcc_s.so.1")
        except RuntimeError:
            return  # _check_runtime reports it for the kernels that need it


def _target_machine(level: int) -> Any:  # noqa: ANN401 - an llvmlite object
    _initialise()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=level,
        jit=True,
    )


def _check_runtime(module: Module) -> None:
    if llvm.address_of_symbol("__udivti3"):
        return
    divisions = BinaryKind.DIV, BinaryKind.FLOORDIV, BinaryKind.REM
    for op in (op for f in module.funcs for op in walk(f.body)):
        if isinstance(op, Binary) and op.kind in divisions and op.result.type.bits > 64:
            raise BuildError(
                f"a division of {op.result.type} needs the library libgcc_s, which is not found",
                loc=op.loc,
                hint="install libgcc (Debian: libgcc-s1)",
            )


def _optimise(compiled: Any, machine: Any, level: int) -> None:  # noqa: ANN401 - llvmlite objects
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = True
    options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(compiled, builder)


def _element(type_: Type) -> ScalarType:
    element = type_.element if isinstance(type_, ArrayType) else type_
    assert isinstance(element, ScalarType)
    return element


def _blank(type_: Type) -> Words:
    size = type_.size if isinstance(type_, ArrayType) else 1
    return np.zeros((size, word_count(_element(type_))), np.uint64)


def _argument(type_: Type, raw: Raw) -> Array:
    words = word_of_int(raw, _element(type_)) if isinstance(raw, int) else raw
    return to_storage(words, _element(type_))


def _result(type_: Type, storage: Array) -> Raw:
    words = from_storage(storage)
    return words if isinstance(type_, ArrayType) else int_of_word(words, _element(type_))
