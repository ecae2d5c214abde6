"""Which of two ways to build a function is worth more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region


class Built(Protocol):
    """A function that is scheduled."""

    @property
    def schedules(self) -> Mapping[Region, OpSchedule]:
        """The operation schedule of every region."""

    @property
    def latency(self) -> int | None:
        """Cycles of a run, None when they depend on data."""

    @property
    def units(self) -> Counter[str]:
        """How many units it has by name."""


def is_faster(a: Built, b: Built) -> bool:
    """Whether a function takes fewer cycles, or where they depend on data has a shorter longest
    interval."""
    if a.latency is not None and b.latency is not None:
        return a.latency < b.latency
    intervals = [max((s.ii or 0 for s in f.schedules.values()), default=0) for f in (a, b)]
    return intervals[0] < intervals[1]


def is_cheaper(shared: Built, before: Built) -> bool:
    """Whether a function has fewer units with more of them shared, and is as fast but for 1 %."""
    if _cost(shared) >= _cost(before):
        return False
    if any((s.ii or 0) > (before.schedules[r].ii or 0) for r, s in shared.schedules.items()):
        return False
    if shared.latency is None or before.latency is None:
        return all(s.length <= before.schedules[r].length for r, s in shared.schedules.items())
    return 100 * shared.latency <= 101 * before.latency


def is_worth(joined: Built, plain: Built) -> bool:
    """Whether a function in which operations share a unit is smaller, or faster."""
    if joined.latency is not None and plain.latency is not None:
        if joined.latency < plain.latency:
            return True
        if 100 * joined.latency > 101 * plain.latency:
            return False
    return _cost(joined) < _cost(plain) or is_faster(joined, plain)


def _cost(function: Built) -> tuple[int, int]:
    """How many units it has, and how many divisions are made by large dividers, which are
    pipelines of all their steps."""
    units = [unit for timed in function.schedules.values() for unit in timed.units.values()]
    return function.units.total(), sum(bool(u.steps) and not u.iterative for u in units)
