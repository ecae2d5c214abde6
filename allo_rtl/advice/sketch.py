"""A schedule's loops and their accesses, not scheduled: a bound of what a change can bring.

Making one takes a small part of the time of scheduling it.  Changes whose bound is no better than
what there is are not scheduled at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.control import (
    Branch,
    Control,
    FunctionControl,
    Pipelined,
    Repeat,
    Sequential,
    Together,
    count_operations,
)
from allo_rtl.hls.control_builder import build_control
from allo_rtl.hls.dependences import pipelined_edges
from allo_rtl.hls.fastest import ways
from allo_rtl.hls.lowered import lower
from allo_rtl.hls.modulo import port_bound
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.op_schedule import Problem
from allo_rtl.hls.operators import Operators
from allo_rtl.hls.recurrence import waiting_bound
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.ops import Module, Value
from allo_rtl.target import Device


@dataclass(frozen=True)
class Sketch:
    """The functions of a schedule with their loops as flat as can be, callees first.

    Attributes:
        functions: control trees, whose nodes have no cycles yet.
        operators: what they are made of.
    """

    functions: tuple[FunctionControl, ...]
    operators: Operators

    @staticmethod
    def of(module: Module, device: Device, clock_mhz: float) -> Sketch:
        """Those of a module; clock in MHz.

        Raises BuildError when it cannot be hardware.
        """
        lowered, operators = lower(module, device), Operators(device, clock_mhz)
        none = frozenset[Value]()
        controls = (
            build_control(f, lowered.constants, operators, none, none) for f in lowered.functions
        )
        return Sketch(tuple(controls), operators)

    @cached_property
    def operations(self) -> int:
        """How many operations there are."""
        return count_operations(self.functions)

    def pipelined(self, func: str, name: str, loc: SourceLoc | None) -> Pipelined | None:
        """A pipelined loop; None where it is not clear which is meant."""
        found = [x for x, _ in self._runs(func) if x.loop.name == name]
        if len(found) > 1:
            found = [x for x in found if x.loop.loc == loc]
        return found[0] if len(found) == 1 else None

    def cycles(self, func: str, name: str, loc: SourceLoc | None) -> int | None:
        """A bound of the cycles that all runs of a loop take, in a run of its function.

        None where that depends on data.
        """
        loop = self.pipelined(func, name, loc)
        if loop is None:
            return None
        runs = next(runs for x, runs in self._runs(func) if x is loop)
        cycles = self._cycles(func, loop)
        return None if runs is None or cycles is None else runs * cycles

    def _cycles(self, func: str, loop: Pipelined) -> int | None:
        """A bound of the cycles of a nest, however much of it is flattened."""
        if loop.varies or loop.trip is None:
            return None if loop.trip is None else loop.trip * self.interval(func, loop)
        loops = [c.loop for c in loop.counters]
        trips = [c.bounds.trip or 0 for c in loop.counters if c.bounds]
        ports, found = self.interval(func, loop), list[int]()
        for depth in range(len(trips), loop.region.depth - 1, -1):
            edges = pipelined_edges(loop.region.nodes(), loops[-depth:], loops[0])
            problems = list(ways(loop.region, edges, self.operators))
            ii = min(waiting_bound(problem, ports) for problem in problems)
            inner = (prod(trips[-depth:]) - 1) * ii + min(map(_length, problems))
            found.append(prod(trips[:-depth]) * inner)
            if ii == ports:
                break
        return min(found)

    def interval(self, func: str, loop: Pipelined) -> int:
        """A bound of a loop's interval in cycles, by the accesses that each iteration makes.

        Stores under a condition are left out: of several one may be made at most.
        """
        nodes = [n for n in loop.region.nodes() if n.kind is not Kind.WRITE or _is_certain(n)]
        port = port_bound(nodes, self.dual(func))
        return max(1, port.interval if port else 1)

    def dual(self, func: str) -> frozenset[Value]:
        """The arrays of a function whose memories may get two ports."""
        storage = next(f.storage for f in self.functions if f.func.name == func)
        able = self.operators.device.dual_port_ram
        return frozenset(a for a, kept in storage.items() if able and kept.kind is StorageKind.RAM)

    def _runs(self, func: str) -> Iterator[tuple[Pipelined, int | None]]:
        found = [f.body for f in self.functions if f.func.name == func]
        return (x for body in found for x in pipelines(body, 1))


def pipelines(
    controls: Sequence[Control], runs: int | None
) -> Iterator[tuple[Pipelined, int | None]]:
    """The pipelined loops of controls that run so often, and how often each runs then."""
    for control in controls:
        match control:
            case Pipelined():
                yield control, runs
            case Sequential(bounds=bounds, body=body):
                known = None if runs is None or bounds.trip is None else runs * bounds.trip
                yield from pipelines(body, known)
            case Branch(then=then, orelse=orelse):
                yield from pipelines((*then, *orelse), None)
            case Repeat(before=before, body=body):
                yield from pipelines((*before, *body), None)
            case Together(branches=branches):
                for branch in branches:
                    yield from pipelines(branch, runs)


def _length(problem: Problem) -> int:
    """A bound of the cycles of an iteration: those of units one after the other."""
    ready: dict[Node, int] = {}
    for node in problem.nodes:
        if not problem.is_free(node):
            before = max((ready.get(o, 0) for o in node.operands), default=0)
            ready[node] = before + problem.latency(node)
    return max(ready.values(), default=0) + 1


def _is_certain(write: Node) -> bool:
    """Whether a store is made in every iteration."""
    enable = write.operands[-1]
    return enable.is_const and bool(enable.value)
