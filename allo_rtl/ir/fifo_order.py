"""Whether an array can be a FIFO: each element stored once and read once, in one order.

Stores and reads are compared as the integer set library sees them: a map from each element to the
time at which it is stored, and one to the time at which it is read (:mod:`allo_rtl.ir.task_times`).
An element that is read again and again while inner loops run counts as read
once, before these loops: there it is taken from the FIFO and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import islpy as isl

from allo_rtl.errors import IllegalScheduleError, ScheduleError, SourceLoc
from allo_rtl.ir import polyhedra
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access
from allo_rtl.ir.ops import For, If, Load, Op, Store, Value
from allo_rtl.ir.task_scope import Scope
from allo_rtl.ir.task_times import Times, union


@dataclass(frozen=True)
class Take:
    """Where an element is taken from the FIFO.

    Attributes:
        loop: the counter of the loop at the start of whose body it is; None for the start of the
            task.
        loads: the reads of the array that get it, in the order of the text.
        index: which element it is.
        in_place: it is taken where the first of these reads is, instead.
    """

    loop: Value | None
    loads: tuple[Load, ...]
    index: tuple[AffineExpr, ...]
    in_place: bool = False


@dataclass(frozen=True)
class Fifo:
    """An array that is a FIFO between two tasks.

    Attributes:
        array: the array.
        depth: elements that the FIFO holds.
        writer, reader: the tasks.
        takes: what the reader takes, in the order of the text where loops are the same.
        zeros: reads by the writer, all before it stores the element.
    """

    array: Value
    depth: int
    writer: int
    reader: int
    takes: tuple[Take, ...]
    zeros: frozenset[Op]


def fifo(
    scope: Scope, array: Value, depth: int, uses: Sequence[tuple[int, Access]], said: str
) -> Fifo:
    """The FIFO that an array is between two tasks of a scope.

    Args:
        scope: the tasks.
        array: made in the scope.
        depth: of the FIFO, in elements.
        uses: (task, access) for each access of the array.
        said: the primitive as the user wrote it, for messages.

    Raises:
        ScheduleError: several tasks store to it or read it, or it cannot be told in which order.
        IllegalScheduleError: the order is another one, or an element is stored or read twice.
    """
    checker = _Checker(scope, array, said, Times(scope))
    writer, reader = checker.ends(uses)
    stores = [a for _, a in uses if a.is_store]
    early = [a for t, a in uses if t == writer and not a.is_store]
    reads = [a for t, a in uses if t == reader]
    try:
        takes = checker.takes(reads)
        checker.compare(stores, early, reader, takes)
    except ScheduleError:
        if (inside := checker.takes_in_place(reads)) is None:
            raise
        takes = inside
        checker.compare(stores, early, reader, takes)
    plain = tuple(t.take for t in takes)
    return Fifo(array, depth, writer, reader, plain, frozenset(a.op for a in early))


def words(
    scope: Scope, fifo: Fifo, uses: Sequence[tuple[int, Access]], times: Times, length: int
) -> tuple[isl.Map, isl.Map]:
    """From the elements that a FIFO stands for to the times at which they are put and taken."""
    checker = _Checker(scope, fifo.array, "", times)
    reads = [a for t, a in uses if t == fifo.reader]
    inside = checker.takes_in_place(reads) if any(t.in_place for t in fifo.takes) else None
    takes = checker.takes(reads) if inside is None else inside
    puts = union(times.of(a, length) for _, a in uses if a.is_store)
    return puts, checker.taken(takes, fifo.reader, length)


@dataclass(frozen=True)
class _Taken:
    take: Take
    access: Access
    """The first of its reads."""
    number: int


class _Checker:
    """Checks one array; ``said`` begins each message."""

    def __init__(self, scope: Scope, array: Value, said: str, times: Times) -> None:
        self.scope = scope
        self.array = array
        self.said = said
        self.times = times

    def refuse(self, text: str, loc: SourceLoc | None, hint: str = "") -> ScheduleError:
        return ScheduleError(
            f"{self.said}: {text}", loc=loc,
            allowed="each element stored once and read once, in one order", hint=hint or None,
        )  # fmt: skip

    def ends(self, uses: Sequence[tuple[int, Access]]) -> tuple[int, int]:
        """The task that stores and the one that reads."""
        name, tasks = self.array.name, self.scope.tasks
        writers = sorted({t for t, a in uses if a.is_store})
        if len(writers) != 1:
            listed = ", ".join(repr(tasks[t].name) for t in writers) or "no task"
            raise self.refuse(f"{name!r} is stored to by {listed}", self._loc(uses))
        readers = sorted({t for t, _ in uses} - set(writers))
        if len(readers) != 1:
            listed = ", ".join(repr(tasks[t].name) for t in readers) or "no other task"
            raise self.refuse(f"{name!r} is read by {listed}", self._loc(uses),
                              "copy it into an array for each of them" if readers else "")
        for _, access in uses:
            self._check_access(access)
        if readers[0] < writers[0]:
            raise self.refuse(
                f"task {tasks[readers[0]].name!r} reads {name!r} before task "
                f"{tasks[writers[0]].name!r} stores to it", self._loc(uses),
            )  # fmt: skip
        return writers[0], readers[0]

    def _loc(self, uses: Sequence[tuple[int, Access]]) -> SourceLoc | None:
        return uses[-1][1].op.loc

    def _check_access(self, access: Access) -> None:
        """Refuse what is done or not, or done to elements, as data say."""
        name, loc = self.array.name, access.op.loc
        if not isinstance(access.op, Load | Store) or access.index is None:
            raise self.refuse(f"a call in a task touches {name!r} as it likes", loc)
        if not self.times.is_known(access):
            raise self.refuse(f"the order in which {name!r} is used depends on data", loc)
        if access.is_store and not all(self.times.is_counted(p, access) for p in access.parents):
            raise self.refuse(f"{name!r} is stored to under a condition that depends on data", loc,
                              "store the old value otherwise, for example by a conditional "
                              "expression")

    def takes_in_place(self, loads: Sequence[Access]) -> list[_Taken] | None:
        """The elements as they are read under conditions of counters; None without any."""
        groups: dict[tuple[tuple[int, ...], tuple[AffineExpr, ...]], list[Access]] = {}
        for access in loads:
            if not all(self.times.is_counted(p, access) for p in access.parents):
                return None
            assert access.index is not None
            groups.setdefault((access.position[:-1], access.index), []).append(access)
        if not any(isinstance(p, If) for a in loads for p in a.parents):
            return None
        return [
            _Taken(
                Take(None, tuple(a.op for a in g if isinstance(a.op, Load)), index, True), g[0], 0
            )
            for (_, index), g in groups.items()
        ]

    def takes(self, loads: Sequence[Access]) -> list[_Taken]:
        """The elements that are taken, with the reads that each is for."""
        groups: dict[tuple[Value, tuple[AffineExpr, ...]], list[Access]] = {}
        for access in loads:
            assert access.index is not None
            groups.setdefault((self._home(access).iv, access.index), []).append(access)
        found, count = [], dict[Value, int]()
        for (iv, index), members in groups.items():
            loop = None if iv is self.scope.loop.iv else iv
            ops = tuple(a.op for a in members if isinstance(a.op, Load))
            number = count[iv] = count.get(iv, -1) + 1
            found.append(_Taken(Take(loop, ops, index), members[0], number))
        return found

    def _home(self, access: Access) -> For:
        """The innermost loop whose counter says which element is read."""
        assert access.index is not None
        used = {v for e in access.index for v in e.values}
        home = [p for p in access.loops if p.iv in used or p is access.loops[0]][-1]
        outer = access.parents[: access.parents.index(home)]
        if not all(self.times.is_counted(p, access) for p in outer):
            raise self.refuse(f"{self.array.name!r} is read under a condition that depends on data",
                              access.op.loc, "read it before the condition")
        return home

    # --- times ---------------------------------------------------------------------------

    def compare(
        self, stores: Sequence[Access], early: Sequence[Access], reader: int,
        takes: Sequence[_Taken],
    ) -> None:
        """Refuse orders that are not the same."""
        length = 2 + max(len(a.position) for a in (*stores, *early, *(t.access for t in takes)))
        written = union(self.times.of(a, length) for a in stores)
        read = self.taken(takes, reader, length)
        first, second = stores[0].op.loc, takes[0].access.op.loc
        self._once(written, "stored", first)
        self._once(read, "read", second)
        self._same(written, read, first, second)
        if early:
            before = union(self.times.of(a, length) for a in early)
            both = written.lex_lt_map(before)
            both = both.intersect(isl.Map.identity(both.get_space()))
            if (at := self._cell(both.domain())) is not None:
                raise self._illegal(f"{at} is read again by the task that stores it",
                                    [("stored here", first), ("read here", early[0].op.loc)],
                                    _GATHER)

    def taken(self, takes: Sequence[_Taken], reader: int, length: int) -> isl.Map:
        """From elements to the times at which they are taken."""
        found = []
        for taken in takes:
            if taken.take.in_place:
                found.append(self.times.of(taken.access, length))
                continue
            home = self._home(taken.access)
            first = self.scope.firsts[reader] if home is taken.access.loops[0] else None
            found.append(self.times.at_start(taken.access, home, taken.number, first, length))
        return union(found)

    def _once(self, times: isl.Map, verb: str, loc: SourceLoc | None) -> None:
        twice = times.subtract(times.lexmin()).domain()
        if (at := self._cell(twice)) is not None:
            hint = _GATHER if verb == "stored" else (
                "read it into an array of the reading task first, or reorder its loops"
            )
            raise self._illegal(f"{at} is {verb} more than once", [(f"{verb} here", loc)], hint)

    def _same(
        self, written: isl.Map, read: isl.Map, first: SourceLoc | None, second: SourceLoc | None
    ) -> None:
        notes = [("stored here", first), ("read here", second)]
        if (at := self._cell(written.domain().subtract(read.domain()))) is not None:
            raise self._illegal(f"{at} is stored and never read", notes)
        if (at := self._cell(read.domain().subtract(written.domain()))) is not None:
            raise self._illegal(f"{at} is read and never stored", notes)
        other = written.lex_lt_map(written).subtract(read.lex_lt_map(read))
        if not other.is_empty():
            pair = _point(other.wrap().flatten())
            half = len(pair) // 2
            one, two = self._named(pair[:half]), self._named(pair[half:])
            raise self._illegal(
                f"{one} is stored before {two} and read after it", notes,
                "reorder the loops of one of the tasks so that both go through "
                f"{self.array.name} in one order",
            )

    def _illegal(
        self, text: str, notes: list[tuple[str, SourceLoc | None]], hint: str | None = None
    ) -> IllegalScheduleError:
        return IllegalScheduleError(
            f"{self.said}: {text}", loc=notes[0][1], notes=notes, hint=hint,
            allowed="each element stored once and read once, in one order",
        )  # fmt: skip

    def _cell(self, cells: isl.Set) -> str | None:
        return None if cells.is_empty() else self._named(_point(cells))

    def _named(self, point: Sequence[int]) -> str:
        """An element, by its subscripts; the first number is the iteration it is made in."""
        at = ", ".join(map(str, point[1:]))
        return f"{self.array.name}[{at}]" if at else self.array.name


_GATHER = "gather the sums of a row in a buffer first: buffer_at"


def _point(points: isl.Set) -> tuple[int, ...]:
    points = points.project_out(isl.dim_type.param, 0, points.dim(isl.dim_type.param))
    point = polyhedra.sample(points.lexmin() if points.is_bounded() else points)
    assert point is not None
    return point
