"""The primitive unfold: a loop's iterations as processing elements.

The body of a band is written once for each iteration of some of its loops.  Each copy is a task
(see :mod:`allo_rtl.ir.tasks`), so that in hardware all run at once.  What comes out is a sequential
program still, of which the CPU build and the evaluator need know nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from allo_rtl.errors import ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import (
    For,
    Func,
    LoopAttrs,
    Module,
    Op,
    Value,
)
from allo_rtl.ir.rewrite import bind, clone, loops, map_block, replace_func
from allo_rtl.ir.simplify import decided
from allo_rtl.ir.types import index
from allo_rtl.schedule.element_checks import is_counted
from allo_rtl.schedule.loops import find_func, unused


@dataclass(frozen=True, repr=False)
class ElementAxis:
    """A loop that :meth:`~allo_rtl.schedule.schedule.Schedule.unfold` has made elements of.

    Attributes:
        func, band, loop: their names.
        elements: what the names of the elements' bands start with: the band's name, unless other
            bands have such names.
        extents: the number of elements along each axis of the array of elements.
        position: which of these axes this is.
    """

    func: str
    band: str
    loop: str
    elements: str
    extents: tuple[int, ...]
    position: int

    def __repr__(self) -> str:
        return repr(f"{self.func}:{self.band}.{self.loop}")

    def element(self, at: Sequence[int]) -> str:
        """The name of the band of one element."""
        return _element_name(self.elements, at)


def _element_name(start: str, at: Sequence[int]) -> str:
    return "_".join([start, *map(str, at)])


# --- unfold --------------------------------------------------------------------------------


def find_band(module: Module, name: str, said: str) -> tuple[Func, For]:
    """The function and the outermost loop of a band: ``"PE"`` or ``"func:PE"``.

    Raises:
        ScheduleError: there is none, or it stands inside a loop or a condition.
    """
    func_name, colon, band = str(name).rpartition(":")
    func = find_func(module, func_name if colon else module.top)
    bands = {op.attrs.band: op for op in func.body if isinstance(op, For)}
    if band not in bands:
        _check_outermost(func, band, said)
        raise ScheduleError(
            f"{said}: there is no band {band!r} in {func.name}", loc=func.loc,
            allowed=", ".join(n for n in bands if n) or f"{func.name} has no bands",
        )  # fmt: skip
    return func, bands[band]


def _check_outermost(func: Func, band: str, said: str) -> None:
    """Refuse a band that is there, but inside something else."""
    for outer in func.body:
        for loop in loops((outer,)):
            if band and loop.attrs.band == band:
                raise ScheduleError(
                    f"{said}: band {band!r} is not outermost", loc=loop.loc,
                    notes=[("it stands inside this", outer.loc)],
                    allowed=f"a band outside all loops and conditions of {func.name}",
                )  # fmt: skip


def unfolded_loops(root: For, axes: object, said: str) -> list[For]:
    """The loops of a band that ``axes`` says, outermost first.

    Raises:
        ScheduleError: they are not the band's first ones, one inside the other, with constant
            bounds from 0 in ones.
    """
    nest = [root]
    while len(nest[-1].body) == 1 and isinstance(nest[-1].body[0], For):
        nest.append(nest[-1].body[0])
    chosen = list(axes) if isinstance(axes, list | tuple) else []
    if not chosen or chosen != list(range(len(chosen))):
        raise ScheduleError(
            f"{said}: the axes are {axes!r}", loc=root.loc,
            allowed="numbers of the band's loops, from the outermost: [0], [0, 1], ...",
            hint="reorder puts the loops that are to be elements outermost",
        )  # fmt: skip
    if len(chosen) > len(nest):
        raise ScheduleError(
            f"{said}: the band has {len(nest)} loop{'s' * (len(nest) > 1)} that "
            f"{'stand' if len(nest) > 1 else 'stands'} alone inside each other",
            loc=root.loc, allowed=", ".join(p.name for p in nest),
        )  # fmt: skip
    for loop in nest[: len(chosen)]:
        if not is_counted(loop):
            raise ScheduleError(
                f"{said}: loop {loop.name!r} does not count from 0 to a constant in ones",
                loc=loop.loc, allowed="for i in range(8)",
            )  # fmt: skip
        if loop.attrs.pipeline_ii is not None or loop.attrs.unroll is not None:
            raise ScheduleError(
                f"{said}: loop {loop.name!r} is pipelined or unrolled, and its iterations are to "
                "be elements", loc=loop.loc, hint="pipeline a loop inside the elements",
            )  # fmt: skip
        if loop.attrs.overlap:
            raise ScheduleError(
                f"{said}: loop {loop.name!r} runs at the same time as the one before (overlap), "
                "and its iterations are to be elements", loc=loop.loc,
                hint="elements run at the same time as the loops around them anyway",
            )  # fmt: skip
    return nest[: len(chosen)]


def apply_unfold(
    module: Module, func: Func, root: For, chosen: Sequence[For]
) -> tuple[Module, list[ElementAxis]]:
    """The module with a band's body once for each iteration of the chosen loops, as tasks."""
    extents = tuple(loop.trip_count or 0 for loop in chosen)
    places = list(product(*map(range, extents)))
    taken = {p.attrs.band for p in loops(tuple(op for op in func.body if op is not root))}
    start = root.attrs.band
    while any(_element_name(start, at) in taken for at in places):
        start += "_element"
    axes = [
        ElementAxis(func.name, root.attrs.band, loop.name, start, extents, d)
        for d, loop in enumerate(chosen)
    ]
    taken |= {axes[0].element(at) for at in places}
    copies = [_element(chosen, at, axes[0].element(at), taken) for at in places]
    body = tuple(
        new for op in func.body for new in (copies if op is root else (op,))
    )
    return replace_func(module, replace(func, body=body, tasks=True)), axes


def _element(chosen: Sequence[For], at: Sequence[int], name: str, taken: set[str]) -> For:
    """One element: a loop of one iteration around the body, so that all of it is one task.

    What its place decides is decided: ``if k == K - 1`` is in the last element alone.  Bands inside
    get names that are not taken yet: each element has its own.
    """

    def visit(op: Op) -> Op | None:
        if not isinstance(op, For) or not op.attrs.band:
            return None
        return replace(op, attrs=replace(op.attrs, band=unused(op.attrs.band, taken)))

    body = map_block(clone(chosen[-1].body), visit)
    for loop, number in zip(chosen, at, strict=True):
        body = bind(body, loop.iv, AffineExpr.constant(number))
    return For(
        iv=Value(index, "element"), lower=(AffineExpr.constant(0),),
        upper=(AffineExpr.constant(1),), body=decided(body), name="element",
        attrs=LoopAttrs(band=name), loc=chosen[-1].loc,
    )  # fmt: skip
