"""buffer_at of an array that is only read: a copy that iterations of a loop hand on to the next.

For the ``j`` of a nest ``i, j, k`` whose iterations read ``A[i, k]``, the copy is
``A_fifo[i, j, k]``: iteration ``j`` takes the word from there, and puts it to ``A_fifo[i, j + 1,
k]``.  Made processing elements (:mod:`allo_rtl.schedule.unfold`), neighbours have a FIFO for each
``i`` and ``j``, which is a systolic array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Alloc, Block, For, Load, LoopAttrs, Module, Op, Store, Value
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.rewrite import map_block, replace_func, walk
from allo_rtl.ir.types import ArrayType, DimPartition, Partition, index
from allo_rtl.schedule.element_checks import is_counted, other_uses, uses
from allo_rtl.schedule.loops import Place, check_made_outside, fresh_array_name, unused
from allo_rtl.schedule.shared import check_shared
from allo_rtl.schedule.write_buffer import nothing_to_gather


@dataclass(frozen=True)
class Chain:
    """Reads of one word of an array in each iteration of a nest.

    Attributes:
        loops: all that are around the reads, outermost first.
        axis: the one whose iterations hand the word on; not the innermost.
        loads: they have the same subscripts, without the counter of ``axis``.
    """

    loops: tuple[For, ...]
    axis: For
    loads: tuple[Load, ...]

    @property
    def dims(self) -> tuple[For, ...]:
        """The loops that the dimensions of the copy go along."""
        *outer, inner = (p for p in self.loops if p is not self.axis)
        return (*outer, self.axis, inner)


def is_only_read(place: Place, array: Value) -> bool:
    """Whether a loop loads elements of an array, and stores none."""
    mine = uses(place.loop.body, array)
    return bool(mine) and all(isinstance(op, Load) for op in mine)


def check_hand_on(module: Module, place: Place, array: Value, said: str) -> Chain:
    """The reads of an array that the iterations of a loop can hand on.

    Raises:
        ScheduleError: they differ, or do not take place once in each iteration of loops that
            count from 0 to constants in ones.
        IllegalScheduleError: something in the band changes the array.
    """
    loads = [op for op in uses(place.loop.body, array) if isinstance(op, Load)]
    chain = Chain(_loops_around(place, array, loads, said), place.loop, tuple(loads))
    _check_subscripts(chain, array, said)
    for loop in chain.loops:
        if not is_counted(loop):
            raise ScheduleError(
                f"{said}: loop {loop.name!r} around a read of {array.name!r} does not count from "
                "0 to a constant in ones", loc=loop.loc, allowed="for i in range(8)",
            )  # fmt: skip
    check_made_outside(place.nest[0], array, said)
    _check_unchanged(module, place, array, loads, said)
    check_shared(module, place.func, [array], (place.nest[0],), said)
    return chain


def _loops_around(
    place: Place, array: Value, loads: Sequence[Load], said: str
) -> tuple[For, ...]:
    """The loops around all the loads, which stand in the innermost of them."""
    first = place.nest[0]
    if first not in place.func.body:
        raise ScheduleError(
            f"{said}: the band of loop {place.loop.name!r} stands inside a condition",
            loc=first.loc, allowed=f"a band outside all conditions of {place.func.name}",
        )  # fmt: skip
    around = tuple(p for p in all_loops((first,)) if loads[0] in tuple(walk(p.body)))
    direct = all(b in a.body for a, b in pairwise(around))
    for op in loads:
        if not direct or op not in around[-1].body:
            raise ScheduleError(
                f"{said}: {array.name!r} is read in several places, or under a condition",
                loc=op.loc, notes=[("one read is here", loads[0].loc)],
                allowed="reads that stand beside each other, in loops that stand directly in "
                "each other",
            )  # fmt: skip
    if around[-1] is place.loop:
        raise nothing_to_gather(place.loop, said)
    return around


def _check_subscripts(chain: Chain, array: Value, said: str) -> None:
    counters = {p.iv for p in chain.loops}
    for op in chain.loads:
        shown = f"{array.name}[{', '.join(map(str, op.index))}]"
        used = {v for e in op.index for v in e.values}
        if chain.axis.iv in used:
            free = [repr(p.name) for p in chain.loops[:-1] if p.iv not in used]
            raise ScheduleError(
                f"{said}: {array.name!r} is only read, and iterations of loop "
                f"{chain.axis.name!r} read different elements, {shown}, so that none can hand "
                "on what it has read",
                loc=op.loc,
                allowed="a loop that writes the array, or one that is not in the subscripts"
                + (f": {', '.join(free)}" if free else ""),
                hint="reuse_at buffers windows of what is only read",
            )
        if used - counters or op.index != chain.loads[0].index:
            raise ScheduleError(
                f"{said}: an iteration reads more than one element of {array.name!r}, or which "
                f"one depends on data: {shown}", loc=op.loc,
                allowed="one element an iteration, with subscripts of loop counters",
            )  # fmt: skip


def _check_unchanged(
    module: Module, place: Place, array: Value, loads: Sequence[Load], said: str
) -> None:
    """The copy is made before the band, so nothing in it may change the array."""
    band = (place.nest[0],)
    others = (op for op in other_uses(module, place.func, band, array) if not isinstance(op, Load))
    for op in (*(x for x in uses(band, array) if isinstance(x, Store)), *others):
        raise IllegalScheduleError(
            f"{said}: this may change {array.name!r}, of which a copy would be made before "
            f"loop {place.nest[0].name!r}", loc=op.loc,
            notes=[("this would read the copy", loads[0].loc)],
        )  # fmt: skip


def apply_hand_on_buffer(
    module: Module, place: Place, array: Value, chain: Chain
) -> tuple[Module, str]:
    """The module with the copy, and its name."""
    extents = [p.trip_count or 0 for p in chain.dims]
    shape = tuple(n + (p is chain.axis) for n, p in zip(extents, chain.dims, strict=True))
    element = array.array.element
    name = fresh_array_name(place.func, f"{array.name}_fifo")
    copy = Value(ArrayType(element, shape), name)
    ends = tuple(extents[:-2])
    banks = tuple(DimPartition(Partition.Complete, n) for n in ends)  # Nobody reads registers.
    last = Value(
        ArrayType(element, ends, banks), fresh_array_name(place.func, f"{array.name}_drain")
    )
    bands = _Bands(place, chain, array, {p.attrs.band for p in all_loops(place.func.body)})
    loc = place.nest[0].loc
    new = (
        Alloc(result=copy, loc=loc), Alloc(result=last, loc=loc),
        bands.load(copy), bands.compute(copy), bands.drain(copy, last),
    )  # fmt: skip
    body = map_block(place.func.body, lambda op: new if op is place.nest[0] else None)
    return replace_func(module, replace(place.func, body=body)), name


@dataclass(frozen=True)
class _Bands:
    """Makes the band that fills the first places of the copy, the one that hands on, and the one
    that takes what the last iterations have put (so that a FIFO there does not fill up)."""

    place: Place
    chain: Chain
    array: Value
    taken: set[str]

    def load(self, copy: Value) -> For:
        ivs = self._counters("load")
        index = tuple(
            e.substitute(lambda v: AffineExpr.of(ivs[v]) if v in ivs else None)
            for e in self.chain.loads[0].index
        )
        word, loc = Value(self.array.array.element), self.chain.loads[0].loc
        return self._band("load", ivs, (
            Load(result=word, array=self.array, index=index, loc=loc),
            Store(value=word, array=copy, index=self._at(ivs, 0), loc=loc),
        ))  # fmt: skip

    def compute(self, copy: Value) -> For:
        here = tuple(AffineExpr.of(p.iv) for p in self.chain.dims)
        there = tuple(
            e + (p is self.chain.axis) for e, p in zip(here, self.chain.dims, strict=True)
        )
        first, loads = self.chain.loads[0], set(self.chain.loads)

        def visit(op: Op) -> Block | None:
            if not isinstance(op, Load) or op not in loads:
                return None
            taken = replace(op, array=copy, index=here)
            give = Store(value=first.result, array=copy, index=there, loc=op.loc)
            return (taken, give) if op is first else (taken,)

        (band,) = map_block((self.place.nest[0],), visit)
        assert isinstance(band, For)
        return band

    def drain(self, copy: Value, last: Value) -> For:
        ivs = self._counters("drain")
        word, loc = Value(self.array.array.element), self.chain.loads[0].loc
        at = self._at(ivs, self.chain.axis.trip_count or 0)
        return self._band("drain", ivs, (
            Load(result=word, array=copy, index=at, loc=loc),
            Store(value=word, array=last, index=at[: last.array.rank], loc=loc),
        ))  # fmt: skip

    def _counters(self, suffix: str) -> dict[Value, Value]:
        """Of all loops but the axis."""
        loops = (p for p in self.chain.loops if p is not self.chain.axis)
        return {p.iv: Value(index, f"{p.name}_{suffix}") for p in loops}

    def _at(self, ivs: dict[Value, Value], step: int) -> tuple[AffineExpr, ...]:
        """The place in the copy before (0) or after iterations of the axis."""
        return tuple(
            AffineExpr.constant(step) if p is self.chain.axis else AffineExpr.of(ivs[p.iv])
            for p in self.chain.dims
        )

    def _band(self, suffix: str, ivs: dict[Value, Value], body: Block) -> For:
        """Loops in the order in which elements want the words: the innermost outermost."""
        *outer, inner = (p for p in self.chain.loops if p is not self.chain.axis)
        band = unused(f"{self.array.name}_{suffix}", self.taken)
        for depth, loop in enumerate([*reversed(outer), inner]):
            is_root = loop is inner
            body = (For(
                iv=ivs[loop.iv], lower=loop.lower, upper=loop.upper, body=body,
                name=ivs[loop.iv].name, loc=loop.loc,
                attrs=LoopAttrs(
                    band=band if is_root else "", pipeline_ii=None if depth else 1
                ),
            ),)  # fmt: skip
        (root,) = body
        assert isinstance(root, For)
        return root
