"""Steady states of the model of regions are skipped, and nothing else changes by that."""

import random

import numpy as np
import pytest

import allo_rtl as allo
import allo_rtl.dataflow as df
from allo_rtl.hls import depths_steady
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.depths_fifo import Room
from allo_rtl.hls.depths_model import play
from allo_rtl.hls.depths_search import Model, streams_of
from allo_rtl.hls.depths_trace import Claim, Fork, Pipe, Process, Steps
from allo_rtl.hls.design import build_design
from allo_rtl.hls.node import Bank
from allo_rtl.hls.processes import BankEnd
from allo_rtl.hls.streams import End
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import ArrayType, Stream, StreamType, int32
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim import pysim
from allo_rtl.sim.marshal import to_words
from allo_rtl.target import device


def zeros(design):
    types = [a.type for a in design.module.top_func.args]
    return [to_words(np.zeros(t.shape, int).astype(object), t.element) for t in types]


def long_design(length, readers=3):
    """Readers of one memory, of different rates, whose values meet."""

    @df.region()
    def gather(A: int32[length], B: int32[length]):
        parts: Stream[int32, 2][readers]

        @df.kernel(mapping=[readers], args=[A])
        def read(a: int32[length]):
            p = df.get_pid()
            for i in range(length):
                parts[p].put(a[i])

        @df.kernel(mapping=[1], args=[B])
        def add(b: int32[length]):
            for i in range(length):
                total: int32 = 0
                with allo.meta_for(readers) as p:
                    total += parts[p].get()
                b[i] = total

    s = df.customize(gather, opt_default=True)
    return build_design(s.module, device("ecp5-85"), 50.0)


def outcome(design):
    model = Model(design)
    return model.run({s: design.depth(s) for s in streams_of(design)})


def test_steady_states_are_skipped_and_nothing_else_changes(monkeypatch):
    design = long_design(2000)
    quick = outcome(design)
    monkeypatch.setattr(depths_steady, "_FIRST", 10**9)
    slow = outcome(design)
    assert quick.played < slow.played / 4
    assert quick.cycles == slow.cycles > 3 * 2000
    assert quick.most == slow.most
    assert quick.late == slow.late
    assert {s: list(p) for s, p in quick.puts.items()} == {s: list(p) for s, p in slow.puts.items()}


def test_what_is_skipped_is_what_is_simulated():
    design = long_design(700, readers=2)
    assert outcome(design).played < 5 * 700
    assert pysim.run(KernelComponent(design), zeros(design))[1] == run_cycles(design)


def test_a_run_of_a_million_steps_is_played_in_no_time():
    short, long = (run_cycles(long_design(n)) for n in (1000, 100_000))
    assert long - short == 3 * 99_000


# Random traces


class Traces:
    """Processes that do the same for many rounds, now and then a round that is another one.

    In a round each stream carries a value or two; some processes are pipelines with leading gets,
    and all may ask for ports that they share.
    """

    def __init__(self, seed, rounds=400):
        self.dice = dice = random.Random(seed)
        self.rounds = rounds
        self.count = dice.randint(2, 4)
        self.odd = dice.choice([0, 0, 7, 50, 130])
        array = Value(ArrayType(int32, (8,)), "A")
        ends = [BankEnd(Bank(array, b), end) for b in range(2) for end in End]
        self.claims = [Claim(frozenset(dice.sample(ends, dice.randint(1, 2)))) for _ in range(4)]
        self.ports = {e: e for e in ends}
        self.links = []
        for k in range(dice.randint(1, self.count + 1)):
            writer, reader = dice.sample(range(self.count), 2)
            first = 0 if writer < reader else dice.randint(1, 3)
            link = Value(StreamType(int32, 2, first), f"s{k}")
            self.links.append((link, writer, reader, dice.randint(1, 2)))
        self.rooms = {s: self.room(s.type.initial) for s, *_ in self.links}

    def room(self, first):
        depth = self.dice.choice([None, 1, 2, 3, 4, 8, 30])
        if depth is None:
            return Room(None)
        return Room(max(depth, first), depth > 4 and not first)

    def trace(self):
        processes = tuple(self.process(p) for p in range(self.count))
        return (Fork(tuple(s for s, *_ in self.links), processes),)

    def process(self, p):
        dice = self.dice
        gets = [s for s, _, reader, n in self.links if reader == p for _ in range(n)]
        puts = [s for s, writer, _, n in self.links if writer == p for _ in range(n)]
        is_pipe = bool(gets) and dice.random() < 0.6
        bodies = [self.body([] if is_pipe else gets, puts) for _ in range(2)]
        each = [
            bodies[1 if self.odd and k % self.odd == self.odd - 1 else 0]
            for k in range(self.rounds)
        ]
        given = {s: s for s, *_ in self.links}
        if is_pipe:
            at_start = any(cycle == 0 and is_put for b in bodies for cycle, _, is_put in b)
            early = at_start or dice.random() < 0.5
            length = 1 + max((b[-1][0] for b in bodies if b), default=0)
            parts = (Pipe(tuple(gets), tuple(each), dice.randint(1, 3), length, early),)
        else:
            parts = (Steps(tuple((c - b + 1, w, x) for b, c, w, x in flat(each)), 2),)
        return Process(f"p{p}", parts, given, self.ports)

    def body(self, gets, puts):
        """Steps of a round: (cycle, what, whether it is put)."""
        dice, cycle, found = self.dice, 0, []
        for what, is_put in [(s, False) for s in gets] + [(s, True) for s in puts]:
            if dice.random() < 0.4:
                found.append((cycle, dice.choice(self.claims), False))
                cycle += 1
            cycle += dice.randint(0, 2)
            if found and found[-1][0] == cycle and found[-1][1] is what:
                cycle += 1
            found.append((cycle, what, is_put))
        found.append((cycle + 1, dice.choice(self.claims), False))
        return tuple(found)


def flat(rounds):
    """The steps of rounds, one after the other: (cycle before, cycle, what, whether it is put)."""
    start, before = 0, 0
    for body in rounds:
        for cycle, what, is_put in body:
            yield before, start + cycle, what, is_put
            before = start + cycle
        start += body[-1][0] + 1


def known(outcome):
    puts = {s: list(times) for s, times in outcome.puts.items()}
    return outcome.cycles, outcome.late, outcome.most, puts, outcome.waits


def compare(seeds, monkeypatch):
    """Play each with skipping and without; how many were much shorter to play."""
    short = 0
    for seed in seeds:
        traces = Traces(seed)
        trace = traces.trace()
        with monkeypatch.context() as patch:
            patch.setattr(depths_steady, "_FIRST", 50)
            quick = play(trace, traces.rooms)
            patch.setattr(depths_steady, "_FIRST", 10**9)
            slow = play(trace, traces.rooms)
        assert known(quick) == known(slow), seed
        short += quick.played < slow.played / 2
    return short


def test_random_traces(monkeypatch):
    assert compare(range(40), monkeypatch) > 15


@pytest.mark.long
def test_a_thousand_random_traces(monkeypatch):
    assert compare(range(1000, 2000), monkeypatch) > 400
