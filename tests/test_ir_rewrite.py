"""Rebuilding operations leaves the old ones alone and shares what does not change."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from ir_generators import modules, random_args

from allo_rtl.errors import SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.mlir_printer import print_module
from allo_rtl.ir.ops import Alloc, Apply, Constant, For, Func, Load, Module, Return, Store, Value
from allo_rtl.ir.rewrite import (
    clone,
    loops,
    map_block,
    replace_func,
    retype,
    substitute,
    substitute_op,
    walk,
)
from allo_rtl.ir.types import ArrayType, DimPartition, Partition, index, int8
from allo_rtl.ir.verify import verify_module

of, const = AffineExpr.of, AffineExpr.constant


def nest():
    """``for i: for j: v = A[i + j]; A[j] = v``, and its parts."""
    a, v = Value(ArrayType(int8, (8,)), "A"), Value(int8, "v")
    i, j = Value(index, "i"), Value(index, "j")
    load = Load(result=v, array=a, index=(of(i) + of(j),), loc=SourceLoc("k.py", 3))
    store = Store(value=v, array=a, index=(of(j),))
    inner = For(iv=j, lower=(const(0),), upper=(of(i),), body=(load, store), name="j")
    outer = For(iv=i, lower=(const(0),), upper=(const(4),), body=(inner,), name="i")
    return a, v, i, j, load, store, inner, outer


def test_walk_is_outer_first():
    *_, load, store, inner, outer = nest()
    assert list(walk((outer,))) == [outer, inner, load, store]
    assert list(loops((outer,))) == [outer, inner]


def test_map_block_shares_what_does_not_change():
    *_, inner, outer = nest()
    block = (outer,)
    assert map_block(block, lambda op: None) is block
    renamed = map_block(block, lambda op: replace(op, name="x") if op is inner else None)
    assert [loop.name for loop in loops(renamed)] == ["i", "x"]
    assert [loop.name for loop in loops(block)] == ["i", "j"]
    assert renamed[0].body[0].body is inner.body


def test_map_block_sees_rebuilt_regions_and_replaces_or_removes():
    *_, store, _, outer = nest()
    seen = []

    def visit(op):
        seen.append(op)
        return () if isinstance(op, Load) else (op, op) if op is store else None

    rebuilt = map_block((outer,), visit)
    assert rebuilt[0].body[0].body == (store, store)
    assert seen[-1].body == rebuilt[0].body


def test_substitution_replaces_values_in_operands_and_affine_parts():
    a, v, i, j, load, _, _, outer = nest()
    b = Value(a.type, "B")
    (new,) = substitute((outer,), {a: b, i: of(j) * 2, v: v})
    new_load = new.body[0].body[0]
    assert new_load.array is b
    assert new_load.index == (of(j) * 3,)
    assert new_load.result is v
    assert new_load.loc == load.loc
    assert new.body[0].upper == (of(j) * 2,)


def test_substitution_in_apply():
    i, j = Value(index, "i"), Value(index, "j")
    new = substitute_op(Apply(result=j, expr=of(i) + 1), {i: const(3)})
    assert new.expr == const(4)


def test_an_expression_cannot_stand_for_an_operand():
    x, y = Value(index, "x"), Value(index, "y")
    with pytest.raises(ValueError, match=r"^the expression x \+ 1 stands where a value is needed$"):
        substitute_op(Return(values=(y,)), {y: of(x) + 1})
    assert substitute_op(Return(values=(y,)), {y: of(x)}).values == (x,)


def test_an_empty_substitution_changes_nothing():
    *_, outer = nest()
    block = (outer,)
    assert substitute(block, {}) is block


@given(modules())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_clone_defines_fresh_values_and_means_the_same(module):
    func = module.top_func
    args = tuple(Value(a.type, a.name) for a in func.args)
    body = clone(func.body, dict(zip(func.args, args, strict=True)))
    copied = replace_func(module, replace(func, args=args, body=body))
    old = {v for op in walk(func.body) for v in op.results()} | set(func.args)
    assert old.isdisjoint(v for op in walk(body) for v in (*op.results(), *op.operands()))
    verify_module(copied)
    assert print_module(copied) == print_module(module)
    ins, again = random_args(func), random_args(func)
    outs = zip(evaluate(module, ins), evaluate(copied, again), strict=True)
    assert all(np.array_equal(x, y) for x, y in outs)


def test_retype_changes_the_type_wherever_the_value_is():
    a, b, c = Value(int8[4], "A"), Value(int8[4], "B"), Value(int8)
    body = (
        Alloc(result=b),
        Constant(result=c, value=1),
        Store(value=c, array=a, index=(const(0),)),
        Store(value=c, array=b, index=(const(0),)),
        Return(values=(b,)),
    )
    func = Func(name="f", args=(a,), results=(b.type,), body=body)
    split = int8[4].with_partition(0, DimPartition(Partition.Cyclic, 2))
    new = retype(func, {a: split, b: split})
    assert [v.type for v in new.args] == [split]
    assert new.results == (split,)
    verify_module(Module(funcs=(new,), top="f"))
    assert func.args == (a,)
