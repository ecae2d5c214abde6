"""How fast regions are simulated: the evaluator, and the compiled simulator.

    python -m benchmarks.regions

An operation is a get, a put, or an addition or multiplication of a kernel.
"""

# ruff: noqa: F821 - streams are declared by annotations
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.types import Stream, int32

N, M, K, TAPS = 2048, 4, 64, 64


@df.region()
def pipeline(A: int32[N], B: int32[N]):
    """Three kernels, FIFOs of 16 values."""
    first: Stream[int32, 16]
    second: Stream[int32, 16]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[N]):
        for i in range(N):
            first.put(a[i])

    @df.kernel(mapping=[1])
    def work():
        for _ in range(N):
            second.put(first.get() * 3 + 1)

    @df.kernel(mapping=[1], args=[B])
    def store(b: int32[N]):
        for i in range(N):
            b[i] = second.get()


@df.region()
def filters(A: int32[N], B: int32[N]):
    """A kernel that computes much for each value, FIFOs of 2."""
    link: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def load(a: int32[N]):
        for i in range(N):
            link.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def filter(b: int32[N]):
        window: int32[TAPS] = 0
        for i in range(N):
            for j in range(TAPS - 1):
                window[j] = window[j + 1]
            window[TAPS - 1] = link.get()
            total: int32 = 0
            for t in range(TAPS):
                total += window[t] * (t + 1)
            b[i] = total


@df.region()
def array(A: int32[M, K], B: int32[K, M], C: int32[M, M]):
    """A systolic array of 4 x 4, FIFOs of 2 values."""
    rows: Stream[int32, 2][M, M]
    columns: Stream[int32, 2][M, M]

    @df.kernel(mapping=[M], args=[A])
    def load_a(a: int32[M, K]):
        i = df.get_pid()
        for k in range(K):
            rows[i, 0].put(a[i, k])

    @df.kernel(mapping=[M], args=[B])
    def load_b(b: int32[K, M]):
        j = df.get_pid()
        for k in range(K):
            columns[0, j].put(b[k, j])

    @df.kernel(mapping=[M, M], args=[C])
    def pe(c: int32[M, M]):
        i, j = df.get_pid()
        total: int32 = 0
        for _ in range(K):
            x = rows[i, j].get()
            y = columns[i, j].get()
            total += x * y
            with allo.meta_if(j < M - 1):
                rows[i, j + 1].put(x)
            with allo.meta_if(i < M - 1):
                columns[i + 1, j].put(y)
        c[i, j] = total


CASES = {
    pipeline: (6 * N, ((N,), (N,))),
    filters: (N * (2 + 2 * TAPS), ((N,), (N,))),
    array: (K * (2 * M * (2 * M) + 2 * M * M), ((M, K), (K, M), (M, M))),
}
"""Each region with its operations, and the shapes of its arguments."""


def seconds(run: Callable[[], object]) -> float:
    """The least time of three runs on this core."""
    times = []
    for _ in range(3):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def main() -> None:
    """Print the table."""
    table = Table("region", "operations", "evaluator, op/s", "simulator, op/s", "times",
                  "compiled in (s)")  # fmt: skip
    for region, (operations, shapes) in CASES.items():
        args = [np.ones(shape, np.int32) for shape in shapes]
        schedule = df.customize(region)
        began = time.process_time()
        fast = df.build(schedule)
        compiled = time.process_time() - began
        slow = df.build(schedule, target="evaluator")
        rates = [operations / seconds(lambda m=m, args=args: m(*args)) for m in (slow, fast)]
        name = region.__name__
        table.add_row(name, f"{operations:,}", *(f"{r:,.0f}" for r in rates),
                      f"{rates[1] / rates[0]:.0f}", f"{compiled:.2f}")  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
