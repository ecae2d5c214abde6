"""Running a module on unknown inputs: every output element as a term of the inputs.

Shapes are constant, so loops with constant bounds are run as they are; what a condition on
unknown data decides is chosen by terms.  Loops and subscripts that depend on unknown data are not
for this interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from allo_rtl.ir.affine import AffineExpr
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
    Constant,
    For,
    Func,
    GetGlobal,
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
from allo_rtl.ir.terms import Term, Terms
from allo_rtl.ir.types import ArrayType, Type, index


class NotSymbolic(Exception):
    """The module's control or subscripts depend on its inputs, or it runs too long."""


@dataclass(frozen=True, eq=False)
class _Array:
    cells: list[Term]
    at: Sequence[int]
    shape: tuple[int, ...]


@dataclass
class _Run:
    """What all functions of one run share."""

    module: Module
    terms: Terms
    budget: int
    state: dict[str, list[Term]] = field(default_factory=dict)
    claims: set[Term] = field(default_factory=set)
    journals: list[dict[tuple[int, int], tuple[list[Term], Term]]] = field(default_factory=list)

    def spend(self) -> None:
        self.budget -= 1
        if self.budget < 0:
            raise NotSymbolic("it runs too long to be followed step by step")

    def store(self, cells: list[Term], at: int, value: Term) -> None:
        """Change a cell; inside a branch the old content is noted."""
        if self.journals:
            self.journals[-1].setdefault((id(cells), at), (cells, cells[at]))
        cells[at] = value


def outputs(
    module: Module,
    terms: Terms,
    budget: int = 2_000_000,
    named: Sequence[Type] | None = None,
) -> dict[str, Term]:
    """Every element that a run of the top may change or returns, by name.

    Args:
        module: a verified module without dynamic shapes.
        terms: shared between modules that are to be compared; inputs are named by position.
        budget: operations to follow at most.
        named: types of arguments and results by whose shapes elements are named, in row-major
            order; they have as many elements as the module's own.

    Raises:
        NotSymbolic: see there.
    """
    run, func = _Run(module, terms, budget), module.top_func
    named = named or [*(a.type for a in func.args), *func.results]
    args: list[Term | _Array] = []
    for n, param in enumerate(func.args):
        if isinstance(param.type, ArrayType):
            if param.type.is_dynamic:
                raise NotSymbolic("its shapes are dynamic")
            args.append(_input_array(terms, f"argument {n + 1}", param.type, named[n]))
        else:
            args.append(terms.input(f"argument {n + 1}", param.type))
    results = _Frame(run, func, args).run()
    found: dict[str, Term] = {}
    for n, arg in enumerate(args):
        _note(found, f"argument {n + 1}", arg, named[n])
    for n, result in enumerate(results):
        _note(found, f"result {n + 1}", result, named[len(args) + n])
    for name, cells in run.state.items():
        found |= {f"state {name}[{k}]": cell for k, cell in enumerate(cells)}
    claims = sorted(run.claims, key=lambda t: t.age)
    return found | {f"assertion {k}": condition for k, condition in enumerate(claims)}


def _input_array(terms: Terms, name: str, type_: ArrayType, named: Type) -> _Array:
    assert isinstance(named, ArrayType)
    places = product(*map(range, named.shape))
    cells = [terms.input(_element(name, p), type_.element) for p in places]
    return _Array(cells, range(len(cells)), type_.shape)


def _element(name: str, place: Sequence[int]) -> str:
    return f"{name}[{', '.join(map(str, place))}]"


def _note(found: dict[str, Term], name: str, value: Term | _Array, named: Type) -> None:
    if isinstance(value, Term):
        found[name] = value
        return
    assert isinstance(named, ArrayType)
    for n, place in enumerate(product(*map(range, named.shape))):
        found[_element(name, place)] = value.cells[value.at[n]]


class _Frame:
    """One run of one function."""

    def __init__(self, run: _Run, func: Func, args: Sequence[Term | _Array]) -> None:
        self.shared = run
        self.terms = run.terms
        self.func = func
        self.scalars: dict[Value, Term] = {}
        self.arrays: dict[Value, _Array] = {}
        for param, arg in zip(func.args, args, strict=True):
            self.bind(param, arg)

    def bind(self, value: Value, content: Term | _Array) -> None:
        if isinstance(content, _Array):
            self.arrays[value] = content
        else:
            self.scalars[value] = content

    def get(self, value: Value) -> Term | _Array:
        return self.arrays[value] if isinstance(value.type, ArrayType) else self.scalars[value]

    def run(self) -> list[Term | _Array]:
        self.block(self.func.body)
        results = map(self.get, self.func.returned)
        return [
            r if isinstance(r, Term)
            else _Array([r.cells[n] for n in r.at], range(len(r.at)), r.shape)
            for r in results
        ]  # fmt: skip

    def number(self, expr: AffineExpr) -> int:
        def known(value: Value) -> int:
            number = self.scalars[value].constant
            if number is None:
                raise NotSymbolic("a loop or subscript depends on its inputs")
            return number

        return expr.evaluate(known)

    def block(self, block: Block) -> None:
        for op in block:
            self.shared.spend()
            self.op(op)

    def op(self, op: Op) -> None:
        match op:
            case For():
                start = max(map(self.number, op.lower))
                for i in range(start, min(map(self.number, op.upper)), op.step):
                    self.scalars[op.iv] = self.terms.const(i, index)
                    self.block(op.body)
            case While():
                self.block(op.before)
                while self.decided(op.condition):
                    self.block(op.body)
                    self.block(op.before)
            case If():
                self.branch(op)
            case Call():
                callee = self.shared.module.func(op.callee)
                results = _Frame(self.shared, callee, [self.get(a) for a in op.args]).run()
                for out, result in zip(op.outs, results, strict=True):
                    self.bind(out, result)
            case Return():
                pass
            case Print():
                raise NotSymbolic("it prints")
            case Assert(condition=condition):
                self.claim(self.scalars[condition])
            case Load() | Store() | Alloc() | GetGlobal() | SubView():
                self.memory(op)
            case _:
                self.compute(op)

    def claim(self, condition: Term) -> None:
        """An assertion, which may stop the run."""
        if condition.constant != 1:
            if self.shared.journals:
                raise NotSymbolic("an assertion depends on a condition")
            self.shared.claims.add(condition)

    def decided(self, value: Value) -> bool:
        known = self.scalars[value].constant
        if known is None:
            raise NotSymbolic("a loop depends on its inputs")
        return bool(known)

    def branch(self, op: If) -> None:
        """Both ways, when the condition is unknown; cells that differ become choices."""
        condition = self.scalars[op.condition]
        if condition.constant is not None:
            self.block(op.then if condition.constant else op.orelse)
            return
        after_then = self.recorded(op.then)
        after_else = self.recorded(op.orelse)
        for key in after_then.keys() | after_else.keys():
            cells, at = (after_then.get(key) or after_else[key])[0], key[1]
            old = cells[at]
            one = after_then[key][1] if key in after_then else old
            other = after_else[key][1] if key in after_else else old
            self.shared.store(cells, at, self.terms.select(condition, one, other))

    def recorded(self, block: Block) -> dict[tuple[int, int], tuple[list[Term], Term]]:
        """What a block leaves in the cells it changes; they are put back."""
        journals = self.shared.journals
        journals.append({})
        try:
            self.block(block)
        finally:
            journal = journals.pop()
        left = {key: (cells, cells[key[1]]) for key, (cells, _) in journal.items()}
        for key, (cells, old) in journal.items():
            cells[key[1]] = old
        return left

    def memory(self, op: Load | Store | Alloc | GetGlobal | SubView) -> None:
        match op:
            case Alloc(result=result):
                zero = self.terms.const(0, result.array.element)
                size = result.array.size
                self.arrays[result] = _Array([zero] * size, range(size), result.array.shape)
            case GetGlobal(result=result, name=name):
                self.arrays[result] = self.global_array(name)
            case SubView(result=result):
                source = self.arrays[op.source]
                axes = [
                    [self.number(o) + n * step for n in range(1 if size is None else size)]
                    for o, size, step in zip(op.offsets, op.sizes, op.steps, strict=True)
                ]
                at = [source.at[self.position(source, p)] for p in product(*axes)]
                self.arrays[result] = _Array(source.cells, at, result.array.shape)
            case Load(result=result):
                source, at_ = self.place(op)
                self.scalars[result] = source.cells[at_]
            case Store(value=value):
                target, at_ = self.place(op)
                self.shared.store(target.cells, at_, self.scalars[value])

    def place(self, op: Load | Store) -> tuple[_Array, int]:
        array = self.arrays[op.array]
        return array, array.at[self.position(array, [self.number(e) for e in op.index])]

    def position(self, array: _Array, subscripts: Sequence[int]) -> int:
        offset = 0
        for i, extent in zip(subscripts, array.shape, strict=True):
            if not 0 <= i < extent:
                raise NotSymbolic("a subscript may be out of range")
            offset = offset * extent + i
        return offset

    def global_array(self, name: str) -> _Array:
        found = self.shared.module.global_(name)
        element, size = found.type.element, found.type.size
        if not found.stateful:
            cells = [self.terms.const(x, element) for x in found.data]
        else:
            cells = self.shared.state.setdefault(
                name, [self.terms.input(f"state {name}[{k}]", element) for k in range(size)]
            )
        return _Array(cells, range(size), found.type.shape)

    def compute(self, op: Op) -> None:
        s, terms = self.scalars, self.terms
        match op:
            case Constant(result=result, value=value):
                s[result] = terms.const(value, result.type)
            case Binary(kind=kind, result=result, lhs=lhs, rhs=rhs):
                s[result] = terms.binary(kind, result.type, s[lhs], s[rhs])
            case Compare(predicate=predicate, result=result, lhs=lhs, rhs=rhs):
                s[result] = terms.compare(predicate, s[lhs], s[rhs])
            case Select(result=result, condition=c, if_true=yes, if_false=no):
                s[result] = terms.select(s[c], s[yes], s[no])
            case Cast(result=result, operand=operand):
                s[result] = terms.cast(result.type, s[operand])
            case Bitcast(result=result, operand=operand):
                s[result] = terms.bitcast(result.type, s[operand])
            case Math(kind=math, result=result, args=args):
                s[result] = terms.math(math, result.type, tuple(s[a] for a in args))
            case Apply(result=result, expr=expr):
                s[result] = terms.const(self.number(expr), index)
            case _:
                raise NotSymbolic(f"{type(op).__name__} is not followed")
