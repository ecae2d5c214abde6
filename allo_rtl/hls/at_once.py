"""Loops that follow each other and have nothing to do with each other, at the same time.

What ``overlap`` does where the schedule says so is done here wherever it is sure to help: the
loops use no array that another one uses (registers that all only read apart), nothing in them has
to be in its turn, and none needs a unit that another one could share.  They cost the same hardware
then and take as long as the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from allo_rtl.hls.control import (
    Branch,
    Clear,
    Control,
    FunctionControl,
    Pipelined,
    Preset,
    Repeat,
    Sequential,
    Straight,
    Together,
    flatten,
    regions,
)
from allo_rtl.hls.latency import least
from allo_rtl.hls.node import EVENTS
from allo_rtl.hls.op_schedule import OpSchedule
from allo_rtl.hls.operators import Job, Sharing
from allo_rtl.hls.region import Region
from allo_rtl.hls.storage import ArrayStorage, StorageKind
from allo_rtl.hls.together import arrays_of
from allo_rtl.ir.ops import Value

_LOOPS = (Pipelined, Sequential)
_BEFORE = (Straight, Clear, Preset)
_INSIDE = (*_LOOPS, *_BEFORE, Branch, Repeat)


@dataclass(frozen=True)
class _Use:
    """What a part of a function needs: its arrays, whether it only reads each, and shared jobs."""

    arrays: Mapping[Value, bool]
    jobs: frozenset[Job]


def at_once(
    control: FunctionControl, schedules: Mapping[Region, OpSchedule], sharing: Sharing
) -> tuple[Control, ...]:
    """The controls of a function, with loops that follow each other made to run together.

    Args:
        control: the function.
        schedules: of its regions.
        sharing: which of their units they share.
    """
    if any(piece.region.uses_streams for piece in regions(control.body)):
        return control.body
    return _Joiner(control.storage, schedules, sharing).sequence(control.body)


class _Joiner:
    """Goes through the sequences of a function."""

    def __init__(
        self, storage: Mapping[Value, ArrayStorage], schedules: Mapping[Region, OpSchedule],
        sharing: Sharing,
    ) -> None:
        self._storage = storage
        self._schedules = schedules
        self._sharing = sharing

    def sequence(self, controls: Sequence[Control]) -> tuple[Control, ...]:
        """A sequence in which each loop joins those before it, where it can."""
        done: list[Control] = []
        for part in _parts(tuple(self._inside(c) for c in controls)):
            if done and (joined := self._joined(done[-1], part)) is not None:
                done[-1] = joined
            else:
                done += part
        return tuple(done)

    def _inside(self, control: Control) -> Control:
        match control:
            case Sequential(body=body):
                return replace(control, body=self.sequence(body))
            case Branch(then=then, orelse=orelse):
                return replace(control, then=self.sequence(then), orelse=self.sequence(orelse))
            case Repeat(before=before, body=body):
                return replace(control, before=self.sequence(before), body=self.sequence(body))
        return control

    def _joined(self, before: Control, part: Sequence[Control]) -> Together | None:
        """The loops ``before`` beside a loop with what is done for it; None where not possible."""
        if not isinstance(before, (*_LOOPS, Together)) or not isinstance(part[-1], _LOOPS):
            return None
        branches = before.branches if isinstance(before, Together) else ((before,),)
        branches = (*branches, tuple(part))
        # What sets registers as something is entered needs that to take a cycle.
        if not all(least(branch) and self._is_free(branch) for branch in branches):
            return None
        uses = [self._use(branch) for branch in branches]
        pairs = combinations(uses, 2)
        return Together(branches) if all(self._are_apart(a, b) for a, b in pairs) else None

    @staticmethod
    def _is_free(branch: Sequence[Control]) -> bool:
        """Whether nothing in it has to be in its turn: calls, streams, prints, assertions."""
        return all(isinstance(c, _INSIDE) for c in flatten(branch)) and not any(
            piece.region.uses_streams or any(n.kind in EVENTS for n in piece.region.nodes())
            for piece in regions(branch)
        )

    def _use(self, branch: Sequence[Control]) -> _Use:
        jobs = {job for piece in regions(branch) for job in self._jobs(piece.region)}
        return _Use(dict(arrays_of(branch)), frozenset(jobs))

    def _jobs(self, region: Region) -> Iterator[Job]:
        """The jobs of a region whose units are shared."""
        timed = self._schedules[region]
        for node, unit in timed.units.items():
            job = self._sharing.job(node, timed.shapes) if unit.shared else None
            if job is not None:
                yield job

    def _are_apart(self, a: _Use, b: _Use) -> bool:
        return not a.jobs & b.jobs and all(
            a.arrays[array] and b.arrays[array]
            and self._storage[array].kind is StorageKind.REGISTERS
            for array in a.arrays.keys() & b.arrays.keys()
        )


def _parts(controls: Sequence[Control]) -> Iterator[tuple[Control, ...]]:
    """Each loop with what stands between it and what is before; other controls by themselves."""
    waiting: list[Control] = []
    for control in controls:
        if isinstance(control, _BEFORE):
            waiting.append(control)
            continue
        if isinstance(control, _LOOPS):
            yield (*waiting, control)
        else:
            yield from ((c,) for c in (*waiting, control))
        waiting = []
    yield from ((c,) for c in waiting)
