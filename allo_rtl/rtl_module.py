"""A kernel compiled to RTL: its Verilog, its ports, its report, and a call that simulates it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from allo_rtl.errors import AlloError, CallError, Deadlock
from allo_rtl.hls.chart import render_svg_report
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.design import Design
from allo_rtl.hls.render import render_json, render_table
from allo_rtl.hls.report import KernelReport
from allo_rtl.hls.report_builder import build_report
from allo_rtl.hls.run_interval import run_interval
from allo_rtl.ir.history import StepReport
from allo_rtl.rtl.interface import KernelInterface
from allo_rtl.rtl.kernel import Emitted, KernelComponent, emit
from allo_rtl.rtl.ports import interface
from allo_rtl.sim.bench import Case, write_bench
from allo_rtl.sim.cases import random_case
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.marshal import Raw, Signature, call_with_numpy
from allo_rtl.sim.probes import Watched, patience, watch, with_depths
from allo_rtl.sim.profile import Profile, Recording, with_savings
from allo_rtl.sim.reference import to_stdout
from allo_rtl.sim.stalls import Stalls
from allo_rtl.sim.what_if import savings
from allo_rtl.target import Device, device
from allo_rtl.utils import write_files

if TYPE_CHECKING:
    from allo_rtl.boards.bitstream import Bitstream


def _signature(design: Design) -> Signature:
    """What the kernel takes and returns, in the types of the user's."""
    func = design.module.top_func
    names = (name for name, _ in Signature.of(func).args)
    args = tuple(zip(names, design.user_types, strict=False))
    return Signature(func.name, args, design.user_types[len(args) :])


def _copies(args: Sequence[Raw]) -> list[Raw]:
    return [a if isinstance(a, int) else a.copy() for a in args]


def _cycles_of(design: Design, args: Sequence[Raw]) -> int:
    """Length of a run of a design that is simulated for that alone."""
    rtl = RtlModule(design)
    rtl.output = lambda line: None
    rtl.run_raw(_copies(args))
    assert rtl.measured_cycles is not None
    return rtl.measured_cycles


class RtlModule:
    """A kernel in hardware; made by ``schedule.build(target="rtl")``.

    Calling it with numpy arrays, exactly as the CPU build, runs the Verilog in Verilator.

    Attributes:
        design: the timed design.
        measured_cycles: length of the last simulated run in cycles, None before the first.
        starts, ends: cycles in which runs of the last :meth:`run_many` started and ended.
        output: takes each line that the kernel prints; a user may set another one.
        trace: the waveform file being written, or None.
        stalls: how simulated runs make the kernel wait at its streams; None is never.  A user may
            set it; with it the number of cycles is no longer the predicted one.
    """

    def __init__(
        self, design: Design, *, trace: Path | None = None,
        steps: Callable[[], Sequence[StepReport]] = tuple,
    ) -> None:
        self.design = design
        self._find_steps = steps
        self.measured_cycles: int | None = None
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.output: Callable[[str], None] = to_stdout
        self.stalls: Stalls | None = None
        self._trace = trace
        self._signature = _signature(design)

    @property
    def name(self) -> str:
        """The kernel's name: that of the Verilog top module."""
        return self.interface.name

    @cached_property
    def _steps(self) -> tuple[StepReport, ...]:
        return tuple(self._find_steps())

    @cached_property
    def predicted_cycles(self) -> int | None:
        """Cycles of a run as scheduled; None when they depend on data, or it never ends.

        The report says which.
        """
        return run_cycles(self.design)

    @cached_property
    def predicted_interval(self) -> Fraction | None:
        """Cycles from one start to the next where runs overlap, on average after the first ones.

        None where they do not, or where it is not known; ``report().runs`` has what sets it.
        """
        found = run_interval(self.design)
        return found.interval if found else None

    @property
    def cycles(self) -> int | None:
        """Cycles of the last run, or the prediction when there was none."""
        return self.predicted_cycles if self.measured_cycles is None else self.measured_cycles

    @cached_property
    def interface(self) -> KernelInterface:
        """The ports of the kernel."""
        return interface(self.design, self.design.top)

    @cached_property
    def component(self) -> KernelComponent:
        """The kernel as an Amaranth component, to be used once in a design of your own.

        Its members are the signals of :attr:`interface`; it lives in the domain ``sync``.
        """
        return KernelComponent(self.design)

    @cached_property
    def verilog(self) -> str:
        """Verilog of the kernel and everything below it; the same text every time."""
        return self._emitted.verilog

    @cached_property
    def _emitted(self) -> Emitted:
        return emit(self.design)

    @cached_property
    def _simulation(self) -> Simulation:
        return Simulation(
            self.verilog, self.interface, trace=self._trace, sites=tuple(self.design.sites),
            output=lambda line: self.output(line),
            watched=self._watched, patience=patience(self.design),
        )

    @cached_property
    def _watched(self) -> Watched | None:
        return watch(self.design, self._emitted.taps)

    @property
    def trace(self) -> Path | None:
        """The waveform file; a VCD is complete after every call, an FST when Python ends."""
        return self._simulation.trace

    def report(self) -> KernelReport:
        """Cycles, initiation intervals, memories and units; ``print(rtl.report())`` draws it.

        It has each primitive of the schedule with what it changed, too.
        """
        report = build_report(self.design)
        notes = (*report.notes, *(note for step in self._steps for note in step.notes))
        return replace(report, notes=notes, steps=self._steps)

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - the kernel's own signature
        """Simulate a run; see :func:`allo_rtl.sim.marshal.call_with_numpy`.

        What the kernel prints is printed; stateful arrays keep what the run before left.

        Raises:
            CallError: the arguments do not fit.
            AssertionFailed: an assertion of the kernel.
            Deadlock: the processes of a region wait for each other; it says which depths of
                streams would do.
            SimulationError: it wrote outside an array, or does not end.
        """
        return call_with_numpy(self._signature, args, self.run_raw)

    def run_many(self, runs: Sequence[Sequence[Any]]) -> list[Any]:
        """Simulate several runs, each started as soon as the kernel is ready for it.

        All arguments and results have to be streams.  With ``build(..., overlap_runs=n)`` runs of a
        region overlap; else each follows the one before without a break.

        Args:
            runs: the arguments of each run; arrays are changed as by a call.

        Returns:
            What each run returns.  The cycles in which runs were started and ended, counted from
            the first start, are in ``starts`` and ``ends``.

        Raises:
            CallError: the kernel has other arguments or results, or there are no runs; and what
                a call raises.
        """
        raws: list[list[Raw]] = []
        outcome: list[list[Raw]] = []
        returned: list[Any] = []

        def lowered(raw: list[Raw]) -> list[Raw]:
            """Go on with the next run's arguments; when all are there simulate."""
            number = len(raws)
            raws.append(raw)
            call_next()
            return outcome[number]

        def call_next() -> None:
            if len(raws) < len(runs):
                returned.append(call_with_numpy(self._signature, runs[len(raws)], lowered))
            else:
                found = self._simulation.run_many(raws, stalls=self.stalls)
                outcome[:], self.starts, self.ends = found

        call_next()
        return returned[::-1]

    def profile(self, *args: Any, what_if: bool = False) -> Profile:  # noqa: ANN401
        """Simulate a run of a region and say what each of its processes did in each cycle.

        Args:
            args: those of a call; arrays are changed as by one.
            what_if: also try out which FIFOs, made deeper, save how many cycles.  Each is built
                and simulated with the same arguments, after a reset, which takes a while.

        Returns:
            The profile: ``print`` shows a table; it has ``json()``, ``chrome_trace()`` for
            Perfetto, and ``svg()``.

        Raises:
            CallError: the kernel has no processes; and what a call raises.
        """
        watched = self._watched
        if watched is None:
            raise CallError(f"'{self.name}' has no processes to profile", allowed="a region")
        found: list[Profile] = []

        def run(raw: list[Raw]) -> list[Raw]:
            before = _copies(raw)
            recording = Recording(self.name, self._simulation, watched)
            try:
                results = self.run_raw(raw)
                assert self.measured_cycles is not None
                profile = recording.profile(self.measured_cycles)
            finally:
                recording.stop()
            if what_if:
                tried = savings(self.design, profile, lambda d: _cycles_of(d, before))
                profile = with_savings(profile, tried)
            found.append(profile)
            return results

        call_with_numpy(self._signature, args, run)
        return found[0]

    def reset(self) -> None:
        """Apply the kernel's reset: stateful arrays are then as before the first run."""
        self._simulation.reset()

    def run_raw(self, args: list[Raw]) -> list[Raw]:
        """Simulate a run on raw arguments (see :mod:`allo_rtl.sim.marshal`)."""
        before = _copies(args) if self._watched else []
        try:
            results, self.measured_cycles = self._simulation.run(args, stalls=self.stalls)
        except Deadlock as deadlock:
            raise with_depths(deadlock, self.design, before) from None
        return results

    def write(self, folder: Path | str) -> list[Path]:
        """Write the Verilog, the report and a cocotb bench with random data.

        Files: ``<kernel>.v``, ``report.txt``, ``report.json``, ``report.svg``,
        ``test_<kernel>.py`` and what it needs.  Existing files of these names are replaced.
        There is no bench, and a ``UserWarning`` says why, when the kernel fails on whatever
        random data (an assertion, a subscript out of range, a loop without end).

        Returns:
            The paths written.
        """
        folder = Path(folder)
        report = self.report()
        texts = {
            "report.txt": render_table(report),
            "report.json": render_json(report),
            "report.svg": render_svg_report(report),
        }
        try:
            paths = write_bench(folder, self.verilog, self.interface, self._cases())
        except AlloError as error:
            warnings.warn(f"no bench is written: {error.message}", stacklevel=2)
            folder.mkdir(parents=True, exist_ok=True)
            paths, texts[f"{self.name}.v"] = [], self.verilog
        return [*paths, *write_files(folder, texts)]

    def _cases(self, count: int = 2, seed: int = 0) -> list[Case]:
        """Random runs with their answers, for the bench."""
        random = np.random.default_rng(seed)
        cycles = self.predicted_cycles
        return [random_case(self.design.module, random, cycles) for _ in range(count)]

    def bitstream(
        self,
        board: str,
        *,
        folder: Path | str = "build",
        clock_mhz: float | None = None,
        rounds: int = 3,
        progress: Callable[[str], None] | None = None,
    ) -> Bitstream:
        """Build a bitstream with the kernel, its arrays in block RAM and a UART link.

        The kernel is first built as it was scheduled by ``build``; a ``UserWarning`` says so when
        that was for a chip of another family or a slower clock.  When it misses its clock, what
        place and route says of its longest path goes back into the schedule, and it is built
        again; ``changes`` of the result tells what was done.  This module stays as it is.

        Args:
            board: "icebreaker", "ulx3s-85f" or "tang-nano-9k".
            folder: where the files go, in a folder named after the board.
            clock_mhz: the kernel's clock; the board's oscillator by default.
            rounds: how often it is scheduled and built again, at most; 0 for never.
            progress: called with a line of text at each step.

        Raises:
            BuildError: an argument is a stream, for the link fills and reads memories.
            ToolError: a tool is missing or failed (a design that does not fit, for example).
        """
        from allo_rtl.boards.bitstream import build_closed
        from allo_rtl.boards.catalog import board as find_board

        target = find_board(board)
        self._warn_of_other_target(device(target.device), clock_mhz or target.oscillator_mhz)
        return build_closed(
            self.design, board, folder=Path(folder), clock_mhz=clock_mhz, rounds=rounds,
            progress=progress,
        )  # fmt: skip

    def _warn_of_other_target(self, board_device: Device, clock_mhz: float) -> None:
        """Warn the caller's caller when the schedule was made for something else."""
        made = self.design
        if made.device.family == board_device.family and made.clock_mhz >= clock_mhz:
            return
        warnings.warn(
            f"'{self.name}' was scheduled for {made.device.name} at {made.clock_mhz:g} MHz and "
            f"runs on {board_device.name} at {clock_mhz:g} MHz; its clock may be missed. Build it "
            f'with device="{board_device.name}", clock_mhz={clock_mhz:g}',
            stacklevel=3,
        )
