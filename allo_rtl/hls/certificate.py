"""Why a loop's initiation interval is not smaller: the proof, as data and in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.banking import separating_cuts
from allo_rtl.hls.constraints import chain
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.op_schedule import Edge, Problem
from allo_rtl.hls.recurrence import Recurrence
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Load, Store

_MOST_ACCESSES = 32
"""Accesses of a port for which it is looked whether a partition keeps them apart."""

_PORT = {Kind.READ: "read", Kind.WRITE: "written"}
_STREAM = {Kind.GET: "taken from", Kind.PUT: "put to"}
_DOES = {Kind.READ: "read", Kind.WRITE: "write", Kind.REG_READ: "use", Kind.REG_WRITE: "set"}


class Reason(Enum):
    """What an initiation interval is due to; the value is what JSON has."""

    ONE = "one iteration a cycle"
    ASKED = "as asked"
    RECURRENCE = "recurrence"
    PORT = "port"
    UNIT = "unit"
    SEARCH = "search"
    ITERATION = "iteration"
    OPEN = "not proved"


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a proof.

    Attributes:
        what: the operation, such as ``"add"`` or ``"read A"``.
        loc: where it is in the source.
        cycles: cycles from its start to that of the next step, for accesses of a port 1.
        ns: logic of the step, where a register ends it because a cycle has no more time; 0 else.
        distance: iterations between it and the next step.
    """

    what: str
    loc: SourceLoc | None
    cycles: int
    ns: float = 0.0
    distance: int = 0

    def __str__(self) -> str:
        place = f" at {self.loc.short}" if self.loc else ""
        logic = f" ({self.ns:.1f} ns of logic)" if self.ns else ""
        later = f", {_count(self.distance, 'iteration')} later" if self.distance else ""
        return f"{self.what}{place}: {_count(self.cycles, 'cycle')}{logic}{later}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Why a loop cannot start an iteration more often.

    Attributes:
        reason: the kind of proof.
        bound: no schedule has a smaller interval than so many cycles; equal to the loop's
            interval unless ``reason`` is ASKED or OPEN.  Where iterations follow each other, in
            `while` loops, it is a bound of the cycles of one.
        text: one line.
        steps: the recurrence, in order around the cycle, or the accesses of the busiest port, or
            the operations of the busiest units.
    """

    reason: Reason
    bound: int
    text: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Saturated:
    """Accesses of one port, or operations on one end of a stream, that need a cycle each.

    ``ports`` is 2 for a memory with two ports.  Operations of a job have as many ``ports`` as it
    has units, which ``unit`` names, and each keeps one ``busy`` for so many cycles.
    """

    users: tuple[Node, ...]
    ports: int = 1
    unit: str = ""
    busy: int = 1

    @property
    def interval(self) -> int:
        """The smallest initiation interval with them, in cycles."""
        return -(-len(self.users) // self.ports) * self.busy


def of_port(port: Saturated, beside: Certificate | None = None) -> Certificate:
    """The certificate of a loop that keeps a port, a stream or all units of a kind busy.

    ``beside`` is that of a recurrence that asks for the same interval.
    """
    steps = tuple(Step(operation(n), n.loc, port.busy) for n in port.users)
    fact, change = _unit_text(port) if port.unit else _port_text(port)
    if beside is not None:
        change = f"and a recurrence takes as long ({beside.text.removeprefix('recurrence: ')})"
    text = f"{fact}; {change}" if change else fact
    return Certificate(Reason.UNIT if port.unit else Reason.PORT, port.interval, text, steps)


def of_recurrence(problem: Problem, recurrence: Recurrence) -> Certificate:
    """The certificate of a loop that waits for itself."""
    steps = tuple(s for e in _from_the_sink(recurrence) for s in steps_along(problem, e))
    text = _recurrence_text(problem, recurrence)
    return Certificate(Reason.RECURRENCE, recurrence.interval, text, steps)


def of_search(ii: int, least: Certificate | None, proved: bool) -> Certificate:
    """The certificate of a loop with an interval above what ports and recurrences ask for.

    Args:
        ii: the interval found.
        least: what asks for the most; None when one iteration a cycle seemed possible.
        proved: whether an exhaustive search showed that ``ii - 1`` is impossible.
    """
    bound, steps = (least.bound, least.steps) if least else (1, ())
    beside = f" ({least.text})" if least else ""
    if proved:
        text = (
            f"ports and dependences together: a search of all schedules shows that "
            f"{_count(ii - 1, 'cycle')} cannot be{beside}"
        )
        return Certificate(Reason.SEARCH, ii, text, steps)
    text = (
        f"no schedule with {_count(ii - 1, 'cycle')} was found; proved is only that it takes "
        f"{_count(bound, 'cycle')}{beside}"
    )
    return Certificate(Reason.OPEN, bound, text, steps)


def operation(node: Node) -> str:
    """What a node does, in a word or two."""
    while node.kind is Kind.CAST:
        node = node.operands[0]
    if node.bank is not None:
        return f"{_DOES[node.kind]} {node.name}"
    if node.stream is not None or node.kind is Kind.CARRIED:
        return f"{node.kind.value} {node.name}"
    what = str(node.float) if node.float else node.kind.value
    places = dict.fromkeys(n.loc.short for n in node.merged[1:] if n.loc)
    return f"{what}, or that at {' or '.join(places)}" if places else what


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def cycles(count: int) -> str:
    """``"cycle"``, or ``"3 cycles"``: after "every"."""
    return "cycle" if count == 1 else f"{count} cycles"


def _unit_text(port: Saturated) -> tuple[str, str]:
    units = _count(port.ports, "unit")
    each = f", {_count(port.busy, 'cycle')} each" if port.busy > 1 else ""
    return (
        f"{port.unit} is done {len(port.users)} times per iteration by {units}{each}, "
        "which is as many as were allowed", "allow more",
    )  # fmt: skip


def _port_text(port: Saturated) -> tuple[str, str]:
    """What keeps a port busy, and what can be done about it."""
    node, count = port.users[0], len(port.users)
    if node.stream is not None:
        name = node.stream.stream.name
        return f"{name} is {_STREAM[node.kind]} {count} times per iteration, once a cycle", ""
    assert node.bank is not None
    name = node.bank.array.name
    if port.ports > 1:
        fact = f"{name} is accessed {count} times per iteration through two ports"
    else:
        fact = f"{name} is {_PORT[node.kind]} {count} times per iteration through one port"
    banks = Layout(node.bank.array.array).banks
    if banks == 1:
        return fact, _partition(port, name)
    if banks == node.bank.array.array.size:
        return f"{fact} of a bank", "each element has a bank already, and which is used varies"
    return f"{fact} of a bank", "more banks help if each access stays in one"


def _partition(port: Saturated, name: str) -> str:
    """What partitions can do about the accesses of a port; of many that is not looked for."""
    bank = port.users[0].bank
    assert bank is not None
    ops = [n.access for n in port.users if isinstance(n.access, Load | Store)]
    if len(ops) > _MOST_ACCESSES or separating_cuts(bank.array.array, [[op.index for op in ops]]):
        return f"partition {name}"
    return "no partition keeps these apart"


def _from_the_sink(recurrence: Recurrence) -> list[Edge]:
    """The edges around, from the sink of an edge into a later iteration on."""
    edges = list(recurrence.edges)
    last = max(k for k, e in enumerate(edges) if e.distance)
    return [*edges[last + 1 :], *edges[: last + 1]]


def steps_along(problem: Problem, edge: Edge) -> Iterator[Step]:
    """An edge's operations: that of its source, and for a chain those it runs through."""
    if not _is_chain(problem, edge):
        place = _place([edge.src, edge.dst])
        yield Step(operation(edge.src), place, edge.delay, 0.0, edge.distance)
        return
    way = [n for n in chain(problem, edge) if problem.entry_ns(n) or problem.latency(n)]
    names = [operation(n) for n in way]
    ns = sum(problem.entry_ns(n) for n in way[1:])
    first = way[0] if way else edge.src
    ns += problem.exit_ns(first) if problem.latency(first) else problem.entry_ns(first)
    yield Step(", ".join(names), _place([edge.src, *way]), edge.delay, ns, edge.distance)


def _place(nodes: Iterable[Node]) -> SourceLoc | None:
    """Where the first of some nodes that comes from the source is."""
    return next((n.loc for n in nodes if n.loc), None)


def _is_chain(problem: Problem, edge: Edge) -> bool:
    known = any(edge is e for e in problem.edges)
    return not known and edge.delay > problem.latency(edge.src)


def _recurrence_text(problem: Problem, recurrence: Recurrence) -> str:
    back = next(e for e in reversed(_from_the_sink(recurrence)) if e.distance)
    taken = cycles(recurrence.delay) if recurrence.delay > 1 else "1 cycle"
    taken += _long_units(problem, [e.src for e in _from_the_sink(recurrence)])
    if back.src.stream and back.dst.stream:
        return f"all streams are used before the next iteration uses them; that takes {taken}"
    loc = back.src.loc or back.dst.loc
    place = f" at {loc.short}" if loc else ""
    access = back.src.access
    # The registers that hand a word on stand for the array it is stored to.
    name = access.array.name if isinstance(access, Load | Store) else back.src.name
    name = back.dst.name if back.dst.kind is Kind.CARRIED else name
    return (
        f"recurrence: {name or 'a value'}, written{place}, is used "
        f"{_count(recurrence.distance, 'iteration')} later; that takes {taken}"
    )


def _long_units(problem: Problem, nodes: Sequence[Node]) -> str:
    """The units of several cycles among nodes."""
    texts = [
        f"{problem.units[n].latency} of them in {problem.units[n].name}"
        + (f" at {n.loc.short}" if n.loc else "")
        for n in nodes
        if problem.units[n].latency > 1
    ]
    return ", " + " and ".join(texts) if texts else ""
