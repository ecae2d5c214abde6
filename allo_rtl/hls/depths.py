"""The least depths of FIFOs with which a region ends, and ends as soon as with FIFOs of any depth.

Where what the processes do with their streams does not depend on data, a cycle-exact model
(:mod:`allo_rtl.hls.depths_model`) answers how long a run takes with given depths, and
:mod:`allo_rtl.hls.depths_search` looks for the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from allo_rtl.hls.depths_model import Outcome, play
from allo_rtl.hls.depths_order import secured
from allo_rtl.hls.depths_search import WORK, Model, Plan, Search, fifo_room, streams_of
from allo_rtl.hls.depths_trace import NotStaticError, UnknownPortsError
from allo_rtl.hls.depths_tracer import has_processes, traces_of
from allo_rtl.hls.design import Design
from allo_rtl.ir.ops import Value
from allo_rtl.ir.types import StreamType


def run_cycles(design: Design) -> int | None:
    """Length of a run in cycles, exactly; None when it depends on data, or never ends.

    Args:
        design: where arguments are streams, a run in which the outside never makes it wait.
    """
    if design.top.latency is not None or not has_processes(design):
        return design.top.latency
    try:
        return _whole_run(design).cycles
    except NotStaticError:
        return None


def _whole_run(design: Design) -> Outcome:
    """A run of a design as it is, played once.

    Raises:
        NotStaticError: why that cannot be played.
    """
    rooms = {s: fifo_room(design, s, design.depth(s)) for s in streams_of(design)}
    outside = [v for v in design.port_values if isinstance(v.type, StreamType)]
    first, *others = (play(trace, rooms, outside) for trace in traces_of(design))
    if any(other.cycles != first.cycles for other in others):
        raise NotStaticError("how long a run takes depends on those before")
    return first


def why_unknown(design: Design) -> str:
    """Why :func:`run_cycles` does not know the length of a run, in a few words; empty if it does.

    Where nothing but the data decides, that is all it says.
    """
    if design.top.latency is not None:
        return ""
    if not has_processes(design):
        return "depends on data"
    try:
        if _whole_run(design).cycles is not None:
            return ""
    except UnknownPortsError as error:
        return f"not known: {error.reason}, and processes take turns at its port"
    except NotStaticError as error:
        return f"not known: {error.reason}"
    return "never ends: processes wait for each other"


def least_depths(design: Design, free: Iterable[Value]) -> Plan:
    """The least depths of the streams ``free``; the others keep theirs.

    Of several such vectors one of the fewest bits is found, where the model's times do not
    shrink with FIFOs that shrink.  Where the search is too long for that it is one of which no FIFO
    can be less; in a large design one of which not all FIFOs of a kind can be less, together; and
    in one that is larger still one that is enough, with all FIFOs alike.

    Raises:
        NotStaticError: what the processes do depends on data, or is too much to search.
    """
    fixed = {s: design.depth(s) for s in streams_of(design)}
    free = list(free)
    model = Model(design)
    plan = Search(model, fixed, dict.fromkeys(free, 1)).plan()
    if plan.cycles is None or not (plan.unknown or _has_outside(design)):
        return plan
    depths = secured(model.trace, plan.depths, free, lambda s: design.fifo(s).width)
    return replace(plan, depths=depths, deeper=_more(depths, plan.depths))


def _has_outside(design: Design) -> bool:
    """Whether arguments are streams."""
    return any(isinstance(v.type, StreamType) for v in design.port_values)


def _more(depths: Mapping[Value, int], before: Mapping[Value, int]) -> frozenset[Value]:
    return frozenset(s for s, d in depths.items() if d > before[s])


def choose_depths(design: Design) -> Design:
    """Give the streams without a declared depth the least that is enough.

    Where that cannot be found they keep 2 values, and the design's ``notes`` say why.
    """
    free = [s for s in streams_of(design) if s in design.undeclared]
    if not free:
        return design
    try:
        plan = least_depths(design, free)
    except NotStaticError as reason:
        note = (
            f"no depth was given for {_names(free)}, and the least is not known: {reason}; it is 2"
        )
        return replace(design, notes=(*design.notes, note))
    chosen = {s: plan.depths[s] for s in free}
    reasons = {s: str(proof) for s, proof in plan.proofs.items()}
    late = "a deadlock where values come late"
    reasons |= {s: f"with {plan.depths[s] - 1}: {late}" for s in plan.deeper}
    if plan.unknown:
        note = (
            f"the depths of {_names(free)} are enough; that they are least is shown as if each "
            f"process had its memories, for it is not known when they take turns: {plan.unknown}"
        )
        return replace(design, depths=chosen, reasons=reasons, notes=(*design.notes, note))
    if plan.by_kinds:
        note = (
            f"the depths of {_names(free)} are least for all of a kind together; that one alone "
            "cannot be less is not shown"
        )
        return replace(design, depths=chosen, reasons=reasons, notes=(*design.notes, note))
    if not plan.is_least:
        others = [s for s in free if plan.depths[s] > 1 and s not in reasons]
        note = f"the depths of {_names(others)} are enough; that they are least is not shown"
        return replace(design, depths=chosen, reasons=reasons, notes=(*design.notes, note))
    return replace(design, depths=chosen, reasons=reasons)


def freeing_depths(design: Design) -> dict[Value, int]:
    """Deeper FIFOs with which no cycle is lost, where any is: those and their depths.

    Empty when none is lost, or when no depths help.

    Raises:
        NotStaticError: see :func:`least_depths`.
    """
    return _improvement(design)[2]


def ending_depths(design: Design) -> dict[Value, int]:
    """The least deeper FIFOs with which a design that deadlocks does not: those and their depths.

    Empty when there are none.

    Raises:
        NotStaticError: see :func:`least_depths`.
    """
    depths = {s: design.depth(s) for s in streams_of(design)}
    model = Model(design, WORK // 4)
    plan = Search(model, depths, depths, only_ends=True).plan()
    if plan.cycles is None:
        return {}
    found = plan.depths
    if plan.unknown or _has_outside(design):
        found = secured(model.trace, found, list(depths), lambda s: design.fifo(s).width)
    return {s: d for s, d in found.items() if d > depths[s]}


def _names(streams: Sequence[Value]) -> str:
    shown = [s.name or "a stream" for s in streams[:3]]
    rest = len(streams) - len(shown)
    return ", ".join(shown) + (f" and {rest} other{'s' * (rest > 1)}" if rest else "")


def deeper_alone(design: Design, stream: Value) -> int | None:
    """The least depth of one FIFO with which a run is as short as any depth of it makes it.

    None when it is that already.

    Raises:
        NotStaticError: see :func:`least_depths`.
    """
    depths = {s: design.depth(s) for s in streams_of(design)}
    search = Search(Model(design, WORK // 4), depths, {stream: depths[stream]})
    if search.run(depths).cycles == search.ideal.cycles:
        return None
    depth = search.plan().depths[stream]
    return depth if depth > depths[stream] else None


def _improvement(design: Design) -> tuple[int | None, int | None, dict[Value, int]]:
    """(cycles now, cycles with deeper FIFOs, these with their depths).

    None are deeper where it is not known when processes take turns at ports, but for a deadlock.
    """
    depths = {s: design.depth(s) for s in streams_of(design)}
    model = Model(design, WORK // 4)
    search = Search(model, depths, depths)
    now, best = search.run(depths).cycles, search.ideal.cycles
    if now == best or (now is not None and (model.unknown or now < (best or 0))):
        return now, now, {}
    plan = search.plan()
    if now is not None and plan.cycles is not None and plan.cycles >= now:
        return now, now, {}
    return now, plan.cycles, {s: d for s, d in plan.depths.items() if d > depths[s]}


def lost_cycles(design: Design) -> str:
    """What the depths that the design has cost, in a sentence; "" when nothing is lost or known."""
    if not streams_of(design):
        return ""
    try:
        now, best, deeper = _improvement(design)
    except NotStaticError:
        return ""
    if best is None:
        return "the processes wait for each other at whatever depths"
    if now is None:
        names = with_numbers(ending_depths(design))
        return f"the processes wait for each other; they would not with these depths: {names}"
    if now == best:
        return ""
    names = with_numbers(deeper)
    return f"{now - best:,} cycles are lost to full FIFOs; none are with these depths: {names}"


def with_numbers(depths: Mapping[Value, int]) -> str:
    """Streams and their depths as text: ``s 4, t 8``."""
    return ", ".join(f"{s.name or 'a stream'} {depth}" for s, depth in depths.items())
