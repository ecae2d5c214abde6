"""The cheapest changes of a schedule that make it faster, each tried before it is told.

    trial.py        a schedule as it is built, a change of it, and whether that helps
    candidates.py   what may help against each kind of limit, the cheapest first
    ports.py        windows, buffers and partitions, for ports of memories
    recurrences.py  other orders, sums in turn, promises, slower clocks
    nests.py        what a loop around others loses between their runs
    lanes.py        copies side by side, as far as there are multipliers for them
    fifos.py        deeper FIFOs

The certificate of a loop (:mod:`allo_rtl.hls.certificate`) says what keeps its iterations apart.
Candidates are applied to a copy of the schedule, which is scheduled anew; what does not deliver is
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from allo_rtl.advice.candidates import families
from allo_rtl.advice.fifos import deeper_fifos
from allo_rtl.advice.trial import Advice, Effort, Trial, best_of
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
) -> tuple[Advice, ...]:
    """For each loop that could be faster in hardware, the cheapest change found that makes it so.

    Every change is tried on a copy of the schedule before it is told, which takes a build without
    Verilog for each; the schedule stays as it is.  First come changes that cost little; where none
    helps, copies of a loop's body side by side, for which there have to be multipliers: of those
    that ``units`` allows, or of the device's blocks.

    The work is bounded: for large kernels not all changes are tried.

    Args:
        schedule: what to look at.
        device, clock_mhz, units: what is built for, as in ``build(target="rtl")``.

    Returns:
        One advice a loop, whose ``edit`` is text to paste; none where nothing found helps.

    Raises:
        BuildError: the schedule itself cannot be built.
    """
    check_names(units or {})
    base = Trial.of(schedule, find_device(device), float(clock_mhz), units or {}, Effort())
    found = [best_of(base, loop, families(base, loop)) for loop in base.loops]
    return tuple(a for a in (*found, *deeper_fifos(base)) if a is not None)
