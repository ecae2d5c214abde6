"""The meaning of the loop IR: a slow, obvious, bit-exact evaluator.

Every other way to run a kernel is tested against this one.  Scalars are Python ints in the range
of their type, arrays are flat row-major lists of them.  :func:`eval_binary`,
:func:`eval_compare` and :func:`eval_cast` are the arithmetic alone, for constant folding.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import AlloError, CallError, SourceLoc
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
    If,
    Load,
    Module,
    Op,
    Predicate,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import ArrayType, Index, IntegerType, Type

type IntArray = npt.NDArray[Any]
"""A numpy array of integers, or of Python ints (dtype object)."""


def evaluate(
    module: Module, args: Sequence[int | IntArray], func: str | None = None
) -> tuple[int | IntArray, ...]:
    """Run a function of a verified module and return its results.

    Args:
        module: the module.
        args: one a parameter. Scalars are wrapped to the parameter's type. Arrays have the
            parameter's shape and an integer dtype at least as wide as its elements, or object;
            they are wrapped on the way in and changed in place.
        func: name of the function; the module's top without it.

    Returns:
        Scalars as int; arrays as int64 or uint64 where the elements fit, else as object.

    Raises:
        CallError: the arguments do not fit the parameters.
        AlloError: an access out of range, with its place in the source.
    """
    target = module.top_func if func is None else module.func(func)
    if len(args) != len(target.args):
        found = f"{target.name} takes {len(target.args)} arguments, {len(args)} were given"
        raise CallError(found, loc=target.loc)
    cells: dict[tuple[int, Type], list[int]] = {}
    inputs = [_read_arg(p, a, cells) for p, a in zip(target.args, args, strict=True)]
    before = [list(i) if isinstance(i, list) else i for i in inputs]
    results = _Frame(module, target, inputs).run()
    for arg, old, new in zip(args, before, inputs, strict=True):
        if isinstance(arg, np.ndarray) and isinstance(new, list) and old != new:
            arg[...] = _to_numpy(new, arg.shape, arg.dtype)
    return tuple(_result(t, r) for t, r in zip(target.results, results, strict=True))


def eval_binary(kind: BinaryKind, type: Type, a: int, b: int) -> int:
    """``a kind b`` for operands in the range of ``type``, wrapped to it."""
    t = _integer(type)
    return t.wrap(_exact(kind, t, a, b))


def _exact(kind: BinaryKind, t: IntegerType | Index, a: int, b: int) -> int:
    match kind:
        case BinaryKind.ADD:
            return a + b
        case BinaryKind.SUB:
            return a - b
        case BinaryKind.MUL:
            return a * b
        case BinaryKind.AND:
            return a & b
        case BinaryKind.OR:
            return a | b
        case BinaryKind.XOR:
            return a ^ b
        case BinaryKind.MIN:
            return min(a, b)
        case BinaryKind.MAX:
            return max(a, b)
        case BinaryKind.SHL | BinaryKind.SHR:
            return _shift(kind, t, a, b)
        case BinaryKind.DIV | BinaryKind.FLOORDIV | BinaryKind.REM:
            return _divide(kind, a, b)


def _shift(kind: BinaryKind, t: IntegerType | Index, a: int, b: int) -> int:
    # An amount of the width or more acts like the width: nothing but the sign is left.
    amount = min(b % (1 << t.bits), t.bits)
    return a << amount if kind is BinaryKind.SHL else a >> amount


def _divide(kind: BinaryKind, a: int, b: int) -> int:
    if b == 0:
        return a if kind is BinaryKind.REM else -1
    if kind is BinaryKind.FLOORDIV:
        return a // b
    quotient = abs(a) // abs(b)
    toward_zero = quotient if (a < 0) == (b < 0) else -quotient
    return toward_zero if kind is BinaryKind.DIV else a - b * toward_zero


def eval_compare(predicate: Predicate, a: int, b: int) -> int:
    """1 when ``a predicate b`` holds, else 0; the operands are in the range of their type."""
    match predicate:
        case Predicate.EQ:
            return int(a == b)
        case Predicate.NE:
            return int(a != b)
        case Predicate.LT:
            return int(a < b)
        case Predicate.LE:
            return int(a <= b)
        case Predicate.GT:
            return int(a > b)
        case Predicate.GE:
            return int(a >= b)


def eval_cast(target: Type, value: int) -> int:
    """The number ``value`` in the type ``target``, modulo its width."""
    return _integer(target).wrap(value)


def _integer(type: Type) -> IntegerType | Index:
    if not isinstance(type, IntegerType | Index):
        raise TypeError(f"{type} is not an integer type")
    return type


class _Frame:
    """One run of one function: what each value stands for."""

    def __init__(self, module: Module, func: Func, args: Sequence[int | list[int]]) -> None:
        self.module = module
        self.func = func
        self.scalars: dict[Value, int] = {}
        self.arrays: dict[Value, list[int]] = {}
        for param, arg in zip(func.args, args, strict=True):
            self.bind(param, arg)

    def bind(self, value: Value, content: int | list[int]) -> None:
        if isinstance(content, list):
            self.arrays[value] = content
        else:
            self.scalars[value] = content

    def get(self, value: Value) -> int | list[int]:
        if isinstance(value.type, ArrayType):
            return self.arrays[value]
        return self.scalars[value]

    def number(self, expr: AffineExpr) -> int:
        return expr.evaluate(self.scalars.__getitem__)

    def run(self) -> tuple[int | list[int], ...]:
        self.block(self.func.body)
        # An array result is a fresh array, also when the function returns an argument of its own.
        returned = (self.get(v) for v in self.func.returned)
        return tuple(r if isinstance(r, int) else list(r) for r in returned)

    def block(self, block: Block) -> None:
        for op in block:
            self.op(op)

    def op(self, op: Op) -> None:
        s = self.scalars
        match op:
            case Constant(result=result, value=value):
                s[result] = value
            case Binary(kind=kind, result=result, lhs=lhs, rhs=rhs):
                s[result] = eval_binary(kind, result.type, s[lhs], s[rhs])
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                s[result] = eval_compare(predicate, s[lhs], s[rhs])
            case Select(result=result, condition=c, if_true=yes, if_false=no):
                self.bind(result, self.get(yes if s[c] else no))
            case Cast(result=result, operand=operand):
                s[result] = eval_cast(result.type, s[operand])
            case Apply(result=result, expr=expr):
                s[result] = eval_cast(result.type, self.number(expr))
            case Alloc(result=result):
                self.arrays[result] = [0] * result.array.size
            case Return():
                pass
            case GetGlobal(result=result, name=name):
                self.arrays[result] = list(self.module.global_(name).data)
            case Load(result=result, array=array, index=index):
                s[result] = self.arrays[array][self.offset(array, index, op.loc)]
            case Store(value=value, array=array, index=index):
                self.arrays[array][self.offset(array, index, op.loc)] = s[value]
            case For():
                self.loop(op)
            case If(condition=condition, then=then, orelse=orelse):
                self.block(then if s[condition] else orelse)
            case Call():
                self.call(op)
            case _:
                raise TypeError(f"no meaning is known for {type(op).__name__}")

    def loop(self, op: For) -> None:
        start = max(self.number(e) for e in op.lower)
        stop = min(self.number(e) for e in op.upper)
        for i in range(start, stop, op.step):
            self.scalars[op.iv] = i
            self.block(op.body)

    def call(self, op: Call) -> None:
        callee = self.module.func(op.callee)
        results = _Frame(self.module, callee, [self.get(a) for a in op.args]).run()
        for out, result in zip(op.outs, results, strict=True):
            self.bind(out, result)

    def offset(self, array: Value, index: Sequence[AffineExpr], loc: SourceLoc | None) -> int:
        subscripts = [self.number(e) for e in index]
        offset = 0
        for i, extent in zip(subscripts, array.array.shape, strict=True):
            if not 0 <= i < extent:
                place = ", ".join(map(str, subscripts))
                text = f"{array.name or 'array'}[{place}] is out of range"
                raise AlloError(text, loc=loc, allowed=f"subscripts of {array.type}")
            offset = offset * extent + i
        return offset


def _read_arg(
    param: Value, arg: int | IntArray, cells: dict[tuple[int, Type], list[int]]
) -> int | list[int]:
    if not isinstance(param.type, ArrayType):
        try:
            return eval_cast(param.type, operator.index(arg))
        except TypeError:
            raise CallError(f"{param.name} is {param.type}, it needs an int, not {arg!r}") from None
    if not isinstance(arg, np.ndarray):
        raise CallError(f"{param.name} is {param.type}, it needs a numpy array, not {arg!r}")
    if arg.shape != param.type.shape:
        raise CallError(f"{param.name} is {param.type}, the array given has shape {arg.shape}")
    _check_dtype(param, arg.dtype)
    # One array given twice is one array inside as well: a store by one name shows by the other.
    key = (id(arg), param.type.unpartitioned)
    if key not in cells:
        element = param.type.element
        cells[key] = [eval_cast(element, int(x)) for x in arg.reshape(-1).tolist()]
    return cells[key]


def _check_dtype(param: Value, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "O":
        return
    if dtype.kind not in "iub":
        raise CallError(f"{param.name} is {param.type}, the array given is of {dtype}")
    width = 1 if dtype.kind == "b" else dtype.itemsize * 8
    if param.array.element.bits > width:
        raise CallError(
            f"{param.name} is {param.type}, its elements do not fit the array's {dtype}",
            hint="use a wider dtype, or dtype=object with Python ints",
        )


def _to_numpy(flat: list[int], shape: tuple[int, ...], dtype: np.dtype[Any]) -> IntArray:
    """The numbers as an array; an unsigned number in a signed dtype keeps its bits."""
    if dtype.kind in "iu":
        bits = dtype.itemsize * 8
        sign = 1 << (bits - 1) if dtype.kind == "i" else 0
        flat = [((x + sign) % (1 << bits)) - sign for x in flat]
    return np.array(flat, dtype=dtype).reshape(shape)


def _result(type: Type, result: int | list[int]) -> int | IntArray:
    if not isinstance(result, list):
        return result
    assert isinstance(type, ArrayType)
    element = _integer(type.element)
    dtype = "object" if element.bits > 64 else "int64" if element.signed else "uint64"
    return _to_numpy(result, type.shape, np.dtype(dtype))
