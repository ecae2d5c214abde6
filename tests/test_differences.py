"""Systems of differences: every answer against all the times there are, for small systems."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.hls.differences import Arcs, latest, least_sum, longest_ways

LAST = 3


@st.composite
def systems(draw):
    """Arcs among up to four times from 0 to LAST, with a solution, and a weight of each time.

    After them come ends, which only follow others and weigh something.
    """
    count = draw(st.integers(1, 4))
    times = [0, *draw(st.lists(st.integers(0, LAST), min_size=count, max_size=count))]
    arcs = Arcs()
    for k in range(1, count + 1):
        arcs.add(0, k, 0)
        arcs.add(k, 0, -LAST)
    numbers = st.integers(0, count)
    for tail, head in draw(st.lists(st.tuples(numbers, numbers), max_size=8)):
        arcs.add(tail, head, times[head] - times[tail] - draw(st.integers(0, 2)))
    weight = draw(st.lists(st.integers(-4, 4), min_size=count, max_size=count))
    ends = Arcs()
    heavy = draw(st.lists(st.integers(1, 4), max_size=3))
    for end in range(count + 1, count + 1 + len(heavy)):
        for tail in draw(st.sets(numbers, min_size=1, max_size=3)):
            ends.add(tail, end, draw(st.integers(0, 2)))
    return arcs, ends, [0, *weight, *heavy]


def solutions(arcs, count):
    """All times that meet the arcs."""
    columns = list(zip(arcs.tails, arcs.heads, arcs.gaps, strict=True))
    for rest in product(range(LAST + 1), repeat=count - 1):
        times = (0, *rest)
        if all(times[head] >= times[tail] + gap for tail, head, gap in columns):
            yield times


def with_ends(times, ends, count):
    """The times with each end as soon as may be."""
    columns = list(zip(ends.tails, ends.heads, ends.gaps, strict=True))
    return [
        *times,
        *(max(times[t] + g for t, h, g in columns if h == k) for k in range(len(times), count)),
    ]


@settings(deadline=None)
@given(systems())
def test_times_are_the_earliest_the_latest_and_those_of_the_least_sum(system):
    arcs, ends, weight = system
    inner = len(weight) - len(set(ends.heads))
    order = list(range(inner))
    all_times = list(solutions(arcs, inner))
    early, late = longest_ways(order, arcs), latest(order, arcs)
    assert early == [min(t) for t in zip(*all_times, strict=True)]
    assert late == [max(t) for t in zip(*all_times, strict=True)]
    assert longest_ways(order[::-1], arcs) == early  # the order is only for speed

    both = Arcs(arcs.tails + ends.tails, arcs.heads + ends.heads, arcs.gaps + ends.gaps)
    complete = [with_ends(t, ends, len(weight)) for t in all_times]
    sums = [sum(w * t for w, t in zip(weight, times, strict=True)) for times in complete]
    best = [t for t, total in zip(complete, sums, strict=True) if total == min(sums)]
    assert least_sum(both, weight, early, late) == [min(t) for t in zip(*best, strict=True)]


def test_a_contradiction_is_found():
    arcs = Arcs()
    arcs.add(0, 1, 0)
    arcs.add(1, 2, 1)
    arcs.add(2, 1, 0)
    with pytest.raises(AssertionError, match="contradict"):
        longest_ways([0, 1, 2], arcs)
