"""What each process of a region did in a simulated run, cycle by cycle.

In every cycle a process is in one of these states:

    filling     it has not started, or waits for its first value
    computing   it goes on
    memory      it waits for a memory port that others have
    empty       it waits for a value; a loop that could start an iteration and lacks a value for it
                does, too, though what is under way in it goes on
    full        it waits for room
    draining    it has ended, and others have not
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from allo_rtl.hls.streams import End
from allo_rtl.rtl.taps import TapKind
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.driver import watched_probes
from allo_rtl.sim.marshal import Words
from allo_rtl.sim.probes import Probe, Stream, Watched

STATES = ("filling", "computing", "empty", "full", "memory", "draining")
"""The states, in the order in which tables show them."""

# The numbers are those of the enumerations in the driver.
_KINDS = {
    TapKind.BUSY: 0, TapKind.WAIT: 1, TapKind.MEMORY: 2, TapKind.LACK: 3, TapKind.MISS: 4,
    TapKind.TAKE: 5,
}  # fmt: skip
_FIXED = ("filling", "draining", "computing", "memory")


@dataclass(frozen=True, slots=True)
class Span:
    """A process in one state, in cycles ``first`` ... ``last`` (from 1, both included).

    ``stream`` is what it waits for, "" when it does not.
    """

    process: str
    state: str
    first: int
    last: int
    stream: str = ""


@dataclass(frozen=True)
class ProcessProfile:
    """One process: cycles in each of :data:`STATES`, which sum up to those of the run.

    Attributes:
        waits: (state, stream) and cycles, of what it waited for.
    """

    name: str
    cycles: dict[str, int]
    waits: dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Saving:
    """What one deeper FIFO does, measured in a simulation of its own.

    Attributes:
        depths: (stream, depth) of what was made deeper.
        cycles: length of the run then; ``saved``: how much shorter that is.
    """

    depths: tuple[tuple[str, int], ...]
    cycles: int
    saved: int


@dataclass(frozen=True)
class Profile:
    """A profiled run; ``print`` shows it as a table, :mod:`allo_rtl.sim.profile_render` draws it.

    Attributes:
        kernel: the region's name.
        cycles: length of the run.
        processes: all of them, of outer regions first.
        spans: what they did when, of each process in turn; without what came after 4 million
            changes of state.
        savings: what deeper FIFOs do, greatest first; None when it was not asked for.
    """

    kernel: str
    cycles: int
    processes: tuple[ProcessProfile, ...]
    spans: tuple[Span, ...]
    savings: tuple[Saving, ...] | None = None

    def __str__(self) -> str:
        from allo_rtl.sim.profile_render import render_table

        return render_table(self).rstrip("\n")

    def json(self) -> str:
        """All numbers of the profile, the spans too, as JSON."""
        from allo_rtl.sim.profile_render import render_json

        return render_json(self)

    def chrome_trace(self) -> str:
        """The timeline as JSON that Perfetto and chrome://tracing open; a cycle is 1 µs there."""
        from allo_rtl.sim.profile_render import render_trace

        return render_trace(self)

    def svg(self) -> str:
        """The timeline as a picture."""
        from allo_rtl.sim.profile_render import render_svg

        return render_svg(self)


class Recording:
    """Records the runs of a simulation from now on.

    Args:
        kernel: the region's name.
        watched: what the simulation was made with.
    """

    def __init__(self, kernel: str, simulation: Simulation, watched: Watched) -> None:
        self._kernel = kernel
        self._simulation = simulation
        bits = {p: n for n, p in enumerate(watched_probes(watched))}
        self._processes = [_Process(w) for w in watched.all_processes()]
        table = [number for p in self._processes for number in p.table(bits)]
        simulation.record(np.array(table, np.uint64), len(self._processes))

    def stop(self) -> None:
        """Record no more."""
        self._simulation.record(np.zeros(0, np.uint64), 0)

    def profile(self, cycles: int) -> Profile:
        """The last run, which took so many cycles."""
        counts, changes = self._simulation.recorded(sum(len(p.states) for p in self._processes))
        names = _distinct([p.name for p in self._processes])
        profiles, at = [], 0
        for name, process in zip(names, self._processes, strict=True):
            profiles.append(process.profile(name, counts[at : at + len(process.states)]))
            at += len(process.states)
        spans = [
            span for n, (name, p) in enumerate(zip(names, self._processes, strict=True))
            for span in p.spans(name, changes[changes[:, 1] == n], cycles)
        ]
        return Profile(self._kernel, cycles, tuple(profiles), tuple(spans))


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where one is there twice: a region may be called from two places."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


class _Process:
    """A process with the states that it may be in: those of all, then (full, empty) by stream."""

    def __init__(self, watched: Watched) -> None:
        self.name = watched.name
        self._busy = watched.busy
        self._probes = [p for p in watched.all_probes() if p.tap.kind in _KINDS]
        streams = dict.fromkeys(p.stream for p in self._probes if p.stream is not None)
        self._streams: dict[Stream, int] = {s: n for n, s in enumerate(streams)}
        self.states: list[tuple[str, str]] = [(state, "") for state in _FIXED]
        for stream in streams:
            self.states += [("empty", stream.name), ("full", stream.name)]

    def table(self, bits: dict[Probe, int]) -> list[int]:
        """What the driver is told of it."""
        probes = [p for p in self._probes if p.tap.kind is not TapKind.BUSY or p is self._busy]
        numbers = [len(self.states), len(probes)]
        for probe in probes:
            numbers += [_KINDS[probe.tap.kind], bits[probe], self._state(probe)]
        return numbers

    def _state(self, probe: Probe) -> int:
        if probe.tap.kind is TapKind.MEMORY:
            return _FIXED.index("memory")
        if probe.stream is None:
            return 0
        return len(_FIXED) + 2 * self._streams[probe.stream] + (probe.tap.end is End.WRITE)

    def profile(self, name: str, counts: Words) -> ProcessProfile:
        """The process in a run."""
        cycles = dict.fromkeys(STATES, 0)
        waits: dict[tuple[str, str], int] = {}
        for (state, stream), count in zip(self.states, counts, strict=True):
            cycles[state] += int(count)
            if stream and count:
                waits[state, stream] = waits.get((state, stream), 0) + int(count)
        return ProcessProfile(name, cycles, waits)

    def spans(self, name: str, changes: Words, cycles: int) -> list[Span]:
        """What it did when."""
        begins = [int(c) for c in changes[:, 0]]
        ends = [*(b - 1 for b in begins[1:]), cycles]
        return [
            Span(name, self.states[int(s)][0], first, last, self.states[int(s)][1])
            for first, last, s in zip(begins, ends, changes[:, 2], strict=True) if first <= last
        ]


def with_savings(profile: Profile, savings: Sequence[Saving]) -> Profile:
    """A profile with what deeper FIFOs do, greatest saving first."""
    return replace(profile, savings=tuple(sorted(savings, key=lambda s: -s.saved)))
