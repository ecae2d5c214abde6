"""Which looks at streams are in vain for ever, and which only for long."""

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import Deadlock, SimulationError
from allo_rtl.ir import processes
from allo_rtl.ir.looks import endless_in
from allo_rtl.ir.stream_ops import STREAM_OPS
from allo_rtl.ir.types import Stream, UInt, int32
from allo_rtl.sim import cosim

N = 8
TARGETS = ("simulator", "evaluator")


def reader(body):
    """A region whose reader is ``body``; its writer puts one value when it has got one."""
    source = f"""
def top(B: int32[{N}]):
    s: Stream[int32, 2]
    t: Stream[int32, 2]

    @df.kernel(mapping=[1])
    def give():
        x: int32 = t.get()
        s.put(x)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[{N}]):
        n: int32 = 0
        a: int32 = 0
        c: int32 = 1
        old: int32 = 0
        ok: UInt(1) = 0
        local: int32[{N}] = 0
{body}
        b[1] = n
        t.put(7)
        b[0] = s.get()
"""
    return source


def region_of(body, tmp_path):
    """The region, from a file of its own."""
    lines = "\n".join("        " + line for line in body.splitlines())
    path = tmp_path / "kernel.py"
    header = (
        "import allo_rtl.dataflow as df\n"
        "from allo_rtl.ir.types import Stream, UInt, int32\n\n@df.region()"
    )
    path.write_text(header + reader(lines))
    namespace = {"__name__": "kernel"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    return namespace["top"]


ENDLESS = {
    "nothing else": "while s.empty():\n    pass",
    "its result": "while ok == 0:\n    x, ok = s.try_get()",
    "a variable that stays": "while n < 5:\n    x, ok = s.try_get()\n    if ok:\n        n += 1",
    "stored and not asked": "while s.empty():\n    n += 1",
    "settles at once": "while c == 1:\n    a = 3\n    c = 1 if s.empty() else 0",
    "settles after two": "while a < 4:\n    if s.empty():\n        a = c\n        c = 2",
    "peeks": "while ok == 0:\n    x, ok = s.peek()",
    "an array that nobody stores to": "while local[n] == 0 and s.empty():\n    pass",
}
ENDS = {
    "counts": "while s.empty() and n < 300:\n    n += 1",
    "counts elsewhere": "while n < 300:\n    x, ok = s.try_get()\n    n += 1",
    "counts when in vain":
        "while n < 300:\n    x, ok = s.try_get()\n    if not ok:\n        n += 1",
    "two that change places":
        "while a == 0 and s.empty():\n    old = a\n    a = c\n    c = old\n    n += 1",
    "an array": "while local[0] < 300 and s.empty():\n    local[0] += 1",
    "a loop inside": "while n < 300 and s.empty():\n    for i in range(3):\n        n += i",
    "a for loop": "for i in range(300):\n    if s.empty():\n        n += 1",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_that_only_streams_can_end_is_a_deadlock(body, target, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 100)
    monkeypatch.setattr(processes, "_LONG", 100_000)
    region = region_of(body, tmp_path)
    with pytest.raises(Deadlock, match="take_0 looks at streams in vain") as caught:
        df.build(region, target=target)(np.zeros(N, np.int32))
    assert caught.value.notes[-1][1].file.endswith("kernel.py")


@pytest.mark.parametrize("body", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_that_ends_by_itself_is_none(body, target, tmp_path, monkeypatch):
    """However often it looks; the run goes on."""
    monkeypatch.setattr(processes, "_PATIENCE", 100)
    b = np.zeros(N, np.int32)
    df.build(region_of(body, tmp_path), target=target)(b)
    assert b[0] == 7


def test_where_it_is_not_known_the_run_ends_late_and_is_called_no_deadlock(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 100)
    monkeypatch.setattr(processes, "_LONG", 1000)
    region = region_of("while s.empty() and n < 20000:\n    n += 1", tmp_path)
    with pytest.raises(SimulationError, match="has looked at a stream") as caught:
        df.build(region)(np.zeros(N, np.int32))
    assert not isinstance(caught.value, Deadlock)
    assert caught.value.loc.text.strip() == "while s.empty() and n < 20000:"


@df.region()
def sees_some(B: int32[N]):
    """The reader waits until there are two, and sees the first one all the time."""
    s: Stream[int32, 2]
    full: Stream[int32, 1]

    @df.kernel(mapping=[1])
    def give():
        s.put(5)
        while not s.full():
            pass
        full.put(1)

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        going: UInt(1) = 1
        while going:
            _, _ = s.peek()
            _, told = full.peek()
            going = not told
        b[0] = s.get() + full.get()


@pytest.mark.parametrize("target", TARGETS)
def test_looks_that_find_something_do_not_hang(target):
    with pytest.raises(Deadlock, match="give_0 and take_0 look at streams in vain"):
        df.build(sees_some, target=target)(np.zeros(N, np.int32))


@pytest.mark.parametrize("kind", ["ends", "endless"])
def test_hardware_waits_for_loops_that_end(kind, monkeypatch):
    monkeypatch.setattr(cosim, "IN_VAIN", 200)

    counts = kind == "ends"

    @df.region()
    def long(B: int32[N]):
        s: Stream[int32, 2]
        t: Stream[int32, 2]

        @df.kernel(mapping=[1])
        def give():
            s.put(t.get())

        @df.kernel(mapping=[1], args=[B])
        def take(b: int32[N]):
            n: int32 = 0
            while s.empty() and n < 500:
                with allo.meta_if(counts):
                    n += 1
            b[1] = n
            t.put(7)
            b[0] = s.get()

    rtl = df.build(long, target="rtl")
    b = np.zeros(N, np.int32)
    if kind == "endless":
        with pytest.raises(Deadlock, match="take_0 looks at streams in vain"):
            rtl(b)
        return
    rtl(b)
    assert b[:2].tolist() == [7, 500]


def square(x: int32) -> int32:
    return x * x


@df.region()
def squares(A: int32[N], B: int32[N]):
    s: Stream[int32, 2]

    @df.kernel(mapping=[1], args=[A])
    def give(a: int32[N]):
        for i in range(N):
            s.put(a[i])

    @df.kernel(mapping=[1], args=[B])
    def take(b: int32[N]):
        n: int32 = 0
        while n < N:
            b[n] = square(s.get())
            n += 1


@pytest.mark.parametrize("target", TARGETS)
def test_loops_may_call_kernels_with_scalars(target):
    a, b = np.arange(N, dtype=np.int32), np.zeros(N, np.int32)
    df.build(squares, target=target)(a, b)
    assert (b == a * a).all()


def test_only_looks_in_loops_are_found():
    module = df.customize(sees_some).module
    found = {op for func in module.funcs for op in endless_in(func)}
    assert len(found) == 3
    assert all(isinstance(op, STREAM_OPS) for op in found)
