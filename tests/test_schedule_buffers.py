"""buffer_at, reuse_at, compute_at: what they make, that it computes the same,
what it costs in hardware, and what they refuse."""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import int32
from allo_rtl.ir.verify import verify_module


def results(schedule, seed=0):
    """What a run returns and leaves in its arguments, on random data."""
    verify_module(schedule.module)
    rng = np.random.default_rng(seed)
    args = [
        rng.integers(-1000, 1000, a.array.shape).astype(np.int64) for a in schedule.top_func.args
    ]
    out = evaluate(schedule.module, args)
    return [a.tolist() for a in (*args, *out)]


def unchanged(schedule, kernel):
    """Assert that a schedule computes what the kernel does."""
    assert results(schedule) == results(customize(kernel))


def cycles(schedule):
    """Cycles that the report predicts."""
    return schedule.build(target="rtl").cycles


# --- buffer_at -------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", ["before", "after"])
def test_a_buffer_copies_nothing_where_a_condition_keeps_the_loop_out_of_the_array(guard):
    def before(A: int32[9, 4], B: int32[8, 4]):
        for i in range(9):
            for j in range(4):
                if i > 0:
                    B[i - 1, j] = A[i, j]

    def after(A: int32[10, 4], B: int32[8, 4]):
        for i in range(10):
            for j in range(4):
                if i < 8:
                    B[i, j] += A[i, j]

    kernel = {"before": before, "after": after}[guard]
    s = customize(kernel)
    s.buffer_at("B", "i")
    unchanged(s, kernel)
    assert allo.verify(customize(kernel), s).proved


def gemm(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8]):
    for i, k, j in allo.grid(8, 8, 8, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]


def test_a_row_is_gathered_and_keeps_what_was_there():
    s = customize(gemm)
    buffer = s.buffer_at(s.C, "i")
    unchanged(s, gemm)
    assert str(s) == (
        "gemm(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8])\n"
        "  gemm: for i in 0..8\n"
        "    C_buf: int32[8]\n"
        "    for j_init in 0..8  pipeline II=1\n"
        "      C_buf[j_init] = ...\n"
        "    for k in 0..8\n"
        "      for j in 0..8\n"
        "        C_buf[j] = ...\n"
        "    for j_back in 0..8  pipeline II=1\n"
        "      C[i, j_back] = ..."
    )
    s.partition(buffer)
    unchanged(s, gemm)


def test_a_tile_is_gathered_also_when_it_reaches_over_the_edge():
    s = customize(gemm)
    s.split("i", 4)
    s.split("j", 3)
    s.reorder("i.outer", "j.outer", "k", "i.inner", "j.inner")
    s.buffer_at("C", "j.outer")
    unchanged(s, gemm)
    assert "C_buf: int32[4, 3]" in str(s)


def triangle(C: int32[8, 8], A: int32[8, 8]):
    for i in range(8):
        for k in range(8):
            for j in range(i, 8):
                C[i, j] += A[i, k] * A[j, k]


def test_triangular_bounds():
    s = customize(triangle)
    s.buffer_at(s.C, "i")
    unchanged(s, triangle)


def test_an_accumulator_is_a_buffer_of_one_element():
    s = customize(gemm)
    s.reorder("i", "j", "k")
    s.buffer_at(s.C, "j")
    unchanged(s, gemm)
    assert "C_buf = ..." in str(s)


def test_the_array_is_touched_once_an_element_in_hardware():
    plain, buffered = customize(gemm), customize(gemm)
    for s in (plain, buffered):
        s.reorder("i", "j", "k")
    buffered.buffer_at("C", "j")
    for s in (plain, buffered):
        s.pipeline("k")
    inside = []
    for s in (plain, buffered):
        loop = s.build(target="rtl").report().loops[-1]
        inside.append({row.label for row in loop.chart if row.label.split()[-1].startswith("C")})
    assert {"read C", "write C"} <= inside[0]
    assert inside[1] == {"use C_buf", "set C_buf"}


def slopes(A: int32[5, 5, 5]):
    for i in range(1, 5):
        for j in range(4):
            for k in range(5):
                A[i, j, k] = A[i - 1, j + 1, k] + 1


def test_the_loops_of_a_copy_have_names_of_their_own():
    s = customize(slopes)
    s.buffer_at("A", "j")
    assert [n for n, _ in s.get_loops().S_i_0] == [
        "i", "j", "A_init", "A_init_1", "k_init", "k", "A_back", "A_back_1", "k_back",
    ]  # fmt: skip
    unchanged(s, slopes)


def solve(A: int32[8, 8], B: int32[8, 8]):
    for i in range(8):
        for j in range(8):
            for k in range(i + 1, 8):
                B[i, j] += A[k, i] * B[k, j]


def test_reads_past_the_buffer_are_refused():
    s = customize(solve)
    with pytest.raises(IllegalScheduleError) as caught:
        s.buffer_at("B", "i")
    assert (
        "buffer_at('B', 'i'): along dimension 1 of 'B' this access starts at i and another one at "
        "0: a buffer would lose what is written through the other"
    ) in str(caught.value)
    assert not s.history()


def shift(A: int32[8]):
    for i in range(8):
        A[i] = i


def test_buffer_at_needs_a_loop_inside_and_a_write():
    with pytest.raises(ScheduleError, match="loop 'i' is the innermost, there is nothing to gath"):
        customize(shift).buffer_at("A", "i")
    with pytest.raises(ScheduleError, match="'A' is only read, and iterations of loop 'i'"):
        customize(gemm).buffer_at("A", "i")


def indirect(A: int32[8], P: int32[8]):
    for i in range(4):
        for j in range(8):
            A[P[j]] += i


def test_subscripts_that_depend_on_data_are_refused():
    with pytest.raises(ScheduleError, match="may be anything inside loop 'i'"):
        customize(indirect).buffer_at("A", "i")


# --- reuse_at --------------------------------------------------------------------------------


def blur(A: int32[10, 10], B: int32[8, 8]):
    for y, x in allo.grid(8, 8, name="blur"):
        v: int32 = 0
        for r, c in allo.reduction(3, 3):
            v += A[y + r, x + c]
        B[y, x] = v


def test_a_line_buffer_then_a_window():
    s = customize(blur)
    line = s.reuse_at(s.A, "y")
    unchanged(s, blur)
    assert "blur_reuse_y: int32[3, 10] banked [complete, -]" in str(s)
    s.reuse_at(line, "x")
    unchanged(s, blur)
    assert "blur_reuse_x: int32[3, 3] banked [complete, complete]" in str(s)
    assert "fill1" not in str(s)  # one loop fills the line and moves the window


def test_the_window_reads_an_element_a_cycle():
    s = customize(blur)
    s.reuse_at(s.reuse_at(s.A, "y"), "x")
    s.pipeline("x")
    plain = customize(blur)
    plain.pipeline("x")
    # 100 elements go by; without the buffers nine reads a result wait for one port.
    assert 100 <= cycles(s) < 300 < cycles(plain)


def strided(A: int32[9, 12], B: int32[4, 5]):
    for y, x in allo.grid(4, 5):
        for r, c in allo.reduction(3, 4):
            B[y, x] += A[2 * y + r, 2 * x + c]


def test_strides():
    s = customize(strided)
    s.reuse_at("A", "y")
    unchanged(s, strided)
    t = customize(strided)
    t.reuse_at("A", "x")
    unchanged(t, strided)


def late(A: int32[12], B: int32[6]):
    for x in range(2, 8):
        B[x - 2] = A[x - 2] + 2 * A[x] + A[x + 3]


def test_a_loop_that_does_not_start_at_zero():
    s = customize(late)
    s.reuse_at("A", "x")
    unchanged(s, late)
    assert "int32[6] banked [complete]" in str(s)


def stepped(A: int32[16], B: int32[16]):
    for x in range(0, 12, 2):
        B[x] = A[x] + A[x + 3]


def test_a_loop_with_a_step():
    s = customize(stepped)
    s.reuse_at("A", "x")
    unchanged(s, stepped)


def in_place(A: int32[10]):
    for _ in range(3):
        for x in range(8):
            A[x] = A[x] + A[x + 1] + A[x + 2]


def into_the_window(A: int32[10]):
    for x in range(8):
        A[x + 1] = A[x] + A[x + 1] + A[x + 2]


def test_an_array_may_be_written_where_the_window_has_left():
    s = customize(in_place)
    s.reuse_at("A", "x")
    unchanged(s, in_place)
    with pytest.raises(IllegalScheduleError) as caught:
        customize(into_the_window).reuse_at("A", "x")
    assert caught.value.message == (
        "reuse_at('A', 'x'): this writes 'A' inside loop 'x', and the reuse buffer would keep the "
        "old values"
    )
    assert [text for text, _ in caught.value.notes] == [
        "iteration (x=0) writes A[1]", "iteration (x=1) reads A[1]",
    ]  # fmt: skip


def sweep(A: int32[10], B: int32[10]):
    for _ in range(3):
        for x in range(8):
            B[x] = A[x] + A[x + 1] + A[x + 2]
        for y in range(8):
            A[y] = B[y]


def test_an_array_written_after_the_loop_is_read_anew():
    s = customize(sweep)
    s.reuse_at("A", "x")
    unchanged(s, sweep)


def apart(A: int32[16], B: int32[4]):
    for x in range(4):
        B[x] = A[4 * x] + A[4 * x + 1]


def test_windows_that_do_not_overlap_are_refused():
    with pytest.raises(ScheduleError, match="loop 'x' moves no window up through 'A'"):
        customize(apart).reuse_at("A", "x")


def padded(A: int32[8], B: int32[8]):
    for x in range(8):
        v: int32 = 0
        for r in allo.reduction(3):
            if x + r >= 1 and x + r < 9:
                v += A[x + r - 1]
        B[x] = v


def test_a_window_that_leaves_the_array_is_refused():
    with pytest.raises(ScheduleError) as caught:
        customize(padded).reuse_at("A", "x")
    assert "the window reaches from -1 to 8 along dimension 1 of 'A', which is int32[8]" in str(
        caught.value
    )
    assert "pad the array instead" in str(caught.value)


def test_arrays_of_one_iteration_are_refused():
    for primitive in ("buffer_at", "reuse_at"):
        with pytest.raises(ScheduleError, match="each iteration of loop 'y' makes 'v' anew"):
            getattr(customize(blur), primitive)("v", "y")


# --- compute_at ------------------------------------------------------------------------------


def stages(A: int32[8, 4]) -> int32[8, 4]:
    B: int32[8, 4] = 0
    C: int32[8, 4] = 0
    for i, j in allo.grid(8, 4, name="first"):
        B[i, j] = A[i, j] + 1
    for i1, j1 in allo.grid(8, 4, name="second"):
        C[i1, j1] = B[i1, j1] * 2
    return C


def test_a_producer_moves_to_its_consumer_and_the_array_between_vanishes():
    s = customize(stages)
    s.compute_at("first.j", "second.j1")
    unchanged(s, stages)
    assert "B" not in str(s)
    t = customize(stages)
    t.compute_at("first.i", "second.i1")
    unchanged(t, stages)
    assert "for j in 0..4\n      B[i1, j] = ..." in str(t)
    for schedule, loop in ((s, "j1"), (t, "j1")):
        schedule.pipeline(loop)
    plain = customize(stages)
    plain.pipeline("j")
    plain.pipeline("j1")
    assert cycles(s) < cycles(plain)


def longer(A: int32[8]) -> int32[10]:
    B: int32[10] = 0
    C: int32[10] = 0
    for i in range(8):
        B[i] = A[i] + 1
    for i1 in range(10):
        C[i1] = B[i1] * 2
    return C


def test_a_consumer_may_run_longer():
    s = customize(longer)
    s.compute_at("i", "i1")
    unchanged(s, longer)
    assert "if ..." in str(s)


def ahead(A: int32[9]) -> int32[8]:
    B: int32[9] = 0
    C: int32[8] = 0
    for i in range(8):
        B[i + 1] = A[i] + 1
    for i1 in range(8):
        C[i1] = B[i1] + B[8 - i1]
    return C


def test_a_consumer_that_would_run_too_early_is_refused():
    with pytest.raises(IllegalScheduleError) as caught:
        customize(ahead).compute_at("i", "i1")
    text = str(caught.value)
    assert "of the consumer would run before iteration" in text
    assert "writes B[" in text
    assert "reads B[" in text


def between(A: int32[8]) -> int32[8]:
    B: int32[8] = 0
    C: int32[8] = 0
    for i in range(8):
        B[i] = A[i] + 1
    B[3] = 7
    for i1 in range(8):
        C[i1] = B[i1] * 2
    return C


def test_nothing_moves_past_a_statement_that_touches_the_same():
    with pytest.raises(IllegalScheduleError, match="would move loop 'i' past this use of 'B'"):
        customize(between).compute_at("i", "i1")


def test_compute_at_needs_loops_that_match():
    with pytest.raises(ScheduleError, match="loop 'j' is at depth 2 and loop 'i1' at depth 1"):
        customize(stages).compute_at("j", "i1")
    with pytest.raises(ScheduleError, match="loop 'j' is inside loop 'i'"):
        customize(stages).compute_at("i", "j")


def in_time(A: int32[3, 8], B: int32[8], C: int32[3, 8]):
    for t in range(3):
        for i in range(6):
            B[i] += A[t, i]
        for i1 in range(7):
            C[t, i1] = B[i1] * 2 + t


def in_two_loops(A: int32[2, 3, 5], C: int32[2, 3, 5]):
    for t in range(2):
        for u in range(3):
            B: int32[5]
            for i in range(u + 1):
                B[i] = A[t, u, i] + 1
            for i1 in range(u + 1):
                C[t, u, i1] = B[i1] * 2


def of_another_row(A: int32[6, 4], B: int32[6, 4], C: int32[6, 4]):
    for t in range(6):
        for i in range(4):
            B[t, i] += A[t, i]
        for i1 in range(4):
            C[t, i1] = B[5 - t, 3 - i1]


def in_a_branch(A: int32[4], B: int32[4], C: int32[4], n: int32):
    for t in range(3):
        if t > n:
            for i in range(4):
                B[i] += A[i] + t
            for i1 in range(4):
                C[i1] += B[i1]


@pytest.mark.parametrize("kernel", [in_time, in_two_loops, of_another_row, in_a_branch])
def test_a_producer_moves_inside_the_loops_that_both_are_in(kernel):
    s = customize(kernel)
    s.compute_at("i", "i1")
    check(s, seeds=(0,), original=customize(kernel).module, simulator="pysim")
    assert "for i in" not in str(s)


def test_joined_loops_take_fewer_cycles_in_each_iteration_around_them():
    apart, joined = customize(in_two_loops), customize(in_two_loops)
    joined.compute_at("i", "i1")
    assert "B" not in str(joined)
    assert cycles(joined) < cycles(apart)


def smoothed(A: int32[8], B: int32[8]):
    for _ in range(3):
        for i in range(1, 7):
            B[i] = A[i - 1] + A[i + 1]
        for i1 in range(1, 7):
            A[i1] = B[i1]


def of_the_row(A: int32[6, 4], B: int32[6, 4], C: int32[6, 4]):
    for t in range(6):
        for i in range(4):
            B[t, i] += A[t, i]
        for i1 in range(4):
            C[t, i1] = B[4 - t, 3 - i1]


@pytest.mark.parametrize(("kernel", "cell"), [(smoothed, "A[1]"), (of_the_row, "B[2, 2]")])
def test_inside_a_loop_the_consumer_must_not_run_too_early_either(kernel, cell):
    with pytest.raises(IllegalScheduleError, match="of the consumer would run before") as caught:
        customize(kernel).compute_at("i", "i1")
    assert f"reads {cell}" in str(caught.value)
    assert f"writes {cell}" in str(caught.value)


def past(A: int32[8], B: int32[8]):
    for t in range(3):
        for i in range(8):
            B[i] = A[i] + t
        A[3] = t
        for i1 in range(8):
            A[i1] = B[i1]


def test_inside_a_loop_nothing_moves_past_what_touches_the_same():
    with pytest.raises(IllegalScheduleError, match="would move loop 'i' past this use of 'A'"):
        customize(past).compute_at("i", "i1")


@pytest.mark.parametrize(("loops", "message"), [
    (("i", "j"), "and those of loop 'j' are not"),
    (("j", "k"), "and those of loops 'j' and 'k' are not"),
    (("t1", "k"), "something stands beside loop 't1' of the producer"),
    (("t2", "t1"), "the nest of loop 't2' must stand before that of loop 't1'"),
])  # fmt: skip
def test_compute_at_says_which_loop_is_in_its_way(loops, message):
    def kernel(A: int32[8], B: int32[8], n: int32):
        for i in range(8):
            A[i] = i
        for j in range(n):
            B[j] = A[j]
        for k in range(n):
            A[k] = B[k]
        for t in range(2):
            for t1 in range(8):
                A[t1] += t
            for t2 in range(8):
                B[t2] += A[t2]

    with pytest.raises(ScheduleError, match=f"(?s){message}"):
        customize(kernel).compute_at(*loops)


def test_windows_before_lines():
    """The array is given both times; the window itself is of one row of positions."""

    def blur(A: int32[5, 6], B: int32[4, 4]):
        for y, x in allo.grid(4, 4):
            v: int32 = 0
            for r, c in allo.grid(2, 3):
                v += A[y + r, x + c]
            B[y, x] = v

    s = customize(blur)
    window = s.reuse_at("A", "x")
    with pytest.raises(IllegalScheduleError, match=r"has copies of A.*reuse_at\('A', 'y'\)"):
        s.reuse_at(window, "y")
    s.reuse_at("A", "y")
    check(s, seeds=(0,), original=customize(blur).module, simulator="pysim")
