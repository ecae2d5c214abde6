"""Units in turn: one for all the wide products of a kernel that never happen at once.

The regions of a kernel follow each other, and so do the cycles of one region; operations on
operands of the same widths in different ones have one multiplier.  So it is with floating-point
sums, products, quotients and roots.
"""

import pytest
from agreement import check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allo_rtl as allo
from allo_rtl.ir.types import float32, int8, int32, uint32

FAST = {"device": "ecp5-85", "clock_mhz": 80}


def multipliers(rtl):
    """How many units of the design multiply."""
    return sum(n for name, n in rtl.report().units if name.startswith("mul"))


def agree(schedule, **options):
    """The hardware, after comparing its results and its cycles with what they should be."""
    return check(schedule, simulator="pysim", **(options or FAST))


def two_loops(a: uint32[6], b: uint32[6]) -> uint32:
    total: uint32 = 0
    for i in range(6):
        total += a[i] * b[i]
    for i in range(6):
        total = total * a[i]
    return total


@pytest.mark.parametrize("device", ["ecp5-85", "ice40-up5k", "ultrascale+"])
def test_loops_one_after_the_other_have_one_multiplier(device):
    s = allo.customize(two_loops)
    s.pipeline(s.get_loops()["S_i_0"]["i"])
    rtl = agree(s, device=device, clock_mhz=40)
    assert multipliers(rtl) == 1


def test_products_of_one_iteration_each_have_their_own():
    def both(a: uint32[6], b: uint32[6], c: uint32[6]):
        for i in range(6):
            b[i] = a[i] * b[i]
            c[i] = a[i] * c[i]

    s = allo.customize(both)
    s.pipeline("i")
    assert multipliers(agree(s)) == 2


def test_products_of_one_cycle_do_not_share_though_another_loop_could():
    def three(a: uint32[6], b: uint32[6], c: uint32[6]):
        for i in range(6):
            b[i] = a[i] * b[i]
            c[i] = a[i] * c[i]
        for j in range(6):
            c[j] = b[j] * c[j]

    s = allo.customize(three)
    s.pipeline("i")
    s.pipeline("j")
    assert multipliers(agree(s)) == 2


def test_products_in_turn_within_one_interval_have_one():
    def cubes(a: uint32[6], b: uint32[6]) -> uint32:
        last: uint32 = 1
        for i in range(6):
            b[i] = a[i] * a[i] * a[i]
        for j in range(6):
            last = last * b[j]
        return last

    s = allo.customize(cubes)
    s.pipeline("i", initiation_interval=2)
    assert multipliers(agree(s, device="ultrascale+", clock_mhz=143)) == 1


def test_a_chain_of_products_has_one():
    def power(x: uint32) -> uint32:
        y: uint32 = x * x
        z: uint32 = y * y
        return z * x

    assert multipliers(agree(allo.customize(power))) == 1


def test_a_product_chained_in_either_order_makes_no_loop_of_logic():
    def chained(a: uint32, b: uint32) -> uint32:
        x: uint32 = 0
        for _ in range(3):
            p: uint32 = a * b
            x += p * a
        for _ in range(3):
            q: uint32 = x * b
            x = q * q + x
        return x

    check(allo.customize(chained), device="ultrascale+", clock_mhz=20)  # in Verilator


def test_narrow_products_and_products_by_constants_are_not_shared():
    def narrow(a: int8[6], b: int8[6], c: int32) -> int32:
        total: int32 = 0
        for i in range(6):
            total += a[i] * b[i]
        for i in range(6):
            total += b[i] * a[i]
        return total + c * 12345679

    rtl = agree(allo.customize(narrow))
    assert multipliers(rtl) == 3


def test_signed_and_unsigned_operands_are_not_mixed():
    def mixed(a: uint32[4], b: int32[4]) -> int32:
        total: int32 = 0
        for i in range(4):
            total += (a[i] * b[i]) >> 30
        for i in range(4):
            total += (b[i] * b[i]) >> 30
        for i in range(4):
            total += (b[i] * b[3 - i]) >> 30
        return total

    assert multipliers(agree(allo.customize(mixed))) == 2


def units(rtl, name):
    """How many floating-point units of a name the design has."""
    return dict(rtl.report().units).get(name, 0)


def phases(a: float32[6], b: float32[6], c: float32[6]):
    for i in range(6):
        b[i] = a[i] * b[i] + 1.5
    for j in range(6):
        c[j] = b[j] * 0.5 - a[j]


@pytest.mark.parametrize("target", [("ultrascale+", 300), ("ecp5-85", 30)])
def test_loops_one_after_the_other_have_one_floating_point_unit_of_a_kind(target):
    s = allo.customize(phases)
    s.pipeline("i")
    s.pipeline("j")
    rtl = agree(s, device=target[0], clock_mhz=target[1])
    assert (units(rtl, "float32 mul"), units(rtl, "float32 add")) == (1, 1)


def test_floating_point_units_are_shared_in_an_interval_that_is_asked_for():
    def cubes(a: float32[6], b: float32[6]):
        for i in range(6):
            b[i] = a[i] * a[i] * a[i]

    s = allo.customize(cubes)
    s.pipeline("i", initiation_interval=3)  # four cycles apart: in two of the three
    assert units(agree(s, device="ultrascale+", clock_mhz=300), "float32 mul") == 1


def test_sharing_costs_no_cycles():
    """A unit whose operands could not be chosen in its first cycle is not shared."""
    cycles = {}
    for loops in (1, 2):
        source = "def kernel(a: float32[6]) -> float32:\n    x: float32 = 0\n" + "".join(
            f"    for i{n} in range(6):\n        x += a[i{n}]\n" for n in range(loops)
        )
        rtl = allo.customize(source + "    return x").build(
            target="rtl", device="ecp5-85", clock_mhz=140
        )
        cycles[loops] = rtl.predicted_cycles
    assert cycles[2] < 2 * cycles[1]


def test_a_floating_point_unit_has_a_few_users_at_most():
    lines = [f"    y{n}: float32 = y{n - 1} * x" for n in range(1, 17)]
    source = ["def power(x: float32) -> float32:", "    y0: float32 = x", *lines, "    return y16"]
    rtl = agree(allo.customize("\n".join(source)), device="ultrascale+", clock_mhz=300)
    assert units(rtl, "float32 mul") == 2  # of eight each


FLOAT_TERMS = ("a[i] * b[i]", "a[i] - x", "x * x - b[i]", "allo.sqrt(a[i]) / b[i]", "x / b[i]")


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(FLOAT_TERMS), st.integers(0, 3)), min_size=2, max_size=4),
    st.sampled_from([("ecp5-85", 15), ("ecp5-85", 50), ("ultrascale+", 300)]),
)
def test_random_loops_of_floats(loops, target):
    """Any sums and products in any order of loops, pipelined at some interval or not."""
    lines = ["def kernel(a: float32[3], b: float32[3]) -> float32:", "    x: float32 = 3"]
    for term, _ in loops:
        lines += ["    for i in range(3):", f"        x += {term}"]
    s = allo.customize("\n".join([*lines, "    return x"]))
    for band, (_, interval) in zip([b for _, b in s.get_loops()], loops, strict=True):
        if interval:
            s.pipeline(band["i"], initiation_interval=20 * interval)
    agree(s, device=target[0], clock_mhz=target[1])


TERMS = (
    "a[i] * b[i]", "a[i] * x", "x * x", "(a[i] + b[i]) * x", "a[i] * b[i] * x", "(x >> 3) * b[i]"
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(TERMS), st.booleans()), min_size=2, max_size=4),
    st.sampled_from(["uint32", "int32", "Int(40)"]),
    st.sampled_from([("ecp5-85", 30), ("ecp5-85", 100), ("ultrascale+", 143), ("gw1n-9", 60)]),
)
def test_random_loops(loops, word, target):
    """Any products in any order of loops, pipelined or not."""
    lines = [f"def kernel(a: {word}[4], b: {word}[4]) -> {word}:", f"    x: {word} = 3"]
    for term, _ in loops:
        lines += ["    for i in range(4):", f"        x += {term}"]
    s = allo.customize("\n".join([*lines, "    return x"]))
    for band, (_, pipelined) in zip([b for _, b in s.get_loops()], loops, strict=True):
        if pipelined:
            s.pipeline(band["i"])
    agree(s, device=target[0], clock_mhz=target[1])
