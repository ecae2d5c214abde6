"""Random well-formed modules of the loop IR, small and safe to run on any arguments.

``modules()`` is the hypothesis strategy, ``random_args`` makes arguments for the top function.
``modules(rich=upstream)`` also has floating point, views, while, state, open extents, printing
and assertions (which hold); ``modules(rich=all_types)`` fixed point and structs as well.
Every subscript is in range (taken modulo its dimension unless it is a small constant), and every
loop runs 4 times at most.
"""

import random
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from hypothesis import strategies as st

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import limits
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Assert,
    Binary,
    BinaryKind,
    Bitcast,
    Call,
    Cast,
    Compare,
    Condition,
    Constant,
    For,
    Func,
    GetGlobal,
    Global,
    If,
    Load,
    LoopAttrs,
    Math,
    MathKind,
    Module,
    Predicate,
    Print,
    Return,
    Select,
    Store,
    SubView,
    Value,
    While,
)
from allo_rtl.ir.types import (
    DYNAMIC,
    ArrayType,
    DimPartition,
    Fixed,
    Float,
    Index,
    Int,
    IntegerType,
    Memory,
    Partition,
    ScalarType,
    Struct,
    UFixed,
    UInt,
    bool_,
    index,
)

FLOATS = ((8, 3), (8, 2), (16, 10), (16, 7), (32, 23), (64, 52))
WIDTHS = (1, 3, 8, 32, 33, 64, 70)
integers = st.builds(lambda s, w: (Int if s else UInt)(w), st.booleans(), st.sampled_from(WIDTHS))
scalars = st.one_of(integers, st.just(index))
fixed = st.builds(
    lambda s, w, f: (Fixed if s else UFixed)(w, f),
    st.booleans(), st.sampled_from((1, 7, 16, 40)), st.sampled_from((0, 3, 16)),
)  # fmt: skip
floats = st.sampled_from([Float(*f) for f in FLOATS])
plain = st.one_of(integers, fixed, floats)
structs = st.dictionaries(
    st.sampled_from(["x", "y", "odd name"]), st.one_of(plain, st.just(Struct({"z": Int(5)}))),
    min_size=1, max_size=2,
).map(Struct)  # fmt: skip
upstream = st.one_of(integers, floats)
all_types = st.one_of(integers, floats, fixed, structs)
memories = st.sampled_from([None, None, Memory("BRAM"), Memory("LUTRAM", "RAM_2P"), Memory(),
                           Memory(latency=0)])
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
    rich: st.SearchStrategy | None = None

    def inner(self):
        lists = list(self.values), list(self.arrays), list(self.constant_arrays)
        return Scope(self.draw, *lists, rich=self.rich)

    @property
    def scalars(self):
        return scalars if self.rich is None else st.one_of(self.rich, st.just(index))

    def array_type(self):
        if self.rich is None:
            return self.draw(array_types())
        found = self.draw(array_types(elements=self.rich))
        return replace(found, memory=self.draw(memories))

    @property
    def indices(self):
        return [v for v in self.values if v.type == index]

    def value(self, type, out):
        """A value of the type: one in scope, a cast of one, or a constant."""
        fitting = [v for v in self.values if v.type == type]
        others = [v for v in self.values if v.type != type and castable(v.type, type)]
        choice = self.draw(st.sampled_from(["reuse", "reuse", "cast", "constant"]))
        if choice == "reuse" and fitting:
            return self.draw(st.sampled_from(fitting))
        result = Value(type, self.draw(names))
        if choice == "cast" and others:
            out.append(Cast(result=result, operand=self.draw(st.sampled_from(others))))
        else:
            low, high = limits(type)
            if isinstance(type, IntegerType | Index):
                low, high = max(low, -100), min(high, 200)
            out.append(Constant(result=result, value=self.draw(st.integers(low, high))))
        self.values.append(result)
        return result

    def subscripts(self, array):
        exprs = []
        for extent in array.array.shape:
            expr = self.draw(affine_exprs(self.indices))
            exprs.append(expr.mod(max(extent, 1)))
        return tuple(exprs)


def castable(source, target):
    return not isinstance(source, Struct) and not isinstance(target, Struct)


def operators(type):
    """The operators of a type."""
    bitwise = {BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR}
    shifts = {BinaryKind.SHL, BinaryKind.SHR}
    without = {Float: bitwise | shifts, Fixed: bitwise, UFixed: bitwise}.get(typeof(type), set())
    return [k for k in BinaryKind if k not in without]


def typeof(type):
    return type.__class__


@st.composite
def blocks(draw, scope, depth, calls=()):
    """Some operations; ``scope`` learns the values they define."""
    out = []
    kinds = ["binary", "compare", "select", "cast", "apply", "alloc", "load", "load", "store"]
    kinds += ["store", "for", "for", "if"] if depth else []
    kinds += ["call"] * len(calls)
    if scope.rich is not None:
        kinds += ["math", "bitcast", "view", "view", "print", "assert", *["while"] * bool(depth)]
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
        elif kind == "while":
            add_while(draw, scope, out, depth)
        elif kind == "view":
            add_view(draw, scope, out, draw(st.sampled_from(scope.arrays or [None])))
        elif kind in ("print", "assert"):
            add_check(draw, scope, out, kind)
        else:
            add_scalar(draw, scope, out, kind)
    return tuple(out)


def add_while(draw, scope, out, depth):
    """A loop of up to 3 iterations, with a counter of its own."""
    t = UInt(3)
    counter, stop = Value(ArrayType(t, ()), "count"), Value(t)
    now, go, again, one, more = Value(t), Value(bool_), Value(t), Value(t), Value(t)
    out.append(Alloc(result=counter))
    before = [
        *draw(blocks(scope.inner(), depth - 1)),
        Load(result=now, array=counter),
        Constant(result=stop, value=draw(st.integers(0, 3))),
        Compare(predicate=Predicate.LT, result=go, lhs=now, rhs=stop),
        Condition(value=go),
    ]
    body = [
        *draw(blocks(scope.inner(), depth - 1)),
        Load(result=again, array=counter),
        Constant(result=one, value=1),
        Binary(kind=BinaryKind.ADD, result=more, lhs=again, rhs=one),
        Store(value=more, array=counter),
    ]
    out.append(While(before=tuple(before), body=tuple(body)))


def add_view(draw, scope, out, source, wanted=None):
    """A view of an array, or of a new one so that the view has the wanted type."""
    if source is None and wanted is None:
        return
    if wanted is not None:
        shape = tuple(n + draw(st.integers(0, 2)) for n in wanted.shape)
        source = Value(ArrayType(wanted.element, (2, *shape), memory=wanted.memory))
        out.append(Alloc(result=source))
        sizes, steps = (None, *wanted.shape), (1,) * (1 + wanted.rank)
    else:
        extents = [max(n, 1) for n in source.array.shape]
        steps = tuple(draw(st.integers(1, n)) for n in extents)
        fits = [(n - 1) // step + 1 for n, step in zip(extents, steps, strict=True)]
        sizes = tuple(draw(st.sampled_from([None, *range(1, n + 1)])) for n in fits)
    axes = zip(source.array.shape, sizes, steps, strict=True)
    offsets = tuple(
        draw(affine_exprs(scope.indices)).mod(max(1, max(n, 1) - (size or 1) * step + step))
        for n, size, step in axes
    )
    shape = tuple(n for n in sizes if n is not None)
    memory = draw(st.sampled_from([None, source.array.memory]))
    result = Value(ArrayType(source.array.element, shape, memory=memory), draw(names))
    out.append(
        SubView(result=result, source=source, offsets=offsets, sizes=sizes, steps=steps)
    )
    scope.arrays.append(result)


def add_check(draw, scope, out, kind):
    if kind == "print":
        args = tuple(scope.value(draw(scope.scalars), out) for _ in range(draw(st.integers(0, 2))))
        text = draw(st.sampled_from(["", 'é "{{', "a\\\n"])) + " {}" * len(args)
        types = tuple(a.type for a in args) if draw(st.booleans()) else ()
        out.append(Print(text=text, args=args, types=types))
        return
    x = scope.value(draw(scalars), out)
    holds = Value(bool_)
    out.append(Compare(predicate=Predicate.EQ, result=holds, lhs=x, rhs=x))
    out.append(Assert(condition=holds, message=draw(st.sampled_from(["", 'x "is" x']))))


def add_math(draw, scope, out):
    kind, type = draw(st.sampled_from(MathKind)), draw(floats)
    args = tuple(scope.value(type, out) for _ in range(kind.arity))
    return Math(kind=kind, result=Value(type, draw(names)), args=args)


def add_bitcast(draw, scope, out):
    operand = scope.value(draw(scope.rich), out)
    width = operand.type.bits
    same = [Int(width), UInt(width), *(Float(*f) for f in FLOATS if f[0] == width)]
    same += [Fixed(width, 2), Struct({"u": UInt(width)})] if scope.rich is all_types else []
    return Bitcast(result=Value(draw(st.sampled_from(same)), draw(names)), operand=operand)


def add_scalar(draw, scope, out, kind):
    type = draw(scope.scalars)
    if isinstance(type, Struct) and kind in ("binary", "compare", "cast"):
        type = type.fields[0][1]
        while isinstance(type, Struct):
            type = type.fields[0][1]
    if kind in ("math", "bitcast"):
        op = (add_math if kind == "math" else add_bitcast)(draw, scope, out)
        result = op.result
    elif kind == "binary":
        lhs, rhs = scope.value(type, out), scope.value(type, out)
        result = Value(type, draw(names))
        op = Binary(kind=draw(st.sampled_from(operators(type))), result=result, lhs=lhs, rhs=rhs)
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
        target = integers
        if scope.rich is not None:
            target = plain if scope.rich is all_types else upstream
            target = st.one_of(target, st.just(index), st.just(type))
        result = Value(draw(target), draw(names))
        op = Cast(result=result, operand=operand)
    else:
        result = Value(index, draw(names))
        op = Apply(result=result, expr=draw(affine_exprs(scope.indices)))
    out.append(op)
    scope.values.append(result)


def add_memory(draw, scope, out, kind):
    readable = [*scope.arrays, *scope.constant_arrays]
    if kind == "alloc" or not (readable if kind == "load" else scope.arrays):
        array = Value(scope.array_type(), draw(st.sampled_from(["", "buf", "C"])))
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
        elif scope.rich is not None and not param.type.partition and draw(st.booleans()):
            shape = tuple(max(n, 1) for n in param.type.shape)
            add_view(draw, scope, out, None, replace(param.type, shape=shape))
            args.append(scope.arrays[-1])
        else:
            shape = tuple(max(n, 1) for n in param.type.shape)
            args.append(Value(replace(param.type, shape=shape), "arg"))
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
def functions(draw, name, constants, calls=(), rich=None):
    scope = Scope(draw, rich=rich)
    args = []
    for n in range(draw(st.integers(0, 2))):
        args.append(Value(draw_parameter(scope), f"A{n}"))
        scope.arrays.append(args[-1])
    for n in range(draw(st.integers(0, 2))):
        args.append(Value(draw(scope.scalars), f"n{n}"))
        scope.values.append(args[-1])
    start = []
    for item in constants:
        start.append(GetGlobal(result=Value(item.type, item.name), name=item.name))
        (scope.arrays if item.stateful else scope.constant_arrays).append(start[-1].result)
    body = [*start, *draw(blocks(scope, 3, calls))]
    local = [v for v in scope.arrays if v not in args and not v.array.is_dynamic]
    results = [draw(st.sampled_from(v)) for v in (scope.values, local) if v and draw(st.booleans())]
    if results:
        body.append(Return(values=tuple(results)))
    types = tuple(v.type for v in results)
    return Func(name=name, args=tuple(args), results=types, body=tuple(body))


def draw_parameter(scope):
    type = scope.array_type()
    if scope.rich is not None and type.rank and not type.partition and scope.draw(st.booleans()):
        return replace(type, shape=(DYNAMIC, *type.shape[1:]))
    return type


@st.composite
def modules(draw, rich=None):
    """A module of one or two functions and up to one constant array, if rich also stateful."""
    constants = []
    if draw(st.booleans()):
        stateful = rich is not None and draw(st.booleans())
        array = Scope(draw, rich=rich).array_type()
        low, high = limits(array.element)
        if not isinstance(array.element, Float):
            low, high = max(low, -9), min(high, 300)
        data = [draw(st.integers(low, high)) for _ in range(array.size)]
        constants.append(Global(name="W", type=array, data=tuple(data), stateful=stateful))
    funcs = []
    if draw(st.booleans()):
        funcs.append(draw(functions("helper", constants, rich=rich)))
    funcs.append(draw(functions("top", constants, tuple(funcs), rich)))
    return Module(funcs=tuple(funcs), top="top", globals=tuple(constants))


def random_args(func, seed=0):
    """Arguments that fit a function, the same for the same seed."""
    dice = random.Random(seed)
    args = []
    for param in func.args:
        if isinstance(param.type, ScalarType):
            low, high = limits(param.type)
            if not isinstance(param.type, Float):
                low, high = max(low, -1000), min(high, 1000)
            args.append(dice.randint(low, high))
        else:
            low, high = limits(param.array.element)
            shape = tuple(max(n, 1) for n in param.array.shape)
            data = [dice.randint(low, high) for _ in range(prod(shape))]
            args.append(np.array(data, dtype=object).reshape(shape))
    return args
