"""Floating-point operations of the CPU build, bit for bit against the exact model.

The model is Python integers (:mod:`allo_rtl.ir.floats`); the long tests also compare millions of
float32 and float64 operands with numpy, which shares nothing with it.
"""

import random
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import eval_float_op, format_of
from allo_rtl.ir.ops import FloatKind, FloatOp, For, Func, Load, Module, Store, Value
from allo_rtl.ir.types import (
    DYNAMIC,
    Int,
    UInt,
    bfloat16,
    bool_,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
)
from allo_rtl.sim.cpu import compile_cpu
from allo_rtl.sim.words import ints_of_words, words_of_ints

FORMATS = (float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64)
FP8 = (float8_e4m3, float8_e5m2)
NARROW = (*FP8, float16, bfloat16)
COMPARISONS = tuple(FloatKind(k) for k in ("eq", "ne", "lt", "le", "gt", "ge"))
BINARY = (
    FloatKind.ADD, FloatKind.SUB, FloatKind.MUL, FloatKind.DIV, FloatKind.MIN, FloatKind.MAX,
    *COMPARISONS,
)  # fmt: skip


@cache
def elementwise(kind, format_, sources, result, target=None, fraction=0):
    """A kernel ``(n, out, in0, in1 ...)`` that applies one FloatOp to n elements each."""
    count = Value(index, "n")
    arrays = [Value(t[DYNAMIC], f"in{k}") for k, t in enumerate(sources)]
    out = Value(result[DYNAMIC], "out")
    i = Value(index, "i")
    at = (AffineExpr.of(i),)
    loads = [Load(result=Value(a.type.element), array=a, index=at) for a in arrays]
    op = FloatOp(
        kind=kind, format=format_, result=Value(result), args=tuple(x.result for x in loads),
        target=target, fraction=fraction,
    )  # fmt: skip
    body = (*loads, op, Store(value=op.result, array=out, index=at))
    loop = For(
        iv=i, lower=(AffineExpr.constant(0),), upper=(AffineExpr.of(count),), body=body
    )
    func = Func(name="f", args=(count, out, *arrays), results=(), body=(loop,))
    return compile_cpu(Module(funcs=(func,), top="f"))


def compute(kind, format_, columns, sources=None, result=None, **options):
    """The CPU's results for columns of operands."""
    pattern = UInt(format_.width)
    sources = sources or (pattern,) * len(columns)
    result = result or (bool_ if kind in COMPARISONS else pattern)
    kernel = elementwise(kind, format_, sources, result, **options)
    words = [words_of_ints(list(c), t) for c, t in zip(columns, sources, strict=True)]
    out = words_of_ints([0] * len(words[0]), result)
    kernel.run_raw([len(words[0]), out, *words])
    return ints_of_words(out, result)


def agrees(kind, format_, columns, sources=None, result=None, **options):
    """Assert that all results are the model's."""
    found = compute(kind, format_, columns, sources, result, **options)
    for args, bits in zip(zip(*columns, strict=True), found, strict=True):
        expected = eval_float_op(kind, format_, args, integer=result, **options)
        assert bits == expected, f"{kind} of {[hex(a) for a in args]}: {bits:#x}, {expected:#x}"


@cache
def corners(format_):
    """Patterns around everything that is special in a format, both signs."""
    fmt = format_of(format_)
    one = fmt.bias << fmt.mantissa
    full = (1 << (fmt.bits - 1)) - 1
    smallest_normal, infinity = 1 << fmt.mantissa, fmt.overflow
    near = {0, 1, 2, 3, smallest_normal, infinity, one, full, fmt.nan, one + smallest_normal}
    near |= {x + d for x in (smallest_normal, infinity, one) for d in (-2, -1, 1, 2)}
    near |= {one - (k << fmt.mantissa) for k in (1, fmt.mantissa, fmt.mantissa + 1)}
    near |= {smallest_normal - (smallest_normal >> 1), one + (smallest_normal >> 1)}
    sign = 1 << (fmt.bits - 1)
    return sorted({x | s for x in near if 0 <= x <= full for s in (0, sign)})


def patterns(format_):
    """Any pattern; corners and numbers near one another often."""
    top = (1 << format_.width) - 1
    return st.sampled_from(corners(format_)) | st.integers(0, top)


def random_columns(format_, count, arity, seed=0):
    """Random operands, half of them close to one another in magnitude."""
    dice = random.Random(seed)
    top = (1 << format_.width) - 1
    near = 1 << (format_.fracs + 2)
    rows = []
    for _ in range(count):
        first = dice.getrandbits(format_.width)
        rows.append([
            first,
            *(
                (first ^ dice.randrange(near)) & top if dice.random() < 0.5
                else dice.getrandbits(format_.width)
                for _ in range(arity - 1)
            ),
        ])  # fmt: skip
    return list(zip(*rows, strict=True))


# Two operands


@pytest.mark.parametrize("kind", BINARY, ids=lambda k: k.value)
@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_two_operands_at_corners(kind, format_):
    agrees(kind, format_, list(zip(*product(corners(format_), repeat=2), strict=True)))


@pytest.mark.parametrize("kind", BINARY, ids=lambda k: k.value)
@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_two_random_operands(kind, format_):
    agrees(kind, format_, random_columns(format_, 500, 2))


@pytest.mark.long
@pytest.mark.parametrize("kind", BINARY, ids=lambda k: k.value)
@pytest.mark.parametrize("format_", FP8, ids=str)
def test_all_pairs_of_8_bits(kind, format_):
    agrees(kind, format_, list(zip(*product(range(256), repeat=2), strict=True)))


# Three


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_fused_multiply_add(format_):
    agrees(FloatKind.FMA, format_, random_columns(format_, 4000, 3))
    few = corners(format_)[::3]
    agrees(FloatKind.FMA, format_, list(zip(*product(few, repeat=3), strict=True)))


@pytest.mark.parametrize("format_", NARROW, ids=str)
def test_fused_multiply_add_rounds_once(format_):
    """A product halfway between two numbers, and a third operand that only just decides."""
    fmt = format_of(format_)
    one = fmt.bias << fmt.mantissa
    half_step = 1 << fmt.mantissa - 1
    sign = 1 << (fmt.bits - 1)
    factors = [(one + a, one + b) for a in range(1, 8) for b in (half_step, half_step + 1)]
    addends = [x | s for x in (0, 1, 2, one // 2, one // 3) for s in (0, sign)]
    rows = [(a, b, c) for (a, b), c in product(factors, addends)]
    agrees(FloatKind.FMA, format_, list(zip(*rows, strict=True)))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_fused_multiply_add_of_any_operands(data):
    format_ = data.draw(st.sampled_from(FORMATS))
    columns = [[data.draw(patterns(format_))] for _ in range(3)]
    agrees(FloatKind.FMA, format_, columns)


# One


@pytest.mark.parametrize("format_", FP8, ids=str)
def test_all_roots_of_8_bits(format_):
    agrees(FloatKind.SQRT, format_, [range(256)])


@pytest.mark.parametrize("format_", [float16, bfloat16], ids=str)
def test_all_roots_of_16_bits(format_):
    agrees(FloatKind.SQRT, format_, [range(1 << 16)])


@pytest.mark.parametrize("format_", [float32, float64], ids=str)
def test_roots(format_):
    agrees(FloatKind.SQRT, format_, [[*corners(format_), *random_columns(format_, 3000, 1)[0]]])


# Conversions


@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", FORMATS, ids=str)
def test_conversions(source, target):
    """All values of up to 8 bits, one in 16 of 16 bits, and many others."""
    if source.width <= 16:
        values = range(0, 1 << source.width, 1 if source.width == 8 else 13)
    else:
        values = random_columns(source, 2000, 1)[0]
    pattern = UInt(target.width)
    values = [*corners(source), *values, *halfway(source, target)]
    agrees(FloatKind.CONVERT, source, [values], result=pattern, target=target)


def halfway(source, target):
    """Patterns of a wider format around those halfway between two numbers of a narrower one."""
    wide, narrow = format_of(source), format_of(target)
    spare = wide.mantissa - narrow.mantissa
    if spare < 1 or wide.bias < narrow.bias:
        return []
    found = []
    for exponent in range(wide.bias - narrow.bias - narrow.mantissa, wide.bias + narrow.bias + 3):
        if 0 <= exponent < (1 << wide.exponent) - 1:
            middle = exponent << wide.mantissa | 1 << spare - 1
            found += [middle + d for d in (-1, 0, 1, 1 << spare)]
    return found


@pytest.mark.long
@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", [float16, bfloat16], ids=str)
def test_all_conversions_of_16_bits(source, target):
    pattern = UInt(target.width)
    agrees(FloatKind.CONVERT, source, [range(1 << 16)], result=pattern, target=target)


WIDTHS = (1, 2, 7, 8, 16, 24, 25, 32, 53, 54, 63, 64, 65, 100, 128, 200, 512)
SEVERAL = (Int(1), UInt(8), Int(32), Int(54), UInt(64), Int(200))


def integers_of(type_, count, seed=0):
    """Numbers of all magnitudes, those around powers of two and ties often."""
    dice = random.Random(seed)
    found = {type_.min, type_.max, type_.min + 1, type_.max - 1, 0, type_.wrap(1)}
    for _ in range(count):
        width = dice.randrange(1, type_.width + 1)
        high = 1 << width - 1 | dice.getrandbits(width) >> dice.choice((0, 9, 12, 25, 54))
        low = dice.choice((0, 1, -1, 1 << max(width - 9, 0), 1 << max(width - 25, 0)))
        for value in (high, high ^ low, (1 << width - 1) + low, dice.getrandbits(width)):
            found |= {type_.wrap(value), type_.wrap(-value)}
    return sorted(found)


def check_from_integer(format_, type_, fraction, count):
    values, pattern = integers_of(type_, count), UInt(format_.width)
    agrees(FloatKind.FROM_INT, format_, [values], (type_,), pattern, fraction=fraction)


def check_to_integer(format_, type_, fraction, count):
    """Also numbers around those that integers of the type become."""
    pattern = UInt(format_.width)
    ends = compute(
        FloatKind.FROM_INT, format_, [integers_of(type_, count // 10)], (type_,), pattern,
        fraction=fraction,
    )  # fmt: skip
    near = [(x + d) % (1 << format_.width) for x in ends for d in (-1, 0, 1)]
    some = range(256) if format_.width == 8 else random_columns(format_, count, 1)[0]
    values = [*corners(format_), *some, *near]
    agrees(FloatKind.TO_INT, format_, [values], result=type_, fraction=fraction)


@pytest.mark.parametrize("fraction", [0, 40])
@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_from_integers(format_, fraction):
    """Integers and fixed-point numbers, each rounded once."""
    for type_ in SEVERAL:
        check_from_integer(format_, type_, fraction, 15)


@pytest.mark.parametrize("fraction", [0, 40])
@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_to_integers(format_, fraction):
    """Toward zero, to the nearest end when beyond the range, and NaN is 0."""
    for type_ in SEVERAL:
        check_to_integer(format_, type_, fraction, 30)


@pytest.mark.long
@pytest.mark.parametrize("make", [Int, UInt], ids=("signed", "unsigned"))
@pytest.mark.parametrize("fraction", [0, 3, 63, 255])
@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_integers_of_all_widths(format_, fraction, make):
    for width in WIDTHS:
        check_from_integer(format_, make(width), fraction, 300)
        check_to_integer(format_, make(width), fraction, 1000)


# Every format at once, in the hands of hypothesis


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_operation_on_any_operands(data):
    format_ = data.draw(st.sampled_from(FORMATS))
    kind = data.draw(st.sampled_from(BINARY))
    agrees(kind, format_, [[data.draw(patterns(format_))], [data.draw(patterns(format_))]])
