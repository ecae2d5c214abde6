"""Loops over streams are pipelines that stop by themselves: they drain, and lose no cycle."""


import numpy as np
import pytest

import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32
from allo_rtl.sim.stalls import Stalls

N = 64


@df.region()
def filtered(n: int32, A: int32[N], B: int32[N], C: int32[2]):
    """Some values are left out, the others squared, stored and summed up."""
    s: Stream[int32, 4]
    t: Stream[int32, 4]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(n):
            s.put(a[i])
        s.close()

    @df.kernel(mapping=[1])
    def square():
        for x in s:
            if x % 4 != 0:
                t.put(x * x)
        t.close()

    @df.kernel(mapping=[1], args=[B, C])
    def take(b: int32[N], c: int32[2]):
        i: int32 = 0
        total: int32 = 0
        for x in t:
            b[i] = x
            total += x
            i += 1
        c[0] = total
        c[1] = i


def expected(a):
    kept = a[a % 4 != 0] ** 2
    return np.pad(kept, (0, N - len(kept))), [kept.sum(), len(kept)]


@pytest.fixture(scope="module")
def fast():
    """With a multiplier of several stages, so that iterations are under way when the end comes."""
    return df.customize(filtered, opt_default=True).build(target="rtl", clock_mhz=200)


def test_each_loop_starts_an_iteration_a_cycle(fast):
    found = {(p.name, p.ii) for p in fast.report().loops}
    assert found == {("i", 1), ("s", 1), ("t", 1)}
    assert max(p.depth for p in fast.report().loops) > 3


def test_what_is_under_way_when_the_end_comes_is_finished(fast):
    a = np.arange(N, dtype=np.int32) * 3 + 1
    cycles = []
    for n in (0, 1, 2, 3, N // 2, N):
        b, c = np.zeros(N, np.int32), np.zeros(2, np.int32)
        fast(n, a, b, c)
        assert (b == expected(a[:n])[0]).all()
        assert c.tolist() == expected(a[:n])[1]
        cycles.append(fast.measured_cycles)
    assert cycles[-1] - cycles[-2] == N // 2
    assert cycles[0] < 30


@df.region()
def mixed(A: int32[N], B: int32[N], C: int32[1]):
    """A sum of products that waits for itself; and a loop that takes from a second stream, too."""
    s: Stream[int32, 2]
    t: Stream[int32, 2]
    u: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(N):
            x: int32 = a[i]
            s.put(x)
            t.put(x + 5)
        s.close()

    @df.kernel(mapping=[1])
    def both():
        total: int32 = 1
        for x in s:
            total = total * 3 + x
            u.put(total + t.get())
        u.close()

    @df.kernel(mapping=[1], args=[B, C])
    def take(b: int32[N], c: int32[1]):
        i: int32 = 0
        for x in u:
            b[i] = x
            i += 1
        for y in u:
            c[0] += y
        c[0] += i


def test_the_body_decides_how_fast_it_can_be_and_stalls_change_nothing():
    s = df.customize(mixed, opt_default=True)
    s.interface("A", "stream")
    rtl = s.build(target="rtl", clock_mhz=150)
    intervals = [(p.name, p.ii) for p in rtl.report().loops]
    assert ("u", 1) in intervals
    assert ("s", 1) not in intervals
    a = np.arange(N, dtype=np.int32) - 20
    total, kept = 1, []
    for x in a.tolist():
        total = total * 3 + x
        kept.append((total + x + 5 + 2**31) % 2**32 - 2**31)
    for seed in range(4):
        rtl.stalls = Stalls(seed=seed, percent=[1, 30, 60, 90][seed])
        b, c = np.zeros(N, np.int32), np.zeros(1, np.int32)
        rtl(a, b, c)
        assert b.tolist() == kept
        assert c[0] == N
    b, c = np.zeros(N, np.int32), np.zeros(1, np.int32)
    s.build()(a, b, c)
    assert b.tolist() == kept


def test_a_while_loop_that_a_value_ends_is_one_as_well():
    @df.region()
    def until_zero(A: int32[N], C: int32[1]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[N]):
            for i in range(N):
                s.put(a[i])

        @df.kernel(mapping=[1], args=[C])
        def take(c: int32[1]):
            x: int32 = 1
            while x != 0:
                x = s.get()
                c[0] += x

    rtl = df.customize(until_zero, opt_default=True).build(target="rtl")
    assert {p.name: p.ii for p in rtl.report().loops} == {"i": 1, "s": 1}
    a = np.arange(N, dtype=np.int32)[::-1].copy()
    c = np.zeros(1, np.int32)
    rtl(a, c)
    assert c[0] == a.sum()
