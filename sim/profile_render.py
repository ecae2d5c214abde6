"""A profile as a table, as JSON, as a trace for Perfetto, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from allo_rtl.hls.render import plain
from allo_rtl.sim.profile import STATES, ProcessProfile, Profile, Saving, Span

_COLOURS = {
    "filling": "#d9d9d9", "computing": "#4c78a8", "empty": "#f58518", "full": "#e45756",
    "memory": "#b279a2", "draining": "#eeeeee",
}  # fmt: skip
_WIDTH, _ROW, _LABELS, _MOST = 900, 18, 150, 20_000
"""Of the picture: width of the plot, height of a row, width of the names; spans at most."""


def render_table(profile: Profile) -> str:
    """The profile as plain text."""
    return plain(rich_profile(profile))


def rich_profile(profile: Profile) -> RenderableType:
    """The profile for a rich console."""
    table = Table(title="Processes (cycles)", box=box.ROUNDED, title_justify="left")
    table.add_column("process")
    for state in STATES:
        table.add_column(state, justify="right")
    table.add_column("waits most for")
    for process in profile.processes:
        numbers = (f"{process.cycles[state]:,}" for state in STATES)
        table.add_row(process.name, *numbers, _longest(process))
    heading = Text.assemble((profile.kernel, "bold"), f", a run of {profile.cycles:,} cycles")
    parts: list[RenderableType] = [heading, table]
    parts += [Text(_sentence(saving)) for saving in profile.savings or ()]
    if profile.savings == ():
        parts.append(Text("no deeper FIFO saves a cycle"))
    return Group(*parts)


def _longest(process: ProcessProfile) -> str:
    if not process.waits:
        return ""
    state, stream = max(process.waits, key=lambda key: process.waits[key])
    return f"{stream} ({state})"


def _sentence(saving: Saving) -> str:
    depths = ", ".join(f"{stream} {depth}" for stream, depth in saving.depths)
    if saving.saved > 0:
        return f"with {depths}: {saving.saved:,} cycles less, {saving.cycles:,} (simulated)"
    return f"with {depths}: no cycles less (simulated)"


def render_json(profile: Profile) -> str:
    """The profile as JSON."""
    processes = [
        {
            "name": p.name,
            "cycles": p.cycles,
            "waits": [
                {"state": state, "stream": stream, "cycles": count}
                for (state, stream), count in p.waits.items()
            ],
        }
        for p in profile.processes
    ]
    data = {
        "kernel": profile.kernel,
        "cycles": profile.cycles,
        "processes": processes,
        "spans": [asdict(s) for s in profile.spans],
        "savings": [{**asdict(s), "depths": dict(s.depths)} for s in profile.savings or ()],
    }
    return json.dumps(data, indent=2) + "\n"


def render_trace(profile: Profile) -> str:
    """The timeline in the trace event format; a cycle is a microsecond."""
    numbers = {p.name: n for n, p in enumerate(profile.processes)}
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": profile.kernel}}
    ]
    events += [
        {"ph": "M", "pid": 1, "tid": n, "name": "thread_name", "args": {"name": name}}
        for name, n in numbers.items()
    ]
    events += [
        {
            "ph": "X", "pid": 1, "tid": numbers[s.process], "name": _label(s), "cat": s.state,
            "ts": s.first - 1, "dur": s.last - s.first + 1,
        }
        for s in profile.spans if s.state != "draining"
    ]  # fmt: skip
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n"


def _label(span: Span) -> str:
    return f"{span.state}: {span.stream}" if span.stream else span.state


def render_svg(profile: Profile) -> str:
    """The timeline as an SVG document: a row for each process, a colour for each state.

    Of a long run, spans that would be thinner than a line are drawn over each other.
    """
    width, height = _LABELS + _WIDTH + 10, _ROW * (len(profile.processes) + 3)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<text x="4" y="13">{escape(profile.kernel)}, {profile.cycles:,} cycles</text>',
        *_legend(),
        *_rows(profile),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _legend() -> Iterator[str]:
    for n, (state, colour) in enumerate(_COLOURS.items()):
        x = _LABELS + 100 * n
        yield f'<rect x="{x}" y="{_ROW + 3}" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 14}" y="{_ROW + 12}">{state}</text>'


def _rows(profile: Profile) -> Iterator[str]:
    scale = _WIDTH / max(1, profile.cycles)
    rows = {p.name: _ROW * (n + 2) for n, p in enumerate(profile.processes)}
    for name, y in rows.items():
        yield f'<text x="4" y="{y + 13}">{escape(name)}</text>'
    for span in profile.spans[:_MOST]:
        x, y = _LABELS + (span.first - 1) * scale, rows[span.process] + 2
        wide = max(0.3, (span.last - span.first + 1) * scale)
        title = f"{_label(span)}, cycles {span.first} to {span.last}"
        yield (
            f'<rect x="{x:.2f}" y="{y}" width="{wide:.2f}" height="{_ROW - 4}" '
            f'fill="{_COLOURS[span.state]}"><title>{escape(title)}</title></rect>'
        )
