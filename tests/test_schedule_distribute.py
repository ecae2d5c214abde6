"""reorder of imperfect nests: what stands beside a loop gets loops of its own."""

import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import int8, int32
from allo_rtl.verify import verify


def gemm(A: int32[4, 6], B: int32[6, 5], C: int32[4, 5]):
    for i in range(4):
        for j in range(5):
            C[i, j] = C[i, j] * 3
            for k in range(6):
                C[i, j] += A[i, k] * B[k, j]
            C[i, j] = C[i, j] >> 1


def same(kernel, schedule):
    verdict = verify(customize(kernel), schedule)
    return verdict.equal and verdict.proved


def test_what_stands_before_and_after_has_loops_of_its_own():
    s = customize(gemm)
    s.reorder("k", "j")
    assert s.show().splitlines()[1:] == [
        "  S_i_0: for i in 0..4",
        "    S_j_0_before: for j_before in 0..5",
        "      C[i, j_before] = ...",
        "    S_j_0: for k in 0..6",
        "      S_k_0: for j in 0..5",
        "        C[i, j] = ...",
        "    S_j_0_after: for j_after in 0..5",
        "      C[i, j_after] = ...",
    ]
    assert same(gemm, s)


@pytest.mark.parametrize("axes", ["kij", "kji", "ikj", "jki", "jik"])
def test_every_order(axes):
    s = customize(gemm)
    s.reorder(*axes)
    names = [loop.name for loop in loops(s.top_func.body)]
    assert [n for n in names if n in axes] == list(axes)
    assert same(gemm, s)


def test_the_sums_of_a_row_overlap_then():
    plain, s = customize(gemm), customize(gemm)
    plain.pipeline("k")
    s.reorder("k", "j")
    for loop in ("j_before", "j", "j_after"):
        s.pipeline(loop)
    fast = check(s, original=plain.module, simulator="pysim")
    assert fast.predicted_cycles < plain.build(target="rtl").predicted_cycles * 0.75


def by_bounds(A: int32[6, 6], n: int32[2]):
    for i in range(6):
        for j in range(n[1]):
            A[i, j] += n[0]


def test_bounds_that_are_the_same_for_all_iterations_are_computed_before_them():
    s = customize(by_bounds)
    s.reorder("j", "i")
    check(s, limits={"n": (0, 6)}, original=customize(by_bounds).module, simulator="pysim")


def sweep(A: int32[8, 8], B: int32[9]):
    for i in range(8):
        B[i] = i
        for j in range(8):
            B[i + 1] += A[i, j]


def test_a_result_that_is_needed_in_turn_is_named():
    s = customize(sweep)
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("j", "i")
    assert caught.value.message == (
        "reorder('j', 'i') would change what the kernel computes: what stands beside loop 'j' "
        "would get loops of its own, and its iteration (i=1) would run before (i=0) of the other, "
        "which it must follow"
    )
    assert [text for text, _ in caught.value.notes] == [
        "iteration (i=0) reads B[1]", "iteration (i=1) writes B[1]",
    ]  # fmt: skip
    assert all(loc.file.endswith("test_schedule_distribute.py") for _, loc in caught.value.notes)
    assert not s.history()


def batches(A: int32[3, 4, 4], B: int32[3, 4]):
    for b in range(3):
        for i in range(4):
            B[b, i] = 0
            for j in range(4):
                B[b, i] += A[b, i, j]
        for i1 in range(4):
            B[b, i1] = B[b, i1] + 1


def test_several_levels_at_once():
    s = customize(batches)
    s.reorder("j", "b")
    assert s.show().splitlines()[1:] == [
        "  S_b_0_before: for b_before in 0..3",
        "    S_i_0_before: for i_before in 0..4",
        "      B[b_before, i_before] = ...",
        "  S_b_0: for j in 0..4",
        "    S_i_0: for i in 0..4",
        "      S_j_0: for b in 0..3",
        "        B[b, i] = ...",
        "  S_b_0_after: for b_after in 0..3",
        "    S_i1_2: for i1 in 0..4",
        "      B[b_after, i1] = ...",
    ]
    assert same(batches, s)
    s.undo()
    assert s.show() == allo.customize(batches).show()


# --- variables of an iteration ---------------------------------------------------------------


def scaled(A: int8[4, 6], B: int32[6], C: int32[4]):
    for i in range(4):
        v: int32 = C[i] * 7
        if v > 9:
            v = 9
        for k in range(6):
            B[k] += A[i, k]
        C[i] = v + 1


def product(A: int8[4, 6], B: int8[6, 5], C: int32[4, 5]):
    for i in range(4):
        for j in range(5):
            v: int32 = C[i, j]
            for k in range(6):
                v += A[i, k] * B[k, j]
            C[i, j] = v * 3


def triangle(A: int32[5, 5], B: int32[5, 4]):
    for i in range(5):
        for j in range(4):
            t: int32 = 0
            for k in range(i):
                B[k, j] += A[i, k]
                t += B[k, j] * A[i, k]
            B[i, j] = B[i, j] * 5 + t


def strided(A: int32[12, 3], B: int32[12]):
    for i in range(2, 11, 4):
        line: int32[3]
        for a in range(3):
            line[a] = A[i, a] + 1
        for b in range(3):
            if A[i, b] > 0:
                line[2 - b] += line[b]
        B[i] = line[0] - line[2]


def namesakes(A: int32[4, 3], B: int32[4]):
    for i in range(4):
        v: int32 = B[i]
        for j in range(3):
            v += A[i, j]
        B[i] = v
    for m in range(4):
        v: int32 = B[m] * 3
        for n in range(3):
            v ^= A[m, n]
        B[m] = v


@pytest.mark.parametrize(
    ("kernel", "orders"),
    [
        (product, [("k", "j")]), (product, [("i", "k", "j")]), (product, [("k", "j", "i")]),
        (triangle, [("k", "j")]), (triangle, [("j", "k")]), (strided, [("b", "i")]),
        (namesakes, [("j", "i"), ("n", "m")]), (scaled, [("k", "i")]),
    ],
)  # fmt: skip
def test_a_variable_of_an_iteration_gets_an_element_for_each(kernel, orders):
    s = customize(kernel)
    for axes in orders:
        s.reorder(*axes)
    assert same(kernel, s)
    names = [v.name for op in walk(s.top_func.body) for v in op.results() if v.name]
    assert len(names) == len(set(names))
    for loop in [x for x in loops(s.top_func.body) if not any(loops(x.body))]:
        s.pipeline(loop.name)
    check(s, original=customize(kernel).module, simulator="pysim")


def test_the_nest_around_decides_how_many_elements():
    s = customize(product)
    s.reorder("k", "j")
    assert "    v: int32[5]" in s.show().splitlines()
    s = customize(product)
    s.reorder("i", "k", "j")
    assert "  v: int32[4, 5]" in s.show().splitlines()


def test_zero_is_not_stored_again():
    s = customize(triangle)
    s.reorder("k", "j")
    assert "j_before" not in s.show()


def apart(A: int32[4, 6], B: int32[6], C: int32[4]):
    for i in range(4):
        old: int32 = B[i]
        for k in range(6):
            B[k] += A[i, k]
        C[i] = old


def test_what_is_read_before_a_loop_that_changes_it_is_not_read_after_it():
    s = customize(apart)
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("k", "i")
    texts = [text for text, _ in caught.value.notes]
    assert texts == ["iteration (i=0) writes B[1]", "iteration (i=1) reads B[1]"]
    assert not s.history()


def test_what_only_the_end_needs_is_read_there():
    s = customize(product)
    s.partial_sums("k", 1)
    s.reorder("i", "k", "j")
    assert [x.name for x in loops(s.top_func.body)] == ["i", "k", "j", "i_after", "j_after"]
    assert same(product, s)
    check(s, original=customize(product).module, simulator="pysim")


def data_say(n: int32, A: int32[8, 3], B: int32[8]):
    for i in range(n):
        v: int32 = B[i]
        for k in range(3):
            v += A[i, k]
        B[i] = v


def test_a_number_of_iterations_that_varies_is_refused():
    with pytest.raises(ScheduleError, match="each iteration of loop 'i' makes 'v'") as caught:
        customize(data_say).reorder("k", "i")
    assert "constant bounds" in caught.value.hint
