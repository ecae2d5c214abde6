"""Random modules in hardware: the evaluator's results and lines, and the predicted cycles.

Modules of integers alone have wilder loops and more functions; those of all types have floating
point, views, while loops, state, prints and assertions, and are run twice.
"""

import copy

import numpy as np
import pytest
from agreement import as_ints, outcome, run, to_raw
from agreement import random_args as wild_args
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules, random_args

from allo_rtl.errors import BuildError
from allo_rtl.hls.design import build_design
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Math, MathKind
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import from_words, to_words
from allo_rtl.sim.reference import ReferenceModule
from allo_rtl.target import DEVICES, device

clocks = st.sampled_from([5, 40, 90, 200])
devices = st.sampled_from(sorted(DEVICES))


def run_evaluator(module, args):
    after = copy.deepcopy(args)
    results = evaluate(module, after)
    return [as_ints(r) for r in results], [as_ints(a) for a in after]


def run_hardware(module, design, args):
    types = [v.type for v in module.top_func.args]
    raw = [
        to_words(a, t.element) if isinstance(t, ArrayType) else a
        for a, t in zip(args, types, strict=True)
    ]
    results, cycles = pysim.run(KernelComponent(design), raw, max_cycles=50_000)
    return lift(results, module.top_func.results), lift(raw, types), cycles


def lift(raw, types):
    return [
        as_ints(from_words(r, t, object)) if isinstance(t, ArrayType) else r
        for r, t in zip(raw, types, strict=True)
    ]


def check_module(module, name, clock):
    try:
        design = build_design(module, device(name), clock)
    except BuildError as error:
        if "depends on data" in error.message:  # a loop that must be unrolled
            return
        if "(latency=0)" in error.message:  # asynchronous reads, on iCE40 or in block RAM
            return
        raise
    args = [
        a.astype(object) if isinstance(a, np.ndarray) else a
        for a in random_args(module.top_func, 3)
    ]
    *got, cycles = run_hardware(module, design, args)
    assert tuple(got) == run_evaluator(module, args)
    assert design.top.latency in (None, cycles)


settled = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}


@settings(max_examples=60, derandomize=True, **settled)
@given(modules(), devices, clocks)
def test_random_modules(module, name, clock):
    check_module(module, name, clock)


@pytest.mark.long
@settings(max_examples=500, **settled)
@given(modules(), devices, clocks)
def test_many_random_modules(module, name, clock):
    check_module(module, name, clock)


SMALL = {MathKind.NEG, MathKind.ABS, MathKind.SQRT, MathKind.FMA, MathKind.FLOOR}


def check_any_module(module, name, clock, seed):
    legal = legalize(module)
    ops = [op for f in module.funcs for op in walk(f.body)]
    if any(isinstance(op, Math) and op.kind not in SMALL for op in ops):
        return  # elementary functions have tests of their own; they are large
    try:
        design = build_design(module, device(name), clock)
    except BuildError as error:
        fine = ("depends on data", "known when it is built", "(latency=0)")
        if any(text in error.message for text in fine):
            return
        raise
    lines = []
    exact, kernel = ReferenceModule(legal, lines.append), KernelComponent(design)
    all_args = [wild_args(module, seed + n) for n in range(2)]
    expected = [run(exact.run_raw, module, args, lines) for args in all_args]
    raw, lines = [to_raw(module, args) for args in all_args], []
    found = pysim.run_all(kernel, raw, max_cycles=50_000, output=lines.append)
    assert lines == [line for e in expected for line in e.lines]
    for (results, cycles), after, wanted in zip(found, raw, expected, strict=True):
        assert outcome(module, results, after, wanted.lines) == wanted
        assert design.top.latency in (None, cycles)


@settings(max_examples=15, derandomize=True, **settled)
@given(modules(rich=all_types), devices, clocks, st.integers(0, 99))
def test_random_modules_of_all_types(module, name, clock, seed):
    check_any_module(module, name, clock, seed)


@pytest.mark.long
@settings(max_examples=400, **settled)
@given(modules(rich=all_types), devices, clocks, st.integers(0, 99))
def test_many_random_modules_of_all_types(module, name, clock, seed):
    check_any_module(module, name, clock, seed)
