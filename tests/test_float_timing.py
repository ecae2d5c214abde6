"""How many stages floating-point units get, and where their registers go."""

from itertools import product

import pytest

from allo_rtl.hls import delay
from allo_rtl.hls.float_timing import (
    INTEGERS,
    FloatTiming,
    balance,
    data,
    float_timing,
    key_of,
    unit_timing,
    ways_ns,
)  # fmt: skip
from allo_rtl.hls.node import FloatSpec
from allo_rtl.ir.ops import FloatKind
from allo_rtl.ir.types import (
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
)  # fmt: skip

FORMATS = (float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64)
CONVERSIONS = (FloatKind.CONVERT, FloatKind.FROM_INT, FloatKind.TO_INT)


def all_specs() -> list[tuple[FloatSpec, int]]:
    """Every operation on every format, with widths of integers."""
    kinds = [kind for kind in FloatKind if kind not in CONVERSIONS]
    specs = [(FloatSpec(kind, fmt), 0) for kind, fmt in product(kinds, FORMATS)]
    pairs = product(FORMATS, repeat=2)
    specs += [(FloatSpec(FloatKind.CONVERT, fmt, target), 0) for fmt, target in pairs]
    integers = product((FloatKind.FROM_INT, FloatKind.TO_INT), FORMATS, (1, 33, 512, 700))
    return specs + [(FloatSpec(kind, fmt), bits) for kind, fmt, bits in integers]


def budget(model: delay.DelayModel, mhz: float) -> float:
    """Logic that fits between registers."""
    return 1000 / mhz - model.register_ns


@pytest.mark.parametrize(
    ("delays", "stages", "cuts"),
    [
        ([1, 1, 1, 1], 0, set()),
        ([1, 1, 1, 1], 1, set()),
        ([1, 1, 1, 1], 2, {1}),
        ([1, 1, 1, 1], 4, {0, 1, 2}),
        ([1, 1, 1, 1], 9, {0, 1, 2}),
        ([5, 1, 1, 1, 1, 1], 2, {0}),
        ([1, 1, 1, 5, 1, 1], 3, {2, 3}),
        ([5, 1, 1], 3, {0, 1}),
        ([2], 3, set()),
    ],
)
def test_registers_are_put_where_they_shorten_the_longest_way(delays, stages, cuts) -> None:
    assert balance(delays, stages) == cuts


def test_every_unit_is_known_and_named() -> None:
    keys = {key_of(*spec) for spec in all_specs()}
    assert keys <= set(data()["units"])
    assert {k.split()[0] for k in keys} == {k.split()[0] for k in data()["units"]}
    assert key_of(FloatSpec(FloatKind.SUB, float32), 0) == "add float32"
    assert key_of(FloatSpec(FloatKind.GT, float16), 0) == "compare float16"
    assert key_of(FloatSpec(FloatKind.MAX, float16), 0) == "min float16"
    assert key_of(FloatSpec(FloatKind.CONVERT, float32, bfloat16), 0) == "convert float32 bfloat16"
    assert key_of(FloatSpec(FloatKind.TO_INT, float32), 33) == "to_int float32 64"
    assert key_of(FloatSpec(FloatKind.FROM_INT, float32), 1000) == "from_int float32 512"


def test_no_unit_is_slower_than_the_file_says() -> None:
    model = delay.load("ecp5")
    columns = data()["columns"]
    for row in data()["points"]:
        r = dict(zip(columns, row, strict=True))
        key = " ".join(filter(None, (r["operation"], r["format"], r["other"])))
        width = {str(f): f.width for f in FORMATS}[r["format"]]
        ways = ways_ns(unit_timing(key), r["stages"], model, width)
        assert max(ways) >= 1000 / r["mhz"] - model.register_ns - 0.05, key
        assert len(ways) == min(max(1, r["stages"]), len(unit_timing(key).steps))


@pytest.mark.parametrize("family", ["ecp5", "ice40up", "gw2a"])
@pytest.mark.parametrize("mhz", [1, 25, 100])
def test_the_stages_are_the_fewest_that_keep_the_clock(family: str, mhz: float) -> None:
    model = delay.load(family)
    limit = budget(model, mhz)
    for spec, bits in all_specs():
        timing, unit = float_timing(spec, bits, model, limit), unit_timing(key_of(spec, bits))
        longest = [
            max(ways_ns(unit, n, model, spec.format.width)) for n in range(len(unit.steps) + 1)
        ]
        fitting = [n for n, ns in enumerate(longest) if ns <= limit]
        assert timing.stages == (fitting[0] if fitting else len(unit.steps))
        assert 0 < timing.first_ns <= limit


def test_slow_clocks_chain_units_and_fast_ones_pipeline_them() -> None:
    model = delay.load("ecp5")

    def stages(kind: FloatKind, mhz: float) -> int:
        return float_timing(FloatSpec(kind, float32), 0, model, budget(model, mhz)).stages

    assert [stages(FloatKind.LT, mhz) for mhz in (25, 50, 100)] == [0, 0, 0]
    assert [stages(FloatKind.ADD, mhz) for mhz in (10, 50, 100, 150)] == [0, 3, 6, 12]
    assert [stages(FloatKind.DIV, mhz) for mhz in (2, 50, 100)] == [0, 9, 19]


def test_published_latencies_are_taken_where_they_are_shorter() -> None:
    model = delay.load("ultrascale+")

    def timing(kind: FloatKind, mhz: float) -> FloatTiming:
        return float_timing(FloatSpec(kind, float32), 0, model, budget(model, mhz))

    for kind in (FloatKind.ADD, FloatKind.SUB, FloatKind.MUL):
        assert timing(kind, 300) == FloatTiming(4, 0.0)  # their operands are registered
        assert timing(kind, 301).stages > 4  # nobody built them for that
        assert timing(kind, 100).stages < 4  # our own are as fast there
    assert timing(FloatKind.DIV, 300).stages > 4


def test_all_integer_widths_of_the_file_are_known() -> None:
    for fmt, bits in product(FORMATS, INTEGERS):
        assert f"from_int {fmt} {bits}" in data()["units"]
        assert f"to_int {fmt} {bits}" in data()["units"]
