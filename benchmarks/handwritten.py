"""Compiled kernels beside the same hardware written by hand in Amaranth, on ECP5 and iCE40 UP5K.

Run as ``python -m benchmarks.handwritten [--seeds N] [--chip chip] [kernel ...]``.  Both sides
have the same ports, run the same data in Verilator, where their results are compared with
numpy's, and go through the same place and route: cycles, LUT, FF, block RAM and DSP are of the
kernel alone, Fmax is the median of the seeds.  Pairs that did not become other hardware are not
placed again; the table in docs/benchmarks.md has all there are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import allo_rtl as allo
from allo_rtl.boards.synthesis import Ported, synthesise
from allo_rtl.ir.types import Int, int16, int32, uint8
from allo_rtl.rtl.verilog import to_verilog
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.marshal import Raw, Signature, call_with_numpy
from benchmarks.handwritten_designs import Fir, Gemm, Handwritten, Sobel
from benchmarks.pages import markdown, replace_part
from benchmarks.placed import Placed, hash_of

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
    are placed for: about the one that the hand-written design is made for.
    """

    name: str
    schedule: Callable[[], Schedule]
    reference: Callable[..., None]
    design: type[Handwritten]
    clocks: dict[str, float]


CASES = (
    Case("gemm 8x8x8, int32", gemm_schedule, gemm_reference, Gemm, {ECP5: 120.0, UP5K: 40.0}),
    Case("FIR, 8 taps, int16", fir_schedule, fir_reference, Fir, {ECP5: 120.0, UP5K: 60.0}),
    Case(
        "Sobel 3x3, 32x32 bytes", sobel_schedule, sobel_reference, Sobel,
        {ECP5: 110.0, UP5K: 45.0},
    ),
)


@dataclass(frozen=True)
class Measured:
    """One side on one chip."""

    cycles: int
    lut: int
    ff: int
    bram: int
    dsp: int
    seeds_mhz: tuple[float, ...]

    @property
    def fmax_mhz(self) -> float:
        """The median of the seeds."""
        return median(self.seeds_mhz)

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


@dataclass(frozen=True)
class Pair:
    """The kernel of a case compiled for a chip, and what was written by hand for its ports."""

    case: Case
    device: str
    rtl: RtlModule

    @cached_property
    def verilog(self) -> tuple[str, str]:
        """(by hand, compiled)."""
        interface = self.rtl.interface
        return to_verilog(self.case.design(interface), interface.name), self.rtl.verilog

    @property
    def hash(self) -> str:
        """What tells the two designs from others."""
        return hash_of("".join(self.verilog))

    def measure(self, seeds: int) -> tuple[Measured, ...]:
        """(by hand, compiled)."""
        found = []
        components: tuple[Ported, Ported] = (
            self.case.design(self.rtl.interface), self.rtl.component,
        )  # fmt: skip
        for verilog, component in zip(self.verilog, components, strict=True):
            cycles = simulate(self.case, self.rtl, verilog)
            clock = self.case.clocks[self.device]
            a = synthesise(component, self.device, clock_mhz=clock, seeds=seeds)
            found.append(Measured(cycles, a.lut, a.ff, a.bram, a.dsp, a.seeds_mhz))
        ours, predicted = found[1].cycles, self.rtl.predicted_cycles
        assert ours == predicted, f"{self.case.name}: {ours} cycles, not {predicted}"
        return tuple(found)


COLUMNS = (
    "kernel", "chip", "MHz asked", "", "cycles", "LUT", "FF", "BRAM", "DSP", "Fmax MHz", "µs",
)  # fmt: skip


def rows(case: Case, device: str, pair: Sequence[Measured]) -> list[tuple[str, ...]]:
    """Lines of the table: by hand, compiled, and what is compared of the two."""
    lines, asked = [], f"{case.clocks[device]:g}"
    for side, found in zip(("by hand", "compiled"), pair, strict=True):
        numbers = (found.cycles, found.lut, found.ff, found.bram, found.dsp)
        lines.append((
            case.name, device, asked, side, *(f"{n:,}" for n in numbers),
            f"{found.fmax_mhz:.1f}", f"{found.time_us:.2f}",
        ))  # fmt: skip
    hand, ours = pair
    ratios = (ours.cycles / hand.cycles, ours.lut / hand.lut)
    speed, time = ours.fmax_mhz / hand.fmax_mhz, ours.time_us / hand.time_us
    lines.append((
        case.name, device, asked, "ratio", *(f"{r:.2f}" for r in ratios), "", "", "",
        f"{speed:.2f}", f"{time:.2f}",
    ))  # fmt: skip
    return lines


def key(case: Case, device: str) -> str:
    """Under which a pair is kept."""
    return f"{case.name} | {device}"


def all_rows(placed: Placed) -> list[tuple[str, ...]]:
    """The table of all pairs there are."""
    lines: list[tuple[str, ...]] = []
    for case, device in ((c, d) for c in CASES for d in c.clocks):
        if kept := placed.get(key(case, device)):
            lines += rows(case, device, [Measured(**side) for side in kept["sides"]])
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the kernels named, or all; the page is written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="placements of each design")
    parser.add_argument("--chip", default="", help="only chips whose names begin so")
    parser.add_argument("kernels", nargs="*", help="beginnings of their names")
    options = parser.parse_args(arguments)
    wanted, placed = tuple(options.kernels) or ("",), Placed("handwritten")
    chosen = [(c, d) for c in CASES if c.name.startswith(wanted) for d in c.clocks]
    for case, device in (pair for pair in chosen if pair[1].startswith(options.chip)):
        pair = Pair(case, device, build(case, device))
        if not placed.get(key(case, device), pair.hash):
            sides = [asdict(side) for side in pair.measure(options.seeds)]
            placed.put(key(case, device), pair.hash, {"sides": sides})
    replace_part("handwritten", markdown(COLUMNS, all_rows(placed), left=4))
    table = Table(*COLUMNS)
    for line in all_rows(placed):
        table.add_row(*line)
    Console().print(table)


if __name__ == "__main__":
    main()
