"""Runs that overlap: processes go on to the next run while others are at one before."""

from collections import deque

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import BuildError, CallError
from allo_rtl.ir.types import Stateful, Stream, int32
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.run_queue import queue_runs
from allo_rtl.sim.stalls import Stalls

N = 16


@df.region()
def stages(A: int32[N], B: int32[N]):
    """Each stage has to have all its words before it hands on the first."""
    first: Stream[int32, 2]
    second: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[N]):
        words: int32[N]
        for i in range(N):
            words[i] = a[i]
        for i in range(N):
            first.put(words[N - 1 - i] + 1)

    @df.kernel(mapping=[1])
    def middle():
        words: int32[N]
        for i in range(N):
            words[i] = first.get()
        for i in range(N):
            second.put(words[N - 1 - i] * 3)

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[N]):
        words: int32[N]
        for i in range(N):
            words[i] = second.get()
        for i in range(N):
            b[i] = words[N - 1 - i]


def streamed(region, *arrays):
    s = df.customize(region, opt_default=True)
    for array in arrays:
        s.interface(array, "stream")
    return s


def runs_of(count, seed=0):
    dice = np.random.default_rng(seed)
    return [
        (dice.integers(-99, 99, N).astype(np.int32), np.zeros(N, np.int32)) for _ in range(count)
    ]


def check_runs(runs):
    for a, b in runs:
        np.testing.assert_array_equal(b, ((a + 1) * 3)[::-1])


@pytest.fixture(scope="module")
def overlapped():
    return streamed(stages, "A", "B").build(target="rtl", overlap_runs=4)


def test_a_run_follows_the_one_before_by_the_slowest_stage(overlapped):
    """Many runs take the first, and then each as long as one stage, not as all together."""
    alone, runs = streamed(stages, "A", "B").build(target="rtl"), runs_of(8)
    alone.run_many(runs)
    check_runs(runs)
    whole = alone.ends[0]
    assert alone.starts == [k * whole for k in range(8)]  # none before the last has ended

    runs = runs_of(8, seed=1)
    overlapped.run_many(runs)
    check_runs(runs)
    stage = 2 * N + 1
    assert overlapped.ends == [whole + k * stage for k in range(8)]
    assert overlapped.starts == [0, 1, 2, 3, *(e + 1 for e in overlapped.ends[:4])]
    assert whole > 2 * stage


def test_a_single_run_is_as_long_as_without(overlapped):
    (a, b), alone = runs_of(1)[0], streamed(stages, "A", "B").build(target="rtl")
    overlapped(a, b)
    check_runs([(a, b)])
    alone(a, b)
    assert overlapped.measured_cycles == alone.measured_cycles


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_runs_that_wait_for_the_outside_at_random(overlapped, seed):
    """Words of several runs are under way, and come out in order."""
    overlapped.stalls = Stalls(seed=seed, percent=30 * seed)
    runs = runs_of(9, seed)
    overlapped.run_many(runs)
    overlapped.stalls = None
    check_runs(runs)
    assert overlapped.starts == sorted(overlapped.starts)
    assert all(s >= e for s, e in zip(overlapped.starts[4:], overlapped.ends, strict=False))


@pytest.mark.parametrize("seed", range(6))
def test_each_process_makes_each_run_once(seed):
    """Processes of random lengths; a run is over in the cycle in which its last process ends."""
    dice, most, total = np.random.default_rng(seed), int(1 + seed % 4), 40
    m, accept = Module(), Signal()
    starts = [Signal(name=f"start_{p}") for p in range(3)]
    readies = [Signal(init=1, name=f"ready_{p}") for p in range(3)]
    over = queue_runs(m, Names(), most, accept, starts, readies)
    made, ended = [0] * 3, deque([0, 0, 0])
    left = [0] * 3  # cycles of the run of each process that are left, with this one

    async def bench(ctx):
        accepted = finished = 0
        while finished < total:
            for ready, cycles in zip(readies, left, strict=True):
                ctx.set(ready, cycles <= 1)
            begins = accepted < total and accepted - finished < most and dice.random() < 0.7
            ctx.set(accept, begins)
            ends_now = [cycles == 1 for cycles in left]
            for p, now in enumerate(ends_now):
                ended[p] += now
            assert ctx.get(over) == (min(ended) > finished)
            finished += ctx.get(over)
            for p in range(3):
                if ctx.get(starts[p]) and left[p] <= 1:
                    made[p] += 1
                    left[p] = int(dice.integers(1, 9))
                else:
                    left[p] = max(0, left[p] - 1)
            accepted += begins
            assert all(n <= accepted for n in made)
            await ctx.tick()
        assert made == [total] * 3

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@df.region()
def uneven(A: int32[N], B: int32[N]):
    """A value stays in the FIFO."""
    link: Stream[int32, 20]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[N]):
        for i in range(N):
            link.put(a[i])
        link.put(0)

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[N]):
        for i in range(N):
            b[i] = link.get()


@df.region()
def eager(A: int32[N], B: int32[N]):
    """How many values are taken depends on time."""
    link: Stream[int32, 4]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[N]):
        for i in range(N):
            link.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[N]):
        for i in range(N):
            x, ok = link.try_get()
            b[i] = x if ok else 0


def plain(A: int32[N], B: int32[N]):
    for i in range(N):
        B[i] = A[i] + 1


def tasks(A: int32[N], B: int32[N]):
    T: int32[N]
    for i in range(N):
        T[i] = A[i] + 1
    for j in range(N):
        B[j] = T[j] * 3


def streamed_tasks():
    s = allo.customize(tasks)
    s.pipeline("i")
    s.pipeline("j")
    s.dataflow("tasks")
    s.interface("A", "stream")
    s.interface("B", "stream")
    return s


def test_tasks_with_a_fifo_between_them_take_a_word_in_every_cycle():
    s = streamed_tasks()
    s.to("T", "j", depth=2)
    rtl, runs = s.build(target="rtl", overlap_runs=3), runs_of(6)
    rtl.run_many(runs)
    for a, b in runs:
        np.testing.assert_array_equal(b, (a + 1) * 3)
    assert rtl.ends == [rtl.ends[0] + k * N for k in range(6)]


@df.region()
def remembering(A: int32[4], B: int32[4]):
    """Each kernel keeps something for its own next run."""
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[4]):
        n: int32 @ Stateful = 10
        for i in range(4):
            link.put(a[i] + n)
        n += 1

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[4]):
        last: int32[4] @ Stateful = 0
        for i in range(4):
            last[3 - i] = last[i] + link.get()
            b[i] = last[3 - i]


def test_a_kernel_keeps_its_own_state_from_run_to_run():
    schedule = streamed(remembering, "A", "B")
    rtl, alone = schedule.build(target="rtl", overlap_runs=3), schedule.build()
    runs = [(a[:4].copy(), b[:4].copy()) for a, b in runs_of(8)]
    rtl.run_many(runs)
    for a, b in runs:
        expected = np.zeros(4, np.int32)
        alone(a, expected)
        np.testing.assert_array_equal(b, expected)
    assert rtl.ends[-1] - rtl.ends[-2] == rtl.predicted_interval


def test_what_may_not_overlap_is_refused():
    cases = [
        (streamed(stages, "A"), "B is no stream"),
        (streamed(uneven, "A", "B"), "17 values are put to link and 16 are taken"),
        (streamed(eager, "A", "B"), "is not known"),
    ]
    s = allo.customize(plain)
    s.interface("A", "stream")
    s.interface("B", "stream")
    cases.append((s, "more to it than processes"))
    for schedule, reason in cases:
        with pytest.raises(BuildError, match=reason):
            schedule.build(target="rtl", overlap_runs=2)
    for number in (0, True, 1.5):
        with pytest.raises(BuildError, match="runs at a time"):
            s.build(target="rtl", overlap_runs=number)


def test_runs_follow_each_other_where_all_arrays_are_streams():
    rtl = allo.customize(plain).build(target="rtl")
    with pytest.raises(CallError, match="'A' is no stream"):
        rtl.run_many([(np.zeros(N, np.int32), np.zeros(N, np.int32))])
