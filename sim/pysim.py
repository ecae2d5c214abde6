"""A kernel in Amaranth's own simulator: nothing to compile, three orders of magnitude slower.

The same raw arguments, results and cycle counts as :class:`allo_rtl.sim.cosim.Simulation`, for
small kernels and for machines without a C++ compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amaranth.hdl import Fragment, Module, Signal
from amaranth.sim import Simulator

from allo_rtl.errors import SimulationError
from allo_rtl.ir.types import UInt
from allo_rtl.rtl.interface import ArrayPort, ArrayStream, BankPort, Direction, ScalarPort
from allo_rtl.rtl.kernel import KernelComponent
from allo_rtl.sim.cosim import element_positions, unwritten
from allo_rtl.sim.marshal import Raw, int_of_word, ints_of_words, word_of_int, words_of_ints
from allo_rtl.sim.packing import from_stream, to_stream
from allo_rtl.sim.probes import (
    HELD_BACK,
    Watched,
    amaranth_of,
    explain,
    patience,
    stuck_amaranth,
    watch,
)
from allo_rtl.sim.reference import to_stdout
from allo_rtl.sim.replay import Happened, replay
from allo_rtl.sim.stalls import LATEST_START, Stalls

type Memory = list[int]


type Outcome = tuple[list[Raw], int]
"""Raw results, and the run's length in cycles."""


def run(
    kernel: KernelComponent,
    args: Sequence[Raw],
    *,
    max_cycles: int = 100_000,
    output: Callable[[str], None] = to_stdout,
    stalls: Stalls | None = None,
) -> Outcome:
    """Run a kernel once after reset; arrays that it writes are changed in place.

    Args:
        kernel: a component made for this run (Amaranth elaborates it), without ``prints``.
        args: raw arguments as in :mod:`allo_rtl.sim.marshal`.
        max_cycles: give up after so many.
        output: called with each line that the kernel prints.
        stalls: how to make the kernel wait at its streams; by default never.

    Returns:
        The raw results and the run's length in cycles.

    Raises:
        SimulationError: no done within the limit, or a write outside an array.
        AssertionFailed: an assertion of the kernel.
        Deadlock: all processes of a region wait for each other.
    """
    return run_all(kernel, [args], max_cycles=max_cycles, output=output, stalls=stalls)[0]


def run_all(
    kernel: KernelComponent,
    runs: Sequence[Sequence[Raw]],
    *,
    max_cycles: int = 100_000,
    output: Callable[[str], None] = to_stdout,
    stalls: Stalls | None = None,
) -> list[Outcome]:
    """Like :func:`run`, one run after the other without a reset: state is kept."""
    outcomes: list[Outcome] = []
    dice = _Dice(stalls)

    m, stuck = Module(), Signal()
    m.submodules.kernel = Fragment.get(kernel, None)  # the taps are known from here on
    watched = watch(kernel.design, {kernel.design.top.name: kernel.taps})
    if watched is not None:
        m.d.comb += stuck.eq(stuck_amaranth(watched))

    async def bench(ctx: Any) -> None:  # noqa: ANN401 - Amaranth's testbench context
        for args in runs:
            outcomes.append(
                await _run(ctx, kernel, args, max_cycles, output, dice, watched, stuck)
            )

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return outcomes


async def _run(
    ctx: Any, kernel: KernelComponent, args: Sequence[Raw], max_cycles: int,  # noqa: ANN401
    output: Callable[[str], None], dice: _Dice, watched: Watched | None, stuck: Signal,
) -> Outcome:  # fmt: skip
    ports = kernel.interface
    arrays = [(p, a) for p, a in zip(ports.args, args, strict=True)
              if not isinstance(p, ScalarPort)]
    arrays += [(p, unwritten(p.type)) for p in ports.results if not isinstance(p, ScalarPort)]
    banks = [b for port, words in arrays if isinstance(port, ArrayPort)
             for b in _banks(port, words)]
    streams = [_Stream(kernel, port, words, dice) for port, words in arrays
               if isinstance(port, ArrayStream)]
    scalars = {
        p.name: a for p, a in zip(ports.args, args, strict=True) if isinstance(p, ScalarPort)
    }
    bench = _Bench(kernel, banks, scalars, max_cycles, output, streams, dice, watched, stuck)
    await bench.run(ctx)
    for port, words in arrays:
        if isinstance(port, ArrayPort):
            _gather(port, words, [m for b, m in banks if b in port.banks])
    for stream in streams:
        stream.gather()
    outs = iter(w for p, w in arrays if p in ports.results)
    results: list[Raw] = [
        _scalar(p, bench.results[p.name]) if isinstance(p, ScalarPort) else next(outs)
        for p in ports.results
    ]
    return results, bench.cycles


def _banks(port: ArrayPort, words: Any) -> list[tuple[BankPort, Memory]]:  # noqa: ANN401
    depth = port.banks[0].depth
    flat = [0] * (depth * len(port.banks))
    for at, word in zip(element_positions(port.type), words, strict=True):
        flat[at] = sum(int(x) << (64 * k) for k, x in enumerate(word))
    return [(b, flat[k * depth : (k + 1) * depth]) for k, b in enumerate(port.banks)]


def _gather(port: ArrayPort, words: Any, memories: list[Memory]) -> None:  # noqa: ANN401
    flat = [word for memory in memories for word in memory]
    words[...] = words_of_ints([flat[at] for at in element_positions(port.type)], port.type.element)


def _scalar(port: ScalarPort, bits: int) -> int:
    return int_of_word(word_of_int(bits, port.type).reshape(-1), port.type)


class _Dice:
    """What is random of a run: :class:`~allo_rtl.sim.stalls.Stalls`."""

    def __init__(self, stalls: Stalls | None) -> None:
        self.percent = stalls.percent if stalls else 0
        self._numbers = (stalls or Stalls()).numbers()

    def waits(self) -> bool:
        """Whether a stream waits in this cycle."""
        return bool(self.percent) and next(self._numbers) % 100 < self.percent

    def late(self) -> int:
        """Cycles before a run starts."""
        return next(self._numbers) % LATEST_START if self.percent else 0


class _Stream:
    """The outside of an array that is a stream: it gives the words of the array, or takes them."""

    def __init__(
        self, kernel: KernelComponent, port: ArrayStream, elements: Any, dice: _Dice  # noqa: ANN401
    ) -> None:
        self.port = port
        self._elements = elements
        self._dice = dice
        self._reads = port.direction is Direction.READ
        self._words = ints_of_words(to_stream(port, elements), UInt(port.width))
        self._at = 0
        self._open = False  # a word is on offer, or would be taken
        parts = ("tdata", "tvalid", "tready") if self._reads else (
            "tdata", "tvalid", "tready", "tlast"
        )
        self._data, self._valid, self._ready, *self._last = (
            getattr(kernel, f"{port.name}_{part}") for part in parts
        )

    @property
    def over(self) -> bool:
        """Whether all words were handed over."""
        return self._at == len(self._words)

    def sample(self, ctx: Any) -> None:  # noqa: ANN401
        """Look at the signals at the end of a cycle."""
        if not self._open or not ctx.get(self._ready if self._reads else self._valid):
            return
        if self._reads:
            self._open = False
        else:
            if self.over or ctx.get(self._last[0]) != (self._at + 1 == len(self._words)):
                raise SimulationError(f"'{self.port.name}' has more words, or another last one")
            self._words[self._at] = ctx.get(self._data) % (1 << self.port.width)
        self._at += 1

    def drive(self, ctx: Any) -> None:  # noqa: ANN401
        """Set the signals of the next cycle."""
        if not self._reads:
            self._open = not self._dice.waits()
            ctx.set(self._ready, self._open)
            return
        if not self._open and not self.over:
            self._open = not self._dice.waits()
        ctx.set(self._valid, self._open)
        ctx.set(self._data, self._words[self._at] if self._open else -1)

    def gather(self) -> None:
        """Put the words that came into the array."""
        if not self._reads:
            words = words_of_ints(self._words, UInt(self.port.width))
            self._elements[...] = from_stream(self.port, words)


class _Bench:
    """Drives the ports of one run and is the memories behind them."""

    def __init__(
        self, kernel: KernelComponent, banks: list[tuple[BankPort, Memory]],
        scalars: dict[str, Any], max_cycles: int, output: Callable[[str], None] = to_stdout,
        streams: Sequence[_Stream] = (), dice: _Dice | None = None,
        watched: Watched | None = None, stuck: Signal | None = None,
    ) -> None:
        self.kernel = kernel
        self.banks = banks
        self.scalars = scalars
        self.max_cycles = max_cycles
        self.streams = streams
        self.late = dice.late() if dice else 0
        self.output = output
        self.watched, self.stuck = watched, stuck
        self.patience = patience(kernel.design) * (HELD_BACK if dice and dice.percent else 1)
        self.sites = tuple(kernel.design.sites)
        self.cycles = 0
        self.results: dict[str, int] = {}

    async def run(self, ctx: Any) -> None:  # noqa: ANN401 - Amaranth's testbench context
        """One run: start, serve the memories until done, read the results."""
        for name, number in self.scalars.items():
            ctx.set(getattr(self.kernel, name), number & ((1 << 4096) - 1))
        while not ctx.get(self.kernel.ready):  # state comes back after a reset
            await ctx.tick()
        for stream in self.streams:
            stream.drive(ctx)
        for _ in range(self.late):
            await self._tick(ctx)
        ctx.set(self.kernel.start, 1)
        await self._tick(ctx)
        ctx.set(self.kernel.start, 0)
        self.cycles = waited = 0
        while not ctx.get(self.kernel.done):
            waited = waited + 1 if self.stuck is not None and ctx.get(self.stuck) else 0
            if self.watched is not None and waited > self.patience:
                raise explain(self.watched, lambda p: bool(ctx.get(amaranth_of(p))))
            if self.cycles == self.max_cycles:
                name = self.kernel.interface.name
                raise SimulationError(f"'{name}' was not done after {self.max_cycles} cycles")
            await self._tick(ctx)
            self.cycles += 1
        await self._finish(ctx)
        self.results = {
            p.name: ctx.get(getattr(self.kernel, p.name))
            for p in self.kernel.interface.results if isinstance(p, ScalarPort)
        }

    async def _finish(self, ctx: Any) -> None:  # noqa: ANN401
        """Wait for the last words of results."""
        for _ in range(self.max_cycles):
            if all(stream.over for stream in self.streams):
                return
            await self._tick(ctx)
        raise SimulationError(f"words are missing after {self.max_cycles} cycles")

    async def _tick(self, ctx: Any) -> None:  # noqa: ANN401
        """One clock, with every bank answering as a synchronous RAM, or an asynchronous one."""
        self._follow(ctx)
        reads = [r for b, m in self.banks if (r := self._read(ctx, b, m)) is not None]
        replay(self.sites, self._events(ctx), self.output)
        for stream in self.streams:
            stream.sample(ctx)
        writes = [w for b, m in self.banks if (w := self._write(ctx, b, m)) is not None]
        await ctx.tick()
        for signal, word in reads:
            ctx.set(signal, word)
        for memory, address, word in writes:
            memory[address] = word
        for stream in self.streams:
            stream.drive(ctx)

    def _events(self, ctx: Any) -> Iterator[Happened]:  # noqa: ANN401
        """What is printed or asserted at the end of this cycle."""
        for event in self.kernel.events:
            if ctx.get(event.enable):
                yield event.site, tuple(ctx.get(arg) for arg in event.args)

    def _read(self, ctx: Any, bank: BankPort, memory: Memory) -> tuple[Any, int] | None:  # noqa: ANN401
        if not bank.read or bank.async_read:
            return None
        if not ctx.get(getattr(self.kernel, f"{bank.name}_ren")):
            return None
        return getattr(self.kernel, f"{bank.name}_rdata"), self._word(ctx, bank, memory)

    def _word(self, ctx: Any, bank: BankPort, memory: Memory) -> int:  # noqa: ANN401
        address = self._address(ctx, bank, "raddr")
        return memory[address] if address < len(memory) else 0

    def _follow(self, ctx: Any) -> None:  # noqa: ANN401
        """Show the words of asynchronous reads; one may give the address of another."""
        banks = [(b, m) for b, m in self.banks if b.read and b.async_read]
        for _ in banks:
            for bank, memory in banks:
                ctx.set(getattr(self.kernel, f"{bank.name}_rdata"), self._word(ctx, bank, memory))

    def _write(self, ctx: Any, bank: BankPort, memory: Memory) -> tuple[Memory, int, int] | None:  # noqa: ANN401
        if not bank.write or not ctx.get(getattr(self.kernel, f"{bank.name}_wen")):
            return None
        address = self._address(ctx, bank, "waddr")
        if address >= len(memory):
            raise SimulationError(
                f"'{self.kernel.interface.name}' wrote outside an array: address {address} of "
                f"port group '{bank.name}', which has {len(memory)} words"
            )
        return memory, address, ctx.get(getattr(self.kernel, f"{bank.name}_wdata"))

    def _address(self, ctx: Any, bank: BankPort, which: str) -> int:  # noqa: ANN401
        return ctx.get(getattr(self.kernel, f"{bank.name}_{which}")) if bank.address_bits else 0
