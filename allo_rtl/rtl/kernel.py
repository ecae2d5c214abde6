"""A compiled function as an Amaranth component, and a whole design as Verilog.

The component's members are the signals of :mod:`allo_rtl.rtl.interface`; it lives in the domain
``sync``.  Called functions are submodules: components of their own inside Amaranth, instances of
a module that is emitted once in Verilog.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.node import Bank
from allo_rtl.ir.ops import Call, Func, Load, Op, Store
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, ScalarType, Type
from allo_rtl.rtl.controller import Controller
from allo_rtl.rtl.datapath import Names
from allo_rtl.rtl.events import Event, Events
from allo_rtl.rtl.header import verilog_header
from allo_rtl.rtl.interface import (
    ArrayPort,
    BankPort,
    Direction,
    KernelInterface,
    Port,
    ScalarPort,
    is_signed,
)
from allo_rtl.rtl.memory import BankSignals, Memories
from allo_rtl.rtl.verilog import to_verilog

_RESERVED = frozenset({"clk", "rst", "start", "ready", "done", "busy"})


def interface(design: Design, function: FunctionDesign) -> KernelInterface:
    """The ports of a function."""
    usage = _usage(design)
    func = function.control.func
    # Ports are attributes of the component: they may not hide those that it has.
    taken = {*_RESERVED, *dir(KernelComponent), "design", "function", "interface"}
    values = (*func.args, *func.returned)
    types = [v.type for v in values]
    if function is design.top:
        types = [_user_type(t, u) for t, u in zip(types, design.user_types, strict=True)]
    ports = [
        _port(v, t, usage[func.name].get(v), taken, result=n >= len(func.args))
        for n, (v, t) in enumerate(zip(values, types, strict=True))
    ]
    args, results = tuple(ports[: len(func.args)]), tuple(ports[len(func.args) :])
    stateful = any(s.stateful for s in function.control.storage.values())
    return KernelInterface(func.name, args, results, function.latency, stateful)


def _user_type(made: Type, user: Type) -> Type:
    """The user's type of an argument or result, in the banks that the hardware has."""
    if isinstance(made, ArrayType) and isinstance(user, ArrayType):
        return replace(made, element=user.element)
    return user


def _port(
    value: IrValue, type: Type, uses: set[str] | None, taken: set[str], result: bool
) -> Port:
    """The port of an argument or result; its name grows underscores until its signals are new."""
    name = value.name or ("result" if result else "arg")
    if result and not isinstance(type, ArrayType):
        name = "result"
    port = _named_port(type, name, uses or set())
    while (signals := _signals_of(port)) & taken:
        name += "_"
        port = _named_port(type, name, uses or set())
    taken |= signals
    return port


def _named_port(type: Type, name: str, uses: set[str]) -> Port:
    if isinstance(type, ArrayType):
        direction = {
            frozenset[str](): Direction.UNUSED,
            frozenset({"read"}): Direction.READ,
            frozenset({"write"}): Direction.WRITE,
        }.get(frozenset(uses), Direction.READ_WRITE)
        return ArrayPort(name, type, direction)
    assert isinstance(type, ScalarType)
    return ScalarPort(name, type)


def _signals_of(port: Port) -> set[str]:
    """The names a port takes: its signals, or its own."""
    if isinstance(port, ScalarPort):
        return {port.name}
    return {name for bank in port.banks for name in (bank.name, *bank.signals())}


def _usage(design: Design) -> dict[str, dict[IrValue, set[str]]]:
    """How each function reads and writes its arrays, through calls too."""
    found: dict[str, dict[IrValue, set[str]]] = {}
    for function in design.functions:
        func = function.control.func
        uses: dict[IrValue, set[str]] = {}
        found[func.name] = uses
        for op in walk(func.body):
            _note_use(op, design, found, uses)
        for array in function.cleared:
            uses.setdefault(array, set()).add("write")
    return found


def _note_use(
    op: Op, design: Design, found: dict[str, dict[IrValue, set[str]]],
    uses: dict[IrValue, set[str]],
) -> None:
    if isinstance(op, Load):
        uses.setdefault(op.array, set()).add("read")
    elif isinstance(op, Store):
        uses.setdefault(op.array, set()).add("write")
    elif isinstance(op, Call):
        callee = design.function(op.callee).control.func
        inner = found[op.callee]
        pairs = [*zip(op.args, callee.args, strict=True),
                 *zip(op.outs, callee.returned, strict=True)]
        for outer, parameter in pairs:
            uses.setdefault(outer, set()).update(inner.get(parameter, set()))


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
        super().__init__({
            name: (In if direction == "input" else Out)(bits)
            for name, (direction, bits) in self.interface.signals().items()
        })

    def elaborate(self, platform: object) -> Module:
        """Build the module."""
        m = Module()
        func = self.function.control.func
        names = _reserved_names(self.interface)
        memories = Memories(dict(self.function.control.storage), self._outside(func))
        values: dict[IrValue, Value] = {}
        events = Events(self.design.sites, self.events, self._prints)
        begin, leaving = self._handshake(m, memories.restore(m))
        self._sample_arguments(m, func, begin, values)
        controller = Controller(
            m, self.function.schedules, values, memories, events, names,
            lambda call, go: self._instantiate(m, call, values, memories, names),
        )
        m.d.comb += leaving.eq(controller.body(self.function.control.body, begin))
        self._results(m, controller, leaving)
        memories.build(m)
        return m

    def _signal(self, name: str) -> Signal:
        signal: Signal = getattr(self, name)
        return signal

    def _handshake(self, m: Module, restoring: Value) -> tuple[Signal, Signal]:
        """(a run begins in the next cycle, this is the last cycle of a run)."""
        busy, begin, last = Signal(name="busy"), Signal(name="accept"), Signal(name="last")
        m.d.comb += [
            self._signal("ready").eq((~busy | last) & ~restoring),
            begin.eq(self._signal("start") & self._signal("ready")),
        ]
        m.d.sync += self._signal("done").eq(last)
        with m.If(begin):
            m.d.sync += busy.eq(1)
        with m.Elif(last):
            m.d.sync += busy.eq(0)
        return begin, last

    def _sample_arguments(
        self, m: Module, func: Func, begin: Signal, values: dict[IrValue, Value]
    ) -> None:
        for value, port in zip(func.args, self.interface.args, strict=True):
            if isinstance(port, ScalarPort):
                signal = self._signal(port.name)
                raw = signal.as_signed() if is_signed(port.type) else signal
                held = Signal(raw.shape(), name=f"{port.name}_held", reset_less=True)
                with m.If(begin):
                    m.d.sync += held.eq(raw)
                values[value] = held

    def _outside(self, func: Func) -> dict[Bank, BankSignals]:
        found = {}
        ports = (*self.interface.args, *self.interface.results)
        for value, port in zip((*func.args, *func.returned), ports, strict=True):
            if isinstance(port, ArrayPort):
                for index, bank in enumerate(port.banks):
                    found[Bank(value, index)] = self._bank_signals(bank)
        return found

    def _bank_signals(self, bank: BankPort) -> BankSignals:
        have = bank.signals()
        parts = ("raddr", "ren", "rdata", "waddr", "wen", "wdata")
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
        self, m: Module, call: Call, values: dict[IrValue, Value], memories: Memories,
        names: Names,
    ) -> Any:  # noqa: ANN401 - a component or the signals of an instance
        function = self.design.function(call.callee)
        ports, name = interface(self.design, function), names(f"call_{call.callee}")
        callee: Any
        if self._black_boxes:
            callee = self._black_box(m, function, ports, name)
        else:
            callee = KernelComponent(self.design, function, prints=self._prints)
            callee.events = self.events
            m.submodules[name] = callee
        for outer, port in [*zip(call.args, ports.args, strict=True),
                            *zip(call.outs, ports.results, strict=True)]:
            if isinstance(port, ArrayPort):
                _connect_array(m, outer, port, callee, memories)
            elif port in ports.args:
                m.d.comb += getattr(callee, port.name).eq(values[outer])
            else:
                signal = getattr(callee, port.name)
                values[outer] = signal.as_signed() if is_signed(port.type) else signal
        return callee

    def _black_box(
        self, m: Module, function: FunctionDesign, ports: KernelInterface, name: str
    ) -> _Signals:
        box = _Signals(ports, name)
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

    def __init__(self, ports: KernelInterface, name: str) -> None:
        for port, (_, bits) in ports.signals().items():
            setattr(self, port, Signal(bits, name=f"{name}_{port}"))


def _connect_array(
    m: Module, outer: IrValue, port: ArrayPort, callee: Any, memories: Memories  # noqa: ANN401
) -> None:
    """Let a callee's port group be one more user of the caller's memory."""
    for index, group in enumerate(port.banks):
        bank = Bank(outer, index)
        have = group.signals()

        def part(name: str, group: BankPort = group, have: dict[str, Any] = have) -> Value:
            full = f"{group.name}_{name}"
            return getattr(callee, full) if full in have else Signal(1, name=full)

        if group.read:
            data = memories.read(bank, part("ren"), part("raddr"))
            m.d.comb += part("rdata").eq(data)
        if group.write:
            memories.write(bank, part("wen"), part("waddr"), part("wdata"))


def _reserved_names(ports: KernelInterface) -> Names:
    names = Names()
    for name in (*_RESERVED, "accept", "last", *ports.signals()):
        names(name)
    return names


def module_name(design: Design, function: FunctionDesign) -> str:
    """Verilog name of a function's module: the kernel's own, or ``<kernel>_<function>``."""
    top = design.top.name
    return top if function is design.top else f"{top}_{function.name}"


def emit_verilog(design: Design) -> str:
    """Verilog of a design: a comment, and one module for each function, the top last."""
    texts = [
        to_verilog(
            KernelComponent(design, f, black_boxes=True, prints=True), module_name(design, f)
        )
        for f in design.functions
    ]
    return verilog_header(design, interface(design, design.top)) + "\n".join(texts)

