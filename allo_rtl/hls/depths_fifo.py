"""FIFOs and arbiters as the model of regions sees them (:mod:`allo_rtl.hls.depths_model`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allo_rtl.hls.processes import initial
from allo_rtl.ir.ops import Value

if TYPE_CHECKING:
    from allo_rtl.hls.depths_process import Task

type Mark = tuple[int, int]
"""A cycle, and for lack of which rooms it is not earlier (a bit for each FIFO)."""


@dataclass(frozen=True, slots=True)
class Room:
    """How a FIFO is built for the model.

    Attributes:
        depth: values it holds, None for any number.
        in_ram: whether a value is there two cycles after it was put instead of one.
    """

    depth: int | None
    in_ram: bool = False


class Times:
    """Cycles in order; where a stretch of them repeats, that is kept as such."""

    def __init__(self) -> None:
        self._now: list[int] = []
        self._before: list[tuple[list[int], int, int, int]] = []
        """(cycles, index from which they repeat, how often, how many cycles later each time)"""
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._now)

    def append(self, cycle: int) -> None:
        """Add the next."""
        self._now.append(cycle)

    def extend(self, others: Iterable[int]) -> None:
        """Add several."""
        self._now.extend(others)

    def repeat(self, last: int, times: int, later: int) -> None:
        """Have the ``last`` ones come so many times more, each time ``later`` cycles later."""
        assert last <= len(self._now)
        start = len(self._now) - last
        self._before.append((self._now, start, times, later))
        self._count += len(self._now) + times * last
        self._now = []

    def __iter__(self) -> Iterator[int]:
        for cycles, start, times, later in self._before:
            yield from cycles
            for n in range(1, times + 1):
                yield from (c + n * later for c in cycles[start:])
        yield from self._now


@dataclass(eq=False, slots=True)
class Fifo:
    """A FIFO; what is known of it may lie ahead of the cycle that is looked at.

    Attributes:
        bit: of the FIFO in marks.
        puts: when values were put.
        heads: for each value in it, when it can be taken and what made that late; in a RAM, when
            it was put, but for the first.
        free: when each free place can be used; None where there is always room.
        most: places that were taken at once, at most.
        reader, writer: who is to be told when there is a value, or room.
    """

    stream: Value
    room: Room
    bit: int
    puts: Times = field(default_factory=Times)
    heads: deque[Mark] = field(default_factory=deque)
    free: deque[Mark] | None = None
    taken: int = 0
    most: int = 0
    last_get: int = 0
    reader: Task | None = None
    writer: Task | None = None

    def __post_init__(self) -> None:
        first = initial(self.stream)
        if self.room.depth is not None:
            places = self.room.depth - (1 if self.room.in_ram else 0)
            self.free = deque([(0, 0)] * (places - first))
        self.heads.extend([(0, 0)] * first)
        self.taken -= first

    def put(self, cycle: int, late: int) -> None:
        """Append a value."""
        self.puts.append(cycle)
        # The place of a value that is taken in this cycle is free in the next one.
        self.most = max(self.most, len(self.puts) - self.taken + (self.last_get == cycle))
        if self.free is not None:
            self.free.popleft()
        if not self.room.in_ram:
            self.heads.append((cycle + 1, late))
            return
        self.heads.append((cycle, late))
        if len(self.heads) == 1:
            self._fetch(max(cycle + 1, self.last_get), late)

    def get(self, cycle: int, late: int) -> None:
        """Take the oldest value."""
        self.heads.popleft()
        self.taken += 1
        self.last_get = cycle
        if not self.room.in_ram:
            if self.free is not None:
                self.free.append((cycle + 1, late))
        elif self.heads:
            put, mark = self.heads[0]
            self._fetch(max(put + 1, cycle), late if cycle > put else mark)

    def _fetch(self, cycle: int, late: int) -> None:
        """The oldest value moves from the RAM to its output."""
        self.heads[0] = cycle + 1, late
        if self.free is not None:
            self.free.append((cycle + 1, late))

    # For steady states.

    def state(self, cycle: int, horizon: int) -> tuple[object, ...]:
        """What its future depends on, as seen from a cycle; equal ones go on alike.

        Cycles that are more than ``horizon`` ago are all the same.
        """
        old = -horizon
        heads = tuple([(max(old, c - cycle), late) for c, late in self.heads])
        free = None
        if self.free is not None:
            free = tuple([(max(old, c - cycle), late) for c, late in self.free])
        return heads, free, max(old, self.last_get - cycle), len(self.puts) - self.taken

    def jump(self, cycles: int, times: int, puts: int) -> None:
        """Be as so many cycles later, after the last ``puts`` values came ``times`` more."""
        self.puts.repeat(puts, times, cycles // times)
        self.taken += puts * times
        self.last_get += cycles
        self.heads = deque((c + cycles, late) for c, late in self.heads)
        if self.free is not None:
            self.free = deque((c + cycles, late) for c, late in self.free)


class Outside(Fifo):
    """A stream whose other end is outside, and never makes anybody wait."""

    def __init__(self, stream: Value) -> None:
        super().__init__(stream, Room(None), 0)
        self.heads = deque([(0, 0)])

    def put(self, cycle: int, late: int) -> None:
        """Nothing is to be known of it."""

    def get(self, cycle: int, late: int) -> None:
        """Nothing is to be known of it."""


@dataclass(eq=False, slots=True)
class Arbiter:
    """Grants a port to one of those who ask, in turn (:func:`allo_rtl.rtl.arbiter.round_robin`).

    Attributes:
        last: who had it last.
        late: for lack of which rooms any who asked was late.
    """

    last: int = -1
    late: int = 0

    def choose(self, asking: Iterable[int]) -> int:
        """Grant it: to the next after the last that had it."""
        last = self.last
        self.last = min(asking, key=lambda n: (n <= last, n))
        return self.last


type Path = tuple[tuple[Arbiter, int], ...]
"""The arbiters that have to grant a port, innermost first, each with the number to ask as."""
