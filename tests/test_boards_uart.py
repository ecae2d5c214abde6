import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from allo_rtl.boards.uart import UartReceiver, UartTransmitter, divisor
from allo_rtl.errors import BuildError


def test_divisor_is_the_nearest_whole_number_of_cycles():
    assert divisor(12e6, 1_000_000) == 12
    assert divisor(27e6, 115_200) == 234


def test_divisor_that_misses_the_baud_rate_is_refused():
    with pytest.raises(BuildError) as error:
        divisor(5.5e6, 1_000_000)
    assert str(error.value) == (
        "a clock of 5.5 MHz cannot make 1000000 baud\n"
        "  allowed: at least 4 cycles a bit, and a whole number of them within 2 %\n"
        "  hint: choose another clock_mhz"
    )


def _received(sender: UartTransmitter, receiver: UartReceiver, data: bytes) -> bytes:
    m = Module()
    m.submodules.sender, m.submodules.receiver = sender, receiver
    m.d.comb += receiver.rx.eq(sender.tx)
    found = bytearray()

    async def send(ctx):
        ctx.set(sender.valid, 1)
        for byte in data:
            ctx.set(sender.data, byte)
            await ctx.tick().until(sender.ready)
        ctx.set(sender.valid, 0)
        await ctx.tick().repeat(2000)

    async def receive(ctx):
        async for _, _, valid, byte in ctx.tick().sample(receiver.valid, receiver.data):
            if valid:
                found.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    return bytes(found)


@pytest.mark.parametrize("cycles", [4, 5, 12, 104])
def test_bytes_arrive_back_to_back(cycles):
    data = bytes([0x00, 0xFF, 0x55, 0xA5, 0x01, 0x80])
    assert _received(UartTransmitter(cycles), UartReceiver(cycles), data) == data


def test_clocks_may_differ_by_four_percent():
    data = bytes([0x00, 0xFF, 0x55, 0xAA])
    assert _received(UartTransmitter(104), UartReceiver(100), data) == data
    assert _received(UartTransmitter(96), UartReceiver(100), data) == data


def test_byte_without_its_stop_bit_is_dropped():
    # At half the speed the receiver finds a zero of the data where the stop bit should be.
    assert _received(UartTransmitter(20), UartReceiver(10), b"\x00") == b""
