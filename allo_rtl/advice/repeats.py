"""Against the cycles of an iteration of a `while` loop, which the next one waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from allo_rtl.advice.edits import Call, Edit, Family
from allo_rtl.advice.nests import can_be_unrolled, inside, pipelinings
from allo_rtl.advice.ports import cuts_of
from allo_rtl.advice.recurrences import clocks
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.hls.control import Repeat, flatten
from allo_rtl.hls.report import LoopReport
from allo_rtl.hls.storage import StorageKind
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Call as CallOp
from allo_rtl.ir.ops import While
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import Partition
from allo_rtl.schedule.loops import find_func

_MOST_WORDS = 64
"""Words of an array that is put into registers."""


def families_of_repeat(base: Trial, loop: LoopReport) -> Iterator[Family]:
    """Changes that may shorten an iteration: those that cost little, then those that cost area."""
    repeat = repeated(base, loop)
    if repeat is None:
        return
    yield Family(chain(partitions(base, loop, repeat), inlined(base, loop), units(base, loop)))
    yield Family(chain(registers(base, loop, repeat), unrolled(base, loop)), area=True)
    if loop.depth is not None and loop.depth > 1:
        yield Family(clocks(base, loop))


def repeated(trial: Trial, loop: LoopReport) -> Repeat | None:
    """A `while` loop as it was scheduled; None where it is not clear which is meant."""
    controls = flatten(trial.design.function(loop.func).control.body)
    found = [c for c in controls if isinstance(c, Repeat) and c.loop.loc == loop.loc]
    return found[0] if len(found) == 1 else None


def partitions(base: Trial, loop: LoopReport, repeat: Repeat) -> Iterator[Edit]:
    """Partitions of the arrays whose accesses take turns, each alone, and all of them."""
    calls: list[Call] = []
    for region in repeat.straight:
        nodes = region.nodes()
        for cuts in cuts_of(base, loop, nodes, base.dual(loop.func)):
            yield Edit(cuts, innermost(loop), loop.loc)
            if not any(call in calls for call in cuts):
                calls += cuts
    if calls:
        yield Edit(tuple(calls), innermost(loop), loop.loc)


def inlined(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The functions that an iteration calls in its place."""
    func = find_func(base.schedule.module, base.home(loop) or loop.func)
    whiles = (op for op in walk(func.body) if isinstance(op, While) and op.loc == loop.loc)
    calls = (op for x in whiles for op in walk((*x.before, *x.body)) if isinstance(op, CallOp))
    for name in dict.fromkeys(op.callee for op in calls):
        yield Edit((Call("inline", (name,)),), innermost(loop), loop.loc)


def units(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """More of the units that are limited: one more, and two and four times as many."""
    counts = base.design.function(loop.func).units
    for name, most in base.design.limits.items():
        if counts.get(name, 0) >= most:
            for count in (most + 1, 2 * most, 4 * most):
                yield Edit((), innermost(loop), loop.loc, units={name: count})


def registers(base: Trial, loop: LoopReport, repeat: Repeat) -> Iterator[Edit]:
    """Small arrays of the function itself in registers, which are read in no cycle."""
    func = base.design.function(loop.func)
    used = {n.bank.array for r in repeat.straight for n in r.nodes() if n.bank}
    for array, kept in func.control.storage.items():
        words = kept.layout.banks * kept.layout.depth
        if (
            array in used and kept.kind in (StorageKind.RAM, StorageKind.LUT_RAM)
            and array.name and words <= _MOST_WORDS and Layout(array.array).banks == 1
        ):  # fmt: skip
            name = base.array(loop, array.name)
            calls = (Call("partition", (name, Partition.Complete)),)
            yield Edit(calls, innermost(loop), loop.loc)


def unrolled(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The innermost loops in an iteration unrolled, so that it is one piece."""
    inner = [x for x in inside(base, loop) if base.is_known(x)]
    if not inner or not can_be_unrolled(base, inner):
        return
    calls = tuple(Call("unroll", (base.axis(x),)) for x in inner)
    edit = Edit(calls, innermost(loop), loop.loc, pipelinings(base, inner))
    yield edit
    trial = base.tried(edit)
    after = trial.loop(loop.func, edit.loop, edit.loc) if trial else None
    repeat = repeated(trial, after) if trial and after else None
    if trial is None or after is None or repeat is None:
        return
    for region in repeat.straight:
        for cuts in cuts_of(trial, after, region.nodes(), trial.dual(loop.func)):
            yield replace(edit, calls=(*edit.calls, *cuts))
