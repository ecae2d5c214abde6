"""What refusals say: the true reason, and what to do."""

import pytest

import allo_rtl as allo
from allo_rtl.errors import AlloError, BuildError, IllegalScheduleError, ScheduleError
from allo_rtl.ir.types import int32


def left_early(A: int32[8], C: int32[8]):
    for i in range(8):
        if A[i] > 3:
            break
        C[i] = A[i]


def left_inside(A: int32[8, 8], C: int32[8]):
    for i in range(8):
        for j in range(8):
            if A[i, j] > 3:
                break
            C[i] += A[i, j]


def empty(A: int32[8], C: int32[8]):
    for i in range(0):
        C[i] = A[i] + A[i + 1]


def by_arguments(n: int32, m: int32, A: int32[16]):
    for i in range(n, m):
        A[i] = 1
    for j in range(A[2], 2 * n + 1):
        A[j] = 1


def step(X: int32[4], Y: int32[4]):
    for i in range(3):
        Y[i + 1] = X[i] + 1


def steps(A: int32[8]):
    step(A[0:4], A[2:6])


def refusal(kind: type[AlloError], work) -> str:
    with pytest.raises(kind) as caught:
        work()
    return str(caught.value)


def test_a_for_loop_that_a_break_leaves_is_told_how_to_be_a_loop():
    text = refusal(ScheduleError, lambda: allo.customize(left_early).pipeline("i"))
    assert "data decide when loop 'i' of left_early ends" in text
    assert 'for i in allo.grid(8, name="search")' in text
    text = refusal(ScheduleError, lambda: allo.customize(left_early).pipeline("k"))
    assert "there is no loop 'k'" in text
    assert "name=" not in text


def test_a_loop_around_such_a_loop_is_not_called_the_innermost():
    text = refusal(ScheduleError, lambda: allo.customize(left_inside).buffer_at("C", "i"))
    assert "data decide how often the loop inside loop 'i' runs" in text
    assert "for j in range(8)" in text
    assert "innermost" not in text


def test_no_iterations_are_not_bounds_that_vary():
    text = refusal(ScheduleError, lambda: allo.customize(empty).reuse_at("A", "i"))
    assert "loop 'i' has no iterations" in text
    assert "constant bounds" not in text


@pytest.mark.parametrize(
    "target", ["rtl", "cpu", "llvm", "simulator", "evaluator", None]
)
def test_options_that_a_target_does_not_have(target):
    text = refusal(BuildError, lambda: allo.customize(empty).build(target=target, clock=1))
    assert f"target {target or 'cpu'!r} has no option 'clock'" in text
    assert ("device, clock_mhz" in text) == (target == "rtl")


def test_steps_are_no_option():
    text = refusal(BuildError, lambda: allo.customize(empty).build(target="rtl", steps=tuple))
    assert "has no option 'steps'" in text


def test_parts_of_one_array_are_named_by_their_own_subscripts():
    text = refusal(IllegalScheduleError, lambda: allo.customize(steps).parallel("step:i"))
    assert "iteration (i=0) reads X[0]" in text
    assert "iteration (i=1) writes Y[2]" in text
    assert "a call gives X and Y parts of one array" in text


def test_bounds_are_shown_as_the_source_has_them():
    s = allo.customize(by_arguments)
    assert "for i in n..m" in str(s)
    assert "for j in A[2]..2*n + 1" in str(s)
    s.split("i", 3)
    assert "for i.inner in 0..min(3, -n + m - 3*i.outer)" in str(s)
    assert "A[n + 3*i.outer + i.inner] = ..." in str(s)
    assert "?" not in str(s)
    assert "?" not in s.step_reports()[0].after
