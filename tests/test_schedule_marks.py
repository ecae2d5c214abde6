"""unroll and pipeline: marks on loops, and which are refused."""

import agreement
import pytest

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.ops import LoopAttrs
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.types import int32
from allo_rtl.ir.verify import verify_module


def gemm(A: int32[8, 6], B: int32[6, 10], C: int32[8, 10]):
    for i, j, k in allo.grid(8, 10, 6):
        C[i, j] += A[i, k] * B[k, j]


def triangle(A: int32[8, 8]):
    for i in range(8):
        for j in range(i):
            A[i, j] = j


def rows(A: int32[8, 8], n: int32[8]):
    for i in range(8):
        for j in range(n[i]):
            A[i, j] = j


def marks(schedule, name):
    loops = all_loops(schedule.top_func.body)
    return next(loop.attrs for loop in loops if loop.name == name)


def test_pipeline_marks_a_loop():
    s = customize(gemm)
    s.pipeline("j")
    assert marks(s, "j") == LoopAttrs(pipeline_ii=1)
    s.pipeline("j", initiation_interval=3, rewind=True)
    assert marks(s, "j") == LoopAttrs(pipeline_ii=3, ii_required=True, rewind=True)
    verify_module(s.module)


@pytest.mark.parametrize("interval", [0, -1, 1.5, True])
def test_initiation_intervals_that_do_not_fit(interval):
    with pytest.raises(ScheduleError) as caught:
        customize(gemm).pipeline("j", initiation_interval=interval)
    assert caught.value.message == f"the initiation interval of loop 'j' is {interval!r}"
    assert caught.value.allowed == "a number of cycles, 1 or more"


@pytest.mark.parametrize("axes", ["ik", "ki"])
def test_a_pipeline_inside_a_pipeline_is_refused(axes):
    s = customize(gemm)
    s.pipeline(axes[0])
    with pytest.raises(ScheduleError) as caught:
        s.pipeline(axes[1])
    assert caught.value.message == (
        "loop 'k' is inside loop 'i'; only one of them can be pipelined, because the loops inside "
        "a pipeline are fully unrolled"
    )


def test_what_a_pipeline_of_a_named_interval_unrolls_must_not_depend_on_data():
    s = customize(rows)
    with pytest.raises(ScheduleError) as caught:
        s.pipeline("i", initiation_interval=2)
    assert caught.value.message == (
        "loop 'i' cannot be pipelined: the loops inside it are fully unrolled, and the number of "
        "iterations of loop 'j' depends on data"
    )
    assert caught.value.hint == "pipeline loop 'j' instead, or name no initiation_interval"
    s.pipeline("i")
    s.undo()
    s.pipeline("j")


def test_a_pipeline_unrolls_triangles_and_uneven_tiles():
    s = customize(triangle)
    s.pipeline("i")
    verify_module(s.module)
    s = customize(gemm)
    s.pipeline("i")
    s.split("j", 4)
    verify_module(s.module)


def test_a_rewrite_may_not_break_a_pipeline():
    s = customize(gemm)
    s.pipeline("i")
    before = s.module
    with pytest.raises(ScheduleError, match="is inside loop"):
        s.pipeline("j")
    assert s.module is before


def test_unroll_marks_a_loop():
    s = customize(gemm)
    s.unroll("k")
    s.unroll("j", 5)
    s.unroll("i", factor=1)
    assert [marks(s, name).unroll for name in "kji"] == [0, 5, 1]
    verify_module(s.module)


def test_unroll_factors_that_do_not_fit():
    s = customize(gemm)
    for factor in (-1, 7, True, 2.0):
        with pytest.raises(ScheduleError) as caught:
            s.unroll("k", factor)
        assert caught.value.message == (
            f"the factor of unroll is {factor!r}, and loop 'k' has 6 iterations"
        )
        assert caught.value.allowed == "a number of copies from 1 to 6, or 0 for all"
    with pytest.raises(ScheduleError) as caught:
        s.unroll("k", 4)
    assert caught.value.message == (
        "the factor of unroll is 4, which does not divide the 6 iterations of loop 'k'"
    )
    assert caught.value.allowed == "0, 1, 2, 3, 6"
    assert caught.value.hint == "split the loop by 4 and unroll the inner one"


def test_unroll_needs_a_greatest_number_of_iterations():
    def by_data(A: int32[8], n: int32):
        for j in range(n):
            A[j % 8] = j

    with pytest.raises(ScheduleError) as caught:
        customize(by_data).unroll("j")
    assert caught.value.message == (
        "unroll needs a greatest number of iterations, which loop 'j' has not"
    )
    customize(triangle).unroll("j")


def test_a_fully_unrolled_loop_has_nothing_to_pipeline():
    s = customize(gemm)
    s.unroll("k")
    with pytest.raises(ScheduleError) as caught:
        s.pipeline("k")
    assert caught.value.message == (
        "loop 'k' is fully unrolled, so there is nothing left to pipeline"
    )


def by_data(A: int32[4, 8], n: int32[4], B: int32[4]):
    for i in range(4):
        for j in range(n[i]):
            B[i] += A[i, j]


def waiting(A: int32[8], B: int32[8]):
    k: int32 = 0
    while k < 3:
        for j in range(8):
            B[j] += A[k]
        k += 1


def add_row(X: int32[8], Y: int32[8]):
    for j in range(8):
        Y[j] += X[j]


def adding(A: int32[3, 8], B: int32[8]):
    for i in range(3):
        add_row(A[i], B)


@pytest.mark.parametrize(
    ("kernel", "steps"),
    [
        (by_data, [("unroll", "j", 2)]),
        (by_data, [("unroll", "j", 3), ("pipeline", "j")]),
        (by_data, [("pipeline", "i")]),
        (waiting, [("unroll", "j", 4)]),
        (waiting, [("pipeline", "j")]),
        (waiting, [("split", "j", 3), ("parallel", "j.outer")]),
        (adding, [("unroll", "add_row:j")]),
        (adding, [("pipeline", "add_row:j")]),
        (adding, [("split", "add_row:j", 3), ("unroll", "add_row:j.outer")]),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_loops_in_calls_and_while_loops_and_as_often_as_data_say(kernel, steps):
    s = customize(kernel)
    for name, *args in steps:
        getattr(s, name)(*args)
    original = customize(kernel).module
    limits = {"n": (0, 8)}
    agreement.check(s, original=original, limits=limits, simulator="pysim")


def test_what_the_marks_do_to_such_loops():
    quick = {}
    for kernel, loop in ((waiting, "j"), (by_data, "j"), (adding, "add_row:j")):
        s = customize(kernel)
        s.pipeline(loop)
        (quick[kernel],) = (p for p in s.build(target="rtl").report().loops if p.name == "j")
    assert {p.ii for p in quick.values()} == {1}
    s = customize(by_data)
    s.pipeline("i")
    outer, inner = s.build(target="rtl").report().loops
    assert outer.limit.startswith("not pipelined: loop 'j' cannot be unrolled")
    assert (outer.ii, inner.ii) == (None, 1)


# --- a parallel loop of which later primitives change the body -------------------------------


def neighbours(A: int32[8], D: int32[8]):
    B: int32[8]
    for i in range(8):
        B[i] = A[i] + 1
    for x in range(8):
        D[x] = B[x] + (B[x - 1] if x > 0 else 0)


def sums_of_two(A: int32[8], D: int32[7]):
    for x in range(7):
        D[x] = A[x] + A[x + 1]


@pytest.mark.parametrize(
    ("kernel", "step"),
    [(neighbours, ("compute_at", "i", "x")), (sums_of_two, ("reuse_at", "A", "x"))],
)
def test_iterations_that_would_need_each_other_are_refused_after_parallel(kernel, step):
    s = customize(kernel)
    s.parallel("x")
    before = s.module
    with pytest.raises(IllegalScheduleError, match="a loop marked parallel") as caught:
        getattr(s, step[0])(*step[1:])
    assert step[0] in caught.value.message
    assert len(caught.value.notes) == 2
    assert s.module is before
    s.undo()
    getattr(s, step[0])(*step[1:])
    with pytest.raises(IllegalScheduleError, match="would run at once"):
        s.parallel("x")


def own(A: int32[8, 4], D: int32[8, 4]):
    B: int32[8, 4]
    for i in range(8):
        for j in range(4):
            B[i, j] = A[i, j] + 1
    for x in range(8):
        for y in range(4):
            D[x, y] = B[x, y] * 2


@pytest.mark.parametrize("step", [
    ("compute_at", "j", "y"), ("compute_at", "i", "x"), ("buffer_at", "D", "x"),
    ("reorder", "y", "x"), ("split", "x", 2), ("fuse", "x", "y"), ("outline", "y"),
])  # fmt: skip
def test_what_leaves_iterations_independent_is_taken_after_parallel(step):
    s = customize(own)
    s.parallel("x")
    getattr(s, step[0])(*step[1:])
    agreement.check(s, original=customize(own).module, simulator="pysim")


def piece(n: int32, m: int32, A: int32[16]):
    for i in range(n, m):
        A[i] += 1


def test_blocks_of_a_loop_as_long_as_data_say_are_unrolled():
    s = customize(piece)
    s.split("i", 3)
    s.unroll("i.inner")
    limits = {"n": (0, 16), "m": (0, 16)}
    agreement.check(s, original=customize(piece).module, limits=limits, simulator="pysim")
