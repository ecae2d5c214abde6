"""Loops pipelined with ``rewind``: what stands beside them runs inside, in their first and their
last iteration.

    for i in range(M):                 for i in range(M):
        v = 0                              for k in range(K):         # a perfect nest
        for k in range(K):       ->            if k == 0: v = 0
            v += A[i, k]                       v += A[i, k]
        B[i] = v                               if k == K - 1: B[i] = v

The nest is then perfect, and one pipeline runs through all its iterations without draining where
a run of the inner loop ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from allo_rtl.hls.empty_runs import set_apart
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    FloatOp,
    For,
    Func,
    GetGlobal,
    If,
    Load,
    Module,
    Op,
    Predicate,
    Return,
    Select,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import clone, map_block, substitute, walk
from allo_rtl.ir.stream_ops import STREAM_OPS
from allo_rtl.ir.types import ArrayType, bool_, index

_PURE = (Constant, Binary, Compare, Select, Cast, Apply, FloatOp)
_OF_ITS_OWN = (For, While, Call, Return, *STREAM_OPS)


def rewind(module: Module) -> tuple[Module, tuple[str, ...]]:
    """A legalized module with the nests of rewound loops made perfect, and where that cannot be.

    Results are the same, operation by operation in the same order.
    """
    notes: list[str] = []
    funcs = tuple(_rewound(f, notes) for f in module.funcs)
    return replace(module, funcs=funcs), tuple(notes)


def _rewound(func: Func, notes: list[str]) -> Func:
    if not any(isinstance(op, For) and op.attrs.rewind for op in walk(func.body)):
        return func
    body, never_empty = set_apart(func.body)

    def visit(op: Op) -> Block | None:
        if not isinstance(op, For) or _is_marked(op):
            return None
        chain = next((c for o in op.body if isinstance(o, For) and (c := _chain(o))), None)
        if chain is None or op.body == (chain[0],):
            return None
        if why := _obstacle(op, chain, never_empty):
            notes.append(f"{func.name}: loop {chain[-1].name!r} is not rewound: {why}")
            return None
        return _Nest(op, chain).perfect()

    return replace(func, body=map_block(body, visit))


def _is_marked(loop: For) -> bool:
    return loop.attrs.pipeline_ii is not None or loop.attrs.unroll is not None


def _chain(loop: For) -> tuple[For, ...] | None:
    """The loops from this one down to a rewound one, if nothing stands beside any of them."""
    chain = [loop]
    while chain[-1].attrs.pipeline_ii is None:
        (*rest, last) = chain[-1].body or (None,)
        if rest or not isinstance(last, For) or chain[-1].attrs.unroll is not None:
            return None
        chain.append(last)
    last = chain[-1]
    return tuple(chain) if last.attrs.rewind and last.attrs.unroll in (None, 1) else None


def _obstacle(outer: For, chain: Sequence[For], never_empty: Collection[Value]) -> str:
    """What stands against it, "" when nothing does."""
    for loop in chain:
        if not loop.trip_count and loop.iv not in never_empty:
            return f"loop {loop.name!r} may have no iteration"
    for op in walk(tuple(o for o in outer.body if o is not chain[0])):
        if isinstance(op, _OF_ITS_OWN):
            return f"a loop, a call or a stream is used beside it in loop {outer.name!r}"
        if isinstance(op, Alloc) and op.result.array.rank:
            return f"each iteration of loop {outer.name!r} makes {op.result.name!r} anew"
    return ""


@dataclass(frozen=True)
class _Nest:
    """A loop with straight-line code beside a chain of loops in it."""

    outer: For
    chain: tuple[For, ...]

    def perfect(self) -> Block:
        """What takes its place: variables, and the nest."""
        body = self.outer.body
        at = body.index(self.chain[0])
        before, after = body[:at], body[at + 1 :]
        hoisted, first, between, mapping = self._before(before, after)
        inside = substitute(self.chain[-1].body, mapping)
        last = substitute(after, mapping)
        new: Block = (
            *self._when(0, first), *between, *inside, *self._when(-1, last),
        )  # fmt: skip
        for loop in reversed(self.chain):
            new = (replace(loop, body=new),)
        return (*hoisted, replace(self.outer, body=new))

    def _before(
        self, before: Block, after: Block
    ) -> tuple[Block, Block, Block, dict[Value, Value | AffineExpr]]:
        """What stands before: variables to make outside, what to run in the first iteration, what
        to compute in each, and the values that take the place of those it defined."""
        hoisted: list[Op] = [op for op in before if isinstance(op, Alloc | GetGlobal)]
        first: list[Op] = []
        between: list[Op] = []
        mapping: dict[Value, Value | AffineExpr] = {}
        needed = _needed(before, (*self.chain, *after))
        for op in before:
            if isinstance(op, GetGlobal):
                continue
            if isinstance(op, Alloc):
                first += _zero(op)
                continue
            first.append(op)
            if isinstance(op, Load) and op.result in needed:
                kept = Value(ArrayType(op.result.type, ()), op.result.name)  # type: ignore[arg-type]
                again = Value(op.result.type, op.result.name)
                hoisted.append(Alloc(result=kept, loc=op.loc))
                first.append(Store(value=op.result, array=kept, loc=op.loc))
                between.append(Load(result=again, array=kept, loc=op.loc))
                mapping[op.result] = again
            elif needed & set(op.results()):
                (copy,) = clone((op,), mapping)
                between.append(copy)
                mapping |= dict(zip(op.results(), copy.results(), strict=True))
        return tuple(hoisted), tuple(first), tuple(between), mapping

    def _when(self, which: int, block: Block) -> Block:
        """The block in the first (0) or the last (-1) iteration of the chain only."""
        if not block:
            return ()
        ops: list[Op] = []
        holds: Value | None = None
        for loop in self.chain:
            here = _is_at(loop, which, ops)
            holds = here if holds is None else _combined(BinaryKind.AND, holds, here, ops)
        assert holds is not None
        return (*ops, If(condition=holds, then=block))


def _is_at(loop: For, which: int, ops: list[Op]) -> Value:
    """Whether a loop is in its first (0) or last (-1) iteration."""
    predicate = Predicate.EQ
    if (bounds := loop.constant_bounds) is not None:
        number = bounds[0] + (0 if which == 0 else ((loop.trip_count or 1) - 1) * loop.step)
        ends = [AffineExpr.constant(number)]
    elif which == 0:
        ends = list(loop.lower)
    else:
        ends = [e - loop.step for e in loop.upper]
        predicate = Predicate.EQ if loop.step == 1 else Predicate.GE
    holds: Value | None = None
    for expr in ends:  # one of them is the bound, and the counter is not beyond the others
        at, end, here = Value(index), Value(index), Value(bool_)
        ops += [
            Apply(result=at, expr=AffineExpr.of(loop.iv)),
            Apply(result=end, expr=expr),
            Compare(predicate=predicate, result=here, lhs=at, rhs=end),
        ]
        holds = here if holds is None else _combined(BinaryKind.OR, holds, here, ops)
    assert holds is not None
    return holds


def _combined(kind: BinaryKind, a: Value, b: Value, ops: list[Op]) -> Value:
    both = Value(bool_)
    ops.append(Binary(kind=kind, result=both, lhs=a, rhs=b))
    return both


def _needed(block: Block, users: Iterable[Op]) -> set[Value]:
    """The values of a block that others use, and those that these are computed from."""
    found = {v for op in walk(tuple(users)) for v in op.operands()}
    for op in reversed(block):
        if isinstance(op, _PURE) and found & set(op.results()):
            found |= set(op.operands())
    return found


def _zero(op: Alloc) -> Block:
    """What making a variable anew does to it."""
    zero = Value(op.result.array.element)
    return (Constant(result=zero, value=0), Store(value=zero, array=op.result, loc=op.loc))
