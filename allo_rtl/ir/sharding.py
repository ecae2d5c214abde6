"""How an array is spread over the processes of a mapping: ``A: int32[M, N] @ [S(0), R]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """A dimension cut in as many parts as the mapping has processes along ``axis``."""

    axis: int

    def __post_init__(self) -> None:
        if not isinstance(self.axis, int) or self.axis < 0:
            raise ValueError(f"the axis of a shard is an int of 0 or more, not {self.axis!r}")


class Replicate:
    """A dimension that every process sees all of."""


type Part = Shard | type[Replicate]
"""What becomes of one dimension."""


@dataclass(frozen=True, slots=True, init=False)
class Layout:
    """One :class:`Shard` or :class:`Replicate` for each dimension of an array.

    Users write ``S, R = Layout.Shard, Layout.Replicate``.

    Raises:
        ValueError: a part is neither.
    """

    parts: tuple[Part, ...]

    Shard = Shard
    Replicate = Replicate

    def __init__(self, parts: Sequence[object]) -> None:
        for part in parts:
            if not isinstance(part, Shard) and part is not Replicate:
                raise ValueError(f"a part of a layout is Shard(axis) or Replicate, not {part!r}")
        object.__setattr__(self, "parts", tuple(parts))

    def local(self, shape: Sequence[int], mapping: Sequence[int]) -> tuple[int, ...]:
        """The shape of the part that one process of the mapping sees.

        Raises:
            ValueError: there is another number of dimensions, the mapping has no such axis, or a
                dimension cannot be cut in equal parts.
        """
        if len(self.parts) != len(shape):
            raise ValueError(f"{len(self.parts)} parts of a layout for {len(shape)} dimensions")
        found = []
        for part, extent in zip(self.parts, shape, strict=True):
            count = _pieces(part, mapping)
            if extent % count:
                raise ValueError(f"{extent} elements in {count} equal parts")
            found.append(extent // count)
        return tuple(found)

    def offsets(
        self, shape: Sequence[int], mapping: Sequence[int], index: Sequence[int]
    ) -> tuple[int, ...]:
        """Where the part of process ``index`` starts."""
        local = self.local(shape, mapping)
        return tuple(
            index[p.axis] * n if isinstance(p, Shard) else 0
            for p, n in zip(self.parts, local, strict=True)
        )


def _pieces(part: Part, mapping: Sequence[int]) -> int:
    """How many pieces a dimension is cut in."""
    if not isinstance(part, Shard):
        return 1
    if part.axis >= len(mapping):
        raise ValueError(f"Shard({part.axis}) of a mapping with {len(mapping)} axes")
    return mapping[part.axis]
