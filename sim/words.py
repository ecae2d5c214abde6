"""Arrays of numpy as words of bits, and back: every scalar type, exactly.

*Words* are how arrays travel inside: a C-contiguous ``uint64`` array of shape (elements,
ceil(bits / 64)), row-major, least significant word first.  Each element is its bits; those above
its width are zero.

    type                numpy arrays of it
    bool                numpy.bool_
    Int, UInt, index    int8 ... uint64, the next larger for odd widths; above 64 bits object
                        (Python ints) or :func:`~allo_rtl.utils.get_np_struct_type` (bytes)
    float16/32/64       float16, float32, float64
    bfloat16, fp8       ml_dtypes.bfloat16, .float8_e4m3fn, .float8_e5m2
    Fixed, UFixed       float64, to nearest when wider than it; object (Fractions) holds all bits
    Struct              structured, each field with its type's own dtype
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from allo_rtl.ir import floats
from allo_rtl.ir.arithmetic import format_of, signed, wrap
from allo_rtl.ir.floats import FLOAT64, FloatFormat
from allo_rtl.ir.types import (
    ArrayType,
    FixedType,
    Float,
    ScalarType,
    Struct,
    bfloat16,
    bool_,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
)

type Words = npt.NDArray[np.uint64]
"""Elements as 64-bit words, see above."""

type Array = npt.NDArray[Any]
"""An array of the user's."""

REAL: tuple[type, ...] = (
    int, float, np.integer, np.floating, np.bool_,
    ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
)  # fmt: skip
"""What Python and numpy have for a real number."""

_FLOATS: dict[ScalarType, np.dtype[Any]] = {
    float16: np.dtype(np.float16), float32: np.dtype(np.float32), float64: np.dtype(np.float64),
    bfloat16: np.dtype(ml_dtypes.bfloat16), float8_e4m3: np.dtype(ml_dtypes.float8_e4m3fn),
    float8_e5m2: np.dtype(ml_dtypes.float8_e5m2),
}  # fmt: skip
_FLOAT_TYPES = {dtype: type_ for type_, dtype in _FLOATS.items()}


def word_count(element: ScalarType) -> int:
    """Number of 64-bit words of one element."""
    return -(-element.bits // 64)


def numpy_dtype(element: ScalarType) -> np.dtype[Any]:
    """The dtype of arrays of ``element`` that results have (see the table above)."""
    match element:
        case Float():
            return _FLOATS[element]
        case FixedType():
            return np.dtype(np.float64)
        case Struct():
            return np.dtype([(name, numpy_dtype(t)) for name, t in element.fields])
    if element == bool_:
        return np.dtype(np.bool_)
    if element.bits > 64:
        return np.dtype(object)
    size = next(s for s in (8, 16, 32, 64) if s >= element.bits)
    return np.dtype(f"{'int' if signed(element) else 'uint'}{size}")


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of ``dtype`` hold real numbers (or Python objects)."""
    return dtype.kind in "biufO" or dtype in _FLOAT_TYPES


def to_words(array: Array, element: ScalarType) -> Words:
    """The words of an array's elements, as a cast to ``element`` would convert them.

    To integers and fixed point: truncated toward zero, modulo the width.  To floating point:
    to nearest, ties to even.

    Args:
        array: of numbers of any dtype, of Python numbers (object; for fixed point Fractions
            too), or structured: the fields of a Struct by name, or the bytes of an integer.
        element: the kernel's element type.

    Raises:
        ValueError: the array holds something that is no number, or for an integer or
            fixed-point type one that is not finite.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    match element:
        case Struct():
            return _struct_words(flat, element)
        case Float():
            return _float_words(flat, element)
        case FixedType():
            return _masked(_fixed_words(flat, element), element)
    return _masked(_integer_words(flat, element), element)


def from_words(words: Words, array_type: ArrayType, dtype: npt.DTypeLike) -> Array:
    """The array of ``array_type.shape`` and ``dtype`` that the words stand for.

    ``dtype`` may be any that :func:`to_words` takes.  An integer that does not fit an integer
    dtype wraps; a number with a fraction is converted to it as a cast does: toward zero, at most
    to the end of its range.
    """
    flat = _flat_array(words, array_type.element, np.dtype(dtype))
    return flat.reshape(array_type.shape)


def _flat_array(words: Words, element: ScalarType, target: np.dtype[Any]) -> Array:
    match element:
        case Struct():
            return _struct_array(words, element, target)
        case Float():
            return _float_array(words, element, target)
        case FixedType():
            return _fixed_array(words, element, target)
    return _integer_array(words, element, target)


def word_of_int(value: int, element: ScalarType) -> Words:
    """The words of the one value that an int stands for, shape (1, words)."""
    return words_of_ints([value], element)


def int_of_word(words: Words, element: ScalarType) -> int:
    """The int that stands for the value whose words these are."""
    return wrap(element, int.from_bytes(words.tobytes(), "little"))


def words_of_ints(values: list[int], element: ScalarType) -> Words:
    """The words of values given by the ints that stand for them."""
    size = word_count(element) * 8
    mask = (1 << element.bits) - 1
    data = b"".join((v & mask).to_bytes(size, "little") for v in values)
    return np.frombuffer(bytearray(data), np.uint64).reshape(len(values), size // 8)


def ints_of_words(words: Words, element: ScalarType) -> list[int]:
    """The ints that stand for the values of an array."""
    if words.shape[1] == 1:
        column = _sign_extended(words, element)[:, 0]
        numbers: list[int] = (column.view(np.int64) if signed(element) else column).tolist()
        return numbers
    data, size = words.tobytes(), words.shape[1] * 8
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [wrap(element, int.from_bytes(piece, "little")) for piece in pieces]


def pattern_of(value: float | int, format_: FloatFormat) -> int:
    """The bits of the number of a format that is nearest to ``value``.

    A double keeps all of its own in float64; a NaN in another format is the canonical one.
    """
    if isinstance(value, float):
        bits = int(np.float64(value).view(np.uint64))
        return bits if format_ == FLOAT64 else floats.convert(FLOAT64, format_, bits)
    return floats.from_integer(format_, value)


def truncated(value: float | int | Fraction, fracs: int) -> int:
    """``value * 2**fracs`` toward zero; ValueError when it is not finite."""
    try:
        return int(Fraction(value) * (1 << fracs)) if fracs else int(value)
    except (ValueError, OverflowError):
        raise ValueError("an infinity or a not-a-number") from None


# Integers


def _integer_words(flat: Array, element: ScalarType) -> Words:
    if flat.dtype.names is not None:
        return _words_of_bytes(flat.view(np.uint8).reshape(-1, flat.itemsize), element)
    if flat.dtype.kind == "O":
        return words_of_ints([truncated(x, 0) for x in _numbers(flat)], element)
    if flat.dtype.kind in "biu":
        return _words_of_native(flat, word_count(element))
    return _words_of_floats(flat, 0, element)


def _integer_array(words: Words, element: ScalarType, target: np.dtype[Any]) -> Array:
    if target.names is not None:
        return _bytes_array(_sign_extended(words, element), element, target)
    if element.bits > 64 or target.kind == "O":
        return _of_objects(ints_of_words(words, element), target)
    column = _sign_extended(words, element)[:, 0]
    return _converted(column.view(np.int64) if signed(element) else column, target)


def _words_of_native(flat: Array, count: int) -> Words:
    words = flat.astype(np.uint64).reshape(-1, 1)
    if count == 1:
        return words
    signs = np.where(flat < 0, ~np.uint64(0), np.uint64(0))[:, None]
    return np.concatenate([words, *[signs] * (count - 1)], axis=1)


def _words_of_bytes(rows: npt.NDArray[np.uint8], element: ScalarType) -> Words:
    """Words of little-endian rows; a row that is too short is sign extended, one too long cut."""
    size = word_count(element) * 8
    full = np.zeros((len(rows), size), np.uint8)
    if signed(element):
        full[:] = np.where(rows[:, -1:] >> 7, np.uint8(255), np.uint8(0))
    kept = min(size, rows.shape[1])
    full[:, :kept] = rows[:, :kept]
    return full.view(np.uint64)


def _bytes_array(full: Words, element: ScalarType, dtype: np.dtype[Any]) -> Array:
    """Sign-extended words as an array of one-byte fields, least significant first."""
    rows = full.view(np.uint8)
    out = np.zeros((len(rows), dtype.itemsize), np.uint8)
    if signed(element):
        out[:] = np.where(rows[:, -1:] >> 7, np.uint8(255), np.uint8(0))
    kept = min(rows.shape[1], dtype.itemsize)
    out[:, :kept] = rows[:, :kept]
    return out.view(dtype).reshape(-1)


def _masked(words: Words, element: ScalarType) -> Words:
    if top := element.bits % 64:
        words[:, -1] &= np.uint64((1 << top) - 1)
    return words


def _sign_extended(words: Words, element: ScalarType) -> Words:
    """A copy with the sign of each element in the bits above its width."""
    full = words.copy()
    if signed(element) and element.bits % 64:
        shift = np.int64(64 - element.bits % 64)
        full[:, -1] = (full[:, -1].view(np.int64) << shift >> shift).view(np.uint64)
    return full


# Fixed point


def _fixed_words(flat: Array, element: FixedType) -> Words:
    fracs, count = element.fracs, word_count(element)
    if flat.dtype.kind == "O":
        return words_of_ints([truncated(x, fracs) for x in _numbers(flat, Fraction)], element)
    if flat.dtype.kind in "biu":
        return _shifted_left(_words_of_native(flat, count), fracs, count)
    return _words_of_floats(flat, fracs, element)


def _words_of_floats(flat: Array, fracs: int, element: ScalarType) -> Words:
    """Floats times ``2**fracs``, toward zero; as Python ints when they are beyond 64 bits."""
    values = flat.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("an infinity or a not-a-number")
    if values.size and np.abs(values).max() >= 2.0 ** (63 - fracs):
        return words_of_ints([truncated(x, fracs) for x in values.tolist()], element)
    whole = np.ldexp(values, fracs).astype(np.int64)
    return _words_of_native(whole, word_count(element))


def _fixed_array(words: Words, element: FixedType, target: np.dtype[Any]) -> Array:
    if element.bits > 64 or target.kind == "O":
        scale = 1 << element.fracs
        exact = [Fraction(n, scale) for n in ints_of_words(words, element)]
        return _of_objects(exact if target.kind == "O" else [float(x) for x in exact], target)
    column = _sign_extended(words, element)[:, 0]
    numbers = (column.view(np.int64) if element.signed else column).astype(np.float64)
    return _converted(np.ldexp(numbers, -element.fracs), target)


# Floating point


def _float_words(flat: Array, element: Float) -> Words:
    unsigned = np.dtype(f"uint{element.width}")
    if flat.dtype != _FLOATS[element]:
        flat = _nearest(flat, element)
    return flat.view(unsigned).astype(np.uint64).reshape(-1, 1)


def _float_array(words: Words, element: Float, target: np.dtype[Any]) -> Array:
    patterns = words[:, 0].astype(np.dtype(f"uint{element.width}"))
    values: Array = patterns.view(_FLOATS[element])
    if target == values.dtype:
        return values
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return _converted(values.astype(np.float64), target)


def _nearest(flat: Array, element: Float) -> Array:
    """Numbers of any dtype in a floating-point format, each rounded once."""
    if flat.dtype.kind == "O":
        return _patterns([pattern_of(x, format_of(element)) for x in _numbers(flat)], element)
    if flat.dtype.kind in "iu" and flat.dtype.itemsize == 8:
        if element not in (float32, float64):  # numpy would go by a wider format
            return _patterns([pattern_of(x, format_of(element)) for x in flat.tolist()], element)
        return flat.astype(_FLOATS[element])
    with np.errstate(over="ignore", invalid="ignore"):
        values = flat.astype(np.float64)
        rounded = values if element in (float32, float64) else _quantised(values, element)
        result = rounded.astype(_FLOATS[element])
    result[np.isnan(result)] = _patterns([format_of(element).nan], element)[0]
    return result


def _patterns(patterns: list[int], element: Float) -> Array:
    array: Array = np.array(patterns, np.dtype(f"uint{element.width}")).view(_FLOATS[element])
    return array


def _quantised(values: npt.NDArray[np.float64], element: Float) -> Array:
    """The nearest multiples of the format's last place at each magnitude; these are exact in it.

    numpy's own conversions to narrow formats go by float32 and round twice.
    """
    smallest = format_of(element).last_place
    exponent = np.maximum(np.frexp(values)[1] - 1 - element.fracs, smallest)
    finite = np.where(np.isfinite(values), values, 0)
    whole = np.rint(np.ldexp(finite, -exponent))
    return np.where(np.isfinite(values), np.ldexp(whole, exponent), values)


# Structs


def _struct_words(flat: Array, element: Struct) -> Words:
    count = word_count(element)
    words = np.zeros((flat.size, count), np.uint64)
    for name, type_ in element.fields:
        part = to_words(flat[name], type_)
        words |= _shifted_left(part, element.field(name)[0], count)
    return words


def _struct_array(words: Words, element: Struct, target: np.dtype[Any]) -> Array:
    out = np.zeros(len(words), target)
    for name, _ in element.fields:
        offset, type_ = element.field(name)
        part = _masked(_shifted_right(words, offset, word_count(type_)), type_)
        out[name] = _flat_array(part, type_, target[name])
    return out


def _shifted_left(words: Words, amount: int, count: int) -> Words:
    """``count`` words of each element times ``2**amount``; what is above is cut off."""
    out = np.zeros((len(words), count), np.uint64)
    whole, part = divmod(amount, 64)
    for k in range(min(words.shape[1], count - whole)):
        out[:, k + whole] |= words[:, k] << np.uint64(part)
        if part and k + whole + 1 < count:
            out[:, k + whole + 1] |= words[:, k] >> np.uint64(64 - part)
    return out


def _shifted_right(words: Words, amount: int, count: int) -> Words:
    """The lowest ``count`` words of each element without its lowest ``amount`` bits."""
    out = np.zeros((len(words), count), np.uint64)
    whole, part = divmod(amount, 64)
    for k in range(min(words.shape[1] - whole, count)):
        out[:, k] |= words[:, k + whole] >> np.uint64(part)
        if part and k + whole + 1 < words.shape[1]:
            out[:, k] |= words[:, k + whole + 1] << np.uint64(64 - part)
    return out


# Python numbers, and dtypes that are not the type's own


def _numbers(flat: Array, *more: type) -> list[Any]:
    """The Python numbers in an object array; not what int() would read out of a string."""
    values = flat.tolist()
    if not all(isinstance(v, (*REAL, *more)) for v in values):
        raise ValueError("something that is no number")
    plain = [v.item() if isinstance(v, np.generic) else v for v in values]
    return [int(v) if isinstance(v, bool) else v for v in plain]


def _of_objects(values: list[Any], target: np.dtype[Any]) -> Array:
    """An array of Python numbers, in ``target``."""
    flat = np.empty(len(values), object)
    flat[:] = values
    if target.kind == "O":
        return flat
    if target.kind not in "iu" or not all(isinstance(v, int) for v in values):
        return _converted(flat.astype(np.float64), target)
    low = (flat & ((1 << 64) - 1)).astype(np.uint64)
    return low.astype(target)


def _converted(values: Array, target: np.dtype[Any]) -> Array:
    """Native numbers in another dtype."""
    if values.dtype.kind == "f" and target.kind in "iu":
        return _saturated(values, target)
    if target.kind == "O":
        return _of_objects(values.tolist(), target)
    if target in _FLOAT_TYPES:
        element = _FLOAT_TYPES[target]
        assert isinstance(element, Float)
        return _nearest(values, element)
    return values.astype(target)


def _saturated(values: Array, target: np.dtype[Any]) -> Array:
    """Floats toward zero, at most to the ends of an integer dtype; NaN is 0."""
    info = np.iinfo(target)
    low, high = values <= info.min, values >= info.max
    out: Array = np.where(low | high | np.isnan(values), 0, values).astype(target)
    out[low], out[high] = info.min, info.max
    return out

