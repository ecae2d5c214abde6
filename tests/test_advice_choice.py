"""Which change is told, and which are not even scheduled."""

import pytest
from advice_text import pasted
from agreement import check
from test_advice import CORPUS, pipelined

import allo_rtl as allo
from allo_rtl.advice.bounds import costs_at_least, spent
from allo_rtl.advice.candidates import families
from allo_rtl.advice.choice import best_of
from allo_rtl.advice.cost import Cost, cost
from allo_rtl.advice.trial import Effort, Trial
from allo_rtl.hls.certificate import Reason
from allo_rtl.ir.types import Partition, float32, int32
from allo_rtl.target import device

# Odd shapes.


def cross(A: int32[7, 13], B: int32[5, 11]):
    for i, j in allo.grid(5, 11):
        B[i, j] = A[i, j + 1] + A[i + 1, j] + A[i + 1, j + 2] + A[i + 2, j + 1]


def triple(A: int32[21], C: int32[7]):
    for i in range(7):
        C[i] = A[3 * i] + A[3 * i + 1] * A[3 * i + 2]


def columns(A: int32[7, 5], B: int32[7]):
    for i in range(7):
        B[i] = A[i, 0] + A[i, 4] * A[i, 1]


def ends(A: int32[14], C: int32[7]):
    for i in range(7):
        C[i] = A[i] - A[13 - i]


def sums(A: int32[9, 6], x: int32[6], y: int32[9]):
    for i in range(9):
        for j in range(6):
            y[i] = (y[i] ^ A[i, j]) * x[j]


ODD = {
    "cross": (lambda: pipelined(cross, "j"), 50),
    "triple": (lambda: pipelined(triple, "i"), 50),
    "columns": (lambda: pipelined(columns, "i"), 50),
    "ends": (lambda: pipelined(ends, "i"), 50),
    "sums": (lambda: pipelined(sums, "j"), 100),
}
CASES = {k: CORPUS[k] for k in ("block", "window", "rows", "product", "on_chip", "histogram")} | ODD


def looked_at(make, clock):
    """The schedule as it is, after all that is tried of it was tried, with what is told."""
    base = Trial.of(make(), device("ecp5-85"), float(clock), {}, Effort())
    told = [(loop, best_of(base, loop, families(base, loop))) for loop in base.loops]
    return base, [(loop, advice) for loop, advice in told if advice]


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_is_the_cheapest_with_its_cycles(name):
    base, told = looked_at(*CASES[name])
    assert told
    clock = base.design.clock_mhz
    for _, advice in told:
        for edit, trial in base.effort.tried:
            time = trial.latency / trial.design.clock_mhz
            if time == advice.latency[1] / advice.clock_mhz[1]:
                assert cost(edit, base.design, trial.design) >= advice.cost
            elif len(told) == 1 and advice.clock_mhz[1] == clock:
                assert time * clock * 1.02 >= advice.latency[1]


@pytest.mark.parametrize(("name", "banks"), [("cross", 9), ("ends", 2), ("triple", 3)])
def test_the_fewest_banks_are_told_and_hold_the_same(name, banks):
    make, clock = ODD[name]
    [advice] = allo.advise(make(), "ecp5-85", clock)
    assert advice.cost.memories == banks - 1
    s, options = pasted(advice, make(), clock)
    options |= {"device": "ecp5-85", "simulator": "pysim"}
    rtl = check(s, original=make().module, seeds=(0,), **options)
    assert rtl.measured_cycles == advice.latency[1]


@pytest.mark.parametrize("name", CASES)
def test_sketches_are_bounds_of_what_is_scheduled(name):
    base, told = looked_at(*CASES[name])
    known = 0
    for loop, _ in told:
        for edit, trial in base.effort.tried:
            after = trial.loop(loop.func, edit.loop, edit.loc)
            sketch = base.sketched(edit)
            assert costs_at_least(base, edit) <= cost(edit, base.design, trial.design)
            least = sketch.cycles(loop.func, edit.loop, edit.loc)
            if after is not None and least is not None:
                known += 1
                assert least <= spent(trial, after)
    assert known


def test_costs_are_compared_in_their_order():
    assert Cost(0, 9, 9, 9, 9) < Cost(1) < Cost(2)
    assert Cost(0, 0, 9, 9, 9) < Cost(0, 1) < Cost(0, 1, 0, 0, 1)
    assert Cost(0, 0, 1) > Cost(0, 0, 0, 5, 5)


def test_a_change_that_is_for_another_loop_is_told_there_alone():
    """A in two banks: the first loop still waits for B, which nothing keeps apart."""

    def two(A: int32[13], B: int32[8], C: int32[6], D: int32[6]):
        for i in range(6):
            C[i] = A[i] + A[i + 1] + B[i] * B[B[i] & 7]
        for j in range(6):
            D[j] = A[2 * j] - A[2 * j + 1]

    s = allo.customize(two)
    s.pipeline("i")
    s.pipeline("j")
    [advice] = allo.advise(s, "ecp5-85", 50)
    assert advice.loop == "two:j"


def test_copies_that_cannot_be_faster_are_not_scheduled(monkeypatch):
    """Two rows at once wait twice as long for the sums of those before; that is known early."""

    def turns(A: float32[8, 16], y: float32[16]):
        for j in range(8):
            for i in range(16):
                y[i] += A[j, i]

    s = allo.customize(turns)
    s.unroll("i", 2)
    s.partition("A", Partition.Cyclic, dim=2, factor=2)
    s.partition("y", Partition.Cyclic, factor=2)
    s.pipeline("i")

    def lines():
        found: list[str] = []
        allo.advise(s, "ecp5-85", 100, progress=found.append)
        assert found[0].startswith("turns:i: ")
        return [line for line in found if "s.split('j', 2)" in line]

    assert not lines()
    monkeypatch.setattr("allo_rtl.advice.lanes.may_help", lambda *_: True)
    monkeypatch.setattr("allo_rtl.advice.choice.may_help", lambda *_: True)
    [line, *_] = lines()
    assert line.partition(" cycles")[0].isdecimal()


def test_an_edit_that_helps_several_loops_is_told_once():
    def matmul(A: int32[3, 4], B: int32[4, 5], C: int32[3, 5]):
        for i in range(3):
            for j in range(5):
                total: int32 = 0
                for k in range(4):
                    total += A[i, k] * B[k, j]
                C[i, j] = total

    edits = [a.edit for a in allo.advise(pipelined(matmul, "k"), "ecp5-85", 50, {"mul": 1})]
    assert edits == ["in place of s.pipeline('k'): s.pipeline('k', rewind=True)"]


def test_what_costs_hardware_has_to_save_a_good_part():
    """Banks alone would let the pipeline fill two cycles sooner; a row at once pays for its own."""

    def seidel(A: int32[6, 7]):
        for i in range(1, 5):
            for j in range(1, 6):
                A[i, j] = (A[i - 1, j] + A[i + 1, j] + A[i, j - 1] + A[i, j + 1]) >> 2

    [advice] = allo.advise(pipelined(seidel, "j"), "ecp5-85", 100)
    assert advice.cost.memories
    assert advice.edit.startswith("s.unroll('j', 5)")
    assert advice.latency[1] < 0.95 * advice.latency[0]


def test_a_port_is_not_blamed_alone_where_a_recurrence_takes_as_long():
    def both(A: float32[9], B: int32[15], C: int32[9]) -> float32:
        total: float32 = 0.0
        for i in range(9):
            total += A[i]
            C[i] = B[i] ^ B[i + 1] ^ B[i + 2] ^ B[i + 3] ^ B[i + 4] ^ B[i + 5] ^ B[i + 6]
        return total

    options = {"target": "rtl", "device": "ecp5-85", "clock_mhz": 100}
    [loop] = pipelined(both, "i").build(**options).report().loops
    assert (loop.ii, loop.certificate.reason) == (7, Reason.PORT)
    assert "through one port; and a recurrence takes as long (total, written at" in loop.limit
