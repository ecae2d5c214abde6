"""The part of a schedule that makes tasks, which run at once: dataflow and to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allo_rtl.schedule import element_fifos, streams, unfold
from allo_rtl.schedule.buffers import Target, find_buffer
from allo_rtl.schedule.call_place import primitive
from allo_rtl.schedule.loops import Axis, find_func
from allo_rtl.schedule.state import ScheduleState, call_text
from allo_rtl.schedule.unfold import ElementAxis


class TaskPrimitives(ScheduleState):
    """The primitives of :class:`~allo_rtl.schedule.schedule.Schedule` that make tasks."""

    @primitive
    def dataflow(self, axis: Axis) -> None:
        """Make the parts of a function's or loop's body tasks, which overlap in hardware.

            def top(A, B):                   load  0 1 2 3
                for t in range(4):           work    0 1 2 3       one iteration of t behind
                    load(A, t, X)       ->   store     0 1 2 3     the other
                    work(X, Y)
                    store(Y, B, t)           X and Y: one copy for each task that uses it

        Each loop nest and each call of the body is a task.  In hardware it is a process of its
        own; of a loop it runs all iterations.  An array that is made in the loop gets a copy for
        each task that uses it, so that one can fill a copy while another works on the one before;
        for any other array a task waits until those before it are done with it in this iteration.
        Arrays that :meth:`to` names are FIFOs.  The result is that of one after the other, and
        the CPU build runs it so.

        Args:
            axis: a function by its name, or a loop.

        Raises:
            ScheduleError: there is no such function or loop, or the loop is pipelined or unrolled.
            IllegalScheduleError: a task of one iteration needs what a later task of an earlier
                iteration does, or several tasks print lines.
        """
        names = {f.name for f in self.module.funcs}
        is_func = isinstance(axis, str) and axis in names
        place = find_func(self.module, str(axis)) if is_func else self._find(axis)
        text = call_text("dataflow", (axis,), {})
        self._commit(streams.apply_dataflow(self.module, place, text), "dataflow", (axis,))

    @primitive
    def unfold(self, band_name: str, axes: Sequence[int]) -> list[ElementAxis]:
        """Make processing elements of the iterations of a band's first loops.

            for i, j in grid(2, 2):           PE_0_0: body(0, 0)
                body(i, j)               ->   PE_0_1: body(0, 1)
                                              PE_1_0: body(1, 0)      all at once
                                              PE_1_1: body(1, 1)

        Each is a task, as by :meth:`dataflow`; where one needs what another one stores, it waits
        for it.  Elements that are alike are one module in hardware.  What is in the body is
        scheduled before, so that all elements have it: pipeline its loops first.

        Args:
            band_name: the band, ``"PE"`` or ``"func:PE"``.
            axes: numbers of its loops, from the outermost: ``[0]``, ``[0, 1]``.  They count from
                0 to a constant in ones.

        Returns:
            A handle for each axis; the second form of :meth:`to` takes the list.

        Raises:
            ScheduleError: there is no such band, or its loops are not so.
        """
        said = call_text("unfold", (band_name, axes), {})
        func, root = unfold.find_band(self.module, band_name, said)
        chosen = unfold.unfolded_loops(root, axes, said)
        module, handles = unfold.apply_unfold(self.module, func, root, chosen)
        self._commit(module, "unfold", (band_name, axes))
        return handles

    @primitive
    def to(
        self, target: Target, dst: str | list[ElementAxis], axis: str | int | None = None,
        depth: int = -1,
    ) -> None:
        """Make an array that one task stores and another one reads a FIFO between the two.

            for i in range(N):               for i in range(N):        for i1 in range(N):
                X[i] = f(A[i])                   X.put(f(A[i]))   |        B[i1] = g(X.get())
            for i1 in range(N):         ->
                B[i1] = g(X[i1])                        both at once

        The array is made in a function or in a loop; its loop nests and calls become tasks, as by
        :meth:`dataflow`.  The storage of the array is gone; the FIFO holds ``depth`` elements.

        With what :meth:`unfold` returned as ``dst``, and one of its axes, the array is handed on
        from each processing element to the next along that axis:

            PE_0: x = A[k]; ...          PE_0: x = A[k];     F_1.put(x); ...
            PE_1: x = A[k]; ...     ->   PE_1: x = F_1.get(); F_2.put(x); ...
            PE_2: x = A[k]; ...          PE_2: x = F_2.get(); ...

        So it is for an array that all elements along the axis read alike, and for one that they
        all add to, ``C[t] += x``: the first of them reads it, the last stores to it, and FIFOs
        hold what is summed between them.  An array that the
        kernel makes for that, ``F[i, j + 1, k]``, with subscripts that say between which elements
        it is, becomes a FIFO for each of these.

        Args:
            target: the array.
            dst: the task that reads it, by the name of its band or of the function it calls; or
                the list of axes that unfold returned.
            axis: of the list, by its number or the name of the loop that it was.
            depth: elements, 1 or more; -1 for as many as the array has.  Where fewer make the
                tasks wait for each other for ever, the build says how many are needed.

        Raises:
            ScheduleError: there is no such array, it is an argument or a result, several tasks
                store or read it, a store is conditional, or the order depends on data.
            IllegalScheduleError: an element is not stored once and read once, or the orders of
                stores and reads differ; elements use other words, or store otherwise than to a
                word that they have read.
        """
        kwargs: dict[str, Any] = {} if depth == -1 else {"depth": depth}
        func, array = find_buffer(self.module, target)
        if axis is not None:
            kwargs = {"axis": axis, **kwargs}
            text = call_text("to", (target, dst), kwargs)
            along = element_fifos.find_axis(dst, axis, text)
            module = element_fifos.apply_hand_on(self.module, func, array, along, depth, text)
            self._commit(module, "to", (target, dst), kwargs)
            return
        text = call_text("to", (target, dst), kwargs)
        module = streams.apply_to(self.module, func, array, dst, depth, text)
        self._commit(module, "to", (target, dst), kwargs)
