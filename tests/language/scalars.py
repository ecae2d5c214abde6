"""Rows: types, operators, conversions, bits, structs."""

import ml_dtypes
import numpy as np
from language.rows import row

import allo_rtl as allo
from allo_rtl.ir.types import (
    Fixed,
    Int,
    Struct,
    UFixed,
    UInt,
    bfloat16,
    bool,
    float8_e4m3,
    float8_e5m2,
    float16,
    float32,
    float64,
    index,
    int8,
    int16,
    int32,
    uint8,
    uint16,
    uint32,
)

Pair = Struct({"x": int32, "y": int16})


@row("Types", "Int and UInt", -5, 300, gives=[-1500, 300])
def integers(a: Int(7), b: UInt(12)) -> (Int(20), UInt(12)):
    """Any width; `int8`, `uint16` ... are names of some. Wider than 64 bits: object arrays."""
    return a * b, b


@row("Types", "Wide integers", 2**200 - 1, gives=2**201 - 2)
def wide(a: UInt(200)) -> UInt(201):
    """Hundreds of bits are fine."""
    return a + a


@row("Types", "index", 3, gives=8)
def index_type(i: index) -> int32:
    """The type of loop counters."""
    return 2 * i + 2


@row("Types", "bool", 1, 2, gives=True)
def booleans(a: int32, b: int32) -> bool:
    """One bit; comparisons give it."""
    less: bool = a < b
    return less


@row("Types", "Fixed and UFixed", 1.25, 0.5, gives=[0.625, 1.75])
def fixed_point(a: Fixed(16, 8), b: UFixed(12, 4)) -> (Fixed(16, 8), Fixed(16, 8)):
    """`Fixed(bits, fraction bits)`; rounded down, wrapped. Floats outside."""
    return a * b, a + b


@row("Types", "float32 and float64", 1.5, 0.1, gives=[3.0, 0.1 * 2])
def floats(a: float32, b: float64) -> (float32, float64):
    """IEEE 754, rounded to nearest even, with subnormals."""
    return a + a, b + b


@row("Types", "float16 and bfloat16", 1.5, 3.0, gives=[2.25, 9.0])
def half_floats(a: float16, b: bfloat16) -> (float16, bfloat16):
    """Two formats of 16 bits."""
    return a * a, b * b


@row("Types", "8-bit floats", 1.5, 3.0, gives=[2.25, 8.0])
def small_floats(a: float8_e4m3, b: float8_e5m2) -> (float8_e4m3, float8_e5m2):
    """E4M3 (no infinities) and E5M2."""
    return a * a, b * b


@row("Types", "Struct", 5, 7, gives=12)
def structs(a: int32, b: int16) -> int32:
    """Fields packed into one word; made from a dict, read and written by name."""
    p: Pair = {"x": a, "y": 0}
    p["y"] = b
    return p["x"] + p["y"]


@row("Operators", "+ - *", 100, 100, gives=[200, 0, 10000])
def exact_arithmetic(a: int8, b: int8) -> (int16, int16, int16):
    """Wide enough to be exact: int8 + int8 is Int(9), int8 * int8 is int16."""
    return a + b, a - b, a * b


@row("Operators", "/ // %", -7, 2, gives=[-3, -4, -1])
def division(a: int32, b: int32) -> (int32, int32, int32):
    """`/` of integers rounds toward zero, `//` down; `%` has the sign of the dividend."""
    return a / b, a // b, a % b


@row("Operators", "**", 1.5, gives=2.25, within=3e-7)
def powers(a: float32) -> float32:
    """A floating-point number: float32 for up to 32 bits."""
    return a**2


@row("Operators", "<< >> & | ^ ~", 0b1100, 0b1010, gives=[48, 3, 8, 14, 6, -13])
def bitwise(a: int32, b: int32) -> (int32, int32, int32, int32, int32, int32):
    """Of integers; `>>` of a signed number copies the sign, `~` inverts all bits."""
    return a << 2, a >> 2, a & b, a | b, a ^ b, ~a


@row("Operators", "Comparisons", 200, 100, gives=[False, True])
def comparisons(a: uint8, b: uint8) -> (bool, bool):
    """Signed or unsigned as the operands are; they may be chained."""
    return a < b, 50 < b < a


@row("Operators", "and, or, not", 3, 0, gives=[False, True, False])
def logic(a: int32, b: int32) -> (bool, bool, bool):
    """A number counts as true when it is not zero."""
    return a > 0 and b > 0, a > 0 or b > 0, not (a > 0)


@row("Operators", "min, max, abs", -3, 2, gives=[-3, 2, 3])
def extremes(a: int32, b: int32) -> (int32, int32, int32):
    """Of all number types."""
    return min(a, b), max(a, b), abs(a)


@row("Operators", "Unary", 5, gives=[-5, 5])
def unary(a: uint8) -> (int16, int16):
    """The negative of UInt(n) is Int(n)."""
    return -a, +a


@row(
    "Functions",
    "Elementary functions",
    0.5,
    gives=[np.exp(0.5), np.log(0.5), np.sqrt(0.5), np.sin(0.5), np.tanh(0.5)],
    within=3e-7,
)
def elementary(x: float32) -> (float32, float32, float32, float32, float32):
    """exp, log, log2, log10, sqrt, sin, cos, tan, tanh, power."""
    return allo.exp(x), allo.log(x), allo.sqrt(x), allo.sin(x), allo.tanh(x)


@row("Conversions", "Implicit", 3.7, gives=[3, 3.6875])
def implicit_casts(x: float32) -> (int32, Fixed(16, 4)):
    """An assignment, return or argument converts: toward zero from floats, down to fixed point,
    modulo the width otherwise."""
    n: int32 = x
    f: Fixed(16, 4) = x
    return n, f


@row("Conversions", "Explicit", 300, gives=[44, 300.0])
def explicit_casts(n: int32) -> (int8, float32):
    """A type called as a function; also `int(x)` and `float(x)`."""
    return int8(n), float(n)


@row("Conversions", "bitcast", 1.0, gives=0x3F800000)
def bitcasts(x: float32) -> uint32:
    """The same bits as another type."""
    return x.bitcast()


@row("Bits", "Get and set", 0b1000, gives=[1, 0b1001])
def single_bits(x: uint8) -> (UInt(1), uint8):
    """`x[i]` is a bit; the subscript may be any expression."""
    b = x[3]
    y: uint8 = x
    y[0] = 1
    return b, y


@row("Bits", "Slices", 0xABCD, gives=[0xBC, 0xA12D])
def bit_slices(x: uint16) -> (uint8, uint16):
    """`x[low:high]`, half open as in Python."""
    y: uint16 = x
    y[4:12] = 0x12
    return x[4:12], y


@row("Bits", "reverse", 0b00010110, gives=0b01101000)
def reversed_bits(x: uint8) -> uint8:
    """The bits from the other end."""
    return x.reverse()


def _f8(dtype, *numbers):
    return np.array(numbers, dtype)


@row(
    "Arrays of types",
    "8-bit floats",
    _f8(ml_dtypes.float8_e4m3fn, 1.5, -2.0),
    gives=_f8(ml_dtypes.float8_e4m3fn, 3.0, -4.0),
)
def float8_array(A: float8_e4m3[2]) -> float8_e4m3[2]:
    """numpy arrays of ml_dtypes' types."""
    B: float8_e4m3[2] = A + A
    return B


@row("Arrays of types", "Fixed point", np.array([0.5, -1.25]), gives=np.array([0.75, -1.0]))
def fixed_array(A: Fixed(8, 4)[2]) -> Fixed(8, 4)[2]:
    """float64 arrays outside."""
    B: Fixed(8, 4)[2]
    for i in range(2):
        B[i] = A[i] + 0.25
    return B
