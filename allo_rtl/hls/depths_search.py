"""The search for the least depths of FIFOs (see :mod:`allo_rtl.hls.depths`).

The search deepens only FIFOs for which the last event of a run waited, directly or not, those of
fewest bits first; what no depth of the others can replace is found before by bisection.  (The idea
of following the events that wait for room is that of Stuijk, Geilen, Basten, "Exploring trade-offs
in buffer requirements and throughput constraints for synchronous dataflow graphs", DAC 2006; here
the whole run counts, not the steady state.)  At the end one place less is tried for each FIFO: what
then happens is the proof that it is needed.

Where processes take turns at memory ports, a FIFO that is deeper may also make a run longer, for
others then come first to a port.  The goal is then a run as short as with FIFOs that always have
room, and the proofs are what they are: each is a run that was played.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heappop, heappush
from itertools import count

from allo_rtl.hls.depths_fifo import Room
from allo_rtl.hls.depths_model import Outcome, play
from allo_rtl.hls.depths_trace import NotStaticError, UnknownPortsError
from allo_rtl.hls.depths_tracer import trace_of
from allo_rtl.hls.design import Design
from allo_rtl.hls.processes import fifo_shape, made_streams
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.ops import Call, Value
from allo_rtl.ir.types import StreamType

WORK = 400_000
"""Wakings of processes that a search may play, some seconds of it."""

_RUNS_A_STREAM = 8
"""Runs for each FIFO that the search for the fewest bits takes, about."""

_KINDS_WORK = 250_000
"""Wakings that are played at most for FIFOs of a kind together."""

_RUNS_A_KIND = 3
"""Runs for each kind of FIFOs, about."""

_BRANCHES = 300
"""Vectors of depths that are looked at before the search stops to look for the fewest bits."""


@dataclass(frozen=True)
class Proof:
    """What one place less in a FIFO does.

    Attributes:
        depth: the depth that is one less.
        cycles: length of a run with it; None when that deadlocks.
        token: number, from 0, of the first value that is put later than before, or never; None
            when there is none (a FIFO in registers has a shorter way through than one in a RAM).
        cycle: when it is put with the depth of the plan; ``later``: with one less, None for never.
        together: FIFOs that have one place less: those of a kind (see :func:`kinds`), or one.
    """

    depth: int
    cycles: int | None
    token: int | None = None
    cycle: int = 0
    later: int | None = None
    together: int = 1

    def __str__(self) -> str:
        what = "deadlock" if self.cycles is None else f"{self.cycles:,} cycles"
        given = f"with {self.depth}"
        if self.together > 1:
            given += f" in all {self.together} of its kind"
        if self.token is None:
            return f"{given}: {what}"
        when = "never put" if self.later is None else f"put in cycle {self.later:,}"
        return (f"{given}: {what}; value {self.token} is {when}, "
                f"with {self.depth + 1} in cycle {self.cycle:,}")  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Depths of the FIFOs of a design.

    Attributes:
        depths: the depth of each FIFO.
        cycles: length of a run with them, None for a deadlock.
        best: length of a run with FIFOs that always have room and take one cycle; None for a
            deadlock.
        proofs: for the FIFOs that were free, what one place less does.
        is_least: whether each of these has a proof, or a depth of 1; ``by_kinds``: the proofs are
            of all FIFOs of a kind together, and one of them alone might be less.
        unknown: why it is not known when processes ask for memory ports that they share; cycles
            are then as if each had ports of its own.  None when that is known.
        deeper: the FIFOs that are deeper than ``proofs`` show, because it is not known when values
            come (see :mod:`allo_rtl.hls.depths_order`).
    """

    depths: Mapping[Value, int]
    cycles: int | None
    best: int | None
    proofs: Mapping[Value, Proof]
    is_least: bool
    unknown: NotStaticError | None = None
    by_kinds: bool = False
    deeper: frozenset[Value] = frozenset()


def streams_of(design: Design) -> list[Value]:
    """All streams of a design, of outer regions first."""
    return [s for f in reversed(design.functions) for s in made_streams(f.control.func)]


def kinds(design: Design) -> dict[Value, tuple[str, ...]]:
    """Of each stream what it connects: which function puts by which argument, and which takes.

    In an array of processes there are many of a few kinds.
    """
    found: dict[Value, list[str]] = {}
    for function in design.functions:
        func = function.control.func
        for op in func.body if func.dataflow else ():
            if isinstance(op, Call):
                for n, value in enumerate(op.args):
                    if isinstance(value.type, StreamType):
                        found.setdefault(value, []).append(f"{func.name} {op.callee} {n}")
    return {s: (str(s.type), *sorted(ends)) for s, ends in found.items()}


class Model:
    """The model of one design, as a function of depths.

    Attributes:
        trace: what is played.
        unknown: why it is not known when processes ask for the memory ports that they share; cycles
            are then as if each had ports of its own.  None when that is known.
        steps: wakings in the last run; ``left``: those that may be played yet.
    """

    def __init__(self, design: Design, work: int | None = None) -> None:
        self.design = design
        self.left = WORK if work is None else work
        self.steps = 0
        self.unknown: NotStaticError | None = None
        try:
            self.trace = trace_of(design, outside=True)
        except UnknownPortsError as error:
            self.unknown = error
            self.trace = trace_of(design, outside=True, ports=False)
        self._outside = [v for v in design.port_values if isinstance(v.type, StreamType)]
        self._known: dict[tuple[int | None, ...], Outcome] = {}

    def run(self, depths: Mapping[Value, int | None]) -> Outcome:
        """A run with FIFOs of these depths; None is any number of places."""
        key = tuple(depths.values())
        if key not in self._known:
            if self.left < 0:
                raise NotStaticError("there is too much to search")
            rooms = {s: fifo_room(self.design, s, d) for s, d in depths.items()}
            self._known[key] = found = play(self.trace, rooms, self._outside)
            self.steps = found.played
            self.left -= self.steps
        return self._known[key]


def fifo_room(design: Design, stream: Value, depth: int | None) -> Room:
    """The FIFO of a stream for the model; ``depth`` None is any number of places."""
    if depth is None:
        return Room(None)
    storage = fifo_shape(stream, design.device, depth).storage
    return Room(depth, storage is not StorageKind.REGISTERS)


class Search:
    """Looks for the least depths.

    Args:
        floor: the streams that are free, and their least.
        only_ends: that a run ends is enough; it need not be as short as can be.
    """

    def __init__(
        self,
        model: Model,
        fixed: Mapping[Value, int],
        floor: Mapping[Value, int],
        only_ends: bool = False,
    ) -> None:
        self._only_ends = only_ends
        self._model = model
        self._fixed = fixed
        self._floor = floor
        self._needed: dict[Value, int] = {}

    def plan(self) -> Plan:
        """The least depths."""
        unknown = self._model.unknown
        best = self.ideal.cycles
        if best is None:
            return Plan({**self._fixed, **self._floor}, None, None, {}, False, unknown)
        steps = max(1, self._model.steps)
        rounds = self._model.left // (steps * max(1, len(self._floor)))
        depths = self._fewest_bits() if rounds >= _RUNS_A_STREAM else self._alike()
        proofs: dict[Value, Proof] = {}
        by_kinds = False
        if rounds > 2:
            depths = self._reduced(depths)
            proofs = {s: p for s in self._floor if (p := self._proof(depths, s)) is not None}
        elif (groups := self._kinds()) and len(groups) * steps * _RUNS_A_KIND <= _KINDS_WORK:
            depths = self._reduced_by_kinds(depths, groups)
            found = [self._proofs_of_kind(depths, g) for g in groups]
            proofs = {s: p for part in found for s, p in part.items()}
            by_kinds = all(p or self._is_low(depths, g) for p, g in zip(found, groups, strict=True))
        done = all(s in proofs or self._is_low(depths, [s]) for s in self._floor)
        cycles = self.run(depths).cycles
        return Plan(depths, cycles, best, proofs, done and not by_kinds, unknown, by_kinds)

    def _is_low(self, depths: Mapping[Value, int], group: Iterable[Value]) -> bool:
        return all(depths[s] == self._floor[s] for s in group)

    def _kinds(self) -> list[list[Value]]:
        """The FIFOs that are free, those of a kind together."""
        of, found = kinds(self._model.design), dict[object, list[Value]]()
        for stream in self._floor:
            found.setdefault(of.get(stream, stream), []).append(stream)
        return list(found.values())

    def _reduced_by_kinds(
        self, depths: Mapping[Value, int], groups: Sequence[Sequence[Value]]
    ) -> dict[Value, int]:
        """The depths without places that all FIFOs of a kind can do without."""
        now = dict(depths)
        for group in groups:
            now = self._reduced_together(now, group)
        return now

    def _reduced_together(
        self, depths: dict[Value, int], group: Sequence[Value]
    ) -> dict[Value, int]:
        goal = self.run(depths).cycles

        def suffices(most: int) -> bool:
            return self._reaches(self.run(_at_most(depths, group, most)).cycles, goal)

        low = max(self._floor[s] for s in group)
        return _at_most(depths, group, _least(low, max(depths[s] for s in group), suffices))

    def _proofs_of_kind(
        self, depths: Mapping[Value, int], group: Sequence[Value]
    ) -> dict[Value, Proof]:
        """What one place less in all that have the most places of their kind does."""
        most = max(depths[s] for s in group)
        if most == 1:
            return {}
        deep = [s for s in group if depths[s] == most]
        less = _at_most(depths, group, most - 1)
        proofs = {s: self._proof_of(depths, less, s) for s in deep}
        return {s: replace(p, together=len(deep)) for s, p in proofs.items() if p is not None}

    @cached_property
    def ideal(self) -> Outcome:
        """The run in which nobody waits for room in a FIFO that is free."""
        return self.run(dict.fromkeys(self._floor))

    def run(self, depths: Mapping[Value, int | None]) -> Outcome:
        """A run with these depths, those that are fixed besides."""
        return self._model.run({**self._fixed, **depths})

    def _is_enough(self, found: Outcome) -> bool:
        """Whether no deeper FIFO makes a run shorter."""
        best = self.ideal.cycles
        assert best is not None
        if found.cycles is None or self._only_ends:
            return found.cycles is not None
        return found.cycles <= best or not self._late(found)

    def _reaches(self, cycles: int | None, goal: int | None) -> bool:
        """Whether a run is as good as another one."""
        if cycles is None or goal is None or self._only_ends:
            return cycles is not None
        return cycles <= goal

    def _late(self, found: Outcome) -> list[Value]:
        """The FIFOs that are free and that a run waits for."""
        return [s for s in self._floor if s in found.late]

    def _bits(self, depths: Mapping[Value, int]) -> int:
        design = self._model.design
        return sum(d * design.fifo(s).width for s, d in depths.items() if s in self._floor)

    def _fewest_bits(self) -> dict[Value, int]:
        """Depths that are enough: those of the fewest bits, or after a while some."""
        serial, seen = count(), set[tuple[int, ...]]()
        heap: list[tuple[int, int, dict[Value, int]]] = []

        def add(depths: dict[Value, int]) -> None:
            if (key := tuple(depths[s] for s in self._floor)) not in seen:
                seen.add(key)
                heappush(heap, (self._bits(depths), next(serial), depths))

        add({**self._fixed, **self._floor})
        while True:
            depths = heappop(heap)[2]
            found = self.run(depths)
            if self._is_enough(found):
                return depths
            late = self._late(found)
            assert late, "a deadlock that room does not end ends in the ideal run too"
            needed = {s: n for s in late if depths[s] < (n := self._need(s))}
            if needed:
                add({**depths, **needed})
            elif len(seen) > _BRANCHES:
                add({**depths, **{s: depths[s] + 1 for s in late}})
                heap = heap[-1:]
            else:
                for stream in late:
                    add({**depths, stream: depths[stream] + 1})

    def _alike(self) -> dict[Value, int]:
        """Depths that are enough, as alike as can be, in few runs; no greater than needed alone."""
        depth, most = 1, {s: self._most(s) for s in self._floor}
        while True:
            depth *= 2
            depths = {s: max(low, min(depth, most[s])) for s, low in self._floor.items()}
            found = self.run(depths)
            if self._is_enough(found) or all(depth >= most[s] for s in self._floor):
                return {**self._fixed, **depths}

    def _most(self, stream: Value) -> int:
        """A depth with which a FIFO always has room, as in the ideal run."""
        most = max(1, self.ideal.most[stream])
        # From a RAM values are there a cycle later, and so their places.
        return most + 2 if fifo_room(self._model.design, stream, most).in_ram else most

    def _need(self, stream: Value) -> int:
        """The depth that a FIFO has to have, whatever the others have."""
        if stream not in self._needed:
            most = max(self._most(stream), self._floor[stream])

            def cycles(depth: int) -> int | None:
                return self.run({**dict.fromkeys(self._floor), stream: depth}).cycles

            goal = cycles(most)
            self._needed[stream] = _least(
                self._floor[stream], most, lambda depth: self._reaches(cycles(depth), goal)
            )
        return self._needed[stream]

    def _reduced(self, depths: dict[Value, int]) -> dict[Value, int]:
        """The depths without places that can be left out one by one."""
        goal, before = self.run(depths).cycles, None
        while depths != before:  # where ports are shared one may do with less when another does
            before = depths
            for stream in self._floor:
                while depths[stream] > self._floor[stream]:
                    less = {**depths, stream: depths[stream] - 1}
                    if not self._reaches(self.run(less).cycles, goal):
                        break
                    depths = less
                    goal = self.run(depths).cycles
        return depths

    def _proof(self, depths: Mapping[Value, int], stream: Value) -> Proof | None:
        """What one place less does, when it does anything."""
        if depths[stream] == 1:
            return None
        return self._proof_of(depths, {**depths, stream: depths[stream] - 1}, stream)

    def _proof_of(
        self, depths: Mapping[Value, int], others: Mapping[Value, int], stream: Value
    ) -> Proof | None:
        """What lesser depths do to a stream, when they do anything."""
        full, less = self.run(depths), self.run(others)
        if self._reaches(less.cycles, full.cycles):
            return None
        before, after = list(full.puts[stream]), list(less.puts[stream])
        token = next(
            (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if b > a), len(after)
        )
        if token >= len(before):
            return Proof(depths[stream] - 1, less.cycles)
        later = after[token] if token < len(after) else None
        return Proof(depths[stream] - 1, less.cycles, token, before[token], later)


def _at_most(depths: Mapping[Value, int], group: Collection[Value], most: int) -> dict[Value, int]:
    """The depths, those of a group no greater than some number."""
    return {**depths, **{s: min(most, depths[s]) for s in group}}


def _least(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The least number for which a condition holds; it holds for ``high`` and all before it."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
