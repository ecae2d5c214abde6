"""The boards that bitstreams can be built for."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from allo_rtl.boards.platforms import IceBreaker, TangNano9K, Ulx3s85F
from allo_rtl.boards.pll import Family
from allo_rtl.errors import BuildError


@dataclass(frozen=True)
class Board:
    """One board.

    Attributes:
        name: what users write.
        device: its chip in :mod:`allo_rtl.target`.
        family: which tools and which PLL.
        oscillator_mhz: the clock it has, and runs at by default.
        baud: speed of the serial link that its USB bridge does well.
        suffix: of the bitstream file.
        program: command that loads a bitstream, but for the file's name.
        platform: class of the Amaranth platform; takes an optional PLL.
        options: of the build, by Amaranth's names.
        database: chip and grade for :mod:`allo_rtl.boards.gowin_timing`, where nextpnr's own
            Fmax cannot be trusted.
    """

    name: str
    device: str
    family: Family
    oscillator_mhz: float
    baud: int
    suffix: str
    program: tuple[str, ...]
    platform: type[Any]
    options: tuple[tuple[str, str], ...] = ()
    database: tuple[str, str] | None = None


# Amaranth's default for iCE40 leaves the multipliers unused: -dsp.  Paths through the wide
# multiplexers of Gowin's LUTs are not timed by nextpnr: -nowidelut.
_BOARDS = (
    Board(
        "icebreaker", "ice40-up5k", "ice40", 12.0, 1_000_000, "bin", ("iceprog",),
        IceBreaker, (("synth_opts", "-dsp"),),
    ),
    Board(
        "ulx3s-85f", "ecp5-85", "ecp5", 25.0, 1_000_000, "bit",
        ("openFPGALoader", "-b", "ulx3s", "-m"), Ulx3s85F,
    ),
    Board(
        "tang-nano-9k", "gw1n-9", "gowin", 27.0, 115_200, "fs",
        ("openFPGALoader", "-b", "tangnano9k"), TangNano9K, (("synth_opts", "-nowidelut"),),
        ("GW1N-9C", "C6/I5"),
    ),
)
BOARDS = {b.name: b for b in _BOARDS}


def board(name: str) -> Board:
    """The board called ``name``; BuildError when there is none."""
    if name in BOARDS:
        return BOARDS[name]
    close = get_close_matches(name.lower(), BOARDS, n=1, cutoff=0.4)
    raise BuildError(
        f"unknown board {name!r}",
        allowed=", ".join(BOARDS),
        hint=f"did you mean {close[0]!r}?" if close else None,
    )
