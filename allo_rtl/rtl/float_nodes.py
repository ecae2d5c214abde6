"""Floating-point nodes of a datapath as units of :mod:`allo_rtl.rtl.float_units`."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value

from allo_rtl.hls.node import FloatSpec, Number
from allo_rtl.hls.operators import Unit
from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.ops import FloatKind, Predicate
from allo_rtl.ir.types import Int, IntegerType
from allo_rtl.rtl import float_units as units
from allo_rtl.rtl.units import Namer

_BINARY = {
    FloatKind.ADD: units.add,
    FloatKind.SUB: units.sub,
    FloatKind.DIV: units.div,
    FloatKind.MIN: units.minimum,
    FloatKind.MAX: units.maximum,
}


def float_unit(
    m: Module, spec: FloatSpec, type: Number, unit: Unit, operands: list[Value], name: Namer
) -> Value:
    """The unit of an operation; its result comes ``unit.latency`` cycles after the operands.

    ``type`` is that of the result.
    """
    stages = unit.latency
    fmt = format_of(spec.format)
    if spec.kind is FloatKind.FROM_INT:
        return units.from_integer(
            m, fmt, operands[0], stages=stages, name=name, fraction=spec.fraction
        )
    args = [_pattern(m, x, spec.format.width, name) for x in operands]
    if spec.kind in _BINARY:
        return _BINARY[spec.kind](m, fmt, args[0], args[1], stages=stages, name=name)
    match spec.kind:
        case FloatKind.MUL:
            return units.mul(
                m, fmt, args[0], args[1], stages=stages, name=name, limb=unit.limb
            )
        case FloatKind.FMA:
            return units.fma(
                m, fmt, args[0], args[1], args[2], stages=stages, name=name, limb=unit.limb
            )
        case FloatKind.SQRT:
            return units.sqrt(m, fmt, args[0], stages=stages, name=name)
        case FloatKind.CONVERT:
            assert spec.target is not None
            target = format_of(spec.target)
            return units.convert(m, fmt, target, args[0], stages=stages, name=name)
        case FloatKind.TO_INT:
            whole = type if isinstance(type, IntegerType) else Int(64)
            return units.to_integer(
                m, fmt, args[0], whole, stages=stages, name=name, fraction=spec.fraction
            )
    predicate = Predicate(spec.kind.value)
    return units.compare(m, fmt, predicate, args[0], args[1], stages=stages, name=name)


def _pattern(m: Module, value: Value, width: int, name: Namer) -> Signal:
    """A bit pattern in its full width; leading zeros may be missing from ``value``."""
    wire = name.signal(width, "pattern")
    m.d.comb += wire.eq(value)
    return wire
