"""What moving operations to where their values need fewest registers does to area and speed.

Run as ``python -m benchmarks.register_moves [kernel ...]``: kernels of polybench_u32 on an ECP5,
once as the scheduler placed them and once with operations moved
(:mod:`allo_rtl.hls.lifetimes`), placed and routed by themselves.  Pairs that did not become other
hardware are not placed again.  With ``--bits`` the registers between the cycles of all kernels are
counted instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any
from unittest.mock import patch

from rich.console import Console

from allo_rtl.boards.synthesis import synthesise
from allo_rtl.hls import design, lifetimes
from allo_rtl.hls.control import regions
from allo_rtl.hls.node import Node
from allo_rtl.hls.op_schedule import OpSchedule, Problem
from allo_rtl.rtl_module import RtlModule
from benchmarks import polybench_u32
from benchmarks.pages import DOCS, markdown, parser_for, replace_part
from benchmarks.placed import Placed, hash_of
from benchmarks.polybench_u32 import CASES, Case, build

DEVICE, CLOCK_MHZ, SEEDS = "ecp5-25", 80.0, 3
KERNELS = ("2mm", "atax", "gemm", "gemver", "symm")
COLUMNS = (
    "kernel", "cycles", "FF as placed", "moved", "LUT as placed", "moved", "MHz as placed",
    "moved", "placements",
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


def bits(case: Case) -> tuple[int, int]:
    """Bits of registers between the cycles of a kernel (as placed, moved) in the other table."""
    counts: dict[tuple[Node, ...], tuple[int, int]] = {}

    def counted(problem: Problem, found: OpSchedule) -> OpSchedule:
        moved = lifetimes.shorten(problem, found)
        both = (found, moved)
        before, after = (lifetimes.register_bits(problem, timed) for timed in both)
        counts[tuple(problem.nodes)] = before, after
        return moved

    with patch.object(design, "shorten", counted):
        rtl = build(case, polybench_u32.DEVICE, 1000 / polybench_u32.PERIOD_NS)
    there = {
        node for function in rtl.design.functions for piece in regions(function.control.body)
        for node in piece.region.nodes()
    }  # fmt: skip
    kept = [count for nodes, count in counts.items() if there.issuperset(nodes)]
    return sum(before for before, _ in kept), sum(after for _, after in kept)


def write_bits() -> None:
    """Count the registers of all kernels for the page."""
    found = [bits(case) for case in CASES]
    before, after = (sum(side) for side in zip(*found, strict=True))
    text = (
        f"For the {len(CASES)} kernels of `benchmarks/polybench_u32.py` (UltraScale+ model, "
        f"{polybench_u32.PERIOD_NS:g} ns) that takes the\nbits of registers between cycles from "
        f"{before:,} to {after:,}, with the same cycles\n"
        "(`python -m benchmarks.register_moves --bits`)."
    )
    replace_part("register_bits", text, DOCS / "operation-scheduling.md")


def pair(case: Case) -> tuple[RtlModule, RtlModule]:
    """(as placed, moved); AssertionError when cycles differ."""
    with as_placed():
        before = build(case, DEVICE, CLOCK_MHZ)
    after = build(case, DEVICE, CLOCK_MHZ)
    assert before.predicted_cycles == after.predicted_cycles
    return before, after


def row(case: Case, kept: dict[str, list[Any]]) -> tuple[str, ...]:
    """One line of the table; MHz are the median of the placements."""
    numbers = [f"{n:,}" for name in ("ff", "lut") for n in kept[name]]
    mhz = (f"{median(found):.1f}" for found in kept["mhz"])
    return (case.name, f"{kept['cycles'][0]:,}", *numbers, *mhz, str(len(kept["mhz"][0])))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the kernels named, or those of the page; the page has all there are."""
    parser = parser_for(__doc__, (case.name for case in CASES))
    parser.add_argument("--bits", action="store_true", help="count registers instead")
    options = parser.parse_args(arguments)
    if options.bits:
        write_bits()
        return
    placed, console = Placed("register_moves"), Console()
    for case in (c for c in CASES if c.name in (options.kernels or KERNELS)):
        sides = pair(case)
        made = f"{hash_of(''.join(rtl.verilog for rtl in sides))}, {SEEDS} placements"
        if not placed.get(case.name, made):
            found = [
                synthesise(rtl.component, DEVICE, clock_mhz=CLOCK_MHZ, seeds=SEEDS)
                for rtl in sides
            ]
            result = {
                "cycles": [rtl.predicted_cycles for rtl in sides],
                "ff": [a.ff for a in found], "lut": [a.lut for a in found],
                "mhz": [[round(mhz, 2) for mhz in a.seeds_mhz] for a in found],
            }  # fmt: skip
            placed.put(case.name, made, result)
            console.print(" ".join(row(case, result)))
    if found_rows := [row(c, kept) for c in CASES if (kept := placed.get(c.name))]:
        page = DOCS / "operation-scheduling.md"
        replace_part("register_moves", markdown(COLUMNS, found_rows), page)


if __name__ == "__main__":
    main()
