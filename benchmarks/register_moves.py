"""What moving operations to where their values need fewest registers does to area and speed.

Run as ``python -m benchmarks.register_moves [kernel ...]``: kernels of polybench_u32 on an ECP5,
once as the scheduler placed them and once with operations moved
(:mod:`allo_rtl.hls.lifetimes`), placed and routed by themselves.  Pairs that did not become other
hardware are not placed again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from rich.console import Console

from allo_rtl.boards.synthesis import synthesise
from allo_rtl.hls import lifetimes
from allo_rtl.rtl_module import RtlModule
from benchmarks.pages import DOCS, markdown, replace_part
from benchmarks.placed import Placed, hash_of
from benchmarks.polybench_u32 import CASES, Case, schedule

DEVICE, CLOCK_MHZ, SEEDS = "ecp5-25", 80.0, 1
KERNELS = ("2mm", "atax", "gemm", "gemver", "symm")
COLUMNS = (
    "kernel", "cycles", "FF as placed", "moved", "LUT as placed", "moved", "MHz as placed",
    "moved",
)  # fmt: skip


@contextmanager
def as_placed() -> Iterator[None]:
    """Leaves operations where the scheduler placed them."""
    most = lifetimes.MAX_NODES
    lifetimes.MAX_NODES = -1
    try:
        yield
    finally:
        lifetimes.MAX_NODES = most


def build(case: Case) -> RtlModule:
    """The hardware of a kernel."""
    rtl = schedule(case).build(target="rtl", device=DEVICE, clock_mhz=CLOCK_MHZ)
    assert isinstance(rtl, RtlModule)
    return rtl


def pair(case: Case) -> tuple[RtlModule, RtlModule]:
    """(as placed, moved); AssertionError when cycles differ."""
    with as_placed():
        before = build(case)
    after = build(case)
    assert before.predicted_cycles == after.predicted_cycles
    return before, after


def row(case: Case, kept: dict[str, list[float]]) -> tuple[str, ...]:
    """One line of the table."""
    numbers = [f"{n:,}" for name in ("ff", "lut") for n in kept[name]]
    return (case.name, f"{kept['cycles'][0]:,}", *numbers, *(f"{n:.1f}" for n in kept["mhz"]))


def main(names: Sequence[str]) -> None:
    """Measure the kernels named, or those of the page; the page has all there are."""
    placed, console = Placed("register_moves"), Console()
    for case in (c for c in CASES if c.name in (names or KERNELS)):
        sides = pair(case)
        design = hash_of("".join(rtl.verilog for rtl in sides))
        if not placed.get(case.name, design):
            found = [
                synthesise(rtl.component, DEVICE, clock_mhz=CLOCK_MHZ, seeds=SEEDS)
                for rtl in sides
            ]
            result = {
                "cycles": [rtl.predicted_cycles for rtl in sides],
                "ff": [a.ff for a in found], "lut": [a.lut for a in found],
                "mhz": [round(median(a.seeds_mhz), 2) for a in found],
            }  # fmt: skip
            placed.put(case.name, design, result)
            console.print(" ".join(row(case, result)))
    if found_rows := [row(c, kept) for c in CASES if (kept := placed.get(c.name))]:
        page = DOCS / "operation-scheduling.md"
        replace_part("register_moves", markdown(COLUMNS, found_rows), page)


if __name__ == "__main__":
    main(sys.argv[1:])
