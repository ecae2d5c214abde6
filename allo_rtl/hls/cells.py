"""What is known of cells of arrays, within one iteration.

Two subscripts are the same where they are equal as expressions, and certainly others where the
expressions of a dimension differ by a constant; an SSA value is one number throughout an iteration.
"""

from __future__ import annotations

from collections.abc import Iterable

from allo_rtl.ir.affine import AffineExpr, Atom
from allo_rtl.ir.ops import Block, Load, Store, Value
from allo_rtl.ir.rewrite import walk

type Subscripts = tuple[AffineExpr, ...]
type _Shape = tuple[tuple[tuple[Atom, int], ...], ...]
type _Place = tuple[int, ...]


def _split(index: Subscripts) -> tuple[_Shape, _Place]:
    """Subscripts without their constants, and these: of one shape others are other cells."""
    return tuple(e.terms for e in index), tuple(e.const for e in index)


def _differ(a: _Shape, at: _Place, b: _Shape, there: _Place) -> bool:
    return any(x == y and k != n for x, k, y, n in zip(a, at, b, there, strict=True))


class Cells[T]:
    """Something known of each of some cells of arrays."""

    def __init__(self) -> None:
        self._of: dict[Value, dict[_Shape, dict[_Place, T]]] = {}

    def get(self, array: Value, index: Subscripts) -> T | None:
        """What is known of exactly this cell."""
        shape, at = _split(index)
        return self._of.get(array, {}).get(shape, {}).get(at)

    def set(self, array: Value, index: Subscripts, what: T) -> None:
        """Know something of a cell, in place of what was known of it."""
        shape, at = _split(index)
        self._of.setdefault(array, {}).setdefault(shape, {})[at] = what

    def meets(self, array: Value, index: Subscripts) -> bool:
        """Whether something is known of a cell that may be this one."""
        return any(True for _ in self._meeting(array, index))

    def forget(self, array: Value, index: Subscripts) -> None:
        """Forget what is known of cells that may be this one."""
        for shape, at in list(self._meeting(array, index)):
            del self._of[array][shape][at]

    def _meeting(self, array: Value, index: Subscripts) -> Iterable[tuple[_Shape, _Place]]:
        shape, at = _split(index)
        for other, places in self._of.get(array, {}).items():
            if other == shape:
                if at in places:
                    yield other, at
            else:
                yield from ((other, p) for p in places if not _differ(shape, at, other, p))

    def has(self, array: Value) -> bool:
        """Whether anything was ever known of the array."""
        return array in self._of

    def take(self, array: Value, others: Cells[T]) -> None:
        """Know of an array what others know."""
        self._of[array] = {s: dict(places) for s, places in others._of.get(array, {}).items()}

    def clear(self) -> None:
        """Forget everything."""
        self._of.clear()


def touched(block: Block, *, stores_only: bool = False) -> Iterable[Load | Store]:
    """The accesses of a block and of the blocks inside it."""
    kinds = Store if stores_only else Load | Store
    return (op for op in walk(block) if isinstance(op, kinds))
