"""What a compiled kernel costs, loop by loop and in total, as data.

:mod:`allo_rtl.hls.render` draws these as tables, JSON and pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.certificate import Certificate
from allo_rtl.hls.run_interval import RunInterval
from allo_rtl.ir.history import StepReport


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One operation of a pipeline chart: busy in cycles ``start`` ... ``end`` - 1.

    ``start`` counts from the start of the loop's iteration; ``end`` is at least ``start`` + 1.
    """

    label: str
    kind: str
    start: int
    end: int
    loc: SourceLoc | None = None


@dataclass(frozen=True, slots=True)
class BankAccess:
    """A read or write of one bank in one cycle of a loop's iteration.

    ``kind`` is "read" or "write"; ``varies`` says that the bank depends on the iteration, so that
    the access asks for this one in some iterations only.
    """

    array: str
    bank: int
    kind: str
    cycle: int
    varies: bool
    loc: SourceLoc | None = None


@dataclass(frozen=True, slots=True)
class LoopReport:
    """One loop of the generated hardware.

    Attributes:
        name: name of the loop; of all of them, outermost first, when a nest was flattened
            (``"i, j, k"``).
        func: the function it is in.
        nesting: number of loops around it.
        trip: iterations, over all flattened loops; None when it depends on data.
        ii: initiation interval in cycles; None when the loop is not pipelined.
        depth: cycles from the start of one iteration to its end.
        latency: cycles of the whole loop, None when it depends on data.
        limit: what keeps the loop from being faster, in one line.
        loc: where the loop is in the source.
        chart: the operations of one iteration with their cycles.
        certificate: the proof that a pipelined loop's interval cannot be smaller.
        accesses: which bank each access of a pipelined loop goes to, and when.
    """

    name: str
    func: str
    nesting: int
    trip: int | None
    ii: int | None
    depth: int | None
    latency: int | None
    limit: str
    loc: SourceLoc | None = None
    chart: tuple[ChartRow, ...] = ()
    certificate: Certificate | None = None
    accesses: tuple[BankAccess, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """One array: ``banks`` memories of ``depth`` words of ``width`` bits.

    ``storage`` is "port" (an argument, outside), "block RAM", "block RAM, two ports" (each reads or
    writes), "LUT RAM", "registers" or "ROM"; where a word is there in the cycle of its address
    ", asynchronous" follows.
    """

    name: str
    func: str
    storage: str
    banks: int
    depth: int
    width: int


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream: a FIFO of ``depth`` values of ``width`` bits, made in the region ``func``.

    ``storage`` is "registers", "LUT RAM" or "block RAM".  An array of the kernel that is a stream
    has "AXI4-Stream in" or "AXI4-Stream out", and ``depth`` is then the number of its words.
    ``reason`` is why the depth that the compiler found is not less, empty for one that the user
    gave.
    """

    name: str
    func: str
    storage: str
    depth: int
    width: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnitUser:
    """An operation with a shared unit: it takes its operands in ``cycle`` of an iteration of
    ``loop`` ("" outside of loops), modulo the initiation interval."""

    what: str
    loc: SourceLoc | None
    loop: str
    cycle: int


@dataclass(frozen=True, slots=True)
class SharedReport:
    """A unit of the function ``func`` with several users.

    Users with one loop and cycle are never needed by the same iteration.
    """

    unit: str
    func: str
    users: tuple[UnitUser, ...]


@dataclass(frozen=True, slots=True)
class KernelReport:
    """Everything known of a kernel after compilation.

    ``latency`` is the predicted number of cycles from an accepted start to done, None when it
    is not known; ``unknown`` says why then.  ``units`` counts the operators by name ("mul 32x32":
    8), ``clock_mhz`` is the clock the operations were chained for and ``critical_ns`` the longest
    chain so made.
    ``steps`` are the primitives of the schedule, each with what it changed.  ``runs`` is how often
    runs start that overlap, None where they do not or it is not known.  ``shared`` are the units
    with several users.
    """

    kernel: str
    device: str
    clock_mhz: float
    latency: int | None
    critical_ns: float
    loops: tuple[LoopReport, ...]
    memories: tuple[MemoryReport, ...]
    units: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()
    streams: tuple[StreamReport, ...] = ()
    steps: tuple[StepReport, ...] = ()
    unknown: str = "depends on data"
    runs: RunInterval | None = None
    shared: tuple[SharedReport, ...] = ()

    def __str__(self) -> str:
        from allo_rtl.hls.render import render_table

        return render_table(self)
