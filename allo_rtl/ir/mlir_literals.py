"""Constants as MLIR writes them, and back, exactly.

A literal that was read is a Python bool (``true``), int, float (written with a point) or
:class:`Bits` (written in hexadecimal, which for a floating-point type are its bits).
"""

from __future__ import annotations

import re
import struct
from math import isfinite

from allo_rtl.ir import floats
from allo_rtl.ir.arithmetic import format_of, number_of, wrap
from allo_rtl.ir.types import FixedType, Float, Index, IntegerType, Struct, Type

DOUBLE = Float(64, 52)


class Bits(int):
    """An integer that was written in hexadecimal."""


type Literal = bool | int | float | Bits


def literal_text(type: Type, value: int) -> str:
    """The int that stands for a value of a scalar type, as a literal of that type."""
    match type:
        case IntegerType(width=1):
            return "true" if value else "false"
        case Float():
            return _float_text(type, value)
    return str(value)


def _float_text(type: Float, value: int) -> str:
    number = number_of(type, value)
    assert isinstance(number, float)
    if not isfinite(number):
        return f"0x{value:0{type.width // 4}X}"
    # 9 digits tell any two numbers of float32 apart, and so those of narrower formats.
    short = (float(f"{number:.{digits}g}") for digits in range(1, 10) if type.width <= 32)
    text = repr(next((x for x in short if literal_value(type, x) == value), number))
    # MLIR asks for a point.
    return text if "." in text else text.replace("e", ".0e")


def literal_value(type: Type, literal: Literal) -> int | None:
    """The int that stands for a literal of a scalar type; None when it cannot be of that type.

    A decimal is rounded to double first, then to the type, as MLIR does.
    """
    match type:
        case Float() if isinstance(literal, Bits):
            return int(literal) if literal >> type.width == 0 else None
        case Float() if isinstance(literal, float):
            (bits,) = struct.unpack("<Q", struct.pack("<d", literal))
            value = floats.convert(format_of(DOUBLE), format_of(type), bits)
            return value if isfinite(literal) else None
        case IntegerType() | Index() | FixedType() | Struct() if isinstance(literal, int):
            # As a signed or an unsigned number of its width.
            fits = -(1 << type.bits) <= 2 * literal and literal >> type.bits <= 0
            return wrap(type, int(literal)) if fits else None
    return None


def string_text(text: str) -> str:
    """A string in quotes; what is not plain ASCII is written as its bytes."""
    plain = [
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\{b:02X}" for b in text.encode()
    ]
    return '"' + "".join(plain) + '"'


def symbol_text(name: str) -> str:
    """A name with ``@``; in quotes if it needs them."""
    plain = re.fullmatch(r"[A-Za-z_][\w$.]*", name, re.ASCII)
    return f"@{name if plain else string_text(name)}"


_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t"}


def string_value(quoted: str) -> str:
    """The text of a string in quotes."""

    def plain(match: re.Match[bytes]) -> bytes:
        found = match[1]
        return bytes.fromhex(found.decode()) if len(found) == 2 else _LETTERS.get(found, found)

    return _ESCAPE.sub(plain, quoted[1:-1].encode()).decode(errors="replace")
