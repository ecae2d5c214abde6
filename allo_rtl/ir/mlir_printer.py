"""The loop IR as MLIR text: func, affine, scf, arith, math, memref and cf dialects.

Integers are signless in MLIR.  Their signs are kept in the attributes Allo uses: ``itypes`` and
``otypes`` of a function (``s``, ``u`` or ``_`` an argument), and ``unsigned`` on operations whose
result is unsigned while their name does not say so.  Fixed point, structs, streams and printing
are of a dialect ``allo`` (see :mod:`allo_rtl.ir.mlir_scalars` and ``mlir_streams``).

A loop or an access whose affine parts MLIR would not take as affine (data dependent, inside a
loop) prints as ``scf.for`` or ``memref.load``; the index arithmetic then is spelled out in arith
operations marked ``{affine}``, which the parser folds back.  A view's written type says where it
lies in its source; a parameter that is ever given a view takes arrays from anywhere, and calls
cast to that.  Where MLIR leaves division by zero, wide shifts and conversions out of range
undefined, the meaning is that of :class:`~allo_rtl.ir.ops.BinaryKind` and
:class:`~allo_rtl.ir.ops.Cast`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from allo_rtl.ir.affine import AffineExpr, Atom, FloorDiv, Mod
from allo_rtl.ir.mlir_affine import affine_text, in_order
from allo_rtl.ir.mlir_literals import literal_text, string_text, symbol_text
from allo_rtl.ir.mlir_memref import MemRef, field_type_text
from allo_rtl.ir.mlir_scalars import write_scalar
from allo_rtl.ir.mlir_streams import write_stream
from allo_rtl.ir.mlir_types import dropped_dims
from allo_rtl.ir.mlir_writer import Writer, attr_text, unsigned_text
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Binary,
    Bitcast,
    Block,
    Call,
    Cast,
    Compare,
    Condition,
    Constant,
    FloatOp,
    For,
    Func,
    GetGlobal,
    Global,
    If,
    Load,
    Math,
    Module,
    Op,
    Print,
    Return,
    Select,
    Store,
    SubView,
    Value,
    While,
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, Put, TryGet, TryPut
from allo_rtl.ir.types import ArrayType, IntegerType, ScalarType, Type


def print_module(module: Module) -> str:
    """MLIR text of a verified module; equal modules but for locations print equal text."""
    return _Printer(module).text()


class _Printer(Writer):
    """Prints one module."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module
        self.views = _view_parameters(module)
        self.results: tuple[Type, ...] = ()
        """Of the function being printed."""

    def text(self) -> str:
        last = self.module.funcs[-1].name if self.module.funcs else self.module.top
        name = string_text(self.module.top)
        top = f" attributes {{allo.top = {name}}}" if self.module.top != last else ""
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

    def region(self, block: Block) -> None:
        taken, counter = set(self.taken), self.counter
        self.depth += 1
        for op in block:
            self.op(op)
        self.depth -= 1
        self.taken, self.counter = taken, counter

    # Functions and globals

    def global_(self, item: Global) -> None:
        array = item.type
        rows = [literal_text(array.element, x) for x in item.data]
        for extent in reversed(array.shape):
            parts = range(0, len(rows), extent)
            rows = [f"[{', '.join(rows[i : i + extent])}]" for i in parts]
        constant = "" if item.stateful else "constant "
        text = f'memref.global "private" {constant}{symbol_text(item.name)} : {self.type(array)}'
        mark = unsigned_text(array, "stateful" if item.stateful else "")
        self.emit(f"{text} = dense<{rows[0]}>{mark}")

    def func(self, func: Func) -> None:
        self.start_function()
        self.results = func.results
        self.depth += 1
        for value, type in zip(func.args, self.parameter_types(func), strict=True):
            self.define(value, type)
        self.depth -= 1
        args = ", ".join(f"{self.names[a]}: {self.type_of(a)}" for a in func.args)
        results = f" -> {_listed(map(self.type, func.results))}" if func.results else ""
        itypes = "".join(_sign(a.type) for a in func.args)
        otypes = "".join(map(_sign, func.results))
        mark = ("dataflow, " if func.dataflow else "") + ("tasks, " if func.tasks else "")
        if func.streams:
            mark += f"streams = array<i64: {', '.join(map(str, sorted(func.streams)))}>, "
        attrs = f'attributes {{{mark}itypes = "{itypes}", otypes = "{otypes}"}}'
        self.emit(f"func.func {symbol_text(func.name)}({args}){results} {attrs} {{")
        self.region(func.body)
        if not (func.body and isinstance(func.body[-1], Return)):
            self.emit("  return")
        self.emit("}")

    def parameter_types(self, func: Func) -> list[MemRef | None]:
        """The written types of array parameters; one that is ever given a view lies anywhere."""
        types = [self.memref(a.type) if isinstance(a.type, ArrayType) else None for a in func.args]
        return [
            t.anywhere() if t and not t.map and (func.name, n) in self.views else t
            for n, t in enumerate(types)
        ]

    # Operations

    def op(self, op: Op) -> None:
        match op:
            case Apply(result=result, expr=expr):
                self.apply(result, expr)
            case Alloc(result=result):
                name = f"name = {string_text(result.name)}" if result.name else ""
                fifo = f"fifo = {op.fifo} : i32" if op.fifo else ""
                any_ = "" if op.zeroed else "uninitialized"
                text = f"memref.alloc(){unsigned_text(result.type, fifo, name, any_)}"
                self.assign(result, f"{text} : {self.type(result.type)}")
            case GetGlobal(result=result, name=name):
                text = f"memref.get_global {symbol_text(name)} : {self.type(result.type)}"
                self.assign(result, text + unsigned_text(result.type))
            case SubView():
                self.view(op)
            case Load() | Store():
                self.access(op)
            case For() | While() | If() | Condition() | Call() | Return():
                self.control(op)
            case Print(text=text, args=args, types=types):
                listed = ", ".join(map(self.signed_type, types))
                more = f"types = [{listed}]" if types else ""
                self.own("print", args, None, f"text = {string_text(text)}", more)
            case Assert(condition=condition, message=message):
                self.emit(f"cf.assert {self.names[condition]}, {string_text(message)}")
            case Constant() | Binary() | Compare() | Select() | Cast() | Bitcast() | Math():
                write_scalar(self, op)
            case FloatOp():
                write_scalar(self, op)
            case MakeStream() | Put() | Get() | TryPut() | TryGet() | Poll():
                write_stream(self, op)
            case _:
                raise TypeError(f"no text is known for {type(op).__name__}")

    def control(self, op: For | While | If | Condition | Call | Return) -> None:
        match op:
            case For():
                self.loop(op)
            case While():
                self.while_(op)
            case If():
                self.branch(op)
            case Condition(value=value):
                self.emit(f"scf.condition({self.names[value]})")
            case Call():
                self.call(op)
            case Return():
                self.return_(op)

    def signed_type(self, type: Type) -> str:
        """The type inside an attribute, where unsigned integers say so."""
        return field_type_text(type) if isinstance(type, ScalarType) else self.type(type)

    # Arrays

    def access(self, op: Load | Store) -> None:
        if affine := self.is_affine(op.index):
            places = [affine_text(e, self.names, self.age) for e in op.index]
        else:
            places = [self.spell(e) for e in op.index]
        dialect = "affine" if affine else "memref"
        target = f"{self.names[op.array]}[{', '.join(places)}] : {self.arrays[op.array]}"
        if isinstance(op, Load):
            self.assign(op.result, f"{dialect}.load {target}")
        else:
            self.emit(f"{dialect}.store {self.names[op.value]}, {target}")

    def view(self, op: SubView) -> None:
        """A memref.subview; of a partitioned array as if it lay in one bank."""
        source = self.arrays[op.source]
        if source.map:
            source = replace(source, map="")
        name = self.fit(op.source, source)
        written = source.part(op)
        places = [str(e.const) if e.is_constant else self.spell(e) for e in op.offsets]
        sizes = [1 if n is None else n for n in op.sizes]
        lists = " ".join(f"[{', '.join(map(str, part))}]" for part in (places, sizes, op.steps))
        dropped = tuple(n for n, size in enumerate(op.sizes) if size is None)
        guess = dropped_dims(tuple(sizes), op.result.array.shape)
        numbers = ", ".join(map(str, dropped))
        mark = attr_text("" if guess == dropped else f"dropped = array<i64: {numbers}>")
        text = f"memref.subview {name}{lists}{mark} : {source} to {written}"
        self.assign(op.result, text, written)

    def branch(self, op: If) -> None:
        self.emit(f"scf.if {self.names[op.condition]} {{")
        self.region(op.then)
        if op.orelse:
            self.emit("} else {")
            self.region(op.orelse)
        self.emit("}")

    def while_(self, op: While) -> None:
        self.emit("scf.while : () -> () {")
        self.region(op.before)
        self.emit("} do {")
        self.region(op.body)
        self.emit("  scf.yield")
        self.emit("}")

    def call(self, op: Call) -> None:
        wanted = self.parameter_types(self.module.func(op.callee))
        args = [
            self.fit(a, t) if t else self.names[a] for a, t in zip(op.args, wanted, strict=True)
        ]
        ins = ", ".join(
            str(t) if t else self.type(a.type) for a, t in zip(op.args, wanted, strict=True)
        )
        outs = self.module.func(op.callee).results
        mark = attr_text(f"fifos = array<i64: {', '.join(map(str, op.fifos))}>" if op.fifos else "")
        text = f"func.call {symbol_text(op.callee)}({', '.join(args)}){mark} : ({ins}) -> "
        text += _listed(map(self.type, outs))
        written = [self.memref(t) if isinstance(t, ArrayType) else None for t in outs]
        if len(op.outs) < 2:
            return self.assign(op.outs[0], text, written[0]) if op.outs else self.emit(text)
        pack = self.fresh(op.outs[0].name)
        self.emit(f"{pack}:{len(op.outs)} = {text}")
        for n, out in enumerate(op.outs):
            self.know(out, f"{pack}#{n}", written[n])
        return None

    def return_(self, op: Return) -> None:
        types = [self.memref(t) if isinstance(t, ArrayType) else None for t in self.results]
        names = [
            self.fit(v, t) if t else self.names[v] for v, t in zip(op.values, types, strict=True)
        ]
        listed = ", ".join(
            str(t) if t else self.type(v.type) for v, t in zip(op.values, types, strict=True)
        )
        self.emit(f"return {', '.join(names)} : {listed}" if names else "return")

    # Loops

    def loop(self, op: For) -> None:
        affine = self.is_affine((*op.lower, *op.upper))
        if affine:
            lower, upper = self.bound("max", op.lower), self.bound("min", op.upper)
            step = f" step {op.step}" if op.step != 1 else ""
        else:
            lower, upper = self.spell_bound("max", op.lower), self.spell_bound("min", op.upper)
            step = " step " + self.part(f"arith.constant {{affine}} {op.step}")
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
            name = self.part(f"arith.{pick}si {name}, {other} {{affine}}")
        return name

    # Affine expressions

    def part(self, text: str) -> str:
        """Write an operation that only computes a part of an affine expression."""
        return self.helper(f"{text} : index")

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
        const = self.part(f"arith.constant {{affine}} {expr.const}")
        self.assign(result, f"arith.addi {name}, {const} {{apply}} : index")

    def spell(self, expr: AffineExpr) -> str:
        """The expression in arith operations, each marked as part of one."""
        if (value := expr.as_value) is not None:
            return self.names[value]
        names = [self.spell_term(a, c) for a, c in in_order(expr, self.age)]
        if expr.const or not names:
            names.append(self.part(f"arith.constant {{affine}} {expr.const}"))
        total = names[0]
        for name in names[1:]:
            total = self.part(f"arith.addi {total}, {name} {{affine}}")
        return total

    def spell_term(self, atom: Atom, factor: int) -> str:
        name = self.names[atom] if isinstance(atom, Value) else self.spell_division(atom)
        if factor == 1:
            return name
        by = self.part(f"arith.constant {{affine}} {factor}")
        return self.part(f"arith.muli {name}, {by} {{affine}}")

    def spell_division(self, atom: FloorDiv | Mod) -> str:
        whole = self.spell(atom.numerator)
        by = self.part(f"arith.constant {{affine}} {atom.divisor}")
        quotient = self.part(f"arith.floordivsi {whole}, {by} {{affine}}")
        if isinstance(atom, FloorDiv):
            return quotient
        # arith has no remainder that is never negative, so it is x - n * (x floordiv n).
        multiple = self.part(f"arith.muli {quotient}, {by} {{affine}}")
        return self.part(
            f"arith.subi {whole}, {multiple} {{affine, mod = {atom.divisor} : index}}"
        )


def _loop_attrs(op: For) -> str:
    a = op.attrs
    parts = [
        "dataflow" if a.dataflow else "",
        "ii_required" if a.ii_required else "",
        f'loop_name = {string_text(op.name)}' if op.name else "",
        f'op_name = {string_text(a.band)}' if a.band else "",
        "overlap" if a.overlap else "",
        "parallel" if a.parallel else "",
        f"pipeline_ii = {a.pipeline_ii} : i32" if a.pipeline_ii is not None else "",
        "reduction" if a.reduction else "",
        "rewind" if a.rewind else "",
        f"unroll = {a.unroll} : i32" if a.unroll is not None else "",
    ]
    text = ", ".join(filter(None, parts))
    return f" {{{text}}}" if text else ""


def _view_parameters(module: Module) -> set[tuple[str, int]]:
    """(function, position) of parameters that are given a view somewhere, directly or not."""
    found: set[tuple[str, int]] = set()
    for func in reversed(module.funcs):
        views = {a for n, a in enumerate(func.args) if (func.name, n) in found}
        for op in walk(func.body):
            if isinstance(op, SubView):
                views.add(op.result)
            elif isinstance(op, Call):
                found |= {(op.callee, n) for n, a in enumerate(op.args) if a in views}
    return found


def _listed(types: Iterable[str]) -> str:
    texts = list(types)
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def _sign(type: Type) -> str:
    element = type.element if isinstance(type, ArrayType) else type
    if isinstance(element, IntegerType):
        return "s" if element.signed else "u"
    return "_"
