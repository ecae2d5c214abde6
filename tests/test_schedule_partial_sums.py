"""partial_sums: a sum as several sums that do not wait for each other, and a balanced tree.

The order is that of the loop IR from then on: evaluator, CPU and hardware give the same bits.
"""

import numpy as np
import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, Partition, float32, int8, int32


def dot(a: float32[12], b: float32[12]) -> float32:
    t: float32 = 1.5
    for i in allo.reduction(12):
        t += a[i] * b[i]
    return t


def in_order(a: float32[12]) -> float32:
    t: float32 = 0.0
    for i in range(12):
        t -= a[i]
    return t


def agree(schedule):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", device="ultrascale+", clock_mhz=300)


def test_the_order_is_that_of_the_program_everywhere():
    """16777216 + 1 is 16777216 in float32: the order shows."""
    s = allo.customize(in_order)
    a = np.float32([16777216, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    assert s.build()(a) == -16777216
    s.partial_sums("i", reassociate=True)
    assert s.build()(a) == -16777226  # but for the 1 beside the large one
    assert s.build(target="evaluator")(a) == -16777226
    agree(s)


@pytest.mark.parametrize("count", [0, 2, 3, 5, 12])
def test_a_sum_in_turns(count):
    s = allo.customize(dot)
    s.partial_sums("i", count)
    s.pipeline("i.inner" if count in (2, 3, 5) else "i")
    agree(s)


def test_as_many_sums_as_the_adder_has_cycles_start_an_iteration_a_cycle():
    s = allo.customize(dot)
    s.partial_sums("i", 4)
    s.pipeline("i.inner")
    assert agree(s).report().loops[0].ii == 1


def test_terms_at_once_take_the_logarithm_of_their_number():
    def depth(tree):
        s = allo.customize(dot)
        s.split("i", 6)
        if tree:
            s.partial_sums("i.inner")
        s.pipeline("i.outer")
        for array in ("a", "b"):
            s.partition(array, Partition.Cyclic, factor=6)
        return agree(s).report().loops[0]

    chain, tree = depth(False), depth(True)
    assert (chain.ii, tree.ii) == (6 * 4, 4)
    assert chain.depth - tree.depth == 2 * 4  # six additions, or three and the one to the sum


def test_several_sums_of_a_loop_and_sums_in_arrays():
    def two(A: float32[3, 6], x: float32[6], y: float32[3], z: float32[3]):
        for i in range(3):
            for j in allo.reduction(6):
                y[i] += A[i, j] * x[j]
                z[i] -= x[j]

    s = allo.customize(two)
    s.partial_sums("j")
    assert "y_partial" in str(s)
    assert "z_partial" in str(s)
    s.pipeline("i")
    agree(s)


def test_the_step_is_in_the_history_and_goes_back():
    s = allo.customize(in_order)
    before = str(s)
    s.partial_sums("i", 4, reassociate=True)
    assert str(s.history()[-1]) == "partial_sums('i', 4, reassociate=True)"
    (note,) = s.history()[-1].notes
    assert note.endswith("is added up in another order (reassociate=True)")
    s.undo()
    assert str(s) == before


def test_it_goes_along_with_a_schedule_that_is_composed():
    def top(a: float32[12], b: float32[12]) -> float32:
        t = dot(a, b)
        return t

    inner = allo.customize(dot)
    inner.partial_sums("i", 4)
    s = allo.customize(top)
    s.compose(inner)
    assert str(s.history()[-1]) == "partial_sums('dot:i', 4)"


def test_a_floating_point_sum_keeps_its_order_unless_that_is_free():
    with pytest.raises(IllegalScheduleError, match="rounds after each step") as refused:
        allo.customize(in_order).partial_sums("i")
    assert "reassociate=True" in refused.value.hint
    assert [text for text, _ in refused.value.notes] == [
        "iteration (i=0) writes t", "iteration (i=1) reads t"
    ]  # fmt: skip


BODIES = {
    "y[i] is another cell in each iteration": "y[i] += x[i]",
    "y[0] is added to in a loop inside, or under a condition":
        "if x[i] > 0:\n            y[0] += x[i]",
    "y[0] is used in the loop in another way too": "y[0] += x[i]\n        z[i] = y[0]",
    "y[0] gets a value that is no sum with what it had": "y[0] = x[i]",
}


@pytest.mark.parametrize(("why", "body"), BODIES.items(), ids=list(BODIES))
def test_what_is_no_sum_in_one_place_is_refused(why, body):
    head = "def kernel(x: int32[6], y: int32[6], z: int32[6]):\n    for i in range(6):\n        "
    s = allo.customize(head + body)
    with pytest.raises(ScheduleError, match="does not sum up in one place") as refused:
        s.partial_sums("i")
    assert refused.value.notes[0][0] == why


def test_counts_and_loops_that_do_not_fit_are_refused():
    s = allo.customize(dot)
    for count in (13, -2, True, "a"):
        with pytest.raises(ScheduleError, match="partial sums of 12 iterations"):
            s.partial_sums("i", count)
    s.pipeline("i")
    with pytest.raises(ScheduleError, match="pipelined already"):
        s.partial_sums("i")
    assert len(s.history()) == 1


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.integers(2, 9), st.integers(0, 9), st.sampled_from(["+", "-", "*", "&", "|", "^"]),
    st.sampled_from(["int32", "int8", "UInt(3)", "Fixed(9, 3)"]), st.booleans(),
)
def test_integers_come_out_the_same(trips, count, operator, word, inside):
    """Whatever the operator, the type and the number of sums; proved for sums of integers."""
    if word == "Fixed(9, 3)" and operator not in "+-":
        operator = "+"
    loops = f"    for r in range(2):\n        for i in range({trips}):\n"
    source = (
        f"def kernel(x: {word}[2, {trips}], y: {word}[2]):\n{loops}"
        f"            y[{'r' if inside else '0'}] {operator}= x[r, i]\n"
    )
    s = allo.customize(source)
    try:
        s.partial_sums("i", count)
    except ScheduleError:
        assert count > trips or operator in "*&"
        return
    verdict = allo.verify(allo.customize(source), s)
    assert verdict.equal
    assert verdict.proved or operator not in "+-" or "Fixed" in word


def test_minima_and_casts():
    def least(x: int8[7], y: int32[1]) -> int8:
        m: int8 = 100
        for i in range(7):
            m = min(m, x[i])
            y[0] += x[i]
        return m

    s = allo.customize(least)
    s.partial_sums("i")
    assert allo.verify(allo.customize(least), s).equal
    s.pipeline("i")
    check(s, simulator="pysim")


def test_one_sum_of_its_own_over_bounds_that_vary():
    def rows(A: int8[5, 5], x: int32[5], y: int8[5]):
        for i in range(5):
            for k in range(i, 5):
                x[i] -= A[i, k] * A[k, i]
            for m in range(i):
                y[i] ^= A[i, m]

    s = allo.customize(rows)
    s.partial_sums("k", 1)
    s.partial_sums("m", 1)
    types = {v.name: v.type for op in walk(s.top_func.body) for v in op.results()}
    assert types["x_partial"] == ArrayType(int32, ())  # no wider than the sum
    assert allo.verify(allo.customize(rows), s).proved
    s.pipeline("k")
    s.pipeline("m")
    check(s, original=allo.customize(rows).module, simulator="pysim")


def test_one_sum_of_floating_point_numbers_rounds_in_another_order():
    s = allo.customize(dot)
    s.partial_sums("i", 1)
    agree(s)
    with pytest.raises(IllegalScheduleError):
        allo.customize(in_order).partial_sums("i", 1)
