"""What `build(target="rtl")` gives: Verilog, component, report, files, and the promised cycles."""

import re
import subprocess
import sys
from pathlib import Path

import kernels as shared
import numpy as np
import pytest
from agreement import check
from amaranth.lib import wiring

import allo_rtl as allo
from allo_rtl import Partition
from allo_rtl.errors import BuildError
from allo_rtl.ir.types import int32
from allo_rtl.rtl.interface import Direction
from allo_rtl.sim.bench import run_bench


def gemm32(A: int32[32, 32], B: int32[32, 32]) -> int32[32, 32]:
    C: int32[32, 32] = 0
    for i, j, k in allo.grid(32, 32, 32):
        C[i, j] += A[i, k] * B[k, j]
    return C


def accumulate(A: int32[16], X: int32[16]):
    for i in range(15):
        A[i + 1] = A[i] * X[i]


def rows(A: int32[4], X: int32[50, 4]):
    for i, j in allo.grid(50, 4):
        A[j] = A[j] * X[i, j] + 1


def both(A: int32[16], n: int32) -> (int32, int32[16]):
    total: int32 = n
    B: int32[16] = 0
    for i in range(16):
        total += A[i]
        B[i] = total
    return total, B


def untouched(A: int32[8], B: int32[8]):
    for i in range(3):
        B[i] = 7


def rtl_of(kernel, *steps, **options):
    s = allo.customize(kernel)
    for step in steps:
        step(s)
    return s.build(target="rtl", **options)


def random_pair():
    random = np.random.default_rng(0)
    low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    return (random.integers(low, high, (32, 32), np.int32) for _ in "AB")


def test_gemm_starts_an_iteration_every_cycle():
    s = allo.customize(gemm32)
    s.reorder("k", "j")
    s.pipeline("j")
    rtl = s.build(target="rtl", device="ecp5-85", clock_mhz=80)
    A, B = random_pair()
    assert (rtl(A, B) == A @ B).all()
    assert rtl.report().loops[0].ii == 1
    assert rtl.measured_cycles == rtl.predicted_cycles <= 32 * 32 * 32 + 200


def test_eight_lanes_are_eight_times_as_fast():
    s = allo.customize(gemm32)
    s.reorder("k", "j")
    s.split("j", 8)
    s.unroll("j.inner")
    s.pipeline("j.outer")
    s.partition(s.B, Partition.Cyclic, dim=2, factor=8)
    s.partition(s.C, Partition.Cyclic, dim=2, factor=8)
    rtl = s.build(target="rtl", device="ecp5-85", clock_mhz=80)
    A, B = random_pair()
    assert (rtl(A, B) == A @ B).all()
    assert rtl.measured_cycles == rtl.predicted_cycles <= 32 * 32 * 4 + 200


def test_a_nest_is_flattened_only_as_far_as_that_is_faster():
    report = rtl_of(rows, lambda s: s.pipeline("j"), clock_mhz=100).report()
    assert [loop.name for loop in report.loops] == ["i", "j"]
    assert report.loops[1].ii == 1
    s = allo.customize(rows)
    s.pipeline("j", initiation_interval=1)
    check(s, clock_mhz=100)


def test_an_interval_that_is_impossible_is_refused_when_it_was_asked_for():
    s = allo.customize(accumulate)
    s.pipeline("i", initiation_interval=1)
    with pytest.raises(BuildError) as caught:
        s.build(target="rtl", device="ecp5-85", clock_mhz=100)
    path = re.escape(str(Path(__file__)))
    assert re.fullmatch(
        rf"{path}:30:5: error: loop 'i' cannot start an iteration every cycle: recurrence: A, "
        rf"written at test_rtl_module.py:31, is used 1 iteration later; that takes \d cycles\n"
        r"   30 \|     for i in range\(15\):\n"
        r"      \|     \^~+\n"
        r"  allowed: an initiation interval of \d or more\n"
        r"  hint: leave initiation_interval out to get the smallest possible one",
        str(caught.value),
    )
    s.undo()
    s.pipeline("i")
    rtl = check(s, device="ecp5-85", clock_mhz=100)
    assert rtl.report().loops[0].ii > 1


def test_an_interval_that_ports_forbid_is_refused():
    s = allo.customize(shared.conv3x3)
    s.pipeline("x", initiation_interval=2)
    with pytest.raises(BuildError, match="is read 9 times per iteration through one port"):
        s.build(target="rtl")


def test_a_limit_of_ports_does_not_ask_to_partition_what_is_partitioned():
    s = allo.customize(shared.conv3x3)
    s.pipeline("x")
    s.partition(s.K, Partition.Complete, dim=0)
    s.partition(s.A, Partition.Cyclic, dim=0, factor=2)
    loop = s.build(target="rtl").report().loops[0]
    assert loop.limit == (
        "A is read 4 times per iteration through one port of a bank; "
        "more banks help if each access stays in one"
    )


def test_an_interval_larger_than_needed_is_kept():
    s = allo.customize(shared.transpose)
    s.pipeline("j", initiation_interval=3)
    rtl = check(s)
    assert rtl.report().loops[0].ii == 3


@pytest.mark.parametrize("clock", [0, -5, float("nan")])
def test_a_clock_must_be_positive(clock):
    with pytest.raises(BuildError, match="a clock of"):
        allo.customize(shared.gemm).build(target="rtl", clock_mhz=clock)


def test_unknown_devices_and_targets_are_named():
    with pytest.raises(BuildError, match="ecp5-85"):
        allo.customize(shared.gemm).build(target="rtl", device="ecp5-58")
    with pytest.raises(BuildError, match="rtl"):
        allo.customize(shared.gemm).build(target="verilog")


def test_the_component_has_the_documented_signature():
    rtl = rtl_of(both)
    component = rtl.component
    assert isinstance(component, wiring.Component)
    assert set(component.signature.members) == set(rtl.interface.signals())
    directions = {p.name: p.direction for p in rtl.interface.args if p.name == "A"}
    assert directions == {"A": Direction.READ}


def test_scalars_and_arrays_are_returned_together():
    s = allo.customize(both)
    check(s)
    s.pipeline("i")
    check(s)


def test_unused_arguments_and_untouched_elements_keep_their_contents():
    rtl = rtl_of(untouched)
    A, B = np.arange(8, dtype=np.int32), np.arange(8, dtype=np.int32)
    rtl(A, B)
    assert A.tolist() == list(range(8))
    assert B.tolist() == [7, 7, 7, 3, 4, 5, 6, 7]
    assert not [n for n in rtl.interface.signals() if n.startswith("A_")]


def test_cycles_are_the_prediction_until_a_run_measures_them():
    rtl = rtl_of(shared.prefix_sum)
    assert (rtl.measured_cycles, rtl.cycles) == (None, rtl.predicted_cycles)
    rtl(np.arange(16, dtype=np.int32), np.zeros(16, np.int32))
    assert rtl.cycles == rtl.measured_cycles == rtl.predicted_cycles


def test_waveforms_show_the_kernels_names(tmp_path):
    rtl = rtl_of(shared.prefix_sum, trace=tmp_path / "run.vcd")
    rtl(np.arange(16, dtype=np.int32), np.zeros(16, np.int32))
    text = rtl.trace.read_text()
    assert re.search(r"\$var \w+ +32 \S+ total ", text)
    assert re.search(r"\$var \w+ +\d+ \S+ i ", text)


def test_verilog_names_kernel_lines_and_no_folders():
    verilog = rtl_of(shared.two_level).verilog
    assert '(* src = "kernels.py:' in verilog
    assert "/" not in "".join(re.findall(r'src = "([^"]*)"', verilog))
    assert re.findall(r"^module (\w+)", verilog, re.MULTILINE) == [
        "two_level_sum_squares", "two_level"
    ] or "two_level_square" in verilog


def test_a_function_called_twice_is_one_module():
    def shared(x: int32) -> int32:
        return x * x + 1

    def twice(a: int32, b: int32) -> int32:
        return shared(a) - shared(b)

    rtl = rtl_of(twice)
    assert re.findall(r"^module (\w+)", rtl.verilog, re.MULTILINE) == ["twice", "twice_shared"]
    assert rtl(5, 3) == 16


def test_callees_may_have_names_that_look_counted():
    def step(x: int32) -> int32:
        return x + 1

    def step_1(x: int32) -> int32:
        return x * 3

    def both(x: int32) -> int32:
        return step(step(x)) + step_1(x)

    check(allo.customize(both), simulator="pysim")


EMIT = """
import sys
sys.path.insert(0, {tests!r})
import kernels, allo_rtl as allo
for kernel in (kernels.conv3x3, kernels.two_level, kernels.histogram):
    s = allo.customize(kernel)
    sys.stdout.write(s.build(target="rtl", clock_mhz=70).verilog)
"""


def test_the_verilog_is_the_same_every_time():
    script = EMIT.format(tests=str(Path(__file__).parent))
    texts = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "77")
    ]
    assert texts[0] == texts[1]
    assert "module conv3x3" in texts[0]
    here = [rtl_of(shared.histogram, clock_mhz=70).verilog for _ in "ab"]
    assert here[0] == here[1]
    assert texts[0].endswith(here[0])


def test_written_files_are_a_bench_that_passes(tmp_path):
    rtl = rtl_of(shared.two_level)
    paths = rtl.write(tmp_path / "out")
    names = {p.name for p in paths}
    assert names >= {"two_level.v", "test_two_level.py", "report.txt", "report.json", "report.svg"}
    assert all(p.stat().st_size for p in paths)
    tests, failures = run_bench(tmp_path / "out")
    assert (tests, failures) == (4, 0)


def test_the_bench_fails_on_wrong_hardware(tmp_path):
    rtl = rtl_of(shared.prefix_sum)
    rtl.write(tmp_path)
    verilog = (tmp_path / "prefix_sum.v").read_text()
    broken = re.sub(r"assign Y_wdata = (.*);", r"assign Y_wdata = ~(\1);", verilog)
    assert broken != verilog
    (tmp_path / "prefix_sum.v").write_text(broken)
    tests, failures = run_bench(tmp_path)
    assert failures >= 1
    assert tests == 4


def awkward(
    start: int32, done: int32, clk: int32, reg: int32, A: int32[4], A_rdata: int32,
    int_: int32[4], module: int32, result: int32,
) -> int32:
    total: int32 = start + done + clk + reg + A_rdata + module + result
    for input in range(4):
        total += A[input]
        int_[input] = total
    return total


def test_names_may_be_those_of_ports_and_keywords(tmp_path):
    s = allo.customize(awkward)
    rtl = check(s)
    names = [p.name for p in (*rtl.interface.args, *rtl.interface.results)]
    assert names == [
        "start_", "done_", "clk_", "reg", "A", "A_rdata_", "int_", "module", "result", "result_"
    ]
    s.partition(s.A)
    check(s)
    rtl.write(tmp_path)
    assert run_bench(tmp_path) == (4, 0)


def flüsse(_: int32, α: int32[2], __α: int32[2], _1: int32, events: int32) -> int32:
    def größer(ß: int32) -> int32:
        return ß + 1

    return größer(_ + α[0] + __α[1] - _1) * events


def test_names_may_be_private_or_of_any_alphabet():
    rtl = check(allo.customize(flüsse))
    names = [p.name for p in rtl.interface.args]
    assert names == ["arg", "u3b1", "u3b1_", "arg_", "events_"]
    modules = re.findall(r"^module (\w+)", rtl.verilog, re.MULTILINE)
    assert modules == ["flufcsse", "flufcsse_gruf6udfer"]


@pytest.mark.parametrize("name", ["clk", "p0"])
def test_a_kernel_may_have_the_name_of_a_port(name):
    check(allo.customize(f"def {name}(a: int32) -> int32:\n    return a + 1\n"))


def test_a_slow_clock_chains_many_division_steps_without_blowing_up():
    """Each step of a divider uses the one before twice: as expressions that doubled every time."""
    fast = rtl_of(shared.divisions, clock_mhz=100).verilog
    slow = rtl_of(shared.divisions, clock_mhz=1).verilog
    assert len(slow) < 10 * len(fast)


def test_the_verilog_begins_with_what_it_is():
    rtl = rtl_of(both, lambda s: s.partition(s.A, dim=1, partition_type=Partition.Cyclic, factor=2))
    head = rtl.verilog[: rtl.verilog.index("/*")]
    assert head == (
        "// both: a kernel in hardware, made by allo_rtl\n"
        f"// for ecp5-85 at 50 MHz; a run takes {rtl.predicted_cycles} cycles\n"
        "//\n"
        "// clk         rising edge\n"
        "// rst         synchronous, active high\n"
        "// start       in   ask for a run; taken when ready is 1, and the scalars with it\n"
        "// ready       out  a run can start\n"
        "// done        out  1 in the cycle after a run's last: all results are in place\n"
        "// A_0_* to A_1_* mem  int32[16], read\n"
        "// n           in   int32\n"
        "// result      out  int32\n"
        "// B_*         mem  int32[16], written\n"
    )
