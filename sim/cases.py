"""Random test cases for a kernel, with the answers of the golden model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from allo_rtl.errors import AlloError
from allo_rtl.ir.arithmetic import wrap
from allo_rtl.ir.dependence import accesses
from allo_rtl.ir.ops import (
    Assert,
    Binary,
    BinaryKind,
    Block,
    Compare,
    Constant,
    For,
    GetGlobal,
    Global,
    Load,
    Module,
    Op,
    Predicate,
    Store,
    Value,
    While,
)
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import ArrayType, Int, Type, bool_
from allo_rtl.sim.bench import Case
from allo_rtl.sim.cpu import compile_cpu
from allo_rtl.sim.marshal import Raw, Words, word_count
from allo_rtl.sim.reference import run_evaluator

_LIMITS = (None, 1000, 8, 2, 1)
"""How large random numbers may be, in the order tried for kernels whose control is data."""
_ITERATIONS = 20_000
"""Times that the while loops of a kernel may go round in a random case."""


def random_case(module: Module, random: np.random.Generator, cycles: int | None = None) -> Case:
    """A run on random arguments, with what the kernel makes of them.

    A kernel whose subscripts or bounds are data could reach outside its arrays, and one with a
    while loop never end: it gets ever smaller numbers until the evaluator finds nothing wrong.

    Raises:
        AlloError: there is something wrong with all of them.
    """
    types = [v.type for v in module.top_func.args]
    if not depends_on_data(module):
        cpu = compile_cpu(module)
        return Case.of([random_raw(random, t) for t in types], cpu.run_raw, cycles)
    has_while = any(isinstance(op, While) for f in module.funcs for op in walk(f.body))
    limited = _limited(module) if has_while else module
    for limit in _LIMITS[has_while:]:  # a count to a large number takes long
        inputs = [random_raw(random, t, limit) for t in types]
        try:
            return Case.of(inputs, lambda raw: run_evaluator(limited, raw), cycles)
        except AlloError as error:
            last = error
    raise last


def _limited(module: Module) -> Module:
    """The module with an assertion that its while loops go round at most so many times in all."""
    name, word = "while loops", ArrayType(Int(64), ())
    while any(g.name == name for g in module.globals):
        name += "_"

    def visit(op: Op) -> Op | Block | None:
        if not isinstance(op, While):
            return None
        count, old, one, new, most = (Value(t) for t in (word, *[Int(64)] * 4))
        some = Value(bool_)
        counting: Block = (
            GetGlobal(result=count, name=name),
            Load(result=old, array=count),
            Constant(result=one, value=1),
            Binary(kind=BinaryKind.ADD, result=new, lhs=old, rhs=one),
            Store(value=new, array=count),
            Constant(result=most, value=_ITERATIONS),
            Compare(predicate=Predicate.LT, result=some, lhs=new, rhs=most),
            Assert(condition=some, message="a while loop goes on for too long", loc=op.loc),
        )
        return replace(op, body=(*counting, *op.body))

    funcs = tuple(replace(f, body=map_block(f.body, visit)) for f in module.funcs)
    state = Global(name=name, type=word, data=(0,), stateful=True)
    return replace(module, funcs=funcs, globals=(*module.globals, state))


def depends_on_data(module: Module) -> bool:
    """Whether a subscript or a loop bound of the module is not affine, or an assertion is there."""
    for func in module.funcs:
        if any(isinstance(op, While | Assert) for op in walk(func.body)):
            return True
        if any(not a.affine for a in accesses(func.body, module)):
            return True
        ivs = {op.iv for op in walk(func.body) if isinstance(op, For)}
        for op in walk(func.body):
            if isinstance(op, For) and any(e.values - ivs for e in (*op.lower, *op.upper)):
                return True
    return False


def random_raw(random: np.random.Generator, type: Type, limit: int | None = None) -> Raw:
    """A random argument in raw form: any bits.

    With a limit integers are below it and not negative, and so are the ints that stand for other
    numbers.
    """
    if isinstance(type, ArrayType):
        return _random_words(random, type, limit)
    if limit is not None:
        return wrap(type, int(random.integers(0, limit)))
    return wrap(type, int.from_bytes(random.bytes(type.bits // 8 + 1), "little"))


def _random_words(random: np.random.Generator, type: ArrayType, limit: int | None) -> Words:
    count = word_count(type.element)
    words = np.zeros((type.size, count), np.uint64)
    top = type.element.bits - 64 * (count - 1)
    if limit is not None:
        words[:, 0] = random.integers(0, min(limit, 1 << (type.element.bits - 1)) or 1, type.size)
        return words
    words[:] = random.integers(0, (1 << 64) - 1, words.shape, np.uint64, endpoint=True)
    words[:, -1] &= np.uint64((1 << top) - 1)
    return words
