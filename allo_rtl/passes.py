"""What works on a whole module at once, under Allo's names."""

from __future__ import annotations

from contextlib import suppress

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.equal_arrays import equal_arrays
from allo_rtl.ir.ops import For, Module, While
from allo_rtl.ir.rewrite import walk
from allo_rtl.schedule.buffers import buffers
from allo_rtl.schedule.loops import find_loop
from allo_rtl.schedule.schedule import Schedule


def df_pipeline(
    schedule: Schedule, initiation_interval: int | None = None, rewind: bool = False
) -> None:
    """Pipeline every loop without another one inside, where it may be; each is a step of its own.

    Args:
        schedule: of any kernel or region.
        initiation_interval, rewind: see :meth:`allo_rtl.Schedule.pipeline`.
    """
    for func in schedule.module.funcs:
        for _, band in schedule.get_loops(func.name):
            for _, axis in band:
                place = find_loop(schedule.module, axis)
                if any(isinstance(op, For | While) for op in walk(place.loop.body)):
                    continue
                with suppress(ScheduleError):
                    schedule.pipeline(axis, initiation_interval, rewind)


def analyze_use_def(module: Module) -> list[set[str]]:
    """The arrays that are one and the same in several functions, as ``"function:array"``.

    Returns:
        A set for each array that a call passes on, or several functions name, in the order of the
        text.
    """
    found: list[set[str]] = []
    for func in module.funcs:
        for name, array, _ in buffers(func):
            if any(f"{func.name}:{name}" in same for same in found):
                continue
            equal = equal_arrays(module, func, array)
            names = {f"{f}:{v.name}" for f, values in equal.items() for v in values}
            if len(names) > 1:
                found.append(names)
    return found
