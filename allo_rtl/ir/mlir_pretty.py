"""The written form of each operation of func, affine, scf, arith and memref, and the generic one.

Everything becomes a :class:`~allo_rtl.ir.mlir_syntax.RawOp` with the operands and attributes of
the generic form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_lexer import Token
from allo_rtl.ir.mlir_names import BINARY_KINDS, PREDICATES
from allo_rtl.ir.mlir_syntax import UNIT, AffineMap, RawOp, Ref, Region, Syntax
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, Int, Type, bool_, index

CASTS = ("extsi", "extui", "trunci", "bitcast", "index_cast", "index_castui")
_PREDICATE_NUMBERS = {name: number for number, (name, _, _) in enumerate(PREDICATES)}


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
                raise self.unexpected("the end of the region (a region has one block)")
            region.ops.append(self.op())
        return region

    def argument(self) -> tuple[Ref, Type]:
        name = self.ref()
        self.expect(":")
        return name, self.type_and_attrs()

    # The written form

    def pretty(self, token: Token) -> RawOp:
        name = self.expect_kind("word", "an operation").text
        name = {"return": "func.return", "call": "func.call"}.get(name, name)
        raw = RawOp(name, token)
        dialect, _, short = name.rpartition(".")
        reader = _READERS.get(name)
        if reader is None and dialect == "arith":
            reader = _arith_reader(short)
        if reader is None:
            known = "the operations of func, affine, scf, arith and memref that kernels are made of"
            raise self.source.error(token, f"'{token.text}' is not an operation of a kernel", known)
        reader(self, raw)
        return raw

    def module(self, raw: RawOp) -> None:
        if self.here.kind == "symbol":
            self.symbol()
        if self.accept("attributes"):
            raw.attrs = self.attr_dict()
        raw.regions = [self.region()]

    def func(self, raw: RawOp) -> None:
        if self.at("private", "public"):
            self.take()
        raw.attrs["sym_name"] = self.symbol().name
        self.expect("(")
        args = self.listed(")", self.argument)
        raw.outs = self.types() if self.accept("->") else ()
        if self.accept("attributes"):
            raw.attrs |= self.attr_dict()
        raw.regions = [self.region(args)]

    def func_return(self, raw: RawOp) -> None:
        raw.attrs = self.optional_attrs()
        if self.here.kind == "value":
            raw.operands = self.refs()
            self.expect(":")
            raw.ins = (self.type(),)
            while self.accept(","):
                raw.ins += (self.type(),)

    def call(self, raw: RawOp) -> None:
        raw.attrs["callee"] = self.symbol()
        self.expect("(")
        raw.operands = self.listed(")", self.ref)
        raw.attrs |= self.optional_attrs()
        self.expect(":")
        kind = self.function_type()
        raw.ins, raw.outs = kind.ins, kind.outs

    def yield_(self, raw: RawOp) -> None:
        raw.attrs = self.optional_attrs()

    # arith

    def binary(self, raw: RawOp) -> None:
        raw.operands = self.refs()
        if self.accept("overflow"):
            self.expect("<")
            self.listed(">", self.take)
        raw.attrs |= self.optional_attrs()
        self.expect(":")
        kind = self.type()
        raw.ins, raw.outs = (kind,) * len(raw.operands), (kind,)

    def compare(self, raw: RawOp) -> None:
        token = self.expect_kind("word", "a predicate")
        if token.text not in _PREDICATE_NUMBERS:
            known = ", ".join(_PREDICATE_NUMBERS)
            raise self.source.error(token, f"'{token.text}' is not a predicate", known)
        self.expect(",")
        self.binary(raw)
        raw.attrs["predicate"], raw.outs = _PREDICATE_NUMBERS[token.text], (bool_,)

    def select(self, raw: RawOp) -> None:
        self.binary(raw)
        raw.ins = (bool_, *raw.outs, *raw.outs)

    def constant(self, raw: RawOp) -> None:
        raw.attrs = self.optional_attrs()
        if self.at("true", "false"):
            raw.attrs["value"], raw.outs = self.take().text == "true", (Int(1),)
            return
        raw.attrs["value"] = self.integer()
        self.expect(":")
        raw.outs = (self.type(),)

    def cast(self, raw: RawOp) -> None:
        raw.operands = [self.ref()]
        raw.attrs = self.optional_attrs()
        self.expect(":")
        raw.ins = (self.type(),)
        self.expect("to")
        raw.outs = (self.type(),)

    # memref

    def global_(self, raw: RawOp) -> None:
        if self.here.kind == "string":
            self.take()
        if self.accept("constant"):
            raw.attrs["constant"] = UNIT
        raw.attrs["sym_name"] = self.symbol().name
        self.expect(":")
        raw.attrs["type"] = self.type()
        if self.accept("="):
            raw.attrs["initial_value"] = self.attribute()
        raw.attrs |= self.optional_attrs()

    def get_global(self, raw: RawOp) -> None:
        raw.attrs["name"] = self.symbol()
        raw.attrs |= self.optional_attrs()
        self.expect(":")
        raw.outs = (self.type(),)
        raw.attrs |= self.optional_attrs()

    def alloc(self, raw: RawOp) -> None:
        self.expect("(")
        self.expect(")")
        raw.attrs = self.optional_attrs()
        self.expect(":")
        raw.outs = (self.type(),)

    def access(self, raw: RawOp) -> None:
        """Loads and stores; subscripts of the affine ones are a map and its operands."""
        if raw.name.endswith("store"):
            raw.operands = [self.ref()]
            self.expect(",")
        raw.operands.append(self.ref())
        if raw.name.startswith("affine."):
            uses, raw.attrs["map"] = self.subscripts()
            raw.operands += uses
        else:
            self.expect("[")
            raw.operands += self.listed("]", self.ref)
        raw.attrs |= self.optional_attrs()
        self.expect(":")
        array = self.type()
        element = array.element if isinstance(array, ArrayType) else array
        load = raw.name.endswith("load")
        raw.ins, raw.outs = ((array,), (element,)) if load else ((element, array), ())

    def subscripts(self) -> tuple[list[Ref], AffineMap]:
        uses: list[Ref] = []
        places: dict[str, Value] = {}

        def operand() -> AffineExpr:
            if self.accept("symbol"):
                self.expect("(")
                inner = operand()
                self.expect(")")
                return inner
            use = self.ref()
            if use.name not in places:
                uses.append(use)
                places[use.name] = Value(index, use.name)
            return AffineExpr.of(places[use.name])

        exprs = self.affine_list("[", "]", operand)
        return uses, AffineMap(tuple(places.values()), tuple(exprs))

    # affine and scf

    def apply(self, raw: RawOp) -> None:
        raw.attrs["map"], raw.operands = self.applied_map()
        raw.attrs |= self.optional_attrs()
        raw.outs = (index,)

    def applied_map(self) -> tuple[AffineMap, list[Ref]]:
        """``map(%dims)[%symbols]``."""
        token = self.here
        found = self.attribute()
        if not isinstance(found, AffineMap):
            raise self.source.error(token, "this is not an affine_map")
        self.expect("(")
        uses = self.listed(")", self.ref)
        if self.accept("["):
            uses += self.listed("]", self.ref)
        if len(uses) != len(found.dims):
            text = f"the map has {len(found.dims)} operands, {len(uses)} are given"
            raise self.source.error(token, text)
        return found, uses

    def affine_for(self, raw: RawOp) -> None:
        iv = self.ref()
        self.expect("=")
        lower, lower_uses = self.affine_bound("max")
        self.expect("to")
        upper, upper_uses = self.affine_bound("min")
        step = self.integer() if self.accept("step") else 1
        self.no_values_carried()
        raw.regions = [self.region([(iv, index)])]
        raw.attrs = {"lowerBoundMap": lower, "upperBoundMap": upper, "step": step}
        raw.attrs["operandSegmentSizes"] = [len(lower_uses), len(upper_uses), 0]
        raw.attrs |= self.optional_attrs()
        raw.operands = lower_uses + upper_uses

    def affine_bound(self, pick: str) -> tuple[AffineMap, list[Ref]]:
        self.accept(pick)
        if self.here.kind == "value":
            use, place = self.ref(), Value(index)
            return AffineMap((place,), (AffineExpr.of(place),)), [use]
        if self.here.kind == "number" or self.at("-"):
            return AffineMap((), (AffineExpr.constant(self.integer()),)), []
        return self.applied_map()

    def no_values_carried(self) -> None:
        if self.at("iter_args", "->"):
            raise self.unexpected("'{' (values carried by a loop or a branch are not supported)")

    def scf_for(self, raw: RawOp) -> None:
        iv = self.ref()
        self.expect("=")
        raw.operands = [self.ref()]
        for word in ("to", "step"):
            self.expect(word)
            raw.operands.append(self.ref())
        self.no_values_carried()
        if self.accept(":"):
            self.type()
        raw.regions = [self.region([(iv, index)])]
        raw.attrs = self.optional_attrs()

    def scf_if(self, raw: RawOp) -> None:
        raw.operands = [self.ref()]
        self.no_values_carried()
        raw.regions = [self.region()]
        raw.regions.append(self.region() if self.accept("else") else Region([], []))
        raw.attrs = self.optional_attrs()


type Reader = Callable[[Operations, RawOp], Any]

_READERS: dict[str, Reader] = {
    "module": Operations.module,
    "builtin.module": Operations.module,
    "func.func": Operations.func,
    "func.return": Operations.func_return,
    "func.call": Operations.call,
    "affine.yield": Operations.yield_,
    "scf.yield": Operations.yield_,
    "arith.constant": Operations.constant,
    "arith.cmpi": Operations.compare,
    "arith.select": Operations.select,
    "memref.global": Operations.global_,
    "memref.get_global": Operations.get_global,
    "memref.alloc": Operations.alloc,
    "memref.alloca": Operations.alloc,
    "memref.load": Operations.access,
    "memref.store": Operations.access,
    "affine.load": Operations.access,
    "affine.store": Operations.access,
    "affine.apply": Operations.apply,
    "affine.for": Operations.affine_for,
    "scf.for": Operations.scf_for,
    "scf.if": Operations.scf_if,
}


def _arith_reader(short: str) -> Reader | None:
    if short in BINARY_KINDS:
        return Operations.binary
    return Operations.cast if short in CASTS else None
