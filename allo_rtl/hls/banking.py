"""Partitions of an array with which the accesses of an iteration never meet in a bank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import gcd, prod

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.layout import Layout
from allo_rtl.ir.types import ArrayType, DimPartition, Partition

MAX_BANKS = 64
"""Partitions into more banks are not looked for."""

type Subscripts = tuple[AffineExpr, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """The partition of one dimension: ``dim`` counts from 1, ``factor`` is its number of banks."""

    dim: int
    kind: Partition
    factor: int

    @property
    def cost(self) -> tuple[int, int]:
        """Banks, then whether addresses have to be divided by a number that is no power of two."""
        divides = self.kind is not Partition.Complete and self.factor & (self.factor - 1)
        return self.factor, int(divides != 0)


def separating_cuts(
    type: ArrayType, groups: Sequence[Sequence[Subscripts]]
) -> list[tuple[Cut, ...]]:
    """Partitions of a few dimensions that keep the accesses of each group apart.

    Three dimensions are partitioned where one or two are not enough.

    Args:
        type: the array's type; dimensions that are partitioned already stay as they are.
        groups: the subscripts of accesses that are to share a cycle: the reads of an iteration,
            and its writes.

    Returns:
        The cheapest first: those with the fewest banks.  None when subscripts differ by amounts
        of which too little is known.
    """
    pairs = [
        gaps
        for group in groups
        for a, b in combinations(dict.fromkeys(group), 2)
        if not _apart_already(type, gaps := _gaps(a, b))
    ]
    everything = (1 << len(pairs)) - 1
    masks = ((cut, _separated(type, cut, pairs)) for cut in _cuts(type))
    useful = [(cut, mask) for cut, mask in masks if mask]
    single = [(cut,) for cut, mask in useful if mask == everything]
    double = [
        (a, b)
        for (a, first), (b, second) in combinations(useful, 2)
        if a.dim != b.dim and first | second == everything and a.factor * b.factor <= MAX_BANKS
        and everything not in (first, second)
    ]
    found = [*single, *double] or list(_triples(useful, everything))
    return sorted(found, key=_cost)


def _triples(useful: Sequence[tuple[Cut, int]], everything: int) -> Iterator[tuple[Cut, ...]]:
    """Partitions of three dimensions, of each the cheapest that keeps the same pairs apart."""
    cheapest: dict[tuple[int, int], Cut] = {}
    for cut, mask in useful:
        known = cheapest.get((cut.dim, mask))
        if known is None or cut.cost < known.cost:
            cheapest[cut.dim, mask] = cut
    for three in combinations(cheapest.items(), 3):
        cuts = tuple(cut for _, cut in three)
        apart = 0
        for (_, mask), _ in three:
            apart |= mask
        banks = prod(cut.factor for cut in cuts)
        if len({c.dim for c in cuts}) == 3 and apart == everything and banks <= MAX_BANKS:
            yield cuts


def _cost(cuts: tuple[Cut, ...]) -> tuple[int, int, int, int, int]:
    first, banks = cuts[0], prod(c.factor for c in cuts)
    divided = sum(c.cost[1] for c in cuts)
    return banks, divided, len(cuts), -first.dim, list(Partition).index(first.kind)


def _cuts(type: ArrayType) -> Iterator[Cut]:
    """The ways to partition a dimension that is not partitioned."""
    for dim, extent in enumerate(type.shape):
        if type.partition and type.partition[dim]:
            continue
        for factor in range(2, min(extent - 1, MAX_BANKS) + 1):
            yield Cut(dim + 1, Partition.Cyclic, factor)
            yield Cut(dim + 1, Partition.Block, factor)
        if 2 <= extent <= MAX_BANKS:
            yield Cut(dim + 1, Partition.Complete, extent)


def _gaps(a: Subscripts, b: Subscripts) -> tuple[AffineExpr, ...]:
    """How far two accesses are apart in each dimension."""
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _apart_already(type: ArrayType, gaps: Sequence[AffineExpr]) -> bool:
    return any(
        in_two_banks(type, dim, part.kind, gap)
        for dim, (part, gap) in enumerate(zip(type.partition, gaps, strict=False))
        if part is not None
    )


def _separated(type: ArrayType, cut: Cut, pairs: Sequence[Sequence[AffineExpr]]) -> int:
    """The pairs that a partition keeps apart, one bit each."""
    parts = list(type.partition or [None] * type.rank)
    parts[cut.dim - 1] = DimPartition(cut.kind, cut.factor)
    cut_type = ArrayType(type.element, type.shape, tuple(parts))
    return sum(
        1 << k
        for k, gaps in enumerate(pairs)
        if in_two_banks(cut_type, cut.dim - 1, cut.kind, gaps[cut.dim - 1])
    )


def in_two_banks(type: ArrayType, dim: int, kind: Partition, gap: AffineExpr) -> bool:
    """Whether subscripts of a partitioned dimension that are ``gap`` apart lie in two banks.

    So they do where the gap is no multiple of a cyclic factor, is never 0 (complete), or is a block
    or more.  Of a gap that varies it is asked what it leaves when divided by the factor: ``i`` and
    ``13 - i`` are in two banks of two, for their sum is odd.
    """
    layout = Layout(type)
    match kind:
        case Partition.Cyclic:
            return _is_no_multiple(gap, layout.bank_counts[dim])
        case Partition.Block:
            return gap.is_constant and abs(gap.const) >= layout.bank_shape[dim]
    steps = gcd(*(c for _, c in gap.terms))
    return _is_no_multiple(gap, steps) if steps else gap.const != 0


def _is_no_multiple(gap: AffineExpr, factor: int) -> bool:
    """Whether an expression is no multiple of a factor, whatever its values are."""
    return all(c % factor == 0 for _, c in gap.terms) and gap.const % factor != 0
