"""Loads that a pipelined loop repeats for nothing, taken out of it.

A load whose subscripts do not change inside a loop, from an array that the loop does not write,
gives the same word in every iteration.  Where reads of the array are what keeps iterations apart,
it is done once before the loop instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.ir.ops import Block, For, Load, Op, Store, Value
from allo_rtl.ir.rewrite import walk

_FEWEST = 3
"""Iterations for which a cycle before the loop is worth it."""


def hoist(loop: For, storage: Mapping[Value, ArrayStorage]) -> tuple[Block, For]:
    """The loads that are done before a pipelined loop, and the loop without them.

    They are done also when the loop then has no iteration; what a subscript outside the array
    reads is then used by nobody.
    """
    if loop.trip_count is not None and loop.trip_count < _FEWEST:
        return (), loop
    inside = {v for op in walk(loop.body) for v in op.results()} | {loop.iv}
    written = {op.array for op in walk(loop.body) if isinstance(op, Store)}
    busy = busy_arrays(loop, storage)

    def is_invariant(op: Op) -> bool:
        return (
            isinstance(op, Load)
            and op.array in busy
            and op.array not in written | inside
            and not any(e.values & inside for e in op.index)
        )

    moved = tuple(op for op in loop.body if is_invariant(op))
    kept = tuple(op for op in loop.body if not is_invariant(op))
    return moved, replace(loop, body=kept) if moved else loop


def busy_arrays(loop: For, storage: Mapping[Value, ArrayStorage]) -> set[Value]:
    """Memories of one bank that an iteration reads more often than its interval should be."""
    places = {(op.array, op.index) for op in walk(loop.body) if isinstance(op, Load)}
    arrays = [array for array, _ in places]
    return {
        array
        for array in arrays
        if arrays.count(array) > (loop.attrs.pipeline_ii or 1)
        and storage[array].kind is not StorageKind.REGISTERS
        and storage[array].layout.banks == 1
    }
