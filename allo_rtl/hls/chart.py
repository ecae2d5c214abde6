"""Pipeline charts as SVG: which operation of a loop runs in which cycle, and below which bank it
goes to (:mod:`allo_rtl.hls.bank_map`).

Rows are operations, columns cycles.  Each row has one lane an iteration, so that the iterations a
pipeline has in flight at once are seen side by side, each shifted by the initiation interval.
The picture needs no font file and no script, and follows the viewer's light or dark setting.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from allo_rtl.hls.bank_map import draw_bank_map
from allo_rtl.hls.report import ChartRow, KernelReport, LoopReport
from allo_rtl.svg import CHAR, MARGIN, label, num, rect

ITERATIONS = 3
MAX_ROWS = 60

# Sizes in pixels.
_LANE, _GAP, _LINE = 8, 6, 17
_TITLE_CHAR = 8.6
_CELL_MIN, _CELL_MAX, _PLOT = 5.0, 40.0, 760.0
_FADE = ("1", "0.62", "0.36")
_SPANS = ("#5b6673", "#75808c", "#8b959f")

# Kinds are matched by the words in them; the first that is found gives the colour.
_COLOURS = {
    "load": ("memory read", "#3b82d6"),
    "read": ("memory read", "#3b82d6"),
    "store": ("memory write", "#1f9e89"),
    "write": ("memory write", "#1f9e89"),
    "mul": ("multiply", "#e07b39"),
    "fma": ("multiply", "#e07b39"),
    "div": ("divide, root", "#c8443f"),
    "rem": ("divide, root", "#c8443f"),
    "sqrt": ("divide, root", "#c8443f"),
    "add": ("add, subtract", "#caa024"),
    "sub": ("add, subtract", "#caa024"),
    "call": ("call, loop", "#d2599b"),
    "loop": ("call, loop", "#d2599b"),
}
_OTHER = ("other", "#8b7fc7")

_STYLE = """
  text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #24292f; }
  .title { font-weight: 600; font-size: 14px; }
  .dim { fill: #6a737d; }
  .bg { fill: #ffffff; }
  .stripe { fill: #808080; fill-opacity: 0.07; }
  .grid { stroke: #808080; stroke-opacity: 0.22; stroke-width: 1; }
  .mark { stroke: #6a737d; stroke-width: 1.2; fill: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d6dbe1; }
    .dim { fill: #9aa4ae; }
    .bg { fill: #14181d; }
    .mark { stroke: #9aa4ae; }
  }
"""


def render_svg(loop: LoopReport) -> str:
    """One loop's chart as an SVG document."""
    return _document([_Chart.of(loop)], "")


def render_svg_report(report: KernelReport) -> str:
    """The charts of every loop that has one, below each other, as one SVG document."""
    title = f"{report.kernel} on {report.device} at {report.clock_mhz:g} MHz"
    return _document([_Chart.of(loop) for loop in report.loops if loop.chart], title)


@dataclass(frozen=True, slots=True)
class _Chart:
    """A loop with what the drawing needs worked out: rows, shift, columns, sizes."""

    loop: LoopReport
    rows: tuple[tuple[str, ChartRow], ...]
    hidden: int
    depth: int
    iterations: int

    @staticmethod
    def of(loop: LoopReport) -> _Chart:
        rows = _distinct(loop.chart)
        depth = max([loop.depth or 1, *(row.end for row in loop.chart)])
        trip = ITERATIONS if loop.trip is None else max(1, loop.trip)
        iterations = 1 if loop.ii is None else min(ITERATIONS, trip)
        shown = rows[:MAX_ROWS]
        return _Chart(loop, tuple(shown), len(rows) - len(shown), depth, iterations)

    @property
    def ii(self) -> int:
        return self.loop.ii or self.depth

    @property
    def cycles(self) -> int:
        return (self.iterations - 1) * self.ii + self.depth

    @property
    def cell(self) -> float:
        """Width of a cycle; long schedules are squeezed, hopeless ones grow the picture."""
        return min(_CELL_MAX, max(_CELL_MIN, _PLOT / self.cycles))

    @property
    def labels(self) -> float:
        """Width of the column of labels."""
        longest = max([len(_label(text, row)) for text, row in self.rows], default=12)
        return (max(longest, 12) + 2) * CHAR

    @property
    def title(self) -> str:
        """The heading: the loop, where it is, and its numbers."""
        loop = self.loop
        facts = [
            "not pipelined" if loop.ii is None else f"II {loop.ii}",
            f"depth {self.depth}",
            "trip depends on data" if loop.trip is None else f"{loop.trip:,} iterations",
            "latency depends on data" if loop.latency is None else f"{loop.latency:,} cycles",
        ]
        where = f" ({loop.loc.short})" if loop.loc else ""
        return f"loop {loop.name}{where}: {', '.join(facts)}"

    @property
    def plot(self) -> float:
        """Width of labels and columns."""
        return self.labels + self.cycles * self.cell

    @property
    def width(self) -> float:
        return max(self.plot, len(self.title) * _TITLE_CHAR)

    @property
    def row_height(self) -> float:
        return max(_LINE, self.iterations * _LANE + _GAP)


def _distinct(rows: Sequence[ChartRow]) -> list[tuple[str, ChartRow]]:
    """Rows in order of time; those that look alike (unrolled copies) once, with their number."""
    same = Counter((r.label, r.kind, r.start, r.end, r.loc) for r in rows)
    first = {(r.label, r.kind, r.start, r.end, r.loc): r for r in reversed(rows)}
    found = [
        (row.label + (f" ×{same[key]}" if same[key] > 1 else ""), row)
        for key, row in reversed(first.items())
    ]
    return sorted(found, key=lambda item: (item[1].start, item[1].end))


def _label(text: str, row: ChartRow) -> str:
    return f"{text}  {row.loc.short}" if row.loc else text


def _colour(kind: str) -> tuple[str, str]:
    return next((found for word, found in _COLOURS.items() if word in kind.lower()), _OTHER)


def _document(charts: Sequence[_Chart], title: str) -> str:
    maps = [draw_bank_map(chart.loop, 0)[1] for chart in charts]
    width = max([chart.width for chart in charts] + [*maps, 560.0]) + 2 * MARGIN
    body: list[str] = []
    y = float(MARGIN)
    if title:
        body.append(label(MARGIN, y + 12, title, "title"))
        y += 30
    for chart in charts:
        drawn, height = _draw(chart, y, width - 2 * MARGIN)
        body += drawn
        y += height + 12
        drawn, _, height = draw_bank_map(chart.loop, y)
        body += drawn
        y += height + 16
    if not charts:
        body.append(label(MARGIN, y + 12, "no loop is pipelined: nothing to draw", "dim"))
        y += 30
    body += _legend(charts, y)
    height = y + MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{num(width)}" height="{num(height)}" '
        f'viewBox="0 0 {num(width)} {num(height)}" role="img">',
        f"<style>{_STYLE}</style>",
        rect(0, 0, width, height, "bg"),
        *body,
        "</svg>\n",
    ])


def _draw(chart: _Chart, top: float, width: float) -> tuple[list[str], float]:
    """Elements of one chart whose upper edge is at ``top``, and its height."""
    head, y = _heading(chart, top, width)
    left = MARGIN + chart.labels
    bars, axis = _iterations(chart, left, y)
    y = axis + 8
    rows = list(_rows(chart, left, y))
    bottom = y + len(chart.rows) * chart.row_height
    grid = list(_grid(chart, left, axis, bottom))
    if chart.hidden:
        rows.append(label(MARGIN, bottom + 14, f"and {chart.hidden} more operations", "dim"))
        bottom += 18
    return head + bars + grid + rows, bottom - top


def _heading(chart: _Chart, top: float, width: float) -> tuple[list[str], float]:
    out = [label(MARGIN, top + 12, chart.title, "title")]
    y = top + 12
    if chart.loop.limit:
        for line in textwrap.wrap(f"limited by: {chart.loop.limit}", int(width / CHAR)):
            y += _LINE
            out.append(label(MARGIN, y, line, "dim"))
    return out, y + (26 if chart.iterations > 1 else 12)


def _iterations(chart: _Chart, left: float, top: float) -> tuple[list[str], float]:
    """Spans of the iterations in flight and the mark of the interval; y of the axis below."""
    out: list[str] = []
    height = 13
    for k in range(chart.iterations):
        x, y = left + k * chart.ii * chart.cell, top + k * (height + 2)
        span = chart.depth * chart.cell
        out.append(
            f'<rect x="{num(x)}" y="{num(y)}" width="{num(span - 1)}" height="{height}" rx="2" '
            f'fill="{_SPANS[k]}"/>'
        )
        name = f"iteration {k + 1}" if span > 90 else str(k + 1)
        out.append(
            f'<text x="{num(x + 5)}" y="{num(y + 10.5)}" style="fill:#fff;font-size:10px">{name}'
            "</text>"
        )
    if chart.iterations > 1:
        y, end = top - 8, left + chart.ii * chart.cell
        out.append(
            f'<path class="mark" d="M{num(left)},{num(y - 4)}v8M{num(left)},{num(y)}'
            f'H{num(end)}M{num(end)},{num(y - 4)}v8"/>'
        )
        out.append(label(end + 6, y + 4, f"II = {chart.ii}", "dim"))
    return out, top + chart.iterations * (height + 2) + 16


def _grid(chart: _Chart, left: float, axis: float, bottom: float) -> Iterator[str]:
    """Cycle numbers and thin vertical lines; as many as there is room for."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 10**9) if s * chart.cell >= 22)
    for cycle in range(chart.cycles + 1):
        x = left + cycle * chart.cell
        if chart.cell >= 8 or cycle % step == 0:
            yield (
                f'<line class="grid" x1="{num(x)}" y1="{num(axis)}" x2="{num(x)}" '
                f'y2="{num(bottom)}"/>'
            )
        if cycle < chart.cycles and cycle % step == 0:
            yield (
                f'<text class="dim" x="{num(x + chart.cell / 2)}" y="{num(axis - 2)}" '
                f'text-anchor="middle" style="font-size:10px">{cycle}</text>'
            )
    yield label(MARGIN, axis - 2, "cycle", "dim")


def _rows(chart: _Chart, left: float, top: float) -> Iterator[str]:
    for number, (text, row) in enumerate(chart.rows):
        y = top + number * chart.row_height
        if number % 2 == 0:
            yield rect(MARGIN - 6, y, chart.plot + 12, chart.row_height, "stripe")
        middle = y + chart.row_height / 2 + 4
        yield label(MARGIN, middle, text, "")
        if row.loc:
            yield (
                f'<text class="dim" x="{num(left - 8)}" y="{num(middle)}" text-anchor="end">'
                f"{escape(row.loc.short)}</text>"
            )
        yield from _bars(chart, row, left, y)


def _bars(chart: _Chart, row: ChartRow, left: float, top: float) -> Iterator[str]:
    """The operation once an iteration, each in a lane of its own."""
    lanes = chart.iterations * _LANE
    start = top + (chart.row_height - lanes) / 2
    for k in range(chart.iterations):
        x = left + (row.start + k * chart.ii) * chart.cell
        width = (row.end - row.start) * chart.cell
        yield (
            f'<rect x="{num(x + 0.5)}" y="{num(start + k * _LANE + 0.5)}" '
            f'width="{num(max(width - 1, 1))}" height="{_LANE - 1}" rx="1.5" '
            f'fill="{_colour(row.kind)[1]}" fill-opacity="{_FADE[k]}">'
            f"<title>{escape(row.label)}, iteration {k + 1}: cycles {row.start + k * chart.ii} "
            f"to {row.end + k * chart.ii - 1}</title></rect>"
        )


def _legend(charts: Iterable[_Chart], y: float) -> list[str]:
    used = {_colour(row.kind) for chart in charts for _, row in chart.rows}
    order = [*dict.fromkeys([*_COLOURS.values(), _OTHER])]
    out: list[str] = []
    x = float(MARGIN)
    for name, colour in (entry for entry in order if entry in used):
        out.append(
            f'<rect x="{num(x)}" y="{num(y - 9)}" width="11" height="11" rx="2" fill="{colour}"/>'
        )
        out.append(label(x + 16, y + 1, name, "dim"))
        x += 16 + len(name) * CHAR + 22
    return out
