"""Whether iterations may run in another order, and the dependence that says they may not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from allo_rtl.errors import IllegalScheduleError, SourceLoc
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, Condition, Conflict, accesses, conflict, states
from allo_rtl.ir.ops import (
    Alloc,
    Apply,
    Block,
    Call,
    For,
    Load,
    Module,
    Op,
    Print,
    Store,
    Value,
)
from allo_rtl.ir.reductions import INEXACT, reductions
from allo_rtl.ir.rewrite import walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.schedule import independent
from allo_rtl.schedule.buffers import Aliases, aliases
from allo_rtl.schedule.loops import Place
from allo_rtl.schedule.private import private_arrays


@dataclass(frozen=True)
class Violation:
    """Two accesses that must stay in order, and iterations in which they would not."""

    source: Access
    sink: Access
    conflict: Conflict
    loops: tuple[For, ...]
    kind: str = ""
    """What both accumulate, when they are one accumulation whose order matters."""


def find_violation(
    module: Module,
    place: Place,
    loops: Sequence[For],
    condition: Condition,
    any_order_sums: bool,
    reassociate: bool = False,
) -> Violation | None:
    """The first dependence between iterations that satisfy a condition.

    Args:
        module, place: where the loops are: the place is one of them.
        loops: a perfect nest, or one loop; outermost first.
        condition: which iterations (source, sink) the rewrite would put in the wrong order.
        any_order_sums: whether accumulations may take their terms in any order.  Sums of
            floating-point numbers may only between iterations of loops declared as reductions.
        reassociate: whether they may everywhere.

    Raises:
        IllegalScheduleError: they print lines, whose order is seen.
    """
    if (line := printing(module, loops[-1].body)) is not None:
        raise IllegalScheduleError(
            f"loop {loops[-1].name!r} prints lines, and their order is the order of its iterations",
            loc=loops[0].loc,
            notes=[("printed here", line.loc)] if line.loc else (),
        )
    known, found, private = _privacy(module, place, loops)
    one = replace(place.func, body=(place.nest[0],))
    sums = reductions(one, known.root, known.apart) if any_order_sums else {}
    inner = loops[-1].iv
    inside = [
        a for a in found if a.array not in private and any(p.iv is inner for p in a.loops)
    ]
    for source, sink in _pairs(inside):
        order, kind = condition, sums.get(source.op)
        if kind is not None and kind == sums.get(sink.op):
            if kind not in INEXACT or reassociate:
                continue
            order = _outside_reductions(condition, loops)
        levels = [k for k, p in enumerate(loops) if _assumed(p, source.array, known.root)]
        order = independent.not_carried(order, levels) if levels else order
        if (hit := conflict(source, sink, loops, order)) is not None:
            return Violation(source, sink, hit, tuple(loops), kind or "")
    return None


def _privacy(
    module: Module, place: Place, loops: Sequence[For]
) -> tuple[Aliases, list[Access], frozenset[Value]]:
    """The accesses of a band, and the arrays that carry nothing between iterations of loops."""
    func, band = place.func, place.nest[0]
    known = aliases(module, func)
    found = [known.access(a) for a in accesses((band,), module, numbers_outside(func.body, band))]
    kept = {*states(module), *(known.root(v) for v in (*func.args, *func.returned))}
    if any(a.array not in kept for a in found):
        kept |= {known.root(v) for v in _read(_around(func.body, band))}
    return known, found, private_arrays(found, loops, kept)


def owned_arrays(module: Module, place: Place) -> tuple[Alloc, ...]:
    """What is made outside a loop of which each iteration could have one of its own: it writes
    what it reads, and nothing reads what is left."""
    _, _, private = _privacy(module, place, [place.loop])
    if not private:
        return ()
    ops = list(walk(place.func.body))
    whole = {
        v for op in ops if not isinstance(op, Load | Store | For) for v in op.operands()
    }  # fmt: skip
    promised = {v for op in ops if isinstance(op, For) for v in op.independent}
    inside = set(walk(place.loop.body))
    return tuple(
        op for op in ops
        if isinstance(op, Alloc) and op.result in private - whole - promised and op not in inside
    )  # fmt: skip


def reordered_sums(
    module: Module, place: Place, loops: Sequence[For], condition: Condition
) -> list[tuple[str, SourceLoc | None]]:
    """The inexact accumulations of which two terms satisfy a condition, and where they are.

    The arguments are those of :func:`find_violation`.
    """
    func, band = place.func, place.nest[0]
    known = aliases(module, func)
    kinds = reductions(replace(func, body=(band,)), known.root, known.apart)
    if not any(kind in INEXACT for kind in kinds.values()):
        return []
    numbers = numbers_outside(func.body, band)
    found = [known.access(a) for a in accesses((band,), module, numbers)]
    return [
        (kinds[a.op], a.op.loc)
        for a in found
        if a.is_store and kinds.get(a.op) in INEXACT and loops[-1] in a.loops
        and conflict(a, a, loops, condition) is not None
    ]  # fmt: skip


def _around(block: Block, band: For) -> Iterator[Op]:
    """The operations of a function outside of one band."""
    for op in block:
        if op is not band:
            yield op
            for region in op.regions():
                yield from _around(region, band)


def numbers_outside(block: Block, band: For) -> list[Apply]:
    """The index arithmetic outside of one band that subscripts in it may use."""
    if any(op is band for op in block):
        return [op for op in block if isinstance(op, Apply)]
    return [op for op in _around(block, band) if isinstance(op, Apply)]


def _read(ops: Iterable[Op]) -> Iterator[Value]:
    """The arrays of which operations may read something."""
    for op in ops:
        if isinstance(op, Load):
            yield op.array
        elif isinstance(op, Call):
            yield from (v for v in op.operands() if isinstance(v.type, ArrayType))


def _assumed(loop: For, array: Value, root: Callable[[Value], Value]) -> bool:
    """Whether the user says that iterations of the loop are independent in an array (a root)."""
    return any(root(v) is array for v in loop.independent)


def printing(module: Module, block: Block) -> Op | None:
    """An operation of the block that prints a line, itself or in a kernel that it calls."""
    for op in walk(block):
        if isinstance(op, Print):
            return op
        if isinstance(op, Call) and printing(module, module.func(op.callee).body) is not None:
            return op
    return None


def _outside_reductions(condition: Condition, loops: Sequence[For]) -> Condition:
    """The condition for iterations that do not differ in loops declared as reductions alone."""
    rest = [k for k, loop in enumerate(loops) if not loop.attrs.reduction]

    def apart(s: Sequence[str], d: Sequence[str]) -> str:
        differ = " or ".join(f"{s[k]} != {d[k]}" for k in rest) or "false"
        return f"{condition(s, d)} and ({differ})"

    return apart


def _pairs(found: Sequence[Access]) -> Iterator[tuple[Access, Access]]:
    """Ordered pairs that touch one array, one of them at least writing."""
    for source in found:
        for sink in found:
            if source.array is sink.array and (source.is_store or sink.is_store):
                yield source, sink


def illegal(primitive: str, consequence: str, found: Violation) -> IllegalScheduleError:
    """The error for a violation.

    Args:
        primitive: the primitive as the user wrote it.
        consequence: what it would do to the two iterations, with ``{source}`` and ``{sink}``.
        found: the dependence.
    """
    first = iteration_text(found.loops, found.conflict.source)
    second = iteration_text(found.loops, found.conflict.sink)
    name = found.source.array.name or "an array"
    hint = None
    if isinstance(found.source.op, Call) or isinstance(found.sink.op, Call):
        hint = f"a call is taken to touch all of {name}"
    elif found.source.index is None or found.sink.index is None:
        arrays = {a.op.array.name for a in (found.source, found.sink)
                  if isinstance(a.op, Load | Store)}  # fmt: skip
        hint = (
            f"a call gives {' and '.join(sorted(arrays))} parts of one array, so any two elements "
            "are taken to be one; assume_independent promises that iterations never share one"
        )
    elif None in found.conflict.cell:
        hint = (
            f"a subscript of {name} depends on data ('?'), so it is taken to be any cell; "
            "assume_independent promises that iterations never share one"
        )
    elif found.kind:
        hint = (
            f"this is a {found.kind}, which rounds after each step; declare its loops with "
            "allo.reduction, or say reassociate=True, if another order is as good"
        )
    return IllegalScheduleError(
        f"{primitive} would change what the kernel computes: "
        f"{consequence.format(source=first, sink=second)}",
        loc=found.loops[0].loc,
        notes=collision(found.source, found.sink, found.conflict, found.loops, found.loops),
        hint=hint,
    )


type Note = tuple[str, SourceLoc | None]
"""A line of an error, and the place that it is about."""


def collision(
    source: Access,
    sink: Access,
    found: Conflict,
    source_loops: Sequence[For],
    sink_loops: Sequence[For],
) -> list[Note]:
    """The two statements that touch one cell, with their iterations of these loops."""
    return [
        touch(source, source_loops, found.source, found.cell),
        touch(sink, sink_loops, found.sink, found.cell),
    ]


def touch(
    access: Access, loops: Sequence[For], values: Sequence[int], cell: Sequence[int | None]
) -> Note:
    """What an access does in one iteration of some loops, and where it stands."""
    iteration = f"iteration {iteration_text(loops, values)} " if loops else "this "
    if isinstance(access.op, Load | Store) and access.index is None:
        return f"{iteration}{_touches_part(access, loops, values)}", access.op.loc
    return f"{iteration}{_touches(access, cell)}", access.op.loc


def _touches_part(access: Access, loops: Sequence[For], values: Sequence[int]) -> str:
    """What is done to an array that may be a part of the same as others: by its own subscripts."""
    assert isinstance(access.op, Load | Store)
    at = {p.iv: AffineExpr.constant(v) for p, v in zip(loops, values, strict=True)}
    exprs = [e.substitute(at.get) for e in access.op.index]
    cell = [e.const if e.is_constant else None for e in exprs]
    return _touches(replace(access, array=access.op.array), cell)


def iteration_text(loops: Sequence[For], values: Sequence[int]) -> str:
    """``(i=0, j=1)``."""
    pairs = (f"{p.name}={v}" for p, v in zip(loops, values, strict=True))
    return f"({', '.join(pairs)})"


def _touches(access: Access, cell: Sequence[int | None]) -> str:
    name = access.array.name or "an array"
    verb = "writes" if access.is_store else "reads"
    if isinstance(access.op, Call):
        return f"calls {access.op.callee}, which {verb} {name}"
    subscripts = ", ".join("?" if c is None else str(c) for c in cell)
    return f"{verb} {name}[{subscripts}]" if subscripts else f"{verb} {name}"
