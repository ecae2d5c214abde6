"""Parts of partitioned arrays that are banks of their own: what a process is given as an array.

A :class:`~allo_rtl.ir.ops.SubView` at a constant place is a *part* when every bank it touches is
wholly its own, and its elements have the addresses there that they would have in an array of its
own shape.  Hardware then connects banks, and the function that is given the part need not know
which banks of which array they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Block, Call, SubView, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, DimPartition, Partition


def views(block: Block) -> dict[Value, SubView]:
    """The views that are made in a block, by what they are called."""
    return {op.result: op for op in walk(block) if isinstance(op, SubView)}


def part_type(op: SubView) -> ArrayType | None:
    """The partitioned type of a part; None when the view is none."""
    source = op.source.array
    dims = zip(
        source.shape, source.partition or (None,) * source.rank, op.offsets, op.sizes, op.steps,
        strict=True,
    )  # fmt: skip
    kept: list[DimPartition | None] = []
    for extent, part, offset, size, step in dims:
        if not offset.is_constant:
            return None
        found = _dimension(extent, part, offset.const, size, step)
        if isinstance(found, str):
            return None
        if size is not None:
            kept.append(found)
    return replace(op.result.array, partition=tuple(kept))


def _dimension(
    extent: int, part: DimPartition | None, offset: int, size: int | None, step: int
) -> DimPartition | str | None:
    """How a dimension of a part is partitioned; a text where it is no part."""
    count = size or 1
    if part is not None and part.kind is Partition.Complete:
        return DimPartition(Partition.Complete, count) if count > 1 else None
    if (offset, count, step) == (0, extent, 1):
        return part
    if part is not None and part.kind is Partition.Block and extent % part.factor == 0:
        words = extent // part.factor
        if step == 1 and offset % words == 0 and count % words == 0:
            banks = count // words
            return DimPartition(Partition.Block, banks) if banks > 1 else None
    if part is not None and part.kind is Partition.Cyclic and extent % part.factor == 0:
        is_bank = (step, count) == (part.factor, extent // part.factor)
        if is_bank and size is not None and offset < part.factor:
            return None
    return "other elements share its banks"


def root(array: Value, views: Mapping[Value, SubView]) -> Value:
    """The array that a value is, or is a view of."""
    while array in views:
        array = views[array].source
    return array


def is_only_part(call: Call, array: Value, views: Mapping[Value, SubView]) -> bool:
    """Whether a call is given no other view of an array, nor the array twice."""
    return sum(root(a, views) is root(array, views) for a in call.args) == 1


def source_bank(op: SubView, bank: int) -> int:
    """The bank of the source that is a bank of the part."""
    inner, dims = _bank_dims(op)
    coordinates = iter(_unravel(bank, inner))
    found = 0
    for count, first, step in dims:
        found = found * count + first + (0 if step is None else next(coordinates) * step)
    return found


@lru_cache(maxsize=1 << 14)
def _bank_dims(
    op: SubView,
) -> tuple[tuple[int, ...], tuple[tuple[int, int, int | None], ...]]:
    """(banks of the part along its dimensions, of each of the source's (banks, first, step)).

    The step is None along a dimension that the part has not.
    """
    source, inner = Layout(op.source.array), Layout(op.result.array)
    firsts = [source.split(dim, offset)[0].const for dim, offset in enumerate(op.offsets)]
    steps = [None if n is None else step for n, step in zip(op.sizes, op.steps, strict=True)]
    dims = tuple(zip(source.bank_counts, firsts, steps, strict=True))
    return inner.bank_counts, dims


def _unravel(flat: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    found: list[int] = []
    for count in reversed(counts):
        flat, at = divmod(flat, count)
        found.append(at)
    return tuple(reversed(found))
