"""Does an installed wheel work on its own?  Run by .ci/run from a folder outside the checkout."""

import sys
from pathlib import Path

import numpy as np

import allo_rtl as allo
import allo_rtl.boards
import allo_rtl.frontend
import allo_rtl.sim
from allo_rtl.ir.types import int16, int32


def dot(A: int16[16], B: int16[16]) -> int32:
    total: int32 = 0
    for i in range(16):
        total += A[i] * B[i]
    return total


def main(checkout: Path) -> None:
    """Import every part of the wheel, not of ``checkout``, and run one kernel both ways."""
    for package in (allo, allo_rtl.frontend, allo_rtl.sim, allo_rtl.boards):
        assert package.__file__ is not None
        assert not Path(package.__file__).resolve().is_relative_to(checkout), package.__file__
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-(2**15), 2**15, 16, dtype=np.int16) for _ in range(2))
    expected = int(np.dot(a.astype(np.int64), b).astype(np.int32))
    schedule = allo.customize(dot)
    schedule.pipeline("i")
    assert schedule.build()(a, b) == expected
    rtl = schedule.build(target="rtl", device="ecp5-85", clock_mhz=100)
    assert rtl(a, b) == expected
    assert rtl.measured_cycles == rtl.predicted_cycles
    print(f"the wheel works: {rtl.measured_cycles} cycles, predicted {rtl.predicted_cycles}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
