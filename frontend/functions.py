"""The built-in functions of the language on scalars: which names mean them, what they compute."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend import arithmetic, dsl
from allo_rtl.frontend import typing_rules as rules
from allo_rtl.frontend.builder import Builder, Operand
from allo_rtl.ir.ops import BinaryKind, MathKind
from allo_rtl.ir.types import FixedType, Float, Int, UInt

type Compute = Callable[[Builder, Sequence[Operand], SourceLoc], Operand]

_MATH = {
    "exp": MathKind.EXP,
    "log": MathKind.LOG,
    "log2": MathKind.LOG2,
    "log10": MathKind.LOG10,
    "sqrt": MathKind.SQRT,
    "sin": MathKind.SIN,
    "cos": MathKind.COS,
    "tan": MathKind.TAN,
    "tanh": MathKind.TANH,
}

_PYTHON_NAMES: Mapping[str, Sequence[Any]] = {
    **{name: (getattr(dsl, name), getattr(math, name), getattr(np, name)) for name in _MATH},
    "abs": (dsl.abs, builtins.abs, math.fabs, np.abs),
    "power": (dsl.power, math.pow, builtins.pow, np.power),
    "floor": (math.floor, np.floor),
    "fma": (dsl.fma, getattr(math, "fma", None)),
    "min": (builtins.min,),
    "max": (builtins.max,),
}

MEANING: Mapping[Any, str] = {
    thing: name for name, things in _PYTHON_NAMES.items() for thing in things if thing is not None
}
"""The built-in function that a Python object means, by that object."""


def arity(name: str) -> tuple[int, int | None]:
    """The least and the greatest number of arguments; None when there is no greatest."""
    return {"min": (2, None), "max": (2, None), "power": (2, 2), "fma": (3, 3)}.get(name, (1, 1))


def apply(b: Builder, name: str, operands: Sequence[Operand], loc: SourceLoc) -> Operand:
    """A built-in function of scalars.

    Functions of floating-point numbers convert other arguments: to float32, or to float64 when
    they are wider than 32 bits.

    Raises:
        KernelTypeError: it is not defined for these types.
    """
    match name:
        case "min" | "max":
            return _extreme(b, BinaryKind(name), operands, loc)
        case "abs":
            return arithmetic.absolute(b, operands[0], loc)
        case "power":
            return arithmetic.power(b, operands[0], operands[1], loc)
        case "floor":
            return _floor(b, operands[0], loc)
    arithmetic.check_numbers(name, operands, loc)
    type_ = rules.math_type(operands[0].type)
    for other in operands[1:]:
        type_ = rules.float_type(type_, other.type) or type_
    return b.math(_MATH.get(name, MathKind.FMA), operands, type_, loc)


def _extreme(
    b: Builder, kind: BinaryKind, operands: Sequence[Operand], loc: SourceLoc
) -> Operand:
    result = operands[0]
    for other in operands[1:]:
        result = arithmetic.binary(b, kind, b.rules.choice, result, other, loc)
    return result


def _floor(b: Builder, operand: Operand, loc: SourceLoc) -> Operand:
    """The whole number that is not above, in the operand's own type."""
    arithmetic.check_numbers("floor", (operand,), loc)
    match operand.type:
        case Float() as type_:
            return b.math(MathKind.FLOOR, (operand,), type_, loc)
        case FixedType(width=width, fracs=fracs, signed=signed):
            whole = max(width - fracs, 1)
            down = b.convert(operand, Int(whole) if signed else UInt(whole), loc)
            return b.convert(down, operand.type, loc)
    return operand
