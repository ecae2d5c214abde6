"""The 13 PolyBench kernels of Allo's published designs in float32, beside the published columns.

gemm is measured at the two budgets of the Stream-HLS paper too.  Run as
``python -m benchmarks.polybench_f32 [kernel ...]``; without names the tables in docs/benchmarks.md
are written.  At MEDIUM the cycles are those that the build predicts.  The same
schedules at TINY are simulated: results must be those of the CPU build bit for bit, and cycles
those predicted.  CPU results at MEDIUM are compared with numpy's float64.  With ``--medium``
kernels are simulated in Verilator at MEDIUM instead, which takes a minute or more each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.marshal import Raw, Signature, call_with_numpy
from allo_rtl.sim.pysim import run
from benchmarks.pages import markdown, parser_for, replace_part
from examples.polybench import sizes
from examples.polybench.lanes import LANES, Lanes
from examples.polybench.references import REFERENCES

DEVICE, CLOCK_MHZ = "ultrascale+", 300.0


@dataclass(frozen=True)
class Case:
    """A kernel at MEDIUM, and what was published about it.

    Attributes:
        name: of the kernel and its reference.
        macs: products that are summed up; for jacobi_2d its products.
        lanes: multipliers wanted in each stage, or the block of products.
        estimate: cycles of Allo's design in its own results (an estimate of Vitis HLS).
        simulated: cycles of that design in RTL simulation by the Stream-HLS authors.
        multipliers: of that design; None where nothing published tells.
        sizes: the kernel that sizes and reference are of, where it has another name.
        label: in the table, where it is not the name.
    """

    name: str
    macs: int
    lanes: Lanes
    estimate: int | None
    simulated: int | None = None
    multipliers: int | None = None
    sizes: str = ""
    label: str = ""

    @property
    def kernel(self) -> str:
        """The kernel that sizes and reference are of."""
        return self.sizes or self.name


CASES = (
    Case("two_mm", 14_706_000, (103, 103), 194_006, 268_436, 103, label="2mm"),
    Case("three_mm", 22_800_000, (150, 150, 150), 222_987, None, 154, label="3mm"),
    Case("atax", 319_800, (78, (26, 3)), 4_910, 8_822, 80),
    Case("bicg", 319_800, ((10, 10), (10, 10)), 1_651, 1_651, 201),
    Case("correlation", 7_519_200, (120,), 498_690),
    Case("gemm", 10_560_000, (55,), 239_025, 238_622, 55),
    Case("gesummv", 125_000, (62,), 1_521, 1_538, 125),
    Case("jacobi_2d", 12_300_800, (), 58_801),
    Case("mvt", 320_000, ((80, 5), (80, 5)), 3_207, 468, 800),
    Case("symm", 9_600_000, ((4, 30),), 426_805),
    Case("syr2k", 11_568_000, (80,), 296_183),
    Case("syrk", 5_784_000, (80,), 293_543),
    Case("trmm", 4_776_000, (24,), 492_613),
)

BUDGETS = (
    Case("gemm_scaled", 10_560_000, ((1, 37),), None, 330_053, sizes="gemm", label="194"),
    Case("gemm", 10_560_000, (510,), None, 24_051, label="2,552"),
)
"""gemm at the budgets of Stream-HLS in multiplier blocks: a multiplier is 3, an adder 2."""


@dataclass(frozen=True)
class Measured:
    """What one kernel was found to take at MEDIUM.

    Attributes:
        cycles: predicted by the build.
        multipliers, adders: float32 units (products, sums and differences).
        seconds: of processor time, for the build.
        limits: what keeps loops from an interval of one.
        reordered: the sums that are rounded in another order than written.
        simulated: cycles of the same schedule at TINY, as predicted and as simulated.
    """

    case: Case
    cycles: int
    multipliers: int
    adders: int
    seconds: float
    limits: tuple[str, ...]
    reordered: tuple[str, ...]
    simulated: int

    @property
    def used(self) -> float:
        """The part of its cycles in which a multiplier has a product of those to be summed."""
        return self.case.macs / (self.multipliers * self.cycles)


def random_arguments(signature: Signature, seed: int = 0) -> list[Any]:
    """Random arrays; one that the kernel takes twice is the same each time."""
    random, given = np.random.default_rng(seed), {}
    for name, type_ in signature.args:
        original = name.removesuffix("_again").removesuffix("_third")
        same = given.get(original)
        shape = getattr(type_, "shape", ())
        given[name] = random.random(shape, np.float32) if same is None else same.copy()
    return list(given.values())


def outputs(kernel: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    """All that a run returns or changes."""
    before = [a.copy() for a in args]
    result = kernel(*args)
    results = [] if result is None else result if isinstance(result, list) else [result]
    pairs = zip(args, before, strict=True)
    return results + [a for a, b in pairs if not np.array_equal(a, b)]


def check_numbers(case: Case, schedule: Schedule) -> None:
    """The CPU build at MEDIUM against numpy; AssertionError when it differs."""
    args = random_arguments(Signature.of(schedule.module.top_func))
    steps = (sizes.MEDIUM["jacobi_2d"][0],) if case.name == "jacobi_2d" else ()
    wanted = REFERENCES[case.kernel](*(a.astype(np.float64) for a in args), *steps)
    for got, want in zip(outputs(schedule.build(), args), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=5e-4, atol=1e-5)


def check_bits(case: Case, schedule: Schedule, simulated: Callable[..., Any]) -> None:
    """A simulated run against the CPU build; AssertionError when a bit differs."""
    args = random_arguments(Signature.of(schedule.module.top_func))
    wanted = outputs(schedule.build(), [a.copy() for a in args])
    for got, want in zip(outputs(simulated, args), wanted, strict=True):
        assert np.array_equal(got, want), f"{case.name}: {got} instead of {want}"


def build(schedule: Schedule) -> RtlModule:
    """The hardware of a schedule, for the clock of the published designs."""
    rtl = schedule.build(target="rtl", device=DEVICE, clock_mhz=CLOCK_MHZ)
    assert isinstance(rtl, RtlModule)
    return rtl


def simulate(case: Case) -> int:
    """Cycles at TINY; AssertionError when results or cycles are not as they should be."""
    schedule = LANES[case.name](sizes.TINY[case.kernel], case.lanes)
    rtl, signature = build(schedule), Signature.of(schedule.module.top_func)
    cycles: list[int] = []

    def one_run(raw: list[Raw]) -> list[Raw]:
        results, taken = run(rtl.component, raw)
        cycles.append(taken)
        return results

    check_bits(case, schedule, lambda *a: call_with_numpy(signature, a, one_run))
    assert cycles == [rtl.predicted_cycles], f"{case.name}: {cycles}, not {rtl.predicted_cycles}"
    return cycles[0]


def measure(case: Case) -> Measured:
    """Build at MEDIUM, check numbers, and simulate at TINY."""
    schedule = LANES[case.name](sizes.MEDIUM[case.kernel], case.lanes)
    check_numbers(case, schedule)
    began = time.process_time()
    rtl = build(schedule)
    report = rtl.report()
    seconds = time.process_time() - began
    assert rtl.predicted_cycles is not None
    units = dict(report.units)
    adders = units.get("float32 add", 0) + units.get("float32 sub", 0)
    limits = tuple(f"{x.name}: II={x.ii}, {x.limit}" for x in report.loops if (x.ii or 1) > 1)
    reordered = tuple(note for step in schedule.history() for note in step.notes)
    return Measured(
        case, rtl.predicted_cycles, units.get("float32 mul", 0), adders, seconds, limits,
        reordered, simulate(case),
    )  # fmt: skip


COLUMNS = ("kernel", "Allo, estimate", "Allo, RTL", "its multipliers", "used", "cycles",
           "multipliers", "adders", "used by ours", "build, CPU s", "TINY, simulated")  # fmt: skip


def row(found: Measured) -> tuple[str, ...]:
    """One line of the table."""
    case, published = found.case, found.case.simulated or found.case.estimate
    theirs = case.multipliers and published and case.macs / (case.multipliers * published)
    return (
        case.label or case.name, f"{case.estimate:,}",
        f"{case.simulated:,}" if case.simulated else "-", str(case.multipliers or "-"),
        f"{theirs:.0%}" if theirs else "-", f"{found.cycles:,}", str(found.multipliers),
        str(found.adders), f"{found.used:.1%}", f"{found.seconds:.1f}", str(found.simulated),
    )  # fmt: skip


BUDGET_COLUMNS = ("budget", "Stream-HLS, RTL", "cycles", "multipliers", "adders", "blocks",
                  "used by ours", "TINY, simulated")  # fmt: skip


def budget_row(found: Measured) -> tuple[str, ...]:
    """One line of the table of gemm at budgets."""
    blocks = 3 * found.multipliers + 2 * found.adders
    assert blocks <= int(found.case.label.replace(",", ""))
    return (
        found.case.label, f"{found.case.simulated:,}", f"{found.cycles:,}",
        str(found.multipliers), str(found.adders), f"{blocks:,}", f"{found.used:.1%}",
        str(found.simulated),
    )  # fmt: skip


def write_page(results: Sequence[Measured], budgets: Sequence[Measured]) -> None:
    """Replace what is between the markers of the page by the tables."""
    parts = [markdown(COLUMNS, map(row, results))]
    held = [f"- {r.case.name}, {limit}" for r in results for limit in r.limits]
    if held:
        parts += ["Loops with an interval above one:", "\n".join(held)]
    orders = [f"- {r.case.name}, {note}" for r in results for note in r.reordered]
    if orders:
        parts += ["Sums in another order of rounding:", "\n".join(orders)]
    parts += ["gemm at the budgets of Stream-HLS:"]
    parts += [markdown(BUDGET_COLUMNS, map(budget_row, budgets))]
    replace_part("polybench_f32", "\n\n".join(parts))


def simulate_medium(case: Case) -> int:
    """Cycles at MEDIUM in Verilator; AssertionError when results or cycles are not as predicted."""
    schedule = LANES[case.name](sizes.MEDIUM[case.kernel], case.lanes)
    rtl = build(schedule)
    check_bits(case, schedule, rtl)
    assert rtl.measured_cycles == rtl.predicted_cycles
    assert rtl.measured_cycles is not None
    return rtl.measured_cycles


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the kernels named, or all of them; then the page is written."""
    parser = parser_for(__doc__, (case.name for case in CASES))
    parser.add_argument("--medium", action="store_true", help="only simulate, at MEDIUM")
    options = parser.parse_args(arguments)
    names = options.kernels
    if options.medium:
        for case in CASES:
            if not names or case.name in names:
                Console().print(case.label or case.name, f"{simulate_medium(case):,} cycles")
        return
    shown = Table(*COLUMNS)
    results = []
    for case in CASES:
        if not names or case.name in names:
            results.append(measure(case))
            shown.add_row(*row(results[-1]))
    Console().print(shown)
    if not names:
        write_page(results, [measure(case) for case in BUDGETS])


if __name__ == "__main__":
    main()
