"""The parts of a function's body, or of a loop's, that are tasks: each loop nest and each call.

What stands before a nest or call (a variable set, a number read) is part of its task; what comes
last is part of the last one.  Allocations, constants and arithmetic on them are common to all.  A
call counts as what its function does: one task, or the tasks of a function that has some itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, accesses
from allo_rtl.ir.inline import body_of, own_results
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    Bitcast,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    FloatOp,
    For,
    Func,
    GetGlobal,
    If,
    Load,
    Math,
    Module,
    Op,
    Return,
    Select,
    Store,
    SubView,
    Value,
    While,
)
from allo_rtl.ir.rewrite import loops, map_block, replace_func, substitute, substitute_op, walk
from allo_rtl.ir.stream_ops import MakeStream
from allo_rtl.ir.types import ArrayType, index

_PURE = (Constant, Apply, Binary, Compare, Select, Cast, Bitcast, Math, FloatOp, SubView)
_MADE = (Alloc, GetGlobal, MakeStream)


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: of the function that is called, or of the band.
        names: all that it may be called by: also the bands inside.
        ops: what it does, in order.
        loc: where it is in the source.
    """

    name: str
    names: frozenset[str]
    ops: Block
    loc: SourceLoc | None


@dataclass(frozen=True)
class Scope:
    """A body in tasks.

    Attributes:
        func: the function.
        loop: the loop, or a loop of one iteration that stands for the function's body.
        of_loop: whether it is a loop of the function.
        of_runs: whether iterations of ``loop`` stand for runs of the function that overlap.
        common: what all tasks may use, in order: it has no effects.
        tasks: in the order of the text; values go from one to another only through arrays.
        closing: what the function returns at the end.
    """

    func: Func
    loop: For
    of_loop: bool
    common: Block
    tasks: tuple[Task, ...]
    closing: Block = ()
    of_runs: bool = False

    @property
    def repeats(self) -> bool:
        """Whether a task may be at one iteration while others are at another."""
        return self.of_loop or self.of_runs

    @property
    def name(self) -> str:
        """The loop's name or the function's."""
        return self.loop.name if self.of_loop else self.func.name

    @property
    def body(self) -> Block:
        """All of it as one block."""
        return (*self.common, *(op for task in self.tasks for op in task.ops))

    @cached_property
    def local(self) -> dict[Value, Alloc]:
        """The arrays that are made here, in each iteration anew."""
        return {op.result: op for op in self.common if isinstance(op, Alloc)}

    def accesses(self, module: Module) -> list[tuple[int, Access]]:
        """(number of the task, access) of everything the tasks do to arrays and streams.

        The first loop of each access is the scope's.
        """
        body = self.body
        loop = replace(self.loop, body=body)
        owners = [k for k, task in enumerate(self.tasks) for _ in task.ops]
        found = []
        for access in accesses((loop,), _with_body(module, self, loop)):
            at = access.position[2] - len(self.common)
            if at >= 0:
                found.append((owners[at], access))
        return found

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The place of each task's first operation in the body."""
        *places, _ = accumulate((len(t.ops) for t in self.tasks), initial=len(self.common))
        return tuple(places)

    @cached_property
    def inside(self) -> frozenset[Value]:
        """All that is computed in the body."""
        return frozenset(v for op in self.body for v in mentioned(op).results)


def _with_body(module: Module, scope: Scope, loop: For) -> Module:
    if not scope.of_loop:
        return replace_func(module, replace(scope.func, body=(*loop.body, *scope.closing)))
    body = map_block(scope.func.body, lambda op: loop if _same(op, loop) else None)
    return replace_func(module, replace(scope.func, body=body))


def _same(op: Op, loop: For) -> bool:
    return isinstance(op, For) and op.iv is loop.iv


_MANY = 1 << 16
"""Runs that dependences are looked for in, where runs overlap: more than may be under way."""


def open_scope(
    module: Module, func: Func, loop: For | None = None, *, runs: bool = False
) -> Scope:
    """A function's body, or that of one of its loops, in tasks.

    Calls are opened as far as they touch arrays that several tasks use.  With ``runs`` the body is
    that of a loop over runs of the function.
    """
    if loop is None:
        func = own_results(func)
    opener = _Opener(module)
    opener.block(func.body if loop is None else loop.body)
    opener.finish()
    once = For(
        iv=Value(index, func.name), lower=(AffineExpr.constant(0),),
        upper=(AffineExpr.constant(_MANY if runs else 1),), body=(),
        name="run" if runs else func.name, loc=func.loc,
    )  # fmt: skip
    return Scope(
        func, loop or once, loop is not None, tuple(opener.common), opener.tasks(),
        tuple(opener.closing), runs,
    )  # fmt: skip


@dataclass(frozen=True)
class Mentioned:
    """What is in an operation and inside it.

    Attributes:
        operands, results: the values used and computed, in the order of the text.
        arrays: those of both that are arrays.
        calls: whether there are calls.
    """

    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    arrays: tuple[Value, ...]
    calls: bool


@lru_cache(maxsize=1 << 13)
def mentioned(op: Op) -> Mentioned:
    """What is in an operation, which most primitives leave as it is."""
    inside = tuple(walk((op,)))
    operands = tuple(dict.fromkeys(v for x in inside for v in x.operands()))
    results = tuple(v for x in inside for v in x.results())
    arrays = tuple(v for v in {*operands, *results} if isinstance(v.type, ArrayType))
    return Mentioned(operands, results, arrays, any(isinstance(x, Call) for x in inside))


@dataclass
class _Piece:
    name: str
    names: set[str]
    ops: list[Op]
    loc: SourceLoc | None


class _Opener:
    """Reads a body in order."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.common: list[Op] = []
        self.pieces: list[_Piece] = []
        self.closing: list[Op] = []
        self._pending: list[Op] = []
        self._owner: dict[Value, int] = {}
        """The piece that computes a value; of one that is pending the next."""
        self._returned: dict[Value, Value | AffineExpr] = {}

    def block(self, block: Block, via: tuple[str, ...] = ()) -> None:
        """Read a block; ``via`` are the functions whose body it is."""
        for old in block:
            (op,) = substitute((old,), self._returned)
            if isinstance(op, Return):
                self.closing = [op]
            elif self._is_common(op):
                self.common.append(op)
            elif isinstance(op, Call) and self._opens(op):
                self._call(op, via)
            elif isinstance(op, For | While | Call) or _takes_control(op):
                self._close(op, _names_of(op), via)
            else:
                self._straight(op)

    def _is_common(self, op: Op) -> bool:
        if isinstance(op, _MADE):
            return True
        return isinstance(op, _PURE) and not any(v in self._owner for v in op.operands())

    def _opens(self, op: Call) -> bool:
        arrays = any(isinstance(v.type, ArrayType) for v in (*op.args, *op.outs))
        return arrays and not self.module.func(op.callee).dataflow

    def _call(self, op: Call, via: tuple[str, ...]) -> None:
        """A call as what the function does."""
        callee = own_results(self.module.func(op.callee))
        names = dict(zip(callee.returned, (v.name for v in op.outs), strict=True))
        body, results = body_of(op, callee, lambda v: names.get(v) or v.name)
        self._returned |= results
        depths = {results[v]: n for v, n in zip(op.outs, op.fifos, strict=False) if n}
        body = tuple(
            replace(x, fifo=depths[x.result]) if isinstance(x, Alloc) and x.result in depths
            else x for x in body
        )
        if callee.tasks:
            self.block(body, (*via, op.callee))
            return
        self._straight_all(body)
        self._close(None, {op.callee} | {n for x in body for n in _names_of(x)}, via, op)

    def _straight_all(self, body: Block) -> None:
        for op in body:
            if self._is_common(op):
                self.common.append(op)
            else:
                self._hold(op)

    def _hold(self, op: Op) -> None:
        self._pending.append(op)
        self._owner |= dict.fromkeys(op.results(), len(self.pieces))

    def _straight(self, op: Op) -> None:
        """What has no name of its own: part of the piece it uses values of, or of the next."""
        used = {self._owner.get(v, -1) for v in mentioned(op).operands}
        last = len(self.pieces) - 1
        if last >= 0 and last in used:
            for held in (*self._pending, op):
                self._owner |= dict.fromkeys(held.results(), last)
            self.pieces[-1].ops += [*self._pending, op]
            self._pending = []
        else:
            self._hold(op)

    def _close(
        self, op: Op | None, names: Iterable[str], via: tuple[str, ...], call: Call | None = None
    ) -> None:
        """End a piece with an operation, or with what a call did."""
        if op is not None:
            self._hold(op)
        if not self._pending:
            return
        last = call or op
        name = call.callee if call else next(iter(names), "task")
        loc = last.loc if last else None
        self.pieces.append(_Piece(name, {*names, *via}, self._pending, loc))
        self._pending = []

    def finish(self) -> None:
        """Give what is left to the last piece, and pass values on through variables."""
        if self._pending and not self.pieces:
            self._close(None, ["body"], ())
        elif self._pending:
            self.pieces[-1].ops += self._pending
            self._owner |= {
                v: len(self.pieces) - 1 for op in self._pending for v in op.results()
            }
        self._pending = []
        for k, piece in enumerate(self.pieces):
            piece.ops = self._taken(k, piece.ops)
        self.closing = self._taken(len(self.pieces), self.closing)
        self._expand()

    def _taken(self, at: int, ops: list[Op]) -> list[Op]:
        """Operations with the values of other pieces read from variables."""
        used = dict.fromkeys(
            v for op in ops for v in mentioned(op).operands
            if self._owner.get(v, at) != at and not isinstance(v.type, ArrayType)
        )
        before: list[Op] = []
        mapping: dict[Value, Value | AffineExpr] = {}
        for value in used:
            variable = Value(ArrayType(value.scalar, ()), value.name or "passed")
            copy = Value(value.type, value.name)
            self.common.append(Alloc(result=variable))
            self._store(value, variable)
            before.append(Load(result=copy, array=variable))
            mapping[value] = copy
        return [*before, *substitute(tuple(ops), mapping)]

    def _store(self, value: Value, variable: Value) -> None:
        piece = self.pieces[self._owner[value]]
        at = next(k for k, op in enumerate(piece.ops) if value in op.results())
        piece.ops.insert(at + 1, Store(value=value, array=variable))

    def _expand(self) -> None:
        """Open the calls inside pieces that touch an array of several."""
        shared = shared_arrays([tuple(p.ops) for p in self.pieces], self.common)
        for piece in self.pieces:
            piece.ops = list(_opened(tuple(piece.ops), self.module, shared))

    def tasks(self) -> tuple[Task, ...]:
        """The tasks, with a name each."""
        names: dict[str, int] = {}
        found = []
        for piece in self.pieces:
            count = names[piece.name] = names.get(piece.name, 0) + 1
            name = piece.name if count == 1 else f"{piece.name}_{count}"
            found.append(Task(name, frozenset({*piece.names, name}), tuple(piece.ops), piece.loc))
        return tuple(found)


def _takes_control(op: Op) -> bool:
    inside = walk((*op.then, *op.orelse)) if isinstance(op, If) else ()
    return any(isinstance(x, For | While | Call) for x in inside)


@lru_cache(maxsize=1 << 13)
def _names_of(op: Op) -> tuple[str, ...]:
    """The names a task may be called by for what is in it, its own first."""
    if isinstance(op, Call):
        return (op.callee,)
    inside = list(loops((op,)))
    named = [p.attrs.band for p in inside if p.attrs.band]
    return (*named, *(p.name for p in inside[:1]))


def shared_arrays(pieces: Iterable[Block], common: Iterable[Op]) -> set[Value]:
    """The arrays that several pieces use, with the views of them."""
    source = {op.result: op.source for op in common if isinstance(op, SubView)}
    users: dict[Value, int] = {}
    for piece in pieces:
        used = {v for op in piece for v in mentioned(op).arrays}
        for value in {_whole(v, source) for v in used}:
            users[value] = users.get(value, 0) + 1
    shared = {v for v, n in users.items() if n > 1}
    return shared | {view for view in source if _whole(view, source) in shared}


def _whole(value: Value, source: Mapping[Value, Value]) -> Value:
    while value in source:
        value = source[value]
    return value


def _opened(block: Block, module: Module, arrays: set[Value]) -> Block:
    """The block with the calls that are given some of the arrays replaced by what they do."""
    if not any(mentioned(op).calls for op in block):
        return block
    for op in walk(block):
        if isinstance(op, SubView) and op.source in arrays:
            arrays.add(op.result)
    returned: dict[Value, Value | AffineExpr] = {}

    def visit(op: Op) -> Op | Block:
        op = substitute_op(op, returned)
        if not isinstance(op, Call) or not arrays.intersection(op.args):
            return op
        callee = module.func(op.callee)
        if callee.dataflow:
            return op
        body, results = body_of(op, callee)
        returned.update(results)
        return _opened(body, module, arrays)

    return map_block(block, visit)
