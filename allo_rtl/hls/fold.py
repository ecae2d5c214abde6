"""What a node computes, on known numbers: constant folding and exact latencies."""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.hls.node import COMPARISONS, WITH_REST, FloatSpec, Kind, Number
from allo_rtl.ir.arithmetic import eval_binary, eval_cast, eval_compare, eval_float_op
from allo_rtl.ir.ops import BinaryKind, Predicate
from allo_rtl.ir.types import UInt


def apply(kind: Kind, type: Number, numbers: Sequence[int], spec: FloatSpec | None = None) -> int:
    """The result of an operation on operands that are known, as the evaluator computes it.

    ``type`` is the result's; ``spec`` belongs to ``Kind.FLOAT``.
    """
    if kind is Kind.FLOAT:
        assert spec is not None
        return eval_float_op(
            spec.kind, spec.format, tuple(numbers),
            target=spec.target, integer=type, fraction=spec.fraction,
        )  # fmt: skip
    if kind in COMPARISONS:
        return eval_compare(Predicate(kind.value), numbers[0], numbers[1])
    if kind is Kind.SELECT:
        return numbers[1] if numbers[0] else numbers[2]
    if kind is Kind.CAST:
        return eval_cast(type, numbers[0])
    for alone, both in WITH_REST.items():
        if kind is both:
            half = type.bits // 2
            parts = (apply(k, UInt(half), numbers) for k in (alone, Kind.REM))
            return sum(part << k * half for k, part in enumerate(parts))
    return eval_binary(BinaryKind(kind.value), type, numbers[0], numbers[1])
