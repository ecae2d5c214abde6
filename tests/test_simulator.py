"""The simulator of regions: compiled processes do what the evaluator does, step by step."""

import numpy as np
import pytest
from stream_networks import Network

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl import pipeline
from allo_rtl.errors import AlloError, AssertionFailed, Deadlock
from allo_rtl.ir.types import Int, Stream, UInt, float32, int32
from allo_rtl.sim.simulator import SimulatorModule

N = 8


def outcome(module, args):
    """(what the arrays hold after a run, what was said of a deadlock)."""
    try:
        module(*args)
    except Deadlock as deadlock:
        return None, (deadlock.message, deadlock.hint)
    return [a.tolist() for a in args], None


def compare(module, make_args):
    """That the evaluator and the simulator end alike; how."""
    expected = outcome(pipeline.build_evaluator(module), make_args())
    simulator = pipeline.build_simulator(module)
    assert isinstance(simulator, SimulatorModule)
    for _ in range(2):  # and a second time
        assert outcome(simulator, make_args()) == expected
    return expected


def network_args(module):
    return [np.arange(a.type.size, dtype=np.int16) for a in module.top_func.args]


@pytest.mark.parametrize("seeds", [range(8), range(8, 16)])
def test_random_networks(seeds):
    """Those that end have one result; those that do not say the same, and the same depths."""
    found = []
    for seed in seeds:
        module = Network(seed, False).module()
        found.append(compare(module, lambda m=module: network_args(m)))
    assert any(deadlock for _, deadlock in found)
    assert any(results for results, _ in found)


@pytest.mark.long
def test_many_random_networks():
    for seed in range(100, 250):
        module = Network(seed, False).module()
        compare(module, lambda m=module: network_args(m))


@df.region()
def looking(A: int32[N], B: int32[N]):
    """What is found empty or full depends on the order of steps, which is the evaluator's."""
    s: Stream[int32, 2]
    t: Stream[int32, 1]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        missed: int32 = 0
        i: int32 = 0
        while i < N:
            ok = s.try_put(i * 3)
            if ok:
                i += 1
            else:
                missed += 1
        a[0] = missed
        for j in range(N - 1):
            a[j + 1] = t.get()

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        i: int32 = 0
        misses: int32 = 0
        while i < N:
            x, ok = s.try_get()
            if ok:
                b[i] = x
                i += 1
            else:
                misses += 1
        for j in range(N - 1):
            while t.full():
                misses += 1
            t.put(misses + j)


def test_looks_at_streams_find_what_the_evaluator_finds():
    results, _ = compare(
        df.customize(looking).module, lambda: [np.zeros(N, np.int32) for _ in range(2)]
    )
    assert results[1] == [3 * i for i in range(N)]


@pytest.mark.filterwarnings("ignore::allo_rtl.errors.DTypeWarning")
@pytest.mark.parametrize("type", [UInt(1), Int(7), UInt(64), Int(65), UInt(200), float32])
def test_streams_of_every_width(type):
    @df.region()
    def copy(A: type[N], B: type[N]):
        s: Stream[type, 3]

        @df.kernel(mapping=[1], args=[A])
        def give(a: type[N]):
            for i in range(N):
                s.put(a[i])

        @df.kernel(mapping=[1], args=[B])
        def take(b: type[N]):
            for i in range(N):
                b[i] = s.get()

    if type == float32:
        a = np.linspace(-2, 2, N).astype(np.float32)
    else:
        span = type.max - type.min + 1
        a = np.array([type.min + 7**60 * (i + 1) % span for i in range(N)], object)
    b = np.zeros_like(a)
    df.build(copy)(a, b)
    assert b.tolist() == a.tolist()


@df.region()
def inner(X: int32[N], Y: int32[N], k: int32):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[X])
    def read(x: int32[N]):
        for i in range(N):
            s.put(x[i] * k)

    @df.kernel(mapping=[1], args=[Y])
    def write(y: int32[N]):
        for i in range(N):
            y[i] = s.get() + 1


@df.region()
def two_levels(A: int32[N], B: int32[N], C: int32[N], D: int32[N]):
    """Small arrays of processes that wait are used by processes inside."""

    @df.kernel(mapping=[1], args=[A, B])
    def first(a: int32[N], b: int32[N]):
        x: int32[N] = 0
        y: int32[N] = 0
        for i in range(N):
            x[i] = a[i] + 5
        for _ in range(3):
            inner(x, y, 2)
            for j in range(N):
                x[j] = y[j]
        for m in range(N):
            b[m] = x[m]

    @df.kernel(mapping=[1], args=[C, D])
    def second(c: int32[N], d: int32[N]):
        x: int32[N] = 0
        for i in range(N):
            x[i] = c[i] - 9
        inner(x, d, 10)


def test_arrays_of_a_process_are_there_while_it_waits():
    a, c = np.arange(N, dtype=np.int32), np.arange(N, dtype=np.int32) * 7
    b, d = np.zeros(N, np.int32), np.zeros(N, np.int32)
    df.build(two_levels)(a, b, c, d)
    assert b.tolist() == [8 * (x + 5) + 7 for x in a.tolist()]
    assert d.tolist() == [10 * (x - 9) + 1 for x in c.tolist()]


def test_a_kernel_may_call_a_region():
    def twice(A: int32[N], B: int32[N]) -> int32:
        middle: int32[N] = 0
        inner(A, middle, 3)
        inner(middle, B, 2)
        return B[0]

    simulator = allo.customize(twice).build(target="simulator")
    assert isinstance(simulator, SimulatorModule)
    b = np.zeros(N, np.int32)
    assert simulator(np.arange(N, dtype=np.int32), b) == 3
    assert b.tolist() == [2 * (3 * x + 1) + 1 for x in range(N)]


@df.region()
def failing(A: int32[N], B: int32[N], at: int32):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(N):
            assert a[i] < 100, "small"
            s.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        for i in range(N):
            b[i + at] = s.get()
            print("took", b[i + at])


def test_errors_in_processes_end_the_run(capsys):
    """The others end too, no argument is changed, and the next run is as good as the first."""
    simulator = df.build(failing)
    a, b = np.arange(N, dtype=np.int32), np.zeros(N, np.int32)
    with pytest.raises(AlloError, match=r"b\[8\] is out of range"):
        simulator(a, b, 1)
    assert not b.any()
    a[5] = 100
    with pytest.raises(AssertionFailed, match="small"):
        simulator(a, b, 0)
    a[5] = 5
    capsys.readouterr()
    simulator(a, b, 0)
    assert b.tolist() == a.tolist()
    said = capsys.readouterr().out
    df.build(failing, target="evaluator")(a, b, 0)
    assert capsys.readouterr().out == said
    assert said.count("took") == N


def test_a_region_in_a_loop_with_streams_that_grow():
    @df.region()
    def reorder(A: int32[64], B: int32[64]):
        s: Stream[int32]
        total: Stream[int32]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[64]):
            t: int32 = 0
            for i in range(64):
                s.put(a[i])
                t += a[i]
            total.put(t)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[64]):
            t: int32 = total.get()
            for i in range(64):
                b[i] = s.get() + (t - t)

    def kernel(A: int32[64], B: int32[64]):
        for _ in range(3):
            reorder(A, B)
            for i in range(64):
                A[i] = B[i] + 1

    a, b = np.arange(64, dtype=np.int32), np.zeros(64, np.int32)
    allo.customize(kernel).build()(a, b)
    assert b.tolist() == [x + 2 for x in range(64)]


def test_the_evaluator_is_there_still():
    assert type(df.build(looking, target="evaluator")).__name__ == "ReferenceModule"
    assert isinstance(df.build(looking), SimulatorModule)
