"""Random kernels with random schedules of all primitives: what is accepted computes the same.

Each pair is compared for all inputs where that can be followed, on random ones where not; a sample
is run on the CPU and as hardware too.
"""

from random import Random

import numpy as np
import pytest
from agreement import check
from nest_generators import random_nests
from source_generators import load, random_kernel
from stencil_generators import HEAD, stencil_source
from task_generators import random_tasks

import allo_rtl as allo
from allo_rtl.errors import AlloError, BuildError
from allo_rtl.fuzz import Findings, fuzz, random_schedule
from allo_rtl.fuzz_steps import primitives
from allo_rtl.ir.promise_check import keeps_promises
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import int8, int32
from allo_rtl.primitives.unify import unify
from allo_rtl.sim.fuzz import run_in_amaranth

LONGEST = 3000
"""Cycles of a run that are worth simulating."""
SOURCES = [
    random_kernel, random_nests, lambda seed: HEAD + stencil_source(seed),
    lambda seed: random_tasks(seed)[0],
]  # fmt: skip
"""Generators of kernels, in turn: of all forms, of imperfect nests, affine ones, tasks."""


def source(seed):
    return SOURCES[seed % len(SOURCES)](seed // len(SOURCES))


def kernel(seed):
    return allo.customize(load(source(seed), "top"))


def short_run(module, random):
    """What is wrong with a schedule in hardware; a refusal where the loops make it long."""
    trips = [loop.trip_count or 4 for f in module.funcs for loop in loops(f.body)]
    if sum(trips) > LONGEST:
        raise BuildError("too long to be simulated")
    return run_in_amaranth(module, random)


def pairs(seeds, each, every):
    """Findings over random kernels, each with ``each`` schedules; ``every`` so many in hardware."""
    total = Findings()
    for seed in seeds:
        found = fuzz(kernel(seed), each, seed=seed, hardware=short_run, hardware_every=every)
        assert found.failures == [], (seed, found.failures)
        add(total, found)
    return total


def add(total, found):
    total.accepted += found.accepted
    total.refused += found.refused
    total.proved += found.proved
    total.tested += found.tested
    total.reordered += found.reordered
    total.unkept += found.unkept
    total.built += found.built


def judged(found):
    return found.proved + found.tested + found.reordered + found.unkept


def test_pairs_of_kernels_and_schedules():
    found = pairs(range(8), 2, 30)
    assert judged(found) == 16
    assert found.proved >= 8
    assert sum(found.accepted.values()) > 12


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_two_thousand_pairs(block):
    found = pairs(range(1000 + 40 * block, 1040 + 40 * block), 5, 5)
    assert judged(found) == 200
    assert found.built >= 20
    assert found.unkept <= 2


@pytest.mark.long
def test_every_primitive_is_accepted_and_refused_somewhere():
    found = Findings()
    for seed in range(400):
        random_schedule(kernel(seed).module, Random(seed), found)
    refused = {name for name, _ in found.refused}
    assert primitives() <= set(found.accepted)
    assert primitives() - {"compose"} <= refused


def unified(seed):
    """Two random kernels as one, before and after random schedules of the two."""
    plain = [kernel(seed), kernel(seed + 1)]
    found = Findings()
    scheduled = [random_schedule(s.module, Random(seed), found) for s in plain]
    return unify(*plain, 3), unify(*scheduled, 3)


def test_unify_keeps_what_schedules_of_its_kernels_compute():
    checked = 0
    for seed in range(0, 12, 2):
        try:
            before, after = unified(seed)
        except AlloError:  # two schedules that partition one array differently
            continue
        assert allo.verify(before, after).equal, seed
        checked += 1
    assert checked >= 3


@pytest.mark.long
def test_unify_keeps_what_many_schedules_of_its_kernels_compute():
    checked = 0
    for seed in range(1000, 1200, 2):
        try:
            before, after = unified(seed)
        except AlloError:
            continue
        verdict = allo.verify(before, after)
        assert verdict.equal or not keeps_promises(after, list(verdict.inputs)), (seed, verdict)
        checked += 1
    assert checked >= 40


def scatter(at: int8[4], A: int32[4], n: int32):
    for i in range(4):
        if n > 2:
            A[at[i] & 3] += i


def test_promises_are_looked_at_for_the_arguments_at_hand():
    s = allo.customize(scatter)
    s.assume_independent("A", "i")
    words = np.zeros(4, object)
    for at, n, kept in (([0, 1, 2, 3], 9, True), ([0, 1, 0, 3], 9, False), ([0, 1, 0, 3], 1, True)):
        assert keeps_promises(s.module, [np.array(at), words.copy(), n]) is kept


def twice_read(at: int32[4], A: int32[4]):
    for i in range(3):
        A[at[i] & 3] = A[at[3] & 3] + 1


def test_two_iterations_may_read_a_cell_that_neither_stores_to():
    t = allo.customize(twice_read)
    t.assume_independent("A", "i")
    assert keeps_promises(t.module, [np.array([1, 2, 3, 0]), np.zeros(4, object)])
    assert not keeps_promises(t.module, [np.array([1, 2, 0, 2]), np.zeros(4, object)])


@pytest.mark.parametrize("seed", range(2))
def test_evaluator_cpu_and_hardware_agree_on_a_scheduled_kernel(seed):
    s = kernel(seed)
    scheduled = random_schedule(s.module, Random(seed), Findings())
    limits = {"n": (0, 6)}
    try:
        check(scheduled, seeds=(seed,), limits=limits, simulator="pysim")
    except BuildError:
        check(scheduled, seeds=(seed,), limits=limits, rtl=False)
