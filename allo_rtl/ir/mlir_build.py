"""From MLIR's operations to those of the loop IR: names looked up, signs and affine parts found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from allo_rtl.errors import ParseError, SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_lexer import Source
from allo_rtl.ir.mlir_names import BINARY_KINDS, PREDICATES
from allo_rtl.ir.mlir_pretty import CASTS
from allo_rtl.ir.mlir_syntax import AffineMap, RawOp, Ref, Region, Symbol
from allo_rtl.ir.mlir_types import Signature, is_unsigned, signless, with_unsigned
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    Block,
    Call,
    Cast,
    Compare,
    Constant,
    For,
    Func,
    GetGlobal,
    Global,
    If,
    Load,
    LoopAttrs,
    Op,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import ArrayType, Index, IntegerType, ScalarType, Type, UInt, bool_, index


@dataclass(frozen=True)
class Build:
    """What the functions of a module see of each other."""

    source: Source
    globals: dict[str, Global]
    signatures: dict[str, Signature]


def build_function(build: Build, raw: RawOp) -> Func:
    """The function of a ``func.func``."""
    return _Builder(build, raw).func()


class _Builder:
    """Builds one function; ``out`` is the block being filled."""

    def __init__(self, build: Build, raw: RawOp) -> None:
        self.build = build
        self.raw = raw
        self.signature = build.signatures[raw.attrs["sym_name"]]
        self.env: dict[str, Value | tuple[AffineExpr, ...]] = {}
        """What names stand for: a value, or affine expressions (several in a loop's bound)."""
        self.names: list[str] = []
        """Names that the block being filled defines."""
        self.constants: dict[Value, int] = {}
        self.out: list[Op] = []
        self.loc: SourceLoc | None = None

    def func(self) -> Func:
        region = self.raw.regions[0]
        args = []
        for (ref, _), type in zip(region.args, self.signature.args, strict=True):
            args.append(Value(type, _hint(ref.name)))
            self.env[ref.name] = args[-1]
        loc = self.place(self.raw)
        body = self.block(region)
        name = self.raw.attrs["sym_name"]
        return Func(
            name=name, args=tuple(args), results=self.signature.results, body=body, loc=loc
        )

    def place(self, raw: RawOp) -> SourceLoc:
        return self.build.source.loc(raw.token.start, len(raw.token.text))

    def error(self, raw: RawOp, message: str, allowed: str | None = None) -> ParseError:
        return self.build.source.error(raw.token, message, allowed)

    def block(self, region: Region) -> Block:
        outer, self.out = self.out, []
        outer_names, self.names = self.names, []
        for raw in region.ops:
            self.loc = self.place(raw)
            self.op(raw)
        for name in self.names:
            del self.env[name]
        self.names = outer_names
        block, self.out = tuple(self.out), outer
        return block

    # Values

    def bind(self, name: str, thing: Value | tuple[AffineExpr, ...]) -> None:
        """Let a name stand for something to the end of the block."""
        if name in self.env:
            raise ParseError(f"'{name}' is defined twice", loc=self.loc)
        self.env[name] = thing
        self.names.append(name)

    def lookup(self, ref: Ref) -> Value | tuple[AffineExpr, ...]:
        if ref.name not in self.env:
            raise self.build.source.error(ref.token, f"'{ref.name}' is not defined here")
        return self.env[ref.name]

    def value(self, ref: Ref) -> Value:
        found = self.lookup(ref)
        if not isinstance(found, Value):
            text = f"'{ref.name}' is a part of an affine expression, it has no value of its own"
            raise self.build.source.error(ref.token, text)
        return found

    def array(self, ref: Ref) -> Value:
        found = self.value(ref)
        if not isinstance(found.type, ArrayType):
            text = f"'{ref.name}' is {found.type}, not an array"
            raise self.build.source.error(ref.token, text)
        return found

    def bounds(self, ref: Ref) -> tuple[AffineExpr, ...]:
        found = self.lookup(ref)
        if not isinstance(found, Value):
            return found
        if not isinstance(found.type, Index):
            text = f"'{ref.name}' is {found.type}, affine parts need index"
            raise self.build.source.error(ref.token, text)
        return (AffineExpr.of(found),)

    def expr(self, ref: Ref) -> AffineExpr:
        found = self.bounds(ref)
        if len(found) != 1:
            raise self.build.source.error(ref.token, f"'{ref.name}' is the bound of a loop only")
        return found[0]

    def number(self, ref: Ref) -> int:
        found = self.lookup(ref)
        if isinstance(found, Value) and found in self.constants:
            return self.constants[found]
        if isinstance(found, tuple) and found[0].is_constant:
            return found[0].const
        raise self.build.source.error(ref.token, f"'{ref.name}' is not a constant")

    def coerce(self, value: Value, type: Type) -> Value:
        """The value in a type that differs in sign only."""
        if value.type == type or not isinstance(type, ScalarType):
            return value
        result = Value(type)
        self.out.append(Cast(result=result, operand=value, loc=self.loc))
        return result

    def define(
        self, raw: RawOp, type: Type, make: Callable[[Value], Op], wanted: Type | None = None
    ) -> Value:
        """Add the operation that ``make`` builds for a result of ``type``, cast to ``wanted``."""
        name, _ = self.result_names(raw, 1)[0]
        result = Value(wanted or type, _hint(name))
        if type == result.type:
            self.out.append(make(result))
        else:
            inner = Value(type)
            self.out.append(make(inner))
            self.out.append(Cast(result=result, operand=inner, loc=self.loc))
        self.bind(name, result)
        return result

    def result_names(self, raw: RawOp, count: int) -> list[tuple[str, int]]:
        """(name of each result, its position in the name's pack)."""
        names = [
            (name if size == 1 else f"{name}#{n}", n)
            for name, size in raw.results
            for n in range(size)
        ]
        if len(names) != count:
            raise self.error(raw, f"{raw.name} has {count} results, {len(names)} are named")
        return names

    # Operations

    def op(self, raw: RawOp) -> None:
        self.check_parts(raw)
        self.check_types(raw)
        dialect, _, short = raw.name.rpartition(".")
        if "affine" in raw.attrs and dialect == "arith":
            self.fold(raw, short)
        elif "apply" in raw.attrs and short == "addi":
            lhs, rhs = map(self.expr, raw.operands)
            self.apply(raw, lhs + rhs)
        elif dialect == "arith" and short in BINARY_KINDS:
            self.binary(raw, short)
        elif dialect == "arith" and short in CASTS:
            self.cast(raw, short)
        elif (build := _BUILDERS.get(raw.name)) is not None:
            build(self, raw)
        else:
            known = "the operations of func, affine, scf, arith and memref that kernels are made of"
            raise self.error(raw, f"'{raw.name}' is not an operation of a kernel", known)

    def check_parts(self, raw: RawOp) -> None:
        """Generic text may leave anything out; what a written form says is complete."""
        short = raw.name.removeprefix("arith.")
        default = (2, ()) if short in BINARY_KINDS else (1, ()) if short in CASTS else (0, ())
        count, attrs = _PARTS.get(raw.name, default)
        if len(raw.operands) < count:
            found = f"{raw.name} needs {count} operands, {len(raw.operands)} are given"
            raise self.error(raw, found)
        for name, kind in attrs:
            if not isinstance(raw.attrs.get(name), kind):
                raise self.error(raw, f"{raw.name} needs the attribute {name}")
        if len(raw.regions) != _REGIONS.get(raw.name, 0):
            raise self.error(raw, f"{raw.name} has {len(raw.regions)} regions")
        if (short in CASTS or raw.name in _ONE_RESULT) and len(raw.outs) != 1:
            raise self.error(raw, f"{raw.name} has {len(raw.outs)} results")
        if raw.name in ("affine.for", "scf.for") and len(raw.regions[0].args) != 1:
            raise self.error(raw, f"the block of {raw.name} needs one argument, its counter")

    def check_types(self, raw: RawOp) -> None:
        for ref, type in zip(raw.operands, raw.ins, strict=False):
            found = self.lookup(ref)
            own = found.type if isinstance(found, Value) else index
            if signless(own) != signless(type):
                text = f"'{ref.name}' is {own}, the type given here is {type}"
                raise self.build.source.error(ref.token, text)

    def fold(self, raw: RawOp, short: str) -> None:
        """Take an operation marked as part of an affine expression back into one."""
        name, _ = self.result_names(raw, 1)[0]
        if short == "constant":
            self.bind(name, (AffineExpr.constant(raw.attrs["value"]),))
        elif short in ("maxsi", "minsi"):
            self.bind(name, tuple(e for ref in raw.operands for e in self.bounds(ref)))
        else:
            self.bind(name, (self.fold_binary(raw, short),))

    def fold_binary(self, raw: RawOp, short: str) -> AffineExpr:
        if len(raw.operands) != 2:
            raise self.error(raw, f"this {raw.name} is no part of an affine expression")
        lhs, rhs = map(self.expr, raw.operands)
        match short:
            case "addi":
                return lhs + rhs
            case "subi" if raw.attrs.get("mod", 0) > 0:
                return lhs.mod(raw.attrs["mod"])
            case "muli" if rhs.is_constant:
                return lhs * rhs.const
            case "floordivsi" if rhs.is_constant and rhs.const > 0:
                return lhs.floordiv(rhs.const)
        raise self.error(raw, f"this {raw.name} is no part of an affine expression")

    def apply(self, raw: RawOp, expr: AffineExpr) -> None:
        self.define(raw, index, lambda r: Apply(result=r, expr=expr, loc=self.loc))

    def affine_apply(self, raw: RawOp) -> None:
        self.apply(raw, self.mapped(raw, raw.attrs["map"], raw.operands)[0])

    def mapped(self, raw: RawOp, map_: AffineMap, refs: list[Ref]) -> tuple[AffineExpr, ...]:
        if len(map_.dims) != len(refs):
            raise self.error(raw, f"the map of {raw.name} has {len(map_.dims)} operands")
        return map_.at([self.expr(r) for r in refs])

    def constant(self, raw: RawOp) -> None:
        type = with_unsigned(raw.outs[0], "unsigned" in raw.attrs)
        if not isinstance(type, IntegerType | Index):
            raise self.error(raw, f"a constant of {type} is not supported")
        value = type.wrap(int(raw.attrs["value"]))
        result = self.define(raw, type, lambda r: Constant(result=r, value=value, loc=self.loc))
        self.constants[result] = value

    def binary(self, raw: RawOp, short: str) -> None:
        kind, asked = BINARY_KINDS[short]
        lhs, rhs = map(self.value, raw.operands[:2])
        marked = "unsigned" in raw.attrs
        unsigned = not asked if asked is not None else marked or is_unsigned(lhs.type)
        type = _in_sign(lhs.type, unsigned)
        wanted = lhs.type if lhs.type == index else with_unsigned(lhs.type, unsigned or marked)
        left, right = self.coerce(lhs, type), self.coerce(rhs, type)
        self.define(
            raw,
            type,
            lambda r: Binary(kind=kind, result=r, lhs=left, rhs=right, loc=self.loc),
            wanted,
        )

    def compare(self, raw: RawOp) -> None:
        number = raw.attrs["predicate"]
        if not 0 <= number < len(PREDICATES):
            raise self.error(raw, f"{number} is not the number of a predicate")
        _, predicate, signed = PREDICATES[number]
        lhs, rhs = map(self.value, raw.operands[:2])
        type = lhs.type if signed is None else _in_sign(lhs.type, not signed)
        left, right = self.coerce(lhs, type), self.coerce(rhs, type)
        self.define(
            raw,
            bool_,
            lambda r: Compare(predicate=predicate, result=r, lhs=left, rhs=right, loc=self.loc),
        )

    def select(self, raw: RawOp) -> None:
        condition, yes, no = map(self.value, raw.operands[:3])
        type = with_unsigned(yes.type, "unsigned" in raw.attrs or is_unsigned(yes.type))
        flag = self.coerce(condition, bool_)
        left, right = self.coerce(yes, type), self.coerce(no, type)
        self.define(
            raw,
            type,
            lambda r: Select(
                result=r, condition=flag, if_true=left, if_false=right, loc=self.loc
            ),
        )

    def cast(self, raw: RawOp, short: str) -> None:
        operand = self.value(raw.operands[0])
        if short in ("extsi", "extui", "index_cast", "index_castui"):
            operand = self.coerce(operand, _in_sign(operand.type, short.endswith("ui")))
        type = with_unsigned(raw.outs[0], "unsigned" in raw.attrs)
        self.define(raw, type, lambda r: Cast(result=r, operand=operand, loc=self.loc))

    def alloc(self, raw: RawOp) -> None:
        type = with_unsigned(raw.outs[0], "unsigned" in raw.attrs)
        name, _ = self.result_names(raw, 1)[0]
        result = Value(type, str(raw.attrs.get("name", _hint(name))))
        self.out.append(Alloc(result=result, loc=self.loc))
        self.bind(name, result)

    def get_global(self, raw: RawOp) -> None:
        name = _symbol(raw.attrs["name"])
        item = self.build.globals.get(name)
        if item is None:
            raise self.error(raw, f"the module has no memref.global {name}")
        type = with_unsigned(raw.outs[0], is_unsigned(item.type))
        self.define(raw, type, lambda r: GetGlobal(result=r, name=item.name, loc=self.loc))

    def subscripts(self, raw: RawOp, refs: list[Ref]) -> tuple[AffineExpr, ...]:
        if "map" in raw.attrs:
            return self.mapped(raw, raw.attrs["map"], refs)
        return tuple(self.expr(r) for r in refs)

    def load(self, raw: RawOp) -> None:
        array = self.array(raw.operands[0])
        places = self.subscripts(raw, raw.operands[1:])
        type = array.array.element
        self.define(raw, type, lambda r: Load(result=r, array=array, index=places, loc=self.loc))

    def store(self, raw: RawOp) -> None:
        array = self.array(raw.operands[1])
        places = self.subscripts(raw, raw.operands[2:])
        value = self.coerce(self.value(raw.operands[0]), array.array.element)
        self.out.append(Store(value=value, array=array, index=places, loc=self.loc))

    def affine_for(self, raw: RawOp) -> None:
        match raw.attrs["operandSegmentSizes"]:
            case [int(lower_count), int(upper_count), 0]:
                pass
            case _:
                raise self.error(raw, "values carried by a loop are not supported")
        lower_refs = raw.operands[:lower_count]
        upper_refs = raw.operands[lower_count : lower_count + upper_count]
        lower = self.mapped(raw, raw.attrs["lowerBoundMap"], lower_refs)
        upper = self.mapped(raw, raw.attrs["upperBoundMap"], upper_refs)
        self.loop(raw, lower, upper, raw.attrs["step"])

    def scf_for(self, raw: RawOp) -> None:
        if len(raw.operands) != 3:
            raise self.error(raw, "values carried by a loop are not supported")
        lower, upper, step = raw.operands
        self.loop(raw, self.bounds(lower), self.bounds(upper), self.number(step))

    def loop(
        self, raw: RawOp, lower: tuple[AffineExpr, ...], upper: tuple[AffineExpr, ...], step: int
    ) -> None:
        ref, type = raw.regions[0].args[0]
        iv, loc = Value(type, _hint(ref.name)), self.loc
        self.env[ref.name] = iv
        body = self.block(raw.regions[0])
        del self.env[ref.name]
        name = str(raw.attrs.get("loop_name", ""))
        attrs = _loop_attrs(raw.attrs)
        new = For(iv=iv, lower=lower, upper=upper, step=step, body=body, name=name, attrs=attrs)
        self.out.append(replace(new, loc=loc))

    def branch(self, raw: RawOp) -> None:
        if raw.outs:
            raise self.error(raw, "values that a branch gives are not supported")
        condition, loc = self.coerce(self.value(raw.operands[0]), bool_), self.loc
        then, orelse = map(self.block, raw.regions)
        self.out.append(If(condition=condition, then=then, orelse=orelse, loc=loc))

    def call(self, raw: RawOp) -> None:
        callee = _symbol(raw.attrs["callee"])
        signature = self.build.signatures.get(callee)
        if signature is None:
            raise self.error(raw, f"the module has no function {callee}")
        values = [self.value(r) for r in raw.operands]
        if len(values) != len(signature.args):
            raise self.error(raw, f"{callee} takes {len(signature.args)} arguments")
        args = tuple(map(self.coerce, values, signature.args))
        outs = []
        for (name, position), type in zip(
            self.result_names(raw, len(signature.results)), signature.results, strict=True
        ):
            outs.append(Value(type, _hint(name) if position == 0 else ""))
            self.bind(name, outs[-1])
        self.out.append(Call(callee=callee, args=args, outs=tuple(outs), loc=self.loc))

    def return_(self, raw: RawOp) -> None:
        if raw.operands:
            values = [self.value(r) for r in raw.operands]
            if len(values) == len(self.signature.results):
                values = list(map(self.coerce, values, self.signature.results))
            self.out.append(Return(values=tuple(values), loc=self.loc))

    def nothing(self, raw: RawOp) -> None:
        if raw.operands:
            raise self.error(raw, "values that a block gives are not supported")


_ONE_RESULT = ("arith.constant", "memref.alloc", "memref.alloca", "memref.get_global")
_REGIONS = {"affine.for": 1, "scf.for": 1, "scf.if": 2}
_MAP = (("map", AffineMap),)
_PARTS: dict[str, tuple[int, tuple[tuple[str, type], ...]]] = {
    "arith.constant": (0, (("value", int),)),
    "arith.cmpi": (2, (("predicate", int),)),
    "arith.select": (3, ()),
    "affine.apply": (0, _MAP),
    "memref.get_global": (0, (("name", Symbol),)),
    "affine.load": (1, _MAP),
    "memref.load": (1, ()),
    "affine.store": (2, _MAP),
    "memref.store": (2, ()),
    "affine.for": (
        0,
        (
            ("lowerBoundMap", AffineMap),
            ("upperBoundMap", AffineMap),
            ("step", int),
            ("operandSegmentSizes", list),
        ),
    ),
    "scf.for": (3, ()),
    "scf.if": (1, ()),
    "func.call": (0, (("callee", Symbol),)),
}
"""The least number of operands, and the attributes, that an operation cannot do without."""

_BUILDERS: dict[str, Callable[[_Builder, RawOp], None]] = {
    "arith.constant": _Builder.constant,
    "arith.cmpi": _Builder.compare,
    "arith.select": _Builder.select,
    "affine.apply": _Builder.affine_apply,
    "memref.alloc": _Builder.alloc,
    "memref.alloca": _Builder.alloc,
    "memref.get_global": _Builder.get_global,
    "affine.load": _Builder.load,
    "memref.load": _Builder.load,
    "affine.store": _Builder.store,
    "memref.store": _Builder.store,
    "affine.for": _Builder.affine_for,
    "scf.for": _Builder.scf_for,
    "scf.if": _Builder.branch,
    "func.call": _Builder.call,
    "func.return": _Builder.return_,
    "affine.yield": _Builder.nothing,
    "scf.yield": _Builder.nothing,
}


def _in_sign(type: Type, unsigned: bool) -> Type:
    """The type an operation that reads its operand with this sign works in."""
    if isinstance(type, Index):
        return UInt(64) if unsigned else index
    return with_unsigned(type, unsigned)


def _symbol(attribute: object) -> str:
    return attribute.name if isinstance(attribute, Symbol) else str(attribute)


def _hint(name: str) -> str:
    """What a name in the text says to people: nothing when it is only a number."""
    bare = name[1:].split("#")[0]
    return "" if bare.isdigit() else bare


def _loop_attrs(attrs: dict[str, Any]) -> LoopAttrs:
    return LoopAttrs(
        ii_required=bool(attrs.get("ii_required", False)),
        band=str(attrs.get("op_name", "")),
        reduction=bool(attrs.get("reduction", False)),
        pipeline_ii=attrs.get("pipeline_ii"),
        rewind=bool(attrs.get("rewind", False)),
        unroll=attrs.get("unroll"),
        parallel=bool(attrs.get("parallel", False)),
    )
