"""Runs of a region that overlap: each process starts the next as soon as it is ready for it.

A start goes to all processes at once; one that is not ready yet keeps count of those that wait.
A run is over when all processes have ended it, of which each keeps count, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value

from allo_rtl.rtl.names import Names


def queue_runs(
    m: Module, names: Names, most: int, accept: Value, starts: Sequence[Signal],
    readies: Sequence[Value],
) -> Signal:
    """Start processes for each run, and tell when a run is over.

    Args:
        m: the region's module.
        names: makes names of signals.
        most: how many runs are under way at a time, at most.
        accept: 1 in a cycle in which a run is started.
        starts: driven here: each starts a process when that is ready.
        readies: of each process: it is idle, or in the last cycle of its run.

    Returns:
        1 in the last cycle of each run.
    """
    over = Signal(name=names("run_over"))
    ended: list[Value] = []
    for start, ready in zip(starts, readies, strict=True):
        waiting, ahead = (
            Signal(range(most + 1), name=names(f"runs_{what}")) for what in ("waiting", "ahead")
        )
        running, taken, ends = (
            Signal(name=names(f"process_{what}")) for what in ("running", "taken", "ends")
        )
        m.d.comb += [
            start.eq(accept | (waiting != 0)), taken.eq(start & ready), ends.eq(running & ready),
        ]
        m.d.sync += [
            waiting.eq(waiting + accept - taken), ahead.eq(ahead + ends - over),
        ]
        with m.If(ready):
            m.d.sync += running.eq(taken)
        ended.append(ends | (ahead != 0))
    m.d.comb += over.eq(Cat(ended).all())
    return over
