"""Designs that wait for themselves in hardware: simulations say who waits for what, as the
simulator does, and end at once.
"""

import numpy as np
import pytest
import test_deadlocks as designs
from ir_writer import design_of
from stream_networks import Network

import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock, SimulationError
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import Stream, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import to_words
from allo_rtl.sim.probes import patience, with_depths
from allo_rtl.sim.stalls import Stalls

N = designs.N
LOOKING = ("polls_for_ever", "tries_for_ever")
"""Processes that look at streams again and again, until somebody loses patience."""
DIFFERENT = {
    # A put that is never done is not in the hardware; so nobody is known to be its writer.
    "gather_of_an_empty_one": "take_0 waits for a value from s_2, which is empty",
}
WAITING = [c for c in designs.CASES if c[0].__name__ not in LOOKING]


def raw_args(module):
    types = [a.type for a in module.top_func.args]
    return [to_words(np.zeros(t.shape, int).astype(object), t.element) for t in types]


def deadlock_of(design, max_cycles=5000):
    """How a run in Amaranth's simulator ends, with what would help."""
    raw = raw_args(design.module)
    before = [a.copy() for a in raw]
    with pytest.raises(Deadlock) as caught:
        pysim.run(KernelComponent(design), raw, max_cycles=max_cycles)
    return with_depths(caught.value, design, before)


@pytest.mark.parametrize(("region", "message"), [c[:2] for c in WAITING],
                         ids=[c[0].__name__ for c in WAITING])  # fmt: skip
def test_hardware_that_waits_is_explained_as_in_the_simulator(region, message):
    expected = DIFFERENT.get(region.__name__, message)
    found = deadlock_of(design_of(df.customize(region).module))
    assert found.message == f"deadlock: {expected}"
    assert all(loc.file == designs.__file__ for _, loc in found.notes)


def test_in_verilator_it_is_explained_at_once():
    """Some hundred cycles after the last value was passed on, not at a limit of cycles."""
    rtl = df.build(designs.fork_and_join, target="rtl")
    b = np.zeros(N, np.int32)
    with pytest.raises(Deadlock) as caught:
        rtl(b)
    case = next(c for c in designs.CASES if c[0] is designs.fork_and_join)
    assert caught.value.message == f"deadlock: {case[1]}"
    assert caught.value.hint == "with these depths it would not wait: short 8"
    assert [loc.text.strip() for _, loc in caught.value.notes] == [
        "short.put(i)", "total: int32 = back.get()", "total += long.get()"
    ]  # fmt: skip
    assert patience(rtl.design) < 1000
    with pytest.raises(Deadlock):  # and again, after a reset
        rtl(b)


def test_who_only_looks_at_streams_looks_in_vain():
    rtl = df.build(designs.polls_for_ever, target="rtl")
    with pytest.raises(Deadlock) as caught:
        rtl(*(np.zeros(N, np.int32) for _ in rtl.design.module.top_func.args))
    assert "looks at streams in vain" in caught.value.message


@df.region()
def as_data_say(A: int32[N], B: int32[N]):
    """As many values go through ``s`` before the first one through ``t`` as A[0] says."""
    s: Stream[int32, 2]
    t: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(a[0]):
            s.put(i)
        t.put(7)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        b[0] = t.get()
        i: int32 = 0
        while i < b[0] - 1:
            b[i + 1] = s.get()
            i += 1


def test_where_data_decide_the_run_is_repeated_to_find_depths():
    a, b = np.zeros(N, np.int32), np.zeros(N, np.int32)
    a[0] = 6
    rtl = df.build(as_data_say, target="rtl")
    with pytest.raises(Deadlock) as caught:
        rtl(a, b)
    assert caught.value.hint == "with these depths it would not wait: s 6"


def test_random_networks_that_wait_name_the_same_processes():
    """Not pipelined, so that processes do not run ahead."""
    modules = [Network(seed, False).module() for seed in range(12)]
    waiting = [(m, expected) for m in modules if (expected := evaluated(m)) is not None]
    assert len(waiting) > 2
    for module, expected in waiting:
        assert parts(deadlock_of(design_of(module))) == parts(expected)


def evaluated(module):
    """The deadlock in which the evaluator ends, if any."""
    try:
        evaluate(module, [np.zeros(a.type.size, object) for a in module.top_func.args])
    except Deadlock as deadlock:
        return deadlock
    return None


def parts(deadlock):
    """What is said of each process; a circle may be told from any of them on."""
    return set(deadlock.message.removeprefix("deadlock: ").split("; "))


def test_what_only_takes_long_is_no_deadlock():
    """One process computes for a long time, while the other waits for it."""
    @df.region()
    def slow(B: int32[N]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            x: int32 = 1
            for i in range(2000):
                x = x * 5 + i
            s.put(x)

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            b[0] = s.get()

    design = design_of(df.customize(slow).module)
    assert patience(design) < 2000
    pysim.run(KernelComponent(design), raw_args(design.module))
    with pytest.raises(SimulationError, match="was not done after 1000 cycles"):
        pysim.run(KernelComponent(design), raw_args(design.module), max_cycles=1000)


def test_streams_that_are_held_back_are_no_deadlock():
    """Here an input waits for 100 cycles on average, and now and then for more than 500."""
    @df.region()
    def copy(A: int32[200], B: int32[200]):
        s: Stream[int32, 2]

        @df.kernel(mapping=[1], args=[A])
        def give(a: int32[200]):
            for i in range(200):
                s.put(a[i])

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[200]):
            for i in range(200):
                b[i] = s.get()

    schedule = df.customize(copy)
    schedule.interface("A", "stream")
    rtl = schedule.build(target="rtl")
    a, b = np.arange(200, dtype=np.int32), np.zeros(200, np.int32)
    for seed in range(3):
        rtl.stalls = Stalls(seed, 99)
        rtl(a, b)
        assert b.tolist() == a.tolist()
