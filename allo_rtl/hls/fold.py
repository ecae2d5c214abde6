"""What a node computes, on known numbers: constant folding and exact latencies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from allo_rtl.hls.node import (
    COMPARISONS,
    STREAMS,
    WITH_REST,
    FloatSpec,
    Kind,
    Node,
    Number,
)  # fmt: skip
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


_LEAVES = STREAMS | {Kind.INPUT, Kind.COUNTER, Kind.READ, Kind.REG_READ, Kind.CARRIED}


def known(node: Node, leaf: Callable[[Node], int | None]) -> int | None:
    """The number of a node that follows from others; None when it does not.

    Args:
        node: what to compute.
        leaf: the number of a node that reads something (a counter, a register ...), None when that
            is not known.
    """
    if node.is_const:
        return node.value
    if node.kind in _LEAVES:
        return leaf(node)
    parts = [known(o, leaf) for o in node.operands]
    if node.kind is Kind.AND and 0 in parts:
        return 0
    if node.kind is Kind.SELECT and parts[0] is not None:
        return parts[1] if parts[0] else parts[2]
    numbers = [p for p in parts if p is not None]
    if len(numbers) < len(parts):
        return None
    return apply(node.kind, node.type, numbers, node.float)
