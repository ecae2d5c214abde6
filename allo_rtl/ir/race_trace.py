"""What a process of a region does with shared arrays and with streams, in order.

The process is run without data: loops, conditions and subscripts that follow from counters, its
own or those of who sends them through streams, are known, all else is not.  Where an unknown
condition decides whether elements are used, they may be; where it decides what is done with a
stream, the order of the process is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import computed, eval_cast
from allo_rtl.ir.domain import expand, numbers
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    For,
    If,
    Load,
    Module,
    Op,
    Select,
    Store,
    SubView,
    Value,
    While,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS, Get, Put, StreamOp, hands_over
from allo_rtl.ir.types import ArrayType, Index, IntegerType, StreamType

MAX_STEPS = 400_000
"""Operations of all processes of a region that are looked at."""

MAX_CELLS = 1 << 24
"""Cells that are used, each time counted, at most."""

type Cells = npt.NDArray[Any]
"""Numbers of elements, row-major."""


class UndecidedError(Exception):
    """What a process does in which order depends on data; ``loc`` is where."""

    def __init__(self, reason: str, loc: SourceLoc | None = None) -> None:
        self.reason = reason
        self.loc = loc
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Touch:
    """Elements of an array of the region that are used; ``certain``: surely so."""

    array: Value
    op: Load | Store
    certain: bool
    cells: Cells


@dataclass(frozen=True, slots=True)
class Hand:
    """A value that is put to a stream of the region, or taken from it.

    ``value`` is what is put, when that is an integer that is known.
    """

    stream: Value
    is_put: bool
    value: int | None = None


type Step = Touch | Hand
type Steps = Generator[Step, int | None, None]
"""What a process does; it is sent each value that it takes, when that is known."""


class Budget:
    """What may still be looked at, for all processes together."""

    def __init__(self, steps: int = MAX_STEPS, cells: int = MAX_CELLS) -> None:
        self._steps = steps
        self._cells = cells

    def step(self, loc: SourceLoc | None) -> None:
        """Count an operation; UndecidedError when there are too many."""
        self._steps -= 1
        if self._steps < 0:
            raise UndecidedError(f"the run has more than {MAX_STEPS:,} operations", loc)

    def use(self, cells: int, loc: SourceLoc | None) -> None:
        """Count uses of elements; UndecidedError when there are too many."""
        self._cells -= cells
        if self._cells < 0:
            raise UndecidedError(f"there are more than {MAX_CELLS:,} uses of elements", loc)


@dataclass(frozen=True, eq=False)
class Part:
    """What a process knows as an array: ``at`` are the elements of the region's array.

    Not ``exact``: which part it is depends on data, and it may be any.
    """

    array: Value
    at: Cells
    exact: bool = True


def part_of(array: Value, share: SubView | None) -> Part:
    """The part of an array of the region that a process is given; offsets are constants."""
    at = np.arange(array.array.size).reshape(array.array.shape)
    if share is not None:
        at = at[_slices(share, [e.const for e in share.offsets])]
    return Part(array, np.asarray(at))


def _slices(view: SubView, offsets: Sequence[int]) -> tuple[int | slice, ...]:
    parts = zip(offsets, view.sizes, view.steps, strict=True)
    return tuple(o if n is None else slice(o, o + n * s, s) for o, n, s in parts)


def trace(
    module: Module, call: Call, parts: Mapping[Value, Part], streams: Collection[Value],
    budget: Budget,
) -> Steps:
    """What a process does, step by step.

    Args:
        call: the process.
        parts: what its arguments are that are looked at.
        streams: those that are looked at.

    Raises:
        UndecidedError: from here on it depends on data, or there is too much.
    """
    func = module.func(call.callee)
    pairs = list(zip(func.args, call.args, strict=True))
    frame = _Frame(
        _Run(module, budget),
        {p: parts[a] for p, a in pairs if a in parts},
        {p: a for p, a in pairs if a in streams},
    )
    yield from frame.block(func.body, True)
    yield from frame.run.flush()


class _Run:
    """What all functions of one process share: uses that have not been told yet."""

    def __init__(self, module: Module, budget: Budget) -> None:
        self.module = module
        self.budget = budget
        self._places: dict[tuple[Part, Load | Store, bool], set[tuple[int | None, ...]]] = {}
        self._cells: list[Touch] = []

    def place(
        self, part: Part, op: Load | Store, sure: bool, place: tuple[int | None, ...]
    ) -> None:
        """An element is used, or with None any along that dimension."""
        inside = tuple(
            n if n is not None and 0 <= n < extent else None
            for n, extent in zip(place, part.at.shape, strict=True)
        ) if part.exact else (None,) * part.at.ndim  # fmt: skip
        self._places.setdefault((part, op, sure), set()).add(inside)

    def cells(
        self, part: Part, op: Load | Store, sure: bool, cells: Cells, distinct: bool = False
    ) -> None:
        """Elements are used, ``distinct`` ones or any."""
        self.budget.use(cells.size, op.loc)
        cells = cells if distinct else np.unique(cells)
        self._cells.append(Touch(part.array, op, sure and part.exact, cells))

    def flush(self) -> Iterator[Touch]:
        """All uses since the last time."""
        places, self._places = self._places, {}
        for (part, op, sure), found in places.items():
            known = [p for p in found if None not in p]
            if len(known) == 1:
                self.cells(part, op, sure, part.at[known[0]].reshape(1), distinct=True)
            elif known:
                self.cells(part, op, sure, part.at[tuple(np.array(known, int).T)])
            for place in (p for p in found if None in p):
                where = tuple(slice(None) if n is None else n for n in place)
                self.cells(part, op, False, part.at[where].ravel())
        cells, self._cells = self._cells, []
        yield from cells


type _Known = int | None


class _Frame:
    """One run of a function: what is known in it."""

    def __init__(
        self, run: _Run, parts: Mapping[Value, Part], streams: Mapping[Value, Value]
    ) -> None:
        self.run = run
        self.parts = dict(parts)
        self.streams = streams
        self.scalars: dict[Value, _Known] = {}
        self.variables: dict[Value, list[_Known]] = {}
        self._busy: dict[Op, bool] = {}
        self._plain: dict[Op, bool] = {}

    def block(self, block: Block, sure: bool) -> Steps:
        for op in block:
            self.run.budget.step(op.loc)
            match op:
                case For():
                    yield from self._loop(op, sure)
                case While():
                    yield from self._while(op, sure)
                case If():
                    yield from self._if(op, sure)
                case Call():
                    yield from self._call(op, sure)
                case _ if isinstance(op, STREAM_OPS):
                    yield from self._hand(op)
                case Load() | Store():
                    self._access(op, sure)
                case SubView():
                    self._view(op)
                case Alloc(result=result):
                    self.variables[result] = [0 if op.zeroed and not result.array.rank else None]
                case _ if self._picks(op):
                    raise UndecidedError("which array is used depends on data", op.loc)
                case _:
                    self._compute(op)

    def _picks(self, op: Op) -> bool:
        """Whether an operation gives one of several arrays, one that is looked at among them."""
        return isinstance(op, Select) and any(v in self.parts for v in op.operands())

    # Numbers

    def _number(self, expr: AffineExpr) -> _Known:
        if any(self.scalars.get(v) is None for v in expr.values):
            return None
        return expr.evaluate(lambda v: self.scalars[v] or 0)

    def _compute(self, op: Op) -> None:
        for result in op.results():
            self.scalars[result] = self._result(op, result)

    def _result(self, op: Op, result: Value) -> _Known:
        """The number that an operation results in, when it is an integer that is known."""
        if not isinstance(result.type, IntegerType | Index):
            return None
        s = self.scalars.get
        match op:
            case Constant(value=value):
                return value
            case Apply(expr=expr):
                n = self._number(expr)
                return None if n is None else eval_cast(result.type, n)
            case Select(condition=c, if_true=yes, if_false=no):
                n = s(c)
                return None if n is None else s(yes if n else no)
        known = [n for n in (s(v) for v in op.operands()) if n is not None]
        if len(known) < len(list(op.operands())):
            return None
        return computed(op, known) if isinstance(op, Binary | Compare | Cast) else None

    # Arrays

    def _access(self, op: Load | Store, sure: bool) -> None:
        part = self.parts.get(op.array)
        if part is not None:
            self.run.place(part, op, sure, tuple(self._number(e) for e in op.index))
        variable = self.variables.get(op.array)
        if isinstance(op, Store):
            if variable is not None and not op.array.array.rank:
                variable[0] = self.scalars.get(op.value)
        else:
            kept = variable[0] if variable is not None and not op.array.array.rank else None
            is_number = isinstance(op.result.type, IntegerType | Index)
            self.scalars[op.result] = kept if is_number else None

    def _view(self, op: SubView) -> None:
        if (part := self.parts.get(op.source)) is None:
            return
        offsets = [self._number(e) for e in op.offsets]
        known = [n for n in offsets if n is not None and n >= 0]
        if len(known) == len(offsets):
            at = part.at[_slices(op, known)] if part.exact else part.at
            self.parts[op.result] = Part(part.array, at, part.exact)
        else:
            self.parts[op.result] = Part(part.array, part.at, False)

    def _forget(self, *blocks: Block) -> None:
        """Variables that may be stored to are not known any longer."""
        for block in blocks:
            for op in walk(block):
                stored = [op.array] if isinstance(op, Store) else []
                stored += op.args if isinstance(op, Call) else []
                for array in stored:
                    if array in self.variables:
                        self.variables[array][0] = None

    # Control

    def busy(self, op: Op) -> bool:
        """Whether an operation uses a stream that is looked at."""
        if op not in self._busy:
            self._busy[op] = any(
                (isinstance(o, STREAM_OPS) and o.stream in self.streams)
                or (isinstance(o, Call) and any(a in self.streams for a in o.args))
                for o in walk((op,))
            )
        return self._busy[op]

    def _loop(self, op: For, sure: bool) -> Steps:
        low, high = [self._number(e) for e in op.lower], [self._number(e) for e in op.upper]
        if None in low or None in high:
            self._need_quiet(op, "how often a loop runs depends on data")
            yield from self._perhaps(op.body, iv=op.iv)
            return
        if self._is_plain(op):
            self._nest(op, sure)
            return
        for n in range(max(x for x in low if x is not None),
                       min(x for x in high if x is not None), op.step):  # fmt: skip
            self.scalars[op.iv] = n
            yield from self.block(op.body, sure)

    def _while(self, op: While, sure: bool) -> Steps:
        yield from self.block(op.before, sure)
        while self.scalars.get(op.condition):
            yield from self.block(op.body, sure)
            yield from self.block(op.before, sure)
        if self.scalars.get(op.condition) is None:
            self._need_quiet(op, "how often a while loop runs depends on data")
            yield from self._perhaps((*op.body, *op.before))

    def _if(self, op: If, sure: bool) -> Steps:
        taken = self.scalars.get(op.condition)
        if taken is None:
            self._need_quiet(op, "a condition depends on data")
            self._forget(op.then)
            yield from self._perhaps(op.then)
            yield from self._perhaps(op.orelse)
        else:
            yield from self.block(op.then if taken else op.orelse, sure)

    def _need_quiet(self, op: Op, reason: str) -> None:
        if self.busy(op):
            raise UndecidedError(reason, op.loc)

    def _perhaps(self, block: Block, iv: Value | None = None) -> Steps:
        """A block that may be executed, any number of times."""
        self._forget(block)
        if iv is not None:
            self.scalars[iv] = None
        yield from self.block(block, False)
        self._forget(block)

    def _call(self, op: Call, sure: bool) -> Steps:
        func = self.run.module.func(op.callee)
        pairs = list(zip(func.args, op.args, strict=True))
        frame = _Frame(
            self.run,
            {p: self.parts[a] for p, a in pairs if a in self.parts},
            {p: self.streams[a] for p, a in pairs if a in self.streams},
        )
        if frame.parts or frame.streams:
            for p, a in pairs:
                if not isinstance(p.type, ArrayType | StreamType):
                    frame.scalars[p] = self.scalars.get(a)
            yield from frame.block(func.body, sure)
        self._forget((op,))

    def _hand(self, op: StreamOp) -> Steps:
        for result in op.results():
            self.scalars[result] = None
        if (stream := self.streams.get(op.stream)) is None or not hands_over(op):
            return
        if not isinstance(op, Put | Get):
            raise UndecidedError("whether a value is handed over depends on when", op.loc)
        yield from self.run.flush()
        if isinstance(op, Get):
            self.scalars[op.result] = yield Hand(stream, False)
        else:
            yield Hand(stream, True, self.scalars.get(op.value))

    # Nests whose uses are affine, all at once

    def _is_plain(self, op: For) -> bool:
        """Whether a loop nest computes, loads and stores, with known subscripts."""
        if op not in self._plain:
            inside = list(walk(op.body))
            counters = {op.iv} | {o.iv for o in inside if isinstance(o, For)}
            local = {r for o in inside for r in o.results()} - counters
            exprs = [e for o in (op, *inside) if isinstance(o, For) for e in (*o.lower, *o.upper)]
            exprs += [e for o in inside if isinstance(o, Load | Store) and o.array in self.parts
                      for e in o.index]  # fmt: skip
            self._plain[op] = not any(
                isinstance(o, While | If | Call | SubView) or self._picks(o) for o in inside
            ) and not self.busy(op) and not any(e.values & local for e in exprs)
        return self._plain[op]

    def _nest(self, op: For, sure: bool, around: tuple[For, ...] = ()) -> None:
        loops = (*around, op)
        for inner in op.body:
            self.run.budget.step(inner.loc)
            if isinstance(inner, For):
                self._nest(inner, sure, loops)
            elif isinstance(inner, Load | Store) and inner.array in self.parts:
                self._points(inner, loops, sure)
        if not around:
            self._forget((op,))

    def _points(self, op: Load | Store, loops: Sequence[For], sure: bool) -> None:
        """The elements that an operation uses in all iterations of a nest."""
        counters = {p.iv for p in loops}
        bounds = [e for p in loops for e in (*p.lower, *p.upper)]
        outside = {v: self.scalars.get(v) for e in (*bounds, *op.index) for v in e.values
                   if v not in counters}  # fmt: skip
        known = {v: n for v, n in outside.items() if n is not None}
        part = self.parts[op.array]
        points = None
        if part.exact and all(e.values <= counters | known.keys() for e in bounds):
            points = expand(loops, known)
        if points is None:
            self.run.place(part, op, False, (None,) * part.at.ndim)
            return
        size = len(points[loops[-1].iv])
        at: dict[Value, int | Cells] = {**known, **points}
        where: list[slice | Cells] = []
        for expr, extent in zip(op.index, part.at.shape, strict=True):
            place = numbers(expr, at, size) if expr.values <= at.keys() else None
            inside = place is not None and ((place >= 0) & (place < extent)).all()
            where.append(place if place is not None and inside else slice(None))
        exact = not any(isinstance(w, slice) for w in where)
        if size:
            self.run.cells(part, op, sure and exact, part.at[tuple(where)].ravel())
