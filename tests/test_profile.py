"""Profiles: what each process of a region did in a simulated run, and what deeper FIFOs save."""

import json
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import CallError
from allo_rtl.hls.depths import streams_of
from allo_rtl.ir.types import Stream, int32
from allo_rtl.rtl_module import RtlModule
from allo_rtl.sim.profile import STATES

N = 24


@df.region()
def slow_reader(A: int32[N], B: int32[N]):
    """The reader takes a value every fourth cycle."""
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(N):
            link.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(N):
            b[i] = link.get()


@df.region()
def fork_and_join(A: int32[N], B: int32[N]):
    """``short`` is too shallow for the way through ``long`` and ``back``."""
    short: Stream[int32, 2]
    long: Stream[int32, 2]
    back: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def fork(a: int32[N]):
        for i in range(N):
            x: int32 = a[i]
            long.put(x)
            short.put(x)

    @df.kernel(mapping=[1])
    def work():
        for _ in range(N):
            y: int32 = long.get()
            back.put(y * y * y * y * y)

    @df.kernel(mapping=[1], args=[B])
    def join(b: int32[N]):
        for i in range(N):
            b[i] = back.get() + short.get()


@df.region()
def one_memory(A: int32[N], B: int32[N]):
    """Two processes read one array."""
    left: Stream[int32, 2]
    right: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def up(a: int32[N]):
        for i in range(N):
            left.put(a[i])

    @df.kernel(mapping=[1], args=[A])
    def down(a: int32[N]):
        for i in range(N):
            right.put(a[N - 1 - i])

    @df.kernel(mapping=[1], args=[B])
    def add(b: int32[N]):
        for i in range(N):
            b[i] = left.get() + right.get()


@cache
def built(region):
    s = df.customize(region, opt_default=region is not slow_reader)
    if region is slow_reader:
        s.pipeline("give_0:i")
        s.pipeline("take_0:i", initiation_interval=4)
    return s.build(target="rtl", clock_mhz=100)


@cache
def profiled(region, what_if=False):
    """The profile of a run, and what the run gave."""
    a, b = np.arange(N, dtype=np.int32), np.zeros(N, np.int32)
    return built(region).profile(a, b, what_if=what_if), b.tolist()


def process(profile, name):
    return next(p for p in profile.processes if p.name == name)


@pytest.mark.parametrize("region", [slow_reader, fork_and_join, one_memory])
def test_the_states_of_each_process_sum_up_to_the_run(region):
    profile, _ = profiled(region)
    assert profile.cycles == built(region).measured_cycles
    for p in profile.processes:
        assert tuple(p.cycles) == STATES
        assert sum(p.cycles.values()) == profile.cycles
        for state in ("empty", "full"):
            waits = sum(n for (found, _), n in p.waits.items() if found == state)
            assert waits == p.cycles[state]


def test_profiling_changes_neither_results_nor_cycles():
    _, b = profiled(slow_reader)
    assert b == list(range(N))
    again, c = built(slow_reader), np.zeros(N, np.int32)
    again(np.arange(N, dtype=np.int32), c)
    assert c.tolist() == b
    assert again.measured_cycles == profiled(slow_reader)[0].cycles == again.predicted_cycles


def test_who_waits_for_what_and_how_long():
    """After the first values give puts one whenever take takes one, every fourth cycle."""
    profile, _ = profiled(slow_reader)
    give, take = process(profile, "give_0"), process(profile, "take_0")
    assert give.waits == {("full", "link"): give.cycles["full"]}
    # Of N values the first two and the one after the first get are put without waiting.
    assert 3 * (N - 4) <= give.cycles["full"] <= 3 * (N - 2)
    assert take.waits == {}
    assert take.cycles["computing"] >= 4 * (N - 1)
    assert give.cycles["draining"] > 0
    assert take.cycles["draining"] == 0


def test_waiting_for_the_first_value_is_filling():
    profile, _ = profiled(fork_and_join)
    work, join = process(profile, "work_0"), process(profile, "join_0")
    assert 0 < work.cycles["filling"] < join.cycles["filling"]


def test_waiting_for_a_memory_port():
    """One of two reads in each cycle, so that each process waits in half of them."""
    profile, b = profiled(one_memory)
    assert b == [N - 1] * N
    waits = [process(profile, name).cycles["memory"] for name in ("up_0", "down_0")]
    assert sum(waits) >= N


def test_spans_tell_every_cycle_once():
    for region in (slow_reader, fork_and_join):
        profile, _ = profiled(region)
        for p in profile.processes:
            spans = [s for s in profile.spans if s.process == p.name]
            cycles = [c for s in spans for c in range(s.first, s.last + 1)]
            assert cycles == list(range(1, profile.cycles + 1))
            for state in STATES:
                total = sum(s.last - s.first + 1 for s in spans if s.state == state)
                assert total == p.cycles[state]


def test_what_deeper_fifos_save_is_measured():
    """The model says how deep; a simulation of the design with that depth says how much."""
    profile, _ = profiled(fork_and_join, what_if=True)
    design = built(fork_and_join).design
    best = profile.savings[0]
    assert best.saved > 0
    ((name, depth),) = best.depths
    assert name == "short"
    (short,) = [s for s in streams_of(design) if s.name == name]
    for less, reaches in ((0, True), (1, False)):
        rtl = RtlModule(replace(design, depths={short: depth - less}))
        rtl(np.arange(N, dtype=np.int32), np.zeros(N, np.int32))
        assert (rtl.measured_cycles <= profile.cycles - best.saved) == reaches
    said = f"with short {depth}: {best.saved} cycles less, {best.cycles} (simulated)"
    assert said in str(profile)


def test_where_no_depth_helps_that_is_said():
    profile, _ = profiled(slow_reader, what_if=True)
    assert profile.savings == ()
    assert "no deeper FIFO saves a cycle" in str(profile)


def test_the_table():
    text = str(profiled(slow_reader)[0])
    assert text.startswith("slow_reader, a run of ")
    assert "│ link (full)" in text


def test_json_trace_and_picture():
    profile, _ = profiled(fork_and_join)
    data = json.loads(profile.json())
    assert data["cycles"] == profile.cycles
    assert [p["name"] for p in data["processes"]] == ["fork_0", "work_0", "join_0"]
    events = json.loads(profile.chrome_trace())["traceEvents"]
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {"fork_0", "work_0", "join_0"}
    spans = [e for e in events if e["ph"] == "X"]
    ended = sum(p.cycles["draining"] for p in profile.processes)
    assert sum(e["dur"] for e in spans) == 3 * profile.cycles - ended
    picture = ElementTree.fromstring(profile.svg())
    drawn = picture.findall("{http://www.w3.org/2000/svg}rect")
    assert len(drawn) == len(profile.spans) + len(STATES)


def test_regions_inside_regions():
    @df.region()
    def inner(X: int32[N], Y: int32[N]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[X])
        def read(x: int32[N]):
            for i in range(N):
                s.put(x[i])

        @df.kernel(mapping=[1], args=[Y])
        def write(y: int32[N]):
            for i in range(N):
                y[i] = s.get() + 1

    def twice(A: int32[N], B: int32[N], C: int32[N]):
        inner(A, B)
        inner(B, C)

    rtl = allo.customize(twice).build(target="rtl")
    a, b, c = (np.full(N, k, np.int32) for k in range(3))
    profile = rtl.profile(a, b, c)
    assert c.tolist() == [2] * N
    assert [p.name for p in profile.processes] == ["read_0", "write_0", "read_0 (2)", "write_0 (2)"]
    for p in profile.processes:
        assert sum(p.cycles.values()) == profile.cycles
    first, second = profile.processes[0], profile.processes[2]
    assert first.cycles["filling"] + profile.cycles // 3 < second.cycles["filling"]


def test_a_kernel_without_processes_has_no_profile():
    def plain(A: int32[4]):
        A[0] = 1

    with pytest.raises(CallError, match="'plain' has no processes to profile"):
        allo.customize(plain).build(target="rtl").profile(np.zeros(4, np.int32))


def test_tasks_of_a_schedule_are_processes():
    def two(A: int32[N], B: int32[N]):
        middle: int32[N] = 0
        for i in range(N):
            middle[i] = A[i] * 3
        for j in range(N):
            B[j] = middle[j] + 1

    s = allo.customize(two)
    s.pipeline("i")
    s.pipeline("j")
    s.dataflow("two")
    s.to(s.middle, "j", depth=2)
    rtl, b = s.build(target="rtl"), np.zeros(N, np.int32)
    profile = rtl.profile(np.arange(N, dtype=np.int32), b)
    assert b.tolist() == [3 * x + 1 for x in range(N)]
    assert rtl.predicted_cycles == rtl.measured_cycles == profile.cycles
    assert len(profile.processes) == 2
    assert all(sum(p.cycles.values()) == profile.cycles for p in profile.processes)
