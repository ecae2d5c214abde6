"""Compiled kernels beside the same hardware written by hand in Amaranth, on ECP5 and iCE40 UP5K.

Run as ``python -m benchmarks.handwritten [--seeds N] [kernel ...]``; without names the table in
docs/benchmarks.md is written.  Both sides have the same ports, run the same data in Verilator,
where their results are compared with numpy's, and go through the same place and route: cycles,
LUT, FF, block RAM and DSP are of the kernel alone, Fmax is the median of the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import allo_rtl as allo
from allo_rtl.boards.synthesis import Synthesis, synthesise
from allo_rtl.ir.types import Int, int16, int32, uint8
from allo_rtl.rtl.verilog import to_verilog
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.marshal import Raw, Signature, call_with_numpy
from benchmarks.handwritten_designs import Fir, Gemm, Handwritten, Sobel
from benchmarks.pages import markdown, replace_part

int11 = Int(11)
ECP5, UP5K = "ecp5-25", "ice40-up5k"


def gemm(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8]):
    total: int32 = 0
    for i, j, k in allo.grid(8, 8, 8):
        total = (0 if k == 0 else total) + A[i, k] * B[k, j]
        if k == 7:
            C[i, j] = total


def fir(x: int16[256], h: int16[8], y: int32[249]):
    sums: int32[8] = 0
    for i in range(256):
        for t in range(7):
            sums[7 - t] = sums[6 - t] + h[7 - t] * x[i]
        sums[0] = h[0] * x[i]
        if i >= 7:
            y[i - 7] = sums[7]


def sobel(image: uint8[32, 32], edges: int16[30, 30]):
    near: uint8[32] = 0
    far: uint8[32] = 0
    smooth1: int11 = 0
    smooth2: int11 = 0
    change1: int11 = 0
    change2: int11 = 0
    for y, x in allo.grid(32, 32):
        below: int11 = image[y, x]
        middle: int11 = near[x]
        above: int11 = far[x]
        near[x] = below
        far[x] = middle
        smooth: int11 = above + 2 * middle + below
        change: int11 = below - above
        across: int11 = smooth - smooth2
        down: int11 = change + 2 * change1 + change2
        if y >= 2 and x >= 2:
            edges[y - 2, x - 2] = abs(across) + abs(down)
        smooth2 = smooth1
        smooth1 = smooth
        change2 = change1
        change1 = change


def gemm_schedule() -> Schedule:
    """A product a cycle."""
    s = allo.customize(gemm)
    s.pipeline("k")
    return s


def fir_schedule() -> Schedule:
    """A sample a cycle, in the transposed form: each meets all taps at once."""
    s = allo.customize(fir)
    s.partition(s.h, dim=1)
    s.partition(s.sums, dim=1)
    s.pipeline("i")
    return s


def sobel_schedule() -> Schedule:
    """A pixel a cycle, lines in memories."""
    s = allo.customize(sobel)
    s.pipeline("x")
    return s


def gemm_reference(A: Any, B: Any, C: Any) -> None:
    """C = A @ B."""
    C[...] = A @ B


def fir_reference(x: Any, h: Any, y: Any) -> None:
    """The samples that all taps meet."""
    y[...] = np.correlate(x.astype(np.int32), h.astype(np.int32), "valid")


def sobel_reference(image: Any, edges: Any) -> None:
    """|horizontal| + |vertical| gradient."""
    p = image.astype(np.int32)
    smooth = p[:-2] + 2 * p[1:-1] + p[2:]
    change = p[2:] - p[:-2]
    down = change[:, :-2] + 2 * change[:, 1:-1] + change[:, 2:]
    edges[...] = np.abs(smooth[:, 2:] - smooth[:, :-2]) + np.abs(down)


@dataclass(frozen=True)
class Case:
    """A kernel, its schedule, what it computes, and the design it is compared with.

    ``clocks`` has for each chip the clock in MHz that the kernel is scheduled for, and both sides
    are placed for.
    """

    name: str
    schedule: Callable[[], Schedule]
    reference: Callable[..., None]
    design: type[Handwritten]
    clocks: dict[str, float]


CASES = (
    Case("gemm 8x8x8, int32", gemm_schedule, gemm_reference, Gemm, {ECP5: 120.0, UP5K: 25.0}),
    Case("FIR, 8 taps, int16", fir_schedule, fir_reference, Fir, {ECP5: 120.0, UP5K: 30.0}),
    Case(
        "Sobel 3x3, 32x32 bytes", sobel_schedule, sobel_reference, Sobel,
        {ECP5: 110.0, UP5K: 40.0},
    ),
)


@dataclass(frozen=True)
class Measured:
    """One side on one chip."""

    cycles: int
    area: Synthesis

    @property
    def fmax_mhz(self) -> float:
        """The median of the seeds."""
        return median(self.area.seeds_mhz)

    @property
    def time_us(self) -> float:
        """Of a run at that clock."""
        return self.cycles / self.fmax_mhz


def build(case: Case, device: str) -> RtlModule:
    """The kernel of a case for a chip."""
    rtl = case.schedule().build(target="rtl", device=device, clock_mhz=case.clocks[device])
    assert isinstance(rtl, RtlModule)
    return rtl


def simulate(case: Case, rtl: RtlModule, verilog: str) -> int:
    """Cycles of a run of random data in Verilator; AssertionError when a result is not numpy's."""
    signature = Signature.of(rtl.design.module.top_func)
    rng = np.random.default_rng(1)
    types = [type for _, type in signature.args]
    args = [_random(rng, type) for type in types]
    wanted = [a.copy() for a in args]
    cycles: list[int] = []

    def one_run(raw: list[Raw]) -> list[Raw]:
        results, taken = Simulation(verilog, rtl.interface).run(raw)
        cycles.append(taken)
        return results

    call_with_numpy(signature, args, one_run)
    case.reference(*wanted)
    for got, want in zip(args, wanted, strict=True):
        assert np.array_equal(got, want), f"{case.name}: {got} instead of {want}"
    return cycles[0]


def _random(rng: np.random.Generator, type: Any) -> Any:
    element = type.element
    dtype = f"{'i' if element.signed else 'u'}{element.bits // 8}"
    return rng.integers(element.min, element.max, type.shape, dtype, endpoint=True)


def measure(case: Case, device: str, seeds: int) -> tuple[Measured, Measured]:
    """(by hand, compiled)."""
    rtl = build(case, device)
    ours = simulate(case, rtl, rtl.verilog)
    assert ours == rtl.predicted_cycles, f"{case.name}: {ours}, not {rtl.predicted_cycles}"
    name = rtl.interface.name
    theirs = simulate(case, rtl, to_verilog(case.design(rtl.interface), name))
    options: dict[str, Any] = {"clock_mhz": case.clocks[device], "seeds": seeds}
    return (
        Measured(theirs, synthesise(case.design(rtl.interface), device, **options)),
        Measured(ours, synthesise(rtl.component, device, **options)),
    )


COLUMNS = (
    "kernel", "chip", "MHz asked", "", "cycles", "LUT", "FF", "BRAM", "DSP", "Fmax MHz", "µs",
)  # fmt: skip


def rows(case: Case, device: str, pair: tuple[Measured, Measured]) -> list[tuple[str, ...]]:
    """Lines of the table: by hand, compiled, and what is compared of the two."""
    lines, asked = [], f"{case.clocks[device]:g}"
    for side, found in zip(("by hand", "compiled"), pair, strict=True):
        a = found.area
        numbers = (found.cycles, a.lut, a.ff, a.bram, a.dsp)
        lines.append((
            case.name, device, asked, side, *(f"{n:,}" for n in numbers),
            f"{found.fmax_mhz:.1f}", f"{found.time_us:.2f}",
        ))  # fmt: skip
    hand, ours = pair
    ratios = (ours.cycles / hand.cycles, ours.area.lut / hand.area.lut)
    speed, time = ours.fmax_mhz / hand.fmax_mhz, ours.time_us / hand.time_us
    lines.append((
        case.name, device, asked, "ratio", *(f"{r:.2f}" for r in ratios), "", "", "",
        f"{speed:.2f}", f"{time:.2f}",
    ))  # fmt: skip
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the kernels named, or all; then the page is written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=5, help="placements of each design")
    parser.add_argument("kernels", nargs="*", help="beginnings of their names")
    options = parser.parse_args(arguments)
    wanted = tuple(options.kernels) or ("",)
    chosen = [(c, d) for c in CASES if c.name.startswith(wanted) for d in c.clocks]
    console, table, lines = Console(), Table(*COLUMNS), list[tuple[str, ...]]()
    with Progress(console=console) as progress:
        task = progress.add_task("", total=len(chosen))
        for case, device in chosen:
            progress.update(task, description=f"{case.name} on {device}")
            new = rows(case, device, measure(case, device, options.seeds))
            progress.console.print("\n".join(" ".join(line) for line in new))
            progress.advance(task)
            lines += new
    for line in lines:
        table.add_row(*line)
    console.print(table)
    if not options.kernels:
        replace_part("handwritten", markdown(COLUMNS, lines, left=4))


if __name__ == "__main__":
    main()
