"""unify: two kernels as one, which an instruction tells which of them to run."""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.customize import customize
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.types import Partition, int8, int32
from allo_rtl.primitives.unify import unify


def gemm(A: int8[3, 4], B: int8[4, 5], C: int32[3, 5]):
    for i, j, k in allo.grid(3, 5, 4):
        C[i, j] += A[i, k] * B[k, j]


def scale(C: int32[3, 5], w: int32) -> int32[3, 5]:
    D: int32[3, 5] = 0
    for i, j in allo.grid(3, 5):
        D[i, j] = C[i, j] * w
    return D


def test_the_instruction_says_which_kernel_runs():
    module = unify(gemm, scale, 3)
    assert module.top == "gemm_scale_unified"
    assert "func.func @gemm_scale_unified(" in str(module)
    top = customize(module).show().split("\n\n")[-1]
    assert top.splitlines()[:5] == [
        "gemm_scale_unified(A: int8[3, 4], B: int8[4, 5], C: int32[3, 5], w: int32, "
        "inst: int8[3]) -> int32[3, 5]",
        "  D: int32[3, 5]",
        "  unified: for step in 0..3",
        "    if ...",
        "      gemm(A, B, C)",
    ]
    random = np.random.default_rng(0)
    A, B = random.integers(-9, 9, (3, 4), np.int8), random.integers(-9, 9, (4, 5), np.int8)
    for program in ([0, 1, 0], [1, 1, 0], [0, 0, 0], [7, -1, 0]):
        C = np.zeros((3, 5), np.int32)
        D = customize(module).build()(A, B, C, 3, np.array(program, np.int8))
        wanted, last = np.zeros((3, 5), np.int32), np.zeros((3, 5), np.int32)
        for instruction in program:
            if instruction == 0:
                wanted += A.astype(np.int32) @ B
            else:
                last = wanted * 3
        assert np.array_equal(C, wanted)
        assert np.array_equal(D, last)


def test_it_is_the_same_on_all_targets_with_the_kernels_own_schedules():
    s = customize(gemm)
    s.reorder("k", "j")
    s.pipeline("j")
    s.partition(s.C, Partition.Cyclic, dim=2, factor=5)
    other = customize(scale)
    other.partition(other.C, Partition.Cyclic, dim=2, factor=5)
    unified = customize(unify(s, other, 4))
    unified.pipeline("scale:j")
    check(unified, limits={"inst": (0, 1)}, simulator="pysim")


def count(x: int32) -> int32:
    total: int32 @ Stateful = 5
    total += x
    return total


def halve(x: int32) -> int32:
    y = count(x)
    return y // 2


def test_names_that_both_have_stay_apart_and_state_too():
    s = customize(unify(count, halve, 4))
    assert sorted(f.name for f in s.module.funcs) == [
        "count", "count_1", "count_halve_unified", "halve",
    ]  # fmt: skip
    run = s.build()
    program = np.array([0, 0, 1, 0], np.int8)
    assert run(1, program) == [8, 3]
    assert run(2, program) == [14, 4]
    again = customize(unify(count, count, 2))
    assert again.build()(10, np.array([1, 1], np.int8)) == [0, 25]
    check(s, limits={"inst": (0, 1)})


def widened(C: int8[3, 5], w: int32):
    for i, j in allo.grid(3, 5):
        C[i, j] = w


def test_arguments_of_other_types_are_other_arguments():
    names = [a.name for a in unify(scale, widened, 2).top_func.args]
    assert names == ["C", "w", "C_1", "inst"]


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_the_number_of_instructions(count):
    with pytest.raises(ScheduleError, match=r"unify is given .* instructions"):
        unify(gemm, scale, count)


def test_one_array_has_one_partition():
    s = customize(gemm)
    s.partition(s.C, dim=1)
    with pytest.raises(ScheduleError) as caught:
        unify(s, scale, 2)
    assert caught.value.message == (
        "'C' is one array of both kernels, and they partition it differently"
    )


def dynamic(A: int32[...], n: int32):
    for i in range(n):
        A[i] = i


def test_shapes_are_constant():
    with pytest.raises(ScheduleError, match="unify needs constant shapes"):
        unify(gemm, dynamic, 2)
