"""Random schedules of real kernels in hardware: what is accepted changes no result."""

import random

import kernels
import numpy as np
import pytest
from agreement import as_ints, random_args
from test_fuzz_rtl import run_evaluator, run_hardware

import allo_rtl as allo
from allo_rtl import Partition
from allo_rtl.errors import AlloError, BuildError
from allo_rtl.hls.design import build_design
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import ArrayType, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.target import device


def down_and_up(A: int32[9, 8]) -> int32[9, 8]:
    B: int32[9, 8] = 0
    for i, j in allo.grid(9, 8):
        B[i, j] = A[8 - i, j] - 3
    for i in range(1, 9, 2):
        for j in range(8):
            B[i, j] = B[i - 1, j] + B[i, j]
    return B


def sweep(A: int32[6, 6]):
    for _t in range(3):
        for i in range(1, 5):
            for j in range(1, 5):
                A[i, j] = (A[i - 1, j] + A[i, j - 1] + A[i + 1, j]) // 3


def helper(X: int32[4, 5], Y: int32[4, 5], w: int32):
    for i, j in allo.grid(4, 5):
        Y[i, j] = X[i, j] * w + Y[i, j]


def calls(A: int32[4, 5], B: int32[4, 5]) -> int32[4, 5]:
    T: int32[4, 5] = 1
    helper(A, T, 3)
    helper(T, B, -2)
    U: int32[4, 5] = 0
    for i, j in allo.grid(4, 5):
        if i > j:
            U[i, j] = T[i, j] - B[i, j]
    return U


def scatter(X: kernels.uint8[12], Y: int32[8, 4]):
    for i in range(12):
        Y[X[i] % 8, X[i] // 64] += i


KERNELS = [
    kernels.gemm, kernels.matvec, kernels.conv3x3, kernels.fir, kernels.prefix_sum,
    kernels.histogram, kernels.transpose, kernels.odd_dot, kernels.triangle, kernels.sum_squares,
    kernels.two_level, kernels.branches, kernels.max_and_place, kernels.divisions, kernels.shifts,
    kernels.wide, down_and_up, sweep, calls, scatter,
]


def addresses(schedule):
    """Every loop of the module as the primitives name it."""
    return [
        f"{f.name}:{loop.name}" for f in schedule.module.funcs for loop in loops(f.body)
    ]


def arrays(schedule):
    found = []
    for f in schedule.module.funcs:
        values = [*f.args, *(v for op in walk(f.body) for v in op.results())]
        found += [f"{f.name}:{v.name}" for v in values if isinstance(v.type, ArrayType) and v.name]
    return sorted(set(found))


def random_step(s, dice):
    """Apply one random primitive."""
    axes = addresses(s)
    axis = dice.choice(axes) if axes else "i"
    match dice.choice(["split", "reorder", "fuse", "unroll", "pipeline", "pipeline", "partition",
                       "partition"]):
        case "split":
            s.split(axis, dice.choice([2, 3, 4]))
        case "reorder":
            func = axis.split(":")[0]
            same = [a for a in axes if a.startswith(f"{func}:")]
            s.reorder(*dice.sample(same, min(len(same), dice.choice([2, 3]))))
        case "fuse":
            at = axes.index(axis)
            s.fuse(*axes[at : at + 2])
        case "unroll":
            s.unroll(axis, dice.choice([0, 2, 3]))
        case "pipeline":
            s.pipeline(axis, dice.choice([None, None, 2, 5]))
        case "partition":
            kind = dice.choice(list(Partition))
            s.partition(dice.choice(arrays(s)), kind, dim=dice.choice([0, 1, 2]),
                        factor=0 if kind is Partition.Complete else dice.choice([2, 3]))


def run_case(seed):
    """One random schedule of one kernel; whether it could be built."""
    dice = random.Random(seed)
    kernel = dice.choice(KERNELS)
    s = allo.customize(kernel)
    original = s.module
    for _ in range(dice.randint(1, 6)):
        try:
            random_step(s, dice)
        except AlloError:
            continue
    verify_module(s.module)
    try:
        design = build_design(s.module, device(dice.choice(["ecp5-85", "ice40-up5k"])),
                              dice.choice([10, 45, 120]))
    except BuildError:
        return False
    args = random_args(original, seed)
    *got, cycles = run_hardware(s.module, design, args)
    assert tuple(got) == run_evaluator(original, args), (seed, kernel.__name__, s.history())
    assert design.top.latency in (None, cycles), (seed, kernel.__name__, s.history())
    return True


def test_random_schedules():
    built = sum(run_case(seed) for seed in range(40))
    assert built >= 20


@pytest.mark.long
@pytest.mark.parametrize("block", range(8))
def test_many_random_schedules(block):
    built = sum(run_case(seed) for seed in range(1000 + 150 * block, 1150 + 150 * block))
    assert built >= 70


def test_the_kernels_run():
    """The cases are worth something only if the reference itself computes something."""
    for kernel in KERNELS:
        module = allo.customize(kernel).module
        results, after = run_evaluator(module, random_args(module, 1))
        before = [as_ints(a) for a in random_args(module, 1)]
        assert np.any(np.array(results, dtype=object)) or after != before
