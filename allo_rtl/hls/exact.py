"""Modulo schedules by exhaustive search: one with a given interval, or the proof of none.

All nodes but the accesses that compete for a port are projected out of the system of constraints
by its longest ways, which loses nothing; CP-SAT decides about the rest.  Accesses with the same
turns at their ports can be brought as early as the longest way among them allows, so that a
bounded number of cycles is enough to look at.  Work is counted, not timed, with a fixed seed and
one worker: the answer is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from allo_rtl.hls.conflicts import apart, never_apart
from allo_rtl.hls.constraints import system
from allo_rtl.hls.node import STREAMS, Kind, Node
from allo_rtl.hls.op_schedule import OpSchedule, Problem, timed

MAX_NODES = 600
MAX_ACCESSES = 64
"""Loops with more operations, or more accesses that compete, are not searched."""

EFFORT = 4.0
"""How long CP-SAT may search, in its deterministic units (about a second each)."""

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar

_NEVER = -(1 << 40)


@dataclass(frozen=True)
class Verdict:
    """What the search found: a schedule, the proof that there is none, or neither."""

    schedule: OpSchedule | None = None
    impossible: bool = False


UNKNOWN = Verdict()


def competing(problem: Problem) -> list[tuple[int, list[Node]]]:
    """Accesses that cannot all have one cycle, and how many of them can."""
    ports = ((problem.capacity(port), users) for port, users in problem.ports().items())
    return [(most, users) for most, users in ports if len(users) > most]


def search(problem: Problem, ii: int) -> Verdict:
    """Look for a schedule with an initiation interval of ``ii`` cycles."""
    groups = competing(problem)
    timed_nodes = [n for n in problem.nodes if not problem.is_free(n)]
    streams = any(n.kind in STREAMS for n in timed_nodes)
    accesses = sum(len(users) for _, users in groups)
    if streams or len(timed_nodes) > MAX_NODES or accesses > MAX_ACCESSES:
        return UNKNOWN
    ways = _longest_ways(problem, timed_nodes, ii)
    if (ways.diagonal() > 0).any():
        return Verdict(impossible=True)
    at = {n: k for k, n in enumerate(timed_nodes, 1)}
    chosen = [n for _, users in groups for n in users]
    few = ways[np.ix_(*[[0, *(at[n] for n in chosen)]] * 2)]
    starts = _solve(problem, chosen, groups, few, ii)
    if not isinstance(starts, list):
        return starts
    # Every other node as early as the first cycle and the accesses let it.
    sources = [0, *(at[n] for n in chosen)]
    times = (np.array([0, *starts])[:, None] + ways[sources]).max(axis=0)
    found = dict.fromkeys(problem.nodes, 0) | {n: int(times[k]) for n, k in at.items()}
    return Verdict(timed(problem, found, ii))


def _longest_ways(problem: Problem, nodes: Sequence[Node], ii: int) -> NDArray[np.int64]:
    """Least cycles from each node to each other, number 0 being the iteration's first cycle.

    A positive number on the diagonal is a recurrence that ``ii`` cycles are too few for.
    """
    at = {n: k for k, n in enumerate(nodes, 1)}
    ways = np.full((len(nodes) + 1, len(nodes) + 1), _NEVER, np.int64)
    np.fill_diagonal(ways, 0)
    ways[0, 1:] = 0
    for node, k in at.items():
        if node.kind is Kind.COUNTER:
            ways[k, 0] = 0
    for e in system(problem):
        if e.src in at and e.dst in at:
            place = at[e.src], at[e.dst]
            ways[place] = max(ways[place], e.delay - e.distance * ii)
    for k in range(len(ways)):
        np.maximum(ways, ways[:, k, None] + ways[None, k, :], out=ways)
        if ways[k, k] > 0:
            break
    ways[ways < _NEVER // 2] = _NEVER
    return ways


def _solve(
    problem: Problem, nodes: Sequence[Node], groups: Sequence[tuple[int, Sequence[Node]]],
    ways: NDArray[np.int64], ii: int,
) -> list[int] | Verdict:
    """Cycles for the accesses, the node numbered k in ``ways`` being ``nodes[k - 1]``."""
    from ortools.sat.python import cp_model  # takes a second to load

    model = cp_model.CpModel()
    horizon = (len(nodes) + 1) * (max(0, int(ways.max())) + ii)
    start = [model.new_int_var(int(max(0, w)), horizon, "") for w in ways[0, 1:]]
    slot = [model.new_int_var(0, ii - 1, "") for _ in nodes]
    for s, turn in zip(start, slot, strict=True):
        model.add(s == turn + ii * model.new_int_var(0, horizon // ii, ""))
    for a, b in np.argwhere(ways[1:, 1:] > _NEVER):
        if a != b:
            model.add(start[b] - start[a] >= int(ways[a + 1, b + 1]))
    for k in np.flatnonzero(ways[1:, 0] > _NEVER):
        model.add(start[k] <= -int(ways[k + 1, 0]))
    _take_turns(model, nodes, groups, start, slot, [problem.busy(n) for n in nodes], ii)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = EFFORT
    status = solver.solve(model)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return [solver.value(s) for s in start]
    return Verdict(impossible=status == cp_model.INFEASIBLE)


def _take_turns(
    model: CpModel, nodes: Sequence[Node], groups: Sequence[tuple[int, Sequence[Node]]],
    start: Sequence[IntVar], slot: Sequence[IntVar], busy: Sequence[int], ii: int,
) -> None:
    """No more accesses in a cycle of the interval than there are ports.

    Accesses that are in different banks in each iteration may share one, if they start at once.
    What keeps a unit for more than a cycle is looked at in two intervals: in the second of them
    what began in the first goes on.
    """
    at = {n: k for k, n in enumerate(nodes)}
    for most, users in groups:
        longest = max(busy[at[n]] for n in users)
        if most > 1 or longest > 1:
            turns = [
                model.new_fixed_size_interval_var(slot[at[n]] + later, busy[at[n]], "")
                for n in users
                for later in ((0, ii) if longest > 1 else (0,))
            ]
            model.add_cumulative(turns, [1] * len(turns), most)
            continue
        model.add_all_different([slot[at[n]] for n in never_apart(users)])
        for a, b in combinations(users, 2):
            x, y = at[a], at[b]
            if apart(a, b):
                together = model.new_bool_var("")
                model.add(start[x] == start[y]).only_enforce_if(together)
                model.add(slot[x] != slot[y]).only_enforce_if(~together)
            else:
                model.add(slot[x] != slot[y])
