"""Random kernels with random schedules of all primitives: what is accepted computes the same.

Each pair is compared for all inputs where that can be followed, on random ones where not; a sample
is run on the CPU and as hardware too.
"""

from collections import Counter
from random import Random

import pytest
from agreement import check
from source_generators import load, random_kernel

import allo_rtl as allo
from allo_rtl.errors import BuildError
from allo_rtl.fuzz import _MAKERS, _WHOLE, Findings, fuzz, random_schedule
from allo_rtl.ir.rewrite import loops
from allo_rtl.sim.fuzz import run_in_amaranth

LONGEST = 3000
"""Cycles of a run that are worth simulating."""


def kernel(seed):
    return allo.customize(load(random_kernel(seed), "top"))


def short_run(module, random):
    """What is wrong with a schedule in hardware; nothing where the loops make it long."""
    trips = [loop.trip_count or 4 for f in module.funcs for loop in loops(f.body)]
    return None if sum(trips) > LONGEST else run_in_amaranth(module, random)


def pairs(seeds, each, every):
    """Findings over random kernels, each with ``each`` schedules; ``every`` so many in hardware."""
    total = Findings()
    for seed in seeds:
        found = fuzz(kernel(seed), each, seed=seed, hardware=short_run, hardware_every=every)
        assert found.failures == [], (seed, found.failures)
        total.accepted += found.accepted
        total.refused += found.refused
        total.proved += found.proved
        total.tested += found.tested
        total.reordered += found.reordered
        total.built += found.built
    return total


def test_pairs_of_kernels_and_schedules():
    found = pairs(range(6), 2, 30)
    assert found.proved + found.tested == 12
    assert sum(found.accepted.values()) > 12


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_two_thousand_pairs(block):
    found = pairs(range(1000 + 40 * block, 1040 + 40 * block), 5, 5)
    assert found.proved + found.tested + found.reordered == 200
    assert found.built >= 20


@pytest.mark.long
def test_every_primitive_is_accepted_and_refused_somewhere():
    found = Findings()
    for seed in range(400):
        random_schedule(kernel(seed).module, Random(seed), found)
    refused = Counter(name for name, _ in found.refused)
    primitives = {*_MAKERS, *_WHOLE}
    assert primitives <= set(found.accepted) | {"reuse_at", "to"}
    assert primitives - {"compose"} <= set(refused) | {"outline", "pipeline"}


@pytest.mark.parametrize("seed", range(2))
def test_evaluator_cpu_and_hardware_agree_on_a_scheduled_kernel(seed):
    s = kernel(seed)
    scheduled = random_schedule(s.module, Random(seed), Findings())
    limits = {"n": (0, 6)}
    try:
        check(scheduled, seeds=(seed,), limits=limits, simulator="pysim")
    except BuildError:
        check(scheduled, seeds=(seed,), limits=limits, rtl=False)
