"""A compiled function as an Amaranth component, and a whole design as Verilog.

The component's members are the signals of :mod:`allo_rtl.rtl.interface`; it lives in the domain
``sync``.  Called functions are submodules: components of their own inside Amaranth, instances of
a module that is emitted once in Verilog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from amaranth.hdl import (
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    EnableInserter,
    Instance,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from allo_rtl.hls.control import regions
from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.node import Bank
from allo_rtl.hls.processes import (
    BankEnd,
    FifoShape,
    Parts,
    Uses,
    bank_of,
    made_streams,
    own_ports,
    parts_of,
    process_name,
)
from allo_rtl.hls.streams import End
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.looks import endless_in
from allo_rtl.ir.ops import Call, Func
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.ir.types import ArrayType, ScalarType, StreamType, Type
from allo_rtl.rtl.array_streams import connect_port
from allo_rtl.rtl.controller import Controller
from allo_rtl.rtl.events import Event, Events
from allo_rtl.rtl.fifo import Fifo, fifo_ports
from allo_rtl.rtl.header import verilog_header
from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    BankPort,
    Direction,
    KernelInterface,
    Port,
    ScalarPort,
    StreamPort,
    is_signed,
)
from allo_rtl.rtl.memory import BankSignals, Claim, Memories
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.shared import SharedUnits
from allo_rtl.rtl.streams import FREE, Island, Streams, StreamSignals
from allo_rtl.rtl.taps import Part, TapKind, Taps
from allo_rtl.rtl.verilog import all_to_verilog
from allo_rtl.utils import no_collection

_RESERVED = frozenset({"clk", "rst", "start", "ready", "done", "busy"})


def interface(design: Design, function: FunctionDesign) -> KernelInterface:
    """The ports of a function."""
    func = function.control.func
    usage = design.array_uses[func.name]
    uses = None if function is design.top else design.uses[func.name]
    # Ports are attributes of the component: they may not hide those that it has.
    taken = {*_RESERVED, *dir(KernelComponent), "design", "function", "interface", "events", "taps"}
    args, streams = _split(func.args)
    count, values = len(args), (*args, *func.returned)
    types = [v.type for v in values]
    if function is design.top:
        count, values, streams = len(design.module.top_func.args), design.port_values, []
        types = [
            _user_type(v.type, u) for v, u in zip(values, design.user_types, strict=True)
        ]
    ports = [
        _stream_of_array(v, t, design.uses[func.name], taken, "result" if n >= count else "arg")
        if isinstance(v.type, StreamType) and isinstance(t, ArrayType)
        else _port(v, t, usage.get(v), taken, result=n >= count, uses=uses,
                   shared=design.shared[func.name])
        for n, (v, t) in enumerate(zip(values, types, strict=True))
    ]
    stateful = any(s.stateful for s in function.control.storage.values())
    return KernelInterface(
        _ascii(func.name), tuple(ports[:count]), tuple(ports[count:]), function.latency,
        stateful, tuple(_stream_port(s, design.uses[func.name], taken) for s in streams),
    )


def _split(values: Sequence[IrValue]) -> tuple[list[IrValue], list[IrValue]]:
    """(numbers and arrays, streams)."""
    streams = [v for v in values if isinstance(v.type, StreamType)]
    return [v for v in values if v not in streams], streams


def _stream_of_array(
    value: IrValue, type: ArrayType, uses: Uses, taken: set[str], otherwise: str
) -> ArrayStream:
    """The port of an array that is a stream."""
    name = _plain_name(value.name or "", otherwise)
    return _named_apart(ArrayStream(name, type, _direction(uses.of_stream(value))), taken)


def _stream_port(value: IrValue, uses: Uses, taken: set[str]) -> StreamPort:
    """The port of a stream."""
    assert isinstance(value.type, StreamType)
    name = _plain_name(value.name or "", "stream")
    return _named_apart(StreamPort(name, value.type, _direction(uses.of_stream(value))), taken)


def _named_apart[P: (StreamPort, ArrayStream)](port: P, taken: set[str]) -> P:
    """The port under a name that grows underscores until its signals are new."""
    while taken & port.signals().keys():
        port = replace(port, name=port.name + "_")
    taken |= port.signals().keys()
    return port


def _user_type(made: Type, user: Type) -> Type:
    """The user's type of an argument or result, in the banks that the hardware has."""
    if isinstance(made, ArrayType) and isinstance(user, ArrayType):
        return replace(made, element=user.element)
    return user


def _port(
    value: IrValue, type: Type, usage: set[End] | None, taken: set[str], result: bool,
    uses: Uses | None, shared: frozenset[BankEnd],
) -> Port:
    """The port of an argument or result; its name grows underscores until its signals are new."""
    name = _plain_name(value.name or "", "result" if result else "arg")
    if result and not isinstance(type, ArrayType):
        name = "result"
    port = _named_port(value, type, name, usage or set(), uses, shared)
    while (signals := _signals_of(port)) & taken:
        name += "_"
        port = replace(port, name=name)
    taken |= signals
    return port


def _plain_name(name: str, otherwise: str) -> str:
    """A name that Verilog, Amaranth and C++ take: ASCII, and a letter at its beginning."""
    return _ascii(name).replace(".", "_").lstrip("_0123456789") or otherwise


def _ascii(name: str) -> str:
    return "".join(c if c.isascii() else f"u{ord(c):x}" for c in name)


def _named_port(
    value: IrValue, type: Type, name: str, usage: set[End], uses: Uses | None,
    shared: frozenset[BankEnd],
) -> Port:
    """The port of a value; with ``uses`` only the banks that the function uses have signals."""
    if isinstance(type, ArrayType):
        banks = range(Layout(type).banks)
        used = tuple(_direction(uses.of_bank(value, b)) for b in banks) if uses else None
        others = tuple(
            frozenset(_WAYS[e] for e in End if BankEnd(Bank(value, b), e) in shared) for b in banks
        )
        return ArrayPort(name, type, _direction(usage), used, others)
    assert isinstance(type, ScalarType)
    return ScalarPort(name, type)


_WAYS = {End.READ: "r", End.WRITE: "w"}


def _direction(ends: set[End]) -> Direction:
    if len(ends) == 2:
        return Direction.READ_WRITE
    return Direction[next(iter(ends)).name] if ends else Direction.UNUSED


def _signals_of(port: Port) -> set[str]:
    """The names a port takes: its signals, or its own."""
    if isinstance(port, ScalarPort):
        return {port.name}
    if isinstance(port, ArrayStream):
        return set(port.signals())
    return {name for bank in port.banks for name in (bank.name, *bank.signals())}


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
        self._parts = parts_of(self.function.control.func)
        self._interfaces: dict[str, KernelInterface] = {}
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
        fifos = {s: self._fifo(m, s, names) for s in made_streams(func)}
        streams = Streams(self._stream_ends(func, fifos) | self._port_ends(m, names))
        island = None
        if self._is_island():
            island = Island(m, streams, names, self.taps, endless_in(func), self._shares())
        advance = Const(1, 1) if island is None else island.advance
        holds = () if island is None else (island.advance, island.settled)
        storage = dict(self.function.control.storage)
        memories = Memories(storage, self._outside(), self.function.memory_ports, *holds)
        values = self._constants()
        events = Events(self.design.sites, self.events, self._prints)
        shared = SharedUnits(m, self.function.shared, names)
        begin, leaving = self._handshake(m, memories.restore(m), advance)
        self._sample_arguments(m, begin, values)
        controller = Controller(
            m, self.function.schedules, values, memories, shared, events, names,
            lambda call, process: self._instantiate(
                m, call, process, values, memories, streams, names
            ),
            island,
        )
        m.d.comb += leaving.eq(controller.body(self.function.control.body, begin))
        self._results(m, controller, leaving)
        m.d.comb += [fifo.clear.eq(controller.processes_start) for fifo in fifos.values()]
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

    def _fifo(self, m: Module, stream: IrValue, names: Names) -> Any:  # noqa: ANN401
        """The FIFO of a stream of this region, or the signals of its instance."""
        name = names(f"{stream.name or 'stream'}_fifo")
        shape = self.design.fifo(stream)
        if not self._black_boxes:
            fifo = Fifo(shape)
            m.submodules[name] = DomainRenamer({"sync": self._free})(fifo)
            return fifo
        box = _Signals({port: bits for port, (_, bits) in fifo_ports(shape).items()}, name)
        connections = {
            f"{direction[0]}_{port}": getattr(box, port)
            for port, (direction, _) in fifo_ports(shape).items()
        }
        m.submodules[name] = Instance(
            fifo_name(self.design, shape), i_clk=ClockSignal(), i_rst=ResetSignal(), **connections
        )
        return box

    def _stream_ends(
        self, func: Func, fifos: Mapping[IrValue, Any]
    ) -> dict[tuple[IrValue, End], StreamSignals]:
        """The ends of the streams that are passed to this function or made in it."""
        found = {}
        for stream, fifo in fifos.items():
            for end, side in ((End.READ, "get"), (End.WRITE, "put")):
                parts = (getattr(fifo, f"{side}_{part}") for part in ("data", "valid", "ready"))
                found[stream, end] = StreamSignals(*parts)
        if self.function is self.design.top:
            return found
        for value, port in zip(_split(func.args)[1], self.interface.streams, strict=True):
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
        values = self.design.port_values if top else (*_split(func.args)[0], *func.returned)
        return list(zip(values, ports, strict=True))

    def _signal(self, name: str) -> Signal:
        signal: Signal = getattr(self, name)
        return signal

    def _handshake(
        self, m: Module, restoring: Value, advance: Value
    ) -> tuple[Signal, Signal]:
        """(a run begins in the next cycle, this is the last cycle of a run)."""
        busy, begin, last = Signal(name="busy"), Signal(name="accept"), Signal(name="last")
        self.taps.add(TapKind.BUSY, (busy, True))
        m.d.comb += [
            self._signal("ready").eq((~busy | last) & ~restoring & advance),
            begin.eq(self._signal("start") & self._signal("ready")),
        ]
        m.d[self._free] += self._signal("done").eq(last & advance)
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

    def _instantiate(
        self, m: Module, call: Call, process: object, values: dict[IrValue, Value],
        memories: Memories, streams: Streams, names: Names,
    ) -> Any:  # noqa: ANN401 - a component or the signals of an instance
        function = self.design.function(call.callee)
        ports, name = self._interface_of(function), names(f"call_{process_name(call)}")
        callee: Any
        if self._black_boxes:
            callee = self._black_box(m, function, ports, name)
        else:
            callee = KernelComponent(self.design, function, prints=self._prints)
            callee.events = self.events
            m.submodules[name] = callee
        args, passed = _split(call.args)
        for outer, port in [*zip(args, ports.args, strict=True),
                            *zip(call.outs, ports.results, strict=True)]:
            if isinstance(port, ArrayPort):
                _connect_array(m, outer, port, callee, memories, process, self._parts)
                continue
            assert isinstance(port, ScalarPort), "the streams of a top"
            if port in ports.args:
                m.d.comb += getattr(callee, port.name).eq(values[outer])
            else:
                signal = getattr(callee, port.name)
                values[outer] = signal.as_signed() if is_signed(port.type) else signal
        for outer, end in zip(passed, ports.streams, strict=True):
            _connect_stream(m, outer, end, callee, streams)
        given = dict(zip(_split(function.control.func.args)[1], passed, strict=True))
        inside = None if self._black_boxes else callee.taps
        self.taps.parts.append(Part(
            name, process_name(call), call.callee, process is not None, given, inside
        ))
        return callee

    def _interface_of(self, function: FunctionDesign) -> KernelInterface:
        """The ports of a called function."""
        if function.name not in self._interfaces:
            self._interfaces[function.name] = interface(self.design, function)
        return self._interfaces[function.name]

    def _black_box(
        self, m: Module, function: FunctionDesign, ports: KernelInterface, name: str
    ) -> _Signals:
        box = _Signals({port: bits for port, (_, bits) in ports.signals().items()}, name)
        connections = {
            f"{'i' if direction == 'input' else 'o'}_{port}": getattr(box, port)
            for port, (direction, _) in ports.signals().items()
        }
        m.submodules[name] = Instance(
            module_name(self.design, function),
            i_clk=ClockSignal(), i_rst=ResetSignal(), **connections,
        )
        return box


class _Signals:
    """The signals of an instance, by port name."""

    def __init__(self, ports: Mapping[str, Any], name: str) -> None:
        for port, bits in ports.items():
            setattr(self, port, Signal(bits, name=f"{name}_{port}"))


def _connect_array(
    m: Module, outer: IrValue, port: ArrayPort, callee: Any, memories: Memories,  # noqa: ANN401
    process: object, parts: Parts,
) -> None:
    """Let a callee's port group be one more user of the caller's memory."""
    for index, group in enumerate(port.banks):
        bank = bank_of(outer, index, parts)
        have = group.signals()

        def part(name: str, group: BankPort = group, have: dict[str, Any] = have) -> Value:
            full = f"{group.name}_{name}"
            return getattr(callee, full) if full in have else Signal(1, name=full)

        def claim(way: str, enable: Value, group: BankPort = group) -> Claim:
            if way not in group.shared:
                return Claim(process, enable)
            req, gnt = (getattr(callee, f"{group.name}_{way}{x}") for x in ("req", "gnt"))
            return Claim(process, req, gnt)

        if group.read:
            ren = part("ren")
            data = memories.read(bank, ren, part("raddr"), claim("r", ren))
            m.d.comb += part("rdata").eq(data)
        if group.write:
            wen = part("wen")
            memories.write(bank, wen, part("waddr"), part("wdata"), claim("w", wen))


def _connect_stream(
    m: Module, outer: IrValue, port: StreamPort, callee: Any, streams: Streams  # noqa: ANN401
) -> None:
    """Let a callee's port be one more user of an end of the caller's stream."""
    if port.direction is Direction.UNUSED:
        return
    data, valid, ready = (getattr(callee, name) for name in port.signals())
    if port.direction is Direction.READ:
        end = streams.source(outer)
        m.d.comb += [data.eq(end.data), valid.eq(end.valid)]
        streams.take(outer, ready)
    else:
        m.d.comb += ready.eq(streams.sink(outer).ready)
        streams.offer(outer, valid, data)


def _reserved_names(ports: KernelInterface) -> Names:
    names = Names()
    for name in (*_RESERVED, "accept", "last", "advance", "settled", *ports.signals()):
        names(name)
    return names


def module_name(design: Design, function: FunctionDesign) -> str:
    """Verilog name of a function's module: the kernel's own, or ``<kernel>_<function>``.

    Letters that are not ASCII are written as their code: ``u3b1`` for alpha.
    """
    top = _ascii(design.top.name)
    return top if function is design.top else f"{top}_{_ascii(function.name)}"


def fifo_name(design: Design, shape: FifoShape) -> str:
    """Verilog name of a FIFO's module."""
    return f"{_ascii(design.top.name)}_fifo_{shape.width}x{shape.depth}"


@dataclass(frozen=True)
class Emitted:
    """A design as text, with the taps of each function's module."""

    verilog: str
    taps: Mapping[str, Taps]


def emit_verilog(design: Design) -> str:
    """Verilog of a design: a comment, one module for each kind of FIFO and for each function."""
    return emit(design).verilog


def emit(design: Design) -> Emitted:
    """A design in Verilog, and what a simulation may watch in it."""
    made = (s for f in design.functions for s in made_streams(f.control.func))
    ports = (v for v in design.port_values if isinstance(v.type, StreamType))
    shapes = dict.fromkeys(design.fifo(s) for s in (*made, *ports))
    parts: list[tuple[wiring.Component, str]] = [
        (Fifo(shape), fifo_name(design, shape)) for shape in shapes
    ]
    components = {
        f.name: KernelComponent(design, f, black_boxes=True, prints=True) for f in design.functions
    }
    parts += [(components[f.name], module_name(design, f)) for f in design.functions]
    with no_collection():
        text = verilog_header(design, interface(design, design.top)) + all_to_verilog(parts)
    return Emitted(text, {name: component.taps for name, component in components.items()})
