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


@dataclass(frozen=True, kw_only=True, eq=False)
class MakeStream(Op):
    """A fresh, empty FIFO; ``result`` has a :class:`~allo_rtl.ir.types.StreamType`."""

    RESULTS = ("result",)
    result: Value


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

    ``peek``: it stays in the FIFO.
    """

    RESULTS = ("result", "done")
    OPERANDS = ("stream",)
    result: Value
    done: Value
    stream: Value
    peek: bool = False


class PollKind(Enum):
    """What can be asked of a stream without taking anything."""

    EMPTY = "empty"
    FULL = "full"


@dataclass(frozen=True, kw_only=True, eq=False)
class Poll(Op):
    """Whether the stream is empty (seen by its reader) or full (by its writer): a UInt(1)."""

    RESULTS = ("result",)
    OPERANDS = ("stream",)
    kind: PollKind
    result: Value
    stream: Value


type StreamOp = Put | Get | TryPut | TryGet | Poll
"""What a process does with a stream."""
STREAM_OPS = (Put, Get, TryPut, TryGet, Poll)
"""The classes of :data:`StreamOp`, for ``isinstance``."""


def used(
    func: Func, stream: Value, callee: Callable[[str], Func]
) -> tuple[list[StreamOp], list[StreamOp]]:
    """What a function does with a stream as its writer, and what as its reader.

    Also in functions that it calls; ``callee`` gives these by their names.
    """
    found: tuple[list[StreamOp], list[StreamOp]] = ([], [])
    for op in walk(func.body):
        if isinstance(op, STREAM_OPS) and op.stream is stream:
            found[0 if writes(op) else 1].append(op)
        elif isinstance(op, Call) and stream in op.args:
            inner = callee(op.callee)
            for param in (p for p, a in zip(inner.args, op.args, strict=False) if a is stream):
                for side, ops in zip(found, used(inner, param, callee), strict=True):
                    side.extend(ops)
    return found


def writes(op: StreamOp) -> bool:
    """Whether this is for the writer of a stream: putting, and asking whether it is full."""
    return isinstance(op, Put | TryPut) or (isinstance(op, Poll) and op.kind is PollKind.FULL)
