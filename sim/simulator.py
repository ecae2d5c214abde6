"""The simulator of regions: processes compiled for this machine, FIFOs of the declared depths.

It computes what the evaluator does, in the same order of steps, with compiled code in between.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NoReturn

from allo_rtl.errors import BuildError, Deadlock
from allo_rtl.ir.ops import Call, Module
from allo_rtl.ir.processes import Depths, Run, enough
from allo_rtl.ir.spins import PATIENCE
from allo_rtl.sim.cpu import CpuModule
from allo_rtl.sim.llvm_streams import LOOKED, PROGRESS
from allo_rtl.sim.llvm_streams import PATIENCE as LIMIT
from allo_rtl.sim.marshal import Raw
from allo_rtl.sim.native_processes import FAILED, SIGNATURES, NativeProcesses
from allo_rtl.sim.reference import Output, to_stdout

_MOST = 1 << 62
"""The most steps that compiled code counts."""


class SimulatorModule(CpuModule):
    """A module with regions, compiled; made by ``df.build(region)``.

    Calling it is like calling any CPU build.  A call may not be made while another one runs.

    Attributes:
        patience: steps that a process takes at most without touching a stream, where it is not
            known whether it ends; a user may set another number.
    """

    def __init__(
        self, module: Module, *, output: Output = to_stdout, patience: int = PATIENCE
    ) -> None:
        """Compile a verified module; raises what :class:`CpuModule` does."""
        self.patience = patience
        self._run: NativeProcesses | None = None
        super().__init__(module, output=output)
        engine = self.execution_engine
        self._progress = ctypes.c_int64.from_address(engine.get_global_value_address(PROGRESS))
        self._looked = ctypes.c_int64.from_address(engine.get_global_value_address(LOOKED))
        self._limit = ctypes.c_int64.from_address(engine.get_global_value_address(LIMIT))
        start = ctypes.PYFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
        self._starts = {
            n: start(engine.get_function_address(f"process.{n}"))
            for n, op in enumerate(self._code.sites) if isinstance(op, Call)
        }
        self._stateful = any(g.stateful for g in self.intermediate_module.globals)

    def _hooks(self) -> dict[str, Any]:
        """What the code calls goes to the run that is under way."""
        def hook(name: str) -> Callable[..., int]:
            def call(*args: int) -> int:
                assert self._run is not None
                return self._run.callbacks[name](*args)

            return call

        return super()._hooks() | {name: t(hook(name)) for name, t in SIGNATURES.items()}

    def profile(self, *args: object, **options: object) -> NoReturn:
        """What a run spends its cycles on is known of hardware only: raises BuildError."""
        raise BuildError(
            "the simulator knows no clock cycles, so there is none to profile",
            hint='df.build(region, target="rtl").profile(...) simulates the hardware',
        )

    def run_raw(self, raw: list[Raw]) -> list[Raw]:
        """Run on raw arguments, arrays changed in place (see :mod:`allo_rtl.sim.marshal`)."""
        before = _copies(raw)
        try:
            return self._once(raw, {})
        except Deadlock as deadlock:
            raise self._explained(deadlock, before) from None

    def _once(self, raw: list[Raw], depths: Depths) -> list[Raw]:
        self._looked.value, self._limit.value = 0, min(self.patience, _MOST)
        self._run = NativeProcesses(
            self.intermediate_module, self._code.sites, self._starts,
            lambda: self._progress.value, self._ended, depths, self.patience,
        )  # fmt: skip
        try:
            return super().run_raw(raw)
        finally:
            self._run.end()

    def _ended(self, status: int) -> None:
        """A process has ended with a status."""
        if status != FAILED:
            self._check(status)

    def _check(self, status: int) -> None:
        """Raise what happened in a run."""
        if self._run is not None and self._run.errors:
            raise self._run.errors[0]
        super()._check(status)

    def _explained(self, deadlock: Deadlock, before: list[Raw]) -> Deadlock:
        """A deadlock with the depths that would do, found by runs with deeper FIFOs."""
        hint = None
        if not self._stateful:  # else a run again is another one
            output, self.output = self.output, lambda line: None
            try:
                depths = enough(lambda depths: self._again(before, depths), deadlock.full)
            finally:
                self.output = output
            text = ", ".join(f"{name} {depth}" for name, depth in depths.items())
            hint = f"with these depths it would not wait: {text}" if depths else None
        return Deadlock(
            deadlock.message.removeprefix("deadlock: "), notes=deadlock.notes,
            full=deadlock.full, hint=hint,
        )  # fmt: skip

    def _again(self, before: list[Raw], depths: Depths) -> Run:
        """A run in which some FIFOs have other depths."""
        steps = self._progress.value
        self._once(_copies(before), depths)
        assert self._run is not None
        return Run(self._run.fifos, self._progress.value - steps)


def _copies(raw: list[Raw]) -> list[Raw]:
    return [r if isinstance(r, int) else r.copy() for r in raw]
