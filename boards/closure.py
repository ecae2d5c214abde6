"""Timing closure: what place and route measured goes back into the schedule.

The delay model is right on average; single paths are longer, by where the placer put them.  When a
design misses its clock, the operations of the kernel's lines on its longest path are taken to be
as slow as they were found, the kernel is scheduled again, and built again.  Where that changes
nothing, because there is a register behind each of them already, it is placed another way.  So it
is before that where little is missing, where the slower schedule takes many more cycles, and where
the longest path has nothing to do with the kernel's operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from allo_rtl.boards.critical import CriticalPath
from allo_rtl.errors import ToolError
from allo_rtl.hls.control import regions
from allo_rtl.hls.depths import run_cycles
from allo_rtl.hls.design import Design, build_design
from allo_rtl.hls.operators import Stretch, Unit
from allo_rtl.target import Device

ROUNDS = 3
"""Builds after the first one, at most."""

_MARGIN = 1.06
"""Delays are taken to be a little longer than found: the next placement is another one."""
_MOST = 4.0
"""Operations are never taken to be slower than the model by more than this factor."""
_NEAR, _FAR = 0.97, 0.9
"""Placements of a design differ by a few percent: another one may reach what this nearly does.

Where a slower schedule costs cycles, that is tried also with more missing, and more often.
"""
_MORE_CYCLES = 1.02
"""A schedule that takes more cycles by this factor costs some."""


class Attempt(Protocol):
    """A placed and routed design."""

    @property
    def fmax_mhz(self) -> float:
        """The clock it reaches."""

    @property
    def critical(self) -> CriticalPath | None:
        """What keeps it from a faster one, where that is known."""


@dataclass(frozen=True)
class Closed[A: Attempt]:
    """The outcome.

    Attributes:
        attempt, design: the one that is kept.
        changes: what was done in between, in words.
        met: whether the clock is reached.
        tried_mhz: the clock that each attempt reached, in their order.
    """

    attempt: A
    design: Design
    changes: tuple[str, ...]
    met: bool
    tried_mhz: tuple[float, ...]


def close[A: Attempt](
    design: Design,
    device: Device,
    clock_mhz: float,
    build: Callable[[Design, int], A],
    *,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] | None = None,
) -> Closed[A]:
    """Build a design, and schedule and build it again until it reaches its clock.

    Args:
        design: the first to be built, as it is.
        device: what later ones are scheduled for.
        clock_mhz: the clock to be reached.
        build: places and routes a design, with a seed for the placement: 0 for its first, then
            1 ...
        rounds: builds after the first one, at most.
        progress: called with a line about each change.

    Returns:
        The first attempt that reaches the clock, else the fastest one, and why it is not faster.
    """
    best = _Try(design, build(design, 0))
    tries, changes = [best], list[str]()
    for _ in range(rounds):
        if best.attempt.fmax_mhz >= clock_mhz:
            break
        made, change = _next(tries, best, device, clock_mhz)
        changes.append(change)
        if progress:
            progress(change)
        try:
            attempt = build(made, _placements(made, tries))
        except ToolError as error:  # more registers may not fit
            changes.append(f"that failed: {error.message.splitlines()[0]}")
            break
        tries.append(_Try(made, attempt))
        best = max(best, tries[-1], key=lambda one: one.attempt.fmax_mhz)
    met = best.attempt.fmax_mhz >= clock_mhz
    if not met:
        changes.append(_limit(best.attempt, clock_mhz, bool(design.depths)))
    tried = tuple(one.attempt.fmax_mhz for one in tries)
    return Closed(best.attempt, best.design, tuple(changes), met, tried)


@dataclass(frozen=True)
class _Try[A: Attempt]:
    """A design, and what place and route made of it."""

    design: Design
    attempt: A


def _next[A: Attempt](
    tries: Sequence[_Try[A]], best: _Try[A], device: Device, clock_mhz: float
) -> tuple[Design, str]:
    """The design to be built next, and a sentence about it."""
    near = best.attempt.fmax_mhz >= _NEAR * clock_mhz and _placements(best.design, tries) == 1
    last = best if near else tries[-1]
    design, attempt = last.design, last.attempt
    again = f"{_found(attempt, clock_mhz)}; placed another way"
    if near or design.depths:
        return design, again
    stretch, change = _slower(design, attempt, clock_mhz)
    slower = build_design(
        design.source, device, max(clock_mhz, design.clock_mhz), stretch, design.limits,
        overlap=design.overlap, pack_products=design.pack_products, runs=design.runs,
    )  # fmt: skip
    if _same_hardware(design, slower):
        return slower, again
    if _placements(design, tries) < _worthwhile(last, slower, clock_mhz):
        return design, again
    return slower, change


def _placements[A: Attempt](design: Design, tries: Sequence[_Try[A]]) -> int:
    """How often a design has been placed; the seed of its next placement."""
    return sum(one.design is design or _same_hardware(one.design, design) for one in tries)


def _worthwhile[A: Attempt](last: _Try[A], slower: Design, clock_mhz: float) -> int:
    """How many placements are tried before a slower schedule."""
    if last.attempt.critical is not None and not _lines(last.attempt, last.design):
        return 2
    before, after = run_cycles(last.design), run_cycles(slower)
    costs = before is not None and after is not None and after > _MORE_CYCLES * before
    return 3 if costs and last.attempt.fmax_mhz >= _FAR * clock_mhz else 1


def _lines(attempt: Attempt, design: Design) -> list[str]:
    """The lines of a design's operations on the longest path."""
    known = kernel_lines(design)
    return [x for x in (attempt.critical.lines if attempt.critical else ()) if x in known]


def _found(attempt: Attempt, clock_mhz: float) -> str:
    return f"{attempt.fmax_mhz:.1f} MHz instead of {clock_mhz:.1f}"


def _same_hardware(a: Design, b: Design) -> bool:
    """Whether two schedules of a kernel have all operations on the same units and cycles."""
    return _timing(a) == _timing(b)


def _timing(design: Design) -> list[tuple[list[int], list[Unit]]]:
    """Cycles and units of a design, as far as hardware is made of them."""
    return [
        (
            list(timed.start.values()),
            [replace(unit, first_ns=0.0, last_ns=0.0) for unit in timed.units.values()],
        )
        for function in design.functions
        for timed in function.schedules.values()
    ]


def _slower(design: Design, attempt: Attempt, clock_mhz: float) -> tuple[Stretch, str]:
    """The delays to schedule with next, and a sentence about them."""
    factor, stretch = _MARGIN * clock_mhz / attempt.fmax_mhz, design.stretch
    found, lines = _found(attempt, clock_mhz), _lines(attempt, design)
    if not lines or all(stretch.of(x) >= _MOST for x in lines):
        whole = min(_MOST, stretch.everything * factor)
        return Stretch(stretch.lines, whole), f"{found}; all operations taken {whole:.2f} times"
    longer = {x: min(_MOST, stretch.lines.get(x, 1.0) * factor) for x in lines}
    text = ", ".join(f"{line} taken {f:.2f} times" for line, f in longer.items())
    return Stretch({**stretch.lines, **longer}, stretch.everything), f"{found}; {text}"


def kernel_lines(design: Design) -> frozenset[str]:
    """The lines, as ``file.py:line``, of all operations of a design."""
    return frozenset(
        node.loc.short
        for function in design.functions
        for piece in regions(function.control.body)
        for node in piece.region.nodes()
        if node.loc is not None
    )


def _limit(attempt: Attempt, clock_mhz: float, sized: bool) -> str:
    text = f"{clock_mhz:.1f} MHz is not reached"
    if sized:
        text += " (FIFOs were sized for this schedule, so it was left as it is)"
    return f"{text}; longest path {attempt.critical}" if attempt.critical else text
