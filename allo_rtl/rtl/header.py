"""The comment at the head of a kernel's Verilog: what it is, and its ports in the user's types."""

from __future__ import annotations

from allo_rtl.hls.design import Design
from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    Direction,
    KernelInterface,
    Port,
)

_WAYS = {
    Direction.READ: "read", Direction.WRITE: "written",
    Direction.READ_WRITE: "read and written", Direction.UNUSED: "not used",
}  # fmt: skip


def verilog_header(design: Design, interface: KernelInterface) -> str:
    """The comment, with the line's end; the same text every time."""
    lines = [
        f"{interface.name}: a kernel in hardware, made by allo_rtl",
        f"for {design.device.name} at {design.clock_mhz:g} MHz; a run takes {_cycles(interface)}",
        "",
        "clk         rising edge",
        "rst         synchronous, active high",
        "start       in   ask for a run; taken when ready is 1, and the scalars with it",
        "ready       out  a run can start",
        "done        out  1 in the cycle after a run's last: all results are in place",
    ]
    if any(isinstance(p, ArrayStream) for p in (*interface.args, *interface.results)):
        lines += ["            Words of streams may come before a run, and be taken after it."]
    lines += [_port(p, "in ") for p in interface.args]
    lines += [_port(p, "out") for p in interface.results]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)


def _cycles(interface: KernelInterface) -> str:
    if interface.latency is None:
        return "as many cycles as its data ask for"
    return f"{interface.latency} cycles"


def _port(port: Port, direction: str) -> str:
    if isinstance(port, ArrayStream):
        way = "in " if port.direction is Direction.READ else "out"
        many = f", {port.elements} elements to a word" if port.elements > 1 else ""
        signals = f"{port.name}_t*"
        return f"{signals:11} {way}  AXI4-Stream of {port.type.unpartitioned}{many}"
    if not isinstance(port, ArrayPort):
        return f"{port.name:11} {direction}  {port.type}"
    first, last = port.banks[0].name, port.banks[-1].name
    signals = f"{first}_*" if first == last else f"{first}_* to {last}_*"
    return f"{signals:11} mem  {port.type.unpartitioned}, {_WAYS[port.direction]}"
