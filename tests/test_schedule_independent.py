"""assume_independent: a promise that legality and hardware believe, and show."""

from dataclasses import replace

import agreement
import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.rewrite import changed_funcs
from allo_rtl.ir.types import Partition, float32, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.loops import replace_loop
from allo_rtl.schedule.promises import check_promises


def add_at(at: int32[16], bins: int32[32]):
    for i in range(16):
        bins[at[i]] += i


def tables(at: int32[4, 8], bins: int32[16]):
    for i, j in allo.grid(4, 8):
        bins[at[i, j]] = i * j


def float_add_at(at: int32[16], bins: float32[32]):
    for i in range(16):
        bins[at[i]] += 0.5


def inner(at: int32[16], row: float32[32]):
    for i in range(16):
        row[at[i]] += 0.5


def of_rows(at: int32[16], bins: float32[2, 32]):
    for r in range(2):
        inner(at, bins[r])


def prefix(A: int32[16]):
    for i in range(1, 16):
        A[i] = A[i] + A[i - 1]


def sometimes(A: int32[16], n: int32):
    for i in range(1, 16):
        if i > n:
            A[i] = A[i - 1]


def assumed(kernel, *promises):
    s = allo.customize(kernel)
    for array, axis in promises:
        s.assume_independent(array, axis)
    return s


def test_it_is_shown_with_the_loop():
    s = assumed(add_at, ("bins", "i"))
    assert s.show() == """\
add_at(at: int32[16], bins: int32[32])
  S_i_0: for i in 0..16  assumed independent in bins
    bins[at[i]] = ..."""
    shown = s.show()
    s.assume_independent("bins", "i")
    assert s.show() == shown


def test_a_parallel_loop():
    s = allo.customize(tables)
    with pytest.raises(IllegalScheduleError, match="would run at once"):
        s.parallel("j")
    s.assume_independent("bins", "j")
    s.parallel("j")
    with pytest.raises(IllegalScheduleError, match="would run at once"):
        s.parallel("i")


def test_a_reordered_nest_needs_the_promise_for_both_loops():
    s = assumed(tables, ("bins", "j"))
    with pytest.raises(IllegalScheduleError, match=r"iteration \(i=1, j=0\) would run before"):
        s.reorder("j", "i")
    s.assume_independent("bins", "i")
    s.reorder("j", "i")
    assert s.show().count("assumed independent in bins") == 2


def test_a_promise_goes_where_it_does_not_follow_any_more():
    def apart(at: int32[4, 8], bins: int32[4, 16], out: int32[16]):
        for i, j in allo.grid(4, 8):
            bins[i, at[i, j]] = i * j

    s = assumed(apart, ("bins", "j"))
    s.reorder("j", "i")
    assert "assumed" not in s.show()
    s = assumed(apart, ("bins", "i"))
    s.reorder("j", "i")  # within one j, iterations of i are a subset of those promised
    assert "for i in 0..4  assumed independent in bins" in s.show()


def test_split_and_fuse_keep_it():
    s = assumed(tables, ("bins", "i"), ("bins", "j"))
    s.split("j", 4)
    assert s.show().count("assumed independent in bins") == 3
    s.fuse("j.outer", "j.inner")
    s.fuse("i", "j.outer_j.inner_fused")
    assert s.show().count("assumed independent in bins") == 1
    s = assumed(tables, ("bins", "j"))
    s.fuse("i", "j")
    assert "assumed" not in s.show()


def test_a_parallel_loop_that_moves_outside_one_that_is_not_loses_the_mark():
    def diagonal(A: int32[8, 8]):
        for i, j in allo.grid(7, 7):
            A[i + 1, j + 1] = A[i, j]

    s = allo.customize(diagonal)
    s.parallel("j")
    s.reorder("j", "i")
    assert "parallel" not in s.show()


@pytest.mark.parametrize(
    ("kernel", "axis", "array"),
    [
        (float_add_at, "i", "bins"), (of_rows, "inner:i", "inner:row"),
    ],
)
def test_pipelines_overlap(kernel, axis, array):
    """The same results for data that keep the promise, in fewer cycles."""
    careful, quick = allo.customize(kernel), allo.customize(kernel)
    quick.assume_independent(array, axis)
    for s in (careful, quick):
        s.pipeline(axis)
    verify_module(quick.module)
    slow, fast = (s.build(target="rtl", device="ecp5-85", clock_mhz=50) for s in (careful, quick))
    assert fast.report().loops[-1].ii == 1
    assert slow.report().loops[-1].ii > 1
    assert fast.predicted_cycles < slow.predicted_cycles
    name = array.rpartition(":")[2]
    (note,) = [n for n in fast.report().notes if "independent" in n]
    assert f"loop 'i' is assumed to be independent in {name}, as the schedule says" in note


def test_results_when_the_promise_holds():
    s = assumed(add_at, ("bins", "i"))
    s.pipeline("i")
    s.partition("bins", Partition.Cyclic, dim=1, factor=2)
    module = s.module
    at = np.random.default_rng(0).permutation(32)[:16]
    args = [at.astype(object), np.arange(32).astype(object)]
    hardware = s.build(target="rtl")
    expected = agreement.run(s.build().run_raw, module, [a.copy() for a in args])
    agreement.in_amaranth(hardware, module, [(args, expected)])


def test_only_what_the_promised_loop_carries_is_believed():
    """Rows follow each other: what one run of j writes the next one may read."""
    s = assumed(tables, ("bins", "j"))
    s.pipeline("j")
    verify_module(s.module)
    agreement.check(s, seeds=(0,), limits={"at": (0, 15)}, rtl=False)


def test_promises_that_are_known_to_be_false():
    s = allo.customize(prefix)
    with pytest.raises(ScheduleError) as error:
        s.assume_independent("A", "i")
    assert error.value.message == (
        "assume_independent('A', 'i'): iterations i=1 and i=2 both touch A[1]"
    )
    assert not s.history()
    s = allo.customize(sometimes)
    s.assume_independent("A", "i")


def test_promises_about_nothing():
    s = allo.customize(add_at)
    with pytest.raises(ScheduleError, match="loop 'i' does not write 'at'"):
        s.assume_independent("at", "i")
    with pytest.raises(ScheduleError, match="there is no array 'bin' in add_at"):
        s.assume_independent("bin", "i")


def test_it_moves_with_hierarchies():
    s = allo.customize(of_rows)
    sub = allo.customize(inner)
    sub.assume_independent("row", "i")
    s.compose(sub)
    assert [str(x) for x in s.history()] == ["assume_independent('inner:row', 'inner:i')"]
    s.outline("inner:i", "more")
    assert "for i in 0..16  assumed independent in row" in s.show()
    s.inline()
    verify_module(s.module)
    assert "for i in 0..16  assumed independent in" in s.show()


def in_turn(A: int32[10], B: int32[10], C: int32[10]):
    for i in range(8):
        B[i] = A[i] + 1
    for j in range(8):
        if j > 0:
            B[j - 1] = A[j] * 2
        C[A[j] % 8] = j


def test_loops_that_become_one_promise_nothing_of_what_both_touch():
    """i=1 and j=2 store to one cell, of which neither promise said anything."""
    s = assumed(in_turn, ("B", "i"), ("B", "j"), ("C", "j"))
    s.compute_at("i", "j")
    assert "for j in 0..8  assumed independent in C\n" in s.show() + "\n"
    s.pipeline("j")
    original = allo.customize(in_turn).module
    rows = {"A": (0, 7)}
    agreement.check(s, seeds=(0,), limits=rows, original=original, rtl=False)
    s = assumed(in_turn, ("B", "i"), ("B", "j"))
    s.compute_at("i", "j")
    s.pipeline("j")
    agreement.check(s, seeds=(0, 1), limits=rows, original=original, simulator="pysim")


def test_what_is_assumed_is_looked_at_again_when_loops_change():
    """A rewrite after which a promise is known to be false is refused, whatever it is."""
    old = allo.customize(prefix).module
    func, loop = old.top_func, old.top_func.body[-1]
    module = replace_loop(old, func, loop, replace(loop, independent=func.args[:1]))
    with pytest.raises(ScheduleError, match="iterations i=1 and i=2 both touch A") as caught:
        check_promises(module, old, changed_funcs(module, old), "rewrite()")
    assert caught.value.message.startswith("rewrite() keeps assume_independent of 'A'")
    check_promises(module, module, changed_funcs(module, module), "rewrite()")


def test_the_report_says_what_was_believed():
    report = assumed(add_at, ("bins", "i")).build(target="rtl").report()
    (note,) = (n for n in report.notes if "independent" in n)
    assert "loop 'i' is assumed to be independent in bins, as the schedule says" in note
    assert "assumed to be" in str(report)
