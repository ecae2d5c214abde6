"""Integer and array types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.ir import types
from allo_rtl.ir.types import ArrayType, DimPartition, Int, Partition, UInt, index, int8, int32


@given(st.integers(1, 80), st.integers())
def test_wrap_keeps_the_low_bits_in_range(width, value):
    for t in (Int(width), UInt(width)):
        wrapped = t.wrap(value)
        assert t.min <= wrapped <= t.max
        assert (wrapped - value) % (1 << width) == 0
        assert t.wrap(wrapped) == wrapped


def test_ranges():
    assert (Int(8).min, Int(8).max) == (-128, 127)
    assert (UInt(8).min, UInt(8).max) == (0, 255)
    assert (Int(1).min, Int(1).max) == (-1, 0)
    assert index.wrap(1 << 63) == index.min == -(1 << 63)


def test_types_compare_by_what_they_are():
    assert Int(8) == int8
    assert Int(8) != UInt(8)
    assert types.bool_ == UInt(1)
    assert types.uint256 == UInt(256)
    assert {Int(5): 1}[Int(5)] == 1


@pytest.mark.parametrize("width", [0, -3, 2.5, True, "8"])
def test_a_width_is_a_positive_int(width):
    with pytest.raises(ValueError, match="an integer type needs a width of 1 bit or more, not"):
        Int(width)


def test_indexing_a_scalar_type_makes_an_array():
    array = int32[8, 4]
    assert array == ArrayType(int32, (8, 4))
    assert (array.rank, array.size, str(array)) == (2, 32, "int32[8, 4]")
    assert int32[3] == ArrayType(int32, (3,))
    assert ArrayType(int32, ()).size == 1


@pytest.mark.parametrize("extent", [0, -1, 1.5, True])
def test_dimensions_are_positive_ints(extent):
    with pytest.raises(ValueError, match="an array dimension must be an int of 1 or more, not"):
        ArrayType(int32, (4, extent))


def test_partitions():
    part = DimPartition(Partition.Cyclic, 2)
    array = int32[8, 4].with_partition(1, part)
    assert array.partition == (None, part)
    assert array != int32[8, 4]
    assert array.unpartitioned == int32[8, 4]
    assert array.with_partition(1, None) == int32[8, 4]
    with pytest.raises(ValueError, match=r"^partition must have one entry a dimension$"):
        ArrayType(int32, (8, 4), (part,))
