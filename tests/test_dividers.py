"""Dividers with several users: in turn, in loops that follow each other, and for what is left.

A divider is a pipeline where operands come fast.  Where there is time it makes its bits in turn,
and then keeps its operands until it is done.
"""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.fold import apply
from allo_rtl.hls.node import Kind
from allo_rtl.ir.types import Int, UInt, int8, int16, int32, uint32

FAST = {"device": "ecp5-85", "clock_mhz": 80}


def agree(schedule, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", **{**FAST, **options})


def dividers(rtl):
    """The dividers of a design, by their names."""
    return {name: n for name, n in rtl.report().units if "div" in name.split()}


def piped(kernel, **options):
    s = allo.customize(kernel)
    for name in options.pop("loops", "i"):
        s.pipeline(name, **options)
    return s


def both(A: int32[16], B: int32[16], C: int32[16], D: int32[16]):
    for i in range(16):
        C[i] = A[i] // B[i]
        D[i] = A[i] % B[i]


@pytest.mark.parametrize("type", [Int(4), UInt(4)], ids=str)
def test_a_node_that_makes_both_has_the_quotient_in_its_low_half(type):
    for a in range(type.min, type.max + 1):
        for b in range(type.min, type.max + 1):
            for kind, alone in ((Kind.DIVREM, Kind.DIV), (Kind.FLOORDIVREM, Kind.FLOORDIV)):
                number = apply(kind, UInt(8), (a, b))
                parts = number & 15, number >> 4
                assert [type.wrap(p) for p in parts] == [
                    apply(k, type, (a, b)) for k in (alone, Kind.REM)
                ]


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_quotient_and_its_remainder_have_one_divider(pipelined):
    rtl = agree(piped(both, loops="i" if pipelined else ""))
    assert dividers(rtl) == {f"{'' if pipelined else 'iterative '}div 32": 1}


def test_both_in_verilog_with_loops_that_share_it():
    """What several regions have is in Verilog as it is in Amaranth's simulator."""

    def again(A: int32[8], B: int32[8], C: int32[8], D: int32[8]):
        for i in range(8):
            C[i] = A[i] // B[i]
            D[i] = A[i] % B[i] if A[i] > 5 else B[i] // (A[i] | 1)
        for j in range(8):
            A[j] = D[j] % (C[j] | 1)

    rtl = check(allo.customize(again), **FAST, units={"div": 1})
    assert sum(dividers(rtl).values()) == 1


def test_other_numbers_have_another_one():
    def turned(A: int32[16], B: int32[16], C: int32[16], D: int32[16]):
        for i in range(16):
            C[i] = A[i] // B[i]
            D[i] = B[i] % A[i]

    assert dividers(agree(piped(turned))) == {"div 32": 2}


def follow(A: uint32[48], B: uint32[48], C: uint32[48]):
    for i in range(48):
        C[i] = A[i] // B[i]
    for j in range(48):
        A[j] = C[j] % B[j]


@pytest.mark.parametrize(
    ("options", "units", "name"),
    [({"loops": "ij"}, {}, "div 32"),
     ({"loops": "ij", "initiation_interval": 20}, {}, "iterative div 32"),
     ({"loops": "i"}, {"div": 1}, "div 32"), ({"loops": ""}, {"div": 1}, "iterative div 32")],
)  # fmt: skip
def test_loops_one_after_the_other_have_one_divider(options, units, name):
    """In turn where all loops leave it the time, a pipeline where one does not.

    In a loop that is not pipelined the choice of operands may take a cycle of each iteration: there
    it is done where units are limited.
    """
    assert dividers(agree(piped(follow, **options), units=units)) == {name: 1}


def two(A: uint32[12], B: uint32[12], C: uint32[12]):
    for i in range(12):
        C[i] = A[i] // B[i] + B[i] % (A[i] & B[i])


def test_a_limit_makes_them_take_turns_and_the_report_says_so():
    assert dividers(agree(piped(two))) == {"div 32": 2}
    rtl = agree(piped(two), units={"div": 1})
    [loop] = rtl.report().loops
    assert (dividers(rtl), loop.ii) == ({"div 32": 1}, 2)
    assert (loop.certificate.reason, loop.certificate.bound) == (Reason.UNIT, 2)
    assert loop.limit.startswith("div is done 2 times per iteration by 1 unit, which is as many")


def test_a_divider_that_makes_its_bits_in_turn_is_done_before_its_next_operands_come():
    long, short = (agree(piped(two, initiation_interval=n), units={"div": 1}) for n in (34, 33))
    assert dividers(long) == {"iterative div 32": 1}  # 17 cycles each
    assert dividers(short) == {"div 32": 1}
    once = agree(piped(two, loops=""), units={"div": 1})
    assert dividers(once) == {"iterative div 32": 1}
    assert once.predicted_cycles > agree(piped(two, loops="")).predicted_cycles + 12 * 16


def test_one_divider_is_for_all_widths_and_signs_where_there_is_one():
    def mixed(a: int8[12], b: uint32[12], c: int32[12], d: int32[12]):
        for i in range(12):
            d[i] = a[i] // (a[11 - i] | 1)
        for i in range(12):
            d[i] += c[i] % a[i]
        for i in range(12):
            d[i] ^= b[i] // b[11 - i]

    assert sum(dividers(agree(allo.customize(mixed))).values()) > 1
    assert dividers(agree(allo.customize(mixed), units={"div": 1})) == {"iterative div 33": 1}


def test_loops_that_run_at_once_keep_their_dividers():
    def apart(A: uint32[40], B: uint32[40], C: uint32[40], D: uint32[40]):
        for i in range(40):
            B[i] = 9999 // A[i]
        for j in range(40):
            D[j] = 8888 % C[j]

    rtl = agree(piped(apart, loops="ij"))
    assert sum(dividers(rtl).values()) == 2
    limited = agree(piped(apart, loops="ij"), units={"div": 1})
    assert sum(dividers(limited).values()) == 1
    assert limited.predicted_cycles > rtl.predicted_cycles + 40


def test_the_choice_of_operands_may_take_a_cycle():
    lines = [f"    x{n}: int16 = x{n - 1} // (x{n - 1} ^ {n + 3})" for n in range(1, 9)]
    source = ["def chain(x: int16) -> int16:", "    x0: int16 = x", *lines, "    return x8"]
    rtl = agree(allo.customize("\n".join(source)), units={"div": 1}, clock_mhz=130)
    assert sum(dividers(rtl).values()) == 1


def test_what_other_builds_know_of_numbers_follows_both():
    """The trip count of a loop is a quotient: its latency is known from the numbers."""

    def count(A: int16[20]) -> int16:
        n: int16 = 17
        rest: int16 = n % A[0]
        times: int16 = n // A[0]
        for i in range(20):
            if i < times:
                A[i] = rest
        return times

    agree(allo.customize(count))


TERMS = ("a[i] // b[i]", "a[i] % b[i]", "x // (b[i] | 1)", "b[i] % a[i]", "x % 7", "a[i] // x")


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(TERMS), min_size=1, max_size=3), st.integers(0, 3)),
        min_size=1, max_size=3,
    ),
    st.sampled_from(["uint32", "int32", "int8", "Int(20)"]),
    st.sampled_from([("ecp5-85", 60), ("ultrascale+", 143), ("gw1n-9", 30)]),
    st.sampled_from([{}, {"div": 1}, {"div": 2}]),
)  # fmt: skip
def test_random_quotients(loops, word, target, units):
    """Any quotients and remainders in any order of loops, pipelined or not."""
    lines = [f"def kernel(a: {word}[4], b: {word}[4]) -> {word}:", f"    x: {word} = 3"]
    for terms, _ in loops:
        lines += ["    for i in range(4):", f"        x = {' ^ '.join(terms)}"]
    s = allo.customize("\n".join([*lines, "    return x"]))
    for band, (_, interval) in zip([b for _, b in s.get_loops()], loops, strict=True):
        if interval:
            s.pipeline(band["i"], initiation_interval=60 * interval if interval > 1 else None)
    rtl = agree(s, device=target[0], clock_mhz=target[1], units=units)
    if units:
        assert sum(dividers(rtl).values()) <= units["div"]
