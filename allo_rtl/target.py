"""The FPGA devices we build for: what is on the chip.

Counts are of what the open tools can place.  Timing belongs to the family, not the device: see
:mod:`allo_rtl.hls.delay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from allo_rtl.errors import BuildError


@dataclass(frozen=True)
class Device:
    """One chip, or the chip that stands for a family.

    Attributes:
        name: what users write, for example ``"ecp5-85"``.
        family: key of the delay model (:func:`allo_rtl.hls.delay.load`).
        luts: look-up tables (4 inputs; 6 on UltraScale+).
        ffs: flip-flops.
        block_rams: block memories.
        block_ram_bits: bits in each of them.
        dsps: multiplier blocks, each of ``dsp_operand_bits``.
        dsp_operand_bits: widths of the two signed operands of one block; (0, 0) without blocks.
        lut_ram: whether look-up tables can be used as memory.
        dsp_smaller_bits: width of the operands of half a block, which is faster; 0 for none.
    """

    name: str
    family: str
    luts: int
    ffs: int
    block_rams: int
    block_ram_bits: int
    dsps: int
    dsp_operand_bits: tuple[int, int]
    lut_ram: bool
    dsp_smaller_bits: int = 0

    @property
    def dual_port_ram(self) -> bool:
        """Whether block RAMs have two ports that read or write each, which Yosys maps."""
        return self.family in ("ecp5", "gw1n", "gw2a", "ultrascale+")


# Sources: Lattice FPGA-DS-02029 (iCE40 LP/HX), FPGA-DS-02008 (UltraPlus), FPGA-DS-02012 (ECP5);
# Gowin DS117 (GW1N), DS102 (GW2A); AMD DS963 (Alveo U280, the card of most published numbers).
_DEVICES = (
    Device("ice40-hx8k", "ice40hx", 7680, 7680, 32, 4096, 0, (0, 0), False),
    Device("ice40-up5k", "ice40up", 5280, 5280, 30, 4096, 8, (16, 16), False),
    Device("ecp5-25", "ecp5", 24288, 24288, 56, 18432, 28, (18, 18), True),
    Device("ecp5-45", "ecp5", 43848, 43848, 108, 18432, 72, (18, 18), True),
    Device("ecp5-85", "ecp5", 83640, 83640, 208, 18432, 156, (18, 18), True),
    Device("gw1n-9", "gw1n", 8640, 6480, 26, 18432, 20, (18, 18), True, 9),
    Device("gw2a-18", "gw2a", 20736, 15552, 46, 18432, 48, (18, 18), True, 9),
    Device("ultrascale+", "ultrascale+", 1303680, 2607360, 2016, 36864, 9024, (27, 18), True),
)
DEVICES = {d.name: d for d in _DEVICES}


def device(name: str) -> Device:
    """The device called ``name``; BuildError when there is none."""
    if name in DEVICES:
        return DEVICES[name]
    close = get_close_matches(name.lower(), DEVICES, n=1, cutoff=0.4)
    raise BuildError(
        f"unknown device {name!r}",
        allowed=", ".join(DEVICES),
        hint=f"did you mean {close[0]!r}?" if close else None,
    )
