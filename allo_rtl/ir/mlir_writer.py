"""Lines of MLIR text with names for values: what the printer writes with."""

from __future__ import annotations

import re
from collections.abc import Sequence

from allo_rtl.ir.mlir_memref import MemRef, memref, scalar_type_text
from allo_rtl.ir.mlir_types import is_unsigned
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, Index, Type


class Writer:
    """``lines`` is what is written; names are unique in their scope."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.maps: dict[str, str] = {}
        self.start_function()

    def start_function(self) -> None:
        """Forget the names of the function before."""
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.age: dict[Value, int] = {}
        self.affine: set[Value] = set()
        """Values MLIR takes as dimensions of affine maps."""
        self.arrays: dict[Value, MemRef] = {}
        """Written types of arrays."""
        self.counter = 0

    def emit(self, text: str) -> None:
        """Write a line."""
        self.lines.append("  " * self.depth + text)

    # Names

    def define(self, value: Value, written: MemRef | None = None) -> str:
        """The name of a value from here to the end of its block."""
        self.know(value, self.fresh(value.name), written)
        return self.names[value]

    def know(self, value: Value, name: str, written: MemRef | None = None) -> None:
        """Take note of the name of a value and, if it is an array, of its written type."""
        self.age[value] = len(self.age)
        self.names[value] = name
        if isinstance(value.type, ArrayType):
            self.arrays[value] = written or self.memref(value.type)
        if self.depth == 2 and isinstance(value.type, Index):
            self.affine.add(value)

    def fresh(self, hint: str = "") -> str:
        """A name that is not taken."""
        name = re.sub(r"[^A-Za-z0-9_$.-]", "_", hint)
        if not name or name[0].isdigit():
            name, self.counter = str(self.counter), self.counter + 1
        tail, base = 0, name
        while name in self.taken:
            name, tail = f"{base}_{tail}", tail + 1
        self.taken.add(name)
        return f"%{name}"

    def uses(self, values: Sequence[Value]) -> str:
        """The names of values, with commas."""
        return ", ".join(self.names[v] for v in values)

    # Types

    def memref(self, type: ArrayType) -> MemRef:
        """The written type of an array that is no part of another one."""
        return memref(type, lambda text: self.maps.setdefault(text, f"#map{len(self.maps) or ''}"))

    def type(self, type: Type) -> str:
        """The text of a type."""
        return str(self.memref(type)) if isinstance(type, ArrayType) else scalar_type_text(type)

    def type_of(self, value: Value) -> str:
        """The text of a value's type, for a view with its place in the other array."""
        return str(self.arrays[value]) if value in self.arrays else self.type(value.type)

    # Operations

    def assign(self, result: Value, text: str, written: MemRef | None = None) -> None:
        """Write an operation with a result."""
        self.emit(f"{self.define(result, written)} = {text}")

    def helper(self, text: str) -> str:
        """Write an operation that is a part of something larger; answer its name."""
        name = self.fresh()
        self.emit(f"{name} = {text}")
        return name

    def own(self, name: str, args: Sequence[Value], result: Value | None, *attrs: str) -> None:
        """Write an operation of our dialect, in the generic form."""
        ins = ", ".join(map(self.type_of, args))
        mark = attr_text(*attrs, "unsigned" if result and is_unsigned(result.type) else "")
        out = self.type(result.type) if result else "()"
        text = f'"allo.{name}"({self.uses(args)}){mark} : ({ins}) -> {out}'
        self.assign(result, text) if result else self.emit(text)

    def fit(self, value: Value, wanted: MemRef) -> str:
        """The name of an array as one of another written type, cast if it needs to be."""
        have, name = self.arrays[value], self.names[value]
        if have == wanted:
            return name
        cast = "memref.cast" if have.becomes(wanted) else "builtin.unrealized_conversion_cast"
        return self.helper(f"{cast} {name} : {have} to {wanted}")


def attr_text(*attrs: str) -> str:
    """An attribute list, with a space in front, of those that are not empty; '' without any."""
    parts = list(filter(None, attrs))
    return f" {{{', '.join(parts)}}}" if parts else ""


def unsigned_text(type: Type, *others: str) -> str:
    """An attribute list with ``unsigned`` if the type is."""
    return attr_text(*others, "unsigned" if is_unsigned(type) else "")
