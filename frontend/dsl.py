"""What a kernel's loops are written with.  Outside a compiled kernel these are plain iterators,
so that a kernel is also an ordinary Python function.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

type Pragma = bool | int | list[bool | int] | None
"""One setting for the innermost loop, or a list with one for each loop."""


def grid(
    *extents: int, name: str | None = None, pipeline: Pragma = None, unroll: Pragma = None
) -> Iterator[int] | Iterator[tuple[int, ...]]:
    """A nest of loops from 0 to each extent, the last one innermost.

    Args:
        extents: numbers of iterations, 1 or more of them.
        name: name of the loop nest (its band); ``S_<variables>_<count>`` without it.
        pipeline: initiation interval in cycles, True for 1.
        unroll: number of copies, True for all iterations.

    Returns:
        An iterator of tuples; of ints when there is one extent.
    """
    if len(extents) == 1:
        return iter(range(extents[0]))
    return product(*map(range, extents))


def reduction(
    *extents: int, name: str | None = None, pipeline: Pragma = None, unroll: Pragma = None
) -> Iterator[int] | Iterator[tuple[int, ...]]:
    """Like :func:`grid`, and promises that the order of the iterations does not matter."""
    return grid(*extents, name=name, pipeline=pipeline, unroll=unroll)
