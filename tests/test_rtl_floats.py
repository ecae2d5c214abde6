"""Floating-point operations of legalized modules in hardware."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_writer import Writer, agree, design_of, module_of, random_args

from allo_rtl.customize import customize
from allo_rtl.hls.report_builder import build_report
from allo_rtl.ir.ops import FloatKind, Value
from allo_rtl.ir.types import (
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

FORMATS = [float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
ARITY = {"sqrt": 1, "fma": 3}


def elementwise(kind, format, clock=50.0):
    """``C[i] = kind(A[i], B[i], ...)`` in a pipelined loop."""
    arity = ARITY.get(kind, 2)
    result = bool_ if kind in COMPARISONS else UInt(format.width)
    inputs = [Value(UInt(format.width)[8], "ABC"[k]) for k in range(arity)]
    out = Value(result[8], "R")
    w = Writer(*inputs, out)
    with w.loop("i", 8, pipeline_ii=1) as i:
        operands = [w.load(a, i) for a in inputs]
        w.store(w.float(kind, format, *operands, result=result), out, i)
    return module_of(w.func())


@pytest.mark.parametrize("kind", ["add", "sub", "mul", "div", "fma", "sqrt", "min", "max", "lt"])
@pytest.mark.parametrize("format", [float8_e5m2, float32], ids=str)
def test_every_operation_takes_operands_in_every_cycle(kind, format):
    module = elementwise(kind, format)
    design = design_of(module, clock_mhz=60)
    assert [x.ii for x in build_report(design).loops] == [1]
    agree(module, random_args(module, 1), design)


values = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63, 0x7FF << 52, 0x7F800000, 0x3F800000])
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(list(FloatKind)), st.sampled_from(FORMATS), st.sampled_from(FORMATS),
    st.sampled_from([Int(8), UInt(13), Int(70), UInt(1), index]), st.integers(0, 20),
    st.lists(values, min_size=3, max_size=3), st.sampled_from([5, 50, 120]), st.booleans(),
)  # fmt: skip
def test_any_operation_of_any_format(
    kind, format, target, whole, fraction, numbers, clock, constant
):
    if kind in (FloatKind.FROM_INT, FloatKind.TO_INT) and whole == index:
        whole = Int(64)
    arity = {FloatKind.FMA: 3, FloatKind.SQRT: 1, FloatKind.CONVERT: 1}.get(kind, 2)
    operand, result, parts = UInt(format.width), UInt(format.width), {}
    if kind.value in COMPARISONS:
        result = bool_
    elif kind is FloatKind.CONVERT:
        result, parts = UInt(target.width), {"target": target}
    elif kind is FloatKind.FROM_INT:
        arity, operand, parts = 1, whole, {"fraction": fraction}
    elif kind is FloatKind.TO_INT:
        arity, result, parts = 1, whole, {"fraction": fraction}
    numbers = [operand.wrap(n) for n in numbers[:arity]]
    inputs = [Value(operand, f"a{k}") for k in range(arity)]
    w = Writer(*inputs)
    operands = list(inputs)
    if constant:
        operands[-1] = w.const(numbers[-1], operand)
    module = module_of(w.func("k", w.float(kind.value, format, *operands, result=result, **parts)))
    agree(module, numbers, clock_mhz=clock)


def test_equal_operations_are_one_unit_and_constants_are_folded():
    a = Value(UInt(32), "a")
    w = Writer(a)
    one = w.const(0x3F800000, UInt(32))
    two = w.float("add", float32, one, one)
    x, y = w.float("mul", float32, a, two), w.float("mul", float32, a, two)
    module = module_of(w.func("k", w.float("add", float32, x, y)))
    assert dict(build_report(design_of(module)).units) == {"float32 add": 1, "float32 mul": 1}
    agree(module, [0x40490FDB])


def accumulate():
    data = Value(UInt(32)[8], "A")
    w = Writer(data)
    total = w.variable(w.const(0, UInt(32)), "total")
    with w.loop("i", 8, pipeline_ii=1) as i:
        w.store(w.float("add", float32, w.load(total), w.load(data, i)), total)
    return module_of(w.func("total", w.load(total)))


def test_an_accumulation_waits_for_its_adder_and_the_report_says_so():
    module = accumulate()
    data = np.arange(1, 9, dtype=np.float32).view(np.uint32).astype(object)
    agree(module, [data])
    (loop,) = build_report(design_of(module)).loops
    assert loop.ii > 1
    assert loop.limit == (
        f"recurrence: total, written at k.py:6, is used 1 iteration later; that takes {loop.ii} "
        f"cycles, {loop.ii} of them in float32 add at k.py:6"
    )


def test_a_loop_until_a_float_converges():
    """Newton's iteration for a square root, until the estimate stands still."""
    a = Value(UInt(32), "a")
    w = Writer(a)
    x = w.variable(a, "x")
    before = w.variable(w.const(0, UInt(32)), "before")
    half = w.const(0x3F000000, UInt(32))
    with w.while_(lambda: w.float("ne", float32, w.load(x), w.load(before), result=bool_)):
        old = w.load(x)
        w.store(old, before)
        total = w.float("add", float32, old, w.float("div", float32, a, old))
        w.store(w.float("mul", float32, half, total), x)
    module = module_of(w.func("root", w.load(x)))
    agree(module, [int(np.float32(2).view(np.uint32))])


def axpy(X: float32[4], Y: float32[4], a: float32):
    for i in range(4):
        Y[i] = a * X[i] + Y[i]


def test_the_verilog_has_no_wires_of_no_bits():
    text = customize(axpy).build(target="rtl", clock_mhz=100).verilog
    assert "[-1:0]" not in text
