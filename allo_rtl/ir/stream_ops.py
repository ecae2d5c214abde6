"""Operations on streams: FIFOs between processes that run at once.

A function marked ``dataflow`` is a region: each call in its body is a process, all of them run at
once, and the region ends when all have ended.  A stream is made in a region and passed to the two
processes it connects; it holds scalars (a block of them is streamed element by element, row-major,
and the depth counts elements).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from allo_rtl.ir.ops import Call, Func, Op, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import StreamType


@dataclass(frozen=True, kw_only=True, eq=False)
class MakeStream(Op):
    """A fresh, empty FIFO; ``result`` has a :class:`~allo_rtl.ir.types.StreamType`.

    ``undeclared``: the user gave no depth.  Hardware may then have another one than the type, and
    the evaluator as much room as is needed.
    """

    RESULTS = ("result",)
    result: Value
    undeclared: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Put(Op):
    """Append ``value``; wait while the FIFO is full."""

    OPERANDS = ("stream", "value")
    stream: Value
    value: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Get(Op):
    """Take the oldest value; wait while there is none."""

    RESULTS = ("result",)
    OPERANDS = ("stream",)
    result: Value
    stream: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class TryPut(Op):
    """Append ``value`` if there is room; ``done`` (UInt(1)) says whether there was."""

    RESULTS = ("done",)
    OPERANDS = ("stream", "value")
    done: Value
    stream: Value
    value: Value


@dataclass(frozen=True, kw_only=True, eq=False)
class TryGet(Op):
    """Take the oldest value if there is one (else ``result`` is zero); ``done`` says whether.

    Attributes:
        peek: it stays in the FIFO.
        count: values that must be there (a block of them); when it peeks.
        ahead: which of these is looked at: so many behind the oldest (index), less than ``count``.
    """

    RESULTS = ("result", "done")
    OPERANDS = ("stream", "ahead")
    result: Value
    done: Value
    stream: Value
    peek: bool = False
    count: int = 1
    ahead: tuple[Value, ...] = ()


class PollKind(Enum):
    """What can be asked of a stream without taking anything."""

    EMPTY = "empty"
    FULL = "full"


@dataclass(frozen=True, kw_only=True, eq=False)
class Poll(Op):
    """Whether the stream is empty (seen by its reader) or full (by its writer): a UInt(1).

    That is, whether there are fewer than ``count`` values in it, or room for fewer.
    """

    RESULTS = ("result",)
    OPERANDS = ("stream",)
    kind: PollKind
    result: Value
    stream: Value
    count: int = 1


type StreamOp = Put | Get | TryPut | TryGet | Poll
"""What a process does with a stream."""
STREAM_OPS = (Put, Get, TryPut, TryGet, Poll)
"""The classes of :data:`StreamOp`, for ``isinstance``."""


def counted(op: StreamOp) -> int:
    """How many values have to be there, or fit, for an operation to find them: 1, or a block."""
    return op.count if isinstance(op, Poll | TryGet) else 1


type Sides[T] = tuple[list[T], list[T]]
"""What the writer of a stream does, and what its reader."""


def used(func: Func, callee: Callable[[str], Func]) -> dict[Value, Sides[StreamOp]]:
    """What a function does with each stream, as its writer and as its reader.

    Also in functions that it calls; ``callee`` gives these by their names.
    """
    found: dict[Value, Sides[StreamOp]] = {}
    for op in walk(func.body):
        if isinstance(op, STREAM_OPS):
            found.setdefault(op.stream, ([], []))[0 if writes(op) else 1].append(op)
        elif isinstance(op, Call) and any(isinstance(a.type, StreamType) for a in op.args):
            for stream, sides in passed(op, callee).items():
                for side, ops in zip(found.setdefault(stream, ([], [])), sides, strict=True):
                    side.extend(ops)
    return found


def passed(call: Call, callee: Callable[[str], Func]) -> dict[Value, Sides[StreamOp]]:
    """What a call does with each stream that it is given."""
    func = callee(call.callee)
    inside = used(func, callee)
    found: dict[Value, Sides[StreamOp]] = {}
    for param, stream in zip(func.args, call.args, strict=False):
        if isinstance(stream.type, StreamType):
            sides = found.setdefault(stream, ([], []))
            for side, ops in zip(sides, inside.get(param, ([], [])), strict=True):
                side.extend(ops)
    return found


def blocks(func: Func, callee: Callable[[str], Func]) -> dict[Value, tuple[int, bool]]:
    """The streams of which a function asks for whole blocks, at either end.

    With the size of a block, and whether single elements of one are looked at.
    """
    found: dict[Value, tuple[int, bool]] = {}
    for stream, sides in used(func, callee).items():
        ops = [op for side in sides for op in side]
        size = max(map(counted, ops))
        if size > 1:
            found[stream] = size, any(isinstance(op, TryGet) and op.ahead for op in ops)
    return found


def ends(
    region: Func, callee: Callable[[str], Func]
) -> dict[Value, Sides[tuple[Call, StreamOp]]]:
    """The processes at the two ends of each stream of a region, with what they do there.

    That is the first operation by which a value is handed over; the first where they only look.
    """
    found: dict[Value, Sides[tuple[Call, StreamOp]]] = {}
    for call in region.body:
        if isinstance(call, Call):
            for stream, sides in passed(call, callee).items():
                for side, ops in zip(found.setdefault(stream, ([], [])), sides, strict=True):
                    first = sorted(ops, key=lambda op: not hands_over(op))[:1]
                    side.extend((call, op) for op in first)
    return found


def hands_over(op: StreamOp) -> bool:
    """Whether a value may go in or out by this; not so where a process only looks."""
    return isinstance(op, Put | TryPut | Get) or (isinstance(op, TryGet) and not op.peek)


def writes(op: StreamOp) -> bool:
    """Whether this is for the writer of a stream: putting, and asking whether it is full."""
    return isinstance(op, Put | TryPut) or (isinstance(op, Poll) and op.kind is PollKind.FULL)
