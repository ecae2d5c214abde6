"""The primitives that rewrite loops: split, reorder, fuse.

Each has a check, which raises and changes nothing, and a pure rewrite of the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import before
from allo_rtl.ir.ops import Block, For, LoopAttrs, Module, Value
from allo_rtl.schedule.distribute import made_perfect
from allo_rtl.schedule.independent import of_all
from allo_rtl.schedule.legality import find_violation, illegal, reordered_sums
from allo_rtl.schedule.loops import (
    Place,
    enclosing_perfect_nest,
    find_loop,
    fresh_name,
    perfect_nest,
    replace_counter,
    replace_loop,
)

_ZERO = AffineExpr.constant(0)


# --- split ---------------------------------------------------------------------------------


def check_split(place: Place, factor: object) -> None:
    """Raise ScheduleError unless the loop can be split by ``factor``."""
    loop = place.loop
    trips = loop.trip_count
    if len(loop.lower) > 1:
        raise ScheduleError(
            f"loop {loop.name!r} starts at the largest of several numbers, and split needs one",
            loc=loop.loc,
            hint="split before the loop gets such a bound, or split a loop around it",
        )
    if trips is not None and trips < 2:
        raise ScheduleError(
            f"loop {loop.name!r} has {trips} iterations: nothing to split", loc=loop.loc,
            allowed="a loop of two iterations or more",
        )
    if not is_count(factor) or factor < 1 or (trips is not None and factor >= trips):
        has = "as many iterations as data say" if trips is None else f"{trips} iterations"
        most = "1 up" if trips is None else f"1 to {trips - 1}"
        raise ScheduleError(
            f"the factor of split is {factor!r}, and loop {loop.name!r} has {has}",
            loc=loop.loc,
            allowed=f"a number of iterations from {most}",
        )
    if loop.attrs.unroll is not None:
        raise ScheduleError(
            f"loop {loop.name!r} is unrolled already", loc=loop.loc, hint="split before unroll"
        )


def is_count(thing: object) -> TypeGuard[int]:
    """Whether it is an int, and not a bool."""
    return isinstance(thing, int) and not isinstance(thing, bool)


def apply_split(module: Module, place: Place, factor: int) -> tuple[Module, tuple[str, str]]:
    """The module with the loop split, and the names of the outer and the inner loop."""
    loop, trips = place.loop, place.loop.trip_count
    names = tuple(fresh_name(place.nest[0], f"{loop.name}.{n}") for n in ("outer", "inner"))
    outer_iv, inner_iv = (Value(loop.iv.type, n) for n in names)
    number = AffineExpr.of(outer_iv) * factor + AffineExpr.of(inner_iv)
    upper = [AffineExpr.constant(factor)]
    if trips is None or trips % factor:
        done = AffineExpr.of(outer_iv) * factor
        upper += [count - done for count in _iterations(loop)]
    body = replace_counter(loop.body, loop.iv, number * loop.step + loop.lower[0])
    # The mark "dataflow" stays too: its tasks are in the inner loop.
    kept = replace(loop.attrs, band="", overlap=False)
    inner = replace(
        loop, iv=inner_iv, lower=(_ZERO,), upper=tuple(upper), step=1, body=body,
        name=names[1], attrs=kept,
    )  # fmt: skip
    # A pipeline stays around the same work: the inner loop.
    outer_attrs = replace(
        loop.attrs, pipeline_ii=None, ii_required=False, rewind=False, dataflow=False
    )
    blocks = tuple((count + (factor - 1)).floordiv(factor) for count in _iterations(loop))
    outer = replace(
        loop, iv=outer_iv, lower=(_ZERO,), upper=blocks, step=1, body=(inner,), name=names[0],
        attrs=outer_attrs,
    )  # fmt: skip
    return replace_loop(module, place.func, loop, outer), (names[0], names[1])


def _iterations(loop: For) -> tuple[AffineExpr, ...]:
    """Expressions of which the least is the number of iterations, when that is above zero."""
    if (trips := loop.trip_count) is not None:
        return (AffineExpr.constant(trips),)
    return tuple(
        (end - loop.lower[0] + (loop.step - 1)).floordiv(loop.step) for end in loop.upper
    )


# --- reorder -------------------------------------------------------------------------------


def prepare_reorder(
    module: Module, places: Sequence[Place], primitive: str
) -> tuple[Module, list[Place]]:
    """The module in which the loops are of one perfect nest, and where they are in it.

    Raises:
        ScheduleError: the loops are not inside each other, or cannot be made a perfect nest.
        IllegalScheduleError: what stands beside one of them must run where it does.
    """
    if len(places) < 2:
        raise ScheduleError(
            "reorder needs at least 2 loops",
            allowed="two loops or more of one nest, outermost first",
        )
    _check_distinct(places, "reorder")
    if all(p.loop in enclosing_perfect_nest(places[0]) for p in places):
        return module, list(places)
    deep = max(places, key=lambda p: len(p.nest))
    for place in places:
        if place.loop not in deep.nest:
            raise ScheduleError(
                f"loops {deep.loop.name!r} and {place.loop.name!r} are not inside each other",
                loc=place.loop.loc,
                allowed=f"loops of one nest, such as {', '.join(p.name for p in deep.nest)}",
            )
    outer = min(places, key=lambda p: len(p.nest)).loop
    module = made_perfect(module, deep, outer, primitive)
    return module, [find_loop(module, p.handle) for p in places]


def check_reorder(
    module: Module, places: Sequence[Place], primitive: str, reassociate: bool = False
) -> tuple[str, ...]:
    """Raise ScheduleError unless the loops of one perfect nest may be permuted.

    Returns:
        Lines about the sums that are rounded in another order then.
    """
    nest = enclosing_perfect_nest(places[0])
    order = _permuted(nest, [p.loop for p in places])
    _check_bounds(order)
    return _check_order(module, places[0], nest, order, primitive, reassociate)


def _check_distinct(places: Sequence[Place], primitive: str) -> None:
    names = [p.handle.name for p in places]
    if len(set(names)) < len(names):
        raise ScheduleError(
            f"{primitive} is given the same loop twice", loc=places[0].loop.loc,
            allowed="each loop once",
        )


def _permuted(nest: Sequence[For], wanted: Sequence[For]) -> list[For]:
    """The nest with the wanted loops, in their order, in the slots they occupy."""
    rest = iter(wanted)
    return [next(rest) if loop in wanted else loop for loop in nest]


def _check_bounds(order: Sequence[For]) -> None:
    """A loop's bounds may only use counters of loops that stay outside it."""
    for k, loop in enumerate(order):
        used = {v for e in (*loop.lower, *loop.upper) for v in e.values}
        for inner in order[k + 1 :]:
            if inner.iv in used:
                raise ScheduleError(
                    f"the bounds of loop {loop.name!r} depend on loop {inner.name!r}, which must "
                    "stay outside it",
                    loc=loop.loc,
                    hint=f"name loop {loop.name!r} too, behind {inner.name!r}; or split by a "
                    "divisor of the number of iterations, which keeps bounds constant",
                )


def _check_order(
    module: Module,
    place: Place,
    nest: Sequence[For],
    order: Sequence[For],
    primitive: str,
    reassociate: bool,
) -> tuple[str, ...]:
    moved = [k for k, (old, new) in enumerate(zip(nest, order, strict=True)) if old is not new]
    if not moved:
        return ()
    loops = nest[moved[0] : moved[-1] + 1]
    slots = [loops.index(p) for p in order[moved[0] : moved[-1] + 1]]

    def swapped(s: Sequence[str], d: Sequence[str]) -> str:
        new = before([d[k] for k in slots], [s[k] for k in slots])
        return f"{before(s, d)} and {new}"

    found = find_violation(
        module, place, loops, swapped, any_order_sums=True, reassociate=reassociate
    )
    if found:
        consequence = "iteration {sink} would run before {source}, which it must follow"
        raise illegal(primitive, consequence, found)
    why = "reassociate=True" if reassociate else "its loops are declared with allo.reduction"
    return tuple(
        f"{primitive}: the {kind} at {loc.short if loc else 'an unknown place'} is added up in "
        f"another order ({why})"
        for kind, loc in reordered_sums(module, place, loops, swapped)
    )


def apply_reorder(module: Module, places: Sequence[Place]) -> Module:
    """The module with the loops permuted; the band's name stays on the outermost loop."""
    nest = enclosing_perfect_nest(places[0])
    order = _permuted(nest, [p.loop for p in places])
    body: Block = nest[-1].body
    for k, (slot, loop) in reversed(list(enumerate(zip(nest, order, strict=True)))):
        left = [p for p in nest[: nest.index(loop)] if p not in order[:k]]
        attrs = replace(
            loop.attrs, band=slot.attrs.band, overlap=slot.attrs.overlap,
            parallel=loop.attrs.parallel and all(p.attrs.parallel for p in left),
        )  # fmt: skip
        body = (replace(loop, body=body, attrs=attrs, independent=of_all([loop, *left])),)
    new = body[0]
    assert isinstance(new, For)
    return replace_loop(module, places[0].func, nest[0], new)


# --- fuse ----------------------------------------------------------------------------------


def check_fuse(places: Sequence[Place]) -> None:
    """Raise ScheduleError unless the loops follow one another in a perfect nest."""
    if len(places) < 2:
        raise ScheduleError(
            "fuse needs at least 2 loops",
            allowed="two loops or more of a perfect nest, outermost first",
        )
    _check_distinct(places, "fuse")
    nest = perfect_nest(places[0].loop)
    for k, place in enumerate(places):
        if k >= len(nest) or nest[k] is not place.loop:
            raise ScheduleError(
                f"loop {place.loop.name!r} is not directly inside loop "
                f"{places[k - 1].loop.name!r}, with nothing beside it",
                loc=place.loop.loc,
                allowed="loops of a perfect nest that follow one another, outermost first",
            )
        _check_fusible(place.loop, innermost=k == len(places) - 1)


def _check_fusible(loop: For, innermost: bool) -> None:
    if loop.trip_count is None:
        raise ScheduleError(
            f"fuse needs constant bounds, but those of loop {loop.name!r} are not", loc=loop.loc,
            allowed="loops such as range(8)",
        )
    if loop.attrs.unroll is not None or (loop.attrs.pipeline_ii is not None and not innermost):
        what = "pipelined" if loop.attrs.unroll is None else "unrolled"
        raise ScheduleError(
            f"loop {loop.name!r} is {what} already", loc=loop.loc, hint=f"fuse before {what[:-2]}"
        )


def apply_fuse(module: Module, places: Sequence[Place]) -> tuple[Module, str]:
    """The module with the loops fused, and the name of the new one."""
    loops = [p.loop for p in places]
    joined = "_".join(loop.name for loop in loops) + "_fused"
    name = fresh_name(places[0].nest[0], joined)
    iv = Value(loops[0].iv.type, name)
    body = loops[-1].body
    stride = 1
    for loop in reversed(loops):
        trips, bounds = loop.trip_count, loop.constant_bounds
        assert trips is not None
        assert bounds is not None
        number = AffineExpr.of(iv).floordiv(stride)
        if loop is not loops[0]:
            number = number.mod(max(trips, 1))
        body = replace_counter(body, loop.iv, number * loop.step + bounds[0])
        stride *= trips or 1
    total = 0 if any(loop.trip_count == 0 for loop in loops) else stride
    fused = replace(
        loops[0], iv=iv, lower=(_ZERO,), upper=(AffineExpr.constant(total),), step=1,
        body=body, name=name, attrs=_fused_attrs(loops), independent=of_all(loops),
    )  # fmt: skip
    return replace_loop(module, places[0].func, loops[0], fused), name


def _fused_attrs(loops: Sequence[For]) -> LoopAttrs:
    return replace(
        loops[-1].attrs,
        band=loops[0].attrs.band,
        overlap=loops[0].attrs.overlap,
        reduction=all(loop.attrs.reduction for loop in loops),
        parallel=all(loop.attrs.parallel for loop in loops),
    )
