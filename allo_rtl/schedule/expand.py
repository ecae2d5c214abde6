"""Variables of an iteration, made ready for what uses them to have loops of its own.

    for j in range(N):                          v: int32[N]
        v = B[j]                                for j in range(N):
        for k in range(K):               ->         v[j] = B[j]
            v += A[k, j]                            for k in range(K):
        B[j] = v                                        v[j] += A[k, j]
                                                    B[j] = v[j]

Each iteration has an element of its own then.  What stands before an inner loop and concerns only
what stands after it moves there first, so that it needs no element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace

from allo_rtl.ir.affine import AffineExpr
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
    For,
    Func,
    GetGlobal,
    Load,
    Math,
    Op,
    Select,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.schedule.loops import fresh_array_name

PURE = (
    Constant, Binary, Compare, Select, Cast, Bitcast, Math, Apply, GetGlobal, SubView,
)  # fmt: skip
"""Operations that only compute."""

type Groups = tuple[Block, Block, Block]
"""What stands before an inner loop, the loop, what stands after it."""


def delayed(groups: Groups, root: Callable[[Value], Value]) -> Groups:
    """The groups, with what stands before the loop and only concerns variables of the iteration
    that the loop does not use after it.

    ``root`` gives the representative of the arrays that share elements with one.
    """
    before, inner, after = groups
    own = {op.result for op in before if isinstance(op, Alloc)}
    bound: set[Op] = set()
    while True:
        stays, moves = list[Op](inner), list[Op]()
        for op in reversed(before):
            moving = op not in bound and _may_follow(op, stays, own, root)
            (moves if moving else stays).insert(0, op)
        made = {v for op in stays if not isinstance(op, Alloc) for v in op.results()}
        late = {op for op in moves if made & set(op.operands())}
        if not late:
            return tuple(stays[: -len(inner)]), inner, (*moves, *after)
        bound |= late


def _may_follow(
    op: Op, others: Sequence[Op], own: set[Value], root: Callable[[Value], Value]
) -> bool:
    """Whether an operation may run after others that stand behind it."""
    used = {v for o in walk(tuple(others)) for v in o.operands()}
    if used & set(op.results()):
        return False
    match op:
        case Alloc():
            return not op.fifo
        case Load(array=array):
            calls = any(isinstance(o, Call) for o in walk(tuple(others)))  # which may have state
            return not calls and root(array) not in {root(v) for v in _changed(others)}
        case Store(array=array):
            return array in own and array not in used
        case _:
            return isinstance(op, PURE)


def _changed(ops: Sequence[Op]) -> Iterator[Value]:
    """The arrays that operations may store to."""
    for op in walk(tuple(ops)):
        if not isinstance(op, Load):
            yield from (v for v in op.operands() if isinstance(v.type, ArrayType))


def expanded(func: Func, loops: Sequence[For], groups: Groups) -> Func | None:
    """The function in which each iteration of a perfect nest has an element of each variable that
    several of the groups use; None when there is no such variable, or one that cannot be taken
    apart so.
    """
    body = loops[-1].body
    shared = [op for op in body if isinstance(op, Alloc) and _groups_with(op, groups) > 1]
    if not shared or any(loop.trip_count in (None, 0) for loop in loops):
        return None
    at = tuple((AffineExpr.of(p.iv) - p.lower[0]).floordiv(p.step) for p in loops)
    shape = tuple(loop.trip_count or 0 for loop in loops)
    wider: dict[Value, Value] = {}
    made: list[Op] = []
    for op in shared:
        if not _is_plain(op, body):
            return None
        taken = replace(func, body=(*_without(func.body, op), *made))
        name = fresh_array_name(taken, op.result.name or "v")
        old = op.result.array
        wider[op.result] = Value(replace(old, shape=(*shape, *old.shape)), name)
        made.append(replace(op, result=wider[op.result]))
    dropped = {id(store) for op in shared if (store := _zeroing(op, body))}
    visit = _Widening(loops[0], made, wider, at, dropped).visit
    return replace(func, body=map_block(func.body, visit))


def _zeroing(alloc: Alloc, body: Block) -> Store | None:
    """The store of zero to a new variable, which is zero already, if that comes first."""
    first = next(op for op in body if any(alloc.result in o.operands() for o in walk((op,))))
    if not (alloc.zeroed and isinstance(first, Store)):
        return None
    maker = next((op for op in body if first.value in op.results()), None)
    zero = isinstance(maker, Constant) and maker.value == 0 and str(maker.value)[0] != "-"
    return first if zero else None


def _groups_with(op: Alloc, groups: Groups) -> int:
    return sum(any(op.result in o.operands() for o in walk(group)) for group in groups)


def _is_plain(op: Alloc, body: Block) -> bool:
    """Whether all that is done to an array of one bank is reading and writing elements."""
    users = (o for o in walk(body) if op.result in o.operands())
    plain = all(isinstance(o, Load) or (isinstance(o, Store) and o.value is not op.result)
                for o in users)  # fmt: skip
    return plain and not op.fifo and not op.result.array.partition


def _without(block: Block, op: Op) -> Block:
    return map_block(block, lambda o: () if o is op else None)


class _Widening:
    """Rewrites one nest: variables are made before it, and have a place for each iteration."""

    def __init__(
        self, outer: For, made: Sequence[Op], wider: dict[Value, Value],
        at: tuple[AffineExpr, ...], dropped: Set[int],
    ) -> None:  # fmt: skip
        self._name, self._made, self._wider, self._at = outer.iv, made, wider, at
        self._dropped = dropped

    def visit(self, op: Op) -> Op | Block | None:
        """What takes an operation's place."""
        match op:
            case For(iv=iv) if iv is self._name:
                return (*self._made, op)
            case Alloc(result=r) if r in self._wider:
                return ()
            case Store() if id(op) in self._dropped:
                return ()
            case Load(array=a) | Store(array=a) if a in self._wider:
                return replace(op, array=self._wider[a], index=(*self._at, *op.index))
        return None
