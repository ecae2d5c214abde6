"""A board without a board: its whole top simulated behind a pseudo-terminal.

Everything from the serial line inward is what a bitstream holds, so a program that works with
a :class:`VirtualBoard` has its side of the link right.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tty
from pathlib import Path
from types import TracebackType

from amaranth.lib import wiring

from allo_rtl.boards.top import Top
from allo_rtl.boards.uart import MIN_DIVISOR
from allo_rtl.rtl.interface import KernelInterface
from allo_rtl.rtl.verilog import to_verilog
from allo_rtl.sim.verilator import compile_library

_GAP = 20_000
"""Cycles until a half request is forgotten; the real boards' 20 ms would take long to simulate."""

_DRIVER = Path(__file__).with_name("virtual.cpp")
_SERVE = "import ctypes, sys; ctypes.CDLL(sys.argv[1]).serve(int(sys.argv[2]))"


class VirtualBoard:
    """A simulated board with a kernel, as a context manager that gives its serial port's name.

        with VirtualBoard(kernel, interface) as port, Host(port, interface) as call:
            C = call(A, B)

    The simulation is a process of its own, compiled by Verilator once and then taken from the
    cache.  Any baud rate works.

    Args:
        kernel: the component, with the members that ``interface`` says.
        interface: its ports.

    Raises:
        SimulationError: the kernel's Verilog cannot be simulated.
        ToolError: a tool is missing.
    """

    def __init__(self, kernel: wiring.Component, interface: KernelInterface) -> None:
        top = Top(kernel, interface, divisor=MIN_DIVISOR, gap=_GAP)
        driver = f"#define DIVISOR {MIN_DIVISOR}\n#define GAP {_GAP}\n" + _DRIVER.read_text()
        self._library = compile_library(to_verilog(top, "board"), "board", driver)
        self._process: subprocess.Popen[bytes] | None = None
        self._terminal = -1

    def __enter__(self) -> str:
        board, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        os.set_blocking(board, False)
        command = [sys.executable, "-c", _SERVE, str(self._library), str(board)]
        self._process = subprocess.Popen(command, pass_fds=(board,), stdin=subprocess.PIPE)
        os.close(board)
        return os.ttyname(self._terminal)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unplug()
        os.close(self._terminal)

    def unplug(self) -> None:
        """End the simulation: the port is then dead, as when the cable is pulled."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
