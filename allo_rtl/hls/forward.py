"""Handing a stored word to the next iteration of a pipelined loop, past the memory.

A word that one iteration stores and the next one loads would have to be written and read again in
between, which takes cycles that the loop's interval must have.  Registers keep the address and
the word of the last store instead, and a load of this address takes the word from there.  What
iterations further back stored comes out of the memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.ir.dependence import Access, accesses, carried_distance
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import For, Load, Value
from allo_rtl.ir.types import ArrayType, Index, IntegerType, UInt


@dataclass(frozen=True)
class LastStore:
    """The registers, as scalar variables, that know the last store to an array in this loop.

    Attributes:
        address, data: where and what was stored.
        valid: whether there was a store yet.
        loads: the loads that may need the word that the iteration before stored.
    """

    address: Value
    data: Value
    valid: Value
    loads: frozenset[Load]


def last_stores(
    nest: Sequence[For], storage: Mapping[Value, ArrayStorage]
) -> Mapping[Value, LastStore]:
    """The arrays of a pipelined nest whose stored words are handed on.

    Those are memories of which one bank is used, always the same, with one store in an iteration
    and a load before it that needs what the iteration before stored.  A loop whose iterations need
    not follow each other in every cycle is left alone.
    """
    if (nest[-1].attrs.pipeline_ii or 1) > 1:
        return {}
    by_array: dict[Value, list[Access]] = {}
    for access in accesses((nest[0],)):
        by_array.setdefault(access.array, []).append(access)
    found = {}
    for array, group in by_array.items():
        stores = [a for a in group if a.is_store]
        if len(stores) == 1 and _is_memory(storage.get(array), group):
            loads = _waiting(stores[0], group, nest)
            if loads:
                found[array] = _registers(array, loads)
    return found


def _is_memory(stored: ArrayStorage | None, group: Sequence[Access]) -> bool:
    """Whether an array is in a memory, and all accesses are of one bank."""
    if stored is None or stored.kind is StorageKind.REGISTERS:
        return False
    banks = {stored.layout.place(a.index)[0] for a in group if a.index is not None}
    return stored.layout.banks == 1 or (len(banks) == 1 and all(b.is_constant for b in banks))


def _waiting(store: Access, group: Sequence[Access], nest: Sequence[For]) -> frozenset[Load]:
    """The loads before the store that need the word of the iteration before."""
    return frozenset(
        a.op
        for a in group
        if isinstance(a.op, Load)
        and a.position < store.position
        and any(carried_distance(store, a, loops) == 1 for loops in (nest, nest[-1:]))
    )


def _registers(array: Value, loads: frozenset[Load]) -> LastStore:
    bits = max(1, (Layout(array.array).depth - 1).bit_length())

    def register(type: IntegerType | Index, what: str) -> Value:
        return Value(ArrayType(type, ()), f"{array.name}_{what}")

    element = array.array.element
    assert isinstance(element, IntegerType | Index)
    return LastStore(
        register(UInt(bits), "last_address"), register(element, "last"),
        register(UInt(1), "last_valid"), loads,
    )


def register_storage(last: LastStore) -> dict[Value, ArrayStorage]:
    """How the registers are stored."""
    return {value: register_of(value) for value in (last.address, last.data, last.valid)}


def register_of(variable: Value) -> ArrayStorage:
    """How a scalar variable is stored in a register."""
    return ArrayStorage(StorageKind.REGISTERS, Layout(variable.array))
