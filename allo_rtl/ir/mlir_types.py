"""Signs put back on MLIR's signless types."""

from __future__ import annotations

from dataclasses import dataclass, replace

from allo_rtl.ir.types import ArrayType, Int, IntegerType, ScalarType, Type, UInt


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of the arguments and results of a function."""

    args: tuple[Type, ...]
    results: tuple[Type, ...]


def with_unsigned(type: Type, unsigned: bool) -> Type:
    """The type, or its elements, with the sign asked for; ``index`` stays."""
    if isinstance(type, ArrayType):
        element = with_unsigned(type.element, unsigned)
        assert isinstance(element, ScalarType)
        return replace(type, element=element)
    if isinstance(type, IntegerType):
        return UInt(type.width) if unsigned else Int(type.width)
    return type


def with_signs(types: tuple[Type, ...], signs: str) -> tuple[Type, ...]:
    """Types with the signs of ``itypes`` or ``otypes``; those without a letter stay."""
    padded = signs.ljust(len(types), "_")
    pairs = zip(types, padded, strict=False)
    return tuple(t if s == "_" else with_unsigned(t, s == "u") for t, s in pairs)


def is_unsigned(type: Type) -> bool:
    """Whether the type, or its elements, have no sign."""
    return isinstance(type.element if isinstance(type, ArrayType) else type, UInt)


def signless(type: Type) -> Type:
    """The type with every sign dropped, to compare types as MLIR does."""
    return with_unsigned(type, False)


def dropped_dims(sizes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Dimensions of a view of ``sizes`` that its type of ``shape`` has not: the last possible.

    None when the shape is not that of such a view.
    """
    dropped, kept = [], 0
    for dim, size in enumerate(sizes):
        if kept < len(shape) and shape[kept] == size:
            kept += 1
        elif size == 1:
            dropped.append(dim)
        else:
            return None
    return tuple(dropped) if kept == len(shape) else None
