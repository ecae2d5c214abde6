"""The loop iterators and named operations in ordinary Python."""

import ml_dtypes
import numpy as np

import allo_rtl as allo
from allo_rtl.frontend.dsl import grid, reduction
from allo_rtl.ir import types


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


def test_elementwise_operations_are_numpys_on_arrays_lists_and_numbers():
    x = np.array([0.5, 1.5, 2.5])
    for name in ["exp", "log", "log2", "log10", "sqrt", "sin", "cos", "tan", "tanh", "abs"]:
        assert np.array_equal(getattr(allo, name)(x), getattr(np, name)(x)), name
    assert np.array_equal(allo.add([1, 2], 3), [4, 5])
    assert np.array_equal(allo.sub([[1], [2]], [1, 2]), [[0, -1], [1, 0]])
    assert allo.mul(3, 4) == 12
    assert allo.div(1, 4) == 0.25
    assert np.array_equal(allo.power([2, 3], 2), [4, 9])
    assert np.array_equal(allo.relu([-1, 2]), [0, 2])


def test_operations_that_move_elements():
    x = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(allo.transpose(x, (1, 0, 2)), x.transpose(1, 0, 2))
    assert np.array_equal(allo.transpose(x), x.T)
    assert np.array_equal(allo.view(x, (4, -1)), x.reshape(4, 6))
    assert np.array_equal(allo.concat(x, x, axis=1), np.concatenate([x, x], axis=1))
    assert np.array_equal(allo.tril(x[0]), [[0, 0, 0, 0], [4, 5, 0, 0], [8, 9, 10, 0]])
    made = allo.copy(x)
    made[0] = 0
    assert x[0].any()


def test_products():
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    assert np.array_equal(allo.matmul(a, b), a @ b)
    assert np.array_equal(allo.bmm([a, a], [b, b]), [a @ b, a @ b])
    assert np.array_equal(allo.linear(a, b.T, [1, 2, 3, 4]), a @ b + [1, 2, 3, 4])
    assert np.array_equal(allo.linear(a, b.T), a @ b)


def test_windows():
    x, k = np.arange(50).reshape(1, 2, 5, 5), np.arange(12).reshape(1, 2, 2, 3)
    expected = [
        [np.sum(x[0, :, h : h + 2, w : w + 3] * k[0]) for w in range(3)] for h in range(4)
    ]
    assert np.array_equal(allo.conv2d(x, k)[0, 0], expected)
    assert np.array_equal(allo.conv2d(x, k, stride=2)[0, 0], np.array(expected)[::2, ::2])
    window = np.empty((2, 3))
    assert allo.maxpool(x, window).shape == (1, 2, 4, 3)
    assert allo.maxpool(x, window)[0, 1, 2, 1] == x[0, 1, 2:4, 1:4].max()
    assert allo.sumpool(x, window, stride=(1, 2))[0, 1, 2, 1] == x[0, 1, 2:4, 2:5].sum()


def test_normalisations():
    x = np.array([[1.0, 2.0, 3.0], [1000.0, 1000.0, 1000.0]])
    assert np.allclose(allo.softmax(x).sum(-1), 1)
    assert np.allclose(allo.softmax(x)[1], 1 / 3)
    made = allo.layernorm(x, [2, 2, 2], [0, 0, 1])
    assert np.allclose(made[0], [-2 * np.sqrt(1.5), 0, 1 + 2 * np.sqrt(1.5)], atol=1e-4)
    assert np.allclose(made[1], [0, 0, 1])
    assert np.allclose(allo.gelu([-10.0, 0.0, 10.0]), [0, 0, 10])


def test_arrays_of_one_number_have_the_numpy_type_of_the_element_type():
    assert allo.zeros((2, 3)).dtype == np.int32
    assert np.array_equal(allo.ones(2, dtype=types.UInt(5)), np.ones(2, np.uint8))
    assert allo.ones(2, types.bool).dtype == np.bool_
    assert allo.ones(2, types.Fixed(8, 4)).dtype == np.float64
    assert allo.ones(2, types.bfloat16).dtype == ml_dtypes.bfloat16
    assert allo.ones(2, types.float8_e4m3).dtype == ml_dtypes.float8_e4m3fn
    assert allo.ones(2, types.float64).dtype == np.float64
    assert allo.ones(2, types.Int(100)).dtype == object
