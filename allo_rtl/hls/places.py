"""Which FIFOs need a place more than is declared, so that no run ends in a deadlock of its own.

By the order of the text a process has taken a word before it waits for room for another.  In a
pipelined loop the words of an iteration's leading gets are taken from their FIFOs in the cycle in
which the iteration starts; when it also puts in that cycle, and must hold, they are still in the
FIFOs, one of each.  So these have a place more: their writers go on as if the word were taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from allo_rtl.hls.control import FunctionControl, Invoke, Parallel, Pipelined, flatten, regions
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.region import Region
from allo_rtl.hls.streams import blocking, leading
from allo_rtl.ir.ops import Func, Value
from allo_rtl.ir.types import StreamType

type Timed = tuple[FunctionControl, Mapping[Region, OpSchedule]]
"""A function and its schedules."""


def taken_late(functions: Iterable[Timed]) -> frozenset[Value]:
    """The streams, in each function that knows them, whose words may be taken late.

    Callees come before callers.
    """
    found: set[Value] = set()
    funcs: dict[str, Func] = {}
    for control, schedules in functions:
        funcs[control.func.name] = control.func
        for piece in regions(control.body):
            if isinstance(piece, Pipelined):
                found |= _of_loop(piece.region, schedules[piece.region])
        for part in flatten(control.body):
            calls = part.calls if isinstance(part, Parallel) else ()
            for call in (part.call,) if isinstance(part, Invoke) else calls:
                pairs = zip(funcs[call.callee].args, call.args, strict=True)
                found |= {a for p, a in pairs if isinstance(p.type, StreamType) and p in found}
    return frozenset(found)


def _of_loop(region: Region, schedule: OpSchedule) -> set[Value]:
    nodes = region.nodes()
    first = leading(nodes)
    if not any(schedule.start[n] == 0 for n in blocking(nodes, pipelined=True)):
        return set()
    return {n.stream.stream for n in first if n.stream is not None}
