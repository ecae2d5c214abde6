"""Integer sums of unrolled loops as balanced trees.

Copies of ``A[x] += e`` that follow each other wait for one another.  Integers may be added in any
order, so the terms are added in a balanced tree first, and the sum of all to the cell once: the
way from the cell, on which the next iteration waits, is one addition long.  So it is with products,
minima, maxima and bitwise accumulations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from allo_rtl.ir.ops import (
    Binary,
    BinaryKind,
    Block,
    Call,
    Cast,
    For,
    Func,
    Load,
    Op,
    Store,
    Value,
    While,
)
from allo_rtl.ir.reductions import reductions
from allo_rtl.ir.rewrite import walk, with_regions
from allo_rtl.ir.stream_ops import STREAM_OPS

_WALLS = (For, While, Call, *STREAM_OPS)
"""What accumulations are not moved across, with whatever has blocks of its own."""


@dataclass(frozen=True, eq=False)
class _Sum:
    """An accumulation of a block: its operations, from the load to the store."""

    load: Load
    binary: Binary
    store: Store
    term: Value
    ops: frozenset[Op]

    @property
    def key(self) -> tuple[object, ...]:
        """Those that are equal in it can be added up together."""
        kind = _tree_kind(self.binary.kind)
        return self.store.array, self.store.index, kind, self.binary.result.type


def _tree_kind(kind: BinaryKind) -> BinaryKind:
    return BinaryKind.ADD if kind is BinaryKind.SUB else kind


def balanced(func: Func) -> Func:
    """The function with its accumulations of one cell in trees; all its numbers are integers."""
    if not any(_repeated(b) for b in _blocks(func.body)):
        return func
    kinds = reductions(func)
    return replace(func, body=_block(func.body, kinds))


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for op in walk(block):
        yield from op.regions()


def _repeated(block: Block) -> bool:
    """Whether two stores of a block are to one cell."""
    cells = [(op.array, op.index) for op in block if isinstance(op, Store)]
    return len(set(cells)) < len(cells)


def _block(block: Block, kinds: dict[Op, str]) -> Block:
    out: list[Op] = []
    for op in block:
        out.append(with_regions(op, lambda part: _block(part, kinds)))
    define = {v: op for op in block for v in op.results()}
    sums = [_sum(op, define) for op in block if isinstance(op, Store) and op in kinds]
    if len(sums) < 2:
        return tuple(out)
    groups = _groups(block, [s for s in sums if s is not None])
    return _rewritten(out, [g for g in groups if len(g) > 1])


def _sum(store: Store, define: dict[Value, Op]) -> _Sum | None:
    ops: list[Op] = [store]
    value = store.value
    while isinstance(cast := define.get(value), Cast):
        ops.append(cast)
        value = cast.operand
    binary = define.get(value)
    if not isinstance(binary, Binary):
        return None
    for old, term in ((binary.lhs, binary.rhs), (binary.rhs, binary.lhs)):
        way: list[Op] = []
        at = define.get(old)
        while isinstance(at, Cast):
            way.append(at)
            at = define.get(at.operand)
        if isinstance(at, Load) and (at.array, at.index) == (store.array, store.index):
            return _Sum(at, binary, store, term, frozenset([*ops, binary, *way, at]))
    return None


def _groups(block: Block, sums: Sequence[_Sum]) -> list[list[_Sum]]:
    """Accumulations of one cell that nothing between them has to do with."""
    own = {op: s for s in sums for op in s.ops}
    open_: dict[tuple[object, ...], list[_Sum]] = {}
    done: list[list[_Sum]] = []
    for op in block:
        if isinstance(op, _WALLS) or op.REGIONS:
            done += open_.values()
            open_ = {}
        elif op in own and op is own[op].store:
            open_.setdefault(own[op].key, []).append(own[op])
        elif isinstance(op, Load | Store) and op not in own:
            for key in [k for k, g in open_.items() if _meet(op, g[0].store)]:
                done.append(open_.pop(key))
        if isinstance(op, Store) and op in own:
            others = [k for k, g in open_.items() if k != own[op].key and _meet(op, g[0].store)]
            done += [open_.pop(key) for key in others]
    return [*done, *open_.values()]


def _meet(a: Load | Store, b: Load | Store) -> bool:
    """Whether two accesses may touch one cell in one iteration."""
    if a.array is not b.array:
        return False
    deltas = (x - y for x, y in zip(a.index, b.index, strict=True))
    return not any(d.is_constant and d.const for d in deltas)


def _rewritten(block: Sequence[Op], groups: Sequence[Sequence[_Sum]]) -> Block:
    """The block with each group as a tree, where its last accumulation stood."""
    gone = {op for group in groups for s in group[:-1] for op in s.ops}
    last = {group[-1].binary: group for group in groups}
    out: list[Op] = []
    for op in block:
        if op in gone:
            continue
        if isinstance(op, Binary) and op in last:
            out += _tree(last[op])
        else:
            out.append(op)
    return tuple(out)


def _tree(group: Sequence[_Sum]) -> list[Op]:
    """The terms added up in pairs, those that are taken away on their own; then the cell."""
    final = group[-1]
    plus = [s.term for s in group if s.binary.kind is not BinaryKind.SUB]
    minus = [s.term for s in group if s.binary.kind is BinaryKind.SUB]
    ops: list[Op] = []
    kind = _tree_kind(final.binary.kind)
    total = _pairwise(plus or minus, kind, final.binary, ops)
    if plus and minus:
        less = _pairwise(minus, kind, final.binary, ops)
        difference = Value(total.type)
        ops.append(replace(
            final.binary, kind=BinaryKind.SUB, result=difference, lhs=total, rhs=less
        ))  # fmt: skip
        total = difference
    cell = final.binary.rhs if final.binary.lhs is final.term else final.binary.lhs
    last = BinaryKind.SUB if minus and not plus else kind
    ops.append(replace(final.binary, kind=last, lhs=cell, rhs=total))
    return ops


def _pairwise(values: Sequence[Value], kind: BinaryKind, like: Binary, ops: list[Op]) -> Value:
    while len(values) > 1:
        level: list[Value] = []
        for k in range(0, len(values) - 1, 2):
            level.append(Value(like.result.type))
            ops.append(replace(
                like, kind=kind, result=level[-1], lhs=values[k], rhs=values[k + 1]
            ))  # fmt: skip
        values = [*level, *values[len(values) // 2 * 2 :]]
    return values[0]
