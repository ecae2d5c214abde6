"""A kernel's Verilog behind a Python call: arguments in, results and the cycle count out."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import AssertionFailed, CallError, Deadlock, SimulationError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Assert, Print
from allo_rtl.ir.types import ArrayType
from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    Direction,
    KernelInterface,
    ScalarPort,
)
from allo_rtl.sim.driver import (
    arrays_of,
    driver_cpp,
    numbered_banks,
    numbered_streams,
    watched_probes,
    wrapper_name,
    wrapper_verilog,
)
from allo_rtl.sim.marshal import Raw, Words, int_of_word, word_count, word_of_int
from allo_rtl.sim.packing import from_stream, to_stream
from allo_rtl.sim.probes import HELD_BACK, IN_VAIN, Watched, explain
from allo_rtl.sim.reference import to_stdout
from allo_rtl.sim.replay import read_lines, replay
from allo_rtl.sim.stalls import Stalls
from allo_rtl.sim.verilator import WaveFormat, compile_library
from allo_rtl.sim.waves import choose_format, start_file

_UNKNOWN_LATENCY_LIMIT = 10_000_000
_FAILURES = {-1: "time out", -2: "outside", -3: "not ready", -5: "wrong word"}
_ASSERTED, _DEADLOCK = -4, -6


class Simulation:
    """One simulated instance of a kernel, after reset.

    Runs follow each other without a reset in between; every run gets its arguments anew, and
    finds the state that the one before left.

    Args:
        verilog: text of the kernel and all modules below it.
        interface: its ports.
        trace: file for waveforms of everything from now on.  The suffix ``.vcd`` asks for that
            format; otherwise it is FST where that can be compiled, else VCD, and the suffix is
            set to match: see :attr:`trace`.
        sites: the kernel's prints and assertions, by number (:attr:`Design.sites`).
        output: called with each line that the kernel prints, after a run.
        watched: the processes of a region, which may wait for each other; after ``patience``
            cycles in which all do that is a deadlock.

    Raises:
        SimulationError: the Verilog cannot be simulated, or the waveforms not written.
        ToolError: the compiler is missing or fails.
    """

    trace: Path | None
    """The waveform file, or None; complete after :meth:`close` (VCD also after every run)."""

    def __init__(
        self,
        verilog: str,
        interface: KernelInterface,
        *,
        trace: Path | None = None,
        sites: Sequence[Print | Assert] = (),
        output: Callable[[str], None] = to_stdout,
        watched: Watched | None = None,
        patience: int = 0,
    ) -> None:
        self.interface = interface
        self._watched, self._patience = watched, patience
        self._sites, self._output = sites, output
        format, self.trace = choose_format(trace) if trace else (None, None)
        if self.trace:
            start_file(self.trace)
        self._library = _load(
            compile_kernel(verilog, interface, trace=format, watched=watched)
        )
        path = str(self.trace).encode() if self.trace else None
        self._handle = ctypes.c_void_p(self._library.simulation_new(path))
        self._close = weakref.finalize(self, self._library.simulation_free, self._handle)

    def close(self) -> None:
        """End the simulation and its waveform file; it cannot run after that."""
        self._close()

    def reset(self) -> None:
        """Apply the kernel's reset for two cycles; state is then what it was at first."""
        self._check_open()
        self._library.simulation_reset(self._handle)

    def run(
        self, args: Sequence[Raw], *, max_cycles: int | None = None, stalls: Stalls | None = None
    ) -> tuple[list[Raw], int]:
        """Run the kernel once.

        Args:
            args: raw arguments as in :mod:`allo_rtl.sim.marshal`; arrays that the kernel writes
                are changed in place.  Before the run array results hold a pattern, not zeros.
            max_cycles: give up after so many; by default 2 * latency + 1000, or 10 million when
                the latency depends on data or there are stalls.
            stalls: how to make the kernel wait at its streams; by default never.

        Returns:
            The raw results, and the run's length in cycles as :mod:`allo_rtl.rtl.interface`
            counts them.

        Raises:
            CallError: the arguments do not fit the interface.
            SimulationError: no done within the limit, or a write outside an array.  The kernel
                is reset then; arrays hold what it wrote so far.
            AssertionFailed: an assertion of the kernel; likewise.
            Deadlock: all processes of a region wait for each other; likewise.
        """
        self._check_open()
        ports = self.interface.args
        arrays = list(zip(arrays_of(self.interface), self._arrays(args), strict=True))
        memories = [_scatter(port, words) for port, words in arrays]
        scalars = [_scalar_words(p, a) for p, a in zip(ports, args, strict=True)
                   if isinstance(p, ScalarPort)]
        limit = self._limit(stalls) if max_cycles is None else max_cycles
        chance = (stalls.seed % (1 << 64), stalls.percent) if stalls else (0, 0)
        patience = self._patience * (HELD_BACK if stalls else 1)
        self._library.simulation_stall(self._handle, *chance)
        cycles, raw = self._call(memories, scalars, limit, patience)
        for (port, words), memory in zip(arrays, memories, strict=True):
            _gather(port, memory, words)
        self._replay(cycles)
        if cycles < 0:
            raise self._failure(cycles, limit)
        return self._results(raw, [w for _, w in arrays]), cycles

    def run_many(
        self, runs: Sequence[Sequence[Raw]], *, stalls: Stalls | None = None
    ) -> tuple[list[list[Raw]], list[int], list[int]]:
        """Run a kernel whose arguments and results are streams several times, as fast as it goes.

        Args:
            runs: the raw arguments of each run; arrays that are written are changed in place.
            stalls: how to make the kernel wait at its streams; by default never.

        Returns:
            The raw results of each run, the cycles in which runs were started, and in which they
            ended, counted from the first start.

        Raises:
            CallError: the kernel has other arguments or results, or there are no runs.
            SimulationError, AssertionFailed, Deadlock: see :meth:`run`.
        """
        self._check_open()
        ports = arrays_of(self.interface)
        others = [p for p in (*self.interface.args, *self.interface.results)
                  if not isinstance(p, ArrayStream)]
        if others or not runs:
            what = f"'{others[0].name}' is no stream" if others else "there are no runs"
            raise CallError(f"{what}: runs follow each other without a break where all are streams")
        every = [self._arrays(args) for args in runs]
        memories = [
            np.concatenate([_scatter(port, arrays[n]) for arrays in every])
            for n, port in enumerate(ports)
        ]
        starts, ends = (np.zeros(len(runs), np.uint64) for _ in range(2))
        limit = len(runs) * self._limit(stalls)
        chance = (stalls.seed % (1 << 64), stalls.percent) if stalls else (0, 0)
        self._library.simulation_stall(self._handle, *chance)
        pointers = (ctypes.c_void_p * max(1, len(memories)))(*(m.ctypes.data for m in memories))
        outcome = int(self._library.simulation_run_many(
            self._handle, pointers, len(runs), starts.ctypes.data, ends.ctypes.data, limit,
            self._patience * (HELD_BACK if stalls else 1), IN_VAIN,
        ))  # fmt: skip
        for n, port in enumerate(ports):
            for arrays, memory in zip(every, np.split(memories[n], len(runs)), strict=True):
                _gather(port, memory, arrays[n])
        self._replay(outcome)
        if outcome < 0:
            raise self._failure(outcome, limit)
        count = len(self.interface.args)
        results = [list[Raw](arrays[count:]) for arrays in every]
        return results, [int(c) for c in starts], [int(c) for c in ends]

    def _arrays(self, args: Sequence[Raw]) -> list[Words]:
        """The arrays of a run's arguments, and new ones for its results."""
        if len(args) != len(self.interface.args):
            name, count = self.interface.name, len(self.interface.args)
            raise CallError(f"'{name}' takes {count} arguments, {len(args)} were given")
        given = [_checked(p, a) for p, a in zip(self.interface.args, args, strict=True)
                 if not isinstance(p, ScalarPort)]
        return given + [unwritten(p.type) for p in self.interface.results
                        if not isinstance(p, ScalarPort)]

    def record(self, table: Words, processes: int) -> None:
        """Record what processes do in the runs that follow; none of them ends that.

        Args:
            table: see Recorder in the driver; its bits are those of :func:`watched_probes`.
            processes: how many there are in it.
        """
        words = -(-len(watched_probes(self._watched)) // 64)
        self._library.simulation_record(self._handle, table.ctypes.data, processes, words)

    def recorded(self, states: int) -> tuple[Words, Words]:
        """What the last run recorded: cycles of each of ``states``, and (cycle, process, state).

        The second has a row for each cycle in which a process does something else than before.
        """
        counts = np.zeros(states, np.uint64)
        changes = self._library.simulation_counts(self._handle, counts.ctypes.data)
        rows = np.zeros((changes, 3), np.uint64)
        self._library.simulation_changes(self._handle, rows.ctypes.data)
        return counts, rows

    def _replay(self, outcome: int) -> None:
        """Output what the run printed; a failed assertion is the last that it did."""
        text = self._library.simulation_text(self._handle).decode()
        try:
            replay(self._sites, read_lines(text), self._output)
        except AssertionFailed:
            self.reset()
            raise
        assert outcome != _ASSERTED, "an assertion failed that is not among the sites"

    def _limit(self, stalls: Stalls | None) -> int:
        latency = self.interface.latency
        return _UNKNOWN_LATENCY_LIMIT if latency is None or stalls else 2 * latency + 1000

    def _call(
        self, memories: list[Words], scalars: list[Words], limit: int, patience: int
    ) -> tuple[int, Words]:
        pointers = (ctypes.c_void_p * max(1, len(memories)))(*(m.ctypes.data for m in memories))
        given = np.concatenate([np.zeros(0, np.uint64), *scalars])
        results = [p for p in self.interface.results if isinstance(p, ScalarPort)]
        raw = np.zeros(sum(word_count(p.type) for p in results), np.uint64)
        cycles = self._library.simulation_run(
            self._handle, pointers, given.ctypes.data, raw.ctypes.data, limit, patience,
            IN_VAIN,
        )
        return int(cycles), raw

    def _results(self, raw: Words, arrays: list[Words]) -> list[Raw]:
        """Scalars out of ``raw`` and the last of ``arrays``, in the order of the results."""
        results = self.interface.results
        scalars = sum(isinstance(p, ScalarPort) for p in results)
        fresh = iter(arrays[len(arrays) - len(results) + scalars :])
        found: list[Raw] = []
        for port in results:
            if not isinstance(port, ScalarPort):
                found.append(next(fresh))
            else:
                count = word_count(port.type)
                found.append(int_of_word(raw[:count], port.type))
                raw = raw[count:]
        return found

    def _handed_over(self) -> list[str]:
        """How far each stream came."""
        streams = [port for _, port in numbered_streams(self.interface)]
        words = (ctypes.c_uint64 * max(1, len(streams)))()
        self._library.simulation_progress(self._handle, words)
        return [
            f"stream '{port.name}': {count} of {port.words} words were "
            f"{'taken' if port.direction is Direction.READ else 'put'}"
            for port, count in zip(streams, words, strict=False)
        ]

    def _failure(self, code: int, limit: int) -> SimulationError:
        """The error for a run that ended with ``code``; resets the kernel."""
        if code == _DEADLOCK:
            error = self._deadlock()
            self.reset()
            return error
        banks = [bank for _, _, bank in numbered_banks(self.interface)]
        used = (_Activity * max(1, len(banks)))()
        self._library.simulation_activity(self._handle, used)
        self.reset()
        name = self.interface.name
        match _FAILURES[code]:
            case "outside":
                bank, at = min(
                    ((b, u) for b, u in zip(banks, used, strict=False) if u.outside),
                    key=lambda pair: int(pair[1].outside),
                )
                return SimulationError(
                    f"'{name}' wrote outside an array in cycle {at.outside}: address {at.address} "
                    f"of port group '{bank.name}', which has {bank.depth} words",
                    hint="a subscript that depends on data is out of range",
                )
            case "wrong word":
                return SimulationError(
                    f"'{name}' put more words to a stream than the array has, or tlast at another"
                )
            case "not ready":
                return SimulationError(f"'{name}' is not ready to start after its reset")
        notes = [(_last_use(b.name, u), None) for b, u in zip(banks, used, strict=False)]
        notes += [(text, None) for text in self._handed_over()]
        return SimulationError(
            f"'{name}' was not done after {limit} cycles", notes=notes,
            hint="pass a larger max_cycles if the kernel needs more",
        )

    def _deadlock(self) -> Deadlock:
        """Who waits for whom now."""
        assert self._watched is not None
        numbers = {p: n for n, p in enumerate(watched_probes(self._watched))}
        words = np.zeros(-(-len(numbers) // 64), np.uint64)
        self._library.simulation_probes(self._handle, words.ctypes.data)
        return explain(
            self._watched, lambda p: bool(int(words[numbers[p] // 64]) >> numbers[p] % 64 & 1)
        )

    def _check_open(self) -> None:
        if not self._close.alive:
            raise SimulationError(f"the simulation of '{self.interface.name}' was closed")


def compile_kernel(
    verilog: str, interface: KernelInterface, *, trace: WaveFormat | None = None,
    watched: Watched | None = None,
) -> Path:
    """The shared library that :class:`Simulation` uses; a second call finds it in the cache."""
    text, driver = wrapper_verilog(interface, watched) + verilog, driver_cpp(interface, watched)
    return compile_library(text, wrapper_name(interface), driver, trace=trace)


class _Activity(ctypes.Structure):
    """Mirror of Activity in driver.cpp."""

    _fields_ = [(n, ctypes.c_uint64) for n in ("read", "written", "outside", "address")]


@cache
def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    library.simulation_new.restype = pointer
    library.simulation_new.argtypes = [ctypes.c_char_p]
    library.simulation_free.argtypes = [pointer]
    library.simulation_free.restype = None
    library.simulation_reset.argtypes = [pointer]
    library.simulation_reset.restype = None
    counts = [ctypes.c_uint64] * 3
    library.simulation_run.argtypes = [pointer, pointer, pointer, pointer, *counts]
    library.simulation_run.restype = ctypes.c_int64
    library.simulation_run_many.argtypes = [
        pointer, pointer, counts[0], pointer, pointer, *counts,
    ]  # fmt: skip
    library.simulation_run_many.restype = ctypes.c_int64
    library.simulation_progress.argtypes = [pointer, pointer]
    library.simulation_progress.restype = None
    library.simulation_stall.argtypes = [pointer, ctypes.c_uint64, ctypes.c_uint64]
    library.simulation_stall.restype = None
    library.simulation_activity.argtypes = [pointer, pointer]
    library.simulation_activity.restype = None
    library.simulation_record.argtypes = [pointer, pointer, *counts[:2]]
    library.simulation_record.restype = None
    library.simulation_counts.argtypes = [pointer, pointer]
    library.simulation_counts.restype = ctypes.c_uint64
    library.simulation_changes.argtypes = [pointer, pointer]
    library.simulation_changes.restype = None
    library.simulation_probes.argtypes = [pointer, pointer]
    library.simulation_probes.restype = None
    library.simulation_text.argtypes = [pointer]
    library.simulation_text.restype = ctypes.c_char_p
    return library


def unwritten(type: ArrayType) -> Words:
    """What a result's memory holds before a run, in a simulation: ones in every even bit."""
    count = word_count(type.element)
    words = np.full((type.size, count), 0x5555555555555555, np.uint64)
    words[:, -1] &= np.uint64((1 << (type.element.bits - 64 * (count - 1))) - 1)
    return words


def element_positions(type: ArrayType) -> npt.NDArray[np.int64]:
    """bank * depth + address of every element, in row-major order of the elements."""
    layout = Layout(type)
    bank = address = np.zeros((1,) * type.rank, np.int64)
    for dim, extent in enumerate(type.shape):
        pairs = [layout.split(dim, AffineExpr.constant(x)) for x in range(extent)]
        along = tuple(-1 if d == dim else 1 for d in range(type.rank))
        bank = bank * layout.bank_counts[dim] + np.reshape([b.const for b, _ in pairs], along)
        address = address * layout.bank_shape[dim] + np.reshape([a.const for _, a in pairs], along)
    return (bank * layout.depth + address).reshape(-1)


@lru_cache(256)
def _scattered_positions(type: ArrayType) -> npt.NDArray[np.int64] | None:
    """:func:`element_positions`, or None when memory order is element order."""
    return element_positions(type) if type.partition else None


def _scatter(port: ArrayPort | ArrayStream, words: Words) -> Words:
    """Memory of all banks, (banks * depth, words); it is the argument itself if in one bank.

    Of a stream its words, one after the other.
    """
    if isinstance(port, ArrayStream):
        return to_stream(port, words)
    positions = _scattered_positions(port.type)
    if positions is None:
        return words
    layout = Layout(port.type)
    memory = np.zeros((layout.banks * layout.depth, words.shape[1]), np.uint64)
    memory[positions] = words
    return memory


def _gather(port: ArrayPort | ArrayStream, memory: Words, words: Words) -> None:
    """Copy back what the kernel may have written."""
    if isinstance(port, ArrayStream):
        if port.direction is Direction.WRITE:
            words[:] = from_stream(port, memory)
        return
    positions = _scattered_positions(port.type)
    if positions is not None and port.direction in (Direction.WRITE, Direction.READ_WRITE):
        words[:] = memory[positions]


def _checked(port: ArrayPort | ArrayStream, arg: Raw) -> Words:
    expected = (prod(port.type.shape), word_count(port.type.element))
    if not isinstance(arg, np.ndarray):
        raise CallError(f"argument '{port.name}' is {arg!r}, not an array of words")
    if arg.shape != expected or arg.dtype != np.uint64 or not arg.flags.c_contiguous:
        raise CallError(
            f"argument '{port.name}' has words of shape {arg.shape} and dtype {arg.dtype}",
            allowed=f"a C-contiguous uint64 array of shape {expected}",
        )
    return arg


def _scalar_words(port: ScalarPort, arg: Raw) -> Words:
    if isinstance(arg, np.ndarray):
        raise CallError(f"argument '{port.name}' is an array, not a number")
    return word_of_int(int(arg), port.type).reshape(-1)


def _last_use(name: str, used: _Activity) -> str:
    read = f"read last in cycle {used.read}" if used.read else "never read"
    written = f"written last in cycle {used.written}" if used.written else "never written"
    return f"port group '{name}' was {read}, {written}"
