"""Systolic arrays: cycles of square products, how busy a tiled array is, how long compiling takes.

Run as ``python -m benchmarks.systolic``; the tables in docs/benchmarks.md are written.  With
numbers, ``python -m benchmarks.systolic 2 8``, only the square arrays of these sizes are measured.
Every run is simulated in Verilator, and its results are compared with numpy's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.hls.node import Kind
from allo_rtl.ir.types import IntegerType, Partition, Stream, int8, int32
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.marshal import numpy_dtype

DEVICE, PERIOD_NS = "ultrascale+", 7.0
SIZES = (2, 4, 8, 16, 32)
PIEZO = {2: 11, 4: 17, 8: 29, 16: 53}
"""Cycles of the published static design, with words of 32 bits (Piezo, 2024)."""
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- systolic: begin -->", "<!-- systolic: end -->"
TILE, WHOLE = 16, 128
COMPILED = (8, 16, 32)


def square(n: int, word: IntegerType) -> Schedule:
    """``C = A @ B``, n by n on n by n elements; rows of A and columns of B are memories."""

    @df.region()
    def gemm(A: word[n, n], B: word[n, n], C: int32[n, n]):
        rows: Stream[word, 2][n, n]
        columns: Stream[word, 2][n, n]

        @df.kernel(mapping=[n], args=[A])
        def load_a(a: word[n, n]):
            i = df.get_pid()
            for k in range(n):
                rows[i, 0].put(a[i, k])

        @df.kernel(mapping=[n], args=[B])
        def load_b(b: word[n, n]):
            j = df.get_pid()
            for k in range(n):
                columns[0, j].put(b[k, j])

        @df.kernel(mapping=[n, n], args=[C])
        def pe(c: int32[n, n]):
            i, j = df.get_pid()
            total: int32 = 0
            for k in range(n):
                x = rows[i, j].get()
                y = columns[i, j].get()
                with allo.meta_if(j < n - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < n - 1):
                    columns[i + 1, j].put(y)
                total += x * y
                if k == n - 1:
                    c[i, j] = total

    s = df.customize(gemm, opt_default=True)
    s.partition("gemm:A", dim=1)
    s.partition("gemm:B", dim=2)
    s.partition("gemm:C", dim=0)
    return s


def tiled(size: int, tile: int) -> Schedule:
    """``C = A @ B`` of int8, size by size, in tiles that follow each other without a gap.

    The arrays are in as many memories along each dimension as the array of elements has rows.
    """
    tiles = size // tile

    @df.region()
    def gemm(A: int8[size, size], B: int8[size, size], C: int32[size, size]):
        rows: Stream[int8, 2][tile, tile]
        columns: Stream[int8, 2][tile, tile]

        @df.kernel(mapping=[tile], args=[A])
        def load_a(a: int8[size, size]):
            i = df.get_pid()
            for m, _n, k in allo.grid(tiles, tiles, size):
                rows[i, 0].put(a[m * tile + i, k])

        @df.kernel(mapping=[tile], args=[B])
        def load_b(b: int8[size, size]):
            j = df.get_pid()
            for _m, n, k in allo.grid(tiles, tiles, size):
                columns[0, j].put(b[k, n * tile + j])

        @df.kernel(mapping=[tile, tile], args=[C])
        def pe(c: int32[size, size]):
            i, j = df.get_pid()
            total: int32 = 0
            for m, n, k in allo.grid(tiles, tiles, size):
                x = rows[i, j].get()
                y = columns[i, j].get()
                with allo.meta_if(j < tile - 1):
                    rows[i, j + 1].put(x)
                with allo.meta_if(i < tile - 1):
                    columns[i + 1, j].put(y)
                before: int32 = 0 if k == 0 else total
                total = before + x * y
                if k == size - 1:
                    c[m * tile + i, n * tile + j] = total

    s = df.customize(gemm, opt_default=True)
    s.partition("gemm:A", Partition.Cyclic, dim=1, factor=tile)
    s.partition("gemm:B", Partition.Cyclic, dim=2, factor=tile)
    for dim in (1, 2):
        s.partition("gemm:C", Partition.Cyclic, dim=dim, factor=tile)
    return s


def run(rtl: RtlModule, size: int, word: IntegerType) -> int:
    """Cycles of a simulated run on random numbers whose result is right."""
    dice = np.random.default_rng(1)
    low, high = (-128, 128) if word is int8 else (-10_000, 10_000)
    a, b = (
        dice.integers(low, high, (size, size)).astype(numpy_dtype(word)) for _ in range(2)
    )
    c = np.zeros((size, size), np.int32)
    rtl(a, b, c)
    np.testing.assert_array_equal(c, a.astype(np.int32) @ b.astype(np.int32))
    assert rtl.measured_cycles is not None
    assert rtl.predicted_cycles in (None, rtl.measured_cycles)
    return rtl.measured_cycles


def multiplier_latency(rtl: RtlModule) -> int:
    """Cycles from the operands of a product to its use."""
    found = {
        schedule.ready[node] - schedule.start[node]
        for function in rtl.design.functions
        for schedule in function.schedules.values()
        for node in schedule.start
        if node.kind is Kind.MUL
    }
    return max(found)


@dataclass(frozen=True)
class Square:
    """A measured square product."""

    n: int
    word: IntegerType
    cycles: int
    latency: int

    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        bound = 3 * self.n - 2 + self.latency
        piezo = PIEZO.get(self.n) if self.word is int32 else None
        return (
            str(self.n), str(self.word), str(self.cycles), str(self.latency), str(bound),
            str(piezo or ""),
        )  # fmt: skip


COLUMNS = ("N", "words", "cycles", "multiplier latency", "3N - 2 + latency", "Piezo")


def measure_square(n: int, word: IntegerType) -> Square:
    """Build, simulate and check one square product."""
    rtl = square(n, word).build(target="rtl", device=DEVICE, clock_mhz=1000 / PERIOD_NS)
    return Square(n, word, run(rtl, n, word), multiplier_latency(rtl))


def measure_tiled() -> str:
    """How busy the multipliers of the tiled array are, in a sentence."""
    rtl = tiled(WHOLE, TILE).build(target="rtl", device="ecp5-85", clock_mhz=50)
    cycles = run(rtl, WHOLE, int8)
    busy = WHOLE**3 / (TILE**2 * cycles)
    return (
        f"A {TILE} x {TILE} array of int8 multiplies {WHOLE} x {WHOLE} x {WHOLE} in {cycles:,} "
        f"cycles: its {TILE**2} multipliers are busy {100 * busy:.1f} % of them."
    )


def _timed[T](step: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    made = step()
    return made, time.process_time() - started


def measure_compile(n: int) -> tuple[str, ...]:
    """Processor seconds from the kernel to its Verilog, and how many modules that has."""
    schedule, first = _timed(lambda: square(n, int8))
    rtl, second = _timed(lambda: schedule.build(target="rtl", device="ecp5-85", clock_mhz=50))
    text, third = _timed(lambda: rtl.verilog)
    modules = text.count("\nmodule ")
    times = [f"{t:.1f}" for t in (first, second, third, first + second + third)]
    return (f"{n} x {n}", *times, str(modules))


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for the page."""
    text = ["| " + " | ".join(line) + " |" for line in (columns, *lines)]
    text.insert(1, "|---" + "|---:" * (len(columns) - 1) + "|")
    return "\n".join(text)


def main(sizes: Sequence[int]) -> None:
    """Measure the sizes given; or everything, and write the page."""
    console = Console()
    squares = []
    for n in sizes or SIZES:
        for word in (int8, int32):
            squares.append(measure_square(n, word))
            console.print(*squares[-1].row())
    if sizes:
        return
    busy = measure_tiled()
    console.print(busy)
    compiled = [measure_compile(n) for n in COMPILED]
    steps = ("elements", "schedule, s", "build, s", "Verilog, s", "together, s", "modules")
    table = "\n\n".join((
        markdown(COLUMNS, [s.row() for s in squares]), busy, markdown(steps, compiled)
    ))
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN, 1)
    PAGE.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]])
