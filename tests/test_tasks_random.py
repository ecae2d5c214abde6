"""Random kernels with random tasks and FIFOs: what is accepted computes the same, or is refused.

Each is compared with the kernel without a schedule on the evaluator in processes and in hardware,
run after run on one instance.
"""

import random

import numpy as np
import pytest
from source_generators import load
from task_generators import random_tasks
from test_fuzz_kernels import agree_in_every_run, arguments
from test_fuzz_rtl import run_evaluator

import allo_rtl as allo
from allo_rtl.errors import AlloError, BuildError
from allo_rtl.hls.design import build_design
from allo_rtl.hls.tasks import split_tasks
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.buffers import buffers
from allo_rtl.target import device


def scheduled(seed):
    """The kernel and a random schedule of it with tasks; whether there are any."""
    dice = random.Random(seed)
    source, tiled = random_tasks(seed)
    s = allo.customize(load(source, "top"))
    module = s.module

    def attempt(name, *args, **kwargs):
        try:
            getattr(s, name)(*args, **kwargs)
        except AlloError:
            return 0
        return 1

    for func in module.funcs:
        for loop in loops(func.body):
            if loop.name.startswith("j") and dice.random() < 0.7:
                attempt("pipeline", f"{func.name}:{loop.name}")
    found = 0
    if dice.random() < 0.5:
        found += attempt("dataflow", "top:t" if tiled else "top")
    readers = [p.attrs.band for f in module.funcs for p in loops(f.body) if p.attrs.band]
    for name, _, _ in buffers(s.top_func):
        if dice.random() < 0.7:
            for reader in readers:
                depth = dice.choice([-1, 1, 2, 5])
                if attempt("to", name, reader, depth=depth):
                    found += 1
                    break
    return source, s, module, found


def run_case(seed):
    """One random schedule; what became of it."""
    source, s, original, found = scheduled(seed)
    if not found:
        return "no tasks"
    try:
        split, _ = split_tasks(legalize(s.module))
        verify_module(split)
        args = arguments(original, seed)
        expected = run_evaluator(original, [np.copy(a) for a in args])
        assert run_evaluator(split, [np.copy(a) for a in args]) == expected
        design = build_design(s.module, device("ecp5-85"), 50.0)
        agree_in_every_run(original, design, (seed, seed + 1))
    except Exception as error:
        if isinstance(error, BuildError) and "too shallow" in error.message:
            return "too shallow"
        error.add_note(f"seed {seed}, {[str(x) for x in s.history()]}\n{source}")
        raise
    return "ran"


def outcomes(seeds):
    found = [run_case(seed) for seed in seeds]
    return {kind: found.count(kind) for kind in ("ran", "too shallow", "no tasks")}


def test_random_tasks():
    assert outcomes(range(16))["ran"] >= 8


@pytest.mark.long
@pytest.mark.parametrize("block", range(8))
def test_many_random_tasks(block):
    assert outcomes(range(1000 + 60 * block, 1060 + 60 * block))["ran"] >= 25
