"""What a FIFO, and a kernel with streams, must do in every cycle: designs for model checks.

Each asserts its contract about a token that is picked freely, so that what holds for it holds for
every one: it comes out once, in its turn, with its value.
"""

from amaranth.hdl import (
    Assert,
    Assume,
    Const,
    Cover,
    Elaboratable,
    Module,
    Mux,
    ResetSignal,
    Signal,
)

from allo_rtl.rtl.fifo import Fifo
from allo_rtl.rtl.interface import ArrayStream, Direction
from allo_rtl.rtl.names import Names

COUNT_BITS = 4


class FifoContract(Elaboratable):
    """A FIFO whose both ends do whatever they like.

    No overflow and no underflow, no value is lost, doubled or overtaken, and the oldest stays on
    offer until it is taken.  Of blocks there is room for all or none, and all or none is on offer;
    through a window any value of the next block is seen.
    """

    def __init__(self, shape, fifo=Fifo):
        self.shape = shape
        self.fifo = fifo(shape)
        self.put, self.data = Signal(), Signal(shape.width)
        self.get, self.clear, self.pick = Signal(), Signal(), Signal()
        self.at = Signal(max(1, shape.window_bits))
        self.ports = [self.put, self.data, self.get, self.clear, self.pick, self.at]

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = self.fifo
        m.d.comb += [
            fifo.put_valid.eq(self.put), fifo.put_data.eq(self.data),
            fifo.get_ready.eq(self.get), fifo.clear.eq(self.clear),
        ]
        put, got = self.put & fifo.put_ready, fifo.get_valid & self.get
        held, size = Signal(COUNT_BITS), self.shape.block
        m.d.sync += held.eq(Mux(self.clear, 0, held + put - got))
        begun, left = self._place(m, put), self._place(m, got)
        fits = (begun != 0) | (held + left + size <= self.shape.depth)
        there = held + left >= begun + size
        m.d.comb += [Assert(~fifo.put_ready | fits), Assert(~fifo.get_valid | there)]
        if self.shape.window:
            m.d.comb += [fifo.get_at.eq(self.at), Assume((self.at == 0) | (~got & (left == 0)))]
            m.d.comb += Assume(self.at < size)
        self._prompt(m, fits, there)
        out = self._token(m, held, put, got)
        data = Const(0) if self.shape.window else fifo.get_data
        stays(m, fifo.get_valid, data, self.get | self.clear)
        full_once = Signal()
        m.d.sync += full_once.eq(full_once | (held == self.shape.depth))
        m.d.comb += [Cover(held == self.shape.depth), Cover(out & full_once & (held == 0))]
        return m

    def _place(self, m, step):
        """How many values of a block were put (taken)."""
        if self.shape.block == 1:
            return Const(0, 1)
        place = Signal(range(self.shape.block))
        after = Mux(place == self.shape.block - 1, 0, place + 1)
        m.d.sync += place.eq(Mux(self.clear, 0, Mux(step, after, place)))
        return place

    def _prompt(self, m, fits, there):
        """What is in it is on offer at the latest two cycles later, as room is."""
        for name, late in (
            ("empty", there & ~self.fifo.get_valid), ("full", fits & ~self.fifo.put_ready)
        ):
            cycles = Signal(3, name=f"{name}_for")
            m.d.sync += cycles.eq(Mux(late & ~self.clear, cycles + 1, 0))
            m.d.comb += Assert(cycles < 2)

    def _token(self, m, held, put, got):
        """Follow a picked value: ``ahead`` others come out before it."""
        inside, out = Signal(), Signal()
        value, ahead = Signal(self.shape.width), Signal(COUNT_BITS)
        with m.If(self.clear):
            m.d.sync += inside.eq(0)
        with m.Elif(put & self.pick & ~inside & ~out):
            m.d.sync += [inside.eq(1), value.eq(self.data), ahead.eq(held - got)]
        with m.Elif(inside & got):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += [inside.eq(0), out.eq(1)]
        at = self.at if self.shape.window else 0
        with m.If(inside & (ahead == at) & self.fifo.get_valid):
            m.d.comb += Assert(self.fifo.get_data == value)
        return out


def stays(m, valid, data, gone):
    """What is on offer, and not ``gone`` after this cycle, is there in the next, unchanged."""
    waiting, before = Signal(), Signal(len(data))
    m.d.sync += [waiting.eq(valid & ~gone), before.eq(data)]
    with m.If(waiting):
        m.d.comb += [Assert(valid), Assert(data == before)]


class KernelContract(Elaboratable):
    """A kernel all of whose arrays are streams, run again and again.

    Word ``n`` of an output is ``meaning[name]`` of certain words of the inputs.  The inputs keep
    to the protocol, and everything else is free.

    Args:
        kernel: the component.
        meaning: for each output a function of (Amaranth values of the words), and for each of
            these the input and which word of it, a function of ``n``.
        runs: how many runs there are at most.
        reach: of how many words of each output, having waited, a check must see a run; None is
            the end of all runs.
    """

    def __init__(self, kernel, meaning, runs=1, reach=None):
        self.kernel = kernel
        self.runs, self.reach = runs, reach
        self.meaning = meaning
        self.streams = [p for p in (*kernel.interface.args, *kernel.interface.results)
                        if isinstance(p, ArrayStream)]
        self.room = {
            port.name: kernel.design.fifo(value).depth
            for value, port in kernel._ports() if port in self.streams
        }
        self.start, self.index = Signal(), Signal(COUNT_BITS)
        self.inputs = {
            p.name: (Signal(p.width, name=f"{p.name}_data"), Signal(name=f"{p.name}_valid"))
            for p in self.streams if p.direction is Direction.READ
        }
        self.readies = {p.name: Signal(name=f"{p.name}_ready") for p in self.streams
                        if p.name not in self.inputs}
        self.ports = [self.start, self.index, *self.readies.values(),
                      *(x for pair in self.inputs.values() for x in pair)]

    def elaborate(self, platform):
        m = Module()
        m.submodules.kernel = kernel = self.kernel
        m.d.comb += kernel.start.eq(self.start)
        started, ended = Signal(COUNT_BITS), Signal(COUNT_BITS)
        m.d.sync += [
            started.eq(started + (kernel.start & kernel.ready)), ended.eq(ended + kernel.done)
        ]
        m.d.comb += [Assert(ended <= started), Assume(started <= self.runs)]
        m.d.comb += Assume(~ResetSignal())  # what a reset does is the FIFOs' contract
        first, index = Signal(init=1), Signal(COUNT_BITS)
        m.d.sync += [first.eq(0), index.eq(self.index)]
        m.d.comb += Assume(first | (index == self.index))
        counts = {p.name: self._input(m, p, started) for p in self.streams
                  if p.name in self.inputs}
        waited = Const(1, 1)
        for port in self.streams:
            if port.name in self.readies:
                waited = waited & self._output(m, port, counts, started, ended)
        m.d.comb += Cover(waited if self.reach else (ended == self.runs) & waited)
        return m

    def _member(self, port, part):
        return getattr(self.kernel, f"{port.name}_{part}")

    def _input(self, m, port, started):
        """Drive an input by the protocol; how many of its words were taken."""
        data, valid = self.inputs[port.name]
        ready = self._member(port, "tready")
        m.d.comb += [
            self._member(port, "tdata").eq(data), self._member(port, "tvalid").eq(valid)
        ]
        waiting, before = Signal(), Signal(port.width)
        m.d.sync += [waiting.eq(valid & ~ready), before.eq(data)]
        m.d.comb += Assume(~waiting | (valid & (data == before)))
        count = Signal(COUNT_BITS, name=f"{port.name}_count")
        m.d.sync += count.eq(count + (valid & ready))
        m.d.comb += Assert(count <= port.words * started + self.room[port.name])
        return count

    def _word(self, m, name, number, counts):
        """Word ``number`` of an input once it was taken, and whether it was."""
        data, valid = self.inputs[name]
        kept, was_taken = Signal(len(data)), Signal()
        ready = getattr(self.kernel, f"{name}_tready")
        with m.If(valid & ready & (counts[name] == number)):
            m.d.sync += [kept.eq(data), was_taken.eq(1)]
        return kept, was_taken

    def _output(self, m, port, counts, started, ended):
        """Assert what an output is; whether it had to wait once and has had the picked word."""
        data = self._member(port, "tdata")[: port.width]
        valid, last = self._member(port, "tvalid"), self._member(port, "tlast")
        ready = self.readies[port.name]
        m.d.comb += self._member(port, "tready").eq(ready)
        stays(m, valid, data, ready)
        taken = valid & ready
        count, place = Signal(COUNT_BITS), Signal(range(port.words + 1))
        is_last = place == port.words - 1
        with m.If(taken):
            m.d.sync += [count.eq(count + 1), place.eq(Mux(is_last, 0, place + 1))]
            m.d.comb += Assert(last == is_last)
        m.d.comb += [
            Assert(count + taken <= port.words * started),
            Assert(count + self.room[port.name] >= port.words * ended),
        ]
        function, *sources = self.meaning[port.name]
        words = [self._word(m, name, at(self.index), counts) for name, at in sources]
        with m.If(valid & (count == self.index)):
            for _, was_taken in words:
                m.d.comb += Assert(was_taken)
            m.d.comb += Assert(data == function(*(w for w, _ in words))[: port.width])
        waited, had = Signal(), Signal()
        m.d.sync += [
            waited.eq(waited | (valid & ~ready)), had.eq(had | (taken & (count == self.index)))
        ]
        return waited & had & (count >= self.reach) if self.reach else waited & had


class RunContract(Elaboratable):
    """What starts the runs of processes that take as long as they like (see ``rtl.run_queue``).

    A run starts whenever it is asked for and less than ``most`` are under way.  Each process makes
    each run once, none before it was started, and as soon as it is idle; a run is over, once, in
    the very cycle in which the last process has ended it.
    """

    def __init__(self, queue_runs, processes, most, total):
        self.queue_runs, self.most, self.total = queue_runs, most, total
        self.ask = Signal()
        self.finish = [Signal(name=f"finish_{p}") for p in range(processes)]
        self.ports = [self.ask, *self.finish]

    def elaborate(self, platform):
        m = Module()
        m.d.comb += Assume(~ResetSignal())
        accept, over = Signal(), Signal()
        accepted, finished = Signal(COUNT_BITS), Signal(COUNT_BITS)
        m.d.sync += [accepted.eq(accepted + accept), finished.eq(finished + over)]
        m.d.comb += [
            accept.eq(self.ask & (accepted - finished != self.most)),
            Assume(accepted <= self.total), Assert(finished <= accepted),
            Assert(accepted - finished <= self.most),
        ]  # fmt: skip
        starts, readies, counts = [], [], []
        for number, finish in enumerate(self.finish):
            parts = self._process(m, number, finish, accepted + accept)
            for found, part in zip((starts, readies, counts), parts, strict=True):
                found.append(part)
        m.d.comb += over.eq(
            self.queue_runs(m, Names(), self.most, accept, starts, readies)
        )
        all_ended = Const(1, 1)
        for ended in counts:
            all_ended = all_ended & (ended > finished)
        m.d.comb += Assert(over == all_ended)
        apart = Signal()  # a process was at the run after that of another one
        m.d.sync += apart.eq(apart | (counts[0] > counts[1] + 1))
        m.d.comb += Cover(apart & (finished == self.total))
        return m

    def _process(self, m, number, finish, accepted):
        """A process; (its start, whether it is ready, how many runs it has ended in this cycle)."""
        start, ready, running = (
            Signal(name=f"{what}_{number}") for what in ("start", "ready", "running")
        )
        made, ended = (Signal(COUNT_BITS, name=f"{what}_{number}") for what in ("made", "ended"))
        takes, ends = start & ready, running & finish
        m.d.comb += [
            ready.eq(~running | finish), Assert(made + takes <= accepted),
            Assert(~ready | (takes == (made < accepted))),
        ]  # fmt: skip
        m.d.sync += [
            made.eq(made + takes), ended.eq(ended + ends),
            running.eq(Mux(ready, takes, running)),
        ]
        return start, ready, ended + ends
