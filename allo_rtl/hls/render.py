"""A kernel's report as tables, plain text and JSON.  Pictures are in :mod:`allo_rtl.hls.chart`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from allo_rtl.errors import SourceLoc
from allo_rtl.hls.certificate import Certificate
from allo_rtl.hls.report import (
    BankAccess,
    ChartRow,
    KernelReport,
    LoopReport,
    MemoryReport,
    SharedReport,
    StreamReport,
)
from allo_rtl.hls.run_interval import RunInterval
from allo_rtl.ir.history import StepReport

WIDTH = 100
"""Columns that a plain-text report keeps to."""


MAX_STEPS = 16
"""Steps of a proof that a table shows."""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """What one board's build used.

    Each resource is (used, on the chip), None where the family has none; ``fmax_mhz`` is what
    place and route reached and ``clock_mhz`` what was asked, None when unknown.
    """

    board: str
    lut: tuple[int, int] | None
    ff: tuple[int, int] | None
    bram: tuple[int, int] | None
    dsp: tuple[int, int] | None
    fmax_mhz: float | None
    clock_mhz: float | None = None


def rich_report(report: KernelReport, measured: int | None = None) -> RenderableType:
    """The report for a rich console: a heading, one table of loops, one of totals.

    ``measured`` is the number of cycles a simulation took, None before there was one.
    """
    heading = Text.assemble(
        (report.kernel, "bold"),
        f" on {report.device} at {report.clock_mhz:g} MHz",
    )
    parts: list[RenderableType] = [heading]
    if report.steps:
        parts.append(_steps(report.steps))
    if report.loops:
        parts.append(_loops(report.loops))
    if any(loop.certificate and loop.certificate.steps for loop in report.loops):
        parts.append(_proofs(report.loops))
    parts.append(_totals(report, measured))
    parts.extend(Text(f"note: {note}") for note in report.notes)
    return Group(*parts)


def render_table(report: KernelReport, measured: int | None = None) -> str:
    """The report as plain text with box drawing, at most :data:`WIDTH` columns wide."""
    return plain(rich_report(report, measured))


def plain(renderable: RenderableType) -> str:
    """Any rich renderable as text without colours, at most :data:`WIDTH` columns wide."""
    console = Console(
        file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=box.ROUNDED)
    for column in columns:
        numeric = column in right
        # Numbers are never cut; words wrap.
        table.add_column(
            column, justify="right" if numeric else "left", no_wrap=numeric,
            overflow="fold", min_width=len(column),
        )
    return table


def _steps(steps: Sequence[StepReport]) -> Table:
    table = _table("Schedule", "", "primitive", right=("",))
    for number, step in enumerate(steps, 1):
        table.add_row(str(number), step.call)
    return table


def _count(value: int | None, unknown: str) -> str:
    return unknown if value is None else f"{value:,}"


def _loops(loops: Sequence[LoopReport]) -> Table:
    numbers = ("trip", "II", "depth", "latency")
    table = _table("Loops (cycles)", "loop", *numbers, "line", "limited by", right=numbers)
    several = len({loop.func for loop in loops}) > 1
    for loop in loops:
        prefix = f"{loop.func}: " if several else ""
        table.add_row(
            "  " * loop.nesting + prefix + loop.name,
            _count(loop.trip, "varies"),
            _count(loop.ii, "-"),
            _count(loop.depth, "-"),
            _count(loop.latency, "varies"),
            loop.loc.short if loop.loc else "",
            loop.limit,
        )
    return table


def _proofs(loops: Sequence[LoopReport]) -> Table:
    """The recurrences around, or the accesses of the busiest ports, step by step."""
    numbers = ("cycles", "ns", "iterations later")
    table = _table(
        "Why iterations do not start more often", "loop", "operation", "line", *numbers,
        right=numbers,
    )
    for loop in loops:
        steps = loop.certificate.steps if loop.certificate else ()
        for number, step in enumerate(steps[:MAX_STEPS]):
            table.add_row(
                "" if number else loop.name, step.what, step.loc.short if step.loc else "",
                str(step.cycles), f"{step.ns:.1f}" if step.ns else "",
                str(step.distance) if step.distance else "",
            )
        if len(steps) > MAX_STEPS:
            table.add_row("", f"and {len(steps) - MAX_STEPS} more", "", "", "", "")
    return table


def _totals(report: KernelReport, measured: int | None) -> Table:
    table = _table("Totals", "what", "value")
    predicted = _count(report.latency, report.unknown)
    table.add_row("cycles, predicted", predicted)
    if measured is not None:
        table.add_row("cycles, simulated", f"{measured:,}")
    if (cycles := report.latency if measured is None else measured) is not None:
        table.add_row("time", _time(cycles / report.clock_mhz))
    if report.runs is not None:
        table.add_row("cycles between runs", _runs(report.runs))
    table.add_row("longest chain", f"{report.critical_ns:.2f} ns of {1e3 / report.clock_mhz:.2f}")
    for number, memory in enumerate(report.memories):
        table.add_row("" if number else "memories", _memory(memory))
    for number, stream in enumerate(report.streams):
        table.add_row("" if number else "streams", _stream(stream))
    for number, (unit, count) in enumerate(report.units):
        table.add_row("" if number else "units", f"{count} × {unit}")
    return table


def _runs(found: RunInterval) -> str:
    each = f"{found.cycles:,}"
    if found.runs > 1:
        each = f"{float(found.interval):,.1f} on average, {found.cycles:,} for {found.runs} runs"
    place = f" ({found.loc.short})" if found.loc else ""
    return f"{each}, {found.most} runs at a time; {found.limit}{place}"


def _time(microseconds: float) -> str:
    if microseconds < 1e3:
        return f"{microseconds:.4g} µs"
    return f"{microseconds / 1e3:.4g} ms"


def _memory(memory: MemoryReport) -> str:
    banks = f"{memory.banks} × " if memory.banks > 1 else ""
    return f"{memory.name}: {banks}{memory.depth:,} words of {memory.width} bits, {memory.storage}"


def _stream(stream: StreamReport) -> str:
    values = f"{stream.depth:,} value{'s' if stream.depth > 1 else ''}"
    reason = f"; {stream.reason}" if stream.reason else ""
    return f"{stream.name}: {values} of {stream.width} bits, {stream.storage}{reason}"


def rich_boards(rows: Sequence[BoardRow]) -> Table:
    """What each board's build used and the clock it reached, as a rich table."""
    numbers = ("LUT", "FF", "BRAM", "DSP", "Fmax (MHz)")
    table = _table("Boards", "board", *numbers, "clock asked", right=numbers)
    for row in rows:
        clock = "" if row.clock_mhz is None else f"{row.clock_mhz:g} MHz{_verdict(row)}"
        fmax = "?" if row.fmax_mhz is None else f"{row.fmax_mhz:.1f}"
        used = (_used(resource) for resource in (row.lut, row.ff, row.bram, row.dsp))
        table.add_row(row.board, *used, fmax, clock)
    return table


def render_boards(rows: Sequence[BoardRow]) -> str:
    """What each board's build used and the clock it reached, as plain text."""
    return plain(rich_boards(rows))


def _used(resource: tuple[int, int] | None) -> str:
    return "-" if resource is None else f"{resource[0]:,}/{resource[1]:,}"


def _verdict(row: BoardRow) -> str:
    if row.fmax_mhz is None or row.clock_mhz is None:
        return ""
    return ", met" if row.fmax_mhz >= row.clock_mhz else ", MISSED"


def render_json(report: KernelReport, measured: int | None = None) -> str:
    """The report as JSON, keys in a fixed order; lengths of time are in cycles.

    ``schedule`` has what each primitive changed as text, before and after it.
    ``null`` stands for what depends on data (``trip``, ``latency``), is not pipelined (``ii``) or
    was not simulated (``measured``); ``unknown`` says why the kernel's ``latency`` is not known.
    Places are ``"file.py:line"``.  ``overlap`` is null where runs do not overlap; else ``cycles``
    go by for ``runs`` runs.
    """
    data = {
        "kernel": report.kernel,
        "device": report.device,
        "clock_mhz": report.clock_mhz,
        "latency": report.latency,
        "unknown": report.unknown if report.latency is None else None,
        "measured": measured,
        "overlap": _runs_data(report.runs) if report.runs else None,
        "critical_ns": report.critical_ns,
        "loops": [_loop_data(loop) for loop in report.loops],
        "memories": [_memory_data(memory) for memory in report.memories],
        "streams": [_stream_data(stream) for stream in report.streams],
        "units": dict(report.units),
        "shared": [_shared_data(unit) for unit in report.shared],
        "notes": list(report.notes),
        "schedule": [asdict(step) for step in report.steps],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _runs_data(found: RunInterval) -> dict[str, Any]:
    return {
        "runs_at_a_time": found.most,
        "cycles": found.cycles,
        "runs": found.runs,
        "limit": found.limit,
        "loc": _place(found.loc),
    }


def _place(loc: SourceLoc | None) -> str | None:
    return loc.short if loc else None


def _loop_data(loop: LoopReport) -> dict[str, Any]:
    return {
        "name": loop.name,
        "func": loop.func,
        "nesting": loop.nesting,
        "trip": loop.trip,
        "ii": loop.ii,
        "depth": loop.depth,
        "latency": loop.latency,
        "limit": loop.limit,
        "loc": _place(loop.loc),
        "chart": [_row_data(row) for row in loop.chart],
        "certificate": _certificate_data(loop.certificate) if loop.certificate else None,
        "accesses": [_access_data(access) for access in loop.accesses],
    }


def _certificate_data(certificate: Certificate) -> dict[str, Any]:
    return {
        "reason": certificate.reason.value,
        "bound": certificate.bound,
        "text": certificate.text,
        "steps": [
            {
                "what": step.what,
                "loc": _place(step.loc),
                "cycles": step.cycles,
                "ns": step.ns,
                "distance": step.distance,
            }
            for step in certificate.steps
        ],
    }


def _access_data(access: BankAccess) -> dict[str, Any]:
    return {
        "array": access.array,
        "bank": access.bank,
        "kind": access.kind,
        "cycle": access.cycle,
        "varies": access.varies,
        "loc": _place(access.loc),
    }


def _row_data(row: ChartRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "kind": row.kind,
        "start": row.start,
        "end": row.end,
        "loc": _place(row.loc),
    }


def _stream_data(stream: StreamReport) -> dict[str, Any]:
    return {
        "name": stream.name,
        "func": stream.func,
        "storage": stream.storage,
        "depth": stream.depth,
        "width": stream.width,
        "reason": stream.reason,
    }


def _memory_data(memory: MemoryReport) -> dict[str, Any]:
    return {
        "name": memory.name,
        "func": memory.func,
        "storage": memory.storage,
        "banks": memory.banks,
        "depth": memory.depth,
        "width": memory.width,
    }


def _shared_data(shared: SharedReport) -> dict[str, Any]:
    return {
        "unit": shared.unit,
        "func": shared.func,
        "users": [
            {"what": u.what, "loc": _place(u.loc), "loop": u.loop, "cycle": u.cycle}
            for u in shared.users
        ],
    }
