"""Two kernels run on the same arguments: what they differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from allo_rtl.errors import AlloError
from allo_rtl.ir.affine import Interval
from allo_rtl.ir.arithmetic import number_of
from allo_rtl.ir.evaluate import Content, Context, Frame, State, evaluate
from allo_rtl.ir.ops import Block, Call, For, Func, Module, Op, Value, While
from allo_rtl.ir.types import ArrayType, Type

_ITERATIONS = 200_000
"""Iterations of loops without constant bounds that are waited for."""
_EACH = 100
"""What one of a while loop counts for: how many follow is not known before."""
_TOO_LONG = "a loop runs for too long"


def run_length(module: Module) -> int:
    """Iterations of the innermost loops of a run, at most; of a loop whose bounds depend on data
    only the loops inside count, once."""
    known: dict[str, int] = {}
    for func in module.funcs:  # callees come before callers
        known[func.name] = _length(func.body, {}, known)
    return known[module.top]


def _length(block: Block, ranges: Mapping[Value, Interval], known: Mapping[str, int]) -> int:
    found = 0
    for op in block:
        if isinstance(op, Call):
            found += known.get(op.callee, 0)
        elif isinstance(op, For) and all(e.values <= ranges.keys() for e in (*op.lower, *op.upper)):
            low = max(e.bounds(ranges.__getitem__)[0] for e in op.lower)
            high = min(e.bounds(ranges.__getitem__)[1] for e in op.upper)
            trips = max(0, -(-(high - low) // op.step))
            inside = {**ranges, op.iv: (low, max(low, high - 1))}
            found += trips * max(1, _length(op.body, inside, known))
        else:
            found += sum(_length(part, ranges, known) for part in op.regions())
    return found


@dataclass
class _Left:
    """Iterations that may still be run."""

    count: int = _ITERATIONS

    def spend(self, iterations: int) -> None:
        self.count -= iterations
        if self.count < 0:
            raise AlloError(_TOO_LONG)


class _Patient(Frame):
    """A run that gives up on loops that data make long."""

    def __init__(self, left: _Left, context: Context, func: Func, args: Sequence[Content]) -> None:
        self.left = left
        super().__init__(context, func, args)

    def fresh(self, func: Func, args: Sequence[Content]) -> Frame:
        return _Patient(self.left, self.context, func, args)

    def iterations(self, op: For) -> range:
        found = super().iterations(op)
        if op.constant_bounds is None:
            self.left.spend(len(found))
        return found

    def op(self, op: Op) -> None:
        if not isinstance(op, While):
            super().op(op)
            return
        self.block(op.before)
        while self.scalars[op.condition]:
            self.left.spend(_EACH)
            self.block(op.body)
            self.block(op.before)


@dataclass
class Side:
    """A kernel while it runs on some arguments, again and again."""

    module: Module
    state: State = field(default_factory=dict)

    def run(self, args: Sequence[Any]) -> tuple[list[Any], str, list[str]]:
        """(arguments after the run and results, the error it ended with or "", lines printed)."""
        lines: list[str] = []
        given = copies(self.module, args)
        try:
            results = evaluate(
                self.module, given, state=self.state, output=lines.append,
                frame=partial(_Patient, _Left()),
            )  # fmt: skip
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


def difference(a: Module, b: Module, args: list[Any]) -> str | None:
    """The first element in which the two differ on some arguments, "" when there is none.

    None when both end with an error, or a loop runs too long to be waited for.  Kernels with state
    run several times.
    """
    one, other = Side(a), Side(b)
    count = 4 if any(g.stateful for m in (a, b) for g in m.globals) else 1
    for n in range(count):
        (x, failed, lines), (y, fails, others) = one.run(args), other.run(args)
        if (failed and fails) or _TOO_LONG in (failed, fails):
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
            shown = [str(number_of(element, int(v))) for v in (one[place], other[place])]
            if shown[0] == shown[1]:  # NaNs
                both = (one[place], other[place])
                shown = [f"{s} ({int(v):#x})" for s, v in zip(shown, both, strict=True)]
            return f"{name}{at} is {shown[0]} and {shown[1]}"
    return None
