"""How long a run takes where that depends on data, for comparing one schedule with another."""

from __future__ import annotations

from allo_rtl.hls.control import Bounds, Branch, Control, Parallel, Pipelined, Repeat
from allo_rtl.hls.design import Design
from allo_rtl.hls.latency import Environment, Latency

ITERATIONS = 16
"""Iterations that a loop is supposed to have where data decide."""


def supposed_cycles(design: Design) -> int:
    """Cycles of a run in which loops that data end have :data:`ITERATIONS` iterations, conditions
    are decided for the longer branch, and no stream waits."""
    found: dict[str, int | None] = {}
    for function in design.functions:  # callees first
        timing = Supposed(function.schedules, function.control.defined, found, waits=False)
        found[function.name] = timing.body(function.control.body, {})
    return found[design.top.name] or 0


class Supposed(Latency):
    """Latency of the controls of one function, never None."""

    def control(self, control: Control, env: Environment) -> int | None:
        """Cycles of one control."""
        match control:
            case Repeat(before=before, body=body):
                return ITERATIONS * (self.body((*before, *body), env) or 0)
            case Parallel(calls=calls):
                return max((self._callees[call.callee] or 0 for call in calls), default=0)
            case Branch(condition=condition, then=then, orelse=orelse) if (
                self.value(condition, env) is None
            ):
                return max(self.sequence(x, env) or 0 for x in (then, orelse))
        return super().control(control, env)

    def _trip(self, bounds: Bounds, env: Environment) -> int | None:
        found = super()._trip(bounds, env)
        return ITERATIONS if found is None else found

    def _iterations(self, control: Pipelined, env: Environment) -> int | None:
        found = super()._iterations(control, env)
        return ITERATIONS if found is None else found
