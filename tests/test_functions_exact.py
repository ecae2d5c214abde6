"""Floor, remainder and floor division as integer algorithms: exact, by the evaluator."""

import random

import pytest

from allo_rtl.ir.arithmetic import eval_binary, eval_math, format_of
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.functions import build_function
from allo_rtl.ir.ops import BinaryKind, MathKind, Module
from allo_rtl.ir.types import (
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
)
from allo_rtl.ir.verify import verify_module

FORMATS = [float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64]


def module_of(kind, format):
    """The function alone, as a module."""
    func, tables = build_function(kind, format)
    module = Module(funcs=(func,), top=func.name, globals=tables)
    verify_module(module)
    return module


def corners(format):
    """Zeros, smallest and largest numbers, infinity, NaNs, whole numbers and halves; both signs."""
    fmt = format_of(format)
    one = fmt.bias << fmt.mantissa
    half = 1 << fmt.mantissa
    positive = [
        0, 1, 2, half - 1, half, half + 1, one - 1, one, one + 1, one - half, one + half,
        one + half + half // 2, fmt.overflow - 1, fmt.overflow, fmt.nan, fmt.nan | 1,
        (fmt.bias + fmt.mantissa) << fmt.mantissa, (fmt.bias + fmt.mantissa + 1) << fmt.mantissa,
    ]  # fmt: skip
    return [x | sign << fmt.bits - 1 for x in positive for sign in (0, 1)]


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_floor(format):
    module, source = module_of(MathKind.FLOOR, format), random.Random(1)
    patterns = corners(format) + [source.getrandbits(format.width) for _ in range(300)]
    for x in range(256) if format.width == 8 else patterns:
        assert evaluate(module, (x,)) == (eval_math(MathKind.FLOOR, format, (x,)),), hex(x)


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_floor_division(format):
    module, source = module_of(BinaryKind.FLOORDIV, format), random.Random(2)
    pairs = [(x, y) for x in corners(format) for y in corners(format)]
    some = [source.getrandbits(format.width) for _ in range(300)]
    pairs += [(x, source.choice(corners(format))) for x in some]
    for x, y in pairs[:: 1 if format.width == 32 else 3]:
        expected = eval_binary(BinaryKind.FLOORDIV, format, x, y)
        assert evaluate(module, (x, y)) == (expected,), (hex(x), hex(y))


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_remainder(format):
    module, source = module_of(BinaryKind.REM, format), random.Random(3)
    count = {8: 100, 16: 30, 32: 8, 64: 2}[format.width]
    for _ in range(count):
        x, y = source.choice(corners(format)), source.getrandbits(format.width)
        near = (x + source.randint(-(9 << format.fracs), 0)) % (1 << format.width)
        for a, b in ((x, y), (y, x), (x, near), (x, source.choice(corners(format)))):
            expected = eval_binary(BinaryKind.REM, format, a, b)
            assert evaluate(module, (a, b)) == (expected,), (hex(a), hex(b))
