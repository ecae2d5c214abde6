"""Memories with two ports that read or write each, where that lets iterations start more often.

Block RAMs of ECP5, Gowin and UltraScale+ have such ports; those of iCE40 have one for reads and
one for writes.
An array gets them when an iteration of a pipelined loop reads it (or writes it) in more cycles than
two ports need for all of its accesses, and only this function uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from allo_rtl.hls.conflicts import never_apart
from allo_rtl.hls.node import Bank, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region
from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.ir.ops import Alloc, Call, Func, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.target import Device

_ACCESSES = (Kind.READ, Kind.WRITE)


def worth_two_ports(
    func: Func, storage: Mapping[Value, ArrayStorage], device: Device,
    regions: Iterable[Region], intervals: Mapping[Region, int | None],
) -> frozenset[Value]:
    """The arrays of a function that would keep iterations apart less with two ports a bank.

    Args:
        func, storage: the function, and how its arrays are stored.
        device: what is built for.
        regions: all regions of the function.
        intervals: the initiation interval of each pipelined region with a port for reads and one
            for writes, None where it could not be built so.
    """
    if not device.dual_port_ram:
        return frozenset()
    accesses = {r: _by_bank(r.nodes()) for r in regions}
    able = _able(func, storage) - _sharing(accesses.values())
    return frozenset(
        bank.array
        for region, interval in intervals.items()
        for bank, (reads, writes) in accesses[region].items()
        if bank.array in able and _helps(len(reads), len(writes), interval)
    )


def _helps(reads: int, writes: int, interval: int | None) -> bool:
    """Whether two ports are busy for less time, and single ones as long as the interval is."""
    single, double = max(reads, writes), -(-(reads + writes) // 2)
    return double < single and interval in (None, single)


def _able(func: Func, storage: Mapping[Value, ArrayStorage]) -> set[Value]:
    """Arrays in block RAM that the function has to itself."""
    given = {v for op in walk(func.body) if isinstance(op, Call) for v in op.args}
    return {
        op.result
        for op in walk(func.body)
        if isinstance(op, Alloc)
        and op.result in storage
        and storage[op.result].kind is StorageKind.RAM
        and not storage[op.result].stateful
        and op.result not in given
    }


def _by_bank(nodes: Sequence[Node]) -> dict[Bank, tuple[list[Node], list[Node]]]:
    """The reads and the writes of each bank."""
    found: dict[Bank, tuple[list[Node], list[Node]]] = {}
    for node in nodes:
        if node.kind in _ACCESSES:
            assert node.bank is not None
            users = found.setdefault(node.bank, ([], []))
            users[_ACCESSES.index(node.kind)].append(node)
    return found


def _sharing(
    accesses: Iterable[Mapping[Bank, tuple[list[Node], list[Node]]]]
) -> set[Value]:
    """Arrays of which accesses share a cycle of one port, being in different banks."""
    return {
        bank.array
        for region in accesses
        for bank, both in region.items()
        if any(len(never_apart(users)) < len(users) for users in both if users)
    }


def with_two_ports(
    storage: Mapping[Value, ArrayStorage], arrays: Iterable[Value]
) -> dict[Value, ArrayStorage]:
    """The storage with two ports for some arrays."""
    return {**storage, **{a: replace(storage[a], dual=True) for a in arrays}}


def ports_of(users: Sequence[Node], found: OpSchedule) -> dict[Node, int]:
    """Which of two ports, 0 or 1, each access of a bank has: the first of its cycle the first."""
    slots: dict[int, list[Node]] = {}
    for node in sorted(users, key=lambda n: (n.order, n.serial)):
        start = found.start[node]
        slots.setdefault(start % found.ii if found.ii else start, []).append(node)
    return {node: number for slot in slots.values() for number, node in enumerate(slot)}
