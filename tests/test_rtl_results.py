"""Kernels whose hardware is easily wrong, against the evaluator in Amaranth's simulator."""

import pytest
from agreement import random_args
from test_fuzz_rtl import run_evaluator, run_hardware

import allo_rtl as allo
from allo_rtl import Partition
from allo_rtl.hls.design import build_design
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Binary, BinaryKind, Constant, For, Func, Load, Module, Store, Value
from allo_rtl.ir.types import ArrayType, Int, UInt, index, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.target import device


def agree(module, seed=0, limits=None, clock=50):
    """Assert that hardware and evaluator give the same, in the predicted cycles."""
    verify_module(module)
    design = build_design(module, device("ecp5-85"), clock)
    args = random_args(module, seed, limits)
    *got, cycles = run_hardware(module, design, args)
    assert tuple(got) == run_evaluator(module, args)
    assert design.top.latency in (None, cycles)
    return design


def agree_pipelined(kernel, *loops, **options):
    s = allo.customize(kernel)
    for loop in loops:
        s.pipeline(loop)
    return agree(s.module, **options)


# --- arrays that start with zeros -----------------------------------------------------------


def first_few(n: int32) -> int32[8]:
    B: int32[8]
    for i in range(n):
        B[i] = 7
    return B


def sums_of_few(X: int32[8], n: int32) -> int32[8]:
    B: int32[8] = 0
    for i in range(8):
        for j in range(n):
            B[i] += X[j]
    return B


def fewer_every_time(X: int32[8]) -> int32[8]:
    B: int32[8] = 0
    for t in range(8):
        T: int32[8]
        for j in range(8 - t):
            T[j] = X[j] + t
        for j in range(8):
            B[j] += T[j]
    return B


@pytest.mark.parametrize("n", [-1, 0, 3, 8])
@pytest.mark.parametrize("kernel", [first_few, sums_of_few])
def test_elements_that_a_data_dependent_loop_leaves_out_are_zero(kernel, n):
    agree(allo.customize(kernel).module, limits={"n": (n, n)})


def test_an_array_made_in_a_loop_is_zero_again_where_an_inner_loop_leaves_it_out():
    agree(allo.customize(fewer_every_time).module)


# --- shifts ---------------------------------------------------------------------------------


def elementwise(type, *ops):
    """``B[i] = f(A[i])`` for a list of (kind, constant)."""
    A, B = (Value(ArrayType(type, (8,)), name) for name in "AB")
    i = Value(index, "i")
    at, value = (AffineExpr.of(i),), Value(type)
    body = [Load(result=value, array=A, index=at)]
    for kind, number in ops:
        constant, result = Value(type), Value(type)
        body.append(Constant(result=constant, value=number))
        body.append(Binary(kind=kind, result=result, lhs=value, rhs=constant))
        value = result
    body.append(Store(value=value, array=B, index=at))
    bounds = (AffineExpr.constant(0),), (AffineExpr.constant(8),)
    loop = For(iv=i, lower=bounds[0], upper=bounds[1], body=tuple(body), name="i")
    return Module(funcs=(Func(name="top", args=(A, B), results=(), body=(loop,)),), top="top")


@pytest.mark.parametrize("type", [Int(1), Int(7), Int(8), UInt(8), Int(70)], ids=str)
@pytest.mark.parametrize("kind", [BinaryKind.SHL, BinaryKind.SHR])
def test_shifts_by_constants_beyond_the_width(kind, type):
    for amount in {type.min, type.wrap(-1), 0, type.wrap(7), type.max}:
        agree(elementwise(type, (kind, amount), (BinaryKind.ADD, type.wrap(5))))


@pytest.mark.parametrize("type", [Int(8), Int(32), Int(33)], ids=str)
@pytest.mark.parametrize("kind", [BinaryKind.SHL, BinaryKind.SHR])
def test_shifts_by_small_numbers_that_may_be_negative(kind, type):
    """A negative amount shifts everything out, also when three bits hold all amounts."""
    A, B, X = (Value(ArrayType(type, (16,)), n) for n in "ABX")
    i = Value(index, "i")
    at = (AffineExpr.of(i),)
    a, x, three, low, one, amount, result = (Value(type) for _ in range(7))
    body = (
        Load(result=a, array=A, index=at),
        Load(result=x, array=X, index=at),
        Constant(result=three, value=3),
        Binary(kind=BinaryKind.AND, result=low, lhs=x, rhs=three),
        Constant(result=one, value=1),
        Binary(kind=BinaryKind.SUB, result=amount, lhs=low, rhs=one),
        Binary(kind=kind, result=result, lhs=a, rhs=amount),
        Store(value=result, array=B, index=at),
    )
    bounds = (AffineExpr.constant(0),), (AffineExpr.constant(16),)
    loop = For(iv=i, lower=bounds[0], upper=bounds[1], body=body, name="i")
    agree(Module(funcs=(Func(name="top", args=(A, B, X), results=(), body=(loop,)),), top="top"))


# --- one array under two names --------------------------------------------------------------


def dot_reversed(x: int32[8], y: int32[8]) -> int32:
    t: int32 = 0
    for i in range(8):
        t += x[i] * y[7 - i]
    return t


def with_itself(A: int32[8]) -> int32:
    return dot_reversed(A, A)


def next_plus_one(X: int32[8], Y: int32[8]):
    for i in range(1, 8):
        Y[i] = X[i - 1] + 1


def twice_removed(X: int32[8], Y: int32[8]):
    next_plus_one(X, Y)


def chain(A: int32[8], B: int32[8]):
    next_plus_one(A, A)
    next_plus_one(A, B)
    twice_removed(B, B)


def test_an_array_passed_twice_is_read_at_two_places():
    agree_pipelined(with_itself)
    agree_pipelined(with_itself, "dot_reversed:i")


def test_an_array_passed_twice_is_written_before_it_is_read_by_its_other_name():
    agree_pipelined(chain)
    agree_pipelined(chain, "next_plus_one:i")


# --- names ----------------------------------------------------------------------------------


def banks_like_arrays(X: int32[8]) -> int32[8]:
    A: int32[8] = 1
    A_1: int32[8] = 2
    Y: int32[8] = 0
    for i in range(8):
        A[i] = X[i]
        A_1[7 - i] = X[i] * 2
    for i in range(8):
        Y[i] = A[i] + A_1[i]
    return Y


def members(design: int32, signature: int32[4], elaborate: int32, interface: int32[2]) -> int32:
    return design + signature[0] + elaborate + interface[1]


def test_a_local_array_may_be_called_as_a_bank_of_another():
    s = allo.customize(banks_like_arrays)
    s.partition(s.A, Partition.Cyclic, dim=1, factor=2)
    agree(s.module)


def test_arguments_may_be_called_as_what_a_component_has():
    agree(allo.customize(members).module)
