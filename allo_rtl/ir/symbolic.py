"""Running a module on unknown inputs: every output element as a term of the inputs.

Shapes are constant, so loops with constant bounds are run as they are.  What a condition on unknown
data decides is chosen by terms: branches, iterations of loops whose number depends on data, and the
elements that a subscript may mean.  Processes of regions take turns as in the evaluator.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from allo_rtl.errors import AlloError
from allo_rtl.ir.affine import AffineExpr, FloorDiv, Mod
from allo_rtl.ir.bindings import Bindings
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
    While,
)
from allo_rtl.ir.processes import Fifo
from allo_rtl.ir.stream_ops import Get, MakeStream, Put
from allo_rtl.ir.symbolic_memory import index_term, load, places, store
from allo_rtl.ir.symbolic_run import Array, Content, NotSymbolic, Run
from allo_rtl.ir.terms import Term, Terms
from allo_rtl.ir.types import ArrayType, Index, IntegerType, StreamType, Type, bool_, index

__all__ = ["NotSymbolic", "outputs"]

_ROUNDS = 64
"""Iterations of a loop of which data decide whether they take place."""


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
    run, func = Run(module, terms, budget), module.top_func
    named = named or [*(a.type for a in func.args), *func.results]
    args: list[Content] = []
    for n, param in enumerate(func.args):
        if isinstance(param.type, ArrayType):
            if param.type.is_dynamic:
                raise NotSymbolic("its shapes are dynamic")
            args.append(_input_array(terms, f"argument {n + 1}", param.type, named[n]))
        else:
            args.append(terms.input(f"argument {n + 1}", param.type))
    try:
        results = _Frame(run, func, args).run()
    except AlloError as error:
        raise NotSymbolic(f"it fails: {error.message}") from None
    found: dict[str, Term] = {}
    for n, arg in enumerate(args):
        _note(found, f"argument {n + 1}", arg, named[n])
    for n, result in enumerate(results):
        _note(found, f"result {n + 1}", result, named[len(args) + n])
    for name, cells in run.state.items():
        found |= {f"state {name}[{k}]": cell for k, cell in enumerate(cells)}
    found |= {f"line {k}": line for k, line in enumerate(run.lines)}
    claims = sorted(run.claims, key=lambda t: t.age)
    return found | {f"assertion {k}": condition for k, condition in enumerate(claims)}


def _input_array(terms: Terms, name: str, type_: ArrayType, named: Type) -> Array:
    assert isinstance(named, ArrayType)
    places = product(*map(range, named.shape))
    cells = [terms.input(_element(name, p), type_.element) for p in places]
    return Array(cells, range(len(cells)), type_.shape)


def _element(name: str, place: Sequence[int]) -> str:
    return f"{name}[{', '.join(map(str, place))}]"


def _note(found: dict[str, Term], name: str, value: Content, named: Type) -> None:
    if isinstance(value, Term):
        found[name] = value
        return
    assert isinstance(value, Array)
    assert isinstance(named, ArrayType)
    for n, place in enumerate(product(*map(range, named.shape))):
        found[_element(name, place)] = value.cells[value.at[n]]


class _Frame(Bindings[Term, Array]):
    """One run of one function."""

    def __init__(self, run: Run, func: Func, args: Sequence[Content]) -> None:
        super().__init__()
        self.shared = run
        self.terms = run.terms
        self.func = func
        for param, arg in zip(func.args, args, strict=True):
            self.bind(param, arg)

    def run(self) -> list[Content]:
        body = self.func.body
        if self.func.dataflow:
            calls = [k for k, op in enumerate(body) if isinstance(op, Call)]
            last = calls[-1] + 1 if calls else 0
            self.block(body[:last])
            self.shared.processes.join(self.func.loc)
            body = body[last:]
        self.block(body)
        results = map(self.get, self.func.returned)
        return [
            Array([r.cells[n] for n in r.at], range(len(r.at)), r.shape)
            if isinstance(r, Array) else r
            for r in results
        ]  # fmt: skip

    def index(self, expr: AffineExpr) -> Term:
        """A subscript or bound."""
        number = self.known_index(expr)
        if number is not None:
            return self.terms.const(number, index)
        return index_term(self.shared, expr, self.scalars.__getitem__)

    def known_index(self, expr: AffineExpr) -> int | None:
        """A subscript or bound that does not depend on inputs."""
        total = expr.const
        for atom, factor in expr.terms:
            if isinstance(atom, FloorDiv | Mod):
                inner = self.known_index(atom.numerator)
                if inner is None:
                    return None
                quotient, rest = divmod(inner, atom.divisor)
                k: int | None = quotient if isinstance(atom, FloorDiv) else rest
            else:
                k = self.scalars[atom].constant
            if k is None:
                return None
            total += factor * k
        return total

    def known_place(self, exprs: Sequence[AffineExpr], shape: Sequence[int]) -> int | None:
        """The row-major position of subscripts that do not depend on inputs and are in range."""
        position = 0
        for expr, extent in zip(exprs, shape, strict=True):
            k = self.known_index(expr)
            if k is None or not 0 <= k < extent:
                return None
            position = position * extent + k
        return position

    def number(self, expr: AffineExpr) -> int:
        found = self.index(expr).constant
        if found is None:
            raise NotSymbolic("the place of a view depends on its inputs")
        return found

    def block(self, block: Block) -> None:
        for op in block:
            self.shared.spend()
            self.op(op)

    def op(self, op: Op) -> None:
        match op:
            case Binary() | Cast() | Constant():  # most of what there is
                self.compute(op)
            case Load() | Store():
                self.memory(op)
            case For():
                self.loop(op)
            case While():
                self.while_loop(op, _ROUNDS)
            case If():
                self.shared.branch(
                    self.scalars[op.condition],
                    lambda: self.block(op.then), lambda: self.block(op.orelse),
                )  # fmt: skip
            case Call():
                self.call(op)
            case Return() | Condition():
                pass
            case Print():
                self.shared.always("what it prints")
                self.shared.lines.append(self.line(op))
            case Assert(condition=condition):
                self.shared.claim(self.scalars[condition])
            case Alloc() | GetGlobal() | SubView():
                self.memory(op)
            case MakeStream() | Put() | Get():
                self.stream(op)
            case _:
                self.compute(op)

    def line(self, op: Print) -> Term:
        """What is printed; integers are written alike whatever their width."""
        types = op.types or tuple(a.type for a in op.args)
        shown = tuple(None if isinstance(t, IntegerType | Index) else t for t in types)
        args = tuple(
            self.terms.as_number(self.scalars[a]) if t is None else self.scalars[a]
            for a, t in zip(op.args, shown, strict=True)
        )
        return self.terms.make("print", bool_, (op.text, shown), args)

    # --- control ---------------------------------------------------------------------------

    def loop(self, op: For) -> None:
        terms = self.terms
        lower, upper = [self.index(e) for e in op.lower], [self.index(e) for e in op.upper]
        unknown = [t for t in lower if t.constant is None]
        start = max(terms.range_of(t)[0] for t in lower)
        stop = min(terms.range_of(t)[1] for t in upper)
        if unknown and op.step != 1:
            raise NotSymbolic("where a loop with a stride starts depends on its inputs")
        ends = [t for t in upper if t.constant is None]
        if (unknown or ends) and stop - start > _ROUNDS * op.step:
            raise NotSymbolic("how often a loop runs depends on its inputs, and may be often")
        for i in range(start, stop, op.step):
            counter = self.scalars[op.iv] = terms.const(i, index)
            runs = terms.const(1, bool_)
            for end in ends:
                runs = terms.conjunction(runs, terms.less(counter, end))
            for first in unknown:
                runs = terms.conjunction(runs, terms.negated(terms.less(counter, first)))
            self.shared.branch(runs, lambda: self.block(op.body))

    def while_loop(self, op: While, rounds: int) -> None:
        """Further iterations are followed where those before it take place."""
        self.block(op.before)
        while (known := self.shared.decided(self.scalars[op.condition])) is not None:
            if not known:
                return
            self.block(op.body)
            self.block(op.before)
        if not rounds:
            raise NotSymbolic("how often a loop runs depends on its inputs, and may be often")

        def again() -> None:
            self.block(op.body)
            self.while_loop(op, rounds - 1)

        self.shared.branch(self.scalars[op.condition], again)

    def call(self, op: Call) -> None:
        callee = self.shared.module.func(op.callee)
        frame = _Frame(self.shared, callee, [self.get(a) for a in op.args])
        if self.func.dataflow:
            self.shared.always("whether processes start")
            self.shared.processes.spawn(op.callee, frame.run, op.loc)
            return
        for out, result in zip(op.outs, frame.run(), strict=True):
            self.bind(out, result)

    def stream(self, op: MakeStream | Put | Get) -> None:
        shared = self.shared
        shared.always("what goes through a stream")
        match op:
            case MakeStream(result=result):
                assert isinstance(result.type, StreamType)
                depth = result.type.depth
                self.streams[result] = Fifo(result.name, depth, depth, grows=op.undeclared)
            case Put(stream=stream, value=value):
                shared.words.append(self.scalars[value])
                shared.processes.put(self.streams[stream], len(shared.words) - 1, op.loc)
            case Get(result=result, stream=stream):
                number = shared.processes.get(self.streams[stream], op.loc)
                self.scalars[result] = shared.words[number]

    # --- arrays ----------------------------------------------------------------------------

    def memory(self, op: Load | Store | Alloc | GetGlobal | SubView) -> None:
        match op:
            case Alloc(result=result):
                zero = self.terms.const(0, result.array.element)
                size = result.array.size
                self.arrays[result] = Array([zero] * size, range(size), result.array.shape)
            case GetGlobal(result=result, name=name):
                self.arrays[result] = self.global_array(name)
            case SubView(result=result):
                self.arrays[result] = self.view(op)
            case Load(result=result, array=array):
                source = self.arrays[array]
                if (known := self.known_place(op.index, source.shape)) is not None:
                    self.scalars[result] = source.cells[source.at[known]]
                    return
                nothing = self.terms.const(0, result.type)
                at = [self.index(e) for e in op.index]
                self.scalars[result] = load(self.shared, source, at, nothing)
            case Store(value=value, array=array):
                target = self.arrays[array]
                if (known := self.known_place(op.index, target.shape)) is not None:
                    self.shared.store(target.cells, target.at[known], self.scalars[value])
                    return
                at = [self.index(e) for e in op.index]
                store(self.shared, target, at, self.scalars[value])

    def view(self, op: SubView) -> Array:
        source = self.arrays[op.source]
        axes = [
            [self.number(o) + n * step for n in range(1 if size is None else size)]
            for o, size, step in zip(op.offsets, op.sizes, op.steps, strict=True)
        ]
        at = []
        for place in product(*axes):
            subscripts = [self.terms.const(k, index) for k in place]
            found = places(self.shared, source.shape, subscripts)
            if not found:
                raise NotSymbolic("a view may be out of range")
            at.append(source.at[found[0][1]])
        return Array(source.cells, at, op.result.array.shape)

    def global_array(self, name: str) -> Array:
        found = self.shared.module.global_(name)
        element, size = found.type.element, found.type.size
        if not found.stateful:
            cells = [self.terms.const(x, element) for x in found.data]
        else:
            cells = self.shared.state.setdefault(
                name, [self.terms.input(f"state {name}[{k}]", element) for k in range(size)]
            )
        return Array(cells, range(size), found.type.shape)

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
                s[result] = self.terms.cast(result.type, self.index(expr))
            case _:
                raise NotSymbolic(f"{type(op).__name__} is not followed")
