"""Random modules of all types: the CPU build computes what the evaluator does, bit for bit."""

import pytest
from agreement import random_args, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_generators import all_types, modules

from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Math, MathKind
from allo_rtl.ir.rewrite import walk
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


@given(modules(rich=all_types), st.integers(0, 99))
@QUICK
def test_random_modules(module, seed):
    check(module, seed)


@pytest.mark.long
@given(modules(rich=all_types), st.integers(0, 99))
@LONG
def test_many_random_modules(module, seed):
    check(module, seed)
