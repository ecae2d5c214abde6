"""Layouts: every element has a place of its own, and the banks are as full as they can be."""

from itertools import product

import pytest
from hypothesis import given
from ir_generators import array_types

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import DimPartition, Partition, index, int8


def places(array):
    layout = Layout(array)
    return {at: layout.place_const(at) for at in product(*map(range, array.shape))}


@given(array_types(max_rank=3))
def test_places_are_distinct_and_in_range(array):
    layout, found = Layout(array), places(array)
    assert len(set(found.values())) == array.size
    assert all(0 <= b < layout.banks and 0 <= a < layout.depth for b, a in found.values())


@given(array_types(max_rank=3))
def test_places_as_expressions_and_as_numbers_agree(array):
    layout = Layout(array)
    values = [Value(index) for _ in array.shape]
    bank, address = layout.place(tuple(map(AffineExpr.of, values)))
    for at, place in places(array).items():
        env = dict(zip(values, at, strict=True))
        assert (bank.evaluate(env.get), address.evaluate(env.get)) == place


@pytest.mark.parametrize(
    ("kind", "factor", "banks"),
    [
        (Partition.Complete, 6, [0, 1, 2, 3, 4, 5]),
        (Partition.Block, 2, [0, 0, 0, 1, 1, 1]),
        (Partition.Block, 4, [0, 0, 1, 1, 2, 2]),
        (Partition.Cyclic, 2, [0, 1, 0, 1, 0, 1]),
        (Partition.Cyclic, 4, [0, 1, 2, 3, 0, 1]),
    ],
)
def test_banks_of_one_dimension(kind, factor, banks):
    array = int8[6].with_partition(0, DimPartition(kind, factor))
    assert [bank for bank, _ in places(array).values()] == banks
    assert Layout(array).banks == factor
    assert Layout(array).depth == -(-6 // factor)


def test_dimensions_combine_row_major():
    array = int8[4, 6].with_partition(1, DimPartition(Partition.Cyclic, 3))
    layout = Layout(array)
    assert (layout.banks, layout.depth) == (3, 8)
    assert layout.place_const((2, 4)) == (1, 2 * 2 + 1)
    assert Layout(array.unpartitioned).place_const((2, 4)) == (0, 2 * 6 + 4)
