"""An int8 matrix product, from a Python kernel to three bitstreams.  Run by ``make demo``.

The kernel is compiled as it stands and with a schedule, so that the reports can be compared.  The
schedule also works alone: ``python -m allo_rtl report examples/gemm.py:scheduled``.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule

import allo_rtl as allo
from allo_rtl.__main__ import board_row
from allo_rtl.boards.catalog import board as find_board
from allo_rtl.hls.render import rich_boards, rich_report
from allo_rtl.ir.types import Partition, int8, int32

N = 32
LANES = 4
DEVICE, CLOCK_MHZ = "ecp5-85", 100
BOARDS = ("icebreaker", "ulx3s-85f", "tang-nano-9k")
OUT = Path("out/demo")


def gemm(A: int8[N, N], B: int8[N, N]) -> int32[N, N]:
    C: int32[N, N] = 0
    for i, j, k in allo.grid(N, N, N, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]
    return C


def scheduled() -> allo.Schedule:
    """LANES products in every cycle, none of which waits for another's sum."""
    s = allo.customize(gemm)
    s.reorder("k", "j")  # a sum is then continued after N iterations, not in the next one
    s.split("j", LANES)
    s.pipeline("j.outer")  # unrolls j.inner, the loop inside
    s.partition(s.B, Partition.Cyclic, dim=2, factor=LANES)
    s.partition(s.C, Partition.Cyclic, dim=2, factor=LANES)
    return s


def main() -> None:
    """Compile, report, simulate, check and build, saying where each file is."""
    console = Console(highlight=False, width=None if Console().is_terminal else 100)
    began = time.monotonic()
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-128, 128, (N, N), dtype=np.int8) for _ in range(2))
    plain = show(console, "As written", allo.customize(gemm), a, b, OUT / "as_written")
    fast = show(console, "Scheduled", scheduled(), a, b, OUT / "scheduled")
    console.print(
        f"The schedule makes it {plain.measured_cycles / fast.measured_cycles:.1f} times faster: "
        f"{fast.measured_cycles:,} cycles for {N**3:,} products.\n"
    )
    build_boards(console, scheduled())
    console.print(f"\nEverything is in {OUT}/ ({time.monotonic() - began:.0f} s)")


def show(console, title, schedule, a, b, folder):
    """Compile one version; print its loops and report, run it, write its files; return it."""
    console.print(Rule(title))
    console.print(str(schedule), markup=False)
    for step in schedule.history():
        console.print(f"s.{step}", markup=False)
    console.print()
    with working(console, "compiling to hardware"):
        rtl = schedule.build(target="rtl", device=DEVICE, clock_mhz=CLOCK_MHZ)
        paths = rtl.write(folder)
    with working(console, "simulating in Verilator"):
        c = rtl(a, b)
    assert np.array_equal(c, a.astype(np.int32) @ b.astype(np.int32)), "wrong product"
    console.print(rich_report(rtl.report(), rtl.measured_cycles))
    console.print("The hardware's product equals numpy's.")
    for path in paths:
        console.print(f"  wrote {path}", soft_wrap=True)
    console.print()
    return rtl


def build_boards(console, schedule):
    """Build a bitstream for each board, two at a time; print what they use.

    The operations are scheduled again for each board's chip and clock.
    """
    console.print(Rule("Bitstreams"))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(2) as pool:

        def build(board):
            task = progress.add_task(f"{board}: starting", total=1)
            target = find_board(board)
            rtl = schedule.build(
                target="rtl", device=target.device, clock_mhz=target.oscillator_mhz
            )
            bits = rtl.bitstream(
                board, folder=OUT,
                progress=lambda step: progress.update(task, description=step),
            )
            progress.update(task, description=f"{board}: done", completed=1)
            return bits

        built = list(pool.map(build, BOARDS))
    console.print(rich_boards([board_row(bits) for bits in built]))
    for bits in built:
        console.print(f"  wrote {bits.path}", soft_wrap=True)


@contextmanager
def working(console: Console, what: str) -> Iterator:
    """Show that something is going on, and at its end how long it took."""
    began = time.monotonic()
    with console.status(f"{what} ..."):
        yield
    console.print(f"{what}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
