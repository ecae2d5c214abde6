"""Accesses of one region to memories and registers, in textual order.

Registers become values; a load that follows a store to the same cell takes the stored value; a
store that is overwritten unseen is dropped.  What is left are memory nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from math import gcd

from allo_rtl.hls.carry import CarriedWords
from allo_rtl.hls.forward import LastStore
from allo_rtl.hls.graph import BIT, Graph
from allo_rtl.hls.node import Bank, Kind, Node
from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.ops import Alloc, Load, Store, Value
from allo_rtl.ir.types import Index, IntegerType


@dataclass(frozen=True)
class _Place:
    """Where an element is: its bank, one of ``banks`` (the one of number ``which``), and address.

    Lanes that step over a part of the banks are each in a few of them, never the same.
    """

    bank: Node
    address: Node
    banks: range
    which: Node


@dataclass
class _Cell:
    """A remembered access to a memory: what is known to lie at one place of it."""

    place: _Place
    index: tuple[AffineExpr, ...]
    content: Node
    store: int | None  # position in the list of pending stores; None for a load
    predicate: Node | None
    op: Load | Store | None = None


class _Cells:
    """The remembered accesses of one array in the order of the text.

    Those in one bank are looked at without those in the others: an unrolled loop has thousands.
    """

    def __init__(self) -> None:
        self._count = 0
        self._in_bank: dict[int, list[tuple[int, _Cell]]] = {}
        self._anywhere: list[tuple[int, _Cell]] = []

    def add(self, cell: _Cell) -> None:
        """Remember an access."""
        bank = cell.place.bank
        known = self._in_bank.setdefault(bank.value, []) if bank.is_const else self._anywhere
        known.append((self._count, cell))
        self._count += 1

    def before(self, place: _Place) -> Iterator[_Cell]:
        """The accesses that may be of the bank of ``place``, the latest first."""
        if place.bank.is_const:
            lists = [self._in_bank.get(place.bank.value, []), self._anywhere]
        else:
            lists = [*self._in_bank.values(), self._anywhere]
        latest = (reversed(cells) for cells in lists)
        return (cell for _, cell in merge(*latest, key=lambda numbered: -numbered[0]))


@dataclass(frozen=True)
class _PendingStore:
    place: _Place
    data: Node
    predicate: Node | None
    op: Store
    order: int


class Accesses:
    """Collects the accesses of a region.

    Args:
        graph: makes the nodes.
        storage: how each array is stored.
        value: the node of an IR value.
        private: arrays allocated in the region are wires of each iteration (pipelined loops).
        handed_on: the stores whose last word is kept for the next iteration.
        first: makes the bit that is 1 in the first iteration of the nest, or of loops of it.
        carried: what comes from iterations before.
    """

    def __init__(
        self,
        graph: Graph,
        storage: Mapping[Value, ArrayStorage],
        value: Callable[[Value], Node],
        private: bool,
        handed_on: Mapping[Store, LastStore],
        first: Callable[[Collection[Value] | None], Node],
        carried: CarriedWords,
    ) -> None:
        self.graph = graph
        self.value = value
        self._storage = storage
        self._is_private = private
        self._handed_on = handed_on
        self._handed_to = {load: last for last in handed_on.values() for load in last.loads}
        self._first = first
        self._carried = carried
        self._awaited: dict[Node, tuple[Store | Bank, int]] = {}
        self._contents: dict[Store, Node] = {}
        self._registers: dict[Bank, Node] = {}
        self._initial: dict[Bank, Node] = {}
        self._written: dict[Bank, Store | Alloc] = {}
        self._private: set[Value] = set()
        self._unset: set[Bank] = set()
        self._cells: dict[Value, _Cells] = {}
        self._pending: list[_PendingStore | None] = []
        self._order = 0

    def next_order(self) -> int:
        """The place in the text of the next access or event."""
        self._order += 1
        return self._order - 1

    def writes(self) -> list[Node]:
        """The writes of the region: those of memories in textual order, then of registers."""
        memories = [n for p in self._pending if p is not None for n in self._write_nodes(p)]
        return [*memories, *self._register_writes()]

    def pass_stream(self) -> None:
        """Forget what is known of contended arrays: a value is put or taken here."""
        for array in [a for a in self._cells if self._storage[a].contended]:
            del self._cells[array]

    def allocate(self, op: Alloc) -> None:
        """Fresh registers hold zero, where anything sees it.

        Those of a pipelined iteration are its own wires.  Where they are not zeroed nothing is read
        before it is stored, so that the first store need not ask whether it is done.
        """
        storage = self._storage[op.result]
        if storage.kind is not StorageKind.REGISTERS:
            return
        if not (op.zeroed or self._is_private):
            return
        if self._is_private:
            self._private.add(op.result)
        element = op.result.array.element
        assert isinstance(element, IntegerType | Index)
        for b in range(storage.layout.banks):
            bank = Bank(op.result, b)
            self._registers[bank] = self.graph.const(0, element)
            self._written[bank] = op
            if not op.zeroed:
                self._unset.add(bank)

    def _place(self, op: Load | Store) -> _Place:
        layout, env = self._storage[op.array].layout, self._ivs_interval
        bank, address = (e.simplify(env) for e in layout.place(op.index))
        step = gcd(*(c for _, c in bank.terms)) or 1
        low, high = bank.bounds(env)
        low, high = max(low, bank.const % step), min(high, layout.banks - 1)
        if high < low:  # guarded: never there
            step, low, high = 1, 0, layout.banks - 1
        terms = tuple((a, c // step) for a, c in bank.terms)
        number = AffineExpr(terms, (bank.const - low) // step)
        return _Place(
            self.graph.affine(bank, self.value), self.graph.affine(address, self.value),
            range(low, high + 1, step), self.graph.affine(number, self.value),
        )  # fmt: skip

    def _ivs_interval(self, value: Value) -> Interval:
        return self.value(value).range

    def load(self, op: Load) -> Node:
        """The node of what a load gives."""
        storage = self._storage[op.array]
        place = self._place(op)
        if storage.kind is StorageKind.REGISTERS:
            return self._read_register(op, place)
        known = self._recall(op, place)
        if known is not None:
            return known
        node = self._read_memory(op, place, storage)
        if op in self._carried.loads:
            node = self._or_carried(op, node)
        elif op in self._handed_to:
            node = self._or_last_store(op, place.address, node)
        cell = _Cell(place, op.index, node, None, None, op)
        self._cells.setdefault(op.array, _Cells()).add(cell)
        return node

    def _before(self, op: Load | Store, place: _Place) -> Iterator[_Cell]:
        return self._cells[op.array].before(place) if op.array in self._cells else iter(())

    def _recall(self, op: Load, place: _Place) -> Node | None:
        """What is known to lie at ``place``, looking back over the accesses of the array."""
        for cell in self._before(op, place):
            if cell.place == place:
                return cell.content if cell.predicate is None else None
            if cell.store is not None and not _differ(cell.index, op.index):
                return None
        return None

    @property
    def depth(self) -> int:
        """Innermost loops of the nest that have to be flattened for what is carried."""
        return self._carried.depth

    def carried(self) -> dict[Node, tuple[Node, int]]:
        """For each CARRIED node what it gets, and from how many iterations before."""
        return {
            node: (self._contents.get(what, node) if isinstance(what, Store)
                   else self._registers[what], distance)
            for node, (what, distance) in self._awaited.items()
        }  # fmt: skip

    def _or_carried(self, op: Load, read: Node) -> Node:
        """What was read, at the first visit of the cell, or what the visit before stored."""
        carry = self._carried.loads[op]
        loops = [x.iv for x in carry.steady]
        loaded = self._choose_carried(read, loops, carry.store, carry.distance)
        self._contents[carry.store] = loaded
        return loaded

    def _choose_carried(
        self, read: Node, loops: Collection[Value] | None, what: Store | Bank, distance: int
    ) -> Node:
        node = Node(Kind.CARRIED, read.type, (), read.range, name=read.name, loc=read.loc)
        self._awaited[node] = what, distance
        return self.graph.select(self._first(loops), read, node)

    def _or_last_store(self, op: Load, address: Node, read: Node) -> Node:
        """What was read, or the word that was stored last, if that was at this address."""
        last, graph = self._handed_to[op], self.graph
        known, data, valid = (
            self._content(Bank(value, 0), op) for value in (last.address, last.data, last.valid)
        )
        same = graph.make(Kind.EQ, BIT, known, graph.cast(address, known.type))
        chosen = graph.both(graph.both(valid, graph.negate(self._first(None))), same)
        assert chosen is not None
        return graph.select(chosen, data, read)

    def _keep_last(self, op: Store, address: Node, data: Node, predicate: Node | None) -> None:
        """Remember a store for the next iteration."""
        last, graph = self._handed_on[op], self.graph
        kept = Bank(last.address, 0)
        self._content(kept, op)
        self._update(op, kept, graph.cast(address, self._registers[kept].type), predicate)
        self._update(op, Bank(last.data, 0), data, predicate)
        before = graph.both(
            self._content(Bank(last.valid, 0), op), graph.negate(self._first(None))
        )
        assert before is not None
        stored = predicate or graph.const(1, BIT)
        self._update(op, Bank(last.valid, 0), graph.make(Kind.OR, BIT, stored, before), None)

    def _read_memory(self, op: Load, place: _Place, storage: ArrayStorage) -> Node:
        bank, address = place.bank, place.address
        if storage.kind is StorageKind.ROM and bank.is_const and address.is_const:
            element = storage.layout.type.element
            assert isinstance(element, IntegerType)
            return self.graph.const(storage.word(bank.value, address.value), element)
        banks = [bank.value] if bank.is_const else place.banks
        if len(banks) == 1:
            return self._access(Kind.READ, op, Bank(op.array, banks[0]), (address,))
        # Only the bank that is meant is asked, so that others can ask the rest at that time.
        reads = [
            self._access(Kind.READ, op, Bank(op.array, b), (address, self.graph.equals(bank, b)))
            for b in banks
        ]
        return self.graph.multiplex(place.which, reads)

    def _access(
        self, kind: Kind, op: Load | Store | Alloc, bank: Bank, operands: tuple[Node, ...],
        order: int | None = None,
    ) -> Node:
        if order is None:
            order = self.next_order()
        element = bank.array.array.element
        assert isinstance(element, IntegerType | Index)
        return Node(
            kind, element, operands, (element.min, element.max),
            bank=bank, access=op, order=order, name=bank.array.name, loc=op.loc,
            contended=self._storage[bank.array].contended,
            forwarded=kind is Kind.READ and op in self._handed_to,
            first=op in self._carried.loads or (
                kind is Kind.REG_READ and bank.array in self._carried.registers
            ),
            async_read=kind is Kind.READ and self._storage[bank.array].async_read,
        )  # fmt: skip

    def store(self, op: Store, predicate: Node | None) -> None:
        """A store, done only when ``predicate`` is 1 (None: always)."""
        if predicate is not None and predicate.is_const:
            if not predicate.value:
                return
            predicate = None
        data, place = self.value(op.value), self._place(op)
        if op in self._contents:
            before = self._contents[op]
            kept = data if predicate is None else self.graph.select(predicate, data, before)
            self._contents[op] = kept
        if self._storage[op.array].kind is StorageKind.REGISTERS:
            self._write_register(op, place, data, predicate)
            return
        self._forget_overwritten(op, place, predicate)
        pending = _PendingStore(place, data, predicate, op, self.next_order())
        self._pending.append(pending)
        cell = _Cell(place, op.index, data, len(self._pending) - 1, predicate, op)
        self._cells.setdefault(op.array, _Cells()).add(cell)
        if op in self._handed_on:
            self._keep_last(op, place.address, data, predicate)

    def _forget_overwritten(
        self, op: Store, place: _Place, predicate: Node | None
    ) -> None:
        """Drop an earlier store to the same place that nothing can have read."""
        for cell in self._before(op, place):
            if cell.store is not None and cell.place == place:
                if predicate is None or predicate is cell.predicate:
                    self._pending[cell.store] = None
                return
            if not _differ(cell.index, op.index):
                return

    def _write_nodes(self, pending: _PendingStore) -> list[Node]:
        bank, address = pending.place.bank, pending.place.address
        enable = pending.predicate or self.graph.const(1, BIT)
        if enable.is_const and not enable.value:
            return []
        op, order = pending.op, pending.order
        if bank.is_const:
            operands = (address, pending.data, enable)
            return [self._access(Kind.WRITE, op, Bank(op.array, bank.value), operands, order)]
        nodes = []
        for b in pending.place.banks:
            chosen = self.graph.both(enable, self.graph.equals(bank, b))
            assert chosen is not None
            if chosen.is_const and not chosen.value:
                continue
            operands = (address, pending.data, chosen)
            nodes.append(self._access(Kind.WRITE, op, Bank(op.array, b), operands, order))
        return nodes

    def _content(self, bank: Bank, op: Load | Store) -> Node:
        if bank not in self._registers:
            node = self._access(Kind.REG_READ, op, bank, ())
            if bank.array in self._carried.registers:
                node = self._choose_carried(node, None, bank, 1)
            self._registers[bank] = self._initial[bank] = node
        return self._registers[bank]

    def _read_register(self, op: Load, place: _Place) -> Node:
        if place.bank.is_const:
            return self._content(Bank(op.array, place.bank.value), op)
        choices = [self._content(Bank(op.array, b), op) for b in place.banks]
        return self.graph.multiplex(place.which, choices)

    def _write_register(
        self, op: Store, place: _Place, data: Node, predicate: Node | None
    ) -> None:
        if place.bank.is_const:
            self._update(op, Bank(op.array, place.bank.value), data, predicate)
            return
        for b in place.banks:
            chosen = self.graph.both(predicate, self.graph.equals(place.bank, b))
            self._update(op, Bank(op.array, b), data, chosen)

    def _update(self, op: Store, bank: Bank, data: Node, predicate: Node | None) -> None:
        if predicate is not None and bank not in self._unset:
            data = self.graph.select(predicate, data, self._content(bank, op))
        self._unset.discard(bank)
        self._registers[bank] = data
        self._written[bank] = op

    def _register_writes(self) -> list[Node]:
        """One write for each register changed; a conditional update becomes an enable."""
        writes = []
        for bank, op in self._written.items():
            data, enable = self._registers[bank], self.graph.const(1, BIT)
            before = self._initial.get(bank)
            if data is before or bank.array in self._private:
                continue
            if data.kind is Kind.SELECT and data.operands[2] is before:
                enable, data = data.operands[0], data.operands[1]
            writes.append(self._access(Kind.REG_WRITE, op, bank, (data, enable)))
        return writes


def _differ(a: tuple[AffineExpr, ...], b: tuple[AffineExpr, ...]) -> bool:
    """Whether two subscripts certainly name different cells (in the same iteration)."""
    deltas = (x - y for x, y in zip(a, b, strict=True))
    return any(d.is_constant and d.const for d in deltas)
