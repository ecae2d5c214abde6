"""What a kernel takes from numpy and gives back."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.errors import CallError, DTypeWarning
from allo_rtl.ir.ops import Func, Value
from allo_rtl.ir.types import ArrayType, Int, UInt, bool_, index, int8, int16, int32, uint8
from allo_rtl.sim.marshal import (
    Signature,
    call_with_numpy,
    from_words,
    int_of_word,
    numpy_dtype,
    to_words,
    word_of_int,
)
from allo_rtl.utils import get_np_struct_type

TYPES = [t for w in (1, 7, 8, 12, 32, 33, 63, 64, 65, 100, 128, 300) for t in (Int(w), UInt(w))]

types = st.sampled_from([*TYPES, index])


@st.composite
def typed_numbers(draw):
    """A type and up to five numbers of it."""
    t = draw(types)
    return t, draw(st.lists(st.integers(t.min, t.max), min_size=1, max_size=5))


# Words


@pytest.mark.parametrize(
    ("type_", "dtype"),
    [
        (bool_, np.bool_),
        (Int(1), np.int8),
        (Int(7), np.int8),
        (uint8, np.uint8),
        (UInt(12), np.uint16),
        (Int(33), np.int64),
        (UInt(64), np.uint64),
        (Int(65), object),
        (index, np.int64),
    ],
    ids=str,
)
def test_numpy_dtype(type_, dtype):
    assert numpy_dtype(type_) == np.dtype(dtype)


def test_words_are_zero_padded_and_least_significant_first():
    assert to_words(np.array([[-1], [5]], np.int8), Int(7)).tolist() == [[127], [5]]
    wide = np.array([-1, 2**64 + 3], object)
    assert to_words(wide, Int(65)).tolist() == [[2**64 - 1, 1], [3, 1]]


@given(typed_numbers())
def test_words_are_the_twos_complement_bits(case):
    t, numbers = case
    words = to_words(np.array(numbers, numpy_dtype(t)), t)
    assert words.dtype == np.uint64
    assert words.shape == (len(numbers), -(-t.bits // 64))
    assert words.flags.c_contiguous
    bits = [sum(w << (64 * k) for k, w in enumerate(row)) for row in words.tolist()]
    assert bits == [n % 2**t.bits for n in numbers]


@given(typed_numbers())
def test_words_and_back(case):
    t, numbers = case
    array = np.array(numbers, numpy_dtype(t))
    back = from_words(to_words(array, t), t[len(numbers)], array.dtype)
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


@given(types, st.integers(-(2**310), 2**310))
def test_numbers_wrap_on_the_way_in(t, number):
    words = word_of_int(number, t)
    assert int_of_word(words, t) == t.wrap(number)
    assert np.array_equal(words, to_words(np.array([number], object), t))


@pytest.mark.parametrize("t", TYPES, ids=str)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, np.bool_])
def test_any_integer_dtype_is_taken_modulo_the_width(t, dtype):
    numbers = [0, 1] if dtype is np.bool_ else [0, 1, np.iinfo(dtype).min, np.iinfo(dtype).max]
    words = to_words(np.array(numbers, dtype), t)
    assert [int_of_word(w, t) for w in words] == [t.wrap(int(n)) for n in numbers]


def test_a_number_that_does_not_fit_the_dtype_wraps_on_the_way_out():
    words = to_words(np.array([300, -1]), int16)
    assert from_words(words, int16[2], np.uint8).tolist() == [44, 255]
    wide = to_words(np.array([2**70 + 300, -1], object), Int(100))
    assert from_words(wide, Int(100)[2], np.uint8).tolist() == [44, 255]
    assert from_words(wide, Int(100)[2], np.float64).tolist() == [2.0**70 + 300, -1.0]


def test_floats_are_truncated_toward_zero():
    words = to_words(np.array([1.9, -1.9, 1e30, -0.5]), Int(128))
    assert [int_of_word(w, Int(128)) for w in words] == [1, -1, int(1e30), 0]


def test_object_arrays_may_hold_any_numbers():
    words = to_words(np.array([np.int64(-1), np.float32(2.5), True, np.bool_(1)], object), int8)
    assert words.tolist() == [[255], [2], [1], [1]]
    with pytest.raises(ValueError, match=r"^something that is no number$"):
        to_words(np.array([None], object), int8)


# Structured arrays


def test_struct_type():
    dtype = get_np_struct_type(100)
    assert dtype.names == tuple(f"f{n}" for n in range(13))
    assert dtype.itemsize == 13
    assert {d for d, _ in dtype.fields.values()} == {np.dtype(np.uint8)}
    with pytest.raises(ValueError, match=r"^an integer has 1 bit or more, not 0$"):
        get_np_struct_type(0)


@given(typed_numbers())
def test_structured_arrays_hold_the_bytes(case):
    t, numbers = case
    dtype = get_np_struct_type(t.bits)
    data = b"".join(n.to_bytes(dtype.itemsize, "little", signed=t.signed) for n in numbers)
    array = np.frombuffer(data, dtype)
    words = to_words(array, t)
    assert [int_of_word(w, t) for w in words] == numbers
    assert from_words(words, t[len(numbers)], dtype).tobytes() == data


@pytest.mark.parametrize("size", [24, 160])
def test_structured_arrays_of_another_size_are_cut_or_extended(size):
    words = to_words(np.array([-5], object), Int(100))
    array = from_words(words, Int(100)[1], get_np_struct_type(size))
    assert int.from_bytes(array.tobytes(), "little", signed=True) == -5
    assert np.array_equal(to_words(array, Int(100)), words)


# Calls


def sig(*args, results=()):
    return Signature("f", tuple(zip("abcdef", args, strict=False)), tuple(results))


def untouched(raw):
    """A kernel that does nothing."""
    return []


def increment(raw):
    """A kernel that adds one to the first word of each element of its first array."""
    raw[0][:, 0] += np.uint64(1)
    return []


def test_signature_of_a_function():
    func = Func(name="g", args=(Value(int8[2], "a"), Value(index)), results=(int8,), body=())
    found = Signature.of(func)
    assert found == Signature("g", (("a", int8[2]), ("arg1", index)), (int8,))
    assert str(found) == "g(a: int8[2], arg1: index)"


def test_run_gets_wrapped_ints_and_words():
    got = []
    call_with_numpy(
        sig(int8, uint8, bool_, int8[2]),
        [300, np.int16(-1), True, np.array([-1, 2], np.int8)],
        lambda raw: got.extend(raw) or [],
    )
    assert got[:3] == [44, 255, 1]
    assert all(type(x) is int for x in got[:3])
    assert got[3].tolist() == [[255], [2]]


def test_none_one_value_or_a_list_comes_back():
    words = np.array([[255], [1]], np.uint64)
    assert call_with_numpy(sig(), [], untouched) is None
    assert call_with_numpy(sig(results=[int8]), [], lambda raw: [255]) == -1
    assert call_with_numpy(sig(results=[int8]), [], lambda raw: [words[:1]]) == -1
    array, flag = call_with_numpy(sig(results=[int8[2, 1], bool_]), [], lambda raw: [words, 1])
    assert array.dtype == np.int8
    assert array.tolist() == [[-1], [1]]
    assert flag == 1


@pytest.mark.parametrize(
    ("type_", "dtype"),
    [
        (int8, np.int8),
        (bool_, np.bool_),
        (Int(7), np.int8),
        (Int(7), np.int32),
        (UInt(12), np.int64),
        (index, np.int64),
        (Int(100), object),
        (Int(100), get_np_struct_type(100)),
    ],
    ids=str,
)
def test_dtypes_taken_as_they_are(type_, dtype):
    array = np.zeros(3, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_with_numpy(sig(type_[3]), [array], increment)
    one = [int_of_word(w, type_) for w in to_words(array, type_)]
    assert one == [type_.wrap(1)] * 3


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64, np.bool_, object])
@pytest.mark.parametrize("results", [(), (int8,)])
def test_another_dtype_warns_and_is_copied_back(dtype, results):
    array = np.array([0, 0, 0], dtype)
    with pytest.warns(DTypeWarning) as caught:
        call_with_numpy(
            sig(int8[3], results=results), [array], lambda raw: increment(raw) or [0] * len(results)
        )
    assert str(caught[0].message) == (
        f"argument 'a' of f is int8[3]: an array of {np.dtype(dtype)} is converted; "
        "one of int8 is not"
    )
    assert array.tolist() == [1, 1, 1]


def test_an_array_that_the_kernel_leaves_keeps_its_own_values():
    array = np.array([1.5, -300.7])
    with pytest.warns(DTypeWarning):
        call_with_numpy(sig(int8[2]), [array], untouched)
    assert array.tolist() == [1.5, -300.7]


def test_views_of_any_layout_are_changed_in_place():
    base = np.arange(24, dtype=np.int32).reshape(4, 6)
    expected = base.copy()
    expected[::2, ::-3] += 1
    call_with_numpy(sig(int32[2, 2]), [base[::2, ::-3]], increment)
    assert base.tolist() == expected.tolist()
    fortran = np.asfortranarray(np.array([[1, 2], [3, 4]], np.int32))
    got = []
    call_with_numpy(sig(int32[2, 2]), [fortran], lambda raw: got.extend(raw[0][:, 0]) or [])
    assert got == [1, 2, 3, 4]


def test_rank_0_arrays_are_scalars_by_reference():
    array = np.array(7, np.int32)
    call_with_numpy(sig(ArrayType(int32, ())), [array], increment)
    assert array == 8


# Errors


@pytest.mark.parametrize(
    ("types", "args", "message"),
    [
        ([int8, int8[2]], [1], "f(a: int8, b: int8[2]) takes 2 arguments, 1 were given"),
        (
            [int8],
            [1.5],
            "argument 'a' of f is int8, but a float (1.5) was given\n"
            "  allowed: an int\n"
            "  hint: int(a) drops the fraction",
        ),
        (
            [int8],
            ["1"],
            "argument 'a' of f is int8, but a str ('1') was given\n  allowed: an int",
        ),
        (
            [int8],
            [np.zeros(2)],
            "argument 'a' of f is int8, but an array of shape (2,) was given\n  allowed: an int",
        ),
        (
            [int8[2]],
            [[1, 2]],
            "argument 'a' of f is int8[2], but a list was given\n"
            "  allowed: a numpy array of shape (2,) and dtype int8\n"
            "  hint: np.array(a, dtype=np.int8)",
        ),
        (
            [int8[2]],
            [3],
            "argument 'a' of f is int8[2], but an int was given\n"
            "  allowed: a numpy array of shape (2,) and dtype int8",
        ),
        (
            [int8[2, 3]],
            [np.zeros((3, 2), np.int8)],
            "argument 'a' of f is int8[2, 3], but an array of shape (3, 2) was given\n"
            "  allowed: a numpy array of shape (2, 3) and dtype int8",
        ),
        (
            [int8[1]],
            [np.zeros(1, complex)],
            "argument 'a' of f is int8[1], but an array of dtype complex128 was given\n"
            "  allowed: a numpy array of shape (1,) and dtype int8",
        ),
        (
            [Int(65)[1]],
            [np.array(["1"], object)],
            "argument 'a' of f is int65[1], but an array with something that is no number "
            "was given\n"
            "  allowed: a numpy array of shape (1,) and dtype object",
        ),
    ],
)
def test_arguments_that_do_not_fit(types, args, message):
    with pytest.raises(CallError) as error:
        call_with_numpy(sig(*types), args, untouched)
    assert str(error.value) == message


@pytest.mark.filterwarnings("ignore::allo_rtl.errors.DTypeWarning")
def test_nan_is_no_number():
    with pytest.raises(CallError) as error:
        call_with_numpy(sig(int8[2]), [np.array([1, np.nan])], untouched)
    assert "but an array with an infinity or a not-a-number was given" in str(error.value)


def test_a_read_only_array_may_be_read_but_not_changed():
    array = np.zeros(2, np.int8)
    array.flags.writeable = False
    call_with_numpy(sig(int8[2]), [array], untouched)
    with pytest.raises(CallError) as error:
        call_with_numpy(sig(int8[2]), [array], increment)
    assert str(error.value) == (
        "f changes its argument 'a', which is a read-only array\n  hint: pass a copy: a.copy()"
    )


def test_arrays_that_overlap_may_be_read_but_not_changed():
    array = np.zeros(3, np.int8)
    views = [array[1:], array[:2]]
    call_with_numpy(sig(int8[2], int8[2]), views, untouched)
    with pytest.raises(CallError) as error:
        call_with_numpy(sig(int8[2], int8[2]), views, increment)
    assert str(error.value) == (
        "arguments 'a' and 'b' of f share memory, and it changes 'a'\n"
        "  hint: pass a copy: b.copy()"
    )
    assert array.tolist() == [0, 0, 0]


def test_views_that_interleave_do_not_overlap():
    array = np.zeros(4, np.int8)
    call_with_numpy(sig(int8[2], int8[2]), [array[::2], array[1::2]], increment)
    assert array.tolist() == [1, 0, 1, 0]
