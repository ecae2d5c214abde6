"""What a run gains from deeper FIFOs, each tried in a simulation of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from allo_rtl.errors import SimulationError
from allo_rtl.hls.depths import deeper_alone, freeing_depths
from allo_rtl.hls.depths_search import streams_of
from allo_rtl.hls.depths_trace import NotStaticError
from allo_rtl.hls.design import Design
from allo_rtl.ir.ops import Value
from allo_rtl.sim.profile import Profile, Saving

TRIED = 4
"""FIFOs that are tried one by one: those that processes wait longest for room in."""

_FACTOR = 4
"""How much deeper a FIFO is tried where it is not known how deep it has to be."""


def savings(design: Design, profile: Profile, cycles_of: Callable[[Design], int]) -> list[Saving]:
    """What deeper FIFOs do, for those that processes waited for room in.

    Each alone, and all together those with which nothing is lost; where processes do not depend
    on data the model says how deep is enough, else they are tried at four times their depth.

    Args:
        cycles_of: simulates another design with the arguments of the profiled run.
    """
    found, seen = [], set[tuple[tuple[str, int], ...]]()
    for deeper in _tries(design, profile):
        depths = tuple((s.name or "a stream", d) for s, d in deeper.items())
        if depths in seen:
            continue
        seen.add(depths)
        try:
            cycles = cycles_of(replace(design, depths={**design.depths, **deeper}))
        except SimulationError:
            continue
        found.append(Saving(depths, cycles, profile.cycles - cycles))
    return found


def _tries(design: Design, profile: Profile) -> Iterator[Mapping[Value, int]]:
    waited = Counter[str]()
    for process in profile.processes:
        for (state, name), cycles in process.waits.items():
            if state == "full":
                waited[name] += cycles
    names = [longest for longest, _ in waited.most_common(TRIED)]
    for stream in streams_of(design):
        if (stream.name or "a stream") in names:
            depth = _deep_enough(design, stream)
            if depth is not None:
                yield {stream: depth}
    if names and (together := _all_together(design)):
        yield together


def _deep_enough(design: Design, stream: Value) -> int | None:
    """The depth to try for one FIFO, None when it is known that none helps."""
    if any(design.shared.values()):
        return _FACTOR * design.depth(stream)
    try:
        return deeper_alone(design, stream)
    except NotStaticError:
        return _FACTOR * design.depth(stream)


def _all_together(design: Design) -> Mapping[Value, int]:
    try:
        return freeing_depths(design)
    except NotStaticError:
        return {}
