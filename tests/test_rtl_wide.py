"""Integers of up to 512 bits and odd widths, through every operator."""

import pytest
from agreement import check

import allo_rtl as allo
from allo_rtl.ir.types import Int, UInt, int512, uint1, uint512

odd, narrow, distance = Int(311), UInt(129), UInt(9)


def sums(a: int512, b: int512) -> (int512, int512, int512, int512, int512):
    return a + b, a - b, a * b, a & b, a ^ b


def quotients(a: int512, b: int512, n: distance) -> (int512, int512, int512, int512):
    return a // b, a % b, a << n, a >> n


def unsigned(a: uint512, b: uint512) -> (uint512, uint512, uint1, uint1, uint512):
    return a // b, a % b, a < b, a >= b, max(a, b)


def products(A: odd[4], B: narrow[4], C: int512[4], n: distance):
    for i in range(4):
        C[i] = (A[i] * B[i]) >> n


@pytest.mark.parametrize("kernel", [sums, quotients, unsigned, products])
@pytest.mark.parametrize("device", ["ecp5-85", "ice40-hx8k"])
def test_wide_integers(kernel, device):
    limits = {"b": (-(2**77), 2**77)} if kernel is quotients else None
    check(allo.customize(kernel), (0, 1), limits, simulator="pysim", device=device)


@pytest.mark.long
def test_wide_integers_in_a_pipeline_in_verilator():
    s = allo.customize(products)
    s.pipeline("i")
    check(s)
