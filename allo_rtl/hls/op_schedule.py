"""What operation scheduling is given and what it finds: a problem, and the cycle of every node.

:mod:`allo_rtl.hls.placement` makes a schedule, :mod:`allo_rtl.hls.recurrence` and
:mod:`allo_rtl.hls.exact` say how small an initiation interval can be, and
:mod:`allo_rtl.hls.lifetimes` moves operations to where their values need fewest registers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from allo_rtl.hls.node import STREAMS, Bank, Kind, Node
from allo_rtl.hls.operators import Job, Operators, Unit
from allo_rtl.hls.widths import Shape
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Value


@dataclass(frozen=True, slots=True)
class Edge:
    """``cycle(dst) >= cycle(src) + delay - distance * ii``; distance in iterations."""

    src: Node
    dst: Node
    delay: int
    distance: int = 0


type Port = tuple[Bank, Kind | None] | Job
"""The read or the write port of a bank, or both of its ports (None); or the units of a job."""


@dataclass(frozen=True)
class OpSchedule:
    """Start cycle and unit of every node of a region.

    Attributes:
        start: cycle in which a node begins (its address is presented, its operands used).
        ready: cycle in which its result appears.
        offset: ns of logic before the result within that cycle.
        length: cycles of one pass through the region.
        ii: initiation interval in cycles; None outside pipelined loops.
    """

    start: Mapping[Node, int]
    ready: Mapping[Node, int]
    offset: Mapping[Node, float]
    units: Mapping[Node, Unit]
    shapes: Mapping[Node, Shape]
    length: int
    ii: int | None
    critical_ns: float
    stable: frozenset[Node] = frozenset()


@dataclass(frozen=True)
class Problem:
    """What is to be scheduled.

    ``nodes`` in topological order; ``port_inputs(bank)`` is the number of accesses that share a
    memory's port, whose multiplexer lies in the way of addresses and data.  ``stable`` nodes keep
    their value throughout the region, as constants and inputs do; ``outputs`` are kept to its end.
    ``dual`` are the arrays with two ports a bank that read or write each.  ``limits`` is how many
    units there are for a job, where operations have to take turns.  ``copies`` is how many
    operations a node stands for (see :mod:`allo_rtl.hls.lanes`); 1 for those that are not in it.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    shapes: Mapping[Node, Shape]
    operators: Operators
    port_inputs: Callable[[Bank], int]
    stable: frozenset[Node] = frozenset()
    outputs: frozenset[Node] = frozenset()
    dual: frozenset[Value] = frozenset()
    limits: Mapping[Job, int] = field(default_factory=dict)
    copies: Mapping[Node, int] = field(default_factory=dict)
    units: Mapping[Node, Unit] = field(init=False)
    jobs: Mapping[Node, Job] = field(init=False)
    entries: Mapping[Node, float] = field(init=False)

    def __post_init__(self) -> None:
        units = {n: self.operators.unit(n, self.shapes) for n in self.nodes}
        object.__setattr__(self, "units", units)
        sharing, jobs = self.operators.sharing, dict[Node, Job]()
        for node in self.nodes:
            job = sharing.job(node, self.shapes) if units[node].shared else None
            if job is not None:
                jobs[node] = job
        object.__setattr__(self, "jobs", jobs)
        entries = {
            n: units[n].first_ns + self._port_ns(n) * self.operators.factor(n) for n in self.nodes
        }
        object.__setattr__(self, "entries", entries)

    def bits(self, node: Node) -> int:
        """Bits of the results of all operations that a node stands for."""
        return self.shapes[node].width * self.copies.get(node, 1)

    def is_free(self, node: Node) -> bool:
        """Whether a node is there in every cycle."""
        return node.is_free or node in self.stable

    def ports(self) -> dict[Port, list[Node]]:
        """The operations that compete by what they compete for."""
        found: dict[Port, list[Node]] = {}
        for node in self.nodes:
            if (port := self.port(node)) is not None:
                found.setdefault(port, []).append(node)
        return found

    def port(self, node: Node) -> Port | None:
        """What a node competes for, None for nothing.

        Accesses of a memory do for a port, reads with reads, or for a pair of them, any with any;
        operations of a job with few units do for these.
        """
        if node.kind in (Kind.READ, Kind.WRITE):
            assert node.bank is not None
            return node.bank, None if node.bank.array in self.dual else node.kind
        job = self.jobs.get(node)
        return job if job in self.limits else None

    def capacity(self, port: Port) -> int:
        """How many of those that compete there can be in each cycle."""
        match port:
            case (Bank(), kind):
                return 1 if kind else 2
        return self.limits[port]

    def busy(self, node: Node) -> int:
        """Cycles for which a node keeps what it competes for."""
        return self.units[node].busy

    def latency(self, node: Node) -> int:
        """Cycles from a node's start to its result; 0 is combinational."""
        if node.kind in (Kind.READ, Kind.ASK):
            return 0 if node.async_read else 1
        return self.units[node].latency

    def entry_ns(self, node: Node) -> float:
        """Logic from a node's operands to its first register, or to its result."""
        return self.entries[node]

    def exit_ns(self, node: Node) -> float:
        """Logic between a node's last register and its result; its latency is not 0."""
        if node.kind is Kind.READ:
            return self.operators.model.ram_read_ns * self.operators.factor(node)
        return 0.0 if node.kind is Kind.ASK else self.units[node].last_ns

    def needs_register(self, node: Node, before_ns: float) -> bool:
        """Whether a node cannot follow ``before_ns`` of logic within the same cycle."""
        if before_ns <= 0:
            return False
        # What may hold the island is known early in a cycle; the word of a put may come late.
        is_word = node.kind is Kind.PUT and self.is_free(node.operands[1])
        return (node.kind in STREAMS and not is_word) or (
            before_ns + self.entry_ns(node) > self.operators.budget_ns
        )

    def _port_ns(self, node: Node) -> float:
        model = self.operators.model
        if node.kind in STREAMS:  # the word comes from the FIFO, or was taken before
            return model.delay("select", self.shapes[node].width)
        if node.bank is None:
            return 0.0
        ways = self.port_inputs(node.bank)
        bits = self.shapes[node].width
        if node.async_read:  # look-up tables choose one of the words by the address
            return model.mux(ways, bits) + model.mux(Layout(node.bank.array.array).depth, bits)
        if node.kind in (Kind.READ, Kind.WRITE):
            return model.ram_address_ns + model.mux(ways, bits)
        return model.mux(ways, bits) if node.kind is Kind.REG_WRITE else 0.0


def timed(problem: Problem, start: Mapping[Node, int], ii: int | None) -> OpSchedule:
    """The schedule in which nodes start in the cycles given, with the logic chained in each."""
    ready: dict[Node, int] = {}
    offset: dict[Node, float] = {}
    critical = 0.0
    for node in problem.nodes:
        cycle, latency = start[node], problem.latency(node)
        operands = (o for o in node.operands if not problem.is_free(o))
        before = max((offset[o] for o in operands if ready[o] == cycle), default=0.0)
        behind = before + problem.entry_ns(node)
        ready[node] = cycle + latency
        offset[node] = problem.exit_ns(node) if latency else behind
        critical = max(critical, behind, offset[node])
    units = {n: u.at_interval(ii) for n, u in problem.units.items()}
    used = [n for n in problem.nodes if not problem.is_free(n)]
    length = max((ready[n] + 1 for n in used), default=1)
    critical += problem.operators.model.register_ns
    return OpSchedule(
        start, ready, offset, units, problem.shapes, length, ii, critical, problem.stable
    )
