"""Two kernels as one, which is told by an instruction which of them to run: unify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from allo_rtl.customize import customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    Compare,
    Constant,
    For,
    Func,
    GetGlobal,
    If,
    Load,
    LoopAttrs,
    Module,
    Op,
    Predicate,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import map_block
from allo_rtl.ir.types import ArrayType, ScalarType, Type, bool_, index, int8
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.call_place import primitive
from allo_rtl.schedule.schedule import Schedule

type Kernel = Schedule | Callable[..., Any]


@primitive
def unify(func1: Kernel, func2: Kernel, loop_num: int) -> Module:
    """Merge two kernels under one outer loop, in which an instruction says which of them runs.

        def f(A, B): ...           def f_g_unified(A, B, C, inst: int8[loop_num]):
        def g(A, C): ...     ->        for t in range(loop_num):
                                           if inst[t] == 0: f(A, B)
                                           else:            g(A, C)

    An argument of one name and type in both is one argument; of the others those of ``func1`` come
    first.  What a kernel returns the merged one returns too, ``func1``'s first: as it was when the
    kernel ran last, and zeros when it never did.  Each kernel keeps its own state and its own
    schedule.  In hardware both are there, and one of them runs at a time.

    Args:
        func1, func2: kernels, or schedules of kernels.
        loop_num: how many instructions there are, 1 or more.

    Returns:
        A module with the top ``<func1>_<func2>_unified``, for :func:`allo_rtl.customize`.

    Raises:
        ScheduleError: the number of instructions does not fit, a shape is dynamic, or a kernel is a
            region.
    """
    if not isinstance(loop_num, int) or isinstance(loop_num, bool) or loop_num < 1:
        raise ScheduleError(
            f"unify is given {loop_num!r} instructions", allowed="a number of iterations, 1 or more"
        )
    one, other = (_module(f) for f in (func1, func2))
    _check(one)
    _check(other)
    name = f"{one.top}_{other.top}_unified"
    other = _apart(other, {f.name for f in one.funcs} | {g.name for g in one.globals} | {name})
    top = _Top(one.top_func, other.top_func, loop_num).func(name)
    merged = Module(
        funcs=(*one.funcs, *other.funcs, top), top=name, globals=(*one.globals, *other.globals)
    )
    verify_module(merged)
    return merged


def _module(kernel: Kernel) -> Module:
    return kernel.module if isinstance(kernel, Schedule) else customize(kernel).module


def _check(module: Module) -> None:
    func = module.top_func
    if func.dataflow:
        raise ScheduleError(f"unify takes kernels, and '{func.name}' is a region", loc=func.loc)
    types = [*(a.type for a in func.args), *func.results]
    if any(isinstance(t, ArrayType) and t.is_dynamic for t in types):
        raise ScheduleError(
            f"unify needs constant shapes, and those of '{func.name}' are not", loc=func.loc
        )


def _apart(module: Module, taken: set[str]) -> Module:
    """The module with other names for what has a name that is taken."""
    names = {f.name for f in module.funcs} | {g.name for g in module.globals}
    new = {n: _free(n, taken | names) for n in sorted(names & taken)}

    def visit(op: Op) -> Op | None:
        match op:
            case Call(callee=name) if name in new:
                return replace(op, callee=new[name])
            case GetGlobal(name=name) if name in new:
                return replace(op, name=new[name])
        return None

    return Module(
        funcs=tuple(
            replace(f, name=new.get(f.name, f.name), body=map_block(f.body, visit))
            for f in module.funcs
        ),
        top=new.get(module.top, module.top),
        globals=tuple(replace(g, name=new.get(g.name, g.name)) for g in module.globals),
    )


def _free(name: str, taken: set[str]) -> str:
    k = 1
    while f"{name}_{k}" in taken:
        k += 1
    taken.add(f"{name}_{k}")
    return f"{name}_{k}"


@dataclass(frozen=True)
class _Top:
    """Makes the function that reads the instructions."""

    one: Func
    other: Func
    count: int

    def func(self, name: str) -> Func:
        args, mine, others = self._arguments()
        names = {a.name for a in args}
        inst = Value(ArrayType(int8, (self.count,)), _unused("inst", names))
        names.add(inst.name)
        kept = [self._results(f, names) for f in (self.one, self.other)]
        branches = [
            self._run(f, given, results, names)
            for f, given, results in zip((self.one, self.other), (mine, others), kept, strict=True)
        ]
        results = [r for part in kept for r in part]
        loc = self.one.loc
        allocs = tuple(Alloc(result=r, loc=loc) for r in results)
        loop = self._loop(inst, branches[0], branches[1])
        return Func(
            name=name,
            args=(*args, inst),
            results=(*self.one.results, *self.other.results),
            body=(*allocs, loop, *self._returned(results)),
            loc=loc,
        )

    def _arguments(self) -> tuple[list[Value], list[Value], list[Value]]:
        """Those of the merged kernel, and which of them each kernel is given."""
        args = [Value(a.type, a.name) for a in self.one.args]
        known = {a.name: a for a in args}
        others = []
        for arg in self.other.args:
            same = known.get(arg.name)
            if same is not None and _plain(same.type) == _plain(arg.type):
                self._check_banks(same, arg)
            else:
                same = Value(arg.type, _unused(arg.name, set(known)))
                known[same.name] = same
                args.append(same)
            others.append(same)
        return args, args[: len(self.one.args)], others

    def _check_banks(self, one: Value, other: Value) -> None:
        if one.type != other.type:
            raise ScheduleError(
                f"'{one.name}' is one array of both kernels, and they partition it differently",
                loc=self.other.loc,
                hint="partition it alike in both schedules, or in that of the merged kernel",
            )

    def _results(self, func: Func, names: set[str]) -> list[Value]:
        """Where what a kernel returned last is kept: scalars in arrays of rank 0."""
        types = [v.type for v in func.returned]
        found = []
        for k, type_ in enumerate(map(_array, types)):
            found.append(_named(type_, func.returned[k].name or "result", names))
        return found

    def _run(
        self, func: Func, given: Sequence[Value], kept: Sequence[Value], names: set[str]
    ) -> Block:
        outs = tuple(_named(t, f"{func.name}_out", names) for t in func.results)
        call = Call(callee=func.name, args=tuple(given), outs=outs, loc=func.loc)
        copies = (_copy(a, b, f"{func.name}_copy") for a, b in zip(outs, kept, strict=True))
        return (call, *(op for part in copies for op in part))

    def _loop(self, inst: Value, then: Block, orelse: Block) -> For:
        iv, word, zero, first = (
            Value(t, n) for t, n in ((index, "step"), (int8, ""), (int8, ""), (bool_, ""))
        )
        body: Block = (
            Load(result=word, array=inst, index=(AffineExpr.of(iv),)),
            Constant(result=zero, value=0),
            Compare(predicate=Predicate.EQ, result=first, lhs=word, rhs=zero),
            If(condition=first, then=then, orelse=orelse),
        )
        return _for(iv, self.count, body, LoopAttrs(band="unified"))

    def _returned(self, kept: Sequence[Value]) -> Block:
        if not kept:
            return ()
        loads: list[Op] = []
        values = []
        for type_, cell in zip((*self.one.results, *self.other.results), kept, strict=True):
            values.append(cell if isinstance(type_, ArrayType) else Value(type_, cell.name))
            if values[-1] is not cell:
                loads.append(Load(result=values[-1], array=cell))
        return (*loads, Return(values=tuple(values)))


def _plain(type_: Type) -> Type:
    """The type without its banks."""
    return replace(type_, partition=()) if isinstance(type_, ArrayType) else type_


def _array(type_: Type) -> ArrayType:
    if isinstance(type_, ArrayType):
        return type_
    assert isinstance(type_, ScalarType), "kernels return scalars and arrays"
    return ArrayType(type_, ())


def _unused(name: str, taken: set[str]) -> str:
    return name if name not in taken else _free(name, set(taken))


def _named(type_: Type, name: str, taken: set[str]) -> Value:
    value = Value(type_, _unused(name, taken))
    taken.add(value.name)
    return value


def _for(iv: Value, count: int, body: Block, attrs: LoopAttrs) -> For:
    bounds = (AffineExpr.constant(0),), (AffineExpr.constant(count),)
    return For(iv=iv, lower=bounds[0], upper=bounds[1], body=body, name=iv.name, attrs=attrs)


def _copy(source: Value, target: Value, band: str) -> Block:
    """Loops that copy an array, or the store of a scalar."""
    if not isinstance(source.type, ArrayType):
        return (Store(value=source, array=target),)
    shape = source.array.shape
    ivs = [Value(index, f"c{k}") for k in range(len(shape))]
    at = tuple(map(AffineExpr.of, ivs))
    word = Value(source.array.element)
    body: Block = (
        Load(result=word, array=source, index=at), Store(value=word, array=target, index=at),
    )  # fmt: skip
    for k in reversed(range(len(shape))):
        innermost = k == len(shape) - 1
        attrs = LoopAttrs(band="" if k else band, pipeline_ii=1 if innermost else None)
        body = (_for(ivs[k], shape[k], body, attrs),)
    return body
