"""The library's kernels against numpy, on the CPU and in hardware, with their schedules."""

import numpy as np
import pytest
from test_language import in_amaranth

import allo_rtl as allo
from allo_rtl.errors import LanguageError
from allo_rtl.ir.types import Fixed, float32, int8, int16, int32
from allo_rtl.library import KERNEL2SCHEDULE, gemv, nn, systolic

RNG = np.random.default_rng(1)
F3 = [float32] * 3


def floats(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def ints(low, high, *shape):
    return RNG.integers(low, high, shape)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def conv(x, k, b, stride, pad):
    x = np.pad(x, [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2])
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    return np.einsum("bchwij,ocij->bohw", windows, k) + b[:, None, None]


def pool(x, size, stride, pad, reduce, fill):
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return reduce(windows[:, :, ::stride, ::stride], (-2, -1))


def norm(x, g, b, e, m, v, axis):
    shape = [1] * x.ndim
    shape[axis] = -1
    g, b, m, v = (a.reshape(shape) for a in (g, b, m, v))
    return (x - m) / np.sqrt(v + e) * g + b


def layer_norm(x, g, b):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * g + b


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def attention(q, k, v, heads):
    split = [np.split(m, heads, axis=1) for m in (q, k, v)]
    heads_ = [softmax(a @ b.T / np.sqrt(a.shape[1])) @ c for a, b, c in zip(*split, strict=True)]
    return np.concatenate(heads_, axis=1)


def rope(x, cos, sin, heads):
    out = []
    for h in np.split(x, heads, axis=1):
        a, b = np.split(h, 2, axis=1)
        out += [a * cos - b * sin, b * cos + a * sin]
    return np.concatenate(out, axis=1)


X34, X44, POS = floats(3, 4), floats(4, 4), abs(floats(3)) + np.float32(0.5)
IMG, CH = floats(1, 2, 4, 4), floats(2)
V2 = abs(floats(2)) + np.float32(0.5)

CASES = [
    (nn.linear2d, [*F3, 3, 5, 4], (X34, floats(5, 4), floats(5)), lambda x, w, b: x @ w.T + b),
    (nn.linear3d, [*F3, 2, 3, 4, 5], (floats(2, 3, 4), floats(5, 4), floats(5)),
     lambda x, w, b: x @ w.T + b),
    (nn.relu2d, [float32, 3, 4], (X34,), lambda x: np.maximum(x, 0)),
    (nn.relu3d, [float32, 2, 3, 4], (floats(2, 3, 4),), lambda x: np.maximum(x, 0)),
    (nn.relu4d, [float32, 1, 2, 4, 4], (IMG,), lambda x: np.maximum(x, 0)),
    (nn.softmax, [float32, 4], (X44,), softmax),
    (nn.log_softmax, [float32, 3, 4], (X34,), lambda x: np.log(softmax(x))),
    (nn.layer_norm, [float32, 3, 4], (X34, floats(4), floats(4)), layer_norm),
    (nn.GeLU, [float32, 3, 4], (X34,), gelu),
    (nn.residual_add, [float32, 3, 4], (X34, floats(3, 4)), np.add),
    (nn.scaled_dot_product_attention, [float32, 2, 4, 4, 2, 2], (X44, floats(4, 4), floats(4, 4)),
     lambda q, k, v: attention(q, k, v, 2)),
    (nn.RoPE, [float32, 2, 3, 8], (floats(3, 8), floats(3, 2), floats(3, 2)),
     lambda x, c, s: rope(x, c, s, 2)),
    (nn.modulate_fused, [float32, 3, 4], (X34, floats(4), floats(4)),
     lambda x, shift, scale: x * (1 + scale) + shift),
    (nn.conv2d, [float32, 1, 2, 3, 4, 4, 3, 3, 2, 2, 2, 2, 1, 1],
     (IMG, floats(3, 2, 3, 3), floats(3)), lambda x, k, b: conv(x, k, b, (2, 2), (1, 1))),
    (nn.maxpool2d, [float32, 1, 2, 4, 4, 3, 2, 2, 2, 1], (IMG,),
     lambda x: pool(x, 3, 2, 1, np.max, -np.inf)),
    (nn.avgpool2d, [float32, 1, 2, 4, 4, 2, 2, 2, 2, 0], (IMG,),
     lambda x: pool(x, 2, 2, 0, np.mean, 0)),
    (nn.batchnorm2d, [float32, 1, 2, 4, 4], (IMG, CH, floats(2), 1e-5, floats(2), V2),
     lambda *a: norm(*a, axis=1)),
    (nn.batchnorm1d_2d, [float32, 3, 2], (floats(3, 2), CH, floats(2), 1e-5, floats(2), V2),
     lambda *a: norm(*a, axis=1)),
    (nn.batchnorm1d_3d, [float32, 2, 2, 3], (floats(2, 2, 3), CH, floats(2), 1e-5, floats(2), V2),
     lambda *a: norm(*a, axis=1)),
    (nn.repeat_batch3d, [float32, 2, 2, 3, 2], (floats(2, 2, 3),),
     lambda x: np.tile(x, (2, 1, 1))),
    (nn.concat, [float32, 2, 1, 2, 3], (floats(2, 1, 3), floats(2, 2, 3)),
     lambda a, b: np.concatenate([a, b], axis=1)),
]  # fmt: skip
NAMES = [c[0].__name__ for c in CASES]


def close(found, expected):
    """Within a few roundings of float32; infinities and signs of zero exactly."""
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def scheduled(kernel, instantiate):
    """The kernel with its predefined schedule, when it has one."""
    s = allo.customize(kernel, instantiate=instantiate)
    return KERNEL2SCHEDULE.get(kernel, lambda s: s)(s)


@pytest.mark.parametrize(("kernel", "instantiate", "args", "expected"), CASES, ids=NAMES)
def test_layers_on_the_cpu(kernel, instantiate, args, expected):
    close(scheduled(kernel, instantiate).build()(*args), expected(*args))


@pytest.mark.parametrize(("kernel", "instantiate", "args", "expected"), CASES, ids=NAMES)
def test_layers_in_hardware(kernel, instantiate, args, expected):
    s = scheduled(kernel, instantiate)
    found = in_amaranth(s.build(target="rtl"))(*args)
    np.testing.assert_array_equal(found, s.build()(*args))
    close(found, expected(*args))


def test_fixed_point_layers():
    kinds = [Fixed(16, 8)] * 2 + [Fixed(24, 8), 2, 3, 4]
    x, w, b = (np.round(floats(*n) * 16) / 16 for n in ((2, 4), (3, 4), (3,)))
    found = scheduled(nn.linear2d, kinds).build()(x, w, b)
    np.testing.assert_allclose(found, x @ w.T + b, atol=4 / 256)


# --- systolic arrays -------------------------------------------------------------------------


def packed(matrix, bits, axis, count):
    """Words of ``count`` neighbouring elements along an axis, the first in the low bits."""
    groups = np.split(matrix, matrix.shape[axis] // count, axis=axis)
    mask = (1 << bits) - 1
    words = [
        sum((np.take(g, p, axis=axis).astype(object) & mask) << (bits * p) for p in range(count))
        for g in groups
    ]
    signed = np.vectorize(
        lambda w: w - (1 << bits * count) if w >> (bits * count - 1) else w, otypes=[object]
    )
    return signed(np.stack(words, axis=axis))


def unpacked(words, bits, axis, count):
    """The inverse of :func:`packed`."""
    sign = 1 << (bits - 1)
    parts = [
        ((words.astype(object) >> (bits * p) & (2 * sign - 1)) ^ sign) - sign for p in range(count)
    ]
    stacked = np.stack(parts, axis=axis + 1)
    shape = list(words.shape)
    shape[axis] *= count
    return stacked.reshape(shape)


def run_both(s, make_args, output):
    """An output argument after a run on the CPU and in hardware, which agree."""
    results = []
    for call in (s.build(), in_amaranth(s.build(target="rtl"))):
        args = make_args()
        call(*args)
        results.append(args[output])
    np.testing.assert_array_equal(*results)
    return results[0]


def test_systolic():
    a, b = ints(-50, 50, 4, 3).astype(np.int8), ints(-50, 50, 3, 4).astype(np.int8)
    s = scheduled(systolic.systolic, [int8, int8, int32, 4, 3, 4, 2, 2])
    found = run_both(s, lambda: [a, b, np.zeros((4, 4), np.int32)], 2)
    np.testing.assert_array_equal(found, a.astype(int) @ b)


def test_systolic_in_floating_point():
    a, b = floats(2, 3), floats(3, 4)
    s = scheduled(systolic.systolic, [*F3, 2, 3, 4, 2, 2])
    close(run_both(s, lambda: [a, b, np.zeros((2, 4), np.float32)], 2), a @ b)


def test_packed_systolic():
    a, b = ints(-100, 100, 4, 3), ints(-100, 100, 3, 4)
    s = scheduled(systolic.packed_systolic, [int8, int8, int16, 4, 3, 4, 2, 2, 2])
    words = packed(a, 8, 0, 2), packed(b, 8, 1, 2)
    found = run_both(
        s, lambda: [*(w.astype(np.int16) for w in words), np.zeros((2, 4), np.int32)], 2
    )
    low = np.array(a @ b).astype(np.int16)
    np.testing.assert_array_equal(unpacked(found, 16, 0, 2), low)


@pytest.mark.parametrize("extreme", [False, True])
def test_two_products_from_one_multiplier(extreme):
    a = np.full((2, 2), -128) if extreme else ints(-60, 60, 2, 2)
    b = np.full((2, 4), 127) if extreme else ints(-60, 60, 2, 4)
    s = scheduled(systolic.packed_int8xint8_systolic, [2, 2, 4, 2, 4, 2])
    words = packed(a, 8, 0, 2).astype(np.int16), packed(b, 8, 1, 2).astype(np.int16)
    found = run_both(s, lambda: [*words, np.zeros((1, 4), np.int32)], 2)
    np.testing.assert_array_equal(unpacked(found, 16, 0, 2), (a @ b).astype(np.int16))


@pytest.mark.parametrize(
    ("kernel", "bits"),
    [(systolic.PE_kernel_packed_int4xint8, 4), (systolic.PE_kernel_packed_int8xint8, 8)],
)
def test_packed_elements_over_all_signs(kernel, bits):
    sign = 1 << (bits - 1)
    edges = [-sign, -sign + 1, -1, 0, 1, sign - 1]
    pairs = [(x, y, z) for x in (-128, -1, 0, 1, 127) for y in edges for z in edges]
    s = allo.customize(kernel, instantiate=[1, 1, 1])
    module = s.build()
    mask = (1 << bits) - 1
    for x, y, z in pairs:
        word = (y & mask) | (z & mask) << bits
        word -= (1 << 2 * bits) if word >> (2 * bits - 1) else 0
        c = np.zeros((1, 1), np.int32)
        b = np.array([word], np.int16 if bits == 8 else np.int8)
        module(np.array([x], np.int8), b, np.zeros(1, np.int8), b.copy(), c, 0, 0)
        assert unpacked(c, 16, 0, 2).ravel().tolist() == [x * y, x * z]


# --- matrix times vector ---------------------------------------------------------------------


def test_packed_matrix_vector_product():
    w, x = ints(-128, 128, 4, 6), ints(-128, 128, 6).astype(np.int8)
    s = scheduled(gemv.int8xint8_mat_vec, [4, 6, 2])
    words = packed(w, 8, 0, 2).astype(np.int16)
    rtl = s.build(target="rtl")
    np.testing.assert_array_equal(s.build()(words, x), w @ x)
    np.testing.assert_array_equal(in_amaranth(rtl)(words, x), w @ x)


# --- inside other kernels --------------------------------------------------------------------


def two_layers(X: float32[2, 4], W: float32[3, 4], b: float32[3]) -> float32[2, 3]:
    Y = nn.linear2d[float32, float32, float32, 2, 3, 4, "first"](X, W, b)
    Z = nn.relu2d[float32, 2, 3](Y)
    return Z


def test_library_kernels_are_called_and_their_schedules_composed():
    s = allo.customize(two_layers)
    s.compose(nn.linear2d, id="first", instantiate=[*F3, 2, 3, 4])
    s.compose(nn.relu2d, instantiate=[float32, 2, 3])
    assert [str(step) for step in s.history()] == [
        "pipeline('linear2d_first:bias.j')",
        "pipeline('linear2d_first:gemm.j')",
        "pipeline('relu2d:relu.w')",
    ]
    x, w, b = floats(2, 4), floats(3, 4), floats(3)
    close(s.build()(x, w, b), np.maximum(x @ w.T + b, 0))


@pytest.mark.parametrize(
    ("kernel", "params", "text"),
    [(systolic.systolic, [int8, int8, int32, 5, 3, 4, 2, 2], "Mt divides M"),
     (systolic.packed_systolic, [int8, int8, int32, 4, 3, 4, 2, 2, 4], "P divides Mt"),
     (systolic.packed_int8xint8_systolic, [3, 3, 3, 3, 3, 3], "P is even"),
     (gemv.int8xint8_mat_vec, [5, 3, 2], "P divides L"),
     (nn.RoPE, [float32, 2, 3, 6], "2 \\* H divides D"),
     (nn.scaled_dot_product_attention, [float32, 2, 4, 5, 2, 2], "H divides D")],
)  # fmt: skip
def test_sizes_that_do_not_divide_are_refused(kernel, params, text):
    with pytest.raises(LanguageError, match=text):
        allo.customize(kernel, instantiate=params)
