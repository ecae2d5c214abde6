"""Whether the values that go through streams put the uses of each element in an order.

The k-th put of a stream comes before its k-th get, and a process does one thing after the other;
what follows from these is the order.  (That a put has to wait while the FIFO is full orders
nothing here: depths may change, and hardware takes values before it works on them.)

Each process has a vector clock: how many puts of each process are surely over.  All processes are
run once, without data (see :mod:`allo_rtl.ir.race_trace`), with FIFOs of any depth; each value
brings the clock of who put it, and for each element it is kept when which process used it last.
(Lamport, "Time, clocks, and the ordering of events in a distributed system", CACM 1978; the last
use alone is kept as in Flanagan, Freund, "FastTrack", PLDI 2009.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from allo_rtl.ir.ops import Call, Load, Store, Value
from allo_rtl.ir.race_trace import Hand, Step, Steps, Touch, UndecidedError

MAX_ROOM = 1 << 25
"""Elements of all arrays, each counted for each process that uses it, at most."""

MAX_COMPARED = 1 << 28
"""Uses of elements compared with those of other processes, at most."""

type Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Meeting:
    """Two uses of one element that nothing puts in order.

    Attributes:
        first, second: the processes, as they came in this run.
        ops: what each does.
        certain: whether they surely do.
        cell: subscripts of the element.
    """

    array: Value
    first: Call
    second: Call
    ops: tuple[Load | Store, Load | Store]
    certain: bool
    cell: tuple[int, ...]


type Pair = tuple[Value, frozenset[Call]]
"""An array and two processes that use it."""


@dataclass
class Found:
    """What a run showed.

    Attributes:
        meetings: one for each pair that has any, certain ones first.
        finished: the processes that came to their end, or wait for what is never put.
        undecided: why others did not.
    """

    meetings: dict[Pair, Meeting] = field(default_factory=dict)
    finished: set[Call] = field(default_factory=set)
    undecided: list[UndecidedError] = field(default_factory=list)


def play(traces: Mapping[Call, Steps], pairs: Sequence[Pair]) -> Found:
    """Run processes against each other, and look for uses without an order.

    Args:
        traces: the processes, and what each does.
        pairs: what is looked at.
    """
    found = Found()
    try:
        _Players(traces, pairs, found).run()
    except UndecidedError as reason:
        found.finished.clear()
        found.undecided.append(reason)
    return found


@dataclass(eq=False)
class _Player:
    """A process in the run.

    Attributes:
        number: its place in clocks; None when its own uses are not looked at.
        clock: how many puts of each process are over.
        wants: the stream that it takes a value from next.
        taken: the value that it took last, when that is known.
    """

    call: Call
    steps: Steps
    number: int | None
    clock: Ints
    wants: Value | None = None
    taken: int | None = None

    def step(self) -> Step | None:
        """What it does next; None at its end."""
        taken, self.taken = self.taken, None
        try:
            return self.steps.send(taken)
        except StopIteration:
            return None


class _Players:
    def __init__(
        self, traces: Mapping[Call, Steps], pairs: Sequence[Pair], found: Found
    ) -> None:
        users = [c for c in traces if any(c in both for _, both in pairs)]
        numbers = {c: n for n, c in enumerate(users)}
        self._players = [
            _Player(c, steps, numbers.get(c), np.ones(len(users), np.int64))
            for c, steps in traces.items()
        ]
        self._users = users
        self._pairs = set(pairs)
        self._memory: dict[Value, _Memory] = {}
        self._room = MAX_ROOM
        self._compared = 0
        self._compared_with: dict[tuple[Call, Value], npt.NDArray[np.bool_]] = {}
        self._words: dict[Value, deque[tuple[Ints, int | None]]] = {}
        self._waiting: dict[Value, _Player] = {}
        self._found = found

    def run(self) -> None:
        ready = deque(self._players)
        while ready:
            player = ready.popleft()
            try:
                ready += self._go_on(player)
            except UndecidedError as reason:
                self._found.undecided.append(reason)
        if not self._found.undecided:  # those who wait do so for ever
            self._found.finished.update(p.call for p in self._waiting.values())

    def _go_on(self, player: _Player) -> list[_Player]:
        """Let a process run until it has to wait; those that need not wait any longer."""
        awake: list[_Player] = []
        while self._takes(player):
            match player.step():
                case None:
                    self._found.finished.add(player.call)
                    break
                case Touch() as touch:
                    self._touch(player, touch)
                case Hand(stream=stream, is_put=False):
                    player.wants = stream
                case Hand(stream=stream, value=value):
                    awake += self._put(player, stream, value)
        return awake

    def _takes(self, player: _Player) -> bool:
        """Take the value that a process wants, if any; whether it goes on."""
        if player.wants is None:
            return True
        words = self._words.get(player.wants)
        if not words:
            self._waiting[player.wants] = player
            return False
        clock, player.taken = words.popleft()
        np.maximum(player.clock, clock, out=player.clock)
        self._room += len(player.clock)
        player.wants = None
        return True

    def _put(self, player: _Player, stream: Value, value: int | None) -> list[_Player]:
        """Put a value with the clock of the process; who waited for it."""
        if player.number is not None:
            player.clock[player.number] += 1
        self._spend(len(player.clock))
        self._words.setdefault(stream, deque()).append((player.clock.copy(), value))
        waiting = self._waiting.pop(stream, None)
        return [] if waiting is None else [waiting]

    def _spend(self, room: int) -> None:
        self._room -= room
        if self._room < 0:
            raise UndecidedError("the arrays and the streams are too large to be looked at")

    def _touch(self, player: _Player, touch: Touch) -> None:
        """Compare uses with those before by others, and keep them."""
        if player.number is None:
            return
        array = touch.array
        if array not in self._memory:
            self._spend(2 * len(self._users) * array.array.size)
            self._memory[array] = _Memory(len(self._users), array.array.size)
        others = self._others(player, array)
        self._compared += len(others) * touch.cells.size
        if self._compared > MAX_COMPARED:
            raise UndecidedError(f"there are more than {MAX_COMPARED:,} uses to compare")
        memory = self._memory[array]
        for other, before, cell in memory.unordered(others, touch, player.clock):
            self._meet(self._users[other], player.call, (before, touch), cell)
        memory.keep(player.number, touch, int(player.clock[player.number]))

    def _others(self, player: _Player, array: Value) -> npt.NDArray[np.bool_]:
        """Which processes a process is compared with."""
        key = player.call, array
        if key not in self._compared_with:
            self._compared_with[key] = np.array([
                (array, frozenset((c, player.call))) in self._pairs for c in self._users
            ])  # fmt: skip
        return self._compared_with[key]

    def _meet(self, first: Call, second: Call, uses: tuple[Touch, Touch], cell: int) -> None:
        one, other = uses
        pair = one.array, frozenset((first, second))
        known = self._found.meetings.get(pair)
        certain = one.certain and other.certain
        if known is None or (certain and not known.certain):
            place = tuple(int(n) for n in np.unravel_index(cell, one.array.array.shape))
            self._found.meetings[pair] = Meeting(
                one.array, first, second, (one.op, other.op), certain, place
            )


class _Memory:
    """When each process last stored to and read each element of an array, and by which use.

    Times are the process's own clock: 0 for never, 1 before its first put.
    """

    def __init__(self, users: int, size: int) -> None:
        self._times = np.zeros((2, users, size), np.int32)
        self._by = np.zeros((2, users, size), np.int32)
        self._touches: list[Touch] = []
        self._numbers: dict[tuple[Load | Store, bool], int] = {}

    def unordered(
        self, others: npt.NDArray[np.bool_], touch: Touch, clock: Ints
    ) -> Iterator[tuple[int, Touch, int]]:
        """(process, use, element) of uses by other processes that are not surely over.

        Args:
            others: which processes count.
            clock: what is known of the puts of each.
        """
        for kind in (0, 1) if isinstance(touch.op, Store) else (1,):
            late = self._times[kind][:, touch.cells] >= clock[:, None]
            late &= others[:, None]
            if late.any():
                for other in np.flatnonzero(late.any(axis=1)):
                    cell = int(touch.cells[late[other].argmax()])
                    yield int(other), self._touches[self._by[kind, other, cell]], cell

    def keep(self, process: int, touch: Touch, clock: int) -> None:
        """A use by a process whose clock is this."""
        key = touch.op, touch.certain
        if key not in self._numbers:
            self._numbers[key] = len(self._touches)
            self._touches.append(touch)
        kind = int(isinstance(touch.op, Store))
        self._times[kind, process, touch.cells] = clock
        self._by[kind, process, touch.cells] = self._numbers[key]
