"""The primitive that gives an array another shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr, Interval
from allo_rtl.ir.equal_arrays import equal_arrays
from allo_rtl.ir.ops import Block, For, Func, GetGlobal, Load, Module, Store, SubView, Value
from allo_rtl.ir.rewrite import retype, walk, with_regions
from allo_rtl.ir.types import ArrayType, index
from allo_rtl.schedule.loop_transforms import is_count


def check_reshape(array: Value, shape: object) -> tuple[int, ...]:
    """The new shape; ScheduleError when the array cannot have it."""
    type_, name = array.array, array.name
    dims = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if not dims or not all(is_count(n) and n > 0 for n in dims):
        raise ScheduleError(
            f"the new shape of {name!r} is {shape!r}", allowed="a tuple of extents of 1 or more"
        )
    if prod(dims) != type_.size:
        raise ScheduleError(
            f"{name!r} is {type_} with {type_.size} elements, and the new shape {dims} has "
            f"{prod(dims)}",
            allowed="a shape with as many elements",
        )
    if type_.partition:
        raise ScheduleError(
            f"{name!r} is partitioned by dimension already", hint="reshape before partition"
        )
    return dims


def apply_reshape(module: Module, func: Func, array: Value, shape: tuple[int, ...]) -> Module:
    """The module with the array, everywhere it goes, in another shape (row-major order kept).

    Raises:
        ScheduleError: part of the array is used as a view.
    """
    type_, said = replace(array.array, shape=shape), f"{array.name!r} of {func.name}"
    same = equal_arrays(module, func, array)
    names = {
        op.name
        for f in module.funcs
        for op in walk(f.body)
        if isinstance(op, GetGlobal) and op.result in same.get(f.name, ())
    }
    return replace(
        module,
        funcs=tuple(_reshape(f, same.get(f.name, set()), type_, said) for f in module.funcs),
        globals=tuple(replace(g, type=type_) if g.name in names else g for g in module.globals),
    )


def _reshape(func: Func, arrays: set[Value], type_: ArrayType, said: str) -> Func:
    if not arrays:
        return func
    body = _with_subscripts(func.body, arrays, type_.shape, {}, said)
    return retype(replace(func, body=body), dict.fromkeys(arrays, type_))


def _with_subscripts(
    block: Block, arrays: set[Value], shape: tuple[int, ...],
    ranges: Mapping[Value, Interval], said: str,
) -> Block:
    """A block with the subscripts of the arrays for another shape; ``said`` is what they are."""
    out = []
    for op in block:
        if isinstance(op, SubView) and op.source in arrays:
            raise ScheduleError(
                f"{said} cannot be reshaped: a part of it is used as an array here",
                loc=op.loc,
                allowed="an array that is used element by element",
            )
        if isinstance(op, SubView) and op.result in arrays:
            raise ScheduleError(
                f"{said} cannot be reshaped: it is a part of {op.source.name!r} here",
                loc=op.loc,
                allowed="an array that is used element by element",
            )
        if isinstance(op, Load | Store) and op.array in arrays:
            op = replace(op, index=_subscripts(op.index, op.array.array.shape, shape, ranges))
        inner = ranges
        if isinstance(op, For) and (bounds := op.constant_bounds) is not None:
            inner = {**ranges, op.iv: (bounds[0], max(bounds[0], bounds[1] - 1))}
        out.append(with_regions(op, partial(_with_subscripts, arrays=arrays, shape=shape, said=said,
                                            ranges=inner)))  # fmt: skip
    return tuple(out)


def _subscripts(
    old: Sequence[AffineExpr],
    old_shape: Sequence[int],
    shape: Sequence[int],
    ranges: Mapping[Value, Interval],
) -> tuple[AffineExpr, ...]:
    """The subscripts in the new shape of the element that ``old`` names in the old one."""
    place = AffineExpr.constant(0)
    for subscript, extent in zip(old, old_shape, strict=True):
        place = place * extent + subscript
    found: list[AffineExpr] = []
    for depth, extent in enumerate(shape):
        expr = place.floordiv(prod(shape[depth + 1 :]))
        expr = expr.mod(extent) if depth else expr
        found.append(expr.simplify(lambda v: ranges.get(v, (index.min, index.max))))
    return tuple(found)
