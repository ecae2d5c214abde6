"""The numpy calling convention of everything that runs a kernel: CPU, simulation, board.

A call has one argument a parameter:

* an array parameter takes a numpy array of its shape (of any first extent where that is
  dynamic), of any memory layout, and is changed in place. An array of another dtype than its
  type's own (:mod:`allo_rtl.sim.words` has the table) is converted with a DTypeWarning, and back
  when the kernel changed it. Lists are refused: what the kernel wrote would be lost.
* an integer or index parameter takes any integer or bool of Python or numpy, modulo its width,
  and a float that is a whole number.
* a floating-point parameter takes any real number of Python or numpy, to nearest.
* a fixed-point parameter too, and a Fraction: toward zero, modulo its width.
* a struct parameter takes a dict, or a tuple in the order of the fields, or an element of a
  structured array.

It gives None, the one result, or a list of them: Python ints, floats and dicts for scalars, fresh
arrays of the type's own dtype.

Inside, an array travels as *words* (:mod:`allo_rtl.sim.words`), a scalar as the int that stands
for it (:mod:`allo_rtl.ir.types`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any
from warnings import warn

import numpy as np

from allo_rtl.errors import CallError, DTypeWarning
from allo_rtl.ir.arithmetic import Number, format_of, number_of, wrap
from allo_rtl.ir.ops import Func
from allo_rtl.ir.types import (
    DYNAMIC,
    ArrayType,
    FixedType,
    Float,
    Index,
    IntegerType,
    ScalarType,
    Struct,
    Type,
    bool_,
)
from allo_rtl.sim.words import (
    REAL,
    Array,
    Words,
    from_words,
    int_of_word,
    ints_of_words,
    is_number,
    numpy_dtype,
    pattern_of,
    to_words,
    truncated,
    word_count,
    word_of_int,
    words_of_ints,
)

__all__ = [
    "Array", "Raw", "Signature", "Words", "call_with_numpy", "from_words", "int_of_word",
    "ints_of_words", "numpy_dtype", "raw_scalar", "to_words", "word_count", "word_of_int",
    "words_of_ints",
]  # fmt: skip

type Raw = Words | int
"""An argument or result inside: an array's words, the int that stands for a scalar."""

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


def call_with_numpy(
    sig: Signature, args: Sequence[Any], run: Callable[[list[Raw]], Sequence[Raw]]
) -> Any:  # noqa: ANN401 - what a kernel returns is up to its signature
    """Call ``run`` with the user's arguments in raw form, and hand back its results.

    Args:
        sig: what the kernel takes and returns, with the types of the user's.
        args: the arguments, as the head of this module says.
        run: takes ints in the range of their type and words it may change in place; returns
            the results in order.

    Returns:
        None, the one result, or a list of the results. Argument arrays that the kernel changed
        have their new contents, whatever their dtype and layout; those it left as they were are
        not written to.

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


def raw_scalar(type_: ScalarType, value: object) -> int:
    """The int that stands for a number (or struct) of Python or numpy, converted to ``type_``.

    Raises:
        ValueError: there is no such conversion; says what was found.
    """
    return _scalar(type_, value, "")


class _Misfit(ValueError):
    """What was found, and what could be done about it."""

    def __init__(self, found: str, hint: str | None = None) -> None:
        super().__init__(found)
        self.hint = hint


def _scalar(type_: ScalarType, value: object, field: str) -> int:
    """``field`` names the part of a struct that the value is."""
    if isinstance(value, np.ndarray):
        if value.shape:
            raise _Misfit(f"an array of shape {value.shape}{_of_field(field)}")
        value = value[()]
    if isinstance(type_, Struct):
        return _struct(type_, value, field)
    plain = _real(type_, value)
    if plain is None:
        raise _Misfit(f"{_kind(value)} ({value!r}){_of_field(field)}")
    match type_:
        case Float():
            assert not isinstance(plain, Fraction)
            return pattern_of(plain, format_of(type_))
        case FixedType():
            return wrap(type_, _whole(plain, value, type_.fracs, field))
    if isinstance(plain, float) and not plain.is_integer():
        hint = f"int({field or '{name}'}) drops the fraction" if np.isfinite(plain) else None
        raise _Misfit(f"{_kind(value)} ({value!r}){_of_field(field)}", hint)
    return wrap(type_, int(plain))


def _real(type_: ScalarType, value: object) -> int | float | Fraction | None:
    """A number as Python's own; None when it is none that ``type_`` takes."""
    if isinstance(value, Fraction) and isinstance(type_, FixedType):
        return value
    if not isinstance(value, REAL):
        return None
    if isinstance(value, int | np.integer | np.bool_):
        return int(value)
    return float(value)  # type: ignore[arg-type]  # REAL is not known to be numbers


def _whole(plain: int | float | Fraction, value: object, fracs: int, field: str) -> int:
    try:
        return truncated(plain, fracs)
    except ValueError:
        raise _Misfit(f"{_kind(value)} ({value!r}){_of_field(field)}") from None


def _struct(type_: Struct, value: object, field: str) -> int:
    names = [name for name, _ in type_.fields]
    match value:
        case np.void() if value.dtype.names is not None:
            parts = {n: value[n] for n in value.dtype.names}
        case Mapping():
            parts = dict(value)
        case tuple() if len(value) == len(names):
            parts = dict(zip(names, value, strict=True))
        case tuple():
            raise _Misfit(f"a tuple of {len(value)}{_of_field(field)}")
        case _:
            raise _Misfit(f"{_kind(value)} ({value!r}){_of_field(field)}")
    if set(parts) != set(names):
        given = ", ".join(map(str, parts))
        raise _Misfit(f"one with the fields {given}{_of_field(field)}")
    bits = 0
    for name, part in type_.fields:
        raw = _scalar(part, parts[name], f"{field}.{name}" if field else name)
        bits |= (raw & ((1 << part.bits) - 1)) << type_.field(name)[0]
    return bits


def _of_field(field: str) -> str:
    return f" for its field '{field}'" if field else ""


def _takes(type_: Type) -> str:
    match type_:
        case ArrayType():
            return f"a numpy array of shape {_shape(type_)} and dtype {numpy_dtype(type_.element)}"
        case Struct():
            fields = ", ".join(f"{name}: {t}" for name, t in type_.fields)
            return f"a dict or tuple of {fields}"
        case IntegerType() | Index():
            return "an int"
    return "a number"


def _shape(type_: ArrayType) -> str:
    texts = ["..." if n == DYNAMIC else str(n) for n in type_.shape]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


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
    try:
        return raw_scalar(type_, arg)
    except _Misfit as error:
        hint = error.hint and error.hint.replace("{name}", name)
        raise _error(sig, name, type_, str(error), hint) from None


def _lower_array(sig: Signature, name: str, type_: ArrayType, arg: object) -> Words:
    native = numpy_dtype(type_.element)
    if not isinstance(arg, np.ndarray):
        make = f"np.array({name}, dtype={_dtype_text(native)})"
        hint = make if isinstance(arg, list | tuple) and native.names is None else None
        raise _error(sig, name, type_, _kind(arg), hint)
    fits = (w in (DYNAMIC, n) for n, w in zip(arg.shape, type_.shape, strict=False))
    if arg.ndim != type_.rank or not all(fits):
        raise _error(sig, name, type_, f"an array of shape {arg.shape}")
    if not _convertible(arg.dtype, type_.element):
        raise _error(sig, name, type_, f"an array of dtype {arg.dtype}")
    if not _holds(arg.dtype, type_.element):
        text = f"argument '{name}' of {sig.name} is {type_}: an array of {arg.dtype} is converted"
        warn(f"{text}; one of {native} is not", DTypeWarning, stacklevel=5)
    try:
        return to_words(arg, type_.element)
    except ValueError as error:
        raise _error(sig, name, type_, f"an array with {error}") from error


def _dtype_text(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "O":
        return "object"
    return f"{'np' if hasattr(np, dtype.name) else 'ml_dtypes'}.{dtype.name}"


def _convertible(dtype: np.dtype[Any], element: ScalarType) -> bool:
    """Whether an array of ``dtype`` can become one of ``element``."""
    if isinstance(element, Struct):
        fields: Mapping[str, Any] = dtype.fields or {}
        known = dict(element.fields)
        return set(fields) == set(known) and all(
            _convertible(fields[n][0], t) for n, t in known.items()
        )
    if isinstance(element, IntegerType | Index) and dtype.names is not None:
        return _is_bytes(dtype)
    return is_number(dtype)


def _is_bytes(dtype: np.dtype[Any]) -> bool:
    """Whether a structured dtype is made of one-byte fields."""
    fields: Mapping[str, Any] = dtype.fields or {}
    return len(fields) == dtype.itemsize and all(f[0] == np.uint8 for f in fields.values())


def _holds(dtype: np.dtype[Any], element: ScalarType) -> bool:
    """Whether arrays of ``dtype`` are a form of ``element`` (no warning)."""
    native = numpy_dtype(element)
    match element:
        case Struct():
            return all(_holds(dtype[name], t) for name, t in element.fields)
        case FixedType():
            return dtype == native or dtype.kind == "O"
        case Float():
            return dtype == native
    if dtype.kind == "V":
        return dtype.names is not None and dtype.itemsize * 8 >= element.bits
    # A width numpy does not have lives in whatever larger integer the user likes.
    return dtype == native or (
        native.itemsize * 8 != element.bits and element.bits <= 64 and element != bool_
        and dtype.kind in "iu" and dtype.itemsize >= native.itemsize
    )  # fmt: skip


def _same(old: Raw, new: Raw) -> bool:
    return isinstance(old, int) or np.array_equal(old, new)


def _check_writes(sig: Signature, args: Sequence[Any], changed: set[int]) -> None:
    """Refuse writes to a read-only array, and to memory that two arguments share."""
    names = [name for name, _ in sig.args]
    for n in sorted(changed):
        if not args[n].flags.writeable:
            found = f"{sig.name} changes its argument '{names[n]}', which is a read-only array"
            raise CallError(found, hint=f"pass a copy: {names[n]}.copy()")
    params = [t for _, t in sig.args]
    arrays = [n for n, t in enumerate(params) if isinstance(t, ArrayType)]
    for a, b in combinations(arrays, 2):
        if (a in changed or b in changed) and np.shares_memory(args[a], args[b]):
            found = f"arguments '{names[a]}' and '{names[b]}' of {sig.name} share memory"
            written = names[a] if a in changed else names[b]
            hint = f"pass a copy: {names[b]}.copy()"
            raise CallError(f"{found}, and it changes '{written}'", hint=hint)


def _lift(type_: Type, result: Raw) -> Array | Number:
    """One result as the user gets it."""
    if isinstance(type_, ArrayType):
        assert isinstance(result, np.ndarray)
        return from_words(result, type_, numpy_dtype(type_.element))
    assert isinstance(type_, ScalarType)
    raw = wrap(type_, result) if isinstance(result, int) else int_of_word(result, type_)
    return number_of(type_, raw)
