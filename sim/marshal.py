"""The numpy calling convention of everything that runs a kernel: CPU, simulation, board.

Inside, an array travels as *words*: a C-contiguous ``uint64`` array of shape (elements,
ceil(bits / 64)), row-major, least significant word first.  Each element is its two's complement
bits; the bits above its width are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from warnings import warn

import numpy as np
import numpy.typing as npt

from allo_rtl.errors import CallError, DTypeWarning
from allo_rtl.ir.ops import Func
from allo_rtl.ir.types import ArrayType, Index, IntegerType, ScalarType, Type, bool_

type Words = npt.NDArray[np.uint64]
"""Elements as 64-bit words, see above."""

type Array = npt.NDArray[Any]
"""An array of the user's."""

type Raw = Words | int
"""An argument or result inside: an array's words, a scalar's number."""


@dataclass(frozen=True)
class Signature:
    """What a kernel takes and returns: ``args`` are (name, type)."""

    name: str
    args: tuple[tuple[str, Type], ...]
    results: tuple[Type, ...]

    @staticmethod
    def of(func: Func) -> Signature:
        """The signature of a function of the IR; an argument without a name is ``arg<n>``."""
        args = tuple((a.name or f"arg{n}", a.type) for n, a in enumerate(func.args))
        return Signature(func.name, args, func.results)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{n}: {t}' for n, t in self.args)})"


def word_count(element: ScalarType) -> int:
    """Number of 64-bit words of one element."""
    return -(-element.bits // 64)


def numpy_dtype(element: ScalarType) -> np.dtype[Any]:
    """The dtype of arrays of ``element``: native, else the next larger native; object above 64."""
    if element == bool_:
        return np.dtype(np.bool_)
    bits = element.bits
    if bits > 64:
        return np.dtype(object)
    size = next(s for s in (8, 16, 32, 64) if s >= bits)
    return np.dtype(f"{'int' if _integer(element).signed else 'uint'}{size}")


def to_words(array: Array, element: ScalarType) -> Words:
    """The words of an array's elements, each wrapped modulo 2**bits.

    Args:
        array: of integers or booleans, of floats (truncated toward zero), of Python ints
            (dtype object), or structured with one-byte fields, least significant first.
        element: the kernel's element type.

    Raises:
        ValueError: the array holds something that is no number.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "f":
        flat = _truncated(flat)
    if flat.dtype.names is not None:
        words = _words_of_bytes(flat.view(np.uint8).reshape(flat.size, -1), element)
    elif flat.dtype.kind == "O":
        words = _words_of_ints(flat.tolist(), element)
    else:
        words = _words_of_native(flat, word_count(element))
    return _masked(words, element)


def from_words(words: Words, array_type: ArrayType, dtype: npt.DTypeLike) -> Array:
    """The array of ``array_type.shape`` and ``dtype`` that the words stand for.

    ``dtype`` may be any that :func:`to_words` takes; a number that does not fit it wraps.
    """
    target, element = np.dtype(dtype), _integer(array_type.element)
    full = _sign_extended(words, element)
    if target.names is not None:
        flat = _structured(full, element, target)
    elif element.bits > 64 or target.kind == "O":
        flat = np.empty(len(full), object)
        data, size = full.tobytes(), full.shape[1] * 8
        flat[:] = [
            int.from_bytes(data[at : at + size], "little", signed=element.signed)
            for at in range(0, len(data), size)
        ]
        flat = flat if target.kind == "O" else _fit(flat, target)
    else:
        column = full[:, 0]
        flat = (column.view(np.int64) if element.signed else column).astype(target)
    return flat.reshape(array_type.shape)


def word_of_int(value: int, element: ScalarType) -> Words:
    """The words of one number, shape (1, words)."""
    return _masked(_words_of_ints([value], element), element)


def int_of_word(words: Words, element: ScalarType) -> int:
    """The number that the words of one element stand for."""
    return _integer(element).wrap(int.from_bytes(words.tobytes(), "little"))


def call_with_numpy(
    sig: Signature, args: Sequence[Any], run: Callable[[list[Raw]], Sequence[Raw]]
) -> Any:  # noqa: ANN401 - what a kernel returns is up to its signature
    """Call ``run`` with the user's arguments in raw form, and hand back its results.

    Args:
        sig: what the kernel takes and returns.
        args: an int, bool or numpy integer a scalar, wrapped modulo its width; a numpy array of
            the exact shape an array. An array whose dtype is not :func:`numpy_dtype` is
            converted with a DTypeWarning.
        run: takes numbers in the range of their type and words it may change in place; returns
            the results in order.

    Returns:
        None, the one result, or a list of the results: Python ints and fresh arrays of
        :func:`numpy_dtype`. Argument arrays that the kernel changed have their new contents,
        whatever their dtype and layout; those it left as they were are not written to.

    Raises:
        CallError: an argument does not fit; or the kernel changed an array that is read-only or
            that shares memory with another argument (no argument is written to then).
    """
    if len(args) != len(sig.args):
        raise CallError(f"{sig} takes {len(sig.args)} arguments, {len(args)} were given")
    params = [(name, t, arg) for (name, t), arg in zip(sig.args, args, strict=True)]
    raw = [_lower(sig, name, t, arg) for name, t, arg in params]
    before = [r if isinstance(r, int) else r.copy() for r in raw]
    results = run(raw)
    changed = {n for n, (a, b) in enumerate(zip(before, raw, strict=True)) if not _same(a, b)}
    _check_writes(sig, args, changed)
    for n in changed:
        words, t = raw[n], params[n][1]
        assert isinstance(words, np.ndarray)
        assert isinstance(t, ArrayType)
        args[n][...] = from_words(words, t, args[n].dtype)
    outs = [_lift(t, r) for t, r in zip(sig.results, results, strict=True)]
    return outs if len(outs) > 1 else outs[0] if outs else None


def _integer(element: ScalarType) -> IntegerType | Index:
    if not isinstance(element, IntegerType | Index):
        raise TypeError(f"{element} is not an integer type")
    return element


def _masked(words: Words, element: ScalarType) -> Words:
    if top := element.bits % 64:
        words[:, -1] &= np.uint64((1 << top) - 1)
    return words


def _sign_extended(words: Words, element: IntegerType | Index) -> Words:
    """A copy with the sign of each element in the bits above its width."""
    full = words.copy()
    if element.signed and element.bits % 64:
        shift = np.int64(64 - element.bits % 64)
        full[:, -1] = (full[:, -1].view(np.int64) << shift >> shift).view(np.uint64)
    return full


def _truncated(flat: Array) -> Array:
    """Floats toward zero; as Python ints when they are beyond 64 bits."""
    if not np.isfinite(flat).all():
        raise ValueError("an infinity or a not-a-number")
    if flat.size and np.abs(flat).max() >= 2**63:
        return np.array([int(x) for x in flat.tolist()], object)
    return flat.astype(np.int64)


def _words_of_native(flat: Array, count: int) -> Words:
    words = flat.astype(np.uint64).reshape(-1, 1)
    if count == 1:
        return words
    signs = np.where(flat < 0, ~np.uint64(0), np.uint64(0))[:, None]
    return np.concatenate([words, *[signs] * (count - 1)], axis=1)


def _number(value: object) -> int:
    """An element of an object array as an int; not what int() would read out of a string."""
    if not isinstance(value, int | float | np.number | np.bool_):
        raise TypeError(f"{value!r} is no number")
    return int(value)


def _words_of_ints(values: list[Any], element: ScalarType) -> Words:
    size = word_count(element) * 8
    mask = (1 << element.bits) - 1
    try:
        data = b"".join((_number(v) & mask).to_bytes(size, "little") for v in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("something that is no number") from error
    return np.frombuffer(bytearray(data), np.uint64).reshape(len(values), -1)


def _words_of_bytes(rows: npt.NDArray[np.uint8], element: ScalarType) -> Words:
    """Words of little-endian rows; a row that is too short is sign extended, one too long cut."""
    size = word_count(element) * 8
    full = np.zeros((len(rows), size), np.uint8)
    if _integer(element).signed:
        full[:] = np.where(rows[:, -1:] >> 7, np.uint8(255), np.uint8(0))
    kept = min(size, rows.shape[1])
    full[:, :kept] = rows[:, :kept]
    return full.view(np.uint64)


def _structured(full: Words, element: IntegerType | Index, dtype: np.dtype[Any]) -> Array:
    """Sign-extended words as an array of one-byte fields, least significant first."""
    rows = full.view(np.uint8)
    out = np.zeros((len(rows), dtype.itemsize), np.uint8)
    if element.signed:
        out[:] = np.where(rows[:, -1:] >> 7, np.uint8(255), np.uint8(0))
    kept = min(rows.shape[1], dtype.itemsize)
    out[:, :kept] = rows[:, :kept]
    return out.view(dtype)


def _fit(ints: Array, dtype: np.dtype[Any]) -> Array:
    """Python ints in a native dtype, wrapped to its width."""
    if dtype.kind not in "iu":
        return ints.astype(dtype)
    low = (ints & ((1 << 64) - 1)).astype(np.uint64)
    return low.astype(dtype)


def _takes(type_: Type) -> str:
    if isinstance(type_, ArrayType):
        return f"a numpy array of shape {type_.shape} and dtype {numpy_dtype(type_.element)}"
    return "an int"


def _kind(arg: object) -> str:
    name = type(arg).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _error(
    sig: Signature, name: str, type_: Type, found: str, hint: str | None = None
) -> CallError:
    return CallError(
        f"argument '{name}' of {sig.name} is {type_}, but {found} was given",
        allowed=_takes(type_),
        hint=hint,
    )


def _lower(sig: Signature, name: str, type_: Type, arg: object) -> Raw:
    """One argument of the user's, checked, in raw form."""
    if isinstance(type_, ArrayType):
        return _lower_array(sig, name, type_, arg)
    assert isinstance(type_, ScalarType)
    if isinstance(arg, np.ndarray):
        raise _error(sig, name, type_, f"an array of shape {arg.shape}")
    if not isinstance(arg, int | np.integer | np.bool_):
        hint = f"int({name}) drops the fraction" if isinstance(arg, float | np.floating) else None
        raise _error(sig, name, type_, f"{_kind(arg)} ({arg!r})", hint)
    return _integer(type_).wrap(int(arg))


def _lower_array(sig: Signature, name: str, type_: ArrayType, arg: object) -> Words:
    native = numpy_dtype(type_.element)
    if not isinstance(arg, np.ndarray):
        hint = f"np.array({name}, dtype=np.{native})" if isinstance(arg, list | tuple) else None
        raise _error(sig, name, type_, _kind(arg), hint)
    if arg.shape != type_.shape:
        raise _error(sig, name, type_, f"an array of shape {arg.shape}")
    if arg.dtype.kind not in "biufOV" or not _is_bytes_struct(arg.dtype):
        raise _error(sig, name, type_, f"an array of dtype {arg.dtype}")
    if not _holds(arg.dtype, type_.element):
        text = f"argument '{name}' of {sig.name} is {type_}: an array of {arg.dtype} is converted"
        warn(f"{text}; one of {native} is not", DTypeWarning, stacklevel=5)
    try:
        return to_words(arg, type_.element)
    except ValueError as error:
        raise _error(sig, name, type_, f"an array with {error}") from error


def _is_bytes_struct(dtype: np.dtype[Any]) -> bool:
    """Whether a structured dtype is made of one-byte fields (true for any other dtype)."""
    if dtype.kind != "V":
        return True
    fields: Mapping[str, Any] = dtype.fields or {}
    return len(fields) == dtype.itemsize and all(f[0] == np.uint8 for f in fields.values())


def _holds(dtype: np.dtype[Any], element: ScalarType) -> bool:
    """Whether arrays of ``dtype`` are a form of ``element`` (no warning)."""
    native = numpy_dtype(element)
    if dtype.kind == "V" or dtype == native:
        return dtype.itemsize * 8 >= element.bits or dtype == native
    # A width numpy does not have lives in whatever larger integer the user likes.
    return native.itemsize * 8 != element.bits and element.bits <= 64 and (
        element != bool_ and dtype.kind in "iu" and dtype.itemsize >= native.itemsize
    )


def _same(old: Raw, new: Raw) -> bool:
    return isinstance(old, int) or np.array_equal(old, new)


def _check_writes(sig: Signature, args: Sequence[Any], changed: set[int]) -> None:
    """Refuse writes to a read-only array, and to memory that two arguments share."""
    names = [name for name, _ in sig.args]
    for n in sorted(changed):
        if not args[n].flags.writeable:
            found = f"{sig.name} changes its argument '{names[n]}', which is a read-only array"
            raise CallError(found, hint=f"pass a copy: {names[n]}.copy()")
    arrays = [n for n, a in enumerate(args) if isinstance(a, np.ndarray)]
    for a, b in combinations(arrays, 2):
        if (a in changed or b in changed) and np.shares_memory(args[a], args[b]):
            found = f"arguments '{names[a]}' and '{names[b]}' of {sig.name} share memory"
            written = names[a] if a in changed else names[b]
            hint = f"pass a copy: {names[b]}.copy()"
            raise CallError(f"{found}, and it changes '{written}'", hint=hint)


def _lift(type_: Type, result: Raw) -> Array | int:
    """One result as the user gets it."""
    if isinstance(type_, ArrayType):
        assert isinstance(result, np.ndarray)
        return from_words(result, type_, numpy_dtype(type_.element))
    assert isinstance(type_, ScalarType)
    number = result if isinstance(result, int) else int_of_word(result, type_)
    return _integer(type_).wrap(number)
