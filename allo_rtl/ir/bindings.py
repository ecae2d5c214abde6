"""What the values of a function stand for while it is run, with numbers or with terms."""

from __future__ import annotations

from typing import Any

from allo_rtl.ir.ops import Value
from allo_rtl.ir.processes import Fifo
from allo_rtl.ir.types import ArrayType, StreamType, Type


class Bindings[Scalar, Array]:
    """Scalars, arrays and streams by the values that stand for them.

    Each kind has a table of its own: what is done most, with scalars, need not ask for the kind.
    """

    def __init__(self) -> None:
        self.scalars: dict[Value, Scalar] = {}
        self.arrays: dict[Value, Array] = {}
        self.streams: dict[Value, Fifo] = {}

    def bind(self, value: Value, content: Scalar | Array | Fifo) -> None:
        """Let a value stand for something of its type."""
        self._of(value.type)[value] = content

    def get(self, value: Value) -> Scalar | Array | Fifo:
        """What a value stands for."""
        found: Scalar | Array | Fifo = self._of(value.type)[value]
        return found

    def _of(self, type: Type) -> dict[Value, Any]:
        match type:
            case ArrayType():
                return self.arrays
            case StreamType():
                return self.streams
        return self.scalars
