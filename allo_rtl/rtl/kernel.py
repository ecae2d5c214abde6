"""A compiled function as an Amaranth component, and a whole design as Verilog.

The component's members are the signals of :mod:`allo_rtl.rtl.interface`; it lives in the domain
``sync``.  Called functions are submodules: components of their own inside Amaranth, instances of
a module that is emitted once in Verilog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import (
    Const,
    DomainRenamer,
    Elaboratable,
    EnableInserter,
    Module,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from allo_rtl.hls.control import regions
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.node import Bank
from allo_rtl.hls.processes import (
    made_streams,
    own_ports,
)
from allo_rtl.hls.streams import End
from allo_rtl.ir.looks import endless_in
from allo_rtl.ir.ops import Func
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.ir.types import StreamType
from allo_rtl.rtl.array_streams import connect_port
from allo_rtl.rtl.controller import Controller
from allo_rtl.rtl.events import Event, Events
from allo_rtl.rtl.fifo import Fifo, fifo_ports
from allo_rtl.rtl.header import verilog_header
from allo_rtl.rtl.instances import Box, Instances
from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    BankPort,
    Direction,
    KernelInterface,
    Port,
    ScalarPort,
    is_signed,
)
from allo_rtl.rtl.memory import BankSignals, Memories
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.ports import RESERVED, fifo_name, interface, module_name, split_streams
from allo_rtl.rtl.shared import SharedUnits
from allo_rtl.rtl.streams import FREE, Island, Streams, StreamSignals
from allo_rtl.rtl.taps import TapKind, Taps
from allo_rtl.rtl.verilog import all_to_verilog
from allo_rtl.utils import no_collection


class KernelComponent(wiring.Component):
    """The hardware of one function of a design.

    Args:
        design: the timed design.
        function: which of its functions; the top by default.
        black_boxes: instantiate called functions as Verilog modules of their name instead of
            building them inside (they are then emitted once, by :func:`emit_verilog`).
        prints: have simulators write what the kernel prints and asserts (see
            :mod:`allo_rtl.rtl.events`); leave it out for synthesis.

    Attributes:
        events: after elaboration, the events of this function and of those built inside.
        taps: after elaboration, what a simulation may watch.
    """

    # Looking at a component without building it is no mistake: Amaranth need not warn of it.
    _MustUse__silence = True

    def __init__(
        self,
        design: Design,
        function: FunctionDesign | None = None,
        black_boxes: bool = False,
        prints: bool = False,
    ) -> None:
        self.design = design
        self.function = function or design.top
        self.interface = interface(design, self.function)
        self._black_boxes = black_boxes
        self._prints = prints
        self.events: list[Event] = []
        self.taps = Taps([], [])
        super().__init__({
            name: (In if direction == "input" else Out)(bits)
            for name, (direction, bits) in self.interface.signals().items()
        })

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the module."""
        m = Module()
        func = self.function.control.func
        names = _reserved_names(self.interface)
        made = made_streams(func)
        runs = self.design.runs if self.function is self.design.top else 1
        # Words of the next run may be in a FIFO when one is over, and of none before it starts.
        begun = Signal(name=names("processes_start")) if func.dataflow and runs == 1 else None
        fifos = {s: self._fifo(m, s, names, begun) for s in made}
        streams = Streams(self._stream_ends(func, fifos) | self._port_ends(m, names))
        island = None
        if self._is_island():
            island = Island(m, streams, names, self.taps, endless_in(func), self._shares())
        advance = Const(1, 1) if island is None else island.advance
        held, settled = (None, None) if island is None else (island.advance, island.settled)
        storage = dict(self.function.control.storage)
        memories = Memories(
            storage, self._outside(), self.function.memory_ports, held, settled, begun
        )
        values = self._constants()
        events = Events(self.design.sites, self.events, self._prints)
        shared = SharedUnits(m, self.function.shared, names)
        begin, leaving = self._handshake(m, memories.restore(m), advance, runs)
        self._sample_arguments(m, begin, values)
        instances = Instances(
            m, self.design, self.function, values, memories, streams, names, self.taps,
            None if self._black_boxes else self._inside, holds=island is not None,
        )
        controller = Controller(
            m, self.function.schedules, values, memories, shared, events, names, instances.make,
            island, begun, runs,
        )
        m.d.comb += leaving.eq(controller.body(self.function.control.body, begin))
        self._results(m, controller, leaving)
        memories.build(m)
        shared.build()
        streams.build(m)
        if island is None:
            return m
        island.finish(memories.granted)
        return DomainRenamer({FREE: "sync"})(EnableInserter({"sync": advance})(m))

    def _constants(self) -> dict[IrValue, Value]:
        """The constants that a region gives to its processes."""
        control = self.function.control
        if not control.func.dataflow:
            return {}
        defined = control.defined.items()
        return {v: Const(n.value, n.type.bits) for v, n in defined if n.is_const}

    def _is_island(self) -> bool:
        """Whether the function itself uses streams or shared ports, and so may have to hold."""
        pieces = regions(self.function.control.body)
        return self._shares() or any(piece.region.uses_streams for piece in pieces)

    def _shares(self) -> bool:
        """Whether the function itself uses memory ports that others use at the same time."""
        shared = self.design.shared[self.function.name]
        return bool(shared & own_ports(self.function.control))

    @property
    def _free(self) -> str:
        """The clock domain of what goes on while the function holds."""
        return FREE if self._is_island() else "sync"

    def _inside(self, function: FunctionDesign) -> KernelComponent:
        """A called function, built inside this one."""
        callee = KernelComponent(self.design, function, prints=self._prints)
        callee.events = self.events
        return callee

    def _fifo(
        self, m: Module, stream: IrValue, names: Names, clear: Value | None = None
    ) -> Any:  # noqa: ANN401
        """The FIFO of a stream of this region, or the signals of its instance."""
        name = names(f"{stream.name or 'stream'}_fifo")
        shape, clear = self.design.fifo(stream), Const(0, 1) if clear is None else clear
        if not self._black_boxes:
            fifo = Fifo(shape)
            m.submodules[name] = DomainRenamer({"sync": self._free})(fifo)
            m.d.comb += fifo.clear.eq(clear)
            return fifo
        module, ports = fifo_name(self.design, shape), fifo_ports(shape)
        return Box(m, module, name, ports, {"clear": clear})

    def _stream_ends(
        self, func: Func, fifos: Mapping[IrValue, Any]
    ) -> dict[tuple[IrValue, End], StreamSignals]:
        """The ends of the streams that are passed to this function or made in it."""
        found = {}
        for stream, fifo in fifos.items():
            for end, side in ((End.READ, "get"), (End.WRITE, "put")):
                window = end is End.READ and self.design.fifo(stream).window
                names = ("data", "valid", "ready", *["at"] * window)
                found[stream, end] = StreamSignals(*(getattr(fifo, f"{side}_{n}") for n in names))
        if self.function is self.design.top:
            return found
        for value, port in zip(split_streams(func.args)[1], self.interface.streams, strict=True):
            if port.direction is not Direction.UNUSED:
                end = End[port.direction.name]
                found[value, end] = StreamSignals(*map(self._signal, port.signals()))
        return found

    def _port_ends(self, m: Module, names: Names) -> dict[tuple[IrValue, End], StreamSignals]:
        """The inner ends of the streams that arrays of the top are, each behind a FIFO."""
        found = {}
        for value, port in self._ports():
            if isinstance(port, ArrayStream):
                outer = {name: self._signal(name) for name in port.signals()}
                fifo = self._fifo(m, value, names)
                end, signals = connect_port(m, port, outer, fifo, self._free)
                found[value, end] = signals
        return found

    def _ports(self) -> list[tuple[IrValue, Port]]:
        """Arguments and results of the function that are ports, with these; no inner streams."""
        ports = (*self.interface.args, *self.interface.results)
        func = self.function.control.func
        top = self.function is self.design.top
        own = (*split_streams(func.args)[0], *func.returned)
        values = self.design.port_values if top else own
        return list(zip(values, ports, strict=True))

    def _signal(self, name: str) -> Signal:
        signal: Signal = getattr(self, name)
        return signal

    def _handshake(
        self, m: Module, restoring: Value, advance: Value, runs: int
    ) -> tuple[Signal, Signal]:
        """(a run begins in the next cycle, this is the last cycle of a run)."""
        busy, begin, last = Signal(name="busy"), Signal(name="accept"), Signal(name="last")
        self.taps.add(TapKind.BUSY, (busy, True))
        free: Value = ~busy | last
        if runs > 1:
            under_way = Signal(range(runs + 1), name="runs_under_way")
            free = under_way != runs
            m.d.sync += under_way.eq(under_way + begin - last)
            m.d.comb += busy.eq(under_way != 0)
        m.d.comb += [
            self._signal("ready").eq(free & ~restoring & advance),
            begin.eq(self._signal("start") & self._signal("ready")),
        ]
        m.d[self._free] += self._signal("done").eq(last & advance)
        if runs > 1:
            return begin, last
        with m.If(begin):
            m.d.sync += busy.eq(1)
        with m.Elif(last):
            m.d.sync += busy.eq(0)
        return begin, last

    def _sample_arguments(
        self, m: Module, begin: Signal, values: dict[IrValue, Value]
    ) -> None:
        for value, port in self._ports()[: len(self.interface.args)]:
            if isinstance(port, ScalarPort):
                signal = self._signal(port.name)
                raw = signal.as_signed() if is_signed(port.type) else signal
                held = Signal(raw.shape(), name=f"{port.name}_held", reset_less=True)
                with m.If(begin):
                    m.d.sync += held.eq(raw)
                values[value] = held

    def _outside(self) -> dict[Bank, BankSignals]:
        found = {}
        for value, port in self._ports():
            if isinstance(port, ArrayPort):
                for index, bank in enumerate(port.banks):
                    found[Bank(value, index)] = self._bank_signals(bank)
        return found

    def _bank_signals(self, bank: BankPort) -> BankSignals:
        have = bank.signals()
        parts = (
            "raddr", "ren", "rdata", "waddr", "wen", "wdata", "rreq", "rgnt", "wreq", "wgnt"
        )
        return BankSignals(*(
            self._signal(f"{bank.name}_{part}") if f"{bank.name}_{part}" in have else None
            for part in parts
        ))

    def _results(self, m: Module, controller: Controller, leaving: Signal) -> None:
        ports = [p for p in self.interface.results if isinstance(p, ScalarPort)]
        for value, port in zip(self.function.control.results, ports, strict=True):
            with m.If(leaving):
                m.d.sync += self._signal(port.name).eq(controller.leaving[value])


def _reserved_names(ports: KernelInterface) -> Names:
    names = Names()
    own = ("accept", "last", "advance", "settled", "runs_under_way")
    for name in (*RESERVED, *own, *ports.signals()):
        names(name)
    return names


@dataclass(frozen=True)
class Emitted:
    """A design as text, with the taps of each function's module."""

    verilog: str
    taps: Mapping[str, Taps]


def emit_verilog(design: Design) -> str:
    """Verilog of a design: a comment, one module for each kind of FIFO and for each function."""
    return emit(design).verilog


def modules_of(design: Design) -> list[tuple[wiring.Component, str]]:
    """The modules of a design with their names: one for each kind of FIFO and each function."""
    made = (s for f in design.functions for s in made_streams(f.control.func))
    ports = (v for v in design.port_values if isinstance(v.type, StreamType))
    shapes = dict.fromkeys(design.fifo(s) for s in (*made, *ports))
    parts: list[tuple[wiring.Component, str]] = [
        (Fifo(shape), fifo_name(design, shape)) for shape in shapes
    ]
    for function in design.functions:
        component = KernelComponent(design, function, black_boxes=True, prints=True)
        parts.append((component, module_name(design, function)))
    return parts


def emit(design: Design) -> Emitted:
    """A design in Verilog, and what a simulation may watch in it."""
    parts = modules_of(design)
    with no_collection():
        text = verilog_header(design, interface(design, design.top)) + all_to_verilog(parts)
    kernels = [part for part, _ in parts if isinstance(part, KernelComponent)]
    return Emitted(text, {part.function.name: part.taps for part in kernels})
