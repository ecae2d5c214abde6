"""The loop IR as MLIR text: func, affine, scf, arith and memref dialects.

Integers are signless in MLIR.  Their signs are kept in the attributes Allo uses: ``itypes`` and
``otypes`` of a function (``s``, ``u`` or ``_`` an argument), and ``unsigned`` on operations whose
result is unsigned while their name does not say so.

A loop or an access whose affine parts MLIR would not take as affine (data dependent, inside a
loop) prints as ``scf.for`` or ``memref.load``; the index arithmetic then is spelled out in arith
operations marked ``{affine}``, which the parser folds back.  Where MLIR leaves division by zero
and wide shifts undefined, the meaning is :class:`~allo_rtl.ir.ops.BinaryKind`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from allo_rtl.ir.affine import AffineExpr, Atom, FloorDiv, Mod
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.mlir_affine import affine_text, in_order
from allo_rtl.ir.mlir_names import BINARY_NAMES, PREDICATE_NAMES
from allo_rtl.ir.mlir_types import is_unsigned
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
    Module,
    Op,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import ArrayType, Index, IntegerType, Type, UInt, index


def print_module(module: Module) -> str:
    """MLIR text of a verified module; equal modules but for locations print equal text."""
    return _Printer(module).text()


class _Printer:
    """Prints one module; ``lines`` is what is written, names are unique in their scope."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.lines: list[str] = []
        self.depth = 0
        self.maps: dict[str, str] = {}
        self.start_function()

    def start_function(self) -> None:
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.age: dict[Value, int] = {}
        self.affine: set[Value] = set()
        """Values MLIR takes as dimensions of affine maps."""
        self.counter = 0

    def text(self) -> str:
        last = self.module.funcs[-1].name if self.module.funcs else self.module.top
        top = f' attributes {{allo.top = "{self.module.top}"}}' if self.module.top != last else ""
        self.emit(f"module{top} {{")
        self.depth += 1
        for item in self.module.globals:
            self.global_(item)
        for func in self.module.funcs:
            self.func(func)
        self.depth -= 1
        self.emit("}")
        aliases = [f"{alias} = {text}" for text, alias in self.maps.items()]
        return "\n".join([*aliases, *self.lines]) + "\n"

    def emit(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    # Names

    def define(self, value: Value) -> str:
        """The name of a value from here to the end of its block."""
        self.age[value] = len(self.age)
        self.names[value] = self.fresh(value.name)
        if self.depth == 2 and isinstance(value.type, Index):
            self.affine.add(value)
        return self.names[value]

    def fresh(self, hint: str = "") -> str:
        name = re.sub(r"[^A-Za-z0-9_$.-]", "_", hint)
        if not name or name[0].isdigit():
            name, self.counter = str(self.counter), self.counter + 1
        tail, base = 0, name
        while name in self.taken:
            name, tail = f"{base}_{tail}", tail + 1
        self.taken.add(name)
        return f"%{name}"

    def region(self, block: Block) -> None:
        taken, counter = set(self.taken), self.counter
        self.depth += 1
        for op in block:
            self.op(op)
        self.depth -= 1
        self.taken, self.counter = taken, counter

    # Types

    def type(self, type: Type) -> str:
        match type:
            case IntegerType(width=width):
                return f"i{width}"
            case ArrayType():
                dims = "".join(f"{n}x" for n in type.shape)
                return f"memref<{dims}{self.type(type.element)}{self.layout(type)}>"
            case _:
                return str(type)

    def types(self, types: Sequence[Type]) -> str:
        text = ", ".join(map(self.type, types))
        return text if len(types) == 1 else f"({text})"

    def layout(self, type: ArrayType) -> str:
        """The alias of the map from subscripts to bank and in-bank coordinates, or ''."""
        dims = [Value(index, f"d{n}") for n in range(type.rank)]
        layout = Layout(type)
        pairs = [layout.split(n, AffineExpr.of(d)) for n, d in enumerate(dims)]
        if all(bank.is_constant for bank, _ in pairs):
            return ""
        coordinates = [bank for bank, _ in pairs] + [address for _, address in pairs]
        names = {d: d.name for d in dims}
        results = ", ".join(affine_text(e, names, {}) for e in coordinates)
        text = f"affine_map<({', '.join(names.values())}) -> ({results})>"
        return ", " + self.maps.setdefault(text, f"#map{len(self.maps) or ''}")

    # Functions and globals

    def global_(self, item: Global) -> None:
        array = item.type
        show = (lambda x: str(bool(x)).lower()) if array.element.bits == 1 else str
        rows = [show(x) for x in item.data]
        for extent in reversed(array.shape):
            parts = range(0, len(rows), extent)
            rows = [f"[{', '.join(rows[i : i + extent])}]" for i in parts]
        text = f'memref.global "private" constant @{item.name} : {self.type(array)}'
        self.emit(f"{text} = dense<{rows[0]}>{_unsigned(array)}")

    def func(self, func: Func) -> None:
        self.start_function()
        self.depth += 1
        args = ", ".join(f"{self.define(a)}: {self.type(a.type)}" for a in func.args)
        self.depth -= 1
        results = f" -> {self.types(func.results)}" if func.results else ""
        itypes = "".join(_sign(a.type) for a in func.args)
        otypes = "".join(map(_sign, func.results))
        attrs = f'attributes {{itypes = "{itypes}", otypes = "{otypes}"}}'
        self.emit(f"func.func @{func.name}({args}){results} {attrs} {{")
        self.region(func.body)
        if not (func.body and isinstance(func.body[-1], Return)):
            self.emit("  return")
        self.emit("}")

    # Operations

    def op(self, op: Op) -> None:
        match op:
            case Constant() | Binary() | Compare() | Select() | Cast():
                self.scalar_op(op)
            case Apply(result=result, expr=expr):
                self.apply(result, expr)
            case Alloc(result=result):
                name = f'name = "{result.name}"' if result.name else ""
                text = f"memref.alloc(){_unsigned(result.type, name)} : {self.type(result.type)}"
                self.assign(result, text)
            case GetGlobal(result=result, name=name):
                text = f"memref.get_global @{name} : {self.type(result.type)}"
                self.assign(result, text + _unsigned(result.type))
            case Load() | Store():
                self.access(op)
            case For():
                self.loop(op)
            case If():
                self.branch(op)
            case Call():
                self.call(op)
            case Return(values=values):
                types = ", ".join(self.type(v.type) for v in values)
                self.emit(f"return {self.uses(values)} : {types}" if values else "return")
            case _:
                raise TypeError(f"no text is known for {type(op).__name__}")

    def assign(self, result: Value, text: str) -> None:
        self.emit(f"{self.define(result)} = {text}")

    def helper(self, text: str) -> str:
        """Emit an operation that only computes a part of an affine expression."""
        name = self.fresh()
        self.emit(f"{name} = {text} : index")
        return name

    def uses(self, values: Sequence[Value]) -> str:
        return ", ".join(self.names[v] for v in values)

    def scalar_op(self, op: Constant | Binary | Compare | Select | Cast) -> None:
        result, kind = op.result, self.type(op.result.type)
        uses = self.uses(tuple(op.operands()))
        match op:
            case Constant(value=value) if result.scalar.bits == 1:
                text = f"arith.constant{_unsigned(result.type)} {'true' if value else 'false'}"
                self.assign(result, text)
            case Constant(value=value):
                self.assign(result, f"arith.constant{_unsigned(result.type)} {value} : {kind}")
            case Binary():
                name = BINARY_NAMES[op.kind, not is_unsigned(result.type)]
                mark = "" if name.endswith("ui") else _unsigned(result.type)
                self.assign(result, f"arith.{name} {uses}{mark} : {kind}")
            case Compare(lhs=lhs):
                predicate = PREDICATE_NAMES[op.predicate, not is_unsigned(lhs.type)]
                self.assign(result, f"arith.cmpi {predicate}, {uses} : {self.type(lhs.type)}")
            case Select():
                self.assign(result, f"arith.select {uses}{_unsigned(result.type)} : {kind}")
            case Cast(operand=operand):
                self.cast(result, operand)

    def cast(self, result: Value, operand: Value) -> None:
        source, target = operand.scalar, result.scalar
        if isinstance(source, Index) and isinstance(target, Index):
            self.apply(result, AffineExpr.of(operand))
            return
        unsigned = isinstance(source, UInt)
        if isinstance(source, Index) or isinstance(target, Index):
            name = "index_castui" if unsigned else "index_cast"
        elif source.bits == target.bits:
            name = "bitcast"
        elif source.bits > target.bits:
            name = "trunci"
        else:
            name = "extui" if unsigned else "extsi"
        types = f"{self.type(source)} to {self.type(target)}"
        self.assign(result, f"arith.{name} {self.names[operand]}{_unsigned(target)} : {types}")

    def access(self, op: Load | Store) -> None:
        if affine := self.is_affine(op.index):
            places = [affine_text(e, self.names, self.age) for e in op.index]
        else:
            places = [self.spell(e) for e in op.index]
        dialect = "affine" if affine else "memref"
        target = f"{self.names[op.array]}[{', '.join(places)}] : {self.type(op.array.type)}"
        if isinstance(op, Load):
            self.assign(op.result, f"{dialect}.load {target}")
        else:
            self.emit(f"{dialect}.store {self.names[op.value]}, {target}")

    def branch(self, op: If) -> None:
        self.emit(f"scf.if {self.names[op.condition]} {{")
        self.region(op.then)
        if op.orelse:
            self.emit("} else {")
            self.region(op.orelse)
        self.emit("}")

    def call(self, op: Call) -> None:
        ins = ", ".join(self.type(a.type) for a in op.args)
        text = f"func.call @{op.callee}({self.uses(op.args)}) : ({ins}) -> "
        text += self.types([o.type for o in op.outs])
        if len(op.outs) < 2:
            return self.assign(op.outs[0], text) if op.outs else self.emit(text)
        pack = self.fresh(op.outs[0].name)
        self.emit(f"{pack}:{len(op.outs)} = {text}")
        for n, out in enumerate(op.outs):
            self.age[out] = len(self.age)
            self.names[out] = f"{pack}#{n}"
            if self.depth == 2 and isinstance(out.type, Index):
                self.affine.add(out)
        return None

    # Loops

    def loop(self, op: For) -> None:
        affine = self.is_affine((*op.lower, *op.upper))
        if affine:
            lower, upper = self.bound("max", op.lower), self.bound("min", op.upper)
            step = f" step {op.step}" if op.step != 1 else ""
        else:
            lower, upper = self.spell_bound("max", op.lower), self.spell_bound("min", op.upper)
            step = " step " + self.helper(f"arith.constant {{affine}} {op.step}")
        taken = set(self.taken)
        iv = self.define(op.iv)
        (self.affine.add if affine else self.affine.discard)(op.iv)
        self.emit(f"{'affine' if affine else 'scf'}.for {iv} = {lower} to {upper}{step} {{")
        self.region(op.body)
        self.emit("}" + _loop_attrs(op))
        self.taken = taken

    def bound(self, pick: str, exprs: tuple[AffineExpr, ...]) -> str:
        if len(exprs) == 1:
            return str(exprs[0].const) if exprs[0].is_constant else self.map(exprs)
        return f"{pick} {self.map(exprs)}"

    def spell_bound(self, pick: str, exprs: tuple[AffineExpr, ...]) -> str:
        name = self.spell(exprs[0])
        for expr in exprs[1:]:
            other = self.spell(expr)
            name = self.helper(f"arith.{pick}si {name}, {other} {{affine}}")
        return name

    # Affine expressions

    def is_affine(self, exprs: Sequence[AffineExpr]) -> bool:
        return all(v in self.affine for e in exprs for v in e.values)

    def map(self, exprs: Sequence[AffineExpr]) -> str:
        """The expressions as a map of the values in them, with those values."""
        values = sorted({v for e in exprs for v in e.values}, key=self.age.__getitem__)
        names = {v: f"d{n}" for n, v in enumerate(values)}
        results = ", ".join(affine_text(e, names, self.age) for e in exprs)
        dims = ", ".join(names.values())
        return f"affine_map<({dims}) -> ({results})>({self.uses(values)})"

    def apply(self, result: Value, expr: AffineExpr) -> None:
        if self.is_affine([expr]):
            self.assign(result, f"affine.apply {self.map([expr])}")
            self.affine.add(result)
            return
        name = self.spell(expr - expr.const)
        const = self.helper(f"arith.constant {{affine}} {expr.const}")
        self.assign(result, f"arith.addi {name}, {const} {{apply}} : index")

    def spell(self, expr: AffineExpr) -> str:
        """The expression in arith operations, each marked as part of one."""
        if (value := expr.as_value) is not None:
            return self.names[value]
        names = [self.spell_term(a, c) for a, c in in_order(expr, self.age)]
        if expr.const or not names:
            names.append(self.helper(f"arith.constant {{affine}} {expr.const}"))
        total = names[0]
        for name in names[1:]:
            total = self.helper(f"arith.addi {total}, {name} {{affine}}")
        return total

    def spell_term(self, atom: Atom, factor: int) -> str:
        name = self.names[atom] if isinstance(atom, Value) else self.spell_division(atom)
        if factor == 1:
            return name
        by = self.helper(f"arith.constant {{affine}} {factor}")
        return self.helper(f"arith.muli {name}, {by} {{affine}}")

    def spell_division(self, atom: FloorDiv | Mod) -> str:
        whole = self.spell(atom.numerator)
        by = self.helper(f"arith.constant {{affine}} {atom.divisor}")
        quotient = self.helper(f"arith.floordivsi {whole}, {by} {{affine}}")
        if isinstance(atom, FloorDiv):
            return quotient
        # arith has no remainder that is never negative, so it is x - n * (x floordiv n).
        multiple = self.helper(f"arith.muli {quotient}, {by} {{affine}}")
        return self.helper(
            f"arith.subi {whole}, {multiple} {{affine, mod = {atom.divisor} : index}}"
        )


def _loop_attrs(op: For) -> str:
    a = op.attrs
    parts = [
        "ii_required" if a.ii_required else "",
        f'loop_name = "{op.name}"' if op.name else "",
        f'op_name = "{a.band}"' if a.band else "",
        "parallel" if a.parallel else "",
        f"pipeline_ii = {a.pipeline_ii} : i32" if a.pipeline_ii is not None else "",
        "reduction" if a.reduction else "",
        "rewind" if a.rewind else "",
        f"unroll = {a.unroll} : i32" if a.unroll is not None else "",
    ]
    text = ", ".join(filter(None, parts))
    return f" {{{text}}}" if text else ""


def _unsigned(type: Type, *others: str) -> str:
    """An attribute list with ``unsigned`` if the type is, or '' when it is empty."""
    parts = [*filter(None, others), *(["unsigned"] if is_unsigned(type) else [])]
    return f" {{{', '.join(parts)}}}" if parts else ""


def _sign(type: Type) -> str:
    element = type.element if isinstance(type, ArrayType) else type
    if isinstance(element, IntegerType):
        return "s" if element.signed else "u"
    return "_"
