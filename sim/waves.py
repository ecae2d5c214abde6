"""Which waveform format a simulation writes, and into which file."""

from __future__ import annotations

from pathlib import Path

from allo_rtl.sim.verilator import WaveFormat, best_wave_format


def choose_format(file: Path) -> tuple[WaveFormat, Path]:
    """The format, and the file with the suffix that belongs to it.

    FST files are a hundred times smaller, but writing them needs lz4's headers and library on
    this machine.  A file named ``*.vcd`` stays one.
    """
    format: WaveFormat = "vcd" if file.suffix == ".vcd" else best_wave_format()
    return format, file.with_suffix(f".{format}") if file.suffix in (".vcd", ".fst", "") else (
        file.with_name(f"{file.name}.{format}")
    )
