"""Cycles a second of simulated kernels: the Python call, plain cocotb, a driver in C++.

Run as ``python -m benchmarks.simulation_speed``; the table in docs/benchmarks.md is written.  All
three run the same Verilog of a product of 16x16 matrices in the same Verilator.  The Python call is
``rtl(A, B, C)``, with everything that it does to numpy arrays; cocotb is the bench that
``rtl.write`` makes; the driver is what one would write by hand for these ports, on arrays of C++.
Compiling is not counted.  Times are those of the processor, so that other work does not count.
"""

from __future__ import annotations

import ctypes
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import allo_rtl as allo
from allo_rtl.ir.types import int32
from allo_rtl.rtl_module import RtlModule
from allo_rtl.sim.bench import run_bench
from allo_rtl.sim.verilator import compile_library
from benchmarks.compile_time import seconds
from benchmarks.pages import markdown, replace_part

N = 16
RUNS = 100
CLOCK_NS = 10
"""The clock of the benches that ``rtl.write`` makes."""


def gemm(A: int32[N, N], B: int32[N, N], C: int32[N, N]):
    total: int32 = 0
    for i, j, k in allo.grid(N, N, N):
        total = (0 if k == 0 else total) + A[i, k] * B[k, j]
        if k == N - 1:
            C[i, j] = total


DRIVER = """
struct Bench { VerilatedContext context; Vtop top{&context}; };

extern "C" __attribute__((visibility("default"))) void* bench_new() {
    Bench* b = new Bench;
    b->top.rst = 1;
    for (int n = 0; n < 4; n++) { b->top.clk = 0; b->top.eval(); b->top.clk = 1; b->top.eval(); }
    b->top.rst = 0;
    return b;
}

extern "C" __attribute__((visibility("default")))
long bench_run(void* handle, const unsigned* A, const unsigned* B, unsigned* C) {
    Vtop& t = static_cast<Bench*>(handle)->top;
    long cycles = 0;
    t.start = 1;
    t.clk = 0; t.eval(); t.clk = 1; t.eval();
    t.start = 0;
    for (;;) {
        t.clk = 0; t.eval();
        if (t.done) return cycles;
        unsigned a = t.A_raddr, b = t.B_raddr;
        bool read_a = t.A_ren, read_b = t.B_ren;
        if (t.C_wen) C[t.C_waddr] = t.C_wdata;
        t.clk = 1; t.eval();
        if (read_a) t.A_rdata = A[a];
        if (read_b) t.B_rdata = B[b];
        cycles++;
    }
}
"""


def build() -> RtlModule:
    """The kernel, a product a cycle."""
    s = allo.customize(gemm)
    s.pipeline("k")
    rtl = s.build(target="rtl")
    assert isinstance(rtl, RtlModule)
    return rtl


def _operands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-1000, 1000, (N, N), np.int32) for _ in range(2))
    return a, b, np.zeros((N, N), np.int32)


def python_call(rtl: RtlModule) -> float:
    """Cycles a second of ``rtl(A, B, C)``."""
    a, b, c = _operands()
    rtl(a, b, c)  # compiled here
    began = time.process_time()
    for _ in range(RUNS):
        rtl(a, b, c)
    taken = time.process_time() - began
    np.testing.assert_array_equal(c, a @ b)
    return _cycles(rtl) * RUNS / taken


def cpp_driver(rtl: RtlModule) -> float:
    """Cycles a second of a driver written for this kernel."""
    a, b, c = _operands()
    library = ctypes.CDLL(str(compile_library(rtl.verilog, rtl.interface.name, DRIVER)))
    library.bench_new.restype = ctypes.c_void_p
    library.bench_run.restype = ctypes.c_long
    handle = ctypes.c_void_p(library.bench_new())
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, c)]
    began = time.process_time()
    cycles = sum(library.bench_run(handle, *pointers) for _ in range(RUNS))
    taken = time.process_time() - began
    np.testing.assert_array_equal(c, a @ b)
    assert cycles == _cycles(rtl) * RUNS, f"{cycles} cycles, not {_cycles(rtl) * RUNS}"
    return cycles / taken


def cocotb(rtl: RtlModule) -> float:
    """Cycles a second of all tests of the kernel's bench, the start of cocotb included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rtl.write(folder)
        run_bench(folder)  # compiled here
        began = seconds()
        tests, failures = run_bench(folder)
        taken = seconds() - began
        assert tests
        assert not failures, "a test of the bench failed"
        cases = ET.parse(folder / "results.xml").iter("testcase")
        return sum(map(_simulated_ns, cases)) / CLOCK_NS / taken


def _simulated_ns(case: ET.Element) -> float:
    """Time on the simulator's clock that a test took; 0 where cocotb does not tell."""
    found = {p.get("name"): p.get("value") for p in case.iter("property")}
    return float(found.get("sim_time_duration") or 0)


def _cycles(rtl: RtlModule) -> int:
    assert rtl.predicted_cycles is not None
    return rtl.predicted_cycles


WAYS: dict[str, Callable[[RtlModule], float]] = {
    "hand-written C++ driver": cpp_driver, "rtl(A, B, C)": python_call, "cocotb": cocotb,
}  # fmt: skip
COLUMNS = ("what drives the simulation", "cycles a second", "against the C++ driver")


def main() -> None:
    """Measure all ways; then the page is written."""
    console, table, rates = Console(), Table(*COLUMNS), dict[str, float]()
    rtl = build()
    with Progress(console=console) as progress:
        task = progress.add_task("", total=len(WAYS))
        for name, way in WAYS.items():
            progress.update(task, description=name)
            rates[name] = way(rtl)
            progress.advance(task)
    most = rates["hand-written C++ driver"]
    lines = [(name, f"{rate:,.0f}", f"{rate / most:.4f}") for name, rate in rates.items()]
    for line in lines:
        table.add_row(*line)
    console.print(table)
    replace_part("simulation_speed", markdown(COLUMNS, lines))


if __name__ == "__main__":
    main()
