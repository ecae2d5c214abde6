"""The CPU build: a module compiled for this machine by LLVM and called with numpy arrays.

It computes exactly what :func:`allo_rtl.ir.evaluate.evaluate` does, at the speed of compiled C;
only elementary functions may differ from it, by as much as their algorithm's bound.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from allo_rtl.errors import AlloError, AssertionFailed, BuildError
from allo_rtl.ir.arithmetic import line_of, wrap
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import (
    Assert,
    Binary,
    BinaryKind,
    FloatOp,
    Load,
    Module,
    Op,
    Print,
    Store,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, ScalarType, Type
from allo_rtl.sim.llvm_codegen import emit_module
from allo_rtl.sim.llvm_memory import from_storage, to_storage
from allo_rtl.sim.llvm_unit import ENTRY, PRINT, RESET, SUBSCRIPTS
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
from allo_rtl.sim.reference import Output, to_stdout

# LLVM's time grows faster than the code: 32,000 unrolled operations take 15 s at level 3 and 1 s
# at the lower levels that modules of more operations than this get.
_LARGE = 4000
_LARGE_REGION = 1000  # of many small processes, whose time goes into handing over values

_PRINT = ctypes.CFUNCTYPE(None, ctypes.c_int32, ctypes.c_void_p)


class CpuModule:
    """A kernel compiled for this machine; made by ``schedule.build()``.

    Calling it follows :func:`allo_rtl.sim.marshal.call_with_numpy`.  Several may be alive and
    be called at once; one without state or printing from several threads too.  Stateful arrays
    keep their contents from call to call.

    Attributes:
        module: the IR it was compiled from.
        intermediate_module: the same on integers and bit patterns, which LLVM was given.
        top_func_name: name of the kernel.
        in_types, out_types: element type and shape of each argument and result; () of scalars.
        llvm_ir: the LLVM module as it was before optimisation, as text.
        execution_engine: the llvmlite object that holds the code.
        output: takes each line that is printed; a user may set another one.
    """

    def __init__(
        self, module: Module, top_func_name: str | None = None, *, output: Output = to_stdout
    ) -> None:
        """Compile the function ``top_func_name`` (the top without it) of a verified module.

        Raises:
            BuildError: it divides numbers wider than 64 bits, and the compiler's run-time library
                that does this is not on this machine; or it returns an array of dynamic extent.
        """
        self.module = module if top_func_name is None else _with_top(module, top_func_name)
        self.top_func_name = self.module.top
        self.output = output
        self.intermediate_module = legalize(self.module)
        self._signature = Signature.of(self.module.top_func)
        self._inside = Signature.of(self.intermediate_module.top_func)
        self.in_types = [_shaped(t) for _, t in self._signature.args]
        self.out_types = [_shaped(t) for t in self._signature.results]
        self._called = self._hooks()  # must live as long as the code
        self._code = _compile(self.intermediate_module, self._called)
        self.llvm_ir = self._code.text
        self.execution_engine = self._code.engine
        self._errors: list[BaseException] = []

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - the kernel's own signature
        """Run the kernel on numbers and numpy arrays.

        Raises:
            CallError: the arguments do not fit.
            AssertionFailed: an assertion of the kernel.
            AlloError: an access out of range. In both cases the run ends there, and no argument
                is changed.
        """
        return call_with_numpy(self._signature, args, self.run_raw)

    def __repr__(self) -> str:
        return f"CpuModule({self._signature})"

    def reset(self) -> None:
        """Give stateful arrays their first contents."""
        self._code.reset()

    def run_raw(self, raw: list[Raw]) -> list[Raw]:
        """Run on raw arguments, arrays changed in place (see :mod:`allo_rtl.sim.marshal`)."""
        types = [t for _, t in self._inside.args]
        given = [_argument(t, r) for t, r in zip(types, raw, strict=True)]
        made = [to_storage(_blank(t), _element(t)) for t in self._inside.results]
        memory = [a.ctypes.data for a in (*given, *made)]
        memory += [n for t, a in zip(types, given, strict=True) for n in _open_extent(t, a)]
        with _float_environment(self._code.has_floats):
            status = self._code.entry((ctypes.c_void_p * len(memory))(*memory))
        self._check(status)
        for old, new in zip(raw, given, strict=True):
            if not isinstance(old, int):
                old[...] = from_storage(new)
        return [_result(t, a) for t, a in zip(self._signature.results, made, strict=True)]

    def _check(self, status: int) -> None:
        """Raise what happened in a run."""
        if self._errors:
            errors, self._errors = self._errors, []
            raise errors[0]
        if not status:
            return
        failed = self._code.checks[status - 1]
        if isinstance(failed, Assert):
            raise AssertionFailed(failed.message or "an assertion does not hold", loc=failed.loc)
        raise self._out_of_range(failed)

    def _out_of_range(self, op: Load | Store) -> AlloError:
        array = op.array.array
        found = (ctypes.c_int64 * array.rank).from_address(self._code.subscripts)
        place = ", ".join(map(str, found))
        text = f"{op.array.name or 'array'}[{place}] is out of range"
        return AlloError(text, loc=op.loc, allowed=f"subscripts of {array}")

    def _hooks(self) -> dict[str, Any]:
        """What the code calls, by name."""
        return {PRINT: _PRINT(self._print)}

    def _print(self, number: int, address: int) -> None:
        """What the code calls; an exception must not pass through it."""
        try:
            op = self._code.prints[number]
            self.output(line_of(op.text, _print_values(op, address)))
        except BaseException as error:
            self._errors.append(error)


LLVMModule = CpuModule
"""Allo's name of :class:`CpuModule`."""


def compile_cpu(module: Module) -> CpuModule:
    """Compile a verified module for this machine; raises what :class:`CpuModule` does."""
    return CpuModule(module)


@dataclass(frozen=True)
class _Code:
    """Compiled code; ``prints``, ``checks`` and ``sites`` are the operations it has numbers for."""

    text: str
    engine: Any
    entry: Callable[[object], int]
    reset: Callable[[], None]
    prints: list[Print]
    checks: list[Assert | Load | Store]
    subscripts: int
    has_floats: bool
    sites: list[Any]


def _compile(module: Module, hooks: Mapping[str, Any]) -> _Code:
    ops = [op for f in module.funcs for op in walk(f.body)]
    is_large = len(ops) > (_LARGE_REGION if any(f.dataflow for f in module.funcs) else _LARGE)
    machine = _target_machine(0 if is_large else 3)
    _check_results(module)
    _check_runtime(ops)
    unit, streams = emit_module(module)
    unit.out.triple = machine.triple
    unit.out.data_layout = str(machine.target_data)
    text = str(unit.out)
    compiled = llvm.parse_assembly(text)
    compiled.verify()
    _optimise(compiled, machine, 1 if is_large else 3, vectorise=not _is_wide(ops))
    engine = llvm.create_mcjit_compiler(compiled, machine)
    for function in compiled.functions:
        if (hook := hooks.get(function.name)) is not None:
            engine.add_global_mapping(function, ctypes.cast(hook, ctypes.c_void_p).value)
    engine.finalize_object()
    # Processes go on in turn while the code runs: it keeps Python's lock then.
    entry = ctypes.PYFUNCTYPE if streams.regions else ctypes.CFUNCTYPE
    return _Code(
        text, engine,
        entry(ctypes.c_int32, ctypes.c_void_p)(engine.get_function_address(ENTRY)),
        ctypes.CFUNCTYPE(None)(engine.get_function_address(RESET)),
        unit.prints, unit.checks, engine.get_global_value_address(SUBSCRIPTS),
        any(isinstance(op, FloatOp) for op in ops), streams.sites,
    )  # fmt: skip


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


def _check_results(module: Module) -> None:
    top = module.top_func
    for type_ in top.results:
        if isinstance(type_, ArrayType) and type_.is_dynamic:
            raise BuildError(
                f"'{top.name}' returns {type_}, whose first extent is not known",
                loc=top.loc,
                hint="pass an array for the result as an argument",
            )


def _check_runtime(ops: list[Op]) -> None:
    if llvm.address_of_symbol("__udivti3"):
        return
    divisions = BinaryKind.DIV, BinaryKind.FLOORDIV, BinaryKind.REM
    for op in ops:
        if isinstance(op, Binary) and op.kind in divisions and op.result.type.bits > 64:
            raise BuildError(
                f"a division of {op.result.type} needs the library libgcc_s, which is not found",
                loc=op.loc,
                hint="install libgcc (Debian: libgcc-s1)",
            )


def _is_wide(ops: list[Op]) -> bool:
    """Whether there are numbers of more than 64 bits.

    LLVM 22 miscompiles vectors of them: a select of a vector of i200 takes its neighbours'.
    """
    return any(
        isinstance(v.type, ScalarType) and v.type.bits > 64 for op in ops for v in op.results()
    )


def _optimise(compiled: Any, machine: Any, level: int, *, vectorise: bool) -> None:  # noqa: ANN401
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = vectorise
    options.slp_vectorization = vectorise
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(compiled, builder)


# The C library's FE_DFL_ENV: to nearest, with subnormal numbers, no traps.
_DEFAULT_ENVIRONMENT = ctypes.c_void_p(-1)


@contextmanager
def _float_environment(needed: bool) -> Iterator[None]:
    """Default floating-point arithmetic in this thread for a while.

    A library compiled with -ffast-math switches subnormal numbers off in a whole process.
    """
    library = _libm() if needed else None
    if library is None:
        yield
        return
    before = ctypes.create_string_buffer(256)
    library.fegetenv(before)
    library.fesetenv(_DEFAULT_ENVIRONMENT)
    try:
        yield
    finally:
        library.fesetenv(before)


@cache
def _libm() -> ctypes.CDLL | None:
    """The C library's mathematical part, where its default environment is known."""
    return ctypes.CDLL("libm.so.6") if sys.platform == "linux" else None


def _with_top(module: Module, name: str) -> Module:
    """The part of a module that a function needs, which becomes the top."""
    names = [f.name for f in module.funcs]
    if name not in names:
        raise BuildError(f"there is no function '{name}'", allowed=", ".join(names))
    return Module(funcs=module.funcs[: names.index(name) + 1], top=name, globals=module.globals)


def _shaped(type_: Type) -> tuple[ScalarType, tuple[int, ...]]:
    return _element(type_), type_.shape if isinstance(type_, ArrayType) else ()


def _print_values(op: Print, address: int) -> list[tuple[Type, int]]:
    values = []
    for value, type_ in zip(op.args, op.types, strict=True):
        size = word_count(value.scalar) * 8
        number = int.from_bytes(ctypes.string_at(address, size), "little")
        values.append((type_, wrap(type_, number)))
        address += size
    return values


def _element(type_: Type) -> ScalarType:
    element = type_.element if isinstance(type_, ArrayType) else type_
    assert isinstance(element, ScalarType)
    return element


def _open_extent(type_: Type, storage: Array) -> list[int]:
    """The first extent of an argument, if it is dynamic."""
    if not isinstance(type_, ArrayType) or not type_.is_dynamic:
        return []
    return [len(storage) // abs(type_.size)]


def _blank(type_: Type) -> Words:
    size = type_.size if isinstance(type_, ArrayType) else 1
    return np.zeros((size, word_count(_element(type_))), np.uint64)


def _argument(type_: Type, raw: Raw) -> Array:
    words = word_of_int(raw, _element(type_)) if isinstance(raw, int) else raw
    return to_storage(words, _element(type_))


def _result(type_: Type, storage: Array) -> Raw:
    words = from_storage(storage)
    return words if isinstance(type_, ArrayType) else int_of_word(words, _element(type_))
