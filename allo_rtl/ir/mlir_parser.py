"""Reads MLIR text of func, affine, scf, arith, math, memref and cf as a module of the loop IR.

Both forms of MLIR are read, the written one and the generic one, with the attributes the printer
writes.  In text without them integers are signed; an operation that asks for another sign than
its operand has (``divui``, ``extui``, ``cmpi ult`` ...) gets a cast of the same width, which
costs nothing.  Places of operations are places in this text.
"""

from __future__ import annotations

from allo_rtl.errors import ParseError, SourceLoc
from allo_rtl.ir.arithmetic import wrap
from allo_rtl.ir.mlir_build import Build, Builder
from allo_rtl.ir.mlir_build_control import RULES as CONTROL
from allo_rtl.ir.mlir_build_memory import RULES as MEMORY
from allo_rtl.ir.mlir_build_scalars import RULES as SCALARS
from allo_rtl.ir.mlir_lexer import Source
from allo_rtl.ir.mlir_literals import Bits, Literal, literal_value
from allo_rtl.ir.mlir_pretty import Operations
from allo_rtl.ir.mlir_streams import RULES as STREAMS
from allo_rtl.ir.mlir_syntax import Dense, FunctionType, RawOp, Symbol
from allo_rtl.ir.mlir_types import Signature, with_signs, with_unsigned
from allo_rtl.ir.ops import Call, Func, Global, Module
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.ir.verify import verify_module

RULES = SCALARS | MEMORY | CONTROL | STREAMS
"""How to build each operation of a function."""


def parse_module(text: str, filename: str = "<mlir>") -> Module:
    """The module that the text describes.

    The top is the function that ``allo.top`` of the module names, or the last one.

    Raises:
        ParseError: the text is not MLIR of these dialects, or uses what the loop IR has not
            (several blocks, tensors, arrays of unknown size inside a function ...).
        IRError: the module is ill-formed.
    """
    source = Source(text, filename)
    ops = Operations(source).top()
    attrs = {}
    if len(ops) == 1 and ops[0].name in ("module", "builtin.module"):
        attrs, ops = ops[0].attrs, ops[0].regions[0].ops
    module = _module(source, ops, attrs.get("allo.top"))
    verify_module(module)
    return module


def _module(source: Source, ops: list[RawOp], top: object) -> Module:
    _check_items(source, ops)
    globals_ = {o.attrs["sym_name"]: _global(source, o) for o in ops if o.name == "memref.global"}
    raws = {o.attrs["sym_name"]: o for o in ops if o.name == "func.func" and o.regions}
    signatures = {name: _signature(raw) for name, raw in raws.items()}
    build = Build(source, globals_, signatures, RULES)
    funcs = _callees_first([Builder(build, raw).func() for raw in raws.values()])
    if not funcs:
        raise ParseError("the text has no function", loc=SourceLoc(source.filename, 1))
    name = top if isinstance(top, str) else top.name if isinstance(top, Symbol) else funcs[-1].name
    return Module(funcs=tuple(funcs), top=name, globals=tuple(globals_.values()))


def _check_items(source: Source, ops: list[RawOp]) -> None:
    names: set[str] = set()
    for op in ops:
        if op.name not in ("memref.global", "func.func"):
            message = f"{op.name} stands where a function or a memref.global is expected"
            raise source.error(op.token, message)
        name = op.attrs.get("sym_name")
        if not isinstance(name, str):
            raise source.error(op.token, f"{op.name} needs the attribute sym_name")
        if name in names:
            raise source.error(op.token, f"'@{name}' is defined twice")
        names.add(name)
        if len(op.regions) > (op.name == "func.func"):
            raise source.error(op.token, f"{op.name} has {len(op.regions)} regions")


def _signature(raw: RawOp) -> Signature:
    kind = raw.attrs.get("function_type")
    outs = kind.outs if isinstance(kind, FunctionType) else raw.outs
    ins = tuple(t for _, t in raw.regions[0].args)
    return Signature(
        with_signs(ins, str(raw.attrs.get("itypes", ""))),
        with_signs(outs, str(raw.attrs.get("otypes", ""))),
    )


def _callees_first(funcs: list[Func]) -> list[Func]:
    """In the order of the text but for callees, which move in front of their first caller."""
    by_name = {f.name: f for f in funcs}
    order: dict[str, Func] = {}
    started: set[str] = set()

    def visit(func: Func) -> None:
        if func.name in started:
            return
        started.add(func.name)
        for op in walk(func.body):
            if isinstance(op, Call) and op.callee in by_name:
                visit(by_name[op.callee])
        order[func.name] = func

    for func in funcs:
        visit(func)
    return list(order.values())


def _global(source: Source, raw: RawOp) -> Global:
    declared = raw.attrs.get("type")
    dense = raw.attrs.get("initial_value", Dense((Bits(0),)))
    stateful = "constant" not in raw.attrs
    if not isinstance(declared, ArrayType) or not isinstance(dense, Dense):
        raise source.error(raw.token, "a memref.global needs an array type and dense<...> data")
    array = with_unsigned(declared, "unsigned" in raw.attrs)
    assert isinstance(array, ArrayType)
    if array.is_dynamic:
        raise source.error(raw.token, f"a memref.global has a known size, not {array}")
    data = _elements(source, raw, array, dense.data)
    if len(data) != array.size:
        found = f"{array} has {array.size} elements, the data has {len(data)}"
        raise source.error(raw.token, found)
    return Global(name=raw.attrs["sym_name"], type=array, data=data, stateful=stateful)


def _elements(
    source: Source, raw: RawOp, array: ArrayType, data: tuple[Literal, ...] | bytes
) -> tuple[int, ...]:
    element = array.element
    if isinstance(data, bytes):
        patterns = _patterns(element.bits, array.size, data)
        values = tuple(wrap(element, x) for x in patterns)
    else:
        found = [literal_value(element, x) for x in data]
        if None in found:
            text = f"{data[found.index(None)]} is no constant of type {element}"
            raise source.error(raw.token, text)
        values = tuple(x for x in found if x is not None)
    return values * array.size if len(values) == 1 else values


def _patterns(bits: int, count: int, data: bytes) -> list[int]:
    """Long constants are little-endian bytes, a whole number of them an element; i1 are bits."""
    if bits == 1:
        if data in (b"\x00", b"\xff"):
            return [data[0] & 1]
        return [data[n // 8] >> n % 8 & 1 for n in range(min(count, 8 * len(data)))]
    size = -(-bits // 8)
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
