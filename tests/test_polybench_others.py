"""The other 17 kernels of PolyBench: right against numpy, and the same bits in hardware."""

import numpy as np
import pytest
from agreement import check

import allo_rtl as allo
from examples.polybench.other_references import KERNELS, REFERENCES, SMALL, TINY, arguments

NAMES = tuple(REFERENCES)
QUICK = ("doitgen", "trisolv", "jacobi_1d")
"""Kernels whose hardware is simulated by `make test`; the others by `make test-long`."""


def outputs(kernel, args):
    """All that a run returns or changes."""
    before = [a.copy() for a in args]
    result = kernel(*args)
    results = [] if result is None else result if isinstance(result, list) else [result]
    pairs = zip(args, before, strict=True)
    return results + [a for a, b in pairs if not np.array_equal(a, b)]


@pytest.mark.parametrize(
    "sizes", [TINY, pytest.param(SMALL, marks=pytest.mark.long)], ids=["TINY", "SMALL"]
)
@pytest.mark.parametrize("name", NAMES)
def test_kernels_compute_what_numpy_does(name, sizes):
    kernel = allo.customize(KERNELS[name], instantiate=list(sizes[name])).build()
    args = arguments(name, sizes[name])
    exact = (a.astype(np.float64) if a.dtype == np.float32 else a for a in args)
    wanted = REFERENCES[name](sizes[name], *exact)
    for got, want in zip(outputs(kernel, args), wanted, strict=True):
        known = ~np.isnan(want)
        np.testing.assert_allclose(got[known], want[known], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in NAMES]
)
def test_hardware_has_the_same_bits(name):
    s = allo.customize(KERNELS[name], instantiate=list(TINY[name]))
    check(s, simulator="pysim", device="ultrascale+", clock_mhz=300)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_hardware_is_built_at_small_sizes(name):
    """None of them takes longer for some data than for others."""
    s = allo.customize(KERNELS[name], instantiate=list(SMALL[name]))
    rtl = s.build(target="rtl", device="ultrascale+", clock_mhz=300)
    assert rtl.predicted_cycles is not None
