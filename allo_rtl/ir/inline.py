"""Calls replaced by the bodies of what they call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Block,
    Call,
    For,
    Func,
    Load,
    LoopAttrs,
    Op,
    Return,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import Substitution, clone, map_block, substitute_op
from allo_rtl.ir.types import ArrayType, index


def inline_calls(block: Block, callees: Callable[[str], Func]) -> Block:
    """The block with every call replaced by the callee's body."""
    returned: dict[Value, Value | AffineExpr] = {}

    def visit(op: Op) -> Op | Block:
        op = substitute_op(op, returned)
        if not isinstance(op, Call):
            return op
        body, results = body_of(op, callees(op.callee))
        returned.update(results)
        return inline_calls(body, callees)

    return map_block(block, visit)


def body_of(
    call: Call, callee: Func, name: Callable[[Value], str] = lambda v: v.name
) -> tuple[Block, Substitution]:
    """A copy of the callee's body for one call, and what the call's results are in it.

    ``name`` gives the names of the copy's values, of those that the callee's body defines.
    """
    callee = own_results(callee)
    # The Return is cloned along, so that it names the copies of the returned values.
    body = clone(callee.body, dict(zip(callee.args, call.args, strict=True)), name)
    if body and isinstance(last := body[-1], Return):
        return body[:-1], dict(zip(call.outs, last.values, strict=True))
    return body, {}


def own_results(func: Func) -> Func:
    """The function with returned arrays that are arguments, constants or repeated copied."""
    own = {
        v for op in func.body if isinstance(op, Alloc | Call) for v in op.results()
    }
    added: list[Op] = []
    values: list[Value] = []
    for value in func.returned:
        if isinstance(value.type, ArrayType) and (value not in own or value in values):
            fresh = Value(value.type, f"{value.name}_copy")
            added += [Alloc(result=fresh, loc=func.loc), *copy_nest(value, fresh)]
            value = fresh
        values.append(value)
    if not added:
        return func
    body = (*func.body[:-1], *added, Return(values=tuple(values), loc=func.body[-1].loc))
    return replace(func, body=body)


def copy_nest(source: Value, target: Value) -> Block:
    """A pipelined nest that copies one array into another; of rank 0 a load and a store."""
    shape, names = source.array.shape, count()
    ivs = [Value(index, f"{target.name}_{next(names)}") for _ in shape]
    at = tuple(AffineExpr.of(iv) for iv in ivs)
    word = Value(source.array.element)
    body: Block = (
        Load(result=word, array=source, index=at),
        Store(value=word, array=target, index=at),
    )
    for depth, (iv, extent) in reversed(list(enumerate(zip(ivs, shape, strict=True)))):
        attrs = LoopAttrs(pipeline_ii=1 if depth == len(shape) - 1 else None)
        loop = For(
            iv=iv, lower=(AffineExpr.constant(0),), upper=(AffineExpr.constant(extent),),
            body=body, name=iv.name, attrs=attrs,
        )
        body = (loop,)
    return body
