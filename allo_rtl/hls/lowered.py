"""A module made ready for hardware, up to where operations are scheduled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from allo_rtl.hls.async_reads import spread_async
from allo_rtl.hls.prepare import PreparedFunc, prepare
from allo_rtl.hls.processes import check_regions
from allo_rtl.hls.rewind import rewind
from allo_rtl.hls.storage import check_extents
from allo_rtl.hls.tasks import split_tasks
from allo_rtl.ir.alike import merge_alike
from allo_rtl.ir.argument_streams import stream_arguments
from allo_rtl.ir.legalize import legalize
from allo_rtl.ir.ops import Global, Module
from allo_rtl.target import Device


@dataclass(frozen=True)
class Lowered:
    """What is to be scheduled.

    Attributes:
        module: the legalized module.
        functions: what hardware is made of, callees first.
        notes: what the report has to say about it.
    """

    module: Module
    functions: tuple[PreparedFunc, ...]
    notes: tuple[str, ...]

    @property
    def constants(self) -> Mapping[str, Global]:
        """Tables and state by name."""
        return {g.name: g for g in self.module.globals}


def lower(module: Module, device: Device, runs: int = 1) -> Lowered:
    """Legalize a module for a device; with ``runs`` more than 1 so many runs of it overlap.

    Raises BuildError when something in it cannot be hardware.
    """
    module = spread_async(module, device)
    module, together = split_tasks(legalize(merge_alike(module)), runs=runs > 1)
    module, notes = rewind(merge_alike(module))
    check_extents(module)
    check_regions(module)
    return Lowered(module, prepare(stream_arguments(module)), (*together, *notes))
