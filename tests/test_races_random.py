"""Random processes that use one array in turns: what is refused is what has several results."""

import random
from itertools import product

import numpy as np
import pytest

import allo_rtl.dataflow as df
from allo_rtl.errors import LanguageError
from allo_rtl.ir.evaluate import evaluate

CELLS = 4
HEAD = """
@df.region()
def region(B: int32[{cells}, 2]):
"""


class Program:
    """Three processes that store to an array, and hand tokens over; straight text and loops.

    Each step is ("put", stream), ("get", stream), ("store", column, factor, offset) or
    ("loop", count, steps); a store in a loop is to the cell ``factor * i + offset``.
    """

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.processes = [[], [], []]
        for _ in range(self.dice.randint(2, 5)):
            self.add_stage()

    def add_stage(self):
        """One process stores and then tells another; sometimes it is the other way around."""
        one, other = self.dice.sample(range(3), 2)
        count = self.dice.randint(1, 3)
        store = ("store", self.dice.randrange(2), self.dice.randrange(2), self.dice.randrange(2))
        steps = [store, ("put", (one, other))]
        if self.dice.random() < 0.15:
            steps.reverse()
        self.processes[one].append(("loop", count, steps))
        if self.dice.random() < 0.8:
            self.processes[other].append(("loop", count, [("get", (one, other))]))
            after = self.processes[other]
        else:
            inner = ("store", store[1], store[2], self.dice.choice([store[3], 0]))
            after = self.processes[other]
            after.append(("loop", count, [("get", (one, other)), inner]))
        if self.dice.random() < 0.3:
            after.append(("loop", 1, [("store", self.dice.randrange(2), 0, 1)]))

    def text(self):
        """The region in Python."""
        streams = sorted({s[1] for p in self.processes for _, _, steps in p for s in steps
                          if s[0] != "store"})  # fmt: skip
        lines = [HEAD.format(cells=CELLS)]
        lines += [f"    s{a}{b}: Stream[int32, 16]\n" for a, b in streams]
        for p, steps in enumerate(self.processes):
            if not steps:
                continue
            lines.append("    @df.kernel(mapping=[1], args=[B])\n")
            lines.append(f"    def p{p}(b: int32[{CELLS}, 2]):\n")
            for k, (_, count, inner) in enumerate(steps):
                lines.append(f"        for i in range({count}):\n")
                lines += [f"            {self.line(p, k, s)}\n" for s in inner]
        return "".join(lines)

    def line(self, p, k, step):
        match step:
            case ("put", (a, b)):
                return f"s{a}{b}.put(i)"
            case ("get", (a, b)):
                return f"s{a}{b}.get()"
            case ("store", column, factor, offset):
                return f"b[{factor} * i + {offset}, {column}] = {100 * p + 10 * k} + i"

    def events(self, p):
        """(what, stream or cell) in the order of the text."""
        for _, count, steps in self.processes[p]:
            for i, step in product(range(count), steps):
                if step[0] == "store":
                    yield "store", (step[2] * i + step[3], step[1])
                else:
                    yield step

    def has_race(self):
        """Whether two stores to a cell are in no order: by the closure of all that is before."""
        events, before = [], []
        sent = {}
        for p in range(3):
            for n, event in enumerate(self.events(p)):
                if n:
                    before.append((len(events) - 1, len(events)))
                events.append((p, *event))
        for n, (_, what, where) in enumerate(events):
            if what != "store":
                sent.setdefault((what, where), []).append(n)
        for (what, where), puts in sent.items():
            if what == "put":
                before += zip(puts, sent.get(("get", where), []), strict=False)
        reached = np.eye(len(events), dtype=bool)
        for a, b in before:
            reached[a, b] = True
        for k in range(len(events)):
            reached |= np.outer(reached[:, k], reached[k])
        stores = [n for n, e in enumerate(events) if e[1] == "store"]
        return any(
            events[a][2] == events[b][2] and events[a][0] != events[b][0]
            and not reached[a, b] and not reached[b, a]
            for a, b in product(stores, stores)
        )  # fmt: skip


def captured(program):
    """The schedule, or None where it is refused for a race."""
    try:
        return df.customize(program.text())
    except LanguageError as error:
        if "both store to" not in error.message:
            raise
        return None


def seeds(count, keep):
    """The first seeds of programs that can be captured and are of a kind."""
    found = []
    seed = 0
    while len(found) < count:
        if keep(Program(seed)):
            found.append(seed)
        seed += 1
    return found


def test_just_what_has_no_order_is_refused():
    refused = 0
    for seed in range(60):
        program = Program(seed)
        schedule = captured(program)
        assert (schedule is None) == program.has_race(), program.text()
        refused += schedule is None
    assert 10 < refused < 50


@pytest.mark.parametrize("seed", seeds(4, lambda p: not p.has_race()))
def test_hardware_keeps_the_order(seed):
    s = df.customize(Program(seed).text(), opt_default=True)
    expected, found = np.zeros((2, CELLS, 2), np.int32)
    evaluate(s.module, [expected])
    rtl = s.build(target="rtl")
    rtl.simulator = "pysim"
    rtl(found)
    np.testing.assert_array_equal(found, expected)
