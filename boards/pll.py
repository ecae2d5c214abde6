"""Clocks other than the board's oscillator: divider search for each family's PLL.

Limits are from the tools that the open flows use for the same purpose (icepll, ecppll,
gowin_pll), which have them from the vendors' data sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from amaranth.hdl import Const, Instance, Signal
from amaranth.hdl import Value as HdlValue

from allo_rtl.errors import BuildError

type Family = Literal["ice40", "ecp5", "gowin"]

TOLERANCE = 0.02
"""How far below the asked clock the PLL's may be; it is never above."""

_GOWIN_OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@dataclass(frozen=True, slots=True)
class Pll:
    """Dividers: output = ``source_mhz`` * ``feedback`` / (``reference`` * ``post``).

    ``post`` divides the oscillator after the loop on iCE40 and ECP5; on Gowin the output divider
    ``inside`` is part of the loop and sets the frequency of the oscillator only.
    """

    family: Family
    source_mhz: float
    reference: int
    feedback: int
    post: int = 1
    inside: int = 1

    @property
    def mhz(self) -> float:
        """The frequency made."""
        return self.source_mhz * self.feedback / (self.reference * self.post)

    def instance(self, source: HdlValue, output: Signal, locked: Signal) -> Instance:
        """The primitive; ``source`` is the pad itself on iCE40, else the clock."""
        return _INSTANCES[self.family](self, source, output, locked)


def find_pll(family: Family, source_mhz: float, mhz: float) -> Pll:
    """The PLL setting that comes nearest to ``mhz`` from below.

    Raises:
        BuildError: none is within 2 %; names the nearest frequencies that can be made.
    """
    settings = _all_settings(family, source_mhz)
    below = [s for s in settings if s.mhz <= mhz * (1 + 1e-9)]
    best = max(below, key=lambda s: s.mhz, default=None)
    if best and best.mhz >= mhz * (1 - TOLERANCE):
        return best
    above = min((s.mhz for s in settings if s.mhz > mhz), default=None)
    near = [f"{f:.4g}" for f in (best.mhz if best else None, above) if f is not None]
    raise BuildError(
        f"a clock of {mhz:g} MHz cannot be made from the board's {source_mhz:g} MHz",
        allowed=f"{source_mhz:g} MHz, or what the PLL makes: nearest {' and '.join(near)} MHz",
    )


@cache
def _all_settings(family: Family, source_mhz: float) -> tuple[Pll, ...]:
    return tuple(_SETTINGS[family](source_mhz))


def _ice40(source: float) -> Iterator[Pll]:
    for reference in range(1, 17):
        if not 10 <= source / reference <= 133:
            continue
        for feedback in range(1, 129):
            if not 533 <= source / reference * feedback <= 1066:
                continue
            for exponent in range(1, 7):
                pll = Pll("ice40", source, reference, feedback, post=1 << exponent)
                if 16 <= pll.mhz <= 275:
                    yield pll


def _ecp5(source: float) -> Iterator[Pll]:
    """The oscillator is a multiple of the source; the second output divides it as it likes."""
    dividers = [(r, m) for r in range(1, 129) if source / r >= 10 for m in range(1, 129)]
    oscillators = [(r, m) for r, m in dividers if 400 <= source / r * m <= 800]
    for reference, multiple in sorted(oscillators, key=lambda d: abs(source / d[0] * d[1] - 600)):
        for post in range(1, 129):
            pll = Pll("ecp5", source, reference, multiple, post)
            if 3.125 <= pll.mhz <= 400:
                yield pll


def _gowin(source: float) -> Iterator[Pll]:
    for reference in range(1, 65):
        for feedback in range(1, 65):
            output = source / reference * feedback
            if source / reference < 3 or not 3.125 <= output <= 600:
                continue
            fit = [d for d in _GOWIN_OUTPUT_DIVIDERS if 400 <= output * d <= 1200]
            if fit:
                inside = min(fit, key=lambda d: abs(output * d - 800))
                yield Pll("gowin", source, reference, feedback, inside=inside)


def _ice40_instance(pll: Pll, source: HdlValue, output: Signal, locked: Signal) -> Instance:
    detector = pll.source_mhz / pll.reference
    bounds = (17, 26, 44, 66, 101)
    return Instance(
        "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(pll.reference - 1, 4),
        p_DIVF=Const(pll.feedback - 1, 7),
        p_DIVQ=Const(pll.post.bit_length() - 1, 3),
        p_FILTER_RANGE=Const(1 + sum(detector >= bound for bound in bounds), 3),
        i_PACKAGEPIN=source,
        i_RESETB=Const(1),
        i_BYPASS=Const(0),
        o_PLLOUTGLOBAL=output,
        o_LOCK=locked,
    )


def _ecp5_instance(pll: Pll, source: HdlValue, output: Signal, locked: Signal) -> Instance:
    loop = Signal(name="pll_loop")
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKI_DIV=pll.reference,
        p_OUTDIVIDER_MUXB="DIVB",
        p_CLKOS_ENABLE="ENABLED",
        p_CLKFB_DIV=1,
        p_CLKOP_DIV=pll.feedback,
        p_CLKOP_CPHASE=pll.feedback // 2,
        p_CLKOP_FPHASE=0,
        p_CLKOS_DIV=pll.post,
        p_CLKOS_CPHASE=0,
        p_CLKOS_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        i_CLKI=source,
        i_CLKFB=loop,
        i_RST=Const(0),
        i_STDBY=Const(0),
        i_PHASESEL0=Const(0),
        i_PHASESEL1=Const(0),
        i_PHASEDIR=Const(1),
        i_PHASESTEP=Const(1),
        i_PHASELOADREG=Const(1),
        i_PLLWAKESYNC=Const(0),
        i_ENCLKOP=Const(0),
        o_CLKOP=loop,
        o_CLKOS=output,
        o_LOCK=locked,
    )


def _gowin_instance(pll: Pll, source: HdlValue, output: Signal, locked: Signal) -> Instance:
    selectors = {f"i_{name}": Const(0, 6) for name in ("FBDSEL", "IDSEL", "ODSEL")}
    phases = {f"i_{name}": Const(0, 4) for name in ("PSDA", "DUTYDA", "FDLY")}
    return Instance(
        "rPLL",
        p_FCLKIN=f"{pll.source_mhz:g}",
        p_IDIV_SEL=pll.reference - 1,
        p_FBDIV_SEL=pll.feedback - 1,
        p_ODIV_SEL=pll.inside,
        i_CLKIN=source,
        i_CLKFB=Const(0),
        i_RESET=Const(0),
        i_RESET_P=Const(0),
        o_CLKOUT=output,
        o_LOCK=locked,
        **selectors,
        **phases,
    )


_SETTINGS: dict[Family, Callable[[float], Iterator[Pll]]] = {
    "ice40": _ice40, "ecp5": _ecp5, "gowin": _gowin,
}
_INSTANCES: dict[Family, Callable[[Pll, HdlValue, Signal, Signal], Instance]] = {
    "ice40": _ice40_instance, "ecp5": _ecp5_instance, "gowin": _gowin_instance,
}
