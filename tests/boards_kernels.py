"""Two hand-written kernels that obey the port contract, for the tests of the boards."""

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from allo_rtl.ir.types import DimPartition, Int, Partition, UInt, int32
from allo_rtl.rtl.interface import ArrayPort, Direction, KernelInterface, ScalarPort

WORDS = 16

ADD = KernelInterface(
    "add",
    args=(
        ArrayPort("A", int32[WORDS], Direction.READ),
        ArrayPort("B", int32[WORDS], Direction.WRITE),
        ScalarPort("x", int32),
    ),
    latency=WORDS + 1,
)
"""B[i] = A[i] + x"""

_HALVES = Int(12)[WORDS].with_partition(0, DimPartition(Partition.Cyclic, 2))

DOT = KernelInterface(
    "dot",
    args=(ArrayPort("V", _HALVES, Direction.READ),),
    results=(ScalarPort("result_0", Int(27)), ArrayPort("result_1", UInt(70)[1], Direction.WRITE)),
    latency=WORDS // 2 + 1,
)
"""The sum over pairs V[2i] * V[2i+1] as int27, and uint70[1] with the number of pairs << 60."""


class _Kernel(wiring.Component):
    """Counts through the words: read in cycle ``n``, use in cycle ``n`` + 1."""

    def __init__(self, interface: KernelInterface, words: int) -> None:
        self.words = words
        self.count, self.active, self.valid = Signal(range(words + 1)), Signal(), Signal()
        self.last_address = Signal(range(words))
        directions = {"input": In, "output": Out}
        super().__init__(
            {name: directions[d](bits) for name, (d, bits) in interface.signals().items()}
        )

    def control(self, m: Module) -> Signal:
        """The start/ready/done handshake; the signal that is 1 while a word is asked for."""
        ask, last = self.active & (self.count < self.words), self.count == self.words
        m.d.comb += self.ready.eq(~self.active | last)
        m.d.sync += [self.done.eq(0), self.valid.eq(ask), self.last_address.eq(self.count)]
        with m.If(self.active):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If(last):
                m.d.sync += [self.done.eq(1), self.active.eq(0)]
        with m.If(self.start & self.ready):
            m.d.sync += [self.active.eq(1), self.count.eq(0)]
        return ask


class Add(_Kernel):
    """The kernel of ``ADD``, or the same with another number of words."""

    def __init__(self, interface: KernelInterface = ADD, words: int = WORDS) -> None:
        super().__init__(interface, words)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        x = Signal(32)
        with m.If(self.start & self.ready):
            m.d.sync += x.eq(self.x)
        m.d.comb += [
            self.A_raddr.eq(self.count), self.A_ren.eq(self.control(m)),
            self.B_waddr.eq(self.last_address), self.B_wen.eq(self.valid & self.active),
            self.B_wdata.eq(self.A_rdata + x),
        ]
        return m


class Dot(_Kernel):
    """The kernel of ``DOT``."""

    def __init__(self) -> None:
        super().__init__(DOT, WORDS // 2)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        ask = self.control(m)
        total = Signal(signed(27))
        with m.If(self.start & self.ready):
            m.d.sync += total.eq(0)
        with m.If(self.valid & self.active):
            product = self.V_0_rdata.as_signed() * self.V_1_rdata.as_signed()
            m.d.sync += total.eq(total + product)
            with m.If(self.count == self.words):
                m.d.sync += self.result_0.eq(total + product)
        m.d.comb += [
            self.V_0_raddr.eq(self.count), self.V_0_ren.eq(ask),
            self.V_1_raddr.eq(self.count), self.V_1_ren.eq(ask),
            self.result_1_wen.eq(self.active & (self.count == self.words)),
            self.result_1_wdata.eq(self.words << 60),
        ]
        return m


WAIT = KernelInterface("wait", args=(ScalarPort("x", UInt(32)),))
"""Takes x + 1 cycles."""


class Wait(_Kernel):
    """The kernel of ``WAIT``."""

    def __init__(self) -> None:
        super().__init__(WAIT, 1)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        left = Signal(32)
        m.d.comb += self.ready.eq(~self.active | (left == 0))
        m.d.sync += [self.done.eq(self.active & (left == 0)), left.eq(left - 1)]
        with m.If(self.active & (left == 0)):
            m.d.sync += self.active.eq(0)
        with m.If(self.start & self.ready):
            m.d.sync += [self.active.eq(1), left.eq(self.x)]
        return m


BUMP = KernelInterface(
    "bump", args=(ArrayPort("A", UInt(8)[WORDS], Direction.READ_WRITE),), latency=WORDS + 1
)
"""A[i] += 1, in place: from the second word on it reads and writes in the same cycle."""


class Bump(_Kernel):
    """The kernel of ``BUMP``."""

    def __init__(self) -> None:
        super().__init__(BUMP, WORDS)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += [
            self.A_raddr.eq(self.count), self.A_ren.eq(self.control(m)),
            self.A_waddr.eq(self.last_address), self.A_wen.eq(self.valid & self.active),
            self.A_wdata.eq(self.A_rdata + 1),
        ]
        return m
