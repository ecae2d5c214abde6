"""What the advice says is what happens: every edit is pasted, and the loop is as fast as told."""

import pytest
from advice_text import delivers, pasted
from agreement import check

import allo_rtl as allo
from allo_rtl.hls.certificate import Reason
from allo_rtl.ir.types import float32, index, int8, int32, uint6

# Ports.


def window(A: int32[34], B: int32[32]):
    for i in range(32):
        B[i] = A[i] + A[i + 1] * 2 + A[i + 2]


def strided(A: int32[32], B: int32[8]):
    for i in range(8):
        B[i] = A[4 * i] + A[4 * i + 1] + A[4 * i + 2] + A[4 * i + 3]


def halves(A: int32[32], B: int32[16]):
    for i in range(16):
        B[i] = A[i] - A[i + 16]


def block(A: int32[8, 17], B: int32[4, 16]):
    for i in range(4):
        for j in range(16):
            B[i, j] = A[i, j] + A[i, j + 1] + A[i + 1, j] + A[i + 1, j + 1]


def unrolled(A: int8[16, 16], x: int8[16], y: int32[16]):
    for j in range(16):
        for i in range(16):
            y[i] += A[i, j] * x[j]


def scattered(A: int32[16], B: int32[33]):
    for i in range(16):
        B[2 * i] = A[i]
        B[2 * i + 1] = A[i] + 1


def both(A: int32[33], B: int32[33], C: int32[32]):
    for i in range(32):
        C[i] = A[i] * B[i + 1] + A[i + 1] * B[i]


def on_chip(A: int32[32], C: int32[32]):
    T: int32[34] = 0
    for i in range(32):
        T[i] = A[i] * 3
    for j in range(32):
        C[j] = T[j] + T[j + 1] + T[j + 2]


def cube(A: int32[4, 5, 6], B: int32[3, 4, 4]):
    for i, j, k in allo.grid(3, 4, 4):
        near: int32 = A[i, j, k] + A[i + 1, j, k] + A[i, j + 1, k] + A[i, j, k + 1]
        B[i, j, k] = near - A[i + 1, j + 1, k + 1]


def wide(A: int8[16, 16], B: int32[8, 8]):
    for y, x in allo.grid(8, 8):
        v: int32 = 0
        for r, c in allo.reduction(9, 9):
            v += A[y + r, x + c]
        B[y, x] = v


# Recurrences.


def rows(A: float32[8, 8], x: float32[8], y: float32[8]):
    for i in range(8):
        for j in range(8):
            y[i] += A[i, j] * x[j]


def product(A: float32[4, 4], B: float32[4, 4], C: float32[4, 4]):
    for i in range(4):
        for j in range(4):
            for k in range(4):
                C[i, j] += A[i, k] * B[k, j]


def dot(a: float32[64], b: float32[64]) -> float32:
    s: float32 = 0.0
    for i in range(64):
        s += a[i] * b[i]
    return s


def dot_in_any_order(a: float32[64], b: float32[64]) -> float32:
    s: float32 = 0.0
    for i in allo.reduction(64):
        s += a[i] * b[i]
    return s


def chained(A: int32[32]) -> int32:
    s: int32 = 0
    for i in range(32):
        s = ((s ^ A[i]) * 5 + 7) ^ (s >> 3)
    return s


def histogram(at: uint6[64], bins: float32[64]):
    for i in range(64):
        bins[at[i]] += 0.5


# Not pipelined.


def plain(A: int32[32], B: int32[32]):
    for i in range(32):
        B[i] = A[i] * 3


def windowed():
    s = allo.customize(window)
    s.pipeline("i")
    return s


def lanes():
    s = allo.customize(unrolled)
    s.unroll("i", 4)
    s.pipeline("i")
    return s


def pipelined(kernel, loop):
    s = allo.customize(kernel)
    s.pipeline(loop)
    return s


CORPUS = {
    "window": (windowed, 100),
    "strided": (lambda: pipelined(strided, "i"), 50),
    "halves": (lambda: pipelined(halves, "i"), 50),
    "block": (lambda: pipelined(block, "j"), 50),
    "cube": (lambda: pipelined(cube, "k"), 50),
    "wide": (lambda: pipelined(wide, "x"), 50),
    "lanes": (lanes, 50),
    "scattered": (lambda: pipelined(scattered, "i"), 50),
    "both": (lambda: pipelined(both, "i"), 50),
    "on_chip": (lambda: pipelined(on_chip, "j"), 50),
    "rows": (lambda: pipelined(rows, "j"), 100),
    "product": (lambda: pipelined(product, "k"), 100),
    "dot": (lambda: pipelined(dot, "i"), 100),
    "dot_in_any_order": (lambda: pipelined(dot_in_any_order, "i"), 100),
    "chained": (lambda: pipelined(chained, "i"), 120),
    "histogram": (lambda: pipelined(histogram, "i"), 100),
    "plain": (lambda: allo.customize(plain), 50),
}


@pytest.mark.parametrize("name", CORPUS)
def test_every_advice_delivers(name):
    make, clock = CORPUS[name]
    advices = allo.advise(make(), "ecp5-85", clock)
    assert advices, "each of these loops can be faster"
    for advice in advices:
        assert delivers(advice, make, "ecp5-85", clock)
        (before, after), slow = advice.interval, advice.limit != "one iteration a cycle"
        assert not slow or before is None or after < before


@pytest.mark.parametrize("name", ["block", "scattered", "product", "window", "cube", "wide"])
def test_advised_schedules_compute_the_same(name):
    make, clock = CORPUS[name]
    [advice] = allo.advise(make(), "ecp5-85", clock)
    s, options = pasted(advice, make(), clock)
    check(s, original=make().module, seeds=(0,), simulator="pysim", device="ecp5-85", **options)


def test_loops_of_one_name_are_told_apart():
    def two(A: int32[18], B: int32[16], C: int32[16]):
        for i in range(16):
            B[i] = A[i] * 3
        for i in range(16):
            C[i] = A[i] + 5

    first, second = allo.advise(allo.customize(two))
    assert first.edit == "s.pipeline('S_i_0.i')"
    assert second.edit == "s.pipeline('S_i_1.i')"
    s = allo.customize(two)
    for advice in (first, second):
        exec(advice.edit, {"s": s})
    assert [advice.edit.partition(", ")[0] for advice in allo.advise(s)] == [
        "s.unroll('S_i_0.i'",
        "s.unroll('S_i_1.i'",
    ]


def test_the_schedule_itself_stays_as_it_is():
    s = windowed()
    module, history = s.module, s.history()
    allo.advise(s)
    assert (s.module, s.history()) == (module, history)


def test_there_is_no_advice_where_no_units_are_left_or_for_what_was_asked_for():
    def squares(A: int32[32], B: int32[32]):
        for i in range(32):
            B[i] = A[i] * A[i]

    assert allo.advise(pipelined(squares, "i"), "ecp5-85", 50, units={"mul": 1}) == ()
    s = allo.customize(window)
    s.pipeline("i", initiation_interval=3)
    assert allo.advise(s) == ()


def test_changes_that_do_not_deliver_are_not_told():
    """Three words anywhere: no partition keeps them apart, and no order of one loop helps."""

    def anywhere(A: int32[16], at: index[16], B: int32[16]):
        for i in range(16):
            B[i] = A[at[i]] + A[15 - at[i]] + A[i]

    assert allo.advise(pipelined(anywhere, "i")) == ()


def test_a_promise_says_what_has_to_be_true():
    make, clock = CORPUS["histogram"]
    [advice] = allo.advise(make(), "ecp5-85", clock)
    assert advice.promise == "no two iterations of i touch the same cell of bins"
    assert str(advice).splitlines()[1:] == [
        "  s.assume_independent('bins', 'i')",
        f"  II {advice.interval[0]} -> 1, {advice.latency[0]} -> {advice.latency[1]} cycles",
        "  if no two iterations of i touch the same cell of bins",
    ]


def test_no_promise_is_told_that_cannot_be_kept():
    """Counters choose the cells: iterations do meet, whatever the data."""

    def both(A: int32[17], B: int32[16]):
        for i in range(16):
            if B[i] > 0:
                A[i + 1] = A[i] + B[i]
            else:
                A[i + 1] = A[i] - 4

    assert not any(a.promise for a in allo.advise(pipelined(both, "i")))


@pytest.mark.parametrize("name", [n for n in CORPUS if n != "plain"])
def test_certificates_add_up(name):
    """The steps around a recurrence take the interval; a port has an access for each cycle."""
    make, clock = CORPUS[name]
    report = make().build(target="rtl", device="ecp5-85", clock_mhz=clock).report()
    [loop] = [x for x in report.loops if (x.ii or 1) > 1]
    proof = loop.certificate
    assert proof.bound == loop.ii
    assert proof.text == loop.limit
    taken, distance = sum(s.cycles for s in proof.steps), sum(s.distance for s in proof.steps)
    if proof.reason is Reason.RECURRENCE:
        assert -(-taken // distance) == loop.ii
    else:
        ports = 2 if "two ports" in proof.text else 1
        assert (proof.reason, taken) == (Reason.PORT, len(proof.steps))
        assert -(-taken // ports) == loop.ii
    assert all(step.loc and step.loc.file == __file__ for step in proof.steps)


def test_windows_are_advised_where_they_need_no_more_memories():
    assert allo.advise(windowed())[0].edit == "s.reuse_at('A', 'i')"
    make, clock = CORPUS["wide"]
    [advice] = allo.advise(make(), "ecp5-85", clock)  # 81 words would be in 256 banks
    assert [call.partition("(")[0] for call in advice.edit.split("; ")] == ["s.reuse_at"] * 2
    assert advice.interval == (81, 1)


def test_three_dimensions_are_partitioned_where_two_are_not_enough():
    make, clock = CORPUS["cube"]
    [advice] = allo.advise(make(), "ecp5-85", clock)
    assert [f"dim={n}" in advice.edit for n in (1, 2, 3)] == [True] * 3
    assert advice.interval == (5, 1)


def test_units_that_were_limited_are_told():
    def powers(A: int32[16], B: int32[16]):
        for i in range(16):
            B[i] = A[i] * A[i] * A[i] * A[i]

    s = pipelined(powers, "i")
    [advice] = allo.advise(s, "ecp5-85", 50, units={"mul": 1})
    options = "device=\"ecp5-85\", clock_mhz=50, units={'mul': 3}"
    assert advice.edit == f's.build(target="rtl", {options})'
    assert advice.interval == (3, 1)
    rtl = s.build(target="rtl", device="ecp5-85", clock_mhz=50, units={"mul": 3})
    assert rtl.predicted_cycles == advice.latency[1]
