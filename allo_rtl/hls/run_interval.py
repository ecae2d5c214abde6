"""How often a run starts where runs overlap, in the long run, and what keeps it from more.

The runs are played as the hardware makes them (:func:`~allo_rtl.hls.depths_model.play_runs`) until
the distances of their ends repeat; words of arguments and results never wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.control import Parallel
from allo_rtl.hls.depths_fifo import Room
from allo_rtl.hls.depths_model import play, play_runs
from allo_rtl.hls.depths_search import fifo_room, streams_of
from allo_rtl.hls.depths_trace import Fork, NotStaticError, Process, Trace
from allo_rtl.hls.depths_tracer import traces_of
from allo_rtl.hls.design import Design
from allo_rtl.hls.processes import process_name
from allo_rtl.ir.ops import Value

_WORK = 150_000
"""Wakings of processes that are played at most, some seconds of it."""

_PERIODS = 3
"""How often a pattern of distances must have come at the end before it counts as the last one."""


@dataclass(frozen=True, slots=True)
class RunInterval:
    """How often runs start that overlap, after the first ones.

    Attributes:
        most: runs that may be under way at a time.
        cycles, runs: so many cycles go by for so many runs; where ``runs`` is not 1 not all
            distances are the same.
        limit: what keeps runs from starting more often.
        loc: where that is in the source.
    """

    most: int
    cycles: int
    runs: int
    limit: str
    loc: SourceLoc | None = None

    @property
    def interval(self) -> Fraction:
        """Cycles from one start to the next, on average."""
        return Fraction(self.cycles, self.runs)


def run_interval(design: Design) -> RunInterval | None:
    """How often runs of a design start; None where they do not overlap or it is not known.

    It is not known where it depends on data when processes share memory ports, or where the
    distances of as many runs as can be played do not repeat.
    """
    if design.runs == 1:
        return None
    try:
        traces = traces_of(design)
    except NotStaticError:
        return None
    return _Interval(design, traces).found()


class _Interval:
    """Plays the runs of one design."""

    def __init__(self, design: Design, traces: Sequence[Trace]) -> None:
        self._design, self._traces = design, traces
        (fork,) = traces[0]
        assert isinstance(fork, Fork)
        self._processes = fork.processes
        self._rooms = {s: fifo_room(design, s, design.depth(s)) for s in streams_of(design)}
        single = play(traces[0], self._rooms, self._outside())
        self._steps = 1 + single.played

    def _outside(self) -> list[Value]:
        return [v for v in self._design.port_values if v not in self._rooms]

    def found(self) -> RunInterval | None:
        """The interval of the design as it is."""
        most = self._design.runs
        pattern = self._pattern(self._rooms, most)
        if pattern is None:
            return None
        name, cycles, loc = self._slowest()
        total, runs = sum(pattern), len(pattern)
        if total == cycles * runs:
            return RunInterval(most, total, runs, f"{name} takes {cycles:,} cycles a run", loc)
        return RunInterval(most, total, runs, self._waits(Fraction(total, runs)))

    def _waits(self, now: Fraction) -> str:
        """Why runs start less often than the slowest process could."""
        most = self._design.runs
        more = self._pattern(self._rooms, 2 * most + len(self._processes))
        if more is not None and Fraction(sum(more), len(more)) < now:
            return f"overlap_runs={most}: more runs at a time would start more often"
        deep = {s: Room(None) for s in self._rooms}
        more = self._pattern(deep, 2 * most + len(self._processes))
        if more is not None and Fraction(sum(more), len(more)) < now:
            return "processes wait for room in FIFOs"
        return "processes wait for each other"

    def _slowest(self) -> tuple[str, int, SourceLoc | None]:
        """The process with the longest run by itself: its name, cycles, and place."""
        alone = [(self._alone(p), n) for n, p in enumerate(self._processes)]
        cycles, number = max(alone, key=lambda x: (x[0], -x[1]))
        design, control = self._design, self._design.top.control.body[0]
        assert isinstance(control, Parallel)
        call = control.calls[number]
        return process_name(call), cycles, design.function(call.callee).control.func.loc

    def _alone(self, process: Process) -> int:
        """Cycles of a run of a process that never waits for another one."""
        found = play(process.trace, self._rooms, process.given).cycles
        assert found is not None, "its own processes end, as they do in a run of the design"
        return found

    def _pattern(self, rooms: Mapping[Value, Room], most: int) -> list[int] | None:
        """The distances of runs' ends that repeat at last; None where none are found."""
        enough = 4 * most + 8 * len(self._processes) + 2 * _PERIODS * len(self._traces) + 8
        count = min(enough, _WORK // self._steps)
        ends = play_runs(self._traces, rooms, self._outside(), most, count)
        if ends is None:
            return None
        return _repeating([b - a for a, b in pairwise(ends)], len(self._traces))


def _repeating(distances: Sequence[int], runs: int) -> list[int] | None:
    """The shortest pattern of which the end of a list consists, a good part of it.

    That is as long as several times so many ``runs``, after which processes do the same again.
    """
    for period in range(1, len(distances) // _PERIODS + 1):
        length = max(_PERIODS * period, _PERIODS * runs, len(distances) // 3)
        tail = distances[-length:]
        if len(tail) == length and all(a == b for a, b in zip(tail, tail[period:], strict=False)):
            return list(distances[-period:])
    return None
