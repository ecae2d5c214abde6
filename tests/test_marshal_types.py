"""Numpy in and out for every type: floating and fixed point, structs, wide integers."""

import struct
import warnings
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allo_rtl.errors import CallError, DTypeWarning
from allo_rtl.ir.arithmetic import eval_cast, number_of
from allo_rtl.ir.types import (
    DYNAMIC,
    Fixed,
    Int,
    Struct,
    UFixed,
    UInt,
    bfloat16,
    bool_,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    int8,
    int32,
)
from allo_rtl.sim.marshal import Signature, call_with_numpy
from allo_rtl.sim.words import (
    from_words,
    ints_of_words,
    numpy_dtype,
    to_words,
    words_of_ints,
)
from allo_rtl.utils import get_np_struct_type

DTYPES = {
    float16: np.float16, float32: np.float32, float64: np.float64,
    bfloat16: ml_dtypes.bfloat16, float8_e4m3: ml_dtypes.float8_e4m3fn,
    float8_e5m2: ml_dtypes.float8_e5m2,
}  # fmt: skip
FORMATS = list(DTYPES)
POINT = Struct({"x": Int(12), "y": float32, "on": bool_, "w": Int(100), "q": Fixed(16, 8)})


def sig(*args, results=()):
    return Signature("f", tuple(zip("abcdef", args, strict=False)), tuple(results))


def taken(type_, value):
    """The int that a kernel gets for a scalar argument."""
    got = []
    call_with_numpy(sig(type_), [value], lambda raw: got.extend(raw) or [])
    return got[0]


def given_back(type_, value):
    """What a scalar argument is when it comes back as a result."""
    return call_with_numpy(sig(type_, results=(type_,)), [value], lambda raw: raw)


def refused(type_, value):
    with pytest.raises(CallError) as caught:
        call_with_numpy(sig(type_), [value], lambda raw: [])
    return str(caught.value)


def incremented(type_, array):
    """The array after a kernel added one to every element's bits."""

    def run(raw):
        raw[0][:, 0] += np.uint64(1)
        return []

    call_with_numpy(sig(type_[array.shape]), [array], run)
    return array


def double_bits(x):
    return int(np.float64(x).view(np.uint64))


doubles = st.floats(width=64, allow_subnormal=True) | st.builds(
    lambda m, e: m * 2.0**e, st.integers(-(1 << 13), 1 << 13), st.integers(-160, 130)
)

QUIET_NAN_1 = struct.unpack("<d", (0x7FF8000000000001).to_bytes(8, "little"))[0]
"""A NaN that is not the canonical one."""

# Scalars


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int32(3), np.uint8(3), np.array(3.0)])
@pytest.mark.parametrize("type_", [int32, Int(7), UInt(100), float16, float32, Fixed(16, 8)])
def test_any_scalar_of_python_and_numpy(type_, value):
    assert given_back(type_, value) == 3


def test_scalars_of_narrow_floats_and_booleans():
    assert given_back(float32, ml_dtypes.bfloat16(1.5)) == 1.5
    assert given_back(int8, ml_dtypes.float8_e5m2(2)) == 2
    assert given_back(float32, True) == 1.0
    assert given_back(Fixed(8, 4), np.bool_(1)) == 1.0
    assert given_back(bool_, np.bool_(1)) == 1


@given(st.sampled_from(FORMATS), doubles)
def test_floats_are_rounded_once(type_, x):
    assert taken(type_, x) == eval_cast(type_, double_bits(x), float64)


@given(st.sampled_from(FORMATS), st.integers(-(1 << 140), 1 << 140))
def test_ints_become_floats_and_are_rounded_once(type_, x):
    assert taken(type_, x) == eval_cast(type_, x)


@pytest.mark.parametrize(
    ("type_", "value", "raw"),
    [
        (Fixed(16, 8), 1.5, 384),
        (Fixed(16, 8), -1.001, -256),
        (Fixed(16, 8), 128.0, -(1 << 15)),
        (Fixed(16, 8), Fraction(-1, 3), -85),
        (UFixed(8, 4), -0.25, 252),
        (Fixed(100, 60), 2.0**-60, 1),
        (Fixed(300, 255), 3, 3 << 255),
    ],
)
def test_fixed_point_is_truncated_and_wraps(type_, value, raw):
    assert taken(type_, value) == raw


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        (
            int32, np.float32(2.5),
            "argument 'a' of f is int32, but a float32 (np.float32(2.5)) was given\n"
            "  allowed: an int\n"
            "  hint: int(a) drops the fraction",
        ),
        (
            int32, np.nan,
            "argument 'a' of f is int32, but a float (nan) was given\n  allowed: an int",
        ),
        (
            float32, "1.5",
            "argument 'a' of f is float32, but a str ('1.5') was given\n  allowed: a number",
        ),
        (
            float32, 1j,
            "argument 'a' of f is float32, but a complex (1j) was given\n  allowed: a number",
        ),
        (
            float32, np.zeros(2),
            "argument 'a' of f is float32, but an array of shape (2,) was given\n"
            "  allowed: a number",
        ),
        (
            Fixed(8, 4), np.inf,
            "argument 'a' of f is Fixed(8, 4), but a float (inf) was given\n  allowed: a number",
        ),
        (
            int8, Fraction(1, 2),
            "argument 'a' of f is int8, but a Fraction (Fraction(1, 2)) was given\n"
            "  allowed: an int",
        ),
    ],
)  # fmt: skip
def test_scalars_that_do_not_fit(type_, value, message):
    assert refused(type_, value) == message


# Floating-point arrays


@pytest.mark.parametrize("type_", FORMATS, ids=str)
def test_floats_have_their_own_dtype_and_keep_their_bits(type_):
    """All patterns, or many; NaN payloads and signs too."""
    patterns = range(0, 1 << type_.width, (1 << type_.width) // 4096 | 1)
    unsigned = np.dtype(f"uint{type_.width}")
    array = np.array(list(patterns), unsigned).view(DTYPES[type_])
    assert numpy_dtype(type_) == array.dtype
    words = to_words(array, type_)
    assert words[:, 0].tolist() == list(patterns)
    assert from_words(words, type_[len(array)], array.dtype).view(unsigned).tolist() == list(
        patterns
    )


@given(st.sampled_from(FORMATS), st.sampled_from(FORMATS), st.data())
@settings(max_examples=200)
def test_arrays_of_another_float_dtype_are_rounded_once(source, target, data):
    bits = data.draw(st.lists(st.integers(0, (1 << source.width) - 1), min_size=1, max_size=8))
    array = np.array(bits, np.dtype(f"uint{source.width}")).view(DTYPES[source])
    expected = [x if source == target else eval_cast(target, x, source) for x in bits]
    assert to_words(array, target)[:, 0].tolist() == expected


@given(st.sampled_from(FORMATS), st.lists(doubles, min_size=1, max_size=8))
@settings(max_examples=300)
@example(float64, [QUIET_NAN_1])
def test_arrays_of_doubles_are_rounded_once(type_, numbers):
    expected = [eval_cast(type_, double_bits(x), float64) for x in numbers]
    if type_ != float64:
        assert to_words(np.array(numbers), type_)[:, 0].tolist() == expected
    assert to_words(np.array(numbers, object), type_)[:, 0].tolist() == expected


@pytest.mark.parametrize("type_", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64, np.bool_])
def test_arrays_of_integers_are_rounded_once(type_, dtype):
    if dtype is np.bool_:
        array = np.array([False, True])
    else:
        info = np.iinfo(dtype)
        array = np.array([info.min, info.max, 0, 1, info.max // 3, info.max // 2 + 1], dtype)
    expected = [eval_cast(type_, int(x)) for x in array]
    assert to_words(array, type_)[:, 0].tolist() == expected


def test_a_tie_between_two_bfloat16_is_not_broken_by_an_earlier_rounding():
    """2**62 + 2**54 + 1 is just above a tie, and exactly one in float64 and float32."""
    number = 2**62 + 2**54 + 1
    above = 2.0**62 + 2.0**55
    for array in (np.array([number]), np.array([number], object)):
        words = to_words(array, bfloat16)
        assert from_words(words, bfloat16[1], np.float64).tolist() == [above]


@pytest.mark.parametrize("type_", FORMATS, ids=str)
def test_another_dtype_warns_and_is_copied_back(type_):
    dtype = np.float32 if type_ is not float32 else np.float64
    array = np.array([1.0, -2.0], dtype)
    with pytest.warns(DTypeWarning) as caught:
        incremented(type_, array)
    assert str(caught[0].message) == (
        f"argument 'a' of f is {type_}[2]: an array of {np.dtype(dtype)} is converted; "
        f"one of {np.dtype(DTYPES[type_])} is not"
    )
    step = dtype(2.0**-type_.fracs)
    assert array.tolist() == [dtype(1) + step, -2 * (dtype(1) + step)]


def test_floats_come_back_into_integers_as_a_cast_would_give_them():
    words = words_of_ints([double_bits(x) for x in (1.9, -1.9, 300, np.nan, -np.inf)], float64)
    assert from_words(words, float64[5], np.int8).tolist() == [1, -1, 127, 0, -128]
    assert from_words(words, float64[5], np.uint64).tolist() == [1, 0, 300, 0, 0]
    largest = words_of_ints([double_bits(2.0**63)], float64)
    assert from_words(largest, float64[1], np.int64).tolist() == [2**63 - 1]


def test_results_are_floats_and_arrays_of_their_own_dtype():
    raw = [words_of_ints([0x3C00, 0x7E00], float16), 0x3FC0]
    array, number = call_with_numpy(sig(results=(float16[2], bfloat16)), [], lambda _: raw)
    assert array.dtype == np.float16
    assert array[0] == 1
    assert np.isnan(array[1])
    assert (number, type(number)) == (1.5, float)


# Fixed point


@pytest.mark.parametrize("type_", [Fixed(16, 8), UFixed(7, 7), Fixed(53, 20), Fixed(8, 200)])
def test_fixed_point_arrays_are_float64(type_):
    low = -(1 << type_.width - 1) if type_.signed else 0
    ints = [low, low + 1, 0, 1, (1 << type_.width - type_.signed) - 1]
    words = words_of_ints(ints, type_)
    array = from_words(words, type_[5], numpy_dtype(type_))
    assert array.dtype == np.float64
    assert array.tolist() == [number_of(type_, n) for n in ints]
    assert np.array_equal(to_words(array, type_), words)


def test_wide_fixed_point_is_rounded_in_float64_and_exact_in_objects():
    for type_ in (Fixed(64, 8), Fixed(100, 8)):
        ints = [2**60 + 1, -(2**60) - 1]
        words = words_of_ints(ints, type_)
        assert from_words(words, type_[2], np.float64).tolist() == [2.0**52, -(2.0**52)]
        exact = from_words(words, type_[2], object)
        assert exact.tolist() == [Fraction(n, 256) for n in ints]
        assert np.array_equal(to_words(exact, type_), words)


@given(st.integers(2, 130), st.integers(0, 255), st.booleans(), st.lists(doubles, max_size=6))
def test_floats_become_fixed_point_toward_zero_modulo_the_width(width, fracs, signed, numbers):
    type_ = (Fixed if signed else UFixed)(width, fracs)
    finite = [x for x in numbers if np.isfinite(x)]
    expected = [type_.raw.wrap(int(Fraction(x) * 2**fracs)) for x in finite]
    assert ints_of_words(to_words(np.array(finite, np.float64), type_), type_) == expected
    assert ints_of_words(to_words(np.array(finite, object), type_), type_) == expected


@pytest.mark.parametrize("type_", [Fixed(16, 8), UFixed(100, 70), Fixed(12, 64)])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64, np.bool_, np.float32])
def test_arrays_of_other_dtypes_become_fixed_point(type_, dtype):
    array = np.array([0, 1, 100, 1], dtype)
    expected = [type_.raw.wrap(int(x) << type_.fracs) for x in array]
    assert ints_of_words(to_words(array, type_), type_) == expected


@pytest.mark.parametrize("dtype", [np.float64, object])
def test_fixed_point_arguments_are_changed_in_place(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array = incremented(Fixed(16, 8), np.array([1.5, -0.25, 127.99609375], dtype))
    assert array.tolist() == [1.50390625, -0.24609375, -128.0]


def test_an_integer_array_for_fixed_point_warns():
    with pytest.warns(DTypeWarning) as caught:
        array = incremented(Fixed(16, 0), np.array([1, 2], np.int16))
    assert str(caught[0].message) == (
        "argument 'a' of f is Fixed(16, 0)[2]: an array of int16 is converted; "
        "one of float64 is not"
    )
    assert array.tolist() == [2, 3]


def test_results_of_fixed_point():
    array, number = call_with_numpy(
        sig(results=(Fixed(16, 8)[2], UFixed(8, 4))), [],
        lambda _: [words_of_ints([-1, 256], Fixed(16, 8)), 24],
    )  # fmt: skip
    assert array.dtype == np.float64
    assert array.tolist() == [-0.00390625, 1.0]
    assert number == 1.5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fixed_point_and_integers_have_no_infinities(value):
    for type_ in (Fixed(16, 8), Int(16)):
        for dtype in (np.float64, object):
            with pytest.raises(ValueError, match=r"^an infinity or a not-a-number$"):
                to_words(np.array([value], dtype), type_)


# Structs


def test_a_struct_is_a_structured_dtype_of_its_fields():
    assert numpy_dtype(POINT) == np.dtype(
        [("x", np.int16), ("y", np.float32), ("on", np.bool_), ("w", object), ("q", np.float64)]
    )
    nested = Struct({"p": Struct({"a": int8}), "b": bfloat16})
    assert numpy_dtype(nested) == np.dtype([("p", [("a", np.int8)]), ("b", ml_dtypes.bfloat16)])


def points():
    array = np.zeros(3, numpy_dtype(POINT))
    array["x"] = [1, -2, 2047]
    array["y"] = [1.5, -0.0, np.inf]
    array["on"] = [True, False, True]
    array["w"] = [-5, 2**99 - 1, 0]
    array["q"] = [1.25, -128, 0.00390625]
    return array


def test_structs_and_back():
    words = to_words(points(), POINT)
    assert words.shape == (3, 3)
    first = number_of(POINT, ints_of_words(words, POINT)[0])
    assert first == {"x": 1, "y": 1.5, "on": 1, "w": -5, "q": 1.25}
    back = from_words(words, POINT[3], numpy_dtype(POINT))
    assert back.tolist() == points().tolist()
    assert np.signbit(back["y"][1])


@given(st.integers(0, (1 << POINT.bits) - 1))
def test_every_bit_of_a_struct_is_kept(bits):
    words = words_of_ints([bits], POINT)
    nan = (bits >> 12 & 0x7FFFFFFF) > 0x7F800000
    array = from_words(words, POINT[1], numpy_dtype(POINT))
    assert ints_of_words(to_words(array, POINT), POINT) == [bits]
    if not nan:
        assert taken(POINT, array[0]) == bits


def test_structs_as_scalars():
    S = Struct({"x": int8, "p": Struct({"y": float32, "z": Fixed(8, 4)})})
    value = {"x": -1, "p": {"y": 2.5, "z": -0.5}}
    assert given_back(S, value) == value
    assert given_back(S, (-1, (2.5, -0.5))) == value
    array = np.zeros(1, numpy_dtype(S))
    array[0] = (-1, (2.5, -0.5))
    assert given_back(S, array[0]) == value
    assert given_back(S, array[0].reshape(())) == value


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ((1,), "a tuple of 1"),
        ({"x": 1}, "one with the fields x"),
        ({"x": 1, "p": {"y": "2"}}, "a str ('2') for its field 'p.y'"),
        ({"x": 1.5, "p": (2,)}, "a float (1.5) for its field 'x'"),
        ({"x": 1, "p": 2}, "an int (2) for its field 'p'"),
        (7, "an int (7)"),
    ],
)
def test_structs_that_do_not_fit(value, found):
    S = Struct({"x": int8, "p": Struct({"y": float32})})
    text = refused(S, value)
    assert text.startswith(f"argument 'a' of f is {S}, but {found} was given\n")
    assert "\n  allowed: a dict or tuple of x: int8, p: Struct(" in text


def test_arrays_of_structs_are_changed_in_place():
    S = Struct({"x": int8, "y": float32})
    array = np.array([(1, 0.5), (2, -1.5)], numpy_dtype(S))
    assert incremented(S, array).tolist() == [(2, 0.5), (3, -1.5)]


def test_the_fields_of_an_array_are_found_by_name_and_converted():
    S = Struct({"x": int8, "y": float32})
    array = np.array([(0.5, 1), (-1.5, 2)], [("y", np.float64), ("x", np.int64)])
    with pytest.warns(DTypeWarning):
        incremented(S, array)
    assert array.tolist() == [(0.5, 2), (-1.5, 3)]


def test_arrays_of_other_structs_are_refused():
    S = Struct({"x": int8, "y": float32})
    array = np.zeros(2, [("x", np.int8), ("z", np.float32)])
    with pytest.raises(CallError) as caught:
        call_with_numpy(sig(S[2]), [array], lambda raw: [])
    assert str(caught.value) == (
        f"argument 'a' of f is {S}[2], but an array of dtype {array.dtype} was given\n"
        "  allowed: a numpy array of shape (2,) and dtype [('x', 'i1'), ('y', '<f4')]"
    )


# Shapes and lists


def test_a_dynamic_extent_is_that_of_the_argument():
    for rows in (0, 1, 5):
        got = []
        call_with_numpy(
            sig(float32[DYNAMIC, 2]), [np.zeros((rows, 2), np.float32)],
            lambda raw, got=got: got.extend(raw) or [],
        )  # fmt: skip
        assert got[0].shape == (2 * rows, 1)
    assert incremented(Int(100)[DYNAMIC].element, np.array([1, 2, 3], object)).tolist() == [2, 3, 4]


def test_empty_arrays_of_bytes():
    array = np.zeros(0, get_np_struct_type(100))
    assert to_words(array, Int(100)).shape == (0, 2)


@pytest.mark.parametrize(
    ("type_", "hint"),
    [
        (float32, "np.array(a, dtype=np.float32)"),
        (bfloat16, "np.array(a, dtype=ml_dtypes.bfloat16)"),
        (float8_e4m3, "np.array(a, dtype=ml_dtypes.float8_e4m3fn)"),
        (Int(100), "np.array(a, dtype=object)"),
        (bool_, "np.array(a, dtype=np.bool)"),
        (Fixed(8, 4), "np.array(a, dtype=np.float64)"),
    ],
)
def test_lists_are_refused_with_a_hint(type_, hint):
    assert refused(type_[2], [1, 2]).endswith(f"\n  hint: {hint}")


def test_an_array_of_text_is_refused():
    with pytest.raises(CallError, match=r"but an array of dtype <U1 was given"):
        call_with_numpy(sig(float32[1]), [np.array(["1"])], lambda raw: [])
