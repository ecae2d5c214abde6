"""The cheapest changes of a schedule that make it faster, each tried before it is told.

    edits.py        a change, as data and as text
    candidates.py   what may help against each kind of limit
    ports.py        windows, buffers and partitions, for ports of memories
    recurrences.py  other orders, sums in turn, promises, slower clocks
    nests.py        what a loop around others loses between their runs
    lanes.py        copies side by side, as far as there are multipliers for them
    repeats.py      what shortens the iterations of `while` loops
    fifos.py        deeper FIFOs
    sketch.py       a change that is not scheduled: bounds of what it can bring
    trial.py        one that is
    supposed.py     how long a run takes where data decide
    cost.py         what it asks of the user and adds to the hardware
    choice.py       which is told

The certificate of a loop (:mod:`allo_rtl.hls.certificate`) says what keeps its iterations apart.
Candidates are applied to a copy of the schedule, which is scheduled anew; what does not deliver is
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from allo_rtl.advice.candidates import families
from allo_rtl.advice.choice import Advice, best_of
from allo_rtl.advice.fifos import deeper_fifos
from allo_rtl.advice.trial import Effort, Trial, innermost
from allo_rtl.hls.unit_limits import check_names
from allo_rtl.pipeline import DEFAULT_CLOCK_MHZ, DEFAULT_DEVICE
from allo_rtl.schedule.schedule import Schedule
from allo_rtl.target import device as find_device

__all__ = ["Advice", "advise"]


def advise(
    schedule: Schedule,
    device: str = DEFAULT_DEVICE,
    clock_mhz: float = DEFAULT_CLOCK_MHZ,
    units: Mapping[str, int] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Advice, ...]:
    """For each loop that could be faster in hardware, the cheapest change found that makes it so.

    Every change is tried on a copy of the schedule before it is told, which takes a build without
    Verilog for each whose bound is better; the schedule stays as it is.  First come changes that
    cost little; where none helps, copies of a loop's body side by side, for which there have to be
    multipliers: of those that ``units`` allows, or of the device's blocks.

    The work is bounded: for large kernels not all changes are tried.

    Args:
        schedule: what to look at.
        device, clock_mhz, units: what is built for, as in ``build(target="rtl")``.
        progress: is given a line for each loop that is looked at and for each change tried.

    Returns:
        One advice a loop, whose ``edit`` is text to paste; none where nothing found helps.  What
        helps several loops is told of the first.

    Raises:
        BuildError: the schedule itself cannot be built.
    """
    check_names(units or {})
    effort = Effort(progress)
    base = Trial.of(schedule, find_device(device), float(clock_mhz), units or {}, effort)
    found = []
    for loop in base.loops:
        progress(f"{loop.func}:{innermost(loop)}: {loop.limit}")
        found.append(best_of(base, loop, families(base, loop)))
    told: dict[str, Advice] = {}
    for one in (*found, *deeper_fifos(base)):
        if one is not None:
            told.setdefault(one.edit, one)
    return tuple(told.values())
