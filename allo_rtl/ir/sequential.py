"""Whether an array is used as a stream can be: each element once, in row-major order.

Every access has a time, the vector of its place in the text and of the counters around it; the
order of times is the order of execution.  The array is sequential when the map from times to
element numbers is increasing and reaches every number.  Both are decided exactly, by isl.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import islpy as isl
import numpy as np

from allo_rtl.errors import SourceLoc
from allo_rtl.ir import polyhedra
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, accesses
from allo_rtl.ir.ops import Block, For, Value

_LOOP_HINT = (
    "put the loops in the order of the elements (reorder), keep what is needed again (reuse_at), "
    "or copy the array to one of the kernel's own first"
)
_ONCE_HINT = (
    "add up in a scalar, or in a buffer of the kernel's own (buffer_at), and store each element "
    "once"
)


@dataclass(frozen=True)
class Misfit:
    """Why an array cannot be a stream: a sentence about it, where, and what to do."""

    problem: str
    loc: SourceLoc | None = None
    hint: str | None = None
    notes: list[tuple[str, SourceLoc | None]] = field(default_factory=list)


def misfit(body: Block, array: Value, name: str) -> Misfit | None:
    """Why the accesses of an array in a block are not sequential; None when they are.

    Args:
        body: a whole function's body, views resolved; what it calls does not use the array.
        array: the array, with constant extents.
        name: what the user calls it.
    """
    uses = [a for a in accesses(body) if a.array is array]
    return _unfit(uses, name) or _Order(uses, array, name).misfit()


def _unfit(uses: Sequence[Access], name: str) -> Misfit | None:
    """What makes the order of accesses unknown, or them to be of both kinds."""
    for use in uses:
        inner = next((p for p in use.parents if not isinstance(p, For)), None)
        if inner is not None:
            what = "a condition" if type(inner).__name__ == "If" else "a while loop"
            return Misfit(
                f"{name} is {_verb(use)} inside {what}, which is not known to be run each time",
                use.op.loc, f"{_verb(use, 'read', 'store')} it outside, in every iteration",
            )  # fmt: skip
        known = {loop.iv for loop in use.loops}
        if not use.affine or any(e.values - known for e in use.index or ()):
            return Misfit(f"which element of {name} is {_verb(use)} depends on data", use.op.loc)
        for loop in use.loops:
            if any(e.values - known for e in (*loop.lower, *loop.upper)):
                return Misfit(
                    f"how many elements of {name} are {_verb(use)} depends on data: loop "
                    f"{loop.name!r} has no constant bounds",
                    loop.loc or use.op.loc,
                )
    stores = [u for u in uses if u.is_store]
    if stores and len(stores) < len(uses):
        read = next(u for u in uses if not u.is_store)
        return Misfit(
            f"{name} is both read and written", read.op.loc, _ONCE_HINT,
            [("it is written here", stores[0].op.loc)],
        )  # fmt: skip
    return None


def _verb(use: Access, reading: str = "read", writing: str = "written") -> str:
    return writing if use.is_store else reading


class _Order:
    """The map from times to element numbers, and what is wrong with it."""

    def __init__(self, uses: Sequence[Access], array: Value, name: str) -> None:
        self.uses = uses
        self.shape = array.array.shape
        self.name = name
        self.places = 2 * max((len(u.loops) for u in uses), default=0) + 1

    def misfit(self) -> Misfit | None:
        """The first access that is out of order, or else the first element without one."""
        if not self.uses:
            return Misfit(f"{self.name} is not used", None, "leave the argument out")
        when = isl.Map(f"{{ {'; '.join(map(self._map, self.uses))} }}")
        return self._late(when) or self._left_out(when)

    def _map(self, use: Access) -> str:
        names = {loop.iv: f"t{2 * k + 1}" for k, loop in enumerate(use.loops)}
        dims = [f"t{k}" for k in range(self.places)]
        time: list[str | int] = [0] * self.places
        time[0 : 2 * len(use.loops) + 1 : 2] = use.position[::2]
        parts = [f"t{k} = {x}" for k, x in enumerate(time) if dims[k] not in names.values()]
        parts += [c for loop in use.loops for c in polyhedra.iterates(loop, names)]
        element = polyhedra.text(self._number(use), names)
        return f"[{', '.join(dims)}] -> [{element}] : {' and '.join(parts)}"

    def _number(self, use: Access) -> AffineExpr:
        """The number of the element, row-major."""
        total = AffineExpr.constant(0)
        for expr, extent in zip(use.index or (), self.shape, strict=True):
            total = total * extent + expr
        return total

    def _late(self, when: isl.Map) -> Misfit | None:
        """The first access with an element that is not behind those before it."""
        later = isl.Map.lex_lt(when.get_space().domain())
        bad = later.intersect(when.lex_ge_map(when))
        if bad.is_empty():
            return None
        at = bad.range().lexmin()
        before = bad.intersect_range(at).domain().lexmax()
        wrong, earlier = _point(at), _point(before)
        use, element = self._use(wrong), self._element(when, at)
        same = element == self._element(when, before)
        text = f"{self.name}{element} is {_verb(use)} in {self._iteration(wrong)}, "
        text += "a second time" if same else (
            f"after {self.name}{self._element(when, before)} in {self._iteration(earlier)}"
        )
        return Misfit(
            text, use.op.loc, _ONCE_HINT if same and use.is_store else _LOOP_HINT,
            [("the one before is here", self._use(earlier).op.loc)],
        )  # fmt: skip

    def _left_out(self, when: isl.Map) -> Misfit | None:
        size = int(np.prod(self.shape))
        missing = isl.Set(f"{{ [e] : 0 <= e < {size} }}").subtract(when.range())
        if missing.is_empty():
            return None
        (first,) = _point(missing.lexmin())
        use = self.uses[0]
        return Misfit(
            f"{self.name}{self._subscripts(first)} is never {_verb(use)}", use.op.loc,
            f"make the array as large as what is {_verb(use)}",
        )  # fmt: skip

    def _use(self, time: Sequence[int]) -> Access:
        return next(
            u for u in self.uses
            if list(u.position[::2]) == list(time[0 : 2 * len(u.loops) + 1 : 2])
            and not any(time[2 * len(u.loops) + 1 :])
        )

    def _iteration(self, time: Sequence[int]) -> str:
        counters = [
            f"{loop.name} = {time[2 * k + 1]}" for k, loop in enumerate(self._use(time).loops)
        ]
        return f"iteration {', '.join(counters)}" if counters else "the statement before"

    def _element(self, when: isl.Map, at: isl.Set) -> str:
        (number,) = _point(at.apply(when))
        return self._subscripts(number)

    def _subscripts(self, number: int) -> str:
        return f"[{', '.join(map(str, np.unravel_index(number, self.shape)))}]"


def _point(points: isl.Set) -> tuple[int, ...]:
    found = polyhedra.sample(points)
    assert found is not None, "isl found no point in a set that is not empty"
    return found
