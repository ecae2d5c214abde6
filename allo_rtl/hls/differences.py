"""Systems of differences: earliest times, latest ones, and those with the least weighted sum.

The last is the dual of a flow of minimal cost (Leiserson and Saxe, "Retiming synchronous
circuitry", Algorithmica 1991), which OR-tools finds.  Its time grows faster than the system; but
most times of a long chain have no choice, and what has falls apart where they stand, so that it is
many small flows that are to be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

type Numbers = NDArray[np.int64]
type Columns = tuple[Numbers, Numbers, Numbers]
"""Tails, heads and gaps of arcs."""

_NEVER = -(1 << 40)
"""Before every time there is."""


@dataclass
class Arcs:
    """``time[head] >= time[tail] + gap``, as columns."""

    tails: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)

    def add(self, tail: int, head: int, gap: int) -> None:
        """One more constraint."""
        self.tails.append(tail)
        self.heads.append(head)
        self.gaps.append(gap)

    def columns(self) -> Columns:
        """Tails, heads and gaps as arrays."""
        tails, heads, gaps = (np.array(c, np.int64) for c in (self.tails, self.heads, self.gaps))
        return tails, heads, gaps


def longest_ways(order: Sequence[int], arcs: Arcs) -> list[int]:
    """The earliest times of a system that has a solution; every time follows time 0.

    Times are passed along the arcs in turns, forward in the ``order`` given (a number for each
    time) and backward: as often as a longest way turns round, whatever its length (Yen, 1970).
    Where most arcs lead forward these are few turns.

    Raises:
        AssertionError: the differences contradict each other.
    """
    tails, heads, gaps = arcs.columns()
    turn = np.argsort(np.array(order, np.int64)[tails], kind="stable")
    forward = list(zip(*(c[turn].tolist() for c in (tails, heads, gaps)), strict=True))
    backward = forward[::-1]
    times = [_NEVER] * len(order)
    times[0] = 0
    for _ in range(len(order) + 1):
        changed = False
        for tail, head, gap in forward:
            if times[tail] + gap > times[head]:
                times[head] = times[tail] + gap
                changed = True
        if not changed:
            return times
        forward, backward = backward, forward
    raise AssertionError("the differences contradict each other")


def latest(order: Sequence[int], arcs: Arcs) -> list[int]:
    """The latest times of a system in which time 0 follows every time by some gap."""
    back = Arcs(arcs.heads, arcs.tails, arcs.gaps)
    return [-t for t in longest_ways([-k for k in order], back)]


def least_sum(
    arcs: Arcs, weight: Sequence[int], earliest: Sequence[int], last: Sequence[int]
) -> list[int]:
    """The earliest of all times that minimize the sum of each with its weight.

    Args:
        arcs: the differences.
        weight: of each time; one for which ``last`` has no value has a positive weight, and
            no arc leads away from it.
        earliest: of all times but those.
        last: the latest of these.
    """
    tails, heads, gaps = arcs.columns()
    low = np.full(len(weight), _NEVER, np.int64)
    low[: len(earliest)] = earliest
    high = np.full(len(weight), _NEVER, np.int64)
    high[: len(last)] = last
    np.maximum.at(low, heads, low[tails] + gaps)
    ends = heads >= len(last)
    np.maximum.at(high, heads[ends], high[tails[ends]] + gaps[ends])
    # What holds whatever the two times are needs no arc; times without a choice have none left.
    chosen = high[tails] + gaps > low[heads]
    best = _least_apart(
        (tails[chosen], heads[chosen], gaps[chosen]), np.array(weight, np.int64), low, high
    )
    return [int(t) for t in best]


def _least_apart(arcs: Columns, weight: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """The same for times between ``low`` and ``high``, part by part of what arcs connect.

    Time 0 is another number for each part, so that the parts have nothing in common.
    """
    loose, count = np.flatnonzero(low < high), len(low)
    if not len(loose):
        return low
    parts, number = np.unique(_parts(count, arcs)[loose], return_inverse=True)
    zero = count + number
    bounded = _joined(arcs, (zero, loose, low[loose]), (loose, zero, -high[loose]))
    demand = np.zeros(count + len(parts), np.int64)
    demand[loose] = weight[loose]
    np.subtract.at(demand, zero, weight[loose])
    tight = _tight(bounded, demand, np.append(low, np.zeros(len(parts), np.int64)))
    tails, heads, gaps = _joined(bounded, tight)
    tails, heads = (np.where(c < count, c, 0) for c in (tails, heads))
    order = low * count + np.arange(count)
    free = Arcs(tails.tolist(), heads.tolist(), gaps.tolist())
    return np.where(low < high, np.array(longest_ways(order.tolist(), free), np.int64), low)


def _joined(*arcs: Columns) -> Columns:
    """Columns of arcs, one below the other."""
    tails, heads, gaps = (np.concatenate(c) for c in zip(*arcs, strict=True))
    return tails, heads, gaps


def _parts(count: int, arcs: Columns) -> Numbers:
    """For each number one that stands for all that it is connected with."""
    above = list(range(count))

    def top(k: int) -> int:
        while above[k] != k:
            above[k] = k = above[above[k]]
        return k

    for tail, head in zip(arcs[0].tolist(), arcs[1].tolist(), strict=True):
        above[top(tail)] = top(head)
    return np.array([top(k) for k in range(count)], np.int64)


def _tight(arcs: Columns, demand: Numbers, times: Numbers) -> Columns:
    """The other directions of the arcs that hold with equality in every best solution.

    Those are the arcs that carry a flow.  Costs are slacks at the ``times`` given, for which the
    flow is the same, and found in half the time.
    """
    tails, heads, gaps = arcs
    flow = SimpleMinCostFlow()
    most = int(demand[demand > 0].sum())
    added = flow.add_arcs_with_capacity_and_unit_cost(
        tails.astype(np.int32), heads.astype(np.int32), np.full(len(gaps), most),
        times[heads] - times[tails] - gaps,
    )  # fmt: skip
    flow.set_nodes_supplies(np.arange(len(demand), dtype=np.int32), -demand)
    status = flow.solve()
    assert status == flow.OPTIMAL, f"a bounded system of differences was found {status}"
    carries = flow.flows(added) > 0
    return heads[carries], tails[carries], -gaps[carries]
