"""buffer_at of arrays that are only read, unfold and to: systolic arrays of plain loops."""

import numpy as np
import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.types import int8, int32

M, N, K = 2, 3, 4


def gemm(A: int8[M, K], B: int8[K, N], C: int32[M, N]):
    for i, j, k in allo.grid(M, N, K, name="PE"):
        C[i, j] += A[i, k] * B[k, j]


def systolic(band="PE", depth=True):
    """What users write: two buffers, elements, and FIFOs between these."""
    s = allo.customize(gemm)
    s.pipeline("k")
    buf_A = s.buffer_at(s.A, "j")
    buf_B = s.buffer_at(s.B, "i")
    pe = s.unfold(band, [0, 1])
    s.to(buf_A, pe, axis=1, depth=M + 1 if depth else -1)
    s.to(buf_B, pe, axis=0, depth=N + 1 if depth else -1)
    s.partition(s.A, dim=1)
    s.partition(s.B, dim=2)
    s.partition(s.C, dim=0)
    return s


def test_the_array_computes_the_product_and_takes_the_way_through_it():
    rtl = check(systolic(), original=allo.customize(gemm).module, simulator="pysim")
    assert rtl.cycles == rtl.predicted_cycles <= 2 * (M + N) + K + 8
    report = rtl.report()
    assert {loop.ii for loop in report.loops} == {1}
    banks = {m.func: m.banks for m in report.memories if m.name == "C" and "PE" in m.func}
    assert set(banks.values()) == {1}  # an element is given its own cell, whichever that is


def test_in_verilator():
    rtl = systolic("gemm:PE").build(target="rtl")
    a = np.arange(M * K, dtype=np.int8).reshape(M, K) - 7
    b = np.arange(K * N, dtype=np.int8).reshape(K, N) - 11
    c = np.ones((M, N), np.int32)
    rtl(a, b, c)
    np.testing.assert_array_equal(c, a.astype(np.int32) @ b + 1)


def test_the_buffer_has_a_place_more_along_the_axis():
    s = allo.customize(gemm)
    buffer = s.buffer_at(s.A, "j")
    assert str(buffer) == str(s.A_fifo) == "gemm:A_fifo"
    s.buffer_at("B", "i")
    text = str(s)
    assert f"A_fifo: int8[{M}, {N + 1}, {K}]" in text
    assert f"B_fifo: int8[{N}, {M + 1}, {K}]" in text
    assert allo.verify(gemm, s).reason.startswith("all")
    assert [step.name for step in s.history()] == ["buffer_at", "buffer_at"]


def test_the_buffers_alone_change_nothing():
    s = allo.customize(gemm)
    s.buffer_at(s.A, "j")
    s.buffer_at(s.B, "i")
    check(s, seeds=(0,), original=allo.customize(gemm).module, simulator="pysim")


def test_arrays_are_still_read_once():
    text = str(systolic().module)
    assert text.count("%A[") == M
    assert text.count("%B[") == N


def test_depths_may_be_left_out():
    check(systolic(depth=False), seeds=(0,), simulator="pysim")


def squares(A: int8[M, K], C: int32[M, N]):
    for i, j in allo.grid(M, N, name="PE"):
        total: int32 = 3
        for k in range(K):
            total += A[i, k] * A[i, k] + j
        C[i, j] = total


def test_any_nest_around_reads_of_one_word():
    s = allo.customize(squares)
    s.pipeline("k")
    buffer = s.buffer_at("A", "j")
    s.to(buffer, s.unfold("PE", [0, 1]), axis="j", depth=M + 1)
    s.partition("A", dim=1)
    s.partition("C", dim=0)
    check(s, original=allo.customize(squares).module, simulator="pysim")


def gemv(A: int8[M, K], x: int8[K], y: int32[M]):
    for i, k in allo.grid(M, K, name="PE"):
        y[i] += A[i, k] * x[k]


def test_elements_in_one_dimension():
    s = allo.customize(gemv)
    s.pipeline("k")
    buffer = s.buffer_at("x", "i")
    s.to(buffer, s.unfold("PE", [0]), axis=0, depth=2)
    s.partition("A", dim=1)
    s.partition("y")
    rtl = check(s, original=allo.customize(gemv).module, simulator="pysim")
    assert rtl.cycles <= M + K + 8


def caller(A: int8[M, K], B: int8[K, N], C: int32[M, N]):
    gemm(A, B, C)


def test_composed():
    s = allo.customize(caller)
    sub = allo.customize(gemm)
    sub.buffer_at(sub.A, "j")
    sub.buffer_at(sub.B, "i")
    s.compose(sub)
    assert allo.verify(caller, s)
    assert "A_fifo" in str(s)


def changing(A: int32[M, K], C: int32[M, N]):
    for i, j, k in allo.grid(M, N, K):
        C[i, j] += A[i, k]


def changed(A: int32[M, M]):
    changing_square(A, A)


def changing_square(A: int32[M, M], C: int32[M, M]):
    for i, j, k in allo.grid(M, M, M):
        C[i, j] += A[i, k]


def in_condition(A: int32[M, K], C: int32[M, N], n: int32):
    for i, j, k in allo.grid(M, N, K):
        if k > n:
            C[i, j] += A[i, k]


def around_a_condition(A: int32[M, K], C: int32[M, N], n: int32):
    for i in range(M):
        for j in range(N):
            if j > n:
                for k in range(K):
                    C[i, j] += A[i, k]


def around_a_while(A: int32[M, K], C: int32[M, N], n: int32):
    for i in range(M):
        for j in range(N):
            x: int32 = n
            while x > 0:
                for k in range(K):
                    C[i, j] += A[i, k]
                x -= 1


def two_words(A: int32[M, K], C: int32[M, N]):
    for i, j, k in allo.grid(M, N, K - 1):
        C[i, j] += A[i, k] - A[i, k + 1]


def by_data(A: int32[K], at: int32[K], C: int32[M, N]):
    for i, j, k in allo.grid(M, N, K):
        C[i, j] += A[at[k]]


def from_one(A: int32[M, K], C: int32[M, N]):
    for i in range(M):
        for j in range(N):
            for k in range(1, K):
                C[i, j] += A[i, k]


def written_beside(A: int32[M, K], C: int32[M, N]):
    for i in range(M):
        for j in range(N):
            for k in range(K):
                C[i, j] += A[i, k]
        A[i, 0] = i


@pytest.mark.parametrize(("kernel", "axis", "message"), [
    (changing, "i", "iterations of loop 'i' read different elements, A[i, k]"),
    (changing, "k", "innermost"),
    (in_condition, "j", "under a condition"),
    (around_a_condition, "j", "under a condition"),
    (around_a_while, "j", "under a condition"),
    (two_words, "j", "reads more than one element of 'A'"),
    (by_data, "j", "depends on data"),
    (from_one, "j", "loop 'k' around a read of 'A' does not count from 0"),
    (written_beside, "j", "this may change 'A'"),
])  # fmt: skip
def test_what_cannot_be_handed_on(kernel, axis, message):
    s = allo.customize(kernel)
    before = s.module
    with pytest.raises(ScheduleError, match=r"test_systolic_buffers.py:\d+") as caught:
        s.buffer_at("A", axis)
    assert message in caught.value.message
    assert s.module is before


def test_another_name_of_the_array_is_written():
    s = allo.customize(changed)
    with pytest.raises(IllegalScheduleError, match="this may change 'A'"):
        s.buffer_at("changing_square:A", "changing_square:j")


def test_the_plain_meaning_stays_for_what_is_written():
    s = allo.customize(gemm)
    s.reorder("k", "j")
    assert str(s.buffer_at(s.C, "i")) == "gemm:C_buf"


def product(m, n, k):
    return allo.customize("\n".join([
        f"def gemm(A: int8[{m}, {k}], B: int8[{k}, {n}], C: int32[{m}, {n}]):",
        f'    for i, j, k in allo.grid({m}, {n}, {k}, name="PE"):',
        "        C[i, j] += A[i, k] * B[k, j]",
    ]))  # fmt: skip


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 3), (1, 3, 4), (3, 1, 4), (2, 2, 1), (4, 2, 9)])
def test_of_any_size(m, n, k):
    s = product(m, n, k)
    original = s.module
    s.pipeline("k")
    buffers = s.buffer_at("A", "j"), s.buffer_at("B", "i")
    pe = s.unfold("PE", [0, 1])
    s.to(buffers[0], pe, axis=1, depth=m + 1)
    s.to(buffers[1], pe, axis=0, depth=n + 1)
    s.partition("A", dim=1)
    s.partition("B", dim=2)
    s.partition("C", dim=0)
    rtl = check(s, seeds=(0,), original=original, simulator="pysim")
    assert rtl.predicted_cycles is not None


def test_the_whole_schedule_composed():
    s = allo.customize(caller)
    s.compose(systolic())
    assert [step.name for step in s.history()][:6] == [
        "pipeline", "buffer_at", "buffer_at", "unfold", "to", "to"
    ]  # fmt: skip
    check(s, seeds=(0,), original=allo.customize(caller).module, simulator="pysim")


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.permutations("ijk"),
    st.sampled_from(["A[i, k]", "A[k, i]", "A[i + k, 0]", "A[k, k]", "A[1, 2 * k]", "A[j, 3 - k]"]),
    st.sampled_from(["C[i, j] += {}", "C[i, j] = C[j, i] - {}", "C[i, j] = {0} * {0}"]),
    st.sampled_from("ijk"),
    st.sampled_from([None, "i", "k"]),
)  # fmt: skip
def test_random_nests(order, read, statement, axis, split):
    """What is accepted computes the same, whatever the nest and the subscripts."""
    a, b, c = order
    s = allo.customize("\n".join([
        "def kernel(A: int32[8, 8], C: int32[4, 4]):",
        f"    for {a}, {b}, {c} in allo.grid(4, 4, 4):", "        " + statement.format(read),
    ]))  # fmt: skip
    original = s.module
    innermost, moves = axis == c, axis in read.removeprefix("A")
    if split:
        s.split(split, 2)
        innermost = innermost and axis != split
        axis = f"{axis}.outer" if axis == split else axis
    if innermost or moves:
        with pytest.raises(ScheduleError, match=r"read different elements|innermost"):
            s.buffer_at("A", axis)
    else:
        s.buffer_at("A", axis)
        check(s, seeds=(0,), original=original, rtl=False)
