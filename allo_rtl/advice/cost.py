"""What a change costs: what it asks of the user, and what hardware it adds.

Costs are compared in this order, each only where those before are equal:

1. what is asked: nothing; another clock; a promise that nobody checks,
2. blocks of multipliers, as the device's model counts them,
3. memories: the banks of all arrays but those in registers, be they RAM, ROM or ports,
4. units that can be counted: multipliers of any size, dividers, floating-point units,
5. bits of registers: arrays that are kept there, and values between the cycles of a schedule.

What a change saves of one of these is not set against what it adds of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from allo_rtl.advice.edits import Edit
from allo_rtl.advice.room import multiplier_blocks
from allo_rtl.hls.control import FunctionControl, regions
from allo_rtl.hls.design import Design
from allo_rtl.hls.node import Node
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.storage import ArrayStorage, StorageKind, word_bits
from allo_rtl.ir.ops import Value


@dataclass(frozen=True, order=True)
class Cost:
    """What a change asks for and adds; the smaller the cheaper.

    Attributes:
        asked: 0 for nothing, 1 for another clock, 2 for a promise.
        multipliers, memories, units, registers: blocks, banks, units and bits that are added.
    """

    asked: int
    multipliers: int = 0
    memories: int = 0
    units: int = 0
    registers: int = 0

    @property
    def is_small(self) -> bool:
        """Whether it is registers at most."""
        return self <= Cost(0, 0, 0, 0, self.registers)


def cost(edit: Edit, before: Design, after: Design) -> Cost:
    """The cost of a change that made ``after`` of ``before``."""
    pairs = zip(_sizes(before), _sizes(after), strict=True)
    return Cost(asked(edit), *(max(0, b - a) for a, b in pairs))


def least_cost(edit: Edit, before: Design, after: Iterable[FunctionControl]) -> Cost:
    """A bound of the cost of a change that was not scheduled, by the memories it leads to."""
    added = memories(after) - memories(f.control for f in before.functions)
    return Cost(asked(edit), 0, max(0, added))


def memories(functions: Iterable[FunctionControl]) -> int:
    """The banks of all arrays that are not in registers, those of the outside once."""
    functions = list(functions)
    given = {a for f in functions[:-1] for a in f.func.args}
    return sum(
        kept.layout.banks
        for f in functions
        for array, kept in f.storage.items()
        if kept.kind is not StorageKind.REGISTERS and array not in given
    )


def asked(edit: Edit) -> int:
    """0 where a change asks for nothing, 1 for another clock, 2 for a promise."""
    return 2 if edit.promise else int(edit.clock_mhz is not None)


def _sizes(design: Design) -> tuple[int, int, int, int]:
    controls = [f.control for f in design.functions]
    units = sum(f.units.total() for f in design.functions)
    return multiplier_blocks(design), memories(controls), units, _register_bits(design)


def _register_bits(design: Design) -> int:
    kept = (a for f in design.functions for a in f.control.storage.items())
    return sum(_array_bits(*a) for a in kept) + sum(
        _between_cycles(piece.region.nodes(), f.schedules[piece.region])
        for f in design.functions
        for piece in regions(f.control.body)
    )


def _array_bits(array: Value, kept: ArrayStorage) -> int:
    is_kept = kept.kind is StorageKind.REGISTERS
    return array.array.size * word_bits(array.array) if is_kept else 0


def _between_cycles(nodes: Iterable[Node], found: OpSchedule) -> int:
    """Bits of the values that are used in a later cycle than they are made, for each cycle."""
    last: dict[Node, int] = {}
    for node in nodes:
        for operand in node.operands:
            if not operand.is_free and operand not in found.stable:
                last[operand] = max(last.get(operand, 0), found.start[node])
    spans = ((n, max(0, end - found.ready[n])) for n, end in last.items())
    return sum(
        (cycles if found.ii else min(1, cycles)) * found.shapes[n].width for n, cycles in spans
    )
