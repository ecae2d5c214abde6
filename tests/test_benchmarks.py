"""The benchmarks keep what they have reached; each run compares its results with numpy's."""

import pytest

from allo_rtl.ir.types import int8, int32
from allo_rtl.rtl.verilog import to_verilog
from benchmarks import handwritten
from benchmarks.polybench_u32 import CASES, measure
from benchmarks.systolic import (
    DEVICE,
    ECP5,
    FAST_MHZ,
    PERIOD_NS,
    TILE,
    WHOLE,
    forms,
    multiplier_latency,
    run,
)
from benchmarks.systolic_designs import (
    daisy_chain,
    linear,
    square,
    square_of_block_ram,
    tiled,
    unfolded,
    weight_stationary,
)

CASE = {case.name: case for case in CASES}
UNITS = {"device": DEVICE, "clock_mhz": 1000 / PERIOD_NS}


def test_the_nineteen_kernels_are_there():
    assert len(CASE) == 19


@pytest.mark.parametrize(
    ("name", "cycles", "multipliers"),
    [("bicg", 65, 2), ("mvt", 151, 2), ("atax", 187, 2), ("trisolv", 147, 1), ("trmm", 436, 1),
     ("symm", 1526, 1)],
)
def test_small_kernels(name, cycles, multipliers):
    """bicg makes a product on each multiplier in every cycle but the last, trmm in all but four."""
    found = measure(CASE[name])
    assert found.cycles <= cycles
    assert found.multipliers == multipliers


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_kernel_is_slower_than_vivado_hls_or_has_more_multipliers(case):
    found = measure(case)
    assert found.ratio < 1
    assert found.multipliers <= case.multipliers


def sides(case, device):
    """Cycles of a kernel (by hand, compiled)."""
    rtl = handwritten.build(case, device)
    by_hand = to_verilog(case.design(rtl.interface), rtl.interface.name)
    return tuple(handwritten.simulate(case, rtl, text) for text in (by_hand, rtl.verilog))


def test_a_filter_takes_no_more_cycles_than_one_written_by_hand():
    by_hand, compiled = sides(handwritten.CASES[1], handwritten.ECP5)
    assert compiled <= by_hand == 260


@pytest.mark.long
@pytest.mark.parametrize("device", [handwritten.ECP5, handwritten.UP5K])
@pytest.mark.parametrize("case", handwritten.CASES, ids=lambda case: case.name)
def test_no_kernel_takes_more_cycles_than_one_written_by_hand(case, device):
    by_hand, compiled = sides(case, device)
    assert compiled <= by_hand


@pytest.mark.parametrize(("n", "cycles"), [(2, 4), (8, 22), (16, 46)])
def test_square_products_on_systolic_arrays(n, cycles):
    """Piezo's take 11, 29 and 53."""
    assert square(n, int32).build(target="rtl", **UNITS).predicted_cycles <= cycles


def test_a_product_that_takes_longer_delays_the_last_sum_only():
    rtl = square(6, int8).build(target="rtl", device=DEVICE, clock_mhz=FAST_MHZ)
    assert multiplier_latency(rtl) == 1
    assert run(rtl, 6, int8) == 3 * 6 - 2 + 1


def test_block_ram_and_the_fifo_behind_it_take_a_cycle_each():
    rtl = square_of_block_ram(4, int8).build(target="rtl", **UNITS)
    assert run(rtl, 4, int8) == 3 * 4


@pytest.mark.long
def test_an_array_of_32_x_32_is_simulated():
    """A thousand elements; Verilator and the C++ compiler take minutes of processor time for it."""
    rtl = square(32, int8).build(target="rtl", **UNITS)
    assert run(rtl, 32, int8) == 3 * 32 - 2


@pytest.mark.long
def test_the_tiled_array_of_the_page_is_busy():
    cycles = run(tiled(WHOLE, TILE).build(target="rtl", **ECP5), WHOLE, int8)
    assert WHOLE**3 / (TILE**2 * cycles) > 0.995


@pytest.mark.parametrize(
    ("schedule", "cycles"),
    [
        (lambda: weight_stationary(16, 4), 16 + 8), (lambda: unfolded(4, 16), 16 + 11),
        (lambda: linear(16, 4), 64 + 9), (lambda: daisy_chain(4, 16), 64 + 24),
    ],
    ids=["weights stay", "unfold", "line", "daisy chain"],
)  # fmt: skip
def test_other_forms_of_arrays(schedule, cycles):
    """The words of the longest way in, and the way through the array and out."""
    assert schedule().build(target="rtl", **ECP5).predicted_cycles <= cycles


@pytest.mark.long
@pytest.mark.parametrize("form", forms(), ids=lambda form: form.name)
def test_forms_of_arrays_compute_what_numpy_does(form):
    assert form.row()[0] == form.name


def test_a_tiled_systolic_array_is_busy():
    """An element makes a product in all cycles but those of the way through the array."""
    rtl = tiled(16, 2).build(target="rtl")
    assert run(rtl, 16, int8) <= 16**3 // 4 + 8
