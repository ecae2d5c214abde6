"""How long the CPU build of a long kernel takes.  Run by ``python -m benchmarks.cpu_compile``.

The kernel is one function of stages of about ten lines each, of all kinds: matrix products,
filters, softmax, sorting, fixed point, bits, while.  Each line of the table has more of them.
"""

import time

from rich.console import Console
from rich.table import Table

import allo_rtl as allo
from allo_rtl.ir.types import Fixed, float16, float32, int8, int16, int32, uint8

STAGES = (
    """
    C{n}: float32[16, 16] = 0.0
    for i{n}, j{n} in allo.grid(16, 16, name="gemm{n}"):
        for k{n} in allo.reduction(16):
            C{n}[i{n}, j{n}] += A[i{n}, k{n}] * B[k{n}, j{n}]
    for i{n}, j{n} in allo.grid(16, 16, name="relu{n}"):
        if C{n}[i{n}, j{n}] < 0.0:
            C{n}[i{n}, j{n}] = C{n}[i{n}, j{n}] * 0.01
        A[i{n}, j{n}] = C{n}[i{n}, j{n}] / 16.0
    """,
    """
    for i{n} in range(16):
        m{n}: float32 = A[i{n}, 0]
        for j{n} in range(16):
            m{n} = max(m{n}, A[i{n}, j{n}])
        t{n}: float32 = 0.0
        for j{n} in range(16):
            A[i{n}, j{n}] = allo.exp(A[i{n}, j{n}] - m{n})
            t{n} += A[i{n}, j{n}]
        for j{n} in range(16):
            A[i{n}, j{n}] = A[i{n}, j{n}] / t{n}
    """,
    """
    for i{n} in range(4, 60):
        acc{n}: int32 = 0
        for t{n} in allo.reduction(5):
            acc{n} += X[i{n} + t{n} - 4] * (t{n} - 2)
        low{n}: uint8 = acc{n}
        low{n}[3] = 1
        low{n}[4:8] = X[i{n}]
        if acc{n} % 3 == 0 and low{n} > 5:
            X[i{n}] = acc{n} >> 4
        else:
            X[i{n}] = (acc{n} + low{n}) // 7
    """,
    """
    for i{n} in range(15):
        for j{n} in range(15):
            if X[j{n}] > X[j{n} + 1]:
                swap{n}: int16 = X[j{n}]
                X[j{n}] = X[j{n} + 1]
                X[j{n} + 1] = swap{n}
    g{n}: int32 = X[0] + 1000
    while g{n} > 17:
        g{n} = g{n} - (g{n} >> 2) - 1
    """,
    """
    q{n}: Fixed(24, 12) = 0.5
    h{n}: float16 = 1.5
    for i{n} in range(16):
        for j{n} in range(16):
            q{n} = q{n} * 0.75 + A[i{n}, j{n}]
            h{n} = h{n} * 0.5 + A[j{n}, i{n}]
        B[i{n}, 0] = q{n}
        B[0, i{n}] = h{n}
        B[i{n}, i{n}] = allo.sqrt(allo.abs(A[i{n}, 3]))
    """,
)


def kernel_text(lines: int) -> str:
    """A kernel of at least so many lines."""
    text = "def kernel(A: float32[16, 16], B: float32[16, 16], X: int16[64]):\n"
    n = 0
    while text.count("\n") < lines:
        text += STAGES[n % len(STAGES)].format(n=n).lstrip("\n").rstrip(" ")
        n += 1
    return text


def measure(lines: int) -> tuple[int, float, float]:
    """Lines of the kernel, seconds until it is scheduled, seconds of its CPU build.

    Seconds of this process's own time, which others on the machine do not lengthen.
    """
    text = kernel_text(lines)
    names = {
        "allo": allo, "Fixed": Fixed, "float16": float16, "float32": float32, "int8": int8,
        "int16": int16, "int32": int32, "uint8": uint8,
    }  # fmt: skip
    began = time.process_time()
    schedule = allo.customize(text, global_vars=names)
    lowered = time.process_time()
    schedule.build()
    return text.count("\n"), lowered - began, time.process_time() - lowered


def main() -> None:
    """Measure kernels of several lengths, after one that warms up, and print a table."""
    measure(10)
    table = Table("lines", "customize s", "CPU build s")
    for lines in (50, 100, 200, 400):
        count, customize, build = measure(lines)
        table.add_row(str(count), f"{customize:.2f}", f"{build:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
