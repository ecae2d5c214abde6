"""When a task does something, as the integer set library sees it: maps from elements to times.

A time is where the operation stands in the text and the counters of the loops around it, outermost
first; times compare lexicographically.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import islpy as isl

from allo_rtl.ir import polyhedra
from allo_rtl.ir.dependence import Access
from allo_rtl.ir.guards import Guards
from allo_rtl.ir.ops import For, If, Op, Value
from allo_rtl.ir.task_scope import Scope


class Times:
    """The times at which the tasks of a scope use the elements of arrays."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._inside = scope.inside

    @cached_property
    def _guards(self) -> Guards:
        """The conditions of the function and of its tasks."""
        return Guards((*self._scope.func.body, *self._scope.body))

    def is_known(self, access: Access) -> bool:
        """Whether elements, and bounds of the loops around, do not depend on data."""
        bounds = (e for p in access.loops for e in (*p.lower, *p.upper))
        counters = {p.iv for p in access.loops}
        return access.affine and not any((e.values - counters) & self._inside for e in bounds)

    def is_counted(self, parent: Op, access: Access) -> bool:
        """Whether it follows from counters how often what is in an operation runs."""
        if not isinstance(parent, If):
            return isinstance(parent, For)
        names = _names(access)
        outside = self._guards.values(parent) - self._inside
        return self._guards.formula(parent, 0, names | dict.fromkeys(outside, "x")) is not None

    def of(self, access: Access, length: int) -> isl.Map:
        """From elements, with the iteration of the scope they are made in, to times of ``length``
        numbers.  Conditions that data decide are taken as true."""
        names = _names(access)
        return self._map(access, names, _time(access, names), length)

    def at_start(
        self, access: Access, home: For, number: int, first: int | None, length: int
    ) -> isl.Map:
        """The same of what is done at the start of each iteration of ``home``, a loop around.

        It is the one of that ``number`` there; of the scope's loop the place is that of the task's
        ``first`` operation.
        """
        names, depth = _names(access), access.parents.index(home)
        time = _time(access, names)[: 2 * depth + 2]
        place = 0 if first is None else 2 * first
        return self._map(access, names, [*time, str(place), str(number)], length, home)

    def _map(
        self,
        access: Access,
        names: Mapping[Value, str],
        time: Sequence[str],
        length: int,
        last: For | None = None,
    ) -> isl.Map:
        """From elements, with the iteration of the scope they are made in, to times."""
        assert access.index is not None
        depth = len(access.parents) if last is None else access.parents.index(last) + 1
        parents = access.parents[:depth]
        around = [p for p in parents if isinstance(p, For)]
        exprs = [*access.index, *(e for p in around for e in (*p.lower, *p.upper))]
        outside = {v for e in exprs for v in e.values} - names.keys()
        outside |= {v for p in parents if isinstance(p, If) for v in self._guards.values(p)
                    if v not in self._inside and v not in names}  # fmt: skip
        symbols = {v: f"p{v.uid}" for v in sorted(outside, key=lambda v: v.uid)}
        known = {**names, **symbols}
        cells = [f"c{d}" for d in range(len(access.index) + 1)]
        times = [f"t{d}" for d in range(length)]
        inner = [names[p.iv] for p in around]
        equal = [f"c0 = {inner[0]}"]
        places = zip(cells[1:], access.index, strict=True)
        equal += [f"{c} = {polyhedra.text(e, known)}" for c, e in places]
        padded = [*time, *["0"] * (length - len(time))]
        equal += [f"{t} = {x}" for t, x in zip(times, padded, strict=True)]
        domain = [c for p in around for c in polyhedra.iterates(p, known)]
        for d, parent in enumerate(parents):
            if isinstance(parent, If):
                guard = self._guards.formula(parent, access.position[2 * d + 1], known)
                domain += [f"({guard})"] if guard else []
        return isl.Map(
            f"[{', '.join(symbols.values())}] -> {{ [{', '.join(cells)}] -> [{', '.join(times)}] : "
            f"exists {', '.join(inner)} : {' and '.join([*domain, *equal])} }}"
        )


def union(maps: Iterable[isl.Map]) -> isl.Map:
    """All that one of the maps has, of which there is one at least."""
    first, *rest = maps
    for one in rest:
        first = first.union(one)
    return first.coalesce()


def _names(access: Access) -> dict[Value, str]:
    return {p.iv: f"i{d}" for d, p in enumerate(access.loops)}


def _time(access: Access, names: Mapping[Value, str]) -> list[str]:
    """Places in the text, doubled and one more so that there is room before each, and counters."""
    parts = []
    for d, parent in enumerate(access.parents):
        inside = names[parent.iv] if isinstance(parent, For) else str(access.position[2 * d + 1])
        parts += [str(2 * access.position[2 * d] + 1), inside]
    return [*parts, str(2 * access.position[-1] + 1)]
