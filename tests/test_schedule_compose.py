"""reshape and compose: what they change, and what they refuse."""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.schedule import Schedule


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


def gemm(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8]):
    for i, k, j in allo.grid(8, 8, 8, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]


def stages(A: int32[8, 4]) -> int32[8, 4]:
    B: int32[8, 4] = 0
    C: int32[8, 4] = 0
    for i, j in allo.grid(8, 4, name="first"):
        B[i, j] = A[i, j] + 1
    for i1, j1 in allo.grid(8, 4, name="second"):
        C[i1, j1] = B[i1, j1] * 2
    return C


# --- reshape ---------------------------------------------------------------------------------


def test_a_shape_changes_everywhere_the_array_goes():
    def inner(A: int32[6, 4]):
        for i, j in allo.grid(6, 4):
            A[i, j] += i * j

    def top(A: int32[6, 4]) -> int32[6, 4]:
        B: int32[6, 4] = A
        inner(B)
        return B

    s = customize(top)
    s.reshape(s.B, (3, 8))
    verify_module(s.module)
    data = np.arange(24).reshape(6, 4)
    (expected,) = evaluate(customize(top).module, [data])
    (found,) = evaluate(s.module, [data])
    np.testing.assert_array_equal(found, expected.reshape(3, 8))
    assert "inner(A: int32[3, 8])" in str(s)


def test_reshape_needs_as_many_elements():
    with pytest.raises(ScheduleError) as caught:
        customize(gemm).reshape("A", (8, 9))
    assert "'A' is int32[8, 8] with 64 elements, and the new shape (8, 9) has 72" in str(
        caught.value
    )


# --- compose ---------------------------------------------------------------------------------


def test_schedules_of_callees_are_replayed():
    def top(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8]):
        gemm(A, B, C)

    inner = customize(gemm)
    inner.reorder("k", "i", "j")
    outer, rest = inner.get_loops()["gemm"]["i"], "j"
    inner.split(outer, 4)
    inner.pipeline(rest)
    inner.partition(inner.B, dim=2)
    s = customize(top)
    s.compose(inner)
    unchanged(s, top)
    assert [str(step) for step in s.history()] == [
        "reorder('gemm:k', 'gemm:i', 'gemm:j')",
        "split('gemm:gemm.i', 4)",
        "pipeline('gemm:j')",
        "partition('gemm:B', partition_type=Partition.Complete, dim=2, factor=0)",
    ]
    assert s.get_equivalent_variables("B") == {"top:B", "gemm:B"}
    assert s.get_equivalent_variables("gemm:1") == {"top:B", "gemm:B"}
    with pytest.raises(ScheduleError, match="there is no argument 3"):
        s.get_equivalent_variables("gemm:3")


def test_a_failing_replay_changes_nothing():
    def top(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8]):
        gemm(A, B, C)

    inner = customize(gemm)
    inner.split("j", 4)
    inner.split("i", 2)
    s = customize(top)
    s.split("gemm:i", 2)
    before = str(s)
    with pytest.raises(ScheduleError):
        s.compose(inner)
    assert str(s) == before
    assert len(s.history()) == 1


def counter[T](x: T) -> T:
    n: T @ Stateful = 0
    for _i in range(4):
        n += x
    return n


def two_counters(x: int32) -> int32:
    a = counter[int32, "one"](x)
    b = counter[int32, "two"](x)
    c = counter[int32, "one"](x)
    return a * 100 + b * 10 + c


def test_an_instance_with_an_id_has_a_schedule_and_state_of_its_own():
    inner = customize(counter, instantiate=[int32])
    inner.pipeline("_i")
    s = customize(two_counters)
    s.compose(inner, id="two")
    assert [str(step) for step in s.history()] == ["pipeline('counter_two:_i')"]
    run = s.build()
    assert [run(1), run(1)] == [448, 1296]
    with pytest.raises(ScheduleError, match="Cannot find schedule for kernel"):
        s.compose(inner)


def test_compose_needs_a_schedule_of_something_that_is_called():
    with pytest.raises(ScheduleError, match="Cannot find schedule for kernel: stages does not ca"):
        customize(stages).compose(customize(gemm))
    with pytest.raises(TypeError, match="The first argument must be a Schedule object"):
        customize(stages).compose("gemm")  # type: ignore[arg-type]


def test_schedules_stay_independent():
    one, other = customize(gemm), customize(gemm)
    one.buffer_at("C", "i")
    assert isinstance(other, Schedule)
    assert "C_buf" not in str(other)
