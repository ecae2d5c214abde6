"""Elements that two processes of a region use while nothing puts the processes in order.

An element that one process stores to is for it alone, unless values that go through streams say
that it is done with the element, or not yet.  Where no streams lead from one process to another,
what both use is compared as sets.  Else it is looked at what stands before and after puts and gets
(:mod:`allo_rtl.ir.race_text`), and where that is not enough the processes are run, without data
(:mod:`allo_rtl.ir.race_clocks`).
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import sha256
from math import inf

import islpy as isl

from allo_rtl.errors import SourceLoc
from allo_rtl.ir import polyhedra
from allo_rtl.ir.dependence import Access, accesses
from allo_rtl.ir.ops import Call, For, Func, Module, Store, SubView, Value
from allo_rtl.ir.parts import views
from allo_rtl.ir.race_clocks import Found, Pair, play
from allo_rtl.ir.race_text import Link, Texts
from allo_rtl.ir.race_trace import Budget, UndecidedError, part_of, trace
from allo_rtl.ir.stream_ops import ends
from allo_rtl.ir.types import ArrayType


@dataclass(frozen=True)
class Use:
    """Elements of an array that a process uses.

    Attributes:
        exact: it surely uses each of them.
        find: gives :attr:`cells`; most uses are told apart by their only elements before.
        only: the subscripts of the element, where it is certainly one.
    """

    find: Callable[[], isl.Set]
    exact: bool
    is_store: bool
    loc: SourceLoc | None
    only: tuple[int, ...] | None = None

    @cached_property
    def cells(self) -> isl.Set:
        """All elements it may use here."""
        return self.find()


@dataclass(frozen=True)
class Race:
    """Two processes that may use one element, one of them (at least) to store to it.

    Attributes:
        processes: their names.
        uses: what each does.
        array: of the region.
        certain: whether they surely do, in any order.
        cell: subscripts of such an element.
        connected: whether streams lead from one process to the other.
        reason: why it could not be found out whether these put them in order; None where they
            surely do not.
    """

    processes: tuple[str, str]
    uses: tuple[Use, Use]
    array: Value
    certain: bool
    cell: tuple[int, ...]
    connected: bool = False
    reason: UndecidedError | None = None


def races(module: Module, region: Func) -> Iterator[Race]:
    """What is used by two processes at once; at most one for each two processes and array.

    ``module`` has the functions of the processes; the region itself need not be in it.
    """
    calls = [op for op in region.body if isinstance(op, Call)]
    shares = {op.result: op for op in region.body if isinstance(op, SubView)}
    links = _links(module, region)
    after = _Followers(links)
    texts = Texts(module, links, lambda v: _whole(v, shares))
    open_: dict[Pair, tuple[Call, Call, Race]] = {}
    for a, b, race in meetings(module, region):
        one_way, other_way = b in after.of(a), a in after.of(b)
        if race.certain and not one_way and not other_way:
            yield race
        elif not (one_way and texts.is_after(a, b, race.array)) and not (
            other_way and texts.is_after(b, a, race.array)
        ):
            race = replace(race, connected=one_way or other_way)
            open_[race.array, frozenset((a, b))] = a, b, race
    key = _text_of(module, region) if open_ else ""
    if not open_ or key in _IN_ORDER:
        return
    found = list(_settled(_played(module, calls, open_, shares, links, after), open_))
    if not found:
        _IN_ORDER[key] = None
        if len(_IN_ORDER) > _KEPT:
            del _IN_ORDER[next(iter(_IN_ORDER))]
    yield from found


_IN_ORDER: dict[str, None] = {}
"""Regions that were run without finding anything: one is captured anew each time it is called."""

_KEPT = 64
"""How many of them are kept, the last ones."""


def _text_of(module: Module, region: Func) -> str:
    """A digest of all that a region does."""
    funcs = [f for f in module.funcs if f.name != region.name]
    text = str(Module(funcs=(*funcs, region), top=region.name))
    return sha256(text.encode()).hexdigest()


def meetings(module: Module, region: Func) -> Iterator[tuple[Call, Call, Race]]:
    """What two processes use both, one of them to store, in whatever order."""
    calls = [op for op in region.body if isinstance(op, Call)]
    shares = {op.result: op for op in region.body if isinstance(op, SubView)}
    known: dict[tuple[str, int], tuple[Use, ...]] = {}
    for array in _arrays(calls, shares):
        users = [(c, _of_call(module, c, array, shares, known)) for c in calls]
        users = [(c, u) for c, u in users if u]
        if not any(use.is_store for _, uses in users for use in uses):
            continue
        for m, n in _close([_box(uses) for _, uses in users]):
            (a, one), (b, other) = users[m], users[n]
            if (found := _meet(one, other)) is not None:
                uses, certain, cell = found
                yield a, b, Race((a.callee, b.callee), uses, array, certain, cell)


def _played(
    module: Module,
    calls: Sequence[Call],
    pairs: Mapping[Pair, tuple[Call, Call, Race]],
    shares: Mapping[Value, SubView],
    links: tuple[Link, ...],
    after: _Followers,
) -> Found:
    """What a run of the processes shows: those that are compared, and those on the way."""
    on_way: set[Call] = set()
    for a, b, _ in pairs.values():
        for start, end in ((a, b), (b, a)):
            on_way |= {c for c in after.of(start) if c is end or end in after.of(c)}
        on_way |= {a, b}
    in_order = [c for c in calls if c in on_way]
    streams = {k.stream for k in links if k.writer in on_way and k.reader in on_way}
    arrays, budget = {array for array, _ in pairs}, Budget()
    traces = {}
    for call in in_order:
        parts = {
            v: part_of(_whole(v, shares), shares.get(v))
            for v in call.args
            if _whole(v, shares) in arrays
        }
        traces[call] = trace(module, call, parts, streams, budget)
    return play(traces, list(pairs))


def _settled(
    found: Found, pairs: Mapping[Pair, tuple[Call, Call, Race]]
) -> Iterator[Race]:
    """The pairs for which a run shows that nothing orders them, or not that something does."""
    for pair, (a, b, race) in pairs.items():
        if (meeting := found.meetings.get(pair)) is not None:
            one, other = (
                Use(use.find, meeting.certain, isinstance(op, Store), op.loc, use.only)
                for use, op in zip(race.uses, meeting.ops, strict=True)
            )
            names = meeting.first.callee, meeting.second.callee
            yield replace(race, processes=names, uses=(one, other), certain=meeting.certain,
                          cell=meeting.cell)  # fmt: skip
        elif not {a, b} <= found.finished:
            reason = found.undecided[0] if race.connected else None
            yield replace(race, certain=False, reason=reason)


def _arrays(calls: Sequence[Call], shares: Mapping[Value, SubView]) -> list[Value]:
    """The arrays that more than one process is given."""
    counts: dict[Value, int] = {}
    for call in calls:
        for array in {_whole(v, shares) for v in call.args}:
            counts[array] = counts.get(array, 0) + 1
    return [v for v, n in counts.items() if n > 1 and isinstance(v.type, ArrayType)]


def _whole(value: Value, shares: Mapping[Value, SubView]) -> Value:
    return shares[value].source if value in shares else value


def _links(module: Module, region: Func) -> tuple[Link, ...]:
    """The streams that connect two processes."""
    found = ends(region, module.func).items()
    return tuple(
        Link(stream, writer, reader)
        for stream, (writers, readers) in found
        for writer, _ in writers[:1]
        for reader, _ in readers[:1]
        if writer is not reader
    )


class _Followers:
    """Which processes streams lead to."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._next: dict[Call, set[Call]] = {}
        self._known: dict[Call, set[Call]] = {}
        for link in links:
            self._next.setdefault(link.writer, set()).add(link.reader)

    def of(self, start: Call) -> set[Call]:
        """Those that streams lead to from one process."""
        if start not in self._known:
            found = self._known[start] = set[Call]()
            pending = list(self._next.get(start, ()))
            while pending:
                call = pending.pop()
                if call not in found:
                    found.add(call)
                    pending += self._next.get(call, ())
        return self._known[start]


def _of_call(
    module: Module,
    call: Call,
    array: Value,
    shares: Mapping[Value, SubView],
    known: dict[tuple[str, int], tuple[Use, ...]],
) -> tuple[Use, ...]:
    """What a process does with an array of the region."""
    found: list[Use] = []
    for n, value in enumerate(call.args):
        if _whole(value, shares) is array:
            uses = _uses(module, call.callee, n, known)
            found += [_in_whole(u, shares[value]) for u in uses] if value in shares else uses
    return tuple(found)


def _in_whole(use: Use, share: SubView) -> Use:
    """The use of a part as one of the array it is a part of; offsets are constants."""
    outer = [f"o{d}" for d in range(len(share.offsets))]
    inner = iter(f"c{d}" for d in range(use.cells.dim(isl.dim_type.set)))
    parts = []
    for name, offset, size, step in zip(
        outer, share.offsets, share.sizes, share.steps, strict=True
    ):
        rest = f" + {step}*{next(inner)}" if size is not None else ""
        parts.append(f"{name} = {offset.const}{rest}")
    names = ", ".join(f"c{d}" for d in range(use.cells.dim(isl.dim_type.set)))
    moved = isl.Map(f"{{ [{names}] -> [{', '.join(outer)}] : {' and '.join(parts)} }}")
    return Use(lambda: use.cells.apply(moved), use.exact, use.is_store, use.loc)


def _uses(
    module: Module, name: str, position: int, known: dict[tuple[str, int], tuple[Use, ...]]
) -> tuple[Use, ...]:
    """What a function does with one of its arrays, also in functions that it calls."""
    if (name, position) not in known:
        func = module.func(name)
        array = func.args[position]
        parts = views(func.body)
        found: list[Use] = []
        for access in accesses(func.body, module):
            if access.array is array:
                inside = _inside_call(module, access, parts, known)
                plain = all(isinstance(p, For) for p in access.parents)
                found += [_use(access, plain)] if inside is None else inside
        known[name, position] = tuple(found)
    return known[name, position]


def _inside_call(
    module: Module,
    access: Access,
    parts: Mapping[Value, SubView],
    known: dict[tuple[str, int], tuple[Use, ...]],
) -> list[Use] | None:
    """What a call does with an array, or parts of it; None when it cannot be told."""
    if not isinstance(access.op, Call):
        return None
    found: list[Use] = []
    for n, value in enumerate(access.op.args):
        part = parts.get(value)
        if (part.source if part else value) is not access.array:
            continue
        if part is not None and not all(e.is_constant for e in part.offsets):
            return None
        uses = _uses(module, access.op.callee, n, known)
        found += [u if part is None else _in_whole(u, part) for u in uses]
    if not found:  # The array is a state.
        return None
    plain = all(isinstance(p, For) and (p.trip_count or 0) > 0 for p in access.parents)
    return [
        replace(u, exact=u.exact and plain) for u in found if u.is_store is access.is_store
    ]


def _use(access: Access, plain: bool) -> Use:
    """The elements that one operation uses in all its iterations."""
    find, only, index = partial(_cells, access), None, access.index
    if index is None:
        return Use(find, False, access.is_store, access.op.loc)
    counters = {p.iv: f"i{k}" for k, p in enumerate(access.loops)}
    bounds = [e for p in access.loops for e in (*p.lower, *p.upper)]
    exact = plain and all(polyhedra.known(e, counters) for e in (*bounds, *index))
    if all(e.is_constant for e in index) and all(p.trip_count for p in access.loops):
        only = tuple(e.const for e in index)
        inside = all(0 <= c < n for c, n in zip(only, access.array.array.shape, strict=True))
        only = only if inside else None
    return Use(find, exact, access.is_store, access.op.loc, only)


def _cells(access: Access) -> isl.Set:
    """The elements themselves."""
    shape = access.array.array.shape
    cells = [f"c{d}" for d in range(len(shape))]
    limits = [f"0 <= {c} < {n}" for c, n in zip(cells, shape, strict=True) if n > 0]
    index = access.index
    if index is None:
        return polyhedra.points(cells, limits)
    counters = {p.iv: f"i{k}" for k, p in enumerate(access.loops)}
    inside = [text for p in access.loops for text in polyhedra.iterates(p, counters)]
    places = [
        f"{c} = {polyhedra.text(e, counters)}"
        for c, e in zip(cells, index, strict=True)
        if polyhedra.known(e, counters)
    ]
    names = list(counters.values())
    points = polyhedra.points([*cells, *names], [*limits, *inside, *places])
    return points.project_out(isl.dim_type.set, len(cells), len(names))


type _Box = tuple[tuple[int, int], ...] | None


def _box(uses: Sequence[Use]) -> _Box:
    """The least and greatest subscripts of all uses; None when there is no limit."""
    only = [use.only for use in uses if use.only is not None]
    if len(only) == len(uses):
        return tuple((min(places), max(places)) for places in zip(*only, strict=True))
    whole = uses[0].cells
    for use in uses[1:]:
        whole = whole.union(use.cells)
    if whole.is_empty() or not whole.is_bounded():
        return None
    return tuple(
        (whole.dim_min_val(d).to_python(), whole.dim_max_val(d).to_python())
        for d in range(whole.dim(isl.dim_type.set))
    )


def _close(boxes: Sequence[_Box]) -> list[tuple[int, int]]:
    """The pairs of boxes that meet, in order; found by a sweep along the first dimension."""
    found: list[tuple[int, int]] = []
    active: list[int] = []
    for n in sorted(range(len(boxes)), key=lambda n: _span(boxes[n])[0]):
        start = _span(boxes[n])[0]
        active = [m for m in active if _span(boxes[m])[1] >= start]
        found += [(min(m, n), max(m, n)) for m in active if not _apart(boxes[m], boxes[n])]
        active.append(n)
    return sorted(found)


def _span(box: _Box) -> tuple[float, float]:
    """Where a box begins and ends along the first dimension."""
    return box[0] if box else (-inf, inf)


def _apart(one: _Box, other: _Box) -> bool:
    if one is None or other is None:
        return False
    return any(a[1] < b[0] or b[1] < a[0] for a, b in zip(one, other, strict=True))


def _meet(
    one: Sequence[Use], other: Sequence[Use]
) -> tuple[tuple[Use, Use], bool, tuple[int, ...]] | None:
    """Two uses of one element, one of them storing to it; sooner certain ones."""
    maybe = None
    for a in one:
        for b in other:
            if not (a.is_store or b.is_store):
                continue
            cell = polyhedra.sample(a.cells.intersect(b.cells))
            if cell is None:
                continue
            found = ((a, b), a.exact and b.exact, cell)
            if found[1]:
                return found
            maybe = maybe or found
    return maybe
