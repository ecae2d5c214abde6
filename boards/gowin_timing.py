"""Longest register-to-register path of a routed Gowin design.

nextpnr 0.11 has delays for Gowin's wires, carry chains and flip-flops, but none for look-up
tables, block memories and multipliers, so paths through these are missing from its report and the
frequency it prints is far too high.  Here its SDF file (the routed design with wire delays) is
completed with the delays of the chip database of apycula, which come from Gowin's own tools, and
walked again.  Multipliers are not in that database either: theirs are estimates, and registers
inside of them are taken to be like others, behind which there is a way out of the block as long as
that out of a block memory.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib import resources
from itertools import pairwise

from apycula.chipdb import load_chipdb

from allo_rtl.boards.gowin_registers import REGISTERS

# Delay of a multiplier block without its registers, in slowest look-up tables of its family.
# There is no published figure; these are meant to be on the safe side (ECP5: about 4 ns).
_MULTIPLIER_LUTS = {"MULT9X9": 6.0, "MULT18X18": 8.0, "MULT36X36": 12.0}
_CLOCKS = frozenset({"CLK", "CLKA", "CLKB"})
_MEMORIES = ("SP", "SDP", "DP", "pROM", "BSRAM")
_LUT_MEMORY = "RAM16"


@dataclass(frozen=True)
class Cells:
    """Delays in ns of one chip and speed grade, by class of cell and arc, in Gowin's names."""

    classes: dict[str, dict[str, float]]

    def arc(self, cell: str, source: str, sink: str) -> float | None:
        """Combinational ns from input ``source`` to output ``sink``; None: no such path."""
        lut = self.classes["lut"]
        inputs = dict(zip(("I0", "I1", "I2", "I3"), ("a_f", "b_f", "c_f", "d_f"), strict=True))
        if re.fullmatch("LUT[1-4]", cell):
            return lut[inputs[source]]
        if cell.startswith("MUX2"):
            return lut["m0_ofx0"] if source == "S0" else lut["fx_ofx1"]
        if cell in _MULTIPLIER_LUTS:
            return _MULTIPLIER_LUTS[cell] * max(lut.values())
        if cell.startswith(_LUT_MEMORY) and source.startswith("RAD") and sink.startswith("DO"):
            return max(ns for arc, ns in self.classes["sram"].items() if arc.startswith("rad"))
        return None

    def launch(self, cell: str, sink: str) -> float | None:
        """ns from the clock to output ``sink``; None: it is not a registered output.

        The sinks of multipliers are ``"DOUT"`` with a register, and those of input registers
        (``"AREG"``) inside.
        """
        if cell in _MULTIPLIER_LUTS:
            group, key = ("bram", "clk_do") if sink == "DOUT" else ("dff", "clk_qpos")
            return self.classes[group][key]
        if cell.startswith("DFF") and sink == "Q":
            return self.classes["dff"]["clk_qpos"]
        if cell.startswith(_MEMORIES) and sink.startswith("DO"):
            return self.classes["bram"]["clk_do_bypass"]  # "bypass": without output register
        if cell.startswith(_LUT_MEMORY) and sink.startswith("DO"):
            return self.classes["sram"]["clk_do"]
        return None

    def setup(self, cell: str, source: str) -> float | None:
        """ns that input ``source`` must be steady before the clock; None: it may change.

        Of multipliers only registered inputs are asked for, and ``"OUT_REG"`` inside.
        """
        if source in _CLOCKS:
            return None
        if cell in _MULTIPLIER_LUTS:
            return self.classes["dff"]["di_clksetpos"]
        if cell.startswith("DFF") and source != "Q":
            return self.classes["dff"]["di_clksetpos" if source == "D" else "ce_clksetpos"]
        if cell.startswith(_MEMORIES) and not source.startswith("DO"):
            return self.classes["bram"]["clk_ad_set"]
        if cell.startswith(_LUT_MEMORY) and not source.startswith(("RAD", "DO")):
            return max(ns for arc, ns in self.classes["sram"].items() if arc.endswith("_set"))
        return None


@cache
def cells(chip: str, grade: str) -> Cells:
    """The delays in apycula's database of ``chip`` ("GW1N-9C") at ``grade`` ("C6/I5")."""
    classes = load_chipdb(str(resources.files("apycula") / f"{chip}.msgpack.xz")).timing[grade]
    return Cells({c: {arc: _worst(ns) for arc, ns in arcs.items()} for c, arcs in classes.items()})


def _worst(value: float | Sequence[float]) -> float:
    return max(value) if isinstance(value, Sequence) else value


_CELL = re.compile(r'\(CELLTYPE "(.*?)"\)\s*\(INSTANCE (\S*?)\)(.*?)(?=\(CELLTYPE|\Z)', re.S)
_WIRE = re.compile(r"\(INTERCONNECT (\S+)/(\S+) (\S+)/(\S+) \(\S*?:(\d+)\)")
_PATH = re.compile(r"\(IOPATH (\S+) (\S+) \(\S*?:(\d+)\)")


@dataclass(frozen=True, slots=True)
class Hop:
    """A piece of a path: the ns from the pin before it to a pin of a cell, or into a register.

    ``drives`` tells an output of the cell.
    """

    ns: float
    cell: str
    pin: str
    drives: bool


def longest_path(
    sdf: str, known: Cells, registered: Mapping[str, Set[str]] | None = None
) -> float:
    """ns of the longest path in the design of the text ``sdf``, clock to set-up."""
    return sum(hop.ns for hop in longest_hops(sdf, known, registered))


def longest_hops(
    sdf: str, known: Cells, registered: Mapping[str, Set[str]] | None = None
) -> tuple[Hop, ...]:
    """The pieces of the longest path, from a clock to a set-up; none where there is no path.

    Cells have the names of the netlist that was placed, or of what nextpnr made of them.

    Args:
        sdf: the text.
        known: the delays.
        registered: the ports of multipliers with a register inside, by the cell's name, as of
            :func:`~allo_rtl.boards.gowin_registers.registered`.
    """
    sdf = sdf.replace("\\", "")
    kinds = {name: kind for kind, name, _ in _CELL.findall(sdf)}
    pins: dict[str, _Pins] = defaultdict(lambda: (set(), set()))
    edges: _Edges = defaultdict(dict)
    for source, output, sink, pin, ps in _WIRE.findall(sdf):
        edges[sink, pin][source, output] = int(ps) / 1000
        pins[source][1].add(output)
        pins[sink][0].add(pin)
    for kind, name, body in _CELL.findall(sdf):
        if kind == "ALU":  # the one combinational cell that nextpnr knows
            for pin, output, ps in _PATH.findall(body):
                edges[name, output][name, pin] = int(ps) / 1000
    starts: dict[_Pin, float] = {}
    ends: dict[_Pin, float] = {}
    for name, (inputs, outputs) in pins.items():
        inside = (registered or {}).get(name)
        if inside:
            _block(name, kinds[name], (inputs, outputs), inside, known, edges, starts, ends)
            continue
        for pin, output in ((i, o) for i in inputs for o in outputs):
            if (ns := known.arc(kinds[name], pin, output)) is not None:
                edges[name, output][name, pin] = ns
        if kinds[name] not in _MULTIPLIER_LUTS:
            launched = ((p, known.launch(kinds[name], p)) for p in inputs | outputs)
            starts |= {(name, p): ns for p, ns in launched if ns is not None}
            steady = ((p, known.setup(kinds[name], p)) for p in inputs | outputs)
            ends |= {(name, p): ns for p, ns in steady if ns is not None}
    return tuple(
        Hop(ns, cell, pin, pin in pins[cell][1] or pin in _INSIDE)
        for ns, cell, pin in _longest(edges, starts, ends)
    )


type _Pin = tuple[str, str]
type _Pins = tuple[set[str], set[str]]
"""Inputs and outputs of a cell."""
type _Edges = dict[_Pin, dict[_Pin, float]]
"""Of each pin the pins before it, and the ns from there."""

_INSIDE = frozenset(REGISTERS.values())


def _block(
    name: str, kind: str, pins: _Pins, registers: Set[str], known: Cells,
    edges: _Edges, starts: dict[_Pin, float], ends: dict[_Pin, float],
) -> None:
    """Add the ways through a multiplier with registers inside, which are pins of their own."""
    inputs, outputs = pins
    through = {p: _port(p) for p in inputs if _port(p) in ("A", "B")}
    for pin, port in through.items():
        if port in registers:
            ends[name, pin] = known.setup(kind, port) or 0.0
            starts[name, REGISTERS[port]] = known.launch(kind, REGISTERS[port]) or 0.0
    sources = {REGISTERS[p] if p in registers else pin for pin, p in through.items()}
    sinks = outputs
    if "DOUT" in registers:
        starts |= {(name, pin): known.launch(kind, "DOUT") or 0.0 for pin in outputs}
        sinks = {REGISTERS["DOUT"]}
        ends[name, REGISTERS["DOUT"]] = known.setup(kind, REGISTERS["DOUT"]) or 0.0
    for source, sink in ((a, b) for a in sources for b in sinks):
        edges[name, sink][name, source] = known.arc(kind, source, sink) or 0.0


def _port(pin: str) -> str:
    return pin.rstrip("0123456789")


def _longest(
    edges: _Edges, starts: Mapping[_Pin, float], ends: Mapping[_Pin, float]
) -> list[tuple[float, str, str]]:
    """Longest way along ``edges`` from a pin where one starts to one where one ends.

    ``starts`` has the ns from the clock to the pin, ``ends`` those from the pin to the clock.
    """
    arrival: dict[_Pin, float] = {}
    before: dict[_Pin, _Pin] = {}
    worst, last = 0.0, None
    for at in TopologicalSorter(edges).static_order():
        if at in starts:
            arrival[at] = starts[at]
        reached = {p: arrival[p] + ns for p, ns in edges.get(at, {}).items() if p in arrival}
        if reached:
            before[at] = max(reached, key=reached.__getitem__)
            arrival[at] = reached[before[at]]
            if at in ends and arrival[at] + ends[at] > worst:
                worst, last = arrival[at] + ends[at], at
    if last is None:
        return []
    way = [last]
    while way[-1] in before:
        way.append(before[way[-1]])
    times = [0.0, *(arrival[at] for at in reversed(way))]
    hops = [(b - a, *at) for (a, b), at in zip(pairwise(times), reversed(way), strict=True)]
    return [*hops, (worst - arrival[last], *last)]
