"""The host's end of the wire: requests that are repeated until they are answered."""

from __future__ import annotations

import secrets
import time
import zlib

import serial

from allo_rtl.boards.protocol import (
    GAP_SECONDS,
    READ_BYTES,
    REPLY_SYNC,
    REQUEST_SYNC,
    Command,
    Status,
    encode,
)
from allo_rtl.errors import HostError

ATTEMPTS = 4
"""How often a request is sent before the host gives up."""

_POLL_SECONDS = 0.05
_DRAIN_SECONDS = 1.0


class _Retry(Exception):
    """An attempt that failed in a way that another may repair; '' when nothing came at all."""


class Line:
    """A serial port with a board at its other end.

    Args:
        port: name of the serial port.
        baud: bits per second.
        timeout: seconds until a request has to be answered, all attempts together.

    Raises:
        HostError: the port cannot be opened.
    """

    def __init__(self, port: str, baud: int, timeout: float) -> None:
        self.port = port
        self._baud, self._timeout = baud, timeout
        self._sequence = secrets.randbelow(256)
        try:
            self._serial = serial.Serial(
                port, baud, timeout=_POLL_SECONDS, write_timeout=timeout, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise HostError(
                f"the port {port} cannot be opened: {error}",
                hint="is the board plugged in, may this user open the port, and has no other "
                "program opened it?",
            ) from error

    def close(self) -> None:
        """Close the port; the board keeps its state."""
        self._serial.close()

    def ask(self, command: Command, payload: bytes, expected: int = 0) -> bytes:
        """Send a request until it is answered; the reply's payload.

        Args:
            command: one that may be repeated without harm, as all may.
            payload: as the protocol says.
            expected: bytes of the reply's payload.

        Raises:
            HostError: the port failed, nothing or nothing intact came back, or the board refused.
        """
        # Each byte is ten bits on the line; a frame has nine besides its payload.
        transfer = 10 * (len(payload) + expected + 18) / self._baud
        problem = ""
        for _ in range(ATTEMPTS):
            self._sequence = (self._sequence + 1) % 256
            try:
                self._serial.write(encode(REQUEST_SYNC, self._sequence, command, payload))
                return self._reply(expected, self._timeout / ATTEMPTS + transfer)
            except _Retry as error:
                problem = str(error) or problem
            except OSError as error:
                hint = "is the board still plugged in?"
                raise HostError(f"the port {self.port} failed: {error}", hint=hint) from error
        if problem:
            raise HostError(
                f"the link on {self.port} is disturbed: {problem} (given up after {ATTEMPTS} "
                "attempts)",
                hint="check the cable, and that the baud rate is the bitstream's",
            )
        raise HostError(
            f"no answer from {self.port} within {self._timeout:g} s",
            hint="is the bitstream loaded, and is this the board's serial port?",
        )

    def lost(self) -> HostError:
        """The error to raise when what the board holds is not what we put there."""
        return HostError(
            f"the board on {self.port} was restarted or used by another program during the call",
            hint="call again",
        )

    def _reply(self, expected: int, seconds: float) -> bytes:
        """The payload of the reply to the request sent last; skips noise and late replies."""
        deadline = time.monotonic() + seconds
        while True:
            if self._take(1, deadline)[0] != REPLY_SYNC:
                continue
            header = self._take(4, deadline)
            length = int.from_bytes(header[2:], "little")
            if length > max(READ_BYTES, expected):
                raise self._damaged("a reply of an impossible length came")
            rest = self._take(length + 4, deadline)
            if zlib.crc32(header + rest[:length]) != int.from_bytes(rest[length:], "little"):
                raise self._damaged("a reply with a wrong check sum came")
            sequence, status = header[0], header[1]
            if status == Status.CORRUPT:
                raise self._damaged("a request arrived with a wrong check sum")
            if sequence == self._sequence:
                return self._accept(status, rest[:length], expected)

    def _accept(self, status: int, payload: bytes, expected: int) -> bytes:
        if status == Status.OK and len(payload) == expected:
            return payload
        if status in (Status.LOST, Status.BUSY):
            raise self.lost()
        raise HostError(
            f"the board on {self.port} refused a request (status {status}, {len(payload)} bytes)",
            hint="build the bitstream again and program it",
        )

    def _take(self, count: int, deadline: float) -> bytes:
        """Exactly ``count`` bytes; _Retry when they are not there in time."""
        data: bytes = b""
        while len(data) < count:
            if time.monotonic() > deadline:
                raise _Retry("a reply stopped half way" if data or count > 1 else "")
            data += self._serial.read(count - len(data))
        return data

    def _damaged(self, problem: str) -> _Retry:
        """Wait until the line is quiet and the board ready for a request; what to raise then."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._serial.read(4096) and time.monotonic() < deadline:
            pass
        time.sleep(GAP_SECONDS)
        return _Retry(problem)
