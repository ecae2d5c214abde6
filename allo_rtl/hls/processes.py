"""Regions of processes: who uses which end of each stream, and which bank of each array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from allo_rtl.errors import BuildError
from allo_rtl.hls.control import (
    Clear,
    Control,
    FunctionControl,
    Invoke,
    Parallel,
    Preset,
    flatten,
    regions,
)
from allo_rtl.hls.node import Bank, Kind, Node
from allo_rtl.hls.storage import StorageKind
from allo_rtl.hls.streams import End, end_of
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Call, For, Func, If, Load, Module, Op, Store, SubView, Value, While
from allo_rtl.ir.parts import root, source_bank
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.stream_ops import MakeStream
from allo_rtl.ir.types import ArrayType, StreamType
from allo_rtl.target import Device

_USES = {
    Kind.READ: End.READ, Kind.REG_READ: End.READ,
    Kind.WRITE: End.WRITE, Kind.REG_WRITE: End.WRITE,
}  # fmt: skip


def use_of(node: Node) -> End:
    """Which end of its bank a memory node uses."""
    return _USES[node.kind]


@dataclass(frozen=True)
class Uses:
    """What a function, with all it calls, does to banks and streams of its own or its caller's."""

    banks: dict[Bank, set[End]] = field(default_factory=dict)
    streams: dict[Value, set[End]] = field(default_factory=dict)

    def of_bank(self, array: Value, index: int) -> set[End]:
        """How a bank is used."""
        return self.banks.get(Bank(array, index), set())

    def of_stream(self, stream: Value) -> set[End]:
        """Which ends of a stream are used."""
        return self.streams.get(stream, set())


def find_uses(functions: Iterable[FunctionControl]) -> dict[str, Uses]:
    """The uses of each function, by name; callees come before callers."""
    found: dict[str, Uses] = {}
    funcs: dict[str, Func] = {}
    for control in functions:
        uses = found[control.func.name] = Uses()
        funcs[control.func.name] = control.func
        parts = parts_of(control.func)
        for piece in regions(control.body):
            for node in piece.region.nodes():
                if node.bank is not None:
                    uses.banks.setdefault(node.bank, set()).add(use_of(node))
                if node.stream is not None:
                    end = end_of(node.stream)
                    uses.streams.setdefault(node.stream.stream, set()).add(end)
        for part in flatten(control.body):
            if isinstance(part, Clear):
                for index in range(Layout(part.array.array).banks):
                    uses.banks.setdefault(Bank(part.array, index), set()).add(End.WRITE)
            if isinstance(part, Preset):
                for bank in part.words:
                    uses.banks.setdefault(bank, set()).add(End.WRITE)
            for call in _calls(part):
                _add(uses, *given(call, funcs[call.callee], found[call.callee], parts))
    return found


type Parts = Mapping[Value, SubView]
"""The parts of arrays that a region gives to its processes."""


def parts_of(region: Func) -> Parts:
    """The parts that a region makes."""
    return {op.result: op for op in region.body if isinstance(op, SubView)}


def bank_of(array: Value, index: int, parts: Parts) -> Bank:
    """The bank that bank ``index`` of an array or part is."""
    while array in parts:
        array, index = parts[array].source, source_bank(parts[array], index)
    return Bank(array, index)


def _calls(control: Control) -> tuple[Call, ...]:
    match control:
        case Invoke(call=call):
            return (call,)
        case Parallel(calls=calls):
            return calls
    return ()


def _add(
    uses: Uses, banks: Mapping[Bank, set[End]], streams: Mapping[Value, set[End]]
) -> None:
    for bank, ends in banks.items():
        uses.banks.setdefault(bank, set()).update(ends)
    for stream, ends in streams.items():
        uses.streams.setdefault(stream, set()).update(ends)


def given(
    call: Call, callee: Func, inner: Uses, parts: Parts
) -> tuple[dict[Bank, set[End]], dict[Value, set[End]]]:
    """What a call uses of its caller's banks and streams."""
    banks: dict[Bank, set[End]] = {}
    streams: dict[Value, set[End]] = {}
    pairs = [*zip(call.args, callee.args, strict=True),
             *zip(call.outs, callee.returned, strict=True)]
    for outer, param in pairs:
        if isinstance(param.type, ArrayType):
            for index in range(Layout(param.type).banks):
                if ends := inner.of_bank(param, index):
                    banks.setdefault(bank_of(outer, index, parts), set()).update(ends)
        elif isinstance(param.type, StreamType):
            streams.setdefault(outer, set()).update(inner.of_stream(param))
    return banks, streams


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """One end of a stream."""

    stream: Value
    end: End


def count_users(
    control: FunctionControl, funcs: Mapping[str, Func], found: Mapping[str, Uses]
) -> Counter[BankEnd | StreamEnd]:
    """How many calls of a function use each bank and stream end; its own uses count as one call.

    Args:
        control: the function.
        funcs, found: every function it calls, and what that uses, by name.
    """
    parts = parts_of(control.func)
    users = Counter[BankEnd | StreamEnd](own_ports(control))
    users.update({
        StreamEnd(node.stream.stream, end_of(node.stream))
        for piece in regions(control.body)
        for node in piece.region.nodes()
        if node.stream is not None
    })
    for call in (c for part in flatten(control.body) for c in _calls(part)):
        banks, streams = given(call, funcs[call.callee], found[call.callee], parts)
        users.update(BankEnd(bank, end) for bank, ends in banks.items() for end in ends)
        users.update(StreamEnd(stream, end) for stream, ends in streams.items() for end in ends)
    return users


def process_name(call: Call) -> str:
    """What the process that a call of a region makes is called."""
    return call.process or call.callee


# Arrays


def array_uses(functions: Iterable[FunctionControl]) -> dict[str, dict[Value, set[End]]]:
    """How the text of each function reads and writes its arrays, through calls too.

    Callees come before callers.  Unlike :func:`find_uses` this is of whole arrays, and loads
    count whose value nothing needs.
    """
    found: dict[str, dict[Value, set[End]]] = {}
    funcs: dict[str, Func] = {}
    for control in functions:
        func = funcs[control.func.name] = control.func
        views, uses = parts_of(func), dict[Value, set[End]]()
        for op in walk(func.body):
            if isinstance(op, Load | Store):
                end = End.READ if isinstance(op, Load) else End.WRITE
                uses.setdefault(op.array, set()).add(end)
            elif isinstance(op, Call):
                inner = found[op.callee]
                for outer, param in array_pairs(op, funcs[op.callee]):
                    array = root(outer, views)
                    uses.setdefault(array, set()).update(inner.get(param, ()))
        for part in flatten(control.body):
            if isinstance(part, Clear):
                uses.setdefault(part.array, set()).add(End.WRITE)
        found[func.name] = uses
    return found


# Shared ports


@dataclass(frozen=True, slots=True)
class BankEnd:
    """Reading or writing one bank."""

    bank: Bank
    end: End


def find_shared(
    functions: Sequence[FunctionControl], found: Mapping[str, Uses]
) -> dict[str, frozenset[BankEnd]]:
    """Of each function, by name: the ports of its arguments that others use at the same time.

    Callees come before callers; a function is one module, wherever it is called.
    """
    funcs = {c.func.name: c.func for c in functions}
    shared: dict[str, set[BankEnd]] = {name: set() for name in funcs}
    for control in reversed(functions):
        mine = shared[control.func.name]
        views = parts_of(control.func)
        for part in flatten(control.body):
            calls = _calls(part)
            users = Counter(
                BankEnd(bank, end)
                for call in calls
                for bank, ends in _banks_given(call, funcs, found, views).items()
                for end in ends
            )
            for call in calls:
                for outer, param in array_pairs(call, funcs[call.callee]):
                    for index in range(Layout(param.array).banks):
                        for end in End:
                            port = BankEnd(bank_of(outer, index, views), end)
                            if users[port] > 1 or port in mine:
                                shared[call.callee].add(BankEnd(Bank(param, index), end))

    def is_used(name: str, port: BankEnd) -> bool:
        return port.end in found[name].of_bank(port.bank.array, port.bank.index)

    return {n: frozenset(p for p in ports if is_used(n, p)) for n, ports in shared.items()}


def _banks_given(
    call: Call, funcs: Mapping[str, Func], found: Mapping[str, Uses], parts: Parts
) -> dict[Bank, set[End]]:
    return given(call, funcs[call.callee], found[call.callee], parts)[0]


def array_pairs(call: Call, callee: Func) -> list[tuple[Value, Value]]:
    """The arrays that a call gives, each with the parameter or result that it is inside."""
    pairs = [*zip(call.args, callee.args, strict=True),
             *zip(call.outs, callee.returned, strict=True)]
    return [(a, b) for a, b in pairs if isinstance(b.type, ArrayType)]


def own_ports(control: FunctionControl) -> set[BankEnd]:
    """The ports that a function uses itself, not by what it calls."""
    found = {
        BankEnd(node.bank, use_of(node))
        for piece in regions(control.body)
        for node in piece.region.nodes()
        if node.bank is not None
    }
    for part in flatten(control.body):
        if isinstance(part, Clear):
            banks = range(Layout(part.array.array).banks)
            found |= {BankEnd(Bank(part.array, b), End.WRITE) for b in banks}
        elif isinstance(part, Preset):
            found |= {BankEnd(bank, End.WRITE) for bank in part.words}
    return found


# FIFOs


@dataclass(frozen=True, slots=True)
class FifoShape:
    """A FIFO of ``depth`` words of ``width`` bits.

    After a reset ``initial`` words are in it, whatever they are; it is in registers then.

    Words are put and taken in blocks of ``block``: it is ready for none before it has room for all
    of it, and offers none before all of it is there.  With ``window`` the reader may look at any
    word of a block.
    """

    width: int
    depth: int
    storage: StorageKind
    initial: int = 0
    block: int = 1
    window: bool = False

    @property
    def window_bits(self) -> int:
        """Bits of the place in a block that the reader looks at; 0 without a window."""
        return (self.block - 1).bit_length() if self.window else 0


_SHALLOW, _SMALL = 4, 64
"""Greatest depth in registers, and greatest depth in LUT RAM."""


def fifo_shape(
    stream: Value, device: Device, depth: int, block: tuple[int, bool] | None = None
) -> FifoShape:
    """How a stream is built: registers when shallow, LUT RAM, or block RAM when deep.

    ``block`` is the size of the blocks it is asked for, and whether it has a window.
    """
    type_ = stream.type
    assert isinstance(type_, StreamType)
    storage, first = StorageKind.RAM, initial(stream)
    if depth <= _SHALLOW or first:
        storage = StorageKind.REGISTERS
    elif depth <= _SMALL and device.lut_ram:
        storage = StorageKind.LUT_RAM
    if block is None:
        return FifoShape(type_.element.bits, depth, storage, first)
    size, window = block
    if window and storage is StorageKind.RAM:
        storage = StorageKind.LUT_RAM  # a block RAM cannot be read within a cycle
    return FifoShape(type_.element.bits, depth, storage, first, size, window)


def initial(stream: Value) -> int:
    """How many words are in a stream before anything is put."""
    assert isinstance(stream.type, StreamType)
    return stream.type.initial


def made_streams(func: Func) -> tuple[Value, ...]:
    """The streams that a region makes."""
    return tuple(op.result for op in walk(func.body) if isinstance(op, MakeStream))


# Checks


def check_regions(module: Module) -> None:
    """Refuse what a region in hardware cannot hold; the module is legalized."""
    for arg in module.top_func.args:
        if isinstance(arg.type, StreamType):
            raise BuildError(
                f"{arg.name or 'an argument'} is a stream, and the top function's arguments are "
                "numbers and arrays",
                loc=module.top_func.loc, allowed="streams between the processes of a region",
            )  # fmt: skip
    for func in module.funcs:
        if func.dataflow:
            for problem, op in _misplaced(func):
                raise BuildError(
                    f"{problem} in the region '{func.name}'", loc=op.loc or func.loc,
                    allowed="streams, arrays, numbers and calls of processes",
                    hint="put it into a process",
                )  # fmt: skip


def _misplaced(func: Func) -> Iterator[tuple[str, Op]]:
    called = False
    for op in func.body:
        if isinstance(op, For | While | If):
            yield "there is a loop or a condition", op
        if isinstance(op, Load | Store) and called and not func.tasks:
            yield "an array is used after a process is called", op
        if isinstance(op, Call) and op.outs:
            yield f"process {op.callee} has results", op
        called = called or isinstance(op, Call)


def check_sharing(functions: Sequence[FunctionControl], found: Mapping[str, Uses]) -> None:
    """Refuse regions in which processes share the end of a stream; ``found`` is what each uses.

    Memory banks they may share: what two use, streams put in order (:mod:`allo_rtl.ir.races`).
    """
    funcs = {c.func.name: c.func for c in functions}
    for control in functions:
        _check_ends(control.func, found[control.func.name])
        views = parts_of(control.func)
        for part in flatten(control.body):
            if isinstance(part, Parallel):
                parts = [
                    given(c, funcs[c.callee], found[c.callee], views) for c in part.calls
                ]
                _check_streams(part.calls, [streams for _, streams in parts])


def _check_ends(func: Func, uses: Uses) -> None:
    made = made_streams(func)
    for stream, ends in uses.streams.items():
        if len(ends) == 2 and stream not in made:
            raise BuildError(
                f"'{func.name}' takes from and puts to the stream {stream.name}",
                loc=func.loc, allowed="one process that puts to a stream and another that takes",
                hint="keep what a process passes to itself in an array of its own",
            )  # fmt: skip


def _check_streams(calls: Sequence[Call], used: Sequence[Mapping[Value, set[End]]]) -> None:
    first: dict[tuple[Value, End], Call] = {}
    for call, streams in zip(calls, used, strict=True):
        for key in ((s, end) for s, ends in streams.items() for end in ends):
            if key in first:
                raise _shared(*key, first[key], call)
            first[key] = call


def _shared(stream: Value, end: End, first: Call, second: Call) -> BuildError:
    return BuildError(
        f"stream {stream.name} is {end.value} by {process_name(first)} and "
        f"{process_name(second)}; they run at once",
        loc=second.loc, allowed="one process at each end of a stream",
    )
