"""What is watched in a simulated design: for each process, the taps of it and of what it calls.

:class:`Watched` is a tree like that of the instances; it can be written as Verilog that refers to
signals inside the kernel's module, or read in Amaranth's simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_, or_

from amaranth.hdl import Const
from amaranth.hdl import Value as Signals

from allo_rtl.errors import AlloError, Deadlock, SourceLoc
from allo_rtl.hls.depths import ending_depths, with_numbers
from allo_rtl.hls.depths_trace import NotStaticError
from allo_rtl.hls.design import Design
from allo_rtl.hls.streams import End
from allo_rtl.ir.ops import Op, Value
from allo_rtl.ir.processes import Fifo, Process, Wait, deadlock_of
from allo_rtl.ir.stream_ops import MakeStream
from allo_rtl.rtl.taps import Part, Tap, TapKind, Taps
from allo_rtl.sim.marshal import Raw
from allo_rtl.sim.reference import run_evaluator

BLOCKED = (TapKind.WAIT, TapKind.LACK)
"""The kinds of taps that are true as long as a process waits for a stream."""

HELD_BACK = 20
"""How many times more patience there is where streams of arguments are held back at random."""

IN_VAIN = 30_000
"""Cycles without a value taken after which processes that only look at streams look in vain."""


@dataclass(frozen=True, eq=False)
class Stream:
    """A FIFO of a design; the same stream of a region that is built twice is two of them."""

    name: str
    depth: int


@dataclass(frozen=True, eq=False)
class Probe:
    """A tap of one instance, and the FIFO it is about."""

    tap: Tap
    path: tuple[str, ...]
    stream: Stream | None


@dataclass(frozen=True, eq=False)
class Watched:
    """One instance of a function's module.

    Attributes:
        name: what it is called as a process.
        probes: the taps of the instance itself.
        helpers: what it calls; ``processes``: what it runs at once.
    """

    name: str
    loc: SourceLoc | None
    probes: tuple[Probe, ...]
    helpers: tuple[Watched, ...]
    processes: tuple[Watched, ...]

    def all_probes(self) -> Iterator[Probe]:
        """Its probes and those of what it calls, without the processes that it runs."""
        yield from self.probes
        for helper in self.helpers:
            yield from helper.all_probes()

    def all_processes(self) -> Iterator[Watched]:
        """The processes in it, outer ones first."""
        for helper in self.helpers:
            yield from helper.all_processes()
        for process in self.processes:
            yield process
            yield from process.all_processes()

    @property
    def busy(self) -> Probe:
        """Whether it runs."""
        return next(p for p in self.probes if p.tap.kind is TapKind.BUSY)


def watch(design: Design, taps: Mapping[str, Taps]) -> Watched | None:
    """What is to be watched in a design; None when it has no processes.

    Args:
        taps: those of each function's module, or (of a component that is built in one piece) of
            the top function's alone.
    """
    if not any(f.control.func.dataflow for f in design.functions):
        return None
    top = design.top.name
    return _watched(design, taps, (top, top), taps[top], (), {})


def _watched(
    design: Design, taps: Mapping[str, Taps], names: tuple[str, str], own: Taps,
    path: tuple[str, ...], given: Mapping[Value, Stream],
) -> Watched:
    known = dict(given)

    def stream(value: Value | None) -> Stream | None:
        if value is not None and value not in known:
            known[value] = Stream(value.name or "a stream", design.depth(value))
        return None if value is None else known[value]

    def part(p: Part) -> Watched:
        streams = {param: found for param, v in p.given.items() if (found := stream(v))}
        inside = p.inside or taps[p.function]
        return _watched(design, taps, (p.name, p.function), inside, (*path, p.instance), streams)

    probes = tuple(Probe(tap, path, stream(tap.stream)) for tap in own.own)
    parts = [(p.is_process, part(p)) for p in own.parts]
    name, function = names
    return Watched(
        name, design.function(function).control.func.loc, probes,
        tuple(w for is_process, w in parts if not is_process),
        tuple(w for is_process, w in parts if is_process),
    )


def stuck[T](
    watched: Watched, read: Callable[[Probe], T], both: Callable[[Sequence[T]], T],
    either: Callable[[Sequence[T]], T], negate: Callable[[T], T],
    kinds: Sequence[TapKind] = BLOCKED,
) -> T:
    """Whether an instance runs and nothing in it can go on, as it looks in one cycle.

    Args:
        read: the value of a probe; the others combine values.
        kinds: the taps that show that nothing goes on.
    """
    def inner(w: Watched) -> T:
        return stuck(w, read, both, either, negate, kinds)

    reasons = [read(p) for p in watched.probes if p.tap.kind in kinds]
    reasons += [inner(w) for w in watched.helpers]
    if watched.processes:
        running = [read(w.busy) for w in watched.processes]
        held = [either([inner(w), negate(read(w.busy))]) for w in watched.processes]
        reasons.append(both([either(running), *held]))
    return both([read(watched.busy), either(reasons)])


# Verilog


def verilog_of(probe: Probe, top: str) -> str:
    """A probe as an expression that refers into the instance ``top``."""
    def signal(name: str) -> str:
        return ".".join(f"\\{part} " for part in (top, *probe.path, name))

    return " & ".join(
        signal(s.name) if value else f"~{signal(s.name)}" for s, value in probe.tap.literals
    ) or "1'b1"


def vain_verilog(watched: Watched, top: str) -> str:
    """Whether nobody does more than look at streams, as a Verilog expression."""
    found = [p for w in (watched, *watched.all_processes()) for p in w.all_probes()]
    takes = [f"({verilog_of(p, top)})" for p in found if p.tap.kind is TapKind.TAKE]
    idle = stuck_verilog(watched, top, (*BLOCKED, TapKind.LOOK))
    return f"{idle} & ~({' | '.join(takes)})" if takes else idle


def stuck_verilog(watched: Watched, top: str, kinds: Sequence[TapKind] = BLOCKED) -> str:
    """:func:`stuck` as a Verilog expression."""
    def joined(operator: str) -> Callable[[Sequence[str]], str]:
        return lambda parts: f"({operator.join(parts)})" if parts else "1'b0"

    return stuck(
        watched, lambda p: f"({verilog_of(p, top)})", joined(" & "), joined(" | "),
        lambda part: f"~{part}", kinds,
    )  # fmt: skip


# Amaranth


def amaranth_of(probe: Probe) -> Signals:
    """A probe as an Amaranth value."""
    return reduce(and_, (s if value else ~s for s, value in probe.tap.literals))


def stuck_amaranth(watched: Watched) -> Signals:
    """:func:`stuck` as an Amaranth value of one bit."""
    zero, one = Const(0, 1), Const(1, 1)
    return stuck(
        watched, amaranth_of, lambda parts: reduce(and_, parts, one),
        lambda parts: reduce(or_, parts, zero), lambda part: ~part,
    )  # fmt: skip


# Deadlocks


def patience(design: Design) -> int:
    """Cycles of being stuck after which nothing can go on: what was under way has come out."""
    longest = max((s.length for f in design.functions for s in f.schedules.values()), default=1)
    return 4 * longest + 500


def explain(watched: Watched, read: Callable[[Probe], bool]) -> Deadlock:
    """Who waits for whom in a design that is stuck.

    Args:
        read: whether a probe is true.
    """
    fifos: dict[Stream, Fifo] = {}
    processes: dict[Watched, Process] = {}

    def fifo(stream: Stream) -> Fifo:
        return fifos.setdefault(stream, Fifo(stream.name, stream.depth))

    def add(parent: Process | None, found: Watched) -> None:
        for inner in (*found.helpers, *found.processes):
            process = parent
            if inner in found.processes:
                process = processes[inner] = Process(inner.name, inner.loc, parent)
            add(process, inner)

    add(None, watched)
    alive = []
    for found, process in processes.items():
        for probe in found.all_probes():
            if probe.stream is not None and probe.tap.end is End.WRITE:
                fifo(probe.stream).writer = process
            elif probe.stream is not None:
                fifo(probe.stream).reader = process
        if read(found.busy):
            alive.append(process)
            process.wait = _wait(found, read, fifo)
    looking = []
    for found, process in processes.items():
        looks = [q.tap.op for q in found.all_probes() if q.tap.kind is TapKind.LOOK]
        if process in alive and process.wait is None and looks:
            process.looked = looks[0]
            looking.append(process)
    return deadlock_of(alive, looking)


def _wait(
    found: Watched, read: Callable[[Probe], bool], fifo: Callable[[Stream], Fifo]
) -> Wait | None:
    probes = [p for kind in BLOCKED for p in found.all_probes() if p.tap.kind is kind]
    for probe in probes:  # what holds all comes before what the next iteration lacks
        if probe.stream is not None and read(probe):
            return Wait(fifo(probe.stream), probe.tap.end is End.WRITE, probe.tap.loc)
    return Wait(None, False, found.loc) if found.processes else None


def with_depths(deadlock: Deadlock, design: Design, args: Sequence[Raw]) -> Deadlock:
    """A deadlock with a hint: depths with which the design would not wait, if there are any.

    Args:
        args: the raw arguments of the run.
    """
    try:
        deeper = ending_depths(design)
        names = with_numbers(deeper)
        hint = f"with these depths it would not wait: {names}" if names else None
    except NotStaticError:
        hint = _found_by_running(design, args) if deadlock.full else None
    return Deadlock(
        deadlock.message.removeprefix("deadlock: "), notes=deadlock.notes, full=deadlock.full,
        hint=hint,
    )  # fmt: skip


def _found_by_running(design: Design, args: Sequence[Raw]) -> str | None:
    """The evaluator's hint: FIFOs that hold less than a pipeline of hardware wait there too."""
    def declared(op: Op) -> Op:
        return replace(op, undeclared=False) if isinstance(op, MakeStream) else op

    funcs = tuple(
        replace(f, body=tuple(map(declared, f.body))) if f.dataflow else f
        for f in design.module.funcs
    )
    try:
        run_evaluator(replace(design.module, funcs=funcs), args)
    except Deadlock as found:
        return found.hint
    except AlloError:
        return None
    return None
