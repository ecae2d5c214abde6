"""The CPU build computes what the evaluator does, bit for bit."""

import gc
import operator
from functools import cache, reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.errors import CallError, DTypeWarning
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import eval_binary, eval_cast, eval_compare
from allo_rtl.ir.evaluate import evaluate
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
    Module,
    Predicate,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import Int, UInt, bool_, index, int8, int16, int32
from allo_rtl.sim import cpu
from allo_rtl.sim.cpu import compile_cpu
from allo_rtl.sim.marshal import numpy_dtype

WIDTHS = (1, 7, 8, 12, 31, 32, 33, 48, 63, 64, 65, 100, 128, 300)
TYPES = [t for w in WIDTHS for t in (Int(w), UInt(w))] + [index]

of, const = AffineExpr.of, AffineExpr.constant


def loop(lower, upper, step, body, name="i"):
    """A loop with single bounds; ``body`` is called with the counter and gives the operations."""
    iv = Value(index, name)
    bounds = [b if isinstance(b, tuple) else (b,) for b in (lower, upper)]
    low, high = (tuple(const(e) if isinstance(e, int) else e for e in b) for b in bounds)
    return For(iv=iv, lower=low, upper=high, step=step, body=tuple(body(iv)))


def module(func, *others, globals=()):
    return Module(funcs=(*others, func), top=func.name, globals=globals)


def agree(mod, *args):
    """Run the CPU build and the evaluator on copies of the arguments; the same must come out."""
    one = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    two = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    expected = evaluate(mod, one)
    got = compile_cpu(mod)(*two)
    got = [] if got is None else got if isinstance(got, list) else [got]
    assert len(got) == len(expected)
    for x, y in zip([*got, *two], [*expected, *one], strict=True):
        assert np.array_equal(x, y)
    return got


# Arithmetic


def scalar_kernel(params, make):
    """A kernel of scalars: ``make(values)`` gives the operations and the results."""
    args = tuple(Value(t, f"a{n}") for n, t in enumerate(params))
    ops, results = make(args)
    body = (*ops, Return(values=tuple(results)))
    types = tuple(r.type for r in results)
    return compile_cpu(module(Func(name="f", args=args, results=types, body=body)))


@cache
def arithmetic(type_):
    """Every binary operator and every comparison of two numbers of a type, in order."""

    def make(args):
        a, b = args
        binary = [
            Binary(kind=k, result=Value(type_), lhs=a, rhs=b) for k in BinaryKind
        ]
        tests = [
            Compare(predicate=p, result=Value(bool_), lhs=a, rhs=b) for p in Predicate
        ]
        return (*binary, *tests), [op.result for op in (*binary, *tests)]

    return scalar_kernel((type_, type_), make)


def numbers(type_):
    """Numbers of a type, its corners and shift amounts often among them."""
    corners = {type_.wrap(x) for w in (type_.bits,) for x in (0, 1, -1, 2, -2, w - 1, w, w + 1)}
    corners |= {type_.min, type_.max, type_.min + 1}
    return st.sampled_from(sorted(corners)) | st.integers(type_.min, type_.max)


@pytest.mark.parametrize("type_", TYPES, ids=str)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_arithmetic(type_, data):
    a, b = data.draw(numbers(type_)), data.draw(numbers(type_))
    expected = [eval_binary(k, type_, a, b) for k in BinaryKind]
    expected += [eval_compare(p, a, b) for p in Predicate]
    assert arithmetic(type_)(a, b) == expected


@pytest.mark.parametrize(
    ("kind", "a", "b", "result"),
    [
        (BinaryKind.DIV, -7, 2, -3),
        (BinaryKind.FLOORDIV, -7, 2, -4),
        (BinaryKind.FLOORDIV, 7, -2, -4),
        (BinaryKind.REM, -7, 2, -1),
        (BinaryKind.DIV, 5, 0, -1),
        (BinaryKind.FLOORDIV, 5, 0, -1),
        (BinaryKind.REM, 5, 0, 5),
        (BinaryKind.DIV, -128, -1, -128),
        (BinaryKind.FLOORDIV, -128, -1, -128),
        (BinaryKind.REM, -128, -1, 0),
        (BinaryKind.SHL, 1, 8, 0),
        (BinaryKind.SHR, -128, 8, -1),
        (BinaryKind.SHR, -128, -1, -1),
    ],
)
def test_what_llvm_leaves_undefined_is_defined(kind, a, b, result):
    assert arithmetic(int8)(a, b)[list(BinaryKind).index(kind)] == result


@cache
def casts(source):
    """A number cast to every type."""

    def make(args):
        ops = [Cast(result=Value(t), operand=args[0]) for t in TYPES]
        return ops, [op.result for op in ops]

    return scalar_kernel((source,), make)


@pytest.mark.parametrize("source", TYPES, ids=str)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_casts(source, data):
    a = data.draw(numbers(source))
    assert casts(source)(a) == [eval_cast(t, a) for t in TYPES]


@cache
def affine_forms():
    def make(args):
        i, j = of(args[0]), of(args[1])
        exprs = [
            const(-5),
            i * 3 - j + 7,
            i.floordiv(4),
            i.floordiv(5) + j.mod(5) * 2,
            (i * 3 + j).mod(8),
            (i.mod(7) + j).floordiv(3) - 1,
        ]
        ops = [Apply(result=Value(index), expr=e) for e in exprs]
        return ops, [op.result for op in ops]

    return scalar_kernel((index, index), make)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_affine_expressions(i, j):
    assert affine_forms()(i, j) == [
        -5,
        i * 3 - j + 7,
        i // 4,
        i // 5 + j % 5 * 2,
        (i * 3 + j) % 8,
        (i % 7 + j) // 3 - 1,
    ]


def test_select_and_constant():
    def make(args):
        one = Constant(result=Value(int8), value=-1)
        pick = Select(result=Value(int8), condition=args[0], if_true=one.result, if_false=args[1])
        return (one, pick), (pick.result,)

    kernel = scalar_kernel((bool_, int8), make)
    assert (kernel(True, 5), kernel(0, 5), kernel(np.bool_(1), 5)) == (-1, 5, -1)


# Arrays of every width


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_arrays_keep_their_neighbours(type_):
    """Negation of every second element leaves the others, and a copy is returned."""
    n = 9
    array = Value(type_[n], "a")
    copy = Alloc(result=Value(type_[n], "copy"))
    zero = Constant(result=Value(type_), value=0)

    def move(i):
        load = Load(result=Value(type_), array=array, index=(of(i),))
        return load, Store(value=load.result, array=copy.result, index=(of(i),))

    def negate(i):
        load = Load(result=Value(type_), array=array, index=(of(i),))
        sub = Binary(
            kind=BinaryKind.SUB, result=Value(type_), lhs=zero.result, rhs=load.result
        )
        return load, sub, Store(value=sub.result, array=array, index=(of(i),))

    body = (
        copy,
        zero,
        loop(0, n, 1, move),
        loop(1, n, 2, negate),
        Return(values=(copy.result,)),
    )
    func = Func(name="f", args=(array,), results=(type_[n],), body=body)
    steps = (type_.max - type_.min) // (n - 1)
    values = [type_.min + k * steps for k in range(n)]
    given_ = np.array(values, numpy_dtype(type_))
    (kept,) = agree(module(func), given_)
    assert kept.tolist() == values
    assert kept.dtype == numpy_dtype(type_)


# Control flow


def appended(out, count, value):
    """Operations that write ``value`` (an index) at the end of an array and count it."""
    where = Load(result=Value(index, "where"), array=count)
    number = Cast(result=Value(out.array.element), operand=value)
    one = Constant(result=Value(index), value=1)
    more = Binary(kind=BinaryKind.ADD, result=Value(index), lhs=where.result, rhs=one.result)
    return (
        where,
        number,
        Store(value=number.result, array=out, index=(of(where.result),)),
        one,
        more,
        Store(value=more.result, array=count),
    )


def recorder(bounds, params=(index, index)):
    """A kernel that records the counter of one loop; ``bounds(a, b)`` gives lower, upper, step."""
    args = tuple(Value(t, n) for t, n in zip(params, "ab", strict=True))
    out = Alloc(result=Value(Int(64)[64], "out"))
    count = Alloc(result=Value(index[()], "count"))
    body = loop(*bounds(*map(of, args)), lambda i: appended(out.result, count.result, i))
    final = Load(result=Value(index), array=count.result)
    closing = Return(values=(final.result, out.result))
    types = (index, Int(64)[64])
    return module(
        Func(name="f", args=args, results=types, body=(out, count, body, final, closing))
    )


@cache
def strided(step):
    return compile_cpu(recorder(lambda a, b: (a, b, step)))


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 9))
def test_data_dependent_bounds_are_python_ranges(a, b, step):
    count, out = strided(step)(a, b)
    assert out[:count].tolist() == list(range(a, b, step))


@cache
def several_bounds():
    return compile_cpu(recorder(lambda a, b: ((a, const(0)), (b, a + 10), 1)))


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_several_bounds_are_max_and_min(a, b):
    count, out = several_bounds()(a, b)
    assert out[:count].tolist() == list(range(max(a, 0), min(b, a + 10)))


def test_a_loop_at_the_end_of_the_range_of_index_ends():
    count, out = strided(7)(2**63 - 10, 2**63 - 1)
    assert out[:count].tolist() == [2**63 - 10, 2**63 - 3]


def test_a_bound_is_evaluated_once():
    """The loop shrinks the variable its bound came from, and still runs four times."""
    n = Alloc(result=Value(index[()], "n"))
    total = Alloc(result=Value(index[()], "total"))
    four = Constant(result=Value(index), value=4)
    start = Store(value=four.result, array=n.result)
    bound = Load(result=Value(index, "bound"), array=n.result)

    def body(i):
        zero = Constant(result=Value(index), value=0)
        one = Constant(result=Value(index), value=1)
        old = Load(result=Value(index), array=total.result)
        new = Binary(kind=BinaryKind.ADD, result=Value(index), lhs=old.result, rhs=one.result)
        return (
            zero,
            one,
            Store(value=zero.result, array=n.result),
            old,
            new,
            Store(value=new.result, array=total.result),
        )

    runs = loop(0, of(bound.result), 1, body)
    last = Load(result=Value(index), array=total.result)
    ops = (n, total, four, start, bound, runs, last, Return(values=(last.result,)))
    assert agree(module(Func(name="f", args=(), results=(index,), body=ops))) == [4]


def test_triangular_loop_with_an_if():
    a = Value(int32[6, 6], "a")

    def inner(i, j):
        ii = Apply(result=Value(index), expr=of(i).mod(2))
        zero = Constant(result=Value(index), value=0)
        even = Compare(
            predicate=Predicate.EQ, result=Value(bool_), lhs=ii.result, rhs=zero.result
        )
        plus = Apply(result=Value(index), expr=of(i) * 10 + of(j))
        minus = Apply(result=Value(index), expr=-(of(i) * 10 + of(j)))
        yes = Cast(result=Value(int32), operand=plus.result)
        no = Cast(result=Value(int32), operand=minus.result)
        at = (of(i), of(j))
        return (
            ii,
            zero,
            even,
            plus,
            minus,
            If(
                condition=even.result,
                then=(yes, Store(value=yes.result, array=a, index=at)),
                orelse=(no, Store(value=no.result, array=a, index=at)),
            ),
        )

    nest = loop(0, 6, 1, lambda i: (loop(of(i), 6, 1, lambda j: inner(i, j)),))
    array = np.full((6, 6), 99, np.int32)
    compile_cpu(module(Func(name="f", args=(a,), results=(), body=(nest,))))(array)
    expected = [
        [(1 - i % 2 * 2) * (i * 10 + j) if j >= i else 99 for j in range(6)] for i in range(6)
    ]
    assert array.tolist() == expected


def test_an_alloc_in_a_loop_is_zero_each_time_and_takes_no_stack():
    """100,000 times 4000 bytes would overflow the stack; the sum shows that nothing is kept."""
    cell = Value(int32[1000], "cell")
    one = Value(int32)

    def body(i):
        old = Load(result=Value(int32), array=cell, index=(const(7),))
        new = Binary(kind=BinaryKind.ADD, result=Value(int32), lhs=old.result, rhs=one)
        store = Store(value=new.result, array=cell, index=(const(7),))
        so_far = Load(result=Value(int32), array=total.result)
        more = Binary(
            kind=BinaryKind.ADD, result=Value(int32), lhs=so_far.result, rhs=new.result
        )
        out = Store(value=more.result, array=total.result)
        return Alloc(result=cell), old, new, store, so_far, more, out

    total = Alloc(result=Value(int32[()], "total"))
    final = Load(result=Value(int32), array=total.result)
    ops = (
        total,
        Constant(result=one, value=1),
        loop(0, 100_000, 1, body),
        final,
        Return(values=(final.result,)),
    )
    kernel = compile_cpu(module(Func(name="f", args=(), results=(int32,), body=ops)))
    assert [kernel(), kernel()] == [100_000, 100_000]


# Functions and constants


def summing(name, size):
    """A function: the sum of an array, and the array doubled."""
    a = Value(int16[size], "a")
    total = Alloc(result=Value(int16[()], "total"))
    doubled = Alloc(result=Value(int16[size], "doubled"))

    def body(i):
        x = Load(result=Value(int16), array=a, index=(of(i),))
        old = Load(result=Value(int16), array=total.result)
        new = Binary(kind=BinaryKind.ADD, result=Value(int16), lhs=old.result, rhs=x.result)
        twice = Binary(kind=BinaryKind.ADD, result=Value(int16), lhs=x.result, rhs=x.result)
        return (
            x,
            old,
            new,
            Store(value=new.result, array=total.result),
            twice,
            Store(value=twice.result, array=doubled.result, index=(of(i),)),
        )

    last = Load(result=Value(int16), array=total.result)
    ops = (
        total,
        doubled,
        loop(0, size, 1, body),
        last,
        Return(values=(last.result, doubled.result)),
    )
    return Func(name=name, args=(a,), results=(int16, int16[size]), body=ops)


@pytest.mark.parametrize("size", [5, 5000])
def test_calls_globals_and_several_results(size):
    """Twice doubled in a loop of calls; small arrays are on the stack, large on the heap."""
    callee = summing("twice", size)
    table = Global(name="table", type=int16[size], data=tuple(k % 100 - 50 for k in range(size)))
    source = GetGlobal(result=Value(int16[size], "table"), name="table")
    s1, d1 = Value(int16, "s1"), Value(int16[size], "d1")
    s2, d2 = Value(int16, "s2"), Value(int16[size], "d2")
    totals = Alloc(result=Value(int16[3, 2], "totals"))

    def body(i):
        return (
            Call(callee="twice", args=(source.result,), outs=(s1, d1)),
            Call(callee="twice", args=(d1,), outs=(s2, d2)),
            Store(value=s1, array=totals.result, index=(of(i), const(0))),
            Store(value=s2, array=totals.result, index=(of(i), const(1))),
        )

    again = Call(
        callee="twice",
        args=(source.result,),
        outs=(Value(int16, "s3"), Value(int16[size], "d3")),
    )
    ops = (
        source,
        totals,
        loop(0, 3, 1, body),
        again,
        Return(values=(totals.result, again.outs[1], again.outs[0])),
    )
    types = (int16[3, 2], int16[size], int16)
    func = Func(name="top", args=(), results=types, body=ops)
    rows, doubled, total = agree(module(func, callee, globals=(table,)))
    assert rows.tolist() == [[int16.wrap(sum(table.data)), int16.wrap(2 * sum(table.data))]] * 3
    assert doubled.tolist() == [2 * x for x in table.data]
    assert total == int16.wrap(sum(table.data))


def test_a_callee_changes_its_argument_and_may_get_one_array_twice():
    """``b[i + 1] = a[i]`` with a and b one array spreads its first element."""
    a, b = Value(int8[64], "a"), Value(int8[64], "b")

    def body(i):
        x = Load(result=Value(int8), array=a, index=(of(i),))
        return x, Store(value=x.result, array=b, index=(of(i) + 1,))

    shift = Func(name="shift", args=(a, b), results=(), body=(loop(0, 63, 1, body),))
    c = Value(int8[64], "c")
    top = Func(name="top", args=(c,), results=(), body=(Call(callee="shift", args=(c, c)),))
    array = np.arange(5, 69, dtype=np.int8)
    compile_cpu(module(top, shift))(array)
    assert array.tolist() == [5] * 64


def test_a_large_array_is_not_on_the_stack():
    size = 1 << 23
    n, big = Value(index, "n"), Alloc(result=Value(int32[size], "big"))
    seven = Constant(result=Value(int32), value=7)
    store = Store(value=seven.result, array=big.result, index=(of(n),))
    loads = [Load(result=Value(int32), array=big.result, index=(of(n) + k,)) for k in (-1, 0)]
    closing = Return(values=tuple(x.result for x in loads))
    body = (big, seven, store, *loads, closing)
    kernel = compile_cpu(module(Func(name="f", args=(n,), results=(int32, int32), body=body)))
    assert [kernel(size - 1), kernel(1)] == [[0, 7], [0, 7]]


def test_returning_an_argument_a_global_and_one_array_twice_gives_copies():
    a = Value(int8[2], "a")
    table = Global(name="t", type=int8[2], data=(3, 4))
    get = GetGlobal(result=Value(int8[2]), name="t")
    local = Alloc(result=Value(int8[2]))
    values = (a, get.result, local.result, local.result)
    func = Func(
        name="f", args=(a,), results=(int8[2],) * 4, body=(get, local, Return(values=values))
    )
    array = np.array([1, 2], np.int8)
    results = compile_cpu(module(func, globals=(table,)))(array)
    assert [r.tolist() for r in results] == [[1, 2], [3, 4], [0, 0], [0, 0]]
    assert not any(np.shares_memory(array, r) for r in results)
    assert not np.shares_memory(results[2], results[3])


@pytest.mark.parametrize("type_", [Int(7), UInt(33), Int(100)], ids=str)
def test_globals_of_odd_widths(type_):
    data = (type_.min, type_.max, 0, 1, type_.max // 2)
    get = GetGlobal(result=Value(type_[5]), name="t")
    func = Func(name="f", args=(), results=(type_[5],), body=(get, Return(values=(get.result,))))
    table = Global(name="t", type=type_[5], data=data)
    assert agree(module(func, globals=(table,)))[0].tolist() == list(data)


def test_names_of_the_c_library_and_of_llvm_are_free():
    callee = Func(name="malloc", args=(), results=(), body=())
    body = (Call(callee="malloc", args=()), Alloc(result=Value(int8[100_000])))
    assert compile_cpu(module(Func(name="entry", args=(), results=(), body=body), callee))() is None


# The module object


def test_attributes_and_arguments():
    kernel = arithmetic(int8)
    assert kernel.top_func_name == "f"
    assert kernel.module.top_func.name == "f"
    assert 'define i32 @"entry"' in kernel.llvm_ir
    assert repr(kernel) == "CpuModule(f(a0: int8, a1: int8))"
    with pytest.raises(CallError, match=r"^f\(a0: int8, a1: int8\) takes 2 arguments, 1 were"):
        kernel(1)


def test_the_warning_of_a_conversion_names_the_line_of_the_call():
    func = Func(name="f", args=(Value(int8[2], "a"),), results=(), body=())
    with pytest.warns(DTypeWarning) as caught:
        compile_cpu(module(func))(np.zeros(2))
    assert caught[0].filename == __file__


def test_modules_live_side_by_side():
    """Equal names do not meet, and one that is gone does not take another with it."""
    kernels = [
        scalar_kernel((int32,), lambda args, n=n: ((), (args[0],) * n)) for n in range(1, 4)
    ]
    assert [k(5) for k in kernels] == [5, [5, 5], [5, 5, 5]]
    del kernels[1]
    gc.collect()
    assert [k(6) for k in kernels] == [6, [6, 6, 6]]


def test_large_modules_compile_at_a_lower_level(monkeypatch):
    """An unrolled a[i + 1] = a[i + 1] * 3 // a[i]."""
    monkeypatch.setattr(cpu, "_LARGE", 100)
    size = 50
    a, three = Value(int32[size], "a"), Constant(result=Value(int32), value=3)
    ops = [three]
    for i in range(size - 1):
        x, y = (Load(result=Value(int32), array=a, index=(const(k),)) for k in (i, i + 1))
        p = Binary(kind=BinaryKind.MUL, result=Value(int32), lhs=y.result, rhs=three.result)
        q = Binary(kind=BinaryKind.FLOORDIV, result=Value(int32), lhs=p.result, rhs=x.result)
        ops += [x, y, p, q, Store(value=q.result, array=a, index=(const(i + 1),))]
    array = np.random.default_rng(1).integers(-1000, 1000, size, np.int32)
    agree(module(Func(name="f", args=(a,), results=(), body=tuple(ops))), array)


def test_wide_dot_product():
    """Products of 200 bits summed, against Python ints."""
    wide, n = Int(200), 20
    a, b = Value(wide[n], "a"), Value(wide[n], "b")
    total = Alloc(result=Value(wide[()], "total"))

    def body(i):
        x = Load(result=Value(wide), array=a, index=(of(i),))
        y = Load(result=Value(wide), array=b, index=(of(i),))
        p = Binary(kind=BinaryKind.MUL, result=Value(wide), lhs=x.result, rhs=y.result)
        old = Load(result=Value(wide), array=total.result)
        s = Binary(kind=BinaryKind.ADD, result=Value(wide), lhs=old.result, rhs=p.result)
        return x, y, p, old, s, Store(value=s.result, array=total.result)

    last = Load(result=Value(wide), array=total.result)
    ops = (total, loop(0, n, 1, body), last, Return(values=(last.result,)))
    kernel = compile_cpu(module(Func(name="dot", args=(a, b), results=(wide,), body=ops)))
    x = np.array([(-3) ** (k * 4) + k for k in range(n)], object)
    y = np.array([7**k - 2**100 for k in range(n)], object)
    assert kernel(x, y) == wide.wrap(reduce(operator.add, x * y))
