"""How many cycles a control tree takes, exactly, where that does not depend on data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allo_rtl.hls.control import (
    Bounds,
    Branch,
    Clear,
    Control,
    Invoke,
    Parallel,
    Pipelined,
    Preset,
    Repeat,
    Sequential,
    Straight,
    Together,
)
from allo_rtl.hls.fold import known
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import leading
from allo_rtl.ir.domain import count
from allo_rtl.ir.ops import Value

CALL_OVERHEAD = 1
"""Cycles between reaching a call and the callee's first cycle (its arguments are registered)."""

type Environment = Mapping[Value, int]


def least(controls: Sequence[Control]) -> int:
    """A lower bound of the cycles of a sequence, 0 when it may take none."""
    return sum(_least(c) for c in controls)


def _least(control: Control) -> int:
    match control:
        case Straight() | Clear() | Invoke() | Parallel():
            return 1
        case Branch(then=a, orelse=b):
            return min(least(a), least(b))
        case Sequential(bounds=bounds):
            return 1 if bounds.is_constant else 0
        case Pipelined(counters=counters) if not control.varies:
            return 1 if all(c.bounds and c.bounds.is_constant for c in counters) else 0
        case Pipelined():
            return 1
        case Repeat(before=before):
            return least(before)
        case Together(branches=branches):
            return max(least(b) for b in branches)
        case Preset():
            return 0


def padding(controls: Sequence[Control]) -> int:
    """Cycles added to a loop's or function's body so that it never takes none: 0 or 1."""
    return 0 if least(controls) else 1


class Latency:
    """Latency of the controls of one function.

    Args:
        schedules: the operation schedule of each region.
        defined: the node that makes each value used across regions.
        callees: latency of the functions it calls, None where it depends on data.
        waits: whether streams make it wait.  Where all of them come from outside, the latency is
            that of a run in which the outside gives and takes a word whenever it is asked to.
    """

    def __init__(
        self,
        schedules: Mapping[Region, OpSchedule],
        defined: Mapping[Value, Node],
        callees: Mapping[str, int | None],
        waits: bool = True,
    ) -> None:
        self._waits = waits
        self._schedules = schedules
        self._defined = defined
        self._callees = callees

    def body(self, controls: Sequence[Control], env: Environment) -> int | None:
        """Cycles of a loop's or function's body, with its padding."""
        total = self.sequence(controls, env)
        return None if total is None else total + padding(controls)

    def sequence(self, controls: Sequence[Control], env: Environment) -> int | None:
        """Cycles of controls one after the other; None when that depends on data."""
        total = 0
        for control in controls:
            cycles = self.control(control, env)
            if cycles is None:
                return None
            total += cycles
        return total

    def control(self, control: Control, env: Environment) -> int | None:
        """Cycles of one control, with the counters of the loops around it in ``env``."""
        match control:
            case Straight(region=region) | Pipelined(region=region) if (
                self._waits and region.uses_streams
            ):
                return None
            case Straight(region=region):
                return self._schedules[region].length
            case Parallel():
                return None
            case Clear(depth=depth):
                return depth
            case Preset():
                return 0
            case Invoke(call=call):
                inner = self._callees[call.callee]
                return None if inner is None else inner + CALL_OVERHEAD
            case Branch(condition=condition, then=then, orelse=orelse):
                return self._branch(condition, then, orelse, env)
            case Together(branches=branches):
                return self._together(branches, env)
            case Repeat():
                return None
            case Pipelined():
                return self._pipelined(control, env)
            case Sequential():
                return self._loop(control, env)

    def _together(
        self, branches: Sequence[Sequence[Control]], env: Environment
    ) -> int | None:
        each = [self.sequence(b, env) for b in branches]
        known = [cycles for cycles in each if cycles is not None]
        return max(known) if len(known) == len(each) else None

    def _branch(
        self, condition: Value, then: Sequence[Control], orelse: Sequence[Control],
        env: Environment,
    ) -> int | None:
        taken = self.value(condition, env)
        if taken is not None:
            return self.sequence(then if taken else orelse, env)
        a, b = self.sequence(then, env), self.sequence(orelse, env)
        return a if a == b else None

    def _trip(self, bounds: Bounds, env: Environment) -> int | None:
        if bounds.is_constant:
            return bounds.trip
        assert isinstance(bounds.lower, Value)
        assert isinstance(bounds.last, Value)
        low, high = self.value(bounds.lower, env), self.value(bounds.last, env)
        if low is None or high is None:
            return None
        return max(0, -(-(high - low) // bounds.step))

    def _pipelined(self, control: Pipelined, env: Environment) -> int | None:
        trip = self._iterations(control, env)
        if trip is None:
            return None
        schedule = self._schedules[control.region]
        assert schedule.ii is not None
        prepared = 1 if control.outside else 0
        # Words of one stream are collected one a cycle, the last in the cycle of its iteration.
        gets = [n.stream.stream for n in leading(control.region.nodes()) if n.stream]
        collecting = schedule.ii if len(set(gets)) < len(gets) else 0
        busy = collecting + (trip - 1) * schedule.ii + schedule.length if trip else 0
        return prepared + busy

    def _iterations(self, control: Pipelined, env: Environment) -> int | None:
        if control.open_ended:
            return None
        if control.varies:
            return count([c.loop for c in control.counters], lambda v: self.value(v, env))
        total = 1
        for counter in control.counters:
            assert counter.bounds is not None
            part = self._trip(counter.bounds, env)
            if part is None:
                return None
            total *= part
        return total

    def _loop(self, control: Sequential, env: Environment) -> int | None:
        trip = self._trip(control.bounds, env)
        if trip is None:
            return None
        each = self.body(control.body, env)
        if each is not None:
            return trip * each
        low = control.bounds.lower
        first = low if isinstance(low, int) else self.value(low, env)
        assert first is not None
        total = 0
        for k in range(trip):
            inner = {**env, control.loop.iv: first + k * control.bounds.step}
            cycles = self.body(control.body, inner)
            if cycles is None:
                return None
            total += cycles
        return total

    def value(self, value: Value, env: Environment) -> int | None:
        """The number of a value when it follows from the counters alone."""
        if value in env:
            return env[value]
        if value not in self._defined:
            return None

        def outside(node: Node) -> int | None:
            if node.kind is not Kind.INPUT or node.source is None:
                return None
            return self.value(node.source, env)

        return known(self._defined[value], outside)
