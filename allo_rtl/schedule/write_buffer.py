"""The primitive that gathers the writes of a loop's iteration in a buffer on chip: buffer_at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr, FloorDiv, Interval, Mod
from allo_rtl.ir.dependence import accesses, conflict
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    For,
    Load,
    LoopAttrs,
    Module,
    Op,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import ArrayType, index
from allo_rtl.schedule.buffers import alias_root, aliases
from allo_rtl.schedule.legality import Note, collision, iteration_text, numbers_outside
from allo_rtl.schedule.loops import (
    RUNS_ALL,
    Place,
    check_made_outside,
    counter_ranges,
    fresh_array_name,
    iterations,
    replace_loop,
    unused,
)
from allo_rtl.schedule.shared import check_shared

type Bounds = tuple[AffineExpr, ...]


@dataclass(frozen=True)
class Window:
    """The part of an array that one iteration of a loop touches.

    Along each dimension it is ``extent`` elements from ``base`` on, where ``base`` is the same
    throughout the iteration.

    Attributes:
        kept: the dimensions that the buffer has: those of more than one element, and those along
            which the window lies outside the array in some iterations, in which conditions keep
            the loop from touching it, and the copies' bounds keep them.
    """

    bases: tuple[AffineExpr, ...]
    extents: tuple[int, ...]
    kept: tuple[int, ...]

    def inside(self, subscripts: Sequence[AffineExpr]) -> tuple[AffineExpr, ...]:
        """Subscripts of the array as subscripts of a buffer of the kept dimensions."""
        return tuple(subscripts[d] - self.bases[d] for d in self.kept)


def check_buffer_at(module: Module, place: Place, array: Value, primitive: str) -> Window:
    """The part of the array that the buffer holds.

    Raises:
        ScheduleError: an iteration does not touch a box of the array.
        IllegalScheduleError: it touches the array in places of which the buffer would know
            nothing.
    """
    if not any(isinstance(op, For) for op in walk(place.loop.body)):
        raise nothing_to_gather(place.loop, primitive)
    check_made_outside(place.loop, array, primitive)
    check_shared(module, place.func, [array], place.loop.body, primitive)
    found = list(_accesses(module, place, array, primitive))
    if not any(isinstance(op, Store) for op in found):
        raise ScheduleError(
            f"{primitive}: loop {place.loop.name!r} does not write {array.name!r}",
            loc=place.loop.loc,
            hint="reuse_at buffers what is only read",
        )
    ranges = counter_ranges(place)
    inner = {loop.iv for loop in all_loops(place.loop.body)}
    boxes = [_box(op, inner, ranges, place, primitive) for op in found]
    return _union(found, boxes, array, place, primitive)


def nothing_to_gather(loop: For, primitive: str) -> ScheduleError:
    """The error for a loop with no for loop inside."""
    inside = next((op for op in walk(loop.body) if isinstance(op, While)), None)
    if inside is None:
        return ScheduleError(
            f"{primitive}: loop {loop.name!r} is the innermost, there is nothing to gather",
            loc=loop.loc, allowed="a loop with loops inside",
        )  # fmt: skip
    return ScheduleError(
        f"{primitive}: data decide how often the loop inside loop {loop.name!r} runs",
        loc=loop.loc, allowed="a loop with for loops inside",
        notes=[("this one runs until a condition, a break or a return ends it", inside.loc)],
        hint=RUNS_ALL,
    )  # fmt: skip


def _accesses(
    module: Module, place: Place, array: Value, primitive: str
) -> list[Load | Store]:
    """The loads and stores of the array inside the loop; nothing else may touch it."""
    root = alias_root(module, place.func)
    found: list[Load | Store] = []
    others: list[Op] = []
    for op in walk(place.loop.body):
        if isinstance(op, Load | Store) and op.array is array:
            found.append(op)
            continue
        touched = [] if isinstance(op, For) else op.operands()
        if any(root(v) is root(array) for v in touched if isinstance(v.type, ArrayType)):
            others.append(op)
    for op in others:
        what = f"a call of {op.callee}" if isinstance(op, Call) else "this"
        raise IllegalScheduleError(
            f"{primitive}: {what} uses {array.name!r} too, and would not see the buffer",
            loc=op.loc,
            notes=_same_iteration(module, place, array, op),
        )
    return found


def _same_iteration(module: Module, place: Place, array: Value, other: Op) -> list[Note]:
    """An access of the array itself that meets the other one in one iteration, if one does."""
    known = aliases(module, place.func)
    numbers = numbers_outside(place.func.body, place.nest[0])
    found = [known.access(a) for a in accesses((place.nest[0],), module, numbers)]
    loops = [place.loop]
    for theirs in (a for a in found if a.op is other and a.array is known.root(array)):
        for mine in (a for a in found if getattr(a.op, "array", None) is array):
            if place.loop in mine.loops and (mine.is_store or theirs.is_store):
                hit = conflict(mine, theirs, loops, lambda s, d: f"{s[0]} = {d[0]}")
                if hit is not None:
                    return collision(mine, theirs, hit, loops, loops)
    return []


type _Box = tuple[tuple[AffineExpr, Interval], ...]
"""Of each dimension: what is the same throughout the iteration, and the interval of the rest."""


def _box(
    op: Load | Store,
    inner: set[Value],
    ranges: Mapping[Value, Interval],
    place: Place,
    primitive: str,
) -> _Box:
    varying = inner | {v for o in walk(place.loop.body) for v in o.results()}
    parts = []
    for subscript in op.index:
        fixed, moving = _separate(subscript, varying)
        unknown = [v for v in moving.values if v not in inner]
        span = moving.bounds(lambda v: ranges.get(v, (index.min, index.max)))
        if unknown or span[0] == index.min or span[1] - span[0] >= 1 << 32:
            raise ScheduleError(
                f"{primitive}: the subscript {subscript} of {op.array.name!r} may be anything "
                f"inside loop {place.loop.name!r}",
                loc=op.loc,
                allowed="subscripts of loop counters with constant bounds",
            )
        parts.append((fixed, span))
    return tuple(parts)


def _separate(expr: AffineExpr, varying: set[Value]) -> tuple[AffineExpr, AffineExpr]:
    """The terms without any of the values, and those with; the constant is among the latter."""
    fixed = AffineExpr.constant(0)
    moving = AffineExpr.constant(expr.const)
    for atom, factor in expr.terms:
        used = atom.numerator.values if isinstance(atom, FloorDiv | Mod) else {atom}
        term = AffineExpr(((atom, factor),), 0)
        if used & varying:
            moving = moving + term
        else:
            fixed = fixed + term
    return fixed, moving


def _union(
    found: Sequence[Load | Store],
    boxes: Sequence[_Box],
    array: Value,
    place: Place,
    primitive: str,
) -> Window:
    """The smallest window with all boxes in it."""
    bases: list[AffineExpr] = []
    extents: list[int] = []
    for d in range(array.array.rank):
        fixed = boxes[0][d][0]
        for op, box in zip(found, boxes, strict=True):
            if box[d][0] != fixed:
                raise IllegalScheduleError(
                    f"{primitive}: along dimension {d + 1} of {array.name!r} this access starts at "
                    f"{fixed} and another one at {box[d][0]}: a buffer would lose what is written "
                    "through the other",
                    loc=found[0].loc,
                    notes=_outside(found, boxes, op, d, place),
                )
        low = min(box[d][1][0] for box in boxes)
        high = max(box[d][1][1] for box in boxes)
        bases.append(fixed + low)
        extents.append(high - low + 1)
    kept = tuple(
        d for d, (base, extent) in enumerate(zip(bases, extents, strict=True))
        if extent > 1 or _reaches_out(place, base, extent, array.array.shape[d]) != (False, False)
    )  # fmt: skip
    return Window(tuple(bases), tuple(extents), kept)


def _reaches_out(place: Place, base: AffineExpr, extent: int, end: int) -> tuple[bool, bool]:
    """Whether ``extent`` elements from ``base`` on may begin before 0, and end after ``end``."""
    ranges = counter_ranges(place)
    low, high = base.bounds(lambda v: ranges.get(v, (index.min, index.max)))
    return low < 0, high + extent > end


def _outside(
    found: Sequence[Load | Store],
    boxes: Sequence[_Box],
    other: Load | Store,
    dim: int,
    place: Place,
) -> list[Note]:
    """An iteration whose buffer, made for the first access, has no room for another one."""
    fixed, (low, high) = boxes[0][dim]
    same = [op for op, box in zip(found, boxes, strict=True) if box[dim] == boxes[0][dim]]
    one = next((op for op in same if isinstance(op, Store)), same[0])
    loops = _loops_around(place, other)
    for at in iterations(loops):
        try:
            start, here = (e.evaluate(at.__getitem__) for e in (fixed, other.index[dim]))
        except KeyError:
            break
        if not start + low <= here <= start + high:
            own = _loops_around(place, one)
            for mine in iterations(own):
                if all(mine[p.iv] == at[p.iv] for p in place.nest):
                    return [_shown(one, mine, own), _shown(other, at, loops)]
    return [("the other access", other.loc)] if other.loc else []


def _loops_around(place: Place, op: Op) -> tuple[For, ...]:
    """The loops of a band that an operation is in."""
    return tuple(p for p in all_loops((place.nest[0],)) if op in tuple(walk(p.body)))


def _shown(op: Load | Store, at: Mapping[Value, int], loops: Sequence[For]) -> Note:
    cell = [
        str(e.evaluate(at.__getitem__)) if e.values <= at.keys() else "?" for e in op.index
    ]
    verb = "writes" if isinstance(op, Store) else "reads"
    iteration = iteration_text(loops, [at[p.iv] for p in loops])
    return f"iteration {iteration} {verb} {op.array.name}[{', '.join(cell)}]", op.loc


def apply_buffer_at(
    module: Module, place: Place, array: Value, window: Window
) -> tuple[Module, str]:
    """The module with the buffer, and the buffer's name."""
    loop, type_ = place.loop, array.array
    shape = tuple(window.extents[d] for d in window.kept)
    name = fresh_array_name(place.func, f"{array.name}_buf")
    buffer = Value(ArrayType(type_.element, shape), name)

    def visit(op: Op) -> Op | None:
        if isinstance(op, Load | Store) and op.array is array:
            return replace(op, array=buffer, index=window.inside(op.index))
        return None

    body = map_block(loop.body, visit)
    pipelined = any(p.attrs.pipeline_ii is not None for p in place.nest)
    copies = _Copies(place, array, buffer, window, pipelined)
    new = (
        Alloc(result=buffer, loc=loop.loc), *copies.nest("init"), *body, *copies.nest("back"),
    )  # fmt: skip
    return replace_loop(module, place.func, loop, replace(loop, body=new)), name


@dataclass(frozen=True)
class _Copies:
    """Makes the loops that fill the buffer before, and empty it after."""

    place: Place
    array: Value
    buffer: Value
    window: Window
    pipelined: bool

    def nest(self, suffix: str) -> Block:
        """``init``: from the array to the buffer; ``back``: from the buffer to the array."""
        loc = self.place.loop.loc
        taken = {loop.name for loop in all_loops((self.place.nest[0],))}
        ivs = [
            Value(index, unused(f"{self._name(d)}_{suffix}", taken)) for d in self.window.kept
        ]
        inside = tuple(map(AffineExpr.of, ivs))
        at = list(self.window.bases)
        for d, iv in zip(self.window.kept, inside, strict=True):
            at[d] = at[d] + iv
        word = Value(self.array.array.element)
        into, out = (self.buffer, self.array) if suffix == "init" else (self.array, self.buffer)
        where = {self.buffer: inside, self.array: tuple(at)}
        body: Block = (
            Load(result=word, array=out, index=where[out], loc=loc),
            Store(value=word, array=into, index=where[into], loc=loc),
        )
        for k in reversed(range(len(ivs))):
            body = (self._loop(k, ivs, body),)
        return body

    def _loop(self, k: int, ivs: Sequence[Value], body: Block) -> For:
        lower, upper = self._bounds(self.window.kept[k])
        innermost = k == len(ivs) - 1
        attrs = LoopAttrs(pipeline_ii=1 if innermost and not self.pipelined else None)
        return For(
            iv=ivs[k], lower=lower, upper=upper, body=body, name=ivs[k].name, attrs=attrs,
            loc=self.place.loop.loc,
        )  # fmt: skip

    def _bounds(self, dim: int) -> tuple[Bounds, Bounds]:
        """The window may reach beyond the array, and conditions or bounds keep the loop inside."""
        base, extent = self.window.bases[dim], self.window.extents[dim]
        end = self.array.array.shape[dim]
        before, after = _reaches_out(self.place, base, extent, end)
        zero, full = AffineExpr.constant(0), AffineExpr.constant(extent)
        lower = (zero, -base) if before else (zero,)
        upper = (full, AffineExpr.constant(end) - base) if after else (full,)
        return lower, upper

    def _name(self, dim: int) -> str:
        """That of the loop that runs along the dimension, when there is one."""
        inner = {loop.iv: loop.name for loop in all_loops(self.place.loop.body)}
        for op in walk(self.place.loop.body):
            if isinstance(op, Load | Store) and op.array is self.array:
                for value in sorted(op.index[dim].values, key=lambda v: v.uid):
                    if value in inner:
                        return inner[value]
        return self.array.name
