"""The host's end of the link: a board called with numpy arrays, over a serial port."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from allo_rtl.boards.line import Line
from allo_rtl.boards.protocol import (
    MAGIC,
    READ_BYTES,
    SYSTEM,
    VERSION,
    WRITE_BYTES,
    Command,
    System,
    Target,
    check_ports,
    interface_hash,
    targets,
)
from allo_rtl.errors import HostError
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.types import ArrayType
from allo_rtl.rtl.interface import ArrayPort, ArrayStream, Direction, KernelInterface, ScalarPort
from allo_rtl.sim.cosim import element_positions
from allo_rtl.sim.marshal import Raw, Signature, Words, call_with_numpy, int_of_word, word_count


class Host:
    """A kernel on a board, called like its CPU build.

        with Host("/dev/ttyUSB1", interface) as kernel:
            C = kernel(A, B)
            print(kernel.cycles)

    Every call writes the arguments, runs, and reads back what the kernel may have written.  A
    disturbed line costs time, never a wrong result: damaged frames are sent again, and what
    cannot be repaired raises.

    Args:
        port: name of the serial port.
        interface: of the kernel that the board's bitstream was built for.
        baud: bits per second; must be the bitstream's.
        timeout: seconds until the board has to answer a request, all attempts together.
        run_timeout: seconds a run may last.

    Raises:
        HostError: the port cannot be opened, nothing answers, or it is another kernel's board.
    """

    def __init__(
        self,
        port: str,
        interface: KernelInterface,
        *,
        baud: int = 115200,
        timeout: float = 2.0,
        run_timeout: float = 60.0,
    ) -> None:
        check_ports(interface)
        self._interface, self._run_timeout = interface, run_timeout
        self._targets = targets(interface)
        self._token: int | None = None
        self._cycles: int | None = None
        self._line = Line(port, baud, timeout)
        try:
            self._identify()
        except HostError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; the board keeps its state."""
        self._line.close()

    @property
    def cycles(self) -> int | None:
        """Clock cycles of the last run; None before the first."""
        return self._cycles

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - what a kernel takes and returns
        """Run the kernel; arguments and result as in :func:`~allo_rtl.sim.marshal.call_with_numpy`.

        Raises:
            CallError: an argument does not fit.
            HostError: the link failed, or the run did not finish; no argument was changed.
        """
        ports = self._interface
        params = tuple((p.name, p.type) for p in ports.args)
        signature = Signature(ports.name, params, tuple(p.type for p in ports.results))
        return call_with_numpy(signature, args, self._run)

    def _run(self, raw: list[Raw]) -> list[Raw]:
        """One run: arguments to the board, start, wait, results back."""
        old, new = self._token or self._reset(), _new_token()
        self._token = None  # what the board holds is known again when all went well
        self._write_arguments(raw)
        self._line.ask(Command.START, _u32(old) + _u32(new))
        cycles = self._wait(new)
        for port, value in zip(self._interface.args, raw, strict=True):
            if isinstance(port, ArrayPort) and isinstance(value, np.ndarray) and _written(port):
                value[...] = self._read_array(port)
        results = [
            self._read_array(p) if isinstance(p, ArrayPort) else self._read_scalar(p)
            for p in self._interface.results
            if not isinstance(p, ArrayStream)
        ]
        # The same token still: nothing restarted the board while its results were read.
        self._state(new)
        self._token, self._cycles = new, cycles
        return results

    def _write_arguments(self, raw: list[Raw]) -> None:
        """All that a run can read; array results hold whatever they held."""
        for port, value in zip(self._interface.args, raw, strict=True):
            if isinstance(port, ScalarPort):
                assert isinstance(value, int)
                self._write_scalar(port, value)
            elif isinstance(port, ArrayPort):
                assert isinstance(value, np.ndarray)
                self._write_array(port, value)

    def _identify(self) -> None:
        """Check that the right bitstream answers."""
        magic, version, low, high = _split(self._read(SYSTEM, System.MAGIC, 4))
        if magic != MAGIC or version != VERSION:
            raise HostError(
                f"what answers on {self._line.port} is no board of this version of allo_rtl",
                hint="build the bitstream again and program it",
            )
        if low | high << 32 != interface_hash(self._interface):
            raise HostError(
                f"the board on {self._line.port} holds another kernel than "
                f"'{self._interface.name}' as it is now",
                hint="program the bitstream that was built from this kernel and schedule",
            )

    def _reset(self) -> int:
        token = _new_token()
        self._line.ask(Command.RESET, _u32(token))
        return token

    def _wait(self, token: int) -> int:
        """Wait for the run's end; its length in cycles."""
        deadline = time.monotonic() + self._run_timeout
        while True:
            busy, cycles = self._state(token)
            if not busy:
                return cycles
            if time.monotonic() > deadline:
                raise HostError(
                    f"the run of '{self._interface.name}' on {self._line.port} did not finish "
                    f"within {self._run_timeout:g} s",
                    hint="give run_timeout= more seconds if that was too few",
                )

    def _state(self, expected: int) -> tuple[bool, int]:
        """(whether a run goes on, its cycles); checks that the board is still ours."""
        token, busy, low, high = _split(self._read(SYSTEM, System.TOKEN, 4))
        if token != expected:
            raise self._line.lost()
        return bool(busy), low | high << 32

    def _write_array(self, port: ArrayPort, words: Words) -> None:
        layout = Layout(port.type)
        size = -(-port.type.element.bits // 8)
        image = np.zeros((layout.banks, layout.depth, size), np.uint8)
        image[_places(port.type)] = _bytes(words)[:, :size]
        for number, bank in enumerate(port.banks):
            if bank.read or bank.write:
                self._write(self._targets[bank.name], image[number])

    def _read_array(self, port: ArrayPort) -> Words:
        banks = [self._read(self._targets[b.name], 0, b.depth) for b in port.banks]
        size = -(-port.type.element.bits // 8)
        image = np.frombuffer(b"".join(banks), np.uint8).reshape(len(banks), -1, size)
        words = _zeros(port.type)
        _bytes(words)[:, :size] = image[_places(port.type)]
        return words

    def _write_scalar(self, port: ScalarPort, value: int) -> None:
        target = self._targets[port.name]
        data = (value & ((1 << port.width) - 1)).to_bytes(target.word_bytes, "little")
        self._write(target, np.frombuffer(data, np.uint8).reshape(1, -1))

    def _read_scalar(self, port: ScalarPort) -> int:
        data = self._read(self._targets[port.name], 0, 1).ljust(word_count(port.type) * 8, b"\0")
        return int_of_word(np.frombuffer(data, np.uint64).reshape(1, -1), port.type)

    def _write(self, target: Target, rows: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        """Store words from address 0 on; one row of bytes a word, low byte first."""
        for address, count in _chunks(len(rows), WRITE_BYTES // target.word_bytes):
            data = np.ascontiguousarray(rows[address : address + count, ::-1]).tobytes()
            self._line.ask(Command.WRITE, _head(target, address, len(data)) + data)

    def _read(self, target: Target, start: int, count: int) -> bytes:
        """Fetch words, low byte first."""
        parts = []
        for offset, words in _chunks(count, READ_BYTES // target.word_bytes):
            size = words * target.word_bytes
            parts.append(self._line.ask(Command.READ, _head(target, start + offset, size), size))
        return b"".join(parts)


def _new_token() -> int:
    """A number that no earlier run has, as good as certainly; never 0, the power-up value."""
    return secrets.randbelow(2**32 - 1) + 1


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _split(data: bytes) -> Sequence[int]:
    """The 32-bit numbers in some bytes."""
    return [int.from_bytes(data[n : n + 4], "little") for n in range(0, len(data), 4)]


def _head(target: Target, address: int, count: int) -> bytes:
    """The first part of the payload of READ and WRITE."""
    number, size = _u16(target.number), _u16(target.word_bytes)
    return number + _u32(address) + size + _u16(count)


def _chunks(total: int, limit: int) -> Iterator[tuple[int, int]]:
    """(start, count) of pieces of at most ``limit``, or of one where the limit is below."""
    step = max(1, limit)
    for start in range(0, total, step):
        yield start, min(step, total - start)


def _written(port: ArrayPort) -> bool:
    return port.direction in (Direction.WRITE, Direction.READ_WRITE)


def _zeros(type_: ArrayType) -> Words:
    return np.zeros((type_.size, word_count(type_.element)), np.uint64)


def _bytes(words: Words) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes of each element, low byte first: a view."""
    return words.astype("<u8", copy=False).view(np.uint8).reshape(len(words), -1)


def _places(type_: ArrayType) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(bank, address) of each element in row-major order."""
    return np.divmod(element_positions(type_), Layout(type_).depth)
