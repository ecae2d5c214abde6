"""The benchmarks keep what they have reached; each run compares its results with numpy's."""

import pytest

from benchmarks.polybench_u32 import CASES, measure

CASE = {case.name: case for case in CASES}


def test_the_nineteen_kernels_are_there():
    assert len(CASE) == 19


@pytest.mark.parametrize(
    ("name", "cycles", "multipliers"),
    [("bicg", 65, 2), ("mvt", 151, 2), ("atax", 187, 2), ("trisolv", 147, 1)],
)
def test_small_kernels(name, cycles, multipliers):
    """bicg makes a product on each multiplier in every cycle but the last."""
    found = measure(CASE[name])
    assert found.cycles <= cycles
    assert found.multipliers == multipliers


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_kernel_is_slower_than_vivado_hls_or_has_more_multipliers(case):
    found = measure(case)
    assert found.ratio < 1
    assert found.multipliers <= case.multipliers
