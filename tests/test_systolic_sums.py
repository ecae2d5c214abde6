"""unfold and to where the sums go from element to element, and the weights stay."""

import numpy as np
import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.types import float32, int8, int16, int32

T, K, N = 8, 3, 4


def gemm(A: int8[T, K], B: int8[K, N], C: int32[T, N]):
    for k, j, t in allo.grid(K, N, T, name="PE"):
        C[t, j] += A[t, k] * B[k, j]


def weights_stay():
    """What users write: elements with a weight each, FIFOs for the words of A and the sums."""
    s = allo.customize(gemm)
    s.pipeline("t")
    elements = s.unfold("PE", [0, 1])
    s.to("A", elements, axis="j", depth=3)
    s.to("C", elements, axis="k", depth=3)
    s.partition("A", dim=2)
    s.partition("B", dim=0)
    s.partition("C", dim=2)
    return s


def test_sums_go_down_a_plain_product():
    rtl = check(weights_stay(), original=allo.customize(gemm).module, simulator="pysim")
    assert rtl.cycles == rtl.predicted_cycles <= T + K + N + 4
    report = rtl.report()
    assert {loop.ii for loop in report.loops} == {1}
    assert not [note for note in report.notes if "lost" in note]


def test_in_verilator():
    rtl = weights_stay().build(target="rtl")
    a = np.arange(T * K, dtype=np.int8).reshape(T, K) - 7
    b = np.arange(K * N, dtype=np.int8).reshape(K, N) - 5
    c = np.ones((T, N), np.int32)
    rtl(a, b, c)
    np.testing.assert_array_equal(c, a.astype(np.int32) @ b + 1)
    assert rtl.measured_cycles == rtl.predicted_cycles


def test_the_array_is_read_by_the_first_and_stored_by_the_last():
    text = str(weights_stay().module)
    assert text.count("affine.load %C[") == N
    assert text.count("to_memref, %C[") == 0
    assert sum("affine.store" in line and "%C[" in line for line in text.splitlines()) == N


def stored_by_the_last(A: int8[T, K], B: int8[K, N], C: int32[T, N]):
    sums: int32[K + 1, N, T]
    for k, j in allo.grid(K, N, name="PE"):
        weight: int8 = B[k, j]
        for t in range(T):
            total: int32 = A[t, k] * weight
            if k > 0:
                total += sums[k, j, t]
            sums[k + 1, j, t] = total
            if k == K - 1:
                C[t, j] = total


def stored_or_passed(A: int8[T, K], B: int8[K, N], C: int32[T, N]):
    sums: int32[K, N, T]
    for k, j in allo.grid(K, N, name="PE"):
        for t in range(T):
            before: int32 = sums[k, j, t] if k > 0 else 0
            if k == K - 1:
                C[t, j] = before + A[t, k] * B[k, j]
            else:
                sums[k + 1, j, t] = before + A[t, k] * B[k, j]


@pytest.mark.parametrize("kernel", [stored_by_the_last, stored_or_passed])
def test_conditions_on_the_place_are_decided_where_the_element_is(kernel):
    s = allo.customize(kernel)
    s.pipeline("t")
    elements = s.unfold("PE", [0, 1])
    s.to("A", elements, axis="j", depth=3)
    s.to("sums", elements, axis="k", depth=2)
    s.partition("A", dim=2)
    s.partition("B", dim=0)
    s.partition("C", dim=2)
    rtl = check(s, original=allo.customize(kernel).module, simulator="pysim")
    assert rtl.cycles == rtl.predicted_cycles <= T + K + N + 5
    assert "scf.if" not in str(s.module)
    assert not [m for m in rtl.report().memories if m.name.startswith("sums")]


def gemv(A: int16[T, K], x: int16[K], y: int32[T]):
    for k, t in allo.grid(K, T, name="PE"):
        y[t] += A[t, k] * x[k]


def columns(A: int8[T, K], B: int8[K, N], C: int32[T, N]):
    for j, t, k in allo.grid(N, T, K, name="PE"):
        C[t, j] += A[t, k] * B[k, j]


@pytest.mark.parametrize(("kernel", "loop", "array", "banks", "most"), [
    (gemv, "t", "y", {"A": 2, "x": 0}, T + K + 4),
    (columns, "k", "A", {"B": 2, "C": 2}, T * K + N + 3),
])  # fmt: skip
def test_a_row_of_multipliers(kernel, loop, array, banks, most):
    """Each holds a weight, or a column; sums, or words, go along the row."""
    s = allo.customize(kernel)
    s.pipeline(loop)
    s.to(array, s.unfold("PE", [0]), axis=0, depth=2)
    for name, dim in banks.items():
        s.partition(name, dim=dim)
    rtl = check(s, original=allo.customize(kernel).module, simulator="pysim")
    assert rtl.cycles == rtl.predicted_cycles <= most
    assert {x.ii for x in rtl.report().loops} == {1}


def floats(A: float32[T, K], x: float32[K], y: float32[T]):
    for k, t in allo.grid(K, T, name="PE"):
        y[t] += A[t, k] * x[k]


def test_floating_point_sums_keep_their_order():
    s = allo.customize(floats)
    s.pipeline("t")
    s.to("y", s.unfold("PE", [0]), axis="k", depth=2)
    s.partition("A", dim=2)
    s.partition("x")
    check(s, seeds=(0,), original=allo.customize(floats).module, simulator="pysim")


def triangle(A: int8[T, K], x: int8[K], y: int32[T]):
    for k, t in allo.grid(K, T, name="PE"):
        if t > k:
            y[t] = 2 * y[t] - A[t, k] * x[k]


def test_elements_may_leave_out_iterations_alike():
    """Here they do not: what the first hands on, the next does not take."""
    s = allo.customize(triangle)
    with pytest.raises(IllegalScheduleError, match="is stored and never read"):
        s.to("y", s.unfold("PE", [0]), axis="k")


def all_sums(A: int8[T, K], B: int8[K, N], C: int32[T]):
    for k, j, t in allo.grid(K, N, T, name="PE"):
        C[t] += A[t, k] * B[k, j]


def test_two_rows_of_elements_that_sum_in_one_word_are_refused():
    s = allo.customize(all_sums)
    elements = s.unfold("PE", [0, 1])
    before = s.module
    with pytest.raises(IllegalScheduleError, match=r"elements of two rows sum in C\[0\]"):
        s.to("C", elements, axis="k")
    assert s.module is before


def test_rows_that_follow_each_other_may():
    """Along the inner axis a row is done before the next one starts."""
    s = allo.customize(all_sums)
    s.pipeline("t")
    s.to("C", s.unfold("PE", [0, 1]), axis="j", depth=T)
    s.partition("A", dim=2)
    check(s, seeds=(0,), original=allo.customize(all_sums).module, simulator="pysim")


def inner_sums(A: int8[T, K], C: int32[T]):
    for k, t, x in allo.grid(K, T, 2, name="PE"):
        C[t] += A[t, k] * x


def once_more(A: int8[T, K], C: int32[T]):
    for k, t in allo.grid(K, T, name="PE"):
        C[t] += A[t, k]
        if C[t] > 9:
            A[t, k] = 0


def shifted(A: int8[T, K], C: int32[T + 1]):
    for k, t in allo.grid(K, T, name="PE"):
        C[t + 1] = C[t] + A[t, k]


def moved(A: int8[T, K], C: int32[T + K]):
    for k, t in allo.grid(K, T, name="PE"):
        C[t + k] += A[t, k]


def only_stored(A: int8[T, K], C: int32[T]):
    for k, t in allo.grid(K, T, name="PE"):
        C[t] = A[t, k]


@pytest.mark.parametrize(("kernel", "message"), [
    (inner_sums, "stored more than once"),
    (once_more, "does more with 'C' than read it, or store to one word"),
    (shifted, "does more with 'C' than read it, or store to one word"),
    (moved, "neighbours along 'k' read different elements of 'C'"),
    (only_stored, "the elements do not read 'C'"),
])  # fmt: skip
def test_what_is_no_sum_of_one_word(kernel, message):
    s = allo.customize(kernel)
    elements = s.unfold("PE", [0])
    with pytest.raises(ScheduleError, match=message) as caught:
        s.to("C", elements, axis="k")
    assert "test_systolic_sums.py" in str(caught.value)


def read_later(A: int8[T, K], x: int8[K], y: int32[T], z: int32[T]):
    for k, t in allo.grid(K, T, name="PE"):
        y[t] += A[t, k] * x[k]
    for u in range(T):
        z[u] = y[T - 1 - u]


def test_what_comes_after_waits_for_the_sums():
    s = allo.customize(read_later)
    s.pipeline("t")
    s.to("y", s.unfold("PE", [0]), axis="k", depth=2)
    check(s, seeds=(0,), original=allo.customize(read_later).module, simulator="pysim")


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.permutations("jt"), st.integers(0, 2),
    st.sampled_from(["C[t, j]", "C[j, t]", "C[t, 0]", "C[7 - t, j]", "C[2 * t, j]", "C[t, k]"]),
    st.sampled_from(["{0} += {1}", "{0} = {1} - 2 * {0}", "{0} = {0} * {0} + {1}"]),
    st.sampled_from(["A[t, k] * A[k, j]", "A[t, 0] + k", "k - j + t"]),
    st.sampled_from(["", "if t > 1: ", "if j == 1 or t > 2: "]),
)  # fmt: skip
def test_random_sums(others, place, cell, statement, term, guard):
    """What is accepted computes the same, in hardware too."""
    a, b, c = [*others[:place], "k", *others[place:]]
    s = allo.customize("\n".join([
        "def kernel(A: int32[8, 8], C: int32[8, 8]):",
        f'    for {a}, {b}, {c} in allo.grid(3, 3, 3, name="PE"):',
        f"        {guard}{statement.format(cell, term)}",
    ]))  # fmt: skip
    original = s.module
    if place < 2:
        s.pipeline(c)
    elements = s.unfold("PE", list(range(place + 1)))
    try:
        s.to("C", elements, axis="k", depth=9)
    except ScheduleError:
        return
    check(s, seeds=(0,), original=original, simulator="pysim")
