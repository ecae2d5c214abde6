"""Verilog text of an Amaranth component."""

from __future__ import annotations

from amaranth.back import verilog
from amaranth.lib import wiring


def to_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component and all below it; its top module is called ``name``.

    Ports are the component's members and ``clk``, ``rst`` of its clock domain.
    """
    text: str = verilog.convert(component, name=name, emit_src=True, strip_internal_attrs=True)
    return text
