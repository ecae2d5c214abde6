"""Operations on scalars as MLIR text.

MLIR's own operations where it has the type; for fixed point and structs generic operations of a
dialect ``allo``.  Where MLIR needs two operations for one of ours the first is marked ``{part}``
and the parser makes them one again.
"""

from __future__ import annotations

from allo_rtl.ir.mlir_literals import literal_text
from allo_rtl.ir.mlir_memref import is_upstream, scalar_type_text
from allo_rtl.ir.mlir_names import (
    BINARY_NAMES,
    FLOAT_NAMES,
    FLOAT_PREDICATE_NAMES,
    MATH_NAMES,
    PREDICATE_NAMES,
)
from allo_rtl.ir.mlir_types import is_unsigned
from allo_rtl.ir.mlir_writer import Writer, unsigned_text
from allo_rtl.ir.ops import (
    Binary,
    BinaryKind,
    Bitcast,
    Cast,
    Compare,
    Constant,
    FloatOp,
    Math,
    Select,
    Value,
)
from allo_rtl.ir.types import Float, Index, IntegerType, Type, UInt

type ScalarOp = Constant | Binary | Compare | Select | Cast | Bitcast | Math | FloatOp


def write_scalar(w: Writer, op: ScalarOp) -> None:
    """Write an operation on scalars."""
    result, kind, args = op.result, w.type(op.result.type), tuple(op.operands())
    mark = unsigned_text(result.type)
    match op:
        case Constant():
            _constant(w, op)
        case Binary():
            _binary(w, op)
        case Compare():
            _compare(w, op)
        case Select() if is_upstream(result.type):
            w.assign(result, f"arith.select {w.uses(args)}{mark} : {kind}")
        case Select():
            w.own("select", args, result)
        case Cast():
            _cast(w, result, op.operand)
        case Bitcast(operand=operand):
            _bitcast(w, result, operand)
        case Math():
            w.assign(result, f"{MATH_NAMES[op.kind]} {w.uses(args)} : {kind}")
        case FloatOp():
            _float_op(w, op)


def _constant(w: Writer, op: Constant) -> None:
    result, value = op.result, op.value
    kind = w.type(result.type)
    if not is_upstream(result.type):
        w.own("constant", (), result, f"value = {value} : i{result.type.bits}")
        return
    # `true` and `false` say their type.
    suffix = "" if kind == "i1" else f" : {kind}"
    text = literal_text(result.type, value)
    w.assign(result, f"arith.constant{unsigned_text(result.type)} {text}{suffix}")


def _binary(w: Writer, op: Binary) -> None:
    result, kind, uses = op.result, w.type(op.result.type), w.uses((op.lhs, op.rhs))
    match result.type:
        case IntegerType() | Index():
            name = BINARY_NAMES[op.kind, not is_unsigned(result.type)]
            mark = "" if name.endswith("ui") else unsigned_text(result.type)
            if op.kind is BinaryKind.FLOORDIV and name == "divui":
                mark = " {floordiv}"
            w.assign(result, f"arith.{name} {uses}{mark} : {kind}")
        case Float() if op.kind is BinaryKind.FLOORDIV:
            quotient = w.helper(f"arith.divf {uses} {{part}} : {kind}")
            w.assign(result, f"math.floor {quotient} : {kind}")
        case Float():
            w.assign(result, f"arith.{FLOAT_NAMES[op.kind]} {uses} : {kind}")
        case _:
            w.own(op.kind.value, (op.lhs, op.rhs), result)


def _compare(w: Writer, op: Compare) -> None:
    type, uses = op.lhs.type, w.uses((op.lhs, op.rhs))
    match type:
        case IntegerType() | Index():
            name = PREDICATE_NAMES[op.predicate, not is_unsigned(type)]
            w.assign(op.result, f"arith.cmpi {name}, {uses} : {w.type(type)}")
        case Float():
            name = FLOAT_PREDICATE_NAMES[op.predicate]
            w.assign(op.result, f"arith.cmpf {name}, {uses} : {w.type(type)}")
        case _:
            w.own("cmp", (op.lhs, op.rhs), op.result, f'predicate = "{op.predicate.value}"')


def _cast(w: Writer, result: Value, operand: Value) -> None:
    source, target = operand.type, result.type
    if not (is_upstream(source) and is_upstream(target)):
        w.own("cast", (operand,), result)
        return
    name, middle = cast_names(source, target)
    use, kind = w.names[operand], w.type(source)
    if middle:
        first, between = middle
        use = w.helper(f"arith.{first} {use} {{part}} : {kind} to {between}")
        kind = between
    mark = unsigned_text(target, "cast" if source == target and isinstance(target, Float) else "")
    w.assign(result, f"arith.{name} {use}{mark} : {kind} to {w.type(target)}")


def cast_names(source: Type, target: Type) -> tuple[str, tuple[str, str] | None]:
    """The conversion, and what comes before it if it takes two: its name and the type between."""
    match source, target:
        case Index(), Index():
            return "index_cast", ("index_cast", "i64")
        case Float(), Index():
            return "index_cast", ("fptosi", "i64")
        case Index(), Float():
            return "sitofp", ("index_cast", "i64")
        case Float(), IntegerType():
            return "fptoui" if isinstance(target, UInt) else "fptosi", None
        case IntegerType(), Float():
            return "uitofp" if isinstance(source, UInt) else "sitofp", None
        case Float(), Float():
            return _float_cast(source, target)
    unsigned = isinstance(source, UInt)
    if isinstance(source, Index) or isinstance(target, Index):
        return "index_castui" if unsigned else "index_cast", None
    if source.bits == target.bits:
        return "bitcast", None
    if source.bits > target.bits:
        return "trunci", None
    return "extui" if unsigned else "extsi", None


def _float_cast(source: Float, target: Float) -> tuple[str, tuple[str, str] | None]:
    if source == target:
        return "bitcast", None
    if source.width == target.width:
        return "truncf", ("extf", "f32")
    return "extf" if source.width < target.width else "truncf", None


def _bitcast(w: Writer, result: Value, operand: Value) -> None:
    source, target = operand.type, result.type
    if not (is_upstream(source) and is_upstream(target)):
        w.own("bitcast", (operand,), result)
        return
    # Between integers a plain arith.bitcast is a Cast.
    both = isinstance(source, IntegerType) and isinstance(target, IntegerType)
    mark = unsigned_text(target, "bits" if both else "")
    types = f"{w.type(source)} to {w.type(target)}"
    w.assign(result, f"arith.bitcast {w.names[operand]}{mark} : {types}")


def _float_op(w: Writer, op: FloatOp) -> None:
    attrs = [f"format = {scalar_type_text(op.format)}", f'kind = "{op.kind.value}"']
    if op.fraction:
        attrs.insert(1, f"fraction = {op.fraction} : i32")
    if op.target:
        attrs.append(f"target = {scalar_type_text(op.target)}")
    w.own("float", op.args, op.result, *attrs)
