"""Area and speed of a kernel alone, placed and routed on a chip: what benchmarks compare.

No board and no serial link are involved.  Each bank of an array argument or result is a block
memory beside the kernel; all other inputs come from registers and all outputs go to registers,
so every path inside the kernel, from its memories and to them counts.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, DomainRenamer, Module, Signal
from amaranth.hdl import Value as HdlValue
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from allo_rtl.boards.critical import CriticalPath, Timing, read_timing
from allo_rtl.boards.pll import Family
from allo_rtl.boards.scripts import (
    after_read,
    after_synth,
    finish,
    synth_files,
    without_folders,
)
from allo_rtl.boards.toolchain import REPORT, SDF, run_commands
from allo_rtl.boards.top import Bank
from allo_rtl.errors import BuildError
from allo_rtl.rtl.interface import ArrayPort, ArrayStream, BankPort, KernelInterface
from allo_rtl.target import device as find_device


class Ported(Protocol):
    """An Amaranth component with the ports of a kernel, as ``rtl.component``."""

    interface: KernelInterface


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A kernel on a chip.

    Attributes:
        lut: look-up tables of the kernel, as Yosys maps it; a carry cell that takes the place of
            one counts as one.
        ff: flip-flops.
        bram: block memories inside the kernel; those of its arguments and results are not its.
        dsp: multiplier blocks.
        fmax_mhz: the highest clock, the best of the seeds.
        seeds_mhz: the highest clock with each seed.
        critical: the longest path with the best seed, where place and route tells of it.
    """

    lut: int
    ff: int
    bram: int
    dsp: int
    fmax_mhz: float
    seeds_mhz: tuple[float, ...]
    critical: CriticalPath | None = None


@dataclass(frozen=True)
class _Flow:
    """Synthesis and place-and-route commands of a chip.

    ``pins`` are given where nextpnr does not choose them itself, ``database`` (chip, grade) where
    paths are timed by :mod:`allo_rtl.boards.gowin_timing`.
    """

    family: Family
    synth: str
    place: tuple[str, ...]
    pins: dict[str, str] = field(default_factory=dict)
    database: tuple[str, str] | None = None


def _ice40(chip: str, package: str, synth: str) -> _Flow:
    place = ("nextpnr-ice40", chip, "--package", package, "--pcf-allow-unconstrained")
    return _Flow("ice40", synth, place)


def _ecp5(chip: str) -> _Flow:
    package = ("--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained")
    return _Flow("ecp5", "synth_ecp5", ("nextpnr-ecp5", chip, *package))


def _gowin(part: str, chip: str, grade: str, synth: str, pins: tuple[str, str, str]) -> _Flow:
    place = ("nextpnr-himbaechel-gowin", "--device", part, "--vopt", f"family={chip}",
             "--vopt", "cst=pins.cst", "--sdf", SDF)
    named = dict(zip(("clk", "data_in", "data_out"), pins, strict=True))
    return _Flow("gowin", f"synth_gowin -family {synth} -nowidelut", place, named, (chip, grade))


_FLOWS = {
    "ice40-hx8k": _ice40("--hx8k", "ct256", "synth_ice40"),
    "ice40-up5k": _ice40("--up5k", "sg48", "synth_ice40 -dsp"),
    "ecp5-25": _ecp5("--25k"),
    "ecp5-45": _ecp5("--45k"),
    "ecp5-85": _ecp5("--85k"),
    "gw1n-9": _gowin(
        "GW1NR-LV9QN88PC6/I5", "GW1N-9C", "C6/I5", "gw1n", ("52", "25", "26")
    ),
    "gw2a-18": _gowin(
        "GW2A-LV18PG256C8/I7", "GW2A-18C", "C8/I7", "gw2a", ("H11", "T13", "M11")
    ),
}  # fmt: skip

# Cells of a mapped netlist, by the start of their name: what each counts as, and how often.
_COUNTS: dict[Family, dict[str, tuple[str, float]]] = {
    "ice40": {
        "SB_LUT4": ("lut", 1), "SB_DFF": ("ff", 1), "SB_RAM40": ("bram", 1),
        "SB_MAC16": ("dsp", 1),
    },
    "ecp5": {
        "LUT4": ("lut", 1), "CCU2C": ("lut", 2), "TRELLIS_DPR16X4": ("lut", 6),
        "TRELLIS_FF": ("ff", 1), "DP16KD": ("bram", 1), "PDPW16KD": ("bram", 1),
        "MULT18X18D": ("dsp", 1),
    },
    "gowin": {
        "LUT": ("lut", 1), "ALU": ("lut", 1), "RAM16SDP4": ("lut", 6), "DFF": ("ff", 1),
        "SP": ("bram", 1), "SDP": ("bram", 1), "DP": ("bram", 1), "pROM": ("bram", 1),
        "MULT9X9": ("dsp", 0.5), "MULT18X18": ("dsp", 1), "MULT36X36": ("dsp", 4),
    },
}  # fmt: skip


def synthesise(
    component: Ported, device: str, *, clock_mhz: float, seeds: int = 1, first_seed: int = 1
) -> Synthesis:
    """Place and route a kernel by itself.

    Args:
        component: the kernel, to be used once (``rtl.component``).
        device: name of the chip, see :data:`allo_rtl.target.DEVICES`.
        clock_mhz: the clock that the placer works towards.
        seeds: how many placements are tried, at least 1.
        first_seed: of the first one; the others have the numbers behind it.  Seed 0 is
            nextpnr's own choice.

    Raises:
        BuildError: an unknown device, or one that has no open place and route.
        ToolError: a tool is missing or failed, for example because the kernel is too large.
    """
    flow = _flow(device)
    bench = _Bench(component)
    ports = [bench.clk, bench.data_in, bench.data_out]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        top = rtlil.convert(bench, name="top", ports=ports)
        (folder / "top.il").write_text(without_folders(top))
        counts = _map(flow, folder)
        numbers = range(first_seed, first_seed + max(1, seeds))
        placed = [_place(flow, folder, clock_mhz, seed) for seed in numbers]
    best = max(placed, key=lambda timing: timing.fmax_mhz)
    return Synthesis(
        *counts, best.fmax_mhz, tuple(timing.fmax_mhz for timing in placed), best.critical
    )


def _flow(device: str) -> _Flow:
    find_device(device)
    if device not in _FLOWS:
        raise BuildError(
            f"there is no open place and route for '{device}'", allowed=", ".join(_FLOWS)
        )
    return _FLOWS[device]


def _map(flow: _Flow, folder: Path) -> tuple[int, int, int, int]:
    """Netlist of the bench in ``net.json``; LUT, FF, BRAM and DSP of the kernel by itself."""
    (folder / "pins.cst").write_text(
        "".join(f'IO_LOC "{port}" {pin};\n' for port, pin in flow.pins.items())
    )
    for name, text in synth_files(flow.family).items():
        (folder / name).write_text(text)
    pads = " -noiopads" if flow.family == "gowin" else ""
    ready = after_read(flow.family)
    script = (
        f"read_rtlil top.il; {ready}; {flow.synth} -top top -json net.json; "
        f"{after_synth(flow.family, 'net.json')}; "
        f"design -reset; read_rtlil top.il; hierarchy -top top.kernel; {ready}; "
        f"{flow.synth}{pads} -top top.kernel; tee -q -o stat.json stat -json"
    )
    run_commands([["yosys", "-q", "-p", script]], folder, what="the kernel", family=flow.family)
    finish(flow.family, folder / "net.json")
    stat = json.loads((folder / "stat.json").read_text())
    return _count(stat["design"]["num_cells_by_type"], flow.family)


def _count(netlist: dict[str, int], family: Family) -> tuple[int, int, int, int]:
    found = dict.fromkeys(("lut", "ff", "bram", "dsp"), 0.0)
    starts = sorted(_COUNTS[family], key=len, reverse=True)
    for cell, number in netlist.items():
        start = next((s for s in starts if cell.startswith(s)), None)
        if start:
            kind, weight = _COUNTS[family][start]
            found[kind] += number * weight
    lut, ff, bram, dsp = (-int(-n // 1) for n in found.values())
    return lut, ff, bram, dsp


def _place(flow: _Flow, folder: Path, clock_mhz: float, seed: int) -> Timing:
    """The timing of one placement."""
    tool, *options = flow.place
    options += ["--json", "net.json", "--report", REPORT, "--timing-allow-fail",
                "--freq", str(clock_mhz)]
    options += ["--seed", str(seed)] if seed else []
    run_commands([[tool, *options]], folder, what="the kernel", family=flow.family)
    return read_timing(folder, flow.database, "net.json")


class _Bench(wiring.Component):
    """A kernel between registers and memories, with three pins whatever its ports.

    A word runs through registers, one for each bank and each scalar: it is written into the
    memories that the kernel only reads and gives the addresses of those it only writes, and is
    mixed with what each memory and each result says.  So nothing can be optimised away, and no
    path outside the kernel is longer than one look-up table.
    """

    def __init__(self, kernel: Ported) -> None:
        super().__init__({"clk": In(1), "data_in": In(1), "data_out": Out(1)})
        self._kernel = kernel
        signals = kernel.interface.signals().values()
        self._bits = max(4, *(bits for _, bits in signals)) + 1

    def elaborate(self, platform: object) -> Module:
        """Put the kernel and its surroundings together."""
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.domains.kernel = domain = ClockDomain("kernel")
        m.submodules.kernel = DomainRenamer("kernel")(self._kernel)
        word = self._register(m, None, self.data_in)
        reset = Signal()
        m.d.sync += reset.eq(word[1])
        m.d.comb += [
            sync.clk.eq(self.clk), domain.clk.eq(self.clk), domain.rst.eq(reset),
            self._member("start").eq(word[0]),
        ]
        word = self._register(m, word, Cat(self._member("ready"), self._member("done")))
        for port in (*self._kernel.interface.args, *self._kernel.interface.results):
            if isinstance(port, ArrayPort):
                for bank in (b for b in port.banks if b.read or b.write):
                    word = self._register(m, word, self._bank(m, bank, word))
            elif isinstance(port, ArrayStream):
                word = self._register(m, word, self._stream(m, port, word))
            elif port in self._kernel.interface.args:
                m.d.comb += self._member(port.name).eq(word)
                word = self._register(m, word, word[-1])
            else:
                word = self._register(m, word, self._member(port.name))
        last = Signal(self._bits)
        m.d.sync += last.eq(Cat(0, last) ^ word)
        m.d.comb += self.data_out.eq(last[-1])
        return m

    def _member(self, name: str) -> Signal:
        signal: Signal = getattr(self._kernel, name)
        return signal

    def _register(self, m: Module, word: Signal | None, mixed: HdlValue) -> Signal:
        """The word one register further, mixed with something; the first one shifts it in."""
        register = Signal(self._bits)
        m.d.sync += register.eq(Cat(mixed, register) if word is None else word ^ mixed)
        return register

    def _stream(self, m: Module, port: ArrayStream, word: Signal) -> HdlValue:
        """Drive what a stream is given; what it says."""
        said = []
        for name, (direction, bits) in port.signals().items():
            if direction == "input":
                m.d.comb += self._member(name).eq(word[-bits:])
            else:
                said.append(self._member(name))
        return Cat(*said)

    def _bank(self, m: Module, bank: BankPort, word: Signal) -> HdlValue:
        """The memory of a bank; what it says."""
        m.submodules[f"bank_{bank.name}"] = memory = Bank(
            bank.width, bank.depth, async_read=bank.async_read
        )
        own = {name.removeprefix(f"{bank.name}_"): name for name in bank.signals()}
        if bank.read:
            m.d.comb += self._member(own.pop("rdata")).eq(memory.rdata)
        outer = {"raddr": word, "ren": 1, "waddr": word, "wen": word[-1], "wdata": word}
        for part, value in outer.items():
            driver = self._member(own[part]) if part in own else value
            m.d.comb += getattr(memory, part).eq(driver)
        return memory.rdata
