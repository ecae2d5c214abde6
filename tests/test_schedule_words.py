"""Accesses of words known when compiling: which of them have an order."""

from itertools import combinations

import allo_rtl as allo
from allo_rtl.hls import dependences
from allo_rtl.ir.types import Partition, int16


def shuffle(A: int16[8], b: int16):
    A[0] = A[3] + b
    A[3] = A[5] - b
    A[6] = A[0] + A[2]
    A[0] = A[6] ^ A[4]
    A[4] = A[1] + 1
    A[2] = A[0]


def at(A: int16[8], i: int16, b: int16):
    A[0] = b
    A[i & 7] = A[0] + A[2]
    A[2] = A[i & 3] + A[0]


def verilog(kernel):
    s = allo.customize(kernel)
    s.partition("A", Partition.Cyclic, dim=1, factor=2)
    return s.build(target="rtl", device="ecp5-85", clock_mhz=80).verilog


def test_words_that_differ_are_left_out_and_nothing_else(monkeypatch):
    few = [verilog(kernel) for kernel in (shuffle, at)]
    monkeypatch.setattr(dependences, "_may_meet", lambda group: combinations(group, 2))
    assert [verilog(kernel) for kernel in (shuffle, at)] == few
