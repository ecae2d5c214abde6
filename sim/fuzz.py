"""Random inputs through a schedule built as hardware, in Amaranth's simulator."""

from __future__ import annotations

from random import Random

import numpy as np

from allo_rtl.errors import AlloError
from allo_rtl.hls.design import build_design
from allo_rtl.ir.evaluate import IntArray
from allo_rtl.ir.ops import Module
from allo_rtl.ir.promise_check import keeps_promises
from allo_rtl.ir.types import ArrayType, ScalarType, Type
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.bench import Case
from allo_rtl.sim.cases import random_case
from allo_rtl.sim.marshal import Raw, int_of_word, ints_of_words
from allo_rtl.target import device

_TRIES = 5


def run_in_amaranth(module: Module, random: Random) -> str | None:
    """What is wrong with a scheduled module as hardware for one random input, or None.

    The chip is an ECP5; the clock, and with it the pipelining, is random too.

    Raises:
        BuildError: it cannot be built.
        AlloError: no random input is one for which its promises hold.
    """
    design = build_design(module, device("ecp5-85"), random.choice([20.0, 50.0, 120.0]))
    case = _case(module, random)
    mine = [a.copy() if isinstance(a, np.ndarray) else a for a in case.inputs]
    found, cycles = pysim.run(KernelComponent(design), mine, max_cycles=1_000_000)
    values = zip((*mine, *found), (*case.after, *case.results), strict=True)
    for n, (a, b) in enumerate(values):
        if not np.array_equal(np.asarray(a), np.asarray(b)):
            return f"value {n + 1} of arguments and results differs from the reference"
    if design.top.latency not in (None, cycles):
        return f"{cycles} cycles where {design.top.latency} were predicted"
    return None


def _case(module: Module, random: Random) -> Case:
    """A random case for which the promises of ``assume_independent`` hold."""
    for _ in range(_TRIES):
        case = random_case(module, np.random.default_rng(random.getrandbits(32)))
        types = [v.type for v in module.top_func.args]
        if keeps_promises(module, [_ints(t, a) for t, a in zip(types, case.inputs, strict=True)]):
            return case
    raise AlloError("random inputs do not keep the promises of assume_independent")


def _ints(type_: Type, raw: Raw) -> IntArray | int:
    """An argument as the evaluator takes it."""
    if isinstance(raw, int):
        return raw
    if isinstance(type_, ScalarType):
        return int_of_word(raw, type_)
    assert isinstance(type_, ArrayType)
    return np.array(ints_of_words(raw, type_.element), dtype=object).reshape(type_.shape)
