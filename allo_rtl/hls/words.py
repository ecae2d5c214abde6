"""Each cell loaded once and stored once in an iteration of a pipelined loop, where that is sure.

A load that follows a store to the same cell, or another load of it, takes the value from there; a
store that another one to the same cell follows is left out where nothing in between can see it.
What both branches of an ``if`` do with a cell is done before and after it
(:mod:`allo_rtl.hls.branches`).  So the lanes of an unrolled loop hand their words on as values, and
what hands a word to the next iteration (:mod:`allo_rtl.hls.forward`, :mod:`allo_rtl.hls.carry`)
has one load and one store to look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from allo_rtl.hls.branches import PURE, joined, key
from allo_rtl.hls.cells import Cells, Subscripts, touched
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Block,
    Call,
    For,
    Func,
    GetGlobal,
    If,
    Load,
    Op,
    Print,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import map_block, substitute_op, walk, with_fields

_UNSEEN = (*PURE, Alloc, GetGlobal, Print)
"""What neither changes memory nor lets anything else look at it."""


def each_once(func: Func) -> Func:
    """The function with as few accesses in its pipelined loops as is sure.

    Its loops are unrolled, and its numbers are integers.
    """

    def visit(op: Op) -> Op | None:
        if not isinstance(op, For) or op.attrs.pipeline_ii is None:
            return None
        if any(isinstance(x, For | While | Call) for x in walk(op.body)):
            return None
        return replace(op, body=once(op.body))

    return replace(func, body=map_block(func.body, visit))


def once(block: Block) -> Block:
    """A block without loops and calls with as few accesses as is sure."""
    return _Reader().block(block, _Known())


class _Known:
    """What is known at a place: numbers that were computed, and words of cells.

    What is known in a branch is known besides what was before it; of arrays that it stores to it
    has knowledge of its own.
    """

    def __init__(self, outer: _Known | None = None) -> None:
        self._outer = outer
        self._numbers: dict[tuple[object, ...], Value] = {}
        self._words = Cells[Value]()
        self._closed = False

    def number(self, what: tuple[object, ...]) -> Value | None:
        """The value of what was computed before."""
        found = self._numbers.get(what)
        return found or (self._outer.number(what) if self._outer else None)

    def computed(self, what: tuple[object, ...], value: Value) -> None:
        """Know a value by what it was computed by."""
        self._numbers[what] = value

    def _own(self, array: Value) -> Cells[Value]:
        """The words of an array, which may be changed."""
        if not self._words.has(array) and self._outer and not self._closed:
            self._words.take(array, self._outer._own(array))
        return self._words

    def word(self, array: Value, index: Subscripts) -> Value | None:
        """What is sure to be in a cell."""
        return self._own(array).get(array, index)

    def loaded(self, array: Value, index: Subscripts, value: Value) -> None:
        """Know what is in a cell."""
        self._own(array).set(array, index, value)

    def stored(self, array: Value, index: Subscripts, value: Value | None) -> None:
        """Know that a cell has changed, and perhaps to what."""
        words = self._own(array)
        words.forget(array, index)
        if value is not None:
            words.set(array, index, value)

    def forget_words(self) -> None:
        """Know nothing of any cell."""
        self._words.clear()
        self._closed = True


class _Out:
    """The operations of a block so far, and its stores that nothing has seen yet."""

    def __init__(self) -> None:
        self._ops: list[Op | None] = []
        self._unseen = Cells[int]()

    @property
    def block(self) -> Block:
        """What is left of the block."""
        return tuple(op for op in self._ops if op is not None)

    def add(self, op: Op) -> None:
        """Append an operation."""
        for access in touched((op,)):
            if isinstance(op, Store) and (at := self._unseen.get(op.array, op.index)) is not None:
                self._ops[at] = None
            elif not isinstance(op, Store):
                self._unseen.forget(access.array, access.index)
        if isinstance(op, Store):
            self._unseen.set(op.array, op.index, len(self._ops))
        elif not isinstance(op, (*_UNSEEN, Load, If)):
            self._unseen.clear()
        self._ops.append(op)


class _Reader:
    """Reads the operations of an iteration in order."""

    def __init__(self) -> None:
        self._same: dict[Value, Value] = {}
        self._applied: dict[Value, AffineExpr] = {}
        self._variables: set[Value] = set()

    def block(self, block: Block, known: _Known) -> Block:
        """A block with what is known before it."""
        out = _Out()
        for op in block:
            self._add(self._resolved(op), known, out)
        return out.block

    def _resolved(self, op: Op) -> Op:
        """An operation on values that are left, with subscripts in terms of counters."""
        op = substitute_op(op, self._same)
        if not isinstance(op, Load | Store):
            return op
        if all(self._applied.keys().isdisjoint(e.values) for e in op.index):
            return op
        return with_fields(op, {"index": tuple(e.substitute(self._applied.get) for e in op.index)})

    def _add(self, op: Op, known: _Known, out: _Out) -> None:
        match op:
            case If():
                self._branches(op, known, out)
                return
            case Load(array=array, index=index, result=result):
                if (word := known.word(array, index)) is not None:
                    self._same[result] = word
                    return
                known.loaded(array, index, result)
            case Store(array=array, index=index, value=value):
                known.stored(array, index, value)
            case _ if isinstance(op, PURE):
                if self._is_computed(op, known):
                    return
            case _ if not isinstance(op, (*_UNSEEN, Assert)):
                known.forget_words()
        out.add(op)

    def _is_computed(self, op: Op, known: _Known) -> bool:
        """Whether what an operation computes is there already; else it is from now on."""
        if isinstance(op, Apply):
            self._applied[op.result] = op.expr.substitute(self._applied.get)
        what, [result] = key(op), op.results()
        if (value := known.number(what)) is not None:
            self._same[result] = value
            return True
        known.computed(what, result)
        return False

    def _branches(self, op: If, known: _Known, out: _Out) -> None:
        parts: Mapping[str, Block] = {
            name: self.block(getattr(op, name), _Known(known)) for name in op.REGIONS
        }
        found = joined(with_fields(op, parts), self._variables)
        self._variables.update(x.result for x in found.before if isinstance(x, Alloc))
        for new in found.before:
            self._add(self._resolved(new), known, out)
        for rest in found.rest:
            self._leave(rest, known)
            out.add(rest)
        for new in found.after:
            self._add(self._resolved(new), known, out)

    def _leave(self, op: Op, known: _Known) -> None:
        """Know what is left of what was known before an ``if``."""
        for x in walk((op,)):
            if isinstance(x, Store):
                known.stored(x.array, x.index, None)
            elif not isinstance(x, (*_UNSEEN, Load, If, Assert)):
                known.forget_words()
