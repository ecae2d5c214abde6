"""Stateful arrays in hardware: kept from run to run, and back at first after a reset."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from ir_writer import Writer, as_python, design_of, module_of, stateful

from allo_rtl.hls.report_builder import build_report
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, DimPartition, Int, Partition, index, int16, int32, uint8
from allo_rtl.pipeline import build_rtl
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim


def counter():
    """A scalar that counts the runs, from 5."""
    count = stateful("count", ArrayType(int32, ()), [5])
    w = Writer()
    cell = w.global_(count)
    w.store(w.binary("add", w.load(cell), 1), cell)
    return module_of(w.func("counter", w.load(cell)), globals=[count])


def delay_line(partition=None, first=range(3, 9)):
    """A shift register in a callee's hands, and the sum of what it holds."""
    type_ = ArrayType(int16, (6,), (partition,))
    line = stateful("line", type_, first)
    data, x = Value(type_, "data"), Value(int16, "x")
    w = Writer(data, x)
    total = w.variable(w.const(0, int16), "total")
    with w.loop("k", 5, pipeline_ii=1) as k:
        w.store(w.load(data, AffineExpr.of(k) + 1), data, k)
    w.store(x, data, 5)
    with w.loop("k", 6, pipeline_ii=1) as k:
        w.store(w.binary("add", w.load(total), w.load(data, k)), total)
    push = w.func("push", w.load(total))
    x = Value(int16, "x")
    w = Writer(x)
    (total,) = w.call(push, w.global_(line), x)
    return module_of(push, w.func("delay", total), globals=[line])


def returned():
    """A state that is a result as a whole: what the caller gets is a copy."""
    seen = stateful("seen", ArrayType(int32, ()), [5])
    w = Writer()
    cell = w.global_(seen)
    w.store(w.binary("mul", w.load(cell), 3), cell)
    return module_of(w.func("returned", cell), globals=[seen])


def table():
    """A table of 12 words in RAM, written where an argument says; all 7 at first."""
    seen = stateful("seen", ArrayType(uint8, (3, 4)), [7] * 12)
    at, x = Value(Int(3), "at"), Value(uint8, "x")
    w = Writer(at, x)
    cells = w.global_(seen)
    column = w.cast(w.binary("and", at, 3), index)
    old = w.load(cells, 2, column)
    w.store(x, cells, 2, column)
    return module_of(w.func("table", old), globals=[seen])


CASES = {
    "scalar": (counter(), [[], [], []]),
    "RAM": (delay_line(), [[4], [-7], [100], [0]]),
    "registers": (delay_line(DimPartition(Partition.Complete, 6)), [[4], [-7], [100]]),
    "banks": (delay_line(DimPartition(Partition.Cyclic, 2)), [[4], [-7], [100]]),
    "zeros": (delay_line(first=[0] * 6), [[4], [-7], [100]]),
    "address": (table(), [[1, 9], [1, 8], [2, 1], [1, 3]]),
}


@pytest.mark.parametrize("name", CASES)
def test_state_is_kept_from_run_to_run(name):
    module, runs = CASES[name]
    design = design_of(module)
    outcomes = pysim.run_all(KernelComponent(design), runs)
    state = {}
    for args, (results, cycles) in zip(runs, outcomes, strict=True):
        expected = list(evaluate(module, args, state=state))
        assert as_python(results, module.top_func.results) == expected
        assert design.top.latency == cycles


def test_state_that_is_returned_is_copied():
    module, state = returned(), {}
    for results, _ in pysim.run_all(KernelComponent(design_of(module)), [[], []]):
        expected = [r.item() for r in evaluate(module, [], state=state)]
        assert as_python(results, module.top_func.results) == expected


@pytest.mark.parametrize("name", CASES)
def test_a_reset_brings_the_first_contents_back(name):
    """Reset in any cycle of a run, also while the contents are coming back."""
    module, runs = CASES[name]
    kernel, reset = KernelComponent(design_of(module)), Signal()
    first = list(evaluate(module, runs[0], state={}))
    found = []

    async def bench(ctx):
        scalars = {p.name: a for p, a in zip(kernel.interface.args, runs[0], strict=True)}
        for wait in (0, 1, 3, 4, 9, 40):
            run = pysim._Bench(kernel, [], scalars, 1000)
            await run.run(ctx)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            for _ in range(wait):
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            run = pysim._Bench(kernel, [], scalars, 1000)
            await run.run(ctx)
            found.append([pysim._scalar(kernel.interface.results[0], run.results["result"])])
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulator = Simulator(ResetInserter(reset)(kernel))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [first] * 6


def test_the_report_shows_where_state_is():
    (memory,) = build_report(design_of(table())).memories
    assert (memory.name, memory.storage, memory.depth) == ("seen", "block RAM", 12)


def test_calls_of_the_simulated_verilog_share_state_until_reset():
    module = delay_line()
    rtl = build_rtl(module)
    state = {}
    for x in (4, -7):
        assert [rtl(np.int16(x))] == list(evaluate(module, [x], state=state))
    rtl.reset()
    assert [rtl(4)] == list(evaluate(module, [4], state={}))
