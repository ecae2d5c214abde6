"""A kernel alone, placed and routed."""

import kernels
import pytest

import allo_rtl as allo
from allo_rtl.boards.synthesis import Synthesis, synthesise
from allo_rtl.errors import BuildError


def synthesis(kernel, device, **options):
    rtl = allo.customize(kernel).build(target="rtl", device=device, clock_mhz=40)
    return synthesise(rtl.component, device, clock_mhz=40, **options)


def check(found: Synthesis, dsp):
    assert 30 < found.lut < 400
    assert 30 < found.ff < 400
    assert (found.bram, found.dsp) == (0, dsp)
    assert 15 < found.fmax_mhz < 400
    assert found.fmax_mhz == max(found.seeds_mhz)


def test_kernel_by_itself():
    found = synthesis(kernels.matvec, "ice40-up5k", seeds=2)
    check(found, dsp=1)
    assert len(found.seeds_mhz) == 2


@pytest.mark.long
@pytest.mark.parametrize(("device", "dsp"), [("ecp5-85", 1), ("gw1n-9", 1), ("gw2a-18", 1)])
def test_families(device, dsp):
    check(synthesis(kernels.matvec, device), dsp)


def test_device_without_open_place_and_route():
    rtl = allo.customize(kernels.gemm).build(target="rtl", device="ultrascale+", clock_mhz=300)
    with pytest.raises(BuildError) as error:
        synthesise(rtl.component, "ultrascale+", clock_mhz=300)
    assert str(error.value) == (
        "there is no open place and route for 'ultrascale+'\n"
        "  allowed: ice40-hx8k, ice40-up5k, ecp5-25, ecp5-45, ecp5-85, gw1n-9, gw2a-18"
    )
