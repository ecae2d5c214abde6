"""Whether the FIFOs between tasks are deep enough that no task waits for ever.

Tasks that form a tree never wait in a circle.  Where there are two ways from one to another (a
FIFO and a buffer, or two FIFOs that meet again), a FIFO that holds less than its array may fill
while its reader waits for something that comes later by the other way.  Then the puts and gets of
all tasks are played through, without times: whether they come to an end does not depend on times.
Where they do not, the shallowest full FIFO is made deeper until they do (T. Parks, "Bounded
Scheduling of Process Networks", 1995), and the build is refused with the depths that were needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.errors import BuildError
from allo_rtl.hls.play import Fifo, Play, Process, Step
from allo_rtl.hls.processes import initial
from allo_rtl.ir.arithmetic import eval_binary, eval_cast, eval_compare
from allo_rtl.ir.ops import (
    Apply,
    Binary,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    For,
    Func,
    If,
    Module,
    Op,
    Value,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import Get, MakeStream, Put
from allo_rtl.ir.types import StreamType


def check_depths(module: Module, shallow: Mapping[Value, Value]) -> None:
    """Refuse FIFOs that are too shallow.

    Args:
        module: with the regions of tasks.
        shallow: the streams that hold less than the array they stand for, with that array.

    Raises:
        BuildError: with the depth that is needed.
    """
    inside = {op.callee for f in module.funcs if f.tasks for op in walk(f.body)
              if isinstance(op, Call)}  # fmt: skip
    inside = _called(module, inside)
    for func in module.funcs:
        if func.tasks and func.name not in inside and _may_wait(module, func, shallow):
            _Play(module, shallow).region(func)


def _called(module: Module, names: set[str]) -> set[str]:
    todo, found = list(names), set(names)
    while todo:
        for op in walk(module.func(todo.pop()).body):
            if isinstance(op, Call) and op.callee not in found:
                found.add(op.callee)
                todo.append(op.callee)
    return found


def _may_wait(module: Module, func: Func, shallow: Mapping[Value, Value]) -> bool:
    """Whether a region, or one inside, has a shallow FIFO that is part of a circle."""
    names = _called(module, {func.name})
    regions = [module.func(n) for n in names if module.func(n).tasks]
    return any(_in_circle(f, set(shallow)) for f in regions)


def _in_circle(func: Func, fifos: set[Value]) -> bool:
    """Whether there is another way between the ends of a FIFO."""
    ends: dict[Value, list[str]] = {}
    for op in func.body:
        if isinstance(op, Call):
            for value in op.args:
                if isinstance(value.type, StreamType):
                    ends.setdefault(value, []).append(op.callee)
    return any(
        _connected(ends[s][0], ends[s][1], [e for other, e in ends.items() if other is not s])
        for s in fifos if s in ends
    )


def _connected(one: str, two: str, edges: Sequence[Sequence[str]]) -> bool:
    """Whether edges lead from one process to another."""
    found, todo = {one}, [one]
    while todo:
        here = todo.pop()
        for edge in edges:
            if here in edge:
                todo += [n for n in edge if n not in found]
                found.update(edge)
    return two in found


@dataclass(frozen=True)
class _Body:
    """A function, and what is known of its values: FIFOs and numbers."""

    func: Func
    env: Mapping[Value, object]


class _Unknown(Exception):
    """What a task does depends on data."""


class _Play(Play[_Body]):
    """Plays the stream operations of a region through."""

    def __init__(self, module: Module, shallow: Mapping[Value, Value]) -> None:
        super().__init__()
        self._module = module
        self._shallow = shallow
        self._needed: dict[Value, int] = {}

    def region(self, func: Func) -> None:
        """Play a region; raises BuildError when it needs deeper FIFOs or this cannot be told."""
        try:
            self._fork(func, {}, None)
            while self.alive:
                self.go_on()
                self._deepen()
        except _Unknown:
            raise self._untold(func) from None
        if self._needed:
            raise self._too_shallow(func)

    def _untold(self, func: Func) -> BuildError:
        names = ", ".join(sorted(v.name for v in self._shallow.values()))
        return BuildError(
            f"whether tasks of '{func.name}' wait for each other for ever depends on data, for "
            f"there are FIFOs that hold less than their arrays: {names}",
            loc=func.loc, hint="give them no depth: then they hold all of the array",
        )  # fmt: skip

    def _too_shallow(self, func: Func) -> BuildError:
        parts = [
            f"{self._shallow[s].name} needs a depth of {n}, and has {_depth(s)}"
            for s, n in self._needed.items()
        ]
        return BuildError(
            f"tasks of '{func.name}' wait for each other for ever, because a FIFO is too shallow: "
            + "; ".join(parts),
            loc=func.loc,
            hint="a task also waits for those before it that touch an array of its, where this is "
            "no FIFO",
        )

    def _fork(self, func: Func, env: Mapping[Value, object], parent: Process | None) -> None:
        """Start the processes of a region."""
        known: dict[Value, object] = dict(env)
        for op in func.body:
            if isinstance(op, MakeStream):
                known[op.result] = Fifo(op.result, _depth(op.result), initial(op.result))
            elif isinstance(op, Call):
                callee = self._module.func(op.callee)
                args = zip(callee.args, (known.get(a) for a in op.args), strict=True)
                self.start(_Body(callee, {p: a for p, a in args if a is not None}), parent)

    def _deepen(self) -> None:
        """Make the shallowest full FIFO one deeper, when all wait."""
        full = [f for f, is_put in self.waits() if is_put and f.stream in self._shallow]
        if not full:
            if self.alive:
                raise _Unknown
            return
        fifo = min(full, key=lambda f: f.depth)
        self.deepen(fifo)
        self._needed[fifo.stream] = max(fifo.depth, self._needed.get(fifo.stream, 0))

    def steps(self, body: _Body, me: Process) -> Iterator[Step | None]:
        makers = {v: op for op in walk(body.func.body) for v in op.results()}
        active = _active(body.func.body, self._module)
        return self._block(body.func.body, dict(body.env), makers, active, me)

    def _block(
        self, block: Block, env: dict[Value, object], makers: Mapping[Value, Op],
        active: set[Op], me: Process,
    ) -> Iterator[Step | None]:
        for op in block:
            if op not in active:
                continue
            match op:
                case Put() | Get():
                    fifo = env.get(op.stream)
                    if isinstance(fifo, Fifo):  # others are not of these tasks
                        yield fifo, isinstance(op, Put)
                case For():
                    low = max(_number(e.evaluate, env, makers) for e in op.lower)
                    high = min(_number(e.evaluate, env, makers) for e in op.upper)
                    for i in range(low, high, op.step):
                        env[op.iv] = i
                        yield from self._block(op.body, env, makers, active, me)
                case If():
                    taken = op.then if _value(op.condition, env, makers) else op.orelse
                    yield from self._block(taken, env, makers, active, me)
                case Call():
                    callee, args = self._module.func(op.callee), op.args
                    given = dict(zip(callee.args, (env.get(a) for a in args), strict=True))
                    inner = {k: v for k, v in given.items() if v is not None}
                    if callee.dataflow:
                        self._fork(callee, inner, me)
                        yield None  # until these have ended
                    else:
                        yield from self.steps(_Body(callee, inner), me)
                case _:
                    raise _Unknown


def _depth(stream: Value) -> int:
    assert isinstance(stream.type, StreamType)
    return stream.type.depth


def _active(block: Block, module: Module) -> set[Op]:
    """The operations with streams in them, or regions."""
    found: set[Op] = set()
    for op in block:
        inside = set[Op]()
        for region in op.regions():
            inside |= _active(region, module)
        streams = any(isinstance(v.type, StreamType) for v in op.operands())
        region_call = isinstance(op, Call) and module.func(op.callee).dataflow
        if inside or streams or region_call:
            found |= {op, *inside}
    return found


def _number(
    evaluate: Callable[[Callable[[Value], int]], int], env: Mapping[Value, object],
    makers: Mapping[Value, Op],
) -> int:
    return evaluate(lambda v: _value(v, env, makers))


def _value(value: Value, env: Mapping[Value, object], makers: Mapping[Value, Op]) -> int:
    """The number of a value that follows from counters."""
    known = env.get(value)
    if isinstance(known, int):
        return known
    def of(operand: Value) -> int:
        return _value(operand, env, makers)

    match makers.get(value):
        case Constant(value=number):
            return number
        case Apply(expr=expr):
            return _number(expr.evaluate, env, makers)
        case Compare(predicate=predicate, lhs=a, rhs=b):
            return eval_compare(predicate, of(a), of(b), a.scalar)
        case Binary(kind=kind, lhs=a, rhs=b):
            return eval_binary(kind, value.scalar, of(a), of(b))
        case Cast(operand=operand):
            return eval_cast(value.scalar, of(operand), operand.scalar)
    raise _Unknown
