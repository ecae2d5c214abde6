"""Steady states of the model of regions, which are skipped.

In a long run processes soon do the same again and again: an array of processing elements takes a
word in each cycle, tasks take turns at a port.  When the whole state of the model is what it was
some cycles before, as seen from the cycle it is in, and all that the processes are about to do is
what they did since then, the same will happen again, so many cycles later; so often as their
traces go on in the same way the model need not play it.  Nothing is estimated: the state has all
that the future depends on.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from allo_rtl.hls.depths_fifo import Arbiter, Fifo
from allo_rtl.hls.depths_process import Task
from allo_rtl.hls.depths_trace import Pipe

_FIRST = 500
"""Wakings before the first look, for a short run is played as soon."""

_WINDOWS = (64, 512, 4096)
"""Stretches of a trace that are searched for a period."""

_LEAST = 16
"""Parts of a trace between two looks, at least."""

_LOOKS = 64
"""States that are kept, at most."""


class Run(Protocol):
    """What is looked at of a run."""

    fifos: list[Fifo]
    arbiters: list[Arbiter]
    tasks: dict[Task, None]
    played: int


@dataclass(frozen=True)
class _Look:
    """A cycle, and how far all were in it."""

    cycle: int
    tasks: tuple[int, ...]
    puts: tuple[int, ...]


class Steady:
    """Watches one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._next = self._patience = _FIRST
        self._guide: Task | None = None
        self._stride = self._mark = 0
        self._part: object = None
        self._seen: dict[tuple[object, ...], _Look] = {}

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        if self._run.played < self._next:
            return False
        guide = self._guide
        if guide is None or guide.part is not self._part or guide.part is None:
            return True
        return guide.part.at >= self._mark

    def look(self, cycle: int) -> int:
        """Look at the state before a cycle; how many cycles were skipped."""
        guide = self._guide
        if guide is None or guide.part is not self._part or guide.part is None:
            self._choose()
            return 0
        self._mark += self._stride * (1 + (guide.part.at - self._mark) // self._stride)
        run = self._run
        tasks = tuple(run.tasks)
        horizon = 2 + max(
            (p.ii for t in tasks for p in t.parts if isinstance(p, Pipe)), default=0
        )  # fmt: skip
        state = (
            tasks,
            tuple([t.state(cycle, horizon) for t in tasks]),
            tuple([f.state(cycle, horizon) for f in run.fifos]),
            tuple([(a.last, a.late) for a in run.arbiters]),
        )
        at = tuple(0 if t.part is None else t.part.at for t in tasks)
        now = _Look(cycle, at, tuple(len(f.puts) for f in run.fifos))
        before = self._seen.setdefault(state, now)
        if before is now:
            self._next = run.played + len(tasks) + len(run.fifos)
            if len(self._seen) > _LOOKS:
                self._guide = None
            return 0
        self._guide = None
        skipped = self._skip(tasks, before, now)
        self._patience = _FIRST if skipped else 2 * self._patience
        self._next = run.played + self._patience
        return skipped

    def _choose(self) -> None:
        """Look whenever the process that has most to do has done so much of a period of it."""
        self._seen = {}
        self._patience *= 2
        self._next = self._run.played + self._patience
        busy = [t for t in self._run.tasks if t.part is not None]
        if not busy:
            return
        guide = max(busy, key=_left)
        part = guide.part
        assert part is not None
        period = next(
            (n for w in reversed(_WINDOWS) if (n := _period(part.parts[part.at : part.at + w]))), 0
        )
        if period:
            self._next = self._run.played
            self._guide, self._part = guide, part
            self._stride = period * -(-_LEAST // period)
            self._mark = part.at

    def _skip(self, tasks: Sequence[Task], before: _Look, now: _Look) -> int:
        """Go to the end of a steady state; how many cycles were skipped."""
        steps = [b - a for a, b in zip(before.tasks, now.tasks, strict=True)]
        known: dict[tuple[int, int, int], int] = {}
        least: int | None = None
        for task, start, step in zip(tasks, before.tasks, steps, strict=True):
            if step == 0 or task.part is None:
                continue
            key = id(task.part.parts), start, step
            if key not in known:
                known[key] = _alike(task.part.parts, start, step) // step - 1
            least = known[key] if least is None else min(least, known[key])
        if least is None or least < 1:
            return 0
        cycles = (now.cycle - before.cycle) * least
        for task, step in zip(tasks, steps, strict=True):
            task.jump(cycles, step * least)
        for fifo, a, b in zip(self._run.fifos, before.puts, now.puts, strict=True):
            fifo.jump(cycles, least, b - a)
        return cycles


def _left(task: Task) -> int:
    """How many parts of its trace a process has before it."""
    assert task.part is not None
    return len(task.part.parts) - task.part.at


def _period(parts: Sequence[Hashable]) -> int:
    """The shortest period of a sequence that has three of them or more; 0 where there is none."""
    if len(parts) < 3:
        return 0
    border, known = 0, [0]
    for part in parts[1:]:
        while border and part != parts[border]:
            border = known[border - 1]
        border += part == parts[border]
        known.append(border)
    period = len(parts) - border
    return period if 3 * period <= len(parts) else 0


def _alike(parts: Sequence[Hashable], start: int, step: int) -> int:
    """How long a sequence is, from ``start`` on, what it is so many steps later."""
    pairs = zip(islice(parts, start, None), islice(parts, start + step, None), strict=False)
    length = 0
    for a, b in pairs:
        if a is not b and a != b:
            break
        length += 1
    return length
