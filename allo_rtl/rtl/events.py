"""What a kernel prints and asserts, in simulation.

Each print or assertion of the hardware is a *site* with a number (:attr:`Design.sites`).  In
Verilog it is a ``$write`` of one line, which people can read and which ends in what tools read:

    x = 5, y = 0x3f800000 [print 3: 00000005 3f800000]
    gemm.py:12: assertion failed: n is positive [assert 4:]

the number of the site and the bits of each argument.  Synthesis leaves these out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from amaranth.hdl import Format, Module, Signal, Value
from amaranth.hdl import Print as Write

from allo_rtl.hls.node import Node
from allo_rtl.ir.ops import Assert, Print
from allo_rtl.ir.types import Index, IntegerType, Type


@dataclass(frozen=True, eq=False)
class Event:
    """Signals of a site: in a cycle in which ``enable`` is 1 it happens, with ``args``."""

    site: int
    enable: Signal
    args: tuple[Signal, ...]


class Events:
    """Collects the events of one function's module.

    Args:
        sites: number of each print and assertion.
        found: where the events go, in the order in which those of one cycle happen.
        write: whether to make the ``$write`` statements.
    """

    def __init__(
        self, sites: Mapping[Print | Assert, int], found: list[Event], write: bool
    ) -> None:
        self._sites = sites
        self._found = found
        self._write = write

    def add(self, m: Module, node: Node, condition: Value, args: list[Value]) -> None:
        """An event that happens in the cycles in which ``condition`` is 1."""
        op = node.event
        assert op is not None
        site = self._sites[op]
        enable = Signal(name=f"{node.kind.value}_{site}")
        m.d.comb += enable.eq(condition)
        raw = tuple(
            Signal(operand.type.bits, name=f"{node.kind.value}_{site}_{k}")
            for k, operand in enumerate(node.operands[:-1])
        )
        m.d.comb += [wire.eq(arg) for wire, arg in zip(raw, args, strict=True)]
        self._found.append(Event(site, enable, raw))
        if self._write:
            with m.If(enable):
                m.d.sync += Write(_line(op, site, raw))


def _line(op: Print | Assert, site: int, args: tuple[Signal, ...]) -> Format:
    if isinstance(op, Assert):
        place = f"{op.loc.short}: " if op.loc else ""
        text = _plain(f"{place}assertion failed: {op.message}".rstrip(": "))
        return Format(f"{text} [assert {site}:]")
    types = op.types or tuple(a.type for a in op.args)
    shown = [_shown(wire, type) for wire, type in zip(args, types, strict=True)]
    fields, text = iter(form for _, form in shown), ""
    for literal, field, _, _ in Formatter().parse(op.text):
        text += _plain(literal) + ("" if field is None else next(fields))
    bits = "".join(f" {{:0{_digits(wire)}x}}" for wire in args)
    return Format(f"{text} [print {site}:{bits}]", *(value for value, _ in shown), *args)


def _shown(wire: Signal, type: Type) -> tuple[Value, str]:
    """How a number is shown to people: decimal where its bits are a whole number."""
    if isinstance(type, IntegerType | Index):
        return wire.as_signed() if type.signed else wire, "{:d}"
    return wire, f"0x{{:0{_digits(wire)}x}}"


def _digits(wire: Signal) -> int:
    return -(-len(wire) // 4)


def _plain(text: str) -> str:
    """One line of ASCII, to be part of a format."""
    text = text.encode("unicode_escape").decode("ascii")
    return text.replace("{", "{{").replace("}", "}}")
