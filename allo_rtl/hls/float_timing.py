"""How many pipeline stages a floating-point unit gets, for a device and a clock.

The estimate adds up the parts that the units are made of: exponent differences, shifters, the
significand's adder or multiplier, the search for the leading one and the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from allo_rtl.hls.delay import DelayModel
from allo_rtl.hls.node import FLOAT_COMPARISONS, FloatSpec
from allo_rtl.ir.ops import FloatKind

_BALANCE = 1.25
"""The longest stage over the mean: registers go between steps, which cannot be cut."""


@dataclass(frozen=True, slots=True)
class FloatTiming:
    """``stages`` registers between operands and result, and ns of the longest stage."""

    stages: int
    stage_ns: float


def float_timing(
    spec: FloatSpec, integer_bits: int, model: DelayModel, budget_ns: float
) -> FloatTiming:
    """The fewest stages with which a unit keeps the clock.

    Args:
        spec: the operation.
        integer_bits: width of the integer of a conversion from or to one; else 0.
        model: delays of the device.
        budget_ns: logic that fits between two registers.
    """
    total = _total_ns(spec, integer_bits, model)
    if total <= budget_ns:
        return FloatTiming(0, total)
    stages = max(1, ceil(total * _BALANCE / budget_ns))
    return FloatTiming(stages, min(budget_ns, total * _BALANCE / stages))


def _total_ns(spec: FloatSpec, integer_bits: int, model: DelayModel) -> float:
    """ns of the whole unit without registers."""
    kind, width, p = spec.kind, spec.format.width, spec.format.fracs + 1
    if kind in FLOAT_COMPARISONS:
        return model.delay("cmp", width) + 2 * model.delay("logic", width)
    if kind in (FloatKind.MIN, FloatKind.MAX):
        return model.delay("cmp", width) + 2 * model.delay("select", width)
    step = model.delay("add", p + 3) + model.delay("select", p + 3)
    rounding = model.delay("add", p) + 4 * model.delay("select", p)
    align = model.delay("add", spec.format.exponent) + model.delay("shift", p + 3)
    if kind in (FloatKind.DIV, FloatKind.SQRT):
        return 2 * align + (p + 3) * step + rounding
    if kind is FloatKind.MUL:
        return 2 * align + model.delay("mul", p) + model.delay("add", 2 * p) + rounding
    if kind is FloatKind.FMA:
        wide = model.delay("add", 3 * p) + 2 * model.delay("shift", 3 * p)
        return 2 * align + model.delay("mul", p) + model.delay("add", 2 * p) + wide + rounding
    if kind in (FloatKind.ADD, FloatKind.SUB):
        return model.delay("cmp", width) + 3 * align + step + rounding
    bits = max(p + 3, integer_bits, spec.target.width if spec.target else 0)
    return 2 * model.delay("shift", bits) + 2 * model.delay("add", bits) + rounding
