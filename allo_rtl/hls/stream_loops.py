"""Loops that end with a stream, as ``for x in s``: pipelines that stop by a word they take.

Such a loop is a ``while`` loop whose next test follows, without any delay, from the words of the
leading gets of the iteration before (see :mod:`allo_rtl.hls.streams`).  So in the cycle in which an
iteration starts it is known whether another one will: the loop can start one in every cycle, as a
counted loop does, and drains after the one that found the end.  That one is an iteration like the
others, in which all but the get is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Binary,
    BinaryKind,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    For,
    Load,
    LoopAttrs,
    Op,
    Select,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS, Get
from allo_rtl.ir.types import Index

_LONG = 1 << 30
"""Iterations that such a loop is taken to have at most, where dependences are looked for."""

_QUICK = (
    BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR, BinaryKind.SHL, BinaryKind.SHR,
)  # fmt: skip


def open_ended(
    loop: While, cleared: Collection[Value], kept: Collection[Value]
) -> For | None:
    """The loop as one over a counter without an end, the next test in its body; None if it cannot.

    Args:
        cleared: the arrays that take cycles to zero where they are allocated.
        kept: conditions of loops that are to be left as they are.
    """
    if loop.condition in kept:
        return None
    inside = list(walk((*loop.before, *loop.body)))
    if any(
        isinstance(op, For | While | Call) or (isinstance(op, Alloc) and op.result in cleared)
        for op in inside
    ):
        return None
    words = _leading_words(loop.body)
    if not words or not _Test(loop, words).is_at_once():
        return None
    name = next(op.stream.name for op in loop.body if isinstance(op, Get))
    low, high = AffineExpr.constant(0), AffineExpr.constant(_LONG)
    return For(
        iv=Value(Index(), name), lower=(low,), upper=(high,), body=(*loop.body, *loop.before[:-1]),
        name=name, attrs=LoopAttrs(pipeline_ii=1), loc=loop.loc,
    )  # fmt: skip


def _leading_words(body: Block) -> set[Value]:
    """The results of the gets that stand before all else that is done with streams."""
    first: list[Get] = []
    rest: set[Value] = set()
    for op in body:
        used = [x for x in walk((op,)) if isinstance(x, STREAM_OPS)]
        if isinstance(op, Get) and not rest:
            first.append(op)
        else:
            rest |= {x.stream for x in used}
    return {op.result for op in first if op.stream not in rest}


class _Test:
    """What the next test of a loop is made of."""

    def __init__(self, loop: While, words: set[Value]) -> None:
        self._loop = loop
        self._words = words
        self._made = {v: op for op in walk((*loop.before, *loop.body)) for v in op.results()}
        self._stored: Mapping[Value, Value | None] = _last_stored(loop.body)
        self._waits = False

    def is_at_once(self) -> bool:
        """Whether it follows from words that were taken, and from what stays the same."""
        return self._follows(self._loop.condition) and self._waits

    def _follows(self, value: Value) -> bool:
        if value in self._words:
            self._waits = True
            return True
        match self._made.get(value):
            case None:
                return True
            case Load(array=array) as op if not array.array.rank and op in self._loop.before:
                if array not in self._stored:
                    return True
                last = self._stored[array]
                return last is not None and self._follows(last)
            case Binary(kind=kind) as op if kind in _QUICK:
                return all(map(self._follows, op.operands()))
            case Constant() | Cast() | Compare() | Select() as op:
                return all(map(self._follows, op.operands()))
        return False


def _last_stored(body: Block) -> dict[Value, Value | None]:
    """What is in each variable after the body; None where that depends."""
    found: dict[Value, Value | None] = {}
    for op in body:
        if isinstance(op, Store):
            found[op.array] = op.value
        else:
            found |= dict.fromkeys(_stored_in(op))
    return found


def _stored_in(op: Op) -> list[Value]:
    return [x.array for x in walk((op,)) if isinstance(x, Store)]
