"""Random regions whose processes take turns at the memory ports of arrays."""

import random

from ir_writer import module_of
from stream_networks import ProcessWriter, region, stream

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Call, Func, Value
from allo_rtl.ir.types import ArrayType, DimPartition, Partition, int16, int32

WORDS = 12
"""Words of an array that is read, and that each process stores."""


class PortNetwork:
    """One random region; ``module`` has it.

    Two to four processes read the arrays ``A`` and ``B``, each of one bank or two, and store to a
    part of their own of ``R``.  Some hand values on by streams.  Their loops are pipelined or not,
    nested or not, read and store in every iteration or not, by themselves or in functions or
    regions that they call.
    """

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.count = self.dice.randint(2, 4)
        self.half = self.dice.randint(1, 3)
        self.arrays = [Value(self.banked((WORDS,)), name) for name in "AB"]
        self.result = Value(self.banked((WORDS * self.count,)), "R")
        self.links = []
        for k in range(self.dice.randint(0, self.count)):
            writer, reader = sorted(self.dice.sample(range(self.count), 2))
            depth = self.dice.choice([1, 2, 3, 6])
            self.links.append((stream(depth, name=f"s{k}"), writer, reader))
        self.funcs = []

    def banked(self, shape):
        if self.dice.random() < 0.6:
            return ArrayType(int16, shape)
        kind = self.dice.choice([Partition.Cyclic, Partition.Block])
        return ArrayType(int16, shape, (DimPartition(kind, 2),))

    def module(self):
        calls = [self.process(p) for p in range(self.count)]
        made = [s for s, *_ in self.links]
        top = region((*self.arrays, self.result), made, *calls)
        return module_of(*self.funcs, top)

    def params(self):
        return [Value(a.type, a.name) for a in (*self.arrays, self.result)]

    def process(self, p):
        """A process, and what it is given."""
        mine = [link for link in self.links if p in link[1:]]
        ends = {s: stream(s.type.depth, name=s.name) for s, *_ in mine}
        *arrays, result = self.params()
        w = ProcessWriter(*ends.values(), *arrays, result)
        total = w.variable(w.const(p + 1), "total")
        if self.dice.random() < 0.25:
            self.call(w, p, (*arrays, result), inside=self.dice.random() < 0.5)
        pipelined = self.dice.random() < 0.7
        attrs = {"pipeline_ii": self.dice.choice([1, 1, 2])} if pipelined else {}
        if self.dice.random() < 0.6:
            with w.loop("i", 2 * self.half, **attrs) as i:
                self.iteration(w, p, AffineExpr.of(i), i, mine, ends, total, arrays, result)
        else:
            with w.loop("t", 2) as t, w.loop("i", self.half, **attrs) as i:
                at = AffineExpr.of(i) + AffineExpr.of(t) * self.half
                self.iteration(w, p, at, i, mine, ends, total, arrays, result)
        w.store(w.cast(w.load(total), int16), result, WORDS * p + WORDS - 1)
        self.funcs.append(w.func(f"process{p}"))
        return self.funcs[-1], *(s for s, *_ in mine), *self.arrays, self.result

    def iteration(self, w, p, at, i, mine, ends, total, arrays, result):
        for s, _, reader in mine:
            if reader == p:
                w.store(w.binary("add", w.load(total), w.get(ends[s])), total)
        for _ in range(self.dice.randint(0, 2)):
            self.access(w, p, at, i, total, arrays, result)
        for s, writer, _ in mine:
            if writer == p:
                w.put(ends[s], w.binary("xor", w.load(total), p))
        for _ in range(self.dice.randint(0, 1)):
            self.access(w, p, at, i, total, arrays, result)

    def access(self, w, p, at, i, total, arrays, result):
        """Read and add, or store, perhaps in every other iteration alone."""
        place = at + self.dice.randint(0, 2)

        def once():
            if self.dice.random() < 0.6:
                word = w.cast(w.load(self.dice.choice(arrays), place), int32)
                scaled = w.binary(self.dice.choice(["add", "mul"]), w.load(total), 3)
                w.store(w.binary("add", scaled, word), total)
            else:
                w.store(w.cast(w.load(total), int16), result, place + WORDS * p)

        if self.dice.random() < 0.7:
            once()
            return
        odd = w.binary("and", w.cast(self.value(w, i), int32), 1)
        with w.if_(w.compare("eq", odd, self.dice.randint(0, 1))):
            once()

    def value(self, w, i):
        return w.load(w.variable(i, "count"))

    def call(self, w, p, arrays, inside):
        """Call a function with a loop of accesses of its own, or a region of two such."""
        parts = [self.reader(p, n) for n in range(2 if inside else 1)]
        called = parts[0]
        if inside:
            args = self.params()
            body = tuple(Call(callee=f.name, args=tuple(args)) for f in parts)
            called = Func(name=f"inner{p}", args=tuple(args), results=(), body=body, dataflow=True)
            self.funcs.append(called)
        w.call(called, *arrays)

    def reader(self, p, n):
        *arrays, result = self.params()
        w = ProcessWriter(*arrays, result)
        total = w.variable(w.const(n), "total")
        attrs = {"pipeline_ii": 1} if self.dice.random() < 0.7 else {}
        with w.loop("k", self.half + 1, **attrs) as k:
            word = w.load(self.dice.choice(arrays), k)
            w.store(w.binary("add", w.load(total), w.cast(word, int32)), total)
        w.store(w.cast(w.load(total), int16), result, WORDS * p + 8 + n)
        self.funcs.append(w.func(f"reader{p}_{n}"))
        return self.funcs[-1]
