"""The three builds agree on kernels of every type; small kernels, in Amaranth's simulator."""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.ir.types import (
    Fixed,
    Stateful,
    Struct,
    UFixed,
    bfloat16,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    int8,
    int32,
)
from allo_rtl.sim.cpu import CpuModule
from allo_rtl.sim.reference import ReferenceModule

Q = Fixed(12, 5)
FORMATS = (float8_e4m3, float8_e5m2, float16, bfloat16, float32, float64)


def saxpy_of(T):
    def saxpy(a: T, x: T[5], y: T[5]):
        for i in range(5):
            y[i] = a * x[i] + y[i]

    return saxpy


@pytest.mark.parametrize("T", [*FORMATS, Q, UFixed(9, 3), int32], ids=str)
def test_sums_of_products_on_cpu(T):
    check(allo.customize(saxpy_of(T)), seeds=range(6), rtl=False)


@pytest.mark.parametrize("T", [*FORMATS, Q, UFixed(9, 3), int32], ids=str)
def test_sums_of_products_in_hardware(T):
    check(allo.customize(saxpy_of(T)), seeds=(1,), simulator="pysim")


P = Struct({"x": int8, "y": float32})


def swap_fields(a: P[3], b: P[3]):
    for i in range(3):
        p: P = {"x": a[i]["x"] + 1, "y": a[i]["y"] * 2.0}
        b[i] = p


def test_structs():
    check(allo.customize(swap_fields), seeds=(1,), simulator="pysim")


def exponential(a: float32[3]) -> float32[3]:
    b: float32[3] = 0
    for i in range(3):
        b[i] = allo.exp(a[i])
    return b


def test_elementary_functions_are_one_algorithm_on_cpu_and_in_hardware():
    check(allo.customize(exponential), ulps=1, simulator="pysim")


def running_total(x: int32) -> int32:
    total: int32 @ Stateful = 10
    total += x
    print("total", total)
    return total


def test_state_and_printed_lines():
    check(allo.customize(running_total), seeds=range(4), simulator="pysim")


@pytest.mark.parametrize(("build", "says"), [(CpuModule, "CPU"), (ReferenceModule, "evaluator")])
def test_one_bit_of_difference_is_found(monkeypatch, build, says):
    """The sign of a zero, say, in one element of an argument."""
    honest = build.run_raw

    def wrong(self, raw):
        results = honest(self, raw)
        if self.module.top_func.args[0].type == float32:  # not of the legalized module
            raw[1][2] ^= np.uint64(1 << 31)
        return results

    monkeypatch.setattr(build, "run_raw", wrong)
    with pytest.raises(AssertionError, match=says):
        check(allo.customize(saxpy_of(float32)), rtl=False)


def test_a_missing_line_is_found(monkeypatch):
    monkeypatch.setattr(CpuModule, "_print", lambda self, number, address: None)
    with pytest.raises(AssertionError, match="total"):
        check(allo.customize(running_total), rtl=False)
