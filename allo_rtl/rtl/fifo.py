"""FIFOs between processes.

A FIFO of depth d holds d values, no more.  From depth 2 on it takes and gives one in every cycle;
at depth 1 it takes one in every other cycle, because ``put_ready`` does not depend on the other
end.  ``get_data`` is the oldest value, straight from a register, and stays with ``get_valid``
until it is taken.  A value put in one cycle is there in the next, or one later from a RAM.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from allo_rtl.hls.processes import FifoShape
from allo_rtl.hls.storage import StorageKind

_STYLES = {StorageKind.RAM: "block", StorageKind.LUT_RAM: "distributed"}


def fifo_ports(shape: FifoShape) -> dict[str, tuple[str, int]]:
    """Direction ("input" or "output") and bits of each port of a FIFO."""
    return {
        "clear": ("input", 1),
        "put_data": ("input", shape.width),
        "put_valid": ("input", 1),
        "put_ready": ("output", 1),
        "get_data": ("output", shape.width),
        "get_valid": ("output", 1),
        "get_ready": ("input", 1),
    }


class Fifo(wiring.Component):
    """A FIFO.  A transfer is made at each end in a cycle in which its valid and ready are 1.

    ``clear`` empties it at the end of a cycle; what a shape has in it after a reset is gone then.
    """

    _MustUse__silence = True

    def __init__(self, shape: FifoShape) -> None:
        self.shape = shape
        super().__init__({
            name: (In if direction == "input" else Out)(bits)
            for name, (direction, bits) in fifo_ports(shape).items()
        })

    def elaborate(self, platform: object) -> Module:
        """Build the FIFO."""
        m = Module()
        if self.shape.storage is StorageKind.REGISTERS:
            self._shift(m)
        else:
            self._ram(m)
        return m

    def _shift(self, m: Module) -> None:
        """Registers that move toward the reader: the oldest value is in the first."""
        depth = self.shape.depth
        level = Signal(range(depth + 1), init=self.shape.initial)
        words = [Signal(self.shape.width, name=f"word_{k}", reset_less=True) for k in range(depth)]
        put, get = Signal(), Signal()
        m.d.comb += [
            self.put_ready.eq(level != depth), self.get_valid.eq(level != 0),
            put.eq(self.put_valid & self.put_ready), get.eq(self.get_valid & self.get_ready),
            self.get_data.eq(words[0]),
        ]  # fmt: skip
        m.d.sync += level.eq(level + put - get)
        with m.If(self.clear):
            m.d.sync += level.eq(0)
        for k, word in enumerate(words):
            with m.If(get):
                if k + 1 < depth:
                    m.d.sync += word.eq(words[k + 1])
            with m.If(put & (level - get == k)):
                m.d.sync += word.eq(self.put_data)

    def _ram(self, m: Module) -> None:
        """All values but the oldest are in a RAM, whose read register holds the oldest.

        A word is read in a later cycle than it is written, at the earliest.
        """
        words = self.shape.depth - 1
        m.submodules.memory = memory = Memory(
            shape=unsigned(self.shape.width), depth=words, init=[],
            attrs={"no_rw_check": 1, "ram_style": _STYLES[self.shape.storage]},
        )
        write, read = memory.write_port(domain="sync"), memory.read_port(domain="sync")
        level = Signal(range(words + 1))
        put, fetch = Signal(), Signal()
        m.d.comb += [
            self.put_ready.eq(level != words), put.eq(self.put_valid & self.put_ready),
            fetch.eq((level != 0) & (~self.get_valid | self.get_ready)),
            write.en.eq(put), write.data.eq(self.put_data),
            read.en.eq(fetch), self.get_data.eq(read.data),
        ]  # fmt: skip
        m.d.sync += level.eq(level + put - fetch)
        for port, step in ((write, put), (read, fetch)):
            at = Signal(range(max(2, words)))
            m.d.comb += port.addr.eq(at)
            with m.If(step):
                m.d.sync += at.eq(at + 1)
                with m.If(at == words - 1):
                    m.d.sync += at.eq(0)
            with m.If(self.clear):
                m.d.sync += at.eq(0)
        with m.If(self.clear):
            m.d.sync += [level.eq(0), self.get_valid.eq(0)]
        with m.Elif(fetch):
            m.d.sync += self.get_valid.eq(1)
        with m.Elif(self.get_ready):
            m.d.sync += self.get_valid.eq(0)
