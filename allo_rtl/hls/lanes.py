"""Operations that are alike are scheduled once, and stand for each other.

An unrolled loop has a lane for every iteration.  Operations get one colour each, and those that
differ in a unit, a width, a port, or in the colours of what they are connected to are told apart
until nothing changes any more (colour refinement; Paige and Tarjan, "Three partition refinement
algorithms", SIAM J. Comput. 1987).  Constraints see no more of an operation than its colour.  So
a schedule of one operation of each colour is one of all; and as this is so for linear programs
as well (Grohe, Kersting, Mladenov and Selman, "Dimension reduction via colour refinement", ESA
2014), the one with fewest registers is that of the whole, each counted as often as it stands for.

What shares a port or limited units has a place in the turn there, and is alike only to what has
the same place at another port: lanes with banks of their own are one lane, lanes that take turns
are not.  Each colour's first operation stands for it.  These must be connected among themselves
as the colours are, so that they are a part of the whole: then what is impossible for them is so for
all, and the proof of their interval is one of the loop's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from allo_rtl.hls.conflicts import apart
from allo_rtl.hls.node import STREAMS, Kind, Node
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Port, Problem, timed

_ROUNDS = 8
"""Colours that change for longer are not of lanes, but of what follows each other."""


@dataclass(frozen=True)
class Lanes:
    """A problem, and a part of it that stands for the whole.

    Attributes:
        whole: all operations.
        one: one of each colour, which counts as often as there are such; ``whole`` itself where
            that saves nothing.
        stands: for each operation of the whole the one of the part.
    """

    whole: Problem
    one: Problem
    stands: Mapping[Node, Node]

    def spread(self, found: OpSchedule) -> OpSchedule | None:
        """The schedule of the part for the whole; None if it should break a rule there."""
        if self.one is self.whole:
            return found
        start = {n: found.start[self.stands.get(n, n)] for n in self.stands}
        start = dict.fromkeys(self.whole.nodes, 0) | start
        everywhere = timed(self.whole, start, found.ii)
        return everywhere if is_met(self.whole, everywhere) else None

    def improved(
        self, found: OpSchedule, step: Callable[[Problem, OpSchedule], OpSchedule]
    ) -> OpSchedule:
        """What a step makes of a schedule of the whole, done on the part where that is enough."""
        if self.one is not self.whole:
            start = {self.stands.get(n, n): cycle for n, cycle in found.start.items()}
            if all(found.start[n] == start[rep] for n, rep in self.stands.items()):
                better = self.spread(step(self.one, timed(self.one, start, found.ii)))
                if better is not None:
                    return better
        return step(self.whole, found)


def fold(problem: Problem) -> Lanes:
    """Find what is alike; where that is less than half, the part is the whole."""
    whole = Lanes(problem, problem, {})
    moving = [n for n in problem.nodes if not problem.is_free(n)]
    if any(n.kind in STREAMS for n in moving):  # one that waits makes all wait
        return whole
    colours = _Colours(problem, moving).refined()
    if colours is None:
        return whole
    first: dict[int, Node] = {}
    for node in moving:
        first.setdefault(colours[node], node)
    stands = {n: first[colours[n]] for n in moving}
    if not _is_part(problem, first.values(), stands):
        return whole
    one, copy = _part(problem, first.values(), stands)
    if any(one.units[copy[n]] != problem.units[n] for n in first.values()):
        return whole
    return Lanes(problem, one, {n: copy[rep] for n, rep in stands.items()})


class _Colours:
    """The colours of the operations that have a time; numbers, renewed in each step."""

    def __init__(self, problem: Problem, moving: list[Node]) -> None:
        self._problem = problem
        self._moving = moving
        self._ports = problem.ports()
        self._at: dict[Node, Port] = {n: p for p, users in self._ports.items() for n in users}
        timed_nodes = set(moving)
        self._operands = {
            n: [o for o in dict.fromkeys(n.operands) if o in timed_nodes] for n in moving
        }
        self._users: dict[Node, list[Node]] = {n: [] for n in moving}
        for node, operands in self._operands.items():
            for operand in operands:
                self._users[operand].append(node)
        self._edges: dict[Node, list[tuple[Node, int, int, bool]]] = {}
        for e in problem.edges:
            if e.src in timed_nodes and e.dst in timed_nodes:
                self._edges.setdefault(e.dst, []).append((e.src, e.delay, e.distance, True))
                self._edges.setdefault(e.src, []).append((e.dst, e.delay, e.distance, False))
        self._colour: dict[Node, int] = {}

    def refined(self) -> Mapping[Node, int] | None:
        """Colours that tell apart all that has to be; None where few are alike."""
        turns = {
            n: k for users in self._ports.values()
            for k, n in enumerate(sorted(users, key=lambda n: (n.order, n.serial)))
        }  # fmt: skip
        self._step(self._moving, lambda n: (self._own(n), turns.get(n)))
        count = 0
        for _ in range(_ROUNDS):
            before, count = count, self._round()
            if 2 * count > len(self._moving):
                return None
            if count == before:
                return self._colour
        return None

    def _own(self, node: Node) -> object:
        """What an operation is by itself."""
        problem = self._problem
        place = None
        if node.bank is not None:
            port = self._at.get(node)
            most = None if port is None else problem.capacity(port)
            place = problem.entry_ns(node), problem.exit_ns(node), most
        is_output = node in problem.outputs
        return node.kind, problem.units[node], problem.shapes[node], place, is_output

    def _round(self) -> int:
        """Tell apart by operands, by users, by dependences and ports; how many colours there are.

        Operands come before their users, so that the first two steps reach all that is before and
        behind an operation at once.
        """
        colour = self._colour
        self._step(self._moving, lambda n: tuple(sorted(colour[o] for o in self._operands[n])))
        back = self._moving[::-1]
        self._step(back, lambda n: tuple(sorted(colour[u] for u in self._users[n])))
        ports = {p: tuple(sorted(colour[n] for n in us)) for p, us in self._ports.items()}
        numbers = {port: n for n, port in enumerate(dict.fromkeys(ports.values()))}
        beside = {
            n: (
                tuple(sorted((colour[m], *how) for m, *how in self._edges.get(n, ()))),
                numbers[ports[self._at[n]]] if n in self._at else None,
            )
            for n in self._moving
        }
        return self._step(self._moving, beside.__getitem__)

    def _step(self, nodes: Iterable[Node], seen: Callable[[Node], object]) -> int:
        """Tell apart the nodes of one colour by what is ``seen`` of them; the number of colours."""
        numbers: dict[object, int] = {}
        colour = self._colour
        for node in nodes:
            key = colour.get(node), seen(node)
            colour[node] = numbers.setdefault(key, len(numbers))
        return len(numbers)


def _is_part(problem: Problem, chosen: Iterable[Node], stands: Mapping[Node, Node]) -> bool:
    """Whether the chosen nodes are connected among themselves as their colours are."""
    reps = set(chosen)
    edges = {(e.src, e.dst, e.delay, e.distance) for e in problem.edges if e.src in reps}
    return (
        all(stands[o] in n.operands for n in reps for o in n.operands if o in stands)
        and all(
            (stands[e.src], e.dst, e.delay, e.distance) in edges
            for e in problem.edges if e.dst in reps and e.src in stands
        )
        and all(
            all(n in reps for n in users) or not any(n in reps for n in users)
            for users in problem.ports().values()
        )
    )  # fmt: skip


def _part(
    problem: Problem, chosen: Iterable[Node], stands: Mapping[Node, Node]
) -> tuple[Problem, Mapping[Node, Node]]:
    """The problem of the chosen nodes, and what each of them is in it.

    It is itself, unless it has operands of which one stands for another.
    """
    reps = set(chosen)
    needed = {o for n in reps for o in n.operands if o not in stands}
    copy: dict[Node, Node] = {}
    for node in problem.nodes:
        if node in needed:
            copy[node] = node
        elif node in reps:
            operands = tuple(copy[stands.get(o, o)] for o in node.operands)
            copy[node] = node if operands == node.operands else replace(node, operands=operands)
    copies: dict[Node, int] = {}
    for rep in stands.values():
        copies[copy[rep]] = copies.get(copy[rep], 0) + 1
    edges = dict.fromkeys(
        Edge(copy[stands[e.src]], copy[e.dst], e.delay, e.distance)
        for e in problem.edges if e.dst in reps and e.src in stands
    )  # fmt: skip
    part = replace(
        problem, nodes=list(copy.values()), edges=list(edges), copies=copies,
        shapes={new: problem.shapes[n] for n, new in copy.items()},
        outputs=frozenset(copy[n] for n in problem.outputs if n in copy),
    )  # fmt: skip
    return part, copy


def is_met(problem: Problem, found: OpSchedule) -> bool:
    """Whether a schedule keeps every rule: operands, the clock, dependences, and ports."""
    start = found.start
    for node in problem.nodes:
        if problem.is_free(node):
            continue
        operands = [o for o in node.operands if not problem.is_free(o)]
        before = max(
            (found.offset[o] for o in operands if found.ready[o] == start[node]), default=0.0
        )
        if any(found.ready[o] > start[node] for o in operands) or start[node] < 0:
            return False
        if problem.needs_register(node, before) or (node.kind is Kind.COUNTER and start[node]):
            return False
    ii = found.ii or 0
    if any(start[e.dst] < start[e.src] + e.delay - e.distance * ii for e in problem.edges):
        return False
    ports = problem.ports().items()
    return all(_takes_turns(users, found, problem.capacity(port)) for port, users in ports)


def _takes_turns(users: Iterable[Node], found: OpSchedule, most: int) -> bool:
    """Whether no more accesses are at a port at a time than can be."""
    slots: dict[int, list[Node]] = {}
    for node in users:
        cycle = found.start[node]
        slots.setdefault(cycle % found.ii if found.ii else cycle, []).append(node)
    return all(
        len(together) <= most
        or (most == 1 and all(
            found.start[a] == found.start[b] and apart(a, b) for a, b in combinations(together, 2)
        ))
        for together in slots.values()
    )  # fmt: skip
