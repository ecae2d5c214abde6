"""The primitive unfold, and to in its second form: a loop's iterations as processing elements.

``unfold`` writes the body of a band once for each iteration of some of its loops.  Each copy is a
task (see :mod:`allo_rtl.ir.tasks`), so that in hardware all run at once.  ``to`` then turns an
array that neighbouring elements hand on into FIFOs: one that the kernel itself makes for that,
whose first subscripts say between which elements (``A_fifo[i, j + 1, k]``), or one that all
elements along an axis read alike, which from then on only the first of them reads.  What comes
out is a sequential program still, of which the CPU build and the evaluator need know nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    For,
    Func,
    Load,
    LoopAttrs,
    Module,
    Op,
    Store,
    SubView,
    Value,
)
from allo_rtl.ir.rewrite import bind, clone, loops, map_block, replace_func, substitute, walk
from allo_rtl.ir.types import ArrayType, index
from allo_rtl.schedule.element_checks import check_alike, check_parts, reads
from allo_rtl.schedule.loop_transforms import is_count
from allo_rtl.schedule.loops import find_func, fresh_array_name, unused


@dataclass(frozen=True, repr=False)
class ElementAxis:
    """A loop that :meth:`~allo_rtl.schedule.schedule.Schedule.unfold` has made elements of.

    Attributes:
        func, band, loop: their names.
        elements: what the names of the elements' bands start with: the band's name, unless other
            bands have such names.
        extents: the number of elements along each axis of the array of elements.
        position: which of these axes this is.
    """

    func: str
    band: str
    loop: str
    elements: str
    extents: tuple[int, ...]
    position: int

    def __repr__(self) -> str:
        return repr(f"{self.func}:{self.band}.{self.loop}")

    def element(self, at: Sequence[int]) -> str:
        """The name of the band of one element."""
        return _element_name(self.elements, at)


def _element_name(start: str, at: Sequence[int]) -> str:
    return "_".join([start, *map(str, at)])


# --- unfold --------------------------------------------------------------------------------


def find_band(module: Module, name: str, said: str) -> tuple[Func, For]:
    """The function and the outermost loop of a band: ``"PE"`` or ``"func:PE"``.

    Raises:
        ScheduleError: there is none, or it stands inside a loop or a condition.
    """
    func_name, colon, band = str(name).rpartition(":")
    func = find_func(module, func_name if colon else module.top)
    bands = {op.attrs.band: op for op in func.body if isinstance(op, For)}
    if band not in bands:
        _check_outermost(func, band, said)
        raise ScheduleError(
            f"{said}: there is no band {band!r} in {func.name}", loc=func.loc,
            allowed=", ".join(n for n in bands if n) or f"{func.name} has no bands",
        )  # fmt: skip
    return func, bands[band]


def _check_outermost(func: Func, band: str, said: str) -> None:
    """Refuse a band that is there, but inside something else."""
    for outer in func.body:
        for loop in loops((outer,)):
            if band and loop.attrs.band == band:
                raise ScheduleError(
                    f"{said}: band {band!r} is not outermost", loc=loop.loc,
                    notes=[("it stands inside this", outer.loc)],
                    allowed=f"a band outside all loops and conditions of {func.name}",
                )  # fmt: skip


def unfolded_loops(root: For, axes: object, said: str) -> list[For]:
    """The loops of a band that ``axes`` says, outermost first.

    Raises:
        ScheduleError: they are not the band's first ones, one inside the other, with constant
            bounds from 0 in ones.
    """
    nest = [root]
    while len(nest[-1].body) == 1 and isinstance(nest[-1].body[0], For):
        nest.append(nest[-1].body[0])
    chosen = list(axes) if isinstance(axes, list | tuple) else []
    if not chosen or chosen != list(range(len(chosen))):
        raise ScheduleError(
            f"{said}: the axes are {axes!r}", loc=root.loc,
            allowed="numbers of the band's loops, from the outermost: [0], [0, 1], ...",
            hint="reorder puts the loops that are to be elements outermost",
        )  # fmt: skip
    if len(chosen) > len(nest):
        raise ScheduleError(
            f"{said}: the band has {len(nest)} loop{'s' * (len(nest) > 1)} that "
            f"{'stand' if len(nest) > 1 else 'stands'} alone inside each other",
            loc=root.loc, allowed=", ".join(p.name for p in nest),
        )  # fmt: skip
    for loop in nest[: len(chosen)]:
        bounds = loop.constant_bounds
        if bounds is None or bounds[0] != 0 or bounds[1] < 1 or loop.step != 1:
            raise ScheduleError(
                f"{said}: loop {loop.name!r} does not count from 0 to a constant in ones",
                loc=loop.loc, allowed="for i in range(8)",
            )  # fmt: skip
        if loop.attrs.pipeline_ii is not None or loop.attrs.unroll is not None:
            raise ScheduleError(
                f"{said}: loop {loop.name!r} is pipelined or unrolled, and its iterations are to "
                "be elements", loc=loop.loc, hint="pipeline a loop inside the elements",
            )  # fmt: skip
        if loop.attrs.overlap:
            raise ScheduleError(
                f"{said}: loop {loop.name!r} runs at the same time as the one before (overlap), "
                "and its iterations are to be elements", loc=loop.loc,
                hint="elements run at the same time as the loops around them anyway",
            )  # fmt: skip
    return nest[: len(chosen)]


def apply_unfold(
    module: Module, func: Func, root: For, chosen: Sequence[For]
) -> tuple[Module, list[ElementAxis]]:
    """The module with a band's body once for each iteration of the chosen loops, as tasks."""
    extents = tuple(loop.trip_count or 0 for loop in chosen)
    places = list(product(*map(range, extents)))
    taken = {p.attrs.band for p in loops(tuple(op for op in func.body if op is not root))}
    start = root.attrs.band
    while any(_element_name(start, at) in taken for at in places):
        start += "_element"
    axes = [
        ElementAxis(func.name, root.attrs.band, loop.name, start, extents, d)
        for d, loop in enumerate(chosen)
    ]
    taken |= {axes[0].element(at) for at in places}
    copies = [_element(chosen, at, axes[0].element(at), taken) for at in places]
    body = tuple(
        new for op in func.body for new in (copies if op is root else (op,))
    )
    return replace_func(module, replace(func, body=body, tasks=True)), axes


def _element(chosen: Sequence[For], at: Sequence[int], name: str, taken: set[str]) -> For:
    """One element: a loop of one iteration around the body, so that all of it is one task.

    Bands inside get names that are not taken yet: each element has its own.
    """

    def visit(op: Op) -> Op | None:
        if not isinstance(op, For) or not op.attrs.band:
            return None
        return replace(op, attrs=replace(op.attrs, band=unused(op.attrs.band, taken)))

    body = map_block(clone(chosen[-1].body), visit)
    for loop, number in zip(chosen, at, strict=True):
        body = bind(body, loop.iv, AffineExpr.constant(number))
    return For(
        iv=Value(index, "element"), lower=(AffineExpr.constant(0),),
        upper=(AffineExpr.constant(1),), body=body, name="element",
        attrs=LoopAttrs(band=name), loc=chosen[-1].loc,
    )  # fmt: skip


# --- to ------------------------------------------------------------------------------------


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
        IllegalScheduleError: neighbours read different elements, or something stores to them.
    """
    if depth != -1 and not (is_count(depth) and depth >= 1):
        raise ScheduleError(
            f"{said}: the depth is {depth!r}",
            allowed="a number of elements, 1 or more; -1 for as many as go through",
        )
    assert isinstance(depth, int)
    if func.name != axis.func:
        raise ScheduleError(
            f"{said}: the array is of {func.name}, the elements are of {axis.func}", loc=func.loc,
            allowed=f"an array of {axis.func}",
        )
    made = any(isinstance(op, Alloc) and op.result is array for op in func.body)
    own = _links(func, array, axis) if made else None
    if own is not None:
        new = _split(func, array, own, depth, said)
    else:
        new = _passed(module, func, array, axis, depth, said)
    return replace_func(module, replace(new, tasks=True))


# An array of the kernel's own between elements


type _Place = tuple[AffineExpr | None, ...]
"""Where something uses an array; None along a dimension of which a view has more than a place."""


def _uses(func: Func, array: Value) -> Iterator[tuple[Op, _Place]]:
    """What uses an array, and where."""
    for op in walk(func.body):
        if isinstance(op, Load | Store) and op.array is array:
            yield op, op.index
        elif isinstance(op, SubView) and op.source is array:
            places = zip(op.offsets, op.sizes, strict=True)
            yield op, tuple(o if size is None else None for o, size in places)


def _links(func: Func, array: Value, axis: ElementAxis) -> tuple[int, ...] | None:
    """The dimensions that say between which elements, None when there are none.

    They have one place more along the axis than there are elements, or as many elements as along
    another axis, and the elements use them at constants.
    """
    names = {axis.element(at) for at in product(*map(range, axis.extents))}
    inside = {
        op for part in func.body if isinstance(part, For) and part.attrs.band in names
        for op in walk(part.body)
    }
    found = [at for op, at in _uses(func, array) if op in inside]
    if len(set(found)) <= axis.extents[axis.position]:
        return None
    columns = list(zip(*found, strict=True))
    dims = tuple(d for d, at in enumerate(columns) if all(e and e.is_constant for e in at))
    return dims if any(len(set(columns[d])) > 1 for d in dims) else None


def _split(func: Func, array: Value, dims: tuple[int, ...], depth: int, said: str) -> Func:
    """An array as one for each constant along ``dims``, each of them a FIFO."""
    func = replace(func, body=_unrolled(func, array, dims))
    check_parts(func, array, dims, said)
    type_ = array.array
    rest = tuple(n for d, n in enumerate(type_.shape) if d not in dims)
    parts: dict[tuple[int, ...], Value] = {}
    for at in product(*(range(type_.shape[d]) for d in dims)):
        name = "_".join([array.name, *map(str, at)])
        parts[at] = Value(ArrayType(type_.element, rest), name)
    aliases: dict[Value, Value] = {}

    def visit(op: Op) -> Op | Block | None:
        match op:
            case Alloc() if op.result is array:
                size = prod(rest) if depth == -1 else depth
                return tuple(replace(op, result=part, fifo=size) for part in parts.values())
            case Load() | Store() if op.array is array:
                place = tuple(op.index[d].const for d in dims)
                inner = tuple(e for d, e in enumerate(op.index) if d not in dims)
                return replace(op, array=parts[place], index=inner)
            case SubView() if op.source is array:
                return _part_of(op, parts, dims, aliases)
        return None

    return replace(func, body=substitute(map_block(func.body, visit), aliases))


def _part_of(
    op: SubView, parts: Mapping[tuple[int, ...], Value], dims: tuple[int, ...],
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
    places = [at[d] for _, at in _uses(func, array) for d in dims]
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


# An array that the elements along an axis read alike


def _passed(
    module: Module, func: Func, array: Value, axis: ElementAxis, depth: int, said: str
) -> Func:
    """Elements that take what they read of an array from the one before along the axis."""
    bands = {op.attrs.band: op for op in func.body if isinstance(op, For)}
    made: list[Op] = []
    for at in reversed(list(product(*map(range, axis.extents)))):
        if axis.element(at) not in bands:
            raise ScheduleError(
                f"{said}: the elements are no longer there", loc=func.loc,
                hint="to(..., axis=...) before primitives that change the elements' bands",
            )
        following = _next(at, axis)
        if following is None:
            continue
        one, other = (bands[axis.element(a)] for a in (at, following))
        check_alike(module, func, one, other, array, axis.loop, said)
        names = ["_".join([array.name or "array", "fifo", *map(str, following)])]
        for n, (give, take) in enumerate(zip(reads(one, array), reads(other, array),
                                             strict=True)):  # fmt: skip
            fifo = _fifo(func, give, array, f"{names[0]}_{n}" if n else names[0])
            size = fifo.array.size if depth == -1 else depth
            made.append(Alloc(result=fifo, fifo=size, loc=one.loc))
            one = _giving(one, give, fifo)
            other = _taking(other, take, fifo)
        bands[axis.element(at)], bands[axis.element(following)] = one, other
    body = (bands[op.attrs.band] if isinstance(op, For) else op for op in func.body)
    return replace(func, body=(*made, *body))


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


def _subscripts(load: Load) -> tuple[AffineExpr, ...]:
    return tuple(e for e in load.index if not e.is_constant)


def _giving(element: For, load: Load, fifo: Value) -> For:
    store = Store(value=load.result, array=fifo, index=_subscripts(load), loc=load.loc)

    def visit(op: Op) -> Block | None:
        return (op, store) if op is load else None

    return replace(element, body=map_block(element.body, visit))


def _taking(element: For, load: Load, fifo: Value) -> For:
    new = replace(load, array=fifo, index=_subscripts(load))
    return replace(element, body=map_block(element.body, lambda op: new if op is load else None))
