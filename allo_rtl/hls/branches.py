"""What both branches of an ``if`` do is done once: before it, or after it.

    if c: A[i] += x                old = A[i]
    else: A[i] -= y       ->       if c: new = old + x
                                   else: new = old - y
                                   A[i] = new

Before it goes what both compute of the same values, and loads of one cell that neither stores to
before; since one of the branches is run, nothing is read that was not read anyway.  After it goes a
store to a cell that is the last access of it in both branches, with the value that either has.  Of
an array that one branch alone loads or stores nothing moves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from allo_rtl.hls.cells import Cells, touched
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    Block,
    Cast,
    Compare,
    Constant,
    FloatOp,
    If,
    Load,
    Op,
    Print,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import substitute, substitute_op, walk
from allo_rtl.ir.types import ArrayType

PURE = (Constant, Binary, Compare, Select, Cast, Apply, FloatOp)
"""What depends on its operands alone, and cannot fail."""

_PASSED = (*PURE, Load, Store, Alloc, If, Print)
"""What accesses are moved across; the order of all else and of memory can be seen."""


@dataclass(frozen=True)
class Joined:
    """An ``if`` without what both branches have in common.

    Attributes:
        before: what is done before it.
        rest: the ``if``, or nothing where nothing is left in it.
        after: what is done after it.
    """

    before: Block
    rest: Block
    after: Block


def key(op: Op) -> tuple[object, ...]:
    """What is equal of operations that give the same, in the same state of memory."""
    parts = (v for k, v in vars(op).items() if k != "loc" and k not in op.RESULTS)
    return type(op), *(v.type for v in op.results()), *parts


def joined(op: If, variables: Collection[Value]) -> Joined:
    """An ``if`` with what both branches do outside of it.

    ``variables`` are those that were made for other conditions, which stay.
    """
    if not all(isinstance(x, _PASSED) for x in walk((*op.then, *op.orelse))):
        return Joined((), (op,), ())
    before, then, orelse = _common_start(op.then, op.orelse)
    made, after = list[Alloc](), list[Op]()
    while pairs := _last_in_both(then, orelse, {*variables, *(x.result for x in made)}):
        new = [_moved(*pair) for pair in pairs]
        then = _replaced(then, [s for s, _ in pairs], new)
        orelse = _replaced(orelse, [s for _, s in pairs], new)
        made += [x.variable for x in new]
        after = [op for x in new for op in x.after] + after
    rest = (replace(op, then=then, orelse=orelse),) if then or orelse else ()
    return Joined((*before, *made), rest, tuple(after))


def _common_start(then: Block, orelse: Block) -> tuple[Block, Block, Block]:
    """What both blocks can do first, and the blocks without it."""
    free = {key(op): op for op in _free(then)}
    same: dict[Value, Value] = {}
    moved: set[Op] = set()
    rest: list[Op] = []
    inside: set[Value] = set()
    stored = Cells[bool]()
    for old in orelse:
        op = substitute_op(old, same)
        twin = free.get(key(op)) if _is_free(op, inside, stored) else None
        if twin is None:
            rest.append(op)
            _pass(op, inside, stored)
            continue
        moved.add(twin)
        same.update(zip(op.results(), twin.results(), strict=True))
    before = tuple(op for op in then if op in moved)
    return before, tuple(op for op in then if op not in moved), substitute(tuple(rest), same)


def _free(block: Block) -> Iterator[Op]:
    """The operations that can be done before a block, with those that they need."""
    inside: set[Value] = set()
    stored = Cells[bool]()
    for op in block:
        if _is_free(op, inside, stored):
            yield op
        else:
            _pass(op, inside, stored)


def _is_free(op: Op, inside: set[Value], stored: Cells[bool]) -> bool:
    """Whether nothing before an operation has to come before it."""
    if not isinstance(op, (*PURE, Load)) or not inside.isdisjoint(op.operands()):
        return False
    return not (isinstance(op, Load) and stored.meets(op.array, op.index))


def _pass(op: Op, inside: set[Value], stored: Cells[bool]) -> None:
    """Note what an operation that stays defines and stores."""
    inside.update(op.results())
    for store in touched((op,), stores_only=True):
        stored.set(store.array, store.index, True)


def _last_in_both(
    then: Block, orelse: Block, left: Collection[Value]
) -> list[tuple[Store, Store]]:
    """The stores to one cell with which both blocks can end, but to arrays that are left."""
    others = {(s.array, s.index): s for s in _last(orelse)}
    pairs = ((s, others.get((s.array, s.index))) for s in _last(then) if s.array not in left)
    return [(mine, other) for mine, other in pairs if other is not None]


def _last(block: Block) -> list[Store]:
    """The stores that can be done after a block, in order."""
    inside = {v for op in block for v in op.results()}
    later = Cells[bool]()
    found: list[Store] = []
    for op in reversed(block):
        if (
            isinstance(op, Store)
            and inside.isdisjoint((op.array, *(v for e in op.index for v in e.values)))
            and not later.meets(op.array, op.index)
        ):
            found.append(op)
        for access in touched((op,)):
            later.set(access.array, access.index, True)
    return found[::-1]


@dataclass(frozen=True)
class _Moved:
    """A variable that a branch sets, and what stores it after the ``if``."""

    variable: Alloc
    after: Block

    def set_by(self, value: Value) -> Store:
        """What a branch does instead of storing a word."""
        return Store(value=value, array=self.variable.result, loc=self.variable.loc)


def _moved(mine: Store, other: Store) -> _Moved:
    """What two stores to one cell become."""
    variable = Value(ArrayType(mine.value.scalar, ()), mine.array.name)
    word = Value(mine.value.type, mine.array.name)
    return _Moved(
        Alloc(result=variable, zeroed=False, loc=mine.loc or other.loc),
        (Load(result=word, array=variable, loc=mine.loc), replace(mine, value=word)),
    )


def _replaced(block: Block, stores: Sequence[Store], moved: Sequence[_Moved]) -> Block:
    """The block with variables set instead."""
    by: dict[Op, Op] = {s: x.set_by(s.value) for s, x in zip(stores, moved, strict=True)}
    return tuple(by.get(op, op) for op in block)
