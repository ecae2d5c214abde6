"""A kernel's ports in cocotb: clock, reset, handshake, and memories behind its array ports.

Tests look at signals and change them at the falling edge, in the middle of a cycle.  What is
read there is what the coming rising edge sees, and what is written there is in time for it.
The ports: start is taken in a cycle in which ready is 1, that is cycle 0 of a run; the run's
work is in cycles 1 to ``cycles``; done is 1 in the cycle after, and all results are in place.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject, LogicArrayObject, LogicObject
from cocotb.triggers import FallingEdge, First, ReadOnly, RisingEdge, ValueChange

type Value = int | list[int]
"""A scalar or the elements of an array, row-major; all as unsigned bit patterns."""

CLOCK_NS = 10


def number(signal: LogicObject | LogicArrayObject | None) -> int:
    """A signal's value, unsigned; 0 for a signal that the kernel does not have."""
    return 0 if signal is None else int(signal.value)


class Memory:
    """A synchronous RAM behind one port group of a kernel.

    The word at the read address comes one cycle after read enable; it is the old one when the
    same cycle writes it, and stays while read enable is 0.  An asynchronous one gives the word in
    the cycle of the address.

    Attributes:
        asynchronous: whether its reads are so.
        words: what the memory holds; may be changed at any falling edge.
        writes: number of words written by the kernel so far.
    """

    def __init__(
        self, dut: HierarchyObject, name: str, depth: int, *, read: bool, write: bool,
        asynchronous: bool = False,
    ) -> None:
        self.words = [0] * depth
        self.writes = 0
        self.asynchronous = asynchronous and read
        self._clk = dut.clk
        address = depth > 1
        self._ren = getattr(dut, f"{name}_ren") if read else None
        self._raddr = getattr(dut, f"{name}_raddr") if read and address else None
        self._rdata = getattr(dut, f"{name}_rdata") if read else None
        self._wen = getattr(dut, f"{name}_wen") if write else None
        self._waddr = getattr(dut, f"{name}_waddr") if write and address else None
        self._wdata = getattr(dut, f"{name}_wdata") if write else None

    async def serve(self) -> None:
        """Answer the kernel for ever; start this as a task."""
        while True:
            await FallingEdge(self._clk)
            await ReadOnly()  # what a test changes at this edge has arrived
            reading, writing = number(self._ren), number(self._wen)
            raddr = number(self._raddr) if reading else 0
            waddr, wdata = (number(self._waddr), number(self._wdata)) if writing else (0, 0)
            await RisingEdge(self._clk)
            if reading and not self.asynchronous:  # a pipeline may read ahead, past the end
                self._rdata.value = self.words[raddr] if raddr < len(self.words) else 0
            if writing:
                self.words[waddr] = wdata
                self.writes += 1

    async def follow(self) -> None:
        """Give the words of asynchronous reads for ever; start this as a task."""
        changes = [] if self._raddr is None else [self._raddr]
        while self.asynchronous:
            address = number(self._raddr)
            self._rdata.value = self.words[address] if address < len(self.words) else 0
            # Words change too: by the kernel after the rising edge, by tests at the falling one.
            edges = RisingEdge(self._clk), FallingEdge(self._clk)
            await First(*edges, *(ValueChange(signal) for signal in changes))


class Array:
    """An array argument or result: the memories of its banks, and where each element is."""

    def __init__(self, dut: HierarchyObject, description: Mapping[str, Any]) -> None:
        read, write = description["read"], description["write"]
        self.banks = [
            Memory(
                dut, name, description["depth"], read=read, write=write,
                asynchronous=description["asynchronous"],
            )
            for name in description["banks"] if read or write
        ]
        self.places = list(zip(description["bank"], description["address"], strict=True))

    @property
    def values(self) -> list[int]:
        """The elements, row-major."""
        return [self.banks[bank].words[address] for bank, address in self.places]

    @values.setter
    def values(self, values: list[int]) -> None:
        if self.banks:
            for (bank, address), value in zip(self.places, values, strict=True):
                self.banks[bank].words[address] = value


class Stream:
    """The outside of an array that is an AXI4-Stream: gives the words of arrays, or takes them.

    Attributes:
        percent: in so many percent of cycles it waits although it need not; 0 at first.
        words: what came from the kernel since the last reset.
    """

    def __init__(self, dut: HierarchyObject, name: str, description: Mapping[str, Any]) -> None:
        self.name = name
        self.percent = 0
        self.reads = description["direction"] == "in"
        self.words: list[int] = []
        self._count: int = description["words"]
        self._width: int = description["width"]
        self._elements: int = description["elements"]
        self._queue: list[int] = []
        self._expected: list[int | None] = []
        self._random = random.Random(name)
        self._clk = dut.clk
        self._data, self._valid, self._ready = (
            getattr(dut, f"{name}_t{part}") for part in ("data", "valid", "ready")
        )
        self._last = None if self.reads else getattr(dut, f"{name}_tlast")

    def give(self, elements: list[int]) -> None:
        """Append the words of an array to what the kernel is given."""
        self._queue += self._packed(elements)

    def expect(self, elements: list[int] | None) -> None:
        """Append what the kernel is to put; None is an array of whatever values."""
        self._expected += [None] * self._count if elements is None else self._packed(elements)

    def _packed(self, elements: list[int]) -> list[int]:
        bits, count = self._width // self._elements, self._elements
        groups = (elements[k : k + count] for k in range(0, len(elements), count))
        return [sum(x << (bits * n) for n, x in enumerate(group)) for group in groups]

    def clear(self) -> None:
        """Forget all words, given and taken."""
        self._queue, self._expected, self.words = [], [], []
        (self._valid if self.reads else self._ready).value = 0

    @property
    def complete(self) -> bool:
        """Whether everything expected has come."""
        return len(self.words) >= len(self._expected)

    def check(self) -> None:
        """Compare what came with what was expected."""
        assert len(self.words) == len(self._expected), f"{self.name}: {len(self.words)} words"
        for found, expected in zip(self.words, self._expected, strict=True):
            assert expected in (None, found), f"{self.name}: {self.words} not {self._expected}"

    def _goes(self) -> bool:
        return self._random.randrange(100) >= self.percent

    async def serve(self) -> None:
        """Be the other side for ever; start this as a task."""
        self.clear()
        while True:
            await FallingEdge(self._clk)
            await ReadOnly()
            valid, ready = number(self._valid), number(self._ready)
            word, last = number(self._data) if valid and ready else 0, number(self._last)
            await RisingEdge(self._clk)
            if self.reads:
                if valid and ready and self._queue:
                    self._queue.pop(0)
                    valid = 0
                self._offer(valid == 1)
            else:
                if valid and ready:
                    self.words.append(word % (1 << self._width))
                    assert last == (len(self.words) % self._count == 0), f"{self.name}_tlast"
                self._ready.value = int(self._goes())

    def _offer(self, is_on_offer: bool) -> None:
        """Drive the next word; one that is on offer stays until it is taken."""
        valid = bool(self._queue) and (is_on_offer or self._goes())
        self._valid.value = int(valid)
        if valid:
            self._data.value = self._queue[0]


class Kernel:
    """A kernel under test: ``dut`` and the description of its ports.

    Attributes:
        arrays: array arguments and results by name, those that are memories.
        streams: those that are streams.
        cases: inputs, expected outputs and expected cycles, from the description.
    """

    def __init__(self, dut: HierarchyObject, description: Path) -> None:
        data = json.loads(description.read_text())
        self.dut = dut
        self.cases: list[dict[str, Any]] = data["cases"]
        self.arrays = {name: Array(dut, a) for name, a in data["arrays"].items()}
        self.streams = {name: Stream(dut, name, s) for name, s in data["streams"].items()}
        self._scalars: list[str] = data["scalars"]
        self._results: list[str] = data["results"]
        self._stateful: bool = data["stateful"]
        self._fresh = True

    async def power_up(self) -> None:
        """Start the clock and the memories, and reset; returns at a falling edge."""
        self.dut.start.value = 0
        for name in self._scalars:
            getattr(self.dut, name).value = 0
        Clock(self.dut.clk, CLOCK_NS, unit="ns").start()
        for array in self.arrays.values():
            for memory in array.banks:
                cocotb.start_soon(memory.serve())
                cocotb.start_soon(memory.follow())
        for stream in self.streams.values():
            cocotb.start_soon(stream.serve())
        await self.cycle()
        await self.reset()

    async def cycle(self) -> None:
        """Go to the middle of the next cycle."""
        await FallingEdge(self.dut.clk)

    async def reset(self) -> None:
        """Apply the reset for one cycle; returns in the first cycle after it with ready."""
        self.dut.rst.value = 1
        for stream in self.streams.values():
            stream.clear()
        await self.cycle()
        for stream in self.streams.values():
            stream.clear()
        self.dut.rst.value = 0
        while self.dut.ready.value == 0:  # state comes back word by word
            await self.cycle()
        self._fresh = True

    def load_scalars(self, inputs: Mapping[str, Value]) -> None:
        """Drive the scalar arguments; they are taken together with start."""
        for name in self._scalars:
            getattr(self.dut, name).value = inputs[name]

    def load_arrays(self, inputs: Mapping[str, Any]) -> None:
        """Put the arguments into the memories; those of results start with ones."""
        for name, array in self.arrays.items():
            array.values = inputs.get(name, [1] * len(array.places))

    async def load_streams(self, inputs: Mapping[str, Any]) -> None:
        """Queue the arguments that are streams; a cycle later their first words are on offer."""
        sources = [(name, s) for name, s in self.streams.items() if s.reads]
        for name, stream in sources:
            stream.give(inputs[name])
        if sources:
            await self.cycle()

    async def start(self, inputs: Mapping[str, Value], *, streams: bool = True) -> None:
        """Load the arguments and start a run; returns in its cycle 1.

        Without ``streams`` their words were queued before.
        """
        if streams:
            await self.load_streams(inputs)
        assert self.dut.ready.value == 1
        self.load_arrays(inputs)
        self.load_scalars(inputs)
        self.dut.start.value = 1
        await self.cycle()
        self.dut.start.value = 0

    async def until_done(self, limit: int = 1_000_000) -> int:
        """From cycle 1 of a run to the cycle with done; the run's length in cycles."""
        for cycles in range(1, limit + 1):
            await self.cycle()
            if self.dut.done.value == 1:
                return cycles
        raise AssertionError(f"not done after {limit} cycles")

    def outputs(self) -> dict[str, Value]:
        """Scalar results, and all arrays as they are now."""
        found: dict[str, Value] = {name: array.values for name, array in self.arrays.items()
                                   if array.banks}
        return found | {name: int(getattr(self.dut, name).value) for name in self._results}

    def check(self, case: Mapping[str, Any], cycles: int | None = None) -> None:
        """Compare outputs, and the run's length where it is known, with what a case expects.

        A case expects that state is as after a reset: later runs of a kernel with state may have
        other outputs.  Streams are compared by :meth:`finish`: their last words come later.
        """
        found = self.outputs()
        if self._fresh or not self._stateful:
            for name, expected in case["outputs"].items():
                if name in self.streams:
                    self.streams[name].expect(expected)
                    continue
                assert found[name] == expected, f"{name}: {found[name]} instead of {expected}"
        else:
            for stream in self.streams.values():
                if not stream.reads:
                    stream.expect(None)
        self._fresh = False
        if cycles is not None and case["cycles"] is not None:
            assert cycles == case["cycles"]

    async def finish(self, limit: int = 10_000) -> None:
        """Wait for the words of streams that are expected, and compare them."""
        outputs = [s for s in self.streams.values() if not s.reads]
        for _ in range(limit):
            if all(stream.complete for stream in outputs):
                break
            await self.cycle()
        for stream in outputs:
            stream.check()

    def stall(self, percent: int) -> None:
        """Let streams wait at random in so many percent of cycles."""
        for stream in self.streams.values():
            stream.percent = percent

    @property
    def writes(self) -> int:
        """Number of words the kernel has written to its arrays."""
        return sum(memory.writes for array in self.arrays.values() for memory in array.banks)
