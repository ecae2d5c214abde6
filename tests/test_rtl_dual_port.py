"""Block RAMs with two ports that read or write each, where that makes loops faster."""

import json
import subprocess

import pytest
import source_generators
from agreement import check
from amaranth.back import rtlil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.boards.scripts import after_read
from allo_rtl.boards.toolchain import tool_command
from allo_rtl.ir.types import Partition, int16, int32
from allo_rtl.rtl.kernel import KernelComponent

SMALL = {"clock_mhz": 50, "simulator": "pysim", "seeds": (0, 1)}


def pairs(A: int32[16], C: int32[15]):
    T: int32[16] = 0
    for i in range(16):
        T[i] = A[i] * 3
    for j in range(15):
        C[j] = T[j] - T[j + 1]


def two_writes(A: int32[8], C: int32[16]):
    T: int32[16] = 0
    for i in range(8):
        T[i] = A[i]
        T[i + 8] = A[i] + 1
    for j in range(16):
        C[j] = T[j]


def four_reads(A: int16[8, 8], C: int32[8, 6]):
    T: int16[8, 8] = 0
    for i, j in allo.grid(8, 8):
        T[i, j] = A[i, j]
    for r in range(8):
        for c in range(6):
            C[r, c] = T[r, c] + T[r, c + 1] * 2 - T[r, c + 2] + T[7 - r, c]


def reads_and_writes(A: int32[16], C: int32[8]):
    T: int32[32] = 0
    for i in range(16):
        T[i] = A[i]
    for j in range(8):
        a: int32 = T[j]
        b: int32 = T[j + 8]
        T[j + 16] = a + b
        C[j] = a - b


def pipelined(kernel, *loops):
    s = allo.customize(kernel)
    for loop in loops:
        s.pipeline(loop)
    return s


CASES = {
    "pairs": (lambda: pipelined(pairs, "i", "j"), "j", 2, 1),
    "two_writes": (lambda: pipelined(two_writes, "i", "j"), "i", 2, 1),
    "four_reads": (lambda: pipelined(four_reads, "j", "c"), "c", 4, 2),
}


def interval(rtl, loop):
    [found] = [x for x in rtl.report().loops if x.name.split(", ")[-1] == loop]
    return found.ii


def storage(rtl, array="T"):
    return next(m.storage for m in rtl.report().memories if m.name == array)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("device", ["ecp5-85", "gw1n-9"])
def test_two_ports_halve_the_interval_where_the_chip_has_them(name, device):
    make, loop, one, two = CASES[name]
    rtl = check(make(), device=device, **SMALL)
    assert interval(rtl, loop) == two
    assert storage(rtl) == "block RAM, two ports"
    single = make().build(target="rtl", device="ice40-hx8k", clock_mhz=20)
    assert interval(single, loop) == one
    assert storage(single) == "block RAM"


def test_the_results_are_those_of_the_verilog_too():
    check(CASES["pairs"][0](), device="ecp5-85", clock_mhz=50)


def test_an_interval_that_only_two_ports_reach_can_be_asked_for():
    s = allo.customize(pairs)
    s.pipeline("j", initiation_interval=1)
    rtl = check(s, device="ecp5-85", **SMALL)
    assert interval(rtl, "j") == 1
    with pytest.raises(allo.AlloError, match="T is read 2 times per iteration through one port"):
        s.build(target="rtl", device="ice40-hx8k")


def test_a_port_for_reads_and_one_for_writes_stay_where_that_is_as_fast():
    """Two reads and a write take two cycles either way."""
    rtl = check(pipelined(reads_and_writes, "i", "j"), device="ecp5-85", **SMALL)
    assert (interval(rtl, "j"), storage(rtl)) == (2, "block RAM")


def test_banks_of_a_partitioned_array_can_have_two_ports_each():
    s = pipelined(four_reads, "j", "c")
    s.partition(s.T, Partition.Block, dim=1, factor=2)
    rtl = check(s, device="ecp5-85", **SMALL)
    assert interval(rtl, "c") <= 2


def test_an_array_that_is_given_to_another_function_has_one_of_each():
    def half(T: int32[16], C: int32[8]):
        for k in range(8):
            C[k] = T[k] - T[k + 8]

    def caller(A: int32[16], C: int32[8]):
        T: int32[16] = 0
        for i in range(16):
            T[i] = A[i]
        half(T, C)

    s = pipelined(caller, "i", "half:k")
    rtl = check(s, device="ecp5-85", **SMALL)
    assert storage(rtl) == "block RAM"


@pytest.mark.parametrize(
    ("device", "family", "synthesis", "cell"),
    [("ecp5-85", "ecp5", "synth_ecp5", "DP16KD"),
     ("gw1n-9", "gowin", "synth_gowin -family gw1n", "DPX9B")],
)  # fmt: skip
def test_yosys_maps_them_to_block_rams(device, family, synthesis, cell, tmp_path):
    def large(A: int16[512], C: int16[511]):
        T: int16[512] = 0
        for i in range(512):
            T[i] = A[i]
        for j in range(511):
            C[j] = T[j] ^ T[j + 1]

    rtl = pipelined(large, "i", "j").build(target="rtl", device=device, clock_mhz=50)
    assert storage(rtl) == "block RAM, two ports"
    (tmp_path / "top.il").write_text(rtlil.convert(KernelComponent(rtl.design), name="top"))
    script = (
        f"read_rtlil top.il; {after_read(family)}; {synthesis} -top top; "
        "tee -q -o stat.json stat -json"
    )
    subprocess.run([*tool_command("yosys"), "-q", "-p", script], cwd=tmp_path, check=True)
    stat = json.loads((tmp_path / "stat.json").read_text())
    assert stat["design"]["num_cells_by_type"][cell] == 1


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=4, unique=True),
    st.lists(st.integers(4, 7), max_size=2, unique=True),
)
def test_reads_and_writes_of_any_number_agree(reads, writes):
    """Read before, at and after the words that other iterations write."""
    lines = [
        "import allo_rtl as allo",
        "from allo_rtl.ir.types import int16",
        "def mixed(A: int16[16], C: int16[8]) -> int16:",
        "    T: int16[16] = 0",
        "    for i in range(16):",
        "        T[i] = A[i]",
        "    for j in range(8):",
        f"        C[j] = {' - '.join(f'T[j + {r}]' for r in reads)}",
        *(f"        T[j + {w}] = A[j] + {w}" for w in writes),
        "    return T[3] + T[12]",
    ]
    kernel = source_generators.load("\n".join(lines), "mixed")
    check(pipelined(kernel, "i", "j"), device="ecp5-85", **SMALL)
