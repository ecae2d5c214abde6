"""Units in turn within an interval, and as many of them as the user allows."""

import json

import pytest
from agreement import check
from amaranth.back import rtlil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.boards.closure import kernel_lines
from allo_rtl.boards.synthesis import _count
from allo_rtl.boards.toolchain import run_commands
from allo_rtl.errors import BuildError
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.design import build_design
from allo_rtl.hls.operators import Stretch
from allo_rtl.ir.types import float32, int8, int32, uint32
from allo_rtl.rtl_module import RtlModule
from allo_rtl.target import device

FAST = {"device": "ecp5-85", "clock_mhz": 80}


def agree(schedule, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", **{**FAST, **options})


def count(rtl, start):
    """How many units of the design have a name that starts so."""
    return sum(n for name, n in rtl.report().units if name.startswith(start))


def pairs(A: uint32[34], B: uint32[34], C: uint32[32]):
    for i in range(32):
        C[i] = A[i] * B[i] + A[i + 1] * B[i + 1]


def piped(kernel, **options):
    s = allo.customize(kernel)
    s.pipeline("i", **options)
    return s


def test_an_interval_that_ports_ask_for_halves_the_multipliers():
    s = piped(pairs)
    rtl = agree(s)
    [loop] = rtl.report().loops
    assert (loop.ii, loop.certificate.reason) == (2, Reason.PORT)
    assert count(rtl, "mul") == 1
    s.partition("A", dim=1)
    s.partition("B", dim=1)
    assert count(agree(s), "mul") == 2  # one iteration a cycle


def test_an_interval_that_a_recurrence_asks_for_leaves_one_unit_of_a_kind():
    def running(A: float32[150], B: float32[150]) -> float32:
        total: float32 = 0
        for i in range(150):
            total += A[i] * B[i] + 2.0 * (A[i] - B[i]) + B[i] * B[i]
        return total

    rtl = agree(piped(running), device="ultrascale+", clock_mhz=300)
    [*_, loop] = rtl.report().loops
    assert loop.certificate.reason is Reason.RECURRENCE
    assert count(rtl, "float32 mul") == 1
    assert count(rtl, "float32 add") == 1


def test_adders_are_not_shared():
    def sums(A: int32[34], C: int32[32]):
        for i in range(32):
            C[i] = (A[i] + A[i + 1]) ^ (A[i + 1] + A[i + 2])

    assert count(agree(piped(sums)), "add 32") == 2


def test_operations_of_one_cycle_take_turns_where_the_interval_is_asked_for():
    """The words are in registers, so that nothing else puts the products into different cycles."""
    def four(a: uint32, b: uint32, C: uint32[8]):
        for i in range(8):
            x: uint32 = a + i
            C[i] = x * a + x * b + (x * 7001 ^ a) * x + b * (a - i)

    s = piped(four, initiation_interval=4)
    assert count(agree(s), "mul") <= 2  # 32 by 32 bits, and the one by a constant
    assert count(agree(s, units={"mul": 2}), "mul") == 2
    s = piped(four, initiation_interval=2)
    assert count(agree(s), "mul") <= 3


def test_a_limit_makes_the_interval_longer_and_the_report_says_so():
    def fourfold(A: uint32[16], B: uint32[16]):
        for i in range(16):
            B[i] = A[i] * A[i] * A[i] * A[i] * A[i]

    rtl = agree(piped(fourfold))
    assert (rtl.report().loops[0].ii, count(rtl, "mul")) == (1, 4)
    for most, ii in ((3, 2), (2, 2), (1, 4)):
        rtl = agree(piped(fourfold), units={"mul": most})
        [loop] = rtl.report().loops
        assert loop.ii == ii
        assert count(rtl, "mul") <= most
        assert loop.certificate.reason is Reason.UNIT
        assert (loop.certificate.bound, len(loop.certificate.steps)) == (ii, 4)
        assert loop.limit.startswith(f"mul is done 4 times per iteration by {most} unit")


def test_an_interval_that_a_limit_forbids_is_refused():
    s = piped(pairs, initiation_interval=1)
    s.partition("A", dim=1)
    s.partition("B", dim=1)
    assert count(agree(s), "mul") == 2
    with pytest.raises(BuildError) as error:
        s.build(target="rtl", units={"mul": 1}, **FAST)
    assert "mul is done 2 times per iteration by 1 unit" in error.value.message


def mixed(a: int8[12], b: int32[12], c: uint32, d: int32[12]):
    for i in range(11):
        d[i] = a[i] * b[i] + a[i] * a[i + 1] - b[i] * 12345679
    for i in range(11):
        d[i] += (d[i] * c >> 40) + b[i] * a[11 - i]


@pytest.mark.parametrize("device", ["ecp5-85", "ice40-up5k", "ultrascale+", "gw1n-9"])
def test_one_multiplier_does_products_of_all_widths_and_signs(device):
    """Also those by constants, and in code that is not pipelined."""
    s = allo.customize(mixed)
    assert count(agree(s, device=device, clock_mhz=40), "mul") > 1
    assert count(agree(s, device=device, clock_mhz=40, units={"mul": 1}), "mul") == 1
    s.pipeline(s.get_loops()["S_i_0"]["i"])
    assert count(agree(s, device=device, clock_mhz=40, units={"mul": 1}), "mul") == 1


def test_a_constant_factor_as_wide_as_others_is_in_nobody_s_way():
    def factors(a: uint32[6], b: uint32[6]) -> uint32:
        total: uint32 = 0
        for i in range(6):
            total += a[i] * b[i]
        for i in range(6):
            total += b[i] * a[5 - i]
        for i in range(6):
            total ^= a[i] * 3735928559
        return total

    s = allo.customize(factors)
    assert count(agree(s), "mul") == 2
    assert count(agree(s, units={"mul": 1}), "mul") == 1


def phases(a: float32[6], b: float32[6]):
    for i in range(6):
        b[i] = a[i] * b[i] + a[i] * 1.5 + allo.sqrt(b[i]) / a[i] - b[i]


@pytest.mark.parametrize(
    "target", [("ultrascale+", 300), ("ecp5-85", 10), ("ecp5-85", 30), ("ecp5-85", 140)]
)
def test_floating_point_units_are_limited_whatever_the_clock(target):
    """Where the choice does not fit into their first cycle, a register follows it."""
    units = {"float32 mul": 1, "float32 add": 1, "float32 div": 1}
    for s in (allo.customize(phases), piped(phases)):
        rtl = agree(s, device=target[0], clock_mhz=target[1], units=units)
        assert count(rtl, "float32 mul") == count(rtl, "float32 add") == 1


def test_loops_at_the_same_time_cannot_have_one_unit():
    def both(A: uint32[8], B: uint32[8]):
        for i in range(8):
            A[i] = A[i] * A[i]
        for j in range(8):
            B[j] = B[j] * B[j]

    s = allo.customize(both)
    s.pipeline("i")
    s.pipeline("j")
    s.overlap("i", "j")
    with pytest.raises(BuildError) as error:
        s.build(target="rtl", units={"mul": 1}, **FAST)
    assert "'both' has loops that run at the same time, and needs 2 units" in error.value.message
    assert count(agree(s, units={"mul": 2}), "mul") == 2


@pytest.mark.parametrize(
    ("units", "message", "hint"),
    [
        ({"mull": 1}, "'mull' is no unit", "did you mean 'mul'?"),
        ({"float32 plus": 1}, "'float32 plus' is no unit", "did you mean"),
        ({3: 1}, "3 is no unit", None),
        ({"divide": 1}, "'divide' is no unit", "did you mean 'div'?"),
        ({"mul": 0}, "0 units for 'mul'", None),
        ({"mul": True}, "True units for 'mul'", None),
        ({"float32 mul": 1.5}, "1.5 units for 'float32 mul'", None),
    ],
)
def test_limits_that_mean_nothing_are_refused(units, message, hint):
    with pytest.raises(BuildError) as error:
        allo.customize(pairs).build(target="rtl", units=units)
    assert message in error.value.message
    assert hint is None or hint in error.value.hint


def test_the_netlist_has_fewer_blocks_with_fewer_units(tmp_path):
    blocks = {}
    s = piped(pairs)
    s.partition("A", dim=1)
    s.partition("B", dim=1)
    for most in (1, 2):
        rtl = s.build(target="rtl", units={"mul": most}, **FAST)
        (tmp_path / "top.il").write_text(rtlil.convert(rtl.component, name="top"))
        script = "read_rtlil top.il; synth_ecp5 -run begin:map_ram -top top; tee -q -o s stat -json"
        run_commands([["yosys", "-q", "-p", script]], tmp_path, what="pairs", family="ecp5")
        cells = json.loads((tmp_path / "s").read_text())["design"]["num_cells_by_type"]
        blocks[most] = _count(cells, "ecp5")[3]
    assert blocks[2] >= 2 * blocks[1] > 0


TERMS = ("a[i] * b[i]", "a[i] * x", "x * x", "(a[i] - 9) * (x & 63)", "b[i] * 71003", "a[i] + x")


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(TERMS), min_size=1, max_size=4), st.integers(0, 4)),
        min_size=1, max_size=3,
    ),
    st.sampled_from(["uint32", "int32", "int8", "Int(40)"]),
    st.sampled_from([("ecp5-85", 30), ("ecp5-85", 100), ("ultrascale+", 143), ("gw1n-9", 60)]),
    st.integers(1, 3),
)  # fmt: skip
def test_random_products_with_a_limit(loops, word, target, most):
    """Any products in any order of loops, pipelined or not, by a few multipliers."""
    lines = [f"def kernel(a: {word}[4], b: {word}[4]) -> {word}:", f"    x: {word} = 3"]
    for terms, _ in loops:
        lines += ["    for i in range(4):", f"        x = {' ^ '.join(terms)}"]
    s = allo.customize("\n".join([*lines, "    return x"]))
    for band, (_, interval) in zip([b for _, b in s.get_loops()], loops, strict=True):
        if interval:
            s.pipeline(band["i"], initiation_interval=8 * interval if interval > 1 else None)
    rtl = agree(s, device=target[0], clock_mhz=target[1], units={"mul": most})
    assert count(rtl, "mul") <= most


@pytest.mark.parametrize("factor", [1.2, 2.0, 3.0])
def test_a_line_that_is_taken_to_last_longer_has_the_same_unit(factor):
    """As timing closure does where a path is too long."""

    def lines(A: uint32[8], B: uint32[8], C: uint32[8]):
        for i in range(8):
            B[i] = A[i] * B[i]
            C[i] = A[i] * C[i]

    design = piped(lines).build(target="rtl", units={"mul": 1}, **FAST).design
    for line in sorted(kernel_lines(design)):
        slow = build_design(
            design.source, device(FAST["device"]), FAST["clock_mhz"], Stretch({line: factor}),
            {"mul": 1},
        )  # fmt: skip
        assert count(RtlModule(slow), "mul") == 1
