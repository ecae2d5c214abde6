"""Tasks that FIFOs keep in order, and those that have to wait for each other besides."""

import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.ir.rewrite import loops
from allo_rtl.ir.tasks import plan
from allo_rtl.ir.types import int32


def read_first(A: int32[8], C: int32[8], D: int32[8]):
    F: int32[8]
    for _ in allo.grid(1, name="first"):
        for i in range(8):
            D[i] = C[i]
        for j in range(8):
            F[j] = A[j]
    for m in allo.grid(8, name="second"):
        C[m] = F[m]


def word_by_word(A: int32[8], C: int32[8], D: int32[8]):
    F: int32[8]
    for i in allo.grid(8, name="first"):
        D[i] = C[i]
        F[i] = A[i]
    for m in allo.grid(8, name="second"):
        C[m] = F[m]


def filled(A: int32[8], C: int32[8], D: int32[8]):
    F: int32[8]
    for i in allo.grid(8, name="first"):
        C[i] = A[i]
        F[i] = i
    for m in allo.grid(8, name="second"):
        D[m] = C[m] + F[m]


def read_last(A: int32[8], C: int32[8], D: int32[8]):
    F: int32[8]
    for i in allo.grid(8, name="first"):
        F[i] = A[i]
        D[i] = C[i]
    for m in allo.grid(8, name="second"):
        C[m] = F[m]


def ahead(A: int32[8], C: int32[8], D: int32[8]):
    F: int32[8]
    for i in allo.grid(8, name="first"):
        D[i] = C[i]
        F[i] = A[i]
    for m in allo.grid(8, name="second"):
        C[7 - m] = F[m]


def by_data(A: int32[8], C: int32[8], D: int32[8]):
    F: int32[8]
    for i in allo.grid(8, name="first"):
        D[i] = C[A[i] & 7]
        F[i] = A[i]
    for m in allo.grid(8, name="second"):
        C[m] = F[m]


def scheduled(kernel):
    s = allo.customize(kernel)
    s.to("F", "second", depth=8)
    return s


def waits(s):
    return bool(plan(s.module, s.module.top_func).order)


@pytest.mark.parametrize(("kernel", "wait"), [
    (read_first, False), (word_by_word, False), (filled, False), (read_last, True), (ahead, True),
    (by_data, True),
])  # fmt: skip
def test_what_the_fifo_keeps_in_order(kernel, wait):
    """The last three read, or may read, what the word has not said to be done."""
    s = scheduled(kernel)
    assert waits(s) == wait
    for name in sorted({loop.name for loop in loops(s.module.top_func.body)} - {"_"}):
        s.pipeline(name)
    check(s, seeds=(0,), original=allo.customize(kernel).module, simulator="pysim")


def test_loops_of_a_task_that_run_at_once_say_nothing():
    s = allo.customize(read_first)
    s.overlap("i", "j")
    s.to("F", "second", depth=8)
    assert waits(s)
