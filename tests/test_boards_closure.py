"""What place and route measured goes back into the schedule, until the clock is met."""

import json
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.boards.closure import close, kernel_lines
from allo_rtl.boards.critical import CriticalPath, Lines, Step, read_path
from allo_rtl.boards.synthesis import synthesise
from allo_rtl.errors import ToolError
from allo_rtl.hls.design import build_design
from allo_rtl.hls.operators import Operators, Stretch
from allo_rtl.ir.types import int16, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.rtl_module import RtlModule
from allo_rtl.target import device

CHIP = device("ecp5-25")


def polynomial(x: int16[8], y: int32[8]):
    for i in range(8):
        a: int32 = x[i] * 3 + 7
        b: int32 = a * x[i] + 11
        c: int32 = b * x[i] + 13
        y[i] = c * 5


def design(clock_mhz=50):
    s = allo.customize(polynomial)
    s.pipeline("i")
    return s.build(target="rtl", device="ecp5-25", clock_mhz=clock_mhz).design


FIRST = polynomial.__code__.co_firstlineno


def line(n):
    """The n-th line of the kernel's loop body, as the netlist names it."""
    return f"test_boards_closure.py:{FIRST + 1 + n}"


@dataclass(frozen=True)
class Placed:
    fmax_mhz: float
    critical: CriticalPath | None = None


def latencies(made):
    """Cycles of each operation's unit, in the order of the operations."""
    (schedule,) = made.top.schedules.values()
    return [unit.latency for unit in schedule.units.values()]


def depth(made):
    """Cycles of an iteration."""
    (schedule,) = made.top.schedules.values()
    return schedule.length


def test_operations_on_the_longest_path_get_more_time():
    found = CriticalPath((Step(9.0, "b", (line(2),)), Step(16.0, "c", (line(3),))))
    placed = iter([Placed(40.0, found), Placed(52.0)])
    first = design()
    closed = close(first, CHIP, 50.0, lambda *_: next(placed))
    assert closed.met
    assert depth(closed.design) == depth(first)  # their products have a register inside instead
    assert sum(latencies(closed.design)) > sum(latencies(first))
    assert closed.design.stretch == Stretch({line(2): 1.325, line(3): 1.325})
    assert closed.changes == (
        f"40.0 MHz instead of 50.0; {line(2)} taken 1.32 times, {line(3)} taken 1.32 times",
    )


def test_rescheduled_kernels_compute_the_same():
    whole = design()
    slow = build_design(whole.source, CHIP, 50.0, Stretch({line(2): 2.5}, 1.2))
    x = np.arange(-4, 4, dtype=np.int16)
    wanted, got = np.zeros(8, np.int32), np.zeros(8, np.int32)
    allo.customize(polynomial).build()(x, wanted)
    rtl = RtlModule(slow)
    rtl(x, got)
    np.testing.assert_array_equal(got, wanted)
    assert rtl.measured_cycles == rtl.predicted_cycles
    assert rtl.predicted_cycles > RtlModule(whole).predicted_cycles


def test_nothing_is_changed_when_the_clock_is_met():
    first = design()
    closed = close(first, CHIP, 50.0, lambda *_: Placed(50.0))
    assert (closed.design, closed.changes, closed.met) == (first, (), True)


def test_a_limit_that_stays_is_explained_in_lines_of_the_kernel():
    path = CriticalPath((Step(0.5), Step(20.0, "b", (line(2),)), Step(2.5, "w")))
    closed = close(design(), CHIP, 80.0, lambda *_: Placed(43.0, path), rounds=2)
    assert not closed.met
    assert len(closed.changes) == 3
    assert closed.changes[-1] == (
        f"80.0 MHz is not reached; longest path 23.0 ns: 0.5 at its first register, "
        f"22.5 at {line(2)}"
    )


def words(x: int16[8], y: int16[8]):
    for i in range(8):
        y[i] = x[i]


def test_what_no_register_can_make_shorter_is_placed_another_way():
    """A word goes from one memory to the other, however long the wire is taken to be."""
    s = allo.customize(words)
    s.pipeline("i")
    first = s.build(target="rtl", device="ecp5-25", clock_mhz=50).design
    seeds = []

    def build(made, seed):
        seeds.append(seed)
        return Placed(50.0 + seed)

    closed = close(first, CHIP, 52.0, build)
    assert seeds == [0, 1, 2]
    assert closed.tried_mhz == (50.0, 51.0, 52.0)
    assert closed.met
    assert closed.changes == (
        "50.0 MHz instead of 52.0; placed another way",
        "51.0 MHz instead of 52.0; placed another way",
    )


def test_a_schedule_that_fifos_were_sized_for_is_only_placed_another_way():
    seeds, first = [], design()
    sized = replace(first, depths={first.module.top_func.args[0]: 2})

    def build(made, seed):
        assert made is sized
        seeds.append(seed)
        return Placed(40.0)

    closed = close(sized, CHIP, 50.0, build, rounds=2)
    assert seeds == [0, 1, 2]
    assert not closed.met
    assert "FIFOs were sized for this schedule" in closed.changes[-1]


def test_paths_outside_of_the_operations_are_placed_another_way_before_all_are_slowed():
    path = CriticalPath((Step(22.0, "uart.count"), Step(3.0, "uart.bit")))
    assert str(path) == "25.0 ns from uart.count to uart.bit, at no line of the kernel"
    placed, tries = iter([Placed(40.0, path), Placed(41.0, path), Placed(60.0)]), []
    first = design()

    def build(made, seed):
        tries.append((seed, made.stretch))
        return next(placed)

    closed = close(first, CHIP, 50.0, build)
    slower = Stretch({}, 1.06 * 50 / 41)
    assert tries == [(0, Stretch()), (1, Stretch()), (0, slower)]
    assert closed.changes[0] == "40.0 MHz instead of 50.0; placed another way"
    assert closed.met


def test_what_is_missed_by_little_is_placed_another_way_once():
    """A slower schedule that is worse is left again for the one that nearly met the clock."""
    found = CriticalPath((Step(9.0, "b", (line(2),)), Step(16.0, "c", (line(3),))))
    placed, tries = iter([Placed(40.0, found), Placed(49.5), Placed(43.0), Placed(50.5)]), []

    def build(made, seed):
        tries.append((made, seed))
        return next(placed)

    first = design()
    closed = close(first, CHIP, 50.0, build)
    (_, zero), (slower, one), again, (last, _) = tries
    assert (zero, one, again) == (0, 0, (slower, 1))
    times = [made.stretch.lines.get(line(3), 1.0) for made in (first, slower, last)]
    assert times == sorted(times)
    assert times[0] < times[1]
    assert closed.met


def running(x: int32[32], y: int32[1]):
    for i in range(32):
        y[0] = y[0] * x[i] + 1


def test_where_a_slower_schedule_costs_cycles_it_comes_after_other_placements():
    """A product that lasts longer makes iterations of a recurrence start later."""
    at = f"test_boards_closure.py:{running.__code__.co_firstlineno + 2}"
    s = allo.customize(running)
    s.pipeline("i")
    first = s.build(target="rtl", device="ecp5-25", clock_mhz=90).design
    for fmax, wanted in ((85.0, [0, 1, 2, 0]), (75.0, [0, 0])):
        tries = []
        path = CriticalPath((Step(1000 / fmax, "p", (at,)),))

        def build(made, seed, fmax=fmax, path=path, tries=tries):
            tries.append((made, seed))
            return Placed(fmax, path)

        close(first, CHIP, 90.0, build, rounds=len(wanted) - 1)
        assert [seed for _, seed in tries] == wanted
        assert tries[-1][0].top.latency > 1.02 * first.top.latency


def test_the_fastest_build_is_kept():
    placed = iter([Placed(40.0), Placed(45.0), Placed(39.0), Placed(44.0)])
    closed = close(design(), CHIP, 50.0, lambda *_: next(placed))
    assert closed.attempt == Placed(45.0)


def test_a_build_that_fails_leaves_the_one_before():
    def build(made, seed):
        if made.stretch == Stretch():
            return Placed(40.0)
        raise ToolError("too large")

    closed = close(design(), CHIP, 50.0, build)
    assert closed.attempt == Placed(40.0)
    assert closed.changes[1] == "that failed: too large"


@settings(deadline=None)
@given(st.floats(1.0, 4.0), st.floats(1.0, 4.0))
@example(1.75, 1.8125)
def test_more_time_never_makes_a_unit_shorter(a, b):
    """An iteration may get shorter: a product with one more register has less logic behind it.

    So where the fewest cycles decide whether a product that fits into a cycle is cut all the same,
    more time may put an end to that; here none is.
    """
    source = _SOURCE.source
    low, high = sorted((a, b))
    with patch.object(Operators, "variants", lambda self, *_: [self]):
        quick, slow = (
            latencies(build_design(source, CHIP, 50.0, Stretch({}, f))) for f in (low, high)
        )
    assert len(quick) == len(slow) > 3
    assert all(x <= y for x, y in zip(quick, slow, strict=True))


_SOURCE = design()


def test_lines_of_a_kernel():
    assert {line(n) for n in range(1, 5)} <= kernel_lines(_SOURCE)


def thing(src="", **more):
    return {"attributes": {"src": src} if src else {}, **more}


def netlist(netnames, cells):
    top = {"attributes": {"top": "1"}, "netnames": netnames, "cells": cells}
    return Lines({"modules": {"top": top, "LUT4": {"attributes": {}}}})


def test_report_of_place_and_route(tmp_path):
    start = {"delay": 0.5, "type": "clk-to-q", "from": {"cell": "memory"}}
    wire = {"delay": 2.5, "net": "n", "sources": ["k.py:7"], "type": "routing"}
    adder = {"delay": 1.0, "type": "logic", "from": {"cell": "other_CCU2C_S0$CCU2_COMB0"}}
    bare = {"delay": 1.0, "net": "m", "sources": [], "type": "routing"}
    path = [start, wire, adder, bare]
    inside = {"from": "posedge clk", "to": "posedge clk", "path": path}
    pads = {"from": "<async>", "to": "posedge clk", "path": [{**wire, "delay": 99.0}]}
    (tmp_path / "report.json").write_text(json.dumps({"critical_paths": [pads, inside]}))
    lines = netlist({}, {"other_CCU2C_S0": thing("k.py:9|/maps.v:3", type="CCU2C")})
    path = read_path(tmp_path, lines)
    assert path.ns == 5.0
    assert path.lines == ("k.py:7", "k.py:9")
    assert str(path) == "5.0 ns: 0.5 at its first register, 2.5 at k.py:7, 2.0 at k.py:9"
    (tmp_path / "report.json").write_text("{}")
    assert read_path(tmp_path, lines) is None


def test_lines_of_cells_that_mapping_has_renamed():
    """Yosys names them after a net nearby; lines of its own files do not count."""
    own = "/share/gowin/cells_map.v:13.6-13.47"
    lines = netlist(
        {"k.sum": thing("k.py:7.3-7.9"), "k.sum_q": thing("k.py:8"), "k": thing("k.py:6")},
        {
            "k.sum_q_DFF_Q_1": thing(f"k.py:9|{own}", type="DFF"),
            "k.sum_LUT4_F": thing(own, type="LUT4"), "k.carry_ALU_SUM": thing(type="ALU"),
        },
    )  # fmt: skip
    assert lines.of("k.sum_q_DFF_Q_1") == ("k.py:9",)
    assert lines.of("k.sum_q_DFF_Q_1_passthrough_lut$") == ("k.py:9",)
    assert lines.of("k.sum_q_DFF_Q_2_D_ALU_SUM") == ("k.py:8",)
    assert lines.of("k.sum_LUT4_F") == ("k.py:7",)
    assert lines.of("k.other_LUT4_F") == ()
    assert lines.of("k.sum_valid_LUT4_F") == ()  # another signal, whose name begins like that


@pytest.mark.long
def test_clock_met_after_place_and_route():
    """Scheduled for a clock that is far too slow, and closed."""
    made = replace(design(10), clock_mhz=10.0)
    closed = close(
        made, CHIP, 80.0,
        lambda d, seed: synthesise(
            KernelComponent(d), "ecp5-25", clock_mhz=80.0, first_seed=seed
        ),
    )  # fmt: skip
    assert closed.met
    assert len(closed.changes) >= 1
