"""Runs of functions with tasks that overlap, on copies of the arrays between the tasks.

Of each kernel many runs, one after the other and at random times, compute what the CPU build does,
and follow each other as often as predicted.
"""

import inspect
import json
import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from source_generators import load

import allo_rtl as allo
from allo_rtl.errors import BuildError, IllegalScheduleError, ScheduleError
from allo_rtl.hls import depths_model
from allo_rtl.hls.depths_search import fifo_room, streams_of
from allo_rtl.hls.depths_tracer import traces_of
from allo_rtl.hls.render import render_json
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.types import Stateful, int16, int32
from allo_rtl.sim.stalls import Stalls

N = 8


def reversed_twice(A: int32[N], B: int32[N]):
    T: int32[N]
    U: int32[N]
    for i in range(N):
        T[i] = A[i] + 1
    for j in range(N):
        U[j] = T[N - 1 - j] * 3
    for k in range(N):
        B[k] = U[N - 1 - k] - 5


def in_place(A: int32[N], B: int32[N]):
    """The second task reads and stores what the others use too."""
    T: int32[N]
    for i in range(N):
        T[i] = A[i]
    for j in range(N - 1):
        T[j + 1] += T[j]
    for k in range(N):
        B[k] = T[N - 1 - k]


def partly(A: int32[N], B: int32[N]):
    """What is not stored is zero in every run."""
    T: int32[2 * N] = 0
    for i in range(N):
        a: int32 = A[i]
        if a > 0:
            T[2 * i] = a
    for k in range(N):
        B[k] = T[2 * N - 2 - 2 * k] + T[2 * k + 1]


def five_users(A: int32[N], B: int32[N]):
    T: int32[N]
    U: int32[N]
    V: int32[N]
    W: int32[N]
    for i in range(N):
        T[i] = A[i]
    for j in range(N):
        U[j] = T[N - 1 - j] + 1
    for k in range(N):
        V[k] = U[N - 1 - k] + T[k]
    for m in range(N):
        W[m] = V[N - 1 - m] + T[N - 1 - m]
    for n in range(N):
        B[n] = W[n] * T[N - 1 - n]


def halves(A: int32[N], B: int32[N]):
    """Two tasks fill one array, each its part of it, and neither all of that."""
    T: int32[N]
    U: int32[2, N + 1]
    for i in range(N):
        T[i] = A[i]
    for j in range(N):
        U[0, j] = T[N - 1 - j] + 1
    for k in range(N):
        U[1, k] = T[k] * 3
    for m in range(N):
        B[m] = U[0, m + 1] - U[1, N - m]


def returned(A: int16[N]) -> int16[N]:
    T: int16[N]
    C: int16[N]
    most: int16 = 0
    for i in range(N):
        a: int16 = A[i]
        T[i] = a
        if a > most:
            most = a
    for k in range(N):
        C[k] = T[N - 1 - k] - most
    return C


def total(A: int32[N]) -> int32:
    T: int32[N]
    s: int32 = 0
    for i in range(N):
        T[i] = A[i]
    for k in range(N):
        s += T[N - 1 - k]
    return s


def returned_by_two(A: int32[N]) -> int32[N]:
    T: int32[N]
    C: int32[N]
    for i in range(N):
        T[i] = A[i]
    for j in range(4):
        C[j] = T[N - 1 - j]
    for k in range(4):
        C[4 + k] = T[k]
    return C


def kept(A: int32[N], B: int32[N]):
    last: int32[N] @ Stateful = 0
    for i in range(N):
        last[i] = last[i] + A[i]
    for k in range(N):
        B[k] = last[N - 1 - k]


def inside(A: int32[N], B: int32[N]):
    """A task that is two itself, in a loop."""
    T: int32[N]
    U: int32[N]
    for i in range(N):
        T[i] = A[i]
    for t in range(2):
        x: int32[N // 2]
        for j in range(N // 2):
            x[j] = T[t * (N // 2) + j] * 2
        for k in range(N // 2):
            U[t * (N // 2) + k] = x[N // 2 - 1 - k]
    for m in range(N):
        B[m] = U[N - 1 - m]


def scheduled(kernel, *pipelined, streams=("A", "B"), name=None):
    s = allo.customize(kernel)
    for loop in pipelined:
        s.pipeline(loop)
    s.dataflow(name or s.top_func.name)
    for array in streams:
        s.interface(array, "stream")
    return s


def with_fifo():
    s = scheduled(five_users, *"ijkmn")
    s.to("W", "n")
    return s


def in_a_loop():
    s = scheduled(inside, "i", "j", "k", "m")
    s.dataflow("t")
    return s


def random_tasks(seed):
    """The source of tasks that go through arrays of those before them, some forwards."""
    dice, lines = random.Random(seed), ["for i in range(N):", "    T0[i] = A[i]"]
    last = dice.randint(2, 4)
    for k in range(1, last + 1):
        sources = dice.choices(range(k), k=dice.randint(1, 2))
        parts = [f"T{n}[{dice.choice([f'i{k}', f'N - 1 - i{k}'])}]" for n in sources]
        target = "B" if k == last else f"T{k}"
        lines += [f"for i{k} in range(N):", f"    {target}[i{k}] = {' + '.join(parts)} + {k}"]
    arrays = [f"T{k}: int32[N]" for k in range(last)]
    body = "".join(f"    {line}\n" for line in (*arrays, *lines))
    head = f"N = {N}\nfrom allo_rtl.ir.types import int32\n\n\n"
    return f"{head}def top(A: int32[N], B: int32[N]):\n{body}"


KERNELS = {
    "not pipelined": lambda: scheduled(reversed_twice),
    "in_place": lambda: scheduled(in_place, *"ijk"),
    "partly": lambda: scheduled(partly, *"ik"),
    "halves": lambda: scheduled(halves, *"ijkm"),
    "five_users": lambda: scheduled(five_users, *"ijkmn"),
    "with_fifo": with_fifo,
    "returned": lambda: scheduled(returned, *"ik", streams=("A", "C")),
    "in_a_loop": in_a_loop,
}


def arguments(schedule, count, seed):
    """Arguments of some runs; arrays that are stored to are not what a run should leave."""
    dice = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        arrays = [dice.integers(-50, 50, a.type.shape).astype(f"int{a.type.element.bits}")
                  for a in schedule.top_func.args]  # fmt: skip
        found.append(arrays)
    return found


def agree(schedule, rtl, count, seed):
    """Simulate runs, and compare each with the CPU build."""
    cpu, runs = schedule.build(), arguments(schedule, count, seed)
    expected = [[np.copy(a) for a in args] for args in runs]
    answers = [cpu(*args) for args in expected]
    results = rtl.run_many(runs)
    for args, after, result, answer in zip(runs, expected, results, answers, strict=True):
        for is_, should in zip(args, after, strict=True):
            np.testing.assert_array_equal(is_, should)
        if answer is not None:
            np.testing.assert_array_equal(result, answer)


def agree_at_random_times(schedule, rtl, seeds):
    for seed in seeds:
        rtl.stalls = Stalls(seed=seed, percent=20 + 30 * (seed % 3))
        agree(schedule, rtl, 7, seed)
        assert rtl.starts == sorted(rtl.starts)
        most = rtl.design.runs
        assert all(s > e for s, e in zip(rtl.starts[most:], rtl.ends, strict=False))
    rtl.stalls = None


def played(rtl, count):
    """When runs end, as the model says."""
    design = rtl.design
    rooms = {s: fifo_room(design, s, design.depth(s)) for s in streams_of(design)}
    outside = [v for v in design.port_values if v not in rooms]
    traces = traces_of(design)
    return depths_model.play_runs(traces, rooms, outside, design.runs, count)


def steady(rtl):
    """Whether the last runs ended as far from each other as predicted."""
    found = rtl.report().runs
    assert rtl.predicted_interval == found.interval
    ends = rtl.ends[-2 * found.runs - 1 :: found.runs]
    return [b - a for a, b in pairwise(ends)] == [found.cycles] * 2


@pytest.fixture(scope="module")
def many():
    return scheduled(reversed_twice, *"ijk").build(target="rtl", overlap_runs=4)


LONG = ("five_users", "in_a_loop")


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[pytest.mark.long] * (k in LONG)) for k in KERNELS]
)
def test_runs_overlap_and_each_is_what_it_is_alone(name):
    schedule = KERNELS[name]()
    rtl = schedule.build(target="rtl", overlap_runs=3)
    agree(schedule, rtl, 12, seed=1)
    assert rtl.ends == played(rtl, 12)
    assert rtl.ends[0] == rtl.predicted_cycles
    assert steady(rtl)
    agree_at_random_times(schedule, rtl, (1, 2))


@pytest.mark.long
def test_random_tasks_whose_runs_overlap():
    shared = 0
    for seed in range(20):
        dice = random.Random(seed)
        s = allo.customize(load(random_tasks(seed), "top"))
        for name in [p.name for p in loops(s.top_func.body)]:
            if dice.random() < 0.7:
                s.pipeline(name)
        s.dataflow("top")
        s.interface("A", "stream")
        s.interface("B", "stream")
        rtl = s.build(target="rtl", overlap_runs=dice.randint(2, 4))
        agree(s, rtl, 10, seed)
        assert rtl.ends == played(rtl, 10)
        assert rtl.ends[0] == rtl.predicted_cycles
        assert rtl.predicted_interval is not None
        shared += any(rtl.design.shared.values())
    assert shared > 5


def test_runs_follow_each_other_by_the_slowest_task(many):
    """N runs take the first, and then each as long as one task, not as all three."""
    schedule = scheduled(reversed_twice, *"ijk")
    alone = schedule.build(target="rtl")
    agree(schedule, alone, 3, seed=0)
    agree(schedule, many, 10, seed=0)
    first, task = many.ends[0], N + 3
    assert many.ends == [first + k * task for k in range(10)]
    assert steady(many)
    assert first <= alone.ends[0] + 3  # a cycle in each task
    assert alone.ends[2] - alone.ends[1] > 2 * task
    agree_at_random_times(schedule, many, (1, 2, 3))


def test_the_report_says_how_often_runs_start_and_why(many):
    schedule = scheduled(reversed_twice, *"ijk")
    few = schedule.build(target="rtl", overlap_runs=2)
    found = many.report().runs
    assert (found.most, found.cycles, found.runs) == (4, N + 3, 1)
    assert found.limit == "reversed_twice_S_j_1 takes 11 cycles a run"
    line = inspect.getsourcelines(reversed_twice)[1] + 5
    assert found.loc.short == f"test_task_runs.py:{line}"
    text, data = str(many.report()), json.loads(render_json(many.report()))
    assert "cycles between runs │ 11, 4 runs at a time; reversed_twice_S_j_1 takes 11" in text
    assert data["overlap"] == {
        "runs_at_a_time": 4, "cycles": 11, "runs": 1, "limit": found.limit, "loc": found.loc.short,
    }  # fmt: skip
    agree(schedule, few, 9, seed=0)
    assert steady(few)
    found = few.report().runs
    assert (found.runs, few.predicted_interval) == (2, Fraction(found.cycles, 2))
    assert found.limit == "overlap_runs=2: more runs at a time would start more often"
    assert "16.5 on average, 33 for 2 runs, 2 runs at a time" in str(few.report())
    alone = schedule.build(target="rtl")
    assert alone.predicted_interval is None
    assert json.loads(render_json(alone.report()))["overlap"] is None


def test_what_a_later_run_would_change_is_refused():
    changes = "runs of 'kept' that overlap would change"
    with pytest.raises(IllegalScheduleError, match=changes) as it:
        scheduled(kept).build(target="rtl", overlap_runs=2)
    assert it.value.hint == (
        "'kept_last' keeps what a run leaves in it: build without overlap_runs"
    )  # fmt: skip
    with pytest.raises(ScheduleError, match="'C' is returned, and two tasks use it"):
        scheduled(returned_by_two, streams=("A", "C")).build(target="rtl", overlap_runs=2)


def test_an_argument_that_is_no_stream_is_refused_with_what_to_do():
    with pytest.raises(BuildError, match="A is no stream") as it:
        scheduled(reversed_twice, streams=("B",)).build(target="rtl", overlap_runs=2)
    assert it.value.hint.startswith('s.interface("A", "stream") makes it one')
    with pytest.raises(BuildError, match="a result is no stream, and it belongs to one run"):
        scheduled(total, streams=("A",)).build(target="rtl", overlap_runs=2)
