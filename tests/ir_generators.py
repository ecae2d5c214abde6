"""Random well-formed modules of the loop IR, small and safe to run on any arguments.

``modules()`` is the hypothesis strategy, ``random_args`` makes arguments for the top function.
Every subscript is in range (taken modulo its dimension unless it is a small constant), and every
loop runs 4 times at most.
"""

import random
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Binary,
    BinaryKind,
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
    Module,
    Predicate,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import (
    ArrayType,
    DimPartition,
    Int,
    Partition,
    ScalarType,
    UInt,
    bool_,
    index,
)

WIDTHS = (1, 3, 8, 32, 33, 64, 70)
integers = st.builds(lambda s, w: (Int if s else UInt)(w), st.booleans(), st.sampled_from(WIDTHS))
scalars = st.one_of(integers, st.just(index))
names = st.sampled_from(["", "x", "y", "acc"])


@st.composite
def array_types(draw, max_rank=2, elements=integers):
    """Arrays of up to 6 elements a dimension, some partitioned."""
    shape = tuple(draw(st.lists(st.integers(1, 6), max_size=max_rank)))
    array = ArrayType(draw(elements), shape)
    for dim, extent in enumerate(shape):
        kind = draw(st.sampled_from([None, None, None, *Partition]))
        if kind is Partition.Complete:
            array = array.with_partition(dim, DimPartition(kind, extent))
        elif kind is not None:
            array = array.with_partition(dim, DimPartition(kind, draw(st.integers(1, extent))))
    return array


@st.composite
def affine_exprs(draw, values, depth=2):
    """Expressions over some index values, with divisions and remainders inside."""
    expr = AffineExpr.constant(draw(st.integers(-9, 9)))
    if not values:
        return expr
    for _ in range(draw(st.integers(0, 2))):
        expr = expr + AffineExpr.of(draw(st.sampled_from(values))) * draw(st.integers(-4, 4))
    if depth and draw(st.booleans()):
        inner = draw(affine_exprs(values, depth - 1))
        divisor = draw(st.integers(1, 8))
        part = inner.floordiv(divisor) if draw(st.booleans()) else inner.mod(divisor)
        expr = expr + part * draw(st.integers(-3, 3))
    return expr


@dataclass
class Scope:
    """What can be used at one place of a function."""

    draw: object
    values: list[Value] = field(default_factory=list)
    arrays: list[Value] = field(default_factory=list)
    constant_arrays: list[Value] = field(default_factory=list)

    def inner(self):
        return Scope(self.draw, list(self.values), list(self.arrays), list(self.constant_arrays))

    @property
    def indices(self):
        return [v for v in self.values if v.type == index]

    def value(self, type, out):
        """A value of the type: one in scope, a cast of one, or a constant."""
        fitting = [v for v in self.values if v.type == type]
        others = [v for v in self.values if v.type != type]
        choice = self.draw(st.sampled_from(["reuse", "reuse", "cast", "constant"]))
        if choice == "reuse" and fitting:
            return self.draw(st.sampled_from(fitting))
        result = Value(type, self.draw(names))
        if choice == "cast" and others:
            out.append(Cast(result=result, operand=self.draw(st.sampled_from(others))))
        else:
            low, high = max(type.min, -100), min(type.max, 200)
            out.append(Constant(result=result, value=self.draw(st.integers(low, high))))
        self.values.append(result)
        return result

    def subscripts(self, array):
        exprs = []
        for extent in array.array.shape:
            expr = self.draw(affine_exprs(self.indices))
            exprs.append(expr.mod(extent))
        return tuple(exprs)


@st.composite
def blocks(draw, scope, depth, calls=()):
    """Some operations; ``scope`` learns the values they define."""
    out = []
    kinds = ["binary", "compare", "select", "cast", "apply", "alloc", "load", "load", "store"]
    kinds += ["store", "for", "for", "if"] if depth else []
    kinds += ["call"] * len(calls)
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5)):
        if kind == "for":
            out.append(draw(loops(scope, depth)))
        elif kind == "if":
            condition = scope.value(bool_, out)
            branches = [draw(blocks(scope.inner(), depth - 1)) for _ in range(2)]
            orelse = branches[1] if draw(st.booleans()) else ()
            out.append(If(condition=condition, then=branches[0], orelse=orelse))
        elif kind == "call":
            add_call(draw, scope, out, draw(st.sampled_from(list(calls))))
        elif kind in ("alloc", "load", "store"):
            add_memory(draw, scope, out, kind)
        else:
            add_scalar(draw, scope, out, kind)
    return tuple(out)


def add_scalar(draw, scope, out, kind):
    type = draw(scalars)
    if kind == "binary":
        lhs, rhs = scope.value(type, out), scope.value(type, out)
        result = Value(type, draw(names))
        op = Binary(kind=draw(st.sampled_from(BinaryKind)), result=result, lhs=lhs, rhs=rhs)
    elif kind == "compare":
        lhs, rhs = scope.value(type, out), scope.value(type, out)
        result = Value(bool_, draw(names))
        op = Compare(predicate=draw(st.sampled_from(Predicate)), result=result, lhs=lhs, rhs=rhs)
    elif kind == "select":
        condition = scope.value(bool_, out)
        yes, no = scope.value(type, out), scope.value(type, out)
        result = Value(type, draw(names))
        op = Select(result=result, condition=condition, if_true=yes, if_false=no)
    elif kind == "cast":
        operand = scope.value(type, out)
        result = Value(draw(integers), draw(names))
        op = Cast(result=result, operand=operand)
    else:
        result = Value(index, draw(names))
        op = Apply(result=result, expr=draw(affine_exprs(scope.indices)))
    out.append(op)
    scope.values.append(result)


def add_memory(draw, scope, out, kind):
    readable = [*scope.arrays, *scope.constant_arrays]
    if kind == "alloc" or not (readable if kind == "load" else scope.arrays):
        array = Value(draw(array_types()), draw(st.sampled_from(["", "buf", "C"])))
        out.append(Alloc(result=array))
        scope.arrays.append(array)
    elif kind == "load":
        array = draw(st.sampled_from(readable))
        result = Value(array.array.element, draw(names))
        out.append(Load(result=result, array=array, index=scope.subscripts(array)))
        scope.values.append(result)
    else:
        array = draw(st.sampled_from(scope.arrays))
        value = scope.value(array.array.element, out)
        out.append(Store(value=value, array=array, index=scope.subscripts(array)))


def add_call(draw, scope, out, callee):
    args = []
    for param in callee.args:
        if isinstance(param.type, ScalarType):
            args.append(scope.value(param.type, out))
        else:
            args.append(Value(param.type, "arg"))
            out.append(Alloc(result=args[-1]))
            scope.arrays.append(args[-1])
    outs = tuple(Value(t, draw(names)) for t in callee.results)
    out.append(Call(callee=callee.name, args=tuple(args), outs=outs))
    for value in outs:
        (scope.values if isinstance(value.type, ScalarType) else scope.arrays).append(value)


@st.composite
def loops(draw, scope, depth):
    """A loop of 4 iterations at most, in one of the ways a bound can be written."""
    iv = Value(index, draw(st.sampled_from(["i", "j", ""])))
    lower = (AffineExpr.constant(draw(st.integers(0, 1))),)
    upper = (AffineExpr.constant(draw(st.integers(0, 4))),)
    if draw(st.booleans()):
        lower += (draw(affine_exprs(scope.indices)),)
    if draw(st.booleans()):
        upper = (draw(affine_exprs(scope.indices)), *upper)
    inner = scope.inner()
    inner.values.append(iv)
    attrs = LoopAttrs(
        band=draw(st.sampled_from(["", "S_i_0"])),
        reduction=draw(st.booleans()),
        pipeline_ii=draw(st.sampled_from([None, 1, 2])),
        rewind=draw(st.booleans()),
        unroll=draw(st.sampled_from([None, 0, 3])),
        parallel=draw(st.booleans()),
    )
    body = draw(blocks(inner, depth - 1))
    step = draw(st.sampled_from([1, 1, 2]))
    name = f"{iv.name}{depth}" if iv.name else ""
    return For(iv=iv, lower=lower, upper=upper, body=body, step=step, name=name, attrs=attrs)


@st.composite
def functions(draw, name, constants, calls=()):
    scope = Scope(draw)
    args = []
    for n in range(draw(st.integers(0, 2))):
        args.append(Value(draw(array_types()), f"A{n}"))
        scope.arrays.append(args[-1])
    for n in range(draw(st.integers(0, 2))):
        args.append(Value(draw(scalars), f"n{n}"))
        scope.values.append(args[-1])
    start = []
    for item in constants:
        start.append(GetGlobal(result=Value(item.type, item.name), name=item.name))
        scope.constant_arrays.append(start[-1].result)
    body = [*start, *draw(blocks(scope, 3, calls))]
    local = [v for v in scope.arrays if v not in args]
    results = [draw(st.sampled_from(v)) for v in (scope.values, local) if v and draw(st.booleans())]
    if results:
        body.append(Return(values=tuple(results)))
    types = tuple(v.type for v in results)
    return Func(name=name, args=tuple(args), results=types, body=tuple(body))


@st.composite
def modules(draw):
    """A module of one or two functions and up to one constant array."""
    constants = []
    if draw(st.booleans()):
        array = draw(array_types())
        low, high = max(array.element.min, -9), min(array.element.max, 300)
        data = [draw(st.integers(low, high)) for _ in range(array.size)]
        constants.append(Global(name="W", type=array, data=tuple(data)))
    funcs = []
    if draw(st.booleans()):
        funcs.append(draw(functions("helper", constants)))
    funcs.append(draw(functions("top", constants, tuple(funcs))))
    return Module(funcs=tuple(funcs), top="top", globals=tuple(constants))


def random_args(func, seed=0):
    """Arguments that fit a function, the same for the same seed."""
    dice = random.Random(seed)
    args = []
    for param in func.args:
        if isinstance(param.type, ScalarType):
            args.append(dice.randint(max(param.type.min, -1000), min(param.type.max, 1000)))
        else:
            element = param.array.element
            data = [dice.randint(element.min, element.max) for _ in range(param.array.size)]
            args.append(np.array(data, dtype=object).reshape(param.array.shape))
    return args
