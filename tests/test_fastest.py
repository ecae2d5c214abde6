"""Products that fit into a cycle are cut where that is faster."""

import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.hls import delay
from allo_rtl.hls.node import Kind
from allo_rtl.ir.types import int32


def horner(x: int32[12], y: int32[2]):
    for i in range(12):
        y[i & 1] = y[i & 1] * x[i] + 1


@pytest.mark.parametrize("name", ["ecp5-85", "gw1n-9"])
def test_a_slower_clock_never_takes_more_cycles(name):
    """Also where a whole product just fits into a cycle, of which it leaves nothing."""
    s = allo.customize(horner)
    s.pipeline("i")
    clocks = range(30, 121, 5)
    built = [s.build(target="rtl", device=name, clock_mhz=mhz) for mhz in clocks]
    cycles = [rtl.predicted_cycles for rtl in built]
    assert cycles == sorted(cycles)
    assert cycles[0] < cycles[-1]


def test_a_product_that_fits_is_cut_where_that_is_faster():
    s = allo.customize(horner)
    s.pipeline("i")
    rtl = check(s, device="ecp5-85", clock_mhz=80)
    [product] = [
        unit
        for timed in rtl.design.top.schedules.values()
        for node, unit in timed.units.items()
        if node.kind is Kind.MUL
    ]
    assert product.latency == 1
    whole = delay.load("ecp5").delay("mul_low", 32)
    assert whole <= 1000 / 80 - delay.load("ecp5").register_ns
    assert rtl.report().loops[-1].ii == 2
