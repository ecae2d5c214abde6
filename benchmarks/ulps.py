"""How far the elementary functions are from the exact results, in units of the last place.

References are independent of the algorithms: numpy's float64 functions for formats of 16 and 32
bits, and mpmath, number by number, for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import numpy.typing as npt

from allo_rtl.ir import elementary
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.floats import Exact, FloatFormat, Kind
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import (
    Binary,
    BinaryKind,
    For,
    Func,
    Load,
    LoopAttrs,
    Math,
    MathKind,
    Module,
    Op,
    Store,
    Value,
)
from allo_rtl.ir.types import (
    ArrayType,
    Float,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
)
from allo_rtl.sim.cpu import CpuModule, compile_cpu

type Patterns = npt.NDArray[Any]
"""Bit patterns of floating-point numbers, in the unsigned dtype of their width."""

type Function = MathKind | BinaryKind
"""What :func:`kernel` applies: a function, or an operator of two numbers."""

ELEMENTARY = (
    MathKind.EXP, MathKind.LOG, MathKind.LOG2, MathKind.LOG10, MathKind.SIN, MathKind.COS,
    MathKind.TAN, MathKind.TANH, MathKind.POW,
)  # fmt: skip

_CHUNK = 1 << 12

_DTYPES: Mapping[Float, Any] = {
    float8_e4m3: ml_dtypes.float8_e4m3fn, float8_e5m2: ml_dtypes.float8_e5m2,
    float16: np.float16, bfloat16: ml_dtypes.bfloat16, float32: np.float32, float64: np.float64,
}  # fmt: skip

_EXACT: Mapping[MathKind, Callable[..., Any]] = {
    MathKind.EXP: mpmath.exp, MathKind.LOG: mpmath.log, MathKind.LOG10: mpmath.log10,
    MathKind.LOG2: lambda x: mpmath.log(x, 2), MathKind.SIN: mpmath.sin, MathKind.COS: mpmath.cos,
    MathKind.TAN: mpmath.tan, MathKind.TANH: mpmath.tanh, MathKind.POW: mpmath.power,
}  # fmt: skip


def kernel(kind: Function, format: Float, count: int, ii: int | None = None) -> Module:
    """A kernel that applies a function to arrays of ``count`` numbers, the last array the result.

    With ``ii`` its loop is a pipeline that starts a number in every ``ii`` cycles.
    """
    arity = kind.arity if isinstance(kind, MathKind) else 2
    arrays = [Value(ArrayType(format, (count,)), name) for name in "xyz"[: arity + 1]]
    i = Value(index, "i")
    at = (AffineExpr.of(i),)
    loads = [Load(result=Value(format), array=array, index=at) for array in arrays[:-1]]
    args, result = [load.result for load in loads], Value(format)
    compute: Op
    if isinstance(kind, MathKind):
        compute = Math(kind=kind, result=result, args=tuple(args))
    else:
        compute = Binary(kind=kind, result=result, lhs=args[0], rhs=args[1])
    store = Store(value=result, array=arrays[-1], index=at)
    loop = For(
        iv=i, lower=(AffineExpr.constant(0),), upper=(AffineExpr.constant(count),),
        body=(*loads, compute, store), name="i", attrs=LoopAttrs(band="numbers", pipeline_ii=ii),
    )  # fmt: skip
    func = Func(name=f"{kind.value}_of_all", args=tuple(arrays), results=(), body=(loop,))
    return Module(funcs=(func,), top=func.name)


def dtype_of(format: Float) -> np.dtype[Any]:
    """The unsigned dtype of patterns of a format."""
    return np.dtype(f"u{format.width // 8}")


@cache
def _compiled(kind: Function, format: Float) -> CpuModule:
    return compile_cpu(legalize(kernel(kind, format, _CHUNK)))


def apply(kind: Function, format: Float, *args: Patterns) -> Patterns:
    """The CPU build's results for any number of arguments."""
    run, count = _compiled(kind, format), len(args[0])
    padded = [np.concatenate([a, np.zeros(-count % _CHUNK, a.dtype)]) for a in args]
    results = np.zeros_like(padded[0])
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        run(*(a[part] for a in padded), results[part])
    return results[:count]


def errors(
    kind: MathKind, format: Float, args: tuple[Patterns, ...], found: Patterns
) -> npt.NDArray[np.float64]:
    """Distance of results from the exact ones, each in units of the last place of the exact one.

    It is infinite where only one of the two is NaN, and where a zero has the wrong sign.  What
    is beyond the largest number counts as the power of two after it.
    """
    if format.width not in (16, 32):
        fmt = format_of(format)
        each = zip(*(a.tolist() for a in (*args, found)), strict=True)
        return np.array([_error(kind, fmt, tuple(x), y) for *x, y in each])
    with np.errstate(all="ignore"):
        values = [a.view(_DTYPES[format]).astype(np.float64) for a in args]
        function = np.power if kind is MathKind.POW else getattr(np, kind.value)
        return _distance(format, function(*values), found.view(_DTYPES[format]))


def _distance(format: Float, exact: Any, found: Any) -> npt.NDArray[np.float64]:
    bias = format_of(format).bias
    limit = 2.0 ** (bias + 1)
    near, ours = (np.clip(x.astype(np.float64), -limit, limit) for x in (exact, found))
    exponent = np.maximum(np.frexp(near)[1] - 1, 1 - bias)
    distance = np.abs(ours - near) / np.ldexp(1.0, exponent - format.fracs)
    distance[np.isnan(ours) & np.isnan(near)] = 0
    distance[np.isnan(distance)] = np.inf
    distance[(ours == 0) & (near == 0) & (np.signbit(ours) != np.signbit(near))] = np.inf
    return distance


def _error(kind: MathKind, fmt: FloatFormat, args: tuple[int, ...], found: int) -> float:
    """One distance; results that are special have none or an infinite one."""
    numbers = [fmt.unpack(a) for a in args]
    nearest, result = fmt.unpack(elementary.evaluate(kind, fmt, args)), fmt.unpack(found)
    if nearest.is_zero or any(x.kind is not Kind.FINITE for x in (*numbers, nearest, result)):
        return 0.0 if result == nearest else float("inf")
    with mpmath.workprec(3 * fmt.precision + 80):
        exact = _EXACT[kind](*map(_number, numbers))
        exponent = max(mpmath.frexp(exact)[1] - fmt.precision, fmt.last_place)
        return float(mpmath.ldexp(abs(_number(result) - mpmath.re(exact)), -int(exponent)))


def _number(x: Exact) -> Any:
    return mpmath.ldexp(-x.significand if x.sign else x.significand, x.exponent)


def patterns(format: Float, count: int, seed: int = 0) -> Patterns:
    """``count`` patterns of all kinds, evenly spread; all there are of a format of 16 bits."""
    if format.width <= 16:
        return np.arange(1 << format.width, dtype=dtype_of(format))
    source = np.random.default_rng(seed)
    return source.integers(0, 1 << format.width, count, dtype_of(format))


def between(format: Float, low: float, high: float, count: int, seed: int = 0) -> Patterns:
    """Patterns of numbers spread evenly from ``low`` to ``high``."""
    source = np.random.default_rng(seed)
    numbers = source.uniform(low, high, count).astype(_DTYPES[format])
    return np.asarray(numbers.view(dtype_of(format)))


def samples(kind: MathKind, format: Float, count: int, seed: int = 0) -> tuple[Patterns, ...]:
    """Arguments that reach all parts of an algorithm, about ``count`` of them.

    A third are patterns of all kinds, the others numbers where the function is neither 0 nor
    infinite nor constant.  Of functions of one number of 16 bits, all there are.
    """
    if kind is not MathKind.POW:
        if format.width <= 16:
            return (patterns(format, count),)
        wide = between(format, -100, 100, count // 3, seed + 1)
        return (np.concatenate([
            patterns(format, count // 3, seed), wide, between(format, -2, 2, count // 3, seed + 2),
        ]),)  # fmt: skip
    source = np.random.default_rng(seed)
    third, any_pattern = count // 3, 1 << format.width
    loose = source.integers(0, any_pattern, (2, third), dtype_of(format))
    bases = [loose[0], between(format, 0, 20, third, seed), between(format, 0.9, 1.1, third, seed)]
    powers = [loose[1], between(format, -9, 9, third, seed + 1),
              between(format, -500, 500, third, seed + 1)]  # fmt: skip
    return np.concatenate(bases), np.concatenate(powers)
