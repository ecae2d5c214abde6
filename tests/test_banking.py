"""Partitions that keep accesses apart do so in every iteration, and none that is cheaper does."""

from itertools import combinations, product
from math import prod

from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.hls.banking import Cut, in_two_banks, separating_cuts
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, DimPartition, Index, Partition, int32

SHAPE = (6, 8)
IVS = (Value(Index(), "i"), Value(Index(), "j"))


def partitioned(shape, cuts):
    parts = [None] * len(shape)
    for cut in cuts:
        parts[cut.dim - 1] = DimPartition(cut.kind, cut.factor)
    return ArrayType(int32, shape, tuple(parts))


def banks(type, subscripts, ivs):
    cells = [tuple(e.evaluate(ivs.__getitem__) for e in index) for index in subscripts]
    inside = [c for c in cells if all(0 <= x < n for x, n in zip(c, type.shape, strict=True))]
    return [Layout(type).place_const(cell)[0] for cell in inside]


def meet(type, subscripts):
    """Whether two of the accesses are in one bank in some iteration."""
    for values in product(range(6), repeat=2):
        used = banks(type, subscripts, dict(zip(IVS, values, strict=True)))
        if len(set(used)) < len(used):
            return True
    return False


OFFSETS = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=25, deadline=None)
@given(st.lists(OFFSETS, min_size=2, max_size=4, unique=True), st.integers(1, 2))
def test_accesses_a_constant_apart_never_meet_in_the_banks_found(offsets, stride):
    i, j = (AffineExpr.of(iv) for iv in IVS)
    subscripts = [(i + a, j * stride + b) for a, b in offsets]
    found = separating_cuts(ArrayType(int32, SHAPE), [subscripts])
    assert found, "complete partition of both dimensions keeps all words apart"
    assert all(not meet(partitioned(SHAPE, cuts), subscripts) for cuts in found[:6])
    counts = [prod(c.factor for c in cuts) for cuts in found]
    assert counts == sorted(counts)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=2, max_size=4, unique=True))
def test_no_partition_of_one_dimension_with_fewer_banks_would_do(offsets):
    i = AffineExpr.of(IVS[0])
    subscripts = [(i + a,) for a in offsets]
    best = separating_cuts(ArrayType(int32, (12,)), [subscripts])[0][0]
    for kind, factor in product((Partition.Cyclic, Partition.Block), range(2, 12)):
        cheaper = Cut(1, kind, factor)
        if cheaper.factor < best.factor:
            gaps = [abs(a - b) for a, b in combinations(offsets, 2)]
            near = Layout(partitioned((12,), (cheaper,))).bank_shape[0]
            cyclic = kind is Partition.Cyclic
            assert any(g % factor == 0 if cyclic else g < near for g in gaps)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 12)), min_size=2, max_size=3),
    st.sampled_from([Cut(1, kind, f) for kind in Partition for f in (2, 3, 4, 13)]),
)
def test_accesses_whose_distance_varies_are_apart_only_if_they_are(terms, cut):
    """A gap that varies may leave the same rest in each iteration."""
    i = AffineExpr.of(IVS[0])
    (a, b), type = [i * c + d for c, d in terms[:2]], partitioned((13,), (cut,))
    if in_two_banks(type, 0, cut.kind, a - b):
        assert not meet(type, [(a,), (b,)])


def test_both_ends_of_an_array_are_in_two_banks():
    i = AffineExpr.of(IVS[0])
    [first, *_] = separating_cuts(ArrayType(int32, (14,)), [[(i,), (i * -1 + 13,)]])
    assert first == (Cut(1, Partition.Cyclic, 2),)
    assert all(first.factor > 2 for first, in separating_cuts(
        ArrayType(int32, (13,)), [[(i,), (i * -1 + 12,)]]
    ))  # fmt: skip


def test_three_dimensions_where_two_are_not_enough():
    i, j, k = (AffineExpr.of(Value(Index(), name)) for name in "ijk")
    corners = [(i + a, j + b, k + c) for a, b, c in product((0, 1), repeat=3)]
    found = separating_cuts(ArrayType(int32, (4, 6, 8)), [corners])
    assert [(c.dim, c.factor) for c in found[0]] == [(1, 2), (2, 2), (3, 2)]
    for cuts in found:
        type = partitioned((4, 6, 8), cuts)
        for at in product(range(3), range(5), range(7)):
            cells = [tuple(x + d for x, d in zip(at, offset, strict=True))
                     for offset in product((0, 1), repeat=3)]  # fmt: skip
            assert len({Layout(type).place_const(c)[0] for c in cells}) == 8


def test_accesses_that_may_be_anywhere_are_not_kept_apart():
    i, j = (AffineExpr.of(iv) for iv in IVS)
    assert separating_cuts(ArrayType(int32, (12,)), [[(i,), (j,)]]) == []


def test_dimensions_that_are_partitioned_stay():
    i, j = (AffineExpr.of(iv) for iv in IVS)
    type = partitioned(SHAPE, [Cut(2, Partition.Cyclic, 2)])
    found = separating_cuts(type, [[(i, j), (i, j + 1), (i + 1, j)]])
    assert found[0] == (Cut(1, Partition.Cyclic, 2),)
    assert all(cut.dim == 1 for cuts in found for cut in cuts)
