"""Schedules of kernels with views, states, while loops and prints: what shares elements counts."""

import numpy as np
import pytest

import allo_rtl as allo
from allo_rtl import customize
from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.frontend import lower_kernel
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import accesses
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.ops import Block, For, Func, Load, Module, Store, SubView, Value
from allo_rtl.ir.types import ArrayType, Memory, Stateful, index, int32
from allo_rtl.ir.verify import verify_module
from allo_rtl.schedule.buffers import aliases


def message(call):
    """The message of the error that a primitive raises."""
    with pytest.raises(ScheduleError) as caught:
        call()
    return caught.value.message


def bump(row: int32[4]):
    for k in range(4):
        row[k] = row[k] * 2 + 1


def shift(X: int32[4], Y: int32[4]):
    for a in range(2):
        for b in range(4):
            Y[b] = X[b] + a


def test_a_call_with_a_part_of_an_array_uses_that_array():
    def kernel(A: int32[4, 4], B: int32[4, 4]):
        for i in range(4):
            for j in range(3):
                bump(A[j])
                B[i, j] = A[j + 1, i]

    module = lower_kernel(kernel)
    found = accesses(module.top_func.body, module)
    (array,) = {a.array for a in found if a.op.__class__.__name__ == "Call"}
    assert array is module.top_func.args[0]
    s = customize(kernel)
    assert message(lambda: s.reorder("j", "i")).startswith(
        "reorder('j', 'i') would change what the kernel computes"
    )


def test_two_parts_of_one_array_may_share_elements():
    def kernel(A: int32[8]):
        shift(A[0:4], A[1:5])

    s = customize(kernel)
    illegal = message(lambda: s.reorder("shift:b", "shift:a"))
    assert "would change what the kernel computes" in illegal

    def apart(A: int32[8], B: int32[8]):
        shift(A[0:4], B[1:5])

    other = customize(apart)
    known = aliases(other.module, other.module.func("shift"))
    assert not known.apart


def test_an_accumulation_through_two_names_of_different_parts_is_none():
    def add(X: int32[4], Y: int32[4]):
        for _a in range(2):
            for b in range(4):
                Y[b] = X[b] + 1

    def kernel(A: int32[8]):
        add(A[0:4], A[2:6])

    s = customize(kernel)
    assert "would change what the kernel computes" in message(lambda: s.reorder("add:b", "add:_a"))


def _through_a_view(offset: int) -> Module:
    """``for i, j in (3, 3): V[j] = W[j]``: V and W are parts of A, that one of ``offset`` on."""
    array = Value(ArrayType(int32, (8,)), "A")
    parts = [Value(ArrayType(int32, (3,)), n) for n in "VW"]
    ivs = [Value(index, n) for n in "ij"]
    one = Value(int32)
    at = (AffineExpr.of(ivs[1]),)
    body: Block = (
        Load(result=one, array=parts[1], index=at),
        Store(value=one, array=parts[0], index=at),
    )
    zero, three = AffineExpr.constant(0), AffineExpr.constant(3)
    for iv in reversed(ivs):
        body = (For(iv=iv, lower=(zero,), upper=(three,), body=body, name=iv.name),)
    views = tuple(
        SubView(result=v, source=array, offsets=(AffineExpr.constant(o),), sizes=(3,), steps=(1,))
        for v, o in zip(parts, (0, offset), strict=True)
    )
    func = Func(name="f", args=(array,), results=(), body=(*views, *body))
    return Module(funcs=(func,), top="f")


@pytest.mark.parametrize(("offset", "legal"), [(1, False), (2, False), (3, True), (5, True)])
def test_accesses_through_views_are_exact(offset, legal):
    module = _through_a_view(offset)
    verify_module(module)
    s = customize(module)
    if legal:
        s.reorder("j", "i")
    else:
        assert "would change" in message(lambda: s.reorder("j", "i"))


def tally(x: int32) -> int32:
    total: int32 @ Stateful = 0
    total = total * 2 + x
    return total


def test_a_call_that_keeps_state_orders_the_iterations_around_it():
    def kernel(A: int32[3, 4], B: int32[3, 4]):
        for i, j in allo.grid(3, 4):
            B[i, j] = tally(A[i, j])

    s = customize(kernel)
    assert "would change what the kernel computes" in message(lambda: s.reorder("j", "i"))
    assert "would change what the kernel computes" in message(lambda: s.parallel("i"))


def test_what_is_kept_from_run_to_run_is_not_private_to_an_iteration():
    def kernel(A: int32[3, 4]) -> int32:
        last: int32 @ Stateful = 0
        before: int32 = last
        for i, j in allo.grid(3, 4):
            last = A[i, j]
        return before

    s = customize(kernel)
    assert "would change what the kernel computes" in message(lambda: s.reorder("j", "i"))


def test_a_store_in_a_while_loop_may_not_happen():
    def kernel(A: int32[4], B: int32[4, 4]):
        t: int32 = 7
        for i in range(4):
            for j in range(4):
                n: int32 = A[j]
                while n > 0:
                    t = A[i] + j
                    n -= 1
                B[i, j] = t

    s = customize(kernel)
    assert "would change what the kernel computes" in message(lambda: s.reorder("j", "i"))


def test_loops_in_a_while_loop_are_scheduled_like_others():
    def kernel(A: int32[4, 4], B: int32[4, 4], n: int32):
        k: int32 = n
        while k > 0:
            for i, j in allo.grid(4, 4):
                B[i, j] += A[j, i]
            k -= 1

    s = customize(kernel)
    s.reorder("j", "i")
    s.split("i", 2)
    A, B = np.arange(16).reshape(4, 4), np.ones((4, 4), int)
    evaluate(s.module, [A, B, 3])
    assert np.array_equal(B, 1 + 3 * A.T)


def test_lines_stay_in_order():
    def kernel(A: int32[2, 2]):
        for i, j in allo.grid(2, 2):
            print(A[i, j])

    s = customize(kernel)
    with pytest.raises(IllegalScheduleError) as caught:
        s.reorder("j", "i")
    assert caught.value.message == (
        "loop 'j' prints lines, and their order is the order of its iterations"
    )
    assert "prints lines" in message(lambda: s.parallel("i"))


def row_sum(row: int32[4]) -> int32:
    total: int32 = 0
    for k in range(4):
        total += row[k]
    return total


def test_an_array_of_which_parts_are_passed_is_partitioned():
    def kernel(A: int32[4, 4]) -> int32[4]:
        B: int32[4] = 0
        for i in range(4):
            B[i] = row_sum(A[i])
        return B

    s = customize(kernel)
    s.partition(s.A, dim=2)
    verify_module(s.module)
    A = np.arange(16).reshape(4, 4)
    assert np.array_equal(evaluate(s.module, [A])[0], A.sum(1))


def test_what_is_given_a_part_of_an_array_is_not_partitioned_by_itself():
    def kernel(A: int32[4, 4]) -> int32:
        return row_sum(A[1])

    s = customize(kernel)
    with pytest.raises(ScheduleError) as caught:
        s.partition("row_sum:row")
    assert caught.value.message == (
        "'row' cannot be partitioned: it is given a part of 'A' in kernel"
    )
    assert caught.value.hint == "partition 'kernel:A'"


def test_buffers_are_not_made_of_arrays_of_which_parts_are_passed_inside():
    def kernel(A: int32[4, 4], B: int32[4, 4]):
        for i in range(4):
            for j in range(4):
                B[i, j] = A[i, j]
                bump(B[i])

    s = customize(kernel)
    assert message(lambda: s.buffer_at("B", "i")) == (
        "buffer_at('B', 'i'): this uses 'B' too, and would not see the buffer"
    )


def test_a_memory_annotation_survives():
    def kernel(A: int32[4]) -> int32[4]:
        B: int32[4] @ Memory(resource="LUTRAM") = A + 1
        return B

    module = lower_kernel(kernel)
    (memory,) = {op.result.array.memory for op in module.top_func.body if hasattr(op, "result")}
    assert memory == Memory(resource="LUTRAM")


def test_what_prints_is_not_computed_later():
    def kernel(A: int32[4], B: int32[4], C: int32[4]):
        for i in range(4):
            B[i] = A[i] * 2
            print(B[i])
        for j in range(4):
            C[j] = B[j] + 1

    s = customize(kernel)
    assert message(lambda: s.compute_at("i", "j")) == (
        "compute_at('i', 'j'): loop 'i' prints lines, which would come later"
    )


def countdown(A: int32[8], n: int32) -> int32:
    s: int32 = 0
    k: int32 = n & 7
    while k > 0:
        for i in range(8):
            A[i] += k
        if s > 3:
            for j in range(8):
                A[j] = s
        k -= 1
    return s


def test_a_schedule_shows_while_loops_and_conditions_with_the_loops_in_them(capsys):
    s = customize(countdown)
    s.pipeline("i")
    text = """\
countdown(A: int32[8], n: int32) -> int32
  s = ...
  k = ...
  while ...
    S_i_0: for i in 0..8  pipeline II=1
      A[i] = ...
    if ...
      S_j_1: for j in 0..8
        A[j] = ...
    k = ...
"""
    assert s.show() + "\n" == text
    assert capsys.readouterr().out == text
    assert str(s) + "\n" == text


def test_a_function_is_inlined_by_its_name():
    s = customize(countdown)
    assert message(lambda: s.inline(3)) == "there is no function 3"
