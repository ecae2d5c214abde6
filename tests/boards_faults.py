"""A disturbed serial line: a pseudo-terminal in front of a port that damages chosen bytes."""

import os
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

type Fault = Callable[[int, int], bytes]
"""What becomes of byte number ``n`` (from 0) of value ``b``: ``fault(n, b)``."""


def clean(n: int, b: int) -> bytes:
    """No fault."""
    return bytes([b])


def flip(at: int) -> Fault:
    """Turn one bit of byte ``at`` over."""
    return lambda n, b: bytes([b ^ (1 << at % 8 if n == at else 0)])


def drop(at: int, count: int = 1) -> Fault:
    """Lose ``count`` bytes from ``at`` on."""
    return lambda n, b: b"" if at <= n < at + count else bytes([b])


def extra(at: int, value: int) -> Fault:
    """A byte that nobody sent, in front of byte ``at``."""
    return lambda n, b: bytes([value, b]) if n == at else bytes([b])


@contextmanager
def disturbed(port: str, to_board: Fault = clean, to_host: Fault = clean) -> Iterator[str]:
    """A port that is ``port`` with faults in either direction."""
    board = os.open(port, os.O_RDWR | os.O_NOCTTY)
    near, far = os.openpty()
    tty.setraw(far)
    stop, stopping = os.pipe()
    counts = {near: 0, board: 0}

    def forward() -> None:
        while True:
            ready, _, _ = select.select([near, board, stop], [], [])
            if stop in ready:
                return
            for source in ready:
                fault, sink = (to_board, board) if source == near else (to_host, near)
                for b in os.read(source, 4096):
                    os.write(sink, fault(counts[source], b))
                    counts[source] += 1

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield os.ttyname(far)
    finally:
        os.write(stopping, b"x")
        thread.join()
        for fd in (board, near, far, stop, stopping):
            os.close(fd)
