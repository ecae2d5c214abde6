"""Lanes that are alike are scheduled once, and the result is that of scheduling them all."""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from op_problems import ARRAYS, competing_reads, faults, node, problem_of, problems

import allo_rtl as allo
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.exact import MAX_NODES, search
from allo_rtl.hls.fastest import pipelined
from allo_rtl.hls.lanes import fold, is_met
from allo_rtl.hls.lifetimes import register_bits, shorten
from allo_rtl.hls.modulo import lower_bound
from allo_rtl.hls.node import Bank, Kind
from allo_rtl.hls.op_schedule import timed
from allo_rtl.hls.placement import schedule
from allo_rtl.ir.ops import For, Value
from allo_rtl.ir.types import Index, int32

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def beside(problem, count):
    """So many copies of a problem, with banks of their own; the counter and constants are one."""
    edges, nodes, outputs, copies = [], [], [], []
    for lane in range(count):
        new = {}
        for n in problem.nodes:
            if n.kind in (Kind.COUNTER, Kind.CONST):
                new[n] = n
                continue
            bank = n.bank and Bank(n.bank.array, n.bank.index + 10 * lane)
            operands = tuple(new[o] for o in n.operands)
            new[n] = node(n.kind, *operands, bank=bank, order=n.order)
        copies.append(new)
        nodes += new.values()
        edges += [replace(e, src=new[e.src], dst=new[e.dst]) for e in problem.edges]
        outputs += (new[n] for n in problem.outputs)
    shapes = {new[n]: problem.shapes[n] for new in copies for n in problem.nodes}
    whole = replace(
        problem, nodes=list(dict.fromkeys(nodes)), edges=list(dict.fromkeys(edges)),
        shapes=shapes, outputs=frozenset(outputs),
    )  # fmt: skip
    return whole, copies


def placed(problem, ii):
    """A schedule from the given interval upward."""
    while (found := schedule(problem, ii)) is None:
        ii += 1
    return found


def loop():
    """A pipelined loop that asks for nothing."""
    return For(iv=Value(Index(), "i"), lower=(), upper=(), body=())


@QUICK
@given(problems(), st.data())
def test_a_schedule_is_met_exactly_when_it_has_no_faults(problem, data):
    ii = data.draw(st.integers(1, 3))
    good = schedule(problem, ii)
    start = dict(good.start) if good else dict.fromkeys(problem.nodes, 0)
    for n in data.draw(st.lists(st.sampled_from(problem.nodes), max_size=2)):
        start[n] += data.draw(st.integers(-1, 2))
    found = timed(problem, start, ii)
    assert is_met(problem, found) == (not faults(problem, found))


@QUICK
@given(problems(most=7))
def test_one_lane_is_scheduled_for_all_as_well_as_all_of_them(problem):
    whole, copies = beside(problem, 4)
    assume(not whole.limits)
    lanes = fold(whole)
    assert len(lanes.one.nodes) <= len(problem.nodes)
    before = placed(whole, 1)
    found = lanes.spread(placed(lanes.one, 1))
    assert faults(whole, found) == []
    assert (found.ii, found.length) == (before.ii, before.length)
    for a in copies:
        assert all(found.start[new] == found.start[copies[0][n]] for n, new in a.items())
    better = lanes.improved(found, shorten)
    assert faults(whole, better) == []
    assert better.start == shorten(whole, found).start


@QUICK
@given(problems(most=5), st.integers(1, 3))
def test_what_is_impossible_for_a_lane_is_so_for_all(problem, ii):
    whole, _ = beside(problem, 3)
    lanes = fold(whole)
    assume(lanes.one is not whole)
    assert search(lanes.one, ii).impossible == search(whole, ii).impossible
    one, all_lanes = ((b and (b.bound, b.reason)) for b in map(lower_bound, (lanes.one, whole)))
    assert one == all_lanes


def test_the_interval_of_a_loop_with_many_lanes_is_proved():
    """Two reads that are 2 cycles apart cannot start every 2 cycles; there are 400 such pairs."""
    one = competing_reads(2, [(0, 1, 2, 0), (1, 0, 2, 2)])
    whole, _ = beside(one, 400)
    assert len(whole.nodes) > MAX_NODES
    _, result = pipelined([whole], loop(), lambda found: found.length)
    assert result.certificate.reason is Reason.SEARCH
    assert result.schedule.ii == result.certificate.bound == 3
    assert faults(whole, result.schedule) == []


def test_a_tree_of_equal_sums_is_one_of_each_level():
    leaves = [node(Kind.READ, node(Kind.COUNTER), bank=Bank(ARRAYS[0], k)) for k in range(64)]
    counter = leaves[0].operands[0]
    level = leaves = [node(Kind.READ, counter, bank=n.bank) for n in leaves]
    while len(level) > 1:
        level = [node(Kind.XOR, a, b) for a, b in zip(level[::2], level[1::2], strict=True)]
    whole = problem_of([*leaves, *level], [])
    lanes = fold(whole)
    assert sum(not lanes.one.is_free(n) for n in lanes.one.nodes) == 2 + 6
    found = lanes.spread(placed(lanes.one, 1))
    assert faults(whole, found) == []
    assert register_bits(lanes.one, placed(lanes.one, 1)) == register_bits(whole, found)


def test_accesses_that_take_turns_at_one_port_are_not_alike():
    whole = competing_reads(16, [])
    assert fold(whole).one is whole


def test_a_schedule_that_would_break_a_rule_is_not_spread():
    whole, _ = beside(competing_reads(2, []), 4)
    lanes = fold(whole)
    assert lanes.one is not whole
    together = timed(lanes.one, dict.fromkeys(lanes.one.nodes, 0), 2)
    assert lanes.spread(together) is None


def test_an_unrolled_kernel_is_scheduled_by_lanes(monkeypatch):
    """32 lanes of two loads and a sum: the placement sees one of them."""

    def add(A: int32[8, 64], C: int32[8, 32]):
        for i in range(8):
            for j in range(32):
                C[i, j] = A[i, 2 * j] * 3 + A[i, 2 * j + 1]

    s = allo.customize(add)
    s.pipeline("i")
    s.partition("A", dim=2)
    s.partition("C", dim=2)
    from allo_rtl.hls import modulo

    seen = []
    monkeypatch.setattr(
        modulo, "schedule", lambda problem, ii: seen.append(problem) or schedule(problem, ii)
    )
    rtl = s.build(target="rtl", device="ecp5-85", clock_mhz=100)
    [region] = rtl.design.top.certificates
    assert 10 * len(seen[-1].nodes) < len(region.nodes())
    assert rtl.design.top.schedules[region].ii == 1
    A = np.arange(8 * 64, dtype=np.int32).reshape(8, 64)
    C = np.zeros((8, 32), np.int32)
    rtl(A, C)
    assert (A[:, ::2] * 3 + A[:, 1::2] == C).all()
    assert rtl.measured_cycles == rtl.predicted_cycles
