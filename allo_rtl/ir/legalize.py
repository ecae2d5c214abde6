"""From the types a user writes to what machines compute on: integers, and one kind of float op.

:func:`legalize` is where the CPU build and the RTL build begin.  Afterwards

* every scalar is an integer or index: floats and structs are ``UInt`` bit patterns, fixed-point
  numbers the integers they are multiples of, and an argument has the same bits as before;
* floating-point operations are ``FloatOp``; elementary functions are calls of integer functions
  (:mod:`allo_rtl.ir.functions`);
* there are no views, only the top names stateful arrays, and only what is passed to it may have
  an open extent.

It computes the same: the evaluator is defined on both forms, and tests compare them.
"""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.extents import close_extents
from allo_rtl.ir.functions import build_function
from allo_rtl.ir.ops import (
    Alloc,
    Binary,
    BinaryKind,
    Bitcast,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    FloatKind,
    FloatOp,
    Func,
    GetGlobal,
    Global,
    Load,
    Math,
    MathKind,
    Module,
    Op,
    Print,
    Select,
    Value,
)
from allo_rtl.ir.rewrite import map_block, substitute_op
from allo_rtl.ir.state import hoist_state
from allo_rtl.ir.stream_ops import Get, MakeStream, TryGet
from allo_rtl.ir.types import (
    ArrayType,
    FixedType,
    Float,
    Index,
    Int,
    IntegerType,
    ScalarType,
    StreamType,
    Struct,
    Type,
    UInt,
)
from allo_rtl.ir.views import resolve_views

type Whole = IntegerType | Index


def legalize(module: Module) -> Module:
    """A verified module in the form described above."""
    return _Scalars(resolve_views(hoist_state(close_extents(module)))).module()


def legal_type(type_: Type) -> Type:
    """The type that holds the same bits in a legalized module."""
    if isinstance(type_, ArrayType):
        return _array(type_)
    if isinstance(type_, StreamType):
        return replace(type_, element=_scalar(type_.element))
    return _scalar(type_) if isinstance(type_, ScalarType) else type_


def _scalar(type_: ScalarType) -> ScalarType:
    match type_:
        case FixedType():
            return type_.raw
        case Float() | Struct():
            return UInt(type_.bits)
    return type_


def _array(type_: ArrayType) -> ArrayType:
    return replace(type_, element=_scalar(type_.element))


class _Scalars:
    """Rewrites the scalars of a module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._functions: dict[tuple[MathKind | BinaryKind, Float], Func] = {}
        self._globals: dict[str, Global] = {}

    def module(self) -> Module:
        """The whole module, generated functions first."""
        funcs = [self._func(f) for f in self._module.funcs]
        arrays = (replace(g, type=_array(g.type)) for g in self._module.globals)
        return replace(
            self._module,
            funcs=(*self._functions.values(), *funcs),
            globals=(*arrays, *self._globals.values()),
        )

    def _func(self, func: Func) -> Func:
        mapping: dict[Value, Value] = {}
        args = tuple(_legal_value(a, mapping) for a in func.args)
        body = map_block(func.body, lambda op: self._op(op, mapping))
        results = tuple(map(legal_type, func.results))
        return replace(func, args=args, body=body, results=results)

    def _op(self, op: Op, mapping: dict[Value, Value]) -> Op | Block:
        """The operations that do what ``op`` did, over the values in ``mapping``."""
        match op:
            case Bitcast(result=result, operand=operand):
                return self._bitcast(op, result, mapping.get(operand, operand), mapping)
            case Print(args=args) if not op.types:
                op = replace(op, types=tuple(a.type for a in args))
        old, new = op, substitute_op(op, mapping)
        results = tuple(_legal_value(v, mapping) for v in op.results())
        if results and results != tuple(op.results()):
            new = _with_results(new, results)
        match old:
            case Binary() if isinstance(old.result.type, FixedType):
                assert isinstance(new, Binary)
                return _fixed(new, old.result.type)
            case Binary() if isinstance(old.result.type, Float):
                assert isinstance(new, Binary)
                return self._float(new, old.result.type)
            case Compare() if isinstance(old.lhs.type, Float):
                assert isinstance(new, Compare)
                kind = FloatKind(new.predicate.value)
                return _float_op(kind, old.lhs.type, new.result, (new.lhs, new.rhs), new.loc)
            case Cast():
                assert isinstance(new, Cast)
                return _cast(new, old.operand.type, old.result.type)
            case Math():
                assert isinstance(new, Math)
                assert isinstance(old.result.type, Float)
                return self._math(new, old.result.type)
        return new

    def _bitcast(
        self, op: Bitcast, result: Value, operand: Value, mapping: dict[Value, Value]
    ) -> Block:
        target = legal_type(result.type)
        if operand.type == target:
            mapping[result] = operand
            return ()
        return (Cast(result=_legal_value(result, mapping), operand=operand, loc=op.loc),)

    def _float(self, op: Binary, format_: Float) -> Op:
        if op.kind in (BinaryKind.REM, BinaryKind.FLOORDIV):
            return self._call(op.kind, format_, (op.lhs, op.rhs), op.result, op.loc)
        kind = FloatKind(op.kind.value)
        return _float_op(kind, format_, op.result, (op.lhs, op.rhs), op.loc)

    def _math(self, op: Math, format_: Float) -> Op | Block:
        sign = 1 << (format_.width - 1)
        match op.kind:
            case MathKind.NEG:
                return _with_constant(BinaryKind.XOR, op, sign)
            case MathKind.ABS:
                return _with_constant(BinaryKind.AND, op, sign - 1)
            case MathKind.SQRT | MathKind.FMA:
                return _float_op(FloatKind(op.kind.value), format_, op.result, op.args, op.loc)
        return self._call(op.kind, format_, op.args, op.result, op.loc)

    def _call(
        self,
        kind: MathKind | BinaryKind,
        format_: Float,
        args: tuple[Value, ...],
        result: Value,
        loc: SourceLoc | None,
    ) -> Call:
        """The call of a generated function."""
        if (kind, format_) not in self._functions:
            func, arrays = self._renamed(*build_function(kind, format_))
            self._functions[kind, format_] = func
            self._globals |= {g.name: g for g in arrays}
        callee = self._functions[kind, format_].name
        return Call(callee=callee, args=args, outs=(result,), loc=loc)


    def _renamed(self, func: Func, arrays: tuple[Global, ...]) -> tuple[Func, tuple[Global, ...]]:
        """The function and its tables under names that the user's module does not have."""
        taken = {f.name for f in self._module.funcs} | {g.name for g in self._module.globals}
        if not taken & {func.name, *(g.name for g in arrays)}:
            return func, arrays
        suffix = "_"
        while any(n + suffix in taken for n in (func.name, *(g.name for g in arrays))):
            suffix += "_"

        def visit(op: Op) -> Op | None:
            return replace(op, name=op.name + suffix) if isinstance(op, GetGlobal) else None

        body = map_block(func.body, visit)
        tables = tuple(replace(g, name=g.name + suffix) for g in arrays)
        return replace(func, name=func.name + suffix, body=body), tables


def _legal_value(value: Value, mapping: dict[Value, Value]) -> Value:
    """The value that stands for ``value``: itself when its type is legal."""
    if value not in mapping:
        type_ = legal_type(value.type)
        if type_ == value.type:
            return value
        mapping[value] = Value(type_, value.name)
    return mapping[value]


def _with_results(op: Op, results: tuple[Value, ...]) -> Op:
    match op:
        case Call():
            return replace(op, outs=results)
        case TryGet():
            return replace(op, result=results[0], done=results[1])
        case (
            Constant() | Binary() | Compare() | Select() | Cast() | Math() | Alloc()
            | GetGlobal() | Load() | MakeStream() | Get()
        ):  # fmt: skip
            return replace(op, result=results[0])
    raise AssertionError(f"{type(op).__name__} has no result of a type that is not legal")


def _float_op(
    kind: FloatKind, format_: Float, result: Value, args: tuple[Value, ...], loc: SourceLoc | None
) -> FloatOp:
    return FloatOp(kind=kind, format=format_, result=result, args=args, loc=loc)


def _with_constant(kind: BinaryKind, op: Math, number: int) -> Block:
    mask = Value(op.result.type)
    return (
        Constant(result=mask, value=number, loc=op.loc),
        Binary(kind=kind, result=op.result, lhs=op.args[0], rhs=mask, loc=op.loc),
    )


class _Writer:
    """Straight-line integer operations, in order."""

    def __init__(self, loc: SourceLoc | None) -> None:
        self.ops: list[Op] = []
        self._loc = loc

    def cast(self, value: Value, type_: Type, result: Value | None = None) -> Value:
        """``value`` as another integer."""
        if value.type == type_ and result is None:
            return value
        result = result or Value(type_)
        self.ops.append(Cast(result=result, operand=value, loc=self._loc))
        return result

    def binary(
        self, kind: BinaryKind, a: Value, b: Value | int, result: Value | None = None
    ) -> Value:
        """``a kind b`` in the type of ``a``."""
        if isinstance(b, int):
            number, b = b, Value(a.type)
            self.ops.append(Constant(result=b, value=number, loc=self._loc))
        result = result or Value(a.type)
        self.ops.append(Binary(kind=kind, result=result, lhs=a, rhs=b, loc=self._loc))
        return result

    def shift(self, a: Value, amount: int) -> Value:
        """``a`` times two to the power of a constant; rounded down when that is negative."""
        if amount == 0:
            return a
        kind = BinaryKind.SHL if amount > 0 else BinaryKind.SHR
        return self.binary(kind, a, abs(amount))


_SHIFTABLE = 10
"""Bits of an integer in which every number of fraction bits (0 ... 255) is a positive number."""


def _fixed(op: Binary, type_: FixedType) -> Op | Block:
    """A fixed-point operator on the integers that stand for its operands."""
    kind, fracs, raw = op.kind, type_.fracs, type_.raw
    write = _Writer(op.loc)

    def wide(width: int) -> tuple[Value, Value]:
        wider = _integer(raw.signed, max(width, _SHIFTABLE))
        return write.cast(op.lhs, wider), write.cast(op.rhs, wider)

    match kind:
        case BinaryKind.MUL:
            a, b = wide(2 * raw.width)
            result = write.shift(write.binary(kind, a, b), -fracs)
        case BinaryKind.DIV:
            a, b = wide(raw.width + fracs + 1)
            result = write.binary(kind, write.shift(a, fracs), b)
        case BinaryKind.FLOORDIV:
            a, b = wide(raw.width + fracs + 1)
            result = write.shift(write.binary(kind, a, b), fracs)
        case BinaryKind.SHL | BinaryKind.SHR:
            _, b = wide(raw.width)
            amount = write.cast(write.shift(b, -fracs), raw)
            write.binary(kind, op.lhs, amount, op.result)
            return tuple(write.ops)
        case _:
            return op
    write.cast(result, raw, op.result)
    return tuple(write.ops)


def _integer(signed: bool, width: int) -> IntegerType:
    return Int(width) if signed else UInt(width)


def _cast(op: Cast, source: Type, target: Type) -> Op | Block:
    """A conversion; the operand and result of ``op`` are legal values of these types already."""
    if source == target:
        return op
    if isinstance(source, Float):
        return _from_float(op, source, target)
    if isinstance(target, Float):
        write = _Writer(op.loc)
        whole = write.cast(op.operand, Int(64)) if isinstance(source, Index) else op.operand
        kind, fraction = FloatKind.FROM_INT, _fracs(source)
        convert = _float_op(kind, target, op.result, (whole,), op.loc)
        return (*write.ops, replace(convert, fraction=fraction))
    shift = _fracs(target) - _fracs(source)
    if shift == 0:
        return op
    write = _Writer(op.loc)
    width = max(source.bits + max(shift, 0), target.bits, _SHIFTABLE)
    wide = write.cast(op.operand, _integer(_is_signed(source), width))
    write.cast(write.shift(wide, shift), op.result.type, op.result)
    return tuple(write.ops)


def _from_float(op: Cast, source: Float, target: Type) -> Op | Block:
    if isinstance(target, Float):
        convert = _float_op(FloatKind.CONVERT, source, op.result, (op.operand,), op.loc)
        return replace(convert, target=target)
    whole = Value(Int(64)) if isinstance(target, Index) else op.result
    convert = _float_op(FloatKind.TO_INT, source, whole, (op.operand,), op.loc)
    convert = replace(convert, fraction=_fracs(target))
    if whole is op.result:
        return convert
    return convert, Cast(result=op.result, operand=whole, loc=op.loc)


def _fracs(type_: Type) -> int:
    return type_.fracs if isinstance(type_, FixedType) else 0


def _is_signed(type_: Type) -> bool:
    assert isinstance(type_, IntegerType | FixedType | Index)
    return type_.signed
