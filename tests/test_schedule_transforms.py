"""split, reorder and fuse: what they make, and that it computes the same."""

from dataclasses import replace

import numpy as np
import pytest
from agreement import check
from hypothesis import given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.rewrite import loops as all_loops
from allo_rtl.ir.types import int8, int32
from allo_rtl.ir.verify import verify_module


def scale(A: int32[6, 7], B: int32[6, 7]):
    for i, j in allo.grid(6, 7):
        B[i, j] = A[i, j] * 3 + i * 10 + j


def gemm(A: int32[5, 6], B: int32[6, 7], C: int32[5, 7]):
    for i, j, k in allo.grid(5, 7, 6):
        C[i, j] += A[i, k] * B[k, j]


def stepped(A: int32[32]):
    for i in range(3, 30, 4):
        A[i] = A[i - 3] + i


def triangle(A: int32[8, 8]):
    for i in range(8):
        for j in range(i):
            A[i, j] = A[j, i] + 1


def imperfect(A: int32[4, 4], B: int32[4]):
    for i in range(4):
        B[i] = i
        for j in range(4):
            A[i, j] = B[i]


def run(schedule, seed=0):
    """The arguments of the top function after a run on random data."""
    verify_module(schedule.module)
    rng = np.random.default_rng(seed)
    args = [
        rng.integers(-1000, 1000, a.array.shape).astype(np.int32) for a in schedule.top_func.args
    ]
    evaluate(schedule.module, args)
    return [a.tolist() for a in args]


def loop_names(schedule):
    return [loop.name for loop in all_loops(schedule.top_func.body)]


def test_split_by_a_divisor():
    s = customize(scale)
    expected = run(s)
    s.split("i", 3)
    assert s.show().splitlines()[1:] == [
        "  S_i_j_0: for i.outer in 0..2",
        "    for i.inner in 0..3",
        "      for j in 0..7",
        "        B[3*i.outer + i.inner, j] = ...",
    ]
    assert run(s) == expected


def test_split_by_another_factor_has_a_shorter_last_block():
    s = customize(scale)
    expected = run(s)
    s.split("j", 4)
    assert s.show().splitlines()[2:4] == [
        "    for j.outer in 0..2",
        "      for j.inner in 0..min(4, -4*j.outer + 7)",
    ]
    assert run(s) == expected


def test_split_of_a_loop_with_a_start_and_a_step():
    s = customize(stepped)
    expected = run(s)
    s.split("i", 2)
    assert "A[8*i.outer + 4*i.inner + 3] = ..." in s.show()
    assert run(s) == expected


def test_split_twice():
    s = customize(scale)
    expected = run(s)
    s.split("j", 4)
    s.split("i", 4)
    s.split("j.inner", 3)
    assert s.show().splitlines()[4:6] == [
        "        for j.inner.outer in 0..min(2, -2*j.outer + (2*j.outer) floordiv 3 + 3)",
        "          for j.inner.inner in 0..min(3, -3*j.inner.outer + 4, "
        "-4*j.outer - 3*j.inner.outer + 7)",
    ]
    assert run(s) == expected


@pytest.mark.parametrize("factor", [0, 6, 7, -1, 2.0, True])
def test_split_factors_that_do_not_fit(factor):
    with pytest.raises(ScheduleError) as caught:
        customize(scale).split("i", factor)
    assert caught.value.message == (
        f"the factor of split is {factor!r}, and loop 'i' has 6 iterations"
    )
    assert caught.value.allowed == "a number of iterations from 1 to 5"


def test_split_of_a_loop_whose_bounds_are_not_constant():
    s = customize(triangle)
    expected = run(s)
    s.split("j", 3)
    assert s.show().splitlines()[2:4] == [
        "    S_j_0: for j.outer in 0..(i + 2) floordiv 3",
        "      for j.inner in 0..min(3, i - 3*j.outer)",
    ]
    assert run(s) == expected
    with pytest.raises(ScheduleError) as caught:
        s.split("j.outer", 0)
    assert caught.value.message == (
        "the factor of split is 0, and loop 'j.outer' has as many iterations as data say"
    )


def data_bounds(A: int32[16], first: int8, last: int8):
    for i in range(first, last, 2):
        A[i] += i


def test_split_of_a_loop_whose_bounds_are_data():
    s = customize(data_bounds)
    s.split("i", 3)
    s.pipeline("i.inner")
    with pytest.raises(ScheduleError, match=r"is inside loop 'i\.outer'"):
        s.pipeline("i.outer")
    original = customize(data_bounds).module
    check(s, range(4), {"first": (0, 15), "last": (-3, 16)}, original, simulator="pysim")


def test_split_moves_a_pipeline_inside_and_refuses_an_unrolled_loop():
    s = customize(scale)
    s.pipeline("j", initiation_interval=2)
    s.split("j", 2)
    assert "for j.outer in 0..4\n" in s.show()
    assert "for j.inner in 0..min(2, -2*j.outer + 7)  pipeline II=2\n" in s.show()
    s.unroll("i")
    with pytest.raises(ScheduleError) as caught:
        s.split("i", 2)
    assert caught.value.hint == "split before unroll"


def test_reorder_puts_loops_in_the_slots_they_take():
    s = customize(gemm)
    expected = run(s)
    s.reorder("k", "i")
    assert loop_names(s) == ["k", "j", "i"]
    assert [name for name, _ in s.get_loops()] == ["S_i_j_k_0"]
    assert run(s) == expected


def test_reorder_of_split_loops():
    s = customize(gemm)
    expected = run(s)
    s.split("j", 4)
    s.reorder("k", "j.outer", "j.inner")
    assert loop_names(s) == ["i", "k", "j.outer", "j.inner"]
    assert run(s) == expected
    with pytest.raises(ScheduleError) as caught:
        s.reorder("j.inner", "j.outer")
    assert caught.value.message == (
        "the bounds of loop 'j.inner' depend on loop 'j.outer', which must stay outside it"
    )


def two_inside(A: int32[4, 4], B: int32[4, 4]):
    for i in range(4):
        for j in range(4):
            A[i, j] += 1
        for k in range(4):
            B[i, k] += 1


def test_reorder_of_loops_that_are_not_inside_each_other():
    with pytest.raises(ScheduleError) as caught:
        customize(two_inside).reorder("j", "k")
    assert caught.value.message == "loops 'j' and 'k' are not inside each other"
    assert caught.value.allowed == "loops of one nest, such as i, j"


def test_reorder_needs_two_different_loops():
    with pytest.raises(ScheduleError, match=r"reorder needs at least 2 loops"):
        customize(gemm).reorder("i")
    with pytest.raises(ScheduleError) as caught:
        customize(gemm).reorder("i", "i")
    assert caught.value.message == "reorder is given the same loop twice"


def test_fuse_makes_one_loop():
    s = customize(scale)
    expected = run(s)
    handle = s.fuse("i", "j")
    assert handle.name == "scale:S_i_j_0.i_j_fused"
    assert s.show().splitlines()[1:] == [
        "  S_i_j_0: for i_j_fused in 0..42",
        "    B[(i_j_fused) floordiv 7, (i_j_fused) mod 7] = ...",
    ]
    assert run(s) == expected
    s.split(handle, 6)
    assert run(s) == expected


def test_fuse_of_all_loops_and_of_the_inner_ones():
    expected = run(customize(gemm))
    for axes, name in [("ijk", "i_j_k_fused"), ("jk", "j_k_fused"), ("ij", "i_j_fused")]:
        s = customize(gemm)
        s.fuse(*axes)
        assert name in loop_names(s)
        assert run(s) == expected


def test_fuse_of_loops_that_do_not_follow_one_another():
    for axes, inner, outer in [("ik", "k", "i"), ("ji", "i", "j")]:
        with pytest.raises(ScheduleError) as caught:
            customize(gemm).fuse(*axes)
        assert caught.value.message == (
            f"loop {inner!r} is not directly inside loop {outer!r}, with nothing beside it"
        )


def test_fuse_needs_constant_bounds_and_unmarked_loops():
    with pytest.raises(ScheduleError) as caught:
        customize(triangle).fuse("i", "j")
    assert caught.value.message == "fuse needs constant bounds, but those of loop 'j' are not"
    s = customize(scale)
    s.unroll("j")
    with pytest.raises(ScheduleError) as caught:
        s.fuse("i", "j")
    assert caught.value.message == "loop 'j' is unrolled already"
    assert caught.value.hint == "fuse before unroll"


def test_a_name_that_is_gone_tells_what_replaced_it():
    s = customize(gemm)
    old = s.get_loops().S_i_j_k_0.i
    s.split("i", 2)
    s.fuse("j", "k")
    with pytest.raises(ScheduleError) as caught:
        s.pipeline(old)
    assert caught.value.message == (
        "there is no loop 'i' in gemm any more: split('i', 2) replaced it"
    )
    assert caught.value.allowed == "i.outer, i.inner"
    with pytest.raises(ScheduleError) as caught:
        s.pipeline("k")
    assert caught.value.message.endswith("fuse('j', 'k') replaced it")


def test_loops_of_two_bands_do_not_mix():
    def two(A: int32[4], B: int32[4]):
        for i in range(4):
            A[i] = i
        for j in range(4):
            B[j] = j

    with pytest.raises(ScheduleError) as caught:
        customize(two).reorder("i", "j")
    assert caught.value.message == (
        "reorder is given loops of different bands: two:S_i_0, two:S_j_1"
    )


BASE = customize(gemm)
EXPECTED = run(BASE)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_sequence_of_transforms_computes_the_same(data):
    s = customize(BASE.module)
    for _ in range(data.draw(st.integers(1, 4))):
        names = loop_names(s)
        try:
            match data.draw(st.sampled_from(["split", "reorder", "fuse"])):
                case "split":
                    s.split(data.draw(st.sampled_from(names)), data.draw(st.integers(1, 4)))
                case "reorder":
                    s.reorder(*data.draw(st.permutations(names)))
                case "fuse":
                    first = data.draw(st.integers(0, len(names) - 1))
                    s.fuse(*names[first : first + 2])
        except ScheduleError:
            continue
    assert run(s) == EXPECTED


def test_a_primitive_never_changes_the_module_it_is_given():
    s = customize(gemm)
    module, text = s.module, s.show()
    s.split("i", 2)
    s.fuse("j", "k")
    assert customize(replace(module)).show() == text


def test_a_split_loop_whose_counter_is_used_as_a_number_can_be_reordered():
    """The number is computed inside, so that nothing stands between the loops."""

    def below(A: int32[8, 6]) -> int32[8]:
        total: int32[8] = 0
        for i, j in allo.grid(8, 6, name="below"):
            if j < i:
                total[i] += A[i, j]
        return total

    s = allo.customize(below)
    s.split("i", 2)
    s.reorder("j", "i.inner")
    s.fuse("i.outer", "j")
    s.reorder("i.inner", "i.outer_j_fused")
    assert allo.verify(allo.customize(below), s)
