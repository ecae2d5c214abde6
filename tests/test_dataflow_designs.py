"""Designs as users write them give numpy's result, on the simulator and in hardware.

In hardware under random stalls: every stream of the kernel's arguments and results waits at
random, and runs start late.
"""

import copy

import numpy as np
import pytest
from dataflow_designs import DESIGNS
from systolic_designs import M, N, output_stationary, weight_stationary

import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock
from allo_rtl.ir.types import Stream, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import call_with_numpy
from allo_rtl.sim.stalls import Stalls

SEEDS = (1, 2, 3)


def schedule_of(design, pipelined):
    s = df.customize(design.region, opt_default=pipelined)
    for array in design.streams:
        s.interface(array, "stream")
    for array, dim in design.banks:
        s.partition(array, dim=dim)
    return s


def compare(design, call, seed):
    """Assert that a call does to random arguments what numpy says."""
    args = design.given(np.random.default_rng(seed))
    wanted = design.meaning(*copy.deepcopy(args))
    before = copy.deepcopy(args)
    call(*args)
    for n, (was, now) in enumerate(zip(before, args, strict=True)):
        np.testing.assert_array_equal(now, wanted.get(n, was))


def in_amaranth(rtl, stalls):
    """A build as a call, in a simulation with stalls."""
    def run(raw):
        return pysim.run(KernelComponent(rtl.design), raw, stalls=stalls)[0]

    return lambda *args: call_with_numpy(rtl._signature, args, run)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_on_the_simulator(design):
    call = df.build(design.region)
    for seed in SEEDS:
        compare(design, call, seed)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_called(design):
    compare(design, design.region, 4)


def test_functions_of_a_region():
    """One for each process, and the region; a stream that no process uses is left out."""
    assert len(df.customize(output_stationary).module.funcs) == M + N + M * N + 1
    shown = df.customize(weight_stationary).show()
    assert "partial_1_0" in shown
    assert "partial_0_0" not in shown


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_in_hardware_that_is_stalled(design):
    rtl = schedule_of(design, pipelined=True).build(target="rtl")
    for seed, stalls in enumerate((None, Stalls(1, 20), Stalls(2, 75))):
        compare(design, in_amaranth(rtl, stalls), seed)


@pytest.mark.long
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_in_hardware_that_is_stalled_one_iteration_after_the_other(design):
    rtl = schedule_of(design, pipelined=False).build(target="rtl")
    compare(design, in_amaranth(rtl, Stalls(3, 50)), 3)


def test_waiting_for_the_outside_is_no_deadlock():
    """However long it takes."""
    design = next(d for d in DESIGNS if str(d) == "producer_consumer")
    rtl = schedule_of(design, True).build(target="rtl")
    for seed in range(4):
        rtl.stalls = Stalls(seed, 99)
        compare(design, rtl, seed)
        assert rtl.cycles > 500


@df.region()
def total_first(A: int32[8], B: int32[8]):
    """Nothing is joined before the sum is known, and two values are all that wait for it."""
    waiting: Stream[int32, 2]
    added: Stream[int32, 2]
    total: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def fork(a: int32[8]):
        for i in range(8):
            x: int32 = a[i]
            waiting.put(x)
            added.put(x)

    @df.kernel(mapping=[1])
    def add():
        t: int32 = 0
        for _ in range(8):
            t += added.get()
        total.put(t)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[8]):
        t: int32 = total.get()
        for i in range(8):
            b[i] = waiting.get() + t


@pytest.mark.parametrize("stalls", [None, Stalls(1, 90)])
def test_a_deadlock_is_one_whatever_the_outside_does(stalls):
    s = df.customize(total_first)
    s.interface("A", "stream")
    s.interface("B", "stream")
    rtl = s.build(target="rtl")
    rtl.stalls = stalls
    with pytest.raises(Deadlock, match="fork_0 waits for room in waiting, which is full"):
        rtl(np.arange(8, dtype=np.int32), np.zeros(8, np.int32))


@pytest.mark.long
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_in_verilator_under_many_stalls(design):
    for pipelined in (False, True):
        rtl = schedule_of(design, pipelined).build(target="rtl")
        for seed in range(200):
            rtl.stalls = Stalls(seed, 1 + seed % 99)
            compare(design, rtl, seed)


@pytest.mark.long
@pytest.mark.parametrize("name", ["sparse", "daisy_chain"])
def test_in_verilator_run_after_run(name):
    """Words of a run that come early wait for it; a reset empties all FIFOs."""
    design = next(d for d in DESIGNS if str(d) == name)
    rtl = schedule_of(design, True).build(target="rtl")
    for seed in range(12):
        rtl.stalls = Stalls(seed, 10 + 7 * seed) if seed else None
        compare(design, rtl, seed)
        if seed == 6:
            rtl.reset()
