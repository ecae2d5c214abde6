"""Which algorithm makes which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions import exact
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.ops import BinaryKind, Func, Global, MathKind
from allo_rtl.ir.types import Float

type Algorithm = Callable[[Flow, Float, FloatFormat], Number]

_ALGORITHMS: Mapping[MathKind | BinaryKind, Algorithm] = {
    MathKind.FLOOR: exact.floor,
    BinaryKind.REM: exact.remainder,
    BinaryKind.FLOORDIV: exact.floor_quotient,
}


def function_name(kind: MathKind | BinaryKind, format: Float) -> str:
    """What the function of a kind for a format is called: ``exp_float32``."""
    return f"{kind.value}_{format}"


@cache
def build_function(kind: MathKind | BinaryKind, format: Float) -> tuple[Func, tuple[Global, ...]]:
    """A function of floating-point numbers as a legalized function, with the tables it needs.

    Args:
        kind: FLOOR or an elementary function; of the binary operators REM and FLOORDIV.
        format: of the arguments and the result, which are patterns: ``UInt(format.width)``.

    Returns:
        The function, called :func:`function_name`, and constant arrays whose names begin with
        that.  Only REM has a loop.

    Raises:
        KeyError: another kind; NEG, ABS, SQRT and FMA are operations of their own.
    """
    arity = kind.arity if isinstance(kind, MathKind) else 2
    flow = Flow(function_name(kind, format), [format.width] * arity)
    result = _ALGORITHMS[kind](flow, format, format_of(format))
    return flow.function(result, format.width)
