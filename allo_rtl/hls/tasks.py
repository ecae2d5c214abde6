"""Tasks of the schedule as processes of regions: where the sequential IR becomes parallel.

A function with ``tasks`` becomes a region; a ``dataflow`` loop becomes a call of one.  So does a
loop that does nothing but call a function with tasks, where that is legal: its tasks overlap from
call to call.  See :mod:`allo_rtl.ir.tasks` for what that means and when it is legal.
"""

from __future__ import annotations

from dataclasses import replace

from allo_rtl.errors import AlloError
from allo_rtl.hls.aliases import merge_aliases
from allo_rtl.hls.initial import settle
from allo_rtl.hls.prepare import zeroed_arrays
from allo_rtl.hls.task_depths import check_depths
from allo_rtl.hls.task_region import TaskRegion, build_region
from allo_rtl.ir.inline import inline_calls
from allo_rtl.ir.ops import Alloc, Block, Call, For, Func, Module, Op, Value, While
from allo_rtl.ir.rewrite import loops, map_block, walk, with_regions
from allo_rtl.ir.tasks import Plan, plan


def split_tasks(module: Module, *, runs: bool = False) -> tuple[Module, tuple[str, ...]]:
    """The legalized module with its tasks as processes, and notes of what does not overlap.

    With ``runs`` those of the top go on to the next run while others are at one before.

    Raises:
        ScheduleError, IllegalScheduleError: tasks cannot run at once.
        BuildError: FIFOs are so shallow that tasks would wait for each other for ever.
    """
    if not any(f.tasks or any(p.attrs.dataflow for p in loops(f.body)) for f in module.funcs):
        return module, ()
    splitter = _Splitter(merge_aliases(module), runs)
    return splitter.run(), tuple(splitter.notes)


class _Splitter:
    """Goes from the top to what it calls."""

    def __init__(self, module: Module, runs: bool) -> None:
        self.module = module
        self.runs = runs
        self.taken = {f.name for f in module.funcs} | {g.name for g in module.globals}
        self.done: dict[str, Func] = {}
        self.shallow: dict[Value, Value] = {}
        self.notes: list[str] = []

    def run(self) -> Module:
        self._visit(self.module.func(self.module.top))
        found = replace(self.module, funcs=tuple(self._in_order(self.module.top, {})))
        check_depths(found, self.shallow)
        return found

    def _in_order(self, name: str, seen: dict[str, Func]) -> list[Func]:
        """The functions that are called, before those that call them."""
        for op in walk(self.done[name].body):
            if isinstance(op, Call) and op.callee not in seen:
                self._in_order(op.callee, seen)
        seen[name] = self.done[name]
        return list(seen.values())

    def _visit(self, func: Func) -> None:
        """Split a function, and then what it calls."""
        if func.name in self.done:
            return
        new = func if func.dataflow else self._split(func)
        self.done[func.name] = new
        for op in walk(new.body):
            if isinstance(op, Call) and op.callee not in self.done:
                self._visit(self.module.func(op.callee))

    def _split(self, func: Func) -> Func:
        """A function with its tasks, or those of its loops, as processes."""
        func = replace(func, body=map_block(func.body, self._open_pipelined))
        if func.tasks and (region := self._of_function(func)) is not None:
            return region
        func = replace(func, tasks=False)
        if any(self._plans(loop) for loop in loops(func.body)):
            func = _settled(func)
        return replace(func, body=self._block(func, func.body))

    def _open_pipelined(self, op: Op) -> Op | None:
        """In a pipelined loop calls are copied in, and run with its iterations."""
        if not isinstance(op, For) or op.attrs.pipeline_ii is None:
            return None
        if not any(isinstance(x, Call) and self._has_tasks(x.callee) for x in walk(op.body)):
            return None
        return replace(op, body=inline_calls(op.body, self.module.func))

    def _has_tasks(self, name: str) -> bool:
        func = self.module.func(name)
        inside = (op for op in walk(func.body) if isinstance(op, Call))
        marked = func.tasks or any(p.attrs.dataflow for p in loops(func.body))
        return marked or any(self._has_tasks(op.callee) for op in inside)

    def _of_function(self, func: Func) -> Func | None:
        """The region of a function, None when it has one task only."""
        runs = self.runs and func.name == self.module.top
        said = f"runs of {func.name!r} that overlap" if runs else f"the tasks of {func.name!r}"
        found = plan(self._with(func), func, said=said, runs=runs)
        return self._add(build_region(self.module, found, self.taken)).region if (
            len(found.scope.tasks) > 1
        ) else None

    def _with(self, func: Func) -> Module:
        """The module with a function as it is now."""
        rest = tuple(f for f in self.module.funcs if f.name != func.name)
        return replace(self.module, funcs=(*rest, func))

    def _add(self, made: TaskRegion) -> TaskRegion:
        self.shallow |= made.shallow
        self.module = replace(
            self.module, funcs=(*made.processes, *self.module.funcs),
            globals=(*self.module.globals, *made.states),
        )  # fmt: skip
        return made

    def _block(self, func: Func, block: Block) -> Block:
        """A block with loops of tasks replaced by calls of regions, outer loops first."""
        out: list[Op] = []
        for op in block:
            found = self._plan(func, op) if isinstance(op, For) else None
            if found is not None:
                out.append(self._call(found))
                continue
            if op.REGIONS and not (isinstance(op, For) and op.attrs.pipeline_ii is not None):
                op = with_regions(op, lambda part: self._block(func, part))
            out.append(op)
        return tuple(out)

    def _plan(self, func: Func, loop: For) -> Plan | None:
        """The plan of a loop of two tasks and more; None for any other loop."""
        if not self._plans(loop):
            return None
        if loop.attrs.dataflow:
            found = plan(self._with(func), func, loop, said=f"the tasks of loop {loop.name!r}")
            return found if len(found.scope.tasks) > 1 else None
        try:
            found = plan(self._with(func), func, loop, said=f"{func.name}: loop {loop.name!r}")
        except AlloError as error:
            self.notes.append(f"calls do not overlap: {error.message}")
            return None
        return found if len(found.scope.tasks) > 1 else None

    def _plans(self, loop: For) -> bool:
        """Whether the iterations of a loop may overlap task by task."""
        plain = loop.attrs.pipeline_ii is None and loop.attrs.unroll is None
        return plain and (loop.attrs.dataflow or self._calls_tasks(loop))

    def _calls_tasks(self, loop: For) -> bool:
        """Whether a loop does nothing but call a function with tasks."""
        inside = list(walk(loop.body))
        calls = [op for op in loop.body if isinstance(op, Call)]
        others = any(isinstance(op, Call | For | While) and op not in calls for op in inside)
        return not others and len(calls) == 1 and self.module.func(calls[0].callee).tasks

    def _call(self, found: Plan) -> Call:
        made = self._add(build_region(self.module, found, self.taken))
        self.module = replace(self.module, funcs=(*self.module.funcs, made.region))
        return Call(callee=made.region.name, args=made.args, loc=found.scope.loop.loc)


def _settled(func: Func) -> Func:
    """A function whose arrays need not be zeroed where that can be seen from its loops.

    In the calls that these become it cannot be seen.
    """
    arrays = zeroed_arrays(func)
    body, dirty = settle(func.body, arrays)

    def visit(op: Op) -> Op | None:
        if isinstance(op, Alloc) and op.result in arrays - dirty:
            return replace(op, zeroed=False)
        return None

    return replace(func, body=map_block(body, visit))
