"""Loops that a condition ends are advised as well: iterations become as short as was told."""

import pytest
from advice_text import pasted
from agreement import check

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.advice.supposed import ITERATIONS, supposed_cycles
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.report_builder import build_report
from allo_rtl.ir.types import Stream, int32, uint8, uint16

DEVICE = "ecp5-85"


def gcd(a: uint16, b: uint16) -> uint16:
    x: uint16 = a
    y: uint16 = b
    while x != y:
        if x > y:
            x -= y
        else:
            y -= x
    return x


def horner(c: int32[4], n: uint8) -> int32:
    x: int32 = 0
    k: uint8 = 0
    while k < n:
        x = (c[0] ^ x) + (c[1] & x) + (c[2] | x)
        k += 1
    return x


def ring(n: uint8) -> int32:
    T: int32[8] = 1
    k: uint8 = 0
    while k < n:
        T[k & 7] = T[k & 7] + T[(k + 3) & 7]
        k += 1
    return T[0]


def step(x: int32) -> int32:
    return (x ^ (x << 3)) + 1


def steps(n: uint8) -> int32:
    x: int32 = 1
    k: uint8 = 0
    while k < n:
        x = step(x)
        k += 1
    return x


def bubble(A: int32[6], n: uint8) -> uint8:
    k: uint8 = 0
    while k < n:
        for i in range(5):
            if A[i] > A[i + 1]:
                t: int32 = A[i]
                A[i] = A[i + 1]
                A[i + 1] = t
        k += 1
    return k


def powers(x: int32, n: uint8) -> int32:
    r: int32 = 1
    b: int32 = x
    k: uint8 = n
    while k > 0:
        r = r * b
        b = b * b
        k -= 1
    return r


CASES = {
    "a slower clock": (gcd, "s.build", {}),
    "banks": (horner, "s.partition", {}),
    "registers": (ring, "s.partition", {}),
    "inline": (steps, "s.inline", {}),
    "unrolled": (bubble, "s.unroll", {}),
    "units": (powers, "s.build", {"mul": 1}),
}


def advice_for(name):
    kernel, _, units = CASES[name]
    found = allo.advise(allo.customize(kernel), DEVICE, 100, units)
    return next(a for a in found if a.loop == f"{kernel.__name__}:while")


def measured(name, s, options):
    """Cycles of an iteration of the hardware, whose results are compared with the evaluator's."""
    runs = []
    for n in (3, 9):
        limits = {"n": (n, n), "a": (n, n), "b": (1, 1)}
        rtl = check(s, seeds=(0,), limits=limits, simulator="pysim", device=DEVICE, **options)
        runs.append(rtl.measured_cycles)
    short, long = runs
    assert (long - short) % 6 == 0
    return (long - short) // 6, (short + long) / options["clock_mhz"]


@pytest.mark.parametrize("name", CASES)
def test_iterations_become_as_short_as_was_told(name):
    kernel, primitive, units = CASES[name]
    advice = advice_for(name)
    assert advice.edit.startswith(primitive)
    assert f"{advice.iteration[0]} -> {advice.iteration[1]} cycles an iteration" in str(advice)
    before = {"clock_mhz": 100, "units": units}
    s, after = pasted(advice, allo.customize(kernel), 100, units)
    old, slow = measured(name, allo.customize(kernel), before)
    new, fast = measured(name, s, after)
    assert (old, new) == advice.iteration
    assert fast < slow


def test_data_decide_and_runs_are_supposed():
    """The supposed run is one with so many iterations, and exact where data decide nothing."""
    s = allo.customize(horner)
    rtl = s.build(target="rtl", device=DEVICE, clock_mhz=100)
    ran = check(
        s, seeds=(0,), limits={"n": (ITERATIONS, ITERATIONS)}, simulator="pysim", device=DEVICE,
        clock_mhz=100,
    )  # fmt: skip
    assert supposed_cycles(rtl.design) == ran.measured_cycles
    [loop] = build_report(rtl.design).loops
    assert loop.certificate.reason is Reason.PORT
    assert loop.certificate.bound < loop.depth


@df.region()
def halved(A: int32[12], B: int32[12]):
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def first(a: int32[12]):
        for i in range(12):
            link.put(a[i] + 1)

    @df.kernel(mapping=[1], args=[B])
    def second(b: int32[12]):
        k: uint8 = 0
        while k < 12:
            x: int32 = link.get()
            while x > 100:
                x = x - (x >> 2)
            b[k] = x
            k += 1


def test_of_processes_that_data_keep_busy_each_is_advised():
    """How long the second takes nobody knows, so that it may be the first which is slow."""
    s = df.customize(halved)
    loops = s.build(target="rtl", device=DEVICE, clock_mhz=100).report().loops
    outer = next(x for x in loops if x.name == "while" and not x.nesting)
    assert outer.limit.endswith("; how long it takes depends on streams")
    assert "s.pipeline('first_0:i')" in [a.edit for a in allo.advise(s, DEVICE, 100)]


def two_cells(A: int32[8], n: uint8):
    k: uint8 = n
    while k > 0:
        A[k & 7] += A[(k + 1) & 7]
        k -= 1


def test_of_an_array_with_a_bank_for_each_element_no_more_banks_are_told():
    s = allo.customize(two_cells)
    s.partition(s.A, dim=1)
    [loop] = s.build(target="rtl", device=DEVICE, clock_mhz=50).report().loops
    assert loop.limit.endswith("each element has a bank already, and which is used varies")
