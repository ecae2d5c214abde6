"""Bits of words: reading and replacing some of them, reversing, structs; all made of integers.

A word is an integer or a struct.  Bits outside a word are 0, and writing them does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend import arithmetic
from allo_rtl.frontend.builder import Builder, Operand, number
from allo_rtl.frontend.typing_rules import Rule, shift_type
from allo_rtl.ir.ops import BinaryKind
from allo_rtl.ir.types import Index, ScalarType, Struct, UInt


@dataclass(frozen=True, slots=True)
class Part:
    """Some bits of a word.

    Attributes:
        low: the lowest of them, an integer.
        type: what they are: UInt(n) for bits of an integer, the type of a field.
        count: how many they are when that is not constant; ``type.bits`` at most.
    """

    low: Operand
    type: ScalarType
    count: Operand | None = None


def read(b: Builder, word: Operand, part: Part, loc: SourceLoc) -> Operand:
    """The bits of a word that ``part`` says, as a value of its type."""
    bits = as_bits(b, word, loc)
    found = b.convert(_shift(b, BinaryKind.SHR, bits, part.low, loc), UInt(part.type.bits), loc)
    if part.count is not None:
        mask = _mask(b, part, part.type.bits, loc)
        found = b.binary(BinaryKind.AND, found, mask, UInt(part.type.bits), loc)
    return b.bitcast(found, part.type, loc)


def replaced(
    b: Builder, word: Operand, part: Part, value: Operand, loc: SourceLoc
) -> Operand:
    """The word with these bits replaced by ``value``, which is converted to their type."""
    type_ = UInt(word.type.bits)
    mask = _mask(b, part, type_.bits, loc)
    fresh = b.convert(as_bits(b, b.convert(value, part.type, loc), loc), type_, loc)
    if part.count is not None:
        fresh = b.binary(BinaryKind.AND, fresh, mask, type_, loc)
    mask = _shift(b, BinaryKind.SHL, mask, part.low, loc)
    fresh = _shift(b, BinaryKind.SHL, fresh, part.low, loc)
    others = b.binary(BinaryKind.XOR, mask, number(-1, type_), type_, loc)
    kept = b.binary(BinaryKind.AND, as_bits(b, word, loc), others, type_, loc)
    return b.bitcast(b.binary(BinaryKind.OR, kept, fresh, type_, loc), word.type, loc)


def as_bits(b: Builder, word: Operand, loc: SourceLoc) -> Operand:
    """The bits of a value as an unsigned integer of its width."""
    type_ = UInt(word.type.bits)
    is_index = isinstance(word.type, Index)
    return b.convert(word, type_, loc) if is_index else b.bitcast(word, type_, loc)


def reversed_bits(b: Builder, word: Operand, loc: SourceLoc) -> Operand:
    """The bits of an integer in the opposite order, in the same type."""
    width = word.type.bits
    span = 1 << (width - 1).bit_length()
    type_ = UInt(span)
    # Halves change places, then their halves, down to single bits.
    bits = b.convert(as_bits(b, word, loc), type_, loc)
    size = span // 2
    while size:
        low = number(sum(((1 << size) - 1) << at for at in range(0, span, 2 * size)), type_)
        up = b.binary(BinaryKind.AND, bits, low, type_, loc)
        up = b.binary(BinaryKind.SHL, up, number(size, type_), type_, loc)
        down = b.binary(BinaryKind.SHR, bits, number(size, type_), type_, loc)
        down = b.binary(BinaryKind.AND, down, low, type_, loc)
        bits = b.binary(BinaryKind.OR, up, down, type_, loc)
        size //= 2
    if span != width:
        bits = b.binary(BinaryKind.SHR, bits, number(span - width, type_), type_, loc)
    return b.bitcast(b.convert(bits, UInt(width), loc), word.type, loc)


def field(type_: Struct, name: str) -> Part:
    """The part of a struct that a field is; KeyError when there is none of that name."""
    low, inner = type_.field(name)
    return Part(number(low, UInt(32)), inner)


def struct(
    b: Builder, type_: Struct, values: Mapping[str, Operand], loc: SourceLoc
) -> Operand:
    """A struct of the values of all its fields, each converted to the field's type."""
    whole = UInt(type_.bits)
    bits = number(0, whole)
    for name, inner in type_.fields:
        low, _ = type_.field(name)
        part = as_bits(b, b.convert(values[name], inner, loc), loc)
        part = b.convert(part, whole, loc)
        if low:
            part = b.binary(BinaryKind.SHL, part, number(low, whole), whole, loc)
            part = b.binary(BinaryKind.OR, bits, part, whole, loc)
        bits = part
    return b.bitcast(bits, type_, loc)


def _mask(b: Builder, part: Part, width: int, loc: SourceLoc) -> Operand:
    """Ones, as many as the part has bits, in the lowest places of an integer."""
    type_ = UInt(width)
    if part.count is None:
        return number((1 << part.type.bits) - 1, type_)
    ones = number(-1, type_)
    others = _shift(b, BinaryKind.SHL, ones, part.count, loc)
    return b.binary(BinaryKind.XOR, others, ones, type_, loc)


def _shift(
    b: Builder, kind: BinaryKind, bits: Operand, amount: Operand, loc: SourceLoc
) -> Operand:
    rule: Rule = shift_type
    return arithmetic.binary(b, kind, rule, bits, amount, loc)
