"""Random networks of processes: hardware ends with the evaluator's results, or waits as it does."""

import numpy as np
import pytest
from ir_writer import agree, design_of
from stream_networks import Network

from allo_rtl.errors import Deadlock, SimulationError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import to_words


def args_of(module):
    first, second = (v.type.size for v in module.top_func.args)
    return [np.arange(first).astype(object), np.zeros(second, int).astype(object)]


def compare(seed, pipelined, **options):
    """Whether the network deadlocks."""
    module = Network(seed, pipelined).module()
    try:
        evaluate(module, args_of(module))
    except Deadlock:
        if not pipelined:
            with pytest.raises(SimulationError):
                simulate(module, **options)
        return True
    agree(module, args_of(module), **options)
    return False


def simulate(module, **options):
    types = [v.type for v in module.top_func.args]
    raw = [to_words(a, t.element) for a, t in zip(args_of(module), types, strict=True)]
    pysim.run(KernelComponent(design_of(module, **options)), raw, max_cycles=300)


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("pipelined", [False, True])
def test_networks(seed, pipelined):
    compare(seed, pipelined, clock_mhz=50 if seed % 2 else 200)


def test_there_are_networks_of_both_kinds():
    found = set()
    for seed in range(16):
        module = Network(seed, False).module()
        try:
            evaluate(module, args_of(module))
            found.add("ends")
        except Deadlock:
            found.add("deadlock")
    assert found == {"ends", "deadlock"}


@pytest.mark.long
@pytest.mark.parametrize("pipelined", [False, True])
def test_many_networks(pipelined):
    outcomes = [compare(seed, pipelined, clock_mhz=(50, 200)[seed % 2]) for seed in range(100, 500)]
    assert 50 < sum(outcomes) < 350
