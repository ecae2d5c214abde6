"""Legalization: the evaluator computes the same on both forms of a module."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allo_rtl.customize import customize
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.arithmetic import limits
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.legalize import legal_type, legalize
from allo_rtl.ir.ops import (
    Alloc,
    Assert,
    Binary,
    BinaryKind,
    Bitcast,
    Call,
    Cast,
    Compare,
    Constant,
    For,
    Func,
    GetGlobal,
    Global,
    Load,
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
)
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import (
    ArrayType,
    Fixed,
    FixedType,
    Float,
    Index,
    Int,
    IntegerType,
    Struct,
    UFixed,
    UInt,
    bfloat16,
    bool_,
    float8_e4m3,
    float16,
    float32,
    float64,
    index,
    int8,
    int32,
)
from allo_rtl.ir.verify import verify_module

TYPES = [
    Int(1), int8, Int(33), UInt(1), UInt(7), UInt(64), index, Fixed(16, 8), Fixed(4, 9),
    UFixed(12, 4), UFixed(3, 0), Fixed(40, 39), float8_e4m3, float16, bfloat16, float32, float64,
]  # fmt: skip
FLOATS = [t for t in TYPES if isinstance(t, Float)]


def raw(type_):
    """Every int that stands for a value of a type, the interesting ones often."""
    low, high = limits(type_)
    return st.one_of(st.integers(low, high), st.sampled_from([low, high, low + 1, high - 1, 0]))


def unary_module(make, operands, result):
    """A module whose only operation is ``make(result, *operands)``."""
    args = tuple(Value(t, f"a{n}") for n, t in enumerate(operands))
    out = Value(result, "out")
    body = (make(out, *args), Return(values=(out,)))
    return Module(funcs=(Func(name="f", args=args, results=(result,), body=body),), top="f")


def check(module, args):
    """Both forms are well-formed and compute the same; the legal one has only integers."""
    verify_module(module)
    legal = legalize(module)
    verify_module(legal)
    for op in (op for f in legal.funcs for op in walk(f.body)):
        for value in (*op.results(), *op.operands()):
            element = getattr(value.type, "element", value.type)
            assert isinstance(element, IntegerType | Index)
    result = evaluate(module, args)
    unsigned = [_pattern(t, r) for t, r in zip(module.top_func.results, result, strict=True)]
    assert list(evaluate(legal, args)) == unsigned


def _pattern(type_, value):
    """A value of a type as the int that stands for it after legalization."""
    return legal_type(type_).wrap(value)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_operators_mean_the_same(data):
    type_ = data.draw(st.sampled_from(TYPES))
    kinds = set(BinaryKind)
    if not isinstance(type_, IntegerType | Index):
        kinds -= {BinaryKind.AND, BinaryKind.OR, BinaryKind.XOR}
    if isinstance(type_, Float):
        kinds -= {BinaryKind.SHL, BinaryKind.SHR, BinaryKind.REM, BinaryKind.FLOORDIV}
    kind = data.draw(st.sampled_from(sorted(kinds, key=lambda k: k.value)))
    module = unary_module(
        lambda out, a, b: Binary(kind=kind, result=out, lhs=a, rhs=b), [type_, type_], type_
    )
    check(module, [data.draw(raw(type_)), data.draw(raw(type_))])


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_comparisons_mean_the_same(data):
    type_, predicate = data.draw(st.sampled_from(TYPES)), data.draw(st.sampled_from(Predicate))
    module = unary_module(
        lambda out, a, b: Compare(predicate=predicate, result=out, lhs=a, rhs=b),
        [type_, type_], bool_,
    )  # fmt: skip
    a = data.draw(raw(type_))
    check(module, [a, data.draw(st.one_of(st.just(a), raw(type_)))])


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_casts_mean_the_same(data):
    source, target = data.draw(st.sampled_from(TYPES)), data.draw(st.sampled_from(TYPES))
    module = unary_module(lambda out, a: Cast(result=out, operand=a), [source], target)
    check(module, [data.draw(raw(source))])


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_bitcasts_and_selects_mean_the_same(data):
    pair = Struct({"x": int8, "y": Fixed(8, 4)})
    widths = {16: [float16, bfloat16, UInt(16), Int(16), Fixed(16, 3), pair], 32: [float32, int32]}
    types = data.draw(st.sampled_from(sorted(widths.items())))[1]
    source, target = data.draw(st.sampled_from(types)), data.draw(st.sampled_from(types))
    cast = unary_module(lambda out, a: Bitcast(result=out, operand=a), [source], target)
    check(cast, [data.draw(raw(source))])
    select = unary_module(
        lambda out, c, a, b: Select(result=out, condition=c, if_true=a, if_false=b),
        [bool_, source, source], source,
    )  # fmt: skip
    check(select, [data.draw(raw(bool_)), data.draw(raw(source)), data.draw(raw(source))])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_signs_and_roots_mean_the_same(data):
    type_ = data.draw(st.sampled_from(FLOATS))
    kind = data.draw(st.sampled_from([MathKind.NEG, MathKind.ABS, MathKind.SQRT, MathKind.FMA]))
    operands = [type_] * kind.arity
    module = unary_module(lambda out, *a: Math(kind=kind, result=out, args=a), operands, type_)
    check(module, [data.draw(raw(type_)) for _ in operands])


def test_arrays_constants_and_globals_keep_their_bits():
    table = Global(name="table", type=Fixed(8, 4)[3], data=(-128, 5, 127))
    i, out, tab, word = (
        Value(index, "i"), Value(Fixed(8, 4)[3], "out"), Value(Fixed(8, 4)[3]), Value(Fixed(8, 4)),
    )  # fmt: skip
    at = (AffineExpr.of(i),)
    loop = For(
        iv=i, lower=(AffineExpr.constant(0),), upper=(AffineExpr.constant(3),), name="i",
        body=(Load(result=word, array=tab, index=at), Store(value=word, array=out, index=at)),
    )  # fmt: skip
    body = (Alloc(result=out), GetGlobal(result=tab, name="table"), loop, Return(values=(out,)))
    func = Func(name="f", args=(), results=(Fixed(8, 4)[3],), body=body)
    legal = legalize(Module(funcs=(func,), top="f", globals=(table,)))
    verify_module(legal)
    assert legal.globals[0].type == int8[3]
    np.testing.assert_array_equal(evaluate(legal, [])[0], [-128, 5, 127])


def test_what_is_printed_keeps_its_types():
    a, yes = Value(float32, "a"), Value(bool_, "yes")
    body = (
        Constant(result=yes, value=1), Print(text="a = {}", args=(a,)),
        Assert(condition=yes, message="never"),
    )  # fmt: skip
    func = Func(name="f", args=(a,), results=(), body=body)
    lines = []
    legal = legalize(Module(funcs=(func,), top="f"))
    verify_module(legal)
    evaluate(legal, [0x3FC00000], output=lines.append)
    assert lines == ["a = 1.5"]


def test_generated_functions_keep_clear_of_the_users_names():
    a, out = Value(float32, "a"), Value(float32, "out")
    table = Global(name="exp_float32_table0", type=int8[1], data=(7,))
    read, word = Value(int8[1]), Value(int8)
    body = (
        GetGlobal(result=read, name="exp_float32_table0"),
        Load(result=word, array=read, index=(AffineExpr.constant(0),)),
        Math(kind=MathKind.EXP, result=out, args=(a,)), Return(values=(out,)),
    )  # fmt: skip
    func = Func(name="exp_float32", args=(a,), results=(float32,), body=body)
    module = Module(funcs=(func,), top="exp_float32", globals=(table,))
    legal = legalize(module)
    verify_module(legal)
    assert evaluate(legal, [0x3F800000]) == evaluate(module, [0x3F800000])


# State


def stateful_module():
    """``count()`` adds one to a stateful number each time; ``f`` calls it twice."""
    def counter():
        number, old, one, new = Value(int8[()]), Value(int8), Value(int8), Value(int8)
        body = (
            GetGlobal(result=number, name="number"), Load(result=old, array=number),
            Constant(result=one, value=1),
            Binary(kind=BinaryKind.ADD, result=new, lhs=old, rhs=one),
            Store(value=new, array=number), Return(values=(new,)),
        )  # fmt: skip
        return Func(name="count", args=(), results=(int8,), body=body)

    a, b = Value(int8, "a"), Value(int8, "b")
    body = (Call(callee="count", args=(), outs=(a,)), Call(callee="count", args=(), outs=(b,)),
            Return(values=(a, b)))  # fmt: skip
    top = Func(name="f", args=(), results=(int8, int8), body=body)
    state = Global(name="number", type=int8[()], data=(40,), stateful=True)
    return Module(funcs=(counter(), top), top="f", globals=(state,))


def test_state_is_named_by_the_top_and_passed_down():
    module = stateful_module()
    legal = legalize(module)
    verify_module(legal)
    users = [f.name for f in legal.funcs for op in walk(f.body) if isinstance(op, GetGlobal)]
    assert users == ["f"]
    for form in (module, legal):
        state = {}
        assert evaluate(form, [], state=state) == (41, 42)
        assert evaluate(form, [], state=state) == (43, 44)
        assert evaluate(form, []) == (41, 42)


# Open extents


def total(A: int32[...], n: int32) -> int32:
    s: int32 = 0
    for i in range(n):
        s += A[i]
    return s


def two_totals(A: int32[4], B: int32[6]) -> int32:
    return total(A, 4) + total(B[1:5], 3)


def test_functions_with_open_extents_get_copies_for_what_they_are_given():
    module = customize(two_totals).module
    legal = legalize(module)
    verify_module(legal)
    assert not any(
        isinstance(a.type, ArrayType) and a.type.is_dynamic for f in legal.funcs for a in f.args
    )
    a, b = np.arange(4), np.arange(6) * 10
    for form in (module, legal):
        assert evaluate(form, [a, b]) == (6 + 10 + 20 + 30,)


def test_what_is_passed_from_outside_stays_open():
    legal = legalize(customize(total).module)
    assert legal.top_func.args[0].array.is_dynamic


# Views


def view_module(offsets, sizes, steps, inner=None):
    """``f(A, i, j)`` adds 1 to every element of a view of A through a callee, and returns it."""
    array, i, j = Value(int32[4, 6], "A"), Value(index, "i"), Value(index, "j")
    view_type = int32[tuple(n for n in sizes if n is not None)]
    view, copy = Value(view_type, "view"), Value(view_type, "V")
    ivs = [Value(index, f"v{d}") for d in range(view_type.rank)]
    at = tuple(map(AffineExpr.of, ivs))
    old, one, new = Value(int32), Value(int32), Value(int32)
    body = (
        Load(result=old, array=copy, index=at), Constant(result=one, value=1),
        Binary(kind=BinaryKind.ADD, result=new, lhs=old, rhs=one),
        Store(value=new, array=copy, index=at),
    )  # fmt: skip
    for iv, extent in zip(reversed(ivs), reversed(view_type.shape), strict=True):
        zero, end = (AffineExpr.constant(0),), (AffineExpr.constant(extent),)
        body = (For(iv=iv, lower=zero, upper=end, body=body, name=iv.name),)
    callee = Func(name="bump", args=(copy,), results=(), body=body)
    exprs = {"i": AffineExpr.of(i), "j": AffineExpr.of(j), "2i+1": AffineExpr.of(i) * 2 + 1}
    where = tuple(exprs[o] if isinstance(o, str) else AffineExpr.constant(o) for o in offsets)
    made = SubView(result=view, source=array, offsets=where, sizes=sizes, steps=steps)
    top = Func(
        name="f", args=(array, i, j), results=(view_type,),
        body=(made, Call(callee="bump", args=(view,)), Return(values=(view,))),
    )  # fmt: skip
    return Module(funcs=(callee, top), top="f")


@pytest.mark.parametrize(
    ("offsets", "sizes", "steps"),
    [
        ((2, 0), (None, 6), (1, 1)),
        (("i", "j"), (None, None), (1, 1)),
        (("i", "j"), (2, 3), (1, 1)),
        ((1, "2i+1"), (3, 2), (1, 2)),
        (("i", 0), (2, 3), (2, 2)),
    ],
)
def test_views_are_subscripts_of_their_source(offsets, sizes, steps):
    module = view_module(offsets, sizes, steps)
    verify_module(module)
    legal = legalize(module)
    verify_module(legal)
    assert not any(isinstance(op, SubView) for f in legal.funcs for op in walk(f.body))
    data = np.arange(24).reshape(4, 6)
    expected = data.copy()
    where = [{"i": 1, "j": 2, "2i+1": 3}.get(o, o) for o in offsets]
    picked = tuple(
        w if n is None else slice(w, w + n * step, step)
        for w, n, step in zip(where, sizes, steps, strict=True)
    )
    expected[picked] += 1
    for form in (module, legal):
        given = data.copy()
        (result,) = evaluate(form, [given, 1, 2])
        np.testing.assert_array_equal(given, expected)
        np.testing.assert_array_equal(result, expected[picked])


def test_a_view_of_a_view():
    outer, inner = Value(int32[3, 2], "outer"), Value(int32[2], "inner")
    array, i, word = Value(int32[4, 6], "A"), Value(index, "i"), Value(int32)
    zero = AffineExpr.constant(0)
    body = (
        SubView(result=outer, source=array, offsets=(AffineExpr.constant(1), AffineExpr.of(i)),
                sizes=(3, 2), steps=(1, 3)),
        SubView(result=inner, source=outer, offsets=(zero, AffineExpr.constant(1)),
                sizes=(2, None), steps=(2, 1)),
        Load(result=word, array=inner, index=(AffineExpr.constant(1),)),
        Return(values=(word,)),
    )  # fmt: skip
    module = Module(
        funcs=(Func(name="f", args=(array, i), results=(int32,), body=body),), top="f"
    )
    check(module, [np.arange(24).reshape(4, 6), 2])
    # Row 1 + 2 * 1, column 2 + 1 * 3.
    assert evaluate(module, [np.arange(24).reshape(4, 6), 2]) == (3 * 6 + 5,)


def test_every_fixed_type_is_covered():
    assert any(isinstance(t, FixedType) and t.fracs > t.width for t in TYPES)
