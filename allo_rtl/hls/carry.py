"""Sums that stay in the pipeline: a stored word goes straight to the iteration that loads it next.

Where the iterations of a pipelined nest that touch one cell are always the same number apart, a
load takes what was stored that many iterations before from the pipeline's own registers.  It may
then follow as soon as the word is made, while the way through the memory takes three cycles more
(write, read), and that through a register one.  The memory, or the register, is read the first
time a cell is touched, and written as ever.  So it is where a loop stores to the cell that its next
iteration loads.

Done for floating-point recurrences over distances that leave no time for a memory: words wait in
registers for as many cycles as the distance is longer than the units' latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd

from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import (
    Access,
    accesses,
    always_differ,
    carried_distance,
    same_iteration,
)
from allo_rtl.ir.domain import count, counter_intervals, is_static
from allo_rtl.ir.ops import Alloc, FloatOp, For, If, Load, Op, Store, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import STREAM_OPS

THROUGH_MEMORY = 3
"""Cycles of a word's way through a memory: it is written, and read again."""

type UnitLatency = Callable[[FloatOp], int]
"""Cycles that the unit of an operation takes."""


@dataclass(frozen=True)
class Carry:
    """What a load of a pipelined nest gets from an iteration before.

    Attributes:
        store: makes the word; of a register the last store of the iteration.
        steady: the loops over the visits of one cell, outermost first; in the first iteration
            of all of them the load reads the memory.  The innermost loop where the load is of
            the cell that the iteration before stored to.
        distance: iterations of the nest from one visit to the next.
        depth: innermost loops of the nest within which the visits are.
    """

    store: Store
    steady: tuple[For, ...]
    distance: int
    depth: int


@dataclass(frozen=True)
class CarriedWords:
    """What iterations of a pipelined nest get from those before.

    Attributes:
        loads: of memories, the loads that do.
        registers: arrays in registers whose words go from each iteration to the next.
        nest: number of loops of the nest.
    """

    loads: Mapping[Load, Carry]
    registers: frozenset[Value]
    nest: int

    @property
    def arrays(self) -> frozenset[Value]:
        """The arrays concerned."""
        return self.registers | {load.array for load in self.loads}

    @property
    def depth(self) -> int:
        """Innermost loops of the nest that have to be flattened for it."""
        inner = max((carry.depth for carry in self.loads.values()), default=1)
        return self.nest if self.registers else inner


NOTHING_CARRIED = CarriedWords({}, frozenset(), 0)


def carried_words(
    nest: Sequence[For], storage: Mapping[Value, ArrayStorage], latency: UnitLatency
) -> CarriedWords:
    """What iterations of a pipelined nest get from those before."""
    body = tuple(walk(nest[-1].body))
    if not any(isinstance(op, FloatOp) for op in body):
        return NOTHING_CARRIED
    if any(isinstance(op, STREAM_OPS) for op in body):  # another process may see the memory
        return NOTHING_CARRIED
    ways = _Ways(body, latency)
    return CarriedWords(_loads(nest, storage, ways), _registers(body, storage, ways), len(nest))


def _loads(
    nest: Sequence[For], storage: Mapping[Value, ArrayStorage], ways: _Ways
) -> Mapping[Load, Carry]:
    """The loads of memories that get their words from an iteration before."""
    by_array: dict[Value, list[Access]] = {}
    for access in accesses((nest[0],)):
        by_array.setdefault(access.array, []).append(access)
    found: dict[Load, Carry] = {}
    for array, group in by_array.items():
        if array in storage and any(a.is_store for a in group):
            stored = storage[array]
            found |= _of_array(group, nest, stored, ways) or _next_cell(group, nest, stored, ways)
    return found


class _Ways:
    """How long words that are stored are on their way from words that are loaded.

    Words go through the variables that each iteration has of its own.
    """

    def __init__(self, body: Sequence[Op], latency: UnitLatency) -> None:
        self._made = {value: op for op in body for value in op.results()}
        self._place = {op: k for k, op in enumerate(body)}
        self._latency = latency
        own = (op.result for op in body if isinstance(op, Alloc))
        self._set: dict[Value, list[Value]] = {v: [] for v in own if not v.array.shape}
        for op in body:
            if isinstance(op, Store) and op.array in self._set:
                self._set[op.array].append(op.value)

    def cycles(self, load: Load, store: Store) -> int:
        """Cycles in floating-point units from a load's word to a store's; 0 when there are none."""
        arrival: dict[Value, int] = {load.result: 0}
        for op in sorted(self._before(store.value), key=self._place.__getitem__):
            late = [arrival[v] for v in self._needs(op) if v in arrival]
            if late and op is not load:
                own = self._latency(op) if isinstance(op, FloatOp) else 0
                arrival |= dict.fromkeys(op.results(), max(late) + own)
        return arrival.get(store.value, 0)

    def _before(self, value: Value) -> set[Op]:
        """The operations that a value is made by."""
        todo, seen = [value], set[Op]()
        while todo:
            op = self._made.get(todo.pop())
            if op is not None and op not in seen:
                seen.add(op)
                todo.extend(self._needs(op))
        return seen

    def _needs(self, op: Op) -> Iterator[Value]:
        yield from op.operands()
        if isinstance(op, Load):
            yield from self._set.get(op.array, ())


def _registers(
    body: Sequence[Op], storage: Mapping[Value, ArrayStorage], ways: _Ways
) -> frozenset[Value]:
    """The arrays in registers whose words an iteration gets from the one before."""
    fresh = {op.result for op in body if isinstance(op, Alloc)}
    stores = {(op.array, op.index): op for op in body if isinstance(op, Store)}
    loads = (op for op in body if isinstance(op, Load) and (op.array, op.index) in stores)
    return frozenset(
        load.array
        for load in loads
        if load.array not in fresh
        and load.array in storage and storage[load.array].kind is StorageKind.REGISTERS
        and ways.cycles(load, stores[load.array, load.index])
    )


def _of_array(
    group: Sequence[Access], nest: Sequence[For], stored: ArrayStorage, ways: _Ways
) -> dict[Load, Carry]:
    """The loads of one array that get their words from an iteration before."""
    if not all(isinstance(a.op, Load | Store) and a.affine and a.index for a in group):
        return {}
    if stored.kind is StorageKind.REGISTERS:
        return {}
    cells = _cells(group, nest)
    if cells is None:
        return {}
    found = {}
    for cell in cells:
        pair = _pair(cell)
        visits = _visits(cell[0].index or (), nest)
        if pair is None or visits is None:
            return {}
        cycles = ways.cycles(*pair)
        if not cycles or visits[1] > cycles + THROUGH_MEMORY:
            return {}
        steady, distance = visits
        depth = len(nest) - nest.index(steady[0])
        found[pair[0]] = Carry(pair[1], steady, distance, depth)
    return found


def _pair(cell: Sequence[Access]) -> tuple[Load, Store] | None:
    """The load of a cell and the one store after it, when there are no others."""
    loads = [a for a in cell if isinstance(a.op, Load)]
    stores = [a for a in cell if isinstance(a.op, Store)]
    if len(loads) != 1 or len(stores) != 1 or loads[0].position > stores[0].position:
        return None
    load, store = loads[0].op, stores[0].op
    assert isinstance(load, Load)
    assert isinstance(store, Store)
    return load, store


def _cells(group: Sequence[Access], nest: Sequence[For]) -> list[list[Access]] | None:
    """Accesses by the cell of an iteration; None unless two of them never have a cell in common.

    Subscripts differ by constants alone.  Those of two cells differ, however often the loops have
    run, where the constants differ by no multiple of the coefficients' greatest divisor.
    """
    counters = {x.iv: x.step for x in nest}
    shapes = {tuple(e.terms for e in a.index or ()) for a in group}
    if len(shapes) != 1:
        return None
    divisors = [
        gcd(*(c * counters[atom] for atom, c in terms if atom in counters))
        for terms in shapes.pop()
    ]
    cells: dict[tuple[int, ...], list[Access]] = {}
    for access in group:
        assert access.index is not None
        places = zip(access.index, divisors, strict=True)
        key = tuple(e.const % d if d else e.const for e, d in places)
        cells.setdefault(key, []).append(access)
    same = all(len({a.index for a in cell}) == 1 for cell in cells.values())
    return list(cells.values()) if same else None


def _visits(
    index: Sequence[AffineExpr], nest: Sequence[For]
) -> tuple[tuple[For, ...], int] | None:
    """The loops over the visits of one cell, and the iterations from one visit to the next.

    None unless that number is the same each time: the loops stand together in the nest, and
    different counters of the others mean different cells.
    """
    if not all(isinstance(atom, Value) for e in index for atom, _ in e.terms):
        return None
    used = {v for e in index for v in e.values}
    steady = tuple(x for x in nest if x.iv not in used)
    others = [x for x in nest if x.iv in used]
    if not steady or (not is_static(nest) and any(x.trip_count is None for x in others)):
        return None
    first = nest.index(steady[0])
    spans = _spans(nest)
    if tuple(nest[first : first + len(steady)]) != steady:
        return None
    distance = count(nest[first + len(steady) :], lambda _: None)
    return (steady, distance) if distance and _one_to_one(index, others, spans) else None


def _next_cell(
    group: Sequence[Access], nest: Sequence[For], stored: ArrayStorage, ways: _Ways
) -> dict[Load, Carry]:
    """The loads of one array whose word is what the iteration before stored, each time.

        for i in range(n): A[i + 1] = A[i] + x[i]

    The memory is read in the first iteration of each run of the innermost loop.  Empty where only
    some of the loads that wait for the iteration before are such.
    """
    inner, stores = nest[-1], [a for a in group if a.is_store]
    if stored.kind is StorageKind.REGISTERS or len(inner.lower) > 1:
        return {}
    if not all(isinstance(a.op, Load | Store) for a in group):
        return {}
    sure = {
        a.index: a for a in stores
        if a.affine and not any(isinstance(p, If) for p in a.parents)
    }  # fmt: skip
    after = AffineExpr.of(inner.iv) + inner.step
    found: dict[Load, Carry] = {}
    others: list[Access] = []
    for load in group:
        store = sure.get(_at(load, inner, after)) if load.affine else None
        if not isinstance(load.op, Load):
            continue
        if store is None or not _is_alone(store, load, stores, nest):
            others.append(load)
            continue
        assert isinstance(store.op, Store)
        if not ways.cycles(load.op, store.op):
            return {}
        found[load.op] = Carry(store.op, (inner,), 1, 1)
    if any(_is_next(s, load, inner) for load in others if found for s in stores):
        return {}
    return found


def _at(access: Access, loop: For, counter: AffineExpr) -> tuple[AffineExpr, ...]:
    """The subscripts of an access in another iteration of a loop."""
    assert access.index is not None
    return tuple(e.substitute({loop.iv: counter}.get) for e in access.index)


def _is_next(store: Access, load: Access, loop: For) -> bool:
    return not always_differ(store, load) and carried_distance(store, load, (loop,)) == 1


def _is_alone(
    store: Access, load: Access, stores: Sequence[Access], nest: Sequence[For]
) -> bool:
    """Whether what a store did is there one iteration later, and before the first iteration of a
    run nothing is that the nest stored."""
    if load.position > store.position:
        return False
    first = replace(load, index=_at(load, nest[-1], nest[-1].lower[0]))
    for other in stores:
        late = other.position > store.position and same_iteration(store, other, nest)
        early = other.position < load.position and same_iteration(other, load, nest)
        if late or early or carried_distance(other, first, nest) is not None:
            return False
    return True


def _spans(nest: Sequence[For]) -> dict[Value, int]:
    """How far the counters of a nest go, at most."""
    intervals = counter_intervals(nest, lambda _: (0, 0)) if is_static(nest) else {}
    spans = {iv: high - low for iv, (low, high) in intervals.items()}
    return spans | {x.iv: (x.trip_count - 1) * x.step for x in nest if x.trip_count}


def _one_to_one(
    index: Sequence[AffineExpr], loops: Sequence[For], spans: Mapping[Value, int]
) -> bool:
    """Whether different counters mean different subscripts, each a number in mixed radix."""
    by_counter = {x.iv: x for x in loops}
    seen: list[Value] = []
    for expr in index:
        parts = [(abs(c), atom) for atom, c in expr.terms if atom in by_counter]
        reach = 0
        for coefficient, atom in sorted(parts, key=lambda part: part[0]):
            assert isinstance(atom, Value)
            loop = by_counter[atom]
            if coefficient * loop.step <= reach:
                return False
            reach += coefficient * spans[atom]
            seen.append(atom)
    return len(seen) == len(loops) == len(set(seen))
