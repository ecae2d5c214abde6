"""A kernel with its memories and a serial link: everything on the chip but clock and pins."""

from __future__ import annotations

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    ResetSignal,
    Signal,
    unsigned,
)
from amaranth.hdl import Value as HdlValue
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from allo_rtl.boards.link import CYCLE_BITS, Link
from allo_rtl.boards.protocol import check_ports, interface_hash, targets
from allo_rtl.boards.uart import UartReceiver, UartTransmitter
from allo_rtl.rtl.interface import ArrayPort, BankPort, KernelInterface


class Bank(wiring.Component):
    """The memory of one bank: one synchronous read port that is not transparent, one write port.

    ``rdata`` keeps the last word read while ``ren`` is 0.  A bank of one word is a register.  With
    ``async_read`` it is LUT RAM, and ``rdata`` the word at ``raddr`` in each cycle.
    """

    def __init__(self, width: int, depth: int, *, async_read: bool = False) -> None:
        self._width, self._depth, self._async = width, depth, async_read
        address = (depth - 1).bit_length()
        super().__init__({
            "raddr": In(address), "ren": In(1), "rdata": Out(width),
            "waddr": In(address), "wen": In(1), "wdata": In(width),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """A RAM, or two registers; one where it is read in the same cycle."""
        m = Module()
        if self._depth == 1:
            word = Signal(self._width)
            with m.If(self.wen):
                m.d.sync += word.eq(self.wdata)
            if self._async:
                m.d.comb += self.rdata.eq(word)
                return m
            with m.If(self.ren):
                m.d.sync += self.rdata.eq(word)
            return m
        m.submodules.ram = ram = Memory(
            shape=unsigned(self._width), depth=self._depth, init=[],
            attrs={"ram_style": "distributed"} if self._async else {},
        )
        write, read = ram.write_port(), ram.read_port(domain="comb" if self._async else "sync")
        if not self._async:
            m.d.comb += read.en.eq(self.ren)
        m.d.comb += [
            read.addr.eq(self.raddr), self.rdata.eq(read.data),
            write.addr.eq(self.waddr), write.en.eq(self.wen), write.data.eq(self.wdata),
        ]  # fmt: skip
        return m


class Top(wiring.Component):
    """A kernel, one memory a bank, scalar registers, a cycle counter and the link.

    ``rx`` and ``tx`` are the serial line, ``busy`` is 1 during a run.  The kernel owns the
    memories during a run, the link at all other times.

    Args:
        kernel: the component, with the members that ``interface`` says.
        divisor: clock cycles of a bit on the serial line.
        gap: clock cycles of silence after which a half request is forgotten.
    """

    # One that is refused is not elaborated: Amaranth need not warn of it.
    _MustUse__silence = True

    def __init__(
        self, kernel: wiring.Component, interface: KernelInterface, *, divisor: int, gap: int
    ) -> None:
        check_ports(interface)
        self._kernel, self._interface = kernel, interface
        self._divisor, self._gap = divisor, gap
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Put the parts together."""
        m = Module()
        reached = targets(self._interface)
        link = Link(interface_hash(self._interface), reached.values(), self._gap)
        m.submodules.link = link
        self._serial(m, link)
        self._run_control(m, link)
        numbers = {name: t.number for name, t in reached.items()}
        values = self._ports(m, link, numbers)
        with m.Switch(link.target):
            for name, value in values.items():
                with m.Case(numbers[name]):
                    m.d.comb += link.rdata.eq(value)
        return m

    def _ports(self, m: Module, link: Link, numbers: dict[str, int]) -> dict[str, HdlValue]:
        """Make memories and registers; what the link reads from each target, by name."""
        values: dict[str, HdlValue] = {}
        for port in (*self._interface.args, *self._interface.results):
            if isinstance(port, ArrayPort):
                for bank in (b for b in port.banks if b.read or b.write):
                    values[bank.name] = self._bank(m, link, bank, numbers[bank.name])
            elif port in self._interface.args:
                values[port.name] = self._scalar(m, link, port.name, numbers[port.name])
            else:
                values[port.name] = Cat(self._signal(port.name))
        return values

    def _signal(self, name: str) -> Signal:
        signal: Signal = getattr(self._kernel, name)
        return signal

    def _serial(self, m: Module, link: Link) -> None:
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            link.rx_data.eq(receiver.data),
            link.rx_valid.eq(receiver.valid),
            self.tx.eq(transmitter.tx),
            transmitter.data.eq(link.tx_data),
            transmitter.valid.eq(link.tx_valid),
            link.tx_ready.eq(transmitter.ready),
        ]

    def _run_control(self, m: Module, link: Link) -> None:
        """The kernel in a clock domain of its own, so that the link can reset it; its runs."""
        m.domains.kernel = domain = ClockDomain("kernel")
        m.submodules.kernel = DomainRenamer("kernel")(self._kernel)
        m.d.comb += [
            domain.clk.eq(ClockSignal("sync")),
            domain.rst.eq(ResetSignal("sync", allow_reset_less=True) | link.reset),
            link.busy.eq(self.busy),
        ]
        cycles = Signal(CYCLE_BITS)
        m.d.comb += link.cycles.eq(cycles)
        with m.FSM():
            with m.State("idle"), m.If(link.start):
                m.next = "starting"
            with m.State("starting"):
                m.d.comb += [self.busy.eq(1), self._signal("start").eq(1)]
                m.d.sync += cycles.eq(0)
                with m.If(link.reset):
                    m.next = "idle"
                with m.Elif(self._signal("ready")):
                    m.next = "running"
            with m.State("running"):
                m.d.comb += self.busy.eq(1)
                with m.If(link.reset | self._signal("done")):
                    m.next = "idle"
                with m.Else():
                    m.d.sync += cycles.eq(cycles + 1)

    def _scalar(self, m: Module, link: Link, name: str, number: int) -> HdlValue:
        """The register of a scalar argument."""
        signal = self._signal(name)
        register = Signal(len(signal), name=name)
        m.d.comb += signal.eq(register)
        with m.If(link.write & (link.target == number)):
            m.d.sync += register.eq(link.wdata)
        return register

    def _bank(self, m: Module, link: Link, bank: BankPort, number: int) -> HdlValue:
        """A bank's memory, between kernel and link."""
        memory = Bank(bank.width, bank.depth, async_read=bank.async_read)
        m.submodules[f"bank_{bank.name}"] = memory
        idle = {
            "raddr": link.address, "ren": link.read,
            "waddr": link.address, "wen": link.write & (link.target == number),
            "wdata": link.wdata,
        }  # fmt: skip
        ports = {name.removeprefix(f"{bank.name}_"): name for name in bank.signals()}
        if bank.read:
            m.d.comb += self._signal(ports.pop("rdata")).eq(memory.rdata)
        with m.If(self.busy):
            for part, name in ports.items():
                m.d.comb += getattr(memory, part).eq(self._signal(name))
        with m.Else():
            for part, value in idle.items():
                m.d.comb += getattr(memory, part).eq(value)
        if not bank.async_read:
            return memory.rdata
        # The link takes the word a cycle after it has asked.
        word = Signal.like(memory.rdata, name=f"{bank.name}_word")
        m.d.sync += word.eq(memory.rdata)
        return word
