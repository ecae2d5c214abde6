"""What ``to`` asks of arrays that processing elements hand on (:mod:`allo_rtl.schedule.unfold`)."""

from __future__ import annotations

from collections.abc import Sequence

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.ops import Call, For, Func, Load, Module, Op, Store, SubView, Value
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.schedule.buffers import aliases


def reads(element: For, array: Value) -> list[Load]:
    """The loads of an array in an element, in the order of the text."""
    return [op for op in walk(element.body) if isinstance(op, Load) and op.array is array]


def check_alike(
    module: Module, func: Func, one: For, other: For, array: Value, along: str, said: str
) -> None:
    """Refuse neighbours that do not read the same of an array, or do something else with it.

    Raises:
        ScheduleError: they do not read it.
        IllegalScheduleError: one reads other elements, or in other loops, or stores to it.
    """
    name = array.name or "the array"
    root = aliases(module, func).root
    for op in walk((*one.body, *other.body)):
        known = {root(v) for v in op.operands() if hasattr(v.type, "shape")}
        if root(array) in known and not isinstance(op, Load):
            raise IllegalScheduleError(
                f"{said}: an element does more with {name!r} than read it", loc=op.loc,
                allowed="an array that the elements only read",
            )  # fmt: skip
    mine, theirs = reads(one, array), reads(other, array)
    if not theirs:
        raise ScheduleError(
            f"{said}: the elements do not read {name!r}", loc=one.loc,
            allowed="an array that all elements along the axis read alike",
        )  # fmt: skip
    nests = list(loops(one.body)), list(loops(other.body))
    if len(nests[0]) != len(nests[1]) or len(mine) != len(theirs):
        raise IllegalScheduleError(
            f"{said}: neighbours along {along!r} have other loops, or read {name!r} more often",
            loc=one.loc, allowed="elements that do the same; conditions on the axis make others",
        )  # fmt: skip
    twins = {b.iv: AffineExpr.of(a.iv) for a, b in zip(*nests, strict=True)}
    for a, b in zip(mine, theirs, strict=True):
        same = tuple(e.substitute(twins.get) for e in b.index)
        if a.index != same:
            raise IllegalScheduleError(
                f"{said}: neighbours along {along!r} read different elements of {name!r}",
                loc=b.loc,
                notes=[(f"one reads [{', '.join(map(str, a.index))}]", a.loc),
                       (f"the next [{', '.join(map(str, same))}]", b.loc)],
                allowed="subscripts that do not depend on the axis",
            )  # fmt: skip


def check_parts(func: Func, array: Value, dims: Sequence[int], said: str) -> None:
    """Refuse to make an array one for each place along some dimensions, unless everything that
    uses it says which by constants.

    Raises:
        ScheduleError: it is a result, is passed on, or used at places that data say.
    """
    name = array.name or "the array"
    if array in func.returned:
        raise ScheduleError(
            f"{said}: {name!r} is a result of {func.name}, which has it as a whole", loc=func.loc,
            allowed="an array that only the elements and what stands beside them use",
        )  # fmt: skip
    for op in walk(func.body):
        if array not in tuple(op.operands()):
            continue
        if isinstance(op, Call) or not _is_in_one_part(op, array, dims):
            raise ScheduleError(
                f"{said}: this does not say by constants between which elements {name!r} is used",
                loc=op.loc, allowed="subscripts that are constants, or count in a loop with "
                "constant bounds",
            )  # fmt: skip


def _is_in_one_part(op: Op, array: Value, dims: Sequence[int]) -> bool:
    match op:
        case Load() | Store():
            places, whole = op.index, False
        case SubView():
            places, whole = op.offsets, any(op.sizes[d] is not None for d in dims)
        case _:
            return False
    shape = array.array.shape
    return not whole and all(
        places[d].is_constant and 0 <= places[d].const < shape[d] for d in dims
    )
