"""What one iteration stores and the next one loads goes past the memory: an iteration a cycle."""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.ir.types import bool as bit
from allo_rtl.ir.types import float32, int8, int32, uint3, uint8, uint32

FAST = {"device": "ecp5-85", "clock_mhz": 50, "simulator": "pysim"}


def interval(rtl):
    """The initiation interval of the last loop."""
    return rtl.report().loops[-1].ii


def built(kernel, loop, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    s = allo.customize(kernel)
    s.pipeline(loop)
    return check(s, seeds=(0, 1, 2), **(FAST | options))


def gemm(A: int8[3, 4], B: int8[4, 5]) -> int32[3, 5]:
    C: int32[3, 5] = 0
    for i, j, k in allo.grid(3, 5, 4):
        C[i, j] += A[i, k] * B[k, j]
    return C


def histogram(data: uint3[30]) -> uint8[8]:
    bins: uint8[8] = 0
    for i in range(30):
        bins[data[i]] += 1
    return bins


def recurrence(A: int32[9]):
    for i in range(8):
        A[i + 1] = A[i] * 3 + i


def guarded(data: uint3[30], wanted: bit[30], bins: uint32[8]):
    for i in range(30):
        if wanted[i]:
            bins[data[i]] = bins[data[i]] * 3 + 1


def triangle(A: int32[6], B: int32[6, 6]):
    for i in range(6):
        for j in range(i, 6):
            A[i] += B[i, j]


@pytest.mark.parametrize(
    ("kernel", "loop"),
    [(gemm, "k"), (histogram, "i"), (recurrence, "i"), (guarded, "i"), (triangle, "j")],
)
def test_an_iteration_every_cycle(kernel, loop):
    assert interval(built(kernel, loop, clock_mhz=25)) == 1


def test_the_next_run_of_a_loop_forgets_what_the_one_before_stored():
    def twice(data: uint3[6], bins: int32[8]):
        for t in range(3):
            for i in range(6):
                if data[i] > t:
                    bins[data[i]] += 1
            for b in range(8):
                bins[b] = bins[b] * 5

    s = allo.customize(twice)
    s.pipeline("i")
    rtl = check(s, seeds=range(6), **FAST)
    assert [loop.ii for loop in rtl.report().loops if loop.name == "i"] == [1]


def test_loads_after_the_store_see_it_too():
    def both(data: uint3[20], bins: int32[8], seen: int32[20]):
        for i in range(20):
            bins[data[i]] += i
            seen[i] = bins[7 - data[i]]

    built(both, "i")


def test_two_stores_go_through_the_memory():
    def swap(data: uint3[20], bins: int32[8]):
        for i in range(20):
            bins[data[i]] += 1
            bins[i & 7] += 2

    assert interval(built(swap, "i")) > 1


def test_a_floating_point_sum_saves_the_cycle_of_the_memory():
    def dot(A: float32[3, 4], x: float32[4], y: float32[3]):
        for i in range(3):
            for j in range(4):
                y[i] += A[i, j] * x[j]

    rtl = built(dot, "j")
    adder = next(row for row in rtl.report().loops[-1].chart if row.label == "float32 add")
    assert adder.end > adder.start
    assert "recurrence: y" in rtl.report().loops[-1].limit


STEPS = ("B[{a}] += x[i]", "B[{a}] = B[{b}] + x[i]", "B[{a}] = B[{b}] * B[{a}] + 1")
PLACES = ("x[i] & 7", "i & 7", "(i >> 1) & 7", "3", "(i + 1) & 7", "(x[i] >> 2) & 7")


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(STEPS), st.sampled_from(PLACES), st.sampled_from(PLACES), st.booleans(),
    st.booleans(), st.sampled_from([("ecp5-85", 20), ("ecp5-85", 120), ("ice40-up5k", 40)]),
    st.integers(0, 99),
)  # fmt: skip
def test_random_updates(step, a, b, condition, nested, target, seed):
    """Any places, guarded or not, in one loop or in a nest; results and cycles are right."""
    body = step.format(a=a, b=b)
    lines = [
        "def kernel(x: uint8[12], B: uint32[8]):",
        "    for t in range(3):",
        "        for i in range(12):",
        *(["            if x[i] & 16 == 0:", f"                {body}"] if condition
          else [f"            {body}"]),
        *([] if nested else ["        B[t] = 7"]),
    ]  # fmt: skip
    s = allo.customize("\n".join(lines))
    s.pipeline("i")
    check(s, seeds=(seed, seed + 1), device=target[0], clock_mhz=target[1], simulator="pysim")
