"""How many pipeline stages a floating-point unit gets, for a device and a clock.

A unit is a chain of steps, and registers go between some of them (:func:`balance`).  The file
``float_timing.json`` has the steps of every unit with their nanoseconds, and a line through what
place and route on an ECP5 made of them: ``scale * longest way + extra``, above all measurements.
Other families are slower or faster by as much as their adders, shifters and multipliers are; but
where a family's data name the latency of published units, no more stages than those are taken.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate, pairwise
from typing import Any

from allo_rtl.hls import delay
from allo_rtl.hls.delay import DelayModel
from allo_rtl.hls.node import FLOAT_COMPARISONS, FloatSpec
from allo_rtl.ir.ops import FloatKind

DATA = resources.files("allo_rtl.hls") / "float_timing.json"
"""Steps of the units and how long they take; written by ``benchmarks/float_units.py``."""
FAMILY = "ecp5"
"""The family of the measurements."""
INTEGERS = (8, 16, 32, 64, 128, 256, 512)
"""Widths of integers of which there are conversions in the file."""

_NAMES = {FloatKind.SUB: "add", FloatKind.MAX: "min"}


@dataclass(frozen=True, slots=True)
class FloatTiming:
    """``stages`` registers between operands and result, and ns of logic before the first one."""

    stages: int
    first_ns: float


@dataclass(frozen=True, slots=True)
class UnitTiming:
    """A unit of the file.

    Attributes:
        steps: nominal ns of the steps that registers can be put between.
        product: the step of the multiplier, or -1.
        scale, extra: what ns become in the end: ``scale * ns + extra``.
    """

    steps: tuple[float, ...]
    product: int
    scale: float
    extra: float


@cache
def float_timing(
    spec: FloatSpec, integer_bits: int, model: DelayModel, budget_ns: float
) -> FloatTiming:
    """The fewest stages with which a unit keeps the clock; as many as it can use if none do.

    Args:
        spec: the operation.
        integer_bits: width of the integer of a conversion from or to one; else 0.
        model: delays of the device.
        budget_ns: logic that fits between two registers.
    """
    key = key_of(spec, integer_bits)
    unit = unit_timing(key)
    published, shortest_ns = model.float_units.get(key, (len(unit.steps) + 1, 0.0))
    for stages in range(len(unit.steps) + 1):
        ns = ways_ns(unit, stages, model, spec.format.width)
        if max(ns) <= budget_ns:
            return FloatTiming(stages, ns[0])
        if stages == published and budget_ns + model.register_ns >= shortest_ns:
            return FloatTiming(stages, 0.0)
    return FloatTiming(stages, min(ns[0], budget_ns))


def key_of(spec: FloatSpec, integer_bits: int) -> str:
    """The name of a unit in the file."""
    kind = "compare" if spec.kind in FLOAT_COMPARISONS else _NAMES.get(spec.kind, spec.kind.value)
    if spec.kind in (FloatKind.FROM_INT, FloatKind.TO_INT):
        return f"{kind} {spec.format} {_integer(integer_bits)}"
    if spec.kind is FloatKind.CONVERT:
        return f"{kind} {spec.format} {spec.target}"
    return f"{kind} {spec.format}"


def _integer(bits: int) -> int:
    """The next width in the file; the widest one for all beyond."""
    return INTEGERS[min(bisect_left(INTEGERS, bits), len(INTEGERS) - 1)]


@cache
def data() -> dict[str, Any]:
    """The file as it is: units, measurements, and where they come from."""
    content: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    return content


@cache
def unit_timing(key: str) -> UnitTiming:
    """A unit of the file."""
    unit = data()["units"][key]
    return UnitTiming(tuple(unit["steps"]), unit["product"], unit["scale"], unit["extra"])


def ways_ns(unit: UnitTiming, stages: int, model: DelayModel, width: int) -> list[float]:
    """ns of logic of each way between registers, from the operands to the result.

    ``width`` is that of the format.
    """
    logic, product = _slower(model, width)
    ns = [
        step * (product if number == unit.product else logic)
        for number, step in enumerate(unit.steps)
    ]
    ends = ways(unit.steps, stages)
    return [unit.scale * sum(ns[a:b]) + unit.extra * logic for a, b in pairwise(ends)]


@cache
def ways(steps: tuple[float, ...], stages: int) -> tuple[int, ...]:
    """The first step of each way between registers, and the number of all steps."""
    return (0, *(step + 1 for step in sorted(balance(steps, stages))), len(steps))


@cache
def _slower(model: DelayModel, width: int) -> tuple[float, float]:
    """How many times longer logic takes than on the measured family, and a multiplier."""
    measured = delay.load(FAMILY)
    here, there = (
        [m.delay("add", width), m.delay("shift", width), 2 * m.delay("select", width)]
        for m in (model, measured)
    )
    product = model.delay("mul", limb_of(model)) / measured.delay("mul", limb_of(measured))
    return sum(here) / sum(there), product


def limb_of(model: DelayModel) -> int:
    """Bits of the pieces that significands are multiplied in: unsigned, one multiplier block."""
    if not model.multipliers:
        return 8
    return model.multipliers[0].narrow - model.dsp_signed


def balance(delays: Sequence[float], stages: int) -> frozenset[int]:
    """The steps, of all but the last, that end in a register when there are ``stages`` of them.

    The longest way between registers is as short as it can be; the register of the result is
    not counted among those given.
    """
    count = min(stages, len(delays))
    if count < 2:
        return frozenset()
    ends = [0.0, *accumulate(delays)]
    limits = sorted({b - a for i, a in enumerate(ends) for b in ends[i + 1 :]})
    limits = [limit for limit in limits if limit >= max(delays) - 1e-9]
    at = bisect_left(limits, True, key=lambda limit: len(_cuts(delays, limit)) < count)
    found = _cuts(delays, limits[at])
    free = [step for step in range(len(delays) - 1) if step not in found]
    return frozenset([*found, *free[: count - 1 - len(found)]])


def _cuts(delays: Sequence[float], limit: float) -> list[int]:
    """The fewest steps to end in a register so that no way is longer than ``limit``."""
    cuts: list[int] = []
    length = 0.0
    for step, ns in enumerate(delays):
        if length + ns > limit + 1e-9 and step:
            cuts.append(step - 1)
            length = 0.0
        length += ns
    return cuts
