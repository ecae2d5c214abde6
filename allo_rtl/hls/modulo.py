"""The initiation interval of a pipelined loop: from its lower bound upward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from allo_rtl.errors import BuildError
from allo_rtl.hls.conflicts import turns
from allo_rtl.hls.node import Bank, Kind, Node, topological
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Problem, schedule
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import For, Load, Store, Value
from allo_rtl.ir.types import ArrayType

_PORT = {Kind.READ: "read", Kind.WRITE: "written"}
_STREAM = {Kind.GET: "taken from", Kind.PUT: "put to"}


@dataclass(frozen=True)
class PipelineResult:
    """The operation schedule of a pipelined loop, and why its interval is not smaller.

    ``recurrence`` says that a dependence into a later iteration is the reason.
    """

    schedule: OpSchedule
    limit: str
    recurrence: bool = False


def resource_bound(nodes: Sequence[Node]) -> tuple[int, Bank | Value | None, Kind | None]:
    """Cycles one iteration needs of its busiest memory port or stream, and which that is."""
    uses = Counter[tuple[Bank | Value | None, Kind]]()
    ports: dict[tuple[Bank | Value | None, Kind], list[Node]] = {}
    for node in nodes:
        if node.kind in _PORT:
            ports.setdefault((node.bank, node.kind), []).append(node)
    uses.update({port: turns(users) for port, users in ports.items()})
    uses.update((n.stream.stream, n.kind) for n in nodes if n.stream and n.kind in _STREAM)
    if not uses:
        return 1, None, None
    (bank, kind), count = max(uses.items(), key=lambda item: item[1])
    return count, bank, kind


def pipeline(problem: Problem, loop: For) -> PipelineResult:
    """Schedule a pipelined loop at the smallest interval from the asked one on.

    Raises BuildError when the user named an interval and it is impossible.
    """
    goal = loop.attrs.pipeline_ii or 1
    least, bank, kind = resource_bound(problem.nodes)
    if least > goal and loop.attrs.ii_required:
        raise _impossible(loop, goal, _port_limit(least, bank, kind), least)
    ii = max(goal, least)
    while (found := schedule(problem, ii)) is None:
        ii += 1
    if ii > goal and loop.attrs.ii_required:
        raise _impossible(loop, goal, _recurrence_limit(found, problem.edges), ii)
    if ii == 1:
        return PipelineResult(found, "one iteration a cycle")
    if ii > goal and (ii == least or not any(e.distance for e in problem.edges)):
        return PipelineResult(found, _port_limit(ii, bank, kind))
    if ii > goal:
        return PipelineResult(found, _recurrence_limit(found, problem.edges), recurrence=True)
    return PipelineResult(found, "as asked")


def _impossible(loop: For, goal: int, reason: str, possible: int) -> BuildError:
    return BuildError(
        f"loop {loop.name!r} cannot start an iteration every {_cycles(goal)}: {reason}",
        loc=loop.loc,
        allowed=f"an initiation interval of {possible} or more",
        hint="leave initiation_interval out to get the smallest possible one",
    )


def _cycles(count: int) -> str:
    return "cycle" if count == 1 else f"{count} cycles"


def _port_limit(least: int, bank: Bank | Value | None, kind: Kind | None) -> str:
    assert bank is not None
    assert kind is not None
    if isinstance(bank, Value):
        return f"{bank.name} is {_STREAM[kind]} {least} times per iteration, once a cycle"
    name = bank.array.name
    fact = f"{name} is {_PORT[kind]} {least} times per iteration through one port"
    assert isinstance(bank.array.type, ArrayType)
    if Layout(bank.array.type).banks == 1:
        return f"{fact}; partition {name}"
    return f"{fact} of a bank; more banks help if each access stays in one"


def _recurrence_limit(found: OpSchedule, edges: Sequence[Edge]) -> str:
    """The dependence into a later iteration with the least slack."""
    assert found.ii is not None
    ii = found.ii
    back = [e for e in edges if e.distance]

    def slack(edge: Edge) -> int:
        return found.start[edge.dst] + edge.distance * ii - found.start[edge.src] - edge.delay

    tight = min(back, key=lambda e: (slack(e), e.distance))
    taken = found.start[tight.src] + tight.delay - found.start[tight.dst]
    if tight.src.stream and tight.dst.stream:
        return (
            f"all streams are used before the next iteration uses them; that takes "
            f"{_cycles(taken)}{_long_units(found, tight)}"
        )
    place = f" at {tight.src.loc.short}" if tight.src.loc else ""
    access = tight.src.access
    # The registers that hand a word on stand for the array it is stored to.
    name = access.array.name if isinstance(access, Load | Store) else tight.src.name
    name = name or "a value"
    return (
        f"recurrence: {name}, written{place}, is used {tight.distance} iteration"
        f"{'s' if tight.distance > 1 else ''} later; that takes {_cycles(taken)}"
        f"{_long_units(found, tight)}"
    )


def _long_units(found: OpSchedule, edge: Edge) -> str:
    """The units of several cycles on the longest way from a dependence's sink to its source."""
    way: dict[Node, tuple[int, tuple[Node, ...]]] = {edge.dst: (0, ())}
    for node in topological([edge.src]):
        parts = [way[o] for o in node.operands if o in way]
        if node in way or not parts:
            continue
        taken, units = max(parts, key=lambda part: part[0])
        latency = found.units[node].latency
        way[node] = taken + latency, (*units, node) if latency > 1 else units
    units = way.get(edge.src, (0, ()))[1]
    texts = [
        f"{found.units[n].latency} of them in {found.units[n].name}"
        + (f" at {n.loc.short}" if n.loc else "")
        for n in units
    ]
    return ", " + " and ".join(texts) if texts else ""
