"""The syntax of MLIR: operations in one shape, whichever form they were written in.

:class:`RawOp` is MLIR's generic form: a name, operands, attributes, regions and types, with the
names of values not yet looked up.  This module reads types, attributes, affine maps and the
generic form; :mod:`allo_rtl.ir.mlir_pretty` the written form of each operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from allo_rtl.errors import ParseError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.mlir_affine_syntax import AffineMap, AffineSyntax
from allo_rtl.ir.mlir_lexer import Source, Token
from allo_rtl.ir.mlir_literals import Bits, Literal, string_value
from allo_rtl.ir.mlir_names import FLOAT_TYPES
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import (
    ASYNCHRONOUS,
    DYNAMIC,
    RESOURCES,
    STORAGE_TYPES,
    SYNCHRONOUS,
    ArrayType,
    DimPartition,
    Fixed,
    Int,
    Memory,
    Partition,
    ScalarType,
    StreamType,
    Struct,
    Type,
    UFixed,
    UInt,
    index,
)

UNIT = True
"""What an attribute without a value is."""

STRIDED = "strided"
"""What a strided layout is read as."""

_TYPES = "an integer such as i32, a float such as f32, index or memref<...>"


@dataclass(frozen=True, slots=True)
class Ref:
    """A use of a value, by its name with the ``%``."""

    name: str
    token: Token


@dataclass(frozen=True, slots=True)
class Dense:
    """The elements of a constant array; one element stands for all."""

    data: tuple[Literal, ...] | bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name with ``@`` (kept without it)."""

    name: str


@dataclass(frozen=True, slots=True)
class FunctionType:
    """Types of operands and results."""

    ins: tuple[Type, ...]
    outs: tuple[Type, ...]


@dataclass(slots=True)
class Region:
    """One block: its arguments and operations."""

    args: list[tuple[Ref, Type]]
    ops: list[RawOp]


@dataclass(slots=True)
class RawOp:
    """An operation as written; ``results`` are (name, how many values)."""

    name: str
    token: Token
    results: list[tuple[str, int]] = field(default_factory=list)
    operands: list[Ref] = field(default_factory=list)
    attrs: dict[str, Any] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    ins: tuple[Type, ...] = ()
    outs: tuple[Type, ...] = ()


class Syntax(AffineSyntax):
    """Reads types, attributes and affine maps."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.aliases: dict[str, Any] = {}

    # Types

    def type(self) -> Type:
        """A type; plain integers come out signed."""
        word = self.here
        if self.at("index"):
            self.take()
            return index
        if self.at("memref"):
            return self.array_type()
        if word.text in FLOAT_TYPES:
            return FLOAT_TYPES[self.take().text]
        if word.kind == "alias" and word.text in _OWN_TYPES:
            return _OWN_TYPES[self.take().text](self)
        if word.kind == "alias" and isinstance(self.aliases.get(word.text), Type):
            found = self.aliases[self.take().text]
            assert isinstance(found, Type)
            return found
        digits = word.text.lstrip("siu")
        prefix = word.text[: len(word.text) - len(digits)]
        if word.kind == "word" and prefix in ("i", "si", "ui") and digits.isdigit() and int(digits):
            self.take()
            return UInt(int(digits)) if prefix == "ui" else Int(int(digits))
        raise self.no_type()

    def no_type(self) -> ParseError:
        """The error that what is next is no type, or none that a kernel can have."""
        text = self.here.text
        if text in ("tensor", "vector", "complex", "none", "tuple") or text.startswith("!"):
            hint = "bufferize it first: memref is the type of arrays" if text == "tensor" else None
            return self.source.error(self.here, f"no kernel has the type '{text}'", _TYPES, hint)
        return self.unexpected(f"a type ({_TYPES})")

    def array_type(self) -> ArrayType:
        """``memref<4x8xi32, layout, memory space>``; what a strided layout says is read over."""
        start = self.take()
        shape = self.dimensions()
        if self.at("*"):
            raise self.unexpected("the extents of the array")
        token = self.here
        element = self.type()
        if not isinstance(element, ScalarType) or 0 in shape:
            raise self.unexpected("an array of scalars with constant dimensions of 1 or more")
        if DYNAMIC in shape[1:]:
            text = "only the first extent of an array may be open"
            raise self.source.error(start, text, "memref<?x8xf32>, memref<8x8xf32>")
        array = ArrayType(element, shape)
        while self.accept(","):
            token = self.here
            layout = self.attribute()
            if isinstance(layout, AffineMap) and len(layout.dims) == len(shape):
                array = self.partitioned(array, layout, token)
            elif isinstance(layout, int) and _is_space(layout):
                array = replace(array, memory=_memory(layout) or array.memory)
            elif layout != STRIDED:
                allowed = "an affine_map of the array, strided<...>, the number of a memory space"
                raise self.source.error(token, "this is no layout of the array", allowed)
        self.expect(">")
        return array

    def fixed_type(self) -> Type:
        """``<16, 8>`` of a fixed-point type."""
        name = self.previous.text
        self.expect("<")
        token = self.here
        width = self.integer()
        self.expect(",")
        fracs = self.integer()
        self.expect(">")
        try:
            return (Fixed if name == "!allo.Fixed" else UFixed)(width, fracs)
        except ValueError as error:
            raise self.source.error(token, str(error)) from None

    def struct_type(self) -> Type:
        """``<"x": i32, "y": f32>``."""
        token = self.expect("<")
        fields = self.listed(">", self.struct_field)
        if not fields or len(dict(fields)) < len(fields):
            raise self.source.error(token, "a struct has fields, each of another name")
        return Struct(dict(fields))

    def struct_field(self) -> tuple[str, ScalarType]:
        self.expect_kind("string", "a field's name in quotes")
        name = string_value(self.previous.text)
        self.expect(":")
        token = self.here
        found = self.type()
        if not isinstance(found, ScalarType):
            raise self.source.error(token, "a field of a struct is a scalar")
        return name, found

    def stream_type(self) -> Type:
        """``<i32, 4>``."""
        self.expect("<")
        token = self.here
        element = self.type()
        self.expect(",")
        depth = self.integer()
        self.expect(">")
        if not isinstance(element, ScalarType) or depth < 1:
            raise self.source.error(token, "a stream has scalars, and a depth of 1 or more")
        return StreamType(element, depth)

    def partitioned(self, array: ArrayType, layout: AffineMap, token: Token) -> ArrayType:
        """The partition whose layout is this map: the smallest factor that gives it."""
        rank = array.rank
        if len(layout.results) == rank and all(
            e.as_value is d for e, d in zip(layout.results, layout.dims, strict=True)
        ):
            return array
        parts: list[DimPartition | None] = []
        if len(layout.results) == 2 * rank:
            for n, dim in enumerate(layout.dims):
                wanted = (layout.results[n], layout.results[rank + n])
                parts.extend(_dim_partition(array, n, dim, wanted))
        if len(parts) != rank:
            raise self.source.error(
                token,
                "the layout map is not a partition",
                "(bank of each dimension..., address of each dimension...), each pair one of "
                "(0, d), (d, 0), (d mod f, d floordiv f) or (d floordiv n, d mod n)",
            )
        return replace(array, partition=tuple(parts))

    def types(self) -> tuple[Type, ...]:
        """``type`` or ``(type {attributes}, ...)``."""
        if not self.at("("):
            return (self.type(),)
        self.take()
        return tuple(self.listed(")", self.type_and_attrs))

    def type_and_attrs(self) -> Type:
        found = self.type()
        self.optional_attrs()
        return found

    def function_type(self) -> FunctionType:
        ins = self.types()
        self.expect("->")
        return FunctionType(ins, self.types())

    # Attributes

    def attr_dict(self) -> dict[str, Any]:
        """``{name = attribute, unit}``."""
        self.expect("{")
        return dict(self.listed("}", self.named_attribute))

    def named_attribute(self) -> tuple[str, Any]:
        if self.here.kind not in ("word", "string"):
            raise self.unexpected("an attribute's name")
        name = self.take().text.strip('"')
        return name, self.attribute() if self.accept("=") else UNIT

    def optional_attrs(self) -> dict[str, Any]:
        return self.attr_dict() if self.at("{") else {}

    def attribute(self) -> object:
        """An attribute as a Python value; the type after an integer is read over."""
        token = self.here
        match token.kind, token.text:
            case "string", _:
                return self.string()
            case "symbol", _:
                return self.symbol()
            case "alias", _:
                return self.alias()
            case ("number", _) | ("punct", "-"):
                value = self.number()
                if self.accept(":"):
                    self.type()
                return value
            case "word", "true" | "false":
                return self.take().text == "true"
            case "word", "unit":
                self.take()
                return UNIT
            case "word", "affine_map":
                return self.affine_map()
            case "word", "affine_set":
                return self.affine_set()
            case "word", "strided":
                self.take()
                self.skip_angles()
                return STRIDED
            case "word", "dense":
                return self.dense()
            case "word", "tensor" | "vector":
                self.take()
                self.skip_angles()
                return token.text
            case "word", "array":
                return self.typed_array()
            case "punct", "[":
                self.take()
                return self.listed("]", self.attribute)
            case "punct", "{":
                return self.attr_dict()
            case "punct", "(":
                return self.function_type()
        return self.type()

    def string(self) -> str:
        return string_value(self.take().text)

    def symbol(self) -> Symbol:
        name = self.expect_kind("symbol", "a name with '@'").text[1:]
        return Symbol(string_value(name) if name.startswith('"') else name)

    def alias(self) -> object:
        """``#name``, or an attribute or type of a dialect, which does not matter here."""
        token = self.here
        if token.text in _OWN_TYPES:
            return self.type()
        self.take()
        if token.text in self.aliases:
            return self.aliases[token.text]
        if self.at("<"):
            self.skip_angles()
        elif "." not in token.text:
            raise self.source.error(token, f"'{token.text}' is not defined")
        return token.text

    def skip_angles(self) -> None:
        """Read over ``<...>``."""
        self.expect("<")
        depth = 1
        while depth and self.here.kind != "end":
            token = self.take()
            if token.kind == "punct":
                depth += {"<": 1, ">": -1}.get(token.text, 0)

    def number(self) -> Literal:
        """An integer, or a number with a point."""
        sign = -1 if self.accept("-") else 1
        token = self.here
        if token.kind == "number" and "." in token.text:
            self.take()
            return sign * float(token.text)
        value = self.integer()
        return Bits(value) if token.text.startswith("0x") and sign > 0 else sign * value

    def typed_array(self) -> list[Any]:
        """``array<i32: 1, 2>``."""
        self.take()
        self.expect("<")
        self.type()
        if self.accept(">"):
            return []
        self.expect(":")
        return self.listed(">", self.attribute)

    def dense(self) -> Dense:
        """``dense<3>``, ``dense<[[1, 2], [3, 4]]>`` or bytes in hexadecimal."""
        self.take()
        self.expect("<")
        if self.here.kind == "string":
            token = self.take()
            text = token.text.strip('"')
            try:
                data: tuple[Literal, ...] | bytes = bytes.fromhex(text.removeprefix("0x"))
            except ValueError:
                raise self.source.error(token, "these are no bytes in hexadecimal") from None
        else:
            data = tuple(_flat(self.attribute()))
        self.expect(">")
        if self.accept(":"):
            self.attribute()
        return Dense(data)


def _flat(data: object) -> list[Literal]:
    if isinstance(data, list):
        return [x for part in data for x in _flat(part)]
    return [data] if isinstance(data, int | float) else []


_OWN_TYPES: dict[str, Callable[[Syntax], Type]] = {
    "!allo.Fixed": Syntax.fixed_type,
    "!allo.UFixed": Syntax.fixed_type,
    "!allo.struct": Syntax.struct_type,
    "!allo.stream": Syntax.stream_type,
}


def _is_space(number: int) -> bool:
    """Whether a number is that of a memory space, known or not."""
    return 0 <= number < 2 * ASYNCHRONOUS and number % ASYNCHRONOUS < 16 * len(RESOURCES)


def _memory(space: int) -> Memory | None:
    """The memory of a space; None for the default one, and for one that has no meaning here."""
    impossible = space >= ASYNCHRONOUS and RESOURCES[space % ASYNCHRONOUS // 16] in SYNCHRONOUS
    known = space and space % 16 < len(STORAGE_TYPES) and not impossible
    return Memory.decode_memory_space(space) if known else None


def _dim_partition(
    array: ArrayType, dim: int, value: Value, wanted: tuple[AffineExpr, AffineExpr]
) -> list[DimPartition | None]:
    """The partition of one dimension that splits its subscript so, in a list; [] for none."""
    extent = array.shape[dim]
    for part in (None, *_candidates(extent, wanted)):
        trial = array.with_partition(dim, part)
        if Layout(trial).split(dim, AffineExpr.of(value)) == wanted:
            return [part]
    return []


def _candidates(extent: int, wanted: tuple[AffineExpr, AffineExpr]) -> list[DimPartition]:
    found = [DimPartition(Partition.Complete, extent)]
    for expr in wanted:
        for atom, _ in expr:
            if not isinstance(atom, Value):
                n = atom.divisor
                found.append(DimPartition(Partition.Cyclic, n))
                found.append(DimPartition(Partition.Block, -(-extent // n)))
    return found
