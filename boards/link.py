"""The board's end of the link: takes requests apart, acts on them, answers.

See :mod:`allo_rtl.boards.protocol` for the frames.
"""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.hdl import Value as HdlValue
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from allo_rtl.boards.protocol import (
    HEAD_BYTES,
    MAGIC,
    READ_BYTES,
    REPLY_SYNC,
    REQUEST_SYNC,
    SYSTEM,
    VERSION,
    WRITE_BYTES,
    Command,
    Status,
    Target,
)

CYCLE_BITS = 40


class Link(wiring.Component):
    """Protocol engine between a byte-wide serial port and the words of a board.

    Members besides the two byte streams (``rx_*``: a byte in each cycle with valid; ``tx_*``:
    taken when valid and ready):

        target, address     out  which word; target 0 is answered by the link itself
        write, wdata        out  store the low bits of ``wdata`` at the end of this cycle
        read                out  fetch; ``rdata`` must be there one cycle later
        start               out  start a run, for one cycle; only while ``busy`` is 0
        reset               out  reset the kernel, for one cycle
        busy, cycles        in   whether a run goes on, and its length so far

    Args:
        identity: the interface's hash, 64 bits.
        targets: what READ and WRITE reach besides the system words.
        gap: cycles of silence after which a half request is forgotten.
    """

    def __init__(self, identity: int, targets: Iterable[Target], gap: int) -> None:
        reached = (SYSTEM, *targets)
        self._identity, self._gap = identity, gap
        self._word_bytes = max(t.word_bytes for t in reached)
        self._data_bytes = max(WRITE_BYTES, self._word_bytes)
        self._target_bits = max(t.number for t in reached).bit_length()
        self._address_bits = max((t.depth - 1).bit_length() for t in reached)
        word_bits = 8 * self._word_bytes
        super().__init__({
            "rx_data": In(8), "rx_valid": In(1),
            "tx_data": Out(8), "tx_valid": Out(1), "tx_ready": In(1),
            "target": Out(self._target_bits), "address": Out(self._address_bits),
            "write": Out(1), "wdata": Out(word_bits),
            "read": Out(1), "rdata": In(word_bits),
            "start": Out(1), "reset": Out(1), "busy": In(1), "cycles": In(CYCLE_BITS),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """One state machine: receive, check, act, reply."""
        m = Module()
        self._declare(m)
        self._watch_silence(m)
        with m.FSM():
            self._receive(m)
            self._check(m)
            self._write(m)
            self._reply(m)
            self._send_words(m)
        return m

    def _declare(self, m: Module) -> None:
        """Registers, the frame buffer and the CRC, which both directions share."""
        self._sequence, self._command, self._length = Signal(8), Signal(8), Signal(16)
        self._status, self._token = Signal(8), Signal(32)
        # The first bytes of a payload; counters of what comes from it are as short as can be.
        self._head = Signal(8 * HEAD_BYTES)
        longest = max(READ_BYTES, HEAD_BYTES + self._data_bytes)
        self._bytes = self._head[64:80][: longest.bit_length()]
        self._size = self._head[48:64][: self._word_bytes.bit_length()]
        self._old, self._new = self._head[16:48], self._head[48:80]
        # Bytes left of this part of the frame, of the payload's head, of this word.
        self._left = Signal(range(longest + 1))
        self._head_left, self._word_left = Signal(range(HEAD_BYTES + 1)), Signal.like(self._size)
        self._reply_length = Signal.like(self._left)
        self._word = Signal.like(self.wdata)
        m.submodules.crc = self._crc = CRC32_ISO_HDLC(data_width=8).create()
        m.submodules.buffer = buffer = Memory(
            shape=unsigned(8), depth=self._data_bytes, init=[]
        )
        self._buffer_in, self._buffer_out = buffer.write_port(), buffer.read_port()
        self._offset = Signal(range(self._data_bytes + 1))
        m.d.comb += [
            self.target.eq(self._head[:16]),
            self.address.eq(self._head[16:48]),
            self.wdata.eq(self._word),
            self._buffer_in.addr.eq(self._offset),
            self._buffer_in.data.eq(self.rx_data),
            self._buffer_out.addr.eq(self._offset),
        ]

    def _next_word(self, m: Module) -> None:
        """Count the address up; a request's first one is in its head, and counts there."""
        address = self._head[16:48][: self._address_bits]
        m.d.sync += [address.eq(address + 1), self._word_left.eq(self._size)]

    def _watch_silence(self, m: Module) -> None:
        """``_expired`` is 1 when no byte came for ``gap`` cycles."""
        silence, self._expired = Signal(range(self._gap + 1)), Signal()
        m.d.comb += self._expired.eq(silence == self._gap)
        m.d.sync += silence.eq(silence + 1)
        with m.If(self.rx_valid | self._expired):
            m.d.sync += silence.eq(0)

    def _receive(self, m: Module) -> None:
        """Take a request apart; the first 10 bytes of its payload go to ``_head``."""
        with m.State("hunt"):
            m.d.sync += [self._left.eq(4), self._head_left.eq(HEAD_BYTES), self._offset.eq(0)]
            with m.If(self.rx_valid & (self.rx_data == REQUEST_SYNC)):
                m.d.comb += self._crc.start.eq(1)
                m.next = "header"
        with m.State("header"):
            self._take(m)
            with m.If(self.rx_valid):
                header = Cat(self._sequence, self._command, self._length)
                m.d.sync += header.eq(Cat(header[8:], self.rx_data))
                self._count(m, "length", 0)
        with m.State("length"):
            m.d.sync += self._left.eq(self._length)
            with m.If(self._length > HEAD_BYTES + self._data_bytes):
                m.next = "hunt"
            with m.Elif(self._length == 0):
                m.d.sync += self._left.eq(4)
                m.next = "trailer"
            with m.Else():
                m.next = "payload"
        with m.State("payload"):
            self._take(m)
            with m.If(self.rx_valid):
                with m.If(self._head_left != 0):
                    m.d.sync += self._head.eq(Cat(self._head[8:], self.rx_data))
                    m.d.sync += self._head_left.eq(self._head_left - 1)
                with m.Else():
                    m.d.comb += self._buffer_in.en.eq(1)
                    m.d.sync += self._offset.eq(self._offset + 1)
                self._count(m, "trailer", 4)
        with m.State("trailer"):
            self._take(m)
            with m.If(self.rx_valid):
                self._count(m, "check", 5)

    def _take(self, m: Module) -> None:
        """Feed the CRC with the byte at hand; give up after a long silence."""
        m.d.comb += [self._crc.data.eq(self.rx_data), self._crc.valid.eq(self.rx_valid)]
        with m.If(self._expired & ~self.rx_valid):
            m.next = "hunt"

    def _count(self, m: Module, following: str, length: HdlValue | int) -> None:
        """Count a byte of this part of the frame.

        After the last go on to ``following``, a part of ``length`` bytes.
        """
        m.d.sync += self._left.eq(self._left - 1)
        with m.If(self._left == 1):
            m.d.sync += self._left.eq(length)
            m.next = following

    def _check(self, m: Module) -> None:
        """Decide what to do, now that the whole request is here; 5 bytes of reply are left."""
        with m.State("check"):
            m.d.sync += [self._status.eq(Status.INVALID), self._reply_length.eq(0)]
            m.d.sync += [self._word_left.eq(self._size), self._offset.eq(0)]
            m.next = "reply"
            blocked = self.busy & (self.target != 0)
            with m.If(~self._crc.match_detected):
                m.d.sync += self._status.eq(Status.CORRUPT)
            with m.Elif((self._command == Command.READ) & (self._length == HEAD_BYTES)):
                m.d.sync += self._status.eq(blocked * Status.BUSY)
                with m.If(~blocked):
                    m.d.sync += self._reply_length.eq(self._bytes)
            with m.Elif((self._command == Command.WRITE) & (self._offset == self._bytes)):
                m.d.sync += self._status.eq(blocked * Status.BUSY)
                with m.If(~blocked):
                    m.d.sync += self._left.eq(self._bytes)
                    m.next = "fetch"
            with m.Elif((self._command == Command.START) & (self._length == 8)):
                self._start(m)
            with m.Elif((self._command == Command.RESET) & (self._length == 4)):
                m.d.comb += self.reset.eq(1)
                m.d.sync += [self._token.eq(self._new), self._status.eq(Status.OK)]

    def _start(self, m: Module) -> None:
        with m.If(self._token == self._new):
            m.d.sync += self._status.eq(Status.OK)
        with m.Elif(self.busy):
            m.d.sync += self._status.eq(Status.BUSY)
        with m.Elif(self._token == self._old):
            m.d.comb += self.start.eq(1)
            m.d.sync += [self._token.eq(self._new), self._status.eq(Status.OK)]
        with m.Else():
            m.d.sync += self._status.eq(Status.LOST)

    def _write(self, m: Module) -> None:
        """Move words from the buffer to the board, high byte first."""
        with m.State("fetch"):
            m.d.sync += self._left.eq(self._left - 1)
            m.next = "shift"
            with m.If(self._left == 0):
                m.d.sync += self._left.eq(5)
                m.next = "reply"
        with m.State("shift"):
            m.d.sync += [
                self._word.eq(Cat(self._buffer_out.data, self._word[:-8])),
                self._offset.eq(self._offset + 1),
                self._word_left.eq(self._word_left - 1),
            ]
            m.next = "fetch"
            with m.If(self._word_left == 1):
                m.next = "store"
        with m.State("store"):
            m.d.comb += self.write.eq(1)
            self._next_word(m)
            m.next = "fetch"

    def _send(self, m: Module, byte: HdlValue, covered: HdlValue | int) -> None:
        """Offer a byte to the serial port and feed the CRC with it when it is ``covered``."""
        m.d.comb += [
            self.tx_data.eq(byte),
            self.tx_valid.eq(1),
            self._crc.data.eq(byte),
            self._crc.valid.eq(self.tx_ready & covered),
        ]

    def _reply(self, m: Module) -> None:
        """Send the reply's header and, after the words, its CRC."""
        length = self._reply_length
        # By the number of bytes left: the last one first.
        header = Array(
            [0, length[8:], length[:8], self._status, self._sequence, REPLY_SYNC, 0, 0]
        )
        with m.State("reply"):
            first = self._left == 5
            self._send(m, header[self._left[:3]], ~first)
            m.d.comb += self._crc.start.eq(first)
            with m.If(self.tx_ready):
                self._count(m, "load", length)
                with m.If((self._left == 1) & (length == 0)):
                    m.d.sync += self._left.eq(4)
                    m.next = "crc"
        with m.State("crc"):
            # The low byte first: 4 left is byte 0.
            self._send(m, self._crc.crc.word_select(~(self._left[:2] - 1)[:2], 8), 0)
            with m.If(self.tx_ready):
                self._count(m, "hunt", 4)

    def _send_words(self, m: Module) -> None:
        """Send the words of a READ, low byte first."""
        with m.State("load"):
            m.d.comb += self.read.eq(1)
            m.next = "loaded"
        with m.State("loaded"):
            m.d.sync += self._word.eq(Mux(self.target == 0, self._system_word(), self.rdata))
            self._next_word(m)
            m.next = "send"
        with m.State("send"):
            self._send(m, self._word[:8], 1)
            with m.If(self.tx_ready):
                m.d.sync += self._word.eq(self._word >> 8)
                m.d.sync += self._word_left.eq(self._word_left - 1)
                with m.If(self._word_left == 1):
                    m.next = "load"
                self._count(m, "crc", 4)

    def _system_word(self) -> HdlValue:
        """The system word at the address."""
        low, high = self._identity & 0xFFFFFFFF, self._identity >> 32
        constants = [Const(v, 32) for v in (MAGIC, VERSION, low, high)]
        words = Array([*constants, self._token, self.busy, self.cycles[:32], self.cycles[32:]])
        return words[self.address[:3]]
