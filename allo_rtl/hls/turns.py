"""As few shared units as a loop's interval lets there be.

In a loop that starts an iteration every few cycles, so many operations can have one unit.  The
shortest schedule does not care in which of these cycles they fall; here they are made to take
turns, with the units as resources of the modulo schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from allo_rtl.hls.exact import search
from allo_rtl.hls.op_schedule import OpSchedule, Problem
from allo_rtl.hls.operators import Job
from allo_rtl.hls.placement import schedule

_TRIALS = 3
"""Numbers of units that are tried, from the smallest one up."""
_MORE_CYCLES = 64
"""Sharing may make a loop that did not ask for it longer by one in so many cycles."""


def take_turns(
    problem: Problem, found: OpSchedule, cycles: Callable[[OpSchedule], int], asked: bool
) -> OpSchedule:
    """A schedule with the same interval in which operations need fewer units at once.

    Args:
        problem, found: a pipelined loop and its schedule.
        cycles: how many cycles the loop takes with a schedule.
        asked: whether the user asked for the interval, and so for fewer units.
    """
    if found.ii is None or found.ii == 1:
        return found
    most = cycles(found) + (0 if asked else cycles(found) // _MORE_CYCLES)
    for limits in _fewer(problem, found):
        tight = replace(problem, limits=limits)
        better = schedule(tight, found.ii) or search(tight, found.ii).schedule
        if better is not None and (asked or cycles(better) <= most):
            return better
    return found


def at_once(problem: Problem, found: OpSchedule) -> Mapping[Job, int]:
    """How many operations of each job with shared units need one in a cycle of the interval."""
    assert found.ii is not None
    slots = Counter(
        (job, (found.start[n] + later) % found.ii)
        for n, job in problem.jobs.items()
        for later in range(problem.busy(n))
    )
    needed: dict[Job, int] = {}
    for (job, _), count in slots.items():
        needed[job] = max(needed.get(job, 0), count)
    return needed


def _fewer(problem: Problem, found: OpSchedule) -> Iterator[Mapping[Job, int]]:
    """Numbers of units to try, the smallest first."""
    assert found.ii is not None
    users, needed = Counter(problem.jobs.values()), at_once(problem, found)
    most = problem.operators.sharing.most
    busy = {job: problem.busy(n) for n, job in problem.jobs.items()}
    least = {
        job: -(-n // max(1, min(found.ii // busy[job], most[job]))) for job, n in users.items()
    }
    for more in range(_TRIALS):
        limits = {job: min(needed[job], n + more) for job, n in least.items()}
        if limits == needed:  # which keeps the user's limits
            return
        yield limits
