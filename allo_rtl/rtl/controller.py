"""Control: one-hot tokens that walk the control tree.

Every control has an ``enter`` signal, 1 in the cycle before its first one, and an ``exit``
signal, 1 in its last cycle; the exit of one is the enter of the next, so that sequencing costs no
cycles.  A control that takes no cycles this time passes its enter through to its exit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from allo_rtl.hls.control import (
    Bounds,
    Branch,
    Clear,
    Control,
    Counter,
    Invoke,
    Parallel,
    Pipelined,
    Preset,
    Repeat,
    Sequential,
    Straight,
    Together,
)
from allo_rtl.hls.latency import padding
from allo_rtl.hls.node import Bank, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import holds_at_start, leading
from allo_rtl.hls.widths import range_shape
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Call
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.rtl.datapath import Datapath
from allo_rtl.rtl.events import Events
from allo_rtl.rtl.memory import Memories
from allo_rtl.rtl.names import Names, located
from allo_rtl.rtl.nest import NestCounters, has_iterations
from allo_rtl.rtl.run_queue import queue_runs
from allo_rtl.rtl.shared import SharedUnits
from allo_rtl.rtl.streams import Island
from allo_rtl.rtl.units import shape_of


class Callee(Protocol):
    """A function module that a call starts; ``ready`` is an output of it."""

    ready: Signal


type Instantiate = Callable[[Call, object, Value], Callee]
"""Make the instance of a call: as the process of a region, that is told apart from others, or
(None) as what runs alone; and what starts it."""


class Controller:
    """Builds the controllers and datapaths of one function.

    Args:
        m: the module to build into.
        schedules: the operation schedule of each region.
        values: signals of values held in registers: arguments, and what is added here.
        instantiate: makes the module of a call.
        island: what streams are used through, in a function that uses any.
        runs: how many runs of the processes of a region may be under way at a time.
        processes_start: made 1 in the cycle in which the processes of a region start.
    """

    def __init__(
        self,
        m: Module,
        schedules: Mapping[Region, OpSchedule],
        values: dict[IrValue, Value],
        memories: Memories,
        shared: SharedUnits,
        events: Events,
        names: Names,
        instantiate: Instantiate,
        island: Island | None = None,
        processes_start: Signal | None = None,
        runs: int = 1,
    ) -> None:
        self._runs = runs
        self._m = m
        self._schedules = schedules
        self._values = values
        self._memories = memories
        self._shared = shared
        self._events = events
        self._names = names
        self._instantiate = instantiate
        self._island = island
        self._processes_start = processes_start
        self.leaving: dict[IrValue, Value] = {}
        """Values as they are in the last cycle of the region that puts them out."""

    def body(self, controls: Sequence[Control], enter: Value) -> Value:
        """The body of a loop or function, never taking no cycles; answers its exit."""
        leave = self.sequence(controls, enter)
        return self._token("pad", leave) if padding(controls) else leave

    def sequence(self, controls: Sequence[Control], enter: Value) -> Value:
        """Controls one after the other; answers the exit of the last."""
        for control in controls:
            enter = self.control(control, enter)
        return enter

    def control(self, control: Control, enter: Value) -> Value:
        """One control; answers its exit."""
        match control:
            case Straight():
                return self._straight(control, enter)
            case Sequential():
                return self._loop(control, enter)
            case Pipelined():
                return self._pipeline(control, enter)
            case Branch():
                return self._branch(control, enter)
            case Together(branches=branches):
                return self._together(branches, enter)
            case Repeat():
                return self._repeat(control, enter)
            case Invoke(call=call):
                return self._invoke(call, enter)
            case Parallel():
                return self._parallel(control, enter)
            case Clear():
                return self._clear(control, enter)
            case Preset(words=words):
                for bank, word in words.items():
                    self._memories.preset(bank, enter, word)
                return enter

    # Small parts.

    def _token(self, base: str, before: Value) -> Signal:
        token = Signal(name=self._names(base))
        self._m.d.sync += token.eq(before)
        return token

    def _wire(self, base: str, value: Value) -> Signal:
        wire = Signal(name=self._names(base))
        self._m.d.comb += wire.eq(value)
        return wire

    def _value(self, value: IrValue) -> Value:
        return self._values[value]

    def _now(self, part: int | IrValue) -> Value:
        """A bound in the cycle in which its loop is entered."""
        return Const(part) if isinstance(part, int) else self.leaving[part]

    # The controls.

    def _straight(self, control: Straight, enter: Value) -> Value:
        schedule = self._schedules[control.region]
        tokens: list[Value] = []
        for _ in range(schedule.length):
            enter = self._token("state", enter)
            tokens.append(enter)
        path = Datapath(
            self._m, control.region, schedule, tokens, self._value,
            self._memories, self._shared, self._events, self._names, overlapped=False,
            island=self._island,
        )
        last = schedule.length - 1
        for value, node in control.region.outputs.items():
            self.leaving[value] = path.at(node, last)
            self._values[value] = self._keep(value, path.at(node, last), tokens[last])
        return tokens[last]

    def _keep(self, value: IrValue, now: Value, when: Value) -> Value:
        """A register that holds an output after its region."""
        if isinstance(now, Const):
            return now
        name = self._names(f"{value.name or 'value'}_held")
        register = Signal(now.shape(), name=name, reset_less=True)
        with self._m.If(when):
            self._m.d.sync += register.eq(now)
        return register

    def _branch(self, control: Branch, enter: Value) -> Value:
        taken = self.leaving[control.condition]
        then = self.sequence(control.then, self._wire("then", enter & taken))
        orelse = self.sequence(control.orelse, self._wire("else", enter & ~taken))
        return self._wire("joined", then | orelse)

    def _together(self, branches: Sequence[Sequence[Control]], enter: Value) -> Value:
        """Sequences that start together; it ends when the last of them does."""
        over: list[Value] = []
        waiting: list[tuple[Signal, Value]] = []
        for branch in branches:
            leave = self.sequence(branch, enter)
            before = Signal(name=self._names("branch_over"))
            over.append(self._wire("branch_exit", leave | before))
            waiting.append((before, over[-1]))
        joined = self._wire("together_exit", Cat(over).all())
        for before, now in waiting:
            self._m.d.sync += before.eq(now & ~joined)
        return joined

    def _repeat(self, control: Repeat, enter: Value) -> Value:
        again = Signal(name=self._names("while_again"))
        tested = self.sequence(control.before, self._wire("while_enter", enter | again))
        go_on = self.leaving[control.condition]
        leave = self.sequence(control.body, self._wire("while_body", tested & go_on))
        self._m.d.comb += again.eq(leave)
        return self._wire("while_exit", tested & ~go_on)

    def _loop(self, control: Sequential, enter: Value) -> Value:
        m, bounds, name = self._m, control.bounds, control.loop.name
        counter = self._counter(control)
        begin, skip = self._begin(bounds, enter)
        body_enter, again = Signal(name=self._names(f"{name}_enter")), Signal(
            name=self._names(f"{name}_again")
        )
        leave = self.body(control.body, body_enter)
        last = self._at_last(counter, bounds)
        m.d.comb += [again.eq(leave & ~last), body_enter.eq(begin | again)]
        with m.If(begin):
            m.d.sync += counter.eq(self._now(bounds.lower))
        with m.Elif(again):
            m.d.sync += counter.eq(counter + bounds.step)
        return self._wire(f"{name}_exit", (leave & last) | skip)

    def _counter(self, control: Sequential | Counter) -> Signal:
        """The register of a loop counter, made known as the counter's value."""
        low, high = control.interval
        dynamic = control.bounds is not None and not control.bounds.is_constant
        beyond = high + (control.loop.step if dynamic else 0)
        shape = shape_of(range_shape((low, max(low, beyond))))
        name = self._names(control.loop.iv.name or control.loop.name)
        counter = Signal(shape, name=name, reset_less=True)
        self._values[control.loop.iv] = located(counter, control.loop.loc)
        return counter

    def _begin(self, bounds: Bounds, enter: Value) -> tuple[Value, Value]:
        """(enter when there is an iteration, enter when there is none)."""
        if bounds.nonempty is None:
            return enter, Const(0)
        some = self.leaving[bounds.nonempty]
        return self._wire("some", enter & some), self._wire("none", enter & ~some)

    def _at_last(self, counter: Signal, bounds: Bounds) -> Value:
        """Whether a counter is in its last iteration."""
        if isinstance(bounds.last, int):
            return counter == bounds.last if bounds.last != bounds.lower else Const(1)
        return counter + bounds.step >= self._values[bounds.last]

    def _pipeline(self, control: Pipelined, enter: Value) -> Value:
        schedule, name = self._schedules[control.region], control.loop.name
        bounds = control.counters[-1].bounds
        begin, skip = self._begin(bounds, enter) if bounds else self._prepare(control, enter)
        first = holds_at_start(control.region.nodes(), schedule)
        turn = Signal(name=self._names(f"{name}_turn")) if first else None
        ending = Signal(name=self._names(f"{name}_ending")) if control.open_ended else None
        issue, final, taken = self._issue(control, schedule, begin, turn, ending)
        valid: list[Value] = [issue]
        closing = [final]
        for _ in range(schedule.length - 1):
            valid.append(self._token(f"{name}_valid", valid[-1]))
            closing.append(self._token(f"{name}_final", closing[-1]))
        path = Datapath(
            self._m, control.region, schedule, valid, self._value,
            self._memories, self._shared, self._events, self._names, overlapped=True,
            island=self._island, taken=taken,
        )
        if ending is not None and control.region.last is not None:
            self._m.d.comb += ending.eq(path.at(control.region.last, 0))
        if turn is not None:
            assert self._island is not None
            assert first is not None
            self._m.d.comb += turn.eq(self._island.reached(first))
        return self._wire(f"{name}_exit", closing[-1] | skip)

    def _issue(
        self, control: Pipelined, schedule: OpSchedule, begin: Value, turn: Signal | None,
        ending: Signal | None,
    ) -> tuple[Value, Signal, Mapping[Node, Value]]:
        """(an iteration starts in this cycle, it is the last one, words of its leading gets).

        ``ending`` is whether it is, in a loop that ends with a stream.
        """
        m, name, ii = self._m, control.loop.name, schedule.ii
        assert ii is not None
        running = Signal(name=self._names(f"{name}_running"))
        slot: Signal | None = None
        if ii > 1:
            phase = Signal(range(ii), name=self._names(f"{name}_phase"))
            slot = self._wire(f"{name}_slot", phase == 0)
            with m.If(begin | (phase == ii - 1)):
                m.d.sync += phase.eq(0)
            with m.Else():
                m.d.sync += phase.eq(phase + 1)
        issue: Value = running if slot is None else running & slot
        taken: Mapping[Node, Value] = {}
        if first := leading(control.region.nodes()):
            assert self._island is not None
            taken, issue = self._island.collect(first, running, slot, turn)
        if ii > 1 or first:
            issue = self._wire(f"{name}_issue", issue)
        if ending is not None:
            first_or_not = self._counter(control.counters[0])
            m.d.sync += first_or_not.eq((first_or_not | issue) & ~begin)
            last: Value = ending
        elif control.varies:
            last = self._step_nest(control, begin, issue)
        else:
            last = self._count(control, begin, issue)
        final = self._wire(f"{name}_last", issue & last)
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.Elif(final):
            m.d.sync += running.eq(0)
        return issue, final, taken

    def _count(self, control: Pipelined, begin: Value, issue: Value) -> Value:
        """Step the nest's counters, innermost fastest; answers whether all are at their last."""
        m = self._m
        carry: Value = Const(1, 1)
        for part in reversed(control.counters):
            counter, bounds = self._counter(part), part.bounds
            assert bounds is not None
            at_last = self._wire(f"{part.loop.name}_at_last", self._at_last(counter, bounds))
            step = counter + bounds.step
            if bounds.is_constant:
                step = Mux(at_last, self._now(bounds.lower), step)
            with m.If(begin):
                m.d.sync += counter.eq(self._now(bounds.lower))
            with m.Elif(issue & carry):
                m.d.sync += counter.eq(step)
            carry = self._wire(f"{part.loop.name}_carry", carry & at_last)
        return carry

    def _prepare(self, control: Pipelined, enter: Value) -> tuple[Value, Value]:
        """(a nest whose bounds vary begins, it has no iteration).

        What its bounds are made of, counters around it among them, is there a cycle later.
        """
        if not control.outside:
            return enter, Const(0)
        name = control.loop.name
        ready = self._token(f"{name}_prepare", enter)
        some = self._wire(f"{name}_any", has_iterations(control, self._value))
        return (self._wire(f"{name}_some", ready & some),
                self._wire(f"{name}_none", ready & ~some))  # fmt: skip

    def _step_nest(self, control: Pipelined, begin: Value, issue: Value) -> Value:
        """Step a nest whose bounds vary; answers whether all counters are at their last."""
        counters = {c.loop.iv: self._counter(c) for c in control.counters}
        return NestCounters(self._m, control, counters, self._value, self._names).step(begin, issue)

    def _invoke(self, call: Call, enter: Value) -> Value:
        m = self._m
        go = self._token(f"{call.callee}_go", enter)
        callee = self._instantiate(call, None, go)
        busy = Signal(name=self._names(f"{call.callee}_busy"))
        leave = self._wire(f"{call.callee}_exit", busy & callee.ready)
        with m.If(go):
            m.d.sync += busy.eq(1)
        with m.Elif(leave):
            m.d.sync += busy.eq(0)
        return leave

    def _parallel(self, control: Parallel, enter: Value) -> Value:
        """Processes: they start together in one cycle, and all have to end."""
        m = self._m
        if self._runs > 1:
            return self._overlapping(control, enter)
        go = enter if control.at_once else self._token("processes_go", enter)
        callees = [self._instantiate(call, k, go) for k, call in enumerate(control.calls)]
        busy = Signal(name=self._names("processes_busy"))
        all_over = Cat(callee.ready for callee in callees).all()
        leave = self._wire("processes_exit", busy & all_over)
        with m.If(go):
            m.d.sync += busy.eq(1)
        with m.Elif(leave):
            m.d.sync += busy.eq(0)
        if self._processes_start is not None:
            m.d.comb += self._processes_start.eq(go)
        return leave

    def _overlapping(self, control: Parallel, enter: Value) -> Value:
        """Processes that go on to the next run each when it can; answers the end of a run."""
        pairs = [(call, Signal(name=self._names("process_start"))) for call in control.calls]
        callees = [self._instantiate(call, k, start) for k, (call, start) in enumerate(pairs)]
        starts, readies = [start for _, start in pairs], [callee.ready for callee in callees]
        return queue_runs(self._m, self._names, self._runs, enter, starts, readies)

    def _clear(self, control: Clear, enter: Value) -> Value:
        m, depth, base = self._m, control.depth, f"{control.array.name}_clear"
        running = Signal(name=self._names(base))
        address = Signal(range(max(2, depth)), name=self._names(f"{base}_address"))
        leave = self._wire(f"{base}_exit", running & (address == depth - 1))
        with m.If(enter):
            m.d.sync += [running.eq(1), address.eq(0)]
        with m.Elif(running):
            m.d.sync += [running.eq(~leave), address.eq(address + 1)]
        for b in range(Layout(control.array.array).banks):
            self._memories.write(Bank(control.array, b), running, address, Const(0, 1))
        return leave
