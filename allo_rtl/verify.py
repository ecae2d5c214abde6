"""Do two schedules, or two kernels, compute the same?

:func:`verify` follows both on unknown inputs and compares, for every element that they change or
return, what it is as a function of the inputs (:mod:`allo_rtl.ir.symbolic`).  Where the terms are
equal the two are equal for all inputs.  Where they are not, or where control depends on the
inputs, random inputs are run, and such at which comparisons turn (:mod:`allo_rtl.witness`): they
may give a counterexample; if they do not, the answer says that it was tested and not proved.
Lines that are printed, assertions and state from run to run count as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from allo_rtl.customize import customize
from allo_rtl.equality import Settler
from allo_rtl.errors import ScheduleError
from allo_rtl.ir.ops import Binary, BinaryKind, Module
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.symbolic import NotSymbolic, outputs
from allo_rtl.ir.terms import Term, Terms
from allo_rtl.ir.types import ArrayType, Float, Type
from allo_rtl.ir.unordered_terms import UnorderedTerms
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.trial_inputs import (
    every_input,
    random_inputs,
    tame_inputs,
    turned_inputs,
    with_inputs,
    zero_inputs,
)
from allo_rtl.trial_runs import difference, run_length

Comparable = Schedule | Module | Callable[..., Any]
"""What can be compared."""

_TESTS = 40
_FOLLOWED = 100_000
"""Iterations of a run that is followed on unknown inputs, most of a minute of it."""
_TRIED = 2_000_000
"""Iterations of all runs on random inputs; at least one input is tried."""
_TEXT = 100
_ORDER_ONLY = "they differ in the order of sums only: allowed with reassociate=True"
_MAYBE_ORDER = "this may be the order of sums, and may be more"


@dataclass(frozen=True)
class Verdict:
    """The answer; it is true when the two are equal as far as is known.

    Attributes:
        equal: whether they are.
        proved: for all inputs (when equal), or by a counterexample (when not).  Neither means that
            it is not known: no input was found that the kernels run on.
        reason: in words: what was compared, or the element that differs.
        inputs: arguments for which they differ, as raw ints (see :mod:`allo_rtl.ir.types`).
        unordered: they are equal up to the order of floating-point sums and products.
    """

    equal: bool
    proved: bool
    reason: str
    inputs: tuple[Any, ...] | None = None
    unordered: bool = False

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        if not self.equal and not self.proved:
            return f"unknown: {self.reason}"
        known = "proved" if self.proved else "tested"
        answer = "equivalent" if self.equal else "not equivalent"
        order = " up to the order of sums" if self.equal and self.unordered else ""
        return f"{answer}{order} ({known}): {self.reason}"


def verify(
    a: Comparable, b: Comparable, tests: int = _TESTS, reassociate: bool = False
) -> Verdict:
    """Whether two schedules, modules or kernels compute the same.

    Args:
        a, b: schedules, modules, or what :func:`allo_rtl.customize` takes (a kernel function),
            with the same argument and result types; an array may have another shape with as many
            elements, which are compared in row-major order.
        tests: random inputs to try where nothing is proved; fewer where a run has millions of
            iterations.
        reassociate: floating-point sums and products may be rounded in another order, wherever
            they are: also where a condition is about one.

    Raises:
        ScheduleError: the two take or give different types.
        LanguageError: one is not a kernel, or not in the language.
    """
    one, other = _module(a), _module(b)
    _check_signatures(one, other)
    compared = _compare(one, other, Terms())
    if compared.equal:
        return Verdict(True, True, compared.reason)
    may_differ = compared.followed and _rounds(one, other)
    unordered = _compare(one, other, UnorderedTerms()) if may_differ else compared
    if unordered.equal and reassociate:
        return Verdict(True, True, unordered.reason, unordered=True)
    verdict = _test(one, other, compared, tests)
    if unordered.equal:
        return replace(verdict, reason=f"{verdict.reason}; {_ORDER_ONLY}", unordered=True)
    if reassociate and verdict.proved and not verdict.equal and _rounds(one, other):
        # The inputs show that they differ, but maybe because of the order alone.
        return replace(verdict, proved=False, reason=f"{verdict.reason}; {_MAYBE_ORDER}")
    return verdict


def _rounds(*modules: Module) -> bool:
    """Whether there are floating-point sums or products."""
    kinds = (BinaryKind.ADD, BinaryKind.SUB, BinaryKind.MUL)
    return any(
        isinstance(op, Binary) and op.kind in kinds and isinstance(op.result.type, Float)
        for m in modules for f in m.funcs for op in walk(f.body)
    )  # fmt: skip


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


@dataclass(frozen=True)
class _Comparison:
    """What following two modules on unknown inputs has shown.

    Attributes:
        equal: every element is the same function of the inputs.
        reason: in words.
        suspects: the terms of what may differ.
        found: inputs, by name, for which elements differ.
        followed: both were, to the end.
    """

    equal: bool
    reason: str
    suspects: Sequence[Term] = ()
    found: Sequence[Mapping[str, int]] = ()
    followed: bool = True


def _compare(a: Module, b: Module, terms: Terms) -> _Comparison:
    longest = max(map(run_length, (a, b)))
    if longest > _FOLLOWED:
        why = f"not followed for all inputs: {longest:,} iterations"
        return _Comparison(False, why, followed=False)
    types = [*(v.type for v in a.top_func.args), *a.top_func.results]
    try:
        mine, others = outputs(a, terms), outputs(b, terms, named=types)
    except NotSymbolic as why:
        return _Comparison(False, f"not followed for all inputs: {why}", followed=False)
    # State that one of them does not know has no effect on what it gives.
    alone = [n for n in mine.keys() ^ others.keys() if not n.startswith("state ")]
    common = [name for name in mine if name in others]
    settler = Settler(terms)
    found: list[Mapping[str, int]] = []
    wrong: list[str] = []
    for name in common:
        if mine[name] is not others[name]:
            answer = settler.settle(mine[name], others[name])
            if answer is not True:
                wrong.append(name)
                found += [answer] if answer else []
    suspects = [t for n in [*wrong, *alone] for side in (mine, others) for t in _term(side, n)]
    if wrong:
        name = wrong[0]
        shown = f"{name} is {_short(mine[name])} in one and {_short(others[name])}"
        return _Comparison(False, shown, suspects, found)
    if alone:
        return _Comparison(False, f"{alone[0]} is in one of them only", suspects)
    if state := _starts_otherwise(a, b, common):
        return _Comparison(False, f"state {state} starts with other contents", suspects)
    return _Comparison(True, f"all {len(common)} elements are the same function of the inputs")


def _term(side: Mapping[str, Term], name: str) -> list[Term]:
    return [side[name]] if name in side else []


def _starts_otherwise(a: Module, b: Module, common: Sequence[str]) -> str | None:
    """State that both have, and that does not start with the same in both."""
    names = {n.removeprefix("state ").partition("[")[0] for n in common if n[:6] == "state "}
    return next((n for n in sorted(names) if a.global_(n).data != b.global_(n).data), None)


def _short(term: Term) -> str:
    text = str(term)
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} ..."


def _test(a: Module, b: Module, compared: _Comparison, tests: int) -> Verdict:
    tests = min(tests, max(1, _TRIED // max(1, run_length(a) + run_length(b))))
    every, reason = every_input(a, b), compared.reason
    ran = 0
    tried = chain(
        (with_inputs(zero_inputs(a), found) for found in compared.found),
        random_inputs(a, b, tests),
        turned_inputs(a, b, tests, compared.suspects),
    )
    # Many random subscripts are out of range, and many random numbers of iterations none.
    tame = enumerate(tame_inputs(a, b, tests))
    in_range = (x for n, x in tame if 4 * n < tests or 2 * ran < tests)
    for args in every or chain(tried, in_range):
        found = difference(a, b, args)
        if found:
            return Verdict(False, True, f"{found}; {reason}", tuple(args))
        ran += found is not None  # else an input that neither kernel is made for
    if every:
        return Verdict(True, True, f"equal on all {len(every)} inputs")
    if not ran:
        return Verdict(False, False, f"both fail on all inputs that were tried; {reason}")
    return Verdict(True, False, f"equal on {ran} random inputs; {reason}")
