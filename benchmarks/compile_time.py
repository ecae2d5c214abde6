"""How long a large body, and a large array, take to Verilog, beside Amaranth's own time.

Run as ``python -m benchmarks.compile_time [--sizes N ...] [--arrays N ...]``; a table of all the
sizes that are measured without any is written to docs/benchmarks.md.  Times are those of the
processor, Yosys included, so that other work on the machine does not count.  The yardstick is
Amaranth's elaboration and Verilog writing of the same design: everything from the netlist on, which
takes a time of its own however it is made.  Of an array there are two: the one netlist that we
emit, where each kind of element is one module, and the hierarchy that an Amaranth design has, where
every element and FIFO is a submodule that Amaranth elaborates and writes by itself.  Python looks
for no garbage in any, so that all are equal in that; our builds never have it look.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from amaranth.back import rtlil, verilog
from amaranth.hdl import Fragment
from amaranth.lib import wiring
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import allo_rtl as allo
from allo_rtl.hls.design import Design
from allo_rtl.ir.types import int8
from allo_rtl.rtl.kernel import KernelComponent, modules_of
from allo_rtl.rtl_module import RtlModule
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.utils import no_collection
from benchmarks.pages import markdown, replace_part
from benchmarks.systolic_designs import square_of_block_ram

SIZES = (1_250, 2_500, 5_000, 10_000)
ARRAYS = (8, 16, 32)
DEVICE, CLOCK_MHZ = "ecp5-85", 50.0


def source(operations: int) -> str:
    """A kernel whose body is so many additions and exclusive ors, each of two results before."""
    lines = [
        "from allo_rtl.ir.types import int16", "", "",
        "def body(a: int16, b: int16, c: int16, R: int16[1]):",
        "    v0: int16 = a", "    v1: int16 = b", "    v2: int16 = c",
    ]  # fmt: skip
    lines += [
        f"    v{k}: int16 = (v{k - 1} + v{k - 3}) ^ v{k - 2}" for k in range(3, 3 + operations // 2)
    ]
    return "\n".join([*lines, f"    R[0] = v{2 + operations // 2}", ""])


def seconds() -> float:
    """Processor time of this process and of those it has run, in s."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def timed[T](work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and the processor time it takes in s without looking for garbage."""
    gc.collect()
    with no_collection():
        began = seconds()
        return work(), seconds() - began


@dataclass(frozen=True)
class Measured:
    """Processor times in s of the steps for one size, and of Amaranth by itself.

    Its size is counted in operations of a body, or in elements of an array; of an array ``each``
    is Amaranth's time for the hierarchy in which every element is built by itself.
    """

    operations: int
    frontend: float
    synthesis: float
    emission: float
    amaranth: float
    each: float = 0.0

    @property
    def total(self) -> float:
        """From Python to Verilog."""
        return self.frontend + self.synthesis + self.emission

    @property
    def ratio(self) -> float:
        """The whole against Amaranth's own time."""
        return self.total / self.amaranth


def measure(operations: int) -> Measured:
    """Compile the kernel of a size, and convert the same design once more for the yardstick."""
    with tempfile.TemporaryDirectory() as folder:
        module = _imported(Path(folder) / f"body_{operations}.py", source(operations))
        return _measured(operations, lambda: allo.customize(module.body))[0]


def measure_array(n: int) -> Measured:
    """The same for a systolic array of n x n, of which each kind of element is a module."""
    found, design = _measured(n * n, lambda: square_of_block_ram(n, int8))
    top, ports = _elaborated(KernelComponent(design))

    def converted() -> None:
        verilog._convert_rtlil_text(rtlil.convert(top, name="top", ports=ports))

    return replace(found, each=timed(converted)[1])


def _measured(count: int, customize: Callable[[], Schedule]) -> tuple[Measured, Design]:
    schedule, frontend = timed(customize)
    rtl, synthesis = timed(
        lambda: schedule.build(target="rtl", device=DEVICE, clock_mhz=CLOCK_MHZ)
    )
    assert isinstance(rtl, RtlModule)
    _, emission = timed(lambda: rtl.verilog)
    made = [(*_elaborated(part), name) for part, name in modules_of(rtl.design)]

    def converted() -> None:
        parts = [rtlil.convert(part, name=name, ports=ports) for part, ports, name in made]
        verilog._convert_rtlil_text("\n".join(parts))

    _, amaranth = timed(converted)
    return Measured(count, frontend, synthesis, emission, amaranth), rtl.design


def _elaborated(component: wiring.Component) -> tuple[Fragment, list[object]]:
    """A module as Amaranth's own fragments, with nothing of ours left to run."""
    ports = [getattr(component, name) for name in component.signature.members]
    return Fragment.get(component, None), ports


def _imported(path: Path, text: str) -> ModuleType:
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


COLUMNS = ("operations", "frontend s", "synthesis s", "emission s", "together s", "ms/operation",
           "Amaranth alone s", "against Amaranth")  # fmt: skip
ELEMENTS = ("elements", *COLUMNS[1:5], "ms/element", *COLUMNS[6:], "Amaranth, each element s",
            "against that")  # fmt: skip


def row(found: Measured) -> tuple[str, ...]:
    """One line of the table."""
    times = (found.frontend, found.synthesis, found.emission, found.total)
    each = (f"{found.each:.1f}", f"{found.total / found.each:.2f}") if found.each else ()
    return (
        f"{found.operations:,}", *(f"{t:.1f}" for t in times),
        f"{1000 * found.total / found.operations:.2f}", f"{found.amaranth:.1f}",
        f"{found.ratio:.2f}", *each,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all sizes; then the page is written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument("--arrays", type=int, nargs="*", default=[], metavar="N")
    options = parser.parse_args(arguments)
    some = bool(options.sizes or options.arrays)
    for part, columns, sizes, usual, work in (
        ("compile_time", COLUMNS, options.sizes, SIZES, measure),
        ("compile_time_arrays", ELEMENTS, options.arrays, ARRAYS, measure_array),
    ):
        wanted = tuple(sizes) if some else usual
        if wanted:
            table = _table(columns, wanted, work)
            if wanted == usual:
                replace_part(part, table)


def _table(
    columns: Sequence[str], sizes: Sequence[int], measure: Callable[[int], Measured]
) -> str:
    """Measure all sizes, and print them; the table for the page."""
    console, table, results = Console(), Table(*columns), list[Measured]()
    with Progress(console=console) as progress:
        task = progress.add_task("", total=sum(n * n for n in sizes))
        for size in sizes:
            progress.update(task, description=f"{columns[0]}, {size:,}")
            results.append(measure(size))
            progress.console.print(" ".join(row(results[-1])))
            progress.advance(task, size * size)
    for found in results:
        table.add_row(*row(found))
    console.print(table)
    return markdown(columns, map(row, results), left=0)


if __name__ == "__main__":
    main()
