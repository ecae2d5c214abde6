"""From the scheduled loop IR to functions that control trees can be read off.

After this, the body of every pipelined loop is free of loops and calls, unrolled loops are
unrolled, every returned array is an array of the function's own, and what must be cleared at its
allocation is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from allo_rtl.hls.aliases import merge_aliases
from allo_rtl.hls.initial import settle
from allo_rtl.hls.unroll import Intervals, copies, inline_calls, unroll_all, unroll_by
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    For,
    Func,
    If,
    Load,
    LoopAttrs,
    Module,
    Op,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import retype, walk
from allo_rtl.ir.types import ArrayType, DimPartition, Index, Partition


@dataclass(frozen=True)
class PreparedFunc:
    """A prepared function and the arrays it must clear where they are allocated."""

    func: Func
    dirty: frozenset[Value]


def prepare(module: Module) -> tuple[PreparedFunc, ...]:
    """Prepare the functions that hardware is made of: the top and what it still calls."""
    module = merge_aliases(module)
    prepared: dict[str, PreparedFunc] = {}
    for func in module.funcs:
        body = _unroll(func.body, module, {})
        func = _own_results(replace(func, body=body))
        func = retype(func, _private_arrays(func))
        body, dirty = settle(func.body, _zeroed_arrays(func))
        prepared[func.name] = PreparedFunc(replace(func, body=body), frozenset(dirty))
    wanted = _called(module.top, prepared)
    return tuple(p for name, p in prepared.items() if name in wanted)


def _called(top: str, prepared: dict[str, PreparedFunc]) -> set[str]:
    found, todo = {top}, [top]
    while todo:
        for op in walk(prepared[todo.pop()].func.body):
            if isinstance(op, Call) and op.callee not in found:
                found.add(op.callee)
                todo.append(op.callee)
    return found


def _unroll(block: Block, module: Module, intervals: Intervals) -> Block:
    out: list[Op] = []
    for op in block:
        if isinstance(op, For):
            out.extend(_unroll_loop(op, module, intervals))
        elif isinstance(op, If):
            then, orelse = (_unroll(b, module, intervals) for b in (op.then, op.orelse))
            out.append(replace(op, then=then, orelse=orelse))
        else:
            out.append(op)
    return tuple(out)


def _unroll_loop(loop: For, module: Module, intervals: Intervals) -> Block:
    if loop.attrs.unroll == 0:
        unrolled = (_unroll(c, module, intervals) for c in copies(loop, intervals))
        return tuple(op for block in unrolled for op in block)
    if loop.attrs.unroll is not None and loop.attrs.unroll > 1:
        loop = unroll_by(loop, loop.attrs.unroll)
    _learn(loop, intervals)
    if loop.attrs.pipeline_ii is not None:
        body = unroll_all(inline_calls(loop.body, module.func), intervals)
    else:
        body = _unroll(loop.body, module, intervals)
    return (replace(loop, body=body),)


def _learn(loop: For, intervals: Intervals) -> None:
    """Note the interval of the loop's counter when it follows from those around it."""
    parts = (*loop.lower, *loop.upper)
    if all(e.values <= intervals.keys() for e in parts):
        env = intervals.__getitem__
        low = max(e.bounds(env)[0] for e in loop.lower)
        high = min(e.bounds(env)[1] for e in loop.upper)
        intervals[loop.iv] = (low, max(low, high - 1))


def _own_results(func: Func) -> Func:
    """The function with returned arrays that are arguments, constants or repeated copied."""
    own = {
        v for op in func.body if isinstance(op, Alloc | Call) for v in op.results()
    }
    added: list[Op] = []
    values: list[Value] = []
    for value in func.returned:
        if isinstance(value.type, ArrayType) and (value not in own or value in values):
            fresh = Value(value.type, f"{value.name}_copy")
            added += [Alloc(result=fresh, loc=func.loc), copy_nest(value, fresh)]
            value = fresh
        values.append(value)
    if not added:
        return func
    body = (*func.body[:-1], *added, Return(values=tuple(values), loc=func.body[-1].loc))
    return replace(func, body=body)


def copy_nest(source: Value, target: Value) -> Op:
    """A pipelined nest that copies one array of rank 1 or more into another."""
    shape, names = source.array.shape, count()
    ivs = [Value(Index(), f"{target.name}_{next(names)}") for _ in shape]
    index = tuple(AffineExpr.of(iv) for iv in ivs)
    word = Value(source.array.element)
    body: Block = (
        Load(result=word, array=source, index=index),
        Store(value=word, array=target, index=index),
    )
    for depth, (iv, extent) in reversed(list(enumerate(zip(ivs, shape, strict=True)))):
        attrs = LoopAttrs(pipeline_ii=1 if depth == len(shape) - 1 else None)
        loop = For(
            iv=iv, lower=(AffineExpr.constant(0),), upper=(AffineExpr.constant(extent),),
            body=body, name=iv.name, attrs=attrs,
        )
        body = (loop,)
    return body[0]


def _private_arrays(func: Func) -> dict[Value, ArrayType]:
    """Arrays allocated in pipelined loops become registers: each iteration has its own."""
    found: dict[Value, ArrayType] = {}
    for loop in walk(func.body):
        if isinstance(loop, For) and loop.attrs.pipeline_ii is not None:
            for op in walk(loop.body):
                if isinstance(op, Alloc):
                    found[op.result] = completely_partitioned(op.result.array)
    return found


def completely_partitioned(type: ArrayType) -> ArrayType:
    """The array with every element in a bank of its own."""
    parts = tuple(DimPartition(Partition.Complete, n) for n in type.shape)
    return replace(type, partition=parts)


def _zeroed_arrays(func: Func) -> set[Value]:
    """Allocated arrays that are not registers."""
    returned = set(func.returned)
    return {
        op.result
        for op in walk(func.body)
        if isinstance(op, Alloc) and (op.result in returned or _is_memory(op.result.array))
    }


def _is_memory(type: ArrayType) -> bool:
    return Layout(type).depth > 1
