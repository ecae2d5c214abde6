"""A product of matrices, a filter and a stencil in Amaranth, written by hand.

Each has the ports of the compiled kernel it is compared with (see :mod:`allo_rtl.rtl.interface`)
and is what an engineer would write for these chips: one process of address counters, pipeline
registers where the open tools leave them, nothing that is general.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from allo_rtl.rtl.interface import KernelInterface


class Handwritten(wiring.Component):
    """The ports of a kernel; subclasses connect them.

    Args:
        ports: of the kernel that it takes the place of.
    """

    def __init__(self, ports: KernelInterface) -> None:
        self.interface = ports
        super().__init__({
            name: (In if direction == "input" else Out)(bits)
            for name, (direction, bits) in ports.signals().items()
        })

    def port(self, name: str) -> Signal:
        """The signal of a port."""
        signal: Signal = getattr(self, name)
        return signal

    def run(self, m: Module, last: Value) -> Signal:
        """The handshake; answers the register that is 1 from a start to the cycle of ``last``."""
        busy = Signal()
        ready, start = self.port("ready"), self.port("start")
        m.d.comb += ready.eq(~busy | last)
        m.d.sync += [self.port("done").eq(last), busy.eq((start & ready) | (busy & ~last))]
        return busy

    def read(self, m: Module, name: str, address: Value) -> Signal:
        """Read a memory all the time; answers its data, a cycle after the address."""
        m.d.comb += [self.port(f"{name}_raddr").eq(address), self.port(f"{name}_ren").eq(1)]
        return self.port(f"{name}_rdata")

    def write(self, m: Module, name: str, address: Value, data: Value, enable: Value) -> None:
        """Write a memory."""
        m.d.comb += [
            self.port(f"{name}_waddr").eq(address), self.port(f"{name}_wdata").eq(data),
            self.port(f"{name}_wen").eq(enable),
        ]  # fmt: skip


def delayed(m: Module, value: Value, cycles: int) -> Value:
    """A value some cycles later."""
    for _ in range(cycles):
        register = Signal.like(value, reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class Sweep:
    """A counter that goes once through all numbers of ``bits`` bits while a run issues.

    ``valid`` is 1 with each number, ``final`` with the last one.
    """

    def __init__(self, m: Module, start: Value, bits: int) -> None:
        self.at, self.valid = Signal(bits), Signal()
        self.final = Signal()
        m.d.comb += self.final.eq(self.valid & self.at.all())
        m.d.sync += self.valid.eq(start | (self.valid & ~self.final))
        with m.If(self.valid):
            m.d.sync += self.at.eq(self.at + 1)


class Gemm(Handwritten):
    """C = A @ B, 8x8x8 int32: a product a cycle on one multiplier, sums in a register.

    The product is cut by hand into the three of 16 bits that reach its low half, with registers
    behind them, because the open tools leave none inside the blocks.
    """

    def elaborate(self, platform: object) -> Module:
        """Counters, memory, operands, products, their sum, the accumulator."""
        m = Module()
        last = Signal()
        self.run(m, last)
        sweep = Sweep(m, self.port("start") & self.port("ready"), 9)
        k, j, i = sweep.at[:3], sweep.at[3:6], sweep.at[6:]
        a = delayed(m, self.read(m, "A", Cat(k, i)), 1)
        b = delayed(m, self.read(m, "B", Cat(j, k)), 1)
        low = delayed(m, a[:16] * b[:16], 1)
        left, right = delayed(m, (a[16:] * b[:16])[:16], 1), delayed(m, (a[:16] * b[16:])[:16], 1)
        product = delayed(m, (low + ((left + right)[:16] << 16))[:32], 1)
        stages = 4
        first = delayed(m, k == 0, stages)
        total, after = Signal(32, reset_less=True), Signal(32)
        m.d.comb += after.eq(Mux(first, 0, total) + product)
        m.d.sync += total.eq(after)
        m.d.comb += last.eq(delayed(m, sweep.final, stages))
        wrote = delayed(m, sweep.valid & (k == 7), stages)
        self.write(m, "C", delayed(m, Cat(j, i), stages), after, wrote)
        return m


class Fir(Handwritten):
    """y[i] = sum over t of h[t] * x[i + t], 8 taps of int16, 256 samples: the transposed form.

    Each sample meets all taps at once; the sums move along a chain of registers, so that there
    is no tree to wait for.
    """

    def elaborate(self, platform: object) -> Module:
        """Counter, sample, products, chain."""
        m = Module()
        last = Signal()
        self.run(m, last)
        begin = self.port("start") & self.port("ready")
        sweep = Sweep(m, begin, 8)
        sample = delayed(m, self.read(m, "x", sweep.at).as_signed(), 1)
        total: Value = Signal(signed(32))
        for tap in range(8):
            m.d.comb += self.port(f"h_{tap}_ren").eq(1)
            product = delayed(m, sample * self.port(f"h_{tap}_rdata").as_signed(), 1)
            after = Signal(signed(32), reset_less=True)
            m.d.sync += after.eq(total + product)
            total = after
        stages = 4
        m.d.comb += last.eq(delayed(m, sweep.final, stages))
        where = Signal(8)
        enable = delayed(m, sweep.valid & (sweep.at >= 7), stages)
        with m.If(begin):
            m.d.sync += where.eq(0)
        with m.Elif(enable):
            m.d.sync += where.eq(where + 1)
        self.write(m, "y", where, total, enable)
        return m


class Sobel(Handwritten):
    """Edges of an image of 32x32 bytes: two line memories, and two sums for each column."""

    def elaborate(self, platform: object) -> Module:
        """Counters, lines, sums of a column, of a window, absolute values."""
        m = Module()
        last = Signal()
        self.run(m, last)
        begin = self.port("start") & self.port("ready")
        sweep = Sweep(m, begin, 10)
        x, y = sweep.at[:5], sweep.at[5:]
        # A block memory of an ECP5 takes most of a cycle: its word goes into a register first.
        below = delayed(m, self.read(m, "image", sweep.at), 1)
        column, behind, valid = delayed(m, x, 1), delayed(m, x, 2), delayed(m, sweep.valid, 2)
        middle = self._line(m, "near", column, behind, below, valid)
        above = self._line(m, "far", column, behind, middle, valid)
        smooth = delayed(m, above + (middle << 1) + below, 1)
        change = delayed(m, (below - above)[:9].as_signed(), 1)
        smooth_2, change_1 = delayed(m, smooth, 2), delayed(m, change, 1)
        change_2 = delayed(m, change_1, 1)
        across = delayed(m, (smooth - smooth_2)[:11].as_signed(), 1)
        down = delayed(m, (change + (change_1 << 1) + change_2)[:11].as_signed(), 1)
        edge = delayed(m, abs(across) + abs(down), 1)
        stages = 5
        m.d.comb += last.eq(delayed(m, sweep.final, stages))
        enable = delayed(m, sweep.valid & (x >= 2) & (y >= 2), stages)
        where = Signal(10)
        with m.If(begin):
            m.d.sync += where.eq(0)
        with m.Elif(enable):
            m.d.sync += where.eq(where + 1)
        self.write(m, "edges", where, edge, enable)
        return m

    def _line(
        self, m: Module, name: str, read_at: Value, write_at: Value, data: Value, enable: Value
    ) -> Value:
        """A line of pixels; answers the one at ``read_at``, a cycle later."""
        line = Memory(shape=unsigned(8), depth=32, init=[], attrs={"no_rw_check": 1})
        m.submodules[name] = line
        read, write = line.read_port(), line.write_port()
        m.d.comb += [
            read.addr.eq(read_at), write.addr.eq(write_at), write.data.eq(data),
            write.en.eq(enable),
        ]  # fmt: skip
        return read.data
