"""The rules a module of the loop IR keeps; every pass may rely on them.

Module: names are unique, the top exists, callees come before their callers (so nothing is
recursive), constant arrays have as many elements as their type, and all fit.
Function: every value is defined once, before its uses and in a block around them; types of
operands and results are as the operation's docstring says; ``Return`` ends the function and
nothing else, and a ``Condition`` the ``before`` of a While; constant arrays are never stored to,
not by a callee or through a view either; types have the operators that are used on them.
Access: one subscript a dimension; affine parts are over index values; a subscript is not outside
its dimension for every iteration.
Types: a partition factor is between 1 and the extent, and the extent itself when complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.errors import IRError, SourceLoc
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.arithmetic import limits
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Binary,
    BinaryKind,
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
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, Put, TryGet, TryPut, ends
from allo_rtl.ir.types import (
    DYNAMIC,
    ArrayType,
    Float,
    Index,
    IntegerType,
    Partition,
    ScalarType,
    StreamType,
    Struct,
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
        self.sources: dict[Value, Value] = {}
        """Of each view: the array it is part of."""

    def problem(self, text: str) -> None:
        self.outer.problem(f"{self.func.name}: {text}", self.loc)

    def stored_args(self) -> set[int]:
        return {i for i, a in enumerate(self.func.args) if a in self.stores}

    def run(self) -> None:
        for arg in self.func.args:
            self.define(arg)
        self.block(self.func.body, (), certain=True)
        if self.func.dataflow:
            self.ends()
        self.loc = self.func.loc
        for op in self.func.body[:-1]:
            self.misplaced_return(op)
        self.match_types("returns", [v.type for v in self.func.returned], self.func.results)
        types = (*(a.type for a in self.func.args), *self.func.results)
        for n in sorted(self.func.streams):
            if not 0 <= n < len(types) or not isinstance(types[n], ArrayType):
                self.problem(f"argument or result {n} is a stream, and no array")

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
            if op.REGIONS:
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
        if isinstance(op, While) and (not op.before or not isinstance(op.before[-1], Condition)):
            self.problem("the first part of While does not end with a Condition")

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
        for name in op.AFFINE:
            for expr in getattr(op, name):
                self.affine(expr)
        match op:
            case Alloc():
                self.alloc(op)
            case GetGlobal():
                self.get_global(op)
            case SubView():
                self.view(op, certain)
            case Load(result=value) | Store(value=value):
                self.access(op, value, certain)
            case For():
                self.loop(op)
            case If(condition=condition) | Assert(condition=condition):
                self.expect(f"the condition of {type(op).__name__}", condition, bool_)
            case Condition(value=value):
                self.expect("the condition of While", value, bool_)
            case Call():
                self.call(op)
            case MakeStream() | Put() | Get() | TryPut() | TryGet() | Poll():
                self.stream(op)
            case Print(args=args):
                for value in args:
                    self.expect_scalar("an argument of Print", value)
            case While() | Return():
                pass
            case _:
                self.scalar_op(op)

    def scalar_op(self, op: Op) -> None:
        match op:
            case Constant(result=result, value=value):
                if not _fits(result.type, value):
                    self.problem(f"the constant {value} does not fit {_type_text(result.type)}")
                self.ranges[result] = (value, value)
            case Binary():
                self.binary(op)
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                self.expect_scalar(f"the left operand of {predicate.value}", lhs)
                if isinstance(lhs.type, Struct):
                    self.problem(f"{lhs.type} has no operator {predicate.value}")
                self.expect(f"the right operand of {predicate.value}", rhs, lhs.type)
                self.expect(f"the result of {predicate.value}", result, bool_)
            case Select(result=result, condition=condition, if_true=yes, if_false=no):
                self.expect("the condition of Select", condition, bool_)
                self.expect_scalar("the first choice of Select", yes)
                self.expect("the second choice of Select", no, yes.type)
                self.expect("the result of Select", result, yes.type)
            case Cast() | Bitcast():
                self.conversion(op)
            case Math(kind=kind, result=result, args=args):
                if not isinstance(result.type, Float):
                    self.problem(f"{kind.value} is not defined for {_type_text(result.type)}")
                wanted = [result.type] * kind.arity
                self.match_types(f"computes {kind.value} of", [a.type for a in args], wanted)
            case FloatOp(result=result, args=args):
                for one in (result, *args):
                    if not isinstance(one.type, IntegerType | Index):
                        self.problem(f"FloatOp works on patterns, not on {_type_text(one.type)}")
            case Apply(result=result):
                self.expect("the result of Apply", result, index)
            case _:
                self.problem(f"{type(op).__name__} is not an operation of the loop IR")

    def binary(self, op: Binary) -> None:
        kind, type_ = op.kind, op.lhs.type
        self.expect_scalar(f"the left operand of {kind.value}", op.lhs)
        bits_only = kind in _BITWISE and not isinstance(type_, IntegerType | Index)
        no_shift = kind in _SHIFTS and isinstance(type_, Float)
        if bits_only or no_shift or isinstance(type_, Struct):
            self.problem(f"{type_} has no operator {kind.value}")
        self.expect(f"the right operand of {kind.value}", op.rhs, type_)
        self.expect(f"the result of {kind.value}", op.result, type_)

    def conversion(self, op: Cast | Bitcast) -> None:
        name, source, target = type(op).__name__, op.operand.type, op.result.type
        self.expect_scalar(f"the operand of {name}", op.operand)
        self.expect_scalar(f"the result of {name}", op.result)
        if isinstance(op, Bitcast):
            if index in (source, target):
                self.problem("Bitcast is not for index")
            elif source.bits != target.bits:
                self.problem(f"Bitcast of {source} gives {target}, of another width")
        elif isinstance(source, Struct) or isinstance(target, Struct):
            self.problem(f"{source} does not become {target}")
        elif isinstance(source, IntegerType):
            self.ranges[op.result] = (source.min, source.max)

    def affine(self, expr: AffineExpr) -> None:
        wrong = [v for v in expr.values if not isinstance(v.type, Index)]
        for value in sorted(wrong, key=lambda v: v.uid):
            self.problem(f"{_show(value)} is {_type_text(value.type)}, affine parts need index")

    def alloc(self, op: Alloc) -> None:
        if not isinstance(op.result.type, ArrayType):
            self.problem(f"Alloc gives {op.result.type}, not an array")
        elif op.result.type.is_dynamic:
            self.problem(f"Alloc gives {op.result.type}: only arguments may be dynamic")

    def get_global(self, op: GetGlobal) -> None:
        found = [g for g in self.outer.module.globals if g.name == op.name]
        if not found:
            self.problem(f"the module has no constant array {op.name}")
        else:
            self.expect(f"GetGlobal of {op.name}", op.result, found[0].type)
        if not found or not found[0].stateful:
            self.constants.add(op.result)

    def view(self, op: SubView, certain: bool) -> None:
        if not isinstance(op.source.type, ArrayType):
            self.problem(f"{_show(op.source)} is {op.source.type}, not an array")
            return
        shape, element = op.source.array.shape, op.source.array.element
        if not len(op.offsets) == len(op.sizes) == len(op.steps) == len(shape):
            self.problem(f"a view of {op.source.type} needs {len(shape)} offsets, sizes and steps")
            return
        kept = tuple(n for n in op.sizes if n is not None)
        self.expect("the view", op.result, ArrayType(element, kept))
        if any(step < 1 for step in op.steps):
            self.problem(f"the steps of a view are 1 or more, not {op.steps}")
        if certain:
            ends = zip(op.offsets, op.sizes, op.steps, strict=True)
            last = tuple(o + (n or 1) * step - step for o, n, step in ends)
            self.subscripts(op.offsets, op.source)
            self.subscripts(last, op.source)
        self.sources[op.result] = op.source

    def stream(self, op: Op) -> None:
        """Types of a stream operation; it stands in a process, and MakeStream in a region."""
        if isinstance(op, MakeStream):
            if not isinstance(op.result.type, StreamType) or not self.func.dataflow:
                self.problem("MakeStream makes a stream, in a dataflow function")
            return
        assert isinstance(op, Put | Get | TryPut | TryGet | Poll)
        type_ = op.stream.type
        if not isinstance(type_, StreamType):
            self.problem(f"{_show(op.stream)} is {type_}, not a stream")
            return
        if self.func.dataflow:
            self.problem(f"{type(op).__name__} stands in a dataflow function, not in a process")
        match op:
            case Put(value=value) | TryPut(value=value) | Get(result=value):
                self.expect(f"what goes through {_show(op.stream)}", value, type_.element)
            case TryGet(result=value):
                self.expect(f"what goes through {_show(op.stream)}", value, type_.element)
                self.peek(op)
        match op:
            case TryPut(done=done) | TryGet(done=done) | Poll(result=done):
                self.expect(f"the answer of {type(op).__name__}", done, bool_)

    def peek(self, op: TryGet) -> None:
        """What is looked for of a block, and where in it."""
        if (op.count > 1 or op.ahead) and not op.peek:
            self.problem("only a peek looks for a block")
        for at in op.ahead:
            self.expect("the place in a block", at, index)

    def ends(self) -> None:
        """Each stream has one process that writes to it and one that reads it, or fewer."""
        connected = ends(self.func, self.function)
        for op in self.func.body:
            if isinstance(op, MakeStream):
                self.loc = op.loc or self.func.loc
                sides = connected.get(op.result, ([], []))
                for side, what in zip(sides, ("written by", "read by"), strict=True):
                    if len(side) > 1:
                        self.problem(f"{_show(op.result)} is {what} {len(side)} processes")

    def function(self, name: str) -> Func:
        """A function before this one, or an empty one where there is none."""
        return self.outer.known.get(name) or Func(name=name, args=(), results=(), body=())

    def stored(self, array: Value) -> bool:
        """Note that an array, or a view of it, is stored to; answer whether it is a constant."""
        while array in self.sources:
            array = self.sources[array]
        self.stores.add(array)
        return array in self.constants

    def access(self, op: Load | Store, value: Value, certain: bool) -> None:
        array = op.array
        if not isinstance(array.type, ArrayType):
            self.problem(f"{_show(array)} is {array.type}, not an array")
            return
        verb = "loaded from" if isinstance(op, Load) else "stored to"
        self.expect(f"the value {verb} {_show(array)}", value, array.type.element)
        if isinstance(op, Store) and self.stored(array):
            self.problem(f"{_show(array)} is a constant array, it cannot be stored to")
        if len(op.index) != array.type.rank:
            count = len(op.index)
            self.problem(f"{_show(array)} is {array.type} and has {count} subscripts here")
        elif certain:
            self.subscripts(op.index, array)

    def subscripts(self, subscripts: tuple[AffineExpr, ...], array: Value) -> None:
        for dim, (expr, extent) in enumerate(zip(subscripts, array.array.shape, strict=True)):
            low, high = expr.bounds(self.range_of)
            if high < 0 or (low >= extent and extent != DYNAMIC):
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
        wanted = [a.type for a in callee.args]
        if len(args) != len(wanted) or not all(map(_accepts, wanted, args)):
            self.match_types(f"calls {op.callee} with", args, wanted)
        outs = [o.type for o in op.outs]
        self.match_types(f"takes from {op.callee}", outs, callee.results)
        for position in sorted(self.outer.stored[op.callee] & set(range(len(op.args)))):
            array = op.args[position]
            if self.stored(array):
                text = f"{op.callee} stores to {callee.args[position].name}"
                self.problem(f"{text}, it cannot be given the constant array {_show(array)}")


_BITWISE = (BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR)
_SHIFTS = (BinaryKind.SHL, BinaryKind.SHR)


def _accepts(param: Type, arg: Type) -> bool:
    """Whether an argument's type is that of the parameter, whose first extent may be open."""
    if param == arg or not isinstance(param, ArrayType) or not isinstance(arg, ArrayType):
        return param == arg
    same = param.element == arg.element and param.partition == arg.partition
    return same and param.is_dynamic and param.shape[1:] == arg.shape[1:] and bool(arg.shape)


def _fits(type: Type, value: int) -> bool:
    if not isinstance(type, ScalarType):
        return False
    low, high = limits(type)
    return low <= value <= high


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
