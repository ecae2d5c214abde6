"""Which waveform format a simulation writes, and into which file."""

from __future__ import annotations

from pathlib import Path

from allo_rtl.errors import SimulationError
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


def start_file(file: Path) -> None:
    """Make the file and its folder, because Verilator's runtime says nothing when it cannot.

    Raises:
        SimulationError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    except OSError as error:
        raise SimulationError(
            f"the waveform file {str(file)!r} cannot be written: {error.strerror}"
        ) from None
