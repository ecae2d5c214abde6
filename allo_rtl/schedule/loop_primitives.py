"""The part of a schedule that rewrites and marks loops: split, reorder, unroll, pipeline ..."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allo_rtl.schedule import independent, loop_transforms, marks, overlap, partial_sums
from allo_rtl.schedule.buffers import Target
from allo_rtl.schedule.call_place import primitive
from allo_rtl.schedule.loops import Axis, LoopWrapper
from allo_rtl.schedule.state import ScheduleState, call_text


class LoopPrimitives(ScheduleState):
    """The primitives of :class:`~allo_rtl.schedule.schedule.Schedule` on loops."""

    # --- primitives that rewrite loops -----------------------------------------------------

    @primitive
    def split(self, axis: Axis, factor: int) -> None:
        """Split a loop in two: blocks of ``factor`` iterations.

            for i in range(N):            for i.outer in range(ceil(N / factor)):
                body(i)              ->       for i.inner in range(factor):
                                                  body(i.outer * factor + i.inner)

        When ``factor`` does not divide the number of iterations, the last block is shorter: the
        inner bound is ``min(factor, N - i.outer * factor)``.  A pipeline stays on the inner loop.
        In hardware this alone costs a counter; it is there for the primitives after it.

        Args:
            axis: the loop.  Its bounds may depend on loops around it, or on data.
            factor: iterations of the inner loop, 1 or more and less than those of the loop, where
                their number is known.

        Raises:
            ScheduleError: the factor does not fit, the loop starts at the largest of several
                numbers, or it is unrolled already.
        """
        place = self._find(axis)
        loop_transforms.check_split(place, factor)
        module, names = loop_transforms.apply_split(self.module, place, factor)
        by = call_text("split", (place.loop.name, factor), {})
        replaced = self._replaced(place, (place.loop.name,), names, by)
        self._commit(module, "split", (axis, factor), replaced=replaced)

    @primitive
    def reorder(self, *axes: Axis, reassociate: bool = False) -> None:
        """Put loops of one nest in another order, in the places they take together.

            for i in range(M):            for j in range(N):
                for j in range(N):   ->       for i in range(M):
                    body(i, j)                    body(i, j)

        What stands beside one of the loops gets loops of its own, which all run before the nest
        (``j_before``) or after it (``j_after``):

            for j in range(N):            for j_before in range(N): C[j_before] = 0
                C[j] = 0                  for k in range(K):
                for k in range(K):   ->       for j in range(N):
                    C[j] += A[k, j]               C[j] += A[k, j]

        The band's name moves to the new outermost loop.  In hardware the order decides how far
        apart in time dependent iterations are, hence the initiation interval.

        Args:
            axes: two or more loops, in the order wanted, outermost first.
            reassociate: floating-point sums may be rounded in another order.

        Raises:
            ScheduleError: the loops are not inside each other, a bound depends on a loop that
                would move inside, or a variable made in one iteration is used beside and inside
                a loop.
            IllegalScheduleError: two iterations that depend on each other would change places.
                Accumulations (``A[x] += e`` and the like) of integers may go in any order, of
                floating-point numbers over loops declared with ``allo.reduction``.
        """
        places = self._find_all("reorder", axes)
        text = call_text("reorder", tuple(p.loop.name for p in places), {})
        module, places = loop_transforms.prepare_reorder(self.module, places, text)
        notes = loop_transforms.check_reorder(module, places, text, reassociate)
        kwargs = {"reassociate": True} if reassociate else {}
        module = loop_transforms.apply_reorder(module, places)
        self._commit(module, "reorder", axes, kwargs, notes=notes)

    @primitive
    def fuse(self, *axes: Axis) -> LoopWrapper:
        """Make one loop of loops that follow one another in a perfect nest.

            for i in range(M):            for i_j_fused in range(M * N):
                for j in range(N):   ->       body(i_j_fused // N, i_j_fused % N)
                    body(i, j)

        In hardware there is one counter to run to its end instead of several; divisions and
        remainders by powers of two are wires.

        Args:
            axes: two or more loops, outermost first, with constant bounds.

        Returns:
            The handle of the new loop.

        Raises:
            ScheduleError: the loops do not follow one another, a bound is not constant, or one of
                them is unrolled, or pipelined and not the innermost.
        """
        places = self._find_all("fuse", axes)
        loop_transforms.check_fuse(places)
        module, name = loop_transforms.apply_fuse(self.module, places)
        old = tuple(p.loop.name for p in places)
        replaced = self._replaced(places[0], old, (name,), call_text("fuse", old, {}))
        handle = LoopWrapper(places[0].func.name, places[0].band, name)
        self._commit(module, "fuse", axes, replaced=replaced)
        return handle

    @primitive
    def partial_sums(self, axis: Axis, count: int = 0, *, reassociate: bool = False) -> None:
        """Sum up a loop in several sums, and add these in a balanced tree.

            for k in range(N):            for k in range(N):
                s += f(k)            ->       s_partial[k] = f(k)
                                          s += (s_partial[0] + s_partial[1]) + (...)

        With a count the sums go in turns (the loop is split by it, the last round may be shorter):

            for k.outer in range(ceil(N / count)):
                for k.inner in range(count):
                    s_partial[k.inner] += f(k.outer * count + k.inner)
            s += (s_partial[0] + s_partial[1]) + (...)

        In hardware the terms of an unrolled loop then take the logarithm of their number of
        adders in turn, and with as many sums as an adder has cycles a pipelined loop starts an
        iteration in every cycle.  The order is part of the program from here on: all builds round
        alike.  Products, minima, maxima and bitwise accumulations are taken too.

        With a count of 1 the terms are summed up from zero, and added to what was there at the
        end; such a loop may have bounds that vary.  What was there is then read after the loop:

            for k in range(i, N):         s_partial = 0
                s += f(k)            ->   for k in range(i, N):
                                              s_partial += f(k)
                                          s += s_partial

        Args:
            axis: the loop, with constant bounds unless ``count`` is 1; it accumulates in one place
                or several, without a condition, and is neither unrolled nor pipelined yet.
            count: number of partial sums; 0 for one of each iteration.
            reassociate: floating-point sums may be rounded in another order.

        Raises:
            ScheduleError: the loop has no such sum, or the count does not fit.
            IllegalScheduleError: a floating-point sum over a loop that was not declared with
                ``allo.reduction``, and ``reassociate`` is not given.
        """
        place = self._find(axis)
        kwargs: dict[str, Any] = {"reassociate": True} if reassociate else {}
        rest = (count,) if count else ()
        text = call_text("partial_sums", (place.loop.name, *rest), kwargs)
        sums = partial_sums.check_partial_sums(self.module, place, count, reassociate, text)
        module, names = partial_sums.apply_partial_sums(self.module, place, count, sums)
        old = (place.loop.name,)
        replaced = None if names == old else self._replaced(place, old, names, text)
        notes = partial_sums.reordered(sums, reassociate, text)
        self._commit(module, "partial_sums", (axis, *rest), kwargs, replaced, notes)

    # --- primitives that mark loops --------------------------------------------------------

    @primitive
    def unroll(self, axis: Axis, factor: int = 0) -> None:
        """Build several copies of a loop's body, which run at once where dependences allow it.

            for i in range(N):            for i in range(0, N, factor):
                body(i)              ->       body(i); body(i + 1); ... body(i + factor - 1)

        The IR keeps the loop with a mark; hardware makes the copies.  Each copy costs the area of
        the body; arrays need as many ports (see :meth:`partition`) to keep the copies busy.

        Args:
            axis: the loop.
            factor: number of copies, a divisor of the number of iterations; 0 for all of them.
                Of a loop whose number of iterations varies, any number: copies run only if it
                comes to their turn.  Where data say how often, any number but 0.

        Raises:
            ScheduleError: the factor does not fit the number of iterations, or is 0 and that
                number depends on data.
        """
        place = self._find(axis)
        marks.check_unroll(place, factor)
        attrs = replace(place.loop.attrs, unroll=factor)
        kwargs = {"factor": factor} if factor else {}
        self._commit(marks.mark(self.module, place, attrs), "unroll", (axis,), kwargs)

    @primitive
    def pipeline(
        self, axis: Axis, initiation_interval: int | None = None, rewind: bool = False
    ) -> None:
        """Start an iteration of a loop before the one before it has ended.

            cycle        0  1  2  3  4          cycle        0  1  2  3  4
            iteration 0  #  #  #                iteration 0  #  #  #
            iteration 1           #  #  ->      iteration 1     #  #  #
                                                iteration 2        #  #  #

        The loops inside are fully unrolled.  The report tells the interval reached, and which
        dependence or memory port holds it up.  Where a loop inside runs as often as data say,
        the iterations follow each other instead, and the innermost loops are pipelined.

        Args:
            axis: the loop.
            initiation_interval: cycles from one iteration's start to the next one's, 1 or more;
                a build that cannot reach it fails.  Without it, as few cycles as can be.
            rewind: start the next run of the loop without draining the pipeline: what stands
                beside it in the loops around runs in its first and its last iteration.  The report
                says where that cannot be.

        Raises:
            ScheduleError: the interval does not fit, or was named although a loop inside runs
                as often as data say; or the loop is inside a pipelined loop or contains one.
        """
        place = self._find(axis)
        named = initiation_interval is not None
        interval = initiation_interval if initiation_interval is not None else 1
        marks.check_pipeline(place, interval, named)
        attrs = replace(
            place.loop.attrs, pipeline_ii=interval, ii_required=named, rewind=bool(rewind)
        )
        given = {"initiation_interval": initiation_interval} if named else {}
        kwargs = given | ({"rewind": rewind} if rewind else {})
        self._commit(marks.mark(self.module, place, attrs), "pipeline", (axis,), kwargs)

    @primitive
    def parallel(self, axis: Axis) -> None:
        """Mark a loop whose iterations may all run at once.

            for i in range(N):            body(0) | body(1) | ... | body(N - 1)
                body(i)              ->

        A variable or array that every iteration writes before it reads it, and that nothing reads
        after the loop, becomes one of each iteration's own: in hardware a pipeline's iterations,
        and the copies of an unrolled loop, do not wait for one another to be done with it.

        Args:
            axis: the loop.

        Raises:
            IllegalScheduleError: two iterations touch one array cell, and one of them writes it.
        """
        place = self._find(axis)
        text = call_text("parallel", (place.loop.name,), {})
        marks.check_parallel(self.module, place, text)
        self._commit(marks.apply_parallel(self.module, place), "parallel", (axis,))

    @primitive
    def overlap(self, *axes: Axis) -> None:
        """Run loops that follow each other at the same time.

            for i in range(N): y[i] += ...        for i: y[i] += ...   |   for j: z[j] += ...
            for j in range(N): z[j] += ...   ->

        In hardware they start together, and what comes after them starts when all have ended; each
        has units of its own.  The IR keeps their order, with a mark: results are the same.

        Args:
            axes: two loops or more that stand one after the other, in this order.

        Raises:
            ScheduleError: they do not stand so, or call functions, use streams or print inside.
            IllegalScheduleError: one stores to an array that another one uses.

        An array in a memory that several of them read has one port for that: the build refuses
        it, pass such an array twice.
        """
        places = [self._find(axis) for axis in axes]
        text = call_text("overlap", tuple(p.loop.name for p in places), {})
        overlap.check_overlap(self.module, places, text)
        self._commit(overlap.apply_overlap(self.module, places), "overlap", axes)

    @primitive
    def assume_independent(self, target: Target, axis: Axis) -> None:
        """Promise that no two iterations of a loop touch one cell of an array.

            for i in range(N):                  i = 0   read   add   write
                bins[at[i]] += 1        ->      i = 1          read  add   write

        For subscripts that depend on data, which are otherwise taken to be any cell: the order of
        the loop's iterations is then free as far as the array is concerned, and hardware overlaps
        them.  Where the promise does not hold results are wrong.  It is shown with the loop and
        in the report.  Reorder and fuse keep it where it follows for the new loops.

        Args:
            target: the array; made outside the loop, and written in it.
            axis: the loop; the promise is about iterations within one run of it.

        Raises:
            ScheduleError: the loop does not write the array, or two iterations are known to touch
                one cell, whatever the data.
        """
        place = self._find(axis)
        array = self._array_in(place, target)
        text = call_text("assume_independent", (array.name, place.loop.name), {})
        independent.check_independent(self.module, place, array, text)
        module = independent.apply_independent(self.module, place, array)
        self._commit(module, "assume_independent", (target, axis))
