"""verify and kernels of which one thing was changed: what computes something else is not called
equal, and what is called equal for all inputs computes the same."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from agreement import random_args
from ir_generators import operators
from nest_generators import random_nests
from source_generators import load, random_kernel
from stencil_generators import HEAD, stencil_source

from allo_rtl.customize import customize
from allo_rtl.errors import AlloError
from allo_rtl.ir.ops import Binary, Compare, Constant, For, Load, Predicate, Select, Store
from allo_rtl.ir.rewrite import map_block, walk
from allo_rtl.ir.types import Index
from allo_rtl.ir.verify import verify_module
from allo_rtl.trial_runs import difference
from allo_rtl.verify import verify

SOURCES = [random_nests, random_kernel, lambda seed: HEAD + stencil_source(seed)]
MUTABLE = (Binary, Compare, Constant, Select, Load, Store, For)
LIMITS = [None, {"n": (0, 9)}, {"n": (-3, 3)}]
"""Of arguments; the last of them make data-dependent loops short."""


def mutated(op, dice):
    """The operation with one thing changed; None when it has nothing to change."""
    match op:
        case Constant():
            return replace(op, value=op.value ^ 1)
        case Binary():
            kinds = [k for k in operators(op.result.type) if k is not op.kind]
            return replace(op, kind=dice.choice(kinds))
        case Compare():
            return replace(op, predicate=dice.choice([p for p in Predicate if p != op.predicate]))
        case Select():
            return replace(op, if_true=op.if_false, if_false=op.if_true)
        case Load() | Store() if op.index:
            d = dice.randrange(len(op.index))
            moved = op.index[d] + dice.choice([-1, 1])
            return replace(op, index=(*op.index[:d], moved, *op.index[d + 1 :]))
        case Store():
            return ()
        case For():
            (end, *rest) = op.upper
            return replace(op, upper=(end - 1, *rest))
    return None


def mutant(module, dice):
    """The module with one operation of its top changed."""
    func = module.top_func
    chosen = dice.choice([op for op in walk(func.body) if isinstance(op, MUTABLE)])
    new = mutated(chosen, dice)
    if new is None or (isinstance(chosen, Constant) and isinstance(chosen.result.type, Index)):
        return None
    body = map_block(func.body, lambda op: new if op is chosen else None)
    funcs = tuple(replace(f, body=body) if f is func else f for f in module.funcs)
    return replace(module, funcs=funcs)


def differ(one, other, seed):
    """Whether runs on some arguments show a difference."""
    for n, limits in enumerate(LIMITS):
        if difference(one, other, random_args(one, 3 * seed + n, limits)):
            return True
    return False


def judged(seeds):
    """How many mutants were called what, and whether runs showed a difference."""
    counts = Counter()
    for seed in seeds:
        dice = random.Random(seed)
        module = customize(load(SOURCES[seed % 3](seed // 3), "top")).module
        other = mutant(module, dice)
        if other is None:
            continue
        try:
            verify_module(other)
        except AlloError:
            continue
        differs = differ(module, other, seed)
        verdict = verify(module, other, tests=10)
        assert not (verdict.equal and verdict.proved and differs), (seed, verdict)
        counts[str(verdict)[:24], differs] += 1
    return counts


def test_mutants():
    counts = judged(range(18))
    assert sum(n for (_, differs), n in counts.items() if differs) >= 5
    assert sum(n for (text, _), n in counts.items() if text.startswith("not")) >= 5


@pytest.mark.long
@pytest.mark.parametrize("block", range(6))
def test_many_mutants(block):
    seeds = range(1000 + 400 * block, 1400 + 400 * block)
    counts = judged(seeds)
    differ = sum(n for (_, differs), n in counts.items() if differs)
    missed = sum(n for (text, differs), n in counts.items() if differs and text[0] == "e")
    assert differ >= 100
    assert missed <= differ // 20, counts
