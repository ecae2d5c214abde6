"""From a kernel to a bitstream for a board."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io, wiring

from allo_rtl.boards.catalog import Board
from allo_rtl.boards.catalog import board as find_board
from allo_rtl.boards.closure import ROUNDS, close
from allo_rtl.boards.critical import CriticalPath, read_timing
from allo_rtl.boards.host import Host
from allo_rtl.boards.pll import Family, Pll, find_pll
from allo_rtl.boards.protocol import GAP_SECONDS
from allo_rtl.boards.scripts import (
    after_read,
    after_synth,
    finish,
    synth_files,
    without_folders,
)
from allo_rtl.boards.toolchain import LOG, REPORT, SDF, Usage, read_usage, run_commands
from allo_rtl.boards.top import Top
from allo_rtl.boards.uart import divisor
from allo_rtl.errors import ToolError
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.design import Design
from allo_rtl.rtl.interface import KernelInterface
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim.tools import find_tool, run_tool
from allo_rtl.target import device as find_device

_NETLISTS: dict[Family, str] = {
    "ice40": "top.json", "ecp5": "top.json", "gowin": "top.syn.json",
}  # fmt: skip
"""Where Amaranth's flows have the netlist, which tells the lines of cells."""


@dataclass(frozen=True)
class Bitstream:
    """A built bitstream.

    Attributes:
        board: the board's name.
        path: the file to load.
        utilisation: LUT, FF, BRAM and DSP used and available, from the place-and-route report.
        fmax_mhz: highest clock the placed and routed design allows: nextpnr's, on Gowin that of
            :mod:`allo_rtl.boards.gowin_timing`, because nextpnr leaves out most delays there.
            Paths through iCE40's multiplier blocks are not timed by nextpnr.
        clock_mhz: the clock it runs at.
        log: everything the tools said.
        interface: of the kernel.
        critical: the longest path, by lines of the kernel, where place and route tells of it.
        changes: what was changed in the schedule to reach the clock, and what was not reached.
        tried_mhz: the highest clock of each build that this took, in their order.
        cycles: of a run as scheduled for this bitstream; None where they depend on data, or the
            kernel was not scheduled here.
    """

    board: str
    path: Path
    utilisation: Mapping[str, Usage]
    fmax_mhz: float
    clock_mhz: float
    log: Path
    interface: KernelInterface
    critical: CriticalPath | None = None
    changes: tuple[str, ...] = ()
    tried_mhz: tuple[float, ...] = ()
    cycles: int | None = None

    @property
    def meets_clock(self) -> bool:
        """Whether the design is fast enough for its clock."""
        return self.fmax_mhz >= self.clock_mhz

    def program(self) -> None:
        """Load the bitstream into the board that is plugged in.

        Raises:
            ToolError: the loader (openFPGALoader or iceprog) is missing or failed.
        """
        loader, *options = find_board(self.board).program
        run_tool([find_tool(loader), *options, str(self.path)], what=loader)

    def host(self, port: str) -> Host:
        """The kernel on the board, to be called with numpy arrays; see :class:`Host`."""
        return Host(port, self.interface, baud=find_board(self.board).baud)


def build_bitstream(
    kernel: wiring.Component,
    interface: KernelInterface,
    board: str,
    *,
    folder: Path,
    clock_mhz: float | None = None,
    progress: Callable[[str], None] | None = None,
    extra_sources: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Bitstream:
    """Build the bitstream of a kernel with its memories and the serial link.

    The result is in ``folder / board``, which appears (and replaces an older one) only when all
    is done.  A design that misses its clock is built all the same: see ``meets_clock``.

    Args:
        kernel: the component, with the members that ``interface`` says.
        interface: its ports.
        board: name of the board, see :data:`~allo_rtl.boards.catalog.BOARDS`.
        folder: where results go.
        clock_mhz: clock of the design, default that of the board's oscillator; another one is
            made by the PLL, as near below as it can.
        progress: called with one line at the start of each step.
        extra_sources: Verilog that the kernel instantiates: file name -> text.
        seed: of the placement; another one is another placement, 0 is nextpnr's own.

    Raises:
        BuildError: an unknown board, or a clock that cannot be made.
        ToolError: a tool is missing or failed, for example because the design is too large.
    """
    target = find_board(board)
    pll, clock = _clock(target, clock_mhz)
    top = Top(
        kernel, interface,
        divisor=divisor(clock * 1e6, target.baud), gap=int(clock * 1e6 * GAP_SECONDS),
    )  # fmt: skip
    platform = target.platform(pll)
    for name, text in (extra_sources or {}).items():
        platform.add_file(name, text)
    if progress:
        progress(f"{board}: elaboration")
    plan = _plan(platform, target, _Chip(top), clock, seed)
    with _appearing(folder, board) as work:
        commands = json.loads(plan.files["build_top.json"])["commands"]
        for script in ("build_top.json", "build_top.sh", "build_top.bat", "top.debug.v"):
            del plan.files[script]
        plan.files["top.il"] = without_folders(plan.files["top.il"])
        _write_plan({**plan.files, **synth_files(target.family)}, work)
        run = partial(
            run_commands, folder=work, what=board, family=target.family, progress=progress
        )
        run(commands[:1])
        finish(target.family, work / _NETLISTS[target.family])
        run(commands[1:])
        usage = read_usage(work, target.family)
        timing = read_timing(work, target.database, _NETLISTS[target.family])
        (work / SDF).unlink(missing_ok=True)
        name = f"{interface.name}.{target.suffix}"
        (work / f"top.{target.suffix}").rename(work / name)
    final = folder / board
    return Bitstream(
        board, final / name, usage, timing.fmax_mhz, clock, final / LOG, interface,
        timing.critical,
    )  # fmt: skip


def build_closed(
    design: Design,
    board: str,
    *,
    folder: Path,
    clock_mhz: float | None = None,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] | None = None,
) -> Bitstream:
    """Build the bitstream of a design; schedule it again while its clock is missed.

    See :func:`build_bitstream` for the other arguments and the errors, and
    :func:`allo_rtl.boards.closure.close` for what is changed.  The fastest build is kept.
    """
    target, number, again = find_board(board), count(), folder.absolute() / f".{board}-again"
    _, clock = _clock(target, clock_mhz)

    def build(made: Design, seed: int) -> Bitstream:
        kernel, n = KernelComponent(made), next(number)
        return build_bitstream(
            kernel, kernel.interface, board, folder=again / str(n) if n else folder,
            clock_mhz=clock_mhz, progress=progress, seed=seed,
        )  # fmt: skip

    try:
        chip = find_device(target.device)
        closed = close(design, chip, clock, build, rounds=rounds, progress=progress)
        kept = replace(
            closed.attempt, changes=closed.changes, tried_mhz=closed.tried_mhz,
            cycles=run_cycles(closed.design),
        )  # fmt: skip
        return _keep(kept, folder / board)
    finally:
        shutil.rmtree(again, ignore_errors=True)


def _keep(built: Bitstream, final: Path) -> Bitstream:
    """The bitstream in its final place, with what was changed for it at the end of its log."""
    if built.path.parent != final:
        _replace(built.path.parent, final)
    built = replace(built, path=final / built.path.name, log=final / LOG)
    with built.log.open("a") as log:
        log.writelines(f"timing: {change}\n" for change in built.changes)
    return built


def _clock(target: Board, clock_mhz: float | None) -> tuple[Pll | None, float]:
    """(the PLL, if one is needed, the clock in MHz) for a clock that is asked for."""
    if clock_mhz is None or clock_mhz == target.oscillator_mhz:
        return None, target.oscillator_mhz
    pll = find_pll(target.family, target.oscillator_mhz, clock_mhz)
    return pll, pll.mhz


class _Chip(Elaboratable):
    """The top on its board's pins."""

    def __init__(self, top: Top) -> None:
        self._top = top

    def elaborate(self, platform: Any) -> Module:  # noqa: ANN401 - an Amaranth platform
        """Connect the serial port."""
        m = Module()
        m.submodules.top = self._top
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [self._top.rx.eq(rx.i), tx.o.eq(self._top.tx)]
        return m


def _plan(
    platform: Any,  # noqa: ANN401
    board: Board,
    chip: _Chip,
    clock_mhz: float,
    seed: int,
) -> Any:  # noqa: ANN401
    """Amaranth's build plan: files and commands.

    nextpnr would exit with an error when the clock is missed; that is for ``meets_clock`` to say.
    """
    paths = f" --sdf {SDF}" if board.database else ""
    place = f"--report {REPORT} --timing-allow-fail --freq {clock_mhz}{paths}"
    options = {
        "nextpnr_opts": f"{place} --seed {seed}" if seed else place,
        "script_after_read": after_read(board.family),
        "script_after_synth": after_synth(board.family, _NETLISTS[board.family]),
    }
    return platform.prepare(chip, "top", **options, **dict(board.options))


def _write_plan(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Write a plan's files.

    Amaranth's own ``extract`` changes the process's working folder for that, so two builds at
    once would write into each other's.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def _appearing(folder: Path, name: str) -> Iterator[Path]:
    """A working folder that becomes ``folder / name`` when the block ends well.

    When it fails, only the log is kept, as ``<name>-failed.log``, and the error says where.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    failed = folder / f"{name}-failed.log"
    try:
        yield work
        work.chmod(0o755)
        _replace(work, folder / name)
        failed.unlink(missing_ok=True)
    except ToolError as error:
        if not (work / LOG).exists():
            raise
        (work / LOG).rename(failed)
        raise ToolError(error.message, hint=error.hint or f"the whole log is {failed}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replace(new: Path, final: Path) -> None:
    """Put a folder in place of an older one."""
    if final.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{final.name}-old-", dir=final.parent))
        final.rename(old / "old")
        new.rename(final)
        shutil.rmtree(old)
    else:
        new.rename(final)
