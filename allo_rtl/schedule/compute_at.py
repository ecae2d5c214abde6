"""The primitive that computes a producer where its consumer needs it: compute_at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, accesses, before, conflict, meeting
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Block,
    Compare,
    Constant,
    For,
    Func,
    If,
    Load,
    Module,
    Op,
    Predicate,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.rewrite import map_block, replace_func, substitute, walk
from allo_rtl.ir.stream_ops import STREAM_OPS
from allo_rtl.ir.types import ArrayType, bool_, index
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.independent import of_two_in_turn
from allo_rtl.schedule.legality import (
    Violation,
    collision,
    illegal,
    numbers_outside,
    printing,
)
from allo_rtl.schedule.loops import Place, fresh_name, replace_counter
from allo_rtl.schedule.overlap import BETWEEN
from allo_rtl.schedule.shared import check_shared


def check_compute_at(module: Module, producer: Place, consumer: Place, primitive: str) -> None:
    """Raise unless the producer's iterations can move into the consumer's.

    Raises:
        ScheduleError: the loops do not match one for one, or the bands do not follow each other.
        IllegalScheduleError: an iteration of the consumer, or something between the two bands,
            would run before a result it needs.
    """
    _check_apart(producer, consumer, primitive)
    producer, consumer = _below(producer, consumer)
    _check_shape(producer, consumer, primitive)
    _check_between(module, producer, consumer, primitive)
    fused = _fused(module, producer, consumer)
    _check_order(module, producer, consumer, fused, primitive)


def _common(producer: Place, consumer: Place) -> int:
    """How many loops are around both."""
    pairs = zip(producer.nest, consumer.nest, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))


def _below(producer: Place, consumer: Place) -> tuple[Place, Place]:
    """Both without the loops that they have in common.

    An iteration of these does what it did before, in another order; what passes from one of their
    iterations to another stays as it is.
    """
    k = _common(producer, consumer)
    return replace(producer, nest=producer.nest[k:]), replace(consumer, nest=consumer.nest[k:])


def _block_of(place: Place) -> Block:
    """The block that the outermost loop of a place stands in."""
    return next(b for b in _blocks(place.func.body) if place.nest[0] in b)


def _check_shape(producer: Place, consumer: Place, primitive: str) -> None:
    _check_not_overlapped(producer, primitive)
    for place, what in ((producer, "producer"), (consumer, "consumer")):
        for outer, inner in zip(place.nest, place.nest[1:], strict=False):
            if outer.body != (inner,):
                raise ScheduleError(
                    f"{primitive}: something stands beside loop {inner.name!r} of the {what}",
                    loc=inner.loc,
                    allowed="loops that are nested perfectly down to the one named",
                )
    if len(producer.nest) != len(consumer.nest):
        raise ScheduleError(
            f"{primitive}: loop {producer.loop.name!r} is at depth {len(producer.nest)} and loop "
            f"{consumer.loop.name!r} at depth {len(consumer.nest)}",
            loc=consumer.loop.loc,
            allowed="loops at the same depth",
        )
    twins: dict[Value, AffineExpr] = {}
    for a, b in zip(producer.nest, consumer.nest, strict=True):
        if not _same_bounds(a, b, twins):
            _check_bounds(a, b, primitive)
        twins[a.iv] = AffineExpr.of(b.iv)


def _check_apart(producer: Place, consumer: Place, primitive: str) -> None:
    """Refuse loops of two functions, and a loop with one that is inside it."""
    a, b = producer.loop, consumer.loop
    if producer.func is not consumer.func:
        found = f"is in {producer.func.name} and loop {b.name!r} in {consumer.func.name}"
    elif a is b:
        found = "is given twice"
    elif a in consumer.nest or b in producer.nest:
        inner, outer = (b, a) if a in consumer.nest else (a, b)
        found = f"and loop {b.name!r}: loop {inner.name!r} is inside loop {outer.name!r}"
    else:
        return
    raise ScheduleError(
        f"{primitive}: loop {a.name!r} {found}",
        loc=a.loc,
        allowed="two loops of one function, or of one loop of it, the producer before the "
        "consumer",
    )


def _check_not_overlapped(producer: Place, primitive: str) -> None:
    """Refuse a loop that runs at the same time as another one: it would no longer."""
    band, body = producer.nest[0], _block_of(producer)
    rest = iter(body[body.index(band) + 1 :])
    following = next((op for op in rest if not isinstance(op, BETWEEN)), None)
    for loop, moved in ((band, "it"), (following, "that one")):
        if isinstance(loop, For) and loop.attrs.overlap:
            raise ScheduleError(
                f"{primitive}: loop {loop.name!r} runs at the same time as the one before it "
                f"(overlap), and {moved} would move away",
                loc=loop.loc, hint="compute_at first, then overlap what is left",
            )  # fmt: skip


def _same_bounds(a: For, b: For, twins: Mapping[Value, AffineExpr]) -> bool:
    """Whether two loops count alike when those around them do, ``twins`` of each other."""
    mine = [[e.substitute(twins.get) for e in bounds] for bounds in (a.lower, a.upper)]
    return a.step == b.step and mine == [list(b.lower), list(b.upper)]


def _check_bounds(a: For, b: For, primitive: str) -> None:
    mine, other = a.constant_bounds, b.constant_bounds
    open_ends = [loop for loop in (a, b) if loop.constant_bounds is None]
    if mine is None or other is None:
        names = " and ".join(repr(loop.name) for loop in open_ends)
        raise ScheduleError(
            f"{primitive} needs constant bounds or the same ones, and those of "
            f"loop{'s' * (len(open_ends) > 1)} {names} are not",
            loc=open_ends[0].loc,
            allowed="loops such as range(8)",
        )
    if mine[0] != other[0] or a.step != b.step or mine[1] > other[1]:
        raise ScheduleError(
            f"{primitive}: loop {a.name!r} runs over {_range(a)}, and loop {b.name!r} over "
            f"{_range(b)}: iterations of the producer would have no place",
            loc=b.loc,
            allowed="a consumer that runs at least as far, from the same start in the same steps",
        )


def _range(loop: For) -> str:
    bounds = loop.constant_bounds
    assert bounds is not None
    return f"range({bounds[0]}, {bounds[1]}, {loop.step})"


def _check_between(module: Module, producer: Place, consumer: Place, primitive: str) -> None:
    """What stands between the bands must not touch what the producer writes, or write what it
    reads."""
    body = _block_of(producer)
    top = [op for op in body if op in (producer.nest[0], consumer.nest[0])]
    if top != [producer.nest[0], consumer.nest[0]]:
        raise ScheduleError(
            f"{primitive}: the nest of loop {producer.loop.name!r} must stand before that of loop "
            f"{consumer.loop.name!r}, both in one block",
            loc=producer.loop.loc,
            hint="compute_at(producer, consumer): the producer comes first in the text",
        )
    first, last = body.index(producer.nest[0]), body.index(consumer.nest[0])
    known = aliases(module, producer.func)
    numbers = numbers_outside(body, producer.nest[0])
    moved = [known.access(a) for a in accesses((producer.nest[0],), module, numbers)]
    for other in map(known.access, accesses(body[first + 1 : last], module, numbers)):
        for one in moved:
            if one.array is other.array and (one.is_store or other.is_store):
                _refuse_past(one, other, producer, primitive)


def _refuse_past(one: Access, other: Access, producer: Place, primitive: str) -> None:
    if (hit := meeting(one, other)) is not None:
        raise IllegalScheduleError(
            f"{primitive} would move loop {producer.loop.name!r} past this use of "
            f"{other.array.name!r}",
            loc=other.op.loc,
            notes=collision(one, other, hit, one.loops, other.loops),
        )


def _check_order(
    module: Module, producer: Place, consumer: Place, fused: For, primitive: str
) -> None:
    """No iteration of the consumer may use what a later iteration of the producer makes."""
    if (line := printing(module, (producer.nest[0],))) is not None:
        raise IllegalScheduleError(
            f"{primitive}: loop {producer.loop.name!r} prints lines, which would come later",
            loc=line.loc,
        )
    _check_streams(module, producer, consumer, primitive)
    known = aliases(module, producer.func)
    nest = _spine(fused, len(consumer.nest))
    made = _moved_ops(fused, len(nest))
    inside = set(walk((fused,)))
    band = _with_fused(producer, consumer, fused)
    found = [known.access(a) for a in accesses(band, module) if a.op in inside]
    for source in (a for a in found if a.op in made):
        for sink in (a for a in found if a.op not in made):
            if source.array is sink.array and (source.is_store or sink.is_store):
                _refuse_early(source, sink, nest, primitive)


def _check_streams(
    module: Module, producer: Place, consumer: Place, primitive: str
) -> None:
    """In another order what is done with several streams may come to wait for itself."""
    body = _block_of(producer)
    first, last = body.index(producer.nest[0]), body.index(consumer.nest[0])
    one, other = (
        next((op for op in walk(block) if isinstance(op, STREAM_OPS)), None)
        for block in (producer.nest[0].body, body[first + 1 : last + 1])
    )
    moved = accesses((producer.nest[0],), module)
    arrays = list(dict.fromkeys(a.array for a in moved if isinstance(a.array.type, ArrayType)))
    check_shared(module, producer.func, arrays, body[first + 1 : last + 1], primitive)
    if one is not None and other is not None:
        raise IllegalScheduleError(
            f"{primitive}: both loops use streams, whose order is the order of the text",
            loc=producer.loop.loc,
            notes=[("this would come later", one.loc), ("than this", other.loc)],
        )


def _refuse_early(source: Access, sink: Access, nest: Sequence[For], primitive: str) -> None:
    def early(s: Sequence[str], d: Sequence[str]) -> str:
        return before(d, s)

    if (hit := conflict(source, sink, nest, early)) is not None:
        raise illegal(
            primitive,
            "iteration {sink} of the consumer would run before iteration {source} of the producer, "
            "which it must follow",
            Violation(source, sink, hit, tuple(nest)),
        )


def _with_fused(producer: Place, consumer: Place, fused: For) -> Block:
    """The band of the two with the fused loop in their place: the loops around say more of it."""
    old = producer.nest[0], consumer.nest[0]
    (band,) = (op for op in producer.func.body if old[1] in walk((op,)))

    def visit(op: Op) -> Op | Block | None:
        return () if op is old[0] else fused if op is old[1] else None

    return map_block((band,), visit)


def _moved_ops(fused: For, depth: int) -> set[Op]:
    """The operations of the producer in the fused nest: what its first statement is."""
    inner = _spine(fused, depth)[-1]
    marker = next(k for k, op in enumerate(inner.body) if isinstance(op, _End))
    return set(walk(inner.body[:marker]))


def _spine(fused: For, depth: int) -> tuple[For, ...]:
    """The loops that producer and consumer share."""
    return tuple(all_loops((fused,)))[:depth]


class _End(Constant):
    """Stands between the producer's and the consumer's statements until both are checked."""


def _fused(module: Module, producer: Place, consumer: Place) -> For:
    """The consumer's band with the producer's statements first in its loop."""
    body = producer.loop.body
    names = {loop.name for loop in all_loops((consumer.nest[0],))}
    body = map_block(body, lambda op: _renamed(op, names, consumer))
    guards = []
    for a, b in zip(producer.nest, consumer.nest, strict=True):
        body = replace_counter(body, a.iv, AffineExpr.of(b.iv))
        bounds, outer = a.constant_bounds, b.constant_bounds
        if bounds is not None and outer is not None and bounds[1] < outer[1]:
            guards.append((b.iv, bounds[1]))
    for iv, end in guards:
        body = _guarded(iv, end, body)
    end_mark = _End(result=Value(index), value=0)
    inside: Block = (*body, end_mark, *consumer.loop.body)
    assumed = of_two_in_turn(module, producer.func, producer.nest[0], consumer.nest[0])
    for mine, loop in reversed(list(zip(producer.nest, consumer.nest, strict=True))):
        inside = (replace(loop, body=inside, independent=assumed(mine, loop)),)
    new = inside[0]
    assert isinstance(new, For)
    return new


def _renamed(op: Op, names: set[str], consumer: Place) -> Op | None:
    if not isinstance(op, For):
        return None
    name = fresh_name(consumer.nest[0], op.name) if op.name in names else op.name
    return replace(op, name=name, attrs=replace(op.attrs, band=""))


def _guarded(iv: Value, end: int, body: Block) -> Block:
    """The block for iterations before ``end`` only."""
    limit, runs, at = Value(index), Value(bool_), Value(index)
    return (
        Apply(result=at, expr=AffineExpr.of(iv)),
        Constant(result=limit, value=end),
        Compare(predicate=Predicate.LT, result=runs, lhs=at, rhs=limit),
        If(condition=runs, then=body),
    )


def apply_compute_at(module: Module, producer: Place, consumer: Place) -> Module:
    """The module with the producer in the consumer; an array that only passed the values on is
    gone."""
    producer, consumer = _below(producer, consumer)
    fused = _fused(module, producer, consumer)
    (clean,) = map_block((fused,), lambda op: () if isinstance(op, _End) else None)

    def visit(op: Op) -> Op | Block | None:
        if op is producer.nest[0]:
            return ()
        return clean if op is consumer.nest[0] else None

    func = replace(producer.func, body=map_block(producer.func.body, visit))
    return replace_func(module, _forwarded(func, producer.nest[0]))


def _forwarded(func: Func, made_by: For) -> Func:
    """Arrays that only pass values on from one statement of the producer, removed.

    Such an array is stored to by one operation, and every load of it follows in the same block
    and names the same element.
    """
    written = {op.array for op in walk((made_by,)) if isinstance(op, Store)}
    local = {op.result for op in walk(func.body) if isinstance(op, Alloc)} - set(func.returned)
    mapping: dict[Value, Value | AffineExpr] = {}
    gone = set()
    for array in written & local:
        if (loads := _forwards(func, array)) is not None:
            gone.add(array)
            mapping |= loads

    def visit(op: Op) -> Op | Block | None:
        if isinstance(op, Load | Store) and op.array in gone:
            return ()
        if isinstance(op, For) and gone & set(op.independent):
            return replace(op, independent=tuple(v for v in op.independent if v not in gone))
        return () if isinstance(op, Alloc) and op.result in gone else None

    while any(v in mapping for v in mapping.values()):
        mapping = {k: mapping.get(v, v) if isinstance(v, Value) else v for k, v in mapping.items()}
    return replace(func, body=substitute(map_block(func.body, visit), mapping))


def _forwards(func: Func, array: Value) -> dict[Value, Value] | None:
    """What each load of the array gives, or None when it is more than a wire."""
    uses = [op for op in walk(func.body) if array in op.operands() and not isinstance(op, For)]
    stores = [op for op in uses if isinstance(op, Store)]
    if len(stores) != 1 or not all(isinstance(op, Load | Store) for op in uses):
        return None
    (store,) = stores
    block = next(b for b in _blocks(func.body) if store in b)
    after = block[block.index(store) + 1 :]
    loads = [op for op in uses if isinstance(op, Load)]
    if not all(op in after and op.index == store.index for op in loads):
        return None
    return {op.result: store.value for op in loads}


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for op in block:
        for region in op.regions():
            yield from _blocks(region)
