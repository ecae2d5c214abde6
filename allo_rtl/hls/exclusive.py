"""One unit for operations of which an iteration never needs two.

    if c: y = a * b          f, g = (a, b) if c else (d, e)
    else: y = d * e    ->    y = f * g

The products are in the two branches of an ``if``, or under conditions that are proved to exclude
each other (:mod:`allo_rtl.hls.needs`); so they can share a unit though both fall into one cycle.
The pass replaces them by one node behind a choice of operands, an ordinary node, so that
intervals, delays and hardware follow as for any other.  It does so for what costs more than the
choice, multipliers of several blocks, dividers and floating-point units, and never where an
interval becomes longer, or a piece that runs once at a time.  Stores under such conditions become
one in the same way, which takes the port of a memory once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from graphlib import CycleError, TopologicalSorter

from allo_rtl.errors import BuildError
from allo_rtl.hls.control import FunctionControl, Pipelined, Straight, regions
from allo_rtl.hls.graph import BIT, Graph
from allo_rtl.hls.needs import ALWAYS, Cube, Exclusion, Need, contrary, literals, needs
from allo_rtl.hls.node import (
    DIVISIONS,
    WITH_REST,
    Bank,
    FloatSpec,
    Kind,
    Node,
    Number,
    full_range,
    with_operands,
)
from allo_rtl.hls.operators import Division, Job, Operators, job_of, product_of, unit_name
from allo_rtl.hls.quotients import bits_of, low_bits, part_of, with_rest
from allo_rtl.hls.ranges import result_range
from allo_rtl.hls.rebuild import (
    Joint,
    Rebuilt,
    Timed,
    before_in_iteration,
    kept,
    rebuilt,
    with_regions,
)
from allo_rtl.hls.region import Region
from allo_rtl.hls.sharing import MUCH_WIDER, any_product
from allo_rtl.hls.widths import Shape, shapes
from allo_rtl.ir.ops import FloatKind
from allo_rtl.ir.types import Int, UInt

_MOST_TRIED = 32
"""So many groups, the latest first, are asked whether an operation excludes all of theirs."""


@dataclass(frozen=True)
class Group:
    """Operations of a region of which an iteration needs one at most.

    Attributes:
        nodes: the operations.
        chosen: for each but the last, the cubes of which one holds when it is needed, and none
            when one behind it is.
    """

    nodes: tuple[Node, ...]
    chosen: tuple[tuple[Cube, ...], ...]

    @property
    def conditions(self) -> list[Node]:
        """The bits that say which operation is needed."""
        literals = (literal for cubes in self.chosen for cube in cubes for literal in cube)
        return sorted({bit for bit, _ in literals}, key=lambda bit: bit.serial)


@dataclass(frozen=True)
class _Candidate:
    """An operation that can share a unit, when it is needed, and what it does; of a store, the
    bank that it has to do with."""

    node: Node
    need: Need
    job: Job | Bank
    level: int

    @property
    def sort(self) -> object:
        """What operations of one unit have in common."""
        return self.job if isinstance(self.job, FloatSpec | Bank) else unit_name(self.job)


def exclusive(
    piece: Straight | Pipelined, operators: Operators, limited: Collection[str]
) -> list[Group]:
    """Sets of operations of a region that can have a unit together, in one cycle.

    Args:
        piece: what to look at.
        operators: the units of the device.
        limited: names of units whose number is limited, which are shared whatever they cost.
    """
    nodes = piece.region.nodes()
    sizes = shapes(nodes, piece.region.results)
    jobs = {n: job for n in nodes if (job := _job(n, sizes, limited)) is not None}
    worth = [n for n, j in jobs.items() if unit_name(j) in limited or operators.is_costly(j)]
    if len(worth) < 2:
        return []
    when = needs(nodes, piece.region.results)
    found = {n: when[n] for n in worth if when[n] and when[n] != ALWAYS}
    if len(found) < 2:
        return []
    before = before_in_iteration(piece, nodes)
    return _groups(before, found, jobs, _Grouper(operators, sizes, limited))


def exclusive_stores(piece: Straight | Pipelined, operators: Operators) -> list[Group]:
    """Sets of stores to one bank of which an iteration makes one at most.

    Where there are streams, which keep an order with stores, none.
    """
    if piece.region.uses_streams:
        return []
    nodes = piece.region.nodes()
    banks = {n: n.bank for n in nodes if n.kind is Kind.WRITE and n.bank}
    cubes = {n: literals(n.operands[-1], True) for n in banks}
    users = Counter(banks.values())
    found = {n: frozenset({cube}) for n, cube in cubes.items() if cube and users[banks[n]] > 1}
    if len(found) < 2:
        return []
    before, grouper = before_in_iteration(piece, nodes), _Grouper(operators, {}, ())
    free = _without_order(before, found, grouper.exclusion)
    return _undivided(before, _groups(free, found, banks, grouper))


def _groups(
    before: Mapping[Node, Sequence[Node]],
    found: dict[Node, Need],
    jobs: Mapping[Node, Job | Bank],
    grouper: _Grouper,
) -> list[Group]:
    """The groups that candidates make, given when each is needed, and what comes before it."""
    levels = _levels(before, found)
    for node in sorted(found, key=lambda n: n.serial):
        grouper.add(_Candidate(node, found[node], jobs[node], levels[node]))
    return grouper.groups()


def _without_order(
    before: Mapping[Node, Sequence[Node]], found: Mapping[Node, Need], exclusion: Exclusion
) -> dict[Node, list[Node]]:
    """What comes before each node, but of two stores of which one at most is made neither."""
    return {
        node: [
            e for e in earlier
            if not (node in found and e in found and exclusion.apart(found[e], found[node]))
        ]
        for node, earlier in before.items()
    }  # fmt: skip


def _undivided(before: Mapping[Node, Sequence[Node]], groups: list[Group]) -> list[Group]:
    """The groups of which no operation has to come behind one and before another."""
    while True:
        whole = {node: group.nodes[0] for group in groups for node in group.nodes}
        order: TopologicalSorter[Node] = TopologicalSorter()
        for node, earlier in before.items():
            mine = whole.get(node, node)
            order.add(mine, *(e for n in earlier if (e := whole.get(n, n)) is not mine))
        for group in groups:
            order.add(group.nodes[0], *(whole.get(bit, bit) for bit in group.conditions))
        try:
            order.prepare()
        except CycleError as error:
            divided = next(g for g in groups if g.nodes[0] in error.args[1])
            groups = [g for g in groups if g is not divided]
            continue
        return groups


def _job(node: Node, sizes: Mapping[Node, Shape], limited: Collection[str]) -> Job | None:
    """What a node's unit does; limited multipliers are for every product."""
    if node.kind is Kind.MUL and "mul" in limited:
        return product_of(node, sizes)
    return job_of(node, sizes)


def _levels(before: Mapping[Node, Sequence[Node]], found: dict[Node, Need]) -> Mapping[Node, int]:
    """How many candidates there are, at most, on the ways to each node, itself included.

    The conditions of a candidate come before it.  Of two candidates of one level neither needs
    the other, nor do their conditions, whatever else is joined.  Candidates for which that cannot
    be are taken out of ``found``.
    """
    while True:
        order: TopologicalSorter[Node] = TopologicalSorter(before)
        for node, need in found.items():
            order.add(node, *(bit for cube in need for bit, _ in cube))
        try:
            ordered = list(order.static_order())
        except CycleError as error:
            del found[next(n for n in error.args[1] if n in found)]
            continue
        break
    levels: dict[Node, int] = {}
    for node in ordered:
        conditions = (bit for cube in found.get(node, ()) for bit, _ in cube)
        earlier = [levels[n] for n in (*before[node], *conditions)]
        levels[node] = max(earlier, default=0) + (node in found)
    return levels


class _Grouper:
    """Puts candidates into groups, each into the first that it fits."""

    def __init__(
        self, operators: Operators, sizes: Mapping[Node, Shape], limited: Collection[str]
    ) -> None:
        self._operators = operators
        self._sizes = sizes
        self._limited = limited
        self.exclusion = Exclusion()
        self._found: dict[object, list[list[_Candidate]]] = {}

    def add(self, candidate: _Candidate) -> None:
        """Put a candidate into a group with the most operands in common, or one of its own."""
        alike = self._found.setdefault((candidate.sort, candidate.level), [])
        fitting = [g for g in alike[-_MOST_TRIED:] if self._fits(candidate, g)]
        if not fitting:
            alike.append([candidate])
            return
        max(fitting, key=lambda g: _in_common(candidate.node, [c.node for c in g])).append(
            candidate
        )

    def _fits(self, candidate: _Candidate, group: Sequence[_Candidate]) -> bool:
        return all(
            self.exclusion.apart(candidate.need, other.need) for other in group
        ) and self._is_worth([candidate, *group])

    def _is_worth(self, group: Sequence[_Candidate]) -> bool:
        """Whether one unit for all costs no more than the largest of theirs."""
        match group[0].node.kind:
            case Kind.MUL if "mul" not in self._limited:
                products = [product_of(c.node, self._sizes) for c in group]
                model = self._operators.model
                blocks = [model.dsps(a.width, b.width, bits) for a, b, bits in products]
                a, b, bits = any_product(products)
                return model.dsps(a.width, b.width, bits) <= max(blocks)
            case kind if kind in DIVISIONS:
                roundings = {c.node.kind for c in group} - {Kind.REM}
                if len({WITH_REST.get(kind, kind) for kind in roundings}) > 1:
                    return False
                widths = [c.job.width for c in group if isinstance(c.job, Division)]
                return "div" in self._limited or max(widths) <= MUCH_WIDER * min(widths)
        return True

    def groups(self) -> list[Group]:
        """The groups of two and more."""
        return [
            self._group(members)
            for alike in self._found.values()
            for members in alike
            if len(members) > 1
        ]

    def _group(self, members: Sequence[_Candidate]) -> Group:
        chosen = [
            tuple(self._shortest(cube, members[k + 1 :]) for cube in _ordered(member.need))
            for k, member in enumerate(members[:-1])
        ]
        return Group(tuple(c.node for c in members), tuple(chosen))

    def _shortest(self, cube: Cube, others: Sequence[_Candidate]) -> Cube:
        """As few literals of a cube as tell that no other is needed."""
        # Of long chains of conditions most are told apart by literals that are contrary.
        against = [(other, contrary(cube, other)) for c in others for other in c.need]
        for literal in sorted(cube, key=lambda x: -x[0].serial):
            fewer = cube - {literal}
            if all(
                not told.isdisjoint(fewer) or self.exclusion.is_empty(fewer | other)
                for other, told in against
            ):
                cube = fewer
        return cube


def _ordered(need: Need) -> list[Cube]:
    return sorted(need, key=lambda cube: sorted((bit.serial, holds) for bit, holds in cube))


def _in_common(node: Node, group: Sequence[Node]) -> int:
    return sum(o in other.operands for other in group for o in node.operands)


# The pass


def joined_region(region: Region, groups: Collection[Group]) -> Rebuilt:
    """The region with the operations of each group in one, and what each of its nodes became."""
    group_of = {node: group for group in groups for node in group.nodes}
    joint: dict[Node, Joint] = {
        node: (group.nodes, [*group.conditions, *(o for n in group.nodes for o in n.operands)])
        for node, group in group_of.items()
    }
    joiner = _Joiner()
    return rebuilt(region, joint, lambda node, new: joiner.joined(group_of[node], new))


class _Joiner:
    """Makes the nodes that take the place of groups."""

    def __init__(self) -> None:
        self._graph = Graph()

    def joined(self, group: Group, new: Mapping[Node, Node]) -> list[Node]:
        """What takes the place of each operation of a group."""
        first = group.nodes[0]
        match first.kind:
            case Kind.MUL:
                return self._product(group, new)
            case Kind.FLOAT:
                return self._float(group, new)
            case Kind.WRITE:
                return self._store(group, new)
        return self._division(group, new)

    def _store(self, group: Group, new: Mapping[Node, Node]) -> list[Node]:
        """A store where any of the group's is made."""
        given = [tuple(new[o] for o in n.operands) for n in group.nodes]
        place = self._chosen(group, new, [operands[:-1] for operands in given])
        enable = reduce(lambda a, b: self._graph.make(Kind.OR, BIT, a, b), [x[-1] for x in given])
        last = max(group.nodes, key=lambda n: n.order)
        store = with_operands(last, (*place, enable))
        return [replace(store, merged=group.nodes)] * len(group.nodes)

    def _product(self, group: Group, new: Mapping[Node, Node]) -> list[Node]:
        """Products of the bits of the widest, each wrapped to what it was."""
        graph, types = self._graph, {n.type for n in group.nodes}
        wide = types.pop() if len(types) == 1 else Int(max(n.type.bits for n in group.nodes))
        factors = [tuple(graph.cast(new[o], wide) for o in n.operands) for n in group.nodes]
        node = self._node(group, Kind.MUL, wide, self._chosen(group, new, _aligned(factors)))
        return [low_bits(graph, node, n) for n in group.nodes]

    def _division(self, group: Group, new: Mapping[Node, Node]) -> list[Node]:
        """Quotients and remainders; both at once where there are some of each."""
        graph, kinds = self._graph, {n.kind for n in group.nodes}
        sides = [_common([n.operands[k].type for n in group.nodes]) for k in (0, 1)]
        given = [
            tuple(graph.cast(new[o], t) for o, t in zip(n.operands, sides, strict=True))
            for n in group.nodes
        ]
        operands = self._chosen(group, new, given)
        if len(kinds) > 1 or kinds <= set(WITH_REST.values()):
            bits = max(map(bits_of, group.nodes))
            both = with_rest(_quotient(kinds), bits, operands, group.nodes[0].loc, group.nodes)
            return [part_of(graph, both, n) for n in group.nodes]
        type = _common([n.type for n in group.nodes])
        node = self._node(group, group.nodes[0].kind, type, operands)
        return [low_bits(graph, node, n) for n in group.nodes]

    def _float(self, group: Group, new: Mapping[Node, Node]) -> list[Node]:
        """Sums and differences are sums, with the other sign of what is subtracted."""
        specs = [n.float for n in group.nodes if n.float]
        spec = specs[0] if len(set(specs)) == 1 else replace(specs[0], kind=FloatKind.ADD)
        terms = [tuple(new[o] for o in n.operands) for n in group.nodes]
        if spec.kind is FloatKind.ADD:
            terms = [
                (a, self._negative(b) if own.kind is FloatKind.SUB else b)
                for (a, b), own in zip(terms, specs, strict=True)
            ]
        if spec.kind in (FloatKind.ADD, FloatKind.MUL):
            terms = _aligned(terms)
        first = group.nodes[0]
        node = self._node(group, Kind.FLOAT, first.type, self._chosen(group, new, terms), spec)
        return [node] * len(group.nodes)

    def _negative(self, pattern: Node) -> Node:
        sign = self._graph.const(1 << (pattern.type.bits - 1), pattern.type)
        return self._graph.make(Kind.XOR, pattern.type, pattern, sign)

    def _node(
        self,
        group: Group,
        kind: Kind,
        type: Number,
        operands: tuple[Node, ...],
        spec: FloatSpec | None = None,
    ) -> Node:
        ranges = [o.range for o in operands]
        interval = full_range(type) if spec else result_range(kind, type, ranges)
        return Node(
            kind, type, operands, interval, loc=group.nodes[0].loc, float=spec, merged=group.nodes
        )

    def _chosen(
        self, group: Group, new: Mapping[Node, Node], operands: Sequence[tuple[Node, ...]]
    ) -> tuple[Node, ...]:
        """The operands of the operation that is needed; those of the last where none is."""
        *others, found = operands
        for cubes, given in reversed(list(zip(group.chosen, others, strict=True))):
            condition = self._any(cubes, new)
            pairs = zip(given, found, strict=True)
            found = tuple(self._graph.select(condition, a, b) for a, b in pairs)
        return found

    def _any(self, cubes: Sequence[Cube], new: Mapping[Node, Node]) -> Node:
        """The bit that is 1 where all literals of a cube hold."""
        graph = self._graph
        found = graph.const(0, BIT)
        for cube in cubes:
            every = graph.const(1, BIT)
            for bit, holds in sorted(cube, key=lambda literal: literal[0].serial):
                literal = graph.cast(new[bit], BIT) if holds else graph.negate(new[bit])
                every = literal if every.is_const else graph.make(Kind.AND, BIT, every, literal)
            found = every if found.is_const else graph.make(Kind.OR, BIT, found, every)
        return found


def _common(types: Sequence[Number]) -> Number:
    """A type that has the numbers of all types."""
    if len(set(types)) == 1:
        return types[0]
    if not any(t.min < 0 for t in types):
        return UInt(max(t.bits for t in types))
    return Int(max(t.bits + (t.min >= 0) for t in types))


def _quotient(kinds: Collection[Kind]) -> Kind:
    """What makes the quotients and remainders of all kinds."""
    [kind] = {WITH_REST.get(kind, kind) for kind in kinds if kind is not Kind.REM}
    return kind


def _aligned(operands: Sequence[tuple[Node, ...]]) -> list[tuple[Node, ...]]:
    """Pairs of operands in the order in which they have most in common with the first pair."""
    first = operands[0]

    def alike(pair: tuple[Node, ...]) -> int:
        return sum(a is b for a, b in zip(first, pair, strict=True))

    return [max(pair, pair[::-1], key=alike) for pair in operands]


def joined[T: Timed](
    control: FunctionControl,
    operators: Operators,
    limited: Collection[str],
    time: Callable[[FunctionControl], T],
    is_better: Callable[[T, T], bool],
) -> tuple[T, FunctionControl]:
    """A function with one unit for operations that exclude each other, and what was scheduled.

    Args:
        control: the function.
        operators: the units of the device.
        limited: names of units whose number is limited.
        time: schedules a control tree.
        is_better: whether a function is worth having in place of another.
    """

    def stores(piece: Straight | Pipelined) -> list[Group]:
        return exclusive_stores(piece, operators)

    def operations(piece: Straight | Pipelined) -> list[Group]:
        return exclusive(piece, operators, limited)

    try:
        timed = time(control)
    except BuildError:  # with fewer operations it may be possible
        changed = control
        for find in (stores, operations):
            found = _found(changed, find)
            changed = with_regions(changed, {r: joined_region(r, g) for r, g in found.items()})
        if not any(n.merged for p in regions(changed.body) for n in p.region.nodes()):
            raise
        return time(changed), changed
    for find in (stores, operations):
        found, worth = _found(control, find), partial(_reversed, is_better, timed)
        timed, control, _ = kept(timed, control, found, joined_region, time, worth)
    return timed, control


def _reversed[T](is_better: Callable[[T, T], bool], plain: T, joined: T) -> bool:
    return is_better(joined, plain)


def _found(
    control: FunctionControl, find: Callable[[Straight | Pipelined], list[Group]]
) -> dict[Region, list[Group]]:
    return {p.region: groups for p in regions(control.body) if (groups := find(p))}
