"""The primitives that make tasks: dataflow, and to in its first form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from weakref import WeakSet

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.ops import Alloc, Block, Call, For, Func, GetGlobal, Module, Op, Value
from allo_rtl.ir.rewrite import Changes, loops, map_block, replace_func, walk
from allo_rtl.ir.tasks import Plan, plan
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.loop_transforms import is_count
from allo_rtl.schedule.loops import Place, find_func, nests_of, replace_loop

# --- dataflow ------------------------------------------------------------------------------


def apply_dataflow(module: Module, place: Func | Place, said: str) -> Module:
    """The module with the parts of a function's or loop's body marked as tasks.

    Raises:
        ScheduleError, IllegalScheduleError: they cannot run at once.
    """
    if isinstance(place, Func):
        if place.dataflow:
            raise ScheduleError(
                f"{said}: the processes of {place.name} run at once already", loc=place.loc,
                allowed="a function that is no region, or a loop",
            )
        return replace_func(module, replace(place, tasks=True))
    loop = place.loop
    attrs = replace(loop.attrs, dataflow=True)
    return replace_loop(module, place.func, loop, replace(loop, attrs=attrs))


# --- to ------------------------------------------------------------------------------------


def apply_to(
    module: Module, func: Func, array: Value, dst: object, depth: object, said: str
) -> Module:
    """The module with an array marked as a FIFO, and what makes it as tasks.

    Raises:
        ScheduleError: the array is not made here, or ``dst`` does not read it.
        IllegalScheduleError: its elements are not stored and read once each, in one order.
    """
    if not isinstance(dst, str):
        raise ScheduleError(
            f"{said}: the reader is {dst!r}", allowed="the name of a band or of a called function"
        )
    if depth != -1 and not (is_count(depth) and depth >= 1):
        raise ScheduleError(
            f"{said}: the depth is {depth!r}",
            allowed="a number of elements, 1 or more; -1 for as many as the array has",
        )
    assert isinstance(depth, int)
    _check_made(func, array, said)
    size = array.array.size if depth == -1 else depth
    scope = _scope(func, array)
    body = map_block(func.body, lambda op: _marked(op, array, size, scope))
    if scope is None:
        new = replace_func(module, replace(func, body=body, tasks=True))
    else:
        new = replace_func(module, replace(func, body=body))
    _check_reader(new, func.name, scope, array, dst, said)
    return new


def _check_made(func: Func, array: Value, said: str) -> None:
    """Refuse arrays that do not begin and end in the function."""
    name = array.name or "the array"
    if array in func.args:
        raise ScheduleError(
            f"{said}: {name!r} is an argument of {func.name}; its caller has the array",
            loc=func.loc, allowed="an array that is made in the function",
            hint="in the function that calls it, give the name it has there",
        )  # fmt: skip
    if any(isinstance(op, GetGlobal) and op.result is array for op in walk(func.body)):
        raise ScheduleError(
            f"{said}: {name!r} is constant or keeps its contents from run to run", loc=func.loc,
            allowed="an array that is made in the function",
        )  # fmt: skip
    if array in func.returned:
        raise ScheduleError(
            f"{said}: {name!r} is returned by {func.name}; its caller reads it", loc=func.loc,
            hint="in the function that calls it, give the name it has there",
        )  # fmt: skip


def _scope(func: Func, array: Value) -> For | None:
    """The innermost loop that makes the array in its body; None for the function."""
    return next((p for p in _around(func.body, array)), None)


def _around(block: Block, array: Value) -> Iterator[For]:
    for loop in loops(block):
        if any(array in op.results() for op in loop.body):
            yield loop


def _marked(op: Op, array: Value, depth: int, scope: For | None) -> Op | None:
    """What makes the array, with the depth of the FIFO; its loop as one of tasks."""
    if isinstance(op, Alloc) and op.result is array:
        return replace(op, fifo=depth)
    if isinstance(op, Call) and array in op.outs:
        old = op.fifos or (0,) * len(op.outs)
        depths = (depth if v is array else n for v, n in zip(op.outs, old, strict=True))
        return replace(op, fifos=tuple(depths))
    if scope is not None and isinstance(op, For) and op.iv is scope.iv:
        return replace(op, attrs=replace(op.attrs, dataflow=True))
    return None


def _check_reader(
    module: Module, name: str, scope: For | None, array: Value, dst: str, said: str
) -> None:
    func = find_func(module, name)
    loop = scope and next(p for p in loops(func.body) if p.iv is scope.iv)
    found = _plan(module, func, loop, said)
    made = [f for f in found.fifos if f.array.name == array.name]
    if not made:
        raise ScheduleError(
            f"{said}: {array.name!r} does not pass from one task of {name} to another",
            loc=func.loc,
            allowed="an array that one band or call stores to and another one reads",
        )
    reader = found.scope.tasks[made[0].reader]
    if dst not in reader.names:
        raise ScheduleError(
            f"{said}: {array.name!r} is read by {reader.name!r}, not by {dst!r}",
            loc=reader.loc, allowed=", ".join(sorted(reader.names)),
        )  # fmt: skip


# --- both ----------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _plan(module: Module, func: Func, loop: For | None, said: str) -> Plan:
    """What :func:`to` finds is what is checked when the schedule takes the module."""
    return plan(module, func, loop, said=said, see=aliases(module, func).access)


def check_tasks(module: Module, before: Module, changes: Changes, said: str) -> None:
    """Refuse a module whose tasks cannot run at once.

    What has not changed since ``before`` has been checked already.

    Raises:
        ScheduleError, IllegalScheduleError: with the reason.
    """
    news = [f for f, _ in changes]
    if not any(map(_has_tasks, news if before in _WITHOUT_TASKS else module.funcs)):
        _WITHOUT_TASKS.add(module)
        return
    changed = {f.name for f in news}
    for func in module.funcs:  # callees come before callers
        if any(isinstance(op, Call) and op.callee in changed for op in walk(func.body)):
            changed.add(func.name)
        if func.name not in changed:
            continue
        if func.tasks:
            _plan(module, func, None, said)
        for loop in _task_loops(func):
            _plan(module, func, loop, said)


_WITHOUT_TASKS = WeakSet[Module]()
"""Modules without tasks: of what a primitive makes of one only the news are looked at."""


@lru_cache(maxsize=1 << 14)
def _has_tasks(func: Func) -> bool:
    """Whether a function has tasks; most primitives leave most functions as they are."""
    return func.tasks or bool(_task_loops(func))


def _task_loops(func: Func) -> list[For]:
    """The loops of tasks in a function."""
    return [nest[-1] for nest in nests_of(func.body) if nest[-1].attrs.dataflow]
