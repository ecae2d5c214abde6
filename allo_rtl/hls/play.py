"""Processes that put to and take from FIFOs, played through without times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from allo_rtl.ir.ops import Value


@dataclass(eq=False)
class Fifo:
    """A FIFO with ``level`` values in it, and the processes that wait at it."""

    stream: Value
    depth: int
    level: int = 0
    waiting: list[Process] = field(default_factory=list)

    def wake(self) -> list[Process]:
        """Those that waited; they look again."""
        woken, self.waiting = self.waiting, []
        return woken


type Step = tuple[Fifo, bool]
"""A FIFO, and whether a value is put (else taken)."""


@dataclass(eq=False)
class Process:
    """What one process still does; None among its steps waits for the processes it has started.

    Attributes:
        steps: those to come.
        parent: the process that waits for its end.
        children: how many it waits for itself.
        blocked: the step it cannot do yet.
    """

    steps: Iterator[Step | None]
    parent: Process | None = None
    children: int = 0
    blocked: Step | None = None


class _End:
    """That a process has no more steps."""


_END = _End()


class Play[Body](ABC):
    """One run: each process goes on until it waits or ends.  Whether all end depends on no times.

    ``Body`` is what a process does, in the form that :meth:`steps` understands.
    """

    def __init__(self) -> None:
        self._ready: deque[Process] = deque()
        self.alive: dict[Process, None] = {}

    @abstractmethod
    def steps(self, body: Body, me: Process) -> Iterator[Step | None]:
        """What a process does; it may start others."""

    def start(self, body: Body, parent: Process | None) -> None:
        """Start a process, for whose end ``parent`` waits."""
        process = Process(iter(()), parent)
        process.steps = self.steps(body, process)
        self.alive[process] = None
        self._ready.append(process)
        if parent is not None:
            parent.children += 1

    def go_on(self) -> None:
        """Run all processes until each waits or has ended."""
        while self._ready:
            self._run(self._ready.popleft())

    def waits(self) -> list[Step]:
        """The steps that processes cannot do."""
        return [p.blocked for p in self.alive if p.blocked is not None]

    def deepen(self, fifo: Fifo) -> None:
        """Make a FIFO one place deeper."""
        fifo.depth += 1
        self._ready.extend(fifo.wake())

    def _run(self, process: Process) -> None:
        while process.children == 0:
            step = process.blocked or next(process.steps, _END)
            process.blocked = None
            if step is None:
                continue
            if isinstance(step, _End):
                self._end(process)
                return
            fifo, is_put = step
            if fifo.level == (fifo.depth if is_put else 0):
                process.blocked = step
                fifo.waiting.append(process)
                return
            fifo.level += 1 if is_put else -1
            self._ready.extend(fifo.wake())

    def _end(self, process: Process) -> None:
        del self.alive[process]
        if process.parent is not None:
            process.parent.children -= 1
            if not process.parent.children:
                self._ready.append(process.parent)
