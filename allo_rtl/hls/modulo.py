"""The initiation interval of a pipelined loop: from its true lower bound upward.

No schedule has a smaller interval than its busiest port asks for (:func:`port_bound`), its busiest
units where their number is limited (:func:`unit_bound`), or its longest recurrence
(:mod:`allo_rtl.hls.recurrence`).  From there on, greedy placement is tried first; where it fails,
:mod:`allo_rtl.hls.exact` looks for a schedule or shows that there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from allo_rtl.errors import BuildError
from allo_rtl.hls.certificate import (
    Certificate,
    Reason,
    Saturated,
    cycles,
    of_port,
    of_recurrence,
    of_search,
)
from allo_rtl.hls.conflicts import never_apart
from allo_rtl.hls.exact import search
from allo_rtl.hls.node import Bank, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule, Problem
from allo_rtl.hls.operators import Job, unit_name
from allo_rtl.hls.placement import schedule
from allo_rtl.hls.recurrence import recurrence_bound
from allo_rtl.ir.ops import For, Value


@dataclass(frozen=True)
class PipelineResult:
    """The operation schedule of a pipelined loop, and why its interval is not smaller."""

    schedule: OpSchedule
    certificate: Certificate

    @property
    def recurrence(self) -> bool:
        """Whether dependences into later iterations have to do with it."""
        return self.certificate.reason in (Reason.RECURRENCE, Reason.SEARCH, Reason.OPEN)


def pipeline(problem: Problem, loop: For) -> PipelineResult:
    """Schedule a pipelined loop at the smallest interval from the asked one on.

    Raises BuildError when the user named an interval and it is impossible.
    """
    goal = loop.attrs.pipeline_ii or 1
    least = lower_bound(problem)
    ii = max(goal, least.bound if least else 1)
    proved = True
    while (found := schedule(problem, ii)) is None:
        verdict = search(problem, ii)
        if found := verdict.schedule:
            break
        proved = verdict.impossible
        ii += 1
    certificate = _certificate(ii, goal, least, proved)
    if ii > goal and loop.attrs.ii_required:
        raise _impossible(loop, goal, certificate, ii)
    return PipelineResult(found, certificate)


def _certificate(ii: int, goal: int, least: Certificate | None, proved: bool) -> Certificate:
    if ii == 1:
        return Certificate(Reason.ONE, 1, "one iteration a cycle")
    if ii == goal:
        return Certificate(Reason.ASKED, least.bound if least else 1, "as asked")
    if least and ii == least.bound:
        return least
    return of_search(ii, least, proved)


def lower_bound(problem: Problem) -> Certificate | None:
    """What asks for the largest interval; None when nothing asks for more than 1 cycle.

    Of what asks for the same it is the port, then the units, which are easier to change than a
    recurrence.
    """
    found = (port_bound(problem.nodes, problem.dual), unit_bound(problem))
    port = max((p for p in found if p), key=lambda p: p.interval, default=None)
    shortest = port.interval if port else 1
    least, recurrence = recurrence_bound(problem, max(1, shortest - 1))
    beside = of_recurrence(problem, recurrence) if recurrence else None
    if least > shortest:
        return beside
    return of_port(port, beside) if port and shortest > 1 else None


def port_bound(
    nodes: Sequence[Node], dual: Collection[Value] = frozenset()
) -> Saturated | None:
    """The busiest memory port or end of a stream, by accesses that cannot share a cycle.

    Banks of arrays in ``dual`` have two ports, for reads and writes.
    """
    ports: dict[tuple[Bank | Value, Kind | None], list[Node]] = {}
    for node in nodes:
        if node.kind in (Kind.READ, Kind.WRITE):
            assert node.bank is not None
            two = node.bank.array in dual
            ports.setdefault((node.bank, None if two else node.kind), []).append(node)
        elif node.stream and node.kind in (Kind.GET, Kind.PUT):
            ports.setdefault((node.stream.stream, node.kind), []).append(node)
    busiest = (
        Saturated(tuple(never_apart(users)), 1 if kind else 2)
        for (_, kind), users in ports.items()
    )
    return max(busiest, key=lambda port: port.interval, default=None)


def unit_bound(problem: Problem) -> Saturated | None:
    """The units that are busiest, of those whose number is limited, or that are long at work."""
    users: dict[Job | Node, list[Node]] = {}
    for node, job in problem.jobs.items():
        users.setdefault(job if job in problem.limits else node, []).append(node)
    busiest = (
        Saturated(
            tuple(nodes), problem.limits.get(problem.jobs[nodes[0]], 1),
            unit_name(problem.jobs[nodes[0]]), problem.units[nodes[0]].busy,
        )
        for nodes in users.values()
    )
    return max(busiest, key=lambda units: units.interval, default=None)


def _impossible(loop: For, goal: int, certificate: Certificate, possible: int) -> BuildError:
    return BuildError(
        f"loop {loop.name!r} cannot start an iteration every {cycles(goal)}: {certificate.text}",
        loc=loop.loc,
        allowed=f"an initiation interval of {possible} or more",
        hint="leave initiation_interval out to get the smallest possible one",
    )
