"""The object a user schedules with: its primitives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from allo_rtl.errors import BuildError, ScheduleError
from allo_rtl.ir.equal_arrays import equal_arrays
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import Partition
from allo_rtl.schedule import (
    compute_at,
    hand_on,
    hierarchy,
    interfaces,
    reshape,
    reuse,
    write_buffer,
)
from allo_rtl.schedule.buffers import MockBuffer, Target, find_buffer
from allo_rtl.schedule.call_place import primitive
from allo_rtl.schedule.compose import free_name, instance_of, made_names, renamed
from allo_rtl.schedule.loop_primitives import LoopPrimitives
from allo_rtl.schedule.loops import Axis, did_you_mean, find_func
from allo_rtl.schedule.partition import apply_partition, check_partition, partition_kind
from allo_rtl.schedule.state import Step, call_text
from allo_rtl.schedule.task_primitives import TaskPrimitives

__all__ = ["TARGETS", "Schedule", "Step", "call_text"]

TARGETS = ("cpu", "llvm", "evaluator", "simulator", "rtl")
"""What :meth:`Schedule.build` builds."""


class Schedule(LoopPrimitives, TaskPrimitives):
    """A kernel and the primitives applied to it.

    A loop is given to a primitive as ``"i"`` (of the top function), ``"func:i"``, or a handle of
    :meth:`get_loops`; an array as ``s.A``, ``"A"`` or ``"func:A"``.  Handles stay valid while
    primitives rewrite other loops.  A primitive that raises has changed nothing.
    """

    # --- primitives on arrays --------------------------------------------------------------

    @primitive
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

    @primitive
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

    @primitive
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

    @primitive
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

        Of an array that is only read, the buffer is what the iterations of the loop hand on, each
        to the next: with :meth:`unfold` and :meth:`to` a systolic array.

            for i, j, k in grid(M, N, K):     A_fifo[i, 0, k] = A[i, k]  # of all i and k, before
                C[i, j] += A[i, k] * ...  ->  for i, j, k in grid(M, N, K):
                                                  a = A_fifo[i, j, k]; A_fifo[i, j + 1, k] = a
                                                  C[i, j] += a * ...

        Args:
            target: the array.
            axis: the loop; there are loops inside it.  For an array that is only read, one whose
                iterations read the same elements.

        Returns:
            The buffer, for further primitives.

        Raises:
            ScheduleError: the loop is the innermost, does not use the array, its subscripts
                depend on data, or its iterations read different elements and write none.
            IllegalScheduleError: the loop reaches the array in some other way too, past the
                buffer.
        """
        place = self._find(axis)
        array = self._array_in(place, target)
        text = call_text("buffer_at", (array.name, place.loop.name), {})
        if hand_on.is_only_read(place, array):
            chain = hand_on.check_hand_on(self.module, place, array, text)
            module, name = hand_on.apply_hand_on_buffer(self.module, place, array, chain)
            self._commit(module, "buffer_at", (target, axis))
            return MockBuffer(place.func.name, name)
        window = write_buffer.check_buffer_at(self.module, place, array, text)
        module, name = write_buffer.apply_buffer_at(self.module, place, array, window)
        self._commit(module, "buffer_at", (target, axis))
        return MockBuffer(place.func.name, name)

    @primitive
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

    @primitive
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

    @primitive
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

    @primitive
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

    @primitive
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

        Steps are replayed in order, but for :meth:`interface`, which is about a top function only.
        What :meth:`outline` made under a name is called ``name_id`` where that is taken.

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
            self._replay(sub, {sub.top_func_name: target}, id)
        except Exception:
            self.module = before
            del self._steps[count:]
            raise

    def _replay(self, sub: Schedule, names: dict[str, str], id: str | None) -> None:
        """Apply the steps of a schedule; ``names`` are what its functions are called here."""
        steps = sub.history()
        modules = [*(step.before for step in steps), sub.module]
        for step, after in zip(steps, modules[1:], strict=True):
            if step.name == "interface":  # of a top; a call passes arrays as they are
                continue
            functions = [f.name for f in step.before.funcs]
            args, kwargs = renamed(
                step.name, step.args, step.kwargs, sub.top_func_name, names, functions
            )
            if step.name == "outline":
                kwargs = free_name(self.module, kwargs, id)
            before = self.module
            getattr(self, step.name)(*args, **kwargs)
            theirs, ours = made_names(step.before, after), made_names(before, self.module)
            names = names | dict(zip(theirs, ours, strict=False))

    @primitive
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
        regions = any(f.dataflow for f in self.module.funcs)
        chosen = target or ("simulator" if regions else "cpu")
        _check_options(chosen, builds[chosen], options)
        if target == "rtl":
            options["steps"] = self.copy().step_reports
        return builds[chosen](self.module, **options)


def _check_options(target: str, build: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that a target does not have."""
    known = [name for name in signature(build).parameters if name not in ("module", "steps")]
    for name in options.keys() - known:
        raise BuildError(
            f"target {target!r} has no option {name!r}",
            allowed=", ".join(known) or f"no options for target {target!r}",
            hint=did_you_mean(name, known),
        )


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
