"""Memories and registers of a function, and the multiplexers in front of their ports.

The schedule guarantees that at most one access uses a port in a cycle, so addresses and data are
chosen by an AND-OR of the accesses' conditions, and a port with one access has no choice to make.
Nothing depends on what a read answers for a word that the same cycle writes, and the word a port
has read stays until its next read.  Asynchronous reads are the exception in both: they give the
old word, in the cycle of the address only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import or_

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib.memory import Memory

from allo_rtl.hls.node import Bank, Node
from allo_rtl.hls.storage import ArrayStorage, StorageKind, word_bits
from allo_rtl.hls.streams import End
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.rtl.arbiter import round_robin
from allo_rtl.rtl.streams import FREE
from allo_rtl.rtl.trees import any_of, balanced


@dataclass(frozen=True)
class Claim:
    """How a process uses a port that others use at the same time.

    Attributes:
        user: which of the processes; None for the function itself and what it calls in turn.
        want: whether it asks for the port in this cycle.
        grant: told that it has it; without, it does not use it.
    """

    user: object = None
    want: Value | None = None
    grant: Signal | None = None


@dataclass
class _Port:
    """Requests on one port: (condition, address, data), and those that make them."""

    requests: list[tuple[Value, Value, Value]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def wants(self, *users: object) -> Value:
        """Whether any of some users asks for the port in this cycle."""
        return any_of(c.want for c in self.claims if c.user in users and c.want is not None)

    @property
    def processes(self) -> list[object]:
        """The processes that use it, in order."""
        return list(dict.fromkeys(c.user for c in self.claims if c.user is not None))

    def enable(self) -> Value:
        """Whether any request is made in this cycle."""
        return any_of(c for c, _, _ in self.requests)

    def choose(self, part: int) -> Value:
        """The address (1) or data (2) of the request that is made."""
        if len(self.requests) == 1:
            return self.requests[0][part]
        return balanced(or_, [Mux(r[0], r[part], 0) for r in self.requests])


@dataclass
class _Second:
    """The second port of a memory with two: what is read and written through it."""

    rdata: Signal
    reads: _Port = field(default_factory=_Port)
    writes: _Port = field(default_factory=_Port)


@dataclass(frozen=True)
class BankSignals:
    """The signals of a memory that is outside: an argument's or result's port group."""

    raddr: Signal | None
    ren: Signal | None
    rdata: Signal | None
    waddr: Signal | None
    wen: Signal | None
    wdata: Signal | None
    rreq: Signal | None = None
    rgnt: Signal | None = None
    wreq: Signal | None = None
    wgnt: Signal | None = None


class Memories:
    """All arrays of one function module.

    Args:
        storage: how each array is stored.
        outside: signals of each bank of the arrays that are ports.
        ports: which port, 0 or 1, the accesses of memories with two have.
        advance: 1 when the function does not hold (see :class:`~allo_rtl.rtl.streams.Island`);
            None when it never does.
        settled: 1 when what the function takes from streams in this cycle is there.
        again: 1 in a cycle in which the processes that share ports start a run; None when they are
            to take turns on from one run to the next.
    """

    def __init__(
        self, storage: dict[IrValue, ArrayStorage], outside: dict[Bank, BankSignals],
        ports: Mapping[Node, int], advance: Value | None = None, settled: Value | None = None,
        again: Value | None = None,
    ) -> None:
        self._again = again
        self._ports = ports
        self._advance = advance
        self._settled = settled if settled is not None else Const(1, 1)
        self._storage = storage
        self._outside = outside
        self._names = _unique_names(storage)
        self._reads: dict[Bank, _Port] = {}
        self._writes: dict[Bank, _Port] = {}
        self._second: dict[Bank, _Second] = {}
        self._rdata: dict[Bank, Signal] = {}
        self._registers: dict[Bank, Signal] = {}
        self._presets: dict[Bank, list[tuple[Value, int]]] = {}
        self._words: dict[tuple[Bank, object], Signal] = {}
        self._lent: set[tuple[Bank, End]] = set()
        self.granted: list[Value] = []
        """After :meth:`build`, for each shared port: 1 unless the function has to wait for it."""

    def name(self, bank: Bank) -> str:
        """The signal name of a bank."""
        base = self._names[bank.array]
        return base if self._storage[bank.array].layout.banks == 1 else f"{base}_{bank.index}"

    def is_async(self, bank: Bank) -> bool:
        """Whether a bank's words are there in the cycle of their address."""
        return self._storage[bank.array].async_read

    def _bits(self, bank: Bank) -> int:
        return word_bits(bank.array.array)

    def register(self, bank: Bank) -> Signal:
        """The register of a bank of one word."""
        if bank not in self._registers:
            element = bank.array.array.element
            shape = signed if getattr(element, "signed", False) else unsigned
            storage = self._storage[bank.array]
            first = storage.word(bank.index, 0) if storage.stateful else 0
            self._registers[bank] = Signal(
                shape(self._bits(bank)), name=self.name(bank), init=first
            )
        return self._registers[bank]

    def read(
        self, bank: Bank, condition: Value, address: Value, claim: Claim | None = None
    ) -> Signal:
        """Ask for a word; it is on the answered signal from the next cycle on.

        That of an asynchronous read is there in this cycle.
        """
        if bank not in self._rdata:
            outside = self._outside.get(bank)
            # Of a shared port the function sees the word that it read when it goes on.
            known = outside.rdata if outside and outside.rreq is None else None
            self._rdata[bank] = known if known is not None else Signal(
                self._bits(bank), name=f"{self.name(bank)}_rdata"
            )
        port, claim = self._reads.setdefault(bank, _Port()), claim or Claim(want=condition)
        port.requests.append((condition, address, Const(0)))
        port.claims.append(claim)
        if claim.user is None:
            return self._rdata[bank]
        key = (bank, claim.user)
        if key not in self._words:
            name = f"{self.name(bank)}_word_{len(port.processes) - 1}"
            self._words[key] = Signal(self._bits(bank), name=name)
        return self._words[key]

    def write(
        self, bank: Bank, condition: Value, address: Value, data: Value,
        claim: Claim | None = None,
    ) -> None:
        """Write a word (or a register) at the end of this cycle when the condition holds."""
        port = self._writes.setdefault(bank, _Port())
        port.requests.append((condition, address, data))
        port.claims.append(claim or Claim(want=condition))

    def lend(self, bank: Bank, end: End, sizes: Mapping[str, int]) -> dict[str, Signal]:
        """The signals of a port outside, for one who uses it alone and then drives them.

        Args:
            bank: which memory.
            end: whether to read or to write it.
            sizes: the bits of each signal wanted: ``raddr``, ``ren`` ...

        Returns:
            The signals; none when the port is not outside, is shared with others there, or has
            other sizes.
        """
        outside = self._outside.get(bank)
        if outside is None or (outside.rreq, outside.wreq)[end is End.WRITE] is not None:
            return {}
        found = {name: getattr(outside, name) for name in sizes}
        if any(s is None or len(s) != sizes[name] for name, s in found.items()):
            return {}
        self._lent.add((bank, end))
        return found

    def read_of(self, node: Node, condition: Value, address: Value) -> Signal:
        """:meth:`read` through the port that an access has."""
        assert node.bank is not None
        if not self._ports.get(node):
            return self.read(node.bank, condition, address)
        port = self._second_port(node.bank)
        port.reads.requests.append((condition, address, Const(0)))
        return port.rdata

    def write_of(self, node: Node, condition: Value, address: Value, data: Value) -> None:
        """:meth:`write` through the port that an access has."""
        assert node.bank is not None
        if not self._ports.get(node):
            self.write(node.bank, condition, address, data)
            return
        self._second_port(node.bank).writes.requests.append((condition, address, data))

    def _second_port(self, bank: Bank) -> _Second:
        if bank not in self._second:
            rdata = Signal(self._bits(bank), name=f"{self.name(bank)}_rdata_2")
            self._second[bank] = _Second(rdata)
        return self._second[bank]

    def preset(self, bank: Bank, condition: Value, word: int) -> None:
        """Set a register to a constant at the end of this cycle when the condition holds.

        That comes after all other writes of the cycle, which belong to what ends in it.
        """
        self._presets.setdefault(bank, []).append((condition, word))

    def restore(self, m: Module) -> Value:
        """Bring the first contents of stateful RAMs back after a reset; 1 while that goes on.

        A reset clears registers, not RAMs: a counter walks over these and writes each word, from
        a ROM where they are not all equal.
        """
        banks = [
            Bank(array, b)
            for array, s in self._storage.items()
            if s.stateful and s.kind is not StorageKind.REGISTERS
            for b in range(s.layout.banks)
        ]
        if not banks:
            return Const(0, 1)
        depth = max(self._storage[b.array].layout.depth for b in banks)
        reading, writing = Signal(init=1, name="restoring"), Signal(name="restoring_last")
        count = Signal(range(depth), name="restore_address")
        address = Signal.like(count, name="restore_waddr")
        m.d.sync += [writing.eq(reading), address.eq(count), count.eq(count + 1)]
        with m.If(count == depth - 1):
            m.d.sync += reading.eq(0)
        for bank in banks:
            inside = address < self._storage[bank.array].layout.depth
            self.write(bank, writing & inside, address, self._first_word(m, bank, count))
        return reading | writing

    def _first_word(self, m: Module, bank: Bank, address: Value) -> Value:
        """The first contents of a bank at an address, one cycle after the address."""
        words = self._storage[bank.array].contents(bank.index)
        mask = (1 << self._bits(bank)) - 1
        if len(set(words)) == 1:
            return Const(words[0] & mask, self._bits(bank))
        rom = Memory(
            shape=unsigned(self._bits(bank)), depth=len(words), init=[w & mask for w in words]
        )
        m.submodules[f"{self.name(bank)}_first"] = rom
        port = rom.read_port(domain="sync")
        m.d.comb += port.addr.eq(address)
        return port.data

    def build(self, m: Module) -> None:
        """Make the memories and connect every request made so far."""
        banks = dict.fromkeys(
            [*self._registers, *self._reads, *self._writes, *self._presets, *self._second]
        )
        for bank in banks:
            match self._storage[bank.array].kind:
                case StorageKind.REGISTERS:
                    self._build_register(m, bank)
                case StorageKind.PORT:
                    self._build_port(m, bank)
                case _:
                    self._build_memory(m, bank)
        for bank, port in self._reads.items():
            outside = self._outside.get(bank)
            self._grant(m, port, f"{self.name(bank)}_read", outside.rgnt if outside else None)
            self._give(m, bank, port)
        for bank, port in self._writes.items():
            outside = self._outside.get(bank)
            self._grant(m, port, f"{self.name(bank)}_write", outside.wgnt if outside else None)
        self._tie_off(m)

    def _grant(self, m: Module, port: _Port, name: str, granted: Signal | None) -> None:
        """Let the processes that share a port have it in turn, when it is ``granted`` itself."""
        processes = port.processes
        have: Value = Const(1, 1) if granted is None else granted
        mine = dict.fromkeys([None, *processes], have)
        if len(processes) > 1:
            turns = round_robin(m, [port.wants(p) for p in processes], name, self._again)
            mine |= {p: have & turn for p, turn in zip(processes, turns, strict=True)}
        for claim in port.claims:
            if claim.grant is not None:
                m.d.comb += claim.grant.eq(mine[claim.user])

    def _give(self, m: Module, bank: Bank, port: _Port) -> None:
        """Each process keeps the word that it read, also when another reads the next."""
        processes = port.processes
        for process in processes:
            word, answer = self._words[bank, process], self._rdata[bank]
            if len(processes) == 1:
                m.d.comb += word.eq(answer)
                continue
            pairs = zip(port.requests, port.claims, strict=True)
            mine = any_of(r[0] for r, c in pairs if c.user is process)
            fresh = Signal(name=f"{word.name}_fresh")
            kept = Signal(len(word), name=f"{word.name}_kept", reset_less=True)
            m.d.comb += word.eq(Mux(fresh, answer, kept))
            m.d.sync += [fresh.eq(mine), kept.eq(word)]

    def _build_register(self, m: Module, bank: Bank) -> None:
        register = self.register(bank)
        for condition, _, data in self._writes.get(bank, _Port()).requests:
            with m.If(condition):
                m.d.sync += register.eq(data)
        for condition, word in self._presets.get(bank, []):
            with m.If(condition):
                m.d.sync += register.eq(word)
        if bank in self._reads:  # a callee reads it as if it were a RAM of one word
            if self.is_async(bank):
                m.d.comb += self._rdata[bank].eq(register)
                return
            with m.If(self._reads[bank].enable()):
                m.d.sync += self._rdata[bank].eq(register)

    def _build_port(self, m: Module, bank: Bank) -> None:
        outside = self._outside[bank]
        if bank in self._reads:
            # A word may be put while the function holds: an asynchronous read goes on then.
            port, allowed = self._reads[bank], None if self.is_async(bank) else self._advance
            if outside.rreq is not None and outside.rgnt is not None:
                allowed, past = self._ask(m, port, outside.rreq, outside.rgnt)
                self._keep(m, bank, allowed, past)
            self._drive(m, port, outside.ren, outside.raddr, None, allowed)
        if bank in self._writes:
            port, allowed = self._writes[bank], self._advance
            if outside.wreq is not None and outside.wgnt is not None:
                allowed, _ = self._ask(m, port, outside.wreq, outside.wgnt)
            self._drive(m, port, outside.wen, outside.waddr, outside.wdata, allowed)

    def _ask(
        self, m: Module, port: _Port, request: Signal, granted: Signal
    ) -> tuple[Value, Signal]:
        """Use a port that others share: (whether it may be used, whether it was before).

        The function holds until it is granted.  When it holds on for another port it has used
        this one, and remembers that.  It asks when addresses and data are there, which a get of
        the same cycle may decide.
        """
        name = request.name.removesuffix("req")
        past, done = Signal(name=f"{name}past"), Signal(name=f"{name}done")
        own = [c.want for c in port.claims if c.grant is None and c.want is not None]
        want, now = any_of(own), granted & self._settled
        called = any_of(c.want for c in port.claims if c.grant is not None and c.want is not None)
        m.d.comb += [request.eq((want & self._settled & ~past) | called)]
        m.d.comb += done.eq(~want | past | now)
        if own:
            assert self._advance is not None
            m.d[FREE] += past.eq((past | (want & now)) & ~self._advance)
            self.granted.append(done)
        return (now & ~past) | called, past

    def _keep(self, m: Module, bank: Bank, used: Value, past: Signal) -> None:
        """Show the word of the read before until the function goes on."""
        word, answer = self._rdata[bank], self._outside[bank].rdata
        assert answer is not None
        if self._advance is None:  # only what it calls reads, and keeps its words itself
            m.d.comb += word.eq(answer)
            return
        old = Signal(len(word), name=f"{word.name}_old", reset_less=True)
        m.d.comb += word.eq(Mux(past, old, answer))
        with m.If(used & ~past):
            m.d[FREE] += old.eq(answer)

    def _tie_off(self, m: Module) -> None:
        """Port groups that are declared but not used stay idle."""
        for bank, outside in self._outside.items():
            lent = [(bank, end) in self._lent for end in (End.READ, End.WRITE)]
            if bank not in self._reads and outside.ren is not None and not lent[0]:
                m.d.comb += outside.ren.eq(0)
            if bank not in self._writes and outside.wen is not None and not lent[1]:
                m.d.comb += outside.wen.eq(0)
            if bank not in self._reads and outside.rreq is not None:
                m.d.comb += outside.rreq.eq(0)
            if bank not in self._writes and outside.wreq is not None:
                m.d.comb += outside.wreq.eq(0)

    def _drive(
        self, m: Module, port: _Port, enable: Signal | None, address: Signal | None,
        data: Signal | None, allowed: Value | None = None,
    ) -> None:
        if enable is not None:
            wanted = port.enable()
            m.d.comb += enable.eq(wanted if allowed is None else wanted & allowed)
        if address is not None:
            m.d.comb += address.eq(port.choose(1))
        if data is not None:
            m.d.comb += data.eq(port.choose(2))

    def _build_memory(self, m: Module, bank: Bank) -> None:
        storage, name = self._storage[bank.array], self.name(bank)
        words = storage.contents(bank.index) if storage.kind is StorageKind.ROM else []
        mask = (1 << self._bits(bank)) - 1
        memory = Memory(
            shape=unsigned(self._bits(bank)), depth=storage.layout.depth,
            init=[w & mask for w in words],
            # The schedule never needs the old word of a cycle that also writes it.
            attrs={"no_rw_check": 1} | ({"ram_style": storage.style} if storage.style else {}),
        )
        m.submodules[f"{name}_memory"] = memory
        if storage.dual:
            self._build_two_ports(m, bank, memory)
            return
        if bank in self._reads:
            port = memory.read_port(domain="comb" if self.is_async(bank) else "sync")
            enable = None if self.is_async(bank) else port.en
            self._drive(m, self._reads[bank], enable, port.addr, None)
            m.d.comb += self._rdata[bank].eq(port.data)
        if bank in self._writes:
            port = memory.write_port(domain="sync")
            self._drive(m, self._writes[bank], port.en, port.addr, port.data)

    def _build_two_ports(self, m: Module, bank: Bank, memory: Memory) -> None:
        """Two ports that read or write; each has one address, so that it is one of the chip's."""
        first = _Second(self._rdata.get(bank, Signal(self._bits(bank))))
        first.reads = self._reads.get(bank, first.reads)
        first.writes = self._writes.get(bank, first.writes)
        second = self._second.get(bank, _Second(Signal(self._bits(bank))))
        for port, suffix in ((first, ""), (second, "_2")):
            both = _Port([*port.reads.requests, *port.writes.requests])
            if not both.requests:
                continue
            address = Signal(range(max(2, memory.depth)), name=f"{self.name(bank)}_addr{suffix}")
            m.d.comb += address.eq(both.choose(1))
            if port.reads.requests:
                reader = memory.read_port(domain="sync")
                m.d.comb += [
                    reader.addr.eq(address), reader.en.eq(port.reads.enable()),
                    port.rdata.eq(reader.data),
                ]  # fmt: skip
            if port.writes.requests:
                writer = memory.write_port(domain="sync")
                m.d.comb += [
                    writer.addr.eq(address), writer.en.eq(port.writes.enable()),
                    writer.data.eq(port.writes.choose(2)),
                ]  # fmt: skip


def _unique_names(storage: dict[IrValue, ArrayStorage]) -> dict[IrValue, str]:
    """A name for each array such that no two banks are called the same."""
    names: dict[IrValue, str] = {}
    taken: set[str] = set()
    for value, stored in storage.items():
        base, n = value.name or "array", 1
        name = base
        while (banks := _bank_names(name, stored)) & taken:
            n += 1
            name = f"{base}_{n}"
        taken |= banks
        names[value] = name
    return names


def _bank_names(name: str, storage: ArrayStorage) -> set[str]:
    return {name, *(f"{name}_{b}" for b in range(storage.layout.banks))}
