"""Operation schedules are right, as short as their bounds say, and keep few registers."""

from itertools import product

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from op_problems import (
    ARRAYS,
    competing_reads,
    faults,
    node,
    problem_of,
    problems,
    reads_of,
    tight_problems,
)

from allo_rtl.hls import exact, lifetimes
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.constraints import system
from allo_rtl.hls.exact import search
from allo_rtl.hls.lifetimes import register_bits, shorten
from allo_rtl.hls.modulo import lower_bound, pipeline, port_bound
from allo_rtl.hls.node import Bank, Kind
from allo_rtl.hls.op_schedule import Edge, timed
from allo_rtl.hls.placement import schedule
from allo_rtl.hls.recurrence import recurrence_bound
from allo_rtl.ir.ops import For, Value
from allo_rtl.ir.types import Index

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def placed(problem, ii):
    """A schedule from the given interval upward."""
    while (found := schedule(problem, ii)) is None:
        ii += 1
    return found


@QUICK
@given(problems())
def test_a_placed_schedule_meets_every_rule(problem):
    assert faults(problem, placed(problem, 1)) == []


@QUICK
@given(problems(back=False))
def test_so_does_one_of_a_region_that_runs_once_at_a_time(problem):
    found = schedule(problem, None)
    assert faults(problem, found) == []
    assert faults(problem, shorten(problem, found)) == []


@QUICK
@given(problems())
def test_shortening_keeps_rules_interval_and_length_and_never_adds_registers(problem):
    before = placed(problem, 1)
    after = shorten(problem, before)
    assert faults(problem, after) == []
    assert after.ii == before.ii
    assert after.length <= before.length
    if after.length == before.length:
        assert register_bits(problem, after) <= register_bits(problem, before)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(most=4, memories=False))
def test_no_schedule_of_that_length_has_fewer_registers(problem):
    found = shorten(problem, placed(problem, 1))
    moving = [n for n in problem.nodes if not problem.is_free(n) and n.kind is not Kind.COUNTER]
    assume(found.length ** len(moving) <= 20_000)
    fewest = register_bits(problem, found)
    for cycles in product(range(found.length), repeat=len(moving)):
        start = dict.fromkeys(problem.nodes, 0) | dict(zip(moving, cycles, strict=True))
        other = timed(problem, start, found.ii)
        if other.length <= found.length and not faults(problem, other):
            assert (other.length, register_bits(problem, other)) >= (found.length, fewest)


@QUICK
@given(problems())
def test_the_recurrence_bound_is_exact(problem):
    """Its recurrence asks for it, and without ports a schedule with it exists."""
    least, worst = recurrence_bound(problem)
    if worst:
        known = {(e.src, e.dst, e.delay, e.distance) for e in system(problem)}
        assert all((e.src, e.dst, e.delay, e.distance) in known for e in worst.edges)
        ends = [e.dst for e in worst.edges]
        assert [e.src for e in worst.edges] == [ends[-1], *ends[:-1]]
        assert worst.delay > (least - 1) * worst.distance
        assert search(problem, least - 1).impossible
    start = dict.fromkeys(problem.nodes, 0)
    for _ in range(200):  # as early as the constraints let each node be
        for e in system(problem):
            least_start = start[e.src] + e.delay - e.distance * least
            if not problem.is_free(e.src) and not problem.is_free(e.dst):
                start[e.dst] = max(start[e.dst], least_start)
    found = timed(problem, start, least)
    assert [f for f in faults(problem, found) if "meet" not in f] == []


@QUICK
@given(problems() | tight_problems(), st.integers(1, 4))
def test_the_search_decides(problem, ii):
    """What it finds is right; where it says never, placement finds nothing either."""
    verdict = search(problem, ii)
    if verdict.schedule:
        assert faults(problem, verdict.schedule) == []
        assert verdict.schedule.ii == ii
        assert faults(problem, shorten(problem, verdict.schedule)) == []
    else:
        assert verdict.impossible
        assert schedule(problem, ii) is None


def reads_two_cycles_apart():
    """Two reads of one port which, with an interval of 2, are exactly 2 cycles apart."""
    return competing_reads(2, [(0, 1, 2, 0), (1, 0, 2, 2)])


def test_where_the_search_says_never_no_choice_of_cycles_works():
    problem = reads_two_cycles_apart()
    assert lower_bound(problem).bound == 2
    assert search(problem, 2).impossible
    for a, b in product(range(12), repeat=2):
        reads = dict(zip(reads_of(problem), (a, b), strict=True))
        assert faults(problem, timed(problem, dict.fromkeys(problem.nodes, 0) | reads, 2))
    assert faults(problem, search(problem, 3).schedule) == []


def test_the_search_finds_what_placement_does_not():
    """Placement takes the first free cycle of a port, and here has to leave it to another."""
    problem = competing_reads(3, [(0, 2, 2, 0), (2, 0, 1, 1), (2, 1, 3, 1)])
    assert lower_bound(problem).bound == 3
    assert schedule(problem, 3) is None
    assert faults(problem, search(problem, 3).schedule) == []


def test_the_certificate_says_that_all_schedules_were_searched():
    loop = For(iv=Value(Index(), "i"), lower=(), upper=(), body=())
    result = pipeline(reads_two_cycles_apart(), loop)
    assert (result.schedule.ii, result.certificate.bound) == (3, 3)
    assert result.certificate.reason is Reason.SEARCH
    assert result.certificate.text.startswith(
        "ports and dependences together: a search of all schedules shows that 2 cycles cannot be"
    )


@QUICK
@given(problems())
def test_no_schedule_beats_the_lower_bound(problem):
    least = lower_bound(problem)
    if least:
        assert schedule(problem, least.bound - 1) is None
        assert len(least.steps) >= 1


def test_a_chain_that_does_not_fit_counts_as_a_cycle():
    """Sixteen additions around a loop take as many cycles as the clock makes of them."""

    def bound(clock):
        total = first = node(Kind.REG_READ, bank=(total_bank := Bank(ARRAYS[0], 0)))
        nodes = [first]
        for _ in range(16):
            total = node(Kind.ADD, total, first)
            nodes.append(total)
        end = node(Kind.REG_WRITE, total, bank=total_bank)
        problem = problem_of([*nodes, end], [Edge(end, first, 1, 1)], clock)
        ii, worst = recurrence_bound(problem)
        return ii, worst.edges if worst else ()

    assert bound(10)[0] == 1
    slow, fast = bound(50)[0], bound(100)
    assert 1 < slow < fast[0]
    assert sum(e.delay for e in fast[1]) == fast[0]


def test_the_port_bound_names_the_accesses():
    reads = [node(Kind.READ, node(Kind.CONST), bank=Bank(ARRAYS[0], 0)) for _ in range(3)]
    others = [node(Kind.READ, node(Kind.CONST), bank=Bank(ARRAYS[1], 0)) for _ in range(2)]
    assert port_bound([*others, *reads]).users == tuple(reads)
    assert port_bound([*others, *reads]).interval == 3
    assert port_bound(reads, {ARRAYS[0]}).interval == 2
    assert port_bound([node(Kind.ADD)]) is None


def test_large_regions_stay_as_placed(monkeypatch):
    counter = node(Kind.COUNTER)
    problem = problem_of([counter, node(Kind.READ, counter, bank=Bank(ARRAYS[0], 0))], [])
    found = placed(problem, 1)
    monkeypatch.setattr(lifetimes, "MAX_NODES", 1)
    monkeypatch.setattr(lifetimes, "_Model", None)
    assert shorten(problem, found) is found


def test_what_was_not_searched_is_called_not_proved(monkeypatch):
    monkeypatch.setattr(exact, "MAX_ACCESSES", 1)
    loop = For(iv=Value(Index(), "i"), lower=(), upper=(), body=())
    result = pipeline(reads_two_cycles_apart(), loop)
    assert (result.schedule.ii, result.certificate.bound) == (3, 2)
    assert result.certificate.reason is Reason.OPEN
    assert result.certificate.text.startswith(
        "no schedule with 2 cycles was found; proved is only that it takes 2 cycles"
    )
