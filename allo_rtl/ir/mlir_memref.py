"""Types as MLIR writes them; the type of an array also says how it lies in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.mlir_affine import affine_text
from allo_rtl.ir.mlir_literals import string_text
from allo_rtl.ir.mlir_names import FLOAT_TYPE_NAMES
from allo_rtl.ir.ops import SubView, Value
from allo_rtl.ir.types import (
    DYNAMIC,
    ArrayType,
    Fixed,
    Float,
    Index,
    IntegerType,
    StreamType,
    Struct,
    Type,
    UFixed,
    UInt,
    index,
)

type Extent = int | None
"""A number, or None for one that is known only at run time."""


def scalar_type_text(type: Type) -> str:
    """A scalar or stream type; what MLIR has no type for is of the dialect ``allo``."""
    match type:
        case IntegerType(width=width):
            return f"i{width}"
        case Index():
            return "index"
        case Float():
            return FLOAT_TYPE_NAMES[type]
        case Fixed() | UFixed():
            return f"!allo.{type.__class__.__name__}<{type.width}, {type.fracs}>"
        case Struct(fields=fields):
            parts = ", ".join(f"{string_text(n)}: {field_type_text(t)}" for n, t in fields)
            return f"!allo.struct<{parts}>"
        case StreamType(element=element, depth=depth):
            return f"!allo.stream<{field_type_text(element)}, {depth}>"
    raise TypeError(f"{type} has no text")


def field_type_text(type: Type) -> str:
    """A scalar type where there is no attribute to tell unsigned integers by."""
    return f"ui{type.width}" if isinstance(type, UInt) else scalar_type_text(type)


def is_upstream(type: Type) -> bool:
    """Whether MLIR itself has this scalar type, so that its own operations work on it."""
    return isinstance(type, IntegerType | Index | Float)


@dataclass(frozen=True, slots=True)
class MemRef:
    """The written type of an array.

    Attributes:
        dims: extents, None for an open one.
        element: text of the element's type.
        strides, offset: where element (i, j, ...) lies, in elements from the buffer's start.
        map: the layout map of a partitioned array, or ''; strides and offset say nothing then.
        space: the memory space.
    """

    dims: tuple[Extent, ...]
    element: str
    strides: tuple[Extent, ...]
    offset: Extent = 0
    map: str = ""
    space: int = 0

    def __str__(self) -> str:
        dims = "".join(f"{_extent(n)}x" for n in self.dims)
        layout = self.map
        if not layout and (self.strides != row_major(self.dims) or self.offset != 0):
            offset = f", offset: {_extent(self.offset)}" if self.offset != 0 else ""
            layout = f"strided<[{', '.join(map(_extent, self.strides))}]{offset}>"
        parts = [f"{dims}{self.element}", layout, f"{self.space} : i32" if self.space else ""]
        return f"memref<{', '.join(filter(None, parts))}>"

    def anywhere(self) -> MemRef:
        """The type of an array of this shape that may be a part of another one."""
        return replace(self, strides=(None,) * len(self.dims), offset=None)

    def becomes(self, other: MemRef) -> bool:
        """Whether ``memref.cast`` gives the other type: what both know agrees."""
        mine = (*self.dims, *self.strides, self.offset)
        theirs = (*other.dims, *other.strides, other.offset)
        agree = all(a == b or a is None or b is None for a, b in zip(mine, theirs, strict=True))
        return agree and not self.map and not other.map and self.space == other.space

    def part(self, op: SubView) -> MemRef:
        """The type of a view of an array of this type."""
        offset = self.offset
        for start, stride in zip(op.offsets, self.strides, strict=True):
            known = start.is_constant and stride is not None and offset is not None
            offset = offset + start.const * stride if known else None  # type: ignore[operator]
        axes = zip(op.sizes, self.strides, op.steps, strict=True)
        kept = [(n, None if s is None else s * step) for n, s, step in axes if n is not None]
        dims, strides = tuple(n for n, _ in kept), tuple(s for _, s in kept)
        return replace(self, dims=dims, strides=strides, offset=offset)


def _extent(n: Extent) -> str:
    return "?" if n is None else str(n)


def row_major(dims: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """Strides of an array without gaps; only the first extent may be open."""
    strides: list[Extent] = []
    total: Extent = 1
    for n in reversed(dims):
        strides.insert(0, total)
        total = None if n is None or total is None else total * n
    return tuple(strides)


def memref(type: ArrayType, alias: Callable[[str], str]) -> MemRef:
    """The written type of a whole array; ``alias`` gives the short name of a layout map."""
    dims = tuple(None if n == DYNAMIC else n for n in type.shape)
    space = type.memory.get_memory_space() if type.memory else 0
    layout = _layout_text(type)
    return MemRef(
        dims, scalar_type_text(type.element), row_major(dims),
        map=alias(layout) if layout else "", space=space,
    )  # fmt: skip


def _layout_text(type: ArrayType) -> str:
    """The map from subscripts to bank and in-bank coordinates, or '' for an array in one bank."""
    if not type.partition:
        return ""
    dims = [Value(index, f"d{n}") for n in range(type.rank)]
    layout = Layout(type)
    pairs = [layout.split(n, AffineExpr.of(d)) for n, d in enumerate(dims)]
    if all(bank.is_constant for bank, _ in pairs):
        return ""
    coordinates = [bank for bank, _ in pairs] + [address for _, address in pairs]
    names = {d: d.name for d in dims}
    results = ", ".join(affine_text(e, names, {}) for e in coordinates)
    return f"affine_map<({', '.join(names.values())}) -> ({results})>"
