"""Depths with which a region ends whenever values come: by the order of operations alone.

A pipelined loop holds values that are on their way through it, and the depths that
:mod:`allo_rtl.hls.depths` finds count on that.  How many these are depends on when values come,
which is not known where processes share a memory port or arguments are streams: with gaps between
values there are fewer.  In the order of the text a process holds one value of each stream at most,
as in the simulator; depths with which that order comes to an end are enough at any times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from allo_rtl.hls.depths_trace import Fork, Pipe, Steps, Trace, on_streams
from allo_rtl.hls.play import Fifo, Play, Process, Step
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


@dataclass(frozen=True)
class _Body:
    """A trace, and the FIFOs that its streams are."""

    trace: Trace
    fifos: Mapping[Value, Fifo]


class _Play(Play[_Body]):
    """One run of a trace with FIFOs of some depths."""

    def __init__(self, depths: Mapping[Value, int]) -> None:
        super().__init__()
        self._depths = depths

    def run(self, trace: Trace) -> list[Value] | None:
        self.start(_Body(trace, {}), None)
        self.go_on()
        if not self.alive:
            return None
        return [fifo.stream for fifo, is_put in self.waits() if is_put]

    def steps(self, body: _Body, me: Process) -> Iterator[Step | None]:
        for part in body.trace:
            if isinstance(part, Fork):
                made = {s: Fifo(s, self._depths[s], initial(s)) for s in part.made}
                inside = {**body.fifos, **made}
                for process in part.processes:
                    given = {p: inside[s] for p, s in process.given.items() if s in inside}
                    self.start(_Body(process.trace, given), me)
                yield None  # until these have ended
            else:
                yield from (
                    (body.fifos[s], is_put) for s, is_put in _ordered(part) if s in body.fifos
                )


def _ordered(part: Steps | Pipe) -> Iterator[tuple[Value, bool]]:
    """Gets and puts in the order of the text."""
    if isinstance(part, Steps):
        yield from on_streams(part.steps)
        return
    for iteration in part.iterations:
        yield from ((s, False) for s in part.leading)
        yield from on_streams(iteration)
