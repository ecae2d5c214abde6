"""Integer sums of unrolled loops are balanced trees in hardware, and come out the same."""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.ir.types import Partition, int8, int32


def agree(schedule, clock_mhz=60):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", device="ecp5-85", clock_mhz=clock_mhz)


def dot(a: int8[32], b: int8[32]) -> int32:
    total: int32 = 7
    for i in range(32):
        total += a[i] * b[i]
    return total


@pytest.mark.parametrize("lanes", [4, 8])
def test_the_sum_that_an_iteration_waits_for_is_one_addition(lanes):
    """However many terms an iteration has, at a clock that has room for few additions in a row."""
    s = allo.customize(dot)
    s.unroll("i", lanes)
    s.pipeline("i")
    for array in ("a", "b"):
        s.partition(array, Partition.Cyclic, factor=lanes)
    (loop,) = agree(s, clock_mhz=150).report().loops
    assert loop.ii == 1
    assert loop.depth <= 4 + 2 * lanes.bit_length()


def test_differences_are_added_up_apart():
    def kernel(a: int32[4], y: int32[2]):
        y[0] += a[0]
        y[0] -= a[1]
        y[0] += a[2]
        y[1] -= a[1]
        y[0] -= a[3]
        y[1] -= a[2]

    agree(allo.customize(kernel))


def test_what_looks_at_a_sum_in_between_sees_it():
    def kernel(a: int32[6], y: int32[2], z: int32[2], at: int32):
        y[0] += a[0]
        y[0] += a[1]
        z[0] = y[0]
        y[0] += a[2]
        y[at & 1] = 5
        y[0] += a[3]
        y[0] += y[0]
        y[0] += a[4]
        if a[5] > 0:
            y[0] += a[5]
        y[0] += a[4]
        z[1] = y[at & 1]

    s = allo.customize(kernel)
    agree(s)


LINES = (
    "y[0] += a[{n}]", "y[1] += a[{n}]", "y[0] -= a[{n}]", "y[0] *= a[{n}]", "y[0] ^= a[{n}]",
    "y[0] += y[1]", "y[a[{n}] & 1] += a[0]", "y[0] = a[{n}]", "a[{n}] += y[0]", "a[0] += a[{n}]",
    "if a[{n}] > 3:\n        y[0] += 1", "y[0] = min(y[0], a[{n}])", "y[0] |= a[{n}]",
)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 3)), min_size=2, max_size=10),
       st.sampled_from(["int8", "int32", "UInt(5)", "Fixed(9, 3)"]))  # fmt: skip
def test_random_lines(lines, word):
    if "Fixed" in word:
        lines = [(x, n) for x, n in lines if not set("&^|*") & set(x)] or [("y[0] += a[{n}]", 1)]
    body = "\n".join("    " + line.format(n=n) for line, n in lines)
    agree(allo.customize(f"def kernel(a: {word}[4], y: {word}[2]):\n{body}"))
