"""Loops that have nothing to do with each other run at the same time without being told to."""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.ir.types import float32, int32, uint32


def built(schedule, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(
        schedule, simulator="pysim", **{"device": "ecp5-85", "clock_mhz": 80, **options}
    )


def together(rtl):
    """The loops that run at the same time, as the report says."""
    notes = [n for n in rtl.report().notes if n.endswith("run at the same time")]
    return [
        [name.split(" (")[0] for name in n.split("loops ")[1].split(" run at")[0].split(", ")]
        for n in notes
    ]


def piped(kernel):
    s = allo.customize(kernel)
    for _, band in s.get_loops():
        s.pipeline(list(band.loops.values())[-1])
    return s


def copies(A: int32[8], B: int32[12], C: int32[8]):
    a: int32[8]
    b: int32[12]
    for i in range(8):
        a[i] = A[i]
    for j in range(12):
        b[j] = B[j]
    for k in range(8):
        C[k] = a[k] + b[k]


def test_copies_take_as_long_as_the_longest():
    s = piped(copies)
    first, apart = built(s), built(s, overlap=False)
    assert together(first) == [["i", "j"]]
    assert together(apart) == []
    i, j, k = (x.latency for x in first.report().loops)
    assert apart.predicted_cycles == i + j + k
    assert first.predicted_cycles == max(i, j) + k


def test_it_is_what_overlap_says():
    s = piped(copies)
    cycles = built(s).predicted_cycles
    s.overlap("i", "j")
    assert built(s, overlap=False).predicted_cycles == cycles


APART = {
    "stores to what the other reads": "b[j] = a[j]",
    "stores to the same array": "a[j] = 1",
    "reads what the other does": "c[j] = x[j]",
    "prints": "print(j)",
    "asserts": "assert b[j] != 71003",
    "adds to the same sum": "total += b[j]",
    "needs a multiplier": "b[j] = b[j] * b[j]",
}


@pytest.mark.parametrize("line", APART.values(), ids=list(APART))
def test_loops_stay_apart(line):
    s = allo.customize("\n".join([
        "def kernel(a: int32[6], b: int32[6], c: int32[6], x: int32[6]) -> int32:",
        "    total: int32 = 0",
        "    for i in range(6):", "        a[i] = x[i] * x[i]", "        total += a[i]",
        "    for j in range(6):", f"        {line}",
        "    return total",
    ]))  # fmt: skip
    rtl = built(s)
    assert together(rtl) == []
    units = [n for name, n in rtl.report().units if name.startswith("mul")]
    assert units == [1]


def test_what_stands_between_goes_with_the_second_loop():
    def kernel(a: int32[6], b: int32[6], n: int32) -> int32:
        for i in range(6):
            a[i] = a[i] + 1
        total: int32 = 7
        end: int32 = n & 3
        y: int32[6] = 0
        for j in range(end + 1):
            y[j] = b[j]
            total += b[j]
        for k in range(6):
            b[k] = y[k] + total
        return total

    s = piped(kernel)
    rtl = built(s)
    assert together(rtl) == [["i", "j"]]
    assert rtl.predicted_cycles is None


def test_what_the_first_loop_leaves_keeps_the_second_one_waiting():
    def kernel(a: int32[6], b: int32[6]):
        last: int32 = 0
        for i in range(6):
            last = a[i]
        n: int32 = last & 3
        for j in range(n + 1):
            b[j] = 5

    assert together(built(piped(kernel))) == []


def test_registers_that_both_read_are_in_nobodys_way():
    def kernel(x: int32[4], a: int32[6], b: int32[6]):
        w: int32[4]
        for h in range(4):
            w[h] = x[h]
        for i in range(6):
            a[i] = a[i] + w[0]
        for j in range(6):
            b[j] = b[j] - w[0] + w[3]

    s = piped(kernel)
    assert together(built(s)) == []
    s.partition("w")
    assert together(built(s)) == [["i", "j"]]


def test_inside_of_loops_and_conditions():
    def kernel(a: int32[3, 5], b: int32[3, 4], c: int32) -> int32:
        for r in range(3):
            for i in range(5):
                a[r, i] = a[r, i] + r
            for j in range(4):
                b[r, j] = b[r, j] - r
        if c > 0:
            for k in range(5):
                a[0, k] = c
            for m in range(4):
                b[0, m] = c
        return a[0, 0] + b[0, 0]

    rtl = built(allo.customize(kernel))
    assert sorted(together(rtl)) == [["i", "j"], ["k", "m"]]


def test_three_loops_and_a_call():
    def helper(v: int32[4]):
        for h in range(4):
            v[h] = v[h] + 1

    def kernel(a: int32[4], b: int32[5], c: int32[6], d: int32[4]):
        for i in range(4):
            a[i] = 1
        for j in range(5):
            b[j] = 2
        for k in range(6):
            c[k] = 3
        helper(d)
        for m in range(4):
            a[m] = a[m] + d[m]
        for n in range(5):
            b[n] = b[n] * 3

    assert together(built(allo.customize(kernel))) == [["i", "j", "k"], ["m", "n"]]


def test_units_are_no_more_than_without():
    def kernel(a: float32[6], b: float32[6], c: uint32[6], d: uint32[6]):
        for i in range(6):
            a[i] = a[i] * 3.0
        for j in range(6):
            b[j] = b[j] * 5.0
        for k in range(6):
            c[k] = c[k] * c[k]
        for m in range(6):
            d[m] = d[m] * d[m]

    s = piped(kernel)
    rtl = built(s)
    assert rtl.report().units == built(s, overlap=False).report().units
    assert together(rtl) == [["j", "k"]]


STATEMENTS = (
    "{x}[i] = {x}[i] + {k}", "{x}[i] = {y}[i] ^ {k}", "s += {x}[i]", "t = {x}[i] * {k}",
    "{x}[{k}] = s", "{x}[i] = {x}[i] * {y}[i]", "u = {y}[i] - u",
)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_sequences_of_loops(data):
    """Any loops over a few arrays and variables, with statements and loops around some."""
    draw = data.draw
    lines = ["def kernel(a: int32[5], b: int32[5], c: int32[5], n: int32) -> int32:",
             "    d: int32[5] = 0"]  # fmt: skip
    lines += [f"    {v}: int32 = {k}" for k, v in enumerate("stu")]
    indent = "    "
    for k in range(draw(st.integers(2, 5))):
        if k == 1 and draw(st.booleans()):
            lines.append("    for r in range(2):")
            indent = "        "
        name, other = draw(st.sampled_from("abcd")), draw(st.sampled_from("abcd"))
        if draw(st.integers(0, 3)) == 0:
            lines.append(f"{indent}{draw(st.sampled_from('stu'))} += {k + 1}")
        end = draw(st.sampled_from(["5", "3", "(n & 3) + 1", "(s & 3) + 1"]))
        lines.append(f"{indent}for i in range({end}):")
        lines.append(
            f"{indent}    " + draw(st.sampled_from(STATEMENTS)).format(x=name, y=other, k=k)
        )
    lines.append("    return s + t + u + d[1]")
    s = allo.customize("\n".join(lines))
    if draw(st.booleans()):
        s.partition("d")
    rtl = built(s)
    alone = s.build(target="rtl", device="ecp5-85", clock_mhz=80, overlap=False)
    assert rtl.report().units == alone.report().units
    if rtl.predicted_cycles is not None:
        assert rtl.predicted_cycles <= alone.predicted_cycles
