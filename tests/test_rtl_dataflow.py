"""Regions as users write them, in hardware: the simulator's results, run after run."""

import numpy as np
import pytest
import region_graphs as designs
from ir_writer import agree

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import ArrayType, Stream, int32

NAMES = (
    "four_stages", "fork_and_join", "running_sum", "matrix_vector", "output_stationary",
    "weight_stationary", "daisy_chain", "tiled", "convolution", "two_levels",
)  # fmt: skip


def small_args(module):
    """Numbers below ten in every array."""
    dice = np.random.default_rng(1)

    def array(type_):
        return dice.integers(0, 10, type_.shape).astype(object)

    args = module.top_func.args
    return [array(v.type) if isinstance(v.type, ArrayType) else 3 for v in args]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pipelined", [False, True])
def test_regions(name, pipelined):
    schedule = df.customize(getattr(designs, name), opt_default=pipelined)
    module = legalize(schedule.module)
    agree(module, small_args(module))


def test_a_systolic_array_in_verilator():
    """Run after run, and after a reset."""
    rtl = df.build(df.customize(designs.output_stationary, opt_default=True), target="rtl")
    m, n, k = designs.M, designs.N, designs.K
    for run in range(3):
        a = np.arange(m * k, dtype=np.int32).reshape(m, k) - 7 * run
        b = np.arange(k * n, dtype=np.int32).reshape(k, n) + run
        c = np.zeros((m, n), np.int32)
        rtl(a, b, c)
        np.testing.assert_array_equal(c, a @ b)
        assert rtl.measured_cycles == rtl.predicted_cycles
        if run == 1:
            rtl.reset()


@pytest.mark.parametrize("word", ["what it took", "another"])
def test_a_word_counts_as_taken_while_its_reader_waits_for_room(word):
    """The worker holds with a word of each iteration, so that two FIFOs of one hold three."""

    @df.region()
    def turns(B: int32[9]):
        there: Stream[int32, 1]
        back: Stream[int32, 1]

        @df.kernel(mapping=[1], args=[B])
        def give(b: int32[9]):
            for i in range(3):
                for k in range(3):
                    there.put(3 * i + k)
                for k in range(3):
                    b[3 * i + k] = back.get()

        @df.kernel(mapping=[1])
        def work():
            for k in range(9):
                x = there.get()
                with allo.meta_if(word == "another"):
                    back.put(k)
                with allo.meta_else():
                    back.put(x)

    rtl = df.build(df.customize(turns, opt_default=True), target="rtl")
    b = np.zeros(9, np.int32)
    rtl(b)
    assert list(b) == list(range(9))
