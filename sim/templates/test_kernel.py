"""Tests of the kernel KERNEL_NAME: its Verilog, driven port by port in cocotb.

Run ``pytest`` in this folder.  With WAVES=1 in the environment the run leaves dump.vcd here.
The functions with @cocotb.test() run inside the simulator; add your own beside them.
"""

import os
from pathlib import Path

import cocotb
import pytest
from cocotb.handle import HierarchyObject
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from kernel_bench import Kernel

HERE = Path(__file__).resolve().parent
KERNEL = "KERNEL_NAME"


async def powered_up(dut: HierarchyObject) -> Kernel:
    kernel = Kernel(dut, HERE / f"{KERNEL}.json")
    await kernel.power_up()
    return kernel


@cocotb.test()
async def single_runs(dut: HierarchyObject) -> None:
    """Every case by itself: outputs, cycles, one done, and ready again."""
    kernel = await powered_up(dut)
    for case in kernel.cases:
        await kernel.start(case["inputs"])
        kernel.check(case, cycles=await kernel.until_done())
        await kernel.cycle()
        assert dut.done.value == 0
        assert dut.ready.value == 1
    await kernel.finish()


@cocotb.test()
async def back_to_back(dut: HierarchyObject) -> None:
    """The next start comes in a run's last cycle, so that no cycle is lost between runs."""
    kernel = await powered_up(dut)
    cases = (kernel.cases * 3)[:3]
    for case in cases:
        await kernel.load_streams(case["inputs"])
    await kernel.start(cases[0]["inputs"], streams=False)
    for now, following in zip(cases, [*cases[1:], None], strict=True):
        cycles = 1
        while dut.ready.value == 0:
            await kernel.cycle()
            cycles += 1
        if following:
            kernel.load_scalars(following["inputs"])
            dut.start.value = 1
        await kernel.cycle()
        assert dut.done.value == 1
        kernel.check(now, cycles)
        dut.start.value = 0
        if following:  # its cycle 1 is the cycle with done: its arrays must be in place now
            kernel.load_arrays(following["inputs"])
    await kernel.finish()


@cocotb.test()
async def start_held_high(dut: HierarchyObject) -> None:
    """With start always 1, runs follow each other; each is complete and none is lost."""
    kernel = await powered_up(dut)
    case = kernel.cases[0]
    for _ in range(4):
        await kernel.load_streams(case["inputs"])
    await kernel.start(case["inputs"], streams=False)
    dut.start.value = 1
    for _ in range(3):
        kernel.check(case, cycles=await kernel.until_done())
        kernel.load_arrays(case["inputs"])
    dut.start.value = 0  # the run that started with the last done still comes to its end
    kernel.check(case, cycles=await kernel.until_done())
    await kernel.cycle()
    assert dut.done.value == 0
    assert dut.ready.value == 1
    await kernel.finish()


@cocotb.test()
async def reset_in_mid_run(dut: HierarchyObject) -> None:
    """Reset stops a run in any cycle: no write and no done after it, and the next run is right."""
    kernel = await powered_up(dut)
    case = kernel.cases[0]
    await kernel.start(case["inputs"])
    cycles = await kernel.until_done()
    for stop_in in sorted({1, (cycles + 1) // 2, cycles}):
        await kernel.start(case["inputs"])
        for _ in range(stop_in - 1):
            await kernel.cycle()
        await kernel.reset()
        writes = kernel.writes
        for _ in range(min(cycles, 100) + 2):
            assert dut.done.value == 0
            assert dut.ready.value == 1
            await kernel.cycle()
        assert kernel.writes == writes
        await kernel.start(case["inputs"])
        kernel.check(case, cycles=await kernel.until_done())
    await kernel.finish()


def test_KERNEL_NAME(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile the Verilog with cocotb's runner and run the tests above in it."""
    from allo_rtl.sim.verilator import cocotb_environment

    waves = "WAVES" in os.environ
    for name, value in cocotb_environment(waves=waves).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(HERE)
    runner = get_runner("verilator")
    runner.build(
        sources=[HERE / f"{KERNEL}.v"],
        hdl_toplevel=KERNEL,
        build_dir=HERE / ("sim_build_waves" if waves else "sim_build"),
        build_args=["-Wno-fatal", "-Wno-lint", "--no-timing"],
        timescale=("1ns", "1ps"),
        waves=waves,
    )
    results = runner.test(
        hdl_toplevel=KERNEL, test_module=Path(__file__).stem, test_dir=HERE, waves=waves,
        results_xml=str(HERE / "results.xml"),
    )
    tests, failures = get_results(results)
    assert tests > 0
    assert failures == 0
