"""Arguments to run two kernels on, to find out whether they compute the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from random import Random
from typing import Any

import numpy as np

from allo_rtl.ir.arithmetic import format_of, limits
from allo_rtl.ir.ops import Constant, Func, Module, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.term_base import Term
from allo_rtl.ir.types import DYNAMIC, ArrayType, Float, Index, IntegerType, Type
from allo_rtl.witness import searchable, turned

_FEW = 4096
"""So many inputs are all tried."""
_EXTENT = 6
"""Of arrays whose extent is not known before they are given."""


def every_input(a: Module, b: Module) -> list[list[Any]]:
    """All arguments there are, when they are few and all there is; else none."""
    types = [v.type for v in a.top_func.args]
    if any(isinstance(t, ArrayType) for t in types):
        return []
    if any(g.stateful for m in (a, b) for g in m.globals):
        return []
    ends = [limits(t) for t in types]
    if prod(high - low + 1 for low, high in ends) > _FEW:
        return []
    ranges = [range(low, high + 1) for low, high in ends]
    return [list(args) for args in product(*ranges)]


def random_inputs(a: Module, b: Module, tests: int) -> Iterator[list[Any]]:
    """In half of them a scalar is, in turn, one of the numbers that the kernels name."""
    random, numbers = Random(0), _numbers(a) | _numbers(b)
    types = [v.type for v in a.top_func.args]
    turns = [
        (k, n)
        for k, type_ in enumerate(types)
        if not isinstance(type_, ArrayType)
        for n in _named(type_, numbers)
    ]
    random.shuffle(turns)
    for test in range(tests):
        small = random.random() < 0.5
        args = [_random(t, random, numbers, small) for t in types]
        if turns and test % 2:
            at, number = turns[test // 2 % len(turns)]
            args[at] = number
        yield args


def tame_inputs(a: Module, b: Module, tests: int) -> Iterator[list[Any]]:
    """Inputs whose integers are subscripts of every array, as far as their types allow that."""
    arrays = [v.type for m in (a, b) for f in m.funcs for v in _values(f)
              if isinstance(v.type, ArrayType)]  # fmt: skip
    least = min((n for t in arrays for n in _shape(t)), default=_EXTENT)
    random, types = Random(2), [v.type for v in a.top_func.args]
    for args in random_inputs(a, b, tests):
        whole = [
            isinstance(t.element if isinstance(t, ArrayType) else t, IntegerType | Index)
            for t in types
        ]
        yield [
            _below(random.randint(1, least), t, x, random) if w else x
            for w, t, x in zip(whole, types, args, strict=True)
        ]


def _values(func: Func) -> Iterator[Value]:
    yield from func.args
    for op in walk(func.body):
        yield from op.results()


def _below(end: int, type_: Type, x: Any, random: Random) -> Any:  # noqa: ANN401
    """Integers from 0 to before an end, in the shape of others."""
    high = limits(type_.element if isinstance(type_, ArrayType) else type_)[1]
    if not isinstance(x, np.ndarray):
        return min(random.randrange(end), high)
    flat = [min(random.randrange(end), high) for _ in range(x.size)]
    return np.array(flat, dtype=object).reshape(x.shape)


def turned_inputs(
    a: Module, b: Module, tests: int, suspects: Sequence[Term]
) -> Iterator[list[Any]]:
    """Random inputs changed so that comparisons turn in what may differ."""
    terms, random = searchable(suspects), Random(1)
    if not terms:
        return
    for args in random_inputs(a, b, tests):
        yield with_inputs(args, turned(terms, _by_name(args), random))


def with_inputs(args: Sequence[Any], found: Mapping[str, int]) -> list[Any]:
    """Arguments with other values of the inputs that a mapping has, by their names in terms."""
    arrays = [np.array(x, dtype=object) for x in args]
    for name, (n, place) in _cells(arrays).items():
        if name in found:
            arrays[n][place] = found[name]
    return [x if x.ndim else x.item() for x in arrays]


def zero_inputs(a: Module) -> list[Any]:
    """Arguments that are all zero."""
    types = [v.type for v in a.top_func.args]
    return [np.zeros(_shape(t), object) if isinstance(t, ArrayType) else 0 for t in types]


def _shape(type_: ArrayType) -> tuple[int, ...]:
    return tuple(_EXTENT if n == DYNAMIC else n for n in type_.shape)


def _by_name(args: Sequence[Any]) -> dict[str, int]:
    arrays = [np.array(x, dtype=object) for x in args]
    return {name: int(arrays[n][place]) for name, (n, place) in _cells(arrays).items()}


def _cells(arrays: Sequence[Any]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """The names of inputs: which argument each is of, and where."""
    return {_cell(n, p): (n, p) for n, x in enumerate(arrays) for p in np.ndindex(x.shape)}


def _cell(argument: int, place: tuple[int, ...]) -> str:
    """The name of an input in terms (see :func:`allo_rtl.ir.symbolic.outputs`)."""
    at = f"[{', '.join(map(str, place))}]" if place else ""
    return f"argument {argument + 1}{at}"


def _named(element: Type, numbers: frozenset[tuple[bool, int]]) -> list[int]:
    """The numbers that a value of a type can be; of integers the extremes too, of floats
    zeros, infinities and other special ones."""
    low, high = limits(element)
    if isinstance(element, Float):
        fmt, sign = format_of(element), 1 << (element.width - 1)
        special = {0, 1, sign, fmt.overflow, sign | fmt.overflow, fmt.nan, fmt.nan + 1}
        return sorted(special | {n for f, n in numbers if f and n < 2 * sign})
    return sorted({*(n for f, n in numbers if not f and low <= n <= high), low, high})


def _numbers(module: Module) -> frozenset[tuple[bool, int]]:
    """The numbers in a kernel, where it may do something else: whether of a float, and the int
    that stands for it.  Of integers the neighbours too."""
    found = {(False, 0), (False, 1), (False, -1)}
    for func in module.funcs:
        for op in walk(func.body):
            if isinstance(op, Constant):
                floats = isinstance(op.result.type, Float)
                near = (0,) if floats else (-1, 0, 1)
                found |= {(floats, op.value + n) for n in near}
    return frozenset(found)


def _random(
    type_: Type, random: Random, numbers: frozenset[tuple[bool, int]], small: bool
) -> Any:  # noqa: ANN401 - an int or an array of ints
    """Any bits, or small numbers; at times numbers that the kernels name, and special ones."""
    element = type_.element if isinstance(type_, ArrayType) else type_
    low, high = limits(element)
    named = _named(element, numbers)

    def one() -> int:
        if named and random.random() < 0.1:
            return random.choice(named)
        if small and isinstance(element, Float):
            return _near_one(element, random)
        return random.randint(max(low, -8), min(high, 8)) if small else random.randint(low, high)

    if not isinstance(type_, ArrayType):
        return one()
    shape = _shape(type_)
    flat = [one() for _ in range(prod(shape))]
    return np.array(flat, dtype=object).reshape(shape)


def _near_one(type_: Float, random: Random) -> int:
    """A number of magnitude about 1, so that sums of some are rounded."""
    fmt = format_of(type_)
    exponent = fmt.bias + random.randint(-3, 3)
    sign = random.getrandbits(1) << (type_.width - 1)
    return sign | exponent << type_.fracs | random.getrandbits(type_.fracs)
