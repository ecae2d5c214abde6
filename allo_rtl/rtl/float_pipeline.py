"""Units as chains of steps, and registers put between the steps.

A unit is written once, as steps in order; how many registers it gets, and between which steps,
is decided for each instance, so that the longest way between two registers is short.  Operands
are taken every cycle; the registers have no enable and no reset.
"""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Module, ShapeLike, Signal, Value

from allo_rtl.hls.float_timing import balance
from allo_rtl.rtl.units import Namer

type Recipe = Callable[[Pipeline], Value]
"""Builds a unit in a pipeline, ends all its steps and gives its result."""


class Pipeline:
    """A unit in the making: the present step, and where there are registers.

    Args:
        m: takes the logic and the registers; None to find out the steps only.
        name: makes signals.
        registered: numbers of the steps that end in a register, from 0.
    """

    def __init__(
        self, m: Module | None, name: Namer, registered: frozenset[int] = frozenset()
    ) -> None:
        self.delays: list[float] = []
        self._m = m
        self._name = name
        self._registered = registered

    @property
    def step(self) -> int:
        """Number of the present step."""
        return len(self.delays)

    def end_step(self, delay: float) -> None:
        """Go on to the next step; the logic since the last one takes ``delay`` nanoseconds."""
        self.delays.append(delay)

    def signal(self, value: Value, name: str) -> Signal:
        """``value`` as a signal, for use within this step only."""
        signal = self._name.signal(value.shape(), name)
        if self._m is not None:
            self._m.d.comb += signal.eq(value)
        return signal

    def keep(self, value: Value, name: str) -> Kept:
        """``value`` for use in this step and all that come."""
        return Kept(self, self.signal(value, name), name)

    def register(self, value: Value, name: str) -> Signal:
        """``value`` one cycle later."""
        register = self._name.signal(value.shape(), name, reset_less=True)
        if self._m is not None:
            self._m.d.sync += register.eq(value)
        return register

    def registered(self, step: int) -> bool:
        """Whether there is a register between a step and the next one."""
        return step in self._registered


class Kept:
    """A value that moves along a pipeline, by registers that are made when they are needed."""

    def __init__(self, pipeline: Pipeline, signal: Signal, name: str) -> None:
        self._pipeline = pipeline
        self._signal = signal
        self._step = pipeline.step
        self._name = name

    @property
    def now(self) -> Signal:
        """The value as it is in the present step."""
        while self._step < self._pipeline.step:
            if self._pipeline.registered(self._step):
                self._signal = self._pipeline.register(self._signal, self._name)
            self._step += 1
        return self._signal


def build(m: Module, recipe: Recipe, *, stages: int, name: Namer) -> Value:
    """Build a unit whose result comes ``stages`` cycles after its operands.

    The last register holds the result.  Stages beyond the number of steps are registers behind
    it.

    Raises:
        ValueError: ``stages`` is negative.
    """
    if stages < 0:
        raise ValueError(f"a unit has 0 stages or more, not {stages}")
    delays = step_delays(recipe)
    pipeline = Pipeline(m, name, balance(delays, stages))
    result: Value = pipeline.signal(recipe(pipeline), "result")
    surplus = max(0, stages - len(delays)) + (stages > 0)
    for _ in range(surplus):
        result = pipeline.register(result, "result")
    return result


def step_delays(recipe: Recipe) -> list[float]:
    """How long each step of a unit takes; as many stages can be put to use."""
    trial = Pipeline(None, _Trial())
    recipe(trial)
    return trial.delays


class _Trial:
    """Makes signals that no hardware is made of."""

    def signal(self, shape: ShapeLike, base: str, *, reset_less: bool = False) -> Signal:
        return Signal(shape, name=base, reset_less=reset_less)
