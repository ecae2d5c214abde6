"""What processes of a region do with streams and shared ports, in which of their own cycles.

A process whose loops and conditions do not depend on data does the same with its streams in every
run, and so with the memory ports that it shares with others.  Its *trace* says what, in cycles of
its own: those in which it does not hold (see :mod:`allo_rtl.hls.streams`).
:mod:`allo_rtl.hls.depths_tracer` makes traces, :mod:`allo_rtl.hls.depths_model` plays them against
each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.processes import BankEnd
from allo_rtl.ir.ops import Value


class NotStaticError(Exception):
    """What a process does with its streams depends on data; ``loc`` is where."""

    def __init__(self, reason: str, loc: SourceLoc | None = None) -> None:
        self.reason = reason
        self.loc = loc
        super().__init__(f"{reason} ({loc.short})" if loc else reason)


class UnknownPortsError(NotStaticError):
    """Whether a process uses a port that it shares depends on data."""


@dataclass(frozen=True, eq=False)
class Claim:
    """The shared ports that a process asks for in one of its cycles.

    It asks for all of them when it has done what it does with streams in that cycle, and holds
    until each was granted once.
    """

    ports: frozenset[BankEnd]


type Step = tuple[int, Value | Claim, bool]
"""A get (False) or put (True), or a claim (False): (cycle, stream or ports, which)."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps at fixed distances: each ``cycle`` counts from the step before.

    ``tail`` cycles follow the last one.
    """

    steps: tuple[Step, ...]
    tail: int


@dataclass(frozen=True, eq=False)
class Pipe:
    """A pipelined loop with leading gets: an iteration starts when it has collected them.

    Attributes:
        leading: the streams that these take from, in order.
        iterations: the other steps of each iteration, ``cycle`` counted from its start.
        ii: cycles from one start to the next, at least.
        length: cycles of an iteration.
        early: whether an iteration that has to hold in its first cycle has taken its words before
            (see :func:`~allo_rtl.hls.streams.holds_at_start`).
    """

    leading: tuple[Value, ...]
    iterations: tuple[tuple[Step, ...], ...]
    ii: int
    length: int
    early: bool


@dataclass(frozen=True, eq=False)
class Process:
    """A process of a region: its trace works on parameters.

    Attributes:
        given: the stream that each of them stands for; ``ports``: the port, where it is shared.
    """

    name: str
    trace: Trace
    given: Mapping[Value, Value]
    ports: Mapping[BankEnd, BankEnd]


@dataclass(frozen=True, eq=False)
class Fork:
    """Processes that run at once, connected by the streams that are made for this run of them.

    They take turns at the ports that several of them have.
    """

    made: tuple[Value, ...]
    processes: tuple[Process, ...]


type Trace = tuple[Steps | Pipe | Fork, ...]


def on_streams(steps: Iterable[Step]) -> Iterator[tuple[Value, bool]]:
    """The gets and puts among steps: (stream, whether it is a put)."""
    return ((what, put) for _, what, put in steps if isinstance(what, Value))
