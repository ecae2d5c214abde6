"""Giving what stands beside the loops of a nest loops of its own, so that the nest is perfect.

    for j in range(N):                 for j_before in range(N):
        C[j] = 0                           C[j_before] = 0
        for k in range(K):       ->    for j in range(N):
            C[j] += A[k] * B[k, j]         for k in range(K):
                                               C[j] += A[k] * B[k, j]

All iterations of what stands before an inner loop then run before all of that loop's, and those of
what stands after it run last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.dependence import accesses, before, conflict
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    For,
    Func,
    Load,
    Module,
    Op,
    SubView,
    Value,
)
from allo_rtl.ir.rewrite import clone, map_block, replace_func, walk
from allo_rtl.ir.stream_ops import STREAM_OPS
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.expand import PURE, delayed, expanded
from allo_rtl.schedule.legality import Violation, illegal, numbers_outside, printing
from allo_rtl.schedule.loops import Place, find_loop, fresh_name, roots, unused


def made_perfect(module: Module, place: Place, outer: For, primitive: str) -> Module:
    """The module in which the nest from ``outer`` down to the loop of a place is perfect.

    Args:
        module, place: where the inner loop is.
        outer: a loop around it.
        primitive: as the user wrote it.

    Raises:
        ScheduleError: what stands beside the loops has a part in them that cannot be split off.
        IllegalScheduleError: an iteration would run before one that it must follow.
    """
    first = place.nest.index(outer)
    for around, inner in zip(place.nest[first:], place.nest[first + 1 :], strict=False):
        if inner not in around.body:
            raise ScheduleError(
                f"{primitive}: loop {inner.name!r} runs under a condition inside loop "
                f"{around.name!r}",
                loc=inner.loc,
                allowed="loops that stand directly inside each other",
            )
    for depth in range(first + 1, len(place.nest)):
        now = find_loop(module, place.handle)
        nest = now.nest[first : depth + 1]
        if nest[-2].body != (nest[-1],):
            split = _Split.of(module, now.func, nest, primitive)
            wider = expanded(split.func, split.loops, split.groups)
            if wider is not None:
                module = replace_func(module, wider)
                now = find_loop(module, place.handle)
                split = _Split.of(module, wider, now.nest[first : depth + 1], primitive)
            split.check()
            module = replace_func(module, split.applied())
    return module


@dataclass(frozen=True)
class _Split:
    """One distribution: the loops, and what is in the innermost of them.

    Attributes:
        module, func: where it is.
        loops: those that everything gets copies of, outermost first; perfectly nested.
        inner: the loop that stays in them alone.
        groups: what stands before it, the loop, what stands after it.
        pure: what the groups compute with, and can each compute on its own.
        primitive: as the user wrote it.
    """

    module: Module
    func: Func
    loops: tuple[For, ...]
    inner: For
    groups: tuple[Block, Block, Block]
    pure: Block
    primitive: str

    @staticmethod
    def of(module: Module, func: Func, nest: Sequence[For], primitive: str) -> _Split:
        *loops, inner = nest
        body = loops[-1].body
        pure = _movable(module, func, loops)
        at = body.index(inner)
        groups = tuple(
            tuple(op for op in part if op not in pure)
            for part in (body[:at], (inner,), body[at + 1 :])
        )
        assert len(groups) == 3
        groups = delayed(groups, aliases(module, func).root)
        return _Split(module, func, tuple(loops), inner, groups, pure, primitive)

    def check(self) -> None:
        """Raise unless the groups may run one after the other."""
        self._check_values()
        self._check_effects()
        for k, late in enumerate(self.groups):
            for early in self.groups[:k]:
                self._check_order(early, late)

    def _check_values(self) -> None:
        """No group may use what another one makes in the same iteration."""
        for group in self.groups:
            made = {v for op in group for v in op.results()}
            for other in self.groups:
                used = {v for op in walk(other) for v in op.operands()}
                if other is not group and (shared := made & used):
                    self._refuse_value(group, next(iter(shared)))
        bounds = {v for e in (*self.inner.lower, *self.inner.upper) for v in e.values}
        if any(bounds & set(op.results()) for op in self._sunk()):
            raise ScheduleError(
                f"{self.primitive}: the bounds of loop {self.inner.name!r} are computed inside "
                f"loop {self.loops[-1].name!r}, which must stay outside it",
                loc=self.inner.loc,
                hint="bounds that are made of constants, arguments and counters move along",
            )

    def _refuse_value(self, group: Block, value: Value) -> None:
        maker = next(op for op in group if value in op.results())
        name = value.name or "a value"
        hint = (
            "where the loops have constant bounds, each iteration can have a place of its own in "
            "an array, if elements are read and written one by one"
        )
        raise ScheduleError(
            f"{self.primitive}: each iteration of loop {self.loops[-1].name!r} makes {name!r}, "
            f"which stands beside loop {self.inner.name!r} and is used by it too or after it",
            loc=maker.loc or self.inner.loc,
            hint=hint if isinstance(maker, Alloc) else None,
        )

    def _check_effects(self) -> None:
        """What is seen outside as it happens keeps its order."""
        for what, seen in (
            ("print lines", [printing(self.module, g) for g in self.groups]),
            ("use streams", [_stream_op(g) for g in self.groups]),
        ):
            ops = [op for op in seen if op is not None]
            if len(ops) > 1:
                raise IllegalScheduleError(
                    f"{self.primitive}: loop {self.inner.name!r} and what stands beside it both "
                    f"{what}, in turn",
                    loc=ops[0].loc,
                    notes=[("and here", ops[1].loc)] if ops[1].loc else (),
                )

    def _check_order(self, early: Block, late: Block) -> None:
        known = aliases(self.module, self.func)
        band = next(r for r in roots(self.func.body) if self.loops[0] in tuple(walk((r,))))
        numbers = numbers_outside(self.func.body, band)
        found = [known.access(a) for a in accesses((band,), self.module, numbers)]
        first, last = set(walk(early)), set(walk(late))
        for source in (a for a in found if a.op in last):
            for sink in (a for a in found if a.op in first):
                if source.array is sink.array and (source.is_store or sink.is_store):
                    hit = conflict(source, sink, self.loops, before)
                    if hit is not None:
                        raise illegal(
                            self.primitive,
                            f"what stands beside loop {self.inner.name!r} would get loops of its "
                            "own, and its iteration {sink} would run before {source} of the other, "
                            "which it must follow",
                            Violation(source, sink, hit, self.loops),
                        )

    # --- the rewrite ---------------------------------------------------------------------------

    def applied(self) -> Func:
        """The function with the groups in loops of their own."""
        parts: list[Op] = []
        for group, suffix in zip(self.groups, ("before", "", "after"), strict=True):
            if not suffix:
                parts += self._main()
            elif group:
                parts.append(self._copy(group, suffix))
        target = self.loops[0]
        new = tuple(parts)
        body = map_block(self.func.body, lambda op: new if op is target else None)
        return replace(self.func, body=body)

    def _main(self) -> Block:
        """The loops with the inner one alone; what it computes with is inside it, or before."""
        below = self._sunk()
        above = tuple(op for op in self._needed((self.inner,)) if op not in below)
        body: Block = (_with_first(self.inner, below),)
        for loop in reversed(self.loops):
            body = (replace(loop, body=body),)
        return (*above, *body)

    def _sunk(self) -> Block:
        """What the inner loop computes with and cannot be computed before the loops."""
        values = {loop.iv for loop in self.loops}
        found = []
        for op in self._needed((self.inner,)):
            if values & set(op.operands()) or not self._is_safe(op):
                values |= set(op.results())
                found.append(op)
        return tuple(found)

    def _is_safe(self, op: Op) -> bool:
        """Whether its subscripts fit even when the loops have no iteration."""
        if all(loop.trip_count for loop in self.loops):
            return True
        exprs = op.index if isinstance(op, Load) else op.offsets if isinstance(op, SubView) else ()
        return all(e.is_constant for e in exprs)

    def _copy(self, group: Block, suffix: str) -> For:
        """The loops around one group, under names of their own."""
        root = next(r for r in roots(self.func.body) if self.loops[0] in tuple(walk((r,))))
        body: Block = (*self._needed(group), *group)
        names: dict[Value, str] = {}
        for loop in reversed(self.loops):
            band = loop.attrs.band and unused(f"{loop.attrs.band}_{suffix}", self._bands())
            names[loop.iv] = fresh_name(root, f"{loop.name}_{suffix}")
            attrs = replace(loop.attrs, band=band)
            body = (replace(loop, body=body, name=names[loop.iv], attrs=attrs),)
        (copied,) = clone(body, name=lambda v: names.get(v, v.name))
        assert isinstance(copied, For)
        return copied

    def _bands(self) -> set[str]:
        return {op.attrs.band for op in walk(self.func.body) if isinstance(op, For)}

    def _needed(self, group: Block) -> Block:
        """The pure operations that a group needs, in order."""
        used = {v for op in walk(group) for v in op.operands()}
        found: list[Op] = []
        for op in reversed(self.pure):
            if used & set(op.results()):
                found.append(op)
                used |= set(op.operands())
        return tuple(reversed(found))


def _movable(module: Module, func: Func, loops: Sequence[For]) -> Block:
    """What the innermost loop computes directly, and could as well elsewhere inside the loops."""
    known = aliases(module, func)
    written = {
        known.root(a.array) for a in accesses((loops[0],), module) if a.is_store
    } | {op.result for op in walk(loops[0].body) if isinstance(op, Alloc)}

    def is_pure(op: Op) -> bool:
        if isinstance(op, Load):
            return known.root(op.array) not in written
        if isinstance(op, SubView):
            return known.root(op.source) not in written
        return isinstance(op, PURE)

    bound = {v for op in loops[-1].body for v in op.results()}
    found: list[Op] = []
    for op in loops[-1].body:
        if is_pure(op) and not bound & set(op.operands()):
            found.append(op)
            bound -= set(op.results())
    return tuple(found)


def _stream_op(block: Block) -> Op | None:
    return next((op for op in walk(block) if isinstance(op, STREAM_OPS)), None)


def _with_first(loop: For, ops: Iterable[Op]) -> For:
    """The loop with operations put first in the innermost loop of its perfect nest."""
    first = tuple(ops)
    if not first:
        return loop
    if len(loop.body) == 1 and isinstance(inner := loop.body[0], For):
        used = {v for e in (*inner.lower, *inner.upper) for v in e.values}
        if not used & {v for op in first for v in op.results()}:
            return replace(loop, body=(_with_first(inner, first),))
    return replace(loop, body=(*first, *loop.body))
