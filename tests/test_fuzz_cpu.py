"""Random modules of all types: the CPU build computes what the evaluator does, bit for bit.

Those of ``modules`` have all constructs, and loops of few iterations.  Those of ``long_loop`` are
one loop over long arrays, which LLVM turns into vectors of types that no machine has.
"""

import random

import pytest
from agreement import random_args, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules, operators

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import (
    Binary,
    Cast,
    Compare,
    For,
    Func,
    Load,
    Math,
    MathKind,
    Module,
    Predicate,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import (
    Fixed,
    Float,
    Int,
    UFixed,
    UInt,
    bfloat16,
    bool_,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
)
from allo_rtl.ir.verify import verify_module
from allo_rtl.sim.cpu import CpuModule
from allo_rtl.sim.reference import ReferenceModule

EXACT = {MathKind.NEG, MathKind.ABS, MathKind.SQRT, MathKind.FMA, MathKind.FLOOR}

# A generated module is large; without it hypothesis complains of the time.
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=1500)


def check(module, seed):
    verify_module(module)
    legal = legalize(module)
    verify_module(legal)
    lines = []
    exact = ReferenceModule(legal, lines.append)
    written = ReferenceModule(module, lines.append)
    cpu = CpuModule(module, output=lines.append)
    ops = [op for f in module.funcs for op in walk(f.body)]
    bounded = any(isinstance(op, Math) and op.kind not in EXACT for op in ops)
    for n in (seed, seed + 1):
        args = random_args(module, n)
        expected = run(exact.run_raw, module, args, lines)
        assert run(cpu.run_raw, module, args, lines) == expected
        if not bounded:  # elementary functions are another algorithm there
            assert run(written.run_raw, module, args, lines) == expected


TYPES = [
    *(make(w) for w in (1, 5, 8, 12, 16, 24, 31, 32, 33, 48, 63, 64) for make in (Int, UInt)),
    *(Fixed(w, f) for w, f in ((7, 2), (16, 8), (24, 20), (30, 3))), UFixed(13, 6), UFixed(32, 16),
    bfloat16, float8_e4m3, float8_e5m2, float16, float32, float32, float64,
]  # fmt: skip
WIDE = [Int(65), UInt(100), Int(200), UInt(256), Fixed(70, 30)]
EXTENT = 67


def long_loop(seed, types):
    """One loop over 67 elements of three arrays, with some twenty operations on each."""
    dice = random.Random(seed)
    inputs = [Value(dice.choice(types)[EXTENT], f"in{n}") for n in range(3)]
    i = Value(index, "i")
    at = (AffineExpr.of(i),)
    ops = [Load(result=Value(a.array.element), array=a, index=at) for a in inputs]
    values = [op.result for op in ops]

    def pick(type_):
        found = [v for v in values if v.type == type_]
        if found and dice.random() < 0.8:
            return dice.choice(found)
        ops.append(Cast(result=Value(type_), operand=dice.choice(values)))
        return ops[-1].result

    for _ in range(20):
        type_ = dice.choice([dice.choice(types), *(v.type for v in values)])
        ops.append(random_op(dice, type_, pick))
        values.append(ops[-1].result)
    last = values[-8:]
    outs = [Value(v.type[EXTENT], f"out{n}") for n, v in enumerate(last)]
    ops += [Store(value=v, array=a, index=at) for v, a in zip(last, outs, strict=True)]
    bounds = {"lower": (AffineExpr.constant(0),), "upper": (AffineExpr.constant(EXTENT),)}
    loop = For(iv=i, body=tuple(ops), **bounds)
    func = Func(name="f", args=(*inputs, *outs), results=(), body=(loop,))
    return Module(funcs=(func,), top="f")


def random_op(dice, type_, pick):
    """An operation with a result of ``type_``, or a comparison."""
    choice = dice.random()
    if choice < 0.15:
        parts = {"if_true": pick(type_), "if_false": pick(type_)}
        return Select(result=Value(type_), condition=pick(bool_), **parts)
    if choice < 0.3:
        parts = {"lhs": pick(type_), "rhs": pick(type_)}
        return Compare(predicate=dice.choice(list(Predicate)), result=Value(bool_), **parts)
    if choice < 0.45:
        return Cast(result=Value(type_), operand=pick(dice.choice([type_, Int(9), float32])))
    if choice < 0.6 and isinstance(type_, Float):
        kind = dice.choice(sorted(EXACT, key=lambda k: k.value))
        args = tuple(pick(type_) for _ in range(kind.arity))
        return Math(kind=kind, result=Value(type_), args=args)
    kind = dice.choice(operators(type_))
    return Binary(kind=kind, result=Value(type_), lhs=pick(type_), rhs=pick(type_))


@pytest.mark.parametrize("seed", range(12))
def test_long_loops(seed):
    check(long_loop(seed, TYPES if seed % 3 else TYPES + WIDE), seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_long_loops(seed):
    for n in range(30):
        check(long_loop(seed * 30 + n, TYPES if n % 3 else TYPES + WIDE), n)


@given(modules(rich=all_types), st.integers(0, 99))
@QUICK
def test_random_modules(module, seed):
    check(module, seed)


@pytest.mark.long
@given(modules(rich=all_types), st.integers(0, 99))
@LONG
def test_many_random_modules(module, seed):
    check(module, seed)
