"""What is done with a design of ours before and after its family's synthesis script."""

from __future__ import annotations

import re
from pathlib import Path

from allo_rtl.boards.gowin_registers import take_registers
from allo_rtl.boards.pll import Family

_FOLDERS = re.compile(r'^ *attribute \\src ".*/.*"\n', re.MULTILINE)


def without_folders(rtlil: str) -> str:
    """RTLIL text without the source lines that name a folder: all but those of the kernel.

    They are nobody's business where the result goes.
    """
    return _FOLDERS.sub("", rtlil)


IGNORE_COLLISIONS = (
    "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2; "
    "setparam -set COLLISION_X_MASK 2'b11 t:$memrd_v2 r:TRANSPARENCY_MASK=2'b00 %i"
)
"""What a read gives for a word that the same cycle writes may be anything.

There is a bit for each write port; memories have one, or two.  Amaranth asks for the old word,
which costs some 70 flip-flops and 40 LUTs for each 32-bit bank where block RAMs do not order the
two, and keeps memories with two ports out of them altogether.  No kernel depends on it (see
allo_rtl.rtl.interface), and the link uses the memories only between runs.
"""

_ARITHMETIC = "t:$mul t:$add t:$sub t:$mux"
_KEEP_BETWEEN = (
    "proc; flatten; opt_clean; "
    f"select -set arith {_ARITHMETIC}; select -set ff t:$*ff*; "
    "select -set made @arith %co:+[Y] %co:+[D] @ff %i %co:+[Q] w:* %i; "
    "select -set used @arith %ci:+[A,B] w:* %i; "
    "setattr -set keep 1 @made @used %i; select -clear"
)
"""Registers between two arithmetic operations stay outside of multiplier blocks.

Yosys (0.70) puts a register both into the block that makes its value, as output register, and
into the block that uses it, as input register; the first then has it no more, and the second one's
input is left unconnected: a netlist that computes something else.  Kept ones go into neither.
"""


def after_read(family: Family) -> str:
    """The commands, separated by semicolons, for a family."""
    return f"{IGNORE_COLLISIONS}; {_KEEP_BETWEEN}" if family == "ice40" else IGNORE_COLLISIONS


WHOLE_LUTS = "whole_luts.v"
"""Name of the file that :func:`after_synth` needs for Gowin."""


def _whole_lut(inputs: int) -> str:
    pins = [f"I{k}" for k in range(inputs)]
    given = ", ".join(f".{pin}({pin})" for pin in ("F", *pins))
    return (
        f"module LUT{inputs}(output F, input {', '.join(pins)});\n"
        f"  parameter [{2**inputs - 1}:0] INIT = 0;\n"
        f"  LUT4 #(.INIT({{{16 >> inputs}{{INIT}}}})) _TECHMAP_REPLACE_ ({given});\n"
        "endmodule\n"
    )


def synth_files(family: Family) -> dict[str, str]:
    """The files that the commands of :func:`after_synth` read: name -> text."""
    return {WHOLE_LUTS: "".join(map(_whole_lut, (1, 2, 3)))} if family == "gowin" else {}


def after_synth(family: Family, netlist: str) -> str:
    """The commands between synthesis and place and route; "" for none.

    nextpnr (0.11) has delays of Gowin's look-up tables with four inputs only, and takes paths
    through others for short, so that it puts their cells anywhere.  So all are made such, of
    which some inputs do not matter.

    Args:
        family: of the chip.
        netlist: the JSON file that place and route reads, to be written again.
    """
    return f"techmap -map {WHOLE_LUTS}; write_json {netlist}" if family == "gowin" else ""


def finish(family: Family, netlist: Path) -> None:
    """Change the netlist that Yosys has written, where place and route needs that.

    Args:
        family: of the chip.
        netlist: the JSON file that place and route reads.
    """
    if family == "gowin":
        take_registers(netlist)
