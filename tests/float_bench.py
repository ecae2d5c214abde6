"""Floating-point units side by side in one Verilated module, and numbers to try them with."""

import ctypes
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from allo_rtl.ir import floats
from allo_rtl.ir.floats import (
    BFLOAT16,
    FLOAT8_E4M3,
    FLOAT8_E5M2,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    FloatFormat,
)  # fmt: skip
from allo_rtl.ir.ops import Predicate
from allo_rtl.ir.types import Int, UInt
from allo_rtl.rtl import float_units
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.verilog import to_verilog
from allo_rtl.sim.verilator import compile_library

FORMATS = {
    "float8_e5m2": FLOAT8_E5M2, "float8_e4m3": FLOAT8_E4M3, "float16": FLOAT16,
    "bfloat16": BFLOAT16, "float32": FLOAT32, "float64": FLOAT64,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One unit: what it is made of, after how many cycles it answers, and what it should answer."""

    name: str
    stages: int
    make: Callable
    model: Callable
    operands: int


def binary_cases(fmt: FloatFormat, stages: Callable[[str], int]) -> list[Case]:
    """The operations with two operands, without comparisons."""
    return [
        Case(
            name, stages(name),
            lambda m, x, s, name=name: getattr(float_units, name)(
                m, fmt, x[0][: fmt.bits], x[1][: fmt.bits], stages=s, name=Names()
            ),
            lambda a, b, name=name: getattr(floats, name)(fmt, a, b), 2,
        )
        for name in ("add", "sub", "mul", "div", "minimum", "maximum")
    ]  # fmt: skip


def compare_cases(fmt: FloatFormat, stages: Callable[[str], int]) -> list[Case]:
    """All comparisons."""
    return [
        Case(
            predicate.value, stages("compare"),
            lambda m, x, s, predicate=predicate: float_units.compare(
                m, fmt, predicate, x[0][: fmt.bits], x[1][: fmt.bits], stages=s, name=Names()
            ),
            lambda a, b, predicate=predicate: floats.compare(fmt, predicate, a, b), 2,
        )
        for predicate in Predicate
    ]  # fmt: skip


def fma_case(fmt: FloatFormat, stages: Callable[[str], int]) -> Case:
    """The fused multiply-add."""
    return Case(
        "fma", stages("fma"),
        lambda m, x, s: float_units.fma(
            m, fmt, *(v[: fmt.bits] for v in x), stages=s, name=Names()
        ),
        lambda a, b, c: floats.fma(fmt, a, b, c), 3,
    )  # fmt: skip


INTEGERS = [(Int(8), 0), (UInt(8), 0), (Int(32), 0), (UInt(64), 0), (Int(16), 8), (UInt(12), 20)]


def unary_cases(fmt: FloatFormat, stages: Callable[[str], int]) -> list[Case]:
    """The square root and all conversions from a format."""
    cases = [
        Case(
            "sqrt", stages("sqrt"),
            lambda m, x, s: float_units.sqrt(m, fmt, x[0][: fmt.bits], stages=s, name=Names()),
            lambda a: floats.sqrt(fmt, a), 1,
        )
    ]  # fmt: skip
    cases += [
        Case(
            f"to {name}", stages("convert"),
            lambda m, x, s, to=to: float_units.convert(
                m, fmt, to, x[0][: fmt.bits], stages=s, name=Names()
            ),
            lambda a, to=to: floats.convert(fmt, to, a), 1,
        )
        for name, to in FORMATS.items()
    ]  # fmt: skip
    return cases + [
        Case(
            f"to {type} / 2**{fraction}", stages("to_integer"),
            lambda m, x, s, type=type, fraction=fraction: float_units.to_integer(
                m, fmt, x[0][: fmt.bits], type, stages=s, name=Names(), fraction=fraction
            ),
            lambda a, type=type, fraction=fraction: UInt(type.width).wrap(
                floats.to_integer(fmt, a, type, fraction)
            ), 1,
        )
        for type, fraction in INTEGERS
    ]  # fmt: skip


def integer_cases(fmt: FloatFormat, stages: Callable[[str], int]) -> list[Case]:
    """Conversions of integers to a format."""

    def make(m, x, s, type, fraction):
        value = x[0][: type.width]
        return float_units.from_integer(
            m, fmt, value.as_signed() if type.signed else value,
            stages=s, name=Names(), fraction=fraction,
        )  # fmt: skip

    return [
        Case(
            f"from {type} / 2**{fraction}", stages("from_integer"),
            lambda m, x, s, type=type, fraction=fraction: make(m, x, s, type, fraction),
            lambda a, type=type, fraction=fraction: floats.from_integer(
                fmt, type.wrap(a), fraction
            ), 1,
        )
        for type, fraction in INTEGERS
    ]  # fmt: skip


class Bench(wiring.Component):
    """All cases on the same operands."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        members = {name: In(64) for name in "abc"}
        super().__init__(members | {f"r{k}": Out(64) for k in range(len(cases))})

    def elaborate(self, platform):
        m = Module()
        ticks = Signal()
        m.d.sync += ticks.eq(~ticks)  # a clock, even if all cases are combinational
        for k, case in enumerate(self.cases):
            inner = Module()
            result = case.make(inner, (self.a, self.b, self.c), case.stages)
            out = Signal(len(result))
            inner.d.comb += [out.eq(result), getattr(self, f"r{k}").eq(out)]
            m.submodules[f"case{k}"] = inner
        return m


DRIVER = """
#include <cstdint>
#include <algorithm>
#include "Vtop.h"
#define EXPORT extern "C" __attribute__((visibility("default")))
static const int stages[] = {STAGES};
static Vtop* top = new Vtop;
static inline void read(uint64_t* r) { READS }
EXPORT void run(const uint64_t* a, const uint64_t* b, const uint64_t* c, uint64_t* out, long n) {
    const int count = COUNT, last = *std::max_element(stages, stages + count);
    uint64_t r[COUNT];
    top->rst = 0;
    for (long i = 0; i < n + last; i++) {
        long at = std::min(i, n - 1);
        top->a = a[at]; top->b = b[at]; top->c = c[at];
        top->clk = 0; top->eval();
        read(r);
        for (int k = 0; k < count; k++)
            if (i >= stages[k] && i - stages[k] < n) out[k * n + i - stages[k]] = r[k];
        top->clk = 1; top->eval();
    }
}
"""


def compile_cases(cases: Sequence[Case], more_cpp: str = "") -> ctypes.CDLL:
    """The library of a bench; ``more_cpp`` comes after the driver."""
    driver = DRIVER + more_cpp
    driver = driver.replace("STAGES", ", ".join(str(case.stages) for case in cases))
    driver = driver.replace("READS", " ".join(f"r[{k}] = top->r{k};" for k in range(len(cases))))
    driver = driver.replace("COUNT", str(len(cases)))
    library = compile_library(to_verilog(Bench(cases), "bench"), "bench", driver)
    return ctypes.CDLL(str(library))


def run_cases(library: ctypes.CDLL, cases: Sequence[Case], rows: Sequence[tuple]) -> np.ndarray:
    """Results (case, row) of rows of operands; missing operands are 0."""
    operands = np.zeros((3, len(rows)), np.uint64)
    for k, column in enumerate(zip(*rows, strict=True)):
        operands[k] = np.array(column, np.uint64)
    out = np.empty((len(cases), len(rows)), np.uint64)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*operands, out)]
    library.run(*pointers, ctypes.c_long(len(rows)))
    return out


def check(cases: Sequence[Case], rows: Sequence[tuple]) -> None:
    """Compare all cases with the model, on all rows; say which case, row and result is wrong."""
    found = run_cases(compile_cases(cases), cases, rows)
    for case, results in zip(cases, found, strict=True):
        model = cache(case.model)
        for row, result in zip(rows, results.tolist(), strict=True):
            expected = model(*row[: case.operands])
            if expected != result:
                numbers = ", ".join(f"{x:#x}" for x in row[: case.operands])
                raise AssertionError(f"{case.name}({numbers}): {result:#x}, not {expected:#x}")


def corners(fmt: FloatFormat) -> list[int]:
    """Zeros, ends of the subnormals and of the numbers, 1 and its neighbours, NaNs, both signs."""
    one, least = fmt.bias << fmt.mantissa, 1 << fmt.mantissa
    positive = [
        0, 1, 2, least - 1, least, least + 1, one - 1, one, one + 1, one + least,
        fmt.overflow - 1, fmt.overflow, fmt.nan, (1 << (fmt.bits - 1)) - 1,
    ]  # fmt: skip
    return [x | sign << (fmt.bits - 1) for x in dict.fromkeys(positive) for sign in (0, 1)]


def some_pattern(fmt: FloatFormat, rng: random.Random, near: int) -> int:
    """A pattern of one of several kinds; ``near`` is another operand to be close to."""
    match rng.randrange(6):
        case 0:
            return rng.choice(corners(fmt))
        case 1:
            return (near ^ rng.getrandbits(1) << (fmt.bits - 1)) ^ rng.getrandbits(2)
        case 2:
            # Nearly the same exponent: sums cancel.
            field = (near >> fmt.mantissa) + rng.randint(-3, 3)
            return (field << fmt.mantissa | rng.getrandbits(fmt.mantissa)) % (1 << fmt.bits)
        case 3:
            # Few ones: exact results and ties.
            ones = (1 << rng.randrange(fmt.mantissa)) | (1 << rng.randrange(fmt.mantissa))
            return rng.getrandbits(fmt.exponent + 1) << fmt.mantissa | ones
    return rng.getrandbits(fmt.bits)


def some_rows(fmt: FloatFormat, count: int, seed: int) -> list[tuple[int, int, int]]:
    """All pairs of corner cases, and ``count`` more rows of random operands."""
    rng = random.Random(seed)
    special = corners(fmt)
    rows = [(a, b, rng.choice(special)) for a in special for b in special]
    for _ in range(count):
        a = rng.getrandbits(fmt.bits)
        b = some_pattern(fmt, rng, a)
        near = floats.mul(fmt, a, b) if rng.getrandbits(1) else b
        rows.append((a, b, some_pattern(fmt, rng, near)))
    return rows
