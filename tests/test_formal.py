"""Model checks of FIFOs and of what makes kernels hold: for all inputs of some cycles.

Each check has covers that it must reach, and each contract finds errors that are put in.
"""

import importlib.util
import inspect
import sys

import pytest
from amaranth.hdl import Assert, Cover, Module, Signal
from stream_contracts import FifoContract, KernelContract, RunContract

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.errors import ToolError
from allo_rtl.hls import run_turns, task_region
from allo_rtl.hls.processes import FifoShape
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.types import Stream, UInt
from allo_rtl.rtl import array_streams, fifo, run_queue, streams
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim.formal import check

bit = UInt(1)
REGISTERS, LUT_RAM, RAM = StorageKind.REGISTERS, StorageKind.LUT_RAM, StorageKind.RAM


def mutant(module, old, new):
    """The module with one piece of its text replaced."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {module.__name__}"
    spec = importlib.util.spec_from_loader("mutant", loader=None)
    made = importlib.util.module_from_spec(spec)
    sys.modules["mutant"] = made
    exec(compile(source.replace(old, new), module.__file__, "exec"), made.__dict__)
    return made


# The checker


def counts_to(last, reached):
    m, value, go = Module(), Signal(3), Signal()
    with m.If(go):
        m.d.sync += value.eq(value + 1)
    m.d.comb += [Assert(value != last), Cover(value == reached)]
    return check(m, [go], 5)


def test_what_is_broken_and_what_is_never_reached():
    broken = counts_to(3, 2)
    assert not broken.holds
    assert "test_formal.py" in broken.broken
    missed = counts_to(6, 5)
    assert not missed.holds
    assert missed.broken is None
    assert len(missed.missed) == 1


def test_a_check_needs_a_cover():
    m, value = Module(), Signal(3)
    m.d.comb += Assert(value == 0)
    with pytest.raises(ToolError, match="a check without a cover proves nothing"):
        check(m, [], 2)


# FIFOs


def fifo_holds(shape, depth, cls=fifo.Fifo):
    contract = FifoContract(shape, cls)
    return check(contract, contract.ports, depth)


SHAPES = [
    (FifoShape(1, 2, REGISTERS), 9),
    (FifoShape(1, 3, RAM), 9),
    *(
        pytest.param(FifoShape(2, depth, kind), cycles, marks=pytest.mark.long)
        for depth, kind, cycles in [
            (1, REGISTERS, 10), (2, REGISTERS, 12), (3, REGISTERS, 12), (4, REGISTERS, 14),
            (2, RAM, 10), (3, RAM, 12), (3, LUT_RAM, 12), (4, LUT_RAM, 12),
        ]
    ),
    (FifoShape(1, 4, REGISTERS, block=2), 10),
    *(
        pytest.param(FifoShape(1, 4, kind, block=2, window=window), 12, marks=pytest.mark.long)
        for kind, window in [(REGISTERS, True), (RAM, False), (LUT_RAM, True)]
    ),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "cycles"), SHAPES, ids=str)
def test_a_fifo_keeps_its_values_and_their_order(shape, cycles):
    """No overflow, no underflow; none is lost, doubled or overtaken; the oldest stays on offer."""
    assert fifo_holds(shape, cycles).holds


TWO, THREE = FifoShape(2, 2, REGISTERS), FifoShape(2, 3, RAM)
BLOCKS, SEEN = FifoShape(1, 4, REGISTERS, block=2), FifoShape(1, 4, LUT_RAM, block=2, window=True)
FIFO_ERRORS = [
    (TWO, "return level != depth, level != 0", "return level == level, level != 0"),
    (TWO, "put & (level - get == k)", "put & (level == k)"),
    (TWO, "return level != depth, level != 0", "return level != depth, level == depth"),
    (THREE, "& (~held | self._get)", ""),
    (THREE, "return level != words, held", "return level == level, held"),
    (THREE, "with m.If(at == words - 1):", "with m.If(at == 0):"),
    (THREE, "with m.Elif(self._get):", "with m.Elif(0):"),
    (THREE, "m.d.sync += [level.eq(0), held.eq(0)]", "m.d.sync += level.eq(0)"),
    (BLOCKS, "return blocks != most, blocks != 0", "return blocks != most, blocks == blocks"),
    (BLOCKS, "return blocks != most, blocks != 0", "return blocks == blocks, blocks != 0"),
    (BLOCKS, "return step & at_last", "return step"),
    (SEEN, "beyond.eq(oldest + self.get_at)", "beyond.eq(oldest)"),
]


@pytest.mark.parametrize(
    ("shape", "old", "new"),
    [FIFO_ERRORS[1], *(pytest.param(*e, marks=pytest.mark.long) for e in FIFO_ERRORS)],
    ids=str,
)
def test_errors_in_a_fifo_are_found(shape, old, new):
    made = mutant(fifo, old, new)
    assert fifo_holds(shape, 9, made.Fifo).broken


# Kernels that hold while a stream does


def plus(A: bit[2], B: bit[2]):
    for i in range(2):
        B[i] = A[i] + 1


def two_by_two(A: bit[2], X: bit[2], C: bit[2], D: bit[2]):
    for i in range(2):
        a: bit = A[i]
        x: bit = X[i]
        C[i] = a + x
        D[i] = a & x


def pairs(A: bit[4], B: bit[2]):
    for i in range(2):
        first: bit = A[2 * i]
        B[i] = first & A[2 * i + 1]


@df.region()
def linked(A: bit[2], B: bit[2]):
    link: Stream[bit, 1]

    @df.kernel(mapping=[1], args=[A])
    def produce(a: bit[2]):
        for i in range(2):
            link.put(a[i] + 1)

    @df.kernel(mapping=[1], args=[B])
    def consume(b: bit[2]):
        for i in range(2):
            b[i] = link.get()


def backward(A: bit[8], B: bit[8]):
    """Tiles of two, each from its end: what passes between the loops is no FIFO."""
    for t in range(4):
        tile: bit[2]
        for i in range(2):
            tile[i] = A[2 * t + i]
        for j in range(2):
            B[2 * t + j] = tile[1 - j]


def turned(A: bit[2], B: bit[2]):
    tile: bit[2]
    for i in range(2):
        tile[i] = A[i]
    for j in range(2):
        B[j] = tile[1 - j]


def same(n):
    return n


MEANING = {
    plus: {"B": (lambda a: a + 1, ("A", same))},
    two_by_two: {
        "C": (lambda a, x: a + x, ("A", same), ("X", same)),
        "D": (lambda a, x: a & x, ("A", same), ("X", same)),
    },
    pairs: {"B": (lambda a, b: a & b, ("A", lambda n: 2 * n), ("A", lambda n: 2 * n + 1))},
    linked: {"B": (lambda a: a + 1, ("A", same))},
    backward: {"B": (lambda a: a, ("A", lambda n: n ^ 1))},
    turned: {"B": (lambda a: a, ("A", lambda n: n ^ 1))},
}


def kernel_holds(kernel, pipelined, cycles, runs=1, reach=None, overlap=1):
    s = df.customize(kernel, opt_default=pipelined) if kernel is linked else allo.customize(kernel)
    for array in s.top_func.args:
        s.interface(array.name, "stream")
    if pipelined and kernel is not linked:
        for _, band in s.get_loops():
            s.pipeline(list(band)[-1][1])
    if kernel is backward:
        s.dataflow("t")
    if kernel is turned:
        s.dataflow("turned")
    component = KernelComponent(s.build(target="rtl", overlap_runs=overlap).design)
    contract = KernelContract(component, MEANING[kernel], runs, reach)
    return check(contract, contract.ports, cycles)


@pytest.mark.parametrize(
    ("kernel", "pipelined", "cycles", "runs"),
    [
        (plus, True, 9, 1),
        (two_by_two, False, 9, 1),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in [
                (plus, False, 12, 1), (plus, True, 12, 2), (two_by_two, True, 10, 1),
                (pairs, True, 11, 1), (pairs, False, 11, 1), (linked, True, 11, 1),
                (linked, False, 12, 1),
            ]
        ),
    ],
    ids=lambda x: getattr(x, "__name__", str(x)),
)  # fmt: skip
def test_a_kernel_holds_and_loses_nothing(kernel, pipelined, cycles, runs):
    """Whenever words come and are taken: each word in its turn, and on offer until it is taken."""
    assert kernel_holds(kernel, pipelined, cycles, runs).holds


ISLAND_ERRORS = [
    (streams, "condition & step.reached & ~past", "condition & step.reached"),
    (streams, "(past | (wanted & can)) & ~self.advance", "wanted & can & ~self.advance"),
    (streams, "reduce(and_, granted, self.settled)", "1"),
    (streams, "return Mux(past, held, end.data)", "return end.data"),
    (array_streams, "last.eq(left == 0)", "last.eq(left == 1)"),
    (array_streams, "ready.eq(put.ready)", "ready.eq(1)"),
]


COLLECT_ERRORS = [
    ("ready & ~past & (may if is_last else 1)", "ready & (may if is_last else 1)"),
    ("words[node] = Mux(past, held, end.data)", "pass"),
    ("& ~(issue & self.advance)", "& ~issue"),
]


@pytest.mark.parametrize(
    ("old", "new"),
    [COLLECT_ERRORS[0], *(pytest.param(*e, marks=pytest.mark.long) for e in COLLECT_ERRORS)],
)
def test_errors_in_how_an_iteration_takes_its_words_are_found(old, new, monkeypatch):
    """It takes them before it waits for room, once, and keeps them."""
    made = mutant(streams, old, new)
    monkeypatch.setattr("allo_rtl.rtl.kernel.Island", made.Island)
    assert kernel_holds(linked, True, 11).broken


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [ISLAND_ERRORS[0], *(pytest.param(*e, marks=pytest.mark.long) for e in ISLAND_ERRORS)],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_errors_in_what_makes_it_hold_are_found(module, old, new, monkeypatch):
    made = mutant(module, old, new)
    for name in ("Island", "Streams", "connect_port"):
        if hasattr(made, name):
            monkeypatch.setattr(f"allo_rtl.rtl.kernel.{name}", getattr(made, name))
    assert kernel_holds(two_by_two, False, 9).broken


# Tasks that overlap on copies of a buffer

COPY_ERRORS = [
    ("self._when(number, Get(", "self._when(number + 1, Get("),
    ("self.before[task].append(Get(", "self.before[task].extend(() and Get("),
]


@pytest.mark.long
def test_tasks_do_not_overtake_each_other_in_a_buffer():
    """A copy is written when its reader is done with it, and read when its writer is."""
    assert kernel_holds(backward, True, 22, reach=4).holds


@pytest.mark.long
@pytest.mark.parametrize(("old", "new"), COPY_ERRORS)
def test_errors_in_the_turns_of_tasks_are_found(old, new, monkeypatch):
    made = mutant(task_region, old, new)
    monkeypatch.setattr("allo_rtl.hls.tasks.build_region", made.build_region)
    assert kernel_holds(backward, True, 24, reach=4).broken


# Runs that overlap


def runs_hold(queue_runs, most, cycles, total=3):
    contract = RunContract(queue_runs, 2, most, total)
    return check(contract, contract.ports, cycles)


@pytest.mark.parametrize(
    ("most", "cycles"), [(2, 9), pytest.param(3, 14, marks=pytest.mark.long)]
)
def test_each_process_makes_each_run_once_and_in_its_turn(most, cycles):
    """None starts before its place is free, ends come in order, and none is lost or doubled."""
    assert runs_hold(run_queue.queue_runs, most, cycles).holds


QUEUE_ERRORS = [
    ("start.eq(accept | (waiting != 0))", "start.eq(accept)"),
    ("ended.append(ends | (ahead != 0))", "ended.append(ends)"),
    ("ahead.eq(ahead + ends - over)", "ahead.eq(ahead + ends)"),
    ("waiting.eq(waiting + accept - taken)", "waiting.eq(waiting + accept)"),
    ("ends.eq(running & ready)", "ends.eq(running)"),
    ("range(most + 1)", "range(most)"),
]


@pytest.mark.parametrize(
    ("old", "new"),
    [QUEUE_ERRORS[0], *(pytest.param(*e, marks=pytest.mark.long) for e in QUEUE_ERRORS)],
)
def test_errors_in_the_control_of_runs_are_found(old, new):
    assert runs_hold(mutant(run_queue, old, new).queue_runs, 2, 9).broken


@pytest.mark.long
def test_runs_of_tasks_do_not_overtake_each_other_in_a_buffer():
    """A copy is written when its reader is done with the run before last, and read in its turn."""
    assert kernel_holds(turned, True, 21, runs=3, reach=5, overlap=3).holds


RUN_ERRORS = [
    (task_region, "_TOKEN, number, number if runs", "_TOKEN, number + 1, number + 1 if runs"),
    (run_turns, "AffineExpr.constant(1)).mod(", "AffineExpr.constant(0)).mod("),
]


@pytest.mark.long
@pytest.mark.parametrize(("module", "old", "new"), RUN_ERRORS, ids=["a token too many", "no turns"])
def test_errors_in_the_copies_of_runs_are_found(module, old, new, monkeypatch):
    made = mutant(module, old, new)
    if module is run_turns:
        monkeypatch.setattr("allo_rtl.hls.task_region.Turn", made.Turn)
    else:
        monkeypatch.setattr("allo_rtl.hls.tasks.build_region", made.build_region)
    assert kernel_holds(turned, True, 26, runs=4, reach=6, overlap=4).broken
