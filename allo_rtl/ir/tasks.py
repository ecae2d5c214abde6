"""Tasks that overlap: what passes between them, and whether they may.

The IR stays sequential: a function marked ``tasks``, or a loop marked ``dataflow``, says that its
parts (see :mod:`allo_rtl.ir.task_scope`) run at once in hardware with the result that they have one
after the other.  Of a loop each task runs all iterations, ahead of those that come after it.
Between two tasks an array is

    a FIFO      where the user says so: each element is stored once and read once, in one order
    a buffer    made in each iteration of a loop: copies of it go round among the tasks that use
                it; those that use different elements may work on one at a time
    in order    any other: a task waits until those before it are done with it in this iteration,
                unless what it takes from FIFOs makes it wait for each element anyway

and of an array that is not made in the loop, no later iteration of a task may touch what an
earlier iteration of one after it touches, unless both read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir import fifo_order
from allo_rtl.ir.dependence import Access, Conflict, before, conflict
from allo_rtl.ir.fifo_after import FifoOrder, Uses
from allo_rtl.ir.fifo_order import Fifo
from allo_rtl.ir.ops import Call, For, Func, Module, Op, Print, Return, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.task_scope import Scope, Task, open_scope
from allo_rtl.ir.types import StreamType

type See = Callable[[Access], Access]
"""From an access to the same as one of the array that stands for all it may be."""


@dataclass(frozen=True)
class Buffer:
    """An array of a loop's iteration that goes from task to task.

    Attributes:
        array: the array.
        users: the tasks, in the order of the text.
        order: pairs of them of which the second needs what the first does in the same iteration,
            or may not do its own before.
        alone: at most one task stores to it and at most one reads it.
    """

    array: Value
    users: tuple[int, ...]
    order: frozenset[tuple[int, int]]
    alone: bool

    @property
    def copies(self) -> int:
        """How many there are: one for each task of the longest way from the first to the last."""
        length: dict[int, int] = {}
        for user in self.users:
            length[user] = 1 + max((length[a] for a, b in self.order if b == user), default=0)
        return max(length.values())

    @property
    def first(self) -> tuple[int, ...]:
        """The tasks that wait for no other before they use a copy."""
        return tuple(t for t in self.users if all(b != t for _, b in self.order))

    @property
    def last(self) -> tuple[int, ...]:
        """The tasks for which no other waits; when they are done with a copy all are."""
        return tuple(t for t in self.users if all(a != t for a, _ in self.order))


@dataclass(frozen=True)
class Plan:
    """How the tasks of a scope run at once.

    Attributes:
        scope: the tasks.
        fifos, buffers: the arrays that pass between them so.
        order: pairs of tasks, with arrays that both use, one of them storing: in each iteration
            the second waits to do that until the first has done it.
    """

    scope: Scope
    fifos: tuple[Fifo, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    order: Mapping[tuple[int, int], frozenset[Value]] = field(default_factory=dict)


def plan(
    module: Module, func: Func, loop: For | None = None, *, said: str = "dataflow",
    see: See = lambda access: access, runs: bool = False,
) -> Plan:
    """How the tasks of a function, or of one of its loops, can run at once.

    Args:
        module, func, loop: where; the body of the function without a loop.
        said: the primitive as the user wrote it, for messages.
        see: resolves arrays that may be one.
        runs: whether runs of the function overlap, too: as iterations of a loop do, with what it
            makes made in each.

    Raises:
        ScheduleError, IllegalScheduleError: they cannot, with the reason.
    """
    scope = open_scope(module, func, loop, runs=runs)
    _check_prints(module, scope, said)
    found = [(task, see(access)) for task, access in scope.accesses(module)]
    planner = _Planner(module, scope, said)
    uses: dict[Value, list[tuple[int, Access]]] = {}
    for task, access in found:
        uses.setdefault(access.array, []).append((task, access))
    for array, of_array in uses.items():
        planner.array(array, of_array)
    planner.leave_to_fifos(uses)
    for buffer in planner.buffers:
        for pair in buffer.order:
            planner.order.setdefault(pair, set()).add(buffer.array)
    order = {pair: frozenset(arrays) for pair, arrays in planner.order.items()}
    return Plan(scope, tuple(planner.fifos), tuple(planner.buffers), order)


def _check_prints(module: Module, scope: Scope, said: str) -> None:
    """Refuse tasks that print lines, whose order is seen."""
    printing = [(t, op) for t in scope.tasks if (op := _print(module, t.ops)) is not None]
    if len(printing) > 1:
        raise IllegalScheduleError(
            f"{said}: tasks {_both(printing[0][0], printing[1][0])} print lines, and the order of "
            "these would change",
            loc=scope.loop.loc,
            notes=[(f"task {t.name!r} prints here", op.loc) for t, op in printing[:2]],
        )


def _print(module: Module, block: Sequence[Op]) -> Op | None:
    for op in walk(tuple(block)):
        if isinstance(op, Print):
            return op
        if isinstance(op, Call) and _print(module, module.func(op.callee).body):
            return op
    return None


def _both(a: Task, b: Task) -> str:
    return f"{a.name!r} and {b.name!r}"


@dataclass(frozen=True)
class _Passing:
    """How an array passes between the tasks of a function."""

    fifos: tuple[Fifo, ...]
    order: tuple[tuple[int, int], ...]


_PASSING: dict[tuple[object, ...], _Passing] = {}
"""What has been decided: most primitives leave most arrays and what uses them as they are."""

_MOST_PASSING = 1 << 12


@dataclass
class _Planner:
    module: Module
    scope: Scope
    said: str
    fifos: list[Fifo] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    order: dict[tuple[int, int], set[Value]] = field(default_factory=dict)

    def array(self, array: Value, uses: list[tuple[int, Access]]) -> None:
        """Decide how an array passes between the tasks that use it."""
        if len({task for task, _ in uses}) < 2:
            return
        key = self._key(array, uses)
        if key is not None and (known := _PASSING.get(key)) is not None:
            self.fifos += known.fifos
            for pair in known.order:
                self.order.setdefault(pair, set()).add(array)
            return
        self._decide(array, uses)
        if key is not None:
            fifos = tuple(f for f in self.fifos if f.array is array)
            order = tuple(pair for pair, arrays in self.order.items() if array in arrays)
            while len(_PASSING) >= _MOST_PASSING:
                del _PASSING[next(iter(_PASSING))]
            _PASSING[key] = _Passing(fifos, order)

    def leave_to_fifos(self, uses: Uses) -> None:
        """Forget the order of tasks that FIFOs keep, element by element."""
        if self.scope.repeats or not self.fifos:
            return
        known = FifoOrder(self.scope, self.fifos, uses)
        for (one, two), arrays in list(self.order.items()):
            kept = {v for v in arrays if not known.is_after(one, two, v)}
            if kept:
                self.order[one, two] = kept
            else:
                del self.order[one, two]

    def _key(self, array: Value, uses: Sequence[tuple[int, Access]]) -> tuple[object, ...] | None:
        """All that says how an array passes between the tasks of a function.

        None where more may decide: of loops, and where data or conditions say what is used.
        """
        if self.scope.repeats or isinstance(array.type, StreamType):
            return None
        made = self.scope.local.get(array)
        if made is not None and made.fifo:
            self._check_kept(array, made.fifo)
        parts: list[object] = [array, made.fifo if made else None]
        for task, access in uses:
            _, *around = access.parents
            if access.index is None or not all(isinstance(p, For) for p in around):
                return None
            counters = {p.iv for p in around if isinstance(p, For)}
            exprs = (*access.index, *(e for p in around if isinstance(p, For)
                                      for e in (*p.lower, *p.upper)))  # fmt: skip
            if any(e.values - counters for e in exprs):
                return None
            place = access.position[2] - self.scope.firsts[task]
            parts += [task, access.op, access.is_store, access.index, place, *access.position[3:]]
            parts += around
        return tuple(parts)

    def _decide(self, array: Value, uses: list[tuple[int, Access]]) -> None:
        users = sorted({task for task, _ in uses})
        made = self.scope.local.get(array)
        if made is not None and made.fifo and len(users) > 1:
            self._check_kept(array, made.fifo)
            self.fifos.append(
                fifo_order.fifo(self.scope, array, made.fifo, uses, self.said)
            )
        elif len(users) > 1 and any(a.is_store for _, a in uses):
            if isinstance(array.type, StreamType):
                raise self._stream(array, uses)
            if made is not None and self.scope.repeats:
                self._check_handed_on(array)
                stores = {t for t, a in uses if a.is_store}
                reads = {t for t, a in uses if not a.is_store}
                alone = len(stores) <= 1 and len(reads) <= 1
                self.buffers.append(Buffer(array, tuple(users), self._within(uses), alone))
            else:
                self._ordered(uses)

    def _check_kept(self, array: Value, depth: int) -> None:
        returned = [op for op in self.scope.closing if isinstance(op, Return)]
        if any(array in op.values for op in returned):
            raise ScheduleError(
                f"{self.said}: {array.name!r} is returned, so that its caller reads it, and it "
                f"cannot be a FIFO of {depth}",
                loc=self.scope.func.loc,
            )

    def _check_handed_on(self, array: Value) -> None:
        """Refuse to let tasks hand on, in copies, what the function returns."""
        returned = [op for op in self.scope.closing if isinstance(op, Return)]
        if any(array in op.values for op in returned):
            raise ScheduleError(
                f"{self.said}: {array.name!r} is returned, and two tasks use it",
                loc=self.scope.func.loc,
                hint=f"let one task alone store to {array.name!r}, and read another array",
            )

    def _stream(self, stream: Value, uses: list[tuple[int, Access]]) -> ScheduleError:
        (one, a), (two, b) = self._two(uses)
        return ScheduleError(
            f"{self.said}: tasks {_both(one, two)} use the stream {stream.name!r}; they run at "
            "once",
            loc=self.scope.loop.loc,
            allowed="one task at each end of a stream",
            notes=[("one", a.op.loc), ("the other", b.op.loc)],
        )

    def _two(
        self, uses: list[tuple[int, Access]]
    ) -> tuple[tuple[Task, Access], tuple[Task, Access]]:
        first = uses[0]
        other = next(u for u in uses if u[0] != first[0])
        return (self.scope.tasks[first[0]], first[1]), (self.scope.tasks[other[0]], other[1])

    def _within(self, uses: list[tuple[int, Access]]) -> frozenset[tuple[int, int]]:
        """The pairs of tasks that have to keep their order in each iteration."""
        found: set[tuple[int, int]] = set()
        for (one, x), (two, y) in combinations(sorted(uses, key=lambda use: use[0]), 2):
            if one == two or not (x.is_store or y.is_store) or (one, two) in found:
                continue
            if conflict(x, y, [self.scope.loop], _same_time) is not None:
                found.add((one, two))
        return frozenset(found)

    def _ordered(self, uses: list[tuple[int, Access]]) -> None:
        """Order the tasks that conflict; refuse a conflict of an iteration with a later one."""
        loop = self.scope.loop
        for (one, x), (two, y) in combinations(uses, 2):
            if one == two or not (x.is_store or y.is_store):
                continue
            if one > two:
                (one, x), (two, y) = (two, y), (one, x)
            if self.scope.repeats and (hit := conflict(y, x, [loop], before)) is not None:
                raise self._backward(y, x, hit)
            known = x.array in self.order.get((one, two), ())
            if not known and conflict(x, y, [loop], _not_after) is not None:
                self.order.setdefault((one, two), set()).add(x.array)

    def _backward(self, late: Access, early: Access, hit: Conflict) -> IllegalScheduleError:
        loop, name = self.scope.loop, late.array.name or "an array"
        at = ", ".join("?" if c is None else str(c) for c in hit.cell)
        cell = f"{name}[{at}]" if hit.cell else name
        first, second = (f"({loop.name}={s[0]})" for s in (hit.source, hit.sink))
        hint = f"make {name!r} inside the loop, if each iteration may have its own"
        if self.scope.of_runs:
            hint = f"{name!r} keeps what a run leaves in it: build without overlap_runs"
        if None in hit.cell:
            hint = f"a subscript of {name} depends on data ('?'), so it is taken to be any cell"
        if isinstance(late.op, Call) or isinstance(early.op, Call):
            hint = f"a call is taken to touch all of {name}"
        return IllegalScheduleError(
            f"{self.said} would change what the kernel computes: iteration {second} of a task "
            f"would run before iteration {first} of one after it, which it must follow",
            loc=loop.loc,
            notes=[
                (f"iteration {first} {_verb(late)} {cell}", late.op.loc),
                (f"iteration {second} {_verb(early)} {cell}", early.op.loc),
            ],
            hint=hint,
        )


def _verb(access: Access) -> str:
    return "writes" if access.is_store else "reads"


def _same_time(a: Sequence[str], b: Sequence[str]) -> str:
    return f"{a[0]} = {b[0]}"


def _not_after(a: Sequence[str], b: Sequence[str]) -> str:
    return f"{a[0]} <= {b[0]}"
