"""Processes of compiled code: each has a stack of its own, and one runs at a time.

Compiled code calls Python where it has to wait; Python then goes on with another process, in the
same order as the evaluator (:mod:`allo_rtl.ir.processes`), from whose steps it differs in nothing.
No exception may pass through compiled code: it is kept, and the code ends with a status.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import greenlet
import numpy as np

from allo_rtl.ir.looks import LOOKS
from allo_rtl.ir.ops import Call, Func, Module, Value, While
from allo_rtl.ir.processes import Depths, Fifo, Process, Processes, Wait
from allo_rtl.ir.stream_ops import MakeStream, used
from allo_rtl.ir.types import StreamType
from allo_rtl.sim.llvm_memory import storage_bits
from allo_rtl.sim.llvm_streams import Site, Word, places

FAILED = 0x7FFFFFFF
"""The status of code that ends because Python has an exception."""

_SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "streams.make": (ctypes.c_void_p, ctypes.c_int32),
    "streams.wait": (ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32),
    "streams.changed": (ctypes.c_int32, ctypes.c_void_p),
    "streams.aside": (ctypes.c_int32, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
    "processes.start": (ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p),
    "processes.join": (ctypes.c_int32, ctypes.c_int32),
    "processes.spin": (ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
}


class NativeFifo(Fifo):
    """A FIFO whose values are in memory that compiled code uses, with its head before it."""

    def __init__(self, name: str, depth: int | None, declared: int, cell: int, grows: bool) -> None:
        super().__init__(name, depth, declared, grows)
        self._cell = cell
        self.words = (ctypes.c_int64 * len(Word))()
        self.address = ctypes.addressof(self.words)
        self._ring = np.zeros(0, np.uint8)
        self.enlarge(depth or declared)

    @property
    def full(self) -> bool:
        """Whether a put has to wait; it never does where there is no limit."""
        return self.depth is not None and self.count >= self.depth

    @property
    def count(self) -> int:
        """Values in it."""
        return self.words[0]  # Word.COUNT; this is asked for each value

    def enlarge(self, depth: int) -> None:
        """Make room for so many values; those that are in it stay."""
        head, old = self.words[Word.HEAD], self._ring.reshape(-1, self._cell)
        ring = np.zeros((depth, self._cell), np.uint8)
        ring[: len(old)] = np.roll(old, -head, axis=0)
        self._ring = ring.reshape(-1)
        self.words[Word.HEAD], self.words[Word.DEPTH] = 0, depth
        self.words[Word.CELLS] = self._ring.ctypes.data

    def grow(self) -> None:
        """Become twice as deep."""
        super().grow()
        self.enlarge(2 * self.words[Word.DEPTH])


class NativeProcesses(Processes):
    """The processes of one run of compiled code.

    Args:
        module: what was compiled.
        sites: its operations by number.
        starts: for each call of a process, the compiled function that runs it.
        progress: reads how much was put and taken so far.
        check: raises what the status of a process stands for.
        depths: those of streams that are not as declared, by name.
        patience: steps that a process takes at most without touching a stream.
    """

    def __init__(
        self, module: Module, sites: Sequence[Site],
        starts: Mapping[int, Callable[[int], int]], progress: Callable[[], int],
        check: Callable[[int], None], depths: Depths, patience: int,
    ) -> None:
        super().__init__(patience)
        self._module = module
        self._sites = sites
        self._starts = starts
        self._progress = progress
        self._check = check
        self._depths = depths
        self._seen = 0
        self.fifos: list[NativeFifo] = []
        self._at: dict[int, NativeFifo] = {}
        self._waits: dict[tuple[int, int], Wait] = {}
        self.errors: list[BaseException] = []
        self.callbacks = self._callbacks()

    def make(self, site: int) -> int:
        """A fresh FIFO; answers where it is."""
        op = self._sites[site]
        assert isinstance(op, MakeStream)
        assert isinstance(op.result.type, StreamType)
        name, declared = op.result.name or "a stream", op.result.type.depth
        depth = self._depths.get(name, declared)
        cell = storage_bits(op.result.type.element) // 8
        fifo = NativeFifo(name, depth, declared, cell, op.undeclared)
        self.fifos.append(fifo)
        self._at[fifo.address] = fifo
        return fifo.address

    def wait(self, address: int, site: int, for_room: int) -> int:
        """Let others run until a FIFO is no longer full (empty)."""
        fifo = self._at[address]
        if for_room and fifo.depth is None:
            self._limit(fifo)
            fifo.enlarge(2 * fifo.words[Word.DEPTH])
            return 0
        fifo.words[Word.WAITED] = 1
        key = (address, site)
        if key not in self._waits:
            self._waits[key] = Wait(fifo, bool(for_room), self._sites[site].loc)
        self._block(self._waits[key])
        return 0

    def changed(self, address: int) -> int:
        """Wake who waits for what was put or taken."""
        fifo = self._at[address]
        self._changed(fifo)
        fifo.words[Word.WAITED] = len(fifo.waiting)
        return 0

    def aside(self, site: int, looks: int, settled: int) -> int:
        """After looking at a stream, so often, in vain: let the others run first."""
        progress, op = self._progress(), self._sites[site]
        assert isinstance(op, LOOKS)
        if progress != self._seen:
            self._seen = progress
            self._moved()
        self.step_aside(op, looks, settled=bool(settled))
        return 0

    def gone_round(self, site: int, sure: int) -> int:
        """After a loop has gone round for too long: let the others run."""
        loop = self._sites[site]
        assert isinstance(loop, While)
        self.spin(loop, sure=bool(sure))
        return 0

    def start(self, site: int, block: int) -> int:
        """Start a process with the arguments that are in a block of memory."""
        call = self._sites[site]
        assert isinstance(call, Call)
        run = self._starts[site]
        process = self.spawn(call.callee, lambda: self._check(run(block)), call.loc)
        streams = ctypes.cast(block, ctypes.POINTER(ctypes.c_int64))
        self._connect(call, process, streams)
        return 0

    def _connect(self, call: Call, process: Process, block: Any) -> None:  # noqa: ANN401
        """Note at which ends of its streams a process is."""
        sides = used(self._module.func(call.callee), self._module.func)
        for param, at in stream_places(call, self._module.func(call.callee)):
            writes, reads = sides.get(param, ([], []))
            fifo = self._at[block[at]]
            fifo.writer = process if writes else fifo.writer
            fifo.reader = process if reads else fifo.reader

    def end(self) -> None:
        """End the processes that are left, after one has failed; count what FIFOs held."""
        for fifo in self.fifos:
            fifo.most = fifo.words[Word.MOST]
        for process in list(self._alive):
            process.coroutine.throw(greenlet.GreenletExit)

    def _callbacks(self) -> dict[str, Callable[..., int]]:
        """The functions that compiled code calls, by their names there."""
        functions: dict[str, Callable[..., int]] = {
            "streams.make": self.make, "streams.wait": self.wait,
            "streams.changed": self.changed, "streams.aside": self.aside,
            "processes.start": self.start, "processes.join": self._join,
            "processes.spin": self.gone_round,
        }  # fmt: skip
        return {name: self._kept(function) for name, function in functions.items()}

    def _join(self, site: int) -> int:
        self.join(self._sites[site].loc)
        return 0

    def _kept(self, function: Callable[..., int]) -> Callable[..., int]:
        """A function whose exceptions are kept, and end the code that calls it."""
        def call(*args: int) -> int:
            try:
                return function(*args)
            except BaseException as error:
                if not isinstance(error, greenlet.GreenletExit):
                    self.errors.append(error)
                return FAILED

        return call


def stream_places(call: Call, callee: Func) -> list[tuple[Value, int]]:
    """The stream parameters of a process, and where they are in its block (64-bit words)."""
    pairs = zip(callee.args, places(call.args), strict=True)
    return [(param, at) for param, (_, at) in pairs if isinstance(param.type, StreamType)]


SIGNATURES = {name: ctypes.PYFUNCTYPE(*types) for name, types in _SIGNATURES.items()}
"""The types of the functions that compiled code calls."""
