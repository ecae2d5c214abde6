"""Why an iteration takes the cycles it takes, in a loop whose iterations follow each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from allo_rtl.hls.certificate import (
    Certificate,
    Reason,
    Step,
    cycles,
    of_port,
    operation,
    steps_along,
)
from allo_rtl.hls.constraints import system
from allo_rtl.hls.modulo import port_bound, unit_bound
from allo_rtl.hls.node import Node
from allo_rtl.hls.op_schedule import Edge, OpSchedule, Problem

_MOST_NAMED = 3
"""Operations that the text names; all of them are in the steps."""


def of_one_pass(problem: Problem, found: OpSchedule) -> Certificate:
    """What the cycles of one pass through a region are spent on.

    With ports and units for everybody a pass is as long as the longest way through the region, and
    this is a proof.  What is longer waits for the busiest port or unit; ``bound`` is then still
    the longest way.
    """
    if found.length == 1:
        return Certificate(Reason.ONE, 1, "it takes 1 cycle")
    way, last, bound = _longest_way(problem, found)
    if bound < found.length:
        busiest = (port_bound(problem.nodes, problem.dual), unit_bound(problem))
        port = max((p for p in busiest if p), key=lambda p: p.interval, default=None)
        if port is not None and port.interval > 1:
            full = of_port(port)
            text = f"it takes {cycles(found.length)}: {full.text}"
            return Certificate(full.reason, bound, text, full.steps)
    steps = (
        *(s for edge in way for s in steps_along(problem, edge)),
        Step(operation(last), last.loc, problem.latency(last) + 1),
    )
    text = f"it takes {cycles(found.length)}: {_main_steps(steps)}"
    return Certificate(Reason.ITERATION, bound, text, steps)


def _longest_way(problem: Problem, found: OpSchedule) -> tuple[list[Edge], Node, int]:
    """The constraints along the longest way, its last operation, and its length in cycles."""
    forward = [e for e in system(problem) if not e.distance]
    forward.sort(key=lambda e: found.start[e.src])
    start = dict.fromkeys(problem.nodes, 0)
    arrived: dict[Node, Edge] = {}
    moved = True
    while moved:  # few rounds: only what starts in one cycle may come in another order
        moved = False
        for edge in forward:
            if (at := start[edge.src] + edge.delay) > start[edge.dst]:
                start[edge.dst], arrived[edge.dst], moved = at, edge, True
    used = [n for n in problem.nodes if not problem.is_free(n)]
    last = max(used, key=lambda n: start[n] + problem.latency(n))
    way: list[Edge] = []
    while (node := way[-1].src if way else last) in arrived:
        way.append(arrived[node])
    return way[::-1], last, start[last] + problem.latency(last) + 1


def _main_steps(steps: Sequence[Step]) -> str:
    """The operations that take most of the time, in the order in which they are done."""
    taken = Counter[tuple[str, str]]()
    for step in steps:
        taken[step.what, f" at {step.loc.short}" if step.loc else ""] += step.cycles
    most = [key for key, count in taken.most_common(_MOST_NAMED) if count]
    named = [f"{taken[key]} in {''.join(key)}" for key in taken if key in most]
    rest = sum(step.cycles for step in steps) - sum(taken[key] for key in most)
    return ", ".join([*named, f"{rest} in others"] if rest else named)
