"""The longest path of a placed and routed design, by lines of the kernel.

nextpnr's report has it, with the source lines of the nets on it; on Gowin, where the report leaves
most delays out, it is found by :mod:`allo_rtl.boards.gowin_timing`.  Most lines are those of the
cells in the netlist, since few nets keep theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allo_rtl.boards.gowin_registers import registered
from allo_rtl.boards.gowin_timing import Hop, cells, longest_hops
from allo_rtl.boards.toolchain import REPORT, SDF, read_fmax


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of a path: the ns of a cell or of a wire, the wire's name and its kernel lines."""

    ns: float
    net: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class CriticalPath:
    """The longest path of a placed and routed design, from register to register."""

    steps: tuple[Step, ...]

    @property
    def ns(self) -> float:
        """Its length."""
        return sum(s.ns for s in self.steps)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the kernel on it, as ``file.py:line``, in its order."""
        return tuple(dict.fromkeys(line for s in self.steps for line in s.lines))

    def __str__(self) -> str:
        """Its length, and how much of it lies at which line (wires count to their source)."""
        if not self.lines:
            names = [s.net for s in self.steps if s.net] or ["?"]
            return f"{self.ns:.1f} ns from {names[0]} to {names[-1]}, at no line of the kernel"
        where: dict[str, float] = {}
        line = "its first register"
        for step in self.steps:
            line = step.lines[0] if step.lines else line
            where[line] = where.get(line, 0.0) + step.ns
        return f"{self.ns:.1f} ns: " + ", ".join(f"{ns:.1f} at {at}" for at, ns in where.items())


@dataclass(frozen=True, slots=True)
class Timing:
    """What limits a placed and routed design: its highest clock in MHz, and its longest path."""

    fmax_mhz: float
    critical: CriticalPath | None


def read_timing(folder: Path, database: tuple[str, str] | None, netlist: str) -> Timing:
    """The timing of a design after place and route in a folder.

    Args:
        folder: with nextpnr's files.
        database: chip and grade where nextpnr's own times cannot be trusted, as of
            :class:`~allo_rtl.boards.catalog.Board`.
        netlist: name of the netlist that was placed.
    """
    content = json.loads((folder / netlist).read_text())
    lines = Lines(content)
    if database is None:
        return Timing(read_fmax(folder), read_path(folder, lines))
    sdf = (folder / SDF).read_text()
    hops = longest_hops(sdf, cells(*database), registered(content))
    path = CriticalPath(tuple(_step(hop, lines) for hop in hops))
    return Timing(1000 / path.ns, path)


def _step(hop: Hop, lines: Lines) -> Step:
    return Step(hop.ns, f"{hop.cell}.{hop.pin}", lines.of(hop.cell) if hop.drives else ())


def read_path(folder: Path, lines: Lines) -> CriticalPath | None:
    """The longest path inside one clock of nextpnr's report; None where it tells of none."""
    report = json.loads((folder / REPORT).read_text())
    paths = [
        CriticalPath(tuple(_reported(step, lines) for step in path["path"]))
        for path in report.get("critical_paths", ())
        if path["from"] == path["to"]
    ]
    return max(paths, key=lambda path: path.ns, default=None)


def _reported(step: Mapping[str, Any], lines: Lines) -> Step:
    """A piece of a path in nextpnr's report: a wire, or a way through a cell."""
    own = _lines(step.get("sources", ()))
    if not own and step["type"] != "routing":
        own = lines.of(step["from"]["cell"])
    return Step(float(step["delay"]), step.get("net", ""), own)


def _lines(sources: Iterable[str]) -> tuple[str, ...]:
    """``file.py:12`` of source attributes, whose columns do not matter; only those of Python."""
    found = []
    for source in sources:
        file, _, place = source.rpartition(":")
        if file.endswith(".py"):
            found.append(f"{file}:{place.split('.')[0].split('-')[0]}")
    return tuple(dict.fromkeys(found))


class Lines:
    """The kernel lines of the cells of a netlist, as Yosys writes it.

    Technology mapping forgets the line of many cells, but names a cell and what it drives after
    a net with a name nearby, a type of cell and a port: ``sum_DFF_Q_3_D_ALU_SUM`` belongs to
    ``sum``.  What place and route makes of a cell has that cell's name and a ``$`` behind it.
    """

    def __init__(self, netlist: Mapping[str, Any]) -> None:
        tops = [m for m in netlist["modules"].values() if m["attributes"].get("top")]
        self._own: dict[str, tuple[str, ...]] = {}
        types: set[str] = set()
        for module in tops:
            for name, thing in (*module["netnames"].items(), *module["cells"].items()):
                self._own[name] = _lines(thing["attributes"].get("src", "").split("|"))
            types |= {cell["type"] for cell in module["cells"].values()}
        named = "|".join(re.escape(t) for t in sorted(types, key=len, reverse=True))
        self._mapped = re.compile(f"_(?:{named})(?:_|$)") if types else re.compile("$.")

    def of(self, cell: str) -> tuple[str, ...]:
        """The lines of a cell: its own, or of what has the longest name that begins its."""
        name = cell
        found = self._mapped.search(cell)
        least = found.start() if found else len(cell.partition("$")[0])
        while len(name) > least and not self._own.get(name):
            name = name[: max(name.rfind("_"), name.rfind("$"), 0)]
        return self._own.get(name, ())
