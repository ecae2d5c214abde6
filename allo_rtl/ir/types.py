"""Types of the loop IR: integers of any width, index, fixed and floating point, structs, arrays.

Signedness is part of the type.  ``int32[8, 4]`` makes an :class:`ArrayType`, so the objects
here are also the annotations a user writes in a kernel.

Every scalar value is one Python int, whatever its type: the number of an integer or index; the
number times ``2**fracs`` of a fixed-point type; the bit pattern, not negative, of a
floating-point type or struct.  The names at the end (``int8``, ``float32`` ...) are the ones
users import.
"""

from __future__ import annotations

from builtins import bool as _pybool
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Type:
    """Base of all types."""

    @property
    def bits(self) -> int:
        """Width in bits of one value of this type."""
        raise TypeError(f"{self} has no width")

    def __matmul__(self, other: object) -> Refined:
        return Refined(self, (other,))


@dataclass(frozen=True, slots=True)
class Refined:
    """An annotation that says more than a type: ``int32[4] @ Stateful``, ``ConstExpr[int32]``."""

    type: Type
    refinements: tuple[object, ...]

    def __matmul__(self, other: object) -> Refined:
        return Refined(self.type, (*self.refinements, other))


class Stateful:
    """Marks a variable that keeps its value from run to run: ``acc: int32 @ Stateful = 0``."""


class ConstExpr:
    """Marks a number that Python computes when a kernel is captured: ``ConstExpr[int32]``."""

    def __class_getitem__(cls, type: Type) -> Refined:
        return Refined(type, (cls,))


@dataclass(frozen=True, slots=True)
class ScalarType(Type):
    """Base of the types one value in a register can have; indexing makes an array type.

    ``T[...]`` and ``T[..., 4]`` have a first extent that is known only when they are called.
    """

    def __getitem__(self, shape: Any) -> ArrayType:  # noqa: ANN401 - int, ... or a tuple
        return ArrayType(self, _extents(shape))


def _extents(shape: Any) -> tuple[int, ...]:  # noqa: ANN401 - int, ... or a tuple
    dims = shape if isinstance(shape, tuple) else (shape,)
    return tuple(DYNAMIC if d is ... else d for d in dims)


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
    def fracs(self) -> int:
        """Bits after the binary point: none."""
        return 0

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


@dataclass(frozen=True, slots=True)
class FixedType(ScalarType):
    """A fixed-point number: an integer of ``width`` bits that counts multiples of 2**-fracs.

    ``fracs`` is 0 ... 255 and may be larger than the width (only small fractions).
    """

    width: int
    fracs: int

    def __post_init__(self) -> None:
        IntegerType(self.width)
        if not isinstance(self.fracs, int) or not 0 <= self.fracs <= 255:
            raise ValueError(f"a fixed-point type has 0 to 255 fraction bits, not {self.fracs!r}")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def signed(self) -> _pybool:
        """Whether the top bit is a sign."""
        return isinstance(self, Fixed)

    @property
    def raw(self) -> Int | UInt:
        """The integer type of what is stored: the number times ``2**fracs``."""
        return Int(self.width) if self.signed else UInt(self.width)


@dataclass(frozen=True, slots=True)
class Fixed(FixedType):
    """Signed (two's complement) fixed point; the sign counts as one of the integer bits."""

    def __str__(self) -> str:
        return f"Fixed({self.width}, {self.fracs})"


@dataclass(frozen=True, slots=True)
class UFixed(FixedType):
    """Unsigned fixed point."""

    def __str__(self) -> str:
        return f"UFixed({self.width}, {self.fracs})"


_FLOATS = {
    (8, 3): "float8_e4m3",
    (8, 2): "float8_e5m2",
    (16, 10): "float16",
    (16, 7): "bfloat16",
    (32, 23): "float32",
    (64, 52): "float64",
}


@dataclass(frozen=True, slots=True)
class Float(ScalarType):
    """A floating-point number of ``width`` bits, ``fracs`` of them the stored fraction.

    All but E4M3 are formats of IEEE 754.  E4M3, Float(8, 3), has no infinities: only all ones is
    NaN (the "FN" format of the OCP 8-bit floating point specification, revision 1.0).
    """

    width: int
    fracs: int

    def __post_init__(self) -> None:
        if (self.width, self.fracs) not in _FLOATS:
            known = ", ".join(f"Float({w}, {f})" for w, f in _FLOATS)
            raise ValueError(f"Float({self.width}, {self.fracs}) is not one of {known}")

    @property
    def bits(self) -> int:
        return self.width

    @property
    def exponent(self) -> int:
        """Bits of the exponent."""
        return self.width - self.fracs - 1

    @property
    def infinities(self) -> _pybool:
        """Whether the format has infinities; without them what is too large becomes NaN."""
        return (self.width, self.fracs) != (8, 3)

    def __str__(self) -> str:
        return _FLOATS[self.width, self.fracs]


@dataclass(frozen=True, slots=True, init=False)
class Struct(ScalarType):
    """Named fields packed into one word, the first in the lowest bits.

    ``Struct({"x": int32, "y": float32})``; ``S["x"]`` is the type of a field.
    """

    fields: tuple[tuple[str, ScalarType], ...]

    def __init__(self, fields: Mapping[str, ScalarType]) -> None:
        if not fields:
            raise ValueError("a struct needs a field or more")
        for name, type_ in fields.items():
            if not isinstance(name, str) or not isinstance(type_, ScalarType):
                raise ValueError(f"a struct field is a name with a scalar type, not {type_!r}")
        object.__setattr__(self, "fields", tuple(fields.items()))

    @property
    def bits(self) -> int:
        return sum(t.bits for _, t in self.fields)

    def field(self, name: str) -> tuple[int, ScalarType]:
        """Lowest bit and type of a field; KeyError when there is none of that name."""
        offset = 0
        for known, type_ in self.fields:
            if known == name:
                return offset, type_
            offset += type_.bits
        raise KeyError(name)

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - a name or a shape; a type
        return self.field(key)[1] if isinstance(key, str) else ArrayType(self, _extents(key))

    def __str__(self) -> str:
        return "Struct({" + ", ".join(f'"{n}": {t}' for n, t in self.fields) + "})"


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


RESOURCES = ("AUTO", "BRAM", "URAM", "LUTRAM", "SRL")
SYNCHRONOUS = ("BRAM", "URAM")
"""Those whose words are never there in the cycle of the address."""
ASYNCHRONOUS = 128
"""What is added to the number of a memory whose reads are asynchronous."""
STORAGE_TYPES = (
    None, "RAM_1P", "RAM_2P", "RAM_T2P", "RAM_1WNR", "RAM_S2P", "ROM_1P", "ROM_2P", "ROM_NP",
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Where an array is to be stored: ``A: int32[64] @ Memory(resource="BRAM")``.

    Attributes (names in any case):
        resource: one of AUTO, BRAM (block RAM), URAM, LUTRAM, SRL (shift registers).
        storage_type: None or one of RAM_1P, RAM_2P, RAM_T2P, RAM_1WNR, RAM_S2P, ROM_1P, ROM_2P,
            ROM_NP.
        latency: 0 for reads that are asynchronous: the word is there in the cycle of its address,
            as look-up tables used as memory give it.  With None and all other numbers it is
            there one cycle later.
        depth: kept for Allo's sake; it has no effect.

    Raises:
        ValueError: an unknown resource or storage type, or a latency of 0 in block or ultra RAM.
    """

    resource: str = "AUTO"
    storage_type: str | None = None
    latency: int | None = None
    depth: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "resource", str(self.resource).upper())
        if self.storage_type is not None:
            object.__setattr__(self, "storage_type", str(self.storage_type).upper())
        if self.resource not in RESOURCES:
            known = ", ".join(RESOURCES)
            raise ValueError(f"Invalid resource '{self.resource}': known are {known}")
        if self.storage_type not in STORAGE_TYPES:
            known = ", ".join(str(t) for t in STORAGE_TYPES)
            raise ValueError(f"Invalid storage_type '{self.storage_type}': known are {known}")
        if self.latency == 0 and self.resource in SYNCHRONOUS:
            raise ValueError(
                f"{self.resource} answers one cycle after the address: latency=0 is for LUTRAM"
            )

    def get_memory_space(self) -> int:
        """The number that stands for it in printed modules."""
        number = RESOURCES.index(self.resource) * 16 + STORAGE_TYPES.index(self.storage_type)
        return number + (ASYNCHRONOUS if self.latency == 0 else 0)

    @staticmethod
    def decode_memory_space(space: int) -> Memory:
        """The specification that a number stands for."""
        latency, number = (0 if space >= ASYNCHRONOUS else None), space % ASYNCHRONOUS
        return Memory(RESOURCES[number // 16], STORAGE_TYPES[number % 16], latency)


DYNAMIC = -1
"""The extent of a dimension that is known only when the kernel is called; the first one only."""


@dataclass(frozen=True, slots=True)
class ArrayType(Type):
    """An array of ``element`` with constant ``shape``; rank 0 is a scalar variable.

    ``partition`` has one entry a dimension, None where it is not partitioned; it is empty for
    an array in one bank.  See :mod:`allo_rtl.ir.layout` for the bank and address of an element.
    ``memory`` says where the user wants it stored; it does not make a type another type.
    """

    element: ScalarType
    shape: tuple[int, ...]
    partition: tuple[DimPartition | None, ...] = field(default=())
    memory: Memory | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for n, extent in enumerate(self.shape):
            if n == 0 and extent == DYNAMIC:
                continue
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
    def is_dynamic(self) -> _pybool:
        """Whether the first extent is known only when the kernel is called."""
        return DYNAMIC in self.shape

    @property
    def size(self) -> int:
        """Number of elements; of a dynamic array those of one row, negated."""
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
    def async_read(self) -> _pybool:
        """Whether a word is there in the cycle of its address (``Memory(latency=0)``)."""
        return self.memory is not None and self.memory.latency == 0

    @property
    def unpartitioned(self) -> ArrayType:
        """The same array in one bank."""
        return replace(self, partition=())

    def __str__(self) -> str:
        shape = ", ".join("..." if n == DYNAMIC else str(n) for n in self.shape)
        return f"{self.element}[{shape}]"


@dataclass(frozen=True, slots=True)
class StreamType(Type):
    """A FIFO of at most ``depth`` values of one scalar type, 1 or more.

    ``initial`` of them, zeros, are in it before anything is put: tokens between tasks whose runs
    overlap, which are made for hardware only.
    """

    element: ScalarType
    depth: int = 2
    initial: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.depth, int) or isinstance(self.depth, _pybool) or self.depth < 1:
            raise ValueError(f"the depth of a stream is an int of 1 or more, not {self.depth!r}")

    def __str__(self) -> str:
        return f"Stream[{self.element}, {self.depth}]"


@dataclass(frozen=True, slots=True)
class Stream(Type):
    """What a region declares a stream as.

    ``s: Stream[int32, 4]`` is a FIFO of 4 numbers, ``Stream[int32[8], 4]`` one of 4 blocks of 8,
    and ``Stream[int32, 4][2, 3]`` is an array of FIFOs.  Without a depth, the compiler finds it.

    Raises:
        ValueError: the depth is not 1 or more, or there is something else than this.
    """

    element: ScalarType | ArrayType
    depth: int | None = None
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        array = isinstance(self.element, ArrayType) and not self.element.is_dynamic
        if not isinstance(self.element, ScalarType) and not array:
            raise ValueError(f"a stream carries scalars or blocks of them, not {self.element}")
        StreamType(self.scalar, 2 if self.depth is None else self.depth)
        ArrayType(self.scalar, self.shape)

    def __class_getitem__(cls, params: Any) -> Stream:  # noqa: ANN401 - a type, or with a depth
        parts = params if isinstance(params, tuple) else (params,)
        if len(parts) > 2:
            raise ValueError("a stream has an element type and a depth: Stream[int32, 4]")
        return cls(*parts)

    def __getitem__(self, shape: Any) -> Stream:  # noqa: ANN401 - int or a tuple
        dims = shape if isinstance(shape, tuple) else (shape,)
        return replace(self, shape=(*self.shape, *dims))

    @property
    def scalar(self) -> ScalarType:
        """The type of what goes through it one by one."""
        return self.element.element if isinstance(self.element, ArrayType) else self.element

    @property
    def block(self) -> tuple[int, ...]:
        """The shape of a block, () for scalars."""
        return self.element.shape if isinstance(self.element, ArrayType) else ()

    @property
    def channel(self) -> StreamType:
        """The type of each FIFO; its depth counts scalars, two (blocks) where none is declared."""
        size = ArrayType(self.scalar, self.block).size
        return StreamType(self.scalar, (self.depth or 2) * size)

    def __str__(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        depth = "" if self.depth is None else f", {self.depth}"
        return f"Stream[{self.element}{depth}]{shape}"


index = Index()
bool_ = UInt(1)


def _predefined() -> dict[str, Any]:
    widths = [*range(1, 17), 32, 48, 64, 128, 256, 512]
    ints = {f"int{w}": Int(w) for w in widths}
    uints = {f"uint{w}": UInt(w) for w in widths}
    floats = {name: Float(*key) for key, name in _FLOATS.items()}
    return ints | uints | floats


# int1 ... int512, uint1 ... uint512 and float16 ... by the names users import; `Int(n)` makes
# any other.
globals().update(_predefined())
bool = bool_

int8, int16, int32, int64 = Int(8), Int(16), Int(32), Int(64)
uint8, uint16, uint32, uint64 = UInt(8), UInt(16), UInt(32), UInt(64)
float16, bfloat16, float32, float64 = Float(16, 10), Float(16, 7), Float(32, 23), Float(64, 52)
float8_e4m3, float8_e5m2 = Float(8, 3), Float(8, 2)
