"""Against busy ports: windows of what was read, buffers of what is written, and partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from allo_rtl.advice.bounds import goal, may_help
from allo_rtl.advice.edits import Call, Edit
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.errors import AlloError
from allo_rtl.hls.banking import Cut, Subscripts, separating_cuts
from allo_rtl.hls.modulo import port_bound
from allo_rtl.hls.node import Kind, Node
from allo_rtl.hls.report import LoopReport
from allo_rtl.ir.ops import Load, Store, Value
from allo_rtl.ir.types import Partition
from allo_rtl.schedule.loops import find_loop

_MOST_CUTS = 4
"""Partitions of an array that are tried."""

_MOST_ARRAYS = 6
"""Arrays that one advice may partition."""


def windows(base: Trial, loop: LoopReport, buffers: int) -> Iterator[Edit]:
    """Buffers of what a window of the busiest array has read, along one loop or two."""
    name, axis = innermost(loop), base.axis(loop)
    port = port_bound(base.nodes(loop.func, name, loop.loc), base.dual(loop.func))
    if port is None or port.users[0].kind is not Kind.READ or port.users[0].bank is None:
        return
    array = base.array(loop, port.users[0].bank.array.name)
    if buffers == 1:
        yield Edit((Call("reuse_at", (array, axis)),), name, loop.loc)
        return
    for other in reversed(loop.name.split(", ")[:-1]):
        outer = axis.removesuffix(name) + other
        try:
            lines = base.schedule.copy().reuse_at(array, outer)
        except AlloError:
            continue
        calls = Call("reuse_at", (array, outer)), Call("reuse_at", (str(lines), axis))
        yield Edit(calls, name, loop.loc)


def buffers(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """Buffers of what the runs of an inner loop write to an array, in memory and in registers."""
    name, axis = innermost(loop), base.axis(loop)
    written = [n.access for n in base.nodes(loop.func, name, loop.loc) if n.kind is Kind.WRITE]
    arrays = dict.fromkeys(a.array.name for a in written if isinstance(a, Store) and a.array.name)
    around = find_loop(base.schedule.module, axis).nest[:-1]
    for array in arrays:
        for other in reversed(around):
            outer = axis.removesuffix(name) + other.name
            call = Call("buffer_at", (base.array(loop, array), outer))
            changed = base.schedule.copy()
            try:
                buffer = str(changed.buffer_at(*call.args))
            except AlloError:
                continue
            made = buffer.rpartition(":")[2]
            yield Edit((call,), name, loop.loc)
            yield Edit(
                (call, Call("partition", (base.array(loop, made), Partition.Complete))),
                name,
                loop.loc,
            )


def partitions(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """Partitions of the array whose port is busiest, and of those that then are.

    First as many as an iteration each cycle takes, then as few as are of use.
    """
    name = innermost(loop)
    for first in cuts_of_busiest(base, loop):
        edit = Edit(first, name, loc=loop.loc)
        most = separated(base, loop, edit, 1)
        yield most
        fewer = separated(base, loop, edit, (loop.ii or 1) - 1)
        if fewer != most:
            yield fewer


def separated(
    base: Trial, loop: LoopReport, edit: Edit, interval: int, *, area: bool = False
) -> Edit:
    """A change, with partitions of the arrays that then keep the interval above ``interval``.

    They are found without scheduling; what memories with two ports need is known after.
    """
    sketch = None
    for _ in range(_MOST_ARRAYS):
        sketch = base.sketched(edit)
        piece = sketch.pipelined(loop.func, edit.loop, edit.loc) if sketch else None
        if sketch is None or piece is None or sketch.interval(loop.func, piece) <= interval:
            break
        more = next(cuts_of(base, loop, piece.region.nodes(), sketch.dual(loop.func)), None)
        if more is None:
            break
        edit = replace(edit, calls=(*edit.calls, *more))
    known = sketch is not None and not sketch.dual(loop.func)
    if known or not may_help(base, loop, edit, goal(base, area=area)):
        return edit
    trial = base.tried(edit)
    for _ in range(_MOST_ARRAYS):
        after = trial.loop(loop.func, edit.loop, edit.loc) if trial else None
        if trial is None or after is None or after.ii is None or after.ii <= interval:
            break
        more = next(cuts_of_busiest(trial, after), None)
        if more is None:
            break
        edit = replace(edit, calls=(*edit.calls, *more))
        trial = base.tried(edit)
    return edit


def cuts_of_busiest(trial: Trial, loop: LoopReport) -> Iterator[tuple[Call, ...]]:
    """Calls that partition the array with the busiest port, so that accesses do not meet."""
    nodes = trial.nodes(loop.func, innermost(loop), loop.loc)
    return cuts_of(trial, loop, nodes, trial.dual(loop.func))


def cuts_of(
    trial: Trial, loop: LoopReport, nodes: Sequence[Node], dual: frozenset[Value]
) -> Iterator[tuple[Call, ...]]:
    """Calls that keep the accesses of the busiest port among operations apart."""
    port = port_bound(nodes, dual)
    if port is None or port.interval < 2 or port.users[0].bank is None:
        return
    array = port.users[0].bank.array
    groups = [_subscripts(nodes, array, kind) for kind in (Kind.READ, Kind.WRITE)]
    for cuts in separating_cuts(array.array, groups)[:_MOST_CUTS]:
        yield tuple(
            Call("partition", (trial.array(loop, array.name), cut.kind), _where(cut))
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
