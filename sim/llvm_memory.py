"""Where values lie while compiled code runs.

An element of up to 64 bits lies in the next larger of 8, 16, 32 and 64 bits, a wider one in
64-bit words, least significant first (:func:`storage_bits`).  The bits above the width are
written as zero and ignored when read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from allo_rtl.ir.types import ArrayType, ScalarType, Type
from allo_rtl.sim.llvm_arith import I64, Builder, LLValue, llvm_type
from allo_rtl.sim.words import Array, Words

PTR = ir.PointerType()


def storage_bits(element: ScalarType) -> int:
    """Bits an element takes in memory: 8, 16, 32, or a multiple of 64."""
    return next((s for s in (8, 16, 32) if s >= element.bits), -(-element.bits // 64) * 64)


def to_storage(words: Words, element: ScalarType) -> Array:
    """An array's words in the form the compiled code works on (always a copy)."""
    bits = storage_bits(element)
    return words.astype(np.dtype(f"uint{min(bits, 64)}"))


def from_storage(storage: Array) -> Words:
    """The words of what :func:`to_storage` gave."""
    return storage.astype(np.uint64)


@dataclass(frozen=True)
class Slot:
    """Memory for the elements of a type: an array, or one scalar."""

    element: ScalarType
    size: int

    @staticmethod
    def of(type_: Type) -> Slot:
        """The memory one value of ``type_`` takes."""
        if isinstance(type_, ArrayType):
            return Slot(type_.element, type_.size)
        assert isinstance(type_, ScalarType)
        return Slot(type_, 1)

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.size * storage_bits(self.element) // 8

    @property
    def _align(self) -> int:
        return min(storage_bits(self.element), 64) // 8

    @property
    def _cell(self) -> Any:  # noqa: ANN401 - an llvmlite type
        """The type of one element in memory; an i192 would be padded, three words are not."""
        bits = storage_bits(self.element)
        return ir.IntType(bits) if bits <= 64 else ir.ArrayType(I64, bits // 64)

    def address(self, b: Builder, base: LLValue, offset: LLValue) -> LLValue:
        """Where element ``offset`` (an i64, from 0) is."""
        return b.gep(base, [offset], inbounds=True, source_etype=self._cell)

    def load(self, b: Builder, address: LLValue) -> LLValue:
        """The number of the element at ``address``."""
        bits = storage_bits(self.element)
        raw = b.load(address, typ=ir.IntType(bits), align=self._align)
        return raw if bits == self.element.bits else b.trunc(raw, llvm_type(self.element))

    def store(self, b: Builder, value: LLValue, address: LLValue) -> None:
        """Write an element, the bits above its width zero."""
        bits = storage_bits(self.element)
        raw = value if bits == self.element.bits else b.zext(value, ir.IntType(bits))
        b.store(raw, address, align=self._align)

    def on_stack(self, b: Builder) -> LLValue:
        """Fresh memory until the function returns; for its first block only."""
        memory = b.alloca(ir.ArrayType(self._cell, self.size))
        memory.align = 8
        memory.type = PTR  # llvmlite still gives it a typed pointer
        return memory
