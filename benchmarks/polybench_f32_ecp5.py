"""The kernels of polybench_f32 with as many multipliers as an ECP5 has room for.

Run as ``python -m benchmarks.polybench_f32_ecp5``; the table in docs/benchmarks.md is written.
Cycles at MEDIUM are those that the build predicts for :data:`DEVICE` at :data:`CLOCK_MHZ`.  That
the units keep this clock is shown by one small instance, gemm at TINY with one multiplier, which
is placed and routed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.progress import track

from allo_rtl.boards.synthesis import Synthesis, synthesise
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.target import device
from benchmarks.pages import markdown, replace_part
from benchmarks.polybench_f32 import CASES, Case
from examples.polybench import sizes
from examples.polybench.lanes import LANES, Lanes

DEVICE, CLOCK_MHZ = "ecp5-85", 50.0
BLOCKS_EACH = 4
"""Multiplier blocks of a float32 multiplier."""
COLUMNS = ("kernel", "cycles", "ms", "multipliers", "adders", "used")

WANTED: dict[str, Lanes] = {
    "two_mm": (36, 36), "three_mm": (36, 36, 36), "atax": (30, (10, 3)), "bicg": ((5, 3), (3, 5)),
    "correlation": (30,), "gemm": (36,), "gesummv": (10,), "mvt": ((8, 2), (8, 2)),
    "symm": ((2, 15),), "syr2k": ((1, 15),), "syrk": ((2, 15),), "trmm": (24,),
}  # fmt: skip
"""Products at once.  jacobi_2d makes a row at once, for which there is no room."""
SMALL_INSTANCE: Lanes = ((1, 1),)


@dataclass(frozen=True)
class Predicted:
    """A kernel at MEDIUM: cycles, and the units that it has."""

    case: Case
    cycles: int
    multipliers: int
    adders: int


def build(schedule: Schedule) -> RtlModule:
    """The hardware of a schedule."""
    rtl = schedule.build(target="rtl", device=DEVICE, clock_mhz=CLOCK_MHZ)
    assert isinstance(rtl, RtlModule)
    return rtl


def predict(case: Case) -> Predicted:
    """Build a kernel; AssertionError when the chip has too few multiplier blocks for it."""
    rtl = build(LANES[case.name](sizes.MEDIUM[case.kernel], WANTED[case.name]))
    units = dict(rtl.report().units)
    multipliers, adders = units.get("float32 mul", 0), units.get("float32 add", 0)
    assert BLOCKS_EACH * multipliers <= device(DEVICE).dsps, case.name
    assert rtl.predicted_cycles is not None
    return Predicted(case, rtl.predicted_cycles, multipliers, adders)


def place() -> Synthesis:
    """The small instance, placed and routed."""
    rtl = build(LANES["gemm"](sizes.TINY["gemm"], SMALL_INSTANCE))
    return synthesise(rtl.component, DEVICE, clock_mhz=CLOCK_MHZ)


def row(found: Predicted) -> tuple[str, ...]:
    """One line of the table."""
    used = found.case.macs / (found.multipliers * found.cycles)
    return (
        found.case.label or found.case.name, f"{found.cycles:,}",
        f"{found.cycles / CLOCK_MHZ / 1000:.2f}", str(found.multipliers), str(found.adders),
        f"{used:.0%}",
    )  # fmt: skip


def write_page(results: Sequence[Predicted], placed: Synthesis) -> None:
    """Replace what is between the markers of the page."""
    said = (
        f"{DEVICE} at {CLOCK_MHZ:g} MHz; the small instance was placed and routed at "
        f"{placed.fmax_mhz:.1f} MHz."
    )
    replace_part("polybench_f32_ecp5", f"{said}\n\n{markdown(COLUMNS, map(row, results))}")


def main() -> None:
    """Predict all kernels, place the small one, and write the page."""
    cases = [case for case in CASES if case.name in WANTED]
    placed = place()
    assert placed.fmax_mhz >= CLOCK_MHZ, f"the small instance reaches {placed.fmax_mhz} MHz"
    results = [predict(case) for case in track(cases, "kernels")]
    write_page(results, placed)


if __name__ == "__main__":
    main()
