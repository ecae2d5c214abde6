"""Whether what ``assume_independent`` promises is so when a module runs on some arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from allo_rtl.errors import AlloError
from allo_rtl.ir.evaluate import Content, Context, Frame, IntArray, State, evaluate
from allo_rtl.ir.ops import For, Func, Load, Module, Op, Store
from allo_rtl.ir.rewrite import loops


def has_promises(module: Module) -> bool:
    """Whether a loop of the module is assumed to be independent in an array."""
    return any(loop.independent for func in module.funcs for loop in loops(func.body))


def keeps_promises(
    module: Module, args: Sequence[int | IntArray], state: State | None = None
) -> bool:
    """Whether, for these arguments, no two iterations of a loop touch one cell of an array that it
    is assumed to be independent in, one of them with a store.

    The arguments are changed as by a run.  A run that fails keeps what it promises until then.
    """
    if not has_promises(module):
        return True
    log = _Log()
    try:
        evaluate(module, args, state=state, frame=partial(_Watching, log))
    except AlloError:
        return not log.broken
    return not log.broken


@dataclass
class _Watch:
    """A loop while it runs: for each cell the iteration that touched it (None: several did), and
    whether one stored to it."""

    arrays: set[int]
    iteration: int = 0
    touched: dict[tuple[int, int], tuple[int | None, bool]] = field(default_factory=dict)

    def touch(self, cell: tuple[int, int], is_store: bool) -> bool:
        """Whether the promise holds with this access too."""
        if cell[0] not in self.arrays:
            return True
        before, stored = self.touched.get(cell, (self.iteration, False))
        alone, stored = before == self.iteration, stored or is_store
        self.touched[cell] = (self.iteration if alone else None, stored)
        return alone or not stored


@dataclass
class _Log:
    """The loops with a promise that run now, outermost first, and whether one was broken."""

    running: list[_Watch] = field(default_factory=list)
    broken: bool = False


class _Watching(Frame):
    """A run that looks at what the iterations touch."""

    def __init__(self, log: _Log, context: Context, func: Func, args: Sequence[Content]) -> None:
        self.log = log
        super().__init__(context, func, args)

    def fresh(self, func: Func, args: Sequence[Content]) -> Frame:
        return _Watching(self.log, self.context, func, args)

    def op(self, op: Op) -> None:
        if isinstance(op, Load | Store) and self.log.running:
            array = self.arrays[op.array]
            cell = id(array.cells), array.at[self.offset(op.array, op.index, op.loc)]
            for watch in self.log.running:
                if not watch.touch(cell, isinstance(op, Store)):
                    self.log.broken = True
        super().op(op)

    def loop(self, op: For) -> None:
        if not op.independent:
            super().loop(op)
            return
        watch = _Watch({id(self.arrays[a].cells) for a in op.independent})
        self.log.running.append(watch)
        for i in self.iterations(op):
            watch.iteration = i
            self.scalars[op.iv] = i
            self.block(op.body)
        self.log.running.pop()
