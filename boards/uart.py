"""A serial port in gateware: 8 data bits, no parity, one stop bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from allo_rtl.errors import BuildError

MIN_DIVISOR = 4
"""Fewest clock cycles a bit may last: the receiver looks at the middle of each."""


def divisor(clock_hz: float, baud: int) -> int:
    """Clock cycles a bit lasts.

    Raises:
        BuildError: the clock cannot make this baud rate within 2 %, of the 4 % or so that a
            byte of ten bits forgives in both ends together.
    """
    cycles = round(clock_hz / baud)
    if cycles < MIN_DIVISOR or abs(clock_hz / cycles / baud - 1) > 0.02:
        raise BuildError(
            f"a clock of {clock_hz / 1e6:g} MHz cannot make {baud} baud",
            allowed=f"at least {MIN_DIVISOR} cycles a bit, and a whole number of them within 2 %",
            hint="choose another clock_mhz",
        )
    return cycles


class UartReceiver(wiring.Component):
    """Bytes from a serial line.

    ``valid`` is 1 for one cycle with each byte in ``data``.  A byte without its stop bit and a
    start bit shorter than half a bit are dropped; after the former, the line has to rest first.

    Args:
        divisor: clock cycles a bit lasts, at least ``MIN_DIVISOR``.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Wait for the start bit's edge, then look at the middle of each bit."""
        m = Module()
        line, timer, bits = Signal(init=1), Signal(range(self._divisor)), Signal(range(8))
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        sample = timer == 0
        m.d.sync += [self.valid.eq(0), timer.eq(timer - 1)]
        with m.If(sample):
            m.d.sync += timer.eq(self._divisor - 1)
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [timer.eq(self._divisor // 2 - 1), bits.eq(0)]
                with m.If(~line):
                    m.next = "start"
            with m.State("start"), m.If(sample):
                with m.If(line):
                    m.next = "idle"
                with m.Else():
                    m.next = "data"
            with m.State("data"), m.If(sample):
                m.d.sync += [self.data.eq(Cat(self.data[1:], line)), bits.eq(bits + 1)]
                with m.If(bits == 7):
                    m.next = "stop"
            with m.State("stop"), m.If(sample):
                m.d.sync += self.valid.eq(line)
                m.next = "rest"
            with m.State("rest"), m.If(line):
                m.next = "idle"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line; ``data`` is taken in a cycle in which ``valid`` and ``ready`` are 1.

    Args:
        divisor: clock cycles a bit lasts.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__(
            {"tx": Out(1, init=1), "data": In(8), "valid": In(1), "ready": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        """Shift out start bit, data from the low bit up, stop bit."""
        m = Module()
        timer, left, shift = Signal(range(self._divisor)), Signal(range(11)), Signal(9)
        m.d.comb += self.ready.eq(left == 0)
        with m.If(self.ready), m.If(self.valid):
            m.d.sync += [
                self.tx.eq(0),
                shift.eq(Cat(self.data, Const(1, 1))),
                left.eq(10),
                timer.eq(self._divisor - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [
                self.tx.eq(shift[0]),
                shift.eq(Cat(shift[1:], Const(1, 1))),
                left.eq(left - 1),
                timer.eq(self._divisor - 1),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
