"""The elementary functions of CPU and RTL: how near to the exact results, and where exact."""

import sys
from fractions import Fraction
from itertools import product, takewhile
from math import inf, nan
from pathlib import Path

import mpmath
import numpy as np
import pytest

from allo_rtl.hls.design import build_design
from allo_rtl.ir import elementary
from allo_rtl.ir.arithmetic import format_of
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.floats import FLOAT64, convert
from allo_rtl.ir.functions import build_function, function_name
from allo_rtl.ir.ops import BinaryKind, MathKind, Module
from allo_rtl.ir.types import bfloat16, float8_e4m3, float8_e5m2, float16, float32, float64
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import words_of_ints
from allo_rtl.target import device

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from ulps import ELEMENTARY, apply, dtype_of, errors, kernel, samples

BOUND = 0.55
"""Units in the last place that no result of 16 bits or more is ever farther from the exact one."""

UNARY = [kind for kind in ELEMENTARY if kind is not MathKind.POW]
FORMATS = [float16, bfloat16, float32, float64]
NARROW = [float8_e4m3, float8_e5m2]


def name(x):
    return x.value if isinstance(x, MathKind) else str(x)


def pattern(number, format):
    """The pattern of a float."""
    return convert(FLOAT64, format_of(format), int(np.float64(number).view(np.uint64)))


def of(kind, format, *numbers):
    """The CPU build's result for one argument (or two), as a pattern."""
    args = [np.array([pattern(n, format)], dtype_of(format)) for n in numbers]
    return int(apply(kind, format, *args)[0])


def module_of(kind, format):
    """The function alone, as a module."""
    func, tables = build_function(kind, format)
    return Module(funcs=(func,), top=func.name, globals=tables)


def corners(format):
    """Zeros, subnormals, numbers around powers of two and whole ones, the largest, no numbers."""
    fmt = format_of(format)
    half = 1 << fmt.mantissa - 1
    near_one = [(fmt.bias + k << fmt.mantissa) + d for k in range(-3, 7) for d in (-1, 0, 1, half)]
    positive = [
        0, 1, 2, 3, half, 2 * half - 1, 2 * half, 2 * half + 1, fmt.overflow - 2,
        fmt.overflow - 1, fmt.overflow, fmt.nan, fmt.overflow + 1, 2 * fmt.overflow, *near_one,
    ]  # fmt: skip
    patterns = {x for x in positive if x < 1 << fmt.bits - 1}
    return sorted(x | s << fmt.bits - 1 for x in patterns for s in (0, 1))


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("kind", ELEMENTARY, ids=name)
def test_error(kind, format):
    """Of all numbers of 16 bits, and some others."""
    args = samples(kind, format, 60 if format is float64 else 30_000)
    assert errors(kind, format, args, apply(kind, format, *args)).max() < BOUND


@pytest.mark.parametrize("format", NARROW, ids=str)
@pytest.mark.parametrize("kind", UNARY, ids=name)
def test_functions_of_8_bits_are_rounded_to_nearest(kind, format):
    fmt, module = format_of(format), module_of(kind, format)
    for x in range(256):
        assert evaluate(module, (x,)) == (elementary.evaluate(kind, fmt, (x,)),)


@pytest.mark.parametrize("format", NARROW, ids=str)
def test_powers_of_8_bits_are_nearest_or_next_to_it(format):
    fmt = format_of(format)
    pairs = [(x, y) for x in range(0, 256, 3) for y in (*range(0, 256, 5), 0x38, 0x3C, 0x40)]
    found = apply(MathKind.POW, format, *np.array(pairs, np.uint8).T)
    expected = [elementary.evaluate(MathKind.POW, fmt, pair) for pair in pairs]
    compare(fmt, pairs, found.tolist(), expected)


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("kind", UNARY, ids=name)
def test_corners(kind, format):
    fmt, args = format_of(format), corners(format)
    found = apply(kind, format, np.array(args, dtype_of(format)))
    expected = [elementary.evaluate(kind, fmt, (x,)) for x in args]
    compare(fmt, args, found.tolist(), expected)


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_corners_of_powers(format):
    fmt, some = format_of(format), corners(format)
    pairs = [*product(some[::3], some[1::4]), *product(some[2::5], some[::3])]
    args = [np.array(column, dtype_of(format)) for column in zip(*pairs, strict=True)]
    expected = [elementary.evaluate(MathKind.POW, fmt, pair) for pair in pairs]
    compare(fmt, pairs, apply(MathKind.POW, format, *args).tolist(), expected)


def compare(fmt, args, found, expected):
    """Results are the expected ones, or next to them where these are neither special nor zero."""
    for x, ours, nearest in zip(args, found, expected, strict=True):
        magnitude = nearest & (1 << fmt.bits - 1) - 1
        special = magnitude == 0 or magnitude >= fmt.overflow
        assert ours == nearest or (not special and abs(ours - nearest) == 1), (x, ours, nearest)


EXACT = [
    (MathKind.EXP, (0.0,), 1.0), (MathKind.EXP, (-inf,), 0.0), (MathKind.EXP, (inf,), inf),
    (MathKind.LOG, (1.0,), 0.0), (MathKind.LOG, (0.0,), -inf), (MathKind.LOG, (-0.0,), -inf),
    (MathKind.LOG, (-1.0,), nan), (MathKind.LOG, (inf,), inf), (MathKind.LOG, (nan,), nan),
    *((MathKind.LOG2, (2.0**n,), float(n)) for n in range(-24, 16)),
    *((MathKind.LOG10, (10.0**n,), float(n)) for n in range(5)),
    (MathKind.SIN, (0.0,), 0.0), (MathKind.SIN, (-0.0,), -0.0), (MathKind.SIN, (inf,), nan),
    (MathKind.COS, (0.0,), 1.0), (MathKind.COS, (-0.0,), 1.0), (MathKind.COS, (-inf,), nan),
    (MathKind.TAN, (-0.0,), -0.0), (MathKind.TAN, (nan,), nan),
    (MathKind.TANH, (-0.0,), -0.0), (MathKind.TANH, (inf,), 1.0), (MathKind.TANH, (-64.0,), -1.0),
    *((MathKind.POW, (2.0, float(n)), 2.0**n) for n in range(-24, 16)),
    *((MathKind.POW, (x, 1.0), x) for x in (0.0, -0.0, 1.5, -1.5, 2.0**-20, inf, -inf, nan)),
    *((MathKind.POW, (x, 0.0), 1.0) for x in (0.0, -3.0, inf, nan)),
    (MathKind.POW, (1.0, nan), 1.0), (MathKind.POW, (-1.0, inf), 1.0),
    (MathKind.POW, (-1.0, 3.0), -1.0), (MathKind.POW, (-1.0, 2.0**15), 1.0),
    (MathKind.POW, (-2.0, 0.5), nan), (MathKind.POW, (-2.0, 3.0), -8.0),
    (MathKind.POW, (0.0, -3.0), inf), (MathKind.POW, (-0.0, -3.0), -inf),
    (MathKind.POW, (-0.0, 2.0), 0.0), (MathKind.POW, (-0.0, 3.0), -0.0),
    (MathKind.POW, (-inf, 3.0), -inf), (MathKind.POW, (-inf, -3.0), -0.0),
    (MathKind.POW, (0.5, inf), 0.0), (MathKind.POW, (0.5, -inf), inf),
    (MathKind.POW, (9.0, 0.5), 3.0), (MathKind.POW, (3.0, 4.0), 81.0),
    (MathKind.POW, (2.0, 2.0**14), inf), (MathKind.POW, (-2.0, 2.0**14 - 8), inf),
    (MathKind.POW, (-2.0, -(2.0**14)), 0.0),
]  # fmt: skip


@pytest.mark.parametrize("format", [float16, float32, float64], ids=str)
def test_exact_cases(format):
    for kind, args, expected in EXACT:
        assert of(kind, format, *args) == pattern(expected, format), (kind, args)


def test_powers_of_two_that_are_half_a_last_place_go_to_even():
    assert of(MathKind.POW, float32, 2.0, -149.0) == 1
    assert of(MathKind.POW, float32, 2.0, -150.0) == 0
    assert of(MathKind.POW, float32, 2.0, -151.0) == 0


def nearest_to_half_pi(format):
    """Of each power of two from 1 on: the number nearest to a multiple of pi / 2.

    It is a multiple of the denominator of a convergent of the last place by pi / 2 (W. Kahan).
    """
    fmt = format_of(format)
    low = 1 << fmt.mantissa
    with mpmath.workprec(1400):
        inverse = Fraction(int(mpmath.ldexp(2 / mpmath.pi, 1300)), 1 << 1300)
    for exponent in range((1 << fmt.exponent) - 1 - fmt.bias):
        step = inverse * Fraction(2) ** (exponent - fmt.mantissa)
        multiples = (q * -(-low // q) for q in takewhile(lambda q: q < 2 * low, denominators(step)))
        candidates = [m for m in multiples if m < 2 * low]
        best = min(candidates, key=lambda m: abs(m * step - round(m * step)))
        yield (exponent + fmt.bias << fmt.mantissa) + best - low


def denominators(x):
    """Those of the convergents of a number."""
    before, now = 1, 0
    while True:
        whole = x.numerator // x.denominator
        before, now = now, whole * now + before
        yield now
        x = 1 / (x - whole)


HARDEST = {float32: 16367173 * 2.0**72, float64: 6381956970095103 * 2.0**797}
"""The number of each format that is nearest of all to a multiple of pi / 2."""

CIRCULAR = [MathKind.SIN, MathKind.COS, MathKind.TAN]


@pytest.mark.parametrize("format", [
    float32, pytest.param(float64, marks=pytest.mark.long),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", CIRCULAR, ids=name)
def test_numbers_that_almost_are_multiples_of_half_pi(kind, format):
    args = np.array(list(nearest_to_half_pi(format)), dtype_of(format))
    assert pattern(HARDEST[format], format) in args
    assert errors(kind, format, (args,), apply(kind, format, args)).max() < BOUND


@pytest.mark.parametrize("kind", CIRCULAR, ids=name)
def test_the_one_that_is_nearest_of_all(kind):
    args = np.array([pattern(HARDEST[float64], float64)], np.uint64)
    assert errors(kind, float64, (args,), apply(kind, float64, args)).max() < BOUND


@pytest.mark.parametrize("format", [float16, float32, float64], ids=str)
@pytest.mark.parametrize("kind", ELEMENTARY, ids=name)
def test_the_evaluator_computes_what_the_cpu_does(kind, format):
    module, args = module_of(kind, format), samples(kind, format, 600)
    args = [a[:: max(1, len(a) // 10)] for a in args]
    results = [evaluate(module, x)[0] for x in zip(*(a.tolist() for a in args), strict=True)]
    assert apply(kind, format, *args).tolist() == results


@pytest.mark.parametrize("kind", ELEMENTARY, ids=name)
def test_names_begin_with_that_of_the_function(kind):
    func, tables = build_function(kind, float16)
    assert func.name == function_name(kind, float16) == f"{kind.value}_float16"
    assert all(t.name.startswith(func.name) for t in tables)


@pytest.mark.parametrize("format", [float8_e4m3, float32], ids=str)
def test_operations_of_their_own_are_no_functions(format):
    for kind in (MathKind.NEG, MathKind.ABS, MathKind.SQRT, MathKind.FMA, BinaryKind.ADD):
        with pytest.raises(KeyError):
            build_function(kind, format)


@pytest.mark.parametrize("kind", ELEMENTARY, ids=name)
def test_hardware_takes_a_number_in_each_cycle_and_computes_what_the_cpu_does(kind):
    format, count = float32, 24
    args = [a[:: len(a) // count][:count] for a in samples(kind, format, 3 * count)]
    design = build_design(kernel(kind, format, count, ii=1), device("ecp5-85"), 50.0)
    words = [words_of_ints(a.tolist(), format) for a in args]
    result = np.zeros_like(words[0])
    _, cycles = pysim.run(KernelComponent(design), [*words, result])
    assert result[:, 0].tolist() == apply(kind, format, *args).tolist()
    assert cycles == design.top.latency < count + 20


@pytest.mark.long
@pytest.mark.parametrize("kind", UNARY, ids=name)
def test_error_of_many_numbers_of_32_bits(kind):
    """Every 401st of all patterns, and millions in the range that matters."""
    strided = np.arange(0, 1 << 32, 401, dtype=np.uint64).astype(np.uint32)
    for args in ((strided,), samples(kind, float32, 3_000_000, seed=9)):
        assert errors(kind, float32, args, apply(kind, float32, *args)).max() < BOUND


@pytest.mark.long
def test_error_of_many_powers_of_32_bits():
    for seed in range(4):
        args = samples(MathKind.POW, float32, 3_000_000, seed)
        found = apply(MathKind.POW, float32, *args)
        assert errors(MathKind.POW, float32, args, found).max() < BOUND


@pytest.mark.long
@pytest.mark.parametrize("kind", ELEMENTARY, ids=name)
def test_error_of_many_numbers_of_64_bits(kind):
    args = samples(kind, float64, 30_000, seed=5)
    assert errors(kind, float64, args, apply(kind, float64, *args)).max() < BOUND
