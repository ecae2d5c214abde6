"""Systolic arrays whose elements have two columns each, and one multiplier for both products."""

import numpy as np
import pytest
from test_rtl_packing import cells_of, multipliers

import allo_rtl as allo
from allo_rtl.ir.ops import Alloc
from allo_rtl.ir.types import int4, int8, int32

M, N, K = 2, 4, 6


def summing(word):
    def sums_stay(A: int8[M, K], B: word[K, N], C: int32[M, N]):
        for i, j in allo.grid(M, N // 2, name="PE"):
            left: int32 = 0
            right: int32 = 0
            for k in range(K):
                left += A[i, k] * B[k, 2 * j]
                right += A[i, k] * B[k, 2 * j + 1]
            C[i, 2 * j] = left
            C[i, 2 * j + 1] = right

    return sums_stay


sums_stay, narrow_sums_stay = summing(int8), summing(int4)


def weights_stay(A: int8[K, M], B: int8[M, N], C: int32[K, N]):
    for k, j, t in allo.grid(M, N // 2, K, name="PE"):
        C[t, 2 * j] += A[t, k] * B[k, 2 * j]
        C[t, 2 * j + 1] += A[t, k] * B[k, 2 * j + 1]


def array(kernel, inner, handed, banks):
    """The kernel's array of M by N / 2 elements."""
    s = allo.customize(kernel)
    s.pipeline(inner)
    elements = s.unfold("PE", [0, 1])
    for name, axis in handed.items():
        s.to(name, elements, axis=axis, depth=3)
    for name, dim in banks.items():
        s.partition(name, dim=dim)
    return s


SUMS_STAY = "k", {"A": "j", "B": "i"}, {"A": 1, "B": 2, "C": 0}
WEIGHTS_STAY = "t", {"A": "j", "C": "k"}, {"A": 2, "B": 0, "C": 2}


def run(rtl):
    """Run a product, and compare it with numpy's."""
    dice = np.random.default_rng(1)
    a, b, c = (v.type.shape for v in rtl.design.module.top_func.args)
    x, y = dice.integers(-8, 8, a).astype(np.int8), dice.integers(-8, 8, b).astype(np.int8)
    z = np.zeros(c, np.int32)
    rtl.simulator = "pysim"
    rtl(x, y, z)
    np.testing.assert_array_equal(z, x.astype(np.int32) @ y)
    assert rtl.measured_cycles == rtl.predicted_cycles


@pytest.mark.parametrize(("kernel", "schedule", "device"), [
    (sums_stay, SUMS_STAY, "ultrascale+"), (weights_stay, WEIGHTS_STAY, "ultrascale+"),
    (narrow_sums_stay, SUMS_STAY, "ecp5-85"),
])  # fmt: skip
def test_two_columns_have_one_multiplier(kernel, schedule, device):
    """The four elements are of four kinds, so that each is a module of its own."""
    options = {"target": "rtl", "device": device, "clock_mhz": 60}
    plain, packed = (
        array(kernel, *schedule).build(pack_products=pack, **options) for pack in (False, True)
    )
    assert (multipliers(plain), multipliers(packed)) == (M * N, M * N // 2)
    assert packed.predicted_cycles <= plain.predicted_cycles + 1
    run(packed)


def test_a_word_that_is_read_for_two_products_is_handed_on_once():
    body = array(sums_stay, *SUMS_STAY).module.top_func.body
    fifos = [op.result.name for op in body if isinstance(op, Alloc) and op.fifo]
    assert sorted(n for n in fifos if n.startswith("A")) == ["A_fifo_0_1", "A_fifo_1_1"]


def test_int8_pairs_do_not_fit_an_ecp5():
    rtl = array(sums_stay, *SUMS_STAY).build(
        target="rtl", device="ecp5-85", clock_mhz=60, pack_products=True
    )
    assert multipliers(rtl) == M * N


def test_in_the_netlist(tmp_path):
    s = array(narrow_sums_stay, *SUMS_STAY)
    found = []
    for pack in (False, True):
        rtl = s.build(target="rtl", device="ecp5-85", clock_mhz=60, pack_products=pack)
        found.append(cells_of(rtl, tmp_path)["MULT18X18D"])
    assert found == [M * N, M * N // 2]
