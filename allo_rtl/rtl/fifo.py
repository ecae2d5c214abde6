"""FIFOs between processes.

A FIFO of depth d holds d values, no more.  From depth 2 on it takes and gives one in every cycle;
at depth 1 it takes one in every other cycle, because ``put_ready`` does not depend on the other
end.  ``get_data`` is the oldest value, straight from a register, and stays with ``get_valid``
until it is taken.  A value put in one cycle is there in the next, or one later from a RAM.

Where blocks are asked for, both ends count whole blocks: a block is on offer when all of it is
there, and a word may be put when there is room for all of the block that it begins.  So once one
word of a block was handed over, the others need not wait.
"""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from allo_rtl.hls.processes import FifoShape
from allo_rtl.hls.storage import StorageKind

_STYLES = {StorageKind.RAM: "block", StorageKind.LUT_RAM: "distributed"}


def fifo_ports(shape: FifoShape) -> dict[str, tuple[str, int]]:
    """Direction ("input" or "output") and bits of each port of a FIFO."""
    window = {"get_at": ("input", shape.window_bits)} if shape.window else {}
    return {
        "clear": ("input", 1),
        "put_data": ("input", shape.width),
        "put_valid": ("input", 1),
        "put_ready": ("output", 1),
        "get_data": ("output", shape.width),
        "get_valid": ("output", 1),
        "get_ready": ("input", 1),
        **window,
    }


class Fifo(wiring.Component):
    """A FIFO.  A transfer is made at each end in a cycle in which its valid and ready are 1.

    ``clear`` empties it at the end of a cycle; what a shape has in it after a reset is gone then.
    """

    _MustUse__silence = True

    def __init__(self, shape: FifoShape) -> None:
        self.shape = shape
        self._put, self._get = Signal(name="put"), Signal(name="get")
        super().__init__({
            name: (In if direction == "input" else Out)(bits)
            for name, (direction, bits) in fifo_ports(shape).items()
        })

    def elaborate(self, platform: object) -> Module:
        """Build the FIFO."""
        m = Module()
        if self.shape.storage is StorageKind.REGISTERS:
            room, some = self._shift(m)
        elif self.shape.window:
            room, some = self._ring(m)
        else:
            room, some = self._ram(m)
        if self.shape.block > 1:
            room_for_all, all_there = self._whole_blocks(m)
            room, some = room & room_for_all, some & all_there
        m.d.comb += [
            self.put_ready.eq(room), self._put.eq(self.put_valid & self.put_ready),
            self.get_valid.eq(some), self._get.eq(self.get_valid & self.get_ready),
        ]  # fmt: skip
        return m

    def _whole_blocks(self, m: Module) -> tuple[Value, Value]:
        """(there is room for all of a block, all of one is there).

        A block counts from when its last word is put until that is taken.
        """
        most = self.shape.depth // self.shape.block
        blocks = Signal(range(most + 1))
        come, gone = (self._last_word(m, step) for step in (self._put, self._get))
        m.d.sync += blocks.eq(blocks + come - gone)
        with m.If(self.clear):
            m.d.sync += blocks.eq(0)
        return blocks != most, blocks != 0

    def _last_word(self, m: Module, step: Signal) -> Value:
        """Whether the last word of a block is put (taken) in this cycle."""
        place = Signal(range(self.shape.block), name=f"{step.name}_place")
        at_last = place == self.shape.block - 1
        with m.If(self.clear):
            m.d.sync += place.eq(0)
        with m.Elif(step):
            m.d.sync += place.eq(Mux(at_last, 0, place + 1))
        return step & at_last

    def _shift(self, m: Module) -> tuple[Value, Value]:
        """Registers that move toward the reader: the oldest value is in the first.

        As the other ways to build it this answers whether there is room, and whether a value.
        """
        depth = self.shape.depth
        level = Signal(range(depth + 1), init=self.shape.initial)
        words = [Signal(self.shape.width, name=f"word_{k}", reset_less=True) for k in range(depth)]
        put, get = self._put, self._get
        m.d.comb += self.get_data.eq(Array(words)[self.get_at] if self.shape.window else words[0])
        m.d.sync += level.eq(level + put - get)
        with m.If(self.clear):
            m.d.sync += level.eq(0)
        for k, word in enumerate(words):
            with m.If(get):
                if k + 1 < depth:
                    m.d.sync += word.eq(words[k + 1])
            with m.If(put & (level - get == k)):
                m.d.sync += word.eq(self.put_data)
        return level != depth, level != 0

    def _ram(self, m: Module) -> tuple[Value, Value]:
        """All values but the oldest are in a RAM, whose read register holds the oldest.

        A word is read in a later cycle than it is written, at the earliest.
        """
        words = self.shape.depth - 1
        m.submodules.memory = memory = Memory(
            shape=unsigned(self.shape.width), depth=words, init=[],
            attrs={"no_rw_check": 1, "ram_style": _STYLES[self.shape.storage]},
        )
        write, read = memory.write_port(domain="sync"), memory.read_port(domain="sync")
        level, held = Signal(range(words + 1)), Signal()
        put, fetch = self._put, Signal()
        m.d.comb += [
            fetch.eq((level != 0) & (~held | self._get)),
            write.en.eq(put), write.data.eq(self.put_data),
            read.en.eq(fetch), self.get_data.eq(read.data),
        ]  # fmt: skip
        m.d.sync += level.eq(level + put - fetch)
        for port, step in ((write, put), (read, fetch)):
            m.d.comb += port.addr.eq(self._place(m, words, step))
        with m.If(self.clear):
            m.d.sync += [level.eq(0), held.eq(0)]
        with m.Elif(fetch):
            m.d.sync += held.eq(1)
        with m.Elif(self._get):
            m.d.sync += held.eq(0)
        return level != words, held

    def _ring(self, m: Module) -> tuple[Value, Value]:
        """All values are in a RAM that is read within the cycle: any word of the next block."""
        depth = self.shape.depth
        m.submodules.memory = memory = Memory(
            shape=unsigned(self.shape.width), depth=depth, init=[],
            attrs={"ram_style": _STYLES[StorageKind.LUT_RAM]},
        )
        write, read = memory.write_port(domain="sync"), memory.read_port(domain="comb")
        count = Signal(range(depth + 1))
        oldest = self._place(m, depth, self._get)
        beyond = Signal(range(2 * depth))
        m.d.comb += [
            beyond.eq(oldest + self.get_at),
            read.addr.eq(Mux(beyond >= depth, beyond - depth, beyond)),
            self.get_data.eq(read.data),
            write.addr.eq(self._place(m, depth, self._put)),
            write.en.eq(self._put), write.data.eq(self.put_data),
        ]  # fmt: skip
        m.d.sync += count.eq(count + self._put - self._get)
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        return count != depth, count != 0

    def _place(self, m: Module, words: int, step: Value) -> Signal:
        """A place in a RAM that goes on, round and round, with each step."""
        at = Signal(range(max(2, words)))
        with m.If(step):
            m.d.sync += at.eq(at + 1)
            with m.If(at == words - 1):
                m.d.sync += at.eq(0)
        with m.If(self.clear):
            m.d.sync += at.eq(0)
        return at
