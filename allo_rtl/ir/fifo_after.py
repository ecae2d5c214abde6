"""Order that FIFOs make besides what goes through them.

What a task does before it puts a word is done before another task has taken that word.  So where
one task reads an element of an array, and another one, further down the same FIFOs, stores to it
only after it has taken what was put after that read, the second waits already, and element by
element.  Times (:mod:`allo_rtl.ir.task_times`) are compared along one way from task to task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import islpy as isl

from allo_rtl.ir.dependence import Access
from allo_rtl.ir.fifo_order import Fifo, words
from allo_rtl.ir.ops import For, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.task_scope import Scope
from allo_rtl.ir.task_times import Times, union

type Uses = Mapping[Value, Sequence[tuple[int, Access]]]
"""(task, access) for each access of an array."""


class FifoOrder:
    """What the FIFOs between the tasks of a function put in order.

    Args:
        scope: the tasks, each of which runs once.
        fifos: between them.
        uses: of all arrays.
    """

    def __init__(self, scope: Scope, fifos: Sequence[Fifo], uses: Uses) -> None:
        self._scope = scope
        self._times = Times(scope)
        self._uses = uses
        self._from: dict[int, list[Fifo]] = {}
        for fifo in fifos:
            self._from.setdefault(fifo.writer, []).append(fifo)
        self._ends: dict[Value, tuple[isl.Map, isl.Map]] = {}

    def is_after(self, one: int, two: int, array: Value) -> bool:
        """Whether task ``two`` uses each element only after ``one`` is done with it."""
        way = self._way(one, two)
        if way is None or any(self._overlaps(t) for t in (one, *(f[0].reader for f in way))):
            return False
        first, second = ([a for t, a in self._uses[array] if t == task] for task in (one, two))
        if not all(map(self._times.is_known, (*first, *second))):
            return False
        before, after = (union(self._times.of(a, self._length) for a in x) for x in (first, second))
        done = before.lexmax()
        for fifos in way:
            done = union(self._taken(done, fifo) for fifo in fifos).lexmin()
        later = done.apply_range(isl.Map.lex_lt(done.range().get_space()))
        both = before.domain().intersect(after.domain())
        return bool(both.is_subset(done.domain()) and after.intersect_domain(both).is_subset(later))

    def _overlaps(self, task: int) -> bool:
        """Whether loops of a task run at once, so that what stands first need not come first."""
        ops = self._scope.tasks[task].ops
        return any(isinstance(op, For) and op.attrs.overlap for op in walk(ops))

    def _taken(self, done: isl.Map, fifo: Fifo) -> isl.Map:
        """From elements to the time at which the first word is taken that was put after a time."""
        puts, gets = self._words(fifo)
        next_put = isl.Map.lex_lt(done.range().get_space()).intersect_range(puts.range())
        return done.apply_range(next_put).lexmin().apply_range(puts.reverse()).apply_range(gets)

    @cached_property
    def _length(self) -> int:
        """Numbers of a time, more than there are of any place in the text."""
        return 2 + max(len(a.position) for found in self._uses.values() for _, a in found)

    def _words(self, fifo: Fifo) -> tuple[isl.Map, isl.Map]:
        if fifo.array not in self._ends:
            uses = self._uses[fifo.array]
            self._ends[fifo.array] = words(self._scope, fifo, uses, self._times, self._length)
        return self._ends[fifo.array]

    def _way(self, start: int, end: int) -> list[list[Fifo]] | None:
        """The FIFOs from each task to the next on a shortest way from one to another."""
        found: dict[int, list[list[Fifo]]] = {start: []}
        pending = [start]
        for task in pending:
            beside: dict[int, list[Fifo]] = {}
            for fifo in self._from.get(task, ()):
                beside.setdefault(fifo.reader, []).append(fifo)
            for reader, fifos in beside.items():
                if reader not in found:
                    found[reader] = [*found[task], fifos]
                    pending.append(reader)
        return found.get(end)
