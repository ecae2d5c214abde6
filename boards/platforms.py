"""The boards' Amaranth platforms, with a PLL where one is asked for and today's tools."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.tang_nano_9k import TangNano9kPlatform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from allo_rtl.boards.pll import Pll

_SETTLE_SECONDS = 15e-6
"""Reset after the PLL locked; iCE40 block RAMs read zeros for some 3 us after configuration."""


class _Clocked:
    """Mixin: the domain "sync" runs from a PLL when there is one, else from the oscillator."""

    def __init__(self, pll: Pll | None = None) -> None:
        self._pll = pll
        super().__init__()

    def create_missing_domain(self, name: str) -> Module | None:
        """Called by Amaranth for a domain that the design uses and does not make."""
        if name != "sync" or self._pll is None:
            found: Module | None = super().create_missing_domain(name)  # type: ignore[misc]
            return found
        return _pll_domain(self, self._pll)


def _pll_domain(platform: Any, pll: Pll) -> Module:  # noqa: ANN401 - an Amaranth platform
    """The domain "sync" on the PLL's output; in reset until it has locked and settled."""
    m = Module()
    clock, locked, settled = Signal(), Signal(), Signal()
    pad = platform.request(platform.default_clk, dir="-")
    if pll.family == "ice40":
        # The PLL sits at this pin, and takes its clock straight from the pad.
        m.submodules.pll = pll.instance(pad.io, clock, locked)
    else:
        m.submodules.clock_buffer = buffer = io.Buffer("i", pad)
        m.submodules.pll = pll.instance(buffer.i, clock, locked)
    m.domains.settle = settle = ClockDomain("settle", local=True, reset_less=True)
    m.domains.sync = ClockDomain("sync")
    last = int(_SETTLE_SECONDS * pll.mhz * 1e6)
    timer = Signal(range(last + 1))
    m.d.comb += [
        settle.clk.eq(clock),
        ClockSignal("sync").eq(clock),
        settled.eq(locked & (timer == last)),
    ]
    with m.If(~locked):
        m.d.settle += timer.eq(0)
    with m.Elif(~settled):
        m.d.settle += timer.eq(timer + 1)
    m.submodules.reset = ResetSynchronizer(~settled, domain="sync")
    return m


class IceBreaker(_Clocked, ICEBreakerPlatform):
    """1BitSquared iCEBreaker: iCE40UP5K, 12 MHz."""


class Ulx3s85F(_Clocked, ULX3S_85F_Platform):
    """Radiona ULX3S with the LFE5U-85F, 25 MHz."""


class TangNano9K(_Clocked, TangNano9kPlatform):
    """Sipeed Tang Nano 9K: GW1NR-9C, 27 MHz.

    Amaranth 0.5 calls ``nextpnr-gowin``, which is gone; its successor takes the family and the
    pins as options of the device.
    """

    _apicula_required_tools: ClassVar[list[str]] = [
        "yosys", "nextpnr-himbaechel-gowin", "gowin_pack",
    ]
    _apicula_command_templates: ClassVar[list[str]] = [
        command.replace("nextpnr-gowin", "nextpnr-himbaechel-gowin")
        .replace("--family ", "--vopt family=")
        .replace("--cst ", "--vopt cst=")
        for command in TangNano9kPlatform._apicula_command_templates
    ]
