"""The loop iterators in ordinary Python."""

from allo_rtl.frontend.dsl import grid, reduction


def test_grid_of_one_extent_gives_numbers():
    assert list(grid(3)) == [0, 1, 2]


def test_grid_of_several_extents_gives_tuples_last_fastest():
    assert list(grid(2, 2, name="band", pipeline=True, unroll=[False, 2])) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]


def test_reduction_iterates_like_grid():
    assert list(reduction(2, 3)) == list(grid(2, 3))
    assert list(reduction(2, name="k")) == [0, 1]
