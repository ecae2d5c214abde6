"""Changes of a schedule, as data and as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.design import Design
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.schedule.state import call_text


@dataclass(frozen=True)
class Call:
    """A primitive with its arguments."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"s.{call_text(self.name, self.args, self.kwargs)}"


@dataclass(frozen=True)
class Edit:
    """A change of a schedule.

    Attributes:
        calls: primitives to apply: at the end, or in place of the first of the steps ``instead``.
        loop, loc: name and place of the loop that is pipelined with it.
        instead: numbers of steps of the history that are left out, in order.
        clock_mhz: another clock to build for, None for the same.
        units: other numbers of units to build with.
        promise: what has to be true for the result to be right, "" where it is checked.
    """

    calls: tuple[Call, ...]
    loop: str
    loc: SourceLoc | None
    instead: tuple[int, ...] = ()
    clock_mhz: float | None = None
    units: Mapping[str, int] = field(default_factory=dict)
    promise: str = ""

    def text(self, schedule: Schedule, design: Design) -> str:
        """What to write in a schedule that was built to a design, or to build it with instead."""
        if self.clock_mhz is not None or self.units:
            clock, units = self.clock_mhz or design.clock_mhz, {**design.limits, **self.units}
            limits = f", units={units}" if units else ""
            device = design.device.name
            return f's.build(target="rtl", device="{device}", clock_mhz={clock:g}{limits})'
        text = "; ".join(map(str, self.calls))
        if not self.instead:
            return text
        steps = schedule.history()
        old = " and ".join(f"s.{steps[n]}" for n in self.instead)
        return f"in place of {old}: {text}"


@dataclass(frozen=True)
class Family:
    """Changes of one kind, of which the best is told.

    Attributes:
        edits: the changes; of equally good ones the cheapest is taken.
        area: whether they cost multipliers, memories or copies of the logic: these are told only
            where they save a good part of the kernel's time, and where the device has room.
        alone: whether what they bring is that the loop itself takes less time.
    """

    edits: Iterable[Edit]
    area: bool = False
    alone: bool = False


def applied(schedule: Schedule, edit: Edit) -> Schedule:
    """A copy of the schedule with a change.

    Raises AlloError where a primitive refuses it, or one that follows the change does.
    """
    steps = schedule.history()
    first = edit.instead[0] if edit.instead else len(steps)
    changed = schedule.copy()
    while len(changed.history()) > first:
        changed.undo()
    for call in edit.calls:
        getattr(changed, call.name)(*call.args, **call.kwargs)
    for number, step in enumerate(steps[first:], first):
        if number not in edit.instead:
            getattr(changed, step.name)(*step.args, **step.kwargs)
    return changed
