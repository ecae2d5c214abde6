"""What a simulation watches in a module: signals that say what each process waits for.

The hardware is the same with and without: a tap only names signals that are there.  Each is true
in the cycles in which all its literals hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from amaranth.hdl import Signal

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.streams import End
from allo_rtl.ir.ops import Value
from allo_rtl.ir.stream_ops import StreamOp


class TapKind(Enum):
    """What it means when a tap is true."""

    BUSY = "busy"  # the module runs
    WAIT = "wait"  # it holds, because a stream is empty (full)
    MEMORY = "memory"  # it holds, because others have a memory's port
    LACK = "lack"  # a loop has not yet got a word that its next iteration starts with
    MISS = "miss"  # a loop could start an iteration, and lacks words for it
    TAKE = "take"  # it takes a word
    LOOK = "look"  # it asks about streams, in a loop that only they can end; always true


type Literal = tuple[Signal, bool]
"""A signal, and the value that it is to have."""


@dataclass(frozen=True, eq=False)
class Tap:
    """Signals of one module that are watched together.

    Attributes:
        literals: what has to hold.
        stream: what it waits for or takes from, at which ``end``.
        loc: the operation in the kernel, ``op``.
    """

    kind: TapKind
    literals: tuple[Literal, ...]
    stream: Value | None = None
    end: End | None = None
    loc: SourceLoc | None = None
    op: StreamOp | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """A called function inside a module.

    Attributes:
        instance: its name in the module.
        name: what it is called as a process.
        function: the name of the function.
        is_process: whether it runs at once with others.
        given: the module's streams that stand for the function's.
        inside: where it is built, when that is not a module of its own.
    """

    instance: str
    name: str
    function: str
    is_process: bool
    given: Mapping[Value, Value]
    inside: Taps | None = None


@dataclass(frozen=True, eq=False)
class Taps:
    """The taps of a module, and what is called in it."""

    own: list[Tap]
    parts: list[Part]

    def add(self, kind: TapKind, *literals: Literal) -> None:
        """Add a tap that is about no stream."""
        self.own.append(Tap(kind, literals))
