"""The form in which MLIR writes operations, and the generic one.

Everything becomes a :class:`~allo_rtl.ir.mlir_syntax.RawOp` with the operands and attributes of
the generic form.  :mod:`allo_rtl.ir.mlir_pretty_ops` and :mod:`allo_rtl.ir.mlir_pretty_loops` know
the written forms.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from allo_rtl.errors import ParseError
from allo_rtl.ir.mlir_lexer import Source, Token
from allo_rtl.ir.mlir_pretty_loops import READERS as LOOPS
from allo_rtl.ir.mlir_pretty_ops import READERS as OPS
from allo_rtl.ir.mlir_syntax import RawOp, Ref, Region, Syntax
from allo_rtl.ir.types import Type

type Reader = Callable[[Operations, RawOp], Any]


class Operations(Syntax):
    """Reads operations."""

    def top(self) -> list[RawOp]:
        """The whole text: aliases and operations."""
        ops: list[RawOp] = []
        while self.here.kind != "end":
            if self.here.kind == "alias":
                name = self.take().text
                self.expect("=")
                if self.at("loc"):
                    self.location()
                else:
                    self.aliases[name] = self.attribute()
            else:
                ops.append(self.op())
        return ops

    def op(self) -> RawOp:
        """One operation, with the names of its results."""
        results: list[tuple[str, int]] = []
        if self.here.kind == "value":
            results.append(self.result())
            while self.accept(","):
                results.append(self.result())
            self.expect("=")
        token = self.here
        raw = self.generic(token) if token.kind == "string" else self.pretty(token)
        raw.results = results
        if self.at("loc"):
            self.location()
        return raw

    def result(self) -> tuple[str, int]:
        name = self.expect_kind("value", "a result's name").text
        return name, self.integer() if self.accept(":") else 1

    def location(self) -> None:
        """Skip ``loc(...)``: the places reported are those of this text."""
        self.expect("loc")
        depth = 0
        while True:
            depth += {"(": 1, ")": -1}.get(self.take().text, 0)
            if depth == 0 or self.here.kind == "end":
                return

    def ref(self) -> Ref:
        token = self.expect_kind("value", "a value's name")
        return Ref(token.text, token)

    def new_ref(self) -> Ref:
        """The name of an argument of a block, perhaps with its place."""
        found = self.ref()
        if self.at("loc"):
            self.location()
        return found

    def refs(self) -> list[Ref]:
        found = [self.ref()]
        while self.accept(","):
            found.append(self.ref())
        return found

    # The generic form

    def generic(self, token: Token) -> RawOp:
        raw = RawOp(self.string(), token)
        self.expect("(")
        raw.operands = self.listed(")", self.ref)
        if self.accept("<"):
            raw.attrs = self.attr_dict()
            self.expect(">")
        if self.accept("("):
            raw.regions = self.listed(")", self.region)
        raw.attrs |= self.optional_attrs()
        self.expect(":")
        kind = self.function_type()
        raw.ins, raw.outs = kind.ins, kind.outs
        return raw

    def region(self, args: list[tuple[Ref, Type]] | None = None) -> Region:
        """``{ ^bb0(%i: index): operations }``."""
        region = Region(list(args or []), [])
        self.expect("{")
        if self.here.kind == "block":
            self.take()
            if self.accept("("):
                region.args += self.listed(")", self.argument)
            self.expect(":")
        while not self.accept("}"):
            if self.here.kind == "block":
                text = "a region of a kernel has one block"
                raise self.source.error(self.here, text, hint=_HINTS["cf"])
            region.ops.append(self.op())
        return region

    def argument(self) -> tuple[Ref, Type]:
        name = self.ref()
        self.expect(":")
        found = self.type_and_attrs()
        if self.at("loc"):
            self.location()
        return name, found

    # The written form

    def pretty(self, token: Token) -> RawOp:
        """An operation as its dialect writes it."""
        name = self.expect_kind("word", "an operation").text
        name = {"return": "func.return", "call": "func.call"}.get(name, name)
        raw = RawOp(name, token)
        reader = READERS.get(name)
        if reader is None:
            raise self.unknown(token, name)
        reader(self, raw)
        return raw

    def unknown(self, token: Token, name: str) -> ParseError:
        """The error that there is no such operation in a kernel."""
        return unknown_operation(self.source, token, name)

    def module(self, raw: RawOp) -> None:
        """``module @name attributes {...} { ... }``."""
        if self.here.kind == "symbol":
            self.symbol()
        if self.accept("attributes"):
            raw.attrs = self.attr_dict()
        raw.regions = [self.region()]

    def func(self, raw: RawOp) -> None:
        """``func.func @f(%a: i32) -> i32 attributes {...} { ... }``; a declaration has no body."""
        if self.at("private", "public", "nested"):
            self.take()
        raw.attrs["sym_name"] = self.symbol().name
        self.expect("(")
        args = self.listed(")", self.parameter)
        raw.outs = self.types() if self.accept("->") else ()
        if self.accept("attributes"):
            raw.attrs |= self.attr_dict()
        named = [(ref, type) for ref, type in args if ref is not None]
        raw.regions = [self.region(named)] if self.at("{") else []

    def parameter(self) -> tuple[Ref | None, Type]:
        """``%a: i32``, in a declaration without the name."""
        return self.argument() if self.here.kind == "value" else (None, self.type_and_attrs())

    def typed(self) -> tuple[Type, ...]:
        """``: i32, f32``."""
        self.expect(":")
        found = [self.type()]
        while self.accept(","):
            found.append(self.type())
        return tuple(found)


READERS: dict[str, Reader] = {
    "module": Operations.module,
    "builtin.module": Operations.module,
    "func.func": Operations.func,
    **OPS,
    **LOOPS,
}
"""Reads the written form of an operation."""

_HINTS = {
    "linalg": "lower it with -convert-linalg-to-affine-loops or -convert-linalg-to-loops first",
    "tensor": "bufferize it first, for example with -one-shot-bufferize",
    "bufferization": "bufferize it first, for example with -one-shot-bufferize",
    "cf": "lift it to structured loops with -lift-cf-to-scf first",
    "vector": "lower it with -convert-vector-to-scf first, or leave vectorization out",
    "llvm": "keep the module above the llvm dialect: affine, scf, memref",
}


def unknown_operation(source: Source, token: Token, name: str) -> ParseError:
    """The error that a kernel has no operation of this name; it tells what there is instead."""
    dialect = name.partition(".")[0]
    same = sorted(n for n in READERS if n.partition(".")[0] == dialect)
    close = get_close_matches(name, same, n=1, cutoff=0.8)
    known = ", ".join(same) if same else "operations of func, affine, scf, arith, math, memref, cf"
    hint = f"did you mean {close[0]}?" if close else _HINTS.get(dialect)
    return source.error(token, f"'{name}' is not an operation of a kernel", known, hint)
