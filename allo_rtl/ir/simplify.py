"""What constants decide, and what nobody uses, taken out of a block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import computed
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
    Bitcast,
    Block,
    Cast,
    Compare,
    Constant,
    GetGlobal,
    If,
    Load,
    Math,
    Op,
    Select,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.rewrite import map_block, substitute_op, walk, with_regions
from allo_rtl.ir.types import Index, IntegerType

_PURE = (
    Constant, Apply, Binary, Compare, Select, Cast, Bitcast, Math, Load, SubView, GetGlobal, Alloc,
)  # fmt: skip


def decided(block: Block) -> Block:
    """The block with the branches alone that constants choose, of conditions and of conditional
    expressions, and without what only the others needed.

        k = 0                                          k = 0
        if k > 0: s += F[k - 1]             ->         F[k] = s
        F[k] = s
    """
    decider = _Decider()
    new = decider.block(block)
    return without_dead(new) if decider.chosen else block


class _Decider:
    """Reads operations in order.

    Attributes:
        chosen: how many conditions were decided.
    """

    def __init__(self) -> None:
        self.chosen = 0
        self._known: dict[Value, int] = {}
        self._same: dict[Value, Value | AffineExpr] = {}

    def block(self, block: Block) -> Block:
        """The block with what is decided so far."""
        out: list[Op] = []
        for old in block:
            op = substitute_op(old, self._same)
            match op:
                case If(condition=c) if c in self._known:
                    self.chosen += 1
                    out += self.block(op.then if self._known[c] else op.orelse)
                    continue
                case Select(condition=c) if c in self._known:
                    self.chosen += 1
                    self._same[op.result] = op.if_true if self._known[c] else op.if_false
                    continue
            if (number := _number(op, self._known)) is not None:
                self._known |= dict.fromkeys(op.results(), number)
            out.append(with_regions(op, self.block) if op.REGIONS else op)
        return tuple(out)


def _number(op: Op, known: Mapping[Value, int]) -> int | None:
    """What an operation on integers gives, where constants say so."""
    if not all(isinstance(v.type, IntegerType | Index) for v in (*op.results(), *op.operands())):
        return None
    match op:
        case Constant(value=value):
            return value
        case Binary(kind=BinaryKind.AND, lhs=a, rhs=b) if 0 in (known.get(a), known.get(b)):
            return 0
    if not all(v in known for v in op.operands()):
        return None
    match op:
        case Apply(expr=expr):
            return expr.evaluate(known.__getitem__)
        case Binary() | Compare() | Cast():
            return computed(op, [known[v] for v in op.operands()])
    return None


def without_dead(block: Block) -> Block:
    """The block without operations whose results nobody uses, and arrays nobody reads."""
    while True:
        uses = Counter(v for op in walk(block) for v in op.operands())
        stores = Counter(op.array for op in walk(block) if isinstance(op, Store))
        own = {op.result for op in walk(block) if isinstance(op, Alloc)}
        unread = {v for v in own if uses[v] == stores[v]}

        def visit(op: Op, uses: Counter[Value] = uses, unread: set[Value] = unread) -> Block | None:
            if isinstance(op, Store):
                return () if op.array in unread else None
            dead = isinstance(op, _PURE) and not any(uses[v] for v in op.results())
            return () if dead else None

        new = map_block(block, visit)
        if new is block:
            return block
        block = new
