"""Bits of integers, bit patterns of other numbers, and structs: read, written, passed around."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.arithmetic import number_of
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Alloc, If
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import (
    Fixed,
    Int,
    Struct,
    UFixed,
    UInt,
    bfloat16,
    float8_e4m3,
    float16,
    float32,
    float64,
    int8,
    int32,
    uint8,
)
from allo_rtl.ir.verify import verify_module

P = 3


def run(source, *args, **names):
    """The results of a kernel's text; one as itself."""
    module = lower_kernel(source, global_vars={"P": P, **names})
    verify_module(module)
    results = evaluate(module, args)
    return results[0] if len(results) == 1 else results


def bits_of(word, width):
    """The bits of a word as a text, the highest first."""
    return f"{word & ((1 << width) - 1):0{width}b}"


def word_of(bits, type_):
    """The word of a type with these bits."""
    return type_.wrap(int(bits, 2))


words = st.sampled_from([Int(8), UInt(8), Int(5), UInt(13), Int(32), UInt(1), Int(70)]).flatmap(
    lambda t: st.tuples(st.just(t), st.integers(t.min, t.max))
)


# Reading


@settings(max_examples=60, deadline=None)
@given(words, st.data())
def test_a_bit_a_slice_and_the_reverse(word, data):
    type_, value = word
    low = data.draw(st.integers(0, type_.width - 1))
    high = data.draw(st.integers(low + 1, type_.width))
    found = run(
        f"def f(x: T, n: int32) -> (uint1, uint1, UInt({high - low}), T, T):\n"
        f"    return x[{low}], x[n], x[{low}:{high}], x.reverse(), x.reverse\n",
        value, low, T=type_,
    )  # fmt: skip
    text = bits_of(value, type_.width)[::-1]
    back = word_of(text, type_)
    assert found == (int(text[low]), int(text[low]), int(text[low:high][::-1], 2), back, back)


def test_slices_with_open_ends():
    source = "def f(x: uint8) -> (uint8, uint8, uint8):\n    return x[:3], x[3:], x[:]\n"
    assert run(source, 0b11010110) == (0b110, 0b11010, 0b11010110)


@pytest.mark.parametrize(
    "bounds", ["p * 8:(p + 1) * 8", "8 * p:p * 8 + 8", "p * 8:8 - (-p) * 8", "P * p:P * p + 8",
               "A[p] * 8:(A[p] + 1) * 8", "p*4 + p*4:(p + 2) * 8 - 2*4"]
)  # fmt: skip
def test_the_width_of_a_slice_is_known_from_its_bounds(bounds):
    source = f"def f(x: int32, p: int8, A: int8[4]) -> uint8:\n    y = x[{bounds}]\n    return y\n"
    module = lower_kernel(source, global_vars={"P": 8})
    (variable,) = [op for op in walk(module.top_func.body) if isinstance(op, Alloc)]
    assert variable.result.array.element == UInt(8)
    assert evaluate(module, (0x12345678, 2, np.arange(4))) == (0x34,)


def test_a_slice_of_the_counter_of_a_loop():
    source = (
        "def f(x: UInt(24), A: uint8[6]):\n"
        "    for i in range(6):\n"
        "        A[i] = x[i * 4:(i + 1) * 4] if i[0] else i[0:3]\n"
    )
    found = np.zeros(6, dtype=object)
    run(source, 0x123456, found)
    assert list(found) == [0, 5, 2, 3, 4, 1]


@pytest.mark.parametrize(("low", "high"), [(0, 5), (3, 8), (4, 4), (5, 3), (6, 20), (9, 12)])
def test_a_slice_whose_width_is_known_only_at_run_time(low, high):
    source = "def f(x: uint8, a: int32, b: int32) -> uint32:\n    return x[a:b]\n"
    mask = (1 << max(high - low, 0)) - 1
    assert run(source, 0b10110101, low, high) == 0b10110101 >> low & mask


def test_bits_outside_a_word_are_zero_and_writing_them_does_nothing():
    source = (
        "def f(x: uint8, n: int32) -> (uint1, uint8):\n"
        "    b = x[n]\n    x[n] = 1\n    return b, x\n"
    )
    assert [run(source, 0xFF, n) for n in (8, 255, -1, 256)] == [(0, 0xFF)] * 4
    assert run(source, 0x00, 7) == (0, 0x80)


def test_bits_of_expressions_and_elements():
    source = (
        "def f(A: int8[4], a: int8, b: int8) -> (uint1, uint4, uint1, uint2):\n"
        "    return (a + b)[8], A[2][4:8], A[2][4:8][3], A[1].reverse()[0:2]\n"
    )
    assert run(source, np.array([0, 0b11000000 - 256, -86, 0]), 100, 100) == (0, 0b1010, 1, 3)


def test_bits_index_arrays_and_decide():
    source = (
        "def f(A: int32[4], x: uint8) -> int32:\n"
        "    return A[x[1:3]] if x[0] and not x[7] else -1\n"
    )
    numbers = np.array([10, 11, 12, 13])
    assert [run(source, numbers, x) for x in (0b101, 0b100, 0b10000111)] == [12, -1, -1]


# Writing


@settings(max_examples=60, deadline=None)
@given(words, st.data())
def test_writing_a_bit_and_a_slice(word, data):
    type_, value = word
    low = data.draw(st.integers(0, type_.width - 1))
    high = data.draw(st.integers(low + 1, type_.width))
    fresh = data.draw(st.integers(-200, 200))
    found = run(
        f"def f(x: T, n: int32, v: int32) -> (T, T, T):\n"
        f"    y: T = x\n    z = x\n"
        f"    x[{low}:{high}] = v\n    y[n] = v\n    z[n:n + {high - low}] = v\n"
        f"    return x, y, z\n",
        value, low, fresh, T=type_,
    )  # fmt: skip
    before = bits_of(value, type_.width)[::-1]
    new = bits_of(fresh, high - low)[::-1]
    whole = word_of((before[:low] + new + before[high:])[::-1], type_)
    one = word_of((before[:low] + new[0] + before[low + 1 :])[::-1], type_)
    assert found == (whole, one, whole)


def test_writing_parts_of_elements_and_of_parts():
    source = (
        "def f(A: uint8[3], n: int32):\n"
        "    A[0][0:4] = 9\n    A[1][n] = 1\n    A[1][7] ^= 1\n"
        "    A[2][4:8] += 3\n    A[2][0:4][n] = 1\n"
    )
    numbers = np.array([0xF0, 0x80, 0xE0])
    run(source, numbers, 2)
    assert list(numbers) == [0xF9, 0x04, 0x14]


def test_what_is_written_is_converted_to_the_bits():
    source = (
        "def f(x: uint8, v: Fixed(8, 4), w: float32) -> uint8:\n"
        "    x[0:3] = v\n    x[4:8] = w\n    return x\n"
    )
    assert run(source, 0, 0x5F, 0x41C80000) == 0xF5  # 5.9375 is 5, 25.0 is beyond 15


def test_an_argument_of_which_a_bit_is_written_is_not_the_callers():
    source = (
        "def f(x: uint8) -> uint8:\n"
        "    def g(y: uint8) -> uint8:\n        y[0] = 1\n        return y\n"
        "    return g(x) + x\n"
    )
    assert run(source, 6) == 13


# Bit patterns


@pytest.mark.parametrize(
    ("source", "argument", "result"),
    [
        (UInt(32), 0x3FC00000, float32), (Int(16), -17408, float16), (UInt(64), 1 << 62, float64),
        (float32, 0xFF800001, UInt(32)), (bfloat16, 0x8000, UInt(16)), (float64, 3, UInt(64)),
        (Fixed(12, 4), -3, UInt(12)), (UFixed(5, 5), 17, UInt(5)),
    ],
    ids=str,
)  # fmt: skip
def test_bitcast_keeps_the_bits(source, argument, result):
    """Of 16, 32 and 64 bits to a float, of anything else to an unsigned integer."""
    names = {"S": source, "R": result}
    found = run("def f(x: S) -> (R, R):\n    return x.bitcast(), x.bitcast(R)\n", argument, **names)
    assert found == (argument & ((1 << source.bits) - 1),) * 2


def test_bitcast_to_a_named_type():
    source = (
        "def f(x: uint8) -> (int8, Fixed(8, 4), float8_e4m3, S):\n"
        "    return x.bitcast(int8), x.bitcast(Fixed(8, 4)), x.bitcast(float8_e4m3), x.bitcast(S)\n"
    )
    pair = Struct({"low": UInt(4), "high": Int(4)})
    found = run(source, 0xB8, S=pair)
    types = (int8, Fixed(8, 4), float8_e4m3, pair)
    numbers = [number_of(t, x) for t, x in zip(types, found, strict=True)]
    assert numbers == [-72, -4.5, -1.0, {"low": 8, "high": -5}]


def test_the_bits_of_a_float_by_way_of_its_pattern():
    source = (
        "def f(x: float32) -> (uint8, uint1):\n"
        "    return x.bitcast()[23:31], x.bitcast()[31]\n"
    )
    assert run(source, 0xC0000000) == (128, 1)


# Structs

POINT = Struct({"x": int8, "y": float16, "on": UInt(1)})
LINE = Struct({"a": POINT, "b": POINT, "weight": Fixed(10, 4)})
NAMES = {"Point": POINT, "Line": LINE, "int32": int32, "uint8": uint8}


def fields(type_, raw):
    return number_of(type_, raw)


def pack(x, y, on):
    pattern = int(np.float16(y).view(np.uint16))
    return (x & 0xFF) | pattern << 8 | on << 24


def test_a_struct_is_made_of_its_fields_in_any_order():
    source = (
        "def f(a: int32) -> (Point, Point):\n"
        '    p: Point = {"on": 1, "x": a, "y": 0.5}\n'
        '    return p, {"x": 1, "y": a, "on": a > 2}\n'
    )
    assert run(source, 300, **NAMES) == (pack(44, 0.5, 1), pack(1, 300.0, 1))


def test_fields_are_read_and_written():
    source = (
        "def f(p: Point) -> (Point, int8, float16):\n"
        '    p["x"] = 100\n    p["x"] += 100\n'
        '    p["y"] = p["x"] / 2.0\n    p["on"] = not p["on"]\n'
        '    return p, p["x"], p["y"] * 2\n'
    )
    half = int(np.float16(-56).view(np.uint16))
    assert run(source, pack(3, 1.5, 1), **NAMES) == (pack(-56, -28.0, 0), -56, half)


def test_structs_in_structs_and_arrays():
    source = (
        "def f(A: Line[2], p: Point):\n"
        '    A[0] = {"a": p, "b": {"x": 2, "y": 3, "on": 0}, "weight": 1.75}\n'
        '    A[1]["a"]["x"] = A[0]["b"]["x"] + 5\n'
        '    A[1]["b"] = A[0]["a"]\n'
        '    A[1]["weight"] -= 0.25\n'
        '    A[1]["b"]["x"][0] = 1\n'
    )
    found = np.zeros(2, dtype=object)
    run(source, found, pack(8, -1.0, 1), **NAMES)
    first = {"a": {"x": 8, "y": -1, "on": 1}, "b": {"x": 2, "y": 3, "on": 0}, "weight": 1.75}
    second = {"a": {"x": 7, "y": 0, "on": 0}, "b": {"x": 9, "y": -1, "on": 1}, "weight": -0.25}
    assert [fields(LINE, x) for x in found] == [first, second]


def test_structs_are_arguments_and_results_of_kernels():
    source = (
        "def f(a: int32) -> Point:\n"
        "    def moved(p: Point, by: int8) -> Point:\n"
        '        return {"x": p["x"] + by, "y": p["y"], "on": 1}\n'
        '    q = moved({"x": a, "y": 1.5, "on": 0}, 3)\n'
        '    r: Point = q if a > 5 else moved(q, 1)\n'
        "    return r\n"
    )
    assert run(source, 4, **NAMES) == pack(8, 1.5, 1)
    assert run(source, 9, **NAMES) == pack(12, 1.5, 1)


def test_an_integer_of_the_width_becomes_a_struct_and_back_by_its_bits():
    source = (
        "def f(x: UInt(25)) -> (int8, UInt(25)):\n"
        '    p: Point = x\n    return p["x"], p.bitcast()\n'
    )
    assert run(source, pack(-7, 2.0, 1), **NAMES) == (-7, pack(-7, 2.0, 1))


def test_the_type_of_a_field():
    source = 'def f(x: int32) -> Point["x"]:\n    y: Point["x"] = x\n    return y\n'
    assert run(source, 300, **NAMES) == 44


# What must not run


def test_what_the_left_side_leaves_out_does_not_run():
    """Loads that may be out of range run only when Python would run them."""
    source = (
        "def f(A: int32[4], i: int32) -> (int32, uint1, uint1):\n"
        "    a: int32 = A[i] if 0 <= i < 4 else -1\n"
        "    b: uint1 = i < 4 <= A[i]\n"
        "    c: uint1 = i >= 4 or A[i] / (i - 1) > 2\n"
        "    return a, b, c\n"
    )
    numbers = np.array([1, 2, 3, 9])
    assert run(source, numbers, 3) == (9, 1, 1)
    assert run(source, numbers, 5) == (-1, 0, 1)
    module = lower_kernel(source)
    assert sum(isinstance(op, If) for op in walk(module.top_func.body)) == 3
