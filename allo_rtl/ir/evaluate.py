"""The meaning of the loop IR: a slow, obvious, bit-exact evaluator.

Every other way to run a kernel is tested against this one.  Scalars are the ints that stand for
values (see :mod:`allo_rtl.ir.types`), arrays are flat row-major lists of them.
:mod:`allo_rtl.ir.arithmetic` has the arithmetic alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import AlloError, AssertionFailed, CallError, Deadlock, SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import (
    eval_binary,
    eval_bitcast,
    eval_cast,
    eval_compare,
    eval_float_op,
    eval_math,
    line_of,
    signed,
    wrap,
)
from allo_rtl.ir.bindings import Bindings
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Binary,
    Bitcast,
    Block,
    Call,
    Cast,
    Compare,
    Condition,
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
    Print,
    Return,
    Select,
    Store,
    SubView,
    Value,
    While,
)
from allo_rtl.ir.processes import Depths, Fifo, Processes, Run, enough
from allo_rtl.ir.spins import SLOW_PATIENCE, Going, Steps
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, PollKind, Put, TryGet, TryPut, used
from allo_rtl.ir.types import DYNAMIC, ArrayType, StreamType, Type

type IntArray = npt.NDArray[Any]
"""A numpy array of integers, or of Python ints (dtype object)."""


type State = MutableMapping[str, list[int]]
"""What stateful arrays hold, by name; empty before the first run."""


def evaluate(
    module: Module,
    args: Sequence[int | IntArray],
    func: str | None = None,
    *,
    state: State | None = None,
    output: Callable[[str], None] | None = None,
    frame: MakeFrame | None = None,
    patience: int = SLOW_PATIENCE,
) -> tuple[int | IntArray, ...]:
    """Run a function of a verified module and return its results.

    Args:
        module: the module.
        args: one a parameter, of the ints that stand for values. Scalars are wrapped to the
            parameter's type. Arrays have the parameter's shape and an integer dtype at least as
            wide as its elements, or object; they are wrapped on the way in and changed in place.
        func: name of the function; the module's top without it.
        state: contents of stateful arrays, read and changed; without it this is a first run.
        output: called with each line that is printed; without it nothing is.
        frame: makes the frame of the run, a :class:`Frame` that watches what happens.
        patience: operations that a process of a region does at most without touching a stream.

    Returns:
        Scalars as int; arrays as int64 or uint64 where the elements fit, else as object.

    Raises:
        CallError: the arguments do not fit the parameters.
        AssertionFailed: an assertion of the kernel, with its place in the source.
        Deadlock: processes of a region that wait for each other, and what would free them.
        AlloError: an access out of range, with its place in the source.
    """
    target = module.top_func if func is None else module.func(func)
    if len(args) != len(target.args):
        found = f"{target.name} takes {len(target.args)} arguments, {len(args)} were given"
        raise CallError(found, loc=target.loc)
    cells: dict[tuple[int, Type], _Array] = {}
    inputs = [_read_arg(p, a, cells) for p, a in zip(target.args, args, strict=True)]
    before = [list(i.cells) if isinstance(i, _Array) else i for i in inputs]
    make = frame or Frame
    context = Context(
        module, {} if state is None else state, output or _nowhere, patience=patience
    )
    results = _run(context, target, inputs, before, make)
    for arg, old, new in zip(args, before, inputs, strict=True):
        if isinstance(arg, np.ndarray) and isinstance(new, _Array) and old != new.cells:
            arg[...] = _to_numpy(new.cells, arg.shape, arg.dtype)
    return tuple(_result(t, r) for t, r in zip(target.results, results, strict=True))


def _run(
    context: Context,
    func: Func,
    inputs: Sequence[int | _Array],
    before: Sequence[int | list[int]],
    make: MakeFrame,
) -> tuple[int | _Array, ...]:
    """A run; after one that ends in a deadlock it is found out which depths are enough."""
    past = {name: list(cells) for name, cells in context.state.items()}
    try:
        return make(context, func, inputs).run()
    except Deadlock as deadlock:
        again = [
            _Array.whole(list(old), new.shape)
            if isinstance(new, _Array) and isinstance(old, list)
            else new
            for old, new in zip(before, inputs, strict=True)
        ]
        depths = enough(
            lambda depths: _again(context.module, func, again, past, depths), deadlock.full
        )
        text = ", ".join(f"{name} {depth}" for name, depth in depths.items())
        hint = f"with these depths it would not wait: {text}" if depths else None
        raise Deadlock(
            deadlock.message.removeprefix("deadlock: "), notes=deadlock.notes, full=deadlock.full,
            hint=hint,
        ) from None  # fmt: skip


def _again(
    module: Module, func: Func, inputs: Sequence[int | _Array], state: State, depths: Depths
) -> Run:
    """A run in which some FIFOs have other depths."""
    copies = [i.copy() if isinstance(i, _Array) else i for i in inputs]
    past = {name: list(cells) for name, cells in state.items()}
    context = Context(module, past, _nowhere, depths)
    Frame(context, func, copies).run()
    return Run(context.fifos, context.processes.steps)


def _nowhere(line: str) -> None:
    """Where lines go that nobody asked for."""


@dataclass(frozen=True, eq=False)
class _Array:
    """An array, or a view of one: element ``n`` in row-major order is ``cells[at[n]]``."""

    cells: list[int]
    at: Sequence[int]
    shape: tuple[int, ...]

    @staticmethod
    def whole(cells: list[int], shape: tuple[int, ...]) -> _Array:
        return _Array(cells, range(len(cells)), shape)

    def copy(self) -> _Array:
        return _Array.whole([self.cells[n] for n in self.at], self.shape)


class Context:
    """What all functions of one run share; ``depths`` are those that are not as declared."""

    def __init__(
        self, module: Module, state: State, output: Callable[[str], None],
        depths: Depths | None = None, patience: int = SLOW_PATIENCE,
    ) -> None:
        self.module = module
        self.state = state
        self.output = output
        self.depths = depths or {}
        self.processes = Processes(patience)
        self.fifos: list[Fifo] = []
        self.steps = Steps(module.func)
        self._loops: dict[While, Going] = {}

    def loop(self, loop: While, func: Func) -> Going:
        """How a loop goes on."""
        if loop not in self._loops:
            self._loops[loop] = self.steps.going(loop, func)
        return self._loops[loop]

    def fifo(self, op: MakeStream) -> Fifo:
        """A fresh stream."""
        assert isinstance(op.result.type, StreamType)
        name = op.result.name or "a stream"
        declared = op.result.type.depth
        depth = self.depths.get(name, declared)
        made = Fifo(name, depth, declared, grows=op.undeclared)
        made.values.extend([0] * op.result.type.initial)
        self.fifos.append(made)
        return made

    def array(self, name: str) -> _Array:
        """The module's array of that name; only a stateful one is not a copy."""
        found = self.module.global_(name)
        cells = self.state.setdefault(name, list(found.data)) if found.stateful else None
        return _Array.whole(list(found.data) if cells is None else cells, found.type.shape)


type Content = int | _Array | Fifo
"""What a value stands for in a run."""

type MakeFrame = Callable[[Context, Func, Sequence[Content]], Frame]
"""What makes a :class:`Frame`."""


class Frame(Bindings[int, _Array]):
    """One run of one function: what each value stands for."""

    def __init__(self, context: Context, func: Func, args: Sequence[Content]) -> None:
        super().__init__()
        self.context = context
        self.func = func
        self.rounds_left: dict[While, int | None] = {}
        for param, arg in zip(func.args, args, strict=True):
            self.bind(param, arg)

    @property
    def settled(self) -> bool:
        """Whether a loop that is under way goes on for ever unless a stream changes."""
        return any(left is not None and left < 0 for left in self.rounds_left.values())

    def number(self, expr: AffineExpr) -> int:
        return expr.evaluate(self.scalars.__getitem__)

    def run(self) -> tuple[int | _Array, ...]:
        body = self.func.body
        if self.func.dataflow:
            calls = [k for k, op in enumerate(body) if isinstance(op, Call)]
            last = calls[-1] + 1 if calls else 0
            self.block(body[:last])
            self.context.processes.join(self.func.loc)
            body = body[last:]
        self.block(body)
        # An array result is a fresh array, also when the function returns an argument of its own.
        returned = (self.get(v) for v in self.func.returned)
        return tuple(r.copy() if isinstance(r, _Array) else r for r in returned)  # type: ignore[misc]

    def block(self, block: Block) -> None:
        for op in block:
            self.op(op)

    def op(self, op: Op) -> None:
        s = self.scalars
        match op:
            case Alloc(result=result):
                zeros = [0] * result.array.size
                self.arrays[result] = _Array.whole(zeros, result.array.shape)
            case GetGlobal(result=result, name=name):
                self.arrays[result] = self.context.array(name)
            case SubView():
                self.arrays[op.result] = self.view(op)
            case Load(result=result, array=array, index=index):
                source = self.arrays[array]
                s[result] = source.cells[source.at[self.offset(array, index, op.loc)]]
            case Store(value=value, array=array, index=index):
                target = self.arrays[array]
                target.cells[target.at[self.offset(array, index, op.loc)]] = s[value]
            case For() | While() | If() | Call() | Condition() | Return():
                self.control(op)
            case MakeStream() | Put() | Get() | TryPut() | TryGet() | Poll():
                self.stream(op)
            case Print(text=text, args=args):
                types = op.types or tuple(a.type for a in args)
                values = [s[a] for a in args]
                self.context.output(line_of(text, list(zip(types, values, strict=True))))
            case Assert(condition=condition, message=message):
                if not s[condition]:
                    raise AssertionFailed(message or "an assertion does not hold", loc=op.loc)
            case _:
                self.compute(op)

    def compute(self, op: Op) -> None:
        s = self.scalars
        match op:
            case Constant(result=result, value=value):
                s[result] = value
            case Binary(kind=kind, result=result, lhs=lhs, rhs=rhs):
                s[result] = eval_binary(kind, result.type, s[lhs], s[rhs])
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                s[result] = eval_compare(predicate, s[lhs], s[rhs], lhs.type)
            case Select(result=result, condition=c, if_true=yes, if_false=no):
                self.bind(result, self.get(yes if s[c] else no))
            case Cast(result=result, operand=operand):
                s[result] = eval_cast(result.type, s[operand], operand.type)
            case Bitcast(result=result, operand=operand):
                s[result] = eval_bitcast(result.type, s[operand])
            case Math(kind=kind, result=result, args=args):
                s[result] = eval_math(kind, result.type, tuple(s[a] for a in args))
            case FloatOp(result=result, args=args):
                s[result] = eval_float_op(
                    op.kind, op.format, tuple(s[a] for a in args),
                    target=op.target, integer=result.type, fraction=op.fraction,
                )  # fmt: skip
            case Apply(result=result, expr=expr):
                s[result] = eval_cast(result.type, self.number(expr))
            case _:
                raise TypeError(f"no meaning is known for {type(op).__name__}")

    def control(self, op: Op) -> None:
        match op:
            case For():
                self.loop(op)
            case While(before=before, body=body):
                self.block(before)
                goes = self.context.loop(op, self.func)
                left = self.rounds_left[op] = goes.settles
                while self.scalars[op.condition]:
                    self.block(body)
                    self.block(before)
                    too_long = self.context.processes.spend(goes.steps)
                    if left is not None:
                        left = self.rounds_left[op] = left - 1
                        if left < 0 and not goes.touches:
                            self.context.processes.spin(op, sure=True)
                    elif too_long:
                        self.context.processes.spin(op, sure=False)
                del self.rounds_left[op]
            case If(condition=condition, then=then, orelse=orelse):
                self.block(then if self.scalars[condition] else orelse)
            case Call():
                self.call(op)

    def loop(self, op: For) -> None:
        iterations = self.iterations(op)
        if op.constant_bounds is None:
            self.context.processes.spend(len(iterations) * self.context.steps.round(op))
        for i in iterations:
            self.scalars[op.iv] = i
            self.block(op.body)

    def iterations(self, op: For) -> range:
        start = max(self.number(e) for e in op.lower)
        stop = min(self.number(e) for e in op.upper)
        return range(start, stop, op.step)

    def call(self, op: Call) -> None:
        callee = self.context.module.func(op.callee)
        frame = self.fresh(callee, [self.get(a) for a in op.args])
        if self.func.dataflow:
            process = self.context.processes.spawn(op.callee, frame.run, op.loc)
            sides = used(callee, self.context.module.func)
            for value, fifo in frame.streams.items():
                writes, reads = sides.get(value, ([], []))
                fifo.writer = process if writes else fifo.writer
                fifo.reader = process if reads else fifo.reader
            return
        results = frame.run()
        for out, result in zip(op.outs, results, strict=True):
            self.bind(out, result)

    def fresh(self, func: Func, args: Sequence[Content]) -> Frame:
        """The frame of a function that this one calls."""
        return Frame(self.context, func, args)

    def stream(self, op: Op) -> None:
        processes, s = self.context.processes, self.scalars
        match op:
            case MakeStream(result=result):
                self.streams[result] = self.context.fifo(op)
            case Put(stream=stream, value=value):
                processes.put(self.streams[stream], s[value], op.loc)
            case Get(result=result, stream=stream):
                s[result] = processes.get(self.streams[stream], op.loc)
            case TryPut(done=done, stream=stream, value=value):
                s[done] = int(not self.streams[stream].full)
                if s[done]:
                    processes.put(self.streams[stream], s[value], op.loc)
                else:
                    processes.step_aside(op, settled=self.settled)
            case TryGet(result=result, done=done, stream=stream, peek=peek):
                fifo = self.streams[stream]
                s[done] = int(fifo.count >= op.count)
                at = s[op.ahead[0]] if op.ahead else 0
                s[result] = fifo.values[at] if s[done] else 0
                if not s[done]:
                    processes.step_aside(op, settled=self.settled)
                elif peek:
                    processes.found_some(op, settled=self.settled)
                else:
                    processes.get(fifo, op.loc)
            case Poll(kind=kind, result=result, stream=stream):
                fifo = self.streams[stream]
                full = kind is PollKind.FULL
                s[result] = int(not fifo.fits(op.count) if full else fifo.count < op.count)
                if s[result]:
                    processes.step_aside(op, settled=self.settled)
                else:
                    processes.found_some(op, settled=self.settled)

    def offset(self, array: Value, index: Sequence[AffineExpr], loc: SourceLoc | None) -> int:
        subscripts = [self.number(e) for e in index]
        return self.position(array, subscripts, loc)

    def position(self, array: Value, subscripts: Sequence[int], loc: SourceLoc | None) -> int:
        offset = 0
        for i, extent in zip(subscripts, self.arrays[array].shape, strict=True):
            if not 0 <= i < extent:
                place = ", ".join(map(str, subscripts))
                text = f"{array.name or 'array'}[{place}] is out of range"
                raise AlloError(text, loc=loc, allowed=f"subscripts of {array.type}")
            offset = offset * extent + i
        return offset

    def view(self, op: SubView) -> _Array:
        source = self.arrays[op.source]
        axes = [
            [self.number(o) + n * step for n in range(1 if size is None else size)]
            for o, size, step in zip(op.offsets, op.sizes, op.steps, strict=True)
        ]
        at = [source.at[self.position(op.source, p, op.loc)] for p in product(*axes)]
        return _Array(source.cells, at, op.result.array.shape)


def _read_arg(
    param: Value, arg: int | IntArray, cells: dict[tuple[int, Type], _Array]
) -> int | _Array:
    if not isinstance(param.type, ArrayType):
        try:
            return wrap(param.type, operator.index(arg))
        except TypeError:
            raise CallError(f"{param.name} is {param.type}, it needs an int, not {arg!r}") from None
    if not isinstance(arg, np.ndarray):
        raise CallError(f"{param.name} is {param.type}, it needs a numpy array, not {arg!r}")
    if not _same_shape(arg.shape, param.type.shape):
        raise CallError(f"{param.name} is {param.type}, the array given has shape {arg.shape}")
    _check_dtype(param, arg.dtype)
    # One array given twice is one array inside as well: a store by one name shows by the other.
    key = (id(arg), param.type.unpartitioned)
    if key not in cells:
        element = param.type.element
        flat = [wrap(element, int(x)) for x in arg.reshape(-1).tolist()]
        cells[key] = _Array.whole(flat, arg.shape)
    return cells[key]


def _same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(
        w in (DYNAMIC, f) for f, w in zip(found, wanted, strict=True)
    )


def _check_dtype(param: Value, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "O":
        return
    if dtype.kind not in "iub":
        raise CallError(f"{param.name} is {param.type}, the array given is of {dtype}")
    width = 1 if dtype.kind == "b" else dtype.itemsize * 8
    if param.array.element.bits > width:
        raise CallError(
            f"{param.name} is {param.type}, its elements do not fit the array's {dtype}",
            hint="use a wider dtype, or dtype=object with Python ints",
        )


def _to_numpy(flat: list[int], shape: tuple[int, ...], dtype: np.dtype[Any]) -> IntArray:
    """The numbers as an array; an unsigned number in a signed dtype keeps its bits."""
    if dtype.kind in "iu":
        bits = dtype.itemsize * 8
        sign = 1 << (bits - 1) if dtype.kind == "i" else 0
        flat = [((x + sign) % (1 << bits)) - sign for x in flat]
    return np.array(flat, dtype=dtype).reshape(shape)


def _result(type: Type, result: int | _Array) -> int | IntArray:
    if not isinstance(result, _Array):
        return result
    assert isinstance(type, ArrayType)
    element = type.element
    dtype = "object" if element.bits > 64 else "int64" if signed(element) else "uint64"
    return _to_numpy(result.cells, result.shape, np.dtype(dtype))
