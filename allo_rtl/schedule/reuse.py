"""The primitive that keeps what a sliding window has read: reuse_at.

Along the loop the window moves by a stride; what two positions share is kept in a buffer whose
first dimension is the window.  Each iteration of the new loop shifts the buffer, reads one new
slice of the array, and once the window is full runs the old body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr, FloorDiv, Interval, Mod
from allo_rtl.ir.dependence import Access, accesses, before, conflict
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
    Block,
    Call,
    Compare,
    Constant,
    For,
    If,
    Load,
    LoopAttrs,
    Module,
    Op,
    Predicate,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import ArrayType, DimPartition, Partition, ScalarType, bool_, index
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.legality import collision, numbers_outside
from allo_rtl.schedule.loops import (
    Place,
    check_made_outside,
    counter_ranges,
    fresh_array_name,
    fresh_name,
    replace_counter,
    replace_loop,
)
from allo_rtl.schedule.shared import check_shared


@dataclass(frozen=True)
class Window:
    """How a loop moves over an array.

    Attributes:
        dim: the dimension it moves along.
        stride: elements it moves by in one iteration.
        bases, extents: of each dimension, where the part that one iteration reads begins (along
            ``dim``: in the first iteration) and how many elements it has.
    """

    dim: int
    stride: int
    bases: tuple[AffineExpr, ...]
    extents: tuple[int, ...]

    @property
    def size(self) -> int:
        """Elements of the window along its dimension."""
        return self.extents[self.dim]

    @property
    def others(self) -> tuple[int, ...]:
        """The other dimensions along which an iteration reads several elements."""
        return tuple(d for d, n in enumerate(self.extents) if n > 1 and d != self.dim)


# --- what may be reused ----------------------------------------------------------------------


def check_reuse_at(module: Module, place: Place, array: Value, primitive: str) -> Window:
    """How the loop moves over the array.

    Raises:
        ScheduleError: there is no window that moves by less than its size.
        IllegalScheduleError: an iteration of the loop reads what an earlier one wrote.
    """
    loop = place.loop
    if loop.trip_count == 0:
        raise ScheduleError(
            f"{primitive}: loop {loop.name!r} has no iterations, so that nothing is reused",
            loc=loop.loc, allowed="a loop of two iterations or more",
        )  # fmt: skip
    if loop.constant_bounds is None or loop.trip_count is None:
        raise ScheduleError(
            f"{primitive} needs constant bounds, and those of loop {loop.name!r} are not",
            loc=loop.loc,
            allowed="loops such as range(8)",
        )
    check_made_outside(loop, array, primitive)
    check_shared(module, place.func, [array], loop.body, primitive)
    loads = _loads(module, place, array, primitive)
    ranges = counter_ranges(place)
    windows = [_reads(op, place, ranges, primitive) for op in loads]
    window = _union(windows, loads, array, primitive)
    if window.size <= window.stride:
        raise _no_pattern(place, array, primitive, loads[0])
    _check_inside(window, place, array, ranges, primitive)
    return window


def _no_pattern(place: Place, array: Value, primitive: str, op: Op) -> ScheduleError:
    return ScheduleError(
        f"{primitive}: loop {place.loop.name!r} moves no window up through {array.name!r} that "
        "overlaps the next iteration's",
        loc=op.loc,
        allowed="a loop whose counter is in one subscript, with a factor above zero",
    )


def _loads(module: Module, place: Place, array: Value, primitive: str) -> list[Load]:
    """The loads that the buffer would serve; none of them may read what the loop has written."""
    known = aliases(module, place.func)
    numbers = numbers_outside(place.func.body, place.nest[0])
    around = [known.access(a) for a in accesses((place.nest[0],), module, numbers)]
    inside = [a for a in around if place.loop in a.loops and a.array is known.root(array)]
    served = [a for a in inside if isinstance(a.op, Load) and a.op.array is array]
    if not served:
        raise ScheduleError(
            f"{primitive}: loop {place.loop.name!r} does not read {array.name!r}",
            loc=place.loop.loc,
            allowed="a loop with loads of the array in it",
        )
    for write in (a for a in inside if a.is_store):
        for read in served:
            _check_fresh(write, read, place, array, primitive)
    return [a.op for a in served if isinstance(a.op, Load)]


def _check_fresh(
    write: Access, read: Access, place: Place, array: Value, primitive: str
) -> None:
    """An iteration may write what none reads from then on."""
    loops = [p for p in write.loops if p in read.loops and p not in place.nest[:-1]]
    first = write.position < read.position

    def earlier(s: Sequence[str], d: Sequence[str]) -> str:
        same = " and ".join(f"{x} = {y}" for x, y in zip(s, d, strict=True))
        return f"({before(s, d)} or ({same}))" if first else before(s, d)

    if (hit := conflict(write, read, loops, earlier)) is not None:
        op = write.op
        what = f"a call of {op.callee} uses" if isinstance(op, Call) else "this writes"
        raise IllegalScheduleError(
            f"{primitive}: {what} {array.name!r} inside loop {place.loop.name!r}, and the "
            "reuse buffer would keep the old values",
            loc=op.loc,
            notes=collision(write, read, hit, loops, loops),
            hint=_copied(place, array),
        )


def _copied(place: Place, array: Value) -> str | None:
    """What to say of a buffer: that it is the array it is filled from that is used again."""
    ops = list(walk(place.loop.body))
    loaded = {op.result: op.array for op in ops if isinstance(op, Load)}
    stored = [op.value for op in ops if isinstance(op, Store) and op.array is array]
    sources = {loaded.get(v) for v in stored} - {array}
    if len(sources) != 1 or None in sources:
        return None
    (source,) = sources
    assert source is not None
    return (
        f"{array.name} has copies of {source.name}, which is what iterations of loop "
        f"{place.loop.name!r} read again: reuse_at({source.name!r}, {place.loop.name!r}); or first "
        "the outer loop, and then its buffer in the inner one"
    )


def _reads(
    op: Load, place: Place, ranges: Mapping[Value, Interval], primitive: str
) -> Window:
    """The window of one load."""
    loop = place.loop
    first = loop.constant_bounds
    assert first is not None
    inner = {p.iv for p in all_loops(loop.body)}
    varying = inner | {v for o in walk(loop.body) for v in o.results()}
    dim, stride = -1, 0
    bases, extents = [], []
    for d, subscript in enumerate(op.index):
        fixed, moving = AffineExpr.constant(0), AffineExpr.constant(subscript.const)
        for atom, factor in subscript.terms:
            used = atom.numerator.values if isinstance(atom, FloorDiv | Mod) else {atom}
            if atom is loop.iv and dim < 0 and factor > 0:
                dim, stride = d, factor * loop.step
                fixed = fixed + factor * first[0]
                continue
            if loop.iv in used or used & (varying - inner):
                raise _no_pattern(place, op.array, primitive, op)
            term = AffineExpr(((atom, factor),), 0)
            fixed, moving = (fixed, moving + term) if used & inner else (fixed + term, moving)
        low, high = moving.bounds(ranges.__getitem__)
        bases.append(fixed + low)
        extents.append(high - low + 1)
    if dim < 0:
        raise _no_pattern(place, op.array, primitive, op)
    return Window(dim, stride, tuple(bases), tuple(extents))


def _union(
    windows: Sequence[Window], loads: Sequence[Load], array: Value, primitive: str
) -> Window:
    """The smallest window with all of them in it; they must move together."""
    first = windows[0]
    bases = list(first.bases)
    ends = [b + n for b, n in zip(first.bases, first.extents, strict=True)]
    for window, load in zip(windows[1:], loads[1:], strict=True):
        gaps = [b - a for a, b in zip(bases, window.bases, strict=True)]
        same = (window.dim, window.stride) == (first.dim, first.stride)
        if not same or not all(g.is_constant for g in gaps):
            raise ScheduleError(
                f"{primitive}: the reads of {array.name!r} do not move together",
                loc=load.loc,
                notes=[("another one is here", loads[0].loc)] if loads[0].loc else (),
                allowed="subscripts with the counter of the loop in one dimension, and one factor",
            )
        for d, gap in enumerate(gaps):
            end = window.bases[d] + window.extents[d]
            bases[d] = min(bases[d], bases[d] + gap.const, key=lambda e: e.const)
            ends[d] = max(ends[d], end, key=lambda e: e.const)
    extents = tuple((e - b).const for b, e in zip(bases, ends, strict=True))
    return Window(first.dim, first.stride, tuple(bases), extents)


def _check_inside(
    window: Window, place: Place, array: Value, ranges: Mapping[Value, Interval], primitive: str
) -> None:
    """Every slice is read whole, so that all of it must be inside the array."""
    trips = place.loop.trip_count or 1
    for d, (base, extent) in enumerate(zip(window.bases, window.extents, strict=True)):
        low, high = base.bounds(lambda v: ranges.get(v, (index.min, index.max)))
        high += extent - 1 + (window.stride * (trips - 1) if d == window.dim else 0)
        if low < 0 or high >= array.array.shape[d]:
            raise ScheduleError(
                f"{primitive}: the window reaches from {low} to {high} along dimension {d + 1} of "
                f"{array.name!r}, which is {array.type}",
                loc=place.loop.loc,
                hint="a condition keeps the reads inside; pad the array instead",
            )


# --- the rewrite -------------------------------------------------------------------------------


def apply_reuse_at(
    module: Module, place: Place, array: Value, window: Window
) -> tuple[Module, str]:
    """The module with the reuse buffer, and the buffer's name."""
    loop = place.loop
    shape = (window.size, *(window.extents[d] for d in window.others))
    name = fresh_array_name(place.func, f"{place.band}_reuse_{loop.iv.name or loop.name}")
    banks = [DimPartition(Partition.Complete, window.size), *[None] * len(window.others)]
    if _is_reuse_buffer(array):
        banks = [DimPartition(Partition.Complete, n) for n in shape]
    buffer = Value(ArrayType(array.array.element, shape, tuple(banks)), name)
    new = _Rewriter(place, array, buffer, window).loop()
    if (merged := _merged(place, array, new)) is not None:
        loop, new = merged
    return _with_alloc(replace_loop(module, place.func, loop, new), place, buffer), name


def _merged(place: Place, array: Value, new: For) -> tuple[For, For] | None:
    """The loop around, and what replaces it, when the loop that fills the array can do so too.

    The window of a line buffer moves over the line element by element, just as the line is
    filled: one loop does both, and takes each element as it comes.

        for y:                                 for y:
            for f: fill the line's f               for x:
            if full:                      ->           fill the line's x
                for x: window from the line            if full: window from the line
    """
    if len(place.nest) < 2 or not _is_reuse_buffer(array):
        return None
    outer = place.nest[-2]
    fill, pure, last = outer.body[0], outer.body[1:-1], outer.body[-1]
    if not isinstance(fill, For) or not isinstance(last, If) or last.then != (place.loop,):
        return None
    if last.orelse or not all(isinstance(op, Apply | Constant | Compare | Binary) for op in pure):
        return None
    if fill.constant_bounds != new.constant_bounds or fill.step != 1:
        return None
    reads = [op for op in new.body if isinstance(op, For)]
    taken = [op for p in reads for op in walk(p.body) if isinstance(op, Load) and op.array is array]
    if not taken or any(op.index[1:] != (AffineExpr.of(new.iv),) for op in taken):
        return None
    filled = replace_counter(fill.body, fill.iv, AffineExpr.of(new.iv))
    body = (*filled, replace(last, then=new.body))
    return outer, replace(outer, body=(*pure, replace(new, body=body)))


def _is_reuse_buffer(array: Value) -> bool:
    return "_reuse_" in array.name and array.array.partition != ()


def _with_alloc(module: Module, place: Place, buffer: Value) -> Module:
    """The module with the buffer allocated before the band."""
    func = module.func(place.func.name)
    band = next(k for k, op in enumerate(func.body) if _has_band(op, place.band))
    body = (*func.body[:band], Alloc(result=buffer, loc=place.loop.loc), *func.body[band:])
    new = replace(func, body=body)
    return replace(module, funcs=tuple(new if f.name == new.name else f for f in module.funcs))


def _has_band(op: Op, band: str) -> bool:
    return any(isinstance(p, For) and p.attrs.band == band for p in walk((op,)))


@dataclass(frozen=True)
class _Rewriter:
    """Builds the loop over positions."""

    place: Place
    array: Value
    buffer: Value
    window: Window

    def loop(self) -> For:
        """``for p in positions: shift; read; if the window is full: the old body``."""
        old, w = self.place.loop, self.window
        trips = old.trip_count
        assert trips is not None
        positions = w.stride * (trips - 1) + w.size
        iv = Value(index, old.iv.name)
        p = AffineExpr.of(iv)
        number = (p - (w.size - 1)).floordiv(w.stride)
        bounds = old.constant_bounds
        assert bounds is not None
        body = map_block(old.body, self._from_buffer)
        body = replace_counter(body, old.iv, number * old.step + bounds[0])
        body = (*self._fill(p), *self._when_full(p, body))
        end = AffineExpr.constant(positions)
        return replace(
            old, iv=iv, lower=(AffineExpr.constant(0),), upper=(end,), step=1, body=body
        )

    def _from_buffer(self, op: Op) -> Op | None:
        if not isinstance(op, Load) or op.array is not self.array:
            return None
        w, loop = self.window, self.place.loop
        at = [op.index[d] - w.bases[d] for d in (w.dim, *w.others)]
        factor = op.index[w.dim].coefficient(loop.iv)
        bounds = loop.constant_bounds
        assert bounds is not None
        at[0] = at[0] - AffineExpr.of(loop.iv) * factor + factor * bounds[0]
        return replace(op, array=self.buffer, index=tuple(at))

    def _fill(self, p: AffineExpr) -> Block:
        """Shift the window by one, and read the slice at position ``p`` into its last place."""
        w, loc = self.window, self.place.loop.loc
        ivs = [Value(index, self._fill_name(d)) for d in w.others]
        along = tuple(map(AffineExpr.of, ivs))
        body: list[Op] = []
        for q in range(w.size - 1):
            kept = Value(self._element)
            here, there = (AffineExpr.constant(n) for n in (q, q + 1))
            body += [
                Load(result=kept, array=self.buffer, index=(there, *along), loc=loc),
                Store(value=kept, array=self.buffer, index=(here, *along), loc=loc),
            ]
        at = list(w.bases)
        at[w.dim] = at[w.dim] + p
        for d, iv in zip(w.others, along, strict=True):
            at[d] = at[d] + iv
        new, last = Value(self._element), AffineExpr.constant(w.size - 1)
        body += [
            Load(result=new, array=self.array, index=tuple(at), loc=loc),
            Store(value=new, array=self.buffer, index=(last, *along), loc=loc),
        ]
        return self._nest(ivs, tuple(body))

    @property
    def _element(self) -> ScalarType:
        return self.array.array.element

    def _fill_name(self, dim: int) -> str:
        base = self.place.loop.name
        return fresh_name(self.place.nest[0], f"{base}_fill{dim}")

    def _nest(self, ivs: Sequence[Value], body: Block) -> Block:
        pipelined = any(p.attrs.pipeline_ii is not None for p in self.place.nest)
        small = _is_reuse_buffer(self.array)
        for k in reversed(range(len(ivs))):
            extent = self.window.extents[self.window.others[k]]
            mark = k == len(ivs) - 1 and not pipelined and not small
            attrs = LoopAttrs(pipeline_ii=1 if mark else None, unroll=0 if small else None)
            body = (For(
                iv=ivs[k], lower=(AffineExpr.constant(0),), upper=(AffineExpr.constant(extent),),
                body=body, name=ivs[k].name, attrs=attrs, loc=self.place.loop.loc,
            ),)  # fmt: skip
        return body

    def _when_full(self, p: AffineExpr, body: Block) -> Block:
        """The body, when the window holds the elements of one of the old iterations."""
        w = self.window
        at, first, full = Value(index), Value(index), Value(bool_)
        ops: list[Op] = [
            Apply(result=at, expr=p), Constant(result=first, value=w.size - 1),
            Compare(predicate=Predicate.GE, result=full, lhs=at, rhs=first),
        ]  # fmt: skip
        if w.stride > 1:
            phase, zero, hit = Value(index), Value(index), Value(bool_)
            both = Value(bool_)
            ops += [
                Apply(result=phase, expr=(p - (w.size - 1)).mod(w.stride)),
                Constant(result=zero, value=0),
                Compare(predicate=Predicate.EQ, result=hit, lhs=phase, rhs=zero),
                Binary(kind=BinaryKind.AND, result=both, lhs=full, rhs=hit),
            ]
            full = both
        return (*ops, If(condition=full, then=body))
