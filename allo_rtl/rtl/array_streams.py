"""The ports of arrays that are streams: a FIFO of two or three words before the kernel.

Its outputs depend on registers only, as AXI4 asks: no signal goes through it in a cycle.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal

from allo_rtl.hls.streams import End
from allo_rtl.rtl.interface import ArrayStream, Direction, is_signed
from allo_rtl.rtl.streams import StreamSignals


def connect_port(
    m: Module, port: ArrayStream, outer: dict[str, Signal], fifo: Any, free: str  # noqa: ANN401
) -> tuple[End, StreamSignals]:
    """Connect a port to its FIFO.

    Args:
        m: the kernel's module.
        port: the port.
        outer: its signals by name.
        fifo: a :class:`~allo_rtl.rtl.fifo.Fifo`, or the signals of an instance of one.
        free: the clock domain of what goes on while the kernel holds.

    Returns:
        Which end the kernel has, and the FIFO's signals there.
    """
    def part(side: str) -> StreamSignals:
        return StreamSignals(*(getattr(fifo, f"{side}_{x}") for x in ("data", "valid", "ready")))

    if port.direction is Direction.READ:
        data, valid, ready = outer.values()
        put = part("put")
        m.d.comb += [put.data.eq(data), put.valid.eq(valid), ready.eq(put.ready)]
        return End.READ, part("get")
    data, valid, ready, last = outer.values()
    get = part("get")
    signed = port.elements == 1 and is_signed(port.type.element)
    m.d.comb += [
        data.eq(get.data.as_signed() if signed else get.data),
        valid.eq(get.valid), get.ready.eq(ready),
    ]  # fmt: skip
    _count_down(m, port, last, valid & ready, free)
    return End.WRITE, part("put")


def _count_down(m: Module, port: ArrayStream, last: Signal, taken: Any, free: str) -> None:  # noqa: ANN401
    """Make ``last`` 1 with the array's last word."""
    if port.words == 1:
        m.d.comb += last.eq(1)
        return
    left = Signal(range(port.words), init=port.words - 1, name=f"{port.name}_left")
    m.d.comb += last.eq(left == 0)
    with m.If(taken):
        m.d[free] += left.eq(Mux(last, port.words - 1, left - 1))
