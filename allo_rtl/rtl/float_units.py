"""Floating-point units: bit patterns in, bit patterns out, bit for bit as in ir.floats.

Every unit takes operands every cycle and gives the result ``stages`` cycles later, in a register;
with 0 stages it is combinational.  ``stages`` registers are put where they shorten the longest
way the most; :mod:`allo_rtl.rtl.float_pipeline` says how.  ``name`` makes the signals' names.
Operands are unsigned values as wide as their format.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Value

from allo_rtl.ir.floats import FloatFormat
from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import IntegerType
from allo_rtl.rtl import float_arithmetic, float_conversions
from allo_rtl.rtl.float_pipeline import build
from allo_rtl.rtl.units import Namer


def add(m: Module, fmt: FloatFormat, a: Value, b: Value, *, stages: int, name: Namer) -> Value:
    """``a + b``."""
    return build(m, lambda p: float_arithmetic.sum_of(p, fmt, a, b), stages=stages, name=name)


def sub(m: Module, fmt: FloatFormat, a: Value, b: Value, *, stages: int, name: Namer) -> Value:
    """``a - b``."""
    return add(m, fmt, a, Cat(b[:-1], ~b[-1]), stages=stages, name=name)


def mul(
    m: Module, fmt: FloatFormat, a: Value, b: Value, *, stages: int, name: Namer, limb: int = 18
) -> Value:
    """``a * b``; significands are multiplied in pieces of ``limb`` bits, 0 for in one piece."""
    return build(
        m, lambda p: float_arithmetic.product(p, fmt, a, b, limb), stages=stages, name=name
    )


def fma(
    m: Module, fmt: FloatFormat, a: Value, b: Value, c: Value, *,
    stages: int, name: Namer, limb: int = 18,
) -> Value:  # fmt: skip
    """``a * b + c``, rounded once; ``limb`` as for :func:`mul`."""
    return build(
        m, lambda p: float_arithmetic.fused(p, fmt, a, b, c, limb), stages=stages, name=name
    )


def div(m: Module, fmt: FloatFormat, a: Value, b: Value, *, stages: int, name: Namer) -> Value:
    """``a / b``."""
    return build(m, lambda p: float_arithmetic.quotient(p, fmt, a, b), stages=stages, name=name)


def sqrt(m: Module, fmt: FloatFormat, a: Value, *, stages: int, name: Namer) -> Value:
    """The square root."""
    return build(m, lambda p: float_arithmetic.root(p, fmt, a), stages=stages, name=name)


def compare(
    m: Module, fmt: FloatFormat, predicate: Predicate, a: Value, b: Value, *,
    stages: int, name: Namer,
) -> Value:  # fmt: skip
    """``a predicate b``, one bit."""
    return build(
        m, lambda p: float_conversions.comparison(p, fmt, predicate, a, b),
        stages=stages, name=name,
    )  # fmt: skip


def minimum(m: Module, fmt: FloatFormat, a: Value, b: Value, *, stages: int, name: Namer) -> Value:
    """``minimum`` of IEEE 754-2019."""
    return build(
        m, lambda p: float_conversions.extreme(p, fmt, a, b, largest=False),
        stages=stages, name=name,
    )  # fmt: skip


def maximum(m: Module, fmt: FloatFormat, a: Value, b: Value, *, stages: int, name: Namer) -> Value:
    """``maximum`` of IEEE 754-2019."""
    return build(
        m, lambda p: float_conversions.extreme(p, fmt, a, b, largest=True),
        stages=stages, name=name,
    )  # fmt: skip


def convert(
    m: Module, source: FloatFormat, target: FloatFormat, a: Value, *, stages: int, name: Namer
) -> Value:
    """The nearest number of another format."""
    return build(
        m, lambda p: float_conversions.converted(p, source, target, a), stages=stages, name=name
    )


def from_integer(
    m: Module, fmt: FloatFormat, value: Value, *, stages: int, name: Namer, fraction: int = 0
) -> Value:
    """The number nearest to ``value / 2**fraction``; ``value`` is signed or not by its shape."""
    return build(
        m, lambda p: float_conversions.of_integer(p, fmt, value, fraction),
        stages=stages, name=name,
    )  # fmt: skip


def to_integer(
    m: Module, fmt: FloatFormat, a: Value, target: IntegerType, *,
    stages: int, name: Namer, fraction: int = 0,
) -> Value:  # fmt: skip
    """``a * 2**fraction`` toward zero, saturated; signed or not as the type is."""
    return build(
        m, lambda p: float_conversions.to_integer(p, fmt, a, target, fraction),
        stages=stages, name=name,
    )  # fmt: skip
