"""Processes that run at once and wait for each other at FIFOs, one step at a time.

Each process is a coroutine.  It runs until it must wait; then the one that has been ready for the
longest goes on.  The order is always the same, so that a run can be repeated exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import greenlet

from allo_rtl.errors import AlloError, Deadlock, SimulationError, SourceLoc
from allo_rtl.ir.ops import While
from allo_rtl.ir.spins import PATIENCE
from allo_rtl.ir.stream_ops import StreamOp

_PATIENCE = 1000
"""Looks at streams, one after the other, before it is asked whether that is a deadlock."""

_EACH = 20
"""Looks of each process, of these, at least."""

_LONG = 5_000_000
"""Looks before a run is ended in which the loops that look may end by themselves."""

LOOKS_A_TURN = 4096
"""Looks that were not in vain, after which a process lets the others run all the same."""

_TRIALS = 300_000
"""Values that are put and taken in all runs that look for least depths, about."""

_MANY = 50_000
"""Values that a FIFO of any depth holds at most."""


@dataclass(eq=False)
class Fifo:
    """A stream at run time.

    Attributes:
        depth: values it holds at most; None for any number.
        declared: its depth, also where that is not looked at.
        grows: whether it becomes deeper when all would wait otherwise.
        most: the most it ever held.
        writer, reader: the processes that it connects, where they are known.
    """

    name: str
    depth: int | None
    declared: int = 0
    grows: bool = False
    values: deque[int] = field(default_factory=deque)
    most: int = 0
    waiting: list[Process] = field(default_factory=list)
    writer: Process | None = None
    reader: Process | None = None

    @property
    def full(self) -> bool:
        """Whether a put has to wait."""
        return not self.fits(1)

    def fits(self, count: int) -> bool:
        """Whether there is room for so many values."""
        return self.depth is None or self.count + count <= self.depth

    @property
    def count(self) -> int:
        """Values in it."""
        return len(self.values)

    def grow(self) -> None:
        """Become twice as deep."""
        assert self.depth is not None
        self.depth *= 2


@dataclass(frozen=True)
class Wait:
    """What a process waits for: room in a FIFO, a value in it, or (``fifo`` None) its children."""

    fifo: Fifo | None
    for_room: bool
    loc: SourceLoc | None

    @property
    def over(self) -> bool:
        """Whether the FIFO is no longer full (empty)."""
        if self.fifo is None:
            return False
        return not self.fifo.full if self.for_room else self.fifo.count > 0

    def __str__(self) -> str:
        if self.fifo is None:
            return "waits for the processes of its region"
        if not self.for_room:
            return f"waits for a value from {self.fifo.name}, which is empty"
        return f"waits for room in {self.fifo.name}, which is full (depth {self.fifo.depth})"


@dataclass(eq=False)
class Process:
    """One process; ``wait`` is what it waits for now, ``queued`` whether it is to go on.

    Attributes:
        looked: how it last looked at a stream.
        looks: how often it did since something was put or taken; that was ``epoch``.
        settled: whether it was in a loop that nothing but streams ends.
        spins: a loop in which it computes on and on; it is not run any more.
        sure: whether that loop surely never ends.
    """

    name: str
    loc: SourceLoc | None
    parent: Process | None
    coroutine: Any = None
    wait: Wait | None = None
    children: int = 0
    queued: bool = False
    looked: StreamOp | None = None
    looks: int = 0
    epoch: int = 0
    settled: bool = False
    spins: While | None = None
    sure: bool = False


class Processes:
    """All processes of one run.

    Args:
        patience: steps that a process takes at most without touching a stream.

    Attributes:
        steps: how many values were put and taken.
    """

    def __init__(self, patience: int = PATIENCE) -> None:
        self.patience = patience
        self._spent = 0
        self._epoch = 0
        self._seen_some = 0
        self.steps = 0
        self._ready: deque[Process] = deque()
        self._alive: list[Process] = []
        self._current: Process | None = None
        self._root = greenlet.getcurrent()
        self._root_children = 0
        self._idle = 0

    def spawn(self, name: str, body: Callable[[], object], loc: SourceLoc | None) -> Process:
        """Start a process; it first runs when this one waits."""
        process = Process(name, loc, self._current)
        process.coroutine = greenlet.greenlet(lambda: self._live(process, body), self._root)
        self._alive.append(process)
        self._wake(process)
        if process.parent is None:
            self._root_children += 1
        else:
            process.parent.children += 1
        return process

    def _live(self, process: Process, body: Callable[[], object]) -> None:
        body()
        self._spent = 0
        self._alive.remove(process)
        if process.parent is None:
            self._root_children -= 1
            return
        process.parent.children -= 1
        if process.parent.children == 0 and process.parent.wait is not None:
            self._wake(process.parent)

    def join(self, loc: SourceLoc | None) -> None:
        """Wait until the processes that this one started have ended.

        Raises:
            Deadlock: all that are left wait for each other.
        """
        if self._current is not None:
            while self._current.children:
                self._block(Wait(None, False, loc))
            return
        while self._root_children:
            if not self._ready and not self._grow():
                raise self._stuck()
            self._current = self._ready.popleft()
            self._current.queued = False
            self._current.coroutine.switch()
            self._current = None

    def _grow(self) -> bool:
        """Make the shallowest full FIFO twice as deep, of those that may be; whether there is one.

        (Parks, "Bounded scheduling of process networks", 1995.)
        """
        waits = [p.wait for p in self._alive if p.wait is not None and p.wait.for_room]
        found = [w.fifo for w in waits if w.fifo is not None and w.fifo.grows]
        fifo = min(found, key=lambda f: f.depth or 0, default=None)
        if fifo is None or fifo.depth is None or fifo.depth >= _MANY:
            return False
        fifo.grow()
        self._moved()
        self._changed(fifo)
        return True

    def _moved(self) -> None:
        """Something was put or taken."""
        self._idle = self._spent = 0
        self._epoch += 1

    def _stuck(self, looking: Sequence[Process] = ()) -> SimulationError:
        """Why nothing goes on."""
        spinning = [p for p in self._alive if p.spins is not None]
        if spinning and not any(p.sure for p in spinning):
            return _too_long(spinning, self.patience)
        return deadlock_of(self._alive, looking)

    def spend(self, steps: int) -> bool:
        """Note operations of a process; whether these are too many without touching a stream."""
        self._spent += steps
        return self._spent > self.patience

    def spin(self, loop: While, *, sure: bool) -> None:
        """Do not run a process any more that computes on and on; the others go on."""
        self._spent = 0
        if self._current is None:
            return
        self._current.spins, self._current.sure = loop, sure
        self._root.switch()

    def _block(self, wait: Wait) -> None:
        """Let others run until there is reason to look again."""
        process = self._current
        assert process is not None, "only processes wait"
        self._spent = 0
        process.wait = wait
        if wait.fifo is not None:
            wait.fifo.waiting.append(process)
        self._root.switch()
        process.wait = None

    def _wake(self, process: Process) -> None:
        if not process.queued:
            process.queued = True
            self._ready.append(process)

    def _changed(self, fifo: Fifo) -> None:
        """Make those who wait at a FIFO ready when they can go on."""
        still = []
        for process in fifo.waiting:
            if process.wait is not None and process.wait.over:
                self._wake(process)
            else:
                still.append(process)
        fifo.waiting = still

    def step_aside(self, op: StreamOp, looks: int = 1, *, settled: bool) -> None:
        """After looking at a stream in vain: let the others run first.

        Args:
            op: how it looked.
            looks: how often.
            settled: whether it goes on like that for ever unless a stream changes: it is in a loop
                that nothing else ends, and has gone round often enough (see
                :func:`~allo_rtl.ir.looks.rounds_to_settle`).
        """
        process = self._current
        assert process is not None, "only processes look at streams"
        self._spent = 0
        if process.epoch != self._epoch:
            process.epoch, process.looks = self._epoch, 0
        process.looked, process.settled = op, settled
        process.looks += looks
        before, self._idle = self._idle, self._idle + looks
        if before // _PATIENCE < self._idle // _PATIENCE:
            self._check_looks()
        if self._idle > _LONG * max(1, self.patience // PATIENCE):
            raise _long_wait(process, self._idle)
        self._wake(process)
        self._root.switch()

    def _check_looks(self) -> None:
        """Raise when all that are not waiting have long looked at streams in vain, for ever."""
        looking = [p for p in self._alive if p.wait is None and p.spins is None]
        each = all(p.epoch == self._epoch and p.looks >= _EACH for p in looking)
        if each and not self._grow() and all(p.settled for p in looking):
            raise self._stuck(looking)

    def found_some(self, op: StreamOp, *, settled: bool) -> None:
        """After a look at a stream that was not in vain."""
        self._spent = 0
        self._seen_some += 1
        if self._seen_some == LOOKS_A_TURN:
            self._seen_some = 0
            self.step_aside(op, LOOKS_A_TURN, settled=settled)

    def put(self, fifo: Fifo, value: int, loc: SourceLoc | None) -> None:
        """Append a value, once there is room."""
        while fifo.full:
            self._block(Wait(fifo, True, loc))
        self._moved()
        self._limit(fifo)
        self.steps += 1
        fifo.values.append(value)
        fifo.most = max(fifo.most, len(fifo.values))
        self._changed(fifo)

    def _limit(self, fifo: Fifo) -> None:
        """Give up on a FIFO of any depth that holds too many values."""
        if fifo.depth is None and fifo.count >= _MANY:
            raise deadlock_of(self._alive, also=f"{fifo.name} is never emptied")

    def get(self, fifo: Fifo, loc: SourceLoc | None) -> int:
        """Take the oldest value, once there is one."""
        while not fifo.values:
            self._block(Wait(fifo, False, loc))
        self._moved()
        self.steps += 1
        value = fifo.values.popleft()
        self._changed(fifo)
        return value


type Depths = Mapping[str, int | None]
"""Depths of streams, by name, that are not the declared ones; None for any number of values."""

type Trial = Callable[[Depths], Run]
"""A run with other depths.  Raises what a run raises."""


@dataclass(frozen=True)
class Run:
    """What a run that ended was like: its FIFOs, and how many values were put and taken."""

    fifos: Sequence[Fifo]
    steps: int


def enough(run: Trial, full: Sequence[str]) -> dict[str, int]:
    """The least depths of some streams with which a run ends, tried out; none when there are none.

    What these streams hold without a limit is enough for them; others that are in the way then
    are added to them.  One after the other they are then made less deep, as long as the run ends;
    where runs are long, only as far as there is time.

    Args:
        full: the streams whose writers wait for room.
    """
    names = dict.fromkeys(full)
    while names:
        try:
            found = run(names)
        except Deadlock as deadlock:
            if names.keys() >= set(deadlock.full):
                return {}
            names |= dict.fromkeys(deadlock.full)
        except AlloError:
            return {}
        else:
            return _least(run, found, set(names))
    return {}


def _least(run: Trial, ended: Run, names: set[str]) -> dict[str, int]:
    """Depths that are no greater than needed, after a run without limits that ended."""
    most: dict[str, int] = {}
    least: dict[str, int] = {}
    for fifo in ended.fifos:
        if fifo.name in names and fifo.most > fifo.declared:
            most[fifo.name] = max(fifo.most, most.get(fifo.name, 1))
            least[fifo.name] = max(fifo.declared, least.get(fifo.name, 1))
    left = _TRIALS
    for name, low in least.items():
        while low < most[name] and left >= ended.steps:
            left -= ended.steps
            middle = (low + most[name]) // 2
            if _ends(run, {**most, name: middle}):
                most[name] = middle
            else:
                low = middle + 1
    return {name: depth for name, depth in most.items() if depth > least[name]}


def _ends(run: Trial, depths: Depths) -> bool:
    try:
        run(depths)
    except AlloError:
        return False
    return True


def _long_wait(process: Process, looks: int) -> SimulationError:
    assert process.looked is not None
    return SimulationError(
        f"{process.name} has looked at a stream, and since {looks:,} such looks of all processes "
        "nothing was put or taken; whether it goes on by itself is not known",
        loc=process.looked.loc,
        hint=f"wait with get() or put(), or end the loop after fewer looks; {_MORE_PATIENCE}",
    )


_MORE_PATIENCE = "where it does go on, give it more time: df.build(region, patience=10**12)"


def _too_long(spinning: Sequence[Process], patience: int) -> SimulationError:
    """What to say of processes that compute, whether for ever is not known."""
    has = "has" if len(spinning) == 1 else "have"
    assert spinning[0].spins is not None
    return SimulationError(
        f"{_names(spinning)} {has} computed for {patience:,} steps without touching a stream; "
        "whether it ever ends is not known",
        loc=spinning[0].spins.loc,
        notes=[(f"{p.name} goes round here", p.spins.loc) for p in spinning[1:_SHOWN] if p.spins],
        hint=_MORE_PATIENCE,
    )


_SHOWN = 3
"""Processes that are named at most, of those that go round and round."""


def _names(processes: Sequence[Process]) -> str:
    names = [p.name for p in processes]
    if len(names) > _SHOWN:
        names[_SHOWN - 1 :] = [f"{len(names) - _SHOWN + 1} others"]
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), names[-1]])


def deadlock_of(
    alive: Sequence[Process], looking: Sequence[Process] = (), also: str = ""
) -> Deadlock:
    """What to say when the processes that are left all wait.

    Args:
        looking: those that look at streams again and again.
        also: something to add.
    """
    vain = [p for p in looking if p.looked is not None]
    spinning = [p for p in alive if p.spins is not None]
    rounds = []
    for found, does in (
        (vain, "look{} at streams in vain"),
        ([p for p in spinning if p.sure], "compute{} for ever, and touch{} no stream"),
        ([p for p in spinning if not p.sure], "compute{} on and on"),
    ):
        if found:
            one = len(found) == 1
            endings = does.replace("touch{}", "touches" if one else "touch")
            rounds.append(f"{_names(found)} {endings.format('s' if one else '')}")
    blocked = [p for p in alive if p.wait is not None and p.wait.fifo is not None]
    shown = _circle(blocked)
    texts = [f"{p.name} {p.wait}{_why(p, alive)}" for p in shown]
    rest = len(blocked) - len(shown)
    if rest:
        texts.append(f"{rest} other{'s' * (rest > 1)} wait{'s' * (rest == 1)} because of that")
    full = [p.wait.fifo for p in blocked if p.wait and p.wait.fifo and p.wait.for_room]
    return Deadlock(
        "; ".join([*texts, *rounds, *([also] if also else [])]),
        notes=[
            *((f"{p.name} {p.wait}", p.wait.loc) for p in shown if p.wait and p.wait.loc),
            *((f"{p.name} looks here", p.looked.loc) for p in vain[:_SHOWN] if p.looked),
            *((f"{p.name} goes round here", p.spins.loc) for p in spinning[:_SHOWN] if p.spins),
        ],
        full=tuple(dict.fromkeys(f.name for f in full if f is not None)),
    )


def _circle(blocked: list[Process]) -> list[Process]:
    """Those who wait for each other in a circle; else a chain, up to who waits in vain."""
    longest: list[Process] = []
    for start in blocked:
        chain: list[Process] = []
        process: Process | None = start
        while process is not None and process not in chain:
            chain.append(process)
            process = _awaited(process, blocked)
        if process is not None:
            return chain[chain.index(process) :]
        longest = max(longest, chain, key=len)
    return longest


def _awaited(process: Process, blocked: list[Process]) -> Process | None:
    """Who would have to go on first; None when nobody will."""
    assert process.wait is not None
    assert process.wait.fifo is not None
    fifo = process.wait.fifo
    other = fifo.reader if process.wait.for_room else fifo.writer
    if other in blocked:
        return other
    return next((p for p in blocked if other is not None and _inside(p, other)), None)


def _why(process: Process, alive: Sequence[Process]) -> str:
    """What there is to add to a wait: the other end has ended."""
    assert process.wait is not None
    assert process.wait.fifo is not None
    fifo = process.wait.fifo
    other = fifo.reader if process.wait.for_room else fifo.writer
    if other is None or other in alive:
        return ""
    return f", and {other.name} has ended"


def _inside(process: Process, other: Process) -> bool:
    """Whether a process is one of a region that another runs."""
    parent = process.parent
    while parent is not None and parent is not other:
        parent = parent.parent
    return parent is other
