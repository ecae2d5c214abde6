"""What a simulated kernel printed and asserted, on the Python side.

The hardware knows sites and bits only (:mod:`allo_rtl.rtl.events`); here they become the lines
and errors of the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from allo_rtl.errors import AssertionFailed
from allo_rtl.ir.arithmetic import line_of, wrap
from allo_rtl.ir.ops import Assert, Print

type Happened = tuple[int, tuple[int, ...]]
"""A site and the bits of its arguments."""

_LINE = re.compile(r".*\[(?:print|assert) (\d+):((?: [0-9a-f]+)*)\]")


def read_lines(text: str) -> Iterator[Happened]:
    """The events in what a simulator wrote, in order."""
    for line in text.splitlines():
        if found := _LINE.fullmatch(line):
            yield int(found[1]), tuple(int(word, 16) for word in found[2].split())


def replay(
    sites: Sequence[Print | Assert], events: Iterable[Happened], output: Callable[[str], None]
) -> None:
    """Give ``output`` every line that is printed.

    Args:
        sites: the prints and assertions, by number.
        events: what happened, in order.
        output: called with each line.

    Raises:
        AssertionFailed: an assertion of the kernel, with its place in the source.
    """
    for site, bits in events:
        op = sites[site]
        if isinstance(op, Assert):
            raise AssertionFailed(op.message or "an assertion does not hold", loc=op.loc)
        types = op.types or tuple(a.type for a in op.args)
        values = [(t, wrap(t, b)) for t, b in zip(types, bits, strict=True)]
        output(line_of(op.text, values))
