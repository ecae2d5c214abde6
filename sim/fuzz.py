"""Random inputs through a schedule built as hardware, in Amaranth's simulator."""

from __future__ import annotations

from random import Random

import numpy as np

from allo_rtl.hls.design import build_design
from allo_rtl.ir.ops import Module
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.cases import random_case
from allo_rtl.target import device


def run_in_amaranth(module: Module, random: Random) -> str | None:
    """What is wrong with a scheduled module as hardware for one random input, or None.

    The chip is an ECP5; the clock, and with it the pipelining, is random too.

    Raises:
        BuildError: it cannot be built.
    """
    design = build_design(module, device("ecp5-85"), random.choice([20.0, 50.0, 120.0]))
    case = random_case(module, np.random.default_rng(random.getrandbits(32)))
    mine = [a.copy() if isinstance(a, np.ndarray) else a for a in case.inputs]
    found, cycles = pysim.run(KernelComponent(design), mine, max_cycles=1_000_000)
    values = zip((*mine, *found), (*case.after, *case.results), strict=True)
    for n, (a, b) in enumerate(values):
        if not np.array_equal(np.asarray(a), np.asarray(b)):
            return f"value {n + 1} of arguments and results differs from the reference"
    if design.top.latency not in (None, cycles):
        return f"{cycles} cycles where {design.top.latency} were predicted"
    return None
