"""Least depths of FIFOs: with them nothing is lost, with one place less something is."""

import re
from dataclasses import replace

import numpy as np
import pytest
from ir_writer import agree, design_of
from stream_networks import Network

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import SimulationError
from allo_rtl.hls import depths, depths_search
from allo_rtl.hls.depths import least_depths, lost_cycles, run_cycles
from allo_rtl.hls.depths_search import streams_of
from allo_rtl.hls.depths_trace import NotStaticError
from allo_rtl.hls.depths_tracer import trace_of
from allo_rtl.hls.design import build_design
from allo_rtl.ir.mlir_parser import parse_module
from allo_rtl.ir.types import Int, Stream, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import to_words
from allo_rtl.sim.stalls import Stalls
from allo_rtl.target import device

N = 12
DEEP = 64


@df.region()
def fork_and_join(B: int32[N]):
    """``short`` has to hold what ``add`` still sums up."""
    short: Stream[int32]
    items: Stream[int32]
    total: Stream[int32]

    @df.kernel(mapping=[1])
    def fork():
        for i in range(N):
            items.put(i)
            short.put(i)

    @df.kernel(mapping=[1])
    def add():
        t: int32 = 0
        for _ in range(N):
            t += items.get()
        total.put(t)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[N]):
        t: int32 = total.get()
        for i in range(N):
            b[i] = short.get() + t


@df.region()
def bursts(A: int32[N], B: int32[N]):
    """Four values at a time, then none for a while; the reader takes one every other cycle."""
    s: Stream[int32]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(N // 4):
            x: int32[4] = 0
            for j in range(4):
                x[j] = a[i * 4 + j]
            for k in range(4):
                s.put(x[k])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(N):
            b[i] = s.get()


@df.region()
def around(A: int32[N], B: int32[N]):
    """Feedback: two values go round and round."""
    forth: Stream[int32]
    back: Stream[int32]

    @df.kernel(mapping=[1], args=[A])
    def left(a: int32[N]):
        forth.put(1)
        forth.put(2)
        for i in range(N - 2):
            a[i] = back.get()
            forth.put(a[i] + i)

    @df.kernel(mapping=[1], args=[B])
    def right(b: int32[N]):
        for i in range(N):
            x: int32 = forth.get()
            b[i] = x
            with allo.meta_if(True):
                if i < N - 2:
                    back.put(x * 3)


REGIONS = [fork_and_join, bursts, around]


def design(region, pipelined=True, clock_mhz=50.0):
    schedule = df.customize(region, opt_default=pipelined)
    return build_design(schedule.module, device("ecp5-85"), clock_mhz)


def simulated(design):
    """Cycles of a run in hardware; None when it does not end."""
    types = [a.type for a in design.module.top_func.args]
    raw = [to_words(np.zeros(t.shape, int).astype(object), t.element) for t in types]
    try:
        return pysim.run(KernelComponent(design), raw, max_cycles=600)[1]
    except SimulationError:
        return None


def check(design):
    """That the depths found are the least, in simulation; their number of proofs."""
    streams = streams_of(design)
    plan = least_depths(design, streams)
    if plan.cycles is None:
        assert simulated(replace(design, depths=dict.fromkeys(streams, DEEP))) is None
        return 0
    assert plan.is_least
    assert simulated(replace(design, depths=plan.depths)) == plan.cycles
    for s in streams:
        if plan.depths[s] == 1:
            continue
        less = replace(design, depths={**plan.depths, s: plan.depths[s] - 1})
        found = simulated(less)
        assert found == plan.proofs[s].cycles
        assert found is None or found > plan.cycles
    return len(plan.proofs)


@pytest.mark.parametrize("region", REGIONS, ids=lambda r: r.__name__)
def test_one_place_less_loses_cycles_or_deadlocks(region):
    assert check(design(region))


def test_at_the_least_depths_nothing_is_lost():
    """No depth makes a run shorter: at any that are deeper it is as long, but for RAMs' cycles."""
    for region in REGIONS:
        found = design(region)
        plan = least_depths(found, streams_of(found))
        assert plan.cycles == plan.best
        deeper = {s: min(4, 2 * d) if d <= 4 else d for s, d in plan.depths.items()}
        assert simulated(replace(found, depths=deeper)) == plan.cycles


def test_a_stream_without_a_depth_has_the_least():
    b = np.zeros(N, np.int32)
    rtl = df.customize(fork_and_join, opt_default=True).build(target="rtl")
    assert {s.name: d for s, d in rtl.design.depths.items()} == {
        "short": N - 1, "items": 2, "total": 1
    }  # fmt: skip
    rtl(b)
    assert b.tolist() == [i + sum(range(N)) for i in range(N)]
    assert rtl.measured_cycles == rtl.predicted_cycles
    streams = {s.name: s for s in rtl.report().streams}
    assert streams["short"].depth == N - 1
    assert re.fullmatch(
        r"with 10: deadlock; value 10 is never put, with 11 in cycle \d+", streams["short"].reason
    )
    assert streams["total"].reason == ""


def test_the_simulator_gives_a_stream_without_a_depth_the_room_it_needs():
    b = np.zeros(N, np.int32)
    df.build(fork_and_join)(b)
    assert b.tolist() == [i + sum(range(N)) for i in range(N)]


def test_the_text_of_a_module_says_that_no_depth_was_given():
    module = df.customize(fork_and_join).module
    assert 'name = "short", undeclared' in str(module)
    assert str(parse_module(str(module))) == str(module)
    assert "  short: Stream[int32]\n" in str(df.customize(fork_and_join))


@pytest.mark.parametrize(("depth", "lost"), [(1, N - 1), (2, 0)])
def test_the_report_says_what_a_depth_costs(depth, lost):
    @df.region()
    def copy(A: int32[N], B: int32[N]):
        s: Stream[int32, depth]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[N]):
            for i in range(N):
                s.put(a[i])

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            for i in range(N):
                b[i] = s.get()

    found = design(copy)
    notes = f"{lost} cycles are lost to full FIFOs; none are with these depths: s 2"
    assert lost_cycles(found) == (notes if lost else "")
    assert simulated(found) - simulated(replace(found, depths={streams_of(found)[0]: 3})) == lost


def test_the_report_says_at_which_depths_there_is_no_deadlock():
    found = design(fork_and_join)
    assert lost_cycles(found) == (
        "the processes wait for each other; they would not with these depths: "
        f"short {N - 1}"
    )
    assert run_cycles(found) is None


def test_what_depends_on_data_is_not_known():
    @df.region()
    def filtered(A: int32[N], B: int32[N]):
        s: Stream[int32]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[N]):
            for i in range(N):
                if a[i] > 3:
                    s.put(a[i])

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            for i in range(2):
                b[i] = s.get()

    with pytest.raises(NotStaticError, match="whether 's' is used depends on data"):
        trace_of(design(filtered))
    rtl = df.build(filtered, target="rtl")
    assert rtl.design.depths == {}
    (note,) = (n for n in rtl.report().notes if n.startswith("no depth was given for s"))
    assert "the least is not known: whether 's' is used depends on data" in note
    assert note.endswith("it is 2")


def test_blocks_are_counted_in_scalars():
    @df.region()
    def blocks(A: Int(8)[3, 4], B: Int(8)[3, 4]):
        s: Stream[Int(8)[4]]

        @df.kernel(mapping=[1], args=[A])
        def give(a: Int(8)[3, 4]):
            for i in range(3):
                s.put(a[i])

        @df.kernel(mapping=[1], args=[B])
        def take(b: Int(8)[3, 4]):
            for i in range(3):
                b[i] = s.get()

    rtl = df.build(blocks, target="rtl")
    assert [d < 8 for d in rtl.design.depths.values()] == [True]


def test_in_a_large_design_depths_are_alike_and_enough(monkeypatch):
    monkeypatch.setattr(depths_search, "WORK", 40)
    monkeypatch.setattr(depths_search, "_KINDS_WORK", 0)
    found = depths.choose_depths(design(bursts))
    ((stream, depth),) = found.depths.items()
    assert "the depths of s are enough; that they are least is not shown" in found.notes
    assert simulated(found) == simulated(replace(found, depths={stream: 2 * depth}))


@df.region()
def array(A: int32[3, 4], B: int32[4, 3], C: int32[3, 3]):
    rows: Stream[int32][3, 3]
    columns: Stream[int32][3, 3]

    @df.kernel(mapping=[3], args=[A])
    def load_a(a: int32[3, 4]):
        i = df.get_pid()
        for k in range(4):
            rows[i, 0].put(a[i, k])

    @df.kernel(mapping=[3], args=[B])
    def load_b(b: int32[4, 3]):
        j = df.get_pid()
        for k in range(4):
            columns[0, j].put(b[k, j])

    @df.kernel(mapping=[3, 3], args=[C])
    def pe(c: int32[3, 3]):
        i, j = df.get_pid()
        total: int32 = 0
        for _ in range(4):
            x = rows[i, j].get()
            y = columns[i, j].get()
            total += x * y
            with allo.meta_if(j < 2):
                rows[i, j + 1].put(x)
            with allo.meta_if(i < 2):
                columns[i + 1, j].put(y)
        c[i, j] = total


def test_in_an_array_of_kernels_depths_are_least_for_all_of_a_kind(monkeypatch):
    """Each proof is what a simulation gives in which all FIFOs of the kind have one place less."""
    schedule = df.customize(array, opt_default=True)
    schedule.partition("array:A", dim=1)
    schedule.partition("array:B", dim=2)
    schedule.partition("array:C", dim=0)
    made = build_design(schedule.module, device("ecp5-85"), 50.0)
    streams = streams_of(made)
    monkeypatch.setattr(depths_search, "WORK", 2000)
    plan = least_depths(made, streams)
    assert (plan.is_least, plan.by_kinds) == (False, True)
    assert plan.cycles == plan.best
    assert simulated(replace(made, depths=plan.depths)) == plan.cycles
    of = depths_search.kinds(made)
    groups = [[s for s in streams if of[s] == k] for k in dict.fromkeys(of.values())]
    assert 1 < len(groups) < len(streams)
    deep = [g for g in groups if plan.depths[g[0]] > 1]
    for group in (deep[0], deep[-1]):
        less = {**plan.depths, **{s: plan.depths[s] - 1 for s in group}}
        cycles = simulated(replace(made, depths=less))
        assert cycles > plan.cycles
        assert {plan.proofs[s].cycles for s in group} == {cycles}
        assert {plan.proofs[s].together for s in group} == {len(group)}
    notes = depths.choose_depths(made).notes
    assert any("are least for all of a kind together" in note for note in notes)


@df.region()
def late(A: int32[N], B: int32[N]):
    """All but one value of the short way waits until ``add`` is done, some of them in ``cube``."""
    items: Stream[int32]
    short: Stream[int32]
    cubes: Stream[int32]
    total: Stream[int32]

    @df.kernel(mapping=[1], args=[A])
    def fork(a: int32[N]):
        for i in range(N):
            x: int32 = a[i]
            items.put(x)
            short.put(x)

    @df.kernel(mapping=[1])
    def add():
        t: int32 = 0
        for _ in range(N):
            t += items.get()
        total.put(t)

    @df.kernel(mapping=[1])
    def cube():
        for _ in range(N):
            y: int32 = short.get()
            cubes.put(y * y * y * y * y)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[N]):
        t: int32 = total.get()
        for i in range(N):
            b[i] = cubes.get() + t


def test_where_arguments_come_late_depths_do_not_count_on_full_pipelines():
    """The pipeline of ``cube`` holds several values, but only where these come one by one."""
    schedule = df.customize(late, opt_default=True)
    plain = build_design(schedule.module, device("ecp5-85"), 150.0)
    tight = {s.name: d for s, d in depths.choose_depths(plain).depths.items()}
    schedule.interface("A", "stream")
    found = depths.choose_depths(build_design(schedule.module, device("ecp5-85"), 150.0))
    safe = {s.name: d for s, d in found.depths.items()}
    assert tight["short"] + tight["cubes"] < N - 2 == safe["short"] + safe["cubes"]
    assert "a deadlock where values come late" in str(found.reasons.values())
    raw = [to_words(np.arange(N).astype(object), int32), to_words(np.zeros(N, object), int32)]
    stalls = Stalls(seed=1, percent=80)

    def ends(design):
        try:
            pysim.run(KernelComponent(design), raw, max_cycles=3000, stalls=stalls)
        except SimulationError:
            return False
        return True

    assert ends(found)
    assert not ends(replace(found, depths={s: tight[s.name] for s in found.depths}))


def network(seed, pipelined):
    module = Network(seed, pipelined, apart=True).module()
    return module, design_of(module, clock_mhz=50 if seed % 2 else 200)


@pytest.mark.parametrize("seed", range(8))
def test_cycles_of_random_networks_are_predicted(seed):
    """At the depths that they have, and also whether they end."""
    for pipelined in (False, True):
        _, found = network(seed, pipelined)
        assert simulated(found) == run_cycles(found)


@pytest.mark.parametrize("seed", [0, 3, 8])
def test_depths_of_random_networks_are_the_least(seed):
    check(network(seed, pipelined=True)[1])


@pytest.mark.long
@pytest.mark.parametrize("pipelined", [False, True])
def test_depths_of_a_hundred_random_networks_are_the_least(pipelined):
    proofs = [check(network(seed, pipelined)[1]) for seed in range(100, 200)]
    assert sum(map(bool, proofs)) > 50


def test_results_do_not_depend_on_depths():
    module, found = network(4, pipelined=True)
    plan = least_depths(found, streams_of(found))
    args = [np.arange(v.type.size).astype(object) for v in module.top_func.args]
    agree(module, args, replace(found, depths={s: d + 3 for s, d in plan.depths.items()}))
