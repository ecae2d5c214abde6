"""The ports of a compiled kernel, as data: what a test bench, a board top and a user connect to.

Every kernel is one module in one clock domain:

    clk, rst            in    clock (rising edge) and synchronous reset, active high
    start               in    ask for a run; taken in a cycle in which ready is 1
    ready               out   1 when a start would be taken: when idle, and in the last cycle.
                              After a reset it is 0 for as many cycles as a stateful array in RAM
                              has words, and one more: they get their first contents back
    done                out   1 for one cycle, the first one after the run's last; all results
                              are in place then
    <scalar>            in    a scalar argument; sampled in the cycle in which start is taken
    <result>            out   a scalar result; valid with done, kept until the next done

and for each bank of each array argument or array result a memory port group; the memory itself
is outside and behaves as a synchronous RAM:

    <port>_raddr, _ren  out   read address and enable
    <port>_rdata        in    the word at raddr, one cycle after ren was 1; must hold its value
                              while ren is 0.  Any word will do when the same cycle writes it:
                              no kernel depends on that
    <port>_waddr, _wen, _wdata  out   write at the end of the cycle in which wen is 1

Where the array is ``@ Memory(latency=0)`` the reads are asynchronous, as those of look-up tables
used as memory are: rdata is the word at raddr in the same cycle, whatever ren is, and the old one
when that cycle writes it.  ren is 1 where the kernel may use it.

An array that is a stream (``s.interface(array, "stream")``) is instead an AXI4-Stream:

    <port>_tdata        in    the elements in row-major order, a word of them at a time
    <port>_tvalid, _tready    a word is handed over in a cycle in which both are 1
    <port>_tlast        out   of an array that is written: 1 with the last word of the array

For an array that is written the directions are the other way round.  Words of several elements
have the first in the lowest bits.  tdata has whole bytes; what is above a word is its sign (for
a single element with one) or zero, and of no account in an input.  Each port has room for two
words or three, so that no output depends on an input in the same cycle: words may be handed over
before a run starts, and those of a result be taken after it has ended.

Words and scalars are the bits of the user's types: two's complement for Int, index and Fixed,
unsigned for UInt and UFixed (fixed point counts multiples of its smallest fraction), the encoding
of IEEE 754 for floating point (and of E4M3, see :class:`~allo_rtl.ir.types.Float`), and for a
struct its fields packed, the first in the lowest bits.

Results need no preparation: the kernel writes every element of a result array, zeroing what it
does not compute, whatever the memory held.  Groups that a kernel never reads (writes) have no read
(write) signals, and a bank of one word
has no addresses.  A run of ``cycles`` cycles: start taken in cycle 0, work in cycles
1 ... cycles, done in cycle ``cycles`` + 1.  With start held high, runs follow each other every
``cycles`` cycles.

Reset stops a run; nothing is written after it, and the next start works.  State is then
what it was before the first run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from allo_rtl.ir import arithmetic
from allo_rtl.ir.argument_streams import elements_per_word
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.types import ArrayType, ScalarType, StreamType


class Direction(Enum):
    """How a kernel uses an array argument."""

    READ = "in"
    WRITE = "out"
    READ_WRITE = "inout"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class ScalarPort:
    """A scalar argument or result; ``name`` is the signal's."""

    name: str
    type: ScalarType

    @property
    def width(self) -> int:
        """Width of the signal in bits."""
        return self.type.bits


@dataclass(frozen=True, slots=True)
class BankPort:
    """The port group of one bank: signals ``<name>_raddr`` ... ``<name>_wdata``.

    In ``shared`` are "r" and "w" for reading and writing that others do at the same time, inside
    a region: the process asks by ``_rreq`` (``_wreq``), and holds until it has ``_rgnt``
    (``_wgnt``) in the same cycle; only then ``_ren`` (``_wen``) is 1.  With ``async_read`` the
    word is there in the cycle of the address.
    """

    name: str
    width: int
    depth: int
    read: bool
    write: bool
    shared: frozenset[str] = frozenset()
    async_read: bool = False

    @property
    def address_bits(self) -> int:
        """Width of the addresses; 0 when there is one word (then there are no addresses)."""
        return (self.depth - 1).bit_length()

    def signals(self) -> dict[str, tuple[str, int]]:
        """Verilog signals of the group: name -> ("input" or "output" of the kernel, bits)."""
        found: dict[str, tuple[str, int]] = {}
        if self.read:
            if self.address_bits:
                found[f"{self.name}_raddr"] = ("output", self.address_bits)
            found[f"{self.name}_ren"] = ("output", 1)
            found[f"{self.name}_rdata"] = ("input", self.width)
        if self.write:
            if self.address_bits:
                found[f"{self.name}_waddr"] = ("output", self.address_bits)
            found[f"{self.name}_wen"] = ("output", 1)
            found[f"{self.name}_wdata"] = ("output", self.width)
        for way in sorted(self.shared):
            found[f"{self.name}_{way}req"] = ("output", 1)
            found[f"{self.name}_{way}gnt"] = ("input", 1)
        return found


@dataclass(frozen=True, slots=True)
class ArrayPort:
    """An array argument or result: one port group a bank.

    ``banks[b]`` is bank ``b`` of ``Layout(type)``; the groups are called ``<name>`` when there is
    one bank and ``<name>_<b>`` otherwise.  ``used`` says how each bank is, where that is known to
    be less than ``direction``, and ``shared`` which of them others use at the same time.
    """

    name: str
    type: ArrayType
    direction: Direction
    used: tuple[Direction, ...] | None = None
    shared: tuple[frozenset[str], ...] | None = None

    @property
    def banks(self) -> tuple[BankPort, ...]:
        """Port groups in bank order."""
        layout = Layout(self.type)
        banks, depth = layout.banks, layout.depth  # worked out once: there may be a thousand
        shared = self.shared or (frozenset[str](),) * banks
        used = self.used or (self.direction,) * banks
        return tuple(
            BankPort(
                self.name if banks == 1 else f"{self.name}_{b}",
                self.type.element.bits, depth,
                use in (Direction.READ, Direction.READ_WRITE),
                use in (Direction.WRITE, Direction.READ_WRITE),
                shared[b], self.type.async_read,
            )
            for b, use in enumerate(used)
        )


@dataclass(frozen=True, slots=True)
class StreamPort:
    """One end of a stream: signals ``<name>_data``, ``<name>_valid`` and ``<name>_ready``.

    The kernel takes words (READ), puts them (WRITE), or leaves the stream alone (UNUSED).  With
    ``window_bits`` it has ``<name>_at``, too: which word of the next block is to be on offer.
    """

    name: str
    type: StreamType
    direction: Direction
    window_bits: int = 0

    def signals(self) -> dict[str, tuple[str, int]]:
        """Verilog signals: name -> ("input" or "output" of the kernel, bits)."""
        if self.direction is Direction.UNUSED:
            return {}
        ways = ("input", "output") if self.direction is Direction.READ else ("output", "input")
        found = {
            f"{self.name}_data": (ways[0], self.type.element.bits),
            f"{self.name}_valid": (ways[0], 1),
            f"{self.name}_ready": (ways[1], 1),
        }
        if self.window_bits:
            found[f"{self.name}_at"] = ("output", self.window_bits)
        return found


@dataclass(frozen=True, slots=True)
class ArrayStream:
    """An array argument (READ) or an argument or result that is written, as an AXI4-Stream.

    A word has as many elements as the array's partition says; see
    :func:`~allo_rtl.ir.argument_streams.elements_per_word`.
    """

    name: str
    type: ArrayType
    direction: Direction

    @property
    def elements(self) -> int:
        """Elements in a word."""
        return elements_per_word(self.type)

    @property
    def words(self) -> int:
        """Words of the whole array."""
        return self.type.size // self.elements

    @property
    def width(self) -> int:
        """Bits of a word that count."""
        return self.elements * self.type.element.bits

    def signals(self) -> dict[str, tuple[str, int]]:
        """Verilog signals: name -> ("input" or "output" of the kernel, bits)."""
        read = self.direction is Direction.READ
        ahead, back = ("input", "output") if read else ("output", "input")
        found = {
            f"{self.name}_tdata": (ahead, -(-self.width // 8) * 8),
            f"{self.name}_tvalid": (ahead, 1),
            f"{self.name}_tready": (back, 1),
        }
        return found if read else found | {f"{self.name}_tlast": ("output", 1)}


type Port = ScalarPort | ArrayPort | ArrayStream


@dataclass(frozen=True, slots=True)
class KernelInterface:
    """All ports of a kernel, in the order of its arguments and of its results.

    ``streams`` are those of the arguments that are streams, which ``args`` leaves out; only
    processes inside a kernel have some.

    ``latency`` is the run's length in cycles when it does not depend on data, else None;
    ``stateful`` says that a run may find what the one before left.
    """

    name: str
    args: tuple[Port, ...]
    results: tuple[Port, ...] = ()
    latency: int | None = None
    stateful: bool = False
    streams: tuple[StreamPort, ...] = ()

    def signals(self) -> dict[str, tuple[str, int]]:
        """Every Verilog signal but clk and rst: name -> (direction, bits)."""
        found = {"start": ("input", 1), "ready": ("output", 1), "done": ("output", 1)}
        for port in (*self.args, *self.results):
            if isinstance(port, ArrayPort):
                for bank in port.banks:
                    found |= bank.signals()
            elif isinstance(port, ArrayStream):
                found |= port.signals()
            else:
                found[port.name] = ("input" if port in self.args else "output", port.width)
        for stream in self.streams:
            found |= stream.signals()
        return found


def is_signed(type: ScalarType) -> bool:
    """Whether a signal of this type holds a two's complement number."""
    return arithmetic.signed(type)
