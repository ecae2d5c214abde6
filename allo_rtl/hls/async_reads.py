"""Arrays whose reads are asynchronous: the word is there in the cycle of its address.

A user says so of an array once, by ``Memory(latency=0)``; an array is one memory, whatever it is
called in the functions that get it, or a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from allo_rtl.errors import BuildError, SourceLoc
from allo_rtl.hls.control import FunctionControl, Parallel, flatten
from allo_rtl.hls.node import Bank
from allo_rtl.hls.processes import Uses, array_pairs, given, parts_of, process_name
from allo_rtl.hls.streams import End
from allo_rtl.ir.equal_arrays import array_links, connected
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Call, Func, GetGlobal, Load, Module, Store, Value
from allo_rtl.ir.parts import root
from allo_rtl.ir.rewrite import retype, walk
from allo_rtl.ir.types import SYNCHRONOUS, ArrayType, Memory
from allo_rtl.target import DEVICES, Device


def spread_async(module: Module, device: Device) -> Module:
    """The module with every array marked that a marked one is in another place.

    Raises:
        BuildError: the device has no such memories, or one of these arrays is to be in a kind of
            memory that has no asynchronous reads.
    """
    marked = {(f.name, v): loc for f in module.funcs for v, loc in _arrays(f) if v.array.async_read}
    if not marked:
        return module
    (name, first), loc = next(iter(marked.items()))
    if not device.lut_ram and Layout(first.array).depth > 1:
        raise BuildError(
            f"{first.name or 'an array'} of {name} is to be read in the cycle of the address "
            f"(latency=0), and {device.name} has no look-up tables that are memory: its block "
            "RAMs answer one cycle later",
            loc=loc, allowed=", ".join(d.name for d in DEVICES.values() if d.lut_ram),
            hint="leave latency=0 out, or partition the array completely: then it is in registers",
        )  # fmt: skip
    same = connected(array_links(module.funcs, parts=True), marked)
    for func in module.funcs:
        for value, place in _arrays(func):
            memory = value.array.memory
            if (func.name, value) in same and memory and memory.resource in SYNCHRONOUS:
                raise BuildError(
                    f"{value.name or 'an array'} of {func.name} is to be in {memory.resource}, and "
                    f"is {first.name or 'one'} of {name}, which is to be read in the cycle of the "
                    "address (latency=0)",
                    loc=place, allowed='Memory("LUTRAM", latency=0)',
                    notes=[(f"{first.name or 'the array'} is said to be so here", loc)]
                    if loc else (),
                )  # fmt: skip
    names = {
        op.name
        for f in module.funcs
        for op in walk(f.body)
        if isinstance(op, GetGlobal) and (f.name, op.result) in same
    }
    return replace(
        module,
        funcs=tuple(
            retype(f, {v: _marked(v.array) for name, v in same if name == f.name})
            for f in module.funcs
        ),
        globals=tuple(
            replace(g, type=_marked(g.type)) if g.name in names else g for g in module.globals
        ),
    )


def _marked(type: ArrayType) -> ArrayType:
    return replace(type, memory=replace(type.memory or Memory(), latency=0))


def _arrays(func: Func) -> Iterator[tuple[Value, SourceLoc | None]]:
    """The arrays of a function that a user may have described, and where."""
    for arg in func.args:
        if isinstance(arg.type, ArrayType):
            yield arg, func.loc
    for op in walk(func.body):
        for value in op.results():
            if isinstance(value.type, ArrayType):
                yield value, op.loc


def check_turns(functions: Sequence[FunctionControl], found: Mapping[str, Uses]) -> None:
    """Refuse turns at ports of memories whose words are there only in the cycle of their address.

    Processes that read one would lose words while they wait.  One that reads and writes it holds
    until it may do all of a cycle; where it has to wait for others to write, its own write may be
    done before that cycle ends, and the word it reads then is the new one.

    Callees come before callers; ``found`` is what each function uses.
    """
    funcs = {c.func.name: c.func for c in functions}
    for control in functions:
        parts = parts_of(control.func)
        for part in flatten(control.body):
            if isinstance(part, Parallel):
                users: dict[Bank, list[tuple[Call, set[End]]]] = {}
                for call in part.calls:
                    banks, _ = given(call, funcs[call.callee], found[call.callee], parts)
                    for bank, ends in banks.items():
                        users.setdefault(bank, []).append((call, ends))
                for bank, of_bank in users.items():
                    if bank.array.array.async_read:
                        _check_bank(bank, of_bank, control.func, funcs)


def _check_bank(
    bank: Bank, users: Sequence[tuple[Call, set[End]]], region: Func, funcs: Mapping[str, Func]
) -> None:
    readers = [call for call, ends in users if End.READ in ends]
    writers = [call for call, ends in users if End.WRITE in ends]
    both = [call for call in readers if call in writers]
    if len(readers) > 1:
        end, (one, other) = End.READ, readers[:2]
    elif both and len(writers) > 1:
        end, one, other = End.WRITE, both[0], next(c for c in writers if c is not both[0])
    else:
        return
    name, banks = bank.array.name or "an array", Layout(bank.array.array).banks
    places = [(c, _first(c, bank.array, end, region, funcs)) for c in (one, other)]
    raise BuildError(
        f"{name if banks == 1 else f'bank {bank.index} of {name}'} is {end.value} by "
        f"{process_name(one)} and {process_name(other)}, which take turns"
        + (f", and read by {process_name(one)}" if end is End.WRITE else "")
        + "; its words are there only in the cycle of the address (latency=0)",
        loc=other.loc,
        notes=[(f"{process_name(c)} {_DOES[end]} it here", loc) for c, loc in places if loc],
        allowed="one process for each bank of an array with asynchronous reads, or one that only "
        "reads it and others that write it",
        hint="leave latency=0 out, or partition the array so that each process has banks of its "
        "own",
    )


_DOES = {End.READ: "reads", End.WRITE: "writes"}


def _first(
    call: Call, array: Value, end: End, caller: Func, funcs: Mapping[str, Func]
) -> SourceLoc | None:
    """Where what is called, or something that it calls, first reads or writes a caller's array."""
    parts, callee = parts_of(caller), funcs[call.callee]
    kind = Load if end is End.READ else Store
    for outer, param in array_pairs(call, callee):
        if root(outer, parts) is array:
            inside = parts_of(callee)
            for op in walk(callee.body):
                if isinstance(op, kind) and root(op.array, inside) is param:
                    return op.loc
                if isinstance(op, Call):
                    loc = _first(op, param, end, callee, funcs)
                    if loc is not None:
                        return loc
    return None
