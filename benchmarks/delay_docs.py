"""The generated part of docs/delay-models.md, and the histogram of errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from allo_rtl.hls import delay
from benchmarks.delay_fit import errors

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
ORDER = ("ecp5", "ice40up", "ice40hx", "gw1n", "gw2a", "ultrascale+")


def histogram(values: Sequence[float], width: int = 10) -> str:
    """Relative errors as lines of bars, one per ``width`` percent."""
    bins: dict[int, int] = defaultdict(int)
    for value in values:
        bins[round(100 * value / width)] += 1
    rows = range(min(bins), max(bins) + 1) if bins else ()
    return "\n".join(f"{row * width:+4d} % {'#' * bins[row]}" for row in rows)


def update(page: Path) -> None:
    """Replace what is between the markers of ``page`` by the tables of all data files."""
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    sections = "\n".join(_section(delay.data(family)) for family in ORDER)
    page.write_text(f"{head}{BEGIN}\n{sections}\n{END}{tail}", encoding="utf-8")


def _section(content: dict[str, Any]) -> str:
    m = delay.model(content)
    lines = [f"### {content['family']}", "", _origin(content), ""]
    lines += ["| kind | widths | delay in ns | at 8 | at 16 | at 32 | at 64 |", "|---" * 7 + "|"]
    for kind, segments in content["delays"].items():
        mark = " (estimate)" if kind in content["estimates"] else ""
        at = " | ".join(f"{m.delay(kind, bits):.2f}" for bits in (8, 16, 32, 64))
        for i, (limit, a, b, c) in enumerate(segments):
            widths = "all" if len(segments) == 1 else f"to {limit}" if limit else "wider"
            values = at if i == 0 else " | | | "
            lines.append(f"| {kind}{mark} | {widths} | {_formula(a, b, c)} | {values} |")
    ways, bits, constant = content["mux"]
    lines += [
        "",
        f"Multiplexer: {ways:g}·log2(ways) + {bits:g}·log2(bits) + {constant:g} ns.",
        f"Register {m.register_ns:g} ns, RAM read {m.ram_read_ns:g} ns, "
        f"RAM address {m.ram_address_ns:g} ns.",
        *_reasons(content),
    ]
    return "\n".join([*lines, "", *_errors(content)])


def _reasons(content: dict[str, Any]) -> list[str]:
    return [f"Estimate of {kind}: {why}." for kind, why in content["estimates"].items()]


def _origin(content: dict[str, Any]) -> str:
    if content["source"] == "estimate":
        return f"Estimate: {content['note']}."
    tools = ", ".join(f"{name} {number}" for name, number in content["tools"].items())
    return f"Fitted on {content['chip']} with {tools}."


def _formula(a: float, b: float, c: float) -> str:
    terms = ((a, "·bits"), (b, "·log2(bits)"), (c, ""))
    return " + ".join(f"{value:g}{unit}" for value, unit in terms if value) or "0"


def _errors(content: dict[str, Any]) -> list[str]:
    """Mean and extremes of the error, by kind of circuit, as a table."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for point, error in errors(content):
        by_kind[point.kind].append(100 * error)
    if not by_kind:
        return []
    lines = ["| circuit | points | mean error % | lowest | highest |", "|---|---|---|---|---|"]
    for kind, values in by_kind.items():
        extremes = f"{min(values):+.0f} | {max(values):+.0f}"
        lines.append(f"| {kind} | {len(values)} | {mean(values):+.0f} | {extremes} |")
    shape = histogram([error for _, error in errors(content)])
    bars = "(model - place and route) / place and route, a mark for each circuit:"
    return [*lines, "", bars, "", "```text", shape, "```", ""]
