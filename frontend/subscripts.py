"""What subscripts take of an array: elements, sub-arrays of the leading dimensions, and slices.

A constant subscript below zero counts from the end, as in Python; one that is computed when the
kernel runs does not.  The extent of a slice is a constant, its offset may be any index
expression.  Unlike in Python a slice is never cut off at the end of the array.
"""

from __future__ import annotations

import ast

from allo_rtl.errors import KernelTypeError, LanguageError
from allo_rtl.frontend import expressions as ex
from allo_rtl.frontend import selection
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.views import Axis
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.types import DYNAMIC, ArrayType

_ZERO = AffineExpr.constant(0)


def parts_of(node: ast.Subscript, rank: int | None = None) -> list[ast.expr]:
    """The subscripts as they are written; with a rank ``...`` is the slices it stands for."""
    parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    dots = next((n for n, p in enumerate(parts) if is_dots(p)), None)
    if dots is None or rank is None:
        return parts
    rest = [ast.copy_location(ast.Slice(), parts[dots])] * (rank - len(parts) + 1)
    return [*parts[:dots], *rest, *parts[dots + 1 :]]


def is_dots(node: ast.expr) -> bool:
    """Whether a subscript is ``...``."""
    return isinstance(node, ast.Constant) and node.value is ...


def axes(cx: Context, node: ast.Subscript, type_: ArrayType) -> tuple[Axis, ...]:
    """What ``node`` takes of an array of type ``type_``, for each of its dimensions.

    Raises:
        KernelTypeError: there are more subscripts than dimensions, or one is out of range.
        LanguageError: the extent of a slice is not a constant, or a step is not one.
    """
    parts = parts_of(node, type_.rank)
    if len(parts) > type_.rank:
        raise KernelTypeError(
            f"{len(parts)} subscripts for '{ast.unparse(node.value)}', which is {type_}",
            loc=cx.loc(node),
            allowed=f"{type_.rank} subscripts" if type_.rank > 1 else "1 subscript",
        )
    rest = [Axis(_ZERO, n) for n in type_.shape[len(parts) :]]
    with cx.builder.remembering():
        return (*(_axis(cx, p, type_, d, node) for d, p in enumerate(parts)), *rest)


def _axis(cx: Context, part: ast.expr, type_: ArrayType, dim: int, node: ast.Subscript) -> Axis:
    if isinstance(part, ast.Slice):
        axis = _slice(cx, part, type_, dim, node)
    elif isinstance(part, ast.Constant) and not isinstance(part.value, int | float):
        raise LanguageError(
            f"'{ast.unparse(part)}' is not a subscript of the language",
            loc=cx.loc(part),
            allowed="numbers and slices: A[i], A[2:4], A[:, j]",
        )
    else:
        axis = Axis(_from_end(cx, part, type_, dim, node), None)
    _check_range(cx, axis, part, type_, dim, node)
    return axis


def _from_end(
    cx: Context, part: ast.expr, type_: ArrayType, dim: int, node: ast.Subscript
) -> AffineExpr:
    """A subscript or bound; a constant one below zero counts from the end."""
    expr, extent = ex.subscript(cx, part), type_.shape[dim]
    if not expr.is_constant or expr.const >= 0:
        return expr
    if extent == DYNAMIC:
        raise _open_extent(cx, part, node)
    return expr + extent


def _open_extent(cx: Context, part: ast.expr, node: ast.Subscript) -> LanguageError:
    return LanguageError(
        f"'{ast.unparse(part)}' needs the first extent of '{ast.unparse(node.value)}', "
        "which is known only when the kernel is called",
        loc=cx.loc(part),
        allowed="subscripts and bounds that count from the start",
    )


def _slice(
    cx: Context, part: ast.Slice, type_: ArrayType, dim: int, node: ast.Subscript
) -> Axis:
    extent, step = type_.shape[dim], _step(cx, part.step)
    low = _from_end(cx, part.lower, type_, dim, node) if part.lower else _ZERO
    if part.upper is None and extent == DYNAMIC:
        raise _open_extent(cx, part, node)
    end = AffineExpr.constant(extent)
    high = _from_end(cx, part.upper, type_, dim, node) if part.upper else end
    length = high - low
    count = length.const if length.is_constant else selection.width(cx, part, extent)
    text = ast.unparse(part)
    if count is None:
        raise LanguageError(
            f"the extent of the slice '{text}' is not a constant",
            loc=cx.loc(part),
            allowed="bounds that are a constant apart: A[i * 4:(i + 1) * 4]",
        )
    if count < 1:
        raise KernelTypeError(f"the slice '{text}' is empty", loc=cx.loc(part))
    return Axis(low, -(-count // step), step)


def _step(cx: Context, node: ast.expr | None) -> int:
    if node is None:
        return 1
    with cx.builder.block():
        step = ex.scalar(cx, node).constant
    if step is None or step < 1:
        raise LanguageError(
            f"the step '{ast.unparse(node)}' of a slice is not a constant of 1 or more",
            loc=cx.loc(node),
            hint="copy the elements in a loop to reverse them" if step else None,
        )
    return step


def _check_range(
    cx: Context, axis: Axis, part: ast.expr, type_: ArrayType, dim: int, node: ast.Subscript
) -> None:
    low, high = cx.builder.subscript_range(axis.offset)
    last, extent = low + ((axis.size or 1) - 1) * axis.step, type_.shape[dim]
    if high >= 0 and (last < extent or extent == DYNAMIC):
        return
    if axis.size is not None:
        found = f"the slice '{ast.unparse(part)}'"
    else:
        # A constant is shown as it was written.
        shown = low - extent if low == high < 0 <= extent else low
        found = f"the subscript {shown}" if low == high else f"the subscript of {low} ... {high}"
    raise KernelTypeError(
        f"{found} is outside dimension {dim} of '{ast.unparse(node.value)}', which is {type_}",
        loc=cx.loc(part),
        allowed=f"0 ... {extent if axis.size else extent - 1}",
        hint="only constants below zero count from the end" if high < 0 and low < high else None,
    )
