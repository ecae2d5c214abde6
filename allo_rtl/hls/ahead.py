"""Loads that do not change in the inner loop of a flattened nest, done in an iteration before it.

    for i in range(N):                      for i in range(N):
        for j in range(i + 1):                  for j in range(-1, i + 1):
            C[i, j] += A[j] * A[i]      ->          a = A[i if j == -1 else j]
                                                    if j == -1: kept = a
                                                    else: C[i, j] += a * kept

Where reads of an array that the nest does not write are what keeps iterations apart, an iteration
for each run of the inner loop is better than a longer interval for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allo_rtl.hls.hoist import busy_arrays
from allo_rtl.hls.storage import ArrayStorage
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.domain import count
from allo_rtl.ir.ops import (
    Apply,
    Block,
    Compare,
    For,
    If,
    Load,
    Op,
    Predicate,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, Index, IntegerType, bool_, index


@dataclass(frozen=True)
class ReadAhead:
    """A nest with an iteration more in each run of its inner loop, and the registers it fills."""

    nest: tuple[For, ...]
    registers: tuple[Value, ...]


@dataclass(frozen=True)
class _Pair:
    """A load that stays the same in the inner loop, and one that it can share a port with."""

    same: Load
    other: Load
    index: tuple[AffineExpr, ...]


def read_ahead(
    nest: Sequence[For], storage: Mapping[Value, ArrayStorage]
) -> ReadAhead | None:
    """The nest with such loads done ahead; None where there are none, or it would not be faster."""
    inner = nest[-1]
    pairs = _pairs(inner, storage)
    if not pairs or len(inner.lower) > 1 or not _pays(nest, pairs):
        return None
    registers = [_register(p.same) for p in pairs]
    body = _body(inner, pairs, registers)
    new = replace(inner, lower=(inner.lower[0] - inner.step,), body=body)
    loops = [new]
    for loop in reversed(nest[:-1]):
        new = replace(loop, body=(*loop.body[:-1], new))
        loops.append(new)
    return ReadAhead(tuple(reversed(loops)), tuple(registers))


def _pairs(inner: For, storage: Mapping[Value, ArrayStorage]) -> list[_Pair]:
    """For each load to be done ahead one that is done in the other iterations."""
    written = {op.array for op in walk(inner.body) if isinstance(op, Store)}
    inside = {v for op in walk(inner.body) for v in op.results()}
    applied: dict[Value, AffineExpr] = {}
    loads: dict[Value, list[tuple[Load, tuple[AffineExpr, ...]]]] = {}
    busy = busy_arrays(inner, storage) - written - inside
    for op in inner.body:
        if isinstance(op, Apply):
            applied[op.result] = op.expr.substitute(applied.get)
        if isinstance(op, Load) and op.array in busy:
            at = tuple(e.substitute(applied.get) for e in op.index)
            if not any(e.values & inside for e in at):
                loads.setdefault(op.array, []).append((op, at))
    found: list[_Pair] = []
    for group in loads.values():
        moving = [(op, at) for op, at in group if any(inner.iv in e.values for e in at)]
        still = [op for op, at in group if not any(inner.iv in e.values for e in at)]
        found += [_Pair(same, *other) for same, other in zip(still, moving, strict=False)]
    return [p for p in found if not any(v in inside for e in p.same.index for v in e.values)]


def _pays(nest: Sequence[For], pairs: Sequence[_Pair]) -> bool:
    """Whether the iterations that are added are fewer than the cycles that are saved."""
    ii = nest[-1].attrs.pipeline_ii or 1
    arrays = [p.same.array for p in pairs]
    loads = [op.array for op in nest[-1].body if isinstance(op, Load)]
    before = max(loads.count(a) for a in arrays)
    after = max(ii, *(loads.count(a) - arrays.count(a) for a in arrays))
    all_, runs = count(nest, lambda _: None), count(nest[:-1], lambda _: None)
    if all_ is None or runs is None:
        return False
    return (all_ + runs) * after < all_ * before


def _register(load: Load) -> Value:
    element = load.array.array.element
    assert isinstance(element, IntegerType | Index)
    return Value(ArrayType(element, ()), f"{load.array.name}_kept")


def _body(inner: For, pairs: Sequence[_Pair], registers: Sequence[Value]) -> Block:
    at, end, ahead, here = Value(index), Value(index), Value(bool_), Value(bool_)
    ops: list[Op] = [
        Apply(result=at, expr=AffineExpr.of(inner.iv)),
        Apply(result=end, expr=inner.lower[0] - inner.step),
        Compare(predicate=Predicate.EQ, result=ahead, lhs=at, rhs=end),
        Compare(predicate=Predicate.NE, result=here, lhs=at, rhs=end),
    ]
    stores: list[Op] = []
    again: list[Op] = []
    for pair, register in zip(pairs, registers, strict=True):
        both = zip(pair.same.index, pair.index, strict=True)
        place = [_either(ahead, a, b, ops) for a, b in both]
        ops.append(replace(pair.other, index=tuple(place)))
        stores.append(Store(value=pair.other.result, array=register, loc=pair.same.loc))
        again.append(Load(result=pair.same.result, array=register, loc=pair.same.loc))
    done = {op for p in pairs for op in (p.same, p.other)}
    rest = tuple(op for op in inner.body if op not in done)
    return (
        *ops,
        If(condition=ahead, then=tuple(stores)),
        If(condition=here, then=(*again, *rest)),
    )


def _either(ahead: Value, a: AffineExpr, b: AffineExpr, ops: list[Op]) -> AffineExpr:
    """One subscript or the other."""
    if a == b:
        return a
    first, second, chosen = Value(index), Value(index), Value(index)
    ops += [
        Apply(result=first, expr=a),
        Apply(result=second, expr=b),
        Select(result=chosen, condition=ahead, if_true=first, if_false=second),
    ]
    return AffineExpr.of(chosen)
