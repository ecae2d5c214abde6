"""The ports of a function's module, and the names of modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amaranth.lib import wiring

from allo_rtl.hls.design import Design, FunctionDesign
from allo_rtl.hls.node import Bank
from allo_rtl.hls.processes import BankEnd, FifoShape, Uses
from allo_rtl.hls.streams import End
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Value as IrValue
from allo_rtl.ir.types import ArrayType, ScalarType, StreamType, Type
from allo_rtl.rtl.interface import (
    ArrayPort,
    ArrayStream,
    Direction,
    KernelInterface,
    Port,
    ScalarPort,
    StreamPort,
)

RESERVED = frozenset({"clk", "rst", "start", "ready", "done", "busy"})
"""Names that no port and no signal of a function's own may have."""

_MEMBERS = frozenset({"elaborate", "design", "function", "interface", "events", "taps"})
"""Attributes of a :class:`~.kernel.KernelComponent` besides those of all components."""


def interface(design: Design, function: FunctionDesign) -> KernelInterface:
    """The ports of a function."""
    func = function.control.func
    usage = design.array_uses[func.name]
    uses = None if function is design.top else design.uses[func.name]
    # Ports are attributes of the component: they may not hide those that it has.
    taken = {*RESERVED, *dir(wiring.Component), *_MEMBERS}
    args, streams = split_streams(func.args)
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
        stateful, tuple(_stream_port(s, design, func.name, taken) for s in streams),
    )


def split_streams(values: Sequence[IrValue]) -> tuple[list[IrValue], list[IrValue]]:
    """Of some arguments (numbers and arrays, streams)."""
    streams = [v for v in values if isinstance(v.type, StreamType)]
    return [v for v in values if v not in streams], streams


def _stream_of_array(
    value: IrValue, type: ArrayType, uses: Uses, taken: set[str], otherwise: str
) -> ArrayStream:
    """The port of an array that is a stream."""
    name = _plain_name(value.name or "", otherwise)
    return _named_apart(ArrayStream(name, type, _direction(uses.of_stream(value))), taken)


def _stream_port(value: IrValue, design: Design, function: str, taken: set[str]) -> StreamPort:
    """The port of a stream."""
    assert isinstance(value.type, StreamType)
    name = _plain_name(value.name or "", "stream")
    direction = _direction(design.uses[function].of_stream(value))
    size, window = design.blocks.get(value, (1, False))
    bits = (size - 1).bit_length() if window and direction is Direction.READ else 0
    return _named_apart(StreamPort(name, value.type, direction, bits), taken)


def _named_apart[P: (StreamPort, ArrayStream)](port: P, taken: set[str]) -> P:
    """The port under a name that grows underscores until its signals are new."""
    while taken & port.signals().keys():
        port = replace(port, name=port.name + "_")
    taken.update(port.signals())
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


def module_name(design: Design, function: FunctionDesign) -> str:
    """Verilog name of a function's module: the kernel's own, or ``<kernel>_<function>``.

    Letters that are not ASCII are written as their code: ``u3b1`` for alpha.
    """
    top = _ascii(design.top.name)
    return top if function is design.top else f"{top}_{_ascii(function.name)}"


def fifo_name(design: Design, shape: FifoShape) -> str:
    """Verilog name of a FIFO's module."""
    first = f"_with_{shape.initial}" if shape.initial else ""
    block = f"_of_{shape.block}" if shape.block > 1 else ""
    window = "_window" if shape.window else ""
    return f"{_ascii(design.top.name)}_fifo_{shape.width}x{shape.depth}{first}{block}{window}"
