"""What the processes of a region do with their streams, and in which of their own cycles.

A process whose loops and conditions do not depend on data does the same with its streams in every
run.  Its *trace* says what, in cycles of its own: those in which it does not hold (see
:mod:`allo_rtl.hls.streams`).  :mod:`allo_rtl.hls.depths_model` plays traces against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.control import (
    Bounds,
    Branch,
    Control,
    Invoke,
    Parallel,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
)
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.fold import apply
from allo_rtl.hls.latency import CALL_OVERHEAD, padding
from allo_rtl.hls.node import STREAMS, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.processes import made_streams, process_name
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import blocking, leading
from allo_rtl.ir.domain import iterations
from allo_rtl.ir.ops import Call, Value
from allo_rtl.ir.types import StreamType

MAX_STEPS = 400_000
"""Steps of all traces together beyond which there is none."""


class NotStaticError(Exception):
    """What a process does with its streams depends on data; ``loc`` is where."""

    def __init__(self, reason: str, loc: SourceLoc | None = None) -> None:
        self.reason = reason
        self.loc = loc
        super().__init__(f"{reason} ({loc.short})" if loc else reason)


type Step = tuple[int, Value, bool]
"""A get (False) or put (True): (cycle, stream, which)."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Gets and puts at fixed distances: each ``cycle`` counts from the step before.

    ``tail`` cycles follow the last one.
    """

    steps: tuple[Step, ...]
    tail: int


@dataclass(frozen=True, eq=False)
class Pipe:
    """A pipelined loop with leading gets: an iteration starts when it has collected them.

    Attributes:
        leading: the streams that these take from, in order.
        iterations: the other steps of each iteration, ``cycle`` counted from its start.
        ii: cycles from one start to the next, at least.
        length: cycles of an iteration.
    """

    leading: tuple[Value, ...]
    iterations: tuple[tuple[Step, ...], ...]
    ii: int
    length: int


@dataclass(frozen=True, eq=False)
class Process:
    """A process of a region: its trace works on parameters, which stand for ``given``."""

    name: str
    trace: Trace
    given: Mapping[Value, Value]


@dataclass(frozen=True, eq=False)
class Fork:
    """Processes that run at once, connected by the streams that are made for this run of them."""

    made: tuple[Value, ...]
    processes: tuple[Process, ...]


type Trace = tuple[Steps | Pipe | Fork, ...]


def trace_of(design: Design, outside: bool = False) -> Trace:
    """The trace of a design's top function, with all its processes.

    Args:
        outside: whether arguments may be streams, whose times are not known.

    Raises:
        NotStaticError: it depends on data, or is too long.
    """
    if not outside and any(isinstance(a.type, StreamType) for a in design.top.control.func.args):
        raise NotStaticError("arguments are streams, which may come and go at any time")
    return outside_trace(design)


def outside_trace(design: Design) -> Trace:
    """The same, also of a function with arguments that are streams.

    Raises:
        NotStaticError: it depends on data, or is too long.
    """
    return _Tracer(design).function(design.top, {})


type Environment = Mapping[Value, int]


class _Tracer:
    """Makes the trace of each function once for each set of known arguments."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._known: dict[tuple[str, tuple[int | None, ...]], Trace] = {}
        self._left = MAX_STEPS

    def function(self, function: FunctionDesign, env: Environment) -> Trace:
        """The trace of a function; ``env`` has the arguments that are known."""
        key = (function.name, tuple(env.get(a) for a in function.control.func.args))
        if key not in self._known:
            writer = _Writer(self, function)
            writer.body(function.control.body, env)
            self._known[key] = writer.finish()
        return self._known[key]

    def spend(self, steps: int) -> None:
        """Count steps; NotStaticError when there are too many."""
        self._left -= steps
        if self._left < 0:
            raise NotStaticError(f"there are more than {MAX_STEPS:,} gets and puts")


class _Writer:
    """Writes the trace of one function, and of what it calls in turn."""

    def __init__(self, tracer: _Tracer, function: FunctionDesign) -> None:
        self._tracer = tracer
        self._function = function
        self._parts: list[Steps | Pipe | Fork] = []
        self._steps: list[Step] = []
        self._cycle = 0
        """Cycles since the last step."""

    def finish(self) -> Trace:
        self._flush()
        return tuple(self._parts)

    def _flush(self) -> None:
        if self._steps or self._cycle:
            self._parts.append(Steps(tuple(self._steps), self._cycle))
        self._steps, self._cycle = [], 0

    def _at(self, steps: Iterable[Step], cycles: int) -> None:
        """Steps in the next ``cycles`` cycles, of which the first is 0; in their order."""
        last = 0
        for cycle, stream, is_put in steps:
            self._tracer.spend(1)
            self._steps.append((self._cycle + cycle + 1 - last, stream, is_put))
            self._cycle, last = 0, cycle + 1
        self._cycle += cycles - last

    # Controls

    def body(self, controls: Sequence[Control], env: Environment) -> None:
        """The body of a loop or function."""
        self.sequence(controls, env)
        self._cycle += padding(controls)

    def sequence(self, controls: Sequence[Control], env: Environment) -> None:
        for control in controls:
            self._control(control, env)

    def _control(self, control: Control, env: Environment) -> None:
        cycles = self._function.timing.control(control, env)
        if cycles is not None:  # it uses no streams
            self._cycle += cycles
            return
        match control:
            case Straight(region=region):
                schedule = self._function.schedules[region]
                self._at(self._steps_of(region, schedule, env), schedule.length)
            case Pipelined():
                self._pipelined(control, env)
            case Sequential():
                for value in self._range(control.bounds, env):
                    self.body(control.body, {**env, control.loop.iv: value})
            case Branch(condition=condition, then=then, orelse=orelse):
                taken = self._function.timing.value(condition, env)
                if taken is None:
                    raise NotStaticError(f"a condition in '{self._function.name}' depends on data")
                self.sequence(then if taken else orelse, env)
            case Invoke(call=call):
                self._invoke(call, env)
            case Parallel():
                self._fork(control, env)
            case Together():
                raise NotStaticError(f"a loop in '{self._function.name}' depends on data")
            case Repeat(loop=loop):
                raise NotStaticError("how often a while loop runs depends on data", loop.loc)

    def _range(self, bounds: Bounds, env: Environment) -> range:
        timing = self._function.timing
        if bounds.is_constant:
            assert isinstance(bounds.lower, int)
            assert isinstance(bounds.last, int)
            return range(bounds.lower, bounds.last + 1, bounds.step)
        low, high = (
            b if isinstance(b, int) else timing.value(b, env) for b in (bounds.lower, bounds.last)
        )
        if low is None or high is None:
            raise NotStaticError(f"the bounds of a loop in '{self._function.name}' depend on data")
        return range(low, high, bounds.step)

    def _pipelined(self, control: Pipelined, env: Environment) -> None:
        schedule = self._function.schedules[control.region]
        assert schedule.ii is not None
        if control.open_ended:
            raise NotStaticError("how often a loop over a stream runs depends on data",
                                 control.loop.loc)  # fmt: skip
        first = tuple(_stream(n) for n in leading(control.region.nodes()))
        each = [
            self._steps_of(control.region, schedule, {**env, **at})
            for at in self._places(control, env)
        ]
        self._cycle += 1 if control.outside else 0
        if not each:
            return
        if first:
            self._tracer.spend(sum(len(first) + len(steps) for steps in each))
            self._flush()
            self._parts.append(Pipe(first, tuple(each), schedule.ii, schedule.length))
            return
        ii = schedule.ii
        steps = [(k * ii + c, k, n, s, p) for k, part in enumerate(each)
                 for n, (c, s, p) in enumerate(part)]  # fmt: skip
        self._at(((c, s, p) for c, _, _, s, p in sorted(steps, key=lambda x: x[:3])),
                 (len(each) - 1) * ii + schedule.length)  # fmt: skip

    def _places(self, control: Pipelined, env: Environment) -> Iterator[Environment]:
        """The counters of each iteration of a nest."""
        if control.varies:
            found = iterations([c.loop for c in control.counters],
                               lambda v: self._function.timing.value(v, env))  # fmt: skip
            if found is None:
                name = self._function.name
                raise NotStaticError(f"the bounds of a loop in '{name}' depend on data")
            yield from found
            return
        ranges = [self._range(c.bounds, env) for c in control.counters if c.bounds]
        for at in product(*ranges):
            yield {c.loop.iv: n for c, n in zip(control.counters, at, strict=True)}

    def _steps_of(
        self, region: Region, schedule: OpSchedule, env: Environment
    ) -> tuple[Step, ...]:
        """The steps of one pass through a region, without its leading gets."""
        nodes = _stream_nodes(region)
        if (asks := next((n for n in nodes if n.kind in (Kind.ASK, Kind.PEEK)), None)) is not None:
            raise NotStaticError("what is done depends on whether a stream is empty or full",
                                 asks.loc)  # fmt: skip
        found = []
        for node in blocking(region.nodes(), pipelined=schedule.ii is not None):
            done = self._number(node.operands[-1], env)
            if done is None:
                raise NotStaticError(f"whether '{node.name}' is used depends on data", node.loc)
            if done:
                found.append((schedule.start[node], node.order, node))
        return tuple(
            (cycle, _stream(n), n.kind is Kind.PUT)
            for cycle, _, n in sorted(found, key=lambda f: f[:2])
        )

    def _number(self, node: Node, env: Environment) -> int | None:
        """The number of a node, when it follows from counters and known arguments."""
        if node.is_const:
            return node.value
        if node.kind in (Kind.INPUT, Kind.COUNTER):
            assert node.source is not None
            return self._function.timing.value(node.source, env)
        if node.kind in (Kind.READ, Kind.REG_READ) or node.kind in STREAMS:
            return None
        parts = [self._number(o, env) for o in node.operands]
        known = [p for p in parts if p is not None]
        if len(known) < len(parts):
            return None
        return apply(node.kind, node.type, known, node.float)

    # Calls

    def _invoke(self, call: Call, env: Environment) -> None:
        self._cycle += CALL_OVERHEAD
        callee, given = self._callee(call, env)
        for part in callee:
            match part:
                case Steps(steps=steps, tail=tail):
                    for cycle, stream, is_put in steps:
                        self._tracer.spend(1)
                        self._steps.append((self._cycle + cycle, given[stream], is_put))
                        self._cycle = 0
                    self._cycle += tail
                case _:
                    self._flush()
                    self._parts.append(_renamed(part, given))

    def _fork(self, control: Parallel, env: Environment) -> None:
        self._cycle += 0 if control.at_once else CALL_OVERHEAD
        self._flush()
        processes = (Process(process_name(c), *self._callee(c, env)) for c in control.calls)
        made = made_streams(self._function.control.func)
        self._parts.append(Fork(made, tuple(processes)))

    def _callee(self, call: Call, env: Environment) -> tuple[Trace, dict[Value, Value]]:
        """The trace of a called function, and the streams that it is given."""
        function = self._tracer.design.function(call.callee)
        pairs = list(zip(function.control.func.args, call.args, strict=True))
        numbers = {p: self._function.timing.value(a, env) for p, a in pairs
                   if not isinstance(p.type, StreamType)}  # fmt: skip
        known = {p: n for p, n in numbers.items() if n is not None}
        streams = {p: a for p, a in pairs if isinstance(p.type, StreamType)}
        return self._tracer.function(function, known), streams


def _renamed(part: Pipe | Fork, given: Mapping[Value, Value]) -> Pipe | Fork:
    """What a called function does, on its caller's streams."""
    if isinstance(part, Fork):
        return Fork(part.made, tuple(
            Process(p.name, p.trace, {a: given.get(s, s) for a, s in p.given.items()})
            for p in part.processes
        ))
    iterations = tuple(tuple((c, given[s], p) for c, s, p in i) for i in part.iterations)
    return Pipe(tuple(given[s] for s in part.leading), iterations, part.ii, part.length)


def _stream_nodes(region: Region) -> Iterator[Node]:
    return (n for n in region.sinks if n.kind in STREAMS)


def _stream(node: Node) -> Value:
    assert node.stream is not None
    return node.stream.stream
