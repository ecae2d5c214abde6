"""The evaluator gives every operation its documented meaning."""

from operator import add, and_, mul, or_, sub, xor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allo_rtl.errors import AlloError, CallError, SourceLoc
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
from allo_rtl.ir.types import ArrayType, Index, Int, UInt, bool_, index, int8, int32, uint8

of, const = AffineExpr.of, AffineExpr.constant

int_types = st.builds(
    lambda signed, width: (Int if signed else UInt)(width), st.booleans(), st.integers(1, 70)
)


@st.composite
def typed_pairs(draw):
    t = draw(int_types)
    number = st.integers(t.min, t.max)
    return t, draw(number), draw(number)


def pattern(t, value):
    """The bits of a value, as a number of 0 or more."""
    return value % (1 << t.bits)


@given(typed_pairs())
def test_ring_operators_wrap_the_exact_result(pair):
    t, a, b = pair
    for kind, f in [
        (BinaryKind.ADD, add),
        (BinaryKind.SUB, sub),
        (BinaryKind.MUL, mul),
        (BinaryKind.AND, and_),
        (BinaryKind.OR, or_),
        (BinaryKind.XOR, xor),
        (BinaryKind.MIN, min),
        (BinaryKind.MAX, max),
    ]:
        got = eval_binary(kind, t, a, b)
        assert t.min <= got <= t.max
        assert pattern(t, got) == pattern(t, f(a, b))


@given(typed_pairs())
def test_shifts_move_bits_and_an_amount_of_the_width_empties(pair):
    t, a, b = pair
    bits = [pattern(t, a) >> i & 1 for i in range(t.bits)]
    amount = pattern(t, b)
    left = [bits[i - amount] if i >= amount else 0 for i in range(t.bits)]
    fill = bits[-1] if t.signed else 0
    right = [bits[i + amount] if i + amount < t.bits else fill for i in range(t.bits)]
    for kind, want in [(BinaryKind.SHL, left), (BinaryKind.SHR, right)]:
        got = pattern(t, eval_binary(kind, t, a, b))
        assert [got >> i & 1 for i in range(t.bits)] == want


@given(typed_pairs())
def test_division_identities(pair):
    t, a, b = pair
    quotient = eval_binary(BinaryKind.DIV, t, a, b)
    remainder = eval_binary(BinaryKind.REM, t, a, b)
    assert t.wrap(quotient * b + remainder) == a
    if b:
        assert abs(remainder) < abs(b)
        assert remainder == 0 or (remainder < 0) == (a < 0)


@pytest.mark.parametrize(
    ("kind", "t", "a", "b", "want"),
    [
        (BinaryKind.DIV, int8, -7, 2, -3),
        (BinaryKind.FLOORDIV, int8, -7, 2, -4),
        (BinaryKind.REM, int8, -7, 2, -1),
        (BinaryKind.REM, int8, 7, -2, 1),
        (BinaryKind.DIV, int8, 5, 0, -1),
        (BinaryKind.FLOORDIV, int8, 5, 0, -1),
        (BinaryKind.REM, int8, -5, 0, -5),
        (BinaryKind.DIV, uint8, 5, 0, 255),
        (BinaryKind.FLOORDIV, uint8, 5, 0, 255),
        (BinaryKind.REM, uint8, 5, 0, 5),
        (BinaryKind.DIV, int8, -128, -1, -128),
        (BinaryKind.FLOORDIV, int8, -128, -1, -128),
        (BinaryKind.REM, int8, -128, -1, 0),
        (BinaryKind.SHR, int8, -128, 7, -1),
        (BinaryKind.SHR, int8, 1, -1, 0),
        (BinaryKind.SHL, Int(1), -1, 0, -1),
        (BinaryKind.MUL, Index(), 1 << 62, 4, 0),
    ],
)
def test_corner_cases(kind, t, a, b, want):
    assert eval_binary(kind, t, a, b) == want


@given(typed_pairs(), int_types)
def test_cast_keeps_the_number_modulo_the_width(pair, target):
    _, a, _ = pair
    got = eval_cast(target, a)
    assert target.min <= got <= target.max
    assert (got - a) % (1 << target.bits) == 0


def test_compare():
    wants = {
        Predicate.EQ: (0, 1, 0),
        Predicate.NE: (1, 0, 1),
        Predicate.LT: (1, 0, 0),
        Predicate.LE: (1, 1, 0),
        Predicate.GT: (0, 0, 1),
        Predicate.GE: (0, 1, 1),
    }
    for predicate, want in wants.items():
        assert tuple(eval_compare(predicate, a, 0) for a in (-1, 0, 1)) == want


def scale_module():
    """``scale(A: int8[4], k: int8) -> uint8[4]`` with a helper, a table, an If and a Select."""
    x, y = Value(int8, "x"), Value(int8, "y")
    helper = Func(
        name="double",
        args=(x,),
        results=(int8,),
        body=(Binary(kind=BinaryKind.ADD, result=y, lhs=x, rhs=x), Return(values=(y,))),
    )
    a, k = Value(ArrayType(int8, (4,)), "A"), Value(int8, "k")
    out, table = Value(ArrayType(uint8, (4,)), "out"), Value(ArrayType(int8, (2,)), "T")
    i, e, s, d, u = (Value(t) for t in (index, int8, int8, int8, uint8))
    odd, zero, less, pick, at = (Value(t) for t in (int8, int8, bool_, int8, index))
    tail = Value(int8)
    body = (
        Load(result=e, array=a, index=(of(i),)),
        Apply(result=at, expr=of(i).mod(2)),
        Load(result=odd, array=table, index=(of(at),)),
        Binary(kind=BinaryKind.MUL, result=s, lhs=e, rhs=k),
        Binary(kind=BinaryKind.ADD, result=pick, lhs=s, rhs=odd),
        Call(callee="double", args=(pick,), outs=(d,)),
        Constant(result=zero, value=0),
        Compare(predicate=Predicate.LT, result=less, lhs=d, rhs=zero),
        Select(result=tail, condition=less, if_true=zero, if_false=d),
        Cast(result=u, operand=d),
        If(
            condition=less,
            then=(Store(value=u, array=out, index=(of(i),)),),
            orelse=(Store(value=tail, array=a, index=(of(i),)),),
        ),
    )
    top = Func(
        name="scale",
        args=(a, k),
        results=(out.type,),
        body=(
            Alloc(result=out),
            GetGlobal(result=table, name="T"),
            For(iv=i, lower=(const(-1), const(0)), upper=(const(4), const(9)), body=body),
            Return(values=(out,)),
        ),
    )
    data = Global(name="T", type=table.type, data=(0, 1))
    return Module(funcs=(helper, top), top="scale", globals=(data,))


def test_a_whole_module():
    a = np.array([1, -2, 3, -4], dtype=np.int8)
    (out,) = evaluate(scale_module(), (a, 259))
    assert out.dtype == np.uint64
    assert out.tolist() == [0, 256 - 10, 0, 256 - 22]
    assert a.tolist() == [6, -2, 18, -4]


def test_any_function_can_be_run():
    assert evaluate(scale_module(), (100,), func="double") == (-56,)


def test_bounds_are_the_largest_lower_and_the_smallest_upper_by_steps():
    n, i, c, v = Value(index, "n"), Value(index), Value(ArrayType(int32, (8,)), "C"), Value(int32)
    loop = For(
        iv=i,
        lower=(of(n), const(2)),
        upper=(of(n) + 5, const(7)),
        step=2,
        body=(Cast(result=v, operand=i), Store(value=v, array=c, index=(of(i),))),
    )
    module = Module(funcs=(Func(name="f", args=(n, c), results=(), body=(loop,)),), top="f")
    got = np.zeros(8, np.int32)
    assert evaluate(module, (3, got)) == ()
    assert got.tolist() == [0, 0, 0, 3, 0, 5, 0, 0]
    evaluate(module, (9, got))
    assert got.tolist() == [0, 0, 0, 3, 0, 5, 0, 0]


def test_an_array_is_zeroed_each_time_its_alloc_is_executed():
    t, total, i = Value(ArrayType(int32, ()), "t"), Value(ArrayType(int32, ()), "n"), Value(index)
    old, one, new, sofar, more, last = (Value(int32) for _ in range(6))
    body = (
        Alloc(result=t),
        Load(result=old, array=t),
        Constant(result=one, value=1),
        Binary(kind=BinaryKind.ADD, result=new, lhs=old, rhs=one),
        Store(value=new, array=t),
        Load(result=sofar, array=total),
        Binary(kind=BinaryKind.ADD, result=more, lhs=sofar, rhs=new),
        Store(value=more, array=total),
    )
    loop = For(iv=i, lower=(const(0),), upper=(const(5),), body=body)
    end = (Load(result=last, array=total), Return(values=(last,)))
    func = Func(name="f", args=(), results=(int32,), body=(Alloc(result=total), loop, *end))
    module = Module(funcs=(func,), top="f")
    assert evaluate(module, ()) == (5,)
    assert evaluate(module, ()) == (5,)


def copy_module(element, shape=(2,), shift=0, first=0):
    """``f(A, B)`` with ``B[i] = A[i + shift]`` for i from ``first``."""
    a, b = (Value(ArrayType(element, shape), n) for n in "AB")
    i, v = Value(index), Value(element)
    loc = SourceLoc("k.py", 3, 5, 9, "    B[i] = A[i + 1]")
    body = (
        Load(result=v, array=a, index=(of(i) + shift,), loc=loc),
        Store(value=v, array=b, index=(of(i),)),
    )
    loop = For(iv=i, lower=(const(first),), upper=(const(shape[0]),), body=body)
    return Module(funcs=(Func(name="f", args=(a, b), results=(), body=(loop,)),), top="f")


def test_wide_elements_live_in_object_arrays():
    a = np.array([1 << 100, -1], dtype=object)
    b = np.zeros(2, dtype=object)
    evaluate(copy_module(UInt(100)), (a, b))
    assert b.tolist() == [0, (1 << 100) - 1]


def test_unsigned_elements_in_a_signed_dtype_keep_their_bits():
    a, b = np.array([-1, 7], np.int8), np.zeros(2, np.int8)
    evaluate(copy_module(uint8), (a, b))
    assert b.tolist() == [-1, 7]


def test_arguments_that_are_only_read_may_be_read_only():
    a, b = np.array([300, 7]), np.zeros(2, int)
    a.flags.writeable = False
    evaluate(copy_module(int8), (a, b))
    assert a.tolist() == [300, 7]
    assert b.tolist() == [44, 7]


def test_one_array_given_twice_is_one_array():
    a = np.array([1, 2, 3])
    evaluate(copy_module(int8, (3,), shift=-1, first=1), (a, a))
    assert a.tolist() == [1, 1, 1]


def test_reading_out_of_range_is_an_error_at_its_place():
    with pytest.raises(AlloError) as caught:
        evaluate(copy_module(int8, (2,), 1), (np.zeros(2, int), np.zeros(2, int)))
    assert str(caught.value) == (
        "k.py:3:5: error: A[2] is out of range\n"
        "    3 |     B[i] = A[i + 1]\n"
        "      |     ^~~~\n"
        "  allowed: subscripts of int8[2]"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.zeros(2, int),), "f takes 2 arguments, 1 were given"),
        ((3, np.zeros(2, int)), "A is int32[2], it needs a numpy array, not 3"),
        ((np.zeros(3, int),) * 2, "A is int32[2], the array given has shape (3,)"),
        ((np.zeros(2),) * 2, "A is int32[2], the array given is of float64"),
        (
            (np.zeros(2, np.int16),) * 2,
            "A is int32[2], its elements do not fit the array's int16\n"
            "  hint: use a wider dtype, or dtype=object with Python ints",
        ),
    ],
)
def test_arguments_that_do_not_fit(args, message):
    with pytest.raises(CallError) as caught:
        evaluate(copy_module(int32), args)
    assert str(caught.value) == message


def test_a_scalar_must_be_an_integer():
    with pytest.raises(CallError) as caught:
        evaluate(scale_module(), (1.5,), func="double")
    assert str(caught.value) == "x is int8, it needs an int, not 1.5"
