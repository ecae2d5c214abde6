"""From MLIR's operations to those of the loop IR: what building a function needs of all of them.

:mod:`allo_rtl.ir.mlir_build_scalars`, ``mlir_build_memory`` and ``mlir_build_control`` know the
single operations.  Values that a loop carries or a branch gives become scalar variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from allo_rtl.errors import ParseError, SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.mlir_affine_syntax import AffineMap
from allo_rtl.ir.mlir_lexer import Source
from allo_rtl.ir.mlir_pretty import unknown_operation
from allo_rtl.ir.mlir_syntax import RawOp, Ref, Region
from allo_rtl.ir.mlir_types import Signature, signless
from allo_rtl.ir.ops import Alloc, Block, Cast, Func, Global, Load, Op, Store, Value
from allo_rtl.ir.types import ArrayType, Index, ScalarType, Type, index


@dataclass(frozen=True)
class Rule:
    """How an operation is built, and what it cannot do without.

    Attributes:
        build: adds what the operation means to the block being filled.
        operands: the least number of operands.
        attrs: attributes it needs, with their Python types.
        regions: number of regions.
        results: number of results, None for any.
    """

    build: Callable[[Builder, RawOp], None]
    operands: int = 0
    attrs: tuple[tuple[str, type | tuple[type, ...]], ...] = ()
    regions: int = 0
    results: int | None = None


@dataclass(frozen=True)
class Build:
    """What the functions of a module see of each other, and the rules of all operations."""

    source: Source
    globals: Mapping[str, Global]
    signatures: Mapping[str, Signature]
    rules: Mapping[str, Rule]


@dataclass(frozen=True)
class Part:
    """The first of two operations that stand for one of ours."""

    name: str
    args: tuple[Value, ...]
    type: Type


@dataclass(frozen=True)
class Alias:
    """Another name of an array, by which it has another written type.

    If it has another shape, ``reshaped``: element (i, j, ...) of it is the element of the array
    that comes at the same place in row-major order.
    """

    value: Value
    type: ArrayType
    reshaped: bool = False

    def subscripts(self, places: tuple[AffineExpr, ...]) -> tuple[AffineExpr, ...]:
        """The subscripts of the array for those of this name."""
        if not self.reshaped:
            return places
        linear = AffineExpr.constant(0)
        for place, extent in zip(places, self.type.shape, strict=True):
            linear = linear * extent + place
        found: list[AffineExpr] = []
        shape = self.value.array.shape
        for n in range(len(shape) - 1, 0, -1):
            found.insert(0, linear.mod(shape[n]))
            linear = linear.floordiv(shape[n])
        return (linear, *found) if shape else ()


type Meaning = Value | tuple[AffineExpr, ...] | Part | Alias
"""What a name stands for: affine expressions are several in a loop's bound."""


class Builder:
    """Builds one function; ``out`` is the block being filled."""

    def __init__(self, build: Build, raw: RawOp) -> None:
        self.build = build
        self.raw = raw
        self.signature = build.signatures[raw.attrs["sym_name"]]
        self.env: dict[str, Meaning] = {}
        self.names: list[str] = []
        """Names that the block being filled defines."""
        self.constants: dict[Value, int] = {}
        self.out: list[Op] = []
        self.targets: tuple[Value, ...] = ()
        """Variables for the values that the block being filled gives."""
        self.loc: SourceLoc | None = None

    def func(self) -> Func:
        """The function."""
        region = self.raw.regions[0]
        args = []
        for (ref, _), type in zip(region.args, self.signature.args, strict=True):
            args.append(Value(type, hint(ref.name)))
            self.env[ref.name] = args[-1]
        loc = self.place(self.raw)
        body = self.block(region)
        name = self.raw.attrs["sym_name"]
        return Func(
            name=name, args=tuple(args), results=self.signature.results, body=body, loc=loc,
            dataflow="dataflow" in self.raw.attrs, tasks="tasks" in self.raw.attrs,
            streams=self.streams(),
        )  # fmt: skip

    def streams(self) -> frozenset[int]:
        """The arguments and results that are streams."""
        numbers = self.raw.attrs.get("streams", [])
        if not isinstance(numbers, list) or not all(type(n) is int for n in numbers):
            raise self.error(
                self.raw, "'streams' does not number arguments and results", "array<i64: 0, 2>"
            )
        return frozenset(numbers)

    def place(self, raw: RawOp) -> SourceLoc:
        """Where the operation is in the text."""
        return self.build.source.loc(raw.token.start, len(raw.token.text))

    def error(self, raw: RawOp, message: str, allowed: str | None = None) -> ParseError:
        """An error about an operation."""
        return self.build.source.error(raw.token, message, allowed)

    def block(
        self,
        region: Region,
        args: Sequence[tuple[str, Value]] = (),
        targets: tuple[Value, ...] = (),
    ) -> Block:
        """The operations of a region.

        Args:
            region: the region; its own arguments stand for something already.
            args: names that stand for what variables are when the block starts.
            targets: variables that get the values the block ends with.
        """
        outer, self.out, self.names, self.targets = (
            (self.out, self.names, self.targets), [], [], targets,
        )  # fmt: skip
        for name, variable in args:
            self.get(name, variable)
        for raw in region.ops:
            self.loc = self.place(raw)
            self.op(raw)
        for name in self.names:
            del self.env[name]
        block = tuple(self.out)
        self.out, self.names, self.targets = outer
        return block

    # Values

    def bind(self, name: str, thing: Meaning) -> None:
        """Let a name stand for something to the end of the block; '' is a result nobody uses."""
        if not name:
            return
        if name in self.env:
            raise ParseError(f"'{name}' is defined twice", loc=self.loc)
        self.env[name] = thing
        self.names.append(name)

    def lookup(self, ref: Ref) -> Meaning:
        """What a name stands for."""
        if ref.name not in self.env:
            raise self.build.source.error(ref.token, f"'{ref.name}' is not defined here")
        return self.env[ref.name]

    def value(self, ref: Ref) -> Value:
        """The value that a name stands for."""
        found = self.lookup(ref)
        if isinstance(found, Alias) and found.reshaped:
            text = f"'{ref.name}' is another shape of an array, it can only be loaded or stored"
            raise self.build.source.error(ref.token, text)
        if isinstance(found, Alias):
            return found.value
        if not isinstance(found, Value):
            what = "another operation" if isinstance(found, Part) else "an affine expression"
            text = f"'{ref.name}' is a part of {what}, it has no value of its own"
            raise self.build.source.error(ref.token, text)
        return found

    def array(self, ref: Ref) -> Value:
        """The array that a name stands for."""
        found = self.value(ref)
        if not isinstance(found.type, ArrayType):
            text = f"'{ref.name}' is {found.type}, not an array"
            raise self.build.source.error(ref.token, text)
        return found

    def bounds(self, ref: Ref) -> tuple[AffineExpr, ...]:
        """The affine expressions that a name stands for."""
        found = self.lookup(ref)
        if isinstance(found, tuple):
            return found
        value = self.value(ref)
        if not isinstance(value.type, Index):
            text = f"'{ref.name}' is {value.type}, affine parts need index"
            raise self.build.source.error(ref.token, text)
        return (AffineExpr.of(value),)

    def expr(self, ref: Ref) -> AffineExpr:
        """The one affine expression that a name stands for."""
        found = self.bounds(ref)
        if len(found) != 1:
            raise self.build.source.error(ref.token, f"'{ref.name}' is the bound of a loop only")
        return found[0]

    def number(self, ref: Ref) -> int:
        """The number that a name stands for."""
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
        name = self.result_name(raw)
        result = Value(wanted or type, hint(name))
        if type == result.type:
            self.out.append(make(result))
        else:
            inner = Value(type)
            self.out.append(make(inner))
            self.out.append(Cast(result=result, operand=inner, loc=self.loc))
        self.bind(name, result)
        return result

    def result_name(self, raw: RawOp) -> str:
        """The name of the only result."""
        return self.result_names(raw, 1)[0][0]

    def result_names(self, raw: RawOp, count: int) -> list[tuple[str, int]]:
        """(name of each result, its position in the name's pack); names are '' without any."""
        if not raw.results:
            return [("", n) for n in range(count)]
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
        """Add what an operation means."""
        rule = self.build.rules.get(raw.name)
        if rule is None:
            raise unknown_operation(self.build.source, raw.token, raw.name)
        self.check_parts(raw, rule)
        self.check_types(raw)
        rule.build(self, raw)

    def check_parts(self, raw: RawOp, rule: Rule) -> None:
        """Generic text may leave anything out; what a written form says is complete."""
        if len(raw.operands) < rule.operands:
            found = f"{raw.name} needs {rule.operands} operands, {len(raw.operands)} are given"
            raise self.error(raw, found)
        for name, kind in rule.attrs:
            if not isinstance(raw.attrs.get(name), kind):
                raise self.error(raw, f"{raw.name} needs the attribute {name}")
        if len(raw.regions) != rule.regions:
            raise self.error(raw, f"{raw.name} has {len(raw.regions)} regions")
        if rule.results not in (None, len(raw.outs)):
            raise self.error(raw, f"{raw.name} has {len(raw.outs)} results")

    def check_types(self, raw: RawOp) -> None:
        for ref, type in zip(raw.operands, raw.ins, strict=False):
            found = self.lookup(ref)
            own = index if isinstance(found, tuple) else found.type
            if signless(own) != signless(type):
                text = f"'{ref.name}' is {own}, the type given here is {type}"
                raise self.build.source.error(ref.token, text)

    def mapped(self, raw: RawOp, map: AffineMap, refs: list[Ref]) -> tuple[AffineExpr, ...]:
        """The results of an affine map of values."""
        if len(map.dims) != len(refs):
            raise self.error(raw, f"the map of {raw.name} has {len(map.dims)} operands")
        return map.at([self.expr(r) for r in refs])

    # Variables

    def variable(self, raw: RawOp, type: Type, hint: str = "") -> Value:
        """A new scalar variable, for a value that a loop carries or a branch gives."""
        if not isinstance(type, ScalarType):
            text = f"{raw.name} gives {type}; loops and branches give scalars only"
            raise self.error(raw, text)
        variable = Value(ArrayType(type, ()), hint)
        self.out.append(Alloc(result=variable, loc=self.loc))
        return variable

    def set(self, variable: Value, value: Value) -> None:
        """Store to a scalar variable."""
        fitting = self.coerce(value, variable.array.element)
        self.out.append(Store(value=fitting, array=variable, loc=self.loc))

    def get(self, name: str, variable: Value) -> None:
        """Let a name stand for what a scalar variable is now."""
        value = Value(variable.array.element, hint(name))
        self.out.append(Load(result=value, array=variable, loc=self.loc))
        self.bind(name, value)


def hint(name: str) -> str:
    """What a name in the text says to people: nothing when it is only a number."""
    bare = name[1:].split("#")[0]
    return "" if bare.isdigit() else bare
