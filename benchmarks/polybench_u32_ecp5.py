"""The 19 kernels of polybench_u32 on an ECP5, placed and routed: cycles at a clock that is met.

Run as ``python -m benchmarks.polybench_u32 --ecp5 [kernel ...]``.  A kernel with the schedule of
the other table is built for :data:`CLOCK_MHZ`, placed and routed by itself, and scheduled again
where it misses that clock, as for a bitstream; what comes out is simulated, and its results are
compared with numpy's.  Kernels that did not become other hardware are not placed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from rich.console import Console
from rich.table import Table

from allo_rtl.boards.closure import close
from allo_rtl.boards.critical import CriticalPath
from allo_rtl.boards.synthesis import Synthesis, synthesise
from allo_rtl.hls.design import Design
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.rtl_module import RtlModule
from allo_rtl.target import device
from benchmarks.pages import markdown, replace_part
from benchmarks.placed import Placed, hash_of
from benchmarks.polybench_u32 import Case, Measured, build, simulate

DEVICE, CLOCK_MHZ = "ecp5-25", 80.0

COLUMNS = (
    "kernel", "cycles", "MHz", "first build, MHz", "builds", "µs", "multipliers", "LUT", "FF",
    "BRAM", "DSP", "Vivado HLS, cycles",
)  # fmt: skip

type Row = dict[str, int | float | bool]
"""A result as it is kept; ``mhz`` is what the design that is kept reaches."""


class Attempt:
    """A design placed and routed by itself."""

    def __init__(self, design: Design, seed: int) -> None:
        self._design, self._seed = design, seed

    @cached_property
    def area(self) -> Synthesis:
        """What place and route found."""
        kernel = KernelComponent(self._design)
        return synthesise(kernel, DEVICE, clock_mhz=CLOCK_MHZ, first_seed=self._seed)

    @property
    def fmax_mhz(self) -> float:
        """The clock it reaches."""
        return self.area.fmax_mhz

    @property
    def critical(self) -> CriticalPath | None:
        """What keeps it from a faster one."""
        return self.area.critical


def key(case: Case) -> str:
    """Under which a result is kept."""
    return f"{case.label} | {DEVICE} | {CLOCK_MHZ:g}"


def place(case: Case, rtl: RtlModule) -> Row:
    """Close a kernel's timing and simulate what comes out."""
    closed = close(rtl.design, device(DEVICE), CLOCK_MHZ, Attempt)
    found: Measured = simulate(case, RtlModule(closed.design))
    area = closed.attempt.area
    return {
        "cycles": found.cycles, "mhz": round(area.fmax_mhz, 2), "met": closed.met,
        "first_mhz": round(closed.tried_mhz[0], 2), "builds": len(closed.tried_mhz),
        "multipliers": found.multipliers, "lut": area.lut, "ff": area.ff, "bram": area.bram,
        "dsp": area.dsp,
    }  # fmt: skip


def row(case: Case, kept: Row) -> tuple[str, ...]:
    """One line of the table; the time is that at the clock asked for, or at what is reached."""
    clock = CLOCK_MHZ if kept["met"] else kept["mhz"]
    numbers = (f"{kept[n]:,}" for n in ("multipliers", "lut", "ff", "bram", "dsp"))
    return (
        case.label, f"{kept['cycles']:,}", f"{kept['mhz']:.1f}", f"{kept['first_mhz']:.1f}",
        str(kept["builds"]), f"{kept['cycles'] / clock:.2f}", *numbers, f"{case.vivado:,}",
    )  # fmt: skip


def write_page(cases: Sequence[Case], placed: Placed) -> None:
    """Replace the table by one of all results there are."""
    found = [(case, kept) for case in cases if (kept := placed.get(key(case)))]
    met = [bool(kept["met"]) for case, kept in found if not case.variant]
    text = markdown(COLUMNS, (row(*line) for line in found))
    said = f"{DEVICE}; {CLOCK_MHZ:g} MHz asked for: {sum(met)} of {len(met)} kernels reach it."
    if found:
        replace_part("polybench_u32_ecp5", f"{text}\n\n{said}")


def run(cases: Sequence[Case], wanted: Callable[[Case], bool]) -> None:
    """Place the cases that are wanted and changed, and write the page."""
    placed, console, table = Placed("polybench_u32_ecp5"), Console(), Table(*COLUMNS)
    for case in filter(wanted, cases):
        rtl = build(case, DEVICE, CLOCK_MHZ)
        design = hash_of(rtl.verilog)
        if not placed.get(key(case), design):
            placed.put(key(case), design, place(case, rtl))
            console.print(" ".join(row(case, placed.get(key(case)) or {})))
        table.add_row(*row(case, placed.get(key(case)) or {}))
    write_page(cases, placed)
    console.print(table)
