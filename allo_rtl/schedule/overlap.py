"""The primitive that runs loops at the same time: overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.dependence import Access, accesses, meeting
from allo_rtl.ir.ops import (
    Alloc,
    Assert,
    Block,
    Call,
    Constant,
    For,
    Func,
    Module,
    Op,
    Print,
)
from allo_rtl.ir.rewrite import map_block, replace_func, walk
from allo_rtl.ir.stream_ops import STREAM_OPS
from allo_rtl.schedule.buffers import aliases
from allo_rtl.schedule.legality import collision
from allo_rtl.schedule.loops import Place

ALONE = (Call, Print, Assert, *STREAM_OPS)
BETWEEN = (Alloc, Constant)


def check_overlap(module: Module, places: Sequence[Place], primitive: str) -> None:
    """Raise unless the loops follow each other and have nothing to do with each other.

    Raises:
        ScheduleError: they do not stand one after the other in a block, or something inside takes
            place in an order that shows: calls, streams, prints and assertions.
        IllegalScheduleError: one of them stores to an array that another one uses.
    """
    if len(places) < 2:
        raise ScheduleError(
            f"{primitive}: overlap needs two loops or more",
            allowed="loops that stand one after the other in the text",
        )
    loops = [p.loop for p in places]
    func = places[0].func
    blocks = (func.body, *(part for op in walk(func.body) for part in op.regions()))
    block = next(b for b in blocks if loops[0] in b)
    same = all(p.func is func for p in places)
    if not same or not _one_after_the_other(block, loops):
        raise ScheduleError(
            f"{primitive}: the loops do not stand one after the other", loc=loops[0].loc,
            allowed="loops of one block in the order of the text, with nothing but arrays made "
            "between them",
        )  # fmt: skip
    for loop in loops:
        check_no_turn(loop, primitive)
    check_apart(module, func, loops, primitive)


def check_no_turn(loop: For, primitive: str) -> None:
    """Raise ScheduleError when something in the loop takes place in an order that shows."""
    alone = next((op for op in walk(loop.body) if isinstance(op, ALONE)), None)
    if alone is not None:
        raise ScheduleError(
            f"{primitive}: what loop {loop.name!r} does here has to be in its turn: "
            f"{_named(alone)}",
            loc=alone.loc, allowed="loops that load, compute and store",
        )  # fmt: skip


def _named(op: Op) -> str:
    match op:
        case Call(callee=callee):
            return f"it calls {callee!r}"
        case Print():
            return "it prints"
        case Assert():
            return "it may stop the kernel with an assertion"
    return "it uses a stream"


def _one_after_the_other(block: Block, loops: Sequence[For]) -> bool:
    if not all(loop in block for loop in loops):
        return False
    places = [block.index(loop) for loop in loops]
    between = block[places[0] : places[-1] + 1]
    rest: list[Op] = [op for op in between if op not in loops]
    return places == sorted(set(places)) and all(isinstance(op, BETWEEN) for op in rest)


def check_apart(module: Module, func: Func, loops: Sequence[For], primitive: str) -> None:
    """Raise IllegalScheduleError when one of the loops stores to an array that another one uses."""
    known = aliases(module, func)
    found = [[known.access(a) for a in accesses((p,), module)] for p in loops]
    for k, first in enumerate(found):
        for second in found[k + 1 :]:
            for a in first:
                for b in second:
                    if a.array is b.array and (a.is_store or b.is_store):
                        raise _shared(a, b, primitive)


def _shared(a: Access, b: Access, primitive: str) -> IllegalScheduleError:
    """Even where they never meet in a cell they would meet at a port."""
    hit = meeting(a, b)
    notes = collision(a, b, hit, a.loops, b.loops) if hit else [("and here", b.op.loc)]
    return IllegalScheduleError(
        f"{primitive}: both loops use {a.array.name!r}, and one stores to it",
        loc=a.op.loc,
        notes=notes,
    )


def apply_overlap(module: Module, places: Sequence[Place]) -> Module:
    """The module with all loops but the first marked to run with the one before."""
    marked = {p.loop: replace(p.loop, attrs=replace(p.loop.attrs, overlap=True))
              for p in places[1:]}  # fmt: skip
    func = module.func(places[0].func.name)

    def visit(op: Op) -> Op | None:
        return marked.get(op) if isinstance(op, For) else None

    return replace_func(module, replace(func, body=map_block(func.body, visit)))
