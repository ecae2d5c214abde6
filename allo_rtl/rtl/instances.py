"""Called functions inside a function module, and what they are connected to.

What several use, a memory or an end of a stream, goes through :class:`~.memory.Memories` and
:class:`~.streams.Streams`.  What one process of a region uses alone is the signal at its port:
in an array of a thousand elements nearly everything is such, and is a wire and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal, Value

from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.processes import (
    BankEnd,
    Parts,
    StreamEnd,
    bank_of,
    count_users,
    parts_of,
    process_name,
)
from allo_rtl.hls.streams import End
from allo_rtl.ir.ops import Call
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.rtl.interface import (
    ArrayPort,
    BankPort,
    Direction,
    KernelInterface,
    ScalarPort,
    StreamPort,
    is_signed,
)
from allo_rtl.rtl.memory import Claim, Memories
from allo_rtl.rtl.names import Names
from allo_rtl.rtl.ports import interface, module_name, split_streams
from allo_rtl.rtl.streams import Streams
from allo_rtl.rtl.taps import Part, Taps

_WAYS = {End.READ: "r", End.WRITE: "w"}


class Box:
    """An instance of a Verilog module, as the signals at its ports."""

    def __init__(
        self, m: Module, module: str, name: str, ports: Mapping[str, tuple[str, int]],
        given: Mapping[str, Value],
    ) -> None:
        """Instantiate ``module`` as ``name``.

        Args:
            m: the module to do it in.
            module: the name of the Verilog module; it has ``clk`` and ``rst``, too.
            name: that of the instance.
            ports: direction ("input" or "output") and bits of each port.
            given: the signals at some of them; the others get signals of their own.
        """
        connections = {}
        for port, (direction, bits) in ports.items():
            signal = given[port] if port in given else Signal(bits, name=f"{name}_{port}")
            setattr(self, port, signal)
            connections[f"{direction[0]}_{port}"] = signal
        m.submodules[name] = Instance(
            module, i_clk=ClockSignal(), i_rst=ResetSignal(), **connections
        )


@dataclass
class Instances:
    """Makes the instances of the functions that a function calls.

    Args:
        m: the module of the caller.
        design, function: the caller.
        values: its scalars; the results of calls are added.
        names: makes names of instances and signals.
        taps: where the instances are noted.
        build: makes the component of a function inside the caller's module; None when it is an
            instance of a module that is emitted by itself.
        holds: whether the caller may hold, and its ports with it.
    """

    m: Module
    design: Design
    function: FunctionDesign
    values: dict[IrValue, Value]
    memories: Memories
    streams: Streams
    names: Names
    taps: Taps
    build: Callable[[FunctionDesign], Any] | None
    holds: bool

    def __post_init__(self) -> None:
        self._parts: Parts = parts_of(self.function.control.func)
        self._interfaces: dict[str, KernelInterface] = {}
        self._users = count_users(
            self.function.control, self.design.funcs, self.design.uses
        )

    def make(self, call: Call, process: object, start: Value) -> Any:  # noqa: ANN401
        """The instance of a call, which ``start`` starts; its ``ready`` is an output.

        Args:
            call: the call.
            process: what tells it from others that run at the same time; None when it is alone.
            start: a signal of one bit.
        """
        function = self.design.function(call.callee)
        ports, name = self._interface_of(function), self.names(f"call_{process_name(call)}")
        given = self._given(call, ports, start) if self.build is None and process is not None else {
            "start": start
        }
        callee: Any
        if self.build is None:
            module = module_name(self.design, function)
            callee = Box(self.m, module, name, ports.signals(), given)
        else:
            callee = self.m.submodules[name] = self.build(function)
            self.m.d.comb += callee.start.eq(start)
        self._connect(call, ports, callee, process, given.keys())
        passed = split_streams(call.args)[1]
        params = split_streams(function.control.func.args)[1]
        self.taps.parts.append(Part(
            name, process_name(call), call.callee, process is not None,
            dict(zip(params, passed, strict=True)), None if self.build is None else callee.taps,
        ))  # fmt: skip
        return callee

    def _interface_of(self, function: FunctionDesign) -> KernelInterface:
        """The ports of a called function."""
        if function.name not in self._interfaces:
            self._interfaces[function.name] = interface(self.design, function)
        return self._interfaces[function.name]

    # --- what is at a port itself ----------------------------------------------------------

    def _given(
        self, call: Call, ports: KernelInterface, start: Value
    ) -> dict[str, Value]:
        """The caller's signals that are at ports of a process themselves."""
        found = {"start": start}
        args, passed = split_streams(call.args)
        for outer, port in [*zip(args, ports.args, strict=True),
                            *zip(call.outs, ports.results, strict=True)]:
            if isinstance(port, ArrayPort):
                for index, group in enumerate(port.banks):
                    found |= self._lent(bank_end_pairs(outer, index, group, self._parts), group)
            elif port in ports.args and len(self.values[outer]) == port.width:
                found[port.name] = self.values[outer]
        for outer, end in zip(passed, ports.streams, strict=True):
            if end.direction is Direction.UNUSED:
                continue
            way = End[end.direction.name]
            if self._users[StreamEnd(outer, way)] == 1:
                side = self.streams.source if way is End.READ else self.streams.sink
                signals = side(outer)
                parts = [signals.data, signals.valid, signals.ready]
                if end.window_bits:
                    assert signals.at is not None
                    parts.append(signals.at)
                found |= zip(end.signals(), parts, strict=True)
        return found

    def _lent(self, ends: list[BankEnd], group: BankPort) -> dict[str, Value]:
        """The signals of the caller's ports that only this port group uses."""
        found: dict[str, Value] = {}
        have = group.signals()
        for end in ends:
            way = _WAYS[end.end]
            if self.holds or way in group.shared or self._users[end] != 1:
                continue
            mine = {n: bits for n, (_, bits) in have.items() if n.startswith(f"{group.name}_{way}")}
            sizes = {n.removeprefix(f"{group.name}_"): bits for n, bits in mine.items()}
            lent = self.memories.lend(end.bank, end.end, sizes)
            found |= {f"{group.name}_{part}": signal for part, signal in lent.items()}
        return found

    # --- what goes through the caller's memories and streams --------------------------------

    def _connect(
        self, call: Call, ports: KernelInterface, callee: Any, process: object,  # noqa: ANN401
        given: Any,  # noqa: ANN401 - names of ports
    ) -> None:
        """Connect all ports that are not ``given``."""
        args, passed = split_streams(call.args)
        for outer, port in [*zip(args, ports.args, strict=True),
                            *zip(call.outs, ports.results, strict=True)]:
            if isinstance(port, ArrayPort):
                self._connect_array(outer, port, callee, process, given)
                continue
            assert isinstance(port, ScalarPort), "the streams of a top"
            signal = getattr(callee, port.name)
            if port not in ports.args:
                self.values[outer] = signal.as_signed() if is_signed(port.type) else signal
            elif port.name not in given:
                self.m.d.comb += signal.eq(self.values[outer])
        for outer, end in zip(passed, ports.streams, strict=True):
            if not end.signals().keys() <= set(given):
                self._connect_stream(outer, end, callee)

    def _connect_array(
        self, outer: IrValue, port: ArrayPort, callee: Any, process: object,  # noqa: ANN401
        given: Any,  # noqa: ANN401
    ) -> None:
        """Let a callee's port group be one more user of the caller's memory."""
        for index, group in enumerate(port.banks):
            bank = bank_of(outer, index, self._parts)
            assert not group.read or group.async_read == self.memories.is_async(bank), group.name
            have = group.signals()

            def part(name: str, group: BankPort = group, have: dict[str, Any] = have) -> Value:
                full = f"{group.name}_{name}"
                return getattr(callee, full) if full in have else Signal(1, name=full)

            def claim(way: str, enable: Value, group: BankPort = group) -> Claim:
                if way not in group.shared:
                    return Claim(process, enable)
                req, gnt = (getattr(callee, f"{group.name}_{way}{x}") for x in ("req", "gnt"))
                return Claim(process, req, gnt)

            if group.read and f"{group.name}_ren" not in given:
                ren = part("ren")
                data = self.memories.read(bank, ren, part("raddr"), claim("r", ren))
                self.m.d.comb += part("rdata").eq(data)
            if group.write and f"{group.name}_wen" not in given:
                wen = part("wen")
                self.memories.write(bank, wen, part("waddr"), part("wdata"), claim("w", wen))

    def _connect_stream(self, outer: IrValue, port: StreamPort, callee: Any) -> None:  # noqa: ANN401
        """Let a callee's port be one more user of an end of the caller's stream."""
        data, valid, ready, *at = (getattr(callee, name) for name in port.signals())
        if port.direction is Direction.READ:
            end = self.streams.source(outer)
            self.m.d.comb += [data.eq(end.data), valid.eq(end.valid)]
            self.streams.take(outer, ready)
            for place in at:
                self.streams.place(outer, place)
        else:
            self.m.d.comb += ready.eq(self.streams.sink(outer).ready)
            self.streams.offer(outer, valid, data)


def bank_end_pairs(outer: IrValue, index: int, group: BankPort, parts: Parts) -> list[BankEnd]:
    """What a port group uses of the caller's banks."""
    bank = bank_of(outer, index, parts)
    ends = ((End.READ, group.read), (End.WRITE, group.write))
    return [BankEnd(bank, end) for end, used in ends if used]
