"""Do two schedules, or two kernels, compute the same?

:func:`verify` follows both on unknown inputs and compares, for every element that they change or
return, what it is as a function of the inputs (:mod:`allo_rtl.ir.symbolic`).  Where the terms are
equal the two are equal for all inputs.  Where they are not, or where control depends on the
inputs, random inputs are run, and such at which comparisons turn (:mod:`allo_rtl.witness`): they
may give a counterexample; if they do not, the answer says that it was tested and not proved.
Lines that are printed, assertions and state from run to run count as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from math import prod
from random import Random
from typing import Any

import numpy as np

from allo_rtl.customize import customize
from allo_rtl.errors import AlloError, ScheduleError
from allo_rtl.ir.arithmetic import format_of, limits, number_of
from allo_rtl.ir.evaluate import State, evaluate
from allo_rtl.ir.ops import Constant, Module
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.symbolic import NotSymbolic, outputs
from allo_rtl.ir.terms import Term, Terms
from allo_rtl.ir.types import DYNAMIC, ArrayType, Float, Type
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.witness import searchable, turned

Comparable = Schedule | Module | Callable[..., Any]
"""What can be compared."""

_TESTS = 40
_FEW = 4096
"""So many inputs are all tried."""
_EXTENT = 6
"""Of arrays whose extent is not known before they are given."""
_TEXT = 100


@dataclass(frozen=True)
class Verdict:
    """The answer; it is true when the two are equal as far as is known.

    Attributes:
        equal: whether they are.
        proved: for all inputs (when equal), or by a counterexample (when not).
        reason: in words: what was compared, or the element that differs.
        inputs: arguments for which they differ, as raw ints (see :mod:`allo_rtl.ir.types`).
    """

    equal: bool
    proved: bool
    reason: str
    inputs: tuple[Any, ...] | None = None

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        known = "proved" if self.proved else "tested"
        return f"{'equivalent' if self.equal else 'not equivalent'} ({known}): {self.reason}"


def verify(a: Comparable, b: Comparable, tests: int = _TESTS) -> Verdict:
    """Whether two schedules, modules or kernels compute the same.

    Args:
        a, b: schedules, modules, or what :func:`allo_rtl.customize` takes (a kernel function),
            with the same argument and result types; an array may have another shape with as many
            elements, which are compared in row-major order.
        tests: random inputs to try where nothing is proved.

    Raises:
        ScheduleError: the two take or give different types.
        LanguageError: one is not a kernel, or not in the language.
    """
    one, other = _module(a), _module(b)
    _check_signatures(one, other)
    reason, suspects = _compare(one, other)
    if not suspects and reason.startswith("all"):
        return Verdict(True, True, reason)
    return _test(one, other, reason, tests, suspects)


def _module(x: Comparable) -> Module:
    if isinstance(x, Module):
        return x
    return (x if isinstance(x, Schedule) else customize(x)).module


def _check_signatures(a: Module, b: Module) -> None:
    types = [[v.type for v in m.top_func.args] + list(m.top_func.results) for m in (a, b)]
    if [_elements(t) for t in types[0]] != [_elements(t) for t in types[1]]:
        shown = [f"{m.top}({', '.join(map(str, t))})" for m, t in zip((a, b), types, strict=True)]
        raise ScheduleError(
            f"{shown[0]} and {shown[1]} cannot be compared",
            allowed="kernels with the same types of arguments and results; shapes may differ that "
            "have as many elements",
        )


def _elements(type_: Type) -> tuple[str, object]:
    """What two kernels must agree in: the type of the elements and how many there are."""
    if not isinstance(type_, ArrayType):
        return str(type_), None
    return str(type_.element), type_.shape if type_.is_dynamic else type_.size


def _compare(a: Module, b: Module) -> tuple[str, list[Term]]:
    """(what was found, the terms of all elements that may differ)."""
    terms = Terms()
    types = [*(v.type for v in a.top_func.args), *a.top_func.results]
    try:
        mine, others = outputs(a, terms), outputs(b, terms, named=types)
    except NotSymbolic as why:
        return f"not followed for all inputs: {why}", []
    suspects = [
        side[name]
        for name in {**mine, **others}
        if mine.get(name) is not others.get(name)
        for side in (mine, others)
        if name in side
    ]
    common = [name for name in mine if name in others]
    for name in common:
        if mine[name] is not others[name]:
            return f"{name} is {_short(mine[name])} in one and {_short(others[name])}", suspects
    for name in mine.keys() ^ others.keys():
        # State that one of them does not know has no effect on what it gives.
        if not name.startswith("state "):
            return f"{name} is in one of them only", suspects
    for name in {n.removeprefix("state ").partition("[")[0] for n in common if n[:6] == "state "}:
        if a.global_(name).data != b.global_(name).data:
            return f"state {name} starts with other contents", suspects
    return f"all {len(common)} elements are the same function of the inputs", []


def _short(term: Term) -> str:
    text = str(term)
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} ..."


def _test(a: Module, b: Module, reason: str, tests: int, suspects: list[Term]) -> Verdict:
    every = _every_input(a, b)
    ran = 0
    tried = chain(random_inputs(a, b, tests), _turned_inputs(a, b, tests, suspects))
    for args in every or tried:
        found = _difference(a, b, args)
        if found:
            return Verdict(False, True, f"{found}; {reason}", tuple(args))
        ran += found is not None  # else an input that neither kernel is made for
    if every:
        return Verdict(True, True, f"equal on all {len(every)} inputs")
    if not ran:
        return Verdict(False, False, f"both fail on {tests} random inputs; {reason}")
    return Verdict(True, False, f"equal on {ran} random inputs; {reason}")


def _every_input(a: Module, b: Module) -> list[list[Any]]:
    """All arguments there are, when they are few and all there is; else none."""
    types = [v.type for v in a.top_func.args]
    if any(isinstance(t, ArrayType) for t in types):
        return []
    if any(g.stateful for m in (a, b) for g in m.globals):
        return []
    ranges = [range(low, high + 1) for low, high in map(limits, types)]
    if prod(map(len, ranges)) > _FEW:
        return []
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


def _turned_inputs(
    a: Module, b: Module, tests: int, suspects: list[Term]
) -> Iterator[list[Any]]:
    """Random inputs changed so that comparisons turn in what may differ."""
    terms, random = searchable(suspects), Random(1)
    if not terms:
        return
    for args in random_inputs(a, b, tests):
        arrays = [np.array(x, dtype=object) for x in args]
        cells = {_cell(n, p): (n, p) for n, x in enumerate(arrays) for p in np.ndindex(x.shape)}
        found = turned(terms, {k: int(arrays[n][p]) for k, (n, p) in cells.items()}, random)
        for name, (n, place) in cells.items():
            arrays[n][place] = found[name]
        yield [x if x.ndim else x.item() for x in arrays]


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
    shape = tuple(_EXTENT if n == DYNAMIC else n for n in type_.shape)
    flat = [one() for _ in range(prod(shape))]
    return np.array(flat, dtype=object).reshape(shape)


def _near_one(type_: Float, random: Random) -> int:
    """A number of magnitude about 1, so that sums of some are rounded."""
    fmt = format_of(type_)
    exponent = fmt.bias + random.randint(-3, 3)
    sign = random.getrandbits(1) << (type_.width - 1)
    return sign | exponent << type_.fracs | random.getrandbits(type_.fracs)


@dataclass
class _Side:
    """One of the two kernels while it runs on some arguments, again and again."""

    module: Module
    state: State = field(default_factory=dict)

    def run(self, args: Sequence[Any]) -> tuple[list[Any], str, list[str]]:
        """(arguments after the run and results, the error it ended with or "", lines printed)."""
        lines: list[str] = []
        given = copies(self.module, args)
        try:
            results = evaluate(self.module, given, state=self.state, output=lines.append)
        except AlloError as error:
            return [], error.message, lines
        return [*given, *results], "", lines


def copies(module: Module, args: Sequence[Any]) -> list[Any]:
    """Copies of arguments, in the shapes that the top of a module takes."""
    return [
        _shaped(x, v.array) if isinstance(x, np.ndarray) else x
        for x, v in zip(args, module.top_func.args, strict=True)
    ]


def _shaped(x: Any, type_: ArrayType) -> Any:  # noqa: ANN401
    """A copy of an array in the shape of a type."""
    return x.copy() if type_.is_dynamic else x.copy().reshape(type_.shape)


def _difference(a: Module, b: Module, args: list[Any]) -> str | None:
    """The first element in which the two differ on some arguments, "" when there is none.

    None when both end with an error.  Kernels with state run several times.
    """
    one, other = _Side(a), _Side(b)
    count = 4 if any(g.stateful for m in (a, b) for g in m.globals) else 1
    for n in range(count):
        (x, failed, lines), (y, fails, others) = one.run(args), other.run(args)
        if failed and fails:
            return None
        again = f"in run {n + 1} " if n else ""
        if failed or fails:
            return f"{again}one of them fails: {failed or fails}"
        if text := _values_differ(a, x, y):
            return again + text
        if lines != others:
            return f"{again}other lines are printed"
    return ""


def _values_differ(a: Module, x: Sequence[Any], y: Sequence[Any]) -> str:
    args, results = a.top_func.args, a.top_func.results
    names = [f"argument {n + 1}" for n in range(len(args))]
    names += [f"result {n + 1}" for n in range(len(results))]
    for name, one, two, type_ in zip(
        names, x, y, [*(v.type for v in args), *results], strict=True
    ):
        if text := _differ(name, one, two, type_):
            return text
    return ""


def _differ(name: str, x: Any, y: Any, type_: Type) -> str | None:  # noqa: ANN401
    element = type_.element if isinstance(type_, ArrayType) else type_
    one = np.asarray(x, dtype=object)
    other = np.asarray(y, dtype=object).reshape(one.shape)
    for place in np.ndindex(one.shape):
        if one[place] != other[place]:
            at = f"[{', '.join(map(str, place))}]" if place else ""
            shown = [number_of(element, int(v)) for v in (one[place], other[place])]
            return f"{name}{at} is {shown[0]} and {shown[1]}"
    return None
