"""Kernels of several tasks, and a check that all that runs their schedules agrees."""

import agreement

import allo_rtl as allo
from allo_rtl.hls.tasks import split_tasks
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import Stateful, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.reference import ReferenceModule


def cycles(schedule, seeds=(0, 1), **options):
    """Cycles of a run in hardware, the same for each; it gives what the sequential kernel gives.

    So do the CPU build, and the module in processes on the evaluator, with finite FIFOs.
    """
    module = schedule.module
    legal = legalize(module)
    split, _ = split_tasks(legal)
    verify_module(split)
    sequential, parallel = ReferenceModule(legal), ReferenceModule(split)
    cpu = schedule.build()
    runs = []
    for seed in seeds:
        args = agreement.random_args(module, seed)
        expected = agreement.run(sequential.run_raw, module, args)
        assert agreement.run(parallel.run_raw, module, args) == expected
        assert agreement.run(cpu.run_raw, module, args) == expected
        runs.append((args, expected))
    hardware = schedule.build(target="rtl", **options)
    raws = [agreement.to_raw(module, args) for args, _ in runs]
    counts = set()
    for raw, (results, count), (_, expected) in zip(
        raws, pysim.run_all(KernelComponent(hardware.design), raws), runs, strict=True
    ):
        assert agreement.outcome(module, results, raw, expected.lines) == expected
        counts.add(count)
    assert len(counts) == 1
    assert hardware.predicted_cycles in (None, *counts)
    return counts.pop()


def pipelined(kernel, *loops):
    """The kernel's schedule with some loops pipelined."""
    schedule = allo.customize(kernel)
    for loop in loops:
        schedule.pipeline(loop)
    return schedule


# Kernels


def stages(A: int32[16]) -> int32[16]:
    B: int32[16]
    C: int32[16]
    D: int32[16]
    for i in allo.grid(16, name="one"):
        B[i] = A[i] + 1
    for j in allo.grid(16, name="two"):
        C[j] = B[j] * 2
    for k in allo.grid(16, name="three"):
        D[k] = C[k] - 3
    return D


def tiles(A: int32[8, 16], B: int32[8, 16]):
    for t in range(8):
        X: int32[16]
        Y: int32[16]
        for i in allo.grid(16, name="load"):
            X[i] = A[t, i]
        for j in allo.grid(16, name="work"):
            Y[j] = X[15 - j] * 3
        for k in allo.grid(16, name="store"):
            B[t, k] = Y[k] + 1


def calls_tiles(A: int32[8, 16], B: int32[8, 16]):
    tiles(A, B)


def halves(A: int32[8, 16], B: int32[8, 16], C: int32[8, 16]):
    for t in range(8):
        X: int32[2, 16]
        for i in allo.grid(16, name="upper"):
            X[0, i] = A[t, i] + 1
        for j in allo.grid(16, name="lower"):
            X[1, j] = B[t, 15 - j] * 3
        for k in allo.grid(16, name="both"):
            C[t, k] = X[0, k] - X[1, k]


def halves_with_gaps(A: int32[8, 16], B: int32[8, 16], C: int32[8, 16]):
    for t in range(8):
        X: int32[2, 16]
        for i in allo.grid(10, name="upper"):
            X[0, i] = A[t, i] + 1
        for j in allo.grid(12, name="lower"):
            X[1, j + 2] = B[t, j] * 3
        for k in allo.grid(16, name="both"):
            C[t, k] = X[0, k] - X[1, k]


def halves_and_words(A: int32[8, 16], B: int32[8, 16], C: int32[8, 16]):
    for t in range(8):
        X: int32[2, 16]
        W: int32[16]
        for i in allo.grid(16, name="upper"):
            X[0, i] = A[t, i] + 1
            W[i] = A[t, i] * 2
        for j in allo.grid(16, name="lower"):
            X[1, j] = B[t, j] + W[j]
        for k in allo.grid(16, name="both"):
            C[t, k] = X[0, 15 - k] - X[1, k]


def in_place(A: int32[6, 8], B: int32[6, 8]):
    """The tile is changed where it is."""
    for t in range(6):
        X: int32[8]
        for i in allo.grid(6, name="load"):
            X[i] = A[t, i]
        for j in allo.grid(8, name="work"):
            X[j] = X[j] * 3 + 1
        for k in allo.grid(8, name="store"):
            B[t, k] = X[7 - k]


def variables(A: int32[8], n: int32) -> int32:
    """Numbers and an argument that pass from nest to nest."""
    v: int32 = n + 1
    for i in allo.grid(8, name="one"):
        A[i] = A[i] + v
    w: int32 = A[3]
    for j in allo.grid(8, name="two"):
        A[j] = A[j] * w
    r: int32 = A[2] + v
    return r


def prologue(A: int32[16], n: int32, B: int32[16]):
    X: int32[16]
    v: int32 = n * n
    for i in allo.grid(16, name="one"):
        X[i] = A[i] + 1
    for j in allo.grid(16, name="two"):
        B[j] = X[j] * v


def sized(A: int32[12], n: int32, B: int32[12]):
    """A loop that runs as often as data say, from a start that data say."""
    for t in range(n & 3, 9, 2):
        x: int32 = 0
        y: int32 = 0
        for i in allo.grid(3, name="add"):
            x += A[t + i]
        for j in allo.grid(4, name="multiply"):
            y += x * A[j]
        for k in allo.grid(1, name="keep"):
            B[t + k] = y


def branches(A: int32[16], B: int32[16]):
    """Two ways from the first task to the last."""
    X: int32[16]
    Y: int32[16]
    S: int32[16]
    for i in allo.grid(16, name="fork"):
        X[i] = A[i] + 1
        Y[i] = A[i] * 2
    total: int32 = 0
    for j in allo.grid(16, name="sum"):
        total += X[j]
    for k in allo.grid(16, name="spread"):
        S[k] = total
    for m in allo.grid(16, name="join"):
        B[m] = Y[m] - S[m]


def add_one(A: int32[12], X: int32[12]):
    for i in allo.grid(12, name="add_one_"):
        X[i] = A[i] + 1


def mirrored(X: int32[12]) -> int32[12]:
    Y: int32[12]
    for j in allo.grid(12, name="mirror"):
        Y[j] = X[11 - j] * 2
    return Y


def chain(A: int32[12], B: int32[12]):
    """Two calls, one that stores to an argument and one with a result, and a nest."""
    X: int32[12]
    add_one(A, X)
    Y = mirrored(X)
    for k in allo.grid(12, name="subtract"):
        B[k] = Y[k] - A[k]


def rows(A: int32[5, 12], B: int32[5, 12]):
    for t in range(5):
        chain(A[t], B[t])


def row_after_row(A: int32[5, 12]):
    for t in range(4):
        chain(A[t], A[t + 1])


def longer_chain(A: int32[12], B: int32[12]):
    C: int32[12]
    chain(A, C)
    for m in allo.grid(12, name="square"):
        B[m] = C[m] * C[m]


M, N, K = 3, 4, 5


def product(A: int32[M, K], B: int32[K, N]) -> int32[M, N]:
    out: int32[M, N] = 0
    for i, j in allo.grid(M, N, name="product"):
        for k in allo.reduction(K):
            out[i, j] += A[i, k] * B[k, j]
    return out


def product_again(A: int32[M, N], B: int32[N, K]) -> int32[M, K]:
    out: int32[M, K] = 0
    for i, j in allo.grid(M, K, name="again"):
        for k in allo.reduction(N):
            out[i, j] += A[i, k] * B[k, j]
    return out


def two_products(A: int32[M, K], B: int32[K, N], C: int32[N, K]) -> int32[M, K]:
    AB = product(A, B)
    ABC = product_again(AB, C)
    return ABC


def gathered(kernel):
    """A product that sums up a row on chip."""
    schedule = allo.customize(kernel)
    schedule.reorder("k", "j")
    schedule.buffer_at("out", "i")
    schedule.pipeline("k")
    return schedule


def two_gathered():
    """The schedule of :func:`two_products` so far as it is the same with and without tasks."""
    schedule = allo.customize(two_products)
    schedule.compose(gathered(product))
    schedule.compose(gathered(product_again))
    return schedule


def stateful(A: int32[8], B: int32[8]):
    """What one task keeps from run to run, and what several do."""
    runs: int32 @ Stateful = 0
    kept: int32[8] @ Stateful = [1, 2, 3, 4, 5, 6, 7, 8]
    X: int32[8]
    runs += 1
    for i in allo.grid(8, name="make"):
        X[i] = A[i] * runs
    for j in allo.grid(8, name="keep"):
        kept[j] = kept[j] + X[j]
    for k in allo.grid(8, name="use"):
        B[k] = kept[7 - k] + runs


def starts_late(A: int32[12], n: int32, B: int32[12]):
    """A loop that starts at the larger of two numbers."""
    for t in range(max(n & 7, 2), 12):
        X: int32[4]
        for i in allo.grid(4, name="make"):
            X[i] = A[t] + i
        for j in allo.grid(1, name="use"):
            B[t] = X[3] - X[1 + j]


def two_filters(A: int32[8, 8], B: int32[5, 5]):
    X: int32[7, 7]
    for y, x in allo.grid(7, 7, name="first"):
        v: int32 = 0
        for r, c in allo.reduction(2, 2):
            v += A[y + r, x + c] * (r + 1)
        X[y, x] = v
    for p, q in allo.grid(5, 5, name="second"):
        w: int32 = 0
        for m, n in allo.reduction(3, 3):
            w += X[p + m, q + n] * (n + 2)
        B[p, q] = w


def margins(A: int32[5, 6], B: int32[5, 6]):
    """A table without its margins, and one with margins of zeros."""
    X: int32[3, 4]
    for i, j in allo.grid(5, 6, name="inner"):
        if i > 0 and i < 4 and j > 0 and not (j >= 5):
            X[i - 1, j - 1] = A[i, j]
    for m, n in allo.grid(5, 6, name="padded"):
        v: int32 = 0
        if m > 0 and m <= 3:
            w: int32 = 1
            if n % 6 != 0 and n < 5:
                v = X[m - 1, n - 1] + w
        B[m, n] = v
