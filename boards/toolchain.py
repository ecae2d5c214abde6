"""The open FPGA tools from PyPI: how to run them, and what their reports say.

They are WebAssembly and Python programs inside this environment.  Two traps are avoided here:
they do not see absolute paths in the system's temporary folder, so everything is called by
relative names from within the folder; and they need no PATH, because each is started by this
interpreter from its package's entry point.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from typing import Any

from allo_rtl.boards.pll import Family
from allo_rtl.errors import ToolError

LOG = "build.log"
REPORT = "report.json"
SDF = "paths.sdf"

_START = (
    "import sys; from importlib.metadata import entry_points; sys.argv[0] = sys.argv.pop(1); "
    "sys.exit(entry_points(group='console_scripts')[sys.argv[0]].load()())"
)

_STEPS = {"yosys": "synthesis", "nextpnr": "placement and routing"}

# What counts as one look-up table, flip-flop, block RAM and multiplier of a family: the counted
# cells with their weights, the available number being the first one's.  One Gowin ALU takes the
# place of a LUT; its multipliers are counted in 18x18 units.
_CELLS: dict[Family, dict[str, dict[str, float]]] = {
    "ice40": {
        "LUT": {"ICESTORM_LC": 1}, "FF": {"DFF": 1}, "BRAM": {"ICESTORM_RAM": 1},
        "DSP": {"ICESTORM_DSP": 1},
    },
    "ecp5": {
        "LUT": {"TRELLIS_COMB": 1}, "FF": {"TRELLIS_FF": 1}, "BRAM": {"DP16KD": 1},
        "DSP": {"MULT18X18D": 1},
    },
    "gowin": {
        "LUT": {"LUT4": 1, "ALU": 1}, "FF": {"DFF": 1}, "BRAM": {"BSRAM": 1},
        "DSP": {
            "MULT18X18": 1, "MULT9X9": 0.5, "MULT36X36": 4, "MULTALU18X18": 2,
            "MULTADDALU18X18": 2, "MULTALU36X18": 2,
        },
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """How many of one resource a design uses, and how many the chip has."""

    used: int
    available: int

    def __str__(self) -> str:
        return f"{self.used}/{self.available}"


def tool_command(name: str) -> list[str]:
    """The command that starts one of the tools, by the name that Amaranth uses.

    Raises:
        ToolError: its package is not installed.
    """
    entry = name if name == "gowin_pack" else f"yowasp-{name}"
    if entry not in _installed():
        package = "apycula" if name == "gowin_pack" else _package(name)
        raise ToolError(f"the tool '{entry}' is missing", hint=f"pip install {package}")
    return [sys.executable, "-c", _START, entry]


@cache
def _installed() -> frozenset[str]:
    return frozenset(entry_points(group="console_scripts").names)


def _package(name: str) -> str:
    """The package a YoWASP tool is in."""
    homes = {"icepack": "nextpnr-ice40", "ecppack": "nextpnr-ecp5"}
    return f"yowasp-{homes.get(name, name)}"


def run_commands(
    commands: Sequence[Sequence[str]],
    folder: Path,
    *,
    what: str,
    family: Family,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Run the commands of an Amaranth build plan in its folder; all they say goes to ``LOG``.

    Args:
        commands: each a tool's name and its arguments.
        folder: where the plan's files are.
        what: name of the build, for progress and messages.
        family: of the chip.
        progress: called with one line at the start of each step.

    Raises:
        ToolError: a tool is missing or failed; says what it complained about.
    """
    for name, *args in commands:
        command = tool_command(name)
        step = _STEPS.get(name.partition("-")[0], "packing")
        if progress:
            progress(f"{what}: {step} ({name})")
        done = subprocess.run(
            [*command, *args], cwd=folder, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        text = done.stdout + _own_log(folder, args)
        with (folder / LOG).open("a") as log:
            log.write(f"$ {' '.join([name, *args])}\n{text}\n")
        if done.returncode:
            raise ToolError(_complaint(f"{step} of {what} ({name})", text, family))


def _own_log(folder: Path, args: Sequence[str]) -> str:
    """What a tool wrote to the log file that it was told to write."""
    for option, value in pairwise(args):
        if option in ("-l", "--log") and (folder / value).exists():
            return (folder / value).read_text(errors="replace")
    return ""


def _complaint(step: str, text: str, family: Family) -> str:
    """A failed step in words: what overflowed, else the tool's error lines, else its last ones."""
    if full := overflow(text, family):
        return f"{step} failed: the design is too large: {full}"
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in dict.fromkeys(lines) if re.search(r"\bERROR\b|^\s*error\b", line)]
    return f"{step} failed:\n" + "\n".join((errors or lines)[-10:])


def overflow(text: str, family: Family) -> str:
    """Resources of which a place-and-route log shows more used than there are; "" for none."""
    names = {cell: kind for kind, cells in _CELLS[family].items() for cell in cells}
    table = re.findall(r"Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", text)
    over = [(names.get(c, c), u, a) for c, u, a in table if int(u) > int(a) > 0]
    return ", ".join(f"{used} {name} of {available}" for name, used, available in over)


def read_usage(folder: Path, family: Family) -> dict[str, Usage]:
    """Use of LUT, FF, BRAM and DSP after place and route."""
    report: Mapping[str, Any] = json.loads((folder / REPORT).read_text())
    counts = {k: (v["used"], v["available"]) for k, v in report["utilization"].items()}
    if family == "ice40":
        # Flip-flops are part of logic cells here, and only the log tells how many are used.
        found = re.findall(r"(\d+) LCs used as (?:LUT4 and )?DFF", (folder / LOG).read_text())
        counts["DFF"] = (sum(map(int, found)), counts["ICESTORM_LC"][1])
    return {kind: _sum(counts, weights) for kind, weights in _CELLS[family].items()}


def read_fmax(folder: Path) -> float:
    """Highest clock in MHz, of the slowest domain, by place and route's own report."""
    report: Mapping[str, Any] = json.loads((folder / REPORT).read_text())
    return min(float(clock["achieved"]) for clock in report["fmax"].values())


def _sum(cells: Mapping[str, tuple[int, int]], weights: Mapping[str, float]) -> Usage:
    used = sum(cells.get(cell, (0, 0))[0] * weight for cell, weight in weights.items())
    return Usage(-int(-used // 1), cells[next(iter(weights))][1])
