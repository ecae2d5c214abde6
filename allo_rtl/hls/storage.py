"""How each array of a function is stored: outside, in RAM, in registers, or as constants."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

from allo_rtl.errors import BuildError
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Alloc, Call, Func, GetGlobal, Global, Module, Value
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType, Index, IntegerType, Memory
from allo_rtl.target import Device


class StorageKind(Enum):
    """Where the words of an array live; the value is what reports say."""

    PORT = "port"
    RAM = "block RAM"
    LUT_RAM = "LUT RAM"
    ULTRA_RAM = "ultra RAM"
    REGISTERS = "registers"
    ROM = "ROM"


@dataclass(frozen=True)
class ArrayStorage:
    """Storage of one array: RAMs and ports answer one cycle after the address, or at once.

    Attributes:
        kind: where its words are.
        layout: its banks and addresses.
        data: contents of a constant array, or those of a stateful one before the first run.
        stateful: whether it keeps from run to run what is stored to it.
        style: what synthesis is told of the kind of RAM or ROM, as the attribute ``ram_style``;
            "" where it may choose.
        dual: whether each bank has two ports that read or write, not one for each.
        contended: whether other processes use it at the same time, and one of them or this one
            stores to it (:mod:`allo_rtl.hls.contended`).
        async_read: whether a word is there in the cycle of its address.
    """

    kind: StorageKind
    layout: Layout
    data: tuple[int, ...] = ()
    stateful: bool = False
    style: str = ""
    dual: bool = False
    contended: bool = False
    async_read: bool = False

    @cached_property
    def _words(self) -> list[list[int]]:
        """``data`` as words of every bank; unused tail words are 0."""
        words = [[0] * self.layout.depth for _ in range(self.layout.banks)]
        for flat, number in enumerate(self.data):
            bank, address = self.layout.place_const(_unflatten(flat, self.layout.type.shape))
            words[bank][address] = number
        return words

    def contents(self, bank: int) -> list[int]:
        """``data`` as words of one bank."""
        return self._words[bank]

    def word(self, bank: int, address: int) -> int:
        """One word of ``data``; 0 where it has none."""
        inside = 0 <= bank < self.layout.banks and 0 <= address < self.layout.depth
        return self._words[bank][address] if inside else 0


def _unflatten(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for extent in reversed(shape):
        flat, rest = divmod(flat, extent)
        index.append(rest)
    return tuple(reversed(index))


def word_bits(type: ArrayType) -> int:
    """Width of one word in bits."""
    assert isinstance(type.element, IntegerType | Index)
    return type.element.bits


def assign_storage(
    func: Func, constants: Mapping[str, Global], device: Device,
    contended: Collection[Value] = (),
) -> dict[Value, ArrayStorage]:
    """Storage of every array of a function.

    Arguments and returned arrays are ports; constants are ROMs; local and stateful arrays whose
    banks hold one word each (scalars, completely partitioned arrays) are registers; the rest is
    RAM of the kind that the array's ``memory`` names, where the device has it: BRAM; URAM
    (UltraScale+, else block RAM); LUTRAM and SRL (LUT RAM; iCE40 has none, so block RAM).

    Whatever its ``storage_type``, a memory has one port for reads and one for writes.  Those whose
    reads are asynchronous are LUT RAM.
    """
    found: dict[Value, ArrayStorage] = {}
    for value in (*func.args, *func.returned):
        if isinstance(value.type, ArrayType):
            found[value] = ArrayStorage(
                StorageKind.PORT, Layout(value.type), contended=value in contended,
                async_read=value.type.async_read,
            )
    for op in walk(func.body):
        if isinstance(op, GetGlobal):
            item, local = constants[op.name], _local(op.result.array, device)
            kind = local.kind if item.stateful else StorageKind.ROM
            found[op.result] = replace(
                local, kind=kind, data=item.data, stateful=item.stateful
            )
        elif isinstance(op, Alloc | Call):
            for value in op.results():
                if isinstance(value.type, ArrayType) and value not in found:
                    found[value] = _local(value.type, device)
    return found


def _local(type: ArrayType, device: Device) -> ArrayStorage:
    layout = Layout(type)
    ram = _ram(type.memory, device)
    asked = type.async_read or (type.memory is not None and type.memory.resource != "AUTO")
    kind = StorageKind.REGISTERS if layout.depth == 1 else ram
    return ArrayStorage(
        kind, layout, style=_STYLES[ram] if asked else "", async_read=type.async_read
    )


_STYLES = {
    StorageKind.RAM: "block", StorageKind.LUT_RAM: "distributed", StorageKind.ULTRA_RAM: "ultra"
}


def _ram(memory: Memory | None, device: Device) -> StorageKind:
    resource = memory.resource if memory else "AUTO"
    if memory is not None and memory.latency == 0:
        return StorageKind.LUT_RAM
    if resource in ("LUTRAM", "SRL") and device.lut_ram:
        return StorageKind.LUT_RAM
    if resource == "URAM" and device.family == "ultrascale+":
        return StorageKind.ULTRA_RAM
    return StorageKind.RAM


def check_extents(module: Module) -> None:
    """Refuse arrays whose size is known only when the kernel is called.

    Raises:
        BuildError: with where it is and what to do.
    """
    for func in module.funcs:
        values = (*func.args, *(v for op in walk(func.body) for v in op.results()))
        for value in values:
            if isinstance(value.type, ArrayType) and value.type.is_dynamic:
                raise BuildError(
                    f"{value.name or 'an array'} is {value.type}: a memory in hardware has a "
                    "size that is known when it is built",
                    loc=func.loc, allowed="arrays with constant extents",
                    hint="give it an extent, or use the CPU build",
                )  # fmt: skip
