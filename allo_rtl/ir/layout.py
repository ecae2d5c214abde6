"""Where the elements of a partitioned array live: the bank and the address of each.

A partitioned dimension of extent ``n`` with ``f`` banks splits a subscript ``x`` in two:

    complete   bank x             (f = n)
    block      bank x // ceil(n/f)   address x % ceil(n/f)
    cyclic     bank x % f            address x // f

Banks and addresses of several dimensions combine row-major.  Every bank has the same depth;
when a factor does not divide, the tail of some banks is unused.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.types import ArrayType, DimPartition, Partition


@dataclass(frozen=True, slots=True)
class Layout:
    """Bank and address maps of one array type."""

    type: ArrayType

    @property
    def _parts(self) -> tuple[DimPartition | None, ...]:
        return self.type.partition or (None,) * self.type.rank

    @property
    def bank_counts(self) -> tuple[int, ...]:
        """Number of banks along each dimension."""
        return tuple(
            1 if p is None else (n if p.kind is Partition.Complete else p.factor)
            for n, p in zip(self.type.shape, self._parts, strict=True)
        )

    @property
    def bank_shape(self) -> tuple[int, ...]:
        """Extent of one bank along each dimension."""
        return tuple(
            -(-n // f) for n, f in zip(self.type.shape, self.bank_counts, strict=True)
        )

    @property
    def banks(self) -> int:
        """Number of banks."""
        return prod(self.bank_counts)

    @property
    def depth(self) -> int:
        """Number of words in each bank."""
        return prod(self.bank_shape)

    def split(self, dim: int, subscript: AffineExpr) -> tuple[AffineExpr, AffineExpr]:
        """(bank coordinate, in-bank coordinate) of a subscript along one dimension."""
        part, banks, extent = self._parts[dim], self.bank_counts[dim], self.bank_shape[dim]
        if part is None:
            return AffineExpr.constant(0), subscript
        if part.kind is Partition.Complete:
            return subscript, AffineExpr.constant(0)
        if part.kind is Partition.Block:
            return subscript.floordiv(extent), subscript.mod(extent)
        return subscript.mod(banks), subscript.floordiv(banks)

    def place(self, subscripts: tuple[AffineExpr, ...]) -> tuple[AffineExpr, AffineExpr]:
        """(bank, address) of an element, as affine expressions, row-major over dimensions."""
        bank = address = AffineExpr.constant(0)
        for dim, subscript in enumerate(subscripts):
            b, a = self.split(dim, subscript)
            bank = bank * self.bank_counts[dim] + b
            address = address * self.bank_shape[dim] + a
        return bank, address

    def place_const(self, subscripts: tuple[int, ...]) -> tuple[int, int]:
        """(bank, address) of the element at constant subscripts."""
        bank, address = self.place(tuple(AffineExpr.constant(s) for s in subscripts))
        return bank.const, address.const
