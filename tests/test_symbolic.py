"""Modules followed on unknown inputs: each term is what the evaluator computes."""

from functools import partial, reduce
from math import prod
from operator import mul

import numpy as np
import pytest
from agreement import random_args as random_arguments
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules, random_args
from nest_generators import random_nests
from source_generators import load, random_kernel

from allo_rtl.customize import customize
from allo_rtl.errors import AlloError
from allo_rtl.ir.arithmetic import (
    eval_binary,
    eval_bitcast,
    eval_cast,
    eval_compare,
    eval_math,
    line_of,
    wrap,
)
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import BinaryKind, MathKind, Predicate
from allo_rtl.ir.symbolic import NotSymbolic, outputs
from allo_rtl.ir.terms import Terms
from allo_rtl.ir.types import ArrayType


def value_of(term, inputs, known):
    """The int that a term stands for, for given inputs; computed by the evaluator's arithmetic."""
    if term in known:
        return known[term]
    parts = [value_of(p, inputs, known) for p in term.parts]
    match term.kind:
        case "const":
            result = term.detail
        case "input":
            result = inputs[term.detail]
        case "sum":
            result = wrap(term.type, term.detail + sum(map(mul, parts, term.factors)))
        case "product" | "monomial":
            result = wrap(term.type, prod(parts))
            assert term.kind == "product" or result == prod(parts)
        case "quotient":
            result = wrap(term.type, parts[0] // term.detail)
        case "remainder":
            result = wrap(term.type, parts[0] % term.detail)
        case "lt" if len(parts) == 1:
            result = int(parts[0] < term.detail)
        case "eq" if len(parts) == 1:
            result = int(parts[0] == term.detail)
        case "cast":
            result = eval_cast(term.type, parts[0], term.parts[0].type)
        case "bitcast":
            result = eval_bitcast(term.type, parts[0])
        case "select":
            result = parts[1] if parts[0] else parts[2]
        case kind if kind in {p.value for p in Predicate}:
            result = eval_compare(Predicate(kind), *parts, term.parts[0].type)
        case kind if kind in {k.value for k in MathKind}:
            result = eval_math(MathKind(kind), term.type, tuple(parts))
        case kind:
            binary = partial(eval_binary, BinaryKind(kind), term.type)
            result = reduce(binary, parts)
    known[term] = result
    return result


def followed(module):
    """Every output as a term, None when the module is not followed."""
    try:
        return outputs(module, Terms())
    except NotSymbolic:
        return None


def check(module, found, args):
    """Compare the terms with a run of the evaluator."""
    inputs = {}
    for n, arg in enumerate(args):
        type_ = module.top_func.args[n].type
        element = type_.element if isinstance(type_, ArrayType) else type_
        for place in np.ndindex(np.shape(arg)):
            at = f"[{', '.join(map(str, place))}]" if isinstance(type_, ArrayType) else ""
            inputs[f"argument {n + 1}{at}"] = wrap(element, int(np.asarray(arg, object)[place]))
    inputs |= {
        f"state {g.name}[{k}]": x for g in module.globals for k, x in enumerate(g.data)
    }
    known, lines = {}, []
    claims = [t for name, t in found.items() if name.startswith("assertion ")]
    try:
        results = evaluate(module, args, output=lines.append)
    except AlloError:
        assert not all(value_of(t, inputs, known) for t in claims)
        return
    assert all(value_of(t, inputs, known) for t in claims)
    for name, term in found.items():
        kind, _, rest = name.partition(" ")
        number, _, place = rest.partition("[")
        if kind == "line":
            text, types = term.detail
            types = [t or part.type for t, part in zip(types, term.parts, strict=True)]
            numbers = [value_of(t, inputs, known) for t in term.parts]
            assert line_of(text, list(zip(types, numbers, strict=True))) == lines[int(number)]
        if kind not in ("argument", "result"):
            continue
        source = (args if kind == "argument" else results)[int(number) - 1]
        where = tuple(int(x) for x in place[:-1].split(", ") if x)
        expected = int(np.asarray(source, object)[where])
        assert value_of(term, inputs, known) == wrap(term.type, expected), name


@given(modules(rich=all_types), st.integers(0, 1 << 30))
@settings(max_examples=100, deadline=None)
def test_terms_stand_for_what_the_evaluator_computes(module, seed):
    if found := followed(module):
        check(module, found, random_args(module.top_func, seed))


def check_kernels(generator, seeds):
    """How many random kernels were followed."""
    count = 0
    for seed in seeds:
        module = customize(load(generator(seed), "top")).module
        if found := followed(module):
            count += 1
            for n in range(3):
                limits = {"n": (0, 9)} if n else None
                check(module, found, random_arguments(module, 10 * seed + n, limits))
    return count


def test_random_nests():
    assert check_kernels(random_nests, range(12)) >= 10


def test_random_kernels():
    assert check_kernels(random_kernel, range(6)) >= 5


@pytest.mark.long
@pytest.mark.parametrize("generator", [random_nests, random_kernel])
def test_many_random_kernels(generator):
    assert check_kernels(generator, range(1000, 1300)) >= 270
