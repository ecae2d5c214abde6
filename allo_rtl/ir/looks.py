"""Loops that look at streams and never end by themselves: what makes looking in vain a deadlock.

As long as nothing is put or taken, each look at a stream answers what it did before.  A ``while``
loop whose condition then stays the same goes on for ever (``while s.empty()``); one that also
counts how often it looked does not.  Only with the first kind can a deadlock be told from a long
wait.

One iteration is run on what is known of each variable and value: a number, that it is the same in
every iteration from some one on (``SAME``), or nothing (None).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from allo_rtl.ir.arithmetic import computed
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    Bitcast,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    FloatOp,
    For,
    Func,
    If,
    Load,
    Math,
    Op,
    Select,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import Poll, StreamOp, TryGet, TryPut
from allo_rtl.ir.types import ArrayType

LOOKS = (Poll, TryGet, TryPut)
"""The operations that look at a stream without waiting for it."""


_PURE = Constant | Binary | Compare | Cast | Bitcast | Select | Math | FloatOp | Apply


class _Mark(Enum):
    SAME = "the same in every iteration"
    OLD = "not stored to in this iteration"


SAME, OLD = _Mark.SAME, _Mark.OLD

type Known = int | _Mark | None
"""What is known of a value."""


def endless_in(func: Func) -> set[StreamOp]:
    """The looks at streams in loops of a function that only streams can end.

    A look in a function that such a loop calls is not among them.
    """
    own = {op.result for op in walk(func.body) if isinstance(op, Alloc)}
    found: set[StreamOp] = set()
    for loop in walk(func.body):
        if isinstance(loop, While):
            looks = [op for op in walk((*loop.before, *loop.body)) if isinstance(op, LOOKS)]
            if looks and _Loop(loop, own).goes_on():
                found.update(looks)
    return found


def rounds_to_settle(loop: While, func: Func) -> int | None:
    """Rounds after which a loop that still runs goes on for ever, if no stream changes.

    None where that cannot be told.
    """
    own = {op.result for op in walk(func.body) if isinstance(op, Alloc)}
    found = _Loop(loop, own)
    return found.variables + 2 if found.goes_on() else None


class _Loop:
    """What a ``while`` loop does as long as nothing is put or taken."""

    def __init__(self, loop: While, own: set[Value]) -> None:
        self._loop = loop
        self._own = own
        inside = list(walk((*loop.before, *loop.body)))
        self._stored = {op.array for op in inside if isinstance(op, Store)}
        for op in inside:
            if isinstance(op, Call):
                self._stored.update(_arrays_of(op))
        self._made = {v for op in inside for v in op.results()}
        self._settled = set[Value]()
        """Variables that are stored to and are the same from some iteration on."""

    @property
    def variables(self) -> int:
        """How many variables it stores to: they may settle one after the other."""
        return sum(v.array.rank == 0 for v in self._stored if isinstance(v.type, ArrayType))

    def goes_on(self) -> bool:
        """Whether its condition stays as it is."""
        while True:
            run = _Iteration(self._known, self._made)
            run.block(self._loop.before)
            run.block(self._loop.body)
            run.block(self._loop.before)
            more = {
                v for v in self._stored - self._settled
                if v.array.rank == 0 and run.variables.get(v, OLD) is not None
            }  # fmt: skip
            if not more:
                condition = run.value(self._loop.condition)
                return condition is SAME or condition == 1
            self._settled |= more

    def _known(self, array: Value) -> Known:
        """What is known of a load of something that this iteration has not stored to."""
        if array.array.rank and array not in self._own:
            return None  # others may store to it
        return SAME if array not in self._stored or array in self._settled else None


class _Iteration:
    """One iteration.

    Attributes:
        variables: what is known of the variables that were stored to.
    """

    def __init__(self, before: Callable[[Value], Known], made: set[Value]) -> None:
        self._before = before
        self._made = made
        self._values: dict[Value, Known] = {}
        self.variables: dict[Value, Known] = {}

    def value(self, value: Value) -> Known:
        """What is known of a value; what comes from outside of the loop stays."""
        return self._values.get(value) if value in self._made else SAME

    def block(self, block: Block) -> None:
        """Run operations."""
        for op in block:
            self._op(op)

    def _op(self, op: Op) -> None:
        match op:
            case Store(array=array, value=value) if not array.array.rank:
                self.variables[array] = self.value(value)
            case Load(result=result, array=array):
                found = self.variables.get(array, OLD) if not array.array.rank else OLD
                self._values[result] = self._before(array) if found is OLD else found
                if array.array.rank and any(self.value(v) is None for v in op.operands()):
                    self._values[result] = None
            case If():
                self._branch(op)
            case For() | While():
                self._forget(op)
            case Call():
                self.variables.update(dict.fromkeys(_arrays_of(op), None))
            case TryPut(done=done) | TryGet(done=done, peek=False):
                self._values.update(dict.fromkeys(op.results(), SAME))
                self._values[done] = 0  # else something was put or taken
            case TryGet() | Poll():
                self._values.update(dict.fromkeys(op.results(), SAME))
            case _:
                self._values.update(dict.fromkeys(op.results(), self._computed(op)))

    def _computed(self, op: Op) -> Known:
        """A pure operation of what is known; None for others."""
        if not isinstance(op, _PURE):
            return None
        parts = [self.value(v) for v in op.operands()]
        if None in parts:
            return None
        match op, parts:
            case Constant(value=number), _:
                return number
            case Binary() | Compare(), [int(a), int(b)]:
                return computed(op, (a, b))
            case Cast(), [int(a)]:
                return computed(op, (a,))
        return SAME

    def _branch(self, op: If) -> None:
        condition = self.value(op.condition)
        if isinstance(condition, int):
            self.block(op.then if condition else op.orelse)
            return
        start = dict(self.variables)
        self.block(op.then)
        then, self.variables = self.variables, dict(start)
        self.block(op.orelse)
        other = self.variables
        self.variables = {
            v: _either(condition, then.get(v, OLD), other.get(v, OLD)) for v in {**then, **other}
        }

    def _forget(self, op: For | While) -> None:
        """A loop inside: nothing is known of what it stores and computes."""
        for inner in walk((op,)):
            if isinstance(inner, Store):
                self.variables[inner.array] = None
            elif isinstance(inner, Call):
                self.variables.update(dict.fromkeys(_arrays_of(inner), None))
            self._values.update(dict.fromkeys(inner.results(), None))


def _arrays_of(call: Call) -> list[Value]:
    """The arrays and variables that a call may store to."""
    return [v for v in (*call.args, *call.outs) if isinstance(v.type, ArrayType)]


def _either(condition: Known, then: Known, other: Known) -> Known:
    """What is known of a variable after one of two blocks."""
    if then == other:
        return then
    if condition is None or then is None or other is None:
        return None
    return SAME  # each time the same block, which stores the same or leaves what it stored before
