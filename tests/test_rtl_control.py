"""Control that depends on data, in hardware: predicates, bounds, subscripts, calls, early ends.

Each kernel agrees with evaluator and CPU build, pipelined or not, and in the cycles promised.
"""

import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.errors import BuildError
from allo_rtl.ir.types import (
    Fixed,
    Struct,
    UFixed,
    bfloat16,
    float16,
    float32,
    int8,
    int32,
    uint8,
)
from allo_rtl.rtl.interface import is_signed

Pair = Struct({"a": int8, "b": float16})


def predicated(A: int32[8], B: int32[8]):
    for i in range(8):
        if A[i] > 0:
            if A[i] % 2 == 0:
                B[i] = A[i] * 3
            else:
                B[i] += 1
        else:
            if B[i] < 0:
                B[i] = -B[i]


def around(A: int32[8], n: int32) -> int32:
    s: int32 = 0
    if n > 3:
        for i in range(8):
            if A[i] > n:
                for j in range(3):
                    s += A[i] * j
            else:
                s -= 1
    else:
        if n == 2:
            for i in range(4):
                s += A[i]
    return s


def bounds(A: int32[8], L: int8[8], H: int8[8]) -> int32[8]:
    R: int32[8] = 0
    for i in range(8):
        for j in range(L[i], H[i]):
            R[i] += A[j]
    return R


def gather(A: int32[8], P: uint8[8]) -> int32[8]:
    R: int32[8] = 0
    for i in range(8):
        R[P[i] % 8] += A[(P[i] + 3) % 8]
    return R


def helper(A: int32[8], k: int32) -> int32:
    s: int32 = 0
    for i in range(8):
        A[i] += k
        s += A[i]
    return s


def fill(x: int32) -> int32[4]:
    R: int32[4] = 0
    for i in range(4):
        R[i] = x + i
    return R


def calls(A: int32[8], n: int32) -> (int32, int32[8], int32):
    t: int32 = 0
    R: int32[8] = 0
    for i in range(4):
        if A[i] > n:
            t += helper(A, i)
        else:
            B: int32[4] = fill(A[i])
            R[i] = B[1] + B[2]
    return t, R, t * 2


def early(A: int32[8], x: int32) -> int32:
    for i in range(8):
        if A[i] == x:
            return i
    return -1


def floats(X: float32[8], n: int32) -> (float32, float32):
    m: float32 = X[0]
    s: float32 = 0.0
    for i in range(8):
        if X[i] > m:
            m = X[i]
        s += X[i] * X[i] if X[i] > 0.5 else X[i] / 3.0
    return m, s


def select(A: int32[8], B: int32[8], c: int32) -> int32[8]:
    R: int32[8] = 0
    for i in range(8):
        a: int32 = A[i] if c > 0 else B[i]
        R[i] = min(a, B[i]) if a > 3 else max(a, -5)
    return R


LIMITS = {
    "A": (-20, 20), "B": (-20, 20), "n": (-2, 8), "L": (0, 7), "H": (0, 8), "x": (-20, 20),
    "c": (-3, 3),
}  # fmt: skip
SEEDS = {floats: (0,)}  # Amaranth's simulator takes seconds for a divider of floats
KERNELS = [predicated, around, bounds, gather, calls, early, floats, select]
PIPELINED = [
    (predicated, "i"), (around, "j"), (bounds, "i"), (bounds, "j"), (gather, "i"), (calls, "i"),
    (floats, "i"), (select, "i"),
]  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_in_sequence(kernel):
    check(allo.customize(kernel), SEEDS.get(kernel, range(5)), LIMITS, simulator="pysim")


@pytest.mark.parametrize(("kernel", "axis"), PIPELINED)
def test_pipelined(kernel, axis):
    s = allo.customize(kernel)
    s.pipeline(axis)
    check(s, SEEDS.get(kernel, range(5)), LIMITS, simulator="pysim")


def test_what_depends_on_data_has_no_latency_and_what_does_not_has():
    latency = {k: allo.customize(k).build(target="rtl").predicted_cycles for k in KERNELS}
    assert [k.__name__ for k, cycles in latency.items() if cycles is None] == [
        "around", "bounds", "calls", "early",
    ]  # fmt: skip


def open_ended(A: int32[...], n: int32) -> int32:
    total: int32 = 0
    for i in range(n):
        total += A[i]
    return total


def test_arrays_of_unknown_size_are_refused():
    with pytest.raises(BuildError) as caught:
        allo.customize(open_ended).build(target="rtl")
    assert caught.value.loc.text == "def open_ended(A: int32[...], n: int32) -> int32:"
    assert caught.value.message == (
        "A is int32[...]: a memory in hardware has a size that is known when it is built"
    )
    assert caught.value.allowed == "arrays with constant extents"
    assert caught.value.hint == "give it an extent, or use the CPU build"


def typed(x: float32, y: Fixed(12, 4), p: Pair, A: bfloat16[4]) -> (UFixed(9, 1), float16[2]):
    B: float16[2] = 0.0
    B[1] = A[0] + x
    z: UFixed(9, 1) = y
    return z, B


def test_ports_have_the_types_of_the_user():
    ports = allo.customize(typed).build(target="rtl").interface
    assert [(p.name, str(p.type)) for p in (*ports.args, *ports.results)] == [
        ("x", "float32"), ("y", "Fixed(12, 4)"), ("p", str(Pair)), ("A", "bfloat16[4]"),
        ("result", "UFixed(9, 1)"), ("B", "float16[2]"),
    ]  # fmt: skip
    assert ports.signals()["p"] == ("input", 24)
    assert [is_signed(p.type) for p in ports.args[:3]] == [False, True, False]
