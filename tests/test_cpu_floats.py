"""Floating-point operations of the CPU build, bit for bit against the exact model.

The model is Python integers (:mod:`allo_rtl.ir.floats`); the long tests also compare millions of
float32 and float64 operands with numpy, which shares nothing with it.
"""

import ctypes
import platform
import random
import sys
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import eval_float_op, format_of
from allo_rtl.ir.ops import (
    Constant,
    FloatKind,
    FloatOp,
    For,
    Func,
    Load,
    Module,
    Return,
    Store,
    Value,
)
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
from allo_rtl.sim import cpu
from allo_rtl.sim.cpu import CpuModule, compile_cpu
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
SEVERAL = (Int(1), UInt(8), Int(32), Int(54), UInt(64), UInt(100), Int(200))


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
    for places in (3, 4, 8, 11, 24, 53):  # just beside a tie of a format of so many bits
        for top in {type_.width - 1, type_.width - 2, places + 3} & set(range(places, 512)):
            tie = (1 << top) + (1 << top - places)
            found |= {type_.wrap(tie + d) for d in (-1, 0, 1)}
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


# What compilers and other libraries like to change


def chain(format_, kinds):
    """A kernel of three scalars: ``((a kind b) kind c) ...``, the operands in turn."""
    args = tuple(Value(UInt(format_.width), n) for n in "abc")
    ops, last = [], args[0]
    for kind, other in zip(kinds, (*args[1:], args[0]), strict=False):
        result = Value(UInt(format_.width))
        ops.append(FloatOp(kind=kind, format=format_, result=result, args=(last, other)))
        last = result
    func = Func(
        name="f", args=args, results=(last.type,), body=(*ops, Return(values=(last,)))
    )
    return CpuModule(Module(funcs=(func,), top="f"))


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_a_product_and_a_sum_are_not_contracted(format_):
    """(1 + 2**-m) * (1 - 2**-m) - 1 is 0 when the product is rounded, else -2**-2m."""
    fmt = format_of(format_)
    one = fmt.bias << fmt.mantissa
    kernel = chain(format_, (FloatKind.MUL, FloatKind.SUB))
    expected = eval_float_op(FloatKind.MUL, format_, (one + 1, one - 2))
    expected = eval_float_op(FloatKind.SUB, format_, (expected, one))
    assert kernel(one + 1, one - 2, one) == expected
    fused = eval_float_op(FloatKind.FMA, format_, (one + 1, one - 2, one | 1 << fmt.bits - 1))
    assert fused != expected


@pytest.mark.parametrize("format_", [float32, float64], ids=str)
def test_sums_are_not_reordered(format_):
    """(large + small) - large is 0, and not small; (a - b) + b may differ from a."""
    fmt = format_of(format_)
    one, large = fmt.bias << fmt.mantissa, 2 * fmt.bias - 1 << fmt.mantissa
    kernel = chain(format_, (FloatKind.ADD, FloatKind.SUB))
    assert kernel(large, one, large) == 0
    assert kernel(one, one, one) == one


def on_constants(format_, cases):
    """A kernel without arguments: FloatOps of constants, as (kind, operands, options)."""
    ops, results = [], []
    for kind, operands, options in cases:
        args = [Constant(result=Value(UInt(format_.width)), value=x) for x in operands]
        target = options.get("target") or format_
        type_ = bool_ if kind in COMPARISONS else options.get("integer") or UInt(target.width)
        op = FloatOp(
            kind=kind, format=format_, result=Value(type_), args=tuple(a.result for a in args),
            target=options.get("target"), fraction=options.get("fraction", 0),
        )  # fmt: skip
        ops += [*args, op]
        results.append(op.result)
    types = tuple(r.type for r in results)
    body = (*ops, Return(values=tuple(results)))
    func = Func(name="f", args=(), results=types, body=body)
    return CpuModule(Module(funcs=(func,), top="f"))


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_what_llvm_computes_itself_is_the_same(format_):
    """Operations on constants are gone before there is code; the arithmetic is LLVM's own."""
    dice = random.Random(1)
    special = corners(format_)
    cases = [
        (kind, dice.choices(special, k=2), {}) for kind in (*BINARY, FloatKind.SUB) * 8
    ]
    cases += [(FloatKind.FMA, dice.choices(special, k=3), {}) for _ in range(30)]
    cases += [(FloatKind.SQRT, [x], {}) for x in special]
    cases += [(FloatKind.CONVERT, [x], {"target": t}) for x in special for t in FORMATS[::2]]
    whole = {"integer": Int(9), "fraction": 3}
    cases += [(FloatKind.TO_INT, [x], whole) for x in special]
    found = on_constants(format_, cases)()
    for (kind, operands, options), bits in zip(cases, found, strict=True):
        assert bits == eval_float_op(kind, format_, tuple(operands), **options), (kind, operands)


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_large_modules_are_compiled_another_way(format_, monkeypatch):
    """LLVM has a second code generator, which is used without optimisation."""
    monkeypatch.setattr(cpu, "_LARGE", 0)
    pairs = list(zip(*product(corners(format_)[::4], repeat=2), strict=True))
    triple = random_columns(format_, 100, 3)
    pattern, wide = UInt(format_.width), Int(70)
    elementwise.cache_clear()
    for kind in BINARY[::2]:
        agrees(kind, format_, pairs)
    agrees(FloatKind.FMA, format_, triple)
    agrees(FloatKind.SQRT, format_, [corners(format_)])
    for type_ in (Int(7), wide):
        agrees(FloatKind.TO_INT, format_, [corners(format_)], result=type_)
        agrees(FloatKind.FROM_INT, format_, [integers_of(type_, 9)], (type_,), pattern)
    elementwise.cache_clear()


@pytest.fixture
def without_subnormals():
    """This thread's floating-point unit as libraries built with -ffast-math leave it."""
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux":
        pytest.skip("needs the MXCSR register of x86-64 and glibc's fenv_t")
    libm = ctypes.CDLL("libm.so.6")
    before, changed = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    libm.fegetenv(before)
    libm.fegetenv(changed)
    mxcsr = ctypes.c_uint32.from_buffer(changed, 28)
    mxcsr.value |= 0x8040  # flush to zero, denormals are zero
    mxcsr.value |= 0x6000  # and round toward zero
    libm.fesetenv(changed)
    yield
    libm.fesetenv(before)


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_subnormals_and_rounding_do_not_depend_on_the_process(format_, without_subnormals):
    fmt = format_of(format_)
    one = fmt.bias << fmt.mantissa
    three = eval_float_op(FloatKind.FROM_INT, format_, (3,))
    smallest_normal = 1 << fmt.mantissa
    columns = [(1, smallest_normal + 1, one, 2), (1, smallest_normal, three, one)]
    assert np.float64(5e-324) * 1.0 == 0.0  # the trap is set
    for kind in (FloatKind.ADD, FloatKind.SUB, FloatKind.MUL, FloatKind.DIV):
        agrees(kind, format_, columns)
    assert np.float64(5e-324) * 1.0 == 0.0  # and stays as it was


# Millions, against numpy


def as_floats(bits):
    return bits.view(np.dtype(f"float{bits.dtype.itemsize * 8}"))


def many(width, count, seed):
    """Patterns of every kind: any, near one another, of few bits, special."""
    dice = np.random.default_rng(seed)
    dtype = np.dtype(f"uint{width}")
    x, y = dice.integers(0, 1 << width, (2, count), dtype, endpoint=False)
    fracs = {32: 23, 64: 52}[width]
    near = x ^ dice.integers(0, 1 << fracs + 2, count, dtype)
    short = y & ~dtype.type((1 << fracs - 8) - 1)
    y = np.choose(dice.integers(0, 3, count), [y, near, short]).astype(dtype)
    special = np.array(corners({32: float32, 64: float64}[width]), dtype)
    x = np.where(dice.random(count) < 0.05, dice.choice(special, count), x)
    y = np.where(dice.random(count) < 0.05, dice.choice(special, count), y)
    return x, y


def columns_of(kind, format_, *columns, result=None, **options):
    """The CPU's results on numpy arrays of patterns."""
    sources = tuple(UInt(c.dtype.itemsize * 8) for c in columns)
    result = result or (bool_ if kind in COMPARISONS else UInt(format_.width))
    kernel = elementwise(kind, format_, sources, result, **options)
    out = np.zeros((len(columns[0]), 1), np.uint64)
    kernel.run_raw([len(out), out, *(c.astype(np.uint64).reshape(-1, 1) for c in columns)])
    return out[:, 0]


NUMPY = {
    FloatKind.ADD: np.add, FloatKind.SUB: np.subtract, FloatKind.MUL: np.multiply,
    FloatKind.DIV: np.divide, FloatKind.EQ: np.equal, FloatKind.NE: np.not_equal,
    FloatKind.LT: np.less, FloatKind.LE: np.less_equal, FloatKind.GT: np.greater,
    FloatKind.GE: np.greater_equal, FloatKind.MIN: np.minimum, FloatKind.MAX: np.maximum,
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("kind", NUMPY, ids=lambda k: k.value)
@pytest.mark.parametrize("format_", [float32, float64], ids=str)
def test_millions_against_numpy(kind, format_):
    for seed in range(2):
        x, y = many(format_.width, 1_000_000, seed)
        found = columns_of(kind, format_, x, y)
        with np.errstate(all="ignore"):
            expected = NUMPY[kind](as_floats(x), as_floats(y))
        if kind in (FloatKind.MIN, FloatKind.MAX):  # numpy's zeros have no order
            zeros = (as_floats(x) == 0) & (as_floats(y) == 0)
            found, expected = found[~zeros], expected[~zeros]
        check_against(found, expected, format_)


@pytest.mark.long
@pytest.mark.parametrize("format_", [float32, float64], ids=str)
def test_millions_of_roots_and_conversions_against_numpy(format_):
    x, _ = many(format_.width, 1_000_000, 5)
    with np.errstate(all="ignore"):
        check_against(columns_of(FloatKind.SQRT, format_, x), np.sqrt(as_floats(x)), format_)
        other, dtype = (float64, np.float64) if format_ == float32 else (float32, np.float32)
        found = columns_of(FloatKind.CONVERT, format_, x, result=UInt(other.width), target=other)
        check_against(found, as_floats(x).astype(dtype), other)


@pytest.mark.long
@pytest.mark.parametrize("format_", [float32, float64], ids=str)
@pytest.mark.parametrize("width", [32, 64])
def test_millions_of_integers_against_numpy(format_, width):
    dice = np.random.default_rng(3)
    dtype = np.dtype(f"int{width}")
    x = dice.integers(-(1 << width - 1), 1 << width - 1, 1_000_000, dtype)
    x >>= dice.integers(0, width, len(x), dtype)
    kernel = elementwise(
        FloatKind.FROM_INT, format_, (Int(width),), UInt(format_.width), fraction=0
    )
    out = np.zeros((len(x), 1), np.uint64)
    bits = x.view(np.dtype(f"uint{width}")).astype(np.uint64).reshape(-1, 1)
    kernel.run_raw([len(x), out, bits])
    check_against(out[:, 0], x.astype(np.dtype(f"float{format_.width}")), format_)


def check_against(found, expected, format_):
    """Bit for bit; numpy's NaN may have any payload, ours is the canonical one."""
    if expected.dtype.kind == "b":
        assert np.array_equal(found, expected)
        return
    unsigned = np.dtype(f"uint{expected.dtype.itemsize * 8}")
    bits = expected.view(unsigned).astype(np.uint64)
    bits[np.isnan(expected)] = format_of(format_).nan
    wrong = np.flatnonzero(found != bits)
    assert not len(wrong), [(hex(found[n]), hex(bits[n])) for n in wrong[:3]]
