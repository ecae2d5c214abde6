"""Handing a stored word to the next iteration of a pipelined loop, past the memory.

A word that one iteration stores and the next one loads would have to be written and read again in
between, which takes cycles that the loop's interval must have.  Registers keep the address and
the word that a store had last instead, and a load of this address takes the word from there.  What
iterations further back stored comes out of the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.ir.dependence import (
    Access,
    accesses,
    always_differ,
    carried_distance,
    same_iteration,
)
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import For, Load, Store, Value
from allo_rtl.ir.types import ArrayType, Index, IntegerType, UInt

_MOST_STORES = 8
"""Stores of an iteration to a bank; with more its port takes longer than the way past it saves."""


@dataclass(frozen=True)
class LastStore:
    """The registers, as scalar variables, that know what a store did last in this loop.

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
) -> Mapping[Store, LastStore]:
    """The stores of a pipelined nest whose words are handed on.

    Those are of memories, and of one bank, always the same, with a load before in the text that
    needs what the iteration before stored, and nothing that any other store did.  A loop whose
    iterations need not follow each other in every cycle is left alone.
    """
    if (nest[-1].attrs.pipeline_ii or 1) > 1:
        return {}
    by_array: dict[Value, list[Access]] = {}
    for access in accesses((nest[0],)):
        stored = storage.get(access.array)
        if stored is not None and stored.kind is not StorageKind.REGISTERS:
            by_array.setdefault(access.array, []).append(access)
    return {
        op: _registers(array, loads)
        for array, group in by_array.items()
        for op, loads in _handed_on(group, storage[array].layout, nest).items()
    }


def _handed_on(
    group: Sequence[Access], layout: Layout, nest: Sequence[For]
) -> Mapping[Store, frozenset[Load]]:
    """The stores to an array whose words are handed on, and the loads that get them."""
    stores = _by_bank((a for a in group if a.is_store), layout)
    loads = _by_bank((a for a in group if isinstance(a.op, Load)), layout)
    anywhere = stores.pop(None, [])
    found: dict[Store, set[Load]] = {}
    for bank, own in stores.items():
        others = [*own, *anywhere]
        if len(others) > _MOST_STORES:
            continue
        for load in loads.get(bank, ()):
            reaching = [store for store in others if _reaches(store, load, nest)]
            if len(reaching) == 1 and reaching[0] in own and _waits(reaching[0], load, nest):
                store, op = reaching[0].op, load.op
                assert isinstance(store, Store)
                assert isinstance(op, Load)
                found.setdefault(store, set()).add(op)
    return {store: frozenset(ops) for store, ops in found.items()}


def _by_bank(found: Iterable[Access], layout: Layout) -> dict[int | None, list[Access]]:
    """Accesses by the bank that they are always of; None for those that may be of several."""
    groups: dict[int | None, list[Access]] = {}
    for access in found:
        bank = None
        if layout.banks == 1:
            bank = 0
        elif access.index is not None and (expr := layout.place(access.index)[0]).is_constant:
            bank = expr.const
        groups.setdefault(bank, []).append(access)
    return groups


def _reaches(store: Access, load: Access, nest: Sequence[For]) -> bool:
    """Whether a load may need what a store did in its iteration, or in one before."""
    if always_differ(store, load):
        return False
    if store.position < load.position and same_iteration(store, load, nest):
        return True
    return carried_distance(store, load, nest) is not None


def _waits(store: Access, load: Access, nest: Sequence[For]) -> bool:
    """Whether a load before the store needs the word of the iteration before."""
    return load.position < store.position and any(
        carried_distance(store, load, loops) == 1 for loops in (nest, nest[-1:])
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
