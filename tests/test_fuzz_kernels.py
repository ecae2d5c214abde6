"""Random kernels with random schedules, run back to back on one instance.

The reference is the kernel without its schedule.  Memories inside the hardware are dirty from the
second run on, scalar arguments are noise except in the cycle that takes them, and start is held.
"""

import random

import numpy as np
import pytest
from agreement import random_args
from handshake import back_to_back
from source_generators import load, random_kernel
from test_fuzz_rtl import lift, run_evaluator
from test_fuzz_schedules import KERNELS, addresses, random_step

import allo_rtl as allo
from allo_rtl.errors import AlloError, BuildError
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.design import build_design
from allo_rtl.ir.types import ArrayType
from allo_rtl.ir.verify import verify_module
from allo_rtl.sim.marshal import to_words
from allo_rtl.target import device

LONGEST = 4000
"""Cycles of a run that are worth simulating."""


def arguments(module, seed):
    """Random arguments; a scalar is small, for it may bound a loop."""
    return [
        a.astype(object) if isinstance(a, np.ndarray) else a % 9 if v.type.bits > 8 else a
        for a, v in zip(random_args(module, seed), module.top_func.args, strict=True)
    ]


def agree_in_every_run(module, design, seeds, resets=()):
    types = [v.type for v in module.top_func.args]
    given = [arguments(module, seed) for seed in seeds]
    raw = [
        [to_words(a, t.element) if isinstance(t, ArrayType) else a
         for a, t in zip(args, types, strict=True)]
        for args in given
    ]
    runs = back_to_back(design, raw, resets=resets, max_cycles=20 * LONGEST)
    cycles = run_cycles(design)
    for args, words, run in zip(given, raw, runs, strict=True):
        got = lift(run.results(), module.top_func.results), lift(words, types)
        assert got == run_evaluator(module, args)
        assert cycles in (None, run.cycles)


def scheduled(kernel, dice):
    """A kernel's schedule after some random primitives."""
    s = allo.customize(kernel)
    for _ in range(dice.randint(0, 6)):
        try:
            random_step(s, dice)
        except (AlloError, ValueError):  # illegal, or there is no loop to take
            continue
    for axis in dice.sample(axes := addresses(s), min(len(axes), dice.randint(0, 3))):
        try:
            s.pipeline(axis)
        except AlloError:
            continue
    verify_module(s.module)
    return s


def run_case(kernel, seed, resets=0):
    """One random schedule; whether it was built and run."""
    dice = random.Random(seed)
    original, s = allo.customize(kernel).module, scheduled(kernel, dice)
    chip, clock = dice.choice(["ecp5-85", "ice40-up5k"]), dice.choice([10, 45, 120])
    try:
        design = build_design(s.module, device(chip), clock)
    except BuildError:
        return False
    if (design.top.latency or 0) > LONGEST:
        return False
    stops = [dice.randint(0, 30) for _ in range(resets)]
    try:
        agree_in_every_run(original, design, (seed, seed + 1), stops)
    except AssertionError as error:
        error.add_note(f"seed {seed}, {kernel.__name__}, {s.history()}")
        raise
    return True


def run_source(seed):
    return run_case(load(random_kernel(seed), "top"), seed)


def test_random_kernels():
    assert sum(run_source(seed) for seed in range(20)) >= 15


def test_runs_follow_each_other_and_resets():
    assert sum(run_case(KERNELS[seed % len(KERNELS)], seed, 3) for seed in range(12)) >= 8


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_many_random_kernels(block):
    assert sum(run_source(seed) for seed in range(10_000 + 100 * block, 10_100 + 100 * block)) >= 70


@pytest.mark.long
@pytest.mark.parametrize("block", range(4))
def test_many_runs_and_resets(block):
    seeds = range(1000 + 100 * block, 1100 + 100 * block)
    assert sum(run_case(KERNELS[seed % len(KERNELS)], seed, 3) for seed in seeds) >= 60
