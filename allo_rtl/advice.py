"""The cheapest changes of a schedule that make its loops faster, each tried before it is told.

The certificate of a loop (:mod:`allo_rtl.hls.certificate`) says what keeps its iterations apart:
a port, for which partitions that keep the accesses apart are proved
(:mod:`allo_rtl.hls.banking`), or a recurrence, which another order of the loops may stretch over
more iterations.  Candidates are applied to a copy of the schedule, which is scheduled anew; what
does not deliver is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allo_rtl.errors import AlloError, SourceLoc
from allo_rtl.hls.banking import Cut, Subscripts, separating_cuts
from allo_rtl.hls.certificate import Reason
from allo_rtl.hls.control import Pipelined, flatten
from allo_rtl.hls.design import Design, build_design
from allo_rtl.hls.modulo import port_bound
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.report import LoopReport
from allo_rtl.hls.report_builder import build_report
from allo_rtl.hls.unit_limits import check_names
from allo_rtl.ir.ops import For, Load, Store, Value
from allo_rtl.ir.types import Partition
from allo_rtl.pipeline import DEFAULT_CLOCK_MHZ, DEFAULT_DEVICE
from allo_rtl.schedule.loops import enclosing_perfect_nest, find_loop
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.schedule.state import call_text
from allo_rtl.target import Device
from allo_rtl.target import device as find_device

_MOST_CUTS = 4
"""Partitions of an array that are tried."""

_MOST_ARRAYS = 4
"""Arrays that one advice may partition."""

_ROUNDING = "sums that are rounded in another order are as good"

_CLOCKS = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Slower clocks that are tried, as parts of the one asked for."""


@dataclass(frozen=True)
class Call:
    """A primitive with its arguments."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return f"s.{call_text(self.name, self.args, self.kwargs)}"


@dataclass(frozen=True)
class Edit:
    """A change of a schedule.

    Attributes:
        calls: primitives to apply: at the end, or in place of step number ``instead`` of the
            history, after which the rest of it follows.
        loop, loc: name and place of the loop that is pipelined with it.
        clock_mhz: another clock to build for, None for the same.
        units: other numbers of units to build with.
        promise: what has to be true for the result to be right, "" where it is checked.
    """

    calls: tuple[Call, ...]
    loop: str
    loc: SourceLoc | None
    instead: int | None = None
    clock_mhz: float | None = None
    units: Mapping[str, int] = field(default_factory=dict)
    promise: str = ""


@dataclass(frozen=True)
class Advice:
    """A change that was tried, and what it brings.

    Attributes:
        loop: the loop, ``"function:loop"``.
        loc: where it is in the source.
        limit: what keeps its iterations apart.
        edit: the change as text to paste; the schedule is ``s``.
        interval: cycles between iterations before and after; None where not pipelined.
        latency: cycles of the whole kernel before and after, None where they depend on data.
        clock_mhz: before and after.
        promise: what the user has to know to be true, "" where it is checked.
    """

    loop: str
    loc: SourceLoc | None
    limit: str
    edit: str
    interval: tuple[int | None, int | None]
    latency: tuple[int | None, int | None]
    clock_mhz: tuple[float, float]
    promise: str = ""

    def __str__(self) -> str:
        place = f" ({self.loc.short})" if self.loc else ""
        lines = [f"{self.loop}{place}: {self.limit}", f"  {self.edit}", f"  {self._effect()}"]
        return "\n".join([*lines, f"  if {self.promise}"] if self.promise else lines)

    def _effect(self) -> str:
        before, after = (str(ii) if ii else "-" for ii in self.interval)
        text = f"II {before} -> {after}"
        if None not in self.latency:
            text += f", {self.latency[0]:,} -> {self.latency[1]:,} cycles"
        if self.clock_mhz[0] != self.clock_mhz[1]:
            text += f", {self.clock_mhz[0]:g} -> {self.clock_mhz[1]:g} MHz"
        return text


def advise(
    schedule: Schedule, device: str = DEFAULT_DEVICE, clock_mhz: float = DEFAULT_CLOCK_MHZ,
    units: Mapping[str, int] | None = None,
) -> tuple[Advice, ...]:
    """For each loop that could be faster in hardware, the cheapest change found that makes it so.

    Every change is tried on a copy of the schedule before it is told, which takes a build without
    Verilog for each; the schedule stays as it is.

    Args:
        schedule: what to look at.
        device, clock_mhz, units: what is built for, as in ``build(target="rtl")``.

    Returns:
        One advice a loop, whose ``edit`` is text to paste; none where nothing found helps.

    Raises:
        BuildError: the schedule itself cannot be built.
    """
    check_names(units or {})
    base = _Trial.of(schedule, find_device(device), float(clock_mhz), units or {})
    found = []
    for loop in base.loops:
        best = _best(base, loop)
        if best is not None:
            found.append(best)
    return tuple(found)


@dataclass(frozen=True)
class _Trial:
    """A schedule, scheduled."""

    schedule: Schedule
    design: Design
    loops: tuple[LoopReport, ...]
    latency: int | None

    @staticmethod
    def of(
        schedule: Schedule, device: Device, clock_mhz: float, units: Mapping[str, int]
    ) -> _Trial:
        design = build_design(schedule.module, device, clock_mhz, limits=units)
        report = build_report(design)
        return _Trial(schedule, design, report.loops, report.latency)

    def loop(self, func: str, name: str, loc: SourceLoc | None) -> LoopReport | None:
        """The loop whose innermost counter has a name, of several the one at a place."""
        found = [x for x in self.loops if x.func == func and _innermost(x) == name]
        if len(found) > 1:
            found = [x for x in found if x.loc == loc]
        return found[0] if len(found) == 1 else None

    def tried(self, edit: Edit) -> _Trial | None:
        """The trial with a change; None where the change is refused."""
        clock = edit.clock_mhz or self.design.clock_mhz
        try:
            changed = _applied(self.schedule, edit)
            units = {**self.design.limits, **edit.units}
            return _Trial.of(changed, self.design.device, clock, units)
        except (AlloError, TypeError):
            return None


def _applied(schedule: Schedule, edit: Edit) -> Schedule:
    """A copy of the schedule with a change."""
    steps = schedule.history()
    rest = steps[edit.instead + 1 :] if edit.instead is not None else ()
    changed = schedule.copy()
    while edit.instead is not None and len(changed.history()) > edit.instead:
        changed.undo()
    for call in edit.calls:
        getattr(changed, call.name)(*call.args, **call.kwargs)
    for step in rest:
        getattr(changed, step.name)(*step.args, **step.kwargs)
    return changed


def _innermost(loop: LoopReport) -> str:
    return loop.name.rpartition(", ")[2]


def _best(base: _Trial, loop: LoopReport) -> Advice | None:
    """The first of the changes that bring the shortest interval, in the order of their cost."""
    best: tuple[int, Edit, _Trial] | None = None
    for edit in _candidates(base, loop):
        trial = base.tried(edit)
        after = trial.loop(loop.func, edit.loop, edit.loc) if trial else None
        if trial is None or after is None or not _is_better(base, loop, trial, after):
            continue
        interval = after.ii or 0
        if best is None or interval < best[0]:
            best = interval, edit, trial
        if interval == 1:
            break
    return _advice(base, loop, best[1], best[2]) if best else None


def _is_better(base: _Trial, loop: LoopReport, trial: _Trial, after: LoopReport) -> bool:
    """Whether iterations start more often, and the kernel takes less time."""
    if after.ii is None or (loop.ii is not None and after.ii >= loop.ii):
        return False
    if base.latency is None or trial.latency is None:
        return trial.design.clock_mhz == base.design.clock_mhz
    return trial.latency / trial.design.clock_mhz < base.latency / base.design.clock_mhz


def _advice(base: _Trial, loop: LoopReport, edit: Edit, trial: _Trial) -> Advice:
    text = "; ".join(map(str, edit.calls))
    if edit.instead is not None:
        text = f"in place of s.{base.schedule.history()[edit.instead]}: {text}"
    if edit.clock_mhz is not None:
        text = f's.build(target="rtl", clock_mhz={edit.clock_mhz:g})'
    if edit.units:
        text = f's.build(target="rtl", units={dict(trial.design.limits)})'
    after = trial.loop(loop.func, edit.loop, edit.loc)
    return Advice(
        f"{loop.func}:{_innermost(loop)}", loop.loc, loop.limit, text,
        (loop.ii, after.ii if after else None), (base.latency, trial.latency),
        (base.design.clock_mhz, trial.design.clock_mhz), edit.promise,
    )  # fmt: skip


def _candidates(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """Changes that may help, the cheapest first."""
    if loop.ii is None:
        if loop.limit.endswith("pipeline it"):
            yield Edit((Call("pipeline", (_loop_axis(base, loop),), {}),), loop.name, loop.loc)
        return
    reason = loop.certificate.reason if loop.certificate else Reason.ONE
    if reason in (Reason.ONE, Reason.ASKED):
        return
    if reason is Reason.UNIT:
        yield from _units(base, loop)
        return
    if reason is not Reason.RECURRENCE:
        yield from _windows(base, loop, 1)
        yield from _partitions(base, loop)
        yield from _windows(base, loop, 2)
    if reason is not Reason.PORT:
        yield from _orders(base, loop)
        yield from _partial_sums(base, loop)
        yield from _promises(base, loop)
        yield from _clocks(base, loop)


def _axis(base: _Trial, func: str, name: str) -> str:
    return name if func == base.schedule.top_func_name else f"{func}:{name}"


def _loop_axis(base: _Trial, loop: LoopReport) -> str:
    """What primitives call a loop: with its band where several have one of this name."""
    name = _innermost(loop)
    handles = [
        handle
        for _, band in base.schedule.get_loops(loop.func)
        for _, handle in band
        if handle.loop == name
    ]
    if len(set(handles)) > 1:
        module = base.schedule.module
        handles = [h for h in handles if find_loop(module, h).loop.loc == loop.loc]
        name = f"{handles[0].band}.{name}" if handles else name
    return _axis(base, loop.func, name)


def _nodes(trial: _Trial, func: str, name: str, loc: SourceLoc | None) -> Sequence[Node]:
    """The operations of a pipelined loop."""
    controls = flatten(trial.design.function(func).control.body)
    found = [c for c in controls if isinstance(c, Pipelined) and c.loop.name == name]
    if len(found) > 1:
        found = [c for c in found if c.loop.loc == loc]
    return found[0].region.nodes() if len(found) == 1 else ()


def _units(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """More of the units that are busiest: as many as an interval shorter by a cycle takes."""
    proof = loop.certificate
    for name, most in base.design.limits.items():
        if proof and loop.ii and proof.text.startswith(f"{name} is done"):
            needed = -(-len(proof.steps) // (loop.ii - 1))
            for count in dict.fromkeys([needed, len(proof.steps)]):
                if count > most:
                    yield Edit((), _innermost(loop), loop.loc, units={name: count})


# Ports: windows and partitions.


def _windows(base: _Trial, loop: LoopReport, buffers: int) -> Iterator[Edit]:
    """Buffers of what a window of the busiest array has read, along one loop or two."""
    name, axis = _innermost(loop), _loop_axis(base, loop)
    port = port_bound(_nodes(base, loop.func, name, loop.loc))
    if port is None or port.users[0].kind is not Kind.READ or port.users[0].bank is None:
        return
    array = _axis(base, loop.func, port.users[0].bank.array.name)
    if buffers == 1:
        yield Edit((Call("reuse_at", (array, axis), {}),), name, loop.loc)
        return
    for other in reversed(loop.name.split(", ")[:-1]):
        outer = axis.removesuffix(name) + other
        try:
            lines = base.schedule.copy().reuse_at(array, outer)
        except AlloError:
            continue
        calls = Call("reuse_at", (array, outer), {}), Call("reuse_at", (str(lines), axis), {})
        yield Edit(calls, name, loop.loc)


def _partitions(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """Partitions of the array whose port is busiest, and of those that then are."""
    name = _innermost(loop)
    for first in _cuts_of_busiest(base, loop.func, name, loop.loc):
        calls = first
        trial = base.tried(edit := Edit(calls, name, loop.loc))
        for _ in range(_MOST_ARRAYS - 1):
            after = trial.loop(loop.func, name, loop.loc) if trial else None
            if trial is None or after is None or after.ii is None or after.ii < (loop.ii or 1):
                break
            more = next(_cuts_of_busiest(trial, loop.func, name, loop.loc), None)
            if more is None:
                break
            calls = (*calls, *more)
            trial = base.tried(edit := Edit(calls, name, loop.loc))
        yield edit


def _cuts_of_busiest(
    trial: _Trial, func: str, name: str, loc: SourceLoc | None
) -> Iterator[tuple[Call, ...]]:
    """Calls that partition the array with the busiest port, so that accesses do not meet."""
    nodes = _nodes(trial, func, name, loc)
    port = port_bound(nodes)
    if port is None or port.interval < 2 or port.users[0].bank is None:
        return
    array = port.users[0].bank.array
    groups = [_subscripts(nodes, array, kind) for kind in (Kind.READ, Kind.WRITE)]
    for cuts in separating_cuts(array.array, groups)[:_MOST_CUTS]:
        yield tuple(
            Call("partition", (_axis(trial, func, array.name), cut.kind), _where(cut))
            for cut in cuts
        )


def _where(cut: Cut) -> dict[str, Any]:
    factor = {} if cut.kind is Partition.Complete else {"factor": cut.factor}
    return {"dim": cut.dim, **factor}


def _subscripts(nodes: Sequence[Node], array: Value, kind: Kind) -> list[Subscripts]:
    return [
        n.access.index
        for n in nodes
        if n.kind is kind and isinstance(n.access, Load | Store) and n.access.array is array
    ]


# Recurrences: another order of the loops, promises, a slower clock.


def _orders(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """Another loop of the nest innermost, in place of the step that pipelined this one."""
    axis, step = _loop_axis(base, loop), _pipelining(base, loop)
    if step is None:
        return
    nest = _nest(base, step, axis)
    for given, promise in (({}, ""), ({"reassociate": True}, _ROUNDING)):
        for other in reversed(nest):
            outer = axis.removesuffix(_innermost(loop)) + other.name
            old = base.schedule.history()[step]
            calls = (
                Call("reorder", (axis, outer), given),
                Call("pipeline", (outer,), old.kwargs),
            )
            yield Edit(calls, other.name, other.loc, instead=step, promise=promise)


def _partial_sums(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """As many sums in turn as an iteration waits cycles for the sum of the one before."""
    axis, step = _loop_axis(base, loop), _pipelining(base, loop)
    if step is None or loop.ii is None:
        return
    old = base.schedule.history()[step]
    for given, promise in (({}, ""), ({"reassociate": True}, _ROUNDING)):
        calls = (
            Call("partial_sums", (axis, loop.ii), given),
            Call("pipeline", (f"{axis}.inner",), old.kwargs),
        )
        name = f"{_innermost(loop)}.inner"
        yield Edit(calls, name, loop.loc, instead=step, promise=promise)


def _pipelining(base: _Trial, loop: LoopReport) -> int | None:
    """The number of the step that pipelined a loop; None when no step did."""
    name = _innermost(loop)
    for number, step in reversed(list(enumerate(base.schedule.history()))):
        if step.name == "pipeline":
            place = find_loop(step.before, step.args[0])
            found = place.func.name, place.loop.name, place.loop.loc
            if found == (loop.func, name, loop.loc):
                return number
    return None


def _nest(base: _Trial, step: int, axis: str) -> Sequence[For]:
    """The loops around a loop, before it was pipelined, that it can change places with."""
    try:
        place = find_loop(base.schedule.history()[step].before, axis)
    except AlloError:
        return ()
    around = enclosing_perfect_nest(place)
    return [x for x in around if x.name != place.loop.name and x in place.nest]


def _promises(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """That iterations are independent in an array which data choose the cells of."""
    name = _innermost(loop)
    accesses = [n.access for n in _nodes(base, loop.func, name, loop.loc)]
    stored = dict.fromkeys(a.array for a in accesses if isinstance(a, Store))
    for array in stored:
        if not array.name:
            continue
        axis = _loop_axis(base, loop)
        call = Call("assume_independent", (_axis(base, loop.func, array.name), axis), {})
        promise = f"no two iterations of {name} touch the same cell of {array.name}"
        yield Edit((call,), name, loop.loc, promise=promise)


def _clocks(base: _Trial, loop: LoopReport) -> Iterator[Edit]:
    """Slower clocks with which the recurrence takes less time."""
    for part in _CLOCKS:
        clock = round(base.design.clock_mhz * part, 3)
        yield Edit((), _innermost(loop), loop.loc, clock_mhz=clock)
