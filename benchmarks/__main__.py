"""How long compiling and simulating takes, and how many cycles come out.  Run by ``make bench``."""

import ast
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import allo_rtl as allo
from allo_rtl.ir.types import Partition, int8, int16, int32
from allo_rtl.sim.marshal import numpy_dtype

DEVICE, CLOCK_MHZ = "ecp5-85", 100


def gemm(A: int32[32, 32], B: int32[32, 32]) -> int32[32, 32]:
    C: int32[32, 32] = 0
    for i, j, k in allo.grid(32, 32, 32):
        C[i, j] += A[i, k] * B[k, j]
    return C


def gemm_pipelined():
    s = allo.customize(gemm)
    s.reorder("k", "j")
    s.pipeline("j")
    return s


def gemm_lanes(lanes):
    def schedule():
        s = allo.customize(gemm)
        s.reorder("k", "j")
        s.split("j", lanes)
        s.pipeline("j.outer")
        s.partition(s.B, Partition.Cyclic, dim=2, factor=lanes)
        s.partition(s.C, Partition.Cyclic, dim=2, factor=lanes)
        return s

    schedule.__name__ = f"gemm, {lanes} lanes"
    return schedule


def fir(x: int16[1024], h: int16[16]) -> int32[1009]:
    y: int32[1009] = 0
    for i in range(1009):
        for t in allo.reduction(16):
            y[i] += h[t] * x[i + t]
    return y


def fir_pipelined():
    s = allo.customize(fir)
    s.partition(s.h, dim=1)
    s.pipeline("t")
    return s


def conv3x3(image: int8[34, 34], weights: int8[3, 3]) -> int32[32, 32]:
    out: int32[32, 32] = 0
    for y, x in allo.grid(32, 32):
        for r, c in allo.reduction(3, 3):
            out[y, x] += image[y + r, x + c] * weights[r, c]
    return out


def conv_pipelined():
    s = allo.customize(conv3x3)
    s.pipeline("c")
    return s


CASES: tuple[Callable, ...] = (
    lambda: allo.customize(gemm), gemm_pipelined, gemm_lanes(4), gemm_lanes(8), fir_pipelined,
    conv_pipelined,
)


def others() -> list[tuple[str, str]]:
    """(command, what it does) of the benchmarks that have one of their own."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        text = path.read_text(encoding="utf-8")
        if '__name__ == "__main__"' in text:
            about = (ast.get_docstring(ast.parse(text)) or "").split("\n", 1)[0]
            found.append((f"python -m benchmarks.{path.stem}", about))
    return found


def main() -> None:
    """Measure each case once and print one table; then name the other benchmarks."""
    table = Table("kernel", "compile s", "Verilog lines", "cycles predicted", "measured",
                  "first call s", "next call s")  # fmt: skip
    for case in CASES:
        began = time.monotonic()
        schedule = case()
        rtl = schedule.build(target="rtl", device=DEVICE, clock_mhz=CLOCK_MHZ)
        lines = rtl.verilog.count("\n")
        compiled = time.monotonic()
        args = [
            np.ones(port.type.shape, numpy_dtype(port.type.element)) for port in rtl.interface.args
        ]
        rtl(*args)
        first = time.monotonic()
        rtl(*args)
        name = rtl.interface.name if case.__name__ == "<lambda>" else case.__name__
        table.add_row(
            name, f"{compiled - began:.2f}", f"{lines:,}", f"{rtl.predicted_cycles:,}",
            f"{rtl.measured_cycles:,}", f"{first - compiled:.2f}",
            f"{time.monotonic() - first:.3f}",
        )
    Console().print(table)
    more = Table("command", "what it measures")
    for line in others():
        more.add_row(*line)
    Console().print(more)


if __name__ == "__main__":
    main()
