"""Measure the elementary functions, and write the tables of ``docs/elementary.md``.

    python benchmarks/elementary.py errors      # a minute
    python benchmarks/elementary.py hardware    # of float32: a few minutes

Errors are the largest found by the CPU build, which computes what the hardware does.  Area and
Fmax are of a kernel with one pipelined loop over arrays of 32 numbers, after place and route.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from ulps import ELEMENTARY, Patterns, apply, dtype_of, errors, kernel, samples

from allo_rtl.boards.synthesis import synthesise
from allo_rtl.hls.design import build_design
from allo_rtl.ir.ops import MathKind
from allo_rtl.ir.types import (
    Float,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
)
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.target import device

PAGE = Path(__file__).resolve().parent.parent / "docs" / "elementary.md"
DEVICE, CLOCK_MHZ, COUNT = "ecp5-85", 50.0, 32
FORMATS = (float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64)


def arguments(kind: MathKind, format: Float) -> Iterable[tuple[Patterns, ...]]:
    """Chunks of arguments: all there are where they are few, else samples."""
    if format.width == 8 and kind is MathKind.POW:
        pairs = np.array(list(product(range(256), repeat=2)), np.uint8)
        yield tuple(np.ascontiguousarray(column) for column in pairs.T)
    elif format is float64:
        yield samples(kind, format, 20_000)
    else:
        yield samples(kind, format, 3_000_000)
    if format is float32 and kind is not MathKind.POW:
        yield (np.arange(0, 1 << 32, 401, dtype=np.uint64).astype(dtype_of(format)),)


def largest_error(kind: MathKind, format: Float) -> float:
    """In units of the last place."""
    chunks = arguments(kind, format)
    return max(errors(kind, format, a, apply(kind, format, *a)).max() for a in chunks)


def hardware(kind: MathKind) -> Sequence[object]:
    """A row of the table: latency of one number, LUTs, flip-flops, DSPs, block RAMs, MHz."""
    design = build_design(kernel(kind, float32, COUNT, ii=1), device(DEVICE), CLOCK_MHZ)
    assert design.top.latency is not None
    found = synthesise(KernelComponent(design), DEVICE, clock_mhz=CLOCK_MHZ)
    cycles = design.top.latency - (COUNT - 1)
    return (cycles, found.lut, found.ff, found.dsp, found.bram, f"{found.fmax_mhz:.0f}")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def update(section: str, content: str) -> None:
    """Replace what is between the markers of a section of the page."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    PAGE.write_text(f"{head}{begin}\n{content}\n{end}{tail}", encoding="utf-8")


def measure_errors(console: Console) -> str:
    """The table of errors; rows are shown as they are made."""
    rows = []
    for kind in ELEMENTARY:
        rows.append([kind.value, *(f"{largest_error(kind, f):.3f}" for f in FORMATS)])
        console.print(*rows[-1])
    return table(["function", *map(str, FORMATS)], rows)


def measure_hardware(console: Console) -> str:
    """The table of area and speed; rows are shown as they are made."""
    rows = []
    for kind in ELEMENTARY:
        rows.append([kind.value, *hardware(kind)])
        console.print(*rows[-1])
    return table(["function", "cycles", "LUT", "flip-flops", "DSP", "block RAM", "MHz"], rows)


def main() -> None:
    """Measure, and update the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sections = {"errors": measure_errors, "hardware": measure_hardware}
    parser.add_argument("section", nargs="+", choices=sections)
    for section in parser.parse_args().section:
        update(section, sections[section](Console()))


if __name__ == "__main__":
    main()
