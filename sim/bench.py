"""A cocotb bench for a kernel: a folder with its Verilog, data and tests that a user can extend.

    <kernel>.v          the Verilog under test
    <kernel>.json       its array ports bank by bank, its scalars, and the cases
    kernel_bench.py     clock, reset, handshake and memories; the same for every kernel
    test_<kernel>.py    the tests, and a pytest function that runs them in Verilator
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

import allo_rtl
from allo_rtl.errors import SimulationError, ToolError
from allo_rtl.ir.layout import Layout
from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    Direction,
    KernelInterface,
    Port,
    ScalarPort,
)
from allo_rtl.sim.cosim import element_positions
from allo_rtl.sim.marshal import Raw, word_of_int
from allo_rtl.sim.tools import run_tool


@dataclass(frozen=True)
class Case:
    """One run of a kernel, everything raw as in :mod:`allo_rtl.sim.marshal`.

    Attributes:
        inputs: the arguments before the run.
        after: the arguments after it; only arrays that the kernel writes are compared.
        results: its results.
        cycles: length of the run, or None when it is not to be checked.
    """

    inputs: tuple[Raw, ...]
    after: tuple[Raw, ...]
    results: tuple[Raw, ...] = ()
    cycles: int | None = None

    @staticmethod
    def of(
        inputs: Sequence[Raw],
        run: Callable[[list[Raw]], Sequence[Raw]],
        cycles: int | None = None,
    ) -> Case:
        """The case in which ``run``, a golden model on raw arguments, says what is expected."""
        before = tuple(_copy(a) for a in inputs)
        after = [_copy(a) for a in inputs]
        results = run(after)
        return Case(before, tuple(after), tuple(results), cycles)


def write_bench(
    folder: Path, verilog: str, interface: KernelInterface, cases: Sequence[Case]
) -> list[Path]:
    """Write the files of the bench and give their paths.

    Args:
        folder: where to; made when missing.
        verilog: text of the kernel and all below it.
        interface: its ports.
        cases: at least one; the first is also the one that is restarted and reset.
    """
    if not cases:
        raise SimulationError("a bench needs at least one case")
    name = interface.name
    texts = {
        f"{name}.v": verilog,
        f"{name}.json": _json(_description(interface, cases)),
        "kernel_bench.py": _template("kernel_bench.py"),
        f"test_{name}.py": _tests(interface),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        path = folder / file
        # What did not change keeps its time, so that nothing is compiled again for it.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    return [folder / file for file in texts]


def run_bench(folder: Path) -> tuple[int, int]:
    """Run pytest in a bench's folder; (number of cocotb tests, number of those that failed).

    Raises:
        SimulationError: the tests could not be run at all; has pytest's output.
    """
    from cocotb_tools.check_results import get_results

    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", "-c", "/dev/null", "."]
    failure: ToolError | None = None
    try:
        run_tool(command, what="the bench", cwd=folder, env=_environment())
    except ToolError as error:
        failure = error
    if not results.exists():
        raise SimulationError(f"no test of the bench in {folder} ran: {failure}")
    tests, failures = get_results(results)
    return int(tests), int(failures)


def _environment() -> dict[str, str]:
    """The environment of a process that is to import the same allo_rtl as this one."""
    root = str(Path(allo_rtl.__file__).resolve().parent.parent)
    path = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def _tests(interface: KernelInterface) -> str:
    """The tests; those of streams come before the function that runs them all."""
    text = _template("test_kernel.py")
    if any(isinstance(p, ArrayStream) for p in (*interface.args, *interface.results)):
        runner = "def test_KERNEL_NAME"
        text = text.replace(runner, f"{_template('stream_tests.txt')}\n\n{runner}")
    return text.replace("KERNEL_NAME", interface.name)


def _template(name: str) -> str:
    return files("allo_rtl.sim").joinpath("templates", name).read_text()


def _description(interface: KernelInterface, cases: Sequence[Case]) -> dict[str, Any]:
    ports = (*interface.args, *interface.results)
    return {
        "arrays": {p.name: _array(p) for p in ports if isinstance(p, ArrayPort)},
        "streams": {p.name: _stream(p) for p in ports if isinstance(p, ArrayStream)},
        "scalars": [p.name for p in interface.args if isinstance(p, ScalarPort)],
        "results": [p.name for p in interface.results if isinstance(p, ScalarPort)],
        "stateful": interface.stateful,
        "cases": [_case(interface, case) for case in cases],
    }


def _json(data: dict[str, Any]) -> str:
    """Indented JSON with each list of numbers or names on one line."""
    text = json.dumps(data, indent=2) + "\n"
    lists = re.compile(r"\[\n([^\[\]{}]*)\n *\]")
    return lists.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text)


def _array(port: ArrayPort) -> dict[str, Any]:
    depth = Layout(port.type).depth
    positions = element_positions(port.type)
    return {
        "type": str(port.type),
        "banks": [bank.name for bank in port.banks],
        "depth": depth,
        "read": port.banks[0].read,
        "write": port.banks[0].write,
        "asynchronous": port.banks[0].async_read,
        "bank": (positions // depth).tolist(),
        "address": (positions % depth).tolist(),
    }


def _stream(port: ArrayStream) -> dict[str, Any]:
    return {
        "type": str(port.type),
        "direction": port.direction.value,
        "words": port.words,
        "width": port.width,
        "elements": port.elements,
    }


def _case(interface: KernelInterface, case: Case) -> dict[str, Any]:
    written = [
        (p, a) for p, a in zip(interface.args, case.after, strict=True)
        if not isinstance(p, ScalarPort)
        and p.direction in (Direction.WRITE, Direction.READ_WRITE)
    ]
    outputs = [*written, *zip(interface.results, case.results, strict=True)]
    return {
        "inputs": {p.name: _values(p, a) for p, a in
                   zip(interface.args, case.inputs, strict=True)},
        "outputs": {p.name: _values(p, a) for p, a in outputs},
        "cycles": case.cycles,
    }


def _values(port: Port, raw: Raw) -> int | list[int]:
    """Unsigned bit patterns of a scalar or of an array's elements."""
    if isinstance(raw, np.ndarray):
        data, size = raw.tobytes(), 8 * raw.shape[1]
        return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
    assert isinstance(port, ScalarPort)
    return int.from_bytes(word_of_int(int(raw), port.type).tobytes(), "little")


def _copy(raw: Raw) -> Raw:
    return raw.copy() if isinstance(raw, np.ndarray) else raw
