"""Do two schedules, or two kernels, compute the same?

:func:`verify` follows both on unknown inputs and compares, for every element that they change or
return, what it is as a function of the inputs (:mod:`allo_rtl.ir.symbolic`).  Where the terms are
equal the two are equal for all inputs.  Where they are not, or where control depends on the
inputs, random inputs are run: they may give a counterexample; if they do not, the answer says
that it was tested and not proved.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from allo_rtl.errors import AlloError, ScheduleError
from allo_rtl.ir.arithmetic import format_of, limits, number_of
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Module
from allo_rtl.ir.symbolic import NotSymbolic, outputs
from allo_rtl.ir.terms import Term, Terms
from allo_rtl.ir.types import ArrayType, Float, Type
from allo_rtl.schedule.schedule import Schedule

_TESTS = 20
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


def verify(a: Schedule | Module, b: Schedule | Module, tests: int = _TESTS) -> Verdict:
    """Whether two schedules or modules compute the same.

    Args:
        a, b: with the same argument and result types.
        tests: random inputs to try where nothing is proved.

    Raises:
        ScheduleError: the two take or give different types.
    """
    one, other = (x.module if isinstance(x, Schedule) else x for x in (a, b))
    _check_signatures(one, other)
    reason, suspect = _compare(one, other)
    if not suspect and reason.startswith("all"):
        return Verdict(True, True, reason)
    return _test(one, other, reason, tests)


def _check_signatures(a: Module, b: Module) -> None:
    types = [[v.type for v in m.top_func.args] + list(m.top_func.results) for m in (a, b)]
    if [str(t) for t in types[0]] != [str(t) for t in types[1]]:
        shown = [f"{m.top}({', '.join(map(str, t))})" for m, t in zip((a, b), types, strict=True)]
        raise ScheduleError(
            f"{shown[0]} and {shown[1]} cannot be compared",
            allowed="kernels with the same types of arguments and results",
        )


def _compare(a: Module, b: Module) -> tuple[str, str]:
    """(what was found, the first element that may differ or "")."""
    terms = Terms()
    try:
        mine, others = outputs(a, terms), outputs(b, terms)
    except NotSymbolic as why:
        return f"not followed for all inputs: {why}", ""
    common = [name for name in mine if name in others]
    for name in common:
        if mine[name] is not others[name]:
            return f"{name} is {_short(mine[name])} in one and {_short(others[name])}", name
    return f"all {len(common)} elements are the same function of the inputs", ""


def _short(term: Term) -> str:
    text = str(term)
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} ..."


def _test(a: Module, b: Module, reason: str, tests: int) -> Verdict:
    random = Random(0)
    for _ in range(tests):
        args = [_random(v.type, random) for v in a.top_func.args]
        try:
            found = _difference(a, b, args)
        except AlloError:
            continue  # an input that the kernel is not made for
        if found:
            return Verdict(False, True, f"{found}; {reason}", tuple(args))
    return Verdict(True, False, f"equal on {tests} random inputs; {reason}")


def _random(type_: Type, random: Random) -> Any:  # noqa: ANN401 - an int or an array of ints
    element = type_.element if isinstance(type_, ArrayType) else type_
    low, high = limits(element)
    small = random.random() < 0.5

    def one() -> int:
        if small and isinstance(element, Float):
            return _near_one(element, random)
        return random.randint(max(low, -8), min(high, 8)) if small else random.randint(low, high)

    if not isinstance(type_, ArrayType):
        return one()
    flat = [one() for _ in range(type_.size)]
    return np.array(flat, dtype=object).reshape(type_.shape)


def _near_one(type_: Float, random: Random) -> int:
    """A number of magnitude about 1, so that sums of some are rounded."""
    fmt = format_of(type_)
    exponent = fmt.bias + random.randint(-3, 3)
    sign = random.getrandbits(1) << (type_.width - 1)
    return sign | exponent << type_.fracs | random.getrandbits(type_.fracs)


def _difference(a: Module, b: Module, args: list[Any]) -> str | None:
    """The first element in which the two differ on some arguments."""
    given = [[x.copy() if isinstance(x, np.ndarray) else x for x in args] for _ in range(2)]
    results = [evaluate(m, g) for m, g in zip((a, b), given, strict=True)]
    for n, (x, y) in enumerate(zip(*given, strict=True)):
        if text := _differ(f"argument {n + 1}", x, y, a.top_func.args[n].type):
            return text
    for n, (x, y) in enumerate(zip(*results, strict=True)):
        if text := _differ(f"result {n + 1}", x, y, a.top_func.results[n]):
            return text
    return None


def _differ(name: str, x: Any, y: Any, type_: Type) -> str | None:  # noqa: ANN401
    element = type_.element if isinstance(type_, ArrayType) else type_
    one, other = np.asarray(x, dtype=object), np.asarray(y, dtype=object)
    for place in np.ndindex(one.shape):
        if one[place] != other[place]:
            at = f"[{', '.join(map(str, place))}]" if place else ""
            shown = [number_of(element, int(v)) for v in (one[place], other[place])]
            return f"{name}{at} is {shown[0]} and {shown[1]}"
    return None
