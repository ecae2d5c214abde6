"""The exact elementary functions: against numpy, their exact values and their special cases."""

import ctypes
import ctypes.util
import math
from itertools import product

import numpy as np
import pytest
from float_bench import FORMATS, corners, some_rows
from test_floats import DTYPES, exact, from_numpy, to_numpy

from allo_rtl.ir import elementary, floats
from allo_rtl.ir.floats import FLOAT8_E5M2, FLOAT32, FLOAT64
from allo_rtl.ir.ops import MathKind

NUMPY = {
    MathKind.EXP: np.exp, MathKind.LOG: np.log, MathKind.LOG2: np.log2, MathKind.LOG10: np.log10,
    MathKind.SIN: np.sin, MathKind.COS: np.cos, MathKind.TAN: np.tan, MathKind.TANH: np.tanh,
}  # fmt: skip
# numpy takes a root instead where it can, and roots of -0 are not powers of it.
C_POW = ctypes.CDLL(ctypes.util.find_library("m")).pow
C_POW.restype, C_POW.argtypes = ctypes.c_double, [ctypes.c_double] * 2


def of_floats(fmt, *numbers: float) -> list[int]:
    """Patterns of Python's numbers."""
    patterns = from_numpy("float64", np.array(numbers, float))
    return [floats.convert(FLOAT64, fmt, x) for x in patterns]


def patterns_of(name: str, count: int) -> list[int]:
    """All patterns of 8 bits; of wider formats corner cases and random ones."""
    fmt = FORMATS[name]
    if fmt.bits == 8:
        return list(range(256))
    return [*corners(fmt), *(row[1] for row in some_rows(fmt, count, seed=40)[-count:])]


@pytest.mark.parametrize("name", ["float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32"])
@pytest.mark.parametrize("kind", NUMPY)
def test_results_are_float64_rounded_once(name: str, kind: MathKind) -> None:
    fmt, patterns = FORMATS[name], patterns_of(name, 300)
    with np.errstate(all="ignore"):
        nearly = from_numpy("float64", NUMPY[kind](to_numpy(name, patterns).astype(np.float64)))
    for x, y in zip(patterns, nearly, strict=True):
        # numpy's result may be wrong in its last places; both neighbours there are accepted.
        low, high = (floats.convert(FLOAT64, fmt, max(0, y + d)) for d in (-4, 4))
        assert elementary.evaluate(kind, fmt, (x,)) in (low, high, floats.convert(FLOAT64, fmt, y))


@pytest.mark.parametrize("kind", NUMPY)
def test_float64_is_within_a_place_of_numpy(kind: MathKind) -> None:
    patterns = [x for x in patterns_of("float64", 300) if x % (1 << 63) < 0x4340 << 48]
    with np.errstate(all="ignore"):
        expected = from_numpy("float64", NUMPY[kind](to_numpy("float64", patterns)))
    for x, y in zip(patterns, expected, strict=True):
        assert abs(elementary.evaluate(kind, FLOAT64, (x,)) - y) <= 2, hex(x)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", NUMPY)
def test_zeros_infinities_and_nan_are_those_of_c(name: str, kind: MathKind) -> None:
    fmt = FORMATS[name]
    numbers = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0 if "log" in kind.value else 0.0])
    with np.errstate(all="ignore"):
        expected = of_floats(fmt, *NUMPY[kind](numbers.astype(DTYPES[name]).astype(np.float64)))
    assert [elementary.evaluate(kind, fmt, (x,)) for x in of_floats(fmt, *numbers)] == expected


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_pow_has_the_special_cases_of_ieee_754(name: str) -> None:
    fmt = FORMATS[name]
    numbers = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, math.inf, math.nan, 1e-7, 60000.0, 2049.0]
    operands = of_floats(fmt, *numbers, *(-x for x in numbers))
    dtype = DTYPES[name]
    for a, b in product(operands, repeat=2):
        x, y = to_numpy(name, [a, b]).astype(np.float64)
        with np.errstate(all="ignore"):
            expected = from_numpy(name, np.array([C_POW(x, y)]).astype(dtype))[0]
        found = elementary.evaluate(MathKind.POW, fmt, (a, b))
        assert abs(found - expected) <= (name == "float64"), (x, y)


def test_ties_are_found_although_the_function_is_computed_by_logarithms() -> None:
    # 9 is halfway between the numbers 8 and 10 of E5M2.
    [x] = of_floats(FLOAT8_E5M2, 512.0)
    assert [elementary.evaluate(MathKind.LOG2, FLOAT8_E5M2, (x,))] == of_floats(FLOAT8_E5M2, 8.0)
    # 31**5 has 25 bits, one more than float32; so has 257**3.
    for root, power, degree in ((31, 4, 1.25), (31, 4, -1.25), (257, 2, 1.5)):
        base = of_floats(FLOAT32, float(root**power), degree)
        exponent = round(power * abs(degree))
        [expected] = of_floats(FLOAT32, float(root**exponent if degree > 0 else root**-exponent))
        assert elementary.evaluate(MathKind.POW, FLOAT32, tuple(base)) == expected


def test_exact_powers_and_logarithms_are_exact() -> None:
    for k in range(-44, 38):
        [x] = of_floats(FLOAT64, 10.0**k)
        if k >= 0 and k < 23:
            assert [elementary.evaluate(MathKind.LOG10, FLOAT64, (x,))] == of_floats(FLOAT64, k)
        [y] = of_floats(FLOAT64, 2.0**k)
        assert [elementary.evaluate(MathKind.LOG2, FLOAT64, (y,))] == of_floats(FLOAT64, k)
        two, exponent = of_floats(FLOAT64, 2.0, float(k))
        assert elementary.evaluate(MathKind.POW, FLOAT64, (two, exponent)) == y


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_far_out_of_range_overflows_or_becomes_zero(name: str) -> None:
    fmt = FORMATS[name]
    largest, minus = fmt.overflow - 1, 1 << (fmt.bits - 1)
    assert exact(fmt, largest) > 400
    assert elementary.evaluate(MathKind.EXP, fmt, (largest,)) == fmt.overflow
    assert elementary.evaluate(MathKind.EXP, fmt, (largest | minus,)) == 0
    assert elementary.evaluate(MathKind.POW, fmt, (largest, largest)) == fmt.overflow
    assert elementary.evaluate(MathKind.POW, fmt, (largest, largest | minus)) == 0
    assert elementary.evaluate(MathKind.TANH, fmt, (largest,)) == fmt.bias << fmt.mantissa


@pytest.mark.long
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", NUMPY)
def test_all_values_of_16_bits(name: str, kind: MathKind) -> None:
    fmt, patterns = FORMATS[name], range(1 << 16)
    with np.errstate(all="ignore"):
        nearly = from_numpy("float64", NUMPY[kind](to_numpy(name, patterns).astype(np.float64)))
    for x, y in zip(patterns, nearly, strict=True):
        low, high = (floats.convert(FLOAT64, fmt, max(0, y + d)) for d in (-4, 4))
        assert elementary.evaluate(kind, fmt, (x,)) in (low, high, floats.convert(FLOAT64, fmt, y))
