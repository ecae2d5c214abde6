"""Named operations on one element (or scalar) each."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

from allo_rtl.errors import KernelTypeError, SourceLoc
from allo_rtl.frontend import arithmetic, functions
from allo_rtl.frontend.builder import Builder, Operand, constant, float_literal, number
from allo_rtl.frontend.typing_rules import math_type
from allo_rtl.ir.arithmetic import limits
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import FixedType, Float, Index, IntegerType, ScalarType

type Unary = Callable[[Builder, Operand, SourceLoc], Operand]
type Binary = Callable[[Builder, Operand, Operand, SourceLoc], Operand]


def lowest(type_: ScalarType) -> Operand:
    """The lowest value of a type: minus infinity where there is one."""
    if not isinstance(type_, Float):
        return constant(limits(type_)[0], type_)
    ones = (1 << (type_.exponent + 1)) - 1
    return constant(ones << type_.fracs if type_.infinities else (1 << type_.width) - 2, type_)


def function(name: str) -> Unary:
    """A built-in function of one scalar."""
    return lambda b, a, loc: functions.apply(b, name, [a], loc)


def operator(symbol: type[ast.operator]) -> Binary:
    """A binary operator of the language."""
    return lambda b, left, right, loc: arithmetic.operator(b, symbol, left, right, loc)


def _relu(b: Builder, a: Operand, loc: SourceLoc) -> Operand:
    """``max(a, 0)`` in the type of ``a``."""
    arithmetic.check_numbers("relu", (a,), loc)
    return b.binary(BinaryKind.MAX, a, number(0, a.type), a.type, loc)


def _gelu(b: Builder, a: Operand, loc: SourceLoc) -> Operand:
    """The approximation with tanh that :func:`allo_rtl.frontend.dsl.gelu` states."""
    arithmetic.check_numbers("gelu", (a,), loc)
    type_ = math_type(a.type)
    x = b.convert(a, type_, loc)

    def times(p: Operand, q: Operand) -> Operand:
        return b.binary(BinaryKind.MUL, p, q, type_, loc)

    def plus(p: Operand, q: Operand) -> Operand:
        return b.binary(BinaryKind.ADD, p, q, type_, loc)

    cube = times(times(times(float_literal(0.044715), x), x), x)
    scaled = times(float_literal(math.sqrt(2 / math.pi)), plus(x, cube))
    bent = plus(float_literal(1.0), functions.apply(b, "tanh", [scaled], loc))
    return times(times(float_literal(0.5), x), bent)


UNARY: Mapping[str, Unary] = {
    **{
        name: function(name)
        for name in (
            "exp", "log", "log2", "log10", "sqrt", "sin", "cos", "tan", "tanh", "abs",
        )
    },
    "relu": _relu,
    "gelu": _gelu,
}  # fmt: skip

BINARY: Mapping[str, Binary] = {
    "add": operator(ast.Add),
    "sub": operator(ast.Sub),
    "mul": operator(ast.Mult),
    "div": operator(ast.Div),
    "power": operator(ast.Pow),
}


def widened(type_: ScalarType, count: int, loc: SourceLoc) -> ScalarType:
    """The type of the exact sum of ``count`` numbers; floating-point sums keep their type."""
    more = (count - 1).bit_length()
    match type_:
        case IntegerType(width=width):
            return type(type_)(width + more)
        case FixedType(width=width, fracs=fracs):
            return type(type_)(width + more, fracs)
        case Float() | Index():
            return type_
    raise KernelTypeError(f"there are no sums of {type_}", loc=loc, allowed="numbers")
