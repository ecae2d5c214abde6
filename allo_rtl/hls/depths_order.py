"""Depths with which a region ends whenever values come: by the order of operations alone.

A pipelined loop holds values that are on their way through it, and the depths that
:mod:`allo_rtl.hls.depths` finds count on that.  How many these are depends on when values come,
which is not known where processes share a memory port or arguments are streams: with gaps between
values there are fewer.  In the order of the text a process holds one value of each stream at most,
as in the simulator; depths with which that order comes to an end are enough at any times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from allo_rtl.hls.depths_trace import Fork, Pipe, Steps, Trace
from allo_rtl.hls.processes import initial
from allo_rtl.ir.ops import Value


def secured(
    trace: Trace, depths: Mapping[Value, int], free: Collection[Value], bits: Callable[[Value], int]
) -> dict[Value, int]:
    """Depths with which the order of operations comes to an end, where depths of ``free`` can do.

    The full FIFO of the fewest bits is made deeper until it does (T. Parks, "Bounded scheduling of
    process networks", 1995), and then each that was as little deep as it may be.

    Args:
        trace: streams in it that have no depth are those of arguments, which never make wait.
        bits: the width of a stream.
    """
    now = dict(depths)
    while (full := _full(trace, now)) is not None:
        if not (could := [s for s in full if s in free]):
            return dict(depths)  # no depths help
        now[min(could, key=lambda s: now[s] * bits(s))] += 1
    for stream in free:
        while now[stream] > depths[stream]:
            less = {**now, stream: now[stream] - 1}
            if not _ends(trace, less):
                break
            now = less
    return now


def _ends(trace: Trace, depths: Mapping[Value, int]) -> bool:
    return _full(trace, depths) is None


def _full(trace: Trace, depths: Mapping[Value, int]) -> list[Value] | None:
    """The streams whose writers wait for ever; None when the run ends."""
    return _Play(depths).run(trace)


@dataclass(eq=False)
class _Fifo:
    stream: Value
    depth: int
    level: int = 0
    waiting: list[_Process] = field(default_factory=list)


type _Step = tuple[_Fifo, bool]
"""A FIFO, and whether a value is put (else taken)."""


@dataclass(eq=False)
class _Process:
    steps: Iterator[_Step | None]
    parent: _Process | None
    children: int = 0
    blocked: _Step | None = None


class _Play:
    """One run, without times."""

    def __init__(self, depths: Mapping[Value, int]) -> None:
        self._depths = depths
        self._ready: deque[_Process] = deque()
        self._alive: dict[_Process, None] = {}

    def run(self, trace: Trace) -> list[Value] | None:
        self._start(trace, {}, None)
        while self._ready:
            self._go_on(self._ready.popleft())
        if not self._alive:
            return None
        waits = [p.blocked for p in self._alive if p.blocked is not None]
        return [fifo.stream for fifo, is_put in waits if is_put]

    def _start(
        self, trace: Trace, fifos: Mapping[Value, _Fifo], parent: _Process | None
    ) -> None:
        process = _Process(iter(()), parent)
        process.steps = self._steps(trace, fifos, process)
        self._alive[process] = None
        self._ready.append(process)
        if parent is not None:
            parent.children += 1

    def _go_on(self, process: _Process) -> None:
        """Run a process until it waits or ends."""
        while process.children == 0:
            step = process.blocked or next(process.steps, _END)
            process.blocked = None
            if step is None:
                continue
            if isinstance(step, _End):
                self._end(process)
                return
            fifo, is_put = step
            if fifo.level == (fifo.depth if is_put else 0):
                process.blocked = step
                fifo.waiting.append(process)
                return
            fifo.level += 1 if is_put else -1
            self._ready.extend(fifo.waiting)
            fifo.waiting.clear()

    def _end(self, process: _Process) -> None:
        del self._alive[process]
        if process.parent is not None:
            process.parent.children -= 1
            if not process.parent.children:
                self._ready.append(process.parent)

    def _steps(
        self, trace: Trace, fifos: Mapping[Value, _Fifo], me: _Process
    ) -> Iterator[_Step | None]:
        for part in trace:
            if isinstance(part, Fork):
                made = {s: _Fifo(s, self._depths[s], initial(s)) for s in part.made}
                inside = {**fifos, **made}
                for process in part.processes:
                    given = {p: inside[s] for p, s in process.given.items() if s in inside}
                    self._start(process.trace, given, me)
                yield None  # until these have ended
            else:
                yield from (
                    (fifos[s], is_put) for s, is_put in _ordered(part) if s in fifos
                )


class _End:
    """That a process has no more steps."""


_END = _End()


def _ordered(part: Steps | Pipe) -> Iterator[tuple[Value, bool]]:
    """Gets and puts in the order of the text."""
    if isinstance(part, Steps):
        yield from ((s, is_put) for _, s, is_put in part.steps)
        return
    for iteration in part.iterations:
        yield from ((s, False) for s in part.leading)
        yield from ((s, is_put) for _, s, is_put in iteration)
