"""The few elements that pictures are made of; sizes in pixels."""

from __future__ import annotations

from html import escape

MARGIN = 20
CHAR = 7.3


def num(value: float) -> str:
    """A coordinate with at most two decimals, always written the same way."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rect(x: float, y: float, width: float, height: float, css: str) -> str:
    """A rectangle of a class."""
    return (
        f'<rect class="{css}" x="{num(x)}" y="{num(y)}" width="{num(width)}" '
        f'height="{num(height)}"/>'
    )


def label(x: float, y: float, words: str, css: str) -> str:
    """A line of text of a class, "" for none."""
    attribute = f' class="{css}"' if css else ""
    return f'<text{attribute} x="{num(x)}" y="{num(y)}">{escape(words)}</text>'


def with_title(opening: str, title: str, closing: str) -> str:
    """An element that tells ``title`` when pointed at."""
    return f"{opening}<title>{escape(title)}</title>{closing}"
