"""Primitives after a split whose factor does not divide: the last block is shorter."""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.types import Partition, int8, int32


def gemm(A: int8[5, 4], B: int8[4, 6], C: int32[5, 6]):
    for i, j, k in allo.grid(5, 6, 4, name="gemm"):
        C[i, j] += A[i, k] * B[k, j]


def stages(A: int32[5, 4], D: int32[5, 4]):
    B: int32[5, 4] = 0
    for i, j in allo.grid(5, 4):
        B[i, j] = A[i, j] + 1
    for i1, j1 in allo.grid(5, 4):
        D[i1, j1] = B[i1, j1] * 2


def triangle(A: int32[5, 5], B: int32[5, 5], C: int32[5, 5]):
    for i in range(5):
        for j in range(i + 1):
            B[i, j] = A[i, j] + 1
    for i1 in range(5):
        for j1 in range(i1 + 1):
            C[i1, j1] = B[i1, j1] * 3


def apart(A: int32[7], B: int32[5]):
    for i in range(7):
        A[i] = A[i] * 3
    for j in range(5):
        B[j] = B[j] + 1


OUTER, INNER = "i.outer", "i.inner"
BLOCKS = [("split", "i", 3)]
TILES = [*BLOCKS, ("split", "j", 4), ("reorder", OUTER, "j.outer", "k", INNER, "j.inner")]
BOTH = [("split", "i", 3), ("split", "i1", 3)]
LEGAL = [
    (gemm, [*BLOCKS, ("pipeline", OUTER)]),
    (gemm, [*BLOCKS, ("pipeline", INNER, 24)]),
    (gemm, [*BLOCKS, ("parallel", OUTER), ("parallel", INNER), ("pipeline", "k")]),
    (gemm, [*BLOCKS, ("unroll", OUTER)]),
    (gemm, [*BLOCKS, ("unroll", INNER)]),
    (gemm, [*BLOCKS, ("unroll", INNER, 2)]),
    (gemm, [*BLOCKS, ("split", INNER, 2), ("split", OUTER, 1)]),
    (gemm, [*BLOCKS, ("reorder", "j", INNER), ("pipeline", INNER)]),
    (gemm, [*BLOCKS, ("reorder", "j", OUTER, INNER)]),
    (gemm, [*BLOCKS, ("buffer_at", "C", OUTER)]),
    (gemm, [*BLOCKS, ("reorder", "k", "j"), ("buffer_at", "C", INNER), ("pipeline", "j")]),
    (gemm, [*TILES, ("buffer_at", "C", "j.outer"), ("partition", "C_buf", 0, 2)]),
    (gemm, [*TILES, ("partition", "C", Partition.Cyclic, 2, 3), ("pipeline", INNER)]),
    (gemm, [*BLOCKS, ("outline", INNER)]),
    (gemm, [*BLOCKS, ("unfold", "gemm", [0])]),
    (stages, [*BOTH, ("compute_at", OUTER, "i1.outer")]),
    (stages, [*BOTH, ("compute_at", INNER, "i1.inner")]),
    (stages, [*BOTH, ("compute_at", "j", "j1"), ("pipeline", "j1")]),
    (triangle, [("compute_at", "j", "j1")]),
    (triangle, [("split", "j", 2), ("split", "j1", 2), ("compute_at", "j.inner", "j1.inner")]),
    (triangle, [("unroll", "j"), ("unroll", "j1", 2)]),
    (apart, [("split", "i", 3), ("split", "j", 2), ("overlap", OUTER, "j.outer")]),
]


def applied(kernel, steps):
    s = allo.customize(kernel)
    for name, *args in steps:
        getattr(s, name)(*args)
    return s


def _name(x):
    """Of a parameter, the same in every process: not with an address."""
    return getattr(x, "__name__", str(x)[-60:])


@pytest.mark.parametrize(("kernel", "steps"), LEGAL, ids=_name)
def test_it_computes_the_same(kernel, steps):
    original = allo.customize(kernel).module
    check(applied(kernel, steps), seeds=(0,), original=original, simulator="pysim")


def test_the_intermediate_array_is_gone_as_from_even_blocks():
    assert " B: " not in str(applied(stages, [*BOTH, ("compute_at", "j", "j1")]))


REFUSED = [
    (gemm, [*BLOCKS, ("fuse", OUTER, INNER)], "fuse needs constant bounds"),
    (gemm, [*BLOCKS, ("reorder", INNER, OUTER)], "depend on loop 'i.outer'"),
    (gemm, [*BLOCKS, ("unfold", "gemm", [0, 1])], "does not count from 0 to a constant"),
    (gemm, [("split", "k", 3), ("partial_sums", "k.inner")], "has bounds that vary"),
    (stages, [("split", "i", 3), ("split", "i1", 4), ("compute_at", OUTER, "i1.outer")],
     "would run before"),
    (stages, [("split", "i", 3), ("split", "i1", 4), ("compute_at", INNER, "i1.inner")],
     "needs constant bounds or the same ones"),
    (triangle, [("reorder", "j", "i")], "name loop 'j' too, behind 'i'"),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "steps", "reason"), REFUSED, ids=_name)
def test_what_needs_blocks_of_one_size_says_so(kernel, steps, reason):
    s = applied(kernel, steps[:-1])
    name, *args = steps[-1]
    with pytest.raises(ScheduleError) as caught:
        getattr(s, name)(*args)
    assert reason in str(caught.value)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["0", "{i}", "{i} // 2"]),
    st.sampled_from(["{i} + 1", "{i} + 3", "min({i} + 2, 4)", "5 - {i}"]),
    st.sampled_from(["B[i, j]", "B[j, i]", "B[i, 0]"]),
    st.sampled_from(["B[p, q]", "B[q, p]", "B[p, 0]", "B[p, q + 1]"]),
    st.sampled_from([(), ("i", "p")]),
)  # fmt: skip
def test_loops_with_the_same_bounds_become_one(low, high, written, read, split):
    """Whatever the bounds: those that are accepted compute the same, proved."""
    source = "\n".join([
        "def kernel(A: int32[8, 8], B: int32[8, 8], C: int32[8, 8]):", "    for i in range(4):",
        f"        for j in range({low}, {high}):".format(i="i"),
        f"            {written} = A[i, j] * 3 + i", "    for p in range(4):",
        f"        for q in range({low}, {high}):".format(i="p"),
        f"            C[p, q] += {read} * 2",
    ])  # fmt: skip
    s = allo.customize(source)
    for axis in split:
        s.split(axis, 3)
    try:
        s.compute_at("j", "q")
    except IllegalScheduleError:
        return
    verdict = allo.verify(source, s)
    assert verdict.equal
    assert verdict.proved
