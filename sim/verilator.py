"""Verilog to a shared library: Verilator, the C++ compiler, the linker; all of it cached.

The runtime of Verilator is compiled once per machine (and once more per waveform format); a
kernel then costs one run of Verilator and of the compiler, and nothing the second time.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Literal

from allo_rtl.errors import SimulationError, ToolError
from allo_rtl.sim.tools import (
    build_cached,
    find_cxx,
    find_tool,
    run_tool,
    tool_environment,
    verilator_bin,
    verilator_root,
    verilator_version,
)

type WaveFormat = Literal["vcd", "fst"]

_FLAGS = ("-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-w")
_UNIT_BYTES = 250_000
"""C++ text per compiler process, about; below it a second process costs more than it saves."""

_MOST_BYTES = 4_000_000
"""C++ text per compiler process at most: gcc takes some hundred bytes of memory for each."""

_LARGE_BYTES = 6_000_000
"""C++ text of a model that is not optimised.

Optimising takes a minute for each ten megabytes or so, several times what it then saves in a
million cycles.
"""

_LIBRARIES: dict[WaveFormat | None, tuple[str, ...]] = {
    None: (), "vcd": (), "fst": ("-llz4", "-lz"),
}
_VERILATE = (
    "--cc", "--prefix", "Vtop", "--no-timing", "-O3", "-Wno-fatal", "-Wno-lint",
    "--x-assign", "fast", "--x-initial", "fast", "--timescale", "1ns/1ns",
    "--output-split", "8000",
)


def compile_library(
    verilog: str, top: str, driver_cpp: str, *, trace: WaveFormat | None = None
) -> Path:
    """The shared library of a Verilog module and a C++ driver.

    Args:
        verilog: text with all modules.
        top: the module that becomes the C++ class ``Vtop``.
        driver_cpp: C++ text that comes after the model and may use ``Vtop``; what it marks
            with default visibility is exported.
        trace: when given, the model can write this format; ``WAVES_VCD`` or ``WAVES_FST`` is
            then defined.

    Raises:
        SimulationError: Verilator refuses the Verilog; its messages are in the text.
        ToolError: a tool is missing, or the compiler fails.
    """
    parts = [_fingerprint(trace), " ".join(_VERILATE), top, verilog, driver_cpp]

    def build(folder: Path) -> None:
        _verilate(folder, verilog, top, trace)
        _link(folder, driver_cpp, trace)
        for left in folder.glob("Vtop*"):
            left.unlink()

    return build_cached("\0".join(parts), build) / "model.so"


@cache
def best_wave_format() -> WaveFormat:
    """"fst" when its compression library can be compiled against here, else "vcd"."""
    try:
        _runtime("fst")
    except ToolError:
        return "vcd"
    return "fst"


def _verilate(folder: Path, verilog: str, top: str, trace: WaveFormat | None) -> None:
    (folder / "design.v").write_text(verilog)
    flags = [*_VERILATE, "--top-module", top, "-Mdir", "."]
    if trace:
        flags += [f"--trace-{trace}", "--trace-structs"]
    try:
        run_tool(
            [str(verilator_bin()), *flags, "design.v"],
            what="verilator", cwd=folder, env=tool_environment(),
        )
    except ToolError as error:
        raise SimulationError(f"the Verilog of '{top}' cannot be simulated: {error}") from error


def _link(folder: Path, driver_cpp: str, trace: WaveFormat | None) -> None:
    (folder / "driver.cpp").write_text(driver_cpp)
    sources = [*sorted(folder.glob("Vtop*.cpp")), folder / "driver.cpp"]
    jobs = os.cpu_count() or 1
    units = _compilation_units(sources, jobs)
    quick = _unoptimised(units)

    def compile_unit(number: int) -> str:
        unit = f"Vtop_unit{number}"
        text = "".join(f'#include "{path.name}"\n' for path in units[number])
        (folder / f"{unit}.cpp").write_text(text)
        command = [find_cxx(), *_compiler_flags(trace), "-I.", "-c", f"{unit}.cpp"]
        command += ["-O0"] if number in quick else []
        run_tool([*command, "-o", f"{unit}.o"], what="the C++ compiler", cwd=folder)
        return f"{unit}.o"

    with ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(compile_unit, range(len(units))))
    archive = str(_runtime(trace) / "libruntime.a")
    command = [find_cxx(), "-shared", *objects, archive, *_LIBRARIES[trace], "-o", "model.so"]
    run_tool(command, what="the linker", cwd=folder)


def _compilation_units(sources: list[Path], jobs: int) -> list[list[Path]]:
    """Sources to compile together: all when small, as headers take most of the time then.

    When not, what a model does once, as it starts, is apart from what it does in each cycle.
    """
    sizes = {path: path.stat().st_size for path in sources}
    if sum(sizes.values()) < 2 * _UNIT_BYTES:
        return _evenly(sources, sizes, min(jobs, 1 + sum(sizes.values()) // _UNIT_BYTES))
    units = []
    for slow in (False, True):
        part = [path for path in sources if _is_slow(path) is slow]
        total = sum(sizes[p] for p in part)
        count = max(min(jobs, 1 + total // _UNIT_BYTES), -(-total // _MOST_BYTES))
        units += _evenly(part, sizes, count)
    return units


def _is_slow(path: Path) -> bool:
    """Whether a source has only functions that run as the model starts."""
    return path.stem.endswith("__Slow")


def _evenly(paths: list[Path], sizes: dict[Path, int], count: int) -> list[list[Path]]:
    """So many lists, or less, of files with about the same size together."""
    units: list[list[Path]] = [[] for _ in range(count)]
    for path in sorted(paths, key=lambda p: (-sizes[p], p.name)):
        min(units, key=lambda unit: sum(sizes[p] for p in unit)).append(path)
    return [unit for unit in units if unit]


def _unoptimised(units: list[list[Path]]) -> set[int]:
    """The units, by number, that are compiled quickly rather than well."""
    large = sum(path.stat().st_size for unit in units for path in unit) > _LARGE_BYTES
    return {n for n, unit in enumerate(units) if large or all(map(_is_slow, unit))}


_PRINT_HEADER = """\
extern "C" int allo_rtl_printf(const char* format, ...);
#define VL_PRINTF allo_rtl_printf
"""
_PRINT_SOURCE = """\
#include <cstdarg>
#include <cstdio>
extern "C" int allo_rtl_printf(const char* format, ...) {
    std::va_list args;
    va_start(args, format);
    int length = std::vprintf(format, args);
    va_end(args);
    return length;
}
"""


def _runtime(trace: WaveFormat | None) -> Path:
    """Folder with Verilator's runtime, ``libruntime.a``, for models with or without waves.

    It prints by ``allo_rtl_printf``, which a driver may define; else that is printf.
    """

    def build(folder: Path) -> None:
        names = ["verilated", "verilated_threads"] + ([f"verilated_{trace}_c"] if trace else [])
        cxx, flags = find_cxx(), _compiler_flags(trace)
        (folder / "print.h").write_text(_PRINT_HEADER)
        (folder / "print.cpp").write_text(_PRINT_SOURCE)
        # The waves' source first: it is the one that may lack a header.
        for name in reversed(names):
            source = verilator_root() / "include" / f"{name}.cpp"
            command = [cxx, *flags, "-include", "print.h", "-c", str(source), "-o", f"{name}.o"]
            run_tool(command, what="the C++ compiler", cwd=folder)
        run_tool([cxx, *flags, "-c", "print.cpp"], what="the C++ compiler", cwd=folder)
        objects = [*(f"{name}.o" for name in names), "print.o"]
        run_tool(["ar", "rcs", "libruntime.a", *objects], what="ar", cwd=folder)
        # Linking shows whether the libraries are there, not only their headers.
        command = [cxx, "-shared", *objects, *_LIBRARIES[trace], "-o", "probe.so"]
        run_tool(command, what="the linker", cwd=folder)
        for left in [*objects, "probe.so", "print.h", "print.cpp"]:
            (folder / left).unlink()

    key = ["runtime", _fingerprint(trace), _PRINT_HEADER, _PRINT_SOURCE]
    return build_cached("\0".join(key), build)


def _compiler_flags(trace: WaveFormat | None) -> list[str]:
    include = verilator_root() / "include"
    defines = {"VERILATOR": 1, "VM_COVERAGE": 0, "VM_SC": 0, "VM_TIMING": 0}
    defines |= {"VM_TRACE": int(trace is not None), "VM_TRACE_VCD": int(trace == "vcd")}
    defines |= {"VM_TRACE_FST": int(trace == "fst"), "VM_TRACE_SAIF": 0}
    flags = [*_FLAGS, "-DVL_TIME_CONTEXT", f"-I{include}", f"-I{include / 'vltstd'}"]
    if trace:
        flags.append(f"-DWAVES_{trace.upper()}")
    return flags + [f"-D{name}={value}" for name, value in defines.items()]


@cache
def _tool_versions(cxx: str) -> str:
    return verilator_version() + run_tool([cxx, "--version"], what="the C++ compiler")


def _fingerprint(trace: WaveFormat | None) -> str:
    """Everything but the sources that a compiled file depends on."""
    cxx = find_cxx()
    return "\0".join([_tool_versions(cxx), cxx, *_compiler_flags(trace)])


def cocotb_environment(*, waves: bool) -> dict[str, str]:
    """:func:`tool_environment` for a build by cocotb's runner, with a runtime compiled before.

    The runtime is the same for every kernel and most of the work of a build.  A build that adds
    features of Verilator (timing, coverage) needs more of it: use :func:`tool_environment` there.

    Args:
        waves: whether the build is to write VCD waveforms.
    """
    env = tool_environment()
    runtime = _cocotb_runtime(env, waves) / "libruntime.a"
    env["MAKEFLAGS"] += f" VM_GLOBAL_FAST= LOADLIBES={runtime}"
    return env


def _cocotb_runtime(env: dict[str, str], waves: bool) -> Path:
    objects = ["verilated.o", "verilated_vpi.o", "verilated_dpi.o", "verilated_threads.o"]
    objects += ["verilated_vcd_c.o"] if waves else []
    verilate = ["--cc", "--exe", "--vpi", "--no-timing", "--prefix", "Vtop", "-Mdir", "."]
    verilate += ["--trace"] if waves else []

    def build(folder: Path) -> None:
        (folder / "empty.v").write_text("module empty(input wire clk); endmodule\n")
        (folder / "main.cpp").write_text("")
        command = [str(verilator_bin()), *verilate, "empty.v", "main.cpp"]
        run_tool(command, what="verilator", cwd=folder, env=env)
        make = [find_tool("make"), "-f", "Vtop.mk", f"VM_TRACE={int(waves)}", *objects]
        run_tool(make, what="make", cwd=folder, env=env)
        run_tool(["ar", "rcs", "libruntime.a", *objects], what="ar", cwd=folder)
        for path in folder.iterdir():
            if path.name != "libruntime.a":
                path.unlink()

    key = ["cocotb runtime", _fingerprint(None), env["CXXFLAGS"], env["MAKEFLAGS"], *objects]
    return build_cached("\0".join(key), build)
