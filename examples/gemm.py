"""An int8 matrix product, from a Python kernel to three bitstreams.  Run by ``make demo``.

The kernel is compiled as it stands and with a schedule, so that the reports can be compared.  The
schedule also works alone: ``python -m allo_rtl report examples/gemm.py:scheduled``.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.rule import Rule

import allo_rtl as allo
from allo_rtl.__main__ import board_row
from allo_rtl.hls.chart import render_svg_report
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
    build_boards(console, fast)
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
    chart = folder / "pipeline.svg"
    chart.write_text(render_svg_report(rtl.report()))
    for path in (*paths, chart):
        console.print(f"  wrote {path}", soft_wrap=True)
    console.print()
    return rtl


def build_boards(console, rtl):
    """Build a bitstream for each board; print what they use."""
    console.print(Rule("Bitstreams"))
    built = []
    for board in BOARDS:
        with working(console, board) as say:
            built.append(rtl.bitstream(board, folder=OUT, progress=say))
    console.print(rich_boards([board_row(bits) for bits in built]))
    for bits in built:
        console.print(f"  wrote {bits.path}", soft_wrap=True)


@contextmanager
def working(console: Console, what: str) -> Iterator:
    """Show that something is going on, and at its end how long it took.

    Yields a function that shows another text, of the step it has come to.
    """
    began = time.monotonic()
    with console.status(f"{what} ...") as status:
        yield status.update
    console.print(f"{what}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
