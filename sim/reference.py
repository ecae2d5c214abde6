"""The evaluator behind the calling convention of every build: slow, and right by definition."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from allo_rtl.ir.evaluate import State, evaluate
from allo_rtl.ir.ops import Module
from allo_rtl.ir.spins import SLOW_PATIENCE
from allo_rtl.ir.types import ArrayType, Type
from allo_rtl.sim.marshal import (
    Array,
    Raw,
    Signature,
    call_with_numpy,
    ints_of_words,
    words_of_ints,
)

type Output = Callable[[str], None]
"""Takes each line that a kernel prints."""


def to_stdout(line: str) -> None:
    """Write a line that a kernel prints to what is ``sys.stdout`` at that moment."""
    sys.stdout.write(line + "\n")


class ReferenceModule:
    """A kernel that the evaluator runs; made by ``schedule.build(target="evaluator")``.

    Calling it follows :func:`allo_rtl.sim.marshal.call_with_numpy`, and raises what
    :func:`allo_rtl.ir.evaluate.evaluate` does.  Stateful arrays keep their contents from call to
    call.

    Attributes:
        module: the IR that is evaluated.
        top_func_name: name of the kernel.
        output: takes each line that is printed; a user may set another one.
        patience: operations that a process of a region does at most without touching a stream.
    """

    def __init__(
        self, module: Module, output: Output = to_stdout, patience: int = SLOW_PATIENCE
    ) -> None:
        self.module = module
        self.patience = patience
        self.top_func_name = module.top
        self.output = output
        self._signature = Signature.of(module.top_func)
        self._state: dict[str, list[int]] = {}

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - the kernel's own signature
        """Evaluate the kernel on numbers and numpy arrays; CallError when they do not fit it."""
        return call_with_numpy(self._signature, args, self.run_raw)

    def __repr__(self) -> str:
        return f"ReferenceModule({self._signature})"

    def reset(self) -> None:
        """Give stateful arrays their first contents."""
        self._state.clear()

    def run_raw(self, raw: list[Raw]) -> list[Raw]:
        """Run on raw arguments, arrays changed in place (see :mod:`allo_rtl.sim.marshal`)."""
        return run_evaluator(
            self.module, raw, state=self._state, output=self.output, patience=self.patience
        )


def run_evaluator(
    module: Module,
    raw: Sequence[Raw],
    *,
    state: State | None = None,
    output: Output | None = None,
    patience: int = SLOW_PATIENCE,
) -> list[Raw]:
    """The evaluator on raw arguments, which it changes in place as a build would.

    ``state``, ``output`` and ``patience`` are those of :func:`allo_rtl.ir.evaluate.evaluate`.
    """
    top = module.top_func
    args = [_lifted(r, v.type) for r, v in zip(raw, top.args, strict=True)]
    results = evaluate(module, args, state=state, output=output, patience=patience)
    for old, new, value in zip(raw, args, top.args, strict=True):
        if not isinstance(old, int):
            old[...] = _lowered(new, value.type)
    return [_lowered(r, t) for r, t in zip(results, top.results, strict=True)]


def _lifted(raw: Raw, type_: Type) -> Array | int:
    if isinstance(raw, int):
        return raw
    assert isinstance(type_, ArrayType)
    numbers = np.array(ints_of_words(raw, type_.element), object)
    return numbers.reshape(type_.shape)


def _lowered(value: Array | int, type_: Type) -> Raw:
    if isinstance(value, int):
        return value
    assert isinstance(type_, ArrayType)
    return words_of_ints([int(x) for x in value.flat], type_.element)
