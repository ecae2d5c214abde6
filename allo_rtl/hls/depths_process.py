"""Processes in the model of regions: what each does, from one cycle in which it may to the next.

Their state is in attributes alone, so that a steady state can be told and skipped
(:mod:`allo_rtl.hls.depths_steady`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Protocol

from allo_rtl.hls.depths_fifo import Fifo, Mark, Path
from allo_rtl.hls.depths_trace import Claim, Pipe, Steps
from allo_rtl.hls.processes import BankEnd
from allo_rtl.ir.ops import Value


@dataclass(frozen=True, eq=False)
class Places:
    """What the streams and shared ports of a function are in a run of it."""

    fifos: Mapping[Value, Fifo]
    ports: Mapping[BankEnd, Path]
    _known: dict[Claim, tuple[Path, ...]] = field(default_factory=dict)

    def paths(self, claim: Claim) -> tuple[Path, ...]:
        """How to ask for what is claimed; ports that nobody else has are always granted."""
        if claim not in self._known:
            found = dict.fromkeys(self.ports[p] for p in claim.ports if p in self.ports)
            self._known[claim] = tuple(found)
        return self._known[claim]


class Clock(Protocol):
    """What processes ask of the run that they are in."""

    def wake(self, task: Task, cycle: int) -> None:
        """Go on with a process in a cycle, or before."""

    def ask(self, task: Task) -> None:
        """Ask for the ports that a process still needs, in this cycle."""


class Part(Protocol):
    """A part of a trace under way in a process.

    Attributes:
        at: how many steps (iterations) of ``parts`` are behind it.
        parts: all of them; what is done at each follows from it and from the state.
    """

    at: int

    @property
    def parts(self) -> Sequence[Hashable]: ...

    def go(self, cycle: int) -> bool:
        """Go on in a cycle; whether this part is over, ``now`` then being its last cycle."""

    def state(self, cycle: int, horizon: int) -> tuple[object, ...]:
        """What its future depends on besides ``parts``, as seen from a cycle."""


@dataclass(eq=False, slots=True)
class Task:
    """A process under way.

    Attributes:
        now: the last of its cycles that is over, or the one it is in; ``late``: for lack of which
            rooms it was not earlier.
        wake: when to go on with it; None when that is not known.
        waits: the FIFO it waits at, and whether for room.
        asks: the ports that it has asked for and not got yet; None when it asks for none.
        children: how many processes it waits for; ``end``: when the last of them ended.
    """

    name: str
    places: Places
    parent: Task | None
    now: int
    late: int
    parts: Sequence[object] = ()
    number: int = 0
    part: Part | None = None
    wake: int | None = None
    waits: tuple[Fifo, bool] | None = None
    asks: list[Path] | None = None
    children: int = 0
    end: Mark = (0, 0)

    def wait(self, fifo: Fifo, for_room: bool) -> None:
        """Be told when a FIFO has a value, or room."""
        self.waits = fifo, for_room
        if for_room:
            fifo.writer = self
        else:
            fifo.reader = self

    def go_on(self) -> None:
        """It is looked at again."""
        self.wake = None
        if self.waits is not None:
            fifo, for_room = self.waits
            self.waits = None
            if for_room:
                fifo.writer = None
            else:
                fifo.reader = None

    def state(self, cycle: int, horizon: int) -> tuple[object, ...]:
        """What its future depends on, but for how many steps lie ahead, as seen from a cycle."""
        part = self.part
        return (
            id(self.parts), self.number, self.late, self.children,
            None if self.wake is None else self.wake - cycle,
            None if self.waits is None else (id(self.waits[0]), self.waits[1]),
            None if self.asks is None else tuple(self.asks),
            max(-1, self.end[0] - cycle), self.end[1],
            None if part is None else part.state(cycle, horizon),
        )  # fmt: skip

    def jump(self, cycles: int, parts: int) -> None:
        """Be so many cycles and parts of its trace later."""
        self.now += cycles
        self.end = self.end[0] + cycles, self.end[1]
        if self.wake is not None:
            self.wake += cycles
        if self.part is not None:
            self.part.at += parts


def put(clock: Clock, fifo: Fifo, cycle: int, late: int) -> None:
    """Append a value, and tell the reader."""
    fifo.put(cycle, late)
    if fifo.reader is not None:
        clock.wake(fifo.reader, fifo.heads[0][0])


def get(clock: Clock, fifo: Fifo, cycle: int, late: int) -> None:
    """Take a value, and tell the writer."""
    fifo.get(cycle, late)
    if fifo.writer is not None and fifo.free:
        clock.wake(fifo.writer, fifo.free[0][0])


def _late(paths: Iterable[Path]) -> int:
    """For lack of which rooms those were late with whom ports were shared."""
    return reduce(or_, (arbiter.late for path in paths for arbiter, _ in path), 0)


class StepsRun:
    """Steps at fixed distances."""

    def __init__(self, clock: Clock, task: Task, part: Steps) -> None:
        self._clock, self._task = clock, task
        self.parts, self._tail = part.steps, part.tail
        self.at = 0

    def go(self, cycle: int) -> bool:
        task, steps, fifos = self._task, self.parts, self._task.places.fifos
        now, late, at, count = task.now, task.late, self.at, len(self.parts)
        while at < count:
            delta, what, is_put = steps[at]
            due = now + delta
            if due > cycle:
                self._clock.wake(task, due)
                break
            if isinstance(what, Claim):
                if not self._is_granted(what):
                    break
                if cycle > due:
                    due, late = cycle, late | _late(task.places.paths(what))
            else:
                fifo = fifos[what]
                able = fifo.free if is_put else fifo.heads
                if able is not None:
                    if not able:
                        task.wait(fifo, is_put)
                        break
                    when, mark = able[0]
                    if when > cycle:
                        self._clock.wake(task, when)
                        break
                    if when > due:
                        due, late = when, mark | fifo.bit if is_put else mark
                (put if is_put else get)(self._clock, fifo, due, late)
            now = due
            at += 1
        task.now, task.late, self.at = now, late, at
        if at < count:
            return False
        task.now += self._tail
        return True

    def _is_granted(self, claim: Claim) -> bool:
        task = self._task
        if task.asks is None:
            task.asks = list(task.places.paths(claim))
        if task.asks:
            self._clock.ask(task)
            return False
        task.asks = None
        return True

    def state(self, cycle: int, horizon: int) -> tuple[object, ...]:
        if self.at == len(self.parts):
            return (None,)
        return (max(-1, self._task.now + self.parts[self.at][0] - cycle),)


@dataclass(eq=False, slots=True)
class _Pending:
    """A get or put of an iteration that has started: it falls in cycle ``due`` of the loop's."""

    due: int
    fifo: Fifo
    is_put: bool
    late: int


class PipeRun:
    """A pipelined loop with leading gets.

    Its own cycles count from 0; ``_own`` is the one that it is in (``_open``), or the last that is
    over.  It was in that in cycle ``now`` of the run last.
    """

    def __init__(self, clock: Clock, task: Task, part: Pipe) -> None:
        self._clock, self._task, self._part = clock, task, part
        self.parts = part.iterations
        self._leading = [task.places.fifos[s] for s in part.leading]
        self.at = 0
        self._own, self._open = -1, False
        self._collected = 0
        self._last_start = 0
        self._held = self._issued = False
        self._pending: deque[_Pending] = deque()
        self._claims: dict[int, list[Claim]] = {}
        self._asked: list[Path] = []

    def go(self, cycle: int) -> bool:
        while self._open or self._opens(cycle):
            if not self._done(cycle):
                return False
            if not self._issued and self._is_complete(cycle):
                self._issue(cycle)
                continue
            if self._own in self._claims and not self._is_granted(cycle):
                return False
            self._advance(cycle)
        if self.at < len(self.parts) or self._pending or self._claims:
            return False
        self._task.now += self._last_start + self._part.length - 1 - self._own
        return True

    def _opens(self, cycle: int) -> bool:
        """Enter the next cycle of its own in which something may happen, when that is now."""
        task = self._task
        due = [self._pending[0].due] if self._pending else []
        due += [min(self._claims)] if self._claims else []
        if self.at < len(self.parts):
            start = self._collectable()
            if start is None:
                task.wait(self._leading[self._collected], False)
            else:
                due.append(start)
        if not due:
            return False
        own = min(due)
        when = task.now + own - self._own
        if when > cycle:
            self._clock.wake(task, when)
            return False
        self._own, self._open, self._held, task.now = own, True, False, when
        if task.waits is not None:
            task.go_on()
        return True

    def _collectable(self) -> int | None:
        """The own cycle, after the last, in which the next word can be collected, if known."""
        heads = self._leading[self._collected].heads
        if not heads:
            return None
        own = max(self._own + 1, self._own + heads[0][0] - self._task.now)
        if self._collected == len(self._leading) - 1:
            own += -own % self._part.ii
        return own

    def _done(self, cycle: int) -> bool:
        """Do the gets and puts of this own cycle; whether there are none left."""
        task, pending = self._task, self._pending
        while pending and pending[0].due == self._own:
            step = pending[0]
            fifo, late = step.fifo, step.late
            able = fifo.free if step.is_put else fifo.heads
            if able is not None:
                if not able:
                    task.wait(fifo, step.is_put)
                    return False
                when, mark = able[0]
                if when > cycle:
                    self._clock.wake(task, when)
                    return False
                if when > task.now:
                    task.now, late = when, mark | fifo.bit if step.is_put else mark
                    self._hold(late)
            (put if step.is_put else get)(self._clock, fifo, task.now, late)
            pending.popleft()
        return True

    def _hold(self, late: int) -> None:
        """All of it was late."""
        self._held = True
        self._task.late |= late
        for step in self._pending:
            step.late |= late

    def _is_complete(self, cycle: int) -> bool:
        """Whether the words of the next iteration are there, so that it starts."""
        if self.at == len(self.parts) or self._own % self._part.ii:
            return False
        fifos = self._leading[self._collected :]
        return len(set(fifos)) == len(fifos) and all(
            f.heads and f.heads[0][0] <= cycle for f in fifos
        )

    def _issue(self, cycle: int) -> None:
        """Start an iteration.  Its words go now, or when this cycle of the loop is over."""
        self._catch_up(cycle)
        for fifo in self._leading[self._collected :]:
            self._blame(fifo.heads[0])
        if self._part.early:
            self._take(cycle, len(self._leading))
        late = self._task.late
        for after, what, is_put in self.parts[self.at]:
            if isinstance(what, Claim):
                if self._task.places.paths(what):
                    self._claims.setdefault(self._own + after, []).append(what)
            else:
                fifo = self._task.places.fifos[what]
                self._pending.append(_Pending(self._own + after, fifo, is_put, late))
        self.at += 1
        self._last_start, self._issued = self._own, True

    def _take(self, cycle: int, most: int) -> None:
        """Collect words, up to a number of them."""
        for fifo in self._leading[self._collected : most]:
            get(self._clock, fifo, cycle, self._task.late)
        self._collected = most

    def _blame(self, head: Mark) -> None:
        """A word that was missed before decides when the iteration starts."""
        soonest = self._last_start + self._part.ii if self.at else 0
        if self._own > soonest and head[0] > self._task.now - self._part.ii:
            self._task.late = head[1] | (self._task.late if self._held else 0)

    def _is_granted(self, cycle: int) -> bool:
        """Ask for the ports of this own cycle; whether it has got all of them."""
        task = self._task
        task.asks = task.asks or []
        for claim in self._claims[self._own]:
            for path in task.places.paths(claim):
                if path not in self._asked:
                    self._asked.append(path)
                    task.asks.append(path)
        if task.asks:
            self._clock.ask(task)
            return False
        self._catch_up(cycle)
        return True

    def _catch_up(self, cycle: int) -> None:
        """It has held for ports until now."""
        if cycle > self._task.now:
            self._task.now = cycle
            self._hold(_late(self._asked))

    def _advance(self, cycle: int) -> None:
        """This own cycle is over: words that were not taken are."""
        if self._issued:
            self._take(cycle, len(self._leading))
            self._collected = 0
        elif self.at < len(self.parts):
            self._collect(cycle)
        self._claims.pop(self._own, None)
        self._asked, self._task.asks = [], None
        self._open = self._issued = False

    def _collect(self, cycle: int) -> None:
        """Collect words for an iteration that cannot start yet."""
        taken: list[Fifo] = []
        is_slot = self._own % self._part.ii == 0
        for number, fifo in enumerate(self._leading[self._collected :], self._collected + 1):
            is_last = number == len(self._leading)
            if fifo in taken or (is_last and not is_slot):
                break
            if not fifo.heads or fifo.heads[0][0] > cycle:
                break
            self._blame(fifo.heads[0])
            taken.append(fifo)
        self._take(cycle, self._collected + len(taken))

    def state(self, cycle: int, horizon: int) -> tuple[object, ...]:
        # The own cycle that this one would be, if nothing held it.
        own = self._own + cycle - self._task.now
        ii, length = self._part.ii, self._part.length
        return (
            own % ii, min(own - self._last_start, ii + length + horizon), self.at == 0,
            own - self._own if self._open else None, self._collected, self._held, self._issued,
            tuple([(s.due - own, id(s.fifo), s.is_put, s.late) for s in self._pending]),
            tuple([(due - own, tuple(c)) for due, c in sorted(self._claims.items())]),
            tuple(self._asked),
        )  # fmt: skip
