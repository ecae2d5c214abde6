"""What random schedules of affine kernels are refused for: forced, it changes the result.

Legality is about dependences, and some of them carry nothing that shows (a value that is written
again before anything reads it); so nearly all refusals must show, and none that is legal.
"""

from collections import Counter
from random import Random

import pytest
from stencil_generators import stencil
from test_illegal_schedules import all_loads

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.fuzz_steps import arrays_of, bands_of
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule import compute_at, distribute, loop_transforms, reuse
from allo_rtl.schedule.schedule import Schedule


def random_call(schedule, dice):
    """A primitive that may be illegal, with arguments that fit often."""
    bands = [axes for _, axes in bands_of(schedule.module)]
    match dice.choice(["reorder", "reorder", "reuse_at", "compute_at"]):
        case "reorder":
            axes = dice.choice(bands)
            return "reorder", dice.sample(axes, 2)
        case "reuse_at":
            return "reuse_at", [dice.choice(list(arrays_of(schedule.module))),
                                dice.choice(dice.choice(bands))]
        case _:
            return "compute_at", [bands[0][0], bands[-1][0]]


def applied(module, name, args):
    """The schedule after one primitive."""
    s = Schedule(module)
    getattr(s, name)(*args)
    return s


def forced(module, name, args):
    """The schedule with the primitive past its check; None when it cannot be made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop_transforms, "find_violation", lambda *a, **kw: None)
        patch.setattr(distribute._Split, "_check_order", lambda *a: None)
        patch.setattr(compute_at, "_check_between", lambda *a: None)
        patch.setattr(compute_at, "_check_order", lambda *a: None)
        patch.setattr(reuse, "_loads", all_loads)
        try:
            s = applied(module, name, args)
            verify_module(s.module)
        except ScheduleError:
            return None
    return s


def judged(seeds):
    """How many calls were legal, and of the illegal ones how many change a result."""
    counts = Counter()
    for seed in seeds:
        dice, module = Random(seed), allo.customize(stencil(seed)).module
        name, args = random_call(Schedule(module), dice)
        try:
            s = applied(module, name, args)
        except IllegalScheduleError:
            if (s := forced(module, name, args)) is not None:
                counts[name, "shows" if not allo.verify(module, s).equal else "hidden"] += 1
            continue
        except ScheduleError:
            continue
        assert allo.verify(module, s).proved, (seed, name, args)
        counts[name, "legal"] += 1
    return counts


def check_shares(counts, at_least):
    shows = sum(n for (_, what), n in counts.items() if what == "shows")
    hidden = sum(n for (_, what), n in counts.items() if what == "hidden")
    legal = sum(n for (_, what), n in counts.items() if what == "legal")
    assert shows >= at_least
    assert shows >= 9 * hidden, counts
    assert legal >= at_least // 4


def test_refusals_are_about_results():
    check_shares(judged(range(60)), 8)


@pytest.mark.long
def test_many_refusals_are_about_results():
    check_shares(judged(range(1000, 3000)), 300)
