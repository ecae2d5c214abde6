"""What the user says of a loop's iterations that no analysis can know: assume_independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.dependence import Access, Condition, Conflict, accesses, before, conflict
from allo_rtl.ir.ops import For, Func, If, Module, Op, Value, While
from allo_rtl.ir.rewrite import walk
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.loops import Place, check_made_outside, replace_loop


def of_two_in_turn(
    module: Module, func: Func, one: For, other: For
) -> Callable[[For, For], tuple[Value, ...]]:
    """What holds of a loop that does in each iteration what two loops did.

    Nobody has said anything of an iteration of the one and another iteration of the other, so
    only what is assumed of arrays that one of them alone touches goes on.

    Args:
        module, func: where they are.
        one, other: the outermost loops of two bands.

    Returns:
        A function of a loop of the one band and a loop of the other.
    """
    root = aliases(module, func).root
    first, second = ({root(a.array) for a in accesses((p,), module)} for p in (one, other))

    def assumed(a: For, b: For) -> tuple[Value, ...]:
        kept = [v for v in a.independent if root(v) not in second]
        kept += [v for v in b.independent if root(v) not in first]
        return tuple(dict.fromkeys(kept))

    return assumed


def of_all(loops: Sequence[For]) -> tuple[Value, ...]:
    """The arrays that every one of the loops is assumed to be independent in."""
    first, *rest = loops
    return tuple(v for v in first.independent if all(v in p.independent for p in rest))


def not_carried(condition: Condition, levels: Sequence[int]) -> Condition:
    """The condition for pairs of iterations that do not differ first in one of the loops."""

    def apart(s: Sequence[str], d: Sequence[str]) -> str:
        carried = []
        for k in levels:
            equal = [f"{a} = {b}" for a, b in zip(s[:k], d[:k], strict=True)]
            carried.append("not (" + " and ".join([*equal, f"{s[k]} != {d[k]}"]) + ")")
        return " and ".join([f"({condition(s, d)})", *carried])

    return apart


def check_independent(module: Module, place: Place, array: Value, primitive: str) -> None:
    """Raise ScheduleError unless the promise makes sense.

    Raises:
        ScheduleError: the loop does not write the array, or makes it, or iterations of it are
            known to touch one cell.
    """
    check_made_outside(place.loop, array, primitive)
    if array not in _visible(place):
        raise ScheduleError(
            f"{primitive}: {array.name!r} is not there yet where loop {place.loop.name!r} starts",
            loc=place.loop.loc,
            allowed="an array that is made outside the loop",
        )
    known = aliases(module, place.func)
    inside = [known.access(a) for a in accesses((place.nest[0],), module)]
    found = [a for a in inside if a.array is known.root(array) and place.loop in a.loops]
    if not any(a.is_store for a in found):
        raise ScheduleError(
            f"{primitive}: loop {place.loop.name!r} does not write {array.name!r}",
            loc=place.loop.loc,
            allowed="an array that the loop loads from and stores to",
        )
    _check_possible(place, found, primitive)


def _check_possible(place: Place, found: Sequence[Access], primitive: str) -> None:
    """Raise ScheduleError when two iterations touch one cell whatever the data."""
    certain = [a for a in found if _certain(a)]
    for source in certain:
        for sink in certain:
            if source.is_store or sink.is_store:
                hit = conflict(source, sink, [place.loop], before)
                if hit is not None:
                    raise _known_false(primitive, place, source, sink, hit)


def check_still_possible(module: Module, place: Place, primitive: str) -> None:
    """Raise ScheduleError when what is assumed of a loop is known to be false now."""
    known = aliases(module, place.func)
    inside = [known.access(a) for a in accesses((place.nest[0],), module)]
    for array in place.loop.independent:
        found = [a for a in inside if a.array is known.root(array) and place.loop in a.loops]
        _check_possible(place, found, f"{primitive} keeps assume_independent of {array.name!r}")


def _visible(place: Place) -> set[Value]:
    """The values that are defined where the loop starts."""
    found = set(place.func.args)
    block = place.func.body
    while True:
        for op in block:
            if op is place.loop:
                return found
            if any(inner is place.loop for inner in walk((op,))):
                block = next(r for r in op.regions() if place.loop in tuple(walk(r)))
                break
            found.update(op.results())


def _certain(access: Access) -> bool:
    """Whether it is known which cells are touched in each iteration."""
    conditional: tuple[type[Op], ...] = (If, While)
    return access.affine and not any(isinstance(p, conditional) for p in access.parents)


def _known_false(
    primitive: str, place: Place, source: Access, sink: Access, hit: Conflict
) -> ScheduleError:
    cell = ", ".join("?" if c is None else str(c) for c in hit.cell)
    name = source.array.name
    return ScheduleError(
        f"{primitive}: iterations {place.loop.name}={hit.source[0]} and "
        f"{place.loop.name}={hit.sink[0]} both touch {name}{f'[{cell}]' if cell else ''}",
        loc=source.op.loc,
        notes=[("and here", sink.op.loc)] if sink.op.loc else (),
        allowed="a promise about subscripts that depend on data, or on a condition",
    )


def apply_independent(module: Module, place: Place, array: Value) -> Module:
    """The module with the promise on the loop."""
    loop = place.loop
    arrays = (*loop.independent, *(() if array in loop.independent else (array,)))
    return replace_loop(module, place.func, loop, replace(loop, independent=arrays))
