"""Tables in the documentation that benchmarks write, and the progress they show."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"


def parser_for(doc: str | None, known: Iterable[str]) -> ArgumentParser:
    """Takes ``kernels``, any number of those that are known; none for all.

    Args:
        doc: the docstring of the benchmark, whose first line says what it measures.
        known: names of kernels.
    """
    names = list(known)

    def kernel(text: str) -> str:
        if text not in names:
            raise ArgumentTypeError(f"there is no kernel {text!r}; there are {', '.join(names)}")
        return text

    parser = ArgumentParser(description=(doc or "").split("\n", 1)[0])
    parser.add_argument("kernels", nargs="*", type=kernel, metavar="KERNEL", help="default: all")
    return parser


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table; the first ``left`` columns are text, the others numbers."""
    lines = ["| " + " | ".join(line) + " |" for line in (columns, *rows)]
    lines.insert(1, "|---" * left + "|---:" * (len(columns) - left) + "|")
    return "\n".join(lines)


def replace_part(name: str, text: str, page: Path = PAGE) -> None:
    """Put ``text`` between the markers ``<!-- name: begin -->`` and ``<!-- name: end -->``.

    Raises ValueError when the page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8")
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no part {name!r}")
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", encoding="utf-8")
