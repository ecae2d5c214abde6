"""For each kind of limit there is a change that lifts it: what is told, and that it delivers."""

import pytest
from advice_text import delivers, pasted
from agreement import check

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Partition, Stream, int32
from examples.polybench import kernels, sizes

DEVICE = "ecp5-85"

# An iteration a cycle: more of them at once.


def squares(A: int32[32], B: int32[32]):
    for i in range(32):
        B[i] = A[i] * A[i] + A[i]


def powers(A: int32[12, 8], B: int32[12, 8]):
    for i in range(12):
        for k in range(8):
            B[i, k] = (B[i, k] ^ A[i, k]) * A[i, k]


# A recurrence that no other order of the loops stretches, for bounds depend on the outer one.


def triangle(A: int32[16, 16], x: int32[16], y: int32[16]):
    for i in range(16):
        for j in range(i + 1):
            y[i] += A[i, j] * x[j]


# Loops inside of others.


def scaled_rows(A: int32[8, 8], x: int32[8], y: int32[8]):
    for i in range(8):
        v: int32 = 0
        for j in range(8):
            v += A[i, j] * x[j]
        y[i] = v * 3


def atax(A: int32[8, 8], x: int32[8], y: int32[8]):
    for i in range(8):
        t: int32 = 0
        for j in range(8):
            t += A[i, j] * x[j]
        for k in range(8):
            y[k] += A[i, k] * t


def rounds(A: int32[4], B: int32[4], y: int32[6]):
    for i in range(6):
        for j in range(4):
            A[j] = (A[j] ^ B[j]) + y[i]
        for k in range(4):
            B[k] = (B[k] ^ A[3 - k]) + 1


def solve(alpha: int32, A: int32[8, 8], B: int32[8, 12]):
    for i in range(8):
        for j in range(12):
            v: int32 = B[i, j]
            for k in range(i + 1, 8):
                v += A[k, i] * B[k, j]
            B[i, j] = v * alpha


# Loops that follow each other, and calls.


def two_products(A: int32[8, 8], B: int32[8, 8], x: int32[8], y: int32[8]):
    for j in range(8):
        for i in range(8):
            x[i] += A[i, j] * x[i]
    for n in range(8):
        for m in range(8):
            y[m] += B[m, n] * y[m]


def root(n: int32) -> int32:
    r: int32 = 0
    for b in range(8):
        if (r + 8 - b) * (r + 8 - b) <= n:
            r += 8 - b
    return r


def lengths(A: int32[6, 4], B: int32[7]):
    for i in range(6):
        v: int32 = B[i]
        for j in range(4):
            v = (v ^ A[i, j]) * 3
        B[i + 1] = root(v)


def scheduled(kernel, *loops, unroll=None):
    """A schedule anew each time; of an unrolled loop the arrays are in banks."""

    def make():
        s = allo.customize(kernel)
        if unroll:
            s.unroll(*unroll)
            for array in "AB":
                s.partition(array, Partition.Cyclic, dim=2, factor=unroll[1])
        for loop in loops:
            s.pipeline(loop)
        return s

    return make


CASES = {
    "copies": (scheduled(squares, "i"), "squares:i", {}, "unroll partition partition"),
    "copies, with units left": (
        scheduled(squares, "i"), "squares:i", {"mul": 2}, "unroll partition partition",
    ),
    "rows": (
        scheduled(powers, "k", unroll=("k", 2)), "powers:k", {},
        "split reorder pipeline partition partition",
    ),
    "buffer": (scheduled(triangle, "j"), "triangle:j", {}, "buffer_at"),
    "rewind": (scheduled(scaled_rows, "j"), "scaled_rows:i", {}, "pipeline"),
    "distribute": (scheduled(atax, "j", "k"), "atax:i", {}, "reorder pipeline"),
    "distribute a nest": (
        scheduled(solve, "k"), "solve:j", {}, "reorder pipeline pipeline pipeline",
    ),
    "whole": (
        scheduled(rounds, "j", "k"), "rounds:i", {}, "pipeline partition partition",
    ),
    "at once": (
        scheduled(two_products, "i", "m"), "two_products:i", {}, "overlap",
    ),
    "inline": (scheduled(lengths, "j", "root:b"), "lengths:i", {}, "inline"),
}  # fmt: skip


def advice_for(name):
    make, loop, units, _ = CASES[name]
    [found] = [a for a in allo.advise(make(), DEVICE, 100, units=units) if a.loop == loop]
    return found


@pytest.mark.parametrize("name", CASES)
def test_each_limit_has_a_change_that_delivers(name):
    make, _, units, primitives = CASES[name]
    advice = advice_for(name)
    text = advice.edit.rpartition(": ")[2]
    assert [c.partition("(")[0] for c in text.split("; ")] == [f"s.{p}" for p in primitives.split()]
    assert delivers(advice, make, DEVICE, 100, units)


@pytest.mark.parametrize("name", ["rows", "buffer", "distribute a nest", "whole"])
def test_the_hardware_with_it_computes_the_same(name):
    make, _, units, _ = CASES[name]
    s, options = pasted(advice_for(name), make(), 100, units)
    check(s, original=make().module, seeds=(0,), simulator="pysim", device=DEVICE, **options)


# Full FIFOs: the depth where it was given.


@df.region()
def crossing(A: int32[32], B: int32[32]):
    s: Stream[int32, 2]
    t: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: int32[32]):
        for i in range(8):
            for j in range(4):
                s.put(a[i * 4 + j])
            for k in range(4):
                t.put(a[i * 4 + k])

    @df.kernel(mapping=[1], args=[B])
    def consume(b: int32[32]):
        for i in range(8):
            for j in range(4):
                b[i * 4 + j] = t.get() + s.get()


def fork(A: int32[8], B: int32[8]):
    mid: int32[8]
    side: int32[8]
    for i in range(8):
        mid[i] = A[i] * 3
        side[i] = A[i] + 1
    last: int32[8]
    for i in range(8):
        last[i] = mid[i] - 5
    for i in range(8):
        B[i] = last[i] + side[i]


def tasks():
    s = allo.customize(fork)
    for band in ("S_i_0", "S_i_1", "S_i_2"):
        s.pipeline(f"{band}.i")
    s.dataflow("fork")
    for array, reader, depth in (("mid", 1, 2), ("last", 2, 2), ("side", 2, 1)):
        s.to(array, f"S_i_{reader}", depth=depth)
    return s


def test_fifos_that_tasks_made_are_deeper_in_the_schedule():
    advice = allo.advise(tasks(), DEVICE, 100)[-1]
    assert (advice.loop, advice.limit) == ("fork", "7 cycles are lost to full FIFOs")
    s, options = pasted(advice, tasks(), 100)
    times = [x.build(target="rtl", device=DEVICE, **options) for x in (tasks(), s)]
    assert advice.latency == tuple(rtl.predicted_cycles for rtl in times)
    assert advice.latency[0] - advice.latency[1] == 7


def test_fifos_of_a_kernel_that_deadlock_are_deeper_in_its_text():
    advice = allo.advise(df.customize(crossing), DEVICE, 100)[-1]
    assert (advice.edit, advice.limit) == (
        "s: Stream[int32, 4]", "the processes wait for each other",
    )  # fmt: skip
    assert advice.latency[0] is None
    assert "- -> " in str(advice)


# One advice after the other.

SHORT = ("gesummv",)


@pytest.mark.parametrize(
    "name",
    [n if n in SHORT else pytest.param(n, marks=pytest.mark.long) for n in sizes.TINY],
)
def test_kernels_as_written_become_fast(name):
    """Each advice is followed as long as there is one; nothing but the cycles changes."""
    s = allo.customize(getattr(kernels, name), instantiate=list(sizes.TINY[name]))
    first, told = None, 0
    for _ in range(8):
        cycles = s.build(target="rtl", device=DEVICE, clock_mhz=100).predicted_cycles
        first = first or cycles
        assert told in (0, cycles)
        found = [a for a in allo.advise(s, DEVICE, 100) if a.schedule and not a.promise]
        found = [a for a in found if a.clock_mhz == (100, 100)]
        if not found:
            break
        best = min(found, key=lambda a: a.latency[1])
        s, told = best.schedule, best.latency[1]
    assert cycles * 5 < first
    rtl = check(s, seeds=(0,), simulator="pysim", device=DEVICE, clock_mhz=100)
    assert rtl.predicted_cycles == cycles
