"""Loops of processes that may never end, and how much work goes round in them.

A process that computes for ever keeps its region from ending, and while it runs, no other one does.
Where a ``while`` loop touches no stream and its condition is sure to stay as it is, that is told
after a few rounds; where it is not known whether a loop ends, after many steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allo_rtl.ir.looks import rounds_to_settle
from allo_rtl.ir.ops import Block, Call, For, Func, If, Op, While
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS
from allo_rtl.ir.types import StreamType

PATIENCE = 1_000_000_000
"""Steps that a process takes at most without touching a stream, where it is not known whether it
ends; about a second of compiled code."""

SLOW_PATIENCE = 3_000_000
"""The same for the evaluator, which takes some seconds for it."""


def touches(loop: While) -> bool:
    """Whether there is anything about streams in a loop."""
    return any(
        isinstance(op, STREAM_OPS) or _passes_streams(op) for op in walk((*loop.before, *loop.body))
    )


def _passes_streams(op: Op) -> bool:
    return isinstance(op, Call) and any(isinstance(a.type, StreamType) for a in op.args)


@dataclass(frozen=True)
class Going:
    """How a ``while`` loop goes on.

    Attributes:
        steps: operations of a round, see :class:`Steps`.
        settles: rounds after which it goes on for ever, if no stream changes; None if that is not
            known.
        touches: whether there is anything about streams in it.
    """

    steps: int
    settles: int | None
    touches: bool


class Steps:
    """How many operations a block is, with what it calls.

    Rounds of ``while`` loops, and of loops whose number of rounds is not known before they start,
    count for themselves when they are made.

    Args:
        callee: gives functions by name.
    """

    def __init__(self, callee: Callable[[str], Func]) -> None:
        self._callee = callee
        self._of: dict[str, int] = {}

    def block(self, block: Block) -> int:
        """Of a block, run once."""
        return sum(map(self._op, block))

    def round(self, loop: While | For) -> int:
        """Of one round of a loop."""
        blocks = (loop.body,) if isinstance(loop, For) else (loop.before, loop.body)
        return 1 + sum(map(self.block, blocks))

    def going(self, loop: While, func: Func) -> Going:
        """How a loop of a function goes on."""
        return Going(self.round(loop), rounds_to_settle(loop, func), touches(loop))

    def _op(self, op: Op) -> int:
        match op:
            case For():
                return 1 + (op.trip_count or 0) * self.block(op.body)
            case If(then=then, orelse=orelse):
                return 1 + max(self.block(then), self.block(orelse))
            case Call(callee=name):
                if name not in self._of:
                    self._of[name] = self.block(self._callee(name).body)
                return 1 + self._of[name]
        return 1
