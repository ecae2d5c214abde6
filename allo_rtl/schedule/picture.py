"""A schedule as an SVG picture: loops as boxes in each other, coloured by their marks, and which
bank has which element of a partitioned array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allo_rtl.ir.layout import Layout
from allo_rtl.ir.ops import Alloc, For, Func, If, LoopAttrs, Module, Value, While
from allo_rtl.ir.types import ArrayType
from allo_rtl.schedule.show import Row, rows
from allo_rtl.svg import CHAR, MARGIN, label, num, rect

_ROW, _INDENT, _CELL = 20, 14, 9
_MOST = (4, 16)
"""Rows and columns of an array that a picture shows."""
_BANKS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#9d755d")
_STYLE = """\
text { font: 12px monospace; fill: #222 }
.title { font-weight: bold }
.func { fill: #fafafa; stroke: #999 }
.loop { fill: #ffffff; stroke: #888 }
.pipeline { fill: #e3f0fb; stroke: #4c78a8 }
.unroll { fill: #fdebd8; stroke: #f58518 }
.parallel { fill: #e4f3e1; stroke: #54a24b }
.dataflow { fill: #f2e8f4; stroke: #b279a2 }
.other { fill: none; stroke: #bbb; stroke-dasharray: 4 3 }
""" + "".join(f".bank{n} {{ fill: {c}; stroke: #fff }}\n" for n, c in enumerate(_BANKS))


def draw(parts: Sequence[tuple[Sequence[str], Module]]) -> str:
    """The SVG of schedules beside each other, each under lines of a title."""
    x, height, found = float(MARGIN), 0.0, list[str]()
    head = max(len(title) for title, _ in parts) * _ROW
    for title, module in parts:
        found += [label(x, MARGIN + n * _ROW, text, "title") for n, text in enumerate(title)]
        bottom, width = MARGIN / 2 + head, max((len(text) * CHAR for text in title), default=0)
        for func in module.funcs:
            lines = list(rows(func))
            own = max(map(_width, lines)) + _INDENT
            found += _func(lines, x, bottom, own)
            bottom += _height(lines) + _ROW / 2
            width = max(width, own)
        x, height = x + width + 2 * MARGIN, max(height, bottom)
    size = f'width="{num(x - MARGIN)}" height="{num(height + MARGIN / 2)}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([svg, f"<style>\n{_STYLE}</style>", *found, "</svg>", ""])


def _func(lines: Sequence[Row], x: float, y: float, width: float) -> Iterator[str]:
    """One function: boxes first, so that text is in front."""
    tops = [y + _height(lines[:k]) for k in range(len(lines) + 1)]
    for k, row in enumerate(lines):
        if css := _box(row):
            end = next((j for j in range(k + 1, len(lines)) if lines[j].depth <= row.depth),
                       len(lines))  # fmt: skip
            left = row.depth * _INDENT
            inside = 3.0 * row.depth
            high = tops[end] - tops[k] - inside
            yield rect(x + left, tops[k], width - left - inside, high, css)
    for k, row in enumerate(lines):
        yield label(x + row.depth * _INDENT + 6, tops[k] + 14, row.text, "")
        for n, value in enumerate(_banked(row)):
            at = tops[k] + _ROW + n * _map_height(value.array)
            yield from _map(value, x + (row.depth + 1) * _INDENT, at)


def _width(row: Row) -> float:
    maps = [_INDENT + len(v.name) * CHAR + 12 + _shown(v.array)[1] * _CELL for v in _banked(row)]
    return row.depth * _INDENT + max([len(row.text) * CHAR, *maps]) + 12


def _height(lines: Sequence[Row]) -> float:
    maps = sum(_map_height(v.array) for row in lines for v in _banked(row))
    return len(lines) * _ROW + maps


def _box(row: Row) -> str:
    """The class of the box around what a row begins, "" for none."""
    match row.about:
        case Func():
            return "dataflow" if row.about.tasks else "func"
        case For(attrs=attrs):
            return _class(attrs)
        case If() | While():
            return "other"
    return ""


def _class(attrs: LoopAttrs) -> str:
    if attrs.pipeline_ii is not None:
        return "pipeline"
    if attrs.unroll is not None:
        return "unroll"
    if attrs.dataflow:
        return "dataflow"
    return "parallel" if attrs.parallel or attrs.overlap else "loop"


# --- banks ---------------------------------------------------------------------------------


def _banked(row: Row) -> list[Value]:
    """The partitioned arrays that a row tells of."""
    values = row.about.args if isinstance(row.about, Func) else ()
    if isinstance(row.about, Alloc):
        values = (row.about.result,)
    return [v for v in values if isinstance(v.type, ArrayType) and v.type.partition]


def _shown(type_: ArrayType) -> tuple[int, int]:
    """Rows and columns of the part of an array that is drawn: of its last two dimensions."""
    high = type_.shape[-2] if type_.rank > 1 else 1
    return min(high, _MOST[0]), min(type_.shape[-1], _MOST[1])


def _map_height(type_: ArrayType) -> float:
    return _shown(type_)[0] * _CELL + 5


def _map(value: Value, x: float, y: float) -> Iterator[str]:
    """Elements of an array, each in the colour of its bank."""
    layout, (high, wide) = Layout(value.array), _shown(value.array)
    yield label(x, y + _CELL, value.name, "")
    left = x + len(value.name) * CHAR + 8
    outer = (0,) * (value.array.rank - 2)
    for i in range(high):
        for j in range(wide):
            at = (*outer, i, j) if value.array.rank > 1 else (j,)
            bank = layout.place_const(at)[0] % len(_BANKS)
            yield rect(left + j * _CELL, y + i * _CELL, _CELL, _CELL, f"bank{bank}")
