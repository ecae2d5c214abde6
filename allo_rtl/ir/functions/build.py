"""Which algorithm makes which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from allo_rtl.ir import elementary
from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.functions import circular, exact, exponential, hyperbolic, logarithm, power
from allo_rtl.ir.functions.flow import Flow, Number
from allo_rtl.ir.ops import BinaryKind, Func, Global, MathKind
from allo_rtl.ir.types import Float

type Algorithm = Callable[[Flow, Float, FloatFormat], Number]

_ALGORITHMS: Mapping[MathKind | BinaryKind, Algorithm] = {
    MathKind.FLOOR: exact.floor,
    MathKind.EXP: exponential.exp,
    MathKind.LOG: logarithm.logarithm(MathKind.LOG),
    MathKind.LOG2: logarithm.logarithm(MathKind.LOG2),
    MathKind.LOG10: logarithm.logarithm(MathKind.LOG10),
    MathKind.SIN: circular.sin,
    MathKind.COS: circular.cos,
    MathKind.TAN: circular.tan,
    MathKind.TANH: hyperbolic.tanh,
    MathKind.POW: power.power,
    BinaryKind.REM: exact.remainder,
    BinaryKind.FLOORDIV: exact.floor_quotient,
}


def _table(kind: MathKind) -> Algorithm:
    """The algorithm that looks every result up, each of them the nearest number."""
    def algorithm(flow: Flow, format: Float, fmt: FloatFormat) -> Number:
        results = [elementary.evaluate(kind, fmt, (x,)) for x in range(1 << fmt.bits)]
        return flow.lookup(flow.args[0], [results])[0]

    return algorithm


def _algorithm(kind: MathKind | BinaryKind, format: Float) -> Algorithm:
    """Tables where they are small, 256 results of 8 bits."""
    if isinstance(kind, MathKind) and kind not in (MathKind.FLOOR, MathKind.POW):
        return _table(kind) if format.width == 8 else _ALGORITHMS[kind]
    return _ALGORITHMS[kind]


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
    result = _algorithm(kind, format)(flow, format, format_of(format))
    return flow.function(result, format.width)
