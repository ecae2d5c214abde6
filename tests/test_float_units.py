"""Floating-point units: bit for bit what the model says, and float32 what this machine says."""

import ctypes
import random

import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.sim import Simulator
from float_bench import (
    FORMATS,
    Case,
    binary_cases,
    check,
    compare_cases,
    compile_cases,
    corners,
    fma_case,
    integer_cases,
    some_rows,
    unary_cases,
)

from allo_rtl.ir import floats
from allo_rtl.ir.floats import FLOAT8_E4M3, FLOAT8_E5M2, FLOAT16, FLOAT32, FLOAT64, FloatFormat
from allo_rtl.ir.types import Int, UInt
from allo_rtl.rtl import float_units
from allo_rtl.rtl.float_pipeline import Kept, Pipeline, build
from allo_rtl.rtl.names import Names

STAGES = {
    "float8_e5m2": 0, "float8_e4m3": 1, "float16": 2, "bfloat16": 3, "float32": 5, "float64": 8,
}  # fmt: skip


def all_cases(fmt: FloatFormat, stages: int) -> list[Case]:
    """Every unit with so many stages."""
    return [
        *binary_cases(fmt, lambda _: stages),
        *compare_cases(fmt, lambda _: stages),
        fma_case(fmt, lambda _: stages),
        *unary_cases(fmt, lambda _: stages),
        *integer_cases(fmt, lambda _: stages),
    ]


def integer_rows(seed: int) -> list[tuple[int]]:
    """Integers of all lengths, as 64-bit patterns."""
    rng = random.Random(seed)
    rows = [(rng.getrandbits(rng.randrange(1, 65)),) for _ in range(2_000)]
    return rows + [(x % (1 << 64),) for k in range(64) for x in (1 << k, (1 << k) - 1, -(1 << k))]


def simulate(build_unit, width: int, values: list[int], latency: int) -> list[int]:
    """Results of a unit with one operand, which gets one value a cycle, in Amaranth's simulator."""
    m, operand = Module(), Signal(width)
    m.domains.sync = ClockDomain(reset_less=True)
    result = build_unit(m, operand)
    output = Signal(result.shape())
    m.d.comb += output.eq(result)
    m.d.sync += Signal().eq(0)
    found = []

    async def bench(ctx):
        for value in [*values, *[0] * latency]:
            ctx.set(operand, value)
            found.append(ctx.get(output))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[latency:]


def test_a_unit_does_not_have_less_than_no_stages() -> None:
    with pytest.raises(ValueError, match=r"^a unit has 0 stages or more, not -1$"):
        build(Module(), lambda p: Signal(), stages=-1, name=Names())


def test_a_value_moves_along_by_registers_that_are_made_once() -> None:
    p = Pipeline(Module(), Names(), frozenset({0}))
    value = p.keep(Signal(4, name="x"), "x")
    assert isinstance(value, Kept)
    before = value.now
    p.end_step(1.0)
    after = value.now
    p.end_step(1.0)
    assert (before.name, after.name, value.now is after) == ("x", "x_1", True)


@pytest.mark.parametrize("stages", range(16))
def test_any_number_of_stages_gives_the_same_results_later(stages: int) -> None:
    fmt, rng = FLOAT8_E5M2, random.Random(stages)
    values = [rng.getrandbits(24) for _ in range(60)]

    def unit(m, x):
        a, b, c = x[:8], x[8:16], x[16:]
        return float_units.fma(m, fmt, a, b, c, stages=stages, name=Names(), limb=2)

    expected = [floats.fma(fmt, v % 256, v // 256 % 256, v >> 16) for v in values]
    assert simulate(unit, 24, values, stages) == expected


def test_significands_are_multiplied_in_pieces_of_any_size() -> None:
    fmt = FORMATS["float32"]

    def of(name: str, limb: int, stages: int) -> Case:
        unit, count = getattr(float_units, name), 2 if name == "mul" else 3
        return Case(
            f"{name} in pieces of {limb}", stages,
            lambda m, x, s: unit(
                m, fmt, *(v[:32] for v in x[:count]), stages=s, name=Names(), limb=limb
            ),
            lambda *x: getattr(floats, name)(fmt, *x), count,
        )  # fmt: skip

    limbs = enumerate((0, 5, 8, 16, 17, 23, 24))
    check([of(name, limb, n) for n, limb in limbs for name in ("mul", "fma")],
          some_rows(fmt, 1_000, seed=29))  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_units_agree_with_the_model(name: str) -> None:
    fmt, stages = FORMATS[name], STAGES[name]
    check(
        [
            *binary_cases(fmt, lambda _: stages),
            *compare_cases(fmt, lambda _: stages),
            fma_case(fmt, lambda _: stages),
            *unary_cases(fmt, lambda _: stages),
        ],
        some_rows(fmt, 3_000, seed=20),
    )


def test_integers_become_numbers_as_the_model_says() -> None:
    cases = [
        case
        for name, fmt in FORMATS.items()
        for case in integer_cases(fmt, lambda _, n=name: STAGES[n])
    ]
    check(cases, integer_rows(21))


@pytest.mark.parametrize(
    ("fmt", "type", "fraction"),
    [
        (FLOAT8_E4M3, Int(1), 0),
        (FLOAT16, Int(1), 70),
        (FLOAT16, Int(100), 70),
        (FLOAT16, UInt(200), 0),
        (FLOAT32, Int(512), 0),
        (FLOAT32, UInt(512), 255),
        (FLOAT64, UInt(300), 0),
    ],
)
def test_integers_of_any_width(fmt: FloatFormat, type, fraction: int) -> None:
    rng = random.Random(22)
    values = corners(fmt) + [rng.getrandbits(fmt.bits) for _ in range(20)]
    values += [floats.from_integer(fmt, type.wrap(1 << k), fraction) for k in range(0, 600, 25)]

    def to_integer(m, x):
        return float_units.to_integer(
            m, fmt, x, type, stages=2, name=Names(), fraction=fraction
        )

    expected = [floats.to_integer(fmt, v, type, fraction) for v in values]
    assert simulate(to_integer, fmt.bits, values, 2) == expected
    values = [rng.getrandbits(rng.randrange(1, type.width + 1)) for _ in range(40)]

    def from_integer(m, x):
        x = x.as_signed() if type.signed else x
        return float_units.from_integer(m, fmt, x, stages=1, name=Names(), fraction=fraction)

    expected = [floats.from_integer(fmt, type.wrap(v), fraction) for v in values]
    assert simulate(from_integer, type.width, values, 1) == expected


@pytest.mark.parametrize("fmt", [FloatFormat(2, 1), FloatFormat(3, 9), FloatFormat(6, 1, False)])
def test_units_of_unusual_formats_agree_with_the_model(fmt: FloatFormat) -> None:
    unary = [case for case in unary_cases(fmt, lambda _: 1) if not case.name.startswith("to ")]
    check([*binary_cases(fmt, lambda _: 1), fma_case(fmt, lambda _: 2), *unary],
          some_rows(fmt, 5_000, seed=23))  # fmt: skip


def check_all_pairs_of_fp8(*stages: tuple[FloatFormat, int]) -> None:
    """All units of 8-bit formats; the third operand of fma is a random one."""
    rng = random.Random(24)
    rows = [(a, b, rng.getrandbits(8)) for a in range(256) for b in range(256)]
    check([case for fmt, n in stages for case in all_cases(fmt, n)], rows)


def test_all_pairs_of_fp8() -> None:
    check_all_pairs_of_fp8((FLOAT8_E5M2, 0), (FLOAT8_E4M3, 3))


@pytest.mark.long
@pytest.mark.parametrize("stages", [0, 1, 2, 4, 6, 9])
def test_all_pairs_of_fp8_with_other_stages(stages: int) -> None:
    check_all_pairs_of_fp8((FLOAT8_E5M2, stages), (FLOAT8_E4M3, stages))


def test_conversions_between_formats_with_as_many_bits_of_exponent() -> None:
    rng = random.Random(28)
    short, long, ieee = FLOAT8_E4M3, FloatFormat(4, 5, infinities=False), FloatFormat(4, 5)
    for source, target in ((short, long), (short, ieee), (ieee, long), (ieee, short)):
        values = [*range(256), *(rng.getrandbits(source.bits) for _ in range(256))]
        values = [x % (1 << source.bits) for x in values]

        def unit(m, x, source=source, target=target):
            return float_units.convert(m, source, target, x, stages=1, name=Names())

        expected = [floats.convert(source, target, x) for x in values]
        assert simulate(unit, source.bits, values, 1) == expected


@pytest.mark.long
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("stages", [0, 40])
def test_all_values_of_16_bits(name: str, stages: int) -> None:
    cases = [*unary_cases(FORMATS[name], lambda _: stages)]
    cases += integer_cases(FORMATS[name], lambda _: stages)
    check(cases, [(a,) for a in range(1 << 16)])


@pytest.mark.long
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("stages", [0, 4, 80])
def test_many_rows(name: str, stages: int) -> None:
    check(all_cases(FORMATS[name], stages), some_rows(FORMATS[name], 100_000, seed=25 + stages))


HOST = """
#include <cmath>
#include <cstring>
static uint64_t state;
static uint64_t random64() {  // splitmix64
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}
static F number(U bits) { F x; memcpy(&x, &bits, sizeof x); return x; }
static const U one = 1, least = one << M, sign = one << (8 * sizeof(U) - 1), quiet = QUIET;
static const U unit = U(BIAS) << M, infinity = sign - least, low = least - 1;
static U pattern(F x) {
    U bits; memcpy(&bits, &x, sizeof x);
    return std::isnan(x) ? quiet : bits;
}
static const U corner[] = {
    0, 1, 2, low, least, least + 1, unit - 1, unit, unit + 1, unit + least,
    infinity - 1, infinity, quiet, infinity + 1, sign - 1,
    unit - (U(M) + 1) * least, unit - U(M) * least,
};
static U operand(U near) {
    uint64_t r = random64();
    U bits = random64();
    switch (r & 7) {
        case 0: return corner[(r >> 8) % (sizeof corner / sizeof(U))] ^ (bits & sign);
        case 1: return near ^ (bits & (sign | 3));
        case 2: return (bits & (sign | low)) | ((near + ((r >> 8) % 9) * least - 4 * least)
                                             & infinity);
        case 3: return (bits & (sign | infinity)) | one << ((r >> 8) % M) | one << ((r >> 16) % M);
        case 4: return bits & (sign | low);
        default: return bits;
    }
}
static F extreme(F a, F b, bool largest) {
    if (std::isnan(a) || std::isnan(b)) return NAN;
    if (a == b) return std::signbit(a) != largest ? a : b;
    return (a < b) != largest ? a : b;
}
static void host(U x, U y, U z, U* r) {
    volatile F a = number(x), b = number(y), c = number(z);
    r[0] = pattern(a + b); r[1] = pattern(a - b); r[2] = pattern(a * b); r[3] = pattern(a / b);
    r[4] = pattern(extreme(a, b, false)); r[5] = pattern(extreme(a, b, true));
    r[6] = a == b; r[7] = a != b; r[8] = a < b; r[9] = a <= b; r[10] = a > b; r[11] = a >= b;
    r[12] = pattern(std::fma(a, b, c)); r[13] = pattern(std::sqrt(a));
}
EXPORT long certify(long n, uint64_t seed, uint64_t* wrong) {
    // All units have as many stages; what is expected waits in a ring.
    const int count = COUNT, size = 128, latency = stages[0];
    static U ring[size][COUNT + 3];
    uint64_t r[COUNT];
    long errors = 0;
    state = seed;
    top->rst = 0;
    for (long i = 0; i < n + latency; i++) {
        U* now = ring[i % size];
        now[count] = operand(random64());
        now[count + 1] = operand(now[count]);
        bool product = random64() & 1;
        U near = product ? pattern(number(now[count]) * number(now[count + 1])) : now[count];
        now[count + 2] = operand(near);
        host(now[count], now[count + 1], now[count + 2], now);
        top->a = now[count]; top->b = now[count + 1]; top->c = now[count + 2];
        top->clk = 0; top->eval();
        read(r);
        if (i >= latency) {
            const U* then = ring[(i - latency) % size];
            for (int k = 0; k < count; k++) if (r[k] != then[k]) {
                if (!errors++) {
                    wrong[0] = k; wrong[1] = r[k]; wrong[2] = then[k];
                    for (int j = 0; j < 3; j++) wrong[3 + j] = then[count + j];
                }
            }
        }
        top->clk = 1; top->eval();
    }
    return errors;
}
"""


def certify(name: str, rows: int, seed: int, stages: int) -> None:
    """Units of float32 or float64 against the floating-point unit of this machine."""
    fmt = FORMATS[name]
    cases = [
        *binary_cases(fmt, lambda _: stages),
        *compare_cases(fmt, lambda _: stages),
        fma_case(fmt, lambda _: stages),
        unary_cases(fmt, lambda _: stages)[0],
    ]
    kinds = "float F; typedef uint32_t U" if fmt.bits == 32 else "double F; typedef uint64_t U"
    constants = f"M = {fmt.mantissa}, BIAS = {fmt.bias}, QUIET = {fmt.nan:#x}ull"
    head = f"typedef {kinds};\nstatic const uint64_t {constants};\n"
    library = compile_cases(cases, head + HOST)
    library.certify.restype = ctypes.c_long
    wrong = (ctypes.c_uint64 * 6)()
    errors = library.certify(ctypes.c_long(rows), ctypes.c_uint64(seed), wrong)
    case, (_, found, expected, *row) = cases[wrong[0]].name, wrong
    numbers = ", ".join(f"{x:#x}" for x in row)
    assert not errors, f"{errors} errors; {case}({numbers}) gave {found:#x}, not {expected:#x}"


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_units_agree_with_this_machine(name: str) -> None:
    certify(name, 100_000, seed=26, stages=4)


@pytest.mark.long
@pytest.mark.parametrize("stages", [0, 1, 5, 12])
def test_ten_million_rows_of_float32_agree_with_this_machine(stages: int) -> None:
    certify("float32", 10_000_000, seed=27 + stages, stages=stages)


@pytest.mark.long
@pytest.mark.parametrize("stages", [0, 1, 5, 12])
def test_a_million_rows_of_float64_agree_with_this_machine(stages: int) -> None:
    certify("float64", 1_000_000, seed=27 + stages, stages=stages)
