"""What a subscript selects from a scalar: a bit, some bits, or a field of a struct."""

from __future__ import annotations

import ast
from collections.abc import Callable

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import bits
from allo_rtl.frontend.builder import Operand, number
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.infer import as_int, similar
from allo_rtl.frontend.scope import Known
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import Index, Int, IntegerType, ScalarType, Struct, UInt, bool_

type Evaluate = Callable[[Context, ast.expr], Operand]


def part(cx: Context, node: ast.Subscript, type_: ScalarType, evaluate: Evaluate) -> bits.Part:
    """The part of a value of ``type_`` that ``node`` selects.

    Bits are numbered from 0, the lowest; ``x[2:5]`` are the bits 2, 3 and 4.

    Args:
        evaluate: lowers a scalar expression.

    Raises:
        LanguageError: the type has no such part.
    """
    at = node.slice
    if isinstance(at, ast.Constant) and isinstance(at.value, str):
        return _field(cx, node, type_, at.value)
    if isinstance(type_, Struct):
        raise KernelTypeError(
            f"'{ast.unparse(node.value)}' is {type_}, and a field has a name",
            loc=cx.loc(at),
            allowed=_names(type_),
        )
    if not isinstance(type_, IntegerType | Index):
        text = ast.unparse(node.value)
        raise KernelTypeError(
            f"'{text}' is {type_}, and only integers have bits",
            loc=cx.loc(node),
            hint=f"take its bit pattern: {text}.bitcast()[{ast.unparse(at)}]",
        )
    if isinstance(at, ast.Tuple):
        raise KernelTypeError(
            f"{len(at.elts)} subscripts for a bit of '{ast.unparse(node.value)}'",
            loc=cx.loc(at),
            allowed="one, x[3], or a slice, x[0:4]",
        )
    with cx.builder.subscripts(False):
        if isinstance(at, ast.Slice):
            return _slice(cx, at, type_, evaluate)
        low = _place(cx, at, evaluate)
    _check(cx, at, low, 1, type_)
    return bits.Part(low, bool_)


def _field(cx: Context, node: ast.Subscript, type_: ScalarType, name: str) -> bits.Part:
    if not isinstance(type_, Struct):
        raise KernelTypeError(
            f"'{ast.unparse(node.value)}' is {type_}, which has no field '{name}'",
            loc=cx.loc(node),
        )
    try:
        return bits.field(type_, name)
    except KeyError:
        raise KernelTypeError(
            f"{type_} has no field '{name}'",
            loc=cx.loc(node.slice),
            allowed=_names(type_),
            hint=similar(name, [n for n, _ in type_.fields]),
        ) from None


def _names(type_: Struct) -> str:
    return ", ".join(f'"{name}"' for name, _ in type_.fields)


def _slice(cx: Context, at: ast.Slice, type_: ScalarType, evaluate: Evaluate) -> bits.Part:
    if at.step is not None:
        raise LanguageError("a slice of bits has no step", loc=cx.loc(at.step), allowed="x[0:4]")
    zero, all_ = number(0, UInt(32)), number(type_.bits, UInt(32))
    low = zero if at.lower is None else _place(cx, at.lower, evaluate)
    high = all_ if at.upper is None else _place(cx, at.upper, evaluate)
    count = width(cx, at, type_.bits)
    if count is None:
        return _dynamic(cx, at, low, high, type_)
    if count < 1:
        raise KernelTypeError(
            f"the slice '{ast.unparse(at)}' has {count} bits",
            loc=cx.loc(at),
            allowed="low:high with high above low; the bit 'high' is not part of it",
        )
    _check(cx, at, low, count, type_)
    return bits.Part(low, UInt(count))


def _dynamic(
    cx: Context, at: ast.Slice, low: Operand, high: Operand, type_: ScalarType
) -> bits.Part:
    """A slice whose width is known only at run time: as wide as the word, 32 bits at least."""
    b, loc, wide = cx.builder, cx.loc(at), Int(64)
    count = b.binary(BinaryKind.SUB, high, low, wide, loc)
    count = b.binary(BinaryKind.MAX, count, number(0, wide), wide, loc)
    return bits.Part(low, UInt(max(type_.bits, 32)), count)


def _place(cx: Context, node: ast.expr, evaluate: Evaluate) -> Operand:
    """The number of a bit."""
    operand = evaluate(cx, node)
    if isinstance(operand.type, IntegerType | Index):
        return operand
    raise KernelTypeError(
        f"'{ast.unparse(node)}' is {operand.type}, and a bit is numbered by an integer",
        loc=cx.loc(node),
        hint=f"convert it: int({ast.unparse(node)})",
    )


def _check(cx: Context, at: ast.expr, low: Operand, count: int, type_: ScalarType) -> None:
    """Refuse bits that are outside the word whenever this runs."""
    first, last = cx.builder.interval(low)
    if last >= 0 and first <= type_.bits - count:
        return
    found = f"bit {first}" if count == 1 else f"bits {first} to {first + count - 1}"
    if first != last:
        found = f"bit {first} ... {last}" if count == 1 else f"{count} bits from {first} ... {last}"
    raise KernelTypeError(
        f"{found} of {type_}",
        loc=cx.loc(at),
        allowed=f"0 ... {type_.bits - 1}",
        hint="negative subscripts do not count from the end" if last < 0 else None,
    )


type Linear = dict[str, int]
"""A sum of terms with factors; the constant is the term ''."""


def width(cx: Context, at: ast.Slice, extent: int) -> int | None:
    """How many bits or elements a slice has, if that does not depend on any variable.

    ``extent`` is where it ends if nothing else is written.
    """
    low = {"": 0} if at.lower is None else _linear(cx, at.lower)
    high = {"": extent} if at.upper is None else _linear(cx, at.upper)
    if low is None or high is None:
        return None
    rest = _sum(high, low, -1)
    return rest.get("", 0) if all(not n for term, n in rest.items() if term) else None


def _linear(cx: Context, node: ast.expr) -> Linear | None:
    """An expression as a sum of terms; None when it calls something (twice the same may differ)."""
    if any(isinstance(n, ast.Call) for n in ast.walk(node)):
        return None
    if (known := _constant(cx, node)) is not None:
        return {"": known}
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            found = _linear(cx, inner)
            return None if found is None else _sum({}, found, -1)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as op, right=right):
            a, b = _linear(cx, left), _linear(cx, right)
            if a is None or b is None:
                return None
            if not isinstance(op, ast.Mult):
                return _sum(a, b, -1 if isinstance(op, ast.Sub) else 1)
            if not a.keys() - {""}:
                a, b = b, a
            if not b.keys() - {""}:
                return _sum({}, a, b.get("", 0))
    return {ast.unparse(node): 1}


def _constant(cx: Context, node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=value):
            return as_int(value)
        case ast.Name() | ast.Attribute():
            inside = cx.find(node.id) if isinstance(node, ast.Name) else None
            if isinstance(inside, Known):
                return as_int(inside.value)
            return as_int(cx.outside(node))
    return None


def _sum(a: Linear, b: Linear, factor: int) -> Linear:
    return {term: a.get(term, 0) + factor * b.get(term, 0) for term in {**a, **b}}
