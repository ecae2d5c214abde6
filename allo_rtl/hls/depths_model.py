"""Traces played against each other: in which cycle each value goes through each FIFO.

The model is exact: it does what the generated hardware does, cycle by cycle, but looks only at the
cycles in which something happens, and skips steady states (:mod:`allo_rtl.hls.depths_steady`).  In
each cycle all processes do first what they can; then those that ask for a memory port that they
share get it in turn.  With each event goes the set of FIFOs whose lack of room it was late for
(``late``, a bit for each): when the last event of a run has none, no process waited for room that
the end of the run waited for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from allo_rtl.hls.depths_fifo import Arbiter, Fifo, Outside, Path, Room, Times
from allo_rtl.hls.depths_process import PipeRun, Places, StepsRun, Task
from allo_rtl.hls.depths_steady import Steady
from allo_rtl.hls.depths_trace import Fork, Pipe, Steps, Trace
from allo_rtl.hls.processes import BankEnd
from allo_rtl.ir.ops import Value


@dataclass(frozen=True)
class Outcome:
    """How a run ends.

    Attributes:
        cycles: its length; None for a deadlock.
        late: streams of which deeper FIFOs may make it shorter, or end it.
        most: how many values were in each FIFO at once, at most.
        puts: for each stream the cycles in which values were put.
        played: how many steps that took, in which something happened.
        waits: for a deadlock (process, stream, whether for room) of those that wait.
    """

    cycles: int | None
    late: frozenset[Value]
    most: Mapping[Value, int]
    puts: Mapping[Value, Times]
    played: int
    waits: tuple[tuple[str, Value, bool], ...] = ()


def play_runs(
    traces: Sequence[Trace], rooms: Mapping[Value, Room], outside: Iterable[Value], most: int,
    count: int,
) -> list[int] | None:
    """Run processes ``count`` times, ``most`` runs at a time, each started as soon as can be.

    Args:
        traces: for each run, and again from the first on, one :class:`Fork` of processes, of which
            each goes on to its next run by itself.
        rooms, outside: as of :func:`play`.
        most, count: numbers of runs.

    Returns:
        The cycles in which runs end, counted from the start of the first; None for a deadlock.
    """
    forks = [part for trace in traces for part in trace if isinstance(part, Fork)]
    assert len(forks) == len(traces)
    return _Runs(rooms, most, count).ends(forks, outside)


def play(trace: Trace, rooms: Mapping[Value, Room], outside: Iterable[Value] = ()) -> Outcome:
    """Run a design whose streams have FIFOs as in ``rooms``.

    The streams from ``outside`` always have a value, those to it always room.
    """
    return _Run(rooms).play(trace, outside)


class _Run:
    """One run."""

    def __init__(self, rooms: Mapping[Value, Room]) -> None:
        self._rooms = rooms
        self._bits = {stream: 1 << n for n, stream in enumerate(rooms)}
        self._cycles: list[int] = []
        self._due: dict[int, list[Task]] = {}
        self._asking: list[Task] = []
        self._now = 0
        self.fifos: list[Fifo] = []
        self.arbiters: list[Arbiter] = []
        self.tasks: dict[Task, None] = {}
        self.played = 0

    def play(self, trace: Trace, outside: Iterable[Value]) -> Outcome:
        """A whole run."""
        ends = {s: Outside(s) for s in outside}
        top = self._start("", trace, Places(ends, {}), (0, 0), None)
        self._go_on(Steady(self))
        puts = {s: Times() for s in self._rooms}
        most = dict.fromkeys(self._rooms, 0)
        for fifo in self.fifos:
            if puts[fifo.stream]:
                puts[fifo.stream].extend(fifo.puts)
            else:
                puts[fifo.stream] = fifo.puts
            most[fifo.stream] = max(most[fifo.stream], fifo.most)
        waits = tuple((t.name, t.waits[0].stream, t.waits[1]) for t in self.tasks if t.waits)
        if top in self.tasks:
            late = frozenset(s for _, s, for_room in waits if for_room)
            return Outcome(None, late, most, puts, self.played, waits)
        late = frozenset(s for s, bit in self._bits.items() if top.end[1] & bit)
        return Outcome(top.end[0], late, most, puts, self.played)

    def _go_on(self, steady: Steady | None = None) -> None:
        """Go on until nobody can."""
        while self._cycles:
            cycle = self._now = self._cycles[0]
            if steady is not None and steady.is_due and (later := steady.look(cycle)):
                self._shift(later)
                continue
            while self._due.get(cycle) or self._asking:
                for task in self._due.pop(cycle, ()):
                    if task.wake == cycle:
                        self._resume(task)
                if self._asking:
                    self._arbitrate()
            heappop(self._cycles)
            self._due.pop(cycle, None)

    def _shift(self, cycles: int) -> None:
        """All that is to come is later."""
        self._cycles = [c + cycles for c in self._cycles]
        self._due = {c + cycles: tasks for c, tasks in self._due.items()}

    # What processes do

    def wake(self, task: Task, cycle: int) -> None:
        """Go on with a process in a cycle, or before."""
        if task.wake is not None and task.wake <= cycle:
            return
        task.wake = cycle
        if cycle not in self._due:
            self._due[cycle] = []
            heappush(self._cycles, cycle)
        self._due[cycle].append(task)

    def ask(self, task: Task) -> None:
        """Ask for the ports that a process still needs, in this cycle."""
        self._asking.append(task)

    def _arbitrate(self) -> None:
        """Grant ports to those who ask; who does not get all goes on asking."""
        asking, self._asking = self._asking, []
        wants: dict[Arbiter, list[int]] = {}
        for task in asking:
            for path in task.asks or ():
                for arbiter, number in path:
                    wants.setdefault(arbiter, []).append(number)
                    arbiter.late |= task.late
        chosen = {arbiter: arbiter.choose(numbers) for arbiter, numbers in wants.items()}
        for task in asking:
            task.asks = [
                path for path in task.asks or ()
                if any(chosen[arbiter] != number for arbiter, number in path)
            ]  # fmt: skip
            if task.asks:
                self.wake(task, self._now + 1)
            else:
                self._resume(task)

    # Tasks

    def _start(
        self, name: str, trace: Trace, places: Places, now: tuple[int, int], parent: Task | None
    ) -> Task:
        task = Task(name, places, parent, *now, parts=trace)
        self.tasks[task] = None
        self.wake(task, now[0])
        return task

    def _resume(self, task: Task) -> None:
        """Do what a process can do in this cycle."""
        task.go_on()
        self.played += 1
        while True:
            if task.part is None and not self._next_part(task):
                return
            if task.part is not None:
                if not task.part.go(self._now):
                    return
                task.part = None

    def _next_part(self, task: Task) -> bool:
        """Begin the next part of a trace; whether there is something to do now."""
        if task.number == len(task.parts):
            return self._end(task)
        part = task.parts[task.number]
        task.number += 1
        match part:
            case Steps():
                task.part = StepsRun(self, task, part)
            case Pipe():
                task.part = PipeRun(self, task, part)
            case Fork():
                self._fork(part, task)
                return not task.children
        return True

    def _fork(self, part: Fork, task: Task) -> None:
        made = {s: self._fifo(s) for s in part.made}
        fifos, ports = {**task.places.fifos, **made}, task.places.ports
        task.children, task.end = len(part.processes), (task.now, task.late)
        for name, trace, places in self._processes(part, fifos, ports):
            self._start(name, trace, places, task.end, task)

    def _fifo(self, stream: Value) -> Fifo:
        self.fifos.append(Fifo(stream, self._rooms[stream], self._bits[stream]))
        return self.fifos[-1]

    def _processes(
        self, fork: Fork, fifos: Mapping[Value, Fifo], ports: Mapping[BankEnd, Path]
    ) -> list[tuple[str, Trace, Places]]:
        """The processes of a region, with what their streams and ports are."""
        users = Counter(port for p in fork.processes for port in set(p.ports.values()))
        arbiters = {port: Arbiter() for port, count in users.items() if count > 1}
        self.arbiters += arbiters.values()
        found = []
        for number, process in enumerate(fork.processes):
            given = {param: fifos[stream] for param, stream in process.given.items()}
            paths: dict[BankEnd, Path] = {}
            for param, port in process.ports.items():
                inner = ((arbiters[port], number),) if port in arbiters else ()
                if path := (*inner, *ports.get(port, ())):
                    paths[param] = path
            found.append((process.name, process.trace, Places(given, paths)))
        return found

    def _end(self, task: Task) -> bool:
        """A process is over; whether it goes on."""
        mark = task.now, task.late
        task.end = mark
        del self.tasks[task]
        parent = task.parent
        if parent is not None:
            parent.children -= 1
            parent.end = max(parent.end, mark, key=lambda e: (e[0], -e[1]))
            if not parent.children:
                parent.now, parent.late = parent.end
                self.wake(parent, parent.now)
        return False


class _Runs(_Run):
    """Several runs of the processes of one region (see :mod:`allo_rtl.rtl.run_queue`)."""

    def __init__(self, rooms: Mapping[Value, Room], most: int, count: int) -> None:
        super().__init__(rooms)
        self._runs = count
        self._starts = list(range(most))
        self._over: list[int] = []
        self._ended: dict[Task, list[int]] = {}
        self._traces: dict[Task, list[Trace]] = {}
        self._parked: list[Task] = []

    def ends(self, forks: Sequence[Fork], outside: Iterable[Value]) -> list[int] | None:
        """When each run ends."""
        fork = forks[0]
        fifos: dict[Value, Fifo] = {s: Outside(s) for s in outside}
        fifos |= {s: self._fifo(s) for s in fork.made}
        for number, (name, trace, places) in enumerate(self._processes(fork, fifos, {})):
            task = self._start(name, trace, places, (0, 0), None)
            self._ended[task] = []
            self._traces[task] = [f.processes[number].trace for f in forks]
        self._go_on()
        return self._over if len(self._over) == self._runs else None

    def _end(self, task: Task) -> bool:
        """A process of the region starts its next run in the last cycle of one, or later."""
        if task not in self._ended:
            return super()._end(task)
        self._ended[task].append(task.now)
        self._finish()
        return self._again(task)

    def _again(self, task: Task) -> bool:
        run = len(self._ended[task])
        if run == self._runs:
            del self.tasks[task]
            return False
        traces = self._traces[task]
        task.parts, task.number, task.late = traces[run % len(traces)], 0, 0
        if run >= len(self._starts):
            self._parked.append(task)
            return False
        task.now = max(task.now, self._starts[run])
        return True

    def _finish(self) -> None:
        """When all processes have ended a run, it is over: another one may start."""
        done = len(self._over)
        if any(len(mine) <= done for mine in self._ended.values()):
            return
        self._over.append(max(mine[done] for mine in self._ended.values()))
        self._starts.append(max(self._starts[-1], self._over[-1]) + 1)
        parked, self._parked = self._parked, []
        for task in parked:
            if self._again(task):
                self.wake(task, task.now)
