"""The traces of a design's processes (see :mod:`allo_rtl.hls.depths_trace`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

from allo_rtl.hls.control import (
    Bounds,
    Branch,
    Clear,
    Control,
    Invoke,
    Parallel,
    Pipelined,
    Repeat,
    Sequential,
    Straight,
    Together,
    flatten,
)
from allo_rtl.hls.depths_kept import known_values
from allo_rtl.hls.depths_pattern import Environment, Pattern, claims_of, stream_of
from allo_rtl.hls.depths_trace import Claim, Fork, NotStaticError, Pipe, Process, Step, Steps, Trace
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.latency import CALL_OVERHEAD, padding
from allo_rtl.hls.node import Bank
from allo_rtl.hls.processes import (
    BankEnd,
    array_pairs,
    bank_of,
    made_streams,
    parts_of,
    process_name,
)
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import End, holds_at_start, leading
from allo_rtl.ir.domain import iterations
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Call, Value
from allo_rtl.ir.types import StreamType

MAX_STEPS = 2_000_000
"""Steps of all traces together beyond which there is none."""


def traces_of(design: Design) -> list[Trace]:
    """The traces of the first runs of a design; then they are as at first again.

    They are alike but for the ports that processes ask for.

    Arguments may be streams.  Where runs do not overlap it is one trace.

    Raises:
        UnknownPortsError, NotStaticError: see :func:`trace_of`.
    """
    return [
        _Tracer(design, design.shared, known).function(design.top, {})
        for known in known_values(design)
    ]


def trace_of(design: Design, outside: bool = False, ports: bool = True) -> Trace:
    """The trace of a design's top function, with all its processes, in its first run.

    Args:
        outside: whether arguments may be streams, whose times are not known.
        ports: whether the trace says when processes ask for the memory ports that they share.

    Raises:
        UnknownPortsError: only when they ask for these depends on data.
        NotStaticError: what they do with streams depends on data, or is too much.
    """
    if not outside and any(isinstance(a.type, StreamType) for a in design.top.control.func.args):
        raise NotStaticError("arguments are streams, which may come and go at any time")
    known = known_values(design)[0]
    return _Tracer(design, design.shared if ports else {}, known).function(design.top, {})


def has_processes(design: Design) -> bool:
    """Whether anything in a design runs at once with something else, or waits for streams."""
    return any(
        isinstance(part, Parallel) for f in design.functions for part in flatten(f.control.body)
    )


class _Tracer:
    """Makes the trace of each function once for each set of known arguments."""

    def __init__(
        self,
        design: Design,
        shared: Mapping[str, frozenset[BankEnd]],
        kept: Mapping[str, Mapping[Value, int]],
    ) -> None:
        self.design = design
        self.shared = shared
        self.kept = kept
        self._known: dict[tuple[str, tuple[int | None, ...]], Trace] = {}
        self._claims: dict[frozenset[BankEnd], Claim] = {}
        self._waiting: dict[Control, bool] = {}
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
            raise NotStaticError(f"there are more than {MAX_STEPS:,} gets, puts and turns at ports")

    def claim(self, ports: Iterable[BankEnd]) -> Claim:
        """The claim of some ports, always the same one."""
        key = frozenset(ports)
        return self._claims.setdefault(key, Claim(key))

    def shared_of(self, function: FunctionDesign) -> frozenset[BankEnd]:
        """The ports of its arguments that a function shares with others."""
        return self.shared.get(function.name, frozenset())

    def may_wait(self, function: FunctionDesign, control: Control) -> bool:
        """Whether a control may have to wait for others."""
        if control not in self._waiting:
            parts = flatten([control])
            self._waiting[control] = any(self._waits(function, part) for part in parts)
        return self._waiting[control]

    def _waits(self, function: FunctionDesign, control: Control) -> bool:
        match control:
            case Straight(region=region) | Pipelined(region=region):
                return region.uses_streams or bool(claims_of(region, self.shared_of(function)))
            case Clear():
                return bool(self.cleared(function, control))
            case Invoke(call=call):
                callee = self.design.function(call.callee)
                return any(self.may_wait(callee, c) for c in callee.control.body)
            case Parallel():
                return True
        return False

    def cleared(self, function: FunctionDesign, control: Clear) -> frozenset[BankEnd]:
        """The shared ports through which an array is zeroed."""
        banks = range(Layout(control.array.array).banks)
        ends = {BankEnd(Bank(control.array, b), End.WRITE) for b in banks}
        return self.shared_of(function) & ends


class _Writer:
    """Writes the trace of one function, and of what it calls in turn."""

    def __init__(self, tracer: _Tracer, function: FunctionDesign) -> None:
        self._tracer = tracer
        self._function = function
        self._shared = tracer.shared_of(function)
        self._patterns: dict[Region, Pattern] = {}
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
        last, before = 0, len(self._steps)
        for cycle, what, is_put in steps:
            self._steps.append((self._cycle + cycle + 1 - last, what, is_put))
            self._cycle, last = 0, cycle + 1
        self._cycle += cycles - last
        self._tracer.spend(len(self._steps) - before)

    # Controls

    def body(self, controls: Sequence[Control], env: Environment) -> None:
        """The body of a loop or function."""
        self.sequence(controls, env)
        self._cycle += padding(controls)

    def sequence(self, controls: Sequence[Control], env: Environment) -> None:
        for control in controls:
            self._control(control, env)

    def _control(self, control: Control, env: Environment) -> None:
        if not self._tracer.may_wait(self._function, control):
            cycles = self._function.timing.control(control, env)
            if cycles is not None:
                self._cycle += cycles
                return
        match control:
            case Straight(region=region):
                pattern = self._pattern(region)
                self._at(pattern.steps(env), pattern.schedule.length)
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
            case Clear(depth=depth):
                claim = self._tracer.claim(self._tracer.cleared(self._function, control))
                self._at(((cycle, claim, False) for cycle in range(depth)), depth)
            case Together(branches=branches):
                self._together(branches, env)
            case Repeat(loop=loop):
                raise NotStaticError("how often a while loop runs depends on data", loop.loc)

    def _together(self, branches: Sequence[Sequence[Control]], env: Environment) -> None:
        """Sequences that start together; they hold together, too."""
        steps, length = list[Step](), 0
        for branch in branches:
            writer = _Writer(self._tracer, self._function)
            writer.sequence(branch, env)
            at = -1
            for cycle, what, is_put in writer._steps:
                at += cycle
                steps.append((at, what, is_put))
            assert not writer._parts, "there are no calls and streams in what runs together"
            length = max(length, at + 1 + writer._cycle)
        self._at(self._joined(sorted(steps, key=lambda s: s[0])), length)

    def _joined(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Sorted steps, with what is claimed in one cycle as one claim, after gets and puts."""
        at, ports = -1, set[BankEnd]()
        for step in steps:
            if ports and step[0] != at:
                yield at, self._tracer.claim(ports), False
                ports = set()
            if isinstance(step[1], Claim):
                at = step[0]
                ports |= step[1].ports
            else:
                yield step
        if ports:
            yield at, self._tracer.claim(ports), False

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
        if control.open_ended:
            raise NotStaticError("how often a loop over a stream runs depends on data",
                                 control.loop.loc)  # fmt: skip
        pattern = self._pattern(control.region)
        schedule, nodes = pattern.schedule, control.region.nodes()
        assert schedule.ii is not None
        first = tuple(stream_of(n) for n in leading(nodes))
        each = self._iterations(control, pattern, env)
        self._cycle += 1 if control.outside else 0
        if not each:
            return
        self._tracer.spend(len(first) * len(each))
        if first:
            self._tracer.spend(sum(map(len, each)))
            self._flush()
            early = holds_at_start(nodes, schedule) is not None
            self._parts.append(Pipe(first, tuple(each), schedule.ii, schedule.length, early))
            return
        ii = schedule.ii
        steps: Iterable[Step] = (
            (k * ii + c, what, p) for k, part in enumerate(each) for c, what, p in part
        )
        if max((part[-1][0] for part in each if part), default=0) >= ii:
            # Iterations overlap: what older ones do in a cycle comes first, and claims last.
            steps = self._joined(sorted(steps, key=lambda s: (s[0], isinstance(s[1], Claim))))
        self._at(steps, (len(each) - 1) * ii + schedule.length)

    def _iterations(
        self, control: Pipelined, pattern: Pattern, env: Environment
    ) -> list[tuple[Step, ...]]:
        """The steps of each iteration."""
        counters = {c.loop.iv for c in control.counters}
        if not control.varies and not pattern.sources & counters:
            trips = (len(self._range(c.bounds, env)) for c in control.counters if c.bounds)
            count = prod(trips)
            return [pattern.steps(env)] * count if count else []
        return [pattern.steps({**env, **at}) for at in self._places(control, env)]

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
        ivs = [c.loop.iv for c in control.counters]
        for at in product(*(self._range(c.bounds, env) for c in control.counters if c.bounds)):
            yield dict(zip(ivs, at, strict=True))

    def _pattern(self, region: Region) -> Pattern:
        if region not in self._patterns:
            kept = self._tracer.kept.get(self._function.name, {})
            self._patterns[region] = Pattern(
                self._function, region, self._shared, kept, self._tracer.claim
            )
        return self._patterns[region]

    # Calls

    def _invoke(self, call: Call, env: Environment) -> None:
        self._cycle += CALL_OVERHEAD
        callee, given, ports = self._callee(call, env)
        known: dict[Claim, Claim | None] = {}
        for part in callee:
            match part:
                case Steps(steps=steps, tail=tail):
                    self._tracer.spend(len(steps))
                    for cycle, what, is_put in steps:
                        self._cycle += cycle
                        mine = self._renamed_step(what, given, ports, known)
                        if mine is not None:
                            self._steps.append((self._cycle, mine, is_put))
                            self._cycle = 0
                    self._cycle += tail
                case _:
                    self._flush()
                    self._parts.append(self._renamed(part, given, ports, known))

    def _renamed_step(
        self,
        what: Value | Claim,
        given: Mapping[Value, Value],
        ports: Mapping[BankEnd, BankEnd],
        known: dict[Claim, Claim | None],
    ) -> Value | Claim | None:
        """What a called function uses, as its caller's; None when nobody else does."""
        if isinstance(what, Value):
            return given[what]
        if what not in known:
            mine = {ports[p] for p in what.ports} & self._shared
            known[what] = self._tracer.claim(mine) if mine else None
        return known[what]

    def _renamed(
        self,
        part: Pipe | Fork,
        given: Mapping[Value, Value],
        ports: Mapping[BankEnd, BankEnd],
        known: dict[Claim, Claim | None],
    ) -> Pipe | Fork:
        """What a called function does, on its caller's streams and ports."""
        if isinstance(part, Fork):
            return Fork(part.made, tuple(
                replace(
                    p, given={a: given.get(s, s) for a, s in p.given.items()},
                    ports={a: ports.get(b, b) for a, b in p.ports.items()},
                )
                for p in part.processes
            ))  # fmt: skip
        renamed = {
            steps: tuple(
                (c, mine, p) for c, what, p in steps
                if (mine := self._renamed_step(what, given, ports, known)) is not None
            )
            for steps in dict.fromkeys(part.iterations)
        }  # fmt: skip
        return replace(
            part, leading=tuple(given[s] for s in part.leading),
            iterations=tuple(renamed[steps] for steps in part.iterations),
        )  # fmt: skip

    def _fork(self, control: Parallel, env: Environment) -> None:
        self._cycle += 0 if control.at_once else CALL_OVERHEAD
        self._flush()
        processes = (Process(process_name(c), *self._callee(c, env)) for c in control.calls)
        made = made_streams(self._function.control.func)
        self._parts.append(Fork(made, tuple(processes)))

    def _callee(
        self, call: Call, env: Environment
    ) -> tuple[Trace, dict[Value, Value], dict[BankEnd, BankEnd]]:
        """The trace of a called function, and the streams and shared ports that it is given."""
        function = self._tracer.design.function(call.callee)
        func = function.control.func
        pairs = list(zip(func.args, call.args, strict=True))
        numbers = {p: self._function.timing.value(a, env) for p, a in pairs
                   if not isinstance(p.type, StreamType)}  # fmt: skip
        known = {p: n for p, n in numbers.items() if n is not None}
        streams = {p: a for p, a in pairs if isinstance(p.type, StreamType)}
        outer = {p: a for a, p in array_pairs(call, func)}
        parts = parts_of(self._function.control.func)
        ports = {
            port: BankEnd(bank_of(outer[port.bank.array], port.bank.index, parts), port.end)
            for port in self._tracer.shared_of(function)
        }
        return self._tracer.function(function, known), streams, ports
