"""Iterations of nests whose bounds depend on outer counters, against going through them."""

import random
from itertools import pairwise

import pytest

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.domain import (
    count,
    counter_intervals,
    is_static,
    iterations,
    least_distance,
    points,
    without_empty,
)
from allo_rtl.ir.ops import For, Value
from allo_rtl.ir.types import index

SYMBOL = Value(index, "n")


def combination(dice, ivs, low, high):
    total = AffineExpr.constant(dice.randint(low, high))
    for iv in ivs:
        if dice.random() < 0.5:
            total = total + AffineExpr.of(iv) * dice.choice([-2, -1, 1, 1, 2, 3])
    return total


def random_loops(dice, symbols=()):
    ivs, loops = list(symbols), []
    for name in "ijk"[: dice.choice([2, 3])]:
        iv = Value(index, name)
        lower = [combination(dice, ivs, -2, 2) for _ in range(dice.choice([1, 1, 2]))]
        upper = [combination(dice, ivs, 0, 5) for _ in range(dice.choice([1, 1, 2]))]
        step = dice.choice([1, 1, 1, 2, 3])
        loops.append(
            For(iv=iv, lower=tuple(lower), upper=tuple(upper), step=step, body=(), name=name)
        )
        ivs.append(iv)
    return tuple(loops)


def by_hand(loops, env):
    if not loops:
        return [dict(env)]
    low = max(e.evaluate(env.__getitem__) for e in loops[0].lower)
    high = min(e.evaluate(env.__getitem__) for e in loops[0].upper)
    inner = (by_hand(loops[1:], {**env, loops[0].iv: n}) for n in range(low, high, loops[0].step))
    return [at for part in inner for at in part]


@pytest.mark.parametrize("seed", range(200))
def test_tightened_nests_have_the_same_iterations_and_no_empty_runs(seed):
    dice = random.Random(seed)
    loops = random_loops(dice, [SYMBOL] if seed % 2 else ())
    full = without_empty(loops, lambda _: (-2, 3))
    for n in range(-2, 4):
        env = {SYMBOL: n}
        wanted = by_hand(loops, env)
        if full is None:
            continue
        runs = all(e.evaluate(env.__getitem__) >= 0 for e in full.conditions)
        assert by_hand(full.loops, env) == wanted
        assert runs or not wanted
        assert count(full.loops, env.get) == len(wanted)
        assert [{SYMBOL: n, **at} for at in iterations(loops, env.get)] == wanted
        if not runs:
            continue
        intervals = counter_intervals(full.loops, lambda _: (-2, 3))
        for at in wanted:
            for p in loops:
                assert intervals[p.iv][0] <= at[p.iv] <= intervals[p.iv][1]
        for level in range(1, len(loops)):
            for at in by_hand(full.loops[:level], env) if wanted else ():
                assert by_hand(full.loops[level:], at), "an empty run"


def test_most_nests_can_be_tightened():
    found = [without_empty(random_loops(random.Random(s)), lambda _: (0, 0)) for s in range(200)]
    assert sum(f is not None for f in found) > 60


@pytest.mark.parametrize("seed", range(200))
def test_distances_are_those_found_by_going_through_all_iterations(seed):
    dice = random.Random(seed)
    loops = random_loops(dice)
    assert is_static(loops)
    ivs = [p.iv for p in loops]
    src, dst = ([combination(dice, ivs, -1, 1) for _ in range(dice.choice([1, 2]))]
                for _ in range(2))  # fmt: skip
    src, dst = src[: len(dst)], dst[: len(src)]
    order = by_hand(loops, {})
    last, best = {}, None
    for number, at in enumerate(order):
        cell = tuple(e.evaluate(at.__getitem__) for e in dst)
        if cell in last:
            best = min(best or len(order), number - last[cell])
        last[tuple(e.evaluate(at.__getitem__) for e in src)] = number
    assert least_distance(loops, tuple(src), tuple(dst)) == best
    columns = points(loops)
    assert [dict(zip(ivs, row, strict=True)) for row in
            zip(*(columns[v].tolist() for v in ivs), strict=True)] == order  # fmt: skip


def test_values_that_are_not_known_leave_the_count_open():
    i, j = Value(index, "i"), Value(index, "j")
    zero, n = AffineExpr.constant(0), AffineExpr.of(SYMBOL)
    outer = For(iv=i, lower=(zero,), upper=(n,), body=(), name="i")
    inner = For(iv=j, lower=(zero,), upper=(AffineExpr.of(i),), body=(), name="j")
    assert count([outer, inner], lambda _: None) is None
    assert iterations([outer, inner], lambda _: None) is None
    assert [count([outer, inner], lambda _, m=m: m) for m in range(5)] == [0, 0, 1, 3, 6]


def test_large_nests_are_not_gone_through():
    ivs = [Value(index, f"i{k}") for k in range(3)]
    uppers = [AffineExpr.constant(400), *(AffineExpr.of(a) for a, _ in pairwise(ivs))]
    loops = tuple(
        For(iv=v, lower=(AffineExpr.constant(0),), upper=(u,), body=(), name=v.name)
        for v, u in zip(ivs, uppers, strict=True)
    )
    assert points(loops) is None
    assert count(loops, lambda _: None) == 400 * 399 * 398 // 6
    with pytest.raises(ValueError, match="too many"):
        least_distance(loops, (AffineExpr.of(ivs[0]),), (AffineExpr.of(ivs[0]),))
