"""Random networks of processes: their loops get and put at random rates, in random order.

All of them read one array and write another.  Many deadlock.
"""

import random

from ir_writer import Writer, module_of

from allo_rtl.ir.ops import Call, Func, Value
from allo_rtl.ir.stream_ops import Get, MakeStream, Poll, PollKind, Put, TryGet, TryPut
from allo_rtl.ir.types import StreamType, bool_, index, int16, int32


class ProcessWriter(Writer):
    """Writes a process: a function that uses streams."""

    def get(self, stream):
        return self.define(Get, stream.type.element, stream=stream)

    def put(self, stream, value):
        self.add(Put, stream=stream, value=value)

    def try_get(self, stream, peek=False):
        result, done = Value(stream.type.element), Value(bool_)
        self.add(TryGet, result=result, done=done, stream=stream, peek=peek)
        return result, done

    def try_put(self, stream, value):
        done = Value(bool_)
        self.add(TryPut, done=done, stream=stream, value=value)
        return done

    def poll(self, stream, kind):
        return self.define(Poll, bool_, kind=PollKind(kind), stream=stream)


def stream(depth=2, element=int32, name="s"):
    """A stream to be made or passed."""
    return Value(StreamType(element, depth), name)


def region(args, streams, *calls, name="top"):
    """A region that makes streams; ``calls`` are (process, arguments ...)."""
    body = (
        *(MakeStream(result=s) for s in streams),
        *(Call(callee=f.name, args=tuple(given)) for f, *given in calls),
    )
    return Func(name=name, args=tuple(args), results=(), body=body, dataflow=True)


class Network:
    """One random network; in ``module`` each process writes the sum of what it took to ``R``.

    Args:
        seed: which.
        pipelined: whether processes may be pipelined; they then run ahead a little, and a network
            that deadlocks may not in hardware.
        apart: whether each process has arrays of its own, and so no memory port to wait for.
    """

    def __init__(self, seed, pipelined, apart=False):
        self.dice = random.Random(seed)
        self.pipelined = pipelined
        self.apart = apart
        self.count = self.dice.randint(2, 4)
        self.trip = self.dice.randint(2, 5)
        self.streams = []
        for k in range(self.dice.randint(self.count - 1, self.count + 2)):
            writer, reader = self.dice.sample(range(self.count), 2)
            # Those that go back to a process that stands before have values from the start.
            first = self.dice.randint(1, 2) if writer > reader and self.dice.random() < 0.6 else 0
            rate = self.dice.choice([1, 1, 2, 3])
            depth = max(first, self.dice.choice([1, 1, 1, 2, 3]))
            sometimes = self.dice.random() < 0.3
            link = stream(depth, name=f"s{k}")
            self.streams.append((link, writer, reader, first, rate, sometimes))

        # Where all processes keep to one order nothing waits for ever.
        self.order = [entry for entry in self.streams for _ in range(entry[4])]
        self.dice.shuffle(self.order)

    def module(self):
        funcs = [self.process(p) for p in range(self.count)]
        arrays = [
            (Value(int16[8], f"D{p}"), Value(int16[self.count], f"R{p}")) for p in range(self.count)
        ]
        if not self.apart:
            arrays = [arrays[0]] * self.count
        made = [s for s, *_ in self.streams]
        calls = [
            (f, *(s for s, w, r, *_ in self.streams if p in (w, r)), *arrays[p])
            for p, f in enumerate(funcs)
        ]
        args = dict.fromkeys(a for pair in arrays for a in pair)
        return module_of(*funcs, region(args, made, *calls))

    def process(self, p):
        mine = [entry for entry in self.streams if p in entry[1:3]]
        params = {entry[0]: stream(entry[0].type.depth, name=entry[0].name) for entry in mine}
        data, result = Value(int16[8], "D"), Value(int16[self.count], "R")
        w = ProcessWriter(*params.values(), data, result)
        total = w.variable(w.const(p + 1), "total")
        for s, writer, _, first, *_ in mine:
            for _ in range(first if writer == p else 0):
                self.put(w, params[s], total)
        todo = [entry for entry in self.order if p in entry[1:3]]
        if self.dice.random() < 0.4:
            self.dice.shuffle(todo)
        attrs = {"pipeline_ii": 1} if self.pipelined and self.dice.random() < 0.7 else {}
        with w.loop("i", self.trip, **attrs) as i:
            w.store(w.binary("add", w.load(total), w.cast(w.load(data, i), int32)), total)
            for s, writer, _, _, _, sometimes in todo:
                step = self.put if writer == p else self.take
                if sometimes:
                    with w.if_(self.is_even(w, i)):
                        step(w, params[s], total)
                else:
                    step(w, params[s], total)
        for s, _, reader, first, *_ in mine:
            for _ in range(first if reader == p else 0):
                self.take(w, params[s], total)
        w.store(w.cast(w.load(total), int16), result, p)
        return w.func(f"process{p}")

    def is_even(self, w, i):
        count = w.variable(i, "count")
        return w.compare("eq", w.binary("and", w.load(count), w.const(1, index)), w.const(0, index))

    def put(self, w, s, total):
        w.put(s, w.binary("xor", w.load(total), self.dice.randrange(100)))

    def take(self, w, s, total):
        scaled = w.binary(self.dice.choice(["mul", "add"]), w.load(total), 5)
        w.store(w.binary("add", scaled, w.get(s)), total)
