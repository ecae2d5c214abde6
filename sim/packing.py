"""Elements of an array as words of its stream, and back: several elements to a word."""

from __future__ import annotations

import numpy as np

from allo_rtl.rtl.interface import ArrayStream
from allo_rtl.sim.marshal import Words


def to_stream(port: ArrayStream, elements: Words) -> Words:
    """The words of a stream, (words, 64-bit parts), of an array's elements, likewise."""
    bits = _bits(elements, port.type.element.bits)
    return _words(bits.reshape(port.words, port.width))


def from_stream(port: ArrayStream, words: Words) -> Words:
    """The elements in the words of a stream; bits of a word that do not count are left out."""
    bits = _bits(words, port.width)
    return _words(bits.reshape(port.type.size, port.type.element.bits))


def stream_parts(port: ArrayStream) -> int:
    """Parts of 64 bits in a word."""
    return -(-port.width // 64)


def _bits(words: Words, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rows = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    return np.unpackbits(rows.reshape(len(words), -1), axis=1, bitorder="little")[:, :count]


def _words(bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Words:
    parts = -(-bits.shape[1] // 64)
    padded = np.pad(bits, ((0, 0), (0, 64 * parts - bits.shape[1])))
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)
