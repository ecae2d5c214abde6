"""A kernel alone, placed and routed."""

import json

import kernels
import pytest
from amaranth.back import rtlil

import allo_rtl as allo
from allo_rtl.boards import synthesis as synthesis_module
from allo_rtl.boards.scripts import after_read, after_synth, synth_files
from allo_rtl.boards.synthesis import Synthesis, synthesise
from allo_rtl.boards.toolchain import run_commands
from allo_rtl.errors import BuildError
from allo_rtl.hls import delay
from allo_rtl.ir.types import int8, int16, int32
from allo_rtl.target import device as find_device


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


def products(
    a: int8, b: int8, c: int16, d: int16, e: int32, f: int32,
    P: int16[1], Q: int32[1], R: int32[1],
):
    P[0] = a * b
    Q[0] = c * d
    R[0] = e * f


@pytest.mark.parametrize(
    "device",
    ["ecp5-25", *(pytest.param(d, marks=pytest.mark.long) for d in ("ice40-up5k", "gw1n-9"))],
)
@pytest.mark.parametrize("clock_mhz", [10, 60])
def test_products_take_the_blocks_that_the_model_says(device, clock_mhz, tmp_path):
    """Also where they are cut for a fast clock; on Gowin that saves one of MULT36X36's four."""
    cells = cells_of(products, device, clock_mhz, tmp_path)
    family = synthesis_module._flow(device).family
    model = delay.load(find_device(device).family)
    wanted = model.dsps(8, 8, 16) + model.dsps(16, 16, 32) + model.dsps(32, 32, 32)
    found = synthesis_module._count(cells, family)[3]
    assert found <= wanted if family == "gowin" else found == wanted


def cells_of(kernel, device, clock_mhz, folder):
    """How many cells of each kind Yosys makes of a kernel."""
    rtl = allo.customize(kernel).build(target="rtl", device=device, clock_mhz=clock_mhz)
    (folder / "top.il").write_text(rtlil.convert(rtl.component, name="top"))
    flow = synthesis_module._flow(device)
    pads = " -noiopads" if flow.family == "gowin" else ""
    script = (
        f"read_rtlil top.il; {after_read(flow.family)}; {flow.synth}{pads} -top top; "
        "tee -q -o stat.json stat -json"
    )
    run_commands([["yosys", "-q", "-p", script]], folder, what="products", family=flow.family)
    return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


@pytest.mark.long
def test_products_that_a_block_is_too_slow_for_take_halves_of_blocks(tmp_path):
    """One, four and ten of them: a product of 32 bits is cut into pieces of 8."""
    cells = cells_of(products, "gw1n-9", 80, tmp_path)
    assert {k: n for k, n in cells.items() if k.startswith("MULT")} == {"MULT9X9": 15}


TABLES = """
module gold(input [2:0] x, output [2:0] y);
LUT1 #(.INIT(2'b01)) one(.F(y[0]), .I0(x[0]));
LUT2 #(.INIT(4'b0110)) two(.F(y[1]), .I0(x[0]), .I1(x[1]));
LUT3 #(.INIT(8'b11010010)) three(.F(y[2]), .I0(x[0]), .I1(x[1]), .I2(x[2]));
endmodule
"""


def test_tables_of_gowin_become_such_with_four_inputs_that_compute_the_same(tmp_path):
    """nextpnr has no delays of others.  Yosys proves it whatever the further inputs are."""
    for name, text in (*synth_files("gowin").items(), ("gold.v", TABLES)):
        (tmp_path / name).write_text(text)
    smaller = " ".join(f"gate/t:LUT{n}" for n in (1, 2, 3))
    script = (
        "read_verilog -lib +/gowin/cells_sim.v; read_verilog gold.v; copy gold gate; cd gate; "
        f"{after_synth('gowin', 'net.json').partition(';')[0]}; cd ..; "
        f"select -assert-count 3 gate/t:LUT4; select -assert-none {smaller}; "
        "techmap -map +/gowin/cells_sim.v gold gate; proc; miter -equiv -flatten gold gate both; "
        "sat -verify -prove trigger 0 both"
    )
    run_commands([["yosys", "-q", "-p", script]], tmp_path, what="tables", family="gowin")


def test_device_without_open_place_and_route():
    rtl = allo.customize(kernels.gemm).build(target="rtl", device="ultrascale+", clock_mhz=300)
    with pytest.raises(BuildError) as error:
        synthesise(rtl.component, "ultrascale+", clock_mhz=300)
    assert str(error.value) == (
        "there is no open place and route for 'ultrascale+'\n"
        "  allowed: ice40-hx8k, ice40-up5k, ecp5-25, ecp5-45, ecp5-85, gw1n-9, gw2a-18"
    )
