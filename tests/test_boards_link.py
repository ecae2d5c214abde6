import os
import pty
import random
import tty
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from boards_faults import clean, disturbed, drop, extra, flip
from boards_kernels import ADD, BUMP, DOT, WAIT, WORDS, Add, Bump, Dot, Wait

from allo_rtl.boards.host import Host
from allo_rtl.boards.line import Line
from allo_rtl.boards.protocol import (
    REQUEST_SYNC,
    SYSTEM,
    Command,
    Status,
    System,
    encode,
    interface_hash,
    targets,
)
from allo_rtl.boards.virtual import VirtualBoard
from allo_rtl.errors import HostError
from allo_rtl.rtl.interface import KernelInterface

PATIENT = 8.0
"""Timeout for what must succeed, also on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def add_board():
    with VirtualBoard(Add(), ADD) as port:
        yield port


def _check_add(host, rng):
    a, b = rng.integers(-(2**31), 2**31, WORDS, np.int32), np.zeros(WORDS, np.int32)
    x = int(rng.integers(-1000, 1000))
    assert host(a, b, x) is None
    np.testing.assert_array_equal(b, a + np.int32(x))


def test_frame_is_what_the_protocol_says():
    frame = encode(0x5A, 7, Command.RESET, b"\x01\x02\x03\x04")
    assert frame.hex(" ") == "5a 07 04 04 00 01 02 03 04 a4 94 41 97"


def test_targets_are_numbered_in_the_order_of_the_ports():
    found = [(t.number, t.name, t.width, t.depth, t.word_bytes) for t in targets(DOT).values()]
    assert found == [
        (1, "V_0", 12, 8, 2), (2, "V_1", 12, 8, 2), (3, "result_0", 27, 1, 4),
        (4, "result_1", 70, 1, 9),
    ]  # fmt: skip


def test_interface_hash_tells_kernels_apart():
    other = KernelInterface(ADD.name, ADD.args, ADD.results, latency=18)
    assert interface_hash(ADD) == interface_hash(KernelInterface("add", ADD.args, (), WORDS + 1))
    assert len({interface_hash(k) for k in (ADD, other, DOT, WAIT)}) == 4


def test_call_gives_the_kernels_result_and_cycles(add_board):
    rng = np.random.default_rng(1)
    with Host(add_board, ADD, timeout=PATIENT) as host:
        assert host.cycles is None
        for _ in range(3):
            _check_add(host, rng)
        assert host.cycles == ADD.latency


def test_odd_widths_banks_and_results():
    rng = np.random.default_rng(2)
    with VirtualBoard(Dot(), DOT) as port, Host(port, DOT, timeout=PATIENT) as host:
        for _ in range(3):
            v = rng.integers(-2048, 2048, WORDS, np.int16)
            total, pairs = host(v)
            assert total == int((v[::2].astype(int) * v[1::2]).sum())
            assert pairs.tolist() == [WORDS // 2 << 60]
        assert host.cycles == DOT.latency


def test_array_changed_in_place():
    with VirtualBoard(Bump(), BUMP) as port, Host(port, BUMP, timeout=PATIENT) as host:
        a = np.arange(250, 250 + WORDS).astype(np.uint8)
        for _ in range(2):
            host(a)
        np.testing.assert_array_equal(a, np.arange(252, 252 + WORDS).astype(np.uint8))


def test_damaged_write_changes_nothing(add_board):
    target = targets(ADD)["B"]
    head = bytes([target.number, 0, 0, 0, 0, 0, 4, 0, 4, 0])
    with _line(add_board) as line:
        line.ask(Command.WRITE, head + b"\x01\x02\x03\x04")
        frame = bytearray(encode(REQUEST_SYNC, 9, Command.WRITE, head + b"\x05\x06\x07\x08"))
        frame[-5] ^= 0x10
        with pytest.raises(HostError, match="a request arrived with a wrong check sum"):
            _send_always(line, bytes(frame))
        assert line.ask(Command.READ, head, 4) == b"\x04\x03\x02\x01"


def test_repeated_start_runs_once(add_board):
    with _line(add_board) as line:
        line.ask(Command.RESET, b"\x01\0\0\0")
        line.ask(Command.START, b"\x01\0\0\0\x02\0\0\0")
        head = bytes([targets(ADD)["B"].number, 0, 0, 0, 0, 0, 4, 0, 4, 0])
        line.ask(Command.WRITE, head + b"mark")
        line.ask(Command.START, b"\x01\0\0\0\x02\0\0\0")
        assert line.ask(Command.READ, head, 4) == b"kram"


def test_start_with_another_token_is_refused(add_board):
    with _line(add_board) as line:
        line.ask(Command.RESET, b"\x01\0\0\0")
        with pytest.raises(HostError) as error:
            line.ask(Command.START, b"\x07\0\0\0\x08\0\0\0")
    assert str(error.value) == (
        f"the board on {add_board} was restarted or used by another program during the call\n"
        "  hint: call again"
    )


def test_unknown_command_and_wrong_length_are_refused(add_board):
    with _line(add_board) as line:
        for frame in (encode(REQUEST_SYNC, 0, 99), encode(REQUEST_SYNC, 0, Command.RESET, b"?")):
            with pytest.raises(HostError, match=f"refused a request \\(status {Status.INVALID:d}"):
                _send_always(line, frame)


def test_run_that_does_not_end_is_reported_and_stopped_by_the_next_call():
    with VirtualBoard(Wait(), WAIT) as port:
        with Host(port, WAIT, timeout=PATIENT, run_timeout=0.2) as host:
            with pytest.raises(HostError) as error:
                host(2**32 - 1)
            assert str(error.value) == (
                f"the run of 'wait' on {port} did not finish within 0.2 s\n"
                "  hint: give run_timeout= more seconds if that was too few"
            )
            host(100)
            assert host.cycles == 101
        with _line(port) as line:
            # During a run the link reads nothing but the system words.
            line.ask(Command.RESET, b"\x01\0\0\0")
            line.ask(Command.WRITE, bytes([1, 0, 0, 0, 0, 0, 4, 0, 4, 0]) + b"\xff" * 4)
            line.ask(Command.START, b"\x01\0\0\0\x02\0\0\0")
            busy = bytes([SYSTEM.number, 0, System.BUSY, 0, 0, 0, 4, 0, 4, 0])
            assert line.ask(Command.READ, busy, 4) == b"\x01\0\0\0"
            with pytest.raises(HostError, match="used by another program"):
                line.ask(Command.READ, bytes([1, 0, 0, 0, 0, 0, 4, 0, 4, 0]), 4)


# Identify, reset and the first write take bytes 0 ... 18, 19 ... 31 and 32 ... of the way to the
# board, and 0 ... 24, 25 ... 33, 34 ... of the way back.
@pytest.mark.parametrize(
    ("to_board", "to_host"),
    [
        (flip(40), clean), (flip(60), clean), (clean, flip(27)), (clean, flip(12)),
        *(
            # These wait until the board gives a frame up, in the time of a simulated board.
            pytest.param(*faults, marks=pytest.mark.long)
            for faults in (
                (drop(50), clean), (clean, drop(30)), (extra(32, 0x5A), clean),
                (extra(70, 0), clean), (clean, extra(25, 0xA5)), (clean, extra(28, 0xA5)),
                (drop(60, 30), clean), (clean, drop(28, 12)),
            )
        ),
    ],
)  # fmt: skip
def test_single_fault_is_repaired(add_board, to_board, to_host):
    with (
        disturbed(add_board, to_board, to_host) as port,
        Host(port, ADD, timeout=24.0) as host,
    ):
        _check_add(host, np.random.default_rng(3))


@pytest.mark.parametrize("seed", range(5))
def test_disturbed_line_never_gives_a_wrong_result(add_board, seed):
    rng = random.Random(seed)

    def noisy(n, b):
        lost = rng.random()
        if lost < 0.004:
            return rng.choice([b"", bytes([b, rng.randrange(256)]), bytes([rng.randrange(256)])])
        return bytes([b])

    data = np.random.default_rng(seed)
    with (
        suppress(HostError),
        disturbed(add_board, noisy, noisy) as port,
        Host(port, ADD, timeout=0.8) as host,
    ):
        for _ in range(2):
            _check_add(host, data)
    with Host(add_board, ADD, timeout=PATIENT) as host:
        _check_add(host, data)


def test_line_that_is_always_disturbed_is_reported(add_board):
    def noisy(n, b):
        return bytes([b ^ (n % 7 == 6)])

    with disturbed(add_board, noisy) as port, pytest.raises(HostError) as error:
        Host(port, ADD, timeout=PATIENT)
    assert str(error.value) == (
        f"the link on {port} is disturbed: a request arrived with a wrong check sum "
        "(given up after 4 attempts)\n"
        "  hint: check the cable, and that the baud rate is the bitstream's"
    )


def test_unplugged_board_is_reported():
    board = VirtualBoard(Add(), ADD)
    with board as port, Host(port, ADD, timeout=PATIENT) as host:
        _check_add(host, np.random.default_rng(4))
        board.unplug()
        b = np.full(WORDS, 7, np.int32)
        with pytest.raises(HostError) as error:
            host(np.zeros(WORDS, np.int32), b, 1)
        assert str(error.value).startswith(f"the port {port} failed: ")
        assert str(error.value).endswith("\n  hint: is the board still plugged in?")
        assert b.tolist() == [7] * WORDS


def test_another_kernels_board_is_refused(add_board):
    with pytest.raises(HostError) as error:
        Host(add_board, DOT, timeout=PATIENT)
    assert str(error.value) == (
        f"the board on {add_board} holds another kernel than 'dot' as it is now\n"
        "  hint: program the bitstream that was built from this kernel and schedule"
    )


def test_silent_port_is_reported():
    near, far = pty.openpty()
    tty.setraw(far)
    port = os.ttyname(far)
    with pytest.raises(HostError) as error:
        Host(port, ADD, timeout=0.2)
    assert str(error.value) == (
        f"no answer from {port} within 0.2 s\n"
        "  hint: is the bitstream loaded, and is this the board's serial port?"
    )
    os.close(near)
    os.close(far)


def test_missing_port_is_reported():
    with pytest.raises(HostError, match=r"^the port /dev/no-such-port cannot be opened: "):
        Host("/dev/no-such-port", ADD)


@contextmanager
def _line(port):
    line = Line(port, 115200, PATIENT)
    try:
        yield line
    finally:
        line.close()


def _send_always(line, frame):
    """Send this very frame for whatever the line asks."""
    write = line._serial.write
    line._serial.write = lambda _: write(frame)
    try:
        line._sequence = frame[1] - 1
        line.ask(Command.READ, b"")
    finally:
        line._serial.write = write
