"""Accumulations whose terms may be taken in any order.

``A[x] = A[x] op e`` is one when ``op`` is associative and commutative on the values stored:
sums and differences, products, and, or, xor of integers, which wrap, so that only the low bits
count; sums of fixed-point numbers with the same fraction bits; and minimum and maximum as long as
nothing is cut off.

Sums and products of floating-point numbers are rounded at each step: they are *inexact*
accumulations, whose terms may only change places where the user said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass

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
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import FixedType, Float, Index, IntegerType, Type

_MODULAR = {
    BinaryKind.ADD: "sum",
    BinaryKind.SUB: "sum",
    BinaryKind.MUL: "product",
    BinaryKind.AND: "and",
    BinaryKind.OR: "or",
    BinaryKind.XOR: "xor",
}
_INEXACT = {
    BinaryKind.ADD: "floating-point sum",
    BinaryKind.SUB: "floating-point sum",
    BinaryKind.MUL: "floating-point product",
}
INEXACT = frozenset(_INEXACT.values())
"""Kinds of accumulations that rounding makes depend on the order."""

_ORDERED = {BinaryKind.MIN: "minimum", BinaryKind.MAX: "maximum"}


def reductions(
    func: Func,
    root: Callable[[Value], Value] = lambda v: v,
    apart: Set[Value] = frozenset(),
) -> dict[Op, str]:
    """The load and the store of every accumulation of a function, with the kind of operation.

    Two of them on one array commute when their kinds are the same.  ``root`` tells which arrays
    may share elements, ``apart`` those of which equal subscripts are not the same element (see
    :class:`allo_rtl.schedule.buffers.Aliases`).
    """
    uses: dict[Value, int] = {}
    for op in walk(func.body):
        for value in () if isinstance(op, For) else op.operands():
            uses[value] = uses.get(value, 0) + 1
    found: dict[Op, str] = {}
    for block in _blocks(func.body):
        match_ = _Matcher(block, uses, root, apart)
        for op in block:
            if isinstance(op, Store) and (hit := match_.accumulation(op)):
                found[op] = found[hit[0]] = hit[1]
    return found


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for op in block:
        for region in op.regions():
            yield from _blocks(region)


@dataclass
class _Matcher:
    """Matches the stores of one block against the shape of an accumulation."""

    block: Block
    uses: dict[Value, int]
    root: Callable[[Value], Value]
    apart: Set[Value]

    def __post_init__(self) -> None:
        self.define = {v: op for op in self.block for v in op.results()}
        self.places = {op: k for k, op in enumerate(self.block)}

    def accumulation(self, store: Store) -> tuple[Load, str] | None:
        """(load, kind) when the store closes an accumulation."""
        value, narrowing = self.casts(store.value)
        binary = self.define.get(value)
        if not isinstance(binary, Binary) or self.uses[value] != 1:
            return None
        sides = [(binary.lhs, binary.rhs), (binary.rhs, binary.lhs)]
        for old, term in sides[:1] if binary.kind is BinaryKind.SUB else sides:
            origin, widening = self.casts(old)
            load = self.define.get(origin)
            if isinstance(load, Load) and self.is_own(load, store):
                types = [*narrowing, *widening, binary.result.type]
                kind = self.kind(binary, types, store.array.array.element, term)
                return (load, kind) if kind else None
        return None

    def casts(self, value: Value) -> tuple[Value, list[Type]]:
        """The value before a chain of casts that nothing else uses, and the types on the way."""
        types: list[Type] = []
        while isinstance(cast := self.define.get(value), Cast) and self.uses[value] == 1:
            types.append(value.type)
            value = cast.operand
        return value, types

    def is_own(self, load: Load, store: Store) -> bool:
        """Whether the load reads the stored cell, for the store alone, with no write between."""
        if self.uses[load.result] != 1 or load.index != store.index:
            return False
        if self.root(load.array) is not self.root(store.array):
            return False
        if load.array is not store.array and self.root(store.array) in self.apart:
            return False
        between = self.block[self.places[load] + 1 : self.places[store]]
        return not any(self.may_write(op, store.array) for op in walk(between))

    def may_write(self, op: Op, array: Value) -> bool:
        if isinstance(op, Store):
            return self.root(op.array) is self.root(array)
        return isinstance(op, Call) and any(self.root(a) is self.root(array) for a in op.args)

    def kind(self, op: Binary, types: list[Type], stored: Type, term: Value) -> str | None:
        if op.kind in _INEXACT and isinstance(op.result.type, Float):
            return _INEXACT[op.kind]
        if op.kind in _MODULAR and isinstance(stored, FixedType):
            same = all(isinstance(t, FixedType) and t.fracs == stored.fracs for t in types)
            wide = all(t.bits >= stored.bits for t in types)
            return "sum" if same and wide and op.kind is not BinaryKind.MUL else None
        if op.kind in _MODULAR:
            wide = all(_bits(t) >= _bits(stored) > 0 for t in types)
            return _MODULAR[op.kind] if wide else None
        if op.kind in _ORDERED:
            source = self.define.get(term)
            origin = source.operand.type if isinstance(source, Cast) else term.type
            exact = all(_holds(t, stored) for t in types)
            kept = _holds(stored, origin) and _holds(op.result.type, origin)
            return _ORDERED[op.kind] if exact and kept else None
        return None


def _bits(type_: Type) -> int:
    return type_.bits if isinstance(type_, IntegerType | Index) else 0


def _holds(outer: Type, inner: Type) -> bool:
    """Whether the type ``outer`` has every value of ``inner``."""
    if outer == inner:
        return True
    if not isinstance(outer, IntegerType | Index) or not isinstance(inner, IntegerType | Index):
        return False
    return outer.min <= inner.min and inner.max <= outer.max
