"""A FIFO has the places it was declared with, in hardware as in the simulator.

A loop that hands a word on in the cycle in which it comes has taken it before it waits for room,
as by the order of the text; the word is then in a register of the loop.
"""

import numpy as np
import pytest
from test_depths import simulated

import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.design import build_design
from allo_rtl.ir.types import Stream, int32
from allo_rtl.target import device

ROUNDS = 3


def one_way(depth, burst):
    """Each round a burst of words has to be on its way at once."""

    @df.region()
    def around(B: int32[ROUNDS]):
        there: Stream[int32, depth]
        back: Stream[int32, depth]

        @df.kernel(mapping=[1], args=[B])
        def drive(b: int32[ROUNDS]):
            for r in range(ROUNDS):
                for i in range(burst):
                    there.put(r + i)
                t: int32 = 0
                for _ in range(burst):
                    t += back.get()
                b[r] = t

        @df.kernel(mapping=[1])
        def hand_on():
            for _ in range(ROUNDS * burst):
                back.put(there.get())

    return around


def two_streams(depth, burst):
    """An iteration starts with a word of each of two streams."""

    @df.region()
    def around(B: int32[ROUNDS]):
        left: Stream[int32, depth]
        right: Stream[int32, depth]
        back: Stream[int32, depth]

        @df.kernel(mapping=[1], args=[B])
        def drive(b: int32[ROUNDS]):
            for r in range(ROUNDS):
                for i in range(burst):
                    left.put(r + i)
                    right.put(i)
                t: int32 = 0
                for _ in range(burst):
                    t += back.get()
                b[r] = t

        @df.kernel(mapping=[1])
        def hand_on():
            for _ in range(ROUNDS * burst):
                x: int32 = left.get()
                back.put(x ^ right.get())

    return around


def two_words(depth, burst):
    """An iteration starts with two words of one stream and puts them on one after the other."""

    @df.region()
    def around(B: int32[ROUNDS]):
        there: Stream[int32, depth]
        back: Stream[int32, depth]

        @df.kernel(mapping=[1], args=[B])
        def drive(b: int32[ROUNDS]):
            for r in range(ROUNDS):
                for i in range(2 * burst):
                    there.put(r + i)
                t: int32 = 0
                for _ in range(2 * burst):
                    t += back.get()
                b[r] = t

        @df.kernel(mapping=[1])
        def hand_on():
            for _ in range(ROUNDS * burst):
                x: int32 = there.get()
                y: int32 = there.get()
                back.put(y)
                back.put(x)

    return around


def ends(region):
    """Whether a run of the simulator ends."""
    try:
        df.build(region)(np.zeros(ROUNDS, np.int32))
    except Deadlock:
        return False
    return True


def most(make, depth):
    """The longest burst with which a run ends."""
    burst = 1
    assert ends(make(depth, burst))
    while ends(make(depth, burst + 1)):
        burst += 1
    return burst


@pytest.mark.parametrize(
    ("make", "depth", "longest"),
    [(one_way, 1, 3), (one_way, 2, 5), (one_way, 4, 9), (one_way, 5, 11),
     (two_streams, 1, 3), (two_streams, 3, 7), (two_words, 2, 3), (two_words, 3, 3)],
)  # fmt: skip
@pytest.mark.parametrize("clock_mhz", [50, 150])
def test_hardware_ends_where_the_simulator_does(make, depth, longest, clock_mhz):
    """Two FIFOs and what is in between; with one word more both wait for ever."""
    assert most(make, depth) == longest
    for burst in (longest, longest + 1):
        schedule = df.customize(make(depth, burst), opt_default=True)
        found = build_design(schedule.module, device("ecp5-85"), clock_mhz)
        cycles = simulated(found)
        assert cycles == run_cycles(found)
        assert (cycles is None) == (burst > longest)
