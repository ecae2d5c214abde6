"""Traces played against each other: in which cycle each value goes through each FIFO.

The model is exact: it does what the generated hardware does, cycle by cycle, but looks only at the
cycles in which something happens.  Every process is a coroutine; they are woken in the order of
time.  With each event goes the set of FIFOs whose lack of room it was late for (``late``, a bit
for each): when the last event of a run has none, no deeper FIFO makes the run shorter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from allo_rtl.hls.depths_trace import Fork, Pipe, Process, Steps, Trace
from allo_rtl.hls.processes import initial
from allo_rtl.ir.ops import Value


@dataclass(frozen=True, slots=True)
class Room:
    """How a FIFO is built for the model.

    Attributes:
        depth: values it holds, None for any number.
        in_ram: whether a value is there two cycles after it was put instead of one.
    """

    depth: int | None
    in_ram: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a run ends.

    Attributes:
        cycles: its length; None for a deadlock.
        late: streams of which deeper FIFOs may make it shorter, or end it.
        most: what each stream needed room for at most.
        puts: for each stream the cycles in which values were put.
        waits: for a deadlock (process, stream, whether for room) of those that wait.
    """

    cycles: int | None
    late: frozenset[Value]
    most: Mapping[Value, int]
    puts: Mapping[Value, list[int]]
    waits: tuple[tuple[str, Value, bool], ...] = ()


def play_runs(
    trace: Trace, rooms: Mapping[Value, Room], outside: Iterable[Value], most: int, count: int
) -> list[int] | None:
    """Run processes ``count`` times, ``most`` runs at a time, each started as soon as can be.

    Args:
        trace: one :class:`Fork` of processes, of which each goes on to its next run by itself.
        rooms, outside: as of :func:`play`.
        most, count: numbers of runs.

    Returns:
        The cycles in which runs end, counted from the start of the first; None for a deadlock.
    """
    (fork,) = trace
    assert isinstance(fork, Fork)
    return _Runs(rooms, most, count).ends(fork, outside)


def play(trace: Trace, rooms: Mapping[Value, Room], outside: Iterable[Value] = ()) -> Outcome:
    """Run a design whose streams have FIFOs as in ``rooms``.

    The streams from ``outside`` always have a value, those to it always room.
    """
    return _Run(rooms).play(trace, outside)


type _Mark = tuple[int, int]
"""A cycle, and for lack of which rooms it is not earlier."""

type _Action = Generator[int | None, None, _Mark]
"""Yields the cycle in which to go on, or None: when the FIFO it waits at has news."""


@dataclass(eq=False)
class _Fifo:
    """A FIFO; cycles of events may lie ahead of the cycle that is looked at.

    Attributes:
        heads: for each value in it, when it can be taken; None before that is known.
        free: when each free place can be used.
        waiting: who is to be woken when there is a value (False), or room (True).
    """

    stream: Value
    room: Room
    bit: int
    puts: list[int]
    heads: deque[list[int]] = field(default_factory=deque)
    free: deque[_Mark] = field(default_factory=deque)
    taken: int = 0
    most: int = 0
    last_get: int = 0
    waiting: dict[bool, _Task] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = (self.room.depth or 0) - (1 if self.room.in_ram else 0)
        first = initial(self.stream)
        if self.room.depth is not None:
            self.free.extend([(0, 0)] * (places - first))
        self.heads.extend([0, 0] for _ in range(first))
        self.taken -= first

    @property
    def head(self) -> _Mark | None:
        """When the oldest value can be taken, and what made it late; None when there is none."""
        return (self.heads[0][0], self.heads[0][1]) if self.heads else None

    def put(self, cycle: int, late: int) -> None:
        """Append a value."""
        self.puts.append(cycle)
        self.most = max(self.most, len(self.puts) - self.taken)
        if self.room.depth is not None:
            self.free.popleft()
        if not self.room.in_ram:
            self.heads.append([cycle + 1, late])
            return
        self.heads.append([cycle, late])
        if len(self.heads) == 1:
            self._fetch(max(cycle + 1, self.last_get))

    def get(self, cycle: int, late: int) -> None:
        """Take the oldest value."""
        self.heads.popleft()
        self.taken += 1
        self.last_get = cycle
        if not self.room.in_ram:
            if self.room.depth is not None:
                self.free.append((cycle + 1, late))
        elif self.heads:
            put = self.heads[0][0]
            if cycle > put:
                self.heads[0][1] = late
            self._fetch(max(put + 1, cycle))

    def _fetch(self, cycle: int) -> None:
        """The oldest value moves from the RAM to its output."""
        self.heads[0][0] = cycle + 1
        if self.room.depth is not None:
            self.free.append((cycle + 1, self.heads[0][1]))


class _Port(_Fifo):
    """A stream whose other end is outside, and never makes anybody wait."""

    @property
    def head(self) -> _Mark | None:
        return 0, 0

    def put(self, cycle: int, late: int) -> None:
        """Nothing is to be known of it."""

    def get(self, cycle: int, late: int) -> None:
        """Nothing is to be known of it."""


@dataclass(eq=False)
class _Task:
    """A process under way; ``turn`` counts its wakings, so that old ones are known."""

    name: str
    action: _Action
    parent: _Task | None
    turn: int = 0
    children: int = 0
    end: _Mark = (0, 0)
    at: tuple[_Fifo, bool] | None = None


class _Run:
    """One run."""

    def __init__(self, rooms: Mapping[Value, Room]) -> None:
        self._rooms = rooms
        self._bits = {stream: 1 << n for n, stream in enumerate(rooms)}
        self._heap: list[tuple[int, int, int, _Task]] = []
        self._count = 0
        self._fifos: list[_Fifo] = []
        self._tasks: dict[_Task, None] = {}
        self._current: _Task

    def play(self, trace: Trace, outside: Iterable[Value]) -> Outcome:
        ports = {s: _Port(s, Room(None), 0, []) for s in outside}
        top = self._start("", trace, ports, (0, 0), None)
        self._go_on()
        puts: dict[Value, list[int]] = {s: [] for s in self._rooms}
        most = dict.fromkeys(self._rooms, 0)
        for fifo in self._fifos:
            puts[fifo.stream] += fifo.puts
            most[fifo.stream] = max(most[fifo.stream], fifo.most)
        waiting = [(t.name, t.at) for t in self._tasks if t.at is not None]
        waits = tuple((name, fifo.stream, for_room) for name, (fifo, for_room) in waiting)
        if top in self._tasks:
            late = frozenset(s for _, s, for_room in waits if for_room)
            return Outcome(None, late, most, puts, waits)
        late = frozenset(s for s, bit in self._bits.items() if top.end[1] & bit)
        return Outcome(top.end[0], late, most, puts)

    def _go_on(self) -> None:
        """Go on until nobody can."""
        while self._heap:
            _, _, turn, task = heappop(self._heap)
            if turn == task.turn:
                self._resume(task)

    # Tasks

    def _start(
        self, name: str, trace: Trace, fifos: Mapping[Value, _Fifo], now: _Mark,
        parent: _Task | None,
    ) -> _Task:
        task = _Task(name, self._act(trace, fifos, now), parent)
        self._tasks[task] = None
        self._wake(task, now[0])
        return task

    def _wake(self, task: _Task, cycle: int) -> None:
        self._count += 1
        heappush(self._heap, (cycle, self._count, task.turn, task))

    def _resume(self, task: _Task) -> None:
        self._current = task
        task.turn += 1
        if task.at is not None:
            fifo, for_room = task.at
            del fifo.waiting[for_room]
            task.at = None
        try:
            cycle = next(task.action)
        except StopIteration as stop:
            self._end(task, stop.value)
            return
        if cycle is not None:
            self._wake(task, cycle)

    def _end(self, task: _Task, end: _Mark) -> None:
        task.end = end
        del self._tasks[task]
        parent = task.parent
        if parent is not None:
            parent.children -= 1
            parent.end = max(parent.end, end, key=lambda e: (e[0], -e[1]))
            if not parent.children:
                self._wake(parent, parent.end[0])

    def await_(self, fifo: _Fifo, for_room: bool) -> None:
        """Have this task woken when a FIFO has news."""
        self._current.at = fifo, for_room
        fifo.waiting[for_room] = self._current

    def put(self, fifo: _Fifo, now: _Mark) -> None:
        """Append a value, and tell the reader."""
        fifo.put(*now)
        if False in fifo.waiting:
            self._wake(fifo.waiting[False], now[0] + 1)

    def get(self, fifo: _Fifo, now: _Mark) -> None:
        """Take a value, and tell the writer."""
        fifo.get(*now)
        if True in fifo.waiting:
            self._wake(fifo.waiting[True], now[0] + 1)

    # What a process does.  ``now`` is the last cycle in which it did not hold.

    def _act(self, trace: Trace, fifos: Mapping[Value, _Fifo], now: _Mark) -> _Action:
        for part in trace:
            match part:
                case Steps():
                    now = yield from self._steps(part, fifos, now)
                case Pipe():
                    now = yield from _PipeRun(self, part, fifos, now).run()
                case Fork():
                    now = yield from self._fork(part, fifos, now)
        return now

    def _steps(self, part: Steps, fifos: Mapping[Value, _Fifo], now: _Mark) -> _Action:
        for cycle, stream, is_put in part.steps:
            now = yield from self.step(fifos[stream], is_put, (now[0] + cycle, now[1]))
        return now[0] + part.tail, now[1]

    def step(self, fifo: _Fifo, is_put: bool, now: _Mark) -> _Action:
        """A get or put, tried from a cycle on; answers when it is done."""
        if is_put and fifo.room.depth is None:
            self.put(fifo, now)
            return now
        while (able := _able(fifo, is_put)) is None:
            self.await_(fifo, is_put)
            yield None
        if able[0] > now[0]:
            now = (able[0], able[1] | fifo.bit if is_put else able[1])
        (self.put if is_put else self.get)(fifo, now)
        return now

    def _fork(self, part: Fork, fifos: Mapping[Value, _Fifo], now: _Mark) -> _Action:
        me = self._current
        made = {
            s: _Fifo(s, self._rooms[s], self._bits[s], []) for s in part.made
        }
        self._fifos += made.values()
        inside = {**fifos, **made}
        me.children, me.end = len(part.processes), now
        for process in part.processes:
            self._start_process(process, inside, now, me)
        if me.children:
            yield None
        return me.end

    def _start_process(
        self, process: Process, fifos: Mapping[Value, _Fifo], now: _Mark, parent: _Task
    ) -> None:
        given = {param: fifos[stream] for param, stream in process.given.items()}
        self._start(process.name, process.trace, given, now, parent)


class _Runs(_Run):
    """Several runs of the processes of one region (see :mod:`allo_rtl.rtl.run_queue`)."""

    def __init__(self, rooms: Mapping[Value, Room], most: int, count: int) -> None:
        super().__init__(rooms)
        self._most, self._runs = most, count
        self._starts = list(range(most))
        self._over: list[int] = []
        self._ended: list[list[int]] = []
        self._parked: list[_Task] = []

    def ends(self, fork: Fork, outside: Iterable[Value]) -> list[int] | None:
        """When each run ends."""
        fifos: dict[Value, _Fifo] = {s: _Port(s, Room(None), 0, []) for s in outside}
        fifos |= {s: _Fifo(s, self._rooms[s], self._bits[s], []) for s in fork.made}
        for process in fork.processes:
            given = {param: fifos[stream] for param, stream in process.given.items()}
            mine: list[int] = []
            self._ended.append(mine)
            task = _Task(process.name, self._repeat(process.trace, given, mine), None)
            self._tasks[task] = None
            self._wake(task, 0)
        self._go_on()
        return self._over if len(self._over) == self._runs else None

    def _repeat(
        self, trace: Trace, fifos: Mapping[Value, _Fifo], mine: list[int]
    ) -> _Action:
        """A process: it starts its next run in the last cycle of the one before, or later."""
        now = (0, 0)
        for run in range(self._runs):
            while len(self._starts) <= run:
                self._parked.append(self._current)
                yield None
            now = max(now[0], self._starts[run]), 0
            yield now[0]
            now = yield from self._act(trace, fifos, now)
            mine.append(now[0])
            self._finish()
        return now

    def _finish(self) -> None:
        """When all processes have ended a run, it is over: another one may start."""
        done = len(self._over)
        if any(len(mine) <= done for mine in self._ended):
            return
        self._over.append(max(mine[done] for mine in self._ended))
        self._starts.append(max(self._starts[-1], self._over[-1]) + 1)
        for task in self._parked:
            self._wake(task, self._starts[-1])
        self._parked.clear()


def _able(fifo: _Fifo, is_put: bool) -> _Mark | None:
    """When a get (put) can be done; None when that is not known yet."""
    if is_put:
        return fifo.free[0] if fifo.free else None
    return fifo.head


@dataclass(eq=False)
class _Pending:
    """A step of an iteration that has started: it falls in cycle ``due`` of the loop's own."""

    due: int
    fifo: _Fifo
    is_put: bool
    late: int


class _PipeRun:
    """A pipelined loop with leading gets.

    Its own cycles count from 0; ``own`` is the last one that is over, in cycle ``now``.
    """

    def __init__(
        self, run: _Run, part: Pipe, fifos: Mapping[Value, _Fifo], now: _Mark
    ) -> None:
        self.run_, self.part, self.fifos = run, part, fifos
        self.leading = [fifos[s] for s in part.leading]
        self.cycle, self.late = now
        self.own = -1
        self.started = 0
        self.collected = 0
        self.last_start = 0
        self.held = False
        self.pending: deque[_Pending] = deque()

    def run(self) -> _Action:
        """Go from one cycle in which something may happen to the next."""
        total = len(self.part.iterations)
        while self.started < total or self.pending:
            due = self.pending[0].due if self.pending else None
            start = None
            if self.started < total:
                start = self._collectable()
                if start is None and due is None:
                    self.run_.await_(self.leading[self.collected], False)
                    yield None
                    continue
                if start is None:
                    assert due is not None
                    self.run_.await_(self.leading[self.collected], False)
                    yield self.cycle + due - self.own
                    if self._collectable() is not None:
                        continue
            own = min(c for c in (due, start) if c is not None)
            yield from self._cycle(own)
        tail = self.last_start + self.part.length - 1 - self.own
        return self.cycle + tail, self.late

    def _collectable(self) -> int | None:
        """The own cycle, after the last, in which the next word can be collected, if known."""
        fifo = self.leading[self.collected]
        head = fifo.head
        if head is None:
            return None
        own = max(self.own + 1, self.own + head[0] - self.cycle)
        if self.collected == len(self.leading) - 1:
            own += -own % self.part.ii
        return own

    def _cycle(self, own: int) -> _Action:
        """One own cycle: the steps that are due, then collecting."""
        self.cycle += own - self.own
        self.own, self.held = own, False
        yield from self._due()
        taken: list[_Fifo] = []
        while self.started < len(self.part.iterations):
            fifo, is_last = self.leading[self.collected], self.collected == len(self.leading) - 1
            if fifo in taken or (is_last and own % self.part.ii):
                break
            if fifo.head is None:
                self.run_.await_(fifo, False)
                yield self.cycle
            head = fifo.head
            if head is None or head[0] > self.cycle:
                break
            taken.append(fifo)
            self._blame(head, own)
            self.collected += 1
            if is_last:
                break
        for fifo in taken:
            self.run_.get(fifo, (self.cycle, self.late))
        if self.collected == len(self.leading):
            yield from self._issue(own)
        return self.cycle, self.late

    def _blame(self, head: _Mark, own: int) -> None:
        """A word that was missed before decides when the iteration starts."""
        soonest = self.last_start + self.part.ii if self.started else 0
        if own > soonest and head[0] > self.cycle - self.part.ii:
            self.late = head[1] | (self.late if self.held else 0)

    def _issue(self, own: int) -> _Action:
        for cycle, stream, is_put in self.part.iterations[self.started]:
            self.pending.append(_Pending(own + cycle, self.fifos[stream], is_put, self.late))
        self.started, self.collected, self.last_start = self.started + 1, 0, own
        yield from self._due()
        return self.cycle, self.late

    def _due(self) -> _Action:
        """The steps of this own cycle."""
        while self.pending and self.pending[0].due == self.own:
            step = self.pending.popleft()
            before = self.cycle
            now = yield from self.run_.step(step.fifo, step.is_put, (before, step.late))
            self.cycle = now[0]
            if now[0] > before:
                self.held = True
                self.late |= now[1]
                for other in self.pending:
                    other.late |= now[1]
        return self.cycle, self.late
