"""Whether kernels meet the clock that is asked for, after place and route of the whole board.

Run as ``python -m benchmarks.closure [--again] [kernel ...]``: the bitstreams of the kernels whose
names begin so, or of all, for every board and clock of :data:`TARGETS`, as ``rtl.bitstream``
builds them.  Results are kept: only kernels that became other hardware are built again, or all of
those named with ``--again`` (when closure itself has changed).  The page has all there are.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from allo_rtl.boards.bitstream import build_closed
from allo_rtl.boards.catalog import board as find_board
from allo_rtl.errors import ToolError
from allo_rtl.rtl_module import RtlModule
from benchmarks.closure_kernels import KERNELS
from benchmarks.pages import markdown, replace_part
from benchmarks.placed import Placed, hash_of

TARGETS: tuple[tuple[str, float], ...] = (
    ("ulx3s-85f", 60.0), ("ulx3s-85f", 80.0), ("ulx3s-85f", 100.0), ("icebreaker", 20.0),
    ("tang-nano-9k", 60.0),
)  # fmt: skip
"""Boards and clocks in MHz."""

COLUMNS = (
    "kernel", "board", "MHz asked", "first build, MHz", "after closure, MHz", "builds",
    "cycles at first", "cycles after", "met",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A kernel for a board and a clock.

    Attributes:
        tried_mhz: the highest clock of each build; none when the first one does not fit.
        cycles: of a run, at first and of the design that is kept; None where they depend on data.
        limit: why the clock is not met; "" where it is.
        fits: whether there is room for the kernel.
    """

    tried_mhz: tuple[float, ...]
    cycles: tuple[int | None, int | None]
    limit: str
    fits: bool = True

    @property
    def met(self) -> bool:
        """Whether the clock is reached."""
        return self.fits and not self.limit


def build(kernel: str, board: str, clock_mhz: float) -> RtlModule:
    """The hardware of a kernel, scheduled for a board and a clock."""
    device = find_board(board).device
    rtl = KERNELS[kernel]().build(target="rtl", device=device, clock_mhz=clock_mhz)
    assert isinstance(rtl, RtlModule)
    return rtl


def measure(rtl: RtlModule, board: str, clock_mhz: float) -> Outcome:
    """Build a bitstream; the clock asked for counts, not the one just below that a PLL makes."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            bits = build_closed(rtl.design, board, folder=Path(folder), clock_mhz=clock_mhz)
        except ToolError as error:
            if "too large" not in error.message:
                raise
            said = error.message.partition("too large: ")[2]
            return Outcome((), (rtl.predicted_cycles,) * 2, said, fits=False)
    limit = ""
    if bits.fmax_mhz < clock_mhz:
        limit = bits.changes[-1] if bits.changes else f"{bits.fmax_mhz:.2f} MHz"
    return Outcome(bits.tried_mhz, (rtl.predicted_cycles, bits.cycles), limit)


def row(kernel: str, board: str, clock_mhz: float, found: Outcome) -> tuple[str, ...]:
    """One line of the table."""
    first, last = (f"{n:,}" if n is not None else "of the data" for n in found.cycles)
    start = (kernel, board, f"{clock_mhz:g}")
    if not found.fits:
        return (*start, "", "", "", first, "", "does not fit")
    tried = found.tried_mhz
    return (
        *start, f"{tried[0]:.1f}", f"{max(tried):.1f}", str(len(tried)), first, last,
        "yes" if found.met else "no",
    )  # fmt: skip


def summary(found: Sequence[tuple[str, str, float, Outcome]]) -> list[str]:
    """How many meet their clock, and why the others do not."""
    fits = [f for f in found if f[3].fits]
    met = sum(f[3].met for f in fits)
    first = sum(f[3].tried_mhz[0] >= f[2] for f in fits)
    boards = Counter((b, c) for _, b, c, _ in fits)
    each = ", ".join(
        f"{board} at {clock:g} MHz {sum(f[3].met for f in fits if f[1:3] == (board, clock))}/{n}"
        for (board, clock), n in boards.items()
    )
    lines = [
        f"{met} of {len(fits)} meet the clock ({met / max(1, len(fits)):.0%}), {first} of them "
        f"with the first build; {len(found) - len(fits)} do not fit. By board: {each}.",
    ]
    missed = [f"- {k}, {b} at {c:g} MHz: {o.limit}" for k, b, c, o in found if not o.met]
    return [*lines, "", *missed] if missed else lines


def outcome(kept: dict[str, Any]) -> Outcome:
    """A result that was kept."""
    first, last = kept["cycles"]
    return Outcome(tuple(kept["tried_mhz"]), (first, last), kept["limit"], kept["fits"])


def write_page(placed: Placed) -> None:
    """Replace the table by one of all results there are."""
    found = [
        (kernel, board, clock, outcome(kept))
        for kernel in KERNELS
        for board, clock in TARGETS
        if (kept := placed.get(key(kernel, board, clock)))
    ]
    text = markdown(COLUMNS, (row(*line) for line in found), left=2)
    all_there_are = len(KERNELS) * len(TARGETS)
    built = f"{len(found)} of {all_there_are} pairs of kernel and clock have been built."
    replace_part("closure", "\n".join([text, "", built, *summary(found)]))


def key(kernel: str, board: str, clock_mhz: float) -> str:
    """Under which a result is kept."""
    return f"{kernel} | {board} | {clock_mhz:g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is named; the page gets all there is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--again", action="store_true", help="also what did not change")
    parser.add_argument("--board", default="", help="only boards whose names begin so")
    parser.add_argument("--mhz", type=float, help="only this clock")
    parser.add_argument("kernels", nargs="*", help="beginnings of their names")
    options = parser.parse_args(arguments)
    placed, console = Placed("closure"), Console()
    for kernel in (k for k in KERNELS if k.startswith(tuple(options.kernels) or ("",))):
        for board, clock in TARGETS:
            if not board.startswith(options.board) or options.mhz not in (None, clock):
                continue
            rtl = build(kernel, board, clock)
            design, name = hash_of(rtl.verilog), key(kernel, board, clock)
            if options.again or not placed.get(name, design):
                found = measure(rtl, board, clock)
                placed.put(name, design, asdict(found))
                console.print(" ".join(row(kernel, board, clock, found)), found.limit)
    write_page(placed)


if __name__ == "__main__":
    main()
