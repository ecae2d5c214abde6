"""The object a user schedules with: its primitives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from allo_rtl.errors import BuildError, ScheduleError
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import Partition
from allo_rtl.schedule import (
    compute_at,
    hierarchy,
    independent,
    interfaces,
    loop_transforms,
    marks,
    overlap,
    partial_sums,
    reshape,
    reuse,
    write_buffer,
)
from allo_rtl.schedule.buffers import MockBuffer, Target, equal_arrays, find_buffer
from allo_rtl.schedule.compose import instance_of, renamed
from allo_rtl.schedule.loops import Axis, LoopWrapper, find_func
from allo_rtl.schedule.partition import apply_partition, check_partition, partition_kind
from allo_rtl.schedule.state import Step, call_text
from allo_rtl.schedule.task_primitives import TaskPrimitives

__all__ = ["TARGETS", "Schedule", "Step", "call_text"]

TARGETS = ("cpu", "llvm", "evaluator", "simulator", "rtl")
"""What :meth:`Schedule.build` builds."""


class Schedule(TaskPrimitives):
    """A kernel and the primitives applied to it.

    A loop is given to a primitive as ``"i"`` (of the top function), ``"func:i"``, or a handle of
    :meth:`get_loops`; an array as ``s.A``, ``"A"`` or ``"func:A"``.  Handles stay valid while
    primitives rewrite other loops.  A primitive that raises has changed nothing.
    """

    # --- primitives that rewrite loops -----------------------------------------------------

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

        Args:
            axis: the loop, with constant bounds; it accumulates in one place or several, without
                a condition, and is neither unrolled nor pipelined yet.
            count: number of partial sums, 2 or more; 0 for one of each iteration.
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

    def unroll(self, axis: Axis, factor: int = 0) -> None:
        """Build several copies of a loop's body, which run at once where dependences allow it.

            for i in range(N):            for i in range(0, N, factor):
                body(i)              ->       body(i); body(i + 1); ... body(i + factor - 1)

        The IR keeps the loop with a mark; hardware makes the copies.  Each copy costs the area of
        the body; arrays need as many ports (see :meth:`partition`) to keep the copies busy.

        Args:
            axis: the loop.
            factor: number of copies, a divisor of the number of iterations; 0 for all of them.
                Of a loop that runs as often as data say, any number but 0: the last copies run
                only if it comes to their turn.

        Raises:
            ScheduleError: the factor does not fit the number of iterations, or is 0 and that
                number is not constant.
        """
        place = self._find(axis)
        marks.check_unroll(place, factor)
        attrs = replace(place.loop.attrs, unroll=factor)
        kwargs = {"factor": factor} if factor else {}
        self._commit(marks.mark(self.module, place, attrs), "unroll", (axis,), kwargs)

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

    # --- primitives on arrays --------------------------------------------------------------

    def partition(
        self,
        target: Target,
        partition_type: Partition | int = Partition.Complete,
        dim: int = 0,
        factor: int = 0,
    ) -> None:
        """Spread an array over memory banks, each with ports of its own.

            one bank                 Block, factor 2          Cyclic, factor 2
            0 1 2 3 4 5 6 7   ->     0 1 2 3 | 4 5 6 7        0 2 4 6 | 1 3 5 7

        ``Complete`` makes a bank of each element along the dimension.  Calls pass arrays by
        reference, so the partition goes along to every function the array is passed to or comes
        from.  In hardware the banks are memories (or registers, when one element deep), and the
        ports of an argument multiply with them.

        Args:
            target: the array.
            partition_type: ``Partition.Complete``, ``Partition.Block`` or ``Partition.Cyclic``.
            dim: the dimension, from 1; 0 for all of them.
            factor: number of banks for Block and Cyclic, from 2 to the dimension's extent.

        Raises:
            ScheduleError: there is no such array or dimension, the factor does not fit, or the
                dimension is partitioned already.
        """
        func, array = find_buffer(self.module, target)
        kind = partition_kind(partition_type)
        dims = check_partition(array, kind, dim, factor)
        module = apply_partition(self.module, func, array, dims, kind, factor)
        kwargs = {"partition_type": kind, "dim": dim, "factor": factor}
        self._commit(module, "partition", (target,), kwargs)

    def interface(self, target: Target, kind: str) -> None:
        """Choose how an array argument or result of the kernel comes to hardware.

            "memory"                              "stream"
            A_raddr, A_ren  -> | RAM |            A_tdata, A_tvalid -> | kernel |
            A_rdata        <-  | RAM |     ->     A_tready         <-  | kernel |

        A memory is the default: a RAM outside, with ports for each bank.  A stream is an
        AXI4-Stream of the elements in row-major order: the kernel has no memory for the array, and
        waits when the other side does.  A word is an element of each bank of the last dimension.

        Args:
            target: an array that is an argument or a result of the top function.
            kind: ``"memory"`` or ``"stream"``.

        Raises:
            ScheduleError: there is no such kind, or the array is no argument or result.
            IllegalScheduleError: for a stream every element must be used once, in row-major
                order, and all of them read or all written.  Primitives that follow can change
                the order; the build then refuses.
        """
        func, array = find_buffer(self.module, target)
        interfaces.check_interface(self.module, func, array, kind)
        text = call_text("interface", (array.name, kind), {})
        module = interfaces.apply_interface(self.module, array, kind, text)
        self._commit(module, "interface", (target, kind))

    def reshape(self, target: Target, shape: tuple[int, ...]) -> None:
        """Give an array another shape; its elements keep their order.

            A: int32[32, 8]               A: int32[32, 2, 4]
            A[i, j]              ->       A[i, j // 4, j % 4]

        An argument's shape is part of the kernel's interface and changes too; so does the shape
        in every function that the array is passed to or comes from.  In hardware it makes
        dimensions that :meth:`partition` can spread over banks.

        Args:
            target: the array, not partitioned yet.
            shape: extents with the same product.

        Raises:
            ScheduleError: the numbers of elements differ, the array is partitioned, or a part of
                it is used as an array of its own.
        """
        func, array = find_buffer(self.module, target)
        dims = reshape.check_reshape(array, shape)
        self._commit(
            reshape.apply_reshape(self.module, func, array, dims), "reshape", (target, shape)
        )

    def buffer_at(self, target: Target, axis: Axis) -> MockBuffer:
        """Gather what each iteration of a loop writes to an array in a buffer on chip.

            for i in range(M):            for i in range(M):
                for k in range(K):            C_buf: int32[N]
                    for j in range(N):        for j_init in range(N): C_buf[j_init] = C[i, j_init]
                        C[i, j] += ...   ->   for k in range(K):
                                                  for j in range(N): C_buf[j] += ...
                                              for j_back in range(N): C[i, j_back] = C_buf[j_back]

        The buffer has the part of the array that one iteration touches: dimensions that do not
        move inside the loop are left out.  It starts with the array's contents, so that nothing
        is lost.  In hardware the array itself is then read and written once an element.

        Args:
            target: the array.
            axis: the loop; there are loops inside it.

        Returns:
            The buffer, for further primitives.

        Raises:
            ScheduleError: the loop is the innermost, does not write the array, or its subscripts
                depend on data.
            IllegalScheduleError: the loop reaches the array in some other way too, past the
                buffer.
        """
        place = self._find(axis)
        array = self._array_in(place, target)
        text = call_text("buffer_at", (array.name, place.loop.name), {})
        window = write_buffer.check_buffer_at(self.module, place, array, text)
        module, name = write_buffer.apply_buffer_at(self.module, place, array, window)
        self._commit(module, "buffer_at", (target, axis))
        return MockBuffer(place.func.name, name)

    def reuse_at(self, target: Target, axis: Axis) -> MockBuffer:
        """Keep what a sliding window has read, so that each element is read once.

            for x in range(N):                    for x in range(N + 2):
                B[x] = A[x] + A[x+1] + A[x+2]         R[0] = R[1]; R[1] = R[2]; R[2] = A[x]
                                            ->        if x >= 2:
                                                          B[x-2] = R[0] + R[1] + R[2]

        The buffer's first dimension is the window along the loop; the others are what one
        iteration reads along the other dimensions, so that an outer loop gets line buffers.  It
        is spread over banks (registers, for a window of single elements).  Call it again with
        the buffer and an inner loop for a window of both.

        Args:
            target: the array; no iteration of the loop reads what one before it wrote.
            axis: the loop, with constant bounds; its counter is in one subscript.

        Returns:
            The buffer, for further primitives.

        Raises:
            ScheduleError: iterations do not share elements, or the window leaves the array.
            IllegalScheduleError: the loop reads what it has written.
        """
        place = self._find(axis)
        array = self._array_in(place, target)
        text = call_text("reuse_at", (array.name, place.loop.name), {})
        window = reuse.check_reuse_at(self.module, place, array, text)
        module, name = reuse.apply_reuse_at(self.module, place, array, window)
        self._commit(module, "reuse_at", (target, axis))
        return MockBuffer(place.func.name, name)

    def compute_at(self, from_loop: Axis, target_loop: Axis) -> None:
        """Compute a producer's iteration just before the consumer's that needs it.

            for i in range(N):            for i1 in range(N):
                B[i] = A[i] + 1      ->       B[i1] = A[i1] + 1
            for i1 in range(N):               C[i1] = B[i1] * 2
                C[i1] = B[i1] * 2

        An array that then only passes values on inside an iteration vanishes.

        Args:
            from_loop: a loop of the producer; everything inside it moves.
            target_loop: a loop of the consumer, at the same depth.

        Raises:
            ScheduleError: the loops around the two do not match one for one.
            IllegalScheduleError: an iteration of the consumer would run before a result it
                needs.
        """
        producer, consumer = self._find(from_loop), self._find(target_loop)
        names = (producer.loop.name, consumer.loop.name)
        text = call_text("compute_at", names, {})
        compute_at.check_compute_at(self.module, producer, consumer, text)
        module = compute_at.apply_compute_at(self.module, producer, consumer)
        self._commit(module, "compute_at", (from_loop, target_loop))

    # --- hierarchies -----------------------------------------------------------------------

    def inline(self, axis: str | None = None, within: str | None = None) -> None:
        """Replace calls by the bodies of what they call.

            def scale(X): for i in ...: X[i] = X[i] * 3
            def top(A):                                  def top(A):
                scale(A)                            ->       for i in ...: A[i] = A[i] * 3
                ...                                          ...

        Loops, bands and arrays keep their names where these are free, and get a number where they
        are not; the array that a call gives keeps the name it has there.  A function that nothing
        calls any more is gone.  In hardware a function is a module with a controller of its own,
        which the call starts and waits for; inlined it is part of its caller, and other
        primitives (compute_at, buffer_at) can reach across.

        Args:
            axis: the function to inline at its calls; all of them when None or the top function.
            within: the function whose calls are replaced; None is every one, for all calls the
                top.

        Raises:
            ScheduleError: there is no such call; or it is of a region, where calls run at once;
                or it is in a pipelined loop and what it calls has a pipelined loop too.
        """
        callee = None if axis in (None, self.module.top) else find_func(self.module, axis).name
        caller = within if within or callee else self.module.top
        if caller is not None:
            find_func(self.module, caller)
        hierarchy.check_inline(self.module, callee, caller)
        kwargs = {"within": within} if within else {}
        module = hierarchy.apply_inline(self.module, callee, caller)
        self._commit(module, "inline", () if axis is None else (axis,), kwargs)

    def outline(self, axis: Axis, name: str | None = None) -> str:
        """Make a loop, with all that is in it, a function and a call of it.

            def top(A, B):                    def top_S_i_0(A): for i in ...: A[i] = A[i] * 3
                for i in ...:                 def top(A, B):
                    A[i] = A[i] * 3      ->       top_S_i_0(A)
                ...                               ...

        The function is given the arrays and the values that the loop uses.  In hardware it is a
        module of its own, which the caller starts and waits for.

        Args:
            axis: the loop.
            name: of the function; ``<function>_<band>`` when None.

        Returns:
            The name of the function; its loops are ``"name:loop"``.

        Raises:
            ScheduleError: the name is taken, or the loop uses streams.
        """
        place = self._find(axis)
        made = hierarchy.check_outline(self.module, place, name)
        module = hierarchy.apply_outline(self.module, place, made)
        old = tuple(loop.name for loop in loops((place.loop,)))
        by = call_text("outline", (place.loop.name,), {})
        replaced = self._replaced(place, old, tuple(f"{made}:{n}" for n in old), by)
        kwargs = {} if name is None else {"name": name}
        self._commit(module, "outline", (axis,), kwargs, replaced)
        return made

    def compose(
        self,
        schs: Schedule | Callable[..., Any] | list[Any] | tuple[Any, ...],
        id: str | None = None,
        instantiate: list[Any] | None = None,
    ) -> None:
        """Apply what was applied to a kernel's own schedule to that kernel as called here.

            s_gemm = allo.customize(gemm); s_gemm.pipeline("j")
            s = allo.customize(top)                   # calls gemm
            s.compose(s_gemm)                    ->   s.pipeline("gemm:j")

        Args:
            schs: the schedule of a kernel that this one calls, or a list of them; or a function
                of the library, which stands for its predefined schedule.
            id: which instance: the string given at the call, ``gemm[..., "id"](...)``.
            instantiate: arguments of a generic library function.

        Raises:
            ScheduleError: the kernel is not called here, or a primitive does not fit here.
            TypeError: something that is no schedule is given.
        """
        if isinstance(schs, list | tuple):
            for one in schs:
                self.compose(one, id=id, instantiate=instantiate)
            return
        sub = schs if isinstance(schs, Schedule) else _predefined(schs, instantiate)
        target = instance_of(self.module, sub.top_func_name, id)
        before, count = self.module, len(self._steps)
        try:
            for step in sub.history():
                if step.name == "interface":  # of a top; a call passes arrays as they are
                    continue
                names = [f.name for f in step.before.funcs]
                args, kwargs = renamed(
                    step.name, step.args, step.kwargs, sub.top_func_name, target, names
                )
                getattr(self, step.name)(*args, **kwargs)
        except Exception:
            self.module = before
            del self._steps[count:]
            raise

    def get_equivalent_variables(self, target: Target) -> set[str]:
        """The names ``"function:array"`` of every array that is the same one as ``target``.

        An argument may be told by its number too: ``"function:0"``.
        """
        func_name, _, name = str(target).rpartition(":")
        if name.isdecimal():
            args = find_func(self.module, func_name or self.module.top).args
            if int(name) >= len(args):
                raise ScheduleError(
                    f"there is no argument {name}", allowed=f"0 to {len(args) - 1}"
                )
            target = f"{func_name or self.module.top}:{args[int(name)].name}"
        func, array = find_buffer(self.module, target)
        same = equal_arrays(self.module, func, array)
        return {f"{name}:{v.name}" for name, values in same.items() for v in values}

    # --- building --------------------------------------------------------------------------

    def build(self, target: str | None = None, **options: Any) -> Any:  # noqa: ANN401
        """Build the kernel as scheduled.

        Args:
            target: ``"cpu"`` or ``"llvm"`` for a function on this machine; ``"simulator"`` for
                one with regions, whose processes take turns; ``"evaluator"`` for the definition
                of the language, slow; ``"rtl"`` for hardware.  None is the simulator for a kernel
                with regions, the CPU for any other.
            options: of the target; see :mod:`allo_rtl.pipeline`.

        Returns:
            What was built; it is called with numpy arrays.

        Raises:
            BuildError: there is no such target, or the kernel cannot be built as asked.
        """
        if target not in (None, *TARGETS):
            raise BuildError(f"there is no target {target!r}", allowed=", ".join(TARGETS))
        from allo_rtl import pipeline

        builds: dict[str, Callable[..., Any]] = {
            "rtl": pipeline.build_rtl, "evaluator": pipeline.build_evaluator,
            "simulator": pipeline.build_simulator, "cpu": pipeline.build_cpu,
            "llvm": pipeline.build_cpu,
        }  # fmt: skip
        if target == "rtl":
            options["steps"] = self.step_reports()
        regions = any(f.dataflow for f in self.module.funcs)
        return builds[target or ("simulator" if regions else "cpu")](self.module, **options)


def _predefined(kernel: object, instantiate: list[Any] | None) -> Schedule:
    """The predefined schedule of a library function."""
    from allo_rtl.library import KERNEL2SCHEDULE

    if not callable(kernel):
        raise TypeError("The first argument must be a Schedule object, or a library function")
    if kernel not in KERNEL2SCHEDULE:
        raise ScheduleError(
            f"{getattr(kernel, '__name__', kernel)!r} has no predefined schedule",
            hint="customize it, schedule it, and compose that schedule",
        )
    from allo_rtl.customize import customize

    return KERNEL2SCHEDULE[kernel](customize(kernel, instantiate=instantiate))
