"""Loop nests that the frontend makes itself: over the elements of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from allo_rtl.errors import SourceLoc
from allo_rtl.frontend.context import Context
from allo_rtl.frontend.views import At
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Block, For, LoopAttrs, Value
from allo_rtl.ir.types import index


def band_name(cx: Context, operation: str) -> str:
    """The name of a nest that the user did not name: the operation and a count."""
    name = f"{operation}_{cx.bands}"
    cx.bands += 1
    return name


def nest(
    cx: Context,
    band: str,
    loops: Sequence[tuple[str, int]],
    body: Callable[[At], None],
    loc: SourceLoc,
    *,
    reductions: int = 0,
    pipeline: bool = True,
) -> None:
    """Emit a perfect nest of loops from 0, outermost first.

    Args:
        cx: the kernel.
        band: the nest's name; each loop is called ``<band>_<name>``.
        loops: name and number of iterations of each.
        body: emits the innermost body, given the counters.
        loc: the statement.
        reductions: how many of the innermost loops are reductions.
        pipeline: whether the innermost loop aims at one iteration a cycle.
    """
    ivs = [Value(index, f"{band}_{name}") for name, _ in loops]
    counts = [n for _, n in loops]
    cx.builder.ranges |= {iv: (0, n - 1) for iv, n in zip(ivs, counts, strict=True)}
    with cx.builder.block() as ops, cx.builder.remembering():
        body(tuple(AffineExpr.of(iv) for iv in ivs))
    inner: Block = tuple(ops)
    for d in reversed(range(len(ivs))):
        attrs = LoopAttrs(
            band="" if d else band,
            reduction=d >= len(ivs) - reductions,
            pipeline_ii=1 if pipeline and d == len(ivs) - 1 else None,
        )
        inner = (_count(ivs[d], counts[d], inner, attrs, loc),)
    for op in inner:
        cx.builder.emit(op)


def _count(iv: Value, extent: int, body: Block, attrs: LoopAttrs, loc: SourceLoc) -> For:
    low, high = AffineExpr.constant(0), AffineExpr.constant(extent)
    return For(
        iv=iv, lower=(low,), upper=(high,), body=body, name=iv.name, attrs=attrs, loc=loc
    )
