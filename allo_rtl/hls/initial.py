"""The zeroes a fresh array starts with, without spending cycles on them.

A RAM keeps what the last run left.  Where the first loop nest that uses an array writes every
cell before any load reads it, or operations or nests one after the other do, nothing need be
done.  Where some loads come before the first store to their cell exactly in the iterations in
which some counters are at their lower bounds (as in an accumulation), those loads are given zero
in these iterations.  Cells of a local memory that nothing ever stores to are zeroes from the
start, and stay so.  Only what is left is cleared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import gcd, prod

import islpy as isl

from allo_rtl.ir import polyhedra
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, accesses
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
    Block,
    Compare,
    Constant,
    For,
    If,
    Load,
    Op,
    Predicate,
    Select,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import Index, UInt


def settle(
    block: Block, needs_zero: set[Value], local: Collection[Value] = ()
) -> tuple[Block, set[Value]]:
    """Rewrite loads where that makes clearing unnecessary.

    Args:
        block: a block with Alloc operations in it, at any depth.
        needs_zero: the arrays that are RAM or ports (registers are cleared for free).
        local: those of them that are memories which nothing but this block stores to.

    Returns:
        The block, and the arrays that still have to be cleared where they are allocated.
    """
    dirty: set[Value] = set()
    found = _Arrays(needs_zero, _stores(block, needs_zero & set(local)), dirty)
    block = _settle(block, found)
    return block, dirty


@dataclass(frozen=True)
class _Arrays:
    """The arrays to be zeroes, how many stores each has if that is all that changes it, and
    those that have to be cleared."""

    all: set[Value]
    stores: Mapping[Value, int]
    dirty: set[Value]


def _stores(block: Block, arrays: set[Value]) -> Mapping[Value, int]:
    found = dict.fromkeys(arrays, 0)
    for op in walk(block):
        for array in found.keys() & set(op.operands()):
            if isinstance(op, Store):
                found[array] += 1
            elif not isinstance(op, Load):
                del found[array]
    return found


def _settle(block: Block, arrays: _Arrays) -> Block:
    ops = [_descend(op, arrays) for op in block]
    for at, op in enumerate(ops):
        if not isinstance(op, Alloc) or op.result not in arrays.all:
            continue
        first = next((k for k in range(at + 1, len(ops)) if _uses(ops[k], op.result)), None)
        if first is None:
            continue
        if _written_in_line(ops[first:], op.result):
            continue
        user = ops[first]
        inside = sum(isinstance(x, Store) and x.array is op.result for x in walk((user,)))
        alone = arrays.stores.get(op.result) == inside
        settled = _settle_nest(user, op.result, alone) if isinstance(user, For) else None
        if settled is not None:
            ops[first] = settled
        elif not _written_by_all(ops[first:], op.result):
            arrays.dirty.add(op.result)
    return tuple(ops)


def _descend(op: Op, arrays: _Arrays) -> Op:
    if isinstance(op, For):
        return replace(op, body=_settle(op.body, arrays))
    if isinstance(op, If):
        then, orelse = (_settle(b, arrays) for b in (op.then, op.orelse))
        return replace(op, then=then, orelse=orelse)
    if isinstance(op, While):
        before, body = (_settle(b, arrays) for b in (op.before, op.body))
        return replace(op, before=before, body=body)
    return op


def _written_in_line(ops: Sequence[Op], array: Value) -> bool:
    """Whether operations one after the other store every cell before they use it otherwise."""
    if sum(isinstance(op, Store) and op.array is array for op in ops) < array.array.size:
        return False
    missing = set(product(*map(range, array.array.shape)))
    for op in ops:
        if not missing:
            return True
        if not _uses(op, array):
            continue
        if not isinstance(op, Load | Store) or not all(e.is_constant for e in op.index):
            return False
        cell = tuple(e.const for e in op.index)
        if isinstance(op, Store):
            missing.discard(cell)
        elif cell in missing:
            return False
    return True


def _written_by_all(ops: Sequence[Op], array: Value) -> bool:
    """Whether those that come first and only store to an array together store every cell."""
    stores: list[Access] = []
    for op in ops:
        if not _uses(op, array):
            continue
        touching = [a for a in accesses((op,)) if a.array is array]
        if not all(a.is_store and _simple(a) for a in touching):
            break
        stores += touching
    return len(stores) > 1 and _covers(stores, array)


def _uses(op: Op, array: Value) -> bool:
    return any(array in x.operands() for x in walk((op,)))


def _settle_nest(nest: For, array: Value, alone: bool) -> For | None:
    """The nest with its too early loads masked; None when the array must be cleared.

    ``alone``: no cell is ever stored to but by the nest, whenever it runs.
    """
    touching = [a for a in accesses((nest,)) if a.array is array]
    if not all(_simple(a) for a in touching):
        return None
    stores = [a for a in touching if a.is_store]
    if not alone and not _covers(stores, array):
        return None
    masks: dict[Op, tuple[For, ...]] = {}
    for load in (a for a in touching if not a.is_store):
        early = _unwritten(load, stores)
        if early.is_empty():
            continue
        steady = _steady_loops(load)
        names = _names(load, "l")
        start = [f"{names[x.iv]} = {polyhedra.text(x.lower[0], names)}" for x in steady]
        if not early.is_equal(_domain(load, start)):
            return None
        masks[load.op] = steady
    if not masks:
        return nest
    rewritten = map_block((nest,), lambda op: _mask(op, masks))
    assert isinstance(rewritten[0], For)
    return rewritten[0]


def _simple(access: Access) -> bool:
    """Affine, unconditional, in loops of the nest alone, whose bounds follow from its counters."""
    counters = {x.iv for x in access.loops}
    return (
        access.affine
        and access.index is not None
        and all(e.values <= counters for e in access.index)
        and not any(isinstance(p, If | While) for p in access.parents)
        and all(len(x.lower) == 1 for x in access.loops)
        # A limit that comes from elsewhere says nothing of which cells are written.
        and all(e.values <= counters for x in access.loops for e in (*x.lower, *x.upper))
    )


def _names(access: Access, prefix: str) -> dict[Value, str]:
    return {x.iv: f"{prefix}{k}" for k, x in enumerate(access.loops)}


def _steady_loops(load: Access) -> tuple[For, ...]:
    """Loops whose counters the load's subscripts do not use."""
    assert load.index is not None
    used = {v for e in load.index for v in e.values}
    return tuple(x for x in load.loops if x.iv not in used)


def _constraints(access: Access, prefix: str) -> list[str]:
    names = _names(access, prefix)
    return [c for x in access.loops for c in polyhedra.iterates(x, names)]


def _domain(access: Access, extra: Sequence[str] = ()) -> isl.Set:
    dims = list(_names(access, "l").values())
    return polyhedra.points(dims, [*_constraints(access, "l"), *extra])


def _covers(stores: Sequence[Access], array: Value) -> bool:
    """Whether the stores together write every cell."""
    shape = array.array.shape
    cells = [f"c{d}" for d in range(len(shape))]
    everything = polyhedra.points(cells, [f"0 <= c{d} < {n}" for d, n in enumerate(shape)])
    written = isl.Set(f"{{ [{', '.join(cells)}] : false }}")
    for store, low, high in _blocks(stores):
        assert store.index is not None
        names = _names(store, "s")
        offsets = [f"o{d}" for d in range(len(shape))]
        equal = [
            f"c{d} = {polyhedra.text(e, names)} + o{d} and {low[d]} <= o{d} <= {high[d]}"
            for d, e in enumerate(store.index)
        ]
        hidden = [*names.values(), *offsets]
        constraints = [*_constraints(store, "s"), *equal]
        written = written.union(_exists(cells, hidden, constraints))
    return bool(everything.is_subset(written))


type _Offset = tuple[int, ...]


def _blocks(stores: Sequence[Access]) -> list[tuple[Access, _Offset, _Offset]]:
    """The stores, those that unrolling made of one taken together again.

    Each comes with the least and the greatest constants to be added to its subscripts; all
    between them are among the stores.
    """
    groups: dict[tuple[object, ...], dict[_Offset, Access]] = {}
    for store in stores:
        assert store.index is not None
        shape = tuple(e - e.const for e in store.index)
        offset = tuple(e.const for e in store.index)
        groups.setdefault((shape, store.loops), {})[offset] = store
    out = []
    for group in groups.values():
        low, high = (tuple(f(column) for column in zip(*group, strict=True)) for f in (min, max))
        if low in group and len(group) == prod(b - a + 1 for a, b in zip(low, high, strict=True)):
            extent = tuple(b - a for a, b in zip(low, high, strict=True))
            out.append((group[low], (0,) * len(low), extent))
        else:
            out += [(store, (0,) * len(low), (0,) * len(low)) for store in group.values()]
    return out


def _exists(dims: Sequence[str], hidden: Sequence[str], constraints: Sequence[str]) -> isl.Set:
    formula = " and ".join(constraints) or "true"
    if hidden:
        formula = f"exists ({', '.join(hidden)} : {formula})"
    return isl.Set(f"{{ [{', '.join(dims)}] : {formula} }}")


def _unwritten(load: Access, stores: Sequence[Access]) -> isl.Set:
    """Iterations of a load whose cell no store has written before."""
    early = _domain(load)
    dims = list(_names(load, "l").values())
    for store in _nearest_first(load, stores):
        if early.is_empty():
            break
        assert store.index is not None
        assert load.index is not None
        s_names, l_names = _names(store, "s"), _names(load, "l")
        constraints = [
            *_constraints(store, "s"), *_constraints(load, "l"),
            *polyhedra.same_cell(store.index, s_names, load.index, l_names),
            _before(store, load),
        ]
        early = early.subtract(_exists(dims, list(s_names.values()), constraints))
    return early


def _nearest_first(load: Access, stores: Sequence[Access]) -> list[Access]:
    """The stores that can reach the load's cells, those that stand just before it first."""
    near = [s for s in stores if s.position < load.position]
    far = [s for s in stores if s.position >= load.position]
    return [s for s in (*reversed(near), *far) if not _apart(load, s)]


def _apart(a: Access, b: Access) -> bool:
    """Whether a subscript differs however often the loops have run, by the test of divisors.

    Multiples of the coefficients have their greatest divisor: constants that differ by no
    multiple of it are never made equal.
    """
    assert a.index is not None
    assert b.index is not None
    for x, y in zip(a.index, b.index, strict=True):
        divisor = gcd(*(c for _, c in x.terms), *(c for _, c in y.terms))
        if x.const != y.const and (divisor == 0 or (x.const - y.const) % divisor):
            return True
    return False


def _before(store: Access, load: Access) -> str:
    """The formula: the store's iteration comes before the load's."""
    common = 0
    while (
        common < min(len(store.loops), len(load.loops))
        and store.loops[common] is load.loops[common]
    ):
        common += 1
    cases = []
    for k in range(common):
        cases.append(" and ".join([*(f"s{x} = l{x}" for x in range(k)), f"s{k} < l{k}"]))
    if store.position < load.position:
        cases.append(" and ".join(f"s{x} = l{x}" for x in range(common)) or "true")
    return "(" + " or ".join(f"({c})" for c in cases or ["false"]) + ")"


def _mask(op: Op, masks: dict[Op, tuple[For, ...]]) -> Block | None:
    """A load that gives zero while the steady counters are at their lower bounds."""
    if op not in masks or not isinstance(op, Load):
        return None
    if not masks[op]:
        return (Constant(result=op.result, value=0, loc=op.loc),)
    raw, zero = (Value(op.result.type, op.result.name) for _ in range(2))
    out: list[Op] = [replace(op, result=raw), Constant(result=zero, value=0, loc=op.loc)]
    first: Value | None = None
    for loop in masks[op]:
        bit = _at_start(loop, out)
        if first is not None:
            both = Value(UInt(1))
            out.append(Binary(kind=BinaryKind.AND, result=both, lhs=first, rhs=bit))
            bit = both
        first = bit
    assert first is not None
    out.append(Select(
        result=op.result, condition=first, if_true=zero, if_false=raw, loc=op.loc
    ))
    return tuple(out)


def _at_start(loop: For, out: list[Op]) -> Value:
    here, low, bit = Value(Index()), Value(Index()), Value(UInt(1), f"{loop.name}_first")
    out.append(Apply(result=here, expr=AffineExpr.of(loop.iv), loc=loop.loc))
    out.append(Apply(result=low, expr=loop.lower[0], loc=loop.loc))
    out.append(Compare(predicate=Predicate.EQ, result=bit, lhs=here, rhs=low, loc=loop.loc))
    return bit
