"""The verifier accepts well-formed modules and names what is wrong with the others."""

from dataclasses import replace

import pytest

from allo_rtl.errors import IRError, SourceLoc
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
    Op,
    Predicate,
    Return,
    Select,
    Store,
    Value,
)
from allo_rtl.ir.types import (
    ArrayType,
    DimPartition,
    Partition,
    bool_,
    index,
    int8,
    int32,
    uint8,
)
from allo_rtl.ir.verify import verify_module

of, const = AffineExpr.of, AffineExpr.constant


def module(*body, args=(), results=(), name="f", others=(), globals=()):
    func = Func(name=name, args=args, results=results, body=body)
    return Module(funcs=(*others, func), top=name, globals=globals)


def array(name, *shape, element=int8):
    return Value(ArrayType(element, shape), name)


def loop(*body, iv=None, stop=4, **more):
    iv = iv or Value(index, "i")
    return For(iv=iv, lower=(const(0),), upper=(const(stop),), body=body, **more)


def number(value=0, type=int8, name="c"):
    return Constant(result=Value(type, name), value=value)


def problem(m):
    with pytest.raises(IRError) as caught:
        verify_module(m)
    return str(caught.value)


def test_a_well_formed_module():
    a, i, v = array("A", 4), Value(index, "i"), Value(int8, "v")
    body = (
        Load(result=v, array=a, index=(of(i),)),
        Store(value=v, array=a, index=(of(i) * -1 + 3,)),
    )
    verify_module(module(loop(*body, iv=i), Return(values=(a,)), args=(a,), results=(a.type,)))


# Modules


def test_the_top_exists():
    m = replace(module(), top="g")
    assert problem(m) == "the module has no function g, which is its top"


def test_function_names_are_unique():
    f = Func(name="f", args=(), results=(), body=(), loc=SourceLoc("k.py", 2))
    assert problem(module(others=(f,))) == "two functions are called f"


def test_constant_arrays_have_unique_names_and_fitting_data():
    good = Global(name="W", type=ArrayType(uint8, (2,)), data=(0, 255))
    verify_module(module(globals=(good,)))
    assert problem(module(globals=(good, good))) == "two constant arrays are called W"
    short = replace(good, data=(1,))
    assert problem(module(globals=(short,))) == "W is uint8[2] and has 1 elements"
    wide = replace(good, data=(1, 256))
    assert problem(module(globals=(wide,))) == "W: 256 does not fit uint8"


def test_callees_come_first():
    m = module(Call(callee="g", args=()))
    assert problem(m) == "f: g is called, and no function before this one has that name"


def test_nothing_is_recursive():
    m = module(Call(callee="f", args=()))
    assert problem(m) == "f: f is called, and no function before this one has that name"


def test_arguments_and_results_of_a_call_are_those_of_the_callee():
    x, y, z = Value(int8, "x"), Value(int32, "y"), Value(int32, "z")
    g = Func(name="g", args=(x,), results=(int8,), body=(Return(values=(x,)),))
    good = number()
    m = module(good, Call(callee="g", args=(good.result,), outs=(y,)), others=(g,))
    assert problem(m) == "f: takes from g (int32), not (int8)"
    m = module(Call(callee="g", args=(z,), outs=(good.result,)), args=(z,), others=(g,))
    assert problem(m) == "f: calls g with (int32), not (int8)"


def test_partitions_are_part_of_the_type_a_call_needs():
    a, b = array("A", 4), array("B", 4)
    b = Value(a.array.with_partition(0, DimPartition(Partition.Cyclic, 2)), "B")
    g = Func(name="g", args=(a,), results=(), body=())
    m = module(Call(callee="g", args=(b,)), args=(b,), others=(g,))
    assert problem(m) == "f: calls g with (int8[4] partitioned [Cyclic 2]), not (int8[4])"


# Values


def test_values_are_defined_before_they_are_used():
    c = number()
    store = Store(value=c.result, array=array("A"))
    m = module(store, c, args=(store.array,))
    assert problem(m) == "f: %c is used where it is not defined"


@pytest.mark.parametrize("where", ["loop", "branch"])
def test_values_are_not_used_outside_their_block(where):
    c = number()
    a, flag = array("A"), Value(bool_, "flag")
    around = loop(c) if where == "loop" else If(condition=flag, then=(c,))
    m = module(around, Store(value=c.result, array=a), args=(a, flag))
    assert problem(m) == "f: %c is used where it is not defined"


def test_values_of_one_branch_are_not_seen_in_the_other():
    c, a, flag = number(), array("A"), Value(bool_, "flag")
    both = If(condition=flag, then=(c,), orelse=(Store(value=c.result, array=a),))
    assert problem(module(both, args=(a, flag))) == "f: %c is used where it is not defined"


def test_affine_parts_use_values_in_scope():
    i, a, v = Value(index, "i"), array("A", 4), Value(int8, "v")
    m = module(loop(iv=i), Load(result=v, array=a, index=(of(i).mod(4),)), args=(a,))
    assert problem(m) == "f: %i is used where it is not defined"


def test_a_loop_counter_is_not_seen_in_its_own_bounds():
    i = Value(index, "i")
    m = module(For(iv=i, lower=(const(0),), upper=(of(i),), body=()))
    assert problem(m) == "f: %i is used where it is not defined"


def test_values_are_defined_once():
    c = number()
    assert problem(module(c, c)) == "f: %c is defined twice"
    a = array("A")
    assert problem(module(args=(a, a))) == "f: %A is defined twice"


def test_functions_share_no_values():
    x = Value(int8, "x")
    g = Func(name="g", args=(x,), results=(), body=())
    assert problem(module(args=(x,), others=(g,))) == "f: %x is defined twice"


# Types of operands and results

x8, y8, x32, u1, xi, aa = (
    Value(int8, "x"),
    Value(int8, "y"),
    Value(int32, "w"),
    Value(bool_, "b"),
    Value(index, "n"),
    array("A", 4),
)
ARGS = (x8, y8, x32, u1, xi, aa)
ADD, LT = BinaryKind.ADD, Predicate.LT


def out(type):
    return Value(type, "out")


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (number(128), "the constant 128 does not fit int8"),
        (number(0, aa.type), "the constant 0 does not fit int8[4]"),
        (
            Binary(kind=ADD, result=out(int8), lhs=aa, rhs=aa),
            "the left operand of add is int8[4], not a scalar\n"
            "f: the result of add is int8, not int8[4]",
        ),
        (
            Binary(kind=ADD, result=out(int8), lhs=x8, rhs=x32),
            "the right operand of add is int32, not int8",
        ),
        (
            Binary(kind=ADD, result=out(int32), lhs=x8, rhs=y8),
            "the result of add is int32, not int8",
        ),
        (
            Compare(predicate=LT, result=out(bool_), lhs=aa, rhs=aa),
            "the left operand of lt is int8[4], not a scalar",
        ),
        (
            Compare(predicate=LT, result=out(bool_), lhs=x8, rhs=x32),
            "the right operand of lt is int32, not int8",
        ),
        (
            Compare(predicate=LT, result=out(int8), lhs=x8, rhs=y8),
            "the result of lt is int8, not uint1",
        ),
        (
            Select(result=out(int8), condition=x8, if_true=x8, if_false=y8),
            "the condition of Select is int8, not uint1",
        ),
        (
            Select(result=out(aa.type), condition=u1, if_true=aa, if_false=aa),
            "the first choice of Select is int8[4], not a scalar",
        ),
        (
            Select(result=out(int8), condition=u1, if_true=x8, if_false=x32),
            "the second choice of Select is int32, not int8",
        ),
        (
            Select(result=out(int32), condition=u1, if_true=x8, if_false=y8),
            "the result of Select is int32, not int8",
        ),
        (Cast(result=out(int8), operand=aa), "the operand of Cast is int8[4], not a scalar"),
        (Cast(result=out(aa.type), operand=x8), "the result of Cast is int8[4], not a scalar"),
        (Apply(result=out(int8), expr=of(xi)), "the result of Apply is int8, not index"),
        (Apply(result=out(index), expr=of(x8)), "%x is int8, affine parts need index"),
        (Alloc(result=out(int8)), "Alloc gives int8, not an array"),
        (GetGlobal(result=out(aa.type), name="W"), "the module has no constant array W"),
        (GetGlobal(result=out(aa.type), name="K"), "GetGlobal of K is int8[4], not int8[2]"),
        (Load(result=out(int8), array=x8), "%x is int8, not an array"),
        (
            Load(result=out(int32), array=aa, index=(const(0),)),
            "the value loaded from %A is int32, not int8",
        ),
        (
            Store(value=x32, array=aa, index=(const(0),)),
            "the value stored to %A is int32, not int8",
        ),
        (Load(result=out(int8), array=aa), "%A is int8[4] and has 0 subscripts here"),
        (
            Load(result=out(int8), array=aa, index=(of(x8).mod(4),)),
            "%x is int8, affine parts need index",
        ),
        (If(condition=x8, then=()), "the condition of If is int8, not uint1"),
        (loop(iv=Value(int8, "i"), name="i"), "the counter of loop i is int8, not index"),
        (loop(step=0, name="i"), "the step of loop i is 0, not 1 or more"),
        (
            For(iv=Value(index, "i"), lower=(), upper=(const(1),), body=(), name="i"),
            "loop i needs a lower and an upper bound",
        ),
        (Op(), "Op is not an operation of the loop IR"),
    ],
)
def test_operands_and_results(op, text):
    table = Global(name="K", type=ArrayType(int8, (2,)), data=(1, 2))
    assert problem(module(op, args=ARGS, globals=(table,))) == f"f: {text}"


# Accesses


def test_a_constant_subscript_is_in_range():
    load = Load(result=out(int8), array=aa, index=(const(4),))
    text = "f: the subscript 4 is 4, dimension 0 of %A is 0 to 3"
    assert problem(module(load, args=ARGS)) == text
    assert problem(module(loop(load), args=ARGS)) == text


def test_a_subscript_is_in_range_for_some_iteration():
    i = Value(index, "i")

    def access(expr):
        return module(loop(Load(result=out(int8), array=aa, index=(expr,)), iv=i), args=ARGS)

    verify_module(access(of(i) + 3))
    want = "f: the subscript i + 4 is 4 to 7, dimension 0 of %A is 0 to 3"
    assert problem(access(of(i) + 4)) == want
    want = "f: the subscript i - 4 is -4 to -1, dimension 0 of %A is 0 to 3"
    assert problem(access(of(i) - 4)) == want


def test_code_that_may_never_run_may_have_any_subscript():
    load = Load(result=out(int8), array=aa, index=(const(4),))
    verify_module(module(If(condition=u1, then=(load,)), args=ARGS))
    verify_module(module(loop(load, stop=0), args=ARGS))
    some = For(iv=Value(index), lower=(const(0),), upper=(of(xi),), body=(load,))
    verify_module(module(some, args=ARGS))


def test_constant_arrays_are_not_stored_to():
    w, c = array("W", 2), number()
    table = Global(name="W", type=ArrayType(int8, (2,)), data=(1, 2))
    store = Store(value=c.result, array=w, index=(const(0),))
    m = module(GetGlobal(result=w, name="W"), c, store, globals=(table,))
    assert problem(m) == "f: %W is a constant array, it cannot be stored to"


def test_constant_arrays_are_not_stored_to_by_callees():
    def clear(name, *inner):
        p, c = array("P", 2), number()
        store = Store(value=c.result, array=p, index=(const(0),))
        body = [Call(callee=n, args=(p,)) for n in inner] or [store]
        return Func(name=name, args=(p,), results=(), body=(c, *body))

    w = array("W", 2)
    table = Global(name="W", type=ArrayType(int8, (2,)), data=(1, 2))
    others = (clear("h"), clear("g", "h"))
    body = (GetGlobal(result=w, name="W"), Call(callee="g", args=(w,)))
    m = module(*body, others=others, globals=(table,))
    assert problem(m) == "f: g stores to P, it cannot be given the constant array %W"


# Functions and loops


def test_return_is_last_and_matches():
    c = number()
    ret = Return(values=(c.result,))
    verify_module(module(c, ret, results=(int8,)))
    assert problem(module(c, ret, results=(int32,))) == "f: returns (int8), not (int32)"
    assert problem(module(c, results=(int8,))) == "f: returns (), not (int8)"
    want = "f: a Return is not the last operation of its function"
    assert problem(module(c, Return(values=()), ret, results=(int8,))) == want
    assert problem(module(loop(Return(values=())))) == want


def test_loop_names_in_a_band_are_unique_inside_out():
    band = LoopAttrs(band="S")
    want = "f: loop i is inside another loop i of its band"
    assert problem(module(loop(loop(name="i"), name="i", attrs=band))) == want
    verify_module(module(loop(loop(name="j"), loop(name="j"), name="i", attrs=band)))
    verify_module(module(loop(loop(name="i", attrs=LoopAttrs(band="T")), name="i", attrs=band)))


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (
            DimPartition(Partition.Complete, 2),
            "%A: the complete partition of dimension 0 has factor 2, its extent is 4",
        ),
        (
            DimPartition(Partition.Block, 5),
            "%A: the partition factor of dimension 0 is 5, not between 1 and 4",
        ),
        (
            DimPartition(Partition.Cyclic, 0),
            "%A: the partition factor of dimension 0 is 0, not between 1 and 4",
        ),
    ],
)
def test_partition_factors(part, text):
    a = Value(ArrayType(int8, (4,), (part,)), "A")
    assert problem(module(args=(a,))) == f"f: {text}"


# Reporting


def test_every_problem_is_reported_at_its_place():
    bad = Constant(
        result=Value(int8, "x"), value=300, loc=SourceLoc("k.py", 4, 9, 12, "    x = 300")
    )
    worse = Store(value=Value(int8), array=array("A"))
    assert problem(module(bad, worse)) == (
        "k.py:4:9: error: f: the constant 300 does not fit int8\n"
        "    4 |     x = 300\n"
        "      |         ^~~\n"
        "f: a value of int8 is used where it is not defined\n"
        "f: %A is used where it is not defined"
    )
