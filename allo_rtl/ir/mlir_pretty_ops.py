"""Written forms of func, arith, math, cf and memref operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_affine_syntax import AffineMap
from allo_rtl.ir.mlir_names import (
    BINARY_KINDS,
    CASTS,
    FLOAT_KINDS,
    FLOAT_PREDICATES,
    MATH_KINDS,
    PREDICATES,
)
from allo_rtl.ir.mlir_syntax import UNIT, RawOp, Ref
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, Int, bool_, index

if TYPE_CHECKING:
    from allo_rtl.ir.mlir_pretty import Operations

RUN_TIME = -(1 << 63)
"""Stands in a list of static numbers for one that is an operand."""


def func_return(p: Operations, raw: RawOp) -> None:
    """``return %a, %b : i32, i32``."""
    raw.attrs = p.optional_attrs()
    if p.here.kind == "value":
        raw.operands = p.refs()
        raw.ins = p.typed()


def call(p: Operations, raw: RawOp) -> None:
    """``func.call @f(%a) : (i32) -> i32``."""
    raw.attrs["callee"] = p.symbol()
    p.expect("(")
    raw.operands = p.listed(")", p.ref)
    raw.attrs |= p.optional_attrs()
    p.expect(":")
    kind = p.function_type()
    raw.ins, raw.outs = kind.ins, kind.outs


# arith, math and cf


def same_type(p: Operations, raw: RawOp) -> None:
    """``arith.addi %a, %b : i32``: operands and result of one type."""
    raw.operands = p.refs()
    _flags(p)
    raw.attrs |= p.optional_attrs()
    p.expect(":")
    kind = p.type()
    raw.ins, raw.outs = (kind,) * len(raw.operands), (kind,)


def _flags(p: Operations) -> None:
    """Read over what an operation may assume, such as ``fastmath<contract>``."""
    while p.at("overflow", "fastmath", "exact"):
        p.take()
        if p.at("<"):
            p.skip_angles()


def compare(p: Operations, raw: RawOp) -> None:
    """``arith.cmpi slt, %a, %b : i32``."""
    table = PREDICATES if raw.name == "arith.cmpi" else FLOAT_PREDICATES
    names = [entry[0] for entry in table]
    token = p.expect_kind("word", "a predicate")
    if token.text not in names:
        known = ", ".join(names)
        raise p.source.error(token, f"'{token.text}' is not a predicate", known)
    p.expect(",")
    same_type(p, raw)
    raw.attrs["predicate"], raw.outs = names.index(token.text), (bool_,)


def select(p: Operations, raw: RawOp) -> None:
    """``arith.select %c, %a, %b : i32``."""
    same_type(p, raw)
    raw.ins = (bool_, *raw.outs, *raw.outs)


def constant(p: Operations, raw: RawOp) -> None:
    """``arith.constant 1 : i32``."""
    raw.attrs = p.optional_attrs()
    if p.at("true", "false"):
        raw.attrs["value"], raw.outs = p.take().text == "true", (Int(1),)
        return
    if p.at("dense"):
        text = "a constant of a kernel is a scalar"
        raise p.source.error(p.here, text, "arith.constant 1 : i32, memref.global for arrays")
    raw.attrs["value"] = p.number()
    p.expect(":")
    raw.outs = (p.type(),)


def cast(p: Operations, raw: RawOp) -> None:
    """``arith.extsi %a : i8 to i32``."""
    raw.operands = [p.ref()]
    _flags(p)
    raw.attrs = p.optional_attrs()
    raw.ins = p.typed()[:1]
    p.expect("to")
    raw.outs = (p.type(),)


def assert_(p: Operations, raw: RawOp) -> None:
    """``cf.assert %c, "message"``."""
    raw.operands = [p.ref()]
    p.expect(",")
    if p.here.kind != "string":
        raise p.unexpected("a message in quotes")
    raw.attrs["msg"] = p.string()
    raw.attrs |= p.optional_attrs()
    raw.ins = (bool_,)


# memref


def global_(p: Operations, raw: RawOp) -> None:
    """``memref.global "private" constant @W : memref<2xi8> = dense<[1, 2]>``."""
    if p.here.kind == "string":
        p.take()
    if p.accept("constant"):
        raw.attrs["constant"] = UNIT
    raw.attrs["sym_name"] = p.symbol().name
    p.expect(":")
    raw.attrs["type"] = p.type()
    if p.accept("=") and not p.accept("uninitialized"):
        raw.attrs["initial_value"] = p.attribute()
    raw.attrs |= p.optional_attrs()


def get_global(p: Operations, raw: RawOp) -> None:
    """``memref.get_global @W : memref<2xi8>``."""
    raw.attrs["name"] = p.symbol()
    raw.attrs |= p.optional_attrs()
    raw.outs = p.typed()[:1]
    raw.attrs |= p.optional_attrs()


def alloc(p: Operations, raw: RawOp) -> None:
    """``memref.alloc() : memref<2xi8>``."""
    p.expect("(")
    raw.operands = p.listed(")", p.ref)
    raw.attrs = p.optional_attrs()
    raw.outs = p.typed()[:1]


def dealloc(p: Operations, raw: RawOp) -> None:
    """``memref.dealloc %A : memref<2xi8>``."""
    raw.operands = [p.ref()]
    raw.attrs = p.optional_attrs()
    raw.ins = p.typed()


def copy(p: Operations, raw: RawOp) -> None:
    """``memref.copy %A, %B : memref<2xi8> to memref<2xi8>``."""
    raw.operands = p.refs()
    raw.attrs = p.optional_attrs()
    raw.ins = p.typed()[:1]
    p.expect("to")
    raw.ins += (p.type(),)


def dim(p: Operations, raw: RawOp) -> None:
    """``memref.dim %A, %c0 : memref<2xi8>``."""
    raw.operands = p.refs()
    raw.attrs = p.optional_attrs()
    raw.ins = (*p.typed(), index)
    raw.outs = (index,)


def access(p: Operations, raw: RawOp) -> None:
    """Loads and stores; subscripts of the affine ones are a map and its operands."""
    if raw.name.endswith("store"):
        raw.operands = [p.ref()]
        p.expect(",")
    raw.operands.append(p.ref())
    if raw.name.startswith("affine."):
        p.expect("[")
        raw.attrs["map"], uses = affine_operands(p, "]")
        raw.operands += uses
    else:
        p.expect("[")
        raw.operands += p.listed("]", p.ref)
    raw.attrs |= p.optional_attrs()
    p.expect(":")
    array = p.type()
    element = array.element if isinstance(array, ArrayType) else array
    load = raw.name.endswith("load")
    raw.ins, raw.outs = ((array,), (element,)) if load else ((element, array), ())


def affine_operands(p: Operations, closing: str) -> tuple[AffineMap, list[Ref]]:
    """Affine expressions of values up to a closing sign, as a map and its operands."""
    uses: list[Ref] = []
    places: dict[str, Value] = {}

    def operand() -> AffineExpr:
        if p.accept("symbol"):
            p.expect("(")
            inner = operand()
            p.expect(")")
            return inner
        use = p.ref()
        if use.name not in places:
            uses.append(use)
            places[use.name] = Value(index, use.name)
        return AffineExpr.of(places[use.name])

    exprs = p.listed(closing, lambda: p.affine_sum(operand))
    return AffineMap(tuple(places.values()), tuple(exprs)), uses


def subview(p: Operations, raw: RawOp) -> None:
    """``memref.subview %A[%i, 0] [1, 4] [1, 1] : memref<2x4xi8> to memref<4xi8, ...>``."""
    raw.operands = [p.ref()]
    counts = [1]
    for name in ("static_offsets", "static_sizes", "static_strides"):
        p.expect("[")
        entries = p.listed("]", lambda: p.ref() if p.here.kind == "value" else p.integer())
        uses = [e for e in entries if isinstance(e, Ref)]
        raw.operands += uses
        counts.append(len(uses))
        raw.attrs[name] = [RUN_TIME if isinstance(e, Ref) else e for e in entries]
    raw.attrs["operandSegmentSizes"] = counts
    raw.attrs |= p.optional_attrs()
    raw.ins = p.typed()[:1]
    p.expect("to")
    raw.outs = (p.type(),)


def reshape(p: Operations, raw: RawOp) -> None:
    """``memref.expand_shape %A [[0, 1]] output_shape [2, 4] : memref<8xi8> into ...``."""
    raw.operands = [p.ref()]
    p.attribute()
    if p.accept("output_shape"):
        p.attribute()
    raw.attrs = p.optional_attrs()
    raw.ins = p.typed()[:1]
    p.expect("into")
    raw.outs = (p.type(),)


READERS: dict[str, Callable[[Operations, RawOp], None]] = {
    "func.return": func_return,
    "func.call": call,
    **{f"arith.{name}": same_type for name in (*BINARY_KINDS, *FLOAT_KINDS)},
    **{f"arith.{name}": same_type for name in ("ceildivsi", "ceildivui", "minnumf", "maxnumf")},
    **{f"arith.{name}": cast for name in CASTS},
    **dict.fromkeys((*MATH_KINDS, "math.ceil", "math.absi", "math.rsqrt"), same_type),
    "arith.constant": constant,
    "arith.cmpi": compare,
    "arith.cmpf": compare,
    "arith.select": select,
    "cf.assert": assert_,
    "memref.global": global_,
    "memref.get_global": get_global,
    "memref.alloc": alloc,
    "memref.alloca": alloc,
    "memref.dealloc": dealloc,
    "memref.copy": copy,
    "memref.dim": dim,
    "memref.load": access,
    "memref.store": access,
    "affine.load": access,
    "affine.store": access,
    "memref.subview": subview,
    "memref.collapse_shape": reshape,
    "memref.expand_shape": reshape,
    "memref.cast": cast,
    "memref.memory_space_cast": cast,
    "builtin.unrealized_conversion_cast": cast,
}
"""Reads the written form of an operation."""
