"""The rules a module of the loop IR keeps; every pass may rely on them.

Module: names are unique, the top exists, callees come before their callers (so nothing is
recursive), constant arrays have as many elements as their type, and all fit.
Function: every value is defined once, before its uses and in a block around them; types of
operands and results are as the operation's docstring says; ``Return`` ends the function and
nothing else; constant arrays are never stored to, not by a callee either.
Access: one subscript a dimension; affine parts are over index values; a subscript is not outside
its dimension for every iteration.
Types: a partition factor is between 1 and the extent, and the extent itself when complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.errors import IRError, SourceLoc
from allo_rtl.ir.affine import AffineExpr, Interval
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
from allo_rtl.ir.types import (
    ArrayType,
    Index,
    IntegerType,
    Partition,
    ScalarType,
    Type,
    bool_,
    index,
)


def verify_module(module: Module) -> None:
    """Check every rule of the IR.

    Raises:
        IRError: the module is ill-formed; the text lists every problem found, each with its
            place in the source where it is known.
    """
    problems = _Verifier(module).module_()
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise IRError("\n".join(map(str, problems)))


class _Verifier:
    """Collects the problems of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.problems: list[IRError] = []
        self.known: dict[str, Func] = {}
        self.stored: dict[str, set[int]] = {}
        """Of each function seen: the positions of the arguments it stores to."""
        self.defined: set[Value] = set()

    def problem(self, text: str, loc: SourceLoc | None = None) -> None:
        self.problems.append(IRError(text, loc=loc))

    def module_(self) -> list[IRError]:
        names = [f.name for f in self.module.funcs]
        if self.module.top not in names:
            self.problem(f"the module has no function {self.module.top}, which is its top")
        seen: set[str] = set()
        for item in self.module.globals:
            if item.name in seen:
                self.problem(f"two constant arrays are called {item.name}")
            seen.add(item.name)
            self.global_(item)
        for func in self.module.funcs:
            if func.name in self.known:
                self.problem(f"two functions are called {func.name}", func.loc)
            checker = _FuncVerifier(self, func)
            checker.run()
            self.known[func.name] = func
            self.stored[func.name] = checker.stored_args()
        return self.problems

    def global_(self, item: Global) -> None:
        for text in _bad_partitions(item.type):
            self.problem(f"{item.name}: {text}")
        if len(item.data) != item.type.size:
            self.problem(f"{item.name} is {item.type} and has {len(item.data)} elements")
        bad = next((x for x in item.data if not _fits(item.type.element, x)), None)
        if bad is not None:
            self.problem(f"{item.name}: {bad} does not fit {item.type.element}")


class _FuncVerifier:
    """Checks one function."""

    def __init__(self, outer: _Verifier, func: Func) -> None:
        self.outer = outer
        self.func = func
        self.loc: SourceLoc | None = func.loc
        self.scope: set[Value] = set()
        self.ranges: dict[Value, Interval] = {}
        self.constants: set[Value] = set()
        self.stores: set[Value] = set()

    def problem(self, text: str) -> None:
        self.outer.problem(f"{self.func.name}: {text}", self.loc)

    def stored_args(self) -> set[int]:
        return {i for i, a in enumerate(self.func.args) if a in self.stores}

    def run(self) -> None:
        for arg in self.func.args:
            self.define(arg)
        self.block(self.func.body, (), certain=True)
        self.loc = self.func.loc
        for op in self.func.body[:-1]:
            self.misplaced_return(op)
        self.match_types("returns", [v.type for v in self.func.returned], self.func.results)

    def match_types(self, verb: str, found: Sequence[Type], wanted: Sequence[Type]) -> None:
        if list(found) != list(wanted):
            self.problem(f"{verb} ({_types_text(found)}), not ({_types_text(wanted)})")

    def misplaced_return(self, op: Op) -> None:
        if isinstance(op, Return):
            self.loc = op.loc
            self.problem("a Return is not the last operation of its function")

    # Scopes

    def define(self, value: Value) -> None:
        if value in self.outer.defined:
            self.problem(f"{_show(value)} is defined twice")
        self.outer.defined.add(value)
        self.scope.add(value)
        if isinstance(value.type, ArrayType):
            for text in _bad_partitions(value.type):
                self.problem(f"{_show(value)}: {text}")

    def block(self, block: Block, chain: tuple[str, ...], certain: bool) -> None:
        """Check a block; ``chain`` names the loops of the band around it.

        ``certain`` is false under a condition: what is there may never run, so that a subscript
        out of range is not wrong in itself (unrolling leaves such accesses behind).
        """
        local: list[Value] = []
        for op in block:
            self.loc = op.loc or self.func.loc
            for value in op.operands():
                if value not in self.scope:
                    self.problem(f"{_show(value)} is used where it is not defined")
            self.op(op, certain)
            for value in op.results():
                self.define(value)
                local.append(value)
            self.regions(op, chain, certain)
        self.scope.difference_update(local)

    def regions(self, op: Op, chain: tuple[str, ...], certain: bool) -> None:
        if isinstance(op, For):
            names = self.chain_with(op, chain)
            self.define(op.iv)
            runs = self.loop_range(op)
            self.block(op.body, names, certain and runs)
            self.scope.discard(op.iv)
        else:
            for region in op.regions():
                self.block(region, chain, certain=False)
        for region in op.regions():
            for inner in region:
                self.misplaced_return(inner)

    def chain_with(self, op: For, chain: tuple[str, ...]) -> tuple[str, ...]:
        outer = () if op.attrs.band else chain
        if op.name and op.name in outer:
            self.problem(f"loop {op.name} is inside another loop {op.name} of its band")
        return (*outer, op.name)

    def loop_range(self, op: For) -> bool:
        """Note the range of the counter; answer whether the body runs at least once, always."""
        lowers = [e.bounds(self.range_of) for e in op.lower] or [(index.min, index.max)]
        uppers = [e.bounds(self.range_of) for e in op.upper] or [(index.min, index.max)]
        low = max(lo for lo, _ in lowers)
        high = min(hi for _, hi in uppers) - 1
        self.ranges[op.iv] = (low, max(low, high))
        return max(hi for _, hi in lowers) < min(lo for lo, _ in uppers)

    def range_of(self, value: Value) -> Interval:
        return self.ranges.get(value, (index.min, index.max))

    # Operations

    def expect(self, what: str, value: Value, wanted: Type) -> None:
        if value.type != wanted:
            self.problem(f"{what} is {_type_text(value.type)}, not {_type_text(wanted)}")

    def expect_scalar(self, what: str, value: Value) -> None:
        if not isinstance(value.type, ScalarType):
            self.problem(f"{what} is {_type_text(value.type)}, not a scalar")

    def op(self, op: Op, certain: bool) -> None:
        for expr in (e for name in op.AFFINE for e in getattr(op, name)):
            self.affine(expr)
        match op:
            case Constant() | Binary() | Compare() | Select() | Cast() | Apply():
                self.scalar_op(op)
            case Alloc():
                if not isinstance(op.result.type, ArrayType):
                    self.problem(f"Alloc gives {op.result.type}, not an array")
            case GetGlobal():
                self.get_global(op)
            case Load(result=value) | Store(value=value):
                self.access(op, value, certain)
            case For():
                self.loop(op)
            case If():
                self.expect("the condition of If", op.condition, bool_)
            case Call():
                self.call(op)
            case Return():
                pass
            case _:
                self.problem(f"{type(op).__name__} is not an operation of the loop IR")

    def scalar_op(self, op: Op) -> None:
        match op:
            case Constant(result=result, value=value):
                if not _fits(result.type, value):
                    self.problem(f"the constant {value} does not fit {_type_text(result.type)}")
                self.ranges[result] = (value, value)
            case Binary(kind=kind, result=result, lhs=lhs, rhs=rhs):
                self.expect_scalar(f"the left operand of {kind.value}", lhs)
                self.expect(f"the right operand of {kind.value}", rhs, lhs.type)
                self.expect(f"the result of {kind.value}", result, lhs.type)
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                self.expect_scalar(f"the left operand of {predicate.value}", lhs)
                self.expect(f"the right operand of {predicate.value}", rhs, lhs.type)
                self.expect(f"the result of {predicate.value}", result, bool_)
            case Select(result=result, condition=condition, if_true=yes, if_false=no):
                self.expect("the condition of Select", condition, bool_)
                self.expect_scalar("the first choice of Select", yes)
                self.expect("the second choice of Select", no, yes.type)
                self.expect("the result of Select", result, yes.type)
            case Cast(result=result, operand=operand):
                self.expect_scalar("the operand of Cast", operand)
                self.expect_scalar("the result of Cast", result)
                if isinstance(operand.type, IntegerType):
                    self.ranges[result] = (operand.type.min, operand.type.max)
            case Apply(result=result):
                self.expect("the result of Apply", result, index)

    def affine(self, expr: AffineExpr) -> None:
        for value in sorted(expr.values, key=lambda v: v.uid):
            if not isinstance(value.type, Index):
                self.problem(f"{_show(value)} is {_type_text(value.type)}, affine parts need index")

    def get_global(self, op: GetGlobal) -> None:
        self.constants.add(op.result)
        found = [g for g in self.outer.module.globals if g.name == op.name]
        if not found:
            self.problem(f"the module has no constant array {op.name}")
        else:
            self.expect(f"GetGlobal of {op.name}", op.result, found[0].type)

    def access(self, op: Load | Store, value: Value, certain: bool) -> None:
        array = op.array
        if not isinstance(array.type, ArrayType):
            self.problem(f"{_show(array)} is {array.type}, not an array")
            return
        verb = "loaded from" if isinstance(op, Load) else "stored to"
        self.expect(f"the value {verb} {_show(array)}", value, array.type.element)
        if isinstance(op, Store):
            self.stores.add(array)
            if array in self.constants:
                self.problem(f"{_show(array)} is a constant array, it cannot be stored to")
        if len(op.index) != array.type.rank:
            count = len(op.index)
            self.problem(f"{_show(array)} is {array.type} and has {count} subscripts here")
        elif certain:
            self.subscripts(op.index, array)

    def subscripts(self, subscripts: tuple[AffineExpr, ...], array: Value) -> None:
        for dim, (expr, extent) in enumerate(zip(subscripts, array.array.shape, strict=True)):
            low, high = expr.bounds(self.range_of)
            if high < 0 or low >= extent:
                span = str(low) if low == high else f"{low} to {high}"
                where = f"dimension {dim} of {_show(array)}"
                self.problem(f"the subscript {expr} is {span}, {where} is 0 to {extent - 1}")

    def loop(self, op: For) -> None:
        self.expect(f"the counter of loop {op.name}", op.iv, index)
        if op.step < 1:
            self.problem(f"the step of loop {op.name} is {op.step}, not 1 or more")
        if not op.lower or not op.upper:
            self.problem(f"loop {op.name} needs a lower and an upper bound")

    def call(self, op: Call) -> None:
        callee = self.outer.known.get(op.callee)
        if callee is None:
            self.problem(f"{op.callee} is called, and no function before this one has that name")
            return
        args = [a.type for a in op.args]
        self.match_types(f"calls {op.callee} with", args, [a.type for a in callee.args])
        outs = [o.type for o in op.outs]
        self.match_types(f"takes from {op.callee}", outs, callee.results)
        for position in sorted(self.outer.stored[op.callee] & set(range(len(op.args)))):
            array = op.args[position]
            self.stores.add(array)
            if array in self.constants:
                text = f"{op.callee} stores to {callee.args[position].name}"
                self.problem(f"{text}, it cannot be given the constant array {_show(array)}")


def _fits(type: Type, value: int) -> bool:
    return isinstance(type, IntegerType | Index) and type.min <= value <= type.max


def _bad_partitions(type: ArrayType) -> list[str]:
    texts = []
    for dim, (part, extent) in enumerate(zip(type.partition, type.shape, strict=False)):
        if part is None:
            continue
        if part.kind is Partition.Complete and part.factor != extent:
            text = f"the complete partition of dimension {dim} has factor {part.factor}"
            texts.append(f"{text}, its extent is {extent}")
        elif not 1 <= part.factor <= extent:
            text = f"the partition factor of dimension {dim} is {part.factor}"
            texts.append(f"{text}, not between 1 and {extent}")
    return texts


def _show(value: Value) -> str:
    return f"%{value.name}" if value.name else f"a value of {_type_text(value.type)}"


def _type_text(type: Type) -> str:
    if isinstance(type, ArrayType) and type.partition:
        parts = (f"{p.kind.name} {p.factor}" if p else "-" for p in type.partition)
        return f"{type} partitioned [{', '.join(parts)}]"
    return str(type)


def _types_text(types: Sequence[Type]) -> str:
    return ", ".join(map(_type_text, types))
