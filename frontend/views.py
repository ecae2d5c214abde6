"""Parts of arrays, by reference: see :mod:`.subscripts` for how they are written."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allo_rtl.frontend.context import Context
from allo_rtl.frontend.scope import Variable
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import SubView, Value
from allo_rtl.ir.types import ArrayType, ScalarType

type At = tuple[AffineExpr, ...]
"""Subscripts, one a dimension."""

_ZERO = AffineExpr.constant(0)


@dataclass(frozen=True, slots=True)
class Axis:
    """What is taken of one dimension: ``size`` subscripts from ``offset`` on, ``step`` apart.

    ``size`` is None where the dimension is left out: it is at ``offset``.
    """

    offset: AffineExpr
    size: int | None
    step: int = 1

    @property
    def last(self) -> AffineExpr:
        """The last subscript taken."""
        return self.offset + ((self.size or 1) - 1) * self.step


@dataclass(frozen=True, slots=True)
class View:
    """Part of an array, by reference; ``axes`` has one entry a dimension of the array."""

    variable: Variable
    axes: tuple[Axis, ...]

    @staticmethod
    def whole(variable: Variable) -> View:
        """All of an array."""
        return View(variable, tuple(Axis(_ZERO, n) for n in variable.value.array.shape))

    @property
    def array(self) -> Value:
        """The array it is part of."""
        return self.variable.value

    @property
    def element(self) -> ScalarType:
        """The type of its elements."""
        return self.array.array.element

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""
        return tuple(a.size for a in self.axes if a.size is not None)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the array."""
        return self.axes == View.whole(self.variable).axes

    def at(self, subscripts: At) -> At:
        """The array's subscripts of an element of the view."""
        given = iter(subscripts)
        return tuple(
            a.offset if a.size is None else a.offset + next(given) * a.step for a in self.axes
        )

    def select(self, chosen: Sequence[Axis]) -> View:
        """Part of the view; ``chosen`` has one entry a dimension of the view."""
        parts = iter(chosen)
        return View(self.variable, tuple(_within(a, parts) for a in self.axes))

    def apart(self, other: View) -> bool:
        """Whether two views surely have no element in common."""
        if self.array is not other.array:
            return True
        pairs = zip(self.axes, other.axes, strict=True)
        return any(_before(a, b) or _before(b, a) for a, b in pairs)


def _within(axis: Axis, parts: Iterator[Axis]) -> Axis:
    if axis.size is None:
        return axis
    part = next(parts)
    return Axis(axis.offset + part.offset * axis.step, part.size, axis.step * part.step)


def _before(a: Axis, b: Axis) -> bool:
    gap = b.offset - a.last
    return gap.is_constant and gap.const > 0


def subview(cx: Context, view: View, node: ast.expr) -> Value:
    """The view as a value, to be passed by reference."""
    if view.is_whole:
        return view.array
    result = Value(ArrayType(view.element, view.shape), view.array.name)
    cx.parts[result] = SubView(
        result=result,
        source=view.array,
        offsets=tuple(a.offset for a in view.axes),
        sizes=tuple(a.size for a in view.axes),
        steps=tuple(a.step for a in view.axes),
        loc=cx.loc(node),
    )
    cx.builder.emit(cx.parts[result])
    return result
