"""What is asked of words that processing elements hand on (:mod:`allo_rtl.schedule.hand_on` makes
arrays of them, :mod:`allo_rtl.schedule.element_fifos` FIFOs)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product

from allo_rtl.errors import IllegalScheduleError, ScheduleError
from allo_rtl.ir.affine import AffineExpr
from allo_rtl.ir.dependence import Access, accesses, always_differ, meeting
from allo_rtl.ir.ops import Block, Call, For, Func, Load, Module, Op, Store, SubView, Value
from allo_rtl.ir.rewrite import loops, walk
from allo_rtl.ir.types import ArrayType
from allo_rtl.schedule.buffers import aliases


@dataclass(frozen=True)
class Handed:
    """A word that an element takes from the one before, and gives to the next.

    Attributes:
        loads: what takes it, with the same subscripts.
        store: what gives the word that the element has made of it; None where that is the same.
    """

    loads: tuple[Load, ...]
    store: Store | None = None


def is_counted(loop: For) -> bool:
    """Whether a loop counts from 0 to a constant in ones, and is not empty."""
    bounds = loop.constant_bounds
    return bounds is not None and bounds[0] == 0 and bounds[1] >= 1 and loop.step == 1


def uses(block: Block, array: Value) -> list[Load | Store]:
    """The loads and stores of an array in a block, in the order of the text."""
    return [op for op in walk(block) if isinstance(op, Load | Store) and op.array is array]


def other_uses(module: Module, func: Func, block: Block, array: Value) -> Iterator[Op]:
    """What else in a block may touch an array: calls, views, and arrays that may be the same."""
    root = aliases(module, func).root
    for op in walk(block):
        if isinstance(op, For) or (isinstance(op, Load | Store) and op.array is array):
            continue
        if any(root(v) is root(array) for v in op.operands() if isinstance(v.type, ArrayType)):
            yield op


def handed_on(element: For, array: Value, said: str) -> list[Handed]:
    """The words of an array that an element hands on: those that it only reads, or each that it
    reads and then stores to, as ``C[i, j] += x`` does.

    Raises:
        ScheduleError: it does not read the array.
        IllegalScheduleError: it stores to it otherwise.
    """
    name = array.name or "the array"
    blocks = {
        inside: block for op in walk((element,)) for block in op.regions() for inside in block
    }
    words: dict[tuple[int, tuple[AffineExpr, ...]], list[Load | Store]] = {}
    for op in uses(element.body, array):
        words.setdefault((id(blocks[op]), op.index), []).append(op)
    if not any(isinstance(op, Load) for word in words.values() for op in word):
        raise ScheduleError(
            f"{said}: the elements do not read {name!r}", loc=element.loc,
            allowed="an array that all elements along the axis read alike",
        )  # fmt: skip
    stored = [op for word in words.values() for op in word if isinstance(op, Store)]
    handed = [_word(word, bool(stored)) for word in words.values()]
    apart = all(always_differ(a[0], b[0]) for a, b in combinations(words.values(), 2))
    if None in handed or (stored and not apart):
        first = next((w[0] for w, h in zip(words.values(), handed, strict=True) if h is None),
                     stored[0])  # fmt: skip
        raise IllegalScheduleError(
            f"{said}: an element does more with {name!r} than read it, or store to one word "
            "what it makes of that", loc=first.loc,
            notes=[("it stores here", stored[0].loc)],
            allowed=f"elements that only read {name!r}, or read a word of it and then store to "
            f"that one, as {name}[i, j] += x does",
        )  # fmt: skip
    return [h for h in handed if h is not None]


def _word(ops: Sequence[Load | Store], stored: bool) -> Handed | None:
    """What hands one word on; None unless it is read first, and stored last where any is."""
    *loads, last = ops
    reads = tuple(op for op in (loads if stored else ops) if isinstance(op, Load))
    if len(reads) != len(ops) - stored or not reads:
        return None
    if not stored:
        return Handed(reads)
    return Handed(reads, last) if isinstance(last, Store) else None


def check_alike(
    module: Module, func: Func, one: For, other: For, array: Value, along: str, said: str
) -> None:
    """Refuse neighbours that do not use an array alike.

    Raises:
        IllegalScheduleError: one uses other elements, or in other loops, or otherwise.
    """
    name = array.name or "the array"
    for op in other_uses(module, func, (*one.body, *other.body), array):
        raise IllegalScheduleError(
            f"{said}: an element does more with {name!r} than read it",
            loc=op.loc,
            allowed="an array that the elements only load from, and store to",
        )
    mine, theirs = uses(one.body, array), uses(other.body, array)
    nests = list(loops(one.body)), list(loops(other.body))
    if len(nests[0]) != len(nests[1]) or [*map(type, mine)] != [*map(type, theirs)]:
        raise IllegalScheduleError(
            f"{said}: neighbours along {along!r} have other loops, or use {name!r} more often",
            loc=one.loc, allowed="elements that do the same; conditions on the axis make others",
        )  # fmt: skip
    twins = {b.iv: AffineExpr.of(a.iv) for a, b in zip(*nests, strict=True)}
    for a, b in zip(mine, theirs, strict=True):
        same = tuple(e.substitute(twins.get) for e in b.index)
        if a.index != same:
            verb, verbs = ("read", "reads") if isinstance(a, Load) else ("store to", "stores to")
            raise IllegalScheduleError(
                f"{said}: neighbours along {along!r} {verb} different elements of {name!r}",
                loc=b.loc,
                notes=[(f"one {verbs} [{', '.join(map(str, a.index))}]", a.loc),
                       (f"the next [{', '.join(map(str, same))}]", b.loc)],
                allowed="subscripts that do not depend on the axis",
            )  # fmt: skip


def check_rows(
    module: Module, func: Func, rows: Sequence[Sequence[For]], array: Value, said: str
) -> None:
    """Refuse sums that others see or change before the last element of a row has stored them.

    Args:
        rows: elements that stand one after the other along the axis.

    Raises:
        IllegalScheduleError: what stands between elements of a row touches what these store.
    """
    rows = [r for r in rows if any(isinstance(x, Store) for x in uses(tuple(r), array))]
    place = {op: k for k, op in enumerate(func.body)}
    elements = {element for row in rows for element in row}
    found = {row[0]: _accesses(module, row[0], array) for row in rows}
    spans = {row[0]: range(place[row[0]] + 1, place[row[-1]]) for row in rows}
    name = array.name or "the array"
    for row in rows:
        beside = [func.body[k] for k in spans[row[0]] if func.body[k] not in elements]
        if (op := next(_touching(module, func, tuple(beside), array), None)) is not None:
            raise IllegalScheduleError(
                f"{said}: this uses {name!r} while the elements sum in FIFOs what they store there",
                loc=op.loc,
                notes=[("an element stores it here", found[row[0]][-1].op.loc)],
            )
    for one, other in permutations(rows, 2):
        if not any(place[element] in spans[one[0]] for element in other):
            continue
        for a, b in product(found[one[0]], found[other[0]]):
            if not always_differ(a, b) and (hit := meeting(a, b)) is not None:
                cell = ", ".join("?" if c is None else str(c) for c in hit.cell)
                raise IllegalScheduleError(
                    f"{said}: elements of two rows sum in {name}[{cell}], and neither row would "
                    "see the other's sum",
                    loc=a.op.loc,
                    allowed="elements along one axis alone that store to one word",
                    hint="unfold one axis only, or make that the outer one which the sums are "
                    "along",
                )


def _accesses(module: Module, element: For, array: Value) -> list[Access]:
    return [a for a in accesses((element,), module) if a.array is array]


def _touching(module: Module, func: Func, block: Block, array: Value) -> Iterator[Op]:
    yield from uses(block, array)
    yield from other_uses(module, func, block, array)


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
