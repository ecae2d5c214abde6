"""Floor, remainder and floor division as integer algorithms: exact."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from allo_rtl.hls.design import build_design
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
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import words_of_ints
from allo_rtl.target import device

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from ulps import apply, kernel, patterns

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
    count = {8: 30, 16: 8, 32: 3, 64: 1}[format.width]
    for _ in range(count):
        x, y = source.choice(corners(format)), source.getrandbits(format.width)
        near = (x + source.randint(-(9 << format.fracs), 0)) % (1 << format.width)
        for a, b in ((x, y), (y, x), (x, near), (x, source.choice(corners(format)))):
            expected = eval_binary(BinaryKind.REM, format, a, b)
            assert evaluate(module, (a, b)) == (expected,), (hex(a), hex(b))


@pytest.mark.parametrize("format", [float32, float64], ids=str)
def test_remainders_of_the_cpu_are_those_of_c(format):
    dtype = np.dtype(str(format))
    x, near = patterns(format, 3000, 1), patterns(format, 3000, 2)
    apart = np.random.default_rng(3).integers(-9 << format.fracs, 9 << format.fracs, 3000)
    near[::2] = (x.astype(object) + apart)[::2] % (1 << format.width - 1)
    with np.errstate(invalid="ignore"):
        expected = np.fmod(x.view(dtype), near.view(dtype))
    expected[np.isnan(expected)] = np.nan
    assert apply(BinaryKind.REM, format, x, near).tolist() == expected.view(x.dtype).tolist()


@pytest.mark.parametrize("ii", [None, 1], ids=["in a loop of steps", "a step in each stage"])
@pytest.mark.parametrize("kind", [BinaryKind.REM, BinaryKind.FLOORDIV, MathKind.FLOOR], ids=str)
def test_hardware_computes_what_the_evaluator_does(kind, ii):
    source, arity = random.Random(4), 1 if kind is MathKind.FLOOR else 2
    args = [source.choices(corners(float8_e5m2), k=20) for _ in range(arity)]
    evaluated = eval_math if kind is MathKind.FLOOR else lambda k, f, x: eval_binary(k, f, *x)
    expected = [evaluated(kind, float8_e5m2, x) for x in zip(*args, strict=True)]
    design = build_design(kernel(kind, float8_e5m2, 20, ii=ii), device("ecp5-85"), 50.0)
    words = [words_of_ints(a, float8_e5m2) for a in (*args, [0] * 20)]
    pysim.run(KernelComponent(design), words)
    assert words[-1][:, 0].tolist() == expected
