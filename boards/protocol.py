"""The link's protocol: frames, commands and the numbering of what a board holds.

Both ends follow this page: the gateware in :mod:`allo_rtl.boards.link` and the host in
:mod:`allo_rtl.boards.host`.  All numbers are little endian.

    request   5A  sequence  command  length:2  payload:length  crc:4
    reply     A5  sequence  status   length:2  payload:length  crc:4

``crc`` is CRC-32 (the one of zlib) of everything between the first byte and itself.  The board
answers every whole request once, with its sequence number; it acts only after the CRC matched,
so a damaged request changes nothing.  A request that stops half way is forgotten after a gap of
``GAP_SECONDS``.  The board hears nothing while it answers: the host sends one request at a time.

    READ   target:2 address:4 size:2 bytes:2          reply: bytes, each word low byte first
    WRITE  target:2 address:4 size:2 bytes:2 data     data: each word high byte first
    START  old:4 new:4                                start a run
    RESET  new:4                                      stop a run, reset the kernel

A *target* is a memory bank, a scalar or (number 0) the system words; ``address`` counts words and
``size`` is the bytes of one word, ceil(bits / 8).  Words go in high byte first and come out low
byte first because that is how one shift register takes and gives words of any width.

Every command may be repeated without harm, so a host that misses a reply sends again.  For START
that is the work of the *token*, a number in the board that is 0 after power-up: RESET sets it,
START replaces ``old`` by ``new`` and starts; when the token is ``new`` already it does nothing,
and when it is anything else it refuses (LOST), because the board was restarted or used by
somebody else since the host filled its memories.

While a run goes on, only the system words can be read.  A READ or WRITE beyond the end of a
target has no defined effect.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from enum import IntEnum

from allo_rtl.errors import BuildError
from allo_rtl.rtl.interface import ArrayPort, ArrayStream, KernelInterface, Port, ScalarPort

REQUEST_SYNC = 0x5A
REPLY_SYNC = 0xA5
MAGIC = int.from_bytes(b"ALLO", "little")
VERSION = 1
GAP_SECONDS = 0.02

HEAD_BYTES = 10
"""Bytes before the data in a WRITE's payload, and all of a READ's payload."""

WRITE_BYTES = 256
"""Data bytes of the longest WRITE, except for words that are longer; one block RAM holds them."""

READ_BYTES = 1024
"""Data bytes of the longest READ that the host asks for."""


class Command(IntEnum):
    """What a request asks for."""

    READ = 1
    WRITE = 2
    START = 3
    RESET = 4


class Status(IntEnum):
    """How a reply answers."""

    OK = 0
    CORRUPT = 1
    """The request's CRC did not match."""
    BUSY = 2
    """Refused because a run goes on."""
    LOST = 3
    """Refused because the token is another one."""
    INVALID = 4
    """An unknown command, or a payload of the wrong length."""


class System(IntEnum):
    """Addresses of the system words (target 0), each of 4 bytes."""

    MAGIC = 0
    VERSION = 1
    HASH_LOW = 2
    HASH_HIGH = 3
    TOKEN = 4
    BUSY = 5
    CYCLES_LOW = 6
    CYCLES_HIGH = 7


@dataclass(frozen=True, slots=True)
class Target:
    """Something on the board that READ and WRITE reach: ``depth`` words of ``width`` bits."""

    number: int
    name: str
    width: int
    depth: int

    @property
    def word_bytes(self) -> int:
        """Bytes of one word in a frame."""
        return -(-self.width // 8)


SYSTEM = Target(0, "system", 32, len(System))


def check_ports(interface: KernelInterface) -> None:
    """BuildError when the link cannot reach a port: its arrays are memories."""
    for port in (*interface.args, *interface.results):
        if isinstance(port, ArrayStream):
            raise BuildError(
                f"'{port.name}' of {interface.name} is a stream; the link of a board fills and "
                "reads memories",
                allowed="arrays that are memories",
                hint=f's.interface("{port.name}", "memory"), or connect the stream in a design of '
                "your own",
            )  # fmt: skip


def _parts(port: Port) -> list[tuple[str, int, int]]:
    """(name, width, depth) of each thing to reach in a port."""
    if isinstance(port, ArrayPort):
        return [(b.name, b.width, b.depth) for b in port.banks if b.read or b.write]
    assert isinstance(port, ScalarPort), "check_ports"
    return [(port.name, port.width, 1)]


def targets(interface: KernelInterface) -> dict[str, Target]:
    """The targets of a kernel's board by name, numbered from 1 in the order of its ports.

    Banks have the names of their port groups, scalars those of their signals.
    """
    parts = [part for port in (*interface.args, *interface.results) for part in _parts(port)]
    return {p[0]: Target(n, *p) for n, p in enumerate(parts, start=1)}


def interface_hash(interface: KernelInterface) -> int:
    """64 bits that tell one kernel's bitstream from another's; the same in every process.

    They cover name, ports, element types, layouts and latency, but not what is computed.
    """
    lines = [f"{interface.name} latency {interface.latency}"]
    for port in (*interface.args, *interface.results):
        direction = port.direction.value if isinstance(port, ArrayPort) else "scalar"
        lines.append(f"{port.name}: {direction} {port.type}")
    lines += [f"{t}" for t in targets(interface).values()]
    digest = hashlib.sha256("\n".join(lines).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def encode(sync: int, sequence: int, code: int, payload: bytes = b"") -> bytes:
    """A frame; ``code`` is the command or the status."""
    body = bytes([sequence, code]) + len(payload).to_bytes(2, "little") + payload
    return bytes([sync]) + body + zlib.crc32(body).to_bytes(4, "little")
