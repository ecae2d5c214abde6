"""Against what is lost between runs of loops that are inside another, or follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from allo_rtl.advice.edits import Call, Edit, applied
from allo_rtl.advice.ports import separated
from allo_rtl.advice.trial import Trial, innermost
from allo_rtl.errors import AlloError
from allo_rtl.hls.report import LoopReport
from allo_rtl.ir.ops import Alloc, Block, Constant, For, Func, While
from allo_rtl.ir.ops import Call as CallOp
from allo_rtl.ir.rewrite import walk
from allo_rtl.schedule.loops import find_func, find_loop

_MOST_OPERATIONS = 1_000
"""Operations of a body that is made by unrolling all loops in it."""


def rewound(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The loops inside pipelined without draining between their runs."""
    for one in inside(base, loop):
        step = base.pipelining(one)
        if step is None:
            continue
        old = base.schedule.history()[step]
        if not old.kwargs.get("rewind"):
            call = Call("pipeline", old.args, {**old.kwargs, "rewind": True})
            yield Edit((call,), innermost(one), one.loc, instead=(step,))


def distributed(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The loop inside of those in it, so that what stands beside these gets loops of its own.

    Sums are taken apart first where they are not free to move otherwise.
    """
    for one in inside(base, loop):
        step = base.pipelining(one)
        if step is None or one.ii is None:
            continue
        axis, outer = base.axis(one), base.axis(loop)
        sums = Call("partial_sums", (axis, 1))
        for calls in ((), (sums,)):
            order = (*calls, Call("reorder", (axis, outer)))
            pipelined = _leaves_pipelined(base, Edit(order, loop.name, loop.loc, (step,)))
            if pipelined is not None:
                yield pipelined


def _leaves_pipelined(base: Trial, edit: Edit) -> Edit | None:
    """A change, with the innermost loops that are then not pipelined pipelined."""
    try:
        changed = applied(base.schedule, edit)
    except (AlloError, TypeError):
        return None
    calls = tuple(
        Call("pipeline", (base.name(func.name, name),))
        for func in changed.module.funcs
        for name in _plain_leaves(func.body)
    )
    return Edit((*edit.calls, *calls), edit.loop, edit.loc, edit.instead)


def _plain_leaves(block: Block) -> Iterator[str]:
    """The loops without loops or calls inside that nothing pipelines or unrolls."""
    for op in block:
        if isinstance(op, For) and op.attrs.pipeline_ii is None and op.attrs.unroll is None:
            if any(isinstance(x, For | While | CallOp) for x in walk(op.body)):
                yield from _plain_leaves(op.body)
            else:
                yield op.name
        elif not isinstance(op, For):
            for part in op.regions():
                yield from _plain_leaves(part)


def inlined(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The functions that the loop calls in its place."""
    func = find_func(base.schedule.module, base.home(loop) or loop.func)
    if func.dataflow:
        return
    place = find_loop(base.schedule.module, base.axis(loop)).loop
    for name in dict.fromkeys(op.callee for op in walk(place.body) if isinstance(op, CallOp)):
        yield Edit((Call("inline", (name,)),), innermost(loop), loop.loc)


def at_once(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The loop and the one behind it at the same time."""
    outermost = loop.name.partition(", ")[0]
    func = find_func(base.schedule.module, base.home(loop) or loop.func)
    inner = find_loop(base.schedule.module, base.axis(loop))
    here = next((x for x in inner.nest if x.name == outermost), inner.loop)
    behind = _behind(func, here)
    if behind is not None:
        axes = (base.axis_of(func.name, x.name, x.loc) for x in (here, behind))
        yield Edit((Call("overlap", tuple(axes)),), innermost(loop), loop.loc)


def _behind(func: Func, loop: For) -> For | None:
    """The loop that follows another one in its block, with nothing but arrays made between."""
    blocks = (func.body, *(part for op in walk(func.body) for part in op.regions()))
    block = next(b for b in blocks if any(op is loop for op in b))
    at = next(n for n, op in enumerate(block) if op is loop)
    rest = (op for op in block[at + 1 :] if not isinstance(op, Alloc | Constant))
    found = next(rest, None)
    return found if isinstance(found, For) and not found.attrs.overlap else None


def whole(base: Trial, loop: LoopReport) -> Iterator[Edit]:
    """The loop pipelined, with those inside unrolled and memories that keep their copies apart."""
    inner = inside(base, loop)
    if can_be_unrolled(base, inner):
        call = Call("pipeline", (base.axis(loop),))
        edit = Edit((call,), loop.name, loop.loc, pipelinings(base, inner))
        yield separated(base, loop, edit, 1)


def can_be_unrolled(base: Trial, loops: Iterable[LoopReport]) -> bool:
    """Whether all iterations of some loops are operations few enough to be tried."""
    sizes = [_operations(base, x) for x in loops]
    return None not in sizes and sum(n or 0 for n in sizes) <= _MOST_OPERATIONS


def pipelinings(base: Trial, loops: Iterable[LoopReport]) -> tuple[int, ...]:
    """The steps of the history that pipelined some loops, in order."""
    return tuple(sorted(n for x in loops if (n := base.pipelining(x)) is not None))


def _operations(base: Trial, loop: LoopReport) -> int | None:
    """Operations of all iterations of a loop; None where their number varies."""
    count = len(base.nodes(loop.func, innermost(loop), loop.loc))
    return None if loop.trip is None else loop.trip * max(1, count)


def inside(base: Trial, loop: LoopReport) -> Sequence[LoopReport]:
    """The loops inside another one."""
    at = next(n for n, x in enumerate(base.loops) if x is loop)
    found = []
    for one in base.loops[at + 1 :]:
        if one.func != loop.func or one.nesting <= loop.nesting:
            break
        found.append(one)
    return found
