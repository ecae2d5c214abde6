"""The primitive that adds up in another order: partial_sums.

A sum over a loop becomes several sums that do not wait for one another, and a balanced tree that
adds them.  The new order is written down in the loop IR, so that all builds round alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from allo_rtl.errors import IllegalScheduleError, ScheduleError, SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, accesses, before, conflict
from allo_rtl.ir.ops import (
    Alloc,
    Binary,
    BinaryKind,
    Block,
    Cast,
    For,
    Load,
    Module,
    Op,
    Store,
    Value,
)
from allo_rtl.ir.reductions import INEXACT, reductions
from allo_rtl.ir.rewrite import map_block, replace_func, walk
from allo_rtl.ir.types import ArrayType, IntegerType, ScalarType, Type
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.legality import Note, collision, numbers_outside
from allo_rtl.schedule.loop_transforms import apply_split, is_count
from allo_rtl.schedule.loops import Place, find_loop, fresh_array_name

_FROM_ZERO = (BinaryKind.ADD, BinaryKind.SUB, BinaryKind.OR, BinaryKind.XOR)
"""Operations whose partial results may start with zero."""


@dataclass(frozen=True, eq=False)
class Accumulation:
    """``A[x] = A[x] op term``, the same cell in every iteration of a loop.

    Attributes:
        ops: all its operations, from the load to the store.
        binary: the one that takes the term.
        term: its value.
        kind: what :func:`allo_rtl.ir.reductions.reductions` calls it.
    """

    ops: tuple[Op, ...]
    binary: Binary
    term: Value
    kind: str

    @property
    def array(self) -> Value:
        """What it adds up in."""
        store = self.ops[-1]
        assert isinstance(store, Store)
        return store.array


def check_partial_sums(
    module: Module, place: Place, count: object, reassociate: bool, primitive: str
) -> tuple[Accumulation, ...]:
    """The accumulations of the loop.

    Raises:
        ScheduleError: there are none, or the loop or the count does not fit.
        IllegalScheduleError: a floating-point sum whose order was not declared free.
    """
    loop, trips = place.loop, place.loop.trip_count
    alone = is_count(count) and count == 1
    if not alone and (trips is None or trips < 2 or loop.constant_bounds is None):
        has = "bounds that vary" if trips is None else f"{trips} iterations"
        raise ScheduleError(
            f"{primitive}: loop {loop.name!r} has {has}", loc=loop.loc,
            allowed="a loop of two iterations or more, with constant bounds",
            hint="partial_sums(axis, count) splits a loop by any count itself",
        )  # fmt: skip
    if not is_count(count) or not (alone or count == 0 or 2 <= count <= (trips or 0)):
        raise ScheduleError(
            f"{primitive}: {count!r} partial sums of {trips} iterations", loc=loop.loc,
            allowed=f"a number from 1 to {trips}, or 0 for one of each iteration",
        )  # fmt: skip
    if loop.attrs.unroll is not None or loop.attrs.pipeline_ii is not None:
        raise ScheduleError(
            f"{primitive}: loop {loop.name!r} is unrolled or pipelined already", loc=loop.loc,
            hint="call partial_sums before",
        )  # fmt: skip
    found = _accumulations(module, place)
    _check_found(module, place, found, alone or count not in (0, trips), reassociate, primitive)
    return found


def _check_found(
    module: Module, place: Place, found: Sequence[Accumulation], rounds: bool, reassociate: bool,
    primitive: str,
) -> None:  # fmt: skip
    loop = place.loop
    if not found:
        raise ScheduleError(
            f"{primitive}: loop {loop.name!r} does not sum up in one place", loc=loop.loc,
            notes=_what_it_does(module, place),
            allowed="accumulations (A[x] += e) that stand in the loop itself, with no condition, "
            "x the same in all of its iterations, and A used nowhere else in it",
        )  # fmt: skip
    for sum_ in found:
        if rounds and sum_.binary.kind not in _FROM_ZERO:
            raise ScheduleError(
                f"{primitive}: partial results of a {sum_.kind} cannot start with zero",
                loc=sum_.binary.loc, hint="leave the count out: one of each iteration",
            )  # fmt: skip
        if sum_.kind in INEXACT and not (reassociate or loop.attrs.reduction):
            raise IllegalScheduleError(
                f"{primitive} would change what the kernel computes: it is a {sum_.kind}, which "
                "rounds after each step",
                loc=sum_.binary.loc,
                notes=_two_steps(module, place, sum_),
                hint="declare the loop with allo.reduction, or say reassociate=True, if another "
                "order is as good",
            )


def _two_steps(module: Module, place: Place, sum_: Accumulation) -> list[Note]:
    """Two iterations that add to one cell, one after the other."""
    numbers = numbers_outside(place.func.body, place.nest[0])
    found: dict[Op, Access] = {a.op: a for a in accesses((place.nest[0],), module, numbers)}
    store, load = found[sum_.ops[-1]], found[sum_.ops[0]]
    hit = conflict(store, load, [place.loop], before)
    return [] if hit is None else collision(store, load, hit, [place.loop], [place.loop])


def _what_it_does(module: Module, place: Place) -> list[Note]:
    """Why each store in a loop is no sum of it."""
    known = aliases(module, place.func)
    kinds = reductions(replace(place.func, body=(place.nest[0],)), known.root, known.apart)
    body = place.loop.body
    inside = {v for op in walk(body) for v in op.results()} | {place.loop.iv}
    notes: list[Note] = []
    for op in (op for op in walk(body) if isinstance(op, Store)):
        cell = f"{op.array.name}[{', '.join(map(str, op.index))}]" if op.index else op.array.name
        if op not in kinds:
            why = f"{cell} gets a value that is no sum with what it had"
        elif op not in body:
            why = f"{cell} is added to in a loop inside, or under a condition"
        elif any(v in inside for e in op.index for v in e.values):
            why = f"{cell} is another cell in each iteration"
        else:
            why = f"{cell} is used in the loop in another way too"
        notes.append((why, op.loc))
    return notes


def reordered(
    sums: Sequence[Accumulation], reassociate: bool, primitive: str
) -> tuple[str, ...]:
    """What the user should know: the floating-point sums that round in another order now."""
    why = "reassociate=True" if reassociate else "its loop is declared with allo.reduction"
    return tuple(
        f"{primitive}: the {s.kind} at {s.binary.loc.short if s.binary.loc else 'an unknown place'}"
        f" is added up in another order ({why})"
        for s in sums
        if s.kind in INEXACT
    )


def _accumulations(module: Module, place: Place) -> tuple[Accumulation, ...]:
    """The loop's own accumulations; none when something else uses one of their arrays."""
    known = aliases(module, place.func)
    kinds = reductions(replace(place.func, body=(place.nest[0],)), known.root, known.apart)
    body = place.loop.body
    inside = {v for op in walk(body) for v in op.results()} | {place.loop.iv}
    found = tuple(
        _accumulation(body, op, kinds[op])
        for op in body
        if isinstance(op, Store) and op in kinds
        and not any(v in inside for e in op.index for v in e.values)
    )  # fmt: skip
    own = {op for sum_ in found for op in sum_.ops}
    arrays = {known.root(sum_.array) for sum_ in found}
    others = (v for op in walk(body) if op not in own for v in op.operands())
    used = any(known.root(v) in arrays for v in others if isinstance(v.type, ArrayType))
    return () if used or len(arrays) < len(found) else found


def _accumulation(body: Block, store: Store, kind: str) -> Accumulation:
    define = {v: op for op in body for v in op.results()}
    ops: list[Op] = [store]
    value = store.value
    while isinstance(cast := define[value], Cast):
        ops.append(cast)
        value = cast.operand
    binary = define[value]
    assert isinstance(binary, Binary)
    for old, term in ((binary.lhs, binary.rhs), (binary.rhs, binary.lhs)):
        way: list[Op] = []
        at = define.get(old)
        while isinstance(at, Cast):
            way.append(at)
            at = define.get(at.operand)
        if isinstance(at, Load) and at.array is store.array and at.index == store.index:
            ops = [*ops, binary, *way, at]
            return Accumulation(tuple(reversed(ops)), binary, term, kind)
    raise AssertionError(f"no load of {store.array.name!r}")


def apply_partial_sums(
    module: Module, place: Place, count: int, sums: Sequence[Accumulation]
) -> tuple[Module, tuple[str, ...]]:
    """The module with partial sums, and the names of the loops it is now."""
    trips = place.loop.trip_count
    names: tuple[str, ...] = (place.loop.name,)
    outer = inner = place.loop
    if count not in (0, 1, trips):
        module, names = apply_split(module, place, count)
        outer = find_loop(module, replace(place.handle, loop=names[0])).loop
        place = find_loop(module, replace(place.handle, loop=names[1]))
        inner = place.loop
        sums = _accumulations(module, place)
    shape = () if count == 1 else (inner.trip_count or count,)
    taken = place.func
    parts: list[Value] = []
    for sum_ in sums:
        name = fresh_array_name(taken, f"{sum_.array.name or 'sum'}_partial")
        parts.append(Value(ArrayType(_part_type(sum_), shape), name))
        taken = replace(taken, body=(*taken.body, Alloc(result=parts[-1])))
    new = _rewritten(outer, inner, list(zip(sums, parts, strict=True)))
    func = module.func(place.func.name)
    body = map_block(func.body, lambda op: new if op is outer else None)
    return replace_func(module, replace(func, body=body)), names


def _part_type(sum_: Accumulation) -> ScalarType:
    """Of integers the bits that the sum keeps: what overflows of parts does in the sum too."""
    scalar, kept = sum_.binary.result.type, sum_.array.array.element
    assert isinstance(scalar, ScalarType)
    if isinstance(scalar, IntegerType) and isinstance(kept, IntegerType):
        return kept if sum_.binary.kind in _FROM_ZERO and kept.width <= scalar.width else scalar
    return scalar


def _as_type(value: Value, type_: Type, ops: list[Op], loc: SourceLoc | None) -> Value:
    """The value in another type."""
    if value.type == type_:
        return value
    result = Value(type_)
    ops.append(Cast(result=result, operand=value, loc=loc))
    return result


type _Parts = Sequence[tuple[Accumulation, Value]]


def _rewritten(outer: For, inner: For, parts: _Parts) -> Block:
    """The partial sums' arrays, the loop that fills them, and the trees."""
    place = (AffineExpr.of(inner.iv) - inner.lower[0]).floordiv(inner.step)
    again = outer is not inner or not parts[0][1].array.rank
    body: list[Op] = []
    moved = {op: (sum_, part) for sum_, part in parts for op in sum_.ops}
    for op in inner.body:
        if op not in moved:
            body.append(op)
        elif op is moved[op][0].binary:
            rank = moved[op][1].array.rank
            body += _partial(*moved[op], (place,)[:rank], again)
    filled = replace(inner, body=tuple(body))
    loop = replace(outer, body=(filled,)) if outer is not inner else filled
    allocs = tuple(Alloc(result=part, loc=inner.loc) for _, part in parts)
    trees = tuple(op for sum_, part in parts for op in _tree(sum_, part))
    return (*allocs, loop, *trees)


def _partial(
    sum_: Accumulation, part: Value, index: tuple[AffineExpr, ...], again: bool
) -> list[Op]:
    """What an iteration does with its partial sum: set it, or where it comes again add to it."""
    loc, type_, kept = sum_.binary.loc, sum_.binary.result.type, part.array.element
    ops: list[Op] = []
    value = sum_.term
    if again:
        old, value = Value(kept), Value(type_)
        ops.append(Load(result=old, array=part, index=index, loc=loc))
        old = _as_type(old, type_, ops, loc)
        kind = _tree_kind(sum_)
        ops.append(Binary(kind=kind, result=value, lhs=old, rhs=sum_.term, loc=loc))
    value = _as_type(value, kept, ops, loc)
    return [*ops, Store(value=value, array=part, index=index, loc=loc)]


def _tree_kind(sum_: Accumulation) -> BinaryKind:
    """Terms that are taken away are summed up first."""
    kind = sum_.binary.kind
    return BinaryKind.ADD if kind is BinaryKind.SUB else kind


def _tree(sum_: Accumulation, part: Value) -> list[Op]:
    """Add the partial sums up in pairs, and the total to the cell."""
    loc, type_ = sum_.binary.loc, sum_.binary.result.type
    ops: list[Op] = []
    rank = part.array.rank
    values: list[Value] = []
    for k in range(prod(part.array.shape)):
        at, value = (AffineExpr.constant(k),)[:rank], Value(part.array.element)
        ops.append(Load(result=value, array=part, index=at, loc=loc))
        values.append(_as_type(value, type_, ops, loc))
    while len(values) > 1:
        pairs = [tuple(values[k : k + 2]) for k in range(0, len(values), 2)]
        values = []
        for pair in pairs:
            values.append(pair[0] if len(pair) == 1 else Value(type_))
            if len(pair) == 2:
                ops.append(Binary(
                    kind=_tree_kind(sum_), result=values[-1], lhs=pair[0], rhs=pair[1], loc=loc
                ))  # fmt: skip
    total = values[0]
    for op in sum_.ops:
        if op is sum_.binary:
            left = total if op.lhs is sum_.term else op.lhs
            right = total if op.rhs is sum_.term else op.rhs
            op = replace(op, lhs=left, rhs=right)
        ops.append(op)
    return ops
