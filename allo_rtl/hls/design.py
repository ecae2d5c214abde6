"""A timed design: every function as a control tree whose regions have operation schedules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.hls.control import (
    Branch,
    Clear,
    Control,
    FunctionControl,
    Pipelined,
    Sequential,
    Straight,
    build_control,
)
from allo_rtl.hls.dependences import pipelined_edges, straight_edges
from allo_rtl.hls.latency import Latency
from allo_rtl.hls.modulo import pipeline
from allo_rtl.hls.node import Bank, Kind, Node
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Problem, schedule
from allo_rtl.hls.operators import Operators
from allo_rtl.hls.prepare import prepare
from allo_rtl.hls.region import Region
from allo_rtl.hls.widths import shapes
from allo_rtl.ir.ops import Module, Value
from allo_rtl.target import Device


@dataclass(frozen=True, eq=False)
class FunctionDesign:
    """One function, timed.

    Attributes:
        control: its control tree and storage.
        schedules: the operation schedule of every region.
        limits: for each pipelined region, what keeps it from a smaller initiation interval.
        latency: cycles of a run, None when they depend on data.
        timing: answers the latency of parts of the tree.
    """

    control: FunctionControl
    schedules: Mapping[Region, OpSchedule]
    limits: Mapping[Region, str]
    latency: int | None
    timing: Latency

    @property
    def name(self) -> str:
        """The function's name."""
        return self.control.func.name

    @property
    def cleared(self) -> tuple[Value, ...]:
        """The arrays it spends cycles on to zero."""
        return tuple(c.array for c in flatten(self.control.body) if isinstance(c, Clear))


@dataclass(frozen=True, eq=False)
class Design:
    """All functions of a kernel, callees first; the last is the top."""

    functions: tuple[FunctionDesign, ...]
    module: Module
    device: Device
    clock_mhz: float

    def function(self, name: str) -> FunctionDesign:
        """The function called ``name``."""
        return next(f for f in self.functions if f.name == name)

    @property
    def top(self) -> FunctionDesign:
        """The function that becomes the top module."""
        return self.functions[-1]


def build_design(module: Module, device: Device, clock_mhz: float) -> Design:
    """Schedule a module for a device and clock (MHz).

    Raises BuildError when a loop cannot be built as asked.
    """
    operators = Operators(device, clock_mhz)
    constants = {g.name: g for g in module.globals}
    latencies: dict[str, int | None] = {}
    functions = []
    for prepared in prepare(module):
        control = build_control(prepared, constants)
        function = _time(control, operators, latencies)
        latencies[function.name] = function.latency
        functions.append(function)
    functions.sort(key=lambda f: f.name == module.top)
    return Design(tuple(functions), module, device, clock_mhz)


def _time(
    control: FunctionControl, operators: Operators, latencies: Mapping[str, int | None]
) -> FunctionDesign:
    pieces = list(regions(control.body))
    inputs = _port_inputs([piece.region for piece in pieces])
    schedules: dict[Region, OpSchedule] = {}
    limits: dict[Region, str] = {}
    for piece in pieces:
        problem = _problem(piece, operators, inputs)
        if isinstance(piece, Pipelined):
            result = pipeline(problem, piece.loop)
            schedules[piece.region], limits[piece.region] = result.schedule, result.limit
        else:
            found = schedule(problem, None)
            assert found is not None
            schedules[piece.region] = found
    timing = Latency(schedules, control.defined, latencies)
    return FunctionDesign(control, schedules, limits, timing.body(control.body, {}), timing)


def flatten(controls: Sequence[Control]) -> Iterator[Control]:
    """Every control of a tree, outer first, in order."""
    for control in controls:
        yield control
        match control:
            case Sequential(body=body):
                yield from flatten(body)
            case Branch(then=then, orelse=orelse):
                yield from flatten(then)
                yield from flatten(orelse)


def regions(controls: Sequence[Control]) -> Iterator[Straight | Pipelined]:
    """Every piece of a control tree that has a region, in order."""
    return (c for c in flatten(controls) if isinstance(c, Straight | Pipelined))


def _port_inputs(all_regions: Sequence[Region]) -> Counter[Bank]:
    """How many reads or writes of the function share each bank's port."""
    reads, writes = Counter[Bank](), Counter[Bank]()
    for region in all_regions:
        for node in region.nodes():
            if node.bank is not None:
                found = reads if node.kind in (Kind.READ, Kind.REG_READ) else writes
                found[node.bank] += 1
    return Counter({b: max(reads[b], writes[b]) for b in reads | writes})


def _problem(
    piece: Straight | Pipelined, operators: Operators, inputs: Counter[Bank]
) -> Problem:
    nodes = piece.region.nodes()
    sizes = shapes(nodes, piece.region.outputs.values())
    edges: list[Edge] = (
        pipelined_edges(nodes, [c.loop for c in piece.counters])
        if isinstance(piece, Pipelined)
        else straight_edges(nodes)
    )
    return Problem(nodes, edges, sizes, operators, inputs.__getitem__, stable_reads(nodes))


def stable_reads(nodes: Sequence[Node]) -> frozenset[Node]:
    """Reads of registers that the region does not write: there in every cycle."""
    written = {n.bank for n in nodes if n.kind is Kind.REG_WRITE}
    return frozenset(n for n in nodes if n.kind is Kind.REG_READ and n.bank not in written)
