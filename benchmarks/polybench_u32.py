"""The 19 PolyBench kernels in unsigned 32 bit: cycles measured beside the published ones.

Run as ``python -m benchmarks.polybench_u32 [kernel ...]``; without names all kernels are measured
and the table in docs/benchmarks.md is written.  Every run is simulated, its results are compared
with numpy's, and its cycles with the prediction.  With ``--ecp5`` the kernels are placed and routed
instead, see :mod:`benchmarks.polybench_u32_ecp5`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import allo_rtl as allo
from allo_rtl.hls.control import Control, Pipelined, Sequential, Together
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.ir.ops import For
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import Partition
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.loops import LoopWrapper
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.marshal import Raw, Signature, call_with_numpy
from allo_rtl.sim.pysim import run
from benchmarks import polybench_kernels, polybench_reference
from benchmarks.pages import markdown, parser_for, replace_part

DEVICE, PERIOD_NS = "ultrascale+", 7.0
BY_HAND = "rewritten by hand"


@dataclass(frozen=True)
class Case:
    """A kernel, how it is scheduled, and what was published about it.

    Attributes:
        name: name in PolyBench.
        vivado, calyx, piezo: published cycles.
        multipliers: of 32 bits in the design of Vivado HLS.
        products: multiplications in the kernel as written: the cycles of a single multiplier.
        sums: loops whose terms are summed up from zero, before what was there is added.
        reorder: loops to be reordered then, before every innermost loop is pipelined.
        lanes: innermost loops that make two iterations at once.
        banks: dimensions of local arrays, such as "A2", that are spread over two banks for them.
        whole, registers: loops that are unrolled, and local arrays that are registers.
        units: multipliers that the design may have; None for as many as it takes.
        variant: how the kernel or its schedule differs from another case of that name.
        seed: of the data; such that no divisor is zero, which numpy does not define.
    """

    name: str
    vivado: int
    multipliers: int
    calyx: int
    piezo: int
    products: int
    reorder: tuple[tuple[str, ...], ...] = ()
    lanes: tuple[str, ...] = ()
    banks: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    units: int | None = None
    variant: str = ""
    seed: int = 1

    @property
    def label(self) -> str:
        """How tables call it."""
        return f"{self.name}, {self.variant}" if self.variant else self.name

    @property
    def kernel(self) -> str:
        """The name of the kernel in Python."""
        return f"{self.function}_by_hand" if self.variant == BY_HAND else self.function

    @property
    def function(self) -> str:
        """The name of its reference in Python."""
        return {"2mm": "two_mm", "3mm": "three_mm"}.get(self.name, self.name)


CASES = (
    Case(
        "2mm", 3718, 4, 15571, 12481, 1600, (("first.k", "first.j"), ("second.k", "second.j")),
        ("first.j", "second.j"), ("B2", "T2", "C2", "D2"),
    ),
    Case(
        "3mm", 5043, 3, 17487, 8481, 1536,
        (("first.k", "first.j"), ("second.k", "second.j"), ("third.k", "third.j")),
    ),
    Case(
        "atax", 715, 2, 2255, 1633, 128, (), ("rows.j", "rows.k"), ("A2", "x1", "y1"),
    ),
    Case("bicg", 218, 2, 1083, 801, 128),
    Case("cholesky", 1385, 2, 2514, 2751, 84),
    Case(
        "doitgen", 14545, 1, 49479, 35985, 4096, (("s", "p1"),), whole=("p",),
        registers=("line",),
    ),
    Case("durbin", 366, 4, 905, 943, 70, seed=40),
    Case(
        "gemm", 2684, 3, 9265, 7601, 1088, (("product.k", "product.j"),), ("product.j",),
        ("B2", "C2"),
    ),
    Case(
        "gemver", 1105, 6, 3719, 2738, 384, (("first.j", "first.i"), ("second.j", "second.i")),
        ("first.i", "second.i"), ("A1", "A2", "x1", "w1"),
    ),
    Case(
        "gesummv", 532, 4, 2209, 1929, 144, (("products.j", "products.i"),), ("products.i",),
        ("A1", "B1", "t1", "y1"),
    ),
    Case(
        "gramschmidt", 9037, 3, 18613, 15186, 1152, (),
        ("columns.i", "columns.n", "columns.p"), ("A1", "Q1"),
    ),
    Case("lu", 1817, 1, 3191, 3560, 140),
    Case("ludcmp", 1603, 4, 4203, 4408, 196),
    Case(
        "mvt", 597, 2, 1861, 1377, 128, (("first.j", "first.i"), ("second.j", "second.i")),
        ("first.i", "second.i"), ("A1", "A2", "a1", "b1"),
    ),
    Case("symm", 2033, 5, 9721, 7700, 1392, (("rows.k", "rows.j"),), units=1),
    Case("syr2k", 3712, 3, 17183, 11046, 2574),
    Case("syrk", 2631, 3, 12075, 10662, 1326),
    Case("trisolv", 377, 1, 460, 413, 28),
    Case(
        "trmm", 1553, 2, 5255, 4964, 432, (("rows.i", "rows.k", "rows.j"),), sums=("rows.k",),
    ),
)
OTHERS = (
    Case(
        "symm", 2033, 5, 9721, 7700, 1392, (("rows.k", "rows.j"),), units=2,
        variant="two multipliers",
    ),
    Case(
        "symm", 2033, 5, 9721, 7700, 1392, (("rows.k", "rows.j"),), variant="four multipliers",
    ),
    Case(  # leaves out alpha times a sum of nothing, in 12 places
        "symm", 2033, 5, 9721, 7700, 1380, (("rows.k", "rows.j"),), variant=BY_HAND,
    ),
)
"""Other sources and schedules of kernels, which do not count in the mean."""


@dataclass(frozen=True)
class Measured:
    """What one kernel was found to take; ``copies`` are the cycles of its copying loops."""

    case: Case
    cycles: int
    multipliers: int
    copies: int

    @property
    def ratio(self) -> float:
        """Cycles against those of Vivado HLS."""
        return self.cycles / self.case.vivado

    @property
    def tightness(self) -> float:
        """Cycles, those of the copies apart, against the bound."""
        return (self.cycles - self.copies) / self.bound

    @property
    def bound(self) -> int:
        """Cycles that the products take on the multipliers there are."""
        return -(-self.case.products // self.multipliers)


def schedule(case: Case) -> Schedule:
    """The kernel of a case with its schedule."""
    s = allo.customize(getattr(polybench_kernels, case.kernel))
    for axis in case.sums:
        s.partial_sums(axis, 1)
    for axes in case.reorder:
        s.reorder(*axes)
    for axis in case.lanes:
        s.unroll(axis, 2)
    for axis in case.whole:
        s.unroll(axis)
    for name in case.registers:
        s.partition(name, dim=1)
    for name in case.banks:
        s.partition(name[:-1], Partition.Cyclic, dim=int(name[-1]), factor=2)
    for loop in innermost_loops(s):
        s.pipeline(loop)
    return s


def innermost_loops(s: Schedule) -> list[LoopWrapper]:
    """The loops with no loop inside, outside of those that are pipelined already."""
    return [
        LoopWrapper(func.name, band.attrs.band, loop.name)
        for func in s.module.funcs
        for band in func.body
        if isinstance(band, For)
        for loop in _leaves(band)
    ]


def _leaves(loop: For) -> list[For]:
    if loop.attrs.pipeline_ii is not None:
        return []
    inside = [op for op in walk(loop.body) if isinstance(op, For)]
    direct = [op for op in loop.body if isinstance(op, For)]
    whole = loop.attrs.unroll == 0
    return [leaf for op in direct for leaf in _leaves(op)] if inside or whole else [loop]


def arguments(signature: Signature, seed: int) -> list[Any]:
    """Random words for every argument; arrays are made anew."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 1 << 32, getattr(type, "shape", None), np.uint32)
        for _, type in signature.args
    ]


def multipliers(design: Design) -> int:
    """Units in the design that multiply two numbers."""
    return sum(function.units["mul"] for function in design.functions)


def copies(function: FunctionDesign) -> int:
    """Cycles of copying arguments to local arrays and back, as scheduled.

    Of loops that run at the same time as others those by which they last longer count.
    """
    return sum(_copying(function, control) for control in function.control.body)


def _copying(function: FunctionDesign, control: Control) -> int:
    whole = function.timing.control(control, {}) or 0
    match control:
        case Pipelined():
            band = control.counters[0].loop.attrs.band
        case Sequential(loop=loop):
            band = loop.attrs.band
        case Together(branches=branches):
            rest = (
                sum((function.timing.control(c, {}) or 0) - _copying(function, c) for c in branch)
                for branch in branches
            )
            return whole - max(rest)
        case _:
            return 0
    return whole if (band or "").startswith(("load", "keep")) else 0


def build(case: Case, device: str, clock_mhz: float) -> RtlModule:
    """The hardware of a kernel."""
    units = {} if case.units is None else {"mul": case.units}
    rtl = schedule(case).build(target="rtl", device=device, clock_mhz=clock_mhz, units=units)
    assert isinstance(rtl, RtlModule)
    return rtl


def measure(case: Case) -> Measured:
    """Build a kernel for the table and simulate it; AssertionError when its results differ."""
    return simulate(case, build(case, DEVICE, 1000 / PERIOD_NS))


def simulate(case: Case, rtl: RtlModule) -> Measured:
    """Simulate a kernel and compare it with its reference; AssertionError when it differs."""
    cycles: list[int] = []

    def simulated(raw: list[Raw]) -> list[Raw]:
        results, taken = run(rtl.component, raw)
        cycles.append(taken)
        return results

    signature = Signature.of(rtl.design.module.top_func)
    given = arguments(signature, case.seed)
    expected = deepcopy(given)
    result = call_with_numpy(signature, given, simulated)
    with np.errstate(over="ignore", divide="raise"):
        wanted = getattr(polybench_reference, case.function)(*expected)
    for got, want in zip([*given, result], [*expected, wanted], strict=True):
        assert np.array_equal(got, want), f"{case.name}: {got} instead of {want}"
    assert cycles == [rtl.predicted_cycles], f"{case.name}: {cycles}, not {rtl.predicted_cycles}"
    return Measured(case, cycles[0], multipliers(rtl.design), copies(rtl.design.top))


COLUMNS = (
    "kernel", "Vivado HLS", "Calyx", "Piezo", "cycles", "against Vivado HLS", "multipliers",
    "those of Vivado HLS", "bound", "copies", "against the bound, copies apart",
)  # fmt: skip


OTHERS_TEXT = "Other schedules and sources of these, which do not count in the mean:"


def row(found: Measured) -> tuple[str, ...]:
    """One line of the table."""
    case = found.case
    return (
        case.label, f"{case.vivado:,}", f"{case.calyx:,}", f"{case.piezo:,}", f"{found.cycles:,}",
        f"{found.ratio:.2f}", str(found.multipliers), str(case.multipliers),
        f"{found.bound:,}", f"{found.copies:,}", f"{found.tightness:.2f}",
    )  # fmt: skip


def summary(results: Sequence[Measured]) -> str:
    """The geometric mean of the cycles against those of Vivado HLS, in a sentence."""
    mean = prod(r.ratio for r in results) ** (1 / len(results))
    slower = [r.case.name for r in results if r.ratio > 1]
    more = [r.case.name for r in results if r.multipliers > r.case.multipliers]
    return (
        f"Geometric mean of cycles against Vivado HLS: {mean:.3f} "
        f"({len(results)} kernels; slower: {', '.join(slower) or 'none'}; "
        f"more multipliers: {', '.join(more) or 'none'})."
    )


def write_page(results: Sequence[Measured]) -> None:
    """Replace what is between the markers of the page by the tables."""
    counted = [r for r in results if r.case in CASES]
    others = [r for r in results if r.case not in CASES]
    text = f"{markdown(COLUMNS, map(row, counted))}\n\n{summary(counted)}"
    if others:
        text += f"\n\n{OTHERS_TEXT}\n\n{markdown(COLUMNS, map(row, others))}"
    replace_part("polybench_u32", text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the kernels named, or all of them; then the page is written."""
    parser = parser_for(__doc__, (case.name for case in CASES))
    parser.add_argument("--ecp5", action="store_true", help="place and route them instead")
    options = parser.parse_args(arguments)
    names = options.kernels
    if options.ecp5:
        from benchmarks import polybench_u32_ecp5

        polybench_u32_ecp5.run((*CASES, *OTHERS), lambda case: not names or case.name in names)
        return
    console = Console()
    table = Table(*COLUMNS)
    results = []
    for case in (*CASES, *OTHERS):
        if not names or case.name in names:
            results.append(measure(case))
            table.add_row(*row(results[-1]))
    console.print(table)
    console.print(summary([r for r in results if r.case in CASES]))
    if not names:
        write_page(results)


if __name__ == "__main__":
    main()
