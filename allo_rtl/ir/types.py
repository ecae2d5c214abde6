"""Types of the loop IR: integers of any width, ``index``, and arrays with partition layouts.

Signedness is part of the type.  ``int32[8, 4]`` makes an :class:`ArrayType`, so the objects
here are also the annotations a user writes in a kernel.
"""

from __future__ import annotations

from builtins import bool as _pybool
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Type:
    """Base of all types."""

    @property
    def bits(self) -> int:
        """Width in bits of one value of this type."""
        raise TypeError(f"{self} has no width")


@dataclass(frozen=True, slots=True)
class ScalarType(Type):
    """Base of the types one value in a register can have; indexing makes an array type."""

    def __getitem__(self, shape: int | tuple[int, ...]) -> ArrayType:
        dims = shape if isinstance(shape, tuple) else (shape,)
        return ArrayType(self, tuple(dims))


@dataclass(frozen=True, slots=True)
class IntegerType(ScalarType):
    """A two's complement or unsigned integer of ``width`` bits (1 or more)."""

    width: int

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or isinstance(self.width, _pybool) or self.width < 1:
            raise ValueError(f"an integer type needs a width of 1 bit or more, not {self.width!r}")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def signed(self) -> _pybool:
        """Whether the top bit is a sign."""
        return isinstance(self, Int)

    @property
    def min(self) -> int:
        """The smallest value."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The largest value."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    def wrap(self, value: int) -> int:
        """``value`` modulo 2**width, read as this type: what hardware keeps of it."""
        value &= (1 << self.width) - 1
        return value - (1 << self.width) if self.signed and value >> (self.width - 1) else value


@dataclass(frozen=True, slots=True)
class Int(IntegerType):
    """Two's complement integer."""

    def __str__(self) -> str:
        return f"int{self.width}"


@dataclass(frozen=True, slots=True)
class UInt(IntegerType):
    """Unsigned integer."""

    def __str__(self) -> str:
        return f"uint{self.width}"


@dataclass(frozen=True, slots=True)
class Index(ScalarType):
    """Loop counters and subscripts: a signed 64-bit value.

    The typing rules of the language count it as unsigned 32 bit (see the frontend); hardware
    gives each index the width its range needs.
    """

    @property
    def bits(self) -> int:
        return 64

    @property
    def signed(self) -> _pybool:
        """Always true."""
        return True

    @property
    def min(self) -> int:
        """The smallest value."""
        return -(1 << 63)

    @property
    def max(self) -> int:
        """The largest value."""
        return (1 << 63) - 1

    def wrap(self, value: int) -> int:
        """``value`` modulo 2**64, as a signed number."""
        return Int(64).wrap(value)

    def __str__(self) -> str:
        return "index"


class Partition(Enum):
    """How one dimension of an array is spread over memory banks."""

    Complete = 0
    Block = 1
    Cyclic = 2


@dataclass(frozen=True, slots=True)
class DimPartition:
    """Partition of one dimension: ``factor`` banks (for Complete: as many as its extent)."""

    kind: Partition
    factor: int


@dataclass(frozen=True, slots=True)
class ArrayType(Type):
    """An array of ``element`` with constant ``shape``; rank 0 is a scalar variable.

    ``partition`` has one entry a dimension, None where it is not partitioned; it is empty for
    an array in one bank.  See :mod:`allo_rtl.ir.layout` for the bank and address of an element.
    """

    element: ScalarType
    shape: tuple[int, ...]
    partition: tuple[DimPartition | None, ...] = field(default=())

    def __post_init__(self) -> None:
        for extent in self.shape:
            if not isinstance(extent, int) or isinstance(extent, _pybool) or extent < 1:
                raise ValueError(f"an array dimension must be an int of 1 or more, not {extent!r}")
        if self.partition and len(self.partition) != len(self.shape):
            raise ValueError("partition must have one entry a dimension")
        if self.partition and not any(self.partition):
            object.__setattr__(self, "partition", ())

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    def with_partition(self, dim: int, part: DimPartition | None) -> ArrayType:
        """The same array with dimension ``dim`` (from 0) partitioned by ``part``."""
        parts = list(self.partition or (None,) * self.rank)
        parts[dim] = part
        return replace(self, partition=tuple(parts))

    @property
    def unpartitioned(self) -> ArrayType:
        """The same array in one bank."""
        return replace(self, partition=())

    def __str__(self) -> str:
        return f"{self.element}[{', '.join(map(str, self.shape))}]"


index = Index()
bool_ = UInt(1)


def _predefined() -> dict[str, Any]:
    widths = [*range(1, 17), 32, 48, 64, 128, 256, 512]
    ints = {f"int{w}": Int(w) for w in widths}
    uints = {f"uint{w}": UInt(w) for w in widths}
    return ints | uints


# int1 ... int512 and uint1 ... uint512 by the names users import; `Int(n)` makes any other.
globals().update(_predefined())
bool = bool_

int8, int16, int32, int64 = Int(8), Int(16), Int(32), Int(64)
uint8, uint16, uint32, uint64 = UInt(8), UInt(16), UInt(32), UInt(64)
