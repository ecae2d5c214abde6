"""Division and remainder by constants: no divider, and every number right."""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.hls.design import build_design, regions
from allo_rtl.hls.node import DIVISIONS
from allo_rtl.ir.arithmetic import eval_binary
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import Int, UInt, int8
from allo_rtl.target import device

KINDS = {"/": BinaryKind.DIV, "//": BinaryKind.FLOORDIV, "%": BinaryKind.REM}


def kernel_of(type_, operator, divisor):
    """A kernel that divides every number of an array by a constant."""
    text = (
        "def divide(A: T[N], B: T[N]):\n"
        "    for i in range(N):\n"
        f"        B[i] = A[i] {operator} {divisor}\n"
    )
    return allo.customize(text, global_vars={"T": type_, "N": 256, "range": range})


def dividers(schedule):
    """How many dividers the hardware has."""
    design = build_design(schedule.module, device("ecp5-85"), 50.0)
    pieces = [p for f in design.functions for p in regions(f.control.body)]
    return sum(n.kind in DIVISIONS for p in pieces for n in p.region.nodes())


@pytest.mark.parametrize("operator", KINDS)
@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 16, 100, 128])
@pytest.mark.parametrize("type_", [int8, UInt(8)], ids=str)
def test_all_numbers_of_8_bits(type_, operator, divisor):
    if divisor > type_.max:
        return
    schedule = kernel_of(type_, operator, divisor)
    numbers = np.arange(type_.min, type_.max + 1)
    module = schedule.build(target="rtl")
    from test_language import in_amaranth

    dtype = np.int8 if type_.signed else np.uint8
    found = np.zeros(256, dtype)
    in_amaranth(module)(numbers.astype(dtype), found)
    expected = [eval_binary(KINDS[operator], type_, int(n), divisor) for n in numbers]
    assert found.tolist() == expected
    assert dividers(schedule) == 0


@pytest.mark.parametrize("operator", KINDS)
@pytest.mark.parametrize("type_", [Int(17), Int(32), UInt(32), Int(33)], ids=str)
def test_wide_numbers(type_, operator):
    for divisor in (3, 10, 1 << 9, 65537):
        schedule = kernel_of(type_, operator, divisor)
        assert dividers(schedule) == 0
        check(schedule, seeds=(0,), simulator="pysim")


def test_wider_ones_have_a_divider():
    assert dividers(kernel_of(Int(48), "/", 10)) == 1
    assert dividers(kernel_of(Int(48), "/", 16)) == 0
