"""Regions as they are written in Python, in hardware: what the simulator computes."""

import numpy as np
import pytest
import region_graphs as graphs
import test_dataflow_streams as streams
import test_races as shared
from agreement import random_args
from ir_writer import agree

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import BuildError
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.types import Stream, int32

REGIONS = [
    (graphs.add_then_copy, []),
    (graphs.four_stages, []),
    (graphs.fork_and_join, []),
    (graphs.running_sum, []),
    (graphs.matrix_vector, [("A", 1), ("Y", 1)]),
    (graphs.output_stationary, [("A", 1), ("B", 2), ("C", 0)]),
    (graphs.weight_stationary, [("A", 2), ("W", 0)]),
    (graphs.daisy_chain, []),
    (graphs.tiled, [("A", 1, 2), ("B", 2, 2), ("C", 1, 2), ("C", 2, 2)]),
    (graphs.convolution, [("W", 1)]),
    (graphs.two_levels, []),
    (graphs.with_calls, []),
    (graphs.some_do_nothing, [("B", 1)]),
    (streams.blocks, []),
    (streams.spread, []),
    (streams.spread_blocks, []),
    (streams.until_the_last, []),
    (streams.everywhere, []),
    (streams.converted, []),
    (shared.interleaved, [("B", 1, 2)]),
    (shared.rows_by_calls, [("B", 1)]),
]
"""Regions, and how to partition their arrays (complete, or cyclic with a factor): each process
needs banks of its own."""


def partitioned(region, dims):
    s = df.customize(region)
    for array, dim, *factor in dims:
        kind = allo.Partition.Cyclic if factor else allo.Partition.Complete
        s.partition(f"{s.top_func_name}:{array}", kind, dim, *factor)
    return s


@pytest.mark.parametrize(("region", "dims"), REGIONS, ids=[r.__name__ for r, _ in REGIONS])
def test_hardware_does_what_the_simulator_does(region, dims):
    module = partitioned(region, dims).module
    agree(legalize(module), random_args(module, limits={"n": (1, 8)}))


def test_it_is_built_like_any_kernel():
    s = df.customize(graphs.add_then_copy)
    for rtl in (s.build(target="rtl"), df.build(graphs.add_then_copy, target="rtl")):
        assert "module add_then_copy" in rtl.verilog


def test_processes_that_read_one_memory_take_turns():
    module = df.customize(graphs.output_stationary).module
    agree(legalize(module), random_args(module))


def test_the_cpu_build_has_no_streams():
    with pytest.raises(BuildError, match="'add_then_copy' is a region") as caught:
        allo.customize(graphs.add_then_copy).build(target="cpu")
    assert caught.value.hint == 'run it on the simulator: build(target="simulator")'


@pytest.mark.parametrize("target", ["vitis_hls", "aie", "cpu"])
def test_other_targets(target):
    with pytest.raises(BuildError) as caught:
        df.build(graphs.add_then_copy, target=target)
    assert str(caught.value) == (
        f"there is no target {target!r} for a region\n"
        '  allowed: "simulator", "evaluator", "rtl"'
    )


def test_a_result_of_numpy():
    m, n, k = graphs.M, graphs.N, graphs.K
    a, b, c = graphs.numbers(m, k), graphs.numbers(k, n), np.zeros((m, n), np.int32)
    df.build(graphs.output_stationary, mode="csim", project="top.prj")(a, b, c)
    np.testing.assert_array_equal(c, a @ b)


@df.region()
def called_inner(X: int32[4], Y: int32[4]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[X])
    def load(x: int32[4]):
        for i in range(4):
            s.put(x[i] + 1)

    @df.kernel(mapping=[1], args=[Y])
    def store(y: int32[4]):
        for i in range(4):
            y[i] = s.get() * 2


@df.region()
def called_again(A: int32[4], B: int32[4]):
    @df.kernel(mapping=[1], args=[A, B])
    def go(a: int32[4], b: int32[4]):
        for _r in range(3):
            called_inner(a, b)


def test_loops_that_call_regions_are_not_pipelined():
    """Whoever asked for it: the report says why, and a named interval is refused."""
    schedule = df.customize(called_again, opt_default=True)
    schedule.pipeline("go_0:_r")
    module = legalize(schedule.module)
    agree(module, random_args(module))
    schedule.undo()
    schedule.pipeline("go_0:_r", initiation_interval=1)
    with pytest.raises(BuildError, match="'called_inner' is a region, which cannot be part"):
        schedule.build(target="rtl")
