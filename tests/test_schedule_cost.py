"""A primitive costs time in proportion to what it touches, however large the kernel is.

Calls of Python functions are counted, not seconds.
"""

import importlib.util
import sys

import pytest

import allo_rtl as allo
from allo_rtl.ir.rewrite import loops

HEAD = """\
from allo_rtl.ir.types import int32


def many(A: int32[8, 8], B: int32[8, 8]):
"""

BAND = """\
    for i{n} in range(8):
        for j{n} in range(8):
            B[i{n}, j{n}] = B[i{n}, j{n}] + A[i{n}, j{n}] * {n}
"""


@pytest.fixture
def kernel_of(tmp_path):
    """Makes a kernel with that many bands of two loops."""

    def make(bands):
        path = tmp_path / f"bands_{bands}.py"
        path.write_text(HEAD + "".join(BAND.format(n=n) for n in range(bands)))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.many

    return make


def schedule(s, bands):
    """Five primitives a band."""
    for n in range(bands):
        s.reorder(f"j{n}", f"i{n}")
        s.parallel(f"i{n}")
        s.split(f"j{n}", 4)
        s.pipeline(f"j{n}.outer")
        s.unroll(f"i{n}", 2)


def calls(work):
    """How many Python functions were called."""
    count = 0

    def hook(frame, event, arg):
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_twice_the_loops_and_primitives_are_twice_the_work(kernel_of):
    counts = []
    for bands in (25, 50):
        s = allo.customize(kernel_of(bands))
        counts.append(calls(lambda s=s, bands=bands: schedule(s, bands)))
    assert counts[1] / counts[0] < 2.5


def test_two_hundred_loops_and_five_hundred_primitives(kernel_of):
    s = allo.customize(kernel_of(100))
    assert calls(lambda: schedule(s, 100)) < 2000 * 500
    assert len(s.history()) == 500
    assert len(list(loops(s.top_func.body))) == 300
