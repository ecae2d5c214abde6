"""The meaning of floating-point operations, against numpy, ml_dtypes and exact fractions."""

import bisect
import math
import random
from fractions import Fraction
from functools import cache
from itertools import permutations, product

import ml_dtypes
import numpy as np
import pytest
from float_bench import FORMATS, corners, some_rows
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.ir import floats
from allo_rtl.ir.floats import (
    BFLOAT16,
    FLOAT8_E4M3,
    FLOAT8_E5M2,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    FloatFormat,
)
from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import Int, UInt

DTYPES = {
    "float8_e5m2": ml_dtypes.float8_e5m2, "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "float16": np.float16, "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32, "float64": np.float64,
}  # fmt: skip
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "remainder": np.fmod,
}  # fmt: skip
EXACT = {
    "add": Fraction.__add__, "sub": Fraction.__sub__, "mul": Fraction.__mul__,
    "div": Fraction.__truediv__,
}  # fmt: skip
COMPARE = {
    Predicate.EQ: np.equal, Predicate.NE: np.not_equal, Predicate.LT: np.less,
    Predicate.LE: np.less_equal, Predicate.GT: np.greater, Predicate.GE: np.greater_equal,
}  # fmt: skip
INF16, NAN16, NEGATIVE_ZERO16 = 0x7C00, 0x7E00, 0x8000


def to_numpy(name, patterns):
    """Patterns as numbers of numpy or ml_dtypes."""
    unsigned = np.dtype(f"u{FORMATS[name].bits // 8}")
    return np.array(patterns, unsigned).view(DTYPES[name])


def from_numpy(name, numbers):
    """Patterns of numbers, all NaNs as the canonical one."""
    fmt = FORMATS[name]
    patterns = numbers.view(np.dtype(f"u{fmt.bits // 8}"))
    return np.where(np.isnan(numbers), fmt.nan, patterns).tolist()


def exact(fmt: FloatFormat, pattern: int) -> Fraction:
    """The value of a finite pattern by the definition of the format."""
    sign = -1 if pattern >> (fmt.bits - 1) else 1
    field = (pattern >> fmt.mantissa) % (1 << fmt.exponent)
    fraction = Fraction(pattern % (1 << fmt.mantissa), 1 << fmt.mantissa)
    if field == 0:
        return sign * fraction * Fraction(2) ** (1 - fmt.bias)
    return sign * (1 + fraction) * Fraction(2) ** (field - fmt.bias)


def nearest_of_all(fmt: FloatFormat, value: Fraction) -> int:
    """The pattern nearest to a value that is not zero, found by looking at its neighbours.

    Patterns of non-negative numbers are in the order of the numbers.  The one after the largest
    number counts as what it would be if exponents went on: what is nearest to it overflows.
    """
    sign, size = (value < 0) << (fmt.bits - 1), abs(value)
    patterns = range(fmt.overflow + 1)
    at = min(bisect.bisect_left(patterns, size, key=lambda x: exact(fmt, x)), fmt.overflow)
    if at and size < exact(fmt, at):
        below, above = size - exact(fmt, at - 1), exact(fmt, at) - size
        at -= below < above or (below == above and (at - 1) % 2 == 0)
    if at < fmt.overflow:
        return sign + at
    return sign + fmt.overflow if fmt.infinities else fmt.nan


def some_finite(fmt: FloatFormat, rows: list[tuple]) -> list[tuple]:
    """The rows that have numbers only."""
    return [row for row in rows if all(x % (1 << (fmt.bits - 1)) < fmt.overflow for x in row)]


def all_or_some_pairs(fmt: FloatFormat, seed: int) -> list[tuple[int, int]]:
    """All pairs of 8-bit patterns; of wider ones the corner cases and random pairs."""
    if fmt.bits == 8:
        return list(product(range(256), repeat=2))
    return [row[:2] for row in some_rows(fmt, 10_000, seed)]


def all_or_some(fmt: FloatFormat, seed: int) -> list[int]:
    """All patterns of up to 16 bits; of wider ones the corner cases and random ones."""
    if fmt.bits <= 16:
        return list(range(1 << fmt.bits))
    return [row[1] for row in some_rows(fmt, 10_000, seed)]


def test_formats_have_their_widths_biases_and_special_patterns() -> None:
    found = {n: (f.bits, f.bias, f.overflow, f.nan) for n, f in FORMATS.items()}
    assert found == {
        "float8_e5m2": (8, 15, 0x7C, 0x7E),
        "float8_e4m3": (8, 7, 0x7F, 0x7F),
        "float16": (16, 15, 0x7C00, 0x7E00),
        "bfloat16": (16, 127, 0x7F80, 0x7FC0),
        "float32": (32, 127, 0x7F800000, 0x7FC00000),
        "float64": (64, 1023, 0x7FF << 52, 0xFFF << 51),
    }


@pytest.mark.parametrize(("exponent", "mantissa"), [(1, 3), (4, 0)])
def test_a_format_needs_bits(exponent: int, mantissa: int) -> None:
    message = (
        "a floating-point format needs 2 bits of exponent and 1 of mantissa or more, "
        f"not {exponent} and {mantissa}"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        FloatFormat(exponent, mantissa)


@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3", "float16", "bfloat16"])
def test_every_pattern_unpacks_to_its_value_and_packs_again(name: str) -> None:
    fmt = FORMATS[name]
    for pattern in range(1 << fmt.bits):
        if pattern % (1 << (fmt.bits - 1)) < fmt.overflow:
            x = fmt.unpack(pattern)
            assert (-1) ** x.sign * x.significand * Fraction(2) ** x.exponent == exact(fmt, pattern)
            assert fmt.pack(x) == pattern
        else:
            assert fmt.pack(fmt.unpack(pattern)) in (pattern, fmt.nan)


@pytest.mark.parametrize("fmt", [FLOAT8_E5M2, FLOAT8_E4M3])
@pytest.mark.parametrize("operation", ["add", "mul", "div"])
def test_fp8_results_are_the_nearest_of_all_numbers(fmt: FloatFormat, operation: str) -> None:
    values = {x: exact(fmt, x) for x in range(256) if x % 128 < fmt.overflow}
    operate, model = EXACT[operation], getattr(floats, operation)
    nearest = cache(lambda value: nearest_of_all(fmt, value))
    for a, b in product(values, repeat=2):
        if operation == "div" and values[b] == 0:
            continue
        value = operate(values[a], values[b])
        if value:
            assert model(fmt, a, b) == nearest(value), (a, b)
        else:
            assert model(fmt, a, b) % 128 == 0


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_results_are_the_nearest_of_all_numbers(name: str, operation: str) -> None:
    fmt = FORMATS[name]
    for row in some_finite(fmt, some_rows(fmt, 300, seed=30)):
        a, b = (exact(fmt, x) for x in row[:2])
        if (operation == "div" and b == 0) or not (value := EXACT[operation](a, b)):
            continue
        assert getattr(floats, operation)(fmt, *row[:2]) == nearest_of_all(fmt, value), row


@pytest.mark.parametrize("name", FORMATS)
def test_arithmetic_agrees_with_numpy_and_ml_dtypes(name: str) -> None:
    fmt = FORMATS[name]
    rows = all_or_some_pairs(fmt, seed=1)
    a, b = (to_numpy(name, column) for column in zip(*rows, strict=True))
    with np.errstate(all="ignore"):
        for operation, oracle in BINARY.items():
            found = [getattr(floats, operation)(fmt, *row) for row in rows]
            assert found == from_numpy(name, oracle(a, b)), operation


@pytest.mark.parametrize("name", FORMATS)
def test_comparisons_agree_with_numpy_and_ml_dtypes(name: str) -> None:
    fmt = FORMATS[name]
    rows = all_or_some_pairs(fmt, seed=2)
    a, b = (to_numpy(name, column) for column in zip(*rows, strict=True))
    for predicate, oracle in COMPARE.items():
        found = [floats.compare(fmt, predicate, *row) for row in rows]
        assert found == oracle(a, b).tolist(), predicate


@pytest.mark.parametrize("name", FORMATS)
def test_minimum_and_maximum_agree_with_numpy_but_order_zeros(name: str) -> None:
    fmt = FORMATS[name]
    # numpy takes either zero; see below.
    rows = [(a, b) for a, b in all_or_some_pairs(fmt, seed=3) if (a | b) % (1 << fmt.bits - 1)]
    a, b = (to_numpy(name, column) for column in zip(*rows, strict=True))
    for operation, oracle in (("minimum", np.minimum), ("maximum", np.maximum)):
        with np.errstate(all="ignore"):
            expected = from_numpy(name, oracle(a, b))
        assert [getattr(floats, operation)(fmt, *row) for row in rows] == expected, operation


@pytest.mark.parametrize(("operation", "expected"), [("minimum", 0x8000), ("maximum", 0)])
def test_negative_zero_is_below_zero_for_minimum_and_maximum(operation, expected) -> None:
    for a, b in ((0, 0x8000), (0x8000, 0)):
        assert getattr(floats, operation)(FLOAT16, a, b) == expected


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("operation", "oracle"), [("sqrt", np.sqrt), ("floor", np.floor)])
def test_roots_and_floors_agree_with_numpy_and_ml_dtypes(name: str, operation, oracle) -> None:
    fmt = FORMATS[name]
    patterns = all_or_some(fmt, seed=4)
    with np.errstate(all="ignore"):
        expected = from_numpy(name, oracle(to_numpy(name, patterns)))
    assert [getattr(floats, operation)(fmt, x) for x in patterns] == expected


@pytest.mark.parametrize("fmt", [FLOAT8_E5M2, FLOAT8_E4M3, BFLOAT16])
def test_square_roots_are_between_the_squares_of_the_midpoints(fmt: FloatFormat) -> None:
    for x in range(1, fmt.overflow):
        root = floats.sqrt(fmt, x)
        low, here, high = (exact(fmt, y) for y in (root - 1, root, root + 1))
        assert ((low + here) / 2) ** 2 <= exact(fmt, x) <= ((here + high) / 2) ** 2


def test_remainder_has_the_sign_of_the_dividend() -> None:
    four, three, minus = 0x4400, 0x4200, 0x8000
    assert floats.remainder(FLOAT16, four | minus, three) == 0xBC00
    assert floats.remainder(FLOAT16, four, three | minus) == 0x3C00
    assert floats.remainder(FLOAT16, four | minus, four) == NEGATIVE_ZERO16
    assert floats.remainder(FLOAT16, four, 0xFC00) == four
    for row in [(four, 0), (INF16, three), (NAN16, three), (four, 0xFFFF)]:
        assert floats.remainder(FLOAT16, *row) == NAN16


def test_remainder_is_exact_however_far_apart_the_operands_are() -> None:
    largest, least = floats.FLOAT64.overflow - 1, 3
    expected = pattern(math.fmod(1.7976931348623157e308, 1.5e-323))
    assert [floats.remainder(FLOAT64, largest, least)] == expected


def test_every_nan_gives_the_canonical_one() -> None:
    for name in FORMATS:
        fmt = FORMATS[name]
        one, odd = fmt.bias << fmt.mantissa, (1 << fmt.bits) - 1
        found = [
            getattr(floats, operation)(fmt, *row)
            for operation in ("add", "sub", "mul", "div", "remainder", "minimum", "maximum")
            for row in [(odd, one), (one, odd), (odd, odd)]
        ]
        found += [floats.fma(fmt, *row) for row in set(permutations((one, one, odd)))]
        found += [operation(fmt, odd) for operation in (floats.sqrt, floats.floor)]
        assert set(found) == {fmt.nan}
        assert {floats.convert(fmt, target, odd) for target in FORMATS.values()} == {
            target.nan for target in FORMATS.values()
        }


def test_e4m3_has_no_infinities_and_what_is_too_large_is_nan() -> None:
    fmt, largest, half_step = FLOAT8_E4M3, 0x7E, 0x58
    assert (exact(fmt, largest), exact(fmt, half_step)) == (448, 16)
    # 464 is halfway to the 480 that would follow; 448 has the even pattern.
    assert floats.add(fmt, largest, half_step) == largest
    assert floats.add(fmt, largest, half_step + 1) == fmt.nan
    assert floats.add(fmt, largest | 0x80, half_step + 1 | 0x80) == fmt.nan
    assert floats.div(fmt, largest, 0) == fmt.nan
    assert [floats.convert(FLOAT32, fmt, x) for x in (0x43E80000, 0x43E80001, 0xFF800000)] == [
        largest, fmt.nan, fmt.nan,
    ]  # fmt: skip


def test_square_roots_of_what_is_not_positive() -> None:
    inputs = [0, NEGATIVE_ZERO16, INF16, 0xFC00, 0xBC00, 0x8001, NAN16, 0xFFFF]
    assert [floats.sqrt(FLOAT16, x) for x in inputs] == [
        0, NEGATIVE_ZERO16, INF16, NAN16, NAN16, NAN16, NAN16, NAN16,
    ]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_fused_multiply_add_rounds_the_exact_result_once(name: str) -> None:
    fmt, rounded_twice = FORMATS[name], 0
    for a, b, c in some_finite(fmt, some_rows(fmt, 2_000, seed=5)):
        value = exact(fmt, a) * exact(fmt, b) + exact(fmt, c)
        if value:
            expected = nearest_of_all(fmt, value)
            assert floats.fma(fmt, a, b, c) == expected, (a, b, c)
            rounded_twice += floats.add(fmt, floats.mul(fmt, a, b), c) != expected
    assert rounded_twice > 50


def test_fused_multiply_add_of_special_operands() -> None:
    one, minus = 0x3C00, 0xBC00
    rows = {
        (0, INF16, one): NAN16, (INF16, one, 0xFC00): NAN16, (INF16, minus, 0xFC00): 0xFC00,
        (one, one, INF16): INF16, (NAN16, 0, 0): NAN16, (0, 0, 0xFFFF): NAN16,
        (one, one, minus): 0, (one, 0x8000, 0x8000): 0x8000, (one, 0x8000, 0): 0,
    }  # fmt: skip
    assert {row: floats.fma(FLOAT16, *row) for row in rows} == rows


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_conversions_agree_with_numpy_and_ml_dtypes(source: str, target: str) -> None:
    a, b = FORMATS[source], FORMATS[target]
    if a.bits <= 16:
        patterns = list(range(1 << a.bits))
    else:
        patterns = [row[0] for row in some_rows(a, 2_000, seed=7)]
        # And numbers of the other format and halfway between them, in every place.
        patterns += [floats.convert(b, a, row[0]) + row[1] % 3 - 1 for row in some_rows(b, 2000, 8)]
        patterns = [x % (1 << a.bits) for x in patterns]
    numbers = to_numpy(source, patterns)
    # ml_dtypes goes from float64 to the smaller formats by float32, which rounds twice.
    twice = a is FLOAT64 and b.bits < 32 and b is not FLOAT16
    if twice:
        with np.errstate(all="ignore"):
            keep = (numbers.astype(np.float32) == numbers) | np.isnan(numbers)
        numbers, patterns = numbers[keep], [x for x, k in zip(patterns, keep, strict=True) if k]
    with np.errstate(all="ignore"):
        expected = from_numpy(target, numbers.astype(DTYPES[target]))
    assert [floats.convert(a, b, x) for x in patterns] == expected


@pytest.mark.parametrize("target", [FLOAT8_E4M3, FLOAT8_E5M2, BFLOAT16])
def test_conversion_of_float64_rounds_once(target: FloatFormat) -> None:
    # A little more than halfway, by less than float32 can tell.
    one = FLOAT64.bias << 52
    halfway = one | 1 << (51 - target.mantissa)
    assert floats.convert(FLOAT64, target, halfway) == target.bias << target.mantissa
    assert floats.convert(FLOAT64, target, halfway + 1) == (target.bias << target.mantissa) + 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("type", [Int(1), Int(8), UInt(7), Int(32), UInt(64), Int(512)])
@pytest.mark.parametrize("fraction", [0, 5, 255])
def test_to_integer_truncates_and_saturates(name, type, fraction) -> None:
    fmt = FORMATS[name]
    patterns = corners(fmt) + [row[0] for row in some_rows(fmt, 300, seed=9)]
    for x in patterns:
        magnitude = x % (1 << (fmt.bits - 1))
        if magnitude > fmt.overflow or x % (1 << (fmt.bits - 1)) == fmt.nan:
            expected = 0
        elif magnitude == fmt.overflow:
            expected = type.min if x != magnitude else type.max
        else:
            whole = math.trunc(exact(fmt, x) * (1 << fraction))
            expected = min(max(whole, type.min), type.max)
        assert floats.to_integer(fmt, x, type, fraction) == expected, x


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_from_integer_agrees_with_numpy(name: str) -> None:
    rng = random.Random(10)
    values = [rng.getrandbits(rng.randrange(1, 64)) * rng.choice((1, -1)) for _ in range(3_000)]
    values += [sign * ((1 << k) + d) for k in range(62) for d in (-1, 0, 1) for sign in (1, -1)]
    with np.errstate(all="ignore"):
        expected = from_numpy(name, np.array(values, np.int64).astype(DTYPES[name]))
    assert [floats.from_integer(FORMATS[name], v) for v in values] == expected


@pytest.mark.parametrize("fmt", [FLOAT8_E5M2, FLOAT8_E4M3, BFLOAT16])
@pytest.mark.parametrize("fraction", [0, 3, 14, 140])
def test_from_integer_and_fixed_point_are_nearest(fmt: FloatFormat, fraction: int) -> None:
    rng = random.Random(11)
    for _ in range(1_000):
        value = rng.getrandbits(rng.randrange(1, 40) + fraction) * rng.choice((1, -1)) or 1
        expected = nearest_of_all(fmt, Fraction(value, 1 << fraction))
        assert floats.from_integer(fmt, value, fraction) == expected, value


@given(st.floats(), st.floats())
def test_float64_agrees_with_python(a: float, b: float) -> None:
    (x, y), expected = pattern(a, b), []
    assert floats.floor(FLOAT64, x) == pattern(np.floor(a))[0]
    for operate in (float.__add__, float.__sub__, float.__mul__):
        expected += pattern(operate(a, b))
    found = [operate(FLOAT64, x, y) for operate in (floats.add, floats.sub, floats.mul)]
    assert found == expected
    assert floats.compare(FLOAT64, Predicate.LT, x, y) == (a < b)
    if b:
        assert [floats.div(FLOAT64, x, y)] == pattern(a / b)
        if math.isfinite(a):
            assert [floats.remainder(FLOAT64, x, y)] == pattern(math.fmod(a, b))


def pattern(*numbers: float) -> list[int]:
    """Patterns of Python's numbers, with the canonical NaN."""
    return from_numpy("float64", np.array(numbers, np.float64))


@given(st.sampled_from([*FORMATS.values(), FloatFormat(2, 1), FloatFormat(6, 3)]), st.data())
def test_algebra(fmt: FloatFormat, data: st.DataObject) -> None:
    a, b = (data.draw(st.integers(0, (1 << fmt.bits) - 1)) for _ in range(2))
    minus, one = 1 << (fmt.bits - 1), fmt.bias << fmt.mantissa
    assert floats.add(fmt, a, b) == floats.add(fmt, b, a)
    assert floats.mul(fmt, a, b) == floats.mul(fmt, b, a)
    assert floats.mul(fmt, a, one) == floats.div(fmt, a, one) == floats.convert(fmt, fmt, a)
    assert floats.fma(fmt, a, one, b) == floats.add(fmt, a, b)
    assert floats.fma(fmt, a, b, minus) in (floats.mul(fmt, a, b), minus)
    if floats.compare(fmt, Predicate.LT, a, b):
        assert floats.minimum(fmt, a, b) == a
        assert floats.maximum(fmt, a, b) == b
        assert floats.compare(fmt, Predicate.GT, b, a)
