"""Systolic arrays: cycles of square products, how busy tiled arrays and other forms are.

Run as ``python -m benchmarks.systolic``; the tables in docs/benchmarks.md are written.  With
numbers, ``python -m benchmarks.systolic 2 8``, only the square arrays of these sizes are measured.
Every run is simulated in Verilator, and its results are compared with numpy's.  (How long it takes
to compile arrays is in ``benchmarks.compile_time``.)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from allo_rtl.hls.node import Kind, Node
from allo_rtl.ir.types import IntegerType, int8, int32
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.sim.marshal import numpy_dtype
from benchmarks.pages import markdown, replace_part
from benchmarks.systolic_designs import (
    daisy_chain,
    linear,
    of_the_library,
    square,
    square_of_block_ram,
    tiled,
    unfolded,
    unfolded_row,
    unfolded_weights,
    weight_stationary,
)

DEVICE, PERIOD_NS = "ultrascale+", 7.0
FAST_MHZ = 300.0
SIZES = (2, 3, 4, 6, 8, 12, 16, 32)
PIEZO = {2: 11, 4: 17, 8: 29, 16: 53}
"""Cycles of the published static design, with words of 32 bits (Piezo, 2024)."""
TILE, WHOLE = 16, 128
ECP5 = {"device": "ecp5-85", "clock_mhz": 50}


def run(
    rtl: RtlModule, m: int, word: IntegerType, *, k: int = 0, n: int = 0, turned: bool = False
) -> int:
    """Cycles of a simulated run on random numbers whose result is right.

    Args:
        rtl: computes ``C = A @ B``, of (m, k) and (k, n); k and n are m when they are not given.
        m, k, n: sizes.
        word: the type of A and B; C is int32.
        turned: whether it takes B with its dimensions exchanged.
    """
    dice = np.random.default_rng(1)
    low, high = (-128, 128) if word is int8 else (-10_000, 10_000)
    a, b = (
        dice.integers(low, high, shape).astype(numpy_dtype(word))
        for shape in ((m, k or m), (k or m, n or m))
    )
    c = np.zeros((m, n or m), np.int32)
    rtl(a, np.ascontiguousarray(b.T) if turned else b, c)
    np.testing.assert_array_equal(c, a.astype(np.int32) @ b.astype(np.int32))
    assert rtl.measured_cycles is not None
    assert rtl.predicted_cycles in (None, rtl.measured_cycles)
    return rtl.measured_cycles


def multiplier_latency(rtl: RtlModule) -> int:
    """Cycles from the operands of a product to its use in a sum."""
    return max(
        schedule.start[add] - schedule.start[product]
        for function in rtl.design.functions
        for schedule in function.schedules.values()
        for add in schedule.start
        if add.kind is Kind.ADD
        for product in map(_uncast, add.operands)
        if product.kind is Kind.MUL
    )


def _uncast(node: Node) -> Node:
    """What a node is another type of."""
    while node.kind is Kind.CAST:
        node = node.operands[0]
    return node


@dataclass(frozen=True)
class Square:
    """A measured square product; ``block_ram`` says in what memories its operands are."""

    n: int
    word: IntegerType
    cycles: int
    latency: int
    mhz: float
    block_ram: bool = False

    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        bound = 3 * self.n - 2 + self.latency
        return str(self.n), str(self.word), str(self.cycles), str(self.latency), str(bound)

    def row_of_page(self) -> tuple[str, ...]:
        """A line of the first table."""
        piezo = PIEZO.get(self.n) if self.word is int32 else None
        return (*self.row(), str(piezo or ""))

    def row_of_others(self) -> tuple[str, ...]:
        """A line of the table of other memories and clocks."""
        n, word, *rest = self.row()
        return n, word, "block RAM" if self.block_ram else "LUT RAM", f"{self.mhz:.0f}", *rest


COLUMNS = ("N", "words", "cycles", "multiplier latency", "3N - 2 + latency", "Piezo")
OTHERS = ("N", "words", "memories", "MHz", *COLUMNS[2:5])


def measure_square(
    n: int, word: IntegerType, mhz: float = 1000 / PERIOD_NS, *, block_ram: bool = False
) -> Square:
    """Build, simulate and check one square product."""
    schedule = (square_of_block_ram if block_ram else square)(n, word)
    rtl = schedule.build(target="rtl", device=DEVICE, clock_mhz=mhz)
    return Square(n, word, run(rtl, n, word), multiplier_latency(rtl), mhz, block_ram)


def other_squares() -> Iterator[Square]:
    """The same with block RAM, and at a clock at which products take more than a cycle."""
    for word in (int8, int32):
        yield measure_square(8, word, block_ram=True)
    for word in (int8, int32):
        yield measure_square(8, word, FAST_MHZ)


def measure_tiled() -> str:
    """How busy the multipliers of the tiled array are, in a sentence."""
    rtl = tiled(WHOLE, TILE).build(target="rtl", **ECP5)
    cycles = run(rtl, WHOLE, int8)
    busy = WHOLE**3 / (TILE**2 * cycles)
    return (
        f"A {TILE} x {TILE} array of int8 multiplies {WHOLE} x {WHOLE} x {WHOLE} in {cycles:,} "
        f"cycles: its {TILE**2} multipliers are busy {100 * busy:.1f} % of them."
    )


@dataclass(frozen=True)
class Form:
    """A form of array, of so many multipliers, for an (m, k) by (k, n) product of int8."""

    name: str
    schedule: Callable[[], Schedule]
    m: int
    k: int
    n: int
    multipliers: int
    turned: bool = False

    def row(self) -> tuple[str, ...]:
        """Build, simulate and check it; a line of the table."""
        rtl = self.schedule().build(target="rtl", **ECP5)
        cycles = run(rtl, self.m, int8, k=self.k, n=self.n, turned=self.turned)
        busy = self.m * self.k * self.n / (self.multipliers * cycles)
        return (
            self.name, f"{self.m} x {self.k} x {self.n}", str(self.multipliers), f"{cycles:,}",
            f"{100 * busy:.1f}",
        )  # fmt: skip


FORMS = ("form", "product", "multipliers", "cycles", "busy, %")


def forms() -> list[Form]:
    """The forms that are measured."""
    return [
        Form("weights stay", lambda: weight_stationary(128, 4), 128, 4, 4, 16),
        Form("weights stay, of `unfold` and `to`", lambda: unfolded_weights(128, 4), 128, 4, 4, 16),
        Form("sums stay, of `unfold` and `to`", lambda: unfolded(4, 128), 4, 128, 4, 16),
        Form("in a line", lambda: linear(32, 8), 32, 8, 8, 8),
        Form("in a line, of `unfold` and `to`", lambda: unfolded_row(32, 8), 32, 8, 8, 8),
        Form("daisy chains, one memory each", lambda: daisy_chain(4, 64), 4, 64, 4, 16, True),
        Form("the library's `systolic`", lambda: of_the_library(16, 4), 16, 16, 16, 16),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sizes given; or everything, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("sizes", nargs="*", type=int, metavar="N", help="default: everything")
    sizes = parser.parse_args(arguments).sizes
    console = Console()
    squares = []
    for n in sizes or SIZES:
        for word in (int8, int32):
            squares.append(measure_square(n, word))
            console.print(*squares[-1].row_of_page())
    if sizes:
        return
    more = []
    for found in other_squares():
        more.append(found)
        console.print(*found.row_of_others())
    others = [form.row() for form in forms()]
    for row in others:
        console.print(*row)
    busy = measure_tiled()
    console.print(busy)
    replace_part("systolic", "\n\n".join((
        markdown(COLUMNS, [s.row_of_page() for s in squares], left=2),
        markdown(OTHERS, [s.row_of_others() for s in more], left=3),
        busy, markdown(FORMS, others),
    )))


if __name__ == "__main__":
    main()
