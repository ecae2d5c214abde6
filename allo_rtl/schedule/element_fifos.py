"""The second form of to: what processing elements hand on to each other goes through FIFOs.

:mod:`allo_rtl.schedule.unfold` makes the elements.  An array that they hand on is

    one that the kernel makes for that      its subscripts say between which elements, as in
                                            ``F[i, j + 1, k]``: a FIFO for each of these places
    one that all along an axis read alike   the first of them reads it, each gives the next what
                                            it has taken
    one that all along an axis add to       the first of them reads it, the last stores to it, and
                                            what is summed goes from each to the next

What comes out is a sequential program still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Alloc, Block, For, Func, Load, Module, Op, Store, SubView, Value
from allo_rtl.ir.rewrite import bind, clone, map_block, replace_func, substitute, walk
from allo_rtl.ir.simplify import decided
from allo_rtl.ir.types import ArrayType
from allo_rtl.schedule.element_checks import (
    Handed,
    check_alike,
    check_parts,
    check_rows,
    handed_on,
)
from allo_rtl.schedule.loop_transforms import is_count
from allo_rtl.schedule.loops import fresh_array_name
from allo_rtl.schedule.unfold import ElementAxis


def find_axis(dst: object, axis: object, said: str) -> ElementAxis:
    """The axis of elements that ``axis`` says, by its number or its loop's name.

    Raises:
        ScheduleError: ``dst`` is not what unfold returned, or there is no such axis.
    """
    axes = list(dst) if isinstance(dst, list | tuple) else []
    if not axes or not all(isinstance(a, ElementAxis) for a in axes):
        raise ScheduleError(f"{said}: the elements are {dst!r}", allowed="what unfold returned")
    for number, found in enumerate(axes):
        if axis in (number, found.loop):
            assert isinstance(found, ElementAxis)
            return found
    raise ScheduleError(
        f"{said}: there is no axis {axis!r}",
        allowed=", ".join(f"{n} or {a.loop!r}" for n, a in enumerate(axes)),
    )


def apply_hand_on(
    module: Module, func: Func, array: Value, axis: ElementAxis, depth: object, said: str
) -> Module:
    """The module with FIFOs between the elements along an axis for what an array holds.

    Raises:
        ScheduleError: the array is not used as that needs.
        IllegalScheduleError: neighbours use different elements, or store otherwise than to a word
            that they have read.
    """
    if depth != -1 and not (is_count(depth) and depth >= 1):
        raise ScheduleError(
            f"{said}: the depth is {depth!r}",
            allowed="a number of elements, 1 or more; -1 for as many as go through",
        )
    assert isinstance(depth, int)
    if func.name != axis.func:
        raise ScheduleError(
            f"{said}: the array is of {func.name}, the elements are of {axis.func}",
            loc=func.loc,
            allowed=f"an array of {axis.func}",
        )
    made = any(isinstance(op, Alloc) and op.result is array for op in func.body)
    own = _places_between(func, array, axis) if made else None
    if own is not None:
        new = _split(func, array, own, depth, said)
    else:
        new = _passed(module, func, array, axis, depth, said)
    return replace_func(module, replace(new, tasks=True))


# An array of the kernel's own between elements


type _Place = tuple[AffineExpr | None, ...]
"""Where something uses an array; None along a dimension of which a view has more than a place."""


def _uses(block: Block, array: Value) -> Iterator[tuple[Op, _Place]]:
    """What uses an array, and where."""
    for op in walk(block):
        if isinstance(op, Load | Store) and op.array is array:
            yield op, op.index
        elif isinstance(op, SubView) and op.source is array:
            places = zip(op.offsets, op.sizes, strict=True)
            yield op, tuple(o if size is None else None for o, size in places)


def _places_between(func: Func, array: Value, axis: ElementAxis) -> tuple[int, ...] | None:
    """The dimensions that say between which elements, None when there are none.

    They have one place more along the axis than there are elements, or as many elements as along
    another axis, and the elements use them at constants, which change along the axis.
    """
    bands = {op.attrs.band: op for op in func.body if isinstance(op, For)}
    rows: dict[tuple[int, ...], set[_Place]] = {}
    for at in product(*map(range, axis.extents)):
        element = bands.get(axis.element(at))
        row = rows.setdefault((*at[: axis.position], *at[axis.position + 1 :]), set())
        row |= {place for _, place in _uses(element.body if element else (), array)}
    found = set[_Place]().union(*rows.values())
    if len(found) <= axis.extents[axis.position]:
        return None
    columns = list(zip(*found, strict=True))
    dims = tuple(d for d, at in enumerate(columns) if all(e and e.is_constant for e in at))
    changes = any(len({place[d] for place in row}) > 1 for row in rows.values() for d in dims)
    return dims if changes else None


def _split(func: Func, array: Value, dims: tuple[int, ...], depth: int, said: str) -> Func:
    """An array as one for each constant along ``dims``, each of them a FIFO."""
    func = replace(func, body=decided(_unrolled(func, array, dims)))
    check_parts(func, array, dims, said)
    type_ = array.array
    rest = tuple(n for d, n in enumerate(type_.shape) if d not in dims)
    parts: dict[tuple[int, ...], Value] = {}
    for at in product(*(range(type_.shape[d]) for d in dims)):
        name = "_".join([array.name, *map(str, at)])
        parts[at] = Value(ArrayType(type_.element, rest), name)
    used = _read_parts(func, array, dims)
    aliases: dict[Value, Value] = {}

    def visit(op: Op) -> Op | Block | None:
        match op:
            case Alloc() if op.result is array:
                size = prod(rest) if depth == -1 else depth
                return tuple(
                    replace(op, result=part, fifo=size) for at, part in parts.items() if at in used
                )
            case Load() | Store() if op.array is array:
                place = tuple(op.index[d].const for d in dims)
                if place not in used:
                    return ()
                inner = tuple(e for d, e in enumerate(op.index) if d not in dims)
                return replace(op, array=parts[place], index=inner)
            case SubView() if op.source is array:
                return _part_of(op, parts, dims, aliases)
        return None

    return replace(func, body=substitute(map_block(func.body, visit), aliases))


def _read_parts(func: Func, array: Value, dims: tuple[int, ...]) -> set[tuple[int, ...]]:
    """The parts that are not only stored to: nobody takes what the last element gives."""
    found: set[tuple[int, ...]] = set()
    for op in walk(func.body):
        match op:
            case Load() if op.array is array:
                found.add(tuple(op.index[d].const for d in dims))
            case SubView() if op.source is array:
                found.add(tuple(op.offsets[d].const for d in dims))
    return found


def _part_of(
    op: SubView,
    parts: Mapping[tuple[int, ...], Value],
    dims: tuple[int, ...],
    aliases: dict[Value, Value],
) -> Op | Block:
    """A view of the array as the part that it is, or a view of that."""
    part = parts[tuple(op.offsets[d].const for d in dims)]
    kept = [d for d in range(len(op.offsets)) if d not in dims]
    whole = all(
        op.offsets[d] == AffineExpr.constant(0) and op.sizes[d] == n and op.steps[d] == 1
        for d, n in zip(kept, part.array.shape, strict=True)
    )
    if whole and all(op.sizes[d] is None for d in dims):
        aliases[op.result] = part
        return ()
    return replace(
        op, source=part, offsets=tuple(op.offsets[d] for d in kept),
        sizes=tuple(op.sizes[d] for d in kept), steps=tuple(op.steps[d] for d in kept),
    )  # fmt: skip


def _unrolled(func: Func, array: Value, dims: Sequence[int]) -> Block:
    """The function's body with the loops unrolled that count along these dimensions."""
    places = [at[d] for _, at in _uses(func.body, array) for d in dims]
    counters = {v for e in places if e is not None for v in e.values}

    def visit(op: Op) -> Block | None:
        if not isinstance(op, For) or op.iv not in counters:
            return None
        bounds = op.constant_bounds
        if bounds is None:
            raise ScheduleError(
                f"loop {op.name!r} says by its counter between which elements {array.name!r} is "
                "used, and has bounds that are not constant", loc=op.loc,
                allowed="loops such as range(8)",
            )  # fmt: skip
        copies = (
            bind(clone(op.body), op.iv, AffineExpr.constant(n)) for n in range(*bounds, op.step)
        )
        return tuple(x for copy in copies for x in copy)

    return map_block(map_block(func.body, lambda op: _pipeline_of(op, counters)), visit)


def _pipeline_of(op: Op, counters: set[Value]) -> For | None:
    """A loop around one that is unrolled, with the pipeline which that one had."""
    inner = op.body[0] if isinstance(op, For) and len(op.body) == 1 else None
    if not isinstance(op, For) or not isinstance(inner, For) or inner.iv not in counters:
        return None
    if inner.attrs.pipeline_ii is None:
        return None
    plain = replace(inner.attrs, pipeline_ii=None, ii_required=False, rewind=False)
    attrs = replace(op.attrs, pipeline_ii=1, rewind=inner.attrs.rewind)
    return replace(op, attrs=attrs, body=(replace(inner, attrs=plain),))


# An array that the elements along an axis use alike


def _passed(
    module: Module, func: Func, array: Value, axis: ElementAxis, depth: int, said: str
) -> Func:
    """Elements that take the words of an array from the one before along the axis."""
    bands = {op.attrs.band: op for op in func.body if isinstance(op, For)}
    places = list(product(*map(range, axis.extents)))
    if not all(axis.element(at) in bands for at in places):
        raise ScheduleError(
            f"{said}: the elements are no longer there",
            loc=func.loc,
            hint="to(..., axis=...) before primitives that change the elements' bands",
        )
    before = dict(bands)
    check_rows(module, func, [_row(at, axis, before) for at in places], array, said)
    made: list[Op] = []
    for at in reversed(places):
        following = _next(at, axis)
        if following is None:
            continue
        one, other = axis.element(at), axis.element(following)
        check_alike(module, func, before[one], before[other], array, axis.loop, said)
        name = "_".join([array.name or "array", "fifo", *map(str, following)])
        links = zip(handed_on(before[one], array, said), handed_on(before[other], array, said),
                    strict=True)  # fmt: skip
        for n, (give, take) in enumerate(links):
            fifo = _fifo(func, give.loads[0], array, f"{name}_{n}" if n else name)
            size = fifo.array.size if depth == -1 else depth
            made.append(Alloc(result=fifo, fifo=size, loc=before[one].loc))
            bands[one] = _giving(bands[one], give, fifo)
            bands[other] = _taking(bands[other], take, fifo)
    body = (bands[op.attrs.band] if isinstance(op, For) else op for op in func.body)
    return replace(func, body=(*made, *body))


def _row(at: tuple[int, ...], axis: ElementAxis, bands: Mapping[str, For]) -> tuple[For, ...]:
    """The elements along the axis from the first one on, where ``at`` is; else none."""
    d = axis.position
    if at[d]:
        return ()
    return tuple(bands[axis.element((*at[:d], n, *at[d + 1 :]))] for n in range(axis.extents[d]))


def _next(at: tuple[int, ...], axis: ElementAxis) -> tuple[int, ...] | None:
    d = axis.position
    if at[d] + 1 == axis.extents[d]:
        return None
    return (*at[:d], at[d] + 1, *at[d + 1 :])


def _fifo(func: Func, load: Load, array: Value, name: str) -> Value:
    """The array for what one element hands on: the dimensions that its loops go along."""
    shape = tuple(
        n for n, e in zip(array.array.shape, load.index, strict=True) if not e.is_constant
    )
    return Value(ArrayType(array.array.element, shape), fresh_array_name(func, name))


def _subscripts(op: Load | Store) -> tuple[AffineExpr, ...]:
    return tuple(e for e in op.index if not e.is_constant)


def _giving(element: For, handed: Handed, fifo: Value) -> For:
    """An element that puts what it has stored, or what it has read, to a FIFO."""
    first = handed.loads[0]

    def visit(op: Op) -> Op | Block | None:
        if handed.store is not None and op is handed.store:
            return replace(handed.store, array=fifo, index=_subscripts(handed.store))
        if handed.store is None and op is first:
            index = _subscripts(first)
            return (op, Store(value=first.result, array=fifo, index=index, loc=first.loc))
        return None

    return replace(element, body=map_block(element.body, visit))


def _taking(element: For, handed: Handed, fifo: Value) -> For:
    """An element that takes from a FIFO what it has read."""

    def visit(op: Op) -> Op | None:
        if isinstance(op, Load) and op in handed.loads:
            return replace(op, array=fifo, index=_subscripts(op))
        return None

    return replace(element, body=map_block(element.body, visit))
