"""A primitive costs time in proportion to what it touches, however large the kernel is.

Calls of Python functions are counted, not seconds.
"""

import importlib.util
import sys

import pytest

import allo_rtl as allo
from allo_rtl.errors import IllegalScheduleError
from allo_rtl.ir import fifo_order
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
def load(tmp_path):
    """Makes the kernel of a text."""

    def make(text):
        path = tmp_path / f"kernel_{len(text)}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.many

    return make


@pytest.fixture
def kernel_of(load):
    """Makes a kernel with that many bands of two loops."""
    return lambda bands: load(HEAD + "".join(BAND.format(n=n) for n in range(bands)))


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


def chain(bands):
    """The text of a kernel of nests that each hand an array to the next."""
    text = HEAD
    for n in range(bands):
        source = f"T{n - 1}" if n else "A"
        sink = f"T{n}" if n < bands - 1 else "B"
        text += f"    T{n}: int32[8, 8]\n" if n < bands - 1 else ""
        text += f"    for i{n} in range(8):\n        for j{n} in range(8):\n"
        text += f"            {sink}[i{n}, j{n}] = {source}[i{n}, j{n}] + {n}\n"
    return text


def fifos(s, bands):
    """A FIFO between each two nests of a chain."""
    for n in range(bands - 1):
        s.to(f"T{n}", f"i{n + 1}", depth=4)


def test_fifos_analyse_what_they_touch(load, monkeypatch):
    """Each looks at its own array; what was looked at before is known."""
    looked = []
    fifo = fifo_order.fifo
    monkeypatch.setattr(fifo_order, "fifo", lambda *a: looked.append(a[1].name) or fifo(*a))
    s = allo.customize(load(chain(20)))
    fifos(s, 20)
    assert looked == [f"T{n}" for n in range(19)]


def test_fifos_in_a_long_chain(load):
    """A hundred in two hundred loops: as much work for each as any other primitive."""
    s = allo.customize(load(chain(100)))
    assert calls(lambda: fifos(s, 100)) < 80_000 * 99
    assert len(s.history()) == 99


def test_what_was_known_is_looked_at_again_when_a_loop_changes(load):
    s = allo.customize(load(chain(4)))
    fifos(s, 4)
    with pytest.raises(IllegalScheduleError, match=r"T1\[0, 1\] is stored before T1\[1, 0\]"):
        s.reorder("j2", "i2")
    s.split("i2", 2)
    with pytest.raises(IllegalScheduleError, match="T1"):
        s.reorder("j2", "i2.inner")
