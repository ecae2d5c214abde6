"""Cycles where processes take turns at memory ports are predicted, exactly, as everywhere else."""

import numpy as np
import pytest
from ir_writer import agree, design_of, random_args
from port_networks import PortNetwork
from stream_networks import Network
from test_depths import check, simulated

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.hls.depths import choose_depths, run_cycles, why_unknown
from allo_rtl.hls.design import build_design
from allo_rtl.ir.types import Stream, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import to_words
from allo_rtl.target import device

N = 12


def three(A: int32[N], D: int32[N]):
    """Two tasks read A at once."""
    B: int32[N] = 0
    C: int32[N] = 0
    for p in range(N):
        B[p] = A[p] + 1
    for q in range(N):
        C[q] = A[q] * 3
    for r in range(N):
        D[r] = B[r] + C[r]


def zeros(design):
    types = [a.type for a in design.module.top_func.args]
    return [to_words(np.zeros(t.shape, int).astype(object), t.element) for t in types]


def test_tasks_that_read_one_memory():
    s = allo.customize(three)
    for loop in "pqr":
        s.pipeline(loop)
    s.dataflow("three")
    design = build_design(s.module, device("ecp5-85"), 50.0)
    assert why_unknown(design) == ""
    cycles = run_cycles(design)
    assert cycles == simulated(design)
    assert cycles > 2 * N  # two of them take a word each, in turn


def test_each_run_takes_turns_like_the_first():
    """Whose turn it is does not depend on the run before."""

    @df.region()
    def readers(A: int32[N], B: int32[3 * N]):
        @df.kernel(mapping=[3], args=[A, B])
        def copy(a: int32[N], b: int32[3 * N]):
            p = df.get_pid()
            for i in range(N - p):
                b[N * p + i] = a[i]

    s = df.customize(readers, opt_default=True)
    design = build_design(s.module, device("ecp5-85"), 50.0)
    runs = pysim.run_all(KernelComponent(design), [zeros(design) for _ in range(3)])
    assert {cycles for _, cycles in runs} == {run_cycles(design)}


@df.region()
def hand_on(A: int32[N], B: int32[N], C: int32[N]):
    """``first`` and ``second`` read A; values go from one to the other, and on."""
    link: Stream[int32]
    out: Stream[int32]

    @df.kernel(mapping=[1], args=[A])
    def first(a: int32[N]):
        for i in range(N):
            link.put(a[i])

    @df.kernel(mapping=[1], args=[A, C])
    def second(a: int32[N], c: int32[N]):
        for i in range(N):
            c[i] = a[N - 1 - i]
        for i in range(N):
            out.put(link.get() + a[i])

    @df.kernel(mapping=[1], args=[B])
    def last(b: int32[N]):
        for i in range(N):
            b[i] = out.get()


def test_depths_are_the_least_with_the_turns_at_ports():
    found = build_design(df.customize(hand_on, opt_default=True).module, device("ecp5-85"), 50.0)
    assert check(found)
    assert not any("not shown" in note for note in choose_depths(found).notes)


@pytest.mark.parametrize("seed", [1, 2, 5, 12])
def test_depths_of_random_networks_that_share_ports_are_the_least(seed):
    check(design_of(Network(seed, pipelined=True).module()))


@df.region()
def both(A: int32[N], B: int32[N], C: int32[2 * N], D: int32[2 * N]):
    @df.kernel(mapping=[2], args=[A, B, C, D])
    def work(a: int32[N], b: int32[N], c: int32[2 * N], d: int32[2 * N]):
        p = df.get_pid()
        for i in range(N):
            c[p * N + i] = a[i] + 1
        for j in range(N - 3):
            d[p * N + j] = b[j] * b[j + 1]


@pytest.mark.parametrize("pipelined", [False, True])
def test_loops_that_run_together_hold_together(pipelined):
    s = df.customize(both, opt_default=pipelined)
    for p in range(2):
        s.overlap(f"work_{p}:i", f"work_{p}:j")
    design = build_design(s.module, device("ecp5-85"), 50.0)
    assert simulated(design) == run_cycles(design)


def random_design(seed):
    module = PortNetwork(seed).module()
    return module, design_of(module, clock_mhz=50 if seed % 2 else 200)


@pytest.mark.parametrize("seed", range(10))
def test_cycles_of_random_regions_are_predicted(seed):
    module, design = random_design(seed)
    assert any(design.shared.values())
    assert agree(module, random_args(module, seed), design) == run_cycles(design)


@pytest.mark.long
def test_cycles_of_two_hundred_random_regions_are_predicted():
    for seed in range(1000, 1200):
        module, design = random_design(seed)
        assert agree(module, random_args(module, seed), design) == run_cycles(design)


@pytest.mark.long
@pytest.mark.parametrize("pipelined", [False, True])
def test_cycles_of_a_hundred_random_networks_are_predicted(pipelined):
    """Also whether they end."""
    for seed in range(200, 300):
        design = design_of(Network(seed, pipelined).module(), clock_mhz=50 if seed % 2 else 200)
        assert simulated(design) == run_cycles(design)


@pytest.mark.long
def test_depths_of_fifty_random_networks_that_share_ports_are_the_least():
    proofs = [check(design_of(Network(s, pipelined=True).module())) for s in range(300, 350)]
    assert sum(map(bool, proofs)) > 20
